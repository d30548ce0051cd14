/* What sim.h says. */
#include "sim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TURNS_TO_LEAVE_MAX = 100
};

static uint64_t now_us;

static uint64_t sim_now(void *arg)
{
    return *(uint64_t *)arg;
}

static void drained(void *arg)
{
    struct sim *sim = arg;
    sim->n_drained++;
}

size_t sim_memory_bytes(void)
{
    return mem_category_bytes(MEM_NETWORK) + mem_category_bytes(MEM_SESSION);
}

void sim_open(struct sim *sim)
{
    struct err err;
    int fds[2];
    memset(sim, 0, sizeof *sim);
    now_us = 1000000000;
    clock_replace(sim_now, &now_us);
    atomic_init(&sim->host.n_admitted_max, 10);
    atomic_init(&sim->host.db, (struct database *)sim); /* The fake looks at it no further. */
    sim->net.host = &sim->host;
    sim->net.limits = (struct session_limits){.frame_bytes_max = SIM_FRAME_MAX,
                                              .output_bytes_max = SIM_OUTPUT_MAX,
                                              .timeout_us = SIM_TIMEOUT_US};
    sim->net.drained = drained;
    sim->net.arg = sim;
    sim->net.loop = loop_new(&err);
    CHECK(sim->net.loop != NULL);
    buf_init(&sim->in, MEM_GENERAL, SIZE_MAX);
    buf_init(&sim->out, MEM_GENERAL, SIZE_MAX);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0);
    int small = SIM_OUTPUT_MAX;
    CHECK(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    sim->fd = fds[0];
    session_accept(&sim->net, fds[1]);
    sim_turn(sim, 1);
}

void sim_close(struct sim *sim)
{
    sim_read(sim);
    sim_leave(sim);
    for (unsigned i = 0; sim->net.sessions != NULL; i++) {
        CHECK(i < TURNS_TO_LEAVE_MAX);
        sim_pass(sim, SIM_TIMEOUT_US / 2);
        sim_turn(sim, 1);
    }
    sim_turn(sim, 4); /* A wake may be under way. */
    CHECK(fake_live() == 0);
    CHECK(atomic_load(&sim->host.n_admitted) == 0);
    CHECK(atomic_load(&sim->host.n_connections) == 0);
    CHECK(!sim->net.is_draining || sim->n_drained > 0);
    loop_free(sim->net.loop);
    buf_fini(&sim->in);
    buf_fini(&sim->out);
    clock_replace(NULL, NULL);
}

void sim_turn(struct sim *sim, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        loop_turn(sim->net.loop);
    }
}

void sim_pass(struct sim *sim, uint64_t micros)
{
    (void)sim;
    now_us += micros;
}

void sim_send(struct sim *sim, const void *data, size_t bytes)
{
    if (sim->fd != -1 && !sim->is_shut) {
        /* Where the server reads nothing the rest is lost: this client does not care. */
        ssize_t n = send(sim->fd, data, bytes, MSG_NOSIGNAL);
        CHECK(n >= 0 || errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
    }
}

void sim_flush(struct sim *sim)
{
    CHECK(!sim->out.failed);
    sim_send(sim, sim->out.data, sim->out.bytes);
    buf_reset(&sim->out);
}

static void judge_error(struct sim *sim, const struct wire_frame *frame)
{
    struct reader r;
    struct err err;
    struct wire_str severity, sqlstate;
    reader_init(&r, frame->payload, frame->payload_bytes);
    CHECK(wire_read_error(&r, &err, &severity, &sqlstate));
    CHECK(err.message[0] != '\0' && utf8_is_valid(err.message, strlen(err.message)));
    bool is_fatal = severity.bytes == 5 && memcmp(severity.data, "FATAL", 5) == 0;
    sim->n_fatal += is_fatal;
    sim->n_errors += !is_fatal;
    sim->last_error = err.code;
}

static void judge(struct sim *sim, const struct wire_frame *frame)
{
    const struct wire_row *row = wire_find(frame->type);
    CHECK(row != NULL && (row->from & FROM_SERVER) != 0);
    CHECK(sim->n_fatal == 0); /* Nothing comes behind it. */
    sim->n_frames++;
    sim->n_ready += frame->type == WIRE_READY;
    if (frame->type == WIRE_ERROR) {
        judge_error(sim, frame);
    }
}

void sim_read(struct sim *sim)
{
    static uint8_t piece[1 << 16];
    ssize_t n;
    while (sim->fd != -1 && (n = recv(sim->fd, piece, sizeof piece, 0)) > 0) {
        buf_bytes(&sim->in, piece, (size_t)n);
    }
    struct wire_frame frame;
    size_t at = 0, need_bytes;
    while (at < sim->in.bytes && wire_parse(sim->in.data + at, sim->in.bytes - at, SIZE_MAX, &frame,
                                            &need_bytes) == WIRE_FRAME) {
        judge(sim, &frame);
        at += need_bytes;
    }
    buf_discard(&sim->in, at);
}

void sim_shut(struct sim *sim)
{
    if (sim->fd != -1) {
        shutdown(sim->fd, SHUT_WR);
        sim->is_shut = true;
    }
}

void sim_leave(struct sim *sim)
{
    if (sim->fd != -1) {
        close(sim->fd);
        sim->fd = -1;
    }
}

void sim_startup(struct sim *sim)
{
    wire_write_startup(&sim->out, &(struct wire_startup){.magic = WIRE_MAGIC,
                                                         .major = WIRE_VERSION_MAJOR,
                                                         .minor = WIRE_VERSION_MINOR});
    sim_flush(sim);
    sim_turn(sim, 1);
}

struct session *sim_session(struct sim *sim)
{
    return sim->net.sessions;
}
