/* What the log does when the disk, the memory or the directory are not as they should be. */
#define _GNU_SOURCE /* memmem, and mount on Linux */
#include "log_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the disk ---- */

/* Runs rounds of writes in flight together while the n-th commit fails: each is either applied and
 * found again, or failed and nowhere.  Returns how many failed: none where the n-th commit was one
 * of the log's own housekeeping. */
static size_t check_failing_commit(struct fixture *f, enum fault_point point, enum errcode expected,
                                   uint64_t nth)
{
    enum {
        N = 120,
        TOGETHER = 12
    };
    static struct waited waited[TOGETHER];
    bool is_written[N + 1] = {false};
    size_t n_failed = 0;
    struct err err;
    owner_forget(&f->owner);
    struct repl_group *group = open_group(f->repl, &f->owner, 1000 + nth, 0);
    int64_t failures = metric_value(METRIC_log_failures);
    fault_arm(point, nth, 1);
    for (uint64_t v = 1; v <= N; v += TOGETHER) {
        for (uint64_t i = 0; i < TOGETHER; i++) {
            enum repl_stage stage = i % 3 == 0 ? REPL_LEADER : REPL_APPLIED;
            assert_int_equal(start_write(group, &waited[i], v + i, 50, stage, &err), ERR_OK);
        }
        for (uint64_t i = 0; i < TOGETHER; i++) {
            enum errcode code = end_write(&waited[i], &err);
            assert_true(code == ERR_OK || code == expected);
            is_written[v + i] = code == ERR_OK;
            n_failed += code != ERR_OK;
        }
    }
    assert_true(n_failed < N);
    assert_int_equal(metric_value(METRIC_log_failures), failures + 1);
    for (int pass = 0; pass < 2; pass++) {
        repl_group_close(group);
        uint64_t last = 0;
        for (size_t i = 0; i < f->owner.n; i++) {
            assert_true(f->owner.values[i] > last); /* In order, so none twice. */
            last = f->owner.values[i];
            assert_true(is_written[last]);
        }
        size_t n_written = N - n_failed;
        assert_int_equal(f->owner.n, n_written);
        if (pass == 0) {
            owner_forget(&f->owner);
            log_reopen(f);
            group = open_group(f->repl, &f->owner, 1000 + nth, 0);
        }
    }
    return n_failed;
}

static void a_failed_commit_fails_its_writes_and_no_others(void **state)
{
    if (!fault_is_built()) {
        skip();
    }
    size_t n_failed = 0;
    for (uint64_t nth = 1; nth <= 8; nth++) {
        n_failed += check_failing_commit(*state, FAULT_LOG_COMMIT, ERR_IO, nth);
    }
    assert_true(n_failed > 0);
}

static void a_full_disk_fails_writes_until_space_returns(void **state)
{
    if (!fault_is_built()) {
        skip();
    }
    size_t n_failed = 0;
    for (uint64_t nth = 1; nth <= 4; nth++) {
        n_failed += check_failing_commit(*state, FAULT_LOG_COMMIT_FULL, ERR_DISK_FULL, nth);
    }
    assert_true(n_failed > 0);
}

/* The last write of a commit fails @n_failures times in a row, the first of them for a write. */
static enum errcode write_with_broken_header(struct fixture *f, enum fault_point point,
                                             uint64_t n_failures)
{
    struct err err;
    struct repl_group *group = open_group(f->repl, &f->owner, 5, 0);
    write_range(group, 1, 3);
    fault_arm(point, 1, n_failures);
    enum errcode code = write_one(group, 4, &err);
    fault_disarm_all();
    write_range(group, 5, 6);
    repl_group_close(group);
    log_reopen(f);
    for (size_t i = 0; i < f->owner.n; i++) {
        assert_true(i == 0 || f->owner.values[i] > f->owner.values[i - 1]);
    }
    size_t n_applied = f->owner.n;
    owner_forget(&f->owner);
    open_group(f->repl, &f->owner, 5, 0);
    assert_int_equal(f->owner.n, n_applied); /* The log and what was applied agree. */
    repl_group_close(f->owner.group);
    return code;
}

static void a_commit_that_failed_and_stands_is_a_success(void **state)
{
    struct fixture *f = *state;
    if (!fault_is_built()) {
        skip();
    }
    assert_int_equal(write_with_broken_header(f, FAULT_LOG_HEADER_STANDS, 1), ERR_OK);
    check_range(&f->owner, 1, 6);
}

