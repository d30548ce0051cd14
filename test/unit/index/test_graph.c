/* What the door of the index promises of its graph: it depends on what was staged, and on nothing
 * else; what is staged is found, what is deleted is not. */
#include "fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIM = 16,
    N = 1500,
    K = 10
};

/* Inserts in calls of several sizes, with deletes of old and of just staged rows between them. */
static void stage_history(struct index *index, const float *points)
{
    static const size_t steps[] = {1, 3, 64, 65, 200, 130};
    size_t at = 0;
    for (size_t i = 0; at < N; i++) {
        size_t step = steps[i % COUNT_OF(steps)];
        step = step < N - at ? step : N - at;
        stage_rows(index, points + at * DIM, DIM, at, step, step);
        at += step;
        for (uint64_t row = at % 7; i % 3 == 0 && row < at; row += 17) {
            stage_delete(index, at, row);
        }
        if (i % 4 == 0) {
            stage_delete(index, at, at - 1);
        }
    }
}

/* The digest of the graph that the history makes when it is advanced in a certain way. */
static uint64_t digest_of_codes(const float *points, enum distance distance, enum index_code code,
                                size_t rows_max, const struct index_crew *crew)
{
    struct index_config config = config_of(INDEX_HNSW, distance, DIM);
    config.code = code;
    struct index *index = index_make(&config);
    stage_history(index, points);
    advance_all(index, rows_max, crew);
    uint64_t digest = index_digest(index);
    index_free(index);
    return digest;
}

static uint64_t digest_of_history(const float *points, enum distance distance, size_t rows_max,
                                  const struct index_crew *crew)
{
    return digest_of_codes(points, distance, INDEX_CODE_F32, rows_max, crew);
}

static void equal_stages_give_equal_graphs_whatever_the_steps_and_threads(void **state)
{
    (void)state;
    float *points = points_new(SHAPE_CLUSTERED, N, DIM, 3);
    for (enum distance distance = DISTANCE_L2; distance <= DISTANCE_DOT; distance++) {
        uint64_t at_once = digest_of_history(points, distance, SIZE_MAX, NULL);
        assert_true(digest_of_history(points, distance, 1, NULL) == at_once);
        assert_true(digest_of_history(points, distance, 100, NULL) == at_once);
        assert_true(digest_of_history(points, distance, 70, &crew_of_threads) == at_once);
    }
    free(points);
}

/* Nine tenths of the rows lie within the error of the codes. */
static void crowd_together(float *points)
{
    for (size_t i = DIM; i < (size_t)N * DIM; i++) {
        if (i / DIM % 10 != 0) {
            points[i] = points[i % DIM] + points[i] / 1000;
        }
    }
}

static void graphs_are_equal_whatever_the_code_the_threads_and_the_instruction_set(void **state)
{
    (void)state;
    static const char *const kernels[] = {"scalar", "avx2", "avx512", NULL};
    float *points = points_new(SHAPE_CLUSTERED, N, DIM, 3);
    for (int is_crowd = 0; is_crowd < 2; is_crowd++) {
        for (enum index_code code = INDEX_CODE_F32; code <= INDEX_CODE_2; code++) {
            enum distance distance = DISTANCE_L2 + (enum distance)((size_t)code % 3);
            assert_true(index_choose_kernel("scalar"));
            uint64_t digest = digest_of_codes(points, distance, code, SIZE_MAX, NULL);
            for (size_t k = 1; k < COUNT_OF(kernels); k++) {
                bool is_turn = GOOD_MEASURE(true, k % 3 == ((size_t)code + (size_t)is_crowd) % 3);
                if (is_turn && index_choose_kernel(kernels[k])) {
                    assert_true(digest_of_codes(points, distance, code, 70, &crew_of_threads) ==
                                digest);
                }
            }
        }
        crowd_together(points);
    }
    assert_true(index_choose_kernel(NULL));
    free(points);
}

