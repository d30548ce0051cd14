/* A session that runs statements against the model.
 *
 * A client's keys are its own.  What a statement makes of them is written into the client's doubt
 * before it runs; when it was told to have happened, the model takes it over, and when it was told
 * any error but 40003, it is forgotten.  After 40003 and after a crash the client *settles*: it
 * writes a row of its own, and when that is acknowledged everything before it has happened or never
 * will; then it reads its keys, which must show the statement whole or not at all. */
#include <stdio.h>
#include <string.h>

#include "query/query.h"
#include "test/sim/sim.h"

enum {
    TEXT_BYTES = 8192,
    ROWS_BYTES = 128 << 10,
    PATIENCE_US = 600 * 1000000, /* Of time that is simulated. */
    RETRY_NS = 20000000,
    PAUSE_NS_MAX = 1000000000 * 2,
};

struct run {
    struct sim_client *who;
    struct query_session *session;
    struct mutex lock;
    struct condition woken;
    unsigned wakes;
    struct buf rows, expected;
    size_t n_rows;
    char text[TEXT_BYTES];
    const char *copied; /* What COPY FROM STDIN sends. */
    uint64_t changed;
    struct err err;
};

/* ---- running a statement ---- */

static void take_row(void *arg, const struct value *values, size_t n)
{
    struct run *r = arg;
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            buf_u8(&r->rows, '|');
        }
        value_format(&r->rows, &values[i]);
    }
    buf_u8(&r->rows, '\n');
    r->n_rows++;
}

static bool is_never_full(void *arg)
{
    (void)arg;
    return false;
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

static void wait_for_wake(struct run *r)
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
    while (bytes > 0) {
        size_t n = 1 + chance_below(STREAM_CLIENT, bytes);
        bool is_full;
        if (portal_copy_data(portal, r->copied, n, &is_full, &r->err) != ERR_OK) {
            return; /* portal_run says why. */
        }
        r->copied += n;
        bytes -= n;
        if (is_full) {
            wait_for_wake(r);
            return;
        }
    }
    portal_copy_done(portal);
}

static enum errcode drive(struct run *r, struct portal *portal)
{
    for (;;) {
        switch (portal_run(portal, 0, &r->err)) {
        case PORTAL_DONE:
            r->changed = portal_rows(portal);
            return ERR_OK;
        case PORTAL_FAILED:
            CHECK(r->err.code != ERR_OK);
            return r->err.code;
        case PORTAL_WAIT:
            wait_for_wake(r);
            break;
        case PORTAL_COPY_IN:
            send_copy(r, portal);
            break;
        case PORTAL_COPY_OUT:
            break;
        case PORTAL_FULL:
        case PORTAL_SUSPENDED:
            sim_fail("neither was the sink full nor a row limit given: %s", r->text);
        }
    }
}

static enum errcode run_prepared(struct run *r, struct prepared *prepared)
{
    struct portal_sink sink = {.row = take_row,
                               .is_full = is_never_full,
                               .copy_data = take_copy,
                               .progress = take_progress,
                               .notice = take_notice,
                               .status = take_status,
                               .wake = take_wake,
                               .arg = r};
    struct parameters none = {.n = 0};
    struct portal *portal;
    enum errcode code = portal_new(r->session, prepared, &none, &sink, &portal, &r->err);
    if (code == ERR_OK) {
        code = drive(r, portal);
        portal_free(portal);
    }
    return code;
}

static bool is_excused(enum errcode code)
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
        return world->one_in[FAULT_NO_MEMORY] != 0;
    case ERR_IO:
    case ERR_DISK_FULL:
    case ERR_OVERLOADED:
    case ERR_NOT_READY:
        return (world->one_in[FAULT_EIO_WRITE] | world->one_in[FAULT_EIO_SYNC] |
                world->one_in[FAULT_SHORT_WRITE] | world->one_in[FAULT_NO_SPACE] |
                world->one_in[FAULT_NO_MEMORY]) != 0;
    default:
        return false;
    }
}

