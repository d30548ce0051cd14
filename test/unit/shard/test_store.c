/* The shard's file: it grows under readers, is open only while it is needed, and can be full
 * without being stuck. */
#include "fixture.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shard/row_int.h"
#include "shard/shard_int.h"
#include "shard/store_env_int.h"
#include "shard/store_int.h"

enum {
    VALUE_BYTES = 3000,
    READERS = 3,
    STORES = 3 * STORES_OPEN_MAX,
    WAIT_US_MAX = 2000000,
};

/* ---- stores alone ---- */

static struct store *open_store(struct fixture *f, struct store_pool *pool, const char *name)
{
    char path[4096];
    struct err err = {0};
    struct store *store;
    fixture_path(f, name, path, sizeof(path));
    struct store_config config = {path, f->schema.id, GROUP, pool};
    if (store_open(&config, &store, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
    return store;
}

/* Rows [from, to), each VALUE_BYTES of its number. */
static enum errcode try_put_rows(struct store *store, uint64_t from, uint64_t to, struct err *err)
{
    struct store_write *write;
    uint8_t value[VALUE_BYTES];
    enum errcode code = store_write_begin(store, (to - from) * VALUE_BYTES, &write, err);
    if (code != ERR_OK) {
        return code;
    }
    for (uint64_t i = from; i < to && code == ERR_OK; i++) {
        memset(value, (int)(i % 251), sizeof(value));
        code = store_append(write, TABLE_ROWS, i, (struct slice){value, sizeof(value)}, err);
    }
    if (code != ERR_OK) {
        store_abort(write);
        return code;
    }
    struct store_meta meta = {.applied = to, .next_row = to, .rows = to - 1};
    return store_commit(write, &meta, err);
}

/* As the flusher does: a view that stays open, as that of a thread which has no core, puts the
 * growth of the map off, and so the write. */
static void put_rows(struct store *store, uint64_t from, uint64_t to)
{
    struct err err = {0};
    uint64_t until_us = clock_micros() + PATIENCE_US;
    while (try_put_rows(store, from, to, &err) != ERR_OK) {
        if (err.code != ERR_OVERLOADED || clock_micros() > until_us) {
            fail_msg("%s", err.message);
        }
    }
}

/* All rows that the head promises are there. */
static uint64_t check_rows(struct store_read *read, uint64_t step)
{
    struct err err = {0};
    if (store_read_begin(read, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
    uint64_t end = store_read_meta(read)->next_row;
    for (uint64_t i = 1; i < end; i += step) {
        struct slice row;
        assert_int_equal(store_get(read, TABLE_ROWS, i, &row, &err), ERR_OK);
        assert_int_equal(row.bytes, VALUE_BYTES);
        assert_int_equal(row.data[VALUE_BYTES - 1], i % 251);
    }
    store_read_end(read);
    return end;
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

static void a_store_has_no_file_before_its_first_write(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct slice row;
    bool found;
    struct store_pool *pool = store_pool_new(&err);
    struct store *store = open_store(f, pool, "empty");
    struct store_read *read = store_read_new(store, &err);
    char path[4096];
    struct stat facts;
    uint64_t number = 1;
    fixture_path(f, "empty/data.mdb", path, sizeof(path));
    assert_int_equal(store_read_begin(read, &err), ERR_OK);
    assert_int_equal(store_read_meta(read)->next_row, 1);
    assert_int_equal(store_get(read, TABLE_ROWS, 1, &row, &err), ERR_OK);
    assert_null(row.data);
    assert_int_equal(store_next(read, TABLE_ROWS, &number, &row, &err), ERR_OK);
    assert_null(row.data);
    assert_int_equal(
        store_get_key(read, (struct slice){(const uint8_t *)"k", 1}, &number, &found, &err),
        ERR_OK);
    assert_false(found);
    assert_int_not_equal(stat(path, &facts), 0);
    put_rows(store, 1, 2); /* Not seen by the one that reads. */
    assert_int_equal(store_get(read, TABLE_ROWS, 1, &row, &err), ERR_OK);
    assert_null(row.data);
    store_read_end(read);
    assert_int_equal(check_rows(read, 1), 2);
    assert_int_equal(stat(path, &facts), 0);
    store_read_free(read);
    store_close(store);
    store_pool_free(pool);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

/* A loss of power while it was made leaves pages that were not written. */
static void a_file_has_its_name_when_all_of_it_is_written(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_pool *pool = store_pool_new(&err);
    struct store *store = open_store(f, pool, "made");
    char made[4096], path[4096];
    struct stat facts;
    fixture_path(f, "made/data.mdb", path, sizeof(path));
    fixture_path(f, "made/data.mdb.new", made, sizeof(made));
    write_text(made, "a page of the last try");
    put_rows(store, 1, 10);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_not_equal(stat(made, &facts), 0);
    store_close(store);
    store = open_store(f, pool, "made");
    struct store_read *read = store_read_new(store, &err);
    assert_int_equal(check_rows(read, 1), 10);
    store_read_free(read);
    store_close(store);
    store_pool_free(pool);
}

struct reader_thread {
    struct store *store;
    atomic_bool *is_ending;
    uint64_t n_reads, us_max;
};

static void read_on(void *arg)
{
    struct reader_thread *r = arg;
    struct err err = {0};
    uint64_t end = 1;
    struct store_read *read = store_read_new(r->store, &err);
    while (!atomic_load(r->is_ending)) {
        uint64_t started_us = clock_micros();
        uint64_t now = check_rows(read, 97);
        uint64_t us = clock_micros() - started_us;
        CHECK(now >= end); /* Nothing that was seen goes away. */
        end = now;
        r->n_reads++;
        r->us_max = us > r->us_max ? us : r->us_max;
    }
    store_read_free(read);
}

static void the_map_grows_under_readers_and_every_row_is_seen(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    atomic_bool is_ending = false;
    struct store_pool *pool = store_pool_new(&err);
    struct store *store = open_store(f, pool, "grows");
    struct thread threads[READERS];
    struct reader_thread readers[READERS];
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader_thread){.store = store, .is_ending = &is_ending};
        assert_int_equal(thread_start(&threads[i], "reader", read_on, &readers[i], &err), ERR_OK);
    }
    uint64_t end = 1;
    for (uint64_t n = 50; end < 12000; end += n, n += n / 4) {
        put_rows(store, end, end + n);
    }
    atomic_store(&is_ending, true);
    for (size_t i = 0; i < READERS; i++) {
        thread_join(&threads[i]);
        assert_true(readers[i].n_reads > 0);
        assert_true(readers[i].us_max < WAIT_US_MAX);
    }
    assert_true(store->map_bytes >= 32 << 20);
    assert_true(store_used_bytes(store) <= store_file_bytes(store));
    store_close(store);
    store = open_store(f, pool, "grows");
    struct store_read *read = store_read_new(store, &err);
    assert_int_equal(check_rows(read, 1), end);
    store_read_free(read);
    store_close(store);
    store_pool_free(pool);
}

/* A view that never ends must not hold up others for longer than a moment; what waits for it is
 * the write, which says so. */
static void an_open_view_holds_back_the_growth_and_nobody_else(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_pool *pool = store_pool_new(&err);
    struct store *store = open_store(f, pool, "held");
    put_rows(store, 1, 10);
    struct store_read *held = store_read_new(store, &err);
    struct store_read *other = store_read_new(store, &err);
    assert_int_equal(store_read_begin(held, &err), ERR_OK);
    assert_int_equal(try_put_rows(store, 10, 2000, &err), ERR_OVERLOADED);
    assert_int_equal(check_rows(other, 1), 10);
    store_read_end(held);
    put_rows(store, 10, 2000);
    assert_int_equal(check_rows(other, 1), 2000);
    store_read_free(held);
    store_read_free(other);
    store_close(store);
    store_pool_free(pool);
}

static void few_of_many_stores_are_open_and_all_can_be_read(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_pool *pool = store_pool_new(&err);
    struct store **stores = calloc(STORES, sizeof(*stores));
    struct store_read **reads = calloc(STORES, sizeof(*reads));
    size_t n_before = count_descriptors();
    for (size_t i = 0; i < STORES; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "store-%zu", i);
        stores[i] = open_store(f, pool, name);
        reads[i] = store_read_new(stores[i], &err);
        put_rows(stores[i], 1, 2 + i % 3);
    }
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < STORES; i++) {
            assert_int_equal(check_rows(reads[i], 1), 2 + i % 3);
        }
    }
    assert_true(count_descriptors() <= n_before + 3 * STORES_OPEN_MAX);
    assert_int_equal(pool->n, STORES_OPEN_MAX);
    /* Whoever is inside stays open, however many others come. */
    assert_int_equal(store_read_begin(reads[0], &err), ERR_OK);
    for (size_t i = 1; i < STORES; i++) {
        assert_int_equal(check_rows(reads[i], 1), 2 + i % 3);
    }
    assert_non_null(stores[0]->env);
    store_read_end(reads[0]);
    for (size_t i = 0; i < STORES; i++) {
        store_read_free(reads[i]);
        store_close(stores[i]);
    }
    assert_int_equal(count_descriptors(), n_before);
    store_pool_free(pool);
    free(reads);
    free(stores);
}

static void delete_rows(struct store *store, uint64_t from, uint64_t to)
{
    struct err err = {0};
    struct store_write *write;
    assert_int_equal(store_write_begin(store, 0, &write, &err), ERR_OK);
    for (uint64_t i = from; i < to; i++) {
        assert_int_equal(store_delete(write, TABLE_ROWS, i, &err), ERR_OK);
    }
    struct store_meta meta = {.applied = to, .next_row = from, .rows = from - 1};
    assert_int_equal(store_commit(write, &meta, &err), ERR_OK);
}

static void a_compacted_file_is_small_and_has_every_row(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_pool *pool = store_pool_new(&err);
    struct store *store = open_store(f, pool, "compact");
    struct store_read *read = store_read_new(store, &err);
    char path[4096];
    struct stat facts;
    put_rows(store, 1, 4000);
    assert_false(store_is_compaction_worth(store));
    delete_rows(store, 1000, 4000);
    assert_true(store_is_compaction_worth(store));
    uint64_t before = store_file_bytes(store);
    /* A view that stays open is not waited for, and the file stays as it is. */
    assert_int_equal(store_read_begin(read, &err), ERR_OK);
    assert_int_equal(store_compact(store, &err), ERR_OVERLOADED);
    store_read_end(read);
    fixture_path(f, "compact/data.mdb.new", path, sizeof(path));
    assert_int_not_equal(stat(path, &facts), 0);
    assert_int_equal(store_file_bytes(store), before);
    assert_int_equal(check_rows(read, 1), 1000);
    assert_int_equal(store_compact(store, &err), ERR_OK);
    assert_int_not_equal(stat(path, &facts), 0);
    fixture_path(f, "compact/data.mdb", path, sizeof(path));
    assert_int_equal(stat(path, &facts), 0);
    assert_true((uint64_t)facts.st_size < before / 3);
    assert_int_equal(facts.st_mode & 0777, 0600);
    assert_int_equal(check_rows(read, 1), 1000);
    put_rows(store, 1000, 3000);
    assert_int_equal(check_rows(read, 1), 3000);
    store_read_free(read);
    store_close(store);
    store_pool_free(pool);
}

static void what_a_crash_left_of_a_compaction_is_removed(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_pool *pool = store_pool_new(&err);
    struct store *store = open_store(f, pool, "left");
    char path[4096];
    struct stat facts;
    put_rows(store, 1, 10);
    store_close(store);
    fixture_path(f, "left/data.mdb.new", path, sizeof(path));
    write_text(path, "half a copy");
    store = open_store(f, pool, "left");
    assert_int_not_equal(stat(path, &facts), 0);
    struct store_read *read = store_read_new(store, &err);
    assert_int_equal(check_rows(read, 1), 10);
    store_read_free(read);
    store_close(store);
    store_pool_free(pool);
}

/* ---- a shard that is full ---- */

static const char *state_of(struct fixture *f)
{
    struct shard_figures figures;
    shard_figures(f->shard, &figures);
    return figures.state;
}

static void insert_until_full(struct fixture *f, const char *title, uint64_t *n, struct err *err)
{
    enum errcode code = ERR_OK;
    for (*n = 0; code == ERR_OK && *n < 10000; *n += code == ERR_OK ? 1 : 0) {
        code = write_row(f, SHARD_INSERT, row_of(*n + 1, *n + 1, title, 1), err);
    }
    assert_int_equal(code, ERR_DISK_FULL);
}

static void a_full_collection_serves_again_once_its_rows_are_deleted(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char title[60001];
    uint64_t n;
    memset(title, 'x', sizeof(title) - 1);
    title[sizeof(title) - 1] = '\0';
    fixture_policy(f, "map_size", "16MiB");
    fixture_start(f);
    insert_until_full(f, title, &n, &err);
    assert_non_null(strstr(err.message, "map_size"));
    assert_in_range(n, 200, 300);
    assert_string_equal(state_of(f), "disk full");
    err_clear(&err);
    for (uint64_t i = 1; i <= n; i++) {
        assert_int_equal(delete_row(f, i, &err), ERR_OK);
    }
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    while (strcmp(state_of(f), "serving") != 0) {
        assert_true(clock_micros() < deadline_us);
        clock_sleep_micros(10000);
    }
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(1, 1, title, 1), &err), ERR_OK);
    fixture_policy(f, "map_size", "1GiB"); /* At once, without a restart. */
    for (uint64_t i = 2; i < 400; i++) {
        assert_int_equal(write_row(f, SHARD_INSERT, row_of(i, i, title, 1), &err), ERR_OK);
    }
}

