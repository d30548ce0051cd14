/* Checkpoints, writing.  The stream, all numbers little-endian:
 *
 *   prefix  u64 magic, u32 version, u32 CRC-32C of the 12 bytes before
 *   head    u8 kind, u8 distance, u8 code, u8 labels_are_keys, u32 dim, u32 m,
 *           u32 ef_construction, u32 1 where the vectors are in a storage, else 0, u64 seed,
 *           u64 sequence, u64 row_linked_end, f64 norm_max, u32 n_slots, u32 entry, u32 root,
 *           u32 radius, u64 rows at its last trial, u32 rows until the centre is looked at, u32 1
 *           where there is a centre, else 0; the centre, dim f32; u32 CRC-32C of the head
 *   block   u32 bytes, then of some slots, as many as fit about SAVE_BLOCK_BYTES, u8 what the
 *           slot has (save_int.h); then of those that have a row, in the order of the slots,
 *           each field of all before the next: u64 row number, u64 label, then the list on
 *           layer 0 as u8 length, u8 kept, u8 chosen and links, code, exact vector where the code
 *           is not that already (where vectors are in a storage, instead of them u32 CRC-32C of
 *           the block's), and for each layer from 1 up to the row's level, which follows from its
 *           number: u8 length, u8 chosen, links; then u32 CRC-32C
 *   end     u32 0, u32 number of rows, u32 CRC-32C of all checksums of blocks
 *
 * A link is a slot, of three bytes where there are few enough.  So a graph comes back at the slots
 * that it had, at nearly the speed of a copy, and blocks are read in parallel.  A block's checksum
 * begins with that of the head plus the block's number, so that blocks can be neither left out nor
 * exchanged.  A flat index has rows without lists. */
#include "index/save_int.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEAD_BYTES_MAX = SAVE_PREFIX_BYTES + SAVE_HEAD_BYTES + sizeof(uint32_t) /* But for a centre. */
};

struct saver {
    struct index *index;
    struct save_shape shape;
    uint64_t sequence, row_end;
    uint32_t n_slots, n_rows, n_blocks;
    uint32_t head_crc, all_crc;
    struct buf part;
    struct save_rows rows;
    bool is_stored; /* When the save began; a small index may hand its vectors over meanwhile. */
    enum errcode (*write)(void *arg, const void *data, size_t bytes, struct err *err);
    void *arg;
};

static bool is_saved(const struct saver *s, uint32_t slot)
{
    const struct slots *slots = &s->index->slots;
    uint8_t state = slot_state(slots, slot);
    return s->index->config.kind == INDEX_HNSW
               ? (state & SLOT_LINKED) != 0
               : (state & SLOT_PRESENT) != 0 && node_at(slots, slot)->row < s->row_end;
}

static enum errcode write_head(struct saver *s, struct err *err)
{
    const struct index *index = s->index;
    struct buf *b = &s->part;
    buf_u64(b, SAVE_MAGIC);
    buf_u32(b, SAVE_VERSION);
    buf_u32(b, b->failed ? 0 : crc32c(0, b->data, b->bytes));
    buf_u8(b, (uint8_t)index->config.kind);
    buf_u8(b, (uint8_t)index->config.distance);
    buf_u8(b, (uint8_t)index->config.code);
    buf_u8(b, index->config.labels_are_keys);
    buf_u32(b, index->config.dim);
    buf_u32(b, index->config.m);
    buf_u32(b, index->config.ef_construction);
    buf_u32(b, s->is_stored);
    buf_u64(b, index->config.seed);
    buf_u64(b, s->sequence);
    buf_u64(b, s->row_end);
    buf_f64(b, atomic_load_explicit(&index->norm_max, memory_order_relaxed));
    buf_u32(b, s->n_slots);
    buf_u32(b, atomic_load_explicit(&index->entry, memory_order_relaxed));
    buf_u32(b, index->root);
    buf_u32(b, index->radius);
    buf_u64(b, index->tried_at);
    buf_u32(b, index->centre.rows_due);
    size_t n_centre = index->centre.vector != NULL ? index->config.dim : 0;
    buf_u32(b, n_centre > 0);
    buf_floats(b, index->centre.vector, n_centre);
    if (b->failed) {
        return err_no_memory(err);
    }
    s->head_crc = crc32c(0, b->data + SAVE_PREFIX_BYTES, b->bytes - SAVE_PREFIX_BYTES);
    CHECK(b->bytes == SAVE_PREFIX_BYTES + SAVE_HEAD_BYTES + n_centre * sizeof(float));
    buf_u32(b, s->head_crc);
    return b->failed ? err_no_memory(err) : s->write(s->arg, b->data, b->bytes, err);
}

/* ---- a block ---- */

