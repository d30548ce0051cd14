/* Expressions: types, three-valued logic, arithmetic, texts and JSON, without a database. */
#include "expr_fixture.h"

#include <stdio.h>
#include <string.h>

static void null_is_unknown_in_logic(void **state)
{
    struct expr_test *t = *state;
    gives(t, "gone = 1 AND ok", "NULL");
    gives(t, "gone = 1 AND NOT ok", "false");
    gives(t, "gone = 1 OR ok", "true");
    gives(t, "gone = 1 OR NOT ok", "NULL");
    gives(t, "NOT (gone = 1)", "NULL");
    gives(t, "NULL AND FALSE", "false");
    gives(t, "FALSE AND NULL", "false");
    gives(t, "NULL OR TRUE", "true");
    gives(t, "NULL = NULL", "NULL");
    gives(t, "gone IS NULL", "true");
    gives(t, "gone IS NOT NULL", "false");
    gives(t, "id + gone", "NULL");
    gives(t, "gone BETWEEN 1 AND 2", "NULL");
    gives(t, "7 BETWEEN 8 AND gone", "false");
    gives(t, "7 NOT BETWEEN 8 AND gone", "true");
}

static void in_knows_null(void **state)
{
    struct expr_test *t = *state;
    gives(t, "id IN (1, 7, 9)", "true");
    gives(t, "id IN (1, 9)", "false");
    gives(t, "id IN (1, NULL)", "NULL");
    gives(t, "id IN (7, NULL)", "true");
    gives(t, "id NOT IN (1, NULL)", "NULL");
    gives(t, "id NOT IN (1, 2)", "true");
    gives(t, "gone IN (1, 2)", "NULL");
    gives(t, "7.0 IN (id, gone)", "true");
    gives(t, "8 IN (id, gone)", "NULL");
    gives(t, "id IN (6.5, 7.0)", "true");
    gives(t, "name IN ('x', 'Vector')", "true");
}

static void numbers_widen_and_overflow_is_an_error(void **state)
{
    struct expr_test *t = *state;
    gives(t, "id / 2", "3");
    gives(t, "-id % 4", "-3");
    gives(t, "id / 2.0", "3.5");
    gives(t, "id + price", "9.5");
    gives(t, "2 * 3 + 4", "10");
    gives(t, "id = 7.0", "true");
    gives(t, "price > 2", "true");
    gives(t, "9223372036854775807 % -1", "0");
    fails(t, "9223372036854775807 + 1", ERR_NUMBER_OUT_OF_RANGE, 21);
    fails(t, "-9223372036854775807 - 2", ERR_NUMBER_OUT_OF_RANGE, 22);
    fails(t, "4611686018427387904 * 2", ERR_NUMBER_OUT_OF_RANGE, 21);
    fails(t, "4611686018427387904 * -3", ERR_NUMBER_OUT_OF_RANGE, 21);
    fails(t, "1e300 * 1e300", ERR_NUMBER_OUT_OF_RANGE, 7);
    fails(t, "id / 0", ERR_DIVISION_BY_ZERO, 4);
    fails(t, "price / 0", ERR_DIVISION_BY_ZERO, 7);
    fails(t, "'Infinity'::FLOAT / 0", ERR_DIVISION_BY_ZERO, 19);
    gives(t, "'NaN'::FLOAT / 0", "NaN");
    fails(t, "id % 0", ERR_DIVISION_BY_ZERO, 4);
}

static void int_multiplication_is_right_at_every_edge(void **state)
{
    struct expr_test *t = *state;
    gives(t, "3037000499 * 3037000499", "9223372030926249001");
    gives(t, "-3037000499 * 3037000499", "-9223372030926249001");
    gives(t, "4611686018427387904 * -2", "-9223372036854775808");
    gives(t, "0 * -9223372036854775807", "0");
    fails(t, "(-9223372036854775807 - 1) / -1", ERR_NUMBER_OUT_OF_RANGE, 28);
    fails(t, "(-9223372036854775807 - 1) * -1", ERR_NUMBER_OUT_OF_RANGE, 28);
    fails(t, "-(-9223372036854775807 - 1)", ERR_NUMBER_OUT_OF_RANGE, 1);
}

