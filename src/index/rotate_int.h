/* The random rotation, for the instruction set of the file that includes this.
 *
 * Rounds of: random signs; a fast Hadamard transform, on the first and the last power of two in
 * turn; half mixing (Kac: each element of the first half with its fellow of the last becomes their
 * sum and difference).  Each is orthonormal, so lengths and products stay, and after them a
 * vector's elements look like draws from one normal distribution whatever it was.  O(dim log dim),
 * no padding.  A power of two needs no mixing, and one round less.
 *
 * It is a function of dim alone; and each number is made by the same additions whatever the width
 * of the registers, so that machines agree in every bit.
 *
 * The includer defines TARGET and LANES (4, 8 or 16 floats a register). */
#include "index/bits_int.h"

#include <string.h>

#define LANES_INLINE static inline __attribute__((always_inline)) TARGET

typedef float lanes_f __attribute__((vector_size(LANES * 4)));
typedef int32_t lanes_i __attribute__((vector_size(LANES * 4)));
typedef uint32_t lanes_u __attribute__((vector_size(LANES * 4)));

enum {
    ROTATE_ROUNDS = 4,
    ROTATE_ROUNDS_POWER = 3
};

#define ROTATE_SEED UINT64_C(0x9e3779b97f4a7c15)

/* 64 signs: bits of splitmix64. */
static inline uint64_t rotate_signs(unsigned round, uint32_t block)
{
    uint64_t z = ROTATE_SEED * (((uint64_t)round << 32 | block) + 1);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A register from memory of any alignment, and back. */
#define LOAD(v, at)  memcpy(&(v), (at), sizeof(v))
#define STORE(v, at) memcpy((at), &(v), sizeof(v))
#define SPLAT_I(n)   ((lanes_i){0} + (int32_t)(n))

static const int32_t lane_numbers[BITS_LANES] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                 8, 9, 10, 11, 12, 13, 14, 15};

LANES_INLINE void flip_signs(float *x, uint32_t dim, unsigned round)
{
    lanes_i bit_of;
    LOAD(bit_of, lane_numbers);
    bit_of = SPLAT_I(1) << bit_of;
    for (uint32_t i = 0; i < dim; i += 64) {
        uint64_t signs = rotate_signs(round, i / 64);
        for (uint32_t at = i; at < dim && at < i + 64; at += LANES, signs >>= LANES) {
            lanes_f v;
            LOAD(v, x + at);
            lanes_i flipped = (SPLAT_I(signs & 0xffff) & bit_of) == bit_of;
            v = (lanes_f)((lanes_i)v ^ (flipped & INT32_MIN));
            STORE(v, x + at);
        }
    }
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
/* Sums in the lanes that have not the bit, differences in those that have it. */
#define WITHIN(v, bit, lane)                                                                       \
    (SWAPPED(v, bit) + (lanes_f)((lanes_i)(v) ^ ((((lane) & (bit)) == (bit)) & INT32_MIN)))

/* The steps between elements of one register. */
LANES_INLINE void hadamard_within(float *x, uint32_t n, float scale)
{
    lanes_i lane;
    LOAD(lane, lane_numbers);
    for (uint32_t i = 0; i < n; i += LANES) {
        lanes_f v;
        LOAD(v, x + i);
        v *= scale;
        v = WITHIN(v, 1, lane);
        v = WITHIN(v, 2, lane);
#if LANES >= 8
        v = WITHIN(v, 4, lane);
#endif
#if LANES == 16
        v = WITHIN(v, 8, lane);
#endif
        STORE(v, x + i);
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
            lanes_f v[4], sums[2], differences[2];
            UNROLL
            for (int k = 0; k < 4; k++) {
                LOAD(v[k], x + j + (uint32_t)k * half);
            }
            UNROLL
            for (int k = 0; k < 2; k++) {
                sums[k] = v[2 * k] + v[2 * k + 1];
                differences[k] = v[2 * k] - v[2 * k + 1];
            }
            v[0] = sums[0] + sums[1];
            v[1] = differences[0] + differences[1];
            v[2] = sums[0] - sums[1];
            v[3] = differences[0] - differences[1];
            UNROLL
            for (int k = 0; k < 4; k++) {
                STORE(v[k], x + j + (uint32_t)k * half);
            }
        }
    }
}

/* Fewer elements than a register has. */
static inline void hadamard_small(float *x, uint32_t n, float scale)
{
    for (uint32_t i = 0; i < n; i++) {
        x[i] *= scale;
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
LANES_INLINE void hadamard(float *x, uint32_t n)
{
    float scale = sqrtf(1 / (float)n);
    if (n < LANES) {
        hadamard_small(x, n, scale);
        return;
    }
    hadamard_within(x, n, scale);
    uint32_t half = LANES;
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

static TARGET void rotate(float *x, uint32_t dim)
{
    uint32_t power = 1;
    while (2 * power <= dim) {
        power *= 2;
    }
    unsigned rounds = power == dim ? ROTATE_ROUNDS_POWER : ROTATE_ROUNDS;
    for (unsigned round = 0; round < rounds; round++) {
        flip_signs(x, dim, round);
        hadamard(round % 2 == 0 ? x : x + (dim - power), power);
        if (power != dim) {
            mix_halves(x, dim);
        }
    }
}
