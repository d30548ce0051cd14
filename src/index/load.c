/* Checkpoints, reading: see save.c for the stream.
 *
 *   head -> room for its slots -> some blocks are read, then decoded by the crew, then their rows
 *   enter the row map and get their upper lists -> ... -> end -> all lists are looked at by the
 * crew
 *
 * Nothing in it is believed before its checksum was seen, and nothing that the checksum cannot know
 * is believed at all: a row is there once, vectors are finite, neighbours exist, stand on their
 * layer and are listed once, the entry point is on the highest layer, parents lead to all rows.  So
 * a graph that was loaded has the invariants that linking and unlinking CHECK. */
#include "index/build_int.h"
#include "index/save_int.h"

#include <math.h>
#include <string.h>

enum {
    BLOCKS_AT_ONCE = 16,
    CHECKED_AT_ONCE = 4096, /* Slots of one task. */
    SEEN_BITS = 4096,
};

struct block {
    uint8_t *data; /* Its length, content and checksum. */
    size_t capacity, bytes;
    uint32_t number, crc;
    uint32_t first, end; /* Slots. */
    struct save_rows rows;
    float *vectors;        /* Room for those that come from a storage. */
    struct reader uppers;  /* What is left when it is decoded. */
    const char *complaint; /* NULL: it is good. */
    enum errcode code;     /* What the storage said, and why. */
    struct err why;
};

struct loader {
    struct index *index;
    struct save_shape shape;
    const struct index_crew *crew;
    struct index_source source; /* Its bytes are those that are left. */
    uint32_t head_crc, all_crc;
    bool is_stored;
    uint32_t n_slots, n_rows, n_blocks, entry;
    struct block blocks[BLOCKS_AT_ONCE];
    uint8_t *heights; /* Of slots: one more than the row's level; 0: no row. */
    bool *leads_away; /* Of slots: the row is dead, so others need not know it. */
    _Atomic bool has_bad_list;
};

static enum errcode corrupt(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the index checkpoint %s", what);
}

static enum errcode take(struct loader *l, void *data, size_t bytes, struct err *err)
{
    if (bytes > l->source.bytes) {
        return corrupt(err, "is cut off");
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
        return corrupt(err, "does not begin like one");
    }
    if (le_get_u64(prefix) != SAVE_MAGIC || le_get_u32(prefix + 8) != SAVE_VERSION) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED,
                       "the index checkpoint has version %u, this server reads version %d",
                       le_get_u32(prefix + 8), SAVE_VERSION);
    }
    return ERR_OK;
}

static enum errcode read_head(struct loader *l, struct err *err)
{
    uint8_t head[SAVE_HEAD_BYTES];
    struct reader r;
    enum errcode code = take(l, head, sizeof(head), err);
    if (code != ERR_OK) {
        return code;
    }
    l->head_crc = crc32c(0, head, sizeof(head) - sizeof(l->head_crc));
    if (l->head_crc != le_get_u32(head + sizeof(head) - sizeof(l->head_crc))) {
        return corrupt(err, "has a head that does not pass its checksum");
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
        return corrupt(err, "is of an index with other parameters");
    }
    if (is_stored == 1 && config->storage == NULL) {
        return corrupt(err, "has its vectors elsewhere");
    }
    uint64_t sequence = reader_u64(&r);
    index->row_fresh = index->row_next = index->row_linked_end = reader_u64(&r);
    double norm_max = reader_f64(&r);
    l->n_slots = reader_u32(&r);
    l->is_stored = is_stored == 1;
    l->shape = save_shape_of(index, l->n_slots, l->is_stored);
    l->entry = reader_u32(&r);
    index->root = reader_u32(&r);
    if (l->n_slots > SLOTS_MAX || !(norm_max >= 0 && isfinite(norm_max)) ||
        (l->entry != SLOT_NONE && l->entry >= l->n_slots)) {
        return corrupt(err, "has an impossible number of slots, norm or entry point");
    }
    atomic_store_explicit(&index->norm_max, norm_max, memory_order_relaxed);
    index->queue.sequence_staged = index->queue.sequence_done = sequence;
    l->all_crc = l->head_crc;
    return ERR_OK;
}

