/* Checkpoints, reading: see save.c for the stream.
 *
 *   head -> room for its slots -> batches of blocks: one is decoded by the crew, straight into the
 *   slots, while one of it reads the next -> end -> all lists are looked at by the crew, while one
 *   of it makes the row map (load_check.c)
 *
 * Nothing in it is believed before its checksum was seen, and nothing that the checksum cannot know
 * is believed at all: a row is there once, vectors are finite, neighbours exist, stand on their
 * layer and are listed once, the entry point is on the highest layer, parents lead to all rows.  So
 * a graph that was loaded has the invariants that linking and unlinking CHECK.  No number asks for
 * more memory than the stream has bytes for it. */
#include "index/load_int.h"

#include <math.h>
#include <string.h>

enum {
    BLOCKS_AT_ONCE = 32,
    SEEN_PLACES = 4096,
    KEPT_MAX = 0x7f, /* What a node can say. */
};

struct block {
    uint8_t *data; /* Its length, content and checksum, and the length of the next. */
    size_t capacity, bytes;
    uint32_t number, crc;
    uint32_t first, end; /* Slots. */
    uint32_t upper_first, n_uppers;
    struct save_rows rows;
    float *vectors;        /* Room for those that come from a storage. */
    const char *complaint; /* NULL: it is good. */
    enum errcode code;     /* What the storage said, and why. */
    struct err why;
};

struct batch {
    struct block *blocks;
    size_t n_max, n;
    enum errcode code; /* Of reading it. */
    struct err why;
};

/* A list's place in a node or upper list. */
struct links_place {
    _Atomic uint32_t *links;
    size_t max;
};

static enum errcode take(struct loader *l, void *data, size_t bytes, struct err *err)
{
    if (bytes > l->source.bytes) {
        return load_corrupt(err, "is cut off");
    }
    l->source.bytes -= bytes;
    return l->source.read(l->source.arg, data, bytes, err);
}

/* ---- prefix, head and end ---- */

static enum errcode read_prefix(struct loader *l, struct err *err)
{
    uint8_t prefix[SAVE_PREFIX_BYTES];
    enum errcode code = take(l, prefix, sizeof(prefix), err);
    if (code != ERR_OK) {
        return code;
    }
    if (crc32c(0, prefix, 12) != le_get_u32(prefix + 12)) {
        return load_corrupt(err, "does not begin like one");
    }
    if (le_get_u64(prefix) != SAVE_MAGIC || le_get_u32(prefix + 8) != SAVE_VERSION) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED,
                       "the index checkpoint has version %u, this server reads version %d",
                       le_get_u32(prefix + 8), SAVE_VERSION);
    }
    return ERR_OK;
}

static bool are_finite(const float *vector, uint32_t dim)
{
    float sum = 0; /* Of zeros, unless one is not finite. */
    for (uint32_t i = 0; i < dim; i++) {
        sum += vector[i] * 0;
    }
    return sum == 0;
}

static enum errcode take_centre(struct loader *l, struct err *err)
{
    struct index *index = l->index;
    size_t bytes = index->config.dim * sizeof(float);
    index->centre.vector = mem_alloc(MEM_GRAPH, bytes);
    if (index->centre.vector == NULL) {
        return err_no_memory(err);
    }
    enum errcode code = take(l, index->centre.vector, bytes, err);
    l->head_crc = code == ERR_OK ? crc32c(l->head_crc, index->centre.vector, bytes) : l->head_crc;
    return code;
}

/* With the centre behind it, and its checksum. */
static enum errcode take_head(struct loader *l, uint8_t head[SAVE_HEAD_BYTES], struct err *err)
{
    uint8_t crc[sizeof(uint32_t)];
    enum errcode code = take(l, head, SAVE_HEAD_BYTES, err);
    if (code == ERR_OK) {
        l->head_crc = crc32c(0, head, SAVE_HEAD_BYTES);
        bool is_centred = le_get_u32(head + SAVE_HEAD_BYTES - sizeof(uint32_t)) == 1;
        code = is_centred ? take_centre(l, err) : ERR_OK;
    }
    code = code == ERR_OK ? take(l, crc, sizeof(crc), err) : code;
    if (code == ERR_OK && l->head_crc != le_get_u32(crc)) {
        code = load_corrupt(err, "has a head that does not pass its checksum");
    }
    return code;
}

