/* Told against done: each kind of write, under each ack, ended by a cancel or by its timeout at
 * each moment of its way.  Success is told only of what is there, an error only of what is not, and
 * 40003 of what is there whole or not at all.
 *
 * The log thread and the apply thread are held by a group of the test's own: the one in the done of
 * a write, the other in apply. */
#include "query_fixture.h"

#include "shard/shard.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    GATE_GROUP = 1 << 20,
    MANY_ROWS = 6000,
    N_BY_CHANCE = 400 / WATCHED_EVERY(4),
    CHANCE_US_MAX = 3000,
};

/* ---- holding a thread of the log ---- */

enum hold {
    HOLD_NOTHING,
    HOLD_LOG,   /* What is submitted stays in the queue. */
    HOLD_APPLY, /* What is submitted is synced, and not applied. */
    HOLDS
};

struct gate {
    struct repl_group *group;
    struct repl_write write;
    struct mutex lock;
    struct condition changed;
    enum hold wanted;
    bool is_held;
};

static void hold_here(struct gate *gate, enum hold where)
{
    mutex_lock(&gate->lock);
    gate->is_held = gate->is_held || gate->wanted == where;
    condition_broadcast(&gate->changed);
    while (gate->wanted == where) {
        condition_wait(&gate->changed, &gate->lock);
    }
    mutex_unlock(&gate->lock);
}

static void gate_apply(void *arg, const struct repl_entry *entries, size_t n)
{
    (void)entries;
    (void)n;
    hold_here(arg, HOLD_APPLY);
}

static void gate_synced(struct repl_write *write, uint64_t index, const struct err *err)
{
    (void)index;
    assert_null(err);
    hold_here(CONTAINER_OF(write, struct gate, write), HOLD_LOG);
}

static void gate_open(struct gate *gate, struct repl *repl)
{
    struct err err;
    struct repl_group_config config = {.id = GATE_GROUP, .apply = gate_apply, .arg = gate};
    *gate = (struct gate){.wanted = HOLD_NOTHING};
    mutex_init(&gate->lock);
    condition_init(&gate->changed);
    assert_int_equal(repl_group_open(repl, &config, &gate->group, &err), ERR_OK);
}

static void gate_close(struct gate *gate)
{
    repl_group_close(gate->group);
    condition_fini(&gate->changed);
    mutex_fini(&gate->lock);
}

/* Returns when the thread is held. */
static void gate_hold(struct gate *gate, enum hold where)
{
    struct err err;
    if (where == HOLD_NOTHING) {
        return;
    }
    gate->wanted = where;
    gate->is_held = false;
    gate->write = (struct repl_write){.wait_for = REPL_LEADER, .done = gate_synced};
    void *data = mem_zalloc(MEM_LOG, 1);
    assert_int_equal(repl_submit(gate->group, &gate->write, data, 1, &err), ERR_OK);
    mutex_lock(&gate->lock);
    while (!gate->is_held) {
        condition_wait(&gate->changed, &gate->lock);
    }
    mutex_unlock(&gate->lock);
}

static void gate_release(struct gate *gate)
{
    mutex_lock(&gate->lock);
    gate->wanted = HOLD_NOTHING;
    condition_broadcast(&gate->changed);
    mutex_unlock(&gate->lock);
}

/* ---- kinds of writes ---- */

struct kind {
    const char *name, *text;
    size_t n_copied;     /* COPY: rows given to it. */
    const char *probe;   /* Gives one number. */
    int if_not, if_done; /* What it is. */
    const char *barrier; /* Goes through the same log behind it. */
};

#define ROWS_BARRIER        "INSERT INTO t (id, n) VALUES (-1, 0) ON CONFLICT DO UPDATE"
#define MAP_BARRIER         "CREATE COLLECTION IF NOT EXISTS barrier (id INT PRIMARY KEY)"
#define COUNT_IF(condition) "SELECT count(*) FROM t WHERE id > 0 AND " condition
#define COUNT_MADE          "made" /* A collection instead of rows. */

