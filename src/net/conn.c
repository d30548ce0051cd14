/* Connections: frames in, bytes out, with every buffer bounded and every stall cut.
 *
 *             conn_finish            all is sent              end of input, or LINGER_US
 *    OPEN ----------------> FINISHING ----------> LINGERING ----------------+
 *     |                        |                                            v
 *     +------------------------+--- fault, end of input, stall ---------> ENDED: closed()
 *
 * Input.  A read goes to the loop's scratch space, so that an idle connection holds no buffer;
 * frames are handled where they lie, and what is left over (half a frame, or all behind a pause) is
 * copied to the connection's own input.  A large frame's buffer grows with what has come, not with
 * what its header claims.
 *
 * Output.  Frames of one batch leave in one write: during a batch conn_flush only notes the wish,
 * unless FLUSH_BYTES or FLUSH_DELAY_US are passed.  While output is over its bound no further frame
 * is handled, and while the input is full nothing is read: the peer's own kernel then stops it.
 *
 * Callbacks come only from a turn, which runs from the event loop and never inside a call of the
 * owner.  So an owner may call anything here from its callbacks; closed() is the last thing that a
 * turn does, and there, or any time later outside of a turn, it may call conn_free.
 *
 * A closing socket with unread input would send a reset, which can destroy the last bytes that it
 * sent on their way.  Hence LINGERING: the sending side is shut, and input is thrown away until the
 * peer has read the error and closes too. */
#define _GNU_SOURCE
#include "net/net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net_int.h"
#include "net/wire.h"

enum {
    FRAMES_A_TURN = 256, /* Then other connections have their turn. */
    READS_A_TURN = 4,
    FLUSH_BYTES = 64 << 10,
    FLUSH_DELAY_US = 200,
    INPUT_HELD_BYTES = 256 << 10,  /* Read ahead of a pause: enough to notice a peer that left. */
    INPUT_STEP_BYTES = 64 << 10,   /* A large frame's buffer begins with this and doubles. */
    BUFFER_KEPT_BYTES = 128 << 10, /* An empty buffer that is larger is given back. */
    OUTPUT_SLACK_BYTES = 64 << 20, /* One row or piece may take output over its bound by this. */
    LINGER_US = 2000000,
    DEFAULT_OUTPUT_MAX = 8 << 20,
};

/* ---- states ---- */

enum conn_state {
    OPEN,
    FINISHING,
    LINGERING,
    ENDED
};
static const char *const state_names[] = {"open", "finishing", "lingering", "ended"};
static const struct state_edge edges[] = {
    {OPEN, FINISHING},  {FINISHING, LINGERING}, {LINGERING, ENDED},
    {FINISHING, ENDED}, {OPEN, ENDED},
};
static const struct state_machine machine = {
    .name = "conn",
    .names = state_names,
    .n_states = COUNT_OF(state_names),
    .edges = edges,
    .n_edges = COUNT_OF(edges),
};

/* Belongs to its loop's thread. */
struct conn {
    struct loop *loop;
    int fd;
    uint8_t state;
    bool is_paused;
    bool is_in_turn;
    bool is_closed_told;
    bool is_read_watched;
    bool wants_flush;
    bool was_over; /* Owes the owner drained(). */
    bool is_end_of_input;
    bool is_yielding; /* Frames are left for the next turn, which is scheduled. */

    const struct conn_events *events;
    void *arg;
    struct event readable, writable, resume, stall;

    /* Unhandled input: in the loop's scratch during a turn, else in @input. */
    const uint8_t *pending;
    size_t pending_bytes;
    size_t need_bytes; /* Of the frame at the front of it; 0 where none is begun. */
    struct buf input;
    size_t input_at; /* Handled already. */
    size_t frame_bytes_max;

    struct buf output;
    size_t sent_bytes; /* Of output: already with the kernel. */
    size_t output_bytes_max;
    uint64_t flushed_us; /* When the turn last wrote, or began. */

    /* Since when the peer is silent though it owes the rest of a frame, since when it owes it at
     * all, and since when it owes room for output; 0: it does not. */
    uint64_t input_wait_us, frame_wait_us, output_wait_us;
    uint64_t timeout_us;

    enum errcode why;
    int why_errno;
    const char *why_text; /* Fixed. */
    char peer[ADDRESS_BYTES_MAX];
};

