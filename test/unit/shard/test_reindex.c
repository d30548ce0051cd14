/* REINDEX beside what serves: writes meanwhile, cancels, restarts. */
#include "fixture.h"

#include <sys/statvfs.h>

#include "shard/shard_int.h"
#include "shard/vectors_int.h"

enum {
    ROWS = GOOD_MEASURE(3000, 1200), /* Over STAGE_ROWS and LINK_ROWS: each is polled. */
    WRITES = 1000,
};

static struct shard_reindex request_of(uint32_t m)
{
    return (struct shard_reindex){.column = EMBEDDING,
                                  .parameters = {.m = m, .ef_construction = 60}};
}

static void assert_built_with(struct fixture *f, uint32_t m, bool is_reindexed)
{
    bool is;
    assert_int_equal(shard_index_parameters(f->shard, EMBEDDING, &is).m, m);
    assert_int_equal(is, is_reindexed);
}

/* Each row of [from, to) that is there and has a vector is nearest to it. */
static void assert_all_found(struct fixture *f, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        struct seen seen;
        if (see_row(f, i, &seen) && seen.has_vector) {
            struct index_hit hit;
            size_t n;
            struct index_work work = {0};
            struct err err = {0};
            struct index_search search = {.query = seen.vector, .k = 1, .ef = 64};
            assert_int_equal(
                index_search(f->shard->vectors[0].index, &search, &hit, &n, &work, &err), ERR_OK);
            assert_int_equal(n, 1);
            assert_int_equal(hit.row, seen.number);
        }
    }
}

static void new_parameters_outlive_restarts(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    fixture_start(f);
    insert_rows(f, 1, ROWS, 100);
    assert_int_equal(delete_row(f, 7, &err), ERR_OK);
    uint32_t m = 16;
    assert_built_with(f, m, false);
    struct shard_reindex request = request_of(8);
    assert_int_equal(shard_reindex(f->shard, &request, &err), ERR_OK);
    assert_built_with(f, 8, true);
    assert_all_found(f, 0, ROWS);
    fixture_stop(f);
    fixture_start(f);
    assert_built_with(f, 8, true);
    assert_int_equal(atomic_load(&f->shard->vectors[0].state), INDEX_CURRENT);
    assert_all_found(f, 0, ROWS);
    fixture_stop(f);
}

struct writer {
    struct fixture *f;
    atomic_bool has_ended;
};

/* New rows, other vectors for old ones, and rows that go. */
static void write_rows(void *arg)
{
    struct writer *w = arg;
    for (uint64_t i = 0; i < WRITES; i++) {
        struct err err = {0};
        uint64_t key = 1 + i * 37 % (ROWS - 1);
        enum errcode code;
        if (i % 3 == 0) {
            code = write_row(w->f, SHARD_UPSERT, row_of(ROWS + i, ROWS + i, NULL, 1), &err);
        } else if (i % 3 == 1) {
            code = write_row(w->f, SHARD_UPSERT, row_of(key, 2 * ROWS + i, NULL, 1), &err);
        } else {
            struct seen seen;
            code = see_row(w->f, key, &seen) ? delete_row(w->f, key, &err) : ERR_OK;
        }
        CHECK(code == ERR_OK);
    }
    atomic_store(&w->has_ended, true);
    index_thread_exit();
}

/* The exact answer and that of a large walk are one. */
static void assert_graph_is_whole(struct fixture *f)
{
    struct index *index = f->shard->vectors[0].index;
    for (uint64_t q = 0; q < 200; q++) {
        float query[DIM];
        struct index_hit exact[5];
        struct index_hit walked[5];
        size_t n_exact;
        size_t n_walked;
        struct index_work work = {0};
        struct err err = {0};
        make_vector(77777 + q, query);
        struct index_search search = {.query = query, .k = 5, .ef = 400, .plan = INDEX_EXACT};
        assert_int_equal(index_search(index, &search, exact, &n_exact, &work, &err), ERR_OK);
        search.plan = INDEX_WALK;
        assert_int_equal(index_search(index, &search, walked, &n_walked, &work, &err), ERR_OK);
        assert_int_equal(n_exact, 5);
        assert_int_equal(n_walked, 5);
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(exact[i].row, walked[i].row);
        }
    }
}

