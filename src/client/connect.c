/* Opening and closing a connection.
 *
 * The polled connect is the only one; vc_connect drives it with a wait of its own.  The addresses
 * of the host's name are tried one after another until one accepts the TCP connection; what the
 * server then answers to STARTUP is final.  Names are resolved with getaddrinfo, which blocks: who
 * cannot have that gives an address.
 *
 * The states are drawn in client_int.h; link_move (conn.c) is the one place that changes
 * them. */
#include "client/client_int.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- addresses ---- */

static bool is_unix(const vc_conn *conn)
{
    return conn->info.host[0] == '/';
}

static bool resolve_unix(vc_conn *conn)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t bytes = strlen(conn->info.host);
    if (bytes >= sizeof(address.sun_path)) {
        return conn_broken(conn, "the path of the Unix socket is longer than %zu bytes: %s",
                           sizeof(address.sun_path) - 1, conn->info.host);
    }
    memcpy(address.sun_path, conn->info.host, bytes + 1);
    memcpy(&conn->addresses[0].storage, &address, sizeof(address));
    conn->addresses[0].bytes = sizeof(address);
    conn->n_addresses = 1;
    return true;
}

static bool resolve_name(vc_conn *conn)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int failure = getaddrinfo(conn->info.host, conn->info.port, &hints, &list);
    if (failure != 0) {
        return conn_broken(conn, "could not find the address of host \"%s\": %s", conn->info.host,
                           gai_strerror(failure));
    }
    for (struct addrinfo *at = list; at != NULL && conn->n_addresses < CLIENT_ADDRESSES_MAX;
         at = at->ai_next) {
        struct client_address *address = &conn->addresses[conn->n_addresses++];
        CHECK(at->ai_addrlen <= sizeof(address->storage));
        memcpy(&address->storage, at->ai_addr, at->ai_addrlen);
        address->bytes = at->ai_addrlen;
    }
    freeaddrinfo(list);
    return true;
}

/* Appends why the address in use failed to the connection's error, then turns to the next one. */
static void address_failed(vc_conn *conn, int errnum)
{
    char where[INET6_ADDRSTRLEN + 32] = "";
    const struct client_address *address = &conn->addresses[conn->address];
    getnameinfo((const struct sockaddr *)&address->storage, address->bytes, where, sizeof(where),
                NULL, 0, NI_NUMERICHOST);
    size_t bytes = strlen(conn->error);
    const char *lead = bytes == 0 ? "" : "\n";
    char *end = conn->error + bytes;
    size_t left = sizeof(conn->error) - bytes;
    if (is_unix(conn)) {
        snprintf(end, left, "could not connect to socket %s: %s", conn->info.host,
                 strerror(errnum));
    } else if (strcmp(where, conn->info.host) == 0) {
        snprintf(end, left, "%scould not connect to %s port %s: %s", lead, where, conn->info.port,
                 strerror(errnum));
    } else {
        snprintf(end, left, "%scould not connect to %s (%s) port %s: %s", lead, conn->info.host,
                 where, conn->info.port, strerror(errnum));
    }
    conn_close_socket(conn);
    conn->address++;
    if (conn->link != LINK_RESOLVED) {
        link_move(conn, LINK_RESOLVED);
    }
}

/* ---- the start-up ---- */

