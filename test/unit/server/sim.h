/* A session on a simulated clock: one thread, one client, and no event that was not asked for.
 *
 * The client's socket is real (a pair), the time is not: timers fire when sim_pass has moved the
 * clock and sim_turn gives the loop a turn.  What the server sends is read as frames and judged:
 * each frame has a type that a server sends, a fatal error comes once, and nothing comes behind it.
 */
#ifndef SIM_H
#define SIM_H

#include "fake_query.h"
#include "server/server_int.h"

enum {
    SIM_TIMEOUT_US = 3000000, /* client_timeout */
    SIM_FRAME_MAX = 70000,
    SIM_OUTPUT_MAX = 4096, /* And the socket's buffer is as small. */
};

struct sim {
    struct net_thread net;
    struct session_host host;
    int fd; /* The client's; -1: it has left. */
    bool is_shut;
    struct buf in; /* Of the client: not yet read as frames. */
    struct buf out;
    unsigned n_frames, n_ready, n_errors, n_fatal;
    enum errcode last_error;
    unsigned n_drained;
};

void sim_open(struct sim *sim);
/* The client leaves: the session must go within a while, and with it all that it had. */
void sim_close(struct sim *sim);
void sim_turn(struct sim *sim, unsigned n);
void sim_pass(struct sim *sim, uint64_t micros); /* No turn is taken. */
void sim_send(struct sim *sim, const void *data, size_t bytes);
void sim_flush(struct sim *sim);              /* Sends what was written to @out. */
void sim_read(struct sim *sim);               /* What is there for the client. */
void sim_shut(struct sim *sim);               /* The client sends nothing more. */
void sim_leave(struct sim *sim);              /* It closes its socket. */
void sim_startup(struct sim *sim);            /* Up to the first READY. */
size_t sim_memory_bytes(void);                /* What sessions and connections hold. */
struct session *sim_session(struct sim *sim); /* NULL: it has gone. */

#endif
