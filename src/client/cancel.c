/* Cancel: a connection of its own that carries the session's key and gets no answer.
 *
 * The copy that vc_get_cancel makes holds all that is needed, so it may be used by any thread and
 * even after the connection was closed. */
#include "client/client_int.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    CANCEL_TIMEOUT_MS = 10000
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

/* Waits for the server to close: the cancel was then taken in.  0, or an errno. */
static int await_close(int fd)
{
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int n = poll(&ready, 1, CANCEL_TIMEOUT_MS);
        char byte;
        if (n == 0) {
            return ETIMEDOUT;
        }
        if (n > 0 && recv(fd, &byte, 1, 0) <= 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return errno;
        }
    }
}

static int send_frame(const vc_cancel *cancel, int fd)
{
    if (connect(fd, (const struct sockaddr *)&cancel->address.storage, cancel->address.bytes) !=
        0) {
        return errno;
    }
    struct buf frame;
    buf_init(&frame, MEM_NETWORK, WIRE_STARTUP_BYTES_MAX);
    wire_write_key(&frame, WIRE_CANCEL, &cancel->key);
    int failure = frame.failed ? ENOMEM : 0;
    size_t sent = 0;
    while (failure == 0 && sent < frame.bytes) {
        ssize_t n = send(fd, frame.data + sent, frame.bytes - sent, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno != EINTR) {
            failure = errno;
        }
    }
    buf_fini(&frame);
    return failure != 0 ? failure : await_close(fd);
}

bool vc_cancel_send(const vc_cancel *cancel, char *error, size_t error_bytes)
{
    int fd = socket(cancel->address.storage.ss_family, SOCK_STREAM, 0);
    int failure = fd < 0 ? errno : send_frame(cancel, fd);
    if (fd >= 0) {
        close(fd);
    }
    if (failure != 0 && error_bytes > 0) {
        snprintf(error, error_bytes, "could not send the cancel: %s", strerror(failure));
    }
    return failure == 0;
}
