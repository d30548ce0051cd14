/* The private header of query: what its files share.
 *
 *   text -> parse -> analyze -> struct plan (immutable, counted)
 *   plan + parameters -> struct portal -> verb.start, then verb.step again and again
 *
 * A step makes a bounded batch of rows, or starts a write, or does both; it runs on the owner's
 * thread where it is cheap and on the work pool where it is not.  Rows of a batch are copies, so
 * no view of a shard stays open while a client reads. */
#ifndef VECTRON_QUERY_INT_H
#define VECTRON_QUERY_INT_H

#include <stdatomic.h>

#include "expr/expr.h"
#include "query/query.h"

enum {
    BATCH_ROWS_MAX = 1024,             /* Rows that a step makes before they are handed out. */
    BATCH_BYTES_MAX = 512 << 10,       /* The same, of texts and vectors. */
    INLINE_ROWS_MAX = 2000,            /* Rows that a step may look at on its owner's thread. */
    INLINE_TEXT_BYTES_MAX = 64 << 10,  /* Of an INSERT whose rows are built there. */
    INLINE_WORK_MAX = 1000000,         /* What portal_run may spend there before it moves. */
    INLINE_BIND_BYTES_MAX = 256 << 10, /* Of parameters that are looked at there. */
    CELL_WORK = 60,                    /* A row whose columns are in memory. */
    ROW_WORK = 300,                    /* The next row of a scan or of a list. */
    SET_ITEM_WORK = 20,                /* An item of a set that is built. */
    SEARCH_TRIES_MAX = 3,              /* Walks before vanished rows make a search scan instead. */
    PROGRESS_INTERVAL_US = 200000,
    PROGRESS_ROWS = 256, /* Between two looks at the clock. */
    STATEMENT_SHOWN_BYTES = 128,
};

/* ---- the database: database.c, catalog.c, pool.c, alarm.c ---- */

struct job {
    void (*run)(void *arg);
    void *arg;
    struct job *next;
};

struct pool *pool_new(unsigned n_threads, struct err *err);
void pool_submit(struct pool *pool, struct job *job);
unsigned pool_threads(const struct pool *pool);
void pool_free(struct pool *pool); /* After all jobs have run. */

/* One thread that calls back at a time, for statements that wait with a deadline. */
struct alarms;
struct alarm {
    uint64_t at_us;
    void (*fire)(void *arg); /* On the alarms' thread, under its lock: short, sets no alarm. */
    void *arg;
    struct alarm *prev, *next;
    bool is_set;
};
struct alarms *alarms_new(struct err *err);
void alarms_free(struct alarms *alarms);
void alarm_set(struct alarms *alarms, struct alarm *alarm, uint64_t at_us);
void alarm_clear(struct alarms *alarms, struct alarm *alarm); /* Afterwards fire does not run. */

/* opening -> serving -> going; opening -> broken -> opening, going */
enum collection_state {
    COLLECTION_OPENING,
    COLLECTION_SERVING,
    COLLECTION_BROKEN
};

/* A collection of the map on this node.  refs keep the struct (plans have one each); users keep
 * the shard open: one for being in the map, one for each running statement. */
struct collection {
    atomic_uint refs;
    atomic_uint users;
    atomic_int state;       /* enum collection_state; written by the catalog. */
    atomic_bool is_dropped; /* No longer in the map. */
    uint64_t group;
    struct shard *shard;   /* From COLLECTION_SERVING on. */
    struct err why;        /* Of COLLECTION_BROKEN; read under the catalog's lock. */
    unsigned n_failures;   /* Of openings. */
    uint64_t reopen_at_us; /* When it is tried again by itself; of the catalog's lock. */
    struct database *db;
    struct collection *next;     /* In the catalog's queue. */
    const struct schema *schema; /* Held. */
};

/* Keeps the shard open until collection_leave, or says why it cannot be used. */
enum errcode collection_enter(struct collection *c, struct err *err) WARN_UNUSED;
void collection_leave(struct collection *c);
void collection_release(struct collection *c); /* Of refs; NULL is allowed. */

struct catalog;
struct database {
    struct repl *repl;
    struct pd *pd;
    struct shard_host *host;
    struct pool *pool;
    struct alarms *alarms;
    struct catalog *catalog;
    char *directory;
    int64_t started_wall_us;
    struct mutex lock; /* What follows. */
    struct query_session *sessions;
    struct policy_file *policies; /* The newest; counted. */
    struct policy_set started;    /* The file's policies as of the start. */
    size_t n_abandoned;           /* What was freed and still has work under way. */
    struct condition changed;     /* One of them has ended. */
};

