/* Mode standalone: the log, the map, the shards and the sessions in one process. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "server/server_int.h"

#include "repl/repl.h"

enum {
    NODE_ID = 1, /* The only voter of every group. */
    LOG_IN_MEMORY_BYTES_MAX = 256 << 20,
    PATH_BYTES_MAX = 4096,
};

static unsigned threads_of(const struct policy_view *view, enum policy_id id)
{
    struct policy_value value = policy_get(view, id, NULL);
    return value.is_auto ? thread_cores() : (unsigned)value.integer;
}

static enum errcode start(struct process *process, const char *directory,
                          const struct policy_set *policies, struct err *err)
{
    struct policy_view view = {.levels = {[LEVEL_FILE] = policies}};
    char path[PATH_BYTES_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/log", directory) >= sizeof path) {
        return err_set(err, ERR_BAD_CONFIG, "the data directory's path is too long");
    }
    struct repl_config repl = {
        .directory = path,
        .node = NODE_ID,
        .map_bytes = mode_standalone.map_bytes,
        .disk_reserve_bytes = (size_t)policy_int(&view, POLICY_disk_reserve),
        .in_memory_max = LOG_IN_MEMORY_BYTES_MAX,
        .apply_nice = (int)policy_int(&view, POLICY_ingest_nice),
    };
    if (repl_open(&repl, &process->repl, err) != ERR_OK) {
        return err->code;
    }
    struct database_config database = {
        .directory = directory,
        .repl = process->repl,
        .file_policies = policies,
        .work_threads = threads_of(&view, POLICY_work_threads),
    };
    if (database_open(&database, &process->db, err) != ERR_OK) {
        repl_close(process->repl);
        *process = (struct process){0};
        return err->code;
    }
    return ERR_OK;
}

static void reload(struct process *process, const struct policy_set *policies)
{
    database_reload(process->db, policies);
}

static void stop(struct process *process)
{
    database_close(process->db);
    repl_close(process->repl);
    *process = (struct process){0};
}

const struct mode mode_standalone = {
    .name = "standalone",
    .text = "all in one process",
    /* The log's: it holds what is not flushed, and unflushed_max bounds that. */
    .map_bytes = (size_t)64 << 30,
    .start = start,
    .reload = reload,
    .stop = stop,
};
