/* Listening sockets: addresses to sockets, and accepting in bounded batches.
 *
 * A flood of connects cannot starve the loop: a turn accepts ACCEPT_BATCH at most.  Where the
 * process runs out of descriptors those who connect are turned away (spare.c).  Where even that
 * cannot be done, or memory is short, the waiting connects stay in the kernel's queue and the
 * listener sleeps for ACCEPT_PAUSE_US, because a level-triggered event would otherwise fire without
 * end. */
#define _GNU_SOURCE
#include "net/net.h"

#include <errno.h>
#include <libgen.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/net_int.h"

enum {
    ACCEPT_BATCH = 64,
    LISTEN_BACKLOG = 4096, /* The kernel lowers it to net.core.somaxconn. */
};

struct listener {
    struct loop *loop;
    int fd;
    bool is_unix;
    bool is_paused;  /* By the owner. */
    bool is_starved; /* For want of memory or descriptors, until the timer. */
    struct event readable;
    struct loop_timer retry;
    struct spare spare;
    void (*accepted)(void *arg, int fd, const char *peer);
    void *arg;
    char address[ADDRESS_BYTES_MAX];
};

/* ---- addresses ---- */

void address_format(const struct sockaddr *address, char out[ADDRESS_BYTES_MAX])
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    socklen_t bytes = sizeof(struct sockaddr_in);
    if (address->sa_family == AF_INET6) {
        bytes = sizeof(struct sockaddr_in6);
    } else if (address->sa_family != AF_INET) {
        snprintf(out, ADDRESS_BYTES_MAX, "[local]");
        return;
    }
    if (getnameinfo(address, bytes, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        snprintf(out, ADDRESS_BYTES_MAX, "unknown");
        return;
    }
    bool is_v6 = address->sa_family == AF_INET6;
    snprintf(out, ADDRESS_BYTES_MAX, "%s%.64s%s:%.8s", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
             port);
}

void peer_name(int fd, char out[ADDRESS_BYTES_MAX])
{
    struct sockaddr_storage name = {0};
    socklen_t bytes = sizeof name;
    if (getpeername(fd, (struct sockaddr *)&name, &bytes) != 0) {
        name.ss_family = AF_UNIX;
    }
    address_format((struct sockaddr *)&name, out);
}

