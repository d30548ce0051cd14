/* Kernels for codes of few bits with vector registers of x86-64, for the files that include this
 * after levels_int.h and rotate_int.h and define group_sums.
 *
 * Rows are taken four at a time; a block of the query is in a register for all of them, and the
 * next four rows are prefetched meanwhile.  The sums of four rows become one register's by a
 * transpose, and their keys are made together, by the steps of bits_key.  A group that is not full
 * repeats its last row.  Common numbers of blocks get a copy of their own with the loops unrolled.
 *
 * Without VNNI bytes are multiplied and added up in pairs of 16 bits that saturate.  With levels of
 * 4 bits a pair is at most 2 x 15 x 127; those of 8 bits are taken as u - 128 and their sign given
 * to q, so that it is at most 2 x 127 x 127: LEVELS_ARE_CENTRED, and no bias is left to take away.
 */
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
    uint32_t plane_bytes, plane_stride, n_blocks;
    unsigned bits;
    const uint8_t *shown; /* Of bits_shown. */
    __m128i bias;
    struct bits_finish finish;
};

/* Lane r: sum(q u) of row r, or sum(q (u - 128)) of 8 bits where levels are centred. */
LANES_INLINE __m128i group_sums(const struct keying *k, const struct rows *rows);

struct numbers {
    __m128 factors, squares;
};

/* Numbers that stand behind the levels. */
LANES_INLINE struct numbers numbers_behind(const struct bits_finish *f, const struct rows *rows)
{
    const uint8_t *const *at = rows->at;
    if (f->is_cosine) {
        __m128 a = _mm_load_ss((const float *)(const void *)(at[0] + f->factor_at));
        __m128 b = _mm_load_ss((const float *)(const void *)(at[1] + f->factor_at));
        __m128 c = _mm_load_ss((const float *)(const void *)(at[2] + f->factor_at));
        __m128 d = _mm_load_ss((const float *)(const void *)(at[3] + f->factor_at));
        return (struct numbers){_mm_movelh_ps(_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d)),
                                _mm_setzero_ps()};
    }
    __m128 a = _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(at[0] + f->factor_at)));
    __m128 b = _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(at[1] + f->factor_at)));
    __m128 c = _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(at[2] + f->factor_at)));
    __m128 d = _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(at[3] + f->factor_at)));
    __m128 ab = _mm_unpacklo_ps(a, b), cd = _mm_unpacklo_ps(c, d);
    return (struct numbers){_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab)};
}

LANES_INLINE uint32_t hidden_word(const uint8_t *row)
{
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)row);
    return (uint32_t)_mm256_movemask_epi8(_mm256_slli_epi16(bytes, 7));
}

/* bits_hidden, of four rows. */
LANES_INLINE struct numbers numbers_hidden(const struct bits_finish *f, const struct rows *rows)
{
    const uint8_t *const *at = rows->at;
    const __m128i least = _mm_set1_epi32(HIDDEN_LEAST);
    const __m128 unit = _mm_set1_ps(f->unit);
    __m128i words = _mm_setr_epi32((int)hidden_word(at[0]), (int)hidden_word(at[1]),
                                   (int)hidden_word(at[2]), (int)hidden_word(at[3]));
    if (f->is_cosine) {
        __m128i low = _mm_and_si128(words, _mm_set1_epi32(UINT16_MAX));
        __m128i g = _mm_add_epi32(_mm_slli_epi32(low, HIDDEN_COSINE_SHIFT), least);
        return (struct numbers){_mm_mul_ps(_mm_castsi128_ps(g), unit), _mm_setzero_ps()};
    }
    __m128i low = _mm_and_si128(words, _mm_set1_epi32((1 << HIDDEN_BITS) - 1));
    __m128i g = _mm_add_epi32(_mm_slli_epi32(low, HIDDEN_SHIFT), least);
    __m128 lengths =
        _mm_castsi128_ps(_mm_slli_epi32(_mm_srli_epi32(words, HIDDEN_BITS), HIDDEN_LENGTH_SHIFT));
    return (struct numbers){
        .factors = _mm_mul_ps(_mm_mul_ps(_mm_castsi128_ps(g), lengths), unit),
        .squares = _mm_min_ps(_mm_mul_ps(lengths, lengths), _mm_set1_ps(FLT_MAX)),
    };
}

