/* The disk fills up, a write fails, memory runs out, the process dies half way: an error with a
 * code, reads go on, writes come back, nothing that was acknowledged is lost. */
#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shard/shard_int.h"
#include "shard/store_int.h"
#include "shard/view_int.h"

enum {
    FOR_EVER = 1 << 30
};

static int set_up(void **state)
{
    (void)fixture_set_up(state);
    struct fixture *f = *state;
    fixture_policy(f, "flush_interval", "20ms");
    return 0;
}

static void need_faults(void)
{
    if (!fault_is_built()) {
        skip();
    }
}

static void wait_for_state(struct fixture *f, const char *state)
{
    struct shard_figures figures;
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    do {
        assert_true(clock_micros() < deadline_us);
        clock_sleep_micros(1000);
        shard_figures(f->shard, &figures);
    } while (strcmp(figures.state, state) != 0);
}

static void reads_go_on_and_writes_come_back_after_a_full_disk(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char title[60000];
    need_faults();
    fixture_policy(f, "unflushed_max", "1MiB");
    fixture_start(f);
    insert_rows(f, 1, 11, 10);
    fault_arm(FAULT_SHARD_FLUSH_FULL, 1, FOR_EVER);
    memset(title, 'x', sizeof(title) - 1);
    title[sizeof(title) - 1] = '\0';
    uint64_t i = 100;
    enum errcode code = ERR_OK;
    for (; i < 200 && code == ERR_OK; i++) {
        code = write_row(f, SHARD_INSERT, row_of(i, i, title, 1), &err);
        if (i == 100) {
            wait_for_state(f, "disk full");
        }
    }
    assert_int_equal(code, ERR_DISK_FULL);
    assert_true(i > 110); /* Until unflushed_max is reached they are taken. */
    assert_true(err.hint[0] != '\0');
    double distance;
    assert_true(nearest(f, 5, &distance) > 0);
    uint64_t rows = count_rows(f);
    assert_int_equal(rows, 10 + i - 1 - 100);
    fault_disarm_all();
    wait_for_state(f, "serving");
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    do {
        assert_true(clock_micros() < deadline_us);
        code = write_row(f, SHARD_INSERT, row_of(300, 300, "after", 1), &err);
    } while (code == ERR_DISK_FULL);
    assert_int_equal(code, ERR_OK);
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(count_rows(f), rows + 1);
}

static void a_failed_flush_is_tried_again_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    need_faults();
    fixture_policy(f, "flush_interval", "1h");
    fixture_start(f);
    int64_t failures = metric_value(METRIC_flush_failures);
    for (uint64_t round = 0; round < 4; round++) {
        insert_rows(f, 1 + round * 10, 11 + round * 10, 3);
        fault_arm(FAULT_SHARD_FLUSH, 1, 1);
        assert_int_equal(shard_flush(f->shard, &err), ERR_IO);
        assert_int_equal(count_rows(f), 10 + round * 10);
        insert_rows(f, 1001 + round * 10, 1003 + round * 10, 3);
        assert_int_equal(delete_row(f, 1001 + round * 10, &err), ERR_OK);
        assert_int_equal(delete_row(f, 1002 + round * 10, &err), ERR_OK);
        assert_int_equal(shard_flush(f->shard, &err), ERR_OK); /* The one that had failed. */
        assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
        assert_int_equal(count_rows(f), 10 + round * 10);
    }
    assert_int_equal(metric_value(METRIC_flush_failures), failures + 4);
    uint64_t content = content_hash(f);
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(content_hash(f), content);
}

static bool has_dead_rows(struct fixture *f)
{
    struct err err;
    struct slice record;
    uint64_t number = 0;
    struct store_read *read = store_read_new(f->shard->store, &err);
    assert_non_null(read);
    assert_int_equal(store_read_begin(read, &err), ERR_OK);
    assert_int_equal(store_next(read, TABLE_DEAD, &number, &record, &err), ERR_OK);
    store_read_end(read);
    store_read_free(read);
    return record.data != NULL;
}

