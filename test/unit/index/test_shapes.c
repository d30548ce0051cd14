/* Walks over data of odd shapes, under every code and distance: what is near is found. */
#include "fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    N = GOOD_MEASURE(1200, 400),
    QUERIES = GOOD_MEASURE(60, 20),
    K = 10,
    EF = 200,
    CLUSTERS = 40,
    FILTERED_EF = 200
};

/* Fills one of the N + QUERIES vectors; @i < N where it is a row. */
typedef void shape_fn(uint64_t *state, size_t i, uint32_t dim, float *out);

/* A number that depends on where it is asked for alone: the centres of one world. */
static float fixed(uint64_t a, uint64_t b)
{
    return (float)(hash_u64(a * 1000003 + b) % 20001) / 10000 - 1;
}

static void uniform(uint64_t *state, size_t i, uint32_t dim, float *out)
{
    (void)i;
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = random_float(state);
    }
}

/* Far clusters, loaded one after the other. */
static void far_clusters(uint64_t *state, size_t i, uint32_t dim, float *out)
{
    size_t cluster = i < N ? i / (N / CLUSTERS) : i % CLUSTERS;
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = 100 * fixed(cluster, j) + random_float(state);
    }
}

static void nearly_equal(uint64_t *state, size_t i, uint32_t dim, float *out)
{
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = i % 10 == 0 ? random_float(state) : fixed(1, j) + 1e-3F * random_float(state);
    }
}

/* 30 vectors, many times each. */
static void copies(uint64_t *state, size_t i, uint32_t dim, float *out)
{
    uint64_t which = random_next(state) % 30;
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = fixed(which, j) + (i < N ? 0 : 0.1F * random_float(state));
    }
}

static void not_negative(uint64_t *state, size_t i, uint32_t dim, float *out)
{
    (void)i;
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = 0.5F + random_float(state) / 2;
    }
}

/* Lengths over three orders of magnitude. */
static void all_lengths(uint64_t *state, size_t i, uint32_t dim, float *out)
{
    (void)i;
    float length = powf(10, 1.5F * random_float(state));
    for (uint32_t j = 0; j < dim; j++) {
        out[j] = length * random_float(state);
    }
}

static const enum index_code codes[] = {INDEX_CODE_F32, INDEX_CODE_8, INDEX_CODE_4, INDEX_CODE_2};

/* Hits that are as near as the k-th of all: ties are as good as it. */
static double recall_by_distance(struct index *index, const float *queries, uint32_t dim)
{
    size_t n_near = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        struct index_hit exact[K], walked[K];
        assert_int_equal(find(index, INDEX_EXACT, queries + q * dim, K, K, exact), K);
        assert_int_equal(find(index, INDEX_WALK, queries + q * dim, K, EF, walked), K);
        for (size_t i = 0; i < K; i++) {
            n_near += walked[i].distance <= exact[K - 1].distance;
        }
    }
    return (double)n_near / (QUERIES * K);
}

/* Under the first @n_codes of the codes. */
static void check_shape(const char *name, shape_fn *shape, uint32_t dim, size_t n_codes)
{
    float *points = malloc((N + QUERIES) * dim * sizeof(float));
    assert_non_null(points);
    uint64_t state = 1;
    for (size_t i = 0; i < N + QUERIES; i++) {
        shape(&state, i, dim, points + i * dim);
    }
    for (enum distance distance = DISTANCE_L2; distance <= DISTANCE_DOT; distance++) {
        for (size_t c = GOOD_MEASURE(0, distance % 2); c < n_codes; c += GOOD_MEASURE(1, 2)) {
            struct index_config config = config_of(INDEX_HNSW, distance, dim);
            config.code = codes[c];
            struct index *index = index_make(&config);
            stage_rows(index, points, dim, 0, N, INDEX_CHUNK);
            advance_all(index, N, NULL);
            double recall = recall_by_distance(index, points + (size_t)N * dim, dim);
            double floor = codes[c] == INDEX_CODE_2 ? 0.85 : 0.95;
            if (recall < floor) {
                fail_msg("%s: recall %.4f is below %.2f (distance %d, code %d)", name, recall,
                         floor, (int)distance, (int)codes[c]);
            }
            index_free(index);
        }
    }
    free(points);
}

