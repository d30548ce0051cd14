/* The curve of a graph: the ef it gives, and that readers beside a writer see whole curves. */
#include "../unit.h"

#include "shard/shard_int.h"

static void a_recall_between_two_points_is_given_an_ef_between_theirs(void **state)
{
    (void)state;
    struct curve c = {.n_points = 3, .ef = {10, 40, 160}, .recall = {0.5, 0.9, 0.99}};
    assert_int_equal(curve_ef(&c, 0.3), 10);
    assert_in_range(curve_ef(&c, 0.8), 11, 39);
    assert_in_range(curve_ef(&c, 0.95), 41, 159);
    assert_int_equal(curve_ef(&c, 0.999), 160);
}

enum {
    EDITIONS = 20000,
    READERS = 2
};

struct race {
    struct published_curve published;
    atomic_bool is_over;
    atomic_uint n_seen;
};

/* Its points and their number tell which edition it is. */
static void make_curve(struct curve *c, uint32_t edition)
{
    *c = (struct curve){.n_points = 1 + edition % CALIBRATION_POINTS};
    for (size_t i = 0; i < c->n_points; i++) {
        c->ef[i] = edition;
        c->recall[i] = edition;
    }
}

static void read_curves(void *arg)
{
    struct race *race = arg;
    uint32_t last = 0;
    while (!atomic_load(&race->is_over) || last < EDITIONS) {
        struct curve c;
        if (!curve_read(&race->published, &c)) {
            continue;
        }
        atomic_fetch_add(&race->n_seen, c.ef[0] != last);
        assert_true(c.ef[0] >= last);
        last = c.ef[0];
        assert_int_equal(c.n_points, 1 + last % CALIBRATION_POINTS);
        for (size_t i = 0; i < c.n_points; i++) {
            assert_int_equal(c.ef[i], last);
            assert_true(c.recall[i] == last);
        }
    }
}

static void a_reader_beside_the_writer_never_sees_two_curves_in_one(void **state)
{
    (void)state;
    static struct race race;
    struct thread readers[READERS];
    struct err err;
    struct curve c;
    assert_false(curve_read(&race.published, &c));
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(thread_start(&readers[i], "reader", read_curves, &race, &err), ERR_OK);
    }
    for (uint32_t edition = 1; edition <= EDITIONS; edition++) {
        make_curve(&c, edition);
        curve_publish(&race.published, &c);
    }
    atomic_store(&race.is_over, true);
    for (size_t i = 0; i < READERS; i++) {
        thread_join(&readers[i]);
    }
    assert_true(atomic_load(&race.n_seen) >= READERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recall_between_two_points_is_given_an_ef_between_theirs),
        cmocka_unit_test(a_reader_beside_the_writer_never_sees_two_curves_in_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