static const struct kind kinds[] = {
    {"insert", "INSERT INTO t (id, n) VALUES (10, 1), (11, 1)", 0, COUNT_IF("n = 1"), 0, 2,
     ROWS_BARRIER},
    {"insert, do nothing", "INSERT INTO t (id, n) VALUES (1, 1), (10, 1) ON CONFLICT DO NOTHING", 0,
     COUNT_IF("n = 1"), 0, 1, ROWS_BARRIER},
    {"insert, do update", "INSERT INTO t (id, n) VALUES (1, 1), (10, 1) ON CONFLICT DO UPDATE", 0,
     COUNT_IF("n = 1"), 0, 2, ROWS_BARRIER},
    {"update", "UPDATE t SET n = 1 WHERE id > 0", 0, COUNT_IF("n = 1"), 0, 2, ROWS_BARRIER},
    {"delete", "DELETE FROM t WHERE id > 0", 0, COUNT_IF("true"), 2, 0, ROWS_BARRIER},
    {"copy", "COPY t (id, n) FROM STDIN", 2, COUNT_IF("n = 1"), 0, 2, ROWS_BARRIER},
    {"copy, do update", "COPY t (id, n) FROM STDIN ON CONFLICT DO UPDATE", 2, COUNT_IF("n = 1"), 0,
     2, ROWS_BARRIER},
    {"copy in pieces", "COPY t (id, n) FROM STDIN", MANY_ROWS, COUNT_IF("n = 1"), 0, MANY_ROWS,
     ROWS_BARRIER},
    {"create", "CREATE COLLECTION made (id INT PRIMARY KEY)", 0, COUNT_MADE, 0, 1, MAP_BARRIER},
    {"drop", "DROP COLLECTION made", 0, COUNT_MADE, 1, 0, MAP_BARRIER},
};

static const char *const acks[] = {"received", "leader", "quorum", "visible", "indexed"};

/* ---- one write ---- */

enum end {
    END_CANCEL,
    END_TIMEOUT,
    END_BY_CHANCE, /* A cancel from another thread. */
    ENDS
};

struct counts {
    unsigned done, failed, unknown, differences;
};

struct told {
    struct fixture *fixture;
    struct client actor;
    struct gate gate;
    uint64_t chance, chance_of_cancel; /* A thread's own each. */
    atomic_bool is_over;
    struct counts counts;
};

static void cancel_now(struct client *c)
{
    query_session_cancel(c->session);
}

/* Again and again, since one that comes before the statement has begun is not meant for it. */
static void cancel_later(void *arg)
{
    struct told *t = arg;
    while (!atomic_load(&t->is_over)) {
        clock_sleep_micros(random_next(&t->chance_of_cancel) % CHANCE_US_MAX);
        query_session_cancel(t->actor.session);
    }
}

static void prepare(struct told *t, const struct kind *kind, const char *ack, enum end end)
{
    struct client *judge = &t->fixture->client;
    char text[96];
    expect_ok(judge, "DELETE FROM t");
    expect_ok(judge, "INSERT INTO t (id, n) VALUES (1, 0), (2, 0)");
    expect_ok(judge, "DROP COLLECTION IF EXISTS made");
    if (kind->probe[0] == 'm' && kind->if_not == 1) {
        expect_ok(judge, "CREATE COLLECTION made (id INT PRIMARY KEY)");
    }
    expect_ok(&t->actor, "RESET timeout");
    snprintf(text, sizeof(text), "SET ack = %s", ack);
    expect_ok(&t->actor, text);
    expect_ok(&t->actor, end == END_TIMEOUT ? "SET timeout = '4ms'" : "RESET timeout");
    t->actor.at_wait = end == END_CANCEL ? cancel_now : NULL;
}

static enum errcode act(struct client *c, const struct kind *kind)
{
    struct buf csv;
    if (kind->n_copied == 0) {
        return run(c, kind->text);
    }
    buf_init(&csv, MEM_GENERAL, 1 << 20);
    for (size_t i = 0; i < kind->n_copied; i++) {
        buf_printf(&csv, "%zu,1\n", 10 + i);
    }
    enum errcode code = run_copy(c, kind->text, csv.data, csv.bytes, 4096);
    buf_fini(&csv);
    return code;
}

static int probe(struct client *judge, const struct kind *kind)
{
    expect_ok(judge, kind->barrier);
    if (kind->probe[0] == 'm') {
        return run(judge, "SELECT count(*) FROM made") == ERR_UNKNOWN_COLLECTION ? 0 : 1;
    }
    expect_ok(judge, kind->probe);
    return atoi(rows_text(judge));
}

/* What the errors of COPY say of rows. */
static void read_detail(const struct err *err, int *n_loaded, int *n_unknown)
{
    *n_loaded = *n_unknown = 0;
    (void)sscanf(err->detail, "%d rows were loaded, and up to %d more", n_loaded, n_unknown);
}

static bool is_true(const struct kind *kind, enum errcode told, const struct err *err, int is)
{
    int n_loaded, n_unknown;
    if (told == ERR_OK) {
        return is == kind->if_done;
    }
    if (kind->n_copied == 0) {
        return is == kind->if_not || (told == ERR_OUTCOME_UNKNOWN && is == kind->if_done);
    }
    read_detail(err, &n_loaded, &n_unknown);
    if (told != ERR_OUTCOME_UNKNOWN && n_unknown > 0) {
        return false;
    }
    return is >= n_loaded && is <= n_loaded + n_unknown;
}

