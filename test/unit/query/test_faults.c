/* The n-th allocation fails, for every n, under every kind of statement.
 *
 * A statement then succeeds or ends with OUT_OF_MEMORY, has done all or nothing, and leaves nothing
 * behind that the next one could stumble over; that nothing leaks is for the sanitizer to see.  The
 * allocations of all threads are counted: those of the log, the shard and the index fail as well.
 */
#include "query_fixture.h"

#include <stdio.h>

enum {
    N_ROWS = 2500, /* More than a step looks at on its owner's thread. */
    STRIDE = 24,   /* The first allocations fail one by one, the later ones in growing steps. */
    NTH_MAX = 20000,
    ROOM_BYTES = 1 << 20,
    OPENING_STRIDE = 8,
    COPY_PIECE_BYTES = 100,
};

/* A statement that gives the same whenever it succeeds. */
struct step {
    const char *text;
    const char *first;          /* What must be done before; NULL: nothing. */
    const char *probe;          /* A SELECT whose rows tell whether it has been done. */
    const char *before, *after; /* Those rows. */
    const char *next;           /* Must succeed whatever came of it, and undoes it. */
    bool varies;                /* Times and figures: only the number of its rows is the same. */
    const char *data;           /* Of COPY FROM STDIN. */
    const struct value *parameters;
    size_t n_parameters;
};

static void need_faults(void)
{
    if (!fault_is_built()) {
        skip();
    }
}

static struct client *setup_rows(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    struct buf csv;
    need_faults();
    expect_ok(c, "CREATE COLLECTION t (id INT PRIMARY KEY, name TEXT, more JSON,"
                 " e VECTOR(4) METRIC L2)");
    buf_init(&csv, MEM_GENERAL, 16 << 20);
    for (int i = 0; i < N_ROWS; i++) {
        buf_printf(&csv, "%d,name %d,\"{\"\"part\"\": %d}\",\"[%d,%d,%d,1]\"\n", i,
                   (i * 7919) % N_ROWS, i % 50, i, i % 13, i % 7);
    }
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", csv.data, csv.bytes, 65536), ERR_OK);
    buf_fini(&csv);
    log_set_level(LOG_ERROR + 1); /* That memory ran out is no news here. */
    return c;
}

/* ---- one statement, again and again ---- */

/* The test's own client may not be what fails. */
static void client_open(struct client *c, struct database *db)
{
    client_init(c, db, 2);
    assert_non_null(buf_reserve(&c->rows, ROOM_BYTES));
    assert_non_null(buf_reserve(&c->copy, ROOM_BYTES));
}

static enum errcode run_step(struct client *c, const struct step *step)
{
    if (step->data != NULL) {
        return run_copy(c, step->text, step->data, strlen(step->data), COPY_PIECE_BYTES);
    }
    return run_with(c, step->text, step->parameters, step->n_parameters);
}

static bool gave_the_same(struct client *a, struct client *b, bool varies)
{
    bool is_same = a->n_rows == b->n_rows && a->changed == b->changed &&
                   strcmp(a->tag, b->tag) == 0 && strcmp(a->status, b->status) == 0;
    return is_same &&
           (varies || (strcmp(rows_text(a), rows_text(b)) == 0 && a->copy.bytes == b->copy.bytes &&
                       memcmp(a->copy.data, b->copy.data, a->copy.bytes) == 0));
}

/* All or nothing was done: all, if it said so. */
static bool is_done_or_not(struct client *probe, const struct step *step, bool is_done)
{
    if (step->probe == NULL) {
        return true;
    }
    expect_ok(probe, step->probe);
    return strcmp(rows_text(probe), step->after) == 0 ||
           (!is_done && strcmp(rows_text(probe), step->before) == 0);
}

/* The @nth allocation fails (0: none does); true where there were so many. */
static bool run_failing(struct fixture *f, const struct step *step, uint64_t nth, struct client *c,
                        struct client *wanted)
{
    if (step->first != NULL) {
        expect_ok(&f->client, step->first);
    }
    fault_arm(FAULT_MALLOC, nth, 1);
    enum errcode code = run_step(c, step);
    bool has_failed = nth != 0 && fault_calls(FAULT_MALLOC) >= nth;
    fault_disarm_all();
    bool is_well = code == ERR_OK ? gave_the_same(c, wanted, step->varies)
                                  : has_failed && code == ERR_OUT_OF_MEMORY;
    if (!is_well || !is_done_or_not(&f->client, step, code == ERR_OK)) {
        fail_msg("%s\nallocation %llu failed, and it ended with %s %s, gave\n%s\nand left\n%s",
                 step->text, (unsigned long long)nth, err_name(code), c->err.message, rows_text(c),
                 rows_text(&f->client));
    }
    if (step->next != NULL) {
        expect_ok(&f->client, step->next);
    }
    return has_failed;
}

