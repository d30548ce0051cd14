/* The lock of a directory: one process at a time, and none that is dead. */
#include "test/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[64];

static int make_path(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "/tmp/vectrond-test-XXXXXX");
    return mkdtemp(path) == NULL;
}

static int remove_path(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    return system(command);
}

static void assert_locked_by(long pid)
{
    int fd;
    struct err err = {0};
    char wanted[128];
    snprintf(wanted, sizeof(wanted), "the thing \"%s\" is in use by process %ld", path, pid);
    assert_int_equal(dir_lock(path, "lock", "the thing", &fd, &err), ERR_LOCKED);
    assert_int_equal(fd, -1);
    assert_string_equal(err.message, wanted);
    assert_true(err.hint[0] != '\0');
}

static void a_locked_directory_is_refused_until_it_is_unlocked(void **state)
{
    (void)state;
    struct err err;
    for (int i = 0; i < 2; i++) {
        int fd;
        assert_int_equal(dir_lock(path, "lock", "the thing", &fd, &err), ERR_OK);
        assert_locked_by((long)getpid());
        dir_unlock(fd);
    }
    dir_unlock(-1);
}

/* A child that has the lock. */
static pid_t start_holder(void)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd;
        struct err err;
        bool is_locked = dir_lock(path, "lock", "the thing", &fd, &err) == ERR_OK;
        (void)!write(ready[1], "", is_locked ? 1 : 0);
        close(ready[1]);
        pause();
        _exit(0);
    }
    char byte;
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void a_dead_process_holds_no_lock(void **state)
{
    (void)state;
    int fd;
    struct err err;
    pid_t child = start_holder();
    assert_locked_by((long)child);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(dir_lock(path, "lock", "the thing", &fd, &err), ERR_OK);
    assert_locked_by((long)getpid()); /* And its id is gone from the file. */
    dir_unlock(fd);
}

static void what_cannot_be_locked_or_synced_is_named(void **state)
{
    (void)state;
    int fd;
    struct err err;
    char none[80], name[5000];
    snprintf(none, sizeof(none), "%s/none", path);
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(dir_lock(none, "lock", "the thing", &fd, &err), ERR_IO);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(err.message, none));
    assert_int_equal(dir_lock(path, name, "the thing", &fd, &err), ERR_IO);
    assert_int_equal(fd, -1);
    assert_int_equal(dir_sync(none, &err), ERR_IO);
    assert_non_null(strstr(err.message, none));
    int file = creat(none, 0600);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(dir_sync(none, &err), ERR_IO); /* A file is no directory. */
    assert_int_equal(dir_sync(path, &err), ERR_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_path, remove_path)

/* The opening of a pipe waits for somebody at its other end: a start hung on one. */
static void only_a_regular_file_is_opened(void **state)
{
    (void)state;
    struct err err = {0};
    char file[128];
    snprintf(file, sizeof(file), "%s/pipe", path);
    assert_int_equal(dir_open(file, O_RDONLY, &err), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_int_equal(dir_open(file, O_RDONLY, &err), -1);
    assert_int_not_equal(errno, ENOENT);
    assert_non_null(strstr(err.message, "is no regular file"));
    assert_int_equal(unlink(file), 0);
    int fd = dir_create(file, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    fd = dir_open(file, O_RDONLY, &err);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(file), 0);
}

/* A shard's file that could not be looked for was taken for one that was lost. */
static void what_cannot_be_looked_for_is_not_missing(void **state)
{
    (void)state;
    struct err err = {0};
    char file[128], below[160];
    bool is_there = true;
    snprintf(file, sizeof(file), "%s/file", path);
    snprintf(below, sizeof(below), "%s/below", file);
    assert_int_equal(dir_has(file, &is_there, &err), ERR_OK);
    assert_false(is_there);
    int fd = dir_create(file, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(dir_has(file, &is_there, &err), ERR_OK);
    assert_true(is_there);
    assert_int_equal(dir_has(below, &is_there, &err), ERR_IO);
    assert_non_null(strstr(err.message, below));
    assert_int_equal(unlink(file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_locked_directory_is_refused_until_it_is_unlocked),
        TEST(a_dead_process_holds_no_lock),
        TEST(only_a_regular_file_is_opened),
        TEST(what_cannot_be_looked_for_is_not_missing),
        TEST(what_cannot_be_locked_or_synced_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
