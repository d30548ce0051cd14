/* Linking: a chunk of staged rows becomes part of the graph.
 *
 * 1. Under L2 every row gets its code.  For every row, in parallel: candidates from a walk over the
 * graph as it was before the chunk, and the chunk's own earlier rows by their distances; the row's
 * own lists are chosen from them (select.c).  Nobody can reach those lists yet.  Where what is near
 * lies within the error of the codes, all of this is done again by the exact vectors, and so is
 * what step 3 does for the row.
 * 2. In the order of their numbers, the rows get their parents (parents.c): from here on paths lead
 *    to them.
 * 3. Every list that shall lead back to a new row, in parallel: the new rows are offered to it in
 *    the order of their numbers.  A task changes one list and reads vectors only, so neither
 * threads nor timing can change the outcome.
 *
 * All that can fail happens before step 2. */
#include "index/build_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An edge back to a new row. */
struct back {
    uint64_t row; /* Of the target: slots have no order that replicas share. */
    uint32_t target, source;
    uint16_t order; /* Of the source in the chunk. */
    uint8_t layer;
};

enum {
    PARENTS_MAX = 16,   /* Candidates for a row's parent. */
    RANK = 10,          /* The distance of this one is compared with the codes' error. */
    UPPER_EF_EXACT = 24 /* Starts of an exact walk that a layer above the row's own gives. */
};

struct chunk {
    struct index *index;
    const uint32_t *slots;
    size_t n;
    uint32_t entry; /* Of the graph before the chunk. */
    _Atomic bool failed;
    struct back *backs; /* Sorted by list, then by order. */
    size_t n_backs;
    struct candidate near[INDEX_CHUNK][PARENTS_MAX]; /* On layer 0. */
    size_t n_near[INDEX_CHUNK];
    bool is_exact[INDEX_CHUNK]; /* The row is linked by its exact vector. */
};

enum {
    LISTS_A_TASK = 16
};
_Static_assert((int)INDEX_CHUNK <= (int)BATCH, "a chunk's keys fit one batch");

/* ---- step 1 ---- */

/* How one row looks for its neighbours. */
struct choice {
    struct chunk *chunk;
    size_t i; /* Its place in the chunk. */
    struct walk walk;
    struct scratch *scratch;
    float chunk_keys[INDEX_CHUNK]; /* Of the rows before it. */
    uint32_t seen[RANK];           /* What the codes led to, where the exact vectors go on. */
    size_t n_seen;
};

/* The neighbours of the row on one layer, from the first @n_found of scratch->near and from the
 * chunk's earlier rows. */
static bool choose_own(struct choice *c, unsigned layer, size_t n_found)
{
    struct chunk *chunk = c->chunk;
    struct scratch *s = c->scratch;
    const struct slots *slots = &chunk->index->slots;
    struct pool *both = &s->matching;
    if (!pool_reset(both, n_found + c->i)) {
        return false;
    }
    for (; both->n < n_found; both->n++) {
        both->items[both->n] = s->near.items[both->n];
    }
    for (size_t other = 0; other < c->i; other++) {
        if (node_at(slots, chunk->slots[other])->level >= layer) {
            pool_add(both, slots,
                     (struct candidate){.key = c->chunk_keys[other], .slot = chunk->slots[other]});
        }
    }
    struct list list;
    select_neighbours(&c->walk.space, both->items, both->n, links_max(slots, layer), &list);
    list_write(slots, chunk->slots[c->i], layer, &list);
    if (layer == 0) {
        size_t n = both->n < PARENTS_MAX ? both->n : PARENTS_MAX;
        chunk->n_near[c->i] = n;
        for (size_t at = 0; at < n; at++) {
            chunk->near[c->i][at] = both->items[at];
        }
    }
    return true;
}

/* Leaves what stands above the row's own layers in scratch->near: for the codes one row, for the
 * exact vectors more, since their like may be far apart. */