/* The turn comes at once, or after the loop has looked at other events. */
static void schedule(struct conn *c, bool at_once)
{
    if (at_once) {
        event_active(&c->resume, EV_TIMEOUT, 0);
    } else {
        CHECK(event_add(&c->resume, &(struct timeval){0}) == 0);
    }
}

/* @errnum may be 0; @text is fixed. */
static void end(struct conn *c, enum errcode why, int errnum, const char *text)
{
    if (c->state == ENDED) {
        return;
    }
    c->why = why;
    c->why_errno = errnum;
    c->why_text = text;
    state_move(&machine, &c->state, ENDED, (uint64_t)c->fd, text);
    event_del(&c->readable);
    event_del(&c->writable);
    event_del(&c->stall);
    c->is_read_watched = false;
    if (!c->is_in_turn) {
        schedule(c, true);
    }
}

static void why_ended(const struct conn *c, struct err *err)
{
    if (c->why == ERR_OK) {
        err_clear(err);
    } else if (c->why_errno != 0) {
        err_set_errno(err, c->why, c->why_errno, "%s: %s", c->peer, c->why_text);
    } else {
        err_set(err, c->why, "%s: %s", c->peer, c->why_text);
    }
}

/* ---- output ---- */

struct buf *conn_output(struct conn *c)
{
    return &c->output;
}

size_t conn_output_bytes(const struct conn *c)
{
    return c->output.bytes - c->sent_bytes;
}

bool conn_is_over(const struct conn *c)
{
    return conn_output_bytes(c) > c->output_bytes_max;
}

static void buffer_empty(struct buf *b)
{
    if (b->capacity_bytes > BUFFER_KEPT_BYTES) {
        size_t bytes_max = b->bytes_max;
        enum mem_category category = b->category;
        buf_fini(b);
        buf_init(b, category, bytes_max);
    } else {
        buf_reset(b);
    }
}

static void set_delay(struct event *event, uint64_t delay_us)
{
    struct timeval delay = {.tv_sec = (time_t)(delay_us / 1000000),
                            .tv_usec = (suseconds_t)(delay_us % 1000000)};
    CHECK(event_add(event, &delay) == 0);
}

/* Notes that the peer is being waited for.  The timer is not moved by progress: when it fires it
 * asks how long the wait has lasted, so that a busy connection never touches it. */
static void wait_begin(struct conn *c, uint64_t *wait_us)
{
    *wait_us = clock_micros();
    if (c->timeout_us > 0 && !event_pending(&c->stall, EV_TIMEOUT, NULL)) {
        set_delay(&c->stall, c->timeout_us);
    }
}

/* Hands the kernel what it takes. */
static void output_send(struct conn *c)
{
    c->wants_flush = false;
    if (c->output.failed) {
        end(c, ERR_OUT_OF_MEMORY, 0, "no memory for its output");
        return;
    }
    if (conn_is_over(c)) {
        c->was_over = true;
    }
    while (conn_output_bytes(c) > 0 && c->output_wait_us == 0) {
        size_t bytes = conn_output_bytes(c);
        ssize_t n = send(c->fd, c->output.data + c->sent_bytes, bytes, MSG_NOSIGNAL);
        if (n == -1 && errno == EINTR) {
            continue;
        }
        if (n == -1 && errno != EAGAIN && errno != EWOULDBLOCK) {
            end(c, ERR_CONNECTION_FAILED, errno, "sending failed");
            return;
        }
        c->sent_bytes += n > 0 ? (size_t)n : 0;
        if (n < (ssize_t)bytes) {
            wait_begin(c, &c->output_wait_us);
            CHECK(event_add(&c->writable, NULL) == 0);
        }
    }
    if (conn_output_bytes(c) == 0) {
        buffer_empty(&c->output);
        c->sent_bytes = 0;
    } else if (c->sent_bytes > c->output.bytes / 2) {
        buf_discard(&c->output, c->sent_bytes); /* At most the half moves: linear over all. */
        c->sent_bytes = 0;
    }
}

/* Output has room again, of which the owner was not told yet. */
static bool owes_drained(const struct conn *c)
{
    return c->was_over && conn_output_bytes(c) <= c->output_bytes_max / 2;
}

