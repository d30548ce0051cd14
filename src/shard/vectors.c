/* The index over each VECTOR column: made from the collection's policies, staged into by apply,
 * advanced by apply (index_mode = sync) or by the host's indexer.
 *
 * Its state:
 *
 *     CURRENT <----------------- pending = 0 ----------------+
 *        |                                                   |
 *        +-- replay of the log, or no memory to link --> CATCHING_UP
 *        |                                                   |
 *        +-- checkpoint missing or bad ------------> REBUILDING
 *
 * While an index is behind, a shard in sync mode acknowledges writes when they are visible: the
 * apply thread must not wait for minutes.  They are found all the same, by the scan of the tail. */
#include "shard/calibration_int.h"
#include "shard/host_int.h"
#include "shard/overlay_int.h"
#include "shard/row_int.h"
#include "shard/shard_int.h"
#include "shard/vector_file_int.h"
#include "shard/vectors_int.h"

#include <string.h>

enum {
    PROGRESS_LOG_US = 2000000,
    SPARE_SHARE = 16,
    SPARE_BYTES_MAX = 4 << 20,
};

static const char *const state_names[] = {"current", "catching up", "rebuilding"};
static const struct state_edge state_edges[] = {
    {INDEX_CURRENT, INDEX_CATCHING_UP},
    {INDEX_CURRENT, INDEX_REBUILDING},
    {INDEX_CATCHING_UP, INDEX_CURRENT},
    {INDEX_REBUILDING, INDEX_CURRENT},
};
static const struct state_machine state_machine = {
    .name = "index",
    .names = state_names,
    .n_states = COUNT_OF(state_names),
    .edges = state_edges,
    .n_edges = COUNT_OF(state_edges),
};

/* A flat index has no checkpoint, and its vectors come from the rows. */
static struct vector_file *file_new(const struct shard *shard, struct vector_index *v,
                                    const struct index_parameters *parameters, struct err *err)
{
    struct vector_file_config config = {
        .directory = shard->directory,
        .schema_id = shard->schema->id,
        .group = shard->group_id,
        .column = v->column,
        .dim = shard->schema->columns[v->column].dim,
        .number = atomic_fetch_add(&v->files, 1) + 1,
        .is_mapped = parameters->quantization != QUANTIZATION_NONE &&
                     shard_policy(shard, POLICY_vector_memory) == VECTOR_MEMORY_MAPPED,
    };
    return vector_file_new(&config, err);
}

static enum index_code code_of_quantization(enum quantization quantization)
{
    static const enum index_code codes[] = {[QUANTIZATION_NONE] = INDEX_CODE_F32,
                                            [QUANTIZATION_8] = INDEX_CODE_8,
                                            [QUANTIZATION_4] = INDEX_CODE_4,
                                            [QUANTIZATION_2] = INDEX_CODE_2};
    CHECK((size_t)quantization < COUNT_OF(codes));
    return codes[quantization];
}

/* A flat index compares exact vectors. */
static struct index_parameters parameters_by_policy(const struct shard *shard,
                                                    const struct vector_index *v)
{
    struct policy_value policy = host_policy_value(shard->host, shard->schema, POLICY_quantization);
    return (struct index_parameters){
        .m = (uint32_t)shard_policy(shard, POLICY_m),
        .ef_construction = (uint32_t)shard_policy(shard, POLICY_ef_construction),
        .quantization = v->kind == INDEX_FLAT
                            ? QUANTIZATION_NONE
                            : column_quantization(&shard->schema->columns[v->column], &policy),
    };
}

struct index *vector_index_new(const struct shard *shard, struct vector_index *v,
                               const struct index_parameters *parameters, struct err *err)
{
    const struct column *column = &shard->schema->columns[v->column];
    struct vector_file *file = v->kind == INDEX_HNSW ? file_new(shard, v, parameters, err) : NULL;
    if (v->kind == INDEX_HNSW && file == NULL) {
        return NULL;
    }
    struct index_config config = {
        .kind = v->kind,
        .distance = column->distance,
        .dim = column->dim,
        .m = parameters->m,
        .ef_construction = parameters->ef_construction,
        .code = code_of_quantization(parameters->quantization),
        .seed = hash_u64(shard->schema->id * COLUMNS_MAX + v->column),
        .labels_are_keys = shard_labels_are_keys(shard->schema),
        .storage = file == NULL ? NULL : &file->storage,
    };
    return index_new(&config, err);
}

