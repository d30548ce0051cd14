/* Functions, CASE, CAST and ILIKE: what PostgreSQL 15 says of each, where doc/vql.md says nothing
 * else. */
#include "expr_fixture.h"

#include "expr/function_int.h"

#include <stdio.h>
#include <string.h>

static void texts_are_counted_in_characters(void **state)
{
    struct expr_test *t = *state;
    gives(t, "length('')", "0");
    gives(t, "length('naïve €')", "7");
    gives(t, "lower('ÀÉ Ω Ж I ẞ')", "àé ω ж i ß");
    gives(t, "upper('àé ω ж ß ÿ')", "ÀÉ Ω Ж ß Ÿ");
    gives(t, "upper('')", "");
    gives(t, "lower(name) || upper(name)", "vectorVECTOR");
    gives(t, "upper('ȿ') || lower('ȺK')", "Ȿⱥk");
    gives(t, "lower('İI') || upper('ᾀᾐᾧᾳῃῳ')", "iiᾈᾘᾯᾼῌῼ");
    gives(t, "substr('naïve', 3)", "ïve");
    gives(t, "substr('naïve', 3, 2)", "ïv");
    gives(t, "substr('abc', -1, 3)", "a");
    gives(t, "substr('abc', 0)", "abc");
    gives(t, "substr('abc', 2, 0)", "");
    gives(t, "substr('abc', 9)", "");
    gives(t, "substr('abc', 2, 9223372036854775807)", "bc");
    gives(t, "substr('abc', -9223372036854775808, 5)", "");
    gives(t, "substr('', 1, 2)", "");
    fails(t, "substr(name, 2, -1)", ERR_BAD_SUBSTRING, 1);
    gives(t, "substring('naïve' FROM 3 FOR 2)", "ïv");
    gives(t, "substring('naïve' FOR 3)", "naï");
    fails(t, "substring(name FROM 2 FOR -1)", ERR_BAD_SUBSTRING, 1);
    gives(t, "position('ve' IN 'naïve')", "4");
    gives(t, "position('' IN '')", "1");
    gives(t, "position('x' IN 'naïve')", "0");
    gives(t, "position(NULL IN name)", "NULL");
    gives(t, "strpos('abcabc', 'ca')", "3");
    gives(t, "strpos('a', 'ab')", "0");
}

static void trimming_takes_blanks_or_a_set(void **state)
{
    struct expr_test *t = *state;
    gives(t, "'<' || trim('  a b  ') || '>'", "<a b>");
    gives(t, "'<' || btrim('  a b  ') || '>'", "<a b>");
    gives(t, "'<' || ltrim('  a ') || '>'", "<a >");
    gives(t, "'<' || rtrim(' a  ') || '>'", "< a>");
    gives(t, "btrim('xyaxbyx', 'xy')", "axb");
    gives(t, "trim(BOTH 'xy' FROM 'xyaxbyx')", "axb");
    gives(t, "trim(LEADING 'xy' FROM 'xyaxbyx')", "axbyx");
    gives(t, "trim(TRAILING 'xy' FROM 'xyaxbyx')", "xyaxb");
    gives(t, "trim(LEADING FROM ' a ')", "a ");
    gives(t, "ltrim('xxaxx', 'x')", "axx");
    gives(t, "rtrim('aéé', 'é')", "a");
    gives(t, "trim('ééaéé', 'xé')", "a");
    gives(t, "trim('xxx', 'x')", "");
    gives(t, "trim('xax', '')", "xax");
    gives(t, "trim('')", "");
    gives(t, "rtrim('aè', 'é')", "aè");
}

static void texts_are_replaced_and_joined(void **state)
{
    struct expr_test *t = *state;
    gives(t, "replace('abcabc', 'b', 'xy')", "axycaxyc");
    gives(t, "replace('aaa', 'aa', 'b')", "ba");
    gives(t, "replace('abc', '', 'x')", "abc");
    gives(t, "replace('', 'a', 'x')", "");
    gives(t, "replace('abc', 'd', 'x')", "abc");
    gives(t, "replace('aéa', 'a', '')", "é");
    gives(t, "replace(name, NULL, 'x')", "NULL");
    gives(t, "concat('a', NULL, 1, 2.5, TRUE, id, gone)", "a12.5true7");
    gives(t, "concat(NULL)", "");
    gives(t, "concat(seen, ' ', [1,2.5], ' ', extra -> 'l')",
          "1970-01-01 00:00:00Z [1,2.5] [10, 20]");
    fails(t, "concat()", ERR_UNKNOWN_FUNCTION, 1);
}

