/* DOT between rows: the radius of the reduction.
 *
 * A product is no distance: with rows of many lengths the long ones are everybody's nearest, and
 * algorithm 4 loses its meaning.  With one more dimension that makes all rows as long as the
 * longest (Bachrach and others, 2014) the order of distances is that of products, for any query.
 * Here the radius M is the 95th percentile of the lengths: with a larger one the new dimension
 * outweighs the others, and most rows are neighbours for their length alone.  Rows longer than M
 * are compared by product alone.  Where a trial finds that better (trial.c), M is the 25th, and
 * most rows are.
 *
 * The lengths of the rows in the graph are counted in classes of about 6 %; M is the upper end of
 * the class where the percentile falls.  It changes at the ends of chunks only, and follows from
 * the rows alone, so replicas agree. */
#include "index/build_int.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    CLASS_SHIFT = 20,    /* Of the bits of a float: three of the fraction are left. */
    CLASSES = 0xff << 3, /* All finite ones that are not negative. */
};

/* So many of the rows are longer than M. */
static const unsigned percent_above[RADII] = {[RADIUS_LONG] = 5, [RADIUS_SHORT] = 75};

struct reduction {
    _Atomic uint32_t counts[CLASSES]; /* Of squared lengths. */
    _Atomic size_t n;
};

bool reduction_init(struct index *index)
{
    atomic_init(&index->reduction, 0);
    atomic_init(&index->length_usual, 0);
    if (index->config.kind == INDEX_FLAT || index->config.distance != DISTANCE_DOT) {
        return true;
    }
    index->lengths = mem_zalloc(MEM_GRAPH, sizeof(*index->lengths));
    return index->lengths != NULL;
}

void reduction_fini(struct index *index)
{
    mem_free(MEM_GRAPH, index->lengths);
}

static float squares_of(const struct index *index, const float *vector)
{
    double squares = exact_chosen()->product(vector, vector, index->config.dim);
    return squares < (double)FLT_MAX ? (float)squares : FLT_MAX;
}

static size_t class_of(float squares)
{
    uint32_t bits;
    memcpy(&bits, &squares, sizeof(bits));
    return bits >> CLASS_SHIFT;
}

static float end_of_class(size_t class)
{
    uint32_t bits = (uint32_t)(class + 1) << CLASS_SHIFT;
    float end;
    memcpy(&end, &bits, sizeof(end));
    return end < FLT_MAX ? end : FLT_MAX;
}

/* The upper end of the class that has so many percent of the rows above it, or in it. */
static float radius_of(const struct reduction *lengths, unsigned percent)
{
    size_t class = CLASSES, n_above = 0;
    size_t n = atomic_load_explicit(&lengths->n, memory_order_relaxed);
    while (class > 0 && n_above <= n * percent / 100) {
        n_above += atomic_load_explicit(&lengths->counts[--class], memory_order_relaxed);
    }
    return n > 0 ? sqrtf(end_of_class(class)) : 0;
}

void reduction_settle(struct index *index)
{
    const struct reduction *lengths = index->lengths;
    if (lengths == NULL) {
        return;
    }
    float usual = radius_of(lengths, percent_above[RADIUS_LONG]);
    float radius = radius_of(lengths, percent_above[index->radius]);
    atomic_store_explicit(&index->length_usual, usual, memory_order_relaxed);
    atomic_store_explicit(&index->reduction, radius, memory_order_relaxed);
    longest_settle(index);
}

void reduction_join_vector(struct index *index, uint32_t slot, const float *vector)
{
    struct reduction *lengths = index->lengths;
    if (lengths != NULL) {
        float squares = squares_of(index, vector);
        atomic_fetch_add_explicit(&lengths->counts[class_of(squares)], 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&lengths->n, 1, memory_order_relaxed);
        longest_join(index, slot, squares);
    }
}

void reduction_join(struct index *index, uint32_t slot)
{
    if (index->lengths != NULL) {
        reduction_join_vector(index, slot, vector_at(&index->slots, slot));
    }
}

void reduction_leave(struct index *index, uint32_t slot)
{
    if (index->lengths != NULL) {
        size_t class = class_of(squares_of(index, vector_at(&index->slots, slot)));
        CHECK(atomic_fetch_sub_explicit(&index->lengths->counts[class], 1, memory_order_relaxed) >
              0);
        atomic_fetch_sub_explicit(&index->lengths->n, 1, memory_order_relaxed);
        longest_leave(index, slot);
    }
}
