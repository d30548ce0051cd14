/* Connection strings: what is understood, and what is refused with which words. */
#include "client/client_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int clear_environment(void **state)
{
    (void)state;
    static const char *const names[] = {
        "VCHOST", "VCPORT", "VCUSER", "VCAPPNAME", "VCCONNECT_TIMEOUT", "VCBUSY_POLL"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        unsetenv(names[i]);
    }
    return 0;
}

static struct conninfo parse(const char *text)
{
    struct conninfo info;
    struct err err;
    if (conninfo_parse(text, &info, &err) != ERR_OK) {
        fail_msg("%s: %s", text, err.message);
    }
    return info;
}

static void assert_refused(const char *text, const char *words)
{
    struct conninfo info;
    struct err err;
    assert_int_not_equal(conninfo_parse(text, &info, &err), ERR_OK);
    if (strstr(err.message, words) == NULL) {
        fail_msg("%s: \"%s\" is not in \"%s\"", text, words, err.message);
    }
}

static void nothing_given_means_the_local_server(void **state)
{
    (void)state;
    struct conninfo info = parse(NULL);
    assert_string_equal(info.host, "127.0.0.1");
    assert_string_equal(info.port, "7432");
    info = parse("");
    assert_string_equal(info.host, "127.0.0.1");
    assert_int_equal(info.n_options, 0);
}

static void a_uri_gives_user_host_port_and_options(void **state)
{
    (void)state;
    struct conninfo info =
        parse("vectron://ann%40x@db.example:7000/?application_name=my%20app&recall=0.98");
    assert_string_equal(info.user, "ann@x");
    assert_string_equal(info.host, "db.example");
    assert_string_equal(info.port, "7000");
    assert_string_equal(info.application, "my app");
    assert_int_equal(info.n_options, 1);
    assert_string_equal(info.options[0].name, "recall");
    assert_string_equal(info.options[0].value, "0.98");
}

static void a_uri_may_leave_out_every_part(void **state)
{
    (void)state;
    struct conninfo info = parse("vectron://");
    assert_string_equal(info.host, "127.0.0.1");
    info = parse("vectron://:7000");
    assert_string_equal(info.host, "127.0.0.1");
    assert_string_equal(info.port, "7000");
    info = parse("vectron://?ef=100");
    assert_string_equal(info.options[0].name, "ef");
}

static void a_uri_may_name_an_ipv6_address_or_a_unix_socket(void **state)
{
    (void)state;
    struct conninfo info = parse("vectron://[::1]:7433/");
    assert_string_equal(info.host, "::1");
    assert_string_equal(info.port, "7433");
    info = parse("vectron://%2Frun%2Fx");
    assert_string_equal(info.host, "/run/x");
}

static void pairs_may_be_quoted_and_escaped(void **state)
{
    (void)state;
    struct conninfo info =
        parse("host = localhost  port=1 application_name='it\\'s a \\\\ b' connect_timeout=5");
    assert_string_equal(info.host, "localhost");
    assert_string_equal(info.port, "1");
    assert_string_equal(info.application, "it's a \\ b");
    assert_int_equal(info.connect_timeout_s, 5);
}

static void busy_poll_is_a_duration_of_the_client(void **state)
{
    (void)state;
    assert_int_equal(parse("busy_poll=100us").busy_poll_us, 100);
    assert_int_equal(parse("busy_poll=2ms busy_poll=none").busy_poll_us, 0);
    assert_int_equal(parse("busy_poll=1ms").n_options, 0); /* Not sent: the server has its own. */
    setenv("VCBUSY_POLL", "50us", 1);
    assert_int_equal(parse("").busy_poll_us, 50);
    clear_environment(NULL);
    assert_refused("busy_poll=1s", "busy_poll");
    assert_refused("busy_poll=long", "busy_poll");
    assert_refused("busy_poll=100", "busy_poll"); /* Of what? */
    assert_refused("busy_poll=11ms", "busy_poll");
}

static void a_later_option_replaces_an_earlier_one(void **state)
{
    (void)state;
    struct conninfo info = parse("ef=1 ef=2");
    assert_int_equal(info.n_options, 1);
    assert_string_equal(info.options[0].value, "2");
}

static void the_environment_stands_behind_the_text(void **state)
{
    (void)state;
    setenv("VCHOST", "envhost", 1);
    setenv("VCPORT", "1111", 1);
    setenv("VCUSER", "envuser", 1);
    struct conninfo info = parse("port=2222");
    assert_string_equal(info.host, "envhost");
    assert_string_equal(info.port, "2222");
    assert_string_equal(info.user, "envuser");
    setenv("VCPORT", "many", 1);
    assert_refused("", "environment: port \"many\"");
}

static void what_cannot_be_understood_is_refused(void **state)
{
    (void)state;
    assert_refused("host", "no \"=\"");
    assert_refused("=x", "no \"=\"");
    assert_refused("host='x", "quote is not closed");
    assert_refused("port=0", "1 to 65535");
    assert_refused("port=65536", "1 to 65535");
    assert_refused("port=12x", "1 to 65535");
    assert_refused("connect_timeout=-1", "connect_timeout");
    assert_refused("password=x", "passwords");
    assert_refused("vectron://a:b@c", "passwords");
    assert_refused("vectron://h/db", "one database");
    assert_refused("vectron://h?x", "key=value");
    assert_refused("vectron://%zz", "escape");
    assert_refused("vectron://a%2", "escape");
    assert_refused("vectron://a%00b", "escape");
    assert_refused("vectron://[::1", "\"]\"");
    assert_refused("vectron://[::1]x", "must follow");
    char text[2 * CLIENT_TEXT_BYTES];
    memset(text, 'a', sizeof(text));
    memcpy(text, "host=", 5);
    text[sizeof(text) - 1] = '\0';
    assert_refused(text, "too long");
    memcpy(text, "vectron://", 10);
    assert_refused(text, "longer than");
}

static void more_options_than_a_startup_holds_are_refused(void **state)
{
    (void)state;
    char text[4096] = "";
    for (int i = 0; i <= CLIENT_OPTIONS_MAX; i++) {
        char pair[32];
        snprintf(pair, sizeof(pair), "option%d=1 ", i);
        strcat(text, pair);
    }
    assert_refused(text, "more than");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, clear_environment)
    const struct CMUnitTest tests[] = {
        TEST(nothing_given_means_the_local_server),
        TEST(a_uri_gives_user_host_port_and_options),
        TEST(a_uri_may_leave_out_every_part),
        TEST(a_uri_may_name_an_ipv6_address_or_a_unix_socket),
        TEST(pairs_may_be_quoted_and_escaped),
        TEST(busy_poll_is_a_duration_of_the_client),
        TEST(a_later_option_replaces_an_earlier_one),
        TEST(the_environment_stands_behind_the_text),
        TEST(what_cannot_be_understood_is_refused),
        TEST(more_options_than_a_startup_holds_are_refused),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
