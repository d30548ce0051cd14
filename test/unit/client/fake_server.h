/* A server that plays a script: a thread that speaks the wire protocol on a Unix socket.
 *
 * A script is a function that expects frames and sends frames.  What it does not expect aborts the
 * test program with the place: cmocka's own asserts work on its thread only. */
#ifndef FAKE_SERVER_H
#define FAKE_SERVER_H

#include "net/wire.h"

struct fake;
typedef void fake_script(struct fake *fake);

struct fake *fake_start(fake_script *script);
void fake_stop(struct fake *fake); /* Waits for the script's end. */
const char *fake_conninfo(const struct fake *fake);

/* For scripts.  The connection is accepted by the first of these. */
void fake_accept(struct fake *fake); /* The next connection; closes the last one. */
void fake_greet(struct fake *fake);  /* accept, STARTUP, AUTH SESSION_KEY READY */
struct wire_frame fake_expect(struct fake *fake, enum wire_type type);
struct wire_frame fake_expect_any(struct fake *fake); /* TERMINATE at the end of the stream. */
void fake_expect_end(struct fake *fake);              /* TERMINATE or the end of the stream. */
struct buf *fake_out(struct fake *fake);              /* Frames to be sent are appended here. */
void fake_send(struct fake *fake);
void fake_send_error(struct fake *fake, enum errcode code, const char *message);
void fake_send_ready(struct fake *fake);
void fake_hang_up(struct fake *fake);

enum {
    FAKE_SESSION = 4711,
    FAKE_SECRET = 815
};

#endif