static void fail_every_allocation(struct fixture *f, const struct step *steps, size_t n)
{
    for (const struct step *step = steps; step < steps + n; step++) {
        struct client wanted, idle;
        client_open(&wanted, f->db);
        client_open(&idle, f->db); /* SHOW SESSIONS then has as many as later. */
        run_failing(f, step, 0, &wanted, &wanted);
        client_fini(&idle);
        bool has_failed = true;
        for (uint64_t nth = 1; has_failed; nth += 1 + nth / STRIDE) {
            struct client c; /* Of its own: a session keeps memory for its next statement. */
            assert_true(nth < NTH_MAX);
            client_open(&c, f->db);
            has_failed = run_failing(f, step, nth, &c, &wanted);
            client_fini(&c);
        }
        client_fini(&wanted);
    }
    log_set_level(LOG_WARNING);
    fixture_reopen(f); /* What was acknowledged is durable, and the log can be read. */
    expect_rows(&f->client, "SELECT count(*) FROM t", "2500\n");
}

/* ---- statements ---- */

static const char ten_rows[] =
    "INSERT INTO t VALUES (-1, 'a', NULL, [1, 2, 3, 4]), (-2, 'b', NULL, [1, 2, 3, 5]),"
    " (-3, 'c', NULL, [1, 2, 3, 6]), (-4, 'd', NULL, [1, 2, 3, 7]), (-5, 'e', NULL, NULL),"
    " (-6, 'f', '{}', [0, 0, 0, 1]), (-7, 'g', '[1]', NULL), (-8, 'h', NULL, [1, 2, 3, 8]),"
    " (-9, 'i', '5', [9, 9, 9, 9]), (-10, NULL, NULL, [1, 1, 1, 1])";
static const char count_new[] = "SELECT count(*) FROM t WHERE id < 0";
static const char delete_new[] = "DELETE FROM t WHERE id < 0";

static void writes_do_all_or_nothing(void **state)
{
    setup_rows(state);
    static const struct step steps[] = {
        {.text = ten_rows,
         .probe = count_new,
         .before = "0\n",
         .after = "10\n",
         .next = delete_new},
        {.text = "INSERT INTO t (id, name) VALUES (5, 'five'), (6, 'six') ON CONFLICT DO UPDATE",
         .probe = "SELECT name, more FROM t WHERE id IN (5, 6)",
         .before = "name 2095|{\"part\": 5}\nname 14|{\"part\": 6}\n",
         .after = "five|{\"part\": 5}\nsix|{\"part\": 6}\n",
         .next = "UPDATE t SET name = 'name 2095' WHERE id = 5;"
                 "UPDATE t SET name = 'name 14' WHERE id = 6"},
        {.text = "INSERT INTO t (id) VALUES (5), (-5) ON CONFLICT DO NOTHING",
         .probe = count_new,
         .before = "0\n",
         .after = "1\n",
         .next = delete_new},
        {.text = "UPDATE t SET name = name || '!', e = [9, 9, 9, 9] WHERE id IN (7, 8, 9)",
         .probe = "SELECT count(*) FROM t WHERE name LIKE '%!'",
         .before = "0\n",
         .after = "3\n",
         .next = "UPDATE t SET name = 'plain' WHERE name LIKE '%!'"},
        {.text = "UPDATE t SET name = 'all' WHERE id % 10 = 0",
         .probe = "SELECT count(*) FROM t WHERE name = 'all'",
         .before = "0\n",
         .after = "250\n",
         .next = "UPDATE t SET name = 'plain' WHERE name = 'all'"},
        {.text = "DELETE FROM t WHERE id IN (10, 11)",
         .probe = "SELECT count(*) FROM t WHERE id IN (10, 11)",
         .before = "2\n",
         .after = "0\n",
         .next = "INSERT INTO t (id, e) VALUES (10, [1, 1, 1, 1]), (11, [2, 2, 2, 2])"
                 " ON CONFLICT DO NOTHING"},
        {.text = "CHECKPOINT"},
    };
    fail_every_allocation(*state, steps, COUNT_OF(steps));
}

#define COLUMNS "(id TEXT PRIMARY KEY, at TIMESTAMP NOT NULL, e VECTOR(3) METRIC COSINE)"

