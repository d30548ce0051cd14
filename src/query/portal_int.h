/* A portal: a statement while it runs.
 *
 * Rows of a batch are copies, so no view of a shard stays open while a client reads. */
#ifndef VECTRON_QUERY_PORTAL_INT_H
#define VECTRON_QUERY_PORTAL_INT_H

#include <stdatomic.h>

#include "expr/expr.h"
#include "node/node.h"
#include "query/query.h"
#include "query/verb_int.h"

struct binding;
struct collection;
struct database;
struct leaves;
struct operator_run;
struct output;
struct pending;
struct plan;
struct policy_file;

/* Policies in force for one portal. */
struct force {
    enum ack ack;
    uint64_t timeout_us;
    double recall;            /* This and what follows: of a SEARCH only. */
    int64_t ef, rerank_depth; /* 0: auto */
    bool is_exact;
    enum on_miss on_miss;
    enum on_lag on_lag;
    uint64_t index_lag;
    uint64_t limit_max;
};

/* Rows that a step has made and the owner hands out. */
struct batch {
    struct value *values; /* n_rows * n_columns */
    size_t n_rows, next_row, capacity_rows, n_columns;
    size_t bytes; /* Of texts and vectors. */
};

/* How a fragment is run, as whoever gets it runs it: leaf.c. */
struct fragment_runner {
    enum errcode (*prepare)(struct query_session *session, const struct statement_text *text,
                            struct prepared **out, struct err *err);
    enum errcode (*open)(struct query_session *session, struct prepared *prepared,
                         const struct parameters *parameters, const struct portal_sink *sink,
                         struct portal **out, struct err *err);
    enum portal_status (*run)(struct portal *portal, uint64_t row_limit, struct err *err);
    void (*close)(struct portal *portal);
    void (*forget)(struct prepared *prepared);
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
    struct binding *bound; /* NULL: it has ended; what follows is the binding's. */
    const struct plan *plan;
    const struct verb *verb;      /* Whose steps are run: the plan's, or EXPLAIN. */
    const struct verb *plan_verb; /* Of EXPLAIN: of the statement explained. */
    struct portal_sink sink;
    struct arena *arena;       /* Until the portal ends. */
    struct arena *batch_arena; /* Until the next step. */
    struct arena *row_arena;   /* Until the next row. */
    size_t budget_bytes;       /* Of each arena. */
    struct batch batch;
    struct value *parameters;
    bool is_unchecked; /* They are as they came, and the first step looks at them. */
    struct evaluator evaluator;
    struct value *columns; /* Of a row of the collection; those that are wanted are filled in. */
    struct value *output;  /* One row of the select list. */
    struct force force;
    struct portal *next_running;   /* Of the session, under its lock. */
    struct policy_file *file;      /* As it was when the portal was made; until it ends. */
    const struct policy_set *set;  /* The session's, or EXPLAIN's copy of it. */
    const struct policy_set *with; /* The plan's, or a copy with the parameters filled in. */
    struct collection *collection; /* The plan's, on this node.  NULL: it has none. */
    struct shard *shard;           /* Of it, once it was entered; until then NULL. */
    void *verb_state;
    size_t operator_bytes;                /* Of a plan of operators; */
    struct operator_run *root, *leaf;     /* from start to end. */
    struct leaves *leaves;                /* That are elsewhere, from start to end; or NULL. */
    const struct fragment_runner *runner; /* Of theirs. */
    bool is_leaf;                         /* It runs a fragment of another one of the session's. */
    uint64_t limit, offset;               /* limit: UINT64_MAX where there is none. */
    bool is_heavy;                        /* The next step belongs on the pool. */
    bool is_started;                      /* The verb's end is called. */
    bool is_open;                         /* The start is done: steps follow. */
    struct work work;                     /* Of start and steps. */
    int64_t slice_left;                   /* What work.left was when it was asked last, */
    uint64_t work_spent;                  /* and what was spent until then. */
    int64_t inline_left;                  /* Of portal_run's work on the owner's thread. */
    bool is_inline;                       /* A step runs there... */
    bool is_moving;                       /* ...and has used it up. */
    bool is_suspended;                    /* By its owner, until portal_run. */
    uint8_t state;                        /* enum portal_state */
    uint64_t rows;                        /* Given or changed. */
    uint64_t analyzed_rows;               /* EXPLAIN ANALYZE: of the statement explained. */
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

/* ---- portal_wait.c ---- */

enum {
    PROGRESS_ROWS = 256 /* Between two looks at the clock. */
};
void portal_event(struct portal *portal); /* Any thread: something that was waited for happened. */
void portal_wake(struct portal *portal);  /* Its owner waits no longer; under the lock. */
/* The owner will wait for wake; false where an event came since the last call: go on at once. */
bool portal_park(struct portal *portal) WARN_UNUSED;
/* For a step that is about to return STEP_WAIT: an event comes after a time chance chooses, of at
 * most @us_max.  portal_is_pausing tells whether it is still to come. */
void portal_pause(struct portal *portal, uint64_t us_max);
bool portal_is_pausing(struct portal *portal);
/* CANCELED or TIMEOUT where it is so.  Loops pay portal->work, which asks. */
enum errcode portal_poll(struct portal *portal, struct err *err) WARN_UNUSED;
bool portal_is_canceled(void *portal); /* The same as a callback. */
/* The step's thread: how far it is.  The owner tells the client now and then. */
void portal_progress(struct portal *portal, const char *phase, uint64_t done, uint64_t total);
void portal_tell_progress(struct portal *portal);

/* ---- portal_life.c ---- */

/* A new one, or the session's spare; NULL: no memory. */
struct portal *portal_alloc(struct query_session *session, size_t budget_bytes);
void portal_dispose(struct portal *portal); /* An ended one that nobody else refers to. */
void portal_ref(struct portal *portal);
void portal_unref(struct portal *portal);
/* What a run holds and the next one does not need. */
void portal_release_run(struct portal *portal);
void portal_forget_plan(struct portal *portal); /* And all that it is bound to. */

/* ---- portal_step.c ---- */

uint64_t portal_work(const struct portal *portal); /* Spent so far. */
/* LIMIT plus OFFSET; UINT64_MAX: all. */
uint64_t portal_rows_wanted(const struct portal *portal);

/* Evaluates a program that is not per row. */
enum errcode portal_eval(struct portal *portal, const struct program *program, struct value *out,
                         struct err *err) WARN_UNUSED;
/* Appends a row (deep copies, in @arena); false where memory ran out. */
bool batch_add(struct batch *batch, struct arena *arena, const struct value *values);
/* The same to the portal's batch; OUT_OF_MEMORY over the budget. */
enum errcode portal_emit(struct portal *portal, const struct value *values,
                         struct err *err) WARN_UNUSED;
/* The values of a select list over the row at hand. */
enum errcode output_run(const struct output *output, struct evaluator *evaluator,
                        struct value *values, struct err *err) WARN_UNUSED;
bool portal_batch_is_full(const struct portal *portal);
/* How large a piece of what streams may be: @bytes_max, or less where statement_memory is little.
 */
size_t portal_part(const struct portal *portal, size_t bytes_max);
/* Appends the select list over the row at hand. */
enum errcode portal_emit_output(struct portal *portal, struct err *err) WARN_UNUSED;
void portal_policy_view(const struct portal *portal, struct policy_view *out);
/* OUT_OF_MEMORY that names statement_memory. */
enum errcode portal_no_memory(const struct portal *portal, struct err *err);

/* ---- portal_start.c ---- */

/* The first step: policies, parameters of WITH, LIMIT, sets, the shard, the verb. */
enum errcode portal_start(struct portal *portal, struct err *err) WARN_UNUSED;
/* Makes the parameters what the plan wants; they are in the portal's arena. */
enum errcode portal_check_parameters(struct portal *portal, struct err *err) WARN_UNUSED;

#endif
