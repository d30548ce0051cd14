/* Statements of a session: simple and extended query, back-pressure, COPY. */
#include "script.h"

#include <stdio.h>
#include <string.h>

/* ---- simple query ---- */

static void one_query_runs_all_its_statements(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "rows 2; ok; rows 0");
    expect(&p, "rwwkkrkZ");
    say(&p, "");
    expect(&p, "eZ");
    say(&p, "ok; ");
    expect(&p, "kZ");
    leave(&p);
    site_close(&site);
}

static void an_error_ends_the_query_and_its_position_is_of_the_whole_text(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "ok; fail; ok");
    expect(&p, "k!");
    assert_error(&p, ERR_DUPLICATE_KEY, "ERROR", 3 + 3);
    expect(&p, "Z");
    say(&p, "ok; refuse");
    expect(&p, "k!");
    assert_error(&p, ERR_SYNTAX, "ERROR", 5);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

static void a_query_that_waits_goes_on_with_the_rest_of_its_text(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "wait; rows 1; wait; ok");
    say(&p, "ok"); /* Stays queued behind it. */
    send_all(&p);
    fake_wake();
    fake_wake();
    expect(&p, "krwkkkZkZ");
    leave(&p);
    site_close(&site);
}

/* @statements and so many blanks behind them that the text is long, even of the last one. */
static void make_long(char text[2 * PREPARED_INLINE_BYTES], const char *statements)
{
    memset(text, ' ', 2 * PREPARED_INLINE_BYTES);
    memcpy(text, statements, strlen(statements));
    text[2 * PREPARED_INLINE_BYTES - 1] = '\0';
}

static void a_long_text_is_prepared_elsewhere_and_answered_in_order(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    char text[2 * PREPARED_INLINE_BYTES];
    site_open(&site);
    start(&site, &p);
    make_long(text, "rows 1; wait; ok; rows 2; ok");
    say(&p, text);
    say(&p, "ok"); /* Stays queued behind it. */
    send_all(&p);
    fake_wake();
    expect(&p, "rwkkkrwwkkZkZ");
    make_long(text, "ok; refuse; ok");
    say(&p, text);
    expect(&p, "k!");
    assert_error(&p, ERR_SYNTAX, "ERROR", 5);
    expect(&p, "Z");
    make_long(text, "");
    say(&p, text);
    expect(&p, "eZ");
    make_long(text, "rows 2");
    say_parse(&p, "s", text);
    say_bind(&p, "", "s");
    say_execute(&p, "", 0);
    say_parse(&p, "s", text);
    say_sync(&p);
    expect(&p, "12wwk!Z");
    make_long(text, "rows 2; ok");
    say_parse(&p, "t", text);
    say_sync(&p);
    expect(&p, "!Z");
    leave(&p);
    site_close(&site);
}

static void a_client_may_leave_while_its_text_is_prepared(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    char text[2 * PREPARED_INLINE_BYTES];
    site_open(&site);
    for (int i = 0; i < 20; i++) {
        start(&site, &p);
        make_long(text, "rows 1; rows 2");
        if (i % 2 == 0) {
            say(&p, text);
        } else {
            say_parse(&p, "", text);
        }
        send_all(&p);
        leave(&p);
    }
    site_close(&site);
}

static void remarks_arrive_before_the_end_of_their_statement(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "remarks");
    expect(&p, "NsgkZ");
    leave(&p);
    connect_peer(&site, &p); /* One that did not ask for progress. */
    say_startup(&p, NULL, NULL);
    say(&p, "remarks");
    expect(&p, "RsKZNskZ");
    leave(&p);
    site_close(&site);
}

static void a_row_that_no_output_can_hold_fails_its_statement_only(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "big");
    expect(&p, "r!");
    assert_error(&p, ERR_OUT_OF_MEMORY, "ERROR", 0);
    expect(&p, "Z");
    say(&p, "rows 1");
    expect(&p, "rwkZ");
    leave(&p);
    site_close(&site);
}

