/* A session that runs statements against the model.
 *
 * A client's keys are its own.  What a statement makes of them is written into the client's doubt
 * before it runs; when it was told to have happened, the model takes it over, and when it was told
 * any error but 40003, it is forgotten.  After 40003 and after a crash the client *settles*: it
 * writes a row of its own, and when that is acknowledged everything before it has happened or never
 * will; then it reads its keys, which must show the statement whole or not at all. */
#include <stdio.h>
#include <string.h>

#include "test/sim/run.h"

enum {
    ROWS_BYTES = 1 << 20,
    PATIENCE_US = 600 * 1000000, /* Of time that is simulated. */
    RETRY_NS = 20000000,
    FULL_ONE_IN = 50,
    POOL_ONE_IN = 4,
    CUT_ONE_IN = 3,
    LEAVES_MAX = 3,
};

/* ---- running a statement ---- */

void put_row(struct buf *out, const struct value *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            buf_u8(out, '|');
        }
        value_format(out, &values[i]);
    }
    buf_u8(out, '\n');
}

static void take_row(void *arg, const struct value *values, size_t n)
{
    struct run *r = arg;
    put_row(&r->rows, values, n);
    r->n_rows++;
}

static bool is_full_by_chance(void *arg)
{
    (void)arg;
    return chance_is(STREAM_CLIENT, FULL_ONE_IN);
}

static void take_copy(void *arg, const void *data, size_t bytes)
{
    buf_bytes(&((struct run *)arg)->rows, data, bytes);
}

static void take_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    (void)arg, (void)phase, (void)done, (void)total;
}

static void take_notice(void *arg, const struct err *notice)
{
    (void)arg, (void)notice;
}

static void take_status(void *arg, const char *name, const char *value)
{
    (void)arg, (void)name, (void)value;
}

static void take_wake(void *arg)
{
    struct run *r = arg;
    mutex_lock(&r->lock);
    r->wakes++;
    condition_signal(&r->woken);
    mutex_unlock(&r->lock);
}

void wait_for_wake(struct run *r)
{
    uint64_t deadline = clock_micros() + PATIENCE_US;
    mutex_lock(&r->lock);
    while (r->wakes == 0) {
        if (!condition_wait_until(&r->woken, &r->lock, deadline)) {
            sim_fail("client %u was not woken for %d s: %s", r->who->number, PATIENCE_US / 1000000,
                     r->text);
        }
    }
    r->wakes--;
    mutex_unlock(&r->lock);
}

static void send_copy(struct run *r, struct portal *portal)
{
    size_t bytes = strlen(r->copied);
    if (bytes == 0) {
        portal_copy_done(portal);
    } else {
        size_t n = 1 + chance_below(STREAM_CLIENT, bytes);
        portal_copy_data(portal, r->copied, n);
        r->copied += n;
    }
}

/* As if it had not been told: the client is no longer there to hear it. */
static enum errcode abandon(struct run *r)
{
    return err_set(&r->err, ERR_OUTCOME_UNKNOWN, "the client has gone away");
}

static enum errcode drive(struct run *r, struct portal *portal)
{
    uint64_t row_limit = chance_below(STREAM_CLIENT, 8); /* 0: none. */
    for (;;) {
        switch (portal_run(portal, row_limit, &r->err)) {
        case PORTAL_DONE:
            r->changed = portal_rows(portal);
            return ERR_OK;
        case PORTAL_FAILED:
            CHECK(r->err.code != ERR_OK);
            return r->err.code;
        case PORTAL_WAIT:
            if (r->may_stop && fault_happens(FAULT_ABANDONED)) {
                return abandon(r);
            }
            wait_for_wake(r);
            break;
        case PORTAL_COPY_IN:
            send_copy(r, portal);
            break;
        case PORTAL_COPY_OUT:
        case PORTAL_FULL:
        case PORTAL_SUSPENDED:
            break;
        }
    }
}

struct portal_sink sink_of(struct run *r)
{
    return (struct portal_sink){.row = take_row,
                                .is_full = is_full_by_chance,
                                .copy_data = take_copy,
                                .progress = take_progress,
                                .notice = take_notice,
                                .status = take_status,
                                .wake = take_wake,
                                .arg = r};
}

