/* A search: the tail exactly, then the graph; or every row.
 *
 *   index_search -> search_walk  -> scan_tail, walk_descend, walk_layer or walk_matching, merge
 *                \> search_exact -> scan_slots
 *
 * The tail is read before the graph.  A row that is linked meanwhile is found in both, and counted
 * once; a row that had left the tail before is in the graph.  So no row is missed. */
#include "index/walk_int.h"

#include <string.h>

/* A growing batch of rows whose keys are asked for together. */
struct batch {
    uint32_t slots[BATCH];
    size_t n;
};

/* The rows of the batch, into the pool of the nearest that may be returned. */
static void batch_flush(struct walk *w, struct batch *batch, struct pool *nearest)
{
    float keys[BATCH];
    walk_keys(w, batch->slots, batch->n, keys);
    size_t n = walk_pass_over(w, batch->slots, keys, batch->n);
    for (size_t i = 0; i < n; i++) {
        struct candidate c = {.key = keys[i], .slot = batch->slots[i]};
        if (pool_wants(nearest, c.key) && walk_may_return(w, c.slot)) {
            pool_add(nearest, &w->index->slots, c);
        }
    }
    batch->n = 0;
}

static enum errcode scan_slots(struct walk *w, struct pool *nearest, struct err *err)
{
    const struct slots *slots = &w->index->slots;
    uint32_t n_used = atomic_load_explicit(&slots->n_used, memory_order_acquire);
    struct batch batch = {.n = 0};
    for (uint32_t slot = 0; slot < n_used; slot++) {
        if (slot_is_live(slots, slot)) {
            batch.slots[batch.n++] = slot;
        }
        if (batch.n == BATCH || slot + 1 == n_used) {
            batch_flush(w, &batch, nearest);
            if (walk_is_canceled(w)) {
                return err_set(err, ERR_CANCELED, "the search was canceled");
            }
        }
    }
    return ERR_OK;
}

static enum errcode scan_tail(struct walk *w, struct queue *queue, struct pool *nearest,
                              struct err *err)
{
    struct queue_cursor cursor = queue_scan(queue);
    struct batch batch = {.n = 0};
    for (const struct op *op = queue_next(&cursor); op != NULL; op = queue_next(&cursor)) {
        if (op->kind == OP_INSERT) {
            batch.slots[batch.n++] = op->slot;
            w->work->tail_rows++;
        }
        if (batch.n == BATCH) {
            batch_flush(w, &batch, nearest);
            if (walk_is_canceled(w)) {
                return err_set(err, ERR_CANCELED, "the search was canceled");
            }
        }
    }
    batch_flush(w, &batch, nearest);
    return ERR_OK;
}

/* Both sorted; a slot that stands in both stands at the same place of the order. */
static size_t merge_hits(const struct walk *w, const struct pool *a, const struct pool *b,
                         struct index_hit *hits)
{
    const struct slots *slots = &w->index->slots;
    size_t n = 0, i = 0, j = 0;
    while (n < w->search->k && (i < a->n || j < b->n)) {
        struct candidate c;
        if (j == b->n || (i < a->n && !candidate_is_nearer(slots, b->items[j], a->items[i]))) {
            c = a->items[i++];
        } else {
            c = b->items[j++];
        }
        uint32_t slot = c.slot & ~EXPANDED;
        uint64_t row = node_at(slots, slot)->row;
        if (slot_is_live(slots, slot) && (n == 0 || hits[n - 1].row != row)) {
            hits[n++] =
                (struct index_hit){.row = row,
                                   .label = node_at(slots, slot)->label,
                                   .distance = distance_of_key(w->index->config.distance, c.key)};
        }
    }
    return n;
}

static enum errcode search_exact(struct walk *w, struct index_hit *hits, size_t *n_hits,
                                 struct err *err)
{
    static const struct pool none = {.items = NULL};
    struct pool *nearest = &w->scratch->near;
    if (!pool_reset(nearest, w->search->k)) {
        return err_no_memory(err);
    }
    enum errcode code = scan_slots(w, nearest, err);
    if (code == ERR_OK) {
        *n_hits = merge_hits(w, nearest, &none, hits);
    }
    return code;
}

static enum errcode search_walk(struct walk *w, struct index *index, struct index_hit *hits,
                                size_t *n_hits, struct err *err)
{
    const struct index_search *search = w->search;
    struct scratch *s = w->scratch;
    size_t n_rows = atomic_load_explicit(&index->n_linked, memory_order_relaxed);
    bool has_filter = search->matches != NULL;
    bool is_sifting =
        has_filter || atomic_load_explicit(&index->n_hidden, memory_order_relaxed) > 0;
    struct pool *found = is_sifting ? &s->matching : &s->near;
    if (!pool_reset(&s->tail, search->k)) {
        return err_no_memory(err);
    }
    found->n = 0;
    enum errcode code = scan_tail(w, &index->queue, &s->tail, err);
    uint32_t entry = atomic_load_explicit(&index->entry, memory_order_acquire);
    bool gave_up = false;
    if (code == ERR_OK && entry != SLOT_NONE) {
        struct candidate start = walk_candidate(w, entry);
        start = walk_descend(w, start, node_at(&index->slots, entry)->level, 1);
        /* Twice k rows that match, so that the farthest of the first k is as sure as the others. */
        code = is_sifting ? walk_matching(w, start, 2 * search->k, &gave_up, err)
                          : walk_layer(w, 0, &start, 1, search->ef, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    *n_hits = merge_hits(w, found, &s->tail, hits);
    if (*n_hits == search->k) {
        return ERR_OK;
    }
    if (has_filter) {
        /* Rows that no path leads to may match, too: the caller decides what a scan is worth. */
        w->work->is_complete = !gave_up && w->n_visited >= n_rows;
        return ERR_OK;
    }
    bool is_short = *n_hits < index_count(index);
    return is_short ? search_exact(w, hits, n_hits, err) : ERR_OK;
}

enum errcode index_search(struct index *index, const struct index_search *search,
                          struct index_hit *hits, size_t *n_hits, struct index_work *work,
                          struct err *err)
{
    CHECK(search->k > 0 && (search->plan == INDEX_EXACT || search->ef >= search->k));
    *n_hits = 0;
    work->is_complete = true;
    struct scratch *scratch = scratch_for(index, err);
    if (scratch == NULL) {
        return ERR_OUT_OF_MEMORY;
    }
    const struct index_config *config = &index->config;
    float *query = scratch->query;
    enum errcode code = vector_prepare(config->distance, config->dim, search->query, query, err);
    if (code != ERR_OK) {
        return code;
    }
    unsigned place = epoch_enter(&index->epochs, scratch->place_hint);
    struct walk w = walk_start(index, scratch, query, search, work);
    bool is_exact = search->plan == INDEX_EXACT || config->kind == INDEX_FLAT;
    code =
        is_exact ? search_exact(&w, hits, n_hits, err) : search_walk(&w, index, hits, n_hits, err);
    epoch_leave(&index->epochs, place);
    return code;
}
