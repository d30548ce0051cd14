/* A whole session on a simulated clock: what its client says, byte by byte where it likes, and
 * when; what the portals' wakes, the server's stop, cancels and the clock do meanwhile.  The input
 * is a list of operations of two bytes, some followed by data; test/unit/server/sim.c judges the
 * rest. */
#include "fuzz.h"

#include <string.h>

#include "test/unit/server/sim.h"

enum {
    OPERATIONS_MAX = 400
};

/* Letters, so that inputs can be read. */
enum operation {
    OP_BYTES = 'b', /* As many of the input as the second byte says, raw. */
    OP_FRAME = 'f', /* The same as a frame: the second byte is the type, a third the length. */
    OP_STARTUP = 's',
    OP_QUERY = 'q',    /* The second byte picks the text. */
    OP_EXTENDED = 'e', /* PARSE BIND EXECUTE of one, with a row limit or without. */
    OP_EMPTY = 'm',    /* A message that has no payload. */
    OP_TIME = 't',     /* Two to the power of the second byte, in microseconds. */
    OP_TURN = 'u',
    OP_WAKE = 'w',
    OP_READ = 'r',
    OP_CANCEL = 'c',
    OP_DRAIN = 'd',
    OP_LIMITS = 'l',
    OP_SHUT = 'h',
    OP_LEAVE = 'x',
    OP_CLOSE = 'z',
};

static const char *const texts[] = {"ok",         "rows 2; ok", "rows 3000", "wait",
                                    "wait; fail", "copyin",     "copyfull",  "copybad",
                                    "copylate",   "copyout 9",  "remarks",   "refuse",
                                    "fail; ok",   "param",      "",          "copyin; x"};
static const uint8_t letters[] = {WIRE_FLUSH, WIRE_SYNC, WIRE_TERMINATE, WIRE_COPY_DONE};

static void extended(struct sim *sim, const char *text, uint32_t limit)
{
    struct wire_str none = {.data = "", .bytes = 0};
    struct wire_str vql = {.data = text, .bytes = (uint32_t)strlen(text)};
    wire_write_parse(&sim->out, &(struct wire_parse_message){.name = none, .text = vql});
    wire_write_bind(&sim->out, none, none, NULL, 0);
    wire_write_execute(&sim->out, none, limit);
    sim_flush(sim);
}

static void say_bytes(struct sim *sim, struct reader *r, size_t bytes, const uint8_t *type)
{
    bytes = bytes < reader_left(r) ? bytes : reader_left(r);
    const uint8_t *data = reader_bytes(r, bytes);
    if (type != NULL) {
        size_t begun_at = wire_begin(&sim->out, (enum wire_type) * type);
        buf_bytes(&sim->out, data, bytes);
        wire_end(&sim->out, begun_at);
    } else {
        buf_bytes(&sim->out, data, bytes);
    }
    sim_flush(sim);
}

/* What the client does. */
static bool client_operation(struct sim *sim, uint8_t operation, uint8_t arg, struct reader *r)
{
    const char *text = texts[arg % COUNT_OF(texts)];
    switch (operation) {
    case OP_BYTES:
        say_bytes(sim, r, arg, NULL);
        return true;
    case OP_FRAME:
        say_bytes(sim, r, reader_u8(r), &arg);
        return true;
    case OP_STARTUP:
        sim_startup(sim);
        return true;
    case OP_QUERY:
        wire_write_text(&sim->out, WIRE_QUERY, text, strlen(text));
        sim_flush(sim);
        return true;
    case OP_EXTENDED:
        extended(sim, text, arg / COUNT_OF(texts));
        return true;
    case OP_EMPTY:
        wire_write_empty(&sim->out, (enum wire_type)letters[arg % COUNT_OF(letters)]);
        sim_flush(sim);
        return true;
    case OP_READ:
        sim_read(sim);
        return true;
    case OP_SHUT:
        sim_shut(sim);
        return true;
    case OP_LEAVE:
        sim_leave(sim);
        return true;
    default:
        return false;
    }
}

static void change_limits(struct sim *sim, uint8_t arg)
{
    struct session_limits limits = {.frame_bytes_max = (size_t)1 << arg % 17,
                                    .output_bytes_max = (size_t)1 << arg / 17 % 17,
                                    .timeout_us = (uint64_t)SIM_TIMEOUT_US / (arg % 3 + 1)};
    sessions_limit(&sim->net, &limits);
}

static void other_operation(struct sim *sim, uint8_t operation, uint8_t arg)
{
    switch (operation) {
    case OP_TIME:
        sim_pass(sim, UINT64_C(1) << arg % 25);
        break;
    case OP_WAKE:
        (void)fake_wake_now();
        break;
    case OP_CANCEL:
        if (sim_session(sim) != NULL && sim_session(sim)->query != NULL) {
            query_session_cancel(sim_session(sim)->query);
        }
        break;
    case OP_DRAIN:
        sessions_drain(&sim->net);
        break;
    case OP_LIMITS:
        change_limits(sim, arg);
        break;
    case OP_CLOSE:
        sessions_close(&sim->net);
        break;
    default: /* OP_TURN, and all that has no meaning. */
        sim_turn(sim, 1);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct sim sim;
    struct reader r;
    log_set_level(LOG_ERROR);
    reader_init(&r, data, bytes);
    sim_open(&sim);
    for (unsigned i = 0; i < OPERATIONS_MAX && reader_left(&r) >= 2; i++) {
        uint8_t operation = reader_u8(&r), arg = reader_u8(&r);
        if (!client_operation(&sim, operation, arg, &r)) {
            other_operation(&sim, operation, arg);
        }
    }
    sim_close(&sim);
    return 0;
}
