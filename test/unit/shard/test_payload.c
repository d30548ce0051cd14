/* Columns from memory are those that the file has, in every view, whatever changes meanwhile. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>

#include "shard/payload_int.h"
#include "shard/shard_int.h"
#include "shard/view_int.h"

enum {
    KEYS = 400,
    STEPS = GOOD_MEASURE(1500, 600),
    VIEWS = 5,
    READERS = 3,
    CHANGES = GOOD_MEASURE(2000, 500),
};

static const uint64_t all_but_vectors[4] = {1u << ID | 1u << TITLE | 1u << YEAR};

static int set_up(void **state)
{
    (void)fixture_set_up(state);
    struct fixture *f = *state;
    fixture_policy(f, "flush_interval", "10ms");
    fixture_start(f);
    return 0;
}

static struct shard_view *open_view(struct fixture *f)
{
    struct shard_view *view;
    struct err err = {0};
    CHECK(shard_view_open(f->shard, &view, &err) == ERR_OK);
    return view;
}

/* The row's columns come out the same by both ways; CHECK, for threads. */
static void compare(struct fixture *f, struct shard_view *view, uint64_t number,
                    struct arena *arena)
{
    struct err err = {0};
    struct value fast[N_COLUMNS], slow[N_COLUMNS];
    bool found, found_slow;
    struct shard_row row;
    struct shard_columns columns = {.wanted = all_but_vectors, .values = fast, .arena = arena};
    CHECK(shard_view_columns(view, number, &columns, &found, &err) == ERR_OK);
    CHECK(shard_view_get_number(view, number, &row, &found_slow, &err) == ERR_OK);
    CHECK(found == found_slow);
    if (found) {
        CHECK(shard_row_decode(&f->schema, &row, NULL, slow, arena, &err) == ERR_OK);
        CHECK(value_compare(&fast[ID], &slow[ID]) == 0);
        CHECK(value_compare(&fast[TITLE], &slow[TITLE]) == 0);
        CHECK(value_compare(&fast[YEAR], &slow[YEAR]) == 0);
    }
    arena_reset(arena);
}

/* Both ways through all rows give the same ones in the same order. */
static void compare_scans(struct fixture *f, struct shard_view *view)
{
    struct err err = {0};
    struct value fast[N_COLUMNS], slow[N_COLUMNS];
    struct shard_columns columns = {.wanted = all_but_vectors, .values = fast, .arena = f->arena};
    bool found = true, found_slow;
    for (uint64_t number = 0, from = 0; found; number++) {
        struct shard_row row;
        assert_int_equal(shard_view_next_columns(view, &number, &columns, &found, &err), ERR_OK);
        assert_int_equal(shard_view_next(view, from, &row, &found_slow, &err), ERR_OK);
        assert_int_equal(found, found_slow);
        if (found) {
            assert_int_equal(number, row.number);
            assert_int_equal(shard_row_decode(&f->schema, &row, NULL, slow, f->arena, &err),
                             ERR_OK);
            assert_int_equal(value_compare(&fast[ID], &slow[ID]), 0);
            assert_int_equal(value_compare(&fast[YEAR], &slow[YEAR]), 0);
            from = number + 1;
        }
    }
    arena_reset(f->arena);
}

static void change(struct fixture *f, uint64_t *chance, int64_t year)
{
    static char longer[3000];
    struct err err = {0};
    struct seen seen;
    uint64_t key = 1 + random_next(chance) % KEYS;
    const char *titles[] = {"t", NULL, "a title that is somewhat longer", "", longer};
    const char *title = titles[random_next(chance) % COUNT_OF(titles)];
    memset(longer, 'x', sizeof(longer) - 1);
    switch (random_next(chance) % 4) {
    case 0:
        if (see_row(f, key, &seen)) {
            assert_int_equal(delete_row(f, key, &err), ERR_OK);
        }
        break;
    case 1: /* Moves: a new number. */
        assert_int_equal(
            write_row(f, SHARD_UPSERT, row_of(key, random_next(chance), title, year), &err),
            ERR_OK);
        break;
    default: /* Keeps its number where it is there. */
        assert_int_equal(write_row(f, SHARD_UPSERT, row_of(key, key, title, year), &err), ERR_OK);
    }
}

