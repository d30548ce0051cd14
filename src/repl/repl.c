/* The door's functions: a node's log, its groups, and what is submitted to them.
 *
 * They run on any thread, touch only what repl.lock guards, and leave the work to the log thread
 * and the apply thread.  Those that wait (open, close, destroy) may be called by an owner's apply:
 * then the apply thread waits, and wait_for lets it apply what the awaited group still has. */
#include <string.h>

#include "repl/log_store_int.h"
#include "repl/repl_int.h"

enum {
    NESTED_BATCH = 64, /* Entries of one call of apply, where the apply thread waits in apply. */
};

/* One step of waiting for something that this group's entries, or the log thread, bring about. */
static void wait_step(struct repl *r, struct repl_group *g) REQUIRES(r->lock)
{
    CHECK(g->repl == r);
    struct repl_entry batch[NESTED_BATCH];
    if (!role_is_mine(&apply_thread) || !apply_batch(r, g, batch, NESTED_BATCH)) {
        condition_wait(&r->changed, &r->lock);
    }
}

static bool add_id(struct repl *r, uint64_t id) REQUIRES(r->lock)
{
    for (size_t i = 0; i < r->n_ids; i++) {
        if (r->ids[i] == id) {
            return true;
        }
    }
    if (r->n_ids == r->n_ids_max) {
        size_t n_max = r->n_ids_max == 0 ? 16 : r->n_ids_max * 2;
        uint64_t *more = mem_realloc(MEM_LOG, r->ids, n_max * sizeof(*more));
        if (more == NULL) {
            return false;
        }
        r->ids = more;
        r->n_ids_max = n_max;
    }
    r->ids[r->n_ids++] = id;
    return true;
}

static void remove_id(struct repl *r, uint64_t id) REQUIRES(r->lock)
{
    CHECK(id > 0);
    for (size_t i = 0; i < r->n_ids; i++) {
        if (r->ids[i] == id) {
            r->ids[i] = r->ids[--r->n_ids];
            return;
        }
    }
}

/* ---- the node ---- */

static void *heap_malloc(void *unused, size_t bytes)
{
    (void)unused;
    return mem_alloc(MEM_LOG, bytes);
}

static void *heap_calloc(void *unused, size_t n, size_t bytes)
{
    (void)unused;
    return bytes > 0 && n > SIZE_MAX / bytes ? NULL : mem_zalloc(MEM_LOG, n * bytes);
}

static void *heap_realloc(void *unused, void *old, size_t bytes)
{
    (void)unused;
    return mem_realloc(MEM_LOG, old, bytes);
}

static void heap_free(void *unused, void *memory)
{
    (void)unused;
    mem_free(MEM_LOG, memory);
}

/* Raft's memory is the log's.  It asks for aligned blocks only in the I/O that we do not use. */
static struct raft_heap heap = {
    .malloc = heap_malloc,
    .free = heap_free,
    .calloc = heap_calloc,
    .realloc = heap_realloc,
};

/* What the log knows: groups, and groups whose removal a restart has interrupted. */
static enum errcode list_groups(struct repl *r, struct err *err) REQUIRES(r->lock)
{
    if (log_store_read_begin(r->store, true, err) != ERR_OK) {
        return err->code;
    }
    enum errcode code;
    struct log_state state;
    bool found;
    uint64_t group = 0;
    while ((code = log_store_next_group(r->store, &group, &state, &found, err)) == ERR_OK &&
           found) {
        struct doomed *d = NULL;
        if (state.is_doomed && (d = mem_zalloc(MEM_LOG, sizeof(*d))) != NULL) {
            *d = (struct doomed){.next = r->doomed, .group = group, .is_marked = true};
            r->doomed = d;
        }
        if (state.is_doomed ? d == NULL : !add_id(r, group)) {
            code = err_no_memory(err);
            break;
        }
        group += 1;
    }
    log_store_read_end(r->store);
    return code;
}

static void free_repl(struct repl *r)
{
    while (r->doomed != NULL) {
        struct doomed *d = r->doomed;
        r->doomed = d->next;
        mem_free(MEM_LOG, d);
    }
    if (r->store != NULL) {
        log_store_close(r->store);
    }
    mem_free(MEM_LOG, r->raft_entries);
    mem_free(MEM_LOG, r->batch);
    mem_free(MEM_LOG, r->ids);
    condition_fini(&r->changed);
    condition_fini(&r->apply_wake);
    condition_fini(&r->log_wake);
    mutex_fini(&r->lock);
    mem_free(MEM_LOG, r);
}

static void stop_log(struct repl *r)
{
    mutex_lock(&r->lock);
    CHECK(!r->is_stopping);
    r->is_stopping = true;
    condition_signal(&r->log_wake);
    mutex_unlock(&r->lock);
    thread_join(&r->log);
}

