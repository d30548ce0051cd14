/* Sessions from their start-up to their end: options, admission, cancel, violations, drain. */
#include "script.h"

#include <string.h>
#include <sys/socket.h>

/* ---- start-up ---- */

static void a_start_up_is_answered_with_status_key_and_ready(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    assert_true(p.key.session != 0 && p.key.secret != 0);
    wire_write_empty(&p.out, WIRE_TERMINATE);
    expect(&p, ".");
    leave(&p);
    site_close(&site);
}

static void bad_starts_get_one_error_and_a_clean_close(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    connect_peer(&site, &p); /* A later major version. */
    wire_write_startup(&p.out, &(struct wire_startup){.magic = WIRE_MAGIC, .major = 9});
    expect(&p, "!");
    assert_error(&p, ERR_VERSION_UNSUPPORTED, "FATAL", 0);
    expect(&p, ".");
    leave(&p);

    connect_peer(&site, &p); /* No magic. */
    wire_write_startup(&p.out, &(struct wire_startup){.magic = 1, .major = 1});
    expect(&p, "!");
    assert_error(&p, ERR_PROTOCOL_VIOLATION, "FATAL", 0);
    expect(&p, ".");
    leave(&p);

    connect_peer(&site, &p); /* Not a start-up. */
    say(&p, "ok");
    expect(&p, "!.");
    leave(&p);

    connect_peer(&site, &p); /* A STARTUP over its bound. */
    buf_bytes(&p.out, "S\x01\x20\0\0", 5);
    expect(&p, "!");
    assert_error(&p, ERR_FRAME_TOO_LARGE, "FATAL", 0);
    expect(&p, ".");
    leave(&p);

    connect_peer(&site, &p); /* Another protocol: its first bytes claim a huge frame. */
    buf_bytes(&p.out, "GET / HTTP/1.1\r\n\r\n", 18);
    expect(&p, "!");
    assert_error(&p, ERR_PROTOCOL_VIOLATION, "FATAL", 0);
    expect(&p, ".");
    leave(&p);
    site_close(&site);
}

static void options_of_the_start_up_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        enum errcode code;
    } cases[] = {
        {"recal", "0.9", ERR_UNKNOWN_POLICY},   {"recall", "7", ERR_POLICY_BOUNDS},
        {"net_threads", "2", ERR_POLICY_SCOPE}, {"progress", "maybe", ERR_BAD_PARAMETER},
        {"user", "\xff", ERR_BAD_ENCODING},     {"recall", "0.9\xff", ERR_BAD_ENCODING},
        {"rec\xff", "0.9", ERR_BAD_ENCODING},
    };
    struct site site;
    struct peer p;
    site_open(&site);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        connect_peer(&site, &p);
        say_startup(&p, cases[i].name, cases[i].value);
        expect(&p, "!");
        assert_error(&p, cases[i].code, "FATAL", 0);
        expect(&p, ".");
        leave(&p);
    }
    connect_peer(&site, &p);
    say_startup(&p, "recall", "0.98");
    expect(&p, "RsKZ");
    leave(&p);
    site_close(&site);
}

static void sessions_over_max_connections_are_refused_until_one_leaves(void **state)
{
    (void)state;
    struct site site;
    struct peer first, second;
    site_open(&site);
    atomic_store(&site.host.n_admitted_max, 1);
    int64_t accepted = metric_value(METRIC_connections_accepted);
    int64_t refused = metric_value(METRIC_connections_refused);
    start(&site, &first);
    connect_peer(&site, &second);
    say_startup(&second, NULL, NULL);
    expect(&second, "!");
    assert_error(&second, ERR_TOO_MANY_CONNECTIONS, "FATAL", 0);
    expect(&second, ".");
    leave(&second);
    wire_write_empty(&first.out, WIRE_TERMINATE);
    expect(&first, ".");
    leave(&first);
    while (atomic_load(&site.host.n_admitted) > 0) {
        clock_sleep_micros(100);
    }
    start(&site, &second);
    leave(&second);
    assert_int_equal(metric_value(METRIC_connections_accepted), accepted + 3);
    assert_int_equal(metric_value(METRIC_connections_refused), refused + 1);
    site_close(&site);
}

