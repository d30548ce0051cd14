/* Statements of a session: the messages that make and run them.
 *
 *   QUERY    simple_next: prepare, portal, run, next statement ... READY
 *            (a long text is prepared on the pool, and the session waits: prepare_later)
 *   PARSE    names a prepared statement;  BIND names a portal
 *   EXECUTE  run
 *
 *   run      portal_run again and again, until it is done (COMMAND_COMPLETE), suspended, has failed
 *            (ERROR), or must wait: for the portal's wake, for room in the output, for COPY data.
 *            Then the connection is paused, but for COPY data, and statement_resume goes on where
 *            run stopped.  A portal that waits for room or for data wakes too: its time is over, or
 *            it was canceled.  INSERTs and SEARCHes of a pipeline may go their own way: flight.c.
 *
 * A portal leaves the session when it is done or has failed; a suspended one keeps its name. */
#include <stdio.h>
#include <string.h>

#include "server/server_int.h"

enum {
    STATEMENTS_MAX = 1000,
    PORTALS_MAX = 100,
    REST_KEPT_BYTES = 16 << 10, /* A larger text's memory is given back. */
    STATEMENTS_US_MAX = 1000,   /* Of a text, one after the other: then others have their turn. */
};

void statement_init(struct session *s, void (*wake)(void *arg))
{
    sink_init(s, wake);
    names_init(&s->statements, "prepared statement", STATEMENTS_MAX);
    names_init(&s->portals, "portal", PORTALS_MAX);
    buf_init(&s->rest, MEM_SESSION, SIZE_MAX);
}

/* ---- the end of a statement ---- */

/* Frees the portal that ran, and its name where it has one. */
static void drop_portal(struct session *s)
{
    CHECK(s->portal != NULL);
    if (!s->is_simple) {
        names_forget(&s->portals, s->portal);
    }
    portal_free(s->portal);
    s->portal = NULL;
}

/* The QUERY is over, well or not. */
static void simple_leave(struct session *s, const char *why)
{
    s->is_simple = false;
    if (s->rest.capacity_bytes > REST_KEPT_BYTES) {
        buf_fini(&s->rest);
        buf_init(&s->rest, MEM_SESSION, SIZE_MAX);
    }
    conn_pause(s->conn, false);
    session_move(s, SESSION_IDLE, why);
    session_ready(s);
}

static void fail(struct session *s, struct err *err)
{
    if (s->portal != NULL) {
        drop_portal(s);
    }
    if (s->is_simple && err->position > 0) {
        err->position += (uint32_t)s->statement_at;
    }
    s->wait = WAIT_NOTHING;
    wire_write_error(session_output(s), WIRE_ERROR, "ERROR", err);
    if (s->is_simple) {
        simple_leave(s, "failed");
    } else {
        conn_pause(s->conn, false);
        session_move(s, SESSION_SKIPPING, "failed");
        conn_flush(s->conn); /* The client may send data until it hears of it. */
    }
}

/* ---- running ---- */

static void hold(struct session *s, enum session_wait wait)
{
    s->wait = wait;
    conn_pause(s->conn, true);
    if (wait == WAIT_ROOM) {
        s->facts.output_bytes = conn_output_bytes(s->conn);
        query_session_describe(s->query, &s->facts);
        conn_flush(s->conn);
    }
}

static void announce_copy(struct session *s, enum wire_type type)
{
    const uint8_t *types;
    size_t n;
    enum copy_format format = portal_copy_format(s->portal, &types, &n);
    CHECK(n <= UINT16_MAX);
    wire_write_copy(session_output(s), type, (uint8_t)format, types, (uint16_t)n);
}

static void take_copy_data(struct session *s)
{
    if (!s->is_copy_in) {
        s->is_copy_in = true;
        announce_copy(s, WIRE_COPY_IN);
    }
    session_move(s, SESSION_COPY_IN, "wants data");
    s->wait = WAIT_WAKE;
    conn_pause(s->conn, false);
    conn_flush(s->conn);
}

/* portal_run, but for what this side knows better. */
static enum portal_status run_once(struct session *s, struct err *err)
{
    if (s->row_limit != 0 && s->n_given >= s->row_limit) {
        return PORTAL_SUSPENDED;
    }
    uint64_t left = s->row_limit == 0 ? 0 : s->row_limit - s->n_given;
    enum portal_status status = portal_run(s->portal, left, err);
    if (s->is_sink_failed) {
        s->is_sink_failed = false;
        *err = s->sink_err;
        return PORTAL_FAILED;
    }
    return status;
}

