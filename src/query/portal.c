/* Portals: statements while they run.
 *
 *            begin               step: rows                      batch is out, last
 *   new ---------------> ready <------------> ready --> last ----------------------> ended
 *                          | \  heavy step                                             ^
 *                          |  +-----------> working (pool) --event--> ready            |
 *                          |  step: write                                              |
 *                          +--------------> blocked --event--> ready       error, from any
 *                          |  step: wants data
 *                          +--------------> copying --event, data, portal_run--> ready
 *
 * The first step is the start: it evaluates what no row changes.  A step that is taken on the
 * owner's thread and turns out to be long is given up, and begun again on the pool.
 *
 * Everything happens on the owner's thread but the step of a working portal.  Whoever waits for the
 * client is parked as one who waits for an event, so that a cancel and the deadline end that wait:
 * portal_wait.c.  What a portal is made of, and who frees it: portal_life.c. */
#include "query/database_int.h"
#include "query/leaf_int.h"
#include "query/pending_int.h"
#include "query/portal_int.h"
#include "query/prepared_int.h"
#include "query/session_int.h"
#include "query/verb_int.h"

#include "expr/expr.h"
#include "plan/plan.h"

#include <string.h>

enum {
    INLINE_BIND_BYTES_MAX = 256 << 10 /* Of parameters that are looked at there. */
};

static const char *const state_names[PORTAL_STATES] = {
    [PORTAL_IS_NEW] = "new",         [PORTAL_IS_READY] = "ready",
    [PORTAL_IS_WORKING] = "working", [PORTAL_IS_BLOCKED] = "blocked",
    [PORTAL_IS_COPYING] = "copying", [PORTAL_IS_LAST] = "last",
    [PORTAL_IS_ENDED] = "ended",
};

static const uint32_t state_moves[PORTAL_STATES] = {
    [PORTAL_IS_NEW] = STATE_BIT(PORTAL_IS_READY) | STATE_BIT(PORTAL_IS_ENDED),
    [PORTAL_IS_READY] = STATE_BIT(PORTAL_IS_WORKING) | STATE_BIT(PORTAL_IS_BLOCKED) |
                        STATE_BIT(PORTAL_IS_COPYING) | STATE_BIT(PORTAL_IS_LAST) |
                        STATE_BIT(PORTAL_IS_ENDED),
    [PORTAL_IS_WORKING] = STATE_BIT(PORTAL_IS_READY) | STATE_BIT(PORTAL_IS_ENDED),
    [PORTAL_IS_BLOCKED] = STATE_BIT(PORTAL_IS_READY) | STATE_BIT(PORTAL_IS_ENDED),
    [PORTAL_IS_COPYING] = STATE_BIT(PORTAL_IS_READY) | STATE_BIT(PORTAL_IS_ENDED),
    [PORTAL_IS_LAST] = STATE_BIT(PORTAL_IS_ENDED),
    [PORTAL_IS_ENDED] = STATE_BIT(PORTAL_IS_NEW), /* Taken from the session's spare. */
};

static const struct state_machine machine = {
    .name = "portal",
    .names = state_names,
    .n_states = PORTAL_STATES,
    .moves = state_moves,
};

static void move(struct portal *p, enum portal_state to, const char *why)
{
    CHECK_HOT(to < PORTAL_STATES && p->session != NULL);
    state_move(&machine, &p->state, (uint8_t)to, p->session->id, why);
}

/* Asked by the meter at the end of a slice. */
static enum errcode ask(struct work *work, struct err *err)
{
    CHECK_HOT(work->left <= 0 || work->left == WORK_SLICE);
    struct portal *p = CONTAINER_OF(work, struct portal, work);
    enum errcode code = portal_poll(p, err);
    p->work_spent = portal_work(p);
    if (code == ERR_OK && p->is_inline) {
        p->inline_left -= WORK_SLICE - work->left;
        p->is_moving = p->inline_left <= 0;
        code = p->is_moving ? err_set(err, ERR_CANCELED, "the step goes to the pool") : ERR_OK;
    }
    work->left = p->slice_left = code == ERR_OK ? WORK_SLICE : 0;
    return code;
}

/* ---- life ---- */

void portal_suspend(struct portal *p)
{
    CHECK(!role_is_mine(&work_thread)); /* Its owner's. */
    p->is_suspended = true;
    query_session_end(p->session, p);
}

