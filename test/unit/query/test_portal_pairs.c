/* Every two events in every state of a portal: runs, cancels, the deadline, the ends of jobs and
 * writes, COPY data and its ends, a sink that is full, suspensions.  Afterwards each portal is
 * driven to its end or freed in the middle. */
#include <stdio.h>

#include "query_fixture.h"

enum {
    N_ROWS = 3000,
    TIMEOUT_MS = 3,
    MOVES_MAX = 10000
};

struct play {
    struct client *client;
    struct portal *portal;
    enum portal_status status; /* That portal_run gave last; WAIT before. */
    struct barrier *barrier;   /* Shut, where the state needs it. */
    struct database *db;
    _Atomic unsigned wakes;
    unsigned waits; /* How often a wake was owed. */
    bool is_full, is_copy_ended, is_ended;
    struct err err;
};

/* ---- the sink ---- */

static void take_row(void *arg, const struct value *values, size_t n)
{
    (void)arg;
    (void)values;
    (void)n;
}

static bool is_full(void *arg)
{
    return ((struct play *)arg)->is_full;
}

static void take_copy(void *arg, const void *data, size_t bytes)
{
    (void)arg;
    (void)data;
    (void)bytes;
}

static void take_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    (void)arg;
    (void)phase;
    (void)done;
    (void)total;
}

static void take_wake(void *arg)
{
    ((struct play *)arg)->wakes++;
}

static void open_portal(struct play *p, const char *text)
{
    struct portal_sink sink = {.row = take_row,
                               .is_full = is_full,
                               .copy_data = take_copy,
                               .progress = take_progress,
                               .wake = take_wake,
                               .arg = p};
    struct statement_text source = {.data = text, .bytes = strlen(text)};
    struct prepared *prepared;
    size_t rest;
    struct query_session *session = p->client->session;
    assert_int_equal(prepared_new(session, &source, &prepared, &rest, &p->err), ERR_OK);
    assert_int_equal(
        portal_new(session, prepared, &(struct parameters){0}, &sink, &p->portal, &p->err), ERR_OK);
    prepared_free(prepared);
}

/* ---- events ---- */

enum event {
    RUN,
    RUN_ONE_ROW,
    CANCEL,
    TIME_PASSES,
    WORK_ENDS, /* Of the pool, and of writes. */
    FILL,
    DRAIN,
    DATA,
    BAD_DATA,
    COPY_ENDS,
    COPY_FAILS,
    SUSPEND,
    ANOTHER_RUNS,
    EVENTS
};

static void run_portal(struct play *p, uint64_t row_limit)
{
    if (p->is_ended) {
        return;
    }
    p->status = portal_run(p->portal, row_limit, &p->err);
    p->is_ended = p->status == PORTAL_DONE || p->status == PORTAL_FAILED;
    assert_true(p->status != PORTAL_FAILED || p->err.code != ERR_OK);
    p->waits += p->status == PORTAL_WAIT || p->status == PORTAL_FULL || p->status == PORTAL_COPY_IN;
}

static bool takes_data(const struct play *p)
{
    return p->status == PORTAL_COPY_IN && !p->is_copy_ended && !p->is_ended;
}

static void give(struct play *p, const char *data)
{
    if (takes_data(p)) {
        portal_copy_data(p->portal, data, strlen(data));
    }
}

static void end_copy(struct play *p, bool is_good)
{
    struct err why;
    err_set(&why, ERR_CANCELED, "no more");
    if (takes_data(p)) {
        p->is_copy_ended = true;
        is_good ? portal_copy_done(p->portal) : portal_copy_fail(p->portal, &why);
    }
}

/* A turn of the pool and of the log, as far as one can wait for them without knowing of them. */
static void let_work_end(struct play *p)
{
    if (p->barrier != NULL) {
        barrier_open(p->barrier);
        p->barrier = NULL;
    }
    for (unsigned i = 0; i < 5 && p->wakes < p->waits; i++) {
        clock_sleep_micros(50);
    }
}

static void happen(struct play *p, enum event event)
{
    switch (event) {
    case RUN:
    case RUN_ONE_ROW:
        run_portal(p, event == RUN ? 0 : 1);
        break;
    case CANCEL:
        query_session_cancel(p->client->session);
        break;
    case TIME_PASSES:
        clock_sleep_micros(TIMEOUT_MS * 1000 / 2);
        break;
    case WORK_ENDS:
        let_work_end(p);
        break;
    case FILL:
    case DRAIN:
        p->is_full = event == FILL;
        break;
    case DATA:
        give(p, "1,name,\"[1,2]\"\n2,na");
        break;
    case BAD_DATA:
        give(p, "x,\"\n");
        break;
    case COPY_ENDS:
    case COPY_FAILS:
        end_copy(p, event == COPY_ENDS);
        break;
    case SUSPEND:
        if (p->status == PORTAL_SUSPENDED) {
            portal_suspend(p->portal);
        }
        break;
    default:
        CHECK(event == ANOTHER_RUNS);
        (void)run(p->client, "SELECT 1"); /* It may be late too. */
        break;
    }
}

