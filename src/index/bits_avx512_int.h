/* Kernels for codes of few bits with registers of 64 bytes, for the two files that include this:
 * they differ in how bytes are multiplied and added up.
 *
 * Rows are taken four at a time; a block of the query is in a register for all of them, and the
 * next four rows are prefetched meanwhile.  The sums of four rows become one register's by a
 * transpose, and their keys are made together, by the steps of bits_key.  A group that is not full
 * repeats its last row.  Common numbers of blocks get a copy of their own with the loops unrolled.
 *
 * The includer defines TARGET and multiply(sum, u, q, is_wide): sum + u q, in 16 lanes of 32 bits,
 * for bytes u (of more than 4 bits where is_wide) and q. */
#define LANES 16

#include "index/lanes_int.h"

LANES_INLINE lanes_i lanes_clamp(lanes_i v, int32_t least, int32_t most)
{
    __m512i low = _mm512_max_epi32((__m512i)v, _mm512_set1_epi32(least));
    return (lanes_i)_mm512_min_epi32(low, _mm512_set1_epi32(most));
}

LANES_INLINE lanes_f lanes_flipped(lanes_f v, uint64_t signs)
{
    __m512 sign = _mm512_set1_ps(-0.0F);
    return (lanes_f)_mm512_mask_xor_ps((__m512)v, (__mmask16)signs, (__m512)v, sign);
}

LANES_INLINE lanes_f lanes_plus(lanes_f v, lanes_f sign, lanes_f w)
{
    return (lanes_f)_mm512_fmadd_ps((__m512)v, (__m512)sign, (__m512)w);
}

#include "index/levels_int.h"
#include "index/rotate_int.h"

enum {
    GROUP = 4
};

struct rows {
    const uint8_t *at[GROUP];
};

/* What is the same for all rows of a call. */
struct keying {
    const struct code_space *space;
    const int8_t *planes;
    uint32_t plane_stride, n_blocks, factor_at;
    unsigned bits;
    __mmask64 last; /* Of the last block's bytes. */
    __m128i bias;
    struct bits_finish finish;
};

/* u of one plane of a block, times q. */
LANES_INLINE __m512i plane_sum(__m512i sum, __m512i x, const struct keying *k, unsigned plane,
                               __m512i q)
{
    if (k->bits == 8) {
        return multiply(sum, x, q, true);
    }
    lanes_u u = (lanes_u)x >> (plane * k->bits) & plane_mask(k->bits);
    return multiply(sum, (__m512i)u, q, false);
}

/* Lane r: the sum of sums[r]'s lanes. */
LANES_INLINE __m128i fold_group(const __m512i sums[GROUP])
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(sums[0], sums[1]),
                                  _mm512_unpackhi_epi32(sums[0], sums[1]));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(sums[2], sums[3]),
                                  _mm512_unpackhi_epi32(sums[2], sums[3]));
    __m512i four = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i two =
        _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64(four, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
}

/* 2 sum(q u) - bias of each row. */
LANES_INLINE __m128i group_sums(const struct keying *k, const struct rows *rows)
{
    __m512i sums[GROUP];
    UNROLL
    for (int r = 0; r < GROUP; r++) {
        sums[r] = _mm512_setzero_si512();
    }
    for (uint32_t block = 0; block < k->n_blocks; block++) {
        __mmask64 there = block + 1 < k->n_blocks ? ~(__mmask64)0 : k->last;
        __m512i x[GROUP];
        UNROLL
        for (int r = 0; r < GROUP; r++) {
            x[r] = _mm512_maskz_loadu_epi8(there, rows->at[r] + (size_t)block * BITS_BLOCK);
        }
        UNROLL
        for (unsigned plane = 0; plane < 8 / k->bits; plane++) {
            __m512i q =
                _mm512_load_si512(k->planes + plane * k->plane_stride + (size_t)block * BITS_BLOCK);
            UNROLL
            for (int r = 0; r < GROUP; r++) {
                sums[r] = plane_sum(sums[r], x[r], k, plane, q);
            }
        }
    }
    __m128i sum = fold_group(sums);
    return _mm_sub_epi32(_mm_add_epi32(sum, sum), k->bias);
}

