/* Connections over a socket pair: framing, bounds, back-pressure, stalls, and clean ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net.h"
#include "net/wire.h"
#include "test/unit/unit.h"

enum {
    FRAME_MAX = 1 << 20
};

/* A connection, the other end of its socket, and what has happened so far. */
struct pair {
    struct loop *loop;
    struct conn *conn;
    int peer;
    struct timer *deadline, *stop;
    unsigned n_frames, n_drained, n_closed, n_too_large, n_stalled, n_ended;
    bool is_handled;
    unsigned stop_at_frames; /* The loop stops there; 0: never. */
    unsigned pause_at_frames;
    bool stop_at_drained, echo;
    size_t bytes; /* Of payloads. */
    struct err why;
};

static void on_frame(void *arg, uint8_t type, const uint8_t *payload, size_t bytes)
{
    struct pair *p = arg;
    assert_int_equal(type, WIRE_COPY_DATA);
    for (size_t i = 0; i < bytes; i++) {
        assert_int_equal(payload[i], (uint8_t)(p->bytes + i));
    }
    p->bytes += bytes;
    p->n_frames++;
    if (p->echo) {
        struct buf *b = conn_output(p->conn);
        size_t begun_at = wire_begin(b, WIRE_COPY_DATA);
        buf_bytes(b, payload, bytes);
        wire_end(b, begun_at);
        conn_flush(p->conn);
    }
    if (p->n_frames == p->pause_at_frames) {
        conn_pause(p->conn, true);
    }
    if (p->n_frames == p->stop_at_frames) {
        loop_stop(p->loop);
    }
}

static void on_drained(void *arg)
{
    struct pair *p = arg;
    p->n_drained++;
    if (p->stop_at_drained) {
        loop_stop(p->loop);
    }
}

static void on_closed(void *arg, const struct err *why)
{
    struct pair *p = arg;
    p->n_closed++;
    p->why = *why;
    conn_free(p->conn);
    p->conn = NULL;
    loop_stop(p->loop);
}

static void on_too_large(void *arg, uint8_t type, uint64_t bytes)
{
    struct pair *p = arg;
    p->n_too_large++;
    assert_int_equal(type, WIRE_QUERY);
    assert_true(bytes > FRAME_MAX);
    wire_write_empty(conn_output(p->conn), WIRE_READY);
    conn_finish(p->conn);
}

static void on_stalled(void *arg, bool is_slow)
{
    (void)is_slow; /* On a machine that stands still either may come first. */
    struct pair *p = arg;
    p->n_stalled++;
    wire_write_empty(conn_output(p->conn), WIRE_READY);
    conn_finish(p->conn);
    loop_stop(p->loop);
}

static void on_input_ended(void *arg, bool is_handled)
{
    struct pair *p = arg;
    p->n_ended++;
    p->is_handled = is_handled;
}

static const struct conn_events events = {.frame = on_frame,
                                          .drained = on_drained,
                                          .input_ended = on_input_ended,
                                          .closed = on_closed,
                                          .too_large = on_too_large,
                                          .stalled = on_stalled};

static void out_of_time(void *arg)
{
    (void)arg;
    fail_msg("the deadline passed");
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void pair_open(struct pair *p)
{
    memset(p, 0, sizeof *p);
    struct err err;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
    }
    p->loop = loop_new(&err);
    assert_non_null(p->loop);
    p->peer = fds[0];
    p->conn = conn_new(p->loop, fds[1], &events, p, &err);
    assert_non_null(p->conn);
    conn_set_frame_max(p->conn, FRAME_MAX);
    p->deadline = timer_new(p->loop, out_of_time, NULL);
    p->stop = timer_new(p->loop, stop_loop, p->loop);
    assert_true(p->deadline != NULL && p->stop != NULL);
    timer_set(p->deadline, PATIENCE_US);
}

static void pair_close(struct pair *p)
{
    conn_free(p->conn);
    if (p->peer != -1) {
        close(p->peer);
    }
    timer_free(p->deadline);
    timer_free(p->stop);
    loop_free(p->loop);
}

static void run_for(struct pair *p, uint64_t micros)
{
    timer_set(p->stop, micros);
    loop_run(p->loop);
    timer_clear(p->stop);
}

