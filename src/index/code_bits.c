/* Codes of 8, 4 and 2 bits a dimension of the turned vector (after RaBitQ and its extended form,
 * arXiv 2405.12497 and 2409.09913).
 *
 * A vector x of length |x| is turned at random; its levels c are those whose direction is closest;
 * and factor = |x|^2 / <x, c> makes factor <q, c> an estimate of <q, x> that is right in the mean.
 * A query is turned as well and rounded to 8 bits.  bits_int.h has the layouts; what instruction
 * sets do is behind struct bits.
 *
 * Vectors of any finite length work: they are first scaled by a power of two to a length near 1,
 * and a zero vector has factor 0. */
#include "index/bits_int.h"

#include <string.h>

/* A row that fits into a line of the cache stands in one. */
static size_t row_bytes(unsigned bits, uint32_t dim, enum distance distance)
{
    size_t numbers = distance == DISTANCE_COSINE ? 1 : 2;
    size_t bytes = factor_at(bits, dim) + numbers * sizeof(float), rounded = 16;
    while (rounded < bytes && rounded < CACHE_LINE) {
        rounded *= 2;
    }
    return bytes < rounded ? rounded : bytes;
}

static size_t query_bytes(unsigned bits, uint32_t dim)
{
    return sizeof(struct bits_query) + 8 / bits * (size_t)plane_stride(bits, dim);
}

/* What @vector has beyond the centre. */
static const float *from_centre(const struct code_space *space, const float *vector, float *out)
{
    if (space->centre == NULL) {
        return vector;
    }
    for (uint32_t i = 0; i < space->dim; i++) {
        float x = vector[i] - space->centre[i];
        x = x < FLT_MAX ? x : FLT_MAX;
        out[i] = x > -FLT_MAX ? x : -FLT_MAX;
    }
    return out;
}

double code_squares(const struct code_space *space, const float *vector)
{
    const struct exact *exact = exact_chosen();
    return space->centre != NULL ? exact->squares(vector, space->centre, space->dim)
                                 : exact->product(vector, vector, space->dim);
}

/* What @vector has beyond the centre, in @room, turned and scaled to a length between 1/2 and 2;
 * *length is what it was, 0 for a zero vector.  Returns what to multiply with to undo the scaling.
 */
static double turn(const struct code_space *space, const float *vector, struct bits_room *room,
                   double *length)
{
    uint32_t dim = space->dim;
    const float *x = from_centre(space, vector, room->x);
    *length = sqrt(exact_chosen()->product(x, x, dim));
    /* Powers of two that are floats; beyond them the length is only nearly so near to 1. */
    int exponent = *length > 0 ? ilogb(*length) : 0;
    exponent = exponent > 126 ? 126 : exponent < -126 ? -126 : exponent;
    bits_chosen()->rotate(x, dim, ldexpf(1, -exponent), room->x);
    return ldexp(1, exponent);
}

static float to_float(double x)
{
    return x < (double)FLT_MAX ? (float)x : FLT_MAX;
}

static void encode(unsigned bits, const struct code_space *space, const float *vector, uint8_t *row)
{
    struct bits_room room;
    uint8_t levels[VECTOR_DIM_MAX + BITS_LANES];
    double length, undo = turn(space, vector, &room, &length);
    float numbers[2] = {0, to_float(length * length)};
    size_t at = factor_at(bits, space->dim);
    memset(row, 0, row_bytes(bits, space->dim, space->distance));
    if (length > 0) {
        float product = bits_chosen()->levels(room.x, space->dim, bits, levels);
        /* |x|^2 / <x, c>, both scaled. */
        double squares = length / undo * (length / undo);
        numbers[0] = to_float(squares / (double)product * undo);
        uint32_t bytes = plane_bytes(bits, space->dim);
        for (unsigned plane = 0; plane < 8 / bits; plane++) {
            uint32_t filled = plane_filled(bits, space->dim, plane);
            for (uint32_t i = 0; i < filled; i++) {
                row[i] |= (uint8_t)(levels[plane * bytes + i] << (plane * bits));
            }
        }
    }
    memcpy(row + at, numbers, (space->distance == DISTANCE_COSINE ? 1 : 2) * sizeof(float));
}

