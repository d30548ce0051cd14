/* Exact sums for AVX-512F (exact_int.h): two registers of eight doubles are the sixteen lanes. */
#include "index/kernel_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,fma")))
#define INLINE static inline __attribute__((always_inline)) AVX512

enum {
    WIDTH = EXACT_LANES / 2
};

INLINE __m512d load(const float *x)
{
    return _mm512_cvtps_pd(_mm256_loadu_ps(x));
}

/* What is not there counts as 0, and adds nothing. */
INLINE __m512d load_some(const float *x, uint32_t n, uint32_t from)
{
    uint32_t left = n > from ? n - from : 0;
    __mmask8 mask = (__mmask8)(left >= WIDTH ? 0xff : (1u << left) - 1);
    return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, x + from));
}

/* Sixteen elements; or the last @n. */
INLINE void load_all(const float *x, __m512d out[2])
{
    out[0] = load(x);
    out[1] = load(x + WIDTH);
}

INLINE void load_last(const float *x, uint32_t n, __m512d out[2])
{
    out[0] = load_some(x, n, 0);
    out[1] = load_some(x, n, WIDTH);
}

INLINE double fold(const __m512d sums[2])
{
    __m512d eight = _mm512_add_pd(sums[0], sums[1]);
    __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

INLINE void add_squares(__m512d sums[2], const __m512d x[2], const __m512d y[2])
{
    UNROLL
    for (int half = 0; half < 2; half++) {
        __m512d d = _mm512_sub_pd(x[half], y[half]);
        sums[half] = _mm512_add_pd(sums[half], _mm512_mul_pd(d, d));
    }
}

INLINE void add_products(__m512d sums[2], const __m512d x[2], const __m512d y[2])
{
    UNROLL
    for (int half = 0; half < 2; half++) {
        sums[half] = _mm512_fmadd_pd(x[half], y[half], sums[half]);
    }
}

static AVX512 double avx512_squares(const float *a, const float *b, uint32_t dim)
{
    __m512d x[2], y[2], sums[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    uint32_t i = 0;
    for (; i + EXACT_LANES <= dim; i += EXACT_LANES) {
        load_all(a + i, x);
        load_all(b + i, y);
        add_squares(sums, x, y);
    }
    load_last(a + i, dim - i, x);
    load_last(b + i, dim - i, y);
    add_squares(sums, x, y);
    return fold(sums);
}

static AVX512 double avx512_product(const float *a, const float *b, uint32_t dim)
{
    __m512d x[2], y[2], sums[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    uint32_t i = 0;
    for (; i + EXACT_LANES <= dim; i += EXACT_LANES) {
        load_all(a + i, x);
        load_all(b + i, y);
        add_products(sums, x, y);
    }
    load_last(a + i, dim - i, x);
    load_last(b + i, dim - i, y);
    add_products(sums, x, y);
    return fold(sums);
}

static AVX512 void avx512_products(const float *a, const float *b, uint32_t dim, double out[2])
{
    __m512d zero = _mm512_setzero_pd(), x[2], y[2], ab[2] = {zero, zero}, bb[2] = {zero, zero};
    uint32_t i = 0;
    for (; i + EXACT_LANES <= dim; i += EXACT_LANES) {
        load_all(a + i, x);
        load_all(b + i, y);
        add_products(ab, x, y);
        add_products(bb, y, y);
    }
    load_last(a + i, dim - i, x);
    load_last(b + i, dim - i, y);
    add_products(ab, x, y);
    add_products(bb, y, y);
    out[0] = fold(ab);
    out[1] = fold(bb);
}

const struct exact exact_avx512 = {
    .squares = avx512_squares, .product = avx512_product, .products = avx512_products};
#endif
