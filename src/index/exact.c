/* Exact distances: what is made of the sums of the chosen kernel (exact_int.h). */
#include "index/exact_int.h"

#include <math.h>

static double cosine_distance(double product, double squares_a, double squares_b)
{
    /* Neither root nor product leaves the range of double, and sqrt(x * x) is x. */
    double lengths = sqrt(squares_a * squares_b);
    if (!(lengths > 0)) {
        return 1;
    }
    return fmin(fmax(1 - product / lengths, 0), 2);
}

struct exact_query exact_query_of(enum distance distance, const float *vector, uint32_t dim)
{
    return (struct exact_query){
        .distance = distance,
        .dim = dim,
        .vector = vector,
        .squares = distance == DISTANCE_COSINE ? exact_chosen()->product(vector, vector, dim) : 0,
    };
}

double exact_distance_to(const struct exact_query *query, const float *b)
{
    const struct exact *exact = exact_chosen();
    double sums[2];
    switch (query->distance) {
    case DISTANCE_L2:
        return sqrt(exact->squares(query->vector, b, query->dim));
    case DISTANCE_COSINE:
        exact->products(query->vector, b, query->dim, sums);
        return cosine_distance(sums[0], query->squares, sums[1]);
    case DISTANCE_DOT:
    default:
        return 0 - exact->product(query->vector, b, query->dim);
    }
}

double exact_distance(enum distance distance, const float *a, const float *b, uint32_t dim)
{
    struct exact_query query = exact_query_of(distance, a, dim);
    return exact_distance_to(&query, b);
}