void conn_flush(struct conn *c)
{
    if (c->state == ENDED || c->state == LINGERING) {
        return;
    }
    if (c->is_in_turn) {
        c->wants_flush = true;
        if (conn_output_bytes(c) < FLUSH_BYTES && clock_micros() - c->flushed_us < FLUSH_DELAY_US) {
            return;
        }
        output_send(c);
        c->flushed_us = clock_micros();
        return;
    }
    output_send(c);
    if (owes_drained(c)) {
        schedule(c, false);
    }
}

/* ---- input ---- */

/* Handles the frames at the front of what is pending. */
static void dispatch(struct conn *c)
{
    c->need_bytes = 0;
    c->is_yielding = false;
    for (int i = 0; c->state == OPEN && !c->is_paused && c->pending_bytes > 0; i++) {
        if (conn_is_over(c)) {
            output_send(c);
            if (c->state != OPEN || conn_is_over(c)) {
                return;
            }
        }
        if (i == FRAMES_A_TURN) {
            c->is_yielding = true;
            schedule(c, false);
            return;
        }
        struct wire_frame frame;
        enum wire_status status =
            wire_parse(c->pending, c->pending_bytes, c->frame_bytes_max, &frame, &c->need_bytes);
        if (status == WIRE_NEED_MORE) {
            return;
        }
        if (status == WIRE_TOO_LARGE) {
            c->events->too_large(c->arg, frame.type, frame.payload_bytes);
            CHECK(c->state != OPEN);
            return;
        }
        c->pending += c->need_bytes;
        c->pending_bytes -= c->need_bytes;
        c->need_bytes = 0;
        c->frame_wait_us = 0; /* The next one has all of its time. */
        c->events->frame(c->arg, frame.type, frame.payload, frame.payload_bytes);
    }
}

/* What is still pending when the scratch space is given back stays in the connection's own buffer.
 */
static void input_keep(struct conn *c)
{
    if (c->pending_bytes == 0 || c->state != OPEN) {
        buffer_empty(&c->input);
        c->input_at = 0;
        c->pending_bytes = 0;
    } else if (c->input.bytes == 0) {
        buf_bytes(&c->input, c->pending, c->pending_bytes);
        if (c->input.failed) {
            c->pending_bytes = 0;
            end(c, ERR_OUT_OF_MEMORY, 0, "no memory for its input");
        }
    } else {
        c->input_at = c->input.bytes - c->pending_bytes;
    }
    c->pending = NULL; /* Until the next turn. */
}

/* Full at INPUT_HELD_BYTES, and then until half of it is handled; never in the middle of a frame
 * that is being waited for. */
static bool input_is_full(const struct conn *c)
{
    size_t bound = c->is_read_watched ? INPUT_HELD_BYTES : INPUT_HELD_BYTES / 2;
    return c->state == OPEN && c->need_bytes <= c->pending_bytes && c->pending_bytes >= bound;
}

/* Where the next read goes: scratch, or the connection's own buffer where it holds something. */
static uint8_t *input_room(struct conn *c, size_t *room_bytes)
{
    if (c->state != OPEN || c->input.bytes == 0) {
        *room_bytes = LOOP_SCRATCH_BYTES;
        return c->loop->scratch;
    }
    buf_discard(&c->input, c->input_at);
    c->input_at = 0;
    size_t step_bytes = c->input.bytes > INPUT_STEP_BYTES ? c->input.bytes : INPUT_STEP_BYTES;
    size_t left_bytes = INPUT_STEP_BYTES;
    if (c->need_bytes > c->input.bytes) {
        left_bytes = c->need_bytes - c->input.bytes;
    }
    *room_bytes = left_bytes < step_bytes ? left_bytes : step_bytes;
    return buf_reserve(&c->input, *room_bytes);
}

/* One read; false where there is nothing more for now. */
static bool input_read(struct conn *c)
{
    size_t room_bytes;
    uint8_t *room = input_room(c, &room_bytes);
    if (room == NULL) {
        end(c, ERR_OUT_OF_MEMORY, 0, "no memory for its input");
        return false;
    }
    ssize_t n = recv(c->fd, room, room_bytes, 0);
    if (n == -1 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        end(c, ERR_CONNECTION_FAILED, errno, "receiving failed");
    }
    c->is_end_of_input = n == 0;
    if (n > 0 && c->state == OPEN) {
        if (room != c->loop->scratch) {
            buf_commit(&c->input, (size_t)n);
        } else {
            c->pending = room;
            c->pending_bytes = (size_t)n;
        }
        c->input_wait_us = 0;
    }
    return n == (ssize_t)room_bytes;
}

