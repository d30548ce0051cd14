/* Values: codec, order, texts, JSON. */
#include "test/unit/unit.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct arena *arena;
    struct err err;
};

static int make(void **state)
{
    static struct fixture f;
    f.arena = arena_new(MEM_GENERAL, 64 << 20);
    *state = &f;
    return f.arena == NULL;
}

static int unmake(void **state)
{
    arena_free(((struct fixture *)*state)->arena);
    return 0;
}

static enum errcode parse_as(struct fixture *f, enum value_type type, const char *text,
                             struct value *out)
{
    return value_parse(type, text, strlen(text), f->arena, out, &f->err);
}

/* Parses @text as @type and checks that it is shown as @shown. */
static void expect(struct fixture *f, enum value_type type, const char *text, const char *shown)
{
    struct value v;
    if (parse_as(f, type, text, &v) != ERR_OK) {
        fail_msg("%s: %s", text, f->err.message);
    }
    struct buf b;
    buf_init(&b, MEM_GENERAL, 4096);
    value_format(&b, &v);
    buf_u8(&b, 0);
    assert_string_equal((const char *)b.data, shown);
    buf_fini(&b);
}

static void texts_are_parsed_and_shown_in_their_canonical_form(void **state)
{
    struct fixture *f = *state;
    expect(f, TYPE_BOOL, "T", "true");
    expect(f, TYPE_INT, " -9223372036854775808 ", "-9223372036854775808");
    expect(f, TYPE_FLOAT, "0.1", "0.1");
    expect(f, TYPE_FLOAT, "1e300", "1e+300");
    expect(f, TYPE_FLOAT, "0.30000000000000004", "0.30000000000000004");
    expect(f, TYPE_TEXT, " as it is ", " as it is ");
    expect(f, TYPE_UUID, "{A0EEBC99-9C0B4EF8-BB6D6BB9BD380A11}",
           "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    expect(f, TYPE_TIMESTAMP, "1970-01-01", "1970-01-01 00:00:00Z");
    expect(f, TYPE_TIMESTAMP, "2024-02-29T23:59:59.250+02:00", "2024-02-29 21:59:59.25Z");
    expect(f, TYPE_TIMESTAMP, "0001-01-01 00:00:00", "0001-01-01 00:00:00Z");
    expect(f, TYPE_TIMESTAMP, "1969-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999Z");
    expect(f, TYPE_TIMESTAMP, "1990-12-31T23:59:60Z", "1991-01-01 00:00:00Z");
    expect(f, TYPE_TIMESTAMP, "2016-12-31T15:59:60.5-08:00", "2017-01-01 00:00:00.5Z");
    expect(f, TYPE_TIMESTAMP, "0001-01-01 00:00:00-00:01", "0001-01-01 00:01:00Z");
    expect(f, TYPE_TIMESTAMP, "9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999Z");
    expect(f, TYPE_JSON, "{\"a\": [1, 2]}", "{\"a\": [1, 2]}");
    expect(f, TYPE_VECTOR, " [0.1, -2 ,3e-4] ", "[0.1,-2,0.0003]");
}

static void expect_number(double x, bool is_float32, const char *shown)
{
    struct buf b;
    buf_init(&b, MEM_GENERAL, 4096);
    number_format(&b, x, is_float32);
    buf_u8(&b, 0);
    assert_string_equal((const char *)b.data, shown);
    buf_fini(&b);
}

static void a_number_has_the_fewest_digits_that_read_back(void **state)
{
    (void)state;
    expect_number(100000008, false, "100000008");
    expect_number(9007199254740992, false, "9007199254740992");
    expect_number((double)0.3f, false, "0.30000001192092896");
    expect_number((double)0.3f, true, "0.3");
    expect_number((double)16777216.0f, true, "16777216");
    expect_number((double)1e-45f, true, "1e-45");
    expect_number(5e-324, false, "5e-324");
    expect_number(-0.0, true, "-0");
    /* What 32 bits cannot hold keeps its own digits. */
    expect_number(0.3, true, "0.3");
    expect_number(0.1234567890123, true, "0.1234567890123");
    expect_number(1e300, true, "1e+300");
}

/* The fewest digits, as the C library rounds and reads them. */
static size_t show_slowly(float x, char out[64])
{
    int digits = fabsf(x) < FLT_MIN ? 1 : FLT_DIG;
    do {
        snprintf(out, 64, "%.*g", digits++, (double)x);
    } while (strtof(out, NULL) != x);
    return strlen(out);
}

static float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* Of all sizes; of the size that vectors have; of few digits; of one; beside powers of two. */
static float any_float(uint64_t i, uint64_t *chance)
{
    uint32_t bits = (uint32_t)random_next(chance);
    char text[64];
    switch (i % 5) {
    case 0:
        return float_of_bits(bits);
    case 1:
        return (float)(bits / 0x1p31 - 1);
    case 2:
        snprintf(text, sizeof(text), "%s%.*ge%d", bits & 1 ? "-" : "", 1 + (int)(bits >> 4) % 9,
                 (double)bits, (int)(bits >> 8) % 30 - 25);
        return strtof(text, NULL);
    case 3:
        snprintf(text, sizeof(text), "%de%d", 1 + (int)(bits >> 4) % 9, (int)(bits >> 8) % 83 - 44);
        return strtof(text, NULL);
    default:
        return float_of_bits((bits & 0xff800000u) + (bits & 7) - 3);
    }
}

static void floats_are_written_and_read_as_the_c_library_does(void **state)
{
    struct fixture *f = *state;
    uint64_t chance = 1;
    struct buf b;
    buf_init(&b, MEM_GENERAL, 4096);
    for (uint64_t i = 0; i < GOOD_MEASURE(400000, 20000); i++) {
        float x = any_float(i, &chance);
        char expected[64];
        struct value vector, back;
        struct err err;
        if (!isfinite(x)) {
            continue;
        }
        vector = value_vector(&x, 1);
        size_t bytes = show_slowly(x, expected);
        buf_reset(&b);
        value_format(&b, &vector);
        assert_int_equal(b.bytes, bytes + 2);
        assert_memory_equal(b.data + 1, expected, bytes);
        arena_reset(f->arena);
        assert_int_equal(
            value_parse(TYPE_VECTOR, (const char *)b.data, b.bytes, f->arena, &back, &err), ERR_OK);
        assert_memory_equal(back.vector.data, &x, sizeof(x));
    }
    buf_fini(&b);
}

/* Digits that no float has are rounded as strtof rounds them, in the middle of two floats, too. */
static void decimals_are_read_as_the_c_library_does(void **state)
{
    struct fixture *f = *state;
    uint64_t chance = 1;
    for (uint64_t i = 0; i < GOOD_MEASURE(400000, 20000); i++) {
        char text[128];
        uint64_t bits = random_next(&chance);
        struct value back;
        struct err err;
        if (i % 2 == 0) {
            snprintf(text, sizeof(text), "[%.*f]", (int)(bits % 18), (double)bits / 0x1p60);
        } else {
            /* As near to the middle of two floats as sixteen digits are. */
            double middle = ldexp((double)(2 * (bits >> 40 | 1 << 23) + 1), -(int)(bits % 60));
            snprintf(text, sizeof(text), "[%.15e]", middle);
        }
        float expected = strtof(text + 1, NULL);
        arena_reset(f->arena);
        assert_int_equal(value_parse(TYPE_VECTOR, text, strlen(text), f->arena, &back, &err),
                         ERR_OK);
        assert_memory_equal(back.vector.data, &expected, sizeof(expected));
    }
}

static void what_is_no_value_of_the_type_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum value_type type;
        const char *text;
        enum errcode code;
    } bad[] = {
        {TYPE_BOOL, "maybe", ERR_BAD_TEXT_REPRESENTATION},
        {TYPE_INT, "12x", ERR_BAD_TEXT_REPRESENTATION},
        {TYPE_INT, "", ERR_BAD_TEXT_REPRESENTATION},
        {TYPE_INT, "9223372036854775808", ERR_NUMBER_OUT_OF_RANGE},
        {TYPE_FLOAT, "1e999", ERR_NUMBER_OUT_OF_RANGE},
        {TYPE_FLOAT, "0x10", ERR_BAD_TEXT_REPRESENTATION},
        {TYPE_TEXT, "\xff", ERR_BAD_ENCODING},
        {TYPE_TEXT, "\xed\xa0\x80", ERR_BAD_ENCODING},
        {TYPE_UUID, "a0eebc99", ERR_BAD_TEXT_REPRESENTATION},
        {TYPE_UUID, "a0eebc999c0b4ef8bb6d6bb9bd380a1g", ERR_BAD_TEXT_REPRESENTATION},
        {TYPE_TIMESTAMP, "2023-02-29", ERR_BAD_DATETIME},
        {TYPE_TIMESTAMP, "2023-13-01", ERR_BAD_DATETIME},
        {TYPE_TIMESTAMP, "2023-01-01 25:00", ERR_BAD_DATETIME},
        {TYPE_TIMESTAMP, "yesterday", ERR_BAD_DATETIME},
        {TYPE_TIMESTAMP, "", ERR_BAD_DATETIME},
        {TYPE_TIMESTAMP, "  ", ERR_BAD_DATETIME},
        {TYPE_TIMESTAMP,
         "2026-01-31 12:00:00.0000000000000000000000000000000000000000000000000000000000Z",
         ERR_BAD_DATETIME},
        {TYPE_TIMESTAMP, "2023-01-01 12:00:61", ERR_BAD_DATETIME},
        {TYPE_TIMESTAMP, "0000-12-31 23:59:59", ERR_BAD_DATETIME},
        {TYPE_TIMESTAMP, "9999-12-31 23:59:59-01:00", ERR_DATETIME_RANGE},
        {TYPE_TIMESTAMP, "0001-01-01 00:00:00+01:00", ERR_DATETIME_RANGE},
        {TYPE_TIMESTAMP, "9999-12-31 23:59:60", ERR_DATETIME_RANGE},
        {TYPE_JSON, "{\"a\":}", ERR_BAD_JSON},
        {TYPE_VECTOR, "[]", ERR_BAD_TEXT_REPRESENTATION},
        {TYPE_VECTOR, "[1,]", ERR_BAD_TEXT_REPRESENTATION},
        {TYPE_VECTOR, "[1 2]", ERR_BAD_TEXT_REPRESENTATION},
        {TYPE_VECTOR, "1,2", ERR_BAD_TEXT_REPRESENTATION},
        {TYPE_VECTOR, "[0x10]", ERR_BAD_TEXT_REPRESENTATION},
        {TYPE_VECTOR, "[1,0X1p3]", ERR_BAD_TEXT_REPRESENTATION},
        {TYPE_VECTOR, "[nan(1)]", ERR_BAD_TEXT_REPRESENTATION},
        {TYPE_VECTOR, "[1,nan]", ERR_NOT_FINITE},
        {TYPE_VECTOR, "[-inf]", ERR_NOT_FINITE},
        {TYPE_VECTOR, "[1e39]", ERR_NOT_FINITE},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct value v;
        assert_int_equal(parse_as(f, bad[i].type, bad[i].text, &v), bad[i].code);
    }
}

