/* The index over each VECTOR column: made as its parameters say, staged into by apply (stage.c),
 * advanced by apply (index_mode = sync) or by the host's indexer; and who uses it.
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
#include "shard/host_int.h"
#include "shard/shard_int.h"
#include "shard/vector_file_int.h"
#include "shard/vectors_int.h"

enum {
    PROGRESS_LOG_US = 2000000,
    SPARE_SHARE = 16,
    SPARE_BYTES_MAX = 4 << 20,
};

static const char *const state_names[] = {"current", "catching up", "rebuilding"};
static const uint32_t state_moves[COUNT_OF(state_names)] = {
    [INDEX_CURRENT] = STATE_BIT(INDEX_CATCHING_UP) | STATE_BIT(INDEX_REBUILDING),
    [INDEX_CATCHING_UP] = STATE_BIT(INDEX_CURRENT),
    [INDEX_REBUILDING] = STATE_BIT(INDEX_CURRENT),
};
static const struct state_machine state_machine = {
    .name = "index",
    .names = state_names,
    .n_states = COUNT_OF(state_names),
    .moves = state_moves,
};

/* A flat index has no checkpoint, and its vectors come from the rows. */
static struct vector_file *file_new(const struct shard *shard, struct vector_index *v,
                                    const struct index_parameters *parameters, struct err *err)
{
    CHECK(v->column < shard->schema->n_columns && v->kind == INDEX_HNSW);
    struct vector_file_config config = {
        .directory = shard->directory,
        .schema_id = shard->schema->id,
        .group = shard->group_id,
        .column = v->column,
        .dim = shard->schema->columns[v->column].dim,
        .number = atomic_fetch_add(&v->files, 1) + 1,
        .reserve = (uint64_t)shard_policy(shard, POLICY_disk_reserve),
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

struct index *vector_index_new(const struct shard *shard, struct vector_index *v,
                               const struct index_parameters *parameters, struct err *err)
{
    CHECK(v->column < shard->schema->n_columns);
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

struct vector_index *vectors_find(struct shard *shard, uint32_t column)
{
    CHECK(column < shard->schema->n_columns);
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
    CHECK(to <= INDEX_REBUILDING);
    uint8_t state = atomic_load(&v->state);
    if (state != to && state_can_move(&state_machine, state, (uint8_t)to)) {
        state_move(&state_machine, &state, (uint8_t)to, shard->group_id, why);
        atomic_store(&v->state, state);
    }
}

/* ---- who uses the index that serves ---- */

struct index *vector_index_enter(struct vector_index *v, unsigned *side)
{
    for (;;) {
        *side = atomic_load(&v->side);
        atomic_fetch_add(&v->users[*side], 1);
        if (atomic_load(&v->side) == *side) {
            return v->index;
        }
        atomic_fetch_sub(&v->users[*side], 1);
    }
}

void vector_index_leave(struct vector_index *v, unsigned side)
{
    unsigned before = atomic_fetch_sub(&v->users[side], 1);
    CHECK(side <= 1 && before > 0);
}

size_t vector_index_pending(struct vector_index *v)
{
    unsigned side;
    size_t n = index_pending(vector_index_enter(v, &side));
    vector_index_leave(v, side);
    return n;
}

/* ---- room for vectors ---- */

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
    CHECK(rows_max > 0);
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
