/* A search: the tail exactly, then the graph; or every row.
 *
 *   index_search -> search_walk -> scan_tail
 *                \              -> walk_codes -> walk_descend, walk_beam or walk_matching, rerank
 *                 \             -> walk_vectors, where codes cannot rank
 *                  > search_exact -> scan_slots, or search_given (given.c)
 *
 * The tail is read before the graph.  A row that is linked meanwhile is found in both, and counted
 * once; a row that had left the tail before is in the graph.  So no row is missed.
 *
 * What a walk found by its codes is looked at exactly as far as the codes may be wrong (look.c).
 * Where they are too coarse for that - a quarter of a cluster lies within their error - a second
 * walk goes on over the exact vectors, from the nearest that the first one found.
 *
 * Where what was found lies together and far from the query, the walk may have ended in the wrong
 * one of several far clusters: then the upper layers are asked for more places to begin at.
 *
 * ef is good for queries like those that it was measured with.  One that lies much farther from all
 * rows tells so by what its walk has found, whatever of that is right, and takes more. */
#include "index/walk_int.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    RANK_MIN = 10,         /* What is searched for so that the first k are sure. */
    SURE_SHARE = 4,        /* ef / 4 are kept wherever they are, */
    KEPT_SHARE = 4,        /* and 4 ef at most. */
    HIDDEN_SHARE = 4,      /* So many of the nearest may be hidden. */
    RERANK_BATCH = 16,     /* Vectors that are on their way at once. */
    CROWD = 64,            /* So many rows within the codes' error are too many to look at. */
    DENSE_SHARE = 4,       /* Among many such rows so many times more are looked at, at most. */
    SQUARES_IN_A_KEY = 4,  /* Of the longest distance between two rows of one length. */
    UPPER_EF = 24,         /* Starts that the upper layers give to a second walk. */
    TOGETHER = 5,          /* Of RANK_MIN or more: a filter may leave less than all of a cluster. */
    EF_LOST = 160,         /* Of a walk that looks for the query's cluster. */
    ALIKE_RANKS = 25,      /* So many times the rank are looked at in any case of doubt. */
    EF_TIMES = 2,          /* Where somewhat fewer rows match near the query, at least. */
    EXACT_SLOTS_A_ROW = 4, /* A scan of few rows may pass so many empty slots for each. */
};
_Static_assert((int)TOGETHER == (int)INDEX_REACH_ROWS, "a search tells both by the same rows");

/* How much of the codes' error is too much: for the rank-th, and for the crowd beside it.  Fitted
 * on word vectors, where both are rare, and on shapes where nearly all rows are one cluster: keys
 * of equal rows lie 0.4 (of a million) to 1 (of 300) apart there, those of uniform rows in 128
 * dimensions 1.3 to 2.  From there to DENSE_SIGMAS more is looked at exactly, and not walked. */
static const double FAR_SIGMAS = 2.2, CROWD_SIGMAS = 1, DENSE_SIGMAS = 1.5;
/* As far as this from a dense crowd's rank-th. */
static const float DEEP_SIGMAS = 2;
/* So many times as far from the query as from each other are rows of another cluster. */
static const double ASTRAY_RATIO = 4, LOST_RATIO = 64;
/* So many times the square of the reach is beyond it: of 3,000 held-out queries each of words,
 * sentences and a mixture none is, whether stored rows or the first 512 were measured. */
static const double BEYOND = 2;
/* Under DOT, where the nearest may have a square of 0: so much more, of the usual length's square.
 * One of 3,000 held-out queries of words is; with half of it six of 1,000 would be. */
static const double BEYOND_LENGTH = 0.25;
/* A long row is near to all queries, whichever way they go: so under DOT the angle tells, too.  Of
 * queries twice as far as the measured ones from the middle of their cluster a half is beyond this,
 * of 512 held-out ones each of words, uniform rows and a gamma distribution none. */
static const double BEYOND_ANGLE = 1.5;
static const double ANGLE_ROUNDING = 1e-12;
/* As far as this from the rank-th of rows that match. */
static const float ALIKE_SIGMAS = 3;

