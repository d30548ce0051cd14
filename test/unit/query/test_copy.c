/* COPY in and out: formats, options, errors that name the place, files on the server. */
#include "query_fixture.h"

#include <stdio.h>
#include <sys/stat.h>

static struct client *setup_table(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    expect_ok(c, "CREATE COLLECTION t (id INT PRIMARY KEY, name TEXT, e VECTOR(2) METRIC L2)");
    return c;
}

static const char *copied(struct client *c)
{
    buf_u8(&c->copy, 0);
    c->copy.bytes--;
    return (const char *)c->copy.data;
}

static void csv_goes_in_and_comes_out_the_same(void **state)
{
    struct client *c = setup_table(state);
    static const char csv[] = "id,name,e\n1,plain,\"[1,2]\"\n2,,\n3,\"a,\"\"b\n\",\"[0.5,-1]\"\n"
                              "4,\"\",\"[0,0]\"\n";
    for (size_t piece = 1; piece < sizeof(csv); piece += 7) {
        expect_ok(c, "DELETE FROM t");
        assert_int_equal(
            run_copy(c, "COPY t FROM STDIN WITH (FORMAT csv, HEADER)", csv, strlen(csv), piece),
            ERR_OK);
        assert_int_equal(c->changed, 4);
        assert_string_equal(c->tag, "COPY");
    }
    expect_ok(c, "COPY t TO STDOUT (HEADER true)");
    assert_string_equal(copied(c), csv);
    expect_rows(c, "SELECT name IS NULL FROM t WHERE id IN (2, 4)", "true\nfalse\n");
}

static void csv_takes_a_delimiter_and_a_null_text(void **state)
{
    struct client *c = setup_table(state);
    static const char csv[] = "x|7\n\\N|8\n";
    assert_int_equal(run_copy(c, "COPY t (name, id) FROM STDIN WITH (DELIMITER '|', NULL '\\N')",
                              csv, strlen(csv), 3),
                     ERR_OK);
    expect_ok(c, "COPY t (name, id) TO STDOUT WITH (DELIMITER '|', NULL '\\N')");
    assert_string_equal(copied(c), csv);
}

static void a_bad_line_is_named_and_earlier_rows_are_counted(void **state)
{
    struct client *c = setup_table(state);
    struct buf csv;
    buf_init(&csv, MEM_GENERAL, 1 << 24);
    for (int i = 1; i <= 3000; i++) {
        buf_printf(&csv, i == 2500 ? "oops,x,\n" : "%d,x,\n", i);
    }
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", csv.data, csv.bytes, 1000),
                     ERR_BAD_TEXT_REPRESENTATION);
    assert_non_null(strstr(c->err.message, "COPY t, line 2500: column \"id\""));
    assert_string_equal(c->err.column, "id");
    assert_string_equal(c->err.detail, "2048 rows were loaded.");
    expect_rows(c, "SELECT count(*) FROM t", "2048\n");
    buf_fini(&csv);
}

static void a_copy_that_failed_in_the_middle_can_be_run_again(void **state)
{
    struct client *c = setup_table(state);
    struct buf csv;
    buf_init(&csv, MEM_GENERAL, 1 << 24);
    for (int i = 1; i <= 3000; i++) {
        buf_printf(&csv, i == 2500 ? "oops,x,\n" : "%d,x,\n", i);
    }
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", csv.data, csv.bytes, 1000),
                     ERR_BAD_TEXT_REPRESENTATION);
    assert_non_null(strstr(c->err.hint, "ON CONFLICT DO NOTHING"));
    char *bad = strstr((char *)csv.data, "oops");
    memcpy(bad, "2500", 4);
    assert_int_equal(
        run_copy(c, "COPY t FROM STDIN ON CONFLICT DO NOTHING", csv.data, csv.bytes, 1000), ERR_OK);
    assert_int_equal(c->changed, 3000 - 2048);
    expect_rows(c, "SELECT count(*) FROM t", "3000\n");
    buf_fini(&csv);
}

