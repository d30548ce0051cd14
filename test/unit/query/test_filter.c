/* SEARCH ... WHERE where the columns are in memory: what blocks of rows say is what each row alone
 * says, whatever the WHERE, and errors are the same; and floors hold where a WHERE goes together
 * with the vectors. */
#include "query_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    N_ROWS = 3000,
    DIM = 4,
    WHERES_RANDOM = 150,
};

/* Every column is NULL in some rows; texts are of all lengths up to more than memory keeps. */
static void add_row(struct buf *data, int i, uint64_t *random)
{
    static char text[2000];
    static float vector[DIM];
    memset(text, 'a' + i % 3, sizeof(text));
    for (int j = 0; j < DIM; j++) {
        vector[j] = (float)(random_next(random) % 1000) / 1000 + 0.001F;
    }
    struct value at = value_int(i * INT64_C(1000000));
    at.type = TYPE_TIMESTAMP;
    struct value values[] = {
        value_int(i),
        value_int((int64_t)(random_next(random) % 40) - 20),
        value_float((double)(random_next(random) % 40) / 4 - 5),
        value_text(text, i % 500 == 7 ? 1500 : random_next(random) % 6),
        value_bool(random_next(random) % 2 == 0),
        at,
        value_vector(vector, DIM),
    };
    buf_u16(data, COUNT_OF(values));
    for (size_t j = 0; j < COUNT_OF(values); j++) {
        struct value null = value_null();
        bool is_null = j > 0 && j + 1 < COUNT_OF(values) && random_next(random) % 7 == 0;
        value_write(data, is_null ? &null : &values[j]);
    }
}

static struct client *setup_rows(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    struct buf data;
    uint64_t random = 7;
    expect_ok(c, "CREATE COLLECTION t (id INT PRIMARY KEY, n INT, x FLOAT, s TEXT, b BOOL, "
                 "at TIMESTAMP, e VECTOR(4) METRIC L2)");
    buf_init(&data, MEM_GENERAL, 64 << 20);
    for (int i = 0; i < N_ROWS; i++) {
        add_row(&data, i, &random);
    }
    assert_int_equal(run_copy(c, "COPY t FROM STDIN (FORMAT binary)", data.data, data.bytes, 10000),
                     ERR_OK);
    buf_fini(&data);
    expect_ok(c, "CHECKPOINT");
    return c;
}

/* The ids that a SELECT gives, which reads row by row since a vector is among what it reads, and
 * those that a SEARCH for all rows gives: the same, or the same error. */
static void compare(struct client *c, const char *where)
{
    char text[1024];
    struct buf wanted;
    buf_init(&wanted, MEM_GENERAL, 1 << 20);
    snprintf(text, sizeof(text), "SELECT id FROM t WHERE %s ORDER BY dims(e), id LIMIT 9999",
             where);
    enum errcode code = run(c, text);
    buf_bytes(&wanted, c->rows.data, c->rows.bytes);
    size_t n = c->n_rows;
    snprintf(text, sizeof(text),
             "SEARCH id FROM t NEAR [0, 0, 0, 0] WHERE %s LIMIT 9999 WITH (exact = on)", where);
    if (run(c, text) != code) {
        fail_msg("%s: %s, not %s", where, err_name(c->err.code), err_name(code));
    }
    if (code == ERR_OK && c->n_rows != n) {
        fail_msg("%s: %zu rows, not %zu", where, c->n_rows, n);
    }
    static bool is_found[N_ROWS];
    memset(is_found, 0, sizeof(is_found));
    for (const char *at = rows_text(c); code == ERR_OK && *at != 0; at = strchr(at, '\n') + 1) {
        is_found[strtol(at, NULL, 10)] = true;
    }
    buf_u8(&wanted, 0);
    for (const char *at = (const char *)wanted.data; code == ERR_OK && *at != 0;
         at = strchr(at, '\n') + 1) {
        if (!is_found[strtol(at, NULL, 10)]) {
            fail_msg("%s: row %ld is missing", where, strtol(at, NULL, 10));
        }
    }
    buf_fini(&wanted);
}

