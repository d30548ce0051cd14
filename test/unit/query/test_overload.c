/* COPY where the log takes no more writes for now: it slows down, loses nothing, and can be ended.
 */
#include "query_fixture.h"

#include "shard/shard.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    N_ROWS = 5000,
    N_COPIERS = 3,
    PIECE_BYTES = 10000,
};

/* ---- a log that is full for as long as the test wants ---- */

/* A group of the test's own: while its one write is being applied, nothing else is. */
struct plug {
    struct repl *repl;
    struct repl_group *group;
    struct repl_write write;
    struct mutex lock;
    struct condition changed;
    bool is_open, is_done;
};

static const uint64_t plug_id = 1ULL << 40;

static void plug_apply(void *arg, const struct repl_entry *entries, size_t n)
{
    struct plug *plug = arg;
    mutex_lock(&plug->lock);
    while (!plug->is_open) {
        condition_wait(&plug->changed, &plug->lock);
    }
    mutex_unlock(&plug->lock);
    for (size_t i = 0; i < n; i++) {
        repl_write_applied(entries[i].write, entries[i].index, NULL);
    }
}

static void plug_done(struct repl_write *write, uint64_t index, const struct err *err)
{
    struct plug *plug = CONTAINER_OF(write, struct plug, write);
    (void)index;
    assert_null(err);
    mutex_lock(&plug->lock);
    plug->is_done = true;
    condition_broadcast(&plug->changed);
    mutex_unlock(&plug->lock);
}

static void plug_log(struct plug *plug, struct fixture *f)
{
    struct err err;
    *plug = (struct plug){.repl = f->repl, .write = {.wait_for = REPL_APPLIED, .done = plug_done}};
    mutex_init(&plug->lock);
    condition_init(&plug->changed);
    struct repl_group_config config = {.id = plug_id, .apply = plug_apply, .arg = plug};
    assert_int_equal(repl_group_open(f->repl, &config, &plug->group, &err), ERR_OK);
    /* What was written before may be acknowledged and not yet be let go of. */
    uint64_t deadline = clock_micros() + PATIENCE_US;
    enum errcode code;
    do {
        uint8_t *data = mem_zalloc(MEM_LOG, NARROW_LOG_BYTES);
        assert_non_null(data);
        code = repl_submit(plug->group, &plug->write, data, NARROW_LOG_BYTES, &err);
    } while (code == ERR_OVERLOADED && clock_micros() < deadline);
    assert_int_equal(code, ERR_OK);
}

static void unplug_log(struct plug *plug)
{
    struct err err;
    mutex_lock(&plug->lock);
    plug->is_open = true;
    condition_broadcast(&plug->changed);
    while (!plug->is_done) {
        condition_wait(&plug->changed, &plug->lock);
    }
    mutex_unlock(&plug->lock);
    repl_group_close(plug->group);
    assert_int_equal(repl_group_destroy(plug->repl, plug_id, &err), ERR_OK);
    condition_fini(&plug->changed);
    mutex_fini(&plug->lock);
}

/* ---- COPY on a thread of its own ---- */

struct copier {
    struct client client;
    struct thread thread;
    char text[128];
    struct buf data;
    enum errcode code;
};

static void copy(void *arg)
{
    struct copier *c = arg;
    c->code = run_copy(&c->client, c->text, c->data.data, c->data.bytes, PIECE_BYTES);
}

static void copier_start(struct copier *c, struct fixture *f, int first_id, const char *text)
{
    struct err err;
    client_init(&c->client, f->db, 100 + (uint64_t)first_id);
    snprintf(c->text, sizeof(c->text), "%s", text);
    buf_init(&c->data, MEM_GENERAL, 16 << 20);
    for (int i = 0; i < N_ROWS; i++) {
        buf_printf(&c->data, "%d,row\n", first_id + i);
    }
    assert_int_equal(thread_start(&c->thread, "copier", copy, c, &err), ERR_OK);
}

static enum errcode copier_end(struct copier *c)
{
    thread_join(&c->thread);
    buf_fini(&c->data);
    client_fini(&c->client);
    return c->code;
}

static void wait_for_waits(int64_t n)
{
    uint64_t deadline = clock_micros() + PATIENCE_US;
    while (metric_value(METRIC_log_waits) < n) {
        assert_true(clock_micros() < deadline);
        clock_sleep_micros(100);
    }
}

static void expect_count(struct fixture *f, int n)
{
    char rows[32];
    snprintf(rows, sizeof(rows), "%d\n", n);
    expect_rows(&f->client, "SELECT count(*) FROM t", rows);
}

static struct fixture *setup_table(void **state)
{
    struct fixture *f = *state;
    expect_ok(&f->client, "CREATE COLLECTION t (id INT PRIMARY KEY, name TEXT)");
    return f;
}

/* ---- tests ---- */

static void copies_wait_while_the_log_is_full_and_every_row_arrives(void **state)
{
    static const char *const acks[] = {"received", "leader", "visible"};
    struct fixture *f = setup_table(state);
    struct copier copiers[N_COPIERS];
    struct plug plug;
    int64_t waits = metric_value(METRIC_log_waits);
    int64_t written = metric_value(METRIC_rows_written);
    plug_log(&plug, f);
    for (int i = 0; i < N_COPIERS; i++) {
        char text[128];
        snprintf(text, sizeof(text), "COPY t FROM STDIN WITH (ack = '%s')", acks[i]);
        copier_start(&copiers[i], f, i * N_ROWS, text);
    }
    wait_for_waits(waits + N_COPIERS);
    expect_count(f, 0);
    /* A statement that does not wait says what is the matter. */
    expect_error(&f->client, "INSERT INTO t VALUES (-1, 'x')", ERR_OVERLOADED);
    unplug_log(&plug);
    for (int i = 0; i < N_COPIERS; i++) {
        assert_int_equal(copier_end(&copiers[i]), ERR_OK);
        assert_int_equal(copiers[i].client.changed, N_ROWS);
    }
    uint64_t deadline = clock_micros() + PATIENCE_US; /* ack = received does not wait for it. */
    while (metric_value(METRIC_rows_written) < written + N_COPIERS * N_ROWS) {
        assert_true(clock_micros() < deadline);
        clock_sleep_micros(100);
    }
    expect_count(f, N_COPIERS * N_ROWS);
}