static void a_commit_that_failed_and_is_lost_is_an_error(void **state)
{
    struct fixture *f = *state;
    if (!fault_is_built()) {
        skip();
    }
    assert_int_equal(write_with_broken_header(f, FAULT_LOG_HEADER_LOST, 1), ERR_IO);
    assert_int_equal(f->owner.n, 5);
}

/* The second failure is that of the attempt to find out. */
static void a_commit_that_nobody_can_judge_has_an_unknown_outcome(void **state)
{
    struct fixture *f = *state;
    if (!fault_is_built()) {
        skip();
    }
    assert_int_equal(write_with_broken_header(f, FAULT_LOG_HEADER_STANDS, 2), ERR_OUTCOME_UNKNOWN);
    check_range(&f->owner, 1, 6);
}

static void an_unknown_outcome_may_be_a_lost_write(void **state)
{
    struct fixture *f = *state;
    if (!fault_is_built()) {
        skip();
    }
    assert_int_equal(write_with_broken_header(f, FAULT_LOG_HEADER_LOST, 2), ERR_OUTCOME_UNKNOWN);
    assert_int_equal(f->owner.n, 5);
}

static void a_group_cannot_be_made_while_the_log_fails(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct repl_group *group;
    const struct repl_group_config config = {.id = 5, .apply = owner_apply};
    if (!fault_is_built()) {
        skip();
    }
    fault_arm(FAULT_LOG_COMMIT, 1, 1);
    assert_int_equal(repl_group_open(f->repl, &config, &group, &err), ERR_IO);
    write_range(open_group(f->repl, &f->owner, 5, 0), 1, 3);
    repl_group_close(f->owner.group);
    fault_arm(FAULT_LOG_COMMIT, 1, 1);
    assert_int_equal(repl_group_destroy(f->repl, 5, &err), ERR_IO);
    owner_forget(&f->owner);
    open_group(f->repl, &f->owner, 5, 0);
    check_range(&f->owner, 1, 3);
    repl_group_close(f->owner.group);
}

static void a_cut_that_fails_is_tried_again(void **state)
{
    struct fixture *f = *state;
    struct repl_figures figures;
    if (!fault_is_built()) {
        skip();
    }
    struct repl_group *group = open_group(f->repl, &f->owner, 5, 0);
    write_range(group, 1, 50);
    fault_arm(FAULT_LOG_COMMIT, 1, 1);
    uint64_t cut = f->owner.indexes[49];
    repl_group_cut(group, cut);
    uint64_t deadline = clock_micros() + PATIENCE_US;
    do {
        clock_sleep_micros(1000);
        repl_group_figures(group, &figures);
    } while (figures.first <= cut && clock_micros() < deadline);
    assert_int_equal(figures.first, cut + 1);
    assert_true(fault_calls(FAULT_LOG_COMMIT) >= 2);
    write_range(group, 51, 52);
    check_range(&f->owner, 1, 52);
    repl_group_close(group);
}

/* A disk of 4 MiB, with room for a log in it; NULL where this user may not mount. */
static char *small_disk(const struct fixture *f, char log[600])
{
    char small[500];
    snprintf(small, sizeof(small), "%s/small", f->directory);
    assert_int_equal(mkdir(small, 0755), 0);
    snprintf(log, 600, "%s/log", small);
    return mount("tmpfs", small, "tmpfs", 0, "size=4m") == 0 ? strdup(small) : NULL;
}

static void a_really_full_disk_is_told_and_left_behind(void **state)
{
    struct fixture *f = *state;
    char path[600];
    char *small = small_disk(f, path);
    if (small == NULL) {
        skip();
    }
    struct repl *repl = open_log(path);
    struct repl_group *group = open_group(repl, &f->owner, 9, 0);
    struct err err;
    uint64_t v = 0;
    enum errcode code = ERR_OK;
    while (code == ERR_OK) {
        struct waited w;
        v += 1;
        code = start_write(group, &w, v, 30000, REPL_APPLIED, &err);
        code = code == ERR_OK ? end_write(&w, &err) : code;
        assert_true(v < 1000);
    }
    assert_int_equal(code, ERR_DISK_FULL);
    check_range(&f->owner, 1, v - 1);
    /* The owner has flushed: the log is cut, and there is room in its file again. */
    repl_group_cut(group, f->owner.indexes[f->owner.n - 1]);
    uint64_t deadline = clock_micros() + PATIENCE_US;
    while ((code = write_one(group, v, &err)) == ERR_DISK_FULL && clock_micros() < deadline) {
        clock_sleep_micros(10000);
    }
    assert_int_equal(code, ERR_OK);
    check_range(&f->owner, 1, v);
    repl_group_close(group);
    repl_close(repl);
    assert_int_equal(umount(small), 0);
    free(small);
}

