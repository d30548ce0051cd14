/* What a write is made of: built row by row by a session, kept in the log, read by apply.
 *
 * Little-endian; its checksum is the log's:
 *
 *   u8  version   COMMAND_VERSION
 *   u32 rows
 *   rows, each:   u8 operation (shard_commands.def), then what its operation has, in this order:
 *     columns     (columns of the schema + 7) / 8 bytes: bit i set: column i is given
 *     stamp       u32
 *     key         varint length + encoded key (row.c)
 *     body        u32 length + encoded row without its checksum (row.c)
 *
 * All that the schema asks is checked as a row is added, so that apply refuses only what depends on
 * the rows that there are.  The reader trusts nothing. */
#include "shard/row_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    COMMAND_VERSION = 1,
    COMMAND_ROWS_AT = 1,
};

struct operation {
    const char *name;
    uint8_t number;
    bool has_body, has_columns, has_stamp, has_key;
    bool depends_on_rows;
};

static const struct operation operations[] = {
#define SHARD_COMMAND(name, number, body, columns, stamp, key, depends, text)                      \
    [SHARD_##name] = {#name, number, body, columns, stamp, key, depends},
#include "shard/shard_commands.def"
#undef SHARD_COMMAND
};

struct shard_command {
    const struct schema *schema; /* Borrowed until it is submitted. */
    struct buf data;
    uint32_t n_rows;
    bool depends_on_rows;  /* One of its operations does. */
    bool has_bodies;       /* One of its operations brings a row. */
    struct buf key_hashes; /* u64 each, of its UPSERTs: one key twice is refused. */
};

bool shard_op_depends_on_rows(enum shard_op op)
{
    CHECK((size_t)op < COUNT_OF(operations));
    return operations[op].depends_on_rows;
}

struct shard_command *shard_command_new(const struct schema *schema, struct err *err)
{
    CHECK(schema != NULL && schema->n_columns > 0);
    struct shard_command *c = mem_zalloc(MEM_LOG, sizeof(*c));
    if (c == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    c->schema = schema;
    buf_init(&c->data, MEM_LOG, REPL_ENTRY_BYTES_MAX);
    buf_init(&c->key_hashes, MEM_LOG, REPL_ENTRY_BYTES_MAX);
    buf_u8(&c->data, COMMAND_VERSION);
    buf_u32(&c->data, 0);
    if (c->data.failed) {
        (void)err_no_memory(err);
        shard_command_free(c);
        return NULL;
    }
    return c;
}

void shard_command_free(struct shard_command *command)
{
    if (command != NULL) {
        buf_fini(&command->data);
        buf_fini(&command->key_hashes);
        mem_free(MEM_LOG, command);
    }
}

size_t shard_command_bytes(const struct shard_command *command)
{
    return command->data.bytes;
}

size_t shard_command_rows(const struct shard_command *command)
{
    return command->n_rows;
}

/* ---- checks ---- */

static enum errcode check_vector(const struct column *column, const struct value *v,
                                 struct err *err)
{
    if (v->vector.dim != column->dim) {
        (void)err_set(err, ERR_WRONG_DIMENSION,
                      "column \"%s\" is VECTOR(%u), the vector has %u dimensions", column->name,
                      column->dim, v->vector.dim);
        return ERR_WRONG_DIMENSION;
    }
    double sum = 0;
    for (uint32_t i = 0; i < v->vector.dim; i++) {
        if (!isfinite(v->vector.data[i])) {
            return err_set(err, ERR_NOT_FINITE, "column \"%s\": element %u of the vector is %s",
                           column->name, i + 1, isnan(v->vector.data[i]) ? "NaN" : "infinite");
        }
        sum += (double)v->vector.data[i] * (double)v->vector.data[i];
    }
    if (column->distance == DISTANCE_COSINE && sum == 0) {
        (void)err_set(err, ERR_ZERO_VECTOR, "column \"%s\": a zero vector has no direction",
                      column->name);
        err_hint(err, "Leave the column null, or use METRIC L2 or DOT.");
        return ERR_ZERO_VECTOR;
    }
    return ERR_OK;
}

static enum errcode check_text(const struct column *column, bool is_key, const struct value *v,
                               struct err *err)
{
    uint32_t bytes_max = is_key ? (uint32_t)KEY_BYTES_MAX : (uint32_t)TEXT_BYTES_MAX;
    if (v->text.bytes > bytes_max) {
        return err_set(err, ERR_STRING_TOO_LONG,
                       "column \"%s\": the text has %u bytes, at most %u are allowed%s",
                       column->name, v->text.bytes, bytes_max, is_key ? " in a key" : "");
    }
    return ERR_OK;
}

static enum errcode check_value(const struct schema *schema, uint32_t i, const struct value *v,
                                struct err *err)
{
    const struct column *column = &schema->columns[i];
    enum errcode code = ERR_OK;
    if (v->type == TYPE_NULL) {
        if (i == 0 || column->is_not_null) {
            code = err_set(err, ERR_NOT_NULL, "column \"%s\" must have a value", column->name);
        }
    } else if (v->type != column->type) {
        code = err_set(err, ERR_TYPE_MISMATCH, "column \"%s\" is %s, the value is %s", column->name,
                       type_name(column->type), type_name(v->type));
    } else if (v->type == TYPE_VECTOR) {
        code = check_vector(column, v, err);
    } else if (v->type == TYPE_TEXT || v->type == TYPE_JSON) {
        code = check_text(column, i == 0, v, err);
    }
    if (code != ERR_OK) {
        err_collection(err, schema->name);
        err_column(err, column->name);
    }
    return code;
}

/* ---- building ---- */

static void put_columns(struct buf *data, const struct schema *schema, const uint64_t columns[4])
{
    for (uint32_t byte = 0; byte < (schema->n_columns + 7) / 8; byte++) {
        uint8_t bits = (uint8_t)(columns[byte / 8] >> (byte % 8 * 8));
        if (byte == 0) {
            bits |= 1; /* The key is always given. */
        }
        if ((byte + 1) * 8 > schema->n_columns) {
            bits &= (uint8_t)(0xffu >> ((byte + 1) * 8 - schema->n_columns));
        }
        buf_u8(data, bits);
    }
}

static void put_key(struct buf *data, const struct value *value)
{
    struct key key;
    key_encode(value, &key);
    buf_varint(data, key.bytes);
    buf_bytes(data, key.data, key.bytes);
}

static void note_upsert(struct shard_command *command, const struct value *key)
{
    struct key encoded;
    key_encode(key, &encoded);
    buf_u64(&command->key_hashes, hash_bytes(encoded.data, encoded.bytes, 0));
}

static void put_row(struct buf *data, const struct schema *schema,
                    const struct operation *operation, const struct value *values)
{
    if (operation->has_key) {
        put_key(data, &values[0]);
    }
    if (operation->has_body) {
        size_t length_at = data->bytes;
        buf_u32(data, 0);
        row_encode(data, schema, values);
        if (!data->failed) {
            buf_patch_u32(data, length_at, (uint32_t)(data->bytes - length_at - sizeof(uint32_t)));
        }
    }
}

enum errcode shard_command_add(struct shard_command *command, enum shard_op op,
                               const struct value *values, const uint64_t columns[4],
                               uint32_t stamp, struct err *err)
{
    CHECK((size_t)op < COUNT_OF(operations));
    const struct operation *operation = &operations[op];
    CHECK(command->data.bytes > COMMAND_ROWS_AT && values != NULL);
    CHECK(columns != NULL || !operation->has_columns);
    uint32_t n_checked = operation->has_body ? command->schema->n_columns : 1;
    for (uint32_t i = 0; i < n_checked; i++) {
        enum errcode code = check_value(command->schema, i, &values[i], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    struct buf *data = &command->data;
    size_t bytes_before = data->bytes;
    buf_u8(data, operation->number);
    if (operation->has_columns) {
        put_columns(data, command->schema, columns);
    }
    if (operation->has_stamp) {
        buf_u32(data, stamp);
    }
    put_row(data, command->schema, operation, values);
    if (data->failed) {
        bool is_full = data->is_full;
        data->bytes = bytes_before;
        buf_forgive(data);
        if (!is_full) {
            return err_no_memory(err);
        }
        (void)err_set(err, ERR_STATEMENT_TOO_LONG, "one write of more than %d MiB",
                      REPL_ENTRY_BYTES_MAX >> 20);
        err_hint(err, "Write fewer rows at once.");
        return ERR_STATEMENT_TOO_LONG;
    }
    command->depends_on_rows = command->depends_on_rows || operation->depends_on_rows;
    command->has_bodies = command->has_bodies || operation->has_body;
    if (op == SHARD_UPSERT) {
        note_upsert(command, &values[0]);
    }
    command->n_rows++;
    buf_patch_u32(data, COMMAND_ROWS_AT, command->n_rows);
    return ERR_OK;
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

bool command_grows(const struct shard_command *command)
{
    return command->has_bodies;
}

bool command_can_be_refused(struct shard_command *command)
{
    struct buf *hashes = &command->key_hashes;
    size_t n = hashes->bytes / sizeof(uint64_t);
    if (command->depends_on_rows || hashes->failed) {
        return true;
    }
    if (n > 1) {
        qsort(hashes->data, n, sizeof(uint64_t), compare_hashes);
    }
    for (size_t i = 1; i < n; i++) {
        const uint8_t *at = hashes->data + i * sizeof(uint64_t);
        if (memcmp(at - sizeof(uint64_t), at, sizeof(uint64_t)) == 0) {
            return true;
        }
    }
    return false;
}

void *command_take(struct shard_command *command, size_t *bytes)
{
    CHECK(!command->data.failed && command->data.bytes > 0);
    CHECK(command->n_rows > 0);
    void *data = command->data.data;
    *bytes = command->data.bytes;
    buf_init(&command->data, MEM_LOG, REPL_ENTRY_BYTES_MAX);
    return data;
}

void command_give_back(struct shard_command *command, void *data, size_t bytes)
{
    CHECK(command->data.data == NULL);
    CHECK(data != NULL && bytes > 0);
    command->data.data = data;
    command->data.bytes = bytes;
    command->data.capacity_bytes = bytes;
}

/* ---- reading ---- */

enum errcode command_open(struct command_reader *c, const struct schema *schema, struct slice data,
                          struct err *err)
{
    CHECK(schema != NULL);
    c->schema = schema;
    reader_init(&c->reader, data.data, data.bytes);
    uint8_t version = reader_u8(&c->reader);
    c->rows_left = reader_u32(&c->reader);
    if (c->reader.failed) {
        return err_set(err, ERR_CORRUPT, "a command of %zu bytes", data.bytes);
    }
    if (version != COMMAND_VERSION) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED, "a command of version %u, this server reads %d",
                       version, COMMAND_VERSION);
    }
    if (c->rows_left > reader_left(&c->reader)) {
        return err_set(err, ERR_CORRUPT, "a command of %zu bytes says that it has %u rows",
                       data.bytes, c->rows_left);
    }
    return ERR_OK;
}

static const struct operation *find_operation(uint8_t number)
{
    for (size_t i = 0; i < COUNT_OF(operations); i++) {
        if (operations[i].number == number) {
            return &operations[i];
        }
    }
    return NULL;
}

static struct slice read_slice(struct reader *r, uint64_t bytes)
{
    if (bytes > reader_left(r)) {
        r->failed = true;
        return (struct slice){NULL, 0};
    }
    return (struct slice){reader_bytes(r, (size_t)bytes), (size_t)bytes};
}

enum errcode command_next(struct command_reader *c, struct command_row *out, struct err *err)
{
    CHECK(c->rows_left > 0);
    struct reader *r = &c->reader;
    uint8_t number = reader_u8(r);
    const struct operation *operation = find_operation(number);
    if (operation == NULL && !r->failed) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED, "a command with an unknown operation %u",
                       number);
    }
    if (operation == NULL) {
        return err_set(err, ERR_CORRUPT, "a command ends where a row should be");
    }
    *out = (struct command_row){.op = (enum shard_op)(operation - operations)};
    if (operation->has_columns) {
        out->columns = read_slice(r, (c->schema->n_columns + 7) / 8);
    }
    if (operation->has_stamp) {
        out->stamp = reader_u32(r);
    }
    if (operation->has_key) {
        out->key = read_slice(r, reader_varint(r));
    }
    if (operation->has_body) {
        out->body = read_slice(r, reader_u32(r));
    }
    c->rows_left--;
    bool is_key_bad =
        !r->failed && operation->has_key && !key_is_valid(c->schema->columns[0].type, out->key);
    if (r->failed || is_key_bad || (c->rows_left == 0 && !reader_done(r))) {
        return err_set(err, ERR_CORRUPT, "a command ends in the middle of a row, or has more");
    }
    return ERR_OK;
}
