/* What a search promises: exact distances and one order of hits, whatever the plan, the code and
 * the shape of the data. */
#include "fixture.h"

#include "index/candidate_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    K = 10,
    N = 2000, /* More than a search would scan in any case. */
    FEW = 40
};

static const enum index_code codes[] = {INDEX_CODE_F32, INDEX_CODE_8, INDEX_CODE_4, INDEX_CODE_2};
static const enum index_plan plans[] = {INDEX_WALK, INDEX_EXACT};

static struct index *index_of(enum distance distance, uint32_t dim, enum index_code code,
                              const float *points, size_t n)
{
    struct index_config config = config_of(INDEX_HNSW, distance, dim);
    config.code = code;
    struct index *index = index_make(&config);
    stage_rows(index, points, dim, 0, n, 100);
    advance_all(index, n, NULL);
    return index;
}

static size_t run(struct index *index, const struct index_search *search, struct index_hit *hits,
                  struct index_work *work)
{
    struct err err = {0};
    size_t n = 0;
    *work = (struct index_work){0};
    assert_int_equal(index_search(index, search, hits, &n, work, &err), ERR_OK);
    return n;
}

/* ---- distances that 32 bits cannot tell ---- */

/* Two rows near the origin of what no graph is made for, at the numbers 0 and 1; the rest is far.
 */
static void check_order(enum distance distance, const float query[2], const float rows[4],
                        const double expected[2])
{
    for (size_t n = 2; n <= N; n += N - 2) {
        float *points = malloc(n * 2 * sizeof(float));
        assert_non_null(points);
        for (size_t i = 0; i < n * 2; i++) {
            points[i] = i < 4 ? rows[i] : distance == DISTANCE_DOT ? -1e35f : 3.3e38f;
        }
        struct index *index = index_of(distance, 2, INDEX_CODE_F32, points, n);
        for (size_t p = 0; p < COUNT_OF(plans); p++) {
            struct index_hit hits[2];
            assert_int_equal(find(index, plans[p], query, 2, 64, hits), 2);
            assert_true(hits[0].row == 1 && hits[1].row == 0);
            for (size_t i = 0; i < 2; i++) {
                double alone = index_distance(distance, query, points + 2 * hits[i].row, 2);
                assert_true(hits[i].distance == alone);
                assert_true(fabs(alone - expected[i]) <= 1e-7 * fabs(expected[i]));
            }
        }
        free(points);
        index_free(index);
    }
}

static void sums_beyond_the_range_of_floats_are_ordered_rightly(void **state)
{
    (void)state;
    const float origin[2] = {0, 0}, large[2] = {1e30f, 1e30f};
    check_order(DISTANCE_L2, origin, (const float[]){3e38f, 3e38f, 2e20f, 0},
                (const double[]){2e20, sqrt(2) * 3e38});
    check_order(DISTANCE_L2, origin, (const float[]){2e-23f, 0, 1e-23f, 0},
                (const double[]){1e-23, 2e-23});
    /* The products of row 0 cancel to 0; that of row 1 is -1e30. */
    check_order(DISTANCE_DOT, large, (const float[]){1e30f, -1e30f, 1, 0},
                (const double[]){-1e30, 0});
}

/* Their products, or those by which they are linked, may lie outside of the range of floats. */
static void under_dot_rows_of_any_length_are_found(void **state)
{
    (void)state;
    enum {
        DIM = 8,
        ROWS = 500
    };
    static const float sizes[] = {1e-30f, 1e-25f, 1e-20f, 1e-18f, 1, 1e18f, 2e19f, 1e25f};
    static const float query_sizes[] = {1e-35f, 1e-18f, 1, 1e30f};
    for (size_t c = 0; c < COUNT_OF(sizes) * COUNT_OF(query_sizes); c++) {
        float size = sizes[c % COUNT_OF(sizes)], query_size = query_sizes[c / COUNT_OF(sizes)];
        float *points = points_new(SHAPE_UNIFORM, ROWS + 1, DIM, 1);
        for (size_t i = 0; i < (ROWS + 1) * DIM; i++) {
            points[i] = (points[i] - 0.5f) * (i < DIM ? query_size : size);
        }
        struct index *index = index_of(DISTANCE_DOT, DIM, INDEX_CODE_F32, points + DIM, ROWS);
        struct index_hit exact[K], hits[K];
        assert_int_equal(find(index, INDEX_EXACT, points, K, K, exact), K);
        assert_int_equal(find(index, INDEX_WALK, points, K, 10 * K, hits), K);
        for (size_t i = 0; i < K; i++) {
            assert_int_equal(hits[i].row, exact[i].row);
        }
        free(points);
        index_free(index);
    }
}

