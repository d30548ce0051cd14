/* The file of exact vectors: what comes back from it, what is noticed, and what fails. */
#include "fixture.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shard/shard_int.h"

enum {
    WIDE = 2048, /* So few rows have more vectors than an index keeps in memory. */
    ROWS = 200,
    FOR_EVER = 1 << 30,
    PATH_BYTES = 4096,
};

static int set_up(void **state)
{
    (void)fixture_set_up(state);
    struct fixture *f = *state;
    f->schema.columns[EMBEDDING].dim = WIDE;
    fixture_policy(f, "flush_interval", "1h");
    return 0;
}

static void need_faults(void)
{
    if (!fault_is_built()) {
        skip();
    }
}

/* ---- wide rows ---- */

static void wide_vector(uint64_t i, float out[WIDE])
{
    uint64_t state = i;
    for (int d = 0; d < WIDE; d++) {
        out[d] = (float)(random_next(&state) >> 40) / (float)(1 << 24);
    }
}

static enum errcode insert_wide(struct fixture *f, uint64_t from, uint64_t to, struct err *err)
{
    static const uint64_t all[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    static float vector[WIDE];
    struct shard_command *command = new_command(f);
    for (uint64_t i = from; i < to; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "k%llu", (unsigned long long)i);
        wide_vector(i, vector);
        struct value values[N_COLUMNS] = {value_cstr(key), value_vector(vector, WIDE),
                                          value_cstr("t"), value_int((int64_t)i)};
        assert_int_equal(shard_command_add(command, SHARD_INSERT, values, all, 0, err), ERR_OK);
    }
    return send_command(f, command, ACK_VISIBLE, NULL, err);
}

static void insert_all(struct fixture *f, uint64_t from, uint64_t to)
{
    struct err err = {0};
    for (; from < to; from += 20) {
        assert_int_equal(insert_wide(f, from, from + 20 < to ? from + 20 : to, &err), ERR_OK);
    }
}

/* Each row of from .. to - 1 that is there is what is nearest to its vector. */
static void assert_found(struct fixture *f, uint64_t from, uint64_t to)
{
    static float vector[WIDE];
    for (uint64_t i = from; i < to; i++) {
        struct seen seen;
        struct index_hit hit;
        size_t n = 0;
        struct index_work work = {0};
        struct err err = {0};
        if (!see_row(f, i, &seen)) {
            continue;
        }
        wide_vector(i, vector);
        struct shard_search search = {.column = EMBEDDING,
                                      .index_lag_max = UINT64_MAX,
                                      .index = {.query = vector, .k = 1, .ef = 64}};
        assert_int_equal(shard_search(f->shard, &search, &hit, &n, &work, &err), ERR_OK);
        assert_int_equal(n, 1);
        assert_int_equal(hit.row, seen.number);
    }
}

static void checkpoint(struct fixture *f)
{
    struct err err = {0};
    wait_until_linked(f);
    assert_int_equal(shard_checkpoint(f->shard, NULL, NULL, &err), ERR_OK);
}

/* ---- files ---- */

/* The file of vectors; there is one. */
static void vectors_path(const struct fixture *f, char out[PATH_BYTES])
{
    char pattern[PATH_BYTES];
    glob_t found;
    fixture_path(f, "shard/index-1-*.vectors", pattern, sizeof(pattern));
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    (void)snprintf(out, PATH_BYTES, "%s", found.gl_pathv[0]);
    globfree(&found);
}

static void vectors_come_back_from_their_file(void **state)
{
    struct fixture *f = *state;
    char path[PATH_BYTES];
    struct err err = {0};
    fixture_start(f);
    insert_all(f, 0, ROWS);
    for (uint64_t i = 0; i < ROWS; i += 5) {
        assert_int_equal(delete_row(f, i, &err), ERR_OK);
    }
    checkpoint(f);
    vectors_path(f, path);
    struct shard_figures figures;
    shard_figures(f->shard, &figures);
    assert_true(figures.mapped_bytes >= ROWS * WIDE * sizeof(float));
    assert_int_equal(figures.vector_bytes, 0);
    assert_true(figures.code_bytes > 0 && figures.code_bytes < figures.mapped_bytes / 4);
    assert_true(metric_value(METRIC_vectors_mapped) >= (int64_t)figures.mapped_bytes);
    assert_true(figures.index_file_bytes > figures.mapped_bytes + figures.code_bytes);
    insert_all(f, ROWS, ROWS + 30);
    fixture_stop(f);
    int64_t rebuilds = metric_value(METRIC_index_rebuilds);
    for (int i = 0; i < 3; i++) {
        fixture_start(f);
        assert_int_equal(metric_value(METRIC_index_rebuilds), rebuilds);
        assert_found(f, 0, ROWS + 30);
        fixture_stop(f);
    }
}

