/* Deleted rows: gone from searches at once, from the graph by sweeps, and their memory after them.
 * The graph follows from the log, however the work is cut and whatever checkpoints fall between. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

enum {
    DIM = 12,
    ROWS_MAX = 6000,
    CALLS_MAX = GOOD_MEASURE(120, 50),
    BATCH_MAX = 200,
    EF = 60,
    K = 10,
    N = GOOD_MEASURE(1500, 700),
};

static float *points;

static int make_points(void **state)
{
    (void)state;
    points = points_new(SHAPE_CLUSTERED, ROWS_MAX, DIM, 1);
    for (size_t row = 0; row < ROWS_MAX; row++) {
        if (row % 7 == 0) {
            memcpy(points + row * DIM, points + row % 5 * DIM, DIM * sizeof(*points)); /* Copies. */
        }
    }
    return 0;
}

static int drop_points(void **state)
{
    (void)state;
    free(points);
    return 0;
}

static struct index_config config_with(enum index_code code, enum distance distance)
{
    struct index_config config = config_of(INDEX_HNSW, distance, DIM);
    config.code = code;
    return config;
}

static void delete_rows(struct index *index, uint64_t sequence, const uint64_t *rows, size_t n)
{
    struct err err;
    assert_int_equal(index_stage_delete(index, sequence, rows, n, &err), ERR_OK);
}

static void delete_range(struct index *index, uint64_t sequence, uint64_t first, uint64_t end)
{
    uint64_t rows[ROWS_MAX];
    for (uint64_t row = first; row < end; row++) {
        rows[row - first] = row;
    }
    delete_rows(index, sequence, rows, (size_t)(end - first));
}

static void all_is_well(struct index *index)
{
    struct err err;
    size_t n = SIZE_MAX;
    assert_int_equal(index_unreachable(index, &n, &err), ERR_OK);
    assert_int_equal(n, 0);
}

static size_t rows_in_graph(struct index *index)
{
    struct index_figures figures;
    index_figures(index, &figures);
    return figures.rows + figures.dead;
}

/* ---- a log, and who applies it ---- */

/* A call inserts rows first .. first + n - 1, or deletes what stands in rows. */
struct call {
    bool is_delete;
    uint64_t first;
    size_t n;
    uint64_t rows[BATCH_MAX];
};

struct history {
    struct call calls[CALLS_MAX];
    size_t n;
    uint64_t n_rows;
};

static void add_insert(struct history *h, size_t n)
{
    struct call *call = &h->calls[h->n++];
    *call = (struct call){.first = h->n_rows, .n = n};
    h->n_rows += n;
    assert_true(h->n_rows <= ROWS_MAX);
}

/* Rows that are there or not, near each other in number or not; some twice. */
static void add_delete(struct history *h, size_t n, uint64_t *random)
{
    struct call *call = &h->calls[h->n++];
    bool is_range = random_next(random) % 3 == 0;
    uint64_t first = random_next(random) % h->n_rows;
    *call = (struct call){.is_delete = true, .n = n};
    for (size_t i = 0; i < n; i++) {
        call->rows[i] = (is_range ? first + i : random_next(random)) % (h->n_rows + 3);
    }
}

static struct history *history_new(uint64_t seed)
{
    struct history *h = calloc(1, sizeof(*h));
    uint64_t random = seed;
    assert_non_null(h);
    add_insert(h, 300);
    while (h->n < CALLS_MAX) {
        uint64_t dice = random_next(&random) % 10;
        size_t n = 1 + random_next(&random) % (dice % 2 == 0 ? 5 : BATCH_MAX - 1);
        if (dice < 4 && h->n_rows + n < ROWS_MAX) {
            add_insert(h, n);
        } else if (dice < 8) {
            add_delete(h, n, &random);
        }
    }
    return h;
}

/* Log index i + 1. */
static void apply_call(struct index *index, const struct history *h, size_t i)
{
    const struct call *call = &h->calls[i];
    if (call->is_delete) {
        delete_rows(index, i + 1, call->rows, call->n);
    } else {
        uint64_t numbers[ROWS_MAX];
        struct err err;
        for (size_t at = 0; at < call->n; at++) {
            numbers[at] = call->first + at;
        }
        assert_int_equal(stage(index, i + 1, numbers, points + call->first * DIM, call->n, &err),
                         ERR_OK);
    }
}