/* True where the statement has ended, is suspended, or goes its way alone; else it waits or has
 * failed, and the session knows. */
static bool run(struct session *s)
{
    s->wait = WAIT_NOTHING;
    for (;;) {
        struct err err;
        switch (run_once(s, &err)) {
        case PORTAL_DONE:
            if (s->is_copy_out) {
                wire_write_empty(session_output(s), WIRE_COPY_DONE);
            }
            wire_write_complete(session_output(s), portal_tag(s->portal), portal_rows(s->portal));
            drop_portal(s);
            return true;
        case PORTAL_SUSPENDED:
            wire_write_empty(session_output(s), WIRE_PORTAL_SUSPENDED);
            portal_suspend(s->portal);
            s->portal = NULL;
            return true;
        case PORTAL_COPY_OUT:
            s->is_copy_out = true;
            announce_copy(s, WIRE_COPY_OUT);
            break;
        case PORTAL_FULL:
            hold(s, WAIT_ROOM);
            return false;
        case PORTAL_WAIT:
            if (flight_begin(s)) {
                return true;
            }
            hold(s, WAIT_WAKE);
            return false;
        case PORTAL_COPY_IN:
            take_copy_data(s);
            return false;
        case PORTAL_FAILED:
            fail(s, &err);
            return false;
        }
    }
}

static void begin(struct session *s, struct portal *portal, uint32_t row_limit)
{
    CHECK(s->portal == NULL); /* One at a time. */
    s->portal = portal;
    s->row_limit = row_limit;
    s->n_given = 0;
    s->is_copy_in = s->is_copy_out = false;
}

/* ---- simple query ---- */

/* The text's next statement as a portal; NULL with code ERR_OK where there is none. */
static enum errcode simple_portal(struct session *s, struct portal **out, struct err *err)
{
    struct prepared *prepared = NULL;
    size_t rest = 0;
    enum errcode code;
    *out = NULL;
    s->statement_at = s->text_at;
    if (s->preparing != NULL) {
        code = preparing_end(s->preparing, &prepared, &rest, &s->rest, err);
        s->preparing = NULL;
    } else {
        struct statement_text text = {.data = s->text.data, .bytes = s->text.bytes};
        code = prepared_new(s->query, &text, &prepared, &rest, err);
    }
    if (code != ERR_OK || prepared == NULL) {
        return code;
    }
    CHECK(rest <= s->text.bytes);
    s->text.data += rest;
    s->text.bytes -= (uint32_t)rest;
    s->text_at += rest;
    s->has_statement = true;
    code = portal_new(s->query, prepared, &(struct parameters){0}, &s->sink, out, err);
    prepared_free(prepared);
    return code;
}

/* Keeps what is left of a text that ends with the frame it came in. */
static enum errcode keep_rest(struct session *s, struct err *err)
{
    if (s->preparing == NULL && s->rest.bytes == 0 && s->text.bytes > 0) {
        buf_bytes(&s->rest, s->text.data, s->text.bytes);
        s->text.data = (const char *)s->rest.data;
    }
    return s->rest.failed ? err_no_memory(err) : ERR_OK;
}

/* A long text is prepared on the pool, and the session waits. */
static void prepare_later(struct session *s, const struct statement_text *text, struct err *err)
{
    CHECK(s->preparing == NULL);
    s->preparing = preparing_begin(s->query, text, !s->is_simple, &s->rest, err);
    if (s->preparing == NULL) {
        fail(s, err);
        return;
    }
    hold(s, WAIT_WAKE);
    preparing_start(s->preparing, s->sink.wake, s->sink.arg);
}

static void simple_end(struct session *s)
{
    if (!s->has_statement) {
        wire_write_empty(session_output(s), WIRE_EMPTY_QUERY);
    }
    simple_leave(s, "query done");
}

static void simple_later(struct session *s)
{
    struct err err;
    if (keep_rest(s, &err) != ERR_OK) {
        fail(s, &err);
        return;
    }
    struct statement_text text = {.data = s->text.data, .bytes = s->text.bytes};
    s->statement_at = s->text_at;
    prepare_later(s, &text, &err);
}