struct watch {
    struct shard *shard;
    atomic_bool is_over;
    uint64_t n_full;
};

static void watch_room(void *arg)
{
    struct watch *watch = arg;
    while (!atomic_load(&watch->is_over)) {
        watch->n_full += shard_is_full(watch->shard, 1);
    }
}

/* Nothing is counted twice while it goes from memory to the file. */
static void a_flush_does_not_fill_a_shard(void **state)
{
    enum {
        ROUNDS = 5,
        ROWS = 150
    }; /* 9 MB a round: in the file and in memory too many. */
    struct fixture *f = *state;
    struct err err = {0};
    struct watch watch = {0};
    struct thread watcher;
    char title[60001];
    memset(title, 'x', sizeof(title) - 1);
    title[sizeof(title) - 1] = '\0';
    fixture_policy(f, "flush_interval", "1h");
    fixture_start(f);
    watch.shard = f->shard;
    assert_int_equal(thread_start(&watcher, "watcher", watch_room, &watch, &err), ERR_OK);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        char limit[32];
        (void)snprintf(limit, sizeof(limit), "%dMiB", (int)(16 + 9 * round));
        fixture_policy(f, "map_size", limit);
        for (uint64_t i = 1; i <= ROWS; i++) {
            uint64_t key = round * ROWS + i;
            assert_int_equal(write_row(f, SHARD_INSERT, row_of(key, key, title, 1), &err), ERR_OK);
        }
        assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
    }
    atomic_store(&watch.is_over, true);
    thread_join(&watcher);
    assert_int_equal(watch.n_full, 0);
}