static void a_server_that_is_not_ready_says_so_and_cancels_nothing(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    struct database *db = atomic_exchange(&site.host.db, NULL);
    connect_peer(&site, &p);
    say_startup(&p, NULL, NULL);
    expect(&p, "!");
    assert_error(&p, ERR_NOT_READY, "FATAL", 0);
    expect(&p, ".");
    leave(&p);
    connect_peer(&site, &p);
    wire_write_key(&p.out, WIRE_CANCEL, &(struct wire_key){.session = 1, .secret = 1});
    expect(&p, ".");
    leave(&p);
    atomic_store(&site.host.db, db);
    start(&site, &p);
    leave(&p);
    site_close(&site);
}

static void a_malformed_cancel_is_not_answered(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    int64_t faults = metric_value(METRIC_protocol_errors);
    connect_peer(&site, &p);
    wire_write_key(&p.out, WIRE_CANCEL, &(struct wire_key){.session = 1, .secret = 1});
    p.out.data[WIRE_HEADER_BYTES] ^= 1; /* Its magic. */
    expect(&p, ".");
    leave(&p);
    connect_peer(&site, &p);
    buf_bytes(&p.out, "X\x01\x20\0\0", 5);
    p.out.data[0] = WIRE_CANCEL; /* Over its bound. */
    expect(&p, ".");
    leave(&p);
    connect_peer(&site, &p);
    wire_write_key(&p.out, WIRE_CANCEL, &(struct wire_key){.session = 1, .secret = 1});
    buf_u8(&p.out, 0); /* A byte too many. */
    wire_end(&p.out, 0);
    expect(&p, ".");
    leave(&p);
    assert_int_equal(metric_value(METRIC_protocol_errors), faults + 3);
    site_close(&site);
}

static void silence_before_the_start_up_is_cut_with_its_reason(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    site.net.limits.timeout_us = 30000;
    connect_peer(&site, &p);
    expect(&p, "!");
    assert_error(&p, ERR_IDLE, "FATAL", 0);
    expect(&p, ".");
    leave(&p);
    site_close(&site);
}

/* ---- cancel, violations, and ends ---- */

static void a_cancel_with_the_right_key_ends_the_statement(void **state)
{
    (void)state;
    struct site site;
    struct peer p, other;
    site_open(&site);
    start(&site, &p);
    unsigned before = fake_cancels();
    say(&p, "wait; ok");
    send_all(&p);
    connect_peer(&site, &other);
    struct wire_key wrong = {.session = p.key.session, .secret = p.key.secret + 1};
    wire_write_key(&other.out, WIRE_CANCEL, &wrong);
    expect(&other, ".");
    leave(&other);
    assert_int_equal(fake_cancels(), before);
    connect_peer(&site, &other);
    wire_write_key(&other.out, WIRE_CANCEL, &p.key);
    expect(&other, ".");
    leave(&other);
    expect(&p, "!");
    assert_error(&p, ERR_CANCELED, "ERROR", 0);
    expect(&p, "Z");
    say(&p, "ok");
    expect(&p, "kZ");
    leave(&p);
    site_close(&site);
}

static void violations_get_one_error_then_the_end(void **state)
{
    (void)state;
    static const uint8_t letters[] = {WIRE_STARTUP, WIRE_CANCEL,        WIRE_QUERY, WIRE_PARSE,
                                      WIRE_BIND,    WIRE_EXECUTE,       WIRE_CLOSE, WIRE_DESCRIBE,
                                      WIRE_READY,   WIRE_AUTH_RESPONSE, 0,          255};
    struct site site;
    struct peer p;
    site_open(&site);
    int64_t before = metric_value(METRIC_protocol_errors);
    for (size_t i = 0; i < COUNT_OF(letters); i++) {
        start(&site, &p);
        size_t begun_at = wire_begin(&p.out, (enum wire_type)letters[i]);
        buf_u8(&p.out, 1); /* Too short for any of them. */
        wire_end(&p.out, begun_at);
        say(&p, "ok");
        expect(&p, "!");
        assert_error(&p, ERR_PROTOCOL_VIOLATION, "FATAL", 0);
        expect(&p, ".");
        leave(&p);
    }
    assert_int_equal(metric_value(METRIC_protocol_errors) - before, COUNT_OF(letters));
    start(&site, &p); /* Another statement in the middle of a COPY. */
    say(&p, "copyin");
    say(&p, "ok");
    expect(&p, "G!");
    assert_error(&p, ERR_PROTOCOL_VIOLATION, "FATAL", 0);
    expect(&p, ".");
    leave(&p);
    site_close(&site);
}

