/* The door of net: event loops, framed connections, listeners, and small HTTP pages.
 *
 * The only user of libevent.  A loop belongs to the thread that runs it; everything of a
 * connection happens on its loop's thread.  loop_post is the one call that any thread may make.
 * Output is counted: over conn_set_output_max the connection asks its owner to pause. */
#ifndef VECTRON_NET_H
#define VECTRON_NET_H

#include "base/base.h"

struct loop;
struct wire_frame;
struct timer;
struct conn;
struct listener;
struct http;

/* ---- loops ---- */
struct loop *loop_new(struct err *err);
void loop_free(struct loop *loop);
/* So long after it has done something the loop asks again before it sleeps; before loop_run. */
void loop_set_busy_poll(struct loop *loop, uint64_t micros);
void loop_run(struct loop *loop);  /* Until loop_stop. */
void loop_stop(struct loop *loop); /* From any thread. */
/* For a simulation: what is due by base/clock.h fires, then what is posted or ready is handled
 * once, without waiting. */
void loop_turn(struct loop *loop);
/* Runs fn(arg) on the loop's thread, in the order of the posts.  The caller owns @post until fn
 * runs; it is embedded so that posting cannot fail. */
struct loop_post {
    void (*fn)(void *arg);
    void *arg;
    struct loop_post *next;
};
void loop_post(struct loop *loop, struct loop_post *post);
bool loop_is_current(const struct loop *loop);
/* On a signal: fn(arg) on the loop's thread.  One loop a process takes signals. */
bool loop_on_signal(struct loop *loop, int signal, void (*fn)(int signal, void *arg), void *arg);

struct timer *timer_new(struct loop *loop, void (*fn)(void *arg), void *arg);
void timer_set(struct timer *timer, uint64_t delay_us);
void timer_clear(struct timer *timer);
void timer_free(struct timer *timer);

/* ---- listeners ---- */
/* "HOST:PORT" (port 0: any; "[::1]:7432"; "*:7432"), or the path of a Unix socket with @is_unix.
 * accepted() gets each new socket, which is non-blocking and now its own.  A stale Unix socket is
 * removed where nobody answers on it. */
struct listener *listener_new(struct loop *loop, const char *address, bool is_unix,
                              void (*accepted)(void *arg, int fd, const char *peer), void *arg,
                              struct err *err);
/* What a client is sent that is turned away because the process has no descriptor left for it;
 * borrowed until listener_free. Without it he is only cut. */
void listener_set_farewell(struct listener *listener, const void *farewell, size_t bytes);
/* What listener_new would say of the path of a Unix socket, without making or removing anything. */
enum errcode listener_probe(const char *path, struct err *err) WARN_UNUSED;
/* @address is as listener_address and http_address tell it: nobody else's machine reaches it. */
bool address_is_loopback(const char *address);
void listener_pause(struct listener *listener, bool is_paused);
const char *listener_address(const struct listener *listener); /* With the real port. */
void listener_free(struct listener *listener);

/* ---- connections ---- */
struct conn_events {
    /* One whole frame; payload is borrowed until the return. */
    void (*frame)(void *arg, uint8_t type, const uint8_t *payload, size_t bytes);
    /* Output fell below half of its bound after it was over it: a paused owner may go on. */
    void (*drained)(void *arg);
    /* The peer sends nothing more.  Told at once where something is left to be handled, or the
     * owner pauses, and again when all is handled: then the connection finishes unless the owner
     * pauses it once more. */
    void (*input_ended)(void *arg, bool is_handled);
    /* The connection has ended: by the peer (@why->code = 0), or by a fault.  The conn is still
     * valid; the owner calls conn_free, now or later. */
    void (*closed)(void *arg, const struct err *why);
    /* A frame longer than the bound: the owner sends an error and calls conn_finish. */
    void (*too_large)(void *arg, uint8_t type, uint64_t bytes);
    /* Silent in mid-frame for longer than the timeout, or slower than BYTES_A_SECOND_MIN beyond it:
     * as too_large. */
    void (*stalled)(void *arg, bool is_slow);
};

struct conn *conn_new(struct loop *loop, int fd, const struct conn_events *events, void *arg,
                      struct err *err);
void conn_free(struct conn *conn); /* Closes the socket at once. */
void conn_set_frame_max(struct conn *conn, size_t payload_bytes_max);
void conn_set_output_max(struct conn *conn, size_t bytes);
/* For longer than this a peer may neither be silent in mid-frame (stalled() is called), nor read
 * nothing of waiting output (closed with ERR_IDLE).  A frame as a whole may take this long from its
 * first byte, and a second more for every BYTES_A_SECOND_MIN that have come of it: so drops are
 * cut, and large frames on a slow line are not.  A reader has a second more for every
 * BYTES_A_SECOND_MIN that its kernel has taken, of which OUTPUT_STEP_BYTES count: that kernel may
 * tell of its reading no sooner.  0: no bound. */
enum {
    BYTES_A_SECOND_MIN = 1024,
    OUTPUT_STEP_BYTES = 64 << 10
};
void conn_set_timeout(struct conn *conn, uint64_t micros);
/* The buffer that leaves with the next conn_flush.  Write frames into it with wire_*. */
struct buf *conn_output(struct conn *conn);
void conn_flush(struct conn *conn);
size_t conn_output_bytes(const struct conn *conn); /* Not yet taken by the kernel. */
bool conn_is_over(const struct conn *conn);        /* Output is over its bound. */
bool conn_has_frame(const struct conn *conn);      /* One has come that was not handled yet. */
/* The @nth of them, from 0, which stays; false where so many have not come.  Borrowed until the
 * callback returns. */
bool conn_peek(const struct conn *conn, size_t nth, struct wire_frame *out);
/* While paused no frame() is called and, once the input is full, nothing is read. */
void conn_pause(struct conn *conn, bool is_paused);
void conn_finish(struct conn *conn); /* Sends what waits, then closes; closed() is called. */
const char *conn_peer(const struct conn *conn);

/* ---- HTTP pages for metrics and health ---- */
/* The handler appends the body and returns the status; content_type is one of a fixed few. */
typedef int http_handler(void *arg, const char *path, struct buf *body, const char **content_type);
struct http *http_new(struct loop *loop, const char *address, http_handler *handler, void *arg,
                      struct err *err);
const char *http_address(const struct http *http);
void http_free(struct http *http);

#endif