static uint64_t file_bytes_of(struct fixture *f)
{
    struct shard_figures figures;
    shard_figures(f->shard, &figures);
    return figures.file_bytes;
}

static void space_is_given_back_by_itself_while_readers_look(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct seen seen;
    char title[60001];
    memset(title, 'x', sizeof(title) - 1);
    title[sizeof(title) - 1] = '\0';
    fixture_policy(f, "flush_interval", "10ms");
    fixture_policy(f, "checkpoint_interval", "1h");
    fixture_start(f);
    int64_t n_before = metric_value(METRIC_compactions);
    for (uint64_t i = 1; i <= 200; i++) {
        assert_int_equal(write_row(f, SHARD_INSERT, row_of(i, i, title, 1), &err), ERR_OK);
    }
    assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
    uint64_t before = file_bytes_of(f);
    assert_true(before > 8 << 20);
    for (uint64_t i = 31; i <= 200; i++) {
        assert_int_equal(delete_row(f, i, &err), ERR_OK);
    }
    /* One in the midst of them would leave a few, which are worth none of their own. */
    fixture_policy(f, "checkpoint_interval", "100ms");
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    while (file_bytes_of(f) > before / 3 || metric_value(METRIC_compactions) == n_before) {
        assert_true(clock_micros() < deadline_us);
        for (uint64_t i = 1; i <= 30; i++) {
            assert_true(see_row(f, i, &seen));
        }
        assert_false(see_row(f, 31, &seen));
    }
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(count_rows(f), 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_compacted_file_is_small_and_has_every_row, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(what_a_crash_left_of_a_compaction_is_removed,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(space_is_given_back_by_itself_while_readers_look,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_store_has_no_file_before_its_first_write, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_file_has_its_name_when_all_of_it_is_written,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(the_map_grows_under_readers_and_every_row_is_seen,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(an_open_view_holds_back_the_growth_and_nobody_else,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(few_of_many_stores_are_open_and_all_can_be_read,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_flush_does_not_fill_a_shard, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_full_collection_serves_again_once_its_rows_are_deleted,
                                        fixture_set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests_name("shard store", tests, NULL, NULL);
}
