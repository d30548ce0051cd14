/* The curve of a graph: which ef reached which recall, and the ef that a wanted recall needs.
 *
 * Every search reads it, so that reading takes no lock and waits for nobody: a curve is published
 * into the slot that the newest is not in, and then its number.  A reader copies the slot of the
 * number it saw, and what it has copied is whole where the number is still the same: the slot is
 * written again only after the next number has been published.  The slots' fields are stored with
 * release and loaded with acquire: who meets a field of a later curve sees a later number too. */
#include "shard/shard_int.h"

#include <math.h>

/* Of what is missing to 1, the share that a promise keeps back. */
static const double MARGIN = 0.15;

/* The ef at which the curve reaches @recall; between two rungs ef grows as the logarithm of what
 * is missing shrinks. */
static double ef_on_curve(const struct curve *c, double recall)
{
    size_t i = 0;
    while (i < c->n_points && c->recall[i] < recall) {
        i++;
    }
    if (i == 0) {
        return c->ef[0];
    }
    if (i == c->n_points) {
        return c->ef[i - 1];
    }
    double share = (recall - c->recall[i - 1]) / (c->recall[i] - c->recall[i - 1]);
    return c->ef[i - 1] * pow((double)c->ef[i] / c->ef[i - 1], share);
}

uint32_t curve_ef(const struct curve *c, double recall)
{
    CHECK(c->n_points > 0);
    return (uint32_t)ceil(ef_on_curve(c, recall + MARGIN * (1 - recall)));
}

void curve_publish(struct published_curve *p, const struct curve *c)
{
    uint64_t number = atomic_load_explicit(&p->number, memory_order_relaxed) + 1;
    struct curve_slot *slot = &p->slots[number % 2];
    for (size_t i = 0; i < c->n_points; i++) {
        atomic_store_explicit(&slot->ef[i], c->ef[i], memory_order_release);
        atomic_store_explicit(&slot->recall[i], c->recall[i], memory_order_release);
    }
    atomic_store_explicit(&slot->n_points, c->n_points, memory_order_release);
    atomic_store_explicit(&p->number, number, memory_order_release);
}

bool curve_read(const struct published_curve *p, struct curve *out)
{
    uint64_t number, seen = atomic_load_explicit(&p->number, memory_order_acquire);
    do {
        number = seen;
        const struct curve_slot *slot = &p->slots[number % 2];
        out->n_points = atomic_load_explicit(&slot->n_points, memory_order_acquire);
        for (size_t i = 0; i < out->n_points; i++) {
            out->ef[i] = atomic_load_explicit(&slot->ef[i], memory_order_acquire);
            out->recall[i] = atomic_load_explicit(&slot->recall[i], memory_order_acquire);
        }
        seen = atomic_load_explicit(&p->number, memory_order_acquire);
    } while (seen != number);
    return out->n_points > 0;
}
