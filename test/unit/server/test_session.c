/* Sessions against a scripted client: each test is a list of messages and the trace of the answers,
 * one letter a message (net/messages.def). */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_query.h"
#include "server/server_int.h"

enum {
    INPUT_BYTES = 1 << 20,
    DEADLINE_S = 10
};

/* One network thread. */
struct site {
    struct net_thread net;
    struct session_host host;
    atomic_bool is_drained;
};

/* One client. */
struct peer {
    int fd;
    struct buf out;
    uint8_t *in;
    size_t in_bytes, in_at;
    struct wire_frame last; /* Borrowed from @in until the next one. */
    struct wire_key key;
};

static void drained(void *arg)
{
    struct site *site = arg;
    atomic_store(&site->is_drained, true);
}

static void run_loop(void *arg)
{
    struct site *site = arg;
    loop_run(site->net.loop);
}

static void site_open(struct site *site)
{
    struct err err;
    memset(site, 0, sizeof *site);
    atomic_init(&site->host.n_admitted_max, 100);
    site->net.host = &site->host;
    site->net.limits = (struct session_limits){
        .frame_bytes_max = 1 << 20, .output_bytes_max = 1 << 16, .timeout_us = 5000000};
    site->net.drained = drained;
    site->net.arg = site;
    site->net.loop = loop_new(&err);
    assert_non_null(site->net.loop);
    assert_int_equal(thread_start(&site->net.thread, "net", run_loop, site, &err), 0);
}

static void close_sessions(void *arg)
{
    sessions_close(arg);
}

/* Nothing may be left behind, whatever the test did. */
static void site_close(struct site *site)
{
    struct loop_post post = {.fn = close_sessions, .arg = &site->net};
    loop_post(site->net.loop, &post);
    loop_stop(site->net.loop);
    thread_join(&site->net.thread);
    loop_free(site->net.loop);
    assert_int_equal(fake_live(), 0);
    assert_int_equal(atomic_load(&site->host.n_admitted), 0);
    assert_int_equal(atomic_load(&site->host.n_connections), 0);
}

static void connect_peer(struct site *site, struct peer *p)
{
    int fds[2];
    memset(p, 0, sizeof *p);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    struct timeval deadline = {.tv_sec = DEADLINE_S};
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline), 0);
    p->fd = fds[0];
    p->in = malloc(INPUT_BYTES);
    assert_non_null(p->in);
    buf_init(&p->out, MEM_GENERAL, 64 << 20);
    session_accept(&site->net, fds[1]);
}

static void leave(struct peer *p)
{
    close(p->fd);
    free(p->in);
    buf_fini(&p->out);
}

static void send_all(struct peer *p)
{
    size_t at = 0;
    assert_false(p->out.failed);
    while (at < p->out.bytes) {
        ssize_t n = send(p->fd, p->out.data + at, p->out.bytes - at, MSG_NOSIGNAL);
        assert_true(n > 0);
        at += (size_t)n;
    }
    buf_reset(&p->out);
}

/* The next frame's letter; '.' at the end of the connection. */
static char next_frame(struct peer *p)
{
    size_t need_bytes;
    for (;;) {
        if (wire_parse(p->in + p->in_at, p->in_bytes - p->in_at, SIZE_MAX, &p->last, &need_bytes) ==
            WIRE_FRAME) {
            p->in_at += need_bytes;
            return (char)p->last.type;
        }
        memmove(p->in, p->in + p->in_at, p->in_bytes - p->in_at);
        p->in_bytes -= p->in_at;
        p->in_at = 0;
        ssize_t n = recv(p->fd, p->in + p->in_bytes, INPUT_BYTES - p->in_bytes, 0);
        if (n == 0) {
            return '.';
        }
        if (n < 0) {
            fail_msg("no answer came within the deadline");
        }
        p->in_bytes += (size_t)n;
    }
}

static void expect(struct peer *p, const char *trace)
{
    char got[256] = "";
    assert_true(strlen(trace) < sizeof got);
    send_all(p);
    for (size_t i = 0; trace[i] != '\0'; i++) {
        got[i] = next_frame(p);
        got[i + 1] = '\0';
        if (got[i] != trace[i]) {
            fail_msg("expected the answers %s, got %s", trace, got);
        }
    }
}