enum errcode repl_open(const struct repl_config *config, struct repl **out, struct err *err)
{
    CHECK(config->node > 0 && config->directory != NULL);
    CHECK(config->map_bytes > 0);
    raft_heap_set(&heap);
    struct repl *r = mem_zalloc(MEM_LOG, sizeof(*r));
    if (r == NULL) {
        return err_no_memory(err);
    }
    r->config = *config;
    r->config.directory = NULL; /* The store has its own copy. */
    r->timer_us = UINT64_MAX;
    mutex_init(&r->lock);
    condition_init(&r->log_wake);
    condition_init(&r->apply_wake);
    condition_init(&r->changed);
    if (log_store_open(config, &r->store, err) != ERR_OK) {
        r->store = NULL;
        goto fail;
    }
    mutex_lock(&r->lock);
    enum errcode code = list_groups(r, err);
    mutex_unlock(&r->lock);
    if (code != ERR_OK) {
        goto fail;
    }
    r->batch = mem_alloc(MEM_LOG, APPLY_ENTRIES_MAX * sizeof(*r->batch));
    if (r->batch == NULL) {
        err_no_memory(err);
        goto fail;
    }
    if (thread_start(&r->log, "log", log_thread_run, r, err) != ERR_OK) {
        goto fail;
    }
    if (thread_start(&r->apply, "apply", apply_thread_run, r, err) != ERR_OK) {
        stop_log(r);
        goto fail;
    }
    *out = r;
    return ERR_OK;
fail:
    free_repl(r);
    return err->code;
}

void repl_close(struct repl *r)
{
    CHECK(!role_is_mine(&log_thread) && !role_is_mine(&apply_thread));
    mutex_lock(&r->lock);
    CHECK(r->n_open == 0 && r->room_first == NULL);
    mutex_unlock(&r->lock);
    stop_log(r);
    thread_join(&r->apply);
    free_repl(r);
}

enum errcode repl_groups(struct repl *r, uint64_t **ids, size_t *n, struct err *err)
{
    mutex_lock(&r->lock);
    *n = r->n_ids;
    *ids = mem_alloc(MEM_LOG, (r->n_ids + 1) * sizeof(**ids));
    if (*ids != NULL && r->n_ids > 0) {
        memcpy(*ids, r->ids, r->n_ids * sizeof(**ids));
    }
    mutex_unlock(&r->lock);
    return *ids != NULL ? ERR_OK : err_no_memory(err);
}

/* ---- groups ---- */

enum errcode repl_group_open(struct repl *r, const struct repl_group_config *config,
                             struct repl_group **out, struct err *err)
{
    CHECK(!role_is_mine(&log_thread)); /* It is waited for. */
    CHECK(config->id > 0 && config->apply != NULL);
    struct repl_group *g = mem_zalloc(MEM_LOG, sizeof(*g));
    if (g == NULL) {
        return err_no_memory(err);
    }
    g->repl = r;
    g->config = *config;
    g->state = GROUP_OPENING;
    g->figures.role = "opening";
    g->figures.applied = config->applied;

    mutex_lock(&r->lock);
    CHECK(!r->is_stopping);
    enum errcode code = ERR_OK;
    if (!add_id(r, config->id)) {
        code = err_no_memory(err);
        goto out;
    }
    g->next = r->opening;
    r->opening = g;
    r->n_open += 1;
    condition_signal(&r->log_wake);
    while ((g->state != GROUP_SERVING && g->state != GROUP_FAILED) || g->n_in_flight > 0) {
        wait_step(r, g);
    }
    if (g->state == GROUP_FAILED) {
        *err = g->error;
        code = err->code;
        r->n_open -= 1;
        group_unlist(r, g);
    }
out:
    mutex_unlock(&r->lock);
    if (code != ERR_OK) {
        mem_free(MEM_LOG, g);
        return code;
    }
    *out = g;
    return ERR_OK;
}

void repl_group_close(struct repl_group *g)
{
    CHECK(!role_is_mine(&log_thread));
    struct repl *r = g->repl;
    mutex_lock(&r->lock);
    CHECK(r->n_open > 0);
    group_move(r, g, GROUP_CLOSING, "its owner closes it");
    while (g->n_in_flight > 0) {
        wait_step(r, g);
    }
    if (g->state != GROUP_CLOSED) { /* Else a turn for a cut has closed it. */
        group_wait(r, g);
    }
    while (g->state != GROUP_CLOSED) {
        wait_step(r, g);
    }
    group_unlist(r, g);
    CHECK(g->n_in_flight == 0 && g->queue.n == 0 && g->backlog.n == 0);
    r->n_open -= 1;
    mutex_unlock(&r->lock);
    mem_free(MEM_LOG, g);
}

enum errcode repl_group_destroy(struct repl *r, uint64_t id, struct err *err)
{
    CHECK(!role_is_mine(&log_thread));
    CHECK(id > 0);
    struct doom_request request = {.is_answered = false};
    struct doomed *d = mem_zalloc(MEM_LOG, sizeof(*d));
    if (d == NULL) {
        return err_no_memory(err);
    }
    d->group = id;
    d->request = &request;
    err_clear(&request.error);
    mutex_lock(&r->lock);
    CHECK(!r->is_stopping);
    d->next = r->dooming;
    r->dooming = d;
    condition_signal(&r->log_wake);
    while (!request.is_answered) {
        condition_wait(&r->changed, &r->lock);
    }
    if (request.error.code == ERR_OK) {
        remove_id(r, id);
    }
    mutex_unlock(&r->lock);
    if (request.error.code != ERR_OK) {
        *err = request.error;
    }
    return request.error.code;
}