static void products_that_cancel_are_ordered_rightly(void **state)
{
    (void)state;
    enum {
        DIM = 3
    };
    float *points = points_new(SHAPE_UNIFORM, N, DIM, 1);
    const float query[DIM] = {1e6f, 1e6f, 1};
    for (size_t i = 0; i < N; i++) {
        points[i * DIM] = 1e6f;
        points[i * DIM + 1] = -1e6f;
        points[i * DIM + 2] = (float)i;
    }
    struct index *index = index_of(DISTANCE_DOT, DIM, INDEX_CODE_F32, points, N);
    struct index_hit hits[K];
    assert_int_equal(find(index, INDEX_EXACT, query, K, K, hits), K);
    for (size_t i = 0; i < K; i++) {
        assert_true(hits[i].row == N - 1 - i && hits[i].distance == -(double)(N - 1 - i));
    }
    free(points);
    index_free(index);
}

static void a_row_is_at_distance_0_from_its_own_vector_under_cosine(void **state)
{
    (void)state;
    enum {
        DIM = 3
    };
    float *points = points_new(SHAPE_UNIFORM, N, DIM, 2);
    for (size_t c = 0; c < COUNT_OF(codes); c++) {
        struct index *index = index_of(DISTANCE_COSINE, DIM, codes[c], points, N);
        for (uint64_t row = 0; row < N; row++) {
            struct index_hit hit;
            struct index_work work;
            struct index_search search = {.query = points + row * DIM,
                                          .k = 1,
                                          .ef = 10,
                                          .has_from_row = true,
                                          .from_row = row};
            assert_int_equal(run(index, &search, &hit, &work), 1);
            assert_true(hit.distance == 0 && !signbit(hit.distance));
            assert_true(
                index_distance(DISTANCE_COSINE, points + row * DIM, points + row * DIM, DIM) == 0);
        }
        index_free(index);
    }
    free(points);
}

/* ---- order ---- */

static int by_remainder(void *arg, uint64_t a, uint64_t b)
{
    (void)arg;
    return a % 7 == b % 7 ? 0 : a % 7 < b % 7 ? -1 : 1;
}

/* Pages of all rows at one distance: each row once, in the order of label, compare, row. */
static void ties_are_ordered_by_label_then_as_the_caller_compares_then_by_row(void **state)
{
    (void)state;
    enum {
        DIM = 4,
        TIED = 300
    };
    float points[TIED * DIM];
    uint64_t numbers[TIED], labels[TIED];
    for (size_t i = 0; i < TIED; i++) {
        for (size_t j = 0; j < DIM; j++) {
            points[i * DIM + j] = 1;
        }
        numbers[i] = i;
        labels[i] = 1000 - i / 50;
    }
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, DIM);
    for (int linked = 0; linked <= 1; linked++) {
        struct index *index = index_make(&config);
        struct index_rows rows = {
            .numbers = numbers, .labels = labels, .vectors = points, .n = TIED};
        struct err err;
        assert_int_equal(index_stage_insert(index, 1, &rows, &err), ERR_OK);
        if (linked) {
            advance_all(index, TIED, NULL);
        }
        struct index_hit all[TIED];
        for (size_t k = 1; k <= TIED; k += 13) {
            struct index_work work;
            struct index_search search = {.query = points + DIM,
                                          .k = k,
                                          .ef = k,
                                          .plan = INDEX_EXACT,
                                          .compare = by_remainder};
            assert_int_equal(run(index, &search, all, &work), k);
            for (size_t i = 0; i < k; i++) {
                assert_true(all[i].label == labels[all[i].row]);
                if (i > 0) {
                    const struct index_hit *a = &all[i - 1], *b = &all[i];
                    int order = by_remainder(NULL, a->row, b->row);
                    assert_true(
                        a->label < b->label ||
                        (a->label == b->label && (order < 0 || (order == 0 && a->row < b->row))));
                }
            }
            assert_true(all[k - 1].label == labels[TIED - 1] + (k - 1) / 50);
        }
        index_free(index);
    }
}

