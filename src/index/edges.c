/* In-edges: who lists a row?
 *
 * Most edges are mutual: those in-neighbours stand in the row's own list.  The others stand in
 * *cells*, a few to each, chained at the row's node; only the first cell of a chain may have free
 * places.  So a delete knows every list that it must change, at about 30 bytes a row.
 *
 * Cells follow from the lists and are not saved: after a load the first advance counts all edges,
 * so searches need not wait for it.  Cells and counts belong to the thread that advances: the crew
 * writes lists, and this thread takes note when they are written. */
#include "index/build_int.h"

static struct edge_cell *cell_at(const struct slots *slots, uint32_t cell)
{
    return (struct edge_cell *)slots->cells.base + cell;
}

static uint32_t *from_at(const struct slots *slots, uint32_t cell, size_t i)
{
    return &cell_at(slots, cell)->from[i];
}

/* The cells of @n chains, where each list that is named in them may hold one edge too many; all but
 * a chain's first cell are full. */
static size_t cells_of(size_t n, size_t links)
{
    return n * ((links + 1) / CELL_EDGES + 2);
}

/* No more are ever wanted, whatever the lists of the slots hold. */
static size_t cells_wanted_max(struct slots *slots)
{
    mutex_lock(&slots->lock);
    size_t n_uppers = slots->n_uppers;
    size_t n_used = atomic_load_explicit(&slots->n_used, memory_order_relaxed);
    mutex_unlock(&slots->lock);
    return cells_of(n_used, links_max(slots, 0)) + cells_of(n_uppers, links_max(slots, 1));
}

bool edges_reserve(struct slots *slots, size_t n_more)
{
    size_t n = slots->n_cells + n_more, n_max = cells_wanted_max(slots);
    n = n < n_max ? n : n_max > slots->n_cells ? n_max : slots->n_cells;
    size_t bytes = n * sizeof(struct edge_cell);
    size_t bytes_max = slots->cells.bytes_max;
    if (n > SLOTS_MAX) {
        return false;
    }
    while (bytes_max < bytes) {
        bytes_max *= 2;
    }
    return slots_region_fits(&slots->cells, bytes_max) && mem_region_use(&slots->cells, bytes);
}

void edges_trim(struct slots *slots)
{
    size_t bytes = slots->n_cells * sizeof(struct edge_cell);
    CHECK(bytes <= slots->cells.bytes_used && mem_region_use(&slots->cells, bytes));
}

/* ---- cells ---- */

static uint32_t cell_take(struct slots *slots, uint32_t next)
{
    uint32_t cell = slots->free_cell;
    if (cell != SLOT_NONE) {
        slots->free_cell = cell_at(slots, cell)->next;
    } else {
        cell = slots->n_cells++;
        CHECK(slots->n_cells * sizeof(struct edge_cell) <= slots->cells.bytes_used);
    }
    *cell_at(slots, cell) =
        (struct edge_cell){.next = next, .from = {SLOT_NONE, SLOT_NONE, SLOT_NONE}};
    return cell;
}

static void cell_give(struct slots *slots, uint32_t cell)
{
    cell_at(slots, cell)->next = slots->free_cell;
    slots->free_cell = cell;
}

static void cells_add(struct slots *slots, struct in_edges *in, uint32_t from)
{
    if (in->cells == SLOT_NONE || *from_at(slots, in->cells, CELL_EDGES - 1) != SLOT_NONE) {
        in->cells = cell_take(slots, in->cells);
    }
    size_t at = 0;
    while (*from_at(slots, in->cells, at) != SLOT_NONE) {
        at++;
    }
    *from_at(slots, in->cells, at) = from;
}

/* The last edge of the first cell takes the place; nothing where @from is not there. */
static void cells_remove(struct slots *slots, struct in_edges *in, uint32_t from)
{
    for (uint32_t cell = in->cells; cell != SLOT_NONE; cell = cell_at(slots, cell)->next) {
        for (size_t i = 0; i < CELL_EDGES; i++) {
            if (*from_at(slots, cell, i) != from) {
                continue;
            }
            uint32_t first = in->cells;
            size_t last = CELL_EDGES - 1;
            while (*from_at(slots, first, last) == SLOT_NONE) {
                last--;
            }
            *from_at(slots, cell, i) = *from_at(slots, first, last);
            *from_at(slots, first, last) = SLOT_NONE;
            if (last == 0) {
                in->cells = cell_at(slots, first)->next;
                cell_give(slots, first);
            }
            return;
        }
    }
}

/* ---- edges ---- */

bool lists(const struct slots *slots, uint32_t from, unsigned layer, uint32_t slot)
{
    const _Atomic uint32_t *links = links_at(slots, from, layer);
    size_t max = links_max(slots, layer);
    for (size_t i = 0; i < max; i++) {
        uint32_t link = atomic_load_explicit(&links[i], memory_order_relaxed);
        if (link == slot || link == SLOT_NONE) {
            return link == slot;
        }
    }
    return false;
}

void edge_counted(struct slots *slots, unsigned layer, uint32_t from, uint32_t to)
{
    struct in_edges *in = in_edges_at(slots, to, layer);
    in->count++;
    if (!lists(slots, to, layer, from)) {
        cells_add(slots, in, from);
    }
}

