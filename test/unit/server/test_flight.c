/* INSERTs, or SEARCHes, of a pipeline that are on their way together: answers in order, and nothing
 * else changes. */
#include "script.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    MANY = 300,
    TOGETHER_MAX = 128, /* As flight.c has it. */
    LONG_ROWS = 20000,  /* More than a flight may answer before it is the first. */
};

/* An INSERT of its own. */
static void say_write(struct peer *p, unsigned n)
{
    char text[32];
    snprintf(text, sizeof text, "write %u", n);
    say_all(p, text, 0);
    say_sync(p);
}

static void writes_with_a_sync_each_go_together_and_are_answered_in_order(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    for (unsigned n = 1; n <= 3; n++) {
        say_write(&p, n);
    }
    send_all(&p);
    fake_wait_for_writes(3);
    fake_land(3, true);
    fake_land(2, true);
    fake_land(1, true);
    expect(&p, "12kZ12kZ12kZ");
    leave(&p);
    site_close(&site);
}

static void one_that_fails_does_not_hurt_those_behind_its_sync(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    for (unsigned n = 1; n <= 3; n++) {
        say_write(&p, n);
    }
    send_all(&p);
    fake_land(3, true);
    fake_land(2, false);
    fake_land(1, true);
    expect(&p, "12kZ12!");
    assert_error(&p, ERR_DUPLICATE_KEY, "ERROR", 0);
    expect(&p, "Z12kZ");
    leave(&p);
    site_close(&site);
}

static void what_has_no_sync_of_its_own_waits_and_is_skipped_after_an_error(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_write(&p, 1);
    say_all(&p, "write 2", 0);
    say_all(&p, "write 3", 0);
    say_sync(&p);
    say_write(&p, 4);
    send_all(&p);
    fake_wait_for_writes(1); /* 2 has no SYNC, so it waits for 1. */
    fake_land(1, true);
    expect(&p, "12kZ");
    fake_wait_for_writes(1);
    fake_land(2, false);
    expect(&p, "12!Z");
    fake_land(4, true); /* 3 has never been. */
    expect(&p, "12kZ");
    leave(&p);
    site_close(&site);
}

static void whatever_reads_waits_until_all_have_landed(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_write(&p, 1);
    say_write(&p, 2);
    say_all(&p, "rows 2", 0);
    say_sync(&p);
    say_write(&p, 3);
    say(&p, "ok");
    send_all(&p);
    fake_wait_for_writes(2);
    fake_land(2, true);
    fake_land(1, true);
    expect(&p, "12kZ12kZ12wwkZ");
    fake_land(3, true);
    expect(&p, "12kZkZ");
    leave(&p);
    site_close(&site);
}

static void say_find(struct peer *p, unsigned n)
{
    char text[32];
    snprintf(text, sizeof text, "find %u", n);
    say_all(p, text, 0);
    say_sync(p);
}

static void searches_with_a_sync_each_go_together_and_are_answered_in_order(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    for (unsigned n = 1; n <= 3; n++) {
        say_find(&p, n);
    }
    send_all(&p);
    fake_wait_for_writes(3);
    fake_land(2, true);
    fake_land(3, false);
    fake_land(1, true);
    expect(&p, "12wkZ12wwkZ12!");
    assert_error(&p, ERR_DUPLICATE_KEY, "ERROR", 0);
    expect(&p, "Z");
    leave(&p);
    site_close(&site);
}

static void a_search_waits_for_inserts_before_it_and_they_for_searches(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_write(&p, 1);
    say_find(&p, 2);
    say_find(&p, 3);
    say_write(&p, 4);
    send_all(&p);
    fake_wait_for_writes(1);
    fake_land(1, true);
    expect(&p, "12kZ");
    fake_wait_for_writes(2);
    fake_land(3, true);
    fake_land(2, true);
    expect(&p, "12wwkZ12wwwkZ");
    fake_land(4, true);
    expect(&p, "12kZ");
    leave(&p);
    site_close(&site);
}

static void expect_rows(struct peer *p, unsigned n)
{
    expect(p, "12");
    for (unsigned i = 0; i < n; i++) {
        expect(p, "w");
    }
    expect(p, "kZ");
}