static void on_conflict_decides_about_taken_keys(void **state)
{
    struct client *c = setup_table(state);
    expect_ok(c, "INSERT INTO t VALUES (1, 'old', [1, 1])");
    static const char csv[] = "1,new\n2,two\n2,again\n";
    assert_int_equal(
        run_copy(c, "COPY t (id, name) FROM STDIN ON CONFLICT DO NOTHING", csv, strlen(csv), 5),
        ERR_OK);
    assert_int_equal(c->changed, 1);
    expect_rows(c, "SELECT * FROM t ORDER BY id", "1|old|[1,1]\n2|two|\n");
    assert_int_equal(
        run_copy(c, "COPY t (id, name) FROM STDIN ON CONFLICT DO UPDATE", csv, strlen(csv), 5),
        ERR_OK);
    assert_int_equal(c->changed, 3);
    expect_rows(c, "SELECT * FROM t ORDER BY id", "1|new|[1,1]\n2|again|\n");
}

static void of_two_rows_of_one_key_the_later_one_counts(void **state)
{
    struct client *c = setup_table(state);
    struct buf rows;
    buf_init(&rows, MEM_GENERAL, 1 << 20);
    for (int i = 0; i < 3000; i++) { /* Seven keys again and again: a batch ends at each. */
        char name[16];
        snprintf(name, sizeof(name), "%d", i);
        struct value values[] = {value_int(i < 1500 ? i : i % 7), value_cstr(name)};
        buf_u16(&rows, 2);
        value_write(&rows, &values[0]);
        value_write(&rows, &values[1]);
    }
    static const char copy[] = "COPY t (id, name) FROM STDIN ON CONFLICT DO UPDATE (FORMAT binary)";
    for (size_t piece = 11; piece < 100000; piece *= 97) {
        assert_int_equal(run_copy(c, copy, rows.data, rows.bytes, piece), ERR_OK);
        assert_int_equal(c->changed, 3000);
        expect_rows(c, "SELECT id, name FROM t WHERE id < 8 ORDER BY id",
                    "0|2996\n1|2997\n2|2998\n3|2999\n4|2993\n5|2994\n6|2995\n7|7\n");
    }
    buf_fini(&rows);
}

static void a_duplicate_key_names_the_rows_of_its_batch(void **state)
{
    struct client *c = setup_table(state);
    static const char csv[] = "1,a,\n2,b,\n1,c,\n";
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", csv, strlen(csv), 100), ERR_DUPLICATE_KEY);
    assert_non_null(strstr(c->err.message, "COPY t, rows 1 to 3"));
    expect_rows(c, "SELECT count(*) FROM t", "0\n");
}

static void the_wrong_number_of_fields_is_an_error(void **state)
{
    struct client *c = setup_table(state);
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", "1,a\n", 4, 100), ERR_BAD_COPY_DATA);
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", "1,a,\"[1", 7, 100), ERR_BAD_COPY_DATA);
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", "1,a,\"[1]\"\n", 10, 100),
                     ERR_WRONG_DIMENSION);
    assert_non_null(strstr(c->err.message, "line 1"));
}

static void make_fbin(struct buf *b, uint32_t n, uint32_t dim)
{
    buf_init(b, MEM_GENERAL, 1 << 24);
    buf_u32(b, n);
    buf_u32(b, dim);
    for (uint32_t i = 0; i < n * dim; i++) {
        buf_f32(b, (float)i);
    }
}