/* ---- rows that are hidden, passed over, or few ---- */

/* The nearest rows are deleted, more than a beam holds, and not yet unlinked. */
static void hidden_rows_around_the_query_do_not_hide_those_behind(void **state)
{
    (void)state;
    enum {
        DIM = 8
    };
    float *points = points_new(SHAPE_UNIFORM, N, DIM, 3), query[DIM] = {0};
    for (size_t c = 0; c < COUNT_OF(codes); c++) {
        for (size_t n_hidden = 3; n_hidden <= 300; n_hidden *= GOOD_MEASURE(10, 100)) {
            struct index *index = index_of(DISTANCE_L2, DIM, codes[c], points, N);
            struct index_hit near[300 + K], hits[K];
            assert_int_equal(find(index, INDEX_EXACT, query, n_hidden + K, N, near), n_hidden + K);
            for (size_t i = 0; i < n_hidden; i++) {
                stage_delete(index, N + i, near[i].row);
            }
            size_t n = find(index, INDEX_WALK, query, K, 40, hits), n_same = 0;
            assert_int_equal(n, K);
            for (size_t i = 0; i < K; i++) {
                for (size_t j = 0; j < K; j++) {
                    n_same += hits[i].row == near[n_hidden + j].row;
                }
            }
            assert_true(n_same >= K - 1);
            index_free(index);
        }
    }
    free(points);
}

static void only_rows_with_the_very_vector_of_the_query_are_passed_over(void **state)
{
    (void)state;
    enum {
        DIM = 40
    };
    /* Row 1 is a copy of row 0, row 2 nearly, row 3 has the same product with it. */
    float *points = points_new(SHAPE_UNIFORM, N, DIM, 4);
    for (size_t i = DIM; i < (size_t)4 * DIM; i++) {
        points[i] = points[i - DIM];
    }
    points[2 * DIM] = nextafterf(points[0], 2);
    points[0] = points[DIM] = 0;
    for (enum distance distance = DISTANCE_L2; distance <= DISTANCE_DOT; distance++) {
        for (size_t c = GOOD_MEASURE(0, distance % 2); c < COUNT_OF(codes);
             c += GOOD_MEASURE(1, 2)) {
            struct index *index = index_of(distance, DIM, codes[c], points, N);
            for (size_t p = 0; p < COUNT_OF(plans); p++) {
                struct index_hit hits[K];
                struct index_work work;
                struct index_search search = {.query = points,
                                              .k = K,
                                              .ef = 100,
                                              .plan = plans[p],
                                              .passes_itself_over = true};
                assert_int_equal(run(index, &search, hits, &work), K);
                bool has_2 = false, has_3 = false;
                for (size_t i = 0; i < K; i++) {
                    assert_true(hits[i].row > 1);
                    has_2 = has_2 || hits[i].row == 2;
                    has_3 = has_3 || hits[i].row == 3;
                }
                assert_true(has_2 && has_3);
            }
            index_free(index);
        }
    }
    free(points);
}

static void a_small_index_is_searched_exactly_by_any_plan(void **state)
{
    (void)state;
    enum {
        DIM = 24
    };
    float *points = points_new(SHAPE_UNIFORM, N, DIM, 5);
    for (size_t c = 0; c < COUNT_OF(codes); c++) {
        struct index *index =
            index_of(DISTANCE_DOT, DIM, codes[c], points, INDEX_GRAPH_ROWS_MIN - 1);
        for (size_t q = 0; q < FEW; q++) {
            struct index_hit walked[K], exact[K];
            struct index_work work;
            struct index_search search = {.query = points + (N - 1 - q) * DIM, .k = K, .ef = K};
            assert_int_equal(run(index, &search, walked, &work), K);
            assert_int_equal(work.distances, INDEX_GRAPH_ROWS_MIN - 1);
            assert_int_equal(work.hops, 0);
            find(index, INDEX_EXACT, search.query, K, K, exact);
            assert_memory_equal(walked, exact, sizeof(exact));
        }
        index_free(index);
    }
    free(points);
}

