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
/* How many of the keys, which rise, are smaller than @key. */
typedef size_t kernel_place_fn(const float *keys, size_t n, float key);

struct kernel {
    const char *name;
    bool (*is_usable)(void);
    kernel_fn *l2, *dot;
    kernel_place_fn *place;
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
kernel_place_fn *kernel_place(void);
size_t scalar_place(const float *keys, size_t n, float key);

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
