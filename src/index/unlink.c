/* Unlinking: a deleted row leaves all lists at once, and its neighbours find new ones.
 *
 * On each layer:
 * 1. Find all in-neighbours.  They stand nearly always within a few steps, for near rows list each
 *    other: a search in breadth from the row's own list goes on until it has as many as the in-edge
 *    figures say; the last one follows from their XOR.  Where that is not enough every list is
 * read.
 * 2. Each in-neighbour, in parallel, loses its edge and takes the nearest rows of the deleted one's
 *    neighbourhood that algorithm 4 accepts.  A task changes one list, from candidates that were
 *    fixed before, so the outcome depends on neither order nor threads.
 * 3. Rows that nobody lists any more are taken up by a near row.
 *
 * The row's own lists stay, for searches that stand on it; its slot is retired by the caller. */
#include "index/index_int.h"

#include <string.h>

enum {
    FIND_VISITS_MAX = 2048,
    SCAN_TASKS = 32,
    REPLACEMENTS_MAX = 2,             /* New edges for one that was lost. */
    AROUND_MAX = 2 * LINKS_MAX,       /* Candidates: the row's own list and the nearest that */
    AROUND_FOUND_MAX = LINKS_MAX / 2, /* listed it. */
};

struct hole {
    struct index *index;
    uint32_t slot; /* The deleted row. */
    unsigned layer;
    uint32_t *found; /* Its in-neighbours. */
    size_t n_wanted;
    _Atomic size_t n_found;
    uint32_t around[AROUND_MAX]; /* What may replace it. */
    size_t n_around;
};

static bool lists(const struct slots *slots, uint32_t from, unsigned layer, uint32_t slot)
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

/* ---- step 1 ---- */

static void find_near(struct hole *hole, struct scratch *s)
{
    const struct slots *slots = &hole->index->slots;
    uint32_t visits[FIND_VISITS_MAX + LINKS_MAX], missing_xor;
    missing_xor = atomic_load_explicit(&in_edges_at(slots, hole->slot, hole->layer)->slots_xor,
                                       memory_order_relaxed);
    size_t n = links_copy(slots, hole->slot, hole->layer, visits), n_found = 0;
    scratch_visit(s, hole->slot);
    for (size_t i = 0; i < n; i++) {
        scratch_visit(s, visits[i]);
    }
    for (size_t i = 0; i < n && n_found + 1 < hole->n_wanted; i++) {
        if (lists(slots, visits[i], hole->layer, hole->slot)) {
            hole->found[n_found++] = visits[i];
            missing_xor ^= visits[i];
        }
        uint32_t links[LINKS_MAX];
        size_t n_links = links_copy(slots, visits[i], hole->layer, links);
        for (size_t j = 0; j < n_links && n < FIND_VISITS_MAX; j++) {
            if (scratch_visit(s, links[j])) {
                visits[n++] = links[j];
            }
        }
    }
    if (n_found + 1 == hole->n_wanted) {
        CHECK(lists(slots, missing_xor, hole->layer, hole->slot));
        hole->found[n_found++] = missing_xor;
    }
    atomic_store_explicit(&hole->n_found, n_found, memory_order_relaxed);
}

static bool is_linked(const struct slots *slots, uint32_t slot)
{
    return (slot_state(slots, slot) & SLOT_LINKED) != 0;
}

/* Every slot has a list on layer 0: there the node need not be read, but for a match, which may be
 * what a retired slot still shows to searches. */
static bool may_list(const struct slots *slots, uint32_t slot, unsigned layer)
{
    return layer == 0 || (is_linked(slots, slot) && node_at(slots, slot)->level >= layer);
}

static void find_task(void *arg, size_t task)
{
    struct hole *hole = arg;
    const struct slots *slots = &hole->index->slots;
    uint64_t n_used = atomic_load_explicit(&slots->n_used, memory_order_acquire);
    uint32_t end = (uint32_t)(n_used * (task + 1) / SCAN_TASKS);
    for (uint32_t slot = (uint32_t)(n_used * task / SCAN_TASKS); slot < end; slot++) {
        if (may_list(slots, slot, hole->layer) && lists(slots, slot, hole->layer, hole->slot) &&
            is_linked(slots, slot)) {
            size_t at = atomic_fetch_add_explicit(&hole->n_found, 1, memory_order_relaxed);
            CHECK(at < hole->n_wanted);
            hole->found[at] = slot;
        }
    }
}

