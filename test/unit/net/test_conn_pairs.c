/* Every two events in every state of a connection, and every three of those that matter most, on a
 * simulated clock, with and without a turn of the loop between them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net.h"
#include "net/wire.h"
#include "test/unit/unit.h"

enum {
    FRAME_MAX = 70000,
    TIMEOUT_US = 3000000,
    OUTPUT_MAX = 4096,
    MANY_FRAMES = 600,
    TURNS_TO_END_MAX = 200
};

static uint64_t now_us;

static uint64_t sim_now(void *arg)
{
    return *(uint64_t *)arg;
}

/* A connection, its owner, and the peer. */
struct play {
    struct loop *loop;
    struct conn *conn; /* NULL: the owner has freed it. */
    int peer;          /* -1: it has left. */
    bool is_finished;  /* By the owner. */
    bool is_closed;    /* And told so. */
    unsigned n_ended;
};

static void on_frame(void *arg, uint8_t type, const uint8_t *payload, size_t bytes)
{
    struct play *p = arg;
    (void)type;
    (void)payload;
    (void)bytes;
    CHECK(!p->is_finished && !p->is_closed);
    wire_write_empty(conn_output(p->conn), WIRE_READY);
    conn_flush(p->conn);
}

static void on_drained(void *arg)
{
    struct play *p = arg;
    CHECK(!p->is_finished && !p->is_closed);
}

static void on_input_ended(void *arg, bool is_handled)
{
    struct play *p = arg;
    CHECK(!p->is_finished && !p->is_closed);
    p->n_ended += is_handled ? 2 : 1;
    CHECK(p->n_ended <= 3); /* Each once, and in this order. */
}

static void on_closed(void *arg, const struct err *why)
{
    struct play *p = arg;
    (void)why;
    CHECK(!p->is_closed);
    p->is_closed = true;
    conn_free(p->conn);
    p->conn = NULL;
}

static void finish(struct play *p)
{
    p->is_finished = true;
    wire_write_empty(conn_output(p->conn), WIRE_READY);
    conn_finish(p->conn);
}

static void on_too_large(void *arg, uint8_t type, uint64_t bytes)
{
    struct play *p = arg;
    (void)type;
    CHECK(!p->is_finished && !p->is_closed && bytes > FRAME_MAX);
    finish(p);
}

static void on_stalled(void *arg, bool is_slow)
{
    struct play *p = arg;
    (void)is_slow;
    CHECK(!p->is_finished && !p->is_closed);
    finish(p);
}

static const struct conn_events conn_events = {.frame = on_frame,
                                               .drained = on_drained,
                                               .input_ended = on_input_ended,
                                               .closed = on_closed,
                                               .too_large = on_too_large,
                                               .stalled = on_stalled};

/* ---- what may happen ---- */

enum event {
    /* These come in threes too. */
    A_FRAME,
    HALF_A_FRAME,
    TIME_PASSES,
    PEER_SHUTS,
    PEER_LEAVES,
    PEER_READS,
    PAUSE,
    GO_ON,
    FINISH,
    MUCH_OUTPUT,
    IN_THREES,
    FRAMES = IN_THREES,
    TOO_LARGE,
    A_LITTLE_TIME,
    A_LITTLE_OUTPUT,
    FLUSH,
    LESS_OUTPUT_MAX,
    NO_TIMEOUT,
    FREE,
    EVENTS
};

static void say(struct play *p, const void *data, size_t bytes)
{
    if (p->peer != -1) {
        (void)!send(p->peer, data, bytes, MSG_NOSIGNAL);
    }
}

static void say_frames(struct play *p, unsigned n)
{
    struct buf b;
    buf_init(&b, MEM_GENERAL, 1 << 20);
    for (unsigned i = 0; i < n; i++) {
        wire_write_empty(&b, WIRE_COPY_DATA);
    }
    say(p, b.data, b.bytes);
    buf_fini(&b);
}