/* ---- rows that the caller names ---- */

struct named {
    const uint64_t *rows;
    size_t n, next, n_missing;
    uint64_t missing[FEW];
};

static size_t give_named(void *arg, uint64_t *rows, size_t max)
{
    struct named *named = arg;
    size_t n = 0;
    for (; n < max && named->next < named->n; n++) {
        rows[n] = named->rows[named->next++];
    }
    return n;
}

static void take_missing(void *arg, uint64_t row)
{
    struct named *named = arg;
    assert_true(named->n_missing < FEW);
    named->missing[named->n_missing++] = row;
}

static bool is_third(void *arg, uint64_t row)
{
    (void)arg;
    return row % 3 == 0;
}

/* Linked, staged, deleted: what is there of them is ranked as an exact search would. */
static void rows_that_are_named_are_ranked_exactly_and_missing_ones_are_told(void **state)
{
    (void)state;
    enum {
        DIM = 20,
        N_LINKED = 600,
        N_NAMED = (N_LINKED + FEW) / 3
    };
    float *points = points_new(SHAPE_UNIFORM, N_LINKED + FEW, DIM, 8);
    uint64_t rows[N_NAMED];
    for (size_t i = 0; i < N_NAMED; i++) {
        rows[i] = 3 * i;
    }
    for (enum distance distance = DISTANCE_L2; distance <= DISTANCE_DOT; distance++) {
        for (size_t c = 0; c < COUNT_OF(codes); c++) {
            struct index *index = index_of(distance, DIM, codes[c], points, N_LINKED);
            stage_rows(index, points, DIM, N_LINKED, FEW, FEW);
            stage_delete(index, 10 * N_LINKED, 300);
            stage_delete(index, 10 * N_LINKED + 1, 3);
            struct named named = {.rows = rows, .n = N_NAMED};
            struct index_hit hits[K], exact[K];
            struct index_work work;
            struct index_search search = {.query = points + DIM, .k = K, .plan = INDEX_EXACT};
            search.matches = is_third;
            assert_int_equal(run(index, &search, exact, &work), K);
            search.plan = INDEX_GIVEN;
            search.matches = NULL;
            search.given = give_named;
            search.is_missing = take_missing;
            search.given_arg = &named;
            assert_int_equal(run(index, &search, hits, &work), K);
            assert_memory_equal(hits, exact, sizeof(hits));
            assert_int_equal(work.distances, N_NAMED - 2);
            assert_int_equal(named.n_missing, 2);
            assert_true(named.missing[0] == 3 && named.missing[1] == 300);
            index_free(index);
        }
    }
    free(points);
}

/* A row that no list names can be found from its own key. */
static void a_query_from_a_row_finds_that_row_and_begins_there(void **state)
{
    (void)state;
    enum {
        DIM = 16
    };
    float *points = points_new(SHAPE_CLUSTERED, N, DIM, 6);
    struct index *index = index_of(DISTANCE_L2, DIM, INDEX_CODE_4, points, N);
    stage_rows(index, points, DIM, N, 1, 1); /* A copy of row 0, which is not linked. */
    for (uint64_t row = 0; row <= N; row++) {
        struct index_hit hits[K];
        struct index_work work;
        struct index_search search = {.query = points + row % N * DIM,
                                      .k = K,
                                      .ef = K,
                                      .has_from_row = true,
                                      .from_row = row};
        assert_int_equal(run(index, &search, hits, &work), K);
        assert_true(hits[row == N].row == row && hits[0].distance == 0);
        for (size_t i = 1; i < K; i++) {
            assert_true(hits[i].row != hits[i - 1].row);
        }
    }
    /* A row that is not there is no place to begin at. */
    stage_delete(index, N + 2, 5);
    struct index_hit hits[K];
    struct index_work work;
    struct index_search search = {
        .query = points + 5 * DIM, .k = K, .ef = K, .has_from_row = true, .from_row = 5};
    assert_int_equal(run(index, &search, hits, &work), K);
    for (size_t i = 0; i < K; i++) {
        assert_true(hits[i].row != 5);
    }
    free(points);
    index_free(index);
}

