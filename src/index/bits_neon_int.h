/* Kernels for codes of few bits on aarch64, for the two files that include this: they differ in how
 * bytes are multiplied and added up.
 *
 * The includer defines TARGET and multiply(sum, c, q): sum + c q, in 4 lanes of 32 bits, for signed
 * bytes c of -127 .. 127 and q.  Levels of 8 bits are taken as u - 128, and no bias is left to take
 * away. */
#define LANES 4

#include "index/lanes_int.h"

LANES_INLINE lanes_i lanes_clamp(lanes_i v, int32_t least, int32_t most)
{
    int32x4_t low = vmaxq_s32((int32x4_t)v, vdupq_n_s32(least));
    return (lanes_i)vminq_s32(low, vdupq_n_s32(most));
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
    return (lanes_f)vfmaq_f32((float32x4_t)w, (float32x4_t)v, (float32x4_t)sign);
}

#include "index/levels_int.h"
#include "index/rotate_int.h"

enum {
    BYTES = 16, /* A register. */
    AHEAD = 4
};

LANES_INLINE int32x4_t block_sum(int32x4_t sum, uint8x16_t x, const int8_t *planes, uint32_t stride,
                                 unsigned bits)
{
    if (bits == 8) {
        return multiply(sum, vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(128))), vld1q_s8(planes));
    }
    UNROLL
    for (unsigned plane = 0; plane < PLANES_MAX; plane++) {
        if (plane >= 8 / bits) {
            continue;
        }
        int8x16_t down = vdupq_n_s8((int8_t) - (int)(plane * bits));
        uint8x16_t u = vandq_u8(vshlq_u8(x, down), vdupq_n_u8((uint8_t)plane_mask(bits)));
        sum = multiply(sum, vreinterpretq_s8_u8(u), vld1q_s8(planes + plane * stride));
    }
    return sum;
}

LANES_INLINE int32_t row_sum(const struct bits_query *q, const uint8_t *row, uint32_t dim,
                             unsigned bits, uint32_t n_hidden)
{
    const uint8_t *shown = bits_shown[n_hidden / BITS_LANES];
    uint32_t bytes = plane_bytes(bits, dim), stride = plane_stride(bits, dim), at = 0;
    int32x4_t sum = vdupq_n_s32(0);
    for (; at + BYTES <= bytes; at += BYTES) {
        uint8x16_t x = vld1q_u8(row + at);
        x = at < n_hidden ? vandq_u8(x, vld1q_u8(shown + at)) : x;
        sum = block_sum(sum, x, q->planes + at, stride, bits);
    }
    if (at < bytes) {
        uint8_t rest[BYTES] = {0};
        memcpy(rest, row + at, bytes - at);
        sum = block_sum(sum, vld1q_u8(rest), q->planes + at, stride, bits);
    }
    return 2 * vaddvq_s32(sum) - (bits == 8 ? 0 : q->bias);
}

LANES_INLINE void all_keys(const struct code_space *space, const struct code_query *query,
                           unsigned bits, const uint32_t *slots, size_t n, float *keys)
{
    const struct bits_finish finish = bits_finish_of(space, query);
    size_t bytes = space->code->row_bytes(space->dim, space->distance);
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n) {
            const uint8_t *next = space->rows + slots[i + AHEAD] * space->stride;
            for (size_t at = 0; at < bytes; at += CACHE_LINE) {
                __builtin_prefetch(next + at);
            }
            __builtin_prefetch(next + bytes - 1);
        }
        const uint8_t *row = space->rows + slots[i] * space->stride;
        float numbers[2];
        bits_numbers(&finish, row, numbers);
        int32_t sum = row_sum(query->data, row, space->dim, bits, finish.n_hidden);
        keys[i] = bits_key(&finish, sum, numbers);
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