static enum errcode run_prepared(struct run *r, struct prepared *prepared)
{
    struct portal_sink sink = sink_of(r);
    struct parameters none = {.n = 0};
    struct portal *portal;
    enum errcode code = portal_new(r->session, prepared, &none, &sink, &portal, &r->err);
    if (code == ERR_OK) {
        if (strncmp(r->text, "SEARCH", 6) == 0 && chance_is(STREAM_CLIENT, POOL_ONE_IN)) {
            portal_prefer_pool(portal);
        }
        code = drive(r, portal);
        portal_free(portal);
    }
    return code;
}

/* As the server does with a long text. */
static enum errcode prepare_on_pool(struct run *r, struct prepared **out)
{
    struct buf held;
    size_t rest;
    buf_init(&held, MEM_SESSION, SIZE_MAX);
    buf_bytes(&held, r->text, strlen(r->text));
    struct statement_text source = {.data = (const char *)held.data, .bytes = held.bytes};
    struct preparing *preparing =
        held.failed ? NULL : preparing_begin(r->session, &source, false, &held, &r->err);
    if (preparing == NULL) {
        buf_fini(&held);
        return err_no_memory(&r->err);
    }
    preparing_start(preparing, take_wake, r);
    while (!preparing_has_ended(preparing)) {
        wait_for_wake(r);
    }
    enum errcode code = preparing_end(preparing, out, &rest, &held, &r->err);
    buf_fini(&held);
    return code;
}

enum errcode prepare(struct run *r, struct prepared **out)
{
    struct statement_text source = {.data = r->text, .bytes = strlen(r->text)};
    size_t rest;
    return chance_is(STREAM_CLIENT, POOL_ONE_IN)
               ? prepare_on_pool(r, out)
               : prepared_new(r->session, &source, out, &rest, &r->err);
}

bool is_excused(enum errcode code)
{
    switch (code) {
    case ERR_OK:
    case ERR_OUTCOME_UNKNOWN:
        return true;
    case ERR_CANCELED:
        return world->one_in[FAULT_CANCEL] != 0;
    case ERR_TIMEOUT:
        return world->one_in[FAULT_TIMEOUT] != 0;
    case ERR_OUT_OF_MEMORY:
        return (world->one_in[FAULT_NO_MEMORY] | world->one_in[FAULT_NO_THREAD]) != 0;
    case ERR_NOT_READY: /* A CREATE that was canceled late has succeeded before all is open. */
        return (world->one_in[FAULT_CANCEL] | world->one_in[FAULT_NO_MEMORY]) != 0;
    case ERR_IO:
    case ERR_DISK_FULL:
    case ERR_TOO_MANY_FILES:
    case ERR_OVERLOADED:
        return (world->one_in[FAULT_EIO_WRITE] | world->one_in[FAULT_EIO_SYNC] |
                world->one_in[FAULT_SHORT_WRITE] | world->one_in[FAULT_NO_SPACE] |
                world->one_in[FAULT_NO_MEMORY] | world->one_in[FAULT_EIO_READ] |
                world->one_in[FAULT_DEAD_DISK] | world->one_in[FAULT_NO_THREAD] |
                world->one_in[FAULT_NO_DESCRIPTOR]) != 0;
    default:
        return false;
    }
}

static bool begins_with(const struct run *r, const char *word)
{
    return strncmp(r->text, word, strlen(word)) == 0;
}

/* The next statement is cut for some leaves, or for none.  A write is whole or not at all in each
 * of them, which is what the model knows where there is one. */
void choose_leaves(struct run *r)
{
    bool reads = begins_with(r, "SELECT") || begins_with(r, "SEARCH");
    bool writes = begins_with(r, "UPDATE") || begins_with(r, "DELETE");
    struct policy_set *set = query_session_policies(r->session); /* No memory is needed for it. */
    struct policy_value n = {.integer = 0};
    if ((reads || writes) && chance_is(STREAM_LEAVES, CUT_ONE_IN)) {
        n.integer = 1 + (reads ? (int64_t)chance_below(STREAM_LEAVES, LEAVES_MAX) : 0);
        world->n_cut++;
    }
    set->values[POLICY_debug_fragments] = n;
    set->is_set |= 1ULL << POLICY_debug_fragments;
}