/* Of a distance, and of each dimension of it.  Measured on 2,000 to 60,000 rows of 3 to 768
 * dimensions: right within a third but for ef above some hundreds, where the beam costs more. */
static const double WALK_NS = 15, WALK_FLOAT_NS = 0.08, SCAN_NS = 3, SCAN_FLOAT_NS = 0.16;

/* What a product of unit vectors in 32 bits may be wrong by. */
static const float COSINE_ERROR_MIN = 4 * FLT_EPSILON;

double index_walk_ns(uint32_t dim)
{
    return WALK_NS + WALK_FLOAT_NS * dim;
}

double index_scan_ns(uint32_t dim)
{
    return SCAN_NS + SCAN_FLOAT_NS * dim;
}

/* ---- scans ---- */

static enum errcode scan_batch(struct walk *w, struct hits *hits, const uint32_t *slots, size_t n,
                               struct err *err)
{
    look_at(w, hits, slots, n, true);
    w->work->distances += n;
    return walk_is_canceled(w) ? err_set(err, ERR_CANCELED, "the search was canceled") : ERR_OK;
}

static enum errcode scan_slots(struct walk *w, struct hits *hits, struct err *err)
{
    const struct slots *slots = &w->index->slots;
    uint32_t n_used = atomic_load_explicit(&slots->n_used, memory_order_acquire);
    uint32_t batch[BATCH];
    size_t n = 0;
    for (uint32_t slot = 0; slot < n_used; slot++) {
        if (slot_is_live(slots, slot)) {
            batch[n++] = slot;
        }
        if (n == BATCH || slot + 1 == n_used) {
            enum errcode code = scan_batch(w, hits, batch, n, err);
            if (code != ERR_OK) {
                return code;
            }
            n = 0;
        }
    }
    return ERR_OK;
}

static enum errcode scan_tail(struct walk *w, struct queue *queue, struct hits *hits,
                              struct err *err)
{
    struct queue_cursor cursor = queue_scan(queue);
    uint32_t batch[BATCH];
    size_t n = 0;
    for (const struct op *op = queue_next(&cursor);; op = queue_next(&cursor)) {
        if (op != NULL && op->kind == OP_INSERT) {
            batch[n++] = op->slot;
            w->work->tail_rows++;
        }
        if (n == BATCH || op == NULL) {
            enum errcode code = scan_batch(w, hits, batch, n, err);
            if (code != ERR_OK || op == NULL) {
                return code;
            }
            n = 0;
        }
    }
}

/* ---- the end ---- */

/* A row that stands in both stands at the same place of the order. */
static size_t merge_hits(struct scratch *s, const struct index_search *search,
                         struct index_hit *out)
{
    struct hits *a = &s->found, *b = &s->tail;
    size_t n = 0, i = 0, j = 0;
    hits_sort(a);
    hits_sort(b);
    while (n < search->k && (i < a->n || j < b->n)) {
        struct index_hit hit;
        if (j == b->n || (i < a->n && !hit_is_nearer(search, &b->items[j].row, &a->items[i].row))) {
            hit = a->items[i++].row;
        } else {
            hit = b->items[j++].row;
        }
        if (n == 0 || out[n - 1].row != hit.row) {
            out[n++] = hit;
        }
    }
    return n;
}

static enum errcode search_exact(struct walk *w, struct index *index, struct index_hit *hits,
                                 size_t *n_hits, struct err *err)
{
    struct scratch *s = w->scratch;
    if (!hits_start(&s->found, w->search, w->search->k) || !hits_start(&s->tail, w->search, 0)) {
        return err_no_memory(err);
    }
    enum errcode code = w->search->plan == INDEX_GIVEN ? search_given(w, index, err)
                                                       : scan_slots(w, &s->found, err);
    if (code == ERR_OK) {
        *n_hits = merge_hits(s, w->search, hits);
    }
    return code;
}

/* ---- walks ---- */

