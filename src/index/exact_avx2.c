/* Exact sums for AVX2 with FMA (exact_int.h): four registers of four doubles are the sixteen lanes.
 */
#include "index/kernel_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2   __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) AVX2

enum {
    WIDTH = 4,
    PARTS = EXACT_LANES / WIDTH
};

/* What is not there counts as 0, and adds nothing. */
INLINE __m256d load(const float *x, uint32_t i, uint32_t dim)
{
    if (i + WIDTH <= dim) {
        return _mm256_cvtps_pd(_mm_loadu_ps(x + i));
    }
    __m128i left = _mm_set1_epi32((int)dim - (int)i), lane = _mm_setr_epi32(0, 1, 2, 3);
    return _mm256_cvtps_pd(_mm_maskload_ps(x + i, _mm_cmpgt_epi32(left, lane)));
}

INLINE double fold(const __m256d sums[PARTS])
{
    __m256d even = _mm256_add_pd(sums[0], sums[2]), odd = _mm256_add_pd(sums[1], sums[3]);
    __m256d four = _mm256_add_pd(even, odd);
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

INLINE void clear(__m256d sums[PARTS])
{
    UNROLL
    for (uint32_t part = 0; part < PARTS; part++) {
        sums[part] = _mm256_setzero_pd();
    }
}

static AVX2 double avx2_squares(const float *a, const float *b, uint32_t dim)
{
    __m256d sums[PARTS];
    clear(sums);
    for (uint32_t i = 0; i < dim; i += EXACT_LANES) {
        UNROLL
        for (uint32_t part = 0; part < PARTS; part++) {
            uint32_t at = i + part * WIDTH;
            __m256d d = _mm256_sub_pd(load(a, at, dim), load(b, at, dim));
            sums[part] = _mm256_add_pd(sums[part], _mm256_mul_pd(d, d));
        }
    }
    return fold(sums);
}

static AVX2 double avx2_product(const float *a, const float *b, uint32_t dim)
{
    __m256d sums[PARTS];
    clear(sums);
    for (uint32_t i = 0; i < dim; i += EXACT_LANES) {
        UNROLL
        for (uint32_t part = 0; part < PARTS; part++) {
            uint32_t at = i + part * WIDTH;
            sums[part] = _mm256_fmadd_pd(load(a, at, dim), load(b, at, dim), sums[part]);
        }
    }
    return fold(sums);
}

static AVX2 void avx2_products(const float *a, const float *b, uint32_t dim, double out[2])
{
    out[0] = avx2_product(a, b, dim);
    out[1] = avx2_product(b, b, dim);
}

const struct exact exact_avx2 = {
    .squares = avx2_squares, .product = avx2_product, .products = avx2_products};
#endif
