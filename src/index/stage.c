/* Staging: rows get their slots, vectors and places in the queue; deletes hide their row. */
#include "index/build_int.h"

#include <math.h>
#include <string.h>

enum {
    LEVEL_RATIO = 16 /* Of the rows of a layer to those of the next one. */
};

/* Geometric, as floor(-ln(u) / ln(m)) of the paper is, but with a ratio of its own whatever m is,
 * and in whole numbers, so that every machine gets the same. */
uint8_t level_of(const struct index_config *config, uint64_t row)
{
    if (config->kind == INDEX_FLAT) {
        return 0;
    }
    uint8_t level = 0;
    for (uint64_t h = hash_u64(hash_u64(row) ^ config->seed);
         level < LEVEL_MAX && h % LEVEL_RATIO == 0; h /= LEVEL_RATIO) {
        level++;
    }
    return level;
}

/* What a call takes before it can no longer fail. */
struct intake {
    uint32_t *slots;
    uint8_t *levels;
    float *vectors; /* Up to RUN_ROWS, made ready, as they stand in a storage. */
};

enum {
    RUN_ROWS = 64 /* Handed to the storage at once, where their slots follow each other. */
};

static void intake_fini(struct intake *intake)
{
    mem_free(MEM_GRAPH, intake->slots);
    mem_free(MEM_GRAPH, intake->levels);
    mem_free(MEM_GRAPH, intake->vectors);
}

static bool intake_init(struct intake *intake, const struct index *index,
                        const struct index_rows *rows)
{
    *intake = (struct intake){
        .slots = mem_alloc(MEM_GRAPH, rows->n * sizeof(*intake->slots)),
        .levels = mem_alloc(MEM_GRAPH, rows->n),
        .vectors = mem_zalloc(MEM_GRAPH,
                              (rows->n < RUN_ROWS ? rows->n : RUN_ROWS) * index->slots.place_bytes),
    };
    for (size_t i = 0; i < rows->n && intake->levels != NULL; i++) {
        intake->levels[i] = level_of(&index->config, rows->numbers[i]);
    }
    return intake->slots != NULL && intake->levels != NULL && intake->vectors != NULL;
}

static enum errcode check_vectors(const struct index *index, float *ready,
                                  const struct index_rows *rows, struct err *err)
{
    const struct index_config *config = &index->config;
    for (size_t i = 0; i < rows->n; i++) {
        enum errcode code = vector_prepare(config->distance, config->dim,
                                           rows->vectors + i * config->dim, ready, err);
        if (code != ERR_OK) {
            if (rows->n > 1) {
                err_prefix(err, "vector %zu of %zu", i + 1, rows->n);
            }
            return code;
        }
    }
    return ERR_OK;
}

void slot_set_vector(struct index *index, uint32_t slot, const float *ready)
{
    CHECK(ready != NULL && slot < index->slots.capacity);
    struct slots *slots = &index->slots;
    struct code_space space = space_of_codes(index);
    if (index->config.distance == DISTANCE_DOT) {
        double norm = sqrt(exact_chosen()->product(ready, ready, index->config.dim));
        if (norm > atomic_load_explicit(&index->norm_max, memory_order_relaxed)) {
            atomic_store_explicit(&index->norm_max, norm, memory_order_relaxed);
        }
    }
    if (!index_has_centre(index)) {
        index->code->encode(&space, ready, code_at(slots, slot));
    }
    if (slots->vectors.base != NULL && slots->vector_stride > 0) {
        memcpy((float *)slots->vectors.base + (size_t)slot * slots->vector_stride, ready,
               index->config.dim * sizeof(float));
    }
}

void slot_set_state(struct index *index, uint32_t slot, uint8_t state)
{
    CHECK_HOT(slot < index->slots.capacity);
    atomic_store_explicit(&node_at(&index->slots, slot)->state, state, memory_order_release);
}

/* Now nothing can fail. */
static void publish_rows(struct index *index, uint64_t sequence, const uint32_t *slots, size_t n)
{
    uint64_t tail = atomic_load_explicit(&index->queue.tail, memory_order_relaxed);
    mutex_lock(&index->map_lock);
    for (size_t i = 0; i < n; i++) {
        row_map_add(&index->map, &index->slots, slots[i]);
    }
    mutex_unlock(&index->map_lock);
    for (size_t i = 0; i < n; i++) {
        if (index->config.kind == INDEX_HNSW) {
            bool ends_chunk = i + 1 == n || i % INDEX_CHUNK == INDEX_CHUNK - 1;
            struct op op = {.sequence = sequence,
                            .slot = slots[i],
                            .kind = OP_INSERT,
                            .ends_chunk = ends_chunk};
            queue_append(&index->queue, tail++, op);
        }
    }
    mutex_lock(&index->slots.lock);
    for (size_t i = 0; i < n; i++) {
        slot_set_state(index, slots[i], SLOT_PRESENT);
    }
    atomic_fetch_add_explicit(&index->n_live, n, memory_order_relaxed);
    queue_publish(&index->queue, tail, sequence);
    mutex_unlock(&index->slots.lock);
}

/* Those of the rows that are new: what came with the checkpoint is staged again where the log is
 * replayed.  A chunk is linked as a whole, so the rest of a call falls into the chunks that it had
 * at first. */
