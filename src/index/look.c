/* The second look: what a search found is ordered by exact distances.
 *
 * Once there are as many hits as are wanted, rows are looked at in 32 bits first.  Those keys may
 * be wrong by as much as additions can lose; whoever may belong to the hits in spite of that is
 * summed in double (exact.c), in an order that is the same on every machine.  So sums that
 * overflow, vanish or cancel in 32 bits are ordered rightly, and hits are the same whatever plan
 * found them. */
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

static struct hit hit_of(const struct walk *w, uint32_t slot)
{
    const struct slots *slots = &w->index->slots;
    const struct node *node = node_at(slots, slot);
    return (struct hit){.row = {.row = node->row,
                                .label = node->label,
                                .distance = exact_distance_to(&w->exact, vector_at(slots, slot))},
                        .slot = slot};
}

static bool may_return(struct walk *w, uint32_t slot, bool asks)
{
    return asks ? walk_may_return(w, slot) : slot_is_live(&w->index->slots, slot);
}

static void take(const struct walk *w, struct hits *hits, const struct hit *hit)
{
    hits_add(hits, hit);
    if (hits->n == hits->max) {
        hits->limit = key_limit(w, hits->items[0].row.distance);
    }
}

/* Those of a batch that may belong to the hits by their keys. */
static void look_by_keys(struct walk *w, struct hits *hits, const uint32_t *slots, size_t n,
                         bool asks)
{
    struct walk exact = walk_exactly(w);
    float keys[BATCH];
    exact.space.code->keys(&exact.space, &exact.query, slots, n, keys);
    for (size_t i = 0; i < n; i++) {
        /* An infinite key says nothing. */
        if (((double)keys[i] > hits->limit && keys[i] <= FLT_MAX) ||
            walk_passes_over(&exact, slots[i], keys[i])) {
            continue;
        }
        struct hit hit = hit_of(w, slots[i]);
        if (hits_want(hits, hit.row.distance) && may_return(w, slots[i], asks)) {
            take(w, hits, &hit);
        }
    }
}

void look_at(struct walk *w, struct hits *hits, const uint32_t *slots, size_t n, bool asks)
{
    size_t at = 0;
    /* Whatever its key, the first few belong to the hits. */
    for (; at < n && hits->n < hits->max && !w->passes_over; at++) {
        if (may_return(w, slots[at], asks)) {
            struct hit hit = hit_of(w, slots[at]);
            take(w, hits, &hit);
        }
    }
    for (; at < n; at += BATCH) {
        look_by_keys(w, hits, slots + at, n - at < BATCH ? n - at : BATCH, asks);
    }
}
