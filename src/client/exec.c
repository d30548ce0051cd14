/* Statements: what is sent for each, and the blocking forms.
 *
 * A statement with parameters is PARSE BIND DESCRIBE EXECUTE SYNC.  With a row limit (fetch_rows)
 * the SYNC waits until the last row has come, because the portal lives only until then:
 * EXECUTE(n) FLUSH, and the same again for each PORTAL_SUSPENDED.  In a pipeline what follows is
 * on its way already, so there the limit is not used. */
#include "client/client_int.h"

#include <string.h>

static const struct wire_str no_name = {"", 0};

/* False, with the connection's error, where @text is longer than a frame could be. */
static bool to_wire_str(vc_conn *conn, const char *text, struct wire_str *out)
{
    size_t bytes = strlen(text);
    *out = (struct wire_str){text, (uint32_t)bytes};
    if (bytes >= WIRE_FRAME_BYTES_MAX) {
        return conn_error(conn, "a text of %zu bytes cannot be sent", bytes);
    }
    return true;
}

/* Ends what is sent for a statement outside of a pipeline. */
static bool finish(vc_conn *conn)
{
    CHECK(conn->tail != NULL);
    if (!conn->is_pipeline) {
        wire_write_empty(&conn->out, WIRE_SYNC);
    }
    return io_queued(conn);
}

static void write_parse(vc_conn *conn, struct wire_str name, struct wire_str text,
                        const uint8_t *types, size_t n)
{
    struct wire_parse_message m = {
        .name = name, .text = text, .n_types = (uint16_t)n, .types = types};
    wire_write_parse(&conn->out, &m);
}

/* BIND takes struct value; few parameters are converted on the stack. */
enum {
    FEW_PARAMETERS = 16
};

static bool write_bind(vc_conn *conn, struct wire_str statement, const vc_value *params, size_t n)
{
    CHECK(n <= WIRE_PARAMETERS_MAX && (params != NULL || n == 0));
    struct value few[FEW_PARAMETERS] = {0}, *values = few;
    if (n > FEW_PARAMETERS) {
        values = mem_alloc(MEM_GENERAL, n * sizeof(*values));
        if (values == NULL) {
            return conn_error(conn, "out of memory");
        }
    }
    for (size_t i = 0; i < n; i++) {
        values[i] = value_of_client(params[i]);
    }
    wire_write_bind(&conn->out, no_name, statement, values, (uint16_t)n);
    if (values != few) {
        mem_free(MEM_GENERAL, values);
    }
    return true;
}

static bool check_parameters(vc_conn *conn, const vc_value *params, size_t n)
{
    if (n > WIRE_PARAMETERS_MAX) {
        return conn_error(conn, "%zu parameters; at most %d can be sent", n, WIRE_PARAMETERS_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned)params[i].type >= TYPE_COUNT) {
            return conn_error(conn, "parameter $%zu has the unknown type %d", i + 1,
                              (int)params[i].type);
        }
        if (params[i].type == VC_VECTOR &&
            (params[i].vector.dim == 0 || params[i].vector.dim > VECTOR_DIM_MAX)) {
            return conn_error(conn, "parameter $%zu: a vector has 1 to %d dimensions, not %u",
                              i + 1, VECTOR_DIM_MAX, params[i].vector.dim);
        }
    }
    return true;
}

/* Everything after PARSE. */
static bool send_portal(vc_conn *conn, struct command *command, struct wire_str statement,
                        const vc_value *params, size_t n)
{
    if (!write_bind(conn, statement, params, n)) {
        return conn_broken(conn, "out of memory");
    }
    command->fetch_rows = conn->is_pipeline ? 0 : conn->fetch_rows;
    command->owes_sync = command->fetch_rows != 0;
    wire_write_named(&conn->out, WIRE_DESCRIBE, 'P', no_name);
    wire_write_execute(&conn->out, no_name, command->fetch_rows);
    if (command->owes_sync) {
        wire_write_empty(&conn->out, WIRE_FLUSH);
        return io_queued(conn);
    }
    return finish(conn);
}

bool vc_send_params(vc_conn *conn, const char *vql, const vc_value *params, size_t n)
{
    struct wire_str text;
    if (!to_wire_str(conn, vql, &text) || !check_parameters(conn, params, n)) {
        return false;
    }
    struct command *command = command_push(conn, COMMAND_EXECUTE);
    if (command == NULL) {
        return false;
    }
    command->may_write = !outcome_only_reads(vql);
    outcome_forget(conn, "");
    write_parse(conn, no_name, text, NULL, 0);
    return send_portal(conn, command, no_name, params, n);
}

bool vc_send_prepared(vc_conn *conn, const char *name, const vc_value *params, size_t n)
{
    struct wire_str statement;
    if (!to_wire_str(conn, name, &statement) || !check_parameters(conn, params, n)) {
        return false;
    }
    struct command *command = command_push(conn, COMMAND_EXECUTE);
    if (command == NULL) {
        return false;
    }
    command->may_write = !outcome_prepared_reads(conn, name);
    return send_portal(conn, command, statement, params, n);
}

