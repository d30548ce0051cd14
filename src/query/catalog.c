/* The catalog: the collections of the map as this node holds them, each with its shard.
 *
 * pd tells of each new version of the map on the apply thread, which must not wait for the log; so
 * shards are opened and destroyed on a thread of their own, "catalog", in the order of the changes:
 *
 *   map_apply -> catalog_changed: new collection -> queue -> shard_open  -> serving | broken
 *                                 one is missing -> its last user leaves -> queue -> shard_destroy
 *
 * A broken collection answers every statement with the reason; the others serve.  Where the reason
 * may have passed (memory, the disk's room), the statement that meets it has it opened again. */
#include "query/query_int.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    REOPEN_INTERVAL_US = 5000000, /* Between openings that fail; the second comes at once. */
    MEMORY_RETRY_US = 10000,
};

struct catalog {
    struct database *db;
    struct mutex lock;
    struct condition changed;
    struct collection **collections; /* Sorted by the schema's id. */
    size_t n, capacity;
    struct collection *first, **last; /* To be opened or destroyed. */
    bool is_stopping;
    bool is_started;
    struct thread thread;
};

/* ---- collections ---- */

static void enqueue(struct catalog *catalog, struct collection *c)
{
    c->next = NULL;
    *catalog->last = c;
    catalog->last = &c->next;
    condition_broadcast(&catalog->changed);
}

/* Under the lock, for one that has users.  What broke it must not be asked for at every statement:
 * an opening that fails late has cost much. */
static void reopen_if_broken(struct catalog *catalog, struct collection *c)
{
    if (atomic_load(&c->state) != COLLECTION_BROKEN) {
        return;
    }
    bool may_have_passed = c->why.code == ERR_OUT_OF_MEMORY || c->why.code == ERR_DISK_FULL;
    if (may_have_passed && clock_micros() >= c->reopen_at_us) {
        atomic_fetch_add(&c->users, 1); /* The opening. */
        atomic_store(&c->state, COLLECTION_OPENING);
        enqueue(catalog, c);
    }
}

/* Why it does not serve, where it does not. */
static enum errcode check_serving(struct collection *c, struct err *err)
{
    struct catalog *catalog = c->db->catalog;
    if (atomic_load(&c->state) == COLLECTION_SERVING) {
        return ERR_OK;
    }
    mutex_lock(&catalog->lock);
    reopen_if_broken(catalog, c);
    int state = atomic_load(&c->state);
    if (state == COLLECTION_OPENING) {
        err_set(err, ERR_NOT_READY, "collection \"%s\" is being opened", c->schema->name);
        err_hint(err, "Try again in a moment.");
    } else if (state == COLLECTION_BROKEN) {
        *err = c->why;
        err_prefix(err, "collection \"%s\" could not be opened", c->schema->name);
    }
    mutex_unlock(&catalog->lock);
    if (state == COLLECTION_SERVING) {
        return ERR_OK;
    }
    err_collection(err, c->schema->name);
    return err->code;
}

enum errcode collection_enter(struct collection *c, struct err *err)
{
    unsigned users = atomic_load(&c->users);
    do {
        if (users == 0 || atomic_load(&c->is_dropped)) {
            err_set(err, ERR_UNKNOWN_COLLECTION, "collection \"%s\" was dropped", c->schema->name);
            err_collection(err, c->schema->name);
            return ERR_UNKNOWN_COLLECTION;
        }
    } while (!atomic_compare_exchange_weak(&c->users, &users, users + 1));
    enum errcode code = check_serving(c, err);
    if (code != ERR_OK) {
        collection_leave(c);
    }
    return code;
}

void collection_leave(struct collection *c)
{
    if (atomic_fetch_sub(&c->users, 1) == 1) {
        catalog_retire(c->db->catalog, c);
    }
}

void collection_release(struct collection *c)
{
    if (c != NULL && atomic_fetch_sub(&c->refs, 1) == 1) {
        schema_release(c->schema);
        mem_free(MEM_CATALOG, c);
    }
}

