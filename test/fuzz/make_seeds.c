/* Writes the inputs that the fuzz targets begin with: make_seeds DIR makes DIR/parser, wire, row,
 * index, session (which must exist) and DIR/parser.dict.  Parser: the corpus of the unit tests and
 * the keywords. Wire: a frame of every message.  Row: rows of fuzz_row's schemas.  Index:
 * checkpoints.  Session: what clients do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/format.h"
#include "index_seed.h"
#include "net/wire.h"
#include "parser/parser.h"

enum {
    PATH_BYTES = 4096,
    BUF_BYTES = 1 << 20
};

static const struct {
    const char *text, *canonical;
} corpus[] = {
#include "test/unit/parser/corpus.def"
};

static const char *folder;

static void put(const char *target, const char *name, const void *data, size_t bytes)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s/%s", folder, target, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void put_buf(const char *target, const char *name, struct buf *b)
{
    CHECK(!b->failed);
    put(target, name, b->data, b->bytes);
    buf_reset(b);
}

static void parser_seeds(struct buf *b)
{
    for (size_t i = 0; i < COUNT_OF(corpus); i++) {
        char name[32];
        snprintf(name, sizeof(name), "corpus-%zu", i);
        put("parser", name, corpus[i].text, strlen(corpus[i].text));
    }
    size_t n;
    const char *const *words = parser_keywords(&n);
    for (size_t i = 0; i < n; i++) {
        buf_printf(b, "\"%s\"\n", words[i]);
    }
    put_buf(".", "parser.dict", b);
}

/* A frame of each type whose fields any codec takes: texts, numbers and values. */
static void wire_seeds(struct buf *b)
{
    struct wire_str name = {"name", 4};
    struct wire_startup startup = {
        .magic = WIRE_MAGIC, .major = WIRE_VERSION_MAJOR, .n_options = 1};
    startup.options[0].name = startup.options[0].value = name;
    wire_write_startup(b, &startup);
    struct wire_key key = {.session = 1, .secret = 2};
    wire_write_key(b, WIRE_CANCEL, &key);
    wire_write_key(b, WIRE_SESSION_KEY, &key);
    put_buf("wire", "startup", b);

    static const float floats[] = {1, -2};
    struct value values[] = {value_null(),     value_bool(true), value_int(-1),
                             value_float(0.5), value_cstr("a"),  value_vector(floats, 2)};
    static const uint8_t types[] = {TYPE_INT, TYPE_VECTOR};
    struct wire_parse_message parse_message = {
        .name = name, .text = name, .n_types = 2, .types = types};
    wire_write_parse(b, &parse_message);
    wire_write_bind(b, name, name, values, COUNT_OF(values));
    wire_write_named(b, WIRE_DESCRIBE, 'S', name);
    wire_write_execute(b, name, 10);
    wire_write_named(b, WIRE_CLOSE, 'P', name);
    wire_write_empty(b, WIRE_SYNC);
    put_buf("wire", "extended", b);

    struct wire_column columns[] = {{name, TYPE_INT, 0}, {name, TYPE_VECTOR, 3}};
    struct err err = {0};
    (void)err_set(&err, ERR_SYNTAX, "message");
    err.position = 5;
    err_hint(&err, "hint");
    wire_write_text(b, WIRE_QUERY, "SELECT 1", 8);
    wire_write_columns(b, columns, 2);
    wire_write_row(b, values, COUNT_OF(values));
    wire_write_complete(b, "SELECT", 1);
    wire_write_error(b, WIRE_ERROR, "ERROR", &err);
    wire_write_error(b, WIRE_NOTICE, "NOTICE", &err);
    put_buf("wire", "simple", b);

    wire_write_copy(b, WIRE_COPY_IN, COPY_CSV, types, 2);
    wire_write_copy(b, WIRE_COPY_OUT, COPY_BINARY, types, 2);
    wire_write_text(b, WIRE_COPY_FAIL, "why", 3);
    wire_write_progress(b, "phase", 1, 2);
    wire_write_status(b, "name", "value");
    wire_write_parameters(b, types, 2);
    wire_write_auth(b, 0);
    put_buf("wire", "rest", b);
}