static void a_message_over_frame_max_is_named_in_its_error(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    buf_u8(&p.out, WIRE_QUERY);
    buf_u32(&p.out, (1 << 20) + 1);
    expect(&p, "!");
    assert_error(&p, ERR_FRAME_TOO_LARGE, "FATAL", 0);
    expect(&p, ".");
    leave(&p);
    site_close(&site);
}

static void a_client_that_leaves_in_the_middle_leaves_nothing_behind(void **state)
{
    (void)state;
    static const char *const texts[] = {"wait", "copyin", "copyfull", "rows 10000000"};
    struct site site;
    struct peer p;
    site_open(&site);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        start(&site, &p);
        say_parse(&p, "kept", "ok");
        say_bind(&p, "kept", "kept");
        say_parse(&p, "", texts[i]);
        say_bind(&p, "", "");
        wire_write_empty(&p.out, WIRE_FLUSH);
        expect(&p, "1212");
        say_execute(&p, "", 0);
        say_data(&p, 100);
        send_all(&p);
        leave(&p);
        while (fake_live() > 0) {
            clock_sleep_micros(100);
        }
    }
    site_close(&site);
}

/* The wake of a portal that was freed meanwhile must find the session, or what is left of it. */
static void a_wake_that_crosses_the_end_of_its_session_is_harmless(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    for (int i = 0; i < 300; i++) {
        start(&site, &p);
        say(&p, "wait; wait; wait");
        send_all(&p);
        fake_wake();
        leave(&p);
        while (fake_live() > 0) {
            clock_sleep_micros(10);
        }
    }
    site_close(&site);
}

static void drain_sessions(void *arg)
{
    sessions_drain(arg);
}

static void a_drain_tells_the_idle_and_lets_the_running_end(void **state)
{
    (void)state;
    struct site site;
    struct peer idle, running;
    site_open(&site);
    start(&site, &idle);
    start(&site, &running);
    say(&running, "wait; ok");
    send_all(&running);
    struct loop_post post = {.fn = drain_sessions, .arg = &site.net};
    loop_post(site.net.loop, &post);
    expect(&idle, "!");
    assert_error(&idle, ERR_SHUTTING_DOWN, "FATAL", 0);
    expect(&idle, ".");
    assert_false(atomic_load(&site.is_drained));
    fake_wake();
    expect(&running, "kkZ!");
    assert_error(&running, ERR_SHUTTING_DOWN, "FATAL", 0);
    expect(&running, ".");
    leave(&idle);
    leave(&running);
    while (!atomic_load(&site.is_drained)) {
        clock_sleep_micros(100);
    }
    site_close(&site);
}

/* Those that wait for their client, and what each gets at a stop. */
static void a_drain_tells_those_that_wait_for_their_client_at_once(void **state)
{
    (void)state;
    struct site site;
    struct peer copying, extended, suspended, skipping, piped;
    site_open(&site);
    start(&site, &copying);
    say(&copying, "copyin; ok");
    expect(&copying, "G");
    start(&site, &extended);
    say_all(&extended, "copyin", 0);
    expect(&extended, "12G");
    start(&site, &suspended);
    say_all(&suspended, "rows 5", 2);
    wire_write_empty(&suspended.out, WIRE_FLUSH);
    expect(&suspended, "12wwu");
    start(&site, &skipping);
    say_all(&skipping, "fail", 0);
    expect(&skipping, "12!");
    start(&site, &piped);
    say_all(&piped, "wait", 0); /* It runs; its SYNC is still to come. */
    send_all(&piped);
    struct loop_post post = {.fn = drain_sessions, .arg = &site.net};
    loop_post(site.net.loop, &post);
    expect(&copying, "!Z!");
    assert_error(&copying, ERR_SHUTTING_DOWN, "FATAL", 0);
    expect(&extended, "!");
    assert_error(&extended, ERR_SHUTTING_DOWN, "ERROR", 0);
    expect(&extended, "!.");
    expect(&suspended, "!.");
    expect(&skipping, "!.");
    fake_wake();
    expect(&piped, "12k!.");
    assert_error(&piped, ERR_SHUTTING_DOWN, "FATAL", 0);
    leave(&copying);
    leave(&extended);
    leave(&suspended);
    leave(&skipping);
    leave(&piped);
    site_close(&site);
}

