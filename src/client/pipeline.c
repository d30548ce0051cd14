/* Statements in flight, and pipeline mode.
 *
 * Each statement that was sent waits in a queue; the answers come in the order of the queue.
 * Outside of a pipeline there is at most one.  In a pipeline an error aborts what follows it up to
 * the next sync (PostgreSQL's rule): the server skips those, so they are answered here. */
#include "client/client_int.h"

struct command *command_push(vc_conn *conn, enum command_kind kind)
{
    if (conn->link != LINK_OPEN) {
        if (conn->error[0] == '\0') {
            conn_error(conn, "there is no connection to the server");
        }
        return NULL;
    }
    if (!conn->is_pipeline && conn->phase != PHASE_IDLE) {
        conn_error(conn, "another statement is running: take its results first");
        return NULL;
    }
    if (conn->phase == PHASE_COPY_IN || conn->phase == PHASE_COPY_OUT) {
        conn_error(conn, "a COPY is running: end it first");
        return NULL;
    }
    if (conn->n_commands == CLIENT_QUEUE_MAX) {
        conn_error(conn, "%d statements are in flight: take results first", CLIENT_QUEUE_MAX);
        return NULL;
    }
    if (conn->is_nonblocking && conn->out.bytes - conn->out_at > CLIENT_OUT_BYTES_MAX) {
        conn_error(conn, "too much is waiting to be sent: call vc_flush first");
        return NULL;
    }
    struct command *command = mem_zalloc(MEM_GENERAL, sizeof(*command));
    if (command == NULL) {
        conn_error(conn, "out of memory");
        return NULL;
    }
    command->kind = kind;
    command->begun_at = conn->n_sent + vc_unsent(conn);
    command->ends_at_ready = !conn->is_pipeline;
    CHECK((conn->tail == NULL) == (conn->head == NULL));
    if (conn->tail == NULL) {
        conn->head = command;
    } else {
        conn->tail->next = command;
    }
    conn->tail = command;
    conn->n_commands++;
    conn->last_statement = kind == COMMAND_SYNC ? NULL : command;
    if (conn->phase == PHASE_IDLE) {
        phase_move(conn, PHASE_BUSY);
    }
    if (!conn->is_pipeline) {
        conn->error[0] = '\0';
    }
    return command;
}

void pipeline_next(vc_conn *conn)
{
    if (conn->head != NULL) { /* A broken connection has emptied the queue. */
        command_pop(conn);
    }
    phase_move(conn, conn->head == NULL ? PHASE_IDLE : PHASE_BUSY);
}

bool vc_enter_pipeline(vc_conn *conn)
{
    if (conn->link != LINK_OPEN) {
        return false;
    }
    if (!conn->is_pipeline && conn->phase != PHASE_IDLE) {
        return conn_error(conn, "a statement is running: take its results before the pipeline");
    }
    conn->is_pipeline = true;
    return true;
}

bool vc_exit_pipeline(vc_conn *conn)
{
    if (!conn->is_pipeline) {
        return true;
    }
    if (conn->phase != PHASE_IDLE) {
        return conn_error(conn, "the pipeline has results that were not taken");
    }
    if (conn->link != LINK_OPEN) {
        return false;
    }
    conn->is_pipeline = false;
    return true;
}

bool vc_pipeline_sync(vc_conn *conn)
{
    if (!conn->is_pipeline) {
        return conn_error(conn, "vc_pipeline_sync is for pipeline mode");
    }
    if (command_push(conn, COMMAND_SYNC) == NULL) {
        return false;
    }
    wire_write_empty(&conn->out, WIRE_SYNC);
    return io_queued(conn);
}