/* Statements of the text, until one has to wait, their turn is over, or none is left. */
static void simple_next(struct session *s)
{
    for (uint64_t begun_us = clock_micros();;) {
        struct err err;
        struct portal *portal;
        if (s->preparing == NULL && s->text.bytes > PREPARED_INLINE_BYTES) {
            simple_later(s);
            return;
        }
        if (simple_portal(s, &portal, &err) != ERR_OK) {
            fail(s, &err);
            return;
        }
        if (portal == NULL) {
            simple_end(s);
            return;
        }
        const struct result_column *columns;
        size_t n = portal_columns(portal, &columns);
        if (n > 0) {
            sink_columns(s, n, columns);
        }
        begin(s, portal, 0);
        if (!run(s)) {
            return;
        }
        if (clock_micros() - begun_us > STATEMENTS_US_MAX) {
            hold(s, WAIT_WAKE);
            s->sink.wake(s->sink.arg);
            return;
        }
    }
}

static void on_query(struct session *s, struct reader *r)
{
    if (!wire_read_text(r, &s->text)) {
        session_violation(s, "malformed QUERY");
        return;
    }
    s->is_simple = true;
    s->has_statement = false;
    s->text_at = 0;
    buf_reset(&s->rest);
    session_move(s, SESSION_RUNNING, "query");
    simple_next(s);
    struct err err;
    if (s->is_simple && keep_rest(s, &err) != ERR_OK) { /* It waits, and the text is the frame's. */
        session_fatal(s, &err);
    }
}

/* ---- extended query: statements ---- */

static void refuse(struct session *s, struct err *err)
{
    wire_write_error(session_output(s), WIRE_ERROR, "ERROR", err);
    session_move(s, SESSION_SKIPPING, "refused");
    conn_flush(s->conn);
}

/* The names that messages carry come back in errors: here is where they are looked at. */
static bool takes_name(struct session *s, struct wire_str name)
{
    if (!name_is_clean(name)) {
        struct err err;
        err_set(&err, ERR_BAD_ENCODING,
                "a name of a statement or portal is not UTF-8 without control characters");
        refuse(s, &err);
        return false;
    }
    return true;
}

static void free_statement(struct session *s, struct named *named)
{
    prepared_free(named->thing);
    names_remove(&s->statements, named);
}

/* Makes room for the name. */
static enum errcode check_parse(struct session *s, struct wire_str name, struct err *err)
{
    struct named *old = names_find(&s->statements, name);
    if (old != NULL && name.bytes > 0) {
        err_set(err, ERR_DUPLICATE_STATEMENT, "prepared statement \"%s\" exists already",
                old->name);
        err_hint(err, "Close it first.");
        return ERR_DUPLICATE_STATEMENT;
    }
    if (name.bytes > NAME_BYTES_MAX) {
        return err_set(err, ERR_NAME_TOO_LONG, "a name of %u bytes is longer than %d", name.bytes,
                       NAME_BYTES_MAX);
    }
    if (old != NULL) {
        free_statement(s, old);
    }
    return ERR_OK;
}

/* PREPARED is the result of preparing; takes it. */
static void parse_end(struct session *s, struct wire_str name, enum errcode code,
                      struct prepared *prepared, struct err *err)
{
    if (code == ERR_OK) {
        code = names_add(&s->statements, name, prepared, err);
    }
    if (code != ERR_OK) {
        prepared_free(prepared);
        refuse(s, err);
        return;
    }
    wire_write_empty(session_output(s), WIRE_PARSE_COMPLETE);
}

static void parse_later(struct session *s, const struct wire_parse_message *m)
{
    struct err err;
    snprintf(s->parsed_name, sizeof(s->parsed_name), "%.*s", (int)m->name.bytes, m->name.data);
    buf_reset(&s->rest);
    buf_bytes(&s->rest, m->text.data, m->text.bytes);
    buf_bytes(&s->rest, m->types, m->n_types);
    session_move(s, SESSION_RUNNING, "parse");
    if (s->rest.failed) {
        err_no_memory(&err);
        fail(s, &err);
        return;
    }
    struct statement_text text = {.data = (const char *)s->rest.data,
                                  .bytes = m->text.bytes,
                                  .types = s->rest.data + m->text.bytes,
                                  .n_types = m->n_types};
    prepare_later(s, &text, &err);
}

