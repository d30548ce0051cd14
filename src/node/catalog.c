/* The catalog: the collections of the map as this node holds them, each with its shard.
 *
 * pd tells of each new version of the map on the apply thread, which must not wait for the log; so
 * shards are opened and destroyed on a thread of their own, "catalog", in the order of the changes:
 *
 *   map_apply -> catalog_changed: new collection -> queue -> shard_open  -> serving | broken
 *                                 one is missing -> its last user leaves -> queue -> shard_destroy
 *
 * At the start many are opened at once, by threads that end when that is done: each waits for its
 * log, and one sync is enough for all that wait.
 *
 * A broken collection answers every statement with the reason; the others serve.  It is tried again
 * by itself, after a second, then after twice as long each time, up to a minute; and at once by the
 * first statement that meets it where the reason may have passed (memory, the disk's room).  One
 * that the CREATE that made it could not open is taken out of the map again. */
#include "node/node_int.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    REOPEN_FIRST_US = 1000000,
    REOPEN_LAST_US = 60000000,
    MEMORY_RETRY_US = 10000,
    OPENERS = 16, /* At the start. */
};

/*   serving <--- opening <---> broken
 *
 * One that is dropped stays as it is until its last user has left. */
enum collection_state {
    COLLECTION_OPENING,
    COLLECTION_SERVING,
    COLLECTION_BROKEN,
    COLLECTION_STATES
};

static const char *const state_names[] = {"opening", "serving", "broken"};
_Static_assert(COUNT_OF(state_names) == COLLECTION_STATES, "a name for each state");

static const uint32_t state_moves[COLLECTION_STATES] = {
    [COLLECTION_OPENING] = STATE_BIT(COLLECTION_SERVING) | STATE_BIT(COLLECTION_BROKEN),
    [COLLECTION_BROKEN] = STATE_BIT(COLLECTION_OPENING),
};
static const struct state_machine state_machine = {
    .name = "collection",
    .names = state_names,
    .n_states = COLLECTION_STATES,
    .moves = state_moves,
};

/* A collection of the map on this node.  refs keep the struct; users keep the shard open: one for
 * being in the map, one for each running statement. */
struct collection {
    atomic_uint refs;
    atomic_uint users;
    _Atomic uint8_t state;  /* enum collection_state; written by the catalog. */
    atomic_bool is_dropped; /* No longer in the map. */
    uint64_t group;
    struct shard *shard;   /* From COLLECTION_SERVING on. */
    struct err why;        /* Of COLLECTION_BROKEN; read under the catalog's lock. */
    unsigned n_failures;   /* Of openings. */
    uint64_t reopen_at_us; /* When it is tried again by itself; of the catalog's lock. */
    struct node *node;
    struct collection *next;     /* In the catalog's queue. */
    const struct schema *schema; /* Held. */
};

struct catalog {
    struct node *node;
    struct mutex lock;
    struct condition changed;
    struct collection **collections; /* Sorted by the schema's id. */
    size_t n, capacity;
    struct collection *first, **last; /* To be opened or destroyed. */
    uint64_t epoch;                   /* Of the map that it follows. */
    size_t n_opening;
    bool has_broken; /* False: none of them is. */
    bool is_stopping;
    bool is_started;
    struct thread thread;
};

/* ---- collections ---- */

static void enqueue(struct catalog *catalog, struct collection *c)
{
    CHECK(c->next == NULL && catalog->last != &c->next); /* It is queued once. */
    c->next = NULL;
    *catalog->last = c;
    catalog->last = &c->next;
    condition_broadcast(&catalog->changed);
}

/* Under the lock. */
static void set_state(struct catalog *catalog, struct collection *c, enum collection_state to,
                      const char *why)
{
    CHECK(c->node->catalog == catalog);
    uint8_t state = atomic_load(&c->state);
    CHECK(state != COLLECTION_OPENING || catalog->n_opening > 0);
    catalog->n_opening -= state == COLLECTION_OPENING;
    catalog->n_opening += to == COLLECTION_OPENING;
    catalog->has_broken = catalog->has_broken || to == COLLECTION_BROKEN;
    state_move(&state_machine, &state, (uint8_t)to, c->group, why);
    atomic_store(&c->state, state);
}

/* Under the lock, for one that has users. */
static void reopen(struct catalog *catalog, struct collection *c)
{
    CHECK(c->shard == NULL && atomic_load(&c->users) > 0);
    atomic_fetch_add(&c->users, 1); /* The opening. */
    set_state(catalog, c, COLLECTION_OPENING, "tried again");
    enqueue(catalog, c);
}

