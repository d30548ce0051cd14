/* The door of shard: one shard on this machine.
 *
 * Rows in LMDB, an index over each vector column, and the commands that change both.  A write is a
 * command: shard_submit -> repl (log, quorum) -> apply thread -> overlay (rows in memory that the
 * file has not got yet) + index -> the caller's ack.  A flush writes the overlay and the applied
 * position in one synced LMDB transaction now and then, and only behind it is the log cut: the log
 * alone makes a write durable, the file makes it findable without a replay.
 *
 * Files in the shard's directory: data.mdb (LMDB), index-COLUMN.graph (checkpoints),
 * index-COLUMN-NUMBER.vectors (exact vectors).  Formats are drawn in store.c, checkpoint.c and
 * vector_file.c.
 *
 * Reads go through a view: what was applied when it was opened, overlay and file together. */
#ifndef VECTRON_SHARD_H
#define VECTRON_SHARD_H

#include <stdatomic.h>

#include "base/base.h"
#include "index/index.h"
#include "repl/repl.h"

struct shard;
struct shard_view;

/* What all shards of a node share: the threads that care for them (indexer, flusher, and keeper for
 * checkpoints and calibration) and the crew for parallel work. */
struct shard_host;
struct shard_host_config {
    const struct policy_set *file_policies; /* Borrowed; replaced with shard_host_reload. */
    unsigned work_threads;
};
enum errcode shard_host_new(const struct shard_host_config *config, struct shard_host **out,
                            struct err *err) WARN_UNUSED;
void shard_host_reload(struct shard_host *host, const struct policy_set *file_policies);
void shard_host_free(struct shard_host *host);

struct shard_config {
    const char *directory;       /* Made where it is missing. */
    uint64_t group;              /* Of the log. */
    const struct schema *schema; /* Held, or copied where it is not. */
    struct repl *repl;
    struct shard_host *host;
};

/* Opens files, loads the index from its checkpoint (or says in the log why it is rebuilt), replays
 * the log.  Afterwards the shard serves; an index that is behind is caught up in the background.
 * Errors: IO, CORRUPT, FORMAT_UNSUPPORTED, LOCKED, OUT_OF_MEMORY. */
enum errcode shard_open(const struct shard_config *config, struct shard **out,
                        struct err *err) WARN_UNUSED;
/* Flushes, writes checkpoints, closes.  No view may be open. */
void shard_close(struct shard *shard);
/* Closes without them and removes the directory and the log's group. */
void shard_destroy(struct shard *shard);

const struct schema *shard_schema(const struct shard *shard);

/* ---- writes ---- */

enum shard_op {
    SHARD_INSERT,        /* The key must be free: DUPLICATE_KEY. */
    SHARD_INSERT_IGNORE, /* Skipped where the key is taken. */
    SHARD_UPSERT,        /* Where the key is taken, the columns of the mask replace the row's. */
    SHARD_REPLACE,       /* The key must be taken, by a row with this stamp: CONFLICT. */
    SHARD_DELETE,        /* As REPLACE; the row goes. */
};

/* Whether what is done, and to how many rows, can only be told once it is applied.  All but UPSERT:
 * it happens whatever rows there are. */
bool shard_op_depends_on_rows(enum shard_op op);

/* A command is built row by row, then submitted: all of it happens or none. */
struct shard_command;
struct shard_command *shard_command_new(const struct schema *schema, struct err *err);
void shard_command_free(struct shard_command *command);
/* @values has one member a column, in the schema's order; types as the schema says (NULL where a
 * column has none).  @columns is the bit set of the columns given (UPSERT), 256 bits.  @stamp is
 * shard_row_stamp of the row that a REPLACE or DELETE was decided on.  DELETE needs only values[0].
 * Errors: NOT_NULL, WRONG_DIMENSION, NOT_FINITE, ZERO_VECTOR, TYPE_MISMATCH, STRING_TOO_LONG,
 * STATEMENT_TOO_LONG (over REPL_ENTRY_BYTES_MAX); the message names the column. */
enum errcode shard_command_add(struct shard_command *command, enum shard_op op,
                               const struct value *values, const uint64_t columns[4],
                               uint32_t stamp, struct err *err) WARN_UNUSED;
size_t shard_command_bytes(const struct shard_command *command);
size_t shard_command_rows(const struct shard_command *command);

/* Who waits until the log has room for a command; embedded in the caller's own struct. */
struct shard_room {
    /* Once for each wait, on any thread and under the log's lock: short, calls nothing of shard. */
    void (*ready)(struct shard_room *room);
    struct repl_room repl; /* shard's own. */
};
void shard_room_init(struct shard_room *room, void (*ready)(struct shard_room *room));
/* Waits no longer; afterwards ready is not called.  Harmless where nothing was waited for. */
void shard_room_leave(struct shard_room *room);

/* Submitted and waited for; embedded in the caller's own struct, which owns it until done returns.
 * done is called once, on any thread.  Not called if shard_submit itself fails. */
