/* Codes: what a walk and the building of the graph see of a vector.
 *
 * A code is a row of functions: f32 (the vector itself), 8, 4 or 2 bits a dimension of the rotated
 * vector.  The graph's files know codes and slots, not floats.
 *
 * A *key* is what codes are compared by: smaller is nearer.  Of a query and a row: L2 squared;
 * -<q, r> for COSINE (rows have length 1) and DOT.  Of two rows (code_query_of_row): the same for
 * L2 and COSINE; for DOT the metric of its reduction, -(<a, b> + x_a x_b) with x = sqrt(max(0, M^2
 * - |r|^2)). Keys are never NaN: where floats overflow it is the largest; estimates of L2 may be
 * below 0.  They are equal to the bit on every machine: sums are of whole numbers, or of floats in
 * one order, and the same arithmetic follows them everywhere. */
#ifndef VECTRON_INDEX_CODE_INT_H
#define VECTRON_INDEX_CODE_INT_H

#include "index/kernel_int.h"

struct code;

/* All that reading codes takes; copied by value into walks. */
struct code_space {
    const struct code *code;
    const uint8_t *rows; /* stride bytes a slot. */
    size_t stride;
    uint32_t dim;
    enum distance distance;
    float reduction; /* DOT between rows: M; 0 elsewhere. */
    /* L2: codes of fewer than 32 bits are of what vectors have beyond it; NULL: of vectors. */
    const float *centre;
};

/* A query as the kernels want it. */
struct code_query {
    float scale;      /* What the integer sum is multiplied with, besides the row's factor. */
    float squares;    /* |q|^2 */
    float rest;       /* Row queries under DOT: x of the reduction; else 0. */
    float exact_norm; /* |q| */
    /* In the room, or for a row the row itself. */
    const void *data;
};

/* Room for the query that a row makes, on the stack. */
struct code_room {
    _Alignas(64) uint8_t bytes[VECTOR_DIM_MAX + 64];
};

struct code {
    const char *name;
    unsigned bits;                                             /* 32, 8, 4, 2 */
    size_t (*row_bytes)(uint32_t dim, enum distance distance); /* A multiple of 4, see code.c. */
    size_t (*query_bytes)(uint32_t dim); /* The room of a query, aligned to 64. */
    /* @vector is as vector_prepare left it. */
    void (*encode)(const struct code_space *space, const float *vector, uint8_t *row);
    void (*query)(const struct code_space *space, const float *vector, void *room,
                  struct code_query *out);
    void (*query_of_row)(const struct code_space *space, uint32_t slot, struct code_room *room,
                         struct code_query *out);
    /* keys[i] = the key of query and the row of slots[i]. */
    void (*keys)(const struct code_space *space, const struct code_query *query,
                 const uint32_t *slots, size_t n, float *keys);
    /* Standard error of an estimated product of a query and a row, both of length 1, at a right
     * angle; at another one times its sine, as only what is across the row is estimated.  Of two
     * rows it is the root of 2 larger, and of nearly equal rows the errors do not cancel: their
     * keys are too small by up to twice its square times dim.  0: exact. */
    float (*error)(uint32_t dim, enum distance distance);
};

extern const struct code code_f32, code_8, code_4, code_2;
/* The vectors again, for building where codes cannot rank: keys of two rows are
 * their squared distance, summed in double. */
extern const struct code code_exact;
/* The code of a kind; NULL: there is none. */
const struct code *code_of(enum index_code kind);

/* ---- what stands around a code ---- */

/* The squared length of what the code of @vector is of. */
double code_squares(const struct code_space *space, const float *vector);

/* Copies x to out, divided by its length where @distance wants that. */
enum errcode vector_prepare(enum distance distance, uint32_t dim, const float *x, float *out,
                            struct err *err) WARN_UNUSED;

#endif
