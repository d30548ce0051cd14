/* What may be stored is checked at each door through which values come: literals, parameters, COPY
 * in each format, policies.  What is refused leaves nothing, and its error is text. */
#include "query_fixture.h"

#include <stdio.h>
#include <string.h>

struct bad {
    enum value_type type;
    const char *column;
    const char *text; /* TEXT, JSON */
    size_t bytes;
    int64_t micros; /* TIMESTAMP */
    enum errcode code;
};

static const struct bad bads[] = {
    {TYPE_TEXT, "name", "caf\xe9", 4, 0, ERR_BAD_ENCODING},
    {TYPE_TEXT, "name", "a\0b", 3, 0, ERR_BAD_ENCODING},
    {TYPE_TEXT, "name", "\xed\xa0\x80", 3, 0, ERR_BAD_ENCODING}, /* Half of a surrogate pair. */
    {TYPE_TEXT, "name", "\xc0\xaf", 2, 0, ERR_BAD_ENCODING},     /* Longer than it need be. */
    {TYPE_TEXT, "name", "cut \xe2\x82", 6, 0, ERR_BAD_ENCODING},
    {TYPE_JSON, "j", "{", 1, 0, ERR_BAD_JSON},
    {TYPE_JSON, "j", "", 0, 0, ERR_BAD_JSON},
    {TYPE_JSON, "j", "01", 2, 0, ERR_BAD_JSON},
    {TYPE_JSON, "j", "\"\xff\"", 3, 0, ERR_BAD_ENCODING},
    {TYPE_JSON, "j", "1 2", 3, 0, ERR_BAD_JSON},
    {TYPE_TIMESTAMP, "seen", NULL, 0, TIMESTAMP_MAX + 1, ERR_DATETIME_RANGE},
    {TYPE_TIMESTAMP, "seen", NULL, 0, TIMESTAMP_MIN - 1, ERR_DATETIME_RANGE},
    {TYPE_TIMESTAMP, "seen", NULL, 0, INT64_MAX, ERR_DATETIME_RANGE},
    {TYPE_TIMESTAMP, "seen", NULL, 0, INT64_MIN, ERR_DATETIME_RANGE},
};

static struct client *setup_table(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    expect_ok(c, "CREATE COLLECTION t (id TEXT PRIMARY KEY, name TEXT, j JSON, seen TIMESTAMP,"
                 " e VECTOR(1))");
    expect_ok(c, "INSERT INTO t (id, name, j) VALUES ('here', 'as it was', '1')");
    return c;
}

static struct value value_of(const struct bad *bad)
{
    struct value value = value_text(bad->text, bad->bytes);
    value.type = bad->type;
    if (bad->type == TYPE_TIMESTAMP) {
        value.integer = bad->micros;
    }
    return value;
}

static void check_refused(struct client *c, const struct bad *bad, enum errcode code,
                          const char *door)
{
    bool is_text = utf8_is_valid(c->err.message, strlen(c->err.message)) &&
                   utf8_is_valid(c->err.hint, strlen(c->err.hint));
    if (code != bad->code || !is_text) {
        fail_msg("%s by %s: %s %s", bad->column, door, err_name(code), c->err.message);
    }
    expect_rows(c, "SELECT id, name, j, seen FROM t", "here|as it was|1|\n");
}