static size_t rank_of(const struct index_search *search)
{
    return search->k > RANK_MIN ? search->k : RANK_MIN;
}

/* By how much a key may be wrong: a standard error, at rows as long as @norm. */
static float sigma_of(const struct walk *w, float norm)
{
    float error = w->space.code->error(w->space.dim, w->space.distance);
    if (w->space.distance == DISTANCE_COSINE && error < COSINE_ERROR_MIN) {
        error = COSINE_ERROR_MIN;
    }
    float of_product = error * (float)w->norm * norm;
    return w->space.distance == DISTANCE_L2 ? 2 * of_product : of_product;
}

/* Under DOT as if rows were linked by the long radius, whichever they are linked by: what a query
 * asks for does not depend on it. */
static float usual_length(const struct walk *w)
{
    return atomic_load_explicit(&w->index->length_usual, memory_order_relaxed);
}

/* ef is the one knob: how far beyond the rank-th is looked, and how much at least and at most. */
static struct stop_rule rule_of(const struct walk *w)
{
    size_t ef = w->ef, rank = rank_of(w->search);
    bool is_dot = w->space.distance == DISTANCE_DOT;
    float gamma = 0.07F * logf((float)ef / 7);
    float norm = (float)w->norm, norm_usual = is_dot ? usual_length(w) : norm;
    struct stop_rule rule = {
        .rank = rank,
        .sure = ef / SURE_SHARE,
        .max = ef * KEPT_SHARE,
        .gamma = gamma > 0.01F ? gamma : 0.01F,
        .shift = is_dot ? usual_length(w) * norm : (w->space.distance == DISTANCE_COSINE ? 1 : 0),
        .spread = sigma_of(w, norm_usual),
    };
    rule.sure = rule.sure > rank ? rule.sure : rank;
    rule.max = rule.max > rule.sure ? rule.max : rule.sure;
    return rule;
}

/* A crowd of rows lies within so many standard errors beside the rank-th. */
static bool is_crowded(const struct walk *w, size_t rank, double sigmas, double sigma)
{
    const struct beam *beam = &w->scratch->beam;
    size_t crowd = rank * CROWD / RANK_MIN;
    return beam->n >= crowd &&
           (double)(beam->keys[crowd - 1] - beam->keys[rank - 1]) < sigmas * sigma;
}

/* How many of the beam are looked at exactly. */
static size_t depth_of(const struct walk *w)
{
    const struct beam *beam = &w->scratch->beam;
    size_t rank = rank_of(w->search), n = beam->n;
    if (w->search->rerank_depth > 0) {
        return w->search->rerank_depth > rank ? w->search->rerank_depth : rank;
    }
    unsigned bits = w->space.code->bits;
    size_t depth = bits == 2 ? 2 * rank + n / 4 : rank + rank * 2 / 5 + n / (bits == 4 ? 8 : 32);
    if (is_crowded(w, rank, DENSE_SIGMAS, (double)beam->rule.spread)) {
        size_t most = depth * DENSE_SHARE < n ? depth * DENSE_SHARE : n;
        float far = beam->keys[rank - 1] + DEEP_SIGMAS * beam->rule.spread;
        while (depth < most && beam->keys[depth] < far) {
            depth++;
        }
    }
    return depth;
}

/* Where few rows match they may lie far away, all within the codes' error of each other: as many as
 * cannot be told from the rank-th are looked at, too. */
static size_t depth_among_matches(const struct walk *w)
{
    const struct beam *beam = &w->scratch->beam;
    size_t rank = rank_of(w->search), depth = depth_of(w), n = beam->n, max = ALIKE_RANKS * rank;
    if (w->search->rerank_depth > 0 || n <= rank) {
        return depth;
    }
    float limit = beam->keys[rank - 1] + ALIKE_SIGMAS * beam->rule.spread;
    while (depth < n && depth < max && beam->keys[depth] <= limit) {
        depth++;
    }
    return depth;
}

