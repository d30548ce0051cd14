/* The program vsql as a script meets it: output, exit codes, COPY, against a scripted server. */
#include "client/vclient.h"

#include "fake_server.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The text of a QUERY names what is to be answered. */
static bool is_asked(const struct wire_frame *query, const char *word)
{
    struct reader r;
    struct wire_str text;
    reader_init(&r, query->payload, query->payload_bytes);
    return wire_read_text(&r, &text) && text.bytes >= strlen(word) &&
           memcmp(text.data, word, strlen(word)) == 0;
}

static void answer_rows(struct fake *fake)
{
    static const float vector[] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct wire_column columns[] = {
        {{"id", 2}, TYPE_INT, 0}, {{"name", 4}, TYPE_TEXT, 0}, {{"v", 1}, TYPE_VECTOR, 8}};
    struct value first[] = {value_int(7), value_cstr("a,\"b\""), value_vector(vector, 8)};
    struct value second[] = {value_int(10), value_null(), value_null()};
    wire_write_columns(fake_out(fake), columns, 3);
    wire_write_row(fake_out(fake), first, 3);
    wire_write_row(fake_out(fake), second, 3);
    wire_write_complete(fake_out(fake), "SELECT", 2);
}

/* Data comes faster than it is taken, so that it piles up in vsql. */
static void answer_copy(struct fake *fake)
{
    static const uint8_t types[] = {TYPE_TEXT, TYPE_VECTOR};
    uint64_t bytes = 0;
    wire_write_copy(fake_out(fake), WIRE_COPY_IN, 1, types, 2);
    fake_send(fake);
    struct wire_frame frame;
    while ((frame = fake_expect_any(fake)).type == WIRE_COPY_DATA) {
        bytes += frame.payload_bytes;
        if (frame.payload_bytes > 100000) {
            clock_sleep_micros(1000);
        }
    }
    CHECK(frame.type == WIRE_COPY_DONE);
    wire_write_complete(fake_out(fake), "COPY", bytes);
}

static void answer_copy_out(struct fake *fake)
{
    static const uint8_t types[] = {TYPE_INT};
    wire_write_copy(fake_out(fake), WIRE_COPY_OUT, 1, types, 1);
    size_t begun_at = wire_begin(fake_out(fake), WIRE_COPY_DATA);
    buf_bytes(fake_out(fake), "1\n2\n", 4);
    wire_end(fake_out(fake), begun_at);
    wire_write_empty(fake_out(fake), WIRE_COPY_DONE);
    wire_write_complete(fake_out(fake), "COPY", 2);
}

static void answering_script(struct fake *fake)
{
    fake_greet(fake);
    for (;;) {
        struct wire_frame frame = fake_expect_any(fake);
        if (frame.type != WIRE_QUERY) {
            CHECK(frame.type == WIRE_TERMINATE);
            return;
        }
        if (is_asked(&frame, "rows")) {
            answer_rows(fake);
        } else if (is_asked(&frame, "COPY out TO STDOUT")) {
            answer_copy_out(fake);
        } else if (is_asked(&frame, "copy") || is_asked(&frame, "COPY")) {
            answer_copy(fake);
        } else if (is_asked(&frame, "die")) {
            return;
        } else if (is_asked(&frame, "fail")) {
            fake_send_error(fake, ERR_SYNTAX, "wrong");
        } else {
            wire_write_complete(fake_out(fake), "OK", 0);
        }
        fake_send_ready(fake);
    }
}

#define HERE "HINT:  It is a file of this machine, not of the server's.\n"

/* Runs vsql with @arguments and @input; its output and exit code against what is expected. */
static void assert_vsql(const char *arguments, const char *input, int code, const char *expected)
{
    struct fake *fake = fake_start(answering_script);
    char path[] = "/tmp/test_vsql.XXXXXX", command[2048], out[4096];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, input, strlen(input)), strlen(input));
    close(fd);
    snprintf(command, sizeof(command), "(src/client/vsql -X -d '%s' <%s %s) 2>&1",
             fake_conninfo(fake), path, arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t n = fread(out, 1, sizeof(out) - 1, pipe);
    out[n] = '\0';
    int status = pclose(pipe);
    unlink(path);
    fake_stop(fake);
    if (strcmp(out, expected) != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != code) {
        fail_msg("%s\nexit %d, not %d\n%s\nnot\n%s", command, WEXITSTATUS(status), code, out,
                 expected);
    }
}

