/* A statement goes to the server and its results come to the screen.
 *
 * The connection is waited for together with Ctrl-C, which sends a cancel; the statement then ends
 * with the server's error. */
#include "client/shell/shell_int.h"

#include <poll.h>
#include <string.h>

static void send_cancel(struct shell *shell)
{
    vc_cancel *cancel = vc_get_cancel(shell->conn);
    char error[256];
    if (cancel == NULL) {
        return;
    }
    if (vc_cancel_send(cancel, error, sizeof(error))) {
        fputs("Cancel request sent\n", stderr);
    } else {
        shell_complain(shell, "%s", error);
    }
    vc_cancel_free(cancel);
}

void statement_wait(struct shell *shell)
{
    while (vc_is_busy(shell->conn)) {
        bool is_unsent = vc_flush(shell->conn) == 1;
        struct pollfd ready[2] = {{.fd = vc_socket(shell->conn),
                                   .events = (short)(is_unsent ? POLLIN | POLLOUT : POLLIN)},
                                  {.fd = interrupt_fd(), .events = POLLIN}};
        if (poll(ready, 2, -1) < 0) {
            continue; /* A signal: its pipe is readable now. */
        }
        if (ready[1].revents != 0 && interrupt_take()) {
            send_cancel(shell);
        }
        if (ready[0].revents != 0) {
            vc_consume(shell->conn);
        }
    }
}

vc_result *statement_result(struct shell *shell)
{
    statement_wait(shell);
    return vc_get_result(shell->conn);
}

static void remember(struct shell *shell, const vc_result *result)
{
    bool is_error = vc_result_state(result) == VC_ERROR;
    char count[32];
    snprintf(count, sizeof(count), "%llu",
             is_error ? 0ULL : (unsigned long long)vc_affected(result));
    const char *sqlstate = is_error ? vc_error_field(result, VC_FIELD_SQLSTATE) : "00000";
    if (!vars_set(&shell->vars, "ERROR", is_error ? "true" : "false") ||
        !vars_set(&shell->vars, "SQLSTATE", sqlstate) ||
        !vars_set(&shell->vars, "ROW_COUNT", count)) {
        shell_complain(shell, "out of memory for variables");
    }
}

/* Shows one result.  False where it is an error. */
static bool show(struct shell *shell, vc_result *result, const char *vql)
{
    switch (vc_result_state(result)) {
    case VC_ROWS:
    case VC_SINGLE_ROW:
        print_result(shell, result);
        return true;
    case VC_COMMAND:
        print_tag(shell, result);
        return true;
    case VC_COPY_IN:
        return copy_in_from_source(shell, result);
    case VC_COPY_OUT:
        return copy_out_to(shell, shell->out);
    case VC_ERROR:
        bar_free(shell->bar);
        shell->bar = NULL;
        report_result(shell, result, vql);
        return false;
    case VC_EMPTY:
    case VC_PIPELINE_SYNC:
    case VC_PIPELINE_ABORTED:
    case VC_NOTICE:
        return true;
    }
    return true;
}

void statement_after(struct shell *shell)
{
    if (vc_status(shell->conn) == VC_CONN_OK) {
        return;
    }
    if (!shell->is_interactive) {
        shell_complain(shell, "the connection to the server was lost");
        shell->exit_code = EXIT_CONNECTION;
        shell->is_quitting = true;
        return;
    }
    fputs("The connection to the server was lost. Connecting again: ", stderr);
    vc_conn *old = shell->conn;
    if (shell_connect(shell)) {
        fputs("done. Session settings are the defaults again.\n", stderr);
        vc_close(old);
    } else {
        fputs("Type \\conninfo to try once more.\n", stderr);
        vc_close(shell->conn);
        shell->conn = old;
    }
}

bool statement_run(struct shell *shell, const char *vql)
{
    const char *echo = vars_get(shell->vars, "ECHO");
    if (echo != NULL && strcmp(echo, "queries") == 0) {
        fprintf(shell->out, "%s;\n", vql);
    }
    if (vc_status(shell->conn) != VC_CONN_OK) {
        statement_after(shell);
        if (vc_status(shell->conn) != VC_CONN_OK) {
            return false;
        }
    }
    interrupt_take(); /* One that came before the statement is not for it. */
    uint64_t begun_us = clock_micros();
    bool is_ok = vc_send_query(shell->conn, vql);
    if (!is_ok) {
        shell_complain(shell, "%s", vc_error_message(shell->conn));
    }
    vc_result *result;
    while ((result = statement_result(shell)) != NULL) {
        bar_free(shell->bar);
        shell->bar = NULL;
        remember(shell, result);
        is_ok = show(shell, result, vql) && is_ok;
        vc_result_free(result);
    }
    if (shell->set.timing) {
        print_time(shell, clock_micros() - begun_us);
    }
    fflush(shell->out);
    statement_after(shell);
    return is_ok;
}
