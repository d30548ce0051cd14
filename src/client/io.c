/* Bytes between the connection's buffers and its socket, and the one place that waits.
 *
 * While output is being sent input is read too, so that client and server never wait for each
 * other with both pipes full.  Input that was read and not yet understood stays in conn->in, from
 * in_at on; frames handed out borrow from it until the next read. */
#include "client/client_int.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

bool io_wait(vc_conn *conn, int what, uint64_t deadline_us)
{
    CHECK((what & ~(IO_READ | IO_WRITE)) == 0 && what != 0);
    CHECK(conn->fd >= 0); /* poll would wait for none for ever. */
    struct pollfd ready = {
        .fd = conn->fd,
        .events =
            (short)(((what & IO_READ) != 0 ? POLLIN : 0) | ((what & IO_WRITE) != 0 ? POLLOUT : 0)),
    };
    for (;;) {
        int timeout_ms = -1;
        if (deadline_us != 0) {
            uint64_t now = clock_micros();
            uint64_t left_ms = now >= deadline_us ? 0 : (deadline_us - now + 999) / 1000;
            timeout_ms = left_ms > INT_MAX ? INT_MAX : (int)left_ms;
        }
        int n = poll(&ready, 1, timeout_ms);
        if (n > 0) {
            return true;
        }
        if (n == 0) {
            return false;
        }
        if (errno != EINTR) {
            return true; /* The call that was waited for will say what is wrong. */
        }
    }
}

bool io_send(vc_conn *conn)
{
    CHECK(conn->out_at <= conn->out.bytes);
    while (!conn->is_ended && conn->out_at < conn->out.bytes) {
        ssize_t n = send(conn->fd, conn->out.data + conn->out_at, conn->out.bytes - conn->out_at,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            conn->out_at += (size_t)n;
            conn->n_sent += (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return false;
        } else if (errno != EINTR) {
            int failure = errno;
            io_receive(conn); /* The server may have told why before it closed. */
            conn->is_ended = true;
            conn->ended_errno = failure;
        }
    }
    buf_reset(&conn->out);
    conn->out_at = 0;
    return true;
}

/* The frame at the front of the input. */
static enum wire_status first_frame(const vc_conn *conn, struct wire_frame *frame, size_t *need)
{
    CHECK(conn->in_at <= conn->in.bytes);
    if (conn->in_at == conn->in.bytes) {
        *need = 0; /* Perhaps there is not even memory for it yet. */
        return WIRE_NEED_MORE;
    }
    return wire_parse(conn->in.data + conn->in_at, conn->in.bytes - conn->in_at,
                      WIRE_FRAME_BYTES_MAX, frame, need);
}

/* Makes room in the input; what was understood is dropped first. */
static uint8_t *input_room(vc_conn *conn, size_t *bytes)
{
    CHECK(conn->in_at <= conn->in.bytes);
    if (conn->in_at == conn->in.bytes) {
        buf_reset(&conn->in);
        conn->in_at = 0;
    }
    struct wire_frame frame;
    size_t have = conn->in.bytes - conn->in_at, need;
    *bytes = CLIENT_READ_BYTES;
    if (first_frame(conn, &frame, &need) == WIRE_NEED_MORE && need > have + *bytes) {
        *bytes = need - have;
    }
    if (conn->in.capacity_bytes - conn->in.bytes < *bytes && conn->in_at > 0) {
        buf_discard(&conn->in, conn->in_at);
        conn->in_at = 0;
    }
    return buf_reserve(&conn->in, *bytes);
}

/* One read with @flags; false where nothing has come. */
static bool receive_once(vc_conn *conn, int flags)
{
    CHECK(conn->fd >= 0 && !conn->is_ended);
    size_t bytes;
    uint8_t *room = input_room(conn, &bytes);
    if (room == NULL) {
        conn_broken(conn, "out of memory for what the server sent");
        return true;
    }
    ssize_t n;
    do {
        n = recv(conn->fd, room, bytes, flags);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        buf_commit(&conn->in, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
        conn->is_ended = true;
        conn->ended_errno = n == 0 ? 0 : errno;
    }
    return n >= 0 || conn->is_ended;
}

/* Waits until something comes; first awake, as long as busy_poll says. */
static void receive_next(vc_conn *conn)
{
    uint64_t poll_us = conn->info.busy_poll_us,
             until_us = poll_us == 0 ? 0 : clock_micros() + poll_us;
    while (poll_us > 0 && clock_micros() < until_us) {
        if (receive_once(conn, MSG_DONTWAIT)) {
            return;
        }
        thread_yield(); /* The server may be waiting for this very core. */
    }
    (void)receive_once(conn, 0); /* An open connection's socket blocks: one call a wait. */
}

void io_receive(vc_conn *conn)
{
    if (conn->link != LINK_BAD && !conn->is_ended) {
        (void)receive_once(conn, MSG_DONTWAIT);
    }
}

void io_flush(vc_conn *conn)
{
    while (conn->link != LINK_BAD && !io_send(conn)) {
        io_wait(conn, IO_READ | IO_WRITE, 0);
        io_receive(conn);
    }
}

void io_receive_some(vc_conn *conn)
{
    if (conn->link == LINK_BAD || conn->is_ended) {
        return;
    }
    if (io_send(conn)) {
        if (!conn->is_ended) {
            receive_next(conn);
        }
        return;
    }
    io_wait(conn, IO_READ | IO_WRITE, 0);
    io_receive(conn);
}

bool io_peek_frame(vc_conn *conn, struct wire_frame *out)
{
    size_t need;
    enum wire_status status = first_frame(conn, out, &need);
    if (status == WIRE_TOO_LARGE) {
        conn_broken(conn, "the server sent a message of %zu bytes; at most %d are understood", need,
                    WIRE_FRAME_BYTES_MAX);
    }
    return status == WIRE_FRAME;
}

bool io_has_frame(const vc_conn *conn)
{
    struct wire_frame frame;
    size_t need;
    return first_frame(conn, &frame, &need) == WIRE_FRAME;
}

bool io_next_frame(vc_conn *conn, struct wire_frame *out)
{
    if (!io_peek_frame(conn, out)) {
        return false;
    }
    conn->in_at += WIRE_HEADER_BYTES + (size_t)out->payload_bytes;
    CHECK_HOT(conn->in_at <= conn->in.bytes);
    return true;
}

size_t vc_unsent(const vc_conn *conn)
{
    return conn->out.bytes - conn->out_at;
}

bool io_queued(vc_conn *conn)
{
    if (conn->link == LINK_BAD) {
        return false;
    }
    if (conn->out.failed) {
        return conn_broken(conn, "out of memory for what is to be sent");
    }
    bool is_small = vc_unsent(conn) < CLIENT_FLUSH_BYTES;
    if (conn->is_nonblocking) {
        io_send(conn);
    } else if (!conn->is_pipeline || !is_small) {
        io_flush(conn);
    }
    return conn->link != LINK_BAD;
}
