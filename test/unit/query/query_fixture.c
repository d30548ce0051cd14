/* What query_fixture.h says. */
#include "query_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "query/database_int.h"
#include "query/query.h"

enum {
    WORK_THREADS = 2,
    ROWS_BYTES_MAX = 256 << 20,
};

/* ---- the sink ---- */

static void take_row(void *arg, const struct value *values, size_t n)
{
    struct client *c = arg;
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            buf_u8(&c->rows, '|');
        }
        if (c->put_cell != NULL) {
            c->put_cell(c, i, &values[i]);
        } else {
            value_format(&c->rows, &values[i]);
        }
    }
    buf_u8(&c->rows, '\n');
    c->n_rows++;
}

static bool sink_is_full(void *arg)
{
    struct client *c = arg;
    return c->full_after != 0 && c->n_rows >= c->full_after;
}

static void take_copy(void *arg, const void *data, size_t bytes)
{
    buf_bytes(&((struct client *)arg)->copy, data, bytes);
}

static void take_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    struct client *c = arg;
    snprintf(c->phase, sizeof(c->phase), "%s", phase);
    c->phase_done = done;
    c->phase_total = total;
}

static void take_notice(void *arg, const struct err *notice)
{
    struct client *c = arg;
    snprintf(c->notice, sizeof(c->notice), "%s", notice->message);
}

static void take_status(void *arg, const char *name, const char *value)
{
    struct client *c = arg;
    snprintf(c->status, sizeof(c->status), "%s=%s", name, value);
}

static void take_wake(void *arg)
{
    struct client *c = arg;
    mutex_lock(&c->lock);
    c->wakes++;
    condition_signal(&c->woken);
    mutex_unlock(&c->lock);
}

static void wait_for_wake(struct client *c)
{
    uint64_t deadline = clock_micros() + PATIENCE_US;
    if (c->at_wait != NULL) {
        c->at_wait(c);
    }
    mutex_lock(&c->lock);
    while (c->wakes == 0) {
        assert_true(condition_wait_until(&c->woken, &c->lock, deadline));
    }
    c->wakes--;
    mutex_unlock(&c->lock);
    c->n_wait++;
}

/* ---- running ---- */

struct input {
    const uint8_t *data;
    size_t bytes, piece;
};

static void feed(struct portal *portal, struct input *input)
{
    size_t n = input->bytes < input->piece ? input->bytes : input->piece;
    if (n == 0) {
        portal_copy_done(portal);
    } else {
        portal_copy_data(portal, input->data, n);
    }
    input->data += n;
    input->bytes -= n;
}

static enum errcode drive(struct client *c, struct portal *portal, struct input *input)
{
    bool told_copy_out = false;
    err_clear(&c->err);
    for (;;) {
        switch (portal_run(portal, 0, &c->err)) {
        case PORTAL_DONE:
            snprintf(c->tag, sizeof(c->tag), "%s", portal_tag(portal));
            c->changed = portal_rows(portal);
            assert_int_equal(c->err.code, ERR_OK);
            return ERR_OK;
        case PORTAL_FAILED:
            assert_int_not_equal(c->err.code, ERR_OK);
            return c->err.code;
        case PORTAL_WAIT:
            wait_for_wake(c);
            break;
        case PORTAL_FULL:
            c->n_full++;
            c->full_after = c->n_rows + 10;
            break;
        case PORTAL_COPY_IN:
            assert_non_null(input);
            c->has_copied_in = true;
            feed(portal, input);
            break;
        case PORTAL_COPY_OUT:
            assert_false(told_copy_out);
            told_copy_out = true;
            break;
        case PORTAL_SUSPENDED:
            fail_msg("no row limit was given");
        }
    }
}

static void client_reset(struct client *c)
{
    buf_reset(&c->columns);
    buf_reset(&c->rows);
    buf_reset(&c->copy);
    c->n_rows = 0;
    c->n_full = c->n_wait = 0;
    c->has_copied_in = false;
    c->notice[0] = c->status[0] = c->tag[0] = 0;
    err_clear(&c->err);
}

static void take_columns(struct client *c, const struct portal *portal)
{
    const struct result_column *columns;
    size_t n = portal_columns(portal, &columns);
    buf_reset(&c->columns);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&c->columns, "%s %s(%u)\n", columns[i].name, type_name(columns[i].type),
                   columns[i].dim);
    }
}