static void parameters_are_checked_wherever_they_stand(void **state)
{
    static const char *const texts[][2] = {
        /* Before the column's name, and behind it. */
        {"INSERT INTO t (id, ", ") VALUES ('new', $1)"},
        {"INSERT INTO t (id, ", ") VALUES ('here', $1) ON CONFLICT DO UPDATE"},
        {"UPDATE t SET ", " = $1"},
        {"SELECT id FROM t WHERE ", " = $1"},
        {"SELECT id FROM t WHERE ", " IN ($1, $1)"},
    };
    struct client *c = setup_table(state);
    for (size_t i = 0; i < COUNT_OF(bads); i++) {
        struct value value = value_of(&bads[i]);
        for (size_t j = 0; j < COUNT_OF(texts); j++) {
            char text[160];
            if (bads[i].type == TYPE_JSON && j >= 3) {
                continue; /* JSON is not compared. */
            }
            snprintf(text, sizeof(text), "%s%s%s", texts[j][0], bads[i].column, texts[j][1]);
            check_refused(c, &bads[i], run_with(c, text, &value, 1), text);
        }
        if (bads[i].type == TYPE_JSON) { /* A text that becomes JSON is looked at as well. */
            value.type = TYPE_TEXT;
            check_refused(c, &bads[i], run_with(c, "UPDATE t SET j = $1", &value, 1), "a text");
        }
    }
}

static void keys_are_checked(void **state)
{
    static const char *const texts[] = {
        "INSERT INTO t (id) VALUES ($1)",
        "SELECT id FROM t WHERE id = $1",
        "DELETE FROM t WHERE id = $1",
        "SEARCH id FROM t NEAR KEY $1 LIMIT 1",
    };
    struct client *c = setup_table(state);
    for (size_t i = 0; i < COUNT_OF(bads) && bads[i].type == TYPE_TEXT; i++) {
        struct value value = value_of(&bads[i]);
        for (size_t j = 0; j < COUNT_OF(texts); j++) {
            check_refused(c, &bads[i], run_with(c, texts[j], &value, 1), texts[j]);
        }
    }
}

static void rows_of_binary_copy_are_checked(void **state)
{
    struct client *c = setup_table(state);
    for (size_t i = 0; i < COUNT_OF(bads); i++) {
        struct value key = value_cstr("new"), value = value_of(&bads[i]);
        struct buf rows;
        char text[120];
        snprintf(text, sizeof(text), "COPY t (id, %s) FROM STDIN (FORMAT binary)", bads[i].column);
        buf_init(&rows, MEM_GENERAL, 1 << 20);
        buf_u16(&rows, 2);
        value_write(&rows, &key);
        value_write(&rows, &value);
        enum errcode code = run_copy(c, text, rows.data, rows.bytes, 5);
        assert_non_null(strstr(c->err.message, "row 1: column"));
        check_refused(c, &bads[i], code, text);
        if (bads[i].type == TYPE_TEXT) {
            buf_reset(&rows);
            buf_u16(&rows, 1);
            value_write(&rows, &value);
            snprintf(text, sizeof(text), "COPY t (id) FROM STDIN (FORMAT binary)");
            check_refused(c, &bads[i], run_copy(c, text, rows.data, rows.bytes, 5), text);
        }
        buf_fini(&rows);
    }
}

static void fields_of_csv_are_checked(void **state)
{
    struct client *c = setup_table(state);
    for (size_t i = 0; i < COUNT_OF(bads) && bads[i].type != TYPE_TIMESTAMP; i++) {
        struct value value = value_of(&bads[i]);
        struct buf csv, scratch;
        char text[120];
        snprintf(text, sizeof(text), "COPY t (id, %s) FROM STDIN", bads[i].column);
        buf_init(&csv, MEM_GENERAL, 1 << 20);
        buf_init(&scratch, MEM_GENERAL, 1 << 20);
        value_format(&scratch, &value);
        buf_printf(&csv, "new,\"");
        for (size_t j = 0; j < scratch.bytes; j++) {
            buf_bytes(&csv, "\"\"", scratch.data[j] == '"' ? 2 : 0);
            buf_bytes(&csv, scratch.data + j, scratch.data[j] != '"');
        }
        buf_printf(&csv, "\"\n");
        check_refused(c, &bads[i], run_copy(c, text, csv.data, csv.bytes, 3), text);
        buf_fini(&csv);
        buf_fini(&scratch);
    }
    static const char *const years[] = {"0000-12-31", "0001-01-01 00:00:00+01:00",
                                        "9999-12-31 23:59:59-01:00"};
    for (size_t i = 0; i < COUNT_OF(years); i++) {
        char csv[80];
        snprintf(csv, sizeof(csv), "new,%s\n", years[i]);
        assert_int_not_equal(run_copy(c, "COPY t (id, seen) FROM STDIN", csv, strlen(csv), 99),
                             ERR_OK);
    }
    expect_rows(c, "SELECT count(*) FROM t", "1\n");
}