static struct index *saved_and_loaded(struct index *index, const struct index_config *config)
{
    struct stream s = {.data = NULL};
    struct err err;
    uint32_t digest;
    struct index *loaded = index_make(config);
    assert_int_equal(index_save(index, stream_write, &s, &digest, &err), ERR_OK);
    if (load(loaded, &s, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
    stream_fini(&s);
    index_free(index);
    return loaded;
}

static uint64_t digest_of(struct index *index)
{
    uint64_t digest = index_digest(index);
    all_is_well(index);
    index_free(index);
    return digest;
}

static uint64_t apply_calmly(const struct history *h, const struct index_config *config)
{
    struct index *index = index_make(config);
    for (size_t i = 0; i < h->n; i++) {
        apply_call(index, h, i);
        advance_all(index, SIZE_MAX, NULL);
    }
    return digest_of(index);
}

/* In small steps that fall anywhere, by a crew, with checkpoints anywhere and replays from them. */
static uint64_t apply_wildly(const struct history *h, const struct index_config *config,
                             uint64_t seed)
{
    struct index *index = index_make(config);
    uint64_t random = seed;
    for (size_t i = 0; i < h->n; i++) {
        apply_call(index, h, i);
        for (uint64_t steps = random_next(&random) % 6; steps > 0; steps--) {
            struct err err;
            size_t n_done;
            const struct index_crew *crew =
                random_next(&random) % 16 == 0 ? &crew_of_threads : NULL;
            size_t rows_max = 1 + random_next(&random) % 20;
            assert_int_equal(index_advance(index, rows_max, crew, &n_done, &err), ERR_OK);
        }
        if (random_next(&random) % 8 == 0) {
            all_is_well(index); /* As whoever writes a checkpoint looks. */
            index = saved_and_loaded(index, config);
            all_is_well(index);
            for (size_t again = (size_t)index_sequence(index); again <= i; again++) {
                apply_call(index, h, again);
            }
        }
    }
    advance_all(index, 3, NULL);
    return digest_of(index);
}

static void the_graph_follows_from_the_log_alone(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= GOOD_MEASURE(2, 1); seed++) {
        struct history *h = history_new(seed);
        for (enum index_code code = INDEX_CODE_F32; code <= INDEX_CODE_2; code++) {
            struct index_config config = config_with(code, (enum distance)(seed % 3));
            uint64_t calm = apply_calmly(h, &config);
            assert_true(apply_wildly(h, &config, seed) == calm);
            assert_true(apply_wildly(h, &config, seed + 100) == calm);
        }
        free(h);
    }
}

/* ---- what stays, and until when ---- */

static struct index *make_graph(const struct index_config *config, size_t n)
{
    struct index *index = index_make(config);
    stage_rows(index, points, DIM, 0, n, 100);
    advance_all(index, SIZE_MAX, NULL);
    return index;
}

static void dead_rows_are_walked_through_and_never_returned(void **state)
{
    (void)state;
    struct index_config config = config_with(INDEX_CODE_F32, DISTANCE_L2);
    struct index *index = make_graph(&config, N);
    delete_range(index, N, 100, 163);
    advance_all(index, SIZE_MAX, NULL);
    assert_int_equal(rows_in_graph(index), N);
    assert_int_equal(index_count(index), N - 63);
    for (uint64_t row = 100; row < 163; row++) {
        struct index_hit hits[K];
        size_t n = find(index, INDEX_WALK, points + row * DIM, K, EF, hits);
        assert_int_equal(n, K);
        for (size_t i = 0; i < n; i++) {
            assert_true(hits[i].row < 100 || hits[i].row >= 163);
        }
    }
    delete_range(index, N, 163, 164); /* The sixty-fourth. */
    advance_all(index, SIZE_MAX, NULL);
    assert_int_equal(rows_in_graph(index), N > 64 * 16 ? N : N - 64);
    delete_range(index, N, 164, 300);
    advance_all(index, SIZE_MAX, NULL);
    assert_int_equal(rows_in_graph(index), N - 200);
    all_is_well(index);
    index_free(index);
}

static void a_collection_that_is_emptied_gives_its_memory_back(void **state)
{
    (void)state;
    for (enum index_code code = INDEX_CODE_F32; code <= INDEX_CODE_4; code += 2) {
        struct index_config config = config_with(code, DISTANCE_COSINE);
        struct index *index = make_graph(&config, N);
        struct index_figures before, after;
        index_figures(index, &before);
        delete_range(index, N, 0, N);
        size_t n_done;
        struct err err;
        assert_int_equal(index_advance(index, N, NULL, &n_done, &err), ERR_OK);
        assert_int_equal(n_done, N); /* At once. */
        index_figures(index, &after);
        assert_int_equal(after.rows + after.dead + after.vacant, 0);
        assert_int_equal(after.code_bytes, 0);
        assert_true(after.graph_bytes < before.graph_bytes / 20);
        stage_rows(index, points, DIM, N, N, 100);
        advance_all(index, SIZE_MAX, NULL);
        all_is_well(index);
        index_figures(index, &after);
        assert_int_equal(after.code_bytes, before.code_bytes);
        index_free(index);
    }
}

static void slots_are_used_again(void **state)
{
    (void)state;
    struct index_config config = config_with(INDEX_CODE_F32, DISTANCE_L2);
    struct index *index = make_graph(&config, N);
    struct index_figures before, after;
    index_figures(index, &before);
    for (uint64_t row = N; row < 2 * N; row++) { /* One row comes and goes. */
        stage_rows(index, points, DIM, row, 1, 1);
        delete_range(index, row + 1, row, row + 1);
        advance_all(index, SIZE_MAX, NULL);
    }
    index_figures(index, &after);
    assert_int_equal(after.rows, N);
    assert_true(after.dead < 64 + N / 16);
    assert_true(after.code_bytes <= before.code_bytes + (64 + N / 8) * DIM * sizeof(float));
    assert_int_equal(after.vacant, after.code_bytes / (DIM * sizeof(float)) - N);
    assert_true(after.vacant >= after.dead);
    all_is_well(index);
    index_free(index);
}

/* ---- hard cases ---- */

static void rows_of_every_kind_can_go(void **state)
{
    (void)state;
    for (enum index_code code = INDEX_CODE_F32; code <= INDEX_CODE_2; code++) {
        struct index_config config = config_with(code, DISTANCE_L2);
        struct index *index = make_graph(&config, N);
        delete_range(index, N, 0, 200); /* The first, which is the root, and mostly the entry. */
        stage_rows(index, points, DIM, N, 300, 50);
        delete_range(index, N + 301, N + 100, N + 250); /* Rows that are not linked yet. */
        advance_all(index, 7, NULL);
        all_is_well(index);
        while (index_count(index) > 20) { /* The nearest ones of some place, all of them. */
            struct index_hit hits[BATCH_MAX];
            uint64_t rows[BATCH_MAX];
            size_t n = find(index, INDEX_EXACT, points + index_count(index) * DIM, BATCH_MAX,
                            BATCH_MAX, hits);
            for (size_t i = 0; i < n; i++) {
                rows[i] = hits[i].row;
            }
            delete_rows(index, N + 302, rows, n);
            advance_all(index, 50, NULL);
            all_is_well(index);
        }
        index_free(index);
    }
}

static void equal_vectors_go_as_others_do(void **state)
{
    (void)state;
    struct index_config config = config_with(INDEX_CODE_F32, DISTANCE_L2);
    struct index *index = index_make(&config);
    float *equal = calloc((size_t)N * DIM, sizeof(float));
    assert_non_null(equal);
    stage_rows(index, equal, DIM, 0, N, 100);
    stage_rows(index, points, DIM, N, 50, 50);
    for (uint64_t row = 0; row < N; row += 50) {
        delete_range(index, N + 51, row, row + 50);
        advance_all(index, SIZE_MAX, NULL);
        all_is_well(index);
    }
    struct index_hit hits[K];
    assert_int_equal(find(index, INDEX_WALK, points, K, EF, hits), K);
    free(equal);
    index_free(index);
}

static void recall_is_that_of_a_fresh_graph(void **state)
{
    (void)state;
    float *queries = points_new(SHAPE_CLUSTERED, 100, DIM, 77);
    for (enum index_code code = INDEX_CODE_F32; code <= INDEX_CODE_4; code += 2) {
        struct index_config config = config_with(code, DISTANCE_L2);
        for (size_t batch = 30; batch <= 300; batch *= 10) {
            struct index *index = make_graph(&config, 2 * N), *fresh = index_make(&config);
            for (uint64_t row = 0; row < 2 * N; row += 2 * batch) { /* One half. */
                uint64_t end = row + batch < 2 * N ? row + batch : 2 * N;
                delete_range(index, 2 * N, row, end);
                advance_all(index, SIZE_MAX, NULL);
                uint64_t left_end = row + 2 * batch < 2 * N ? row + 2 * batch : 2 * N;
                if (left_end > end) {
                    stage_rows(fresh, points + end * DIM, DIM, end, (size_t)(left_end - end), 100);
                }
            }
            advance_all(fresh, SIZE_MAX, NULL);
            if (index_count(fresh) > K) {
                double recall = recall_of(index, queries, DIM, 100, K, EF);
                assert_true(recall > recall_of(fresh, queries, DIM, 100, K, EF) - 0.01);
            }
            index_free(index);
            index_free(fresh);
        }
    }
    free(queries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_graph_follows_from_the_log_alone),
        cmocka_unit_test(dead_rows_are_walked_through_and_never_returned),
        cmocka_unit_test(a_collection_that_is_emptied_gives_its_memory_back),
        cmocka_unit_test(slots_are_used_again),
        cmocka_unit_test(rows_of_every_kind_can_go),
        cmocka_unit_test(equal_vectors_go_as_others_do),
        cmocka_unit_test(recall_is_that_of_a_fresh_graph),
    };
    (void)index_choose_kernel(NULL);
    int failed = cmocka_run_group_tests_name("deleted rows", tests, make_points, drop_points);
    index_thread_exit();
    return failed;
}