static void advancing_between_stages_gives_the_same_graph(void **state)
{
    (void)state;
    float *points = points_new(SHAPE_CLUSTERED, N, DIM, 3);
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, DIM);
    struct index *eager = index_make(&config), *lazy = index_make(&config);
    for (uint64_t row = 0; row < N; row++) {
        stage_rows(eager, points + row * DIM, DIM, row, 1, 1);
        advance_all(eager, 1, NULL);
        stage_rows(lazy, points + row * DIM, DIM, row, 1, 1);
        if (row % 3 == 2) {
            /* Slots are used again in the one, and not yet in the other. */
            stage_delete(eager, row + 1, row / 2);
            stage_delete(lazy, row + 1, row / 2);
            advance_all(eager, 1, NULL);
        }
    }
    advance_all(lazy, SIZE_MAX, NULL);
    assert_true(index_digest(eager) == index_digest(lazy));
    struct index_figures a, b;
    index_figures(eager, &a);
    index_figures(lazy, &b);
    assert_true(a.code_bytes < b.code_bytes);
    free(points);
    index_free(eager);
    index_free(lazy);
}

static void the_digest_tells_graphs_apart(void **state)
{
    (void)state;
    float *points = points_new(SHAPE_UNIFORM, N, DIM, 4);
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, DIM);
    struct index *a = index_make(&config), *b = index_make(&config);
    stage_rows(a, points, DIM, 0, 200, 1);
    stage_rows(b, points, DIM, 0, 199, 1);
    stage_rows(b, points, DIM, 199, 1, 1); /* The vector of row 0. */
    uint64_t empty = index_digest(a);
    assert_true(empty == index_digest(b));
    advance_all(a, N, NULL);
    advance_all(b, N, NULL);
    assert_true(index_digest(a) != empty);
    assert_true(index_digest(a) != index_digest(b));
    free(points);
    index_free(a);
    index_free(b);
}

static void a_staged_row_is_found_at_once_and_a_deleted_one_never_again(void **state)
{
    (void)state;
    float *points = points_new(SHAPE_UNIFORM, N, DIM, 5);
    for (enum index_kind kind = INDEX_HNSW; kind <= INDEX_FLAT; kind++) {
        struct index_config config = config_of(kind, DISTANCE_L2, DIM);
        struct index *index = index_make(&config);
        struct index_hit hit;
        for (uint64_t row = 0; row < N; row++) {
            stage_rows(index, points + row * DIM, DIM, row, 1, 1);
            assert_int_equal(index_count(index), row + 1 - row / 2);
            assert_int_equal(find(index, INDEX_WALK, points + row * DIM, 1, 40, &hit), 1);
            assert_true(hit.row == row && hit.distance == 0);
            if (row % 2 == 1) {
                /* Linked, or still in the tail. */
                stage_delete(index, row + 1, row - row % 4 / 2);
                size_t n = find(index, INDEX_WALK, points + (row - row % 4 / 2) * DIM, 1, 40, &hit);
                assert_true(n == 0 || hit.row != row - row % 4 / 2);
            }
            if (row % 50 == 0) {
                advance_all(index, N, NULL);
            }
        }
        index_free(index);
    }
    free(points);
}