/* The last delete of a batch is done when its sweep is over. */
static uint8_t kind_of(const struct saver *s, uint32_t slot)
{
    const struct slots *slots = &s->index->slots;
    uint8_t state = slot_state(slots, slot), kind = SAVE_ROW;
    if (!is_saved(s, slot)) {
        return 0;
    }
    if ((state & SLOT_DEAD) != 0 && slot != s->index->sweep.slot_last) {
        kind |= SAVE_DEAD;
    } else if ((state & (SLOT_DEAD | SLOT_LEFT)) != 0) {
        kind |= SAVE_LAST;
    }
    kind |= (state & SLOT_TORN) != 0 ? SAVE_TORN : 0;
    return kind | (node_at(slots, slot)->has_parent ? 0 : SAVE_ORPHAN);
}

static void put_kinds(struct saver *s, uint32_t first, uint32_t end)
{
    s->rows.n = 0;
    for (uint32_t slot = first; slot < end; slot++) {
        uint8_t kind = kind_of(s, slot);
        buf_u8(&s->part, kind);
        if (kind != 0) {
            s->rows.slots[s->rows.n++] = slot;
        }
    }
}

static void put_list(struct saver *s, const uint32_t *links, size_t n)
{
    size_t link_bytes = s->shape.link_bytes;
    uint8_t *out = buf_reserve(&s->part, n * link_bytes);
    for (size_t i = 0; i < n && out != NULL; i++) {
        save_link_put(out + i * link_bytes, links[i], link_bytes);
    }
    if (out != NULL) {
        buf_commit(&s->part, n * link_bytes);
    }
}

static void put_nodes(struct saver *s)
{
    const struct slots *slots = &s->index->slots;
    const struct save_rows *rows = &s->rows;
    uint32_t links[LINKS_MAX];
    for (uint32_t i = 0; i < rows->n; i++) {
        buf_u64(&s->part, node_at(slots, rows->slots[i])->row);
    }
    for (uint32_t i = 0; i < rows->n; i++) {
        buf_u64(&s->part, node_at(slots, rows->slots[i])->label);
    }
    if (s->index->config.kind == INDEX_FLAT) {
        return;
    }
    size_t lengths_at = s->part.bytes;
    if (buf_reserve(&s->part, 3 * (size_t)rows->n) == NULL) {
        return;
    }
    buf_commit(&s->part, 3 * (size_t)rows->n);
    for (uint32_t i = 0; i < rows->n && !s->part.failed; i++) {
        size_t n = links_copy(slots, rows->slots[i], 0, links);
        uint8_t *length = s->part.data + lengths_at + i;
        length[0] = (uint8_t)n;
        length[rows->n] = node_at(slots, rows->slots[i])->kept;
        length[2 * (size_t)rows->n] = node_at(slots, rows->slots[i])->chosen;
        put_list(s, links, n);
    }
}

uint32_t save_vectors_crc(const struct save_rows *rows, const float *vectors, size_t stride,
                          uint32_t first, uint32_t dim)
{
    uint32_t crc = 0;
    for (uint32_t i = 0, end; i < rows->n; i = end) {
        for (end = i + 1;
             stride == dim && end < rows->n && rows->slots[end] == rows->slots[end - 1] + 1;) {
            end++; /* They follow each other without a gap. */
        }
        crc = crc32c(crc, vectors + (size_t)(rows->slots[i] - first) * stride,
                     (end - i) * dim * sizeof(float));
    }
    return crc;
}

/* The vectors need not be read where the block has the rows that it had: each keeps its slot. */
static void put_sum(struct saver *s, uint32_t first, uint32_t end)
{
    const struct index *index = s->index;
    struct block_sum *sum = &index->sums[s->n_blocks];
    uint32_t rows = save_rows_crc(s->part.data + sizeof(uint32_t), end - first, s->rows.n);
    if (sum->rows != rows) {
        struct code_space space = space_of_vectors(index);
        const uint8_t *vectors = space.rows + (size_t)first * space.stride;
        *sum = (struct block_sum){
            .rows = rows,
            .vectors = save_vectors_crc(&s->rows, (const float *)(const void *)vectors,
                                        space.stride / sizeof(float), first, index->config.dim),
        };
    }
    buf_u32(&s->part, sum->vectors);
}

static void put_vectors(struct saver *s, uint32_t first, uint32_t end)
{
    const struct slots *slots = &s->index->slots;
    for (uint32_t i = 0; i < s->rows.n; i++) {
        buf_bytes(&s->part, code_at(slots, s->rows.slots[i]), s->shape.code_bytes);
    }
    if (s->is_stored && !s->part.failed) {
        put_sum(s, first, end);
    }
    for (uint32_t i = 0; i < s->rows.n && s->shape.vector_bytes > 0; i++) {
        buf_bytes(&s->part, vector_at(slots, s->rows.slots[i]), s->shape.vector_bytes);
    }
}

static void put_uppers(struct saver *s)
{
    const struct slots *slots = &s->index->slots;
    uint32_t links[LINKS_MAX];
    for (uint32_t i = 0; i < s->rows.n && s->index->config.kind == INDEX_HNSW; i++) {
        uint32_t slot = s->rows.slots[i];
        for (unsigned layer = 1; layer <= node_at(slots, slot)->level; layer++) {
            size_t n = links_copy(slots, slot, layer, links);
            buf_u8(&s->part, (uint8_t)n);
            buf_u8(&s->part, upper_of(slots, slot, layer)->chosen);
            put_list(s, links, n);
        }
    }
}

