/* Slots: where rows live, and how a place is used again.
 *
 * Fresh slots come from the end of the regions.  A deleted row's slot waits in limbo: limbo_new
 * gathers while limbo_old waits for its mark to be over; then limbo_old becomes free and limbo_new
 * takes its turn.  Where the vectors are in a storage, a slot is kept before that: a checkpoint may
 * name it until a later one is durable.  All these lists are chained through the nodes; a slot's
 * lists stay readable until it is used again. */
#include "index/graph_int.h"

#include <stddef.h>
#include <string.h>

enum {
    SLOTS_FIRST = 8, /* All of these double as rows come: most collections are small. */
    UPPERS_FIRST = 2,
    /* Address space of a region that no longer is small, so that it need not move soon. */
    REGION_BYTES_LARGE = 64 << 20,
    REGION_BYTES_SMALL = 1 << 20,
    FLOATS_ALIGN = 4,
    CODE_ALIGN = 16,
};

_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "lists are arrays of plain words");

static bool is_mapped(const struct slots *slots, bool is_stored)
{
    return is_stored && slots->storage->map != NULL;
}

/* Of a slot, in memory of our own. */
static size_t vector_bytes(const struct slots *slots, bool is_stored)
{
    return is_mapped(slots, is_stored) ? 0 : slots->vector_stride * sizeof(float);
}

