/* The database: what all sessions of one process share. */
#include "query/database_int.h"
#include "query/query.h"

enum errcode database_open(const struct database_config *config, struct database **out,
                           struct err *err)
{
    CHECK(config->directory != NULL && config->repl != NULL && config->file_policies != NULL);
    struct node_config of_node = {.directory = config->directory,
                                  .repl = config->repl,
                                  .file_policies = config->file_policies,
                                  .work_threads = config->work_threads};
    struct database *db = mem_zalloc(MEM_GENERAL, sizeof(*db));
    if (db == NULL) {
        return err_no_memory(err);
    }
    mutex_init(&db->lock);
    condition_init(&db->changed);
    enum errcode code = node_open(&of_node, &db->node, err);
    if (code != ERR_OK) {
        database_close(db);
        return code;
    }
    *out = db;
    return ERR_OK;
}

void database_reload(struct database *db, const struct policy_set *file_policies)
{
    CHECK(file_policies != NULL && !role_is_mine(&work_thread));
    node_reload(db->node, file_policies);
}

void database_hold(struct database *db)
{
    mutex_lock(&db->lock);
    db->n_abandoned++;
    mutex_unlock(&db->lock);
}

void database_let_go(struct database *db)
{
    mutex_lock(&db->lock);
    CHECK(db->n_abandoned > 0);
    db->n_abandoned--;
    condition_broadcast(&db->changed);
    mutex_unlock(&db->lock);
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
    CHECK(!role_is_mine(&work_thread)); /* It ends them. */
    wait_for_abandoned(db);
    node_close(db->node);
    condition_fini(&db->changed);
    mutex_fini(&db->lock);
    mem_free(MEM_GENERAL, db);
}