static void long_answers_wait_until_they_are_the_first(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_find(&p, 5);
    say_find(&p, LONG_ROWS);
    say_find(&p, LONG_ROWS + 1);
    say(&p, "ok");
    send_all(&p);
    fake_wait_for_writes(3);
    fake_land(LONG_ROWS + 1, true);
    fake_land(LONG_ROWS, true);
    fake_land(5, true);
    expect_rows(&p, 5);
    expect_rows(&p, LONG_ROWS);
    expect_rows(&p, LONG_ROWS + 1);
    expect(&p, "kZ");
    leave(&p);
    site_close(&site);
}

static void errors_before_they_take_off_are_told_in_their_place(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_write(&p, 1);
    say_all(&p, "refuse", 0);
    say_all(&p, "write 9", 0);
    say_sync(&p);
    say_write(&p, 2);
    send_all(&p);
    fake_land(2, true);
    fake_land(1, true);
    expect(&p, "12kZ!Z12kZ");
    leave(&p);
    site_close(&site);
}

static void a_violation_is_told_behind_the_answers(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_write(&p, 1);
    say_write(&p, 2);
    size_t begun_at = wire_begin(&p.out, WIRE_BIND);
    buf_u8(&p.out, 7);
    wire_end(&p.out, begun_at);
    send_all(&p);
    fake_land(2, true);
    fake_land(1, true);
    expect(&p, "12kZ12kZ!");
    assert_error(&p, ERR_PROTOCOL_VIOLATION, "FATAL", 0);
    expect(&p, ".");
    leave(&p);
    site_close(&site);
}

static void a_client_that_has_sent_all_still_gets_all_answers(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_write(&p, 1);
    say_write(&p, 2);
    send_all(&p);
    assert_int_equal(shutdown(p.fd, SHUT_WR), 0);
    fake_wait_for_writes(2);
    expect(&p, "12s"); /* A word, to see whether it is there. */
    fake_land(1, true);
    fake_land(2, true);
    expect(&p, "kZ12kZ.");
    leave(&p);
    site_close(&site);
}

static void drain(void *arg)
{
    sessions_drain(arg);
}

static void a_shutdown_answers_them_first(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_write(&p, 1);
    say_write(&p, 2);
    send_all(&p);
    fake_wait_for_writes(2);
    struct loop_post post = {.fn = drain, .arg = &site.net};
    loop_post(site.net.loop, &post);
    fake_land(2, true);
    fake_land(1, false);
    expect(&p, "12!Z12kZ!");
    assert_error(&p, ERR_SHUTTING_DOWN, "FATAL", 0);
    expect(&p, ".");
    leave(&p);
    site_close(&site);
}

static void a_client_that_leaves_leaves_nothing_behind(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    say_write(&p, 1);
    say_write(&p, 2);
    send_all(&p);
    fake_wait_for_writes(2);
    leave(&p);
    site_close(&site);
}

static void they_are_bounded_and_none_is_forgotten(void **state)
{
    (void)state;
    struct site site;
    struct peer p;
    site_open(&site);
    start(&site, &p);
    for (unsigned n = 1; n <= MANY; n++) {
        say_write(&p, n);
    }
    send_all(&p);
    fake_wait_for_writes(TOGETHER_MAX);
    for (unsigned n = 1; n <= MANY; n++) {
        assert_true(fake_writes() <= TOGETHER_MAX);
        fake_land(n, n % 7 != 0);
        expect(&p, n % 7 != 0 ? "12kZ" : "12!Z");
    }
    leave(&p);
    site_close(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_with_a_sync_each_go_together_and_are_answered_in_order),
        cmocka_unit_test(one_that_fails_does_not_hurt_those_behind_its_sync),
        cmocka_unit_test(what_has_no_sync_of_its_own_waits_and_is_skipped_after_an_error),
        cmocka_unit_test(whatever_reads_waits_until_all_have_landed),
        cmocka_unit_test(searches_with_a_sync_each_go_together_and_are_answered_in_order),
        cmocka_unit_test(a_search_waits_for_inserts_before_it_and_they_for_searches),
        cmocka_unit_test(long_answers_wait_until_they_are_the_first),
        cmocka_unit_test(errors_before_they_take_off_are_told_in_their_place),
        cmocka_unit_test(a_violation_is_told_behind_the_answers),
        cmocka_unit_test(a_client_that_has_sent_all_still_gets_all_answers),
        cmocka_unit_test(a_shutdown_answers_them_first),
        cmocka_unit_test(a_client_that_leaves_leaves_nothing_behind),
        cmocka_unit_test(they_are_bounded_and_none_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
