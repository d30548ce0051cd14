/* See fake_server.h. */
#include "fake_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct fake {
    fake_script *script;
    struct thread thread;
    int listener, fd;
    char directory[64], path[96], conninfo[160];
    struct buf in, out;
    size_t in_at;
};

static void run(void *arg)
{
    struct fake *fake = arg;
    fake->script(fake);
    fake_hang_up(fake);
}

struct fake *fake_start(fake_script *script)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    CHECK(fake != NULL);
    fake->script = script;
    fake->fd = -1;
    snprintf(fake->directory, sizeof(fake->directory), "/tmp/fake_server.XXXXXX");
    CHECK(mkdtemp(fake->directory) != NULL);
    snprintf(fake->path, sizeof(fake->path), "%s/socket", fake->directory);
    snprintf(fake->conninfo, sizeof(fake->conninfo), "host=%s user=tester", fake->path);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, fake->path, strlen(fake->path) + 1);
    fake->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(fake->listener >= 0);
    CHECK(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(fake->listener, 8) == 0);
    buf_init(&fake->in, MEM_NETWORK, 64 << 20);
    buf_init(&fake->out, MEM_NETWORK, 64 << 20);
    struct err err;
    CHECK(thread_start(&fake->thread, "fake server", run, fake, &err) == ERR_OK);
    return fake;
}

void fake_stop(struct fake *fake)
{
    thread_join(&fake->thread);
    close(fake->listener);
    unlink(fake->path);
    rmdir(fake->directory);
    buf_fini(&fake->in);
    buf_fini(&fake->out);
    free(fake);
}

const char *fake_conninfo(const struct fake *fake)
{
    return fake->conninfo;
}

void fake_accept(struct fake *fake)
{
    fake_hang_up(fake);
    fake->fd = accept(fake->listener, NULL, NULL);
    CHECK(fake->fd >= 0);
    buf_reset(&fake->in);
    fake->in_at = 0;
}

/* False at the end of the stream. */
static bool next_frame(struct fake *fake, struct wire_frame *frame)
{
    for (;;) {
        size_t need;
        if (fake->in.bytes > fake->in_at &&
            wire_parse(fake->in.data + fake->in_at, fake->in.bytes - fake->in_at, 64 << 20, frame,
                       &need) == WIRE_FRAME) {
            fake->in_at += WIRE_HEADER_BYTES + (size_t)frame->payload_bytes;
            return true;
        }
        buf_discard(&fake->in, fake->in_at);
        fake->in_at = 0;
        uint8_t *room = buf_reserve(&fake->in, 65536);
        CHECK(room != NULL);
        ssize_t n = recv(fake->fd, room, 65536, 0);
        if (n <= 0) {
            return false;
        }
        buf_commit(&fake->in, (size_t)n);
    }
}

struct wire_frame fake_expect(struct fake *fake, enum wire_type type)
{
    struct wire_frame frame = {0};
    if (!next_frame(fake, &frame) || frame.type != type) {
        fprintf(stderr, "fake server: expected '%c', got '%c'\n", (char)type,
                frame.type == 0 ? '.' : frame.type);
        abort();
    }
    return frame;
}

struct wire_frame fake_expect_any(struct fake *fake)
{
    struct wire_frame frame = {.type = WIRE_TERMINATE};
    if (!next_frame(fake, &frame)) {
        frame.type = WIRE_TERMINATE;
    }
    return frame;
}

void fake_expect_end(struct fake *fake)
{
    struct wire_frame frame;
    if (next_frame(fake, &frame)) {
        CHECK(frame.type == WIRE_TERMINATE);
    }
}

struct buf *fake_out(struct fake *fake)
{
    return &fake->out;
}

void fake_send(struct fake *fake)
{
    CHECK(!fake->out.failed);
    size_t sent = 0;
    while (sent < fake->out.bytes) {
        ssize_t n = send(fake->fd, fake->out.data + sent, fake->out.bytes - sent, MSG_NOSIGNAL);
        if (n < 0) {
            CHECK(errno == EPIPE || errno == ECONNRESET);
            break;
        }
        sent += (size_t)n;
    }
    buf_reset(&fake->out);
}

void fake_greet(struct fake *fake)
{
    fake_accept(fake);
    fake_expect(fake, WIRE_STARTUP);
    size_t at = wire_begin(&fake->out, WIRE_AUTH);
    buf_u8(&fake->out, 0);
    wire_end(&fake->out, at);
    wire_write_status(&fake->out, "server_version", "9.9");
    struct wire_key key = {FAKE_SESSION, FAKE_SECRET};
    wire_write_key(&fake->out, WIRE_SESSION_KEY, &key);
    fake_send_ready(fake);
}

void fake_send_error(struct fake *fake, enum errcode code, const char *message)
{
    struct err err;
    err_set(&err, code, "%s", message);
    err_hint(&err, "a hint");
    err.position = 3;
    wire_write_error(&fake->out, WIRE_ERROR, "ERROR", &err);
    fake_send(fake);
}

void fake_send_ready(struct fake *fake)
{
    wire_write_empty(&fake->out, WIRE_READY);
    fake_send(fake);
}

void fake_hang_up(struct fake *fake)
{
    if (fake->fd >= 0) {
        close(fake->fd);
        fake->fd = -1;
    }
}
