/* Commands on the statement that is being typed, or, where there is none, on the last one that was
 * run: \g \gx \p \r \e \watch. */
#define _XOPEN_SOURCE 700
#include "client/shell/edit_int.h"
#include "client/shell/shell_int.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    WATCH_SECONDS = 2,
    WATCH_SECONDS_MAX = 86400,
};

/* The statement, malloc'd; NULL where there is none, which is told. */
static char *take_statement(struct shell *shell)
{
    struct scanner *scan = &shell->source->scan;
    char *vql = NULL;
    if (!scan_is_empty(scan)) {
        vql = strndup((const char *)scan->text.data, scan->text.bytes);
    } else if (shell->last_vql != NULL) {
        vql = strdup(shell->last_vql);
    }
    if (vql == NULL) {
        shell_complain(shell, "there is no statement yet");
    }
    return vql;
}

bool query_go(struct shell *shell, const char *target)
{
    char *vql = take_statement(shell);
    if (vql == NULL) {
        return false;
    }
    FILE *out = shell->out;
    bool out_is_pipe = shell->out_is_pipe, is_ok = true;
    if (target != NULL) {
        shell->out = stdout; /* So that what \o opened stays open. */
        shell->out_is_pipe = false;
        is_ok = out_open(shell, target);
    }
    is_ok = is_ok && statement_run(shell, vql);
    if (target != NULL) {
        is_ok = out_close(shell) && is_ok;
        shell->out = out;
        shell->out_is_pipe = out_is_pipe;
    }
    scan_reset(&shell->source->scan);
    free(vql);
    return is_ok;
}

bool query_print(struct shell *shell)
{
    char *vql = take_statement(shell);
    if (vql != NULL) {
        fprintf(shell->out, "%s\n", vql);
    }
    free(vql);
    return vql != NULL;
}

/* ---- \watch ---- */

/* False where Ctrl-C was pressed. */
static bool pause_for(double seconds)
{
    uint64_t end_us = clock_micros() + (uint64_t)(seconds * 1e6);
    for (;;) {
        uint64_t now_us = clock_micros();
        struct pollfd ready = {.fd = interrupt_fd(), .events = POLLIN};
        if (interrupt_take()) {
            return false;
        }
        if (now_us >= end_us) {
            return true;
        }
        poll(&ready, 1, (int)((end_us - now_us + 999) / 1000));
    }
}

bool query_watch(struct shell *shell, const char *seconds_text)
{
    double seconds = WATCH_SECONDS;
    char *end = NULL;
    if (seconds_text != NULL) {
        seconds = strtod(seconds_text, &end);
        if (end == seconds_text || *end != '\0' || !(seconds >= 0.1) ||
            seconds > WATCH_SECONDS_MAX) {
            return shell_complain(shell, "\\watch: \"%s\" is no number of seconds from 0.1 to %d",
                                  seconds_text, WATCH_SECONDS_MAX);
        }
    }
    char *vql = take_statement(shell);
    bool is_ok = vql != NULL;
    while (is_ok) {
        char now[64] = "";
        time_t at = (time_t)(clock_wall_micros() / 1000000);
        struct tm parts;
        if (localtime_r(&at, &parts) != NULL) {
            strftime(now, sizeof(now), "%Y-%m-%d %H:%M:%S", &parts);
        }
        fprintf(shell->out, "%s (every %g s)\n\n", now, seconds);
        is_ok = statement_run(shell, vql);
        if (shell->was_interrupted || !pause_for(seconds)) {
            putc('\n', shell->out); /* Behind the ^C of the terminal. */
            break;
        }
    }
    scan_reset(&shell->source->scan);
    free(vql);
    return is_ok;
}

/* ---- \e ---- */

/* All of @file, malloc'd; NULL where it cannot be read. */
static char *read_text(FILE *file)
{
    struct buf text;
    char piece[4096];
    size_t n;
    buf_init(&text, MEM_GENERAL, SHELL_TEXT_BYTES_MAX);
    while ((n = fread(piece, 1, sizeof(piece), file)) > 0) {
        buf_bytes(&text, piece, n);
    }
    buf_u8(&text, '\0');
    char *copy = ferror(file) || text.failed ? NULL : strdup((const char *)text.data);
    buf_fini(&text);
    return copy;
}

static bool run_editor(struct shell *shell, const char *path)
{
    static const char *const names[] = {"VSQL_EDITOR", "EDITOR", "VISUAL"};
    const char *editor = NULL;
    for (size_t i = 0; i < COUNT_OF(names) && editor == NULL; i++) {
        editor = getenv(names[i]);
    }
    char command[SHELL_PATH_BYTES + 256];
    snprintf(command, sizeof(command), "exec %s '%s'", editor == NULL ? "vi" : editor, path);
    int status = system(command);
    interrupt_take(); /* Ctrl-C was for the editor. */
    return status == 0 || shell_complain(shell, "\\e: the editor failed: %.200s", command);
}

bool query_edit(struct shell *shell)
{
    if (shell->edit == NULL || shell->source->file != NULL) {
        return shell_complain(shell, "\\e: there is no terminal");
    }
    char path[] = "/tmp/vsql.XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r+");
    if (file == NULL) {
        return shell_complain(shell, "\\e: %s: %s", path, strerror(errno));
    }
    struct scanner *scan = &shell->source->scan;
    const char *last = shell->last_vql == NULL ? "" : shell->last_vql;
    if (scan_is_empty(scan)) {
        fprintf(file, "%s%s\n", last, last[0] == '\0' ? "" : ";");
    } else {
        fprintf(file, "%.*s\n", (int)scan->text.bytes, (const char *)scan->text.data);
    }
    bool is_ok = fclose(file) == 0 && run_editor(shell, path);
    file = is_ok ? fopen(path, "r") : NULL; /* Anew: an editor may have put another in its place. */
    char *text = file == NULL ? NULL : read_text(file);
    if (file != NULL) {
        fclose(file);
    }
    unlink(path);
    if (text != NULL) {
        scan_reset(scan);
        edit_push(shell->edit, text);
    } else if (is_ok) {
        is_ok = shell_complain(shell, "\\e: %s: %s", path, strerror(errno));
    }
    free(text);
    return is_ok;
}
