/* Exact sums for AVX-512F (exact_int.h): two registers of eight doubles are the sixteen lanes. */
#include "index/kernel_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,fma")))
#define INLINE static inline __attribute__((always_inline)) AVX512

enum {
    WIDTH = EXACT_LANES / 2
};

/* What is not there counts as 0, and adds nothing. */
INLINE __mmask8 mask_of(uint32_t i, uint32_t dim)
{
    return (__mmask8)(i >= dim ? 0 : dim - i >= WIDTH ? 0xff : (1u << (dim - i)) - 1);
}

INLINE __m512d load(const float *x, uint32_t i, __mmask8 mask)
{
    return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, x + i));
}

INLINE double fold(const __m512d sums[2])
{
    __m512d eight = _mm512_add_pd(sums[0], sums[1]);
    __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

static AVX512 double avx512_squares(const float *a, const float *b, uint32_t dim)
{
    __m512d sums[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    for (uint32_t i = 0; i < dim; i += EXACT_LANES) {
        UNROLL
        for (uint32_t half = 0; half < 2; half++) {
            __mmask8 mask = mask_of(i + half * WIDTH, dim);
            __m512d d =
                _mm512_sub_pd(load(a, i + half * WIDTH, mask), load(b, i + half * WIDTH, mask));
            sums[half] = _mm512_add_pd(sums[half], _mm512_mul_pd(d, d));
        }
    }
    return fold(sums);
}

static AVX512 double avx512_product(const float *a, const float *b, uint32_t dim)
{
    __m512d sums[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    for (uint32_t i = 0; i < dim; i += EXACT_LANES) {
        UNROLL
        for (uint32_t half = 0; half < 2; half++) {
            __mmask8 mask = mask_of(i + half * WIDTH, dim);
            sums[half] = _mm512_fmadd_pd(load(a, i + half * WIDTH, mask),
                                         load(b, i + half * WIDTH, mask), sums[half]);
        }
    }
    return fold(sums);
}

static AVX512 void avx512_products(const float *a, const float *b, uint32_t dim, double out[3])
{
    __m512d zero = _mm512_setzero_pd();
    __m512d ab[2] = {zero, zero}, aa[2] = {zero, zero}, bb[2] = {zero, zero};
    for (uint32_t i = 0; i < dim; i += EXACT_LANES) {
        UNROLL
        for (uint32_t half = 0; half < 2; half++) {
            __mmask8 mask = mask_of(i + half * WIDTH, dim);
            __m512d x = load(a, i + half * WIDTH, mask), y = load(b, i + half * WIDTH, mask);
            ab[half] = _mm512_fmadd_pd(x, y, ab[half]);
            aa[half] = _mm512_fmadd_pd(x, x, aa[half]);
            bb[half] = _mm512_fmadd_pd(y, y, bb[half]);
        }
    }
    out[0] = fold(ab);
    out[1] = fold(aa);
    out[2] = fold(bb);
}

const struct exact exact_avx512 = {
    .squares = avx512_squares, .product = avx512_product, .products = avx512_products};
#endif