static void walks_find_what_is_near_whatever_the_shape_of_the_data(void **state)
{
    (void)state;
    size_t all = COUNT_OF(codes);
    check_shape("uniform", uniform, 96, all);
    check_shape("two dimensions", uniform, 2, all);
    check_shape("far clusters", far_clusters, 16, all);
    check_shape("nearly equal", nearly_equal, 24, all);
    check_shape("copies", copies, 24, all);
    check_shape("not negative", not_negative, 64, all);
    check_shape("all lengths", all_lengths, 64, all);
}

enum {
    FEW = 10, /* Rows of a cluster: of half of such clusters none stands on an upper layer. */
    SMALL_CLUSTERS = 200,
    EF_SMALL = 20
};

static void no_row_of_many_small_far_clusters_is_lost_to_its_own_vector(void **state)
{
    (void)state;
    enum {
        DIM = 16,
        ROWS = FEW * SMALL_CLUSTERS
    };
    float *points = malloc((size_t)ROWS * DIM * sizeof(float));
    assert_non_null(points);
    uint64_t seed = 1;
    for (size_t i = 0; i < ROWS; i++) {
        for (uint32_t j = 0; j < DIM; j++) {
            points[i * DIM + j] = 100 * fixed(i / FEW, j) + random_float(&seed) / 4;
        }
    }
    for (enum distance distance = DISTANCE_L2; distance <= DISTANCE_COSINE; distance++) {
        struct index_config config = config_of(INDEX_HNSW, distance, DIM);
        struct index *index = index_make(&config);
        size_t n_lost = 0;
        stage_rows(index, points, DIM, 0, ROWS, INDEX_CHUNK);
        advance_all(index, ROWS, NULL);
        for (size_t i = 0; i < ROWS; i++) {
            struct index_hit hit;
            assert_int_equal(find(index, INDEX_WALK, points + i * DIM, 1, EF_SMALL, &hit), 1);
            n_lost += hit.row != i;
        }
        assert_int_equal(n_lost, 0);
        index_free(index);
    }
    free(points);
}

/* The product may be largest with another cluster, a long one in quite another direction: the graph
 * leads to those that lie around the query's own. */
static void long_clusters_in_other_directions_are_found_by_more_effort(void **state)
{
    (void)state;
    enum {
        DIM = 16,
        FAR_CLUSTERS = 134,
        OF_EACH = 30,
        ROWS = OF_EACH * FAR_CLUSTERS,
        EF_MORE = 60,
        WORLD = 100, /* Of the centres. */
        LOST_MAX = 8 /* Fifteen were. */
    };
    float *points = malloc((size_t)ROWS * DIM * sizeof(float));
    assert_non_null(points);
    uint64_t seed = 1;
    for (size_t i = 0; i < ROWS; i++) {
        float length = 20 + 12 * fixed(i / OF_EACH, WORLD - 1);
        for (uint32_t j = 0; j < DIM; j++) {
            points[i * DIM + j] = length * fixed(i / OF_EACH, WORLD + j) + random_float(&seed) / 20;
        }
    }
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_DOT, DIM);
    struct index *index = index_make(&config);
    size_t n_lost = 0;
    stage_rows(index, points, DIM, 0, ROWS, INDEX_CHUNK);
    advance_all(index, ROWS, NULL);
    for (size_t i = 0; i < ROWS; i += OF_EACH) {
        struct index_hit exact, walked;
        assert_int_equal(find(index, INDEX_EXACT, points + i * DIM, 1, 1, &exact), 1);
        assert_int_equal(find(index, INDEX_WALK, points + i * DIM, 1, EF_MORE, &walked), 1);
        n_lost += walked.distance > exact.distance;
    }
    assert_in_range(n_lost, 0, LOST_MAX);
    index_free(index);
    free(points);
}

/* ---- filters that go together with the vectors ---- */

struct chosen {
    bool is_one[N];
};

static bool is_chosen(void *arg, uint64_t row)
{
    return ((const struct chosen *)arg)->is_one[row];
}

/* One row in @part: those nearest to row 5, or those farthest from it. */
static void choose(struct index *index, const float *points, uint32_t dim, size_t part,
                   bool is_near, struct chosen *out)
{
    static struct index_hit all[N];
    assert_int_equal(find(index, INDEX_EXACT, points + (size_t)5 * dim, N, N, all), N);
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < N / part; i++) {
        out->is_one[all[is_near ? i : N - 1 - i].row] = true;
    }
}

