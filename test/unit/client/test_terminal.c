/* The program vsql as a person meets it: on a terminal of 24 lines, against a scripted server. */
#include "client/vclient.h"

#include "fake_server.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    SCREEN_BYTES = 1 << 16,
    PATIENCE_US = 10000000
};

/* ---- the server ---- */

static bool is_asked(const struct wire_frame *query, const char *word)
{
    struct reader r;
    struct wire_str text;
    reader_init(&r, query->payload, query->payload_bytes);
    return wire_read_text(&r, &text) && text.bytes >= strlen(word) &&
           memcmp(text.data, word, strlen(word)) == 0;
}

/* @n rows of one column. */
static void answer_rows(struct fake *fake, const char *const *names, size_t n)
{
    struct wire_column column = {{"name", 4}, TYPE_TEXT, 0};
    wire_write_columns(fake_out(fake), &column, 1);
    for (size_t i = 0; i < n; i++) {
        struct value value = value_cstr(names[i % 3]);
        wire_write_row(fake_out(fake), &value, 1);
    }
    wire_write_complete(fake_out(fake), "SELECT", n);
}

static void answer_copy(struct fake *fake)
{
    static const uint8_t types[] = {TYPE_TEXT};
    wire_write_copy(fake_out(fake), WIRE_COPY_IN, 1, types, 1);
    fake_send(fake);
    struct wire_frame frame;
    while ((frame = fake_expect_any(fake)).type == WIRE_COPY_DATA) {
    }
    if (frame.type == WIRE_COPY_FAIL) {
        fake_send_error(fake, ERR_CANCELED, "ended by the client");
    } else {
        wire_write_complete(fake_out(fake), "COPY", 1);
    }
}

static void script(struct fake *fake)
{
    static const char *const names[] = {"words", "My Coll", "select"};
    static const char *const settable[] = {"recall", "quantization", "timeout"};
    fake_greet(fake);
    struct wire_frame frame;
    while ((frame = fake_expect_any(fake)).type == WIRE_QUERY) {
        if (is_asked(&frame, "SHOW COLLECTIONS")) {
            answer_rows(fake, names, 3);
        } else if (is_asked(&frame,
                            "SELECT name FROM (SHOW POLICIES) WHERE scopes LIKE '%session")) {
            answer_rows(fake, settable, 3);
        } else if (is_asked(&frame, "many")) {
            answer_rows(fake, names, 20);
        } else if (is_asked(&frame, "few")) {
            answer_rows(fake, names, 19);
        } else if (is_asked(&frame, "copy")) {
            answer_copy(fake);
        } else {
            wire_write_complete(fake_out(fake), "OK", 0);
        }
        fake_send_ready(fake);
    }
}

/* ---- the terminal ---- */

static char directory[] = "/tmp/test_terminal.XXXXXX";
static char history_path[64];

struct terminal {
    struct fake *fake;
    pid_t pid;
    int fd;
    char screen[SCREEN_BYTES]; /* All that came since the last look. */
    size_t bytes;
};

/* Reads until @text has come, which must be soon; what came up to its end is then forgotten. */
static void expect_text(struct terminal *t, const char *text)
{
    uint64_t end_us = clock_micros() + PATIENCE_US;
    for (;;) {
        t->screen[t->bytes] = '\0';
        char *found = strstr(t->screen, text);
        if (found != NULL) {
            size_t used = (size_t)(found - t->screen) + strlen(text);
            t->bytes -= used;
            memmove(t->screen, t->screen + used, t->bytes);
            return;
        }
        struct pollfd ready = {.fd = t->fd, .events = POLLIN};
        ssize_t n = -1;
        if (t->bytes + 1 < SCREEN_BYTES && clock_micros() < end_us && poll(&ready, 1, 1000) >= 0) {
            n = ready.revents == 0 ? 0
                                   : read(t->fd, t->screen + t->bytes, SCREEN_BYTES - 1 - t->bytes);
        }
        if (n < 0) {
            fail_msg("expected \"%s\", but there is:\n%s", text, t->screen);
        }
        t->bytes += (size_t)n;
    }
}

static void type(struct terminal *t, const char *keys)
{
    assert_int_equal(write(t->fd, keys, strlen(keys)), strlen(keys));
}

/* What is typed before vsql reads again would be echoed and edited by the terminal itself. */
static void expect_prompt(struct terminal *t)
{
    expect_text(t, "vectron=> ");
}