/* Points at what is unhandled, wherever it lies. */
static void input_find(struct conn *c)
{
    if (c->input.bytes > 0) {
        c->pending = c->input.data + c->input_at;
        c->pending_bytes = c->input.bytes - c->input_at;
    }
}

/* ---- turns ---- */

static void finish_step(struct conn *c)
{
    if (c->state == FINISHING && conn_output_bytes(c) == 0) {
        shutdown(c->fd, SHUT_WR);
        state_move(&machine, &c->state, LINGERING, (uint64_t)c->fd, "all is sent");
        set_delay(&c->stall, LINGER_US);
    }
    if (c->is_end_of_input && !c->is_yielding) {
        end(c, ERR_OK, 0, "end of input");
    }
}

static void watch_input(struct conn *c)
{
    bool is_wanted = c->state != ENDED && !c->is_end_of_input && !input_is_full(c);
    if (is_wanted && !c->is_read_watched) {
        CHECK(event_add(&c->readable, NULL) == 0);
    } else if (!is_wanted && c->is_read_watched) {
        event_del(&c->readable);
    }
    c->is_read_watched = is_wanted;
    /* Half a frame has come, and it is the peer's turn to send the rest. */
    bool owes_rest = c->state == OPEN && !c->is_paused && c->need_bytes > c->pending_bytes;
    if (!owes_rest) {
        c->input_wait_us = c->frame_wait_us = 0;
        return;
    }
    if (c->input_wait_us == 0) {
        wait_begin(c, &c->input_wait_us);
    }
    if (c->frame_wait_us == 0) {
        c->frame_wait_us = c->input_wait_us;
    }
}

static void turn_begin(struct conn *c)
{
    CHECK(!c->is_in_turn);
    c->is_in_turn = true;
    c->flushed_us = clock_micros();
    input_find(c);
}

/* Handles what is there, sends what is to go, and settles what to wait for.  The last thing that
 * any event does, for closed() may free the connection. */