/* A value as a door that reads no text hands it over. */
static struct value raw(enum value_type type, const char *text, size_t bytes)
{
    struct value v = value_text(text, bytes);
    v.type = type;
    return v;
}

static struct value instant(int64_t micros)
{
    return (struct value){.type = TYPE_TIMESTAMP, .integer = micros};
}

static void what_cannot_be_stored_is_told_from_what_can(void **state)
{
    struct fixture *f = *state;
    char deep[2 * JSON_DEPTH_MAX + 2];
    memset(deep, '[', sizeof(deep) / 2);
    memset(deep + sizeof(deep) / 2, ']', sizeof(deep) / 2);
    static const float floats[] = {1.0f};
    const struct {
        struct value value;
        enum errcode code;
    } rows[] = {
        {value_null(), ERR_OK},
        {value_bool(true), ERR_OK},
        {value_int(INT64_MIN), ERR_OK},
        {value_float((double)NAN), ERR_OK},
        {value_vector(floats, 1), ERR_OK},
        {value_cstr(""), ERR_OK},
        {value_cstr("eight..h\xc3\xa9"), ERR_OK},
        {raw(TYPE_TEXT, "12345678\0", 9), ERR_BAD_ENCODING},
        {raw(TYPE_TEXT, "1234567\0", 8), ERR_BAD_ENCODING},
        {raw(TYPE_TEXT,
             "1234\0"
             "678",
             8),
         ERR_BAD_ENCODING},
        {value_cstr("12345678\xff"), ERR_BAD_ENCODING},
        {value_cstr("123\x80"
                    "567"),
         ERR_BAD_ENCODING},
        {raw(TYPE_JSON, " {\"a\": [1]} ", 12), ERR_OK},
        {raw(TYPE_JSON, "\"12345678\"", 10), ERR_OK},
        {raw(TYPE_JSON, "\"1234567\\\"\"", 11), ERR_OK},
        {raw(TYPE_JSON, "\"1234567\x1f\"", 10), ERR_BAD_JSON},
        {raw(TYPE_JSON, "\"12345678", 9), ERR_BAD_JSON},
        {raw(TYPE_JSON, "{", 1), ERR_BAD_JSON},
        {raw(TYPE_JSON, "", 0), ERR_BAD_JSON},
        {raw(TYPE_JSON, "01", 2), ERR_BAD_JSON},
        {raw(TYPE_JSON, "\"\xff\"", 3), ERR_BAD_ENCODING},
        {raw(TYPE_JSON, "1\0", 2), ERR_BAD_ENCODING},
        {raw(TYPE_JSON, deep, sizeof(deep)), ERR_NESTED_TOO_DEEP},
        {raw(TYPE_JSON, deep + 1, sizeof(deep) - 2), ERR_OK},
        {instant(TIMESTAMP_MIN), ERR_OK},
        {instant(TIMESTAMP_MAX), ERR_OK},
        {instant(TIMESTAMP_MIN - 1), ERR_DATETIME_RANGE},
        {instant(TIMESTAMP_MAX + 1), ERR_DATETIME_RANGE},
        {instant(INT64_MAX), ERR_DATETIME_RANGE},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        f->err.code = ERR_OK;
        assert_int_equal(value_check(&rows[i].value, &f->err), rows[i].code);
        assert_int_equal(f->err.code, rows[i].code);
    }
}

