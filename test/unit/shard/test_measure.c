/* A measure tells what its first samples say, of the classes that clients ask for, and then only
 * becomes surer. */
#include "../index/forget.h"
#include "fixture.h"

#include "shard/host_int.h"
#include "shard/shard_int.h"
#include "shard/tally_int.h"
#include "shard/vectors_int.h"

#include <math.h>
#include <stdio.h>

enum {
    ROWS = CALIBRATION_ROWS_MIN - 100, /* The keeper measures nothing of its own. */
    NEW_ROWS = 99,                     /* With those a few less than are measured. */
    QUERIES = 512,
    SAMPLES_MAX = 10000,
    WIDE = 128,
    NARROW = 24,
    FIRST_QUERY = 100000,
};

static void note_queries(struct fixture *f, uint32_t k)
{
    for (uint64_t i = 0; i < QUERIES; i++) {
        float query[DIM];
        struct asked asked = {.query = query, .k = k};
        make_vector(100000 + i, query);
        queries_note(&f->shard->vectors[0], CALIBRATION_ROWS_MIN, DIM, &asked);
    }
}

static int set_up(void **state)
{
    (void)fixture_set_up(state);
    struct fixture *f = *state;
    fixture_start(f);
    insert_rows(f, 1, ROWS + 1, 500);
    wait_until_linked(f);
    note_queries(f, 100);
    return 0;
}

static struct measure *begin(struct fixture *f, enum measure_kind kind, uint32_t front)
{
    struct err err = {0};
    struct measure *m = measure_new(f->shard, &f->shard->vectors[0], kind,
                                    kind == MEASURE_FRESH ? QUERIES_FRESH : QUERIES, front, &err);
    assert_non_null(m);
    return m;
}

/* Until it tells, or is over; how many samples that took. */
static uint32_t go_on(struct measure *m, enum measure_step *step)
{
    uint32_t n = 0;
    do {
        *step = measure_one(m);
        assert_true(*step != MEASURE_FAILED && ++n < SAMPLES_MAX);
    } while (*step == MEASURE_GOES_ON);
    return n;
}

static uint32_t class_of(uint32_t k)
{
    for (uint32_t i = 0; i < CURVE_COUNT; i++) {
        if (recall_classes[i].k == k && recall_classes[i].share == 1) {
            return i;
        }
    }
    fail();
    return 0;
}

static void the_first_few_samples_are_told_and_those_of_what_is_asked(void **state)
{
    struct fixture *f = *state;
    static struct measured told;
    uint32_t asked = class_of(100);
    enum measure_step step;
    struct calibration *c = &f->shard->vectors[0].calibration;
    mutex_lock(&c->mutex);
    uint32_t front = queries_classes(&c->queries);
    mutex_unlock(&c->mutex);
    assert_int_equal(front, UINT32_C(1) << asked);
    struct measure *m = begin(f, MEASURE_ASKED, front);
    assert_false(measure_has_told(m));
    /* Every second query: it is one of the dear classes. */
    assert_int_equal(go_on(m, &step), MEASURE_FIRST);
    assert_int_equal(step, MEASURE_TELLS);
    assert_true(measure_has_told(m) && measure_is_at_front(m));
    measure_sum_up(m, &told);
    for (uint32_t i = 0; i < CURVE_COUNT; i++) {
        assert_true((told.curves[i].n_points > 0) == (i == asked));
    }
    const struct curve_origin *origin = &told.curves[asked].origin;
    assert_int_equal(origin->n_samples, MEASURE_FIRST / 2);
    assert_true(origin->is_real && !origin->is_whole && origin->rows == ROWS);
    assert_int_equal(curve_ask(&told.curves[asked], 0.8).verdict, SHARD_REACHES);
    measure_free(m);
}