/* The file's policies, one version: immutable, counted, so that a statement in flight keeps its. */
struct policy_file {
    atomic_uint refs;
    struct policy_set set;     /* In force. */
    struct policy_set pending; /* What waits for the next start. */
};
struct policy_file *policy_file_acquire(struct database *db);
void policy_file_release(struct policy_file *file);

/* The catalog follows the map: it opens and destroys shards on a thread of its own. */
struct catalog *catalog_new(struct database *db, struct err *err);
/* After pd_open: sweeps up, starts the thread and waits until every shard is open or broken. */
enum errcode catalog_start(struct catalog *catalog, struct err *err) WARN_UNUSED;
void catalog_stop(struct catalog *catalog); /* Ends the thread after all drops are done. */
void catalog_free(struct catalog *catalog); /* Closes the shards. */
/* On the apply thread and within pd_open; a struct database *. */
void catalog_changed(void *arg, const struct map *map);
/* A new reference, or NULL. */
struct collection *catalog_find(struct catalog *catalog, uint64_t id);
/* All collections, referenced; in @arena. */
enum errcode catalog_list(struct catalog *catalog, struct arena *arena, struct collection ***out,
                          size_t *n, struct err *err) WARN_UNUSED;
/* Blocks until the collection of that name has been opened (or could not be). */
enum errcode catalog_wait(struct catalog *catalog, const char *name, bool (*is_canceled)(void *arg),
                          void *arg, struct err *err) WARN_UNUSED;
/* The last user of a dropped collection has gone. */
/* Takes what CREATE has just made and @why could not be opened out of the map again; @why then says
 * so.  Waits for the log. */
void catalog_withdraw(struct catalog *catalog, const char *name, struct err *why);
void catalog_retire(struct catalog *catalog, struct collection *c);

/* ---- sessions ---- */

struct query_session {
    atomic_uint refs; /* The owner's, and one for each portal. */
    struct database *db;
    uint64_t id;
    atomic_bool is_canceled;
    struct policy_set policies;        /* Owner's thread only. */
    struct portal *spare;              /* An ended portal, to be used again. */
    uint64_t chance;                   /* Of random_next; of whoever runs the step. */
    struct query_session *prev, *next; /* Of the database's list, under its lock. */
    int64_t since_wall_us;
    atomic_size_t prepared_bytes; /* Of its prepared statements. */
    struct mutex lock;            /* What follows. */
    struct portal *running;       /* Those that run, the last one first. */
    bool is_preparing;            /* On the pool. */
    uint64_t secret;
    uint64_t statements;
    uint64_t statement_us; /* When it began, by clock_micros. */
    size_t statement_bytes;
    char statement[STATEMENT_SHOWN_BYTES];
    struct session_facts facts;
};

void session_release(struct query_session *session);
/* As it is before there is a statement that could say otherwise. */
int64_t session_policy(struct query_session *session, enum policy_id id);
void session_begin(struct query_session *session, struct portal *portal); /* Also after its end. */
void session_end(struct query_session *session, struct portal *portal);
/* CANCELED or TIMEOUT where it is so; deadline 0: none. */
enum errcode session_poll(const struct query_session *session, uint64_t deadline_us,
                          uint64_t timeout_us, struct err *err) WARN_UNUSED;

/* ---- policies in force for one portal ---- */

struct force {
    double recall;
    int64_t ef, rerank_depth; /* 0: auto */
    bool is_exact;
    enum on_miss on_miss;
    enum on_lag on_lag;
    uint64_t index_lag;
    enum ack ack;
    uint64_t timeout_us;
    size_t statement_memory;
    uint64_t limit_max;
};

/* ---- plans ---- */

struct verb;
struct plan;
struct portal;
struct explain;

enum access_kind {
    ACCESS_SCAN,
    ACCESS_KEYS
};

/* Which rows a statement looks at, and which of them it takes. */
struct access {
    enum access_kind kind;
    uint32_t key_set;            /* ACCESS_KEYS: its number. */
    const struct program *where; /* NULL: all. */
    struct column_mask columns;  /* That where reads. */
    const struct expr *shown;    /* For EXPLAIN. */
};

struct output { /* The select list. */
    const struct program **programs;
    size_t n;
    struct column_mask columns;
};

struct sort_key {
    const struct program *program;
    bool is_descending, nulls_first;
};

struct select_plan {
    struct sort_key *keys;
    size_t n_keys;
    bool is_count;
};