static size_t one_of_each(struct fixture *f, struct value *values)
{
    static const float floats[] = {1.0f, -0.5f};
    size_t n = 0;
    values[n++] = value_null();
    values[n++] = value_bool(true);
    values[n++] = value_int(-5);
    values[n++] = value_float(2.5);
    values[n++] = value_cstr("h\xc3\xa9");
    assert_int_equal(parse_as(f, TYPE_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", &values[n++]),
                     ERR_OK);
    assert_int_equal(parse_as(f, TYPE_TIMESTAMP, "2026-01-31", &values[n++]), ERR_OK);
    assert_int_equal(parse_as(f, TYPE_JSON, "[1]", &values[n++]), ERR_OK);
    values[n++] = value_vector(floats, 2);
    return n;
}

static void values_of_every_type_are_written_and_read_back(void **state)
{
    struct fixture *f = *state;
    struct value values[TYPE_COUNT];
    size_t n = one_of_each(f, values);
    assert_int_equal(n, TYPE_COUNT);
    for (size_t i = 0; i < n; i++) {
        struct buf b;
        buf_init(&b, MEM_GENERAL, 4096);
        value_write(&b, &values[i]);
        struct reader r;
        reader_init(&r, b.data, b.bytes);
        struct value back = value_read(&r, f->arena);
        assert_true(reader_done(&r));
        assert_int_equal(back.type, values[i].type);
        assert_int_equal(value_compare(&back, &values[i]), 0);
        for (size_t bytes = 0; bytes < b.bytes; bytes++) {
            reader_init(&r, b.data, bytes);
            value_read(&r, f->arena);
            assert_true(r.failed);
        }
        buf_fini(&b);
    }
}

static void numbers_compare_exactly_across_their_types(void **state)
{
    (void)state;
    struct value big = value_int(9007199254740993), near = value_float(9007199254740992.0);
    assert_true(value_compare(&big, &near) > 0);
    assert_true(value_compare(&near, &big) < 0);
    struct value one = value_int(1), half = value_float(1.5), nan = value_float(NAN);
    assert_true(value_compare(&one, &half) < 0);
    assert_true(value_compare(&one, &nan) < 0);
    struct value none = value_null();
    assert_true(value_compare(&none, &one) > 0);
    struct value huge = value_float(1e300), least = value_float(-1e300);
    assert_true(value_compare(&big, &huge) < 0);
    assert_true(value_compare(&big, &least) > 0);
}

static void types_are_found_by_their_vql_name(void **state)
{
    (void)state;
    for (int type = TYPE_NULL + 1; type < TYPE_COUNT; type++) {
        const char *name = type_name((enum value_type)type);
        assert_int_equal(type_find(name, strlen(name)), type);
    }
    assert_int_equal(type_find("vector", 6), TYPE_VECTOR);
    assert_int_equal(type_find("NULL", 4), TYPE_NULL);
}

static void json_is_checked_and_its_members_are_found(void **state)
{
    (void)state;
    static const char *const good[] = {
        "0",  "-1.5e+3", "\"\\u00e9\\n\"", "[]",
        "{}", "[[],{}]", "null",           " {\"a\":{\"b\":[1,2,{\"c\":true}]}} "};
    static const char *const bad[] = {"",      "01",      "1.",  "[1,]",  "{\"a\":1,}",
                                      "{a:1}", "\"\n\"",  "tru", "[1 2]", "\"\\x\"",
                                      "[1]]",  "{\"a\"}", "+1",  "\""};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_int_equal(json_check(good[i], strlen(good[i])), JSON_VALID);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(json_check(bad[i], strlen(bad[i])), JSON_BROKEN);
    }
    char deep[2 * JSON_DEPTH_MAX + 3];
    memset(deep, '[', JSON_DEPTH_MAX);
    memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_int_equal(json_check(deep, 2 * JSON_DEPTH_MAX), JSON_VALID);
    memset(deep, '[', JSON_DEPTH_MAX + 1);
    memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_int_equal(json_check(deep, 2 * JSON_DEPTH_MAX + 2), JSON_TOO_DEEP);

    const char *json = "{\"a\": {\"x\": 1}, \"b\": [10, \"t\", null]}", *member;
    size_t bytes;
    assert_true(json_member(json, strlen(json), "a", 1, &member, &bytes));
    assert_int_equal(bytes, strlen("{\"x\": 1}"));
    assert_false(json_member(json, strlen(json), "x", 1, &member, &bytes));
    assert_true(json_member(json, strlen(json), "b", 1, &member, &bytes));
    assert_false(json_member(member, bytes, "1", 1, &member, &bytes));
    assert_false(json_member("5", 1, "a", 1, &member, &bytes));
}