static void walks_and_scans_return_all_there_is_when_less_than_k(void **state)
{
    (void)state;
    enum {
        FEW = 200
    };
    float *points = points_new(SHAPE_CLUSTERED, FEW, DIM, 6);
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_COSINE, DIM);
    struct index *index = index_make(&config);
    struct index_hit hits[2 * FEW];
    assert_int_equal(find(index, INDEX_WALK, points, FEW, FEW, hits), 0);
    assert_int_equal(find(index, INDEX_EXACT, points, FEW, FEW, hits), 0);
    stage_rows(index, points, DIM, 0, FEW, FEW);
    assert_int_equal(find(index, INDEX_WALK, points, 2 * FEW, 2 * FEW, hits), FEW);
    advance_all(index, N, NULL);
    assert_int_equal(find(index, INDEX_WALK, points, 2 * FEW, 2 * FEW, hits), FEW);
    for (uint64_t row = 0; row + 1 < FEW; row++) {
        stage_delete(index, FEW, row);
        assert_int_equal(find(index, INDEX_WALK, points, 2 * FEW, 2 * FEW, hits), FEW - 1 - row);
        assert_int_equal(find(index, INDEX_EXACT, points, 2 * FEW, 2 * FEW, hits), FEW - 1 - row);
    }
    advance_all(index, N, NULL);
    assert_int_equal(find(index, INDEX_WALK, points, 1, 10, hits), 1);
    assert_true(hits[0].row == FEW - 1);
    /* And from nothing again. */
    stage_delete(index, FEW, FEW - 1);
    advance_all(index, N, NULL);
    assert_int_equal(find(index, INDEX_WALK, points, 1, 10, hits), 0);
    stage_rows(index, points, DIM, FEW, FEW, FEW);
    advance_all(index, N, NULL);
    assert_int_equal(find(index, INDEX_WALK, points, 2 * FEW, 2 * FEW, hits), FEW);
    free(points);
    index_free(index);
}

/* ---- filters ---- */

static bool is_multiple(void *arg, uint64_t row)
{
    return row % *(uint64_t *)arg == 0;
}

static void a_filtered_search_returns_k_rows_whenever_that_many_match(void **state)
{
    (void)state;
    float *points = points_new(SHAPE_CLUSTERED, N, DIM, 7);
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, DIM);
    struct index *index = index_make(&config);
    stage_rows(index, points, DIM, 0, N, 100);
    advance_all(index, N - 100, NULL); /* The last call stays in the tail. */
    for (uint64_t row = 0; row < N; row += 30) {
        stage_delete(index, N, row);
    }
    for (uint64_t every = 1; every <= 100; every = every * 3 / 2 + 1) {
        size_t n_same = 0, n_all = 0;
        for (size_t q = 0; q < 40; q++) {
            struct index_hit exact[K], walked[K];
            struct index_search search = {.query = points + q * 31 * DIM,
                                          .k = K,
                                          .ef = 40,
                                          .plan = INDEX_EXACT,
                                          .matches = is_multiple,
                                          .matches_arg = &every};
            struct err err;
            size_t n_exact = 0, n_walked = 0;
            struct index_work work = {0};
            assert_int_equal(index_search(index, &search, exact, &n_exact, &work, &err), ERR_OK);
            search.plan = INDEX_WALK;
            assert_int_equal(index_search(index, &search, walked, &n_walked, &work, &err), ERR_OK);
            assert_true(n_walked == n_exact || !work.is_complete);
            assert_true(n_exact == K);
            for (size_t i = 0; i < n_walked; i++) {
                assert_true(walked[i].row % every == 0 && walked[i].row % 30 != 0);
                for (size_t j = 0; j < n_exact; j++) {
                    n_same += walked[i].row == exact[j].row;
                }
            }
            n_all += n_exact;
        }
        assert_true((double)n_same >= 0.97 * (double)n_all);
    }
    free(points);
    index_free(index);
}

static void a_filtered_walk_says_when_it_gave_up(void **state)
{
    (void)state;
    float *points = points_new(SHAPE_UNIFORM, N, DIM, 8);
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, DIM);
    struct index *index = index_make(&config);
    stage_rows(index, points, DIM, 0, N, 100);
    advance_all(index, N, NULL);
    uint64_t every = N;
    struct index_search search = {.query = points,
                                  .k = 2,
                                  .ef = 20,
                                  .plan = INDEX_WALK,
                                  .matches = is_multiple,
                                  .matches_arg = &every,
                                  .filter_calls_max = 300};
    struct index_hit hits[2];
    size_t n_hits;
    struct index_work work = {0};
    struct err err;
    assert_int_equal(index_search(index, &search, hits, &n_hits, &work, &err), ERR_OK);
    assert_false(work.is_complete);
    assert_true(work.filter_calls >= 300 && work.filter_calls < 400);
    /* Only one row matches: a walk through all of the graph is complete with less than k. */
    search.filter_calls_max = 0;
    work = (struct index_work){0};
    assert_int_equal(index_search(index, &search, hits, &n_hits, &work, &err), ERR_OK);
    assert_int_equal(n_hits, 1);
    assert_true(hits[0].row == 0);
    assert_true(work.is_complete == (work.filter_calls == N));
    free(points);
    index_free(index);
}

