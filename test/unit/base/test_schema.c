/* Schemas: look-ups and the catalog's record. */
#include "test/unit/unit.h"

#include <stdio.h>

static void make_schema(struct schema *s)
{
    memset(s, 0, sizeof(*s));
    s->id = 42;
    snprintf(s->name, sizeof(s->name), "docs");
    s->n_columns = 3;
    s->columns[0] = (struct column){.name = "id", .type = TYPE_TEXT, .is_not_null = true};
    s->columns[1] = (struct column){.name = "year", .type = TYPE_INT};
    s->columns[2] = (struct column){
        .name = "embedding", .type = TYPE_VECTOR, .dim = 768, .distance = DISTANCE_COSINE};
    struct value m = value_int(24);
    struct err err;
    assert_int_equal(policy_assign(&s->policies, POLICY_m, LEVEL_COLLECTION, &m, &err), ERR_OK);
}

static void columns_are_found_by_name(void **state)
{
    (void)state;
    struct schema s;
    make_schema(&s);
    assert_int_equal(schema_column(&s, "year"), 1);
    assert_int_equal(schema_column(&s, "nothing"), -1);
    assert_int_equal(schema_first_vector(&s), 2);
    assert_string_equal(distance_name(DISTANCE_DOT), "DOT");
}

static void a_schema_is_written_and_read_back(void **state)
{
    (void)state;
    struct schema s, back;
    make_schema(&s);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_found_by_name),
        cmocka_unit_test(a_schema_is_written_and_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