static void json_elements_are_counted_from_either_end(void **state)
{
    (void)state;
    static const char *const elements[] = {"10", "\"t\"", "[1, 2]", "null"};
    static const char json[] = " [10, \"t\" ,[1, 2],null ] ";
    const char *element;
    size_t bytes;
    for (int64_t at = 0; at < (int64_t)COUNT_OF(elements); at++) {
        assert_true(json_element(json, strlen(json), at, &element, &bytes));
        assert_int_equal(bytes, strlen(elements[at]));
        assert_memory_equal(element, elements[at], bytes);
        assert_true(json_element(json, strlen(json), at - 4, &element, &bytes));
        assert_int_equal(bytes, strlen(elements[at]));
        assert_memory_equal(element, elements[at], bytes);
    }
    static const int64_t none[] = {4, -5, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        assert_false(json_element(json, strlen(json), none[i], &element, &bytes));
    }
    assert_false(json_element("[]", 2, 0, &element, &bytes));
    static const char deep[] =
        "[[[\"]\", {\"a\": [1, \"\\\"]\"]}], 2],-1.5e3 , \"x\" ,{}, [], true]";
    static const char *const parts[] = {
        "[[\"]\", {\"a\": [1, \"\\\"]\"]}], 2]", "-1.5e3", "\"x\"", "{}", "[]", "true"};
    for (size_t at = 0; at < COUNT_OF(parts); at++) {
        assert_true(json_element(deep, strlen(deep), (int64_t)at, &element, &bytes));
        assert_int_equal(bytes, strlen(parts[at]));
        assert_memory_equal(element, parts[at], bytes);
    }
    assert_false(json_element("[}]", 3, 1, &element, &bytes)); /* What is no JSON has an end. */
    assert_false(json_member("{\"a\":}", 6, "b", 1, &element, &bytes));
    for (size_t n = 0; n < strlen(deep); n++) { /* Cut anywhere: no byte beyond is read. */
        char *cut = malloc(n + 1);
        memcpy(cut, deep, n);
        (void)json_element(cut, n, 5, &element, &bytes);
        (void)json_member(cut, n, "a", 1, &element, &bytes);
        assert_true(element >= cut && element + bytes <= cut + n);
        free(cut);
    }
    assert_false(json_element("[ ]", 3, -1, &element, &bytes));
    assert_false(json_element("{\"0\": 1}", 8, 0, &element, &bytes));
    assert_false(json_element("7", 1, 0, &element, &bytes));
}

