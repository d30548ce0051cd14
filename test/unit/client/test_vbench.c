/* The program vbench as a person meets it, against a scripted server. */
#include "client/vclient.h"

#include "fake_server.h"

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

static atomic_int n_asked;

static void answering_script(struct fake *fake)
{
    fake_greet(fake);
    while (fake_expect_any(fake).type == WIRE_QUERY) {
        atomic_fetch_add(&n_asked, 1);
        wire_write_complete(fake_out(fake), "SELECT", 1);
        fake_send_ready(fake);
    }
}

static pid_t start_ping(const struct fake *fake, int *out)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGINT, SIG_DFL);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        execl("src/client/vbench", "vbench", "ping", "--simple", "--duration=60", "--warm-up=0",
              "--json", "-d", fake_conninfo(fake), NULL);
        _exit(99);
    }
    close(ends[1]);
    *out = ends[0];
    return pid;
}

static void ctrl_c_shows_what_was_measured_until_then(void **state)
{
    (void)state;
    struct fake *fake = fake_start(answering_script);
    char text[4096];
    int out, status;
    pid_t pid = start_ping(fake, &out);
    for (int tries = 0; atomic_load(&n_asked) < 10 && tries < 1000; tries++) {
        clock_sleep_micros(10000);
    }
    kill(pid, SIGINT);
    ssize_t n = read(out, text, sizeof(text) - 1); /* One line, written at once. */
    assert_true(n > 0);
    text[n] = '\0';
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(out);
    fake_stop(fake);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 130);
    assert_non_null(strstr(text, "\"interrupted\": true"));
    assert_null(strstr(text, "\"requests\": 0,"));
}

static int run(const char *arguments)
{
    char command[256];
    snprintf(command, sizeof(command), "src/client/vbench %s 2>/dev/null", arguments);
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void what_cannot_be_read_or_written_is_an_error(void **state)
{
    (void)state;
    char path[] = "/tmp/test_vbench.XXXXXX", arguments[128];
    assert_int_equal(run("--help >/dev/null"), 0);
    assert_int_equal(run("--help >/dev/full"), 1);
    assert_int_equal(run("--version >/dev/full"), 1);
    assert_int_equal(run("ping -p 1"), 1);
    assert_int_equal(run("load --file=/no/such -p 1"), 1);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const uint8_t no_rows[8] = {0, 0, 0, 0, 3, 0, 0, 0};
    assert_int_equal(write(fd, no_rows, sizeof(no_rows)), sizeof(no_rows));
    close(fd);
    struct fake *fake = fake_start(answering_script);
    snprintf(arguments, sizeof(arguments), "ping --simple --duration=0.1 -d '%s' >/dev/full",
             fake_conninfo(fake));
    assert_int_equal(run(arguments), 1);
    fake_stop(fake);
    snprintf(arguments, sizeof(arguments), "load --file=%s -p 1", path);
    assert_int_equal(run(arguments), 1);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ctrl_c_shows_what_was_measured_until_then),
        cmocka_unit_test(what_cannot_be_read_or_written_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