/* What parse_later began has ended. */
static void parse_arrives(struct session *s)
{
    struct err err;
    struct prepared *prepared;
    size_t rest;
    enum errcode code = preparing_end(s->preparing, &prepared, &rest, &s->rest, &err);
    struct wire_str name = {.data = s->parsed_name, .bytes = (uint32_t)strlen(s->parsed_name)};
    s->preparing = NULL;
    s->wait = WAIT_NOTHING;
    buf_fini(&s->rest);
    buf_init(&s->rest, MEM_SESSION, SIZE_MAX);
    conn_pause(s->conn, false);
    session_move(s, SESSION_IDLE, "parsed");
    parse_end(s, name, code, prepared, &err);
}

static void on_parse(struct session *s, struct reader *r)
{
    struct wire_parse_message m;
    struct err err;
    struct prepared *prepared = NULL;
    if (!wire_read_parse(r, &m)) {
        session_violation(s, "malformed PARSE");
    } else if (!takes_name(s, m.name)) {
        return;
    } else if (check_parse(s, m.name, &err) != ERR_OK) {
        refuse(s, &err);
    } else if (m.text.bytes > PREPARED_INLINE_BYTES) {
        parse_later(s, &m);
    } else {
        struct statement_text text = {
            .data = m.text.data, .bytes = m.text.bytes, .types = m.types, .n_types = m.n_types};
        enum errcode code = prepared_new_alone(s->query, &text, &prepared, &err);
        parse_end(s, m.name, code, prepared, &err);
    }
}

static struct named *find_statement(struct session *s, struct wire_str name, struct err *err)
{
    struct named *named = names_find(&s->statements, name);
    if (named == NULL) {
        err_set(err, ERR_UNKNOWN_STATEMENT, "prepared statement \"%.*s\" does not exist",
                (int)(name.bytes < NAME_BYTES_MAX ? name.bytes : NAME_BYTES_MAX), name.data);
    }
    return named;
}

/* ---- extended query: portals ---- */

static struct named *find_portal(struct session *s, struct wire_str name, struct err *err)
{
    struct named *named = names_find(&s->portals, name);
    if (named == NULL) {
        err_set(err, ERR_UNKNOWN_PORTAL, "portal \"%.*s\" does not exist",
                (int)(name.bytes < NAME_BYTES_MAX ? name.bytes : NAME_BYTES_MAX), name.data);
        err_hint(err, "A portal ends when all of it was executed; bind the statement again.");
    }
    return named;
}

static void free_portal(struct session *s, struct named *named)
{
    portal_free(named->thing);
    names_remove(&s->portals, named);
}

static enum errcode bind_portal(struct session *s, const struct wire_bind *m,
                                const struct value *values, struct err *err)
{
    struct named *statement = find_statement(s, m->statement, err);
    if (statement == NULL) {
        return err->code;
    }
    struct named *old = names_find(&s->portals, m->portal);
    if (old != NULL && m->portal.bytes > 0) {
        err_set(err, ERR_DUPLICATE_PORTAL, "portal \"%s\" exists already", old->name);
        err_hint(err, "Close it first.");
        return ERR_DUPLICATE_PORTAL;
    }
    if (old != NULL) {
        free_portal(s, old);
    }
    struct portal *portal = NULL;
    if (statement->thing == NULL && m->n_values > 0) {
        return err_set(err, ERR_UNKNOWN_PARAMETER,
                       "the statement has no parameters, and %u values "
                       "were given",
                       m->n_values);
    }
    struct parameters parameters = {.values = values, .n = m->n_values};
    if (statement->thing != NULL &&
        portal_new(s->query, statement->thing, &parameters, &s->sink, &portal, err) != ERR_OK) {
        return err->code;
    }
    if (names_add(&s->portals, m->portal, portal, err) != ERR_OK) {
        portal_free(portal);
        return err->code;
    }
    return ERR_OK;
}

static void on_bind(struct session *s, struct reader *r)
{
    struct wire_bind m;
    struct err err;
    if (!wire_read_bind(r, &m)) {
        session_violation(s, "malformed BIND");
        return;
    }
    arena_reset(s->arena);
    struct value *values = arena_array(s->arena, m.n_values, sizeof *values);
    for (uint16_t i = 0; values != NULL && i < m.n_values; i++) {
        values[i] = value_read(r, s->arena);
    }
    if (arena_failed(s->arena)) {
        err_no_memory(&err);
        refuse(s, &err);
    } else if (!reader_done(r)) {
        session_violation(s, "malformed BIND");
    } else if (!takes_name(s, m.portal) || !takes_name(s, m.statement)) {
        return;
    } else if (bind_portal(s, &m, values, &err) != ERR_OK) {
        refuse(s, &err);
    } else {
        wire_write_empty(session_output(s), WIRE_BIND_COMPLETE);
    }
}

