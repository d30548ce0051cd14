/* The code of building where others cannot rank: exact distances of two rows, in double.
 *
 * Keys are squared distances, under DOT in the space of the reduction; equal on every machine, for
 * the sums of exact.c are.  A difference is summed as such: |a|^2 + |b|^2 - 2 <a, b> would lose
 * what nearly equal rows differ by. */
#include "index/code_int.h"

#include <float.h>
#include <math.h>
#include <string.h>

static size_t row_bytes(uint32_t dim, enum distance distance)
{
    (void)distance;
    return dim * sizeof(float);
}

static size_t query_bytes(uint32_t dim)
{
    return dim * sizeof(float);
}

static const float *row_at(const struct code_space *space, uint32_t slot)
{
    return (const float *)(const void *)(space->rows + (size_t)slot * space->stride);
}

static void encode(const struct code_space *space, const float *vector, uint8_t *row)
{
    memcpy(row, vector, space->dim * sizeof(float));
}

static void query(const struct code_space *space, const float *vector, void *room,
                  struct code_query *out)
{
    memcpy(room, vector, space->dim * sizeof(float));
    *out = (struct code_query){.scale = 1, .data = room};
}

static void query_of_row(const struct code_space *space, uint32_t slot, struct code_room *room,
                         struct code_query *out)
{
    (void)room;
    *out = (struct code_query){.scale = 1, .data = row_at(space, slot)};
}

static double rest_of(const struct code_space *space, double squares)
{
    double left = (double)space->reduction * (double)space->reduction - squares;
    return left > 0 ? sqrt(left) : 0;
}

static void keys(const struct code_space *space, const struct code_query *query,
                 const uint32_t *slots, size_t n, float *keys)
{
    const struct exact *exact = exact_chosen();
    const float *q = query->data;
    bool is_dot = space->distance == DISTANCE_DOT;
    double rest = is_dot ? rest_of(space, exact->product(q, q, space->dim)) : 0;
    for (size_t i = 0; i < n; i++) {
        const float *row = row_at(space, slots[i]);
        double key = exact->squares(q, row, space->dim);
        if (is_dot) {
            double more = rest - rest_of(space, exact->product(row, row, space->dim));
            key += more * more;
        }
        keys[i] = key < (double)FLT_MAX ? (float)key : FLT_MAX;
    }
}

static float error(uint32_t dim, enum distance distance)
{
    (void)dim;
    (void)distance;
    return 0;
}

const struct code code_exact = {
    .name = "exact",
    .bits = 32,
    .row_bytes = row_bytes,
    .query_bytes = query_bytes,
    .encode = encode,
    .query = query,
    .query_of_row = query_of_row,
    .keys = keys,
    .error = error,
};