static void query(unsigned bits, const struct code_space *space, const float *vector, void *room,
                  struct code_query *out)
{
    struct bits_room turned;
    int8_t numbers[VECTOR_DIM_MAX + BITS_LANES];
    struct bits_query *q = room;
    double length, undo = turn(space, vector, &turned, &length);
    float step;
    q->bias = bits_base(bits) * bits_chosen()->round(turned.x, space->dim, numbers, &step);
    uint32_t bytes = plane_bytes(bits, space->dim), stride = plane_stride(bits, space->dim);
    for (unsigned plane = 0; plane < 8 / bits; plane++) {
        uint32_t filled = plane_filled(bits, space->dim, plane);
        int8_t *at = q->planes + plane * stride;
        memcpy(at, numbers + plane * bytes, filled);
        memset(at + filled, 0, stride - filled);
    }
    *out = (struct code_query){
        /* Sums are twice what they stand for. */
        .scale = to_float((double)step * undo / 2),
        .squares = to_float(length * length),
        .exact_norm = to_float(length),
        .data = q,
    };
}

static void query_of_row(unsigned bits, const struct code_space *space, uint32_t slot,
                         struct code_room *room, struct code_query *out)
{
    const uint8_t *row = space->rows + (size_t)slot * space->stride;
    const float *numbers = (const float *)(const void *)(row + factor_at(bits, space->dim));
    struct bits_query *q = (struct bits_query *)(void *)room->bytes;
    int32_t sum = bits_chosen()->own(row, space->dim, bits, q->planes);
    q->bias = bits_base(bits) * sum;
    /* Its numbers are twice its levels, but for 8 bits. */
    *out = (struct code_query){.scale = numbers[0] * (bits == 8 ? 0.5F : 0.25F), .data = q};
    out->squares = space->distance == DISTANCE_COSINE ? 1 : numbers[1];
    out->exact_norm = sqrtf(out->squares);
    if (space->distance == DISTANCE_DOT) {
        out->rest = bits_rest(bits_finish_of(space, out).reduction_squares, out->squares);
    }
}

/* The functions of one width. */
#define CODE_OF(width, error_of_1)                                                                 \
    static size_t row_bytes_##width(uint32_t dim, enum distance distance)                          \
    {                                                                                              \
        return row_bytes(width, dim, distance);                                                    \
    }                                                                                              \
    static size_t query_bytes_##width(uint32_t dim)                                                \
    {                                                                                              \
        return query_bytes(width, dim);                                                            \
    }                                                                                              \
    static void encode_##width(const struct code_space *space, const float *vector, uint8_t *row)  \
    {                                                                                              \
        encode(width, space, vector, row);                                                         \
    }                                                                                              \
    static void query_##width(const struct code_space *space, const float *vector, void *room,     \
                              struct code_query *out)                                              \
    {                                                                                              \
        query(width, space, vector, room, out);                                                    \
    }                                                                                              \
    static void query_of_row_##width(const struct code_space *space, uint32_t slot,                \
                                     struct code_room *room, struct code_query *out)               \
    {                                                                                              \
        query_of_row(width, space, slot, room, out);                                               \
    }                                                                                              \
    static void keys_##width(const struct code_space *space, const struct code_query *query,       \
                             const uint32_t *slots, size_t n, float *keys)                         \
    {                                                                                              \
        bits_chosen()->keys_##width(space, query, slots, n, keys);                                 \
    }                                                                                              \
    static float error_##width(uint32_t dim)                                                       \
    {                                                                                              \
        return (error_of_1) / sqrtf((float)dim);                                                   \
    }                                                                                              \
    const struct code code_##width = {                                                             \
        .name = #width,                                                                            \
        .bits = (width),                                                                           \
        .row_bytes = row_bytes_##width,                                                            \
        .query_bytes = query_bytes_##width,                                                        \
        .encode = encode_##width,                                                                  \
        .query = query_##width,                                                                    \
        .query_of_row = query_of_row_##width,                                                      \
        .keys = keys_##width,                                                                      \
        .error = error_##width,                                                                    \
    }

/* Measured on random vectors (test_code). */
CODE_OF(8, 0.0115F);
CODE_OF(4, 0.109F);
CODE_OF(2, 0.37F);
