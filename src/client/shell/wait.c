/* Waiting for the server while a statement is under way, and what is done when it is lost.
 *
 * The connection never blocks: it is waited for together with Ctrl-C.  The first sends a cancel,
 * and the statement then ends with the server's error; the second gives up the connection, for a
 * server that does not answer. */
#include "client/shell/shell_int.h"

#include <poll.h>
#include <stdlib.h>

enum {
    CANCEL_WAIT_MS = 1000,
    DRAIN_BYTES = 1 << 20, /* Copy data that may wait in memory for the server. */
};

static void send_cancel(struct shell *shell)
{
    vc_cancel *cancel = vc_get_cancel(shell->conn);
    char error[256];
    if (cancel == NULL) {
        return;
    }
    if (vc_cancel_send(cancel, CANCEL_WAIT_MS, error, sizeof(error))) {
        fputs("Cancel request sent\n", stderr);
    } else {
        shell_complain(shell, "%s", error);
        fputs("Press Ctrl-C again to give up the connection.\n", stderr);
    }
    vc_cancel_free(cancel);
}

void statement_begin(struct shell *shell)
{
    shell->has_copied = false;
    shell->was_interrupted = false;
    vc_result *late; /* Of a question that nobody waits for any more. */
    while (shell->has_unread && (late = statement_result(shell)) != NULL) {
        vc_result_free(late);
    }
    shell->has_unread = false;
    /* Ctrl-C that is not taken yet is for what begins; one that gave up the connection counts. */
    shell->was_interrupted = shell->was_interrupted && vc_status(shell->conn) != VC_CONN_OK;
}

/* Waits for the socket, also until it can be written where @is_unsent, and moves bytes.  True where
 * Ctrl-C was pressed instead. */
static bool wait_once(struct shell *shell, bool is_unsent, int timeout_ms)
{
    struct pollfd ready[2] = {
        {.fd = vc_socket(shell->conn), .events = (short)(is_unsent ? POLLIN | POLLOUT : POLLIN)},
        {.fd = interrupt_fd(), .events = POLLIN}};
    if (poll(ready, 2, timeout_ms) < 0) {
        return false; /* A signal: its pipe is readable now. */
    }
    if (ready[0].revents != 0) {
        vc_consume(shell->conn);
    }
    return ready[1].revents != 0 && interrupt_take();
}

void statement_wait(struct shell *shell)
{
    while (vc_is_busy(shell->conn)) {
        if (!wait_once(shell, vc_flush(shell->conn) == 1, -1)) {
            continue;
        }
        if (shell->was_interrupted) {
            vc_break(shell->conn, "the connection was given up: how the statement went is unknown");
        } else {
            shell->was_interrupted = true;
            send_cancel(shell);
        }
    }
}

bool statement_drain(struct shell *shell)
{
    bool is_interrupted = shell->was_interrupted || interrupt_take();
    /* Nothing is waited for where vc_flush has sent all. */
    while (!is_interrupted && vc_status(shell->conn) == VC_CONN_OK && !vc_is_busy(shell->conn) &&
           vc_unsent(shell->conn) > DRAIN_BYTES && vc_flush(shell->conn) == 1) {
        is_interrupted = wait_once(shell, true, -1);
    }
    shell->was_interrupted = is_interrupted;
    return !is_interrupted;
}

/* False where there is none in time. */
static bool next_in_time(struct shell *shell, uint64_t deadline_us, vc_result **out)
{
    while (vc_is_busy(shell->conn)) {
        uint64_t now_us = clock_micros();
        if (now_us >= deadline_us || wait_once(shell, vc_flush(shell->conn) == 1,
                                               (int)((deadline_us - now_us + 999) / 1000))) {
            return false;
        }
    }
    *out = vc_get_result(shell->conn);
    return true;
}

vc_result *statement_ask(struct shell *shell, const char *vql, unsigned wait_ms)
{
    uint64_t deadline_us = clock_micros() + (uint64_t)wait_ms * 1000;
    vc_result *answer = NULL, *result;
    while (shell->has_unread && next_in_time(shell, deadline_us, &result)) {
        shell->has_unread = result != NULL;
        vc_result_free(result);
    }
    if (shell->has_unread || vc_status(shell->conn) != VC_CONN_OK) {
        return NULL; /* The question before this one is not answered yet. */
    }
    shell->has_unread = vc_send_query(shell->conn, vql);
    while (shell->has_unread && next_in_time(shell, deadline_us, &result)) {
        shell->has_unread = result != NULL;
        if (answer == NULL) {
            answer = result;
        } else {
            vc_result_free(result);
        }
    }
    return answer;
}

vc_result *statement_result(struct shell *shell)
{
    statement_wait(shell);
    return vc_get_result(shell->conn);
}

/* ---- a lost connection ---- */

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
    if (shell->was_interrupted) {
        fputs("The next statement connects again.\n", stderr);
        return;
    }
    fputs("The connection to the server was lost. Connecting again: ", stderr);
    vc_conn *old = shell->conn;
    if (shell_connect(shell)) {
        fputs("done. Session settings are the defaults again.\n", stderr);
        vc_close(old);
    } else {
        fputs("The next statement tries once more.\n", stderr);
        vc_close(shell->conn);
        shell->conn = old;
    }
}

bool statement_is_connected(struct shell *shell)
{
    if (vc_status(shell->conn) != VC_CONN_OK) {
        shell->was_interrupted = false;
        statement_after(shell);
    }
    return vc_status(shell->conn) == VC_CONN_OK;
}
