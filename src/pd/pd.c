/* The map of the node: opened from its snapshot and its log, changed by commands, read by versions.
 *
 *   pd_open    snapshot_read -> repl_group_open (replays what is behind it) -> changed()
 *   pd_submit  command_encode -> repl_submit -> map_apply: command_run -> new version in force
 *              -> changed() -> done()
 *
 * Every SNAPSHOT_COMMANDS commands, and at the end, the map is written to its file and the log cut
 * behind it.  A snapshot that fails is no error of any command: the log is kept, and the next
 * command tries again. */
#include <stdio.h>
#include <string.h>

#include "pd/pd_int.h"

enum {
    SNAPSHOT_COMMANDS = 64,
    PATH_BYTES = 4096,
    MEMORY_RETRY_US = 10000,
};

struct pd {
    struct pd_config config;
    char directory[PATH_BYTES];
    struct repl_group *group;
    struct mutex lock;
    struct version *current; /* lock; written on the apply thread only. */
    /* Of the opener until pd_open has opened the group, then of the apply thread. */
    bool is_replaying;
    struct err refused; /* A command that this server does not know ends the replay. */
    uint64_t applied, snapshot_applied;
    uint64_t n_unsaved; /* Commands since the snapshot. */
};

/* ---- versions ---- */

const struct map *pd_map_acquire(struct pd *pd)
{
    mutex_lock(&pd->lock);
    struct version *version = pd->current;
    CHECK(version != NULL && atomic_load(&version->n_holders) > 0);
    atomic_fetch_add(&version->n_holders, 1);
    mutex_unlock(&pd->lock);
    return &version->map;
}

void pd_map_release(struct pd *pd, const struct map *map)
{
    CHECK(map != NULL);
    (void)pd;
    version_release(CONTAINER_OF(map, struct version, map));
}

static void install(struct pd *pd, struct version *next)
{
    CHECK_ROLE(apply_thread);
    mutex_lock(&pd->lock);
    struct version *old = pd->current;
    CHECK(next->map.epoch == old->map.epoch + 1);
    pd->current = next;
    mutex_unlock(&pd->lock);
    version_release(old);
}

static void tell_changed(struct pd *pd)
{
    const struct map *map = pd_map_acquire(pd);
    pd->config.changed(pd->config.arg, map);
    pd_map_release(pd, map);
}

/* ---- the snapshot ---- */

static void save(struct pd *pd)
{
    CHECK(pd->applied > pd->snapshot_applied);
    struct err err;
    if (snapshot_write(pd->directory, pd->current, pd->applied, &err) != ERR_OK) {
        log_err(LOG_WARNING, &err, "the map's snapshot failed and will be tried again");
        return;
    }
    pd->snapshot_applied = pd->applied;
    pd->n_unsaved = 0;
}

/* ---- commands ---- */

/* A command must have its effect, or the map would differ from the log: without memory it waits. */
static enum errcode run(struct pd *pd, const struct repl_entry *entry, struct version **next,
                        struct err *err)
{
    bool is_known;
    enum errcode code;
    while ((code = command_run(entry->data, entry->bytes, pd->current, next, &is_known, err)) ==
           ERR_OUT_OF_MEMORY) {
        log_line(LOG_WARNING, "no memory to change the map, waiting for some");
        clock_sleep_micros(MEMORY_RETRY_US);
    }
    if (!is_known) {
        log_err(LOG_ERROR, err, "the map cannot be changed any more");
        pd->refused = *err;
    }
    return code;
}

static void apply_one(struct pd *pd, const struct repl_entry *entry)
{
    struct version *next = NULL;
    struct err err;
    if (pd->refused.code != ERR_OK) {
        err = pd->refused;
    } else {
        err.code = run(pd, entry, &next, &err);
    }
    CHECK((err.code == ERR_OK || next == NULL) && entry->index > pd->applied);
    if (pd->refused.code == ERR_OK) {
        pd->applied = entry->index;
        pd->n_unsaved += 1;
    }
    if (next != NULL) {
        install(pd, next);
        if (!pd->is_replaying) {
            tell_changed(pd);
        }
    }
    if (entry->write != NULL) {
        struct pd_write *write = CONTAINER_OF(entry->write, struct pd_write, repl);
        write->rows = next != NULL ? 1 : 0;
        repl_write_applied(&write->repl, entry->index, err.code != ERR_OK ? &err : NULL);
    }
}