static void like_matches_characters_not_bytes(void **state)
{
    struct expr_test *t = *state;
    gives(t, "name LIKE 'V%r'", "true");
    gives(t, "name LIKE 'v%'", "false");
    gives(t, "name NOT LIKE '%x%'", "true");
    gives(t, "'héllo' LIKE 'h_llo'", "true");
    gives(t, "'a%b' LIKE 'a\\%b'", "true");
    gives(t, "'axb' LIKE 'a\\%b'", "false");
    gives(t, "'' LIKE '%'", "true");
    gives(t, "'' LIKE ''", "true");
    gives(t, "'abc' LIKE '%%%c'", "true");
    gives(t, "'aXbXc' LIKE '%X_'", "true");
    gives(t, "gone IS NULL AND NULL LIKE 'x'", "NULL");
    /* A pattern that makes a naive matcher take exponential time. */
    gives(t, "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' LIKE '%a%a%a%a%a%a%a%a%a%a%b'", "false");
}

static void json_members_are_taken_and_compared(void **state)
{
    struct expr_test *t = *state;
    gives(t, "extra -> 'n'", "5");
    gives(t, "extra ->> 's'", "aé\n");
    gives(t, "extra -> 's'", "\"a\\u00e9\\n\"");
    gives(t, "extra ->> 'none'", "NULL");
    gives(t, "extra ->> 'z'", "NULL");
    gives(t, "extra -> 'l' -> 1", "20");
    gives(t, "extra -> 'o' ->> 'p'", "q");
    gives(t, "extra -> 'n' > 4", "true");
    gives(t, "extra -> 'n' = 5.0", "true");
    gives(t, "extra -> 's' > 4", "NULL");
    gives(t, "extra -> 'b' = TRUE", "true");
    gives(t, "extra ->> 'n' = '5'", "true");
    fails(t, "extra = extra", ERR_TYPE_MISMATCH, 7);
    fails(t, "extra ->> 'n' > 4", ERR_TYPE_MISMATCH, 15);
}

static void texts_become_what_stands_beside_them(void **state)
{
    struct expr_test *t = *state;
    gives(t, "seen = '1970-01-01 00:00:00Z'", "true");
    gives(t, "seen < '2026-01-31 12:00:00Z'", "true");
    gives(t, "id = '7'", "true");
    gives(t, "'2' + id", "9");
    gives(t, "name || '!'", "Vector!");
    fails(t, "seen = 'soon'", ERR_BAD_DATETIME, 8);
    fails(t, "id = name", ERR_TYPE_MISMATCH, 4);
    fails(t, "name + 1", ERR_TYPE_MISMATCH, 6);
    fails(t, "ok + 1", ERR_TYPE_MISMATCH, 4);
    fails(t, "id AND ok", ERR_TYPE_MISMATCH, 1);
    fails(t, "id || 'x'", ERR_TYPE_MISMATCH, 1);
    fails(t, "price % 2", ERR_TYPE_MISMATCH, 7);
    fails(t, "uper(name)", ERR_UNKNOWN_FUNCTION, 1);
    assert_non_null(strstr(t->err.hint, "upper"));
    fails(t, "count(*)", ERR_GROUPING, 1);
}

static void unknown_columns_come_with_the_nearest_name(void **state)
{
    struct expr_test *t = *state;
    fails(t, "1 + prise", ERR_UNKNOWN_COLUMN, 5);
    assert_non_null(strstr(t->err.hint, "\"price\""));
    assert_string_equal(t->err.column, "prise");
    fails(t, "distance", ERR_UNKNOWN_COLUMN, 1);
}

