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
    struct policy_view view = {
        .levels = {
            [LEVEL_FILE] = &file, [LEVEL_SESSION] = &session, [LEVEL_STATEMENT] = &statement}};
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

static void what_the_command_line_sets_is_told_from_the_file_and_copied_with_it(void **state)
{
    (void)state;
    struct policy_set file = {0}, copy = {0};
    struct err err;
    enum policy_level origin;
    struct policy_view view = {.levels = {[LEVEL_FILE] = &file}};
    struct policy_view copied = {.levels = {[LEVEL_FILE] = &copy}};
    assert_int_equal(assign(&file, "recall", LEVEL_FILE, "0.9", &err), ERR_OK);
    assert_int_equal(assign(&file, "ef", LEVEL_COMMAND_LINE, "50", &err), ERR_OK);
    assert_int_equal(assign(&file, "recall", LEVEL_COMMAND_LINE, "0.8", &err), ERR_OK);
    assert_true(policy_get(&view, POLICY_recall, &origin).number == 0.8);
    assert_int_equal(origin, LEVEL_COMMAND_LINE);
    assert_string_equal(policy_level_name(origin), "command line");
    policy_merge(&copy, &file);
    (void)policy_get(&copied, POLICY_ef, &origin);
    assert_int_equal(origin, LEVEL_COMMAND_LINE);
    assert_int_equal(assign(&file, "ef", LEVEL_FILE, "60", &err), ERR_OK);
    policy_copy(&copy, &file, POLICY_ef);
    assert_int_equal(policy_get(&copied, POLICY_ef, &origin).integer, 60);
    assert_int_equal(origin, LEVEL_FILE);
    policy_clear(&file, POLICY_ef);
    policy_copy(&copy, &file, POLICY_ef);
    (void)policy_get(&copied, POLICY_ef, &origin);
    assert_int_equal(origin, LEVEL_BUILT_IN);
    assert_int_equal(assign(&file, "m", LEVEL_COMMAND_LINE, "16", &err), ERR_POLICY_SCOPE);
}

/* What is read by people has no number that must be counted by its digits. */
static void bounds_are_told_in_units_that_can_be_written_back(void **state)
{
    (void)state;
    for (int id = 0; id < POLICY_COUNT; id++) {
        const struct policy_row *row = policy_row((enum policy_id)id);
        struct policy_set set = {0};
        struct err err = {0};
        struct buf b;
        buf_init(&b, MEM_GENERAL, 1024);
        policy_allowed(&b, (enum policy_id)id);
        buf_u8(&b, 0);
        const char *allowed = (const char *)b.data;
        size_t n_digits = 0;
        for (const char *c = allowed; *c != '\0'; c++) {
            n_digits = *c >= '0' && *c <= '9' ? n_digits + 1 : 0;
            assert_in_range(n_digits, 0, 4);
        }
        const char *to = strstr(allowed, "to ");
        bool is_written_back = row->type == POLICY_IS_DURATION || row->type == POLICY_IS_BYTES;
        if (is_written_back && assign(&set, row->name, LEVEL_FILE, to + 3, &err) != ERR_OK) {
            fail_msg("%s: %s: %s", row->name, allowed, err.message);
        }
        if (is_written_back) {
            assert_true((double)set.values[id].integer == row->max);
        }
        buf_fini(&b);
    }
}

static void a_hint_says_what_can_be_written_instead(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"statement_memory", "1B", "Write a size from 64KiB to 1TiB, with KiB, MiB, GiB or TiB."},
        {"timeout", "2d", "Write a time up to 1d, with us, ms, s, min, h or d, or none."},
        {"ef", "0", "Write a whole number from 1 to 65,536 candidates, or auto."},
        {"recall", "2", "Write a number from 0.5 to 0.999."},
        {"exact", "2", "Write on or off."},
        {"on_lag", "2", "Write one of scan, wait, fail."},
        {"flush_interval", "none", "Write a time from 10ms to 1h, with us, ms, s, min, h or d."},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct policy_set set = {0};
        struct err err;
        assert_int_equal(assign(&set, cases[i][0], LEVEL_FILE, cases[i][1], &err),
                         ERR_POLICY_BOUNDS);
        assert_string_equal(err.hint, cases[i][2]);
    }
}