static enum errcode read_end(struct loader *l, struct err *err)
{
    uint8_t end[SAVE_END_BYTES];
    enum errcode code = take(l, end, sizeof(end), err);
    if (code != ERR_OK) {
        return code;
    }
    l->all_crc = save_crc_add(l->all_crc, l->n_rows);
    if (le_get_u32(end) != 0 || le_get_u32(end + 4) != l->n_rows ||
        le_get_u32(end + 8) != l->all_crc) {
        return corrupt(err, "does not end as it should");
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
    for (uint32_t i = 0; kinds != NULL && i < b->end - b->first; i++) {
        if (kinds[i] != 0) {
            if (!is_good_kind(l, kinds[i])) {
                return false;
            }
            b->rows.kinds[b->rows.n] = kinds[i];
            b->rows.slots[b->rows.n++] = b->first + i;
        }
    }
    return kinds != NULL;
}

static bool take_rows(struct loader *l, struct block *b, struct reader *r)
{
    struct index *index = l->index;
    const uint8_t *numbers = reader_bytes(r, b->rows.n * sizeof(uint64_t));
    const uint8_t *labels = reader_bytes(r, b->rows.n * sizeof(uint64_t));
    for (uint32_t i = 0; i < b->rows.n && labels != NULL; i++) {
        struct node *node = node_at(&index->slots, b->rows.slots[i]);
        node->row = le_get_u64(numbers + i * sizeof(uint64_t));
        node->label = le_get_u64(labels + i * sizeof(uint64_t));
        node->level = level_of(&index->config, node->row);
        node->upper = SLOT_NONE;
        node->next = SLOT_NONE;
        node->chosen = 0;
        node->kept = 0;
        node->has_parent = (b->rows.kinds[i] & SAVE_ORPHAN) == 0;
        if (node->row >= index->row_fresh) {
            return false;
        }
    }
    return labels != NULL;
}

static bool take_list(const struct loader *l, struct reader *r, uint32_t slot, unsigned layer,
                      struct list *list)
{
    const struct slots *slots = &l->index->slots;
    size_t link_bytes = l->shape.link_bytes;
    const uint8_t *from = reader_bytes(r, list->n * link_bytes);
    list->has_parent = layer == 0 && node_at(slots, slot)->has_parent;
    if (from == NULL || list->n > links_max(slots, layer) || list->chosen > list->n ||
        list->kept > list->chosen || list->has_parent > list->kept) {
        return false;
    }
    uint32_t largest = 0;
    for (size_t i = 0; i < list->n; i++) {
        list->links[i] = save_link_get(from + i * link_bytes, link_bytes);
        largest = list->links[i] > largest ? list->links[i] : largest;
    }
    list_write(slots, slot, layer, list);
    return list->n == 0 || largest < l->n_slots;
}

static bool take_lists(const struct loader *l, struct block *b, struct reader *r)
{
    if (l->index->config.kind == INDEX_FLAT) {
        return true;
    }
    size_t n = b->rows.n;
    const uint8_t *lengths = reader_bytes(r, 3 * n);
    bool is_good = lengths != NULL;
    for (size_t i = 0; i < n && is_good; i++) {
        struct list list = {.n = lengths[i], .kept = lengths[n + i], .chosen = lengths[2 * n + i]};
        is_good = take_list(l, r, b->rows.slots[i], 0, &list);
    }
    return is_good;
}

static bool are_finite(const float *vector, uint32_t dim)
{
    float sum = 0; /* Of zeros, unless one is not finite. */
    for (uint32_t i = 0; i < dim; i++) {
        sum += vector[i] * 0;
    }
    return sum == 0;
}

/* Looks at all of the block, also at those that only the storage's map will show. */
static bool take_stored(const struct loader *l, struct block *b, struct reader *r)
{
    struct index *index = l->index;
    const struct slots *slots = &index->slots;
    const struct index_storage *storage = slots->storage;
    size_t stride = slots->place_bytes / sizeof(float);
    struct block_sum sum = {
        .rows = save_rows_crc(b->data + sizeof(uint32_t), b->end - b->first, b->rows.n),
        .vectors = reader_u32(r),
    };
    b->code = storage->get(storage->arg, b->first * slots->place_bytes, b->vectors,
                           (b->end - b->first) * slots->place_bytes, &b->why);
    if (b->code != ERR_OK || r->failed ||
        sum.vectors !=
            save_vectors_crc(&b->rows, b->vectors, stride, b->first, index->config.dim)) {
        return false;
    }
    bool is_in_memory = slots->vector_stride == 0 || slots->vectors.base != NULL;
    for (uint32_t i = 0; i < b->rows.n && is_in_memory; i++) {
        uint32_t slot = b->rows.slots[i];
        slot_set_vector(index, slot, b->vectors + (size_t)(slot - b->first) * stride);
    }
    index->sums[b->number] = sum;
    return true;
}

static bool take_vectors(const struct loader *l, struct block *b, struct reader *r)
{
    struct slots *slots = &l->index->slots;
    size_t code_bytes = l->shape.code_bytes, vector_bytes = l->shape.vector_bytes;
    const uint8_t *codes = reader_bytes(r, b->rows.n * code_bytes);
    const uint8_t *vectors = reader_bytes(r, b->rows.n * vector_bytes);
    bool is_good = codes != NULL && vectors != NULL;
    for (uint32_t i = 0; i < b->rows.n && is_good; i++) {
        uint32_t slot = b->rows.slots[i];
        memcpy(code_at(slots, slot), codes + i * code_bytes, code_bytes);
        if (vector_bytes > 0) {
            memcpy((float *)slots->vectors.base + (size_t)slot * slots->vector_stride,
                   vectors + i * vector_bytes, vector_bytes);
        }
        is_good = l->is_stored || are_finite(vector_at(slots, slot), l->index->config.dim);
    }
    return is_good && (!l->is_stored || take_stored(l, b, r));
}

static void decode_block(void *arg, size_t i)
{
    struct loader *l = arg;
    struct block *b = &l->blocks[i];
    struct reader r;
    b->crc = crc32c(l->head_crc + b->number, b->data, sizeof(uint32_t) + b->bytes);
    if (b->crc != le_get_u32(b->data + sizeof(uint32_t) + b->bytes)) {
        b->complaint = "does not pass its checksum";
        return;
    }
    reader_init(&r, b->data + sizeof(uint32_t), b->bytes);
    if (!take_kinds(l, b, &r) || !take_rows(l, b, &r)) {
        b->complaint = "has rows that cannot be";
    } else if (!take_lists(l, b, &r)) {
        b->complaint = "has a neighbour list that cannot be";
    } else if (!take_vectors(l, b, &r)) {
        b->complaint =
            l->is_stored ? "has other vectors than the storage" : "has vectors that cannot be";
    }
    b->uppers = r;
}

/* ---- blocks ---- */

static enum errcode read_block(struct loader *l, struct block *b, struct err *err)
{
    uint8_t length[sizeof(uint32_t)];
    enum errcode code = take(l, length, sizeof(length), err);
    if (code != ERR_OK) {
        return code;
    }
    b->bytes = le_get_u32(length);
    b->complaint = NULL;
    size_t all_bytes = b->bytes + 2 * sizeof(uint32_t);
    if (b->bytes == 0 || all_bytes > l->shape.block_bytes_max ||
        all_bytes - sizeof(length) > l->source.bytes) {
        return corrupt(err, "has a block of an impossible length");
    }
    if (all_bytes > b->capacity) {
        mem_free(MEM_GRAPH, b->data);
        b->data = mem_alloc(MEM_GRAPH, all_bytes);
        b->capacity = b->data == NULL ? 0 : all_bytes;
    }
    if (b->data == NULL) {
        return err_no_memory(err);
    }
    memcpy(b->data, length, sizeof(length));
    return take(l, b->data + sizeof(length), all_bytes - sizeof(length), err);
}

static bool take_uppers_of(struct loader *l, struct block *b, uint32_t slot)
{
    struct slots *slots = &l->index->slots;
    bool is_good = true;
    for (unsigned layer = 1; layer <= node_at(slots, slot)->level && is_good; layer++) {
        struct list list = {.n = reader_u8(&b->uppers)};
        list.chosen = reader_u8(&b->uppers);
        is_good = take_list(l, &b->uppers, slot, layer, &list);
    }
    return is_good;
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

/* Whether the lists that its rows' levels ask for can be in what is left of a block. */
static bool has_room_for_uppers(const struct loader *l, const struct block *b)
{
    size_t n_uppers = 0;
    for (uint32_t i = 0; i < b->rows.n; i++) {
        n_uppers += node_at(&l->index->slots, b->rows.slots[i])->level;
    }
    return 2 * n_uppers <= reader_left(&b->uppers);
}

/* The rows of a block that was decoded become rows of the index. */
static enum errcode enter_rows(struct loader *l, struct block *b, struct err *err)
{
    struct index *index = l->index;
    struct slots *slots = &index->slots;
    bool is_flat = index->config.kind == INDEX_FLAT;
    if (b->code != ERR_OK) {
        *err = b->why;
        return b->code;
    }
    if (b->complaint != NULL) {
        return corrupt(err, b->complaint);
    }
    if (!has_room_for_uppers(l, b)) {
        return corrupt(err, "has a block that is too short");
    }
    enum errcode code =
        row_map_reserve(&index->map, slots, b->rows.n)
            ? slots_restore_uppers(slots, &index->epochs, b->rows.slots, b->rows.n, err)
            : err_no_memory(err);
    if (code != ERR_OK) {
        return code;
    }
    for (uint32_t i = 0; i < b->rows.n; i++) {
        uint32_t slot = b->rows.slots[i];
        if (row_map_find(&index->map, slots, node_at(slots, slot)->row) != SLOT_NONE) {
            return corrupt(err, "has a row twice");
        }
        if (!take_uppers_of(l, b, slot)) {
            return corrupt(err, "has a neighbour list that cannot be");
        }
        row_map_add(&index->map, slots, slot);
        reduction_join(index, slot);
        slot_set_state(index, slot, state_of(is_flat, b->rows.kinds[i]));
        l->heights[slot] = (uint8_t)(node_at(slots, slot)->level + 1);
        l->leads_away[slot] = (b->rows.kinds[i] & (SAVE_DEAD | SAVE_LAST)) != 0;
    }
    l->n_rows += b->rows.n;
    l->all_crc = save_crc_add(l->all_crc, b->crc);
    return reader_left(&b->uppers) == 0 ? ERR_OK : corrupt(err, "has a block that is too long");
}

/* Up to BLOCKS_AT_ONCE of them. */
static enum errcode take_blocks(struct loader *l, uint32_t *next_slot, struct err *err)
{
    size_t n = 0;
    enum errcode code = ERR_OK;
    for (; code == ERR_OK && n < BLOCKS_AT_ONCE && *next_slot < l->n_slots; n++) {
        struct block *b = &l->blocks[n];
        uint32_t left = l->n_slots - *next_slot;
        b->number = l->n_blocks++;
        b->first = *next_slot;
        b->end = b->first + (left < l->shape.block_slots ? left : l->shape.block_slots);
        *next_slot = b->end;
        code = read_block(l, b, err);
    }
    if (code == ERR_OK) {
        crew_run(l->crew, n, decode_block, l);
    }
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        code = enter_rows(l, &l->blocks[i], err);
    }
    return code;
}

/* ---- what can be told only when all rows are there ---- */

static bool is_listed_once(const uint32_t *links, size_t n)
{
    uint64_t seen[SEEN_BITS / 64] = {0};
    for (size_t i = 0; i < n; i++) {
        uint64_t bit = UINT64_C(1) << links[i] % 64, *word = &seen[links[i] % SEEN_BITS / 64];
        for (size_t j = 0; j < i && (*word & bit) != 0; j++) {
            if (links[i] == links[j]) {
                return false;
            }
        }
        *word |= bit;
    }
    return true;
}

static bool is_good_list(const struct loader *l, uint32_t slot, unsigned layer)
{
    uint32_t links[LINKS_MAX];
    size_t n = links_copy(&l->index->slots, slot, layer, links);
    bool is_good = true;
    for (size_t i = 0; i < n; i++) {
        is_good &= links[i] != slot && l->heights[links[i]] > layer;
    }
    return is_good && is_listed_once(links, n);
}

static bool is_child(const struct index *index, uint32_t parent, uint32_t slot)
{
    uint32_t children[LINKS_MAX];
    size_t n = children_of(index, parent, children);
    while (n > 0 && children[n - 1] != slot) {
        n--;
    }
    return n > 0;
}

/* Whether parents and children name each other, and parents are earlier, so that paths lead to all.
 * A sweep may have led others away from rows that are dead, and finds parents for those that are
 * torn. */
static bool is_good_family(const struct loader *l, uint32_t slot)
{
    const struct index *index = l->index;
    uint32_t children[LINKS_MAX], parent = parent_of(index, slot);
    size_t n = children_of(index, slot, children);
    if (l->leads_away[slot]) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (parent_of(index, children[i]) != slot) {
            return false;
        }
    }
    if (parent == SLOT_NONE) {
        return slot == index->root || (slot_state(&index->slots, slot) & SLOT_TORN) != 0;
    }
    return node_at(&index->slots, parent)->row < node_at(&index->slots, slot)->row &&
           is_child(index, parent, slot);
}