/* The error that came last. */
static void assert_error(struct peer *p, enum errcode code, const char *wanted_severity,
                         uint32_t position)
{
    struct reader r;
    struct err err;
    struct wire_str severity, sqlstate;
    reader_init(&r, p->last.payload, p->last.payload_bytes);
    assert_true(wire_read_error(&r, &err, &severity, &sqlstate));
    assert_int_equal(err.code, code);
    assert_int_equal(err.position, position);
    assert_int_equal(severity.bytes, strlen(wanted_severity));
    assert_memory_equal(severity.data, wanted_severity, severity.bytes);
    assert_true(err.message[0] != '\0');
}

static struct wire_str str(const char *text)
{
    return (struct wire_str){.data = text, .bytes = (uint32_t)strlen(text)};
}

static void say_startup(struct peer *p, const char *name, const char *value)
{
    struct wire_startup m = {
        .magic = WIRE_MAGIC, .major = WIRE_VERSION_MAJOR, .minor = WIRE_VERSION_MINOR};
    if (name != NULL) {
        m.n_options = 1;
        m.options[0] = (struct wire_option){.name = str(name), .value = str(value)};
    }
    wire_write_startup(&p->out, &m);
}

static void start(struct site *site, struct peer *p)
{
    struct reader r;
    connect_peer(site, p);
    say_startup(p, "progress", "on");
    expect(p, "RsK");
    reader_init(&r, p->last.payload, p->last.payload_bytes);
    assert_true(wire_read_key(&r, WIRE_SESSION_KEY, &p->key));
    expect(p, "Z");
}

static void say(struct peer *p, const char *vql)
{
    wire_write_text(&p->out, WIRE_QUERY, vql, strlen(vql));
}

static void say_parse(struct peer *p, const char *name, const char *vql)
{
    wire_write_parse(&p->out, &(struct wire_parse_message){.name = str(name), .text = str(vql)});
}

static void say_bind(struct peer *p, const char *portal, const char *statement)
{
    wire_write_bind(&p->out, str(portal), str(statement), NULL, 0);
}

static void say_execute(struct peer *p, const char *portal, uint32_t limit)
{
    wire_write_execute(&p->out, str(portal), limit);
}

static void say_sync(struct peer *p)
{
    wire_write_empty(&p->out, WIRE_SYNC);
}

/* PARSE, BIND and EXECUTE of the unnamed ones. */
static void say_all(struct peer *p, const char *vql, uint32_t limit)
{
    say_parse(p, "", vql);
    say_bind(p, "", "");
    say_execute(p, "", limit);
}

static void say_data(struct peer *p, size_t bytes)
{
    size_t begun_at = wire_begin(&p->out, WIRE_COPY_DATA);
    for (size_t i = 0; i < bytes; i++) {
        buf_u8(&p->out, 'x');
    }
    wire_end(&p->out, begun_at);
}

static uint64_t rows_of_complete(struct peer *p)
{
    struct reader r;
    struct wire_str tag;
    uint64_t n;
    reader_init(&r, p->last.payload, p->last.payload_bytes);
    assert_true(wire_read_complete(&r, &tag, &n));
    return n;
}

/* ---- start-up ---- */

static void a_start_up_is_answered_with_status_key_and_ready(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    assert_true(p.key.session != 0 && p.key.secret != 0);
    wire_write_empty(&p.out, WIRE_TERMINATE);
    expect(&p, ".");
    leave(&p);
    site_close(&site);
}

static void bad_starts_get_one_error_and_a_clean_close(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    connect_peer(&site, &p); /* A later major version. */
    wire_write_startup(&p.out, &(struct wire_startup){.magic = WIRE_MAGIC, .major = 9});
    expect(&p, "!");
    assert_error(&p, ERR_VERSION_UNSUPPORTED, "FATAL", 0);
    expect(&p, ".");
    leave(&p);

    connect_peer(&site, &p); /* No magic. */
    wire_write_startup(&p.out, &(struct wire_startup){.magic = 1, .major = 1});
    expect(&p, "!");
    assert_error(&p, ERR_PROTOCOL_VIOLATION, "FATAL", 0);
    expect(&p, ".");
    leave(&p);

    connect_peer(&site, &p); /* Not a start-up. */
    say(&p, "ok");
    expect(&p, "!.");
    leave(&p);

    connect_peer(&site, &p); /* Another protocol: its first bytes claim a huge frame. */
    buf_bytes(&p.out, "GET / HTTP/1.1\r\n\r\n", 18);
    expect(&p, "!");
    assert_error(&p, ERR_PROTOCOL_VIOLATION, "FATAL", 0);
    expect(&p, ".");
    leave(&p);
    site_close(&site);
}

