/* Abuses a server over TCP: abuse PROGRAM.  Prints a line a test, and "N passed, N failed". */
#include "abuse.h"

#include <signal.h>
#include <sys/resource.h>

static unsigned passed, failed;

static void count(const char *name, bool is_good)
{
    printf("%s %s\n", is_good ? "ok" : "not ok", name);
    fflush(stdout);
    *(is_good ? &passed : &failed) += 1;
}

static void run(const struct test *tests, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool is_good = tests[i].run();
        if (!server_lives()) {
            printf("    the server has died\n");
            count(tests[i].name, false);
            return;
        }
        if (is_good && !server_answers()) {
            printf("    the server does not answer any more\n");
            is_good = false;
        }
        count(tests[i].name, is_good);
    }
}

/* Rows for what needs a long statement or a large result. */
static bool load(void)
{
    struct client c;
    char trace[64];
    bool is_good = client_start(&c);
    client_query(&c, "CREATE COLLECTION t (id INT PRIMARY KEY, v VECTOR(64) METRIC L2)"
                     " WITH (index = flat)");
    is_good = is_good && client_send(&c) && client_until_ready(&c, trace, sizeof trace);
    uint64_t seed = 1;
    for (int row = 0; is_good && row < ROWS; row += 100) {
        struct buf b;
        buf_init(&b, MEM_GENERAL, 1 << 20);
        for (int i = row; i < row + 100; i++) {
            buf_printf(&b, "%s(%d, [1", i == row ? "INSERT INTO t (id, v) VALUES " : ", ", i);
            for (int d = 1; d < DIM; d++) {
                buf_printf(&b, ",%d", (int)(random_next(&seed) % 100));
            }
            buf_printf(&b, "])");
        }
        buf_u8(&b, 0);
        client_query(&c, (const char *)b.data);
        is_good = client_send(&c) && client_until_ready(&c, trace, sizeof trace) &&
                  strcmp(trace, "kZ") == 0;
        buf_fini(&b);
    }
    client_close(&c);
    return is_good;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: abuse VECTROND\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    count("the_server_starts_and_takes_rows", server_start(argv[1]) && load());
    if (failed == 0) {
        run(message_tests, n_message_tests);
        run(wait_tests, n_wait_tests);
        run(hold_tests, n_hold_tests);
        run(load_tests, n_load_tests);
        run(life_tests, n_life_tests);
        count("a_stop_tells_those_that_wait_for_their_client_at_once",
              a_stop_tells_those_that_wait_for_their_client_at_once());
    }
    count("the_server_ends_with_status_0", server_stop() == 0);
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