static struct collection *collection_new(struct database *db, const struct map_collection *from)
{
    struct collection *c = mem_zalloc(MEM_CATALOG, sizeof(*c));
    if (c != NULL) {
        atomic_init(&c->refs, 1);
        atomic_init(&c->users, 2); /* The map, and the opening. */
        atomic_init(&c->state, COLLECTION_OPENING);
        atomic_init(&c->is_dropped, false);
        c->group = from->shard.group;
        c->schema = schema_hold(from->schema); /* The map holds it: no copy, which might fail. */
        c->db = db;
    }
    return c;
}

/* ---- files ---- */

static char *shard_directory(const struct database *db, uint64_t group, char *path, size_t bytes)
{
    snprintf(path, bytes, "%s/shards/%llu", db->directory, (unsigned long long)group);
    return path;
}

/* The directory and the log of a shard that no map knows: a crash came between the drop and its
 * work, or the shard could not be opened. */
static void remove_remains(struct database *db, uint64_t group)
{
    struct err err;
    char path[512];
    if (repl_group_destroy(db->repl, group, &err) != ERR_OK) {
        log_err(LOG_WARNING, &err, "log of a dropped shard not removed group=%llu",
                (unsigned long long)group);
    }
    DIR *dir = opendir(shard_directory(db, group, path, sizeof(path)));
    if (dir == NULL) {
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char file[1024];
        if (entry->d_name[0] != '.') {
            snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
            unlink(file);
        }
    }
    closedir(dir);
    if (rmdir(path) != 0) {
        log_line(LOG_WARNING, "directory of a dropped shard not removed path=%s errno=%d", path,
                 errno);
    }
}

/* ---- the thread ---- */

static void open_collection(struct catalog *catalog, struct collection *c)
{
    char path[512];
    struct database *db = catalog->db;
    struct shard_config config = {
        .directory = shard_directory(db, c->group, path, sizeof(path)),
        .group = c->group,
        .schema = c->schema,
        .repl = db->repl,
        .host = db->host,
    };
    bool is_open = shard_open(&config, &c->shard, &c->why) == ERR_OK;
    if (!is_open) {
        log_err(LOG_ERROR, &c->why, "collection not opened collection=%s group=%llu",
                c->schema->name, (unsigned long long)c->group);
    }
    mutex_lock(&catalog->lock);
    c->n_failures += is_open ? 0 : 1;
    c->reopen_at_us = c->n_failures < 2 ? 0 : clock_micros() + REOPEN_INTERVAL_US;
    atomic_store(&c->state, is_open ? COLLECTION_SERVING : COLLECTION_BROKEN);
    condition_broadcast(&catalog->changed);
    mutex_unlock(&catalog->lock);
    collection_leave(c);
}

static void destroy_collection(struct catalog *catalog, struct collection *c)
{
    if (c->shard != NULL) {
        shard_destroy(c->shard);
        c->shard = NULL;
    } else {
        remove_remains(catalog->db, c->group);
    }
    log_line(LOG_INFO, "collection dropped collection=%s group=%llu", c->schema->name,
             (unsigned long long)c->group);
    collection_release(c);
}

static void catalog_thread(void *arg)
{
    struct catalog *catalog = arg;
    mutex_lock(&catalog->lock);
    for (;;) {
        struct collection *c = catalog->first;
        if (c == NULL && catalog->is_stopping) {
            break;
        }
        if (c == NULL) {
            condition_wait(&catalog->changed, &catalog->lock);
            continue;
        }
        catalog->first = c->next;
        if (catalog->first == NULL) {
            catalog->last = &catalog->first;
        }
        mutex_unlock(&catalog->lock);
        if (atomic_load(&c->users) > 0) {
            open_collection(catalog, c);
        } else {
            destroy_collection(catalog, c);
        }
        mutex_lock(&catalog->lock);
    }
    mutex_unlock(&catalog->lock);
}

void catalog_retire(struct catalog *catalog, struct collection *c)
{
    mutex_lock(&catalog->lock);
    enqueue(catalog, c);
    mutex_unlock(&catalog->lock);
}

/* ---- following the map ---- */

