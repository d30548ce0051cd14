/* What the files of shard share with each other and with nobody else.
 *
 *   command.c   what a write is made of            row.c         how a row and a key are encoded
 *   apply.c     a command changes the shard        overlay.c     rows that the file has not got yet
 *   view.c      what a reader sees                 store.c       the file
 *   columns.c   columns of a row, fast             payload.c     columns that are kept in memory
 *                                                   store_env.c   its opening, growth and closing
 *                                                   store_compact.c  its free pages given back
 *   search.c    nearest neighbours                 vectors.c     the index over each VECTOR column
 *                                                   vector_file.c  the exact vectors of one
 *   flush.c     the overlay goes into the file     checkpoint.c  a graph goes into its file
 *   recover.c   a graph comes back                 crew.c        parallel work
 *   reindex.c   an index is built beside another
 *   host.c      threads that all shards share
 *
 * Which ef reaches which recall: calibration_int.h.
 *
 * Locks, in the order in which they are taken:
 *   shard.checkpoint      one checkpoint at a time
 *   shard.flush           one flush at a time
 *   shard.apply           who changes the active generation: apply, and the flush that replaces it
 *   vector_index.advance  one thread advances or saves an index
 *   shard.publish         what a view copies when it is opened
 *   shard.waiting         writes that wait for the graph, and searches that wait for it
 *   calibration.mutex     what was measured; under it no other is taken
 *   store.lock            who is inside a store; then store_pool.mutex, under which others' store
 *                         locks are only tried
 *   payload_pool.mutex    which columns are kept; under it no other is taken
 *   host.mutex            the policies, and when each shard is cared for; under it no other is
 *                         taken */
#ifndef VECTRON_SHARD_INT_H
#define VECTRON_SHARD_INT_H

#include <stdatomic.h>

#include "shard/calibration_int.h"
#include "shard/shard.h"

/* Bytes of somebody else's.  data = NULL: there is nothing. */
struct slice {
    const uint8_t *data;
    size_t bytes;
};

/* ---- row.c: encoded rows and keys ---- */

enum {
    KEY_BYTES_ENCODED_MAX = 1 + KEY_BYTES_MAX,
    ROW_CHECKSUM_BYTES = 4,
};

/* A primary key in a form that memcmp orders as value_compare does. */
struct key {
    uint16_t bytes;
    uint8_t data[KEY_BYTES_ENCODED_MAX];
};

/* A *body* is a row without its checksum: what commands carry. */
void row_encode(struct buf *body, const struct schema *schema, const struct value *values);
/* columns[i] (n_columns of them) is column i's encoded value; data = NULL where it is null. */
enum errcode row_split(const struct schema *schema, struct slice body, struct slice *columns,
                       struct err *err) WARN_UNUSED;
/* @column's value from its encoded bytes, which are there; texts are borrowed from them. */
enum errcode row_decode_value(const struct column *column, struct slice encoded, struct value *out,
                              struct arena *arena, struct err *err) WARN_UNUSED;
void row_join(struct buf *body, const struct schema *schema, const struct slice *columns);

/* A stored row is its checksum, which covers @number too, and its body. */
void row_store(uint8_t *out, uint64_t number, struct slice body);
enum errcode row_check(uint64_t number, struct slice stored, struct slice *body,
                       struct err *err) WARN_UNUSED;

/* @value has the key's type and passed command.c's checks. */
void key_encode(const struct value *value, struct key *out);
/* The same from column 0 of an encoded row. */
enum errcode key_from_column(const struct schema *schema, struct slice column, struct key *out,
                             struct err *err) WARN_UNUSED;
/* False where these bytes cannot be a key of @type. */
bool key_is_valid(enum value_type type, struct slice key);
/* The value of a valid key; a text is borrowed from it. */
void key_decode(struct slice key, struct value *out);
/* A number that orders rows as their keys do: the first eight bytes of the valid key. */
uint64_t key_label(struct slice key);

/* ---- command.c: what a write is made of ---- */

/* Some of its rows take room. */
bool command_grows(const struct shard_command *command);
/* Apply may refuse it, or change another number of rows than it has. */
bool command_can_be_refused(struct shard_command *command);
/* Its bytes, which are the caller's (mem_free MEM_LOG); the command is empty afterwards. */
void *command_take(struct shard_command *command, size_t *bytes);
void command_give_back(struct shard_command *command, void *data, size_t bytes);