/* Runs what stands in r->text; @expected is an error that it may well give. */
static enum errcode run(struct run *r, enum errcode expected)
{
    struct statement_text source = {.data = r->text, .bytes = strlen(r->text)};
    struct prepared *prepared = NULL;
    size_t rest;
    buf_reset(&r->rows);
    r->n_rows = 0;
    r->changed = 0;
    err_clear(&r->err);
    fault_memory();
    enum errcode code = prepared_new(r->session, &source, &prepared, &rest, &r->err);
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

static void expect_rows(struct run *r)
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

static bool write_settling_row(struct run *r)
{
    (void)snprintf(r->text, sizeof(r->text),
                   "INSERT INTO t (id, n, c, e) VALUES (%u, %lld, 0, [1, 2, 3, 4]) "
                   "ON CONFLICT DO UPDATE",
                   r->who->number * ID_OF_CLIENT + ID_SETTLING, (long long)++world->model.last_n);
    return run(r, ERR_OK) == ERR_OK;
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
        if (doubt->is_each && is_after[i]) {
            world->model.cells[r->who->number][doubt->keys[i]] = doubt->cells[i];
        }
    }
    if (!doubt->is_each && !has_all && !has_none) {
        sim_fail("client %u: of %zu rows that one statement wrote a part is there", r->who->number,
                 doubt->n);
    }
    if (has_all && !doubt->is_each) {
        model_happened(r->who->number);
    } else {
        model_forgotten(r->who->number);
    }
    return true;
}

/* True when nothing is in doubt any more. */
static bool settle_at_last(struct run *r)
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

/* ---- statements ---- */

static struct cell *cell_of(const struct run *r, unsigned key)
{
    return &world->model.cells[r->who->number][key];
}

static void add_doubt(struct run *r, unsigned key, const struct cell *cell)
{
    struct doubt *doubt = &world->model.doubts[r->who->number];
    CHECK(doubt->n < CHANGES_MAX);
    doubt->keys[doubt->n] = key;
    doubt->cells[doubt->n++] = *cell;
}

static void add_text(struct run *r, const char *format, ...) PRINTF_LIKE(2, 3);
static void add_text(struct run *r, const char *format, ...)
{
    size_t used = strlen(r->text);
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(r->text + used, sizeof(r->text) - used, format, arguments);
    va_end(arguments);
    CHECK(n >= 0 && (size_t)n < sizeof(r->text) - used);
}

/* By chance the statement has little time, or another stage of acknowledgement. */
static void add_with(struct run *r)
{
    if (fault_happens(FAULT_TIMEOUT)) {
        add_text(r, " WITH (timeout = '%uus')", 1 + (unsigned)chance_below(STREAM_CLIENT, 20000));
    }
}

/* Runs a write whose doubt is noted; @expected is what it must say otherwise. */
static void run_write(struct run *r, enum errcode expected, uint64_t changed)
{
    unsigned me = r->who->number;
    enum errcode code = run(r, expected);
    if (code == ERR_OK && expected != ERR_OK) {
        sim_fail("client %u: %.300s should have failed", me, r->text);
    }
    if (code == ERR_OK && r->changed != changed) {
        sim_fail("client %u: %.300s changed %llu rows, not %llu", me, r->text,
                 (unsigned long long)r->changed, (unsigned long long)changed);
    }
    if (code == ERR_OK) {
        model_happened(me);
    } else if (code == ERR_OUTCOME_UNKNOWN || world->model.doubts[me].is_each) {
        (void)settle_at_last(r);
    } else {
        model_forgotten(me);
    }
}

static void begin_write(struct run *r, bool is_each)
{
    struct doubt *doubt = &world->model.doubts[r->who->number];
    CHECK(doubt->n == 0);
    doubt->is_each = is_each;
    r->text[0] = '\0';
}

/* Distinct keys, in rising order. */
static size_t some_keys(unsigned keys[CHANGES_MAX])
{
    size_t n = 1 + chance_below(STREAM_CLIENT, CHANGES_MAX);
    unsigned key = (unsigned)chance_below(STREAM_CLIENT, KEYS / 2);
    size_t taken = 0;
    while (taken < n && key < KEYS) {
        keys[taken++] = key;
        key += 1 + (unsigned)chance_below(STREAM_CLIENT, 3);
    }
    return taken;
}

