/* Walks over a layer: the greedy descent, and the walk that keeps a beam.
 *
 * The walk is pipelined: while the codes of one node's neighbours are on their way from memory, the
 * next node is chosen and its neighbours are gathered, so each code has the time of a whole step to
 * arrive; a candidate's list is fetched as soon as it enters the beam.  One step is
 *
 *   gather the next node's unseen neighbours, prefetch their codes
 *   -> keys of the last one's neighbours -> those near enough enter the beam
 *
 * so that a node is chosen before its predecessor's neighbours are known: a few more distances, and
 * no waiting. */
#include "index/walk_int.h"

#include <string.h>

struct walk walk_start(const struct index *index, struct scratch *scratch, const float *query,
                       const struct index_search *search, struct index_work *work)
{
    struct walk w = {
        .index = index,
        .space = space_of_codes(index),
        .scratch = scratch,
        .vector = query,
        .search = search,
        .ef = search->ef,
        .work = work,
        .polled_at = work->distances,
        .from_slot = SLOT_NONE,
        .counts_hidden = atomic_load_explicit(&index->n_hidden, memory_order_relaxed) > 0,
        .passes_over = search->passes_itself_over,
    };
    double squares = code_squares(&w.space, query);
    w.norm = sqrt(squares);
    w.exact = (struct exact_query){.distance = w.space.distance,
                                   .dim = w.space.dim,
                                   .vector = query,
                                   .squares = squares}; /* COSINE has no centre. */
    index->code->query(&w.space, query, scratch->query_code, &w.query);
    if (w.passes_over) {
        /* Equal pairs have equal keys, so these are the keys of every row at the query's place. */
        const uint32_t first = 0;
        struct code_space itself = w.space;
        index->code->encode(&itself, query, scratch->row_code);
        itself.rows = scratch->row_code;
        index->code->keys(&itself, &w.query, &first, 1, &w.key_passed_over);
        struct walk exact = walk_exactly(&w);
        exact.space.rows = (const uint8_t *)query;
        exact.space.code->keys(&exact.space, &exact.query, &first, 1, &w.exact_key_passed_over);
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
        .from_slot = SLOT_NONE,
    };
    index->code->query_of_row(&w.space, slot, scratch->query_code, &w.query);
    return w;
}

struct walk walk_exactly(const struct walk *w)
{
    struct walk exact = *w;
    exact.space = space_of_vectors(w->index);
    if (exact.space.distance == DISTANCE_COSINE) {
        /* Of vectors of length 1 squares of differences are in the same order, and keep their
         * digits where vectors are nearly equal. */
        exact.space.distance = DISTANCE_L2;
    }
    exact.query = (struct code_query){.scale = 1, .data = w->vector};
    exact.key_passed_over = w->exact_key_passed_over;
    return exact;
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
    if (w->search->plan == INDEX_GIVEN) {
        return true; /* It was there when the caller named it. */
    }
    if (!slot_is_live(slots, slot)) {
        return false;
    }
    if (w->search->matches == NULL) {
        return true;
    }
    w->work->filter_calls++;
    bool matches = w->search->matches(w->search->matches_arg, node_at(slots, slot)->row);
    w->n_asked++;
    w->n_matched += matches;
    return matches;
}

bool walk_is_at_query(const struct walk *w, uint32_t slot)
{
    const float *vector = vector_at(&w->index->slots, slot);
    for (uint32_t i = 0; i < w->space.dim; i++) {
        if (vector[i] < w->vector[i] || vector[i] > w->vector[i]) {
            return false;
        }
    }
    return true;
}

/* ---- steps ---- */

/* Most codes are one line long. */
PREFETCH prefetch_codes(const struct code_space *space, const uint32_t *slots, size_t n)
{
    const uint8_t *rows = space->rows;
    size_t stride = space->stride;
    for (size_t i = 0; i < n && stride <= CACHE_LINE; i++) {
        prefetch_lines(rows + slots[i] * stride, CACHE_LINE);
    }
    for (size_t i = 0; i < n && stride > CACHE_LINE; i++) {
        prefetch_row(rows + slots[i] * stride, stride);
    }
}

struct walk_batch walk_gather(struct walk *w, unsigned layer, uint32_t slot)
{
    struct scratch *s = w->scratch;
    const struct slots *slots = &w->index->slots;
    const _Atomic uint32_t *links =
        layer == 0 ? links0_at(slots, slot) : links_at(slots, slot, layer);
    uint64_t *visited = s->visited;
    uint32_t *out = scratch_batch(s);
    size_t max = links_max(slots, layer), n = 0;
    for (size_t i = 0; i < max; i++) {
        uint32_t link = atomic_load_explicit(&links[i], memory_order_acquire);
        /* Behind its end a list leads to itself, which was seen: no branch to be guessed wrong. */
        link = link == SLOT_NONE ? slot : link;
        out[n] = link;
        n += visited_mark(visited, link);
    }
    prefetch_codes(&w->space, out, n);
    scratch_seen(s, n);
    w->n_visited += n;
    w->work->hops++;
    return (struct walk_batch){.slots = out, .n = n};
}

