/* Portals: results in pieces, the pool, cancel, timeouts, memory, and what is left behind. */
#include "query_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define DEAR     "replace(replace(replace(s, 'a', 'bb'), 'b', 'cb'), 'c', 'aa')"
#define DEAR_MAX "replace(replace(replace(max(s), 'a', 'bb'), 'b', 'cb'), 'c', 'aa')"

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
        buf_printf(&csv, i % 100 == 0 ? "\"[%d,0]\"\n" : "\n", i);
    }
    assert_int_equal(run_copy(c, "COPY n FROM STDIN", csv.data, csv.bytes, 65536), ERR_OK);
    buf_fini(&csv);
    return c;
}

static void a_slow_reader_gets_every_row_once(void **state)
{
    struct client *c = setup_rows(state);
    c->full_after = 10;
    expect_ok(c, "SELECT id FROM n");
    assert_int_equal(c->n_rows, N_ROWS);
    assert_true(c->n_full > 100);
    c->full_after = 0;
}

static void order_by_sorts_all_rows_or_keeps_the_first(void **state)
{
    struct client *c = setup_rows(state);
    expect_rows(c, "SELECT id FROM n ORDER BY id DESC LIMIT 3", "5999\n5998\n5997\n");
    expect_rows(c, "SELECT id FROM n ORDER BY id LIMIT 2 OFFSET 5000", "5000\n5001\n");
    expect_rows(c, "SELECT id + 1 AS x FROM n WHERE id < 3 ORDER BY x DESC", "3\n2\n1\n");
    expect_rows(c, "SELECT id, -id FROM n WHERE id < 3 ORDER BY 2", "2|-2\n1|-1\n0|0\n");
    expect_ok(c, "UPDATE n SET name = NULL WHERE id = 10");
    expect_rows(c, "SELECT id FROM n WHERE id IN (9, 10) ORDER BY name", "9\n10\n");
    expect_rows(c, "SELECT id FROM n WHERE id IN (9, 10) ORDER BY name NULLS FIRST", "10\n9\n");
    expect_ok(c, "SELECT id FROM n ORDER BY name");
    assert_int_equal(c->n_rows, N_ROWS);
    expect_rows(c, "SELECT id FROM n ORDER BY id LIMIT 0", "");
}

static void a_sort_over_statement_memory_is_refused_and_a_bounded_one_is_not(void **state)
{
    struct client *c = setup_rows(state);
    expect_ok(c, "SET statement_memory = '256KiB'");
    expect_error(c, "SELECT id, name FROM n ORDER BY name", ERR_OUT_OF_MEMORY);
    assert_string_equal(c->err.policy, "statement_memory");
    expect_ok(c, "SELECT id, name FROM n ORDER BY name LIMIT 100");
    assert_int_equal(c->n_rows, 100);
    expect_ok(c, "SELECT id, name FROM n"); /* In batches, it needs little. */
    assert_int_equal(c->n_rows, N_ROWS);
    expect_ok(c, "SELECT id FROM n ORDER BY name WITH (statement_memory = '64MiB')");
}

/* Of each group there are sums, but the vectors that they end in are not all there at once. */
static void groups_take_no_more_memory_while_they_are_given(void **state)
{
    enum {
        DIM = 500,
        GROUPS = 12
    };
    struct client *c = &((struct fixture *)*state)->client;
    char text[DIM * 2 + 200];
    expect_ok(c, "CREATE COLLECTION wide (id INT PRIMARY KEY, e VECTOR(500))");
    for (int i = 0; i < GROUPS; i++) {
        int n = snprintf(text, sizeof(text), "INSERT INTO wide VALUES (%d, [1", i);
        for (int k = 1; k < DIM; k++) {
            n += snprintf(text + n, sizeof(text) - (size_t)n, ",1");
        }
        snprintf(text + n, sizeof(text) - (size_t)n, "])");
        expect_ok(c, text);
    }
    expect_ok(c, "SET statement_memory = '64KiB'");
    expect_ok(c, "SELECT id, dims(avg(e)) FROM wide GROUP BY id");
    assert_int_equal(c->n_rows, GROUPS);
    expect_error(c, "SELECT id, dims(avg(e)), dims(sum(e)) FROM wide GROUP BY id",
                 ERR_OUT_OF_MEMORY);
    assert_string_equal(c->err.policy, "statement_memory");
}

