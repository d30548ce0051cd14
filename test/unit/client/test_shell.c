/* The parts of vsql that need no server: scanning, widths, errors with a caret, bars, \copy. */
#include "client/shell/edit_int.h"
#include "client/shell/shell_int.h"
#include "client/shell/text_int.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- scanning ---- */

/* The statements and commands of @lines, each in <>; what is left in [] with its prompt. */
static void assert_scanned(const char *const *lines, size_t n, const char *expected)
{
    struct scanner s;
    struct variable *vars = NULL;
    char out[1024] = "";
    assert_true(vars_set(&vars, "word", "it's"));
    assert_true(vars_set(&vars, "n", "5"));
    scan_init(&s);
    for (size_t i = 0; i < n; i++) {
        scan_line(&s, lines[i]);
        enum scan_result found;
        while ((found = scan_next(&s, vars)) != SCAN_MORE) {
            size_t at = strlen(out);
            if (found == SCAN_STATEMENT) {
                snprintf(out + at, sizeof(out) - at, "<%.*s>", (int)s.text.bytes,
                         s.text.bytes == 0 ? "" : (const char *)s.text.data);
                scan_reset(&s);
            } else {
                snprintf(out + at, sizeof(out) - at, "<\\%s>", s.at);
                s.at = "";
            }
        }
    }
    size_t at = strlen(out);
    snprintf(out + at, sizeof(out) - at, "[%c%.*s]", scan_prompt(&s), (int)s.text.bytes,
             s.text.bytes == 0 ? "" : (const char *)s.text.data);
    assert_string_equal(out, expected);
    scan_fini(&s);
    vars_free(&vars);
}
#define SCANNED(expected, ...)                                                                     \
    do {                                                                                           \
        static const char *const lines[] = {__VA_ARGS__};                                          \
        assert_scanned(lines, COUNT_OF(lines), expected);                                          \
    } while (0)

static void a_semicolon_ends_a_statement_outside_of_quotes_only(void **state)
{
    (void)state;
    SCANNED("<a><b>[=]", "a; b;");
    SCANNED("<a ';' b>[=]", "a ';' b;");
    SCANNED("<a \";\">[=]", "a \";\";");
    SCANNED("<a E'\\';'>[=]", "a E'\\';';");
    SCANNED("<e'\\\\'>[=]", "e'\\\\';");
    SCANNED("<a '\\'>[=]", "a '\\';");
    SCANNED("<ae'\\'>[=]", "ae'\\';");
    SCANNED("<a 'it''s;'>[=]", "a 'it''s;';");
    SCANNED("<a (;)>[=]", "a (;);");
    SCANNED("<a [;]>[=]", "a [;];");
    SCANNED("[=-- x; y]", "-- x; y");
    SCANNED("</* ; /* ; */ ; */ a>[=]", "/* ; /* ; */ ; */ a;");
}

static void a_statement_goes_on_over_lines(void **state)
{
    (void)state;
    SCANNED("<a\nb>[=]", "a", "b;");
    SCANNED("['a 'b]", "a 'b");
    SCANNED("<a 'b\nc'>[-d]", "a 'b", "c'; d");
    SCANNED("[(a (]", "a (");
    SCANNED("[\"a \"x]", "a \"x");
    SCANNED("[*a /* b]", "a /* b");
    SCANNED("[-a]", "", "   a");
}

static void a_backslash_begins_a_command(void **state)
{
    (void)state;
    SCANNED("<\\d x>[=]", "\\d x");
    SCANNED("<\\x>[-a ]", "a \\x");
    SCANNED("<a '\\d'>[=]", "a '\\d';");
}

static void variables_are_put_in_plain_or_quoted(void **state)
{
    (void)state;
    SCANNED("<LIMIT 5>[=]", "LIMIT :n;");
    SCANNED("<KEY 'it''s'>[=]", "KEY :'word';");
    SCANNED("<FROM \"it's\">[=]", "FROM :\"word\";");
    SCANNED("<':n' :unknown :'unknown' a::n>[=]", "':n' :unknown :'unknown' a::n;");
}