struct command_row {
    enum shard_op op;
    uint32_t stamp;       /* REPLACE, DELETE */
    struct slice columns; /* UPSERT: the bits of the columns given. */
    struct slice body;    /* All but DELETE. */
    struct slice key;     /* DELETE; encoded. */
};

struct command_reader {
    const struct schema *schema;
    struct reader reader;
    uint32_t rows_left;
};

enum errcode command_open(struct command_reader *c, const struct schema *schema, struct slice data,
                          struct err *err) WARN_UNUSED;
/* The next of rows_left rows. */
enum errcode command_next(struct command_reader *c, struct command_row *out,
                          struct err *err) WARN_UNUSED;

/* ---- store.c: the file ---- */

struct store;
struct store_read;
struct store_write;

enum store_table {
    TABLE_META,
    TABLE_ROWS,    /* row number -> stored row */
    TABLE_KEYS,    /* encoded key -> row number */
    TABLE_DEAD,    /* row number -> stored row that was deleted after an index checkpoint */
    TABLE_CHANGES, /* log index -> encoded change (overlay.c) */
    TABLE_COUNT
};

struct store_meta {
    uint64_t applied;  /* Log index of the last command whose changes are in the file. */
    uint64_t next_row; /* Larger than the number of any row there ever was. */
    uint64_t rows;     /* In TABLE_ROWS. */
    uint64_t covered;  /* Changes up to this log index are gone: the checkpoints hold them. */
};

struct store_config {
    const char *directory;
    uint64_t schema_id;
    uint64_t group;
    struct store_pool *pool; /* Borrowed. */
};

/* Of all stores of a node: bounds how many of their files are open. */
struct store_pool;
struct store_pool *store_pool_new(struct err *err);
void store_pool_free(struct store_pool *pool);

enum errcode store_open(const struct store_config *config, struct store **out,
                        struct err *err) WARN_UNUSED;
void store_close(struct store *store);
/* Both as of the last commit; what is not used is free for later rows. */
uint64_t store_file_bytes(const struct store *store);
uint64_t store_used_bytes(const struct store *store);
/* More than half of the file is free, and it is not small. */
bool store_is_compaction_worth(const struct store *store);
/* Gives the free pages back to the disk.  No write is under way.  OVERLOADED: another time. */
enum errcode store_compact(struct store *store, struct err *err) WARN_UNUSED;
/* Free bytes where the store is; UINT64_MAX where the system does not say. */
uint64_t store_disk_free(const struct store *store);

/* A read transaction that can be used again; one thread at a time. */
struct store_read *store_read_new(struct store *store, struct err *err);
enum errcode store_read_begin(struct store_read *read, struct err *err) WARN_UNUSED;
void store_read_end(struct store_read *read);
void store_read_free(struct store_read *read);
const struct store_meta *store_read_meta(const struct store_read *read);
/* What is found is borrowed until the transaction ends; out->data = NULL where there is none. */
enum errcode store_get(struct store_read *read, enum store_table table, uint64_t number,
                       struct slice *out, struct err *err) WARN_UNUSED;
/* A record of TABLE_META beside the head, by its name. */
enum errcode store_get_record(struct store_read *read, const char *name, struct slice *out,
                              struct err *err) WARN_UNUSED;
enum errcode store_get_key(struct store_read *read, struct slice key, uint64_t *number, bool *found,
                           struct err *err) WARN_UNUSED;
/* The first record at or after *number; cheap where it follows the last one that this gave. */
enum errcode store_next(struct store_read *read, enum store_table table, uint64_t *number,
                        struct slice *out, struct err *err) WARN_UNUSED;

/* One writer at a time.  After a failure of any of these only store_abort is allowed. */
/* @bytes is about what will be put.  OVERLOADED, here or later: views were in the way of a map that
 * has to grow; to be tried again. */
enum errcode store_write_begin(struct store *store, uint64_t bytes, struct store_write **out,
                               struct err *err) WARN_UNUSED;
