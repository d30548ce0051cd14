/* How a row and a key are encoded.
 *
 * A stored row, little-endian:
 *
 *   u32 checksum   CRC-32C of the row's number (u64) and the body; also the row's stamp
 *   body:
 *     u8  version  ROW_VERSION
 *     null bitmap  (columns + 7) / 8 bytes; bit i set: column i is null and takes no bytes
 *     columns      in the schema's order:
 *                  BOOL u8 0|1 · INT, TIMESTAMP zigzag varint · FLOAT f64 · UUID 16 bytes
 *                  TEXT, JSON varint length + UTF-8 · VECTOR raw f32, as many as the schema says
 *
 * The schema is not in the row: a shard has one, and its id is in the file's head.
 *
 * An encoded key is its type's number and then bytes that memcmp orders as the values are: INT 8
 * bytes big-endian with the sign bit flipped, UUID its 16 bytes, TEXT its bytes (it comes last and
 * alone, so that a prefix sorts first). */
#include "shard/overlay_int.h"
#include "shard/row_int.h"

#include <string.h>

enum {
    ROW_VERSION = 1,
    VARINT_BYTES_MAX = 10
};

static const uint8_t empty[1];

static uint64_t zigzag(int64_t x)
{
    return ((uint64_t)x << 1) ^ (x < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t x)
{
    return (int64_t)((x >> 1) ^ (0 - (x & 1)));
}

static size_t bitmap_bytes(const struct schema *schema)
{
    return (schema->n_columns + 7) / 8;
}

static void encode_value(struct buf *body, const struct value *v)
{
    CHECK(v->type != TYPE_NULL && v->type < TYPE_COUNT);
    switch (v->type) {
    case TYPE_BOOL:
        buf_u8(body, v->boolean ? 1 : 0);
        break;
    case TYPE_INT:
    case TYPE_TIMESTAMP:
        buf_varint(body, zigzag(v->integer));
        break;
    case TYPE_FLOAT:
        buf_f64(body, v->number);
        break;
    case TYPE_TEXT:
    case TYPE_JSON:
        buf_varint(body, v->text.bytes);
        buf_bytes(body, v->text.data, v->text.bytes);
        break;
    case TYPE_UUID:
        buf_bytes(body, v->uuid, UUID_BYTES);
        break;
    case TYPE_VECTOR:
        buf_floats(body, v->vector.data, v->vector.dim);
        break;
    case TYPE_NULL:
    case TYPE_COUNT:
        break;
    }
}

void row_encode(struct buf *body, const struct schema *schema, const struct value *values)
{
    CHECK(schema->n_columns > 0 && schema->n_columns <= COLUMNS_MAX);
    uint8_t nulls[COLUMNS_MAX / 8] = {0};
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        if (values[i].type == TYPE_NULL) {
            nulls[i / 8] |= (uint8_t)(1u << (i % 8));
        }
    }
    buf_u8(body, ROW_VERSION);
    buf_bytes(body, nulls, bitmap_bytes(schema));
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        if (values[i].type != TYPE_NULL) {
            encode_value(body, &values[i]);
        }
    }
}

/* One column's bytes, without the length of a text. */
static struct slice split_column(struct reader *r, const struct column *column)
{
    struct slice s = {NULL, 0};
    size_t at;
    switch (column->type) {
    case TYPE_BOOL:
        s.bytes = 1;
        break;
    case TYPE_INT:
    case TYPE_TIMESTAMP:
        at = r->at;
        (void)reader_varint(r);
        s.bytes = r->at - at;
        s.data = r->data + at;
        return s;
    case TYPE_FLOAT:
        s.bytes = sizeof(double);
        break;
    case TYPE_TEXT:
    case TYPE_JSON: {
        uint64_t bytes = reader_varint(r);
        if (bytes > TEXT_BYTES_MAX) {
            r->failed = true;
            return s;
        }
        s.bytes = (size_t)bytes;
        break;
    }
    case TYPE_UUID:
        s.bytes = UUID_BYTES;
        break;
    case TYPE_VECTOR:
        s.bytes = (size_t)column->dim * sizeof(float);
        break;
    case TYPE_NULL:
    case TYPE_COUNT:
        r->failed = true;
        return s;
    }
    s.data = reader_bytes(r, s.bytes);
    if (s.data == NULL && !r->failed) {
        s.data = empty; /* A text without bytes is no null. */
    }
    if (s.data != NULL && column->type == TYPE_BOOL && s.data[0] > 1) {
        r->failed = true;
    }
    return s;
}

