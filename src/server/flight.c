/* Statements that are on their way together: what a pipeline gains from its company.
 *
 *   BIND EXECUTE a SYNC  BIND EXECUTE b SYNC  ...      two INSERTs share a sync of the log,
 *                                                      two SEARCHes have a core each
 *
 * An INSERT whose SYNC has come holds up nothing that comes behind: nothing up to the SYNC depends
 * on it, and what it does depends on nothing later, since writes are applied in the order in which
 * they were submitted.  SEARCHes change nothing, and those that take long are worth a step on the
 * pool where another statement is waiting behind.  So they take off, and the session goes on to the
 * next message.  Answers keep their order: each flight has its own answer, and a tail of what was
 * said behind it.
 *
 *   output <- [answer tail] [answer tail] [answer tail] <- what the session says now
 *
 * All flights are of one kind: a SEARCH behind an INSERT has to see its row, and one before it must
 * not.  Before a message is handled that is of another kind, or not known to be harmless, all
 * flights have landed: until then the connection is paused and the message stays with it.  An
 * EXECUTE without its SYNC is one: after an error what is behind it must not have happened.
 *
 * A flight, and what is said behind it, may be ANSWER_BYTES_MAX long; then it waits until it is the
 * first, or what is behind it until it is the session's own output. */
#include "server/server_int.h"

enum {
    FLIGHTS_MAX = 128,            /* Of a session. */
    FLIGHT_BYTES_MAX = 512 << 10, /* Of writes, together, before another one takes off. */
    TAIL_BYTES_MAX = 64 << 10,
    ANSWER_BYTES_MAX = 64 << 10,
};

struct flight {
    struct portal *portal; /* NULL: it has landed. */
    size_t bytes;          /* Of its write. */
    struct buf answer, tail;
};

static struct flight *flight_at(const struct session *s, size_t i)
{
    CHECK_HOT(s->flights != NULL && i < FLIGHTS_MAX);
    return &s->flights[(s->first_flight + i) % FLIGHTS_MAX];
}

struct buf *session_output(struct session *s)
{
    return s->n_flights == 0 ? conn_output(s->conn) : &flight_at(s, s->n_flights - 1)->tail;
}

/* ---- taking off ---- */

static bool has_sync_behind(const struct session *s, size_t nth)
{
    struct wire_frame frame;
    return conn_peek(s->conn, nth, &frame) && frame.type == WIRE_SYNC;
}

static bool is_of_company(const struct session *s, const struct portal *portal)
{
    enum portal_company company = portal_company(portal);
    return company != PORTAL_ALONE && (s->n_flights == 0 || company == s->company);
}

void flight_prepare(struct session *s)
{
    CHECK(s->portal != NULL && s->landing == NULL);
    struct wire_frame frame;
    bool has_company = s->n_flights > 0 || conn_peek(s->conn, 1, &frame);
    if (s->row_limit == 0 && has_sync_behind(s, 0) && has_company && is_of_company(s, s->portal) &&
        portal_company(s->portal) == PORTAL_AMONG_SEARCHES) {
        portal_prefer_pool(s->portal);
    }
}

bool flight_begin(struct session *s)
{
    CHECK(s->portal != NULL && s->landing == NULL);
    size_t bytes;
    if (s->is_simple || s->row_limit != 0 || s->n_given > 0 || s->n_flights == FLIGHTS_MAX ||
        !has_sync_behind(s, 0) || !is_of_company(s, s->portal) ||
        !portal_may_be_passed(s->portal, &bytes)) {
        return false;
    }
    s->company = portal_company(s->portal);
    if (s->flights == NULL) {
        s->flights = mem_alloc(MEM_SESSION, FLIGHTS_MAX * sizeof(*s->flights));
    }
    if (s->flights == NULL) {
        return false;
    }
    CHECK(s->n_flights < FLIGHTS_MAX);
    struct flight *flight = flight_at(s, s->n_flights++);
    flight->portal = s->portal;
    flight->bytes = bytes;
    names_forget(&s->portals, s->portal);
    buf_init(&flight->answer, MEM_SESSION, SIZE_MAX);
    buf_init(&flight->tail, MEM_SESSION, SIZE_MAX);
    s->flight_bytes += bytes;
    s->portal = NULL;
    return true;
}

/* EXECUTE of one of the same kind, with its SYNC behind it. */
static bool may_take_off(const struct session *s, const struct wire_frame *frame)
{
    struct reader r;
    struct wire_str name;
    uint32_t row_limit;
    reader_init(&r, frame->payload, frame->payload_bytes);
    if (s->n_flights == FLIGHTS_MAX || s->flight_bytes >= FLIGHT_BYTES_MAX ||
        !has_sync_behind(s, 1) || !wire_read_execute(&r, &name, &row_limit)) {
        return false;
    }
    const struct named *named = names_find(&s->portals, name);
    return named != NULL && named->thing != NULL && row_limit == 0 &&
           is_of_company(s, named->thing);
}