/* Where @id is, or would be. */
static size_t find_place(const struct catalog *catalog, uint64_t id)
{
    size_t low = 0, high = catalog->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (catalog->collections[middle]->schema->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool has(const struct catalog *catalog, uint64_t id)
{
    size_t at = find_place(catalog, id);
    return at < catalog->n && catalog->collections[at]->schema->id == id;
}

static bool add_collection(struct catalog *catalog, const struct map_collection *from)
{
    if (catalog->n == catalog->capacity) {
        size_t capacity = catalog->capacity == 0 ? 16 : catalog->capacity * 2;
        void *larger = mem_realloc(MEM_CATALOG, catalog->collections,
                                   capacity * sizeof(*catalog->collections));
        if (larger == NULL) {
            return false;
        }
        catalog->collections = larger;
        catalog->capacity = capacity;
    }
    struct collection *c = collection_new(catalog->db, from);
    if (c == NULL) {
        return false;
    }
    size_t at = find_place(catalog, c->schema->id);
    memmove(&catalog->collections[at + 1], &catalog->collections[at],
            (catalog->n - at) * sizeof(*catalog->collections));
    catalog->collections[at] = c;
    catalog->n++;
    enqueue(catalog, c);
    return true;
}

static bool map_has(const struct map *map, const struct collection *c)
{
    const struct map_collection *found = map_find(map, c->schema->name, NULL);
    return found != NULL && found->schema->id == c->schema->id;
}

/* Takes one collection that the map has not got out of the table; NULL: there is none. */
static struct collection *take_missing(struct catalog *catalog, const struct map *map)
{
    for (size_t i = 0; i < catalog->n; i++) {
        struct collection *c = catalog->collections[i];
        if (!map_has(map, c)) {
            catalog->n--;
            memmove(&catalog->collections[i], &catalog->collections[i + 1],
                    (catalog->n - i) * sizeof(*catalog->collections));
            return c;
        }
    }
    return NULL;
}

void catalog_changed(void *arg, const struct map *map)
{
    struct catalog *catalog = ((struct database *)arg)->catalog;
    mutex_lock(&catalog->lock);
    for (struct collection *c; (c = take_missing(catalog, map)) != NULL;) {
        atomic_store(&c->is_dropped, true);
        mutex_unlock(&catalog->lock);
        collection_leave(c); /* The queue's reference is the table's. */
        mutex_lock(&catalog->lock);
    }
    for (size_t i = 0; i < map->n_collections; i++) {
        const struct map_collection *from = map->collections[i];
        /* Else the map would have a collection that this node has not: without memory it waits. */
        while (!has(catalog, from->schema->id) && !add_collection(catalog, from)) {
            mutex_unlock(&catalog->lock);
            log_line(LOG_WARNING, "no memory to open a collection, waiting for some collection=%s",
                     from->schema->name);
            clock_sleep_micros(MEMORY_RETRY_US);
            mutex_lock(&catalog->lock);
        }
    }
    mutex_unlock(&catalog->lock);
}

struct collection *catalog_find(struct catalog *catalog, uint64_t id)
{
    struct collection *c = NULL;
    mutex_lock(&catalog->lock);
    size_t at = find_place(catalog, id);
    if (at < catalog->n && catalog->collections[at]->schema->id == id) {
        c = catalog->collections[at];
        atomic_fetch_add(&c->refs, 1);
    }
    mutex_unlock(&catalog->lock);
    return c;
}

enum errcode catalog_list(struct catalog *catalog, struct arena *arena, struct collection ***out,
                          size_t *n, struct err *err)
{
    mutex_lock(&catalog->lock);
    *n = catalog->n;
    *out = arena_array(arena, catalog->n, sizeof(struct collection *));
    for (size_t i = 0; *out != NULL && i < catalog->n; i++) {
        (*out)[i] = catalog->collections[i];
        atomic_fetch_add(&(*out)[i]->refs, 1);
    }
    mutex_unlock(&catalog->lock);
    return *out != NULL ? ERR_OK : err_no_memory(err);
}

/* ---- waiting ---- */

/* The one of that name, or with NULL any. */
static bool is_opening(const struct catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->n; i++) {
        const struct collection *c = catalog->collections[i];
        if ((name == NULL || strcmp(c->schema->name, name) == 0) &&
            atomic_load(&c->state) == COLLECTION_OPENING) {
            return true;
        }
    }
    return false;
}

/* Under the lock; NULL where there is none. */
static struct collection *find_named(const struct catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->n; i++) {
        if (strcmp(catalog->collections[i]->schema->name, name) == 0) {
            return catalog->collections[i];
        }
    }
    return NULL;
}

