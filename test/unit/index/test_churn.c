/* A graph that lives through churn is as good as one that was built of the rows that are left:
 * whole regions come and go, ranges of rows are deleted, vectors are replaced. */
#include "fixture.h"

#include <stdlib.h>

enum {
    KEYS = 1500,
    ROUNDS = GOOD_MEASURE(40, 15),
    ROWS_MAX = KEYS * 12,
    RANGE_MAX = 150,   /* Keys that one round deletes, or gives other vectors. */
    REGION = 80,       /* Nearest rows that are deleted together. */
    STATEMENTS = 4000, /* Of a table that is written to in small steps. */
    STATEMENT_MAX = 24,
    STRIP = 400, /* Keys whose vectors stand near each other, far from those of other strips. */
    QUERIES = 150,
    K = 10,
    EF = 64
};

/* A table as the log makes it: a key's row is another one with each vector. */
struct table {
    struct index *index;
    float *points; /* Of every row there ever was. */
    uint64_t row_of[KEYS], row_next, random;
    bool is_there[KEYS], is_on_strips;
    uint32_t dim;
};

/* (key, row): what stands along the strip was written at many times, and the front moves on. */
static void point_on_strip(float *point, uint64_t key, uint64_t row)
{
    uint64_t strip = key / STRIP;
    point[0] = (float)(strip * 1000 + key % STRIP);
    point[1] = (float)row;
    point[2] = 1;
    point[3] = 0.5f;
}

static void drop_key(struct table *t, size_t key)
{
    if (t->is_there[key]) {
        stage_delete(t->index, t->row_next + 1, t->row_of[key]);
        t->is_there[key] = false;
    }
}

/* New rows for all keys of a range that have none, in one call: they are linked by chunks. */
static void fill_range(struct table *t, size_t first, size_t end)
{
    uint64_t row = t->row_next;
    for (size_t key = first; key < end; key++) {
        if (!t->is_there[key]) {
            if (t->is_on_strips) {
                point_on_strip(t->points + t->row_next * t->dim, key, t->row_next);
            }
            t->row_of[key] = t->row_next++;
            t->is_there[key] = true;
        }
    }
    assert_true(t->row_next <= ROWS_MAX);
    if (t->row_next > row) {
        size_t n = (size_t)(t->row_next - row);
        stage_rows(t->index, t->points + row * t->dim, t->dim, row, n, n);
    }
}

static void drop_region(struct table *t)
{
    struct index_hit hits[REGION];
    const float *centre = t->points + random_next(&t->random) % t->row_next * t->dim;
    size_t n = find(t->index, INDEX_EXACT, centre, REGION, REGION, hits);
    for (size_t key = 0; key < KEYS; key++) {
        for (size_t i = 0; i < n && t->is_there[key]; i++) {
            if (t->row_of[key] == hits[i].row) {
                drop_key(t, key);
            }
        }
    }
}

static void churn(struct table *t)
{
    fill_range(t, 0, KEYS);
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t first = random_next(&t->random) % KEYS;
        size_t end = first + random_next(&t->random) % RANGE_MAX;
        end = end < KEYS ? end : KEYS;
        for (size_t key = first; key < end; key++) {
            if (round % 3 == 0) {
                drop_key(t, key);
                fill_range(t, key, key + 1);
            } else {
                drop_key(t, key);
            }
        }
        if (round % 4 == 1) {
            drop_region(t);
        }
        if (round % 5 == 4) {
            fill_range(t, 0, KEYS);
        }
        if (round % 2 == 0) {
            advance_all(t->index, 100, NULL);
        }
    }
    advance_all(t->index, 100, NULL);
}

/* Single rows, a few new ones, a few other vectors, ranges that go. */
static void write_in_small_steps(struct table *t)
{
    for (size_t i = 0; i < STATEMENTS; i++) {
        uint64_t dice = random_next(&t->random) % 100;
        size_t n = 1 + random_next(&t->random) % (STATEMENT_MAX - 1);
        size_t first = random_next(&t->random) % KEYS, end = first + (dice < 40 ? 1 : n);
        end = end < KEYS ? end : KEYS;
        for (size_t key = first; dice >= 60 && key < end; key++) {
            drop_key(t, key);
        }
        if (dice < 78) {
            fill_range(t, first, end);
        }
        if (i % 3 == 0) {
            advance_all(t->index, 100, NULL);
        }
    }
    advance_all(t->index, 100, NULL);
}