static void what_is_told_later_is_surer(void **state)
{
    struct fixture *f = *state;
    static struct measured told, whole;
    static const double floors[] = {0.8, 0.9, 0.95};
    double effort[COUNT_OF(floors)] = {0}, width[COUNT_OF(floors)] = {0};
    uint32_t n_stages = 0, n_samples = 0;
    enum measure_step step;
    struct measure *m = begin(f, MEASURE_ASKED, 1);
    for (go_on(m, &step); step == MEASURE_TELLS && measure_is_at_front(m); go_on(m, &step)) {
        measure_sum_up(m, &told);
        uint32_t n = told.curves[0].origin.n_samples;
        assert_int_equal(n, n_stages == 0 ? MEASURE_FIRST : 2 * n_samples);
        n_samples = n;
        for (size_t i = 0; i < COUNT_OF(floors); i++) {
            struct curve_answer a = curve_ask(&told.curves[0], floors[i]);
            assert_int_equal(a.verdict, SHARD_REACHES);
            assert_true(a.low >= floors[i]);
            assert_true(n_stages == 0 || a.high - a.low < width[i]);
            assert_true(n_stages == 0 || a.distances <= 1.1 * effort[i]);
            width[i] = a.high - a.low;
            effort[i] = a.distances;
        }
        n_stages++;
    }
    assert_true(n_stages >= 3);
    while (step == MEASURE_TELLS) {
        go_on(m, &step);
    }
    measure_sum_up(m, &whole);
    assert_int_equal(whole.curves[0].origin.n_samples, QUERIES);
    assert_true(whole.curves[class_of(1)].n_points > 0);
    measure_free(m);
}

/* A look at the newest queries is of the classes that are asked alone, and is told once. */
static void a_look_at_the_newest_queries_is_short(void **state)
{
    struct fixture *f = *state;
    static struct measured told;
    enum measure_step step;
    struct measure *m = begin(f, MEASURE_FRESH, 1);
    assert_int_equal(go_on(m, &step), QUERIES_FRESH);
    assert_int_equal(step, MEASURE_IS_OVER);
    measure_sum_up(m, &told);
    assert_int_equal(told.curves[0].origin.n_samples, QUERIES_FRESH);
    assert_int_equal(told.curves[1].n_points, 0);
    measure_free(m);
}

/* Of 32 samples that found all no more than 0.983 can be promised: of a floor of 0.99 that says
 * nothing yet, and is not taken for a graph that reaches it by no walk. */
static void a_floor_that_few_samples_cannot_tell_of_counts_as_not_measured(void **state)
{
    struct fixture *f = *state;
    static struct measured m;
    struct err err = {0};
    struct shard_effort effort;
    struct vector_index *v = &f->shard->vectors[0];
    m.curves[0] = (struct curve){.origin = {.rows = ROWS,
                                            .changes = atomic_load(&v->changes),
                                            .vouched_rows = ROWS,
                                            .vouched_changes = atomic_load(&v->changes),
                                            .wall_us = 1,
                                            .n_samples = MEASURE_FIRST,
                                            .is_real = 1},
                                 .n_points = 1,
                                 .points = {{10, 1, 0.983F, 1, 0.983F, 100, 0, {0}}}};
    assert_int_equal(calibration_publish(&v->calibration, &m, &err), ERR_OK);
    shard_effort_for(f->shard, EMBEDDING, 0.95, 10, 1, &effort);
    assert_int_equal(effort.verdict, SHARD_REACHES);
    assert_int_equal(effort.ef, 10);
    shard_effort_for(f->shard, EMBEDDING, 0.99, 10, 1, &effort);
    assert_int_equal(effort.verdict, SHARD_IS_NOT_MEASURED);
    assert_in_range(effort.ef, 3999, 4001);
    assert_true(effort.distances > 30000);
    /* The nearest alone is another thing, and a filter, which those samples tell nothing of. */
    shard_effort_for(f->shard, EMBEDDING, 0.95, 1, 1, &effort);
    assert_int_equal(effort.verdict, SHARD_IS_NOT_MEASURED);
    assert_in_range(effort.ef, 799, 801);
    shard_effort_for(f->shard, EMBEDDING, 0.95, 10, 0.1, &effort);
    assert_int_equal(effort.verdict, SHARD_IS_NOT_MEASURED);
    assert_in_range(effort.ef, 799, 801);
    m.curves[0].origin.n_samples = CURVE_SAMPLES_FOR_HALF;
    assert_int_equal(calibration_publish(&v->calibration, &m, &err), ERR_OK);
    shard_effort_for(f->shard, EMBEDDING, 0.99, 10, 1, &effort);
    assert_int_equal(effort.verdict, SHARD_MAY_MISS);
    assert_int_equal(effort.ef, 10);
}

