/* The distance kernels, against sums in double and against each other. */
#include "fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const kernels[] = {"scalar", "avx2", "avx512", "avx512vnni"};
static const enum distance distances[] = {DISTANCE_L2, DISTANCE_COSINE, DISTANCE_DOT};

static double exact_distance(enum distance distance, const float *a, const float *b, uint32_t dim)
{
    double ab = 0, aa = 0, bb = 0, squares = 0;
    for (uint32_t i = 0; i < dim; i++) {
        double x = (double)a[i], y = (double)b[i];
        ab += x * y;
        aa += x * x;
        bb += y * y;
        squares += (x - y) * (x - y);
    }
    return distance == DISTANCE_L2       ? sqrt(squares)
           : distance == DISTANCE_COSINE ? 1 - ab / sqrt(aa * bb)
                                         : -ab;
}

static void compare_in_dim(uint32_t dim)
{
    float *points = points_new(SHAPE_UNIFORM, 2, dim, dim);
    for (size_t d = 0; d < COUNT_OF(distances); d++) {
        double expected = exact_distance(distances[d], points, points + dim, dim);
        double got = (double)index_distance(distances[d], points, points + dim, dim);
        double tolerance = 1e-5 * (1 + sqrt((double)dim) + fabs(expected));
        if (fabs(got - expected) > tolerance) {
            fail_msg("%s dim %u distance %d: %.9g, not %.9g", index_kernel_name(), dim,
                     (int)distances[d], got, expected);
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
        for (uint32_t dim = 1; dim <= 300; dim++) {
            compare_in_dim(dim);
        }
        static const uint32_t large[] = {384, 511, 512, 768, 1000, 1024, 1536, 4097, 16384};
        for (size_t i = 0; i < COUNT_OF(large); i++) {
            compare_in_dim(large[i]);
        }
    }
}

static void an_unknown_kernel_is_refused_and_the_choice_stays(void **state)
{
    (void)state;
    assert_true(index_choose_kernel("scalar"));
    assert_false(index_choose_kernel("abacus"));
    assert_string_equal(index_kernel_name(), "scalar");
}

/* A search asks for many distances at once, index_distance for one. */
static void a_row_has_the_same_distance_wherever_it_stands_in_a_batch(void **state)
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
            assert_true(fabs(l2 / sqrt(4 * one * (DIM / 2)) - 1) < 1e-12);
            double cosine = index_distance(DISTANCE_COSINE, huge, mixed, DIM);
            assert_true(fabs(cosine - (1 - 1.0f / DIM)) < 1e-5f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_agrees_with_sums_in_double_in_every_dimension),
        cmocka_unit_test(an_unknown_kernel_is_refused_and_the_choice_stays),
        cmocka_unit_test(a_row_has_the_same_distance_wherever_it_stands_in_a_batch),
        cmocka_unit_test(distances_that_pass_the_range_of_floats_are_right),
    };
    int failed = cmocka_run_group_tests_name("index kernels", tests, NULL, NULL);
    index_thread_exit();
    return failed;
}
