/* Walks over a layer: the greedy descent, the walk bounded by ef, and the walk that looks for rows
 * that match.
 *
 * One expanded node costs one read of its list and one call of the kernel for all its neighbours
 * that were not visited before.  The lists hide each other's latency: while the kernel runs, the
 * list of the candidate that will probably be next is on its way. */
#include "index/walk_int.h"

#include <string.h>

struct walk walk_start(const struct index *index, struct scratch *scratch, const float *query,
                       const struct index_search *search, struct index_work *work)
{
    struct walk w = {
        .index = index,
        .space = space_of_codes(index),
        .scratch = scratch,
        .search = search,
        .work = work,
        .polled_at = work->distances,
        .passes_over = search != NULL && search->passes_itself_over,
    };
    index->code->query(&w.space, query, scratch->query_code, &w.query);
    if (w.passes_over) {
        /* Equal pairs have equal keys, so this is the key of every row at the query's place. */
        struct code_space itself = w.space;
        uint8_t *row = scratch->row_code;
        index->code->encode(&itself, query, row);
        itself.rows = row;
        index->code->keys(&itself, &w.query, &(uint32_t){0}, 1, &w.key_passed_over);
    }
    return w;
}

struct walk walk_start_at_row(const struct index *index, struct scratch *scratch, uint32_t slot,
                              struct index_work *work)
{
    struct walk w = {
        .index = index,
        .space = space_of_codes(index),
        .scratch = scratch,
        .work = work,
        .polled_at = work->distances,
    };
    index->code->query_of_row(&w.space, slot, scratch->query_code, &w.query);
    return w;
}

struct candidate walk_candidate(struct walk *w, uint32_t slot)
{
    struct candidate c = {.slot = slot};
    walk_keys(w, &slot, 1, &c.key);
    return c;
}

bool walk_is_canceled(struct walk *w)
{
    if (w->search == NULL || w->search->is_canceled == NULL ||
        (w->work->distances - w->polled_at) * (POLL_FLOATS_A_ROW + w->space.dim) <
            INDEX_POLL_FLOATS) {
        return false;
    }
    w->polled_at = w->work->distances;
    return w->search->is_canceled(w->search->canceled_arg);
}

bool walk_may_return(struct walk *w, uint32_t slot)
{
    const struct slots *slots = &w->index->slots;
    if (!slot_is_live(slots, slot)) {
        return false;
    }
    if (w->search == NULL || w->search->matches == NULL) {
        return true;
    }
    w->work->filter_calls++;
    return w->search->matches(w->search->matches_arg, node_at(slots, slot)->row);
}

struct candidate walk_descend(struct walk *w, struct candidate at, unsigned from, unsigned to)
{
    const struct slots *slots = &w->index->slots;
    for (unsigned layer = from; layer >= to && layer > 0; layer--) {
        for (bool is_nearer = true; is_nearer;) {
            uint32_t links[LINKS_MAX];
            float keys[LINKS_MAX];
            size_t n = links_copy(slots, at.slot, layer, links);
            walk_keys(w, links, n, keys);
            n = walk_pass_over(w, links, keys, n);
            w->work->hops++;
            is_nearer = false;
            for (size_t i = 0; i < n; i++) {
                struct candidate c = {.key = keys[i], .slot = links[i]};
                if (candidate_is_nearer(slots, c, at)) {
                    at = c;
                    is_nearer = true;
                }
            }
        }
    }
    return at;
}

/* The neighbours of a slot that this walk sees for the first time. */
static size_t gather(struct walk *w, uint32_t slot, unsigned layer, uint32_t *out)
{
    const struct slots *slots = &w->index->slots;
    const _Atomic uint32_t *links = links_at(slots, slot, layer);
    size_t max = links_max(slots, layer), n = 0;
    for (size_t i = 0; i < max; i++) {
        uint32_t link = atomic_load_explicit(&links[i], memory_order_acquire);
        if (link == SLOT_NONE) {
            break;
        }
        if (scratch_visit(w->scratch, link)) {
            out[n++] = link;
        }
    }
    w->n_visited += n;
    w->work->hops++;
    return n;
}

static void prefetch_links(const struct slots *slots, uint32_t slot, unsigned layer)
{
    if (layer == 0) {
        const char *links = (const char *)links_at(slots, slot, 0);
        for (size_t at = 0; at < 2 * slots->m * sizeof(uint32_t); at += CACHE_LINE) {
            __builtin_prefetch(links + at);
        }
    }
}