/* What is kept free can be changed while writes come. */
static void a_reserve_that_is_not_there_refuses_writes(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct repl_group *group = open_group(f->repl, &f->owner, 5, 0);
    write_range(group, 1, 3);
    repl_reserve(f->repl, (size_t)1 << 60);
    assert_int_equal(write_one(group, 4, &err), ERR_DISK_FULL);
    repl_reserve(f->repl, 0);
    uint64_t deadline = clock_micros() + PATIENCE_US;
    enum errcode code;
    while ((code = write_one(group, 4, &err)) == ERR_DISK_FULL && clock_micros() < deadline) {
        clock_sleep_micros(10000);
    }
    assert_int_equal(code, ERR_OK);
    check_range(&f->owner, 1, 4);
    repl_group_close(group);
}

/* Of an entry that makes room once it is applied. */
static enum errcode start_shrinking(struct repl_group *group, struct waited *w, uint64_t value,
                                    size_t bytes, struct err *err)
{
    uint8_t *data = mem_zalloc(MEM_LOG, bytes);
    assert_non_null(data);
    le_put_u64(data, value);
    waited_init(w, REPL_APPLIED);
    w->write.is_shrinking = true;
    return repl_submit(group, &w->write, data, bytes, err);
}

/* Entries of both kinds come together, so that one turn of the log has them, too: the even ones
 * shrink. */
static void what_shrinks_goes_on_below_the_reserve(void **state)
{
    enum {
        N = 40
    };
    struct fixture *f = *state;
    struct err err;
    static struct waited waited[N + 1];
    bool is_started[N + 1];
    struct repl_group *group = open_group(f->repl, &f->owner, 5, 0);
    repl_reserve(f->repl, (size_t)1 << 60);
    for (uint64_t v = 1; v <= N; v++) {
        enum errcode code = v % 2 == 0 ? start_shrinking(group, &waited[v], v, 100, &err)
                                       : start_write(group, &waited[v], v, 100, REPL_APPLIED, &err);
        is_started[v] = code == ERR_OK;
        assert_true(is_started[v] || (v % 2 == 1 && code == ERR_DISK_FULL));
    }
    for (uint64_t v = 1; v <= N; v++) {
        if (is_started[v]) {
            assert_int_equal(end_write(&waited[v], &err), v % 2 == 0 ? ERR_OK : ERR_DISK_FULL);
            assert_true(v % 2 == 0 || strstr(err.hint, "DELETE") != NULL);
        }
    }
    assert_int_equal(f->owner.n, N / 2);
    for (size_t i = 0; i < f->owner.n; i++) {
        assert_int_equal(f->owner.values[i], 2 * (i + 1));
    }
    assert_int_equal(write_one(group, N + 1, &err), ERR_DISK_FULL);
    repl_reserve(f->repl, 0);
    assert_int_equal(write_one(group, N + 1, &err), ERR_OK);
    repl_group_close(group);
}

static void what_shrinks_is_refused_before_its_commit_could_fail(void **state)
{
    struct fixture *f = *state;
    char path[600];
    char *small = small_disk(f, path);
    if (small == NULL) {
        skip();
    }
    struct repl *repl = open_log(path);
    struct repl_group *group = open_group(repl, &f->owner, 9, 0);
    struct err err;
    int64_t failures = metric_value(METRIC_log_failures);
    repl_reserve(repl, (size_t)1 << 60);
    uint64_t v = 0;
    enum errcode code = ERR_OK;
    while (code == ERR_OK) {
        struct waited w;
        v += 1;
        code = start_shrinking(group, &w, v, 30000, &err);
        code = code == ERR_OK ? end_write(&w, &err) : code;
        assert_true(v < 1000);
    }
    assert_int_equal(code, ERR_DISK_FULL);
    assert_true(v > 20);
    check_range(&f->owner, 1, v - 1);
    assert_int_equal(metric_value(METRIC_log_failures), failures);
    repl_group_close(group);
    repl_close(repl);
    assert_int_equal(umount(small), 0);
    free(small);
}