static void insert(struct run *r)
{
    static const char *const conflicts[] = {"", " ON CONFLICT DO NOTHING",
                                            " ON CONFLICT DO UPDATE"};
    unsigned keys[CHANGES_MAX], way = (unsigned)chance_below(STREAM_CLIENT, 3);
    size_t n = some_keys(keys), n_taken = 0, changed = 0;
    begin_write(r, false);
    add_text(r, "INSERT INTO t (id, n, c, note, e) VALUES ");
    for (size_t i = 0; i < n; i++) {
        char vector[64];
        struct cell cell = {.is_there = true, .n = ++world->model.last_n, .count = 1};
        bool is_taken = cell_of(r, keys[i])->is_there;
        n_taken += is_taken;
        if (!is_taken || way == 2) {
            add_doubt(r, keys[i], &cell);
            changed++;
        }
        model_vector(cell.n, vector);
        add_text(r, "%s(%u, %lld, 1, 'note %lld', %s)", i > 0 ? ", " : "",
                 r->who->number * ID_OF_CLIENT + keys[i], (long long)cell.n, (long long)cell.n,
                 vector);
    }
    add_text(r, "%s", conflicts[way]);
    add_with(r);
    bool fails = way == 0 && n_taken > 0;
    if (fails) {
        model_forgotten(r->who->number);
    }
    run_write(r, fails ? ERR_DUPLICATE_KEY : ERR_OK, changed);
}

static void add_keys(struct run *r, const unsigned *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        add_text(r, "%s%u", i > 0 ? ", " : " WHERE id IN (",
                 r->who->number * ID_OF_CLIENT + keys[i]);
    }
    add_text(r, ")");
}

static void update(struct run *r)
{
    unsigned keys[CHANGES_MAX];
    size_t n = some_keys(keys), changed = 0;
    bool is_vector = chance_is(STREAM_CLIENT, 2);
    int64_t number = ++world->model.last_n;
    begin_write(r, false);
    add_text(r, "UPDATE t SET c = c + 1");
    if (is_vector) {
        char vector[64];
        model_vector(number, vector);
        add_text(r, ", n = %lld, note = 'note %lld', e = %s", (long long)number, (long long)number,
                 vector);
    }
    for (size_t i = 0; i < n; i++) {
        struct cell cell = *cell_of(r, keys[i]);
        if (cell.is_there) {
            cell.count++;
            cell.n = is_vector ? number : cell.n;
            add_doubt(r, keys[i], &cell);
            changed++;
        }
    }
    add_keys(r, keys, n);
    add_with(r);
    run_write(r, ERR_OK, changed);
}

static void delete (struct run *r)
{
    unsigned keys[CHANGES_MAX];
    size_t n = some_keys(keys), changed = 0;
    static const struct cell gone;
    begin_write(r, false);
    add_text(r, "DELETE FROM t");
    for (size_t i = 0; i < n; i++) {
        if (cell_of(r, keys[i])->is_there) {
            add_doubt(r, keys[i], &gone);
            changed++;
        }
    }
    add_keys(r, keys, n);
    add_with(r);
    run_write(r, ERR_OK, changed);
}

static void copy_in(struct run *r)
{
    unsigned keys[CHANGES_MAX];
    size_t n = some_keys(keys), at = 0;
    char data[2048];
    begin_write(r, true);
    add_text(r, "COPY t (id, n, c, note, e) FROM STDIN ON CONFLICT DO UPDATE");
    for (size_t i = 0; i < n; i++) {
        char vector[64];
        struct cell cell = {.is_there = true, .n = ++world->model.last_n, .count = 1};
        add_doubt(r, keys[i], &cell);
        model_vector(cell.n, vector);
        at += (size_t)snprintf(data + at, sizeof(data) - at, "%u,%lld,1,note %lld,\"%s\"\n",
                               r->who->number * ID_OF_CLIENT + keys[i], (long long)cell.n,
                               (long long)cell.n, vector);
    }
    r->copied = data;
    add_with(r);
    run_write(r, ERR_OK, n);
}

/* ---- reads ---- */

static void some_range(unsigned *from, unsigned *to)
{
    *from = (unsigned)chance_below(STREAM_CLIENT, KEYS);
    *to = *from + (unsigned)chance_below(STREAM_CLIENT, KEYS - *from);
}

static void read_range(struct run *r, unsigned from, unsigned to)
{
    unsigned first = r->who->number * ID_OF_CLIENT;
    (void)snprintf(r->text, sizeof(r->text),
                   "SELECT id, n, c, note FROM t WHERE id BETWEEN %u AND %u ORDER BY id",
                   first + from, first + to);
    if (run(r, ERR_OK) == ERR_OK) {
        buf_reset(&r->expected);
        model_rows(r->who->number, from, to, &r->expected);
        expect_rows(r);
    }
}

