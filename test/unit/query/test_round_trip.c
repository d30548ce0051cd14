/* What COPY writes, COPY reads as the same values: random rows of all types through each format and
 * many ways to write csv, compared bit by bit. */
#include "query_fixture.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    ROUNDS = 60,
    ROWS_MAX = 80,
    DIM = 3,
    TEXT_BYTES = 64,
};

struct maker {
    uint64_t seed;
    struct arena *arena;
};

static uint64_t below(struct maker *m, uint64_t n)
{
    return random_next(&m->seed) % n;
}

static bool chance(struct maker *m, uint64_t n)
{
    return below(m, n) == 0;
}

/* ---- values that are easily lost ---- */

static struct value any_text(struct maker *m)
{
    static const char *const pieces[] = {
        "",    ",",     "\"",         "\"\"", "\n", "\r",   "\r\n", "\xef\xbb\xbf",
        "\\.", "\\N",   "NULL",       "x",    " ",  "\t",   ";",    "|",
        "'",   "\\",    "1",          "é",    "😀",  "\x01", "\x7f", "null",
        "{",   "[1,2]", "\"quoted\"", "-",    ".",  "--"};
    char text[TEXT_BYTES] = "";
    for (uint64_t n = below(m, 5); n > 0; n--) {
        const char *piece = pieces[below(m, COUNT_OF(pieces))];
        if (strlen(text) + strlen(piece) < sizeof(text)) {
            memcpy(text + strlen(text), piece, strlen(piece) + 1);
        }
    }
    const char *kept = arena_strndup(m->arena, text, strlen(text));
    assert_non_null(kept);
    return value_cstr(kept);
}

static struct value any_json(struct maker *m)
{
    static const char *const texts[] = {"null",
                                        "{}",
                                        "[]",
                                        " 1 ",
                                        "\"\"",
                                        "\"a,b\\n\\\"\"",
                                        "{\n\"a\": [1,\r\n2]\n}",
                                        "-0.0e-5",
                                        "true",
                                        "{\"é\": \"\\u00e9\"}"};
    struct value value = value_cstr(texts[below(m, COUNT_OF(texts))]);
    value.type = TYPE_JSON;
    return value;
}

static struct value any_timestamp(struct maker *m)
{
    static const int64_t ends[] = {
        TIMESTAMP_MIN, TIMESTAMP_MAX,  TIMESTAMP_MIN + 1, TIMESTAMP_MAX - 1, 0, -1, 1,
        -1000000,      951782400000000};
    uint64_t span = (uint64_t)TIMESTAMP_MAX - (uint64_t)TIMESTAMP_MIN;
    int64_t micros = chance(m, 2) ? ends[below(m, COUNT_OF(ends))]
                                  : (int64_t)(below(m, span) + (uint64_t)TIMESTAMP_MIN);
    return (struct value){.type = TYPE_TIMESTAMP, .integer = micros};
}

static struct value any_float(struct maker *m)
{
    static const double ends[] = {
        0.0, -0.0,   DBL_TRUE_MIN, -DBL_TRUE_MIN,    DBL_MIN,           DBL_MAX,    -DBL_MAX,
        0.1, 1e-300, 5e15,         (double)INFINITY, -(double)INFINITY, (double)NAN};
    double x = ends[below(m, COUNT_OF(ends))];
    if (chance(m, 2)) {
        uint64_t bits = random_next(&m->seed);
        memcpy(&x, &bits, sizeof(x));
        x = isnan(x) ? 1 : x; /* Text has one NaN. */
    }
    return value_float(x);
}

static struct value any_vector(struct maker *m)
{
    static const float ends[] = {0.0f,    -0.0f, FLT_TRUE_MIN, -FLT_TRUE_MIN,
                                 FLT_MIN, 1e15f, 0.1f,         -1.5f};
    float *data = arena_array(m->arena, DIM, sizeof(float));
    assert_non_null(data);
    for (size_t i = 0; i < DIM; i++) {
        uint32_t bits = (uint32_t)random_next(&m->seed);
        memcpy(&data[i], &bits, sizeof(bits));
        if (chance(m, 2) || !isfinite(data[i])) {
            data[i] = ends[below(m, COUNT_OF(ends))];
        }
    }
    return value_vector(data, DIM);
}

