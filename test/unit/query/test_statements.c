/* Statements end to end: text in, rows out, over a real log, map and shards in one process. */
#include "query_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void expect_prefix(const char *text, const char *prefix)
{
    if (strncmp(text, prefix, strlen(prefix)) != 0) {
        fail_msg("not %s but %s", prefix, text);
    }
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
    expect_rows(
        c, "SET recall = 0.9; SHOW recall",
        "recall|0.9|session|number|The floor of the mean recall of searches, by distance, that "
        "the server measures ef for and keeps measuring; where no ef reaches it, on_miss "
        "decides.|\n");
    expect_ok(c, "RESET ALL; SHOW ALL");
    assert_int_equal(c->n_rows, POLICY_COUNT);
}

/* ---- definitions ---- */

static void collections_are_made_described_and_dropped(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    expect_ok(c, "CREATE COLLECTION w (word TEXT, id UUID PRIMARY KEY, e VECTOR(3) NOT NULL METRIC "
                 "COSINE, f VECTOR(2)) WITH (m = 8, recall = 0.9)");
    assert_string_equal(c->tag, "CREATE COLLECTION");
    expect_ok(c, "DESCRIBE w");
    expect_prefix(rows_text(c), "id|UUID|PRIMARY KEY|column\nword|TEXT||column\n"
                                "e|VECTOR(3)|METRIC COSINE NOT NULL, quantization = none (auto)|"
                                "column\n"
                                "f|VECTOR(2)|METRIC L2, quantization = none (auto)|column\n");
    assert_non_null(strstr(rows_text(c), "m|8|collection|policy\n"));
    assert_non_null(strstr(rows_text(c), "recall|0.9|collection|policy\n"));
    expect_error(c, "CREATE COLLECTION w (id INT PRIMARY KEY)", ERR_DUPLICATE_COLLECTION);
    expect_ok(c, "CREATE COLLECTION IF NOT EXISTS w (id INT PRIMARY KEY)");
    assert_string_equal(c->notice, "collection \"w\" exists already, skipping");
    expect_ok(c, "DROP COLLECTION w");
    expect_error(c, "DROP COLLECTION w", ERR_UNKNOWN_COLLECTION);
    expect_ok(c, "DROP COLLECTION IF EXISTS w");
    assert_string_equal(c->notice, "collection \"w\" does not exist, skipping");
}

static void definitions_that_do_not_hold_together_are_refused(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    expect_error(c, "CREATE COLLECTION x (a INT)", ERR_BAD_DEFINITION);
    expect_error(c, "CREATE COLLECTION x (a INT PRIMARY KEY, b INT PRIMARY KEY)",
                 ERR_BAD_DEFINITION);
    expect_error(c, "CREATE COLLECTION x (a FLOAT PRIMARY KEY)", ERR_BAD_DEFINITION);
    expect_error(c, "CREATE COLLECTION x (a INT PRIMARY KEY, a TEXT)", ERR_DUPLICATE_COLUMN);
    expect_error(c, "CREATE COLLECTION x (a INT PRIMARY KEY) WITH (timeout = '1s')",
                 ERR_POLICY_SCOPE);
    expect_error(c, "CREATE COLLECTION x (a INT PRIMARY KEY) WITH (m = 1000)", ERR_POLICY_BOUNDS);
    expect_error(c, "CREATE COLLECTION x (a INT PRIMARY KEY) WITH (recal = 0.9)",
                 ERR_UNKNOWN_POLICY);
    assert_non_null(strstr(c->err.hint, "recall"));
}

/* ---- writes ---- */

static void conflicts_fail_skip_or_replace(void **state)
{
    struct client *c = setup_docs(state);
    expect_error(c, "INSERT INTO docs (id, title) VALUES ('e', 'E'), ('a', 'again')",
                 ERR_DUPLICATE_KEY);
    expect_rows(c, "SELECT count(*) FROM docs", "4\n"); /* None of it happened. */
    expect_ok(c, "INSERT INTO docs (id, title) VALUES ('e', 'E'), ('a', 'again') "
                 "ON CONFLICT DO NOTHING");
    assert_int_equal(c->changed, 1);
    expect_rows(c, "SELECT title, year FROM docs WHERE id = 'a'", "Apple|2000\n");
    expect_ok(c, "INSERT INTO docs (id, title) VALUES ('a', 'again') ON CONFLICT DO UPDATE");
    expect_rows(c, "SELECT title, year FROM docs WHERE id = 'a'", "again|2000\n");
}

