/* The distance kernels over floats, against sums in double and against each other. */
#include "fixture.h"

#include "index/kernel_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const kernels[] = {"scalar", "avx2", "avx512", "avx512vnni", "neon", "neondot"};
static const enum distance distances[] = {DISTANCE_L2, DISTANCE_COSINE, DISTANCE_DOT};

enum {
    ROWS = 9
};

/* Keys of the vector behind ROWS others and of these, asked for in batches. */
static void keys_in_batches(enum distance distance, const float *points, uint32_t dim, size_t batch,
                            float keys[ROWS])
{
    struct space space = {.vectors = points, .stride = dim, .dim = dim};
    for (size_t at = 0; at < ROWS; at += batch) {
        uint32_t slots[ROWS];
        size_t n = at + batch < ROWS ? batch : ROWS - at;
        for (size_t i = 0; i < n; i++) {
            slots[i] = (uint32_t)(at + i);
        }
        kernel_for(distance)(&space, points + ROWS * (size_t)dim, slots, n, keys + at);
    }
}

/* Calls @check for each distance and dimension worth a look. */
static void everywhere(void (*check)(enum distance distance, uint32_t dim))
{
    static const uint32_t large[] = {384, 511, 512, 768, 1000, 1024, 1536, 4097, 16384};
    for (size_t d = 0; d < COUNT_OF(distances); d++) {
        for (uint32_t dim = 1; dim <= 300; dim++) {
            check(distances[d], dim);
        }
        for (size_t i = 0; i < COUNT_OF(large); i++) {
            check(distances[d], large[i]);
        }
    }
}

static void compare_with_double(enum distance distance, uint32_t dim)
{
    float *points = points_new(SHAPE_UNIFORM, ROWS + 1, dim, dim), keys[ROWS];
    const float *query = points + ROWS * (size_t)dim;
    keys_in_batches(distance, points, dim, ROWS, keys);
    for (size_t r = 0; r < ROWS; r++) {
        double expected = 0;
        for (uint32_t i = 0; i < dim; i++) {
            double x = (double)points[r * dim + i], y = (double)query[i];
            expected += distance == DISTANCE_L2 ? (x - y) * (x - y) : -x * y;
        }
        if (fabs((double)keys[r] - expected) > 1e-6 * (double)dim) {
            fail_msg("%s dim %u distance %d: %.9g, not %.9g", index_kernel_name(), dim,
                     (int)distance, (double)keys[r], expected);
        }
    }
    free(points);
}

static void every_kernel_agrees_with_sums_in_double_in_every_dimension(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        if (!index_choose_kernel(kernels[k])) {
            print_message("this machine has no %s\n", kernels[k]);
            continue;
        }
        assert_string_equal(index_kernel_name(), kernels[k]);
        everywhere(compare_with_double);
    }
}

/* Numbers of many sizes, so that sums in another order would round to others; some overflow. */
static void compare_kernels(enum distance distance, uint32_t dim)
{
    float *points = points_new(SHAPE_UNIFORM, ROWS + 1, dim, dim), expected[ROWS], keys[ROWS];
    for (size_t i = 0; i < (ROWS + 1) * (size_t)dim; i++) {
        points[i] = ldexpf(points[i], (int)(i * 2654435761U % 40) - 20);
    }
    points[dim / 2] = 3e38F;
    points[dim + dim / 2] = -3e38F;
    assert_true(index_choose_kernel("scalar"));
    keys_in_batches(distance, points, dim, ROWS, expected);
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        for (size_t batch = 1; index_choose_kernel(kernels[k]) && batch <= ROWS; batch++) {
            keys_in_batches(distance, points, dim, batch, keys);
            if (memcmp(keys, expected, sizeof(keys)) != 0) {
                fail_msg("%s dim %u distance %d batch %zu: other keys", kernels[k], dim,
                         (int)distance, batch);
            }
        }
    }
    free(points);
}

