/* Checkpoints, reading: see save.c for the stream.
 *
 * Nothing in it is believed before its checksum was seen, and nothing that the checksum cannot know
 * is believed at all: numbers of rows rise, neighbours exist, stand on their layer and are listed
 * once, the entry point is on the highest layer.  So a graph that was loaded has the invariants
 * that linking and unlinking CHECK. */
#include "index/build_int.h"
#include "index/save_int.h"

#include <string.h>

struct loader {
    struct index *index;
    enum errcode (*read)(void *arg, void *data, size_t bytes, struct err *err);
    void *arg;
    uint8_t *part; /* SAVE_PART_BYTES_MAX. */
    uint32_t crc;
    uint32_t n_nodes, entry, n_loaded;
    uint64_t row_next;
};

static enum errcode corrupt(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the index checkpoint %s", what);
}

/* ---- parts ---- */

static enum errcode read_prefix(struct loader *l, struct err *err)
{
    uint8_t prefix[SAVE_PREFIX_BYTES];
    enum errcode code = l->read(l->arg, prefix, sizeof(prefix), err);
    if (code != ERR_OK) {
        return code;
    }
    l->crc = crc32c(0, prefix, 12);
    if (l->crc != le_get_u32(prefix + 12)) {
        return corrupt(err, "does not begin like one");
    }
    if (le_get_u64(prefix) != SAVE_MAGIC || le_get_u32(prefix + 8) != SAVE_VERSION) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED,
                       "the index checkpoint has version %u, this server reads version %d",
                       le_get_u32(prefix + 8), SAVE_VERSION);
    }
    return ERR_OK;
}

/* The next part, its checksum seen, without its length. */
static enum errcode read_part(struct loader *l, struct reader *out, struct err *err)
{
    enum errcode code = l->read(l->arg, l->part, sizeof(uint32_t), err);
    if (code != ERR_OK) {
        return code;
    }
    size_t bytes = le_get_u32(l->part);
    if (bytes > SAVE_PART_BYTES_MAX - 2 * sizeof(uint32_t)) {
        return corrupt(err, "has a part that is too long");
    }
    code = l->read(l->arg, l->part + sizeof(uint32_t), bytes + sizeof(uint32_t), err);
    if (code != ERR_OK) {
        return code;
    }
    l->crc = crc32c(l->crc, l->part, sizeof(uint32_t) + bytes);
    if (l->crc != le_get_u32(l->part + sizeof(uint32_t) + bytes)) {
        return corrupt(err, "does not pass its checksum");
    }
    reader_init(out, l->part + sizeof(uint32_t), bytes);
    return ERR_OK;
}

static enum errcode read_head(struct loader *l, struct err *err)
{
    struct reader r;
    enum errcode code = read_part(l, &r, err);
    if (code != ERR_OK) {
        return code;
    }
    struct index *index = l->index;
    const struct index_config *config = &index->config;
    bool is_same = reader_u8(&r) == (uint8_t)config->kind;
    is_same &= reader_u8(&r) == (uint8_t)config->distance;
    is_same &= reader_u32(&r) == config->dim;
    is_same &= reader_u32(&r) == config->m;
    is_same &= reader_u32(&r) == config->ef_construction;
    is_same &= reader_u64(&r) == config->seed;
    is_same &= reader_u8(&r) == (uint8_t)config->code;
    is_same &= reader_u8(&r) == (uint8_t)config->labels_are_keys;
    uint64_t sequence = reader_u64(&r);
    index->row_fresh = reader_u64(&r);
    l->n_nodes = reader_u32(&r);
    l->entry = reader_u32(&r);
    if (!reader_done(&r)) {
        return corrupt(err, "has a head of another length");
    }
    if (!is_same) {
        return corrupt(err, "is of an index with other parameters");
    }
    bool has_entry = l->entry != SLOT_NONE;
    if (l->n_nodes > SLOTS_MAX || has_entry != (config->kind == INDEX_HNSW && l->n_nodes > 0) ||
        (has_entry && l->entry >= l->n_nodes)) {
        return corrupt(err, "has an impossible number of rows or entry point");
    }
    index->row_next = index->row_linked_end = index->row_fresh;
    index->queue.sequence_staged = index->queue.sequence_done = sequence;
    return ERR_OK;
}

/* ---- nodes ---- */

static bool is_listed_once(const uint32_t *links, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (links[i] == links[j]) {
                return false;
            }
        }
    }
    return true;
}

static bool read_list(struct loader *l, struct reader *r, uint32_t slot, unsigned layer)
{
    const struct slots *slots = &l->index->slots;
    uint32_t links[UINT8_MAX];
    size_t n = reader_u8(r);
    bool is_good = n <= links_max(slots, layer);
    for (size_t i = 0; i < n; i++) {
        uint64_t link = reader_varint(r);
        is_good &= link < l->n_nodes && link != slot;
        links[i] = (uint32_t)link;
    }
    if (is_good && !r->failed && is_listed_once(links, n)) {
        links_write(slots, slot, layer, links, n);
        return true;
    }
    return false;
}