static void nulls_are_chosen_around(void **state)
{
    struct expr_test *t = *state;
    gives(t, "coalesce(gone, id, 1/0)", "7");
    gives(t, "coalesce(NULL, NULL)", "NULL");
    gives(t, "coalesce(gone, 2.5)", "2.5");
    gives(t, "coalesce(id, 2.5) / 2", "3.5");
    gives(t, "coalesce(gone, '5') + 1", "6");
    gives(t, "coalesce(extra -> 'none', extra -> 'n')", "5");
    gives(t, "coalesce(1, id / 0)", "1");
    fails(t, "coalesce(gone, id / 0)", ERR_DIVISION_BY_ZERO, 19);
    fails(t, "coalesce(id, name)", ERR_TYPE_MISMATCH, 1);
    fails(t, "coalesce()", ERR_UNKNOWN_FUNCTION, 1);
    gives(t, "nullif(id, 7)", "NULL");
    gives(t, "nullif(id, 8)", "7");
    gives(t, "nullif(id, 7.0)", "NULL");
    gives(t, "nullif(id, gone)", "7");
    gives(t, "nullif(gone, 1)", "NULL");
    gives(t, "nullif(name, 'x')", "Vector");
    gives(t, "greatest(1, gone, 3, 2)", "3");
    gives(t, "least(gone, 3, 2.5)", "2.5");
    gives(t, "greatest('a', name)", "a");
    gives(t, "least(seen, '1960-01-01')", "1960-01-01 00:00:00Z");
    gives(t, "greatest(gone, NULL)", "NULL");
    fails(t, "greatest(1, name)", ERR_TYPE_MISMATCH, 1);
    fails(t, "least([1], [2])", ERR_UNKNOWN_FUNCTION, 1);
}

static void numbers_round_as_postgresql_has_them(void **state)
{
    struct expr_test *t = *state;
    gives(t, "abs(-5)", "5");
    gives(t, "abs(-2.5)", "2.5");
    gives(t, "abs('-2')", "2");
    fails(t, "abs(-9223372036854775808)", ERR_NUMBER_OUT_OF_RANGE, 1);
    gives(t, "round(2.5)", "2");
    gives(t, "round(3.5)", "4");
    gives(t, "round(-2.5)", "-2");
    gives(t, "round(5)", "5");
    gives(t, "round(2.675, 2)", "2.68");
    gives(t, "round(-2.5, 0)", "-3");
    gives(t, "round(1234.5, -2)", "1200");
    gives(t, "round(1250, -2)", "1300");
    gives(t, "round(0.05, 1)", "0.1");
    gives(t, "round(0.04, 1)", "0");
    gives(t, "round(0.4, -1)", "0");
    gives(t, "round(99.95, 1)", "100");
    gives(t, "round(9.5, 0)", "10");
    gives(t, "round(6, -1)", "10");
    gives(t, "round(4, -1)", "0");
    gives(t, "round(1e-300, 2)", "0");
    gives(t, "round(0.1, 9223372036854775807)", "0.1");
    gives(t, "round(5, -9223372036854775808)", "0");
    gives(t, "round(0.1 + 0.2, 15)", "0.3");
    gives(t, "round(0.1 + 0.2, 16)", "0.3");
    gives(t, "round(0.1 + 0.2, 17)", "0.30000000000000004");
    gives(t, "round(9007199254740991, 0) = 9007199254740991", "true");
    gives(t, "round(12345678901234566, -1) = 12345678901234570", "true");
    gives(t, "round('-0'::FLOAT, 3)", "0");
    gives(t, "round(-0.04, 1)", "0");
    fails(t, "round(1.7e308, -308)", ERR_NUMBER_OUT_OF_RANGE, 1);
    gives(t, "floor(-2.5)", "-3");
    gives(t, "ceil(-2.5)", "-2");
    gives(t, "floor(7)", "7");
    gives(t, "round(price)", "2");
    fails(t, "round(name)", ERR_UNKNOWN_FUNCTION, 1);
    assert_non_null(strstr(t->err.hint, "(FLOAT) or (FLOAT, INT)"));
}

