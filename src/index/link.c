/* Linking: a chunk of staged rows becomes part of the graph.
 *
 * 1. For every row, in parallel: candidates from a walk over the graph as it was before the chunk,
 *    and the chunk's own earlier rows by their distances; the row's own lists are chosen from them
 *    (algorithm 4).  Nobody can reach those lists yet.
 * 2. Every list that shall lead back to a new row, in parallel: the new rows are added to it in the
 *    order of their numbers, and it is pruned where it is full.  A task changes one list and reads
 *    vectors only, so neither threads nor timing can change the outcome.
 * 3. The lists are compared with what they were.  A row that lost its place in one, or got none, is
 *    mostly nearer to another that stands there, and paths lead to it by that one.  Where no short
 *    one does it gets its place back: whatever could be reached before still can.
 *
 * All that can fail happens before step 2. */
#include "index/build_int.h"

#include <stdlib.h>

/* An edge back to a new row. */
struct back {
    uint64_t row; /* Of the target: slots have no order that replicas share. */
    uint32_t target, source;
    uint16_t order; /* Of the source in the chunk. */
    uint8_t layer;
    bool is_new; /* The target is of the chunk itself. */
};

struct chunk {
    struct index *index;
    const uint32_t *slots;
    size_t n;
    uint32_t entry; /* Of the graph before the chunk. */
    _Atomic bool failed;
    struct back *backs; /* Sorted by list, then by order. */
    size_t n_backs;
    uint32_t
        *before; /* The list of backs[i] as it was, at i times the length; at a list's first. */
};

enum {
    LISTS_A_TASK = 16
};
_Static_assert((int)INDEX_CHUNK <= (int)BATCH, "a chunk's keys fit one batch");

void crew_run(const struct index_crew *crew, size_t n, void (*run)(void *arg, size_t i), void *arg)
{
    if (crew != NULL && n > 1) {
        crew->for_each(crew->crew, n, run, arg);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        run(arg, i);
    }
}

/* ---- step 1 ---- */

/* The neighbours of row i on one layer, from what the walk left in scratch->near and from the
 * chunk's earlier rows. */
static bool choose_own(struct chunk *chunk, size_t i, unsigned layer, const float *chunk_keys)
{
    struct scratch *s = scratch_get();
    const struct slots *slots = &chunk->index->slots;
    struct pool *both = &s->matching;
    if (!pool_reset(both, s->near.n + i)) {
        return false;
    }
    for (size_t at = 0; at < s->near.n; at++) {
        both->items[at] = s->near.items[at];
    }
    both->n = s->near.n;
    for (size_t other = 0; other < i; other++) {
        if (node_at(slots, chunk->slots[other])->level >= layer) {
            pool_add(both, slots,
                     (struct candidate){.key = chunk_keys[other], .slot = chunk->slots[other]});
        }
    }
    uint32_t links[LINKS_MAX];
    size_t n =
        select_neighbours(chunk->index, chunk->slots[i], both->items, both->n, slots->m, links);
    links_write(slots, chunk->slots[i], layer, links, n);
    return true;
}

static bool choose_lists(struct chunk *chunk, size_t i)
{
    struct err err;
    struct index *index = chunk->index;
    struct scratch *s = scratch_for(index, &err);
    if (s == NULL) {
        return false;
    }
    uint32_t slot = chunk->slots[i];
    unsigned level = node_at(&index->slots, slot)->level;
    struct index_work work = {0};
    struct walk w = walk_start_at_row(index, s, slot, &work);
    float chunk_keys[INDEX_CHUNK];
    walk_keys(&w, chunk->slots, i, chunk_keys);

    bool has_graph = chunk->entry != SLOT_NONE;
    unsigned top = has_graph ? node_at(&index->slots, chunk->entry)->level : 0;
    struct candidate start = {.slot = SLOT_NONE};
    if (has_graph) {
        start = walk_descend(&w, walk_candidate(&w, chunk->entry), top, level + 1);
    }
    const struct candidate *starts = &start;
    size_t n_starts = 1;
    s->near.n = 0;
    for (unsigned layer = level + 1; layer-- > 0;) {
        if (has_graph && layer <= top) {
            size_t ef = index->config.ef_construction;
            if (walk_layer(&w, layer, starts, n_starts, ef, &err) != ERR_OK) {
                return false;
            }
            starts = s->near.items;
            n_starts = s->near.n;
        }
        if (!choose_own(chunk, i, layer, chunk_keys)) {
            return false;
        }
    }
    return true;
}

static void choose_task(void *arg, size_t i)
{
    struct chunk *chunk = arg;
    if (!choose_lists(chunk, i)) {
        atomic_store_explicit(&chunk->failed, true, memory_order_relaxed);
    }
}

/* ---- step 2 ---- */

static int compare_lists(const struct back *a, const struct back *b)
{
    if (a->layer != b->layer) {
        return a->layer < b->layer ? -1 : 1;
    }
    return a->row == b->row ? 0 : a->row < b->row ? -1 : 1;
}

