/* Distance kernels for AVX2 (kernel_int.h has the order of their sums).
 *
 * The shape is that of kernel_avx512.c, with two registers for the sums of a row. */
#include "index/bits_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2   __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) AVX2

enum {
    WIDTH = 8, /* Of a register. */
    LANES = 2 * WIDTH,
    GROUP = 4,
    LINE_FLOATS = CACHE_LINE / sizeof(float)
};

static bool is_usable(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

INLINE __m256 step(__m256 sum, __m256 query, __m256 x, bool is_l2)
{
    __m256 d = _mm256_sub_ps(query, x);
    return _mm256_add_ps(sum, is_l2 ? _mm256_mul_ps(d, d) : _mm256_mul_ps(query, x));
}

/* In each half, lane r: the sum of that half of sums[r]. */
INLINE __m256 fold_halves(const __m256 sums[GROUP])
{
    __m256 ab =
        _mm256_add_ps(_mm256_unpacklo_ps(sums[0], sums[1]), _mm256_unpackhi_ps(sums[0], sums[1]));
    __m256 cd =
        _mm256_add_ps(_mm256_unpacklo_ps(sums[2], sums[3]), _mm256_unpackhi_ps(sums[2], sums[3]));
    return _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
}

/* Elements i .. i + 7 of those that are there. */
INLINE __m256 load_rest(const float *x, uint32_t i, uint32_t dim)
{
    __m256i left = _mm256_set1_epi32((int)dim - (int)i);
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(x + i, _mm256_cmpgt_epi32(left, lane));
}

INLINE __m128 group_keys(const float *const x[GROUP], const float *query, uint32_t dim, bool is_l2)
{
    __m256 low[GROUP], high[GROUP];
    UNROLL
    for (int r = 0; r < GROUP; r++) {
        low[r] = high[r] = _mm256_setzero_ps();
    }
    uint32_t i = 0;
    for (; i + LANES <= dim; i += LANES) {
        __m256 q0 = _mm256_loadu_ps(query + i), q1 = _mm256_loadu_ps(query + i + WIDTH);
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            low[r] = step(low[r], q0, _mm256_loadu_ps(x[r] + i), is_l2);
            high[r] = step(high[r], q1, _mm256_loadu_ps(x[r] + i + WIDTH), is_l2);
        }
    }
    if (i < dim) {
        __m256 q0 = load_rest(query, i, dim), q1 = load_rest(query, i + WIDTH, dim);
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            low[r] = step(low[r], q0, load_rest(x[r], i, dim), is_l2);
            high[r] = step(high[r], q1, load_rest(x[r], i + WIDTH, dim), is_l2);
        }
    }
    __m256 two = _mm256_add_ps(fold_halves(low), fold_halves(high));
    __m128 keys = _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1));
    /* min gives its second operand where the first is NaN. */
    return _mm_min_ps(is_l2 ? keys : _mm_xor_ps(keys, _mm_set1_ps(-0.0F)),
                      _mm_set1_ps(__builtin_inff()));
}

INLINE void all_keys(const struct space *space, bool is_l2, const float *query,
                     const uint32_t *slots, size_t n, float *keys)
{
    for (size_t at = 0; at < n; at += GROUP) {
        const float *x[GROUP];
        UNROLL
        for (size_t r = 0; r < GROUP; r++) {
            x[r] = space->vectors + slots[at + r < n ? at + r : n - 1] * space->stride;
            if (at + GROUP + r < n) {
                const float *next = space->vectors + slots[at + GROUP + r] * space->stride;
                for (uint32_t i = 0; i < space->dim; i += LINE_FLOATS) {
                    _mm_prefetch((const char *)(next + i), _MM_HINT_T0);
                }
            }
        }
        float group[GROUP];
        _mm_storeu_ps(group, group_keys(x, query, space->dim, is_l2));
        for (size_t r = 0; r < GROUP && at + r < n; r++) {
            keys[at + r] = group[r];
        }
    }
}

static AVX2 void avx2_l2(const struct space *space, const float *query, const uint32_t *slots,
                         size_t n, float *keys)
{
    all_keys(space, true, query, slots, n, keys);
}

static AVX2 void avx2_dot(const struct space *space, const float *query, const uint32_t *slots,
                          size_t n, float *keys)
{
    all_keys(space, false, query, slots, n, keys);
}

const struct kernel kernel_avx2 = {
    .name = "avx2",
    .is_usable = is_usable,
    .l2 = avx2_l2,
    .dot = avx2_dot,
    .beam = &beam_fns_scalar,
    .exact = &exact_avx2,
    .bits = &bits_avx2,
};
#endif