enum errcode catalog_wait(struct catalog *catalog, const char *name, bool (*is_canceled)(void *arg),
                          void *arg, struct err *err)
{
    enum {
        LOOK_INTERVAL_US = 20000
    };
    enum errcode code = ERR_OK;
    mutex_lock(&catalog->lock);
    struct collection *c = find_named(catalog, name);
    if (c != NULL) {
        reopen_if_broken(catalog, c);
    }
    while (is_opening(catalog, name)) {
        if (is_canceled(arg)) {
            code = err_set(err, ERR_CANCELED, "canceled while \"%s\" was being opened", name);
            break;
        }
        condition_wait_until(&catalog->changed, &catalog->lock, clock_micros() + LOOK_INTERVAL_US);
    }
    c = find_named(catalog, name); /* Others may have dropped it meanwhile. */
    if (code == ERR_OK && c != NULL && atomic_load(&c->state) == COLLECTION_BROKEN) {
        *err = c->why;
        err_hint(err,
                 "The collection is there and could not be opened. DROP COLLECTION removes it.");
        code = err->code;
    }
    mutex_unlock(&catalog->lock);
    return code;
}

/* ---- opening and closing ---- */

static enum errcode sweep(struct catalog *catalog, struct err *err)
{
    uint64_t *groups;
    size_t n;
    enum errcode code = repl_groups(catalog->db->repl, &groups, &n, err);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < n; i++) {
        bool is_known = groups[i] == PD_GROUP;
        for (size_t j = 0; j < catalog->n && !is_known; j++) {
            is_known = catalog->collections[j]->group == groups[i];
        }
        if (!is_known) {
            log_line(LOG_INFO, "removing what a dropped collection left group=%llu",
                     (unsigned long long)groups[i]);
            remove_remains(catalog->db, groups[i]);
        }
    }
    mem_free(MEM_LOG, groups);
    return ERR_OK;
}

struct catalog *catalog_new(struct database *db, struct err *err)
{
    struct catalog *catalog = mem_zalloc(MEM_CATALOG, sizeof(*catalog));
    if (catalog == NULL) {
        err_no_memory(err);
        return NULL;
    }
    catalog->db = db;
    mutex_init(&catalog->lock);
    condition_init(&catalog->changed);
    catalog->last = &catalog->first;
    return catalog;
}

enum errcode catalog_start(struct catalog *catalog, struct err *err)
{
    enum errcode code = sweep(catalog, err);
    if (code == ERR_OK) {
        code = thread_start(&catalog->thread, "catalog", catalog_thread, catalog, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    catalog->is_started = true;
    mutex_lock(&catalog->lock);
    while (is_opening(catalog, NULL)) {
        condition_wait(&catalog->changed, &catalog->lock);
    }
    mutex_unlock(&catalog->lock);
    return ERR_OK;
}

void catalog_stop(struct catalog *catalog)
{
    if (catalog->is_started) {
        mutex_lock(&catalog->lock);
        catalog->is_stopping = true;
        condition_broadcast(&catalog->changed);
        mutex_unlock(&catalog->lock);
        thread_join(&catalog->thread);
        catalog->is_started = false;
    }
}

void catalog_free(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->n; i++) {
        struct collection *c = catalog->collections[i];
        if (c->shard != NULL) {
            shard_close(c->shard);
        }
        collection_release(c);
    }
    mem_free(MEM_CATALOG, catalog->collections);
    condition_fini(&catalog->changed);
    mutex_fini(&catalog->lock);
    mem_free(MEM_CATALOG, catalog);
}