static bool descend(struct choice *c, unsigned top, unsigned level)
{
    struct pool *near = &c->scratch->near;
    struct candidate at = walk_candidate(&c->walk, c->chunk->entry);
    bool is_exact = c->chunk->is_exact[c->i];
    if (!is_exact) {
        at = walk_descend(&c->walk, at, top, level + 1);
    }
    if (!pool_reset(near, 1)) {
        return false;
    }
    near->items[near->n++] = at;
    bool has_memory = true;
    struct err err;
    for (unsigned layer = top; is_exact && layer > level && has_memory; layer--) {
        has_memory =
            walk_layer(&c->walk, layer, near->items, near->n, UPPER_EF_EXACT, &err) == ERR_OK;
    }
    return has_memory;
}

/* Behind those in scratch->near. */
static bool add_seen(struct choice *c)
{
    struct pool *near = &c->scratch->near;
    size_t n = near->n;
    if (!pool_reset(near, n + c->n_seen)) {
        return false;
    }
    near->n = n;
    for (size_t i = 0; i < c->n_seen; i++) {
        near->items[near->n++] = walk_candidate(&c->walk, c->seen[i]);
    }
    return true;
}

static bool walk_and_choose(struct choice *c)
{
    struct err err;
    struct chunk *chunk = c->chunk;
    const struct slots *slots = &chunk->index->slots;
    struct pool *near = &c->scratch->near;
    size_t ef = chunk->index->config.ef_construction;
    unsigned level = node_at(slots, chunk->slots[c->i])->level;
    bool has_graph = chunk->entry != SLOT_NONE;
    unsigned top = has_graph ? node_at(slots, chunk->entry)->level : 0;
    near->n = 0;
    walk_keys(&c->walk, chunk->slots, c->i, c->chunk_keys);
    if (has_graph && !descend(c, top, level)) {
        return false;
    }
    for (unsigned layer = level + 1; layer-- > 0;) {
        bool is_there = has_graph && layer <= top;
        if (is_there && ((layer == 0 && !add_seen(c)) ||
                         walk_layer(&c->walk, layer, near->items, near->n, ef, &err) != ERR_OK)) {
            return false;
        }
        if (!choose_own(c, layer, is_there ? near->n : 0)) {
            return false;
        }
    }
    return true;
}

static bool are_copies(const struct choice *c)
{
    const struct index *index = c->chunk->index;
    const float *vector = vector_at(&index->slots, c->chunk->slots[c->i]);
    bool is_same = true;
    for (size_t i = 0; i < RANK && is_same; i++) {
        const float *near = vector_at(&index->slots, c->scratch->near.items[i].slot);
        is_same = memcmp(vector, near, index->config.dim * sizeof(*near)) == 0;
    }
    return is_same;
}

/* Whether what is near lies within the error of the codes.  Copies need no ranking. */
static bool is_blind(const struct choice *c)
{
    const struct pool *near = &c->scratch->near;
    float error = select_error(&c->walk.space, &c->walk.query);
    if (error <= 0 || near->n < RANK) {
        return false;
    }
    float rank = select_distance(&c->walk.space, near->items[RANK - 1].key);
    return fabsf(rank) < 3 * error && !are_copies(c);
}

static bool choose_lists(struct chunk *chunk, size_t i)
{
    struct err err;
    struct index *index = chunk->index;
    struct index_work work = {0};
    struct choice c = {.chunk = chunk, .i = i, .scratch = scratch_for(index, &err)};
    if (c.scratch == NULL) {
        return false;
    }
    chunk->is_exact[i] = false;
    c.walk = walk_start_at_row(index, c.scratch, chunk->slots[i], &work);
    bool has_memory = walk_and_choose(&c);
    if (has_memory && is_blind(&c)) {
        chunk->is_exact[i] = true;
        for (; c.n_seen < RANK; c.n_seen++) {
            c.seen[c.n_seen] = c.scratch->near.items[c.n_seen].slot;
        }
        c.walk.space = space_of_pairs(index);
        c.walk.space.code->query_of_row(&c.walk.space, chunk->slots[i], c.scratch->query_code,
                                        &c.walk.query);
        has_memory = walk_and_choose(&c);
    }
    return has_memory;
}

