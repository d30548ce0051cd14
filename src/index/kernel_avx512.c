/* Distance kernels for AVX-512F (kernel_int.h has the order of their sums).
 *
 * Vectors are taken four at a time, so that a block of the query is loaded once for four rows and
 * four chains of additions hide each other's latency; the next four are prefetched meanwhile.  The
 * rest of a block is masked.  A group that is not full repeats its last row.
 *
 * The common dimensions get a copy of their own with the loops unrolled by the compiler. */
#include "index/bits_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512dq,fma")))
#define INLINE static inline __attribute__((always_inline)) AVX512

enum {
    LANES = 16,
    GROUP = 4,
    LINE_FLOATS = CACHE_LINE / sizeof(float),
    PLACE_MAX = 512
};

static bool is_usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("fma");
}

INLINE void prefetch(const float *x, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i += LINE_FLOATS) {
        _mm_prefetch((const char *)(x + i), _MM_HINT_T0);
    }
}

INLINE __m512 step(__m512 sum, __m512 query, __m512 x, bool is_l2)
{
    __m512 d = _mm512_sub_ps(query, x);
    return _mm512_add_ps(sum, is_l2 ? _mm512_mul_ps(d, d) : _mm512_mul_ps(query, x));
}

/* Lane r: the sum of sums[r]'s lanes. */
INLINE __m128 fold_group(const __m512 sums[GROUP])
{
    __m512 ab =
        _mm512_add_ps(_mm512_unpacklo_ps(sums[0], sums[1]), _mm512_unpackhi_ps(sums[0], sums[1]));
    __m512 cd =
        _mm512_add_ps(_mm512_unpacklo_ps(sums[2], sums[3]), _mm512_unpackhi_ps(sums[2], sums[3]));
    __m512 four = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    __m256 two = _mm256_add_ps(_mm512_castps512_ps256(four), _mm512_extractf32x8_ps(four, 1));
    return _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1));
}

INLINE __m128 group_keys(const float *const x[GROUP], const float *query, uint32_t dim, bool is_l2)
{
    __m512 sums[GROUP];
    UNROLL
    for (int r = 0; r < GROUP; r++) {
        sums[r] = _mm512_setzero_ps();
    }
    uint32_t i = 0;
    for (; i + LANES <= dim; i += LANES) {
        __m512 q = _mm512_loadu_ps(query + i);
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            sums[r] = step(sums[r], q, _mm512_loadu_ps(x[r] + i), is_l2);
        }
    }
    if (i < dim) {
        __mmask16 rest = (__mmask16)((1u << (dim - i)) - 1);
        __m512 q = _mm512_maskz_loadu_ps(rest, query + i);
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            sums[r] = step(sums[r], q, _mm512_maskz_loadu_ps(rest, x[r] + i), is_l2);
        }
    }
    __m128 keys = fold_group(sums);
    /* min gives its second operand where the first is NaN. */
    return _mm_min_ps(is_l2 ? keys : _mm_xor_ps(keys, _mm_set1_ps(-0.0F)),
                      _mm_set1_ps(__builtin_inff()));
}

INLINE void all_keys(const struct space *space, bool is_l2, const float *query,
                     const uint32_t *slots, size_t n, float *keys)
{
    const float *next[GROUP];
    for (size_t r = 0; r < GROUP && n > 0; r++) {
        next[r] = space->vectors + slots[r < n ? r : n - 1] * space->stride;
    }
    for (size_t at = 0; at < n; at += GROUP) {
        const float *x[GROUP] = {next[0], next[1], next[2], next[3]};
        UNROLL
        for (size_t r = 0; r < GROUP; r++) {
            size_t ahead = at + GROUP + r;
            next[r] = space->vectors + slots[ahead < n ? ahead : n - 1] * space->stride;
            if (ahead < n) {
                prefetch(next[r], space->dim);
            }
        }
        float group[GROUP];
        _mm_storeu_ps(group, group_keys(x, query, space->dim, is_l2));
        for (size_t r = 0; r < GROUP && at + r < n; r++) {
            keys[at + r] = group[r];
        }
    }
}

