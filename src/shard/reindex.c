/* REINDEX: another index is built beside the one that serves, and takes its place.
 *
 *   1. rows     those of short views are staged into the new index, in the order of their numbers;
 *               apply takes note of what is deleted meanwhile; what disk_reserve keeps free is left
 *   2. level    under apply's lock: the rest of the rows, and what was deleted.  From here on apply
 *               stages each change into both
 *   3. linking  by the caller's thread and the crew, while the old one answers
 *   4. swap     under the locks of who stages and who advances, once little is to be linked
 *   5. record   the parameters go into the shard's file with the next flush, and a checkpoint is
 *               written: a crash before it finds the old graph, or makes the new one from the rows
 *
 * The parameters stand in a record of the file, "index-COLUMN", little-endian:
 *
 *   u32 CRC-32C of what follows | u32 version | u32 column | u32 m | u32 ef_construction
 *   u32 quantization, as its enum has it
 *
 * A column without one has those of its collection's policies. */
#include "shard/calibration_int.h"
#include "shard/host_int.h"
#include "shard/overlay_int.h"
#include "shard/row_int.h"
#include "shard/shard_int.h"
#include "shard/store_int.h"
#include "shard/vector_file_int.h"
#include "shard/vectors_int.h"
#include "shard/view_int.h"

#include <stdio.h>

enum {
    RECORD_VERSION = 1,
    RECORD_BYTES = 24,
    NAME_BYTES = 32,
    STAGE_ROWS = 1024, /* Row numbers that one view is asked for. */
    LEVEL_TRIES = 16,  /* Then writers wait until the last rows are staged. */
    LINK_ROWS = 1024,  /* By one call, and what may be left for the swap. */
    USERS_POLL_US = 200,
};

/* ---- the index that serves is exchanged ---- */

/* Puts @index in the place of the one that serves, which is returned when nobody uses it. */
static void exchange(struct vector_index *v, struct index *index)
{
    CHECK(index != NULL && index != v->index && atomic_load(&v->side) <= 1);
    v->index = index;
    atomic_store(&v->side, 1 - atomic_load(&v->side));
}

static void wait_for_users(struct vector_index *v)
{
    while (atomic_load(&v->users[1 - atomic_load(&v->side)]) > 0) {
        clock_sleep_micros(USERS_POLL_US);
    }
}

/* ---- rows ---- */

/* The rows of one view from *from on, as many as one call takes; *is_end where those were all. */
static enum errcode stage_batch(struct shard *shard, struct vector_index *v, uint64_t *from,
                                bool *is_end, struct err *err)
{
    CHECK(v->reindex != NULL && v->reindex->index != NULL && *from > 0);
    struct shard_view *view;
    struct arena *arena = arena_new(MEM_GENERAL, SIZE_MAX);
    struct slice *bodies = arena == NULL ? NULL : arena_array(arena, STAGE_ROWS, sizeof(*bodies));
    if (bodies == NULL) {
        arena_free(arena);
        return err_no_memory(err);
    }
    enum errcode code = shard_view_open(shard, &view, err);
    if (code != ERR_OK) {
        arena_free(arena);
        return code;
    }
    struct change change = {.index = view->applied, .first_row = *from};
    for (;;) {
        struct shard_row row;
        bool is_found;
        code = shard_view_next(view, change.first_row + change.n_rows, &row, &is_found, err);
        *is_end = code == ERR_OK && !is_found;
        if (code != ERR_OK || !is_found) {
            break;
        }
        if (change.n_rows == 0) {
            change.first_row = row.number;
        }
        if (row.number - change.first_row >= STAGE_ROWS) {
            break;
        }
        while (change.n_rows < row.number - change.first_row) {
            bodies[change.n_rows++] = (struct slice){NULL, 0};
        }
        code = row_check(row.number, (struct slice){row.data, row.bytes}, &bodies[change.n_rows++],
                         err);
        if (code != ERR_OK) {
            break;
        }
    }
    CHECK(change.n_rows <= STAGE_ROWS);
    if (code == ERR_OK && change.n_rows > 0) {
        struct staged_rows rows = {bodies, arena};
        code = vector_index_stage_rows(shard, v, v->reindex->index, &change, &rows, err);
        *from = change.first_row + change.n_rows;
    }
    shard_view_close(view);
    arena_free(arena);
    return code;
}

static enum errcode poll(const struct shard_reindex *request, const char *phase, uint64_t done,
                         uint64_t total, struct err *err)
{
    if (request->progress != NULL) {
        request->progress(request->arg, phase, done, total);
    }
    if (request->is_canceled != NULL && request->is_canceled(request->arg)) {
        return err_set(err, ERR_CANCELED, "the index is as it was");
    }
    return ERR_OK;
}