static void who_reckons_over_statement_memory_hears_its_name(void **state)
{
    static const char *const texts[] = {
        "SELECT length(s || s) FROM l",
        "SELECT id FROM l WHERE s || s = 'a'",
        "SELECT id FROM l ORDER BY s || s LIMIT 1",
        "SELECT count(*) FROM l GROUP BY s || s",
        "SELECT DISTINCT length(s || s) FROM l",
        "SELECT sum(length(s || s)) FROM l HAVING true",
        "SELECT id FROM l GROUP BY id HAVING max(s) || max(s) = 'a'",
        "UPDATE l SET n = length(s || s)",
        "DELETE FROM l WHERE s || s = 'a'",
    };
    enum {
        BYTES = 40000
    };
    struct client *c = &((struct fixture *)*state)->client;
    static char text[BYTES + 100];
    expect_ok(c, "CREATE COLLECTION l (id INT PRIMARY KEY, s TEXT, n INT)");
    snprintf(text, sizeof(text), "INSERT INTO l VALUES (1, '%0*d', 0)", BYTES, 7);
    expect_ok(c, text);
    expect_ok(c, "SET statement_memory = '64KiB'");
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        expect_error(c, texts[i], ERR_OUT_OF_MEMORY);
        assert_string_equal(c->err.policy, "statement_memory");
    }
}

/* Whatever brings the rows; a COPY's go in batches that fit. */
static void what_a_write_gathers_counts_in_statement_memory(void **state)
{
    static const char *const texts[] = {
        "UPDATE n SET name = name || '!'",
        "DELETE FROM n",
    };
    struct client *c = setup_rows(state);
    struct buf csv;
    buf_init(&csv, MEM_GENERAL, 1 << 24);
    expect_ok(c, "SET statement_memory = '64KiB'");
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        expect_error(c, texts[i], ERR_OUT_OF_MEMORY);
        assert_string_equal(c->err.policy, "statement_memory");
        assert_string_equal(c->err.hint, "Write fewer rows at once, or raise statement_memory.");
        expect_rows(c, "SELECT count(*) FROM n WHERE NOT name LIKE '%!'", "6000\n");
    }
    expect_ok(c, "UPDATE n SET name = name || '!' WHERE id < 1000");
    for (int i = 0; i < N_ROWS; i++) {
        buf_printf(&csv, "%d,a name of some length: %d,\n", N_ROWS + i, i);
    }
    assert_int_equal(run_copy(c, "COPY n FROM STDIN", csv.data, csv.bytes, 10000), ERR_OK);
    buf_fini(&csv);
}

/* ---- portals by hand ---- */

static struct portal *open_portal(struct client *c, const char *text, struct bare *bare)
{
    struct prepared *prepared = bare_prepare(c, text);
    struct portal *portal = bare_portal(c, prepared, bare);
    prepared_free(prepared); /* The portal lives on. */
    return portal;
}

static void large_results_come_whole_through_the_pool(void **state)
{
    struct fixture *f = *state;
    struct client *c = setup_rows(state);
    struct bare bare = {0};
    struct portal *portal = open_portal(c, "SELECT id FROM n", &bare);
    enum portal_status status;
    unsigned waits = 0;
    struct barrier *barrier = barrier_shut(f->db);
    assert_int_equal(portal_run(portal, 0, &c->err), PORTAL_WAIT);
    assert_true(bare.n_rows < N_ROWS); /* The rest is the pool's to make. */
    barrier_open(barrier);
    do {
        bare_wait(&bare, ++waits);
    } while ((status = portal_run(portal, 0, &c->err)) == PORTAL_WAIT);
    assert_int_equal(status, PORTAL_DONE);
    assert_int_equal(bare.n_rows, N_ROWS);
    assert_int_equal(portal_rows(portal), N_ROWS);
    portal_free(portal);
}

