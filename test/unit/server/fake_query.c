/* The fake query folder; fake_query.h says what its statements do. */
#include "fake_query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/wire.h"

enum {
    PIECE_BYTES = 1000,
    WRITE_BYTES = 100,
    BIG_BYTES = 100 << 20
};

struct query_session {
    uint64_t id, secret;
    struct policy_set policies;
    bool is_canceled;
    struct query_session *next;
};

struct prepared {
    char verb[16];
    unsigned n;
    struct result_column column;
    size_t n_columns;
};

struct portal {
    struct prepared prepared; /* A copy: portals outlive their statements. */
    struct query_session *session;
    struct portal_sink sink;
    struct value parameter;
    float vector[16];
    unsigned given;
    uint64_t rows;
    bool is_begun, is_ended, is_failed, is_full;
    struct err why; /* It has failed. */
    struct portal *next_write;
};

static struct mutex lock = {PTHREAD_MUTEX_INITIALIZER};
static struct condition changed = {PTHREAD_COND_INITIALIZER};
static struct query_session *sessions;
static struct portal *waiting;   /* For the test. */
static struct portal *listening; /* Waits for its client, and hears a cancel. */
static struct portal *writes;    /* That wait. */
static unsigned live, cancels;
static uint64_t output_bytes_max;

static void count(int n)
{
    mutex_lock(&lock);
    live += (unsigned)n;
    mutex_unlock(&lock);
}

unsigned fake_live(void)
{
    mutex_lock(&lock);
    unsigned n = live;
    mutex_unlock(&lock);
    return n;
}

unsigned fake_cancels(void)
{
    mutex_lock(&lock);
    unsigned n = cancels;
    mutex_unlock(&lock);
    return n;
}

uint64_t fake_output_bytes(void)
{
    mutex_lock(&lock);
    uint64_t n = output_bytes_max;
    mutex_unlock(&lock);
    return n;
}

/* ---- writes ---- */

static unsigned count_writes(void)
{
    unsigned n = 0;
    for (const struct portal *p = writes; p != NULL; p = p->next_write) {
        n++;
    }
    return n;
}

unsigned fake_writes(void)
{
    mutex_lock(&lock);
    unsigned n = count_writes();
    mutex_unlock(&lock);
    return n;
}

void fake_wait_for_writes(unsigned n)
{
    mutex_lock(&lock);
    while (count_writes() != n) {
        condition_wait(&changed, &lock);
    }
    mutex_unlock(&lock);
}

static void unlink_write(struct portal *portal)
{
    struct portal **at = &writes;
    while (*at != NULL && *at != portal) {
        at = &(*at)->next_write;
    }
    if (*at != NULL) {
        *at = portal->next_write;
    }
    condition_broadcast(&changed);
}

static void land(struct portal *p, bool is_well)
{
    unlink_write(p);
    p->is_ended = true;
    p->is_failed = !is_well;
    p->sink.wake(p->sink.arg);
}

static void wake(struct portal **parked)
{
    struct portal *portal = *parked;
    *parked = NULL;
    portal->sink.wake(portal->sink.arg);
}

void fake_wake(void)
{
    mutex_lock(&lock);
    while (waiting == NULL) {
        condition_wait(&changed, &lock);
    }
    wake(&waiting);
    mutex_unlock(&lock);
}

bool fake_wake_now(void)
{
    mutex_lock(&lock);
    bool is_waiting = waiting != NULL;
    if (is_waiting) {
        wake(&waiting);
    } else if (writes != NULL) {
        is_waiting = true;
        land(writes, true);
    }
    mutex_unlock(&lock);
    return is_waiting;
}

static void park(struct portal *portal)
{
    mutex_lock(&lock);
    waiting = portal;
    condition_broadcast(&changed);
    mutex_unlock(&lock);
}

static struct portal *find_write(unsigned n)
{
    struct portal *p = writes;
    while (p != NULL && p->prepared.n != n) {
        p = p->next_write;
    }
    return p;
}

void fake_land(unsigned n, bool is_well)
{
    struct portal *p;
    mutex_lock(&lock);
    while ((p = find_write(n)) == NULL) {
        condition_wait(&changed, &lock);
    }
    land(p, is_well);
    mutex_unlock(&lock);
}

static enum portal_status run_write(struct portal *p, struct err *err)
{
    enum portal_status status = PORTAL_WAIT;
    mutex_lock(&lock);
    if (!p->is_begun) {
        p->is_begun = true;
        p->next_write = writes;
        writes = p;
        condition_broadcast(&changed);
    } else if (p->is_ended) {
        status = p->is_failed ? PORTAL_FAILED : PORTAL_DONE;
    }
    mutex_unlock(&lock);
    if (status == PORTAL_FAILED) {
        err_set(err, ERR_DUPLICATE_KEY, "write %u has failed", p->prepared.n);
    }
    return status;
}

