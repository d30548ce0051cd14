/* SEARCH with WHERE: the way that is chosen, and that LIMIT rows come however rare matches are. */
#include "query_fixture.h"

#include "index/index.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    N_ROWS = GOOD_MEASURE(4000, 3000),
    DIM = 8,
    MOVED_ROWS = 30,
    N_EQUAL = 100,
    MANY_QUERIES = 100,
    WIDE_ROWS = 9000,
    WIDE = 128,
};

static float vectors[N_ROWS][DIM];

/* Row i: key i, part = i % 100, and a vector that has nothing to do with either. */
static struct client *setup_rows(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    struct buf data;
    uint64_t random = 42;
    expect_ok(c, "CREATE COLLECTION v (id INT PRIMARY KEY, part INT, e VECTOR(8) METRIC L2)");
    buf_init(&data, MEM_GENERAL, 64 << 20);
    for (int i = 0; i < N_ROWS; i++) {
        buf_u16(&data, 3);
        struct value values[3] = {value_int(i), value_int(i % 100)};
        for (int j = 0; j < DIM; j++) {
            vectors[i][j] = (float)(random_next(&random) % 10000) / 10000;
        }
        values[2] = value_vector(vectors[i], DIM);
        for (size_t j = 0; j < COUNT_OF(values); j++) {
            value_write(&data, &values[j]);
        }
    }
    assert_int_equal(run_copy(c, "COPY v FROM STDIN (FORMAT binary)", data.data, data.bytes, 10000),
                     ERR_OK);
    assert_int_equal(c->changed, N_ROWS);
    buf_fini(&data);
    return c;
}

static const float query[DIM] = {0.5F, 0.5F, 0.5F, 0.5F, 0.5F, 0.5F, 0.5F, 0.5F};
static const char query_text[] = "[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]";

struct truth {
    double distance;
    int id;
};

static int compare_truth(const void *a, const void *b)
{
    const struct truth *x = a, *y = b;
    return x->distance != y->distance ? (x->distance < y->distance ? -1 : 1) : x->id - y->id;
}

/* The ids that are right, one a line. */
static void find_truth(int part_below, size_t limit, struct buf *out)
{
    static struct truth all[N_ROWS];
    size_t n = 0;
    for (int i = 0; i < N_ROWS; i++) {
        if (i % 100 < part_below) {
            all[n++] = (struct truth){
                .id = i, .distance = index_distance(DISTANCE_L2, query, vectors[i], DIM)};
        }
    }
    qsort(all, n, sizeof(all[0]), compare_truth);
    buf_reset(out);
    for (size_t i = 0; i < limit && i < n; i++) {
        buf_printf(out, "%d\n", all[i].id);
    }
    buf_u8(out, 0);
}

static size_t count_common(const char *a, const char *b)
{
    size_t n = 0;
    for (const char *line = a; *line != 0; line = strchr(line, '\n') + 1) {
        char wanted[32];
        size_t bytes = (size_t)(strchr(line, '\n') - line) + 1;
        snprintf(wanted, sizeof(wanted), "\n%.*s", (int)bytes, line);
        n += strncmp(b, wanted + 1, bytes) == 0 || strstr(b, wanted) != NULL ? 1 : 0;
    }
    return n;
}

static void a_filtered_search_returns_limit_rows_whenever_that_many_match(void **state)
{
    struct client *c = setup_rows(state);
    struct buf truth;
    buf_init(&truth, MEM_GENERAL, 1 << 20);
    static const int parts[] = {100, 50, 10, 2, 1};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        char text[256];
        snprintf(text, sizeof(text), "SEARCH id FROM v NEAR %s WHERE part < %d LIMIT 30",
                 query_text, parts[i]);
        expect_ok(c, text);
        assert_int_equal(c->n_rows, 30);
        find_truth(parts[i], 30, &truth);
        assert_true(count_common(rows_text(c), (const char *)truth.data) >= 28);
    }
    buf_fini(&truth);
}

