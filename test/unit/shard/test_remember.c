/* What was measured of a graph is known again after a restart, and only of that very graph. */
#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shard/row_int.h"
#include "shard/shard_int.h"
#include "shard/store_int.h"
#include "shard/vectors_int.h"

enum {
    ROWS = 1500,
    DELETED = 200,
    ALL_SAMPLES = 256, /* Of a measurement that is over. */
    RECORD_BYTES_MAX = 1 << 16,
    /* Where the record has what: see remember.c. */
    CURVES_AT = 40,
    FIRST_EF_AT = CURVES_AT + 52,
    FIRST_RECALL_AT = FIRST_EF_AT + 4,
};
static const char record_name[] = "calibration-1";

static int set_up(void **state)
{
    (void)fixture_set_up(state);
    struct fixture *f = *state;
    fixture_policy(f, "flush_interval", "1h"); /* Tests flush when they want it. */
    return 0;
}

/* ---- what is known ---- */

static const double recalls[] = {0.8, 0.9, 0.95, 0.97, 0.99};

struct known {
    bool is_measured;
    struct shard_recall shown[SHARD_RECALL_CLASSES];
    size_t ef[COUNT_OF(recalls)];
};

static struct known take_known(struct fixture *f)
{
    struct known k;
    memset(&k, 0, sizeof(k));
    for (unsigned i = 0; i < SHARD_RECALL_CLASSES; i++) {
        bool is_measured = shard_recall(f->shard, EMBEDDING, i, 0.95, &k.shown[i]);
        k.is_measured = k.is_measured || is_measured;
    }
    for (size_t i = 0; i < COUNT_OF(recalls); i++) {
        struct shard_effort effort;
        shard_effort_for(f->shard, EMBEDDING, recalls[i], 10, 1, &effort);
        k.ef[i] = effort.ef;
    }
    return k;
}

static void expect_known(struct fixture *f, const struct known *before)
{
    struct known now = take_known(f);
    assert_true(now.is_measured);
    for (size_t i = 0; i < SHARD_RECALL_CLASSES; i++) {
        const struct shard_recall *a = &before->shown[i], *b = &now.shown[i];
        assert_int_equal(a->wall_us, b->wall_us);
        assert_int_equal(a->samples, b->samples);
        assert_int_equal(a->rows, b->rows);
        assert_int_equal(a->is_real, b->is_real);
        assert_true(b->effort.stretch > 1 || a->effort.ef == b->effort.ef);
        assert_int_equal(a->effort.verdict, b->effort.verdict);
        assert_true(a->effort.recall == b->effort.recall && a->effort.low == b->effort.low);
        assert_true(b->effort.stretch > 1 || a->effort.distances == b->effort.distances);
        assert_true(a->below == b->below);
        assert_true(a->effort.reach.distance == b->effort.reach.distance);
        assert_true(a->effort.reach.angle == b->effort.reach.angle);
    }
    for (size_t i = 0; i < COUNT_OF(recalls); i++) {
        assert_true(now.ef[i] >= before->ef[i]); /* More, where rows have changed since. */
    }
}

/* It may have been measured again meanwhile, but then at another time. */
static void expect_forgotten(struct fixture *f, const struct known *before)
{
    struct known now = take_known(f);
    assert_true(!now.is_measured || now.shown[0].wall_us > before->shown[0].wall_us);
}

static struct known wait_until_measured(struct fixture *f, int64_t after_wall_us)
{
    struct shard_recall r;
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    while (!shard_recall(f->shard, EMBEDDING, 0, 0.95, &r) || r.wall_us <= after_wall_us ||
           r.is_refining) {
        assert_true(clock_micros() < deadline_us);
        clock_sleep_micros(5000);
    }
    assert_true(r.samples >= ALL_SAMPLES);
    return take_known(f);
}