enum portal_company portal_company(const struct portal *p)
{
    return strcmp(p->prepared.verb, "write") == 0  ? PORTAL_AMONG_INSERTS
           : strcmp(p->prepared.verb, "find") == 0 ? PORTAL_AMONG_SEARCHES
                                                   : PORTAL_ALONE;
}

bool portal_may_be_passed(const struct portal *p, size_t *bytes)
{
    *bytes = WRITE_BYTES;
    return portal_company(p) != PORTAL_ALONE;
}

void portal_prefer_pool(struct portal *p)
{
    CHECK(!p->is_begun);
}

/* The status of a portal that waits for its client. */
static enum portal_status listen_for_cancel(struct portal *portal, enum portal_status status)
{
    mutex_lock(&lock);
    listening = portal;
    mutex_unlock(&lock);
    return status;
}

/* ---- sessions ---- */

struct query_session *query_session_new(struct database *db, uint64_t id, struct err *err)
{
    (void)db;
    (void)err;
    struct query_session *session = calloc(1, sizeof *session);
    CHECK(session != NULL);
    session->id = id;
    mutex_lock(&lock);
    session->next = sessions;
    sessions = session;
    mutex_unlock(&lock);
    count(1);
    return session;
}

void query_session_free(struct query_session *session)
{
    if (session == NULL) {
        return;
    }
    mutex_lock(&lock);
    struct query_session **at = &sessions;
    while (*at != session) {
        at = &(*at)->next;
    }
    *at = session->next;
    mutex_unlock(&lock);
    free(session);
    count(-1);
}

static void cancel(struct query_session *session)
{
    session->is_canceled = true;
    if (waiting != NULL && waiting->session == session) {
        wake(&waiting);
    }
    if (listening != NULL && listening->session == session) {
        wake(&listening);
    }
}

void query_session_cancel(struct query_session *session)
{
    mutex_lock(&lock);
    cancel(session);
    mutex_unlock(&lock);
}

bool database_cancel(struct database *db, uint64_t id, uint64_t secret)
{
    (void)db;
    bool fits = false;
    mutex_lock(&lock);
    for (struct query_session *s = sessions; s != NULL && !fits; s = s->next) {
        fits = s->id == id && s->secret == secret;
        if (fits) {
            cancels++;
            cancel(s);
        }
    }
    mutex_unlock(&lock);
    return fits;
}

struct policy_set *query_session_policies(struct query_session *session)
{
    return &session->policies;
}

void query_session_describe(struct query_session *session, const struct query_session_facts *facts)
{
    (void)session;
    mutex_lock(&lock);
    if (facts->output_bytes > output_bytes_max) {
        output_bytes_max = facts->output_bytes;
    }
    mutex_unlock(&lock);
}

void query_session_set_secret(struct query_session *session, uint64_t secret)
{
    mutex_lock(&lock);
    session->secret = secret;
    mutex_unlock(&lock);
}

/* ---- statements ---- */

enum errcode prepared_new(struct query_session *session, const struct statement_text *text,
                          struct prepared **out, size_t *rest, struct err *err)
{
    (void)session;
    const char *words = text->data;
    size_t bytes = text->bytes;
    const char *semicolon = memchr(words, ';', bytes);
    size_t n = semicolon == NULL ? bytes : (size_t)(semicolon - words);
    char line[64] = "";
    memcpy(line, words, n < sizeof line ? n : sizeof line - 1);
    *rest = semicolon == NULL ? bytes : n + 1;
    *out = NULL;
    struct prepared p = {.n = 1};
    if (sscanf(line, " %15s %u", p.verb, &p.n) < 1) {
        return ERR_OK;
    }
    if (strcmp(p.verb, "refuse") == 0) {
        err_set(err, ERR_SYNTAX, "refused");
        err->position = (uint32_t)strspn(line, " ") + 1;
        return ERR_SYNTAX;
    }
    bool gives_rows =
        strcmp(p.verb, "rows") == 0 || strcmp(p.verb, "param") == 0 || strcmp(p.verb, "big") == 0;
    p.n_columns = gives_rows ? 1 : 0;
    p.column = (struct result_column){.name = "n", .type = TYPE_INT};
    *out = malloc(sizeof p);
    CHECK(*out != NULL);
    **out = p;
    count(1);
    return ERR_OK;
}

enum errcode prepared_new_alone(struct query_session *session, const struct statement_text *text,
                                struct prepared **out, struct err *err)
{
    size_t rest;
    enum errcode code = prepared_new(session, text, out, &rest, err);
    if (code == ERR_OK && rest < text->bytes) {
        prepared_free(*out);
        *out = NULL;
        code = err_set(err, ERR_SYNTAX, "more than one statement");
    }
    return code;
}