static void begin_startup(vc_conn *conn)
{
    int on = 1;
    if (!is_unix(conn)) {
        /* Both only tune: a socket that refuses them still works. */
        (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    struct wire_startup m = {
        .magic = WIRE_MAGIC, .major = WIRE_VERSION_MAJOR, .minor = WIRE_VERSION_MINOR};
    const struct conninfo *info = &conn->info;
    const char *fixed[][2] = {{"user", info->user}, {"application_name", info->application}};
    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        if (fixed[i][1][0] != '\0') {
            m.options[m.n_options++] =
                (struct wire_option){{fixed[i][0], (uint32_t)strlen(fixed[i][0])},
                                     {fixed[i][1], (uint32_t)strlen(fixed[i][1])}};
        }
    }
    for (size_t i = 0; i < info->n_options; i++) {
        const struct conn_option *option = &info->options[i];
        m.options[m.n_options++] =
            (struct wire_option){{option->name, (uint32_t)strlen(option->name)},
                                 {option->value, (uint32_t)strlen(option->value)}};
    }
    conn->error[0] = '\0';
    link_move(conn, LINK_STARTING);
    wire_write_startup(&conn->out, &m);
    if (conn->out.failed) {
        conn_broken(conn, "out of memory");
    }
}

static void take_auth(vc_conn *conn, struct reader *r)
{
    uint8_t kind = reader_u8(r);
    if (!reader_done(r)) {
        conn_broken(conn, "the server's AUTH message is malformed");
    } else if (kind != 0) {
        conn_broken(conn,
                    "the server asks for authentication of kind %u, which this client does "
                    "not know: update the client",
                    kind);
    } else {
        conn->is_accepted = true;
    }
}

/* From here on reads may block, and MSG_DONTWAIT says where they may not: one call a wait. */
static void open_link(vc_conn *conn)
{
    int flags = fcntl(conn->fd, F_GETFL);
    if (flags < 0 || fcntl(conn->fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
        conn_broken(conn, "fcntl: %s", strerror(errno));
        return;
    }
    link_move(conn, LINK_OPEN);
}

static void take_startup_frame(vc_conn *conn, const struct wire_frame *frame)
{
    struct reader r;
    reader_init(&r, frame->payload, frame->payload_bytes);
    switch (frame->type) {
    case WIRE_AUTH:
        take_auth(conn, &r);
        return;
    case WIRE_SESSION_KEY:
        if (!wire_read_key(&r, WIRE_SESSION_KEY, &conn->key)) {
            conn_broken(conn, "the server's SESSION_KEY message is malformed");
        }
        return;
    case WIRE_READY:
        if (!conn->is_accepted) {
            conn_broken(conn, "the server is ready without having accepted the client");
        } else {
            open_link(conn);
        }
        return;
    case WIRE_ERROR: {
        vc_result *result = result_new(VC_ERROR);
        if (result != NULL && result_read_error(result, &r)) {
            conn_broken(conn, "%s", vc_result_error(result));
        } else {
            conn_broken(conn, "the server refused the connection");
        }
        vc_result_free(result);
        return;
    }
    default:
        if (!receive_async(conn, frame)) {
            conn_broken(conn, "%s port %s answers, but not as a vectrond server does",
                        conn->info.host, conn->info.port);
        }
    }
}

static vc_poll poll_startup(vc_conn *conn)
{
    bool is_sent = io_send(conn);
    io_receive(conn);
    struct wire_frame frame;
    while (conn->link == LINK_STARTING && io_next_frame(conn, &frame)) {
        take_startup_frame(conn, &frame);
    }
    if (conn->link == LINK_STARTING && conn->is_ended) {
        conn_broken(conn, "the server closed the connection during the start-up%s%s",
                    conn->ended_errno != 0 ? ": " : "",
                    conn->ended_errno != 0 ? strerror(conn->ended_errno) : "");
    }
    if (conn->link == LINK_STARTING) {
        return is_sent ? VC_POLL_READING : VC_POLL_WRITING;
    }
    return conn->link == LINK_OPEN ? VC_POLL_OK : VC_POLL_FAILED;
}

/* ---- the connect ---- */

static void try_address(vc_conn *conn)
{
    const struct client_address *address = &conn->addresses[conn->address];
    conn->fd = socket(address->storage.ss_family, SOCK_STREAM, 0);
    if (conn->fd < 0) {
        address_failed(conn, errno);
        return;
    }
    int flags = fcntl(conn->fd, F_GETFL);
    if (flags < 0 || fcntl(conn->fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(conn->fd, F_SETFD, FD_CLOEXEC) < 0) {
        address_failed(conn, errno);
        return;
    }
    if (connect(conn->fd, (const struct sockaddr *)&address->storage, address->bytes) == 0) {
        begin_startup(conn);
    } else if (errno == EINPROGRESS || errno == EINTR) {
        link_move(conn, LINK_CONNECTING);
    } else {
        address_failed(conn, errno);
    }
}

/* False while the socket has not said yet. */
static bool finish_connect(vc_conn *conn)
{
    struct pollfd ready = {.fd = conn->fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) <= 0) {
        return false;
    }
    int failure = 0;
    socklen_t bytes = sizeof(failure);
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &failure, &bytes) < 0) {
        failure = errno;
    }
    if (failure != 0) {
        address_failed(conn, failure);
    } else {
        begin_startup(conn);
    }
    return true;
}

