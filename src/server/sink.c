/* Where the results of a session's portals go: frames in its connection's output. */
#include <string.h>

#include "server/server_int.h"

enum {
    FLUSH_AT_BYTES = 64 << 10, /* Rows leave in pieces of about this. */
};

static struct buf *output_of(struct session *s)
{
    return s->landing != NULL ? s->landing : session_output(s);
}

/* Takes back a frame that did not fit, so that the statement can fail and the connection live. */
static void take_back(struct session *s, size_t begun_at)
{
    CHECK_HOT(begun_at <= output_of(s)->bytes);
    struct buf *b = output_of(s);
    if (b->failed) {
        s->is_sink_failed = true;
        if (b->is_full) {
            err_set(&s->sink_err, ERR_OUT_OF_MEMORY, "a row of the result is too long to be sent");
            err_hint(&s->sink_err, "Ask for fewer or shorter columns, or raise output_max.");
            err_policy(&s->sink_err, "output_max");
        } else {
            (void)err_no_memory(&s->sink_err);
        }
        b->bytes = begun_at;
        buf_forgive(b);
    }
}

static void flush_pieces(struct session *s)
{
    if (output_of(s) == conn_output(s->conn) && conn_output_bytes(s->conn) >= FLUSH_AT_BYTES) {
        conn_flush(s->conn);
    }
}

void sink_columns(struct session *s, size_t n, const struct result_column *columns)
{
    CHECK(n == 0 || columns != NULL);
    if (n == 0) {
        wire_write_empty(session_output(s), WIRE_NO_DATA);
        return;
    }
    CHECK(n <= UINT16_MAX);
    struct buf *b = session_output(s);
    size_t begun_at = wire_begin_columns(b, (uint16_t)n);
    for (size_t i = 0; i < n; i++) {
        struct wire_column column = {
            .name = {.data = columns[i].name, .bytes = (uint32_t)strlen(columns[i].name)},
            .type = (uint8_t)columns[i].type,
            .dim = columns[i].dim,
        };
        wire_write_column(b, &column);
    }
    wire_end(b, begun_at);
}

static void sink_row(void *arg, const struct value *values, size_t n)
{
    struct session *s = arg;
    CHECK(n <= UINT16_MAX);
    size_t begun_at = output_of(s)->bytes;
    wire_write_row(output_of(s), values, (uint16_t)n);
    take_back(s, begun_at);
    s->n_given++;
    flush_pieces(s);
}

static void sink_copy_data(void *arg, const void *data, size_t bytes)
{
    struct session *s = arg;
    CHECK(s->landing == NULL && bytes > 0);
    struct buf *b = conn_output(s->conn);
    size_t begun_at = wire_begin(b, WIRE_COPY_DATA);
    buf_bytes(b, data, bytes);
    wire_end(b, begun_at);
    take_back(s, begun_at);
    flush_pieces(s);
}

static bool sink_is_full(void *arg)
{
    struct session *s = arg;
    const struct buf *b = output_of(s);
    bool is_over = b == conn_output(s->conn) ? conn_is_over(s->conn) : flight_is_full(b);
    return s->is_sink_failed || is_over;
}

static void sink_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    struct session *s = arg;
    if (s->wants_progress && s->landing == NULL && !conn_is_over(s->conn)) {
        wire_write_progress(conn_output(s->conn), phase, done, total);
        conn_flush(s->conn);
    }
}

static void sink_notice(void *arg, const struct err *notice)
{
    CHECK(notice->code != ERR_OK);
    struct session *s = arg;
    wire_write_error(output_of(s), WIRE_NOTICE, "NOTICE", notice);
}

static void sink_status(void *arg, const char *name, const char *value)
{
    CHECK(name != NULL && value != NULL);
    struct session *s = arg;
    wire_write_status(conn_output(s->conn), name, value);
}

void sink_init(struct session *s, void (*wake)(void *arg))
{
    CHECK(wake != NULL);
    s->sink = (struct portal_sink){
        .row = sink_row,
        .is_full = sink_is_full,
        .copy_data = sink_copy_data,
        .progress = sink_progress,
        .notice = sink_notice,
        .status = sink_status,
        .wake = wake,
        .arg = s,
    };
}
