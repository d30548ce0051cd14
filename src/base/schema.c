/* Schemas: look-ups and the catalog's record.
 *
 * Record: u8 version = 2 | u64 id | str name | u16 n columns | columns: str name, u8 type, u32 dim,
 * u8 distance, u8 not null, u8 quantization (0: as the policy says; 1: auto; else 2 + that of the
 * enum; version 1 had none) | policies (policy_set_write). */
#include "base/schema.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"

enum {
    SCHEMA_VERSION = 2,
    SCHEMA_VERSION_OLDEST = 1,
    AUTO_NONE_DIM_MAX = 32,
    AUTO_8_DIM_MAX = 64,
};

const struct schema *schema_hold(const struct schema *schema)
{
    CHECK(schema->n_columns >= 1 && schema->n_columns <= COLUMNS_MAX);
    CHECK(schema != NULL && schema->n_columns > 0 && schema->n_columns <= COLUMNS_MAX);
    if (atomic_load(&schema->n_holders) > 0) {
        atomic_fetch_add(&((struct schema *)(uintptr_t)schema)->n_holders, 1);
        return schema;
    }
    size_t bytes = offsetof(struct schema, columns) + schema->n_columns * sizeof(struct column);
    struct schema *held = mem_alloc(MEM_CATALOG, bytes);
    if (held != NULL) {
        memcpy(held, schema, bytes);
        atomic_init(&held->n_holders, 1);
    }
    return held;
}

void schema_release(const struct schema *schema)
{
    struct schema *held = (struct schema *)(uintptr_t)schema;
    if (held != NULL) {
        unsigned before = atomic_fetch_sub(&held->n_holders, 1);
        CHECK(before > 0);
        if (before == 1) {
            mem_free(MEM_CATALOG, held);
        }
    }
}

int schema_column(const struct schema *schema, const char *name)
{
    CHECK(name != NULL && schema->n_columns <= COLUMNS_MAX);
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        if (strcmp(schema->columns[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int schema_first_vector(const struct schema *schema)
{
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        if (schema->columns[i].type == TYPE_VECTOR) {
            return (int)i;
        }
    }
    return -1;
}

bool schema_is_flat(const struct schema *schema)
{
    const struct policy_set *set = &schema->policies;
    return (set->is_set >> POLICY_index & 1) != 0 &&
           set->values[POLICY_index].integer == INDEX_FLAT;
}

enum quantization column_quantization(const struct column *column,
                                      const struct policy_value *policy)
{
    bool is_auto = column->has_quantization ? column->is_quantization_auto : policy->is_auto;
    if (!is_auto) {
        return column->has_quantization ? column->quantization : (enum quantization)policy->integer;
    }
    if (column->dim <= AUTO_NONE_DIM_MAX) {
        return QUANTIZATION_NONE;
    }
    return column->dim <= AUTO_8_DIM_MAX ? QUANTIZATION_8 : QUANTIZATION_4;
}

const char *distance_name(enum distance distance)
{
    switch (distance) {
    case DISTANCE_L2:
        return "L2";
    case DISTANCE_COSINE:
        return "COSINE";
    case DISTANCE_DOT:
        return "DOT";
    }
    CHECK_NEVER("a distance is one of three");
}

void schema_write(struct buf *b, const struct schema *schema)
{
    CHECK(schema->n_columns > 0 && schema->n_columns <= COLUMNS_MAX && schema->name[0] != '\0');
    /* Whatever is written can be read. */
    CHECK(schema->name[0] != '\0' && schema->n_columns >= 1 && schema->n_columns <= COLUMNS_MAX);
    buf_u8(b, SCHEMA_VERSION);
    buf_u64(b, schema->id);
    buf_str(b, schema->name, strlen(schema->name));
    buf_u16(b, (uint16_t)schema->n_columns);
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        const struct column *c = &schema->columns[i];
        CHECK(c->type != TYPE_NULL && (c->type == TYPE_VECTOR) == (c->dim > 0));
        buf_str(b, c->name, strlen(c->name));
        buf_u8(b, (uint8_t)c->type);
        buf_u32(b, c->dim);
        buf_u8(b, (uint8_t)c->distance);
        buf_u8(b, c->is_not_null);
        buf_u8(b, !c->has_quantization      ? 0
                  : c->is_quantization_auto ? 1
                                            : (uint8_t)(2 + c->quantization));
    }
    policy_set_write(b, &schema->policies);
}

static bool read_name(struct reader *r, char out[NAME_BYTES_MAX + 1])
{
    uint32_t bytes;
    const char *name = reader_str(r, &bytes);
    if (name == NULL || bytes == 0 || bytes > NAME_BYTES_MAX || memchr(name, 0, bytes) != NULL) {
        return false;
    }
    memcpy(out, name, bytes);
    out[bytes] = '\0';
    return true;
}

static bool read_quantization(struct reader *r, struct column *c)
{
    uint8_t stored = reader_u8(r);
    c->has_quantization = stored > 0;
    c->is_quantization_auto = stored == 1;
    c->quantization = stored < 2 ? QUANTIZATION_NONE : (enum quantization)(stored - 2);
    return stored <= 2 + QUANTIZATION_2;
}

static bool read_column(struct reader *r, uint8_t version, struct column *c)
{
    bool has_name = read_name(r, c->name);
    uint8_t type = reader_u8(r);
    c->dim = reader_u32(r);
    uint8_t distance = reader_u8(r);
    c->is_not_null = reader_u8(r) != 0;
    bool is_good = version < 2 || read_quantization(r, c);
    if (r->failed || !is_good || !has_name || type == TYPE_NULL || type >= TYPE_COUNT) {
        return false;
    }
    c->type = (enum value_type)type;
    c->distance = (enum distance)distance;
    return type == TYPE_VECTOR ? c->dim >= 1 && c->dim <= VECTOR_DIM_MAX &&
                                     distance >= DISTANCE_L2 && distance <= DISTANCE_DOT
                               : c->dim == 0 && distance == 0 && !c->has_quantization;
}

enum errcode schema_read(struct reader *r, struct schema *out, struct err *err)
{
    memset(out, 0, sizeof(*out));
    uint8_t version = reader_u8(r);
    if (!r->failed && (version < SCHEMA_VERSION_OLDEST || version > SCHEMA_VERSION)) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED,
                       "a collection's definition has version %u and this server reads version %d",
                       version, SCHEMA_VERSION);
    }
    out->id = reader_u64(r);
    bool is_good = read_name(r, out->name);
    out->n_columns = reader_u16(r);
    is_good = is_good && out->n_columns >= 1 && out->n_columns <= COLUMNS_MAX;
    for (uint32_t i = 0; is_good && i < out->n_columns; i++) {
        is_good = read_column(r, version, &out->columns[i]);
    }
    if (!is_good || r->failed) {
        return err_set(err, ERR_CORRUPT, "a collection's definition is damaged");
    }
    return policy_set_read(r, &out->policies, err);
}
