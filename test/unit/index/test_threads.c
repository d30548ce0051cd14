/* Searches while rows come, go and are linked: run under the thread sanitizer too. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    DIM = 8,
    N = GOOD_MEASURE(3000, 1200),
    LIVE = 400,
    LIVE_CENTRED = 1500, /* So many have a centre. */
    N_CENTRED = GOOD_MEASURE(3000, 2000),
    SEARCHERS = 3
};

struct scene {
    struct index *index;
    float *points;
    size_t n_rows, n_live;       /* So many come, and so many of them are left alive. */
    _Atomic uint64_t n_staged;   /* Rows up to here were staged. */
    _Atomic uint64_t n_deleting; /* Rows up to here are being deleted, */
    _Atomic uint64_t n_deleted;  /* and up to here are. */
    size_t stride;               /* A row's vector begins stride floats after the last one's. */
    _Atomic bool is_over;
    _Atomic size_t n_searches;
};

/* Rows that a search is given: all from the first that is not deleted. */
struct given {
    struct scene *scene;
    uint64_t next, end;
};

static size_t give(void *arg, uint64_t *rows, size_t max)
{
    struct given *given = arg;
    size_t n = 0;
    for (; n < max && given->next < given->end; n++) {
        rows[n] = given->next++;
    }
    return n;
}

static void miss(void *arg, uint64_t row)
{
    const struct given *given = arg;
    CHECK(atomic_load(&given->scene->n_deleting) > row);
}

/* In threads CHECK takes the place of cmocka's asserts, which jump.  A row that was there before
 * the search and was not deleted after it must be found. */
static void search_once(struct scene *scene, uint64_t *random, enum index_plan plan)
{
    uint64_t deleted = atomic_load(&scene->n_deleted);
    uint64_t staged = atomic_load(&scene->n_staged); /* Later, so that it is not the smaller. */
    if (staged == deleted) {
        return;
    }
    uint64_t row = deleted + random_next(random) % (staged - deleted);
    struct index_hit hits[5];
    struct given given = {.scene = scene, .next = deleted, .end = staged};
    struct index_search search = {.query = scene->points + row * scene->stride,
                                  .k = 5,
                                  .ef = 50,
                                  .plan = plan,
                                  .given = give,
                                  .is_missing = miss,
                                  .given_arg = &given};
    struct index_work work = {0};
    struct err err;
    size_t n = 0;
    CHECK(index_search(scene->index, &search, hits, &n, &work, &err) == ERR_OK);
    bool is_found = false;
    for (size_t i = 0; i < n; i++) {
        CHECK(hits[i].row >= deleted); /* Deleted before the search began. */
        is_found |= hits[i].row == row && hits[i].distance == 0;
    }
    CHECK(is_found || atomic_load(&scene->n_deleting) > row);
    atomic_fetch_add(&scene->n_searches, 1);
}

/* Rows of which some are there, and some go at this moment. */
static void name_starts(struct scene *scene)
{
    struct index_start starts[INDEX_STARTS_MAX];
    uint64_t first = atomic_load(&scene->n_deleted);
    for (size_t i = 0; i < COUNT_OF(starts); i++) {
        starts[i] = (struct index_start){first + i, (float)(i % 5) / 5};
    }
    index_begin_at(scene->index, starts, COUNT_OF(starts));
}

static void searcher(void *arg)
{
    struct scene *scene = arg;
    uint64_t random = (uint64_t)(uintptr_t)&random;
    for (size_t i = 0; !atomic_load(&scene->is_over); i++) {
        search_once(scene, &random,
                    i % 8 == 0   ? INDEX_EXACT
                    : i % 8 == 1 ? INDEX_GIVEN
                                 : INDEX_WALK);
        if (i % 8 == 2) {
            name_starts(scene);
        }
    }
    index_thread_exit();
}

static void advancer(void *arg)
{
    struct scene *scene = arg;
    for (size_t i = 0; !atomic_load(&scene->is_over) || index_pending(scene->index) > 0; i++) {
        struct err err;
        size_t n_done;
        const struct index_crew *crew = i % 4 == 0 ? &crew_of_threads : NULL;
        CHECK(index_advance(scene->index, 50, crew, &n_done, &err) == ERR_OK);
        if (random_next(&(uint64_t){n_done}) % 8 == 0) {
            struct stream s = {.data = NULL};
            CHECK(index_save(scene->index, stream_write, &s, &(uint32_t){0}, &err) == ERR_OK);
            stream_fini(&s);
        }
    }
    index_thread_exit();
}