/* Runs what stands in r->text; @expected is an error that it may well give. */
enum errcode run(struct run *r, enum errcode expected)
{
    struct prepared *prepared = NULL;
    buf_reset(&r->rows);
    r->n_rows = 0;
    r->changed = 0;
    err_clear(&r->err);
    choose_leaves(r);
    fault_memory();
    enum errcode code = prepare(r, &prepared);
    if (code == ERR_OK) {
        code = run_prepared(r, prepared);
    }
    prepared_free(prepared);
    CHECK(!r->rows.failed);
    world->n_statements++;
    world->n_acknowledged += code == ERR_OK;
    world->n_unknown += code == ERR_OUTCOME_UNKNOWN;
    world->n_failed += code != ERR_OK && code != ERR_OUTCOME_UNKNOWN;
    world_note((uint64_t)code << 32 ^ r->changed);
    if (strcmp(r->text, "SHOW METRICS") != 0) { /* It tells of the true process's memory. */
        world_note(hash_bytes(r->rows.data, r->rows.bytes, 0));
    }
    trace("client %u: %.300s -> %s %s, %zu rows, %llu changed", r->who->number, r->text,
          err_name(code), code == ERR_OK ? "" : r->err.message, r->n_rows,
          (unsigned long long)r->changed);
    if (code != expected && !is_excused(code)) {
        sim_fail("client %u: %.300s: %s (%s)", r->who->number, r->text, err_name(code),
                 r->err.message);
    }
    return code;
}

void expect_rows(struct run *r)
{
    if (r->rows.bytes != r->expected.bytes ||
        memcmp(r->rows.data, r->expected.data, r->rows.bytes) != 0) {
        sim_fail("client %u: %.300s gave\n%.*sinstead of\n%.*s", r->who->number, r->text,
                 (int)(r->rows.bytes < 700 ? r->rows.bytes : 700), (const char *)r->rows.data,
                 (int)(r->expected.bytes < 700 ? r->expected.bytes : 700),
                 (const char *)r->expected.data);
    }
}

static bool is_over(void)
{
    return world->switches >= world->stop_at;
}

/* ---- settling ---- */

bool write_settling_row(struct run *r)
{
    (void)snprintf(r->text, sizeof(r->text),
                   "INSERT INTO t (id, n, c, e) VALUES (%u, %lld, 0, [1, 2, 3, 4]) "
                   "ON CONFLICT DO UPDATE",
                   r->who->number * ID_OF_CLIENT + ID_SETTLING, (long long)++world->model.last_n);
    bool is_written = run(r, ERR_OK) == ERR_OK;
    r->is_early = r->is_early && !is_written;
    return is_written;
}

static bool read_key(struct run *r, unsigned key)
{
    (void)snprintf(r->text, sizeof(r->text), "SELECT id, n, c, note FROM t WHERE id = %u",
                   r->who->number * ID_OF_CLIENT + key);
    return run(r, ERR_OK) == ERR_OK;
}

/* Whether r->rows is what @cell says. */
static bool is_as(struct run *r, unsigned key, const struct cell *cell)
{
    buf_reset(&r->expected);
    if (cell->is_there) {
        model_row(r->who->number, key, cell, &r->expected);
    }
    return r->rows.bytes == r->expected.bytes &&
           memcmp(r->rows.data, r->expected.data, r->rows.bytes) == 0;
}

/* Reads what the doubt names: false where a read failed.  Each key is as before or as after. */
static bool read_doubt(struct run *r, bool is_after[CHANGES_MAX], bool is_before[CHANGES_MAX])
{
    const struct doubt *doubt = &world->model.doubts[r->who->number];
    for (size_t i = 0; i < doubt->n; i++) {
        unsigned key = doubt->keys[i];
        if (!read_key(r, key)) {
            return false;
        }
        is_before[i] = is_as(r, key, &world->model.cells[r->who->number][key]);
        is_after[i] = is_as(r, key, &doubt->cells[i]);
        if (!is_before[i] && !is_after[i]) {
            sim_fail("client %u: row %u is neither as before nor as after: %.*s", r->who->number,
                     key, (int)r->rows.bytes, (const char *)r->rows.data);
        }
    }
    return true;
}

static bool settle(struct run *r)
{
    bool is_after[CHANGES_MAX] = {false}, is_before[CHANGES_MAX] = {false};
    bool has_all = true, has_none = true;
    struct doubt *doubt = &world->model.doubts[r->who->number];
    if (!write_settling_row(r) || !read_doubt(r, is_after, is_before)) {
        return false;
    }
    for (size_t i = 0; i < doubt->n; i++) {
        has_all = has_all && is_after[i];
        has_none = has_none && is_before[i];
    }
    if (!has_all && !has_none) {
        sim_fail("client %u: of %zu rows that one statement wrote a part is there", r->who->number,
                 doubt->n);
    }
    if (has_all) {
        model_happened(r->who->number);
    } else {
        model_forgotten(r->who->number);
    }
    return true;
}

