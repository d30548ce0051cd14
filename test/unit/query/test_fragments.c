/* Fragments: statements over leaves that are elsewhere, with results larger than a batch, readers
 * that are slow, cancels, timeouts, and memory that runs out. */
#include "query_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "parser/parser.h"

#define DEAR "replace(replace(replace(name, 'a', 'bb'), 'b', 'cb'), 'c', 'aa')"

enum {
    N_ROWS = 6000
};

static struct client *setup_rows(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    struct buf csv;
    expect_ok(c, "CREATE COLLECTION n (id INT PRIMARY KEY, name TEXT, e VECTOR(2) METRIC L2)");
    buf_init(&csv, MEM_GENERAL, 16 << 20);
    for (int i = 0; i < N_ROWS; i++) { /* Few have a vector: the graph is not what takes time. */
        buf_printf(&csv, "%d,name %d,", i, (i * 7919) % N_ROWS);
        buf_printf(&csv, i % 10 == 0 ? "\"[%d,1]\"\n" : "\n", i % 70);
    }
    assert_int_equal(run_copy(c, "COPY n FROM STDIN", csv.data, csv.bytes, 65536), ERR_OK);
    buf_fini(&csv);
    expect_ok(c, "SET debug_fragments = 3");
    return c;
}

/* What @text gives when it is cut is what it gives when it is whole. */
static void expect_same(struct client *c, const char *text)
{
    expect_ok(c, "RESET debug_fragments");
    expect_ok(c, text);
    char *whole = strdup(rows_text(c));
    assert_non_null(whole);
    expect_ok(c, "SET debug_fragments = 3");
    expect_ok(c, text);
    assert_string_equal(rows_text(c), whole);
    free(whole);
}

static void leaves_are_merged_batch_after_batch(void **state)
{
    struct client *c = setup_rows(state);
    expect_same(c, "SELECT id FROM n ORDER BY id");
    assert_int_equal(c->n_rows, N_ROWS);
    expect_same(c, "SELECT name, id FROM n ORDER BY name DESC, id");
    expect_same(c, "SELECT id FROM n ORDER BY name LIMIT 2500 OFFSET 2000");
    expect_same(c, "SELECT DISTINCT id % 1700 AS r FROM n ORDER BY r");
    expect_same(c, "SEARCH id, query, distance FROM n NEAR ([7, 1], [40, 2]) LIMIT 500 OFFSET 50 "
                   "WITH (exact = on)");
    assert_int_equal(c->n_rows, 1000);
}

static void a_slow_reader_gets_every_row_once(void **state)
{
    struct client *c = setup_rows(state);
    c->full_after = 10;
    expect_ok(c, "SELECT id FROM n");
    assert_int_equal(c->n_rows, N_ROWS);
    assert_true(c->n_full > 100);
    expect_same(c, "SELECT id FROM n WHERE id % 2 = 1 ORDER BY id");
    c->full_after = 0;
}

/* Dear ones, so that the steps above the leaves are given up in the middle. */
static void a_step_that_is_given_up_gives_each_row_once(void **state)
{
    struct client *c = setup_rows(state);
    expect_same(c, "SELECT id % 5000 AS r, max(id) FROM n GROUP BY r ORDER BY max(id) DESC");
    expect_same(c, "SELECT name, count(DISTINCT id) FROM n GROUP BY name "
                   "HAVING replace(replace(max(" DEAR "), 'a', 'bb'), 'b', 'cb') LIKE '%b%' "
                   "ORDER BY name");
    expect_same(c, "SELECT count(*), sum(id), avg(id), min(name) FROM n");
    expect_rows(c, "SELECT count(*) FROM n", "6000\n");
}

static void updates_and_deletes_count_the_rows_of_all_leaves(void **state)
{
    struct client *c = setup_rows(state);
    expect_ok(c, "UPDATE n SET name = 'x' WHERE id % 3 = 0");
    assert_int_equal(c->changed, N_ROWS / 3);
    expect_ok(c, "DELETE FROM n WHERE id >= 1000");
    assert_int_equal(c->changed, N_ROWS - 1000);
    expect_ok(c, "DELETE FROM n WHERE id >= 1000");
    assert_int_equal(c->changed, 0);
    expect_ok(c, "RESET debug_fragments");
    expect_rows(c, "SELECT count(*), count(DISTINCT name) FROM n", "1000|667\n");
}

static void memory_of_the_leaves_is_the_statements(void **state)
{
    struct client *c = setup_rows(state);
    expect_ok(c, "SET statement_memory = '256KiB'");
    expect_error(c, "SELECT name, count(*) FROM n GROUP BY name", ERR_OUT_OF_MEMORY);
    assert_string_equal(c->err.policy, "statement_memory");
    expect_ok(c, "SELECT id, name FROM n"); /* In batches, it needs little. */
    assert_int_equal(c->n_rows, N_ROWS);
}

static void a_timeout_ends_the_leaves(void **state)
{
    struct client *c = setup_rows(state);
    expect_error(c, "SELECT id FROM n ORDER BY name WITH (timeout = '1us')", ERR_TIMEOUT);
    expect_error(c, "SELECT max(name) FROM n GROUP BY id WITH (timeout = '1us')", ERR_TIMEOUT);
    expect_error(c, "UPDATE n SET name = 'x' WITH (timeout = '1us')", ERR_TIMEOUT);
    expect_rows(c, "SELECT count(*) FROM n WHERE name = 'x'", "0\n");
}

