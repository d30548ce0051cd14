/* A node, and its parts. */
#ifndef VECTRON_NODE_INT_H
#define VECTRON_NODE_INT_H

#include "node/node.h"

struct alarms;
struct catalog;
struct pool;

struct node {
    struct repl *repl;
    struct pd *pd;
    struct shard_host *host;
    struct pool *pool;
    struct alarms *alarms;
    struct catalog *catalog;
    char *directory;
    struct policy_set started;    /* The file's policies as of the start. */
    struct mutex lock;            /* What follows. */
    struct policy_file *policies; /* The newest; counted. */
};

/* ---- alarm.c ---- */

struct alarms *alarms_new(struct err *err);
void alarms_free(struct alarms *alarms); /* None is set.  NULL is allowed. */

/* ---- pool.c ---- */

struct pool *pool_new(unsigned n_threads, struct err *err);
void pool_free(struct pool *pool); /* After all jobs have run.  NULL is allowed. */

/* ---- catalog.c: follows the map; opens and destroys shards on a thread of its own ---- */

struct catalog *catalog_new(struct node *node, struct err *err);
/* After pd_open: sweeps up, starts the thread and waits until every shard is open or broken. */
enum errcode catalog_start(struct catalog *catalog, struct err *err) WARN_UNUSED;
void catalog_stop(struct catalog *catalog); /* Ends the thread after all drops are done. */
void catalog_free(struct catalog *catalog); /* Closes the shards. */
/* On the apply thread and within pd_open; a struct node *. */
void catalog_changed(void *arg, const struct map *map);

#endif
