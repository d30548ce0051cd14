/* The parts of vbench that need no server: histogram, files, recall. */
#include "client/bench/bench_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void a_quantile_is_known_to_two_percent(void **state)
{
    (void)state;
    static struct histogram h;
    for (uint64_t i = 1; i <= 100000; i++) {
        histogram_add(&h, i * 1000); /* 1 us to 100 ms, evenly. */
    }
    static const double shares[] = {0.01, 0.5, 0.95, 0.99, 0.999, 1};
    for (size_t i = 0; i < COUNT_OF(shares); i++) {
        double expected = shares[i] * 100000, got = histogram_quantile_us(&h, shares[i]);
        if (got < expected * 0.98 || got > expected * 1.02) {
            fail_msg("%g: %g, not %g", shares[i], got, expected);
        }
    }
    assert_true(h.max_ns == 100000000);
    assert_true(histogram_quantile_us(&h, 1) <= 100000);
}

static void merging_is_as_adding_to_one(void **state)
{
    (void)state;
    static struct histogram a, b, both;
    uint64_t seed = 42;
    for (int i = 0; i < 10000; i++) {
        uint64_t ns = random_next(&seed) % 5000000;
        histogram_add(i % 3 == 0 ? &a : &b, ns);
        histogram_add(&both, ns);
    }
    histogram_merge(&a, &b);
    assert_memory_equal(a.cells, both.cells, sizeof(a.cells));
    assert_true(a.n == both.n && a.max_ns == both.max_ns);
}

static void the_extremes_have_cells(void **state)
{
    (void)state;
    static struct histogram h;
    assert_true(histogram_quantile_us(&h, 0.5) <= 0);
    histogram_add(&h, 0);
    histogram_add(&h, UINT64_MAX);
    histogram_add(&h, 63);
    histogram_add(&h, 64);
    histogram_add(&h, ((uint64_t)1 << HISTOGRAM_BITS) - 1);
    assert_true(h.n == 5);
    assert_true(h.cells[0] == 1 && h.cells[63] == 1 && h.cells[64] == 1);
    assert_true(h.cells[HISTOGRAM_CELLS - 1] == 2);
}

/* ---- files ---- */

static void write_file(char path[64], const void *data, size_t bytes)
{
    snprintf(path, 64, "/tmp/test_bench.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, bytes), bytes);
    close(fd);
}

static void a_matrix_is_read_and_a_cut_one_refused(void **state)
{
    (void)state;
    const uint32_t words[] = {2, 3, 10, 11, 12, 20, 21, 22};
    char path[64];
    struct matrix m;
    struct err err;
    write_file(path, words, sizeof(words));
    assert_int_equal(matrix_open(&m, path, &err), ERR_OK);
    assert_int_equal(m.rows, 2);
    assert_int_equal(m.columns, 3);
    assert_int_equal(matrix_word(&m, 1, 2), 22);
    matrix_close(&m);
    assert_int_equal(truncate(path, sizeof(words) - 1), 0);
    assert_int_equal(matrix_open(&m, path, &err), ERR_FORMAT_UNSUPPORTED);
    assert_int_equal(truncate(path, 3), 0);
    assert_int_equal(matrix_open(&m, path, &err), ERR_FORMAT_UNSUPPORTED);
    unlink(path);
    assert_int_equal(matrix_open(&m, path, &err), ERR_IO);
    assert_non_null(strstr(err.message, path));
}

static void ids_are_the_lines_of_a_file(void **state)
{
    (void)state;
    char path[64];
    struct ids ids;
    struct err err;
    write_file(path, "one\r\ntwo\n\nfour", 14);
    assert_int_equal(ids_open(&ids, path, &err), ERR_OK);
    assert_int_equal(ids.n, 4);
    assert_string_equal(ids.items[0], "one");
    assert_string_equal(ids.items[2], "");
    assert_string_equal(ids.items[3], "four");
    ids_close(&ids);
    unlink(path);
}

static void a_report_is_one_json_object(void **state)
{
    (void)state;
    static struct bench_result result = {
        .benchmark = "search", .seconds = 2, .recall_sum = 19, .recall_n = 20, .errors = 1};
    static struct bench_options options = {.clients = 8, .threads = 2, .k = 10, .json = true};
    snprintf(result.first_error, sizeof(result.first_error), "a \"b\"\nc");
    for (int i = 0; i < 100; i++) {
        histogram_add(&result.latency, 50000);
    }
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    report_print(out, &result, &options);
    fclose(out);
    static const char *const parts[] = {"\"recall\": 0.95000",
                                        "\"qps\": 50.0",
                                        "\"p50_us\": 49.9",
                                        "\"p95_us\": 49.9",
                                        "\"p99_us\": 49.9",
                                        "\"errors\": 1",
                                        "\"first_error\": \"a \\\"b\\\"\\u000ac\"}"};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (strstr(text, parts[i]) == NULL) {
            fail_msg("%s is not in %s", parts[i], text);
        }
    }
    assert_ptr_equal(strchr(text, '\n'), text + bytes - 1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quantile_is_known_to_two_percent),
        cmocka_unit_test(merging_is_as_adding_to_one),
        cmocka_unit_test(the_extremes_have_cells),
        cmocka_unit_test(a_matrix_is_read_and_a_cut_one_refused),
        cmocka_unit_test(ids_are_the_lines_of_a_file),
        cmocka_unit_test(a_report_is_one_json_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