static int compare_backs(const void *one, const void *other)
{
    const struct back *a = one, *b = other;
    int order = compare_lists(a, b);
    return order != 0 ? order : (int)a->order - (int)b->order;
}

static bool begins_list(const struct chunk *chunk, size_t at)
{
    return at == 0 || compare_lists(&chunk->backs[at], &chunk->backs[at - 1]) != 0;
}

static uint32_t *list_before(const struct chunk *chunk, size_t first)
{
    return chunk->before + first * links_max(&chunk->index->slots, 0);
}

static void fill_backs(struct chunk *chunk)
{
    const struct slots *slots = &chunk->index->slots;
    for (size_t i = 0; i < chunk->n; i++) {
        uint32_t slot = chunk->slots[i];
        for (unsigned layer = 0; layer <= node_at(slots, slot)->level; layer++) {
            uint32_t links[LINKS_MAX];
            size_t n = links_copy(slots, slot, layer, links);
            for (size_t j = 0; j < n; j++) {
                bool is_new = (slot_state(slots, links[j]) & SLOT_LINKED) == 0;
                chunk->backs[chunk->n_backs++] = (struct back){.row = node_at(slots, links[j])->row,
                                                               .target = links[j],
                                                               .source = slot,
                                                               .order = (uint16_t)i,
                                                               .layer = (uint8_t)layer,
                                                               .is_new = is_new};
            }
        }
    }
    qsort(chunk->backs, chunk->n_backs, sizeof(*chunk->backs), compare_backs);
}

/* All memory that steps 2 and 3 want. */
static bool make_backs(struct chunk *chunk)
{
    struct slots *slots = &chunk->index->slots;
    struct err err;
    struct scratch *s = scratch_for(chunk->index, &err);
    size_t n_lists = 0, max = links_max(slots, 0);
    for (size_t i = 0; i < chunk->n; i++) {
        n_lists += node_at(slots, chunk->slots[i])->level + 1u;
    }
    size_t n_backs_max = n_lists * slots->m;
    chunk->backs = mem_alloc(MEM_GRAPH, n_backs_max * sizeof(*chunk->backs));
    chunk->before = mem_alloc(MEM_GRAPH, n_backs_max * max * sizeof(*chunk->before));
    /* Each edge of a list that changes is dropped at most once, and comes back at most once. */
    if (s == NULL || !scratch_visit_none(s, slots->capacity) || chunk->backs == NULL ||
        chunk->before == NULL || !edges_reserve(slots, n_backs_max * 2 * (max + 2))) {
        return false;
    }
    fill_backs(chunk);
    for (size_t i = 0; i < chunk->n_backs; i++) {
        const struct back *back = &chunk->backs[i];
        if (begins_list(chunk, i)) {
            uint32_t *before = list_before(chunk, i);
            size_t n = back->is_new ? 0 : links_copy(slots, back->target, back->layer, before);
            if (n < max) {
                before[n] = SLOT_NONE;
            }
        }
    }
    return true;
}

static void link_back(const struct index *index, const struct back *back)
{
    const struct slots *slots = &index->slots;
    uint32_t links[LINKS_MAX + 1], kept[LINKS_MAX];
    struct candidate sorted[LINKS_MAX + 1];
    size_t max = links_max(slots, back->layer);
    size_t n = links_copy(slots, back->target, back->layer, links);
    links[n] = back->source;
    if (n < max) {
        atomic_store_explicit(&links_at(slots, back->target, back->layer)[n], back->source,
                              memory_order_release);
        return;
    }
    candidates_around(index, back->target, links, n + 1, sorted);
    size_t n_kept = select_neighbours(index, back->target, sorted, n + 1, max, kept);
    links_write(slots, back->target, back->layer, kept, n_kept);
}

/* The edges of a task, and all of a list that it begins. */
static void link_back_task(void *arg, size_t task)
{
    struct chunk *chunk = arg;
    size_t at = task * LISTS_A_TASK, end = at + LISTS_A_TASK;
    while (at < chunk->n_backs && !begins_list(chunk, at)) {
        at++;
    }
    for (; at < chunk->n_backs; at++) {
        if (at >= end && begins_list(chunk, at)) {
            break;
        }
        link_back(chunk->index, &chunk->backs[at]);
    }
}

/* ---- step 3 ---- */

/* Where it was not, all that stood there still does, and all new rows have got a place. */
static bool was_pruned(const struct chunk *chunk, size_t first)
{
    const struct slots *slots = &chunk->index->slots;
    const struct back *list = &chunk->backs[first];
    const uint32_t *before = list_before(chunk, first);
    uint32_t links[LINKS_MAX];
    size_t n_all = 0;
    while (n_all < links_max(slots, 0) && before[n_all] != SLOT_NONE) {
        n_all++;
    }
    for (size_t i = first; i < chunk->n_backs && (i == first || !begins_list(chunk, i)); i++) {
        n_all++;
    }
    return list->is_new || links_copy(slots, list->target, list->layer, links) < n_all;
}

