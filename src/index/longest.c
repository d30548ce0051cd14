/* DOT: the longest rows, which walks begin at, too.
 *
 * A long row is among the nearest of many queries, from any direction.  The few that are longer
 * than the radius of the reduction lie outside of the space in which rows are linked, and a walk
 * may end without having met them: of 30,000 rows with heavy tails four fifths of all that was
 * missed were the 32 longest.  So they are kept by length, and each walk compares them with its
 * query, which costs little: their codes are asked for so often that they are at hand.
 *
 * The list is changed by the advancing thread, or by those of a load; searches read it meanwhile.
 * A row leaves it before its slot is retired.  It holds all rows that are longer than the shortest
 * that ever fell out of it, up to LONGEST_MAX. */
#include "index/build_int.h"
#include "index/walk_int.h"

enum {
    LONGEST_LEAST = LONGEST_MAX / 2 /* Where deletes leave fewer it is made anew. */
};

bool longest_init(struct index *index)
{
    index->longest = NULL;
    if (index->config.kind == INDEX_FLAT || index->config.distance != DISTANCE_DOT) {
        return true;
    }
    index->longest = mem_zalloc(MEM_GRAPH, sizeof(*index->longest));
    if (index->longest != NULL) {
        mutex_init(&index->longest->lock);
    }
    return index->longest != NULL;
}

void longest_fini(struct index *index)
{
    if (index->longest != NULL) {
        mutex_fini(&index->longest->lock);
        mem_free(MEM_GRAPH, index->longest);
    }
}

static void put(struct longest *l, size_t at, uint32_t slot, float squares)
{
    atomic_store_explicit(&l->slots[at], slot, memory_order_relaxed);
    l->squares[at] = squares;
}

static uint32_t slot_of(const struct longest *l, size_t at)
{
    return atomic_load_explicit(&l->slots[at], memory_order_relaxed);
}

void longest_join(struct index *index, uint32_t slot, float squares)
{
    struct longest *l = index->longest;
    if (squares <= atomic_load_explicit(&l->least, memory_order_relaxed)) {
        return;
    }
    mutex_lock(&l->lock);
    size_t n = atomic_load_explicit(&l->n, memory_order_relaxed);
    size_t at = n < LONGEST_MAX ? n : LONGEST_MAX - 1;
    if (n < LONGEST_MAX || squares > l->squares[at]) {
        for (; at > 0 && l->squares[at - 1] < squares; at--) {
            put(l, at, slot_of(l, at - 1), l->squares[at - 1]);
        }
        put(l, at, slot, squares);
        n += n < LONGEST_MAX;
        atomic_store_explicit(&l->n, n, memory_order_release);
    }
    if (n == LONGEST_MAX) {
        atomic_store_explicit(&l->least, l->squares[n - 1], memory_order_relaxed);
    }
    mutex_unlock(&l->lock);
}

void longest_leave(struct index *index, uint32_t slot)
{
    struct longest *l = index->longest;
    mutex_lock(&l->lock);
    size_t n = atomic_load_explicit(&l->n, memory_order_relaxed), at = 0;
    while (at < n && slot_of(l, at) != slot) {
        at++;
    }
    for (; at + 1 < n; at++) {
        put(l, at, slot_of(l, at + 1), l->squares[at + 1]);
    }
    if (at < n) {
        atomic_store_explicit(&l->n, n - 1, memory_order_release);
        l->is_short = n - 1 < LONGEST_LEAST;
    }
    mutex_unlock(&l->lock);
}

/* By what the codes know of lengths: the exact vectors may be on a disk. */
void longest_settle(struct index *index)
{
    struct longest *l = index->longest;
    const struct slots *slots = &index->slots;
    if (!l->is_short) {
        return;
    }
    l->is_short = false;
    struct code_space space = space_of_codes(index);
    uint32_t n_used = atomic_load_explicit(&slots->n_used, memory_order_acquire);
    atomic_store_explicit(&l->n, 0, memory_order_release);
    atomic_store_explicit(&l->least, 0, memory_order_relaxed);
    for (uint32_t slot = 0; slot < n_used; slot++) {
        if ((slot_state(slots, slot) & (SLOT_LINKED | SLOT_HIDDEN)) == SLOT_LINKED) {
            struct code_room room;
            struct code_query row;
            space.code->query_of_row(&space, slot, &room, &row);
            longest_join(index, slot, row.squares);
        }
    }
}

size_t longest_nearest(struct walk *w, struct candidate out[LONGEST_STARTS])
{
    const struct longest *l = w->index->longest;
    uint32_t slots[LONGEST_MAX];
    float keys[LONGEST_MAX];
    size_t n = l == NULL ? 0 : atomic_load_explicit(&l->n, memory_order_acquire), n_out = 0;
    if (n == 0) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        slots[i] = slot_of(l, i);
    }
    walk_keys(w, slots, n, keys);
    for (size_t i = 0; i < n; i++) {
        struct candidate c = {.key = keys[i], .slot = slots[i]};
        if (walk_passes_over(w, c.slot, c.key)) {
            continue;
        }
        size_t at = n_out;
        for (; at > 0 && c.key < out[at - 1].key; at--) {
            if (at < LONGEST_STARTS) {
                out[at] = out[at - 1];
            }
        }
        if (at < LONGEST_STARTS) {
            out[at] = c;
            n_out += n_out < LONGEST_STARTS;
        }
    }
    return n_out;
}
