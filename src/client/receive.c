/* Frames become results, for the statement at the head of the queue.
 *
 * receive_frames works until something waits for the caller: a whole result, or the NULL that ends
 * a statement.  It never waits itself.  A frame that the head does not expect is the server's
 * fault, and ends the connection. */
#include "client/client_int.h"

#include <stdio.h>
#include <string.h>

void receive_give(vc_conn *conn, vc_result *result, enum phase after)
{
    if (result == NULL) {
        conn_broken(conn, "out of memory for a result");
        return;
    }
    CHECK(conn->result == NULL); /* It would be lost. */
    CHECK(after == PHASE_BUSY || after == PHASE_END || after == PHASE_IDLE ||
          after == PHASE_COPY_IN || after == PHASE_COPY_OUT);
    conn->result = result;
    conn->after_result = after;
    phase_move(conn, PHASE_RESULT);
}

/* Bytes that are not the message they claim to be. */
static void malformed(vc_conn *conn, uint8_t type)
{
    const struct wire_row *row = wire_find(type);
    conn_broken(conn, "the server's %s message is malformed or came out of turn",
                row == NULL ? "unknown" : row->name);
}

/* ---- frames that may come at any time ---- */

static void take_notice(vc_conn *conn, struct reader *r)
{
    vc_result *notice = result_new(VC_NOTICE);
    if (notice == NULL || !result_read_error(notice, r)) {
        malformed(conn, WIRE_NOTICE);
    } else if (conn->notice_fn != NULL) {
        conn->notice_fn(conn->notice_arg, notice);
    }
    vc_result_free(notice);
}

static void take_progress(vc_conn *conn, struct reader *r)
{
    struct wire_str phase;
    uint64_t done, total;
    if (!wire_read_progress(r, &phase, &done, &total)) {
        malformed(conn, WIRE_PROGRESS);
    } else if (conn->progress_fn != NULL) {
        char text[128];
        snprintf(text, sizeof(text), "%.*s", (int)(phase.bytes < 127 ? phase.bytes : 127),
                 phase.data);
        conn->progress_fn(conn->progress_arg, text, done, total);
    }
}

static void add_status(vc_conn *conn, struct wire_str name, struct wire_str value)
{
    char *copy = mem_strndup(MEM_GENERAL, value.data, value.bytes);
    if (copy == NULL) {
        conn_broken(conn, "out of memory");
        return;
    }
    for (size_t i = 0; i < conn->n_statuses; i++) {
        struct conn_status_pair *pair = &conn->statuses[i];
        if (strlen(pair->name) == name.bytes && memcmp(pair->name, name.data, name.bytes) == 0) {
            mem_free(MEM_GENERAL, pair->value);
            pair->value = copy;
            return;
        }
    }
    char *copy_of_name = conn->n_statuses == CLIENT_STATUS_MAX
                             ? NULL
                             : mem_strndup(MEM_GENERAL, name.data, name.bytes);
    if (copy_of_name == NULL) {
        mem_free(MEM_GENERAL, copy);
        conn_broken(conn, conn->n_statuses == CLIENT_STATUS_MAX
                              ? "the server reports too many parameters"
                              : "out of memory");
        return;
    }
    conn->statuses[conn->n_statuses++] = (struct conn_status_pair){copy_of_name, copy};
}

bool receive_async(vc_conn *conn, const struct wire_frame *frame)
{
    struct reader r;
    reader_init(&r, frame->payload, frame->payload_bytes);
    struct wire_str name, value;
    switch (frame->type) {
    case WIRE_NOTICE:
        take_notice(conn, &r);
        return true;
    case WIRE_PROGRESS:
        take_progress(conn, &r);
        return true;
    case WIRE_PARAMETER_STATUS:
        if (wire_read_status(&r, &name, &value)) {
            add_status(conn, name, value);
        } else {
            malformed(conn, WIRE_PARAMETER_STATUS);
        }
        return true;
    default:
        return false;
    }
}

/* ---- answers to the head ---- */

