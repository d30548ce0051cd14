/* Codes of few bits in plain C: the reference for the others, and for machines without AVX2. */
#define TARGET
#define LANES 4

#include "index/lanes_int.h"

LANES_INLINE lanes_i lanes_clamp(lanes_i v, int32_t least, int32_t most)
{
    lanes_i is_less = v<least, is_more = v> most;
    return (v & ~(is_less | is_more)) | (is_less & least) | (is_more & most);
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
    return w + v * sign;
}

#include "index/levels_int.h"
#include "index/rotate_int.h"

LANES_INLINE int32_t row_sum(const struct bits_query *q, const uint8_t *row, uint32_t dim,
                             unsigned bits, uint32_t n_hidden)
{
    const uint8_t *shown = bits_shown[n_hidden / BITS_LANES];
    uint32_t bytes = plane_bytes(bits, dim), stride = plane_stride(bits, dim);
    int32_t sum = 0;
    for (unsigned plane = 0; plane < 8 / bits; plane++) {
        const int8_t *numbers = q->planes + plane * stride;
        for (uint32_t i = 0; i < bytes; i++) {
            int x = i < n_hidden ? row[i] & shown[i] : row[i];
            sum += (x >> (plane * bits) & ((1 << bits) - 1)) * numbers[i];
        }
    }
    return 2 * sum - q->bias;
}

LANES_INLINE void all_keys(const struct code_space *space, const struct code_query *query,
                           unsigned bits, const uint32_t *slots, size_t n, float *keys)
{
    const struct bits_query *q = query->data;
    const struct bits_finish finish = bits_finish_of(space, query);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *row = space->rows + slots[i] * space->stride;
        float numbers[2];
        bits_numbers(&finish, row, numbers);
        keys[i] = bits_key(&finish, row_sum(q, row, space->dim, bits, finish.n_hidden), numbers);
    }
}

static void keys_8(const struct code_space *space, const struct code_query *query,
                   const uint32_t *slots, size_t n, float *keys)
{
    all_keys(space, query, 8, slots, n, keys);
}

static void keys_4(const struct code_space *space, const struct code_query *query,
                   const uint32_t *slots, size_t n, float *keys)
{
    all_keys(space, query, 4, slots, n, keys);
}

static void keys_2(const struct code_space *space, const struct code_query *query,
                   const uint32_t *slots, size_t n, float *keys)
{
    all_keys(space, query, 2, slots, n, keys);
}

const struct bits bits_scalar = BITS_FUNCTIONS;
