/* Codes of few bits on any aarch64: products of bytes have 16 bits, and two of them fit. */
#include "index/bits_int.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define TARGET

static inline __attribute__((always_inline)) int32x4_t multiply(int32x4_t sum, int8x16_t c,
                                                                int8x16_t q)
{
    int16x8_t products = vmull_s8(vget_low_s8(c), vget_low_s8(q));
    return vpadalq_s16(sum, vmlal_s8(products, vget_high_s8(c), vget_high_s8(q)));
}

#include "index/bits_neon_int.h"

const struct bits bits_neon = BITS_FUNCTIONS;
#endif