static void collections_are_made_and_dropped_or_the_next_statement_does_it(void **state)
{
    setup_rows(state);
    static const struct step steps[] = {
        {.text = "CREATE COLLECTION made " COLUMNS " WITH (recall = 0.9)",
         .next = "CREATE COLLECTION IF NOT EXISTS made " COLUMNS ";"
                 "INSERT INTO made VALUES ('a', '2026-01-31', [1, 2, 3]);"
                 "SEARCH id FROM made NEAR [1, 1, 1] LIMIT 1;"
                 "DROP COLLECTION made"},
        {.first = "CREATE COLLECTION made " COLUMNS,
         .text = "DROP COLLECTION made",
         .next = "DROP COLLECTION IF EXISTS made"},
    };
    fail_every_allocation(*state, steps, COUNT_OF(steps));
}

static void reads_give_all_their_rows_or_fail(void **state)
{
    setup_rows(state);
    static const float vector[] = {1, 2, 3, 4};
    const struct value parameters[] = {value_int(30), value_cstr("name%"),
                                       value_vector(vector, COUNT_OF(vector))};
    const struct step steps[] = {
        {.text = "SELECT id FROM t WHERE id IN (3, 1, 2) AND name LIKE 'name%'"},
        {.text = "SELECT id, name || (more ->> 'part') AS x FROM t WHERE id < 100"
                 " ORDER BY name DESC, x LIMIT 2 OFFSET 1"},
        {.text = "SELECT count(*) FROM t WHERE more ->> 'part' IN ('1', '2')"},
        {.text = "SELECT * FROM t"},
        {.text = "SELECT id FROM t ORDER BY name"},
        {.text = "SELECT id FROM t WHERE id = $1 AND name LIKE $2 AND e <> $3",
         .parameters = parameters,
         .n_parameters = COUNT_OF(parameters)},
        {.text = "SEARCH id, distance FROM t NEAR KEY 40 LIMIT 1"},
        {.text = "SEARCH id, name FROM t NEAR [7, 7, 0, 1] WHERE more -> 'part' < 10 LIMIT 5"},
        {.text = "SEARCH query, id FROM t NEAR (KEY 1, KEY 2, [3, 3, 3, 1]) LIMIT 1"},
        {.text = "SEARCH id FROM t NEAR KEY 40 LIMIT 1 WITH (exact)"},
        {.text = "SEARCH id FROM t NEAR $3 WHERE id < $1 AND name LIKE $2 LIMIT 3",
         .parameters = parameters,
         .n_parameters = COUNT_OF(parameters)},
        {.text = "EXPLAIN ANALYZE SEARCH id FROM t NEAR KEY 4 WHERE id > 10 LIMIT 3",
         .varies = true},
        {.text = "EXPLAIN SELECT id FROM t WHERE name LIKE 'x%' ORDER BY name"},
    };
    fail_every_allocation(*state, steps, COUNT_OF(steps));
}

static void groups_are_given_whole_or_not_at_all(void **state)
{
    setup_rows(state);
    const struct value parameters[] = {value_int(7), value_int(100)};
    const struct step steps[] = {
        {.text = "SELECT count(*), sum(id), avg(e), min(name), max(more ->> 'part') FROM t"},
        {.text = "SELECT id % $1 AS k, count(DISTINCT more ->> 'part'), max(name), avg(e) FROM t"
                 " GROUP BY k HAVING count(*) > $2 ORDER BY k DESC LIMIT 5",
         .parameters = parameters,
         .n_parameters = COUNT_OF(parameters)},
        {.text = "SELECT name, count(*) FROM t GROUP BY name"},
        {.text = "SELECT DISTINCT more ->> 'part', id % 2 FROM t"},
        {.text = "SELECT DISTINCT substr(name, 1, 6) AS s FROM t ORDER BY s LIMIT 3 OFFSET 1"},
        {.text = "SELECT count(*) FROM t HAVING count(*) > 1"},
        {.text =
             "EXPLAIN SELECT name, count(*) FROM t GROUP BY name HAVING count(*) > 1 ORDER BY 2"},
        {.text = "EXPLAIN (ANALYZE, FORMAT JSON) SELECT DISTINCT name FROM t LIMIT 3",
         .varies = true},
    };
    fail_every_allocation(*state, steps, COUNT_OF(steps));
}