/* n frames whose payloads count on through all of them, from @from on. */
static void make_frames(struct buf *b, unsigned n, size_t bytes, size_t from)
{
    for (unsigned i = 0; i < n; i++) {
        size_t begun_at = wire_begin(b, WIRE_COPY_DATA);
        for (size_t j = 0; j < bytes; j++) {
            buf_u8(b, (uint8_t)from++);
        }
        wire_end(b, begun_at);
    }
    assert_false(b->failed);
}

/* Sends all of it, running the loop whenever the socket is full. */
static void feed(struct pair *p, const uint8_t *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(p->peer, data, bytes);
        if (n == -1) {
            assert_true(errno == EAGAIN);
            run_for(p, 1000);
            continue;
        }
        data += n;
        bytes -= (size_t)n;
    }
}

/* What is there for the peer, at most @bytes of it. */
static size_t drink(struct pair *p, size_t bytes)
{
    static uint8_t sink[65536];
    size_t total = 0;
    while (total < bytes) {
        size_t step = bytes - total < sizeof sink ? bytes - total : sizeof sink;
        ssize_t n = read(p->peer, sink, step);
        if (n <= 0) {
            break;
        }
        total += (size_t)n;
    }
    return total;
}

/* ---- framing ---- */

static void a_frame_sent_byte_by_byte_arrives_whole(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    struct buf b;
    buf_init(&b, MEM_NETWORK, 1 << 20);
    make_frames(&b, 3, 7, 0);
    p.stop_at_frames = 3;
    for (size_t i = 0; i < b.bytes; i++) {
        feed(&p, b.data + i, 1);
        if (i + 1 < b.bytes) {
            run_for(&p, 200);
        }
    }
    loop_run(p.loop);
    assert_int_equal(p.n_frames, 3);
    assert_int_equal(p.bytes, 21);
    buf_fini(&b);
    pair_close(&p);
}

static void frames_larger_than_any_read_arrive_whole(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    struct buf b;
    buf_init(&b, MEM_NETWORK, 64 << 20);
    make_frames(&b, 5, FRAME_MAX, 0);
    feed(&p, b.data, b.bytes);
    p.stop_at_frames = 5;
    if (p.n_frames < 5) {
        loop_run(p.loop);
    }
    assert_int_equal(p.bytes, (size_t)5 * FRAME_MAX);
    buf_fini(&b);
    pair_close(&p);
}

static void ten_thousand_small_frames_in_one_stream_keep_their_order(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    struct buf b;
    buf_init(&b, MEM_NETWORK, 1 << 20);
    make_frames(&b, 10000, 30, 0);
    p.stop_at_frames = 10000;
    feed(&p, b.data, b.bytes);
    if (p.n_frames < 10000) {
        loop_run(p.loop);
    }
    assert_int_equal(p.n_frames, 10000);
    buf_fini(&b);
    pair_close(&p);
}

static void a_frame_over_the_bound_is_told_once_and_the_answer_leaves(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    uint8_t header[WIRE_HEADER_BYTES] = {WIRE_QUERY};
    le_put_u32(header + 1, FRAME_MAX + 1);
    feed(&p, header, sizeof header);
    run_for(&p, 20000);
    uint8_t answer[64];
    assert_int_equal(read(p.peer, answer, sizeof answer), WIRE_HEADER_BYTES);
    assert_int_equal(answer[0], WIRE_READY);
    assert_int_equal(read(p.peer, answer, sizeof answer), 0); /* Its sending side is shut. */
    static const uint8_t junk[4096];
    feed(&p, junk, sizeof junk); /* Still taken, and thrown away. */
    close(p.peer);
    p.peer = -1;
    loop_run(p.loop);
    assert_int_equal(p.n_too_large, 1);
    assert_int_equal(p.n_closed, 1);
    assert_int_equal(p.why.code, ERR_OK);
    assert_int_equal(p.n_frames, 0);
    pair_close(&p);
}

/* ---- pausing ---- */

static void a_paused_connection_gives_no_frame_and_then_goes_on_where_it_was(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    struct buf b;
    buf_init(&b, MEM_NETWORK, 1 << 20);
    make_frames(&b, 100, 10, 0);
    p.pause_at_frames = 40;
    feed(&p, b.data, b.bytes);
    run_for(&p, 20000);
    assert_int_equal(p.n_frames, 40);
    p.stop_at_frames = 100;
    conn_pause(p.conn, false);
    assert_int_equal(p.n_frames, 40); /* Never from within a call of the owner. */
    loop_run(p.loop);
    assert_int_equal(p.n_frames, 100);
    buf_fini(&b);
    pair_close(&p);
}

