/* Searches through the shard: recall, what they do when the graph is behind, calibration. */
#include "fixture.h"

#include <string.h>

#include "shard/host_int.h"
#include "shard/shard_int.h"
#include "shard/vectors_int.h"

enum {
    ROWS = GOOD_MEASURE(3000, 1500),
    QUERIES = 100,
    GROWN = GOOD_MEASURE(10000, 4000),
    HELD_ROWS = 300, /* So many that a search is no mere scan. */
    K = 10,
    FAR_QUERIES = 20,         /* Fewer than are measured. */
    FEWEST = CURVE_COUNT - 1, /* The class of a thousandth of the rows. */
};

static enum errcode search(struct fixture *f, const float *query, struct shard_search *s,
                           struct index_hit hits[K], size_t *n, struct err *err)
{
    struct index_work work = {0};
    s->column = EMBEDDING;
    s->index.query = query;
    s->index.k = K;
    return shard_search(f->shard, s, hits, n, &work, err);
}

static double measure_recall(struct fixture *f, size_t ef)
{
    size_t n_found = 0;
    for (uint64_t q = 0; q < QUERIES; q++) {
        float query[DIM];
        struct index_hit exact[K];
        struct index_hit walked[K];
        size_t n_exact;
        size_t n_walked;
        struct err err = {0};
        struct shard_search s = {.index = {.plan = INDEX_EXACT}, .index_lag_max = ROWS};
        make_vector(1000000 + q, query);
        assert_int_equal(search(f, query, &s, exact, &n_exact, &err), ERR_OK);
        s.index.plan = INDEX_WALK;
        s.index.ef = ef;
        assert_int_equal(search(f, query, &s, walked, &n_walked, &err), ERR_OK);
        assert_int_equal(n_exact, K);
        assert_int_equal(n_walked, K);
        for (size_t i = 0; i < K; i++) {
            for (size_t j = 0; j < K; j++) {
                n_found += exact[i].row == walked[j].row;
            }
        }
    }
    return (double)n_found / (QUERIES * K);
}

static void a_walk_reaches_its_recall_floor_before_and_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    fixture_start(f);
    insert_rows(f, 1, ROWS + 1, 100);
    for (uint64_t i = 1; i < ROWS; i += 5) {
        assert_int_equal(delete_row(f, i, &err), ERR_OK);
    }
    wait_until_linked(f);
    double before = measure_recall(f, 64);
    assert_true(before >= 0.95);
    fixture_stop(f);
    fixture_start(f);
    assert_true(measure_recall(f, 64) == before);
}

/* Nobody links while the lock is held, so the graph stays behind. */
static void hold_graph_back(struct fixture *f) NO_THREAD_ANALYSIS
{
    fixture_policy(f, "index_mode", "async");
    mutex_lock(&f->shard->vectors[0].advance);
    insert_rows(f, 1, HELD_ROWS + 1, 50);
}

static void let_graph_go(struct fixture *f) NO_THREAD_ANALYSIS
{
    mutex_unlock(&f->shard->vectors[0].advance);
}

static void a_row_is_found_as_soon_as_it_is_acknowledged_though_the_graph_is_behind(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    insert_rows(f, 1001, 1001 + INDEX_GRAPH_ROWS_MIN, INDEX_GRAPH_ROWS_MIN); /* Fewer: no graph. */
    wait_until_linked(f);
    hold_graph_back(f);
    int64_t scanned = metric_value(METRIC_tail_rows_scanned);
    for (uint64_t i = 1; i <= HELD_ROWS; i++) {
        struct seen seen;
        double distance;
        assert_true(see_row(f, i, &seen));
        assert_int_equal(nearest(f, i, &distance), seen.number);
    }
    struct shard_figures figures;
    shard_figures(f->shard, &figures);
    assert_int_equal(figures.index_lag, HELD_ROWS);
    assert_true(metric_value(METRIC_tail_rows_scanned) >= scanned + HELD_ROWS * HELD_ROWS);
    let_graph_go(f);
}