/* Whether a row of the beam is to be looked at. */
static bool is_wanted(const struct walk *w, uint32_t slot)
{
    return slot != w->from_slot && (!w->counts_hidden || slot_is_live(&w->index->slots, slot));
}

/* The nearest of the beam, into the hits. */
static void rerank(struct walk *w, bool is_asked)
{
    struct scratch *s = w->scratch;
    const struct beam *beam = &s->beam;
    const struct slots *slots = &w->index->slots;
    size_t depth = is_asked ? depth_among_matches(w) : depth_of(w);
    size_t n_looked = 0, n = 0;
    uint32_t batch[BATCH];
    for (size_t i = 0; i < beam->n && n_looked < depth; i++) {
        uint32_t slot = beam->slots[i] & ~EXPANDED;
        if (!is_wanted(w, slot)) {
            continue;
        }
        prefetch_row(vector_at(slots, slot), w->space.dim * sizeof(float));
        __builtin_prefetch(node_at(slots, slot));
        batch[n++] = slot;
        n_looked++;
        if (n == RERANK_BATCH) {
            look_at(w, &s->found, batch, n, !is_asked);
            n = 0;
        }
    }
    look_at(w, &s->found, batch, n, !is_asked);
    w->work->reranked += n_looked;
}

/* Walks layer 0 by the search's rule, and looks at what was found. */
static enum errcode walk_and_rerank(struct walk *w, const struct candidate *starts, size_t n_starts,
                                    bool is_sifting, bool *gave_up, struct err *err)
{
    struct scratch *s = w->scratch;
    struct stop_rule rule = rule_of(w);
    if (!hits_start(&s->found, w->search, rule.rank)) {
        return err_no_memory(err);
    }
    enum errcode code = is_sifting ? walk_matching(w, &rule, starts, n_starts, gave_up, err)
                                   : walk_beam(w, 0, &rule, starts, n_starts, err);
    if (code == ERR_OK) {
        if (w->from_slot != SLOT_NONE) {
            look_at(w, &s->found, &w->from_slot, 1, true);
        }
        rerank(w, is_sifting);
    }
    return code;
}

/* A distance on the scale of the walk's rule. */
static double key_of(const struct walk *w, double distance)
{
    switch (w->space.distance) {
    case DISTANCE_L2:
        return distance * distance;
    case DISTANCE_DOT:
        return distance + (double)usual_length(w) * w->norm;
    case DISTANCE_COSINE:
    default:
        return distance;
    }
}

/* The codes' error is too large for what is near the query: the rank-th lies within it, or a crowd
 * does beside the rank-th. */
static bool is_blind(const struct walk *w)
{
    const struct scratch *s = w->scratch;
    size_t rank = s->found.max;
    if (s->found.n < rank) {
        return false;
    }
    const struct hit *last = &s->found.items[0];
    const float *vector = vector_at(&w->index->slots, last->slot);
    bool is_cosine = w->space.distance == DISTANCE_COSINE; /* All are as long. */
    double norm = is_cosine ? w->norm : sqrt(code_squares(&w->space, vector));
    double sigma = (double)sigma_of(w, (float)norm), distance = last->row.distance;
    if (sigma <= 0) {
        return false;
    }
    return key_of(w, distance) < FAR_SIGMAS * sigma || is_crowded(w, rank, CROWD_SIGMAS, sigma);
}

/* The square of how far from the query a row at @distance is, where rows are compared as such. */
static double square_of(const struct walk *w, double distance)
{
    switch (w->space.distance) {
    case DISTANCE_L2:
        return distance * distance;
    case DISTANCE_DOT: /* Of the query made as long as all rows of the reduction are. */
        return 2 * (double)usual_length(w) / w->norm * key_of(w, distance);
    case DISTANCE_COSINE:
    default:
        return 2 * distance;
    }
}

