/* Distance kernels for AVX2 with FMA.
 *
 * The shape is that of kernel_avx512.c, with groups of two rows, for there are half as many
 * registers of half the width; the rest of a block is masked. */
#include "index/bits_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2   __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) AVX2

enum {
    LANES = 8,
    GROUP = 2,
    LINE_FLOATS = CACHE_LINE / sizeof(float)
};

static bool is_usable(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

INLINE __m256 step(__m256 sum, __m256 query, __m256 x, bool is_l2)
{
    if (is_l2) {
        __m256 d = _mm256_sub_ps(query, x);
        return _mm256_fmadd_ps(d, d, sum);
    }
    return _mm256_fnmadd_ps(query, x, sum);
}

INLINE float key_of(__m256 even, __m256 odd)
{
    __m256 sums = _mm256_add_ps(even, odd);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    __m128 one = _mm_add_ss(two, _mm_movehdup_ps(two));
    /* min gives its second operand where the first is NaN. */
    return _mm_cvtss_f32(_mm_min_ss(one, _mm_set_ss(__builtin_inff())));
}

INLINE void group_keys(const float *const x[GROUP], const float *query, uint32_t dim, bool is_l2,
                       float *keys)
{
    __m256 even[GROUP], odd[GROUP];
    UNROLL
    for (int r = 0; r < GROUP; r++) {
        even[r] = odd[r] = _mm256_setzero_ps();
    }
    uint32_t i = 0;
    for (; i + 2 * LANES <= dim; i += 2 * LANES) {
        __m256 q0 = _mm256_loadu_ps(query + i), q1 = _mm256_loadu_ps(query + i + LANES);
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            even[r] = step(even[r], q0, _mm256_loadu_ps(x[r] + i), is_l2);
            odd[r] = step(odd[r], q1, _mm256_loadu_ps(x[r] + i + LANES), is_l2);
        }
    }
    if (i + LANES <= dim) {
        __m256 q = _mm256_loadu_ps(query + i);
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            even[r] = step(even[r], q, _mm256_loadu_ps(x[r] + i), is_l2);
        }
        i += LANES;
    }
    if (i < dim) {
        __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        __m256i rest = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(dim - i)), lane);
        __m256 q = _mm256_maskload_ps(query + i, rest);
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            odd[r] = step(odd[r], q, _mm256_maskload_ps(x[r] + i, rest), is_l2);
        }
    }
    UNROLL
    for (int r = 0; r < GROUP; r++) {
        keys[r] = key_of(even[r], odd[r]);
    }
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
        group_keys(x, query, space->dim, is_l2, group);
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
    .place = scalar_place,
    .exact = &exact_avx2,
    .bits = &bits_avx2,
};
#endif