/* Few rows, so the owner's thread begins; dear ones, so it gives the step up. */
static void a_step_that_is_given_up_has_given_each_of_its_rows_once(void **state)
{
    enum {
        ROWS = 1500
    };
    static const char *const froms[] = {
        ("SELECT id, " DEAR " FROM m"),
        ("SELECT id FROM m WHERE " DEAR " LIKE '%b%'"),
        ("SELECT DISTINCT id, " DEAR " FROM m"),
        ("SELECT id, " DEAR " FROM m LIMIT 1500"),
        ("SELECT id, max(" DEAR ") FROM m GROUP BY id"),
        ("SELECT id FROM m GROUP BY id HAVING max(" DEAR ") LIKE '%b%'"),
        ("SELECT id, count(*) FROM m GROUP BY id HAVING max(s) LIKE '%b%' ORDER BY " DEAR_MAX),
    };
    struct client *c = &((struct fixture *)*state)->client;
    struct buf csv;
    expect_ok(c, "CREATE COLLECTION m (id INT PRIMARY KEY, s TEXT)");
    buf_init(&csv, MEM_GENERAL, 16 << 20);
    for (int i = 0; i < ROWS; i++) {
        buf_printf(&csv, "%d,%0500d\n", i, i);
    }
    assert_int_equal(run_copy(c, "COPY m FROM STDIN", csv.data, csv.bytes, 65536), ERR_OK);
    buf_fini(&csv);
    expect_ok(c, "UPDATE m SET s = replace(s, '00', 'ab')");
    for (size_t i = 0; i < COUNT_OF(froms); i++) {
        char text[512];
        bool seen[ROWS] = {false};
        expect_ok(c, froms[i]);
        assert_true(c->n_wait > 0); /* It went to the pool. */
        assert_int_equal(c->n_rows, ROWS);
        for (const char *line = rows_text(c); *line != '\0'; line = strchr(line, '\n') + 1) {
            long id = strtol(line, NULL, 10);
            assert_in_range(id, 0, ROWS - 1);
            assert_false(seen[id]);
            seen[id] = true;
        }
        snprintf(text, sizeof(text), "EXPLAIN ANALYZE %s", froms[i]);
        expect_ok(c, text);
        assert_non_null(strstr(rows_text(c), "scan (rows 1500,"));
        assert_non_null(strstr(rows_text(c), "Rows looked at: 1500\n"));
        assert_non_null(strstr(rows_text(c), "Rows given: 1500\n"));
    }
}

static void a_null_column_has_no_type(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    struct bare bare = {0};
    struct portal *portal = open_portal(c, "SELECT NULL, 1, NULL || 'x'", &bare);
    const struct result_column *columns;
    assert_int_equal(portal_columns(portal, &columns), 3);
    assert_int_equal(columns[0].type, TYPE_NULL);
    assert_int_equal(columns[1].type, TYPE_INT);
    portal_free(portal);
}

static void only_vectors_have_a_dimension(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    struct bare bare = {0};
    const struct result_column *columns;
    expect_ok(c, "CREATE COLLECTION d (id INT PRIMARY KEY, e VECTOR(2) METRIC L2)");
    struct portal *portal =
        open_portal(c, "SEARCH id, e, distance FROM d NEAR [0, 0] LIMIT 1", &bare);
    assert_int_equal(portal_columns(portal, &columns), 3);
    assert_int_equal(columns[0].dim, 0);
    assert_int_equal(columns[1].dim, 2);
    assert_int_equal(columns[2].type, TYPE_FLOAT);
    assert_int_equal(columns[2].dim, 0);
    portal_free(portal);
}