static void keys_have_the_same_hashes_everywhere(void **state)
{
    struct expr_test *t = *state;
    gives(t, "key_hash(1)", "3119036373970289394");
    gives(t, "key_hash(-1)", "6514504133438201533");
    gives(t, "key_hash('a')", "3377136450821769948");
    gives(t, "key_hash('')", "0");
    gives(t, "key_hash('00000000-0000-0000-0000-000000000001'::UUID)", "4485592119059577148");
    gives(t, "key_hash(NULL::INT)", "NULL");
    fails(t, "key_hash(price)", ERR_UNKNOWN_FUNCTION, 1);
}

static void powers_that_are_no_number_are_refused(void **state)
{
    struct expr_test *t = *state;
    gives(t, "sqrt(16)", "4");
    fails(t, "sqrt(-1)", ERR_BAD_POWER, 1);
    gives(t, "power(2, 10)", "1024");
    gives(t, "power(-2, 3)", "-8");
    gives(t, "power(0, 0)", "1");
    gives(t, "power(4, -0.5)", "0.5");
    fails(t, "power(0, -1)", ERR_BAD_POWER, 1);
    fails(t, "power(-8, 1.0 / 3)", ERR_BAD_POWER, 1);
    fails(t, "power(10, 309)", ERR_NUMBER_OUT_OF_RANGE, 1);
    fails(t, "power(10, -400)", ERR_NUMBER_OUT_OF_RANGE, 1);
    gives(t, "exp(0)", "1");
    fails(t, "exp(710)", ERR_NUMBER_OUT_OF_RANGE, 1);
    fails(t, "exp(-1000)", ERR_NUMBER_OUT_OF_RANGE, 1);
    gives(t, "ln(1)", "0");
    gives(t, "round(ln(exp(2)), 9)", "2");
    fails(t, "ln(0)", ERR_BAD_LOGARITHM, 1);
    fails(t, "ln(-1)", ERR_BAD_LOGARITHM, 1);
    gives(t, "ln(gone)", "NULL");
}

static void times_are_cut_and_taken_apart(void **state)
{
    struct expr_test *t = *state;
    static const struct {
        const char *unit, *cut, *part;
    } units[] = {
        {"microsecond", "2026-11-28 17:45:31.654321Z", "31654321"},
        {"milliseconds", "2026-11-28 17:45:31.654Z", "31654.321"},
        {"second", "2026-11-28 17:45:31Z", "31.654321"},
        {"minute", "2026-11-28 17:45:00Z", "45"},
        {"Hour", "2026-11-28 17:00:00Z", "17"},
        {"day", "2026-11-28 00:00:00Z", "28"},
        {"week", "2026-11-23 00:00:00Z", "48"},
        {"month", "2026-11-01 00:00:00Z", "11"},
        {"quarter", "2026-10-01 00:00:00Z", "4"},
        {"year", "2026-01-01 00:00:00Z", "2026"},
        {"decade", "2020-01-01 00:00:00Z", "202"},
        {"century", "2001-01-01 00:00:00Z", "21"},
        {"millennium", "2001-01-01 00:00:00Z", "3"},
    };
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        char expr[128];
        snprintf(expr, sizeof(expr), "date_trunc('%s', '2026-11-28 17:45:31.654321Z')",
                 units[i].unit);
        gives(t, expr, units[i].cut);
        snprintf(expr, sizeof(expr), "extract(%s FROM '2026-11-28 17:45:31.654321Z')",
                 units[i].unit);
        gives(t, expr, units[i].part);
    }
    gives(t, "extract(dow FROM '2026-11-29')", "0");
    gives(t, "extract(isodow FROM '2026-11-29')", "7");
    gives(t, "extract(doy FROM '2024-12-31')", "366");
    gives(t, "extract(week FROM '2021-01-03')", "53");
    gives(t, "extract(isoyear FROM '2021-01-03')", "2020");
    gives(t, "extract(epoch FROM '1969-12-31 23:59:59.5Z')", "-0.5");
    gives(t, "extract(julian FROM '1970-01-01 12:00Z')", "2440588.5");
    gives(t, "extract(year FROM seen) + 1", "1971");
    gives(t, "extract(year FROM '0001-01-01')", "1");
    gives(t, "date_trunc('week', '0001-01-01')", "0001-01-01 00:00:00Z");
    gives(t, "date_trunc('hour', '1969-12-31 23:30Z')", "1969-12-31 23:00:00Z");
    gives(t, "date_trunc('day', NULL)", "NULL");
    fails(t, "date_trunc('decade', '0005-01-01')", ERR_DATETIME_RANGE, 1);
    fails(t, "date_trunc('dow', seen)", ERR_BAD_PARAMETER, 1);
    fails(t, "extract(tick FROM seen)", ERR_BAD_PARAMETER, 1);
    fails(t, "extract('', seen)", ERR_BAD_PARAMETER, 1);
    gives(t, "now()", "1970-01-01 00:00:01Z");
    gives(t, "now() > seen AND now() = now()", "true");
    fails(t, "now(1)", ERR_UNKNOWN_FUNCTION, 1);
    fails(t, "now(*)", ERR_UNKNOWN_FUNCTION, 1);
}