/* What the file says, before this write. */
enum errcode store_write_meta(struct store_write *write, struct store_meta *out,
                              struct err *err) WARN_UNUSED;
enum errcode store_put(struct store_write *write, enum store_table table, uint64_t number,
                       struct slice value, struct err *err) WARN_UNUSED;
/* Faster than store_put where @number is larger than any in the table, and packs pages full. */
enum errcode store_append(struct store_write *write, enum store_table table, uint64_t number,
                          struct slice value, struct err *err) WARN_UNUSED;
enum errcode store_delete(struct store_write *write, enum store_table table, uint64_t number,
                          struct err *err) WARN_UNUSED;
/* Moves a row from TABLE_ROWS to TABLE_DEAD, or away altogether. */
enum errcode store_bury(struct store_write *write, uint64_t number, bool is_kept,
                        struct err *err) WARN_UNUSED;
enum errcode store_put_key(struct store_write *write, struct slice key, uint64_t number,
                           struct err *err) WARN_UNUSED;
enum errcode store_put_record(struct store_write *write, const char *name, struct slice value,
                              struct err *err) WARN_UNUSED;
enum errcode store_delete_key(struct store_write *write, struct slice key,
                              struct err *err) WARN_UNUSED;
/* As store_next, in the write's own transaction. */
enum errcode store_first_change(struct store_write *write, uint64_t *index, struct slice *out,
                                struct err *err) WARN_UNUSED;
/* Synced when it returns.  Frees @write, whatever happens. */
enum errcode store_commit(struct store_write *write, const struct store_meta *meta,
                          struct err *err) WARN_UNUSED;
void store_abort(struct store_write *write);

/* ---- overlay.c: rows that the file has not got yet ---- */

/* One version of one row; never changed once it is published. */
struct row_version {
    uint64_t number;
    uint64_t index; /* Of the log: seen by views that were opened at or after it. */
    const struct row_version *older_of_number;
    const struct row_version *older_of_key;
    uint32_t row_bytes; /* 0: from here on there is no such row. */
    uint16_t key_bytes;
    uint8_t data[]; /* The encoded key, then the stored row. */
};

struct slice version_key(const struct row_version *version);
struct slice version_row(const struct row_version *version);

/* What one command did to the indexes; TABLE_CHANGES keeps it encoded. */
struct change {
    uint64_t index; /* Of the log. */
    uint64_t first_row;
    uint64_t n_rows; /* New rows: first_row and those after it. */
    size_t n_deleted;
    const uint64_t *deleted;
    struct change *next; /* In the generation. */
};

void change_write(struct buf *b, const struct change *change);
/* Copies into @arena. */
enum errcode change_read(struct slice encoded, uint64_t index, struct arena *arena,
                         struct change *out, struct err *err) WARN_UNUSED;

/* A generation is what was applied between two flushes. */
struct generation;
struct generation *generation_new(uint64_t first_row, struct err *err);
void generation_ref(struct generation *generation);
void generation_unref(struct generation *generation); /* NULL is allowed. */
uint64_t generation_first_row(const struct generation *generation);
size_t generation_bytes(const struct generation *generation);
size_t generation_versions(const struct generation *generation);

/* Writing: one thread.  Room is made first, so that publishing cannot fail. */
enum errcode generation_reserve(struct generation *generation, size_t n,
                                struct err *err) WARN_UNUSED;
/* Key and row are the caller's to fill in before it is published. */
struct row_version *generation_version(struct generation *generation, size_t key_bytes,
                                       size_t row_bytes, struct err *err);
/* *deleted is the caller's to fill in. */
struct change *generation_change(struct generation *generation, size_t n_deleted,
                                 uint64_t **deleted, struct err *err);
void generation_publish(struct generation *generation, struct row_version *version);
void generation_publish_change(struct generation *generation, struct change *change);

/* Reading: any thread.  The newest version at or before @limit; NULL: the generation says nothing
 * about it. */
const struct row_version *generation_by_number(const struct generation *generation, uint64_t number,
                                               uint64_t limit);
/* False: no version of the 64 rows from @first on, a multiple of it. */
bool generation_may_have(const struct generation *generation, uint64_t first);
const struct row_version *generation_by_key(const struct generation *generation, struct slice key,
                                            uint64_t limit);

