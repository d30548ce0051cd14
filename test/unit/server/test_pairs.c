/* Every two events in every state of a session, and every three of those that matter most, with and
 * without a turn of the loop between them.  sim.c judges what the client gets and what is left. */
#include "../unit.h"
#include "sim.h"

#include <stdio.h>

/* ---- what a client may say ---- */

static struct wire_str str(const char *text)
{
    return (struct wire_str){.data = text, .bytes = (uint32_t)strlen(text)};
}

static void query(struct sim *sim, const char *vql)
{
    wire_write_text(&sim->out, WIRE_QUERY, vql, strlen(vql));
}

static void extended(struct sim *sim, const char *vql, uint32_t limit)
{
    wire_write_parse(&sim->out, &(struct wire_parse_message){.name = str(""), .text = str(vql)});
    wire_write_bind(&sim->out, str(""), str(""), NULL, 0);
    wire_write_execute(&sim->out, str(""), limit);
}

static void empty(struct sim *sim, enum wire_type type)
{
    wire_write_empty(&sim->out, type);
}

static void padded(struct sim *sim, uint8_t type)
{
    size_t begun_at = wire_begin(&sim->out, (enum wire_type)type);
    buf_u8(&sim->out, 1);
    wire_end(&sim->out, begun_at);
}

/* ---- states ---- */

static void starting(struct sim *sim)
{
    (void)sim;
}

static void idle(struct sim *sim)
{
    sim_startup(sim);
}

static void running(struct sim *sim)
{
    sim_startup(sim);
    query(sim, "wait; ok");
}

static void running_extended(struct sim *sim)
{
    sim_startup(sim);
    extended(sim, "wait", 0);
}

static void flying(struct sim *sim)
{
    sim_startup(sim);
    for (int i = 0; i < 2; i++) {
        extended(sim, "write", 0);
        empty(sim, WIRE_SYNC);
    }
}

static void flying_and_skipping(struct sim *sim)
{
    flying(sim);
    extended(sim, "refuse", 0);
}

static void without_room(struct sim *sim)
{
    sim_startup(sim);
    query(sim, "rows 10000000; ok");
}

static void copying(struct sim *sim)
{
    sim_startup(sim);
    query(sim, "copyin; ok");
}

static void copying_extended(struct sim *sim)
{
    sim_startup(sim);
    extended(sim, "copyin", 0);
}

static void copying_and_full(struct sim *sim)
{
    sim_startup(sim);
    query(sim, "copyfull");
    padded(sim, WIRE_COPY_DATA);
}

static void skipping(struct sim *sim)
{
    sim_startup(sim);
    extended(sim, "fail", 0);
}

static void suspended(struct sim *sim)
{
    sim_startup(sim);
    extended(sim, "rows 5", 2);
}

static void closing(struct sim *sim)
{
    sim_startup(sim);
    padded(sim, 0);
}

static void closing_with_output(struct sim *sim)
{
    sim_startup(sim);
    query(sim, "rows 3000");
    padded(sim, WIRE_SYNC);
}

static const struct {
    const char *name;
    void (*reach)(struct sim *sim);
    enum session_state state;
} states[] = {
    {"starting", starting, SESSION_STARTING},
    {"idle", idle, SESSION_IDLE},
    {"running", running, SESSION_RUNNING},
    {"running, extended", running_extended, SESSION_RUNNING},
    {"flying", flying, SESSION_IDLE},
    {"flying and skipping", flying_and_skipping, SESSION_SKIPPING},
    {"without room", without_room, SESSION_RUNNING},
    {"copying", copying, SESSION_COPY_IN},
    {"copying, extended", copying_extended, SESSION_COPY_IN},
    {"copying and full", copying_and_full, SESSION_RUNNING},
    {"skipping", skipping, SESSION_SKIPPING},
    {"suspended", suspended, SESSION_IDLE},
    {"closing", closing, SESSION_CLOSING},
    {"closing with output", closing_with_output, SESSION_RUNNING},
};

/* ---- events ---- */

enum event {
    /* These come in threes too. */
    HALF_A_FRAME,
    TIME_PASSES,
    WAKE,
    DRAIN,
    CANCEL_ALL,
    SHUT,
    LEAVE,
    READ,
    SAY_QUERY,
    SAY_SYNC,
    SAY_COPY_DATA,
    SAY_COPY_DONE,
    IN_THREES,
    SAY_COPY_FAIL = IN_THREES,
    SAY_STARTUP,
    SAY_CANCEL,
    SAY_WAIT,
    SAY_COPY,
    SAY_ROWS,
    SAY_EXTENDED,
    SAY_EXECUTE,
    SAY_DESCRIBE,
    SAY_CLOSE,
    SAY_FLUSH,
    SAY_TERMINATE,
    SAY_PADDED_SYNC,
    SAY_JUNK,
    SAY_TOO_MUCH,
    A_LITTLE_TIME,
    LIMITS,
    CLOSE_ALL,
    EVENTS
};

/* A cancel request of another connection that fits. */
static void cancel_by_key(struct sim *sim)
{
    if (sim_session(sim) != NULL && sim_session(sim)->query != NULL) {
        query_session_cancel(sim_session(sim)->query);
    }
}

