/* A view sees all of a command or nothing of it, whatever is applied and flushed meanwhile. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>

#include "shard/shard_int.h"
#include "shard/view_int.h"

enum {
    GROUP_ROWS = 10, /* Of one command. */
    ROUNDS = GOOD_MEASURE(300, 100),
    READERS = 3,
};

static int set_up(void **state)
{
    (void)fixture_set_up(state);
    struct fixture *f = *state;
    fixture_policy(f, "flush_interval", "10ms"); /* Many flushes. */
    fixture_start(f);
    return 0;
}

static struct shard_view *open_view(struct fixture *f)
{
    struct shard_view *view;
    struct err err = {0};
    assert_int_equal(shard_view_open(f->shard, &view, &err), ERR_OK);
    return view;
}

static void a_view_does_not_see_what_comes_later(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct seen seen;
    insert_rows(f, 1, 21, 20);
    struct shard_view *view = open_view(f);
    assert_int_equal(delete_row(f, 3, &err), ERR_OK);
    assert_int_equal(write_row(f, SHARD_UPSERT, row_of(4, 4, "changed", 1), &err), ERR_OK);
    assert_int_equal(write_row(f, SHARD_UPSERT, row_of(5, 500, "moved", 1), &err), ERR_OK);
    insert_rows(f, 21, 41, 20);
    assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
    insert_rows(f, 41, 61, 20);
    assert_true(see_in_view(f, view, 3, &seen));
    assert_true(see_in_view(f, view, 4, &seen));
    assert_string_equal(seen.title, "t");
    assert_true(see_in_view(f, view, 5, &seen));
    assert_string_equal(seen.title, "t");
    assert_false(see_in_view(f, view, 21, &seen));
    assert_false(see_in_view(f, view, 41, &seen));
    assert_int_equal(shard_view_count(view), 20);
    uint64_t n = 0;
    bool found = true;
    struct shard_row row;
    for (uint64_t from = 0; found; from = row.number + 1, n += found) {
        assert_int_equal(shard_view_next(view, from, &row, &found, &err), ERR_OK);
    }
    assert_int_equal(n, 20);
    shard_view_close(view);
    assert_int_equal(count_rows(f), 59);
}

static void rows_are_met_in_the_order_of_their_numbers_across_overlay_and_file(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    for (uint64_t round = 0; round < 20; round++) {
        insert_rows(f, 1 + round * 50, 51 + round * 50, 7);
        for (uint64_t i = 1 + round * 25; i < 20 + round * 25; i += 3) {
            struct seen seen;
            if (see_row(f, i, &seen)) {
                assert_int_equal(delete_row(f, i, &err), ERR_OK);
            }
        }
        if (round % 3 == 0) {
            assert_int_equal(shard_flush(f->shard, &err), ERR_OK);
        }
        struct shard_figures figures;
        shard_figures(f->shard, &figures);
        assert_int_equal(count_rows(f), figures.rows);
    }
}

/* ---- at the same time ---- */

struct readers {
    struct fixture *f;
    atomic_bool is_over;
    atomic_size_t n_looked, n_found;
};

/* Every view sees GROUP_ROWS rows of one and the same round, and as many in its scan. */
static void read_groups(void *arg)
{
    struct readers *r = arg;
    struct arena *arena = arena_new(MEM_GENERAL, SIZE_MAX);
    while (!atomic_load(&r->is_over)) {
        struct shard_view *view;
        struct err err = {0};
        CHECK(shard_view_open(r->f->shard, &view, &err) == ERR_OK);
        int64_t year = -1;
        uint64_t n = 0;
        for (uint64_t i = 1; i <= GROUP_ROWS; i++) {
            char key[32];
            struct shard_row row;
            struct value values[N_COLUMNS];
            bool found;
            (void)snprintf(key, sizeof(key), "k%llu", (unsigned long long)i);
            struct value value = value_cstr(key);
            CHECK(shard_view_get(view, &value, &row, &found, &err) == ERR_OK);
            CHECK(found);
            CHECK(shard_row_decode(&r->f->schema, &row, NULL, values, arena, &err) == ERR_OK);
            year = i == 1 ? values[YEAR].integer : year;
            CHECK(values[YEAR].integer == year);
        }
        struct shard_row row;
        bool found = true;
        for (uint64_t from = 0; found; from = row.number + 1) {
            CHECK(shard_view_next(view, from, &row, &found, &err) == ERR_OK);
            n += found;
        }
        CHECK(n == GROUP_ROWS && n == shard_view_count(view));
        shard_view_close(view);
        arena_reset(arena);
        atomic_fetch_add(&r->n_looked, 1);
    }
    arena_free(arena);
}

/* All rows may be replaced while a search looks at them; then it has none, and a next one does. */
static void search_meanwhile(void *arg)
{
    struct readers *r = arg;
    uint64_t i = 0;
    while (!atomic_load(&r->is_over)) {
        double distance;
        atomic_fetch_add(&r->n_found, nearest(r->f, ++i, &distance) > 0 ? 1 : 0);
    }
    index_thread_exit();
}

static void views_see_all_of_a_command_or_nothing_while_it_is_applied(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct readers readers = {.f = f};
    struct thread threads[READERS + 1];
    insert_rows(f, 1, GROUP_ROWS + 1, GROUP_ROWS);
    for (uint64_t i = 1; i <= GROUP_ROWS; i++) {
        assert_int_equal(write_row(f, SHARD_UPSERT, row_of(i, i, "t", 0), &err), ERR_OK);
    }
    for (int t = 0; t <= READERS; t++) {
        assert_int_equal(thread_start(&threads[t], "reader",
                                      t < READERS ? read_groups : search_meanwhile, &readers, &err),
                         ERR_OK);
    }
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    for (int64_t round = 1; round <= ROUNDS || atomic_load(&readers.n_looked) < 100 ||
                            atomic_load(&readers.n_found) < 100;
         round++) {
        struct shard_command *command = new_command(f);
        for (uint64_t i = 1; i <= GROUP_ROWS; i++) {
            /* Every third round the vectors move too, so that numbers change. */
            uint64_t vector = round % 3 == 0 ? i + 1000 * (uint64_t)round : i;
            add_row(command, SHARD_UPSERT, row_of(i, vector, "t", round));
        }
        assert_int_equal(send_command(f, command, ACK_VISIBLE, NULL, &err), ERR_OK);
        assert_true(clock_micros() < deadline_us);
    }
    atomic_store(&readers.is_over, true);
    for (int t = 0; t <= READERS; t++) {
        thread_join(&threads[t]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_view_does_not_see_what_comes_later, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(
            rows_are_met_in_the_order_of_their_numbers_across_overlay_and_file, set_up,
            fixture_tear_down),
        cmocka_unit_test_setup_teardown(views_see_all_of_a_command_or_nothing_while_it_is_applied,
                                        set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
