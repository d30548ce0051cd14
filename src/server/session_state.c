/* A session's states, and what a client is told as one is entered: READY, or why it must go.
 *
 *    STARTING --- STARTUP ---> IDLE <----- READY, or the end of an EXECUTE ------+
 *                               | ^                                             |
 *                  a statement  | | SYNC            data is wanted              |
 *                               v |              +------------------> COPY_IN   |
 *                            RUNNING ------------+ <-- data, its end, or a wake |
 *                               | +----------------------------------------------+
 *                an error in    v
 *            the extended    SKIPPING     everything but SYNC is thrown away
 *              protocol
 *
 *    any ---> CLOSING   the goodbye is on its way out, nothing more is handled
 *
 * What each event does in each of them is in session.c. */
#include "server/server_int.h"

static const char *const state_names[] = {"starting", "idle",     "running",
                                          "copy in",  "skipping", "closing"};
_Static_assert(COUNT_OF(state_names) == SESSION_STATES, "a name a state");

static const uint32_t moves[SESSION_STATES] = {
    [SESSION_STARTING] = STATE_BIT(SESSION_IDLE) | STATE_BIT(SESSION_CLOSING),
    [SESSION_IDLE] =
        STATE_BIT(SESSION_RUNNING) | STATE_BIT(SESSION_SKIPPING) | STATE_BIT(SESSION_CLOSING),
    [SESSION_RUNNING] = STATE_BIT(SESSION_IDLE) | STATE_BIT(SESSION_COPY_IN) |
                        STATE_BIT(SESSION_SKIPPING) | STATE_BIT(SESSION_CLOSING),
    [SESSION_COPY_IN] = STATE_BIT(SESSION_RUNNING) | STATE_BIT(SESSION_CLOSING),
    [SESSION_SKIPPING] = STATE_BIT(SESSION_IDLE) | STATE_BIT(SESSION_CLOSING),
};

static const struct state_machine machine = {
    .name = "session",
    .names = state_names,
    .n_states = COUNT_OF(state_names),
    .moves = moves,
};

void session_move(struct session *s, enum session_state to, const char *why)
{
    CHECK(to < SESSION_STATES);
    state_move(&machine, &s->state, (uint8_t)to, s->id, why);
}

void session_fatal(struct session *s, const struct err *err)
{
    CHECK(s->conn != NULL);
    CHECK(err->code != ERR_OK);
    if (s->state == SESSION_CLOSING) {
        return;
    }
    wire_write_error(session_output(s), WIRE_ERROR, "FATAL", err);
    session_move(s, SESSION_CLOSING, "fatal error");
    conn_pause(s->conn, s->n_flights > 0);
    if (s->n_flights == 0) {
        conn_finish(s->conn); /* Else when they have landed: their answers come before. */
    }
}

void session_violation(struct session *s, const char *what)
{
    CHECK(s->conn != NULL && what != NULL);
    struct err err;
    err_set(&err, ERR_PROTOCOL_VIOLATION, "protocol violation: %s", what);
    err_hint(&err, "The messages are described in doc/protocol.md.");
    metric_add(METRIC_protocol_errors, 1);
    log_err(LOG_INFO, &err, "session refused peer=%s", conn_peer(s->conn));
    session_fatal(s, &err);
}

void session_shutting_down(struct session *s)
{
    struct err err;
    err_set(&err, ERR_SHUTTING_DOWN, "the server is shutting down");
    session_fatal(s, &err);
}

void session_ready(struct session *s)
{
    CHECK(s->state == SESSION_IDLE);
    CHECK(s->portal == NULL && s->landing == NULL);
    wire_write_empty(session_output(s), WIRE_READY);
    if (s->n_flights == 0) {
        conn_flush(s->conn); /* Else it is sent when they have landed. */
    }
    if (s->net->is_draining) {
        session_shutting_down(s);
    }
}
