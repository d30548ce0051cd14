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
    if (bits_n_hidden(bits, dim, distance) > 0) {
        return plane_bytes(bits, dim);
    }
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

static uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

/* @x without the lowest @shift bits of its mantissa, rounded, less @least; at most @max. */
static uint32_t cut_float(float x, unsigned shift, uint32_t least, uint32_t max)
{
    uint32_t bits = float_bits(x) + (1U << (shift - 1));
    uint32_t cut = bits > least ? (bits - least) >> shift : 0;
    return cut < max ? cut : max;
}

/* The word that bits_hidden reads. */
static uint32_t hidden_of(double factor, double length, uint32_t dim, bool is_cosine)
{
    float g = (float)(length > 0 ? factor * sqrt(dim) / length : 0);
    if (is_cosine) {
        return cut_float(g, HIDDEN_COSINE_SHIFT, HIDDEN_LEAST, UINT16_MAX);
    }
    uint32_t low = cut_float(g, HIDDEN_SHIFT, HIDDEN_LEAST, (1U << HIDDEN_BITS) - 1);
    uint32_t most = float_bits(FLT_MAX) >> HIDDEN_LENGTH_SHIFT;
    return cut_float(to_float(length), HIDDEN_LENGTH_SHIFT, 0, most) << HIDDEN_BITS | low;
}

/* What <x, c> becomes when the first @n levels lose their lowest bit. */
static float product_shown(const float *x, const uint8_t *levels, uint32_t n, float product)
{
    for (uint32_t i = 0; i < n; i++) {
        product += x[i] * ((levels[i] & 1) != 0 ? -0.5F : 0.5F);
    }
    return product;
}

static void place_levels(unsigned bits, uint32_t dim, const uint8_t *levels, uint8_t *row)
{
    uint32_t bytes = plane_bytes(bits, dim);
    for (unsigned plane = 0; plane < 8 / bits; plane++) {
        uint32_t filled = plane_filled(bits, dim, plane);
        for (uint32_t i = 0; i < filled; i++) {
            row[i] |= (uint8_t)(levels[plane * bytes + i] << (plane * bits));
        }
    }
}

static void encode(unsigned bits, const struct code_space *space, const float *vector, uint8_t *row)
{
    struct bits_room room;
    uint8_t levels[VECTOR_DIM_MAX + BITS_LANES];
    uint32_t dim = space->dim, n_hidden = bits_n_hidden(bits, dim, space->distance);
    bool is_cosine = space->distance == DISTANCE_COSINE;
    double length, undo = turn(space, vector, &room, &length), factor = 0;
    memset(row, 0, row_bytes(bits, dim, space->distance));
    if (length > 0) {
        float product = bits_chosen()->levels(room.x, dim, bits, levels);
        product = product_shown(room.x, levels, n_hidden, product);
        /* |x|^2 / <x, c>, both scaled. */
        double squares = length / undo * (length / undo);
        factor = squares / (double)product * undo;
        place_levels(bits, dim, levels, row);
    }
    if (n_hidden == 0) {
        const float numbers[2] = {to_float(factor), to_float(length * length)};
        memcpy(row + factor_at(bits, dim), numbers, (is_cosine ? 1 : 2) * sizeof(float));
        return;
    }
    uint32_t word = hidden_of(factor, length, dim, is_cosine);
    for (uint32_t i = 0; i < n_hidden; i++) {
        row[i] = (uint8_t)((row[i] & ~1U) | (word >> i & 1));
    }
}

/* What sums have too much: half a level for each of the row's levels that has no lowest bit. */
static int32_t bias_of(unsigned bits, const struct code_space *space, const int8_t *q, int32_t sum)
{
    int32_t bias = bits_base(bits) * sum;
    uint32_t n_hidden = bits_n_hidden(bits, space->dim, space->distance);
    for (uint32_t i = 0; i < n_hidden; i++) {
        bias -= q[i];
    }
    return bias;
}

static void query(unsigned bits, const struct code_space *space, const float *vector, void *room,
                  struct code_query *out)
{
    struct bits_room turned;
    int8_t numbers[VECTOR_DIM_MAX + BITS_LANES];
    struct bits_query *q = room;
    double length, undo = turn(space, vector, &turned, &length);
    float step;
    int32_t sum = bits_chosen()->round(turned.x, space->dim, numbers, &step);
    q->bias = bias_of(bits, space, numbers, sum);
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

/* The row's own levels where the lowest bit is not theirs; returns by how much their sum differs.
 */
static int32_t own_shown(const uint8_t *row, uint32_t n_hidden, int8_t *planes)
{
    int32_t more = 0;
    for (uint32_t i = 0; i < n_hidden; i++) {
        int differs = 1 - 2 * (row[i] & 1);
        planes[i] = (int8_t)(planes[i] + differs);
        more += differs;
    }
    return more;
}

static void query_of_row(unsigned bits, const struct code_space *space, uint32_t slot,
                         struct code_room *room, struct code_query *out)
{
    const uint8_t *row = space->rows + (size_t)slot * space->stride;
    struct bits_query *q = (struct bits_query *)(void *)room->bytes;
    int32_t sum = bits_chosen()->own(row, space->dim, bits, q->planes);
    *out = (struct code_query){.data = q};
    struct bits_finish finish = bits_finish_of(space, out);
    sum += own_shown(row, finish.n_hidden, q->planes);
    q->bias = bias_of(bits, space, q->planes, sum);
    float numbers[2];
    bits_numbers(&finish, row, numbers);
    /* Its numbers are twice its levels, but for 8 bits. */
    out->scale = numbers[0] * (bits == 8 ? 0.5F : 0.25F);
    out->squares = space->distance == DISTANCE_COSINE ? 1 : numbers[1];
    out->exact_norm = sqrtf(out->squares);
    if (space->distance == DISTANCE_DOT) {
        out->rest = bits_rest(finish.reduction_squares, out->squares);
    }
}

/* A level without its lowest bit is wrong by twice as much. */
static float error_of(unsigned bits, float of_1, uint32_t dim, enum distance distance)
{
    float n = (float)dim, n_hidden = (float)bits_n_hidden(bits, dim, distance);
    return of_1 * sqrtf((n + 3 * n_hidden) / n / n);
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
    static float error_##width(uint32_t dim, enum distance distance)                               \
    {                                                                                              \
        return error_of(width, error_of_1, dim, distance);                                         \
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