/* The result being built, or a new one. */
static vc_result *take_building(vc_conn *conn, vc_result_status state)
{
    vc_result *result = conn->building;
    conn->building = NULL;
    return result != NULL ? result : result_new(state);
}

/* Gives the last result of the head, or one of several of a QUERY. */
static void give_last(vc_conn *conn, vc_result *result)
{
    struct command *head = conn->head;
    if (head->owes_sync) {
        head->owes_sync = false;
        wire_write_empty(&conn->out, WIRE_SYNC);
        io_send(conn);
    }
    receive_give(conn, result, head->ends_at_ready ? PHASE_BUSY : PHASE_END);
}

static void take_complete(vc_conn *conn, struct reader *r)
{
    struct wire_str tag;
    uint64_t rows;
    vc_result *result = take_building(conn, VC_COMMAND);
    if (!wire_read_complete(r, &tag, &rows) ||
        (conn->head->kind != COMMAND_QUERY && conn->head->kind != COMMAND_EXECUTE)) {
        vc_result_free(result);
        malformed(conn, WIRE_COMMAND_COMPLETE);
        return;
    }
    if (result != NULL && !result_set_tag(result, tag.data, tag.bytes, rows)) {
        vc_result_free(result);
        result = NULL;
    }
    give_last(conn, result);
}

static void take_error(vc_conn *conn, struct reader *r)
{
    vc_result_free(conn->building);
    conn->building = NULL;
    vc_result *result = result_new(VC_ERROR);
    if (result != NULL && !result_read_error(result, r)) {
        vc_result_free(result);
        malformed(conn, WIRE_ERROR);
        return;
    }
    conn->is_aborted = conn->is_pipeline;
    give_last(conn, result);
}

static void take_columns(vc_conn *conn, struct reader *r)
{
    vc_result *result = conn->building;
    if (result == NULL) {
        result = result_new(conn->head->kind == COMMAND_DESCRIBE ? VC_COMMAND : VC_ROWS);
        conn->building = result;
    }
    if (result == NULL || result->n_columns != 0 || !result_read_columns(result, r)) {
        malformed(conn, WIRE_ROW_DESCRIPTION);
        return;
    }
    if (conn->head->kind == COMMAND_DESCRIBE) {
        give_last(conn, take_building(conn, VC_COMMAND));
    }
}

static void take_row(vc_conn *conn, struct reader *r)
{
    vc_result *building = conn->building;
    if (building == NULL || building->state != VC_ROWS) {
        malformed(conn, WIRE_ROW);
        return;
    }
    if (!conn->head->is_single_row) {
        if (!result_read_row(building, r)) {
            malformed(conn, WIRE_ROW);
        }
        return;
    }
    vc_result *row = result_new(VC_SINGLE_ROW);
    if (row == NULL || !result_copy_columns(row, building) || !result_read_row(row, r)) {
        vc_result_free(row);
        malformed(conn, WIRE_ROW);
        return;
    }
    receive_give(conn, row, PHASE_BUSY);
}

static void take_parameters(vc_conn *conn, struct reader *r)
{
    if (conn->head->kind != COMMAND_DESCRIBE || conn->building != NULL) {
        malformed(conn, WIRE_PARAMETERS);
        return;
    }
    conn->building = result_new(VC_COMMAND);
    if (conn->building == NULL || !result_read_parameters(conn->building, r)) {
        malformed(conn, WIRE_PARAMETERS);
    }
}

static void take_copy(vc_conn *conn, const struct wire_frame *frame, struct reader *r)
{
    uint8_t format;
    const uint8_t *types;
    uint16_t n;
    if (!wire_read_copy(r, &format, &types, &n) ||
        (conn->head->kind != COMMAND_QUERY && conn->head->kind != COMMAND_EXECUTE)) {
        malformed(conn, frame->type);
        return;
    }
    bool is_in = frame->type == WIRE_COPY_IN;
    if (is_in && conn->head->ends_at_ready && conn->head->kind == COMMAND_EXECUTE) {
        conn->head->owes_sync = true; /* The server overlooks one that comes amid the data. */
    }
    vc_result_free(conn->building);
    conn->building = NULL;
    vc_result *result = result_new(is_in ? VC_COPY_IN : VC_COPY_OUT);
    if (result != NULL) {
        result->copy_format = format;
        buf_reset(&conn->copy_rows);
        result->n_parameters = n;
        result->parameters = arena_copy(result->arena, types, n);
    }
    receive_give(conn, result, is_in ? PHASE_COPY_IN : PHASE_COPY_OUT);
}

