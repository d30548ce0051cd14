/* What the files of server share: modes, the data directory, sessions and their threads. */
#ifndef VECTRON_SERVER_INT_H
#define VECTRON_SERVER_INT_H

#include <stdatomic.h>

#include "net/net.h"
#include "net/wire.h"
#include "query/query.h"
#include "server/server.h"

/* ---- modes: mode.c, mode_*.c ---- */

/* What a mode has started in this process. */
struct process {
    struct repl *repl;
    struct database *db;
};

struct mode {
    const char *name, *text;
    size_t map_bytes; /* Address space that start takes at once. */
    enum errcode (*start)(struct process *process, const char *directory,
                          const struct policy_set *policies, struct err *err);
    void (*reload)(struct process *process, const struct policy_set *policies);
    void (*stop)(struct process *process); /* Flushes, writes checkpoints. */
};
extern const struct mode mode_standalone;
const struct mode *mode_find(const char *name, struct err *err);

/* ---- the data directory: directory.c ---- */

enum {
    DIRECTORY_FORMAT = 1
};

struct directory {
    int fd, lock_fd;
};
/* Makes it where it is missing, and makes it private.  Errors: LOCKED, FORMAT_UNSUPPORTED, IO,
 * DISK_FULL. */
enum errcode directory_open(struct directory *directory, const char *path,
                            struct err *err) WARN_UNUSED;
void directory_close(struct directory *directory);
/* What directory_open would say, without making or changing anything. */
enum errcode directory_check(const char *path, struct err *err) WARN_UNUSED;
/* Takes from others what they may do with the data; private.c. */
void directory_make_private(const char *path, bool is_new);
void directory_check_private(const char *path); /* Only says so. */

/* ---- what it listens on: ports.c ---- */

struct ports {
    struct listener *clients, *local;
    struct http *page;
    bool is_probe; /* Set before: no file is made for the Unix socket. */
};
struct port_events {
    void (*accepted)(void *arg, int fd, const char *peer);
    http_handler *page;
    void *arg;
    const struct buf *farewell; /* See listener_set_farewell; borrowed until ports_close. */
};
/* Binds and listens: the ports, and then the socket.  On failure what is open stays for
 * ports_close.  Errors: BAD_CONFIG, IO. */
enum errcode ports_open(struct ports *ports, struct loop *loop, const struct port_events *events,
                        const struct config *config, struct err *err) WARN_UNUSED;
enum errcode ports_open_local(struct ports *ports, struct loop *loop,
                              const struct port_events *events, const struct config *config,
                              struct err *err) WARN_UNUSED;
void ports_warn(const struct ports *ports); /* Of what others can reach. */
/* Addresses with the real port, or "none". */
const char *ports_clients(const struct ports *ports);
const char *ports_local(const struct ports *ports);
const char *ports_page(const struct ports *ports);
void ports_pause(struct ports *ports, bool is_paused); /* Clients wait in the kernel. */
void ports_close_clients(struct ports *ports);         /* The page goes on. */
void ports_close(struct ports *ports);

/* ---- what all sessions share ---- */

struct session_host {
    _Atomic(struct database *) db; /* NULL until the server is ready. */
    atomic_uint n_admitted;        /* Sessions past their start-up. */
    atomic_uint n_admitted_max;    /* max_connections */
    atomic_uint n_connections;     /* Accepted and not yet gone, admitted or not. */
    atomic_uint_fast64_t last_id;
};

/* What a SIGHUP may change under a running connection. */
struct session_limits {
    size_t frame_bytes_max, output_bytes_max;
    uint64_t timeout_us;
};

/* One network loop and the sessions that live on it.  Its thread only, but for what is posted. */
struct net_thread {
    struct loop *loop;
    struct thread thread;
    struct session_host *host;
    struct session_limits limits;
    struct session *sessions;
    bool is_draining;
    /* Told on this loop's thread when the last session has gone while it drains. */
    void (*drained)(void *arg);
    void *arg;
};

/* ---- named statements and portals of a session: names.c ---- */

struct named {
    uint64_t hash;
    char name[NAME_BYTES_MAX + 1];
    uint8_t name_bytes;
    void *thing; /* A prepared statement or a portal; NULL: one of an empty text. */
};

struct names {
    struct named *items;
    size_t n, capacity, n_max;
    const char *what; /* "prepared statement", "portal" */
};
void names_init(struct names *names, const char *what, size_t n_max);
void names_fini(struct names *names); /* The things must have been freed. */
/* NULL where there is none.  Borrowed until the next change of @names. */
struct named *names_find(const struct names *names, struct wire_str name);
/* The name must be free.  Errors: TOO_MANY_ITEMS, NAME_TOO_LONG, OUT_OF_MEMORY. */
enum errcode names_add(struct names *names, struct wire_str name, void *thing,
                       struct err *err) WARN_UNUSED;
void names_remove(struct names *names, struct named *named);
void names_forget(struct names *names, const void *thing); /* Its name, where it has one. */
/* UTF-8 without control characters: what can be shown as it is. */
bool name_is_clean(struct wire_str name);

