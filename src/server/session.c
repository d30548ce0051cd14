/* Sessions: one client from its start-up to its end.
 *
 * Any events may meet in one turn.  What each of them does in each state (session_state.c):
 *
 *              frame      too large,  input    wake       room       start-up  drain
 *                         stalled     ended                          late
 *    STARTING  start-up   fatal       -        -          -          fatal     fatal
 *    IDLE      statement  fatal       -        -          -          -         fatal
 *    RUNNING   (paused)   (paused)    probe    goes on    goes on    -         at its end
 *    COPY_IN   data       fatal       fails    goes on    -          -         fails, fatal
 *    SKIPPING  to SYNC    fatal       -        -          -          -         fatal
 *    CLOSING   -          -           -        -          -          -         -
 *
 * A session lives on one network thread.  While a statement waits (RUNNING) its connection is
 * paused, so that further frames stay queued in order; the portal's wake is a post to the thread's
 * loop.  A wake may be under way when the connection ends: the struct then stays until it arrives.
 *
 * No callback of the connection frees the session but closed(), which the connection calls last. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/server_int.h"

enum {
    ARENA_BYTES_MAX = 1 << 30
}; /* The frame's bound is tighter. */

/* ---- the end ---- */

static void leave_thread(struct session *s)
{
    CHECK((s->prev == NULL) == (s->net->sessions == s));
    struct net_thread *net = s->net;
    if (s->prev != NULL) {
        s->prev->next = s->next;
    } else {
        net->sessions = s->next;
    }
    if (s->next != NULL) {
        s->next->prev = s->prev;
    }
    atomic_fetch_sub(&net->host->n_connections, 1);
    if (net->is_draining && net->sessions == NULL) {
        net->drained(net->arg);
    }
}

static void session_dispose(struct session *s)
{
    CHECK(s->is_closed && s->portal == NULL && s->n_flights == 0);
    buf_fini(&s->rest);
    names_fini(&s->statements);
    names_fini(&s->portals);
    arena_free(s->arena);
    mem_free(MEM_SESSION, s);
}

/* Outside of the connection's turns only. */
static void session_close(struct session *s)
{
    CHECK(!s->is_closed);
    statement_abandon(s);
    query_session_free(s->query);
    s->query = NULL;
    timer_free(s->startup_timer);
    conn_free(s->conn);
    if (s->is_admitted) {
        CHECK(atomic_load(&s->net->host->n_admitted) > 0);
        atomic_fetch_sub(&s->net->host->n_admitted, 1);
        metric_add(METRIC_connections, -1);
    }
    s->is_closed = true;
    leave_thread(s);
    if (!atomic_load(&s->is_wake_posted)) {
        session_dispose(s);
    }
}

/* After each event.  While the server drains, a session that waits for its client waits no longer:
 * what was sent before is answered, and then it ends. */
static void settle(struct session *s)
{
    CHECK(!s->is_closed);
    if (s->n_flights > 0) {
        flights_hold(s);
    }
    if (!s->net->is_draining) {
        return;
    }
    if (s->state == SESSION_COPY_IN) {
        struct err err;
        err_set(&err, ERR_SHUTTING_DOWN, "the server is shutting down");
        statement_stop_copy(s, &err);
    }
    bool is_waiting = s->state == SESSION_IDLE || s->state == SESSION_SKIPPING;
    if (is_waiting && !conn_has_frame(s->conn)) {
        session_shutting_down(s);
    }
}

/* ---- starting ---- */

static enum errcode admit(struct session *s, struct err *err)
{
    struct session_host *host = s->net->host;
    CHECK(!s->is_admitted);
    unsigned n_max = atomic_load(&host->n_admitted_max);
    if (atomic_fetch_add(&host->n_admitted, 1) >= n_max) {
        atomic_fetch_sub(&host->n_admitted, 1);
        metric_add(METRIC_connections_refused, 1);
        err_set(err, ERR_TOO_MANY_CONNECTIONS, "%u sessions are open already", n_max);
        err_hint(err, "Close sessions, or raise max_connections.");
        err_policy(err, "max_connections");
        return ERR_TOO_MANY_CONNECTIONS;
    }
    s->is_admitted = true;
    metric_add(METRIC_connections, 1);
    return ERR_OK;
}