/* Each waits for its client, and hears of it in its sleep. */
static void a_cancel_and_the_deadline_wake_who_waits_for_its_client(void **state)
{
    struct client *c = setup_rows(state);
    static const char *const texts[] = {"SELECT id FROM n", "COPY n FROM STDIN"};
    for (unsigned i = 0; i < 4; i++) {
        struct bare bare = {.is_full = true};
        bool is_timed = i / 2 == 1;
        expect_ok(c, is_timed ? "SET timeout = '300ms'" : "SET timeout = 0");
        struct portal *portal = open_portal(c, texts[i % 2], &bare);
        enum portal_status status;
        unsigned waits = 0;
        while ((status = portal_run(portal, 0, &c->err)) == PORTAL_WAIT) {
            bare_wait(&bare, ++waits);
        }
        assert_int_equal(status, i % 2 == 0 ? PORTAL_FULL : PORTAL_COPY_IN);
        if (!is_timed) {
            query_session_cancel(c->session);
        }
        bare_wait(&bare, waits + 1);
        assert_int_equal(portal_run(portal, 0, &c->err), PORTAL_FAILED);
        assert_int_equal(c->err.code, is_timed ? ERR_TIMEOUT : ERR_CANCELED);
        portal_free(portal);
    }
}

static void a_suspended_portal_is_not_what_a_cancel_is_for_until_it_goes_on(void **state)
{
    struct client *c = setup_rows(state);
    struct bare bare = {0};
    struct portal *portal = open_portal(c, "SELECT id FROM n WHERE id IN (1, 2, 3, 4, 5)", &bare);
    assert_int_equal(portal_run(portal, 2, &c->err), PORTAL_SUSPENDED);
    portal_suspend(portal);
    query_session_cancel(c->session);
    assert_int_equal(portal_run(portal, 2, &c->err), PORTAL_SUSPENDED);
    portal_suspend(portal);
    expect_ok(c, "SELECT 1"); /* Another one runs meanwhile. */
    bare.is_full = true;
    assert_int_equal(portal_run(portal, 2, &c->err), PORTAL_FULL);
    query_session_cancel(c->session);
    assert_int_equal(portal_run(portal, 2, &c->err), PORTAL_FAILED);
    assert_int_equal(c->err.code, ERR_CANCELED);
    portal_free(portal);
}

static void a_row_limit_suspends_and_goes_on(void **state)
{
    struct client *c = setup_rows(state);
    struct bare bare = {0};
    struct portal *portal = open_portal(c, "SELECT id FROM n WHERE id IN (1, 2, 3, 4, 5)", &bare);
    assert_int_equal(portal_run(portal, 2, &c->err), PORTAL_SUSPENDED);
    assert_int_equal(bare.n_rows, 2);
    assert_int_equal(portal_run(portal, 2, &c->err), PORTAL_SUSPENDED);
    assert_int_equal(portal_run(portal, 2, &c->err), PORTAL_DONE);
    assert_int_equal(bare.n_rows, 5);
    assert_int_equal(portal_rows(portal), 5);
    portal_free(portal);
}

static void a_wait_is_ended_by_exactly_one_wake(void **state)
{
    struct client *c = setup_rows(state);
    for (unsigned i = 0; i < 100; i++) {
        struct bare bare = {0};
        unsigned waits = 0;
        struct portal *portal = open_portal(c, "UPDATE n SET name = 'x' WHERE id = 3", &bare);
        enum portal_status status;
        while ((status = portal_run(portal, 0, &c->err)) == PORTAL_WAIT) {
            bare_wait(&bare, ++waits);
        }
        assert_int_equal(status, PORTAL_DONE);
        portal_free(portal);
        assert_int_equal(bare.wakes, waits);
    }
}

#ifndef __SANITIZE_THREAD__

enum {
    LONG_ROWS = 100,
    LONG_BYTES = 60000, /* LIKE '%x_y%' over so many x takes more than a million units of work. */
};

static struct client *setup_long_rows(void **state, char text[LONG_BYTES + 1])
{
    struct client *c = &((struct fixture *)*state)->client;
    struct buf csv;
    memset(text, 'x', LONG_BYTES);
    text[LONG_BYTES] = '\0';
    expect_ok(c, "CREATE COLLECTION w (id INT PRIMARY KEY, t TEXT, b BOOL, e VECTOR(2) METRIC L2)");
    buf_init(&csv, MEM_GENERAL, 16 << 20);
    for (int i = 0; i < LONG_ROWS; i++) {
        buf_printf(&csv, "%d,%s,false,\"[%d,0]\"\n", i, text, i);
    }
    assert_int_equal(run_copy(c, "COPY w FROM STDIN", csv.data, csv.bytes, 65536), ERR_OK);
    buf_fini(&csv);
    return c;
}

