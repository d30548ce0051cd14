/* The environment of a store: LMDB's view of data.mdb.
 *
 *   none --(first write)--> open <--(somebody enters / others need the room)--> closed
 *
 * An open environment costs descriptors, address space and memory of LMDB's own, and a node may
 * have 10,000 collections.  So it is opened when somebody enters, and a pool closes the one that
 * nobody entered for longest where more than STORES_OPEN_MAX are open and nobody is inside.
 *
 * The map is address space: it begins small and is doubled before a write that might not fit.  LMDB
 * moves it then, so nobody may be inside; where views stay open, the write is tried again later.
 *
 * One process has a data directory (its lock says so), hence no lock of the store's own. */
#include "shard/store_env_int.h"
#include "shard/store_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    MAP_BYTES_FIRST = 1 << 20,
    ALONE_WAIT_US = 50000, /* Views that are asked for meanwhile wait as long. */
    /* With less free space than this an EIO is taken for a full disk. */
    DISK_FULL_BYTES = 1 << 20,
};

void store_path(const struct store *store, const char *name, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "%s/%s", store->directory, name);
}

/* ---- errors ---- */

uint64_t store_disk_free(const struct store *store)
{
    struct statvfs fs;
    if (statvfs(store->directory, &fs) != 0) {
        return UINT64_MAX;
    }
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* LMDB tells a write that was cut as EIO. */
static int explain_short_write(const struct store *store)
{
    char path[SHARD_PATH_BYTES];
    snprintf(path, sizeof(path), "%s/data.mdb", store->directory);
    return store_disk_free(store) < DISK_FULL_BYTES ? ENOSPC : dir_short_write(path);
}

enum errcode store_error(struct store *store, int rc, const char *what, struct err *err)
{
    CHECK(rc != 0);
    switch (rc) {
    case MDB_MAP_FULL:
        return err_set(err, ERR_OVERLOADED, "%s in \"%s\": the map is to be made larger first",
                       what, store->directory);
    case MDB_READERS_FULL:
        return err_set(err, ERR_OVERLOADED, "%s in \"%s\": %d views are open", what,
                       store->directory, READERS_MAX);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        return err_set(err, ERR_CORRUPT, "%s in \"%s\": %s", what, store->directory,
                       mdb_strerror(rc));
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return err_set(err, ERR_FORMAT_UNSUPPORTED, "\"%s/data.mdb\" is not a shard's file: %s",
                       store->directory, mdb_strerror(rc));
    case MDB_PANIC:
        atomic_store(&store->is_broken, true);
        (void)err_set(err, ERR_IO, "%s in \"%s\": an earlier write failed half way", what,
                      store->directory);
        err_hint(err, "Try again: the file is opened anew when the statements that read it have "
                      "ended; nothing that was acknowledged is lost.");
        return ERR_IO;
    default:
        if (rc == EIO) {
            rc = explain_short_write(store);
        }
        if (rc > 0) {
            (void)dir_fail(err, rc, "use", store->directory);
            err_prefix(err, "%s", what);
            return err->code;
        }
        return err_set(err, ERR_IO, "%s in \"%s\": %s", what, store->directory, mdb_strerror(rc));
    }
}

/* ---- the pool ---- */

struct store_pool *store_pool_new(struct err *err)
{
    struct store_pool *pool = mem_zalloc(MEM_GENERAL, sizeof(*pool));
    if (pool == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    mutex_init(&pool->mutex);
    return pool;
}

void store_pool_free(struct store_pool *pool)
{
    if (pool != NULL) {
        CHECK(pool->n == 0);
        mutex_fini(&pool->mutex);
        mem_free(MEM_GENERAL, pool);
    }
}

static void unlink_store(struct store_pool *pool, struct store *store) REQUIRES(pool->mutex)
{
    CHECK(store->is_pooled && pool->n > 0);
    struct store **link = &pool->first;
    while (*link != store) {
        CHECK(*link != NULL);
        link = &(*link)->next;
    }
    *link = store->next;
    store->is_pooled = false;
    pool->n--;
}

void store_read_close(struct store_read *read)
{
    for (int i = 0; i < TABLE_COUNT; i++) {
        if (read->cursors[i] != NULL) {
            mdb_cursor_close(read->cursors[i]);
            read->cursors[i] = NULL;
        }
    }
    if (read->txn != NULL) {
        mdb_txn_abort(read->txn);
        read->txn = NULL;
    }
}

/* Ends what is open; nobody is inside. */
static void end_env(struct store *store) REQUIRES(store->lock)
{
    CHECK(store->env != NULL && store->n_inside == 0);
    for (struct store_read *read = store->reads; read != NULL; read = read->next) {
        store_read_close(read);
    }
    mdb_env_close(store->env);
    store->env = NULL;
}

/* The one that nobody entered for longest, of those entered after @after_us. */
static struct store *oldest_after(struct store_pool *pool, uint64_t after_us, uint64_t *entered_us)
    REQUIRES(pool->mutex)
{
    struct store *oldest = NULL;
    *entered_us = UINT64_MAX;
    for (struct store *store = pool->first; store != NULL; store = store->next) {
        uint64_t us = atomic_load_explicit(&store->entered_us, memory_order_relaxed);
        if (us > after_us && us < *entered_us) {
            oldest = store;
            *entered_us = us;
        }
    }
    return oldest;
}

/* False where somebody is inside.  A lock that is held is not waited for: the order is the other
 * way round. */
static bool close_if_idle(struct store_pool *pool, struct store *store) REQUIRES(pool->mutex)
{
    if (!mutex_try_lock(&store->lock)) {
        return false;
    }
    bool is_idle = store->n_inside == 0 && !store->is_alone;
    if (is_idle) {
        unlink_store(pool, store);
        end_env(store);
    }
    mutex_unlock(&store->lock);
    return is_idle;
}

static void make_room(struct store_pool *pool) REQUIRES(pool->mutex)
{
    uint64_t at_us = 0;
    while (pool->n > STORES_OPEN_MAX) {
        struct store *oldest = oldest_after(pool, at_us, &at_us);
        if (oldest == NULL) {
            return; /* All are in use: there are no more of them than threads. */
        }
        (void)close_if_idle(pool, oldest);
    }
}

static void pool_add(struct store_pool *pool, struct store *store)
{
    mutex_lock(&pool->mutex);
    CHECK(!store->is_pooled && store->env != NULL);
    store->next = pool->first;
    store->is_pooled = true;
    pool->first = store;
    pool->n++;
    make_room(pool);
    mutex_unlock(&pool->mutex);
}

void store_close_env(struct store *store)
{
    if (store->env == NULL) {
        return;
    }
    end_env(store);
    mutex_lock(&store->pool->mutex);
    if (store->is_pooled) {
        unlink_store(store->pool, store);
    }
    mutex_unlock(&store->pool->mutex);
}

/* ---- opening ---- */

static size_t round_map(uint64_t bytes)
{
    size_t map_bytes = MAP_BYTES_FIRST;
    while (map_bytes < bytes) {
        map_bytes *= 2;
    }
    CHECK(map_bytes >= bytes);
    return map_bytes;
}

static int make_tables(struct store *store, MDB_txn *txn)
{
    int rc = 0;
    for (int i = 0; i < TABLE_COUNT && rc == 0; i++) {
        rc = mdb_dbi_open(txn, store_table_names[i], MDB_CREATE, &store->tables[i]);
    }
    if (rc == 0) {
        struct store_meta meta = {.next_row = 1};
        uint8_t record[META_BYTES];
        store_meta_write(store, &meta, record);
        MDB_val key = store_meta_key();
        MDB_val value = {.mv_size = META_BYTES, .mv_data = record};
        rc = mdb_put(txn, store->tables[TABLE_META], &key, &value, 0);
    }
    return rc;
}

static int find_tables(struct store *store, MDB_txn *txn, MDB_val *head)
{
    int rc = 0;
    for (int i = 0; i < TABLE_COUNT && rc == 0; i++) {
        rc = mdb_dbi_open(txn, store_table_names[i], 0, &store->tables[i]);
    }
    MDB_val key = store_meta_key();
    return rc == 0 ? mdb_get(txn, store->tables[TABLE_META], &key, head) : rc;
}

void store_measure(struct store *store, MDB_txn *txn)
{
    MDB_envinfo info;
    MDB_stat stat;
    uint64_t pages = 2;
    for (int i = 0; i < TABLE_COUNT; i++) {
        if (mdb_stat(txn, store->tables[i], &stat) == 0) {
            pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
        }
    }
    if (mdb_env_stat(store->env, &stat) == 0 && mdb_env_info(store->env, &info) == 0) {
        atomic_store(&store->used_bytes, pages * stat.ms_psize);
        atomic_store(&store->file_bytes, (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize);
    }
}

static enum errcode open_tables(struct store *store, struct err *err) REQUIRES(store->lock)
{
    MDB_txn *txn;
    MDB_val head;
    struct store_meta meta;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return store_error(store, rc, "opening", err);
    }
    enum errcode code = ERR_OK;
    rc = find_tables(store, txn, &head);
    if (rc == MDB_NOTFOUND) {
        code =
            err_set(err, ERR_FORMAT_UNSUPPORTED,
                    "\"%s/data.mdb\" is not a shard's file: a table is missing", store->directory);
    } else if (rc != 0) {
        code = store_error(store, rc, "opening", err);
    } else {
        code = store_meta_read(store, &head, &meta, err);
    }
    if (code != ERR_OK) {
        mdb_txn_abort(txn);
        return code;
    }
    store_measure(store, txn);
    rc = mdb_txn_commit(txn); /* Keeps the handles. */
    return rc == 0 ? ERR_OK : store_error(store, rc, "opening", err);
}

/* Makes store->env at @path, which is there or is made, with LMDB's @flags. */
static int open_file(struct store *store, const char *path, unsigned flags) REQUIRES(store->lock)
{
    CHECK(store->env == NULL && store->map_bytes > 0);
    int rc = mdb_env_create(&store->env);
    if (rc == 0) {
        rc = mdb_env_set_mapsize(store->env, store->map_bytes);
    }
    if (rc == 0) {
        rc = mdb_env_set_maxdbs(store->env, TABLE_COUNT);
    }
    if (rc == 0) {
        rc = mdb_env_set_maxreaders(store->env, READERS_MAX);
    }
    return rc == 0 ? mdb_env_open(store->env, path, MDB_NOTLS | flags, DIR_FILE_MODE) : rc;
}

/* Under a name that nobody opens until all of it is safe: LMDB takes a file whose first pages were
 * not written yet, as after a loss of power, for somebody else's. */
static enum errcode make_file(struct store *store, struct err *err) REQUIRES(store->lock)
{
    MDB_txn *txn = NULL;
    char path[SHARD_PATH_BYTES], made[SHARD_PATH_BYTES];
    store_path(store, "data.mdb", path, sizeof(path));
    store_path(store, "data.mdb.new", made, sizeof(made));
    (void)unlink(made);
    int rc = open_file(store, made, MDB_NOSUBDIR | MDB_NOLOCK);
    if (rc == 0) {
        rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    }
    if (rc == 0) {
        rc = make_tables(store, txn);
        if (rc == 0) {
            rc = mdb_txn_commit(txn);
        } else {
            mdb_txn_abort(txn);
        }
    }
    mdb_env_close(store->env);
    store->env = NULL;
    if (rc != 0) {
        return store_error(store, rc, "making", err);
    }
    if (rename(made, path) != 0) {
        return err_set_errno(err, ERR_IO, errno, "cannot rename \"%s\"", made);
    }
    return dir_sync(store->directory, err);
}

static enum errcode open_env(struct store *store, struct err *err) REQUIRES(store->lock)
{
    CHECK(store->n_inside == 0);
    struct stat facts;
    char path[SHARD_PATH_BYTES];
    store_path(store, "data.mdb", path, sizeof(path));
    uint64_t bytes = stat(path, &facts) == 0 ? (uint64_t)facts.st_size : 0;
    size_t map_bytes = round_map(bytes);
    store->map_bytes = map_bytes > store->map_bytes ? map_bytes : store->map_bytes;
    if (!store->has_file) {
        enum errcode made = make_file(store, err);
        if (made != ERR_OK) {
            return made;
        }
        store->has_file = true;
    }
    int rc = open_file(store, store->directory, 0);
    enum errcode code = rc == 0 ? open_tables(store, err) : store_error(store, rc, "opening", err);
    if (code != ERR_OK) {
        store_close_env(store);
        return code;
    }
    pool_add(store->pool, store);
    return ERR_OK;
}

/* The directory, and its file where there is one. */
static enum errcode open_there(struct store *store, struct err *err)
{
    char path[SHARD_PATH_BYTES];
    bool is_inside;
    /* There are many: a directory that is there already is synced when it is first written to. */
    if (access(store->directory, F_OK) != 0 && dir_make(store->directory, err) != ERR_OK) {
        return err->code;
    }
    store_path(store, "data.mdb.new", path, sizeof(path));
    (void)unlink(path); /* Of a compaction that a crash has ended. */
    store_path(store, "data.mdb", path, sizeof(path));
    if (dir_has(path, &store->has_file, err) != ERR_OK ||
        (store->has_file && pages_check(path, err) != ERR_OK) ||
        store_enter(store, &is_inside, err) != ERR_OK) {
        return err->code;
    }
    if (is_inside) {
        store_leave(store);
    }
    return ERR_OK;
}

enum errcode store_open(const struct store_config *config, struct store **out, struct err *err)
{
    CHECK(config->directory != NULL && config->pool != NULL && config->group > 0);
    struct store *store = mem_zalloc(MEM_GENERAL, sizeof(*store));
    if (store == NULL) {
        return err_no_memory(err);
    }
    mutex_init(&store->lock);
    condition_init(&store->changed);
    store->schema_id = config->schema_id;
    store->group = config->group;
    store->pool = config->pool;
    store->is_in_doubt = true;
    store->directory = mem_strndup(MEM_GENERAL, config->directory, strlen(config->directory));
    enum errcode code = store->directory == NULL ? err_no_memory(err) : open_there(store, err);
    if (code != ERR_OK) {
        store_close(store);
        return code;
    }
    *out = store;
    return ERR_OK;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    mutex_lock(&store->lock);
    CHECK(store->n_inside == 0 && store->reads == NULL);
    store_close_env(store);
    mutex_unlock(&store->lock);
    condition_fini(&store->changed);
    mutex_fini(&store->lock);
    mem_free(MEM_GENERAL, store->directory);
    mem_free(MEM_GENERAL, store);
}

uint64_t store_file_bytes(const struct store *store)
{
    return atomic_load(&store->file_bytes);
}

uint64_t store_used_bytes(const struct store *store)
{
    return atomic_load(&store->used_bytes);
}

/* ---- in and out ---- */

static enum errcode get_in(struct store *store, bool is_made, bool *is_inside, struct err *err)
    REQUIRES(store->lock)
{
    enum errcode code = ERR_OK;
    while (store->is_alone) {
        condition_wait(&store->changed, &store->lock);
    }
    atomic_store_explicit(&store->entered_us, clock_micros(), memory_order_relaxed);
    if (atomic_load(&store->is_broken) && store->n_inside == 0) {
        store_close_env(store);
        atomic_store(&store->is_broken, false);
        store->is_in_doubt = true;
    }
    if (store->env == NULL && (store->has_file || is_made)) {
        code = open_env(store, err);
    }
    *is_inside = store->env != NULL;
    store->n_inside += *is_inside;
    return code;
}

enum errcode store_enter(struct store *store, bool *is_inside, struct err *err)
{
    CHECK(is_inside != NULL);
    mutex_lock(&store->lock);
    enum errcode code = get_in(store, false, is_inside, err);
    mutex_unlock(&store->lock);
    return code;
}

enum errcode store_end_doubt(struct store *store, struct err *err)
{
    CHECK(store->env != NULL);
    mutex_lock(&store->lock);
    bool is_in_doubt = store->is_in_doubt;
    mutex_unlock(&store->lock);
    if (!is_in_doubt) {
        return ERR_OK;
    }
    int rc = mdb_env_sync(store->env, 1);
    enum errcode code = rc == 0 ? dir_sync(store->directory, err)
                                : store_error(store, rc, "syncing what is there", err);
    if (code == ERR_OK) {
        code = dir_sync_above(store->directory, err);
    }
    if (code == ERR_OK) {
        mutex_lock(&store->lock);
        store->is_in_doubt = false;
        mutex_unlock(&store->lock);
    }
    return code;
}

void store_leave(struct store *store)
{
    mutex_lock(&store->lock);
    CHECK(store->n_inside > 0);
    if (--store->n_inside == 0 && store->is_alone) {
        condition_broadcast(&store->changed);
    }
    mutex_unlock(&store->lock);
}

bool store_be_alone(struct store *store)
{
    mutex_lock(&store->lock);
    while (store->is_alone) {
        condition_wait(&store->changed, &store->lock);
    }
    store->is_alone = true;
    uint64_t until_us = clock_micros() + ALONE_WAIT_US;
    while (store->n_inside > 0 && condition_wait_until(&store->changed, &store->lock, until_us)) {
    }
    return store->n_inside == 0;
}

void store_let_in(struct store *store)
{
    CHECK(store->is_alone);
    store->is_alone = false;
    condition_broadcast(&store->changed);
    mutex_unlock(&store->lock);
}

/* Where the map cannot grow the write is begun all the same: free pages may do for it. */
static enum errcode grow_map(struct store *store, size_t map_bytes, struct err *err)
{
    CHECK(map_bytes > 0);
    enum errcode code = ERR_OK;
    bool is_alone = store_be_alone(store);
    int rc = is_alone && store->env != NULL ? mdb_env_set_mapsize(store->env, map_bytes) : 0;
    if (rc != 0) {
        store_close_env(store); /* LMDB has let go of the old map. */
        code = store_error(store, rc, "growing", err);
    } else if (is_alone) {
        store->map_bytes = map_bytes;
        store->is_map_short = false;
    }
    store_let_in(store);
    return code;
}

enum errcode store_enter_to_write(struct store *store, uint64_t bytes, struct err *err)
{
    bool is_inside;
    mutex_lock(&store->lock);
    /* Pages are half full at the worst, and those that change are written elsewhere. */
    size_t wanted = round_map(atomic_load(&store->file_bytes) + 2 * bytes + MAP_BYTES_FIRST / 2);
    if (store->is_map_short && wanted <= store->map_bytes) {
        wanted = 2 * store->map_bytes;
    }
    size_t map_bytes = store->map_bytes;
    mutex_unlock(&store->lock);
    if (wanted > map_bytes) {
        enum errcode code = grow_map(store, wanted, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    mutex_lock(&store->lock);
    enum errcode code = get_in(store, true, &is_inside, err);
    mutex_unlock(&store->lock);
    return code;
}
