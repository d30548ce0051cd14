/* DOT: the longest rows, at which walks begin, too. */
#include "fixture.h"
#include "index/graph_int.h"

#include <math.h>
#include <stdlib.h>

enum {
    DIM = 32,
    N = 4000,
    QUERIES = 200,
    K = 10,
    GONE = LONGEST_MAX * 3 / 4, /* More than the list does without. */
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

static struct index *make_full(void)
{
    struct index *index = make();
    stage_rows(index, rows, DIM, 0, N, 500);
    advance_all(index, SIZE_MAX, NULL);
    return index;
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
    assert_int_equal(atomic_load(&index->longest->n), n);
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = atomic_load(&index->longest->slots[i]);
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
    expect_longest(index, is_gone, LONGEST_MAX);
    double with = recall_of(index, queries, DIM, QUERIES, K, K);
    atomic_store(&index->longest->n, 0);
    double without = recall_of(index, queries, DIM, QUERIES, K, K);
    assert_true(3 * (1 - with) < 1 - without);
    index_free(index);
}

static void the_list_is_made_anew_where_deletes_leave_few(void **state)
{
    (void)state;
    static bool is_gone[N];
    struct index *index = make_full();
    uint64_t sequence = N, longest[GONE];
    for (size_t i = 0; i < GONE; i++) {
        longest[i] = node_at(&index->slots, atomic_load(&index->longest->slots[i]))->row;
    }
    for (size_t i = 0; i < N / 4; i++) { /* So many leave the graph at once. */
        uint64_t row = i < GONE ? longest[i] : i;
        if (!is_gone[row]) {
            stage_delete(index, ++sequence, row);
        }
        is_gone[row] = true;
    }
    advance_all(index, SIZE_MAX, NULL);
    expect_longest(index, is_gone, LONGEST_MAX);
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
    expect_longest(loaded, is_gone, LONGEST_MAX);
    for (size_t i = 0; i < LONGEST_MAX; i++) {
        assert_int_equal(atomic_load(&loaded->longest->slots[i]),
                         atomic_load(&index->longest->slots[i]));
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
    };
    return cmocka_run_group_tests(tests, make_points, free_points);
}
