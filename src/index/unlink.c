/* Unlinking: a deleted row leaves all lists at once, and its neighbours find new ones.
 *
 * On each layer:
 * 1. All in-neighbours are known (edges.c).
 * 2. Each in-neighbour, in parallel, loses its edge and takes the nearest rows of the deleted one's
 *    neighbourhood that algorithm 4 accepts.  A task changes one list, from candidates that were
 *    fixed before, so the outcome depends on neither order nor threads.
 * 3. An in-neighbour whose list is short chooses anew among what a walk to it finds, as an insert
 *    does: where lists are short, the deleted row may have been the only way to rows that are not
 *    near it.
 * 4. Nobody may become unreachable.  A path that led through the deleted row went on to a row that
 *    it listed, so it is enough that each of those is found from the entry point: one walk to where
 *    the deleted row stood sees nearly all of them, the others are walked to one by one, and who is
 *    not found is linked anew to what the walk did find.
 *
 * All that can fail happens before step 2.  The row's own lists stay, for searches that stand on
 * it; its slot is retired by the caller. */
#include "index/build_int.h"

#include <string.h>

enum {
    REPLACEMENTS_MAX = 2,       /* New edges for one that was lost. */
    AROUND_MAX = 2 * LINKS_MAX, /* Candidates: the row's own list and the nearest that */
    AROUND_FOUND_MAX = 16,      /* listed it. */
    FIND_EF = 32,               /* Of the walks that look whether a row is found. */
    RENEW_EF = 128,             /* Of those for an in-neighbour's new list. */
    LINKS_FEW = 5,              /* A shorter list is renewed. */
    RELINKED_MAX = 4,           /* Edges to, and from, a row that was not. */
};

struct hole {
    struct index *index;
    uint32_t slot; /* The deleted row. */
    unsigned layer;
    uint32_t *found; /* Its in-neighbours. */
    size_t n_found;
    uint32_t *added; /* By each of them, REPLACEMENTS_MAX at most, then SLOT_NONE. */
    uint32_t own[LINKS_MAX];
    size_t n_own;
    uint32_t around[AROUND_MAX]; /* What may replace it. */
    size_t n_around;
};

/* ---- step 1 ---- */

/* The row's own list, and the nearest of those that listed it. */
static enum errcode gather_around(struct hole *hole, struct err *err)
{
    const struct slots *slots = &hole->index->slots;
    struct candidate *sorted = mem_alloc(MEM_GRAPH, (hole->n_found + 1) * sizeof(*sorted));
    if (sorted == NULL) {
        return err_no_memory(err);
    }
    memcpy(hole->around, hole->own, hole->n_own * sizeof(*hole->own));
    hole->n_around = hole->n_own;
    candidates_around(hole->index, hole->slot, hole->found, hole->n_found, sorted);
    for (size_t i = 0; i < hole->n_found; i++) {
        hole->found[i] = sorted[i].slot;
    }
    for (size_t i = 0; i < hole->n_found && hole->n_around < hole->n_own + AROUND_FOUND_MAX; i++) {
        if (!lists(slots, hole->slot, hole->layer, sorted[i].slot)) {
            hole->around[hole->n_around++] = sorted[i].slot;
        }
    }
    mem_free(MEM_GRAPH, sorted);
    return ERR_OK;
}

static enum errcode hole_init(struct hole *hole, struct err *err)
{
    struct slots *slots = &hole->index->slots;
    size_t n_wanted = in_edges_at(slots, hole->slot, hole->layer)->count;
    hole->n_own = links_copy(slots, hole->slot, hole->layer, hole->own);
    hole->found = mem_alloc(MEM_GRAPH, (n_wanted + 1) * sizeof(*hole->found));
    hole->added = mem_alloc(MEM_GRAPH, (n_wanted + 1) * REPLACEMENTS_MAX * sizeof(*hole->added));
    if (hole->found == NULL || hole->added == NULL) {
        return err_no_memory(err);
    }
    hole->n_found = in_neighbours(slots, hole->slot, hole->layer, hole->found);
    return gather_around(hole, err);
}

/* Room for all that the steps after this one do. */
static enum errcode reserve(struct index *index, const struct hole *holes, unsigned n_layers,
                            struct err *err)
{
    struct scratch *s = scratch_for(index, err);
    if (s == NULL) {
        return ERR_OUT_OF_MEMORY;
    }
    size_t n_edges = LINKS_MAX * (size_t)8; /* Of the children's new parents. */
    for (unsigned layer = 0; layer < n_layers; layer++) {
        /* An edge that is forced may cost another one. */
        n_edges +=
            holes[layer].n_found * REPLACEMENTS_MAX + holes[layer].n_own * (size_t)RELINKED_MAX * 4;
    }
    if (!pool_reset(&s->near, RENEW_EF) || !scratch_visit_none(s, index->slots.capacity) ||
        !edges_reserve(&index->slots, n_edges)) {
        return err_no_memory(err);
    }
    return ERR_OK;
}