static bool has_member(const char *json, const char *key, const char *wanted)
{
    const char *member;
    size_t bytes;
    return json_member(json, strlen(json), key, strlen(key), &member, &bytes) &&
           bytes == strlen(wanted) && memcmp(member, wanted, bytes) == 0;
}

static void json_members_are_found_by_what_their_names_mean(void **state)
{
    (void)state;
    assert_true(has_member("{\"a\\u0062\": 1}", "ab", "1"));
    assert_true(has_member("{\"a\\\"b\": 1}", "a\"b", "1"));
    assert_true(has_member("{\"\\/\\\\\\b\\f\\n\\r\\t\": 1}", "/\\\b\f\n\r\t", "1"));
    assert_true(has_member("{\"\\u00e9\": 1, \"x\": 2}", "é", "1"));
    assert_true(has_member("{\"\\uD83D\\ude00!\": 1}", "\U0001F600!", "1"));
    assert_true(has_member("{\"ab\": 1, \"a\\u0062\": 2}", "ab", "2")); /* The last one wins. */
    assert_true(has_member("{\"\": 1}", "", "1"));
    assert_false(has_member("{\"a\\u0062\": 1}", "a\\u0062", "1")); /* Not as it is written. */
    assert_false(has_member("{\"a\\u0062\": 1}", "a", "1"));
    assert_false(has_member("{\"a\\u0062\": 1}", "abc", "1"));
    assert_false(has_member("{\"\\u00e9\": 1}", "\xc3", "1")); /* Half of its character. */
}

