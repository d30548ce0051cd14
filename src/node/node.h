/* The door of node: what this process holds of the cluster.
 *
 *   node        one for the process: the map, the shards that it gives to this process, the work
 *               pool, alarms, and the policies of the file
 *   collection  one of the map's, with its shard, which is opening, serves, or is broken
 *
 * A node follows the map by itself: shards are opened and destroyed on a thread of its own. */
#ifndef VECTRON_NODE_H
#define VECTRON_NODE_H

#include <stdatomic.h>

#include "base/base.h"
#include "pd/pd.h"
#include "shard/shard.h"

struct node;

struct node_config {
    const char *directory; /* shards/ and map/ are below it. */
    struct repl *repl;
    const struct policy_set *file_policies; /* Borrowed; replaced with node_reload. */
    unsigned work_threads;
};
/* Opens the map and every shard. */
enum errcode node_open(const struct node_config *config, struct node **out,
                       struct err *err) WARN_UNUSED;
void node_reload(struct node *node, const struct policy_set *file_policies);
/* After all jobs have run: flushes, writes checkpoints, closes everything.  NULL is allowed. */
void node_close(struct node *node);

struct pd *node_pd(const struct node *node);
const char *node_directory(const struct node *node);

/* ---- the file's policies ---- */

/* One version: immutable, counted, so that a statement in flight keeps its. */
struct policy_file {
    atomic_uint refs;
    struct policy_set set;     /* In force. */
    struct policy_set pending; /* What waits for the next start. */
};
struct policy_file *policy_file_acquire(struct node *node);
void policy_file_release(struct policy_file *file); /* NULL is allowed. */

/* ---- the work pool: threads that run jobs, one after the other, as they come ---- */

struct job {
    void (*run)(void *arg); /* May free the job. */
    void *arg;
    struct job *next;
};
extern const struct role work_thread; /* Of the threads that run jobs: they may wait. */
void node_submit(struct node *node, struct job *job);
unsigned node_threads(const struct node *node);

/* ---- alarms: one thread that calls back at a time ---- */

struct alarm {
    uint64_t at_us;
    void (*fire)(void *arg); /* On the alarms' thread, under its lock: short, sets no alarm. */
    void *arg;
    struct alarm *prev, *next;
    bool is_set;
};
void alarm_set(struct node *node, struct alarm *alarm, uint64_t at_us);
void alarm_clear(struct node *node, struct alarm *alarm); /* Afterwards fire does not run. */

/* ---- collections ---- */

/* Counted, apart from the users that keep its shard open. */
struct collection;
/* A new reference; NULL where this node has none of that schema's id. */
struct collection *collection_acquire(struct node *node, uint64_t id);
void collection_release(struct collection *c); /* NULL is allowed. */
/* All of them, referenced; in @arena. */
enum errcode collection_list(struct node *node, struct arena *arena, struct collection ***out,
                             size_t *n, struct err *err) WARN_UNUSED;
const struct schema *collection_schema(const struct collection *c);
uint64_t collection_group(const struct collection *c);  /* Of its shard's log. */
bool collection_is_dropped(const struct collection *c); /* No longer in the map. */
enum errcode collection_was_dropped(const struct collection *c, struct err *err); /* Says so. */

/* Its shard, which stays open until collection_leave; or why it cannot be used. */
enum errcode collection_enter(struct collection *c, struct shard **out,
                              struct err *err) WARN_UNUSED;
void collection_leave(struct collection *c);

/* Blocks until the collection of that name has been opened (or could not be). */
enum errcode collection_wait(struct node *node, const char *name, bool (*is_canceled)(void *arg),
                             void *arg, struct err *err) WARN_UNUSED;
/* Takes what CREATE has just made and @why could not be opened out of the map again; @why then says
 * so.  Waits for the log. */
void collection_withdraw(struct node *node, const char *name, struct err *why);

#endif