/* The nearest few of the hits that were found, in order. */
static void nearest_of(const struct hits *found, const struct hit *near[TOGETHER])
{
    size_t n = 0;
    for (size_t i = 0; i < found->n; i++) {
        const struct hit *hit = &found->items[i];
        size_t at = n;
        for (; at > 0 && hit->row.distance < near[at - 1]->row.distance; at--) {
            if (at < TOGETHER) {
                near[at] = near[at - 1];
            }
        }
        if (at < TOGETHER) {
            near[at] = hit;
            n += n < TOGETHER;
        }
    }
}

/* The nearest that were found lie together, and far from the query: others may lie nearer
 * elsewhere.  Copies of one row are no cluster. */
static bool is_astray(const struct walk *w, double ratio)
{
    const struct hits *found = &w->scratch->found;
    const struct hit *near[TOGETHER];
    if (found->n < found->max || w->norm <= 0) {
        return false;
    }
    nearest_of(found, near);
    struct code_space pairs = space_of_pairs(w->index);
    struct code_query query;
    float between;
    pairs.code->query_of_row(&pairs, near[0]->slot, NULL, &query);
    pairs.code->keys(&pairs, &query, &near[TOGETHER - 1]->slot, 1, &between);
    return between > 0 && (double)between * ratio * ratio < square_of(w, near[0]->row.distance);
}

/* How far the nearest row lies that was met; INFINITY where that is not known. */
static double nearest_met(const struct walk *w, bool is_sifting)
{
    const struct hits *found = &w->scratch->found;
    double nearest = INFINITY;
    if (is_sifting && w->nearest.slot != SLOT_NONE) {
        return exact_distance_to(&w->exact, vector_at(&w->index->slots, w->nearest.slot));
    }
    for (size_t i = 0; i < found->n; i++) {
        nearest = fmin(nearest, found->items[i].row.distance);
    }
    return nearest;
}

/* 1 - cos to the one of the rows near to the query that lies most in its direction. */
static double least_angle(const struct walk *w, bool is_sifting)
{
    const struct hits *found = &w->scratch->found;
    const struct slots *slots = &w->index->slots;
    const struct hit *near[TOGETHER], met = {.slot = w->nearest.slot};
    size_t n = found->n < TOGETHER ? found->n : TOGETHER;
    double least = INFINITY;
    nearest_of(found, near);
    if (is_sifting && w->nearest.slot != SLOT_NONE) {
        near[0] = &met;
        n = 1;
    }
    struct exact_query direction = exact_query_of(DISTANCE_COSINE, w->vector, w->space.dim);
    for (size_t i = 0; i < n; i++) {
        least = fmin(least, exact_distance_to(&direction, vector_at(slots, near[i]->slot)));
    }
    return least;
}

/* The query is unlike those that ef was chosen for. */
static bool is_beyond(const struct walk *w, bool is_sifting)
{
    const struct index_search *search = w->search;
    double nearest = search->has_reach && w->norm > 0 ? nearest_met(w, is_sifting) : INFINITY;
    if (isinf(nearest)) {
        return false;
    }
    double square = square_of(w, nearest);
    if (w->space.distance == DISTANCE_DOT) {
        double usual = (double)usual_length(w);
        double far = square_of(w, search->reach.distance * w->norm);
        return square > far + BEYOND_LENGTH * usual * usual ||
               least_angle(w, is_sifting) > BEYOND_ANGLE * search->reach.angle + ANGLE_ROUNDING;
    }
    return square > BEYOND * square_of(w, search->reach.distance);
}

/* Where a second walk begins: what the first one found, and what the upper layers lead to, in
 * scratch->matching. */
static enum errcode more_starts(struct walk *w, size_t upper_ef, struct err *err)
{
    struct scratch *s = w->scratch;
    const struct slots *slots = &w->index->slots;
    struct candidate entry =
        walk_candidate(w, atomic_load_explicit(&w->index->entry, memory_order_acquire));
    const struct candidate *starts = &entry;
    size_t n_starts = 1;
    for (unsigned layer = node_at(slots, entry.slot)->level; layer > 0; layer--) {
        enum errcode code = walk_layer(w, layer, starts, n_starts, upper_ef, err);
        if (code != ERR_OK) {
            return code;
        }
        starts = s->near.items;
        n_starts = s->near.n;
    }
    if (!pool_reset(&s->matching, n_starts + s->found.n)) {
        return err_no_memory(err);
    }
    memcpy(s->matching.items, starts, n_starts * sizeof(*starts));
    for (size_t i = 0; i < s->found.n; i++) {
        s->matching.items[n_starts + i] = walk_candidate(w, s->found.items[i].slot);
    }
    s->matching.n = n_starts + s->found.n;
    return ERR_OK;
}