struct search_query {
    const struct program *program;
    bool is_key;
    uint32_t position;
};

struct search_plan {
    uint32_t column;
    struct search_query *queries;
    size_t n_queries;
    uint32_t limit_position;
    _Atomic uint64_t cost_ns; /* As the last one was thought to take. */
};

struct insert_plan {
    uint32_t *columns; /* Schema's numbers, in the order of the row's members. */
    size_t n_columns;
    const struct program ***rows;
    size_t n_rows;
    enum shard_op op;
    struct column_mask mask;
};

struct modify_plan {
    uint32_t *columns;
    const struct program **values;
    size_t n_set;
    bool is_delete;
    struct column_mask reads; /* Columns to decode of a row that is taken. */
};

struct copy_plan {
    uint32_t *columns;
    size_t n_columns;
    uint8_t *types;
    enum copy_format format;
    enum shard_op op; /* FROM */
    bool has_header;  /* csv */
    char delimiter;
    const char *null_text;
    size_t key, vector;   /* fbin: their places in columns; key = SIZE_MAX: not there. */
    int64_t start;        /* fbin: id of the first row. */
    const char *ids_file; /* fbin: where the ids are, or NULL. */
};

struct view;
struct policy_plan {
    enum policy_id id;           /* POLICY_COUNT: all. */
    const struct program *value; /* SET */
    const struct view *view;     /* SHOW of a view */
};

struct reindex_plan {
    uint32_t column; /* Where it is one; else each VECTOR. */
    uint32_t n_vectors;
    bool is_one;
    struct policy_set with;
};

struct plan {
    atomic_uint refs;
    struct arena *arena;
    const struct verb *verb;
    const char *text; /* Of the statement. */
    size_t text_bytes;
    const struct stmt *stmt; /* Of EXPLAIN: the statement explained. */
    bool is_explain, is_analyze, is_json;
    struct collection *collection; /* Or NULL. */
    const struct schema *schema;
    uint8_t *types;
    size_t n_types;
    struct result_column *columns;
    size_t n_columns;
    size_t n_output_columns; /* EXPLAIN: of the statement explained. */
    struct policy_set with;  /* LEVEL_STATEMENT */
    struct with_parameter *with_parameters;
    uint32_t stack_max;
    struct set_plan *sets;
    uint32_t n_sets;
    struct access access;
    struct column_mask order_columns; /* That ORDER BY reads. */
    struct output output;
    const struct program *limit, *offset; /* INT; NULL where not given. */
    const char *tag;
    union { /* By the verb. */
        struct select_plan select;
        struct search_plan search;
        struct insert_plan insert;
        struct modify_plan modify;
        struct copy_plan copy;
        struct policy_plan set;
        const struct schema *created; /* CREATE COLLECTION */
        struct reindex_plan reindex;
    };
};

struct with_parameter { /* name = $n in WITH */
    enum policy_id policy;
    const struct program *program;
    uint32_t position;
    struct with_parameter *next;
};

void plan_acquire(struct plan *plan);
void plan_release(struct plan *plan);

/* ---- prepared statements: prepared.c ---- */

/* The plan of @prepared, made anew where its collection has changed; borrowed. */
enum errcode prepared_plan(struct query_session *session, struct prepared *prepared,
                           struct plan **out, struct err *err) WARN_UNUSED;

/* ---- analysis ---- */

struct analysis {
    struct query_session *session;
    struct plan *plan;
    struct expr_scope scope;
    struct work work; /* Of parsing too. */
    uint64_t deadline_us, timeout_us;
};

enum errcode analyze(struct query_session *session, const struct statement_text *text,
                     struct plan **out, size_t *rest, struct err *err) WARN_UNUSED;

/* Helpers of the verbs' analyses; each error has its position. */
enum errcode analyze_collection(struct analysis *a, const struct name *name,
                                struct err *err) WARN_UNUSED;
/* Whether a graph is built with it. */
bool builds_graph(enum policy_id id);
/* Refuses what a graph is built with where @schema has none. */
enum errcode analyze_building(const struct schema *schema, const struct option *option,
                              struct err *err);
enum errcode analyze_column(struct analysis *a, const struct name *name, uint32_t *column,
                            struct err *err) WARN_UNUSED;
/* A list of columns without doubles; n = 0: all. */
enum errcode analyze_columns(struct analysis *a, const struct name *names, size_t n,
                             uint32_t **columns, size_t *n_columns, struct err *err) WARN_UNUSED;
