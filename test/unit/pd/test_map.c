/* The map of collections: what commands do to it, its versions, and what a restart finds. */
#define _XOPEN_SOURCE 700 /* nftw, mkdtemp */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pd/pd.h"

struct fixture {
    char directory[256], log_directory[300], map_directory[300];
    struct repl *repl;
    struct pd *pd;
    uint64_t last_epoch; /* Of changed(). */
    size_t n_changed;
};

static void on_changed(void *arg, const struct map *map)
{
    struct fixture *f = arg;
    assert_true(map->epoch > f->last_epoch);
    f->last_epoch = map->epoch;
    f->n_changed += 1;
}

static enum errcode try_open(struct fixture *f, struct err *err)
{
    const struct repl_config log = {.directory = f->log_directory,
                                    .node = 1,
                                    .map_bytes = (size_t)1 << 30,
                                    .in_memory_max = 64 << 20};
    const struct pd_config config = {
        .directory = f->map_directory, .changed = on_changed, .arg = f};
    if (repl_open(&log, &f->repl, err) != ERR_OK) {
        fail_msg("%s", err->message);
    }
    struct pd_config with_log = config;
    with_log.repl = f->repl;
    f->last_epoch = 0;
    f->n_changed = 0;
    enum errcode code = pd_open(&with_log, &f->pd, err);
    if (code != ERR_OK) {
        f->pd = NULL;
        repl_close(f->repl);
        f->repl = NULL;
    }
    return code;
}

