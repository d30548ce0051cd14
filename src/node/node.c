/* The node: its parts are opened in this order and closed in the reverse one: policies, pool,
 * alarms, shard host, catalog, pd (which tells the catalog of the map), shards. */
#include "node/node_int.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* ---- the file's policies ---- */

/* What a file says now, but with the start's values where a change waits for the next start. */
static struct policy_file *policy_file_new(const struct node *node, const struct policy_set *set)
{
    struct policy_file *file = mem_zalloc(MEM_GENERAL, sizeof(*file));
    if (file == NULL) {
        return NULL;
    }
    atomic_init(&file->refs, 1);
    file->pending = *set;
    file->set = *set;
    for (int i = 0; i < POLICY_COUNT; i++) {
        if (policy_row((enum policy_id)i)->apply == APPLY_AT_START) {
            policy_copy(&file->set, &node->started, (enum policy_id)i);
        }
    }
    return file;
}

struct policy_file *policy_file_acquire(struct node *node)
{
    mutex_lock(&node->lock);
    struct policy_file *file = node->policies;
    CHECK(file != NULL && atomic_load(&file->refs) > 0);
    atomic_fetch_add(&file->refs, 1);
    mutex_unlock(&node->lock);
    return file;
}

void policy_file_release(struct policy_file *file)
{
    if (file == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub(&file->refs, 1);
    CHECK(before > 0);
    if (before == 1) {
        mem_free(MEM_GENERAL, file);
    }
}

void node_reload(struct node *node, const struct policy_set *file_policies)
{
    CHECK(file_policies != NULL);
    struct policy_view view = {.levels = {[LEVEL_FILE] = file_policies}};
    struct policy_file *file = policy_file_new(node, file_policies);
    if (file == NULL) {
        log_line(LOG_ERROR, "no memory to take over the configuration");
        return;
    }
    mutex_lock(&node->lock);
    struct policy_file *old = node->policies;
    node->policies = file;
    mutex_unlock(&node->lock);
    policy_file_release(old);
    shard_host_reload(node->host, file_policies);
    repl_reserve(node->repl, (size_t)policy_int(&view, POLICY_disk_reserve));
}

/* ---- opening and closing ---- */

static enum errcode make_directory(const char *base, const char *name, char *path, size_t bytes,
                                   struct err *err)
{
    if ((size_t)snprintf(path, bytes, "%s/%s", base, name) >= bytes) {
        return err_set(err, ERR_BAD_CONFIG, "the path \"%s\" is too long", base);
    }
    return dir_make(path, err);
}

/* A shard's directory is made behind the command that adds it to the map: a map that never had one
 * has been lost, with the log or without. */
static enum errcode check_shards(const struct node *node, struct err *err)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/shards", node->directory);
    const struct map *map = pd_map_acquire(node->pd);
    bool is_new = map->epoch == MAP_EPOCH_FIRST;
    pd_map_release(node->pd, map);
    DIR *dir = is_new ? opendir(path) : NULL;
    enum errcode code = ERR_OK;
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (isdigit((unsigned char)entry->d_name[0]) && code == ERR_OK) {
            code = err_set(err, ERR_CORRUPT,
                           "\"%s\" holds the shard %.80s, and neither log nor map knows of any",
                           path, entry->d_name);
            err_hint(err, "Restore the whole data directory from a backup, log and map with it.");
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return code;
}

static enum errcode open_parts(struct node *node, const struct node_config *config, struct err *err)
{
    char path[512];
    struct shard_host_config host = {.file_policies = config->file_policies,
                                     .work_threads = config->work_threads};
    if ((node->pool = pool_new(config->work_threads, err)) == NULL ||
        (node->alarms = alarms_new(err)) == NULL ||
        (node->catalog = catalog_new(node, err)) == NULL) {
        return err->code;
    }
    if (make_directory(node->directory, "shards", path, sizeof(path), err) != ERR_OK ||
        shard_host_new(&host, &node->host, err) != ERR_OK ||
        make_directory(node->directory, "map", path, sizeof(path), err) != ERR_OK) {
        return err->code;
    }
    struct pd_config pd = {
        .directory = path, .repl = node->repl, .changed = catalog_changed, .arg = node};
    if (pd_open(&pd, &node->pd, err) != ERR_OK) {
        return err->code;
    }
    if (check_shards(node, err) != ERR_OK) {
        return err->code;
    }
    return catalog_start(node->catalog, err);
}

enum errcode node_open(const struct node_config *config, struct node **out, struct err *err)
{
    CHECK(config->directory != NULL && config->repl != NULL && config->file_policies != NULL);
    struct node *node = mem_zalloc(MEM_GENERAL, sizeof(*node));
    if (node == NULL) {
        return err_no_memory(err);
    }
    mutex_init(&node->lock);
    node->repl = config->repl;
    node->started = *config->file_policies;
    node->policies = policy_file_new(node, config->file_policies);
    node->directory = mem_strndup(MEM_GENERAL, config->directory, strlen(config->directory));
    enum errcode code = node->policies != NULL && node->directory != NULL
                            ? open_parts(node, config, err)
                            : err_no_memory(err);
    if (code != ERR_OK) {
        node_close(node);
        return code;
    }
    CHECK(node->pd != NULL && node->host != NULL && node->catalog != NULL);
    *out = node;
    return ERR_OK;
}

void node_close(struct node *node)
{
    if (node == NULL) {
        return;
    }
    CHECK(!role_is_mine(&work_thread) && !role_is_mine(&apply_thread)); /* It ends them. */
    pool_free(node->pool);
    if (node->catalog != NULL) {
        catalog_stop(node->catalog);
    }
    if (node->pd != NULL) {
        pd_close(node->pd);
    }
    if (node->catalog != NULL) {
        catalog_free(node->catalog);
    }
    shard_host_free(node->host);
    alarms_free(node->alarms);
    policy_file_release(node->policies);
    mem_free(MEM_GENERAL, node->directory);
    mutex_fini(&node->lock);
    mem_free(MEM_GENERAL, node);
}

struct pd *node_pd(const struct node *node)
{
    return node->pd;
}

const char *node_directory(const struct node *node)
{
    return node->directory;
}