static void vectors_are_measured_as_metrics_do(void **state)
{
    struct expr_test *t = *state;
    gives(t, "norm(v)", "5");
    gives(t, "dims(v)", "2");
    gives(t, "dims('[1,2,3]')", "3");
    gives(t, "l2_distance(v, [0,0])", "5");
    gives(t, "l2_distance('[1,2,3,4,5]', '[1,2,3,4,7]')", "2");
    gives(t, "inner_product(v, [1,2])", "11");
    gives(t, "cosine_distance(v, v)", "0");
    gives(t, "cosine_distance(v, [-3,-4])", "2");
    gives(t, "cosine_distance([1,0], [0,1])", "1");
    gives(t, "l2_distance(v, NULL)", "NULL");
    fails(t, "l2_distance(v, [1])", ERR_WRONG_DIMENSION, 1);
    fails(t, "inner_product([1], v)", ERR_WRONG_DIMENSION, 1);
    fails(t, "cosine_distance(v, [0,0])", ERR_ZERO_VECTOR, 1);
    fails(t, "norm(name)", ERR_UNKNOWN_FUNCTION, 1);
}

static void case_gives_the_first_that_holds(void **state)
{
    struct expr_test *t = *state;
    gives(t, "CASE WHEN gone = 1 THEN 'a' WHEN ok THEN 'b' ELSE 'c' END", "b");
    gives(t, "CASE WHEN gone = 1 THEN 'a' END", "NULL");
    gives(t, "CASE WHEN FALSE THEN 1 ELSE 2.5 END", "2.5");
    gives(t, "CASE WHEN ok THEN 1 ELSE 2.5 END / 2", "0.5");
    gives(t, "2.5 + CASE WHEN NOT ok THEN id ELSE 1 END", "3.5");
    gives(t, "CASE id WHEN 1 THEN 'a' WHEN 7 THEN 'b' END", "b");
    gives(t, "CASE id WHEN 1 THEN 'a' ELSE name || '!' END", "Vector!");
    gives(t, "CASE gone WHEN NULL THEN 1 ELSE 2 END", "2");
    gives(t, "CASE id WHEN 6.5 THEN 1 WHEN 7.0 THEN 2 END", "2");
    gives(t, "CASE extra -> 'n' WHEN 5 THEN 'five' END", "five");
    gives(t, "CASE WHEN id > 0 THEN 1 ELSE 1 / 0 END", "1");
    gives(t, "CASE WHEN TRUE THEN 1 ELSE 1 / 0 END", "1");
    gives(t, "CASE WHEN id = 7 THEN 1 WHEN id / 0 = 1 THEN 2 END", "1");
    gives(t, "CASE WHEN id = 7 THEN CASE name WHEN 'Vector' THEN 5 END ELSE 6 END + 1", "6");
    gives(t, "CASE WHEN ok THEN id IN (1, 7) END", "true");
    gives(t, "CASE WHEN NOT ok THEN id IN (1 / 0) ELSE ok END", "true");
    gives(t, "name LIKE CASE WHEN ok THEN 'V%' ELSE 'x' END", "true");
    fails(t, "CASE WHEN NOT ok THEN 1 ELSE id / 0 END", ERR_DIVISION_BY_ZERO, 33);
    fails(t, "CASE WHEN TRUE THEN 1 / 0 END", ERR_DIVISION_BY_ZERO, 23);
    fails(t, "CASE WHEN id THEN 1 END", ERR_TYPE_MISMATCH, 11);
    fails(t, "CASE WHEN ok THEN 1 ELSE name END", ERR_TYPE_MISMATCH, 1);
    fails(t, "CASE name WHEN 1 THEN 1 END", ERR_TYPE_MISMATCH, 1);
}

