/* Which of clients' queries are kept: as many as the rows are worth, and in no order. */
#include "../unit.h"

#include "shard/calibration_int.h"
#include "shard/vectors_int.h"

enum {
    N = 1 << 16
};

/* Query number @i is its number. */
static void note(struct vector_index *v, size_t n_rows, uint32_t from, uint32_t end)
{
    for (uint32_t i = from; i < end; i++) {
        float query = (float)i;
        struct asked asked = {.query = &query, .k = 10};
        queries_note(v, n_rows, 1, &asked);
    }
}

static uint32_t count_since(struct queries *q, uint32_t n, float first)
{
    uint32_t n_since = 0;
    for (uint32_t i = 0; i < n; i++) {
        float query;
        assert_true(queries_get(q, 1, false, i, &query));
        n_since += query >= first;
    }
    return n_since;
}

static void as_many_are_kept_as_the_rows_are_worth(void **state)
{
    (void)state;
    struct vector_index v = {.kind = INDEX_HNSW};
    struct calibration *c = &v.calibration;
    calibration_init(c);
    note(&v, CALIBRATION_ROWS_MIN - 1, 0, N);
    assert_int_equal(c->queries.n_kept, 0);
    assert_null(c->queries.vectors);
    note(&v, CALIBRATION_ROWS_MIN, 0, N);
    assert_int_equal(c->queries.n_kept, QUERIES_KEPT_MIN);
    note(&v, 4 * 1000, N, 2 * N);
    assert_int_equal(c->queries.n_kept, 1000);
    note(&v, 1000 * 1000, 2 * N, 3 * N);
    assert_int_equal(c->queries.n_kept, QUERIES_KEPT_MAX);
    assert_int_equal(c->queries.n_fresh, QUERIES_FRESH);
    calibration_fini(c);
}

/* Who reads the first of them reads a sample of all: of those that came when there was room again,
 * too. */
static void the_first_ones_are_a_sample_of_all(void **state)
{
    (void)state;
    struct vector_index v = {.kind = INDEX_HNSW};
    struct calibration *c = &v.calibration;
    calibration_init(c);
    note(&v, CALIBRATION_ROWS_MIN, 0, N);
    for (uint32_t i = N; c->queries.n_kept < QUERIES_KEPT_MAX; i++) {
        note(&v, 1000 * 1000, i, i + 1);
    }
    uint32_t n_late = count_since(&c->queries, QUERIES_KEPT_MAX, N);
    uint32_t n_late_first = count_since(&c->queries, QUERIES_KEPT_MAX / 4, N);
    assert_in_range(n_late_first, n_late / 5, n_late / 3);
    assert_in_range(n_late, QUERIES_KEPT_MAX / 2, QUERIES_KEPT_MAX - 1);
    calibration_fini(c);
}

static uint32_t classes_after(struct vector_index *v, size_t k, bool is_filtered, int n)
{
    float query = 1;
    struct asked asked = {.query = &query, .k = k, .is_filtered = is_filtered};
    for (int i = 0; i < n; i++) {
        queries_note(v, CALIBRATION_ROWS_MIN, 1, &asked);
    }
    return queries_classes(&v->calibration.queries);
}

static uint32_t bit_of(uint32_t k, float share)
{
    for (unsigned i = 0; i < CURVE_COUNT; i++) {
        if (recall_classes[i].k == k && recall_classes[i].share == share) {
            return UINT32_C(1) << i;
        }
    }
    fail();
    return 0;
}

static void the_classes_that_clients_ask_for_are_known(void **state)
{
    (void)state;
    struct vector_index v = {.kind = INDEX_HNSW};
    calibration_init(&v.calibration);
    uint32_t ten = bit_of(10, 1), hundred = bit_of(100, 1), nearest = bit_of(1, 1);
    assert_int_equal(queries_classes(&v.calibration.queries), ten); /* Before any. */
    assert_int_equal(classes_after(&v, 1, false, 3), nearest);
    assert_int_equal(classes_after(&v, 20, false, 3), nearest | ten | hundred);
    assert_int_equal(classes_after(&v, 10, false, 1000), ten); /* The others are few by now. */
    uint32_t filtered = classes_after(&v, 100, true, 1000);
    assert_int_equal(filtered & ~(ten | bit_of(10, 0.01F) | bit_of(10, 0.001F)),
                     bit_of(100, 0.5F) | bit_of(100, 0.1F));
    calibration_fini(&v.calibration);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_are_kept_as_the_rows_are_worth),
        cmocka_unit_test(the_first_ones_are_a_sample_of_all),
        cmocka_unit_test(the_classes_that_clients_ask_for_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
