/* Rows at which walks begin: under DOT the longest ones, and those that were missed. */
#include "fixture.h"
#include "index/graph_int.h"

#include <math.h>
#include <stdlib.h>

enum {
    DIM = 32,
    N = 4000,
    QUERIES = 200,
    K = 10,
    GONE = INDEX_STARTS_MAX * 3 / 4, /* More than the list does without. */
};

/* Of many lengths, a few of them very long. */
static float *rows;
static float *queries;

static float length_of(const float *row)
{
    float squares = 0;
    for (size_t i = 0; i < DIM; i++) {
        squares += row[i] * row[i];
    }
    return sqrtf(squares);
}

static int make_points(void **state)
{
    (void)state;
    uint64_t random = 3;
    rows = points_new(SHAPE_UNIFORM, N, DIM, 1);
    queries = points_new(SHAPE_UNIFORM, QUERIES, DIM, 2);
    for (size_t i = 0; i < N; i++) {
        float x = (1.001F + random_float(&random)) / 2, factor = powf(x, -0.8F);
        for (size_t j = 0; j < DIM; j++) {
            rows[i * DIM + j] *= factor;
        }
    }
    return 0;
}

static int free_points(void **state)
{
    (void)state;
    free(rows);
    free(queries);
    return 0;
}

static struct index *make(void)
{
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_DOT, DIM);
    config.code = INDEX_CODE_8;
    return index_make(&config);
}

static struct index *fill(struct index *index)
{
    stage_rows(index, rows, DIM, 0, N, 500);
    advance_all(index, SIZE_MAX, NULL);
    return index;
}

static struct index *make_full(void)
{
    return fill(make());
}

/* With few links, so that few paths lead to some rows. */
static struct index *make_thin(void)
{
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_DOT, DIM);
    config.m = 4;
    config.ef_construction = 8;
    return fill(index_make(&config));
}

static int compare_floats(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

/* The list holds @n of the rows that are left, and of these the longest. */
static void expect_longest(const struct index *index, const bool *is_gone, size_t n)
{
    static float lengths[N];
    size_t n_left = 0;
    for (size_t i = 0; i < N; i++) {
        lengths[n_left] = length_of(rows + i * DIM);
        n_left += !is_gone[i];
    }
    qsort(lengths, n_left, sizeof(*lengths), compare_floats);
    assert_int_equal(atomic_load(&index->longest.n), n);
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = atomic_load(&index->longest.slots[i]);
        assert_true(slot_is_live(&index->slots, slot));
        uint64_t row = node_at(&index->slots, slot)->row;
        assert_false(is_gone[row]);
        /* Codes have lengths but nearly. */
        assert_true(length_of(rows + row * DIM) >= 0.99F * lengths[n - 1]);
    }
}

static void the_longest_rows_are_found_by_all_walks(void **state)
{
    (void)state;
    static const bool is_gone[N];
    struct index *index = make_full();
    expect_longest(index, is_gone, INDEX_STARTS_MAX);
    double with = recall_of(index, queries, DIM, QUERIES, K, K);
    atomic_store(&index->longest.n, 0);
    double without = recall_of(index, queries, DIM, QUERIES, K, K);
    assert_true(3 * (1 - with) < 1 - without);
    index_free(index);
}

/* ---- rows that were missed ---- */

static bool is_among(const struct index_hit *hits, size_t n, uint64_t row)
{
    size_t i = 0;
    while (i < n && hits[i].row != row) {
        i++;
    }
    return i < n;
}

/* By how many of the queries each row is missed. */
static void count_missed(struct index *index, uint32_t n_missed[N])
{
    memset(n_missed, 0, N * sizeof(*n_missed));
    for (size_t i = 0; i < QUERIES; i++) {
        struct index_hit truth[K], found[K];
        const float *query = queries + i * DIM;
        size_t n_truth = find(index, INDEX_EXACT, query, K, K, truth);
        size_t n_found = find(index, INDEX_WALK, query, K, K, found);
        for (size_t j = 0; j < n_truth; j++) {
            n_missed[truth[j].row] += !is_among(found, n_found, truth[j].row);
        }
    }
}

static int compare_starts(const void *a, const void *b)
{
    const struct index_start *x = a, *y = b;
    return (x->missed < y->missed) - (x->missed > y->missed);
}

static size_t worst(const uint32_t n_missed[N], struct index_start out[INDEX_STARTS_MAX])
{
    static struct index_start all[N];
    for (size_t i = 0; i < N; i++) {
        all[i] = (struct index_start){i, (float)n_missed[i] / QUERIES};
    }
    qsort(all, N, sizeof(*all), compare_starts);
    memcpy(out, all, INDEX_STARTS_MAX * sizeof(*out));
    return INDEX_STARTS_MAX;
}

static uint32_t sum_over(const struct index_start *starts, size_t n, const uint32_t n_missed[N])
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += n_missed[starts[i].row];
    }
    return sum;
}