static void json_strings_are_given_as_what_they_mean(void **state)
{
    (void)state;
    static const struct {
        const char *string, *text;
    } rows[] = {
        {"\"\"", ""},
        {"\"a\\u0062\\\"\\\\\\/\"", "ab\"\\/"},
        {"\"\\ud83d\\uDE00\"", "\U0001F600"},
        {"\"\\ud83d\"", "\uFFFD"}, /* Halves of pairs, and what no text can hold. */
        {"\"\\ude00\\ud83d\\u0041\"", "\uFFFD\uFFFDA"},
        {"\"\\ud83d\\n\"", "\uFFFD\n"},
        {"\"\\u0000\"", "\uFFFD"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[64];
        size_t bytes = json_unescape(rows[i].string, strlen(rows[i].string), text);
        assert_true(bytes <= strlen(rows[i].string) && utf8_is_valid(text, bytes));
        assert_int_equal(bytes, strlen(rows[i].text));
        assert_memory_equal(text, rows[i].text, bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_parsed_and_shown_in_their_canonical_form),
        cmocka_unit_test(a_number_has_the_fewest_digits_that_read_back),
        cmocka_unit_test(floats_are_written_and_read_as_the_c_library_does),
        cmocka_unit_test(decimals_are_read_as_the_c_library_does),
        cmocka_unit_test(what_is_no_value_of_the_type_is_refused),
        cmocka_unit_test(what_cannot_be_stored_is_told_from_what_can),
        cmocka_unit_test(values_of_every_type_are_written_and_read_back),
        cmocka_unit_test(numbers_compare_exactly_across_their_types),
        cmocka_unit_test(types_are_found_by_their_vql_name),
        cmocka_unit_test(json_is_checked_and_its_members_are_found),
        cmocka_unit_test(json_elements_are_counted_from_either_end),
        cmocka_unit_test(json_members_are_found_by_what_their_names_mean),
        cmocka_unit_test(json_strings_are_given_as_what_they_mean),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
