/* The codes that lose nothing: the vector itself.
 *
 * f32: a row is dim floats; under DOT the vector's squared length follows them, since two rows are
 * compared in the space of the reduction.
 *
 * exact, the code of building where others cannot rank: a row is dim floats, and keys are squared
 * distances, summed in double, under DOT in the space of the reduction; equal on every machine, for
 * the sums of exact.c are.  A difference is summed as such: |a|^2 + |b|^2 - 2 <a, b> would lose
 * what nearly equal rows differ by. */
#include "index/code_int.h"

#include <float.h>
#include <math.h>
#include <string.h>

static size_t row_bytes(uint32_t dim, enum distance distance)
{
    return (dim + (distance == DISTANCE_DOT ? 1 : 0)) * sizeof(float);
}

static size_t query_bytes(uint32_t dim)
{
    return dim * sizeof(float);
}

static float squares_of(const float *x, uint32_t dim)
{
    double squares = 0;
    for (uint32_t i = 0; i < dim; i++) {
        squares += (double)x[i] * (double)x[i];
    }
    return squares < (double)FLT_MAX ? (float)squares : FLT_MAX;
}

static const float *row_at(const struct code_space *space, uint32_t slot)
{
    return (const float *)(const void *)(space->rows + (size_t)slot * space->stride);
}

static void encode(const struct code_space *space, const float *vector, uint8_t *row)
{
    memcpy(row, vector, space->dim * sizeof(float));
    if (space->distance == DISTANCE_DOT) {
        float squares = squares_of(vector, space->dim);
        memcpy(row + space->dim * sizeof(float), &squares, sizeof(squares));
    }
}

/* What a row has in the dimension that the reduction of DOT adds. */
static float rest_of(const struct code_space *space, const float *row)
{
    float left = space->reduction * space->reduction - row[space->dim];
    return left > 0 ? sqrtf(left) : 0;
}

static void query(const struct code_space *space, const float *vector, void *room,
                  struct code_query *out)
{
    memcpy(room, vector, space->dim * sizeof(float));
    out->data = room;
    out->scale = 1;
    out->squares = squares_of(vector, space->dim);
    out->exact_norm = sqrtf(out->squares);
    out->rest = 0;
}

static void query_of_row(const struct code_space *space, uint32_t slot, struct code_room *room,
                         struct code_query *out)
{
    (void)room;
    const float *row = row_at(space, slot);
    *out = (struct code_query){.scale = 1, .data = row};
    if (space->distance == DISTANCE_DOT) {
        out->squares = row[space->dim];
        out->rest = rest_of(space, row);
    }
}

static void keys(const struct code_space *space, const struct code_query *query,
                 const uint32_t *slots, size_t n, float *keys)
{
    struct space floats = {.vectors = (const float *)(const void *)space->rows,
                           .stride = space->stride / sizeof(float),
                           .dim = space->dim};
    kernel_for(space->distance)(&floats, query->data, slots, n, keys);
    for (size_t i = 0; i < n && query->rest > 0; i++) {
        keys[i] -= query->rest * rest_of(space, row_at(space, slots[i]));
    }
}

static float error(uint32_t dim, enum distance distance)
{
    (void)dim;
    (void)distance;
    return 0;
}

const struct code code_f32 = {
    .name = "f32",
    .bits = 32,
    .row_bytes = row_bytes,
    .query_bytes = query_bytes,
    .encode = encode,
    .query = query,
    .query_of_row = query_of_row,
    .keys = keys,
    .error = error,
};

/* ---- exact ---- */

static size_t exact_row_bytes(uint32_t dim, enum distance distance)
{
    (void)distance;
    return dim * sizeof(float);
}

static void exact_encode(const struct code_space *space, const float *vector, uint8_t *row)
{
    memcpy(row, vector, space->dim * sizeof(float));
}

static void exact_query(const struct code_space *space, const float *vector, void *room,
                        struct code_query *out)
{
    memcpy(room, vector, space->dim * sizeof(float));
    *out = (struct code_query){.scale = 1, .data = room};
}

static void exact_query_of_row(const struct code_space *space, uint32_t slot,
                               struct code_room *room, struct code_query *out)
{
    (void)room;
    *out = (struct code_query){.scale = 1, .data = row_at(space, slot)};
}

static double exact_rest_of(const struct code_space *space, double squares)
{
    double left = (double)space->reduction * (double)space->reduction - squares;
    return left > 0 ? sqrt(left) : 0;
}

static void exact_keys(const struct code_space *space, const struct code_query *query,
                       const uint32_t *slots, size_t n, float *keys)
{
    const struct exact *exact = exact_chosen();
    const float *q = query->data;
    bool is_dot = space->distance == DISTANCE_DOT;
    double rest = is_dot ? exact_rest_of(space, exact->product(q, q, space->dim)) : 0;
    for (size_t i = 0; i < n; i++) {
        const float *row = row_at(space, slots[i]);
        double key = exact->squares(q, row, space->dim);
        if (is_dot) {
            double more = rest - exact_rest_of(space, exact->product(row, row, space->dim));
            key += more * more;
        }
        keys[i] = key < (double)FLT_MAX ? (float)key : FLT_MAX;
    }
}

const struct code code_exact = {
    .name = "exact",
    .bits = 32,
    .row_bytes = exact_row_bytes,
    .query_bytes = query_bytes,
    .encode = exact_encode,
    .query = exact_query,
    .query_of_row = exact_query_of_row,
    .keys = exact_keys,
    .error = error,
};