static void values_are_checked_with_their_position(void **state)
{
    struct client *c = setup_docs(state);
    expect_error(c, "INSERT INTO docs (id, embedding) VALUES ('x', [1, 2, 3])",
                 ERR_WRONG_DIMENSION);
    assert_int_equal(c->err.position, 47);
    assert_non_null(strstr(c->err.message, "3 dimensions, and column \"embedding\" has 2"));
    expect_error(c, "INSERT INTO docs (title) VALUES ('x')", ERR_NOT_NULL);
    expect_error(c, "INSERT INTO docs (id, year) VALUES ('x', 'soon')",
                 ERR_BAD_TEXT_REPRESENTATION);
    expect_error(c, "INSERT INTO docs (id, year) VALUES ('x', 2.5)", ERR_TYPE_MISMATCH);
    expect_error(c, "INSERT INTO docs (id, id) VALUES ('x', 'y')", ERR_DUPLICATE_COLUMN);
    expect_error(c, "INSERT INTO docs (id, yaer) VALUES ('x', 1)", ERR_UNKNOWN_COLUMN);
    assert_non_null(strstr(c->err.hint, "\"year\""));
    expect_error(c, "INSERT INTO docs (id, extra) VALUES ('x', '{')", ERR_BAD_JSON);
    expect_error(c, "INSERT INTO docs VALUES ('x')", ERR_SYNTAX);
    expect_error(c, "UPDATE docs SET id = 'x'", ERR_FEATURE_UNSUPPORTED);
    expect_error(c, "UPDATE docs SET year = 1, year = 2", ERR_DUPLICATE_COLUMN);
    expect_error(c, "UPDATE docs SET year = year / 0", ERR_DIVISION_BY_ZERO);
}

static void a_write_over_the_bound_of_one_entry_is_refused_whole(void **state)
{
    struct client *c = setup_docs(state);
    static char text[5 << 20];
    char insert[64];
    memset(text, 'x', sizeof(text));
    for (int i = 0; i < 8; i++) {
        snprintf(insert, sizeof(insert), "INSERT INTO docs (id, title) VALUES ('big%d', $1)", i);
        struct value title = value_text(text, sizeof(text));
        assert_int_equal(run_with(c, insert, &title, 1), ERR_OK);
    }
    expect_error(c, "UPDATE docs SET year = 1 WHERE id LIKE 'big%'", ERR_STATEMENT_TOO_LONG);
    assert_non_null(strstr(c->err.hint, "WHERE"));
    expect_rows(c, "SELECT count(*) FROM docs WHERE year = 1", "0\n");
}

static void acknowledgements_may_come_earlier(void **state)
{
    struct client *c = setup_docs(state);
    static const char *const acks[] = {"received", "leader", "quorum", "visible", "indexed"};
    for (size_t i = 0; i < COUNT_OF(acks); i++) {
        char text[128];
        snprintf(text, sizeof(text), "INSERT INTO docs (id) VALUES ('ack%zu') WITH (ack = '%s')", i,
                 acks[i]);
        expect_ok(c, text);
        assert_int_equal(c->changed, 1);
    }
    expect_rows(c, "SELECT count(*) FROM docs WHERE id LIKE 'ack%'", "5\n");
}

/* ---- searches and selects that cannot be ---- */