static bool is_good_centre(const struct index *index, uint32_t is_centred)
{
    const float *vector = index->centre.vector;
    if (is_centred == 1) {
        return index_has_centre(index) && are_finite(vector, index->config.dim);
    }
    return is_centred == 0;
}

static enum errcode read_head(struct loader *l, struct err *err)
{
    uint8_t head[SAVE_HEAD_BYTES];
    struct reader r;
    enum errcode code = take_head(l, head, err);
    if (code != ERR_OK) {
        return code;
    }
    struct index *index = l->index;
    const struct index_config *config = &index->config;
    reader_init(&r, head, sizeof(head));
    bool is_same = reader_u8(&r) == (uint8_t)config->kind;
    is_same &= reader_u8(&r) == (uint8_t)config->distance;
    is_same &= reader_u8(&r) == (uint8_t)config->code;
    is_same &= reader_u8(&r) == (uint8_t)config->labels_are_keys;
    is_same &= reader_u32(&r) == config->dim;
    is_same &= reader_u32(&r) == config->m;
    is_same &= reader_u32(&r) == config->ef_construction;
    uint32_t is_stored = reader_u32(&r);
    is_same &= reader_u64(&r) == config->seed;
    if (!is_same || is_stored > 1) {
        return load_corrupt(err, "is of an index with other parameters");
    }
    if (is_stored == 1 && config->storage == NULL) {
        return load_corrupt(err, "has its vectors elsewhere");
    }
    uint64_t sequence = reader_u64(&r);
    index->row_fresh = index->row_next = index->row_linked_end = reader_u64(&r);
    double norm_max = reader_f64(&r);
    l->n_slots = reader_u32(&r);
    l->is_stored = is_stored == 1;
    l->shape = save_shape_of(index, l->n_slots, l->is_stored);
    l->entry = reader_u32(&r);
    index->root = reader_u32(&r);
    uint32_t radius = reader_u32(&r);
    index->tried_at = reader_u64(&r);
    if (radius >= RADII) {
        return load_corrupt(err, "has an unknown radius");
    }
    index->radius = radius;
    index->centre.rows_due = reader_u32(&r);
    if (!is_good_centre(index, reader_u32(&r))) {
        return load_corrupt(err, "has an impossible centre");
    }
    if (l->n_slots > SLOTS_MAX || !(norm_max >= 0 && isfinite(norm_max)) ||
        (l->entry != SLOT_NONE && l->entry >= l->n_slots)) {
        return load_corrupt(err, "has an impossible number of slots, norm or entry point");
    }
    atomic_store_explicit(&index->norm_max, norm_max, memory_order_relaxed);
    index->queue.sequence_staged = index->queue.sequence_done = sequence;
    l->all_crc = l->head_crc;
    return ERR_OK;
}

static enum errcode read_end(struct loader *l, struct err *err)
{
    uint8_t end[SAVE_END_BYTES - sizeof(l->length_next)];
    enum errcode code = take(l, end, sizeof(end), err);
    if (code != ERR_OK) {
        return code;
    }
    l->all_crc = save_crc_add(l->all_crc, l->n_rows);
    if (l->length_next != 0 || le_get_u32(end) != l->n_rows || le_get_u32(end + 4) != l->all_crc) {
        return load_corrupt(err, "does not end as it should");
    }
    return ERR_OK;
}

/* ---- a block, on a thread of the crew ---- */

/* A row of a graph is alive, maybe torn, or dead in one way. */
static bool is_good_kind(const struct loader *l, uint8_t kind)
{
    uint8_t rest = kind & (SAVE_DEAD | SAVE_TORN | SAVE_LAST);
    if (l->index->config.kind == INDEX_FLAT) {
        return kind == (SAVE_ROW | SAVE_ORPHAN);
    }
    return (kind & SAVE_ROW) != 0 && (kind & ~(rest | SAVE_ROW | SAVE_ORPHAN)) == 0 &&
           (rest & (rest - 1)) == 0;
}