INLINE void by_dim(const struct space *space, bool is_l2, const float *query, const uint32_t *slots,
                   size_t n, float *keys)
{
    /* What is the same number in both lines is a constant to the compiler in the second. */
    struct space fixed = *space;
    switch (space->dim) {
    case 96:
        fixed.dim = 96;
        all_keys(&fixed, is_l2, query, slots, n, keys);
        break;
    case 100:
        fixed.dim = 100;
        all_keys(&fixed, is_l2, query, slots, n, keys);
        break;
    case 128:
        fixed.dim = 128;
        all_keys(&fixed, is_l2, query, slots, n, keys);
        break;
    case 384:
        fixed.dim = 384;
        all_keys(&fixed, is_l2, query, slots, n, keys);
        break;
    case 512:
        fixed.dim = 512;
        all_keys(&fixed, is_l2, query, slots, n, keys);
        break;
    case 768:
        fixed.dim = 768;
        all_keys(&fixed, is_l2, query, slots, n, keys);
        break;
    default:
        all_keys(space, is_l2, query, slots, n, keys);
        break;
    }
}

static AVX512 void avx512_l2(const struct space *space, const float *query, const uint32_t *slots,
                             size_t n, float *keys)
{
    by_dim(space, true, query, slots, n, keys);
}

static AVX512 void avx512_dot(const struct space *space, const float *query, const uint32_t *slots,
                              size_t n, float *keys)
{
    by_dim(space, false, query, slots, n, keys);
}

/* ---- the beam ---- */

/* Its arrays are read and written by whole registers at the same places: what was just written is
 * at hand for the next read, which it is not where only a part of it was. */

INLINE __mmask16 lanes_there(size_t n)
{
    return (__mmask16)(n < LANES ? (1U << n) - 1 : UINT16_MAX);
}

/* All of them are looked at: a beam is short, and a loop that ends early is guessed wrong. */
static AVX512 size_t place(const float *keys, size_t n, float key)
{
    if (n > PLACE_MAX) {
        return beam_fns_scalar.place(keys, n, key);
    }
    __m512 wanted = _mm512_set1_ps(key);
    size_t place = 0;
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 smaller = _mm512_mask_cmp_ps_mask(lanes_there(n - i), _mm512_loadu_ps(keys + i),
                                                    wanted, _CMP_LT_OQ);
        place += (size_t)__builtin_popcount(smaller);
    }
    return place;
}

static AVX512 void insert(float *keys, uint32_t *slots, size_t n, size_t at, float key,
                          uint32_t slot)
{
    size_t i = at / LANES * LANES;
    __mmask16 moved = (__mmask16) ~(1U << (at - i));
    __m512i k = _mm512_loadu_si512(keys + i), s = _mm512_loadu_si512(slots + i);
    __m512i new_key = _mm512_castps_si512(_mm512_set1_ps(key));
    _mm512_storeu_si512(keys + i, _mm512_mask_expand_epi32(new_key, moved, k));
    _mm512_storeu_si512(slots + i,
                        _mm512_mask_expand_epi32(_mm512_set1_epi32((int)slot), moved, s));
    for (i += LANES; i <= n; i += LANES) {
        __m512i next_k = _mm512_loadu_si512(keys + i), next_s = _mm512_loadu_si512(slots + i);
        _mm512_storeu_si512(keys + i, _mm512_alignr_epi32(next_k, k, LANES - 1));
        _mm512_storeu_si512(slots + i, _mm512_alignr_epi32(next_s, s, LANES - 1));
        k = next_k;
        s = next_s;
    }
}

static AVX512 size_t within(const float *keys, size_t n, float limit, uint8_t *places)
{
    __m512 limits = _mm512_set1_ps(limit);
    size_t n_within = 0;
    for (size_t i = 0; i < n; i += LANES) {
        unsigned near = _mm512_mask_cmp_ps_mask(lanes_there(n - i), _mm512_loadu_ps(keys + i),
                                                limits, _CMP_LE_OQ);
        for (; near != 0; near &= near - 1) {
            places[n_within++] = (uint8_t)(i + (size_t)__builtin_ctz(near));
        }
    }
    return n_within;
}

static const struct beam_fns beam_avx512 = {.place = place, .insert = insert, .within = within};

static bool has_vnni(void)
{
    return is_usable() && __builtin_cpu_supports("avx512vnni");
}

const struct kernel kernel_avx512vnni = {
    .name = "avx512vnni",
    .is_usable = has_vnni,
    .l2 = avx512_l2,
    .dot = avx512_dot,
    .beam = &beam_avx512,
    .exact = &exact_avx512,
    .bits = &bits_avx512vnni,
};

const struct kernel kernel_avx512 = {
    .name = "avx512",
    .is_usable = is_usable,
    .l2 = avx512_l2,
    .dot = avx512_dot,
    .beam = &beam_avx512,
    .exact = &exact_avx512,
    .bits = &bits_avx512,
};
#endif