static void die(struct fixture *f, void (*what)(struct fixture *f))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fixture_start(f);
        what(f);
        (void)raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void delete_on_a_full_disk(struct fixture *f)
{
    struct err err;
    insert_rows(f, 1, 101, 7);
    assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
    for (uint64_t i = 1; i < 11; i++) {
        assert_int_equal(delete_row(f, i, &err), ERR_OK);
    }
    assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
    assert_true(has_dead_rows(f)); /* The graph is caught up with them. */
    for (uint64_t i = 11; i < 21; i++) {
        assert_int_equal(delete_row(f, i, &err), ERR_OK);
    }
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(101, 101, "new", 101), &err), ERR_OK);
    assert_int_equal(delete_row(f, 101, &err), ERR_OK);
    fault_arm(FAULT_SHARD_FLUSH_FULL, 1, 1);
    assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
    assert_false(has_dead_rows(f));
    insert_rows(f, 201, 211, 5);
    assert_int_equal(delete_row(f, 201, &err), ERR_OK);
    assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
    assert_true(has_dead_rows(f)); /* They are kept again. */
}

/* A graph that never was in a checkpoint is then made of the changes, but for the rows that went.
 */
static void a_full_disk_lets_go_of_deleted_rows_and_the_graph_does_without(void **state)
{
    struct fixture *f = *state;
    need_faults();
    fixture_policy(f, "flush_interval", "1h");
    int64_t rebuilds = metric_value(METRIC_index_rebuilds);
    die(f, delete_on_a_full_disk);
    fixture_start(f);
    wait_until_linked(f);
    assert_int_equal(metric_value(METRIC_index_rebuilds), rebuilds);
    assert_int_equal(count_rows(f), 80 + 9);
    for (uint64_t i = 1; i < 211; i = i == 100 ? 201 : i + 1) {
        struct seen seen;
        double distance;
        assert_int_equal(see_row(f, i, &seen), i > 20 && i != 201);
        if (i > 20 && i != 201) {
            assert_int_equal(nearest(f, i, &distance), seen.number);
        }
    }
}

static void write_of_every_kind(struct fixture *f, uint64_t i)
{
    struct err err;
    struct seen seen;
    assert_int_equal(delete_row(f, i, &err), ERR_OK);
    assert_int_equal(delete_row(f, i + 1, &err), ERR_OK);
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(i + 1, i, "again", 1), &err), ERR_OK);
    assert_true(see_row(f, i + 2, &seen));
    assert_int_equal(write_row(f, SHARD_UPSERT, row_of(i + 2, i + 9, "moved", 2), &err), ERR_OK);
    assert_int_equal(write_row(f, SHARD_UPSERT, row_of(i + 3, i + 3, "same", 3), &err), ERR_OK);
    insert_rows(f, 1000 + i, 1003 + i, 2);
    assert_int_equal(delete_row(f, 1000 + i, &err), ERR_OK);
}

/* Each try has all that was written until then: what is deleted later may be what makes it fit.
 * And where a try was made after all, nothing is written twice. */
static void what_a_full_disk_kept_out_goes_together_with_what_came_later(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    need_faults();
    fixture_policy(f, "flush_interval", "1h");
    fixture_start(f);
    insert_rows(f, 1, 101, 7);
    assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
    for (uint64_t round = 0; round < 6; round++) {
        fault_arm(FAULT_SHARD_FLUSH_FULL, 1, FOR_EVER);
        for (uint64_t i = 1; i <= 3; i++) {
            write_of_every_kind(f, 15 * round + 4 * i);
            assert_int_equal(shard_flush(f->shard, &err), ERR_DISK_FULL);
            assert_non_null(strstr(err.hint, "DELETE more rows"));
        }
        fault_disarm_all();
        if (round % 2 == 1) {
            fault_arm(FAULT_SHARD_HEADER_STANDS, 1, 1);
            assert_int_equal(shard_flush(f->shard, &err), ERR_IO);
            fault_arm(FAULT_SHARD_FLUSH_FULL, 1, FOR_EVER);
            assert_int_equal(shard_flush(f->shard, &err), ERR_DISK_FULL);
            write_of_every_kind(f, 15 * round + 1);
            fault_disarm_all();
        }
        uint64_t content = content_hash(f);
        assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
        assert_null(f->shard->flushing);
        assert_int_equal(content_hash(f), content);
        assert_int_equal(f->shard->flushed, f->shard->applied);
        fixture_stop(f);
        fixture_start(f);
        assert_int_equal(content_hash(f), content);
    }
}

/* Nobody knows whether the disk has the commit: LMDB refuses to go on until the file is opened
 * anew. */
