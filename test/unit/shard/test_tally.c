/* What is measured of a graph holds for queries that were never seen: over shapes of data that are
 * easy, hard and odd, over the metrics, the floors, k and filters. */
#include "../unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "shard/tally_int.h"

enum {
    SAMPLES = GOOD_MEASURE(128, 48),
    UNSEEN = GOOD_MEASURE(300, 60),
    ROWS = GOOD_MEASURE(1200, 600),
    CLUSTER = 60,
};
static bool is_loud;

/* ---- data ---- */

static double uniform(uint64_t *state)
{
    return (double)(random_next(state) >> 11) * 0x1p-53;
}

static double normal(uint64_t *state)
{
    double r = uniform(state), angle = 6.283185307179586 * uniform(state);
    return sqrt(-2 * log(r + 1e-300)) * cos(angle);
}

/* Of row or query number @i.  Rows of a cluster follow each other. */
struct shape {
    const char *name;
    uint32_t dim;
    void (*make)(uint64_t i, uint32_t dim, uint64_t *state, float *out);
};

static void make_uniform(uint64_t i, uint32_t dim, uint64_t *state, float *out)
{
    (void)i;
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = (float)(2 * uniform(state) - 1);
    }
}

static void make_positive(uint64_t i, uint32_t dim, uint64_t *state, float *out)
{
    (void)i;
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = (float)uniform(state);
    }
}

static void make_clusters(uint64_t i, uint32_t dim, uint64_t *state, float *out)
{
    uint64_t centre = hash_u64(1 + i % ROWS / CLUSTER);
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = (float)(10 * normal(&centre) + 0.1 * normal(state));
    }
}

static void make_near_equal(uint64_t i, uint32_t dim, uint64_t *state, float *out)
{
    bool is_outlier = i % 10 == 9;
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = (float)(is_outlier ? 3 * normal(state) : 1 + 1e-4 * normal(state));
    }
}

static void make_integers(uint64_t i, uint32_t dim, uint64_t *state, float *out)
{
    (void)i;
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = (float)(1 + random_next(state) % 6);
    }
}

static void make_norms(uint64_t i, uint32_t dim, uint64_t *state, float *out)
{
    double scale = pow(10, 3 * uniform(state) - 1.5);
    (void)i;
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = (float)(scale * normal(state));
    }
}

/* Later rows lie elsewhere, and their directions ever closer together. */
static void make_drift(uint64_t i, uint32_t dim, uint64_t *state, float *out)
{
    uint64_t way = 11;
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = (float)(normal(&way) * (double)(i % (2 * ROWS)) / 100 + normal(state));
    }
}

static void make_copy(uint64_t i, uint32_t dim, uint64_t *state, float *out)
{
    (void)i;
    (void)uniform(state);
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = (float)(j + 1);
    }
}

static void make_line(uint64_t i, uint32_t dim, uint64_t *state, float *out)
{
    (void)uniform(state);
    out[0] = 1;
    out[dim - 1] = (float)i;
}

static const struct shape shapes[] = {
    {"uniform 24", 24, make_uniform},   {"uniform 128", 128, make_uniform},
    {"positive 32", 32, make_positive}, {"plane", 2, make_uniform},
    {"clusters", 16, make_clusters},    {"near-equal", 24, make_near_equal},
    {"integers", 3, make_integers},     {"norms", 32, make_norms},
};

/* ---- a collection of them ---- */

struct world {
    const struct shape *shape;
    enum distance distance;
    struct index *index;
    uint64_t state, n_rows;
};

static void add_rows(struct world *w, uint64_t n)
{
    struct err err = {0};
    uint32_t dim = w->shape->dim;
    float *vectors = malloc(n * dim * sizeof(float));
    uint64_t *numbers = malloc(n * sizeof(*numbers));
    assert_true(vectors != NULL && numbers != NULL);
    for (uint64_t i = 0; i < n; i++) {
        numbers[i] = ++w->n_rows;
        w->shape->make(w->n_rows, dim, &w->state, vectors + i * dim);
    }
    struct index_rows rows = {.numbers = numbers, .vectors = vectors, .n = n};
    assert_int_equal(index_stage_insert(w->index, w->n_rows, &rows, &err), ERR_OK);
    while (index_pending(w->index) > 0) {
        size_t done;
        assert_int_equal(index_advance(w->index, n, NULL, &done, &err), ERR_OK);
    }
    free(vectors);
    free(numbers);
}