static void options_of_the_start_up_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        enum errcode code;
    } cases[] = {
        {"recal", "0.9", ERR_UNKNOWN_POLICY},   {"recall", "7", ERR_POLICY_BOUNDS},
        {"net_threads", "2", ERR_POLICY_SCOPE}, {"progress", "maybe", ERR_BAD_PARAMETER},
        {"user", "\xff", ERR_NAME_TOO_LONG},
    };
    struct site site;
    struct peer p;
    site_open(&site);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        connect_peer(&site, &p);
        say_startup(&p, cases[i].name, cases[i].value);
        expect(&p, "!");
        assert_error(&p, cases[i].code, "FATAL", 0);
        expect(&p, ".");
        leave(&p);
    }
    connect_peer(&site, &p);
    say_startup(&p, "recall", "0.98");
    expect(&p, "RsKZ");
    leave(&p);
    site_close(&site);
}

static void sessions_over_max_connections_are_refused_until_one_leaves(void **state)
{
    (void)state;
    struct site site;
    struct peer first, second;
    site_open(&site);
    atomic_store(&site.host.n_admitted_max, 1);
    start(&site, &first);
    connect_peer(&site, &second);
    say_startup(&second, NULL, NULL);
    expect(&second, "!");
    assert_error(&second, ERR_TOO_MANY_CONNECTIONS, "FATAL", 0);
    expect(&second, ".");
    leave(&second);
    wire_write_empty(&first.out, WIRE_TERMINATE);
    expect(&first, ".");
    leave(&first);
    while (atomic_load(&site.host.n_admitted) > 0) {
        clock_sleep_micros(100);
    }
    start(&site, &second);
    leave(&second);
    site_close(&site);
}

static void silence_before_the_start_up_is_cut_with_its_reason(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    site.net.limits.timeout_us = 30000;
    connect_peer(&site, &p);
    expect(&p, "!");
    assert_error(&p, ERR_IDLE, "FATAL", 0);
    expect(&p, ".");
    leave(&p);
    site_close(&site);
}

/* ---- simple query ---- */

static void one_query_runs_all_its_statements(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "rows 2; ok; rows 0");
    expect(&p, "rwwkkrkZ");
    say(&p, "");
    expect(&p, "eZ");
    say(&p, "ok; ");
    expect(&p, "kZ");
    leave(&p);
    site_close(&site);
}

static void an_error_ends_the_query_and_its_position_is_of_the_whole_text(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "ok; fail; ok");
    expect(&p, "k!");
    assert_error(&p, ERR_DUPLICATE_KEY, "ERROR", 3 + 3);
    expect(&p, "Z");
    say(&p, "ok; refuse");
    expect(&p, "k!");
    assert_error(&p, ERR_SYNTAX, "ERROR", 5);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

static void a_query_that_waits_goes_on_with_the_rest_of_its_text(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "wait; rows 1; wait; ok");
    say(&p, "ok"); /* Stays queued behind it. */
    send_all(&p);
    fake_wake();
    fake_wake();
    expect(&p, "krwkkkZkZ");
    leave(&p);
    site_close(&site);
}

static void remarks_arrive_before_the_end_of_their_statement(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "remarks");
    expect(&p, "NsgkZ");
    leave(&p);
    connect_peer(&site, &p); /* One that did not ask for progress. */
    say_startup(&p, NULL, NULL);
    say(&p, "remarks");
    expect(&p, "RsKZNskZ");
    leave(&p);
    site_close(&site);
}

static void a_row_that_no_output_can_hold_fails_its_statement_only(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "big");
    expect(&p, "r!");
    assert_error(&p, ERR_OUT_OF_MEMORY, "ERROR", 0);
    expect(&p, "Z");
    say(&p, "rows 1");
    expect(&p, "rwkZ");
    leave(&p);
    site_close(&site);
}

static void a_result_larger_than_the_output_waits_for_its_reader(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "rows 500000");
    expect(&p, "r");
    clock_sleep_micros(50000); /* The server runs into the bound of what it may hold. */
    for (int i = 0; i < 500000; i++) {
        assert_int_equal(next_frame(&p), 'w');
    }
    expect(&p, "k");
    assert_int_equal(rows_of_complete(&p), 500000);
    expect(&p, "Z");
    assert_true(fake_output_bytes() > 0 && fake_output_bytes() < 200000);
    leave(&p);
    site_close(&site);
}