static void fbin_numbers_its_rows_and_comes_out_the_same(void **state)
{
    struct client *c = setup_table(state);
    struct buf fbin;
    make_fbin(&fbin, 5000, 2);
    for (size_t piece = 3; piece < 100000; piece *= 31) {
        expect_ok(c, "DELETE FROM t");
        assert_int_equal(run_copy(c, "COPY t FROM STDIN WITH (FORMAT fbin, START 100)", fbin.data,
                                  fbin.bytes, piece),
                         ERR_OK);
        assert_int_equal(c->changed, 5000);
    }
    expect_rows(c, "SELECT id, e FROM t WHERE id IN (99, 100, 5099)",
                "100|[0,1]\n5099|[9998,9999]\n");
    expect_ok(c, "COPY t (e) TO STDOUT WITH (FORMAT fbin)");
    assert_int_equal(c->copy.bytes, fbin.bytes);
    assert_memory_equal(c->copy.data, fbin.data, fbin.bytes);
    buf_fini(&fbin);
}

static void fbin_that_lies_about_itself_is_an_error(void **state)
{
    struct client *c = setup_table(state);
    static const char copy[] = "COPY t FROM STDIN WITH (FORMAT fbin)";
    struct buf fbin;
    make_fbin(&fbin, 3, 2);
    assert_int_equal(run_copy(c, copy, fbin.data, fbin.bytes - 4, 7), ERR_BAD_COPY_DATA);
    assert_non_null(strstr(c->err.message, "fewer"));
    buf_u32(&fbin, 0);
    assert_int_equal(run_copy(c, copy, fbin.data, fbin.bytes, 1000), ERR_BAD_COPY_DATA);
    assert_non_null(strstr(c->err.message, "more"));
    assert_int_equal(run_copy(c, copy, fbin.data, 5, 1000), ERR_BAD_COPY_DATA);
    buf_patch_u32(&fbin, 4, 3);
    assert_int_equal(run_copy(c, copy, fbin.data, fbin.bytes, 1000), ERR_WRONG_DIMENSION);
    buf_fini(&fbin);
}

static void binary_rows_go_in_and_come_out_the_same(void **state)
{
    struct client *c = setup_table(state);
    struct buf rows;
    float vector[] = {1, 2};
    buf_init(&rows, MEM_GENERAL, 1 << 20);
    for (int i = 0; i < 10; i++) {
        struct value values[] = {value_int(i), i % 2 == 0 ? value_cstr("x") : value_null(),
                                 value_vector(vector, 2)};
        buf_u16(&rows, 3);
        for (size_t j = 0; j < COUNT_OF(values); j++) {
            value_write(&rows, &values[j]);
        }
    }
    assert_int_equal(run_copy(c, "COPY t FROM STDIN (FORMAT binary)", rows.data, rows.bytes, 5),
                     ERR_OK);
    expect_ok(c, "COPY t TO STDOUT (FORMAT binary)");
    assert_int_equal(c->copy.bytes, rows.bytes);
    assert_memory_equal(c->copy.data, rows.data, rows.bytes);
    expect_ok(c, "DELETE FROM t");
    assert_int_equal(run_copy(c, "COPY t FROM STDIN (FORMAT binary)", rows.data, rows.bytes - 1, 5),
                     ERR_BAD_COPY_DATA);
    rows.data[0] = 9;
    assert_int_equal(run_copy(c, "COPY t FROM STDIN (FORMAT binary)", rows.data, rows.bytes, 5),
                     ERR_BAD_COPY_DATA);
    buf_fini(&rows);
}

static void files_on_the_server_are_written_and_read(void **state)
{
    struct client *c = setup_table(state);
    struct buf fbin;
    make_fbin(&fbin, 4000, 2);
    assert_int_equal(
        run_copy(c, "COPY t FROM STDIN WITH (FORMAT fbin)", fbin.data, fbin.bytes, 65536), ERR_OK);
    expect_ok(c, "COPY t TO 'out.csv'");
    assert_int_equal(c->changed, 4000);
    expect_ok(c, "COPY t (e) TO 'out.fbin' WITH (FORMAT fbin)");
    expect_ok(c, "COPY t (id) TO 'out.ids'");
    expect_ok(c, "DELETE FROM t; COPY t FROM 'out.csv'");
    assert_int_equal(c->changed, 4000);
    expect_ok(c, "DELETE FROM t");
    expect_ok(c, "COPY t FROM 'out.fbin' WITH (FORMAT fbin, IDS 'out.ids')");
    expect_rows(c, "SELECT count(*) FROM t WHERE id >= 0 AND id < 4000", "4000\n");
    expect_error(c, "COPY t FROM 'none.csv'", ERR_IO);
    expect_error(c, "COPY t TO 'none/none.csv'", ERR_IO);
    expect_error(c, "COPY t FROM '/'", ERR_IO);
    buf_fini(&fbin);
}

