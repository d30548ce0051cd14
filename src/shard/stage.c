/* A change is staged into the index over a VECTOR column; and into the one that is built beside it
 * (reindex.c), once that has all rows that were there before. */
#include "shard/overlay_int.h"
#include "shard/row_int.h"
#include "shard/shard_int.h"
#include "shard/vectors_int.h"

#include <string.h>

/* ---- rows into one index ---- */

struct gathered {
    uint64_t *numbers, *labels;
    float *vectors;
    size_t n;
};

static enum errcode label_of(const struct schema *schema, struct slice column, uint64_t *label,
                             struct err *err)
{
    struct key key;
    enum errcode code = key_from_column(schema, column, &key, err);
    *label = code == ERR_OK ? key_label((struct slice){key.data, key.bytes}) : 0;
    return code;
}

/* The vectors of the column that are not null, side by side. */
static enum errcode gather(const struct shard *shard, const struct vector_index *v,
                           const struct change *change, const struct staged_rows *rows,
                           struct gathered *out, struct err *err)
{
    CHECK(rows->bodies != NULL || change->n_rows == 0);
    uint32_t dim = shard->schema->columns[v->column].dim;
    *out = (struct gathered){0};
    out->numbers = arena_array(rows->arena, (size_t)change->n_rows, sizeof(uint64_t));
    out->labels = arena_array(rows->arena, (size_t)change->n_rows, sizeof(uint64_t));
    out->vectors = arena_array(rows->arena, (size_t)change->n_rows, dim * sizeof(float));
    if (out->numbers == NULL || out->labels == NULL || out->vectors == NULL) {
        return err_no_memory(err);
    }
    for (uint64_t i = 0; i < change->n_rows; i++) {
        struct slice columns[COLUMNS_MAX];
        if (rows->bodies[i].data == NULL) {
            continue;
        }
        enum errcode code = row_split(shard->schema, rows->bodies[i], columns, err);
        if (code != ERR_OK) {
            return code;
        }
        if (columns[v->column].data != NULL) {
            code = label_of(shard->schema, columns[0], &out->labels[out->n], err);
            if (code != ERR_OK) {
                return code;
            }
            memcpy(out->vectors + out->n * dim, columns[v->column].data, dim * sizeof(float));
            out->numbers[out->n++] = change->first_row + i;
        }
    }
    return ERR_OK;
}

enum errcode vector_index_stage_rows(struct shard *shard, struct vector_index *v,
                                     struct index *index, const struct change *change,
                                     const struct staged_rows *rows, struct err *err)
{
    CHECK(index != NULL);
    struct gathered g;
    enum errcode code = gather(shard, v, change, rows, &g, err);
    if (code == ERR_OK && g.n > 0) {
        struct index_rows staged = {
            .numbers = g.numbers, .labels = g.labels, .vectors = g.vectors, .n = g.n};
        code = index_stage_insert(index, change->index, &staged, err);
    }
    if (code == ERR_NOT_FINITE || code == ERR_ZERO_VECTOR) {
        /* Whoever made the command had to refuse it; the rows are kept without this vector. */
        log_err(LOG_ERROR, err, "rows left out of an index group=%llu log_index=%llu column=%s",
                (unsigned long long)shard->group_id, (unsigned long long)change->index,
                shard->schema->columns[v->column].name);
        err_clear(err);
        code = ERR_OK;
    }
    return code;
}

/* ---- for the index that is built beside ---- */

static bool note_deleted(struct reindex *r, const struct change *change)
{
    CHECK(!r->is_level && r->n_deleted <= r->n_deleted_max);
    if (r->n_deleted + change->n_deleted > r->n_deleted_max) {
        size_t n_max = 2 * (r->n_deleted + change->n_deleted);
        void *larger = mem_realloc(MEM_GRAPH, r->deleted, n_max * sizeof(*r->deleted));
        if (larger == NULL) {
            return false;
        }
        r->deleted = larger;
        r->n_deleted_max = n_max;
    }
    for (size_t i = 0; i < change->n_deleted; i++) {
        r->deleted[r->n_deleted++] = change->deleted[i];
    }
    CHECK(r->n_deleted <= r->n_deleted_max);
    return true;
}

static void note_change(struct shard *shard, struct vector_index *v, const struct change *change,
                        const struct staged_rows *rows)
{
    struct reindex *r = v->reindex;
    struct err err = {0};
    if (r == NULL || r->index == NULL || r->has_failed) {
        return;
    }
    if (!r->is_level) {
        r->has_failed = !note_deleted(r, change);
        return;
    }
    bool is_staged = change->n_rows == 0 ||
                     vector_index_stage_rows(shard, v, r->index, change, rows, &err) == ERR_OK;
    r->has_failed = !is_staged || index_stage_delete(r->index, change->index, change->deleted,
                                                     change->n_deleted, &err) != ERR_OK;
}

/* ---- a change ---- */

enum errcode vector_index_stage(struct shard *shard, struct vector_index *v,
                                const struct change *change, const struct staged_rows *rows,
                                struct err *err)
{
    if (v->staging_index != change->index) {
        v->staging_index = change->index;
        v->has_new_rows = false;
    }
    enum errcode code = ERR_OK;
    if (!v->has_new_rows) {
        code = change->n_rows > 0 ? vector_index_stage_rows(shard, v, v->index, change, rows, err)
                                  : ERR_OK;
        v->has_new_rows = code == ERR_OK;
    }
    if (code == ERR_OK) {
        code = index_stage_delete(v->index, change->index, change->deleted, change->n_deleted, err);
    }
    if (code == ERR_OK) {
        atomic_fetch_add(&v->changes, change->n_rows + change->n_deleted);
        note_change(shard, v, change, rows);
    }
    return code;
}