static void searches_that_cannot_be_are_refused(void **state)
{
    struct client *c = setup_docs(state);
    expect_error(c, "SEARCH id FROM docs NEAR [1] LIMIT 1", ERR_WRONG_DIMENSION);
    assert_int_equal(c->err.position, 26);
    assert_non_null(strstr(c->err.message, "1 dimensions, and column \"embedding\" has 2"));
    expect_error(c, "SEARCH id FROM docs NEAR [1, 2] IN title LIMIT 1", ERR_TYPE_MISMATCH);
    expect_error(c, "SEARCH id FROM docs NEAR [1, 2] LIMIT 20000", ERR_LIMIT_OUT_OF_RANGE);
    expect_error(c, "SEARCH id FROM docs NEAR [1, 2] LIMIT 1 OFFSET 10000", ERR_LIMIT_OUT_OF_RANGE);
    assert_string_equal(c->err.policy, "limit_max");
    expect_error(c, "SEARCH id FROM docs NEAR [1, 2] WHERE distance < 1 LIMIT 1",
                 ERR_UNKNOWN_COLUMN);
    expect_error(c, "SEARCH id FROM docs NEAR [1, 2] LIMIT 1 WITH (ack = 'leader')",
                 ERR_POLICY_SCOPE);
    expect_error(c, "SEARCH id FROM docs NEAR [1, 2] LIMIT 1 WITH (recal = 0.9)",
                 ERR_UNKNOWN_POLICY);
    expect_error(c, "SEARCH id FROM docs NEAR [1, 2] LIMIT 1 WITH (recall = 2)", ERR_POLICY_BOUNDS);
    expect_rows(c, "SEARCH id FROM docs NEAR [1, 2] LIMIT 0", "");
    float bad[] = {1, 0.0F / 1};
    uint32_t nan_bits = 0x7fc00000;
    memcpy(&bad[1], &nan_bits, sizeof(bad[1]));
    struct value nan = value_vector(bad, 2), null = value_null(), negative = value_int(-1);
    assert_int_equal(run_with(c, "SEARCH id FROM docs NEAR $1 LIMIT 1", &nan, 1), ERR_NOT_FINITE);
    assert_int_equal(run_with(c, "SEARCH id FROM docs NEAR $1 LIMIT 1", &null, 1),
                     ERR_TYPE_MISMATCH);
    assert_int_equal(run_with(c, "SEARCH id FROM docs NEAR [1, 2] LIMIT $1", &negative, 1),
                     ERR_LIMIT_OUT_OF_RANGE);
    expect_ok(c, "CREATE COLLECTION cosine (id INT PRIMARY KEY, e VECTOR(2) METRIC COSINE)");
    expect_error(c, "SEARCH id FROM cosine NEAR [0, 0] LIMIT 1", ERR_ZERO_VECTOR);
    expect_error(c, "INSERT INTO cosine VALUES (1, [0, 0])", ERR_ZERO_VECTOR);
    expect_ok(c, "CREATE COLLECTION plain (id INT PRIMARY KEY)");
    expect_error(c, "SEARCH id FROM plain NEAR [0, 0] LIMIT 1", ERR_TYPE_MISMATCH);
}

static void policies_of_with_take_parameters(void **state)
{
    struct client *c = setup_docs(state);
    struct value values[] = {value_int(50), value_cstr("5s")};
    assert_int_equal(
        run_with(c, "SEARCH id FROM docs NEAR [0, 0] LIMIT 1 WITH (ef = $1, timeout = $2)", values,
                 2),
        ERR_OK);
    values[0] = value_int(0);
    assert_int_equal(
        run_with(c, "SEARCH id FROM docs NEAR [0, 0] LIMIT 1 WITH (ef = $1, timeout = $2)", values,
                 2),
        ERR_POLICY_BOUNDS);
    assert_int_equal(run_with(c, "SEARCH id FROM docs NEAR [0, 0] LIMIT $1", values, 2),
                     ERR_UNKNOWN_PARAMETER);
    values[0] = value_cstr("ten");
    assert_int_equal(run_with(c, "SEARCH id FROM docs NEAR [0, 0] LIMIT $1", values, 1),
                     ERR_BAD_TEXT_REPRESENTATION);
}

static void selects_that_cannot_be_are_refused(void **state)
{
    struct client *c = setup_docs(state);
    expect_error(c, "SELECT * FROM doc", ERR_UNKNOWN_COLLECTION);
    assert_int_equal(c->err.position, 15);
    assert_non_null(strstr(c->err.hint, "\"docs\""));
    expect_error(c, "SELECT *", ERR_SYNTAX);
    expect_error(c, "SELECT x", ERR_UNKNOWN_COLUMN);
    expect_error(c, "SELECT id, count(*) FROM docs", ERR_GROUPING);
    expect_error(c, "SELECT count(*) FROM docs ORDER BY id", ERR_GROUPING);
    expect_error(c, "SELECT id FROM docs ORDER BY embedding", ERR_TYPE_MISMATCH);
    expect_error(c, "SELECT id FROM docs ORDER BY 2", ERR_BAD_REFERENCE);
    expect_error(c, "SELECT id, -1 AS id FROM docs ORDER BY id", ERR_AMBIGUOUS_COLUMN);
    expect_error(c, "SELECT id FROM docs WITH (recall = 0.9)", ERR_POLICY_SCOPE);
    expect_error(c, "SELECT soundex(id) FROM docs", ERR_UNKNOWN_FUNCTION);
    expect_error(c, "SET recal = 0.9", ERR_UNKNOWN_POLICY);
    expect_error(c, "SET recall = 2", ERR_POLICY_BOUNDS);
    expect_error(c, "SET listen = 'x'", ERR_POLICY_SCOPE);
    expect_error(c, "SHOW colections", ERR_UNKNOWN_POLICY);
    assert_non_null(strstr(c->err.hint, "\"collections\""));
}

