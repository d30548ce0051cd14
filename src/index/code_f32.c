/* The code that loses nothing: the vector itself.
 *
 * A row is dim floats; under DOT the vector's squared length follows them, since two rows are
 * compared in the space of the reduction. */
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