static struct value any_uuid(struct maker *m)
{
    struct value value = {.type = TYPE_UUID};
    for (size_t i = 0; i < sizeof(value.uuid); i++) {
        value.uuid[i] = (uint8_t)random_next(&m->seed);
    }
    return value;
}

static struct value any_int(struct maker *m)
{
    static const int64_t ends[] = {INT64_MIN, INT64_MAX, 0, -1, 1};
    return value_int(chance(m, 2) ? ends[below(m, COUNT_OF(ends))]
                                  : (int64_t)random_next(&m->seed));
}

static struct value any_value(struct maker *m, enum value_type type)
{
    switch (type) {
    case TYPE_TEXT:
        return any_text(m);
    case TYPE_JSON:
        return any_json(m);
    case TYPE_TIMESTAMP:
        return any_timestamp(m);
    case TYPE_FLOAT:
        return any_float(m);
    case TYPE_VECTOR:
        return any_vector(m);
    case TYPE_UUID:
        return any_uuid(m);
    case TYPE_INT:
        return any_int(m);
    default:
        return value_bool(chance(m, 2));
    }
}

/* A key like no other: its end counts, its beginning is anything. */
static struct value make_key(struct maker *m, enum value_type type, size_t number)
{
    struct value key = any_value(m, type);
    if (type == TYPE_INT) {
        return value_int((int64_t)number - ROWS_MAX / 2);
    }
    if (type == TYPE_UUID) {
        key.uuid[15] = (uint8_t)number;
        return key;
    }
    char *text = arena_alloc(m->arena, TEXT_BYTES + 32);
    assert_non_null(text);
    snprintf(text, TEXT_BYTES + 32, "%.*s#%zu", (int)key.text.bytes, key.text.data, number);
    return value_cstr(text);
}

static const enum value_type types[] = {TYPE_TEXT,  TYPE_JSON,   TYPE_TIMESTAMP,
                                        TYPE_FLOAT, TYPE_VECTOR, TYPE_UUID,
                                        TYPE_INT,   TYPE_BOOL,   TYPE_TEXT};

static void make_rows(struct maker *m, enum value_type key, bool has_nulls, struct buf *out)
{
    buf_reset(out);
    for (size_t i = 0, n = below(m, ROWS_MAX); i < n; i++) {
        struct value value = make_key(m, key, i);
        buf_u16(out, 1 + COUNT_OF(types));
        value_write(out, &value);
        for (size_t j = 0; j < COUNT_OF(types); j++) {
            value = has_nulls && chance(m, 4) ? value_null() : any_value(m, types[j]);
            value_write(out, &value);
        }
    }
}

/* ---- there and back ---- */

static void copy_in(struct client *c, const char *text, const struct buf *data, size_t piece)
{
    if (run_copy(c, text, data->data, data->bytes, piece) != ERR_OK) {
        fail_msg("%s: %s", text, c->err.message);
    }
}

/* The data of a COPY TO. */
static void copy_out(struct client *c, const char *text, struct buf *out)
{
    buf_reset(out);
    expect_ok(c, text);
    buf_bytes(out, c->copy.data, c->copy.bytes);
}

static void assert_same(const struct buf *a, const struct buf *b, uint64_t seed, const char *what)
{
    if (a->bytes != b->bytes || memcmp(a->data, b->data, a->bytes) != 0) {
        fail_msg("seed %llu: %s", (unsigned long long)seed, what);
    }
}

static void any_csv_options(struct maker *m, char *out, size_t bytes)
{
    static const char delimiters[] = ",;|\t x1.-:'\\e";
    static const char *const nulls[] = {"", "\\N", "NULL", "x", "null", "1", "[]"};
    char delimiter = delimiters[below(m, sizeof(delimiters) - 1)];
    const char *null = nulls[below(m, COUNT_OF(nulls))];
    while (strchr(null, delimiter) != NULL) {
        null = nulls[below(m, COUNT_OF(nulls))];
    }
    snprintf(out, bytes, "HEADER %s, DELIMITER E'\\x%02x', NULL '%s'", chance(m, 2) ? "on" : "off",
             (unsigned)delimiter, null);
}

