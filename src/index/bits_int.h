/* Codes of few bits: how a row and a query are laid out, and what instruction sets differ in.
 *
 * A row's levels u, @bits wide, stand in *planes*, 8 / bits of them: byte j holds dimension j in
 * its lowest bits, plane_bytes + j above it, and so on; bits of dimensions that are not there are
 * 0.
 *
 *     plane_bytes   levels
 *     0 .. 3        0
 *     4             factor: a product is estimated as factor x <query, c>, c = u - base / 2
 *     4             |r|^2, not under COSINE
 *
 * Levels of 4 bits that fill whole lines of the cache stand alone there: a line more for the
 * numbers would be one more to wait for.  Then the lowest bit of the first bytes is no level's but
 * of a word that the numbers are made of (bits_hidden), and what is left of a level, u - 1 or u,
 * stands for the middle of both.
 *
 * A query's data is a struct bits_query: whole numbers q in the order of the planes, each plane on
 * lines of its own, with zeros behind it, so that kernels need not care what a row's last bytes
 * are. The sum that kernels find is 2 <q, c> = 2 sum(q u) - base sum(q): a whole number below 2^31,
 * the same on every machine.  bits_key makes a key of it, with no step that rounds differently. */
#ifndef VECTRON_INDEX_BITS_INT_H
#define VECTRON_INDEX_BITS_INT_H

#include "index/code_int.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    BITS_BLOCK = 64,      /* Bytes of a plane that a kernel may take at once. */
    PLANES_MAX = 4,       /* Of 2 bits. */
    BITS_HIDDEN_MAX = 32, /* Bytes whose lowest bit is of the numbers. */
    BITS_LANES = 16,      /* Floats are summed in so many sums, whatever the registers' width. */
};

struct bits_query {
    _Alignas(64) int32_t bias; /* base x sum(q) */
    _Alignas(64) int8_t planes[];
};

static inline uint32_t plane_bytes(unsigned bits, uint32_t dim)
{
    return (dim * bits + 7) / 8;
}

/* From one plane of a query to the next. */
static inline uint32_t plane_stride(unsigned bits, uint32_t dim)
{
    return (plane_bytes(bits, dim) + BITS_BLOCK - 1) / BITS_BLOCK * BITS_BLOCK;
}

/* How many of a plane's bytes have a dimension. */
static inline uint32_t plane_filled(unsigned bits, uint32_t dim, unsigned plane)
{
    uint32_t bytes = plane_bytes(bits, dim), first = plane * bytes;
    return dim <= first ? 0 : dim - first < bytes ? dim - first : bytes;
}

/* How many of the first bytes have a bit of the numbers. */
static inline uint32_t bits_n_hidden(unsigned bits, uint32_t dim, enum distance distance)
{
    if (bits != 4 || plane_bytes(bits, dim) % CACHE_LINE != 0) {
        return 0;
    }
    return distance == DISTANCE_COSINE ? BITS_HIDDEN_MAX / 2 : BITS_HIDDEN_MAX;
}

/* What is a level's of a row's first bytes, by bits_n_hidden / 16. */
#define SHOWN_16 254, 254, 254, 254, 254, 254, 254, 254, 254, 254, 254, 254, 254, 254, 254, 254
#define WHOLE_16 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255
static const uint8_t bits_shown[3][BITS_BLOCK] = {
    {WHOLE_16, WHOLE_16, WHOLE_16, WHOLE_16},
    {SHOWN_16, WHOLE_16, WHOLE_16, WHOLE_16},
    {SHOWN_16, SHOWN_16, WHOLE_16, WHOLE_16},
};
#undef SHOWN_16
#undef WHOLE_16

static inline size_t factor_at(unsigned bits, uint32_t dim)
{
    return (plane_bytes(bits, dim) + 3) / 4 * 4;
}

/* One plane's bits, in each of four bytes. */
static inline uint32_t plane_mask(unsigned bits)
{
    return UINT32_C(0x01010101) * ((1U << bits) - 1);
}

/* Twice the level that stands for 0.  8 bits have one level less, so that a row's own are whole
 * numbers of 8 bits. */
static inline int bits_base(unsigned bits)
{
    return bits == 8 ? 256 : (1 << bits) - 1;
}

/* Room for a vector between its steps: whole registers, zeros behind its end. */
struct bits_room {
    _Alignas(64) float x[VECTOR_DIM_MAX + BITS_LANES];
};

static inline uint32_t padded_dim(uint32_t dim)
{
    return (dim + BITS_LANES - 1) / BITS_LANES * BITS_LANES;
}

typedef void bits_keys_fn(const struct code_space *space, const struct code_query *query,
                          const uint32_t *slots, size_t n, float *keys);

