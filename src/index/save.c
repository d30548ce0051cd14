/* Checkpoints, writing.  The stream, all numbers little-endian:
 *
 *   prefix   u64 magic, u32 version, u32 CRC-32C of the 12 bytes before
 *   header   u32 bytes, then: u8 kind, u8 distance, u32 dim, u32 m, u32 ef_construction, u64 seed,
 *            u8 code, u8 labels_are_keys, u64 sequence, u64 row_linked_end, u32 n_nodes, u32 entry,
 * then u32 CRC-32C blocks   u32 bytes, then nodes, then u32 CRC-32C; until there were n_nodes
 *
 *   node     varint: row number less the last one's, less 1; u64 label; for each layer from 0 up to
 * the row's level, which follows from its number: u8 n, n x varint neighbour
 *
 * A checksum covers the bytes of its part and begins with the checksum before it, so that blocks
 * can be neither left out nor exchanged.  Nodes stand in the order of their row numbers, and
 * neighbours and the entry point are places in that order: equal graphs are equal streams.  A flat
 * index has nodes without lists.  Vectors are the caller's. */
#include "index/save_int.h"

#include <stdlib.h>
#include <string.h>

struct place {
    uint64_t row;
    uint32_t slot;
};

struct saver {
    struct index *index;
    struct place *places; /* By row number. */
    uint32_t *ranks;      /* Of a slot in places. */
    size_t n;
    uint64_t sequence;
    struct buf part;
    uint32_t crc;
    enum errcode (*write)(void *arg, const void *data, size_t bytes, struct err *err);
    void *arg;
};

static int compare_places(const void *one, const void *other)
{
    const struct place *a = one, *b = other;
    return (a->row > b->row) - (a->row < b->row);
}

/* Which rows there are, and their order.  On success the graph stays as it is until the caller
 * gives advance_lock back. */
static enum errcode collect(struct saver *s, struct err *err)
{
    struct index *index = s->index;
    struct slots *slots = &index->slots;
    bool is_flat = index->config.kind == INDEX_FLAT;
    uint8_t wanted = is_flat ? SLOT_PRESENT : SLOT_LINKED;
    /* The staging thread changes a flat index under this lock. */
    mutex_lock(&slots->lock);
    s->sequence = queue_sequence(&index->queue);
    uint32_t n_used = atomic_load_explicit(&slots->n_used, memory_order_acquire);
    s->places = mem_alloc(MEM_GRAPH, (n_used + (size_t)1) * sizeof(*s->places));
    s->ranks = mem_alloc(MEM_GRAPH, (n_used + (size_t)1) * sizeof(*s->ranks));
    bool has_memory = s->places != NULL && s->ranks != NULL;
    for (uint32_t slot = 0; slot < n_used && has_memory; slot++) {
        if (slot_state(slots, slot) & wanted) {
            s->places[s->n++] = (struct place){.row = node_at(slots, slot)->row, .slot = slot};
        }
    }
    mutex_unlock(&slots->lock);
    if (!has_memory) {
        return err_no_memory(err);
    }
    qsort(s->places, s->n, sizeof(*s->places), compare_places);
    for (size_t i = 0; i < s->n; i++) {
        s->ranks[s->places[i].slot] = (uint32_t)i;
    }
    return ERR_OK;
}

/* Ends the part in the buffer with its checksum and hands it on. */
static enum errcode write_part(struct saver *s, struct err *err)
{
    if (!s->part.failed) {
        buf_patch_u32(&s->part, 0, (uint32_t)(s->part.bytes - sizeof(uint32_t)));
        s->crc = crc32c(s->crc, s->part.data, s->part.bytes);
        buf_u32(&s->part, s->crc);
    }
    if (s->part.failed) {
        return err_no_memory(err);
    }
    enum errcode code = s->write(s->arg, s->part.data, s->part.bytes, err);
    buf_reset(&s->part);
    return code;
}