/* ---- memory ---- */

static enum errcode open_write_close(const char *directory, struct owner *o, struct err *err)
{
    struct repl *repl;
    if (try_open_log(directory, &repl, err) != ERR_OK) {
        return err->code;
    }
    const struct repl_group_config config = {.id = 3, .apply = owner_apply, .arg = o};
    struct repl_group *group;
    enum errcode code = repl_group_open(repl, &config, &group, err);
    if (code == ERR_OK) {
        for (uint64_t v = 1; v <= 3 && code == ERR_OK; v++) {
            code = write_one(group, v, err);
        }
        repl_group_close(group);
    }
    if (code == ERR_OK) {
        code = repl_group_destroy(repl, 4, err);
    }
    repl_close(repl);
    return code;
}

static void any_allocation_may_fail(void **state)
{
    struct fixture *f = *state;
    char path[600];
    if (!fault_is_built()) {
        skip();
    }
    bool is_through = false;
    for (uint64_t nth = 1; !is_through; nth++) {
        struct err err;
        struct owner owner;
        owner_init(&owner);
        snprintf(path, sizeof(path), "%s/n%llu", f->directory, (unsigned long long)nth);
        fault_arm(FAULT_MALLOC, nth, 1);
        enum errcode code = open_write_close(path, &owner, &err);
        is_through = fault_calls(FAULT_MALLOC) < nth;
        fault_disarm_all();
        assert_true(code == ERR_OUT_OF_MEMORY || code == ERR_OK);
        assert_true(!is_through || code == ERR_OK);
        size_t n_before = owner.n;
        owner_forget(&owner);
        code = open_write_close(path, &owner, &err);
        assert_int_equal(code, ERR_OK);
        assert_int_equal(owner.n, n_before + 3);
        owner_fini(&owner);
        assert_true(nth < 500);
    }
}

/* ---- the directory ---- */

static void a_living_process_keeps_the_log_and_a_dead_one_does_not(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct repl *repl;
    char path[600];
    int ready[2];
    snprintf(path, sizeof(path), "%s/other", f->directory);
    repl_close(f->repl); /* A process with threads does not fork well. */
    f->repl = NULL;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        bool is_open = try_open_log(path, &repl, &err) == ERR_OK;
        if (write(ready[1], &is_open, 1) == 1) {
            pause();
        }
        _exit(1);
    }
    close(ready[1]);
    char is_open = 0;
    assert_int_equal(read(ready[0], &is_open, 1), 1);
    assert_true(is_open);
    assert_int_equal(try_open_log(path, &repl, &err), ERR_LOCKED);
    char pid[32];
    snprintf(pid, sizeof(pid), "process %ld", (long)child);
    assert_non_null(strstr(err.message, pid));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    repl = open_log(path);
    repl_close(repl);
    close(ready[0]);
}

