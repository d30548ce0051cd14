/* Making an index, and what can be asked of it. */
#include "index/build_int.h"

#include <stddef.h>

enum {
    DIM_LARGE = 256, /* From here on a node of m = 16 takes 2 lines, else 3; */
    LINE_M = 16,     /* others in proportion, */
    LINES_MAX = 8,   /* up to here. */
};

/* As many as fill the lines of the cache that a node takes: a hop costs about as much as the codes
 * of 30 neighbours in low dimensions, so that long lists pay there. */
static uint32_t links0_of(uint32_t m, uint32_t dim)
{
    uint32_t lines = (m * (dim < DIM_LARGE ? 3 : 2) + LINE_M - 1) / LINE_M;
    lines = lines < LINES_MAX ? lines : LINES_MAX;
    return (uint32_t)((lines * CACHE_LINE - offsetof(struct node, links)) / sizeof(uint32_t));
}

static void release_storage(const struct index_config *config)
{
    if (config->storage != NULL) {
        config->storage->release(config->storage->arg);
    }
}

struct index *index_new(const struct index_config *config, struct err *err)
{
    CHECK(config->dim >= 1 && config->dim <= VECTOR_DIM_MAX);
    CHECK(config->kind == INDEX_FLAT ||
          (config->m >= 4 && 2 * config->m <= LINKS_MAX && config->ef_construction > 0));
    CHECK(config->storage == NULL ||
          (config->storage->reserve != NULL && config->storage->put != NULL &&
           config->storage->get != NULL && config->storage->empty != NULL &&
           config->storage->release != NULL));
    struct index *index = mem_zalloc(MEM_GRAPH, sizeof(*index));
    if (index == NULL) {
        release_storage(config);
        err_no_memory(err);
        return NULL;
    }
    index->config = *config;
    index->code = code_of(config->code);
    CHECK(index->code != NULL);
    mutex_init(&index->advance_lock);
    mutex_init(&index->map_lock);
    starts_init(index);
    atomic_init(&index->norm_max, 0);
    sweep_fini(&index->sweep);
    atomic_init(&index->entry, SLOT_NONE);
    bool has_epochs = epochs_init(&index->epochs);
    bool has_queue = queue_init(&index->queue);
    index->root = SLOT_NONE;
    centre_init(index);
    uint32_t m = config->kind == INDEX_FLAT ? 0 : config->m;
    struct slots_shape shape = {.code_bytes = index->code->row_bytes(config->dim, config->distance),
                                .dim = config->dim,
                                .is_code_exact = index->code->bits == 32,
                                .m = m,
                                .links0 = m == 0 ? 0 : links0_of(m, config->dim),
                                .storage = config->storage};
    bool has_slots = slots_init(&index->slots, &shape);
    bool has_lengths = reduction_init(index);
    if (!has_epochs || !has_queue || !has_slots || !has_lengths) {
        index_free(index);
        err_no_memory(err);
        return NULL;
    }
    return index;
}

void index_free(struct index *index)
{
    if (index != NULL) {
        sweep_fini(&index->sweep);
        row_map_fini(&index->map);
        queue_fini(&index->queue);
        slots_fini(&index->slots);
        reduction_fini(index);
        starts_fini(index);
        centre_fini(index);
        if (index->trial != NULL) {
            index_free(index->trial->graph);
            mem_free(MEM_GRAPH, index->trial->vectors);
            mem_free(MEM_GRAPH, index->trial);
        }
        mem_free(MEM_GRAPH, index->sums);
        release_storage(&index->config);
        epochs_fini(&index->epochs);
        mutex_fini(&index->advance_lock);
        mutex_fini(&index->map_lock);
        mem_free(MEM_GRAPH, index);
    }
}

size_t index_pending(const struct index *index)
{
    /* In this order, so that what is staged and done meanwhile cannot make it negative. */
    uint64_t head = atomic_load_explicit(&index->queue.head, memory_order_acquire);
    return (size_t)(atomic_load_explicit(&index->queue.tail, memory_order_acquire) - head);
}

uint64_t index_sequence(const struct index *index)
{
    /* Takes the queue's lock, which is no change that anyone could see. */
    return queue_sequence((struct queue *)&index->queue);
}

const struct index_config *index_config(const struct index *index)
{
    return &index->config;
}

