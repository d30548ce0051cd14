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
 * A query's data is a struct bits_query: whole numbers q in the order of the planes, each plane on
 * lines of its own, with zeros behind it, so that kernels need not care what a row's last bytes
 * are. The sum that kernels find is 2 <q, c> = 2 sum(q u) - base sum(q): a whole number below 2^31,
 * the same on every machine.  bits_key makes a key of it, with no step that rounds differently. */
#ifndef VECTRON_INDEX_BITS_INT_H
#define VECTRON_INDEX_BITS_INT_H

#include "index/code_int.h"

#include <float.h>
#include <math.h>

enum {
    BITS_BLOCK = 64, /* Bytes of a plane that a kernel may take at once. */
    PLANES_MAX = 4,  /* Of 2 bits. */
    BITS_LANES = 16, /* Floats are summed in so many sums, whatever the registers' width. */
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

/* What a sum becomes a key with, besides the row's numbers. */
struct bits_finish {
    float scale, squares, rest, reduction_squares;
    bool is_l2;
};

static inline struct bits_finish bits_finish_of(const struct code_space *space,
                                                const struct code_query *query)
{
    float reduction_squares = space->reduction * space->reduction;
    return (struct bits_finish){
        .scale = query->scale,
        .squares = query->squares,
        .rest = query->rest,
        .reduction_squares = reduction_squares < FLT_MAX ? reduction_squares : FLT_MAX,
        .is_l2 = space->distance == DISTANCE_L2,
    };
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