/* Few rows, and so begun on the owner's thread; each takes long, and so they must leave it. */
static void what_turns_out_to_be_long_is_begun_again_on_the_pool(void **state)
{
    char text[LONG_BYTES + 1];
    struct client *c = setup_long_rows(state, text);
    struct value value = value_cstr(text);
    size_t n_moved = 0; /* The pool may be done before anyone waits, but not always. */
    static const struct {
        const char *text, *rows;
        uint64_t changed;
    } rows[] = {
        {"SELECT count(*) FROM w WHERE NOT t LIKE '%x_y%'", "100\n", 1},
        {"SELECT id FROM w WHERE NOT t LIKE '%x_y%' LIMIT 7 OFFSET 90",
         "90\n91\n92\n93\n94\n95\n96\n", 7},
        {"SELECT id, t LIKE '%x_y%' FROM w LIMIT 6",
         "0|false\n1|false\n2|false\n3|false\n4|false\n5|false\n", 6},
        {"SELECT id FROM w WHERE NOT t LIKE '%x_y%' ORDER BY id DESC LIMIT 2", "99\n98\n", 2},
        {"SELECT id FROM w ORDER BY t LIKE '%x_y%', id LIMIT 2", "0\n1\n", 2},
        {"SELECT id FROM w WHERE id IN (8, 9, 7, 6, 5, 4) AND NOT t LIKE '%x_y%'",
         "4\n5\n6\n7\n8\n9\n", 6},
        {"SEARCH id FROM w NEAR [50, 0] WHERE NOT t LIKE '%x_y%' LIMIT 3", "50\n49\n51\n", 3},
        {"SEARCH query, id FROM w NEAR ([1, 0], [9, 0]) WHERE NOT t LIKE '%x_y%' LIMIT 1",
         "1|1\n2|9\n", 2},
        {"SEARCH id, t LIKE '%x_y%' FROM w NEAR [3, 0] LIMIT 4",
         "3|false\n2|false\n4|false\n1|false\n", 4},
        {"UPDATE w SET b = t LIKE '%x_y%' OR id > 90", "", 100},
        {"DELETE FROM w WHERE id >= 50 AND NOT t LIKE '%x_y%'", "", 50},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect_rows(c, rows[i].text, rows[i].rows);
        assert_int_equal(c->changed, rows[i].changed);
        n_moved += c->n_wait > 0;
    }
    static const struct {
        const char *text, *rows;
    } with[] = {
        {"SELECT $1 LIKE '%x_y%', $1 LIKE '%x_y%', $1 LIKE '%x_y%', $1 LIKE '%x_y%' AS m",
         "false|false|false|false\n"},
        {"SELECT count(*) FROM w WHERE b IN ($1 LIKE '%x_y%', $1 LIKE '%x_z%', $1 LIKE '%x_a%', "
         "$1 LIKE '%x_b%', NULL)",
         "50\n"}, /* The start is what takes long. */
        {"INSERT INTO w (id, b) VALUES (100, $1 LIKE '%x_y%'), (101, $1 LIKE '%x_y%'), "
         "(102, $1 LIKE '%x_y%'), (103, $1 LIKE '%x_y%'), (104, $1 LIKE '%x_y%')",
         ""},
    };
    for (size_t i = 0; i < COUNT_OF(with); i++) {
        assert_int_equal(run_with(c, with[i].text, &value, 1), ERR_OK);
        assert_string_equal(rows_text(c), with[i].rows);
        n_moved += c->n_wait > 0;
    }
    assert_true(n_moved > (COUNT_OF(rows) + COUNT_OF(with)) / 2);
    expect_rows(c, "SELECT count(*) FROM w WHERE NOT b", "55\n");
    expect_ok(c, "EXPLAIN ANALYZE SELECT id FROM w WHERE NOT t LIKE '%x_y%'");
    assert_non_null(strstr(rows_text(c), "Rows given: 50\n"));
}

