/* DOT's radius: the rows decide it, and nothing else does. */
#include "fixture.h"
#include "index/graph_int.h"

#include <math.h>
#include <stdlib.h>

enum {
    DIM = 32,
    STEP = 512,
    N_TRIED = 8192, /* The first trial is before the next chunk is linked. */
    N = N_TRIED + STEP,
    BRAVE_STEPS = 10 /* So many steps of a trial lack memory, and later each of so many. */
};

/* Of any direction, and up to three times as long as others: the short radius finds them with
 * half of the distances. */
static float *scattered;
/* All of one direction, more or less: the long radius does. */
static float *narrow;

static const struct index_config config = {.kind = INDEX_HNSW,
                                           .distance = DISTANCE_DOT,
                                           .dim = DIM,
                                           .m = 12,
                                           .ef_construction = 40,
                                           .seed = 99};

static int make_points(void **state)
{
    (void)state;
    uint64_t random = 3;
    scattered = points_new(SHAPE_UNIFORM, N, DIM, 1);
    narrow = points_new(SHAPE_UNIFORM, N, DIM, 2);
    for (size_t i = 0; i < N; i++) {
        float squares = 0, length = 1 + 0.5F * random_float(&random);
        for (size_t j = 0; j < DIM; j++) {
            squares += scattered[i * DIM + j] * scattered[i * DIM + j];
        }
        for (size_t j = 0; j < DIM; j++) {
            scattered[i * DIM + j] *= length / sqrtf(squares);
            narrow[i * DIM + j] += 1;
        }
    }
    return 0;
}

static int drop_points(void **state)
{
    (void)state;
    free(scattered);
    free(narrow);
    return 0;
}

static struct index *saved_and_loaded(struct index *index)
{
    struct stream s = {.data = NULL};
    struct err err = {0};
    struct index *loaded = index_make(&config);
    assert_int_equal(index_save(index, stream_write, &s, &(uint32_t){0}, &err), ERR_OK);
    assert_int_equal(load(loaded, &s, &err), ERR_OK);
    stream_fini(&s);
    return loaded;
}

/* The log again, from its beginning: what the checkpoint has is passed over. */
static void replay(struct index *index)
{
    stage_rows(index, scattered, DIM, 0, N, STEP);
    advance_all(index, N, NULL);
}

static void advance_to_trial(struct index *index, size_t n_steps)
{
    struct err err = {0};
    size_t n_done;
    while (atomic_load(&index->n_linked) < N_TRIED) {
        assert_int_equal(index_advance(index, 1, NULL, &n_done, &err), ERR_OK);
    }
    for (size_t i = 0; i < n_steps; i++) {
        assert_int_equal(index_advance(index, 1, NULL, &n_done, &err), ERR_OK);
        assert_int_equal(n_done, 0);
        assert_non_null(index->trial);
    }
}

static void scattered_rows_take_the_short_radius_wherever_a_checkpoint_falls(void **state)
{
    (void)state;
    struct index *index = index_make(&config);
    stage_rows(index, scattered, DIM, 0, N, STEP);
    advance_to_trial(index, 70);
    struct index *within = saved_and_loaded(index);
    advance_all(index, 100, &crew_of_threads);
    struct index *after = saved_and_loaded(index);
    assert_int_equal(within->tried_at, 0);
    replay(within);
    replay(after);
    assert_int_equal(within->radius, RADIUS_SHORT);
    assert_int_equal(after->radius, RADIUS_SHORT);
    assert_int_equal(after->tried_at, N_TRIED);
    assert_true(atomic_load(&after->reduction) < atomic_load(&after->length_usual));
    assert_true(index_digest(within) == index_digest(index));
    assert_true(index_digest(after) == index_digest(index));
    index_free(index); /* And one that is on trial is freed as a whole. */
    index_free(within);
    index_free(after);
}

static void every_kernel_comes_to_the_same_graph(void **state)
{
    (void)state;
    if (GOOD_MEASURE(false, true)) {
        skip();
    }
    struct index_config coded = config;
    coded.code = INDEX_CODE_4;
    const char *kernels[] = {NULL, "scalar"};
    uint64_t digests[COUNT_OF(kernels)];
    for (size_t i = 0; i < COUNT_OF(kernels); i++) {
        assert_true(index_choose_kernel(kernels[i]));
        struct index *index = index_make(&coded);
        stage_rows(index, scattered, DIM, 0, N, STEP);
        advance_all(index, N, NULL);
        assert_int_equal(index->radius, RADIUS_SHORT);
        digests[i] = index_digest(index);
        index_free(index);
    }
    assert_true(index_choose_kernel(NULL));
    assert_true(digests[0] == digests[1]);
}

/* And what comes when they are gone may be of another kind. */
static void rows_of_one_direction_stay_with_the_long_radius(void **state)
{
    (void)state;
    uint64_t rows[N];
    struct err err = {0};
    if (GOOD_MEASURE(false, true)) {
        skip();
    }
    struct index *index = index_make(&config);
    stage_rows(index, narrow, DIM, 0, N, STEP);
    advance_all(index, N, NULL);
    assert_int_equal(index->radius, RADIUS_LONG);
    assert_int_equal(index->tried_at, N_TRIED);
    assert_false(atomic_load(&index->reduction) < atomic_load(&index->length_usual));
    for (size_t i = 0; i < N; i++) {
        rows[i] = i;
    }
    assert_int_equal(index_stage_delete(index, N + 1, rows, N, &err), ERR_OK);
    advance_all(index, N, NULL);
    assert_int_equal(index->tried_at, 0);
    for (uint64_t first = 0; first < N; first += STEP) {
        for (uint64_t i = 0; i < STEP; i++) {
            rows[i] = N + first + i;
        }
        assert_int_equal(stage(index, rows[0] + 1, rows, scattered + first * DIM, STEP, &err),
                         ERR_OK);
    }
    advance_all(index, N, NULL);
    assert_int_equal(index->radius, RADIUS_SHORT);
    assert_int_equal(index->tried_at, N_TRIED);
    index_free(index);
}

static void a_trial_without_memory_goes_on_when_there_is_some(void **state)
{
    (void)state;
    if (!fault_is_built()) {
        skip();
    }
    struct index *index = index_make(&config);
    stage_rows(index, scattered, DIM, 0, N, STEP);
    advance_to_trial(index, 0);
    size_t n_failures = 0, n_steps = 0;
    for (uint64_t nth = 1; index->tried_at == 0;) {
        size_t n_done;
        struct err err = {0};
        index_thread_exit();
        if (n_steps < BRAVE_STEPS || n_steps % BRAVE_STEPS == 0) {
            fault_arm(FAULT_MALLOC, nth, 1);
        }
        enum errcode code = index_advance(index, 1, NULL, &n_done, &err);
        fault_disarm_all();
        assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
        nth = code == ERR_OK ? 1 : nth + 1;
        n_steps += code == ERR_OK ? 1 : 0;
        n_failures += code == ERR_OK ? 0 : 1;
    }
    assert_true(n_failures > BRAVE_STEPS);
    assert_int_equal(index->radius, RADIUS_SHORT);
    index_free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scattered_rows_take_the_short_radius_wherever_a_checkpoint_falls),
        cmocka_unit_test(every_kernel_comes_to_the_same_graph),
        cmocka_unit_test(rows_of_one_direction_stay_with_the_long_radius),
        cmocka_unit_test(a_trial_without_memory_goes_on_when_there_is_some),
    };
    (void)index_choose_kernel(NULL);
    int failed = cmocka_run_group_tests_name("index trials", tests, make_points, drop_points);
    index_thread_exit();
    return failed;
}
