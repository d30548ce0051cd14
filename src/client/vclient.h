/* libvclient: the C client of vectrond.
 *
 * Connections and results are opaque.  No event library, no global state: two threads may use two
 * connections, and one connection belongs to one thread at a time (vc_cancel alone may be called
 * from another).  Functions that give a const char * lend it: until the result or connection is
 * freed or used again.  Strings are UTF-8.  Nothing here ever prints.
 *
 * Values keep their types: vc_value gives them as they came, vc_text formats one as vsql shows it.
 */
#ifndef VCLIENT_H
#define VCLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VC_API __attribute__((visibility("default")))

typedef struct vc_conn vc_conn;
typedef struct vc_result vc_result;
typedef struct vc_cancel vc_cancel;

/* Types; the numbers are those of the protocol. */
typedef enum vc_type {
    VC_NULL = 0,
    VC_BOOL = 1,
    VC_INT = 2,
    VC_FLOAT = 3,
    VC_TEXT = 4,
    VC_UUID = 5,
    VC_TIMESTAMP = 6, /* Microseconds since 1970-01-01 UTC. */
    VC_JSON = 7,
    VC_VECTOR = 8
} vc_type;

typedef struct vc_value {
    vc_type type;
    union {
        bool boolean;
        int64_t integer; /* VC_INT, VC_TIMESTAMP */
        double number;
        struct {
            const char *data; /* VC_TEXT, VC_JSON; not terminated. */
            uint32_t bytes;
        } text;
        uint8_t uuid[16];
        struct {
            const float *data;
            uint32_t dim;
        } vector;
    };
} vc_value;

/* ---- connecting ---- */

/* A URI (vectron://user@host:7432/?application_name=x; host %2Frun%2Fx is a Unix socket) or
 * key=value pairs (host port user application_name connect_timeout busy_poll progress, or any
 * session policy); NULL or "": all from VCHOST VCPORT VCUSER VCAPPNAME VCCONNECT_TIMEOUT
 * VCBUSY_POLL, then 127.0.0.1:7432.  Never NULL but for want of memory: ask vc_status. */
VC_API vc_conn *vc_connect(const char *conninfo);

/* Polled: vc_connect_start, then wait for what vc_connect_poll says and call it again. */
typedef enum vc_poll {
    VC_POLL_OK,
    VC_POLL_READING,
    VC_POLL_WRITING,
    VC_POLL_FAILED
} vc_poll;
VC_API vc_conn *vc_connect_start(const char *conninfo);
VC_API vc_poll vc_connect_poll(vc_conn *conn);

typedef enum vc_conn_status {
    VC_CONN_OK,
    VC_CONN_CONNECTING,
    VC_CONN_BAD
} vc_conn_status;
VC_API vc_conn_status vc_status(const vc_conn *conn);
VC_API const char *vc_error_message(const vc_conn *conn); /* "" where there is none. */
VC_API const char *vc_host(const vc_conn *conn);
VC_API const char *vc_port(const vc_conn *conn);
VC_API const char *vc_user(const vc_conn *conn);
VC_API uint64_t vc_session(const vc_conn *conn);
VC_API const char *vc_parameter_status(const vc_conn *conn, const char *name); /* or NULL */
VC_API int vc_socket(const vc_conn *conn);                                     /* or -1 */
/* Gives the connection up at once, without a word to the server: what runs ends with @reason. */
VC_API void vc_break(vc_conn *conn, const char *reason);
VC_API void vc_close(vc_conn *conn);

/* ---- statements, blocking ---- */

/* One or more statements; the result of the last, or of the first that failed. */
VC_API vc_result *vc_exec(vc_conn *conn, const char *vql);
/* One statement with parameters $1.. */
VC_API vc_result *vc_exec_params(vc_conn *conn, const char *vql, const vc_value *params, size_t n);
/* types may be NULL. */
VC_API vc_result *vc_prepare(vc_conn *conn, const char *name, const char *vql, const vc_type *types,
                             size_t n);
VC_API vc_result *vc_exec_prepared(vc_conn *conn, const char *name, const vc_value *params,
                                   size_t n);
VC_API vc_result *vc_describe_prepared(vc_conn *conn, const char *name);
VC_API vc_result *vc_close_prepared(vc_conn *conn, const char *name);

/* ---- sending and fetching apart ---- */

/* true where it was queued; then vc_get_result until it gives NULL. */
VC_API bool vc_send_query(vc_conn *conn, const char *vql);
VC_API bool vc_send_params(vc_conn *conn, const char *vql, const vc_value *params, size_t n);
VC_API bool vc_send_prepare(vc_conn *conn, const char *name, const char *vql, const vc_type *types,
                            size_t n);
VC_API bool vc_send_prepared(vc_conn *conn, const char *name, const vc_value *params, size_t n);
/* Rows of the statement just sent come one a result (VC_SINGLE_ROW), then an empty VC_ROWS. */
VC_API bool vc_single_row_mode(vc_conn *conn);
/* At most this many rows a fetch are taken from the server at once; 0 = all.  For the statements
 * with parameters and the prepared ones; the library fetches on by itself.  Not used in a pipeline,
 * where the next statements are on their way before the first fetch ends. */
VC_API void vc_set_fetch_rows(vc_conn *conn, uint32_t rows);
/* Blocks.  NULL: the statement is over.  When the connection is lost all that was under way ends
 * with one VC_ERROR: SQLSTATE 40003 where it holds writes, which may have happened, else 08006. */
VC_API vc_result *vc_get_result(vc_conn *conn);

