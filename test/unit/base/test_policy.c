/* Policies: parsing with units, bounds, scopes, levels and their origins. */
#include "test/unit/unit.h"

static enum errcode assign(struct policy_set *set, const char *name, enum policy_level level,
                           const char *text, struct err *err)
{
    struct value value = value_cstr(text);
    return policy_assign_name(set, name, level, &value, err);
}

static void every_default_is_a_valid_value_that_prints_and_parses_back(void **state)
{
    (void)state;
    struct policy_view nothing = {{NULL}};
    for (int id = 0; id < POLICY_COUNT; id++) {
        const struct policy_row *row = policy_row((enum policy_id)id);
        enum policy_level origin;
        struct policy_value value = policy_get(&nothing, (enum policy_id)id, &origin);
        assert_int_equal(origin, LEVEL_BUILT_IN);
        char buffer[POLICY_TEXT_BYTES];
        const char *text = policy_format(buffer, (enum policy_id)id, &value);
        struct policy_set set = {0};
        struct err err;
        enum policy_level level = LEVEL_FILE;
        while ((row->scopes & (1u << level)) == 0) {
            level++;
        }
        if (assign(&set, row->name, level, text, &err) != ERR_OK) {
            fail_msg("%s = %s: %s", row->name, text, err.message);
        }
    }
}

static void the_highest_level_that_sets_a_policy_wins(void **state)
{
    (void)state;
    struct policy_set file = {0}, session = {0}, statement = {0};
    struct err err;
    struct policy_view view = {{NULL, &file, NULL, &session, &statement}};
    enum policy_level origin;
    assert_true(policy_get(&view, POLICY_recall, &origin).number == 0.95);
    assert_int_equal(assign(&file, "recall", LEVEL_FILE, "0.9", &err), ERR_OK);
    assert_int_equal(assign(&statement, "recall", LEVEL_STATEMENT, "0.99", &err), ERR_OK);
    assert_true(policy_get(&view, POLICY_recall, &origin).number == 0.99);
    assert_int_equal(origin, LEVEL_STATEMENT);
    policy_clear(&statement, POLICY_recall);
    assert_true(policy_get(&view, POLICY_recall, &origin).number == 0.9);
    assert_int_equal(origin, LEVEL_FILE);
}

static void units_are_understood(void **state)
{
    (void)state;
    struct policy_set set = {0};
    struct err err;
    struct policy_view view = {{NULL, &set}};
    assert_int_equal(assign(&set, "timeout", LEVEL_FILE, "500ms", &err), ERR_OK);
    assert_int_equal(policy_int(&view, POLICY_timeout), 500000);
    assert_int_equal(assign(&set, "timeout", LEVEL_FILE, "2", &err), ERR_OK);
    assert_int_equal(policy_int(&view, POLICY_timeout), 2000);
    assert_int_equal(assign(&set, "timeout", LEVEL_FILE, "1 min", &err), ERR_OK);
    assert_int_equal(policy_int(&view, POLICY_timeout), 60000000);
    assert_int_equal(assign(&set, "statement_memory", LEVEL_FILE, "64MiB", &err), ERR_OK);
    assert_int_equal(policy_int(&view, POLICY_statement_memory), 64 << 20);
    struct value off = value_bool(true);
    assert_int_equal(policy_assign(&set, POLICY_exact, LEVEL_FILE, &off, &err), ERR_OK);
    assert_true(policy_bool(&view, POLICY_exact));
    assert_int_equal(assign(&set, "ack", LEVEL_FILE, "QUORUM", &err), ERR_OK);
    assert_int_equal(policy_int(&view, POLICY_ack), ACK_QUORUM);
}

static void what_is_out_of_bounds_or_no_value_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"recall", "1.5"},
        {"recall", "high"},
        {"recall", "nan"},
        {"ef", "0"},
        {"ef", "1.5"},
        {"ef", "10x"},
        {"timeout", "-1"},
        {"timeout", "5 weeks"},
        {"exact", "perhaps"},
        {"ack", "maybe"},
        {"statement_memory", "1B"},
        {"recall", "auto"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct policy_set set = {0};
        struct err err;
        assert_int_equal(assign(&set, bad[i][0], LEVEL_FILE, bad[i][1], &err), ERR_POLICY_BOUNDS);
        assert_true(set.is_set == 0);
        assert_string_equal(err.policy, bad[i][0]);
        assert_true(strlen(err.hint) > 0);
    }
}

static void a_policy_is_refused_at_a_level_that_is_not_its_own(void **state)
{
    (void)state;
    struct policy_set set = {0};
    struct err err;
    assert_int_equal(assign(&set, "listen", LEVEL_SESSION, "x:1", &err), ERR_POLICY_SCOPE);
    assert_non_null(strstr(err.hint, "configuration file"));
    assert_int_equal(assign(&set, "m", LEVEL_STATEMENT, "16", &err), ERR_POLICY_SCOPE);
    assert_non_null(strstr(err.hint, "CREATE COLLECTION"));
}

static void an_unknown_name_gets_the_nearest_as_a_hint(void **state)
{
    (void)state;
    struct policy_set set = {0};
    struct err err;
    assert_int_equal(assign(&set, "recal", LEVEL_SESSION, "0.9", &err), ERR_UNKNOWN_POLICY);
    assert_non_null(strstr(err.hint, "\"recall\""));
}

static void a_set_is_written_and_read_back(void **state)
{
    (void)state;
    struct policy_set set = {0}, back;
    struct err err;
    assert_int_equal(assign(&set, "recall", LEVEL_FILE, "0.97", &err), ERR_OK);
    assert_int_equal(assign(&set, "ef", LEVEL_FILE, "auto", &err), ERR_OK);
    assert_int_equal(assign(&set, "flush_interval", LEVEL_FILE, "250ms", &err), ERR_OK);
    struct buf b;
    buf_init(&b, MEM_GENERAL, 4096);
    policy_set_write(&b, &set);
    struct reader r;
    reader_init(&r, b.data, b.bytes);
    assert_int_equal(policy_set_read(&r, &back, &err), ERR_OK);
    assert_true(reader_done(&r));
    assert_true(back.is_set == set.is_set);
    assert_true(back.values[POLICY_recall].number == 0.97);
    assert_true(back.values[POLICY_ef].is_auto);
    assert_int_equal(back.values[POLICY_flush_interval].integer, 250000);
    for (size_t bytes = 0; bytes < b.bytes; bytes++) {
        reader_init(&r, b.data, bytes);
        assert_int_not_equal(policy_set_read(&r, &back, &err), ERR_OK);
    }
    buf_fini(&b);
}

static void every_policy_says_what_it_improves_and_costs(void **state)
{
    (void)state;
    for (int id = 0; id < POLICY_COUNT; id++) {
        const struct policy_row *row = policy_row((enum policy_id)id);
        assert_true(strlen(row->improves) > 0 && strlen(row->costs) > 0 && strlen(row->text) > 0);
        assert_true(strlen(row->signal) > 0 && strlen(row->undo) > 0 && row->scopes != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_a_valid_value_that_prints_and_parses_back),
        cmocka_unit_test(the_highest_level_that_sets_a_policy_wins),
        cmocka_unit_test(units_are_understood),
        cmocka_unit_test(what_is_out_of_bounds_or_no_value_is_refused_and_changes_nothing),
        cmocka_unit_test(a_policy_is_refused_at_a_level_that_is_not_its_own),
        cmocka_unit_test(an_unknown_name_gets_the_nearest_as_a_hint),
        cmocka_unit_test(a_set_is_written_and_read_back),
        cmocka_unit_test(every_policy_says_what_it_improves_and_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