/* Rows of the upper layers that the first walk should have found. */
static bool is_any_nearer(const struct walk *w)
{
    const struct scratch *s = w->scratch;
    const struct pool *starts = &s->matching;
    size_t n_upper = starts->n - s->found.n;
    float limit = -INFINITY;
    for (size_t i = n_upper; i < starts->n; i++) {
        limit = fmaxf(limit, starts->items[i].key);
    }
    for (size_t i = 0; i < n_upper; i++) {
        bool is_new = starts->items[i].key < limit;
        for (size_t j = n_upper; j < starts->n && is_new; j++) {
            is_new = starts->items[j].slot != starts->items[i].slot;
        }
        if (is_new) {
            return true;
        }
    }
    return false;
}

/* Looks for a nearer cluster: from the upper layers, and where they know of none, all around, and
 * on the upper layers as far as ef allows.  What lies around may be one cluster after the other
 * that is farther: under DOT a long one is nearest from quite another direction. */
static enum errcode walk_astray(struct walk *w, bool is_sifting, bool *gave_up, struct err *err)
{
    const struct pool *starts = &w->scratch->matching;
    enum errcode code = more_starts(w, UPPER_EF, err);
    if (code == ERR_OK && is_any_nearer(w)) {
        code = walk_and_rerank(w, starts->items, starts->n, is_sifting, gave_up, err);
    }
    if (code != ERR_OK || !is_astray(w, LOST_RATIO)) {
        return code;
    }
    if (w->ef > UPPER_EF) {
        code = more_starts(w, w->ef, err);
    }
    if (code == ERR_OK) {
        w->ef = w->ef < EF_LOST ? EF_LOST : w->ef;
        code = walk_and_rerank(w, starts->items, starts->n, is_sifting, gave_up, err);
    }
    return code;
}

static enum errcode walk_vectors(struct walk *w, bool is_sifting, bool *gave_up, struct err *err)
{
    struct walk exact = walk_exactly(w);
    w->work->exact_walks++;
    const struct pool *starts = &w->scratch->matching;
    enum errcode code = more_starts(&exact, UPPER_EF, err);
    if (code == ERR_OK) {
        code = walk_and_rerank(&exact, starts->items, starts->n, is_sifting, gave_up, err);
    }
    w->n_visited = exact.n_visited;
    w->nearest = exact.nearest;
    w->polled_at = exact.polled_at;
    return code;
}

/* Where few of the rows that a walk meets match, as around a hole, it meets many. */
static bool is_scan_cheaper(const struct walk *w)
{
    uint32_t dim = w->space.dim;
    double more = (double)w->search->ef_beyond / (double)w->ef;
    return (double)w->n_visited * more * index_walk_ns(dim) >
           (double)index_count(w->index) * index_scan_ns(dim);
}

/* With what a query takes of which nothing is known. */
static enum errcode walk_beyond(struct walk *w, bool is_sifting, bool *gave_up, struct err *err)
{
    const struct pool *starts = &w->scratch->matching;
    w->work->beyond++;
    if (w->search->ef_beyond == 0 || (is_sifting && is_scan_cheaper(w))) {
        *gave_up = true;
        return ERR_OK;
    }
    w->ef = w->ef < w->search->ef_beyond ? w->search->ef_beyond : w->ef;
    enum errcode code = more_starts(w, UPPER_EF, err);
    if (code == ERR_OK) {
        code = walk_and_rerank(w, starts->items, starts->n, is_sifting, gave_up, err);
    }
    return code == ERR_OK && is_blind(w) ? walk_vectors(w, is_sifting, gave_up, err) : code;
}

