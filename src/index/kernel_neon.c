/* Distance kernels for aarch64 (kernel_int.h has the order of their sums).
 *
 * Four registers are the sixteen sums of a row; rows are taken two at a time.  What is behind the
 * last whole block of a row is copied between zeros. */
#include "index/bits_int.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>
#include <sys/auxv.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    WIDTH = 4, /* Of a register. */
    PARTS = 4,
    LANES = PARTS * WIDTH,
    GROUP = 2,
    DOT_PRODUCTS = 1 << 20, /* Of the kernel's bits for what a processor has. */
};

static bool is_usable(void)
{
    return true;
}

static bool has_dot_products(void)
{
    return (getauxval(AT_HWCAP) & DOT_PRODUCTS) != 0;
}

INLINE void add_block(float32x4_t sums[PARTS], const float *query, const float *x, bool is_l2)
{
    UNROLL
    for (int part = 0; part < PARTS; part++) {
        float32x4_t q = vld1q_f32(query + part * WIDTH), v = vld1q_f32(x + part * WIDTH);
        float32x4_t d = vsubq_f32(q, v);
        sums[part] = vaddq_f32(sums[part], is_l2 ? vmulq_f32(d, d) : vmulq_f32(q, v));
    }
}

/* (s0 + s2) + (s1 + s3) */
INLINE float fold_four(float32x4_t s)
{
    float32x2_t two = vadd_f32(vget_low_f32(s), vget_high_f32(s));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

INLINE float key_of(const float32x4_t sums[PARTS], bool is_l2)
{
    float sum =
        (fold_four(sums[0]) + fold_four(sums[2])) + (fold_four(sums[1]) + fold_four(sums[3]));
    float key = is_l2 ? sum : -sum;
    return key < __builtin_inff() ? key : __builtin_inff(); /* NaN is not. */
}

INLINE void group_keys(const float *const x[GROUP], const float *query, uint32_t dim, bool is_l2,
                       float keys[GROUP])
{
    float32x4_t sums[GROUP][PARTS];
    UNROLL
    for (int r = 0; r < GROUP; r++) {
        UNROLL
        for (int part = 0; part < PARTS; part++) {
            sums[r][part] = vdupq_n_f32(0);
        }
    }
    uint32_t i = 0;
    for (; i + LANES <= dim; i += LANES) {
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            add_block(sums[r], query + i, x[r] + i, is_l2);
        }
    }
    if (i < dim) {
        float q[LANES] = {0};
        memcpy(q, query + i, (dim - i) * sizeof(float));
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            float v[LANES] = {0};
            memcpy(v, x[r] + i, (dim - i) * sizeof(float));
            add_block(sums[r], q, v, is_l2);
        }
    }
    UNROLL
    for (int r = 0; r < GROUP; r++) {
        keys[r] = key_of(sums[r], is_l2);
    }
}

INLINE void all_keys(const struct space *space, bool is_l2, const float *query,
                     const uint32_t *slots, size_t n, float *keys)
{
    for (size_t at = 0; at < n; at += GROUP) {
        const float *x[GROUP];
        for (size_t r = 0; r < GROUP; r++) {
            x[r] = space->vectors + slots[at + r < n ? at + r : n - 1] * space->stride;
            if (at + GROUP + r < n) {
                const float *next = space->vectors + slots[at + GROUP + r] * space->stride;
                for (uint32_t i = 0; i < space->dim; i += CACHE_LINE / sizeof(float)) {
                    __builtin_prefetch(next + i);
                }
            }
        }
        float group[GROUP];
        group_keys(x, query, space->dim, is_l2, group);
        for (size_t r = 0; r < GROUP && at + r < n; r++) {
            keys[at + r] = group[r];
        }
    }
}

static void neon_l2(const struct space *space, const float *query, const uint32_t *slots, size_t n,
                    float *keys)
{
    all_keys(space, true, query, slots, n, keys);
}

static void neon_dot(const struct space *space, const float *query, const uint32_t *slots, size_t n,
                     float *keys)
{
    all_keys(space, false, query, slots, n, keys);
}

/* The compiler makes registers of exact_scalar's lanes by itself. */
const struct kernel kernel_neondot = {
    .name = "neondot",
    .is_usable = has_dot_products,
    .l2 = neon_l2,
    .dot = neon_dot,
    .beam = &beam_fns_scalar,
    .exact = &exact_scalar,
    .bits = &bits_neondot,
};

const struct kernel kernel_neon = {
    .name = "neon",
    .is_usable = is_usable,
    .l2 = neon_l2,
    .dot = neon_dot,
    .beam = &beam_fns_scalar,
    .exact = &exact_scalar,
    .bits = &bits_neon,
};
#endif
