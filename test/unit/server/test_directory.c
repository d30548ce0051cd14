/* The data directory: who may use it, and which formats are refused. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/server_int.h"

static char path[64];

static int make_path(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/vectrond-test-XXXXXX");
    return mkdtemp(path) == NULL;
}

static int remove_path(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    return system(command);
}

static void put(const char *name, const char *text)
{
    char file[128];
    snprintf(file, sizeof file, "%s/%s", path, name);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void assert_refused(enum errcode code, const char *part)
{
    struct directory d;
    struct err err = {0};
    assert_int_equal(directory_open(&d, path, &err), code);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, part));
    assert_true(err.hint[0] != '\0');
}

static void a_new_directory_is_made_and_opens_again(void **state)
{
    (void)state;
    struct directory d;
    struct err err;
    assert_int_equal(rmdir(path), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(directory_open(&d, path, &err), ERR_OK);
        directory_close(&d);
    }
}

static void a_second_server_is_refused_with_the_firsts_process(void **state)
{
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct directory d;
        struct err err;
        bool is_open = directory_open(&d, path, &err) == ERR_OK;
        (void)!write(ready[1], "", is_open ? 1 : 0);
        close(ready[1]);
        pause();
        _exit(0);
    }
    char byte;
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)child);
    assert_refused(ERR_LOCKED, pid);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    struct directory d; /* Its lock went with it; its file with the process id is still there. */
    struct err err;
    assert_int_equal(directory_open(&d, path, &err), ERR_OK);
    directory_close(&d);
}

static void a_foreign_directory_is_left_alone(void **state)
{
    (void)state;
    put("thesis.txt", "my only copy");
    assert_refused(ERR_FORMAT_UNSUPPORTED, "thesis.txt");
}

static void a_newer_format_is_refused_with_both_numbers(void **state)
{
    (void)state;
    put("VERSION", "vectrond data 2\n");
    assert_refused(ERR_FORMAT_UNSUPPORTED, "format 2, and this server reads format 1");
}

static void a_version_file_of_something_else_is_refused(void **state)
{
    (void)state;
    put("VERSION", "15\n");
    assert_refused(ERR_FORMAT_UNSUPPORTED, "VERSION");
    put("VERSION", "");
    assert_refused(ERR_FORMAT_UNSUPPORTED, "VERSION");
}

static void what_a_cut_first_start_left_behind_is_no_hindrance(void **state)
{
    (void)state;
    put("vectrond.pid", "1\n");
    put("VERSION.new", "vectr");
    struct directory d;
    struct err err;
    assert_int_equal(directory_open(&d, path, &err), ERR_OK);
    directory_close(&d);
}

/* ---- who may read it ---- */

static unsigned mode_of(const char *name)
{
    struct stat st;
    char file[128];
    snprintf(file, sizeof file, "%s/%s", path, name);
    assert_int_equal(stat(file, &st), 0);
    return (unsigned)st.st_mode & 07777;
}

static void make(const char *name, unsigned mode)
{
    char directory[128];
    snprintf(directory, sizeof directory, "%s/%s", path, name);
    assert_int_equal(mkdir(directory, 0700), 0);
    assert_int_equal(chmod(directory, mode), 0);
}

static void open_and_close(void)
{
    struct directory d;
    struct err err = {0};
    assert_int_equal(directory_open(&d, path, &err), ERR_OK);
    directory_close(&d);
}

static void what_others_may_read_is_made_private_down_to_a_shards_files(void **state)
{
    (void)state;
    open_and_close();
    make("shards", 0755);
    make("shards/7", 0777);
    put("shards/7/data.mdb", "");
    put("VERSION.old", "");
    assert_int_not_equal(mode_of("shards/7/data.mdb") & 077, 0);
    assert_int_equal(chmod(path, 0755), 0);
    open_and_close();
    assert_int_equal(mode_of(""), 0700);
    assert_int_equal(mode_of("shards"), 0700);
    assert_int_equal(mode_of("shards/7"), 0700);
    assert_int_equal(mode_of("shards/7/data.mdb"), 0600);
    assert_int_equal(mode_of("VERSION.old"), 0600);
}

/* A server of root, on the data of somebody who planted a link to what is not theirs. */
static void a_link_to_what_belongs_to_another_changes_nothing_there(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    open_and_close();
    make("other", 0755);
    make("theirs", 0755);
    char link[128], directory[128];
    snprintf(directory, sizeof directory, "%s/other", path);
    assert_int_equal(chown(directory, 1, 1), 0);
    snprintf(link, sizeof link, "%s/log", path);
    assert_int_equal(symlink("other", link), 0);
    open_and_close();
    assert_int_equal(mode_of("log"), 0755);
    assert_int_equal(mode_of("theirs"), 0700);
}

static void a_file_in_the_directorys_place_is_refused(void **state)
{
    (void)state;
    struct directory d;
    struct err err = {0};
    put("file", "");
    char file[128];
    snprintf(file, sizeof file, "%s/file", path);
    assert_int_equal(directory_open(&d, file, &err), ERR_IO);
    assert_non_null(strstr(err.message, file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_directory_is_made_and_opens_again, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(a_second_server_is_refused_with_the_firsts_process,
                                        make_path, remove_path),
        cmocka_unit_test_setup_teardown(a_foreign_directory_is_left_alone, make_path, remove_path),
        cmocka_unit_test_setup_teardown(a_newer_format_is_refused_with_both_numbers, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(a_version_file_of_something_else_is_refused, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(what_a_cut_first_start_left_behind_is_no_hindrance,
                                        make_path, remove_path),
        cmocka_unit_test_setup_teardown(what_others_may_read_is_made_private_down_to_a_shards_files,
                                        make_path, remove_path),
        cmocka_unit_test_setup_teardown(a_link_to_what_belongs_to_another_changes_nothing_there,
                                        make_path, remove_path),
        cmocka_unit_test_setup_teardown(a_file_in_the_directorys_place_is_refused, make_path,
                                        remove_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