static void casts_make_other_types(void **state)
{
    struct expr_test *t = *state;
    gives(t, "'12'::INT + 1", "13");
    gives(t, "CAST(name || '1' AS TEXT)", "Vector1");
    gives(t, "id::TEXT || '!'", "7!");
    gives(t, "ok::TEXT || seen::TEXT", "true1970-01-01 00:00:00Z");
    gives(t, "2.5::INT", "2");
    gives(t, "3.5::INT", "4");
    gives(t, "-2.5::INT", "-2");
    gives(t, "id::FLOAT / 2", "3.5");
    gives(t, "(id > 1)::INT", "1");
    gives(t, "id::BOOL", "true");
    gives(t, "0::BOOL", "false");
    gives(t, "gone::TEXT", "NULL");
    gives(t, "NULL::INT + 1", "NULL");
    gives(t, "(extra -> 'n')::INT + 1", "6");
    gives(t, "(extra -> 'b')::BOOL", "true");
    gives(t, "(extra ->> 'n')::INT", "5");
    gives(t, "v::TEXT", "[3,4]");
    gives(t, "v::TEXT::VECTOR = v", "true");
    gives(t, "norm(('[' || id::TEXT || ',0]')::VECTOR(2))", "7");
    gives(t, "extra::TEXT LIKE '{%'", "true");
    gives(t, "('{\"a\": ' || id::TEXT || '}')::JSON -> 'a'", "7");
    gives(t, "'2026-01-31'::TIMESTAMP", "2026-01-31 00:00:00Z");
    gives(t, "upper('00112233-4455-6677-8899-aabbccddeeff'::UUID::TEXT)",
          "00112233-4455-6677-8899-AABBCCDDEEFF");
    fails(t, "'x'::INT", ERR_BAD_TEXT_REPRESENTATION, 1);
    fails(t, "name::INT", ERR_BAD_TEXT_REPRESENTATION, 5);
    fails(t, "(name || '')::TIMESTAMP", ERR_BAD_DATETIME, 13);
    fails(t, "1e30::INT", ERR_NUMBER_OUT_OF_RANGE, 5);
    fails(t, "ok::FLOAT", ERR_CANNOT_CAST, 3);
    fails(t, "seen::INT", ERR_CANNOT_CAST, 5);
    fails(t, "(extra -> 's')::INT", ERR_BAD_PARAMETER, 15);
    fails(t, "(extra -> 'n')::BOOL", ERR_BAD_PARAMETER, 15);
    fails(t, "v::VECTOR(3)", ERR_WRONG_DIMENSION, 2);
    fails(t, "'[1]'::VECTOR(3)", ERR_WRONG_DIMENSION, 6);
    fails(t, "'abc'::TEXT + 1", ERR_TYPE_MISMATCH, 13);
}

static void ilike_is_like_of_small_letters(void **state)
{
    struct expr_test *t = *state;
    gives(t, "name ILIKE 'v%R'", "true");
    gives(t, "name NOT ILIKE 'v%R'", "false");
    gives(t, "name ILIKE 'x' || name", "false");
    gives(t, "'ÀÉx' ILIKE '_éX'", "true");
    gives(t, "'A_b' ILIKE 'a\\_B'", "true");
    gives(t, "gone::TEXT ILIKE 'x'", "NULL");
    gives(t, "name ILIKE NULL", "NULL");
    fails(t, "id ILIKE 'x'", ERR_TYPE_MISMATCH, 1);
    fails(t, "name ILIKE 'a\\'", ERR_BAD_LIKE_PATTERN, 12);
}