/* ---- rows that come after a measure ---- */

static struct curve_origin origin_of(struct fixture *f, uint32_t class)
{
    static struct measured m;
    assert_true(calibration_read(&f->shard->vectors[0].calibration, CURVES_ALL, &m));
    return m.curves[class].origin;
}

/* Until the keeper has looked at what came since @changes. */
static void wait_for_a_look(struct fixture *f, uint64_t changes)
{
    struct calibration *c = &f->shard->vectors[0].calibration;
    uint64_t seen = 0;
    for (uint64_t until = clock_micros() + PATIENCE_US;
         seen <= changes && clock_micros() < until;) {
        host_wake_keeper(f->shard);
        clock_sleep_micros(2000);
        mutex_lock(&c->mutex);
        seen = c->looked.changes;
        mutex_unlock(&c->mutex);
    }
    assert_true(seen > changes);
}

static void measure_all(struct fixture *f, uint32_t class, struct measured *out)
{
    struct measure *measure = begin(f, MEASURE_ASKED, UINT32_C(1) << class);
    enum measure_step step;
    do {
        go_on(measure, &step);
    } while (step != MEASURE_IS_OVER);
    measure_sum_up(measure, out);
    measure_free(measure);
}

static void publish_measure(struct fixture *f, uint32_t class)
{
    static struct measured m;
    struct err err = {0};
    measure_all(f, class, &m);
    assert_int_equal(calibration_publish(&f->shard->vectors[0].calibration, &m, &err), ERR_OK);
}

/* Rows like those before make searches take no more than the growth asks for. */
static void rows_of_the_same_kind_are_vouched_for(void **state)
{
    struct fixture *f = *state;
    struct shard_effort before, after;
    publish_measure(f, class_of(100));
    struct curve_origin origin = origin_of(f, class_of(100));
    assert_int_equal(origin.vouched_changes, origin.changes);
    shard_effort_for(f->shard, EMBEDDING, 0.95, 100, 1, &before);
    insert_rows(f, ROWS + 1, ROWS + 1 + ROWS / 16, 500);
    wait_until_linked(f);
    wait_for_a_look(f, origin.changes);
    assert_true(origin_of(f, class_of(100)).vouched_changes > origin.changes);
    shard_effort_for(f->shard, EMBEDDING, 0.95, 100, 1, &after);
    assert_true((double)after.ef <= 1.2 * (double)before.ef + 1);
}

