/* The replicated log's promises: order, once, stages, bounds, cuts, and what a restart finds. */
#include "log_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static void entries_are_applied_in_order_and_once(void **state)
{
    struct fixture *f = *state;
    struct repl_group *group = open_group(f->repl, &f->owner, 7, 0);
    enum {
        N = 500
    };
    static struct waited waited[N];
    struct err err;
    for (uint64_t v = 0; v < N; v++) {
        assert_int_equal(start_write(group, &waited[v], v + 1, 64, REPL_APPLIED, &err), ERR_OK);
    }
    for (uint64_t v = 0; v < N; v++) {
        assert_int_equal(end_write(&waited[v], &err), ERR_OK);
    }
    check_range(&f->owner, 1, N);
    repl_group_close(group);
}

static void a_restart_hands_out_again_what_was_not_flushed(void **state)
{
    struct fixture *f = *state;
    struct repl_group *group = open_group(f->repl, &f->owner, 7, 0);
    write_range(group, 1, 20);
    uint64_t flushed = f->owner.indexes[4];
    repl_group_close(group);
    log_reopen(f);

    owner_forget(&f->owner);
    group = open_group(f->repl, &f->owner, 7, flushed);
    check_range(&f->owner, 6, 20);
    write_range(group, 21, 22);
    check_range(&f->owner, 6, 22);
    repl_group_close(group);
}

static void a_cut_log_opens_and_goes_on(void **state)
{
    struct fixture *f = *state;
    struct repl_group *group = open_group(f->repl, &f->owner, 7, 0);
    write_range(group, 1, 3000);
    uint64_t flushed = f->owner.indexes[2899];
    repl_group_cut(group, flushed);
    write_range(group, 3001, 3003); /* Turns that the cut rides in. */
    struct repl_figures figures;
    repl_group_figures(group, &figures);
    assert_int_equal(figures.first, flushed + 1);
    repl_group_close(group);
    log_reopen(f);

    owner_forget(&f->owner);
    group = open_group(f->repl, &f->owner, 7, flushed);
    check_range(&f->owner, 2901, 3003);
    repl_group_cut(group, f->owner.indexes[f->owner.n - 1]);
    write_range(group, 3004, 3004);
    uint64_t all = f->owner.indexes[f->owner.n - 1];
    repl_group_cut(group, all);
    write_range(group, 3005, 3005);
    repl_group_close(group);
    log_reopen(f);

    owner_forget(&f->owner);
    group = open_group(f->repl, &f->owner, 7, all);
    check_range(&f->owner, 3005, 3005);
    repl_group_close(group);
}

static void an_owner_that_misses_what_was_cut_is_refused(void **state)
{
    struct fixture *f = *state;
    struct repl_group *group = open_group(f->repl, &f->owner, 7, 0);
    write_range(group, 1, 10);
    repl_group_cut(group, f->owner.indexes[9]);
    write_range(group, 11, 11);
    uint64_t last = f->owner.indexes[10];
    repl_group_close(group);
    struct err err;
    struct repl_group_config config = {.id = 7, .applied = 3, .apply = owner_apply};
    assert_int_equal(repl_group_open(f->repl, &config, &group, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "begins at"));
    config.applied = last + 1;
    assert_int_equal(repl_group_open(f->repl, &config, &group, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "ends at"));
    config = (struct repl_group_config){.id = 8, .applied = 1, .apply = owner_apply};
    assert_int_equal(repl_group_open(f->repl, &config, &group, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "has no group 8"));
}

static void each_stage_is_reported_when_it_is_reached(void **state)
{
    struct fixture *f = *state;
    struct repl_group *group = open_group(f->repl, &f->owner, 7, 0);
    struct waited w;
    struct err err;
    owner_hold(&f->owner, true);
    assert_int_equal(start_write(group, &w, 1, 8, REPL_RECEIVED, &err), ERR_OK);
    assert_true(w.is_done);
    assert_int_equal(end_write(&w, &err), ERR_OK);
    assert_int_equal(start_write(group, &w, 2, 8, REPL_LEADER, &err), ERR_OK);
    assert_int_equal(end_write(&w, &err), ERR_OK);
    assert_true(w.index > 1);
    assert_int_equal(start_write(group, &w, 3, 8, REPL_QUORUM, &err), ERR_OK);
    assert_int_equal(end_write(&w, &err), ERR_OK);
    assert_int_equal(start_write(group, &w, 4, 8, REPL_APPLIED, &err), ERR_OK);
    assert_int_equal(f->owner.n, 0);
    assert_false(w.is_done);
    owner_hold(&f->owner, false);
    assert_int_equal(end_write(&w, &err), ERR_OK);
    check_range(&f->owner, 1, 4);
    repl_group_close(group);
}

static void the_owners_result_reaches_the_writer(void **state)
{
    struct fixture *f = *state;
    struct repl_group *group = open_group(f->repl, &f->owner, 7, 0);
    struct err err;
    f->owner.refused = 2;
    write_range(group, 1, 1);
    assert_int_equal(write_one(group, 2, &err), ERR_DUPLICATE_KEY);
    assert_string_equal(err.message, "refused by the test");
    write_range(group, 3, 3);
    check_range(&f->owner, 1, 3);
    repl_group_close(group);
}