static size_t aligned(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static uint32_t chained(const struct slots *slots, uint32_t slot)
{
    return node_at(slots, slot)->next;
}

static void chain(struct slots *slots, uint32_t slot, uint32_t *head)
{
    CHECK_HOT(slot != SLOT_NONE && *head != slot);
    node_at(slots, slot)->next = *head;
    *head = slot;
}

bool slots_init(struct slots *slots, const struct slots_shape *shape)
{
    CHECK(shape->dim > 0 && shape->dim <= VECTOR_DIM_MAX && shape->code_bytes > 0);
    *slots = (struct slots){
        .m = shape->m,
        .links0 = shape->links0,
        .code_stride = aligned(shape->code_bytes, CODE_ALIGN),
        .vector_stride = shape->is_code_exact ? 0 : aligned(shape->dim, FLOATS_ALIGN),
        .storage = shape->storage,
        .dim = shape->dim,
        .place_bytes = aligned(shape->dim, FLOATS_ALIGN) * sizeof(float),
        .node_bytes = aligned(offsetof(struct node, links) + shape->links0 * sizeof(uint32_t),
                              _Alignof(struct node)),
        .upper_bytes = sizeof(struct upper) + shape->m * sizeof(uint32_t),
        .free_slot = SLOT_NONE,
        .free_upper = SLOT_NONE,
        .limbo_new = SLOT_NONE,
        .limbo_old = SLOT_NONE,
        .kept_new = SLOT_NONE,
        .kept_saved = SLOT_NONE,
    };
    mutex_init(&slots->shape);
    mutex_init(&slots->lock);
    slots->capacity = SLOTS_FIRST;
    slots->uppers_capacity = UPPERS_FIRST;
    size_t n = SLOTS_FIRST;
    bool fits = mem_region_reserve(&slots->codes, MEM_CODES, n * slots->code_stride) &&
                mem_region_reserve(&slots->vectors, MEM_VECTORS, n * vector_bytes(slots, false)) &&
                mem_region_reserve(&slots->nodes, MEM_GRAPH, n * slots->node_bytes) &&
                mem_region_reserve(&slots->uppers, MEM_GRAPH, UPPERS_FIRST * slots->upper_bytes);
    slots->vector_base = slots->vectors.base;
    return fits;
}

void slots_fini(struct slots *slots)
{
    mem_region_release(&slots->codes);
    mem_region_release(&slots->vectors);
    mem_region_release(&slots->nodes);
    mem_region_release(&slots->uppers);
    mutex_fini(&slots->lock);
    mutex_fini(&slots->shape);
}

struct upper *upper_of(const struct slots *slots, uint32_t slot, unsigned layer)
{
    CHECK_HOT(layer > 0 && layer <= node_at(slots, slot)->level);
    struct upper *upper = upper_at(slots, node_at(slots, slot)->upper);
    for (unsigned at = 1; at < layer; at++) {
        upper = upper_at(slots, upper->next);
    }
    return upper;
}

_Atomic uint32_t *links_at(const struct slots *slots, uint32_t slot, unsigned layer)
{
    CHECK_HOT(slot < atomic_load_explicit(&slots->n_used, memory_order_relaxed));
    return layer == 0 ? node_at(slots, slot)->links : upper_of(slots, slot, layer)->links;
}

size_t links_copy(const struct slots *slots, uint32_t slot, unsigned layer, uint32_t *out)
{
    const _Atomic uint32_t *links = links_at(slots, slot, layer);
    size_t max = links_max(slots, layer), n = 0;
    for (; n < max; n++) {
        uint32_t link = atomic_load_explicit(&links[n], memory_order_acquire);
        if (link == SLOT_NONE) {
            break;
        }
        out[n] = link;
    }
    return n;
}

size_t slots_mapped_bytes(const struct slots *slots)
{
    bool is_elsewhere = slots->vector_stride > 0 && is_mapped(slots, slots->is_stored);
    size_t n_used = atomic_load_explicit(&slots->n_used, memory_order_relaxed);
    return is_elsewhere ? n_used * slots->place_bytes : 0;
}

/* ---- growing ---- */

bool slots_region_fits(struct mem_region *region, size_t bytes)
{
    if (bytes <= region->bytes_max) {
        return true;
    }
    bool is_large = bytes > REGION_BYTES_SMALL && bytes < REGION_BYTES_LARGE;
    return mem_region_grow(region, is_large ? REGION_BYTES_LARGE : bytes);
}

/* The next capacity that a growing index wants. */
struct growth {
    size_t n_slots, n_uppers;
    size_t capacity, uppers_capacity;
    bool is_stored;
};

static struct growth growth_of(const struct slots *slots, size_t n_slots, size_t n_uppers)
{
    struct growth g = {n_slots, n_uppers, slots->capacity, slots->uppers_capacity, true};
    while (g.capacity < n_slots) {
        g.capacity *= 2;
    }
    while (g.uppers_capacity < n_uppers) {
        g.uppers_capacity *= 2;
    }
    g.is_stored = slots->is_stored || (slots->storage != NULL &&
                                       g.capacity * slots->place_bytes > INDEX_STORED_BYTES_MIN);
    return g;
}

/* Room in the storage; all vectors that there are go there with the first. */
static enum errcode fit_storage(struct slots *slots, const struct growth *g, struct err *err)
{
    const struct index_storage *storage = slots->storage;
    if (!g->is_stored) {
        return ERR_OK;
    }
    enum errcode code = storage->reserve(storage->arg, g->n_slots * slots->place_bytes, err);
    CHECK(storage != NULL);
    uint32_t n_used = atomic_load_explicit(&slots->n_used, memory_order_relaxed);
    size_t bytes = slots->dim * sizeof(float);
    for (uint32_t slot = 0; slot < n_used && !slots->is_stored && code == ERR_OK; slot++) {
        code = storage->put(storage->arg, slot * slots->place_bytes, vector_at(slots, slot), bytes,
                            err);
    }
    return code;
}

static bool vectors_fit(struct slots *slots, const struct growth *g)
{
    CHECK(g->capacity >= g->n_slots);
    const struct index_storage *storage = slots->storage;
    if (!is_mapped(slots, g->is_stored)) {
        bool fits = slots_region_fits(&slots->vectors, g->capacity * vector_bytes(slots, false));
        slots->vector_base = slots->vectors.base;
        return fits;
    }
    const void *base = storage->map(storage->arg, g->capacity * slots->place_bytes);
    if (base == NULL) {
        return false;
    }
    slots->vector_base = base;
    mem_region_release(&slots->vectors);
    return true;
}

static bool regions_fit(struct slots *slots, const struct growth *g)
{
    return slots_region_fits(&slots->codes, g->capacity * slots->code_stride) &&
           slots_region_fits(&slots->nodes, g->capacity * slots->node_bytes) &&
           slots_region_fits(&slots->uppers, g->uppers_capacity * slots->upper_bytes) &&
           vectors_fit(slots, g);
}

static bool regions_use(struct slots *slots, const struct growth *g)
{
    return mem_region_use(&slots->codes, g->n_slots * slots->code_stride) &&
           mem_region_use(&slots->vectors, g->n_slots * vector_bytes(slots, g->is_stored)) &&
           mem_region_use(&slots->nodes, g->n_slots * slots->node_bytes) &&
           mem_region_use(&slots->uppers, g->n_uppers * slots->upper_bytes);
}

/* Keeps readers out only where a region may move. */
static enum errcode fit(struct slots *slots, struct epochs *epochs, const struct growth *g,
                        struct err *err)
{
    if (g->n_slots > SLOTS_MAX || g->n_uppers > SLOTS_MAX) {
        return err_no_memory(err);
    }
    enum errcode code = fit_storage(slots, g, err);
    bool fits = true;
    if (code == ERR_OK && (g->capacity > slots->capacity || g->is_stored != slots->is_stored ||
                           g->uppers_capacity > slots->uppers_capacity)) {
        epochs_close(epochs);
        mutex_lock(&slots->lock); /* Who retires a slot is in no epoch. */
        fits = regions_fit(slots, g);
        if (fits) {
            slots->capacity = (uint32_t)g->capacity;
            slots->uppers_capacity = (uint32_t)g->uppers_capacity;
            slots->is_stored = g->is_stored;
        }
        mutex_unlock(&slots->lock);
        epochs_open(epochs);
    }
    return code != ERR_OK || (fits && regions_use(slots, g)) ? code : err_no_memory(err);
}

/* ---- taking and giving back ---- */

static void free_uppers_of(struct slots *slots, uint32_t slot) REQUIRES(slots->lock)
{
    CHECK(slot_state(slots, slot) == 0);
    for (uint32_t at = node_at(slots, slot)->upper; at != SLOT_NONE;) {
        struct upper *upper = upper_at(slots, at);
        uint32_t next = upper->next;
        upper->next = slots->free_upper;
        slots->free_upper = at;
        slots->n_free_uppers++;
        at = next;
    }
    node_at(slots, slot)->upper = SLOT_NONE;
}

static void free_chain(struct slots *slots, uint32_t *head) REQUIRES(slots->lock)
{
    while (*head != SLOT_NONE) {
        uint32_t slot = *head;
        *head = chained(slots, slot);
        free_uppers_of(slots, slot);
        chain(slots, slot, &slots->free_slot);
        slots->n_free_slots++;
    }
}

/* Moves what no reader can see any more from limbo to the free list. */
static void reclaim(struct slots *slots, struct epochs *epochs) REQUIRES(slots->lock)
{
    if (slots->limbo_old != SLOT_NONE && epoch_is_over(epochs, slots->limbo_mark)) {
        free_chain(slots, &slots->limbo_old);
    }
    if (slots->limbo_old == SLOT_NONE && slots->limbo_new != SLOT_NONE) {
        slots->limbo_old = slots->limbo_new;
        slots->limbo_new = SLOT_NONE;
        slots->limbo_mark = epoch_mark(epochs);
        if (epoch_is_over(epochs, slots->limbo_mark)) {
            free_chain(slots, &slots->limbo_old);
        }
    }
}

static void links_clear(_Atomic uint32_t *links, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        atomic_store_explicit(&links[i], SLOT_NONE, memory_order_relaxed);
    }
}