static void a_result_larger_than_the_output_waits_for_its_reader(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "rows 500000");
    expect(&p, "r");
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    while (fake_output_bytes() == 0) { /* Until the server runs into the bound of what it holds. */
        assert_true(clock_micros() < deadline_us);
        clock_sleep_micros(1000);
    }
    for (int i = 0; i < 500000; i++) {
        assert_int_equal(next_frame(&p), 'w');
    }
    expect(&p, "k");
    assert_int_equal(rows_of_complete(&p), 500000);
    expect(&p, "Z");
    assert_true(fake_output_bytes() < 200000);
    leave(&p);
    site_close(&site);
}

/* ---- extended query ---- */

static void a_pipeline_is_answered_in_order(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_parse(&p, "s", "rows 2");
    say_bind(&p, "p", "s");
    wire_write_named(&p.out, WIRE_DESCRIBE, WIRE_KIND_STATEMENT, str("s"));
    wire_write_named(&p.out, WIRE_DESCRIBE, WIRE_KIND_PORTAL, str("p"));
    say_execute(&p, "p", 0);
    wire_write_named(&p.out, WIRE_CLOSE, WIRE_KIND_STATEMENT, str("s"));
    wire_write_named(&p.out, WIRE_CLOSE, WIRE_KIND_PORTAL, str("never was"));
    say_all(&p, "wait", 0);
    say_all(&p, "ok", 0);
    say_sync(&p);
    send_all(&p);
    fake_wake();
    expect(&p, "12trrwwk33"
               "12k12kZ");
    leave(&p);
    site_close(&site);
}

static void after_an_error_all_is_skipped_up_to_the_sync(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_all(&p, "ok", 0);
    say_all(&p, "fail", 0);
    say_all(&p, "ok", 0);
    say(&p, "ok");
    say_sync(&p);
    say_all(&p, "rows 1", 0);
    say_sync(&p);
    expect(&p, "12k12!Z12wkZ");
    leave(&p);
    site_close(&site);
}