static bool take_kinds(const struct loader *l, struct block *b, struct reader *r)
{
    const uint8_t *kinds = reader_bytes(r, b->end - b->first);
    b->rows.n = 0;
    for (uint32_t slot = b->first; kinds != NULL && slot < b->end; slot++) {
        uint8_t kind = kinds[slot - b->first];
        l->facts.kinds[slot] = kind;
        if (kind == 0) {
            l->facts.rows[slot] = ROW_NONE;
            continue;
        }
        if (!is_good_kind(l, kind)) {
            return false;
        }
        b->rows.kinds[b->rows.n] = kind;
        b->rows.slots[b->rows.n++] = slot;
    }
    return kinds != NULL;
}

static uint8_t state_of(bool is_flat, uint8_t kind)
{
    if (is_flat) {
        return SLOT_PRESENT;
    }
    uint8_t torn = (kind & SAVE_TORN) != 0 ? SLOT_TORN : 0;
    uint8_t dead = (kind & SAVE_DEAD) != 0 ? SLOT_HIDDEN | SLOT_DEAD : 0;
    uint8_t left = (kind & SAVE_LAST) != 0 ? SLOT_LEFT : 0;
    return SLOT_PRESENT | SLOT_LINKED | torn | dead | left;
}

/* Its lists are still to come, but it has places for them. */
static void make_node(struct loader *l, uint32_t slot, uint8_t kind, uint64_t row, uint32_t upper)
{
    struct index *index = l->index;
    struct node *node = node_at(&index->slots, slot);
    node->row = row;
    node->level = level_of(&index->config, row);
    node->upper = node->level > 0 ? upper : SLOT_NONE;
    node->next = SLOT_NONE;
    node->chosen = 0;
    node->kept = 0;
    node->has_parent = (kind & SAVE_ORPHAN) == 0;
    slot_set_state(index, slot, state_of(index->config.kind == INDEX_FLAT, kind));
    l->facts.rows[slot] = row;
    l->facts.parents[slot] = SLOT_NONE;
    l->facts.heights[slot] = node->level + 1;
}

static bool take_rows(struct loader *l, struct block *b, struct reader *r)
{
    const struct slots *slots = &l->index->slots;
    const uint8_t *numbers = reader_bytes(r, b->rows.n * sizeof(uint64_t));
    const uint8_t *labels = reader_bytes(r, b->rows.n * sizeof(uint64_t));
    uint32_t n_uppers = 0;
    for (uint32_t i = 0; i < b->rows.n && labels != NULL; i++) {
        uint32_t slot = b->rows.slots[i];
        uint64_t row = le_get_u64(numbers + i * sizeof(uint64_t));
        if (row >= l->index->row_fresh) {
            return false;
        }
        make_node(l, slot, b->rows.kinds[i], row, b->upper_first + n_uppers);
        node_at(slots, slot)->label = le_get_u64(labels + i * sizeof(uint64_t));
        n_uppers += node_at(slots, slot)->level;
    }
    return labels != NULL && n_uppers == b->n_uppers;
}

/* Which slots a list has named; a list that comes later has a larger number. */
struct seen {
    uint16_t list;
    uint16_t of[SEEN_PLACES];
};

static bool is_among(const _Atomic uint32_t *links, size_t n, uint32_t link)
{
    size_t i = 0;
    while (i < n && atomic_load_explicit(&links[i], memory_order_relaxed) != link) {
        i++;
    }
    return i < n;
}