enum errcode analyze_where(struct analysis *a, const struct expr *where,
                           struct err *err) WARN_UNUSED;
/* The select list; "*" depends on how many query vectors a SEARCH has. */
enum errcode analyze_targets(struct analysis *a, const struct target *targets, size_t n,
                             size_t n_queries, struct err *err) WARN_UNUSED;
/* An expression that may name no column. */
enum errcode analyze_constant(struct analysis *a, const struct expr *e, enum value_type want,
                              const struct program **out, struct err *err) WARN_UNUSED;
enum errcode analyze_limit(struct analysis *a, const struct expr *limit, const struct expr *offset,
                           struct err *err) WARN_UNUSED;
/* Policies of WITH (...); @skip says which options are not policies (may be NULL). */
enum errcode analyze_with(struct analysis *a, const struct options *options,
                          bool (*skip)(const char *name), struct err *err) WARN_UNUSED;
/* Columns of a result that is no select list. */
enum errcode analyze_result(struct analysis *a, const struct result_column *columns, size_t n,
                            struct err *err) WARN_UNUSED;

/* What becomes of a new row whose key is taken. */
enum shard_op insert_op(enum on_conflict on_conflict);

/* ---- views: views.c, declared in views.def ---- */

struct view {
    const char *name, *text;
    const struct result_column *columns;
    size_t n_columns;
    enum errcode (*fill)(struct portal *portal, struct err *err); /* Emits the rows. */
};
size_t view_count(void);
const struct view *view_at(size_t i);
const struct view *view_find(const char *name); /* NULL where there is none. */

/* ---- EXPLAIN: explain.c ---- */

/* Lines of a plan: appended by a verb's explain, then shown as text or as JSON. */
void explain_text(struct explain *out, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);
void explain_number(struct explain *out, const char *key, double value);
void explain_access(struct explain *out); /* How rows are found, and the filter. */

/* ---- portals ---- */

enum step {
    STEP_MORE,    /* Rows may have been made; call again when they are out. */
    STEP_DONE,    /* As MORE, and there are no more. */
    STEP_WAIT,    /* For a write, or a pause: call again when portal_event was called. */
    STEP_COPY_IN, /* Wants COPY data. */
    STEP_POOL,    /* The next step belongs on the pool. */
    STEP_FAILED,  /* An inline step that ran out of work is begun again on the pool. */
};

struct verb {
    bool needs_shard;  /* Enters the plan's collection before start. */
    bool is_untimed;   /* Short, and may be what mends a timeout that is too small. */
    bool keeps_steps;  /* A step is never given up for the pool: what it has done stays done. */
    bool polls_itself; /* Its step says what was done when it is canceled. */
    enum shard_op (*op)(const struct plan *plan); /* What it does to rows; NULL: it writes none. */
    uint64_t policies; /* Bit per policy that WITH may set: those that change what it does. */
    enum errcode (*analyze)(struct analysis *a, const struct stmt *stmt, struct err *err);
    /* Resolves parameters, sets portal->state and portal->is_heavy.  It and each step may be given
     * up where they pay for work and be called again: they hold nothing then, and begin anew. */
    enum errcode (*start)(struct portal *portal, struct err *err);
    enum step (*step)(struct portal *portal, struct err *err);
    /* Frees what is not in the arenas; any thread; may be NULL. */
    void (*end)(struct portal *portal);
    void (*explain)(struct portal *portal, struct explain *out); /* Its lines. */
};

extern const struct verb verb_select, verb_search, verb_insert, verb_modify, verb_explain,
    verb_copy_in, verb_copy_out, verb_create, verb_drop, verb_checkpoint, verb_set, verb_reset,
    verb_show, verb_describe, verb_reindex;

struct batch {
    struct value *values; /* n_rows * n_columns */
    size_t n_rows, next_row, capacity_rows, n_columns;
    size_t bytes; /* Of texts and vectors. */
};

/* What a portal is about.  Drawn in portal.c, which alone moves it. */
enum portal_state {
    PORTAL_IS_NEW,
    PORTAL_IS_READY,
    PORTAL_IS_WORKING,
    PORTAL_IS_BLOCKED,
    PORTAL_IS_COPYING,
    PORTAL_IS_LAST,
    PORTAL_IS_ENDED,
    PORTAL_STATES
};