bool address_is_loopback(const char *address)
{
    static const char *const heads[] = {"127.", "[::1]:", "[::ffff:127.", "/"};
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        if (strncmp(address, heads[i], strlen(heads[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* Digits alone, at most 65535. */
static bool is_port(const char *text)
{
    size_t n = strspn(text, "0123456789");
    return n > 0 && n <= 5 && text[n] == '\0' && strtol(text, NULL, 10) <= UINT16_MAX;
}

/* Splits "HOST:PORT", "[HOST]:PORT" and "*:PORT"; an empty host stands for "*". */
static enum errcode address_split(const char *address, char host[ADDRESS_BYTES_MAX],
                                  const char **port, struct err *err)
{
    const char *colon = strrchr(address, ':');
    const char *from = address, *to = colon;
    if (colon != NULL && address[0] == '[' && colon > address && colon[-1] == ']') {
        from = address + 1;
        to = colon - 1;
    }
    bool is_ambiguous = colon != NULL && from == address && strchr(address, ':') != colon;
    if (colon == NULL || !is_port(colon + 1) || is_ambiguous ||
        (size_t)(to - from) >= ADDRESS_BYTES_MAX) {
        err_set(err, ERR_BAD_CONFIG, "\"%.100s\" is not an address", address);
        err_hint(err, "Write HOST:PORT, [IPv6]:PORT or *:PORT.");
        return err->code;
    }
    memcpy(host, from, (size_t)(to - from));
    host[to - from] = '\0';
    if (strcmp(host, "*") == 0) {
        host[0] = '\0';
    }
    *port = colon + 1;
    return ERR_OK;
}

/* ---- sockets ---- */

/* -1 and errno where it failed. */
static int bind_and_listen(int family, const struct sockaddr *address, socklen_t bytes)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return -1;
    }
    int on = 1, off = 0;
    if (family != AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    if (family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if (bind(fd, address, bytes) == -1 || listen(fd, LISTEN_BACKLOG) == -1) {
        int errnum = errno;
        close(fd);
        errno = errnum;
        return -1;
    }
    return fd;
}

/* Why, for people; what to do about it knows who has the address from somebody. */
static void hint_errno(struct err *err, int errnum)
{
    switch (errnum) {
    case EADDRINUSE:
        err_hint(err, "Another process has it.");
        break;
    case EADDRNOTAVAIL:
        err_hint(err, "This machine has no such address.");
        break;
    case EACCES:
        err_hint(err, "Ports below 1024 take a privilege that this user has not.");
        break;
    default:
        break;
    }
}

/* The first of the host's addresses that can be bound; of "*" the IPv6 one, which takes IPv4 too.
 */
static int tcp_socket(const char *address, char bound[ADDRESS_BYTES_MAX], struct err *err)
{
    char host[ADDRESS_BYTES_MAX];
    const char *port = NULL;
    if (address_split(address, host, &port, err) != ERR_OK) {
        return -1;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &found);
    if (status != 0) {
        err_set(err, ERR_BAD_CONFIG, "cannot listen on %s: %s", address, gai_strerror(status));
        err_hint(err,
                 "The host must be a name or an address of this machine, or * for all of them.");
        return -1;
    }
    int fd = -1;
    for (int want_v6 = host[0] == '\0'; fd == -1 && want_v6 >= 0; want_v6--) {
        for (struct addrinfo *a = found; fd == -1 && a != NULL; a = a->ai_next) {
            if (want_v6 == 0 || a->ai_family == AF_INET6) {
                fd = bind_and_listen(a->ai_family, a->ai_addr, a->ai_addrlen);
            }
        }
    }
    if (fd == -1) {
        err_set_errno(err, ERR_IO, errno, "cannot listen on %s", address);
        hint_errno(err, errno);
    } else {
        struct sockaddr_storage name = {0};
        socklen_t bytes = sizeof name;
        CHECK(getsockname(fd, (struct sockaddr *)&name, &bytes) == 0);
        address_format((struct sockaddr *)&name, bound);
    }
    freeaddrinfo(found);
    return fd;
}

/* True where a socket lies at the path and nobody listens on it. */
static bool unix_socket_is_stale(const struct sockaddr_un *name)
{
    struct stat st;
    if (lstat(name->sun_path, &st) == -1 || !S_ISSOCK(st.st_mode)) {
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return false;
    }
    bool is_stale =
        connect(fd, (const struct sockaddr *)name, sizeof *name) == -1 && errno == ECONNREFUSED;
    close(fd);
    return is_stale;
}

static enum errcode name_unix_socket(const char *path, struct sockaddr_un *name, struct err *err)
{
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] == '\0' || strlen(path) >= sizeof name->sun_path) {
        return err_set(err, ERR_BAD_CONFIG,
                       "the socket's path \"%.100s\" has %zu bytes, and the system takes 1 to %zu",
                       path, strlen(path), sizeof name->sun_path - 1);
    }
    memcpy(name->sun_path, path, strlen(path) + 1);
    return ERR_OK;
}

static enum errcode refuse_unix_socket(const char *path, int errnum, struct err *err)
{
    err_set_errno(err, ERR_IO, errnum, "cannot listen on the socket %s", path);
    if (errnum == EADDRINUSE) {
        err_hint(err, "A server listens there, or a file of another kind has that name.");
    } else if (errnum == EACCES || errnum == ENOENT || errnum == EROFS) {
        err_hint(err, "Its directory must be there, and this user must be allowed to write to it.");
    }
    return err->code;
}

static int unix_socket(const char *path, char bound[ADDRESS_BYTES_MAX], struct err *err)
{
    struct sockaddr_un name;
    _Static_assert(sizeof name.sun_path <= ADDRESS_BYTES_MAX, "bound holds any path");
    if (name_unix_socket(path, &name, err) != ERR_OK) {
        return -1;
    }
    if (unix_socket_is_stale(&name)) {
        unlink(name.sun_path);
    }
    int fd = bind_and_listen(AF_UNIX, (const struct sockaddr *)&name, sizeof name);
    if (fd == -1) {
        (void)refuse_unix_socket(path, errno, err);
        return -1;
    }
    memcpy(bound, name.sun_path, sizeof name.sun_path);
    return fd;
}

enum errcode listener_probe(const char *path, struct err *err)
{
    struct sockaddr_un name;
    struct stat st;
    if (name_unix_socket(path, &name, err) != ERR_OK) {
        return err->code;
    }
    if (lstat(path, &st) == 0 && !unix_socket_is_stale(&name)) {
        return refuse_unix_socket(path, EADDRINUSE, err);
    }
    char parent[sizeof name.sun_path];
    memcpy(parent, name.sun_path, sizeof parent);
    if (access(dirname(parent), W_OK | X_OK) == -1) {
        return refuse_unix_socket(path, errno, err);
    }
    return ERR_OK;
}

int listening_socket(const char *address, bool is_unix, char bound[ADDRESS_BYTES_MAX],
                     struct err *err)
{
    CHECK(address != NULL);
    return is_unix ? unix_socket(address, bound, err) : tcp_socket(address, bound, err);
}

/* ---- accepting ---- */

bool accept_is_starved(int errnum)
{
    return errnum == EMFILE || errnum == ENFILE || errnum == ENOBUFS || errnum == ENOMEM;
}

static void listener_watch(struct listener *l)
{
    CHECK_LOOP(l->loop);
    if (l->is_paused || l->is_starved) {
        event_del(&l->readable);
    } else {
        CHECK(event_add(&l->readable, NULL) == 0);
    }
}

static void starve(struct listener *l, int errnum)
{
    CHECK(!l->is_starved && accept_is_starved(errnum));
    spare_tell(&l->spare, errnum, l->address);
    l->is_starved = true;
    listener_watch(l);
    loop_timer_set(l->loop, &l->retry, ACCEPT_PAUSE_US);
}

static void retry(void *arg)
{
    struct listener *l = arg;
    CHECK(l->is_starved);
    l->is_starved = false;
    listener_watch(l);
}

static void acceptable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct listener *l = arg;
    CHECK_LOOP(l->loop);
    for (int i = 0; i < ACCEPT_BATCH && !l->is_paused; i++) {
        struct sockaddr_storage name = {0};
        socklen_t bytes = sizeof name;
        int accepted = accept4(fd, (struct sockaddr *)&name, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int errnum = accepted == -1 ? errno : 0;
        if (accept_is_starved(errnum)) {
            errnum = spare_turn_away(&l->spare, errnum, fd, l->address);
        }
        if (accept_is_starved(errnum)) {
            starve(l, errnum);
            return;
        }
        if (errnum == EAGAIN || errnum == EWOULDBLOCK) {
            return;
        }
        if (accepted == -1) {
            continue; /* This one peer has gone before it was accepted, or was turned away. */
        }
        char peer[ADDRESS_BYTES_MAX];
        address_format((struct sockaddr *)&name, peer);
        l->accepted(l->arg, accepted, peer);
    }
}

struct listener *listener_new(struct loop *loop, const char *address, bool is_unix,
                              void (*accepted)(void *arg, int fd, const char *peer), void *arg,
                              struct err *err)
{
    CHECK_LOOP(loop);
    CHECK(accepted != NULL);
    CHECK(address != NULL);
    struct listener *l = mem_zalloc(MEM_NETWORK, sizeof *l);
    if (l == NULL) {
        err_no_memory(err);
        return NULL;
    }
    l->loop = loop;
    l->is_unix = is_unix;
    l->accepted = accepted;
    l->arg = arg;
    l->fd = listening_socket(address, is_unix, l->address, err);
    if (l->fd == -1) {
        mem_free(MEM_NETWORK, l);
        return NULL;
    }
    CHECK(event_assign(&l->readable, loop->base, l->fd, EV_READ | EV_PERSIST, acceptable, l) == 0);
    l->retry = (struct loop_timer){.fn = retry, .arg = l};
    spare_open(&l->spare, l->fd);
    listener_watch(l);
    return l;
}

void listener_set_farewell(struct listener *l, const void *farewell, size_t bytes)
{
    CHECK_LOOP(l->loop);
    CHECK(farewell != NULL || bytes == 0);
    l->spare.farewell = farewell;
    l->spare.farewell_bytes = bytes;
}

void listener_pause(struct listener *l, bool is_paused)
{
    CHECK_LOOP(l->loop);
    l->is_paused = is_paused;
    listener_watch(l);
}

const char *listener_address(const struct listener *l)
{
    return l->address;
}

void listener_free(struct listener *l)
{
    if (l == NULL) {
        return;
    }
    CHECK_LOOP(l->loop);
    event_del(&l->readable);
    loop_timer_clear(l->loop, &l->retry);
    spare_close(&l->spare);
    close(l->fd);
    if (l->is_unix) {
        unlink(l->address);
    }
    mem_free(MEM_NETWORK, l);
}