/* What is not linked is linked after the next start: a stop would else take minutes. */
static void a_stop_does_not_wait_for_the_graph(void **state)
{
    struct fixture *f = *state;
    struct shard_figures figures;
    fixture_policy(f, "index_mode", "async");
    fixture_graph(f, 16, 1000); /* Rows come faster than they are linked. */
    fixture_start(f);
    insert_rows(f, 1, 20001, 1000);
    fixture_stop(f);
    fixture_start(f);
    shard_figures(f->shard, &figures);
    assert_true(figures.index_lag > 0);
    assert_int_equal(figures.rows, 20000);
}

static void on_lag_is_obeyed_beyond_index_lag(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct index_hit hits[K];
    size_t n;
    float query[DIM];
    make_vector(1, query);
    fixture_start(f);
    hold_graph_back(f);
    struct shard_search s = {.index = {.plan = INDEX_WALK, .ef = 50},
                             .index_lag_max = HELD_ROWS - 1};
    s.on_lag = ON_LAG_FAIL;
    assert_int_equal(search(f, query, &s, hits, &n, &err), ERR_INDEX_LAG);
    assert_non_null(strstr(err.message, "300 rows"));
    s.index_lag_max = HELD_ROWS;
    assert_int_equal(search(f, query, &s, hits, &n, &err), ERR_OK);
    s.index_lag_max = HELD_ROWS - 1;
    s.on_lag = ON_LAG_SCAN;
    assert_int_equal(search(f, query, &s, hits, &n, &err), ERR_OK);
    assert_int_equal(n, K);
    s.on_lag = ON_LAG_WAIT;
    s.deadline_us = clock_micros() + 30000;
    assert_int_equal(search(f, query, &s, hits, &n, &err), ERR_TIMEOUT);
    let_graph_go(f);
    s.index_lag_max = 0;
    s.deadline_us = clock_micros() + PATIENCE_US;
    assert_int_equal(search(f, query, &s, hits, &n, &err), ERR_OK);
    assert_int_equal(n, K);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void a_search_that_waits_for_the_graph_can_be_canceled(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct index_hit hits[K];
    size_t n;
    float query[DIM];
    make_vector(1, query);
    fixture_start(f);
    hold_graph_back(f);
    struct shard_search s = {.index = {.plan = INDEX_WALK, .ef = 50, .is_canceled = always},
                             .on_lag = ON_LAG_WAIT};
    assert_int_equal(search(f, query, &s, hits, &n, &err), ERR_CANCELED);
    let_graph_go(f);
}

static void an_ack_of_indexed_waits_for_the_graph(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    fixture_policy(f, "index_mode", "async");
    fixture_start(f);
    for (uint64_t i = 1; i <= 50; i++) {
        struct shard_command *command = new_command(f);
        add_row(command, SHARD_INSERT, row_of(i, i, "t", 1));
        assert_int_equal(send_command(f, command, ACK_INDEXED, NULL, &err), ERR_OK);
        assert_int_equal(index_pending(f->shard->vectors[0].index), 0);
    }
}

static size_t ef_for(struct fixture *f, double recall, size_t k, enum shard_verdict *verdict)
{
    struct shard_effort effort;
    shard_effort_for(f->shard, EMBEDDING, recall, k, 1, &effort);
    *verdict = effort.verdict;
    return effort.ef;
}

static struct shard_recall wait_for_measurement(struct fixture *f, int64_t after_wall_us,
                                                uint32_t samples)
{
    struct shard_recall recall = {0};
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    while (!shard_recall(f->shard, EMBEDDING, 0, 0.95, &recall) ||
           recall.wall_us <= after_wall_us || recall.samples < samples || recall.is_refining) {
        assert_true(clock_micros() < deadline_us);
        clock_sleep_micros(1000);
    }
    return recall;
}

static void calibration_finds_an_ef_for_each_recall(void **state)
{
    struct fixture *f = *state;
    enum shard_verdict verdict;
    struct shard_recall recall;
    fixture_start(f);
    assert_false(shard_recall(f->shard, EMBEDDING, 0, 0.95, &recall));
    size_t cautious = ef_for(f, 0.95, 10, &verdict);
    assert_int_equal(verdict, SHARD_IS_NOT_MEASURED);
    insert_rows(f, 1, ROWS + 1, 500);
    wait_until_linked(f);
    recall = wait_for_measurement(f, 0, 256);
    size_t ef_90 = ef_for(f, 0.90, 10, &verdict);
    assert_int_equal(verdict, SHARD_REACHES);
    size_t ef_99 = ef_for(f, 0.99, 10, &verdict);
    assert_true(ef_90 >= 10 && ef_90 <= ef_99);
    assert_true(ef_for(f, 0.95, 10, &verdict) <= cautious);
    assert_true(ef_for(f, 0.90, 500, &verdict) >= 500);
    assert_true(ef_for(f, 0.90, 1, &verdict) >= 1);
    /* What was promised is held on queries that it has not seen. */
    assert_true(measure_recall(f, ef_90) >= 0.90);
    assert_true(measure_recall(f, ef_99) >= 0.99);
    assert_false(recall.is_real);
    assert_true(recall.effort.recall >= 0.95 && recall.effort.low <= recall.effort.recall);
    assert_true(recall.below >= 0 && recall.below < 0.5);
    assert_true(metric_value(METRIC_recall_measured) >= 950000);
    assert_true(metric_value(METRIC_recall_low) <= metric_value(METRIC_recall_measured));
}

/* Of stored rows alone a recall is known, and the first queries lie far from all of them. */
static void queries_unlike_the_measured_ones_are_looked_for_with_more(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    fixture_start(f);
    insert_rows(f, 1, ROWS + 1, 500);
    wait_until_linked(f);
    (void)wait_for_measurement(f, 0, 256);
    struct shard_effort effort;
    shard_effort_for(f->shard, EMBEDDING, 0.95, K, 1, &effort);
    assert_true(effort.has_reach && effort.ef_beyond > effort.ef);
    int64_t beyond = metric_value(METRIC_searches_beyond);
    for (uint64_t q = 0; q < FAR_QUERIES; q++) {
        float query[DIM];
        struct index_hit exact[K], hits[K];
        size_t n_exact, n;
        struct shard_search s = {.index = {.plan = INDEX_EXACT}, .index_lag_max = ROWS};
        make_vector(1000000 + q, query);
        for (size_t i = 0; i < DIM; i++) {
            query[i] *= 20;
        }
        assert_int_equal(search(f, query, &s, exact, &n_exact, &err), ERR_OK);
        s.index.plan = INDEX_WALK;
        s.index.ef = effort.ef;
        s.index.has_reach = true;
        s.index.reach = effort.reach;
        assert_int_equal(search(f, query, &s, hits, &n, &err), ERR_OK);
        assert_true(n == n_exact && memcmp(hits, exact, n * sizeof(*hits)) == 0);
    }
    assert_int_equal(metric_value(METRIC_searches_beyond), beyond + FAR_QUERIES);
    /* Like the rows: only as much as was measured. */
    shard_effort_for(f->shard, EMBEDDING, 0.95, K, 1, &effort);
    assert_true(measure_recall(f, effort.ef) >= 0.95);
}

static bool passes(void *arg, uint64_t row)
{
    (void)arg;
    (void)row;
    return true;
}

enum {
    HOLE = ROWS / 20
};

static bool leaves_out(void *arg, uint64_t row)
{
    const struct index_hit *near = arg;
    for (size_t i = 0; i < HOLE; i++) {
        if (near[i].row == row) {
            return false;
        }
    }
    return true;
}

/* A filter that lets nineteen of twenty pass lets none of those near the query pass. */
static void a_filter_that_leaves_out_what_is_near_is_not_what_was_measured(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct index_hit near[HOLE], hits[K];
    float query[DIM];
    size_t n;
    fixture_start(f);
    insert_rows(f, 1, ROWS + 1, 500);
    wait_until_linked(f);
    make_vector(1000000, query);
    struct shard_search s = {.index = {.plan = INDEX_EXACT, .k = HOLE}, .index_lag_max = ROWS};
    s.index.query = query;
    struct index_work work = {0};
    s.column = EMBEDDING;
    assert_int_equal(shard_search(f->shard, &s, near, &n, &work, &err), ERR_OK);
    assert_int_equal(n, HOLE);
    s.index = (struct index_search){.plan = INDEX_WALK,
                                    .ef = K,
                                    .ef_beyond = HOLE,
                                    .matches = leaves_out,
                                    .matches_arg = near,
                                    .density = {.n_sampled = ROWS, .share = 0.95}};
    int64_t sparser = metric_value(METRIC_searches_sparser);
    int64_t beyond = metric_value(METRIC_searches_beyond);
    assert_int_equal(search(f, query, &s, hits, &n, &err), ERR_OK);
    assert_int_equal(metric_value(METRIC_searches_sparser), sparser + 1);
    assert_int_equal(metric_value(METRIC_searches_beyond), beyond + 1);
}

/* A filter that is said to let a twentieth pass lets all of those near the query pass. */
static void a_filter_that_goes_with_the_vectors_takes_what_none_would(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct shard_effort effort;
    struct index_hit hits[K];
    float query[DIM];
    size_t n;
    fixture_start(f);
    insert_rows(f, 1, ROWS + 1, 500);
    wait_until_linked(f);
    (void)wait_for_measurement(f, 0, 256);
    shard_effort_for(f->shard, EMBEDDING, 0.95, K, 0.05, &effort);
    assert_true(effort.density.ef >= K && effort.density.most >= 0.05 && effort.density.most < 1);
    struct shard_search s = {.index = {.plan = INDEX_WALK,
                                       .ef = K,
                                       .matches = passes,
                                       .density = {.most = 0.05, .ef = K + effort.density.ef}},
                             .index_lag_max = ROWS};
    int64_t denser = metric_value(METRIC_searches_denser);
    make_vector(1000000, query);
    assert_int_equal(search(f, query, &s, hits, &n, &err), ERR_OK);
    assert_int_equal(metric_value(METRIC_searches_denser), denser + 1);
    s.index.density.most = 1;
    assert_int_equal(search(f, query, &s, hits, &n, &err), ERR_OK);
    assert_int_equal(metric_value(METRIC_searches_denser), denser + 1);
    shard_effort_for(f->shard, EMBEDDING, 0.95, K, 1, &effort);
    assert_int_equal(effort.density.ef, 0); /* There is nothing to be denser than. */
}

/* Many times the rows, and nothing measured of them yet: the recall was 0.69 for a floor of 0.80.
 */
static void what_was_measured_is_stretched_where_the_collection_has_grown(void **state)
{
    struct fixture *f = *state;
    struct shard_effort before, after;
    fixture_start(f);
    insert_rows(f, 1, 1001, 500);
    struct shard_recall first = wait_for_measurement(f, 0, 256);
    shard_effort_for(f->shard, EMBEDDING, 0.8, 10, 1, &before);
    assert_true(before.stretch == 1);
    struct calibration *c = &f->shard->vectors[0].calibration;
    mutex_lock(&c->mutex); /* Who measures needs it. */
    insert_rows(f, 1001, GROWN + 1, 500);
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    while (vectors_lag(f->shard) > 0) { /* Figures would take locks that do not go with this one. */
        assert_true(clock_micros() < deadline_us);
        clock_sleep_micros(1000);
    }
    shard_effort_for(f->shard, EMBEDDING, 0.8, 10, 1, &after);
    assert_true(after.ef >=
                200); /* So much as where nothing was measured: most rows are strangers. */
    assert_true(after.stretch > 0.9 * GROWN / 1000 && after.ef >= GROWN / 1000 * before.ef);
    assert_true(measure_recall(f, after.ef) >= 0.8);
    mutex_unlock(&c->mutex);
    (void)wait_for_measurement(f, first.wall_us, 256);
    shard_effort_for(f->shard, EMBEDDING, 0.8, 10, 1, &after);
    assert_true(after.stretch < 1.2);
    assert_true(measure_recall(f, after.ef) >= 0.8);
}

/* The keeper copies a reservoir of queries under the lock: searches must not wait for that. */
static void a_search_waits_for_no_lock_of_calibration(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    insert_rows(f, 1, 1001, 100); /* Queries on fewer are not noted. */
    struct calibration *c = &f->shard->vectors[0].calibration;
    mutex_lock(&c->mutex);
    enum shard_verdict verdict;
    assert_true(ef_for(f, 0.95, 10, &verdict) >= 10);
    uint64_t n_seen = c->queries.n_seen;
    double distance;
    for (uint64_t i = 1; i <= 100; i++) {
        assert_true(nearest(f, i, &distance) > 0);
    }
    assert_int_equal(c->queries.n_seen, n_seen);
    mutex_unlock(&c->mutex);
    for (uint64_t i = 1; i <= 100; i++) {
        assert_true(nearest(f, i, &distance) > 0);
    }
    assert_true(c->queries.n_seen > n_seen);
}

static void a_flat_collection_is_searched_exactly_and_needs_no_checkpoint(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct value flat = value_cstr("flat");
    assert_int_equal(
        policy_assign(&f->schema.policies, POLICY_index, LEVEL_COLLECTION, &flat, &err), ERR_OK);
    fixture_start(f);
    insert_rows(f, 1, 501, 50);
    assert_int_equal(delete_row(f, 7, &err), ERR_OK);
    assert_true(measure_recall(f, K) == 1);
    fixture_stop(f);
    fixture_start(f);
    assert_true(measure_recall(f, K) == 1);
    assert_int_equal(metric_value(METRIC_index_rebuilds), 0);
    assert_int_equal(index_count(f->shard->vectors[0].index), 499);
}

/* With the truth of rows that are no more the same, calibration had taken a good graph for a bad
 * one and asked for the largest ef of its ladder. */
static void calibration_is_not_misled_by_rows_that_come_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct shard_recall recall;
    fixture_start(f);
    insert_rows(f, 1, ROWS + 1, 500);
    uint64_t next = ROWS + 1;
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    while (!shard_recall(f->shard, EMBEDDING, 0, 0.95, &recall)) {
        assert_true(clock_micros() < deadline_us);
        if (next <= 2 * ROWS) {
            insert_rows(f, next, next + 20, 20);
            next += 20;
        }
        clock_sleep_micros(10000);
    }
    assert_int_equal(recall.effort.verdict, SHARD_REACHES);
    assert_true(recall.effort.ef < 500);
}

