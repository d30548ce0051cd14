/* Values: constructors, the binary codec, and comparison.  Their texts are in value_text.c. */
#include "base/value.h"

#include <math.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    size_t bytes;
} rows[TYPE_COUNT] = {
#define TYPE(name, number, vql, text) [number] = {vql, sizeof(vql) - 1},
#include "base/types.def"
#undef TYPE
};

const char *type_name(enum value_type type)
{
    CHECK(type < TYPE_COUNT);
    return rows[type].name;
}

enum value_type type_find(const char *name, size_t bytes)
{
    for (int type = TYPE_NULL + 1; type < TYPE_COUNT; type++) {
        if (rows[type].bytes == bytes && strncasecmp(rows[type].name, name, bytes) == 0) {
            return (enum value_type)type;
        }
    }
    return TYPE_NULL;
}

struct value value_null(void)
{
    return (struct value){.type = TYPE_NULL};
}

struct value value_bool(bool x)
{
    return (struct value){.type = TYPE_BOOL, .boolean = x};
}

struct value value_int(int64_t x)
{
    return (struct value){.type = TYPE_INT, .integer = x};
}

struct value value_float(double x)
{
    return (struct value){.type = TYPE_FLOAT, .number = x};
}

struct value value_text(const char *data, size_t bytes)
{
    CHECK(bytes <= UINT32_MAX);
    CHECK_HOT(data != NULL || bytes == 0);
    return (struct value){.type = TYPE_TEXT, .text = {data, (uint32_t)bytes}};
}

struct value value_cstr(const char *text)
{
    return value_text(text, strlen(text));
}

struct value value_vector(const float *data, uint32_t dim)
{
    return (struct value){.type = TYPE_VECTOR, .vector = {data, dim}};
}

/* ---- codec ---- */

void value_write(struct buf *b, const struct value *v)
{
    buf_u8(b, (uint8_t)v->type);
    switch (v->type) {
    case TYPE_NULL:
        break;
    case TYPE_BOOL:
        buf_u8(b, v->boolean);
        break;
    case TYPE_INT:
    case TYPE_TIMESTAMP:
        buf_u64(b, (uint64_t)v->integer);
        break;
    case TYPE_FLOAT:
        buf_f64(b, v->number);
        break;
    case TYPE_TEXT:
    case TYPE_JSON:
        buf_str(b, v->text.data, v->text.bytes);
        break;
    case TYPE_UUID:
        buf_bytes(b, v->uuid, UUID_BYTES);
        break;
    case TYPE_VECTOR:
        buf_u32(b, v->vector.dim);
        buf_floats(b, v->vector.data, v->vector.dim);
        break;
    case TYPE_COUNT:
        CHECK_NEVER("a value has a type");
    }
}

static void read_vector(struct reader *r, struct arena *arena, struct value *v)
{
    uint32_t dim = reader_u32(r);
    const uint8_t *raw =
        dim >= 1 && dim <= VECTOR_DIM_MAX ? reader_bytes(r, dim * sizeof(float)) : NULL;
    float *data = raw == NULL ? NULL : arena_array(arena, dim, sizeof(float));
    if (data == NULL) {
        r->failed = true;
        return;
    }
    for (uint32_t i = 0; i < dim; i++) {
        uint32_t bits = le_get_u32(raw + i * sizeof(float));
        memcpy(&data[i], &bits, sizeof(bits));
    }
    v->vector.data = data;
    v->vector.dim = dim;
}

struct value value_read(struct reader *r, struct arena *arena)
{
    uint8_t type = reader_u8(r);
    struct value v = {.type = type < TYPE_COUNT ? (enum value_type)type : TYPE_NULL};
    switch (type) {
    case TYPE_NULL:
        break;
    case TYPE_BOOL: {
        uint8_t truth = reader_u8(r);
        v.boolean = truth == 1;
        r->failed = r->failed || truth > 1;
        break;
    }
    case TYPE_INT:
    case TYPE_TIMESTAMP:
        v.integer = (int64_t)reader_u64(r);
        break;
    case TYPE_FLOAT:
        v.number = reader_f64(r);
        break;
    case TYPE_TEXT:
    case TYPE_JSON:
        v.text.data = reader_str(r, &v.text.bytes);
        r->failed = r->failed || v.text.bytes > TEXT_BYTES_MAX;
        break;
    case TYPE_UUID: {
        const uint8_t *raw = reader_bytes(r, UUID_BYTES);
        if (raw != NULL) {
            memcpy(v.uuid, raw, UUID_BYTES);
        }
        break;
    }
    case TYPE_VECTOR:
        read_vector(r, arena, &v);
        break;
    default:
        r->failed = true;
    }
    return r->failed ? value_null() : v;
}

/* ---- order ---- */

static int compare_doubles(double a, double b)
{
    /* NaN is larger than every number, as in PostgreSQL, so that the order is total. */
    if (isnan(a) || isnan(b)) {
        return (isnan(a) != 0) - (isnan(b) != 0);
    }
    return (a > b) - (a < b);
}

/* Exact even where the integer has more digits than a double. */
static int compare_int_double(int64_t a, double b)
{
    if (isnan(b) || b >= 0x1p63) {
        return -1;
    }
    if (b < -0x1p63) {
        return 1;
    }
    int64_t whole = (int64_t)b;
    if (a != whole) {
        return a < whole ? -1 : 1;
    }
    return compare_doubles(0, b - (double)whole);
}

static int compare_bytes(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    size_t common = a_bytes < b_bytes ? a_bytes : b_bytes;
    int order = common == 0 ? 0 : memcmp(a, b, common);
    return order != 0 ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

static int compare_vectors(const struct value *a, const struct value *b)
{
    uint32_t common = a->vector.dim < b->vector.dim ? a->vector.dim : b->vector.dim;
    for (uint32_t i = 0; i < common; i++) {
        int order = compare_doubles((double)a->vector.data[i], (double)b->vector.data[i]);
        if (order != 0) {
            return order;
        }
    }
    return (a->vector.dim > b->vector.dim) - (a->vector.dim < b->vector.dim);
}

int value_compare(const struct value *a, const struct value *b)
{
    CHECK_HOT(a->type < TYPE_COUNT && b->type < TYPE_COUNT);
    if (a->type == TYPE_NULL || b->type == TYPE_NULL) {
        return (a->type == TYPE_NULL) - (b->type == TYPE_NULL);
    }
    if (a->type == TYPE_INT && b->type == TYPE_FLOAT) {
        return compare_int_double(a->integer, b->number);
    }
    if (a->type == TYPE_FLOAT && b->type == TYPE_INT) {
        return -compare_int_double(b->integer, a->number);
    }
    if (a->type != b->type) {
        return a->type < b->type ? -1 : 1;
    }
    switch (a->type) {
    case TYPE_BOOL:
        return a->boolean - b->boolean;
    case TYPE_INT:
    case TYPE_TIMESTAMP:
        return (a->integer > b->integer) - (a->integer < b->integer);
    case TYPE_FLOAT:
        return compare_doubles(a->number, b->number);
    case TYPE_TEXT:
    case TYPE_JSON:
        return compare_bytes(a->text.data, a->text.bytes, b->text.data, b->text.bytes);
    case TYPE_UUID:
        return memcmp(a->uuid, b->uuid, UUID_BYTES);
    case TYPE_VECTOR:
        return compare_vectors(a, b);
    case TYPE_NULL:
    case TYPE_COUNT:
        break;
    }
    return 0;
}