static void judge(struct told *t, const struct kind *kind, enum errcode told, const char *how)
{
    const struct err *err = &t->actor.err;
    int is = probe(&t->fixture->client, kind);
    bool is_plain = told == ERR_CANCELED || told == ERR_TIMEOUT;
    t->counts.done += told == ERR_OK ? 1 : 0;
    t->counts.failed += is_plain ? 1 : 0;
    t->counts.unknown += told == ERR_OUTCOME_UNKNOWN ? 1 : 0;
    if (told != ERR_OK && !is_plain && told != ERR_OUTCOME_UNKNOWN) {
        fail_msg("%s %s: %s", kind->name, how, err->message);
    }
    if (!is_true(kind, told, err, is)) {
        t->counts.differences++;
        print_error("%s %s: told %s (%s; %s), and the probe gives %d\n", kind->name, how,
                    err_name(told), err->message, err->detail, is);
    }
}

static void one_write(struct told *t, const struct kind *kind, const char *ack, enum hold hold,
                      enum end end)
{
    struct thread thread;
    struct err err;
    char how[64];
    snprintf(how, sizeof(how), "ack %s, hold %d, end %d", ack, (int)hold, (int)end);
    prepare(t, kind, ack, end);
    gate_hold(&t->gate, hold);
    atomic_store(&t->is_over, false);
    if (end == END_BY_CHANCE) {
        assert_int_equal(thread_start(&thread, "cancel", cancel_later, t, &err), ERR_OK);
    }
    enum errcode told = act(&t->actor, kind);
    atomic_store(&t->is_over, true);
    gate_release(&t->gate);
    if (end == END_BY_CHANCE) {
        thread_join(&thread);
    }
    judge(t, kind, told, how);
}

/* ---- the tests ---- */

static struct told *told_open(void **state)
{
    static struct told t;
    t = (struct told){.fixture = *state, .chance = 1, .chance_of_cancel = 2};
    expect_ok(
        &t.fixture->client,
        "CREATE COLLECTION t (id INT PRIMARY KEY, n INT, e VECTOR(4)) WITH (index_mode = async)");
    client_init(&t.actor, t.fixture->db, 2);
    gate_open(&t.gate, t.fixture->repl);
    return &t;
}

static void told_close(struct told *t)
{
    gate_close(&t->gate);
    client_fini(&t->actor);
    print_message("told done %u, failed %u, unknown %u; differences %u\n", t->counts.done,
                  t->counts.failed, t->counts.unknown, t->counts.differences);
    assert_int_equal(t->counts.differences, 0);
}

static void each_write_is_told_as_it_is_done_at_each_moment(void **state)
{
    struct told *t = told_open(state);
    for (size_t i = 0; i < COUNT_OF(kinds) * COUNT_OF(acks); i++) {
        for (int hold = 0; hold < HOLDS; hold++) {
            for (int end = 0; end < ENDS; end++) {
                one_write(t, &kinds[i / COUNT_OF(acks)], acks[i % COUNT_OF(acks)], (enum hold)hold,
                          (enum end)end);
            }
        }
    }
    assert_true(t->counts.done > 0 && t->counts.failed > 0 && t->counts.unknown > 0);
    told_close(t);
}

static void each_write_is_told_as_it_is_done_at_moments_by_chance(void **state)
{
    struct told *t = told_open(state);
    for (size_t i = 0; i < N_BY_CHANCE; i++) {
        one_write(t, &kinds[i % COUNT_OF(kinds)], acks[random_next(&t->chance) % COUNT_OF(acks)],
                  HOLD_NOTHING, END_BY_CHANCE);
    }
    told_close(t);
}

static void what_was_not_in_the_log_is_taken_back(void **state)
{
    struct told *t = told_open(state);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        one_write(t, &kinds[i], "visible", HOLD_LOG, END_CANCEL);
    }
    assert_int_equal(t->counts.failed, COUNT_OF(kinds));
    told_close(t);
}

static void what_is_in_the_log_is_told_to_be_unknown(void **state)
{
    struct told *t = told_open(state);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        prepare(t, &kinds[i], "visible", END_TIMEOUT);
        gate_hold(&t->gate, HOLD_APPLY);
        uint64_t began_us = clock_micros();
        enum errcode told = act(&t->actor, &kinds[i]);
        assert_true(clock_micros() - began_us < PATIENCE_US);
        if (told == ERR_OUTCOME_UNKNOWN) {
            assert_string_equal(t->actor.err.policy, "timeout");
            assert_non_null(strstr(t->actor.err.hint, "Read the rows"));
        }
        gate_release(&t->gate);
        judge(t, &kinds[i], told, "held in apply");
    }
    assert_true(t->counts.unknown >= COUNT_OF(kinds) / 2);
    told_close(t);
}