static void every_kernel_finds_the_same_bits_wherever_a_row_stands(void **state)
{
    (void)state;
    everywhere(compare_kernels);
}

static void an_unknown_kernel_is_refused_and_the_choice_stays(void **state)
{
    (void)state;
    assert_true(index_choose_kernel("scalar"));
    assert_false(index_choose_kernel("abacus"));
    assert_string_equal(index_kernel_name(), "scalar");
}

static void a_search_reports_the_distance_of_the_pair(void **state)
{
    (void)state;
    enum {
        N = 67
    };
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        for (uint32_t dim = 1; index_choose_kernel(kernels[k]) && dim < 140; dim += 3) {
            for (size_t d = 0; d < COUNT_OF(distances); d++) {
                struct index_config config = config_of(INDEX_FLAT, distances[d], dim);
                struct index *index = index_make(&config);
                float *points = points_new(SHAPE_UNIFORM, N + 1, dim, dim);
                struct index_hit hits[N];
                stage_rows(index, points, dim, 0, N, N);
                assert_int_equal(find(index, INDEX_EXACT, points + N * dim, N, N, hits), N);
                for (size_t i = 0; i < N; i++) {
                    double alone = index_distance(distances[d], points + N * dim,
                                                  points + hits[i].row * dim, dim);
                    assert_memory_equal(&alone, &hits[i].distance, sizeof(alone));
                }
                free(points);
                index_free(index);
            }
        }
    }
}

static void distances_that_pass_the_range_of_floats_are_right(void **state)
{
    (void)state;
    enum {
        DIM = 37
    };
    float huge[DIM], mixed[DIM];
    for (size_t i = 0; i < DIM; i++) {
        huge[i] = 3e38f;
        mixed[i] = i % 2 == 0 ? 3e38f : -3e38f;
    }
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        if (index_choose_kernel(kernels[k])) {
            /* One more product is negative than positive, and every second difference is 0. */
            double one = (double)huge[0] * (double)huge[0];
            double dot = index_distance(DISTANCE_DOT, huge, mixed, DIM);
            assert_true(fabs(dot / -one - 1) < 1e-12);
            double l2 = index_distance(DISTANCE_L2, huge, mixed, DIM);
            assert_true(fabs(l2 / sqrt(4 * one * floor(DIM / 2.0)) - 1) < 1e-12);
            double cosine = index_distance(DISTANCE_COSINE, huge, mixed, DIM);
            assert_true(fabs(cosine - (1 - 1.0f / DIM)) < 1e-5f);
        }
    }
}

static void overflowing_sums_are_far_and_never_nan(void **state)
{
    (void)state;
    enum {
        DIM = 37
    };
    float points[(ROWS + 1) * DIM], keys[ROWS];
    for (size_t i = 0; i < COUNT_OF(points); i++) {
        points[i] = i / DIM == ROWS || i % 2 == 0 ? 3e38F : -3e38F;
    }
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        if (!index_choose_kernel(kernels[k])) {
            continue;
        }
        keys_in_batches(DISTANCE_L2, points, DIM, ROWS, keys);
        for (size_t r = 0; r < ROWS; r++) {
            assert_true(keys[r] == INFINITY);
        }
        keys_in_batches(DISTANCE_DOT, points, DIM, ROWS, keys);
        for (size_t r = 0; r < ROWS; r++) {
            assert_true(keys[r] <= INFINITY); /* NaN is not. */
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_agrees_with_sums_in_double_in_every_dimension),
        cmocka_unit_test(every_kernel_finds_the_same_bits_wherever_a_row_stands),
        cmocka_unit_test(an_unknown_kernel_is_refused_and_the_choice_stays),
        cmocka_unit_test(a_search_reports_the_distance_of_the_pair),
        cmocka_unit_test(distances_that_pass_the_range_of_floats_are_right),
        cmocka_unit_test(overflowing_sums_are_far_and_never_nan),
    };
    int failed = cmocka_run_group_tests_name("index kernels", tests, NULL, NULL);
    index_thread_exit();
    return failed;
}