/* With queries of clients; they ask on, for a slow keeper may have begun with the first few. */
static struct known ask_until_measured(struct fixture *f, int64_t after_wall_us)
{
    struct shard_recall r;
    uint64_t deadline_us = clock_micros() + PATIENCE_US, n_asked = 0;
    do {
        assert_true(clock_micros() < deadline_us);
        for (size_t i = 0; i < ALL_SAMPLES; i++) {
            double distance;
            (void)nearest(f, 100000 + n_asked++, &distance);
        }
        clock_sleep_micros(5000);
    } while (!shard_recall(f->shard, EMBEDDING, 0, 0.95, &r) || r.wall_us <= after_wall_us ||
             r.is_refining || !r.is_real || r.samples < ALL_SAMPLES);
    return take_known(f);
}

/* ---- what is done ---- */

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

/* With rows that went, so that a graph made anew from those that are left is another one. */
static void write_rows(struct fixture *f)
{
    insert_rows(f, 1, ROWS + 1, 500);
    struct shard_command *command = new_command(f);
    for (uint64_t i = 1; i <= DELETED; i++) {
        struct seen seen;
        assert_true(see_row(f, i, &seen));
        add_stamped(command, SHARD_DELETE, row_of(i, 0, NULL, 0), seen.stamp);
    }
    struct err err = {0};
    assert_int_equal(send_command(f, command, ACK_VISIBLE, NULL, &err), ERR_OK);
    wait_until_linked(f);
}

static struct known start_and_measure(struct fixture *f)
{
    fixture_start(f);
    write_rows(f);
    return wait_until_measured(f, 0);
}

static void move_rows(struct fixture *f, uint64_t from, uint64_t to)
{
    struct err err = {0};
    struct shard_command *command = new_command(f);
    for (uint64_t i = from; i < to; i++) {
        add_row(command, SHARD_UPSERT, row_of(i, 100000 + i, "moved", 1));
    }
    assert_int_equal(send_command(f, command, ACK_VISIBLE, NULL, &err), ERR_OK);
}

/* ---- restarts ---- */

static void what_was_measured_is_known_after_every_restart(void **state)
{
    struct fixture *f = *state;
    struct known before = start_and_measure(f);
    int64_t rebuilds = metric_value(METRIC_index_rebuilds);
    for (int i = 0; i < 3; i++) {
        fixture_stop(f);
        metric_set(METRIC_recall_measured, 0);
        fixture_start(f);
        expect_known(f, &before);
        assert_int_equal(metric_value(METRIC_recall_measured),
                         (int64_t)(before.shown[0].effort.recall * 1e6));
    }
    assert_int_equal(metric_value(METRIC_index_rebuilds), rebuilds);
}

static void a_graph_that_was_never_measured_is_not_after_a_restart(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    insert_rows(f, 1, 101, 50);
    fixture_stop(f);
    fixture_start(f);
    assert_false(take_known(f).is_measured);
}

/* Curves were measured with walks that begin there. */
static void where_walks_begin_is_known_after_a_restart(void **state)
{
    struct fixture *f = *state;
    static const struct missed_rows told = {2, {{ROWS, 0.5F}, {DELETED + 1, 0.25F}}};
    (void)start_and_measure(f);
    struct calibration *c = &f->shard->vectors[0].calibration;
    mutex_lock(&c->mutex);
    c->missed = told;
    c->edition++;
    mutex_unlock(&c->mutex);
    fixture_stop(f);
    fixture_start(f);
    c = &f->shard->vectors[0].calibration;
    mutex_lock(&c->mutex);
    assert_int_equal(c->missed.n, told.n);
    for (size_t i = 0; i < told.n; i++) {
        assert_int_equal(c->missed.items[i].row, told.items[i].row);
        assert_memory_equal(&c->missed.items[i].missed, &told.items[i].missed, sizeof(float));
    }
    mutex_unlock(&c->mutex);
}

static void changes_are_counted_over_a_restart(void **state)
{
    struct fixture *f = *state;
    struct known before = start_and_measure(f);
    move_rows(f, 301, 326); /* 50 changes: less than is worth another measurement. */
    fixture_stop(f);
    fixture_start(f);
    expect_known(f, &before);
    move_rows(f, 601, 661); /* With these it is more. */
    struct known after = wait_until_measured(f, before.shown[0].wall_us);
    fixture_stop(f);
    fixture_start(f);
    expect_known(f, &after);
}

