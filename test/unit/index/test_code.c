/* Codes of few bits: right in the mean, with the error that they claim, equal on every instruction
 * set, and safe where floats are not. */
#include "fixture.h"

#include "index/bits_int.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const kernels[] = {"scalar", "avx2", "avx512", "avx512vnni", "neon", "neondot"};
static const enum distance distances[] = {DISTANCE_L2, DISTANCE_COSINE, DISTANCE_DOT};
static const enum index_code kinds[] = {INDEX_CODE_8, INDEX_CODE_4, INDEX_CODE_2};
static const uint32_t large_dims[] = {96, 100, 127, 128, 200, 384, 511, 512, 768, 1536, 16384};

enum {
    SMALL_DIM_MAX = 70,
    ROWS = 23,
};

/* Rows of one code, in memory that ends with them. */
struct shelf {
    struct code_space space;
    uint8_t *rows;
    float *vectors; /* As they were prepared; the rows' and one more. */
    void *room;
    struct code_room *own;
};

static void *aligned_new(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(p);
    return p;
}

static void shelf_encode(struct shelf *s)
{
    for (size_t i = 0; i < ROWS; i++) {
        s->space.code->encode(&s->space, s->vectors + i * s->space.dim,
                              s->rows + i * s->space.stride);
    }
}

/* Takes @points, ROWS + 1 vectors. */
static struct shelf shelf_new(enum index_code kind, enum distance distance, uint32_t dim,
                              float *points)
{
    const struct code *code = code_of(kind);
    struct shelf s = {.space = {.code = code,
                                .stride = code->row_bytes(dim, distance),
                                .dim = dim,
                                .distance = distance,
                                .reduction = distance == DISTANCE_DOT ? sqrtf((float)dim) : 0},
                      .vectors = points};
    struct err err;
    for (size_t i = 0; i <= ROWS; i++) {
        float *x = points + i * dim;
        assert_int_equal(vector_prepare(distance, dim, x, x, &err), ERR_OK);
    }
    s.rows = malloc(ROWS * s.space.stride);
    assert_non_null(s.rows);
    s.space.rows = s.rows;
    s.room = aligned_new(code->query_bytes(dim));
    s.own = aligned_new(sizeof(*s.own));
    shelf_encode(&s);
    return s;
}

static void shelf_free(struct shelf *s)
{
    free(s->rows);
    free(s->vectors);
    free(s->room);
    free(s->own);
}

/* Keys of @query and all rows, asked for in batches of @batch. */
static void all_keys(const struct shelf *s, const struct code_query *query, size_t batch,
                     float *keys)
{
    for (size_t at = 0; at < ROWS; at += batch) {
        uint32_t slots[ROWS];
        size_t n = at + batch < ROWS ? batch : ROWS - at;
        for (size_t i = 0; i < n; i++) {
            slots[i] = (uint32_t)(at + i);
        }
        s->space.code->keys(&s->space, query, slots, n, keys + at);
    }
}

/* Of the vector behind the rows, then of rows 0 and 1. */
enum {
    QUERIES = 3
};
static void keys_of_queries(struct shelf *s, size_t batch, float keys[QUERIES][ROWS])
{
    struct code_query query;
    s->space.code->query(&s->space, s->vectors + ROWS * s->space.dim, s->room, &query);
    all_keys(s, &query, batch, keys[0]);
    for (uint32_t slot = 0; slot + 1 < QUERIES; slot++) {
        s->space.code->query_of_row(&s->space, slot, s->own, &query);
        all_keys(s, &query, batch, keys[slot + 1]);
    }
}

/* Calls @check for each code, distance and dimension worth a look. */
static void everywhere(void (*check)(enum index_code kind, enum distance distance, uint32_t dim))
{
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        for (size_t d = 0; d < COUNT_OF(distances); d++) {
            for (uint32_t dim = 1; dim <= SMALL_DIM_MAX; dim++) {
                check(kinds[k], distances[d], dim);
            }
            for (size_t i = 0; i < COUNT_OF(large_dims); i++) {
                check(kinds[k], distances[d], large_dims[i]);
            }
        }
    }
}

