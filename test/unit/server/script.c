/* The scripted client of the session's tests. */
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    INPUT_BYTES = 1 << 20,
    DEADLINE_S = 10
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

void site_open(struct site *site)
{
    struct err err;
    memset(site, 0, sizeof *site);
    atomic_init(&site->host.n_admitted_max, 100);
    site->net.host = &site->host;
    atomic_init(&site->host.db, (struct database *)site); /* The fake looks at it no further. */
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

void site_close(struct site *site)
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

int make_peer(struct peer *p)
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
    return fds[1];
}

void connect_peer(struct site *site, struct peer *p)
{
    session_accept(&site->net, make_peer(p));
}

void leave(struct peer *p)
{
    close(p->fd);
    free(p->in);
    buf_fini(&p->out);
}

void send_all(struct peer *p)
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

char next_frame(struct peer *p)
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
        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            return '.';
        }
        if (n < 0) {
            fail_msg("no answer came within the deadline");
        }
        p->in_bytes += (size_t)n;
    }
}

void expect(struct peer *p, const char *trace)
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

void assert_error(struct peer *p, enum errcode code, const char *wanted_severity, uint32_t position)
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

struct wire_str str(const char *text)
{
    return (struct wire_str){.data = text, .bytes = (uint32_t)strlen(text)};
}

void say_startup(struct peer *p, const char *name, const char *value)
{
    struct wire_startup m = {
        .magic = WIRE_MAGIC, .major = WIRE_VERSION_MAJOR, .minor = WIRE_VERSION_MINOR};
    if (name != NULL) {
        m.n_options = 1;
        m.options[0] = (struct wire_option){.name = str(name), .value = str(value)};
    }
    wire_write_startup(&p->out, &m);
}

void start(struct site *site, struct peer *p)
{
    struct reader r;
    connect_peer(site, p);
    say_startup(p, "progress", "on");
    expect(p, "RsK");
    reader_init(&r, p->last.payload, p->last.payload_bytes);
    assert_true(wire_read_key(&r, WIRE_SESSION_KEY, &p->key));
    expect(p, "Z");
}

void say(struct peer *p, const char *vql)
{
    wire_write_text(&p->out, WIRE_QUERY, vql, strlen(vql));
}

void say_parse(struct peer *p, const char *name, const char *vql)
{
    wire_write_parse(&p->out, &(struct wire_parse_message){.name = str(name), .text = str(vql)});
}

void say_bind(struct peer *p, const char *portal, const char *statement)
{
    wire_write_bind(&p->out, str(portal), str(statement), NULL, 0);
}

void say_execute(struct peer *p, const char *portal, uint32_t limit)
{
    wire_write_execute(&p->out, str(portal), limit);
}

void say_sync(struct peer *p)
{
    wire_write_empty(&p->out, WIRE_SYNC);
}

void say_all(struct peer *p, const char *vql, uint32_t limit)
{
    say_parse(p, "", vql);
    say_bind(p, "", "");
    say_execute(p, "", limit);
}

void say_data(struct peer *p, size_t bytes)
{
    size_t begun_at = wire_begin(&p->out, WIRE_COPY_DATA);
    for (size_t i = 0; i < bytes; i++) {
        buf_u8(&p->out, 'x');
    }
    wire_end(&p->out, begun_at);
}

uint64_t rows_of_complete(struct peer *p)
{
    struct reader r;
    struct wire_str tag;
    uint64_t n;
    reader_init(&r, p->last.payload, p->last.payload_bytes);
    assert_true(wire_read_complete(&r, &tag, &n));
    return n;
}