/* As many queries as what is remembered was measured with, and not the first few, are reason to
 * measure again. */
static void what_clients_asked_counts_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct known before = start_and_measure(f);
    before = ask_until_measured(f, before.shown[0].wall_us);
    fixture_stop(f);
    fixture_start(f);
    expect_known(f, &before);
    struct calibration *c = &f->shard->vectors[0].calibration;
    mutex_lock(&c->mutex);
    uint64_t n_measured = c->n_seen_measured, n_seen = c->queries.n_seen;
    mutex_unlock(&c->mutex);
    uint32_t n_most = 0;
    for (size_t i = 0; i < SHARD_RECALL_CLASSES; i++) {
        n_most = before.shown[i].samples > n_most ? before.shown[i].samples : n_most;
    }
    assert_int_equal(n_measured, n_most);
    assert_int_equal(n_seen, 0);
}

/* ---- kill -9 ---- */

enum stage {
    FLUSHED_WITHOUT_CHECKPOINT, /* The graph comes back from the changes. */
    MEASURED_AFTER_CHECKPOINT,
    CHECKPOINT_AFTER_MEASURED,
    CHECKPOINT_WITHOUT_FLUSH, /* The record is of the file before. */
    STAGE_COUNT
};

static void live_until(struct fixture *f, enum stage stage, struct known *known)
{
    struct err err = {0};
    fixture_start(f);
    write_rows(f);
    if (stage == MEASURED_AFTER_CHECKPOINT || stage == CHECKPOINT_WITHOUT_FLUSH) {
        checkpoint(f);
        move_rows(f, 301, 326);
    }
    *known = wait_until_measured(f, 0);
    if (stage == CHECKPOINT_AFTER_MEASURED) {
        checkpoint(f);
        move_rows(f, 301, 326); /* These are in the log alone. */
    } else {
        flush(f);
    }
    if (stage == CHECKPOINT_WITHOUT_FLUSH) {
        assert_int_equal(checkpoint_write(f->shard, &f->shard->vectors[0], &err), ERR_OK);
    }
}

static void kill_9_leaves_what_belongs_to_the_graph(void **state)
{
    (void)state;
    for (int stage = 0; stage < STAGE_COUNT; stage++) {
        struct fixture f;
        struct known before;
        int ends[2];
        fixture_init(&f);
        fixture_policy(&f, "flush_interval", "1h");
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            live_until(&f, (enum stage)stage, &before);
            assert_int_equal(write(ends[1], &before, sizeof(before)), sizeof(before));
            (void)raise(SIGKILL);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(read(ends[0], &before, sizeof(before)), sizeof(before));
        (void)close(ends[0]);
        (void)close(ends[1]);
        fixture_start(&f);
        if (stage == CHECKPOINT_WITHOUT_FLUSH) {
            expect_forgotten(&f, &before);
        } else {
            expect_known(&f, &before);
        }
        fixture_fini(&f);
    }
}

/* ---- other graphs, damaged records ---- */

static void a_graph_that_was_made_anew_is_measured_anew(void **state)
{
    struct fixture *f = *state;
    char path[4096];
    struct known before = start_and_measure(f);
    fixture_stop(f);
    fixture_path(f, "shard/index-1.graph", path, sizeof(path));
    assert_int_equal(truncate(path, 1000), 0);
    int64_t rebuilds = metric_value(METRIC_index_rebuilds);
    fixture_start(f);
    assert_int_equal(metric_value(METRIC_index_rebuilds), rebuilds + 1);
    expect_forgotten(f, &before);
    wait_until_linked(f);
    fixture_stop(f); /* It has a checkpoint of its own now, of the same log index. */
    fixture_start(f);
    assert_int_equal(metric_value(METRIC_index_rebuilds), rebuilds + 1);
    expect_forgotten(f, &before);
    struct known after = wait_until_measured(f, before.shown[0].wall_us);
    fixture_stop(f);
    fixture_start(f);
    expect_known(f, &after);
}