#endif

static void cancel_ends_a_statement_on_the_pool(void **state)
{
    struct client *c = setup_rows(state);
    struct bare bare = {.is_full = true};
    struct portal *portal = open_portal(c, "SELECT id FROM n", &bare);
    enum portal_status status;
    unsigned waits = 0;
    while ((status = portal_run(portal, 0, &c->err)) == PORTAL_WAIT) {
        bare_wait(&bare, ++waits);
    }
    assert_int_equal(status, PORTAL_FULL);
    int64_t canceled = metric_value(METRIC_statements_canceled);
    query_session_cancel(c->session);
    bare.is_full = false;
    while ((status = portal_run(portal, 0, &c->err)) == PORTAL_WAIT) {
        bare_wait(&bare, ++waits);
    }
    assert_int_equal(status, PORTAL_FAILED);
    assert_int_equal(c->err.code, ERR_CANCELED);
    assert_int_equal(metric_value(METRIC_statements_canceled), canceled + 1);
    portal_free(portal);
    expect_rows(c, "SELECT 1", "1\n"); /* The next statement is not concerned. */
}

static void cancel_by_id_needs_the_secret(void **state)
{
    struct fixture *f = *state;
    query_session_set_secret(f->client.session, 77);
    assert_false(database_cancel(f->db, 1, 76));
    assert_false(database_cancel(f->db, 2, 77));
    assert_true(database_cancel(f->db, 1, 77));
}

static void a_timeout_ends_a_long_statement(void **state)
{
    struct client *c = setup_rows(state);
    expect_error(c, "SELECT id FROM n ORDER BY name WITH (timeout = '1us')", ERR_TIMEOUT);
    assert_string_equal(c->err.policy, "timeout");
    expect_ok(c, "SET timeout = '1us'");
    expect_error(c, "SELECT count(*) FROM n WHERE name LIKE '%x%'", ERR_TIMEOUT);
    expect_ok(c, "SET timeout = '10s'");
    expect_ok(c, "SELECT count(*) FROM n WHERE name LIKE '%x%'");
}

static void portals_that_are_freed_while_they_work_leave_nothing_behind(void **state)
{
    struct fixture *f = *state;
    static struct bare bare;
    unsigned n_at_work = 0;
    setup_rows(state);
    for (int i = 0; i < 20; i++) {
        struct client other;
        client_init(&other, f->db, 100);
        static const char *const texts[] = {
            "SELECT id FROM n ORDER BY name", "UPDATE n SET name = name || 'x' WHERE id < 10",
            "INSERT INTO n (id) VALUES (100000) ON CONFLICT DO NOTHING", "CHECKPOINT",
            "CREATE COLLECTION IF NOT EXISTS other (id INT PRIMARY KEY)"};
        struct portal *portal = open_portal(&other, texts[i % 5], &bare);
        /* On a busy machine the work may have ended before anyone looks. */
        enum portal_status status = portal_run(portal, 0, &other.err);
        assert_true(status == PORTAL_WAIT || status == PORTAL_DONE);
        n_at_work += status == PORTAL_WAIT ? 1 : 0;
        portal_free(portal);
        client_fini(&other);
    }
    assert_true(n_at_work > 0);
    fixture_reopen(f);
    expect_rows(&f->client, "SELECT count(*) FROM n WHERE id < 6000", "6000\n");
}