static void fewer_matches_than_limit_all_come_and_exactly(void **state)
{
    struct client *c = setup_rows(state);
    struct buf truth;
    char text[256];
    buf_init(&truth, MEM_GENERAL, 1 << 20);
    snprintf(text, sizeof(text), "SEARCH id FROM v NEAR %s WHERE part < 1 LIMIT 100", query_text);
    find_truth(1, 100, &truth);
    expect_rows(c, text, (const char *)truth.data);
    assert_int_equal(c->n_rows, N_ROWS / 100);
    snprintf(text, sizeof(text), "SEARCH id FROM v NEAR %s WHERE part > 500 LIMIT 5", query_text);
    expect_rows(c, text, "");
    buf_fini(&truth);
}

static void exact_search_equals_the_truth_with_and_without_where(void **state)
{
    struct client *c = setup_rows(state);
    struct buf truth;
    char text[256];
    buf_init(&truth, MEM_GENERAL, 1 << 20);
    snprintf(text, sizeof(text), "SEARCH id FROM v NEAR %s LIMIT 200 WITH (exact = on)",
             query_text);
    find_truth(100, 200, &truth);
    expect_rows(c, text, (const char *)truth.data);
    snprintf(text, sizeof(text),
             "SEARCH id FROM v NEAR %s WHERE part < 30 LIMIT 200 WITH (exact = on)", query_text);
    find_truth(30, 200, &truth);
    expect_rows(c, text, (const char *)truth.data);
    buf_fini(&truth);
}

static void expect_plan(struct client *c, const char *where, const char *plan)
{
    char text[512], wanted[64];
    snprintf(text, sizeof(text), "EXPLAIN ANALYZE SEARCH id FROM v NEAR %s %s", query_text, where);
    snprintf(wanted, sizeof(wanted), "Way: %s", plan);
    expect_ok(c, text);
    if (strstr(rows_text(c), wanted) == NULL) {
        fail_msg("%s: not %s but\n%s", where, plan, rows_text(c));
    }
}

static void explain_names_the_way_that_was_chosen(void **state)
{
    struct client *c = setup_rows(state);
    expect_plan(c, "LIMIT 10", "exact scan");
    assert_non_null(strstr(rows_text(c), "Exact because: "));
    expect_plan(c, "LIMIT 10 WITH (ef = 20)", "walk");
    assert_null(strstr(rows_text(c), "Exact because: "));
    int64_t filtered = metric_value(METRIC_searches_filtered);
    expect_plan(c, "WHERE part < 90 LIMIT 10 WITH (ef = 20)", "filtered walk");
    assert_int_equal(metric_value(METRIC_searches_filtered), filtered + 1);
    expect_plan(c, "WHERE part = 1 LIMIT 10", "exact"); /* Either, by what is in memory. */
    expect_plan(c, "WHERE id IN (1, 2, 3) LIMIT 10", "exact over the matches");
    expect_plan(c, "LIMIT 10 WITH (exact = on)", "exact scan");
    char distances[64];
    snprintf(distances, sizeof(distances), "Distances: %d\n", N_ROWS);
    assert_non_null(strstr(rows_text(c), distances));
    assert_non_null(strstr(rows_text(c), "  exact: on (statement)\n"));
    assert_non_null(strstr(rows_text(c), "  recall: 0.95 (built-in)\n"));
    assert_non_null(strstr(rows_text(c), "Rows given: 10\n"));
}

static void explain_as_json_is_json(void **state)
{
    struct client *c = setup_rows(state);
    char text[256];
    snprintf(text, sizeof(text),
             "EXPLAIN (FORMAT JSON) SEARCH id FROM v NEAR %s WHERE part < 50 AND id <> 3 LIMIT 5",
             query_text);
    expect_ok(c, text);
    assert_int_equal(c->n_rows, 1);
    const char *json = rows_text(c);
    assert_int_equal(json_check(json, strlen(json) - 1), JSON_VALID);
    assert_non_null(strstr(json, "\"recall\": {\"value\": \"0.95\", \"origin\": \"built-in\"}"));
}

static void an_ef_that_is_set_is_used_and_shown(void **state)
{
    struct client *c = setup_rows(state);
    char text[256];
    snprintf(text, sizeof(text), "SET ef = 77; EXPLAIN SEARCH id FROM v NEAR %s LIMIT 5",
             query_text);
    expect_ok(c, text);
    assert_non_null(strstr(rows_text(c), "ef: 77\n  ef from: the policy ef\n"));
}