/* A walk that gives up is as good as a scan: the caller begins one. */
static double filtered_recall(struct index *index, const float *queries, uint32_t dim,
                              struct chosen *chosen)
{
    size_t n_near = 0, n_wanted = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        struct index_hit exact[K], walked[K];
        struct index_work work = {0};
        struct err err;
        size_t n_exact, n_walked;
        struct index_search search = {.query = queries + q * dim,
                                      .k = K,
                                      .ef = FILTERED_EF,
                                      .plan = INDEX_EXACT,
                                      .matches = is_chosen,
                                      .matches_arg = chosen};
        assert_int_equal(index_search(index, &search, exact, &n_exact, &work, &err), ERR_OK);
        search.plan = INDEX_WALK;
        assert_int_equal(index_search(index, &search, walked, &n_walked, &work, &err), ERR_OK);
        n_wanted += n_exact;
        for (size_t i = 0; i < n_walked && work.is_complete; i++) {
            n_near += walked[i].distance <= exact[n_exact - 1].distance;
        }
        n_near += work.is_complete ? 0 : n_exact;
    }
    return (double)n_near / (double)n_wanted;
}

static void check_filters(const char *name, shape_fn *shape, uint32_t dim)
{
    static const size_t parts[] = {2, 10, 50};
    float *points = malloc((N + QUERIES) * dim * sizeof(float));
    assert_non_null(points);
    uint64_t state = 1;
    for (size_t i = 0; i < N + QUERIES; i++) {
        shape(&state, i, dim, points + i * dim);
    }
    for (enum distance distance = DISTANCE_L2; distance <= DISTANCE_DOT; distance++) {
        struct index_config config = config_of(INDEX_HNSW, distance, dim);
        config.code = INDEX_CODE_4;
        struct index *index = index_make(&config);
        stage_rows(index, points, dim, 0, N, INDEX_CHUNK);
        advance_all(index, N, NULL);
        for (size_t i = 0; i < 2 * COUNT_OF(parts); i++) {
            struct chosen chosen;
            choose(index, points, dim, parts[i / 2], i % 2 == 0, &chosen);
            double recall = filtered_recall(index, points + (size_t)N * dim, dim, &chosen);
            /* Under DOT what is farthest takes more effort than this. */
            if (recall < (distance == DISTANCE_DOT ? 0.9 : 0.95)) {
                fail_msg("%s: recall %.4f (distance %d, one in %zu, %s)", name, recall,
                         (int)distance, parts[i / 2], i % 2 == 0 ? "near" : "far");
            }
        }
        index_free(index);
    }
    free(points);
}

static void a_filter_that_goes_with_the_vectors_costs_no_recall(void **state)
{
    (void)state;
    check_filters("uniform", uniform, 16);
    check_filters("far clusters", far_clusters, 16);
    check_filters("not negative", not_negative, 64);
    check_filters("all lengths", all_lengths, 32);
}

/* In two dimensions nearly all of the rows that are longer than the reduction's radius have
 * products above its square: none of them is nothing but a copy of the others. */
static void long_rows_of_few_directions_are_found_by_product(void **state)
{
    enum {
        DIM = 2,
        ROWS = GOOD_MEASURE(4000, 2000),
        LITTLE = 32
    };
    (void)state;
    float *points = malloc((ROWS + QUERIES) * DIM * sizeof(float));
    assert_non_null(points);
    uint64_t seed = 1;
    for (size_t i = 0; i < ROWS + QUERIES; i++) {
        not_negative(&seed, i, DIM, points + i * DIM);
    }
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_DOT, DIM);
    struct index *index = index_make(&config);
    stage_rows(index, points, DIM, 0, ROWS, INDEX_CHUNK);
    advance_all(index, ROWS, NULL);
    double recall = recall_of(index, points + (size_t)ROWS * DIM, DIM, QUERIES, K, LITTLE);
    if (recall < 0.95) {
        fail_msg("recall %.4f", recall);
    }
    index_free(index);
    free(points);
}

int main(void)
{
    assert_true(index_choose_kernel(NULL));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_find_what_is_near_whatever_the_shape_of_the_data),
        cmocka_unit_test(long_clusters_in_other_directions_are_found_by_more_effort),
        cmocka_unit_test(no_row_of_many_small_far_clusters_is_lost_to_its_own_vector),
        cmocka_unit_test(long_rows_of_few_directions_are_found_by_product),
        cmocka_unit_test(a_filter_that_goes_with_the_vectors_costs_no_recall),
    };
    int failed = cmocka_run_group_tests_name("index shapes", tests, NULL, NULL);
    index_thread_exit();
    return failed;
}
