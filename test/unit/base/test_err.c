/* Errors: fields, SQLSTATEs, near names. */
#include "test/unit/unit.h"

#include <errno.h>

static void a_new_error_forgets_the_fields_of_the_old(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_SYNTAX, "one");
    err_hint(&e, "a hint");
    err_column(&e, "c");
    assert_int_equal(err_set(&e, ERR_IO, "two %d", 2), ERR_IO);
    assert_string_equal(e.message, "two 2");
    assert_string_equal(e.hint, "");
    assert_string_equal(e.column, "");
}

static void an_error_of_a_statement_says_where_it_stands(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_SYNTAX, "one");
    err_hint(&e, "a hint");
    assert_int_equal(err_at(&e, 12, ERR_UNKNOWN_COLUMN, "no %s", "x"), ERR_UNKNOWN_COLUMN);
    assert_int_equal(e.position, 12);
    assert_string_equal(e.message, "no x");
    assert_string_equal(e.hint, "");
    err_set(&e, ERR_IO, "two");
    assert_int_equal(e.position, 0);
}

static void a_prefix_keeps_the_message(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_IO, "cannot write");
    err_prefix(&e, "shard %d", 7);
    assert_string_equal(e.message, "shard 7: cannot write");
}

static void a_long_message_is_cut_between_characters(void **state)
{
    (void)state;
    struct err e;
    char text[1000];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof(text); i += 3) {
            memcpy(text + i, "\xe2\x82\xac", 4);
        }
        err_set(&e, ERR_IO, "%s", text);
        assert_true(utf8_is_valid(e.message, strlen(e.message)));
        assert_true(strlen(e.message) > ERR_MESSAGE_BYTES - 5);
    }
}

static void a_message_is_text_whatever_it_quotes(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_SYNTAX, "a\nb\x7f\xff \xc3\xa9");
    assert_string_equal(e.message, "a?b?? ??");
    err_hint(&e, "\t\xc3\xa9");
    assert_string_equal(e.hint, "?\xc3\xa9");
}

static void a_full_disk_has_its_own_code(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(err_set_errno(&e, ERR_IO, ENOSPC, "write x"), ERR_DISK_FULL);
    assert_string_equal(err_sqlstate(e.code), "53100");
    assert_non_null(strstr(e.message, "write x: No space"));
    assert_int_equal(err_set_errno(&e, ERR_IO, EFBIG, "write x"), ERR_DISK_FULL);
    assert_non_null(strstr(e.hint, "ulimit -f"));
    assert_int_equal(err_set_errno(&e, ERR_IO, EACCES, "open x"), ERR_IO);
}

static void what_runs_out_has_its_own_code_and_a_hint(void **state)
{
    (void)state;
    static const struct {
        int errnum;
        const char *sqlstate, *hint;
    } cases[] = {
        {ENOSPC, "53100", "disk space"}, {EDQUOT, "53100", "quota"},
        {EFBIG, "53100", "ulimit -f"},   {ENOMEM, "53200", "memory"},
        {EMFILE, "53000", "ulimit -n"},  {ENFILE, "53000", "fs.file-max"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err e;
        enum errcode code = err_set_errno(&e, ERR_IO, cases[i].errnum, "write x");
        assert_int_equal(code, e.code);
        assert_string_equal(err_sqlstate(code), cases[i].sqlstate);
        assert_non_null(strstr(e.hint, cases[i].hint));
        assert_true(err_is_of_the_moment(code));
    }
    assert_false(err_is_of_the_moment(ERR_OK));
    assert_false(err_is_of_the_moment(ERR_CORRUPT));
    assert_false(err_is_of_the_moment(ERR_DUPLICATE_KEY));
}

static void sqlstates_lead_back_to_a_code_of_the_same_sqlstate(void **state)
{
    (void)state;
    for (int code = 0; code < ERR_COUNT; code++) {
        const char *sqlstate = err_sqlstate((enum errcode)code);
        assert_int_equal(strlen(sqlstate), 5);
        assert_string_equal(err_sqlstate(err_from_sqlstate(sqlstate)), sqlstate);
        assert_true(strlen(err_text((enum errcode)code)) > 5);
    }
    assert_int_equal(err_from_sqlstate("?????"), ERR_INTERNAL);
}

static void a_slip_of_the_fingers_is_recognised(void **state)
{
    (void)state;
    static const char *const names[] = {"recall", "ef_construction", "timeout", "exact", "ef"};
    assert_string_equal(err_nearest("recal", names, 5), "recall");
    assert_string_equal(err_nearest("RECLAL", names, 5), "recall");
    assert_string_equal(err_nearest("ef_constuction", names, 5), "ef_construction");
    assert_string_equal(err_nearest("exat", names, 5), "exact");
    assert_null(err_nearest("consistency", names, 5));
    assert_null(err_nearest("", names, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_error_forgets_the_fields_of_the_old),
        cmocka_unit_test(an_error_of_a_statement_says_where_it_stands),
        cmocka_unit_test(a_prefix_keeps_the_message),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(a_message_is_text_whatever_it_quotes),
        cmocka_unit_test(a_full_disk_has_its_own_code),
        cmocka_unit_test(what_runs_out_has_its_own_code_and_a_hint),
        cmocka_unit_test(sqlstates_lead_back_to_a_code_of_the_same_sqlstate),
        cmocka_unit_test(a_slip_of_the_fingers_is_recognised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