static void a_paused_connection_stops_reading_when_its_input_is_full(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    conn_pause(p.conn, true);
    struct buf b;
    buf_init(&b, MEM_NETWORK, 64 << 20);
    make_frames(&b, 16, FRAME_MAX, 0);
    size_t sent_bytes = 0;
    for (int i = 0; i < 50; i++) {
        ssize_t n = write(p.peer, b.data + sent_bytes, b.bytes - sent_bytes);
        sent_bytes += n > 0 ? (size_t)n : 0;
        run_for(&p, 1000);
    }
    assert_true(sent_bytes < 4 << 20); /* What the kernel and the input hold, of 16 MiB. */
    conn_pause(p.conn, false);
    feed(&p, b.data + sent_bytes, b.bytes - sent_bytes);
    p.stop_at_frames = 16;
    if (p.n_frames < 16) {
        loop_run(p.loop);
    }
    assert_int_equal(p.n_frames, 16);
    buf_fini(&b);
    pair_close(&p);
}

static void a_paused_owner_learns_that_its_peer_has_gone(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    conn_pause(p.conn, true);
    close(p.peer);
    p.peer = -1;
    loop_run(p.loop);
    assert_int_equal(p.n_closed, 1);
    assert_int_equal(p.why.code, ERR_OK);
    pair_close(&p);
}

static void frames_sent_before_the_end_are_all_handled(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    struct buf b;
    buf_init(&b, MEM_NETWORK, 1 << 20);
    make_frames(&b, 3000, 10, 0);
    feed(&p, b.data, b.bytes);
    close(p.peer);
    p.peer = -1;
    while (p.n_closed == 0) {
        loop_run(p.loop);
    }
    assert_int_equal(p.n_frames, 3000);
    buf_fini(&b);
    pair_close(&p);
}

/* ---- output ---- */

static void a_peer_that_does_not_read_stops_the_frames_and_drained_tells_of_room(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    conn_set_output_max(p.conn, 100000);
    p.echo = true;
    struct buf b;
    buf_init(&b, MEM_NETWORK, 64 << 20);
    make_frames(&b, 4000, 1000, 0);
    size_t sent_bytes = 0;
    for (int i = 0; i < 100; i++) {
        ssize_t n = write(p.peer, b.data + sent_bytes, b.bytes - sent_bytes);
        sent_bytes += n > 0 ? (size_t)n : 0;
        run_for(&p, 1000);
    }
    assert_true(sent_bytes < b.bytes);
    assert_true(conn_is_over(p.conn));
    assert_true(conn_output_bytes(p.conn) < 100000 + 2000);
    assert_int_equal(p.n_drained, 0);
    size_t drunk_bytes = 0;
    while (drunk_bytes < b.bytes) {
        ssize_t n = write(p.peer, b.data + sent_bytes, b.bytes - sent_bytes);
        sent_bytes += n > 0 ? (size_t)n : 0;
        drunk_bytes += drink(&p, SIZE_MAX);
        run_for(&p, 1000);
    }
    assert_int_equal(drunk_bytes, b.bytes);
    assert_int_equal(p.n_frames, 4000);
    assert_true(p.n_drained > 0);
    buf_fini(&b);
    pair_close(&p);
}

static void output_written_outside_of_a_turn_leaves_at_once(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    wire_write_empty(conn_output(p.conn), WIRE_READY);
    conn_flush(p.conn);
    assert_int_equal(drink(&p, 100), WIRE_HEADER_BYTES);
    assert_int_equal(conn_output_bytes(p.conn), 0);
    pair_close(&p);
}

static void a_finished_connection_sends_all_before_it_closes(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    struct buf *b = conn_output(p.conn);
    for (int i = 0; i < 4 << 20; i++) {
        buf_u8(b, 0);
    }
    conn_finish(p.conn);
    size_t got = 0;
    while (got < (size_t)4 << 20) {
        run_for(&p, 500);
        got += drink(&p, SIZE_MAX);
    }
    close(p.peer);
    p.peer = -1;
    loop_run(p.loop);
    assert_int_equal(p.n_closed, 1);
    assert_int_equal(p.why.code, ERR_OK);
    pair_close(&p);
}