static struct world world_of(const struct shape *shape, enum distance distance, uint64_t n)
{
    struct err err = {0};
    struct index_config config = {.kind = INDEX_HNSW,
                                  .distance = distance,
                                  .dim = shape->dim,
                                  .m = 16,
                                  .ef_construction = 100,
                                  .seed = 5};
    struct world w = {.shape = shape, .distance = distance, .index = index_new(&config, &err)};
    assert_non_null(w.index);
    add_rows(&w, n);
    return w;
}

static void next_query(struct world *w, float *out)
{
    w->shape->make(random_next(&w->state), w->shape->dim, &w->state, out);
}

/* ---- measuring ---- */

enum source {
    STORED,
    ASKED,
    STORED_AND_ASKED
};

static void sum_up(const struct tally *tally, double z, struct measured *out)
{
    for (unsigned i = 0; i < CURVE_COUNT; i++) {
        tally_curve(tally, i, z, &out->curves[i]);
    }
}

/* @n samples, of which the first @n_broad are of all classes, and the others of the first. */
static void measure_narrowly(struct world *w, enum source source, uint32_t n_broad, uint32_t n,
                             struct measured *out)
{
    struct err err = {0};
    struct tally tally;
    float query[128];
    assert_int_equal(tally_init(&tally, &err), ERR_OK);
    tally.n_broad = n_broad;
    uint64_t row = 0, rows_state = 0; /* The rows were made by it, in their order. */
    for (uint32_t i = 0; i < n; i++) {
        if (source == ASKED) {
            next_query(w, query);
        }
        while (source != ASKED && row < 1 + i * (w->n_rows / n)) {
            w->shape->make(++row, w->shape->dim, &rows_state, query);
        }
        struct tally_query q = {.index = w->index,
                                .distance = w->distance,
                                .dim = w->shape->dim,
                                .vector = query,
                                .classes = i < n_broad ? tally_turns(i) : 1,
                                .is_asked = source != STORED};
        assert_int_equal(tally_add(&tally, &q, &err), ERR_OK);
    }
    sum_up(&tally, source == STORED ? 2.6 : 2, out);
    tally_fini(&tally);
}

static void measure(struct world *w, enum source source, uint32_t n, struct measured *out)
{
    measure_narrowly(w, source, n, n, out);
}

struct filter {
    double share;
};

static bool is_match(void *arg, uint64_t row)
{
    const struct filter *f = arg;
    return (double)(hash_u64(row * 77) >> 11) * 0x1p-53 < f->share;
}

struct got {
    double recall, error, distances; /* error: of the mean. */
};

static struct got search_unseen(struct world *w, size_t k, size_t ef, double share)
{
    struct got got = {0};
    double squares = 0;
    struct world same = *w; /* The same queries each time. */
    struct index_hit hits[100];
    struct filter filter = {share};
    float query[128];
    assert_true(k <= COUNT_OF(hits));
    for (uint32_t i = 0; i < UNSEEN; i++) {
        struct err err = {0};
        struct index_work work = {0}, scanned = {0};
        size_t n, n_found = 0;
        next_query(&same, query);
        struct index_search s = {.query = query,
                                 .k = k,
                                 .ef = ef < k ? k : ef,
                                 .plan = INDEX_EXACT,
                                 .matches = share < 1 ? is_match : NULL,
                                 .matches_arg = &filter};
        assert_int_equal(index_search(w->index, &s, hits, &n, &scanned, &err), ERR_OK);
        assert_int_equal(n, k);
        double limit = hits[n - 1].distance + 1e-6 * fabs(hits[n - 1].distance);
        s.plan = INDEX_WALK;
        assert_int_equal(index_search(w->index, &s, hits, &n, &work, &err), ERR_OK);
        for (size_t j = 0; j < n; j++) {
            n_found += hits[j].distance <= limit;
        }
        double recall = (double)n_found / (double)k;
        got.recall += recall / UNSEEN;
        squares += recall * recall / UNSEEN;
        got.distances += (double)work.distances / UNSEEN;
    }
    got.error = sqrt(fmax(squares - got.recall * got.recall, 0) / UNSEEN);
    return got;
}

