/* What all parts of the shell use: its complaints, and its connection. */
#include "client/shell/shell_int.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CONNECT_LOOK_MS = 250
};

bool shell_complain(struct shell *shell, const char *format, ...)
{
    fflush(shell->out);
    if (shell->source != NULL && shell->source->name != NULL) {
        fprintf(stderr, "vsql:%s:%llu: ", shell->source->name,
                (unsigned long long)shell->source->line);
    } else {
        fputs("vsql: ", stderr);
    }
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    putc('\n', stderr);
    return false;
}

bool shell_complain_file(struct shell *shell, const char *path, enum shell_access access)
{
    int failure = errno;
    char folder[PATH_MAX];
    bool is_missing = failure == ENOENT || failure == ENOTDIR;
    bool is_refused = failure == EACCES || failure == EPERM || failure == EROFS;
    shell_complain(shell, "%s: %s", path, strerror(failure));
    if (is_missing && access == SHELL_WRITES) {
        fputs("HINT:  The folder that it is to lie in must be there.", stderr);
    } else if (is_missing) {
        fputs("HINT:  It is a file of this machine, not of the server's.", stderr);
    } else if (is_refused) {
        fputs("HINT:  The user who runs vsql has no right to it.", stderr);
    } else if (failure == EISDIR) {
        fputs("HINT:  That is a folder: name a file in it.", stderr);
    } else {
        return false;
    }
    if (is_missing && path[0] != '/' && getcwd(folder, sizeof(folder)) != NULL) {
        fprintf(stderr, " A relative name begins in \"%s\".", folder);
    }
    putc('\n', stderr);
    return false;
}

FILE *shell_open(struct shell *shell, const char *path)
{
    FILE *file = fopen(path, "r");
    struct stat facts;
    if (file != NULL && fstat(fileno(file), &facts) == 0 && S_ISDIR(facts.st_mode)) {
        fclose(file);
        file = NULL;
        errno = EISDIR;
    }
    if (file == NULL) {
        shell_complain_file(shell, path, SHELL_READS);
    }
    return file;
}

bool shell_stops_on_error(const struct shell *shell)
{
    const char *value = vars_get(shell->vars, "ON_ERROR_STOP");
    bool on = false;
    return value != NULL && (!text_is_on(value, &on) || on);
}

/* ---- the connection ---- */

static void on_notice(void *arg, const vc_result *notice)
{
    report_result(arg, notice, "");
}

static void on_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    struct shell *shell = arg;
    if (shell->has_own_bar) {
        return;
    }
    if (shell->bar == NULL) {
        shell->bar = bar_new(phase, "", total);
    }
    bar_phase(shell->bar, phase, done, total);
}

/* What to do about a server that is not there. */
static void hint_at_server(const vc_conn *conn)
{
    const char *message = vc_error_message(conn);
    if (strstr(message, strerror(ECONNREFUSED)) != NULL ||
        strstr(message, strerror(ENOENT)) != NULL) {
        fputs("HINT:  No server listens there. Start one with: vectrond --data ./data\n"
              "       or say where it is with -h HOST -p PORT.\n",
              stderr);
    }
}

/* Ctrl-C ends it; so does connect_timeout, which vc_connect_poll looks at. */
static void connect_polled(struct shell *shell)
{
    vc_poll next;
    while (shell->conn != NULL && (next = vc_connect_poll(shell->conn)) != VC_POLL_OK &&
           next != VC_POLL_FAILED) {
        struct pollfd ready[2] = {
            {.fd = vc_socket(shell->conn), .events = next == VC_POLL_READING ? POLLIN : POLLOUT},
            {.fd = interrupt_fd(), .events = POLLIN}};
        if (poll(ready, 2, CONNECT_LOOK_MS) > 0 && ready[1].revents != 0 && interrupt_take()) {
            vc_break(shell->conn, "connecting was given up");
        }
    }
}

bool shell_connect(struct shell *shell)
{
    shell->conn = vc_connect_start(shell->conninfo);
    connect_polled(shell);
    if (vc_status(shell->conn) != VC_CONN_OK) {
        shell_complain(shell, "%s", vc_error_message(shell->conn));
        if (shell->conn != NULL) {
            hint_at_server(shell->conn);
        }
        return false;
    }
    shell->has_unread = false;
    vc_set_nonblocking(shell->conn, true);
    vc_on_notice(shell->conn, on_notice, shell);
    vc_on_progress(shell->conn, on_progress, shell);
    return true;
}
