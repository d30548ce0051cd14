/* Exact distances: the sums in plain C, and what is made of them (exact_int.h). */
#include "index/exact_int.h"

#include <math.h>

static double fold(const double sums[EXACT_LANES])
{
    double a[EXACT_LANES];
    for (size_t i = 0; i < EXACT_LANES; i++) {
        a[i] = sums[i];
    }
    for (size_t half = EXACT_LANES / 2; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++) {
            a[i] += a[i + half];
        }
    }
    return a[0];
}

static double scalar_squares(const float *a, const float *b, uint32_t dim)
{
    double sums[EXACT_LANES] = {0};
    uint32_t i = 0;
    for (; i + EXACT_LANES <= dim; i += EXACT_LANES) {
        for (uint32_t lane = 0; lane < EXACT_LANES; lane++) {
            double d = (double)a[i + lane] - (double)b[i + lane];
            sums[lane] += d * d;
        }
    }
    for (uint32_t lane = 0; i + lane < dim; lane++) {
        double d = (double)a[i + lane] - (double)b[i + lane];
        sums[lane] += d * d;
    }
    return fold(sums);
}

static double scalar_product(const float *a, const float *b, uint32_t dim)
{
    double sums[EXACT_LANES] = {0};
    uint32_t i = 0;
    for (; i + EXACT_LANES <= dim; i += EXACT_LANES) {
        for (uint32_t lane = 0; lane < EXACT_LANES; lane++) {
            sums[lane] += (double)a[i + lane] * (double)b[i + lane];
        }
    }
    for (uint32_t lane = 0; i + lane < dim; lane++) {
        sums[lane] += (double)a[i + lane] * (double)b[i + lane];
    }
    return fold(sums);
}

static void scalar_products(const float *a, const float *b, uint32_t dim, double out[3])
{
    out[0] = scalar_product(a, b, dim);
    out[1] = scalar_product(a, a, dim);
    out[2] = scalar_product(b, b, dim);
}

const struct exact exact_scalar = {
    .squares = scalar_squares, .product = scalar_product, .products = scalar_products};

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