static void turn_end(struct conn *c)
{
    input_keep(c);
    if (c->wants_flush && c->state != ENDED) {
        output_send(c);
    }
    if (owes_drained(c) && (c->state == OPEN || c->state == FINISHING)) {
        c->was_over = false;
        schedule(c, false); /* Frames that waited for room go on after others had their turn. */
        if (c->state == OPEN) {
            c->events->drained(c->arg);
        }
    }
    finish_step(c);
    watch_input(c);
    c->is_in_turn = false;
    if (c->state == ENDED && !c->is_closed_told) {
        c->is_closed_told = true;
        event_del(&c->resume);
        struct err why;
        why_ended(c, &why);
        c->events->closed(c->arg, &why);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *c = arg;
    turn_begin(c);
    bool is_more = true;
    for (int i = 0; is_more && i < READS_A_TURN && c->state != ENDED && !input_is_full(c); i++) {
        is_more = input_read(c);
        input_find(c);
        dispatch(c);
        input_keep(c);
        input_find(c);
    }
    turn_end(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *c = arg;
    turn_begin(c);
    c->output_wait_us = 0;
    output_send(c);
    turn_end(c);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *c = arg;
    turn_begin(c);
    dispatch(c);
    turn_end(c);
}

/* How much of the timeout is left of a wait; UINT64_MAX where there is none. */
static uint64_t wait_left_us(const struct conn *c, uint64_t since_us)
{
    uint64_t now_us = c->flushed_us; /* The turn has just begun. */
    if (since_us == 0) {
        return UINT64_MAX;
    }
    return now_us >= since_us + c->timeout_us ? 0 : since_us + c->timeout_us - now_us;
}

/* What has come of the frame buys time for the rest of it. */
static uint64_t frame_left_us(const struct conn *c)
{
    uint64_t bought_us = (uint64_t)c->pending_bytes * 1000000 / FRAME_BYTES_A_SECOND_MIN;
    return wait_left_us(c, c->frame_wait_us == 0 ? 0 : c->frame_wait_us + bought_us);
}

static uint64_t min_us(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void on_stall(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *c = arg;
    turn_begin(c);
    uint64_t input_left_us = wait_left_us(c, c->input_wait_us);
    uint64_t output_left_us = wait_left_us(c, c->output_wait_us);
    uint64_t slow_left_us = frame_left_us(c);
    uint64_t left_us = min_us(min_us(input_left_us, slow_left_us), output_left_us);
    if (c->state == LINGERING) {
        end(c, ERR_OK, 0, "lingered long enough");
    } else if (output_left_us == 0) {
        end(c, ERR_IDLE, 0, "does not read its answers");
    } else if (input_left_us == 0 || slow_left_us == 0) {
        c->events->stalled(c->arg, input_left_us != 0);
        CHECK(c->state != OPEN);
    } else if (left_us != UINT64_MAX) {
        set_delay(&c->stall, left_us);
    }
    turn_end(c);
}

/* ---- the owner's side ---- */

static void peer_name(int fd, char out[ADDRESS_BYTES_MAX])
{
    struct sockaddr_storage name = {0};
    socklen_t bytes = sizeof name;
    if (getpeername(fd, (struct sockaddr *)&name, &bytes) != 0) {
        name.ss_family = AF_UNIX;
    }
    address_format((struct sockaddr *)&name, out);
}

struct conn *conn_new(struct loop *loop, int fd, const struct conn_events *events, void *arg,
                      struct err *err)
{
    struct conn *c = mem_zalloc(MEM_NETWORK, sizeof *c);
    if (c == NULL) {
        err_no_memory(err);
        return NULL;
    }
    c->loop = loop;
    c->fd = fd;
    c->events = events;
    c->arg = arg;
    c->state = OPEN;
    buf_init(&c->input, MEM_NETWORK, SIZE_MAX);
    buf_init(&c->output, MEM_NETWORK, SIZE_MAX);
    conn_set_frame_max(c, WIRE_STARTUP_BYTES_MAX);
    conn_set_output_max(c, DEFAULT_OUTPUT_MAX);
    peer_name(fd, c->peer);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* Fails on a Unix socket: no harm. */
    CHECK(event_assign(&c->readable, loop->base, fd, EV_READ | EV_PERSIST, on_readable, c) == 0);
    CHECK(event_assign(&c->writable, loop->base, fd, EV_WRITE, on_writable, c) == 0);
    CHECK(event_assign(&c->resume, loop->base, -1, 0, on_resume, c) == 0);
    CHECK(event_assign(&c->stall, loop->base, -1, 0, on_stall, c) == 0);
    watch_input(c);
    return c;
}

void conn_free(struct conn *c)
{
    if (c == NULL) {
        return;
    }
    CHECK(!c->is_in_turn);
    event_del(&c->readable);
    event_del(&c->writable);
    event_del(&c->resume);
    event_del(&c->stall);
    close(c->fd);
    buf_fini(&c->input);
    buf_fini(&c->output);
    mem_free(MEM_NETWORK, c);
}

void conn_set_frame_max(struct conn *c, size_t payload_bytes_max)
{
    c->frame_bytes_max = payload_bytes_max;
    c->input.bytes_max =
        payload_bytes_max + WIRE_HEADER_BYTES + INPUT_HELD_BYTES + LOOP_SCRATCH_BYTES;
}

void conn_set_output_max(struct conn *c, size_t bytes)
{
    c->output_bytes_max = bytes;
    c->output.bytes_max = bytes + OUTPUT_SLACK_BYTES;
}

void conn_set_timeout(struct conn *c, uint64_t micros)
{
    c->timeout_us = micros;
}

void conn_pause(struct conn *c, bool is_paused)
{
    if (c->is_paused && !is_paused && c->state == OPEN && !c->is_in_turn) {
        schedule(c, true);
    }
    c->is_paused = is_paused;
}

void conn_finish(struct conn *c)
{
    if (c->state != OPEN) {
        return;
    }
    state_move(&machine, &c->state, FINISHING, (uint64_t)c->fd, "finished by its owner");
    c->wants_flush = true;
    if (!c->is_in_turn) {
        schedule(c, true);
    }
}

const char *conn_peer(const struct conn *c)
{
    return c->peer;
}