/* Of a generation that is not written any more: the newest version of each key or of each number,
 * sorted by it; the caller's (mem_free MEM_OVERLAY). */
enum version_order {
    ORDER_BY_KEY,
    ORDER_BY_NUMBER
};
enum errcode generation_sorted(const struct generation *generation, enum version_order order,
                               const struct row_version ***out, size_t *n,
                               struct err *err) WARN_UNUSED;
const struct change *generation_changes(const struct generation *generation);

/* ---- view.c: what a reader sees ---- */

struct shard_view {
    struct shard *shard;
    struct generation *generations[2]; /* Newest first. */
    size_t n_generations;
    struct store_read *read;
    uint64_t applied; /* Versions up to this log index are seen. */
    uint64_t rows;
    uint64_t next_row;
    bool is_reading; /* It holds a place among the readers of payloads. */
    unsigned place;
    uint64_t hits, misses; /* Rows whose columns were in memory, or were not. */
    struct shard_view *next_free;
};

/* As shard_view_get, by the encoded key. */
enum errcode view_find_key(struct shard_view *view, struct slice key, struct shard_row *out,
                           bool *found, struct err *err) WARN_UNUSED;
void views_free(struct shard *shard); /* Those that wait to be opened again. */
/* What the overlay says of a row; NULL: nothing, so that it is as the file has it. */
const struct row_version *view_find_version(const struct shard_view *view, uint64_t number);
void view_row_of_version(const struct row_version *version, struct shard_row *out, bool *found);
enum errcode view_row_of_file(struct shard_view *view, uint64_t number, struct shard_row *out,
                              bool *found, struct err *err) WARN_UNUSED;

/* ---- columns.c ---- */

void columns_end(struct shard_view *view); /* The view closes. */

/* ---- vectors.c: the index over each VECTOR column ---- */

/* Up to date; or behind what is staged, and caught up in the background; or the same after its
 * checkpoint could not be used. */
enum index_state {
    INDEX_CURRENT,
    INDEX_CATCHING_UP,
    INDEX_REBUILDING
};

enum {
    CALIBRATION_ROWS_MIN = 1000, /* Fewer are scanned sooner than walked through. */
};

struct vector_index {
    uint32_t column; /* Of the schema. */
    /* Changes under shard.apply and advance; who holds neither enters. */
    struct index *_Atomic index;
    enum index_kind kind;
    /* As the policies were when it was opened, or as REINDEX was told; change with the index. */
    struct index_parameters parameters;
    bool is_reindexed;
    struct mutex advance;
    atomic_uint files; /* The largest number that a file of vectors has had. */
    atomic_uint side;  /* Of users; each exchange of the index changes it. */
    atomic_uint users[2];
    struct reindex *reindex; /* Of shard.apply; NULL: none is under way. */
    atomic_uint record;      /* Counts what the file should know of the parameters, */
    atomic_uint record_kept; /* and this what it knows. */
    unsigned record_put;     /* Of shard.flush: what it will know after the commit. */
    _Atomic uint8_t state;   /* enum index_state; moved under advance. */
    /* Whether the new rows of one change were staged before memory ran out; of who stages. */
    uint64_t staging_index;
    bool has_new_rows;
    uint64_t whole_from; /* Made anew: linked up to this log index, it has all rows; else 0. */
    _Atomic uint64_t checkpointed;         /* Log index of its durable checkpoint; 0 = none. */
    _Atomic uint64_t checkpoint_bytes;     /* Of its file. */
    _Atomic uint64_t changes;              /* Rows staged or deleted since it was opened. */
    _Atomic uint64_t changes_checkpointed; /* As changes was at the last checkpoint. */
    uint64_t progress_logged_us;           /* The indexer's. */
    struct calibration calibration;
};

enum errcode vectors_open(struct shard *shard, struct err *err) WARN_UNUSED;
struct index *vector_index_new(const struct shard *shard, struct vector_index *v,
                               const struct index_parameters *parameters, struct err *err);
void vectors_close(struct shard *shard);
/* The index over @column, or NULL. */
struct vector_index *vectors_find(struct shard *shard, uint32_t column);
void vector_index_move(struct shard *shard, struct vector_index *v, enum index_state to,
                       const char *why) REQUIRES(v->advance);