/* A reader for the time of a block only: the caller's disk may be slow, and a region that must grow
 * waits for all readers.  A flat index changes under the lock alone. */
static void encode_block(struct saver *s, uint32_t first, uint32_t end)
{
    struct index *index = s->index;
    buf_reset(&s->part);
    buf_u32(&s->part, 0);
    unsigned place = epoch_enter(&index->epochs, 0);
    mutex_lock(&index->slots.lock);
    put_kinds(s, first, end);
    put_nodes(s);
    put_vectors(s, first, end);
    put_uppers(s);
    mutex_unlock(&index->slots.lock);
    epoch_leave(&index->epochs, place);
}

static enum errcode write_block(struct saver *s, uint32_t first, uint32_t end, struct err *err)
{
    struct buf *part = &s->part;
    encode_block(s, first, end);
    if (!part->failed) {
        buf_patch_u32(part, 0, (uint32_t)(part->bytes - sizeof(uint32_t)));
        uint32_t crc = crc32c(s->head_crc + s->n_blocks, part->data, part->bytes);
        s->all_crc = save_crc_add(s->all_crc, crc);
        buf_u32(part, crc);
    }
    s->n_blocks++;
    s->n_rows += s->rows.n;
    return part->failed ? err_no_memory(err) : s->write(s->arg, part->data, part->bytes, err);
}

static enum errcode write_end(struct saver *s, struct err *err)
{
    uint8_t end[SAVE_END_BYTES];
    le_put_u32(end, 0);
    le_put_u32(end + 4, s->n_rows);
    s->all_crc = save_crc_add(s->all_crc, s->n_rows);
    le_put_u32(end + 8, s->all_crc);
    return s->write(s->arg, end, sizeof(end), err);
}

bool sums_fit(struct index *index, uint32_t n_blocks)
{
    if (n_blocks <= index->n_sums) {
        return true;
    }
    uint32_t n = n_blocks + n_blocks / 2;
    struct block_sum *sums = mem_realloc(MEM_GRAPH, index->sums, n * sizeof(*sums));
    if (sums == NULL) {
        return false;
    }
    memset(sums + index->n_sums, 0, (n - index->n_sums) * sizeof(*sums));
    index->sums = sums;
    index->n_sums = n;
    return true;
}

/* What the head says.  The graph stays as it is as long as the caller has advance_lock. */
static enum errcode note_state(struct saver *s, struct index *index, struct err *err)
    REQUIRES(index->advance_lock)
{
    slots_note_save(&index->slots);
    mutex_lock(&index->slots.lock); /* The staging thread changes a flat index under it. */
    s->sequence = queue_sequence(&index->queue);
    s->row_end = index->config.kind == INDEX_FLAT ? index->row_next : index->row_linked_end;
    s->n_slots = atomic_load_explicit(&index->slots.n_used, memory_order_acquire);
    while (s->n_slots > 0 && !is_saved(s, s->n_slots - 1)) {
        s->n_slots--; /* Places behind the last row are not named: their room may go. */
    }
    s->is_stored = index->slots.is_stored;
    s->shape = save_shape_of(index, s->n_slots, s->is_stored);
    mutex_unlock(&index->slots.lock);
    bool fits = !s->is_stored || sums_fit(index, save_blocks(&s->shape, s->n_slots));
    return fits ? ERR_OK : err_no_memory(err);
}

enum errcode index_save(struct index *index,
                        enum errcode (*write)(void *arg, const void *data, size_t bytes,
                                              struct err *err),
                        void *arg, uint32_t *digest, struct err *err)
{
    CHECK(write != NULL);
    struct saver s = {.index = index, .write = write, .arg = arg};
    mutex_lock(&index->advance_lock);
    enum errcode code = note_state(&s, index, err);
    size_t head_bytes = HEAD_BYTES_MAX + index->config.dim * sizeof(float);
    buf_init(&s.part, MEM_GRAPH,
             s.shape.block_bytes_max > head_bytes ? s.shape.block_bytes_max : head_bytes);
    if (code == ERR_OK) {
        code = write_head(&s, err);
    }
    s.all_crc = s.head_crc;
    for (uint32_t first = 0; code == ERR_OK && first < s.n_slots; first += s.shape.block_slots) {
        uint32_t left = s.n_slots - first;
        code = write_block(&s, first,
                           first + (left < s.shape.block_slots ? left : s.shape.block_slots), err);
    }
    if (code == ERR_OK) {
        code = write_end(&s, err);
    }
    mutex_unlock(&index->advance_lock);
    buf_fini(&s.part);
    *digest = s.all_crc;
    return code;
}

void index_is_durable(struct index *index)
{
    mutex_lock(&index->advance_lock);
    slots_note_durable(&index->slots, &index->epochs);
    if (atomic_load_explicit(&index->n_linked, memory_order_relaxed) == 0) {
        slots_give_back(&index->slots, &index->epochs);
    }
    mutex_unlock(&index->advance_lock);
}