/* Many of the nearest are hidden: what lies behind them was not looked for from the beginning. */
static bool is_among_hidden(const struct walk *w)
{
    const struct scratch *s = w->scratch;
    size_t rank = s->found.max, n_hidden = s->beam.rule.rank - rank;
    return w->counts_hidden && (s->found.n < w->search->k || n_hidden > rank / HIDDEN_SHARE);
}

/* What walks reckon with falls below the range of 32 bits: the square of a distance; an inner
 * product, or that of two rows, by which they are linked.  Or, of these, it may lie above. */
static bool is_lost(const struct walk *w, double distance)
{
    double least = w->space.dim * (double)FLT_MIN, usual;
    switch (w->space.distance) {
    case DISTANCE_L2:
        return distance > 0 && distance * distance < least;
    case DISTANCE_DOT:
        usual = (double)usual_length(w);
        return distance != 0 && (usual * fmin(usual, w->norm) < least ||
                                 SQUARES_IN_A_KEY * usual * usual > (double)FLT_MAX);
    case DISTANCE_COSINE:
    default:
        return false; /* Of directions. */
    }
}

/* Distances of the nearest leave the range of 32 bits: no walk knows where they are. */
static bool is_out_of_range(const struct walk *w)
{
    const struct scratch *s = w->scratch;
    if (s->found.n == 0) {
        return false;
    }
    size_t last = s->beam.n < s->found.max ? s->beam.n : s->found.max;
    return is_lost(w, s->found.items[0].row.distance) ||
           (last > 0 && (s->beam.keys[0] < -FLT_MAX || s->beam.keys[last - 1] > FLT_MAX));
}

/* With the ef that was asked for. */
static enum errcode walk_from(struct walk *w, const struct candidate *starts, size_t n_starts,
                              bool is_sifting, bool *gave_up, struct err *err)
{
    enum errcode code = walk_and_rerank(w, starts, n_starts, is_sifting, gave_up, err);
    if (code == ERR_OK && is_blind(w)) {
        return walk_vectors(w, is_sifting, gave_up, err);
    }
    if (code == ERR_OK && is_astray(w, ASTRAY_RATIO)) {
        return walk_astray(w, is_sifting, gave_up, err);
    }
    return code;
}

/* Again with more effort, where other shares of the rows near the query match than those for which
 * ef was chosen; *is_sparse where that much fewer do that more effort is a guess. */
static enum errcode walk_as_dense(struct walk *w, const struct candidate *starts, size_t n_starts,
                                  bool *gave_up, bool *is_sparse, struct err *err)
{
    enum density density = density_of_matches(w);
    size_t ef = w->search->density.ef;
    bool is_fewer = density == DENSITY_SOMEWHAT_LESS;
    if (is_fewer) {
        ef = ef > EF_TIMES * w->ef ? ef : EF_TIMES * w->ef;
    }
    enum errcode code = ERR_OK;
    if ((is_fewer || density == DENSITY_MORE) && ef > w->ef) {
        w->ef = ef;
        w->work->denser += !is_fewer;
        code = walk_from(w, starts, n_starts, true, gave_up, err);
        if (is_fewer && code == ERR_OK && !*gave_up) {
            density = density_of_matches(w); /* More was asked. */
        }
    }
    *is_sparse = density == DENSITY_LESS;
    w->work->sparser += is_fewer || *is_sparse;
    return code;
}