static void a_copy_of_a_file_waits_on_no_thread_and_every_row_arrives(void **state)
{
    struct fixture *f = setup_table(state);
    struct copier first, copiers[N_COPIERS];
    struct plug plug;
    copier_start(&first, f, 0, "COPY t FROM STDIN");
    assert_int_equal(copier_end(&first), ERR_OK);
    expect_ok(&f->client, "COPY t TO 'rows.csv'");
    for (int i = 0; i < N_COPIERS; i++) {
        char text[80];
        snprintf(text, sizeof(text), "CREATE COLLECTION t%d (id INT PRIMARY KEY, name TEXT)", i);
        expect_ok(&f->client, text);
    }
    int64_t waits = metric_value(METRIC_log_waits);
    plug_log(&plug, f);
    for (int i = 0; i < N_COPIERS; i++) {
        char text[80];
        snprintf(text, sizeof(text), "COPY t%d FROM 'rows.csv'", i);
        copier_start(&copiers[i], f, 0, text);
    }
    wait_for_waits(waits + N_COPIERS);
    /* More of them wait than the pool has threads, and it still serves. */
    expect_rows(&f->client, "SELECT count(*) FROM t WHERE name LIKE '%o%'", "5000\n");
    unplug_log(&plug);
    for (int i = 0; i < N_COPIERS; i++) {
        assert_int_equal(copier_end(&copiers[i]), ERR_OK);
        assert_int_equal(copiers[i].client.changed, N_ROWS);
    }
    expect_rows(&f->client, "SELECT count(*) FROM t2", "5000\n");
}

static void cancel_ends_a_copy_that_waits_for_room(void **state)
{
    static const char *const texts[] = {"COPY t FROM STDIN", "COPY t FROM 'rows.csv'"};
    struct fixture *f = setup_table(state);
    struct copier c;
    struct plug plug;
    copier_start(&c, f, 0, texts[0]);
    assert_int_equal(copier_end(&c), ERR_OK);
    expect_ok(&f->client, "COPY t TO 'rows.csv'");
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        expect_ok(&f->client, "DELETE FROM t");
        int64_t waits = metric_value(METRIC_log_waits);
        plug_log(&plug, f);
        copier_start(&c, f, 0, texts[i]);
        wait_for_waits(waits + 1);
        query_session_cancel(c.client.session);
        assert_int_equal(copier_end(&c), ERR_CANCELED); /* The log is full all the while. */
        unplug_log(&plug);
        expect_count(f, 0);
        copier_start(&c, f, 0, texts[i]); /* It left nothing in the way. */
        assert_int_equal(copier_end(&c), ERR_OK);
        expect_count(f, N_ROWS);
    }
}

static void a_timeout_ends_a_copy_that_waits_for_room(void **state)
{
    struct fixture *f = setup_table(state);
    struct copier c;
    struct plug plug;
    plug_log(&plug, f);
    copier_start(&c, f, 0, "COPY t FROM STDIN WITH (timeout = '50ms')");
    assert_int_equal(copier_end(&c), ERR_TIMEOUT);
    unplug_log(&plug);
    expect_count(f, 0);
}

/* ---- a client that goes away ---- */

static void wake(void *arg)
{
    (void)arg;
}

static void a_copy_that_is_freed_while_it_waits_leaves_nothing_behind(void **state)
{
    struct fixture *f = setup_table(state);
    struct client *c = &f->client;
    static const char text[] = "COPY t (id) FROM STDIN";
    struct portal_sink sink = {.wake = wake};
    struct statement_text source = {.data = text, .bytes = strlen(text)};
    struct prepared *prepared;
    struct portal *portal;
    struct plug plug;
    struct buf data;
    size_t rest;
    buf_init(&data, MEM_GENERAL, 1 << 20);
    for (int i = 0; i < N_ROWS; i++) {
        buf_printf(&data, "%d\n", i);
    }
    assert_int_equal(prepared_new(c->session, &source, &prepared, &rest, &c->err), ERR_OK);
    plug_log(&plug, f);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            portal_new(c->session, prepared, &(struct parameters){0}, &sink, &portal, &c->err),
            ERR_OK);
        assert_int_equal(portal_run(portal, 0, &c->err), PORTAL_COPY_IN);
        portal_copy_data(portal, data.data, data.bytes);
        assert_int_equal(portal_run(portal, 0, &c->err), PORTAL_WAIT);
        portal_free(portal);
    }
    unplug_log(&plug);
    expect_count(f, 0);
    expect_ok(c, "INSERT INTO t VALUES (1, 'there is room')");
    prepared_free(prepared);
    buf_fini(&data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup_narrow, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(copies_wait_while_the_log_is_full_and_every_row_arrives),
        TEST(a_copy_of_a_file_waits_on_no_thread_and_every_row_arrives),
        TEST(cancel_ends_a_copy_that_waits_for_room),
        TEST(a_timeout_ends_a_copy_that_waits_for_room),
        TEST(a_copy_that_is_freed_while_it_waits_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