static void stage_all(struct scene *scene)
{
    uint64_t random = 3, deleted = 0;
    for (uint64_t row = 0; row < scene->n_rows;) {
        size_t n = 1 + random_next(&random) % 5;
        n = n < scene->n_rows - row ? n : scene->n_rows - row;
        stage_rows(scene->index, scene->points + row * DIM, DIM, row, n, n);
        row += n;
        atomic_store(&scene->n_staged, row);
        for (; deleted + scene->n_live < row; deleted++) {
            atomic_store(&scene->n_deleting, deleted + 1);
            stage_delete(scene->index, row, deleted);
            atomic_store(&scene->n_deleted, deleted + 1);
        }
    }
}

static void act(enum index_kind kind, enum index_code code, size_t n_live, float far)
{
    size_t n_rows = n_live == LIVE_CENTRED ? N_CENTRED : N;
    struct index_config config = config_of(kind, DISTANCE_L2, DIM);
    config.code = code;
    struct scene scene = {.index = index_make(&config),
                          .points = points_new(SHAPE_CLUSTERED, n_rows, DIM, 1),
                          .n_rows = n_rows,
                          .n_live = n_live,
                          .stride = DIM};
    for (size_t i = 0; i < n_rows * DIM; i++) {
        scene.points[i] += far;
    }
    struct thread threads[SEARCHERS], advance;
    struct err err;
    for (size_t i = 0; i < SEARCHERS; i++) {
        assert_int_equal(thread_start(&threads[i], "search", searcher, &scene, &err), ERR_OK);
    }
    assert_int_equal(thread_start(&advance, "advance", advancer, &scene, &err), ERR_OK);
    stage_all(&scene);
    uint64_t deadline = clock_micros() + PATIENCE_US;
    while (atomic_load(&scene.n_searches) < 100 && clock_micros() < deadline) {
        clock_sleep_micros(100);
    }
    atomic_store(&scene.is_over, true);
    thread_join(&advance);
    for (size_t i = 0; i < SEARCHERS; i++) {
        thread_join(&threads[i]);
    }
    assert_true(atomic_load(&scene.n_searches) >= 100);
    assert_int_equal(index_count(scene.index), n_live);
    assert_int_equal(index_pending(scene.index), 0);
    free(scene.points);
    index_free(scene.index);
}

static void a_graph_is_searched_while_rows_come_and_go(void **state)
{
    (void)state;
    act(INDEX_HNSW, INDEX_CODE_F32, LIVE, 0);
    act(INDEX_HNSW, INDEX_CODE_4, LIVE, 0);
}

static void a_flat_index_is_searched_while_rows_come_and_go(void **state)
{
    (void)state;
    act(INDEX_FLAT, INDEX_CODE_F32, LIVE, 0);
}

/* All codes are made anew meanwhile. */
static void a_graph_is_searched_while_its_centre_moves(void **state)
{
    (void)state;
    act(INDEX_HNSW, INDEX_CODE_4, LIVE_CENTRED, 8);
}

/* Wide rows, so that regions move while searches run. */
static void searches_miss_no_row_while_a_region_moves(void **state)
{
    (void)state;
    enum {
        WIDE = 16384,
        ROWS = 1100
    }; /* The first 64 MiB hold 1,024 of them. */
    struct index_config config = config_of(INDEX_FLAT, DISTANCE_L2, WIDE);
    struct scene scene = {.index = index_make(&config),
                          .points = points_new(SHAPE_UNIFORM, ROWS + WIDE, 1, 1),
                          .stride = 1};
    struct thread thread;
    struct err err;
    assert_int_equal(thread_start(&thread, "search", searcher, &scene, &err), ERR_OK);
    for (uint64_t row = 0; row < ROWS; row++) {
        assert_int_equal(stage(scene.index, row, &row, scene.points + row, 1, &err), ERR_OK);
        atomic_store(&scene.n_staged, row + 1);
    }
    atomic_store(&scene.is_over, true);
    thread_join(&thread);
    assert_int_equal(index_count(scene.index), ROWS);
    free(scene.points);
    index_free(scene.index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_graph_is_searched_while_rows_come_and_go),
        cmocka_unit_test(a_flat_index_is_searched_while_rows_come_and_go),
        cmocka_unit_test(a_graph_is_searched_while_its_centre_moves),
        cmocka_unit_test(searches_miss_no_row_while_a_region_moves),
    };
    (void)index_choose_kernel(NULL);
    int failed = cmocka_run_group_tests_name("index threads", tests, NULL, NULL);
    index_thread_exit();
    return failed;
}