static void select_range(struct run *r)
{
    unsigned from, to;
    some_range(&from, &to);
    read_range(r, from, to);
}

static void count_range(struct run *r)
{
    unsigned from, to, first = r->who->number * ID_OF_CLIENT;
    some_range(&from, &to);
    (void)snprintf(r->text, sizeof(r->text), "SELECT count(*) FROM t WHERE id BETWEEN %u AND %u",
                   first + from, first + to);
    if (run(r, ERR_OK) == ERR_OK) {
        buf_reset(&r->expected);
        buf_printf(&r->expected, "%zu\n", model_count(r->who->number, from, to));
        expect_rows(r);
    }
}

/* Rows that match come whenever there are any; which ones is for the exact search to say. */
static void search_range(struct run *r)
{
    unsigned from, to, first = r->who->number * ID_OF_CLIENT;
    char vector[64];
    some_range(&from, &to);
    model_vector((int64_t)chance_below(STREAM_CLIENT, (uint64_t)world->model.last_n + 1), vector);
    (void)snprintf(r->text, sizeof(r->text),
                   "SEARCH id, n, c, note FROM t NEAR %s WHERE id BETWEEN %u AND %u LIMIT 100%s",
                   vector, first + from, first + to,
                   chance_is(STREAM_CLIENT, 2) ? " WITH (exact = on)" : "");
    if (run(r, ERR_OK) == ERR_OK && r->n_rows != model_count(r->who->number, from, to)) {
        sim_fail("client %u: %.300s found %zu rows of %zu", r->who->number, r->text, r->n_rows,
                 model_count(r->who->number, from, to));
    }
}

static void tend(struct run *r)
{
    static const char *const texts[] = {
        "CHECKPOINT",       "REINDEX t",    "SHOW COLLECTIONS", "SHOW SHARDS",  "SHOW SESSIONS",
        "SHOW CALIBRATION", "SHOW METRICS", "SHOW POLICIES",    "SELECT 1 + 1", "SHOW VIEWS"};
    (void)snprintf(r->text, sizeof(r->text), "%s",
                   texts[chance_below(STREAM_CLIENT, COUNT_OF(texts))]);
    (void)run(r, ERR_OK);
}

static const struct {
    void (*run)(struct run *r);
    unsigned share;
} statements[] = {{insert, 6},       {update, 4},      {delete, 3},       {copy_in, 2},
                  {select_range, 3}, {count_range, 1}, {search_range, 3}, {tend, 1}};

static void run_some_statement(struct run *r)
{
    unsigned all = 0;
    for (size_t i = 0; i < COUNT_OF(statements); i++) {
        all += statements[i].share;
    }
    unsigned at = (unsigned)chance_below(STREAM_CLIENT, all);
    size_t i = 0;
    while (at >= statements[i].share) {
        at -= statements[i++].share;
    }
    statements[i].run(r);
}

/* The node's own work comes in the pauses. */
static void pause_by_chance(void)
{
    if (chance_is(STREAM_CLIENT, 60)) {
        sched_sleep(chance_below(STREAM_CLIENT, PAUSE_NS_MAX));
    } else if (chance_is(STREAM_CLIENT, 6)) {
        sched_sleep(chance_below(STREAM_CLIENT, PAUSE_NS_MAX / 100));
    }
}

/* ---- a client's life ---- */

/* So large that no later growth can fail: what the simulator itself needs never does. */
static void reserve(struct buf *b)
{
    buf_init(b, MEM_GENERAL, ROWS_BYTES);
    while (buf_reserve(b, ROWS_BYTES) == NULL) {
        buf_reset(b);
    }
}

static void begin(struct run *r, struct sim_client *who)
{
    r->who = who;
    mutex_init(&r->lock);
    condition_init(&r->woken);
    reserve(&r->rows);
    reserve(&r->expected);
    while ((r->session = session_new(who->db, who->number + 1, &r->err)) == NULL) {
        if (!is_excused(r->err.code)) {
            sim_fail("no session: %s", r->err.message);
        }
    }
}

static void end(struct run *r)
{
    session_free(r->session);
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
                   "SELECT id, n, c, note FROM t WHERE id %% %d <> %d ORDER BY id", ID_OF_CLIENT,
                   ID_SETTLING);
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
    expect_all_rows(&r);
    expect_all_led_to(&r);
    end(&r);
}
