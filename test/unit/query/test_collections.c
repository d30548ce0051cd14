/* Collections that cannot be opened, and many of them: what fails leaves nothing, what is broken
 * heals by itself, and each of many takes little. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "query_fixture.h"

enum {
    MANY = GOOD_MEASURE(400, 150),
    EACH_BYTES_MAX = 64 << 10,
    DESCRIPTORS_MAX = 400, /* Whatever their number. */
};

static void write_file(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* Of the shard of a group. */
static void shard_path(const struct fixture *f, unsigned group, const char *name, char out[128])
{
    snprintf(out, 128, "%s/shards/%u%s", f->directory, group, name);
}

static void expect_state(struct fixture *f, const char *statement, enum errcode expected)
{
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    while (run(&f->client, statement) != expected) {
        assert_true(clock_micros() < deadline_us);
        clock_sleep_micros(20000);
    }
}

static void a_create_that_fails_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct client *c = &f->client;
    char path[128], file[128];
    struct stat facts;
    expect_ok(c, "CREATE COLLECTION first (id INT PRIMARY KEY); INSERT INTO first VALUES (1)");
    shard_path(f, 3, "", path); /* Groups are given in order, from 2 on. */
    shard_path(f, 3, "/data.mdb", file);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(file, "not a shard", 11);
    expect_error(c, "CREATE COLLECTION second (id INT PRIMARY KEY)", ERR_FORMAT_UNSUPPORTED);
    assert_non_null(strstr(c->err.message, "was not created"));
    expect_error(c, "SELECT * FROM second", ERR_UNKNOWN_COLLECTION);
    expect_rows(c, "SELECT id FROM first", "1\n");
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    while (stat(path, &facts) == 0) {
        assert_true(clock_micros() < deadline_us);
        clock_sleep_micros(1000);
    }
    expect_ok(c, "CREATE COLLECTION second (id INT PRIMARY KEY); INSERT INTO second VALUES (2)");
    fixture_reopen(f);
    expect_rows(c, "SELECT id FROM first", "1\n");
    expect_rows(c, "SELECT id FROM second", "2\n");
}

static void if_not_exists_never_removes_a_broken_collection(void **state)
{
    struct fixture *f = *state;
    char path[128], aside[128];
    expect_ok(&f->client, "CREATE COLLECTION c (id INT PRIMARY KEY); INSERT INTO c VALUES (1)");
    fixture_close(f);
    shard_path(f, 2, "/data.mdb", path);
    shard_path(f, 2, "/aside", aside);
    assert_int_equal(rename(path, aside), 0);
    write_file(path, "not a shard", 11);
    fixture_open(f);
    expect_error(&f->client, "SELECT * FROM c", ERR_FORMAT_UNSUPPORTED);
    expect_error(&f->client, "CREATE COLLECTION IF NOT EXISTS c (id INT PRIMARY KEY)",
                 ERR_FORMAT_UNSUPPORTED);
    assert_int_equal(rename(aside, path), 0);
    /* Nobody restarts the server or names the collection but to read it. */
    expect_state(f, "SELECT * FROM c", ERR_OK);
    expect_rows(&f->client, "SELECT id FROM c", "1\n");
}

static size_t count_descriptors(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n;
}

static size_t bytes_of_all(void)
{
    size_t bytes = 0;
    for (int i = 0; i < MEM_COUNT; i++) {
        bytes += mem_category_bytes((enum mem_category)i);
    }
    return bytes;
}

/* With each collection's number for every '#'. */
static void run_for_each(struct fixture *f, const char *pattern)
{
    for (int i = 0; i < MANY; i++) {
        struct buf text;
        buf_init(&text, MEM_GENERAL, 4096);
        for (const char *p = pattern; *p != '\0'; p++) {
            char number[16];
            snprintf(number, sizeof(number), "%d", i);
            buf_bytes(&text, *p == '#' ? number : p, *p == '#' ? strlen(number) : 1);
        }
        buf_u8(&text, 0);
        expect_ok(&f->client, (const char *)text.data);
        buf_fini(&text);
    }
}

static void many_small_collections_take_little_each(void **state)
{
    struct fixture *f = *state;
    size_t before = bytes_of_all();
    run_for_each(f, "CREATE COLLECTION c# (id INT PRIMARY KEY, v VECTOR(8));"
                    "INSERT INTO c# VALUES (1, [1,2,3,4,5,6,7,8]), (2, [2,2,3,4,5,6,7,8])");
    assert_in_range((bytes_of_all() - before) / MANY, 1, EACH_BYTES_MAX);
    expect_ok(&f->client, "CHECKPOINT");
    assert_in_range(count_descriptors(), 1, DESCRIPTORS_MAX);
    fixture_reopen(f);
    run_for_each(f, "SEARCH id FROM c# NEAR [1,2,3,4,5,6,7,8] LIMIT 1");
    assert_in_range((bytes_of_all() - before) / MANY, 1, EACH_BYTES_MAX);
    assert_in_range(count_descriptors(), 1, DESCRIPTORS_MAX);
    run_for_each(f, "DROP COLLECTION c#");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_create_that_fails_leaves_nothing, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(if_not_exists_never_removes_a_broken_collection,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(many_small_collections_take_little_each, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests_name("query collections", tests, NULL, NULL);
}