static void rows_are_shown_in_each_format(void **state)
{
    (void)state;
    assert_vsql("-c rows", "", 0,
                " id | name  |       v        \n"
                "----+-------+----------------\n"
                "  7 | a,\"b\" | [1, 2, 3, … 8]\n"
                " 10 |       | \n"
                "(2 rows)\n\n");
    assert_vsql("-At -c rows", "", 0, "7|a,\"b\"|[1,2,3,4,5,6,7,8]\n10||\n");
    assert_vsql("-A -F ';' -c rows", "", 0,
                "id;name;v\n7;a,\"b\";[1,2,3,4,5,6,7,8]\n10;;\n(2 rows)\n");
    assert_vsql("--csv -c rows", "", 0,
                "id,name,v\n7,\"a,\"\"b\"\"\",\"[1,2,3,4,5,6,7,8]\"\n10,,\n");
    assert_vsql("-x -c rows", "", 0,
                "-[ RECORD 1 ]--------\n"
                "id   | 7\n"
                "name | a,\"b\"\n"
                "v    | [1, 2, 3, … 8]\n"
                "-[ RECORD 2 ]--------\n"
                "id   | 10\n"
                "name | \n"
                "v    | \n\n");
    assert_vsql("-c ok", "", 0, "OK\n");
    assert_vsql("-q -c ok", "", 0, "");
}

#define WRONG "ERROR:  wrong\nLINE 1: fail\n          ^\nHINT:  a hint\n"

static void exit_codes_say_what_went_wrong(void **state)
{
    (void)state;
    assert_vsql("-c fail", "", 1, WRONG);
    assert_vsql("", "fail; ok;", 0, WRONG "OK\n");
    assert_vsql("-v ON_ERROR_STOP=1", "fail; ok;", 3, WRONG);
    assert_vsql("-v ON_ERROR_STOP=1", "\\nonsense\nok;", 3,
                "vsql: there is no command \\nonsense; \\? lists them\n");
    assert_vsql("-f /no/such/file", "", 1, "vsql: /no/such/file: No such file or directory\n" HERE);
    assert_vsql(
        "", "die; ok;", 2,
        "ERROR:  the server closed the connection unexpectedly, and 1 write was under way and "
        "may have happened\n"
        "HINT:  Read the rows to learn whether, before you write again.\n"
        "vsql: the connection to the server was lost\n");
    int status = system("src/client/vsql -X -h 127.0.0.1 -p 1 -c ok >/dev/null 2>&1");
    assert_int_equal(WEXITSTATUS(status), 2);
    status = system("src/client/vsql mydb 2>&1 | grep -q 'one database'"); /* As psql has it. */
    assert_int_equal(WEXITSTATUS(status), 0);
    status = system("src/client/vsql --nonsense >/dev/null 2>&1");
    assert_int_equal(WEXITSTATUS(status), 1);
}

static void a_script_may_hold_its_data(void **state)
{
    (void)state;
    assert_vsql("", "copy t from stdin;\nabc\nde\n\\.\nok;\n", 0, "COPY 7\nOK\n");
    assert_vsql("-c copy", "abcdef", 0, "COPY 6\n");
    assert_vsql("", "copy t from stdin;\nab\r\n\r\nc\n\\.\r\nok;\n", 0, "COPY 8\nOK\n");
    assert_vsql("", "\\copy t from stdin\nabc\nde\n\\.\nok;\n", 0, "COPY 7\nOK\n");
    assert_vsql("-c '\\copy t from stdin'", "abcdef", 0, "COPY 6\n");
    assert_vsql("", "\\copy t from '/no/such' (format csv)\nok;", 0,
                "vsql: /no/such: No such file or directory\n" HERE "OK\n");
    assert_vsql("-v ON_ERROR_STOP=1 -f -", "\\copy t from '/no/such'\nok;", 3,
                "vsql: /no/such: No such file or directory\n" HERE);
}

static void data_goes_out_without_a_tag(void **state)
{
    (void)state;
    assert_vsql("", "COPY out TO STDOUT; ok;", 0, "1\n2\nOK\n");
    assert_vsql("", "\\copy out to stdout\nok;", 0, "1\n2\nOK\n");
    assert_vsql("", "\\copy out to '/dev/null'\nok;", 0, "COPY 2\nOK\n");
}

