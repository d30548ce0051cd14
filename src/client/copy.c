/* COPY: data in and out.
 *
 * In: what is put becomes COPY_DATA frames; binary rows are gathered until there is enough for
 * one.  After each the input is looked at, so that a server that has refused the data is noticed
 * early and not after the last gigabyte.  Out: each COPY_DATA is lent as it lies in the input. */
#include "client/client_int.h"

static bool check_copy_in(vc_conn *conn)
{
    if (conn->phase != PHASE_COPY_IN) {
        return conn->link == LINK_OPEN ? conn_error(conn, "no COPY in is running") : false;
    }
    if (conn->is_nonblocking && conn->out.bytes - conn->out_at > CLIENT_OUT_BYTES_MAX) {
        return conn_error(conn, "too much is waiting to be sent: call vc_flush first");
    }
    return true;
}

/* True while the server still wants data.  Where it has failed the COPY, its error waits to be
 * taken with vc_get_result. */
static bool still_wanted(vc_conn *conn)
{
    struct wire_frame frame;
    while (conn->phase == PHASE_COPY_IN && io_peek_frame(conn, &frame)) {
        if (receive_async(conn, &frame)) {
            io_next_frame(conn, &frame);
            continue;
        }
        phase_move(conn, PHASE_BUSY);
        receive_frames(conn);
    }
    if (conn->phase == PHASE_COPY_IN && conn->is_ended) {
        phase_move(conn, PHASE_BUSY);
        receive_frames(conn);
    }
    if (conn->phase == PHASE_COPY_IN) {
        return true;
    }
    if (conn->result != NULL && conn->result->state == VC_ERROR && conn->link == LINK_OPEN) {
        conn_error(conn, "%s", vc_result_error(conn->result));
    }
    return false;
}

static void write_data(vc_conn *conn, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    while (bytes > 0) {
        size_t piece = bytes < CLIENT_COPY_BYTES ? bytes : CLIENT_COPY_BYTES;
        size_t begun_at = wire_begin(&conn->out, WIRE_COPY_DATA);
        buf_bytes(&conn->out, at, piece);
        wire_end(&conn->out, begun_at);
        at += piece;
        bytes -= piece;
    }
}

/* Binary rows that wait become COPY_DATA. */
static bool write_rows(vc_conn *conn)
{
    CHECK(conn->phase == PHASE_COPY_IN);
    if (conn->copy_rows.failed) {
        return conn_broken(conn, "out of memory for the rows of a COPY");
    }
    write_data(conn, conn->copy_rows.data, conn->copy_rows.bytes);
    buf_reset(&conn->copy_rows);
    return true;
}

/* Sends when there is enough of it. */
static bool data_queued(vc_conn *conn)
{
    CHECK(conn->out_at <= conn->out.bytes);
    if (conn->out.failed) {
        return conn_broken(conn, "out of memory for what is to be sent");
    }
    if (conn->out.bytes - conn->out_at < CLIENT_FLUSH_BYTES) {
        return true;
    }
    if (conn->is_nonblocking) {
        io_send(conn);
    } else {
        io_flush(conn);
    }
    io_receive(conn);
    return still_wanted(conn);
}

bool vc_put_copy_data(vc_conn *conn, const void *data, size_t bytes)
{
    if (!check_copy_in(conn) || !write_rows(conn)) {
        return false;
    }
    write_data(conn, data, bytes);
    return data_queued(conn);
}

bool vc_put_copy_row(vc_conn *conn, const vc_value *values, size_t n)
{
    if (!check_copy_in(conn)) {
        return false;
    }
    if (n > CLIENT_COLUMNS_MAX) {
        return conn_error(conn, "a row of %zu values; at most %d", n, CLIENT_COLUMNS_MAX);
    }
    buf_u16(&conn->copy_rows, (uint16_t)n);
    for (size_t i = 0; i < n; i++) {
        struct value value = value_of_client(values[i]);
        value_write(&conn->copy_rows, &value);
    }
    if (conn->copy_rows.bytes < CLIENT_FLUSH_BYTES && !conn->copy_rows.failed) {
        return true;
    }
    return write_rows(conn) && data_queued(conn);
}

bool vc_put_copy_end(vc_conn *conn, const char *reason)
{
    if (!check_copy_in(conn)) {
        return false;
    }
    if (reason == NULL) {
        if (!write_rows(conn)) {
            return false;
        }
        wire_write_empty(&conn->out, WIRE_COPY_DONE);
    } else {
        buf_reset(&conn->copy_rows);
        struct wire_str text = {reason, 0};
        while (text.bytes < ERR_MESSAGE_BYTES && reason[text.bytes] != '\0') {
            text.bytes++;
        }
        wire_write_text(&conn->out, WIRE_COPY_FAIL, text.data, text.bytes);
    }
    phase_move(conn, PHASE_BUSY);
    return io_queued(conn);
}

ptrdiff_t vc_get_copy_data(vc_conn *conn, const void **data)
{
    *data = NULL;
    if (conn->phase != PHASE_COPY_OUT) {
        return -1;
    }
    for (;;) {
        struct wire_frame frame;
        while (io_peek_frame(conn, &frame)) {
            if (frame.type == WIRE_COPY_DATA) {
                io_next_frame(conn, &frame);
                if (frame.payload_bytes == 0) {
                    continue;
                }
                *data = frame.payload;
                return (ptrdiff_t)frame.payload_bytes;
            }
            if (receive_async(conn, &frame)) {
                io_next_frame(conn, &frame);
                continue;
            }
            bool is_done = frame.type == WIRE_COPY_DONE;
            if (is_done) {
                io_next_frame(conn, &frame);
            }
            phase_move(conn, PHASE_BUSY); /* Anything else is an error, or a fault: receive.c's. */
            receive_frames(conn);
            return is_done ? 0 : -1;
        }
        if (conn->is_ended || conn->link != LINK_OPEN) {
            if (conn->phase == PHASE_COPY_OUT) {
                phase_move(conn, PHASE_BUSY);
                receive_frames(conn);
            }
            return -1;
        }
        io_receive_some(conn);
    }
}
