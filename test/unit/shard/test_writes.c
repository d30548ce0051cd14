/* What each operation does, what it refuses, and what a search finds of it. */
#include "fixture.h"

#include <math.h>
#include <stdlib.h>

static int set_up(void **state)
{
    (void)fixture_set_up(state);
    struct fixture *f = *state;
    fixture_start(f);
    return 0;
}

static void an_inserted_row_is_read_and_found(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct seen seen;
    double distance;
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(1, 11, "one", 2001), &err), ERR_OK);
    assert_true(see_row(f, 1, &seen));
    assert_string_equal(seen.title, "one");
    assert_int_equal(seen.year, 2001);
    assert_true(seen.has_vector);
    assert_int_equal(nearest(f, 11, &distance), seen.number);
    assert_true(distance < 1e-6f);
    assert_false(see_row(f, 2, &seen));
    assert_int_equal(count_rows(f), 1);
}

static void a_key_that_is_taken_refuses_the_whole_insert(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct seen seen;
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(1, 11, "one", 1), &err), ERR_OK);
    struct shard_command *command = new_command(f);
    add_row(command, SHARD_INSERT, row_of(2, 12, "two", 2));
    add_row(command, SHARD_INSERT, row_of(1, 13, "again", 3));
    assert_int_equal(send_command(f, command, ACK_VISIBLE, NULL, &err), ERR_DUPLICATE_KEY);
    assert_non_null(strstr(err.message, "k1"));
    assert_string_equal(err.column, "id");
    assert_false(see_row(f, 2, &seen));
    assert_true(see_row(f, 1, &seen));
    assert_string_equal(seen.title, "one");
    assert_int_equal(count_rows(f), 1);
}

static void a_key_that_occurs_twice_in_one_insert_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    static const enum shard_op ops[] = {SHARD_INSERT, SHARD_UPSERT};
    for (size_t i = 0; i < COUNT_OF(ops); i++) {
        struct shard_command *command = new_command(f);
        add_row(command, ops[i], row_of(1, 11, "a", 1));
        add_row(command, ops[i], row_of(1, 12, "b", 2));
        assert_int_equal(send_command(f, command, ACK_VISIBLE, NULL, &err), ERR_DUPLICATE_KEY);
        assert_int_equal(count_rows(f), 0);
    }
}

static void insert_ignore_skips_keys_that_are_taken(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct seen seen;
    uint64_t rows;
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(1, 11, "one", 1), &err), ERR_OK);
    struct shard_command *command = new_command(f);
    add_row(command, SHARD_INSERT_IGNORE, row_of(1, 12, "other", 2));
    add_row(command, SHARD_INSERT_IGNORE, row_of(2, 13, "two", 2));
    add_row(command, SHARD_INSERT_IGNORE, row_of(2, 14, "twice", 2));
    assert_int_equal(send_command(f, command, ACK_VISIBLE, &rows, &err), ERR_OK);
    assert_int_equal(rows, 1);
    assert_true(see_row(f, 1, &seen));
    assert_string_equal(seen.title, "one");
    assert_true(see_row(f, 2, &seen));
    assert_string_equal(seen.title, "two");
    assert_int_equal(count_rows(f), 2);
}

static void an_upsert_replaces_only_the_columns_given(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct seen before;
    struct seen after;
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(1, 11, "one", 1), &err), ERR_OK);
    assert_true(see_row(f, 1, &before));
    struct value values[N_COLUMNS] = {value_cstr("k1"), value_null(), value_null(), value_int(7)};
    const uint64_t columns[4] = {1u << ID | 1u << YEAR};
    struct shard_command *command = new_command(f);
    assert_int_equal(shard_command_add(command, SHARD_UPSERT, values, columns, 0, &err), ERR_OK);
    assert_int_equal(send_command(f, command, ACK_VISIBLE, NULL, &err), ERR_OK);
    assert_true(see_row(f, 1, &after));
    assert_string_equal(after.title, "one");
    assert_int_equal(after.year, 7);
    assert_memory_equal(after.vector, before.vector, sizeof(after.vector));
    assert_int_equal(after.number, before.number); /* No vector was changed. */
    assert_int_not_equal(after.stamp, before.stamp);
    assert_int_equal(count_rows(f), 1);
}

static void an_upsert_of_a_free_key_inserts(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct seen seen;
    assert_int_equal(write_row(f, SHARD_UPSERT, row_of(1, 11, "one", 1), &err), ERR_OK);
    assert_true(see_row(f, 1, &seen));
    assert_string_equal(seen.title, "one");
}