static enum errcode read_node(struct loader *l, struct reader *r, struct err *err)
{
    struct index *index = l->index;
    struct slots *slots = &index->slots;
    uint64_t row = l->row_next + reader_varint(r);
    if (r->failed || row < l->row_next || row >= index->row_fresh) {
        return corrupt(err, "has row numbers that do not rise");
    }
    uint8_t level = level_of(&index->config, row);
    uint32_t slot;
    if (!row_map_reserve(&index->map, slots, 1) ||
        !slots_take(slots, &index->epochs, &level, 1, &slot)) {
        return err_no_memory(err);
    }
    CHECK(slot == l->n_loaded);
    node_at(slots, slot)->row = row;
    node_at(slots, slot)->label = reader_u64(r);
    if (r->failed) {
        return corrupt(err, "ends within a row");
    }
    for (unsigned layer = 0; index->config.kind == INDEX_HNSW && layer <= level; layer++) {
        if (!read_list(l, r, slot, layer)) {
            return corrupt(err, "has a neighbour list that cannot be");
        }
    }
    slot_set_state(index, slot, SLOT_AWAITED);
    row_map_add(&index->map, slots, slot);
    l->row_next = row + 1;
    l->n_loaded++;
    return ERR_OK;
}

static enum errcode read_nodes(struct loader *l, struct err *err)
{
    enum errcode code = ERR_OK;
    while (code == ERR_OK && l->n_loaded < l->n_nodes) {
        struct reader r;
        code = read_part(l, &r, err);
        if (code == ERR_OK && reader_left(&r) == 0) {
            code = corrupt(err, "has an empty part");
        }
        while (code == ERR_OK && reader_left(&r) > 0) {
            code = l->n_loaded < l->n_nodes ? read_node(l, &r, err)
                                            : corrupt(err, "has more rows than it says");
        }
    }
    return code;
}

/* What can be told only when all nodes are there. */
static enum errcode check_graph(struct loader *l, struct err *err)
{
    struct index *index = l->index;
    const struct slots *slots = &index->slots;
    for (uint32_t slot = 0; slot < l->n_nodes && l->entry != SLOT_NONE; slot++) {
        unsigned level = node_at(slots, slot)->level;
        if (level > node_at(slots, l->entry)->level) {
            return corrupt(err, "has an entry point below the highest layer");
        }
        for (unsigned layer = 0; layer <= level; layer++) {
            uint32_t links[LINKS_MAX];
            size_t n = links_copy(slots, slot, layer, links);
            for (size_t i = 0; i < n; i++) {
                if (node_at(slots, links[i])->level < layer) {
                    return corrupt(err, "has a neighbour below its layer");
                }
            }
        }
    }
    return ERR_OK;
}

enum errcode index_load(struct index *index,
                        enum errcode (*read)(void *arg, void *data, size_t bytes, struct err *err),
                        void *arg, struct err *err)
{
    CHECK(atomic_load_explicit(&index->slots.n_used, memory_order_relaxed) == 0);
    struct loader l = {.index = index,
                       .read = read,
                       .arg = arg,
                       .part = mem_alloc(MEM_GRAPH, SAVE_PART_BYTES_MAX)};
    enum errcode code = l.part == NULL ? err_no_memory(err) : read_prefix(&l, err);
    if (code == ERR_OK) {
        code = read_head(&l, err);
    }
    if (code == ERR_OK) {
        code = read_nodes(&l, err);
    }
    if (code == ERR_OK) {
        code = check_graph(&l, err);
    }
    if (code == ERR_OK) {
        atomic_store_explicit(&index->entry, l.entry, memory_order_release);
        index->n_awaited = l.n_nodes;
        index->edges_due = l.entry != SLOT_NONE ? l.n_nodes : 0;
    }
    mem_free(MEM_GRAPH, l.part);
    return code;
}

/* ---- vectors ---- */

bool index_load_wants(const struct index *index, uint64_t row)
{
    uint32_t slot = row_map_find(&index->map, &index->slots, row);
    return slot != SLOT_NONE && (slot_state(&index->slots, slot) & SLOT_AWAITED) != 0;
}

enum errcode index_load_vector(struct index *index, uint64_t row, const float *vector,
                               struct err *err)
{
    if (!index_load_wants(index, row)) {
        return err_set(err, ERR_CORRUPT, "the index checkpoint does not wait for row %llu",
                       (unsigned long long)row);
    }
    const struct index_config *config = &index->config;
    uint32_t slot = row_map_find(&index->map, &index->slots, row);
    struct scratch *s = scratch_for(index, err);
    if (s == NULL) {
        return ERR_OUT_OF_MEMORY;
    }
    if (vector_prepare(config->distance, config->dim, vector, s->query, err) != ERR_OK) {
        return err_set(err, ERR_CORRUPT, "the vector of row %llu is not one that could be staged",
                       (unsigned long long)row);
    }
    slot_set_vector(index, slot, s->query);
    bool is_flat = config->kind == INDEX_FLAT;
    slot_set_state(index, slot, is_flat ? SLOT_PRESENT : SLOT_PRESENT | SLOT_LINKED);
    atomic_fetch_add_explicit(&index->n_live, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&index->n_linked, is_flat ? 0 : 1, memory_order_relaxed);
    index->n_awaited--;
    return ERR_OK;
}

enum errcode index_load_end(struct index *index, struct err *err)
{
    if (index->n_awaited > 0) {
        return err_set(err, ERR_CORRUPT, "%zu rows of the index checkpoint have no vector",
                       index->n_awaited);
    }
    return ERR_OK;
}