/* It ends as it begins. */
struct preparing {
    struct prepared *prepared;
    struct buf held;
    size_t rest;
    struct err err;
};

struct preparing *preparing_begin(struct query_session *session, const struct statement_text *text,
                                  bool is_alone, struct buf *held, struct err *err)
{
    (void)err;
    struct preparing *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    p->rest = text->bytes;
    p->err.code = is_alone ? prepared_new_alone(session, text, &p->prepared, &p->err)
                           : prepared_new(session, text, &p->prepared, &p->rest, &p->err);
    p->held = *held;
    buf_init(held, MEM_SESSION, SIZE_MAX);
    return p;
}

void preparing_start(struct preparing *preparing, void (*ended)(void *arg), void *arg)
{
    (void)preparing;
    ended(arg);
}

bool preparing_has_ended(struct preparing *preparing)
{
    (void)preparing;
    return true;
}

enum errcode preparing_end(struct preparing *preparing, struct prepared **out, size_t *rest,
                           struct buf *held, struct err *err)
{
    *out = preparing->prepared;
    *rest = preparing->rest;
    *held = preparing->held;
    *err = preparing->err;
    free(preparing);
    return err->code;
}

void preparing_abandon(struct preparing *preparing)
{
    prepared_free(preparing->prepared);
    buf_fini(&preparing->held);
    free(preparing);
}

void prepared_free(struct prepared *prepared)
{
    if (prepared != NULL) {
        free(prepared);
        count(-1);
    }
}

enum errcode prepared_refresh(struct query_session *session, struct prepared *prepared,
                              struct err *err)
{
    (void)session;
    (void)prepared;
    (void)err;
    return ERR_OK;
}

size_t prepared_parameters(const struct prepared *prepared, const uint8_t **types)
{
    static const uint8_t one[] = {TYPE_VECTOR};
    *types = one;
    return strcmp(prepared->verb, "param") == 0 ? 1 : 0;
}

size_t prepared_columns(const struct prepared *prepared, const struct result_column **columns)
{
    *columns = &prepared->column;
    return prepared->n_columns;
}

/* ---- portals ---- */

enum errcode portal_new(struct query_session *session, struct prepared *prepared,
                        const struct parameters *parameters, const struct portal_sink *sink,
                        struct portal **out, struct err *err)
{
    const struct value *values = parameters->values;
    size_t n = parameters->n;
    const uint8_t *types;
    if (n != prepared_parameters(prepared, &types)) {
        return err_set(err, ERR_UNKNOWN_PARAMETER, "wrong number of parameters");
    }
    struct portal *portal = calloc(1, sizeof *portal);
    CHECK(portal != NULL);
    portal->prepared = *prepared;
    portal->session = session;
    portal->sink = *sink;
    session->is_canceled = false;
    if (n == 1) {
        CHECK(values[0].type == TYPE_VECTOR && values[0].vector.dim <= 16);
        memcpy(portal->vector, values[0].vector.data, values[0].vector.dim * sizeof(float));
        portal->parameter = value_vector(portal->vector, values[0].vector.dim);
    }
    *out = portal;
    count(1);
    return ERR_OK;
}

void portal_free(struct portal *portal)
{
    if (portal == NULL) {
        return;
    }
    mutex_lock(&lock);
    waiting = waiting == portal ? NULL : waiting;
    listening = listening == portal ? NULL : listening;
    unlink_write(portal);
    mutex_unlock(&lock);
    free(portal);
    count(-1);
}

size_t portal_columns(const struct portal *portal, const struct result_column **columns)
{
    return prepared_columns(&portal->prepared, columns);
}

static bool is_canceled(struct portal *p, struct err *err)
{
    mutex_lock(&lock);
    bool is = p->session->is_canceled;
    mutex_unlock(&lock);
    if (is) {
        err_set(err, ERR_CANCELED, "canceled");
    }
    return is;
}

static enum portal_status run_rows(struct portal *p, uint64_t row_limit, struct err *err)
{
    if (is_canceled(p, err)) {
        return PORTAL_FAILED;
    }
    for (uint64_t given = 0; p->given < p->prepared.n; given++) {
        if (row_limit != 0 && given == row_limit) {
            return PORTAL_SUSPENDED;
        }
        if (p->sink.is_full(p->sink.arg)) {
            return listen_for_cancel(p, PORTAL_FULL);
        }
        struct value value = value_int(p->given++);
        p->sink.row(p->sink.arg, &value, 1);
        p->rows++;
    }
    return PORTAL_DONE;
}