static void parameters_take_the_first_type_that_their_context_gives(void **state)
{
    struct expr_test *t = *state;
    t->parameters[0] = value_int(3);
    t->parameters[1] = value_float(0.5);
    gives(t, "id + $1", "10");
    assert_int_equal(t->types[0], TYPE_INT);
    gives(t, "price * $2 + $1", "4.25");
    assert_int_equal(t->types[1], TYPE_FLOAT);
    gives(t, "$1 IN (1, 3)", "true");
}

/* What @expr, whose code is a column, a constant and what compares them, has for the constant. */
static enum value_type constant_beside(struct expr_test *t, const char *expr)
{
    char text[128];
    size_t rest;
    struct stmt *stmt;
    const struct program *program;
    struct work work = {.left = INT64_MAX};
    struct expr_scope scope = {.arena = t->arena, .work = &work, .schema = &t->schema};
    snprintf(text, sizeof(text), "SELECT %s FROM t", expr);
    assert_int_equal(parse(text, strlen(text), t->arena, &stmt, &rest, &t->err), ERR_OK);
    const struct expr *tree = stmt->select.targets[0].expr;
    assert_int_equal(program_compile(&scope, tree, TYPE_NULL, &program, &t->err), ERR_OK);
    assert_int_equal(program->n_code, 3);
    assert_int_equal(program->code[0].code, CODE_COLUMN);
    assert_int_equal(program->code[1].code, CODE_CONSTANT);
    return program->constants[program->code[1].at].type;
}

static void a_whole_number_beside_a_float_is_one_where_that_is_exact(void **state)
{
    struct expr_test *t = *state;
    assert_int_equal(constant_beside(t, "price > 2"), TYPE_FLOAT);
    assert_int_equal(constant_beside(t, "price = -2"), TYPE_FLOAT);
    assert_int_equal(constant_beside(t, "price < 9007199254740992"), TYPE_FLOAT);
    assert_int_equal(constant_beside(t, "price < 9007199254740993"), TYPE_INT);
    assert_int_equal(constant_beside(t, "price > -9223372036854775807"), TYPE_INT);
    assert_int_equal(constant_beside(t, "id > 2"), TYPE_INT);
    t->columns[2] = value_float(9007199254740992.0);
    gives(t, "price < 9007199254740993", "true");
    gives(t, "price = 9007199254740993", "false");
    gives(t, "price = 9007199254740992", "true");
    gives(t, "price BETWEEN 1 AND 9007199254740992", "true");
    gives(t, "price IN (9007199254740993, 1)", "false");
    gives(t, "price IN (9007199254740992, 1)", "true");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(null_is_unknown_in_logic, expr_setup, expr_teardown),
        cmocka_unit_test_setup_teardown(in_knows_null, expr_setup, expr_teardown),
        cmocka_unit_test_setup_teardown(numbers_widen_and_overflow_is_an_error, expr_setup,
                                        expr_teardown),
        cmocka_unit_test_setup_teardown(a_whole_number_beside_a_float_is_one_where_that_is_exact,
                                        expr_setup, expr_teardown),
        cmocka_unit_test_setup_teardown(int_multiplication_is_right_at_every_edge, expr_setup,
                                        expr_teardown),
        cmocka_unit_test_setup_teardown(like_matches_characters_not_bytes, expr_setup,
                                        expr_teardown),
        cmocka_unit_test_setup_teardown(json_members_are_taken_and_compared, expr_setup,
                                        expr_teardown),
        cmocka_unit_test_setup_teardown(texts_become_what_stands_beside_them, expr_setup,
                                        expr_teardown),
        cmocka_unit_test_setup_teardown(unknown_columns_come_with_the_nearest_name, expr_setup,
                                        expr_teardown),
        cmocka_unit_test_setup_teardown(parameters_take_the_first_type_that_their_context_gives,
                                        expr_setup, expr_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