enum errcode walk_layer(struct walk *w, unsigned layer, const struct candidate *starts,
                        size_t n_starts, size_t ef, struct err *err)
{
    const struct slots *slots = &w->index->slots;
    struct pool *near = &w->scratch->near;
    size_t n_kept = starts == near->items ? n_starts : 0;
    if (!pool_reset(near, ef) || !scratch_visit_none(w->scratch, slots->capacity)) {
        return err_no_memory(err);
    }
    near->n = n_kept < ef ? n_kept : ef;
    w->n_visited = n_starts;
    for (size_t i = 0; i < near->n; i++) {
        near->items[i].slot &= ~EXPANDED;
        scratch_visit(w->scratch, near->items[i].slot);
    }
    for (size_t i = n_kept; i < n_starts; i++) {
        scratch_visit(w->scratch, starts[i].slot);
        pool_add(near, slots, starts[i]);
    }
    for (size_t at = 0; at < near->n;) {
        if (near->items[at].slot & EXPANDED) {
            at++;
            continue;
        }
        uint32_t links[LINKS_MAX];
        float keys[LINKS_MAX];
        size_t n = gather(w, near->items[at].slot, layer, links);
        near->items[at].slot |= EXPANDED;
        if (at + 1 < near->n) {
            prefetch_links(slots, near->items[at + 1].slot & ~EXPANDED, layer);
        }
        walk_keys(w, links, n, keys);
        n = walk_pass_over(w, links, keys, n);
        size_t next = at + 1;
        for (size_t i = 0; i < n; i++) {
            if (pool_wants(near, keys[i])) {
                struct candidate c = {.key = keys[i], .slot = links[i]};
                size_t place = pool_add(near, slots, c);
                next = place < next ? place : next;
            }
        }
        at = next;
        if (walk_is_canceled(w)) {
            return err_set(err, ERR_CANCELED, "the search was canceled");
        }
    }
    return ERR_OK;
}

/* Sorts one row that the walk sees for the first time into the three pools. */
static bool take_note(struct walk *w, struct candidate c)
{
    struct scratch *s = w->scratch;
    const struct slots *slots = &w->index->slots;
    bool is_near = pool_wants(&s->near, c.key);
    if (!is_near && !pool_wants(&s->matching, c.key)) {
        return true;
    }
    if (is_near) {
        pool_add(&s->near, slots, c);
    }
    if (pool_wants(&s->matching, c.key) && walk_may_return(w, c.slot)) {
        pool_add(&s->matching, slots, c);
    }
    return heap_push(&s->frontier, slots, c);
}

enum errcode walk_matching(struct walk *w, struct candidate start, size_t n_wanted, bool *gave_up,
                           struct err *err)
{
    struct scratch *s = w->scratch;
    const struct slots *slots = &w->index->slots;
    size_t visits_max = w->search->filter_visits_max;
    *gave_up = false;
    if (!pool_reset(&s->near, w->search->ef) || !pool_reset(&s->matching, n_wanted) ||
        !pool_reset(&s->frontier, w->search->ef) || !scratch_visit_none(s, slots->capacity) ||
        !take_note(w, start)) {
        return err_no_memory(err);
    }
    scratch_visit(s, start.slot);
    w->n_visited = 1;
    while (s->frontier.n > 0) {
        struct candidate c = heap_pop(&s->frontier, slots);
        if (!pool_wants(&s->near, c.key) && !pool_wants(&s->matching, c.key)) {
            break;
        }
        if (visits_max > 0 && w->n_visited >= visits_max) {
            *gave_up = true;
            break;
        }
        uint32_t links[LINKS_MAX];
        float keys[LINKS_MAX];
        size_t n = gather(w, c.slot, 0, links);
        walk_keys(w, links, n, keys);
        n = walk_pass_over(w, links, keys, n);
        for (size_t i = 0; i < n; i++) {
            if (!take_note(w, (struct candidate){.key = keys[i], .slot = links[i]})) {
                return err_no_memory(err);
            }
        }
        if (walk_is_canceled(w)) {
            return err_set(err, ERR_CANCELED, "the search was canceled");
        }
    }
    return ERR_OK;
}