static void cancel(struct client *c)
{
    query_session_cancel(c->session);
}

static void a_cancel_ends_the_leaves(void **state)
{
    struct client *c = setup_rows(state);
    c->at_wait = cancel;
    expect_error(c, "SELECT id, " DEAR " FROM n ORDER BY name", ERR_CANCELED);
    expect_error(c, "SELECT name, count(*) FROM n GROUP BY name", ERR_CANCELED);
    enum errcode code = run(c, "UPDATE n SET name = 'x'");
    c->at_wait = NULL;
    assert_true(code == ERR_OK || code == ERR_CANCELED || code == ERR_OUTCOME_UNKNOWN);
    expect_ok(c, "SELECT count(*) FROM n");
    expect_rows(c, "SELECT count(*) FROM n", "6000\n");
}

/* What is cut may be nested deeper than what was written: avg is a sum by a count. */
static void what_becomes_too_deep_by_the_cut_stays_whole(void **state)
{
    static const char *const inner[] = {"avg(id)", "avg(id + 1)", "count(*)", "max(id)"};
    struct client *c = setup_rows(state);
    for (size_t i = 0; i < COUNT_OF(inner); i++) {
        for (int depth = VQL_DEPTH_MAX - 8; depth <= VQL_DEPTH_MAX; depth++) {
            struct buf text;
            buf_init(&text, MEM_GENERAL, 1 << 16);
            buf_printf(&text, "SELECT %s", inner[i]);
            for (int j = 1; j < depth; j++) {
                buf_printf(&text, " + 1");
            }
            buf_printf(&text, " FROM n");
            buf_u8(&text, 0);
            expect_ok(c, "RESET debug_fragments");
            enum errcode whole = run(c, (const char *)text.data);
            expect_ok(c, "SET debug_fragments = 3");
            assert_int_equal(run(c, (const char *)text.data), whole);
            buf_fini(&text);
        }
    }
}

/* ---- portals by hand ---- */

static enum portal_status run_portal(struct client *c, struct portal *portal, struct bare *bare)
{
    enum portal_status status;
    for (unsigned waits = 1; (status = portal_run(portal, 0, &c->err)) == PORTAL_WAIT; waits++) {
        bare_wait(bare, waits);
    }
    return status;
}

/* Of one that was prepared before it was set, and of one that was prepared after that. */
static void a_prepared_statement_follows_the_policy(void **state)
{
    struct client *c = setup_rows(state);
    struct prepared *prepared = bare_prepare(c, "EXPLAIN SELECT id FROM n");
    size_t rows_of[3];
    for (size_t i = 0; i < COUNT_OF(rows_of); i++) {
        struct bare bare = {0};
        expect_ok(c, i == 1 ? "RESET debug_fragments" : "SET debug_fragments = 3");
        struct portal *portal = bare_portal(c, prepared, &bare);
        assert_int_equal(run_portal(c, portal, &bare), PORTAL_DONE);
        assert_int_equal(bare.n_values, bare.n_rows); /* Of one column. */
        rows_of[i] = bare.n_rows;
        portal_free(portal);
    }
    assert_int_equal(rows_of[0], rows_of[2]);
    assert_int_not_equal(rows_of[0], rows_of[1]); /* Leaves and their fragment, or what is read. */
    prepared_free(prepared);
}

static void a_portal_may_be_freed_while_its_leaves_run(void **state)
{
    static const char *const texts[] = {"SELECT id FROM n", "SELECT id FROM n ORDER BY name",
                                        "SELECT max(name) FROM n GROUP BY id"};
    struct client *c = setup_rows(state);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct bare bare = {.is_full = true};
        struct prepared *prepared = bare_prepare(c, texts[i]);
        struct portal *portal = bare_portal(c, prepared, &bare);
        prepared_free(prepared);
        enum portal_status status = portal_run(portal, 0, &c->err);
        assert_true(status == PORTAL_WAIT || status == PORTAL_FULL);
        portal_free(portal);
        struct bare other = {.is_full = true};
        prepared = bare_prepare(c, texts[i]);
        portal = bare_portal(c, prepared, &other);
        prepared_free(prepared);
        assert_int_equal(run_portal(c, portal, &other), PORTAL_FULL);
        assert_int_equal(other.n_rows, 0);
        portal_free(portal);
    }
    expect_rows(c, "SELECT count(*) FROM n", "6000\n");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(leaves_are_merged_batch_after_batch),
        TEST(a_slow_reader_gets_every_row_once),
        TEST(a_step_that_is_given_up_gives_each_row_once),
        TEST(updates_and_deletes_count_the_rows_of_all_leaves),
        TEST(memory_of_the_leaves_is_the_statements),
        TEST(a_timeout_ends_the_leaves),
        TEST(a_cancel_ends_the_leaves),
        TEST(what_becomes_too_deep_by_the_cut_stays_whole),
        TEST(a_prepared_statement_follows_the_policy),
        TEST(a_portal_may_be_freed_while_its_leaves_run),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