static uint32_t take_upper(struct slots *slots, uint32_t next) REQUIRES(slots->lock)
{
    uint32_t at = slots->free_upper;
    if (at != SLOT_NONE) {
        slots->free_upper = upper_at(slots, at)->next;
        slots->n_free_uppers--;
    } else {
        at = slots->n_uppers++;
        CHECK(slots->n_uppers <= slots->uppers_capacity);
    }
    struct upper *upper = upper_at(slots, at);
    upper->next = next;
    upper->chosen = 0;
    links_clear(upper->links, slots->m);
    return at;
}

/* As many as its level is. */
static void take_uppers(struct slots *slots, uint32_t slot) REQUIRES(slots->lock)
{
    struct node *node = node_at(slots, slot);
    node->upper = SLOT_NONE;
    for (unsigned layer = node->level; layer > 0; layer--) {
        node->upper = take_upper(slots, node->upper);
    }
}

static uint32_t take_slot(struct slots *slots, uint8_t level) REQUIRES(slots->lock)
{
    CHECK(level <= LEVEL_MAX);
    uint32_t slot = slots->free_slot;
    if (slot != SLOT_NONE) {
        slots->free_slot = chained(slots, slot);
        slots->n_free_slots--;
    } else {
        slot = atomic_load_explicit(&slots->n_used, memory_order_relaxed);
        atomic_store_explicit(&slots->n_used, slot + 1, memory_order_release);
    }
    CHECK(slot < slots->capacity);
    struct node *node = node_at(slots, slot);
    CHECK(slot_state(slots, slot) == 0);
    node->level = level;
    take_uppers(slots, slot);
    node->next = SLOT_NONE;
    node->chosen = 0;
    node->kept = 0;
    node->has_parent = false;
    links_clear(links_at(slots, slot, 0), slots->links0);
    return slot;
}