static void ids_of_fbin_are_checked(void **state)
{
    struct client *c = setup_table(state);
    static const uint8_t fbin[] = {1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0x80, 0x3f};
    static const char text[] = "COPY t (id, e) FROM 'one.fbin' (FORMAT fbin, IDS 'one.ids')";
    char path[128];
    snprintf(path, sizeof(path), "%s.files/one.fbin", ((struct fixture *)*state)->directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(fbin, 1, sizeof(fbin), file), sizeof(fbin));
    fclose(file);
    snprintf(path, sizeof(path), "%s.files/one.ids", ((struct fixture *)*state)->directory);
    for (size_t i = 0; i < COUNT_OF(bads) && bads[i].type == TYPE_TEXT; i++) {
        file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(bads[i].text, 1, bads[i].bytes, file), bads[i].bytes);
        fputc('\n', file);
        fclose(file);
        check_refused(c, &bads[i], run(c, text), text);
    }
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("one\r\ntwo\n", file);
    fclose(file);
    expect_error(c, text, ERR_BAD_COPY_DATA);
    assert_non_null(strstr(c->err.message, "more ids"));
}

static void literals_are_checked(void **state)
{
    struct client *c = setup_table(state);
    for (size_t i = 0; i < COUNT_OF(bads) && bads[i].type != TYPE_TIMESTAMP; i++) {
        char text[160];
        if (memchr(bads[i].text, 0, bads[i].bytes) != NULL) {
            continue; /* The fixture's statements are C's strings. */
        }
        snprintf(text, sizeof(text), "INSERT INTO t (id, %s) VALUES ('new', '%s')", bads[i].column,
                 bads[i].text);
        check_refused(c, &bads[i], run(c, text), text);
        snprintf(text, sizeof(text), "UPDATE t SET %s = '%s'", bads[i].column, bads[i].text);
        check_refused(c, &bads[i], run(c, text), text);
    }
    struct bad escaped = {.column = "name", .code = ERR_BAD_ENCODING};
    check_refused(c, &escaped, run(c, "UPDATE t SET name = E'\\xe9'"), "an escape");
    check_refused(c, &escaped, run(c, "UPDATE t SET name = E'a\\000b'"), "an escape");
}

static void policies_are_checked(void **state)
{
    struct client *c = setup_table(state);
    struct value value = value_text("0.9\0junk", 8);
    assert_int_equal(run_with(c, "SEARCH id FROM t NEAR [1] LIMIT 1 WITH (on_lag = $1)", &value, 1),
                     ERR_BAD_ENCODING);
    struct policy_set set = {0};
    struct err err;
    static const struct bad *const bad = &bads[0];
    value = value_text(bad->text, bad->bytes);
    assert_int_equal(policy_assign_name(&set, "copy_directory", LEVEL_FILE, &value, &err),
                     ERR_BAD_ENCODING);
    value = value_text("0.9\0junk", 8);
    assert_int_equal(policy_assign_name(&set, "recall", LEVEL_SESSION, &value, &err),
                     ERR_BAD_ENCODING);
    assert_int_equal(set.is_set, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(parameters_are_checked_wherever_they_stand),
        TEST(keys_are_checked),
        TEST(rows_of_binary_copy_are_checked),
        TEST(fields_of_csv_are_checked),
        TEST(ids_of_fbin_are_checked),
        TEST(literals_are_checked),
        TEST(policies_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