struct shard_write {
    enum ack ack; /* Raised to VISIBLE by shard_submit where the outcome is not known earlier. */
    void (*done)(struct shard_write *write, const struct err *err);
    struct shard_room *room; /* Of a caller that would rather wait than be OVERLOADED, or NULL. */
    uint64_t rows;           /* Changed, or before one that was refused; filled in before done. */
    uint64_t index;          /* Of the log. */
    struct repl_write repl;  /* shard's own from here on. */
    struct shard *shard;
    struct shard_write *next;
    uint64_t submitted_us;
    atomic_bool is_applied;
};
/* Takes @command, whatever happens, but for a write with a room that is OVERLOADED: it stays the
 * caller's, who submits it again, as it is, once the room is ready.  A command that apply may
 * refuse (a key that is taken, a row that was changed) is acknowledged from ACK_VISIBLE on at the
 * least. */
enum errcode shard_submit(struct shard *shard, struct shard_command *command,
                          struct shard_write *write, struct err *err) WARN_UNUSED;

/* As repl_withdraw: true where the write will not happen, and done is not called. */
bool shard_withdraw(struct shard_write *write);
/* Applied and visible, though done may still wait for the graph (ACK_INDEXED): rows is valid. */
bool shard_has_applied(const struct shard_write *write);

/* ---- reads ---- */

/* A view sees all that was applied when it was opened and nothing later.  Short-lived: while it is
 * open the file cannot reuse pages.  One thread. */
enum errcode shard_view_open(struct shard *shard, struct shard_view **out,
                             struct err *err) WARN_UNUSED;
void shard_view_close(struct shard_view *view);

/* A row as it is stored; borrowed until the view closes. */
struct shard_row {
    uint64_t number; /* Of the row, within the shard; rising with time. */
    const uint8_t *data;
    size_t bytes;
};
uint32_t shard_row_stamp(const struct shard_row *row); /* Changes when the row does. */
/* Decodes the columns whose bit is set in @columns (NULL: all) into values[column]; others are left
 * alone.  Texts are borrowed from the row; vectors are copied to @arena.  CORRUPT names the row. */
enum errcode shard_row_decode(const struct schema *schema, const struct shard_row *row,
                              const uint64_t columns[4], struct value *values, struct arena *arena,
                              struct err *err) WARN_UNUSED;

/* found = false where there is none.  @key has the primary key's type. */
enum errcode shard_view_get(struct shard_view *view, const struct value *key, struct shard_row *out,
                            bool *found, struct err *err) WARN_UNUSED;
enum errcode shard_view_get_number(struct shard_view *view, uint64_t number, struct shard_row *out,
                                   bool *found, struct err *err) WARN_UNUSED;
/* Columns of a row as the view sees it; all but vectors from memory, as payload_memory says. */
struct shard_columns {
    const uint64_t *wanted; /* A bit each, as shard_row_decode has them. */
    struct value *values;   /* values[column]; texts are borrowed until the view closes. */
    struct arena *arena;
    uint64_t rows_read; /* Added to: rows of the file that had to be read for it. */
};
enum errcode shard_view_columns(struct shard_view *view, uint64_t number,
                                struct shard_columns *columns, bool *found,
                                struct err *err) WARN_UNUSED;
/* The first row at or after *number, whose number it becomes; found = false at the end. */
enum errcode shard_view_next_columns(struct shard_view *view, uint64_t *number,
                                     struct shard_columns *columns, bool *found,
                                     struct err *err) WARN_UNUSED;
/* Rows in the order of their numbers, from @from on; found = false at the end. */
enum errcode shard_view_next(struct shard_view *view, uint64_t from, struct shard_row *out,
                             bool *found, struct err *err) WARN_UNUSED;
uint64_t shard_view_count(const struct shard_view *view); /* Rows in the view. */

/* ---- searches ---- */

struct shard_search {
    uint32_t column;           /* Of the schema; a VECTOR. */
    struct index_search index; /* query, k, ef, plan, filter, cancel. */
    bool is_of_row;            /* The query is the vector of a row: it tells nothing of others. */
    enum on_lag on_lag;
    uint64_t index_lag_max;
    uint64_t deadline_us; /* Of clock_micros; 0 = none. ON_LAG_WAIT gives up at it: TIMEOUT. */
};
/* Considers every row that was acknowledged (visible) before.  INDEX_LAG where on_lag says so. */
enum errcode shard_search(struct shard *shard, const struct shard_search *search,
                          struct index_hit *hits, size_t *n_hits, struct index_work *work,
                          struct err *err) WARN_UNUSED;

/* Each hit has a *label*, which orders rows as their keys do (equal labels: it does not tell).
 * Where labels are keys, it says all of it. */
bool shard_labels_are_keys(const struct schema *schema);
uint64_t shard_label_of_key(const struct value *value);
struct value shard_key_of_label(const struct schema *schema, uint64_t label);

/* The key of a row, where memory has it or the label is all of it: it is the same as long as the
 * row has its number, so no view is asked.  A text is borrowed until shard_keys_end. */
struct shard_keys {
    struct shard *shard;
    unsigned place; /* shard's own. */
};
struct shard_keys shard_keys_begin(struct shard *shard);
bool shard_keys_find(const struct shard_keys *keys, uint64_t number, uint64_t label,
                     struct value *out);