static void start(struct terminal *t)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    t->bytes = 0;
    t->fake = fake_start(script);
    t->pid = forkpty(&t->fd, NULL, NULL, &size);
    assert_true(t->pid >= 0);
    if (t->pid == 0) {
        signal(SIGINT, SIG_DFL);
        execl("src/client/vsql", "vsql", "-X", "-d", fake_conninfo(t->fake), NULL);
        _exit(99);
    }
    expect_prompt(t);
}

/* The status of its end. */
static int finish(struct terminal *t)
{
    int status = -1;
    pid_t ended = 0;
    char rest[4096];
    for (int tries = 0; ended == 0 && tries < 200; tries++) {
        struct pollfd ready = {.fd = t->fd, .events = POLLIN};
        if (poll(&ready, 1, 50) > 0 && read(t->fd, rest, sizeof(rest)) < 0) {
            clock_sleep_micros(10000); /* The other side is closed; its end is near. */
        }
        ended = waitpid(t->pid, &status, WNOHANG);
    }
    if (ended == 0) {
        kill(t->pid, SIGKILL);
        waitpid(t->pid, &status, 0);
    }
    close(t->fd);
    fake_stop(t->fake);
    return status;
}

static void assert_left_well(struct terminal *t)
{
    int status = finish(t);
    assert_int_equal(status, 0);
}

static void assert_history(const char *expected)
{
    char text[4096];
    FILE *file = fopen(history_path, "r");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = '\0';
    fclose(file);
    assert_string_equal(text, expected);
}

/* ---- tests ---- */

