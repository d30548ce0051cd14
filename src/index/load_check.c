/* Checkpoints, reading: what can be told only when all rows are there.
 *
 *   claim    every row: its neighbours exist and stand on their layer; it claims its children
 *   look     every row: its parent is an earlier row, and has claimed it
 *
 * in that order, by the crew, while one of it makes the row map.  A list names slots all over, so
 * what is asked of them stands in arrays (load_int.h) that fit a processor's cache. */
#include "index/load_int.h"

enum {
    CHECKED_AT_ONCE = 4096 /* Slots of one task. */
};

bool facts_init(struct facts *facts, size_t n_slots)
{
    size_t row_bytes = sizeof(*facts->rows) + sizeof(*facts->parents) + sizeof(*facts->heights) +
                       sizeof(*facts->kinds) + sizeof(*facts->is_claimed);
    if (!mem_region_reserve(&facts->memory, MEM_GRAPH, n_slots * row_bytes) ||
        !mem_region_use(&facts->memory, n_slots * row_bytes)) {
        return false;
    }
    facts->rows = facts->memory.base;
    facts->parents = (uint32_t *)(void *)(facts->rows + n_slots);
    facts->heights = (uint8_t *)(facts->parents + n_slots);
    facts->kinds = facts->heights + n_slots;
    facts->is_claimed = facts->kinds + n_slots;
    return true;
}

void facts_fini(struct facts *facts)
{
    mem_region_release(&facts->memory);
}

/* ---- lists ---- */

/* Links are below n_slots: on layer 0 there is something to see only where slots are free. */
static bool is_good_list(const struct loader *l, uint32_t slot, unsigned layer)
{
    uint32_t links[LINKS_MAX];
    size_t n = links_copy(&l->index->slots, slot, layer, links);
    bool is_good = true;
    for (size_t i = 0; i < n; i++) {
        is_good &= l->facts.heights[links[i]] > layer;
    }
    return is_good;
}

/* A sweep may have led a row's children away from it when it is dead. */
static bool claim_children(const struct loader *l, uint32_t slot)
{
    const struct facts *facts = &l->facts;
    const struct node *node = node_at(&l->index->slots, slot);
    bool is_good = true;
    for (unsigned i = node->has_parent ? 1 : 0; i < node->kept; i++) {
        uint32_t child = atomic_load_explicit(&node->links[i], memory_order_relaxed);
        if (facts->parents[child] == slot) {
            facts->is_claimed[child] = true;
        } else {
            is_good = is_good && leads_away(l, slot);
        }
    }
    return is_good;
}

static bool claim(const struct loader *l, uint32_t slot)
{
    const struct facts *facts = &l->facts;
    unsigned height = facts->heights[slot];
    if (height == 0) {
        return true;
    }
    bool is_good = leads_away(l, slot) || height <= facts->heights[l->entry];
    for (unsigned layer = l->n_rows < l->n_slots ? 0 : 1; layer < height && is_good; layer++) {
        is_good = is_good_list(l, slot, layer);
    }
    return is_good && claim_children(l, slot);
}

/* Parents are earlier, so that paths lead to all.  A sweep finds parents for rows that are torn. */
static bool look(const struct loader *l, uint32_t slot)
{
    const struct facts *facts = &l->facts;
    uint32_t parent = facts->parents[slot];
    if (facts->heights[slot] == 0 || leads_away(l, slot)) {
        return true;
    }
    if (parent == SLOT_NONE) {
        return slot == l->index->root || (facts->kinds[slot] & SAVE_TORN) != 0;
    }
    return facts->is_claimed[slot] && facts->rows[parent] < facts->rows[slot];
}

static void check_slots(struct loader *l, size_t task,
                        bool (*check)(const struct loader *l, uint32_t slot))
{
    bool is_good = true;
    size_t end = (task + 1) * CHECKED_AT_ONCE;
    end = end < l->n_slots ? end : l->n_slots;
    for (size_t slot = task * CHECKED_AT_ONCE; slot < end && is_good; slot++) {
        is_good = check(l, (uint32_t)slot);
    }
    if (!is_good) {
        atomic_store_explicit(&l->has_bad_list, true, memory_order_relaxed);
    }
}

/* ---- tasks ---- */

static void make_map(struct loader *l)
{
    struct index *index = l->index;
    if (!row_map_fill(&index->map, l->facts.rows, l->n_slots)) {
        atomic_store_explicit(&l->has_row_twice, true, memory_order_relaxed);
    }
}

static void make_map_or_claim(void *arg, size_t i)
{
    if (i == 0) {
        make_map(arg);
    } else {
        check_slots(arg, i - 1, claim);
    }
}

static void look_at_families(void *arg, size_t i)
{
    check_slots(arg, i, look);
}

static bool has_row(const struct loader *l, uint32_t slot)
{
    return slot < l->n_slots && l->facts.heights[slot] > 0;
}

enum errcode load_check(struct loader *l, struct err *err)
{
    bool has_graph = l->index->config.kind == INDEX_HNSW && l->n_rows > 0;
    if (has_graph ? !has_row(l, l->entry) : l->entry != SLOT_NONE) {
        return load_corrupt(err, "has an impossible entry point");
    }
    if (has_graph ? !has_row(l, l->index->root) : l->index->root != SLOT_NONE) {
        return load_corrupt(err, "has an impossible root");
    }
    if (!row_map_reserve(&l->index->map, &l->index->slots, l->n_rows)) {
        return err_no_memory(err);
    }
    size_t n_tasks = has_graph ? (l->n_slots + CHECKED_AT_ONCE - 1) / CHECKED_AT_ONCE : 0;
    crew_run(l->crew, 1 + n_tasks, make_map_or_claim, l);
    if (atomic_load_explicit(&l->has_row_twice, memory_order_relaxed)) {
        return load_corrupt(err, "has a row twice");
    }
    crew_run(l->crew, n_tasks, look_at_families, l);
    return atomic_load_explicit(&l->has_bad_list, memory_order_relaxed)
               ? load_corrupt(err, "has neighbours that cannot be")
               : ERR_OK;
}