struct portal {
    struct query_session *session;
    struct database *db;
    struct plan *plan;
    const struct verb *verb;
    struct portal_sink sink;
    struct arena *arena;       /* Until the portal ends. */
    struct arena *batch_arena; /* Until the next step. */
    struct arena *row_arena;   /* Until the next row. */
    size_t budget_bytes;       /* Of each arena. */
    struct batch batch;
    struct value *parameters;
    bool is_unchecked; /* They are as they came, and the first step looks at them. */
    struct evaluator evaluator;
    struct value *output; /* One row of the select list. */
    struct force force;
    struct portal *next_running; /* Of the session, under its lock. */
    struct policy_file *file;
    const struct policy_set *set;  /* The session's, or EXPLAIN's copy of it. */
    const struct policy_set *with; /* The plan's, or a copy with the parameters filled in. */
    struct collection *entered;    /* NULL where there is no collection. */
    struct shard *shard;           /* Of it. */
    void *verb_state;
    uint64_t limit, offset; /* limit: UINT64_MAX where there is none. */
    bool is_heavy;          /* The next step belongs on the pool. */
    bool is_started;        /* The verb's end is called. */
    bool is_open;           /* The start is done: steps follow. */
    struct work work;       /* Of start and steps. */
    int64_t inline_left;    /* Of portal_run's work on the owner's thread. */
    bool is_inline;         /* A step runs there... */
    bool is_moving;         /* ...and has used it up. */
    bool is_suspended;      /* By its owner, until portal_run. */
    uint8_t state;          /* enum portal_state */
    uint64_t rows;          /* Given or changed. */
    uint64_t analyzed_rows; /* EXPLAIN ANALYZE: of the statement explained. */
    uint64_t started_us, deadline_us;
    uint64_t pause_until_us;  /* What a step that waits for time waits for; 0: for nothing. */
    uint64_t settle_until_us; /* It ends early, and waits so long for pendings; 0: it does not. */
    struct pending *pending;  /* Those that are busy. */
    size_t write_bytes;       /* Of the one that was submitted last. */
    bool has_alarm;           /* It was set; owner's thread. */
    bool told_copy_out;
    struct buf *copy_out; /* COPY TO STDOUT: what the last step made. */
    bool has_notice;
    struct err notice;
    struct alarm alarm;
    struct job job;
    enum step job_step; /* Written by the job, read after its event. */
    struct err job_err;
    atomic_bool is_abandoned;
    atomic_uint refs;  /* The owner's, the job's, and one for each write under way. */
    struct mutex lock; /* What follows. */
    bool is_parked;    /* The owner waits for wake. */
    bool job_ended;
    uint64_t events;
    uint64_t events_seen; /* Owner's thread. */
    uint64_t job_events;  /* What events was when the job began; owner's thread. */
    const char *phase;    /* Progress; NULL: none that is new. */
    uint64_t phase_done, phase_total;
    uint64_t phase_at_us; /* When it was last told; the step's thread. */
};

/* The first step: policies, parameters of WITH, LIMIT, sets, the shard, the verb. */
enum errcode portal_start(struct portal *portal, struct err *err) WARN_UNUSED;
/* Makes the parameters what the plan wants; they are in the portal's arena. */
enum errcode portal_check_parameters(struct portal *portal, struct err *err) WARN_UNUSED;
/* Appends a row (deep copies) to the batch; OUT_OF_MEMORY over the budget. */
enum errcode portal_emit(struct portal *portal, const struct value *values,
                         struct err *err) WARN_UNUSED;
bool portal_batch_is_full(const struct portal *portal);
/* Runs the select list over the row at hand into portal->output; emit_output appends it too. */
enum errcode portal_make_output(struct portal *portal, struct err *err) WARN_UNUSED;
enum errcode portal_emit_output(struct portal *portal, struct err *err) WARN_UNUSED;
/* CANCELED or TIMEOUT where it is so.  Loops pay portal->work, which asks. */
enum errcode portal_poll(struct portal *portal, struct err *err) WARN_UNUSED;
bool portal_is_canceled(void *portal); /* The same as a callback. */
/* The owner will wait for wake; false where an event came since the last call: go on at once. */
bool portal_park(struct portal *portal) WARN_UNUSED;
void portal_event(struct portal *portal); /* Any thread: something that was waited for happened. */
/* For a step that is about to return STEP_WAIT: an event comes after a time chance chooses, of at
 * most @us_max.  portal_is_pausing tells whether it is still to come. */