static void go_round(struct client *c, struct maker *m, const char *options, const struct buf *rows)
{
    struct buf out, again;
    uint64_t seed = m->seed;
    char from[200], to[200];
    buf_init(&out, MEM_GENERAL, 1 << 24);
    buf_init(&again, MEM_GENERAL, 1 << 24);
    snprintf(to, sizeof(to), "COPY a TO STDOUT (%s)", options);
    snprintf(from, sizeof(from), "COPY b FROM STDIN (%s)", options);
    copy_out(c, to, &out);
    copy_in(c, from, &out, 1 + below(m, 200));
    copy_out(c, "COPY b TO STDOUT (FORMAT binary)", &again);
    assert_same(rows, &again, seed, from);
    expect_ok(c, "DELETE FROM b");
    buf_fini(&out);
    buf_fini(&again);
}

static void rows_come_back_as_they_were(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    static const enum value_type keys[] = {TYPE_INT, TYPE_TEXT, TYPE_UUID};
    struct maker m = {.seed = 20261127, .arena = arena_new(MEM_GENERAL, 1 << 24)};
    struct buf rows;
    char text[200];
    assert_non_null(m.arena);
    buf_init(&rows, MEM_GENERAL, 1 << 24);
    for (int round = 0; round < ROUNDS; round++) {
        enum value_type key = keys[round % 3];
        arena_reset(m.arena);
        for (int name = 'a'; name <= 'b'; name++) {
            snprintf(text, sizeof(text),
                     "CREATE COLLECTION %c (k %s PRIMARY KEY, t TEXT, j JSON, ts TIMESTAMP,"
                     " f FLOAT, v VECTOR(%d), u UUID, i INT, b BOOL, \"T 2\" TEXT)"
                     " WITH (index = flat)",
                     name, type_name(key), DIM);
            expect_ok(c, text);
        }
        make_rows(&m, key, true, &rows);
        copy_in(c, "COPY a FROM STDIN (FORMAT binary)", &rows, 1 + below(&m, 200));
        go_round(c, &m, "FORMAT binary", &rows);
        for (int i = 0; i < 4; i++) {
            any_csv_options(&m, text, sizeof(text));
            go_round(c, &m, text, &rows);
        }
        expect_ok(c, "DROP COLLECTION a; DROP COLLECTION b");
    }
    buf_fini(&rows);
    arena_free(m.arena);
}

static void vectors_come_back_by_fbin_as_they_were(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    struct maker m = {.seed = 7, .arena = arena_new(MEM_GENERAL, 1 << 24)};
    struct buf rows, out, again;
    assert_non_null(m.arena);
    buf_init(&rows, MEM_GENERAL, 1 << 24);
    buf_init(&out, MEM_GENERAL, 1 << 24);
    buf_init(&again, MEM_GENERAL, 1 << 24);
    expect_ok(c, "CREATE COLLECTION a (k INT PRIMARY KEY, v VECTOR(3)) WITH (index = flat);"
                 "CREATE COLLECTION b (k INT PRIMARY KEY, v VECTOR(3)) WITH (index = flat)");
    for (int round = 0; round < ROUNDS; round++) {
        arena_reset(m.arena);
        buf_reset(&rows);
        for (size_t i = 0, n = below(&m, ROWS_MAX); i < n; i++) {
            struct value key = value_int((int64_t)i), vector = any_vector(&m);
            buf_u16(&rows, 2);
            value_write(&rows, &key);
            value_write(&rows, &vector);
        }
        copy_in(c, "COPY a FROM STDIN (FORMAT binary)", &rows, 1 + below(&m, 200));
        copy_out(c, "COPY a (v) TO STDOUT (FORMAT fbin)", &out);
        copy_in(c, "COPY b FROM STDIN (FORMAT fbin)", &out, 1 + below(&m, 200));
        copy_out(c, "COPY b TO STDOUT (FORMAT binary)", &again);
        assert_same(&rows, &again, m.seed, "fbin");
        expect_ok(c, "DELETE FROM a; DELETE FROM b");
    }
    buf_fini(&rows);
    buf_fini(&out);
    buf_fini(&again);
    arena_free(m.arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_come_back_as_they_were),
        TEST(vectors_come_back_by_fbin_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