/* The owner runs it again: it waits for nothing, and is what a cancel is for. */
static void come_back(struct portal *p)
{
    CHECK_HOT(p->state != PORTAL_IS_NEW && p->state != PORTAL_IS_ENDED);
    mutex_lock(&p->lock);
    p->is_parked = false;
    mutex_unlock(&p->lock);
    if (p->is_suspended) {
        p->is_suspended = false;
        query_session_begin(p->session, p);
    }
}

/* Ends the owner's part of a run: whatever still goes on no longer concerns the client. */
static void end(struct portal *p, const struct err *err)
{
    CHECK_HOT(err == NULL || err->code != ERR_OK || p->state == PORTAL_IS_ENDED);
    if (p->state == PORTAL_IS_ENDED) {
        return;
    }
    bool was_new = p->state == PORTAL_IS_NEW;
    move(p, PORTAL_IS_ENDED, err == NULL ? "done" : "failed");
    if (p->has_alarm) {
        alarm_clear(p->db->node, &p->alarm);
        p->has_alarm = false;
    }
    if (p->leaves != NULL) {
        leaves_end(p);
    }
    query_session_end(p->session, p);
    if (was_new && err == NULL) {
        return; /* Freed before it was run. */
    }
    metric_add(METRIC_statements, 1);
    metric_observe_us(METRIC_statement, clock_micros() - p->started_us);
    if (err != NULL) {
        metric_add(METRIC_statements_failed, 1);
        metric_add(METRIC_statements_canceled, err->code == ERR_CANCELED ? 1 : 0);
    }
    if (atomic_load(&p->refs) == 1) {
        portal_release_run(p);
    }
}

void portal_free(struct portal *p)
{
    CHECK_HOT(p == NULL || atomic_load(&p->refs) > 0);
    if (p == NULL) {
        return;
    }
    struct query_session *session = p->session;
    bool is_working = p->state == PORTAL_IS_WORKING;
    end(p, NULL);
    if (atomic_load(&p->refs) == 1 && session->spare == NULL) {
        portal_release_run(p);
        portal_forget_plan(p);
        arena_reset(p->arena);
        arena_reset(p->batch_arena);
        arena_reset(p->row_arena);
        CHECK_HOT(p->state == PORTAL_IS_ENDED);
        session->spare = p;
        query_session_release(session);
        return;
    }
    database_hold(p->db);
    mutex_lock(&p->lock);
    atomic_store(&p->is_abandoned, true);
    p->is_parked = false;
    bool holds_job = is_working && p->job_ended;
    mutex_unlock(&p->lock);
    if (holds_job) {
        portal_unref(p);
    }
    portal_unref(p);
}

/* A fragment's text goes the way of a client's. */
static const struct fragment_runner runner = {
    .prepare = prepared_new_whole,
    .open = portal_new,
    .run = portal_run,
    .close = portal_free,
    .forget = prepared_free,
};

static void reset_portal(struct portal *p, struct query_session *session,
                         const struct prepared *prepared, const struct portal_sink *sink)
{
    struct binding *bound = prepared->bound;
    CHECK_HOT(bound != NULL && bound->verb != NULL);
    const struct plan *plan = bound->plan;
    atomic_store(&p->refs, 1);
    atomic_fetch_add(&session->refs, 1);
    binding_hold(bound);
    p->session = session;
    p->db = session->db;
    p->bound = bound;
    p->plan = plan;
    p->collection = bound->collection;
    p->verb = p->plan_verb = bound->verb;
    p->operator_bytes = bound->operator_bytes;
    p->sink = *sink;
    p->batch = (struct batch){.n_columns = plan->n_columns};
    p->set = &session->policies;
    p->with = plan->with;
    p->shard = NULL;
    p->leaves = NULL;
    p->runner = &runner;
    p->is_leaf = false;
    p->limit = UINT64_MAX;
    p->offset = 0;
    p->is_heavy = p->is_inline = p->is_moving = p->told_copy_out = p->has_notice = false;
    p->work = (struct work){.left = WORK_SLICE, .ask = ask};
    p->slice_left = WORK_SLICE;
    p->work_spent = 0;
    p->copy_out = NULL;
    p->rows = p->analyzed_rows = p->started_us = p->deadline_us = 0;
    p->pause_until_us = p->settle_until_us = 0;
    p->pending = NULL;
    p->job_ended = p->is_parked = p->is_suspended = false;
    p->events = p->events_seen = 0;
    p->phase = NULL;
}