static void more_effort_finds_no_less(void **state)
{
    (void)state;
    enum {
        DIM = 32,
        QUERIES = GOOD_MEASURE(100, 30)
    };
    float *points = points_new(SHAPE_UNIFORM, N, DIM, 7), *queries;
    queries = points_new(SHAPE_UNIFORM, QUERIES, DIM, 8);
    static const size_t efs[] = {10, 20, 40, 80, 160, 320, 640};
    for (enum distance distance = DISTANCE_L2; distance <= DISTANCE_DOT; distance++) {
        for (size_t c = GOOD_MEASURE(0, distance % 2); c < COUNT_OF(codes);
             c += GOOD_MEASURE(1, 2)) {
            struct index *index = index_of(distance, DIM, codes[c], points, N);
            double before = 0;
            for (size_t e = 0; e < COUNT_OF(efs); e++) {
                double recall = recall_of(index, queries, DIM, QUERIES, K, efs[e]);
                assert_true(recall >= before - 0.005);
                before = recall;
            }
            assert_true(before >= (codes[c] == INDEX_CODE_2 ? 0.97 : 0.99));
            index_free(index);
        }
    }
    free(points);
    free(queries);
}

/* ---- queries beyond the reach of those that ef was chosen for ---- */

static bool is_odd(void *arg, uint64_t row)
{
    (void)arg;
    return row % 2 == 1;
}

/* Rows lie within 3 of each other; the query @far of them away, or under DOT the other way. */
static void check_reach(enum distance distance, struct index_reach reach)
{
    enum {
        D = 16
    };
    float *points = points_new(SHAPE_UNIFORM, N, D, 3), near[D], far[D];
    for (size_t i = 0; i < (size_t)N * D; i++) {
        points[i] += 5;
    }
    for (size_t i = 0; i < D; i++) {
        near[i] = points[i] + 0.01f;
        far[i] = i < D / 2 ? -40 : points[i] + 40;
    }
    struct index *index = index_of(distance, D, INDEX_CODE_4, points, N);
    struct index_hit hits[K], exact[K];
    struct index_work work;
    struct index_search search = {
        .query = near, .k = K, .ef = K, .plan = INDEX_WALK, .has_reach = true, .reach = reach};
    assert_int_equal(run(index, &search, hits, &work), K);
    assert_true(work.beyond == 0 && work.distances < N && work.is_complete);
    search.query = far;
    assert_int_equal(find(index, INDEX_EXACT, far, K, K, exact), K);
    assert_int_equal(run(index, &search, hits, &work), K);
    assert_true(work.beyond == 1 && work.distances >= N && work.is_complete);
    for (size_t i = 0; i < K; i++) {
        assert_true(hits[i].row == exact[i].row);
    }
    uint64_t distances = 0;
    search.has_reach = false;
    assert_int_equal(run(index, &search, hits, &work), K);
    assert_true(work.beyond == 0);
    distances = work.distances;
    search.has_reach = true;
    search.ef_beyond = 400;
    assert_int_equal(run(index, &search, hits, &work), K);
    assert_true(work.beyond == 1 && work.distances > distances);
    search.ef_beyond = 0;
    search.matches = is_odd;
    (void)run(index, &search, hits, &work);
    assert_true(work.beyond == 1 && !work.is_complete); /* The caller knows a cheaper scan. */
    search.query = near;
    assert_int_equal(run(index, &search, hits, &work), K);
    assert_int_equal(work.beyond, 0);
    free(points);
    index_free(index);
}