/* Room for what the free lists have not. */
static enum errcode fit_more(struct slots *slots, struct epochs *epochs, size_t n, size_t n_uppers,
                             struct err *err) REQUIRES(slots->shape)
{
    mutex_lock(&slots->lock);
    reclaim(slots, epochs);
    size_t n_free = slots->n_free_slots, n_free_uppers = slots->n_free_uppers;
    size_t n_used = atomic_load_explicit(&slots->n_used, memory_order_relaxed);
    size_t n_used_uppers = slots->n_uppers;
    mutex_unlock(&slots->lock);
    /* Only this thread takes, so the free lists cannot become shorter meanwhile. */
    struct growth g =
        growth_of(slots, n_used + (n > n_free ? n - n_free : 0),
                  n_used_uppers + (n_uppers > n_free_uppers ? n_uppers - n_free_uppers : 0));
    return fit(slots, epochs, &g, err);
}

enum errcode slots_take(struct slots *slots, struct epochs *epochs, const uint8_t *levels, size_t n,
                        uint32_t *out, struct err *err)
{
    CHECK(levels != NULL && out != NULL);
    size_t n_uppers = 0;
    for (size_t i = 0; i < n; i++) {
        CHECK(levels[i] <= LEVEL_MAX);
        n_uppers += levels[i];
    }
    mutex_lock(&slots->shape);
    enum errcode code = fit_more(slots, epochs, n, n_uppers, err);
    if (code == ERR_OK) {
        mutex_lock(&slots->lock);
        for (size_t i = 0; i < n; i++) {
            out[i] = take_slot(slots, levels[i]);
        }
        mutex_unlock(&slots->lock);
    }
    mutex_unlock(&slots->shape);
    return code;
}

void slots_put_back(struct slots *slots, const uint32_t *taken, size_t n)
{
    CHECK(taken != NULL || n == 0);
    uint32_t untouched = SLOT_NONE;
    mutex_lock(&slots->lock);
    for (size_t i = 0; i < n; i++) {
        CHECK(slot_state(slots, taken[i]) == 0);
        chain(slots, taken[i], &untouched);
    }
    free_chain(slots, &untouched);
    mutex_unlock(&slots->lock);
}

