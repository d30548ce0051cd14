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

static size_t place(const float *keys, size_t n, float key)
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

static void insert(float *keys, uint32_t *slots, size_t n, size_t at, float key, uint32_t slot)
{
    memmove(keys + at + 1, keys + at, (n - at) * sizeof(*keys));
    memmove(slots + at + 1, slots + at, (n - at) * sizeof(*slots));
    keys[at] = key;
    slots[at] = slot;
}

static size_t within(const float *keys, size_t n, float limit, uint8_t *places)
{
    size_t n_within = 0;
    for (size_t i = 0; i < n; i++) {
        places[n_within] = (uint8_t)i;
        n_within += keys[i] <= limit;
    }
    return n_within;
}

const struct beam_fns beam_fns_scalar = {.place = place, .insert = insert, .within = within};

const struct kernel kernel_scalar = {
    .name = "scalar",
    .is_usable = is_usable,
    .l2 = scalar_l2,
    .dot = scalar_dot,
    .beam = &beam_fns_scalar,
    .exact = &exact_scalar,
    .bits = &bits_scalar,
};