static void much_data_goes_through_a_small_pipe(void **state)
{
    (void)state;
    char path[] = "/tmp/test_vsql.XXXXXX", arguments[128];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 32 << 20), 0);
    close(fd);
    snprintf(arguments, sizeof(arguments), "-c \"\\copy t from '%s'\"", path);
    assert_vsql(arguments, "", 0, "COPY 33554432\n");
    unlink(path);
}

static void the_last_statement_needs_no_semicolon(void **state)
{
    (void)state;
    assert_vsql("", "ok;\nok", 0, "OK\nOK\n");
    assert_vsql("-a", "ok; ok\n;", 0, "ok; ok\nOK\n;\nOK\n");
    assert_vsql("-v x=ok", ":x; \\echo :x 'y  z'\n\\q\nok;", 0, "OK\nok y  z\n");
}

static void a_variable_that_was_unset_is_none(void **state)
{
    (void)state;
    assert_vsql("-v x=ok", "\\echo :x\n\\unset x\n\\echo :x\n", 0, "ok\n:x\n");
}

/* ---- output ---- */

static void a_warning_goes_to_standard_error_whatever_o_says(void **state)
{
    (void)state;
    assert_vsql("-c '\\warn a  b' -o /dev/null >/dev/null", "", 0, "a b\n");
}

#define NO_SPACE "vsql: writing the results: No space left on device\n"

static void what_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    static const char *const looks[] = {"", "-A", "-x", "--csv", "-t", "-At", "-Ax", "-e", "-a"};
    for (size_t i = 0; i < COUNT_OF(looks); i++) {
        char arguments[64];
        snprintf(arguments, sizeof(arguments), "%s -c rows >/dev/full", looks[i]);
        assert_vsql(arguments, "", 1, NO_SPACE);
        snprintf(arguments, sizeof(arguments), "%s -c rows -o /dev/full", looks[i]);
        assert_vsql(arguments, "", 1, NO_SPACE);
    }
    assert_vsql("-c ok >/dev/full", "", 1, NO_SPACE); /* A tag. */
    assert_vsql("-c '\\qecho a' -o /dev/full", "", 1, NO_SPACE);
    assert_vsql("-c '\\echo a' >/dev/full", "", 1, NO_SPACE);
    assert_vsql("-c '\\?' >/dev/full", "", 1, NO_SPACE);
    assert_vsql("-c rows >&-", "", 1, "vsql: writing the results: Bad file descriptor\n");
    int status = system("src/client/vsql --help >/dev/full 2>/dev/null");
    assert_int_equal(WEXITSTATUS(status), 1);
    status = system("src/client/vsql --version >/dev/full 2>/dev/null");
    assert_int_equal(WEXITSTATUS(status), 1);
    /* A script whose output nobody sees ends there; one with \o goes on. */
    assert_vsql(">/dev/full", "ok; ok; ok;", 1, NO_SPACE);
    assert_vsql("", "\\o /dev/full\nok;\n\\o\nok;", 1, NO_SPACE "OK\n");
    assert_vsql("-f / -c ok", "", 1,
                "vsql: /: Is a directory\nHINT:  That is a folder: name a file in it.\nOK\n");
}

static void results_may_go_to_a_command(void **state)
{
    (void)state;
    assert_vsql("-At", "\\o |tr a-z A-Z\nrows;\n\\o\nok;", 0,
                "7|A,\"B\"|[1,2,3,4,5,6,7,8]\n10||\nOK\n");
    assert_vsql("-c ok -o '|sleep 0.1; cat'", "", 0, "OK\n");
    assert_vsql("-c ok -o '|exit 3'", "", 1, "vsql: \\o: the command ended with status 3\n");
    assert_vsql("-c '\\o /no/such' -c ok", "", 1,
                "vsql: /no/such: No such file or directory\n"
                "HINT:  The folder that it is to lie in must be there.\nOK\n");
}

static void looks_are_set_by_name(void **state)
{
    (void)state;
    assert_vsql("-At -P null='(none)' -c rows", "", 0,
                "7|a,\"b\"|[1,2,3,4,5,6,7,8]\n10|(none)|(none)\n");
    assert_vsql("--csv -t -P null='(none)' -c rows", "", 0,
                "7,\"a,\"\"b\"\"\",\"[1,2,3,4,5,6,7,8]\"\n10,(none),(none)\n");
    assert_vsql("--csv -t -P null=7 -c rows", "", 0,
                "\"7\",\"a,\"\"b\"\"\",\"[1,2,3,4,5,6,7,8]\"\n10,7,7\n");
    assert_vsql("", "\\pset format csv\n\\pset tuples_only\nrows;", 0,
                "Output format is csv.\nTuples only is on.\n"
                "7,\"a,\"\"b\"\"\",\"[1,2,3,4,5,6,7,8]\"\n10,,\n");
    assert_vsql("", "\\pset pager always\n\\pset pager perhaps\n\\pset colour\n", 0,
                "Pager is always used.\n"
                "vsql: \"perhaps\" is no value of pager: it is on, off or always\n"
                "vsql: there is no setting \"colour\"; \\pset lists them\n");
}