static enum portal_status run_copy_out(struct portal *p, struct err *err)
{
    static const uint8_t piece[PIECE_BYTES];
    if (is_canceled(p, err)) {
        return PORTAL_FAILED;
    }
    if (!p->is_begun) {
        p->is_begun = true;
        return PORTAL_COPY_OUT;
    }
    for (; p->given < p->prepared.n; p->given++) {
        if (p->sink.is_full(p->sink.arg)) {
            return listen_for_cancel(p, PORTAL_FULL);
        }
        p->sink.copy_data(p->sink.arg, piece, sizeof piece);
    }
    return PORTAL_DONE;
}

static enum portal_status run_big(struct portal *p)
{
    char *text = calloc(1, BIG_BYTES);
    CHECK(text != NULL);
    struct value value = value_text(text, BIG_BYTES);
    p->sink.row(p->sink.arg, &value, 1);
    free(text);
    return PORTAL_DONE;
}

static enum portal_status run_wait(struct portal *p, struct err *err)
{
    if (is_canceled(p, err)) {
        return PORTAL_FAILED;
    }
    if (!p->is_begun) {
        p->is_begun = true;
        park(p);
        return PORTAL_WAIT;
    }
    return PORTAL_DONE;
}

static enum portal_status run_remarks(struct portal *p)
{
    struct err notice;
    err_set(&notice, ERR_BAD_PARAMETER, "a remark");
    p->sink.notice(p->sink.arg, &notice);
    p->sink.status(p->sink.arg, "recall", "0.98");
    p->sink.progress(p->sink.arg, "thinking", 1, 2);
    return PORTAL_DONE;
}

static enum portal_status run_copy_in(struct portal *p, struct err *err)
{
    if (is_canceled(p, err)) {
        return PORTAL_FAILED;
    }
    if (p->is_full) {
        p->is_full = false;
        park(p);
        return PORTAL_WAIT;
    }
    if (p->is_failed) {
        *err = p->why;
        return PORTAL_FAILED;
    }
    if (!p->is_ended) {
        return listen_for_cancel(p, PORTAL_COPY_IN);
    }
    return PORTAL_DONE;
}

enum portal_status portal_run(struct portal *p, uint64_t row_limit, struct err *err)
{
    const char *verb = p->prepared.verb;
    if (strcmp(verb, "rows") == 0) {
        return run_rows(p, row_limit, err);
    }
    if (strcmp(verb, "param") == 0) {
        p->sink.row(p->sink.arg, &p->parameter, 1);
        return PORTAL_DONE;
    }
    if (strcmp(verb, "big") == 0) {
        return run_big(p);
    }
    if (strcmp(verb, "write") == 0) {
        return run_write(p, err);
    }
    if (strcmp(verb, "find") == 0) {
        enum portal_status status = run_write(p, err);
        return status == PORTAL_DONE ? run_rows(p, row_limit, err) : status;
    }
    if (strcmp(verb, "wait") == 0) {
        return run_wait(p, err);
    }
    if (strcmp(verb, "copyout") == 0) {
        return run_copy_out(p, err);
    }
    if (strcmp(verb, "remarks") == 0) {
        return run_remarks(p);
    }
    if (strncmp(verb, "copy", 4) == 0) {
        return run_copy_in(p, err);
    }
    if (strcmp(verb, "fail") == 0) {
        err_set(err, ERR_DUPLICATE_KEY, "failed");
        err->position = 3;
        return PORTAL_FAILED;
    }
    p->rows = 1;
    return PORTAL_DONE;
}

const char *portal_tag(const struct portal *portal)
{
    return portal->prepared.verb;
}

uint64_t portal_rows(const struct portal *portal)
{
    return portal->rows;
}

enum copy_format portal_copy_format(const struct portal *portal, const uint8_t **types, size_t *n)
{
    (void)portal;
    static const uint8_t all[] = {TYPE_TEXT, TYPE_VECTOR};
    *types = all;
    *n = COUNT_OF(all);
    return COPY_CSV;
}

void portal_copy_data(struct portal *p, const void *data, size_t bytes)
{
    const char *verb = p->prepared.verb;
    (void)data;
    p->rows += bytes;
    p->is_full = strcmp(verb, "copyfull") == 0 || strcmp(verb, "copylate") == 0;
    p->is_failed = strcmp(verb, "copybad") == 0 || strcmp(verb, "copylate") == 0;
    if (p->is_failed) {
        err_set(&p->why, ERR_BAD_COPY_DATA, "line 1 is bad");
    }
}

void portal_copy_done(struct portal *portal)
{
    portal->is_ended = true;
}

void portal_suspend(struct portal *portal)
{
    (void)portal;
}

void portal_copy_fail(struct portal *portal, const struct err *reason)
{
    portal->is_failed = true;
    portal->why = *reason;
}
