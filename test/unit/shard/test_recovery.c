/* What a restart finds: after a shutdown, after kill -9 at any stage, and when files are damaged.
 */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shard/overlay_int.h"
#include "shard/row_int.h"
#include "shard/shard_int.h"
#include "shard/store_int.h"
#include "shard/vectors_int.h"

static uint64_t digest(struct fixture *f)
{
    wait_until_linked(f);
    return index_digest(f->shard->vectors[0].index);
}

static void checkpoint(struct fixture *f)
{
    struct err err = {0};
    if (shard_checkpoint(f->shard, NULL, NULL, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
}

static void flush(struct fixture *f)
{
    struct err err = {0};
    if (shard_flush(f->shard, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
}

/* Every row is found by its own vector. */
static void check_all_are_found(struct fixture *f, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        struct seen seen;
        double distance;
        if (see_row(f, i, &seen) && seen.has_vector && (uint64_t)seen.year == i) {
            assert_int_equal(nearest(f, i, &distance), seen.number);
        }
    }
}

/* ---- a history of writes that any run can be cut into ---- */

enum {
    HISTORY_STEPS = 60,
    STEPS_OF_A_LIFE = GOOD_MEASURE(10, 20),
};

/* Inserts, deletes, updates that move vectors and updates that do not; a function of @step. */
static void write_step(struct fixture *f, uint64_t step)
{
    struct err err = {0};
    struct seen seen;
    uint64_t first = 1 + step * 10;
    insert_rows(f, first, first + 10, 1 + step % 10);
    if (step > 0) {
        uint64_t chance = step;
        uint64_t old = 1 + random_next(&chance) % (step * 10);
        if (see_row(f, old, &seen)) {
            assert_int_equal(delete_row(f, old, &err), ERR_OK);
        }
        old = 1 + random_next(&chance) % (step * 10);
        assert_int_equal(write_row(f, SHARD_UPSERT, row_of(old, 10000 + step, "moved", -1), &err),
                         ERR_OK);
        old = 1 + random_next(&chance) % (step * 10);
        if (see_row(f, old, &seen)) {
            const uint64_t columns[4] = {1u << ID | 1u << TITLE};
            char key[32];
            (void)snprintf(key, sizeof(key), "k%llu", (unsigned long long)old);
            struct value values[N_COLUMNS] = {value_cstr(key), value_null(), value_cstr("kept"),
                                              value_int(0)};
            struct shard_command *command = new_command(f);
            assert_int_equal(shard_command_add(command, SHARD_UPSERT, values, columns, 0, &err),
                             ERR_OK);
            assert_int_equal(send_command(f, command, ACK_VISIBLE, NULL, &err), ERR_OK);
        }
    }
}

struct outcome {
    uint64_t digest, content, rows;
};

static struct outcome take_outcome(struct fixture *f)
{
    struct outcome o = {digest(f), content_hash(f), count_rows(f)};
    return o;
}

/* The whole history without a restart. */
static struct outcome run_history(void)
{
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    for (uint64_t step = 0; step < HISTORY_STEPS; step++) {
        write_step(&f, step);
    }
    struct outcome o = take_outcome(&f);
    fixture_fini(&f);
    return o;
}

static void expect_outcome(struct fixture *f, struct outcome expected)
{
    struct outcome o = take_outcome(f);
    assert_int_equal(o.rows, expected.rows);
    assert_int_equal(o.content, expected.content);
    assert_int_equal(o.digest, expected.digest);
    assert_int_equal(metric_value(METRIC_index_rebuilds), 0);
}

static void a_shard_that_was_restarted_often_is_as_one_that_never_was(void **state)
{
    struct fixture *f = *state;
    struct outcome expected = run_history();
    for (uint64_t step = 0; step < HISTORY_STEPS; step++) {
        if (step % (STEPS_OF_A_LIFE - 1) == 0) {
            fixture_stop(f);
            fixture_start(f);
        }
        write_step(f, step);
    }
    fixture_stop(f);
    fixture_start(f);
    expect_outcome(f, expected);
}

enum stage {
    KILL_AT_ONCE,
    KILL_AFTER_FLUSH,
    KILL_AFTER_CHECKPOINT,
    KILL_MIXED,
    STAGE_COUNT
};

/* In a child: opens, goes on with the history, and dies by kill -9. */
static void run_and_die(struct fixture *f, uint64_t from, uint64_t to, enum stage stage)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fixture_start(f);
        for (uint64_t step = from; step < to; step++) {
            write_step(f, step);
            if (stage == KILL_MIXED && step % 3 == 0) {
                checkpoint(f);
            }
            if (stage == KILL_MIXED && step % 3 == 1) {
                flush(f);
            }
        }
        if (stage == KILL_AFTER_FLUSH) {
            flush(f);
        } else if (stage == KILL_AFTER_CHECKPOINT) {
            checkpoint(f);
        }
        (void)raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void kill_9_at_any_stage_loses_and_doubles_nothing(void **state)
{
    (void)state;
    struct outcome expected = run_history();
    for (int stage = 0; stage < STAGE_COUNT; stage++) {
        struct fixture f;
        fixture_init(&f);
        for (uint64_t step = 0; step < HISTORY_STEPS; step += STEPS_OF_A_LIFE) {
            run_and_die(&f, step, step + STEPS_OF_A_LIFE, (enum stage)stage);
        }
        fixture_start(&f);
        expect_outcome(&f, expected);
        fixture_fini(&f);
    }
}

struct handed {
    struct shard *shard;
    struct repl_entry entry;
};

static void apply_handed(void *arg)
{
    struct handed *handed = arg;
    role_take(&apply_thread);
    shard_apply(handed->shard, &handed->entry, 1);
}

/* As the log would, but for that it has no such entry. */
static void hand_to_apply(struct fixture *f, struct repl_entry entry)
{
    struct thread thread;
    struct err err;
    struct handed handed = {f->shard, entry};
    assert_int_equal(thread_start(&thread, "apply", apply_handed, &handed, &err), ERR_OK);
    thread_join(&thread);
}

static void an_entry_that_comes_again_changes_nothing(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    insert_rows(f, 1, 11, 5);
    uint64_t content = content_hash(f);
    struct shard_command *command = new_command(f);
    add_row(command, SHARD_INSERT, row_of(99, 99, "again", 1));
    size_t bytes;
    void *data = command_take(command, &bytes);
    struct repl_entry entry = {.index = f->shard->applied, .data = data, .bytes = bytes};
    hand_to_apply(f, entry);
    mem_free(MEM_LOG, data);
    shard_command_free(command);
    assert_int_equal(content_hash(f), content);
    assert_int_equal(count_rows(f), 10);
}

static void an_entry_that_does_not_decode_is_refused_and_passed(void **state)
{
    struct fixture *f = *state;
    static const uint8_t junk[] = {1, 9, 0, 0, 0, 77};
    fixture_start(f);
    insert_rows(f, 1, 11, 5);
    struct repl_entry entry = {.index = f->shard->applied + 1, .data = junk, .bytes = sizeof(junk)};
    hand_to_apply(f, entry);
    assert_int_equal(f->shard->applied, entry.index);
    assert_int_equal(count_rows(f), 10);
}

static void a_checkpoint_lets_go_of_changes_and_dead_rows(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    fixture_start(f);
    insert_rows(f, 1, 101, 10);
    assert_int_equal(delete_row(f, 5, &err), ERR_OK);
    flush(f);
    static const enum store_table tables[] = {TABLE_CHANGES, TABLE_DEAD};
    for (int round = 0; round < 2; round++) {
        struct store_read *read = store_read_new(f->shard->store, &err);
        assert_non_null(read);
        assert_int_equal(store_read_begin(read, &err), ERR_OK);
        for (size_t t = 0; t < COUNT_OF(tables); t++) {
            uint64_t number = 0;
            struct slice record;
            assert_int_equal(store_next(read, tables[t], &number, &record, &err), ERR_OK);
            assert_int_equal(record.data != NULL, round == 0);
        }
        store_read_end(read);
        store_read_free(read);
        checkpoint(f);
    }
    struct shard_figures figures;
    shard_figures(f->shard, &figures);
    assert_int_equal(figures.checkpoint_lag, 0);
}

static uint64_t count_dead(struct fixture *f)
{
    struct err err = {0};
    struct slice record;
    uint64_t n = 0;
    struct store_read *read = store_read_new(f->shard->store, &err);
    assert_non_null(read);
    assert_int_equal(store_read_begin(read, &err), ERR_OK);
    for (uint64_t number = 0;; number++, n++) {
        assert_int_equal(store_next(read, TABLE_DEAD, &number, &record, &err), ERR_OK);
        if (record.data == NULL) {
            break;
        }
    }
    store_read_end(read);
    store_read_free(read);
    return n;
}

/* A large DELETE would otherwise write all of its rows once more. */
static void a_deleted_row_is_kept_only_if_no_checkpoint_has_it(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    fixture_policy(f, "flush_interval", "1h");
    fixture_start(f);
    insert_rows(f, 1, 101, 10);
    checkpoint(f);
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 1 + 10 * round; i <= 5 + 10 * round; i++) {
            assert_int_equal(delete_row(f, i, &err), ERR_OK);
        }
        flush(f);
        assert_int_equal(count_dead(f), 0);
        insert_rows(f, 201 + 10 * round, 207 + 10 * round, 2);
        flush(f);
        assert_int_equal(delete_row(f, 201 + 10 * round, &err), ERR_OK); /* In the file, */
        insert_rows(f, 301, 303, 1);
        assert_int_equal(delete_row(f, 301, &err), ERR_OK); /* and not yet in it. */
        assert_int_equal(delete_row(f, 302, &err), ERR_OK);
        flush(f);
        assert_int_equal(count_dead(f), 3);
        checkpoint(f);
        assert_int_equal(count_dead(f), 0);
    }
}

/* ---- damaged checkpoints ---- */

static uint8_t *read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *bytes = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(*bytes + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *bytes, file), *bytes);
    (void)fclose(file);
    return data;
}

