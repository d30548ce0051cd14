/* What every client of vbench does: it connects, sends a statement, complains, and heeds Ctrl-C. */
#include "client/bench/bench_int.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- Ctrl-C ---- */

/* The one piece of global state: a signal handler can reach nothing else. */
static atomic_bool is_interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    atomic_store(&is_interrupted, true);
}

void bench_catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGINT, &action, NULL) == 0);
}

bool bench_is_interrupted(void)
{
    return atomic_load(&is_interrupted);
}

/* ---- statements and complaints ---- */

bool bench_complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("vbench: ", stderr);
    vfprintf(stderr, format, args);
    putc('\n', stderr);
    va_end(args);
    return false;
}

vc_conn *bench_connect(const struct bench_options *options)
{
    vc_conn *conn = vc_connect(options->conninfo);
    if (vc_status(conn) == VC_CONN_OK) {
        return conn;
    }
    bench_complain("%s", vc_error_message(conn));
    vc_close(conn);
    return NULL;
}

vc_result *bench_exec(vc_conn *conn, const char *vql)
{
    vc_result *result = vc_exec(conn, vql);
    if (vc_result_state(result) == VC_ERROR) {
        bench_complain("%s\n  in: %s", vc_result_error(result), vql);
        vc_result_free(result);
        return NULL;
    }
    return result;
}

void bench_note_error(struct bench_result *result, const char *message)
{
    if (result->errors++ == 0) {
        snprintf(result->first_error, sizeof(result->first_error), "%s", message);
    }
}