static enum errcode run_prepared(struct client *c, struct prepared *prepared,
                                 const struct value *values, size_t n, struct input *input)
{
    struct portal_sink sink = {.row = take_row,
                               .is_full = sink_is_full,
                               .copy_data = take_copy,
                               .progress = take_progress,
                               .notice = take_notice,
                               .status = take_status,
                               .wake = take_wake,
                               .arg = c};
    struct parameters parameters = {.values = values, .n = n};
    struct portal *portal;
    c->phase[0] = '\0'; /* The last statement's says nothing of this one's. */
    enum errcode code = portal_new(c->session, prepared, &parameters, &sink, &portal, &c->err);
    if (code == ERR_OK) {
        take_columns(c, portal);
        code = drive(c, portal, input);
        portal_free(portal);
    }
    return code;
}

static enum errcode run_input(struct client *c, const char *text, const struct value *values,
                              size_t n, struct input *input)
{
    size_t bytes = strlen(text);
    client_reset(c);
    while (bytes > 0) {
        struct prepared *prepared;
        size_t rest;
        struct statement_text source = {.data = text, .bytes = bytes};
        enum errcode code = prepared_new(c->session, &source, &prepared, &rest, &c->err);
        if (code == ERR_OK && prepared != NULL) {
            code = run_prepared(c, prepared, values, n, input);
        }
        prepared_free(prepared);
        if (code != ERR_OK || prepared == NULL) {
            return code;
        }
        text += rest;
        bytes -= rest;
    }
    return ERR_OK;
}

enum errcode run(struct client *c, const char *text)
{
    return run_input(c, text, NULL, 0, NULL);
}

enum errcode run_with(struct client *c, const char *text, const struct value *values, size_t n)
{
    return run_input(c, text, values, n, NULL);
}

enum errcode run_copy(struct client *c, const char *text, const void *data, size_t bytes,
                      size_t piece)
{
    struct input input = {.data = data, .bytes = bytes, .piece = piece};
    return run_input(c, text, NULL, 0, &input);
}

const char *rows_text(struct client *c)
{
    buf_u8(&c->rows, 0);
    c->rows.bytes--;
    return (const char *)c->rows.data;
}

void expect_rows_at(struct client *c, const char *text, const char *rows, const char *file,
                    int line)
{
    expect_error_at(c, text, ERR_OK, file, line);
    if (strcmp(rows_text(c), rows) != 0) {
        print_error("%s\ngave\n%s\nnot\n%s", text, rows_text(c), rows);
        _fail(file, line);
    }
}

void expect_error_at(struct client *c, const char *text, enum errcode code, const char *file,
                     int line)
{
    enum errcode got = run(c, text);
    if (got != code) {
        print_error("%s\ngave %s: %s (%s) at %u, not %s\n", text, err_name(got), c->err.message,
                    c->err.hint, c->err.position, err_name(code));
        _fail(file, line);
    }
}

/* ---- the work pool ---- */

struct barrier {
    struct mutex lock;
    struct condition changed;
    struct job jobs[WORK_THREADS];
    unsigned n_held;
    bool is_open;
};

static void hold(void *arg)
{
    struct barrier *barrier = arg;
    mutex_lock(&barrier->lock);
    barrier->n_held++;
    condition_broadcast(&barrier->changed);
    while (!barrier->is_open) {
        condition_wait(&barrier->changed, &barrier->lock);
    }
    barrier->n_held--;
    condition_broadcast(&barrier->changed);
    mutex_unlock(&barrier->lock);
}

static void wait_for_held(struct barrier *barrier, unsigned n)
{
    uint64_t deadline = clock_micros() + PATIENCE_US;
    mutex_lock(&barrier->lock);
    while (barrier->n_held != n) {
        assert_true(condition_wait_until(&barrier->changed, &barrier->lock, deadline));
    }
    mutex_unlock(&barrier->lock);
}

struct barrier *barrier_shut(struct database *db)
{
    struct barrier *barrier = calloc(1, sizeof(*barrier));
    assert_non_null(barrier);
    mutex_init(&barrier->lock);
    condition_init(&barrier->changed);
    for (size_t i = 0; i < WORK_THREADS; i++) {
        barrier->jobs[i] = (struct job){.run = hold, .arg = barrier};
        node_submit(db->node, &barrier->jobs[i]);
    }
    wait_for_held(barrier, WORK_THREADS);
    return barrier;
}

void barrier_open(struct barrier *barrier)
{
    mutex_lock(&barrier->lock);
    barrier->is_open = true;
    condition_broadcast(&barrier->changed);
    mutex_unlock(&barrier->lock);
    wait_for_held(barrier, 0);
    condition_fini(&barrier->changed);
    mutex_fini(&barrier->lock);
    free(barrier);
}

/* ---- the database ---- */