static void check_lists(void *arg, size_t i)
{
    struct loader *l = arg;
    bool is_good = true;
    size_t end = (i + 1) * CHECKED_AT_ONCE;
    for (size_t slot = i * CHECKED_AT_ONCE; slot < l->n_slots && slot < end; slot++) {
        is_good = is_good && (l->leads_away[slot] || l->heights[slot] <= l->heights[l->entry]);
        for (unsigned layer = 0; layer < l->heights[slot] && is_good; layer++) {
            is_good = is_good_list(l, (uint32_t)slot, layer);
        }
        is_good = is_good && (l->heights[slot] == 0 || is_good_family(l, (uint32_t)slot));
    }
    if (!is_good) {
        atomic_store_explicit(&l->has_bad_list, true, memory_order_relaxed);
    }
}

static enum errcode check_graph(struct loader *l, struct err *err)
{
    const struct slots *slots = &l->index->slots;
    uint32_t root = l->index->root;
    bool has_entry = l->entry != SLOT_NONE;
    bool wants_entry = l->index->config.kind == INDEX_HNSW && l->n_rows > 0;
    if (has_entry != wants_entry || (has_entry && slot_state(slots, l->entry) == 0)) {
        return corrupt(err, "has an impossible entry point");
    }
    if (!has_entry) {
        return root == SLOT_NONE ? ERR_OK : corrupt(err, "has an impossible root");
    }
    if (root >= l->n_slots || slot_state(slots, root) == 0) {
        return corrupt(err, "has an impossible root");
    }
    crew_run(l->crew, (l->n_slots + CHECKED_AT_ONCE - 1) / CHECKED_AT_ONCE, check_lists, l);
    return atomic_load_explicit(&l->has_bad_list, memory_order_relaxed)
               ? corrupt(err, "has neighbours that cannot be")
               : ERR_OK;
}