/* True when nothing is in doubt any more. */
bool settle_at_last(struct run *r)
{
    uint64_t until_ns = world->now_ns + (uint64_t)PATIENCE_US * 1000;
    while (world->model.doubts[r->who->number].n > 0 && !settle(r)) {
        if (!world->has_faults && world->now_ns > until_ns) {
            sim_fail("client %u cannot write though nothing fails any more: %s", r->who->number,
                     r->err.message);
        }
        if (is_over() && world->has_faults) {
            return false;
        }
        sched_sleep(RETRY_NS);
    }
    return true;
}

/* ---- a client's life ---- */

void reserve(struct buf *b, size_t bytes)
{
    buf_init(b, MEM_GENERAL, bytes);
    while (buf_reserve(b, bytes) == NULL) {
        buf_reset(b);
    }
}

static void begin(struct run *r, struct sim_client *who)
{
    r->who = who;
    r->is_early = r->may_stop = false;
    mutex_init(&r->lock);
    condition_init(&r->woken);
    reserve(&r->rows, ROWS_BYTES);
    reserve(&r->expected, ROWS_BYTES);
    while ((r->session = query_session_new(who->db, who->number + 1, &r->err)) == NULL) {
        if (!is_excused(r->err.code)) {
            sim_fail("no session: %s", r->err.message);
        }
    }
}

static void end(struct run *r)
{
    query_session_free(r->session);
    buf_fini(&r->rows);
    buf_fini(&r->expected);
    condition_fini(&r->woken);
    mutex_fini(&r->lock);
}

void client_main(void *arg)
{
    struct sim_client *who = arg;
    static struct run runs[CLIENTS];
    struct run *r = &runs[who->number];
    begin(r, who);
    who->session = r->session;
    check_file(who->number);
    if (settle_at_last(r)) {
        read_range(r, 0, KEYS - 1);
    }
    while (!is_over() && world->model.doubts[who->number].n == 0) {
        run_some_statement(r);
        pause_by_chance();
    }
    who->session = NULL;
    end(r);
}

bool client_make_collection(struct database *db)
{
    static struct sim_client who = {.number = CLIENTS};
    static struct run r;
    who.db = db;
    begin(&r, &who);
    (void)snprintf(r.text, sizeof(r.text),
                   "CREATE COLLECTION IF NOT EXISTS t "
                   "(id INT PRIMARY KEY, n INT, c INT, note TEXT, e VECTOR(4))");
    bool is_made = run(&r, ERR_OK) == ERR_OK;
    end(&r);
    return is_made;
}

static void expect_all_rows(struct run *r)
{
    (void)snprintf(r->text, sizeof(r->text),
                   "SELECT id, n, c, note FROM t WHERE id %% %d <> %d AND id < %d ORDER BY id",
                   ID_OF_CLIENT, ID_SETTLING, ID_SHARED);
    if (run(r, ERR_OK) == ERR_OK) {
        buf_reset(&r->expected);
        for (unsigned client = 0; client < CLIENTS; client++) {
            model_rows(client, 0, KEYS - 1, &r->expected);
        }
        expect_rows(r);
    }
}

/* A walk with the largest effort finds what the exact search finds: each row is led to. */
static void expect_all_led_to(struct run *r)
{
    (void)snprintf(r->text, sizeof(r->text),
                   "SEARCH id, distance FROM t NEAR [1, 2, 3, 4] LIMIT 1000 WITH (exact = on)");
    if (run(r, ERR_OK) == ERR_OK) {
        buf_reset(&r->expected);
        buf_bytes(&r->expected, r->rows.data, r->rows.bytes);
        (void)snprintf(r->text, sizeof(r->text),
                       "SEARCH id, distance FROM t NEAR [1, 2, 3, 4] LIMIT 1000 WITH (ef = 1000)");
        if (run(r, ERR_OK) == ERR_OK) {
            expect_rows(r);
        }
    }
}

void client_check_all(struct database *db)
{
    static struct sim_client who = {.number = CLIENTS};
    static struct run r;
    who.db = db;
    begin(&r, &who);
    /* Clients have left writes behind that were acknowledged before they can be seen. */
    if (write_settling_row(&r)) {
        expect_all_rows(&r);
        expect_all_led_to(&r);
    }
    end(&r);
}
