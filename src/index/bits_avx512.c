/* Codes of few bits on AVX-512 without VNNI. */
#include "index/bits_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET             __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma")))
#define LEVELS_ARE_CENTRED true

static inline __attribute__((always_inline)) TARGET __m512i multiply(__m512i sum, __m512i u,
                                                                     __m512i q, bool is_wide)
{
    if (is_wide) {
        u = _mm512_xor_si512(u, _mm512_set1_epi8((char)128));
        q = _mm512_mask_sub_epi8(q, _mm512_movepi8_mask(u), _mm512_setzero_si512(), q);
        u = _mm512_abs_epi8(u);
    }
    __m512i pairs = _mm512_maddubs_epi16(u, q);
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

#include "index/bits_avx512_int.h"

const struct bits bits_avx512 = BITS_FUNCTIONS;
#endif