/* Those that had a place in the list before: counted no more where they lost it. */
static void note_losses(struct chunk *chunk, size_t first)
{
    struct slots *slots = &chunk->index->slots;
    const struct back *list = &chunk->backs[first];
    const uint32_t *before = list_before(chunk, first);
    for (size_t i = 0; i < links_max(slots, 0) && before[i] != SLOT_NONE; i++) {
        if (!lists(slots, list->target, list->layer, before[i])) {
            edge_dropped(slots, list->layer, list->target, before[i]);
        }
    }
}

static void note_edges(struct chunk *chunk)
{
    struct slots *slots = &chunk->index->slots;
    for (size_t i = 0; i < chunk->n_backs; i++) {
        const struct back *back = &chunk->backs[i];
        edges_between(slots, back->layer, back->source, back->target);
        if (begins_list(chunk, i) && was_pruned(chunk, i)) {
            note_losses(chunk, i);
        }
    }
}

/* A list that changed, and what is marked in the scratch: one step from it, or two. */
struct surroundings {
    struct index *index;
    struct scratch *scratch;
    uint32_t slot;
    unsigned layer;
    bool is_marked, is_wide;
};

static void widen(struct surroundings *at)
{
    const struct slots *slots = &at->index->slots;
    uint32_t links[LINKS_MAX];
    size_t n = links_copy(slots, at->slot, at->layer, links);
    for (size_t i = 0; i < n; i++) {
        mark_listed(slots, at->scratch, links[i], at->layer);
    }
    at->is_wide = true;
}

/* A row that the list may not hold any more: one more step must lead to it. */
static void lead_to(struct surroundings *at, uint32_t lost)
{
    const struct slots *slots = &at->index->slots;
    if (lists(slots, at->slot, at->layer, lost)) {
        return;
    }
    if (!at->is_marked) {
        CHECK(scratch_visit_none(at->scratch, slots->capacity));
        mark_listed(slots, at->scratch, at->slot, at->layer);
        at->is_marked = true;
    }
    if (is_led_to(slots, at->scratch, lost, at->layer)) {
        return;
    }
    if (!at->is_wide) {
        widen(at);
    }
    if (!is_led_to(slots, at->scratch, lost, at->layer)) {
        (void)edge_force(at->index, at->layer, at->slot, lost);
    }
}

/* In the order of row numbers, for a place given back changes what leads where. */
static void keep_reachable(struct chunk *chunk)
{
    size_t end, max = links_max(&chunk->index->slots, 0);
    for (size_t first = 0; first < chunk->n_backs; first = end) {
        const struct back *list = &chunk->backs[first];
        const uint32_t *before = list_before(chunk, first);
        struct surroundings at = {.index = chunk->index,
                                  .scratch = scratch_get(),
                                  .slot = list->target,
                                  .layer = list->layer};
        bool is_pruned = was_pruned(chunk, first);
        for (size_t i = 0; is_pruned && i < max && before[i] != SLOT_NONE; i++) {
            lead_to(&at, before[i]);
        }
        for (end = first; end < chunk->n_backs && (end == first || !begins_list(chunk, end));
             end++) {
            if (is_pruned) {
                lead_to(&at, chunk->backs[end].source);
            }
        }
    }
}

static void publish(struct chunk *chunk)
{
    struct index *index = chunk->index;
    uint32_t entry = chunk->entry;
    for (size_t i = 0; i < chunk->n; i++) {
        uint32_t slot = chunk->slots[i];
        const struct node *node = node_at(&index->slots, slot);
        atomic_fetch_or_explicit(&node_at(&index->slots, slot)->state, SLOT_LINKED,
                                 memory_order_release);
        if (entry == SLOT_NONE || node->level > node_at(&index->slots, entry)->level) {
            entry = slot;
        }
        index->row_linked_end = node->row + 1;
    }
    atomic_store_explicit(&index->entry, entry, memory_order_release);
    atomic_fetch_add_explicit(&index->n_linked, chunk->n, memory_order_relaxed);
}

enum errcode link_chunk(struct index *index, const uint32_t *slots, size_t n,
                        const struct index_crew *crew, struct err *err)
{
    CHECK(n > 0 && n <= INDEX_CHUNK);
    struct chunk chunk = {
        .index = index,
        .slots = slots,
        .n = n,
        .entry = atomic_load_explicit(&index->entry, memory_order_relaxed),
    };
    crew_run(crew, n, choose_task, &chunk);
    enum errcode code = ERR_OK;
    if (atomic_load_explicit(&chunk.failed, memory_order_relaxed) || !make_backs(&chunk)) {
        code = err_no_memory(err);
    } else {
        crew_run(crew, (chunk.n_backs + LISTS_A_TASK - 1) / LISTS_A_TASK, link_back_task, &chunk);
        note_edges(&chunk);
        keep_reachable(&chunk);
        publish(&chunk);
    }
    edges_trim(&index->slots);
    mem_free(MEM_GRAPH, chunk.backs);
    mem_free(MEM_GRAPH, chunk.before);
    return code;
}