enum errcode row_split(const struct schema *schema, struct slice body, struct slice *columns,
                       struct err *err)
{
    struct reader r;
    reader_init(&r, body.data, body.bytes);
    uint8_t version = reader_u8(&r);
    if (!r.failed && version != ROW_VERSION) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED, "a row of version %u, this server reads %d",
                       version, ROW_VERSION);
    }
    const uint8_t *nulls = reader_bytes(&r, bitmap_bytes(schema));
    for (uint32_t i = 0; i < schema->n_columns && !r.failed; i++) {
        bool is_null = (nulls[i / 8] >> (i % 8) & 1) != 0;
        columns[i] = is_null ? (struct slice){NULL, 0} : split_column(&r, &schema->columns[i]);
    }
    if (!reader_done(&r)) {
        return err_set(err, ERR_CORRUPT, "a row of %zu bytes does not hold what its schema says",
                       body.bytes);
    }
    return ERR_OK;
}

void row_join(struct buf *body, const struct schema *schema, const struct slice *columns)
{
    uint8_t nulls[COLUMNS_MAX / 8] = {0};
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        if (columns[i].data == NULL) {
            nulls[i / 8] |= (uint8_t)(1u << (i % 8));
        }
    }
    buf_u8(body, ROW_VERSION);
    buf_bytes(body, nulls, bitmap_bytes(schema));
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        enum value_type type = schema->columns[i].type;
        if (columns[i].data != NULL && (type == TYPE_TEXT || type == TYPE_JSON)) {
            buf_varint(body, columns[i].bytes);
        }
        if (columns[i].data != NULL) {
            buf_bytes(body, columns[i].data, columns[i].bytes);
        }
    }
}

/* ---- the checksum ---- */

static uint32_t row_checksum(uint64_t number, struct slice body)
{
    uint8_t prefix[8];
    le_put_u64(prefix, number);
    return crc32c(crc32c(0, prefix, sizeof(prefix)), body.data, body.bytes);
}

void row_store(uint8_t *out, uint64_t number, struct slice body)
{
    CHECK(body.data != NULL);
    le_put_u32(out, row_checksum(number, body));
    memcpy(out + ROW_CHECKSUM_BYTES, body.data, body.bytes);
}

enum errcode row_check(uint64_t number, struct slice stored, struct slice *body, struct err *err)
{
    if (stored.bytes <= ROW_CHECKSUM_BYTES) {
        return err_set(err, ERR_CORRUPT, "row %llu has %zu bytes", (unsigned long long)number,
                       stored.bytes);
    }
    *body = (struct slice){stored.data + ROW_CHECKSUM_BYTES, stored.bytes - ROW_CHECKSUM_BYTES};
    if (le_get_u32(stored.data) != row_checksum(number, *body)) {
        return err_set(err, ERR_CORRUPT, "row %llu does not pass its checksum",
                       (unsigned long long)number);
    }
    return ERR_OK;
}

uint32_t shard_row_stamp(const struct shard_row *row)
{
    CHECK(row->bytes > ROW_CHECKSUM_BYTES);
    return le_get_u32(row->data);
}

/* ---- decoding ---- */

enum errcode row_decode_value(const struct column *column, struct slice encoded, struct value *out,
                              struct arena *arena, struct err *err)
{
    struct reader r;
    CHECK(column->type != TYPE_NULL && column->type < TYPE_COUNT);
    reader_init(&r, encoded.data, encoded.bytes);
    *out = (struct value){.type = column->type};
    switch (column->type) {
    case TYPE_BOOL:
        out->boolean = encoded.data[0] != 0;
        break;
    case TYPE_INT:
    case TYPE_TIMESTAMP:
        out->integer = unzigzag(reader_varint(&r));
        break;
    case TYPE_FLOAT:
        out->number = reader_f64(&r);
        break;
    case TYPE_TEXT:
    case TYPE_JSON:
        out->text.data = (const char *)encoded.data;
        out->text.bytes = (uint32_t)encoded.bytes;
        break;
    case TYPE_UUID:
        memcpy(out->uuid, encoded.data, UUID_BYTES);
        break;
    case TYPE_VECTOR:
        out->vector.data = arena_copy(arena, encoded.data, encoded.bytes);
        out->vector.dim = column->dim;
        if (out->vector.data == NULL) {
            return err_no_memory(err);
        }
        break;
    case TYPE_NULL:
    case TYPE_COUNT:
        break;
    }
    return ERR_OK;
}