/* ---- extended query ---- */

static void a_pipeline_is_answered_in_order(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_parse(&p, "s", "rows 2");
    say_bind(&p, "p", "s");
    wire_write_named(&p.out, WIRE_DESCRIBE, WIRE_KIND_STATEMENT, str("s"));
    wire_write_named(&p.out, WIRE_DESCRIBE, WIRE_KIND_PORTAL, str("p"));
    say_execute(&p, "p", 0);
    wire_write_named(&p.out, WIRE_CLOSE, WIRE_KIND_STATEMENT, str("s"));
    wire_write_named(&p.out, WIRE_CLOSE, WIRE_KIND_PORTAL, str("never was"));
    say_all(&p, "wait", 0);
    say_all(&p, "ok", 0);
    say_sync(&p);
    send_all(&p);
    fake_wake();
    expect(&p, "12trrwwk33"
               "12k12kZ");
    leave(&p);
    site_close(&site);
}

static void after_an_error_all_is_skipped_up_to_the_sync(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_all(&p, "ok", 0);
    say_all(&p, "fail", 0);
    say_all(&p, "ok", 0);
    say(&p, "ok");
    say_sync(&p);
    say_all(&p, "rows 1", 0);
    say_sync(&p);
    expect(&p, "12k12!Z12wkZ");
    leave(&p);
    site_close(&site);
}

static void errors_of_each_extended_message_skip_too(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_parse(&p, "", "refuse");
    say_sync(&p);
    expect(&p, "!");
    assert_error(&p, ERR_SYNTAX, "ERROR", 1);
    expect(&p, "Z");
    say_parse(&p, "", "ok; ok");
    say_sync(&p);
    expect(&p, "!");
    assert_error(&p, ERR_SYNTAX, "ERROR", 0);
    expect(&p, "Z");
    say_bind(&p, "", "nobody");
    say_sync(&p);
    expect(&p, "!");
    assert_error(&p, ERR_UNKNOWN_STATEMENT, "ERROR", 0);
    expect(&p, "Z");
    say_execute(&p, "nobody", 0);
    say_sync(&p);
    expect(&p, "!");
    assert_error(&p, ERR_UNKNOWN_PORTAL, "ERROR", 0);
    expect(&p, "Z");
    say_parse(&p, "s", "ok");
    say_parse(&p, "s", "ok");
    say_sync(&p);
    expect(&p, "1!");
    assert_error(&p, ERR_DUPLICATE_STATEMENT, "ERROR", 0);
    expect(&p, "Z");
    say_bind(&p, "p", "s");
    say_bind(&p, "p", "s");
    say_sync(&p);
    expect(&p, "2!");
    assert_error(&p, ERR_DUPLICATE_PORTAL, "ERROR", 0);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

static void a_row_limit_suspends_and_the_next_execute_goes_on(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_all(&p, "rows 5", 2);
    say_sync(&p);
    expect(&p, "12wwuZ");
    say_execute(&p, "", 2);
    say_execute(&p, "", 2);
    say_sync(&p);
    expect(&p, "wwuwkZ");
    say_execute(&p, "", 2); /* It has ended. */
    say_sync(&p);
    expect(&p, "!Z");
    leave(&p);
    site_close(&site);
}

static void a_row_limit_counts_through_a_full_output(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_all(&p, "rows 1000000", 200000);
    say_sync(&p);
    expect(&p, "12");
    clock_sleep_micros(20000);
    for (int i = 0; i < 200000; i++) {
        assert_int_equal(next_frame(&p), 'w');
    }
    expect(&p, "uZ");
    leave(&p);
    site_close(&site);
}

static void parameters_arrive_as_they_were_sent(void **state)
{
    (void)state;
    static const float vector[] = {0.5F, -1, 2};
    struct value value = value_vector(vector, 3);
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_parse(&p, "", "param");
    wire_write_bind(&p.out, str(""), str(""), &value, 1);
    say_execute(&p, "", 0);
    say_sync(&p);
    expect(&p, "12w");
    struct reader r;
    uint16_t n;
    struct arena *arena = arena_new(MEM_STATEMENT, 1 << 16);
    reader_init(&r, p.last.payload, p.last.payload_bytes);
    assert_true(wire_read_column_count(&r, &n));
    struct value got = value_read(&r, arena);
    assert_true(reader_done(&r) && value_compare(&got, &value) == 0);
    arena_free(arena);
    expect(&p, "kZ");
    leave(&p);
    site_close(&site);
}

static void empty_statements_and_missing_parameters_are_told(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_parse(&p, "", " ");
    wire_write_named(&p.out, WIRE_DESCRIBE, WIRE_KIND_STATEMENT, str(""));
    say_bind(&p, "", "");
    say_execute(&p, "", 0);
    say_sync(&p);
    expect(&p, "1tn2eZ");
    say_all(&p, "param", 0);
    say_sync(&p);
    expect(&p, "1!");
    assert_error(&p, ERR_UNKNOWN_PARAMETER, "ERROR", 0);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

static void names_are_bounded_in_number_and_length(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    char name[80];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "portal %d", i);
        say_parse(&p, "", "ok");
        say_bind(&p, name, "");
    }
    say_bind(&p, "one more", "");
    say_sync(&p);
    for (int i = 0; i < 100; i++) {
        expect(&p, "12");
    }
    expect(&p, "!");
    assert_error(&p, ERR_TOO_MANY_ITEMS, "ERROR", 0);
    expect(&p, "Z");
    memset(name, 'x', sizeof name);
    name[64] = '\0';
    say_parse(&p, name, "ok");
    say_sync(&p);
    expect(&p, "!");
    assert_error(&p, ERR_NAME_TOO_LONG, "ERROR", 0);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

/* ---- COPY ---- */

static void copy_in_takes_data_and_tells_how_much(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "copyin; ok");
    expect(&p, "G");
    say_data(&p, 1000);
    say_data(&p, 0);
    say_data(&p, 234);
    wire_write_empty(&p.out, WIRE_COPY_DONE);
    expect(&p, "k");
    assert_int_equal(rows_of_complete(&p), 1234);
    expect(&p, "kZ");
    leave(&p);
    site_close(&site);
}