static void compare_kernels(enum index_code kind, enum distance distance, uint32_t dim)
{
    assert_true(index_choose_kernel("scalar"));
    struct shelf s = shelf_new(kind, distance, dim,
                               points_new(SHAPE_UNIFORM, ROWS + 1, dim, dim + (uint64_t)kind));
    size_t bytes = ROWS * s.space.stride;
    uint8_t *rows = malloc(bytes);
    assert_non_null(rows);
    memcpy(rows, s.rows, bytes);
    float expected[QUERIES][ROWS], keys[QUERIES][ROWS];
    keys_of_queries(&s, ROWS, expected);
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        if (!index_choose_kernel(kernels[k])) {
            continue;
        }
        memset(s.rows, 0xff, bytes);
        shelf_encode(&s);
        if (memcmp(rows, s.rows, bytes) != 0) {
            fail_msg("%s bits %u dim %u: other rows", kernels[k], s.space.code->bits, dim);
        }
        for (size_t batch = 1; batch <= ROWS; batch += 5) {
            keys_of_queries(&s, batch, keys);
            if (memcmp(keys, expected, sizeof(keys)) != 0) {
                fail_msg("%s bits %u dim %u distance %d batch %zu: other keys", kernels[k],
                         s.space.code->bits, dim, (int)distance, batch);
            }
        }
    }
    free(rows);
    shelf_free(&s);
}

static void every_kernel_makes_the_same_rows_and_keys(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        if (!index_choose_kernel(kernels[k])) {
            print_message("this machine has no %s\n", kernels[k]);
        }
    }
    everywhere(compare_kernels);
}

static double product(const float *a, const float *b, uint32_t dim)
{
    return -exact_distance(DISTANCE_DOT, a, b, dim);
}

/* What the key should be. */
static double true_key(const struct shelf *s, const float *a, const float *b, bool is_reduced)
{
    uint32_t dim = s->space.dim;
    if (s->space.distance == DISTANCE_L2) {
        return pow(exact_distance(DISTANCE_L2, a, b, dim), 2);
    }
    double key = -product(a, b, dim), m = (double)s->space.reduction;
    if (is_reduced && s->space.distance == DISTANCE_DOT) {
        key -= sqrt(fmax(m * m - product(a, a, dim), 0) * fmax(m * m - product(b, b, dim), 0));
    }
    return key;
}

static void look_at_errors(enum index_code kind, enum distance distance, uint32_t dim)
{
    struct shelf s = shelf_new(kind, distance, dim, points_new(SHAPE_UNIFORM, ROWS + 1, dim, dim));
    float keys[QUERIES][ROWS];
    keys_of_queries(&s, ROWS, keys);
    for (size_t q = 0; q < QUERIES; q++) {
        const float *a = s.vectors + (q == 0 ? ROWS : q - 1) * dim;
        for (size_t i = 0; i < ROWS; i++) {
            const float *b = s.vectors + i * dim;
            if (a == b) {
                continue; /* Both sides err in the same direction. */
            }
            double lengths = sqrt(product(a, a, dim) * product(b, b, dim));
            /* Two rows have an error each. */
            double sigma = (double)s.space.code->error(dim, distance) * lengths *
                           (distance == DISTANCE_L2 ? 2 : 1) * (q == 0 ? 1 : 2);
            double off = (double)keys[q][i] - true_key(&s, a, b, q > 0);
            if (fabs(off) > 5 * sigma) {
                fail_msg("bits %u dim %u distance %d query %zu row %zu: off by %g, %g sigma",
                         s.space.code->bits, dim, (int)distance, q, i, off, off / sigma);
            }
        }
    }
    shelf_free(&s);
}

static void no_key_is_far_off(void **state)
{
    (void)state;
    (void)index_choose_kernel(NULL);
    everywhere(look_at_errors);
}

/* The error of @n products of pairs, over their lengths: its mean and its root mean square. */
static void measure(enum index_code kind, enum distance distance, uint32_t dim, size_t n,
                    double *mean, double *rms)
{
    double sum = 0, squares = 0;
    size_t n_keys = 0;
    for (uint64_t seed = 1; n_keys < n; seed++, n_keys += ROWS) {
        float *points = points_new(SHAPE_UNIFORM, ROWS + 1, dim, seed);
        struct shelf s = shelf_new(kind, distance, dim, points);
        float keys[QUERIES][ROWS];
        keys_of_queries(&s, ROWS, keys);
        const float *query = points + ROWS * (size_t)dim;
        double query_squares = product(query, query, dim);
        for (size_t i = 0; i < ROWS; i++) {
            const float *row = points + i * (size_t)dim;
            double row_squares = product(row, row, dim), estimate = -(double)keys[0][i];
            if (distance == DISTANCE_L2) {
                estimate = (query_squares + row_squares + estimate) / 2;
            }
            double off = (estimate - product(query, row, dim)) / sqrt(query_squares * row_squares);
            sum += off;
            squares += off * off;
        }
        shelf_free(&s);
    }
    *mean = sum / (double)n_keys;
    *rms = sqrt(squares / (double)n_keys);
}