static const char *const wheres[] = {
    "n = 3",
    "n <> 3 AND x < 1.5",
    "n > 0 OR x > 0 OR b",
    "NOT (n > 0 AND (x > 0 OR s = 'aa'))",
    "n BETWEEN -3 AND 4",
    "x NOT BETWEEN -1 AND n",
    "n IS NULL OR s IS NOT NULL AND b",
    "s = ''",
    "s = 'bbb' OR s > 'cc'",
    "s LIKE 'a%' AND n < 0",
    "s NOT LIKE '%b' OR s IS NULL",
    "n IN (1, 2, n + 3, NULL)",
    "n NOT IN (1, 2, 3)",
    "s IN ('a', 'bb', 'ccc')",
    "n > 2.5",
    "n <= -3.0 OR n = 7.0",
    "-2.5 < n",
    "n BETWEEN -2.5 AND 3",
    "n NOT BETWEEN -2.5 AND x",
    "n = x OR n + 1 < x",
    "x >= n",
    "x <> n",
    "n IN (1, 2.0, 2.5)",
    "n < 1e300 AND n > -1e300",
    "id % 7 = 3",
    "n % 5 = -2",
    "id - n * 2 > 1000",
    "-n > 5",
    "x * 2 + 1 > n",
    "x / 2 < 0.3 AND n + x > 0",
    "b",
    "NOT b",
    "b = (n > 0)",
    "at > '1970-01-01 00:20:00'",
    "n = NULL",
    "s || 'x' = 'aax'",
    "n <> 0 AND 10 / n > 2",
    "id < 2000 AND 10 / n > 2",
    "10 / n > 2",
    "n = 0 OR 10 / n > 2",
    "id > 2900 AND n * 9223372036854775807 > 0",
    "id >= 0",
    "id < 0",
    "lower(s) LIKE 'a%'",
    "upper(s) || n = 'BB3' OR length(s) = 1",
    "n > 0 AND position('a' IN s) = 1",
    "coalesce(n, id) % 3 = 0",
    "CASE WHEN n > 0 THEN s = 'a' WHEN b THEN x > 0 ELSE n IS NULL END",
    "CASE n WHEN 1 THEN s > 'a' WHEN 2 THEN NULL ELSE b END",
    "n::TEXT = '3' OR x::INT = 2",
    "s::INT > 0",
    "n > 0 AND sqrt(n - 3) > 1",
    "n > 2 AND sqrt(n - 3) > 1",
    "CASE WHEN n > 0 THEN 10 / n > 2 ELSE b END",
    "nullif(s, 'a') IS NULL AND greatest(n, x) > 1",
};

static void a_where_over_blocks_says_what_it_says_of_each_row(void **state)
{
    struct client *c = setup_rows(state);
    for (size_t i = 0; i < COUNT_OF(wheres); i++) {
        compare(c, wheres[i]);
    }
    /* Rows that changed since, in the file and before that. */
    expect_ok(c, "UPDATE t SET n = 3 WHERE id % 50 = 0; DELETE FROM t WHERE id % 41 = 0");
    for (size_t i = 0; i < COUNT_OF(wheres); i++) {
        compare(c, wheres[i]);
    }
    expect_ok(c, "CHECKPOINT; INSERT INTO t (id, n, e) VALUES (0, 3, [1, 1, 1, 1])");
    for (size_t i = 0; i < COUNT_OF(wheres); i++) {
        compare(c, wheres[i]);
    }
}

