/* Prepared statements: a text, the plan that was made of it, and what it meets in this process. */
#ifndef VECTRON_QUERY_PREPARED_INT_H
#define VECTRON_QUERY_PREPARED_INT_H

#include <stdatomic.h>

#include "node/node.h"
#include "query/query.h"

struct plan;
struct verb;

/* A plan, and what it is carried out with here.  Counted: a portal keeps its own while it runs. */
struct binding {
    atomic_uint refs;
    struct plan *plan;
    struct collection *collection; /* NULL where it has none. */
    const struct verb *verb;
    size_t operator_bytes;           /* Of a run. */
    unsigned n_leaves;               /* It was made for so many elsewhere. */
    _Atomic uint64_t search_cost_ns; /* As the last SEARCH was thought to take. */
};
/* Takes @plan, whatever happens; NULL: no memory. */
struct binding *binding_new(struct plan *plan);
void binding_hold(struct binding *bound);
void binding_release(struct binding *bound); /* NULL is allowed. */

struct prepared {
    struct query_session *session; /* Borrowed: it is there until the last of them is freed. */
    struct binding *bound;
    size_t bytes;   /* As counted in session->prepared_bytes. */
    uint8_t *types; /* As the client gave them. */
    size_t n_types;
    bool is_whole;  /* A fragment: whatever it needs is here. */
    struct job job; /* Its end. */
};

/* A fragment's text: its plan is not cut again, and a cancel that came is not forgotten. */
enum errcode prepared_new_whole(struct query_session *session, const struct statement_text *text,
                                struct prepared **out, struct err *err) WARN_UNUSED;

#endif