/* PARSE_COMPLETE, BIND_COMPLETE, CLOSE_COMPLETE, NO_DATA */
static void take_step(vc_conn *conn, uint8_t type)
{
    enum command_kind kind = conn->head->kind;
    const char *tag = NULL;
    if (kind == COMMAND_PREPARE && type == WIRE_PARSE_COMPLETE) {
        tag = "PREPARE";
    } else if (kind == COMMAND_CLOSE && type == WIRE_CLOSE_COMPLETE) {
        tag = "CLOSE";
    } else if (kind == COMMAND_DESCRIBE && type == WIRE_NO_DATA) {
        tag = "DESCRIBE";
    } else if (kind != COMMAND_EXECUTE || type == WIRE_CLOSE_COMPLETE) {
        malformed(conn, type);
        return;
    }
    if (tag == NULL) {
        return;
    }
    vc_result *result = take_building(conn, VC_COMMAND);
    if (result != NULL && !result_set_tag(result, tag, strlen(tag), 0)) {
        vc_result_free(result);
        result = NULL;
    }
    give_last(conn, result);
}

static void take_ready(vc_conn *conn)
{
    struct command *head = conn->head;
    if (head->kind == COMMAND_SYNC) {
        conn->is_aborted = false;
        receive_give(conn, result_new(VC_PIPELINE_SYNC), PHASE_IDLE); /* No NULL behind it. */
    } else if (head->ends_at_ready && !head->owes_sync) {
        phase_move(conn, PHASE_END);
    } else {
        malformed(conn, WIRE_READY);
    }
}

/* The row limit of a fetch was reached: ask for the next rows. */
static void take_suspended(vc_conn *conn)
{
    struct command *head = conn->head;
    if (head->kind != COMMAND_EXECUTE || head->fetch_rows == 0) {
        malformed(conn, WIRE_PORTAL_SUSPENDED);
        return;
    }
    wire_write_execute(&conn->out, (struct wire_str){"", 0}, head->fetch_rows);
    wire_write_empty(&conn->out, WIRE_FLUSH);
    io_send(conn);
}

static void take_answer(vc_conn *conn, const struct wire_frame *frame)
{
    struct reader r;
    reader_init(&r, frame->payload, frame->payload_bytes);
    switch (frame->type) {
    case WIRE_ROW:
        take_row(conn, &r);
        return;
    case WIRE_ROW_DESCRIPTION:
        take_columns(conn, &r);
        return;
    case WIRE_COMMAND_COMPLETE:
        take_complete(conn, &r);
        return;
    case WIRE_ERROR:
        take_error(conn, &r);
        return;
    case WIRE_READY:
        take_ready(conn);
        return;
    case WIRE_PARSE_COMPLETE:
    case WIRE_BIND_COMPLETE:
    case WIRE_CLOSE_COMPLETE:
    case WIRE_NO_DATA:
        take_step(conn, frame->type);
        return;
    case WIRE_PARAMETERS:
        take_parameters(conn, &r);
        return;
    case WIRE_PORTAL_SUSPENDED:
        take_suspended(conn);
        return;
    case WIRE_EMPTY_QUERY:
        give_last(conn, take_building(conn, VC_EMPTY));
        return;
    case WIRE_COPY_IN:
    case WIRE_COPY_OUT:
        take_copy(conn, frame, &r);
        return;
    default:
        malformed(conn, frame->type);
    }
}

/* A frame while nothing was asked: only a farewell makes sense. */
static void take_unasked(vc_conn *conn, const struct wire_frame *frame)
{
    struct reader r;
    reader_init(&r, frame->payload, frame->payload_bytes);
    vc_result *result = result_new(VC_ERROR);
    if (frame->type == WIRE_ERROR && result != NULL && result_read_error(result, &r)) {
        conn_broken(conn, "%s", vc_result_error(result));
    } else {
        malformed(conn, frame->type);
    }
    vc_result_free(result);
}