static void a_query_beyond_its_reach_takes_more(void **state)
{
    (void)state;
    check_reach(DISTANCE_L2, (struct index_reach){3, INFINITY});
    check_reach(DISTANCE_COSINE, (struct index_reach){0.1, INFINITY});
    check_reach(DISTANCE_DOT, (struct index_reach){-20, INFINITY}); /* Rows are about 20 long. */
}

/* Filters that let a twentieth of the rows pass: from all over the place, or the nearest. */
static bool is_marked(void *arg, uint64_t row)
{
    const bool *marks = arg;
    return marks[row];
}

static void where_more_rows_match_near_the_query_a_walk_takes_more(void **state)
{
    (void)state;
    enum {
        D = 48,
        PART = N / 20
    };
    float *points = points_new(SHAPE_UNIFORM, N + 1, D, 8);
    const float *query = points + (size_t)N * D;
    struct index *index = index_of(DISTANCE_L2, D, INDEX_CODE_4, points, N);
    bool near[N] = {false}, anywhere[N] = {false};
    struct index_hit hits[PART];
    struct index_work work;
    assert_int_equal(find(index, INDEX_EXACT, query, PART, PART, hits), PART);
    for (size_t i = 0; i < PART; i++) {
        near[hits[i].row] = true;
        anywhere[i * 20 + i % 7] = true;
    }
    struct index_search search = {.query = query,
                                  .k = K,
                                  .ef = K,
                                  .plan = INDEX_WALK,
                                  .matches = is_marked,
                                  .matches_arg = near,
                                  .density = {.most = 1.0 / 20, .ef = 20 * K}};
    assert_int_equal(run(index, &search, hits, &work), K);
    assert_true(work.denser == 1 && work.is_complete);
    uint64_t distances = work.distances;
    search.matches_arg = anywhere;
    assert_int_equal(run(index, &search, hits, &work), K);
    assert_int_equal(work.denser, 0);
    search.matches_arg = near;
    search.density.ef = 0;
    assert_int_equal(run(index, &search, hits, &work), K);
    assert_true(work.denser == 0 && work.distances < distances);
    free(points);
    index_free(index);
}

/* All but the rows near the query, or all but as many from all over the place. */
static bool is_not_marked(void *arg, uint64_t row)
{
    return !is_marked(arg, row);
}

static size_t count_equal(const struct index_hit *a, const struct index_hit *b, size_t n)
{
    size_t n_equal = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            n_equal += a[i].row == b[j].row;
        }
    }
    return n_equal;
}

static void where_fewer_rows_match_near_the_query_a_walk_takes_more(void **state)
{
    (void)state;
    enum {
        D = 12,
        MANY = 8 * N, /* Else a scan costs less. */
        HOLE = MANY / 400
    };
    float *points = points_new(SHAPE_UNIFORM, MANY + 1, D, 8);
    const float *query = points + (size_t)MANY * D;
    struct index *index = index_of(DISTANCE_L2, D, INDEX_CODE_4, points, MANY);
    bool near[MANY] = {false}, anywhere[MANY] = {false};
    struct index_hit all[HOLE + K], hits[K];
    struct index_work work;
    assert_int_equal(find(index, INDEX_EXACT, query, HOLE + K, HOLE + K, all), HOLE + K);
    for (size_t i = 0; i < HOLE; i++) {
        near[all[i].row] = true;
        anywhere[i * 400 + i % 7] = true;
    }
    struct index_search search = {.query = query,
                                  .k = K,
                                  .ef = K,
                                  .ef_beyond = 3 * K,
                                  .plan = INDEX_WALK,
                                  .matches = is_not_marked,
                                  .matches_arg = near,
                                  .density = {.n_sampled = MANY, .share = 0.99}};
    assert_int_equal(run(index, &search, hits, &work), K);
    assert_true(work.sparser == 1 && work.beyond == 1 && work.is_complete);
    size_t n_right = count_equal(hits, all + HOLE, K);
    assert_true(n_right >= K - 1);
    search.ef_beyond = 0; /* A scan is cheap: the caller is to do it. */
    (void)run(index, &search, hits, &work);
    assert_true(work.sparser == 1 && !work.is_complete);
    search.matches_arg = anywhere;
    assert_int_equal(run(index, &search, hits, &work), K);
    assert_true(work.sparser == 0 && work.is_complete);
    search.matches_arg = near;
    search.density.n_sampled = 0;
    assert_int_equal(run(index, &search, hits, &work), K);
    assert_true(work.sparser == 0 && work.is_complete);
    assert_true(count_equal(hits, all + HOLE, K) < n_right);
    free(points);
    index_free(index);
}