/* Long ones are copied only, and checked by the first step, on the pool. */
static enum errcode take_parameters(struct portal *p, const struct value *given, struct err *err)
{
    CHECK_HOT(p->state == PORTAL_IS_NEW);
    size_t bytes = 0, n = p->plan->n_types;
    p->parameters = arena_array(p->arena, n, sizeof(*p->parameters));
    if (p->parameters == NULL) {
        return portal_no_memory(p, err);
    }
    for (size_t i = 0; i < n; i++) {
        if (!value_copy(&p->parameters[i], &given[i], p->arena)) {
            return portal_no_memory(p, err);
        }
        bytes += value_bytes(&given[i]);
    }
    p->is_unchecked = bytes > INLINE_BIND_BYTES_MAX && !p->verb->is_untimed;
    p->is_heavy = p->is_unchecked;
    return p->is_unchecked ? ERR_OK : portal_check_parameters(p, err);
}

/* statement_memory as it is known before the portal is there: WITH, or the session's. */
static size_t budget_of(const struct query_session *session, const struct policy_file *file,
                        const struct plan *plan)
{
    struct policy_view view = {.levels = {[LEVEL_FILE] = &file->set,
                                          [LEVEL_SESSION] = &session->policies,
                                          [LEVEL_STATEMENT] = plan->with}};
    return (size_t)policy_int(&view, POLICY_statement_memory);
}