/* The graph's part of a search. */
static enum errcode walk_graph(struct walk *w, uint32_t entry, bool *gave_up, struct err *err)
{
    bool is_sifting = w->search->matches != NULL;
    struct candidate starts[2 + STARTS_MAX];
    size_t n_starts = 1;
    starts[0] =
        walk_descend(w, walk_candidate(w, entry), node_at(&w->index->slots, entry)->level, 1);
    n_starts += starts_take(w, starts + 1);
    if (w->from_slot != SLOT_NONE) {
        starts[n_starts++] = walk_candidate(w, w->from_slot);
    }
    enum errcode code = walk_from(w, starts, n_starts, is_sifting, gave_up, err);
    bool is_sparse = false;
    if (code == ERR_OK && !*gave_up && is_sifting) {
        code = walk_as_dense(w, starts, n_starts, gave_up, &is_sparse, err);
    }
    if (code == ERR_OK && !*gave_up && (is_sparse || is_beyond(w, is_sifting))) {
        code = walk_beyond(w, is_sifting, gave_up, err);
    }
    if (code == ERR_OK && !is_sifting && !*gave_up && is_among_hidden(w)) {
        code = walk_and_rerank(w, starts, n_starts, true, gave_up, err);
    }
    return code;
}

/* The slot of the row that the query comes from, if it is in the graph: asked when the tail has
 * been read, as what was not in the tail any more is linked by then. */
static uint32_t slot_of_origin(struct index *index, const struct index_search *search)
{
    if (!search->has_from_row) {
        return SLOT_NONE;
    }
    mutex_lock(&index->map_lock);
    uint32_t slot = row_map_find(&index->map, &index->slots, search->from_row);
    mutex_unlock(&index->map_lock);
    bool is_linked = slot != SLOT_NONE && (slot_state(&index->slots, slot) & SLOT_LINKED) != 0;
    return is_linked ? slot : SLOT_NONE;
}

static enum errcode search_walk(struct walk *w, struct index *index, struct index_hit *hits,
                                size_t *n_hits, struct err *err)
{
    const struct index_search *search = w->search;
    struct scratch *s = w->scratch;
    size_t n_rows = atomic_load_explicit(&index->n_linked, memory_order_relaxed);
    if (!hits_start(&s->tail, search, search->k) || !hits_start(&s->found, search, search->k)) {
        return err_no_memory(err);
    }
    enum errcode code = scan_tail(w, &index->queue, &s->tail, err);
    w->from_slot = slot_of_origin(index, search);
    uint32_t entry = atomic_load_explicit(&index->entry, memory_order_acquire);
    bool gave_up = false;
    if (code == ERR_OK && entry != SLOT_NONE) {
        code = walk_graph(w, entry, &gave_up, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (entry != SLOT_NONE && is_out_of_range(w)) {
        gave_up = true;
        s->found.n = 0;
    }
    *n_hits = merge_hits(s, search, hits);
    if (*n_hits == search->k && !gave_up) {
        return ERR_OK;
    }
    if (search->matches != NULL) {
        /* Rows that no path leads to may match, too: the caller decides what a scan is worth. */
        w->work->is_complete = !gave_up && w->n_visited >= n_rows;
        return ERR_OK;
    }
    bool is_short = gave_up || *n_hits < index_count(index);
    return is_short ? search_exact(w, index, hits, n_hits, err) : ERR_OK;
}

static bool is_exact(const struct index *index, const struct index_search *search)
{
    if (search->plan != INDEX_WALK || index->config.kind == INDEX_FLAT) {
        return true;
    }
    uint32_t n_used = atomic_load_explicit(&index->slots.n_used, memory_order_acquire);
    return index_count(index) < INDEX_GRAPH_ROWS_MIN &&
           n_used < INDEX_GRAPH_ROWS_MIN * EXACT_SLOTS_A_ROW;
}

enum errcode index_search(struct index *index, const struct index_search *search,
                          struct index_hit *hits, size_t *n_hits, struct index_work *work,
                          struct err *err)
{
    CHECK(search->query != NULL && search->k > 0);
    CHECK(search->plan == INDEX_WALK    ? search->ef >= search->k
          : search->plan == INDEX_GIVEN ? search->given != NULL
                                        : search->plan == INDEX_EXACT);
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
    code = is_exact(index, search) ? search_exact(&w, index, hits, n_hits, err)
                                   : search_walk(&w, index, hits, n_hits, err);
    epoch_leave(&index->epochs, place);
    CHECK(*n_hits <= search->k);
    return code;
}