static void a_finished_connection_does_not_wait_for_ever_for_its_peer(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    uint64_t started_us = clock_micros();
    wire_write_empty(conn_output(p.conn), WIRE_READY);
    conn_finish(p.conn);
    run_for(&p, 500);
    assert_true(drink(&p, SIZE_MAX) > 0); /* What it took buys it no more time. */
    loop_run(p.loop);
    assert_int_equal(p.n_closed, 1);
    assert_true(clock_micros() - started_us < 3500000); /* LINGER_US, once. */
    pair_close(&p);
}

static void output_over_every_bound_ends_the_connection(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    conn_set_output_max(p.conn, 1000);
    struct buf *b = conn_output(p.conn);
    static const uint8_t piece[1 << 20];
    for (int i = 0; i < 100; i++) {
        buf_bytes(b, piece, sizeof piece);
    }
    assert_true(b->failed);
    conn_flush(p.conn);
    loop_run(p.loop);
    assert_int_equal(p.n_closed, 1);
    assert_int_equal(p.why.code, ERR_OUT_OF_MEMORY);
    pair_close(&p);
}

/* ---- stalls ---- */

static void half_a_frame_and_silence_is_told_and_the_answer_leaves(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    conn_set_timeout(p.conn, 50000);
    uint8_t half[] = {WIRE_COPY_DATA, 10};
    feed(&p, half, sizeof half);
    uint64_t started_us = clock_micros();
    loop_run(p.loop);
    assert_int_equal(p.n_stalled, 1);
    assert_true(clock_micros() - started_us >= 49000);
    run_for(&p, 1000);
    assert_int_equal(drink(&p, 100), WIRE_HEADER_BYTES);
    pair_close(&p);
}

static void silence_between_frames_is_not_cut(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    conn_set_timeout(p.conn, 20000);
    struct buf b;
    buf_init(&b, MEM_NETWORK, 1024);
    make_frames(&b, 1, 10, 0);
    feed(&p, b.data, 4);
    run_for(&p, 5000);
    feed(&p, b.data + 4, b.bytes - 4);
    run_for(&p, 100000);
    assert_int_equal(p.n_frames, 1);
    assert_int_equal(p.n_closed, 0);
    buf_fini(&b);
    pair_close(&p);
}

static void a_slow_sender_that_keeps_the_pace_is_not_cut(void **state)
{
    (void)state;
    enum {
        N_PIECES = 40
    };
    struct pair p;
    pair_open(&p);
    conn_set_timeout(p.conn, 500000); /* In all it takes longer, each step much less. */
    struct buf b;
    buf_init(&b, MEM_NETWORK, 1 << 20);
    make_frames(&b, 1, (size_t)N_PIECES * BYTES_A_SECOND_MIN - WIRE_HEADER_BYTES, 0);
    assert_int_equal(b.bytes, N_PIECES * BYTES_A_SECOND_MIN);
    for (size_t i = 0; i < N_PIECES; i++) {
        feed(&p, b.data + i * BYTES_A_SECOND_MIN, BYTES_A_SECOND_MIN);
        run_for(&p, 20000);
    }
    assert_int_equal(p.n_closed, 0);
    assert_int_equal(p.n_frames, 1);
    buf_fini(&b);
    pair_close(&p);
}

static void a_frame_that_comes_in_drops_is_cut_though_it_never_stops(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    conn_set_timeout(p.conn, 200000);
    struct buf b;
    buf_init(&b, MEM_NETWORK, 1 << 20);
    make_frames(&b, 1, FRAME_MAX / 2, 0);
    uint64_t started_us = clock_micros();
    for (size_t i = 0; p.n_stalled == 0; i++) { /* Until then, or the deadline. */
        feed(&p, b.data + i, 1);
        run_for(&p, 10000);
    }
    assert_true(clock_micros() - started_us >= 190000);
    assert_int_equal(p.n_frames, 0);
    buf_fini(&b);
    pair_close(&p);
}