/* ---- bad and odd input ---- */

static void vectors_without_a_distance_are_refused_and_nothing_is_staged(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (enum distance distance = DISTANCE_L2; distance <= DISTANCE_DOT; distance++) {
        struct index_config config = config_of(INDEX_HNSW, distance, 3);
        struct index *index = index_make(&config);
        uint64_t rows[] = {1, 2};
        float vectors[] = {1, 2, 3, 4, 5, 6};
        struct err err;
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
            vectors[4] = bad[i];
            assert_int_equal(stage(index, 1, rows, vectors, 2, &err), ERR_NOT_FINITE);
            assert_non_null(strstr(err.message, "vector 2 of 2"));
        }
        memset(vectors + 3, 0, 3 * sizeof(float));
        enum errcode expected = distance == DISTANCE_COSINE ? ERR_ZERO_VECTOR : ERR_OK;
        assert_int_equal(stage(index, 1, rows, vectors, 2, &err), expected);
        assert_int_equal(index_count(index), expected == ERR_OK ? 2 : 0);
        assert_int_equal(index_pending(index), expected == ERR_OK ? 2 : 0);

        float query[] = {0, NAN, 0};
        struct index_search search = {.query = query, .k = 1, .ef = 1, .plan = INDEX_WALK};
        struct index_hit hit;
        size_t n;
        struct index_work work = {0};
        assert_int_equal(index_search(index, &search, &hit, &n, &work, &err), ERR_NOT_FINITE);
        query[1] = 0;
        assert_int_equal(index_search(index, &search, &hit, &n, &work, &err), expected);
        index_free(index);
    }
}

static void equal_vectors_are_all_found_in_the_order_of_their_rows(void **state)
{
    (void)state;
    enum {
        EQUAL = 500
    };
    float *points = points_new(SHAPE_UNIFORM, N, DIM, 9);
    for (size_t i = 1; i < EQUAL; i++) {
        memcpy(points + i * DIM, points, DIM * sizeof(float));
    }
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_COSINE, DIM);
    struct index *index = index_make(&config);
    stage_rows(index, points, DIM, 0, N, 100);
    advance_all(index, N, NULL);
    struct index_hit hits[EQUAL];
    assert_int_equal(find(index, INDEX_EXACT, points, EQUAL, EQUAL, hits), EQUAL);
    for (size_t i = 0; i < EQUAL; i++) {
        assert_true(hits[i].row == i);
    }
    assert_int_equal(find(index, INDEX_WALK, points, K, 40, hits), K);
    for (size_t i = 0; i < K; i++) {
        assert_true(hits[i].row < EQUAL);
    }
    /* Paths lead to nearly all of them, and they do not wall off the others. */
    size_t n_equal = 0, n = find(index, INDEX_WALK, points, EQUAL, N, hits);
    for (size_t i = 0; i < n; i++) {
        n_equal += hits[i].row < EQUAL;
    }
    assert_true(n_equal >= EQUAL * 95 / 100);
    assert_true(recall_of(index, points + EQUAL * DIM, DIM, 100, 1, 40) >= 0.95);
    free(points);
    index_free(index);
}