/* Others' writes would be refused for what the new file takes. */
static enum errcode check_disk(struct shard *shard, const struct vector_index *v, struct err *err)
{
    uint64_t row_bytes = shard->schema->columns[v->column].dim * sizeof(float);
    uint64_t reserve = (uint64_t)shard_policy(shard, POLICY_disk_reserve);
    if (store_disk_free(shard->store) >= reserve + STAGE_ROWS * row_bytes) {
        return ERR_OK;
    }
    (void)err_set(err, ERR_DISK_FULL, "the new index would take from the disk what is kept free");
    err_hint(err, "Free space on this file system, as for another file of vectors.");
    err_policy(err, "disk_reserve");
    return ERR_DISK_FULL;
}

/* Until so few are left that apply may wait for the rest. */
static enum errcode copy_rows(struct shard *shard, struct vector_index *v,
                              const struct shard_reindex *request, uint64_t *from, struct err *err)
{
    enum errcode code = ERR_OK;
    bool is_end = false;
    int tries = 0;
    while (code == ERR_OK && tries < LEVEL_TRIES) {
        mutex_lock(&shard->publish);
        uint64_t next_row = shard->next_row;
        mutex_unlock(&shard->publish);
        if (*from + STAGE_ROWS >= next_row) {
            break;
        }
        code = poll(request, "staging rows", *from, next_row, err);
        if (code == ERR_OK) {
            code = check_disk(shard, v, err);
        }
        if (code == ERR_OK) {
            code = stage_batch(shard, v, from, &is_end, err);
        }
        tries += is_end;
    }
    return code;
}

static enum errcode become_level(struct shard *shard, struct vector_index *v, uint64_t from,
                                 struct err *err)
{
    struct reindex *r = v->reindex;
    CHECK(!r->is_level);
    enum errcode code = ERR_OK;
    mutex_lock(&shard->apply);
    for (bool is_end = false; !is_end;) {
        code = stage_batch(shard, v, &from, &is_end, err);
        if (code != ERR_OK) {
            goto out;
        }
    }
    code = r->has_failed
               ? err_no_memory(err)
               : index_stage_delete(r->index, shard->applied, r->deleted, r->n_deleted, err);
out:
    r->is_level = code == ERR_OK;
    mutex_unlock(&shard->apply);
    return code;
}

/* ---- linking, and the swap ---- */

static enum errcode link_rows(struct shard *shard, struct vector_index *v,
                              const struct shard_reindex *request, struct err *err)
{
    CHECK(v->reindex->is_level);
    struct index *index = v->reindex->index;
    enum errcode code = ERR_OK;
    size_t left = index_pending(index), done = 0;
    while (code == ERR_OK && left > LINK_ROWS) {
        size_t n;
        code = poll(request, "linking rows", done, done + left, err);
        if (code == ERR_OK) {
            code = index_advance(index, LINK_ROWS, host_crew(shard->host), &n, err);
            done += n;
        }
        left = index_pending(index);
    }
    return code;
}

/* Where it succeeds @old is the index that served, which some may still be using. */
static enum errcode swap(struct shard *shard, struct vector_index *v, struct index **old,
                         struct err *err)
{
    struct reindex *r = v->reindex;
    CHECK(r->is_level && *old == NULL);
    enum errcode code = ERR_OK;
    mutex_lock(&shard->apply);
    mutex_lock(&v->advance);
    while (code == ERR_OK && !r->has_failed && index_pending(r->index) > 0) {
        size_t n;
        code = index_advance(r->index, SIZE_MAX, host_crew(shard->host), &n, err);
    }
    if (code == ERR_OK && r->has_failed) {
        code = err_no_memory(err);
    }
    if (code == ERR_OK) {
        *old = v->index;
        v->parameters = r->parameters;
        v->is_reindexed = true;
        atomic_fetch_add(&v->record, 1);
        v->whole_from = shard->applied;
        exchange(v, r->index);
        r->index = NULL;
        vector_index_move(shard, v, INDEX_CURRENT, "reindexed");
        atomic_fetch_add(&v->changes, 1); /* Worth a checkpoint. */
    }
    mutex_unlock(&v->advance);
    mutex_unlock(&shard->apply);
    return code;
}

/* ---- all of it ---- */

static enum errcode begin(struct shard *shard, struct vector_index *v,
                          const struct shard_reindex *request, struct err *err)
{
    struct reindex *r = mem_zalloc(MEM_GRAPH, sizeof(*r));
    if (r == NULL) {
        return err_no_memory(err);
    }
    r->parameters = request->parameters;
    if (v->kind == INDEX_FLAT) {
        r->parameters.quantization = QUANTIZATION_NONE;
    }
    r->index = vector_index_new(shard, v, &r->parameters, err);
    enum errcode code = r->index == NULL ? err->code : ERR_OK;
    if (code == ERR_OK) {
        mutex_lock(&shard->apply);
        if (v->reindex != NULL) {
            code = err_set(err, ERR_OVERLOADED, "a REINDEX of \"%s\" is under way already",
                           shard->schema->name);
            err_hint(err, "SHOW SESSIONS tells by whom; try again when it has ended.");
        } else {
            v->reindex = r;
        }
        mutex_unlock(&shard->apply);
    }
    if (code != ERR_OK) {
        index_free(r->index);
        mem_free(MEM_GRAPH, r);
    }
    return code;
}