void shard_keys_end(struct shard_keys *keys);

/* Rows from this number on were not visible when it was asked; a search may meet them before. */
uint64_t shard_rows_end(const struct shard *shard);
/* Rows that a search over @column can find. */
uint64_t shard_rows_indexed(struct shard *shard, uint32_t column);

/* What a walk must do so that the mean recall@k of searches like this one is @recall or more: by
 * calibration's measure, else a guess.  @share of the rows pass its filter (1: none).  No lock. */
enum shard_verdict {
    SHARD_REACHES,        /* ef is measured to be good for it. */
    SHARD_MAY_MISS,       /* Too little was measured to tell; ef is the largest that was. */
    SHARD_MISSES,         /* The largest ef that is worth a walk was measured, and stays below. */
    SHARD_IS_NOT_MEASURED /* ef is a cautious guess. */
};
struct shard_effort {
    size_t ef; /* At least k. */
    enum shard_verdict verdict;
    double stretch; /* ef is so many times what was measured, for what changed since; at least 1. */
    double recall;  /* Measured at that ef: the mean of the samples, */
    double low, high; /* and its interval: of all queries the mean lies in it, 19 times of 20. */
    double distances, filter_calls; /* To be expected of a query. */
    bool has_reach; /* What was measured holds for queries that lie as far from the rows as */
    struct index_reach reach;     /* this, and for those beyond it nothing is known; */
    size_t ef_beyond;             /* their ef is a guess (see index_search). */
    struct index_density density; /* Where its filter lets other shares near a query pass. */
    uint64_t rows;                /* In the index. */
};
void shard_effort_for(struct shard *shard, uint32_t column, double recall, size_t k, double share,
                      struct shard_effort *out);

/* ---- what indexes are built with ---- */

struct index_parameters {
    uint32_t m, ef_construction;
    enum quantization quantization;
};
/* Of the index over @column; *is_reindexed where a REINDEX gave them, and not the policies. */
struct index_parameters shard_index_parameters(struct shard *shard, uint32_t column,
                                               bool *is_reindexed);

struct shard_reindex {
    uint32_t column; /* Of the schema; a VECTOR. */
    struct index_parameters parameters;
    void (*progress)(void *arg, const char *phase, uint64_t done, uint64_t total); /* Or NULL. */
    bool (*is_canceled)(void *arg);                                                /* Or NULL. */
    void *arg;
};
/* Builds the index anew beside the one that serves, under reads and writes, and puts it in its
 * place. Any failure leaves the old one.  Takes the memory of both.  It is durable as parameters
 * with the next flush, and as a graph with the next checkpoint: until then a start builds it once
 * more. Errors: CANCELED, OUT_OF_MEMORY, OVERLOADED (another is under way), IO. */
enum errcode shard_reindex(struct shard *shard, const struct shard_reindex *request,
                           struct err *err) WARN_UNUSED;

/* ---- care ---- */

/* Flush, then checkpoints of every index; returns when they are synced.  progress may be NULL. */
enum errcode shard_checkpoint(struct shard *shard,
                              void (*progress)(void *arg, const char *phase, uint64_t done,
                                               uint64_t total),
                              void *arg, struct err *err) WARN_UNUSED;

/* Gives what deleted rows have left in the file back to the disk, where that is most of a file that
 * is not small.  Done by itself, too.  OVERLOADED: views stay open; another time. */
enum errcode shard_compact(struct shard *shard, struct err *err) WARN_UNUSED;

/* An index is made anew, as its checkpoint could not be used: it has no rows until all are in it.
 */
bool shard_is_rebuilding(struct shard *shard);

struct shard_figures {
    uint64_t rows, applied, flushed, unflushed_bytes, unflushed_rows;
    uint64_t index_lag, index_rows, index_vacant;
    uint64_t code_bytes, vector_bytes, graph_bytes; /* In memory. */
    uint64_t mapped_bytes;                          /* Exact vectors in mapped files. */
    uint64_t file_bytes, index_file_bytes;          /* On the disk: rows; graphs and vectors. */
    uint64_t checkpoint_lag;                        /* Changes since the last checkpoint. */
    struct repl_figures log;
    const char *state; /* "serving", "catching up", "rebuilding index", "disk full" */
};
void shard_figures(struct shard *shard, struct shard_figures *out);

enum {
    SHARD_RECALL_CLASSES = 10
};
/* What was measured last of a class of searches: for k rows, by a filter that passes this share. */
struct shard_recall {
    uint32_t k;
    double share; /* 1: no filter. */
    struct shard_effort effort;
    double below;     /* Share of the samples that found less than the floor. */
    uint32_t samples; /* Queries. */
    bool is_real;     /* They came from clients. */
    bool is_refining; /* More samples are being taken. */
    uint64_t rows;    /* In the graph then. */
    int64_t wall_us;  /* When. */
};
/* Of the class number @i, for the floor @recall; false where it was not measured. */
bool shard_recall(struct shard *shard, uint32_t column, unsigned i, double recall,
                  struct shard_recall *out);

#endif
