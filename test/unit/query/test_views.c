/* Views in FROM: what their rows hold is of the types that their columns say, since expressions and
 * aggregates rely on that. */
#include "query_fixture.h"

#include <stdio.h>

#include "plan/plan.h"

enum {
    TEXT_BYTES = 512
};

/* ---- the types of rows ---- */

struct typed {
    const char *text;
    const struct result_column *columns;
    size_t n_columns, n_rows;
    _Atomic unsigned wakes;
};

static void typed_row(void *arg, const struct value *values, size_t n)
{
    struct typed *t = arg;
    assert_int_equal(n, t->n_columns);
    for (size_t i = 0; i < n; i++) {
        if (values[i].type != TYPE_NULL && values[i].type != t->columns[i].type) {
            fail_msg("%s: %s is declared %s and is %s", t->text, t->columns[i].name,
                     type_name(t->columns[i].type), type_name(values[i].type));
        }
    }
    t->n_rows++;
}

static bool never_full(void *arg)
{
    (void)arg;
    return false;
}

static void typed_wake(void *arg)
{
    ((struct typed *)arg)->wakes++;
}

static void no_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    (void)arg, (void)phase, (void)done, (void)total;
}

static void run_to_its_end(struct typed *t, struct portal *portal)
{
    struct err err;
    enum portal_status status;
    unsigned waits = 0;
    uint64_t deadline = clock_micros() + PATIENCE_US;
    while ((status = portal_run(portal, 0, &err)) == PORTAL_WAIT) {
        waits++;
        while (t->wakes < waits) {
            assert_true(clock_micros() < deadline);
            clock_sleep_micros(100);
        }
    }
    assert_int_equal(status, PORTAL_DONE);
}

/* An aggregate of every type that the column has one for. */
static void expect_aggregates(struct client *c, const char *show,
                              const struct result_column *column)
{
    char text[TEXT_BYTES];
    const char *name = column->name;
    bool is_number = column->type == TYPE_INT || column->type == TYPE_FLOAT;
    snprintf(text, sizeof(text),
             "SELECT count(\"%s\"), count(DISTINCT \"%s\"), min(\"%s\"), max(\"%s\") FROM (%s)",
             name, name, name, name, show);
    expect_ok(c, text);
    assert_int_equal(c->n_rows, 1);
    snprintf(text, sizeof(text), "SELECT \"%s\", count(*) FROM (%s) GROUP BY 1 ORDER BY 2, 1", name,
             show);
    expect_ok(c, text);
    if (is_number) {
        snprintf(text, sizeof(text), "SELECT sum(\"%s\"), avg(\"%s\") FROM (%s)", name, name, show);
        expect_ok(c, text);
    }
}

static void expect_typed(struct client *c, const char *show, size_t rows_min)
{
    char text[TEXT_BYTES];
    struct typed t = {.text = show};
    struct portal_sink sink = {.row = typed_row,
                               .is_full = never_full,
                               .wake = typed_wake,
                               .progress = no_progress,
                               .arg = &t};
    snprintf(text, sizeof(text), "SELECT * FROM (%s)", show);
    struct statement_text source = {.data = text, .bytes = strlen(text)};
    struct prepared *prepared;
    struct portal *portal;
    size_t rest;
    assert_int_equal(prepared_new(c->session, &source, &prepared, &rest, &c->err), ERR_OK);
    assert_int_equal(
        portal_new(c->session, prepared, &(struct parameters){0}, &sink, &portal, &c->err), ERR_OK);
    t.n_columns = prepared_columns(prepared, &t.columns);
    assert_true(t.n_columns > 0);
    run_to_its_end(&t, portal);
    portal_free(portal);
    assert_true(t.n_rows >= rows_min);
    for (size_t i = 0; i < t.n_columns; i++) {
        expect_aggregates(c, show, &t.columns[i]);
    }
    prepared_free(prepared);
}

/* ---- tests ---- */

static struct client *setup_rows(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    expect_ok(c, "CREATE COLLECTION t (id INT PRIMARY KEY, name TEXT NOT NULL, at TIMESTAMP,"
                 " e VECTOR(2) METRIC L2, f VECTOR(3)) WITH (recall = 0.9)");
    expect_ok(c, "CREATE COLLECTION plain (id TEXT PRIMARY KEY)");
    expect_ok(c, "INSERT INTO t VALUES (1, 'a', now(), [1, 2], NULL), (2, 'b', NULL, NULL, NULL)");
    return c;
}

static void every_view_gives_what_its_columns_say(void **state)
{
    struct client *c = setup_rows(state);
    char show[TEXT_BYTES];
    for (size_t i = 0; i < view_count(); i++) {
        snprintf(show, sizeof(show), "SHOW %s", view_at(i)->name);
        expect_typed(c, show, 1);
    }
}

static void so_do_the_others_that_from_takes(void **state)
{
    struct client *c = setup_rows(state);
    expect_typed(c, "DESCRIBE t", 5);
    expect_typed(c, "DESCRIBE plain", 1);
    expect_typed(c, "SHOW ALL", 10);
    expect_typed(c, "SHOW recall", 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_view_gives_what_its_columns_say),
        TEST(so_do_the_others_that_from_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