static void copy_in_holds_the_data_while_it_is_full(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "copyfull");
    expect(&p, "G");
    for (int i = 0; i < 20; i++) {
        say_data(&p, 100);
    }
    wire_write_empty(&p.out, WIRE_COPY_DONE);
    send_all(&p);
    for (int i = 0; i < 20; i++) {
        fake_wake();
    }
    expect(&p, "k");
    assert_int_equal(rows_of_complete(&p), 2000);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

static void a_copy_that_fails_throws_the_rest_of_its_data_away(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "copybad; ok");
    expect(&p, "G");
    for (int i = 0; i < 10; i++) {
        say_data(&p, 100);
    }
    wire_write_empty(&p.out, WIRE_COPY_DONE);
    expect(&p, "!");
    assert_error(&p, ERR_BAD_COPY_DATA, "ERROR", 0);
    expect(&p, "Z");
    say(&p, "copyin");
    expect(&p, "G");
    wire_write_text(&p.out, WIRE_COPY_FAIL, "changed my mind", 15);
    expect(&p, "!Z");
    say_all(&p, "copybad", 0);
    expect(&p, "12G");
    say_data(&p, 100);
    say_data(&p, 100);
    wire_write_empty(&p.out, WIRE_COPY_DONE);
    say_sync(&p);
    expect(&p, "!Z");
    leave(&p);
    site_close(&site);
}

static void a_sync_sent_ahead_of_the_copy_data_is_ignored(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_all(&p, "copyin", 0);
    say_sync(&p);
    expect(&p, "12G");
    say_data(&p, 7);
    wire_write_empty(&p.out, WIRE_COPY_DONE);
    say_sync(&p);
    expect(&p, "kZ");
    leave(&p);
    site_close(&site);
}

static void copy_out_announces_itself_and_waits_for_its_reader(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "copyout 1000; copyout 0");
    expect(&p, "O");
    clock_sleep_micros(20000);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(next_frame(&p), 'd');
    }
    expect(&p, "ckOckZ");
    leave(&p);
    site_close(&site);
}

/* ---- cancel, violations, and ends ---- */

