/* SEARCH where it was measured that no walk reaches recall, and where one does: what it then does,
 * and what it says of it. */
#include "query_fixture.h"

#include "query/search_int.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    /* Enough rows to be measured, and more floats than are scanned without asking. */
    N_ROWS = 1100,
    DIM = 1000,
};

static char near[2 * DIM + 64]; /* SEARCH up to its LIMIT. */

/* Uniform in all dimensions, which no graph is good at, or in the first two of them. */
static struct client *set_up_rows(void **state, int n_uniform)
{
    struct client *c = &((struct fixture *)*state)->client;
    struct buf data;
    static float vector[DIM];
    uint64_t random = 7;
    expect_ok(c, "CREATE COLLECTION v (id INT PRIMARY KEY, e VECTOR(1000) METRIC L2)");
    buf_init(&data, MEM_GENERAL, 64 << 20);
    for (int i = 0; i < N_ROWS; i++) {
        for (int j = 0; j < DIM; j++) {
            vector[j] = j < n_uniform ? (float)(random_next(&random) % 1000) / 1000 : 0;
        }
        struct value values[] = {value_int(i), value_vector(vector, DIM)};
        buf_u16(&data, COUNT_OF(values));
        for (size_t j = 0; j < COUNT_OF(values); j++) {
            value_write(&data, &values[j]);
        }
    }
    assert_int_equal(run_copy(c, "COPY v FROM STDIN (FORMAT binary)", data.data, data.bytes, 65536),
                     ERR_OK);
    buf_fini(&data);
    size_t at = (size_t)snprintf(near, sizeof(near), "SEARCH id FROM v NEAR [1");
    for (int j = 1; j < DIM; j++) {
        at += (size_t)snprintf(near + at, sizeof(near) - at, ",%d", j % 2);
    }
    (void)snprintf(near + at, sizeof(near) - at, "] ");
    return c;
}

/* To the end: its row says that nothing is being refined. */
static void wait_until_measured(struct client *c, const char *floor)
{
    static const char is_over[] = "|false";
    char wanted[64];
    (void)snprintf(wanted, sizeof(wanted), "v|e|10|1|%s|", floor);
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    for (bool is_measured = false; !is_measured; clock_sleep_micros(10000)) {
        assert_true(clock_micros() < deadline_us);
        expect_ok(c, "SHOW CALIBRATION");
        const char *row = strstr(rows_text(c), wanted);
        size_t n = row == NULL ? 0 : strcspn(row, "\n");
        is_measured = n >= strlen(is_over) &&
                      memcmp(row + n - strlen(is_over), is_over, strlen(is_over)) == 0;
    }
}

static enum errcode search(struct client *c, const char *before, const char *after)
{
    static char text[sizeof(near) + 256];
    (void)snprintf(text, sizeof(text), "%s%s%s", before, near, after);
    return run(c, text);
}

static void expect_plan(struct client *c, const char *with, const char *plan, const char *line)
{
    assert_int_equal(search(c, "EXPLAIN ANALYZE ", with), ERR_OK);
    if (strstr(rows_text(c), plan) == NULL || strstr(rows_text(c), line) == NULL) {
        fail_msg("%s: neither %s nor %s but\n%s", with, plan, line, rows_text(c));
    }
}

/* The same, once what was there when it was measured last is all that there is. */
static void wait_for_plan(struct client *c, const char *with, const char *plan, const char *line)
{
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    do {
        assert_int_equal(search(c, "EXPLAIN ", with), ERR_OK);
        clock_sleep_micros(10000);
    } while (strstr(rows_text(c), line) == NULL && clock_micros() < deadline_us);
    expect_plan(c, with, plan, line);
}

static void a_recall_that_no_walk_reaches_is_answered_as_on_miss_says(void **state)
{
    struct client *c = set_up_rows(state, DIM);
    expect_ok(c, "SET recall = 0.999");
    wait_until_measured(c, "0.999");
    assert_non_null(strstr(rows_text(c), "v|e|10|1|0.999|false|"));
    int64_t misses = metric_value(METRIC_recall_misses);
    expect_plan(c, "LIMIT 10", "Way: exact scan\n",
                "Exact because: no walk is known to reach recall\n");
    assert_string_equal(c->notice, "");
    expect_plan(c, "LIMIT 10 WITH (on_miss = notice)", "Way: walk\n", "Measured recall: ");
    assert_non_null(
        strstr(c->notice, "recall is 0.999, and of \"v\" a walk was measured to find 0."));
    assert_int_equal(search(c, "", "LIMIT 10 WITH (on_miss = notice)"), ERR_OK);
    assert_int_equal(c->n_rows, 10);
    assert_non_null(strstr(c->notice, "a walk was measured to find 0."));
    assert_int_equal(search(c, "", "LIMIT 10 WITH (on_miss = fail)"), ERR_RECALL_MISSED);
    assert_non_null(strstr(c->err.message, "a walk was measured to find 0."));
    assert_int_equal(metric_value(METRIC_recall_misses), misses + 4);
    /* What is asked for by itself is no miss. */
    assert_int_equal(search(c, "", "LIMIT 10 WITH (on_miss = fail, exact = on)"), ERR_OK);
    assert_int_equal(search(c, "", "LIMIT 10 WITH (on_miss = fail, ef = 20)"), ERR_OK);
    assert_int_equal(metric_value(METRIC_recall_misses), misses + 4);
}

