/* Codes of few bits on AVX2.
 *
 * Bytes are multiplied and added up in pairs of 16 bits that saturate.  With levels of 4 bits a
 * pair is at most 2 x 15 x 127; those of 8 bits are taken as u - 128 and its sign given to q, so
 * that it is at most 2 x 127 x 127, and what is missing is 128 sum(q), which the bias holds. */
#include "index/bits_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define LANES  8

#include "index/lanes_int.h"

LANES_INLINE lanes_i lanes_clamp(lanes_i v, int32_t least, int32_t most)
{
    __m256i low = _mm256_max_epi32((__m256i)v, _mm256_set1_epi32(least));
    return (lanes_i)_mm256_min_epi32(low, _mm256_set1_epi32(most));
}

LANES_INLINE lanes_f lanes_flipped(lanes_f v, uint64_t signs)
{
    lanes_i lane, bit;
    LOAD(lane, lane_numbers);
    bit = SPLAT_I(1) << lane;
    lanes_i is_flipped = (SPLAT_I(signs & UINT16_MAX) & bit) == bit;
    return (lanes_f)((lanes_i)v ^ (is_flipped & INT32_MIN));
}

LANES_INLINE lanes_f lanes_plus(lanes_f v, lanes_f sign, lanes_f w)
{
    return (lanes_f)_mm256_fmadd_ps((__m256)v, (__m256)sign, (__m256)w);
}

#include "index/levels_int.h"
#include "index/rotate_int.h"

enum {
    BYTES = 32 /* A register. */
};

struct keying {
    const int8_t *planes;
    uint32_t plane_stride, plane_bytes, factor_at;
    unsigned bits;
    int32_t bias;
    struct bits_finish finish;
};

LANES_INLINE __m256i add_pairs(__m256i sum, __m256i pairs)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* Of 8 bits: the sum of (u - 128) q, elsewhere of u q. */
LANES_INLINE __m256i block_sum(__m256i sum, __m256i x, const struct keying *k, uint32_t at)
{
    if (k->bits == 8) {
        __m256i q = _mm256_load_si256((const __m256i *)(const void *)(k->planes + at));
        __m256i c = _mm256_xor_si256(x, _mm256_set1_epi8((char)128));
        __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(c), _mm256_sign_epi8(q, c));
        return add_pairs(sum, pairs);
    }
    __m256i pairs = _mm256_setzero_si256(), mask = _mm256_set1_epi8((char)((1 << k->bits) - 1));
    UNROLL
    for (unsigned plane = 0; plane < 8 / k->bits; plane++) {
        const int8_t *at_plane = k->planes + plane * k->plane_stride + at;
        __m256i q = _mm256_load_si256((const __m256i *)(const void *)at_plane);
        __m256i shifted = plane == 0 ? x : _mm256_srli_epi16(x, (int)(plane * k->bits));
        __m256i u = _mm256_and_si256(shifted, mask);
        pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(u, q));
    }
    return add_pairs(sum, pairs);
}

/* The last bytes, by words of 4 that the row has. */
LANES_INLINE __m256i load_rest(const uint8_t *row, const struct keying *k, uint32_t at)
{
    __m256i words = _mm256_set1_epi32((int)(k->factor_at - at) / 4);
    __m256i there = _mm256_cmpgt_epi32(words, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_maskload_epi32((const int *)(const void *)(row + at), there);
}

LANES_INLINE int32_t row_sum(const struct keying *k, const uint8_t *row)
{
    __m256i sum = _mm256_setzero_si256();
    uint32_t at = 0;
    for (; at + BYTES <= k->plane_bytes; at += BYTES) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(row + at));
        sum = block_sum(sum, x, k, at);
    }
    if (at < k->plane_bytes) {
        sum = block_sum(sum, load_rest(row, k, at), k, at);
    }
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    int32_t u = _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
    return k->bits == 8 ? 2 * u : 2 * u - k->bias;
}

LANES_INLINE void prefetch(const struct keying *k, const uint8_t *row)
{
    for (uint32_t at = 0; at < k->factor_at; at += 64) {
        _mm_prefetch((const char *)(row + at), _MM_HINT_T0);
    }
    _mm_prefetch((const char *)(row + k->factor_at), _MM_HINT_T0);
}

LANES_INLINE void all_keys(const struct code_space *space, const struct code_query *query,
                           unsigned bits, const uint32_t *slots, size_t n, float *keys)
{
    enum {
        AHEAD = 4
    };
    const struct bits_query *q = query->data;
    const struct keying k = {
        .planes = q->planes,
        .plane_stride = plane_stride(bits, space->dim),
        .plane_bytes = plane_bytes(bits, space->dim),
        .factor_at = (uint32_t)factor_at(bits, space->dim),
        .bits = bits,
        .bias = q->bias,
        .finish = bits_finish_of(space, query),
    };
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n) {
            prefetch(&k, space->rows + slots[i + AHEAD] * space->stride);
        }
        const uint8_t *row = space->rows + slots[i] * space->stride;
        const float *numbers = (const float *)(const void *)(row + k.factor_at);
        keys[i] = bits_key(&k.finish, row_sum(&k, row), numbers);
    }
}

static TARGET void keys_8(const struct code_space *space, const struct code_query *query,
                          const uint32_t *slots, size_t n, float *keys)
{
    all_keys(space, query, 8, slots, n, keys);
}

static TARGET void keys_4(const struct code_space *space, const struct code_query *query,
                          const uint32_t *slots, size_t n, float *keys)
{
    all_keys(space, query, 4, slots, n, keys);
}

static TARGET void keys_2(const struct code_space *space, const struct code_query *query,
                          const uint32_t *slots, size_t n, float *keys)
{
    all_keys(space, query, 2, slots, n, keys);
}

const struct bits bits_avx2 = BITS_FUNCTIONS;
#endif