static void an_update_of_a_vector_takes_a_new_number_and_is_found_there(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct seen before;
    struct seen after;
    double distance;
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(1, 11, "one", 1), &err), ERR_OK);
    assert_true(see_row(f, 1, &before));
    struct shard_command *command = new_command(f);
    add_stamped(command, SHARD_REPLACE, row_of(1, 12, "moved", 2), before.stamp);
    assert_int_equal(send_command(f, command, ACK_VISIBLE, NULL, &err), ERR_OK);
    assert_true(see_row(f, 1, &after));
    assert_true(after.number > before.number);
    assert_string_equal(after.title, "moved");
    assert_int_equal(nearest(f, 12, &distance), after.number);
    assert_true(distance < 1e-6f);
    assert_int_equal(nearest(f, 11, &distance), after.number); /* The old one is gone. */
    assert_true(distance > 1e-3f);
    assert_int_equal(count_rows(f), 1);
}

static void a_stale_stamp_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct seen old;
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(1, 11, "one", 1), &err), ERR_OK);
    assert_true(see_row(f, 1, &old));
    assert_int_equal(write_row(f, SHARD_UPSERT, row_of(1, 11, "two", 1), &err), ERR_OK);
    static const enum shard_op ops[] = {SHARD_REPLACE, SHARD_DELETE};
    for (size_t i = 0; i < COUNT_OF(ops); i++) {
        struct shard_command *command = new_command(f);
        add_stamped(command, ops[i], row_of(1, 12, "three", 1), old.stamp);
        assert_int_equal(send_command(f, command, ACK_VISIBLE, NULL, &err), ERR_CONFLICT);
        struct shard_command *missing = new_command(f);
        add_stamped(missing, ops[i], row_of(99, 12, "three", 1), old.stamp);
        assert_int_equal(send_command(f, missing, ACK_VISIBLE, NULL, &err), ERR_CONFLICT);
    }
    struct seen seen;
    assert_true(see_row(f, 1, &seen));
    assert_string_equal(seen.title, "two");
}

static void a_deleted_row_is_neither_read_nor_found(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct seen seen;
    double distance;
    insert_rows(f, 1, 200, 50);
    assert_true(see_row(f, 77, &seen));
    uint64_t number = seen.number;
    assert_int_equal(delete_row(f, 77, &err), ERR_OK);
    assert_false(see_row(f, 77, &seen));
    assert_int_not_equal(nearest(f, 77, &distance), number);
    assert_int_equal(count_rows(f), 198);
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(77, 77, "back", 1), &err), ERR_OK);
    assert_true(see_row(f, 77, &seen));
    assert_true(seen.number > number);
    assert_int_equal(nearest(f, 77, &distance), seen.number);
}

static void a_row_may_be_deleted_and_inserted_in_one_command(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct seen seen;
    uint64_t rows;
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(1, 11, "one", 1), &err), ERR_OK);
    assert_true(see_row(f, 1, &seen));
    struct shard_command *command = new_command(f);
    add_stamped(command, SHARD_DELETE, row_of(1, 0, NULL, 0), seen.stamp);
    add_row(command, SHARD_INSERT, row_of(1, 12, "again", 2));
    assert_int_equal(send_command(f, command, ACK_VISIBLE, &rows, &err), ERR_OK);
    assert_int_equal(rows, 2);
    assert_true(see_row(f, 1, &seen));
    assert_string_equal(seen.title, "again");
    assert_int_equal(count_rows(f), 1);
}

static void a_row_without_a_vector_is_kept_and_not_found(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct seen seen;
    double distance;
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(1, 0, "none", 1), &err), ERR_OK);
    assert_true(see_row(f, 1, &seen));
    assert_false(seen.has_vector);
    assert_int_equal(nearest(f, 1, &distance), 0);
}

static void each_ack_is_given(void **state)
{
    struct fixture *f = *state;
    static const char *const modes[] = {"sync", "async"};
    uint64_t i = 1;
    for (size_t m = 0; m < COUNT_OF(modes); m++) {
        fixture_policy(f, "index_mode", modes[m]);
        for (int ack = ACK_RECEIVED; ack <= ACK_INDEXED; ack++, i++) {
            struct err err = {0};
            struct shard_command *command = new_command(f);
            add_row(command, SHARD_INSERT, row_of(i, i, "t", 1));
            assert_int_equal(send_command(f, command, (enum ack)ack, NULL, &err), ERR_OK);
            struct shard_figures figures;
            shard_figures(f->shard, &figures);
            if (ack == ACK_INDEXED) {
                assert_int_equal(figures.index_lag, 0);
            }
        }
    }
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(count_rows(f), i - 1);
}

static void each_write_is_observed_once(void **state)
{
    struct fixture *f = *state;
    int64_t before = metric_value(METRIC_write);
    int64_t n = 0;
    for (int ack = ACK_RECEIVED; ack <= ACK_INDEXED; ack++) {
        struct err err = {0};
        struct shard_command *command = new_command(f);
        n++;
        add_row(command, SHARD_INSERT, row_of((uint64_t)n, 1, "t", 1));
        assert_int_equal(send_command(f, command, (enum ack)ack, NULL, &err), ERR_OK);
        assert_int_equal(metric_value(METRIC_write), before + n);
    }
    struct err err = {0};
    assert_int_equal(write_row(f, SHARD_INSERT, row_of(1, 1, "again", 1), &err), ERR_DUPLICATE_KEY);
    assert_int_equal(metric_value(METRIC_write), before + n + 1);
}