static void estimates_have_no_bias_and_the_error_that_they_claim(void **state)
{
    (void)state;
    (void)index_choose_kernel(NULL);
    enum {
        N = GOOD_MEASURE(20000, 4000)
    };
    static const struct {
        enum distance distance;
        uint32_t dim;
    } cases[] = {
        {DISTANCE_COSINE, 64}, {DISTANCE_COSINE, 100}, {DISTANCE_COSINE, 128},
        {DISTANCE_L2, 128},    {DISTANCE_DOT, 128},    {DISTANCE_COSINE, 512},
    };
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            uint32_t dim = cases[i].dim;
            enum distance distance = cases[i].distance;
            double mean, rms, claimed = (double)code_of(kinds[k])->error(dim, distance);
            measure(kinds[k], distance, dim, N, &mean, &rms);
            if (rms > 1.1 * claimed || rms < 0.7 * claimed || fabs(mean) > 5 * rms / sqrt(N)) {
                fail_msg("bits %u dim %u distance %d: error %g, claimed %g; mean %g",
                         code_of(kinds[k])->bits, dim, (int)distance, rms, claimed, mean);
            }
        }
    }
}

static void a_key_of_two_rows_is_the_same_from_both_sides(void **state)
{
    (void)state;
    (void)index_choose_kernel(NULL);
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        for (size_t d = 0; d < COUNT_OF(distances); d++) {
            struct shelf s =
                shelf_new(kinds[k], distances[d], 101, points_new(SHAPE_UNIFORM, ROWS + 1, 101, 5));
            float keys[QUERIES][ROWS];
            keys_of_queries(&s, ROWS, keys);
            assert_memory_equal(&keys[1][1], &keys[2][0], sizeof(float));
            shelf_free(&s);
        }
    }
}

static void look_at_a_rotation(uint32_t dim)
{
    float *points = points_new(SHAPE_UNIFORM, 3, dim, dim);
    struct bits_room *rooms = aligned_new(3 * sizeof(*rooms));
    memset(points + 2 * dim, 0, dim * sizeof(float)); /* One axis. */
    points[2 * dim + dim / 3] = 1;
    for (size_t i = 0; i < 3; i++) {
        bits_chosen()->rotate(points + i * dim, dim, 1, rooms[i].x);
    }
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 3; j++) {
            double before = product(points + i * dim, points + j * dim, dim);
            double after = product(rooms[i].x, rooms[j].x, dim);
            assert_true(fabs(after - before) < 1e-5 * (1 + sqrt((double)dim)));
        }
    }
    /* An axis is spread over all dimensions. */
    for (uint32_t i = 0; dim >= 64 && i < dim; i++) {
        assert_true(fabsf(rooms[2].x[i]) < 6 / sqrtf((float)dim));
    }
    free(rooms);
    free(points);
}

static void the_rotation_keeps_lengths_and_products_and_spreads_an_axis(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        if (!index_choose_kernel(kernels[k])) {
            continue;
        }
        for (uint32_t dim = 1; dim <= SMALL_DIM_MAX; dim++) {
            look_at_a_rotation(dim);
        }
        for (size_t i = 0; i < COUNT_OF(large_dims); i++) {
            look_at_a_rotation(large_dims[i]);
        }
    }
}

/* Vectors at the ends of what floats can hold, in a fixed order. */
static float *extreme_points(uint32_t dim)
{
    static const float sizes[] = {0,     FLT_TRUE_MIN, FLT_MIN, 1e-30F, 1e-10F,
                                  1e10F, 1e19F,        1e30F,   3e38F,  FLT_MAX};
    float *points = points_new(SHAPE_UNIFORM, ROWS + 1, dim, 3);
    for (size_t i = 0; i <= ROWS; i++) {
        for (uint32_t j = 0; j < dim; j++) {
            float *x = &points[i * dim + j], size = sizes[i % COUNT_OF(sizes)];
            *x = i < COUNT_OF(sizes) ? copysignf(size, *x) : *x * size;
        }
    }
    return points;
}