static struct index_rows fresh_rows(const struct index *index, const struct index_rows *rows)
{
    struct index_rows fresh = *rows;
    while (fresh.n > 0 && fresh.numbers[0] < index->row_fresh) {
        fresh.numbers++;
        fresh.labels += fresh.labels != NULL ? 1 : 0;
        fresh.vectors += index->config.dim;
        fresh.n--;
    }
    for (size_t i = 0; i < fresh.n; i++) {
        CHECK(fresh.numbers[i] >= (i == 0 ? index->row_next : fresh.numbers[i - 1] + 1));
    }
    return fresh;
}

/* A row's own memory, before anyone can reach it. */
static void fill_slot(struct index *index, uint32_t slot, const struct index_rows *rows, size_t i,
                      float *ready)
{
    CHECK(i < rows->n);
    const struct index_config *config = &index->config;
    struct node *node = node_at(&index->slots, slot);
    struct err err;
    node->row = rows->numbers[i];
    node->label = rows->labels != NULL ? rows->labels[i] : rows->numbers[i];
    CHECK(vector_prepare(config->distance, config->dim, rows->vectors + i * config->dim, ready,
                         &err) == ERR_OK);
    slot_set_vector(index, slot, ready);
}

/* Where the storage fails the slots are as if they had not been taken. */
static enum errcode fill_slots(struct index *index, const struct intake *intake,
                               const struct index_rows *rows, struct err *err)
{
    struct slots *slots = &index->slots;
    size_t place_bytes = slots->place_bytes;
    enum errcode code = ERR_OK;
    for (size_t i = 0, first = 0; i < rows->n && code == ERR_OK; i++) {
        const uint32_t *slot = &intake->slots[i];
        float *ready = intake->vectors + (i - first) * place_bytes / sizeof(float);
        fill_slot(index, *slot, rows, i, ready);
        bool ends = i + 1 == rows->n || slot[1] != slot[0] + 1 || i + 1 - first == RUN_ROWS;
        if (ends && slots->is_stored) {
            code = slots->storage->put(slots->storage->arg, intake->slots[first] * place_bytes,
                                       intake->vectors, (i + 1 - first) * place_bytes, err);
        }
        first = ends ? i + 1 : first;
    }
    if (code != ERR_OK) {
        slots_put_back(slots, intake->slots, rows->n);
    }
    return code;
}

static bool reserve_in_map(struct index *index, size_t n)
{
    mutex_lock(&index->map_lock);
    bool fits = row_map_reserve(&index->map, &index->slots, n);
    mutex_unlock(&index->map_lock);
    return fits;
}

enum errcode index_stage_insert(struct index *index, uint64_t sequence,
                                const struct index_rows *rows, struct err *err)
{
    CHECK(rows->n == 0 || (rows->numbers != NULL && rows->vectors != NULL));
    struct index_rows fresh = fresh_rows(index, rows);
    struct intake intake;
    enum errcode code = intake_init(&intake, index, &fresh)
                            ? check_vectors(index, intake.vectors, &fresh, err)
                            : err_no_memory(err);
    if (code != ERR_OK) {
        goto out;
    }
    if (!reserve_in_map(index, fresh.n) || !queue_reserve(&index->queue, fresh.n)) {
        code = err_no_memory(err);
        goto out;
    }
    code = slots_take(&index->slots, &index->epochs, intake.levels, fresh.n, intake.slots, err);
    if (code == ERR_OK) {
        code = fill_slots(index, &intake, &fresh, err);
    }
    if (code == ERR_OK) {
        publish_rows(index, sequence, intake.slots, fresh.n);
        index->row_next = fresh.n > 0 ? fresh.numbers[fresh.n - 1] + 1 : index->row_next;
    }
out:
    intake_fini(&intake);
    return code;
}

/* Out of the row map, so that a second delete of the row finds nothing. */
static void hide_row(struct index *index, uint32_t slot)
{
    mutex_lock(&index->map_lock);
    row_map_remove(&index->map, &index->slots, slot);
    mutex_unlock(&index->map_lock);
    atomic_fetch_sub_explicit(&index->n_live, 1, memory_order_relaxed);
    if (index->config.kind == INDEX_FLAT) {
        slots_retire(&index->slots, &index->epochs, &slot, 1);
    } else {
        atomic_fetch_add_explicit(&index->n_hidden, 1, memory_order_relaxed);
        atomic_fetch_or_explicit(&node_at(&index->slots, slot)->state, SLOT_HIDDEN,
                                 memory_order_release);
        starts_hide(index, slot);
    }
}

enum errcode index_stage_delete(struct index *index, uint64_t sequence, const uint64_t *rows,
                                size_t n, struct err *err)
{
    CHECK(rows != NULL || n == 0);
    bool is_flat = index->config.kind == INDEX_FLAT;
    if (!is_flat && !queue_reserve(&index->queue, n)) {
        return err_no_memory(err);
    }
    uint64_t tail = atomic_load_explicit(&index->queue.tail, memory_order_relaxed);
    struct op op = {.sequence = sequence, .slot = SLOT_NONE, .kind = OP_DELETE};
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = row_map_find(&index->map, &index->slots, rows[i]);
        if (slot == SLOT_NONE) {
            continue;
        }
        hide_row(index, slot);
        if (op.slot != SLOT_NONE) {
            queue_append(&index->queue, tail++, op);
        }
        op.slot = is_flat ? SLOT_NONE : slot;
    }
    if (op.slot != SLOT_NONE) {
        op.ends_chunk = true;
        queue_append(&index->queue, tail++, op);
    }
    queue_publish(&index->queue, tail, sequence);
    return ERR_OK;
}