static void by_peer(struct play *p, enum event event)
{
    static const uint8_t half[] = {WIRE_COPY_DATA, 9};
    static const uint8_t too_large[] = {WIRE_QUERY, 0xff, 0xff, 0xff, 0x7f};
    static uint8_t sink[1 << 16];
    switch (event) {
    case A_FRAME:
        say_frames(p, 1);
        break;
    case FRAMES:
        say_frames(p, MANY_FRAMES);
        break;
    case HALF_A_FRAME:
        say(p, half, sizeof half);
        break;
    case TOO_LARGE:
        say(p, too_large, sizeof too_large);
        break;
    case PEER_SHUTS:
        if (p->peer != -1) {
            shutdown(p->peer, SHUT_WR);
        }
        break;
    case PEER_READS:
        while (p->peer != -1 && recv(p->peer, sink, sizeof sink, 0) > 0) {
        }
        break;
    default:
        CHECK(event == PEER_LEAVES);
        if (p->peer != -1) {
            close(p->peer);
        }
        p->peer = -1;
        break;
    }
}

static void by_owner(struct play *p, enum event event)
{
    static const uint8_t zeros[OUTPUT_MAX * 16];
    switch (event) {
    case PAUSE:
    case GO_ON:
        conn_pause(p->conn, event == PAUSE);
        break;
    case FINISH:
        finish(p);
        break;
    case MUCH_OUTPUT:
    case A_LITTLE_OUTPUT:
        buf_bytes(conn_output(p->conn), zeros, event == MUCH_OUTPUT ? sizeof zeros : 1);
        conn_flush(p->conn);
        break;
    case FLUSH:
        conn_flush(p->conn);
        break;
    case LESS_OUTPUT_MAX:
        conn_set_output_max(p->conn, OUTPUT_MAX / 4);
        break;
    case NO_TIMEOUT:
        conn_set_timeout(p->conn, 0);
        break;
    default:
        CHECK(event == FREE);
        conn_free(p->conn);
        p->conn = NULL;
        break;
    }
}

static void happen(struct play *p, enum event event)
{
    if (event == TIME_PASSES || event == A_LITTLE_TIME) {
        now_us += event == TIME_PASSES ? TIMEOUT_US + 1 : TIMEOUT_US / 5;
    } else if (event == A_FRAME || event == HALF_A_FRAME || event == FRAMES || event == TOO_LARGE ||
               event == PEER_SHUTS || event == PEER_LEAVES || event == PEER_READS) {
        by_peer(p, event);
    } else if (p->conn != NULL) {
        by_owner(p, event);
    }
}

static void turn(struct play *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        loop_turn(p->loop);
    }
}

/* ---- states, by the events that lead to them ---- */

static const struct {
    const char *name;
    enum event events[3];
    size_t n;
} states[] = {
    {"open", {A_FRAME}, 1},
    {"half a frame", {HALF_A_FRAME}, 1},
    {"paused", {PAUSE}, 1},
    {"paused before frames", {PAUSE, FRAMES}, 2},
    {"paused at the end of input", {PAUSE, A_FRAME, PEER_SHUTS}, 3},
    {"over its output", {MUCH_OUTPUT}, 1},
    {"over its output, before frames", {MUCH_OUTPUT, FRAMES}, 2},
    {"finishing", {MUCH_OUTPUT, FINISH}, 2},
    {"lingering", {FINISH}, 1},
    {"finishing at the end of input", {MUCH_OUTPUT, FINISH, PEER_SHUTS}, 3},
};

static void play_open(struct play *p)
{
    int fds[2], small = OUTPUT_MAX;
    struct err err;
    memset(p, 0, sizeof *p);
    now_us = 1000000000;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0);
    CHECK(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    p->peer = fds[0];
    p->loop = loop_new(&err);
    p->conn = conn_new(p->loop, fds[1], &conn_events, p, &err);
    CHECK(p->conn != NULL);
    conn_set_frame_max(p->conn, FRAME_MAX);
    conn_set_output_max(p->conn, OUTPUT_MAX);
    conn_set_timeout(p->conn, TIMEOUT_US);
}