static void look_at_extremes(enum index_code kind, enum distance distance, uint32_t dim)
{
    if (distance == DISTANCE_COSINE || dim > 512) {
        return; /* Its vectors have length 1. */
    }
    struct shelf s = shelf_new(kind, distance, dim, extreme_points(dim));
    float keys[QUERIES][ROWS];
    struct code_query query;
    for (size_t q = 0; q <= ROWS; q++) {
        s.space.code->query(&s.space, s.vectors + q * dim, s.room, &query);
        assert_true(query.squares >= 0 && query.squares <= FLT_MAX);
        all_keys(&s, &query, ROWS, keys[0]);
        for (size_t i = 0; i < ROWS; i++) {
            assert_true(keys[0][i] <= INFINITY); /* NaN is not. */
        }
        /* Row 0 is the zero vector. */
        assert_true(keys[0][0] == (distance == DISTANCE_L2 ? query.squares : 0));
    }
    for (uint32_t slot = 0; slot < ROWS; slot++) {
        s.space.code->query_of_row(&s.space, slot, s.own, &query);
        all_keys(&s, &query, ROWS, keys[0]);
        for (size_t i = 0; i < ROWS; i++) {
            assert_true(keys[0][i] <= INFINITY); /* NaN is not. */
        }
    }
    shelf_free(&s);
}

static void zero_tiny_and_huge_vectors_have_keys(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        if (index_choose_kernel(kernels[k])) {
            everywhere(look_at_extremes);
        }
    }
}

/* The same vectors, scaled by a power of two: levels are the same, and the factor follows. */
static void a_scaled_vector_has_the_same_levels(void **state)
{
    (void)state;
    (void)index_choose_kernel(NULL);
    enum {
        DIM = 77
    };
    for (int exponent = -100; exponent <= 100; exponent += 20) {
        float *points = points_new(SHAPE_UNIFORM, ROWS + 1, DIM, 9);
        for (size_t j = 0; j < DIM; j++) {
            points[DIM + j] = ldexpf(points[j], exponent);
        }
        struct shelf s = shelf_new(INDEX_CODE_4, DISTANCE_DOT, DIM, points);
        size_t at = factor_at(4, DIM);
        assert_memory_equal(s.rows, s.rows + s.space.stride, at);
        float factors[2];
        memcpy(&factors[0], s.rows + at, sizeof(float));
        memcpy(&factors[1], s.rows + s.space.stride + at, sizeof(float));
        assert_true(fabsf(ldexpf(factors[0], exponent) / factors[1] - 1) < 1e-6F);
        shelf_free(&s);
    }
}

/* The last row ends where memory that may be read does. */
static void look_at_the_edge(enum index_code kind, enum distance distance, uint32_t dim)
{
    struct shelf s = shelf_new(kind, distance, dim, points_new(SHAPE_UNIFORM, ROWS + 1, dim, dim));
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = ROWS * s.space.stride;
    size_t mapped = (bytes + page - 1) / page * page;
    uint8_t *memory = aligned_alloc(page, mapped + page);
    assert_non_null(memory);
    assert_int_equal(mprotect(memory + mapped, page, PROT_NONE), 0);
    uint8_t *heap = s.rows;
    s.rows = memory + mapped - bytes;
    s.space.rows = s.rows;
    memcpy(s.rows, heap, bytes);
    float keys[QUERIES][ROWS];
    struct code_query query;
    keys_of_queries(&s, 5, keys);
    s.space.code->query_of_row(&s.space, ROWS - 1, s.own, &query);
    all_keys(&s, &query, ROWS, keys[0]);
    assert_int_equal(mprotect(memory + mapped, page, PROT_READ | PROT_WRITE), 0);
    free(memory);
    s.rows = heap;
    shelf_free(&s);
}

static void nothing_behind_the_last_row_is_read(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        if (index_choose_kernel(kernels[k])) {
            everywhere(look_at_the_edge);
        }
    }
}