static void equal_distances_come_in_the_order_of_their_keys(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    expect_ok(c, "CREATE COLLECTION t (id TEXT PRIMARY KEY, e VECTOR(2) METRIC L2)");
    expect_ok(c,
              "INSERT INTO t VALUES ('z', [1, 0]), ('m', [0, 1]), ('a', [-1, 0]), ('n', [5, 5])");
    expect_rows(c, "SEARCH id, distance FROM t NEAR [0, 0] LIMIT 3", "a|1\nm|1\nz|1\n");
    expect_rows(c, "SEARCH id FROM t NEAR [0, 0] LIMIT 3 WITH (exact = on)", "a\nm\nz\n");
}

/* Key i, as it is shown: a number, or a text that begins with @prefix. */
static void print_key(char out[64], const char *prefix, int i)
{
    if (prefix == NULL) {
        snprintf(out, 64, "%d", i);
    } else {
        snprintf(out, 64, "%s%03d", prefix, i);
    }
}

/* N_EQUAL rows at one place, in an order that has nothing to do with their keys. */
static void insert_equal(struct client *c, const char *prefix)
{
    char text[256], name[64];
    expect_ok(c, "DROP COLLECTION IF EXISTS t");
    snprintf(text, sizeof(text), "CREATE COLLECTION t (id %s PRIMARY KEY, e VECTOR(2) METRIC L2)",
             prefix == NULL ? "INT" : "TEXT");
    expect_ok(c, text);
    for (int i = 0; i < N_EQUAL; i++) {
        print_key(name, prefix, i * 37 % N_EQUAL);
        snprintf(text, sizeof(text), "INSERT INTO t VALUES ('%s', [1, 1])", name);
        expect_ok(c, text);
    }
}

static void expect_pages(struct client *c, const char *prefix, const char *with)
{
    for (int offset = 0; offset < N_EQUAL + 10; offset += 7) {
        struct buf wanted;
        char text[256], name[64];
        buf_init(&wanted, MEM_GENERAL, 4096);
        for (int i = offset; i < offset + 7 && i < N_EQUAL; i++) {
            print_key(name, prefix, i);
            buf_printf(&wanted, "%s\n", name);
        }
        buf_u8(&wanted, 0);
        snprintf(text, sizeof(text), "SEARCH id FROM t NEAR [0, 0] %s LIMIT 7 OFFSET %d", with,
                 offset);
        expect_rows(c, text, (const char *)wanted.data);
        buf_fini(&wanted);
    }
}

static void pages_over_equal_distances_are_disjoint_and_whole(void **state)
{
    static const char *const prefixes[] = {NULL, "", "document-"};
    struct client *c = &((struct fixture *)*state)->client;
    for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
        insert_equal(c, prefixes[i]);
        expect_pages(c, prefixes[i], "");
        expect_pages(c, prefixes[i], "WHERE e IS NOT NULL");
        expect_ok(c, "SET exact = on");
        expect_pages(c, prefixes[i], "");
        expect_ok(c, "RESET exact");
    }
}

static void a_key_finds_its_own_row_first(void **state)
{
    struct client *c = setup_rows(state);
    for (int i = 0; i < N_ROWS; i += 97) {
        char text[128], wanted[32];
        snprintf(text, sizeof(text), "SEARCH id, distance FROM v NEAR KEY %d LIMIT 1", i);
        snprintf(wanted, sizeof(wanted), "%d|0\n", i);
        expect_rows(c, text, wanted);
    }
}

static void rows_without_a_vector_are_not_found_and_do_not_count(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    expect_ok(c, "CREATE COLLECTION t (id INT PRIMARY KEY, e VECTOR(2) METRIC L2)");
    expect_ok(c, "INSERT INTO t VALUES (1, [1, 0]), (2, NULL), (3, [3, 0])");
    expect_rows(c, "SEARCH id FROM t NEAR [0, 0] LIMIT 10", "1\n3\n");
    expect_rows(c, "SEARCH id FROM t NEAR [0, 0] WHERE id > 0 LIMIT 10", "1\n3\n");
    expect_error(c, "SEARCH id FROM t NEAR KEY 2 LIMIT 1", ERR_UNKNOWN_KEY);
    expect_error(c, "SEARCH id FROM t NEAR KEY 9 LIMIT 1", ERR_UNKNOWN_KEY);
    assert_non_null(strstr(c->err.message, "\"9\""));
}

