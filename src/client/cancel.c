/* Cancel: a connection of its own that carries the session's key and gets no answer.
 *
 * The copy that vc_get_cancel makes holds all that is needed, so it may be used by any thread and
 * even after the connection was closed.  A server that does not answer costs the time that the
 * caller allows and no more: the socket never blocks, and one deadline holds for all that is
 * waited for. */
#include "client/client_int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    CANCEL_TIMEOUT_MS = 10000 /* Where the caller names none. */
};

struct vc_cancel {
    struct client_address address;
    struct wire_key key;
};

vc_cancel *vc_get_cancel(const vc_conn *conn)
{
    if (conn == NULL || conn->link != LINK_OPEN) {
        return NULL;
    }
    vc_cancel *cancel = mem_zalloc(MEM_GENERAL, sizeof(*cancel));
    if (cancel != NULL) {
        cancel->address = conn->addresses[conn->address];
        cancel->key = conn->key;
    }
    return cancel;
}

void vc_cancel_free(vc_cancel *cancel)
{
    mem_free(MEM_GENERAL, cancel);
}

/* Until @fd is ready for @events.  0, or an errno. */
static int await(int fd, short events, uint64_t deadline_us)
{
    for (;;) {
        uint64_t now_us = clock_micros();
        if (now_us >= deadline_us) {
            return ETIMEDOUT;
        }
        struct pollfd ready = {.fd = fd, .events = events};
        int n = poll(&ready, 1, (int)((deadline_us - now_us + 999) / 1000));
        if (n > 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return errno;
        }
    }
}

static int begin_connect(const vc_cancel *cancel, int fd, uint64_t deadline_us)
{
    int flags = fcntl(fd, F_GETFL), failure = 0;
    socklen_t bytes = sizeof(failure);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        return errno;
    }
    if (connect(fd, (const struct sockaddr *)&cancel->address.storage, cancel->address.bytes) ==
        0) {
        return 0;
    }
    if (errno != EINPROGRESS && errno != EINTR) {
        return errno; /* EAGAIN: the queue of a Unix socket is full. */
    }
    failure = await(fd, POLLOUT, deadline_us);
    if (failure == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &bytes) < 0) {
        failure = errno;
    }
    return failure;
}

/* Waits for the server to close: the cancel was then taken in.  0, or an errno. */
static int await_close(int fd, uint64_t deadline_us)
{
    for (;;) {
        char byte;
        int failure = await(fd, POLLIN, deadline_us);
        if (failure != 0) {
            return failure;
        }
        ssize_t n = recv(fd, &byte, 1, 0);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
            return 0;
        }
    }
}

static int send_frame(const vc_cancel *cancel, int fd, uint64_t deadline_us)
{
    struct buf frame;
    buf_init(&frame, MEM_NETWORK, WIRE_STARTUP_BYTES_MAX);
    wire_write_key(&frame, WIRE_CANCEL, &cancel->key);
    int failure = frame.failed ? ENOMEM : 0;
    size_t sent = 0;
    while (failure == 0 && sent < frame.bytes) {
        ssize_t n = send(fd, frame.data + sent, frame.bytes - sent, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN) {
            failure = await(fd, POLLOUT, deadline_us);
        } else if (errno != EINTR) {
            failure = errno;
        }
    }
    buf_fini(&frame);
    return failure;
}

bool vc_cancel_send(const vc_cancel *cancel, unsigned timeout_ms, char *error, size_t error_bytes)
{
    uint64_t wait_ms = timeout_ms == 0 ? CANCEL_TIMEOUT_MS : timeout_ms;
    uint64_t deadline_us = clock_micros() + wait_ms * 1000;
    int fd = socket(cancel->address.storage.ss_family, SOCK_STREAM, 0);
    int failure = fd < 0 ? errno : begin_connect(cancel, fd, deadline_us);
    failure = failure != 0 ? failure : send_frame(cancel, fd, deadline_us);
    const char *what = failure != 0 ? "could not send the cancel"
                                    : "the cancel was sent, but the server has not taken it";
    failure = failure != 0 ? failure : await_close(fd, deadline_us);
    if (fd >= 0) {
        close(fd);
    }
    if (failure != 0 && error_bytes > 0) {
        snprintf(error, error_bytes, "%s: %s", what, strerror(failure));
    }
    return failure == 0;
}