static bool is_named(struct wire_str s, const char *name)
{
    return s.bytes == strlen(name) && memcmp(s.data, name, s.bytes) == 0;
}

static enum errcode take_text(char to[NAME_BYTES_MAX + 1], const struct wire_option *option,
                              struct err *err)
{
    if (!name_is_clean(option->value)) {
        return err_set(err, ERR_BAD_ENCODING,
                       "option \"%.*s\" is not UTF-8 without control characters",
                       (int)option->name.bytes, option->name.data);
    }
    if (option->value.bytes > NAME_BYTES_MAX) {
        return err_set(err, ERR_NAME_TOO_LONG, "option \"%.*s\" is longer than %d bytes",
                       (int)option->name.bytes, option->name.data, NAME_BYTES_MAX);
    }
    memcpy(to, option->value.data, option->value.bytes);
    to[option->value.bytes] = '\0';
    return ERR_OK;
}

static enum errcode take_option(struct session *s, const struct wire_option *option,
                                struct err *err)
{
    if (is_named(option->name, "user")) {
        return take_text(s->facts.user, option, err);
    }
    if (is_named(option->name, "application_name")) {
        return take_text(s->facts.application, option, err);
    }
    if (is_named(option->name, "progress")) {
        s->wants_progress = is_named(option->value, "on");
        if (!s->wants_progress && !is_named(option->value, "off")) {
            err_set(err, ERR_BAD_PARAMETER, "option \"progress\" is neither on nor off");
            err_hint(err, "Write on or off.");
            return ERR_BAD_PARAMETER;
        }
        return ERR_OK;
    }
    if (!name_is_clean(option->name) || !name_is_clean(option->value)) {
        return err_set(err, ERR_BAD_ENCODING,
                       "an option of the start-up is not UTF-8 without control characters");
    }
    char name[NAME_BYTES_MAX + 1];
    if (!utf8_is_valid(option->name.data, option->name.bytes)) {
        return err_set(err, ERR_BAD_ENCODING, "the name of an option is not valid UTF-8");
    }
    snprintf(name, sizeof name, "%.*s", (int)option->name.bytes, option->name.data);
    struct value value = value_text(option->value.data, option->value.bytes);
    return policy_assign_name(query_session_policies(s->query), name, LEVEL_SESSION, &value, err);
}

static enum errcode start_query_session(struct session *s, const struct wire_startup *m,
                                        struct err *err)
{
    struct database *db = atomic_load(&s->net->host->db);
    if (db == NULL) {
        err_set(err, ERR_NOT_READY, "the server is starting");
        err_hint(err, "Try again in a moment; recovery of much data may take minutes.");
        return ERR_NOT_READY;
    }
    s->query = query_session_new(db, s->id, err);
    if (s->query == NULL) {
        return err->code;
    }
    for (uint16_t i = 0; i < m->n_options; i++) {
        if (take_option(s, &m->options[i], err) != ERR_OK) {
            return err->code;
        }
    }
    snprintf(s->facts.peer, sizeof s->facts.peer, "%s", conn_peer(s->conn));
    query_session_describe(s->query, &s->facts);
    return ERR_OK;
}

static void welcome(struct session *s)
{
    struct wire_key key = {.session = s->id};
    random_secret(&key.secret, sizeof key.secret);
    query_session_set_secret(s->query, key.secret);
    struct buf *b = conn_output(s->conn);
    wire_write_auth(b, 0);
    wire_write_status(b, "server_version", VECTROND_VERSION);
    wire_write_key(b, WIRE_SESSION_KEY, &key);
    timer_free(s->startup_timer);
    s->startup_timer = NULL;
    conn_set_frame_max(s->conn, s->net->limits.frame_bytes_max);
    session_move(s, SESSION_IDLE, "started");
    session_ready(s);
}

static void startup(struct session *s, struct reader *r)
{
    struct wire_startup m;
    struct err err;
    if (!wire_read_startup(r, &m)) {
        session_violation(s, "malformed STARTUP");
        return;
    }
    if (m.major != WIRE_VERSION_MAJOR) {
        err_set(&err, ERR_VERSION_UNSUPPORTED, "protocol version %u.%u is not supported", m.major,
                m.minor);
        err_hint(&err, "This server speaks version %d.%d.", WIRE_VERSION_MAJOR, WIRE_VERSION_MINOR);
        session_fatal(s, &err);
        return;
    }
    if (admit(s, &err) != ERR_OK || start_query_session(s, &m, &err) != ERR_OK) {
        session_fatal(s, &err);
        return;
    }
    welcome(s);
}