/* What DESCRIBE and CLOSE are about; false where that was refused. */
static bool take_named(struct session *s, struct reader *r, char *kind, struct wire_str *name)
{
    if (!wire_read_named(r, kind, name)) {
        session_violation(s, "malformed DESCRIBE or CLOSE");
        return false;
    }
    return takes_name(s, *name);
}

static void describe_statement(struct session *s, struct prepared *prepared)
{
    const uint8_t *types = NULL;
    struct err err;
    if (prepared != NULL && prepared_refresh(s->query, prepared, &err) != ERR_OK) {
        refuse(s, &err);
        return;
    }
    const struct result_column *columns = NULL;
    size_t n_types = prepared == NULL ? 0 : prepared_parameters(prepared, &types);
    size_t n_columns = prepared == NULL ? 0 : prepared_columns(prepared, &columns);
    CHECK(n_types <= UINT16_MAX);
    wire_write_parameters(session_output(s), types, (uint16_t)n_types);
    sink_columns(s, n_columns, columns);
}

static void on_describe(struct session *s, struct reader *r)
{
    char kind;
    struct wire_str name;
    struct err err;
    if (!take_named(s, r, &kind, &name)) {
        return;
    }
    bool is_statement = kind == WIRE_KIND_STATEMENT;
    struct named *named = is_statement ? find_statement(s, name, &err) : find_portal(s, name, &err);
    if (named == NULL) {
        refuse(s, &err);
    } else if (is_statement) {
        describe_statement(s, named->thing);
    } else {
        const struct result_column *columns = NULL;
        size_t n = named->thing == NULL ? 0 : portal_columns(named->thing, &columns);
        sink_columns(s, n, columns);
    }
}

/* The end of an EXECUTE that did not fail: the next message may come. */
static void execute_end(struct session *s)
{
    conn_pause(s->conn, false);
    session_move(s, SESSION_IDLE, "executed");
}

static void on_execute(struct session *s, struct reader *r)
{
    struct wire_str name;
    uint32_t row_limit;
    struct err err;
    if (!wire_read_execute(r, &name, &row_limit)) {
        session_violation(s, "malformed EXECUTE");
        return;
    }
    if (!takes_name(s, name)) {
        return;
    }
    struct named *named = find_portal(s, name, &err);
    if (named == NULL) {
        refuse(s, &err);
    } else if (named->thing == NULL) {
        wire_write_empty(session_output(s), WIRE_EMPTY_QUERY);
        free_portal(s, named);
    } else {
        session_move(s, SESSION_RUNNING, "execute");
        begin(s, named->thing, row_limit);
        flight_prepare(s);
        if (run(s)) {
            execute_end(s);
        }
    }
}

static void on_close(struct session *s, struct reader *r)
{
    char kind;
    struct wire_str name;
    if (!take_named(s, r, &kind, &name)) {
        return;
    }
    struct named *named = kind == WIRE_KIND_STATEMENT ? names_find(&s->statements, name)
                                                      : names_find(&s->portals, name);
    if (named != NULL && kind == WIRE_KIND_STATEMENT) {
        free_statement(s, named);
    } else if (named != NULL) {
        free_portal(s, named);
    }
    wire_write_empty(session_output(s), WIRE_CLOSE_COMPLETE);
}

/* ---- messages ---- */

void statement_message(struct session *s, uint8_t type, struct reader *r)
{
    CHECK(s->state == SESSION_IDLE && s->portal == NULL && s->preparing == NULL);
    switch (type) {
    case WIRE_QUERY:
        on_query(s, r);
        break;
    case WIRE_PARSE:
        on_parse(s, r);
        break;
    case WIRE_BIND:
        on_bind(s, r);
        break;
    case WIRE_DESCRIBE:
        on_describe(s, r);
        break;
    case WIRE_EXECUTE:
        on_execute(s, r);
        break;
    case WIRE_CLOSE:
        on_close(s, r);
        break;
    case WIRE_FLUSH:
        conn_flush(s->conn);
        break;
    case WIRE_SYNC:
        session_ready(s);
        break;
    default:
        session_violation(s, "a message of a type that is not expected here");
        break;
    }
}