static void vectors_of_several_columns_are_searched_apart(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    expect_ok(c, "CREATE COLLECTION two (id INT PRIMARY KEY, a VECTOR(1), b VECTOR(2) METRIC DOT)");
    expect_ok(c, "INSERT INTO two VALUES (1, [1], [1, 1]), (2, [2], [9, 9])");
    expect_rows(c, "SEARCH id, distance FROM two NEAR [0] LIMIT 1", "1|1\n");
    expect_rows(c, "SEARCH id, distance FROM two NEAR [1, 1] IN b LIMIT 1", "2|-18\n");
    expect_rows(c, "SEARCH * FROM two NEAR ([0], [2]) LIMIT 1",
                "1|[1]|[1,1]|1|1\n2|[2]|[9,9]|0|2\n");
    expect_rows(c, "SEARCH id AS n, 1 - distance AS s FROM two NEAR [2] LIMIT 2", "2|1\n1|0\n");
}

/* ---- views ---- */

static void every_view_gives_its_rows(void **state)
{
    struct client *c = setup_docs(state);
    expect_ok(c, "SHOW collections");
    expect_prefix(rows_text(c), "docs|4|6|embedding(2) L2|");
    expect_ok(c, "SHOW shards");
    assert_int_equal(c->n_rows, 1);
    expect_ok(c, "SHOW sessions");
    assert_non_null(strstr(rows_text(c), "|running|SHOW sessions|"));
    expect_ok(c, "SHOW metrics");
    assert_int_equal(c->n_rows, METRIC_COUNT + MEM_COUNT + 1);
    expect_ok(c, "SHOW calibration");
    assert_int_equal(c->n_rows, 1);
    expect_ok(c, "SHOW policies");
    assert_int_equal(c->n_rows, POLICY_COUNT);
    expect_ok(c, "SHOW views");
    assert_non_null(strstr(rows_text(c), "collections|"));
}

static void the_counters_of_statements_count(void **state)
{
    struct client *c = setup_docs(state);
    int64_t statements = metric_value(METRIC_statements);
    int64_t failed = metric_value(METRIC_statements_failed);
    int64_t exact = metric_value(METRIC_searches_exact);
    expect_ok(c, "SEARCH id FROM docs NEAR [0, 0] WHERE year > 2000 LIMIT 1");
    expect_error(c, "SELECT 1 / (count(*) - 4) FROM docs", ERR_DIVISION_BY_ZERO);
    assert_int_equal(metric_value(METRIC_statements), statements + 2);
    assert_int_equal(metric_value(METRIC_statements_failed), failed + 1);
    assert_int_equal(metric_value(METRIC_searches_exact), exact + 1);
    int64_t written = metric_value(METRIC_rows_written);
    expect_ok(c, "UPDATE docs SET year = year + 1");
    assert_int_equal(metric_value(METRIC_rows_written), written + 4);
    assert_true(metric_value(METRIC_statement) >= statements);
}

static void explain_shows_writes_and_analyze_does_them(void **state)
{
    struct client *c = setup_docs(state);
    expect_ok(c, "EXPLAIN UPDATE docs SET year = 1 WHERE id = 'a' AND year > 5");
    assert_non_null(strstr(rows_text(c), "-> scan\n     Collection: docs\n"));
    expect_rows(c, "SELECT year FROM docs WHERE id = 'a'", "2000\n");
    expect_ok(c, "EXPLAIN ANALYZE UPDATE docs SET year = 1 WHERE id = 'a'");
    assert_non_null(strstr(rows_text(c), "Rows given: 1\n"));
    expect_rows(c, "SELECT year FROM docs WHERE id = 'a'", "1\n");
    expect_ok(c, "EXPLAIN SELECT id FROM docs ORDER BY year LIMIT 3");
    assert_non_null(strstr(rows_text(c), "-> sort\n     Keys: year\n"));
    expect_ok(c, "EXPLAIN ANALYZE INSERT INTO docs (id) VALUES ('n1'), ('n2')");
    assert_non_null(strstr(rows_text(c), "Rows given: 2\n"));
    expect_ok(c, "EXPLAIN SELECT 1");
    assert_non_null(strstr(rows_text(c), "Plan: project\n  -> one\n"));
}