/* Where a walk is said to reach the floor, it does for queries that nobody has seen. */
static void expect_kept(struct world *w, const struct measured *m, size_t k, double share)
{
    static const double floors[] = {0.8, 0.9, 0.95, 0.99};
    for (size_t i = 0; i < COUNT_OF(floors); i++) {
        struct recall_wish wish = {.floor = floors[i], .share = share, .k = k};
        struct curve_answer a;
        bool is_known = measured_ask(m, &wish, &a);
        if (!is_known || a.verdict != SHARD_REACHES) {
            continue; /* The planner scans. */
        }
        struct got got = search_unseen(w, k, (size_t)ceil(a.ef), share);
        if (is_loud) {
            printf("%s, metric %d, k %zu, share %g, floor %.2f: ef %.0f, measured %.4f (%.4f to "
                   "%.4f), got %.4f by %.0f distances\n",
                   w->shape->name, w->distance, k, share, floors[i], a.ef, a.recall, a.low, a.high,
                   got.recall, got.distances);
        }
        /* Those that were drawn may be harder than others. */
        if (got.recall + 2 * got.error < floors[i]) {
            fail_msg("%s, metric %d, k %zu, share %g: %.4f for a floor of %.2f", w->shape->name,
                     w->distance, k, share, got.recall, floors[i]);
        }
    }
}

static void expect_kept_over_shapes(enum source source)
{
    static const enum distance metrics[] = {DISTANCE_L2, DISTANCE_COSINE, DISTANCE_DOT};
    static struct measured m;
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        for (size_t j = 0; j < COUNT_OF(metrics); j++) {
            struct world w = world_of(&shapes[i], metrics[j], ROWS);
            measure(&w, source, SAMPLES, &m);
            expect_kept(&w, &m, 10, 1);
            index_free(w.index);
        }
    }
}

static void what_stored_rows_tell_holds_for_queries_never_seen(void **state)
{
    (void)state;
    expect_kept_over_shapes(STORED);
}

static void what_queries_tell_holds_for_queries_never_seen(void **state)
{
    (void)state;
    expect_kept_over_shapes(ASKED);
}

static void each_k_and_each_filter_has_its_own_floor(void **state)
{
    (void)state;
    static const size_t ks[] = {1, 10, 30, 100};
    static const double filters[] = {0.7, 0.3, 0.1, 0.05};
    static struct measured m;
    struct world w = world_of(&shapes[0], DISTANCE_L2, ROWS);
    measure(&w, ASKED, 2 * SAMPLES, &m);
    for (size_t i = 0; i < COUNT_OF(ks); i++) {
        expect_kept(&w, &m, ks[i], 1);
    }
    for (size_t i = 0; i < COUNT_OF(filters); i++) {
        expect_kept(&w, &m, 10, filters[i]);
    }
    index_free(w.index);
}

/* Of the vectors of every fifth row: the share that finds one as near as there is. */
static double recall_of_own_vectors(const struct world *w, size_t ef, double *error)
{
    float query[128];
    uint64_t state = 0;
    double n = 0, n_found = 0;
    for (uint64_t row = 1; row <= w->n_rows; row++) {
        struct err err = {0};
        struct index_work work = {0};
        struct index_hit nearest, hit;
        size_t n_hits;
        w->shape->make(row, w->shape->dim, &state, query);
        if (row % 5 != 0) {
            continue;
        }
        struct index_search s = {.query = query, .k = 1, .ef = ef, .plan = INDEX_EXACT};
        assert_int_equal(index_search(w->index, &s, &nearest, &n_hits, &work, &err), ERR_OK);
        s.plan = INDEX_WALK;
        assert_int_equal(index_search(w->index, &s, &hit, &n_hits, &work, &err), ERR_OK);
        n++;
        n_found += hit.distance <= nearest.distance ? 1 : 0;
    }
    *error = sqrt(n_found / n * (1 - n_found / n) / n);
    return n_found / n;
}

/* By products the row that a vector comes from is often the nearest, and hard to find: no shorter
 * way leads there than to any other row. */
static void stored_vectors_that_clients_ask_find_as_much_as_is_promised(void **state)
{
    (void)state;
    static const double floors[] = {0.8, 0.9, 0.95};
    static struct measured m;
    static const struct shape positive = {"positive 128", 128, make_positive};
    struct world w = world_of(&positive, DISTANCE_DOT, 2 * ROWS);
    measure(&w, STORED_AND_ASKED, SAMPLES, &m);
    for (size_t i = 0; i < COUNT_OF(floors); i++) {
        struct curve_answer a = curve_ask(&m.curves[1], floors[i]);
        double error, recall = recall_of_own_vectors(&w, (size_t)a.ef, &error);
        if (is_loud) {
            printf("own vectors, floor %.2f: ef %.0f, measured %.4f, got %.4f, verdict %d\n",
                   floors[i], a.ef, a.recall, recall, a.verdict);
        }
        assert_true(a.verdict != SHARD_REACHES || recall + 2 * error >= floors[i]);
    }
    index_free(w.index);
}