enum errcode vectors_open(struct shard *shard, struct err *err)
{
    for (uint32_t i = 0; i < shard->schema->n_columns; i++) {
        shard->n_vectors += shard->schema->columns[i].type == TYPE_VECTOR;
    }
    if (shard->n_vectors == 0) {
        return ERR_OK;
    }
    shard->vectors = mem_zalloc(MEM_GENERAL, shard->n_vectors * sizeof(*shard->vectors));
    if (shard->vectors == NULL) {
        shard->n_vectors = 0;
        return err_no_memory(err);
    }
    size_t n = 0;
    for (uint32_t i = 0; i < shard->schema->n_columns; i++) {
        if (shard->schema->columns[i].type == TYPE_VECTOR) {
            struct vector_index *v = &shard->vectors[n++];
            v->column = i;
            v->kind = (enum index_kind)shard_policy(shard, POLICY_index);
            v->parameters = parameters_by_policy(shard, v);
            mutex_init(&v->advance);
            calibration_init(&v->calibration);
            shard->has_graph = shard->has_graph || v->kind == INDEX_HNSW;
        }
    }
    for (size_t i = 0; i < shard->n_vectors; i++) {
        enum errcode code = recover_index(shard, &shard->vectors[i], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

void vectors_close(struct shard *shard)
{
    for (size_t i = 0; i < shard->n_vectors; i++) {
        struct vector_index *v = &shard->vectors[i];
        if (v->index != NULL) {
            index_free(v->index);
        }
        calibration_fini(&v->calibration);
        mutex_fini(&v->advance);
    }
    mem_free(MEM_GENERAL, shard->vectors);
    shard->vectors = NULL;
    shard->n_vectors = 0;
}

struct vector_index *vectors_find(struct shard *shard, uint32_t column)
{
    for (size_t i = 0; i < shard->n_vectors; i++) {
        if (shard->vectors[i].column == column) {
            return &shard->vectors[i];
        }
    }
    return NULL;
}

void vector_index_move(struct shard *shard, struct vector_index *v, enum index_state to,
                       const char *why)
{
    uint8_t state = atomic_load(&v->state);
    if (state != to && state_can_move(&state_machine, state, (uint8_t)to)) {
        state_move(&state_machine, &state, (uint8_t)to, shard->group_id, why);
        atomic_store(&v->state, state);
    }
}

/* ---- staging ---- */

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
        reindex_note(shard, v, change, rows);
    }
    return code;
}

enum errcode vector_index_make_room(struct vector_index *v, size_t n_rows, size_t bytes_in_flight,
                                    struct err *err)
{
    unsigned side;
    const struct index *index = vector_index_enter(v, &side);
    struct vector_file *file = vector_file_of(index);
    size_t bytes = index_place_bytes(index, n_rows);
    /* For others that ask at this moment, and for what is on its way: an entry of the log is longer
     * than the vectors in it. */
    size_t spare = bytes / SPARE_SHARE < SPARE_BYTES_MAX ? bytes / SPARE_SHARE : SPARE_BYTES_MAX;
    spare += bytes_in_flight;
    enum errcode code = file == NULL ? ERR_OK : vector_file_reserve(file, bytes + spare, err);
    vector_index_leave(v, side);
    return code;
}

bool vector_index_use_memory(struct vector_index *v)
{
    unsigned side;
    struct vector_file *file = vector_file_of(vector_index_enter(v, &side));
    bool is_new = file != NULL && vector_file_use_memory(file);
    vector_index_leave(v, side);
    return is_new;
}

/* ---- linking ---- */

enum errcode vector_index_advance(struct shard *shard, struct vector_index *v, size_t rows_max,
                                  bool *is_more, struct err *err)
{
    size_t n_done = 0;
    mutex_lock(&v->advance);
    enum errcode code = index_advance(v->index, rows_max, host_crew(shard->host), &n_done, err);
    *is_more = index_pending(v->index) > 0;
    if (code == ERR_OK && !*is_more) {
        vector_index_move(shard, v, INDEX_CURRENT, "all rows are linked");
    } else if (code != ERR_OK) {
        vector_index_move(shard, v, INDEX_CATCHING_UP, "linking failed");
    }
    mutex_unlock(&v->advance);
    mutex_lock(&shard->waiting);
    condition_broadcast(&shard->linked_condition);
    mutex_unlock(&shard->waiting);
    return code;
}

void vector_index_log_progress(struct shard *shard, struct vector_index *v)
{
    uint64_t now = clock_micros();
    if (now - v->progress_logged_us >= PROGRESS_LOG_US) {
        v->progress_logged_us = now;
        unsigned side;
        const struct index *index = vector_index_enter(v, &side);
        log_line(LOG_INFO, "index %s group=%llu column=%s rows=%zu to_link=%zu",
                 state_names[atomic_load(&v->state)], (unsigned long long)shard->group_id,
                 shard->schema->columns[v->column].name, index_count(index), index_pending(index));
        vector_index_leave(v, side);
    }
}

uint64_t vectors_lag(struct shard *shard)
{
    uint64_t lag = 0;
    for (size_t i = 0; i < shard->n_vectors; i++) {
        uint64_t pending = vector_index_pending(&shard->vectors[i]);
        lag = pending > lag ? pending : lag;
    }
    return lag;
}

uint64_t vectors_linked(struct shard *shard)
{
    /* Asked before the indexes: what is applied from here on may not be staged yet, and an index
     * with nothing to do says nothing of it. */
    mutex_lock(&shard->publish);
    uint64_t linked = shard->applied;
    mutex_unlock(&shard->publish);
    for (size_t i = 0; i < shard->n_vectors; i++) {
        unsigned side;
        const struct index *index = vector_index_enter(&shard->vectors[i], &side);
        /* The sequence is asked first: what is staged between the two calls is behind it. */
        uint64_t sequence = index_sequence(index);
        if (index_pending(index) > 0 && sequence < linked) {
            linked = sequence;
        }
        vector_index_leave(&shard->vectors[i], side);
    }
    return linked;
}

struct index_parameters shard_index_parameters(struct shard *shard, uint32_t column,
                                               bool *is_reindexed)
{
    struct vector_index *v = vectors_find(shard, column);
    CHECK(v != NULL);
    mutex_lock(&v->advance);
    struct index_parameters parameters = v->parameters;
    *is_reindexed = v->is_reindexed;
    mutex_unlock(&v->advance);
    return parameters;
}