/* ---- sessions ---- */

/* What a running statement, or one that takes COPY data, is held up by. */
enum session_wait {
    WAIT_NOTHING,
    WAIT_WAKE,    /* The portal's wake. */
    WAIT_FLIGHTS, /* All of them have landed. */
    WAIT_ROOM, /* The connection's drained, or the portal's wake: a cancel, the end of its time. */
};

/* One client; see session_state.c for its states.  Belongs to its network thread. */
struct session {
    struct net_thread *net;
    struct session *next, *prev; /* Of net->sessions. */
    int fd;                      /* Until there is a conn. */
    struct conn *conn;
    struct loop_post post; /* First the arrival on the thread, then wakes. */
    atomic_bool is_wake_posted;
    struct timer *startup_timer;
    uint64_t id;
    uint8_t state;
    enum session_wait wait;
    bool is_admitted;
    bool wants_progress;
    bool is_closed; /* Gone but for a wake that is on its way. */

    struct query_session *query; /* From the start-up on. */
    struct query_session_facts facts;
    struct names statements, portals;
    struct portal_sink sink;
    struct arena *arena;    /* Until the next message. */
    struct flight *flights; /* See flight.c; NULL until there is one. */
    size_t first_flight, n_flights, flight_bytes;
    enum portal_company company; /* Of all flights. */
    struct buf *landing;         /* Where what a flight says goes; NULL: none is being run. */

    /* The statement that runs. */
    struct portal *portal;
    uint64_t row_limit; /* 0: none. */
    uint64_t n_given;   /* Rows, for the limit. */
    bool is_simple;     /* It came by QUERY. */
    bool is_copy_in;    /* COPY_IN was sent. */
    bool is_copy_out;   /* COPY_OUT was sent. */
    bool is_sink_failed;
    struct err sink_err;
    /* What is left of a QUERY's text; in @rest where it had to be kept. */
    struct wire_str text;
    size_t text_at;              /* Of it in the whole QUERY. */
    size_t statement_at;         /* Of the statement that runs. */
    bool has_statement;          /* The text held one. */
    struct preparing *preparing; /* Of a long text, on the pool: then there is no portal yet. */
    char parsed_name[NAME_BYTES_MAX + 1]; /* Of a PARSE that waits for it. */
    struct buf rest;
};

enum session_state {
    SESSION_STARTING,
    SESSION_IDLE,
    SESSION_RUNNING,
    SESSION_COPY_IN,
    SESSION_SKIPPING,
    SESSION_CLOSING,
    SESSION_STATES
};
void session_move(struct session *s, enum session_state to, const char *why);

/* Sends @err and closes: for faults of the connection, not of a statement.  Nothing where the
 * session is closing already: a client gets one such error. */
void session_fatal(struct session *s, const struct err *err);
void session_shutting_down(struct session *s);
/* The same for bytes that are not the protocol; counted. */
void session_violation(struct session *s, const char *what);
/* READY, and what is waiting leaves. */
void session_ready(struct session *s);

/* @wake is called on any thread: sink.c. */
void sink_init(struct session *s, void (*wake)(void *arg));
/* What rows are to come; n = 0: none. */
void sink_columns(struct session *s, size_t n, const struct result_column *columns);

/* One message of an idle session, and of one that takes COPY data: statement.c. */
void statement_init(struct session *s, void (*wake)(void *arg));
void statement_message(struct session *s, uint8_t type, struct reader *r);
void statement_copy_message(struct session *s, uint8_t type, const uint8_t *payload, size_t bytes);
void statement_resume(struct session *s, enum session_wait ended);
/* In COPY_IN: it ends with this error. */
void statement_stop_copy(struct session *s, const struct err *reason);
/* Runs, and waits for neither its client nor room. */
bool statement_is_working(const struct session *s);
void statement_abandon(struct session *s); /* Frees all portals and statements. */

/* INSERTs, or SEARCHes, of a pipeline that are on their way together: flight.c. */
struct buf *session_output(struct session *s); /* Where the next answer belongs. */
/* The portal will be run: one that is worth it is sent to the pool, to take off. */
void flight_prepare(struct session *s);
bool flight_is_full(const struct buf *said); /* An answer, or what is said behind it. */
/* Lets the portal that runs go its way alone, if it may: false where the session waits for it. */
bool flight_begin(struct session *s);
/* After a message: pauses the connection where the next one must wait until all have landed. */
void flights_hold(struct session *s);
void flights_land(struct session *s); /* After a wake: answers of those that have ended leave. */
void flights_abandon(struct session *s);

/* Takes @fd, whatever happens; it is served on @net's thread.  Any thread. */
void session_accept(struct net_thread *net, int fd);
/* The rest on @net's thread. */
void sessions_limit(struct net_thread *net, const struct session_limits *limits);
/* Sessions that wait for their client are told and closed; those that run go on until READY. */
void sessions_drain(struct net_thread *net);
/* Running statements are canceled. */
void sessions_cancel(struct net_thread *net);
/* All are closed at once. */
void sessions_close(struct net_thread *net);

#endif
