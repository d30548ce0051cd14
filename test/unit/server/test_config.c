/* Options, the configuration file, and the form in which --check prints them back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/server.h"

static enum errcode parse(const char *text, struct config *config, struct err *err)
{
    memset(config, 0, sizeof *config);
    memset(err, 0, sizeof *err);
    return config_parse("f.conf", text, strlen(text), config, err);
}

static struct policy_value value_of(const struct config *config, enum policy_id id)
{
    struct policy_view view = {.levels = {[LEVEL_FILE] = &config->policies}};
    return policy_get(&view, id, NULL);
}

/* ---- the file ---- */

static void values_may_be_bare_or_quoted_with_comments_around(void **state)
{
    (void)state;
    struct config config;
    struct err err;
    assert_int_equal(parse("# head\n"
                           "\n"
                           "recall = 0.98   # why\n"
                           "  timeout=500ms\r\n"
                           "socket = '/run/it''s # here'\n"
                           "admin_listen = ''\n"
                           "log_level = debug",
                           &config, &err),
                     ERR_OK);
    assert_true(value_of(&config, POLICY_recall).number == 0.98);
    assert_int_equal(value_of(&config, POLICY_timeout).integer, 500000);
    assert_string_equal(value_of(&config, POLICY_socket).text, "/run/it's # here");
    assert_string_equal(value_of(&config, POLICY_admin_listen).text, "");
    assert_int_equal(value_of(&config, POLICY_log_level).integer, LOG_DEBUG);
    assert_int_equal(config.origins[POLICY_recall].origin, ORIGIN_FILE);
    assert_int_equal(config.origins[POLICY_recall].line, 3);
    assert_int_equal(config.origins[POLICY_log_level].line, 7);
    assert_int_equal(config.origins[POLICY_ef].origin, ORIGIN_BUILT_IN);
}

static void errors_name_the_file_and_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place, *hint;
        enum errcode code;
    } cases[] = {
        {"recall\n", "f.conf:1", "name = value", ERR_BAD_CONFIG},
        {"\nrecall =\n", "f.conf:2", "name = value", ERR_BAD_CONFIG},
        {"= 1\n", "f.conf:1", "name = value", ERR_BAD_CONFIG},
        {"recall 0.9\n", "f.conf:1", "name = value", ERR_BAD_CONFIG},
        {"listen = 'a\n", "f.conf:1", "name = value", ERR_BAD_CONFIG},
        {"listen = 'a' b\n", "f.conf:1", "name = value", ERR_BAD_CONFIG},
        {"re-call = 1\n", "f.conf:1", "name = value", ERR_BAD_CONFIG},
        {"\n\nrecal = 0.9\n", "f.conf:3", "recall", ERR_UNKNOWN_POLICY},
        {"recall = 7\n", "f.conf:1", "0.5", ERR_POLICY_BOUNDS},
        {"recall 0.9\r\n", "f.conf:1: not understood: recall 0.9", "name = value", ERR_BAD_CONFIG},
        {"copy_directory = files\n", "f.conf:1", "absolute path", ERR_POLICY_BOUNDS},
        {"recall = high\n", "f.conf:1", "number", ERR_POLICY_BOUNDS},
        {"m = 16\n", "f.conf:1", "CREATE COLLECTION", ERR_POLICY_SCOPE},
        {"recall = 0.9\n\nrecall = 0.8\n", "f.conf:3", "Remove", ERR_BAD_CONFIG},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct config config;
        struct err err;
        assert_int_equal(parse(cases[i].text, &config, &err), cases[i].code);
        if (strstr(err.message, cases[i].place) != err.message ||
            strstr(err.hint, cases[i].hint) == NULL) {
            fail_msg("%s -> %s (%s)", cases[i].text, err.message, err.hint);
        }
    }
}

static void a_byte_order_mark_before_the_first_line_is_passed_over(void **state)
{
    (void)state;
    struct config config;
    struct err err;
    assert_int_equal(parse("\xef\xbb\xbfrecall = 0.9\n", &config, &err), ERR_OK);
    assert_true(value_of(&config, POLICY_recall).number == 0.9);
    assert_int_equal(config.origins[POLICY_recall].line, 1);
    assert_int_equal(parse("recall = 0.9\n\xef\xbb\xbf", &config, &err), ERR_BAD_CONFIG);
}

static void a_value_longer_than_any_is_refused_not_cut(void **state)
{
    (void)state;
    char text[3000] = "listen = ";
    memset(text + 9, 'x', sizeof text - 10);
    text[sizeof text - 1] = '\0';
    struct config config;
    struct err err;
    assert_int_not_equal(parse(text, &config, &err), ERR_OK);
    text[9] = '\'';
    assert_int_not_equal(parse(text, &config, &err), ERR_OK);
}

/* ---- options ---- */

static enum errcode read_words(struct server_options *options, struct err *err, const char *text)
{
    static char words[512];
    char *argv[32] = {"vectrond"};
    int argc = 1;
    snprintf(words, sizeof words, "%s", text);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    memset(err, 0, sizeof *err);
    return options_read(options, argc, argv, err);
}

