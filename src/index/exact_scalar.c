/* The sums of exact distances in plain C: the reference for the others (exact_int.h). */
#include "index/exact_int.h"

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

static void scalar_products(const float *a, const float *b, uint32_t dim, double out[2])
{
    out[0] = scalar_product(a, b, dim);
    out[1] = scalar_product(b, b, dim);
}

const struct exact exact_scalar = {
    .squares = scalar_squares, .product = scalar_product, .products = scalar_products};