static uint64_t seen(struct calibration *c)
{
    mutex_lock(&c->mutex);
    uint64_t n = c->queries.n_seen;
    mutex_unlock(&c->mutex);
    return n;
}

/* What clients asked first may be easier than what they ask then: the first 1,600 queries of
 * words-100 had promised 0.95 where all of them found 0.85. */
static void recall_is_measured_again_with_more_queries_of_clients(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    insert_rows(f, 1, ROWS + 1, 500);
    struct calibration *c = &f->shard->vectors[0].calibration;
    struct shard_recall recall = wait_for_measurement(f, 0, 256);
    uint64_t asked = 0;
    for (uint64_t wanted = 64; wanted <= 512; wanted *= 2) {
        while (seen(c) < wanted) { /* One that met the keeper was not noted. */
            double distance;
            (void)nearest(f, ROWS + 1 + asked++, &distance);
        }
        if (wanted == 64 || wanted == 256) {
            recall = wait_for_measurement(f, recall.wall_us, (uint32_t)wanted);
            assert_true(recall.is_real);
        }
    }
}

static void ask(struct fixture *f, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        double distance;
        (void)nearest(f, ROWS + 1 + i, &distance);
    }
}

/* Each curve says that @ef is needed for anything, by stored rows. */
static void pretend(struct calibration *c, uint32_t ef)
{
    static struct measured m;
    struct err err = {0};
    mutex_lock(&c->mutex);
    assert_true(calibration_read(c, CURVES_ALL, &m));
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        m.curves[i].n_points = m.curves[i].n_points > 0 ? 1 : 0;
        m.curves[i].points[0] = (struct curve_point){ef, 1, 0.99F, 1, 0.99F, 100, 0, {0}};
    }
    enum errcode code = calibration_publish(c, &m, &err);
    mutex_unlock(&c->mutex);
    assert_int_equal(code, ERR_OK);
}

