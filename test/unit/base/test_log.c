/* The log: one line an event, whatever stands in it, and values that can be read back. */
#include "test/unit/unit.h"

#include <unistd.h>

static char line[8192];
static int ends[2];

static int open_log(void **state)
{
    (void)state;
    if (pipe(ends) != 0) {
        return -1;
    }
    log_set_fd(ends[1]);
    return 0;
}

static int close_log(void **state)
{
    (void)state;
    log_set_fd(STDERR_FILENO);
    return close(ends[0]) + close(ends[1]);
}

/* The line that was written, without its time. */
static const char *take_line(void)
{
    ssize_t n = read(ends[0], line, sizeof(line) - 1);
    assert_true(n > 0 && line[n - 1] == '\n');
    line[n - 1] = '\0';
    assert_null(strchr(line, '\n'));
    return line + strlen("2026-01-01 00:00:00.000Z ");
}

static void an_error_stands_in_quotes_and_its_own_quotes_are_told_apart(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, ERR_UNKNOWN_POLICY, "policy \"a\\b\" does not exist");
    log_err(LOG_ERROR, &err, "refused n=%d", 1);
    assert_string_equal(take_line(), "error refused n=1 sqlstate=42704"
                                     " error=\"policy \\\"a\\\\b\\\" does not exist\"");
    err_hint(&err, "Perhaps you meant \"b\".");
    log_err(LOG_WARNING, &err, "refused");
    assert_string_equal(take_line(), "warning refused sqlstate=42704"
                                     " error=\"policy \\\"a\\\\b\\\" does not exist\""
                                     " hint=\"Perhaps you meant \\\"b\\\".\"");
}

static void what_a_client_sent_forges_no_second_line(void **state)
{
    (void)state;
    log_line(LOG_INFO, "told text=%s", "a\nb\rc\x7f");
    assert_string_equal(take_line(), "info told text=a b c ");
}

/* At each length, around the end of the line too. */
static void a_line_that_is_too_long_is_cut_and_still_one(void **state)
{
    (void)state;
    char text[3000];
    struct err err;
    err_set(&err, ERR_IO, "%0300d", 0);
    memset(err.message, '"', 300);
    for (size_t n = 1; n < sizeof(text); n += n < 1300 || n > 2100 ? 97 : 1) {
        memset(text, 'x', n);
        text[n] = '\0';
        log_err(LOG_ERROR, &err, "%s", text);
        const char *told = take_line();
        assert_in_range(strlen(line), 25, 2047);
        assert_int_equal(strncmp(told, "error xx", n > 1 ? 8 : 7), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_error_stands_in_quotes_and_its_own_quotes_are_told_apart,
                                        open_log, close_log),
        cmocka_unit_test_setup_teardown(what_a_client_sent_forges_no_second_line, open_log,
                                        close_log),
        cmocka_unit_test_setup_teardown(a_line_that_is_too_long_is_cut_and_still_one, open_log,
                                        close_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