static void map_apply(void *arg, const struct repl_entry *entries, size_t n)
{
    CHECK_ROLE(apply_thread);
    CHECK(n > 0);
    struct pd *pd = arg;
    for (size_t i = 0; i < n; i++) {
        apply_one(pd, &entries[i]);
    }
    if (pd->n_unsaved >= SNAPSHOT_COMMANDS && !pd->is_replaying) {
        save(pd);
        if (pd->n_unsaved == 0) {
            repl_group_cut(pd->group, pd->snapshot_applied);
        }
    }
}

static void written(struct repl_write *repl, uint64_t index, const struct err *err)
{
    CHECK(index > 0 || err != NULL);
    (void)index;
    struct pd_write *write = CONTAINER_OF(repl, struct pd_write, repl);
    write->done(write, err);
}

enum errcode pd_submit(struct pd *pd, const struct pd_command *command, struct pd_write *write,
                       struct err *err)
{
    CHECK(write->done != NULL);
    CHECK(command->op == PD_CREATE_COLLECTION ? command->schema != NULL
                                              : command->collection != NULL);
    CHECK(pd->group != NULL && !pd->is_replaying);
    CHECK(command->op != PD_WITHDRAW_COLLECTION || command->id > 0);
    struct buf b;
    buf_init(&b, MEM_LOG, REPL_ENTRY_BYTES_MAX);
    command_encode(&b, command);
    if (b.failed) {
        buf_fini(&b);
        return err_no_memory(err);
    }
    write->pd = pd;
    write->rows = 0;
    write->repl.wait_for = REPL_APPLIED;
    write->repl.done = written;
    write->repl.is_shrinking = command->op != PD_CREATE_COLLECTION;
    return repl_submit(pd->group, &write->repl, b.data, b.bytes, err);
}

bool pd_withdraw(struct pd_write *write)
{
    CHECK(write->pd != NULL);
    return repl_withdraw(&write->repl);
}

/* ---- open and close ---- */

static void free_pd(struct pd *pd)
{
    CHECK(pd->current == NULL || atomic_load(&pd->current->n_holders) == 1);
    version_release(pd->current);
    mutex_fini(&pd->lock);
    mem_free(MEM_CATALOG, pd);
}

enum errcode pd_open(const struct pd_config *config, struct pd **out, struct err *err)
{
    CHECK(config->directory != NULL && config->repl != NULL && config->changed != NULL);
    struct pd *pd = mem_zalloc(MEM_CATALOG, sizeof(*pd));
    if (pd == NULL) {
        return err_no_memory(err);
    }
    mutex_init(&pd->lock);
    pd->config = *config;
    pd->is_replaying = true;
    err_clear(&pd->refused);
    if (strlen(config->directory) + sizeof("/map.new") > sizeof(pd->directory)) {
        err_set(err, ERR_BAD_CONFIG, "the map's directory has a name longer than %zu bytes",
                sizeof(pd->directory) - sizeof("/map.new"));
        goto fail;
    }
    snprintf(pd->directory, sizeof(pd->directory), "%s", config->directory);
    if (dir_make(pd->directory, err) != ERR_OK ||
        snapshot_read(pd->directory, &pd->current, &pd->applied, err) != ERR_OK) {
        goto fail;
    }
    pd->snapshot_applied = pd->applied;
    const struct repl_group_config group = {
        .id = PD_GROUP, .applied = pd->applied, .apply = map_apply, .arg = pd};
    if (repl_group_open(config->repl, &group, &pd->group, err) != ERR_OK) {
        goto fail;
    }
    if (pd->refused.code != ERR_OK) {
        *err = pd->refused;
        repl_group_close(pd->group);
        goto fail;
    }
    pd->is_replaying = false;
    tell_changed(pd);
    *out = pd;
    return ERR_OK;
fail:
    free_pd(pd);
    return err->code;
}

void pd_close(struct pd *pd)
{
    CHECK(pd->group != NULL && !pd->is_replaying);
    repl_group_close(pd->group);
    if (pd->n_unsaved > 0) {
        save(pd); /* The next start cuts the log behind it. */
    }
    free_pd(pd);
}
