/* A verb: what one kind of statement does, from its start to the end of its last step.
 *
 *   plan + parameters -> struct portal -> verb.start, then verb.step again and again
 *
 * A step makes a bounded batch of rows, or starts a write, or does both; it runs on the owner's
 * thread where it is cheap and on the work pool where it is not. */
#ifndef VECTRON_QUERY_VERB_INT_H
#define VECTRON_QUERY_VERB_INT_H

#include "query/query.h"
#include "shard/shard.h"

struct explain;
struct plan;

enum {
    ROW_WORK = 300,           /* The next row of a scan or of a list. */
    INLINE_WORK_MAX = 1000000 /* What portal_run may spend on its thread before it moves. */
};

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
    /* Resolves parameters, sets portal->state and portal->is_heavy.  It and each step may be given
     * up where they pay for work and be called again: they hold nothing then, and begin anew. */
    enum errcode (*start)(struct portal *portal, struct err *err);
    enum step (*step)(struct portal *portal, struct err *err);
    /* Frees what is not in the arenas; any thread; may be NULL. */
    void (*end)(struct portal *portal);
    void (*explain)(struct portal *portal, struct explain *out); /* Its lines. */
};

extern const struct verb verb_search, verb_insert, verb_explain, verb_create, verb_drop,
    verb_checkpoint, verb_set, verb_reset, verb_show, verb_describe, verb_reindex;

/* Of the statement explained where it is EXPLAIN. */
const struct verb *verb_of(const struct plan *plan);

#endif
