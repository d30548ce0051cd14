/* What a write is told is what has happened: early acknowledgements and writers side by side. */
#include "query_fixture.h"

#include <stdio.h>

enum {
    N_WRITERS = 8,
    N_INCREMENTS = 200,
};

static const char *const early[] = {"received", "leader", "quorum"};

static struct client *setup_rows(struct fixture *f, const char *ack)
{
    struct client *c = &f->client;
    char text[64];
    expect_ok(c, "DROP COLLECTION IF EXISTS t");
    expect_ok(c, "CREATE COLLECTION t (id INT PRIMARY KEY, n INT, note TEXT)");
    expect_ok(c, "INSERT INTO t (id, n) VALUES (1, 0), (2, 0), (3, 0)");
    snprintf(text, sizeof(text), "SET ack = %s", ack);
    expect_ok(c, text);
    return c;
}

/* ---- outcomes that depend on the rows ---- */

static void an_insert_of_a_taken_key_fails_under_every_ack(void **state)
{
    for (size_t i = 0; i < COUNT_OF(early); i++) {
        struct client *c = setup_rows(*state, early[i]);
        expect_error(c, "INSERT INTO t (id, n) VALUES (7, 7), (1, 7)", ERR_DUPLICATE_KEY);
        expect_rows(c, "SELECT id, n FROM t", "1|0\n2|0\n3|0\n");
        expect_error(c, "INSERT INTO t (id) VALUES (8), (8)", ERR_DUPLICATE_KEY);
        assert_int_equal(run_copy(c, "COPY t (id) FROM STDIN", "9\n1\n", 4, 4), ERR_DUPLICATE_KEY);
        expect_rows(c, "SELECT count(*) FROM t", "3\n");
    }
}

static void do_nothing_counts_what_it_adds_under_every_ack(void **state)
{
    for (size_t i = 0; i < COUNT_OF(early); i++) {
        struct client *c = setup_rows(*state, early[i]);
        expect_ok(c, "INSERT INTO t (id) VALUES (3), (4), (5) ON CONFLICT DO NOTHING");
        assert_int_equal(c->changed, 2);
    }
}

static void an_upsert_of_one_key_twice_fails_under_every_ack(void **state)
{
    for (size_t i = 0; i < COUNT_OF(early); i++) {
        struct client *c = setup_rows(*state, early[i]);
        expect_error(c, "INSERT INTO t (id, n) VALUES (1, 7), (4, 7), (1, 8) ON CONFLICT DO UPDATE",
                     ERR_DUPLICATE_KEY);
        expect_rows(c, "SELECT count(*) FROM t WHERE n = 0", "3\n");
        expect_ok(c, "INSERT INTO t (id, n) VALUES (1, 7), (4, 7) ON CONFLICT DO UPDATE");
        assert_int_equal(c->changed, 2);
        expect_ok(c, "INSERT INTO t (id) VALUES (5)"); /* Later in the log: both are applied. */
        expect_rows(c, "SELECT count(*) FROM t WHERE n = 7", "2\n");
    }
}

/* ---- writers side by side ---- */

struct writer {
    struct fixture *fixture;
    struct thread thread;
    uint64_t id;
    const char *ack, *text;
    unsigned n, n_done, n_failed;
};

static void write_again_and_again(void *arg)
{
    struct writer *w = arg;
    struct client c;
    char set[64];
    client_init(&c, w->fixture->db, w->id);
    snprintf(set, sizeof(set), "SET ack = %s", w->ack);
    expect_ok(&c, set);
    for (unsigned i = 0; i < w->n; i++) {
        enum errcode code = run(&c, w->text);
        w->n_done += code == ERR_OK ? (unsigned)c.changed : 0;
        w->n_failed += code == ERR_OK ? 0 : 1;
    }
    client_fini(&c);
}

/* Runs them all; returns how many rows they were told to have changed. */
static unsigned side_by_side(struct fixture *f, struct writer *writers, size_t n)
{
    struct err err;
    unsigned n_done = 0;
    for (size_t i = 0; i < n; i++) {
        writers[i].fixture = f;
        writers[i].id = 10 + i;
        assert_int_equal(
            thread_start(&writers[i].thread, "writer", write_again_and_again, &writers[i], &err),
            ERR_OK);
    }
    for (size_t i = 0; i < n; i++) {
        thread_join(&writers[i].thread);
        assert_int_equal(writers[i].n_failed, 0);
        n_done += writers[i].n_done;
    }
    return n_done;
}

static void no_update_that_was_told_is_lost_under_any_ack(void **state)
{
    for (size_t i = 0; i < COUNT_OF(early); i++) {
        struct client *c = setup_rows(*state, early[i]);
        struct writer writers[4];
        for (size_t j = 0; j < COUNT_OF(writers); j++) {
            writers[j] = (struct writer){
                .ack = early[i], .text = "UPDATE t SET n = n + 1 WHERE id = 1", .n = 25};
        }
        assert_int_equal(side_by_side(*state, writers, COUNT_OF(writers)), 100);
        expect_rows(c, "SELECT n FROM t WHERE id = 1", "100\n");
    }
}

/* Four delete what four insert: the difference of what they are told is what is there. */
static void deletes_and_inserts_are_told_as_they_happen_under_any_ack(void **state)
{
    for (size_t i = 0; i < COUNT_OF(early); i++) {
        struct client *c = setup_rows(*state, early[i]);
        struct writer writers[8];
        for (size_t j = 0; j < COUNT_OF(writers); j++) {
            const char *text = j % 2 == 0 ? "DELETE FROM t WHERE id = 9"
                                          : "INSERT INTO t (id) VALUES (9) ON CONFLICT DO NOTHING";
            writers[j] = (struct writer){.ack = early[i], .text = text, .n = 50};
        }
        side_by_side(*state, writers, COUNT_OF(writers));
        unsigned deleted = 0, inserted = 0;
        for (size_t j = 0; j < COUNT_OF(writers); j += 2) {
            deleted += writers[j].n_done;
            inserted += writers[j + 1].n_done;
        }
        expect_ok(c, "SELECT id FROM t WHERE id = 9");
        assert_int_equal(inserted - deleted, c->n_rows);
    }
}

static void eight_sessions_increment_one_row_and_none_gives_up(void **state)
{
    struct client *c = setup_rows(*state, "visible");
    struct writer writers[N_WRITERS];
    for (size_t i = 0; i < N_WRITERS; i++) {
        writers[i] = (struct writer){
            .ack = "visible", .text = "UPDATE t SET n = n + 1 WHERE id = 1", .n = N_INCREMENTS};
    }
    assert_int_equal(side_by_side(*state, writers, N_WRITERS), N_WRITERS * N_INCREMENTS);
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "%d\n", N_WRITERS * N_INCREMENTS);
    expect_rows(c, "SELECT n FROM t WHERE id = 1", wanted);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_insert_of_a_taken_key_fails_under_every_ack),
        TEST(do_nothing_counts_what_it_adds_under_every_ack),
        TEST(an_upsert_of_one_key_twice_fails_under_every_ack),
        TEST(no_update_that_was_told_is_lost_under_any_ack),
        TEST(deletes_and_inserts_are_told_as_they_happen_under_any_ack),
        TEST(eight_sessions_increment_one_row_and_none_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