/* The peer leaves: unless the owner has freed it, the connection ends by itself and says so. */
static void play_close(struct play *p)
{
    if (p->conn != NULL) {
        conn_set_timeout(p->conn, TIMEOUT_US);
    }
    by_peer(p, PEER_LEAVES);
    for (unsigned i = 0; p->conn != NULL; i++) {
        CHECK(i < TURNS_TO_END_MAX);
        now_us += TIMEOUT_US / 5;
        turn(p, 1);
    }
    turn(p, 1);
    loop_free(p->loop);
}

static void run_play(size_t state, const enum event *events, size_t n, bool has_turns)
{
    struct play p;
    play_open(&p);
    for (size_t i = 0; i < states[state].n; i++) {
        happen(&p, states[state].events[i]);
        turn(&p, 2);
    }
    for (size_t i = 0; i < n; i++) {
        happen(&p, events[i]);
        turn(&p, has_turns ? 1 : 0);
    }
    turn(&p, 1);
    play_close(&p);
}

static void every_two_events_in_every_state_have_a_move(void **state)
{
    (void)state;
    unsigned n = 0;
    for (size_t at = 0; at < COUNT_OF(states); at++) {
        for (unsigned i = 0; i < EVENTS * EVENTS * 2; i++) {
            enum event events[] = {i / 2 / EVENTS, i / 2 % EVENTS};
            run_play(at, events, COUNT_OF(events), (i & 1) != 0);
            n++;
        }
    }
    printf("%u pairs\n", n);
}

static void every_three_of_the_events_that_matter_most_have_a_move(void **state)
{
    (void)state;
    unsigned n = 0;
    for (size_t at = 0; at < COUNT_OF(states); at++) {
        for (unsigned i = 0; i < IN_THREES * IN_THREES * IN_THREES * 2; i++) {
            enum event events[] = {i / 2 / IN_THREES / IN_THREES, i / 2 / IN_THREES % IN_THREES,
                                   i / 2 % IN_THREES};
            run_play(at, events, COUNT_OF(events), (i & 1) != 0);
            n++;
        }
    }
    printf("%u triples\n", n);
}

/* ---- readers on the simulated clock ---- */

static size_t drink(struct play *p, size_t bytes)
{
    static uint8_t sink[1 << 16];
    ssize_t n = recv(p->peer, sink, bytes < sizeof sink ? bytes : sizeof sink, 0);
    return n > 0 ? (size_t)n : 0;
}

/* Less in the time of a timeout than makes the socket writable again. */
static void a_reader_that_takes_a_little_at_a_time_is_not_cut(void **state)
{
    (void)state;
    static const uint8_t zeros[1 << 20];
    int large = 1 << 20;
    struct play p;
    play_open(&p);
    CHECK(setsockopt(p.peer, SOL_SOCKET, SO_RCVBUF, &large, sizeof large) == 0);
    conn_set_output_max(p.conn, sizeof zeros);
    for (size_t sent = 0; sent < sizeof zeros; sent += 512) {
        buf_bytes(conn_output(p.conn), zeros, 512);
        conn_flush(p.conn);
    }
    assert_true(conn_output_bytes(p.conn) > 0);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(drink(&p, 4096) > 0);
        now_us += TIMEOUT_US * 2 / 3;
        turn(&p, 2);
        assert_false(p.is_closed);
    }
    /* Now it takes nothing any more.  It is looked at in quarters of the timeout. */
    uint64_t left_us = 2 * TIMEOUT_US + OUTPUT_STEP_BYTES / BYTES_A_SECOND_MIN * UINT64_C(1000000);
    for (; left_us >= TIMEOUT_US / 4 && !p.is_closed; left_us -= TIMEOUT_US / 4) {
        now_us += TIMEOUT_US / 4;
        turn(&p, 2);
    }
    assert_true(p.is_closed);
    play_close(&p);
}

static void set_clock(void)
{
    clock_replace(sim_now, &now_us);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    set_clock();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_two_events_in_every_state_have_a_move),
        cmocka_unit_test(every_three_of_the_events_that_matter_most_have_a_move),
        cmocka_unit_test(a_reader_that_takes_a_little_at_a_time_is_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