static uint64_t seen_measured(struct calibration *c)
{
    mutex_lock(&c->mutex);
    uint64_t n = c->n_seen_measured;
    mutex_unlock(&c->mutex);
    return n;
}

/* Of which nothing can be measured in so few rows: after most rows were deleted what had been
 * measured stood, and the keeper measured again without end. */
static void a_class_that_too_few_rows_match_is_forgotten(void **state)
{
    struct fixture *f = *state;
    static struct measured m;
    struct err err = {0};
    struct shard_recall recall;
    fixture_start(f);
    insert_rows(f, 1, ROWS + 1, 500);
    (void)wait_for_measurement(f, 0, 256);
    assert_false(shard_recall(f->shard, EMBEDDING, FEWEST, 0.95, &recall));
    struct calibration *c = &f->shard->vectors[0].calibration;
    mutex_lock(&c->mutex);
    assert_true(calibration_read(c, CURVES_ALL, &m));
    m.curves[FEWEST] = m.curves[0];
    m.curves[FEWEST].origin.rows = 20 * ROWS;
    enum errcode code = calibration_publish(c, &m, &err);
    mutex_unlock(&c->mutex);
    assert_int_equal(code, ERR_OK);
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    while (shard_recall(f->shard, EMBEDDING, FEWEST, 0.95, &recall)) {
        assert_true(clock_micros() < deadline_us);
        host_wake_keeper(f->shard);
        clock_sleep_micros(10000);
    }
}

