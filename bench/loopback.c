/* What a question and its answer cost over TCP where nothing is done between: the floor under each
 * statement of a client on this machine.
 *
 *   make bench/loopback
 *   bench/loopback ASK_BYTES ANSWER_BYTES WORK_US SECONDS [POLL_US [ASK_POLL_US]]
 *
 * Two processes, one connection of 127.0.0.1.  One writes ASK_BYTES and reads until ANSWER_BYTES
 * have come, as a client does.  The other waits in epoll_wait, reads once, computes for WORK_US,
 * and writes once, as a server does; with POLL_US it asks the kernel again and again for so long
 * before it sleeps, with ASK_POLL_US the one that asks does so, too.  Printed is what the client
 * sees without WORK_US: mean, median and 99th percentile, in microseconds.  Most of it is the
 * waking of a thread that sleeps, which depends on how long it slept: hence WORK_US. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

enum {
    BYTES_MAX = 64 << 10,
    TIMES_MAX = 1 << 20,
    WARM_UP = 1000, /* Round trips that do not count. */
};

struct options {
    size_t ask_bytes, answer_bytes;
    uint64_t work_ns, poll_ns, ask_poll_ns, duration_ns;
};

static uint8_t buffer[BYTES_MAX];

/* ---- the answering side ---- */

static void compute(uint64_t ns)
{
    for (uint64_t until_ns = clock_nanos() + ns; clock_nanos() < until_ns;) {
        /* The clock is read without a system call. */
    }
}

static void wait_for_input(int epoll, uint64_t poll_ns)
{
    struct epoll_event event;
    uint64_t until_ns = poll_ns == 0 ? 0 : clock_nanos() + poll_ns;
    while (poll_ns > 0 && clock_nanos() < until_ns) {
        if (epoll_wait(epoll, &event, 1, 0) == 1) {
            return;
        }
    }
    CHECK(epoll_wait(epoll, &event, 1, -1) == 1);
}

/* Until the other side closes. */
static void answer(int fd, const struct options *o)
{
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(epoll != -1 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    for (size_t have = 0;;) {
        wait_for_input(epoll, o->poll_ns);
        ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n <= 0) {
            return;
        }
        have += (size_t)n;
        if (have >= o->ask_bytes) {
            have -= o->ask_bytes;
            compute(o->work_ns);
            CHECK(send(fd, buffer, o->answer_bytes, MSG_NOSIGNAL) == (ssize_t)o->answer_bytes);
        }
    }
}

/* ---- the asking side ---- */

static ssize_t wait_for_answer(int fd, uint64_t poll_ns)
{
    uint64_t until_ns = poll_ns == 0 ? 0 : clock_nanos() + poll_ns;
    while (poll_ns > 0 && clock_nanos() < until_ns) {
        ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n > 0) {
            return n;
        }
    }
    return recv(fd, buffer, sizeof buffer, 0);
}

static uint64_t ask(int fd, const struct options *o)
{
    uint64_t begun_ns = clock_nanos();
    CHECK(send(fd, buffer, o->ask_bytes, MSG_NOSIGNAL) == (ssize_t)o->ask_bytes);
    for (size_t have = 0; have < o->answer_bytes;) {
        ssize_t n = wait_for_answer(fd, o->ask_poll_ns);
        CHECK(n > 0);
        have += (size_t)n;
    }
    uint64_t took_ns = clock_nanos() - begun_ns;
    return took_ns > o->work_ns ? took_ns - o->work_ns : 0;
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure(int fd, const struct options *o)
{
    uint64_t *times = mem_alloc(MEM_GENERAL, TIMES_MAX * sizeof(*times)), sum_ns = 0;
    size_t n = 0;
    CHECK(times != NULL);
    for (int i = 0; i < WARM_UP; i++) {
        (void)ask(fd, o);
    }
    for (uint64_t end_ns = clock_nanos() + o->duration_ns; n == 0 || clock_nanos() < end_ns;) {
        times[n] = ask(fd, o);
        sum_ns += times[n];
        if (++n == TIMES_MAX) {
            break;
        }
    }
    qsort(times, n, sizeof(*times), by_time);
    uint64_t middle = times[n / 2], late = times[n - 1 - n / 100];
    printf("mean %.1f us  p50 %.1f us  p99 %.1f us\n", (double)sum_ns / 1e3 / (double)n,
           (double)middle / 1e3, (double)late / 1e3);
    mem_free(MEM_GENERAL, times);
}

/* ---- both ---- */

static int connect_to(int listener)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    CHECK(fd != -1 && getsockname(listener, (struct sockaddr *)&address, &bytes) == 0);
    CHECK(connect(fd, (struct sockaddr *)&address, bytes) == 0);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    return fd;
}

static int accept_from(int listener)
{
    int fd = accept(listener, NULL, NULL), on = 1;
    CHECK(fd != -1 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    return fd;
}

static int listen_here(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(listener != -1 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(listener, 1) == 0);
    return listener;
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc > 7) {
        fputs("loopback ASK_BYTES ANSWER_BYTES WORK_US SECONDS [POLL_US [ASK_POLL_US]]\n", stderr);
        return 2;
    }
    struct options o = {
        .ask_bytes = strtoul(argv[1], NULL, 10),
        .answer_bytes = strtoul(argv[2], NULL, 10),
        .work_ns = (uint64_t)(strtod(argv[3], NULL) * 1e3),
        .duration_ns = (uint64_t)(strtod(argv[4], NULL) * 1e9),
        .poll_ns = argc > 5 ? (uint64_t)(strtod(argv[5], NULL) * 1e3) : 0,
        .ask_poll_ns = argc > 6 ? (uint64_t)(strtod(argv[6], NULL) * 1e3) : 0,
    };
    CHECK(o.ask_bytes > 0 && o.ask_bytes <= BYTES_MAX && o.answer_bytes > 0 &&
          o.answer_bytes <= BYTES_MAX);
    int listener = listen_here();
    pid_t child = fork();
    CHECK(child != -1);
    if (child == 0) {
        answer(accept_from(listener), &o);
        return 0;
    }
    int fd = connect_to(listener);
    measure(fd, &o);
    close(fd);
    CHECK(waitpid(child, NULL, 0) == child);
    return 0;
}
