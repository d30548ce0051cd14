/* Codes of few bits on AVX-512 without VNNI.
 *
 * Bytes are multiplied and added up in pairs of 16 bits that saturate.  With levels of 4 bits a
 * pair is at most 2 x 15 x 127; those of 8 bits are taken as u - 128 and its sign given to q, so
 * that it is at most 2 x 127 x 127, and what is missing is 128 sum(q), added here by pairs as well.
 */
#include "index/bits_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma")))

static inline __attribute__((always_inline)) TARGET __m512i add_pairs(__m512i sum, __m512i pairs)
{
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

static inline __attribute__((always_inline)) TARGET __m512i multiply(__m512i sum, __m512i u,
                                                                     __m512i q, bool is_wide)
{
    if (!is_wide) {
        return add_pairs(sum, _mm512_maddubs_epi16(u, q));
    }
    __m512i middle = _mm512_set1_epi8((char)128), c = _mm512_xor_si512(u, middle);
    __m512i signed_q = _mm512_mask_sub_epi8(q, _mm512_movepi8_mask(c), _mm512_setzero_si512(), q);
    sum = add_pairs(sum, _mm512_maddubs_epi16(_mm512_abs_epi8(c), signed_q));
    __m512i sums = _mm512_maddubs_epi16(_mm512_set1_epi8(1), q);
    return _mm512_add_epi32(sum, _mm512_madd_epi16(sums, _mm512_set1_epi16(128)));
}

#include "index/bits_avx512_int.h"

const struct bits bits_avx512 = BITS_FUNCTIONS;
#endif