static void names_of_variables_are_words(void **state)
{
    (void)state;
    assert_true(vars_name_is_valid("a_1"));
    assert_false(vars_name_is_valid(""));
    assert_false(vars_name_is_valid("a b"));
    bool on = false;
    assert_true(text_is_on("YES", &on));
    assert_true(on);
    assert_true(text_is_on("0", &on));
    assert_false(on);
    assert_false(text_is_on("perhaps", &on));
}

/* ---- text ---- */

static void width_is_counted_in_columns(void **state)
{
    (void)state;
    assert_int_equal(text_width("abc", 3), 3);
    assert_int_equal(text_width("h\xc3\xa4", 3), 2);
    assert_int_equal(text_width("\xe6\xbc\xa2", 3), 2); /* A wide character. */
    assert_int_equal(text_width("e\xcc\x81", 3), 1);    /* e with a combining accent. */
    assert_int_equal(text_width("\xff\xc3", 2), 2);     /* No UTF-8. */
    assert_int_equal(text_width("\xc0\x80", 2), 2);     /* Overlong. */
    assert_int_equal(text_width("\t", 1), 2);           /* Shown as \t. */
}

static void assert_value(vc_value value, const char *expected)
{
    struct buf out;
    buf_init(&out, MEM_GENERAL, 1 << 16);
    text_value(&out, &value, value.type == VC_TEXT ? value.text.data : "");
    buf_u8(&out, '\0');
    assert_string_equal((const char *)out.data, expected);
    buf_fini(&out);
}

static void tables_show_long_vectors_short(void **state)
{
    (void)state;
    float vector[100] = {0.125f, -0.4f, 1e-7f};
    assert_value(vc_vector(vector, 2), "[0.125, -0.4]");
    vector[3] = 0.23176712f;
    assert_value(vc_vector(vector, 4), "[0.125, -0.4, 1e-07, 0.23176712]");
    assert_value(vc_vector(vector, 100), "[0.125, -0.4, 1e-07, … 100]");
    assert_value(vc_string("a\nb\x1b"), "a\\nb\\x1b");
    assert_value(vc_null(), "");
}

/* ---- names and patterns ---- */

static void assert_match(const char *pattern, const char *name, bool expected)
{
    char parsed[PATTERN_BYTES];
    bool is_name;
    assert_true(pattern_parse(pattern, parsed, &is_name));
    if (pattern_matches(parsed, name) != expected) {
        fail_msg("%s and %s", pattern, name);
    }
}

static void a_pattern_matches_as_in_psql(void **state)
{
    (void)state;
    assert_match("words", "words", true);
    assert_match("WORDS", "words", true);
    assert_match("\"Words\"", "words", false);
    assert_match("w*", "words", true);
    assert_match("*o*d*", "words", true);
    assert_match("*s*s", "words", false);
    assert_match("w????", "words", true);
    assert_match("w???", "words", false);
    assert_match("*", "", true);
    assert_match("?", "\xe6\xbc\xa2", true); /* One character of three bytes. */
    assert_match("\"My \"*", "My Coll", true);
    assert_match("\"a\"\"*\"", "a\"*", true);
    assert_match("\"a*\"", "ab", false);
    char parsed[PATTERN_BYTES];
    bool is_name = false;
    assert_true(pattern_parse("\"a*\";", parsed, &is_name));
    assert_true(is_name);
    assert_true(pattern_parse("a*", parsed, &is_name));
    assert_false(is_name);
    assert_false(pattern_parse("\"a", parsed, &is_name));
    assert_false(pattern_parse("a b", parsed, &is_name));
}

static void assert_identifier(const char *name, const char *expected)
{
    struct buf out;
    buf_init(&out, MEM_GENERAL, 4096);
    text_identifier(&out, name);
    buf_u8(&out, '\0');
    assert_string_equal((const char *)out.data, expected);
    buf_fini(&out);
}

static void a_name_stands_in_quotes_where_it_needs_them(void **state)
{
    (void)state;
    assert_identifier("a_1", "a_1");
    assert_identifier("1a", "\"1a\"");
    assert_identifier("A", "\"A\"");
    assert_identifier("a b", "\"a b\"");
    assert_identifier("a\"b", "\"a\"\"b\"");
    assert_identifier("select", "\"select\"");
    assert_identifier("", "\"\"");
}