/* A tenth of all rows match, and a twentieth of the nearest: that may be by chance. */
static void where_somewhat_fewer_rows_match_near_the_query_a_walk_is_done_again(void **state)
{
    (void)state;
    enum {
        D = 24,
        MANY = 2 * N,
        NEAR = 400,
        NEAREST = 8
    };
    float *points = points_new(SHAPE_CLUSTERED, MANY + 1, D, 8);
    const float *query = points + (size_t)MANY * D;
    struct index *index = index_of(DISTANCE_L2, D, INDEX_CODE_4, points, MANY);
    bool marks[MANY] = {false};
    struct index_hit hits[NEAR];
    struct index_work work;
    for (size_t i = 0; i < MANY; i++) {
        marks[i] = i % 10 == 0;
    }
    struct index_search search = {.query = query,
                                  .k = K,
                                  .ef = K,
                                  .ef_beyond = 10 * K,
                                  .plan = INDEX_WALK,
                                  .matches = is_marked,
                                  .matches_arg = marks,
                                  .density = {0.2, 3 * K, .n_sampled = MANY, .share = 0.1}};
    assert_int_equal(run(index, &search, hits, &work), K);
    assert_true(work.sparser == 0 && work.beyond == 0);
    uint64_t distances = work.distances;
    assert_int_equal(find(index, INDEX_EXACT, query, NEAR, NEAR, hits), NEAR);
    for (size_t i = 0; i < NEAR; i++) {
        marks[hits[i].row] = i % 20 == 0;
    }
    struct index_hit found[K];
    assert_int_equal(run(index, &search, found, &work), K);
    assert_true(work.sparser == 1 && work.beyond == 0 && work.is_complete);
    assert_true(work.distances > 2 * distances);
    /* Nine tenths of all rows, and none of the nearest few: of all that a walk meets these are too
     * few to tell, but not of those that are as near as what it finds. */
    for (size_t i = 0; i < MANY; i++) {
        marks[i] = i % 10 != 0;
    }
    for (size_t i = 0; i < NEAREST; i++) {
        marks[hits[i].row] = false;
    }
    search.density = (struct index_density){1, 0, .n_sampled = MANY, .share = 0.9};
    (void)run(index, &search, found, &work);
    assert_true(work.sparser == 1 && work.beyond == 1);
    free(points);
    index_free(index);
}

/* Rows of clusters that are unlike in length: the longest are near to queries of any direction. */
enum {
    LENGTHS_D = 64,
    CENTRES = 30
};

static void near_centre(const float *centre, uint64_t *state, float *out)
{
    for (size_t i = 0; i < LENGTHS_D; i++) {
        out[i] = centre[i] + random_float(state);
    }
}

static struct index *index_of_lengths(float *centres, uint64_t *state)
{
    float *points = malloc((size_t)N * LENGTHS_D * sizeof(float));
    assert_non_null(points);
    for (size_t c = 0; c < CENTRES; c++) {
        for (size_t i = 0; i < LENGTHS_D; i++) {
            centres[c * LENGTHS_D + i] = (10 + 5 * (float)c / CENTRES) * random_float(state);
        }
    }
    for (size_t i = 0; i < N; i++) {
        near_centre(centres + i * CENTRES / N * LENGTHS_D, state, points + i * LENGTHS_D);
    }
    struct index *index = index_of(DISTANCE_DOT, LENGTHS_D, INDEX_CODE_4, points, N);
    free(points);
    return index;
}