/* ---- step 2 ---- */

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
    uint32_t base = hole->found[task];
    struct list list;
    list_read(slots, base, hole->layer, &list);
    list_remove(&list, list_find(&list, hole->slot));
    struct candidate sorted[AROUND_MAX];
    size_t max = links_max(slots, hole->layer), n_kept = list.n, n_added = 0;
    size_t n_sorted = sort_around(hole, base, sorted);
    uint32_t *added = hole->added + task * REPLACEMENTS_MAX;
    for (size_t i = 0; i < REPLACEMENTS_MAX; i++) {
        added[i] = SLOT_NONE;
    }
    for (size_t i = 0; i < n_sorted && list.n < max && n_added < REPLACEMENTS_MAX; i++) {
        if (select_accepts(index, sorted[i], list.links, list.n)) {
            list_add_chosen(&list, sorted[i].slot);
            added[n_added++] = sorted[i].slot;
        }
    }
    if (n_added == 0 && n_kept < max / 2 && n_sorted > 0) {
        list_add_filling(&list, sorted[0].slot); /* Better a redundant edge than few. */
        added[n_added++] = sorted[0].slot;
    }
    list_write(slots, base, hole->layer, &list);
}

static void hole_mend(struct hole *hole, const struct index_crew *crew)
{
    struct slots *slots = &hole->index->slots;
    edges_forget(slots, hole->slot, hole->layer);
    crew_run(crew, hole->n_found, relink_task, hole);
    for (size_t i = 0; i < hole->n_found * REPLACEMENTS_MAX; i++) {
        if (hole->added[i] != SLOT_NONE) {
            edge_added(slots, hole->layer, hole->found[i / REPLACEMENTS_MAX], hole->added[i]);
        }
    }
}

/* ---- steps 3 and 4 ---- */

/* Walks from the entry point, as a search would, and leaves what it saw in the scratch. */
static void walk_to(const struct hole *hole, struct scratch *s, uint32_t slot, size_t ef)
{
    struct index *index = hole->index;
    const struct slots *slots = &index->slots;
    struct err err;
    struct index_work work = {0};
    struct walk w = walk_start_at_row(index, s, slot, &work);
    struct candidate start =
        walk_candidate(&w, atomic_load_explicit(&index->entry, memory_order_relaxed));
    start = walk_descend(&w, start, node_at(slots, start.slot)->level, hole->layer + 1);
    CHECK(walk_layer(&w, hole->layer, &start, 1, ef, &err) == ERR_OK);
}

/* Where there is room. */
static void add_link(const struct hole *hole, uint32_t from, uint32_t to)
{
    struct slots *slots = &hole->index->slots;
    struct list list;
    list_read(slots, from, hole->layer, &list);
    if (list.n < links_max(slots, hole->layer) && list_find(&list, to) == list.n) {
        list_add_filling(&list, to);
        list_write(slots, from, hole->layer, &list);
        edge_added(slots, hole->layer, from, to);
    }
}

/* What an insert of @base would choose now, besides what it has; in both directions. */
static void renew_list(const struct hole *hole, struct scratch *s, uint32_t base)
{
    const struct index *index = hole->index;
    const struct slots *slots = &index->slots;
    struct candidate sorted[RENEW_EF];
    struct list list;
    size_t n = 0;
    walk_to(hole, s, base, RENEW_EF);
    for (size_t i = 0; i < s->near.n; i++) {
        uint32_t near = s->near.items[i].slot;
        if (near != base) {
            sorted[n++] = (struct candidate){.key = s->near.items[i].key, .slot = near};
        }
    }
    select_neighbours(index, sorted, n, slots->m, &list);
    for (size_t i = 0; i < list.n; i++) {
        add_link(hole, base, list.links[i]);
        add_link(hole, list.links[i], base);
    }
}

static void renew_lists(const struct hole *hole)
{
    const struct slots *slots = &hole->index->slots;
    for (size_t i = 0; i < hole->n_found; i++) {
        uint32_t links[LINKS_MAX];
        if (links_copy(slots, hole->found[i], hole->layer, links) < LINKS_FEW) {
            renew_list(hole, scratch_get(), hole->found[i]);
        }
    }
}

