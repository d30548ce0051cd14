/* Leaves of a plan: here, or elsewhere and asked by a fragment. */
#ifndef VECTRON_QUERY_LEAF_INT_H
#define VECTRON_QUERY_LEAF_INT_H

#include "query/portal_int.h"
#include "query/verb_int.h"

struct fragment;

/* One that is elsewhere.  Between two steps it is the owner's, and the step's while one runs. */
struct leaf {
    struct leaves *leaves;
    struct portal *portal;    /* Its run; NULL before and behind it. */
    struct value *parameters; /* Of the plan's fragment. */
    struct arena *arena;      /* Of its rows. */
    struct batch rows;        /* That have come and were not taken. */
    uint64_t n_rows;          /* Given so far, or changed by a write that has ended. */
    bool has_ended;
    bool is_out_of_memory;
};

/* Those of one statement. */
struct leaves {
    struct portal *portal;           /* Of the statement. */
    const struct fragment *fragment; /* That is asked now: the plan's, or what comes before it. */
    struct prepared *prepared;       /* Of the fragment's text. */
    struct value *keys;              /* Of NEAR KEY, and room for a leaf's number. */
    bool is_short;                   /* Rows are missing: the step is to end. */
    struct leaf leaf[];              /* fragment->n_leaves */
};

/* How many are elsewhere; 0: the one is here, and the plan is run as it is. */
unsigned leaves_elsewhere(const struct query_session *session);

/* Makes portal->leaves.  Any thread, as leaves_close. */
enum errcode leaves_open(struct portal *portal, struct err *err) WARN_UNUSED;
void leaves_close(struct portal *portal);
/* Owner's thread, before a step: WAIT where rows are wanted that have not come, else MORE. */
enum step leaves_gather(struct portal *portal, struct err *err) WARN_UNUSED;
void leaves_end(struct portal *portal); /* Owner's thread: the runs that are left end. */
/* They write: how they end is to be told, whatever ends the statement. */
static inline bool leaves_are_writing(const struct portal *portal)
{
    return portal->leaves != NULL && portal->plan_verb->op != NULL;
}

static inline struct value *leaf_row(const struct leaf *leaf) /* NULL: there is none now. */
{
    const struct batch *rows = &leaf->rows;
    return rows->next_row < rows->n_rows ? rows->values + rows->next_row * rows->n_columns : NULL;
}

#endif