vc_poll vc_connect_poll(vc_conn *conn)
{
    if (conn->deadline_us != 0 && clock_micros() >= conn->deadline_us && conn->link < LINK_OPEN) {
        conn_broken(conn, "no answer from %s port %s within %u s", conn->info.host, conn->info.port,
                    conn->info.connect_timeout_s);
    }
    while (conn->link == LINK_RESOLVED || conn->link == LINK_CONNECTING) {
        if (conn->link == LINK_CONNECTING) {
            if (!finish_connect(conn)) {
                return VC_POLL_WRITING;
            }
        } else if (conn->address < conn->n_addresses) {
            try_address(conn);
        } else {
            link_move(conn, LINK_BAD); /* address_failed has told why, address by address. */
        }
    }
    if (conn->link == LINK_STARTING) {
        return poll_startup(conn);
    }
    return conn->link == LINK_OPEN ? VC_POLL_OK : VC_POLL_FAILED;
}

vc_conn *vc_connect_start(const char *conninfo)
{
    vc_conn *conn = mem_zalloc(MEM_GENERAL, sizeof(*conn));
    if (conn == NULL) {
        return NULL;
    }
    conn->fd = -1;
    buf_init(&conn->in, MEM_NETWORK, (size_t)WIRE_FRAME_BYTES_MAX + CLIENT_READ_BYTES);
    buf_init(&conn->out, MEM_NETWORK, WIRE_FRAME_BYTES_MAX);
    buf_init(&conn->copy_rows, MEM_NETWORK, WIRE_FRAME_BYTES_MAX);
    struct err err;
    if (conninfo_parse(conninfo, &conn->info, &err) != ERR_OK) {
        conn_broken(conn, "%s%s%s", err.message, err.hint[0] != '\0' ? "\nHINT: " : "", err.hint);
        return conn;
    }
    if (is_unix(conn) ? !resolve_unix(conn) : !resolve_name(conn)) {
        return conn;
    }
    if (conn->info.connect_timeout_s != 0) {
        conn->deadline_us = clock_micros() + (uint64_t)conn->info.connect_timeout_s * 1000000;
    }
    vc_connect_poll(conn);
    return conn;
}

vc_conn *vc_connect(const char *conninfo)
{
    vc_conn *conn = vc_connect_start(conninfo);
    if (conn == NULL) {
        return NULL;
    }
    for (;;) {
        switch (vc_connect_poll(conn)) {
        case VC_POLL_READING:
            io_wait(conn, IO_READ, conn->deadline_us);
            break;
        case VC_POLL_WRITING:
            io_wait(conn, IO_WRITE, conn->deadline_us);
            break;
        case VC_POLL_OK:
        case VC_POLL_FAILED:
            return conn;
        }
    }
}

/* ---- what is known of it ---- */

vc_conn_status vc_status(const vc_conn *conn)
{
    if (conn == NULL || conn->link == LINK_BAD) {
        return VC_CONN_BAD;
    }
    return conn->link == LINK_OPEN ? VC_CONN_OK : VC_CONN_CONNECTING;
}

const char *vc_error_message(const vc_conn *conn)
{
    return conn == NULL ? "out of memory" : conn->error;
}

const char *vc_host(const vc_conn *conn)
{
    return conn->info.host;
}

const char *vc_port(const vc_conn *conn)
{
    return conn->info.port;
}

const char *vc_user(const vc_conn *conn)
{
    return conn->info.user;
}

uint64_t vc_session(const vc_conn *conn)
{
    return conn->key.session;
}

const char *vc_parameter_status(const vc_conn *conn, const char *name)
{
    for (size_t i = 0; i < conn->n_statuses; i++) {
        if (strcmp(conn->statuses[i].name, name) == 0) {
            return conn->statuses[i].value;
        }
    }
    return NULL;
}

int vc_socket(const vc_conn *conn)
{
    return conn->fd;
}

void vc_break(vc_conn *conn, const char *reason)
{
    conn_broken(conn, "%s", reason);
}

void vc_close(vc_conn *conn)
{
    if (conn == NULL) {
        return;
    }
    if (conn->link == LINK_OPEN) {
        /* A courtesy: the server learns as much from the end of the stream. */
        wire_write_empty(&conn->out, WIRE_TERMINATE);
        (void)io_send(conn);
    }
    conn_close_socket(conn);
    command_clear(conn);
    outcome_forget_all(conn);
    vc_result_free(conn->building);
    vc_result_free(conn->result);
    for (size_t i = 0; i < conn->n_statuses; i++) {
        mem_free(MEM_GENERAL, conn->statuses[i].name);
        mem_free(MEM_GENERAL, conn->statuses[i].value);
    }
    buf_fini(&conn->in);
    buf_fini(&conn->out);
    buf_fini(&conn->copy_rows);
    mem_free(MEM_GENERAL, conn);
}