static void widen(struct index *index, const float *query, struct index_reach *reach)
{
    struct index_hit exact[K];
    size_t n = find(index, INDEX_EXACT, query, K, K, exact);
    struct index_reach one = index_reach_of(index, query, exact, n);
    assert_true(one.distance < 0 && one.angle >= 0 && one.angle < 0.2);
    reach->distance = fmax(reach->distance, one.distance);
    reach->angle = fmax(reach->angle, one.angle);
}

static void between(const float *a, const float *b, float *out)
{
    for (size_t i = 0; i < LENGTHS_D; i++) {
        out[i] = (a[i] + b[i]) / 2;
    }
}

/* Products tell nothing of them: what is between two clusters is as near to the longer one's rows
 * as that of a shorter cluster is to its own. */
static void by_products_a_query_in_another_direction_takes_more(void **state)
{
    (void)state;
    enum {
        QUERIES = 200
    };
    float centres[CENTRES * LENGTHS_D], query[LENGTHS_D];
    uint64_t random = 5;
    struct index *index = index_of_lengths(centres, &random);
    struct index_reach reach = {-INFINITY, -INFINITY};
    struct index_work work;
    struct index_hit hits[K], exact[K];
    for (size_t i = 0; i < QUERIES; i++) {
        near_centre(centres + i % CENTRES * LENGTHS_D, &random, query);
        widen(index, query, &reach);
    }
    struct index_search search = {
        .query = query, .k = K, .ef = K, .plan = INDEX_WALK, .has_reach = true, .reach = reach};
    size_t n_usual = 0, n_strange = 0, n_by_distance = 0;
    for (size_t i = 0; i < QUERIES; i++) {
        near_centre(centres + i % CENTRES * LENGTHS_D, &random, query);
        assert_int_equal(run(index, &search, hits, &work), K);
        n_usual += work.beyond;
        between(centres + i % CENTRES * LENGTHS_D,
                centres + (i + 1 + i / CENTRES) % CENTRES * LENGTHS_D, query);
        search.reach.angle = INFINITY;
        assert_int_equal(run(index, &search, hits, &work), K);
        n_by_distance += work.beyond;
        search.reach.angle = reach.angle;
        assert_int_equal(run(index, &search, hits, &work), K);
        n_strange += work.beyond;
        assert_int_equal(find(index, INDEX_EXACT, query, K, K, exact), K);
        assert_true(work.beyond == 0 || memcmp(hits, exact, sizeof(hits)) == 0);
    }
    assert_true(n_usual <= QUERIES / 50);
    assert_true(n_strange >= QUERIES * 9 / 10);
    assert_true(n_by_distance <= QUERIES / 2);
    index_free(index);
}

int main(void)
{
    assert_true(index_choose_kernel(NULL));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_beyond_the_range_of_floats_are_ordered_rightly),
        cmocka_unit_test(under_dot_rows_of_any_length_are_found),
        cmocka_unit_test(products_that_cancel_are_ordered_rightly),
        cmocka_unit_test(a_row_is_at_distance_0_from_its_own_vector_under_cosine),
        cmocka_unit_test(ties_are_ordered_by_label_then_as_the_caller_compares_then_by_row),
        cmocka_unit_test(hidden_rows_around_the_query_do_not_hide_those_behind),
        cmocka_unit_test(only_rows_with_the_very_vector_of_the_query_are_passed_over),
        cmocka_unit_test(a_small_index_is_searched_exactly_by_any_plan),
        cmocka_unit_test(rows_that_are_named_are_ranked_exactly_and_missing_ones_are_told),
        cmocka_unit_test(a_query_from_a_row_finds_that_row_and_begins_there),
        cmocka_unit_test(where_more_rows_match_near_the_query_a_walk_takes_more),
        cmocka_unit_test(where_fewer_rows_match_near_the_query_a_walk_takes_more),
        cmocka_unit_test(where_somewhat_fewer_rows_match_near_the_query_a_walk_is_done_again),
        cmocka_unit_test(a_query_beyond_its_reach_takes_more),
        cmocka_unit_test(by_products_a_query_in_another_direction_takes_more),
        cmocka_unit_test(more_effort_finds_no_less),
    };
    int failed = cmocka_run_group_tests_name("index searches", tests, NULL, NULL);
    index_thread_exit();
    return failed;
}