static void a_copy_out_that_fails_leaves_no_file(void **state)
{
    struct client *c = setup_table(state);
    struct stat facts;
    char path[128];
    expect_ok(c, "INSERT INTO t (id) VALUES (1)");
    expect_error(c, "COPY t (e) TO 'half.fbin' WITH (FORMAT fbin)", ERR_NOT_NULL);
    snprintf(path, sizeof(path), "%s/half.fbin", ((struct fixture *)*state)->directory);
    assert_int_not_equal(stat(path, &facts), 0);
}

static void options_that_do_not_belong_are_refused(void **state)
{
    struct client *c = setup_table(state);
    expect_error(c, "COPY t FROM STDIN WITH (FORMAT npy)", ERR_BAD_PARAMETER);
    expect_error(c, "COPY t FROM STDIN WITH (HEADER maybe)", ERR_BAD_PARAMETER);
    expect_error(c, "COPY t FROM STDIN WITH (DELIMITER 'ab')", ERR_BAD_PARAMETER);
    expect_error(c, "COPY t FROM STDIN WITH (START 3)", ERR_FEATURE_UNSUPPORTED);
    expect_error(c, "COPY t FROM STDIN WITH (FORMAT fbin, HEADER)", ERR_FEATURE_UNSUPPORTED);
    expect_error(c, "COPY t FROM STDIN WITH (FORMAT fbin, IDS 'x')", ERR_FEATURE_UNSUPPORTED);
    expect_error(c, "COPY t FROM STDIN WITH (FORMAT fbin, START 'x')", ERR_BAD_PARAMETER);
    expect_error(c, "COPY t (name, e) FROM STDIN WITH (FORMAT fbin)", ERR_FEATURE_UNSUPPORTED);
    expect_error(c, "COPY t (name) FROM STDIN", ERR_NOT_NULL);
    expect_error(c, "COPY t FROM STDIN WITH (formatt csv)", ERR_UNKNOWN_POLICY);
    expect_error(c, "COPY t FROM STDIN WITH (recall = 0.9)", ERR_POLICY_SCOPE);
    expect_error(c, "COPY t (id, id) FROM STDIN", ERR_DUPLICATE_COLUMN);
}

static void an_empty_collection_copies_out_to_nothing(void **state)
{
    struct client *c = setup_table(state);
    expect_ok(c, "COPY t TO STDOUT");
    assert_int_equal(c->copy.bytes, 0);
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", "", 0, 1), ERR_OK);
    assert_int_equal(c->changed, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(csv_goes_in_and_comes_out_the_same),
        TEST(csv_takes_a_delimiter_and_a_null_text),
        TEST(a_bad_line_is_named_and_earlier_rows_are_counted),
        TEST(a_copy_that_failed_in_the_middle_can_be_run_again),
        TEST(on_conflict_decides_about_taken_keys),
        TEST(of_two_rows_of_one_key_the_later_one_counts),
        TEST(a_duplicate_key_names_the_rows_of_its_batch),
        TEST(the_wrong_number_of_fields_is_an_error),
        TEST(fbin_numbers_its_rows_and_comes_out_the_same),
        TEST(fbin_that_lies_about_itself_is_an_error),
        TEST(binary_rows_go_in_and_come_out_the_same),
        TEST(files_on_the_server_are_written_and_read),
        TEST(a_copy_out_that_fails_leaves_no_file),
        TEST(options_that_do_not_belong_are_refused),
        TEST(an_empty_collection_copies_out_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
