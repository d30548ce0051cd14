/* A descriptor that a listener keeps for the moment when the process has no other left.
 *
 *   accept fails: EMFILE -> the spare one is closed, and its number goes to the next who waits
 *   -> he is told the farewell -> his socket is the spare one from here on
 *
 * So he learns at once why he is not served, rather than to wait for a server that does not take
 * him.  His socket stays until its number is needed for another: closed at once, while what he
 * sends is still on its way, it might be reset before he has read.  Where another thread is faster
 * and takes the number, nobody is turned away, and the listener sleeps as it does for want of
 * memory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net_int.h"

enum {
    TOLD_EVERY_US = 60 * 1000000,
};

void spare_open(struct spare *s, int listening)
{
    s->fd = fcntl(listening, F_DUPFD_CLOEXEC, 0); /* Whatever has a number will do. */
}

void spare_close(struct spare *s)
{
    if (s->fd != -1) {
        close(s->fd);
        s->fd = -1;
    }
}

void spare_tell(struct spare *s, int errnum, const char *address)
{
    uint64_t now_us = clock_micros();
    if (s->told_us != 0 && now_us - s->told_us < TOLD_EVERY_US) {
        return;
    }
    s->told_us = now_us;
    struct err err;
    err_set_errno(&err, ERR_IO, errnum, "accept failed");
    if (errnum == EMFILE || errnum == ENFILE) {
        err_hint(&err, "Raise the server's limit of open files (ulimit -n), or lower "
                       "max_connections so that clients are refused before.");
    }
    log_err(LOG_WARNING, &err, "clients are turned away or wait address=%s", address);
}

int spare_turn_away(struct spare *s, int errnum, int listening, const char *address)
{
    if (errnum != EMFILE && errnum != ENFILE) {
        return errnum;
    }
    if (s->fd == -1) {
        spare_open(s, listening);
    }
    if (s->fd == -1) {
        return errnum;
    }
    spare_close(s);
    s->fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (s->fd == -1) {
        errnum = errno;
        spare_open(s, listening);
        return errnum;
    }
    spare_tell(s, errnum, address);
    metric_add(METRIC_connections_refused, 1);
    /* A socket that is new has room for so little. */
    (void)send(s->fd, s->farewell, s->farewell_bytes, MSG_NOSIGNAL);
    (void)shutdown(s->fd, SHUT_WR);
    return 0;
}