static void say(struct sim *sim, enum event event)
{
    static const uint8_t half[] = {WIRE_STARTUP, 9};
    static const uint8_t too_much[] = {WIRE_QUERY, 0xff, 0xff, 0xff, 0x7f};
    switch (event) {
    case HALF_A_FRAME:
        buf_bytes(&sim->out, half, sizeof half);
        break;
    case SAY_QUERY:
        query(sim, "ok; rows 1");
        break;
    case SAY_SYNC:
        empty(sim, WIRE_SYNC);
        break;
    case SAY_COPY_DATA:
        padded(sim, WIRE_COPY_DATA);
        break;
    case SAY_COPY_DONE:
        empty(sim, WIRE_COPY_DONE);
        break;
    case SAY_COPY_FAIL:
        wire_write_text(&sim->out, WIRE_COPY_FAIL, "why\n\xff", 5);
        break;
    case SAY_STARTUP:
        wire_write_startup(&sim->out, &(struct wire_startup){.magic = WIRE_MAGIC, .major = 1});
        break;
    case SAY_CANCEL:
        wire_write_key(&sim->out, WIRE_CANCEL, &(struct wire_key){.session = 1});
        break;
    case SAY_WAIT:
        query(sim, "wait; fail");
        break;
    case SAY_COPY:
        query(sim, "copylate");
        break;
    case SAY_ROWS:
        query(sim, "rows 3000");
        break;
    case SAY_EXTENDED:
        extended(sim, "rows 3", 1);
        break;
    case SAY_EXECUTE:
        wire_write_execute(&sim->out, str(""), 1);
        break;
    case SAY_DESCRIBE:
        wire_write_named(&sim->out, WIRE_DESCRIBE, WIRE_KIND_PORTAL, str("\x01"));
        break;
    case SAY_CLOSE:
        wire_write_named(&sim->out, WIRE_CLOSE, WIRE_KIND_PORTAL, str(""));
        break;
    case SAY_FLUSH:
        empty(sim, WIRE_FLUSH);
        break;
    case SAY_TERMINATE:
        empty(sim, WIRE_TERMINATE);
        break;
    case SAY_PADDED_SYNC:
        padded(sim, WIRE_SYNC);
        break;
    case SAY_JUNK:
        padded(sim, 200);
        break;
    default:
        CHECK(event == SAY_TOO_MUCH);
        buf_bytes(&sim->out, too_much, sizeof too_much);
        break;
    }
    sim_flush(sim);
}

static void happen(struct sim *sim, enum event event)
{
    struct session_limits limits = sim->net.limits;
    switch (event) {
    case TIME_PASSES:
        sim_pass(sim, SIM_TIMEOUT_US + 1);
        break;
    case A_LITTLE_TIME:
        sim_pass(sim, SIM_TIMEOUT_US / 3);
        break;
    case WAKE:
        fake_wake_now();
        break;
    case DRAIN:
        sessions_drain(&sim->net);
        break;
    case CANCEL_ALL:
        cancel_by_key(sim);
        break;
    case SHUT:
        sim_shut(sim);
        break;
    case LEAVE:
        sim_leave(sim);
        break;
    case READ:
        sim_read(sim);
        break;
    case LIMITS:
        limits.timeout_us /= 2;
        limits.output_bytes_max /= 2;
        sessions_limit(&sim->net, &limits);
        break;
    case CLOSE_ALL:
        sessions_close(&sim->net);
        break;
    default:
        say(sim, event);
        break;
    }
}

/* ---- all of them ---- */

/* The events one after another; a bit of @turns says that the loop has turns before one. */
static void play(size_t state, const enum event *events, size_t n, unsigned turns)
{
    struct sim sim;
    sim_open(&sim);
    states[state].reach(&sim);
    sim_flush(&sim);
    sim_turn(&sim, 3);
    assert_int_equal(sim_session(&sim)->state, states[state].state);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && (turns >> i & 1) != 0) {
            sim_turn(&sim, 2);
        }
        happen(&sim, events[i]);
    }
    sim_turn(&sim, 3);
    sim_close(&sim);
}

static void every_two_events_in_every_state_have_a_move(void **state)
{
    (void)state;
    unsigned n = 0;
    size_t memory_bytes = sim_memory_bytes();
    for (size_t at = 0; at < COUNT_OF(states); at++) {
        for (unsigned i = 0; i < EVENTS * EVENTS * 2; i++) {
            enum event events[] = {i / 2 / EVENTS, i / 2 % EVENTS};
            play(at, events, COUNT_OF(events), (i & 1) << 1);
            n++;
        }
    }
    assert_int_equal(sim_memory_bytes(), memory_bytes);
    printf("%u pairs\n", n);
}

static void every_three_of_the_events_that_matter_most_have_a_move(void **state)
{
    (void)state;
    unsigned n = 0;
    size_t memory_bytes = sim_memory_bytes();
    for (size_t at = 0; at < COUNT_OF(states); at++) {
        for (unsigned i = 0; i < IN_THREES * IN_THREES * IN_THREES; i++) {
            enum event events[] = {i / IN_THREES / IN_THREES, i / IN_THREES % IN_THREES,
                                   i % IN_THREES};
            for (unsigned turns = 0; turns < GOOD_MEASURE(8, 2); turns += 6) {
                play(at, events, COUNT_OF(events), turns);
                n++;
            }
        }
    }
    assert_int_equal(sim_memory_bytes(), memory_bytes);
    printf("%u triples\n", n);
}

/* ---- the pair that once stopped the server ---- */

static void half_a_start_up_and_silence_end_with_one_error(void **state)
{
    (void)state;
    struct sim sim;
    sim_open(&sim);
    sim_send(&sim, "S", 1);
    sim_turn(&sim, 1);
    sim_pass(&sim, SIM_TIMEOUT_US); /* The start-up is late, and the frame is. */
    sim_turn(&sim, 2);
    sim_read(&sim);
    assert_int_equal(sim.n_fatal, 1);
    assert_int_equal(sim.last_error, ERR_IDLE);
    sim_close(&sim);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_a_start_up_and_silence_end_with_one_error),
        cmocka_unit_test(every_two_events_in_every_state_have_a_move),
        cmocka_unit_test(every_three_of_the_events_that_matter_most_have_a_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
