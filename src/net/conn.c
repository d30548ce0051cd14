/* Connections: frames in, bytes out, with every buffer bounded and every stall cut.
 *
 *      conn_finish, or the
 *      input is handled to        all is sent              end of input, or LINGER_US
 *      its end
 *    OPEN ----------------> FINISHING ----------> LINGERING ----------------+
 *     |                        |                                            v
 *     +------------------------+------- fault, stall, peer gone ---------> ENDED: closed()
 *
 * Any events may meet in one turn.  The owner hears of frames, of their faults and of room while
 * the connection is OPEN and at no other time, and of the end once.
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
 * A peer that has shut its sending side may still read: what it sent before is handled to the end,
 * however long the owner pauses, and only then the connection finishes.  While the owner pauses the
 * socket is looked at every PEER_LOOK_US, for a peer that has gone altogether.
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
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net_int.h"
#include "net/wire.h"

enum {
    FRAMES_A_TURN = 256, /* Then other connections have their turn, */
    TURN_US_MAX = 1000,  /* or after the frame that takes it beyond this. */
    READS_A_TURN = 4,
    FLUSH_BYTES = 64 << 10,
    FLUSH_DELAY_US = 200,
    INPUT_HELD_BYTES = 256 << 10,  /* Read ahead of a pause: enough to notice a peer that left. */
    INPUT_STEP_BYTES = 64 << 10,   /* A large frame's buffer begins with this and doubles. */
    BUFFER_KEPT_BYTES = 128 << 10, /* An empty buffer that is larger is given back. */
    OUTPUT_SLACK_BYTES = 64 << 20, /* One row or piece may take output over its bound by this. */
    LINGER_US = 2000000,
    PEER_LOOK_US = 100000,
    OUTPUT_LOOKS = 4, /* At what the kernel holds, in the time of the timeout. */
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
static const uint32_t moves[COUNT_OF(state_names)] = {
    [OPEN] = STATE_BIT(FINISHING) | STATE_BIT(ENDED),
    [FINISHING] = STATE_BIT(LINGERING) | STATE_BIT(ENDED),
    [LINGERING] = STATE_BIT(ENDED),
};
static const struct state_machine machine = {
    .name = "conn",
    .names = state_names,
    .n_states = COUNT_OF(state_names),
    .moves = moves,
};

/* What the owner knows of the end of the input. */
enum end_told {
    NOTHING_TOLD,
    ENDED_TOLD,
    HANDLED_TOLD
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
    uint8_t end_told; /* enum end_told */
    bool is_yielding; /* Frames are left for the next turn, which is scheduled. */

    const struct conn_events *events;
    void *arg;
    struct event readable, writable, resume;
    struct loop_timer stall;

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
    uint64_t begun_us;   /* When the turn began. */
    uint64_t flushed_us; /* When it last wrote, or began. */