static enum errcode write_head(struct saver *s, struct err *err)
{
    const struct index *index = s->index;
    uint8_t prefix[SAVE_PREFIX_BYTES];
    le_put_u64(prefix, SAVE_MAGIC);
    le_put_u32(prefix + 8, SAVE_VERSION);
    s->crc = crc32c(0, prefix, 12);
    le_put_u32(prefix + 12, s->crc);
    enum errcode code = s->write(s->arg, prefix, sizeof(prefix), err);
    if (code != ERR_OK) {
        return code;
    }
    uint32_t entry = atomic_load_explicit(&index->entry, memory_order_relaxed);
    buf_u32(&s->part, 0);
    buf_u8(&s->part, (uint8_t)index->config.kind);
    buf_u8(&s->part, (uint8_t)index->config.distance);
    buf_u32(&s->part, index->config.dim);
    buf_u32(&s->part, index->config.m);
    buf_u32(&s->part, index->config.ef_construction);
    buf_u64(&s->part, index->config.seed);
    buf_u8(&s->part, (uint8_t)index->config.code);
    buf_u8(&s->part, index->config.labels_are_keys);
    buf_u64(&s->part, s->sequence);
    buf_u64(&s->part, index->config.kind == INDEX_FLAT && s->n > 0 ? s->places[s->n - 1].row + 1
                                                                   : index->row_linked_end);
    buf_u32(&s->part, (uint32_t)s->n);
    buf_u32(&s->part, entry == SLOT_NONE ? SLOT_NONE : s->ranks[entry]);
    return write_part(s, err);
}

static void encode_node(struct saver *s, size_t i)
{
    const struct slots *slots = &s->index->slots;
    uint32_t slot = s->places[i].slot;
    unsigned level = node_at(slots, slot)->level;
    buf_varint(&s->part, s->places[i].row - (i == 0 ? 0 : s->places[i - 1].row + 1));
    buf_u64(&s->part, node_at(slots, slot)->label);
    for (unsigned layer = 0; s->index->config.kind == INDEX_HNSW && layer <= level; layer++) {
        uint32_t links[LINKS_MAX];
        size_t n = links_copy(slots, slot, layer, links);
        buf_u8(&s->part, (uint8_t)n);
        for (size_t j = 0; j < n; j++) {
            buf_varint(&s->part, s->ranks[links[j]]);
        }
    }
}

static enum errcode write_nodes(struct saver *s, struct err *err)
{
    enum errcode code = ERR_OK;
    for (size_t i = 0; i < s->n && code == ERR_OK;) {
        buf_u32(&s->part, 0);
        /* A reader for the time of a block only: the caller's disk may be slow, and a region that
         * must grow waits for all readers. */
        unsigned place = epoch_enter(&s->index->epochs, 0);
        for (; i < s->n && s->part.bytes < SAVE_BLOCK_BYTES && !s->part.failed; i++) {
            encode_node(s, i);
        }
        epoch_leave(&s->index->epochs, place);
        code = write_part(s, err);
    }
    return code;
}

enum errcode index_save(struct index *index,
                        enum errcode (*write)(void *arg, const void *data, size_t bytes,
                                              struct err *err),
                        void *arg, struct err *err)
{
    CHECK(index->n_awaited == 0);
    struct saver s = {.index = index, .write = write, .arg = arg};
    buf_init(&s.part, MEM_GRAPH, SAVE_PART_BYTES_MAX);
    mutex_lock(&index->advance_lock);
    unsigned place = epoch_enter(&index->epochs, 0);
    enum errcode code = collect(&s, err);
    epoch_leave(&index->epochs, place);
    if (code == ERR_OK) {
        code = write_head(&s, err);
    }
    if (code == ERR_OK) {
        code = write_nodes(&s, err);
    }
    mutex_unlock(&index->advance_lock);
    buf_fini(&s.part);
    mem_free(MEM_GRAPH, s.places);
    mem_free(MEM_GRAPH, s.ranks);
    return code;
}