/* One set of functions for an instruction set; all give equal results. */
struct bits {
    /* x = vector times scale, turned (rotate_int.h); zeros behind it up to whole lanes.  The
     * vector may be x. */
    void (*rotate)(const float *vector, uint32_t dim, float scale, float *x);
    /* The levels of x that point closest to where it points; returns <x, c> (levels_int.h). */
    float (*levels)(const float *x, uint32_t dim, unsigned bits, uint8_t *levels);
    /* q = x / step, rounded, the largest 127; returns sum(q). */
    int32_t (*round)(const float *x, uint32_t dim, int8_t *q, float *step);
    /* q = a row's 2 u - base, or u - 128 of 8 bits, in planes; returns sum(q). */
    int32_t (*own)(const uint8_t *row, uint32_t dim, unsigned bits, int8_t *planes);
    bits_keys_fn *keys_8, *keys_4, *keys_2;
};

extern const struct bits bits_scalar;
#if defined(__x86_64__)
extern const struct bits bits_avx2, bits_avx512, bits_avx512vnni;
#elif defined(__aarch64__)
extern const struct bits bits_neon, bits_neondot;
#endif
/* Those of the chosen kernel (kernel.c). */
const struct bits *bits_chosen(void);

/* What a sum becomes a key with, besides the row's numbers, and where these stand. */
struct bits_finish {
    float scale, squares, rest, reduction_squares;
    bool is_l2, is_cosine;
    uint32_t n_hidden;
    size_t factor_at;
    float unit; /* 1 / sqrt(dim), where numbers are hidden. */
};

static inline struct bits_finish bits_finish_of(const struct code_space *space,
                                                const struct code_query *query)
{
    unsigned bits = space->code->bits;
    uint32_t n_hidden = bits_n_hidden(bits, space->dim, space->distance);
    float reduction_squares = space->reduction * space->reduction;
    return (struct bits_finish){
        .scale = query->scale,
        .squares = query->squares,
        .rest = query->rest,
        .reduction_squares = reduction_squares < FLT_MAX ? reduction_squares : FLT_MAX,
        .is_l2 = space->distance == DISTANCE_L2,
        .is_cosine = space->distance == DISTANCE_COSINE,
        .n_hidden = n_hidden,
        .factor_at = factor_at(bits, space->dim),
        .unit = n_hidden > 0 ? 1 / sqrtf((float)space->dim) : 0,
    };
}

/* ---- numbers that are hidden in levels ---- */

/* A word is, from its lowest bit on, g = factor sqrt(dim) / |r|, of which two bits of the exponent
 * are kept, for the levels' mean square lies between 1/4 and 64; and |r|, not under COSINE.
 * Mantissas are cut: of 14 bits under COSINE; of 10, and of 12 for |r|. */
enum {
    HIDDEN_LEAST = 124 << 23, /* The exponent of 1/8, as a float has it. */
    HIDDEN_COSINE_SHIFT = 9,  /* What a float has below g's bits. */
    HIDDEN_SHIFT = 13,
    HIDDEN_BITS = 12, /* Of g, below |r|. */
    HIDDEN_LENGTH_SHIFT = 11,
};

static inline float bits_as_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* numbers: the factor, and |r|^2. */
static inline void bits_hidden(const struct bits_finish *f, uint32_t word, float numbers[2])
{
    if (f->is_cosine) {
        numbers[0] = bits_as_float((word << HIDDEN_COSINE_SHIFT) + HIDDEN_LEAST) * f->unit;
        return;
    }
    uint32_t low = word & ((1U << HIDDEN_BITS) - 1);
    float g = bits_as_float((low << HIDDEN_SHIFT) + HIDDEN_LEAST);
    float length = bits_as_float(word >> HIDDEN_BITS << HIDDEN_LENGTH_SHIFT);
    float squares = length * length;
    numbers[0] = g * length * f->unit;
    numbers[1] = squares < FLT_MAX ? squares : FLT_MAX;
}

static inline void bits_numbers(const struct bits_finish *f, const uint8_t *row, float numbers[2])
{
    if (f->n_hidden == 0) {
        memcpy(numbers, row + f->factor_at, (f->is_cosine ? 1 : 2) * sizeof(float));
        return;
    }
    uint32_t word = 0;
    for (uint32_t i = 0; i < f->n_hidden; i++) {
        word |= (uint32_t)(row[i] & 1) << i;
    }
    bits_hidden(f, word, numbers);
}

/* What a row has in the dimension that the reduction of DOT adds. */
static inline float bits_rest(float reduction_squares, float squares)
{
    float left = reduction_squares - squares;
    return left > 0 ? sqrtf(left) : 0;
}

/* @numbers: the row's factor and what follows it. */
static inline float bits_key(const struct bits_finish *f, int32_t sum, const float *numbers)
{
    float weight = numbers[0] * f->scale, product = (float)sum * weight, key = -product;
    if (f->is_l2) {
        key = (f->squares + numbers[1]) - (product + product);
    } else if (f->rest > 0) {
        key = -product - f->rest * bits_rest(f->reduction_squares, numbers[1]);
    }
    return key < INFINITY ? key : INFINITY;
}

#endif
