/* The beam of a walk: what its rule keeps, and what it asks of each instruction set. */
#include "fixture.h"

#include "index/candidate_int.h"

#include <math.h>
#include <string.h>

static const char *const kernels[] = {"scalar", "avx2", "avx512"};

static void the_place_of_a_key_is_the_same_for_every_kernel(void **state)
{
    (void)state;
    enum {
        KEYS_MAX = 600
    };
    float keys[KEYS_MAX + BEAM_SLACK] = {0};
    for (size_t i = 0; i < KEYS_MAX; i++) {
        keys[i] = i < 3 ? -INFINITY : i >= KEYS_MAX - 3 ? INFINITY : floorf((float)i / 4);
    }
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        for (size_t n = 0; n <= KEYS_MAX && index_choose_kernel(kernels[k]); n += 1 + n / 40) {
            for (int half = -2; half < 304; half++) {
                float key = (float)half / 2;
                size_t expected = 0;
                while (expected < n && keys[expected] < key) {
                    expected++;
                }
                assert_int_equal(beam_fns_chosen()->place(keys, n, key), expected);
            }
            assert_int_equal(beam_fns_chosen()->place(keys, n, -INFINITY), 0);
            assert_true(beam_fns_chosen()->place(keys, n, INFINITY) ==
                        (n < KEYS_MAX - 3 ? n : KEYS_MAX - 3));
        }
    }
    assert_true(index_choose_kernel(NULL));
}

static void a_key_is_put_in_its_place_by_every_kernel(void **state)
{
    (void)state;
    enum {
        N_MAX = 70
    };
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        for (size_t n = 0; n < N_MAX && index_choose_kernel(kernels[k]); n++) {
            for (size_t at = 0; at <= n; at++) {
                float keys[N_MAX + BEAM_SLACK] = {0};
                uint32_t slots[N_MAX + BEAM_SLACK] = {0};
                for (size_t i = 0; i < n; i++) {
                    keys[i] = (float)i;
                    slots[i] = (uint32_t)i | (i % 2 == 0 ? EXPANDED : 0);
                }
                beam_fns_chosen()->insert(keys, slots, n, at, -1, 1000);
                for (size_t i = 0, from = 0; i <= n; i++) {
                    bool is_new = i == at;
                    uint32_t slot = (uint32_t)from | (from % 2 == 0 ? EXPANDED : 0);
                    assert_true(keys[i] == (is_new ? -1 : (float)from));
                    assert_int_equal(slots[i], is_new ? 1000 : slot);
                    from += !is_new;
                }
            }
        }
    }
    assert_true(index_choose_kernel(NULL));
}

static void every_kernel_finds_the_keys_within_a_limit(void **state)
{
    (void)state;
    float keys[LINKS_MAX + BEAM_SLACK] = {0};
    uint64_t dice = 5;
    for (size_t i = 0; i < LINKS_MAX; i++) {
        keys[i] = i % 11 == 0 ? INFINITY : floorf(4 * random_float(&dice)) + 4;
    }
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        for (size_t n = 0; n <= LINKS_MAX && index_choose_kernel(kernels[k]); n++) {
            for (int limit = -1; limit <= 8; limit++) {
                uint8_t places[LINKS_MAX];
                float up_to = limit == 8 ? INFINITY : (float)limit;
                size_t n_within = beam_fns_chosen()->within(keys, n, up_to, places);
                size_t expected = 0;
                for (size_t i = 0; i < n; i++) {
                    if (keys[i] <= up_to) {
                        assert_true(expected < n_within && places[expected] == i);
                        expected++;
                    }
                }
                assert_int_equal(n_within, expected);
            }
        }
    }
    assert_true(index_choose_kernel(NULL));
}

/* A beam without its slots' rows: no two keys are equal. */
static struct beam beam_of(const struct stop_rule *rule)
{
    struct beam beam = {.keys = NULL};
    assert_true(beam_reserve(&beam, rule->max));
    beam_start(&beam, rule);
    return beam;
}

static void a_beam_keeps_what_its_rule_allows(void **state)
{
    (void)state;
    struct stop_rule rule = {.rank = 3, .sure = 5, .max = 8, .gamma = 0.5f, .shift = 1};
    struct beam beam = beam_of(&rule);
    /* Distances are keys + 1.  Three of them: 2, 4, 6, so 9 is the bound, and 8 is below. */
    static const float first[] = {1, 3, 5, 7, 7.5f, 7.75f};
    for (uint32_t i = 0; i < COUNT_OF(first); i++) {
        assert_true(beam_add(&beam, NULL, first[i], i));
    }
    assert_false(beam_add(&beam, NULL, 8, 9)); /* Not nearer than the bound. */
    assert_int_equal(beam.n, 6);
    assert_true(beam_limit(&beam) == 8);
    /* The third comes to 4: the bound to 6.  The first five stay, wherever they are. */
    assert_true(beam_add(&beam, NULL, 2, 10));
    assert_true(beam_limit(&beam) == 7);
    assert_int_equal(beam.n, 5);
    assert_true(beam.keys[4] == 7);
    beam_look_farther(&beam); /* One of them is hidden: now the fourth, at 6, counts. */
    assert_true(beam_limit(&beam) == 8);
    assert_true(beam_add(&beam, NULL, 7.25f, 11));
    for (uint32_t i = 0; i < 4; i++) {
        (void)beam_add(&beam, NULL, 6 + 0.125f * (float)i, 12 + i);
    }
    assert_int_equal(beam.n, rule.max);
    assert_true(beam.keys[7] < 7);
    beam_fini(&beam);
}

static void a_beam_by_rank_keeps_the_nearest_whatever_their_keys(void **state)
{
    (void)state;
    struct stop_rule rule = stop_by_rank(4);
    struct beam beam = beam_of(&rule);
    static const float keys[] = {1e30f, 3, INFINITY, -1e30f, -INFINITY, 2};
    for (uint32_t i = 0; i < COUNT_OF(keys); i++) {
        (void)beam_add(&beam, NULL, keys[i], i);
    }
    static const uint32_t expected[] = {4, 3, 5, 1};
    assert_int_equal(beam.n, 4);
    assert_memory_equal(beam.slots, expected, sizeof(expected));
    beam_fini(&beam);
}

static void keys_that_overflowed_leave_the_rule_whole(void **state)
{
    (void)state;
    struct stop_rule rule = {.rank = 1, .sure = 1, .max = 4, .gamma = 0.5f, .shift = INFINITY};
    assert_true(stop_bound(&rule, -INFINITY) == -INFINITY);
    assert_true(stop_bound(&rule, INFINITY) == INFINITY);
    rule.shift = 0;
    assert_true(stop_bound(&rule, -5) == -5);
    assert_true(stop_bound(&rule, 4) == 6);
    rule.spread = 3;
    assert_true(stop_bound(&rule, 4) == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_place_of_a_key_is_the_same_for_every_kernel),
        cmocka_unit_test(a_key_is_put_in_its_place_by_every_kernel),
        cmocka_unit_test(every_kernel_finds_the_keys_within_a_limit),
        cmocka_unit_test(a_beam_keeps_what_its_rule_allows),
        cmocka_unit_test(a_beam_by_rank_keeps_the_nearest_whatever_their_keys),
        cmocka_unit_test(keys_that_overflowed_leave_the_rule_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