static void open_all(struct fixture *f)
{
    struct err err;
    if (try_open(f, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
}

static void close_all(struct fixture *f)
{
    if (f->pd != NULL) {
        pd_close(f->pd);
        repl_close(f->repl);
        f->pd = NULL;
    }
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    const char *parent = getenv("TMPDIR");
    snprintf(f->directory, sizeof(f->directory), "%s/vectrond-pd-XXXXXX",
             parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->log_directory, sizeof(f->log_directory), "%s/log", f->directory);
    snprintf(f->map_directory, sizeof(f->map_directory), "%s/pd", f->directory);
    open_all(f);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    fault_disarm_all();
    close_all(f);
    assert_int_equal(nftw(f->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(f);
    return 0;
}

/* ---- commands that are waited for ---- */

struct waited {
    struct pd_write write;
    struct mutex lock;
    struct condition wake;
    bool is_done;
    struct err err;
};

static void on_done(struct pd_write *write, const struct err *err)
{
    struct waited *w = CONTAINER_OF(write, struct waited, write);
    mutex_lock(&w->lock);
    err_clear(&w->err);
    if (err != NULL) {
        w->err = *err;
    }
    w->is_done = true;
    condition_signal(&w->wake);
    mutex_unlock(&w->lock);
}

static enum errcode run(struct pd *pd, const struct pd_command *command, uint64_t *rows,
                        struct err *err)
{
    struct waited w = {.is_done = false};
    mutex_init(&w.lock);
    condition_init(&w.wake);
    w.write.done = on_done;
    enum errcode code = pd_submit(pd, command, &w.write, err);
    if (code == ERR_OK) {
        mutex_lock(&w.lock);
        while (!w.is_done) {
            condition_wait(&w.wake, &w.lock);
        }
        mutex_unlock(&w.lock);
        *err = w.err;
        code = w.err.code;
    }
    *rows = w.write.rows;
    condition_fini(&w.wake);
    mutex_fini(&w.lock);
    return code;
}

static enum errcode create(struct pd *pd, const char *name, bool is_conditional, uint64_t *rows,
                           struct err *err)
{
    static struct schema schema;
    memset(&schema, 0, sizeof(schema));
    snprintf(schema.name, sizeof(schema.name), "%s", name);
    schema.n_columns = 2;
    strcpy(schema.columns[0].name, "id");
    schema.columns[0].type = TYPE_TEXT;
    schema.columns[0].is_not_null = true;
    strcpy(schema.columns[1].name, "v");
    schema.columns[1].type = TYPE_VECTOR;
    schema.columns[1].dim = 100;
    schema.columns[1].distance = DISTANCE_COSINE;
    const struct pd_command command = {
        .op = PD_CREATE_COLLECTION, .schema = &schema, .is_conditional = is_conditional};
    return run(pd, &command, rows, err);
}

static enum errcode drop(struct pd *pd, const char *name, bool is_conditional, uint64_t *rows,
                         struct err *err)
{
    const struct pd_command command = {
        .op = PD_DROP_COLLECTION, .collection = name, .is_conditional = is_conditional};
    return run(pd, &command, rows, err);
}

static void create_ok(struct pd *pd, const char *name)
{
    struct err err;
    uint64_t rows;
    if (create(pd, name, false, &rows, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(rows, 1);
}

static void drop_ok(struct pd *pd, const char *name)
{
    struct err err;
    uint64_t rows;
    if (drop(pd, name, false, &rows, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(rows, 1);
}

/* Id and group of a collection; 0 where there is none. */
static uint64_t group_of(struct pd *pd, const char *name, uint64_t *id)
{
    const struct map *map = pd_map_acquire(pd);
    const struct map_collection *c = map_find(map, name, NULL);
    uint64_t group = c != NULL ? c->shard.group : 0;
    *id = c != NULL ? c->schema->id : 0;
    if (c != NULL) {
        assert_int_equal(c->schema->n_columns, 2);
        assert_int_equal(c->schema->columns[1].dim, 100);
    }
    pd_map_release(pd, map);
    return group;
}

/* ---- tests ---- */

static void collections_are_created_found_and_dropped(void **state)
{
    struct fixture *f = *state;
    struct err err;
    uint64_t rows;
    uint64_t id;
    assert_int_equal(f->n_changed, 1); /* The empty map. */
    assert_true(mem_category_bytes(MEM_CATALOG) > 0);
    create_ok(f->pd, "words");
    create_ok(f->pd, "docs");
    assert_int_equal(f->n_changed, 3);
    assert_true(group_of(f->pd, "words", &id) > PD_GROUP);
    assert_int_equal(create(f->pd, "words", false, &rows, &err), ERR_DUPLICATE_COLLECTION);
    assert_string_equal(err.collection, "words");
    assert_int_equal(create(f->pd, "words", true, &rows, &err), ERR_OK);
    assert_int_equal(rows, 0);
    assert_int_equal(f->n_changed, 3);
    drop_ok(f->pd, "words");
    assert_int_equal(group_of(f->pd, "words", &id), 0);
    assert_int_equal(drop(f->pd, "words", true, &rows, &err), ERR_OK);
    assert_int_equal(rows, 0);
    assert_int_equal(f->n_changed, 4);
}

static void an_unknown_name_gets_the_nearest_one_for_a_hint(void **state)
{
    struct fixture *f = *state;
    struct err err;
    uint64_t rows;
    char name[32];
    for (int i = 0; i < 150; i++) {
        snprintf(name, sizeof(name), "filler_%03d", i);
        create_ok(f->pd, name);
    }
    create_ok(f->pd, "words");
    assert_int_equal(drop(f->pd, "wrods", false, &rows, &err), ERR_UNKNOWN_COLLECTION);
    assert_non_null(strstr(err.hint, "\"words\""));
    const char *nearest;
    const struct map *map = pd_map_acquire(f->pd);
    assert_null(map_find(map, "filler_10x", &nearest));
    assert_non_null(strstr(nearest, "filler_1"));
    assert_null(map_find(map, "something else", &nearest));
    assert_null(nearest);
    assert_non_null(map_find(map, "words", &nearest));
    assert_null(nearest);
    pd_map_release(f->pd, map);
}

static void ids_are_never_used_again(void **state)
{
    struct fixture *f = *state;
    uint64_t id;
    uint64_t id_max = 0;
    uint64_t group_max = 0;
    for (int round = 0; round < 6; round++) {
        create_ok(f->pd, "words");
        uint64_t group = group_of(f->pd, "words", &id);
        assert_true(id > id_max && group > group_max);
        id_max = id;
        group_max = group;
        drop_ok(f->pd, "words");
        if (round % 2 == 1) {
            close_all(f);
            open_all(f);
        }
    }
}

static void a_withdrawal_takes_only_the_collection_that_it_means(void **state)
{
    struct fixture *f = *state;
    struct err err;
    uint64_t id, later_id, rows;
    create_ok(f->pd, "words");
    group_of(f->pd, "words", &id);
    drop_ok(f->pd, "words");
    create_ok(f->pd, "words");
    struct pd_command command = {.op = PD_WITHDRAW_COLLECTION, .collection = "words", .id = id};
    assert_int_equal(run(f->pd, &command, &rows, &err), ERR_OK);
    assert_int_equal(rows, 0);
    assert_true(group_of(f->pd, "words", &later_id) > PD_GROUP);
    command.id = later_id;
    assert_int_equal(run(f->pd, &command, &rows, &err), ERR_OK);
    assert_int_equal(rows, 1);
    assert_int_equal(group_of(f->pd, "words", &id), 0);
    assert_int_equal(run(f->pd, &command, &rows, &err), ERR_OK); /* There is none of that name. */
    assert_int_equal(rows, 0);
    close_all(f);
    open_all(f);
    assert_int_equal(group_of(f->pd, "words", &id), 0);
}

static void a_version_does_not_change_under_its_reader(void **state)
{
    struct fixture *f = *state;
    create_ok(f->pd, "words");
    const struct map *before = pd_map_acquire(f->pd);
    create_ok(f->pd, "docs");
    drop_ok(f->pd, "words");
    assert_int_equal(before->n_collections, 1);
    assert_non_null(map_find(before, "words", NULL));
    assert_null(map_find(before, "docs", NULL));
    const struct map *after = pd_map_acquire(f->pd);
    assert_true(after->epoch > before->epoch);
    assert_null(map_find(after, "words", NULL));
    pd_map_release(f->pd, before);
    pd_map_release(f->pd, after);
}

static void collections_are_sorted_by_name(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"m", "a", "z", "b", "y"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        create_ok(f->pd, names[i]);
    }
    drop_ok(f->pd, "m");
    const struct map *map = pd_map_acquire(f->pd);
    assert_int_equal(map->n_collections, 4);
    for (size_t i = 1; i < map->n_collections; i++) {
        assert_true(
            strcmp(map->collections[i - 1]->schema->name, map->collections[i]->schema->name) < 0);
    }
    pd_map_release(f->pd, map);
}

/* Over the number of commands after which the map is saved and its log cut. */
static void the_map_survives_restarts(void **state)
{
    struct fixture *f = *state;
    char name[32];
    uint64_t ids[200];
    uint64_t groups[200];
    uint64_t id;
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "c%03d", i);
        create_ok(f->pd, name);
        groups[i] = group_of(f->pd, name, &ids[i]);
        if (i % 61 == 60) {
            close_all(f);
            open_all(f);
            assert_int_equal(f->n_changed, 1);
        }
    }
    close_all(f);
    open_all(f);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "c%03d", i);
        assert_int_equal(group_of(f->pd, name, &id), groups[i]);
        assert_int_equal(id, ids[i]);
    }
}

static void without_a_snapshot_the_log_gives_the_same_map(void **state)
{
    struct fixture *f = *state;
    char path[320];
    uint64_t id;
    uint64_t again;
    create_ok(f->pd, "a");
    create_ok(f->pd, "b");
    drop_ok(f->pd, "a");
    create_ok(f->pd, "a");
    uint64_t group = group_of(f->pd, "a", &id);
    close_all(f);
    snprintf(path, sizeof(path), "%s/map", f->map_directory);
    assert_int_equal(unlink(path), 0);
    open_all(f);
    assert_int_equal(group_of(f->pd, "a", &again), group);
    assert_int_equal(again, id);
}

static void change_byte(const char *path, off_t at, uint8_t byte)
{
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void a_damaged_newer_or_foreign_map_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err;
    char path[320];
    snprintf(path, sizeof(path), "%s/map", f->map_directory);
    create_ok(f->pd, "words");
    close_all(f);
    change_byte(path, 50, 0xee);
    assert_int_equal(try_open(f, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, path));
    change_byte(path, 16, 9);
    assert_int_equal(try_open(f, &err), ERR_FORMAT_UNSUPPORTED);
    assert_non_null(strstr(err.message, "format 9"));
    change_byte(path, 0, 'X');
    assert_int_equal(try_open(f, &err), ERR_FORMAT_UNSUPPORTED);
    assert_non_null(strstr(err.message, "is not a map"));
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(try_open(f, &err), ERR_FORMAT_UNSUPPORTED);
}

static void a_failed_snapshot_loses_nothing(void **state)
{
    struct fixture *f = *state;
    char name[32];
    uint64_t id;
    if (!fault_is_built()) {
        skip();
    }
    fault_arm(FAULT_CATALOG_WRITE, 1, 1000000);
    for (int i = 0; i < 150; i++) {
        snprintf(name, sizeof(name), "c%03d", i);
        create_ok(f->pd, name);
    }
    close_all(f);
    assert_true(fault_calls(FAULT_CATALOG_WRITE) > 0);
    fault_disarm_all();
    open_all(f);
    assert_true(group_of(f->pd, "c000", &id) > 0);
    assert_true(group_of(f->pd, "c149", &id) > 0);
}

static void a_failing_log_fails_the_command_and_not_the_next(void **state)
{
    struct fixture *f = *state;
    struct err err;
    uint64_t rows;
    uint64_t id;
    if (!fault_is_built()) {
        skip();
    }
    fault_arm(FAULT_LOG_COMMIT_FULL, 1, 1);
    assert_int_equal(create(f->pd, "words", false, &rows, &err), ERR_DISK_FULL);
    assert_int_equal(group_of(f->pd, "words", &id), 0);
    create_ok(f->pd, "words");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define MAP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        MAP_TEST(collections_are_created_found_and_dropped),
        MAP_TEST(an_unknown_name_gets_the_nearest_one_for_a_hint),
        MAP_TEST(ids_are_never_used_again),
        MAP_TEST(a_withdrawal_takes_only_the_collection_that_it_means),
        MAP_TEST(a_version_does_not_change_under_its_reader),
        MAP_TEST(collections_are_sorted_by_name),
        MAP_TEST(the_map_survives_restarts),
        MAP_TEST(without_a_snapshot_the_log_gives_the_same_map),
        MAP_TEST(a_damaged_newer_or_foreign_map_is_refused),
        MAP_TEST(a_failed_snapshot_loses_nothing),
        MAP_TEST(a_failing_log_fails_the_command_and_not_the_next),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