/* Links up to about @rows_max rows; *is_more where there are others.  Any thread. */
enum errcode vector_index_advance(struct shard *shard, struct vector_index *v, size_t rows_max,
                                  bool *is_more, struct err *err) WARN_UNUSED;
void vector_index_log_progress(struct shard *shard, struct vector_index *v);
/* Stages the new rows, then the deletions, of one change: always in this order, so that a replay
 * makes the same graph. */
struct staged_rows {
    const struct slice *bodies; /* change.n_rows of them; data = NULL: leave this one out. */
    struct arena *arena;        /* For the call's scratch space. */
};
enum errcode vector_index_stage(struct shard *shard, struct vector_index *v,
                                const struct change *change, const struct staged_rows *rows,
                                struct err *err) WARN_UNUSED;
/* The new rows alone, into one index.  Rows whose vectors cannot be staged are left out. */
enum errcode vector_index_stage_rows(struct shard *shard, struct vector_index *v,
                                     struct index *index, const struct change *change,
                                     const struct staged_rows *rows, struct err *err) WARN_UNUSED;
/* So that staging @n_rows more is not going to meet a full disk.  Errors: DISK_FULL, IO. */
enum errcode vector_index_make_room(struct vector_index *v, size_t n_rows, size_t bytes_in_flight,
                                    struct err *err) WARN_UNUSED;
/* Where the disk is full, staging keeps vectors in memory until it has room.  False: it does
 * already, or has no file. */
bool vector_index_use_memory(struct vector_index *v);
uint64_t vectors_lag(struct shard *shard);
/* The largest log index all of whose changes are in every graph. */
uint64_t vectors_linked(struct shard *shard);

/* ---- reindex.c ---- */

/* The index that serves, which is not freed until leave. */
struct index *vector_index_enter(struct vector_index *v, unsigned *side);
void vector_index_leave(struct vector_index *v, unsigned side);
size_t vector_index_pending(struct vector_index *v);
/* A change that was staged, for the index that is built beside, if there is one. */
void reindex_note(struct shard *shard, struct vector_index *v, const struct change *change,
                  const struct staged_rows *rows);
/* The parameters in the shard's file, as remember.c does with what was measured. */
bool reindex_is_due(struct shard *shard);
enum errcode reindex_put(struct shard *shard, struct store_write *write,
                         struct err *err) WARN_UNUSED;
void reindex_done(struct shard *shard);
enum errcode reindex_load(struct shard *shard, struct vector_index *v, struct store_read *read,
                          struct err *err) WARN_UNUSED;

/* ---- recover.c, checkpoint.c ---- */

/* Loads @v from its checkpoint, or makes it anew from the rows; stages what came after.  */
enum errcode recover_index(struct shard *shard, struct vector_index *v,
                           struct err *err) WARN_UNUSED;

/* Reads the checkpoint of @column into a new index.  Every failure but OUT_OF_MEMORY means: make it
 * anew. */
enum errcode checkpoint_load(struct shard *shard, struct vector_index *v, struct checkpoint_id *id,
                             struct err *err) WARN_UNUSED;
bool checkpoint_exists(const struct shard *shard, const struct vector_index *v);
enum errcode checkpoint_write(struct shard *shard, struct vector_index *v,
                              struct err *err) WARN_UNUSED;
void checkpoint_path(const struct shard *shard, const struct vector_index *v, bool is_temporary,
                     char *out, size_t bytes);
enum {
    SHARD_PATH_BYTES = 4096
};

/* ---- shard.c ---- */

struct shard {
    char *directory; /* Owned. */
    uint64_t group_id;
    const struct schema *schema; /* Held. */
    struct repl *repl;
    _Atomic(struct repl_group *) group; /* NULL while the log is replayed. */
    struct shard_host *host;
    struct patient *patient; /* Of the host; NULL while nobody cares for it. */
    struct store *store;
    struct payload *payload; /* Columns of its rows in memory. */

    struct vector_index *vectors;
    size_t n_vectors;
    bool has_graph; /* One of them is an HNSW: changes and dead rows are kept for it. */