/* Whatever became of it, a CANCEL is not answered. */
static void end_cancel(struct session *s, bool is_whole)
{
    metric_add(METRIC_protocol_errors, is_whole ? 0 : 1);
    session_move(s, SESSION_CLOSING, is_whole ? "cancel request" : "malformed cancel request");
    conn_finish(s->conn);
}

static void cancel(struct session *s, struct reader *r)
{
    struct wire_key key;
    bool is_whole = wire_read_key(r, WIRE_CANCEL, &key);
    if (is_whole) {
        struct database *db = atomic_load(&s->net->host->db);
        bool fits = db != NULL && database_cancel(db, key.session, key.secret);
        log_line(LOG_DEBUG, "cancel request session=%llu fits=%d", (unsigned long long)key.session,
                 fits);
    }
    end_cancel(s, is_whole);
}

static void not_a_first_message(struct session *s)
{
    session_violation(s, "the first message is neither STARTUP nor CANCEL");
}

static void starting_message(struct session *s, uint8_t type, struct reader *r)
{
    if (type == WIRE_STARTUP) {
        startup(s, r);
    } else if (type == WIRE_CANCEL) {
        cancel(s, r);
    } else {
        not_a_first_message(s);
    }
}

static void startup_too_large(struct session *s, uint64_t bytes)
{
    struct err err;
    metric_add(METRIC_protocol_errors, 1);
    err_set(&err, ERR_FRAME_TOO_LARGE,
            "message STARTUP of %llu bytes is over %d, which is the most for the first message",
            (unsigned long long)bytes, WIRE_STARTUP_BYTES_MAX);
    err_hint(&err, "Give fewer or shorter options, and SET the others once the session is open.");
    session_fatal(s, &err);
}

static void first_too_large(struct session *s, uint8_t type, uint64_t bytes)
{
    if (type == WIRE_STARTUP) {
        startup_too_large(s, bytes);
    } else if (type == WIRE_CANCEL) {
        end_cancel(s, false);
    } else {
        not_a_first_message(s);
    }
}

/* ---- the connection's events ---- */

/* COPY data that is still under way after its statement failed is thrown away. */
static bool is_copy_leftover(uint8_t type)
{
    return type == WIRE_COPY_DATA || type == WIRE_COPY_DONE || type == WIRE_COPY_FAIL;
}

/* After an error of the extended protocol. */
static void skip(struct session *s, uint8_t type)
{
    if (type == WIRE_SYNC) {
        session_move(s, SESSION_IDLE, "sync");
        session_ready(s);
    } else if (type == WIRE_FLUSH) {
        conn_flush(s->conn);
    }
}

/* What is wrong with a message in any state; NULL where nothing is. */
static const char *fault_of(uint8_t type, size_t bytes)
{
    const struct wire_row *row = wire_find(type);
    if (row == NULL || (row->from & FROM_CLIENT) == 0) {
        return "a message of a type that is not expected here";
    }
    return row->fields[0] == '\0' && bytes > 0 ? "bytes in a message that has none" : NULL;
}

static void started_message(struct session *s, uint8_t type, const uint8_t *payload, size_t bytes)
{
    struct reader r;
    const char *fault = fault_of(type, bytes);
    reader_init(&r, payload, bytes);
    if (fault != NULL) {
        session_violation(s, fault);
    } else if (type == WIRE_TERMINATE) {
        session_move(s, SESSION_CLOSING, "terminated by the client");
        conn_finish(s->conn);
    } else if (s->state == SESSION_COPY_IN) {
        statement_copy_message(s, type, payload, bytes);
    } else if (s->state == SESSION_SKIPPING) {
        skip(s, type);
    } else if (!is_copy_leftover(type)) {
        statement_message(s, type, &r);
    } else if (type == WIRE_COPY_FAIL && !wire_read_text(&r, &(struct wire_str){0})) {
        session_violation(s, "malformed COPY_FAIL");
    }
}