bool vc_send_query(vc_conn *conn, const char *vql)
{
    if (conn->is_pipeline) {
        return vc_send_params(conn, vql, NULL, 0); /* QUERY would be a sync of its own. */
    }
    struct wire_str text;
    struct command *command =
        to_wire_str(conn, vql, &text) ? command_push(conn, COMMAND_QUERY) : NULL;
    if (command == NULL) {
        return false;
    }
    command->may_write = !outcome_only_reads(vql);
    wire_write_text(&conn->out, WIRE_QUERY, text.data, text.bytes);
    return io_queued(conn);
}

bool vc_send_prepare(vc_conn *conn, const char *name, const char *vql, const vc_type *types,
                     size_t n)
{
    struct wire_str statement, text;
    if (!to_wire_str(conn, name, &statement) || !to_wire_str(conn, vql, &text)) {
        return false;
    }
    if (n > WIRE_PARAMETERS_MAX) {
        return conn_error(conn, "%zu parameters; at most %d can be sent", n, WIRE_PARAMETERS_MAX);
    }
    uint8_t few[FEW_PARAMETERS], *numbers = few;
    if (types == NULL) {
        n = 0;
    } else if (n > FEW_PARAMETERS) {
        numbers = mem_alloc(MEM_GENERAL, n);
        if (numbers == NULL) {
            return conn_error(conn, "out of memory");
        }
    }
    for (size_t i = 0; i < n; i++) {
        numbers[i] = (uint8_t)types[i];
    }
    struct command *command = command_push(conn, COMMAND_PREPARE);
    if (command != NULL) {
        outcome_prepare(conn, name, vql);
        write_parse(conn, statement, text, numbers, n);
    }
    if (numbers != few) {
        mem_free(MEM_GENERAL, numbers);
    }
    return command != NULL && finish(conn);
}

/* DESCRIBE and CLOSE of a prepared statement. */
static bool send_named(vc_conn *conn, enum command_kind kind, enum wire_type type, const char *name)
{
    struct wire_str statement;
    if (!to_wire_str(conn, name, &statement) || command_push(conn, kind) == NULL) {
        return false;
    }
    if (kind == COMMAND_CLOSE) {
        outcome_forget(conn, name);
    }
    wire_write_named(&conn->out, type, 'S', statement);
    return finish(conn);
}

void vc_set_fetch_rows(vc_conn *conn, uint32_t rows)
{
    conn->fetch_rows = rows;
}

bool vc_single_row_mode(vc_conn *conn)
{
    struct command *statement = conn->last_statement;
    if (statement == NULL || (conn->building != NULL && statement == conn->head) ||
        (conn->phase != PHASE_BUSY && statement == conn->head)) {
        return false;
    }
    statement->is_single_row = true;
    return true;
}

/* ---- blocking ---- */

/* Reads and forgets what is left of the running statements. */
static void discard(vc_conn *conn)
{
    while (conn->phase != PHASE_IDLE) {
        if (conn->phase == PHASE_COPY_IN) {
            vc_put_copy_end(conn, "the client went on to another statement");
        }
        const void *data;
        while (conn->phase == PHASE_COPY_OUT && vc_get_copy_data(conn, &data) > 0) {
        }
        vc_result_free(vc_get_result(conn));
    }
}

/* Before a blocking statement: forgets what is left of the last one.  A connection in pipeline or
 * non-blocking mode has no blocking statements. */
static bool begin_blocking(vc_conn *conn)
{
    if (conn->is_pipeline) {
        return conn_error(conn, "this call is not for pipeline mode: use its vc_send_ form");
    }
    discard(conn);
    return true;
}

/* The last result of what was just sent, or the first that failed, or the start of a COPY. */
static vc_result *finish_blocking(vc_conn *conn, bool is_sent)
{
    if (!is_sent && conn->phase == PHASE_IDLE) {
        return result_of_error(ERR_CONNECTION_FAILED, conn->error, NULL);
    }
    vc_result *last = NULL, *next;
    while ((next = vc_get_result(conn)) != NULL) {
        if (last != NULL && last->state == VC_ERROR) {
            vc_result_free(next);
            continue;
        }
        vc_result_free(last);
        last = next;
        if (next->state == VC_COPY_IN || next->state == VC_COPY_OUT) {
            return next;
        }
    }
    return last;
}

vc_result *vc_exec(vc_conn *conn, const char *vql)
{
    return finish_blocking(conn, begin_blocking(conn) && vc_send_query(conn, vql));
}

vc_result *vc_exec_params(vc_conn *conn, const char *vql, const vc_value *params, size_t n)
{
    return finish_blocking(conn, begin_blocking(conn) && vc_send_params(conn, vql, params, n));
}

vc_result *vc_prepare(vc_conn *conn, const char *name, const char *vql, const vc_type *types,
                      size_t n)
{
    return finish_blocking(conn,
                           begin_blocking(conn) && vc_send_prepare(conn, name, vql, types, n));
}

vc_result *vc_exec_prepared(vc_conn *conn, const char *name, const vc_value *params, size_t n)
{
    return finish_blocking(conn, begin_blocking(conn) && vc_send_prepared(conn, name, params, n));
}

vc_result *vc_describe_prepared(vc_conn *conn, const char *name)
{
    return finish_blocking(conn, begin_blocking(conn) &&
                                     send_named(conn, COMMAND_DESCRIBE, WIRE_DESCRIBE, name));
}

vc_result *vc_close_prepared(vc_conn *conn, const char *name)
{
    return finish_blocking(conn, begin_blocking(conn) &&
                                     send_named(conn, COMMAND_CLOSE, WIRE_CLOSE, name));
}