static void where_no_row_is_left_the_file_is_given_back_by_a_checkpoint(void **state)
{
    struct fixture *f = *state;
    char path[PATH_BYTES];
    struct stat facts;
    struct err err = {0};
    fixture_start(f);
    insert_all(f, 0, ROWS);
    checkpoint(f);
    int64_t rebuilds = metric_value(METRIC_index_rebuilds);
    for (uint64_t round = 0; round < 4; round++) {
        for (uint64_t i = 0; i < ROWS; i++) {
            assert_int_equal(delete_row(f, round * ROWS + i, &err), ERR_OK);
        }
        checkpoint(f);
        vectors_path(f, path);
        assert_int_equal(stat(path, &facts), 0);
        assert_int_equal(facts.st_size, 4096);
        if (round % 2 == 0) {
            fixture_stop(f);
            fixture_start(f);
        }
        insert_all(f, (round + 1) * ROWS, (round + 2) * ROWS);
        assert_found(f, (round + 1) * ROWS, (round + 2) * ROWS);
    }
    fixture_stop(f);
    fixture_start(f);
    assert_found(f, 4 * ROWS, 5 * ROWS);
    assert_int_equal(metric_value(METRIC_index_rebuilds), rebuilds);
}

/* In a child, so that nothing is written at the end. */
static void run_and_die(struct fixture *f, void (*run)(struct fixture *f))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fixture_start(f);
        run(f);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
}

static void replace_many(struct fixture *f)
{
    struct err err = {0};
    for (uint64_t i = 0; i < ROWS; i++) {
        if (delete_row(f, i, &err) != ERR_OK) {
            _exit(1);
        }
    }
    for (uint64_t i = ROWS; i < 3 * ROWS; i++) {
        if (insert_wide(f, i, i + 1, &err) != ERR_OK) {
            _exit(1);
        }
    }
}

static void a_crash_after_many_changes_finds_what_the_checkpoint_names(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    insert_all(f, 0, ROWS);
    checkpoint(f);
    fixture_stop(f);
    int64_t rebuilds = metric_value(METRIC_index_rebuilds);
    run_and_die(f, replace_many);
    fixture_start(f);
    assert_int_equal(metric_value(METRIC_index_rebuilds), rebuilds);
    assert_int_equal(count_rows(f), 2 * ROWS);
    assert_found(f, 0, 3 * ROWS);
    wait_until_linked(f);
    assert_found(f, 0, 3 * ROWS);
}

enum harm {
    LOST,
    EMPTY,
    SHORT,
    CHANGED,
    OF_ANOTHER,
    HARMS
};

static void do_harm(enum harm harm, const char *path)
{
    uint8_t byte;
    struct stat facts;
    if (harm == LOST) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &facts), 0);
    assert_true(facts.st_size > (ROWS / 2) * WIDE * 4);
    off_t at = harm == OF_ANOTHER ? 16 : 4096 + (ROWS / 2) * WIDE * 4 + 77;
    switch (harm) {
    case EMPTY:
        assert_int_equal(ftruncate(fd, 0), 0);
        break;
    case SHORT:
        assert_int_equal(ftruncate(fd, at), 0);
        break;
    default:
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    assert_int_equal(close(fd), 0);
}

static void a_file_that_is_lost_or_damaged_is_noticed_and_made_anew(void **state)
{
    struct fixture *f = *state;
    char path[PATH_BYTES];
    fixture_start(f);
    insert_all(f, 0, ROWS);
    fixture_stop(f);
    for (enum harm harm = 0; harm < HARMS; harm++) {
        int64_t before = metric_value(METRIC_index_rebuilds);
        vectors_path(f, path);
        do_harm(harm, path);
        fixture_start(f);
        assert_int_equal(metric_value(METRIC_index_rebuilds), before + 1);
        assert_found(f, 0, ROWS);
        wait_until_linked(f);
        fixture_stop(f);
        fixture_start(f);
        assert_int_equal(metric_value(METRIC_index_rebuilds), before + 1);
        fixture_stop(f);
    }
}

static void vectors_that_are_resident_come_from_the_same_file(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    insert_all(f, 0, ROWS);
    fixture_stop(f);
    fixture_policy(f, "vector_memory", "resident");
    int64_t rebuilds = metric_value(METRIC_index_rebuilds);
    fixture_start(f);
    struct shard_figures figures;
    shard_figures(f->shard, &figures);
    assert_int_equal(metric_value(METRIC_index_rebuilds), rebuilds);
    assert_int_equal(figures.mapped_bytes, 0);
    assert_true(figures.vector_bytes >= ROWS * WIDE * sizeof(float));
    assert_found(f, 0, ROWS);
    fixture_stop(f);
}