/* Where queries find more than rows do by their own vectors, who asks for the nearest alone is
 * promised no more than rows find. */
static void the_nearest_alone_is_as_sure_for_rows_as_for_queries(void **state)
{
    (void)state;
    static const struct shape drift = {"drift", 40, make_drift};
    static struct measured m;
    struct err err = {0};
    struct tally tally;
    struct world w = world_of(&drift, DISTANCE_COSINE, 2 * ROWS);
    float query[128];
    uint64_t rows_state = 0;
    assert_int_equal(tally_init(&tally, &err), ERR_OK);
    for (uint64_t row = 1; row <= w.n_rows; row++) {
        struct tally_query q = {w.index, w.distance, drift.dim, query, 1 << TALLY_OWN, true};
        drift.make(row, drift.dim, &rows_state, query);
        if (row % 16 == 7) {
            assert_int_equal(tally_add(&tally, &q, &err), ERR_OK);
            assert_int_equal(tally.classes[TALLY_OWN].n_samples, 1 + row / 16);
            assert_int_equal(tally.classes[1].n_samples, row / 16);
            next_query(&w, query);
            q.classes = tally_turns((uint32_t)row / 16);
            assert_int_equal(tally_add(&tally, &q, &err), ERR_OK);
        }
    }
    sum_up(&tally, 2, &m);
    tally_fini(&tally);
    for (unsigned percent = 80; percent < 100; percent += 5) {
        double floor = percent / 100.0;
        struct curve_answer a = curve_ask(&m.curves[1], floor);
        double error, recall = recall_of_own_vectors(&w, (size_t)a.ef, &error);
        if (is_loud) {
            printf("drift, floor %.2f: ef %.0f, measured %.4f, own vectors %.4f, verdict %d\n",
                   floor, a.ef, a.recall, recall, a.verdict);
        }
        assert_true(a.verdict != SHARD_REACHES || recall + 2 * error >= floor);
    }
    index_free(w.index);
}

/* By products all rows are near to a query that lies in nobody's direction.  A stored row is passed
 * over: its own direction tells of no other query's. */
static void how_far_queries_lie_is_told_by_angle_too(void **state)
{
    (void)state;
    struct err err = {0};
    float query[128];
    for (int i = 0; i < 3; i++) {
        struct tally tally;
        struct world w = world_of(&shapes[4], i == 2 ? DISTANCE_L2 : DISTANCE_DOT, ROWS);
        uint64_t rows_state = 0;
        assert_int_equal(tally_init(&tally, &err), ERR_OK);
        assert_true(isinf(tally_reach(&tally).angle));
        for (uint64_t row = 1; row <= 32; row++) {
            struct tally_query q = {w.index, w.distance, w.shape->dim, query, 1, i == 0};
            if (i == 0) {
                next_query(&w, query);
            } else {
                w.shape->make(row, w.shape->dim, &rows_state, query);
            }
            assert_int_equal(tally_add(&tally, &q, &err), ERR_OK);
        }
        struct index_reach reach = tally_reach(&tally);
        assert_true(i == 2 ? isinf(reach.angle) : reach.angle > 0 && reach.angle < 2);
        assert_true(i == 2 ? reach.distance > 0 : reach.distance < 0);
        tally_fini(&tally);
        index_free(w.index);
    }
}

/* 2,000 copies of one row: each is as near as the others, so the least ef finds all that is to be
 * found.  By row recall was 0 or a half, and the largest ef the answer. */
static void of_equal_rows_each_is_as_good_as_the_other(void **state)
{
    (void)state;
    static const struct shape copies = {"copies", 4, make_copy};
    static const struct shape line = {"line", 2, make_line};
    static struct measured m;
    for (int i = 0; i < 2; i++) {
        struct world w = world_of(i == 0 ? &copies : &line, DISTANCE_L2, 2 * (ROWS / 2));
        measure(&w, STORED, SAMPLES / 2, &m);
        struct curve_answer a = curve_ask(&m.curves[0], 0.95);
        if (is_loud) {
            printf("%s: ef %.0f, measured %.4f (%.4f to %.4f)\n", w.shape->name, a.ef, a.recall,
                   a.low, a.high);
        }
        assert_int_equal(a.verdict, SHARD_REACHES);
        assert_true(a.ef <= 60);
        index_free(w.index);
    }
}