enum errcode portal_new(struct query_session *session, struct prepared *prepared,
                        const struct parameters *parameters, const struct portal_sink *sink,
                        struct portal **out, struct err *err)
{
    CHECK(parameters->values != NULL || parameters->n == 0);
    CHECK(sink->wake != NULL);
    CHECK_HOT(prepared->session == session);
    enum errcode code = prepared_refresh(session, prepared, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct plan *plan = prepared->bound->plan;
    if (parameters->n != plan->n_types) {
        return err_set(err, ERR_UNKNOWN_PARAMETER,
                       "the statement has %zu parameters, and %zu values were given", plan->n_types,
                       parameters->n);
    }
    struct policy_file *file = policy_file_acquire(session->db->node);
    struct portal *p = portal_alloc(session, budget_of(session, file, plan));
    if (p == NULL) {
        policy_file_release(file);
        return err_no_memory(err);
    }
    reset_portal(p, session, prepared, sink);
    p->file = file;
    code = take_parameters(p, parameters->values, err);
    if (code != ERR_OK) {
        portal_free(p);
        return code;
    }
    *out = p;
    return ERR_OK;
}

size_t portal_columns(const struct portal *p, const struct result_column **columns)
{
    CHECK_HOT(p->plan != NULL);
    *columns = p->plan->columns;
    return p->plan->n_columns;
}

const char *portal_tag(const struct portal *p)
{
    return p->plan->tag;
}

uint64_t portal_rows(const struct portal *p)
{
    return p->rows;
}

enum portal_company portal_company(const struct portal *p)
{
    enum {
        LONG_NS = 50000 /* A search of this is worth the change of threads. */
    };
    if (p->verb == &verb_insert) {
        return PORTAL_AMONG_INSERTS;
    }
    bool is_long = p->verb == &verb_search && node_threads(p->db->node) > 1 &&
                   atomic_load(&p->bound->search_cost_ns) >= LONG_NS;
    return is_long ? PORTAL_AMONG_SEARCHES : PORTAL_ALONE;
}

bool portal_may_be_passed(const struct portal *p, size_t *bytes)
{
    CHECK_HOT(p->plan != NULL);
    *bytes = p->write_bytes;
    switch (portal_company(p)) {
    case PORTAL_AMONG_INSERTS:
        return p->state == PORTAL_IS_BLOCKED && p->pending != NULL;
    case PORTAL_AMONG_SEARCHES:
        *bytes = 0;
        return p->state == PORTAL_IS_WORKING;
    case PORTAL_ALONE:
        break;
    }
    return false;
}

void portal_prefer_pool(struct portal *p)
{
    CHECK(p->state == PORTAL_IS_NEW);
    p->is_heavy = true;
}

/* ---- running ---- */

/* The first one begins with the start, and ends with it where the rest belongs on the pool, or
 * needs rows of leaves elsewhere. */
static enum step start_or_step(struct portal *p, struct err *err)
{
    bool was_heavy = p->is_heavy, was_open = p->is_open;
    if (!was_open && portal_start(p, err) != ERR_OK) {
        return STEP_FAILED;
    }
    p->is_open = true;
    bool is_to_gather = !was_open && p->leaves != NULL;
    return p->is_heavy == was_heavy && !is_to_gather ? p->verb->step(p, err) : STEP_MORE;
}

/* Expressions know nothing of the bound of the arenas that they are reckoned in. */
static enum step run_step(struct portal *p, struct err *err)
{
    enum step step = start_or_step(p, err);
    if (step == STEP_FAILED && err->code == ERR_OUT_OF_MEMORY && err->policy[0] == '\0' &&
        (arena_failed(p->arena) || arena_failed(p->row_arena))) {
        portal_no_memory(p, err);
    }
    return step;
}

/* A step on the owner's thread; POOL where it was given up for the pool. */
static enum step run_inline(struct portal *p, struct err *err)
{
    CHECK_HOT(p->state == PORTAL_IS_READY && !p->is_inline && !p->is_heavy);
    const struct verb *verb = p->plan_verb;
    p->is_inline = !verb->keeps_steps;
    enum step step = run_step(p, err);
    p->is_inline = false;
    if (step == STEP_FAILED && p->is_moving) {
        step = STEP_POOL;
        err_clear(err); /* Which said so, and is no failure. */
    }
    p->is_moving = false;
    return step;
}

/* The job's reference goes to the owner with its result: when the client hears of the end, nothing
 * of the statement is left with the pool. */
static void run_job(void *arg)
{
    CHECK_ROLE(work_thread);
    struct portal *p = arg;
    p->job_step = run_step(p, &p->job_err);
    mutex_lock(&p->lock);
    p->job_ended = true; /* No event: what is waited for next would take it for its own. */
    portal_wake(p);
    bool is_abandoned = atomic_load(&p->is_abandoned);
    mutex_unlock(&p->lock);
    if (is_abandoned) {
        portal_unref(p);
    }
}

static void start_job(struct portal *p)
{
    CHECK(p->state == PORTAL_IS_READY && !p->is_inline);
    move(p, PORTAL_IS_WORKING, "long step");
    portal_ref(p);
    mutex_lock(&p->lock);
    p->job_ended = false;
    p->job_events = p->events;
    mutex_unlock(&p->lock);
    p->job = (struct job){.run = run_job, .arg = p};
    node_submit(p->db->node, &p->job);
}

static bool job_has_ended(struct portal *p)
{
    mutex_lock(&p->lock);
    bool has = p->job_ended;
    mutex_unlock(&p->lock);
    return has;
}

/* Hands rows out.  DONE: the batch is empty. */
static enum portal_status hand_out(struct portal *p, uint64_t row_limit, uint64_t *n_given)
{
    CHECK_HOT(p->batch.next_row <= p->batch.n_rows && p->batch.n_rows <= p->batch.capacity_rows);
    struct batch *batch = &p->batch;
    while (batch->next_row < batch->n_rows) {
        if (row_limit != 0 && *n_given == row_limit) {
            return PORTAL_SUSPENDED;
        }
        if (p->sink.is_full(p->sink.arg)) {
            return PORTAL_FULL;
        }
        p->sink.row(p->sink.arg, batch->values + batch->next_row * batch->n_columns,
                    batch->n_columns);
        batch->next_row++;
        p->rows++;
        ++*n_given;
    }
    if (p->copy_out != NULL && !p->told_copy_out) {
        p->told_copy_out = true;
        return PORTAL_COPY_OUT;
    }
    if (p->copy_out != NULL && p->copy_out->bytes > 0) {
        if (p->sink.is_full(p->sink.arg)) {
            return PORTAL_FULL;
        }
        p->sink.copy_data(p->sink.arg, p->copy_out->data, p->copy_out->bytes);
        buf_reset(p->copy_out);
    }
    return PORTAL_DONE;
}

static void begin_batch(struct portal *p)
{
    CHECK_HOT(p->batch.next_row == p->batch.n_rows); /* All of the last one is handed out. */
    arena_reset(p->batch_arena);
    p->batch = (struct batch){.n_columns = p->batch.n_columns};
}

/* Where the state goes after a step; the status to return, or DONE to go on. */
static enum portal_status after_step(struct portal *p, enum step step)
{
    if (p->has_notice) {
        p->has_notice = false;
        p->sink.notice(p->sink.arg, &p->notice);
    }
    switch (step) {
    case STEP_MORE:
        return PORTAL_DONE;
    case STEP_DONE:
        move(p, PORTAL_IS_LAST, "nothing more");
        return PORTAL_DONE;
    case STEP_POOL:
        p->is_heavy = true;
        return PORTAL_DONE;
    case STEP_COPY_IN:
        move(p, PORTAL_IS_COPYING, "wants data");
        return portal_park(p) ? PORTAL_COPY_IN : PORTAL_DONE;
    case STEP_WAIT:
        move(p, PORTAL_IS_BLOCKED, "for a write or a pause");
        return PORTAL_DONE;
    default:
        CHECK(step == STEP_FAILED);
        return PORTAL_FAILED;
    }
}

/* A statement that is to end early tells first what has come of what it submitted: its step does,
 * as ever. */
static enum portal_status leave_blocked(struct portal *p)
{
    CHECK_HOT(p->state == PORTAL_IS_BLOCKED);
    struct err why;
    bool is_ending = !leaves_are_writing(p) && portal_poll(p, &why) != ERR_OK;
    if (is_ending && p->pending != NULL && !pendings_settle(p, &why)) {
        return portal_park(p) ? PORTAL_WAIT : PORTAL_DONE;
    }
    if (!is_ending && portal_park(p)) {
        return PORTAL_WAIT;
    }
    move(p, PORTAL_IS_READY, is_ending ? "ends early" : "event");
    return PORTAL_DONE;
}

/* The sink is full, and the rows wait for the client. */
static enum portal_status wait_for_room(struct portal *p, struct err *err)
{
    if (portal_poll(p, err) != ERR_OK) {
        return PORTAL_FAILED;
    }
    return portal_park(p) ? PORTAL_FULL : PORTAL_DONE;
}

/* One move of the machine, with the batch empty.  DONE: go on. */
static enum portal_status advance(struct portal *p, struct err *err)
{
    if (p->state != PORTAL_IS_WORKING && p->phase != NULL) { /* Nobody else writes it then. */
        portal_tell_progress(p);
    }
    switch ((enum portal_state)p->state) {
    case PORTAL_IS_COPYING:
        move(p, PORTAL_IS_READY, "run");
        return PORTAL_DONE;
    case PORTAL_IS_BLOCKED:
        return leave_blocked(p);
    case PORTAL_IS_WORKING:
        portal_tell_progress(p);
        if (!job_has_ended(p)) {
            return portal_park(p) ? PORTAL_WAIT : PORTAL_DONE;
        }
        move(p, PORTAL_IS_READY, "step ended");
        portal_unref(p); /* The job's. */
        if (p->job_step == STEP_FAILED) {
            *err = p->job_err;
        }
        p->events_seen = p->job_events; /* The step may have looked before what came meanwhile. */
        return after_step(p, p->job_step);
    default:
        break;
    }
    CHECK(p->state == PORTAL_IS_READY);
    /* What was submitted may have happened: only the step can tell of it. */
    bool is_to_tell = p->pending != NULL || p->verb->polls_itself || leaves_are_writing(p);
    if (!is_to_tell && portal_poll(p, err) != ERR_OK) {
        return PORTAL_FAILED;
    }
    enum step gathered = p->leaves != NULL ? leaves_gather(p, err) : STEP_MORE;
    if (gathered != STEP_MORE) {
        return after_step(p, gathered);
    }
    begin_batch(p);
    if (p->is_heavy) {
        start_job(p);
        return PORTAL_DONE;
    }
    return after_step(p, run_inline(p, err));
}

static void begin(struct portal *p)
{
    CHECK_HOT(p->state == PORTAL_IS_NEW && p->file != NULL);
    p->started_us = p->phase_at_us = clock_micros();
    query_session_begin(p->session, p);
    move(p, PORTAL_IS_READY, "begun");
}

enum portal_status portal_run(struct portal *p, uint64_t row_limit, struct err *err)
{
    uint64_t n_given = 0;
    CHECK(!role_is_mine(&work_thread)); /* Its owner's. */
    p->inline_left = INLINE_WORK_MAX;
    CHECK(p->state != PORTAL_IS_ENDED || p->batch.next_row == p->batch.n_rows);
    if (p->state == PORTAL_IS_ENDED) {
        return PORTAL_DONE;
    }
    if (p->state == PORTAL_IS_NEW) {
        begin(p);
    } else {
        come_back(p);
    }
    for (;;) {
        enum portal_status status = PORTAL_DONE;
        if (p->state == PORTAL_IS_READY || p->state == PORTAL_IS_LAST) {
            status = hand_out(p, row_limit, &n_given);
        }
        if (status == PORTAL_DONE && p->state == PORTAL_IS_LAST) {
            end(p, NULL);
            return PORTAL_DONE;
        }
        if (status == PORTAL_DONE) {
            status = advance(p, err);
        } else if (status == PORTAL_FULL) {
            status = wait_for_room(p, err);
        }
        if (status == PORTAL_FAILED) {
            end(p, err);
        }
        if (status != PORTAL_DONE) {
            return status;
        }
    }
}
