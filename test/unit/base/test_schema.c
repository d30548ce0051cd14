/* Schemas: look-ups and the catalog's record. */
#include "test/unit/unit.h"

#include <stdio.h>

static void make_schema(struct schema *s, bool has_quantization)
{
    memset(s, 0, sizeof(*s));
    s->id = 42;
    snprintf(s->name, sizeof(s->name), "docs");
    s->n_columns = 3;
    s->columns[0] = (struct column){.name = "id", .type = TYPE_TEXT, .is_not_null = true};
    s->columns[1] = (struct column){.name = "year", .type = TYPE_INT};
    s->columns[2] = (struct column){
        .name = "embedding", .type = TYPE_VECTOR, .dim = 768, .distance = DISTANCE_COSINE};
    s->columns[2].has_quantization = has_quantization;
    s->columns[2].quantization = has_quantization ? QUANTIZATION_2 : QUANTIZATION_NONE;
    struct value m = value_int(24);
    struct err err;
    assert_int_equal(policy_assign(&s->policies, POLICY_m, LEVEL_COLLECTION, &m, &err), ERR_OK);
}

static void columns_are_found_by_name(void **state)
{
    (void)state;
    struct schema s;
    make_schema(&s, true);
    assert_int_equal(schema_column(&s, "year"), 1);
    assert_int_equal(schema_column(&s, "nothing"), -1);
    assert_int_equal(schema_first_vector(&s), 2);
    assert_string_equal(distance_name(DISTANCE_DOT), "DOT");
}

static void a_schema_is_written_and_read_back(void **state)
{
    (void)state;
    struct schema s, back;
    make_schema(&s, true);
    struct buf b;
    buf_init(&b, MEM_GENERAL, 65536);
    schema_write(&b, &s);
    struct reader r;
    struct err err;
    reader_init(&r, b.data, b.bytes);
    assert_int_equal(schema_read(&r, &back, &err), ERR_OK);
    assert_true(reader_done(&r));
    assert_memory_equal(&back, &s, sizeof(s));
    for (size_t bytes = 0; bytes < b.bytes; bytes++) {
        reader_init(&r, b.data, bytes);
        assert_int_not_equal(schema_read(&r, &back, &err), ERR_OK);
    }
    b.data[0] = 99;
    reader_init(&r, b.data, b.bytes);
    assert_int_equal(schema_read(&r, &back, &err), ERR_FORMAT_UNSUPPORTED);
    buf_fini(&b);
}

/* Data directories of before have records of version 1, whose columns end with is_not_null. */
static void a_record_without_quantizations_is_read(void **state)
{
    (void)state;
    struct schema s, back;
    struct buf b, old;
    make_schema(&s, false);
    buf_init(&b, MEM_GENERAL, 65536);
    buf_init(&old, MEM_GENERAL, 65536);
    schema_write(&b, &s);
    size_t at = 1 + sizeof(uint64_t) + sizeof(uint32_t) + strlen(s.name) + sizeof(uint16_t);
    buf_u8(&old, 1);
    buf_bytes(&old, b.data + 1, at - 1);
    for (uint32_t i = 0; i < s.n_columns; i++) {
        size_t bytes = sizeof(uint32_t) + strlen(s.columns[i].name) + 1 + sizeof(uint32_t) + 2;
        buf_bytes(&old, b.data + at, bytes);
        at += bytes + 1;
    }
    buf_bytes(&old, b.data + at, b.bytes - at);
    struct reader r;
    struct err err;
    reader_init(&r, old.data, old.bytes);
    assert_int_equal(schema_read(&r, &back, &err), ERR_OK);
    assert_true(reader_done(&r));
    assert_memory_equal(&back, &s, sizeof(s));
    buf_fini(&b);
    buf_fini(&old);
}

static void a_quantization_is_the_columns_or_the_policys_or_follows_from_the_dimension(void **state)
{
    (void)state;
    static const struct {
        uint32_t dim;
        enum quantization expected;
    } autos[] = {{1, QUANTIZATION_NONE}, {32, QUANTIZATION_NONE}, {33, QUANTIZATION_8},
                 {64, QUANTIZATION_8},   {65, QUANTIZATION_4},    {4096, QUANTIZATION_4}};
    struct policy_value by_dim = {.is_auto = true}, two = {.integer = QUANTIZATION_2};
    for (size_t i = 0; i < COUNT_OF(autos); i++) {
        struct column c = {.type = TYPE_VECTOR, .dim = autos[i].dim};
        assert_int_equal(column_quantization(&c, &by_dim), autos[i].expected);
        assert_int_equal(column_quantization(&c, &two), QUANTIZATION_2);
        c.has_quantization = true;
        c.quantization = QUANTIZATION_8;
        assert_int_equal(column_quantization(&c, &two), QUANTIZATION_8);
        c.is_quantization_auto = true;
        assert_int_equal(column_quantization(&c, &two), autos[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_found_by_name),
        cmocka_unit_test(a_schema_is_written_and_read_back),
        cmocka_unit_test(a_record_without_quantizations_is_read),
        cmocka_unit_test(
            a_quantization_is_the_columns_or_the_policys_or_follows_from_the_dimension),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