/* ---- Ctrl-C ---- */

static atomic_bool has_arrived; /* vsql waits where the test wants it to. */

static void mute_script(struct fake *fake)
{
    fake_accept(fake);
    fake_expect(fake, WIRE_STARTUP);
    has_arrived = true;
    fake_expect_end(fake);
}

static void deaf_script(struct fake *fake)
{
    fake_greet(fake);
    fake_expect(fake, WIRE_QUERY);
    has_arrived = true;
    fake_expect_end(fake); /* A cancel stays in the queue of the listener. */
}

static void waiting_script(struct fake *fake)
{
    static const uint8_t types[] = {TYPE_TEXT};
    fake_greet(fake);
    fake_expect(fake, WIRE_QUERY);
    wire_write_copy(fake_out(fake), WIRE_COPY_IN, 1, types, 1);
    fake_send(fake);
    has_arrived = true;
    struct wire_frame frame;
    while ((frame = fake_expect_any(fake)).type == WIRE_COPY_DATA) {
    }
    CHECK(frame.type == WIRE_COPY_FAIL);
    fake_send_error(fake, ERR_CANCELED, "ended by the client");
    fake_send_ready(fake);
    fake_expect_end(fake); /* Nothing more of the script is run. */
}

/* Starts vsql with @argument and an input that gives @input and then nothing more. */
static pid_t start_vsql(const struct fake *fake, const char *argument, const char *input, int *in)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], input, strlen(input)), strlen(input));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGINT, SIG_DFL);
        dup2(ends[0], STDIN_FILENO);
        close(ends[1]);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execl("src/client/vsql", "vsql", "-X", "-d", fake_conninfo(fake), argument,
              argument == NULL ? NULL : "copy", NULL);
        _exit(99);
    }
    close(ends[0]);
    *in = ends[1];
    return pid;
}

/* Presses Ctrl-C every 100 ms once the script is where it waits; gives the status of the end. */
static int interrupt_vsql(fake_script *script, const char *argument, const char *input)
{
    has_arrived = false;
    struct fake *fake = fake_start(script);
    int in, status = -1;
    pid_t pid = start_vsql(fake, argument, input, &in);
    pid_t ended = 0;
    for (int tries = 0; ended == 0 && tries < 100; tries++) {
        clock_sleep_micros(100000);
        if (has_arrived) {
            kill(pid, SIGINT);
        }
        ended = waitpid(pid, &status, WNOHANG);
    }
    if (ended == 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    close(in);
    fake_stop(fake);
    return status;
}

static void ctrl_c_ends_whatever_vsql_waits_for(void **state)
{
    (void)state;
    /* A server that accepts and says nothing. */
    int status = interrupt_vsql(mute_script, "-c", "");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    /* One that hears neither the statement nor the cancel: the second Ctrl-C gives it up. */
    status = interrupt_vsql(deaf_script, "-c", "");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 2);
    /* Data that does not come. */
    status = interrupt_vsql(waiting_script, "-c", "a line\n");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    status = interrupt_vsql(waiting_script, NULL, "copy t from stdin;\na line\n");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

int main(void)
{
    setenv("HOME", "/nonexistent", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_shown_in_each_format),
        cmocka_unit_test(exit_codes_say_what_went_wrong),
        cmocka_unit_test(a_script_may_hold_its_data),
        cmocka_unit_test(data_goes_out_without_a_tag),
        cmocka_unit_test(much_data_goes_through_a_small_pipe),
        cmocka_unit_test(the_last_statement_needs_no_semicolon),
        cmocka_unit_test(a_variable_that_was_unset_is_none),
        cmocka_unit_test(a_warning_goes_to_standard_error_whatever_o_says),
        cmocka_unit_test(what_cannot_be_written_is_an_error),
        cmocka_unit_test(results_may_go_to_a_command),
        cmocka_unit_test(looks_are_set_by_name),
        cmocka_unit_test(ctrl_c_ends_whatever_vsql_waits_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