static void write_file(const char *directory, const char *name, const char *text)
{
    char path[700];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Changes the byte that lies @offset behind each place in the closed log where @needle stands. */
static size_t patch_log(const char *directory, const void *needle, size_t bytes, size_t offset,
                        uint8_t value)
{
    char path[700];
    struct stat st;
    snprintf(path, sizeof(path), "%s/log.mdb", directory);
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    size_t size = (size_t)st.st_size;
    uint8_t *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    size_t n = 0;
    for (uint8_t *at = map; (at = memmem(at, size - (size_t)(at - map), needle, bytes)) != NULL;
         at += bytes) {
        at[offset] = value;
        n += 1;
    }
    munmap(map, size);
    close(fd);
    return n;
}

static void a_foreign_directory_is_refused_and_says_why(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct repl *repl;
    char path[600];
    snprintf(path, sizeof(path), "%s/foreign", f->directory);
    assert_int_equal(mkdir(path, 0755), 0);
    write_file(path, "thesis.txt", "not a log");
    assert_int_equal(try_open_log(path, &repl, &err), ERR_FORMAT_UNSUPPORTED);
    assert_non_null(strstr(err.message, "thesis.txt"));
    write_file(path, "log.mdb", "not a log either");
    assert_int_equal(try_open_log(path, &repl, &err), ERR_FORMAT_UNSUPPORTED);
    assert_non_null(strstr(err.message, "is not a log of vectrond"));
}

static void an_interrupted_creation_is_begun_again(void **state)
{
    struct fixture *f = *state;
    char path[600];
    snprintf(path, sizeof(path), "%s/begun", f->directory);
    assert_int_equal(mkdir(path, 0755), 0);
    write_file(path, "log.mdb.new", "half a log");
    write_file(path, "lock", "99999999\n");
    repl_close(open_log(path));
}

static void a_newer_format_is_refused_and_says_why(void **state)
{
    struct fixture *f = *state;
    struct err err;
    repl_close(f->repl);
    f->repl = NULL;
    assert_true(patch_log(f->directory, "vectrond log", 12, 16, 9) > 0);
    assert_int_equal(try_open_log(f->directory, &f->repl, &err), ERR_FORMAT_UNSUPPORTED);
    assert_non_null(strstr(err.message, "format 9"));
    assert_true(patch_log(f->directory, "vectrond log", 12, 16, 1) > 0);
    assert_true(patch_log(f->directory, "vectrond log", 12, 20, 5) > 0);
    assert_int_equal(try_open_log(f->directory, &f->repl, &err), ERR_CORRUPT);
    assert_true(patch_log(f->directory, "vectrond log", 12, 0, 'V') > 0);
    assert_int_equal(try_open_log(f->directory, &f->repl, &err), ERR_FORMAT_UNSUPPORTED);
    f->repl = NULL;
}

static void a_log_of_another_node_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err;
    repl_close(f->repl);
    f->repl = NULL;
    const struct repl_config config = {
        .directory = f->directory, .node = 2, .map_bytes = 1 << 30, .in_memory_max = 1 << 20};
    assert_int_equal(repl_open(&config, &f->repl, &err), ERR_BAD_CONFIG);
    assert_non_null(strstr(err.message, "node 1"));
    f->repl = NULL;
}

static void a_damaged_entry_is_refused_and_never_skipped(void **state)
{
    struct fixture *f = *state;
    struct err err;
    static const uint8_t needle[8] = {0x4d, 0x3c, 0x2b, 0x1a, 0x77, 0x66, 0x55, 0x44};
    struct repl_group *group = open_group(f->repl, &f->owner, 7, 0);
    write_range(group, 1, 5);
    write_range(group, le_get_u64(needle), le_get_u64(needle));
    write_range(group, 7, 9);
    uint64_t index = f->owner.indexes[5];
    repl_group_close(group);
    repl_close(f->repl);
    assert_true(patch_log(f->directory, needle, sizeof(needle), 7, 0xff) > 0);
    f->repl = open_log(f->directory);
    owner_forget(&f->owner);
    const struct repl_group_config config = {.id = 7, .apply = owner_apply, .arg = &f->owner};
    assert_int_equal(repl_group_open(f->repl, &config, &group, &err), ERR_CORRUPT);
    char entry[64];
    snprintf(entry, sizeof(entry), "entry %llu of group 7", (unsigned long long)index);
    assert_non_null(strstr(err.message, entry));
    assert_true(f->owner.n <= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_set_up, log_tear_down)
        LOG_TEST(a_failed_commit_fails_its_writes_and_no_others),
        LOG_TEST(a_full_disk_fails_writes_until_space_returns),
        LOG_TEST(a_commit_that_failed_and_stands_is_a_success),
        LOG_TEST(a_commit_that_failed_and_is_lost_is_an_error),
        LOG_TEST(a_commit_that_nobody_can_judge_has_an_unknown_outcome),
        LOG_TEST(an_unknown_outcome_may_be_a_lost_write),
        LOG_TEST(a_group_cannot_be_made_while_the_log_fails),
        LOG_TEST(a_cut_that_fails_is_tried_again),
        LOG_TEST(a_really_full_disk_is_told_and_left_behind),
        LOG_TEST(a_reserve_that_is_not_there_refuses_writes),
        LOG_TEST(what_shrinks_goes_on_below_the_reserve),
        LOG_TEST(what_shrinks_is_refused_before_its_commit_could_fail),
        LOG_TEST(any_allocation_may_fail),
        LOG_TEST(a_living_process_keeps_the_log_and_a_dead_one_does_not),
        LOG_TEST(a_foreign_directory_is_refused_and_says_why),
        LOG_TEST(an_interrupted_creation_is_begun_again),
        LOG_TEST(a_newer_format_is_refused_and_says_why),
        LOG_TEST(a_log_of_another_node_is_refused),
        LOG_TEST(a_damaged_entry_is_refused_and_never_skipped),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