bool edges_count_due(struct index *index)
{
    struct slots *slots = &index->slots;
    if (index->edges_due == 0) {
        return true;
    }
    for (; index->edges_due > 0; index->edges_due--) {
        uint32_t slot = index->edges_due - 1;
        uint32_t links[LINKS_MAX];
        unsigned level = node_at(slots, slot)->level;
        if (!edges_reserve(slots, (level + 1) * (size_t)LINKS_MAX)) {
            return false;
        }
        for (unsigned layer = 0; layer <= level; layer++) {
            size_t n = links_copy(slots, slot, layer, links);
            for (size_t i = 0; i < n; i++) {
                edge_counted(slots, layer, slot, links[i]);
            }
        }
    }
    edges_trim(slots);
    return true;
}

void edges_between(struct slots *slots, unsigned layer, uint32_t a, uint32_t b)
{
    bool has_forth = lists(slots, a, layer, b), has_back = lists(slots, b, layer, a);
    struct in_edges *in_a = in_edges_at(slots, a, layer), *in_b = in_edges_at(slots, b, layer);
    in_b->count += has_forth;
    in_a->count += has_back;
    if (has_forth && !has_back) {
        cells_add(slots, in_b, a);
    } else if (has_back && !has_forth) {
        cells_add(slots, in_a, b);
    }
}

void edge_added(struct slots *slots, unsigned layer, uint32_t from, uint32_t to)
{
    edge_counted(slots, layer, from, to);
    if (lists(slots, to, layer, from)) {
        cells_remove(slots, in_edges_at(slots, from, layer), to);
    }
}

void edge_dropped(struct slots *slots, unsigned layer, uint32_t from, uint32_t to)
{
    struct in_edges *in = in_edges_at(slots, to, layer);
    CHECK(in->count > 0);
    in->count--;
    if (lists(slots, to, layer, from)) {
        cells_add(slots, in_edges_at(slots, from, layer), to);
    } else {
        cells_remove(slots, in, from);
    }
}

size_t in_neighbours(const struct slots *slots, uint32_t slot, unsigned layer, uint32_t *out)
{
    const struct in_edges *in = in_edges_at(slots, slot, layer);
    uint32_t own[LINKS_MAX];
    size_t n_own = links_copy(slots, slot, layer, own), n = 0;
    for (size_t i = 0; i < n_own; i++) {
        if (lists(slots, own[i], layer, slot)) {
            out[n++] = own[i];
        }
    }
    for (uint32_t cell = in->cells; cell != SLOT_NONE; cell = cell_at(slots, cell)->next) {
        for (size_t i = 0; i < CELL_EDGES && *from_at(slots, cell, i) != SLOT_NONE; i++) {
            CHECK(n < in->count);
            out[n++] = *from_at(slots, cell, i);
        }
    }
    CHECK(n == in->count);
    return n;
}

void edges_forget(struct slots *slots, uint32_t slot, unsigned layer)
{
    uint32_t own[LINKS_MAX];
    size_t n_own = links_copy(slots, slot, layer, own);
    for (size_t i = 0; i < n_own; i++) {
        struct in_edges *in = in_edges_at(slots, own[i], layer);
        CHECK(in->count > 0);
        in->count--;
        if (!lists(slots, own[i], layer, slot)) {
            cells_remove(slots, in, slot);
        }
    }
    struct in_edges *in = in_edges_at(slots, slot, layer);
    while (in->cells != SLOT_NONE) {
        uint32_t cell = in->cells;
        in->cells = cell_at(slots, cell)->next;
        cell_give(slots, cell);
    }
    in->count = 0;
}

/* ---- paths ---- */

/* Which of @links may lose its place: the farthest that another of them leads to; or else the
 * farthest that anyone else lists; n where there is none. */
static size_t choose_loser(const struct slots *slots, unsigned layer,
                           const struct candidate *sorted, size_t n)
{
    for (size_t i = n; i-- > 0;) {
        for (size_t other = 0; other < n; other++) {
            if (other != i && lists(slots, sorted[other].slot, layer, sorted[i].slot)) {
                return i;
            }
        }
    }
    for (size_t i = n; i-- > 0;) {
        if (in_edges_at(slots, sorted[i].slot, layer)->count > 1) {
            return i;
        }
    }
    return n;
}

bool edge_force(struct index *index, unsigned layer, uint32_t from, uint32_t to)
{
    struct slots *slots = &index->slots;
    struct list list;
    list_read(slots, from, layer, &list);
    if (list_find(&list, to) < list.n) {
        return true;
    }
    uint32_t loser = SLOT_NONE;
    if (list.n == links_max(slots, layer)) {
        struct candidate sorted[LINKS_MAX];
        size_t n = list.n - list.kept;
        candidates_around(index, from, list.links + list.kept, n, sorted);
        size_t at = choose_loser(slots, layer, sorted, n);
        if (at == n) {
            return false;
        }
        loser = sorted[at].slot;
        list_remove(&list, list_find(&list, loser));
    }
    list_add_chosen(&list, to);
    list_write(slots, from, layer, &list);
    edge_added(slots, layer, from, to);
    if (loser != SLOT_NONE) {
        edge_dropped(slots, layer, from, loser);
    }
    return true;
}
