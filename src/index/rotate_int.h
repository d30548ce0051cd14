/* The random rotation, for the instruction set of the file that includes this.
 *
 * Rounds of: random signs and a fast Hadamard transform, on the first and the last power of two in
 * turn; then half mixing (Kac: each element of the first half with its fellow of the last becomes
 * their sum and difference).  Each is orthonormal, so lengths and products stay, and after them a
 * vector's elements look like draws from one normal distribution whatever it was.  O(dim log dim),
 * no padding.  A power of two needs no mixing, and two rounds.
 *
 * It is a function of dim alone; and each number is made by the same additions whatever the width
 * of the registers, so that machines agree in every bit. */
#include "index/lanes_int.h"

enum {
    ROTATE_ROUNDS = 4,
    ROTATE_ROUNDS_POWER = 2,
    SIGNS = 64,        /* Of one draw. */
    BLOCK = 4 * LANES, /* Elements that are transformed in registers. */
};

#define ROTATE_SEED UINT64_C(0x9e3779b97f4a7c15)

/* Signs for SIGNS elements: bits of splitmix64. */
static inline uint64_t rotate_signs(unsigned round, uint32_t block)
{
    uint64_t z = ROTATE_SEED * (((uint64_t)round << 32 | block) + 1);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Lane i from lane i ^ bit. */
#if LANES == 16
#define SWAPPED(v, bit)                                                                            \
    __builtin_shufflevector(v, v, 0 ^ (bit), 1 ^ (bit), 2 ^ (bit), 3 ^ (bit), 4 ^ (bit),           \
                            5 ^ (bit), 6 ^ (bit), 7 ^ (bit), 8 ^ (bit), 9 ^ (bit), 10 ^ (bit),     \
                            11 ^ (bit), 12 ^ (bit), 13 ^ (bit), 14 ^ (bit), 15 ^ (bit))
#elif LANES == 8
#define SWAPPED(v, bit)                                                                            \
    __builtin_shufflevector(v, v, 0 ^ (bit), 1 ^ (bit), 2 ^ (bit), 3 ^ (bit), 4 ^ (bit),           \
                            5 ^ (bit), 6 ^ (bit), 7 ^ (bit))
#else
#define SWAPPED(v, bit) __builtin_shufflevector(v, v, 0 ^ (bit), 1 ^ (bit), 2 ^ (bit), 3 ^ (bit))
#endif
/* What WITHIN multiplies with: 1 in the lanes that have not the bit, -1 in those that have it. */
LANES_INLINE lanes_f signs_of(int32_t bit)
{
    lanes_i lane;
    LOAD(lane, lane_numbers);
    const lanes_f one = (lanes_f){0} + 1;
    return (lanes_f)((lanes_i)one ^ (((lane & bit) == bit) & INT32_MIN));
}

/* The steps between elements of one register. */
LANES_INLINE lanes_f hadamard_within(lanes_f v)
{
    v = lanes_plus(v, signs_of(1), SWAPPED(v, 1));
    v = lanes_plus(v, signs_of(2), SWAPPED(v, 2));
#if LANES >= 8
    v = lanes_plus(v, signs_of(4), SWAPPED(v, 4));
#endif
#if LANES == 16
    v = lanes_plus(v, signs_of(8), SWAPPED(v, 8));
#endif
    return v;
}

/* The steps between registers of a quarter each. */
LANES_INLINE void hadamard_across(lanes_f v[4])
{
    lanes_f sums[2], differences[2];
    UNROLL
    for (int k = 0; k < 2; k++) {
        sums[k] = v[2 * k] + v[2 * k + 1];
        differences[k] = v[2 * k] - v[2 * k + 1];
    }
    v[0] = sums[0] + sums[1];
    v[1] = differences[0] + differences[1];
    v[2] = sums[0] - sums[1];
    v[3] = differences[0] - differences[1];
}

/* All that needs no more than BLOCK elements, with signs and scale. */
LANES_INLINE void hadamard_blocks(float *x, uint32_t n, float scale, unsigned round)
{
    uint64_t signs = 0;
    for (uint32_t i = 0; i < n; i += BLOCK) {
        signs = i % SIGNS == 0 ? rotate_signs(round, i / SIGNS) : signs;
        lanes_f v[4];
        UNROLL
        for (uint32_t k = 0; k < 4; k++) {
            LOAD(v[k], x + i + k * LANES);
            v[k] = hadamard_within(lanes_flipped(v[k] * scale, signs));
            signs >>= LANES;
        }
        hadamard_across(v);
        UNROLL
        for (uint32_t k = 0; k < 4; k++) {
            STORE(v[k], x + i + k * LANES);
        }
    }
}

/* The step between elements @half apart. */
LANES_INLINE void hadamard_step(float *x, uint32_t n, uint32_t half)
{
    for (uint32_t i = 0; i < n; i += 2 * half) {
        for (uint32_t j = i; j < i + half; j += LANES) {
            lanes_f a, b, sum, difference;
            LOAD(a, x + j);
            LOAD(b, x + j + half);
            sum = a + b;
            difference = a - b;
            STORE(sum, x + j);
            STORE(difference, x + j + half);
        }
    }
}

/* Two steps in one pass over memory: @half and twice that. */
LANES_INLINE void hadamard_steps(float *x, uint32_t n, uint32_t half)
{
    for (uint32_t i = 0; i < n; i += 4 * half) {
        for (uint32_t j = i; j < i + half; j += LANES) {
            lanes_f v[4];
            UNROLL
            for (uint32_t k = 0; k < 4; k++) {
                LOAD(v[k], x + j + k * half);
            }
            hadamard_across(v);
            UNROLL
            for (uint32_t k = 0; k < 4; k++) {
                STORE(v[k], x + j + k * half);
            }
        }
    }
}

/* Fewer elements than a block. */
static inline void hadamard_small(float *x, uint32_t n, float scale, unsigned round)
{
    uint64_t signs = rotate_signs(round, 0);
    for (uint32_t i = 0; i < n; i++) {
        x[i] *= (signs >> i & 1) != 0 ? -scale : scale;
    }
    for (uint32_t half = 1; half < n; half *= 2) {
        for (uint32_t i = 0; i < n; i++) {
            if ((i & half) == 0) {
                float a = x[i], b = x[i + half];
                x[i] = a + b;
                x[i + half] = a - b;
            }
        }
    }
}

/* n: a power of two. */
LANES_INLINE void hadamard(float *x, uint32_t n, float scale, unsigned round)
{
    if (n < BLOCK) {
        hadamard_small(x, n, scale, round);
        return;
    }
    hadamard_blocks(x, n, scale, round);
    uint32_t half = BLOCK;
    for (; 4 * half <= n; half *= 4) {
        hadamard_steps(x, n, half);
    }
    if (half < n) {
        hadamard_step(x, n, half);
    }
}

LANES_INLINE void mix_halves(float *x, uint32_t dim)
{
    const float scale = 0.70710678F;
    float *low = x, *high = x + (dim + 1) / 2;
    uint32_t half = dim / 2, i = 0;
    for (; i + LANES <= half; i += LANES) {
        lanes_f a, b, sum, difference;
        LOAD(a, low + i);
        LOAD(b, high + i);
        sum = (a + b) * scale;
        difference = (a - b) * scale;
        STORE(sum, low + i);
        STORE(difference, high + i);
    }
    for (; i < half; i++) {
        float a = low[i], b = high[i];
        low[i] = (a + b) * scale;
        high[i] = (a - b) * scale;
    }
}

/* The vector, maybe x itself, times @scale, turned, with zeros up to whole registers. */
static TARGET void rotate(const float *vector, uint32_t dim, float scale, float *x)
{
    uint32_t power = 1, n = padded_dim(dim);
    while (2 * power <= dim) {
        power *= 2;
    }
    memmove(x, vector, dim * sizeof(float));
    memset(x + dim, 0, (n - dim) * sizeof(float));
    for (uint32_t i = 0; i < n; i += LANES) {
        lanes_f v;
        LOAD(v, x + i);
        v *= scale;
        STORE(v, x + i);
    }
    float unit = sqrtf(1 / (float)power);
    unsigned rounds = power == dim ? ROTATE_ROUNDS_POWER : ROTATE_ROUNDS;
    for (unsigned round = 0; round < rounds; round++) {
        hadamard(round % 2 == 0 ? x : x + (dim - power), power, unit, round);
        if (power != dim) {
            mix_halves(x, dim);
        }
    }
}
