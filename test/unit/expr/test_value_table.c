/* Tables of rows that are held once: random rows against a list that is searched from its begin,
 * what is equal, the ends of memory and of patience. */
#include "test/unit/unit.h"

#include "expr/aggregate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    ROWS = 3000,
    MANY = 200000,
    WIDTH_MAX = 3,
    ARENA_BYTES = 64 << 20,
    TEXTS = 40,
};

struct table_test {
    struct arena *arena;
    struct work work;
    struct err err;
    uint64_t random;
    float floats[4];
    char texts[TEXTS][24];
};

static int setup(void **state)
{
    struct table_test *t = mem_zalloc(MEM_GENERAL, sizeof(*t));
    assert_non_null(t);
    t->arena = arena_new(MEM_GENERAL, ARENA_BYTES);
    t->work.left = INT64_MAX;
    t->random = 7;
    for (size_t i = 0; i < TEXTS; i++) {
        snprintf(t->texts[i], sizeof(t->texts[i]), "%.*s%zu", (int)(i % 17), "aaaaaaaaaaaaaaaaaaaa",
                 i);
    }
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct table_test *t = *state;
    arena_free(t->arena);
    mem_free(MEM_GENERAL, t);
    return 0;
}

/* Of few values, so that many are equal. */
static struct value random_value(struct table_test *t, enum value_type type)
{
    uint64_t r = random_next(&t->random) % TEXTS;
    struct value v = {.type = type};
    switch (type) {
    case TYPE_BOOL:
        return value_bool(r % 2 == 0);
    case TYPE_INT:
        return value_int((int64_t)r - 5);
    case TYPE_TIMESTAMP:
        v.integer = (int64_t)r;
        return v;
    case TYPE_FLOAT:
        return value_float(r == 0 ? -0.0 : r == 1 ? (double)NAN : floor((double)r * 0.5) - 1);
    case TYPE_TEXT:
        return value_text(t->texts[r], strlen(t->texts[r]) - (r == 3));
    case TYPE_UUID:
        v.uuid[r % UUID_BYTES] = (uint8_t)r;
        return v;
    case TYPE_VECTOR:
        t->floats[0] = r % 3 == 0 ? -0.0F : (float)(r % 3 - 1);
        t->floats[1] = (float)(r % 5);
        return value_vector(t->floats, (uint32_t)(1 + r % 2));
    default:
        return value_null();
    }
}

static bool rows_are_equal(const struct value *a, const struct value *b, size_t width)
{
    for (size_t i = 0; i < width; i++) {
        if (a[i].type != b[i].type || value_compare(&a[i], &b[i]) != 0) {
            return false;
        }
    }
    return true;
}

/* @types are of the columns; one row in ten has a NULL there. */
static void put_random_rows(struct table_test *t, const enum value_type *types, size_t width)
{
    struct value_table *table = value_table_new(t->arena, &t->work, width);
    struct value row[WIDTH_MAX];
    assert_non_null(table);
    for (int i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < width; j++) {
            bool is_null = random_next(&t->random) % 10 == 0;
            row[j] = is_null ? value_null() : random_value(t, types[j]);
        }
        size_t n = value_table_count(table), wanted = 0, number;
        bool is_new;
        while (wanted < n && !rows_are_equal(value_table_row(table, wanted), row, width)) {
            wanted++;
        }
        assert_int_equal(value_table_put(table, row, &number, &is_new, &t->err), ERR_OK);
        assert_int_equal(number, wanted);
        assert_int_equal(is_new, wanted == n);
        assert_int_equal(value_table_count(table), n + (wanted == n));
        assert_true(rows_are_equal(value_table_row(table, number), row, width));
    }
    assert_true(value_table_count(table) > 1);
}

static void equal_rows_are_one_in_the_order_of_arrival(void **state)
{
    struct table_test *t = *state;
    for (int type = TYPE_BOOL; type < TYPE_COUNT; type++) {
        if (type != TYPE_JSON) {
            put_random_rows(t, (enum value_type[]){(enum value_type)type}, 1);
        }
    }
    put_random_rows(t, (enum value_type[]){TYPE_INT, TYPE_TEXT}, 2);
    put_random_rows(t, (enum value_type[]){TYPE_FLOAT, TYPE_VECTOR, TYPE_UUID}, 3);
}

static size_t put(struct table_test *t, struct value_table *table, struct value value)
{
    size_t number;
    bool is_new;
    assert_int_equal(value_table_put(table, &value, &number, &is_new, &t->err), ERR_OK);
    return number;
}

static void nulls_and_zeros_are_equal_and_types_are_not(void **state)
{
    struct table_test *t = *state;
    struct value_table *table = value_table_new(t->arena, &t->work, 1);
    struct value json = value_cstr("1");
    json.type = TYPE_JSON;
    assert_int_equal(put(t, table, value_null()), 0);
    assert_int_equal(put(t, table, value_float(0.0)), 1);
    assert_int_equal(put(t, table, value_float(-0.0)), 1);
    assert_int_equal(put(t, table, value_null()), 0);
    assert_int_equal(put(t, table, value_float((double)NAN)), 2);
    assert_int_equal(put(t, table, value_float(-(double)NAN)), 2);
    assert_int_equal(put(t, table, value_int(0)), 3);
    assert_int_equal(put(t, table, value_cstr("")), 4);
    assert_int_equal(put(t, table, value_text(NULL, 0)), 4);
    assert_int_equal(put(t, table, value_cstr("1")), 5);
    assert_int_equal(put(t, table, json), 6);
    assert_int_equal(put(t, table, value_vector((float[]){0.0F, 1}, 2)), 7);
    assert_int_equal(put(t, table, value_vector((float[]){-0.0F, 1}, 2)), 7);
    assert_int_equal(put(t, table, value_vector((float[]){0.0F, 1, 0}, 3)), 8);
}