static void a_new_index_takes_a_new_file_and_the_old_one_goes(void **state)
{
    struct fixture *f = *state;
    char before[PATH_BYTES], after[PATH_BYTES];
    struct err err = {0};
    fixture_start(f);
    insert_all(f, 0, ROWS);
    checkpoint(f);
    vectors_path(f, before);
    bool is_reindexed;
    struct shard_reindex request = {.column = EMBEDDING,
                                    .parameters =
                                        shard_index_parameters(f->shard, EMBEDDING, &is_reindexed)};
    request.parameters.m = 8;
    assert_int_equal(shard_reindex(f->shard, &request, &err), ERR_OK);
    assert_int_equal(shard_checkpoint(f->shard, NULL, NULL, &err), ERR_OK);
    vectors_path(f, after);
    assert_string_not_equal(before, after);
    assert_found(f, 0, ROWS);
    fixture_stop(f);
    fixture_start(f);
    assert_found(f, 0, ROWS);
}

/* ---- what fails ---- */

static void a_full_disk_refuses_writes_before_the_log_and_takes_them_again(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    need_faults();
    fixture_start(f);
    insert_all(f, 0, ROWS);
    fault_arm(FAULT_VECTORS_GROW, 1, FOR_EVER);
    uint64_t i = ROWS;
    enum errcode code = ERR_OK;
    for (; i < 10 * ROWS && code == ERR_OK; i++) {
        code = insert_wide(f, i, i + 1, &err);
    }
    assert_int_equal(code, ERR_DISK_FULL);
    assert_true(err.hint[0] != '\0');
    assert_int_equal(count_rows(f), i - 1);
    assert_found(f, 0, i);
    assert_int_equal(delete_row(f, 3, &err), ERR_OK); /* The way out. */
    fault_disarm_all();
    assert_int_equal(insert_wide(f, i, i + 1, &err), ERR_OK);
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(count_rows(f), i - 1);
    assert_found(f, 0, i + 1);
}

static void insert_without_checkpoint(struct fixture *f)
{
    insert_all(f, count_rows(f), 2 * ROWS);
}

/* The room that a replayed write had is gone, and the server starts all the same. */
static void a_replay_without_room_on_the_disk_waits_for_it_in_memory(void **state)
{
    struct fixture *f = *state;
    char path[PATH_BYTES];
    struct err err = {0};
    need_faults();
    fixture_start(f);
    insert_all(f, 0, ROWS);
    checkpoint(f);
    fixture_stop(f);
    int64_t rebuilds = metric_value(METRIC_index_rebuilds);
    run_and_die(f, insert_without_checkpoint);
    vectors_path(f, path);
    assert_int_equal(truncate(path, 4096 + ROWS * WIDE * (off_t)sizeof(float) + 1000), 0);
    fault_arm(FAULT_VECTORS_GROW, 1, FOR_EVER);
    fixture_start(f);
    assert_int_equal(count_rows(f), 2 * ROWS);
    assert_found(f, 0, 2 * ROWS);
    wait_until_linked(f);
    assert_found(f, 0, 2 * ROWS);
    assert_true(metric_value(METRIC_vectors_unplaced) >
                (int64_t)((ROWS - 1) * WIDE * sizeof(float)));
    assert_int_equal(insert_wide(f, 3 * ROWS, 3 * ROWS + 1, &err), ERR_DISK_FULL);
    assert_int_equal(shard_checkpoint(f->shard, NULL, NULL, &err), ERR_DISK_FULL);
    assert_int_equal(delete_row(f, 3, &err), ERR_OK);
    fault_disarm_all();
    insert_all(f, 2 * ROWS, 3 * ROWS);
    assert_int_equal(metric_value(METRIC_vectors_unplaced), 0);
    checkpoint(f);
    assert_found(f, 0, 3 * ROWS);
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(metric_value(METRIC_index_rebuilds), rebuilds);
    assert_int_equal(count_rows(f), 3 * ROWS - 1);
    assert_found(f, 0, 3 * ROWS);
}

static void so_does_one_of_vectors_that_are_resident(void **state)
{
    fixture_policy(*state, "vector_memory", "resident");
    a_replay_without_room_on_the_disk_waits_for_it_in_memory(state);
}