/* Where a FLOAT has fewer digits than an INT, and where it has no INT beside it. */
static void whole_numbers_beside_floats_are_compared_exactly(void **state)
{
    static const char *const numbers[] = {
        "-1e300",
        "-9223372036854775809.0",
        "-9223372036854775808.0",
        "-9007199254740994.0",
        "-9007199254740992.0",
        "-0.5",
        "0.5",
        "9007199254740990.5",
        "9007199254740992.0",
        "9007199254740994.0",
        "9223372036854774784.0",
        "9223372036854775807.0",
        "1e300",
        "'NaN'::FLOAT",
        "'-Infinity'::FLOAT",
        "x",
    };
    static const char *const ops[] = {"<", "<=", "=", "<>", ">=", ">"};
    struct client *c = &((struct fixture *)*state)->client;
    expect_ok(c, "CREATE COLLECTION t (id INT PRIMARY KEY, n INT, x FLOAT, e VECTOR(4))");
    expect_ok(c, "INSERT INTO t VALUES (1, -9223372036854775807 - 1, -1e19, [1, 1, 1, 1]), "
                 "(2, -9223372036854775807, -9223372036854775808.0, [1, 1, 1, 1]), "
                 "(3, -9007199254740993, -9007199254740992.0, [1, 1, 1, 1]), "
                 "(4, -9007199254740992, -9007199254740992.0, [1, 1, 1, 1]), "
                 "(5, -1, -0.5, [1, 1, 1, 1]), (6, 0, 0.0, [1, 1, 1, 1]), "
                 "(7, 0, NULL, [1, 1, 1, 1]), (8, NULL, 0.5, [1, 1, 1, 1]), "
                 "(9, 9007199254740991, 9007199254740990.5, [1, 1, 1, 1]), "
                 "(10, 9007199254740992, 9007199254740992.0, [1, 1, 1, 1]), "
                 "(11, 9007199254740993, 9007199254740992.0, [1, 1, 1, 1]), "
                 "(12, 9223372036854775806, 9223372036854775807.0, [1, 1, 1, 1]), "
                 "(13, 9223372036854775807, 9223372036854774784.0, [1, 1, 1, 1]), "
                 "(14, 5, 'NaN'::FLOAT, [1, 1, 1, 1]), (15, 5, 1e300, [1, 1, 1, 1]); CHECKPOINT");
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        for (size_t j = 0; j < COUNT_OF(ops); j++) {
            char where[128];
            snprintf(where, sizeof(where), "n %s %s", ops[j], numbers[i]);
            compare(c, where);
            snprintf(where, sizeof(where), "%s %s n", numbers[i], ops[j]);
            compare(c, where);
        }
    }
    expect_ok(c, "SEARCH id FROM t NEAR [1, 1, 1, 1] WHERE n > 9007199254740992.0 LIMIT 9");
    assert_string_equal(rows_text(c), "11\n12\n13\n");
    expect_ok(c, "SEARCH id FROM t NEAR [1, 1, 1, 1] WHERE n = x LIMIT 9");
    assert_string_equal(rows_text(c), "4\n6\n10\n");
}

static void add_condition(struct buf *b, unsigned depth, uint64_t *random)
{
    static const char *const leaves[] = {
        "n < %d",    "x > %d",     "s >= 'b'",           "b",
        "n IS NULL", "%d / n > 0", "n %% 3 = %d",        "id > %d",
        "n = %d",    "s = 'a'",    "x BETWEEN n AND %d", "s LIKE '%%a'",
        "n < %d.5",  "x >= n",     "n + 1 IN (%d, 5)"};
    if (depth == 0 || random_next(random) % 4 == 0) {
        char leaf[64];
        /* The only format with a number that is not always there. */
        const char *format = leaves[random_next(random) % COUNT_OF(leaves)];
        snprintf(leaf, sizeof(leaf), "%s", format);
        char *at = strstr(leaf, "%d");
        long number = (long)(random_next(random) % 20) - 10;
        for (const char *from = leaf; *from != 0; from++) {
            if (from == at) {
                buf_printf(b, "%ld", number);
                from++;
            } else if (from[0] == '%' && from[1] == '%') {
                buf_u8(b, '%');
                from++;
            } else {
                buf_u8(b, (uint8_t)*from);
            }
        }
        return;
    }
    buf_printf(b, "%s(", random_next(random) % 3 == 0 ? "NOT " : "");
    add_condition(b, depth - 1, random);
    buf_printf(b, "%s", random_next(random) % 2 == 0 ? " AND " : " OR ");
    add_condition(b, depth - 1, random);
    buf_printf(b, ")");
}

static void so_does_any_where(void **state)
{
    struct client *c = setup_rows(state);
    uint64_t random = 99;
    for (int i = 0; i < WHERES_RANDOM; i++) {
        struct buf where;
        buf_init(&where, MEM_GENERAL, 4096);
        add_condition(&where, 3, &random);
        buf_u8(&where, 0);
        compare(c, (const char *)where.data);
        buf_fini(&where);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNWATCHED_TEST(a_where_over_blocks_says_what_it_says_of_each_row, fixture_setup,
                       fixture_teardown),
        UNWATCHED_TEST(whole_numbers_beside_floats_are_compared_exactly, fixture_setup,
                       fixture_teardown),
        UNWATCHED_TEST(so_does_any_where, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