static void units_are_understood(void **state)
{
    (void)state;
    struct policy_set set = {0};
    struct err err;
    struct policy_view view = {.levels = {[LEVEL_FILE] = &set}};
    assert_int_equal(assign(&set, "timeout", LEVEL_FILE, "500ms", &err), ERR_OK);
    assert_int_equal(policy_int(&view, POLICY_timeout), 500000);
    assert_int_equal(assign(&set, "timeout", LEVEL_FILE, "2", &err), ERR_OK);
    assert_int_equal(policy_int(&view, POLICY_timeout), 2000);
    assert_int_equal(assign(&set, "timeout", LEVEL_FILE, "1 min", &err), ERR_OK);
    assert_int_equal(policy_int(&view, POLICY_timeout), 60000000);
    assert_int_equal(assign(&set, "statement_memory", LEVEL_FILE, "64MiB", &err), ERR_OK);
    assert_int_equal(policy_int(&view, POLICY_statement_memory), 64 << 20);
    assert_int_equal(assign(&set, "statement_memory", LEVEL_FILE, "1TB", &err), ERR_OK);
    assert_int_equal(policy_int(&view, POLICY_statement_memory), INT64_C(1) << 40);
    assert_int_equal(assign(&set, "timeout", LEVEL_FILE, "none", &err), ERR_OK);
    assert_int_equal(policy_int(&view, POLICY_timeout), 0);
    struct value off = value_bool(true);
    assert_int_equal(policy_assign(&set, POLICY_exact, LEVEL_FILE, &off, &err), ERR_OK);
    assert_true(policy_bool(&view, POLICY_exact));
    assert_int_equal(assign(&set, "ack", LEVEL_FILE, "QUORUM", &err), ERR_OK);
    assert_int_equal(policy_int(&view, POLICY_ack), ACK_QUORUM);
}

static void a_number_is_its_value_and_a_text_what_it_says(void **state)
{
    (void)state;
    struct policy_set set = {0};
    struct err err;
    struct policy_view view = {.levels = {[LEVEL_COLLECTION] = &set}};
    struct value eight[] = {value_int(8), value_float(8)}; /* 08 is the number 8 to the parser. */
    for (size_t i = 0; i < COUNT_OF(eight); i++) {
        policy_clear(&set, POLICY_quantization);
        assert_int_equal(
            policy_assign(&set, POLICY_quantization, LEVEL_COLLECTION, &eight[i], &err), ERR_OK);
        assert_int_equal(policy_int(&view, POLICY_quantization), QUANTIZATION_8);
    }
    assert_int_equal(assign(&set, "quantization", LEVEL_COLLECTION, "8", &err), ERR_OK);
    assert_int_equal(assign(&set, "quantization", LEVEL_COLLECTION, "08", &err), ERR_POLICY_BOUNDS);
}

static void what_is_out_of_bounds_or_no_value_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"recall", "1.5"},      {"recall", "high"},
        {"recall", "nan"},      {"recall", "0x1p-1"},
        {"recall", " 0.9"},     {"recall", "0.9 "},
        {"timeout", "0x10 ms"}, {"timeout", "010ms"},
        {"ef", "08"},           {"recall", "00.9"},
        {"timeout", "\t5ms"},   {"statement_memory", "+ 1MiB"},
        {"ef", "10x"},          {"ef", "0"},
        {"ef", "1.5"},          {"timeout", "-1"},
        {"timeout", "5 weeks"}, {"exact", "perhaps"},
        {"ack", "maybe"},       {"statement_memory", "1B"},
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
        cmocka_unit_test(what_the_command_line_sets_is_told_from_the_file_and_copied_with_it),
        cmocka_unit_test(bounds_are_told_in_units_that_can_be_written_back),
        cmocka_unit_test(a_hint_says_what_can_be_written_instead),
        cmocka_unit_test(units_are_understood),
        cmocka_unit_test(a_number_is_its_value_and_a_text_what_it_says),
        cmocka_unit_test(what_is_out_of_bounds_or_no_value_is_refused_and_changes_nothing),
        cmocka_unit_test(a_policy_is_refused_at_a_level_that_is_not_its_own),
        cmocka_unit_test(an_unknown_name_gets_the_nearest_as_a_hint),
        cmocka_unit_test(a_set_is_written_and_read_back),
        cmocka_unit_test(every_policy_says_what_it_improves_and_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