/* Not even the file can be made. */
static void a_replay_without_a_file_waits_for_it_in_memory(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    need_faults();
    run_and_die(f, insert_without_checkpoint);
    fault_arm(FAULT_VECTORS_MAKE, 1, FOR_EVER);
    fixture_start(f);
    assert_int_equal(count_rows(f), 2 * ROWS);
    assert_found(f, 0, 2 * ROWS);
    assert_int_equal(shard_checkpoint(f->shard, NULL, NULL, &err), ERR_DISK_FULL);
    assert_true(metric_value(METRIC_vectors_unplaced) > 0);
    fault_disarm_all();
    checkpoint(f);
    assert_int_equal(metric_value(METRIC_vectors_unplaced), 0);
    assert_found(f, 0, 2 * ROWS);
    int64_t rebuilds = metric_value(METRIC_index_rebuilds);
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(metric_value(METRIC_index_rebuilds), rebuilds);
    assert_found(f, 0, 2 * ROWS);
}

static void a_failing_write_is_tried_again_and_others_are_told(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    need_faults();
    fixture_start(f);
    insert_all(f, 0, ROWS);
    fault_arm(FAULT_VECTORS_WRITE, 1, 2);
    assert_int_equal(insert_wide(f, ROWS, ROWS + 1, &err), ERR_OK); /* The third time. */
    assert_int_equal(atomic_load(&f->shard->stage_error), ERR_OK);
    assert_found(f, 0, ROWS + 1);
    fault_disarm_all();
}

static void after_a_sync_that_failed_no_checkpoint_is_written_until_a_restart(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    need_faults();
    fixture_start(f);
    insert_all(f, 0, ROWS);
    checkpoint(f);
    insert_all(f, ROWS, 2 * ROWS);
    wait_until_linked(f);
    fault_arm(FAULT_VECTORS_SYNC, 1, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(shard_checkpoint(f->shard, NULL, NULL, &err), ERR_IO);
        assert_found(f, 0, 2 * ROWS);
    }
    assert_true(err.hint[0] != '\0');
    fixture_stop(f);
    int64_t rebuilds = metric_value(METRIC_index_rebuilds);
    fixture_start(f);
    assert_int_equal(metric_value(METRIC_index_rebuilds), rebuilds);
    wait_until_linked(f);
    assert_found(f, 0, 2 * ROWS);
    assert_int_equal(shard_checkpoint(f->shard, NULL, NULL, &err), ERR_OK);
}

static enum fault_point crash_point;

static void write_until_dead(struct fixture *f)
{
    struct err err = {0};
    fault_arm(crash_point, 2, 1);
    for (uint64_t i = count_rows(f); i < 20 * ROWS; i++) {
        if (insert_wide(f, i, i + 1, &err) != ERR_OK) {
            _exit(1);
        }
        if (i % 32 == 31 && shard_checkpoint(f->shard, NULL, NULL, &err) != ERR_OK) {
            _exit(2);
        }
    }
}

static void a_crash_around_growth_and_sync_loses_nothing(void **state)
{
    struct fixture *f = *state;
    static const enum fault_point points[] = {FAULT_CRASH_IN_VECTORS, FAULT_CRASH_BEFORE_VECTORS,
                                              FAULT_CRASH_AFTER_VECTORS};
    need_faults();
    int64_t rebuilds = metric_value(METRIC_index_rebuilds);
    uint64_t rows = ROWS;
    fixture_start(f);
    insert_all(f, 0, ROWS);
    fixture_stop(f);
    for (size_t n = 0; n < 2 * COUNT_OF(points); n++) {
        crash_point = points[n % COUNT_OF(points)];
        run_and_die(f, write_until_dead);
        fixture_start(f);
        assert_true(count_rows(f) > rows);
        rows = count_rows(f);
        assert_int_equal(metric_value(METRIC_index_rebuilds), rebuilds);
        assert_found(f, 0, rows);
        fixture_stop(f);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(vectors_come_back_from_their_file),
        TEST(where_no_row_is_left_the_file_is_given_back_by_a_checkpoint),
        TEST(a_crash_after_many_changes_finds_what_the_checkpoint_names),
        TEST(a_file_that_is_lost_or_damaged_is_noticed_and_made_anew),
        TEST(vectors_that_are_resident_come_from_the_same_file),
        TEST(a_new_index_takes_a_new_file_and_the_old_one_goes),
        TEST(a_full_disk_refuses_writes_before_the_log_and_takes_them_again),
        TEST(a_replay_without_room_on_the_disk_waits_for_it_in_memory),
        TEST(so_does_one_of_vectors_that_are_resident),
        TEST(a_replay_without_a_file_waits_for_it_in_memory),
        TEST(a_failing_write_is_tried_again_and_others_are_told),
        TEST(after_a_sync_that_failed_no_checkpoint_is_written_until_a_restart),
        TEST(a_crash_around_growth_and_sync_loses_nothing),
    };
    return cmocka_run_group_tests_name("files of vectors", tests, NULL, NULL);
}