static enum errcode find_in_neighbours(struct hole *hole, const struct index_crew *crew,
                                       struct err *err)
{
    const struct slots *slots = &hole->index->slots;
    struct scratch *s = scratch_get(err);
    if (s == NULL) {
        return ERR_OUT_OF_MEMORY;
    }
    hole->n_wanted = atomic_load_explicit(&in_edges_at(slots, hole->slot, hole->layer)->count,
                                          memory_order_relaxed);
    if (hole->n_wanted == 0) {
        return ERR_OK;
    }
    hole->found = mem_alloc(MEM_GRAPH, hole->n_wanted * sizeof(*hole->found));
    if (hole->found == NULL || !scratch_visit_none(s, slots->capacity)) {
        return err_no_memory(err);
    }
    find_near(hole, s);
    if (atomic_load_explicit(&hole->n_found, memory_order_relaxed) < hole->n_wanted) {
        atomic_store_explicit(&hole->n_found, 0, memory_order_relaxed);
        crew_run(crew, SCAN_TASKS, find_task, hole);
    }
    CHECK(atomic_load_explicit(&hole->n_found, memory_order_relaxed) == hole->n_wanted);
    return ERR_OK;
}

/* ---- step 2 ---- */

/* The row's own list, and the nearest of those that listed it. */
static enum errcode gather_around(struct hole *hole, struct err *err)
{
    const struct slots *slots = &hole->index->slots;
    struct candidate *sorted = mem_alloc(MEM_GRAPH, (hole->n_wanted + 1) * sizeof(*sorted));
    if (sorted == NULL) {
        return err_no_memory(err);
    }
    hole->n_around = links_copy(slots, hole->slot, hole->layer, hole->around);
    candidates_around(hole->index, hole->slot, hole->found, hole->n_wanted, sorted);
    size_t n_own = hole->n_around;
    for (size_t i = 0; i < hole->n_wanted && hole->n_around < n_own + AROUND_FOUND_MAX; i++) {
        if (!lists(slots, hole->slot, hole->layer, sorted[i].slot)) {
            hole->around[hole->n_around++] = sorted[i].slot;
        }
    }
    mem_free(MEM_GRAPH, sorted);
    return ERR_OK;
}

/* The candidates as @base sees them, without itself and what it lists. */
static size_t sort_around(const struct hole *hole, uint32_t base, struct candidate *sorted)
{
    uint32_t others[AROUND_MAX];
    size_t n = 0;
    for (size_t i = 0; i < hole->n_around; i++) {
        if (hole->around[i] != base &&
            !lists(&hole->index->slots, base, hole->layer, hole->around[i])) {
            others[n++] = hole->around[i];
        }
    }
    candidates_around(hole->index, base, others, n, sorted);
    return n;
}

static void relink_task(void *arg, size_t task)
{
    struct hole *hole = arg;
    const struct index *index = hole->index;
    const struct slots *slots = &index->slots;
    uint32_t base = hole->found[task], links[LINKS_MAX];
    size_t max = links_max(slots, hole->layer), n_kept = 0;
    size_t n = links_copy(slots, base, hole->layer, links);
    for (size_t i = 0; i < n; i++) {
        if (links[i] != hole->slot) {
            links[n_kept++] = links[i];
        }
    }
    struct candidate sorted[AROUND_MAX];
    size_t n_sorted = sort_around(hole, base, sorted), n_new = n_kept;
    for (size_t i = 0; i < n_sorted && n_new < max && n_new < n_kept + REPLACEMENTS_MAX; i++) {
        if (select_accepts(index, sorted[i], links, n_new)) {
            links[n_new++] = sorted[i].slot;
        }
    }
    if (n_new == n_kept && n_kept < max / 2 && n_sorted > 0) {
        links[n_new++] = sorted[0].slot; /* Better a redundant edge than few. */
    }
    for (size_t i = n_kept; i < n_new; i++) {
        edge_added(index, hole->layer, base, links[i]);
    }
    edge_dropped(index, hole->layer, base, hole->slot);
    links_write(slots, base, hole->layer, links, n_new);
}

/* ---- step 3 ---- */

static uint32_t n_listed(const struct hole *hole, uint32_t slot)
{
    return atomic_load_explicit(&in_edges_at(&hole->index->slots, slot, hole->layer)->count,
                                memory_order_relaxed);
}