size_t walk_take_near(struct walk *w, struct walk_batch batch, float limit, float *keys,
                      uint8_t *near)
{
    walk_keys(w, batch.slots, batch.n, keys);
    return w->scratch->beam.fns->within(keys, batch.n, limit, near);
}

struct candidate walk_descend(struct walk *w, struct candidate at, unsigned from, unsigned to)
{
    const struct slots *slots = &w->index->slots;
    for (unsigned layer = from; layer >= to && layer > 0; layer--) {
        for (bool is_nearer = true; is_nearer;) {
            uint32_t links[LINKS_MAX];
            float keys[LINKS_MAX];
            size_t n = links_copy(slots, at.slot, layer, links);
            prefetch_codes(&w->space, links, n);
            walk_keys(w, links, n, keys);
            w->work->hops++;
            is_nearer = false;
            for (size_t i = 0; i < n; i++) {
                struct candidate c = {.key = keys[i], .slot = links[i]};
                if (candidate_is_nearer(slots, c, at) && !walk_passes_over(w, c.slot, c.key)) {
                    at = c;
                    is_nearer = true;
                }
            }
        }
    }
    return at;
}

/* ---- the walk ---- */

/* One of the nearest that is hidden makes room for one that is not. */
static uint32_t expand_next(struct walk *w)
{
    struct beam *beam = &w->scratch->beam;
    uint32_t slot = beam->slots[beam->next];
    beam->slots[beam->next] |= EXPANDED;
    if (w->counts_hidden && beam->next < beam->rule.rank && !slot_is_live(&w->index->slots, slot)) {
        beam_look_farther(beam);
    }
    return slot;
}

static void take_batch(struct walk *w, unsigned layer, struct walk_batch batch)
{
    struct beam *beam = &w->scratch->beam;
    float keys[LINKS_MAX + BEAM_SLACK];
    uint8_t near[LINKS_MAX];
    size_t n = walk_take_near(w, batch, beam_limit(beam), keys, near);
    /* One of them may be the very next: its list has a head start while the others are added. */
    for (size_t i = 0; i < n; i++) {
        walk_prefetch_node(w, layer, batch.slots[near[i]]);
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = batch.slots[near[i]];
        if (!walk_passes_over(w, slot, keys[near[i]])) {
            (void)beam_add(beam, &w->index->slots, keys[near[i]], slot);
        }
    }
}

enum errcode walk_beam(struct walk *w, unsigned layer, const struct stop_rule *rule,
                       const struct candidate *starts, size_t n_starts, struct err *err)
{
    struct scratch *s = w->scratch;
    struct beam *beam = &s->beam;
    if (!beam_reserve(beam, rule->max) || !scratch_visit_none(s, w->index->slots.capacity)) {
        return err_no_memory(err);
    }
    beam_start(beam, rule);
    for (size_t i = 0; i < n_starts; i++) {
        if (scratch_visit(s, starts[i].slot)) {
            (void)beam_add(beam, &w->index->slots, starts[i].key, starts[i].slot);
        }
    }
    w->n_visited = n_starts;
    for (struct walk_batch last = {.n = 0};;) {
        struct walk_batch next = {.n = 0};
        bool is_more = beam_next(beam) < beam->n;
        if (is_more) {
            next = walk_gather(w, layer, expand_next(w));
        } else if (last.n == 0) {
            return ERR_OK;
        }
        take_batch(w, layer, last);
        last = next;
        if (walk_is_canceled(w)) {
            return err_set(err, ERR_CANCELED, "the search was canceled");
        }
    }
}

enum errcode walk_layer(struct walk *w, unsigned layer, const struct candidate *starts,
                        size_t n_starts, size_t ef, struct err *err)
{
    struct pool *near = &w->scratch->near;
    struct stop_rule rule = stop_by_rank(ef);
    enum errcode code = walk_beam(w, layer, &rule, starts, n_starts, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct beam *beam = &w->scratch->beam;
    if (!pool_reset(near, ef)) {
        return err_no_memory(err);
    }
    near->n = beam->n;
    for (size_t i = 0; i < beam->n; i++) {
        near->items[i] =
            (struct candidate){.key = beam->keys[i], .slot = beam->slots[i] & ~EXPANDED};
    }
    return ERR_OK;
}