static void flat_collections_scan_exactly(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    expect_ok(c, "CREATE COLLECTION f (id INT PRIMARY KEY, e VECTOR(2)) WITH (index = flat)");
    expect_ok(c, "INSERT INTO f VALUES (1, [1, 0]), (2, [2, 0])");
    expect_ok(c, "EXPLAIN SEARCH id FROM f NEAR [0, 0] LIMIT 1");
    assert_non_null(strstr(rows_text(c), "Way: exact scan\n"));
    expect_rows(c, "SEARCH id FROM f NEAR [0, 0] LIMIT 1", "1\n");
}

/* What its thread may spend is far more than this takes: once it was given up half way, and begun
 * again on the pool. */
static void a_scan_of_some_thousand_rows_is_made_once(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    static const float zeros[WIDE];
    struct value origin = value_vector(zeros, WIDE);
    struct buf data;
    expect_ok(c, "CREATE COLLECTION f (id INT PRIMARY KEY, e VECTOR(128)) WITH (index = flat)");
    buf_init(&data, MEM_GENERAL, 64 << 20);
    for (int i = 0; i < WIDE_ROWS; i++) {
        struct value id = value_int(i);
        buf_u16(&data, 2);
        value_write(&data, &id);
        value_write(&data, &origin);
    }
    assert_int_equal(run_copy(c, "COPY f FROM STDIN (FORMAT binary)", data.data, data.bytes, 10000),
                     ERR_OK);
    buf_fini(&data);
    int64_t before = metric_value(METRIC_distances);
    assert_int_equal(run_with(c, "SEARCH id FROM f NEAR $1 LIMIT 1", &origin, 1), ERR_OK);
    assert_string_equal(rows_text(c), "0\n");
    assert_int_equal(metric_value(METRIC_distances) - before, WIDE_ROWS);
}

/* ---- rows that change while they are searched ---- */

struct churn {
    struct fixture *fixture;
    _Atomic bool is_stopping;
};

static void churn_thread(void *arg)
{
    struct churn *churn = arg;
    struct client c;
    client_init(&c, churn->fixture->db, 2);
    for (int i = 0; !churn->is_stopping; i++) {
        char text[128];
        snprintf(text, sizeof(text), "UPDATE v SET part = part WHERE id = %d", i % N_ROWS);
        expect_ok(&c, text);
    }
    client_fini(&c);
}

static void searches_keep_their_row_count_while_every_row_is_rewritten(void **state)
{
    struct client *c = setup_rows(state);
    struct churn churn = {.fixture = *state};
    struct thread thread;
    struct err err;
    char text[256];
    assert_int_equal(thread_start(&thread, "churn", churn_thread, &churn, &err), ERR_OK);
    for (int i = 0; i < 60; i++) {
        snprintf(text, sizeof(text), "SEARCH id, part FROM v NEAR %s LIMIT 50", query_text);
        expect_ok(c, text);
        assert_int_equal(c->n_rows, 50);
        snprintf(text, sizeof(text), "SEARCH id FROM v NEAR %s WHERE part < 90 LIMIT 50",
                 query_text);
        expect_ok(c, text);
        assert_int_equal(c->n_rows, 50);
    }
    churn.is_stopping = true;
    thread_join(&thread);
}

/* Moves every row to and fro, which gives it a new number each time. */
static void moving_thread(void *arg)
{
    struct churn *churn = arg;
    struct client c;
    client_init(&c, churn->fixture->db, 2);
    for (int i = 0; !churn->is_stopping; i++) {
        char text[128];
        snprintf(text, sizeof(text),
                 "UPDATE v SET e = [.5, .5, .5, .5, .5, .5, .5, .%d] WHERE id = %d",
                 500 + i / MOVED_ROWS % 50, i % MOVED_ROWS);
        expect_ok(&c, text);
    }
    client_fini(&c);
}