static void errors_of_each_extended_message_skip_too(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_parse(&p, "", "refuse");
    say_sync(&p);
    expect(&p, "!");
    assert_error(&p, ERR_SYNTAX, "ERROR", 1);
    expect(&p, "Z");
    say_parse(&p, "", "ok; ok");
    say_sync(&p);
    expect(&p, "!");
    assert_error(&p, ERR_SYNTAX, "ERROR", 0);
    expect(&p, "Z");
    say_bind(&p, "", "nobody");
    say_sync(&p);
    expect(&p, "!");
    assert_error(&p, ERR_UNKNOWN_STATEMENT, "ERROR", 0);
    expect(&p, "Z");
    say_execute(&p, "nobody", 0);
    say_sync(&p);
    expect(&p, "!");
    assert_error(&p, ERR_UNKNOWN_PORTAL, "ERROR", 0);
    expect(&p, "Z");
    say_parse(&p, "s", "ok");
    say_parse(&p, "s", "ok");
    say_sync(&p);
    expect(&p, "1!");
    assert_error(&p, ERR_DUPLICATE_STATEMENT, "ERROR", 0);
    expect(&p, "Z");
    say_bind(&p, "p", "s");
    say_bind(&p, "p", "s");
    say_sync(&p);
    expect(&p, "2!");
    assert_error(&p, ERR_DUPLICATE_PORTAL, "ERROR", 0);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

static void errors_of_the_extended_protocol_are_sent_at_once(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_all(&p, "fail", 0); /* Neither a SYNC nor a FLUSH follows. */
    expect(&p, "12!");
    wire_write_empty(&p.out, WIRE_FLUSH);
    say_sync(&p);
    expect(&p, "Z");
    say_parse(&p, "", "refuse");
    expect(&p, "!");
    say_sync(&p);
    expect(&p, "Z");
    say_all(&p, "copybad", 0);
    expect(&p, "12G");
    say_data(&p, 100);
    expect(&p, "!");
    say_data(&p, 100);
    say_sync(&p);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

static const char *const bad_names[] = {"\xff", "a\nb", "\xc3", "\x7f"};

static void names_that_are_no_text_are_refused_by_each_message(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    for (size_t i = 0; i < COUNT_OF(bad_names) * 8; i++) {
        const char *name = bad_names[i / 8];
        switch (i % 8) {
        case 0:
            say_parse(&p, name, "ok");
            break;
        case 1:
            say_bind(&p, name, "");
            break;
        case 2:
            say_bind(&p, "", name);
            break;
        case 3:
            say_execute(&p, name, 0);
            break;
        default:
            wire_write_named(&p.out, i % 2 == 0 ? WIRE_DESCRIBE : WIRE_CLOSE,
                             i % 8 < 6 ? WIRE_KIND_STATEMENT : WIRE_KIND_PORTAL, str(name));
            break;
        }
        say_sync(&p);
        expect(&p, "!");
        assert_error(&p, ERR_BAD_ENCODING, "ERROR", 0);
        expect(&p, "Z");
    }
    say(&p, "copyin");
    expect(&p, "G");
    wire_write_text(&p.out, WIRE_COPY_FAIL, "why\n\xff", 5);
    expect(&p, "!");
    assert_error(&p, ERR_CANCELED, "ERROR", 0);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

/* A frame of the peer with a byte more than its message. */
static void add_a_byte(struct peer *p, size_t begun_at)
{
    buf_u8(&p->out, 0);
    wire_end(&p->out, begun_at);
}

static void say_one(struct peer *p, enum wire_type type)
{
    switch (type) {
    case WIRE_QUERY:
    case WIRE_COPY_FAIL:
        wire_write_text(&p->out, type, "ok", 2);
        break;
    case WIRE_PARSE:
        say_parse(p, "", "ok");
        break;
    case WIRE_BIND:
        say_bind(p, "", "");
        break;
    case WIRE_EXECUTE:
        say_execute(p, "", 0);
        break;
    case WIRE_DESCRIBE:
    case WIRE_CLOSE:
        wire_write_named(&p->out, type, WIRE_KIND_PORTAL, str(""));
        break;
    case WIRE_STARTUP:
        say_startup(p, NULL, NULL);
        break;
    default:
        wire_write_empty(&p->out, type);
        break;
    }
}

static void a_byte_too_many_is_refused_in_each_message_and_state(void **state)
{
    (void)state;
    static const struct {
        const char *first; /* A QUERY that comes before; NULL: not even a start-up. */
        const char *trace, *letters;
    } cases[] = {
        {NULL, "", "S"},
        {"ok", "kZ", "QPBDECHYTfc"},
        {"copyin", "G", "HYTfc"},
    };
    struct site site;
    struct peer p;
    site_open(&site);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (const char *letter = cases[i].letters; *letter != '\0'; letter++) {
            if (cases[i].first == NULL) {
                connect_peer(&site, &p);
            } else {
                start(&site, &p);
                say(&p, cases[i].first);
                expect(&p, cases[i].trace);
            }
            size_t begun_at = p.out.bytes;
            say_one(&p, (enum wire_type) * letter);
            add_a_byte(&p, begun_at);
            expect(&p, "!");
            assert_error(&p, ERR_PROTOCOL_VIOLATION, "FATAL", 0);
            expect(&p, ".");
            leave(&p);
        }
    }
    start(&site, &p); /* And while all is skipped. */
    say_all(&p, "fail", 0);
    expect(&p, "12!");
    say_sync(&p);
    add_a_byte(&p, 0);
    expect(&p, "!.");
    leave(&p);
    site_close(&site);
}

static void a_row_limit_suspends_and_the_next_execute_goes_on(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_all(&p, "rows 5", 2);
    say_sync(&p);
    expect(&p, "12wwuZ");
    say_execute(&p, "", 2);
    say_execute(&p, "", 2);
    say_sync(&p);
    expect(&p, "wwuwkZ");
    say_execute(&p, "", 2); /* It has ended. */
    say_sync(&p);
    expect(&p, "!Z");
    leave(&p);
    site_close(&site);
}

static void a_row_limit_counts_through_a_full_output(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_all(&p, "rows 1000000", 200000);
    say_sync(&p);
    expect(&p, "12");
    clock_sleep_micros(20000);
    for (int i = 0; i < 200000; i++) {
        assert_int_equal(next_frame(&p), 'w');
    }
    expect(&p, "uZ");
    leave(&p);
    site_close(&site);
}

static void parameters_arrive_as_they_were_sent(void **state)
{
    (void)state;
    static const float vector[] = {0.5F, -1, 2};
    struct value value = value_vector(vector, 3);
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_parse(&p, "", "param");
    wire_write_bind(&p.out, str(""), str(""), &value, 1);
    say_execute(&p, "", 0);
    say_sync(&p);
    expect(&p, "12w");
    struct reader r;
    uint16_t n;
    struct arena *arena = arena_new(MEM_STATEMENT, 1 << 16);
    reader_init(&r, p.last.payload, p.last.payload_bytes);
    assert_true(wire_read_column_count(&r, &n));
    struct value got = value_read(&r, arena);
    assert_true(reader_done(&r) && value_compare(&got, &value) == 0);
    arena_free(arena);
    expect(&p, "kZ");
    leave(&p);
    site_close(&site);
}

static void empty_statements_and_missing_parameters_are_told(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_parse(&p, "", " ");
    wire_write_named(&p.out, WIRE_DESCRIBE, WIRE_KIND_STATEMENT, str(""));
    say_bind(&p, "", "");
    say_execute(&p, "", 0);
    say_sync(&p);
    expect(&p, "1tn2eZ");
    say_all(&p, "param", 0);
    say_sync(&p);
    expect(&p, "1!");
    assert_error(&p, ERR_UNKNOWN_PARAMETER, "ERROR", 0);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

static void names_are_bounded_in_number_and_length(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    char name[80];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "portal %d", i);
        say_parse(&p, "", "ok");
        say_bind(&p, name, "");
    }
    say_bind(&p, "one more", "");
    say_sync(&p);
    for (int i = 0; i < 100; i++) {
        expect(&p, "12");
    }
    expect(&p, "!");
    assert_error(&p, ERR_TOO_MANY_ITEMS, "ERROR", 0);
    expect(&p, "Z");
    memset(name, 'x', sizeof name);
    name[64] = '\0';
    say_parse(&p, name, "ok");
    say_sync(&p);
    expect(&p, "!");
    assert_error(&p, ERR_NAME_TOO_LONG, "ERROR", 0);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

/* ---- COPY ---- */

static void copy_in_takes_data_and_tells_how_much(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "copyin; ok");
    expect(&p, "G");
    say_data(&p, 1000);
    say_data(&p, 0);
    say_data(&p, 234);
    wire_write_empty(&p.out, WIRE_COPY_DONE);
    expect(&p, "k");
    assert_int_equal(rows_of_complete(&p), 1234);
    expect(&p, "kZ");
    leave(&p);
    site_close(&site);
}

static void copy_in_holds_the_data_while_it_is_full(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "copyfull");
    expect(&p, "G");
    for (int i = 0; i < 20; i++) {
        say_data(&p, 100);
    }
    wire_write_empty(&p.out, WIRE_COPY_DONE);
    send_all(&p);
    for (int i = 0; i < 20; i++) {
        fake_wake();
    }
    expect(&p, "k");
    assert_int_equal(rows_of_complete(&p), 2000);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

static void a_copy_that_fails_throws_the_rest_of_its_data_away(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "copybad; ok");
    expect(&p, "G");
    for (int i = 0; i < 10; i++) {
        say_data(&p, 100);
    }
    wire_write_empty(&p.out, WIRE_COPY_DONE);
    expect(&p, "!");
    assert_error(&p, ERR_BAD_COPY_DATA, "ERROR", 0);
    expect(&p, "Z");
    say(&p, "copyin");
    expect(&p, "G");
    wire_write_text(&p.out, WIRE_COPY_FAIL, "changed my mind", 15);
    expect(&p, "!Z");
    say_all(&p, "copybad", 0);
    expect(&p, "12G");
    say_data(&p, 100);
    say_data(&p, 100);
    wire_write_empty(&p.out, WIRE_COPY_DONE);
    say_sync(&p);
    expect(&p, "!Z");
    leave(&p);
    site_close(&site);
}