static void write_file(const char *path, const uint8_t *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

struct damage {
    struct fixture *f;
    char path[4096];
    uint8_t *data;
    size_t bytes;
    uint64_t content;
};

/* Opens the shard with what now stands in the checkpoint's place: it is made anew, all is found. */
static void expect_rebuilt(struct damage *d)
{
    int64_t before = metric_value(METRIC_index_rebuilds);
    fixture_start(d->f);
    assert_int_equal(metric_value(METRIC_index_rebuilds), before + 1);
    assert_int_equal(content_hash(d->f), d->content);
    check_all_are_found(d->f, 1, 301);
    wait_until_linked(d->f);
    check_all_are_found(d->f, 1, 301);
    fixture_stop(d->f);
    /* What was made anew was written again. */
    before = metric_value(METRIC_index_rebuilds);
    fixture_start(d->f);
    assert_int_equal(metric_value(METRIC_index_rebuilds), before);
    fixture_stop(d->f);
}

static void make_checkpointed(struct damage *d, struct fixture *f)
{
    struct err err = {0};
    d->f = f;
    fixture_start(f);
    insert_rows(f, 1, 301, 20);
    assert_int_equal(delete_row(f, 17, &err), ERR_OK);
    d->content = content_hash(f);
    wait_until_linked(f);
    fixture_stop(f);
    fixture_path(f, "shard/index-1.graph", d->path, sizeof(d->path));
    d->data = read_file(d->path, &d->bytes);
}

static void a_missing_checkpoint_is_made_anew(void **state)
{
    struct damage d;
    make_checkpointed(&d, *state);
    assert_int_equal(unlink(d.path), 0);
    expect_rebuilt(&d);
    free(d.data);
}

static void a_torn_checkpoint_is_never_trusted(void **state)
{
    struct damage d;
    make_checkpointed(&d, *state);
    const size_t cuts[] = {0, 1, 20, 56, 57, d.bytes / 2, d.bytes - 12, d.bytes - 1};
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        write_file(d.path, d.data, cuts[i]);
        expect_rebuilt(&d);
    }
    free(d.data);
}