/* With the longest forgotten these are what is missed most. */
static void rows_that_are_named_are_missed_no_more(void **state)
{
    (void)state;
    static uint32_t n_missed[N];
    struct index_start starts[INDEX_STARTS_MAX];
    struct index *index = make_thin();
    atomic_store(&index->longest.n, 0);
    count_missed(index, n_missed);
    size_t n = worst(n_missed, starts);
    assert_true(sum_over(starts, n, n_missed) > QUERIES);
    index_begin_at(index, starts, n);
    count_missed(index, n_missed);
    assert_int_equal(sum_over(starts, n, n_missed), 0);
    /* Others are named in their place. */
    index_begin_at(index, NULL, 0);
    count_missed(index, n_missed);
    assert_true(sum_over(starts, n, n_missed) > QUERIES);
    index_free(index);
}

static void expect_gone(const struct index *index, double gone)
{
    assert_true(fabs((double)atomic_load(&index->missed_gone) - gone) < 1e-6);
    assert_int_equal(index_is_torn(index), gone > 0.1);
}

/* Also one that was never there, or is named when it is gone. */
static void rows_that_are_deleted_are_forgotten(void **state)
{
    (void)state;
    struct index_start starts[] = {{1, 0.5F}, {2, 0.4F}, {N + 7, 0.0625F}, {3, 0.75F}};
    struct index *index = make_full();
    index_begin_at(index, starts, COUNT_OF(starts));
    assert_int_equal(atomic_load(&index->missed.n), 3);
    expect_gone(index, 0.0625);
    assert_int_equal(node_at(&index->slots, atomic_load(&index->missed.slots[0]))->row, 3);
    uint64_t sequence = N;
    for (uint64_t row = 2; row < 2 + N / 2; row++) { /* So many leave the graph at once. */
        stage_delete(index, ++sequence, row);
    }
    expect_gone(index, 0.0625 + 0.4 + 0.75);
    index_begin_at(index, starts, COUNT_OF(starts));
    assert_int_equal(atomic_load(&index->missed.n), 1);
    expect_gone(index, 0.0625 + 0.4 + 0.75);
    advance_all(index, SIZE_MAX, NULL);
    assert_int_equal(atomic_load(&index->missed.n), 1);
    assert_int_equal(node_at(&index->slots, atomic_load(&index->missed.slots[0]))->row, 1);
    index_free(index);
}

static void an_index_is_torn_where_half_of_the_longest_are_gone(void **state)
{
    (void)state;
    struct index *index = make_full();
    uint64_t sequence = N, longest[INDEX_STARTS_MAX];
    for (size_t i = 0; i < INDEX_STARTS_MAX; i++) {
        longest[i] = node_at(&index->slots, atomic_load(&index->longest.slots[i]))->row;
    }
    for (size_t i = 0; i <= INDEX_STARTS_MAX / 2; i++) {
        assert_false(index_is_torn(index));
        stage_delete(index, ++sequence, longest[i]);
    }
    assert_true(index_is_torn(index));
    advance_all(index, SIZE_MAX, NULL);
    assert_true(index_is_torn(index));
    index_begin_at(index, NULL, 0); /* It was measured. */
    assert_false(index_is_torn(index));
    index_free(index);
}

static void the_list_is_made_anew_where_deletes_leave_few(void **state)
{
    (void)state;
    static bool is_gone[N];
    struct index *index = make_full();
    uint64_t sequence = N, longest[GONE];
    for (size_t i = 0; i < GONE; i++) {
        longest[i] = node_at(&index->slots, atomic_load(&index->longest.slots[i]))->row;
    }
    for (size_t i = 0; i < N / 4; i++) { /* So many leave the graph at once. */
        uint64_t row = i < GONE ? longest[i] : i;
        if (!is_gone[row]) {
            stage_delete(index, ++sequence, row);
        }
        is_gone[row] = true;
    }
    advance_all(index, SIZE_MAX, NULL);
    expect_longest(index, is_gone, INDEX_STARTS_MAX);
    index_free(index);
}

static void a_loaded_index_has_the_same_list(void **state)
{
    (void)state;
    static const bool is_gone[N];
    struct index *index = make_full(), *loaded = make();
    struct stream s = {.data = NULL};
    struct err err = {0};
    assert_int_equal(index_save(index, stream_write, &s, &(uint32_t){0}, &err), ERR_OK);
    assert_int_equal(load(loaded, &s, &err), ERR_OK);
    expect_longest(loaded, is_gone, INDEX_STARTS_MAX);
    for (size_t i = 0; i < INDEX_STARTS_MAX; i++) {
        assert_int_equal(atomic_load(&loaded->longest.slots[i]),
                         atomic_load(&index->longest.slots[i]));
    }
    stream_fini(&s);
    index_free(index);
    index_free(loaded);
}

int main(void)
{
    assert_true(index_choose_kernel(NULL));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_rows_are_found_by_all_walks),
        cmocka_unit_test(the_list_is_made_anew_where_deletes_leave_few),
        cmocka_unit_test(a_loaded_index_has_the_same_list),
        cmocka_unit_test(an_index_is_torn_where_half_of_the_longest_are_gone),
        cmocka_unit_test(rows_that_are_named_are_missed_no_more),
        cmocka_unit_test(rows_that_are_deleted_are_forgotten),
    };
    return cmocka_run_group_tests(tests, make_points, free_points);
}