/* ---- states ---- */

static const struct {
    const char *name, *text;
    bool is_held; /* The pool is. */
    enum event events[2];
    size_t n;
} states[] = {
    {"new", "SELECT id FROM n WHERE id < 3", false, {RUN}, 0},
    {"full", "SELECT id FROM n WHERE id IN (1, 2, 3)", false, {FILL, RUN}, 2},
    {"suspended", "SELECT id FROM n WHERE id IN (1, 2, 3)", false, {RUN_ONE_ROW, SUSPEND}, 2},
    {"working", "SELECT id FROM n ORDER BY name", true, {RUN, RUN}, 2},
    {"blocked", "UPDATE n SET name = 'x' WHERE id = 3", false, {RUN}, 1},
    {"inserting", "INSERT INTO n (id, name) VALUES (1, 'taken')", false, {RUN}, 1},
    {"copying", "COPY n FROM STDIN", false, {RUN}, 1},
    {"copying, with data", "COPY n FROM STDIN", false, {RUN, DATA}, 2},
    {"copying, ended", "COPY n FROM STDIN", false, {RUN, COPY_ENDS}, 2},
    {"copying, failed", "COPY n FROM STDIN", false, {RUN, BAD_DATA}, 2},
    {"copying out", "COPY n TO STDOUT", false, {FILL, RUN}, 2},
    {"ended", "SELECT 1", false, {RUN}, 1},
};

/* Whatever it is about: to its end. */
static void drive(struct play *p)
{
    p->is_full = false;
    for (unsigned i = 0; !p->is_ended; i++) {
        assert_true(i < MOVES_MAX);
        if (p->status == PORTAL_COPY_IN) {
            end_copy(p, true);
        }
        run_portal(p, 0);
        let_work_end(p);
    }
}

static void play(struct client *c, struct database *db, size_t state, const enum event *events,
                 size_t n, bool is_driven)
{
    struct play p = {.client = c, .db = db, .status = PORTAL_WAIT};
    if (states[state].is_held) {
        p.barrier = barrier_shut(db);
    }
    open_portal(&p, states[state].text);
    for (size_t i = 0; i < states[state].n; i++) {
        happen(&p, states[state].events[i]);
    }
    for (size_t i = 0; i < n; i++) {
        happen(&p, events[i]);
    }
    if (is_driven) {
        drive(&p);
    }
    portal_free(p.portal);
    let_work_end(&p);
    assert_true(p.wakes <= p.waits);
}

static void fill(struct client *c)
{
    struct buf csv;
    expect_ok(c, "CREATE COLLECTION n (id INT PRIMARY KEY, name TEXT, e VECTOR(2) METRIC L2)");
    buf_init(&csv, MEM_GENERAL, 16 << 20);
    for (int i = 0; i < N_ROWS; i++) {
        buf_printf(&csv, "%d,name %d,\n", i, (i * 7919) % N_ROWS);
    }
    assert_int_equal(run_copy(c, "COPY n FROM STDIN", csv.data, csv.bytes, 65536), ERR_OK);
    buf_fini(&csv);
}

static unsigned play_all(struct fixture *f)
{
    unsigned n = 0;
    for (size_t at = 0; at < COUNT_OF(states); at++) {
        for (unsigned i = 0; i < EVENTS * EVENTS * 2; i += WATCHED_EVERY(5)) {
            enum event events[] = {i / 2 / EVENTS, i / 2 % EVENTS};
            play(&f->client, f->db, at, events, COUNT_OF(events), (i & 1) != 0);
            n++;
        }
    }
    return n;
}

static void every_two_events_in_every_state_have_a_move(void **state)
{
    struct fixture *f = *state;
    fill(&f->client);
    printf("%u pairs\n", play_all(f));
}

static void every_two_events_in_every_state_have_a_move_before_a_deadline(void **state)
{
    struct fixture *f = *state;
    char text[64];
    fill(&f->client);
    snprintf(text, sizeof(text), "SET timeout = '%dms'", TIMEOUT_MS);
    expect_ok(&f->client, text);
    printf("%u pairs\n", play_all(f));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_two_events_in_every_state_have_a_move),
        TEST(every_two_events_in_every_state_have_a_move_before_a_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
