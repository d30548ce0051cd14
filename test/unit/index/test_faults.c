/* Memory that runs out anywhere: an error, nothing lost, and the same graph in the end. */
#include "fixture.h"

#include <stdlib.h>

enum {
    DIM = 8,
    N = 400
};

static float *points;

/* Repeats a call, with its n-th allocation failing, n = 1, 2, 3 ... until it passes.  The threads'
 * scratch is dropped each time, so that its allocations are among them. */
struct ordeal {
    struct index *index;
    uint64_t nth;
};

static void ordeal_next(struct ordeal *o)
{
    index_thread_exit();
    fault_arm(FAULT_MALLOC, ++o->nth, 1);
}

static void insert_bravely(struct index *index, uint64_t first, size_t n)
{
    uint64_t rows[N];
    for (size_t i = 0; i < n; i++) {
        rows[i] = first + i;
    }
    struct ordeal o = {.index = index};
    struct err err;
    enum errcode code;
    do {
        size_t before = index_count(index);
        ordeal_next(&o);
        code = stage(index, first + 1, rows, points + first * DIM, n, &err);
        assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
        assert_int_equal(index_count(index), before + (code == ERR_OK ? n : 0));
    } while (code != ERR_OK);
    assert_true(o.nth > 1);
}

static void advance_bravely(struct index *index)
{
    struct ordeal o = {.index = index};
    struct err err;
    struct index_hit hit;
    while (index_pending(index) > 0) {
        size_t n_done = 0, pending = index_pending(index);
        ordeal_next(&o);
        enum errcode code = index_advance(index, 1, NULL, &n_done, &err);
        fault_disarm_all();
        assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
        assert_int_equal(index_pending(index), pending - n_done);
        assert_true(code == ERR_OK || n_done == 0);
        o.nth = code == ERR_OK ? 0 : o.nth;
        assert_int_equal(find(index, INDEX_WALK, points, 1, 10, &hit), 1);
    }
}

static void delete_bravely(struct index *index, uint64_t row)
{
    struct ordeal o = {.index = index};
    struct err err;
    enum errcode code;
    do {
        size_t before = index_count(index);
        ordeal_next(&o);
        code = index_stage_delete(index, N + row, &row, 1, &err);
        assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
        assert_int_equal(index_count(index), before - (code == ERR_OK ? 1 : 0));
    } while (code != ERR_OK);
    fault_disarm_all();
}

/* As after a restart. */
static struct index *saved_and_loaded(struct index *index, const struct index_config *config)
{
    struct stream s = {.data = NULL};
    struct err err = {0};
    struct index *loaded = index_make(config);
    assert_int_equal(index_save(index, stream_write, &s, &(uint32_t){0}, &err), ERR_OK);
    assert_int_equal(load(loaded, &s, &err), ERR_OK);
    stream_fini(&s);
    index_free(index);
    return loaded;
}

static void a_history_full_of_failures_makes_the_same_graph(void **state)
{
    (void)state;
    if (!fault_is_built()) {
        skip();
    }
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, DIM);
    struct index *brave = index_make(&config), *calm = index_make(&config);
    for (uint64_t row = 0; row < N; row += 100) {
        insert_bravely(brave, row, 100);
        fault_disarm_all();
        stage_rows(calm, points + row * DIM, DIM, row, 100, 100);
    }
    advance_bravely(brave);
    brave = saved_and_loaded(brave, &config);
    for (uint64_t row = 1; row < N; row += 3) {
        delete_bravely(brave, row);
        stage_delete(calm, N + row, row);
    }
    advance_bravely(brave);
    advance_all(calm, N, NULL);
    assert_true(index_digest(brave) == index_digest(calm));
    assert_int_equal(index_count(brave), index_count(calm));
    index_free(brave);
    index_free(calm);
}

/* From the row on with which the centre of L2's codes is looked for. */
static void a_centre_that_memory_was_short_for_makes_the_same_graph(void **state)
{
    (void)state;
    enum {
        ROWS = 1100,
        BEFORE = 1024
    };
    if (!fault_is_built()) {
        skip();
    }
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, DIM);
    config.code = INDEX_CODE_4;
    float *far = points_new(SHAPE_CLUSTERED, ROWS, DIM, 2);
    for (size_t i = 0; i < (size_t)ROWS * DIM; i++) {
        far[i] += 8;
    }
    struct index *brave = index_make(&config), *calm = index_make(&config);
    stage_rows(brave, far, DIM, 0, ROWS, 64);
    stage_rows(calm, far, DIM, 0, ROWS, 64);
    advance_all(calm, ROWS, NULL);
    while (index_pending(brave) > ROWS - BEFORE) {
        struct err err;
        size_t n_done;
        assert_int_equal(index_advance(brave, 1, NULL, &n_done, &err), ERR_OK);
    }
    advance_bravely(brave);
    assert_true(index_digest(brave) == index_digest(calm));
    brave = saved_and_loaded(brave, &config);
    assert_true(index_digest(brave) == index_digest(calm));
    index_free(brave);
    index_free(calm);
    free(far);
}

static void making_saving_loading_and_searching_fail_cleanly(void **state)
{
    (void)state;
    if (!fault_is_built()) {
        skip();
    }
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_COSINE, DIM);
    struct err err;
    struct ordeal o = {.nth = 0};
    struct index *index = NULL;
    while (index == NULL) {
        ordeal_next(&o);
        index = index_new(&config, &err);
    }
    assert_true(o.nth > 4);
    fault_disarm_all();
    stage_rows(index, points, DIM, 0, N, N);
    advance_all(index, N - 64, NULL);

    enum errcode code = ERR_OUT_OF_MEMORY;
    struct stream s = {.data = NULL};
    for (o.nth = 0; code != ERR_OK;) {
        stream_fini(&s);
        ordeal_next(&o);
        code = index_save(index, stream_write, &s, &(uint32_t){0}, &err);
        assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
    }
    assert_true(o.nth > 3);

    code = ERR_OUT_OF_MEMORY;
    for (o.nth = 0; code != ERR_OK;) {
        fault_disarm_all();
        struct index *loaded = index_make(&config);
        ordeal_next(&o);
        code = load(loaded, &s, &err);
        assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
        fault_disarm_all();
        index_free(loaded);
    }
    assert_true(o.nth > 3);
    stream_fini(&s);

    for (enum index_plan plan = INDEX_WALK; plan <= INDEX_EXACT; plan++) {
        code = ERR_OUT_OF_MEMORY;
        for (o.nth = 0; code != ERR_OK;) {
            struct index_search search = {.query = points, .k = 5, .ef = 20, .plan = plan};
            struct index_hit hits[5];
            struct index_work work = {0};
            size_t n_hits;
            ordeal_next(&o);
            code = index_search(index, &search, hits, &n_hits, &work, &err);
            assert_true(code == ERR_OK || (code == ERR_OUT_OF_MEMORY && n_hits == 0));
            assert_true(code != ERR_OK || (n_hits == 5 && hits[0].row == 0));
        }
        assert_true(o.nth > 2);
    }
    fault_disarm_all();
    index_free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_history_full_of_failures_makes_the_same_graph),
        cmocka_unit_test(a_centre_that_memory_was_short_for_makes_the_same_graph),
        cmocka_unit_test(making_saving_loading_and_searching_fail_cleanly),
    };
    points = points_new(SHAPE_CLUSTERED, N, DIM, 1);
    (void)index_choose_kernel(NULL);
    int failed = cmocka_run_group_tests_name("index faults", tests, NULL, NULL);
    index_thread_exit();
    free(points);
    return failed;
}