/* bits_key, of four rows. */
LANES_INLINE __m128 group_keys(const struct keying *k, const struct rows *rows, __m128i sums)
{
    const uint8_t *const *at = rows->at;
    __m128 factors, squares = _mm_setzero_ps();
    if (k->space->distance == DISTANCE_COSINE) {
        __m128 a = _mm_load_ss((const float *)(const void *)(at[0] + k->factor_at));
        __m128 b = _mm_load_ss((const float *)(const void *)(at[1] + k->factor_at));
        __m128 c = _mm_load_ss((const float *)(const void *)(at[2] + k->factor_at));
        __m128 d = _mm_load_ss((const float *)(const void *)(at[3] + k->factor_at));
        factors = _mm_movelh_ps(_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
    } else {
        __m128 a = _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(at[0] + k->factor_at)));
        __m128 b = _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(at[1] + k->factor_at)));
        __m128 c = _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(at[2] + k->factor_at)));
        __m128 d = _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(at[3] + k->factor_at)));
        __m128 ab = _mm_unpacklo_ps(a, b), cd = _mm_unpacklo_ps(c, d);
        factors = _mm_movelh_ps(ab, cd);
        squares = _mm_movehl_ps(cd, ab);
    }
    const struct bits_finish *f = &k->finish;
    __m128 weights = _mm_mul_ps(factors, _mm_set1_ps(f->scale));
    __m128 products = _mm_mul_ps(_mm_cvtepi32_ps(sums), weights);
    __m128 keys = _mm_xor_ps(products, _mm_set1_ps(-0.0F));
    if (f->is_l2) {
        keys = _mm_sub_ps(_mm_add_ps(_mm_set1_ps(f->squares), squares),
                          _mm_add_ps(products, products));
    } else if (f->rest > 0) {
        __m128 left = _mm_sub_ps(_mm_set1_ps(f->reduction_squares), squares);
        __m128 rests = _mm_sqrt_ps(_mm_max_ps(left, _mm_setzero_ps()));
        keys = _mm_sub_ps(keys, _mm_mul_ps(_mm_set1_ps(f->rest), rests));
    }
    /* min gives its second operand where the first is NaN. */
    return _mm_min_ps(keys, _mm_set1_ps(INFINITY));
}

LANES_INLINE void prefetch(const struct keying *k, const uint8_t *row)
{
    for (uint32_t block = 0; block < k->n_blocks; block++) {
        _mm_prefetch((const char *)(row + (size_t)block * BITS_BLOCK), _MM_HINT_T0);
    }
    _mm_prefetch((const char *)(row + k->factor_at), _MM_HINT_T0);
}

LANES_INLINE void all_keys(const struct keying *k, const uint32_t *slots, size_t n, float *keys)
{
    struct rows next;
    for (size_t r = 0; r < GROUP && n > 0; r++) {
        next.at[r] = k->space->rows + slots[r < n ? r : n - 1] * k->space->stride;
    }
    for (size_t at = 0; at < n; at += GROUP) {
        struct rows rows = next;
        UNROLL
        for (size_t r = 0; r < GROUP; r++) {
            size_t ahead = at + GROUP + r;
            next.at[r] = k->space->rows + slots[ahead < n ? ahead : n - 1] * k->space->stride;
            prefetch(k, next.at[r]);
        }
        __m128 group = group_keys(k, &rows, group_sums(k, &rows));
        if (at + GROUP <= n) {
            _mm_storeu_ps(keys + at, group);
        } else {
            _mm_mask_storeu_ps(keys + at, (__mmask8)((1U << (n - at)) - 1), group);
        }
    }
}

LANES_INLINE struct keying keying_of(const struct code_space *space, const struct code_query *query,
                                     unsigned bits)
{
    const struct bits_query *q = query->data;
    uint32_t bytes = plane_bytes(bits, space->dim), stride = plane_stride(bits, space->dim);
    return (struct keying){
        .space = space,
        .planes = q->planes,
        .plane_stride = stride,
        .n_blocks = stride / BITS_BLOCK,
        .factor_at = (uint32_t)factor_at(bits, space->dim),
        .bits = bits,
        .last = ~(__mmask64)0 >> (stride - bytes),
        .bias = _mm_set1_epi32(q->bias),
        .finish = bits_finish_of(space, query),
    };
}

LANES_INLINE void by_blocks(const struct code_space *space, const struct code_query *query,
                            unsigned bits, const uint32_t *slots, size_t n, float *keys)
{
    struct keying k = keying_of(space, query, bits);
    /* What is the same number in both lines is a constant to the compiler in the second. */
#define WITH_BLOCKS(number)                                                                        \
    case (number):                                                                                 \
        k.n_blocks = (number);                                                                     \
        k.plane_stride = (number)*BITS_BLOCK;                                                      \
        all_keys(&k, slots, n, keys);                                                              \
        break
    switch (k.n_blocks) {
        WITH_BLOCKS(1);
        WITH_BLOCKS(2);
        WITH_BLOCKS(3);
        WITH_BLOCKS(4);
        WITH_BLOCKS(6);
        WITH_BLOCKS(8);
    default:
        all_keys(&k, slots, n, keys);
        break;
    }
#undef WITH_BLOCKS
}

static TARGET void keys_8(const struct code_space *space, const struct code_query *query,
                          const uint32_t *slots, size_t n, float *keys)
{
    by_blocks(space, query, 8, slots, n, keys);
}

static TARGET void keys_4(const struct code_space *space, const struct code_query *query,
                          const uint32_t *slots, size_t n, float *keys)
{
    by_blocks(space, query, 4, slots, n, keys);
}

static TARGET void keys_2(const struct code_space *space, const struct code_query *query,
                          const uint32_t *slots, size_t n, float *keys)
{
    by_blocks(space, query, 2, slots, n, keys);
}
