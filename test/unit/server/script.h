/* A scripted client: a network thread, clients of it, and the trace of the answers, one letter a
 * message (net/messages.def).  Every function fails the test where the script is not kept to. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "../unit.h"
#include "fake_query.h"
#include "server/server_int.h"

/* One network thread. */
struct site {
    struct net_thread net;
    struct session_host host;
    atomic_bool is_drained;
};

/* One client. */
struct peer {
    int fd;
    struct buf out;
    uint8_t *in;
    size_t in_bytes, in_at;
    struct wire_frame last; /* Borrowed from @in until the next one. */
    struct wire_key key;
};

void site_open(struct site *site);
/* Nothing may be left behind, whatever the test did. */
void site_close(struct site *site);
void connect_peer(struct site *site, struct peer *p);
/* A peer that is not connected yet; the server's end of its socket. */
int make_peer(struct peer *p);
void leave(struct peer *p);
void send_all(struct peer *p);
/* The next frame's letter; '.' at the end of the connection. */
char next_frame(struct peer *p);
void expect(struct peer *p, const char *trace);
/* The error that came last. */
void assert_error(struct peer *p, enum errcode code, const char *wanted_severity,
                  uint32_t position);
struct wire_str str(const char *text);
void say_startup(struct peer *p, const char *name, const char *value);
void start(struct site *site, struct peer *p);
void say(struct peer *p, const char *vql);
void say_parse(struct peer *p, const char *name, const char *vql);
void say_bind(struct peer *p, const char *portal, const char *statement);
void say_execute(struct peer *p, const char *portal, uint32_t limit);
void say_sync(struct peer *p);
/* PARSE, BIND and EXECUTE of the unnamed ones. */
void say_all(struct peer *p, const char *vql, uint32_t limit);
void say_data(struct peer *p, size_t bytes);
uint64_t rows_of_complete(struct peer *p);

#endif