static void a_row_of_nothing_is_one_row(void **state)
{
    struct table_test *t = *state;
    struct value_table *table = value_table_new(t->arena, &t->work, 0);
    size_t number;
    bool is_new;
    assert_int_equal(value_table_put(table, NULL, &number, &is_new, &t->err), ERR_OK);
    assert_true(is_new && number == 0);
    assert_int_equal(value_table_put(table, NULL, &number, &is_new, &t->err), ERR_OK);
    assert_true(!is_new && number == 0);
    assert_int_equal(value_table_count(table), 1);
}

static void what_is_put_is_copied(void **state)
{
    struct table_test *t = *state;
    struct value_table *table = value_table_new(t->arena, &t->work, 1);
    char text[] = "before";
    assert_int_equal(put(t, table, value_cstr(text)), 0);
    text[0] = 'x';
    assert_int_equal(put(t, table, value_cstr(text)), 1);
    assert_memory_equal(value_table_row(table, 0)->text.data, "before", 6);
    assert_int_equal(put(t, table, value_cstr("before")), 0);
}

static void many_rows_keep_their_numbers(void **state)
{
    struct table_test *t = *state;
    struct value_table *table = value_table_new(t->arena, &t->work, 1);
    for (int twice = 0; twice < 2; twice++) {
        for (int64_t i = 0; i < MANY; i++) {
            assert_int_equal(put(t, table, value_int(i * 1024)), i);
        }
    }
    assert_int_equal(value_table_count(table), MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(value_table_row(table, i)->integer, i * 1024);
    }
    /* 24 bytes and a third more slots of 8 than rows, at most twice that, and as much again that
     * was left as it grew. */
    assert_in_range(arena_bytes(t->arena), MANY * 24, MANY * 72);
}

static void a_table_is_as_before_where_memory_ends(void **state)
{
    struct table_test *t = *state;
    struct arena *small = arena_new(MEM_GENERAL, 1 << 16);
    struct value_table *table = value_table_new(small, &t->work, 1);
    enum errcode code = ERR_OK;
    size_t number;
    bool is_new;
    int64_t n = 0;
    while (code == ERR_OK) {
        struct value value = value_int(n);
        code = value_table_put(table, &value, &number, &is_new, &t->err);
        n += code == ERR_OK;
    }
    assert_int_equal(code, ERR_OUT_OF_MEMORY);
    assert_int_equal(value_table_count(table), n);
    for (int64_t i = 0; i < n; i += 100) {
        assert_int_equal(value_table_row(table, (size_t)i)->integer, i);
    }
    arena_free(small);
}

static enum errcode stop(struct work *work, struct err *err)
{
    work->left = 0;
    return err_set(err, ERR_CANCELED, "stopped");
}

/* Wherever it is stopped, it is as before, and goes on. */
static void a_table_is_as_before_where_it_is_stopped(void **state)
{
    struct table_test *t = *state;
    struct value_table *table = value_table_new(t->arena, &t->work, 1);
    int n_stopped = 0;
    t->work.ask = stop;
    for (int64_t i = 0; i < ROWS; i++) {
        struct value value = value_cstr(t->texts[i % TEXTS]);
        value = i >= TEXTS ? value_int(i) : value;
        size_t number, n = value_table_count(table);
        bool is_new;
        for (t->work.left = 1 + (int64_t)(random_next(&t->random) % 100);; t->work.left = 1 << 20) {
            enum errcode code = value_table_put(table, &value, &number, &is_new, &t->err);
            if (code == ERR_OK) {
                break;
            }
            assert_int_equal(code, ERR_CANCELED);
            assert_int_equal(value_table_count(table), n);
            n_stopped++;
        }
        assert_int_equal(number, i);
    }
    assert_true(n_stopped > 0);
}

static void a_long_text_is_paid_for(void **state)
{
    struct table_test *t = *state;
    enum {
        BYTES = 1 << 20
    };
    struct value_table *table = value_table_new(t->arena, &t->work, 1);
    char *text = arena_alloc(t->arena, BYTES);
    memset(text, 'x', BYTES);
    int64_t before = t->work.left;
    assert_int_equal(put(t, table, value_text(text, BYTES)), 0);
    assert_true(before - t->work.left >= BYTES / 16);
    before = t->work.left;
    assert_int_equal(put(t, table, value_text(text, BYTES)), 0);
    assert_true(before - t->work.left >= BYTES / 16);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(equal_rows_are_one_in_the_order_of_arrival),
        TEST(nulls_and_zeros_are_equal_and_types_are_not),
        TEST(a_row_of_nothing_is_one_row),
        TEST(what_is_put_is_copied),
        TEST(many_rows_keep_their_numbers),
        TEST(a_table_is_as_before_where_memory_ends),
        TEST(a_table_is_as_before_where_it_is_stopped),
        TEST(a_long_text_is_paid_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