static void a_damaged_checkpoint_is_never_trusted(void **state)
{
    struct damage d;
    make_checkpointed(&d, *state);
    uint64_t chance = 7;
    for (int i = 0; i < GOOD_MEASURE(30, 10); i++) {
        size_t at = i < 6 ? (size_t)i * 9 : random_next(&chance) % d.bytes;
        d.data[at] ^= 0x10;
        write_file(d.path, d.data, d.bytes);
        expect_rebuilt(&d);
        d.data[at] ^= 0x10;
    }
    free(d.data);
}

static void a_checkpoint_of_a_newer_version_or_another_shard_is_not_used(void **state)
{
    struct damage d;
    make_checkpointed(&d, *state);
    static const size_t fields[] = {8, 12, 16, 24, 32, 36}; /* Version .. distance. */
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        d.data[fields[i]]++;
        le_put_u32(d.data + 52, crc32c(0, d.data, 52));
        write_file(d.path, d.data, d.bytes);
        expect_rebuilt(&d);
        d.data[fields[i]]--;
    }
    free(d.data);
}

static void a_few_changes_need_no_checkpoint_and_are_linked_again(void **state)
{
    struct fixture *f = *state;
    char path[4096];
    struct stat facts;
    fixture_path(f, "shard/index-1.graph", path, sizeof(path));
    for (uint64_t round = 0; round < 3; round++) {
        fixture_start(f);
        insert_rows(f, 10 * round + 1, 10 * round + 11, 3);
        check_all_are_found(f, 1, 10 * round + 11);
        wait_until_linked(f);
        fixture_stop(f);
        assert_int_not_equal(stat(path, &facts), 0);
    }
    fixture_start(f);
    wait_until_linked(f);
    check_all_are_found(f, 1, 31);
    insert_rows(f, 31, 131, 10);
    fixture_stop(f);
    assert_int_equal(stat(path, &facts), 0);
}