static void a_frame_has_its_whole_time_after_a_pause_and_after_other_frames(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    conn_set_timeout(p.conn, 1000000);
    struct buf b;
    buf_init(&b, MEM_NETWORK, 1 << 20);
    make_frames(&b, 20, 10, 0);
    size_t frame_bytes = b.bytes / 20;
    /* Each frame is cut in the middle, so that some frame is owed all of the time. */
    feed(&p, b.data, frame_bytes / 2);
    for (size_t i = 0; i < 18; i++) {
        feed(&p, b.data + i * frame_bytes + frame_bytes / 2, frame_bytes);
        run_for(&p, 60000);
    }
    assert_int_equal(p.n_frames, 18);
    p.pause_at_frames = 19;
    feed(&p, b.data + 18 * frame_bytes + frame_bytes / 2, frame_bytes);
    run_for(&p, 1200000);
    assert_int_equal(p.n_stalled, 0);
    p.stop_at_frames = 20;
    conn_pause(p.conn, false);
    run_for(&p, 1000);
    feed(&p, b.data + 19 * frame_bytes + frame_bytes / 2, frame_bytes - frame_bytes / 2);
    loop_run(p.loop);
    assert_int_equal(p.n_frames, 20);
    assert_int_equal(p.n_stalled, 0);
    buf_fini(&b);
    pair_close(&p);
}

static void a_reader_that_takes_nothing_is_cut(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    conn_set_timeout(p.conn, 50000);
    struct buf *b = conn_output(p.conn);
    static const uint8_t piece[1 << 20];
    buf_bytes(b, piece, sizeof piece);
    conn_flush(p.conn);
    assert_true(conn_output_bytes(p.conn) > 0);
    loop_run(p.loop);
    assert_int_equal(p.n_closed, 1);
    assert_int_equal(p.why.code, ERR_IDLE);
    pair_close(&p);
}

static void a_stall_that_follows_another_wait_gets_its_whole_time(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    conn_set_timeout(p.conn, 100000);
    struct buf b;
    buf_init(&b, MEM_NETWORK, 1024);
    make_frames(&b, 1, 10, 0);
    feed(&p, b.data, 4); /* Begins the first wait, and the timer. */
    run_for(&p, 80000);
    feed(&p, b.data + 4, b.bytes - 4);
    run_for(&p, 1000);
    feed(&p, b.data, 4); /* The second wait: the timer of the first must not cut it. */
    uint64_t started_us = clock_micros();
    loop_run(p.loop);
    assert_int_equal(p.n_stalled, 1);
    assert_true(clock_micros() - started_us >= 95000);
    buf_fini(&b);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_sent_byte_by_byte_arrives_whole),
        cmocka_unit_test(frames_larger_than_any_read_arrive_whole),
        cmocka_unit_test(ten_thousand_small_frames_in_one_stream_keep_their_order),
        cmocka_unit_test(a_frame_over_the_bound_is_told_once_and_the_answer_leaves),
        cmocka_unit_test(a_paused_connection_gives_no_frame_and_then_goes_on_where_it_was),
        cmocka_unit_test(a_paused_connection_stops_reading_when_its_input_is_full),
        cmocka_unit_test(a_paused_owner_learns_that_its_peer_has_gone),
        cmocka_unit_test(frames_sent_before_the_end_are_all_handled),
        cmocka_unit_test(a_peer_that_does_not_read_stops_the_frames_and_drained_tells_of_room),
        cmocka_unit_test(output_written_outside_of_a_turn_leaves_at_once),
        cmocka_unit_test(a_finished_connection_sends_all_before_it_closes),
        cmocka_unit_test(a_finished_connection_does_not_wait_for_ever_for_its_peer),
        cmocka_unit_test(output_over_every_bound_ends_the_connection),
        cmocka_unit_test(half_a_frame_and_silence_is_told_and_the_answer_leaves),
        cmocka_unit_test(silence_between_frames_is_not_cut),
        cmocka_unit_test(a_slow_sender_that_keeps_the_pace_is_not_cut),
        cmocka_unit_test(a_frame_that_comes_in_drops_is_cut_though_it_never_stops),
        cmocka_unit_test(a_frame_has_its_whole_time_after_a_pause_and_after_other_frames),
        cmocka_unit_test(a_reader_that_takes_nothing_is_cut),
        cmocka_unit_test(a_stall_that_follows_another_wait_gets_its_whole_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
