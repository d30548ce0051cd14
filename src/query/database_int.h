/* The database, which all sessions of one process share, and the policies of its file. */
#ifndef VECTRON_QUERY_DATABASE_INT_H
#define VECTRON_QUERY_DATABASE_INT_H

#include <stdatomic.h>

#include "base/base.h"

struct alarms;
struct catalog;
struct pd;
struct pool;
struct query_session;
struct repl;
struct shard_host;

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

#endif