static void a_commit_that_fails_half_way_is_made_again_and_nobody_notices(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    static const enum fault_point points[] = {FAULT_SHARD_HEADER_LOST, FAULT_SHARD_HEADER_STANDS};
    need_faults();
    fixture_policy(f, "flush_interval", "1h");
    fixture_start(f);
    for (uint64_t round = 0; round < 4; round++) {
        insert_rows(f, 1 + round * 10, 11 + round * 10, 3);
        fault_arm(points[round % 2], 1, 1);
        assert_int_equal(shard_flush(f->shard, &err), ERR_IO);
        assert_int_equal(count_rows(f), 10 + round * 10);
        insert_rows(f, 1001, 1002, 3);
        assert_int_equal(delete_row(f, 1001, &err), ERR_OK);
        assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
        assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
        assert_int_equal(count_rows(f), 10 + round * 10);
    }
    uint64_t content = content_hash(f);
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(content_hash(f), content);
}

static void a_checkpoint_that_fails_leaves_the_old_one_in_force(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    static const enum fault_point points[] = {FAULT_CHECKPOINT_WRITE, FAULT_CHECKPOINT_RENAME,
                                              FAULT_SHARD_FLUSH};
    need_faults();
    fixture_policy(f, "flush_interval", "1h");
    for (size_t i = 0; i < COUNT_OF(points); i++) {
        fixture_start(f);
        insert_rows(f, 1 + 100 * i, 101 + 100 * i, 10);
        wait_until_linked(f);
        fault_arm(points[i], 1, FOR_EVER);
        assert_int_equal(shard_checkpoint(f->shard, NULL, NULL, &err), ERR_IO);
        fixture_stop(f); /* Cannot write one either. */
        fault_disarm_all();
        fixture_start(f);
        assert_int_equal(metric_value(METRIC_index_rebuilds), 0);
        assert_int_equal(count_rows(f), 100 * (i + 1));
        wait_until_linked(f);
        assert_int_equal(shard_checkpoint(f->shard, NULL, NULL, &err), ERR_OK);
        fixture_stop(f);
    }
}

/* The nth of its kind that a start asks for fails, for every n: it fails as a whole, or needs it
 * not, and the next one finds all. */
static void check_starts_without(struct fixture *f, enum fault_point point, enum errcode expected)
{
    int64_t rebuilds = metric_value(METRIC_index_rebuilds);
    unsigned n_failed = 0;
    bool is_through = false;
    for (uint64_t nth = 1; !is_through; nth++) {
        struct err err = {0};
        fault_arm(point, nth, 1);
        enum errcode code = fixture_try_start(f, &err);
        is_through = fault_calls(point) < nth;
        fault_disarm_all();
        assert_int_equal(metric_value(METRIC_index_rebuilds), rebuilds);
        assert_true(code == ERR_OK || code == expected);
        n_failed += code != ERR_OK;
        if (code == ERR_OK) {
            assert_int_equal(count_rows(f), 100);
        } else {
            assert_true(err.hint[0] != '\0');
        }
        fixture_stop(f);
        assert_true(nth < 100);
    }
    assert_true(n_failed > 0);
}

static void a_graph_is_not_made_anew_for_want_of_what_a_moment_lacks(void **state)
{
    struct fixture *f = *state;
    need_faults();
    fixture_start(f);
    insert_rows(f, 1, 101, 10);
    wait_until_linked(f);
    fixture_stop(f);
    check_starts_without(f, FAULT_FILE_OPEN, ERR_TOO_MANY_FILES);
    check_starts_without(f, FAULT_CHECKPOINT_READ, ERR_IO);
}

/* Writes until it dies; tells the parent of each row that was acknowledged. */
static uint64_t write_until_dead(struct fixture *f, enum fault_point point, uint64_t first)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fixture_start(f);
        fault_arm(point, 2, 1);
        for (uint64_t i = first;; i++) {
            struct err err = {0};
            if (write_row(f, SHARD_INSERT, row_of(i, i, "t", (int64_t)i), &err) != ERR_OK ||
                write(ends[1], &i, sizeof(i)) != (ssize_t)sizeof(i)) {
                _exit(1);
            }
            if (i % 16 == 0 && point == FAULT_CRASH_IN_CHECKPOINT &&
                shard_checkpoint(f->shard, NULL, NULL, &err) != ERR_OK) {
                _exit(2);
            }
        }
    }
    (void)close(ends[1]);
    uint64_t last = first - 1;
    uint64_t i;
    while (read(ends[0], &i, sizeof(i)) == (ssize_t)sizeof(i)) {
        last = i;
    }
    (void)close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return last;
}

