/* Codes of few bits on AVX-512 with VNNI: one instruction multiplies bytes and adds four of them up
 * in 32 bits. */
#include "index/bits_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma")))

#define LEVELS_ARE_CENTRED false

static inline __attribute__((always_inline)) TARGET __m512i multiply(__m512i sum, __m512i u,
                                                                     __m512i q, bool is_wide)
{
    (void)is_wide;
    return _mm512_dpbusd_epi32(sum, u, q);
}

#include "index/bits_avx512_int.h"

const struct bits bits_avx512vnni = BITS_FUNCTIONS;
#endif