static void copy_loads_and_gives_whole_batches(void **state)
{
    setup_rows(state);
    static const struct step steps[] = {
        {.text = "COPY t FROM STDIN",
         .data = "-1,a,,\"[1,2,3,4]\"\n-2,\"b,\"\"c\",\"[1]\",\n-3,,,\"[0,0,0,1]\"\n",
         .probe = count_new,
         .before = "0\n",
         .after = "3\n",
         .next = delete_new},
        {.text = "COPY t TO STDOUT WITH (HEADER)"},
        {.text = "COPY t (e) TO STDOUT WITH (FORMAT fbin)"},
        {.text = "COPY t (id, e) TO STDOUT WITH (FORMAT binary)"},
        {.text = "COPY t TO 'copy.csv'"},
    };
    fail_every_allocation(*state, steps, COUNT_OF(steps));
}

static void views_and_settings_fail_alone(void **state)
{
    setup_rows(state);
    static const struct step steps[] = {
        {.text = "SHOW COLLECTIONS"},
        {.text = "SHOW SHARDS", .varies = true},
        {.text = "SHOW SESSIONS", .varies = true},
        {.text = "SHOW METRICS", .varies = true},
        {.text = "SHOW CALIBRATION", .varies = true},
        {.text = "SHOW POLICIES"},
        {.text = "SHOW ALL"},
        {.text = "SHOW VIEWS"},
        {.text = "DESCRIBE t"},
        {.text = "SET recall = 0.8; SHOW recall"},
        {.text = "RESET recall"},
        {.text = "SELECT name, rows FROM (SHOW COLLECTIONS) WHERE rows > 0 ORDER BY name"},
        {.text = "SELECT plane, count(*) FROM (SHOW POLICIES) GROUP BY plane"},
        {.text = "SELECT DISTINCT kind FROM (SHOW METRICS) m LIMIT 2"},
        {.text = "SELECT count(*) FROM (DESCRIBE t)"},
        {.text = "EXPLAIN SELECT * FROM (SHOW VIEWS) LIMIT 2"},
    };
    fail_every_allocation(*state, steps, COUNT_OF(steps));
}

static void a_session_that_cannot_begin_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    need_faults();
    bool is_through = false;
    for (uint64_t nth = 1; !is_through; nth++) {
        struct err err = {0};
        fault_arm(FAULT_MALLOC, nth, 1);
        struct query_session *session = query_session_new(f->db, 2, &err);
        is_through = fault_calls(FAULT_MALLOC) < nth;
        fault_disarm_all();
        assert_true(session != NULL || (!is_through && err.code == ERR_OUT_OF_MEMORY));
        query_session_free(session);
    }
    expect_rows(&f->client, "SELECT 1", "1\n");
}

/* What could not be opened with the others is opened when a statement asks for it. */
static void opening_fails_cleanly_or_is_made_up_for_by_the_next_statement(void **state)
{
    struct fixture *f = *state;
    setup_rows(state);
    fixture_close(f);
    bool has_failed = true;
    unsigned n_made_up_for = 0;
    for (uint64_t nth = 1; has_failed; nth += 1 + nth / OPENING_STRIDE) {
        struct err err = {0};
        fault_arm(FAULT_MALLOC, nth, 1);
        enum errcode code = fixture_open_database(f, &err);
        has_failed = fault_calls(FAULT_MALLOC) >= nth;
        fault_disarm_all();
        if (code != ERR_OK) {
            assert_true(has_failed && code == ERR_OUT_OF_MEMORY);
            continue;
        }
        client_init(&f->client, f->db, 1);
        uint64_t deadline_us = clock_micros() + PATIENCE_US;
        bool was_missing = false;
        while (run(&f->client, "SELECT count(*) FROM t") == ERR_NOT_READY) {
            was_missing = true;
            assert_true(clock_micros() < deadline_us);
            clock_sleep_micros(1000);
        }
        expect_rows(&f->client, "SELECT count(*) FROM t", "2500\n");
        n_made_up_for += was_missing ? 1 : 0;
        fixture_close(f);
    }
    assert_true(n_made_up_for > 0);
    log_set_level(LOG_WARNING);
    fixture_open(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_do_all_or_nothing),
        TEST(collections_are_made_and_dropped_or_the_next_statement_does_it),
        TEST(reads_give_all_their_rows_or_fail),
        TEST(groups_are_given_whole_or_not_at_all),
        TEST(copy_loads_and_gives_whole_batches),
        TEST(views_and_settings_fail_alone),
        TEST(a_session_that_cannot_begin_leaves_nothing),
        TEST(opening_fails_cleanly_or_is_made_up_for_by_the_next_statement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