static void a_copy_that_fails_while_it_holds_the_data_says_so_at_once(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "copylate; ok");
    expect(&p, "G");
    say_data(&p, 100);
    say_data(&p, 100);
    send_all(&p);
    fake_wake();
    expect(&p, "!Z"); /* The client has not ended its data yet. */
    say_data(&p, 100);
    wire_write_empty(&p.out, WIRE_COPY_DONE);
    say(&p, "ok");
    expect(&p, "kZ");
    leave(&p);
    site_close(&site);
}

static void a_sync_sent_ahead_of_the_copy_data_is_ignored(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_all(&p, "copyin", 0);
    say_sync(&p);
    expect(&p, "12G");
    say_data(&p, 7);
    wire_write_empty(&p.out, WIRE_COPY_DONE);
    say_sync(&p);
    expect(&p, "kZ");
    leave(&p);
    site_close(&site);
}

static void copy_out_announces_itself_and_waits_for_its_reader(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say(&p, "copyout 1000; copyout 0");
    expect(&p, "O");
    clock_sleep_micros(20000);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(next_frame(&p), 'd');
    }
    expect(&p, "ckOckZ");
    leave(&p);
    site_close(&site);
}

int main(void)
{
    log_set_level(LOG_WARNING);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_query_runs_all_its_statements),
        cmocka_unit_test(an_error_ends_the_query_and_its_position_is_of_the_whole_text),
        cmocka_unit_test(a_query_that_waits_goes_on_with_the_rest_of_its_text),
        cmocka_unit_test(a_long_text_is_prepared_elsewhere_and_answered_in_order),
        cmocka_unit_test(a_client_may_leave_while_its_text_is_prepared),
        cmocka_unit_test(remarks_arrive_before_the_end_of_their_statement),
        cmocka_unit_test(a_row_that_no_output_can_hold_fails_its_statement_only),
        cmocka_unit_test(a_result_larger_than_the_output_waits_for_its_reader),
        cmocka_unit_test(a_pipeline_is_answered_in_order),
        cmocka_unit_test(after_an_error_all_is_skipped_up_to_the_sync),
        cmocka_unit_test(errors_of_each_extended_message_skip_too),
        cmocka_unit_test(errors_of_the_extended_protocol_are_sent_at_once),
        cmocka_unit_test(names_that_are_no_text_are_refused_by_each_message),
        cmocka_unit_test(a_byte_too_many_is_refused_in_each_message_and_state),
        cmocka_unit_test(a_row_limit_suspends_and_the_next_execute_goes_on),
        cmocka_unit_test(a_row_limit_counts_through_a_full_output),
        cmocka_unit_test(parameters_arrive_as_they_were_sent),
        cmocka_unit_test(empty_statements_and_missing_parameters_are_told),
        cmocka_unit_test(names_are_bounded_in_number_and_length),
        cmocka_unit_test(copy_in_takes_data_and_tells_how_much),
        cmocka_unit_test(copy_in_holds_the_data_while_it_is_full),
        cmocka_unit_test(a_copy_that_fails_throws_the_rest_of_its_data_away),
        cmocka_unit_test(a_copy_that_fails_while_it_holds_the_data_says_so_at_once),
        cmocka_unit_test(a_sync_sent_ahead_of_the_copy_data_is_ignored),
        cmocka_unit_test(copy_out_announces_itself_and_waits_for_its_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
