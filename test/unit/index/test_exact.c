/* Exact distances: right, equal on every instruction set, and safe where floats are not. */
#include "fixture.h"

#include "index/exact_int.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const kernels[] = {"scalar", "avx2", "avx512", "avx512vnni", "neon", "neondot"};
static const enum distance distances[] = {DISTANCE_L2, DISTANCE_COSINE, DISTANCE_DOT};
static const uint32_t large_dims[] = {100, 128, 511, 512, 768, 1000, 1536, 4097, 16384};

enum {
    SMALL_DIM_MAX = 70
};

/* Calls @check for each dimension worth a look. */
static void in_every_dim(void (*check)(uint32_t dim))
{
    for (uint32_t dim = 1; dim <= SMALL_DIM_MAX; dim++) {
        check(dim);
    }
    for (size_t i = 0; i < COUNT_OF(large_dims); i++) {
        check(large_dims[i]);
    }
}

/* Numbers of all magnitudes and both signs: sums in another order would round to others. */
static float *wild_points(size_t n, uint32_t dim)
{
    float *points = points_new(SHAPE_UNIFORM, n, dim, dim);
    for (size_t i = 0; i < n * dim; i++) {
        points[i] = ldexpf(points[i], (int)(i * 2654435761u % 60) - 30);
    }
    return points;
}

static void compare_kernels(uint32_t dim)
{
    float *points = wild_points(2, dim);
    for (size_t d = 0; d < COUNT_OF(distances); d++) {
        assert_true(index_choose_kernel("scalar"));
        double expected = exact_distance(distances[d], points, points + dim, dim);
        for (size_t k = 0; k < COUNT_OF(kernels); k++) {
            if (index_choose_kernel(kernels[k])) {
                double got = exact_distance(distances[d], points, points + dim, dim);
                if (memcmp(&got, &expected, sizeof(got)) != 0) {
                    fail_msg("%s dim %u distance %d: %.17g, not %.17g", kernels[k], dim,
                             (int)distances[d], got, expected);
                }
            }
        }
    }
    free(points);
}

static void every_kernel_finds_the_same_bits(void **state)
{
    (void)state;
    in_every_dim(compare_kernels);
}

static void compare_with_long_double(uint32_t dim)
{
    float *points = points_new(SHAPE_UNIFORM, 2, dim, dim);
    const float *a = points, *b = points + dim;
    long double ab = 0, aa = 0, bb = 0, squares = 0;
    for (uint32_t i = 0; i < dim; i++) {
        long double x = (long double)a[i], y = (long double)b[i];
        ab += x * y;
        aa += x * x;
        bb += y * y;
        squares += (x - y) * (x - y);
    }
    double expected[] = {(double)sqrtl(squares), (double)(1 - ab / sqrtl(aa * bb)), (double)-ab};
    for (size_t d = 0; d < COUNT_OF(distances); d++) {
        double got = exact_distance(distances[d], a, b, dim);
        assert_true(fabs(got - expected[d]) <= 1e-13 * (1 + fabs(expected[d])));
    }
    free(points);
}

static void distances_are_those_of_longer_sums(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        if (index_choose_kernel(kernels[k])) {
            in_every_dim(compare_with_long_double);
        }
    }
}

static void look_at_itself(uint32_t dim)
{
    float *points = wild_points(1, dim);
    assert_true(exact_distance(DISTANCE_L2, points, points, dim) == 0);
    assert_true(exact_distance(DISTANCE_COSINE, points, points, dim) == 0);
    free(points);
}

static void a_vector_is_at_no_distance_from_itself(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        if (index_choose_kernel(kernels[k])) {
            in_every_dim(look_at_itself);
        }
    }
}

static void look_at_extremes(uint32_t dim)
{
    float *big = calloc(3 * (size_t)dim, sizeof(float)), *minus = big + dim, *tiny = minus + dim;
    assert_non_null(big);
    for (uint32_t i = 0; i < dim; i++) {
        big[i] = FLT_MAX;
        minus[i] = -FLT_MAX;
        tiny[i] = FLT_TRUE_MIN;
    }
    double n = (double)dim, far = exact_distance(DISTANCE_L2, big, minus, dim);
    assert_true(fabs(far / (2 * (double)FLT_MAX * sqrt(n)) - 1) < 1e-12);
    assert_true(exact_distance(DISTANCE_COSINE, big, minus, dim) == 2);
    assert_true(exact_distance(DISTANCE_COSINE, tiny, big, dim) < 1e-12);
    double dot = exact_distance(DISTANCE_DOT, tiny, tiny, dim);
    assert_true(fabs(dot / (-n * (double)FLT_TRUE_MIN * (double)FLT_TRUE_MIN) - 1) < 1e-12);
    memset(tiny, 0, dim * sizeof(float));
    assert_true(exact_distance(DISTANCE_COSINE, tiny, big, dim) == 1);
    dot = exact_distance(DISTANCE_DOT, tiny, big, dim);
    assert_true(dot == 0 && !signbit(dot));
    free(big);
}

static void nothing_overflows_or_vanishes(void **state)
{
    (void)state;
    const float a[] = {1e30f, -1e30f}, b[] = {1e30f, 1e30f};
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        if (index_choose_kernel(kernels[k])) {
            in_every_dim(look_at_extremes);
            assert_true(exact_distance(DISTANCE_DOT, a, b, 2) == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_finds_the_same_bits),
        cmocka_unit_test(distances_are_those_of_longer_sums),
        cmocka_unit_test(a_vector_is_at_no_distance_from_itself),
        cmocka_unit_test(nothing_overflows_or_vanishes),
    };
    return cmocka_run_group_tests_name("exact distances", tests, NULL, NULL);
}