static void on_frame(void *arg, uint8_t type, const uint8_t *payload, size_t bytes)
{
    struct session *s = arg;
    CHECK(s->state != SESSION_RUNNING); /* Its connection is paused. */
    if (s->state == SESSION_STARTING) {
        struct reader r;
        reader_init(&r, payload, bytes);
        starting_message(s, type, &r);
    } else if (s->state != SESSION_CLOSING) {
        started_message(s, type, payload, bytes);
    }
    settle(s);
}

static void on_drained(void *arg)
{
    struct session *s = arg;
    CHECK(!s->is_closed);
    if (s->facts.output_bytes != 0) {
        s->facts.output_bytes = 0;
        query_session_describe(s->query, &s->facts);
    }
    flights_land(s); /* The first may have waited for room. */
    statement_resume(s, WAIT_ROOM);
    settle(s);
}

/* A client that has sent all it had to say still gets its answers.  Whether it has left altogether
 * shows when something is sent to it, so something is while it may have to wait long. */
static void on_input_ended(void *arg, bool is_handled)
{
    struct session *s = arg;
    if (!is_handled && statement_is_working(s)) {
        wire_write_status(conn_output(s->conn), "server_version", VECTROND_VERSION);
        conn_flush(s->conn);
    } else if (is_handled && s->state == SESSION_COPY_IN) {
        struct err err;
        err_set(&err, ERR_CANCELED, "the client's input ended before its COPY data did");
        statement_stop_copy(s, &err);
    }
}

static void on_closed(void *arg, const struct err *why)
{
    struct session *s = arg;
    CHECK(!s->is_closed);
    if (why->code != ERR_OK) {
        log_err(LOG_INFO, why, "connection lost session=%llu", (unsigned long long)s->id);
    }
    session_close(s);
}

static void on_too_large(void *arg, uint8_t type, uint64_t bytes)
{
    struct session *s = arg;
    struct err err;
    if (s->state == SESSION_STARTING) {
        first_too_large(s, type, bytes);
        return;
    }
    metric_add(METRIC_protocol_errors, 1);
    const struct wire_row *row = wire_find(type);
    char text[POLICY_TEXT_BYTES];
    struct policy_value max = {.integer = (int64_t)s->net->limits.frame_bytes_max};
    err_set(&err, ERR_FRAME_TOO_LARGE, "message %s of %llu bytes is over frame_max = %s",
            row == NULL ? "of unknown type" : row->name, (unsigned long long)bytes,
            policy_format(text, POLICY_frame_max, &max));
    err_hint(&err, "Send less at once, or raise frame_max.");
    err_policy(&err, "frame_max");
    session_fatal(s, &err);
}

static void on_stalled(void *arg, bool is_slow)
{
    struct session *s = arg;
    struct err err;
    unsigned long long ms = s->net->limits.timeout_us / 1000;
    if (is_slow) {
        err_set(&err, ERR_IDLE,
                "a message did not come within %llu ms and a second for every %d bytes of it", ms,
                BYTES_A_SECOND_MIN);
    } else {
        err_set(&err, ERR_IDLE, "the rest of a message did not come within %llu ms", ms);
    }
    err_policy(&err, "client_timeout");
    session_fatal(s, &err);
}

static void on_startup_late(void *arg)
{
    struct session *s = arg;
    if (s->state == SESSION_STARTING) {
        struct err err;
        err_set(&err, ERR_IDLE, "no start-up came within %llu ms",
                (unsigned long long)(s->net->limits.timeout_us / 1000));
        err_policy(&err, "client_timeout");
        session_fatal(s, &err);
    }
}

static const struct conn_events conn_events = {
    .frame = on_frame,
    .drained = on_drained,
    .input_ended = on_input_ended,
    .closed = on_closed,
    .too_large = on_too_large,
    .stalled = on_stalled,
};

/* ---- the beginning ---- */

/* The portal's wake, on whatever thread.  One is under way at most: a second, of a portal that took
 * the place of a freed one, rides along with the first. */
static void wake(void *arg)
{
    struct session *s = arg;
    if (!atomic_exchange(&s->is_wake_posted, true)) {
        loop_post(s->net->loop, &s->post);
    }
}