static void options_are_read_in_both_forms(void **state)
{
    (void)state;
    struct server_options options;
    struct err err;
    assert_int_equal(read_words(&options, &err, ""), ERR_OK);
    assert_string_equal(options.data, "data");
    assert_string_equal(options.mode, "standalone");
    assert_int_equal(
        read_words(&options, &err, "--data=/d --listen *:1 --set recall=0.9 --set ef=10 --check"),
        ERR_OK);
    assert_string_equal(options.data, "/d");
    assert_string_equal(options.listen, "*:1");
    assert_int_equal(options.n_set, 2);
    assert_string_equal(options.set[1], "ef=10");
    assert_true(options.is_check);
    assert_false(options.is_help);
}

static void options_that_are_none_are_refused_with_the_nearest(void **state)
{
    (void)state;
    static const struct {
        const char *words, *message, *hint;
    } cases[] = {
        {"--datta /d", "--datta", "--data"},
        {"--data", "--data", "--help"},
        {"--data=", "--data needs a value", "--help"},
        {"--config=", "--config", "--help"},
        {"stray", "stray", "--help"},
        {"-x", "-x", "--help"},
        {"--check=1", "--check=1", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct server_options options;
        struct err err;
        assert_int_equal(read_words(&options, &err, cases[i].words), ERR_BAD_CONFIG);
        assert_non_null(strstr(err.message, cases[i].message));
        assert_non_null(strstr(err.hint, cases[i].hint));
    }
}

static void options_win_over_the_file_and_say_so(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/vectrond-test-%ld.conf", (long)getpid());
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("recall = 0.9\nlisten = '*:1'\nef = 7\n", f);
    fclose(f);
    struct server_options options = {.config_file = path, .listen = "*:2", .n_set = 1};
    options.set[0] = "recall=0.99";
    struct config config;
    struct err err;
    assert_int_equal(config_load(&options, &config, &err), ERR_OK);
    assert_true(value_of(&config, POLICY_recall).number == 0.99);
    assert_int_equal(config.origins[POLICY_recall].origin, ORIGIN_SET);
    assert_string_equal(value_of(&config, POLICY_listen).text, "*:2");
    assert_int_equal(config.origins[POLICY_listen].origin, ORIGIN_LISTEN);
    assert_int_equal(value_of(&config, POLICY_ef).integer, 7);
    options.set[0] = "recall";
    assert_int_equal(config_load(&options, &config, &err), ERR_BAD_CONFIG);
    options.set[0] = "recal=1";
    assert_int_equal(config_load(&options, &config, &err), ERR_UNKNOWN_POLICY);
    assert_int_equal(unlink(path), 0);
    options.n_set = 0;
    assert_int_equal(config_load(&options, &config, &err), ERR_IO);
    assert_non_null(strstr(err.message, path));
}

/* ---- printing ---- */

static void what_check_prints_reads_back_as_the_same(void **state)
{
    (void)state;
    struct config first, second;
    struct err err;
    assert_int_equal(parse("recall = 0.98\nsocket = '/a ''b'' # c'\nadmin_listen = ''\n"
                           "timeout = 1500ms\nframe_max = 20MiB\nef = auto\nexact = on\n",
                           &first, &err),
                     ERR_OK);
    struct server_options options = {.data = "/d", .mode = MODE_DEFAULT, .config_file = "f.conf"};
    struct buf b;
    buf_init(&b, MEM_GENERAL, 1 << 20);
    config_print(&b, &first, &options);
    buf_u8(&b, 0);
    assert_false(b.failed);
    if (parse((const char *)b.data, &second, &err) != ERR_OK) {
        fail_msg("%s in\n%s", err.message, (const char *)b.data);
    }
    for (int i = 0; i < POLICY_COUNT; i++) {
        enum policy_id id = (enum policy_id)i;
        struct policy_value x = value_of(&first, id), y = value_of(&second, id);
        bool is_in_file = (policy_row(id)->scopes & SCOPE_FILE) != 0;
        assert_int_equal(second.origins[id].origin == ORIGIN_FILE, is_in_file);
        assert_memory_equal(&x, &y, sizeof x);
    }
    assert_non_null(strstr((const char *)b.data, "# f.conf:1\n"));
    assert_non_null(strstr((const char *)b.data, "# built-in\n"));
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_may_be_bare_or_quoted_with_comments_around),
        cmocka_unit_test(errors_name_the_file_and_the_line),
        cmocka_unit_test(a_byte_order_mark_before_the_first_line_is_passed_over),
        cmocka_unit_test(a_value_longer_than_any_is_refused_not_cut),
        cmocka_unit_test(options_are_read_in_both_forms),
        cmocka_unit_test(options_that_are_none_are_refused_with_the_nearest),
        cmocka_unit_test(options_win_over_the_file_and_say_so),
        cmocka_unit_test(what_check_prints_reads_back_as_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