static void an_old_checkpoint_in_the_place_of_a_newer_one_is_not_used(void **state)
{
    struct damage d;
    struct err err = {0};
    make_checkpointed(&d, *state);
    fixture_start(d.f);
    assert_int_equal(delete_row(d.f, 18, &err), ERR_OK);
    d.content = content_hash(d.f);
    checkpoint(d.f);
    fixture_stop(d.f);
    write_file(d.path, d.data, d.bytes);
    expect_rebuilt(&d);
    free(d.data);
}

/* ---- refused directories ---- */

/* In a child, so that no shutdown covers them: some more rows, in the file and in no checkpoint. */
static void insert_and_die(struct fixture *f, uint64_t from, uint64_t to)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fixture_start(f);
        insert_rows(f, from, to, 1);
        flush(f);
        (void)raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void a_graph_that_is_half_made_anew_is_no_checkpoint(void **state)
{
    enum {
        N = 1500
    };
    struct fixture *f = *state;
    char path[4096];
    fixture_start(f);
    insert_rows(f, 1, N + 1, 100);
    fixture_stop(f);
    insert_and_die(f, N + 1, N + 6);
    fixture_path(f, "shard/index-1.graph", path, sizeof(path));
    assert_int_equal(unlink(path), 0);
    /* A shutdown writes what is there, which must not pass for the whole. */
    fixture_start(f);
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(index_count(f->shard->vectors[0].index), N + 5);
    check_all_are_found(f, 1, N + 6);
    fixture_stop(f);
}

/* An entry without vectors counts where nothing waits to be linked; it must still count when
 * something does.  What waits here is staged as by an entry that is being applied. */
static void a_later_checkpoint_never_covers_less(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    float vector[DIM];
    make_vector(7, vector);
    fixture_start(f);
    struct vector_index *v = &f->shard->vectors[0];
    insert_rows(f, 1, 11, 1);
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(11, 0, "no vector", 1), &err), ERR_OK);
    wait_until_linked(f);
    checkpoint(f);
    uint64_t covered = atomic_load(&v->checkpointed);
    assert_int_equal(covered, f->shard->applied);
    uint64_t row = f->shard->next_row;
    assert_int_equal(
        index_stage_insert(v->index, covered + 1,
                           &(struct index_rows){.numbers = &row, .vectors = vector, .n = 1}, &err),
        ERR_OK);
    atomic_fetch_add(&v->changes, 1);
    checkpoint(f);
    assert_int_equal(atomic_load(&v->checkpointed), covered);
    fixture_stop(f);
}