static void on_wake(void *arg)
{
    struct session *s = arg;
    CHECK(loop_is_current(s->net->loop));
    atomic_store(&s->is_wake_posted, false);
    if (s->is_closed) {
        session_dispose(s);
    } else {
        flights_land(s);
        statement_resume(s, WAIT_WAKE);
        settle(s);
    }
}

static void apply_limits(struct session *s)
{
    CHECK(s->conn != NULL && !s->is_closed);
    const struct session_limits *limits = &s->net->limits;
    if (s->state != SESSION_STARTING) {
        conn_set_frame_max(s->conn, limits->frame_bytes_max);
    }
    conn_set_output_max(s->conn, limits->output_bytes_max);
    conn_set_timeout(s->conn, limits->timeout_us);
}

/* First act on its own thread. */
static void on_arrival(void *arg)
{
    struct session *s = arg;
    CHECK(s->conn == NULL && s->state == SESSION_STARTING && loop_is_current(s->net->loop));
    struct err err;
    s->post.fn = on_wake;
    s->arena = arena_new(MEM_SESSION, ARENA_BYTES_MAX);
    s->startup_timer = timer_new(s->net->loop, on_startup_late, s);
    if (s->arena != NULL && s->startup_timer != NULL) {
        s->conn = conn_new(s->net->loop, s->fd, &conn_events, s, &err);
    }
    s->next = s->net->sessions;
    if (s->next != NULL) {
        s->next->prev = s;
    }
    s->net->sessions = s;
    if (s->conn == NULL) {
        close(s->fd);
        session_close(s);
        return;
    }
    apply_limits(s);
    timer_set(s->startup_timer, s->net->limits.timeout_us);
    if (s->net->is_draining) {
        session_shutting_down(s);
    }
}

void session_accept(struct net_thread *net, int fd)
{
    CHECK(net != NULL && fd >= 0);
    struct session *s = mem_zalloc(MEM_SESSION, sizeof *s);
    if (s == NULL) {
        close(fd);
        return;
    }
    atomic_fetch_add(&net->host->n_connections, 1);
    metric_add(METRIC_connections_accepted, 1);
    s->net = net;
    s->fd = fd;
    s->id = atomic_fetch_add(&net->host->last_id, 1) + 1;
    s->state = SESSION_STARTING;
    statement_init(s, wake);
    atomic_init(&s->is_wake_posted, false);
    s->post = (struct loop_post){.fn = on_arrival, .arg = s};
    loop_post(net->loop, &s->post);
}

/* ---- all sessions of a thread ---- */

void sessions_limit(struct net_thread *net, const struct session_limits *limits)
{
    CHECK(limits->frame_bytes_max > 0 && limits->output_bytes_max > 0);
    net->limits = *limits;
    for (struct session *s = net->sessions; s != NULL; s = s->next) {
        apply_limits(s);
    }
}

/* A session that is told while nothing else waits to be sent needs no lingering: all that its
 * client sent was read. */
static void drain(struct session *s)
{
    CHECK(!s->is_closed);
    bool is_busy = s->state == SESSION_RUNNING || s->state == SESSION_COPY_IN || s->n_flights > 0;
    if (is_busy || s->state == SESSION_CLOSING || conn_has_frame(s->conn)) {
        settle(s);
        return;
    }
    struct err err;
    err_set(&err, ERR_SHUTTING_DOWN, "the server is shutting down");
    wire_write_error(conn_output(s->conn), WIRE_ERROR, "FATAL", &err);
    conn_flush(s->conn);
    session_move(s, SESSION_CLOSING, "drained");
    if (conn_output_bytes(s->conn) == 0) {
        session_close(s);
    } else {
        conn_finish(s->conn);
    }
}

void sessions_drain(struct net_thread *net)
{
    CHECK(net->drained != NULL);
    net->is_draining = true;
    if (net->sessions == NULL) {
        net->drained(net->arg);
    }
    for (struct session *s = net->sessions, *next; s != NULL; s = next) {
        next = s->next;
        drain(s);
    }
}

void sessions_cancel(struct net_thread *net)
{
    for (struct session *s = net->sessions; s != NULL; s = s->next) {
        if (s->query != NULL) {
            query_session_cancel(s->query);
        }
    }
}

void sessions_close(struct net_thread *net)
{
    while (net->sessions != NULL) {
        session_close(net->sessions);
    }
}