static void what_was_written_is_there_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct client *c = setup_docs(state);
    expect_ok(c, "CHECKPOINT; DELETE FROM docs WHERE id = 'd'; CREATE COLLECTION gone (id INT "
                 "PRIMARY KEY); DROP COLLECTION gone");
    fixture_reopen(f);
    expect_rows(&f->client, "SEARCH id FROM docs NEAR [3, 3] LIMIT 9", "c\nb\na\n");
    expect_error(&f->client, "SELECT * FROM gone", ERR_UNKNOWN_COLLECTION);
}

static void settings_of_the_file_wait_for_a_start_where_they_must(void **state)
{
    struct fixture *f = *state;
    struct policy_set file = f->policies;
    struct value recall = value_float(0.8), threads = value_int(3);
    struct err err;
    assert_int_equal(policy_assign(&file, POLICY_recall, LEVEL_FILE, &recall, &err), ERR_OK);
    assert_int_equal(policy_assign(&file, POLICY_work_threads, LEVEL_FILE, &threads, &err), ERR_OK);
    database_reload(f->db, &file);
    expect_ok(&f->client, "SHOW recall");
    expect_prefix(rows_text(&f->client), "recall|0.8|file|");
    expect_ok(&f->client, "SHOW work_threads");
    expect_prefix(rows_text(&f->client), "work_threads|auto|built-in|");
    assert_non_null(strstr(rows_text(&f->client), "|3\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* Of the shards' directories, where a checkpoint's new file would be. */
static void block_checkpoints(const char *directory, const char *command)
{
    char line[256];
    snprintf(line, sizeof(line),
             "for d in $(find %s -name data.mdb -printf '%%h '); do %s $d/index-1.graph.tmp; done",
             directory, command);
    assert_int_equal(system(line), 0);
}

static void a_new_index_that_cannot_be_written_serves_and_that_is_told(void **state)
{
    struct fixture *f = *state;
    struct client *c = &f->client;
    expect_ok(c, "CREATE COLLECTION r (id INT PRIMARY KEY, v VECTOR(2))");
    expect_ok(c, "INSERT INTO r VALUES (1, [1, 0]), (2, [0, 1])");
    expect_ok(c, "CHECKPOINT");
    block_checkpoints(f->directory, "mkdir");
    expect_ok(c, "REINDEX r WITH (m = 32)");
    assert_non_null(strstr(c->notice, "the new index is in use, and not in its file yet"));
    block_checkpoints(f->directory, "rmdir");
    expect_ok(c, "REINDEX r WITH (m = 8)");
    assert_string_equal(c->notice, "");
    expect_rows(c, "SEARCH id FROM r NEAR [1, 0] LIMIT 1", "1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_index_that_cannot_be_written_serves_and_that_is_told),
        TEST(rows_come_back_by_key_and_by_where),
        TEST(searches_return_the_nearest_rows_in_order),
        TEST(parameters_take_their_types_from_the_context),
        TEST(updates_and_deletes_change_what_matches),
        TEST(policies_are_shown_with_their_origin),
        TEST(collections_are_made_described_and_dropped),
        TEST(definitions_that_do_not_hold_together_are_refused),
        TEST(conflicts_fail_skip_or_replace),
        TEST(values_are_checked_with_their_position),
        TEST(a_write_over_the_bound_of_one_entry_is_refused_whole),
        TEST(acknowledgements_may_come_earlier),
        TEST(searches_that_cannot_be_are_refused),
        TEST(policies_of_with_take_parameters),
        TEST(selects_that_cannot_be_are_refused),
        TEST(vectors_of_several_columns_are_searched_apart),
        TEST(every_view_gives_its_rows),
        TEST(the_counters_of_statements_count),
        TEST(explain_shows_writes_and_analyze_does_them),
        TEST(what_was_written_is_there_after_a_restart),
        TEST(settings_of_the_file_wait_for_a_start_where_they_must),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
