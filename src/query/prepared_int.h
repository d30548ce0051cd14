/* Prepared statements: a text, the plan that was made of it, and what it meets on this node. */
#ifndef VECTRON_QUERY_PREPARED_INT_H
#define VECTRON_QUERY_PREPARED_INT_H

#include "node/node.h"
#include "query/query.h"

struct plan;

struct prepared {
    struct query_session *session; /* Borrowed: it is there until the last of them is freed. */
    struct plan *plan;
    struct collection *collection; /* The plan's, on this node; NULL where it has none. */
    size_t bytes;                  /* As counted in session->prepared_bytes. */
    uint8_t *types;                /* As the client gave them. */
    size_t n_types;
    struct job job; /* Its end. */
};

#endif
