/* A shard's life: opened, cared for by its host (care.c), closed or destroyed.
 *
 *   open     file -> indexes from their checkpoints -> log replayed behind the file -> serves
 *   close    log stops -> host leaves -> flush -> checkpoints -> memory is freed
 *   destroy  log stops -> host leaves -> memory is freed -> files and log are removed */
#include "shard/host_int.h"
#include "shard/overlay_int.h"
#include "shard/payload_int.h"
#include "shard/shard_int.h"
#include "shard/store_int.h"
#include "shard/vector_file_int.h"
#include "shard/vectors_int.h"
#include "shard/view_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct schema *shard_schema(const struct shard *shard)
{
    return shard->schema;
}

/* ---- opening ---- */

static struct shard *shard_new(const struct shard_config *config, struct err *err)
{
    struct shard *shard = mem_zalloc(MEM_GENERAL, sizeof(*shard));
    if (shard == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    shard->group_id = config->group;
    shard->schema = schema_hold(config->schema);
    shard->repl = config->repl;
    shard->host = config->host;
    shard->flush_tried_us = clock_micros();
    shard->checkpointed_us = clock_micros();
    atomic_store(&shard->is_replaying, true);
    mutex_init(&shard->checkpoint);
    mutex_init(&shard->flush);
    mutex_init(&shard->apply);
    mutex_init(&shard->publish);
    mutex_init(&shard->waiting);
    condition_init(&shard->flushed_condition);
    condition_init(&shard->linked_condition);
    shard->directory = mem_strndup(MEM_GENERAL, config->directory, strlen(config->directory));
    shard->scratch = arena_new(MEM_OVERLAY, SIZE_MAX);
    if (shard->schema != NULL) {
        shard->payload = payload_new(host_payloads(shard->host), shard->schema, err);
    }
    if (shard->payload == NULL || shard->directory == NULL || shard->scratch == NULL ||
        shard->schema == NULL) {
        (void)err_no_memory(err);
        shard_free(shard);
        return NULL;
    }
    return shard;
}

/* Everything but the files.  Nobody else is in the shard. */
void shard_free(struct shard *shard)
{
    CHECK(shard->patient == NULL && atomic_load(&shard->group) == NULL);
    CHECK(shard->waiting_first == NULL);
    vectors_close(shard);
    views_free(shard);
    payload_free(shard->payload);
    generation_unref(shard->active);
    generation_unref(shard->flushing);
    store_close(shard->store);
    arena_free(shard->scratch);
    schema_release(shard->schema);
    condition_fini(&shard->linked_condition);
    condition_fini(&shard->flushed_condition);
    mutex_fini(&shard->waiting);
    mutex_fini(&shard->publish);
    mutex_fini(&shard->apply);
    mutex_fini(&shard->flush);
    mutex_fini(&shard->checkpoint);
    mem_free(MEM_GENERAL, shard->directory);
    mem_free(MEM_GENERAL, shard);
}

static enum errcode open_file(struct shard *shard, struct err *err)
{
    CHECK(shard->store == NULL && shard->active == NULL);
    struct store_config config = {
        .directory = shard->directory,
        .schema_id = shard->schema->id,
        .group = shard->group_id,
        .pool = host_stores(shard->host),
    };
    enum errcode code = store_open(&config, &shard->store, err);
    if (code != ERR_OK) {
        return code;
    }
    struct store_read *read = store_read_new(shard->store, err);
    if (read == NULL) {
        return err->code;
    }
    code = store_read_begin(read, err);
    if (code == ERR_OK) {
        const struct store_meta *meta = store_read_meta(read);
        shard->applied = meta->applied;
        shard->flushed = meta->applied;
        shard->rows = meta->rows;
        shard->next_row = meta->next_row;
        shard->covered = meta->covered;
        store_read_end(read);
        shard->active = generation_new(shard->next_row, err);
        code = shard->active == NULL ? ERR_OUT_OF_MEMORY : ERR_OK;
        shard->stored_bytes = store_used_bytes(shard->store);
    }
    store_read_free(read);
    return code;
}

static enum errcode open_log(struct shard *shard, struct err *err)
{
    CHECK(atomic_load(&shard->is_replaying) && shard->patient != NULL);
    struct repl_group *group;
    struct repl_group_config config = {
        .id = shard->group_id,
        .applied = shard->flushed,
        .apply = shard_apply,
        .arg = shard,
    };
    enum errcode code = repl_group_open(shard->repl, &config, &group, err);
    if (code == ERR_OK) {
        atomic_store(&shard->group, group);
        atomic_store(&shard->is_replaying, false);
    }
    return code;
}

/* Of one that could not be opened. */
static enum errcode give_up(struct shard *shard, struct err *err)
{
    CHECK(err->code != ERR_OK);
    err_prefix(err, "shard of \"%s\"", shard->schema->name);
    if ((err->code == ERR_CORRUPT || err->code == ERR_FORMAT_UNSUPPORTED) && err->hint[0] == '\0') {
        err_hint(err, "Restore the data directory from a backup, or drop the collection and load "
                      "it again.");
    }
    shard_free(shard);
    return err->code;
}

enum errcode shard_open(const struct shard_config *config, struct shard **out, struct err *err)
{
    CHECK(config->directory != NULL && config->group > 0 && config->schema != NULL);
    CHECK(config->repl != NULL && config->host != NULL);
    uint64_t started_us = clock_micros();
    struct shard *shard = shard_new(config, err);
    if (shard == NULL) {
        return err->code;
    }
    if (open_file(shard, err) != ERR_OK) {
        return give_up(shard, err);
    }
    uint64_t flushed = shard->flushed;
    if (vectors_open(shard, err) != ERR_OK || host_add(shard->host, shard, err) != ERR_OK) {
        return give_up(shard, err);
    }
    if (open_log(shard, err) != ERR_OK) {
        host_remove(shard->host, shard);
        return give_up(shard, err);
    }
    CHECK(shard->applied >= flushed); /* The log was handed on from there. */
    host_wake_indexer(shard);
    log_line(LOG_INFO,
             "shard opened group=%llu collection=%s rows=%llu replayed=%llu to_link=%llu ms=%llu",
             (unsigned long long)shard->group_id, shard->schema->name,
             (unsigned long long)shard->rows, (unsigned long long)(shard->applied - flushed),
             (unsigned long long)vectors_lag(shard),
             (unsigned long long)(clock_micros() - started_us) / 1000);
    *out = shard;
    return ERR_OK;
}

/* ---- closing ---- */

/* Writes that wait for graphs that nobody will finish now. */
static void refuse_waiting(struct shard *shard)
{
    CHECK(atomic_load(&shard->is_closing));
    shard_complete_indexed(shard);
    struct err err = {0};
    (void)err_set(&err, ERR_SHUTTING_DOWN, "the write is durable, but not in the graph yet");
    mutex_lock(&shard->waiting);
    struct shard_write *write = shard->waiting_first;
    CHECK((write == NULL) == (shard->waiting_last == NULL));
    shard->waiting_first = NULL;
    shard->waiting_last = NULL;
    mutex_unlock(&shard->waiting);
    while (write != NULL) {
        struct shard_write *next = write->next;
        repl_write_applied(&write->repl, write->index, &err);
        write = next;
    }
}

static void leave_log_and_host(struct shard *shard)
{
    CHECK(!atomic_load(&shard->is_closing));
    CHECK(!role_is_mine(&indexer_thread) && !role_is_mine(&flusher_thread) &&
          !role_is_mine(&keeper_thread)); /* Which it waits for. */
    atomic_store(&shard->is_closing, true);
    /* The flusher still makes room for what is being applied, but cuts the log no more. */
    mutex_lock(&shard->flush);
    struct repl_group *group = atomic_exchange(&shard->group, NULL);
    mutex_unlock(&shard->flush);
    CHECK(group != NULL);
    repl_group_close(group);
    host_remove(shard->host, shard);
    refuse_waiting(shard);
}

void shard_close(struct shard *shard)
{
    if (shard == NULL) {
        return;
    }
    struct err err = {0};
    leave_log_and_host(shard);
    enum errcode code = shard_wants_checkpoint(shard) ? shard_checkpoint(shard, NULL, NULL, &err)
                                                      : shard_flush(shard, &err);
    if (code != ERR_OK) {
        log_err(LOG_ERROR, &err,
                "closing without a checkpoint; the log has what is missing "
                "group=%llu",
                (unsigned long long)shard->group_id);
    }
    shard_free(shard);
}

static void remove_file(const char *directory, const char *name)
{
    CHECK(directory != NULL && name != NULL);
    char path[SHARD_PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (unlink(path) != 0 && errno != ENOENT) {
        log_line(LOG_WARNING, "cannot remove a file path=%s reason=%s", path, strerror(errno));
    }
}

static void remove_checkpoints(const struct shard *shard)
{
    char path[SHARD_PATH_BYTES];
    for (size_t i = 0; i < shard->n_vectors; i++) {
        vector_files_remove(shard->directory, shard->vectors[i].column, 0, UINT32_MAX);
        for (int is_temporary = 0; is_temporary < 2; is_temporary++) {
            checkpoint_path(shard, &shard->vectors[i], is_temporary != 0, path, sizeof(path));
            if (unlink(path) != 0 && errno != ENOENT) {
                log_line(LOG_WARNING, "cannot remove a file path=%s reason=%s", path,
                         strerror(errno));
            }
        }
    }
}

void shard_destroy(struct shard *shard)
{
    CHECK(shard->directory != NULL);
    static const char *const files[] = {"data.mdb", "data.mdb.new", "lock.mdb", "lock"};
    struct err err = {0};
    struct repl *repl = shard->repl;
    uint64_t group_id = shard->group_id;
    leave_log_and_host(shard);
    remove_checkpoints(shard);
    char *directory = shard->directory;
    shard->directory = NULL;
    shard_free(shard);
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        remove_file(directory, files[i]);
    }
    if (rmdir(directory) != 0) {
        log_line(LOG_WARNING, "cannot remove a directory path=%s reason=%s", directory,
                 strerror(errno));
    }
    if (repl_group_destroy(repl, group_id, &err) != ERR_OK) {
        log_err(LOG_ERROR, &err, "cannot remove a log group=%llu", (unsigned long long)group_id);
    }
    mem_free(MEM_GENERAL, directory);
}

/* ---- figures ---- */

static bool is_any(struct shard *shard, enum index_state state)
{
    bool is_any = false;
    for (size_t i = 0; i < shard->n_vectors; i++) {
        is_any = is_any || atomic_load(&shard->vectors[i].state) == state;
    }
    return is_any;
}

bool shard_is_rebuilding(struct shard *shard)
{
    return is_any(shard, INDEX_REBUILDING);
}

static const char *state_text(struct shard *shard)
{
    const char *text = shard_is_rebuilding(shard)         ? "rebuilding index"
                       : shard_is_refusing(shard)         ? "disk full"
                       : is_any(shard, INDEX_CATCHING_UP) ? "catching up"
                                                          : "serving";
    switch ((enum errcode)atomic_load(&shard->flush_error)) {
    case ERR_OK:
        return text;
    case ERR_DISK_FULL:
        return "disk full";
    default:
        return "flush fails";
    }
}

static uint64_t index_file_bytes(struct vector_index *v)
{
    const struct vector_file *file = vector_file_of(v->index);
    return atomic_load(&v->checkpoint_bytes) + (file == NULL ? 0 : vector_file_bytes(file));
}

void shard_figures(struct shard *shard, struct shard_figures *out)
{
    *out = (struct shard_figures){0};
    mutex_lock(&shard->publish);
    CHECK(shard->flushed <= shard->applied);
    out->rows = shard->rows;
    out->applied = shard->applied;
    out->flushed = shard->flushed;
    out->unflushed_bytes = shard_unflushed_bytes_locked(shard);
    out->unflushed_rows = generation_versions(shard->active) +
                          (shard->flushing == NULL ? 0 : generation_versions(shard->flushing));
    mutex_unlock(&shard->publish);
    mutex_lock(&shard->apply); /* Nothing is staged meanwhile. */
    for (size_t i = 0; i < shard->n_vectors; i++) {
        struct index_figures figures;
        index_figures(shard->vectors[i].index, &figures);
        out->index_rows += figures.rows;
        out->index_vacant += figures.vacant;
        out->code_bytes += figures.code_bytes;
        out->vector_bytes += figures.vector_bytes;
        out->mapped_bytes += figures.mapped_bytes;
        out->index_file_bytes += index_file_bytes(&shard->vectors[i]);
        out->graph_bytes += figures.graph_bytes;
    }
    mutex_unlock(&shard->apply);
    out->index_lag = vectors_lag(shard);
    out->checkpoint_lag = checkpoint_lag(shard);
    out->file_bytes = store_file_bytes(shard->store);
    out->state = state_text(shard);
    struct repl_group *group = atomic_load(&shard->group);
    if (group != NULL) {
        repl_group_figures(group, &out->log);
    }
}
