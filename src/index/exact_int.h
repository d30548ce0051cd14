/* Distances that are reported and that decide the order of hits: summed in double, in an order that
 * depends on dim alone, so that every machine finds the same number.
 *
 * Sixteen sums, of the elements with equal index mod 16, are folded in halves.  Products of two
 * floats are exact in double, so fused and separate multiply-adds give the same; differences are
 * squared without fusing.  No finite floats overflow: dim x (2 x 3.4e38)^2 is far below 1e308. */
#ifndef VECTRON_INDEX_EXACT_INT_H
#define VECTRON_INDEX_EXACT_INT_H

#include "index/index.h"

enum {
    EXACT_LANES = 16
};

/* One set of functions for an instruction set; all give equal results. */
struct exact {
    double (*squares)(const float *a, const float *b, uint32_t dim); /* Of the differences. */
    double (*product)(const float *a, const float *b, uint32_t dim);
    /* <a, b> and |b|^2; each is what product gives. */
    void (*products)(const float *a, const float *b, uint32_t dim, double out[2]);
};

extern const struct exact exact_scalar;
#if defined(__x86_64__)
extern const struct exact exact_avx2, exact_avx512;
#endif

/* Those of the chosen kernel (kernel.c). */
const struct exact *exact_chosen(void);

/* As base/schema.h says, by the kernels that were chosen: L2 is the root of the sum of squares;
 * COSINE lies in 0 .. 2, is exactly 0 for equal vectors, and 1 where one is zero; DOT is the
 * negated product.  Vectors are any finite floats; COSINE needs no length. */
double exact_distance(enum distance distance, const float *a, const float *b, uint32_t dim);

/* The same from one vector to many. */
struct exact_query {
    enum distance distance;
    uint32_t dim;
    const float *vector;
    double squares; /* |vector|^2; of COSINE. */
};
struct exact_query exact_query_of(enum distance distance, const float *vector, uint32_t dim);
double exact_distance_to(const struct exact_query *query, const float *b);

#endif
