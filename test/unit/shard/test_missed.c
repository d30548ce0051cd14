/* Which rows are told to an index, of those that queries missed. */
#include "../unit.h"

#include "shard/tally_int.h"

#include <math.h>

enum {
    OFTEN = 7,
    HALF = 9, /* As seldom as is enough for a row that was told before. */
    SELDOM = 11,
    QUERIES = 1000,
};
static const struct missed_rows nothing;

/* The nearest rows of a query: 1 .. MISSED_K, each farther than the one before. */
static void make_truth(struct index_hit truth[MISSED_K])
{
    for (size_t i = 0; i < MISSED_K; i++) {
        truth[i] = (struct index_hit){.row = i + 1, .distance = (double)i};
    }
}

/* A query that finds all of them but one; @but = 0: it finds all. */
static void note_all_but(struct missed *m, uint64_t but)
{
    struct index_hit truth[MISSED_K], found[MISSED_K];
    size_t n = 0;
    make_truth(truth);
    for (size_t i = 0; i < MISSED_K; i++) {
        found[n] = truth[i];
        n += truth[i].row != but;
    }
    missed_note(m, truth, MISSED_K, found, n);
}

static void note_queries(struct missed *m, uint32_t n_often, uint32_t n_half, uint32_t n_seldom)
{
    assert_true(missed_init(m));
    for (uint32_t i = 0; i < QUERIES; i++) {
        note_all_but(m, i < n_often                       ? OFTEN
                        : i < n_often + n_half            ? HALF
                        : i < n_often + n_half + n_seldom ? SELDOM
                                                          : 0);
    }
}

static void those_that_many_missed_are_told_the_most_missed_first(void **state)
{
    (void)state;
    struct missed m;
    struct missed_rows told = nothing;
    note_queries(&m, 30, 20, 9);
    assert_true(missed_sum_up(&m, &nothing, &told));
    assert_int_equal(told.n, 2);
    assert_int_equal(told.items[0].row, OFTEN);
    assert_true(fabsf(told.items[0].missed - 0.03F) < 1e-6F);
    assert_int_equal(told.items[1].row, HALF);
    assert_true(fabsf(told.items[1].missed - 0.02F) < 1e-6F);
    missed_fini(&m);
}

static void one_that_was_told_before_stays_for_half_as_many(void **state)
{
    (void)state;
    struct missed m;
    struct missed_rows known = {1, {{.row = HALF, .missed = 0.03F}}}, told = nothing;
    note_queries(&m, 30, 10, 19);
    assert_true(missed_sum_up(&m, &known, &told));
    assert_int_equal(told.n, 2);
    assert_int_equal(told.items[1].row, HALF);
    assert_true(missed_sum_up(&m, &nothing, &told));
    assert_int_equal(told.n, 1);
    missed_fini(&m);
}

static void few_queries_tell_nothing(void **state)
{
    (void)state;
    struct missed m;
    struct missed_rows told = nothing;
    assert_true(missed_init(&m));
    for (size_t i = 0; i < 63; i++) {
        note_all_but(&m, OFTEN);
    }
    assert_false(missed_sum_up(&m, &nothing, &told));
    note_all_but(&m, 0);
    assert_true(missed_sum_up(&m, &nothing, &told));
    assert_int_equal(told.n, 1);
    missed_fini(&m);
}

static void of_too_many_the_least_missed_are_left_out(void **state)
{
    (void)state;
    enum {
        ROUNDS = 200
    };
    struct missed m;
    struct missed_rows told = nothing;
    struct index_hit truth[MISSED_K];
    make_truth(truth);
    assert_true(missed_init(&m));
    for (size_t i = 0; i < ROUNDS; i++) { /* The farthest are missed most often. */
        missed_note(&m, truth, MISSED_K, truth, MISSED_K - 1 - i * (MISSED_K - 1) / ROUNDS);
    }
    assert_true(missed_sum_up(&m, &nothing, &told));
    assert_int_equal(told.n, INDEX_STARTS_MAX);
    for (size_t i = 0; i < told.n; i++) {
        assert_true(told.items[i].row > MISSED_K - INDEX_STARTS_MAX);
        assert_true(i == 0 || told.items[i].missed <= told.items[i - 1].missed);
    }
    missed_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_many_missed_are_told_the_most_missed_first),
        cmocka_unit_test(one_that_was_told_before_stays_for_half_as_many),
        cmocka_unit_test(few_queries_tell_nothing),
        cmocka_unit_test(of_too_many_the_least_missed_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
