/* The database, which all sessions of one process share: the node, and the registry of sessions. */
#ifndef VECTRON_QUERY_DATABASE_INT_H
#define VECTRON_QUERY_DATABASE_INT_H

#include "node/node.h"

struct query_session;

struct database {
    struct node *node;
    struct mutex lock; /* What follows. */
    struct query_session *sessions;
    size_t n_abandoned;       /* What was freed and still has work under way. */
    struct condition changed; /* One of them has ended. */
};

/* What goes on though its owner has left it: the database stays until it has ended. */
void database_hold(struct database *db);
void database_let_go(struct database *db);

#endif
