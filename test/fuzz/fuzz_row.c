/* Any bytes as a stored row, with its checksum mended: it is refused as corrupt, or its values lie
 * within it.  The first byte chooses the schema. */
#include "fuzz.h"

#include <string.h>

#include "shard/shard.h"

enum {
    ARENA_BYTES = 16 << 20,
    ROW_NUMBER = 7,
    CHECKSUM_BYTES = 4,
    SCHEMAS = 3
};

/* 0: a column of each type; 1: a key alone; 2: as many columns as there may be. */
static void make_schema(struct schema *schema, unsigned which)
{
    static const enum value_type types[] = {TYPE_INT,  TYPE_BOOL,      TYPE_FLOAT, TYPE_TEXT,
                                            TYPE_UUID, TYPE_TIMESTAMP, TYPE_JSON,  TYPE_VECTOR};
    memset(schema, 0, sizeof(*schema));
    schema->n_columns = which == 0 ? COUNT_OF(types) : which == 1 ? 1 : COLUMNS_MAX;
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        struct column *column = &schema->columns[i];
        column->type = types[i % COUNT_OF(types)];
        column->dim = column->type == TYPE_VECTOR ? 3 : 0;
        column->distance = column->type == TYPE_VECTOR ? DISTANCE_L2 : 0;
    }
}

static void touch(const struct value *v)
{
    struct buf b;
    buf_init(&b, MEM_GENERAL, ARENA_BYTES);
    value_write(&b, v);
    value_format(&b, v);
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < 1 + CHECKSUM_BYTES) {
        return 0;
    }
    static struct schema schema;
    make_schema(&schema, data[0] % SCHEMAS);
    struct arena *arena = arena_new(MEM_STATEMENT, ARENA_BYTES);
    uint8_t *stored = arena_copy(arena, data + 1, bytes - 1);
    CHECK(stored != NULL);
    uint8_t number[sizeof(uint64_t)];
    le_put_u64(number, ROW_NUMBER);
    uint32_t crc = crc32c(0, number, sizeof(number));
    le_put_u32(stored, crc32c(crc, stored + CHECKSUM_BYTES, bytes - 1 - CHECKSUM_BYTES));

    struct shard_row row = {.number = ROW_NUMBER, .data = stored, .bytes = bytes - 1};
    struct value values[COLUMNS_MAX];
    struct err err = {0};
    enum errcode code = shard_row_decode(&schema, &row, NULL, values, arena, &err);
    CHECK(code == ERR_OK || code == ERR_CORRUPT || code == ERR_FORMAT_UNSUPPORTED);
    for (uint32_t i = 0; code == ERR_OK && i < schema.n_columns; i++) {
        CHECK(values[i].type == schema.columns[i].type || values[i].type == TYPE_NULL);
        touch(&values[i]);
    }
    row.number++; /* A row in another's place. */
    CHECK(shard_row_decode(&schema, &row, NULL, values, arena, &err) != ERR_OK);
    arena_free(arena);
    return 0;
}