/* ---- what a command refuses as it is built ---- */

static void expect_refused(struct fixture *f, uint32_t column, struct value value,
                           enum errcode expected, const char *says)
{
    float vector[DIM];
    struct err err = {0};
    make_vector(1, vector);
    struct value values[N_COLUMNS] = {value_cstr("k"), value_vector(vector, DIM), value_null(),
                                      value_int(1)};
    values[column] = value;
    struct shard_command *command = new_command(f);
    size_t bytes = shard_command_bytes(command);
    assert_int_equal(shard_command_add(command, SHARD_INSERT, values, NULL, 0, &err), expected);
    assert_string_equal(err.column, f->schema.columns[column].name);
    assert_non_null(strstr(err.message, f->schema.columns[column].name));
    assert_non_null(strstr(err.message, says));
    assert_int_equal(shard_command_bytes(command), bytes);
    assert_int_equal(shard_command_rows(command), 0);
    shard_command_free(command);
}

static void a_command_refuses_values_that_do_not_fit_their_column(void **state)
{
    struct fixture *f = *state;
    float bad[DIM] = {0};
    char *text = calloc(1, TEXT_BYTES_MAX + 1);
    assert_non_null(text);
    expect_refused(f, EMBEDDING, value_vector(bad, DIM - 1), ERR_WRONG_DIMENSION, "7 dimensions");
    expect_refused(f, EMBEDDING, value_vector(bad, DIM - 1), ERR_WRONG_DIMENSION, "VECTOR(8)");
    bad[3] = NAN;
    expect_refused(f, EMBEDDING, value_vector(bad, DIM), ERR_NOT_FINITE, "NaN");
    bad[3] = INFINITY;
    expect_refused(f, EMBEDDING, value_vector(bad, DIM), ERR_NOT_FINITE, "element 4");
    expect_refused(f, ID, value_null(), ERR_NOT_NULL, "must have");
    expect_refused(f, YEAR, value_null(), ERR_NOT_NULL, "must have");
    expect_refused(f, YEAR, value_cstr("1"), ERR_TYPE_MISMATCH, "INT");
    expect_refused(f, ID, value_text(text, KEY_BYTES_MAX + 1), ERR_STRING_TOO_LONG, "401");
    expect_refused(f, TITLE, value_text(text, TEXT_BYTES_MAX + 1), ERR_STRING_TOO_LONG, "bytes");
    free(text);
    bad[3] = 0;
    f->schema.columns[EMBEDDING].distance = DISTANCE_COSINE;
    expect_refused(f, EMBEDDING, value_vector(bad, DIM), ERR_ZERO_VECTOR, "direction");
    f->schema.columns[EMBEDDING].distance = DISTANCE_L2;
}

static void a_command_over_its_limit_is_refused_and_stays_whole(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    size_t bytes = 12 << 20;
    char *text = calloc(1, bytes);
    assert_non_null(text);
    struct shard_command *command = new_command(f);
    struct value values[N_COLUMNS] = {value_cstr("a"), value_null(), value_text(text, bytes),
                                      value_int(1)};
    assert_int_equal(shard_command_add(command, SHARD_INSERT, values, NULL, 0, &err), ERR_OK);
    values[ID] = value_cstr("b");
    assert_int_equal(shard_command_add(command, SHARD_INSERT, values, NULL, 0, &err), ERR_OK);
    values[ID] = value_cstr("c");
    assert_int_equal(shard_command_add(command, SHARD_INSERT, values, NULL, 0, &err),
                     ERR_STATEMENT_TOO_LONG);
    assert_int_equal(shard_command_rows(command), 2);
    assert_int_equal(send_command(f, command, ACK_VISIBLE, NULL, &err), ERR_OK);
    assert_int_equal(count_rows(f), 2);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_inserted_row_is_read_and_found, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_key_that_is_taken_refuses_the_whole_insert, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_key_that_occurs_twice_in_one_insert_is_refused, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(insert_ignore_skips_keys_that_are_taken, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(an_upsert_replaces_only_the_columns_given, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(an_upsert_of_a_free_key_inserts, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(an_update_of_a_vector_takes_a_new_number_and_is_found_there,
                                        set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_stale_stamp_is_a_conflict, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_deleted_row_is_neither_read_nor_found, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_row_may_be_deleted_and_inserted_in_one_command, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_row_without_a_vector_is_kept_and_not_found, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(each_ack_is_given, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(each_write_is_observed_once, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_command_refuses_values_that_do_not_fit_their_column,
                                        set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_command_over_its_limit_is_refused_and_stays_whole, set_up,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