static void writes_over_the_bound_are_refused_and_room_returns(void **state)
{
    struct fixture *f = *state;
    enum {
        BIG = 30 << 20
    };
    static struct waited waited[4];
    struct repl_group *group = open_group(f->repl, &f->owner, 7, 0);
    struct err err;
    owner_hold(&f->owner, true);
    assert_int_equal(start_write(group, &waited[0], 1, BIG, REPL_APPLIED, &err), ERR_OK);
    assert_int_equal(start_write(group, &waited[1], 2, BIG, REPL_APPLIED, &err), ERR_OK);
    assert_int_equal(start_write(group, &waited[2], 3, BIG, REPL_APPLIED, &err), ERR_OVERLOADED);
    owner_hold(&f->owner, false);
    assert_int_equal(end_write(&waited[0], &err), ERR_OK);
    assert_int_equal(end_write(&waited[1], &err), ERR_OK);
    write_range(group, 3, 3);
    assert_int_equal(
        start_write(group, &waited[2], 4, REPL_ENTRY_BYTES_MAX + 1, REPL_APPLIED, &err),
        ERR_STATEMENT_TOO_LONG);
    assert_int_equal(start_write(group, &waited[2], 4, REPL_ENTRY_BYTES_MAX, REPL_APPLIED, &err),
                     ERR_OK);
    assert_int_equal(end_write(&waited[2], &err), ERR_OK);
    check_range(&f->owner, 1, 4);
    repl_group_close(group);
}

static void groups_share_the_syncs_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    enum {
        GROUPS = 50,
        N = 40
    };
    static struct owner owners[GROUPS];
    static struct waited waited[GROUPS][N];
    struct err err;
    for (size_t g = 0; g < GROUPS; g++) {
        owner_init(&owners[g]);
        open_group(f->repl, &owners[g], 100 + g, 0);
    }
    int64_t commits = metric_value(METRIC_log_commits);
    int64_t syncs = metric_value(METRIC_log_commit);
    int64_t entries = metric_value(METRIC_log_entries);
    for (size_t i = 0; i < N; i++) {
        for (size_t g = 0; g < GROUPS; g++) {
            assert_int_equal(
                start_write(owners[g].group, &waited[g][i], g * 1000 + i, 32, REPL_APPLIED, &err),
                ERR_OK);
        }
    }
    for (size_t g = 0; g < GROUPS; g++) {
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(end_write(&waited[g][i], &err), ERR_OK);
        }
    }
    commits = metric_value(METRIC_log_commits) - commits;
    assert_true(commits < GROUPS * N / 4);
    assert_int_equal(metric_value(METRIC_log_entries) - entries, GROUPS * N);
    assert_int_equal(metric_value(METRIC_log_commit) - syncs, commits);
    uint64_t *ids;
    size_t n_ids;
    assert_int_equal(repl_groups(f->repl, &ids, &n_ids, &err), ERR_OK);
    assert_int_equal(n_ids, GROUPS);
    mem_free(MEM_LOG, ids);
    for (size_t g = 0; g < GROUPS; g++) {
        check_range(&owners[g], g * 1000, g * 1000 + N - 1);
        repl_group_close(owners[g].group);
        owner_fini(&owners[g]);
    }
}

static void a_destroyed_group_is_gone_after_a_restart_too(void **state)
{
    struct fixture *f = *state;
    struct err err;
    uint64_t *ids;
    size_t n_ids;
    struct owner other;
    owner_init(&other);
    write_range(open_group(f->repl, &f->owner, 7, 0), 1, 3000);
    write_range(open_group(f->repl, &other, 8, 0), 1, 10);
    repl_group_close(f->owner.group);
    assert_int_equal(repl_group_destroy(f->repl, 7, &err), ERR_OK);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(repl_groups(f->repl, &ids, &n_ids, &err), ERR_OK);
        assert_int_equal(n_ids, 1);
        assert_int_equal(ids[0], 8);
        mem_free(MEM_LOG, ids);
        repl_group_close(other.group);
        log_reopen(f);
        owner_forget(&other);
        open_group(f->repl, &other, 8, 0);
        check_range(&other, 1, 10);
    }
    repl_group_close(other.group);
    owner_fini(&other);
}

/* A big log is handed out in slices, so that memory stays bounded. */
static void a_long_log_is_replayed_in_slices(void **state)
{
    struct fixture *f = *state;
    enum {
        N = 60,
        BYTES = 1 << 20
    };
    struct repl_group *group = open_group(f->repl, &f->owner, 7, 0);
    for (uint64_t v = 1; v <= N; v++) {
        struct waited w;
        struct err err;
        assert_int_equal(start_write(group, &w, v, BYTES, REPL_APPLIED, &err), ERR_OK);
        assert_int_equal(end_write(&w, &err), ERR_OK);
    }
    repl_group_close(group);
    log_reopen(f);
    owner_forget(&f->owner);
    group = open_group(f->repl, &f->owner, 7, 0);
    check_range(&f->owner, 1, N);
    assert_true(f->owner.n_batches >= 7); /* 8 MiB a batch. */
    repl_group_close(group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_set_up, log_tear_down)
        LOG_TEST(entries_are_applied_in_order_and_once),
        LOG_TEST(a_restart_hands_out_again_what_was_not_flushed),
        LOG_TEST(a_cut_log_opens_and_goes_on),
        LOG_TEST(an_owner_that_misses_what_was_cut_is_refused),
        LOG_TEST(each_stage_is_reported_when_it_is_reached),
        LOG_TEST(the_owners_result_reaches_the_writer),
        LOG_TEST(writes_over_the_bound_are_refused_and_room_returns),
        LOG_TEST(groups_share_the_syncs_and_nothing_else),
        LOG_TEST(a_destroyed_group_is_gone_after_a_restart_too),
        LOG_TEST(a_long_log_is_replayed_in_slices),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