void portal_pause(struct portal *portal, uint64_t us_max);
bool portal_is_pausing(struct portal *portal);
/* The step's thread: how far it is.  The owner tells the client now and then. */
void portal_progress(struct portal *portal, const char *phase, uint64_t done, uint64_t total);
void portal_tell_progress(struct portal *portal);
void portal_ref(struct portal *portal);
void portal_unref(struct portal *portal);
void portal_dispose(struct portal *portal); /* An ended one that nobody else refers to. */
/* OUT_OF_MEMORY that names statement_memory. */
enum errcode portal_no_memory(const struct portal *portal, struct err *err);
void portal_policy_view(const struct portal *portal, struct policy_view *out);

/* Evaluates a program that is not per row. */
enum errcode portal_eval(struct portal *portal, const struct program *program, struct value *out,
                         struct err *err) WARN_UNUSED;

/* What was submitted and may still happen: a write, or a change of the map.  Embedded, in the
 * portal's arena. */
struct pending {
    struct portal *portal;
    struct pending *next; /* Of the portal's that are busy. */
    /* Takes it back where it has not reached the log. */
    bool (*withdraw)(struct pending *pending);
    /* It has happened, though the acknowledgement waits for more; NULL: that cannot be told. */
    bool (*has_happened)(struct pending *pending);
    bool is_busy;   /* Submitted and not yet collected. */
    bool is_done;   /* Under the portal's lock. */
    struct err err; /* Valid once it is done; code 0 = well. */
};
/* The step's thread: just before it is submitted; where that failed. */
void pending_begin(struct portal *portal, struct pending *pending);
void pending_forget(struct pending *pending);
/* Any thread, once: what has come of it.  May free @pending. */
void pending_end(struct pending *pending, const struct err *err);
/* True once it has ended; it is no longer busy then. */
bool pending_collect(struct pending *pending);
/* The statement ends early, for the reason @why.  True once each of the portal's pendings has
 * ended: withdrawn with @why, waited for, or after SETTLE_US given up on as OUTCOME_UNKNOWN. */
bool pendings_settle(struct portal *portal, const struct err *why);

/* A write of rows that a portal waits for. */
struct portal_write {
    struct pending pending;
    struct shard_write write;
    struct shard_room *room;    /* COPY: see shard_submit. */
    uint64_t first_row, n_rows; /* COPY: of the input; from 1. */
};
/* Takes @command, as shard_submit does. */
enum errcode portal_write_submit(struct portal *portal, struct portal_write *w,
                                 struct shard_command *command, struct err *err) WARN_UNUSED;

/* ---- rows of a collection: cursor.c ---- */

/* Walks the rows that an access path takes, within one view. */
struct cursor {
    struct portal *portal;
    const struct access *access;
    struct shard_view *view;
    struct shard_row row;
    uint64_t next_number;
    size_t next_key;
    size_t row_key; /* ACCESS_KEYS: of the row at hand. */
    uint64_t looked_at;
    uint64_t n_expected; /* That it will look at, about; 0: not asked yet. */
};
enum errcode cursor_open(struct cursor *cursor, struct portal *portal, struct err *err) WARN_UNUSED;
void cursor_close(struct cursor *cursor); /* Keeps where it was; cursor_open goes on from there. */
/* The next row that is taken; its where columns are decoded. */
enum errcode cursor_next(struct cursor *cursor, bool *found, struct err *err) WARN_UNUSED;
/* The row at hand comes again. */
void cursor_back(struct cursor *cursor);
/* Decodes further columns of the row at hand. */
enum errcode cursor_decode(struct cursor *cursor, const struct column_mask *columns,
                           struct err *err) WARN_UNUSED;
/* Rows that the path will look at. */
enum errcode access_estimate(struct portal *portal, uint64_t *rows, struct err *err) WARN_UNUSED;

/* ---- sorting: sort.c ---- */

/* Keeps the first @rows_max rows by the keys, within the portal's budget, at the cost of its work.
 */
struct sorter *sorter_new(const struct sort_key *keys, size_t n_keys, size_t n_values,
                          uint64_t rows_max, struct portal *portal);
void sorter_reset(struct sorter *sorter); /* Forgets all rows. */
void sorter_free(struct sorter *sorter);
/* Whether a row with these keys would be kept; asked before its values are made. */
bool sorter_wants(const struct sorter *sorter, const struct value *keys);
enum errcode sorter_add(struct sorter *sorter, const struct value *keys, const struct value *values,
                        struct err *err) WARN_UNUSED;
enum errcode sorter_finish(struct sorter *sorter, struct err *err) WARN_UNUSED;
size_t sorter_rows(const struct sorter *sorter);
const struct value *sorter_row(const struct sorter *sorter, size_t i);

#endif