/* What broke it must not be asked for at every statement: an opening that fails late has cost
 * much. */
static void reopen_if_broken(struct catalog *catalog, struct collection *c)
{
    if (atomic_load(&c->state) != COLLECTION_BROKEN) {
        return;
    }
    if (err_is_of_the_moment(c->why.code) && c->n_failures < 2) {
        reopen(catalog, c);
    }
}

/* Those whose time has come; when the next one's does. */
static uint64_t reopen_broken(struct catalog *catalog)
{
    uint64_t next_us = UINT64_MAX, now = clock_micros();
    bool had_broken = catalog->has_broken;
    catalog->has_broken = false;
    for (size_t i = 0; i < catalog->n && had_broken; i++) {
        struct collection *c = catalog->collections[i];
        if (atomic_load(&c->state) != COLLECTION_BROKEN) {
            continue;
        }
        catalog->has_broken = true;
        if (c->reopen_at_us <= now) {
            reopen(catalog, c);
        } else if (c->reopen_at_us < next_us) {
            next_us = c->reopen_at_us;
        }
    }
    return next_us;
}

/* Why it does not serve, where it does not. */
static enum errcode check_serving(struct collection *c, struct err *err)
{
    CHECK(atomic_load(&c->users) > 0);
    struct catalog *catalog = c->node->catalog;
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

enum errcode collection_was_dropped(const struct collection *c, struct err *err)
{
    err_set(err, ERR_UNKNOWN_COLLECTION, "collection \"%s\" was dropped", c->schema->name);
    err_collection(err, c->schema->name);
    return ERR_UNKNOWN_COLLECTION;
}

enum errcode collection_enter(struct collection *c, struct shard **out, struct err *err)
{
    unsigned users = atomic_load(&c->users);
    do {
        if (users == 0 || atomic_load(&c->is_dropped)) {
            return collection_was_dropped(c, err);
        }
    } while (!atomic_compare_exchange_weak(&c->users, &users, users + 1));
    enum errcode code = check_serving(c, err);
    if (code != ERR_OK) {
        collection_leave(c);
        return code;
    }
    CHECK(c->shard != NULL);
    *out = c->shard;
    return ERR_OK;
}

/* The last user of a dropped collection has gone. */
static void retire(struct catalog *catalog, struct collection *c)
{
    mutex_lock(&catalog->lock);
    enqueue(catalog, c);
    mutex_unlock(&catalog->lock);
}

void collection_leave(struct collection *c)
{
    unsigned before = atomic_fetch_sub(&c->users, 1);
    CHECK(before > 0);
    if (before == 1) {
        retire(c->node->catalog, c);
    }
}

void collection_release(struct collection *c)
{
    if (c == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub(&c->refs, 1);
    CHECK(before > 0);
    if (before == 1) {
        CHECK(c->shard == NULL);
        schema_release(c->schema);
        mem_free(MEM_CATALOG, c);
    }
}

const struct schema *collection_schema(const struct collection *c)
{
    return c->schema;
}

uint64_t collection_group(const struct collection *c)
{
    return c->group;
}

bool collection_is_dropped(const struct collection *c)
{
    return atomic_load(&c->is_dropped);
}

static struct collection *collection_new(struct node *node, const struct map_collection *from)
{
    CHECK(from->schema != NULL && from->shard.group > PD_GROUP);
    struct collection *c = mem_zalloc(MEM_CATALOG, sizeof(*c));
    if (c != NULL) {
        atomic_init(&c->refs, 1);
        atomic_init(&c->users, 2); /* The map, and the opening. */
        atomic_init(&c->state, COLLECTION_OPENING);
        atomic_init(&c->is_dropped, false);
        c->group = from->shard.group;
        c->schema = schema_hold(from->schema); /* The map holds it: no copy, which might fail. */
        c->node = node;
    }
    return c;
}

/* ---- files ---- */

static char *shard_directory(const struct node *node, uint64_t group, char *path, size_t bytes)
{
    snprintf(path, bytes, "%s/shards/%llu", node->directory, (unsigned long long)group);
    return path;
}

/* The directory and the log of a shard that no map knows: a crash came between the drop and its
 * work, or the shard could not be opened. */
static void remove_remains(struct node *node, uint64_t group)
{
    CHECK(group > 0 && group != PD_GROUP); /* The map's own log stays. */
    struct err err;
    char path[512];
    if (repl_group_destroy(node->repl, group, &err) != ERR_OK) {
        log_err(LOG_WARNING, &err, "log of a dropped shard not removed group=%llu",
                (unsigned long long)group);
    }
    DIR *dir = opendir(shard_directory(node, group, path, sizeof(path)));
    if (dir == NULL) {
        if (errno != ENOENT) {
            log_line(LOG_WARNING, "directory of a dropped shard not removed path=%s errno=%d", path,
                     errno);
        }
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

static void note_broken(struct catalog *catalog, struct collection *c, const struct err *why)
{
    CHECK(why->code != ERR_OK);
    uint64_t after_us = REOPEN_FIRST_US;
    for (unsigned i = 0; i < c->n_failures && after_us < REOPEN_LAST_US; i++) {
        after_us *= 2;
    }
    c->n_failures++;
    c->reopen_at_us = clock_micros() + (after_us < REOPEN_LAST_US ? after_us : REOPEN_LAST_US);
    c->why = *why;
    set_state(catalog, c, COLLECTION_BROKEN, "its shard could not be opened");
}

static void open_collection(struct catalog *catalog, struct collection *c)
{
    CHECK(atomic_load(&c->state) == COLLECTION_OPENING && c->shard == NULL);
    char path[512];
    struct node *node = catalog->node;
    struct shard_config config = {
        .directory = shard_directory(node, c->group, path, sizeof(path)),
        .group = c->group,
        .schema = c->schema,
        .repl = node->repl,
        .host = node->host,
    };
    struct err err = {0};
    struct shard *shard;
    bool is_open = shard_open(&config, &shard, &err) == ERR_OK;
    if (!is_open) {
        log_err(LOG_ERROR, &err, "collection not opened collection=%s group=%llu", c->schema->name,
                (unsigned long long)c->group);
    }
    mutex_lock(&catalog->lock);
    if (is_open) {
        c->shard = shard;
        set_state(catalog, c, COLLECTION_SERVING, "its shard is open");
    } else {
        note_broken(catalog, c, &err);
    }
    condition_broadcast(&catalog->changed);
    mutex_unlock(&catalog->lock);
    collection_leave(c);
}

static void destroy_collection(struct catalog *catalog, struct collection *c)
{
    CHECK(atomic_load(&c->is_dropped));
    CHECK(atomic_load(&c->users) == 0);
    if (c->shard != NULL) {
        shard_destroy(c->shard);
        c->shard = NULL;
    } else {
        remove_remains(catalog->node, c->group);
    }
    log_line(LOG_INFO, "collection dropped collection=%s group=%llu", c->schema->name,
             (unsigned long long)c->group);
    collection_release(c);
}

static struct collection *take_queued(struct catalog *catalog) REQUIRES(catalog->lock)
{
    struct collection *c = catalog->first;
    if (c != NULL) {
        catalog->first = c->next;
        c->next = NULL;
        if (catalog->first == NULL) {
            catalog->last = &catalog->first;
        }
    }
    return c;
}

static void open_or_destroy(struct catalog *catalog, struct collection *c)
{
    if (atomic_load(&c->users) > 0) {
        open_collection(catalog, c);
    } else {
        destroy_collection(catalog, c);
    }
}

static void catalog_thread(void *arg)
{
    struct catalog *catalog = arg;
    mutex_lock(&catalog->lock);
    for (;;) {
        uint64_t next_us = catalog->is_stopping ? UINT64_MAX : reopen_broken(catalog);
        struct collection *c = take_queued(catalog);
        if (c == NULL && catalog->is_stopping) {
            break;
        }
        if (c == NULL && next_us == UINT64_MAX) {
            condition_wait(&catalog->changed, &catalog->lock);
        } else if (c == NULL) {
            (void)condition_wait_until(&catalog->changed, &catalog->lock, next_us);
        } else {
            mutex_unlock(&catalog->lock);
            open_or_destroy(catalog, c);
            mutex_lock(&catalog->lock);
        }
    }
    mutex_unlock(&catalog->lock);
}

/* Helps at the start, and ends when nothing is queued. */
static void opener_thread(void *arg)
{
    struct catalog *catalog = arg;
    mutex_lock(&catalog->lock);
    for (struct collection *c; (c = take_queued(catalog)) != NULL;) {
        mutex_unlock(&catalog->lock);
        open_or_destroy(catalog, c);
        mutex_lock(&catalog->lock);
    }
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
    CHECK(!has(catalog, from->schema->id));
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
    struct collection *c = collection_new(catalog->node, from);
    if (c == NULL) {
        return false;
    }
    size_t at = find_place(catalog, c->schema->id);
    memmove(&catalog->collections[at + 1], &catalog->collections[at],
            (catalog->n - at) * sizeof(*catalog->collections));
    catalog->collections[at] = c;
    catalog->n++;
    catalog->n_opening++;
    enqueue(catalog, c);
    return true;
}

static bool map_has(const struct map *map, const struct collection *c)
{
    const struct map_collection *found = map_find(map, c->schema->name, NULL);
    return found != NULL && found->schema->id == c->schema->id;
}

/* Takes it out of the table; the lock is given up meanwhile. */
static void drop_at(struct catalog *catalog, size_t at) REQUIRES(catalog->lock)
{
    CHECK(at < catalog->n && !atomic_load(&catalog->collections[at]->is_dropped));
    struct collection *c = catalog->collections[at];
    catalog->n--;
    memmove(&catalog->collections[at], &catalog->collections[at + 1],
            (catalog->n - at) * sizeof(*catalog->collections));
    atomic_store(&c->is_dropped, true);
    mutex_unlock(&catalog->lock);
    collection_leave(c); /* The queue's reference is the table's. */
    mutex_lock(&catalog->lock);
}

static void add_waiting(struct catalog *catalog, const struct map_collection *from)
    REQUIRES(catalog->lock)
{
    /* Else the map would have a collection that this node has not: without memory it waits. */
    while (!has(catalog, from->schema->id) && !add_collection(catalog, from)) {
        mutex_unlock(&catalog->lock);
        log_line(LOG_WARNING, "no memory to open a collection, waiting for some collection=%s",
                 from->schema->name);
        clock_sleep_micros(MEMORY_RETRY_US);
        mutex_lock(&catalog->lock);
    }
}

/* From any map to any other. */
static void compare_with(struct catalog *catalog, const struct map *map) REQUIRES(catalog->lock)
{
    for (size_t i = catalog->n; i-- > 0;) {
        if (!map_has(map, catalog->collections[i])) {
            drop_at(catalog, i);
        }
    }
    for (size_t i = 0; i < map->n_collections; i++) {
        add_waiting(catalog, map->collections[i]);
    }
}

void catalog_changed(void *arg, const struct map *map)
{
    struct catalog *catalog = ((struct node *)arg)->catalog;
    mutex_lock(&catalog->lock);
    CHECK(catalog->epoch == 0 || map->epoch > catalog->epoch);
    if (map->epoch != catalog->epoch + 1) {
        compare_with(catalog, map);
    } else if (map->removed != 0 && has(catalog, map->removed)) {
        drop_at(catalog, find_place(catalog, map->removed));
    } else if (map->added != NULL) {
        add_waiting(catalog, map->added);
    }
    catalog->epoch = map->epoch;
    mutex_unlock(&catalog->lock);
}

struct collection *collection_acquire(struct node *node, uint64_t id)
{
    CHECK(id > 0);
    struct catalog *catalog = node->catalog;
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

enum errcode collection_list(struct node *node, struct arena *arena, struct collection ***out,
                             size_t *n, struct err *err)
{
    struct catalog *catalog = node->catalog;
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

/* Under the lock; NULL where there is none. */
static struct collection *find_named(struct catalog *catalog, const char *name)
{
    const struct map *map = pd_map_acquire(catalog->node->pd);
    const struct map_collection *found = map_find(map, name, NULL);
    uint64_t id = found == NULL ? 0 : found->schema->id;
    pd_map_release(catalog->node->pd, map);
    return found != NULL && has(catalog, id) ? catalog->collections[find_place(catalog, id)] : NULL;
}

static bool is_opening(struct catalog *catalog, const char *name)
{
    const struct collection *c = find_named(catalog, name);
    return c != NULL && atomic_load(&c->state) == COLLECTION_OPENING;
}

enum errcode collection_wait(struct node *node, const char *name, bool (*is_canceled)(void *arg),
                             void *arg, struct err *err)
{
    CHECK(name != NULL && is_canceled != NULL);
    CHECK(!role_is_mine(&apply_thread)); /* Which opens what is waited for. */
    enum {
        LOOK_INTERVAL_US = 20000
    };
    struct catalog *catalog = node->catalog;
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

/* ---- withdrawing ---- */

struct withdrawal {
    struct pd_write write;
    struct catalog *catalog;
    bool is_done; /* Under the catalog's lock, as is err. */
    struct err err;
};

static void withdrawal_done(struct pd_write *write, const struct err *err)
{
    struct withdrawal *w = CONTAINER_OF(write, struct withdrawal, write);
    struct catalog *catalog = w->catalog;
    mutex_lock(&catalog->lock);
    CHECK(!w->is_done);
    if (err != NULL) {
        w->err = *err;
    }
    w->is_done = true;
    condition_broadcast(&catalog->changed);
    mutex_unlock(&catalog->lock);
}

static uint64_t find_broken(struct catalog *catalog, const char *name)
{
    mutex_lock(&catalog->lock);
    const struct collection *c = find_named(catalog, name);
    bool is_broken = c != NULL && atomic_load(&c->state) == COLLECTION_BROKEN;
    uint64_t id = is_broken ? c->schema->id : 0;
    mutex_unlock(&catalog->lock);
    return id;
}

void collection_withdraw(struct node *node, const char *name, struct err *why)
{
    CHECK(why->code != ERR_OK && !role_is_mine(&apply_thread));
    struct catalog *catalog = node->catalog;
    struct withdrawal w = {.write.done = withdrawal_done, .catalog = catalog};
    struct pd_command command = {
        .op = PD_WITHDRAW_COLLECTION,
        .collection = name,
        .id = find_broken(catalog, name),
    };
    if (command.id == 0) {
        return; /* It serves by now, or is gone. */
    }
    if (pd_submit(node->pd, &command, &w.write, &w.err) == ERR_OK) {
        mutex_lock(&catalog->lock);
        while (!w.is_done) {
            condition_wait(&catalog->changed, &catalog->lock);
        }
        mutex_unlock(&catalog->lock);
    }
    if (w.err.code == ERR_OK) {
        err_prefix(why, "collection \"%s\" was not created", name);
        err_hint(why, "Nothing is left of it: create it again once the reason has passed.");
    }
}

/* ---- opening and closing ---- */

static enum errcode sweep(struct catalog *catalog, struct err *err)
{
    uint64_t *groups;
    size_t n;
    enum errcode code = repl_groups(catalog->node->repl, &groups, &n, err);
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
            remove_remains(catalog->node, groups[i]);
        }
    }
    mem_free(MEM_LOG, groups);
    return ERR_OK;
}

struct catalog *catalog_new(struct node *node, struct err *err)
{
    struct catalog *catalog = mem_zalloc(MEM_CATALOG, sizeof(*catalog));
    if (catalog == NULL) {
        err_no_memory(err);
        return NULL;
    }
    catalog->node = node;
    mutex_init(&catalog->lock);
    condition_init(&catalog->changed);
    catalog->last = &catalog->first;
    return catalog;
}

/* Fewer threads than wanted open as many shards, only later. */
static void open_all(struct catalog *catalog)
{
    struct thread openers[OPENERS];
    struct err err;
    size_t n = 0;
    mutex_lock(&catalog->lock);
    size_t n_wanted = catalog->n_opening < OPENERS ? catalog->n_opening : OPENERS;
    mutex_unlock(&catalog->lock);
    while (n < n_wanted &&
           thread_start(&openers[n], "opener", opener_thread, catalog, &err) == ERR_OK) {
        n++;
    }
    mutex_lock(&catalog->lock);
    while (catalog->n_opening > 0) {
        condition_wait(&catalog->changed, &catalog->lock);
    }
    mutex_unlock(&catalog->lock);
    for (size_t i = 0; i < n; i++) {
        thread_join(&openers[i]);
    }
}

enum errcode catalog_start(struct catalog *catalog, struct err *err)
{
    CHECK(!catalog->is_started && catalog->node->pd != NULL);
    enum errcode code = sweep(catalog, err);
    if (code == ERR_OK) {
        code = thread_start(&catalog->thread, "catalog", catalog_thread, catalog, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    catalog->is_started = true;
    open_all(catalog);
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
    CHECK(!catalog->is_started);
    for (size_t i = 0; i < catalog->n; i++) {
        struct collection *c = catalog->collections[i];
        if (c->shard != NULL) {
            shard_close(c->shard);
            c->shard = NULL;
        }
        collection_release(c);
    }
    mem_free(MEM_CATALOG, catalog->collections);
    condition_fini(&catalog->changed);
    mutex_fini(&catalog->lock);
    mem_free(MEM_CATALOG, catalog);
}
