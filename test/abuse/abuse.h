/* Clients that misbehave: a raw connection, and the server that has to bear it. */
#ifndef ABUSE_H
#define ABUSE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/wire.h"

enum {
    CLIENT_TIMEOUT_MS = 2000, /* The server's client_timeout. */
    FRAME_MAX = 1 << 20,
    SESSIONS_MAX = 500,
    ANSWER_MS_MAX = 20000, /* Longest that a test waits for anything. */
    ROWS = 4000,
    DIM = 64,
};

/* Ends the test with a line that tells what was not so. */
#define EXPECT(claim, ...)                                                                         \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            printf("    %s:%d: %s: ", __FILE__, __LINE__, #claim);                                 \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

struct client {
    int fd;
    struct buf out;
    uint8_t *in;
    size_t in_bytes, in_at, in_capacity_bytes;
    struct wire_frame frame; /* The last one; borrowed from @in until the next. */
    struct wire_key key;
    char sqlstate[6]; /* Of the last ERROR. */
    /* It has shut its sending side: PARAMETER_STATUS may come at any time, and is passed over. */
    bool has_shut;
};

/* ---- the server: server.c ---- */

extern unsigned server_port;
bool server_start(const char *program);
int server_stop(void);                  /* Its exit status, or -1 where it had to be killed. */
bool server_reload(const char *config); /* Writes its file anew, then SIGHUP. */
unsigned server_reloads_refused(void);  /* As its log tells. */
void server_terminate(void);
bool server_lives(void);
size_t server_resident_bytes(void);
/* As ulimit -n: @more files than are open now; 0: as many as at first. */
bool server_let_open(unsigned more);

/* ---- clients: client.c ---- */

extern int client_receive_bytes;       /* Of the next socket's kernel; 0: as it likes. */
bool client_connect(struct client *c); /* The socket alone. */
bool client_start(struct client *c);   /* Up to READY. */
void client_close(struct client *c);
void client_startup(struct client *c); /* Appends the STARTUP. */
void client_query(struct client *c, const char *vql);
/* PARSE, BIND and EXECUTE of the unnamed ones. */
void client_extended(struct client *c, const char *vql);
bool client_send(struct client *c); /* What was appended. */
/* The next message's letter; '.' the connection has ended, '?' none came in time. */
char client_next(struct client *c);
/* Reads up to READY; the letters go to @trace without ROWs.  False where it does not come. */
bool client_until_ready(struct client *c, char *trace, size_t trace_bytes);
/* A cancel request by a connection of its own, which the server closes. */
bool client_cancel(const struct wire_key *key);
/* The next messages have these letters. */
bool client_says(struct client *c, const char *trace);
/* Waits until no more sessions than these are open, the asking one included. */
bool sessions_fall_to(unsigned n);
/* A session of its own that asks for one row gets it. */
bool server_answers(void);

/* ---- the tests: messages.c, waits.c, holds.c, load.c, life.c ---- */

struct test {
    const char *name;
    bool (*run)(void);
};
extern const struct test message_tests[], wait_tests[], hold_tests[], load_tests[], life_tests[];
extern const size_t n_message_tests, n_wait_tests, n_hold_tests, n_load_tests, n_life_tests;
/* The last one: the server is told to stop, and has ended when it returns. */
bool a_stop_tells_those_that_wait_for_their_client_at_once(void);

#endif