static void every_dimension_can_be_linked_and_searched(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 2, 3, 5, 31, 100, 1536, 4099, VECTOR_DIM_MAX};
    for (size_t i = 0; i < COUNT_OF(dims); i++) {
        enum {
            FEW = 150
        };
        struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, dims[i]);
        struct index *index = index_make(&config);
        float *points = points_new(SHAPE_UNIFORM, FEW, dims[i], i);
        stage_rows(index, points, dims[i], 0, FEW, 50);
        advance_all(index, FEW, NULL);
        assert_true(recall_of(index, points, dims[i], 20, 1, 30) >= 0.95);
        free(points);
        index_free(index);
    }
}

static void regions_grow_without_losing_a_row(void **state)
{
    (void)state;
    enum {
        WIDE = 8192,
        ROWS = 2500
    }; /* The first 64 MiB hold 2,048 of them. */
    struct index_config config = config_of(INDEX_FLAT, DISTANCE_L2, WIDE);
    struct index *index = index_make(&config);
    float *point = calloc(WIDE, sizeof(float));
    assert_non_null(point);
    for (uint64_t row = 0; row < ROWS; row++) {
        point[row] = 1;
        stage_rows(index, point, WIDE, row, 1, 1);
        point[row] = 0;
    }
    assert_int_equal(index_count(index), ROWS);
    for (uint64_t row = 0; row < ROWS; row += 499) {
        struct index_hit hit;
        point[row] = 1;
        assert_int_equal(find(index, INDEX_EXACT, point, 1, 1, &hit), 1);
        assert_true(hit.row == row && hit.distance == 0);
        point[row] = 0;
    }
    free(point);
    index_free(index);
}

static void a_query_that_passes_itself_over_finds_what_stands_around_it(void **state)
{
    (void)state;
    float *points = points_new(SHAPE_CLUSTERED, N, DIM, 12);
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_COSINE, DIM);
    struct index *index = index_make(&config);
    stage_rows(index, points, DIM, 0, N, 100);
    advance_all(index, N - 100, NULL); /* Some rows are in the tail. */
    for (uint64_t row = 0; row < N; row += 37) {
        for (enum index_plan plan = INDEX_WALK; plan <= INDEX_EXACT; plan++) {
            struct index_search search = {.query = points + row * DIM,
                                          .k = K,
                                          .ef = 60,
                                          .plan = plan,
                                          .passes_itself_over = true};
            struct index_hit hits[K], all[K + 1];
            struct index_work work = {0};
            struct err err;
            size_t n;
            assert_int_equal(index_search(index, &search, hits, &n, &work, &err), ERR_OK);
            assert_int_equal(n, K);
            assert_int_equal(find(index, INDEX_EXACT, search.query, K + 1, K + 1, all), K + 1);
            assert_true(all[0].row == row);
            for (size_t i = 0; i < K; i++) {
                assert_true(hits[i].row != row && hits[i].distance >= all[i + 1].distance);
                assert_true(plan == INDEX_WALK || hits[i].row == all[i + 1].row);
            }
        }
    }
    free(points);
    index_free(index);
}

static bool say_yes(void *arg)
{
    ++*(int *)arg;
    return true;
}

static void a_search_can_be_canceled(void **state)
{
    (void)state;
    enum {
        MANY = 20000
    };
    float *points = points_new(SHAPE_UNIFORM, MANY, 2, 10);
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, 2);
    struct index *index = index_make(&config);
    stage_rows(index, points, 2, 0, MANY, 1000);
    for (enum index_plan plan = INDEX_WALK; plan <= INDEX_EXACT; plan++) {
        int n_polls = 0;
        struct index_search search = {.query = points,
                                      .k = 1,
                                      .ef = 1,
                                      .plan = plan,
                                      .is_canceled = say_yes,
                                      .canceled_arg = &n_polls};
        struct index_hit hit;
        size_t n_hits;
        struct index_work work = {0};
        struct err err;
        assert_int_equal(index_search(index, &search, &hit, &n_hits, &work, &err), ERR_CANCELED);
        assert_int_equal(n_polls, 1);
        assert_true(work.distances < 6000);
    }
    free(points);
    index_free(index);
}