static void history_holds_whole_statements_of_every_shell(void **state)
{
    (void)state;
    struct terminal *one = calloc(1, sizeof(*one)), *two = calloc(1, sizeof(*two));
    unlink(history_path);
    start(one);
    start(two);
    type(one, "first\n");
    expect_text(one, "vectron-> ");
    type(one, "  'line\\two';\n");
    expect_text(one, "OK");
    expect_prompt(one);
    type(two, "second;\n");
    expect_text(two, "OK");
    expect_prompt(two);
    type(one, "copy x from stdin;\n");
    expect_text(one, ">> ");
    type(one, "data\n\\.\n");
    expect_text(one, "COPY 1");
    expect_prompt(one);
    /* Killed, or left by their terminal: nothing is lost. */
    kill(one->pid, SIGTERM);
    finish(one);
    kill(two->pid, SIGHUP);
    finish(two);
    assert_history("_HiStOrY_V2_\nfirst\\012\\040\\040'line\\134two';\nsecond;\n"
                   "copy\\040x\\040from\\040stdin;\n");
    struct stat facts;
    assert_int_equal(stat(history_path, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    /* The statement comes back with its lines, and is one again. */
    start(one);
    type(one, "\x1b[A\x1b[A\x1b[A\n");
    expect_text(one, "OK");
    expect_prompt(one);
    type(one, "\\p\n");
    expect_text(one, "first\r\n  'line\\two'");
    expect_prompt(one);
    type(one, "\\q\n");
    assert_left_well(one);
    free(one);
    free(two);
}

static void tab_completes_names_in_the_quotes_that_they_need(void **state)
{
    (void)state;
    struct terminal *t = calloc(1, sizeof(*t));
    start(t);
    type(t, "x from wo\t");
    expect_text(t, "words ");
    type(t, "\x15x from My\t");
    expect_text(t, "\"My Coll\" ");
    type(t, "\x15x from \"My C\t");
    expect_text(t, "oll\" ");
    type(t, "\x15\\d \"se\t");
    expect_text(t, "lect\" ");
    type(t, "\x15\\q\n");
    assert_left_well(t);
    free(t);
}

static void tab_completes_set_by_what_a_session_may_set(void **state)
{
    (void)state;
    struct terminal *t = calloc(1, sizeof(*t));
    start(t);
    type(t, "set re\t");
    expect_text(t, "call ");
    type(t, "\x15reset qu\t"); /* A keyword, too. */
    expect_text(t, "antization ");
    type(t, "\x15\\q\n");
    assert_left_well(t);
    free(t);
}

static void words_of_other_shells_are_understood(void **state)
{
    (void)state;
    static const char *const words[] = {"quit\n", "quit;\n", " EXIT ;\n", "\\q\n"};
    struct terminal *t = calloc(1, sizeof(*t));
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        start(t);
        type(t, "help;\n");
        expect_text(t, "\\q leaves.");
        expect_prompt(t);
        type(t, "begun\n");
        expect_text(t, "vectron-> ");
        type(t, "quit\n");
        expect_text(t, "\\r clears it");
        expect_text(t, "vectron-> ");
        type(t, "\\r\n");
        expect_prompt(t);
        type(t, words[i]);
        assert_left_well(t);
    }
    free(t);
}

static void the_pager_is_for_what_a_screen_cannot_hold(void **state)
{
    (void)state;
    struct terminal *t = calloc(1, sizeof(*t));
    setenv("VSQL_PAGER", "sed s/^/P/", 1);
    start(t);
    type(t, "few;\n"); /* 19 rows, header, rule, count and an empty line. */
    expect_text(t, "\r\n  name");
    expect_prompt(t);
    type(t, "many;\n");
    expect_text(t, "\r\nP  name");
    expect_prompt(t);
    type(t, "\\pset pager off\n");
    expect_text(t, "Pager is off");
    expect_prompt(t);
    type(t, "many;\n");
    expect_text(t, "\r\n  name");
    expect_prompt(t);
    type(t, "\\pset pager always\n");
    expect_text(t, "always used");
    expect_prompt(t);
    type(t, "few;\n");
    expect_text(t, "\r\nP  name");
    expect_prompt(t);
    type(t, "\\q\n");
    assert_left_well(t);
    free(t);
}

static void ctrl_c_ends_data_that_is_typed(void **state)
{
    (void)state;
    struct terminal *t = calloc(1, sizeof(*t));
    start(t);
    type(t, "copy x from stdin;\n");
    expect_text(t, ">> ");
    type(t, "data\n");
    expect_text(t, ">> ");
    type(t, "half\x03");
    expect_text(t, "ended by the client");
    expect_prompt(t);
    type(t, "half\n"); /* At the prompt it clears what was typed. */
    expect_text(t, "vectron-> ");
    type(t, "\x03");
    expect_prompt(t);
    type(t, "ok;\n");
    expect_text(t, "OK");
    expect_prompt(t);
    type(t, "\\q\n");
    assert_left_well(t);
    free(t);
}

static void the_statement_at_hand_can_be_run_printed_and_watched(void **state)
{
    (void)state;
    struct terminal *t = calloc(1, sizeof(*t));
    start(t);
    type(t, "\\g\n");
    expect_text(t, "there is no statement yet");
    expect_prompt(t);
    type(t, "few \\gx\n");
    expect_text(t, "-[ RECORD 1 ]");
    expect_prompt(t);
    type(t, "\\watch 0.1\n");
    expect_text(t, "(every 0.1 s)");
    expect_text(t, "(every 0.1 s)");
    type(t, "\x03");
    expect_prompt(t);
    type(t, "\\g |tr a-z A-Z\n");
    expect_text(t, "MY COLL");
    expect_prompt(t);
    type(t, "\\q\n");
    assert_left_well(t);
    free(t);
}

static void the_editor_changes_the_statement(void **state)
{
    (void)state;
    struct terminal *t = calloc(1, sizeof(*t));
    setenv("VSQL_EDITOR", "sed -i s/nothing/many/", 1);
    setenv("VSQL_PAGER", "", 1);
    start(t);
    type(t, "nothing;\n");
    expect_text(t, "OK");
    expect_prompt(t);
    type(t, "\\e\n");
    expect_text(t, "(20 rows)");
    expect_prompt(t);
    type(t, "\\q\n");
    assert_left_well(t);
    free(t);
}

int main(void)
{
    CHECK(mkdtemp(directory) != NULL);
    snprintf(history_path, sizeof(history_path), "%s/history", directory);
    setenv("VSQL_HISTORY", history_path, 1);
    setenv("HOME", directory, 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("ASAN_OPTIONS", "detect_leaks=0",
           1); /* libedit keeps the names that EL_ADDFN gives it. */
    setenv("TERM", "dumb", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_holds_whole_statements_of_every_shell),
        cmocka_unit_test(tab_completes_names_in_the_quotes_that_they_need),
        cmocka_unit_test(tab_completes_set_by_what_a_session_may_set),
        cmocka_unit_test(words_of_other_shells_are_understood),
        cmocka_unit_test(the_pager_is_for_what_a_screen_cannot_hold),
        cmocka_unit_test(ctrl_c_ends_data_that_is_typed),
        cmocka_unit_test(the_statement_at_hand_can_be_run_printed_and_watched),
        cmocka_unit_test(the_editor_changes_the_statement),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(history_path);
    rmdir(directory);
    return failed;
}
