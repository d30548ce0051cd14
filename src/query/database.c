/* The database: what all sessions of one process share, opened in this order and closed in the
 * reverse one: policies, pool, alarms, shard host, catalog, pd (which tells the catalog of the
 * map), shards. */
#include "query/alarm_int.h"
#include "query/catalog_int.h"
#include "query/database_int.h"
#include "query/pool_int.h"
#include "query/query.h"

#include <stdio.h>
#include <string.h>

/* ---- the file's policies ---- */

/* What a file says now, but with the start's values where a change waits for the next start. */
static struct policy_file *policy_file_new(const struct database *db, const struct policy_set *set)
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
            policy_copy(&file->set, &db->started, (enum policy_id)i);
        }
    }
    return file;
}

struct policy_file *policy_file_acquire(struct database *db)
{
    mutex_lock(&db->lock);
    struct policy_file *file = db->policies;
    atomic_fetch_add(&file->refs, 1);
    mutex_unlock(&db->lock);
    return file;
}

void policy_file_release(struct policy_file *file)
{
    if (file != NULL && atomic_fetch_sub(&file->refs, 1) == 1) {
        mem_free(MEM_GENERAL, file);
    }
}

void database_reload(struct database *db, const struct policy_set *file_policies)
{
    struct policy_file *file = policy_file_new(db, file_policies);
    if (file == NULL) {
        log_line(LOG_ERROR, "no memory to take over the configuration");
        return;
    }
    mutex_lock(&db->lock);
    struct policy_file *old = db->policies;
    db->policies = file;
    mutex_unlock(&db->lock);
    policy_file_release(old);
    shard_host_reload(db->host, file_policies);
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

static enum errcode open_parts(struct database *db, const struct database_config *config,
                               struct err *err)
{
    char path[512];
    struct shard_host_config host = {.file_policies = config->file_policies,
                                     .work_threads = config->work_threads};
    if ((db->pool = pool_new(config->work_threads, err)) == NULL ||
        (db->alarms = alarms_new(err)) == NULL || (db->catalog = catalog_new(db, err)) == NULL) {
        return err->code;
    }
    enum errcode code = make_directory(db->directory, "shards", path, sizeof(path), err);
    if (code == ERR_OK) {
        code = shard_host_new(&host, &db->host, err);
    }
    if (code == ERR_OK) {
        code = make_directory(db->directory, "map", path, sizeof(path), err);
    }
    struct pd_config pd = {
        .directory = path, .repl = db->repl, .changed = catalog_changed, .arg = db};
    if (code == ERR_OK) {
        code = pd_open(&pd, &db->pd, err);
    }
    return code == ERR_OK ? catalog_start(db->catalog, err) : code;
}

enum errcode database_open(const struct database_config *config, struct database **out,
                           struct err *err)
{
    struct database *db = mem_zalloc(MEM_GENERAL, sizeof(*db));
    if (db == NULL) {
        return err_no_memory(err);
    }
    mutex_init(&db->lock);
    condition_init(&db->changed);
    db->repl = config->repl;
    db->started_wall_us = clock_wall_micros();
    db->started = *config->file_policies;
    db->policies = policy_file_new(db, config->file_policies);
    db->directory = mem_strndup(MEM_GENERAL, config->directory, strlen(config->directory));
    enum errcode code = db->policies != NULL && db->directory != NULL ? open_parts(db, config, err)
                                                                      : err_no_memory(err);
    if (code != ERR_OK) {
        database_close(db);
        return code;
    }
    *out = db;
    return ERR_OK;
}

/* Canceled statements whose write is still in the log, or whose step is on the pool, end soon. */
static void wait_for_abandoned(struct database *db)
{
    mutex_lock(&db->lock);
    CHECK(db->sessions == NULL);
    while (db->n_abandoned > 0) {
        condition_wait(&db->changed, &db->lock);
    }
    mutex_unlock(&db->lock);
}

void database_close(struct database *db)
{
    wait_for_abandoned(db);
    pool_free(db->pool);
    if (db->catalog != NULL) {
        catalog_stop(db->catalog);
    }
    if (db->pd != NULL) {
        pd_close(db->pd);
    }
    if (db->catalog != NULL) {
        catalog_free(db->catalog);
    }
    shard_host_free(db->host);
    alarms_free(db->alarms);
    policy_file_release(db->policies);
    mem_free(MEM_GENERAL, db->directory);
    condition_fini(&db->changed);
    mutex_fini(&db->lock);
    mem_free(MEM_GENERAL, db);
}
