/* Distance kernels over floats, one file for each instruction set. */
#ifndef VECTRON_INDEX_KERNEL_INT_H
#define VECTRON_INDEX_KERNEL_INT_H

#include "index/exact_int.h"

/* Internally a distance is a *key*: smaller is nearer; L2 squared, or the negated inner product
 * for both others.  A key is never NaN: where finite vectors overflow it is the largest. */
struct space {
    const float *vectors;
    size_t stride; /* Floats from one slot's vector to the next. */
    uint32_t dim;
};

/* keys[i] = the key of query and the vector of slots[i].
 *
 * Every variant adds up in the same order, so that keys are equal to the bit on all machines: the
 * elements with equal index mod 16 are one sum, in the order of their indexes, with no multiply-add
 * fused; and sixteen sums s become ((s0 + s2) + (s1 + s3)) of each four, those v, and they
 * (v0 + v2) + (v1 + v3). */
typedef void kernel_fn(const struct space *space, const float *query, const uint32_t *slots,
                       size_t n, float *keys);

struct bits; /* bits_int.h */

enum {
    BEAM_SLACK = 16, /* Floats of a register. */
};

/* What a beam asks of the instruction set. Its arrays may be read and written by whole registers:
 * behind their end is room for BEAM_SLACK more. */
struct beam_fns {
    /* How many of the keys, which rise, are smaller than @key. */
    size_t (*place)(const float *keys, size_t n, float key);
    /* Puts a key, and its slot beside it, before the at-th; those from there on move up. */
    void (*insert)(float *keys, uint32_t *slots, size_t n, size_t at, float key, uint32_t slot);
    /* The places, in order, of those of up to 256 keys that are not above @limit. */
    size_t (*within)(const float *keys, size_t n, float limit, uint8_t *places);
};

struct kernel {
    const char *name;
    bool (*is_usable)(void);
    kernel_fn *l2, *dot;
    const struct beam_fns *beam;
    const struct exact *exact;
    const struct bits *bits;
};

extern const struct kernel kernel_scalar;
#if defined(__x86_64__)
extern const struct kernel kernel_avx2, kernel_avx512, kernel_avx512vnni;
#elif defined(__aarch64__)
extern const struct kernel kernel_neon, kernel_neondot;
#endif

kernel_fn *kernel_for(enum distance distance);
const struct beam_fns *beam_fns_chosen(void);
extern const struct beam_fns beam_fns_scalar;

enum {
    CACHE_LINE = 64
};

/* Before a loop of a few rounds over an array of registers: without copies of its body compilers
 * keep the array in memory, below -O3. */
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#endif