/* An index that has not served, with its file. */
static void discard(const struct shard *shard, const struct vector_index *v, struct index *index)
{
    if (index != NULL) {
        const struct vector_file *file = vector_file_of(index);
        uint32_t number = file == NULL ? 0 : file->config.number;
        index_free(index);
        vector_files_remove(shard->directory, v->column, number, number + 1);
    }
}

static void end(struct shard *shard, struct vector_index *v)
{
    mutex_lock(&shard->apply);
    struct reindex *r = v->reindex;
    CHECK(r != NULL);
    CHECK(r->index == NULL || r->index != v->index);
    v->reindex = NULL;
    mutex_unlock(&shard->apply);
    discard(shard, v, r->index);
    mem_free(MEM_GRAPH, r->deleted);
    mem_free(MEM_GRAPH, r);
}

enum errcode shard_reindex(struct shard *shard, const struct shard_reindex *request,
                           struct err *err)
{
    CHECK(!role_is_mine(&apply_thread)); /* It waits for those who search, and apply for it. */
    struct vector_index *v = vectors_find(shard, request->column);
    CHECK(v != NULL);
    struct index *old = NULL;
    uint64_t from = 1;
    enum errcode code = begin(shard, v, request, err);
    if (code != ERR_OK) {
        return code;
    }
    if (copy_rows(shard, v, request, &from, err) != ERR_OK ||
        become_level(shard, v, from, err) != ERR_OK ||
        link_rows(shard, v, request, err) != ERR_OK || swap(shard, v, &old, err) != ERR_OK) {
        code = err->code;
        goto out;
    }
    wait_for_users(v);
    index_free(old);
    calibration_forget(v);
out:
    end(shard, v);
    return code;
}

/* ---- the record ---- */

static void record_name(const struct vector_index *v, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "index-%u", v->column);
}

bool reindex_is_due(struct shard *shard)
{
    bool is_due = false;
    for (size_t i = 0; i < shard->n_vectors; i++) {
        is_due = is_due || atomic_load(&shard->vectors[i].record) != shard->vectors[i].record_kept;
    }
    return is_due;
}

enum errcode reindex_put(struct shard *shard, struct store_write *write, struct err *err)
{
    enum errcode code = ERR_OK;
    for (size_t i = 0; i < shard->n_vectors && code == ERR_OK; i++) {
        struct vector_index *v = &shard->vectors[i];
        uint8_t record[RECORD_BYTES];
        char name[NAME_BYTES];
        v->record_put = atomic_load(&v->record);
        if (v->record_put == v->record_kept) {
            continue;
        }
        mutex_lock(&v->advance);
        le_put_u32(record + 4, RECORD_VERSION);
        le_put_u32(record + 8, v->column);
        le_put_u32(record + 12, v->parameters.m);
        le_put_u32(record + 16, v->parameters.ef_construction);
        le_put_u32(record + 20, (uint32_t)v->parameters.quantization);
        mutex_unlock(&v->advance);
        le_put_u32(record, crc32c(0, record + 4, sizeof(record) - 4));
        record_name(v, name);
        code = store_put_record(write, name, (struct slice){record, sizeof(record)}, err);
    }
    return code;
}

void reindex_done(struct shard *shard)
{
    for (size_t i = 0; i < shard->n_vectors; i++) {
        shard->vectors[i].record_kept = shard->vectors[i].record_put;
    }
}

/* False where the record makes no sense. */
static bool decode(const struct vector_index *v, struct slice record, struct index_parameters *out)
{
    struct reader r;
    reader_init(&r, record.data, record.bytes);
    uint32_t crc = reader_u32(&r);
    if (r.failed || crc != crc32c(0, record.data + 4, record.bytes - 4)) {
        return false;
    }
    bool is_ours = reader_u32(&r) == RECORD_VERSION && reader_u32(&r) == v->column;
    out->m = reader_u32(&r);
    out->ef_construction = reader_u32(&r);
    uint32_t quantization = reader_u32(&r);
    out->quantization = (enum quantization)quantization;
    return reader_done(&r) && is_ours && quantization <= QUANTIZATION_2;
}

enum errcode reindex_load(struct shard *shard, struct vector_index *v, struct store_read *read,
                          struct err *err)
{
    CHECK(v->index == NULL);
    struct slice record;
    struct index_parameters parameters;
    char name[NAME_BYTES];
    record_name(v, name);
    enum errcode code = store_get_record(read, name, &record, err);
    if (code != ERR_OK || record.data == NULL) {
        return code;
    }
    if (!decode(v, record, &parameters)) {
        return err_set(err, ERR_CORRUPT, "\"%s\": the record %s makes no sense", shard->directory,
                       name);
    }
    v->parameters = parameters;
    v->is_reindexed = true;
    return ERR_OK;
}