static void a_recall_that_a_walk_reaches_is_walked_for_whatever_on_miss_says(void **state)
{
    struct client *c = set_up_rows(state, 2);
    wait_until_measured(c, "0.95");
    wait_for_plan(c, "LIMIT 1 WITH (on_miss = fail, recall = 0.5)", "Way: walk\n",
                  "ef from: recall, as measured on this collection\n  Measured recall: ");
    assert_string_equal(c->notice, "");
    expect_plan(c, "LIMIT 1 WITH (recall = 0.5, rerank_depth = 20)", "Way: walk\n",
                "rerank_depth = auto: nothing is promised\n  Estimated milliseconds: ");
    expect_ok(c, "DELETE FROM v WHERE id < 90");
    expect_plan(c, "LIMIT 1 WITH (on_miss = fail, recall = 0.5)", "Way: walk\n",
                "ef from: recall, as measured, and more for what has changed since\n");
}

static void what_was_measured_is_shown_for_the_recall_in_force(void **state)
{
    struct client *c = set_up_rows(state, 2);
    expect_ok(c, "SET recall = 0.5");
    wait_until_measured(c, "0.5");
    assert_non_null(strstr(rows_text(c), "v|e|10|1|0.5|true|"));
    assert_non_null(strstr(rows_text(c), "v|e|1|1|0.5|true|"));
    expect_ok(c, "CREATE COLLECTION w (id INT PRIMARY KEY, e VECTOR(2)) WITH (recall = 0.9)");
    expect_ok(c, "SHOW CALIBRATION");
    assert_non_null(strstr(rows_text(c), "w|e|||0.5||"));
    expect_ok(c, "RESET recall");
    expect_ok(c, "SHOW CALIBRATION");
    assert_non_null(strstr(rows_text(c), "w|e|||0.9||"));
}

/* The table of the manual: a floor is kept, or the answer says that it may not be, or there is
 * none.
 */
static void no_floor_is_missed_in_silence(void **state)
{
    (void)state;
    static const struct {
        enum shard_verdict verdict;
        double floats;
        enum search_miss exact, notice, fail;
    } cases[] = {
        {SHARD_REACHES, 1e9, MISS_IS_NONE, MISS_IS_NONE, MISS_IS_NONE},
        {SHARD_MISSES, 1e9, MISS_SCANS, MISS_IS_TOLD, MISS_FAILS},
        {SHARD_MISSES, 1e6, MISS_SCANS, MISS_SCANS, MISS_SCANS},
        {SHARD_MAY_MISS, 1e9, MISS_SCANS, MISS_IS_TOLD, MISS_FAILS},
        {SHARD_IS_NOT_MEASURED, 1e9, MISS_IS_TOLD, MISS_IS_TOLD, MISS_FAILS},
        {SHARD_IS_NOT_MEASURED, 16e6, MISS_SCANS, MISS_SCANS, MISS_SCANS},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        double n = cases[i].floats;
        enum shard_verdict verdict = cases[i].verdict;
        assert_int_equal(search_miss_of(verdict, ON_MISS_EXACT, n), cases[i].exact);
        assert_int_equal(search_miss_of(verdict, ON_MISS_NOTICE, n), cases[i].notice);
        assert_int_equal(search_miss_of(verdict, ON_MISS_FAIL, n), cases[i].fail);
    }
}

/* What measures is watched in test/unit/shard. */
#define TEST(name) UNWATCHED_TEST(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_recall_that_no_walk_reaches_is_answered_as_on_miss_says),
        TEST(a_recall_that_a_walk_reaches_is_walked_for_whatever_on_miss_says),
        TEST(what_was_measured_is_shown_for_the_recall_in_force),
        cmocka_unit_test(no_floor_is_missed_in_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
