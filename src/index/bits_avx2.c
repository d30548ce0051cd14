/* Codes of few bits on AVX2. */
#include "index/bits_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET             __attribute__((target("avx2,fma")))
#define LANES              8
#define LEVELS_ARE_CENTRED true

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

#include "index/bits_x86_int.h"

enum {
    BYTES = 32 /* A register. */
};

/* The last bytes of a plane, by words of 4 that the row has. */
LANES_INLINE __m256i load_rest(const uint8_t *row, const struct keying *k, uint32_t at)
{
    __m256i words = _mm256_set1_epi32((int)(k->finish.factor_at - at) / 4);
    __m256i there = _mm256_cmpgt_epi32(words, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_maskload_epi32((const int *)(const void *)(row + at), there);
}

/* sums + x q, for all planes of a block that begins @at. */
LANES_INLINE void add_block(__m256i sums[GROUP], const __m256i x[GROUP], const struct keying *k,
                            uint32_t at)
{
    __m256i pairs[GROUP];
    const __m256i mask = _mm256_set1_epi32((int)plane_mask(k->bits));
    UNROLL
    for (unsigned plane = 0; plane < PLANES_MAX; plane++) {
        if (plane >= 8 / k->bits) {
            continue;
        }
        const int8_t *at_plane = k->planes + plane * k->plane_stride + at;
        __m256i q = _mm256_load_si256((const __m256i *)(const void *)at_plane);
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            if (k->bits == 8) {
                __m256i c = _mm256_xor_si256(x[r], _mm256_set1_epi8((char)128));
                pairs[r] = _mm256_maddubs_epi16(_mm256_abs_epi8(c), _mm256_sign_epi8(q, c));
                continue;
            }
            __m256i u = _mm256_and_si256(_mm256_srli_epi16(x[r], (int)(plane * k->bits)), mask);
            __m256i more = _mm256_maddubs_epi16(u, q);
            pairs[r] = plane == 0 ? more : _mm256_add_epi16(pairs[r], more);
        }
    }
    UNROLL
    for (int r = 0; r < GROUP; r++) {
        sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(pairs[r], _mm256_set1_epi16(1)));
    }
}

/* Lane r: the sum of sums[r]'s lanes. */
LANES_INLINE __m128i fold_group(const __m256i sums[GROUP])
{
    __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(sums[0], sums[1]),
                                  _mm256_unpackhi_epi32(sums[0], sums[1]));
    __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(sums[2], sums[3]),
                                  _mm256_unpackhi_epi32(sums[2], sums[3]));
    __m256i two = _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
    return _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
}

LANES_INLINE __m128i group_sums(const struct keying *k, const struct rows *rows)
{
    const __m256i shown = _mm256_loadu_si256((const __m256i *)(const void *)k->shown);
    __m256i sums[GROUP], x[GROUP];
    UNROLL
    for (int r = 0; r < GROUP; r++) {
        sums[r] = _mm256_setzero_si256();
    }
    uint32_t at = 0;
    for (; at + BYTES <= k->plane_bytes; at += BYTES) {
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            x[r] = _mm256_loadu_si256((const __m256i *)(const void *)(rows->at[r] + at));
            x[r] = k->bits == 4 && at == 0 ? _mm256_and_si256(x[r], shown) : x[r];
        }
        add_block(sums, x, k, at);
    }
    if (at < k->plane_bytes) {
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            x[r] = load_rest(rows->at[r], k, at);
        }
        add_block(sums, x, k, at);
    }
    return fold_group(sums);
}

const struct bits bits_avx2 = BITS_FUNCTIONS;
#endif
