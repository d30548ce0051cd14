/* Kernels for codes of few bits with registers of 64 bytes, for the two files that include this:
 * they differ in how bytes are multiplied and added up.
 *
 * The includer defines TARGET, LEVELS_ARE_CENTRED, and multiply(sum, u, q, is_wide): sum + u q, in
 * 16 lanes of 32 bits, for bytes u (of more than 4 bits where is_wide) and q. */
#define LANES 16

#include "index/lanes_int.h"

LANES_INLINE lanes_i lanes_clamp(lanes_i v, int32_t least, int32_t most)
{
    __m512i low = _mm512_max_epi32((__m512i)v, _mm512_set1_epi32(least));
    return (lanes_i)_mm512_min_epi32(low, _mm512_set1_epi32(most));
}

LANES_INLINE lanes_f lanes_flipped(lanes_f v, uint64_t signs)
{
    __m512 sign = _mm512_set1_ps(-0.0F);
    return (lanes_f)_mm512_mask_xor_ps((__m512)v, (__mmask16)signs, (__m512)v, sign);
}

LANES_INLINE lanes_f lanes_plus(lanes_f v, lanes_f sign, lanes_f w)
{
    return (lanes_f)_mm512_fmadd_ps((__m512)v, (__m512)sign, (__m512)w);
}

#include "index/levels_int.h"
#include "index/rotate_int.h"

#include "index/bits_x86_int.h"

/* u of one plane of a block, times q. */
LANES_INLINE __m512i plane_sum(__m512i sum, __m512i x, const struct keying *k, unsigned plane,
                               __m512i q)
{
    if (k->bits == 8) {
        return multiply(sum, x, q, true);
    }
    lanes_u u = (lanes_u)x >> (plane * k->bits) & plane_mask(k->bits);
    return multiply(sum, (__m512i)u, q, false);
}

/* Lane r: the sum of sums[r]'s lanes. */
LANES_INLINE __m128i fold_group(const __m512i sums[GROUP])
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(sums[0], sums[1]),
                                  _mm512_unpackhi_epi32(sums[0], sums[1]));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(sums[2], sums[3]),
                                  _mm512_unpackhi_epi32(sums[2], sums[3]));
    __m512i four = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i two =
        _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64(four, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
}

LANES_INLINE __m128i group_sums(const struct keying *k, const struct rows *rows)
{
    __m512i sums[GROUP];
    UNROLL
    for (int r = 0; r < GROUP; r++) {
        sums[r] = _mm512_setzero_si512();
    }
    const __m512i shown = _mm512_loadu_si512(k->shown);
    const __mmask64 last = ~(__mmask64)0 >> (k->n_blocks * BITS_BLOCK - k->plane_bytes);
    for (uint32_t block = 0; block < k->n_blocks; block++) {
        __mmask64 there = block + 1 < k->n_blocks ? ~(__mmask64)0 : last;
        __m512i x[GROUP];
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            x[r] = _mm512_maskz_loadu_epi8(there, rows->at[r] + (size_t)block * BITS_BLOCK);
            x[r] = k->bits == 4 && block == 0 ? _mm512_and_si512(x[r], shown) : x[r];
        }
        UNROLL
        for (unsigned plane = 0; plane < PLANES_MAX; plane++) {
            if (plane >= 8 / k->bits) {
                continue;
            }
            __m512i q =
                _mm512_load_si512(k->planes + plane * k->plane_stride + (size_t)block * BITS_BLOCK);
            UNROLL
            for (int r = 0; r < GROUP; r++) {
                sums[r] = plane_sum(sums[r], x[r], k, plane, q);
            }
        }
    }
    return fold_group(sums);
}