static void a_collection_may_be_dropped_and_made_anew_under_a_prepared_statement(void **state)
{
    struct client *c = setup_rows(state);
    static const char text[] = "SELECT * FROM n WHERE id = 1";
    struct statement_text source = {.data = text, .bytes = strlen(text)};
    const struct result_column *columns;
    struct prepared *prepared;
    struct portal *portal, *open;
    struct bare bare = {0};
    struct portal_sink sink = bare_sink(&bare);
    size_t rest;
    assert_int_equal(prepared_new(c->session, &source, &prepared, &rest, &c->err), ERR_OK);
    assert_int_equal(
        portal_new(c->session, prepared, &(struct parameters){0}, &sink, &open, &c->err), ERR_OK);
    assert_int_equal(portal_columns(open, &columns), 3);
    expect_ok(c, "DROP COLLECTION n; CREATE COLLECTION n (id INT PRIMARY KEY, z BOOL)");
    expect_ok(c, "INSERT INTO n VALUES (1, true)");
    /* What was begun before fails; what is begun now sees the new one. */
    assert_int_equal(portal_run(open, 0, &c->err), PORTAL_FAILED);
    assert_int_equal(c->err.code, ERR_UNKNOWN_COLLECTION);
    portal_free(open);
    assert_int_equal(prepared_refresh(c->session, prepared, &c->err), ERR_OK);
    assert_int_equal(prepared_columns(prepared, &columns), 2); /* As DESCRIBE tells them. */
    assert_int_equal(
        portal_new(c->session, prepared, &(struct parameters){0}, &sink, &portal, &c->err), ERR_OK);
    assert_int_equal(portal_columns(portal, &columns), 2);
    assert_int_equal(portal_run(portal, 0, &c->err), PORTAL_DONE);
    assert_int_equal(bare.n_rows, 1);
    portal_free(portal);
    expect_ok(c, "DROP COLLECTION n");
    assert_int_equal(prepared_refresh(c->session, prepared, &c->err), ERR_UNKNOWN_COLLECTION);
    assert_int_equal(
        portal_new(c->session, prepared, &(struct parameters){0}, &sink, &portal, &c->err),
        ERR_UNKNOWN_COLLECTION);
    prepared_free(prepared);
}

/* The values of now() in the rows of a statement. */
struct clock_seen {
    struct bare bare; /* First: sinks take it by its place. */
    int64_t first;
    unsigned n_rows, n_others;
};

static void see_clock(void *arg, const struct value *values, size_t n)
{
    struct clock_seen *seen = arg;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(values[i].type, TYPE_TIMESTAMP);
        seen->first = seen->n_rows + i == 0 ? values[i].integer : seen->first;
        seen->n_others += values[i].integer != seen->first ? 1 : 0;
    }
    seen->n_rows++;
}

static void now_is_one_for_a_statement_and_another_for_the_next(void **state)
{
    struct client *c = setup_rows(state);
    static const char text[] =
        "SELECT now(), coalesce(NULL, now()) FROM n WHERE now() IN (now()) LIMIT 9";
    struct statement_text source = {.data = text, .bytes = strlen(text)};
    struct prepared *prepared;
    size_t rest;
    int64_t last = 0;
    assert_int_equal(prepared_new(c->session, &source, &prepared, &rest, &c->err), ERR_OK);
    for (unsigned i = 0; i < 3; i++) {
        struct clock_seen seen = {0};
        struct portal *portal;
        struct portal_sink sink = bare_sink(&seen.bare);
        sink.row = see_clock;
        while (clock_wall_micros() == last) {
        }
        assert_int_equal(
            portal_new(c->session, prepared, &(struct parameters){0}, &sink, &portal, &c->err),
            ERR_OK);
        enum portal_status status;
        unsigned waits = 0;
        while ((status = portal_run(portal, 0, &c->err)) == PORTAL_WAIT) {
            bare_wait(&seen.bare, ++waits);
        }
        assert_int_equal(status, PORTAL_DONE);
        assert_int_equal(seen.n_rows, 9);
        assert_int_equal(seen.n_others, 0);
        assert_true(seen.first != last);
        last = seen.first;
        portal_free(portal);
    }
    prepared_free(prepared);
}