static void every_view_sees_the_columns_of_its_own_time(void **state)
{
    struct fixture *f = *state;
    struct shard_view *views[VIEWS] = {NULL};
    struct err err = {0};
    uint64_t chance = 7;
    insert_rows(f, 1, KEYS, 50);
    for (int step = 0; step < STEPS; step++) {
        uint64_t choice = random_next(&chance) % 20;
        size_t at = random_next(&chance) % VIEWS;
        if (choice < 2) {
            change(f, &chance, step);
        } else if (choice == 2) {
            enum errcode code = shard_flush(f->shard, &err);
            assert_true(code == ERR_OK || code == ERR_OVERLOADED); /* Views are in the way. */
        } else if (views[at] == NULL || choice == 3) {
            shard_view_close(views[at]);
            views[at] = open_view(f);
        } else if (choice == 4) {
            compare_scans(f, views[at]);
        } else {
            compare(f, views[at], random_next(&chance) % (shard_rows_end(f->shard) + 70), f->arena);
        }
    }
    for (size_t i = 0; i < VIEWS; i++) {
        shard_view_close(views[i]);
    }
}

static void what_was_asked_for_is_not_read_from_the_file_again(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    insert_rows(f, 1, 201, 50);
    assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
    struct shard_view *view = open_view(f);
    struct value values[N_COLUMNS];
    struct shard_columns columns = {.wanted = all_but_vectors, .values = values};
    bool found;
    int64_t hits = metric_value(METRIC_payload_hits);
    int64_t misses = metric_value(METRIC_payload_misses);
    for (int round = 0; round < 2; round++) {
        columns.rows_read = 0;
        for (uint64_t number = 1; number < 201; number++) {
            assert_int_equal(shard_view_columns(view, number, &columns, &found, &err), ERR_OK);
            assert_true(found);
            assert_int_equal(values[YEAR].integer, number);
        }
        assert_int_equal(columns.rows_read, round == 0 ? 4 * CHUNK_ROWS : 0);
    }
    shard_view_close(view);
    assert_int_equal(metric_value(METRIC_payload_misses) - misses, 4);
    assert_int_equal(metric_value(METRIC_payload_hits) - hits, 2 * 200 - 4);
    assert_true(metric_value(METRIC_payload_bytes) > 0);
}

static void payload_memory_bounds_what_is_kept_and_0_keeps_nothing(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    uint64_t chance = 3;
    insert_rows(f, 1, 2001, 500);
    assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
    static const struct {
        const char *text;
        int64_t bytes;
    } bounds[] = {{"16KiB", 16 << 10}, {"4KiB", 4 << 10}, {"0", 0}};
    for (size_t i = 0; i < COUNT_OF(bounds); i++) {
        fixture_policy(f, "payload_memory", bounds[i].text);
        struct shard_view *view = open_view(f);
        for (int n = 0; n < GOOD_MEASURE(3000, 1000); n++) {
            compare(f, view, 1 + random_next(&chance) % 2000, f->arena);
            assert_true(metric_value(METRIC_payload_bytes) <= bounds[i].bytes);
        }
        shard_view_close(view);
        assert_true(i == 2 || metric_value(METRIC_payload_bytes) > 0);
    }
}

struct readers {
    struct fixture *f;
    atomic_bool is_over;
};

static void read_on(void *arg)
{
    struct readers *r = arg;
    struct arena *arena = arena_new(MEM_GENERAL, SIZE_MAX);
    uint64_t chance = hash_u64((uint64_t)(uintptr_t)&chance);
    while (!atomic_load(&r->is_over)) {
        struct shard_view *view = open_view(r->f);
        for (int i = 0; i < 50; i++) {
            compare(r->f, view, random_next(&chance) % (shard_rows_end(r->f->shard) + 70), arena);
        }
        shard_view_close(view);
    }
    arena_free(arena);
}

static void readers_see_their_own_time_while_rows_change_and_chunks_come_and_go(void **state)
{
    struct fixture *f = *state;
    struct readers readers = {.f = f};
    struct thread threads[READERS];
    struct err err;
    uint64_t chance = 11;
    insert_rows(f, 1, KEYS, 50);
    fixture_policy(f, "payload_memory", "12KiB"); /* Some of them. */
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(thread_start(&threads[i], "reader", read_on, &readers, &err), ERR_OK);
    }
    for (int i = 0; i < CHANGES; i++) {
        change(f, &chance, i);
    }
    atomic_store(&readers.is_over, true);
    for (int i = 0; i < READERS; i++) {
        thread_join(&threads[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_view_sees_the_columns_of_its_own_time),
        TEST(what_was_asked_for_is_not_read_from_the_file_again),
        TEST(payload_memory_bounds_what_is_kept_and_0_keeps_nothing),
        TEST(readers_see_their_own_time_while_rows_change_and_chunks_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