size_t index_place_bytes(const struct index *index, size_t n_more)
{
    size_t n_used = atomic_load_explicit(&index->slots.n_used, memory_order_relaxed);
    return (n_used + n_more) * index->slots.place_bytes;
}

size_t index_count(const struct index *index)
{
    return atomic_load_explicit(&index->n_live, memory_order_relaxed);
}

/* Sums over nodes and over edges, so that neither slots nor the order of a list matter. */
static uint64_t node_digest(const struct index *index, uint32_t slot)
{
    const struct slots *slots = &index->slots;
    const struct node *node = node_at(slots, slot);
    bool is_dead = (slot_state(slots, slot) & SLOT_DEAD) != 0;
    uint64_t digest = hash_u64(node->row ^ hash_u64(node->level + 256u * is_dead));
    for (unsigned layer = 0; index->config.kind == INDEX_HNSW && layer <= node->level; layer++) {
        uint32_t links[LINKS_MAX];
        size_t n = links_copy(slots, slot, layer, links);
        for (size_t i = 0; i < n; i++) {
            uint64_t to = node_at(slots, links[i])->row;
            digest += hash_u64(hash_u64(node->row) + hash_u64(to ^ hash_u64(layer + 1)));
        }
    }
    return digest;
}

/* Calls for every row of the graph; of a flat index, for every row. */
static void each_node(struct index *index, void (*visit)(void *arg, uint32_t slot), void *arg)
{
    uint8_t wanted = index->config.kind == INDEX_FLAT ? SLOT_PRESENT : SLOT_LINKED;
    mutex_lock(&index->advance_lock);
    unsigned place = epoch_enter(&index->epochs, 0);
    uint32_t n_used = atomic_load_explicit(&index->slots.n_used, memory_order_acquire);
    for (uint32_t slot = 0; slot < n_used; slot++) {
        if (slot_state(&index->slots, slot) & wanted) {
            visit(arg, slot);
        }
    }
    epoch_leave(&index->epochs, place);
    mutex_unlock(&index->advance_lock);
}

struct digest {
    const struct index *index;
    uint64_t sum;
};

static void add_digest(void *arg, uint32_t slot)
{
    struct digest *digest = arg;
    digest->sum += node_digest(digest->index, slot);
}

uint64_t index_digest(const struct index *index)
{
    struct digest digest = {.index = index};
    each_node((struct index *)index, add_digest, &digest);
    uint32_t entry = atomic_load_explicit(&index->entry, memory_order_acquire);
    return entry == SLOT_NONE ? digest.sum
                              : digest.sum ^ hash_u64(node_at(&index->slots, entry)->row);
}

struct survey {
    const struct index *index;
    struct index_figures *out;
    size_t n_nodes, n_edges;
};

static void survey_node(void *arg, uint32_t slot)
{
    struct survey *survey = arg;
    const struct slots *slots = &survey->index->slots;
    uint32_t links[LINKS_MAX];
    survey->n_nodes++;
    survey->n_edges += slots->m > 0 ? links_copy(slots, slot, 0, links) : 0;
    unsigned levels = node_at(slots, slot)->level + 1u;
    survey->out->levels = levels > survey->out->levels ? levels : survey->out->levels;
}

void index_figures(const struct index *index, struct index_figures *out)
{
    const struct slots *slots = &index->slots;
    *out = (struct index_figures){
        .rows = index_count(index),
        .vacant = atomic_load_explicit(&slots->n_used, memory_order_relaxed) - index_count(index),
        .pending = index_pending(index),
        .code_bytes = slots->codes.bytes_used,
        .vector_bytes = slots->vectors.bytes_used,
        .mapped_bytes = slots_mapped_bytes(slots),
        .graph_bytes = slots->nodes.bytes_used + slots->uppers.bytes_used +
                       index->map.capacity * sizeof(uint32_t),
    };
    mutex_lock(&((struct index *)index)->advance_lock);
    out->dead = index->n_dead;
    mutex_unlock(&((struct index *)index)->advance_lock);
    struct survey survey = {.index = index, .out = out};
    each_node((struct index *)index, survey_node, &survey);
    out->degree_mean = survey.n_nodes > 0 ? (double)survey.n_edges / (double)survey.n_nodes : 0;
}