/* As many samples as can be had in milliseconds promise less than many do, not more. */
static void few_samples_promise_less_than_many(void **state)
{
    (void)state;
    static struct measured few, many;
    struct world w = world_of(&shapes[1], DISTANCE_L2, ROWS);
    measure(&w, ASKED, 32, &few);
    expect_kept(&w, &few, 10, 1);
    measure(&w, ASKED, SAMPLES, &many);
    assert_true(curve_ask(&few.curves[0], 0.8).ef >= curve_ask(&many.curves[0], 0.8).ef);
    struct curve_answer a = curve_ask(&few.curves[0], 0.7), b = curve_ask(&many.curves[0], 0.7);
    assert_true(a.high - a.low > b.high - b.low);
    index_free(w.index);
}

/* By unseen queries, at ever more of ef. */
static struct got least_that_reaches(struct world *w, double floor)
{
    struct got got = {0};
    for (size_t ef = 10; ef < 1000 && got.recall < floor; ef += (ef + 9) / 10) {
        got = search_unseen(w, 10, ef, 1);
    }
    return got;
}

/* A planner that thinks walks dearer than they are scans where it should walk: once a query that
 * has found all was taken to cost more as ef does. */
static void what_a_floor_costs_is_near_the_least_and_known(void **state)
{
    (void)state;
    static const double floors[] = {0.8, 0.9, 0.95, 0.99};
    static struct measured m;
    const size_t numbers[] = {0, 5}; /* Uniform; near-equal, where few queries are hard. */
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        struct world w = world_of(&shapes[numbers[i]], DISTANCE_L2, 2 * ROWS);
        measure_narrowly(&w, ASKED, 64, 8 * SAMPLES, &m);
        assert_int_equal(m.curves[0].origin.n_samples, 8 * SAMPLES);
        assert_int_equal(m.curves[4].origin.n_samples, 32); /* Each second of the broad ones. */
        expect_kept(&w, &m, 10, 1);
        for (size_t j = 0; j < COUNT_OF(floors); j++) {
            struct curve_answer a = curve_ask(&m.curves[0], floors[j]);
            if (a.verdict != SHARD_REACHES) {
                continue; /* A scan costs less. */
            }
            struct got got = search_unseen(&w, 10, (size_t)a.ef, 1);
            struct got least = least_that_reaches(&w, floors[j]);
            if (is_loud) {
                printf("%s, floor %.2f: ef %.0f, %.0f distances thought of, %.0f taken, %.0f were "
                       "enough\n",
                       w.shape->name, floors[j], a.ef, a.distances, got.distances, least.distances);
            }
            assert_true(fabs(a.distances / got.distances - 1) < 0.35);
            assert_true(got.distances < GOOD_MEASURE(1.25, 1.4) * least.distances);
        }
        index_free(w.index);
    }
}

static bool give_up(void *arg)
{
    (*(unsigned *)arg)++;
    return true;
}

static void a_sample_that_is_given_up_is_not_counted(void **state)
{
    (void)state;
    struct err err = {0};
    struct tally tally;
    float query[128];
    unsigned polls = 0;
    struct world w = world_of(&shapes[1], DISTANCE_L2, 2 * ROWS + 1000);
    assert_int_equal(tally_init(&tally, &err), ERR_OK);
    tally.is_canceled = give_up;
    tally.canceled_arg = &polls;
    next_query(&w, query);
    struct tally_query q = {w.index, w.distance, w.shape->dim, query, CURVES_ALL, true};
    assert_int_equal(tally_add(&tally, &q, &err), ERR_CANCELED);
    assert_true(polls > 0 && tally.classes[0].n_samples == 0);
    tally_fini(&tally);
    index_free(w.index);
}

int main(int argc, char **argv)
{
    (void)argv;
    is_loud = argc > 1; /* Any argument: tells what it measures. */
    assert_true(index_choose_kernel(NULL));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stored_rows_tell_holds_for_queries_never_seen),
        cmocka_unit_test(what_queries_tell_holds_for_queries_never_seen),
        cmocka_unit_test(each_k_and_each_filter_has_its_own_floor),
        cmocka_unit_test(stored_vectors_that_clients_ask_find_as_much_as_is_promised),
        cmocka_unit_test(the_nearest_alone_is_as_sure_for_rows_as_for_queries),
        cmocka_unit_test(how_far_queries_lie_is_told_by_angle_too),
        cmocka_unit_test(of_equal_rows_each_is_as_good_as_the_other),
        cmocka_unit_test(few_samples_promise_less_than_many),
        cmocka_unit_test(what_a_floor_costs_is_near_the_least_and_known),
        cmocka_unit_test(a_sample_that_is_given_up_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