/* ---- errors ---- */

static void assert_position(const char *vql, size_t position, const char *expected)
{
    struct buf out;
    buf_init(&out, MEM_GENERAL, 4096);
    report_position(&out, vql, position);
    buf_u8(&out, '\0');
    assert_string_equal((const char *)out.data, expected);
    buf_fini(&out);
}

static void an_error_shows_its_line_and_a_caret(void **state)
{
    (void)state;
    assert_position("SELECT x", 8, "LINE 1: SELECT x\n               ^\n");
    assert_position("SELECT\n  x\nFROM y", 10, "LINE 2:   x\n          ^\n");
    assert_position("SELECT", 7, "LINE 1: SELECT\n              ^\n"); /* At the end. */
    assert_position("SELECT", 9, "");
    assert_position("SELECT", 0, "");
}

static void the_caret_stands_right_behind_tabs_and_wide_characters(void **state)
{
    (void)state;
    assert_position("a\tx", 3, "LINE 1: a x\n          ^\n");
    assert_position("'h\xc3\xa4\xe6\xbc\xa2' x", 10,
                    "LINE 1: 'h\xc3\xa4\xe6\xbc\xa2' x\n               ^\n");
}

static void a_long_line_is_cut_around_the_error(void **state)
{
    (void)state;
    char vql[300], expected[300];
    memset(vql, 'a', 299);
    vql[299] = '\0';
    vql[149] = 'X';
    snprintf(expected, sizeof(expected), "LINE 1: ...%.50sX%.24s...\n%*s^\n", vql, vql, 61, "");
    assert_position(vql, 150, expected);
}

/* ---- bars ---- */

static void a_bar_shows_share_rate_and_time_left(void **state)
{
    (void)state;
    char out[256];
    struct bar_state half = {"copy", "rows", 50000, 100000, 2000000};
    bar_render(&half, 200, out, sizeof(out));
    assert_string_equal(out, "copy [############------------]  50%  50,000 rows  25,000 rows/s"
                             "  0:02 left");
    struct bar_state unknown = {"copy", "bytes", 3000000, 0, 1000000};
    bar_render(&unknown, 200, out, sizeof(out));
    assert_string_equal(out, "copy  3.0 MB  3.0 MB/s");
    struct bar_state over = {"copy", "rows", 11, 10, 0};
    bar_render(&over, 200, out, sizeof(out));
    assert_non_null(strstr(out, "100%"));
    bar_render(&half, 20, out, sizeof(out));
    assert_int_equal(text_width(out, strlen(out)), 19);
}

/* ---- \copy ---- */

static struct copy_plan plan_of(const char *arguments)
{
    struct copy_plan plan;
    struct err err;
    if (copy_plan_parse(arguments, &plan, &err) != ERR_OK) {
        fail_msg("%s: %s", arguments, err.message);
    }
    return plan;
}

static void copy_is_understood_as_copy_is(void **state)
{
    (void)state;
    struct copy_plan plan = plan_of(" words FROM 'a b''c.fbin' WITH (format fbin, ids 'w.txt', "
                                    "ack = 'leader', start 5)");
    assert_string_equal(plan.head, "words");
    assert_true(plan.is_from);
    assert_string_equal(plan.file, "a b'c.fbin");
    assert_string_equal(plan.format, "fbin");
    assert_string_equal(plan.ids, "w.txt");
    assert_string_equal(plan.options, "ack = 'leader', start 5");
    plan = plan_of("\"From\" (id, x) to out.csv;");
    assert_string_equal(plan.head, "\"From\" ( id , x )");
    assert_false(plan.is_from);
    assert_string_equal(plan.file, "out.csv");
    plan = plan_of("t from stdin");
    assert_string_equal(plan.file, "");
    assert_string_equal(plan.conflict, "");
    plan = plan_of("t from x.csv On Conflict  do nothing (header);");
    assert_string_equal(plan.file, "x.csv");
    assert_string_equal(plan.conflict, "On Conflict do nothing");
    assert_string_equal(plan.options, "header");
    plan = plan_of("t from x (delimiter E'\\t', null e'\\'')");
    assert_string_equal(plan.options, "delimiter E'\\t', null e'\\''");
    plan = plan_of("t from 'x' on conflict do update with (format binary)");
    assert_string_equal(plan.conflict, "on conflict do update");
    assert_string_equal(plan.format, "binary");
}

