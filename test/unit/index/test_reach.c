/* Paths lead from the entry point to every row of the graph, whatever the rows are and in whatever
 * order they came and went. */
#include "fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIM = 8,
    N = GOOD_MEASURE(3000, 600),
    CLUSTER = 60,
    CODES = INDEX_CODE_2 + 1
};

/* Row @i of a history. */
typedef void shape_fn(float *point, uint64_t i, uint64_t *random);

static void sorted(float *point, uint64_t i, uint64_t *random)
{
    (void)random_next(random);
    for (size_t d = 0; d < DIM; d++) {
        point[d] = d == 0 ? (float)i : 1;
    }
}

static void far_clusters_one_by_one(float *point, uint64_t i, uint64_t *random)
{
    for (size_t d = 0; d < DIM; d++) {
        point[d] = (float)(hash_u64(i / CLUSTER * DIM + d) % 1000) + random_float(random) / 100;
    }
}

static void nearly_equal(float *point, uint64_t i, uint64_t *random)
{
    for (size_t d = 0; d < DIM; d++) {
        point[d] = (i % 10 == 0 ? 1 : 1e-4f) * random_float(random) + 1;
    }
}

static void few_whole_numbers(float *point, uint64_t i, uint64_t *random)
{
    (void)i;
    for (size_t d = 0; d < DIM; d++) {
        point[d] = d < 3 ? floorf(4 * random_float(random)) : 1;
    }
}

static void all_equal(float *point, uint64_t i, uint64_t *random)
{
    (void)i;
    (void)random_next(random);
    for (size_t d = 0; d < DIM; d++) {
        point[d] = 1;
    }
}

static void of_many_lengths(float *point, uint64_t i, uint64_t *random)
{
    (void)i;
    float scale = powf(10, 1.5f * random_float(random));
    for (size_t d = 0; d < DIM; d++) {
        point[d] = scale * random_float(random);
    }
}

static void ever_longer(float *point, uint64_t i, uint64_t *random)
{
    for (size_t d = 0; d < DIM; d++) {
        point[d] = (float)(i + 1) * (random_float(random) + 1);
    }
}

static shape_fn *const shapes[] = {
    sorted,    far_clusters_one_by_one, nearly_equal, few_whole_numbers,
    all_equal, of_many_lengths,         ever_longer};

/* A graph that lives: rows in, and out. */
struct life {
    struct index *index;
    float *points;
    uint64_t row_next, random;
};

static struct life begin(enum distance distance, enum index_code code)
{
    struct index_config config = config_of(INDEX_HNSW, distance, DIM);
    config.code = code;
    struct life life = {.index = index_make(&config),
                        .points = calloc((size_t)4 * N * DIM, sizeof(float)),
                        .random = 7};
    assert_non_null(life.points);
    return life;
}

static void end(struct life *life)
{
    index_free(life->index);
    free(life->points);
}

static void all_are_reached(struct life *life)
{
    struct err err;
    size_t n = SIZE_MAX;
    advance_all(life->index, SIZE_MAX, NULL);
    assert_int_equal(index_unreachable(life->index, &n, &err), ERR_OK);
    assert_int_equal(n, 0);
}

static void insert(struct life *life, shape_fn *shape, size_t n, size_t step)
{
    for (uint64_t i = 0; i < n; i++) {
        shape(life->points + (life->row_next + i) * DIM, i, &life->random);
    }
    stage_rows(life->index, life->points + life->row_next * DIM, DIM, life->row_next, n, step);
    life->row_next += n;
}

/* Of the rows from @first on, those whose hash says so. */
static void remove_some(struct life *life, uint64_t first, uint64_t parts, uint64_t of)
{
    for (uint64_t row = first; row < life->row_next; row++) {
        if (hash_u64(row) % of < parts) {
            stage_delete(life->index, life->row_next, row);
        }
    }
}

static void rows_of_every_shape_are_reached(void **state)
{
    (void)state;
    for (enum distance distance = DISTANCE_L2; distance <= DISTANCE_DOT; distance++) {
        for (size_t i = 0; i < COUNT_OF(shapes); i++) {
            struct life life = begin(distance, (enum index_code)((i + distance) % CODES));
            insert(&life, shapes[i], N, i % 2 == 0 ? 1 : 100);
            all_are_reached(&life);
            end(&life);
        }
    }
}

static void rows_are_reached_after_others_were_deleted_and_came_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        struct life life = begin(DISTANCE_L2, (enum index_code)(i % CODES));
        insert(&life, shapes[i], N / 2, 100);
        all_are_reached(&life);
        remove_some(&life, 0, 1, 2);
        all_are_reached(&life);
        insert(&life, shapes[i], N / 2, 7); /* Where the others were. */
        all_are_reached(&life);
        remove_some(&life, N / 4, 4, 5);
        all_are_reached(&life);
        insert(&life, shapes[(i + 1) % COUNT_OF(shapes)], N / 4, 64);
        remove_some(&life, 0, 1, 3);
        all_are_reached(&life);
        end(&life);
    }
}

static void a_first_row_that_goes_leaves_the_others_reached(void **state)
{
    (void)state;
    struct life life = begin(DISTANCE_L2, INDEX_CODE_4);
    insert(&life, few_whole_numbers, N / 4, 64);
    for (uint64_t row = 0; row + 1 < life.row_next; row++) {
        stage_delete(life.index, life.row_next, row);
        if (row % 16 == 0 || row + 20 > life.row_next) {
            all_are_reached(&life);
        }
    }
    end(&life);
}

static void rows_are_reached_in_a_graph_that_was_loaded(void **state)
{
    (void)state;
    struct life life = begin(DISTANCE_DOT, INDEX_CODE_4);
    insert(&life, of_many_lengths, N / 2, 100);
    remove_some(&life, 0, 1, 4);
    advance_all(life.index, SIZE_MAX, NULL);
    struct stream stream = {.data = NULL};
    struct err err = {0};
    assert_int_equal(index_save(life.index, stream_write, &stream, &(uint32_t){0}, &err), ERR_OK);
    struct index *saved = life.index;
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_DOT, DIM);
    config.code = INDEX_CODE_4;
    life.index = index_make(&config);
    assert_int_equal(load(life.index, &stream, &err), ERR_OK);
    assert_true(index_digest(saved) == index_digest(life.index));
    index_free(saved);
    insert(&life, ever_longer, N / 4, 100);
    remove_some(&life, 0, 1, 2);
    all_are_reached(&life);
    stream_fini(&stream);
    end(&life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_every_shape_are_reached),
        cmocka_unit_test(rows_are_reached_after_others_were_deleted_and_came_again),
        cmocka_unit_test(a_first_row_that_goes_leaves_the_others_reached),
        cmocka_unit_test(rows_are_reached_in_a_graph_that_was_loaded),
    };
    assert_true(index_choose_kernel(NULL));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