static void encode_task(void *arg, size_t i)
{
    const struct chunk *chunk = arg;
    centre_encode(chunk->index, chunk->slots[i]);
}

static void choose_task(void *arg, size_t i)
{
    struct chunk *chunk = arg;
    if (!choose_lists(chunk, i)) {
        atomic_store_explicit(&chunk->failed, true, memory_order_relaxed);
    }
}

/* ---- step 2 ---- */

static void find_parents(struct chunk *chunk)
{
    struct index *index = chunk->index;
    for (size_t i = 0; i < chunk->n; i++) {
        if (index->root == SLOT_NONE) {
            index->root = chunk->slots[i];
        } else {
            CHECK(parent_adopt(index, chunk->slots[i], chunk->near[i], chunk->n_near[i]));
        }
    }
}

/* ---- step 3 ---- */

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

static void fill_backs(struct chunk *chunk)
{
    const struct slots *slots = &chunk->index->slots;
    for (size_t i = 0; i < chunk->n; i++) {
        uint32_t slot = chunk->slots[i];
        for (unsigned layer = 0; layer <= node_at(slots, slot)->level; layer++) {
            uint32_t links[LINKS_MAX];
            size_t n = links_copy(slots, slot, layer, links);
            for (size_t j = 0; j < n; j++) {
                uint64_t row = node_at(slots, links[j])->row;
                if (row < node_at(slots, slot)->row) { /* Others are children of the chunk. */
                    chunk->backs[chunk->n_backs++] = (struct back){.row = row,
                                                                   .target = links[j],
                                                                   .source = slot,
                                                                   .order = (uint16_t)i,
                                                                   .layer = (uint8_t)layer};
                }
            }
        }
    }
    qsort(chunk->backs, chunk->n_backs, sizeof(*chunk->backs), compare_backs);
}

/* All memory that the steps behind the first want. */
static bool reserve_backs(struct chunk *chunk)
{
    struct slots *slots = &chunk->index->slots;
    size_t n_backs_max = 0;
    for (size_t i = 0; i < chunk->n; i++) {
        for (unsigned layer = 0; layer <= node_at(slots, chunk->slots[i])->level; layer++) {
            n_backs_max += links_max(slots, layer);
        }
    }
    chunk->backs = mem_alloc(MEM_GRAPH, n_backs_max * sizeof(*chunk->backs));
    return chunk->backs != NULL;
}

static void link_back(const struct chunk *chunk, const struct back *back)
{
    const struct index *index = chunk->index;
    const struct slots *slots = &index->slots;
    struct code_space space =
        chunk->is_exact[back->order] ? space_of_pairs(index) : space_of_codes(index);
    struct list list;
    list_read(slots, back->target, back->layer, &list);
    if (list_find(&list, back->source) < list.n) {
        return; /* A child. */
    }
    size_t max = links_max(slots, back->layer);
    if (list_offer(slots, &space, &list, max, back->target, back->source) != back->source) {
        list_write(slots, back->target, back->layer, &list);
    }
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
        link_back(chunk, &chunk->backs[at]);
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
        reduction_join(index, slot);
    }
    reduction_settle(index);
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
    if (index_has_centre(index)) {
        crew_run(crew, n, encode_task, &chunk);
    }
    crew_run(crew, n, choose_task, &chunk);
    enum errcode code = ERR_OK;
    if (atomic_load_explicit(&chunk.failed, memory_order_relaxed) || !reserve_backs(&chunk)) {
        code = err_no_memory(err);
    } else {
        find_parents(&chunk);
        fill_backs(&chunk);
        crew_run(crew, (chunk.n_backs + LISTS_A_TASK - 1) / LISTS_A_TASK, link_back_task, &chunk);
        publish(&chunk);
    }
    mem_free(MEM_GRAPH, chunk.backs);
    return code;
}
