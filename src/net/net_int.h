/* What the files of net share: the inside of a loop, its timers, and how a listening socket is
 * made.
 */
#ifndef VECTRON_NET_INT_H
#define VECTRON_NET_INT_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdatomic.h>

#include "net/net.h"

enum {
    LOOP_SCRATCH_BYTES = 256 << 10, /* What one read can take at most. */
    LOOP_SIGNALS_MAX = 8,
    ADDRESS_BYTES_MAX = 128, /* "[address%scope]:port" or the path of a Unix socket. */
};

/* A timer that its owner embeds; see timer.c. */
struct loop_timer {
    uint64_t at_us; /* By clock_micros. */
    void (*fn)(void *arg);
    void *arg;
    bool is_set;
    struct loop_timer *child, *next, *back;
};

struct loop_signal {
    struct event event;
    void (*fn)(int signal, void *arg);
    void *arg;
};

struct loop {
    struct event_base *base;
    int wake_fd; /* An eventfd: readable while posts wait. */
    struct event wake;
    /* A stack that any thread pushes to and the loop takes whole; see loop.c. */
    _Atomic(struct loop_post *) posts;
    struct loop_post stop;
    atomic_bool is_stopping;
    atomic_bool is_running;
    const void *thread; /* The mark of loop_run's; read only while is_running. */
    /* Where connections read to; valid within one read of one connection. */
    uint8_t *scratch;
    struct loop_signal signals[LOOP_SIGNALS_MAX];
    unsigned n_signals;
    struct loop_timer *timers; /* The root of a heap. */
    struct event tick;         /* Wakes the loop at tick_at_us, for the first of them. */
    uint64_t tick_at_us;
    uint64_t held_since_us;         /* loop_hold of the callback that runs. */
    uint64_t busy_poll_us;          /* 0: it sleeps at once. */
    uint64_t cpu_us, cpu_looked_us; /* The thread's clock when loop_hold last looked, and when. */
};

/* Set again while it is set: it moves.  Cleared or fired, it is no longer set. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_us);
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);
void loop_timers_fire(struct loop *loop); /* Those that are due. */
/* Around a callback: how long it has kept the loop from all others, METRIC_loop_hold.  loop_hold
 * returns the time. */
uint64_t loop_hold(struct loop *loop);
void loop_held(struct loop *loop);

/* A bound, listening, non-blocking socket; @bound gets the address with the real port.  -1 where
 * it failed. */
int listening_socket(const char *address, bool is_unix, char bound[ADDRESS_BYTES_MAX],
                     struct err *err);
/* True where an accept failed for want of descriptors or memory: wait, do not try again at once. */
bool accept_is_starved(int errnum);
enum {
    ACCEPT_PAUSE_US = 100000
};
/* A descriptor for the moment when no other is left: see spare.c. */
struct spare {
    int fd;               /* -1: none. */
    const void *farewell; /* Borrowed: what those are told for whom there is no descriptor. */
    size_t farewell_bytes;
    uint64_t told_us; /* When the log was. */
};
void spare_open(struct spare *spare, int listening);
void spare_close(struct spare *spare);
/* After an accept that has failed for @errnum: with the spare descriptor accepts one who waits, and
 * turns him away.  0: it did; else why not: accept's errno, which says that nobody waits (EAGAIN),
 * or @errnum where the spare one is no help. */
int spare_turn_away(struct spare *spare, int errnum, int listening, const char *address);
/* A line in the log, once in a while. */
void spare_tell(struct spare *spare, int errnum, const char *address);
/* The address as text: "1.2.3.4:5", "[::1]:5", or "[local]" for a Unix socket. */
struct sockaddr;
void address_format(const struct sockaddr *address, char out[ADDRESS_BYTES_MAX]);
/* Of the socket's other end. */
void peer_name(int fd, char out[ADDRESS_BYTES_MAX]);

/* A loop and all that is on it belong to the thread that runs it, and to any while none does. */
#define CHECK_LOOP(loop) CHECK(!loop_is_elsewhere(loop))
static inline bool loop_is_elsewhere(const struct loop *loop)
{
    return atomic_load(&loop->is_running) && loop->thread != thread_mark();
}

#endif
