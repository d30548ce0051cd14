/* Codes of few bits on aarch64 with dot products: one instruction multiplies bytes and adds four of
 * them up in 32 bits. */
#include "index/bits_int.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define TARGET __attribute__((target("arch=armv8.2-a+dotprod")))

static inline __attribute__((always_inline)) TARGET int32x4_t multiply(int32x4_t sum, int8x16_t c,
                                                                       int8x16_t q)
{
    return vdotq_s32(sum, c, q);
}

#include "index/bits_neon_int.h"

const struct bits bits_neondot = BITS_FUNCTIONS;
#endif