static void a_cancel_with_the_right_key_ends_the_statement(void **state)
{
    (void)state;
    struct site site;
    struct peer p, other;
    site_open(&site);
    start(&site, &p);
    unsigned before = fake_cancels();
    say(&p, "wait; ok");
    send_all(&p);
    connect_peer(&site, &other);
    struct wire_key wrong = {.session = p.key.session, .secret = p.key.secret + 1};
    wire_write_key(&other.out, WIRE_CANCEL, &wrong);
    expect(&other, ".");
    leave(&other);
    assert_int_equal(fake_cancels(), before);
    connect_peer(&site, &other);
    wire_write_key(&other.out, WIRE_CANCEL, &p.key);
    expect(&other, ".");
    leave(&other);
    expect(&p, "!");
    assert_error(&p, ERR_CANCELED, "ERROR", 0);
    expect(&p, "Z");
    say(&p, "ok");
    expect(&p, "kZ");
    leave(&p);
    site_close(&site);
}

static void violations_get_one_error_then_the_end(void **state)
{
    (void)state;
    static const uint8_t letters[] = {WIRE_STARTUP, WIRE_CANCEL,        WIRE_QUERY, WIRE_PARSE,
                                      WIRE_BIND,    WIRE_EXECUTE,       WIRE_CLOSE, WIRE_DESCRIBE,
                                      WIRE_READY,   WIRE_AUTH_RESPONSE, 0,          255};
    struct site site;
    struct peer p;
    site_open(&site);
    int64_t before = metric_value(METRIC_protocol_errors);
    for (size_t i = 0; i < COUNT_OF(letters); i++) {
        start(&site, &p);
        size_t begun_at = wire_begin(&p.out, (enum wire_type)letters[i]);
        buf_u8(&p.out, 1); /* Too short for any of them. */
        wire_end(&p.out, begun_at);
        say(&p, "ok");
        expect(&p, "!");
        assert_error(&p, ERR_PROTOCOL_VIOLATION, "FATAL", 0);
        expect(&p, ".");
        leave(&p);
    }
    assert_int_equal(metric_value(METRIC_protocol_errors) - before, COUNT_OF(letters));
    start(&site, &p); /* Another statement in the middle of a COPY. */
    say(&p, "copyin");
    say(&p, "ok");
    expect(&p, "G!");
    assert_error(&p, ERR_PROTOCOL_VIOLATION, "FATAL", 0);
    expect(&p, ".");
    leave(&p);
    site_close(&site);
}

static void a_message_over_frame_max_is_named_in_its_error(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    buf_u8(&p.out, WIRE_QUERY);
    buf_u32(&p.out, (1 << 20) + 1);
    expect(&p, "!");
    assert_error(&p, ERR_FRAME_TOO_LARGE, "FATAL", 0);
    expect(&p, ".");
    leave(&p);
    site_close(&site);
}

static void a_client_that_leaves_in_the_middle_leaves_nothing_behind(void **state)
{
    (void)state;
    static const char *const texts[] = {"wait", "copyin", "copyfull", "rows 10000000"};
    struct site site;
    struct peer p;
    site_open(&site);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        start(&site, &p);
        say_parse(&p, "kept", "ok");
        say_bind(&p, "kept", "kept");
        say_parse(&p, "", texts[i]);
        say_bind(&p, "", "");
        wire_write_empty(&p.out, WIRE_FLUSH);
        expect(&p, "1212");
        say_execute(&p, "", 0);
        say_data(&p, 100);
        send_all(&p);
        leave(&p);
        while (fake_live() > 0) {
            clock_sleep_micros(100);
        }
    }
    site_close(&site);
}

/* The wake of a portal that was freed meanwhile must find the session, or what is left of it. */
static void a_wake_that_crosses_the_end_of_its_session_is_harmless(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    for (int i = 0; i < 300; i++) {
        start(&site, &p);
        say(&p, "wait; wait; wait");
        send_all(&p);
        fake_wake();
        leave(&p);
        while (fake_live() > 0) {
            clock_sleep_micros(10);
        }
    }
    site_close(&site);
}

static void drain_sessions(void *arg)
{
    sessions_drain(arg);
}