/* ---- COPY in ---- */

/* The portal runs on: to its end, to more data, or to a wait. */
static void go_on(struct session *s)
{
    if (s->preparing != NULL && !preparing_has_ended(s->preparing)) {
        return; /* The wake was of what came before. */
    }
    if (s->preparing != NULL && !s->is_simple) {
        parse_arrives(s);
        return;
    }
    if (s->preparing != NULL || s->portal == NULL) { /* Of a text whose turn was over. */
        s->wait = WAIT_NOTHING;
        simple_next(s);
        return;
    }
    if (!run(s)) {
        return;
    }
    if (s->is_simple) {
        simple_next(s);
    } else {
        execute_end(s);
    }
}

static void leave_copy(struct session *s, const char *why)
{
    CHECK(s->state == SESSION_COPY_IN);
    session_move(s, SESSION_RUNNING, why);
    go_on(s);
}

void statement_stop_copy(struct session *s, const struct err *reason)
{
    CHECK(s->state == SESSION_COPY_IN);
    portal_copy_fail(s->portal, reason);
    leave_copy(s, "no more data is wanted");
}

static void copy_fail(struct session *s, struct reader *r)
{
    enum {
        REASON_BYTES_MAX = 200
    };
    struct wire_str reason;
    struct err err;
    if (!wire_read_text(r, &reason)) {
        session_violation(s, "malformed COPY_FAIL");
        return;
    }
    if (name_is_clean(reason)) {
        uint32_t bytes = reason.bytes < REASON_BYTES_MAX ? reason.bytes : REASON_BYTES_MAX;
        while (bytes < reason.bytes && bytes > 0 && (reason.data[bytes] & 0xc0) == 0x80) {
            bytes--; /* Not in the middle of a character. */
        }
        err_set(&err, ERR_CANCELED, "ended by the client: %.*s", (int)bytes, reason.data);
    } else {
        err_set(&err, ERR_CANCELED, "ended by the client, for a reason that is not text");
    }
    statement_stop_copy(s, &err);
}

void statement_copy_message(struct session *s, uint8_t type, const uint8_t *payload, size_t bytes)
{
    CHECK(s->state == SESSION_COPY_IN && s->portal != NULL);
    struct reader r;
    reader_init(&r, payload, bytes);
    switch (type) {
    case WIRE_COPY_DATA:
        portal_copy_data(s->portal, payload, bytes);
        leave_copy(s, "data has come");
        break;
    case WIRE_COPY_DONE:
        portal_copy_done(s->portal);
        leave_copy(s, "all data has come");
        break;
    case WIRE_COPY_FAIL:
        copy_fail(s, &r);
        break;
    case WIRE_FLUSH:
    case WIRE_SYNC:
        break; /* Sent behind the EXECUTE by a client that did not know that it is a COPY. */
    default:
        session_violation(s, "a message of a type that is not expected while COPY data is taken");
        break;
    }
}

void statement_resume(struct session *s, enum session_wait ended)
{
    bool is_awaited = s->wait == ended || (s->wait == WAIT_ROOM && ended == WAIT_WAKE);
    if (s->wait == WAIT_NOTHING || !is_awaited) {
        return;
    }
    if (s->state == SESSION_COPY_IN) {
        leave_copy(s, "woken");
    } else if (s->state == SESSION_RUNNING) {
        go_on(s);
    }
}

bool statement_is_working(const struct session *s)
{
    return s->n_flights > 0 || (s->state == SESSION_RUNNING && s->wait == WAIT_WAKE);
}

void statement_abandon(struct session *s)
{
    if (s->preparing != NULL) {
        preparing_abandon(s->preparing);
        s->preparing = NULL;
    }
    flights_abandon(s);
    if (s->is_simple && s->portal != NULL) {
        portal_free(s->portal);
    }
    s->portal = NULL;
    while (s->portals.n > 0) {
        free_portal(s, &s->portals.items[s->portals.n - 1]);
    }
    while (s->statements.n > 0) {
        free_statement(s, &s->statements.items[s->statements.n - 1]);
    }
}