enum errcode shard_row_decode(const struct schema *schema, const struct shard_row *row,
                              const uint64_t columns[4], struct value *values, struct arena *arena,
                              struct err *err)
{
    struct slice stored = {row->data, row->bytes};
    struct slice body;
    struct slice slices[COLUMNS_MAX];
    enum errcode code = row_check(row->number, stored, &body, err);
    if (code == ERR_OK) {
        code = row_split(schema, body, slices, err);
        if (code != ERR_OK) {
            err_prefix(err, "row %llu", (unsigned long long)row->number);
        }
    }
    for (uint32_t i = 0; i < schema->n_columns && code == ERR_OK; i++) {
        bool is_wanted = columns == NULL || (columns[i / 64] >> (i % 64) & 1) != 0;
        if (is_wanted && slices[i].data == NULL) {
            values[i] = value_null();
        } else if (is_wanted) {
            code = row_decode_value(&schema->columns[i], slices[i], &values[i], arena, err);
        }
    }
    return code;
}

/* ---- keys ---- */

static void key_from_int(int64_t x, struct key *out)
{
    uint64_t ordered = (uint64_t)x ^ (UINT64_C(1) << 63);
    for (int i = 0; i < 8; i++) {
        out->data[1 + i] = (uint8_t)(ordered >> (56 - 8 * i));
    }
    out->bytes = 1 + 8;
}

void key_encode(const struct value *value, struct key *out)
{
    CHECK(value->type == TYPE_INT || value->type == TYPE_TEXT || value->type == TYPE_UUID);
    out->data[0] = (uint8_t)value->type;
    switch (value->type) {
    case TYPE_INT:
        key_from_int(value->integer, out);
        break;
    case TYPE_TEXT:
        CHECK(value->text.bytes <= KEY_BYTES_MAX);
        memcpy(out->data + 1, value->text.data, value->text.bytes);
        out->bytes = (uint16_t)(1 + value->text.bytes);
        break;
    case TYPE_UUID:
        memcpy(out->data + 1, value->uuid, UUID_BYTES);
        out->bytes = 1 + UUID_BYTES;
        break;
    default:
        break;
    }
}

enum errcode key_from_column(const struct schema *schema, struct slice column, struct key *out,
                             struct err *err)
{
    const struct column *c = &schema->columns[0];
    struct value v = {.type = c->type};
    if (column.data == NULL || (c->type == TYPE_TEXT && column.bytes > KEY_BYTES_MAX)) {
        return err_set(err, ERR_CORRUPT, "a row without a usable key");
    }
    enum errcode code = row_decode_value(c, column, &v, NULL, err);
    if (code == ERR_OK) {
        key_encode(&v, out);
    }
    return code;
}

bool key_is_valid(enum value_type type, struct slice key)
{
    if (key.bytes == 0 || key.bytes > KEY_BYTES_ENCODED_MAX || key.data[0] != (uint8_t)type) {
        return false;
    }
    switch (type) {
    case TYPE_INT:
        return key.bytes == 1 + 8;
    case TYPE_UUID:
        return key.bytes == 1 + UUID_BYTES;
    case TYPE_TEXT:
        return true;
    default:
        return false;
    }
}

uint64_t key_label(struct slice key)
{
    CHECK_HOT(key.bytes > 0);
    uint64_t label = 0;
    for (size_t i = 1; i <= sizeof(label); i++) {
        label = label << 8 | (i < key.bytes ? key.data[i] : 0);
    }
    return label;
}

uint64_t shard_label_of_key(const struct value *value)
{
    struct key key;
    key_encode(value, &key);
    return key_label((struct slice){key.data, key.bytes});
}

bool shard_labels_are_keys(const struct schema *schema)
{
    return schema->columns[0].type == TYPE_INT;
}

struct value shard_key_of_label(const struct schema *schema, uint64_t label)
{
    CHECK(shard_labels_are_keys(schema));
    return value_int((int64_t)(label ^ UINT64_C(1) << 63));
}

void key_decode(struct slice key, struct value *out)
{
    CHECK(key.bytes > 0);
    const uint8_t *p = key.data + 1;
    *out = (struct value){.type = (enum value_type)key.data[0]};
    if (out->type == TYPE_INT) {
        uint64_t ordered = 0;
        for (int i = 0; i < 8; i++) {
            ordered = ordered << 8 | p[i];
        }
        out->integer = (int64_t)(ordered ^ UINT64_C(1) << 63);
    } else if (out->type == TYPE_UUID) {
        memcpy(out->uuid, p, UUID_BYTES);
    } else {
        out->text.data = (const char *)p;
        out->text.bytes = (uint32_t)(key.bytes - 1);
    }
}