static void a_slip_of_a_name_is_told(void **state)
{
    struct expr_test *t = *state;
    fails(t, "trimm(name)", ERR_UNKNOWN_FUNCTION, 1);
    assert_non_null(strstr(t->err.hint, "trim"));
    assert_non_null(strstr(t->err.hint, "ltrim"));
    fails(t, "lower(id)", ERR_UNKNOWN_FUNCTION, 1);
    assert_string_equal(t->err.message, "there is no function lower(INT)");
    fails(t, "lower(*)", ERR_UNKNOWN_FUNCTION, 1);
}

static void parameters_take_what_a_function_takes(void **state)
{
    struct expr_test *t = *state;
    t->parameters[0] = value_cstr("abc");
    t->parameters[1] = value_int(2);
    gives(t, "substr($1, $2)", "bc");
    assert_int_equal(t->types[0], TYPE_TEXT);
    assert_int_equal(t->types[1], TYPE_INT);
    t->parameters[2] = value_int(7);
    gives(t, "coalesce($3, id)", "7");
    assert_int_equal(t->types[2], TYPE_INT);
    t->parameters[3] = value_int(4);
    gives(t, "$4::INT", "4");
    assert_int_equal(t->types[3], TYPE_INT);
}

enum {
    LONG_BYTES = 9 << 20
};

/* A result that has no room, and one that no text may have: values[1] and [2] are one byte each. */
static void a_result_without_room_is_refused(void **state)
{
    struct expr_test *t = *state;
    static enum errcode (*const functions[])(const struct call *, struct value *, struct err *) = {
        call_upper, call_concat, call_replace};
    struct work work = {.left = INT64_MAX};
    struct arena *full = arena_new(MEM_GENERAL, 1 << 10);
    struct evaluator evaluator = {.arena = full, .work = &work};
    char *text = mem_alloc(MEM_GENERAL, LONG_BYTES);
    assert_true(full != NULL && text != NULL);
    memset(text, 'a', LONG_BYTES);
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        struct value values[] = {value_text(text, LONG_BYTES), value_cstr("a"), value_cstr("b")};
        struct call call = {.evaluator = &evaluator, .n = COUNT_OF(values)};
        assert_int_equal(functions[i](&call, values, &t->err), ERR_OUT_OF_MEMORY);
    }
    evaluator.arena = t->arena;
    struct call call = {.evaluator = &evaluator, .n = 3, .position = 8};
    struct value joined[] = {value_text(text, LONG_BYTES), value_text(text, LONG_BYTES),
                             value_cstr("b")};
    assert_int_equal(call_concat(&call, joined, &t->err), ERR_STRING_TOO_LONG);
    struct value replaced[] = {value_text(text, LONG_BYTES), value_cstr("a"), value_cstr("bb")};
    assert_int_equal(call_replace(&call, replaced, &t->err), ERR_STRING_TOO_LONG);
    assert_int_equal(t->err.position, 8);
    mem_free(MEM_GENERAL, text);
    arena_free(full);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, expr_setup, expr_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts_are_counted_in_characters),
        TEST(trimming_takes_blanks_or_a_set),
        TEST(texts_are_replaced_and_joined),
        TEST(nulls_are_chosen_around),
        TEST(numbers_round_as_postgresql_has_them),
        TEST(keys_have_the_same_hashes_everywhere),
        TEST(powers_that_are_no_number_are_refused),
        TEST(times_are_cut_and_taken_apart),
        TEST(vectors_are_measured_as_metrics_do),
        TEST(case_gives_the_first_that_holds),
        TEST(casts_make_other_types),
        TEST(ilike_is_like_of_small_letters),
        TEST(a_slip_of_a_name_is_told),
        TEST(parameters_take_what_a_function_takes),
        TEST(a_result_without_room_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