static void expect_refused(struct fixture *f, enum errcode expected, const char *says)
{
    struct err err = {0};
    assert_int_equal(fixture_try_start(f, &err), expected);
    if (strstr(err.message, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, says);
    }
}

static void a_file_of_a_newer_format_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[4096];
    size_t bytes;
    fixture_start(f);
    insert_rows(f, 1, 11, 5);
    fixture_stop(f);
    fixture_path(f, "shard/data.mdb", path, sizeof(path));
    uint8_t *data = read_file(path, &bytes);
    uint8_t head[20];
    size_t n = 0;
    le_put_u32(head, 1);
    le_put_u64(head + 4, f->schema.id);
    le_put_u64(head + 12, GROUP);
    for (size_t at = 0; at + sizeof(head) <= bytes; at++) {
        if (memcmp(data + at, head, sizeof(head)) == 0) {
            data[at] = 2;
            n++;
        }
    }
    assert_true(n > 0);
    write_file(path, data, bytes);
    free(data);
    expect_refused(f, ERR_FORMAT_UNSUPPORTED, "format version 2");
}

static void the_file_of_another_collection_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    insert_rows(f, 1, 2, 1);
    fixture_stop(f);
    f->schema.id++;
    expect_refused(f, ERR_FORMAT_UNSUPPORTED, "another shard");
    f->schema.id--;
}

static void a_foreign_file_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[4096];
    uint8_t junk[16384];
    fixture_start(f);
    fixture_stop(f);
    memset(junk, 'x', sizeof(junk));
    fixture_path(f, "shard/data.mdb", path, sizeof(path));
    write_file(path, junk, sizeof(junk));
    expect_refused(f, ERR_FORMAT_UNSUPPORTED, "not a shard's file");
}

static void a_destroyed_shard_leaves_no_file_and_no_log(void **state)
{
    struct fixture *f = *state;
    char path[4096];
    uint64_t *ids;
    size_t n;
    struct err err = {0};
    fixture_start(f);
    insert_rows(f, 1, 101, 10);
    checkpoint(f);
    shard_destroy(f->shard);
    f->shard = NULL;
    fixture_path(f, "shard", path, sizeof(path));
    assert_int_equal(access(path, F_OK), -1);
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    do {
        assert_true(clock_micros() < deadline_us);
        assert_int_equal(repl_groups(f->repl, &ids, &n, &err), ERR_OK);
        mem_free(MEM_LOG, ids);
    } while (n > 0);
    fixture_stop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_shard_that_was_restarted_often_is_as_one_that_never_was,
                                        fixture_set_up, fixture_tear_down),
        UNWATCHED_TEST(kill_9_at_any_stage_loses_and_doubles_nothing, fixture_set_up,
                       fixture_tear_down),
        cmocka_unit_test_setup_teardown(an_entry_that_comes_again_changes_nothing, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(an_entry_that_does_not_decode_is_refused_and_passed,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_deleted_row_is_kept_only_if_no_checkpoint_has_it,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_checkpoint_lets_go_of_changes_and_dead_rows,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_missing_checkpoint_is_made_anew, fixture_set_up,
                                        fixture_tear_down),
        UNWATCHED_TEST(a_torn_checkpoint_is_never_trusted, fixture_set_up, fixture_tear_down),
        UNWATCHED_TEST(a_damaged_checkpoint_is_never_trusted, fixture_set_up, fixture_tear_down),
        UNWATCHED_TEST(a_checkpoint_of_a_newer_version_or_another_shard_is_not_used, fixture_set_up,
                       fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_few_changes_need_no_checkpoint_and_are_linked_again,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(an_old_checkpoint_in_the_place_of_a_newer_one_is_not_used,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_graph_that_is_half_made_anew_is_no_checkpoint,
                                        fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_later_checkpoint_never_covers_less, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_file_of_a_newer_format_is_refused, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(the_file_of_another_collection_is_refused, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_foreign_file_is_refused, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_destroyed_shard_leaves_no_file_and_no_log, fixture_set_up,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
