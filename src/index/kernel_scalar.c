/* Distance kernels in plain C: the reference for the others, and for machines without AVX2. */
#include "index/bits_int.h"

#include <math.h>

enum {
    LANES = 16
};

static bool is_usable(void)
{
    return true;
}

/* NaN, from infinities that finite vectors overflowed to, becomes the farthest. */
static float key_of(const float *sums, float sign)
{
    float fours[LANES / 4];
    for (size_t i = 0; i < LANES / 4; i++) {
        const float *four = sums + 4 * i;
        fours[i] = (four[0] + four[2]) + (four[1] + four[3]);
    }
    float key = sign * ((fours[0] + fours[2]) + (fours[1] + fours[3]));
    return key < INFINITY ? key : INFINITY;
}

static void scalar_l2(const struct space *space, const float *query, const uint32_t *slots,
                      size_t n, float *keys)
{
    for (size_t k = 0; k < n; k++) {
        const float *x = space->vectors + slots[k] * space->stride;
        float sums[LANES] = {0};
        uint32_t i = 0;
        for (; i + LANES <= space->dim; i += LANES) {
            for (uint32_t lane = 0; lane < LANES; lane++) {
                float d = query[i + lane] - x[i + lane];
                sums[lane] += d * d;
            }
        }
        for (uint32_t lane = 0; i + lane < space->dim; lane++) {
            float d = query[i + lane] - x[i + lane];
            sums[lane] += d * d;
        }
        keys[k] = key_of(sums, 1);
    }
}

static void scalar_dot(const struct space *space, const float *query, const uint32_t *slots,
                       size_t n, float *keys)
{
    for (size_t k = 0; k < n; k++) {
        const float *x = space->vectors + slots[k] * space->stride;
        float sums[LANES] = {0};
        uint32_t i = 0;
        for (; i + LANES <= space->dim; i += LANES) {
            for (uint32_t lane = 0; lane < LANES; lane++) {
                sums[lane] += query[i + lane] * x[i + lane];
            }
        }
        for (uint32_t lane = 0; i + lane < space->dim; lane++) {
            sums[lane] += query[i + lane] * x[i + lane];
        }
        keys[k] = key_of(sums, -1);
    }
}

size_t scalar_place(const float *keys, size_t n, float key)
{
    /* Halves without a branch: what comes next cannot be foreseen. */
    const float *at = keys;
    while (n > 0) {
        size_t half = n - n / 2;
        at += at[half - 1] < key ? half : 0;
        n /= 2;
    }
    return (size_t)(at - keys);
}

const struct kernel kernel_scalar = {
    .name = "scalar",
    .is_usable = is_usable,
    .l2 = scalar_l2,
    .dot = scalar_dot,
    .place = scalar_place,
    .exact = &exact_scalar,
    .bits = &bits_scalar,
};