void repl_group_cut(struct repl_group *g, uint64_t index)
{
    struct repl *r = g->repl;
    mutex_lock(&r->lock);
    CHECK(index <= g->figures.commit);
    if (index > g->cut_wanted) {
        g->cut_wanted = index;
        group_wait(r, g);
    }
    mutex_unlock(&r->lock);
}

void repl_reserve(struct repl *r, size_t disk_reserve_bytes)
{
    log_store_reserve(r->store, disk_reserve_bytes);
}

void repl_group_figures(const struct repl_group *g, struct repl_figures *out)
{
    struct repl *r = g->repl;
    mutex_lock(&r->lock);
    *out = g->figures;
    mutex_unlock(&r->lock);
    out->log_file_bytes = log_store_file_bytes(r->store);
}

size_t repl_group_in_flight(const struct repl_group *g)
{
    return atomic_load(&g->bytes_in_flight);
}

/* ---- writes ---- */

/* Refuses what cannot be taken now, or makes room for it. */
static enum errcode admit(struct repl *r, const struct repl_group *g,
                          const struct repl_write *write, size_t bytes, struct err *err)
    REQUIRES(r->lock)
{
    CHECK(bytes > 0 && bytes <= REPL_ENTRY_BYTES_MAX);
    if (g->state != GROUP_SERVING || r->is_stopping) {
        return err_set(err, ERR_SHUTTING_DOWN, "group %llu of the log is closing",
                       (unsigned long long)g->config.id);
    }
    if (r->is_full && !log_store_has_room(r->store, bytes, write->is_shrinking)) {
        return log_store_fail_full(r->store, write->is_shrinking, err);
    }
    if (!room_take(r, write->room, bytes)) {
        err_set(err, ERR_OVERLOADED, "%zu MiB of writes wait already, and %zu MiB are allowed",
                r->in_memory_bytes >> 20, r->config.in_memory_max >> 20);
        err_hint(err, "Try again in a moment, or write from fewer sessions.");
        return ERR_OVERLOADED;
    }
    return ERR_OK;
}

enum errcode repl_submit(struct repl_group *g, struct repl_write *write, void *data, size_t bytes,
                         struct err *err)
{
    CHECK(write->wait_for <= REPL_APPLIED);
    struct repl *r = g->repl;
    CHECK(write->done != NULL && data != NULL && bytes > 0);
    CHECK(write->room == NULL || write->room->ready != NULL);
    if (bytes > REPL_ENTRY_BYTES_MAX) {
        mem_free(MEM_LOG, data);
        err_set(err, ERR_STATEMENT_TOO_LONG, "a write of %zu bytes is longer than %d MiB", bytes,
                REPL_ENTRY_BYTES_MAX >> 20);
        err_hint(err, "Write fewer rows in one statement.");
        return ERR_STATEMENT_TOO_LONG;
    }
    bool is_received = write->wait_for == REPL_RECEIVED;
    write->next = NULL;
    write->group = g;
    write->is_done = false;
    struct entry *entry = entry_new(is_received ? NULL : write, data, bytes);
    if (entry == NULL) {
        mem_free(MEM_LOG, data);
        return err_no_memory(err);
    }
    entry->is_shrinking = write->is_shrinking;
    mutex_lock(&r->lock);
    enum errcode code = admit(r, g, write, bytes, err);
    if (code == ERR_OK) {
        entry_list_push(&g->queue, entry);
        g->n_in_flight += 1;
        atomic_fetch_add(&g->bytes_in_flight, bytes);
        group_wait(r, g);
    }
    mutex_unlock(&r->lock);
    if (code == ERR_OVERLOADED && write->room != NULL) {
        entry->data = NULL; /* The caller's. */
    }
    if (code != ERR_OK) {
        entry_free(entry);
    } else if (is_received) {
        write_tell(write, 0, NULL);
    }
    return code;
}

bool repl_withdraw(struct repl_write *write)
{
    CHECK(write->group != NULL); /* It was submitted. */
    struct repl_group *g = write->group;
    struct repl *r = g->repl;
    mutex_lock(&r->lock);
    CHECK(write->wait_for != REPL_RECEIVED); /* That is done when it is submitted. */
    struct entry *entry = entry_list_take(&g->queue, write);
    if (entry != NULL) {
        group_done(r, g, 1, entry->bytes);
    }
    mutex_unlock(&r->lock);
    if (entry == NULL) {
        return false;
    }
    entry_free(entry);
    return true;
}

void repl_write_applied(struct repl_write *write, uint64_t index, const struct err *err)
{
    CHECK(write->wait_for == REPL_APPLIED && index > 0);
    CHECK(write->group != NULL);
    write_tell(write, index, err);
}