/* The rows that nobody finds by their number, nor in a search. */
static void hide_dead(struct loader *l)
{
    struct index *index = l->index;
    for (uint32_t slot = 0; slot < l->n_slots; slot++) {
        if ((slot_state(&index->slots, slot) & SLOT_DEAD) != 0) {
            row_map_remove(&index->map, &index->slots, slot);
            index->n_dead++;
        }
    }
    atomic_store_explicit(&index->n_hidden, index->n_dead, memory_order_relaxed);
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
        return corrupt(err, "is too short for its slots");
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

static bool make_vectors(struct loader *l)
{
    bool fits = sums_fit(l->index, save_blocks(&l->shape, l->n_slots));
    for (size_t i = 0; i < BLOCKS_AT_ONCE && fits; i++) {
        size_t bytes = l->shape.block_slots * l->index->slots.place_bytes;
        l->blocks[i].vectors = mem_alloc(MEM_GRAPH, bytes);
        fits = l->blocks[i].vectors != NULL;
    }
    return fits;
}

static enum errcode make_room(struct loader *l, struct err *err)
{
    struct index *index = l->index;
    l->heights = mem_zalloc(MEM_GRAPH, l->n_slots);
    l->leads_away = mem_zalloc(MEM_GRAPH, l->n_slots * sizeof(*l->leads_away));
    return l->heights == NULL || l->leads_away == NULL || (l->is_stored && !make_vectors(l))
               ? err_no_memory(err)
               : slots_restore(&index->slots, &index->epochs, l->n_slots, l->is_stored, err);
}

static enum errcode load(struct loader *l, struct err *err)
{
    enum errcode code = read_prefix(l, err);
    if (code == ERR_OK) {
        code = read_head(l, err);
    }
    if (code == ERR_OK) {
        code = check_bytes(l, err);
    }
    if (code == ERR_OK) {
        code = make_room(l, err);
    }
    for (uint32_t slot = 0; code == ERR_OK && slot < l->n_slots;) {
        code = take_blocks(l, &slot, err);
    }
    if (code == ERR_OK) {
        code = read_end(l, err);
    }
    return code == ERR_OK ? check_graph(l, err) : code;
}

enum errcode index_load(struct index *index, const struct index_source *source,
                        const struct index_crew *crew, uint32_t *digest, struct err *err)
{
    CHECK(atomic_load_explicit(&index->slots.n_used, memory_order_relaxed) == 0);
    struct loader *l = mem_zalloc(MEM_GRAPH, sizeof(*l));
    if (l == NULL) {
        return err_no_memory(err);
    }
    l->index = index;
    l->crew = crew;
    l->source = *source;
    enum errcode code = load(l, err);
    if (code == ERR_OK) {
        bool is_flat = index->config.kind == INDEX_FLAT;
        slots_restore_free(&index->slots);
        hide_dead(l);
        reduction_settle(index);
        atomic_store_explicit(&index->entry, l->entry, memory_order_release);
        atomic_store_explicit(&index->n_live, l->n_rows - index->n_dead, memory_order_relaxed);
        atomic_store_explicit(&index->n_linked, is_flat ? 0 : l->n_rows, memory_order_relaxed);
        *digest = l->all_crc;
    }
    for (size_t i = 0; i < BLOCKS_AT_ONCE; i++) {
        mem_free(MEM_GRAPH, l->blocks[i].data);
        mem_free(MEM_GRAPH, l->blocks[i].vectors);
    }
    mem_free(MEM_GRAPH, l->heights);
    mem_free(MEM_GRAPH, l->leads_away);
    mem_free(MEM_GRAPH, l);
    return code;
}