    /* Since when the peer is silent though it owes the rest of a frame, since when it owes it at
     * all, and since when it has taken nothing though output waits; 0: it does not owe it. */
    uint64_t input_wait_us, frame_wait_us, output_wait_us;
    uint64_t timeout_us;
    /* Of all that was ever sent: given to the kernel, and taken by the peer's when that was last
     * looked at; that may be below 0, where a kernel counts more than the bytes themselves. */
    int64_t given_bytes, taken_bytes;

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
    loop_timer_clear(c->loop, &c->stall);
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
    CHECK_LOOP(c->loop);
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

static void look_within(struct conn *c, uint64_t delay_us)
{
    if (!c->stall.is_set || c->stall.at_us > clock_micros() + delay_us) {
        loop_timer_set(c->loop, &c->stall, delay_us);
    }
}

/* Notes that the peer is being waited for.  The timer is not moved by progress: when it fires it
 * asks how long the wait has lasted, so that a busy connection never touches it. */
static void wait_begin(struct conn *c, uint64_t *wait_us)
{
    *wait_us = clock_micros();
    if (c->timeout_us > 0 && !c->stall.is_set) {
        loop_timer_set(c->loop, &c->stall, c->timeout_us);
    }
}

/* The kernel's buffer may hold megabytes, and is writable again only when a third of it has left:
 * what leaves it meanwhile shows that the peer reads.  True where it has taken something. */
static bool output_look(struct conn *c)
{
    int held_bytes = 0;
    if (ioctl(c->fd, SIOCOUTQ, &held_bytes) != 0) {
        held_bytes = 0;
    }
    int64_t before = c->taken_bytes;
    c->taken_bytes = c->given_bytes - held_bytes;
    return c->taken_bytes > before;
}

static void output_wait_begin(struct conn *c)
{
    (void)output_look(c);
    wait_begin(c, &c->output_wait_us);
    if (c->timeout_us > 0) {
        look_within(c, c->timeout_us / OUTPUT_LOOKS);
    }
}

/* The kernel bounds how many sockets it watches for one user. */
static void watch(struct conn *c, struct event *event)
{
    if (event_add(event, NULL) != 0) {
        end(c, ERR_OUT_OF_MEMORY, 0, "the kernel watches no more sockets");
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
        c->given_bytes += n > 0 ? n : 0;
        if (n < (ssize_t)bytes) {
            output_wait_begin(c);
            watch(c, &c->writable);
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
    CHECK_LOOP(c->loop);
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
        if (i == FRAMES_A_TURN || (i > 0 && clock_micros() - c->begun_us > TURN_US_MAX)) {
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

/* More than half a frame is left to be handled, or its owner is not done with what was. */
static bool has_input(const struct conn *c)
{
    return c->is_paused || c->is_yielding ||
           (c->pending_bytes > 0 && c->need_bytes <= c->pending_bytes);
}

/* True where the peer has gone altogether, and not only ended what it sends. */
static bool peer_is_gone(const struct conn *c)
{
    struct pollfd p = {.fd = c->fd};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static void tell_input_ended(struct conn *c, bool is_handled)
{
    enum end_told told = is_handled ? HANDLED_TOLD : ENDED_TOLD;
    if (c->state == OPEN && c->end_told < told) {
        c->end_told = (uint8_t)told;
        c->events->input_ended(c->arg, is_handled);
    }
}

/* The input has ended: what came is handled first, and what was said about it is sent. */
static void end_of_input_step(struct conn *c)
{
    if (c->state == LINGERING || (c->state == OPEN && c->is_paused && peer_is_gone(c))) {
        end(c, ERR_OK, 0, "end of input");
        return;
    }
    tell_input_ended(c, !has_input(c));
    if (c->state == OPEN && has_input(c)) {
        look_within(c, PEER_LOOK_US);
    } else {
        conn_finish(c);
    }
}

static void finish_step(struct conn *c)
{
    if (c->is_end_of_input) {
        end_of_input_step(c);
    }
    if (c->state == FINISHING && c->wants_flush) {
        output_send(c);
    }
    if (c->state == FINISHING && conn_output_bytes(c) == 0) {
        shutdown(c->fd, SHUT_WR);
        state_move(&machine, &c->state, LINGERING, (uint64_t)c->fd, "all is sent");
        if (c->is_end_of_input) {
            end(c, ERR_OK, 0, "end of input");
            return;
        }
        (void)output_look(c);
        loop_timer_set(c->loop, &c->stall, LINGER_US);
    }
}

static void watch_input(struct conn *c)
{
    bool is_wanted = c->state != ENDED && !c->is_end_of_input && !input_is_full(c);
    if (is_wanted && !c->is_read_watched) {
        watch(c, &c->readable);
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
    c->begun_us = c->flushed_us = loop_hold(c->loop);
    input_find(c);
}

/* Handles what is there, sends what is to go, and settles what to wait for.  The last thing that
 * any event does, for closed() may free the connection. */
static void turn_end(struct conn *c)
{
    struct loop *loop = c->loop;
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
    loop_held(loop);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *c = arg;
    turn_begin(c);
    bool is_more = true;
    for (int i = 0; is_more && i < READS_A_TURN && c->state != ENDED && !input_is_full(c); i++) {
        is_more = input_read(c) && clock_micros() - c->begun_us <= TURN_US_MAX;
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

/* How much of the timeout is left of a wait, of which more was bought; UINT64_MAX: there is none.
 */
static uint64_t wait_left_us(const struct conn *c, uint64_t since_us, uint64_t bought_us)
{
    uint64_t now_us = c->begun_us;
    if (since_us == 0 || c->timeout_us == 0) {
        return UINT64_MAX;
    }
    uint64_t until_us = since_us + c->timeout_us + bought_us;
    return now_us >= until_us ? 0 : until_us - now_us;
}

/* Bytes that have come, or were taken, buy time for those that follow. */
static uint64_t bought_us(uint64_t bytes)
{
    return bytes * 1000000 / BYTES_A_SECOND_MIN;
}

/* A peer's kernel tells by steps that its reader takes something: as large as they may be by what
 * it has taken, they have time to come. */
static uint64_t output_left_us(struct conn *c)
{
    if (c->output_wait_us != 0 && output_look(c)) {
        c->output_wait_us = c->begun_us;
    }
    int64_t step_bytes = c->taken_bytes < 0 ? 0 : c->taken_bytes;
    step_bytes = step_bytes < OUTPUT_STEP_BYTES ? step_bytes : OUTPUT_STEP_BYTES;
    return wait_left_us(c, c->output_wait_us, bought_us((uint64_t)step_bytes));
}

static uint64_t min_us(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The peer's time for the rest of a frame is over. */
static void input_stalled(struct conn *c, bool is_slow)
{
    c->events->stalled(c->arg, is_slow);
    CHECK(c->state != OPEN); /* As the owner's contract says. */
}

static void stall_step(struct conn *c)
{
    uint64_t input_left_us = wait_left_us(c, c->input_wait_us, 0);
    uint64_t slow_left_us = wait_left_us(c, c->frame_wait_us, bought_us(c->pending_bytes));
    uint64_t left_us = output_left_us(c);
    if (left_us == 0) {
        end(c, ERR_IDLE, 0, "does not read its answers");
        return;
    }
    if (left_us != UINT64_MAX) {
        look_within(c, min_us(left_us, c->timeout_us / OUTPUT_LOOKS));
    }
    if (c->state == OPEN && (input_left_us == 0 || slow_left_us == 0)) {
        input_stalled(c, input_left_us != 0);
        return;
    }
    left_us = min_us(input_left_us, slow_left_us);
    if (c->state == OPEN && left_us != UINT64_MAX) {
        look_within(c, left_us);
    }
}

static void on_stall(void *arg)
{
    struct conn *c = arg;
    turn_begin(c);
    if (c->state != LINGERING) {
        stall_step(c);
    } else if (output_look(c) && c->taken_bytes < c->given_bytes) {
        loop_timer_set(c->loop, &c->stall, LINGER_US); /* The last of it is on its way. */
    } else {
        end(c, ERR_OK, 0, "lingered long enough");
    }
    turn_end(c);
}

/* ---- the owner's side ---- */

struct conn *conn_new(struct loop *loop, int fd, const struct conn_events *events, void *arg,
                      struct err *err)
{
    CHECK_LOOP(loop);
    CHECK(fd >= 0);
    CHECK(events->frame != NULL && events->drained != NULL && events->input_ended != NULL &&
          events->closed != NULL && events->too_large != NULL && events->stalled != NULL);
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
    c->stall = (struct loop_timer){.fn = on_stall, .arg = c};
    watch_input(c);
    return c;
}

void conn_free(struct conn *c)
{
    if (c == NULL) {
        return;
    }
    CHECK_LOOP(c->loop);
    CHECK(!c->is_in_turn);
    event_del(&c->readable);
    event_del(&c->writable);
    event_del(&c->resume);
    loop_timer_clear(c->loop, &c->stall);
    close(c->fd);
    buf_fini(&c->input);
    buf_fini(&c->output);
    mem_free(MEM_NETWORK, c);
}

void conn_set_frame_max(struct conn *c, size_t payload_bytes_max)
{
    CHECK(payload_bytes_max > 0);
    c->frame_bytes_max = payload_bytes_max;
    c->input.bytes_max =
        payload_bytes_max + WIRE_HEADER_BYTES + INPUT_HELD_BYTES + LOOP_SCRATCH_BYTES;
}

void conn_set_output_max(struct conn *c, size_t bytes)
{
    CHECK(bytes > 0 && bytes <= SIZE_MAX - OUTPUT_SLACK_BYTES);
    c->output_bytes_max = bytes;
    c->output.bytes_max = bytes + OUTPUT_SLACK_BYTES;
}

void conn_set_timeout(struct conn *c, uint64_t micros)
{
    c->timeout_us = micros;
}

void conn_pause(struct conn *c, bool is_paused)
{
    CHECK_LOOP(c->loop);
    if (c->is_paused && !is_paused && c->state == OPEN) {
        schedule(c, true); /* In a turn too: what it dispatches may be dispatched already. */
    }
    c->is_paused = is_paused;
}

void conn_finish(struct conn *c)
{
    CHECK_LOOP(c->loop);
    if (c->state != OPEN) {
        return;
    }
    state_move(&machine, &c->state, FINISHING, (uint64_t)c->fd, "finished by its owner");
    c->wants_flush = true;
    if (!c->is_in_turn) {
        schedule(c, true);
    }
}

bool conn_peek(const struct conn *c, size_t nth, struct wire_frame *out)
{
    const uint8_t *data = c->pending;
    size_t bytes = c->pending_bytes, frame_bytes;
    if (data == NULL && c->input.bytes > c->input_at) {
        data = c->input.data + c->input_at;
        bytes = c->input.bytes - c->input_at;
    }
    for (size_t i = 0; data != NULL; i++) {
        if (bytes == 0 || wire_parse(data, bytes, SIZE_MAX, out, &frame_bytes) != WIRE_FRAME) {
            return false;
        }
        if (i == nth) {
            return true;
        }
        data += frame_bytes;
        bytes -= frame_bytes;
    }
    return false;
}

bool conn_has_frame(const struct conn *c)
{
    struct wire_frame frame;
    return conn_peek(c, 0, &frame);
}

const char *conn_peer(const struct conn *c)
{
    return c->peer;
}