/* Of three bytes or four.  The fourth byte of the last one is the block's next, or its checksum. */
static uint32_t link_at(const uint8_t *p, size_t link_bytes)
{
    uint32_t link =
        (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return link_bytes == 3 ? link & 0xffffff : link;
}

/* Of @slot, into its place of @max; the slots are there, others than it, and each once. */
static bool take_links(const struct loader *l, struct seen *seen, uint32_t slot, struct reader *r,
                       size_t n, struct links_place to)
{
    size_t link_bytes = l->shape.link_bytes;
    const uint8_t *from = reader_bytes(r, n * link_bytes);
    if (from == NULL || n > to.max) {
        return false;
    }
    bool is_good = true;
    seen->list++;
    for (size_t i = 0; i < n; i++) {
        uint32_t link = link_at(from + i * link_bytes, link_bytes);
        uint16_t *place = &seen->of[link % SEEN_PLACES];
        is_good &= link < l->n_slots && link != slot;
        if (*place == seen->list) {
            is_good &= !is_among(to.links, i, link);
        }
        *place = seen->list;
        atomic_store_explicit(&to.links[i], link, memory_order_relaxed);
    }
    for (size_t i = n; i < to.max; i++) {
        atomic_store_explicit(&to.links[i], SLOT_NONE, memory_order_relaxed);
    }
    return is_good;
}

static bool take_lists(const struct loader *l, struct block *b, struct seen *seen, struct reader *r)
{
    const struct slots *slots = &l->index->slots;
    size_t n = b->rows.n;
    if (l->index->config.kind == INDEX_FLAT) {
        return true;
    }
    const uint8_t *lengths = reader_bytes(r, 3 * n);
    bool is_good = lengths != NULL;
    for (size_t i = 0; i < n && is_good; i++) {
        struct node *node = node_at(slots, b->rows.slots[i]);
        size_t kept = lengths[n + i], chosen = lengths[2 * n + i];
        is_good = take_links(l, seen, b->rows.slots[i], r, lengths[i],
                             (struct links_place){node->links, slots->links0}) &&
                  chosen <= lengths[i] && kept <= chosen && kept <= KEPT_MAX &&
                  node->has_parent <= kept;
        node->kept = kept & KEPT_MAX;
        node->chosen = (uint8_t)chosen;
        if (is_good && node->has_parent) {
            l->facts.parents[b->rows.slots[i]] =
                atomic_load_explicit(&node->links[0], memory_order_relaxed);
        }
    }
    return is_good;
}

static bool take_uppers(const struct loader *l, struct block *b, struct seen *seen,
                        struct reader *r)
{
    const struct slots *slots = &l->index->slots;
    bool is_good = true;
    for (uint32_t i = 0; i < b->rows.n; i++) {
        const struct node *node = node_at(slots, b->rows.slots[i]);
        for (unsigned layer = 1; layer <= node->level && is_good; layer++) {
            uint32_t at = node->upper + layer - 1;
            struct upper *upper = upper_at(slots, at);
            uint8_t n = reader_u8(r);
            upper->chosen = reader_u8(r);
            upper->next = layer < node->level ? at + 1 : SLOT_NONE;
            is_good =
                upper->chosen <= n && take_links(l, seen, b->rows.slots[i], r, n,
                                                 (struct links_place){upper->links, slots->m});
        }
    }
    return is_good;
}

/* Where the block's vectors go that the storage has: to their place in memory, or where its map
 * will show them, or they are codes, only to be looked at. */
static float *room_for_stored(const struct loader *l, const struct block *b)
{
    const struct slots *slots = &l->index->slots;
    bool is_in_place = slots->vector_stride > 0 && slots->vectors.base != NULL;
    return is_in_place ? (float *)slots->vectors.base + (size_t)b->first * slots->vector_stride
                       : b->vectors;
}

/* Looks at all of the block, also at those that only the storage's map will show. */
static bool take_stored(const struct loader *l, struct block *b, struct reader *r)
{
    struct index *index = l->index;
    const struct slots *slots = &index->slots;
    const struct index_storage *storage = slots->storage;
    struct code_space space = space_of_codes(index);
    size_t stride = slots->place_bytes / sizeof(float);
    float *vectors = room_for_stored(l, b);
    struct block_sum sum = {
        .rows = save_rows_crc(b->data + sizeof(uint32_t), b->end - b->first, b->rows.n),
        .vectors = reader_u32(r),
    };
    b->code = storage->get(storage->arg, b->first * slots->place_bytes, vectors,
                           (b->end - b->first) * slots->place_bytes, &b->why);
    if (b->code != ERR_OK || r->failed ||
        sum.vectors != save_vectors_crc(&b->rows, vectors, stride, b->first, index->config.dim)) {
        return false;
    }
    for (uint32_t i = 0; i < b->rows.n; i++) {
        const float *vector = vectors + (size_t)(b->rows.slots[i] - b->first) * stride;
        if (slots->vector_stride == 0) {
            index->code->encode(&space, vector, code_at(slots, b->rows.slots[i]));
        }
        reduction_join_vector(index, b->rows.slots[i], vector);
    }
    index->sums[b->number] = sum;
    return true;
}

static bool take_vectors(const struct loader *l, struct block *b, struct reader *r)
{
    struct index *index = l->index;
    struct slots *slots = &index->slots;
    size_t code_bytes = l->shape.code_bytes, vector_bytes = l->shape.vector_bytes;
    const uint8_t *codes = reader_bytes(r, b->rows.n * code_bytes);
    if (codes == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < b->rows.n; i++) {
        memcpy(code_at(slots, b->rows.slots[i]), codes + i * code_bytes, code_bytes);
    }
    if (l->is_stored) {
        return take_stored(l, b, r);
    }
    const uint8_t *vectors = reader_bytes(r, b->rows.n * vector_bytes);
    bool is_good = vectors != NULL;
    for (uint32_t i = 0; i < b->rows.n && is_good; i++) {
        uint32_t slot = b->rows.slots[i];
        if (vector_bytes > 0) {
            memcpy((float *)slots->vectors.base + (size_t)slot * slots->vector_stride,
                   vectors + i * vector_bytes, vector_bytes);
        }
        is_good = are_finite(vector_at(slots, slot), index->config.dim);
        if (is_good) {
            reduction_join_vector(index, slot, vector_at(slots, slot));
        }
    }
    return is_good;
}

/* NULL, or what is wrong. */
static const char *decode(struct loader *l, struct block *b)
{
    struct seen seen = {.list = 0};
    struct reader r;
    reader_init(&r, b->data + sizeof(uint32_t), b->bytes);
    if (!take_kinds(l, b, &r) || !take_rows(l, b, &r)) {
        return "has rows that cannot be";
    }
    if (!take_lists(l, b, &seen, &r)) {
        return "has a neighbour list that cannot be";
    }
    if (!take_vectors(l, b, &r)) {
        return l->is_stored ? "has other vectors than the storage" : "has vectors that cannot be";
    }
    if (!take_uppers(l, b, &seen, &r)) {
        return "has a neighbour list that cannot be";
    }
    return reader_done(&r) ? NULL : "has a block that is too long";
}

static void decode_block(struct loader *l, struct block *b)
{
    b->crc = crc32c(l->head_crc + b->number, b->data, sizeof(uint32_t) + b->bytes);
    b->complaint = b->crc == le_get_u32(b->data + sizeof(uint32_t) + b->bytes)
                       ? decode(l, b)
                       : "does not pass its checksum";
}

/* ---- blocks ---- */

/* How many upper lists its rows are to have, from what was not looked at yet.  0 where that cannot
 * be in so many bytes: decoding finds out. */
static uint32_t count_uppers(const struct loader *l, const struct block *b)
{
    const uint8_t *kinds = b->data + sizeof(uint32_t);
    size_t n_slots = b->end - b->first, n_rows = 0, n_uppers = 0;
    for (size_t i = 0; i < n_slots && i < b->bytes; i++) {
        n_rows += kinds[i] != 0;
    }
    if (n_slots + n_rows * sizeof(uint64_t) > b->bytes) {
        return 0;
    }
    for (size_t i = 0; i < n_rows; i++) {
        uint64_t row = le_get_u64(kinds + n_slots + i * sizeof(uint64_t));
        n_uppers += level_of(&l->index->config, row);
    }
    return 2 * n_uppers <= b->bytes ? (uint32_t)n_uppers : 0;
}

/* With what stands behind it, the length of the next. */
static enum errcode read_block(struct loader *l, struct block *b, struct err *err)
{
    b->bytes = l->length_next;
    size_t all_bytes = b->bytes + 2 * sizeof(uint32_t);
    if (b->bytes == 0 || all_bytes > l->shape.block_bytes_max || all_bytes > l->source.bytes) {
        return load_corrupt(err, "has a block of an impossible length");
    }
    if (all_bytes + sizeof(uint32_t) > b->capacity) {
        mem_free(MEM_GRAPH, b->data);
        b->data = mem_alloc(MEM_GRAPH, all_bytes + sizeof(uint32_t));
        b->capacity = b->data == NULL ? 0 : all_bytes + sizeof(uint32_t);
    }
    if (b->data == NULL) {
        return err_no_memory(err);
    }
    le_put_u32(b->data, l->length_next);
    enum errcode code = take(l, b->data + sizeof(uint32_t), all_bytes, err);
    if (code == ERR_OK) {
        l->length_next = le_get_u32(b->data + all_bytes);
        b->n_uppers = count_uppers(l, b);
    }
    return code;
}

static void read_batch(struct loader *l, struct batch *batch)
{
    batch->n = 0;
    batch->code = ERR_OK;
    while (batch->code == ERR_OK && batch->n < batch->n_max && l->slot_next < l->n_slots) {
        struct block *b = &batch->blocks[batch->n++];
        uint32_t left = l->n_slots - l->slot_next;
        b->number = l->block_next++;
        b->first = l->slot_next;
        b->end = b->first + (left < l->shape.block_slots ? left : l->shape.block_slots);
        l->slot_next = b->end;
        batch->code = read_block(l, b, &batch->why);
    }
}

static void read_or_decode(void *arg, size_t i)
{
    struct loader *l = arg;
    if (i == 0) {
        read_batch(l, l->read);
    } else {
        decode_block(l, &l->decoded->blocks[i - 1]);
    }
}

/* Places for the upper lists of the batch that is decoded next. */
static enum errcode take_places(struct loader *l, struct err *err)
{
    struct index *index = l->index;
    struct batch *batch = l->decoded;
    uint32_t first = 0, n_uppers = 0;
    for (size_t i = 0; i < batch->n; i++) {
        n_uppers += batch->blocks[i].n_uppers;
    }
    enum errcode code = slots_restore_uppers(&index->slots, &index->epochs, n_uppers, &first, err);
    for (size_t i = 0; i < batch->n && code == ERR_OK; i++) {
        batch->blocks[i].upper_first = first;
        first += batch->blocks[i].n_uppers;
    }
    return code;
}

static enum errcode look_at_block(struct loader *l, const struct block *b, struct err *err)
{
    if (b->code != ERR_OK) {
        *err = b->why;
        return b->code;
    }
    if (b->complaint != NULL) {
        return load_corrupt(err, b->complaint);
    }
    l->n_rows += b->rows.n;
    l->all_crc = save_crc_add(l->all_crc, b->crc);
    return ERR_OK;
}

/* Decodes the batch that was read, and reads another one. */
static enum errcode take_batch(struct loader *l, struct err *err)
{
    struct batch *batch = l->read;
    l->read = l->decoded;
    l->decoded = batch;
    if (batch->code != ERR_OK) {
        *err = batch->why;
        return batch->code;
    }
    enum errcode code = take_places(l, err);
    if (code != ERR_OK) {
        return code;
    }
    crew_run(l->crew, 1 + batch->n, read_or_decode, l);
    for (size_t i = 0; i < batch->n && code == ERR_OK; i++) {
        code = look_at_block(l, &batch->blocks[i], err);
    }
    return code;
}

static enum errcode take_blocks(struct loader *l, struct err *err)
{
    uint8_t length[sizeof(uint32_t)];
    enum errcode code = take(l, length, sizeof(length), err);
    if (code != ERR_OK) {
        return code;
    }
    l->length_next = le_get_u32(length);
    read_batch(l, l->read);
    while (code == ERR_OK && l->read->n > 0) {
        code = take_batch(l, err);
    }
    return code;
}

/* ---- all of it ---- */

/* Whether what is left of the stream can be of so many slots, before they get memory: each takes a
 * byte at least, and each block has its length and checksum.  Nor does the storage become larger
 * for them. */
static enum errcode check_bytes(struct loader *l, struct err *err)
{
    uint64_t n_blocks = save_blocks(&l->shape, l->n_slots);
    uint64_t block_bytes = 2 * sizeof(uint32_t) + l->shape.sum_bytes;
    if (l->n_slots + n_blocks * block_bytes + SAVE_END_BYTES > l->source.bytes) {
        return load_corrupt(err, "is too short for its slots");
    }
    if (!l->is_stored || l->n_slots == 0) {
        return ERR_OK;
    }
    const struct index_storage *storage = l->index->config.storage;
    size_t place_bytes = l->index->slots.place_bytes;
    float last;
    return storage->get(storage->arg, l->n_slots * place_bytes - sizeof(last), &last, sizeof(last),
                        err);
}

static bool make_batch(const struct loader *l, struct batch *batch)
{
    size_t n_blocks = save_blocks(&l->shape, l->n_slots);
    batch->n_max = n_blocks < BLOCKS_AT_ONCE ? n_blocks : BLOCKS_AT_ONCE;
    batch->blocks = mem_zalloc(MEM_GRAPH, batch->n_max * sizeof(*batch->blocks));
    return batch->blocks != NULL;
}

/* Those of the two batches share them: one is decoded at a time. */
static bool make_vectors(struct loader *l)
{
    bool fits = sums_fit(l->index, save_blocks(&l->shape, l->n_slots));
    for (size_t i = 0; i < l->read->n_max && fits; i++) {
        float *vectors = mem_alloc(MEM_GRAPH, l->shape.block_slots * l->index->slots.place_bytes);
        l->read->blocks[i].vectors = l->decoded->blocks[i].vectors = vectors;
        fits = vectors != NULL;
    }
    return fits;
}

static enum errcode make_room(struct loader *l, struct err *err)
{
    struct index *index = l->index;
    bool fits = facts_init(&l->facts, l->n_slots) && make_batch(l, l->read) &&
                make_batch(l, l->decoded) && (!l->is_stored || make_vectors(l));
    return fits ? slots_restore(&index->slots, &index->epochs, l->n_slots, l->is_stored, err)
                : err_no_memory(err);
}

static void drop_room(struct loader *l)
{
    for (size_t i = 0; i < l->read->n_max; i++) {
        struct block *read = l->read->blocks == NULL ? NULL : &l->read->blocks[i];
        struct block *decoded = l->decoded->blocks == NULL ? NULL : &l->decoded->blocks[i];
        if (read != NULL) {
            mem_free(MEM_GRAPH, read->data);
            mem_free(MEM_GRAPH, read->vectors);
        }
        if (decoded != NULL) {
            mem_free(MEM_GRAPH, decoded->data);
        }
    }
    mem_free(MEM_GRAPH, l->read->blocks);
    mem_free(MEM_GRAPH, l->decoded->blocks);
    facts_fini(&l->facts);
}

static enum errcode load(struct loader *l, struct err *err)
{
    if (read_prefix(l, err) != ERR_OK || read_head(l, err) != ERR_OK ||
        check_bytes(l, err) != ERR_OK || make_room(l, err) != ERR_OK ||
        take_blocks(l, err) != ERR_OK || read_end(l, err) != ERR_OK) {
        return err->code;
    }
    return load_check(l, err);
}

/* The rows that nobody finds by their number, nor in a search. */
static void hide_dead(struct loader *l)
{
    struct index *index = l->index;
    for (uint32_t slot = 0; slot < l->n_slots; slot++) {
        if ((l->facts.kinds[slot] & SAVE_DEAD) != 0) {
            row_map_remove(&index->map, &index->slots, slot);
            index->n_dead++;
        }
    }
    atomic_store_explicit(&index->n_hidden, index->n_dead, memory_order_relaxed);
}

static void settle(struct loader *l)
{
    struct index *index = l->index;
    bool is_flat = index->config.kind == INDEX_FLAT;
    if (l->n_rows < l->n_slots) {
        slots_restore_free(&index->slots, l->facts.rows);
    }
    hide_dead(l);
    reduction_settle(index);
    atomic_store_explicit(&index->entry, l->entry, memory_order_release);
    atomic_store_explicit(&index->n_live, l->n_rows - index->n_dead, memory_order_relaxed);
    atomic_store_explicit(&index->n_linked, is_flat ? 0 : l->n_rows, memory_order_relaxed);
}

enum errcode index_load(struct index *index, const struct index_source *source,
                        const struct index_crew *crew, uint32_t *digest, struct err *err)
{
    CHECK(source->read != NULL);
    CHECK(atomic_load_explicit(&index->slots.n_used, memory_order_relaxed) == 0);
    struct batch batches[2] = {{.n = 0}, {.n = 0}};
    struct loader l = {.index = index,
                       .crew = crew,
                       .source = *source,
                       .read = &batches[0],
                       .decoded = &batches[1]};
    enum errcode code = load(&l, err);
    if (code == ERR_OK) {
        settle(&l);
        *digest = l.all_crc;
    }
    drop_room(&l);
    return code;
}
