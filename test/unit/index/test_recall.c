/* Recall floors of the graph against exact searches, as rows come and go. */
#include "fixture.h"

#include <stdlib.h>

enum {
    DIM = 24,
    N = GOOD_MEASURE(6000, 1500),
    QUERIES = 150,
    K = 10
};

static void build_and_measure(enum distance distance, enum shape shape, size_t step, double floor)
{
    assert_true(index_choose_kernel(NULL));
    struct index_config config = config_of(INDEX_HNSW, distance, DIM);
    struct index *index = index_make(&config);
    float *points = points_new(shape, N, DIM, 1), *queries = points_new(shape, QUERIES, DIM, 2);
    stage_rows(index, points, DIM, 0, N, step);
    advance_all(index, N, NULL);
    double recall = recall_of(index, queries, DIM, QUERIES, K, 64);
    if (recall < floor) {
        fail_msg("recall %.4f is below %.2f (distance %d, shape %d)", recall, floor, (int)distance,
                 (int)shape);
    }
    free(points);
    free(queries);
    index_free(index);
}

static void uniform_rows_are_found_under_every_distance(void **state)
{
    (void)state;
    build_and_measure(DISTANCE_L2, SHAPE_UNIFORM, N, 0.90);
    build_and_measure(DISTANCE_COSINE, SHAPE_UNIFORM, N, 0.90);
    build_and_measure(DISTANCE_DOT, SHAPE_UNIFORM, N, 0.90);
}

static void clustered_rows_are_found_under_every_distance(void **state)
{
    (void)state;
    build_and_measure(DISTANCE_L2, SHAPE_CLUSTERED, N, 0.97);
    build_and_measure(DISTANCE_COSINE, SHAPE_CLUSTERED, N, 0.97);
    build_and_measure(DISTANCE_DOT, SHAPE_CLUSTERED, N, 0.95);
}

static void rows_that_come_one_by_one_are_found_as_well(void **state)
{
    (void)state;
    build_and_measure(DISTANCE_COSINE, SHAPE_CLUSTERED, 1, 0.97);
}

static void recall_is_kept_after_deleting_half_of_the_rows(void **state)
{
    (void)state;
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, DIM);
    for (enum shape shape = SHAPE_UNIFORM; shape <= SHAPE_CLUSTERED; shape++) {
        struct index *index = index_make(&config), *fresh = index_make(&config);
        float *points = points_new(shape, N, DIM, 1), *queries = points_new(shape, QUERIES, DIM, 2);
        stage_rows(index, points, DIM, 0, N, 100);
        for (uint64_t row = 0; row < N; row++) {
            if (hash_u64(row) % 2 == 0) {
                stage_delete(index, N + row, row);
            } else {
                stage_rows(fresh, points + row * DIM, DIM, row, 1, 1);
            }
        }
        advance_all(index, N, NULL);
        advance_all(fresh, N, NULL);
        assert_int_equal(index_count(index), index_count(fresh));
        double recall = recall_of(index, queries, DIM, QUERIES, K, 64);
        double built_so = recall_of(fresh, queries, DIM, QUERIES, K, 64);
        if (recall < built_so - 0.02) {
            fail_msg("recall %.4f after deletes, %.4f when built without them", recall, built_so);
        }
        free(points);
        free(queries);
        index_free(index);
        index_free(fresh);
    }
}

/* A table whose rows are all replaced, again and again. */
static void recall_is_kept_when_all_rows_are_replaced_many_times(void **state)
{
    (void)state;
    enum {
        LIVE = 1000,
        ROUNDS = 8
    };
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_COSINE, DIM);
    struct index *index = index_make(&config);
    float *points = points_new(SHAPE_CLUSTERED, LIVE * ROUNDS, DIM, 1);
    float *queries = points_new(SHAPE_CLUSTERED, QUERIES, DIM, 2);
    for (uint64_t row = 0; row < LIVE * ROUNDS; row++) {
        stage_rows(index, points + row * DIM, DIM, row, 1, 1);
        if (row >= LIVE) {
            stage_delete(index, row + 1, row - LIVE);
        }
        advance_all(index, 10, NULL);
    }
    struct index_figures figures;
    index_figures(index, &figures);
    assert_int_equal(figures.rows, LIVE);
    assert_true(figures.degree_mean > 8);
    /* Slots are used again: the vectors of 8,000 rows take the place of little more than 1,000. */
    assert_true(figures.code_bytes < 2 * LIVE * DIM * sizeof(float));
    double recall = recall_of(index, queries, DIM, QUERIES, K, 64);
    assert_true(recall >= 0.97);
    free(points);
    free(queries);
    index_free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniform_rows_are_found_under_every_distance),
        cmocka_unit_test(clustered_rows_are_found_under_every_distance),
        cmocka_unit_test(rows_that_come_one_by_one_are_found_as_well),
        cmocka_unit_test(recall_is_kept_after_deleting_half_of_the_rows),
        cmocka_unit_test(recall_is_kept_when_all_rows_are_replaced_many_times),
    };
    int failed = cmocka_run_group_tests_name("index recall", tests, NULL, NULL);
    index_thread_exit();
    return failed;
}
