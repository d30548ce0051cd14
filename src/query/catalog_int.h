/* Collections of the map on this node, and the catalog, which opens and destroys their shards. */
#ifndef VECTRON_QUERY_CATALOG_INT_H
#define VECTRON_QUERY_CATALOG_INT_H

#include <stdatomic.h>

#include "base/base.h"
#include "pd/pd.h"
#include "shard/shard.h"

struct database;

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

/* The catalog follows the map: it opens and destroys shards on a thread of its own. */
struct catalog;
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
/* Takes what CREATE has just made and @why could not be opened out of the map again; @why then says
 * so.  Waits for the log. */
void catalog_withdraw(struct catalog *catalog, const char *name, struct err *why);
/* The last user of a dropped collection has gone. */
void catalog_retire(struct catalog *catalog, struct collection *c);

#endif