static void a_crash_at_any_point_loses_no_acknowledged_row(void **state)
{
    struct fixture *f = *state;
    static const enum fault_point points[] = {FAULT_CRASH_AFTER_LOG, FAULT_CRASH_BEFORE_FLUSH,
                                              FAULT_CRASH_AFTER_FLUSH, FAULT_CRASH_IN_CHECKPOINT};
    uint64_t first = 1;
    need_faults();
    for (size_t n = 0; n < 3 * COUNT_OF(points); n++) {
        uint64_t last = write_until_dead(f, points[n % COUNT_OF(points)], first);
        fixture_start(f);
        for (uint64_t i = 1; i <= last; i++) {
            struct seen seen;
            double distance;
            assert_true(see_row(f, i, &seen));
            assert_int_equal(nearest(f, i, &distance), seen.number);
        }
        /* One more may have been durable without being acknowledged. */
        uint64_t rows = count_rows(f);
        assert_true(rows == last || rows == last + 1);
        assert_int_equal(metric_value(METRIC_index_rebuilds), 0);
        first = rows + 1;
        fixture_stop(f);
    }
}

/* ---- the n-th allocation ---- */

/* Every kind of work once.  What fails must say that memory ran out. */
static void do_everything(struct fixture *f)
{
    static const uint64_t all[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    struct err err = {0};
    float vector[DIM];
    make_vector(7, vector);
    struct value values[N_COLUMNS] = {value_cstr("new"), value_vector(vector, DIM), value_cstr("t"),
                                      value_int(1)};
    struct shard_command *command = shard_command_new(&f->schema, &err);
    enum errcode code = command == NULL ? err.code : ERR_OK;
    if (code == ERR_OK) {
        code = shard_command_add(command, SHARD_UPSERT, values, all, 0, &err);
        if (code == ERR_OK) {
            code = send_command(f, command, ACK_VISIBLE, NULL, &err);
        } else {
            shard_command_free(command);
        }
    }
    assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
    struct shard_view *view;
    code = shard_view_open(f->shard, &view, &err);
    assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
    if (code == ERR_OK) {
        shard_view_close(view);
    }
    code = shard_flush(f->shard, &err);
    assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
    code = shard_checkpoint(f->shard, NULL, NULL, &err);
    assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
}

static void the_nth_allocation_fails_with_an_error_and_harms_nothing(void **state)
{
    struct fixture *f = *state;
    need_faults();
    fixture_policy(f, "flush_interval", "1h");
    fixture_start(f);
    insert_rows(f, 1, 51, 10);
    log_set_level(LOG_ERROR + 1);
    for (uint64_t nth = 1; nth <= 120; nth++) {
        fault_arm(FAULT_MALLOC, nth, 1);
        do_everything(f);
        fault_disarm_all();
        struct err err = {0};
        assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
        assert_true(count_rows(f) >= 50 && count_rows(f) <= 51);
    }
    log_set_level(LOG_INFO);
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(count_rows(f), 51);
}

static void opening_fails_cleanly_at_the_nth_allocation(void **state)
{
    struct fixture *f = *state;
    need_faults();
    fixture_start(f);
    insert_rows(f, 1, 51, 10);
    fixture_stop(f);
    log_set_level(LOG_ERROR + 1);
    bool is_open = false;
    for (uint64_t nth = 1; nth < 2000 && !is_open; nth++) {
        struct err err = {0};
        fault_arm(FAULT_MALLOC, nth, 1);
        enum errcode code = fixture_try_start(f, &err);
        is_open = fault_calls(FAULT_MALLOC) < nth;
        fault_disarm_all();
        assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
        if (code == ERR_OK) {
            assert_int_equal(count_rows(f), 50);
            fixture_stop(f);
        }
    }
    log_set_level(LOG_INFO);
    assert_true(is_open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_go_on_and_writes_come_back_after_a_full_disk, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_failed_flush_is_tried_again_and_loses_nothing, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(
            a_full_disk_lets_go_of_deleted_rows_and_the_graph_does_without, set_up,
            fixture_tear_down),
        cmocka_unit_test_setup_teardown(
            what_a_full_disk_kept_out_goes_together_with_what_came_later, set_up,
            fixture_tear_down),
        cmocka_unit_test_setup_teardown(
            a_commit_that_fails_half_way_is_made_again_and_nobody_notices, set_up,
            fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_checkpoint_that_fails_leaves_the_old_one_in_force, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_graph_is_not_made_anew_for_want_of_what_a_moment_lacks,
                                        set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_crash_at_any_point_loses_no_acknowledged_row, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(the_nth_allocation_fails_with_an_error_and_harms_nothing,
                                        set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(opening_fails_cleanly_at_the_nth_allocation, set_up,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
