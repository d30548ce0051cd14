/* What the files of libvclient share: the connection, the statements in flight, the result.
 *
 *   conninfo.c  text and environment -> struct conninfo
 *   conn.c      its states, its last error, and how it breaks
 *   connect.c   addresses -> a socket -> STARTUP ... READY
 *   io.c        bytes in and out of the socket, and the one place that waits
 *   exec.c      statements -> frames, each remembered in a queue until it is answered
 *   receive.c   frames -> results, for the statement at the head of the queue
 *   pipeline.c  the queue, and the rule that an error skips to the next sync
 *   outcome.c   what is said of statements whose answer was lost
 *   copy.c cancel.c result.c values.c   what their names say
 *
 * A connection belongs to one thread at a time; there is no state outside of it. */
#ifndef VECTRON_CLIENT_INT_H
#define VECTRON_CLIENT_INT_H

#include <sys/socket.h>

#include "client/vclient.h"
#include "net/wire.h"

enum {
    CLIENT_OPTIONS_MAX = WIRE_OPTIONS_MAX - 2, /* Beside user and application_name. */
    CLIENT_TEXT_BYTES = 512,                   /* Longest key or value of a conninfo. */
    CLIENT_ADDRESSES_MAX = 16,                 /* Of one host name. */
    CLIENT_STATUS_MAX = 256,                   /* Parameters that a server may report. */
    CLIENT_QUEUE_MAX = 1 << 20,                /* Statements in flight. */
    CLIENT_READ_BYTES = 64 << 10,              /* Asked of the socket at once. */
    CLIENT_FLUSH_BYTES = 64 << 10,    /* Buffered output that is sent without being asked. */
    CLIENT_OUT_BYTES_MAX = 256 << 20, /* Not yet sent, in non-blocking use. */
    CLIENT_COPY_BYTES = 1 << 20,      /* Largest COPY_DATA frame that is sent. */
    CLIENT_COLUMNS_MAX = 65535,
};

/* ---- conninfo ---- */

struct conn_option {
    char name[CLIENT_TEXT_BYTES];
    char value[CLIENT_TEXT_BYTES];
};

struct conninfo {
    char host[CLIENT_TEXT_BYTES]; /* A name, an address, or the path of a Unix socket. */
    char port[CLIENT_TEXT_BYTES];
    char user[CLIENT_TEXT_BYTES];
    char application[CLIENT_TEXT_BYTES];
    uint32_t connect_timeout_s; /* 0: none. */
    uint64_t busy_poll_us;      /* Asked for so long before a wait sleeps. */
    size_t n_options;           /* Sent with STARTUP: progress and session policies. */
    struct conn_option options[CLIENT_OPTIONS_MAX];
};

enum errcode conninfo_parse(const char *text, struct conninfo *out, struct err *err) WARN_UNUSED;

/* ---- statements in flight ---- */

enum command_kind {
    COMMAND_QUERY,    /* One QUERY frame: the results of many statements, ended by READY. */
    COMMAND_EXECUTE,  /* PARSE? BIND DESCRIBE EXECUTE */
    COMMAND_PREPARE,  /* PARSE */
    COMMAND_DESCRIBE, /* DESCRIBE of a statement */
    COMMAND_CLOSE,    /* CLOSE of a statement */
    COMMAND_SYNC,     /* SYNC of a pipeline */
};

struct command {
    struct command *next;
    enum command_kind kind;
    bool ends_at_ready; /* Its end is the server's READY; in a pipeline its own last answer. */
    bool owes_sync;     /* SYNC is sent only when it is done: its portal must live until then. */
    bool is_single_row;
    bool may_write;    /* See outcome.c. */
    uint64_t begun_at; /* Where its frames begin in all that the connection sends. */
    uint32_t fetch_rows;
};

/* What the caller of vc_get_result meets next.
 *
 *             send                  a result is whole             taken
 *     IDLE ---------> BUSY ------------------------------> RESULT ------> BUSY, COPY_IN, COPY_OUT
 *      ^               |  ^                                   |              or END
 *      |   all answered|  | more in the queue                 | taken; it was a sync
 *      |               v  |                                   v
 *      +------------- END-+ (NULL is given)                  BUSY or IDLE
 *
 *     COPY_IN, COPY_OUT ---- end of the data, or an error ----> BUSY, RESULT */
enum phase {
    PHASE_IDLE,
    PHASE_BUSY,
    PHASE_RESULT,
    PHASE_END,
    PHASE_COPY_IN,
    PHASE_COPY_OUT,
    PHASE_COUNT
};

/* ---- the connection ---- */

/*     RESOLVED -> CONNECTING -> STARTING -> OPEN        every state -> BAD
 *        ^            | refused: the next address
 *        +------------+                                                      */
enum link_state {
    LINK_RESOLVED,   /* The next address is to be tried. */
    LINK_CONNECTING, /* connect() was called and has not said yet. */
    LINK_STARTING,   /* STARTUP is being sent or answered. */
    LINK_OPEN,
    LINK_BAD,
    LINK_COUNT
};

struct client_address {
    struct sockaddr_storage storage;
    socklen_t bytes;
};

struct conn_status_pair {
    char *name, *value;
};

struct vc_conn {
    struct conninfo info;
    enum link_state link;
    int fd;
    bool is_nonblocking;
    size_t n_addresses, address; /* The one in use, or to be tried next. */
    struct client_address addresses[CLIENT_ADDRESSES_MAX];
    uint64_t deadline_us; /* Of the connecting; 0 = none. */
    bool is_accepted;     /* AUTH(0) came. */
    struct wire_key key;
    size_t n_statuses;
    struct conn_status_pair statuses[CLIENT_STATUS_MAX];

