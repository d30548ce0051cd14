/* Several portals of one session that are open at once.
 *
 * Each reads a range of the client's keys.  A few rows are fetched of one, then of another; between
 * two fetches the client may write, cancel, close a portal or let time go by.  Its keys do not
 * change meanwhile, so that each portal that comes to its end has given the range, whatever became
 * of the others. */
#include <stdio.h>
#include <string.h>

#include "test/sim/run.h"

enum {
    LANE_BYTES = KEYS * (NOTE_BYTES + 100),
    FETCHED_MAX = 6,
    SEARCH_ONE_IN = 3,
    CLOSE_ONE_IN = 30,
    CANCEL_ONE_IN = 10,
    WRITE_ONE_IN = 10,
};

/* ---- opening and closing ---- */

static void take_lane_row(void *arg, const struct value *values, size_t n)
{
    struct lane *lane = arg;
    put_row(&lane->rows, values, n);
    lane->n_rows++;
}

static void take_lane_wake(void *arg)
{
    struct run *r = ((struct lane *)arg)->run;
    sink_of(r).wake(r);
}

static void expect_excused(struct run *r, const struct lane *lane, enum errcode code)
{
    world_note(code);
    world->n_failed += code != ERR_OK;
    trace("client %u: portal %td over keys %u to %u, %zu rows -> %s %s", r->who->number,
          lane - r->lanes, lane->from, lane->to, lane->n_rows, err_name(code),
          code == ERR_OK ? "" : r->err.message);
    if (!is_excused(code)) {
        sim_fail("client %u: a portal over keys %u to %u, %zu rows: %s (%s)", r->who->number,
                 lane->from, lane->to, lane->n_rows, err_name(code), r->err.message);
    }
}

static void choose_range(struct run *r, struct lane *lane)
{
    unsigned first = r->who->number * ID_OF_CLIENT;
    lane->from = (unsigned)chance_below(STREAM_CLIENT, KEYS);
    lane->to = lane->from + (unsigned)chance_below(STREAM_CLIENT, KEYS - lane->from);
    lane->is_search = chance_is(STREAM_CLIENT, SEARCH_ONE_IN);
    (void)snprintf(
        r->text, sizeof(r->text), "%s WHERE id BETWEEN %u AND %u %s",
        lane->is_search ? "SEARCH id FROM t NEAR [1, 2, 3, 4]" : "SELECT id, n, c, note FROM t",
        first + lane->from, first + lane->to, lane->is_search ? "LIMIT 100" : "ORDER BY id");
}

/* lane->portal is NULL where it failed. */
static void open_lane(struct run *r, struct lane *lane)
{
    struct portal_sink sink = sink_of(r);
    struct parameters none = {.n = 0};
    struct prepared *prepared = NULL;
    sink.row = take_lane_row;
    sink.wake = take_lane_wake;
    sink.arg = lane;
    lane->run = r;
    lane->portal = NULL;
    lane->n_rows = 0;
    reserve(&lane->rows, LANE_BYTES);
    choose_range(r, lane);
    err_clear(&r->err);
    choose_leaves(r);
    fault_memory();
    enum errcode code = prepare(r, &prepared);
    if (code == ERR_OK) {
        code = portal_new(r->session, prepared, &none, &sink, &lane->portal, &r->err);
    }
    prepared_free(prepared);
    world->n_statements++;
    if (code != ERR_OK) {
        lane->portal = NULL;
        expect_excused(r, lane, code);
    }
}

static void close_lane(struct lane *lane)
{
    portal_free(lane->portal);
    lane->portal = NULL;
}

/* ---- fetching ---- */

static void expect_range(struct run *r, const struct lane *lane)
{
    size_t n_rows = model_count(r->who->number, lane->from, lane->to);
    world->n_acknowledged++;
    world_note(hash_bytes(lane->rows.data, lane->rows.bytes, 0));
    buf_reset(&r->expected);
    model_rows(r->who->number, lane->from, lane->to, &r->expected);
    if (lane->n_rows != n_rows ||
        (!lane->is_search && (lane->rows.bytes != r->expected.bytes ||
                              memcmp(lane->rows.data, r->expected.data, lane->rows.bytes) != 0))) {
        sim_fail("client %u: a portal over keys %u to %u gave %zu rows of %zu:\n%.*s",
                 r->who->number, lane->from, lane->to, lane->n_rows, n_rows,
                 (int)(lane->rows.bytes < 700 ? lane->rows.bytes : 700),
                 (const char *)lane->rows.data);
    }
}

/* Runs it until it has given @limit rows: PORTAL_SUSPENDED, or DONE or FAILED before that. */
static enum portal_status run_for(struct run *r, struct lane *lane, size_t limit)
{
    size_t end = lane->n_rows + limit;
    enum portal_status status = PORTAL_FULL;
    err_clear(&r->err);
    while (lane->n_rows < end && (status == PORTAL_FULL || status == PORTAL_WAIT)) {
        status = portal_run(lane->portal, end - lane->n_rows, &r->err);
        if (status == PORTAL_WAIT) {
            if (fault_happens(FAULT_ABANDONED)) {
                err_set(&r->err, ERR_OUTCOME_UNKNOWN, "the client closes it while it runs");
                return PORTAL_FAILED;
            }
            wait_for_wake(r);
        }
    }
    return status == PORTAL_DONE || status == PORTAL_FAILED ? status : PORTAL_SUSPENDED;
}

/* It is closed when it has come to its end, or has failed. */
static void fetch(struct run *r, struct lane *lane)
{
    switch (run_for(r, lane, 1 + chance_below(STREAM_CLIENT, FETCHED_MAX))) {
    case PORTAL_DONE:
        expect_range(r, lane);
        close_lane(lane);
        break;
    case PORTAL_SUSPENDED:
        portal_suspend(lane->portal);
        break;
    default:
        expect_excused(r, lane, r->err.code);
        close_lane(lane);
    }
}

/* ---- all of them ---- */

/* None runs now, so a cancel is for none of them. */
static void do_something_between(struct run *r, struct lane *lane)
{
    if (chance_is(STREAM_CLIENT, CANCEL_ONE_IN)) {
        query_session_cancel(r->session);
    }
    if (chance_is(STREAM_CLIENT, WRITE_ONE_IN)) {
        (void)write_settling_row(r);
    }
    if (lane->portal != NULL && chance_is(STREAM_CLIENT, CLOSE_ONE_IN)) {
        close_lane(lane);
    }
    pause_by_chance();
}

static struct lane *some_open_lane(struct run *r)
{
    size_t first = chance_below(STREAM_CLIENT, LANES);
    for (size_t i = 0; i < LANES; i++) {
        struct lane *lane = &r->lanes[(first + i) % LANES];
        if (lane->portal != NULL) {
            return lane;
        }
    }
    return NULL;
}

void read_through_portals(struct run *r)
{
    struct lane *lane;
    for (size_t i = 0; i < LANES; i++) {
        open_lane(r, &r->lanes[i]);
    }
    while ((lane = some_open_lane(r)) != NULL) {
        fetch(r, lane);
        do_something_between(r, lane);
    }
    for (size_t i = 0; i < LANES; i++) {
        CHECK(!r->lanes[i].rows.failed);
        buf_fini(&r->lanes[i].rows);
    }
}