/* Those of words-100 are the commonest words: what they promised others did not find. */
static void the_first_queries_of_clients_alone_lower_no_effort(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    insert_rows(f, 1, ROWS + 1, 500);
    struct shard_recall recall = wait_for_measurement(f, 0, 256);
    struct calibration *c = &f->shard->vectors[0].calibration;
    pretend(c, 500);
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    for (ask(f, 100); seen_measured(c) == 0; clock_sleep_micros(1000)) {
        assert_true(clock_micros() < deadline_us);
    }
    assert_true(shard_recall(f->shard, EMBEDDING, 0, 0.95, &recall));
    assert_false(recall.is_real);
    assert_int_equal(recall.effort.ef, 500);
    for (ask(f, 16384); !recall.is_real; clock_sleep_micros(1000)) {
        assert_true(clock_micros() < deadline_us);
        assert_true(shard_recall(f->shard, EMBEDDING, 0, 0.95, &recall));
    }
    assert_true(recall.effort.ef < 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNWATCHED_TEST(a_walk_reaches_its_recall_floor_before_and_after_a_restart, fixture_set_up,
                       fixture_tear_down),
        cmocka_unit_test_setup_teardown(
            a_row_is_found_as_soon_as_it_is_acknowledged_though_the_graph_is_behind, fixture_set_up,
            fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_stop_does_not_wait_for_the_graph, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(on_lag_is_obeyed_beyond_index_lag, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_search_that_waits_for_the_graph_can_be_canceled,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(an_ack_of_indexed_waits_for_the_graph, fixture_set_up,
                                        fixture_tear_down),
        UNWATCHED_TEST(calibration_finds_an_ef_for_each_recall, fixture_set_up, fixture_tear_down),
        UNWATCHED_TEST(a_class_that_too_few_rows_match_is_forgotten, fixture_set_up,
                       fixture_tear_down),
        UNWATCHED_TEST(recall_is_measured_again_with_more_queries_of_clients, fixture_set_up,
                       fixture_tear_down),
        UNWATCHED_TEST(the_first_queries_of_clients_alone_lower_no_effort, fixture_set_up,
                       fixture_tear_down),
        UNWATCHED_TEST(queries_unlike_the_measured_ones_are_looked_for_with_more, fixture_set_up,
                       fixture_tear_down),
        UNWATCHED_TEST(a_filter_that_leaves_out_what_is_near_is_not_what_was_measured,
                       fixture_set_up, fixture_tear_down),
        UNWATCHED_TEST(a_filter_that_goes_with_the_vectors_takes_what_none_would, fixture_set_up,
                       fixture_tear_down),
        UNWATCHED_TEST(what_was_measured_is_stretched_where_the_collection_has_grown,
                       fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_search_waits_for_no_lock_of_calibration, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(calibration_is_not_misled_by_rows_that_come_meanwhile,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(
            a_flat_collection_is_searched_exactly_and_needs_no_checkpoint, fixture_set_up,
            fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