    struct buf in; /* in_at .. in.bytes is not read yet. */
    size_t in_at;
    struct buf out; /* out_at .. out.bytes is not sent yet. */
    size_t out_at;
    uint64_t n_sent;              /* Bytes, ever. */
    struct reading_name *reading; /* Prepared statements that only read. */
    struct buf copy_rows;         /* Binary rows that are not yet in a COPY_DATA. */
    bool is_ended;   /* Nothing more can be sent or read; what was read may still be told. */
    int ended_errno; /* Why; 0: the server closed. */

    bool is_pipeline;
    bool is_aborted; /* An error came; all up to the next sync is skipped by the server. */
    struct command *head, *tail, *last_statement;
    size_t n_commands;
    uint32_t fetch_rows;

    enum phase phase;
    enum phase after_result; /* Where taking the result leads. */
    vc_result *building;     /* Rows are being added to it. */
    vc_result *result;       /* Whole, in PHASE_RESULT. */

    char error[ERR_MESSAGE_BYTES + 2 * ERR_FIELD_BYTES + 64]; /* vc_error_message */

    vc_notice_fn *notice_fn;
    void *notice_arg;
    vc_progress_fn *progress_fn;
    void *progress_arg;
};

/* Remembers @format as the connection's error; gives false, so that a caller can return it. */
bool conn_error(vc_conn *conn, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same, and the connection is no longer usable. */
bool conn_broken(vc_conn *conn, const char *format, ...) PRINTF_LIKE(2, 3);
void conn_close_socket(vc_conn *conn);
void link_move(vc_conn *conn, enum link_state to);
void phase_move(vc_conn *conn, enum phase to);
/* Of the queue of statements: its head, or all of it. */
void command_pop(vc_conn *conn);
void command_clear(vc_conn *conn);

/* ---- bytes ---- */

enum io_wait {
    IO_READ = 1,
    IO_WRITE = 2
};
/* Waits until the socket is ready for one of @what.  False where the deadline passed. */
bool io_wait(vc_conn *conn, int what, uint64_t deadline_us);
/* A socket that fails only sets is_ended: receive_frames works through what the server said last,
 * which may be the cause, and then breaks the connection.
 *
 * Sends what it can without waiting.  False where some is left. */
bool io_send(vc_conn *conn);
/* Reads what is there without waiting. */
void io_receive(vc_conn *conn);
/* Sends all, reading meanwhile, so that two full pipes cannot wait for each other. */
void io_flush(vc_conn *conn);
/* Waits for input and reads it, sending what is left to send. */
void io_receive_some(vc_conn *conn);
/* The next frame of the input, which is then consumed; false where it is not whole yet. */
bool io_next_frame(vc_conn *conn, struct wire_frame *out);
/* The next frame, left in the input. */
bool io_peek_frame(vc_conn *conn, struct wire_frame *out);
bool io_has_frame(const vc_conn *conn);
/* After frames were appended to out: checks that memory sufficed, sends if it is time to.  False
 * where the connection broke. */
bool io_queued(vc_conn *conn);

/* ---- receiving ---- */

/* Works through the input until something can be given to the caller or the input ends. */
void receive_frames(vc_conn *conn);
/* Frames that may come at any time; true where @frame was one. */
bool receive_async(vc_conn *conn, const struct wire_frame *frame);
void receive_give(vc_conn *conn, vc_result *result, enum phase after);

/* ---- the queue ---- */

struct command *command_push(vc_conn *conn, enum command_kind kind);
/* The head is answered; moves to the next. */
void pipeline_next(vc_conn *conn);

/* ---- results ---- */

struct result_column {
    const char *name;
    vc_type type;
    uint32_t dim;
};

struct vc_result {
    vc_result_status state;
    struct arena *arena; /* Owns all that the result points to but itself and the arrays below. */
    size_t n_columns;
    struct result_column *columns;
    size_t n_rows, rows_max;
    vc_value *values;   /* Row by row. */
    const char **texts; /* As values, made by vc_text; NULL until then. */
    const char *tag;
    uint64_t affected;
    size_t n_parameters;
    const uint8_t *parameters;
    int copy_format;
    struct err err;
    const char *severity, *sqlstate, *position;
    const char *rendered; /* vc_result_error */
};

vc_result *result_new(vc_result_status state);
/* These return false on bytes that are no such message or for want of memory. */
bool result_read_columns(vc_result *result, struct reader *r);
bool result_copy_columns(vc_result *result, const vc_result *from);
bool result_read_row(vc_result *result, struct reader *r);
bool result_read_parameters(vc_result *result, struct reader *r);
bool result_read_error(vc_result *result, struct reader *r);
/* Of its rows those remain whose @keep is true. */
void result_keep_rows(vc_result *result, const bool *keep);
bool result_set_tag(vc_result *result, const char *tag, size_t bytes, uint64_t affected);
vc_result *result_of_error(enum errcode code, const char *message,
                           const char *hint); /* NULL: none */

/* ---- outcomes ---- */

bool outcome_only_reads(const char *vql);
/* A prepared statement's name and text; a name that is closed. */
void outcome_prepare(vc_conn *conn, const char *name, const char *vql);
void outcome_forget(vc_conn *conn, const char *name);
void outcome_forget_all(vc_conn *conn);
bool outcome_prepared_reads(vc_conn *conn, const char *name);
/* The error of whoever waits: nothing has come of what was under way, or it may have happened. */
vc_result *outcome_of_lost(const vc_conn *conn);

/* vc_value and struct value are one layout under two names. */
vc_value value_to_client(struct value v);
struct value value_of_client(vc_value v);

#endif
