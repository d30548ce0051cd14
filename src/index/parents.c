/* The tree: what makes every row reachable, whatever the order and the place of the rows.
 *
 * A row's parent is the nearest earlier row that was found at its insertion and that has room for
 * one more child; half of a list at most is children.  Parents are earlier rows, so there are no
 * circles, and the first row of all is the root.
 *
 * Where nobody near has room, the search for one goes down the tree: mostly a child of a row is as
 * near as the row itself.  It goes to an earlier row than the one that wants a parent; where all
 * children are later, it takes the place of the latest, and that one goes on from there.  The row
 * where the search stands is a later one with each step, so it ends. */
#include "index/build_int.h"

uint32_t parent_of(const struct index *index, uint32_t slot)
{
    const struct slots *slots = &index->slots;
    return node_at(slots, slot)->has_parent
               ? atomic_load_explicit(links_at(slots, slot, 0), memory_order_relaxed)
               : (uint32_t)SLOT_NONE;
}

size_t children_of(const struct index *index, uint32_t slot, uint32_t *out)
{
    struct list list;
    list_read(&index->slots, slot, 0, &list);
    size_t n = 0;
    for (size_t i = list.has_parent ? 1 : 0; i < list.kept; i++) {
        out[n++] = list.links[i];
    }
    return n;
}

static bool has_room(const struct index *index, uint32_t slot)
{
    const struct node *node = node_at(&index->slots, slot);
    return node->kept - (node->has_parent ? 1u : 0u) < links_max(&index->slots, 0) / 2;
}

static uint64_t row_of(const struct index *index, uint32_t slot)
{
    return node_at(&index->slots, slot)->row;
}

/* ---- edges ---- */

/* The edge that a full list loses for one of the tree: the farthest that only fills it; or else the
 * farthest that is not of the tree.  SLOT_NONE where there is room. */
static uint32_t make_room(struct index *index, uint32_t slot, struct list *list)
{
    if (list->n < links_max(&index->slots, 0)) {
        return SLOT_NONE;
    }
    size_t from = list->chosen < list->n ? list->chosen : list->kept;
    CHECK(from < list->n);
    struct candidate sorted[LINKS_MAX];
    candidates_around(index, slot, list->links + from, list->n - from, sorted);
    uint32_t loser = sorted[list->n - from - 1].slot;
    list_remove(list, list_find(list, loser));
    return loser;
}

/* The edge of the tree from one row to the other. */
static void lead(struct index *index, uint32_t from, uint32_t to, bool is_parent)
{
    const struct slots *slots = &index->slots;
    struct list list;
    list_read(slots, from, 0, &list);
    size_t at = list_find(&list, to);
    if (at < list.n) {
        list_remove(&list, at);
    } else {
        (void)make_room(index, from, &list);
    }
    if (is_parent) {
        list_add_parent(&list, to);
    } else {
        list_add_child(&list, to);
    }
    list_write(slots, from, 0, &list);
}

static void attach(struct index *index, uint32_t parent, uint32_t child)
{
    lead(index, parent, child, false);
    lead(index, child, parent, true);
}

/* The two may go on as neighbours. */
static void detach(struct index *index, uint32_t parent, uint32_t child)
{
    const struct slots *slots = &index->slots;
    struct list list;
    list_read(slots, parent, 0, &list);
    list_remove(&list, list_find(&list, child));
    list_add_filling(&list, child);
    list_write(slots, parent, 0, &list);
    list_read(slots, child, 0, &list);
    CHECK(list.has_parent && list.links[0] == parent);
    list_remove(&list, 0);
    list_add_filling(&list, parent);
    list_write(slots, child, 0, &list);
}

/* ---- who ---- */

/* One of the children that are earlier rows than @child, another one for each; SLOT_NONE where
 * there is none: then *latest is the latest of all. */