/* Where the list of @base gives @orphan a place: its end, or the farthest that others list, too. */
static bool take_up(const struct hole *hole, uint32_t base, uint32_t orphan)
{
    const struct index *index = hole->index;
    struct candidate sorted[LINKS_MAX];
    uint32_t links[LINKS_MAX];
    size_t n = links_copy(&index->slots, base, hole->layer, links);
    if (n < links_max(&index->slots, hole->layer)) {
        links[n++] = orphan;
        edge_added(index, hole->layer, base, orphan);
        links_write(&index->slots, base, hole->layer, links, n);
        return true;
    }
    candidates_around(index, base, links, n, sorted);
    for (size_t i = n; i-- > 0;) {
        if (n_listed(hole, sorted[i].slot) > 1) {
            edge_dropped(index, hole->layer, base, sorted[i].slot);
            edge_added(index, hole->layer, base, orphan);
            for (size_t at = 0; at < n; at++) {
                links[at] = links[at] == sorted[i].slot ? orphan : links[at];
            }
            links_write(&index->slots, base, hole->layer, links, n);
            return true;
        }
    }
    return false;
}

static void mend_orphans(struct hole *hole)
{
    const struct slots *slots = &hole->index->slots;
    uint32_t own[LINKS_MAX];
    size_t n_own = links_copy(slots, hole->slot, hole->layer, own);
    struct candidate by_row[LINKS_MAX];
    candidates_around(hole->index, hole->slot, own, n_own, by_row);
    for (size_t i = 0; i < n_own; i++) {
        uint32_t orphan = by_row[i].slot;
        if (n_listed(hole, orphan) > 0) {
            continue;
        }
        struct candidate sorted[LINKS_MAX];
        uint32_t links[LINKS_MAX];
        size_t n = links_copy(slots, orphan, hole->layer, links);
        candidates_around(hole->index, orphan, links, n, sorted);
        for (size_t at = 0; at < n && !take_up(hole, sorted[at].slot, orphan); at++) {
        }
    }
}

/* ---- all of it ---- */

/* Step 1, which may fail. */
static enum errcode hole_init(struct hole *hole, const struct index_crew *crew, struct err *err)
{
    enum errcode code = find_in_neighbours(hole, crew, err);
    return code == ERR_OK ? gather_around(hole, err) : code;
}

/* Steps 2 and 3, which cannot. */
static void hole_mend(struct hole *hole, const struct index_crew *crew)
{
    const struct index *index = hole->index;
    crew_run(crew, hole->n_wanted, relink_task, hole);
    uint32_t own[LINKS_MAX];
    size_t n_own = links_copy(&index->slots, hole->slot, hole->layer, own);
    for (size_t i = 0; i < n_own; i++) {
        edge_dropped(index, hole->layer, hole->slot, own[i]);
    }
    mend_orphans(hole);
}

/* The row of the highest level, the lowest number among equals. */
static uint32_t choose_entry(const struct index *index, uint32_t without)
{
    const struct slots *slots = &index->slots;
    uint32_t n_used = atomic_load_explicit(&slots->n_used, memory_order_acquire);
    uint32_t best = SLOT_NONE;
    for (uint32_t slot = 0; slot < n_used; slot++) {
        const struct node *node = node_at(slots, slot);
        if (slot == without || !is_linked(slots, slot)) {
            continue;
        }
        const struct node *top = best == SLOT_NONE ? NULL : node_at(slots, best);
        if (top == NULL || node->level > top->level ||
            (node->level == top->level && node->row < top->row)) {
            best = slot;
        }
    }
    return best;
}

static void leave_graph(struct index *index, uint32_t slot)
{
    if (atomic_load_explicit(&index->entry, memory_order_relaxed) == slot) {
        atomic_store_explicit(&index->entry, choose_entry(index, slot), memory_order_release);
    }
    atomic_fetch_and_explicit(&node_at(&index->slots, slot)->state, (uint8_t)~SLOT_LINKED,
                              memory_order_release);
    atomic_fetch_sub_explicit(&index->n_linked, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&index->n_hidden, 1, memory_order_relaxed);
}

enum errcode unlink_row(struct index *index, uint32_t slot, const struct index_crew *crew,
                        struct err *err)
{
    struct hole holes[LEVEL_MAX + 1];
    unsigned n_layers = node_at(&index->slots, slot)->level + 1u;
    enum errcode code = ERR_OK;
    for (unsigned layer = 0; layer < n_layers; layer++) {
        holes[layer] = (struct hole){.index = index, .slot = slot, .layer = layer};
        code = code == ERR_OK ? hole_init(&holes[layer], crew, err) : code;
    }
    for (unsigned layer = 0; code == ERR_OK && layer < n_layers; layer++) {
        hole_mend(&holes[layer], crew);
    }
    if (code == ERR_OK) {
        leave_graph(index, slot);
    }
    for (unsigned layer = 0; layer < n_layers; layer++) {
        mem_free(MEM_GRAPH, holes[layer].found);
    }
    return code;
}