/* Rows on a line, which any walk along it finds; or scattered around the queries, far from it. */
static void insert_points(struct fixture *f, uint64_t from, uint64_t to, bool is_line)
{
    static const uint64_t all[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    struct shard_command *command = new_command(f);
    struct err err = {0};
    for (uint64_t i = from; i < to; i++) {
        char key[32];
        float vector[DIM] = {3 + (float)i / ROWS};
        (void)snprintf(key, sizeof(key), "k%llu", (unsigned long long)i);
        if (!is_line) {
            make_vector(i, vector);
        }
        struct value values[N_COLUMNS] = {value_cstr(key), value_vector(vector, DIM), value_null(),
                                          value_int(0)};
        assert_int_equal(shard_command_add(command, SHARD_INSERT, values, all, 0, &err), ERR_OK);
    }
    assert_int_equal(send_command(f, command, ACK_VISIBLE, NULL, &err), ERR_OK);
    wait_until_linked(f);
}

static int set_up_line(void **state)
{
    (void)fixture_set_up(state);
    struct fixture *f = *state;
    fixture_graph(f, 4, 8);
    fixture_start(f);
    insert_points(f, 1, ROWS + 1, true);
    note_queries(f, 10);
    return 0;
}

/* Those that come now are harder to find than those that were measured, of which all are found: a
 * hundredth is missed. */
static void rows_of_another_kind_are_not_vouched_for(void **state)
{
    struct fixture *f = *state;
    struct shard_effort before, after;
    uint32_t class = class_of(10);
    publish_measure(f, class);
    struct curve_origin origin = origin_of(f, class);
    shard_effort_for(f->shard, EMBEDDING, 0.95, 10, 1, &before);
    assert_int_equal(before.verdict, SHARD_REACHES);
    insert_points(f, ROWS + 1, ROWS + NEW_ROWS + 1, false);
    wait_for_a_look(f, origin.changes);
    assert_int_equal(origin_of(f, class).vouched_changes, origin.changes);
    shard_effort_for(f->shard, EMBEDDING, 0.95, 10, 1, &after);
    assert_true(after.ef > 4 * before.ef);
}

typedef void make_fn(uint64_t i, float out[WIDE]);

static double normal(uint64_t *state)
{
    double r = sqrt(-2 * log(1 - (double)(random_next(state) >> 11) * 0x1p-53));
    return r * cos(6.283185307179586 * (double)(random_next(state) >> 11) * 0x1p-53);
}

static void make_wide(uint64_t i, float out[WIDE])
{
    uint64_t state = hash_u64(i);
    for (size_t j = 0; j < WIDE; j++) {
        out[j] = (float)(random_next(&state) >> 11) * 0x1p-53F;
    }
}

/* Nine of ten rows nearly equal, the others anywhere; of queries one of two. */
static void make_near_equal(uint64_t i, float out[WIDE])
{
    uint64_t state = hash_u64(11000033 + i), middle = 5;
    bool is_equal = random_next(&state) % 10 < (i < FIRST_QUERY ? 9 : 5);
    for (size_t j = 0; j < NARROW; j++) {
        double m = normal(&middle);
        out[j] = (float)(is_equal ? m + 1e-3 * normal(&state) : 3 * normal(&state));
    }
}

/* Rows of products. */
static void start_products(struct fixture *f, uint32_t dim, make_fn *make)
{
    static const uint64_t all[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    struct err err = {0};
    float vector[WIDE];
    f->schema.columns[EMBEDDING].distance = DISTANCE_DOT;
    f->schema.columns[EMBEDDING].dim = dim;
    fixture_start(f);
    struct shard_command *command = new_command(f);
    for (uint64_t i = 1; i <= ROWS; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "k%llu", (unsigned long long)i);
        make(i, vector);
        struct value values[N_COLUMNS] = {value_cstr(key), value_vector(vector, dim), value_null(),
                                          value_int(0)};
        assert_int_equal(shard_command_add(command, SHARD_INSERT, values, all, 0, &err), ERR_OK);
    }
    assert_int_equal(send_command(f, command, ACK_VISIBLE, NULL, &err), ERR_OK);
    wait_until_linked(f);
}

static void note_products(struct fixture *f, uint32_t dim, make_fn *make, uint32_t k)
{
    for (uint64_t i = 0; i < QUERIES; i++) {
        float vector[WIDE];
        struct asked asked = {.query = vector, .k = k};
        make(FIRST_QUERY + i, vector);
        queries_note(&f->shard->vectors[0], CALIBRATION_ROWS_MIN, dim, &asked);
    }
}

static int set_up_products(void **state)
{
    (void)fixture_set_up(state);
    fixture_graph(*state, 4, 8);
    start_products(*state, WIDE, make_wide);
    note_products(*state, WIDE, make_wide, 1);
    return 0;
}

static int set_up_near_equal(void **state)
{
    (void)fixture_set_up(state);
    fixture_graph(*state, 8, 128);
    start_products(*state, NARROW, make_near_equal);
    note_products(*state, NARROW, make_near_equal, 10);
    return 0;
}

static void delete_rows(struct fixture *f, uint64_t from, uint64_t to)
{
    static const uint64_t all[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    struct shard_command *command = new_command(f);
    struct err err = {0};
    struct shard_view *view;
    assert_int_equal(shard_view_open(f->shard, &view, &err), ERR_OK);
    for (uint64_t i = from; i < to; i++) {
        char key[32];
        struct shard_row row;
        bool found;
        (void)snprintf(key, sizeof(key), "k%llu", (unsigned long long)i);
        struct value value = value_cstr(key);
        assert_int_equal(shard_view_get(view, &value, &row, &found, &err), ERR_OK);
        assert_true(found);
        uint32_t stamp = shard_row_stamp(&row);
        assert_int_equal(shard_command_add(command, SHARD_DELETE, &value, all, stamp, &err),
                         ERR_OK);
    }
    shard_view_close(view);
    assert_int_equal(send_command(f, command, ACK_VISIBLE, NULL, &err), ERR_OK);
    wait_until_linked(f);
}

static void forget_where_walks_begin(struct fixture *f)
{
    unsigned side;
    forget_starts(vector_index_enter(&f->shard->vectors[0], &side));
    vector_index_leave(&f->shard->vectors[0], side);
}

/* All nearly equal queries ask for the same ten rows; after the delete walks of four times the ef
 * miss one of these, too, so that comparing walks alone said that all is as before. */
static void what_is_left_is_not_vouched_for_where_all_walks_miss_the_same(void **state)
{
    static struct measured before;
    struct fixture *f = *state;
    struct err err = {0};
    struct shard_effort after;
    uint32_t class = class_of(10);
    forget_where_walks_begin(f);
    measure_all(f, class, &before);
    const struct curve_origin *origin = &before.curves[class].origin;
    struct curve_answer at = curve_ask(&before.curves[class], 0.95);
    assert_int_equal(at.verdict, SHARD_REACHES);
    for (uint64_t i = 1; i <= 401; i += 100) {
        delete_rows(f, i, i + 100);
    }
    forget_where_walks_begin(f);
    assert_int_equal(calibration_publish(&f->shard->vectors[0].calibration, &before, &err), ERR_OK);
    wait_for_a_look(f, origin->changes);
    assert_int_equal(origin_of(f, class).vouched_changes, origin->changes);
    shard_effort_for(f->shard, EMBEDDING, 0.95, 10, 1, &after);
    assert_true((double)after.ef > 4 * at.ef);
}

static void begin_at(struct fixture *f, const struct index_start *starts, size_t n)
{
    unsigned side;
    index_begin_at(vector_index_enter(&f->shard->vectors[0], &side), starts, n);
    vector_index_leave(&f->shard->vectors[0], side);
}

/* Deleted, they are no answers any more; but those that are in their place nobody begins at. */
static void what_was_measured_counts_no_more_where_rows_that_walks_began_at_are_gone(void **state)
{
    struct fixture *f = *state;
    struct shard_effort effort;
    struct seen first, second;
    publish_measure(f, class_of(100));
    assert_true(see_row(f, 1, &first) && see_row(f, 2, &second));
    struct index_start starts[] = {{first.number, 0.25F}, {second.number, 0.0625F}};
    begin_at(f, starts, COUNT_OF(starts));
    delete_rows(f, 2, 3); /* Few queries missed it. */
    shard_effort_for(f->shard, EMBEDDING, 0.95, 100, 1, &effort);
    assert_int_equal(effort.verdict, SHARD_REACHES);
    delete_rows(f, 1, 2);
    shard_effort_for(f->shard, EMBEDDING, 0.95, 100, 1, &effort);
    assert_int_equal(effort.verdict, SHARD_IS_NOT_MEASURED);
    begin_at(f, NULL, 0);
    shard_effort_for(f->shard, EMBEDDING, 0.95, 100, 1, &effort);
    assert_int_equal(effort.verdict, SHARD_REACHES);
}

/* Of samples half before and half after the delete the mean told what held for neither. */
static void a_measure_is_begun_anew_where_rows_went_meanwhile(void **state)
{
    struct fixture *f = *state;
    const uint64_t n_gone = ROWS / 4, n_left = 2 * ROWS - n_gone;
    struct calibration *c = &f->shard->vectors[0].calibration;
    struct shard_recall r;
    insert_rows(f, ROWS + 1, 2 * ROWS + 1, 500);
    uint64_t deadline = clock_micros() + PATIENCE_US;
    while (!atomic_load(&c->is_measuring) && !calibration_is_known(c)) {
        assert_true(clock_micros() < deadline);
        clock_sleep_micros(1000);
    }
    delete_rows(f, 1, n_gone + 1);
    do {
        assert_true(clock_micros() < deadline);
        clock_sleep_micros(5000);
    } while (!shard_recall(f->shard, EMBEDDING, 0, 0.95, &r) || r.is_refining || r.rows != n_left);
}

/* Rows to whose vectors nothing as near as they are is found. */
static uint32_t count_lost(struct fixture *f, size_t ef)
{
    uint32_t n_lost = 0;
    for (uint64_t row = 1; row <= ROWS; row++) {
        float vector[WIDE];
        make_wide(row, vector);
        struct err err = {0};
        struct index_hit hit;
        struct index_work work = {0};
        struct index_search search = {.query = vector, .k = 1, .ef = ef, .plan = INDEX_WALK};
        size_t n;
        unsigned side;
        struct index *index = vector_index_enter(&f->shard->vectors[0], &side);
        assert_int_equal(index_search(index, &search, &hit, &n, &work, &err), ERR_OK);
        vector_index_leave(&f->shard->vectors[0], side);
        double own = index_distance(DISTANCE_DOT, vector, vector, WIDE);
        n_lost += n == 0 || hit.distance > tally_limit(own) ? 1 : 0;
    }
    return n_lost;
}

/* Of uniform rows three of four were lost by their vectors at an ef that finds 0.95 of what queries
 * from elsewhere ask for. */
static void by_products_too_the_nearest_alone_is_promised_to_rows(void **state)
{
    struct fixture *f = *state;
    static struct measured told;
    enum measure_step step;
    uint32_t class = class_of(1);
    struct measure *m = begin(f, MEASURE_ASKED, UINT32_C(1) << class);
    while (go_on(m, &step) > 0 && step != MEASURE_IS_OVER) {
    }
    measure_sum_up(m, &told);
    measure_free(m);
    struct curve_answer at = curve_ask(&told.curves[class], 0.95);
    assert_int_equal(at.verdict, SHARD_REACHES);
    uint32_t n_lost = count_lost(f, (size_t)at.ef);
    assert_true(n_lost <= ROWS / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_few_samples_are_told_and_those_of_what_is_asked,
                                        set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(what_is_told_later_is_surer, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(
            a_floor_that_few_samples_cannot_tell_of_counts_as_not_measured, set_up,
            fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_look_at_the_newest_queries_is_short, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(rows_of_the_same_kind_are_vouched_for, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(
            what_was_measured_counts_no_more_where_rows_that_walks_began_at_are_gone, set_up,
            fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_measure_is_begun_anew_where_rows_went_meanwhile, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(by_products_too_the_nearest_alone_is_promised_to_rows,
                                        set_up_products, fixture_tear_down),
        cmocka_unit_test_setup_teardown(
            what_is_left_is_not_vouched_for_where_all_walks_miss_the_same, set_up_near_equal,
            fixture_tear_down),
        cmocka_unit_test_setup_teardown(rows_of_another_kind_are_not_vouched_for, set_up_line,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
