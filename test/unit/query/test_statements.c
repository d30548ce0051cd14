/* Statements end to end: text in, rows out, over a real log, map and shards in one process. */
#include "query_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char create_docs[] = "CREATE COLLECTION docs (id TEXT PRIMARY KEY, "
                                  "embedding VECTOR(2) METRIC L2, title TEXT, year INT, "
                                  "price FLOAT, extra JSON)";

static const char insert_docs[] =
    "INSERT INTO docs VALUES ('a', [0, 0], 'Apple', 2000, 1.5, '{\"k\": 1}'), "
    "('b', [1, 0], 'Bread', 2001, 2.5, NULL), ('c', [0, 2], NULL, 2002, NULL, '{\"k\": \"x\"}'), "
    "('d', [3, 3], 'Date', 2003, 4, NULL)";

static struct client *setup_docs(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    expect_ok(c, create_docs);
    expect_ok(c, insert_docs);
    assert_int_equal(c->changed, 4);
    assert_string_equal(c->tag, "INSERT");
    return c;
}

static void rows_come_back_by_key_and_by_where(void **state)
{
    struct client *c = setup_docs(state);
    expect_rows(c, "SELECT id, title, price FROM docs WHERE id = 'b'", "b|Bread|2.5\n");
    expect_rows(c, "SELECT id FROM docs WHERE id IN ('d', 'a', 'x', 'a')", "a\nd\n");
    expect_rows(c, "SELECT * FROM docs WHERE id = 'c'", "c|[0,2]||2002||{\"k\": \"x\"}\n");
    expect_rows(c, "SELECT id FROM docs WHERE year >= 2002 ORDER BY id DESC", "d\nc\n");
    expect_rows(c, "SELECT count(*) FROM docs WHERE title IS NOT NULL", "3\n");
    expect_rows(c, "SELECT count(*) FROM docs", "4\n");
    expect_rows(c, "SELECT 1 + 2 * 3, 'a' || 'b', NULL", "7|ab|\n");
}

static void searches_return_the_nearest_rows_in_order(void **state)
{
    struct client *c = setup_docs(state);
    expect_rows(c, "SEARCH id, distance FROM docs NEAR [0, 0] LIMIT 3", "a|0\nb|1\nc|2\n");
    expect_rows(c, "SEARCH id FROM docs NEAR KEY 'd' LIMIT 2", "d\nc\n");
    expect_rows(c, "SEARCH id FROM docs NEAR [0, 0] WHERE year > 2000 LIMIT 2", "b\nc\n");
    expect_rows(c, "SEARCH id, query FROM docs NEAR ([0, 0], KEY 'd') LIMIT 1", "a|1\nd|2\n");
    expect_rows(c, "SEARCH id FROM docs NEAR [0, 0] LIMIT 2 OFFSET 1", "b\nc\n");
}

static void parameters_take_their_types_from_the_context(void **state)
{
    struct client *c = setup_docs(state);
    float query[] = {1, 0};
    struct value values[] = {value_vector(query, 2), value_int(2)};
    assert_int_equal(run_with(c, "SEARCH id FROM docs NEAR $1 LIMIT $2", values, 2), ERR_OK);
    assert_string_equal(rows_text(c), "b\na\n");
}

static void updates_and_deletes_change_what_matches(void **state)
{
    struct client *c = setup_docs(state);
    expect_ok(c, "UPDATE docs SET year = year + 10, title = 'new' WHERE year < 2002");
    assert_int_equal(c->changed, 2);
    expect_rows(c, "SELECT id, year, title FROM docs ORDER BY year",
                "c|2002|\nd|2003|Date\na|2010|new\nb|2011|new\n");
    expect_ok(c, "DELETE FROM docs WHERE title = 'new'");
    assert_int_equal(c->changed, 2);
    expect_rows(c, "SELECT id FROM docs", "c\nd\n");
    expect_ok(c, "DELETE FROM docs");
    expect_rows(c, "SELECT count(*) FROM docs", "0\n");
}

static void policies_are_shown_with_their_origin(void **state)
{
    struct client *c = setup_docs(state);
    expect_rows(c, "SET recall = 0.9; SHOW recall",
                "recall|0.9|session|number|The floor of recall@10 that the server calibrates ef "
                "for and keeps measuring.|\n");
    expect_ok(c, "RESET ALL; SHOW ALL");
    assert_int_equal(c->n_rows, POLICY_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_come_back_by_key_and_by_where, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(searches_return_the_nearest_rows_in_order, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(parameters_take_their_types_from_the_context, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(updates_and_deletes_change_what_matches, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(policies_are_shown_with_their_origin, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