static void the_sequence_is_that_of_the_last_change_wholly_in_the_graph(void **state)
{
    (void)state;
    float *points = points_new(SHAPE_UNIFORM, N, DIM, 11);
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, DIM);
    struct index *index = index_make(&config);
    struct err err;
    size_t n_done;
    assert_true(index_sequence(index) == 0);
    stage_rows(index, points, DIM, 0, 200, 200); /* Sequence 1, four chunks. */
    stage_delete(index, 5, 3);
    stage_delete(index, 9, 777); /* Not there. */
    assert_int_equal(index_pending(index), 201);
    assert_true(index_sequence(index) == 0);
    assert_int_equal(index_advance(index, 1, NULL, &n_done, &err), ERR_OK);
    assert_int_equal(n_done, INDEX_CHUNK);
    assert_true(index_sequence(index) == 0);
    assert_int_equal(index_advance(index, 200 - INDEX_CHUNK, NULL, &n_done, &err), ERR_OK);
    assert_true(index_sequence(index) == 1);
    assert_int_equal(index_advance(index, 1, NULL, &n_done, &err), ERR_OK);
    assert_int_equal(n_done, 1);
    assert_true(index_sequence(index) == 9);
    assert_int_equal(index_count(index), 199);
    free(points);
    index_free(index);
}

static void an_index_of_two_rows_takes_a_few_kilobytes_and_grows_with_them(void **state)
{
    (void)state;
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, DIM);
    float *points = points_new(SHAPE_UNIFORM, N, DIM, 5);
    size_t before = mem_category_bytes(MEM_GRAPH) + mem_category_bytes(MEM_VECTORS);
    struct index *index = index_make(&config);
    stage_rows(index, points, DIM, 0, 2, 2);
    advance_all(index, SIZE_MAX, NULL);
    size_t two = mem_category_bytes(MEM_GRAPH) + mem_category_bytes(MEM_VECTORS) - before;
    assert_in_range(two, 1, 16 << 10);
    stage_rows(index, points + 2 * DIM, DIM, 2, N - 2, 100);
    advance_all(index, SIZE_MAX, NULL);
    size_t all = mem_category_bytes(MEM_GRAPH) + mem_category_bytes(MEM_VECTORS) - before;
    assert_in_range(all, N * DIM * sizeof(float), 1 << 20);
    index_free(index);
    free(points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_stages_give_equal_graphs_whatever_the_steps_and_threads),
        cmocka_unit_test(graphs_are_equal_whatever_the_code_the_threads_and_the_instruction_set),
        cmocka_unit_test(advancing_between_stages_gives_the_same_graph),
        cmocka_unit_test(the_digest_tells_graphs_apart),
        cmocka_unit_test(a_staged_row_is_found_at_once_and_a_deleted_one_never_again),
        cmocka_unit_test(walks_and_scans_return_all_there_is_when_less_than_k),
        cmocka_unit_test(a_filtered_search_returns_k_rows_whenever_that_many_match),
        cmocka_unit_test(a_filtered_walk_says_when_it_gave_up),
        cmocka_unit_test(vectors_without_a_distance_are_refused_and_nothing_is_staged),
        cmocka_unit_test(equal_vectors_are_all_found_in_the_order_of_their_rows),
        cmocka_unit_test(every_dimension_can_be_linked_and_searched),
        cmocka_unit_test(an_index_of_two_rows_takes_a_few_kilobytes_and_grows_with_them),
        cmocka_unit_test(regions_grow_without_losing_a_row),
        cmocka_unit_test(a_query_that_passes_itself_over_finds_what_stands_around_it),
        cmocka_unit_test(a_search_can_be_canceled),
        cmocka_unit_test(the_sequence_is_that_of_the_last_change_wholly_in_the_graph),
    };
    (void)index_choose_kernel(NULL);
    int failed = cmocka_run_group_tests_name("index graph", tests, NULL, NULL);
    index_thread_exit();
    return failed;
}