/* The layout is drawn in shard/row.c: checksum, version, null bitmap, columns. */
static void row_seeds(struct buf *b)
{
    buf_u8(b, 0); /* The schema: INT BOOL FLOAT TEXT UUID TIMESTAMP JSON VECTOR(3). */
    buf_u32(b, 0);
    buf_u8(b, 1);
    buf_u8(b, 0);
    buf_varint(b, 84);
    buf_u8(b, 1);
    buf_f64(b, 0.5);
    buf_varint(b, 2);
    buf_bytes(b, "ab", 2);
    buf_bytes(b, "0123456789abcdef", UUID_BYTES);
    buf_varint(b, 1000000);
    buf_varint(b, 2);
    buf_bytes(b, "{}", 2);
    buf_floats(b, (const float[]){1, 2, 3}, 3);
    put_buf("row", "all-types", b);
    buf_u8(b, 1);
    buf_u32(b, 0);
    buf_u8(b, 1);
    buf_u8(b, 0);
    buf_varint(b, 2);
    put_buf("row", "key", b);
    buf_u8(b, 2);
    buf_u32(b, 0);
    buf_u8(b, 1);
    for (size_t i = 0; i < COLUMNS_MAX / 8; i++) {
        buf_u8(b, 0xff);
    }
    put_buf("row", "nulls", b);
}

/* Operations, as fuzz_session.c reads them. */
static void session_seeds(struct buf *b)
{
    static const char *const seeds[] = {
        "sSq\1u.r.q\5u.fd\2abu.m\3u.r.",
        "sSq\3u.t\26u.w.u.r.m\2u.",
        "sSe\1u.m\1e\22u.h.u.r.",
        "sSq\5u.d.u.r.u.",
        "b\1Su.t\27u.u.",
        "sSq\2u.c.u.r.r.u.t\27u.",
        "sSe\5u.c.u.m\1u.r.e\3h.u.w.u.r.",
        "fS\10abcdefghu.r.",
        "sSl\7q\11u.r.u.r.x.u.",
        "sSe\1\0bu\3abcu.z.u.",
    };
    for (size_t i = 0; i < COUNT_OF(seeds); i++) {
        char name[16];
        snprintf(name, sizeof(name), "%zu", i);
        buf_bytes(b, seeds[i], strlen(seeds[i]));
        put_buf("session", name, b);
    }
}

static enum errcode append(void *arg, const void *data, size_t bytes, struct err *err)
{
    (void)err;
    buf_bytes(arg, data, bytes);
    return ERR_OK;
}

static void index_seed(struct buf *b, enum index_kind kind, size_t n_rows)
{
    struct index_config config = index_seed_config(kind);
    struct err err = {0};
    struct index *index = index_new(&config, &err);
    CHECK(index != NULL);
    uint64_t random = 1;
    for (uint64_t row = 0; row < n_rows; row++) {
        float vector[INDEX_SEED_DIM];
        for (size_t i = 0; i < INDEX_SEED_DIM; i++) {
            vector[i] = (float)(random_next(&random) >> 44) + 1;
        }
        struct index_rows rows = {.numbers = &row, .vectors = vector, .n = 1};
        CHECK(index_stage_insert(index, row + 1, &rows, &err) == ERR_OK);
    }
    size_t n_done = 0;
    CHECK(index_advance(index, n_rows + 1, NULL, &n_done, &err) == ERR_OK);
    buf_u8(b, kind == INDEX_FLAT);
    uint32_t digest;
    CHECK(index_save(index, append, b, &digest, &err) == ERR_OK);
    char name[32];
    snprintf(name, sizeof(name), "%s-%zu", kind == INDEX_FLAT ? "flat" : "hnsw", n_rows);
    put_buf("index", name, b);
    index_free(index);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_seeds DIR\n");
        return 2;
    }
    folder = argv[1];
    CHECK(index_choose_kernel(NULL));
    struct buf b;
    buf_init(&b, MEM_GENERAL, BUF_BYTES);
    parser_seeds(&b);
    wire_seeds(&b);
    row_seeds(&b);
    session_seeds(&b);
    static const size_t sizes[] = {0, 1, 5, 40};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        index_seed(&b, INDEX_HNSW, sizes[i]);
        index_seed(&b, INDEX_FLAT, sizes[i]);
    }
    buf_fini(&b);
    return 0;
}
