/* Exact distances: what is made of the sums of the chosen kernel (exact_int.h). */
#include "index/exact_int.h"

#include <math.h>

static double cosine_distance(const double sums[3])
{
    /* Neither root nor product leaves the range of double, and sqrt(x * x) is x. */
    double lengths = sqrt(sums[1] * sums[2]);
    if (!(lengths > 0)) {
        return 1;
    }
    return fmin(fmax(1 - sums[0] / lengths, 0), 2);
}

double exact_distance(enum distance distance, const float *a, const float *b, uint32_t dim)
{
    const struct exact *exact = exact_chosen();
    double sums[3];
    switch (distance) {
    case DISTANCE_L2:
        return sqrt(exact->squares(a, b, dim));
    case DISTANCE_COSINE:
        exact->products(a, b, dim, sums);
        return cosine_distance(sums);
    case DISTANCE_DOT:
    default:
        return 0 - exact->product(a, b, dim);
    }
}