    struct mutex checkpoint;
    struct mutex flush;
    struct store_meta flush_meta; /* What the file's head says after the flush; of flush. */
    uint64_t flush_tried_us;      /* Of flush. */
    uint64_t checkpointed_us;     /* Of checkpoint. */
    uint64_t compacted_us;        /* When it was tried last; of the keeper. */
    atomic_bool
        is_flusher_idle; /* It said that there is nothing to flush: who changes that wakes it. */
    bool has_flusher_rested;        /* Of the flusher. */
    atomic_bool is_keeper_idle;     /* The same of what changed since the last checkpoint. */
    _Atomic int flush_error;        /* enum errcode of the last flush; 0 = it was well. */
    _Atomic int stage_error;        /* The same of what apply tells the indexes. */
    _Atomic uint64_t refused_bytes; /* Of the last command that map_size had no room for. */

    struct mutex apply;
    struct arena *scratch; /* Of apply; reset after each command. */

    struct mutex publish;               /* Guards all to the end of the views. */
    struct condition flushed_condition; /* A flush ended. */
    struct generation *active, *flushing;
    uint64_t applied, rows;
    _Atomic uint64_t next_row; /* Written under the lock, read without it too. */
    uint64_t flushed, covered; /* As in the file. */
    struct shard_view *free_views;
    size_t n_free_views, open_views;

    struct mutex waiting;
    struct condition linked_condition;                /* An index advanced. */
    struct shard_write *waiting_first, *waiting_last; /* ACK_INDEXED, by log index. */

    atomic_bool is_replaying; /* The log is; apply stages and links nothing. */
    atomic_bool is_closing;
};

void shard_free(struct shard *shard);
/* The flusher and the keeper hear of what is new, if they have nothing to do. */
void shard_note_change(struct shard *shard);
uint64_t checkpoint_lag(const struct shard *shard); /* Changes that no checkpoint has. */

int64_t shard_policy(const struct shard *shard, enum policy_id id);
uint64_t shard_unflushed_bytes(struct shard *shard) EXCLUDES(shard->publish);
/* With @bytes more it would be larger than map_size. */
bool shard_is_full(struct shard *shard, uint64_t bytes) EXCLUDES(shard->publish);
uint64_t shard_unflushed_bytes_locked(const struct shard *shard) REQUIRES(shard->publish);

/* ---- apply.c ---- */

void shard_apply(void *arg, const struct repl_entry *entries, size_t n);
/* Completes the writes whose rows every graph has got. */
void shard_complete_indexed(struct shard *shard);

/* ---- flush.c ---- */

enum errcode shard_flush(struct shard *shard, struct err *err) WARN_UNUSED;

/* ---- host.c, crew.c ---- */

struct crew;
struct crew *crew_new(unsigned threads, struct err *err);
void crew_free(struct crew *crew);
const struct index_crew *crew_interface(struct crew *crew);

/* From now on the host's threads care for the shard; until remove returns. */
enum errcode host_add(struct shard_host *host, struct shard *shard, struct err *err) WARN_UNUSED;
void host_remove(struct shard_host *host, struct shard *shard);
/* It wants to be called now. */
void host_wake_indexer(struct shard *shard);
void host_wake_flusher(struct shard *shard);
void host_wake_keeper(struct shard *shard);
const struct index_crew *host_crew(struct shard_host *host);
struct store_pool *host_stores(struct shard_host *host);
struct payload_pool *host_payloads(struct shard_host *host);
/* A policy's value for @schema's collection, levels file and collection merged. */
int64_t host_policy(struct shard_host *host, const struct schema *schema, enum policy_id id);
struct policy_value host_policy_value(struct shard_host *host, const struct schema *schema,
                                      enum policy_id id);
double host_policy_float(struct shard_host *host, const struct schema *schema, enum policy_id id);

/* What the host's threads do to a shard; each says when it wants to be called again
 * (clock_micros; UINT64_MAX = when woken). */
uint64_t shard_care_index(struct shard *shard);
uint64_t shard_care_flush(struct shard *shard);
uint64_t shard_care_slowly(struct shard *shard); /* Checkpoints and calibration. */
bool shard_wants_keeper(struct shard *shard);    /* shard_care_slowly has something to do. */

#endif
