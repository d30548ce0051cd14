/* L2's centre: which rows have one, that it moves where the rows do, and that it is no more than a
 * matter of how codes are made: the graph stays a function of the log. */
#include "fixture.h"

#include <stdlib.h>

enum {
    DIM = 48,
    N = 1500,       /* More than are looked at first, */
    N_MOVED = 9000, /* and at the second time. */
    K = 10,
    EF = 24
};

/* Rows that lie about @far from 0, in all dimensions alike. */
static float *points_at(float far, size_t n, uint64_t seed)
{
    float *points = points_new(SHAPE_UNIFORM, n, DIM, seed);
    for (size_t i = 0; i < n * DIM; i++) {
        points[i] += far;
    }
    return points;
}

static struct index *graph_of(const float *points, size_t n, const struct index_crew *crew)
{
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, DIM);
    config.code = INDEX_CODE_4;
    struct index *index = index_make(&config);
    stage_rows(index, points, DIM, 0, n, 130);
    advance_all(index, 300, crew);
    return index;
}

static double recall_at(float far)
{
    float *points = points_at(far, N, 3), *queries = points_at(far, 50, 4);
    struct index *index = graph_of(points, N, NULL);
    double recall = recall_of(index, queries, DIM, 50, K, EF);
    index_free(index);
    free(points);
    free(queries);
    return recall;
}

static void rows_far_from_0_are_found_as_well_as_rows_around_it(void **state)
{
    (void)state;
    double around = recall_at(0);
    assert_true(recall_at(8) > around - 0.03);
    assert_true(recall_at(-1000) > around - 0.03);
}

/* What a walk looks at exactly, where the codes cannot tell, is the measure of what they tell. */
static uint64_t exact_walks(struct index *index, const float *queries, size_t n)
{
    struct index_work work = {0};
    for (size_t i = 0; i < n; i++) {
        struct err err;
        struct index_hit hits[K];
        size_t n_hits;
        struct index_search search = {
            .query = queries + i * DIM, .k = K, .ef = EF, .plan = INDEX_WALK};
        assert_int_equal(index_search(index, &search, hits, &n_hits, &work, &err), ERR_OK);
        assert_int_equal(n_hits, K);
    }
    return work.exact_walks;
}

/* The first rows are a cluster far away, as where data come sorted. */
static void the_centre_follows_the_rows(void **state)
{
    (void)state;
    float *points = points_at(0, N_MOVED, 5), *queries = points_at(0, 50, 6);
    for (size_t i = 0; i < (size_t)1100 * DIM; i++) {
        points[i] = points[i] / 100 + 300;
    }
    struct index *index = graph_of(points, 2000, NULL);
    assert_int_equal(exact_walks(index, queries, 50), 50);
    stage_rows(index, points + (size_t)2000 * DIM, DIM, 2000, N_MOVED - 2000, 500);
    advance_all(index, SIZE_MAX, NULL);
    assert_true(exact_walks(index, queries, 50) < 10);
    assert_true(recall_of(index, queries, DIM, 50, K, 100) > 0.95);
    index_free(index);
    free(points);
    free(queries);
}

static uint64_t digest_of(const float *points, const struct index_crew *crew)
{
    struct index *index = graph_of(points, N, crew);
    uint64_t digest = index_digest(index);
    index_free(index);
    return digest;
}

static void the_graph_is_the_same_on_every_machine(void **state)
{
    (void)state;
    static const char *const kernels[] = {"avx2", "avx512", NULL};
    float *points = points_at(8, N, 7);
    assert_true(index_choose_kernel("scalar"));
    uint64_t digest = digest_of(points, NULL);
    for (size_t k = GOOD_MEASURE(0, COUNT_OF(kernels) - 1); k < COUNT_OF(kernels); k++) {
        if (index_choose_kernel(kernels[k])) {
            assert_true(digest_of(points, &crew_of_threads) == digest);
        }
    }
    assert_true(index_choose_kernel(NULL));
    free(points);
}

/* Slots differ between the two, and so does where checkpoints fall. */
static void a_checkpoint_anywhere_gives_the_same_graph(void **state)
{
    (void)state;
    float *points = points_at(8, N, 8);
    uint64_t digest = digest_of(points, NULL);
    for (size_t at = 1000; at < N; at += GOOD_MEASURE(260, 520)) {
        struct index *index = graph_of(points, at / 130 * 130, NULL);
        struct index_config config = *index_config(index);
        struct stream s = {.capacity = 0};
        struct err err;
        uint32_t crc;
        assert_int_equal(index_save(index, stream_write, &s, &crc, &err), ERR_OK);
        index_free(index);
        index = index_make(&config);
        assert_int_equal(load(index, &s, &err), ERR_OK);
        stream_fini(&s);
        stage_rows(index, points, DIM, 0, N, 130);
        advance_all(index, SIZE_MAX, &crew_of_threads);
        assert_true(index_digest(index) == digest);
        index_free(index);
    }
    free(points);
}

static void an_emptied_index_begins_anew(void **state)
{
    (void)state;
    float *far = points_at(1000, N, 9), *near = points_at(0, N, 10),
          *queries = points_at(0, 50, 11);
    struct index *index = graph_of(far, N, NULL);
    for (uint64_t row = 0; row < N; row++) {
        stage_delete(index, N + 1, row);
    }
    advance_all(index, SIZE_MAX, NULL);
    assert_int_equal(index_count(index), 0);
    stage_rows(index, near, DIM, N, 900, 130);
    advance_all(index, SIZE_MAX, NULL);
    assert_int_equal(exact_walks(index, queries, 50), 0);
    index_free(index);
    free(far);
    free(near);
    free(queries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_far_from_0_are_found_as_well_as_rows_around_it),
        cmocka_unit_test(the_centre_follows_the_rows),
        cmocka_unit_test(the_graph_is_the_same_on_every_machine),
        cmocka_unit_test(a_checkpoint_anywhere_gives_the_same_graph),
        cmocka_unit_test(an_emptied_index_begins_anew),
    };
    (void)index_choose_kernel(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
