/* Long statements say how far they are, each of them. */
#include "query_fixture.h"

#include <stdio.h>
#include <string.h>

enum {
    N_ROWS = 8000,
    DIM = 64,
    TERMS_MAX = 4096, /* Of a condition that takes long. */
    TRIES_MAX = 6,
};

/* Those from @first up to @end. */
static void add_rows(struct client *c, int first, int end)
{
    struct buf rows;
    float vector[DIM] = {0};
    buf_init(&rows, MEM_GENERAL, 1 << 28);
    for (int i = first; i < end; i++) {
        vector[i % DIM] = (float)i / 7;
        struct value values[] = {value_int(i), value_cstr("a name that is neither long nor short"),
                                 value_vector(vector, DIM)};
        buf_u16(&rows, COUNT_OF(values));
        for (size_t j = 0; j < COUNT_OF(values); j++) {
            value_write(&rows, &values[j]);
        }
    }
    assert_int_equal(run_copy(c, "COPY t FROM STDIN (FORMAT binary)", rows.data, rows.bytes, 65536),
                     ERR_OK);
    buf_fini(&rows);
}

static struct client *setup_rows(void **state, struct buf *csv)
{
    struct client *c = &((struct fixture *)*state)->client;
    expect_ok(c, "CREATE COLLECTION t (id INT PRIMARY KEY, name TEXT, e VECTOR(64))"
                 " WITH (index = flat)");
    add_rows(c, 0, N_ROWS);
    buf_init(csv, MEM_GENERAL, 1 << 28);
    expect_ok(c, "COPY t TO STDOUT");
    buf_bytes(csv, c->copy.data, c->copy.bytes);
    return c;
}

static void forget(struct client *c)
{
    c->phase[0] = '\0';
    c->phase_done = c->phase_total = 0;
}

/* Runs @head with conditions that nothing meets, longer and longer ones until it took a while. */
static void expect_told(struct client *c, const char *head, const char *phase)
{
    struct buf text;
    buf_init(&text, MEM_GENERAL, 1 << 20);
    forget(c);
    for (int terms = 64; terms <= TERMS_MAX && c->phase[0] == '\0'; terms *= 4) {
        buf_reset(&text);
        buf_printf(&text, "%s WHERE id < 0", head);
        for (int i = 0; i < terms; i++) {
            buf_printf(&text, " OR name LIKE '%%b%d%%n%%'", i);
        }
        buf_u8(&text, 0);
        expect_ok(c, (const char *)text.data);
    }
    assert_string_equal(c->phase, phase);
    assert_int_equal(c->phase_total, N_ROWS);
    assert_in_range(c->phase_done, 1, N_ROWS);
    buf_fini(&text);
}

static void statements_that_look_at_many_rows_count_them(void **state)
{
    struct buf csv;
    struct client *c = setup_rows(state, &csv);
    expect_told(c, "UPDATE t SET name = 'x'", "update");
    expect_told(c, "DELETE FROM t", "delete");
    expect_told(c, "SELECT count(*) FROM t", "scan");
    expect_told(c, "EXPLAIN ANALYZE UPDATE t SET name = 'x'", "update");
    buf_fini(&csv);
}

static void double_data(struct buf *data)
{
    size_t bytes = data->bytes;
    uint8_t *to = buf_reserve(data, bytes);
    assert_non_null(to);
    memcpy(to, data->data, bytes);
    buf_commit(data, bytes);
}

static void copy_counts_the_rows_that_went_in(void **state)
{
    struct buf csv;
    struct client *c = setup_rows(state, &csv);
    forget(c);
    for (int i = 0; i < TRIES_MAX && c->phase[0] == '\0'; i++) {
        double_data(&csv);
        assert_int_equal(
            run_copy(c, "COPY t FROM STDIN ON CONFLICT DO UPDATE", csv.data, csv.bytes, 4096),
            ERR_OK);
    }
    assert_string_equal(c->phase, "copy");
    assert_int_equal(c->phase_total, 0);
    assert_in_range(c->phase_done, 1, c->changed);
    buf_fini(&csv);
}

static void copy_counts_the_rows_that_go_out(void **state)
{
    struct buf csv;
    struct client *c = setup_rows(state, &csv);
    static const char *const texts[] = {"COPY t TO STDOUT", "COPY t TO 'rows.csv'"};
    int n_rows = N_ROWS;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        forget(c);
        expect_ok(c, texts[i]);
        for (int j = 0; j < TRIES_MAX && c->phase[0] == '\0'; j++) {
            add_rows(c, n_rows, 2 * n_rows);
            n_rows *= 2;
            expect_ok(c, texts[i]);
        }
        assert_string_equal(c->phase, "copy");
        assert_int_equal(c->phase_total, n_rows);
        assert_in_range(c->phase_done, 1, n_rows);
    }
    buf_fini(&csv);
}

static void copy_counts_the_bytes_of_a_file(void **state)
{
    struct buf csv;
    struct client *c = setup_rows(state, &csv);
    char path[128];
    snprintf(path, sizeof(path), "%s.files/rows.csv", ((struct fixture *)*state)->directory);
    forget(c);
    for (int i = 0; i < TRIES_MAX && c->phase[0] == '\0'; i++) {
        double_data(&csv);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(csv.data, 1, csv.bytes, file), csv.bytes);
        assert_int_equal(fclose(file), 0);
        expect_ok(c, "COPY t FROM 'rows.csv' ON CONFLICT DO UPDATE");
    }
    assert_string_equal(c->phase, "copy, bytes");
    assert_int_equal(c->phase_total, csv.bytes);
    buf_fini(&csv);
}

static void short_statements_tell_nothing(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    expect_ok(c, "CREATE COLLECTION s (id INT PRIMARY KEY); INSERT INTO s VALUES (1), (2);"
                 "DELETE FROM s WHERE id = 1; SELECT * FROM s; COPY s TO STDOUT");
    assert_string_equal(c->phase, "");
}

#define TEST(name)        cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define SERIAL_TEST(name) UNWATCHED_TEST(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(statements_that_look_at_many_rows_count_them),
        TEST(copy_counts_the_rows_that_went_in),
        SERIAL_TEST(copy_counts_the_rows_that_go_out),
        SERIAL_TEST(copy_counts_the_bytes_of_a_file),
        TEST(short_statements_tell_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