/* ---- several portals of one session, as in a pipeline ---- */

static bool is_never_full(void *arg)
{
    (void)arg;
    return false;
}

static void count_wake(void *arg)
{
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static struct portal *insert_portal(struct client *c, int id, atomic_uint *wakes)
{
    struct portal_sink sink = {.is_full = is_never_full, .wake = count_wake, .arg = wakes};
    struct prepared *prepared;
    struct portal *portal;
    size_t rest, bytes;
    char text[64];
    snprintf(text, sizeof(text), "INSERT INTO t (id) VALUES (%d)", id);
    struct statement_text source = {.data = text, .bytes = strlen(text)};
    assert_int_equal(prepared_new(c->session, &source, &prepared, &rest, &c->err), ERR_OK);
    assert_int_equal(
        portal_new(c->session, prepared, &(struct parameters){0}, &sink, &portal, &c->err), ERR_OK);
    prepared_free(prepared);
    assert_true(portal_company(portal) == PORTAL_AMONG_INSERTS);
    assert_false(portal_may_be_passed(portal, &bytes));
    assert_int_equal(portal_run(portal, 0, &c->err), PORTAL_WAIT);
    assert_true(portal_may_be_passed(portal, &bytes));
    assert_true(bytes > 0);
    return portal;
}

static void a_cancel_is_for_all_writes_of_a_session_that_run(void **state)
{
    struct told *t = told_open(state);
    struct portal *portals[2];
    static atomic_uint wakes[COUNT_OF(portals)];
    gate_hold(&t->gate, HOLD_APPLY);
    for (size_t i = 0; i < COUNT_OF(portals); i++) {
        atomic_store(&wakes[i], 0);
        portals[i] = insert_portal(&t->actor, 100 + (int)i, &wakes[i]);
    }
    query_session_cancel(t->actor.session);
    for (size_t i = 0; i < COUNT_OF(portals); i++) {
        uint64_t deadline = clock_micros() + PATIENCE_US;
        unsigned n_seen = 0;
        enum portal_status status = PORTAL_WAIT;
        while (status == PORTAL_WAIT) {
            while (atomic_load(&wakes[i]) == n_seen) {
                assert_true(clock_micros() < deadline);
                clock_sleep_micros(100);
            }
            n_seen++;
            status = portal_run(portals[i], 0, &t->actor.err);
        }
        assert_int_equal(status, PORTAL_FAILED);
        bool is_told = t->actor.err.code == ERR_OUTCOME_UNKNOWN ||
                       t->actor.err.code == ERR_CANCELED; /* It had not left the queue. */
        assert_true(is_told);
        portal_free(portals[i]);
    }
    gate_release(&t->gate);
    expect_ok(&t->actor, "SELECT count(*) FROM t"); /* The cancel is over. */
    told_close(t);
}

/* The graph is behind by thousands of rows; the write is there all the same. */
static void what_waits_for_the_graph_has_happened(void **state)
{
    struct fixture *f = *state;
    struct client *c = &f->client;
    struct buf csv;
    expect_ok(c,
              "CREATE COLLECTION v (id INT PRIMARY KEY, e VECTOR(64)) WITH (index_mode = async)");
    buf_init(&csv, MEM_GENERAL, 64 << 20);
    for (int i = 0; i < 8000; i++) {
        buf_printf(&csv, "%d,\"[%d", i, i);
        for (int j = 1; j < 64; j++) {
            buf_printf(&csv, ",%d", (i * (j + 7919)) % 1009);
        }
        buf_printf(&csv, "]\"\n");
    }
    assert_int_equal(run_copy(c, "COPY v FROM STDIN", csv.data, csv.bytes, 65536), ERR_OK);
    buf_fini(&csv);
    char text[128];
    int ms = 0;
    do { /* Until it is applied in time. */
        ms += 10;
        assert_true(ms <= 500);
        snprintf(text, sizeof(text),
                 "INSERT INTO v (id) VALUES (-%d) WITH (ack = indexed, timeout = '%dms')", ms, ms);
    } while (run(c, text) != ERR_OK);
    assert_int_equal(c->changed, 1);
    assert_non_null(strstr(c->notice, "not in the graph yet"));
    snprintf(text, sizeof(text), "SELECT count(*) FROM v WHERE id = -%d", ms);
    expect_rows(c, text, "1\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_write_is_told_as_it_is_done_at_each_moment),
        TEST(each_write_is_told_as_it_is_done_at_moments_by_chance),
        TEST(what_was_not_in_the_log_is_taken_back),
        TEST(what_is_in_the_log_is_told_to_be_unknown),
        TEST(a_cancel_is_for_all_writes_of_a_session_that_run),
        TEST(what_waits_for_the_graph_has_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