/* The next message has come and may be handled while flights are on their way. */
static bool may_go_on(const struct session *s)
{
    CHECK(s->n_flights > 0);
    struct wire_frame frame;
    if (!conn_peek(s->conn, 0, &frame) ||
        flight_at(s, s->n_flights - 1)->tail.bytes > TAIL_BYTES_MAX) {
        return false;
    }
    switch (frame.type) {
    case WIRE_PARSE:
        return frame.payload_bytes <= PREPARED_INLINE_BYTES; /* Prepared here, at once. */
    case WIRE_BIND:
    case WIRE_DESCRIBE:
    case WIRE_CLOSE:
    case WIRE_FLUSH:
    case WIRE_SYNC:
        return true;
    case WIRE_EXECUTE:
        return s->state == SESSION_SKIPPING || may_take_off(s, &frame);
    default:
        return false;
    }
}

void flights_hold(struct session *s)
{
    CHECK(s->n_flights > 0 && s->n_flights <= FLIGHTS_MAX);
    bool is_ready = s->state == SESSION_IDLE || s->state == SESSION_SKIPPING;
    if (is_ready && s->wait == WAIT_NOTHING && !may_go_on(s)) {
        s->wait = WAIT_FLIGHTS;
        conn_pause(s->conn, true);
    }
}

/* ---- landing ---- */

static void append(struct buf *to, struct buf *from)
{
    buf_bytes(to, from->data, from->bytes);
    to->failed = to->failed || from->failed;
    buf_fini(from);
}

/* Until it has landed, waits for its step or its write, or has said as much as it may. */
static void run(struct session *s, struct flight *flight)
{
    CHECK(s->landing == NULL && flight->portal != NULL && s->portal != flight->portal);
    struct err err;
    s->landing = &flight->answer;
    enum portal_status status = portal_run(flight->portal, 0, &err);
    s->landing = NULL;
    if (s->is_sink_failed) {
        s->is_sink_failed = false;
        err = s->sink_err;
        status = PORTAL_FAILED;
    }
    switch (status) {
    case PORTAL_DONE:
        wire_write_complete(&flight->answer, portal_tag(flight->portal),
                            portal_rows(flight->portal));
        break;
    case PORTAL_FAILED:
        wire_write_error(&flight->answer, WIRE_ERROR, "ERROR", &err);
        break;
    case PORTAL_WAIT:
    case PORTAL_FULL:
        return;
    default:
        CHECK(false); /* It takes no data, and has no row limit. */
    }
    portal_free(flight->portal);
    flight->portal = NULL;
}

bool flight_is_full(const struct buf *said)
{
    return said->bytes >= ANSWER_BYTES_MAX;
}

/* The first one's answer leaves as far as it is there, and there is room. */
static void run_first(struct session *s)
{
    struct flight *flight = flight_at(s, 0);
    while (flight->portal != NULL && flight_is_full(&flight->answer) && !conn_is_over(s->conn)) {
        append(conn_output(s->conn), &flight->answer);
        buf_init(&flight->answer, MEM_SESSION, SIZE_MAX);
        conn_flush(s->conn);
        run(s, flight);
    }
}

/* The first one's answers leave. */
static void leave(struct session *s)
{
    CHECK(s->n_flights > 0);
    struct flight *flight = flight_at(s, 0);
    CHECK(flight->portal == NULL && s->flight_bytes >= flight->bytes);
    append(conn_output(s->conn), &flight->answer);
    append(conn_output(s->conn), &flight->tail);
    s->first_flight = (s->first_flight + 1) % FLIGHTS_MAX;
    s->n_flights--;
    s->flight_bytes -= flight->bytes;
}

void flights_land(struct session *s)
{
    if (s->n_flights == 0) {
        return;
    }
    CHECK(s->landing == NULL && s->n_flights <= FLIGHTS_MAX);
    for (size_t i = 0; i < s->n_flights; i++) {
        if (flight_at(s, i)->portal != NULL) {
            run(s, flight_at(s, i));
        }
    }
    run_first(s);
    while (s->n_flights > 0 && flight_at(s, 0)->portal == NULL) {
        leave(s);
        if (s->n_flights > 0) {
            run_first(s);
        }
    }
    conn_flush(s->conn);
    if (s->n_flights == 0 && s->state == SESSION_CLOSING) {
        conn_pause(s->conn, false);
        conn_finish(s->conn);
    } else if (s->wait == WAIT_FLIGHTS && (s->n_flights == 0 || may_go_on(s))) {
        s->wait = WAIT_NOTHING;
        conn_pause(s->conn, false);
    }
}

void flights_abandon(struct session *s)
{
    CHECK(s->landing == NULL);
    for (; s->n_flights > 0; s->n_flights--) {
        struct flight *flight = flight_at(s, s->n_flights - 1);
        portal_free(flight->portal);
        buf_fini(&flight->answer);
        buf_fini(&flight->tail);
    }
    mem_free(MEM_SESSION, s->flights);
    s->flights = NULL;
}