static void a_row_that_is_being_moved_is_given_once(void **state)
{
    struct client *c = setup_rows(state);
    struct churn churn = {.fixture = *state};
    struct thread thread;
    struct err err;
    char text[256];
    snprintf(text, sizeof(text), "SEARCH id FROM v NEAR %s LIMIT %d WITH (ef = 200)", query_text,
             MOVED_ROWS);
    assert_int_equal(thread_start(&thread, "moving", moving_thread, &churn, &err), ERR_OK);
    for (int i = 0; i < 300; i++) {
        bool is_seen[N_ROWS] = {false};
        expect_ok(c, text);
        assert_int_equal(c->n_rows, MOVED_ROWS);
        buf_u8(&c->rows, 0);
        const char *at = (const char *)c->rows.data;
        for (size_t row = 0; row < c->n_rows; row++) {
            char *end;
            long id = strtol(at, &end, 10);
            assert_true(id >= 0 && id < N_ROWS && !is_seen[id]);
            is_seen[id] = true;
            at = end + 1;
        }
    }
    churn.is_stopping = true;
    thread_join(&thread);
}

static void add_query(struct buf *text, uint64_t *random)
{
    buf_printf(text, "[");
    for (int j = 0; j < DIM; j++) {
        buf_printf(text, "%s%.4f", j > 0 ? ", " : "",
                   (double)(random_next(random) % 10000) / 10000);
    }
    buf_printf(text, "]");
}

/* All of them in one statement, and one after the other. */
static void compare_many(struct client *c, const char *where)
{
    struct buf many, one, rows;
    uint64_t random = 5;
    buf_init(&many, MEM_GENERAL, 1 << 20);
    buf_init(&one, MEM_GENERAL, 1 << 20);
    buf_init(&rows, MEM_GENERAL, 1 << 20);
    buf_printf(&many, "SEARCH id, part FROM v NEAR (");
    for (int i = 0; i < MANY_QUERIES; i++) {
        uint64_t same = random;
        buf_printf(&many, "%s", i > 0 ? ", " : "");
        add_query(&many, &random);
        buf_reset(&one);
        buf_printf(&one, "SEARCH id, part FROM v NEAR ");
        add_query(&one, &same);
        buf_printf(&one, " %s LIMIT 5 WITH (ef = 100)", where);
        buf_u8(&one, 0);
        expect_ok(c, (const char *)one.data);
        buf_bytes(&rows, c->rows.data, c->rows.bytes);
    }
    buf_printf(&many, ") %s LIMIT 5 WITH (ef = 100)", where);
    buf_u8(&many, 0);
    buf_u8(&rows, 0);
    expect_rows(c, (const char *)many.data, (const char *)rows.data);
    buf_fini(&many);
    buf_fini(&one);
    buf_fini(&rows);
}

static void many_queries_in_one_search_give_what_each_gives_alone_in_order(void **state)
{
    struct client *c = setup_rows(state);
    compare_many(c, "");
    compare_many(c, "WHERE part < 50");
    compare_many(c, "WHERE part = 7");
}

#define TEST(name)        cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define SERIAL_TEST(name) UNWATCHED_TEST(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERIAL_TEST(a_filtered_search_returns_limit_rows_whenever_that_many_match),
        SERIAL_TEST(fewer_matches_than_limit_all_come_and_exactly),
        SERIAL_TEST(exact_search_equals_the_truth_with_and_without_where),
        SERIAL_TEST(explain_names_the_way_that_was_chosen),
        SERIAL_TEST(explain_as_json_is_json),
        SERIAL_TEST(an_ef_that_is_set_is_used_and_shown),
        SERIAL_TEST(equal_distances_come_in_the_order_of_their_keys),
        SERIAL_TEST(pages_over_equal_distances_are_disjoint_and_whole),
        SERIAL_TEST(a_key_finds_its_own_row_first),
        SERIAL_TEST(rows_without_a_vector_are_not_found_and_do_not_count),
        SERIAL_TEST(flat_collections_scan_exactly),
        SERIAL_TEST(a_scan_of_some_thousand_rows_is_made_once),
        TEST(searches_keep_their_row_count_while_every_row_is_rewritten),
        TEST(a_row_that_is_being_moved_is_given_once),
        TEST(many_queries_in_one_search_give_what_each_gives_alone_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
