/* The second look: what a search found is ordered by exact distances.
 *
 * Rows are looked at in 32 bits first.  Those keys may be wrong by as much as additions can lose;
 * whoever may belong to the hits in spite of that is summed in double (exact.c), in an order that
 * is the same on every machine.  So sums that overflow, vanish or cancel in 32 bits are ordered
 * rightly, and hits are the same whatever plan found them. */
#include "index/walk_int.h"

#include <float.h>

/* The largest key that a row as near as @distance may have got. */
static double key_limit(const struct walk *w, double distance)
{
    double rounding = (w->space.dim + 8.0) * (double)FLT_EPSILON;
    double norm_max = (double)atomic_load_explicit(&w->index->norm_max, memory_order_relaxed);
    switch (w->index->config.distance) {
    case DISTANCE_L2:
        return distance * distance * (1 + rounding) + w->space.dim * (double)FLT_MIN;
    case DISTANCE_COSINE:
        /* Lengths are 1 but for their last digits, whose squares count. */
        return 2 * distance * (1 + rounding) + (double)FLT_EPSILON * (double)FLT_EPSILON;
    case DISTANCE_DOT:
    default:
        return distance + rounding * w->norm * norm_max + w->space.dim * (double)FLT_MIN;
    }
}

static void look_in_double(struct walk *w, struct hits *hits, uint32_t slot, bool asks)
{
    const struct slots *slots = &w->index->slots;
    const struct node *node = node_at(slots, slot);
    struct hit hit = {.row = {.row = node->row,
                              .label = node->label,
                              .distance = exact_distance(w->index->config.distance, w->vector,
                                                         vector_at(slots, slot), w->space.dim)},
                      .slot = slot};
    if (!hits_want(hits, hit.row.distance) ||
        !(asks ? walk_may_return(w, slot) : slot_is_live(slots, slot))) {
        return;
    }
    hits_add(hits, &hit);
    if (hits->n == hits->max) {
        hits->limit = key_limit(w, hits->items[0].row.distance);
    }
}

void look_at(struct walk *w, struct hits *hits, const uint32_t *slots, size_t n, bool asks)
{
    struct walk exact = walk_exactly(w);
    for (size_t at = 0; at < n; at += BATCH) {
        float keys[BATCH];
        size_t n_now = n - at < BATCH ? n - at : BATCH;
        exact.space.code->keys(&exact.space, &exact.query, slots + at, n_now, keys);
        for (size_t i = 0; i < n_now; i++) {
            /* An infinite key says nothing. */
            if (((double)keys[i] <= hits->limit || keys[i] > FLT_MAX) &&
                !walk_passes_over(&exact, slots[at + i], keys[i])) {
                look_in_double(w, hits, slots[at + i], asks);
            }
        }
    }
}