static void a_copy_that_is_not_understood_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "t",
                                      "t from",
                                      "from 'x'",
                                      "t from 'x",
                                      "t from 'x' with (",
                                      "t from 'x' (format)",
                                      "t from 'x' (, a 1)",
                                      "t from 'x' y",
                                      "t from 'x' (ids 'y')",
                                      "t to 'x' (format fbin, ids 'y')",
                                      "t from stdin (format fbin, ids 'y')",
                                      "t from 'x' (ids '')"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct copy_plan plan;
        struct err err;
        if (copy_plan_parse(bad[i], &plan, &err) == ERR_OK) {
            fail_msg("%s", bad[i]);
        }
        assert_true(strlen(err.message) > 0);
    }
}

/* ---- completion and help, as far as they need no server ---- */

static void assert_completed(const char *line, const char *expected)
{
    struct shell shell = {.out = stdout};
    assert_true(vars_set(&shell.vars, "answer", "42"));
    struct candidates found;
    complete_line(&shell, line, strlen(line), &found);
    char out[1024] = "";
    for (size_t i = 0; i < found.n; i++) {
        size_t at = strlen(out);
        snprintf(out + at, sizeof(out) - at, "%s%s", i == 0 ? "" : " ", found.items[i]);
    }
    if (strcmp(out, expected) != 0) {
        fail_msg("%s: \"%s\", not \"%s\"", line, out, expected);
    }
    candidates_free(&found);
    vars_free(&shell.vars);
}

static void tab_offers_what_may_stand_there(void **state)
{
    (void)state;
    assert_completed("SEA", "SEARCH");
    assert_completed("sel", "select");
    assert_completed("explain se", "search select set");
    assert_completed("select :an", ":answer");
    assert_completed("\\ti", "\\timing");
    assert_completed("\\con", "\\conninfo");
    assert_completed("\\h ins", "insert");
    assert_completed("SEARCH id FROM words NEA", "NEAR");
    assert_completed("SELECT a FROM c GROUP BY a HAV", "HAVING");
    assert_completed("SELECT DIST", "DISTINCT");
    assert_completed("SELECT a FROM (S", "SHOW");
    assert_completed("select a from ( ", "DESCRIBE SHOW");
    assert_completed("xyzzy", "");
}

static void every_statement_has_help(void **state)
{
    (void)state;
    FILE *null = fopen("/dev/null", "w");
    assert_non_null(null);
    size_t n = 0;
    while (help_topic(n) != NULL) {
        assert_true(help_statement(null, help_topic(n)));
        n++;
    }
    assert_true(n >= 14); /* As many as the language has statements. */
    assert_true(help_statement(null, ""));
    assert_true(help_statement(null, "sea"));
    assert_false(help_statement(null, "GRANT"));
    help_commands(null);
    help_options(null);
    fclose(null);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_semicolon_ends_a_statement_outside_of_quotes_only),
        cmocka_unit_test(a_statement_goes_on_over_lines),
        cmocka_unit_test(a_backslash_begins_a_command),
        cmocka_unit_test(variables_are_put_in_plain_or_quoted),
        cmocka_unit_test(names_of_variables_are_words),
        cmocka_unit_test(width_is_counted_in_columns),
        cmocka_unit_test(tables_show_long_vectors_short),
        cmocka_unit_test(a_pattern_matches_as_in_psql),
        cmocka_unit_test(a_name_stands_in_quotes_where_it_needs_them),
        cmocka_unit_test(an_error_shows_its_line_and_a_caret),
        cmocka_unit_test(the_caret_stands_right_behind_tabs_and_wide_characters),
        cmocka_unit_test(a_long_line_is_cut_around_the_error),
        cmocka_unit_test(a_bar_shows_share_rate_and_time_left),
        cmocka_unit_test(copy_is_understood_as_copy_is),
        cmocka_unit_test(a_copy_that_is_not_understood_is_refused),
        cmocka_unit_test(tab_offers_what_may_stand_there),
        cmocka_unit_test(every_statement_has_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