static size_t count_lost(const struct table *t, struct index *index)
{
    size_t n_lost = 0;
    for (size_t key = 0; key < KEYS; key++) {
        struct index_hit hits[K];
        bool is_found = !t->is_there[key];
        size_t n = is_found
                       ? 0
                       : find(index, INDEX_WALK, t->points + t->row_of[key] * t->dim, K, EF, hits);
        for (size_t i = 0; i < n; i++) {
            is_found |= hits[i].row == t->row_of[key];
        }
        n_lost += is_found ? 0 : 1;
    }
    return n_lost;
}

static struct index *rebuild(const struct table *t, const struct index_config *config)
{
    struct index *fresh = index_make(config);
    for (uint64_t row = 0; row < t->row_next; row++) {
        for (size_t key = 0; key < KEYS; key++) {
            if (t->is_there[key] && t->row_of[key] == row) {
                stage_rows(fresh, t->points + row * t->dim, t->dim, row, 1, 1);
            }
        }
    }
    advance_all(fresh, SIZE_MAX, NULL);
    return fresh;
}

static void compare_with_rebuilt(struct table *t, const struct index_config *config,
                                 const float *queries)
{
    struct index *fresh = rebuild(t, config);
    assert_int_equal(index_count(t->index), index_count(fresh));
    size_t n_lost = count_lost(t, t->index), n_lost_fresh = count_lost(t, fresh);
    double recall = recall_of(t->index, queries, t->dim, QUERIES, K, EF);
    double recall_fresh = recall_of(fresh, queries, t->dim, QUERIES, K, EF);
    if (n_lost > n_lost_fresh || recall < recall_fresh - 0.01) {
        fail_msg("%zu rows lost (%zu when rebuilt), recall %.4f (%.4f)", n_lost, n_lost_fresh,
                 recall, recall_fresh);
    }
    index_free(fresh);
}

static void churn_and_compare(enum shape shape, enum distance distance, uint32_t dim, uint64_t seed)
{
    struct index_config config = config_of(INDEX_HNSW, distance, dim);
    config.m = 16;
    struct table t = {.index = index_make(&config),
                      .points = points_new(shape, ROWS_MAX, dim, seed),
                      .random = seed,
                      .dim = dim};
    float *queries = points_new(shape, QUERIES, dim, seed + 1000);
    churn(&t);
    compare_with_rebuilt(&t, &config, queries);
    free(queries);
    free(t.points);
    index_free(t.index);
}

static void no_row_of_a_uniform_table_is_lost_through_churn(void **state)
{
    (void)state;
    churn_and_compare(SHAPE_UNIFORM, DISTANCE_L2, 8, 1);
    churn_and_compare(SHAPE_UNIFORM, DISTANCE_COSINE, 24, 2);
}

static void no_row_of_a_clustered_table_is_lost_through_churn(void **state)
{
    (void)state;
    churn_and_compare(SHAPE_CLUSTERED, DISTANCE_L2, 8, 3);
    churn_and_compare(SHAPE_CLUSTERED, DISTANCE_COSINE, 32, 4);
    churn_and_compare(SHAPE_CLUSTERED, DISTANCE_L2, 100, 5);
}

static void strips_and_compare(uint64_t seed)
{
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, 4);
    config.m = 16;
    struct table t = {.index = index_make(&config),
                      .points = points_new(SHAPE_UNIFORM, ROWS_MAX, 4, seed),
                      .random = seed,
                      .is_on_strips = true,
                      .dim = 4};
    float queries[QUERIES][4];
    write_in_small_steps(&t);
    for (size_t i = 0; i < QUERIES; i++) {
        point_on_strip(queries[i], random_next(&t.random) % KEYS,
                       random_next(&t.random) % t.row_next);
    }
    compare_with_rebuilt(&t, &config, queries[0]);
    free(t.points);
    index_free(t.index);
}

static void no_row_is_lost_where_all_that_is_new_stands_at_one_side(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= GOOD_MEASURE(5, 1); seed++) {
        strips_and_compare(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_row_of_a_uniform_table_is_lost_through_churn),
        cmocka_unit_test(no_row_of_a_clustered_table_is_lost_through_churn),
        cmocka_unit_test(no_row_is_lost_where_all_that_is_new_stands_at_one_side),
    };
    (void)index_choose_kernel(NULL);
    int failed = cmocka_run_group_tests_name("index churn", tests, NULL, NULL);
    index_thread_exit();
    return failed;
}