/* bits_key, of four rows. */
LANES_INLINE __m128 group_keys(const struct keying *k, const struct rows *rows, __m128i sums)
{
    const struct bits_finish *f = &k->finish;
    struct numbers numbers = f->n_hidden > 0 ? numbers_hidden(f, rows) : numbers_behind(f, rows);
    __m128 weights = _mm_mul_ps(numbers.factors, _mm_set1_ps(f->scale));
    __m128 products = _mm_mul_ps(_mm_cvtepi32_ps(sums), weights);
    __m128 keys = _mm_xor_ps(products, _mm_set1_ps(-0.0F));
    if (f->is_l2) {
        keys = _mm_sub_ps(_mm_add_ps(_mm_set1_ps(f->squares), numbers.squares),
                          _mm_add_ps(products, products));
    } else if (f->rest > 0) {
        __m128 left = _mm_sub_ps(_mm_set1_ps(f->reduction_squares), numbers.squares);
        __m128 rests = _mm_sqrt_ps(_mm_max_ps(left, _mm_setzero_ps()));
        keys = _mm_sub_ps(keys, _mm_mul_ps(_mm_set1_ps(f->rest), rests));
    }
    /* min gives its second operand where the first is NaN. */
    return _mm_min_ps(keys, _mm_set1_ps(INFINITY));
}

LANES_INLINE void prefetch(const struct keying *k, const struct rows *rows)
{
    size_t block_bytes = (size_t)k->n_blocks * BITS_BLOCK;
    bool has_line_behind = k->finish.n_hidden == 0 && k->finish.factor_at >= block_bytes;
    UNROLL
    for (int r = 0; r < GROUP; r++) {
        for (size_t at = 0; at < block_bytes; at += BITS_BLOCK) {
            _mm_prefetch((const char *)(rows->at[r] + at), _MM_HINT_T0);
        }
        if (has_line_behind) {
            _mm_prefetch((const char *)(rows->at[r] + k->finish.factor_at), _MM_HINT_T0);
        }
    }
}

/* Of the first of @n slots. */
LANES_INLINE struct rows group_rows(const struct keying *k, const uint32_t *slots, size_t n)
{
    const uint8_t *rows = k->space->rows;
    size_t stride = k->space->stride;
    if (n >= GROUP) {
        return (struct rows){{rows + slots[0] * stride, rows + slots[1] * stride,
                              rows + slots[2] * stride, rows + slots[3] * stride}};
    }
    const uint8_t *last = rows + slots[n - 1] * stride;
    return (struct rows){{rows + slots[0] * stride, n > 1 ? rows + slots[1] * stride : last,
                          n > 2 ? rows + slots[2] * stride : last, last}};
}

LANES_INLINE void all_keys(const struct keying *k, const uint32_t *slots, size_t n, float *keys)
{
    struct rows next;
    if (n > 0) {
        next = group_rows(k, slots, n);
    }
    for (size_t left = n; left > 0; slots += GROUP, keys += GROUP) {
        struct rows rows = next;
        if (left > GROUP) {
            next = group_rows(k, slots + GROUP, left - GROUP);
            prefetch(k, &next);
        }
        __m128i sums = group_sums(k, &rows);
        sums = _mm_sub_epi32(_mm_add_epi32(sums, sums), k->bias);
        __m128 group = group_keys(k, &rows, sums);
        if (left < GROUP) {
            float last[GROUP];
            _mm_storeu_ps(last, group);
            memcpy(keys, last, left * sizeof(float));
            return;
        }
        _mm_storeu_ps(keys, group);
        left -= GROUP;
    }
}

LANES_INLINE struct keying keying_of(const struct code_space *space, const struct code_query *query,
                                     unsigned bits)
{
    const struct bits_query *q = query->data;
    uint32_t stride = plane_stride(bits, space->dim);
    struct bits_finish finish = bits_finish_of(space, query);
    return (struct keying){
        .space = space,
        .planes = q->planes,
        .plane_bytes = plane_bytes(bits, space->dim),
        .plane_stride = stride,
        .n_blocks = stride / BITS_BLOCK,
        .shown = bits_shown[finish.n_hidden / BITS_LANES],
        .bits = bits,
        .bias = _mm_set1_epi32(LEVELS_ARE_CENTRED && bits == 8 ? 0 : q->bias),
        .finish = finish,
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