void client_init(struct client *c, struct database *db, uint64_t id)
{
    *c = (struct client){0};
    mutex_init(&c->lock);
    condition_init(&c->woken);
    buf_init(&c->columns, MEM_GENERAL, ROWS_BYTES_MAX);
    buf_init(&c->rows, MEM_GENERAL, ROWS_BYTES_MAX);
    buf_init(&c->copy, MEM_GENERAL, ROWS_BYTES_MAX);
    c->session = query_session_new(db, id, &c->err);
    assert_non_null(c->session);
}

void client_fini(struct client *c)
{
    query_session_free(c->session);
    buf_fini(&c->columns);
    buf_fini(&c->rows);
    buf_fini(&c->copy);
    condition_fini(&c->woken);
    mutex_fini(&c->lock);
}

enum errcode fixture_open_database(struct fixture *f, struct err *err)
{
    char log[128];
    snprintf(log, sizeof(log), "%s/log", f->directory);
    struct repl_config repl = {
        .directory = log, .node = 1, .map_bytes = 1 << 30, .in_memory_max = f->log_bytes_max};
    if (repl_open(&repl, &f->repl, err) != ERR_OK) {
        return err->code;
    }
    struct database_config config = {.directory = f->directory,
                                     .repl = f->repl,
                                     .file_policies = &f->policies,
                                     .work_threads = WORK_THREADS};
    enum errcode code = database_open(&config, &f->db, err);
    if (code != ERR_OK) {
        repl_close(f->repl);
    }
    return code;
}

void fixture_open(struct fixture *f)
{
    struct err err;
    if (fixture_open_database(f, &err) != ERR_OK) {
        fail_msg("the database was not opened: %s", err.message);
    }
    client_init(&f->client, f->db, 1);
}

void fixture_close(struct fixture *f)
{
    client_fini(&f->client);
    database_close(f->db);
    repl_close(f->repl);
}

void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

static int set_up(void **state, size_t log_bytes_max)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err;
    struct value map_size = value_cstr("1GiB");
    char files[96];
    assert_non_null(f);
    log_set_level(LOG_WARNING);
    assert_int_equal(policy_assign_name(&f->policies, "map_size", LEVEL_FILE, &map_size, &err),
                     ERR_OK);
    f->log_bytes_max = log_bytes_max;
    snprintf(f->directory, sizeof(f->directory), "/tmp/vectrond-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(files, sizeof(files), "%s.files", f->directory);
    assert_int_equal(mkdir(files, 0700), 0);
    struct value copy_directory = value_cstr(files);
    assert_int_equal(
        policy_assign_name(&f->policies, "copy_directory", LEVEL_FILE, &copy_directory, &err),
        ERR_OK);
    fixture_open(f);
    *state = f;
    return 0;
}

int fixture_setup(void **state)
{
    return set_up(state, 256 << 20);
}

int fixture_setup_narrow(void **state)
{
    return set_up(state, NARROW_LOG_BYTES);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    char command[192];
    fixture_close(f);
    snprintf(command, sizeof(command), "rm -rf '%s' '%s.files'", f->directory, f->directory);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* ---- portals by hand ---- */

static void bare_row(void *arg, const struct value *values, size_t n)
{
    struct bare *bare = arg;
    (void)values;
    bare->n_rows++;
    bare->n_values += n;
}

static bool bare_is_full(void *arg)
{
    return ((struct bare *)arg)->is_full;
}

static void bare_wake(void *arg)
{
    ((struct bare *)arg)->wakes++;
}

static void bare_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    (void)arg;
    (void)phase;
    (void)done;
    (void)total;
}

struct portal_sink bare_sink(struct bare *bare)
{
    return (struct portal_sink){.row = bare_row,
                                .is_full = bare_is_full,
                                .wake = bare_wake,
                                .progress = bare_progress,
                                .arg = bare};
}

void bare_wait(struct bare *bare, unsigned wakes)
{
    uint64_t deadline = clock_micros() + PATIENCE_US;
    while (bare->wakes < wakes) {
        assert_true(clock_micros() < deadline);
        clock_sleep_micros(100);
    }
}

struct prepared *bare_prepare(struct client *c, const char *text)
{
    struct statement_text source = {.data = text, .bytes = strlen(text)};
    struct prepared *prepared;
    size_t rest;
    assert_int_equal(prepared_new(c->session, &source, &prepared, &rest, &c->err), ERR_OK);
    return prepared;
}

struct portal *bare_portal(struct client *c, struct prepared *prepared, struct bare *bare)
{
    struct portal_sink sink = bare_sink(bare);
    struct portal *portal;
    assert_int_equal(
        portal_new(c->session, prepared, &(struct parameters){0}, &sink, &portal, &c->err), ERR_OK);
    return portal;
}