/* Collections are opened one after another, so the last of several waits for the others. */
static void a_collection_that_is_being_opened_says_so(void **state)
{
    struct fixture *f = *state;
    struct client *c = &f->client;
    enum {
        N = 16
    };
    bool was_told = false;
    for (unsigned round = 0; round < 50 && !was_told; round++) {
        struct client makers[N];
        struct bare bares[N] = {0};
        struct portal *portals[N];
        enum portal_status statuses[N];
        char text[96];
        for (unsigned i = 0; i < N; i++) {
            client_init(&makers[i], f->db, 100 + i);
            snprintf(text, sizeof(text),
                     "CREATE COLLECTION o%u_%u (id INT PRIMARY KEY, e VECTOR(2))", round, i);
            portals[i] = open_portal(&makers[i], text, &bares[i]);
            statuses[i] = portal_run(portals[i], 0, &makers[i].err);
        }
        enum errcode code;
        snprintf(text, sizeof(text), "SELECT id FROM o%u_%d", round, N - 1);
        while ((code = run(c, text)) != ERR_OK) {
            assert_true(code == ERR_UNKNOWN_COLLECTION || code == ERR_NOT_READY);
            was_told = was_told || code == ERR_NOT_READY;
        }
        for (unsigned i = 0; i < N; i++) {
            for (unsigned waits = 1; statuses[i] == PORTAL_WAIT; waits++) {
                bare_wait(&bares[i], waits);
                statuses[i] = portal_run(portals[i], 0, &makers[i].err);
            }
            assert_int_equal(statuses[i], PORTAL_DONE);
            portal_free(portals[i]);
            client_fini(&makers[i]);
        }
    }
    assert_true(was_told);
}

static void running_statements_of_a_dropped_collection_finish(void **state)
{
    struct client *c = setup_rows(state);
    struct bare bare = {.is_full = true};
    struct client other;
    struct portal *portal;
    enum portal_status status;
    unsigned waits = 0;
    client_init(&other, ((struct fixture *)*state)->db, 2);
    portal = open_portal(c, "SELECT id FROM n", &bare);
    while ((status = portal_run(portal, 0, &c->err)) == PORTAL_WAIT) {
        bare_wait(&bare, ++waits);
    }
    assert_int_equal(status, PORTAL_FULL);
    expect_ok(&other, "DROP COLLECTION n");
    expect_error(&other, "SELECT id FROM n", ERR_UNKNOWN_COLLECTION);
    bare.is_full = false;
    while ((status = portal_run(portal, 0, &c->err)) == PORTAL_WAIT) {
        bare_wait(&bare, ++waits);
    }
    assert_int_equal(status, PORTAL_DONE);
    assert_int_equal(bare.n_rows, N_ROWS);
    portal_free(portal);
    client_fini(&other);
}

#define TEST(name)        cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define SERIAL_TEST(name) UNWATCHED_TEST(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(large_results_come_whole_through_the_pool),
        TEST(a_slow_reader_gets_every_row_once),
        SERIAL_TEST(order_by_sorts_all_rows_or_keeps_the_first),
        SERIAL_TEST(a_sort_over_statement_memory_is_refused_and_a_bounded_one_is_not),
        SERIAL_TEST(who_reckons_over_statement_memory_hears_its_name),
        SERIAL_TEST(what_a_write_gathers_counts_in_statement_memory),
        SERIAL_TEST(groups_take_no_more_memory_while_they_are_given),
        SERIAL_TEST(a_step_that_is_given_up_has_given_each_of_its_rows_once),
        SERIAL_TEST(a_null_column_has_no_type),
        SERIAL_TEST(only_vectors_have_a_dimension),
        TEST(a_cancel_and_the_deadline_wake_who_waits_for_its_client),
        TEST(a_suspended_portal_is_not_what_a_cancel_is_for_until_it_goes_on),
        TEST(a_row_limit_suspends_and_goes_on),
        TEST(a_wait_is_ended_by_exactly_one_wake),
#ifndef __SANITIZE_THREAD__ /* A minute's work there, of one thread at a time. */
        TEST(what_turns_out_to_be_long_is_begun_again_on_the_pool),
#endif
        TEST(cancel_ends_a_statement_on_the_pool),
        TEST(cancel_by_id_needs_the_secret),
        TEST(a_timeout_ends_a_long_statement),
        TEST(portals_that_are_freed_while_they_work_leave_nothing_behind),
        TEST(a_collection_may_be_dropped_and_made_anew_under_a_prepared_statement),
        SERIAL_TEST(now_is_one_for_a_statement_and_another_for_the_next),
        TEST(a_collection_that_is_being_opened_says_so),
        TEST(running_statements_of_a_dropped_collection_finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