void slots_give_back(struct slots *slots, struct epochs *epochs)
{
    mutex_lock(&slots->shape);
    mutex_lock(&slots->lock);
    reclaim(slots, epochs);
    size_t n_used = atomic_load_explicit(&slots->n_used, memory_order_relaxed);
    if (n_used > 0 && slots->n_free_slots == n_used) {
        atomic_store_explicit(&slots->n_used, 0, memory_order_release);
        slots->n_uppers = 0;
        slots->free_slot = slots->free_upper = SLOT_NONE;
        slots->n_free_slots = slots->n_free_uppers = 0;
        CHECK(mem_region_use(&slots->codes, 0) && mem_region_use(&slots->vectors, 0) &&
              mem_region_use(&slots->nodes, 0) && mem_region_use(&slots->uppers, 0));
        if (slots->is_stored) { /* All of them were kept until a checkpoint without them. */
            slots->storage->empty(slots->storage->arg);
        }
    }
    mutex_unlock(&slots->lock);
    mutex_unlock(&slots->shape);
}

void slots_retire(struct slots *slots, struct epochs *epochs, const uint32_t *retired, size_t n)
{
    CHECK(retired != NULL || n == 0);
    mutex_lock(&slots->lock);
    for (size_t i = 0; i < n; i++) {
        CHECK(retired[i] < atomic_load_explicit(&slots->n_used, memory_order_relaxed));
        atomic_store_explicit(&node_at(slots, retired[i])->state, 0, memory_order_release);
        chain(slots, retired[i], slots->is_stored ? &slots->kept_new : &slots->limbo_new);
    }
    reclaim(slots, epochs);
    mutex_unlock(&slots->lock);
}

/* All of a chain goes over to another one. */
static void chain_all(struct slots *slots, uint32_t *from, uint32_t *to) REQUIRES(slots->lock)
{
    while (*from != SLOT_NONE) {
        uint32_t slot = *from;
        *from = chained(slots, slot);
        chain(slots, slot, to);
    }
}

void slots_note_save(struct slots *slots)
{
    mutex_lock(&slots->lock);
    chain_all(slots, &slots->kept_new, &slots->kept_saved);
    mutex_unlock(&slots->lock);
}

void slots_note_durable(struct slots *slots, struct epochs *epochs)
{
    mutex_lock(&slots->lock);
    chain_all(slots, &slots->kept_saved, &slots->limbo_new);
    reclaim(slots, epochs);
    mutex_unlock(&slots->lock);
}

/* ---- restoring ---- */

enum errcode slots_restore(struct slots *slots, struct epochs *epochs, size_t n, bool is_stored,
                           struct err *err)
{
    CHECK(atomic_load_explicit(&slots->n_used, memory_order_relaxed) == 0);
    struct growth g = growth_of(slots, n, 0);
    g.is_stored = is_stored;
    enum errcode code = fit(slots, epochs, &g, err);
    if (code == ERR_OK) {
        atomic_store_explicit(&slots->n_used, (uint32_t)n, memory_order_release);
    }
    return code;
}

enum errcode slots_restore_uppers(struct slots *slots, struct epochs *epochs, size_t n,
                                  uint32_t *first, struct err *err)
{
    *first = slots->n_uppers;
    struct growth g = growth_of(slots, atomic_load_explicit(&slots->n_used, memory_order_relaxed),
                                slots->n_uppers + n);
    g.is_stored = slots->is_stored;
    enum errcode code = fit(slots, epochs, &g, err);
    if (code == ERR_OK) {
        slots->n_uppers += (uint32_t)n;
    }
    return code;
}

void slots_restore_free(struct slots *slots, const uint64_t *rows)
{
    mutex_lock(&slots->lock);
    for (uint32_t slot = atomic_load_explicit(&slots->n_used, memory_order_relaxed); slot-- > 0;) {
        if (rows[slot] == ROW_NONE) {
            node_at(slots, slot)->upper = SLOT_NONE;
            links_clear(links_at(slots, slot, 0), slots->links0);
            chain(slots, slot, &slots->free_slot);
            slots->n_free_slots++;
        }
    }
    mutex_unlock(&slots->lock);
}