static void cancel_by_key(struct site *site, const struct peer *of)
{
    struct peer p;
    connect_peer(site, &p);
    wire_write_key(&p.out, WIRE_CANCEL, &of->key);
    expect(&p, ".");
    leave(&p);
}

static void a_cancel_reaches_those_that_wait_for_their_client(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "copyin; ok");
    expect(&p, "G");
    cancel_by_key(&site, &p);
    expect(&p, "!");
    assert_error(&p, ERR_CANCELED, "ERROR", 0);
    expect(&p, "Z");
    say(&p, "rows 10000000");
    expect(&p, "r");
    while (fake_output_bytes() == 0) { /* Until there is no room for more of it. */
        clock_sleep_micros(1000);
    }
    cancel_by_key(&site, &p);
    char letter;
    while ((letter = next_frame(&p)) == 'w') {
    }
    assert_int_equal(letter, '!');
    assert_error(&p, ERR_CANCELED, "ERROR", 0);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

static void a_client_that_ends_its_sending_side_gets_its_answers(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "wait; ok");
    say(&p, "rows 3");
    say_all(&p, "rows 5", 2);
    send_all(&p);
    shutdown(p.fd, SHUT_WR);
    expect(&p, "s"); /* Is there anybody? */
    fake_wake();
    expect(&p, "kkZrwwwkZ12wwu.");
    leave(&p);
    start(&site, &p);
    say(&p, "copyin");
    send_all(&p);
    shutdown(p.fd, SHUT_WR);
    expect(&p, "G!");
    assert_error(&p, ERR_CANCELED, "ERROR", 0);
    expect(&p, "Z.");
    leave(&p);
    site_close(&site);
}

/* Every message, cut or filled with junk, in a session of its own: the server answers or closes. */
static void random_messages_never_break_a_session(void **state)
{
    (void)state;
    static const char letters[] = "QPBDECHYTfdcSX";
    struct site site;
    struct peer p;
    site_open(&site);
    uint64_t seed = 11;
    log_set_level(LOG_ERROR);
    for (int i = 0; i < 300; i++) {
        start(&site, &p);
        for (int j = 0; j < 20; j++) {
            char letter = letters[random_next(&seed) % (sizeof letters - 1)];
            size_t begun_at = wire_begin(&p.out, (enum wire_type)letter);
            for (uint64_t n = random_next(&seed) % 24; n > 0; n--) {
                buf_u8(&p.out, (uint8_t)(random_next(&seed) % 5 == 0 ? random_next(&seed) : 0));
            }
            wire_end(&p.out, begun_at);
        }
        (void)!send(p.fd, p.out.data, p.out.bytes, MSG_NOSIGNAL);
        shutdown(p.fd, SHUT_WR);
        while (next_frame(&p) != '.') {
        }
        leave(&p);
    }
    log_set_level(LOG_INFO);
    site_close(&site);
}

int main(void)
{
    log_set_level(LOG_WARNING);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_up_is_answered_with_status_key_and_ready),
        cmocka_unit_test(bad_starts_get_one_error_and_a_clean_close),
        cmocka_unit_test(options_of_the_start_up_are_checked),
        cmocka_unit_test(sessions_over_max_connections_are_refused_until_one_leaves),
        cmocka_unit_test(a_server_that_is_not_ready_says_so_and_cancels_nothing),
        cmocka_unit_test(a_malformed_cancel_is_not_answered),
        cmocka_unit_test(silence_before_the_start_up_is_cut_with_its_reason),
        cmocka_unit_test(a_cancel_with_the_right_key_ends_the_statement),
        cmocka_unit_test(violations_get_one_error_then_the_end),
        cmocka_unit_test(a_message_over_frame_max_is_named_in_its_error),
        cmocka_unit_test(a_client_that_leaves_in_the_middle_leaves_nothing_behind),
        cmocka_unit_test(a_wake_that_crosses_the_end_of_its_session_is_harmless),
        cmocka_unit_test(a_drain_tells_the_idle_and_lets_the_running_end),
        cmocka_unit_test(a_drain_tells_those_that_wait_for_their_client_at_once),
        cmocka_unit_test(a_cancel_reaches_those_that_wait_for_their_client),
        cmocka_unit_test(a_client_that_ends_its_sending_side_gets_its_answers),
        cmocka_unit_test(random_messages_never_break_a_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