static void writes_meanwhile_are_in_both(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    fixture_start(f);
    insert_rows(f, 1, ROWS, 100);
    struct writer w = {.f = f};
    struct thread thread;
    assert_int_equal(thread_start(&thread, "writer", write_rows, &w, &err), ERR_OK);
    unsigned n = 0;
    do {
        struct shard_reindex request = request_of(n % 2 == 0 ? 8 : 12);
        assert_int_equal(shard_reindex(f->shard, &request, &err), ERR_OK);
        n++;
    } while (!atomic_load(&w.has_ended));
    thread_join(&thread);
    wait_until_linked(f);
    assert_int_equal(index_count(f->shard->vectors[0].index), count_rows(f));
    assert_graph_is_whole(f);
    assert_all_found(f, 0, ROWS + WRITES);
    fixture_stop(f);
    fixture_start(f);
    assert_built_with(f, n % 2 == 1 ? 8 : 12, true);
    assert_int_equal(index_count(f->shard->vectors[0].index), count_rows(f));
    assert_graph_is_whole(f);
    fixture_stop(f);
}

struct impatience {
    unsigned n_asked, patience;
};

static bool has_enough(void *arg)
{
    struct impatience *i = arg;
    return i->n_asked++ >= i->patience;
}

static void a_cancel_at_any_moment_leaves_the_old(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    insert_rows(f, 1, ROWS, 100);
    struct index *before = f->shard->vectors[0].index;
    unsigned n_canceled = 0;
    for (unsigned patience = 0;; patience++) {
        struct err err = {0};
        struct impatience impatience = {.patience = patience};
        struct shard_reindex request = request_of(8);
        request.is_canceled = has_enough;
        request.arg = &impatience;
        enum errcode code = shard_reindex(f->shard, &request, &err);
        if (code == ERR_OK) {
            break;
        }
        assert_int_equal(code, ERR_CANCELED);
        assert_ptr_equal(f->shard->vectors[0].index, before);
        assert_built_with(f, 16, false);
        n_canceled++;
    }
    assert_true(n_canceled >= GOOD_MEASURE(4, 2)); /* While rows are staged, and linked. */
    assert_built_with(f, 8, true);
    assert_all_found(f, 0, ROWS);
    fixture_stop(f);
}

static void room_that_is_kept_free_is_not_taken(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct statvfs fs;
    assert_int_equal(statvfs(f->directory, &fs), 0);
    if ((uint64_t)fs.f_bavail * fs.f_frsize > UINT64_C(1) << 40) {
        skip();
    }
    fixture_policy(f, "disk_reserve", "1TiB");
    fixture_start(f);
    insert_rows(f, 1, ROWS, 100);
    struct shard_reindex request = request_of(8);
    assert_int_equal(shard_reindex(f->shard, &request, &err), ERR_DISK_FULL);
    assert_built_with(f, 16, false);
    assert_all_found(f, 1, 100);
}

static void two_at_once_are_refused(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    fixture_start(f);
    insert_rows(f, 0, 10, 10);
    uint64_t other;
    f->shard->vectors[0].reindex =
        (struct reindex *)(void *)&other; /* Only its being there counts. */
    struct shard_reindex request = request_of(8);
    assert_int_equal(shard_reindex(f->shard, &request, &err), ERR_OVERLOADED);
    f->shard->vectors[0].reindex = NULL;
    assert_int_equal(shard_reindex(f->shard, &request, &err), ERR_OK);
    fixture_stop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNWATCHED_TEST(new_parameters_outlive_restarts, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(writes_meanwhile_are_in_both, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_cancel_at_any_moment_leaves_the_old, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(room_that_is_kept_free_is_not_taken, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(two_at_once_are_refused, fixture_set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