/* Pipeline: many statements without waiting; vc_pipeline_sync marks a point of order.  Each
 * statement's results end with NULL; a sync gives VC_PIPELINE_SYNC (without a NULL); after an error
 * those up to the next sync give VC_PIPELINE_ABORTED.  What was queued is sent when there is enough
 * of it, by vc_flush, and before vc_get_result waits.  INSERTs with a vc_pipeline_sync each are
 * made durable together, many at once.  No COPY in a pipeline. */
VC_API bool vc_enter_pipeline(vc_conn *conn);
VC_API bool vc_exit_pipeline(vc_conn *conn);
VC_API bool vc_pipeline_sync(vc_conn *conn);

/* Non-blocking: watch vc_socket; when readable vc_consume, then vc_get_result while !vc_is_busy;
 * vc_flush gives 0 sent, 1 call again when writable, -1 failed. */
VC_API bool vc_set_nonblocking(vc_conn *conn, bool on);
VC_API bool vc_consume(vc_conn *conn);
VC_API bool vc_is_busy(const vc_conn *conn);
VC_API int vc_flush(vc_conn *conn);
VC_API size_t vc_unsent(const vc_conn *conn); /* Bytes that wait to be sent. */

/* ---- COPY ---- */

/* After a result of VC_COPY_IN: put data, then end (reason NULL: well), then vc_get_result. */
VC_API bool vc_put_copy_data(vc_conn *conn, const void *data, size_t bytes);
VC_API bool vc_put_copy_end(vc_conn *conn, const char *reason);
/* One row of the binary format of COPY, appended to what the next put sends. */
VC_API bool vc_put_copy_row(vc_conn *conn, const vc_value *values, size_t n);
/* After VC_COPY_OUT: > 0 bytes (*data lent until the next call), 0 the end, -1 failed; then
 * vc_get_result.  Blocks, but not while vc_is_busy is false. */
VC_API ptrdiff_t vc_get_copy_data(vc_conn *conn, const void **data);

/* ---- cancel, notices, progress ---- */

VC_API vc_cancel *vc_get_cancel(const vc_conn *conn); /* A copy, usable from any thread. */
/* Sends it over a connection of its own and waits until the server has taken it, for @timeout_ms at
 * most (0: 10 s) in all, however silent the server is. */
VC_API bool vc_cancel_send(const vc_cancel *cancel, unsigned timeout_ms, char *error,
                           size_t error_bytes);
VC_API void vc_cancel_free(vc_cancel *cancel);

typedef void vc_notice_fn(void *arg, const vc_result *notice);
VC_API void vc_on_notice(vc_conn *conn, vc_notice_fn *fn, void *arg);
typedef void vc_progress_fn(void *arg, const char *phase, uint64_t done, uint64_t total);
VC_API void vc_on_progress(vc_conn *conn, vc_progress_fn *fn, void *arg);

/* ---- results ---- */

typedef enum vc_result_status {
    VC_EMPTY,      /* The text held no statement. */
    VC_COMMAND,    /* Done, without rows. */
    VC_ROWS,       /* Done, with rows. */
    VC_SINGLE_ROW, /* One row of several. */
    VC_COPY_IN,
    VC_COPY_OUT,
    VC_PIPELINE_SYNC,
    VC_PIPELINE_ABORTED,
    VC_NOTICE,
    VC_ERROR
} vc_result_status;

VC_API vc_result_status vc_result_state(const vc_result *result); /* NULL: VC_ERROR. */
VC_API size_t vc_rows(const vc_result *result);
VC_API size_t vc_columns(const vc_result *result);
VC_API const char *vc_column_name(const vc_result *result, size_t column);
VC_API vc_type vc_column_type(const vc_result *result, size_t column);
VC_API uint32_t vc_column_dim(const vc_result *result, size_t column);
VC_API int vc_column_number(const vc_result *result, const char *name); /* or -1 */
VC_API const vc_value *vc_get_value(const vc_result *result, size_t row, size_t column);
VC_API bool vc_is_null(const vc_result *result, size_t row, size_t column);
/* The value as text, terminated; "" for NULL. */
VC_API const char *vc_text(vc_result *result, size_t row, size_t column);
VC_API const char *vc_command_tag(const vc_result *result); /* "INSERT" */
VC_API uint64_t vc_affected(const vc_result *result);       /* Rows given or changed. */
VC_API size_t vc_parameters(const vc_result *result);       /* Of vc_describe_prepared. */
VC_API vc_type vc_parameter_type(const vc_result *result, size_t parameter);
VC_API int vc_copy_format(const vc_result *result); /* 1 csv, 2 fbin, 3 binary */

/* Fields of an error or notice; "" where it has none. */
typedef enum vc_field {
    VC_FIELD_SEVERITY,
    VC_FIELD_SQLSTATE,
    VC_FIELD_MESSAGE,
    VC_FIELD_DETAIL,
    VC_FIELD_HINT,
    VC_FIELD_POSITION,
    VC_FIELD_COLLECTION,
    VC_FIELD_COLUMN,
    VC_FIELD_POLICY
} vc_field;
VC_API const char *vc_error_field(const vc_result *result, vc_field field);
/* "ERROR: message" with detail and hint on lines of their own. */
VC_API const char *vc_result_error(const vc_result *result);
VC_API void vc_result_free(vc_result *result);

/* ---- values ---- */

VC_API vc_value vc_null(void);
VC_API vc_value vc_bool(bool x);
VC_API vc_value vc_int(int64_t x);
VC_API vc_value vc_float(double x);
VC_API vc_value vc_string(const char *text);
VC_API vc_value vc_vector(const float *data, uint32_t dim);
VC_API const char *vc_type_name(vc_type type);
VC_API const char *vc_version(void);

#ifdef __cplusplus
}
#endif

#endif