struct record {
    uint8_t data[RECORD_BYTES_MAX];
    size_t bytes;
};

/* Reads the record of the closed shard, or writes another one. */
static void access_record(struct fixture *f, struct record *out, const struct record *in)
{
    char path[4096];
    struct err err = {0};
    struct store *store;
    struct store_write *write;
    struct slice found;
    fixture_path(f, "shard", path, sizeof(path));
    struct store_pool *pool = store_pool_new(&err);
    assert_non_null(pool);
    struct store_config config = {path, f->schema.id, GROUP, pool};
    assert_int_equal(store_open(&config, &store, &err), ERR_OK);
    struct store_read *read = store_read_new(store, &err);
    assert_non_null(read);
    assert_int_equal(store_read_begin(read, &err), ERR_OK);
    struct store_meta meta = *store_read_meta(read);
    if (out != NULL) {
        assert_int_equal(store_get_record(read, record_name, &found, &err), ERR_OK);
        assert_true(found.data != NULL && found.bytes <= sizeof(out->data));
        memcpy(out->data, found.data, found.bytes);
        out->bytes = found.bytes;
    }
    store_read_end(read);
    store_read_free(read);
    if (in != NULL) {
        struct slice record = {in->data, in->bytes};
        assert_int_equal(store_write_begin(store, 0, &write, &err), ERR_OK);
        assert_int_equal(store_put_record(write, record_name, record, &err), ERR_OK);
        assert_int_equal(store_commit(write, &meta, &err), ERR_OK);
    }
    store_close(store);
    store_pool_free(pool);
}

static void expect_not_believed(struct fixture *f, const struct record *record,
                                const struct known *before)
{
    access_record(f, NULL, record);
    fixture_start(f);
    expect_forgotten(f, before);
    fixture_stop(f);
}

static void a_record_that_is_damaged_or_of_something_else_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct record good;
    struct known before = start_and_measure(f);
    fixture_stop(f);
    access_record(f, &good, NULL);
    assert_true(good.bytes > FIRST_RECALL_AT && good.data[FIRST_EF_AT] > 0);

    const size_t cuts[] = {0, 3, 4, 40, good.bytes - 1};
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        struct record bad = good;
        bad.bytes = cuts[i];
        expect_not_believed(f, &bad, &before);
    }
    for (size_t at = 1; at < good.bytes; at += good.bytes / 5) {
        struct record bad = good;
        bad.data[at] ^= 0x20;
        expect_not_believed(f, &bad, &before);
    }
    /* Version, column, log index, bytes, checksum, m, ef_construction, curves, points, a recall
     * over 1: each wrong behind a checksum that is right. */
    static const size_t fields[] = {
        4, 8, 12, 20, 28, 32, 36, CURVES_AT, CURVES_AT + 44, FIRST_RECALL_AT + 3};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        struct record bad = good;
        bad.data[fields[i]] += 1;
        le_put_u32(bad.data, crc32c(0, bad.data + 4, bad.bytes - 4));
        expect_not_believed(f, &bad, &before);
    }
    struct record bad = good; /* More rows to begin at than there may be. */
    le_put_u32(bad.data + bad.bytes - 4, INDEX_STARTS_MAX + 1);
    le_put_u32(bad.data, crc32c(0, bad.data + 4, bad.bytes - 4));
    expect_not_believed(f, &bad, &before);
    access_record(f, NULL, &good);
    fixture_start(f);
    expect_known(f, &before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_measured_is_known_after_every_restart),
        TEST(a_graph_that_was_never_measured_is_not_after_a_restart),
        TEST(where_walks_begin_is_known_after_a_restart),
        TEST(changes_are_counted_over_a_restart),
        TEST(what_clients_asked_counts_after_a_restart),
        cmocka_unit_test(kill_9_leaves_what_belongs_to_the_graph),
        TEST(a_graph_that_was_made_anew_is_measured_anew),
        TEST(a_record_that_is_damaged_or_of_something_else_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