static void end_of_input(vc_conn *conn)
{
    if (conn->ended_errno != 0) {
        conn_broken(conn, "the connection to the server broke: %s", strerror(conn->ended_errno));
    } else {
        conn_broken(conn, "the server closed the connection unexpectedly");
    }
}

void receive_frames(vc_conn *conn)
{
    struct wire_frame frame;
    while (conn->link == LINK_OPEN && (conn->phase == PHASE_BUSY || conn->phase == PHASE_IDLE)) {
        CHECK_HOT((conn->phase == PHASE_BUSY) == (conn->head != NULL));
        if (conn->phase == PHASE_BUSY && conn->is_aborted && conn->head->kind != COMMAND_SYNC) {
            /* The server skips it and says nothing. */
            receive_give(conn, result_new(VC_PIPELINE_ABORTED), PHASE_END);
        } else if (!io_next_frame(conn, &frame)) {
            if (conn->is_ended) {
                end_of_input(conn);
            }
            return;
        } else if (receive_async(conn, &frame)) {
            continue;
        } else if (conn->phase == PHASE_IDLE) {
            take_unasked(conn, &frame);
        } else {
            take_answer(conn, &frame);
        }
    }
}

/* ---- what the caller asks ---- */

/* The result that waits, or NULL; moves on to what comes after it. */
static vc_result *take_result(vc_conn *conn)
{
    vc_result *result = conn->result;
    CHECK(result != NULL);
    conn->result = NULL;
    if (result->state == VC_ERROR && conn->link != LINK_BAD) {
        conn_error(conn, "%s", vc_result_error(result));
    }
    if (result->state == VC_PIPELINE_SYNC) {
        pipeline_next(conn);
    } else {
        phase_move(conn, conn->after_result);
    }
    return result;
}

vc_result *vc_get_result(vc_conn *conn)
{
    for (;;) {
        receive_frames(conn);
        switch (conn->phase) {
        case PHASE_RESULT: {
            vc_result *result = take_result(conn);
            receive_frames(conn); /* So that vc_is_busy knows of what has arrived already. */
            return result;
        }
        case PHASE_END:
            pipeline_next(conn);
            receive_frames(conn);
            return NULL;
        case PHASE_IDLE:
            return NULL;
        case PHASE_COPY_IN:
        case PHASE_COPY_OUT: /* The caller is to move data first; tell it again. */
            return result_new(conn->phase == PHASE_COPY_IN ? VC_COPY_IN : VC_COPY_OUT);
        case PHASE_BUSY:
            io_receive_some(conn);
            break;
        case PHASE_COUNT:
            CHECK(false); /* Not a phase. */
        }
    }
}

bool vc_set_nonblocking(vc_conn *conn, bool on)
{
    conn->is_nonblocking = on;
    return conn->link == LINK_OPEN;
}

bool vc_consume(vc_conn *conn)
{
    if (conn->link != LINK_OPEN) {
        return false;
    }
    io_receive(conn);
    receive_frames(conn);
    return conn->link == LINK_OPEN;
}

bool vc_is_busy(const vc_conn *conn)
{
    if (conn->phase == PHASE_COPY_OUT) {
        return conn->link == LINK_OPEN && !conn->is_ended && !io_has_frame(conn);
    }
    return conn->phase == PHASE_BUSY;
}

int vc_flush(vc_conn *conn)
{
    if (conn->link != LINK_OPEN) {
        return -1;
    }
    return io_send(conn) ? 0 : 1;
}

void vc_on_notice(vc_conn *conn, vc_notice_fn *fn, void *arg)
{
    conn->notice_fn = fn;
    conn->notice_arg = arg;
}

void vc_on_progress(vc_conn *conn, vc_progress_fn *fn, void *arg)
{
    conn->progress_fn = fn;
    conn->progress_arg = arg;
}