/* Edges in both directions between a row that no walk found and what was found instead. */
static void relink_lost(const struct hole *hole, const struct scratch *s, uint32_t lost)
{
    size_t n_relinked = 0;
    for (size_t i = 0; i < s->near.n && n_relinked < RELINKED_MAX; i++) {
        uint32_t near = s->near.items[i].slot;
        if (edge_force(hole->index, hole->layer, near, lost)) {
            add_link(hole, lost, near);
            n_relinked++;
        }
    }
}

static void find_neighbours(const struct hole *hole)
{
    struct scratch *s = scratch_get();
    uint32_t unseen[LINKS_MAX];
    size_t n_unseen = 0;
    walk_to(hole, s, hole->slot, FIND_EF);
    for (size_t i = 0; i < hole->n_own; i++) {
        if (!scratch_has_visited(s, hole->own[i])) {
            unseen[n_unseen++] = hole->own[i];
        }
    }
    for (size_t i = 0; i < n_unseen; i++) {
        walk_to(hole, s, unseen[i], FIND_EF);
        if (!scratch_has_visited(s, unseen[i])) {
            relink_lost(hole, s, unseen[i]);
        }
    }
}

/* The row's children get other parents, in the order of their numbers. */
static void find_parents(const struct hole *hole, uint32_t *children, size_t n)
{
    struct index *index = hole->index;
    const struct slots *slots = &index->slots;
    struct scratch *s = scratch_get();
    for (size_t i = 1; i < n; i++) {
        for (size_t at = i;
             at > 0 && node_at(slots, children[at])->row < node_at(slots, children[at - 1])->row;
             at--) {
            uint32_t later = children[at - 1];
            children[at - 1] = children[at];
            children[at] = later;
        }
    }
    size_t first = 0;
    if (index->root == hole->slot) {
        index->root = n > 0 ? children[first++] : (uint32_t)SLOT_NONE;
    }
    for (size_t i = first; i < n; i++) {
        walk_to(hole, s, children[i], FIND_EF);
        CHECK(parent_adopt(index, children[i], s->near.items, s->near.n));
    }
}

/* ---- all of it ---- */

/* The row of the highest level, the lowest number among equals. */
static uint32_t choose_entry(const struct index *index, uint32_t without)
{
    const struct slots *slots = &index->slots;
    uint32_t n_used = atomic_load_explicit(&slots->n_used, memory_order_acquire);
    uint32_t best = SLOT_NONE;
    for (uint32_t slot = 0; slot < n_used; slot++) {
        const struct node *node = node_at(slots, slot);
        if (slot == without || (slot_state(slots, slot) & SLOT_LINKED) == 0) {
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
    reduction_leave(index, slot);
    reduction_settle(index);
    if (atomic_load_explicit(&index->entry, memory_order_relaxed) == slot) {
        atomic_store_explicit(&index->entry, choose_entry(index, slot), memory_order_release);
    }
    atomic_fetch_and_explicit(&node_at(&index->slots, slot)->state, (uint8_t)~SLOT_LINKED,
                              memory_order_release);
    atomic_fetch_sub_explicit(&index->n_linked, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&index->n_hidden, 1, memory_order_relaxed);
}

static bool has_layer(const struct index *index, unsigned layer)
{
    uint32_t entry = atomic_load_explicit(&index->entry, memory_order_relaxed);
    return entry != SLOT_NONE && node_at(&index->slots, entry)->level >= layer;
}

enum errcode unlink_row(struct index *index, uint32_t slot, const struct index_crew *crew,
                        struct err *err)
{
    struct hole holes[LEVEL_MAX + 1];
    uint32_t children[LINKS_MAX];
    size_t n_children = children_of(index, slot, children);
    unsigned n_layers = node_at(&index->slots, slot)->level + 1u;
    enum errcode code = ERR_OK;
    for (unsigned layer = 0; layer < n_layers; layer++) {
        holes[layer] = (struct hole){.index = index, .slot = slot, .layer = layer};
        code = code == ERR_OK ? hole_init(&holes[layer], err) : code;
    }
    code = code == ERR_OK ? reserve(index, holes, n_layers, err) : code;
    if (code == ERR_OK) {
        for (unsigned layer = 0; layer < n_layers; layer++) {
            hole_mend(&holes[layer], crew);
        }
        leave_graph(index, slot);
        find_parents(&holes[0], children, n_children);
        /* From above: a walk descends through the upper layers. */
        for (unsigned layer = n_layers; layer-- > 0;) {
            if (has_layer(index, layer)) {
                renew_lists(&holes[layer]);
                find_neighbours(&holes[layer]);
            }
        }
    }
    edges_trim(&index->slots);
    for (unsigned layer = 0; layer < n_layers; layer++) {
        mem_free(MEM_GRAPH, holes[layer].found);
        mem_free(MEM_GRAPH, holes[layer].added);
    }
    return code;
}