static uint32_t earlier_child(const struct index *index, uint32_t at, uint32_t child,
                              uint32_t *latest)
{
    uint32_t children[LINKS_MAX], best = SLOT_NONE;
    size_t n = children_of(index, at, children);
    uint64_t row = row_of(index, child), salt = hash_u64(row), best_rank = UINT64_MAX;
    CHECK(n > 0);
    *latest = children[0];
    for (size_t i = 0; i < n; i++) {
        uint64_t rank = hash_u64(row_of(index, children[i]) ^ salt);
        if (row_of(index, children[i]) < row && (best == SLOT_NONE || rank < best_rank)) {
            best = children[i];
            best_rank = rank;
        }
        if (row_of(index, children[i]) > row_of(index, *latest)) {
            *latest = children[i];
        }
    }
    return best;
}

static void descend_to_room(struct index *index, uint32_t at, uint32_t child)
{
    while (!has_room(index, at)) {
        uint32_t latest, down = earlier_child(index, at, child, &latest);
        if (down == SLOT_NONE) {
            detach(index, at, latest);
            attach(index, at, child);
            down = child;
            child = latest;
        }
        at = down;
    }
    attach(index, at, child);
}

bool parent_adopt(struct index *index, uint32_t child, const struct candidate *near, size_t n)
{
    uint64_t row = row_of(index, child);
    uint32_t start = SLOT_NONE;
    CHECK(!node_at(&index->slots, child)->has_parent);
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = near[i].slot & ~EXPANDED;
        if (row_of(index, slot) >= row) {
            continue;
        }
        if (has_room(index, slot)) {
            attach(index, slot, child);
            return true;
        }
        start = start == SLOT_NONE ? slot : start;
    }
    start = start == SLOT_NONE ? index->root : start;
    if (start == SLOT_NONE || row_of(index, start) >= row) {
        return false;
    }
    descend_to_room(index, start, child);
    return true;
}

/* ---- the proof ---- */

enum {
    TOUR_ROWS = 4096 /* In one epoch: a region that must grow waits for all readers. */
};

struct tour {
    struct scratch *scratch;
    uint32_t *stack;
    size_t n, n_seen;
};

static void tour_push(struct tour *tour, uint32_t slot)
{
    if (scratch_visit(tour->scratch, slot)) {
        tour->stack[tour->n++] = slot;
        tour->n_seen++;
    }
}

/* All that paths on layer 0 lead to. */
static size_t tour_from(struct index *index, struct tour *tour, uint32_t entry)
{
    tour_push(tour, entry);
    while (tour->n > 0) {
        unsigned place = epoch_enter(&index->epochs, tour->scratch->place_hint);
        for (size_t row = 0; row < TOUR_ROWS && tour->n > 0; row++) {
            uint32_t links[LINKS_MAX];
            size_t n = links_copy(&index->slots, tour->stack[--tour->n], 0, links);
            for (size_t i = 0; i < n; i++) {
                tour_push(tour, links[i]);
            }
        }
        epoch_leave(&index->epochs, place);
    }
    return tour->n_seen;
}

enum errcode index_unreachable(struct index *index, size_t *n, struct err *err)
{
    *n = 0;
    struct tour tour = {.scratch = scratch_for(index, err)};
    if (tour.scratch == NULL) {
        return ERR_OUT_OF_MEMORY;
    }
    mutex_lock(&index->advance_lock);
    size_t n_linked = atomic_load_explicit(&index->n_linked, memory_order_relaxed);
    uint32_t entry = atomic_load_explicit(&index->entry, memory_order_relaxed);
    tour.stack = mem_alloc(MEM_SEARCH, (n_linked + 1) * sizeof(*tour.stack));
    uint32_t n_used = atomic_load_explicit(&index->slots.n_used, memory_order_acquire);
    bool has_memory = tour.stack != NULL && scratch_visit_none(tour.scratch, n_used);
    /* Within a sweep dead rows are on their way out, and torn ones wait for a parent. */
    if (has_memory && entry != SLOT_NONE && !sweep_may_be_on(index)) {
        size_t n_seen = tour_from(index, &tour, entry);
        CHECK(n_seen <= n_linked);
        *n = n_linked - n_seen;
    }
    mutex_unlock(&index->advance_lock);
    mem_free(MEM_SEARCH, tour.stack);
    return has_memory ? ERR_OK : err_no_memory(err);
}