static void a_drain_tells_the_idle_and_lets_the_running_end(void **state)
{
    (void)state;
    struct site site;
    struct peer idle, running;
    site_open(&site);
    start(&site, &idle);
    start(&site, &running);
    say(&running, "wait; ok");
    send_all(&running);
    struct loop_post post = {.fn = drain_sessions, .arg = &site.net};
    loop_post(site.net.loop, &post);
    expect(&idle, "!");
    assert_error(&idle, ERR_SHUTTING_DOWN, "FATAL", 0);
    expect(&idle, ".");
    assert_false(atomic_load(&site.is_drained));
    fake_wake();
    expect(&running, "kkZ!");
    assert_error(&running, ERR_SHUTTING_DOWN, "FATAL", 0);
    expect(&running, ".");
    leave(&idle);
    leave(&running);
    while (!atomic_load(&site.is_drained)) {
        clock_sleep_micros(100);
    }
    site_close(&site);
}

/* Every message, cut or filled with junk, in a session of its own: the server answers or closes. */
static void random_messages_never_break_a_session(void **state)
{
    (void)state;
    static const char letters[] = "QPBDECHYTfdcSX";
    struct site site;
    struct peer p;
    site_open(&site);
    uint64_t seed = 11;
    log_set_level(LOG_ERROR);
    for (int i = 0; i < 300; i++) {
        start(&site, &p);
        for (int j = 0; j < 20; j++) {
            char letter = letters[random_next(&seed) % (sizeof letters - 1)];
            size_t begun_at = wire_begin(&p.out, (enum wire_type)letter);
            for (uint64_t n = random_next(&seed) % 24; n > 0; n--) {
                buf_u8(&p.out, (uint8_t)(random_next(&seed) % 5 == 0 ? random_next(&seed) : 0));
            }
            wire_end(&p.out, begun_at);
        }
        (void)!send(p.fd, p.out.data, p.out.bytes, MSG_NOSIGNAL);
        shutdown(p.fd, SHUT_WR);
        while (next_frame(&p) != '.') {
        }
        leave(&p);
    }
    log_set_level(LOG_INFO);
    site_close(&site);
}

int main(void)
{
    log_set_level(LOG_WARNING);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_up_is_answered_with_status_key_and_ready),
        cmocka_unit_test(bad_starts_get_one_error_and_a_clean_close),
        cmocka_unit_test(options_of_the_start_up_are_checked),
        cmocka_unit_test(sessions_over_max_connections_are_refused_until_one_leaves),
        cmocka_unit_test(silence_before_the_start_up_is_cut_with_its_reason),
        cmocka_unit_test(one_query_runs_all_its_statements),
        cmocka_unit_test(an_error_ends_the_query_and_its_position_is_of_the_whole_text),
        cmocka_unit_test(a_query_that_waits_goes_on_with_the_rest_of_its_text),
        cmocka_unit_test(remarks_arrive_before_the_end_of_their_statement),
        cmocka_unit_test(a_row_that_no_output_can_hold_fails_its_statement_only),
        cmocka_unit_test(a_result_larger_than_the_output_waits_for_its_reader),
        cmocka_unit_test(a_pipeline_is_answered_in_order),
        cmocka_unit_test(after_an_error_all_is_skipped_up_to_the_sync),
        cmocka_unit_test(errors_of_each_extended_message_skip_too),
        cmocka_unit_test(a_row_limit_suspends_and_the_next_execute_goes_on),
        cmocka_unit_test(a_row_limit_counts_through_a_full_output),
        cmocka_unit_test(parameters_arrive_as_they_were_sent),
        cmocka_unit_test(empty_statements_and_missing_parameters_are_told),
        cmocka_unit_test(names_are_bounded_in_number_and_length),
        cmocka_unit_test(copy_in_takes_data_and_tells_how_much),
        cmocka_unit_test(copy_in_holds_the_data_while_it_is_full),
        cmocka_unit_test(a_copy_that_fails_throws_the_rest_of_its_data_away),
        cmocka_unit_test(a_sync_sent_ahead_of_the_copy_data_is_ignored),
        cmocka_unit_test(copy_out_announces_itself_and_waits_for_its_reader),
        cmocka_unit_test(a_cancel_with_the_right_key_ends_the_statement),
        cmocka_unit_test(violations_get_one_error_then_the_end),
        cmocka_unit_test(a_message_over_frame_max_is_named_in_its_error),
        cmocka_unit_test(a_client_that_leaves_in_the_middle_leaves_nothing_behind),
        cmocka_unit_test(a_wake_that_crosses_the_end_of_its_session_is_harmless),
        cmocka_unit_test(a_drain_tells_the_idle_and_lets_the_running_end),
        cmocka_unit_test(random_messages_never_break_a_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
