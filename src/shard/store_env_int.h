/* What the files of the store share.
 *
 *   store_env.c      the environment: opened when it is needed, closed when others need the room
 *   store_head.c     its head, which says whose it is
 *   store.c          reading and writing it
 *   store_compact.c  written anew without its free pages
 *
 * A user is *inside* from store_enter to store_leave: each read and the write.  Meanwhile the
 * environment stays where it is.  Who moves or closes it is alone: store_be_alone lets nobody in
 * and waits until nobody is inside, but not for long, for who is inside may want in again. */
#ifndef VECTRON_SHARD_STORE_ENV_INT_H
#define VECTRON_SHARD_STORE_ENV_INT_H

#include <lmdb.h>

#include "shard/store_int.h"

enum {
    STORE_VERSION = 1,
    META_BYTES = 4 + 4 + 8 * 6,
    READERS_MAX = 1024,
    /* Environments that a pool keeps open: three descriptors and up to 3 MiB of LMDB's own each. */
    STORES_OPEN_MAX = 64,
};

/* The stores whose environments are open.  The lock comes after a store's own. */
struct store_pool {
    struct mutex mutex;
    struct store *first;
    size_t n;
};

struct store {
    char *directory;
    uint64_t schema_id, group;
    struct store_pool *pool;

    struct mutex lock;        /* Guards all below. */
    struct condition changed; /* Somebody left, or may get in again. */
    bool has_file;            /* data.mdb is there: a new store has none before its first write. */
    bool is_alone;            /* Nobody gets in. */
    bool is_in_doubt;         /* What is seen was perhaps not synced: see store_end_doubt. */
    size_t n_inside;          /* Without whom env neither moves nor closes. */
    MDB_env *env;             /* NULL: closed. */
    MDB_dbi tables[TABLE_COUNT];
    size_t map_bytes;         /* Of env, now or when it is opened next. */
    atomic_bool is_map_short; /* The last write did not fit. */
    atomic_bool is_broken;    /* A commit failed half way: LMDB wants env to be opened anew. */
    struct store_read *reads; /* All that there are: a closing env ends their transactions. */
    _Atomic uint64_t file_bytes, used_bytes; /* As of the last commit or opening. */

    /* Of the pool. */
    _Atomic uint64_t entered_us;
    struct store *next;
    bool is_pooled;
};

struct store_read {
    struct store *store;
    struct store_read *prev, *next;
    MDB_txn *txn;                     /* NULL: none yet, or env was closed since. */
    bool is_inside;                   /* False where there is no file: then nothing is found. */
    MDB_cursor *cursors[TABLE_COUNT]; /* Opened when first needed, renewed with each begin. */
    bool is_positioned[TABLE_COUNT];
    uint64_t positions[TABLE_COUNT]; /* The number that the cursor stands on. */
    bool is_fresh[TABLE_COUNT];      /* The cursor belongs to this begin. */
    struct store_meta meta;
};

/* ---- store_head.c ---- */

void store_meta_write(const struct store *store, const struct store_meta *meta,
                      uint8_t out[META_BYTES]);
enum errcode store_meta_read(const struct store *store, const MDB_val *record,
                             struct store_meta *out, struct err *err) WARN_UNUSED;
MDB_val store_meta_key(void);
extern const char *const store_table_names[TABLE_COUNT];

/* ---- store_env.c ---- */

enum errcode store_error(struct store *store, int rc, const char *what, struct err *err);
/* Ends its transaction for good; nobody reads. */
void store_read_close(struct store_read *read);
void store_path(const struct store *store, const char *name, char *out, size_t bytes);
/* Opens the environment where it is closed.  *is_inside = false where there is no file. */
enum errcode store_enter(struct store *store, bool *is_inside, struct err *err) WARN_UNUSED;
void store_leave(struct store *store);
/* Before a write: syncs what is seen of the file and its names, where an earlier process may have
 * left it unsynced when it was killed, or the header of a commit failed. */
enum errcode store_end_doubt(struct store *store, struct err *err) WARN_UNUSED;
/* Makes the file where it is missing, and room in the map for @bytes more than there are. */
enum errcode store_enter_to_write(struct store *store, uint64_t bytes, struct err *err) WARN_UNUSED;
/* False where somebody stayed inside.  The lock is held when it returns. */
bool store_be_alone(struct store *store) ACQUIRE(store->lock) WARN_UNUSED;
void store_let_in(struct store *store) RELEASE(store->lock);
/* Of who is alone, or where nobody is inside. */
void store_close_env(struct store *store) REQUIRES(store->lock);
/* Takes note of how large the file is and how much of it @txn uses. */
void store_measure(struct store *store, MDB_txn *txn);

#endif