/* Replicas may run on machines of other kinds. */
static void keys_are_those_of_other_machines(void **state)
{
    (void)state;
    (void)index_choose_kernel(NULL);
    static const struct {
        enum index_code kind;
        uint32_t dim, sum;
    } cases[] = {{INDEX_CODE_F32, 117, 0x08078be1},
                 {INDEX_CODE_8, 117, 0x1957d932},
                 {INDEX_CODE_4, 117, 0xc75765c8},
                 {INDEX_CODE_4, 256, 0x2d64a6e2},
                 {INDEX_CODE_2, 117, 0xc9ea304e}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint32_t sum = 0;
        for (size_t d = 0; d < COUNT_OF(distances); d++) {
            struct shelf s = shelf_new(cases[i].kind, distances[d], cases[i].dim,
                                       points_new(SHAPE_UNIFORM, ROWS + 1, cases[i].dim, 1));
            float keys[QUERIES][ROWS];
            keys_of_queries(&s, ROWS, keys);
            sum = crc32c(sum, keys, sizeof(keys));
            shelf_free(&s);
        }
        if (sum != cases[i].sum) {
            fail_msg("%s, dim %u: 0x%08x", code_of(cases[i].kind)->name, cases[i].dim, sum);
        }
    }
}

static void rows_fill_whole_lines_of_the_cache_or_an_even_part(void **state)
{
    (void)state;
    assert_int_equal(code_4.row_bytes(100, DISTANCE_L2), 64);
    assert_int_equal(code_4.row_bytes(100, DISTANCE_COSINE), 64);
    assert_int_equal(code_2.row_bytes(100, DISTANCE_COSINE), 32);
    assert_int_equal(code_4.row_bytes(500, DISTANCE_COSINE), 256);
    assert_int_equal(code_4.row_bytes(500, DISTANCE_DOT), 260);
    assert_int_equal(code_8.row_bytes(1, DISTANCE_L2), 16);
    /* Levels that fill their lines carry the numbers themselves. */
    for (size_t d = 0; d < COUNT_OF(distances); d++) {
        assert_int_equal(code_4.row_bytes(128, distances[d]), 64);
        assert_int_equal(code_4.row_bytes(768, distances[d]), 384);
    }
}

/* Checkpoints hold rows: with other signs, rounds or levels a new format is due. */
static void rows_are_those_of_checkpoints_that_were_written_before(void **state)
{
    (void)state;
    (void)index_choose_kernel(NULL);
    static const struct {
        uint32_t dim, sums[COUNT_OF(kinds)];
    } cases[] = {
        {7, {0x87aba337, 0xaf801605, 0x13ef1957}},
        {100, {0xbe7b95a6, 0xb604a0b6, 0xcff61c65}},
        {128, {0xf882adc7, 0x67456c90, 0x99073e29}},
        {768, {0xa4209440, 0x6de3dea0, 0x4d4ceb1e}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            struct shelf s = shelf_new(kinds[k], DISTANCE_L2, cases[i].dim,
                                       points_new(SHAPE_UNIFORM, ROWS + 1, cases[i].dim, 1));
            uint32_t sum = crc32c(0, s.rows, ROWS * s.space.stride);
            if (sum != cases[i].sums[k]) {
                fail_msg("bits %u dim %u: 0x%08x", s.space.code->bits, cases[i].dim, sum);
            }
            shelf_free(&s);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_makes_the_same_rows_and_keys),
        cmocka_unit_test(no_key_is_far_off),
        cmocka_unit_test(estimates_have_no_bias_and_the_error_that_they_claim),
        cmocka_unit_test(a_key_of_two_rows_is_the_same_from_both_sides),
        cmocka_unit_test(the_rotation_keeps_lengths_and_products_and_spreads_an_axis),
        cmocka_unit_test(zero_tiny_and_huge_vectors_have_keys),
        cmocka_unit_test(a_scaled_vector_has_the_same_levels),
        cmocka_unit_test(nothing_behind_the_last_row_is_read),
        cmocka_unit_test(rows_are_those_of_checkpoints_that_were_written_before),
        cmocka_unit_test(keys_are_those_of_other_machines),
        cmocka_unit_test(rows_fill_whole_lines_of_the_cache_or_an_even_part),
    };
    return cmocka_run_group_tests_name("codes of few bits", tests, NULL, NULL);
}
