/* The door of pd: who holds what.
 *
 * The map lists the collections and their shards.  It is changed by commands through a replicated
 * log of its own (group PD_GROUP) and is kept whole in memory; each change makes a new version
 * (epoch).  Readers take a reference to a version, which never changes under them.
 *
 *   ddl -> pd_submit -> [log, quorum] -> map_apply -> new version -> followers' changed() */
#ifndef VECTRON_PD_H
#define VECTRON_PD_H

#include "base/base.h"
#include "repl/repl.h"

enum {
    PD_GROUP = 1,
    COLLECTIONS_MAX = 10000,
    MAP_EPOCH_FIRST = 1 /* Of a map that never had a collection. */
};

struct pd;

struct map_shard {
    uint64_t group; /* Of the log; also names the shard's directory. */
};

struct map_collection {
    const struct schema *schema; /* Held. */
    struct map_shard shard;
};

/* One version of the map: immutable, counted. */
struct map {
    uint64_t epoch;
    /* What it differs in from the version before it; NULL and 0 where it is none or was read. */
    const struct map_collection *added;
    uint64_t removed; /* Its schema's id. */
    size_t n_collections;
    const struct map_collection *const *collections; /* Sorted by name. */
};

struct pd_config {
    const char *directory; /* Where the map's snapshots are kept. */
    struct repl *repl;
    /* Called on the apply thread (and inside pd_open for the first version), after the new version
     * is in force: the node opens and destroys shards. */
    void (*changed)(void *arg, const struct map *map);
    void *arg;
};

enum errcode pd_open(const struct pd_config *config, struct pd **out, struct err *err) WARN_UNUSED;
void pd_close(struct pd *pd);

const struct map *pd_map_acquire(struct pd *pd);
void pd_map_release(struct pd *pd, const struct map *map);
/* NULL where there is none; *nearest (may be NULL) then helps the hint. */
const struct map_collection *map_find(const struct map *map, const char *name,
                                      const char **nearest);

enum pd_op {
    PD_CREATE_COLLECTION,
    PD_DROP_COLLECTION,
    PD_WITHDRAW_COLLECTION
};
struct pd_command {
    enum pd_op op;
    const struct schema *schema; /* CREATE: id is given by the map.  Read during the call. */
    const char *collection;      /* DROP, WITHDRAW */
    uint64_t id;                 /* WITHDRAW: rows = 0 where the name is another's by now. */
    bool is_conditional;         /* IF [NOT] EXISTS: no error, and rows = 0. */
};

/* Embedded in the caller's struct; done is called once, on any thread, when the change is applied
 * and the node's changed() has returned.  Not called if pd_submit fails. */
struct pd_write {
    void (*done)(struct pd_write *write, const struct err *err);
    uint64_t rows;          /* 1 where the map changed, 0 where a condition made it nothing. */
    struct repl_write repl; /* pd's own. */
    struct pd *pd;
};
/* Errors through done: DUPLICATE_COLLECTION, UNKNOWN_COLLECTION, TOO_MANY_ITEMS. */
enum errcode pd_submit(struct pd *pd, const struct pd_command *command, struct pd_write *write,
                       struct err *err) WARN_UNUSED;
/* As repl_withdraw. */
bool pd_withdraw(struct pd_write *write);

#endif
