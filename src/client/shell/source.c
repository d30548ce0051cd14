/* The main loop over a source of text: line -> scanner -> statements and commands.
 *
 * Sources nest (\i); each has a scanner of its own, so a file cannot end in the middle of an outer
 * statement.  The innermost is also where COPY ... FROM STDIN finds its lines. */
#include "client/shell/edit_int.h"
#include "client/shell/shell_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void prompt_text(const struct scanner *scan, char out[32])
{
    snprintf(out, 32, "vectron%c> ", scan_prompt(scan));
}

/* Runs the statement that the scanner holds. */
static bool run_scanned(struct shell *shell, struct scanner *scan)
{
    if (scan_is_empty(scan)) {
        scan_reset(scan);
        return true;
    }
    buf_u8(&scan->text, '\0');
    bool is_ok = scan->text.failed ? shell_complain(shell, "a statement is longer than %d MiB",
                                                    SHELL_TEXT_BYTES_MAX >> 20)
                                   : statement_run(shell, (const char *)scan->text.data);
    scan_reset(scan);
    return is_ok;
}

/* "exit", "quit" and "help" alone on a line, as people type them. */
static bool is_plain_word(struct shell *shell, const char *line, bool is_fresh)
{
    char word[8], rest;
    int n = sscanf(line, " %7[A-Za-z] ; %c", word, &rest);
    bool is_leaving = strcasecmp(word, "exit") == 0 || strcasecmp(word, "quit") == 0;
    if (n != 1 || (!is_leaving && strcasecmp(word, "help") != 0)) {
        return false;
    }
    if (!is_fresh) {
        fputs("A statement is being typed: \\r clears it, \\q leaves.\n", shell->out);
        return false;
    }
    shell->is_quitting = is_leaving;
    if (!is_leaving) {
        fputs("Statements end with a semicolon.  \\? lists commands, \\h statements, \\q leaves.\n",
              shell->out);
    }
    return true;
}

/* All that one line completes.  False where something failed and the source is to end. */
static bool run_line(struct shell *shell, struct source *source, const char *line, bool *failed)
{
    struct scanner *scan = &source->scan;
    bool is_terminal = source->file == NULL;
    if (is_terminal && scan->state == SCAN_PLAIN &&
        is_plain_word(shell, line, scan_is_empty(scan))) {
        edit_history_keep(shell->edit);
        return true;
    }
    scan_line(scan, line);
    while (!shell->is_quitting) {
        bool is_ok = true;
        enum scan_result found = scan_next(scan, shell->vars);
        if (is_terminal && found != SCAN_MORE) {
            edit_history_keep(shell->edit); /* Before it runs: it may take vsql with it. */
        }
        switch (found) {
        case SCAN_MORE:
            return true;
        case SCAN_STATEMENT:
            is_ok = run_scanned(shell, scan);
            break;
        case SCAN_COMMAND:
            is_ok = command_run(shell, scan->at, source_run_file);
            scan->at = ""; /* It takes the whole line. */
            break;
        }
        *failed = *failed || !is_ok;
        bool is_ended = shell->was_interrupted && !is_terminal;
        if (is_ended || (!is_ok && (shell_stops_on_error(shell) || source->is_text))) {
            *failed = true;
            return false;
        }
    }
    return true;
}

static bool source_run(struct shell *shell, struct source *source)
{
    if (shell->n_sources == SHELL_SOURCES_MAX) {
        return shell_complain(shell, "files include each other more than %d deep",
                              SHELL_SOURCES_MAX);
    }
    source->outer = shell->source;
    shell->source = source;
    shell->n_sources++;
    scan_init(&source->scan);
    bool failed = false, goes_on = true;
    const char *line = NULL;
    bool is_terminal = source->file == NULL;
    while (goes_on && !shell->is_quitting) {
        char prompt[32];
        prompt_text(&source->scan, prompt);
        line = source_read(shell, source, prompt);
        if (line != NULL) {
            if (is_terminal) {
                edit_history_add(shell->edit, line);
            }
            goes_on = run_line(shell, source, line, &failed);
        } else if (shell->was_interrupted && is_terminal) {
            edit_history_drop(shell->edit);
            scan_reset(&source->scan); /* Ctrl-C clears what was typed, with the lines before. */
        } else {
            goes_on = !shell->was_interrupted && !source->has_failed;
            failed = failed || !goes_on;
            break;
        }
    }
    if (goes_on && !shell->is_quitting && !is_terminal && !run_scanned(shell, &source->scan)) {
        failed = true; /* The last statement needs no semicolon. */
    }
    if (failed && (shell_stops_on_error(shell) || shell->was_interrupted) &&
        !shell->is_interactive && !source->is_text && shell->exit_code == EXIT_OK) {
        shell->exit_code = EXIT_SCRIPT;
        shell->is_quitting = true;
    }
    if (source->has_failed && shell->exit_code == EXIT_OK && !shell->is_interactive) {
        shell->exit_code = EXIT_OWN;
    }
    scan_fini(&source->scan);
    free(source->line_text);
    shell->source = source->outer;
    shell->n_sources--;
    return !failed;
}

bool source_run_text(struct shell *shell, const char *text)
{
    struct source source = {.is_text = true, .file = fmemopen((void *)text, strlen(text), "r")};
    if (source.file == NULL) {
        return text[0] == '\0' ? true : shell_complain(shell, "-c: %s", strerror(errno));
    }
    bool is_ok = source_run(shell, &source);
    fclose(source.file);
    return is_ok;
}

bool source_run_file(struct shell *shell, const char *path)
{
    struct source source = {.file = stdin};
    if (strcmp(path, "-") != 0) {
        source.name = path;
        source.file = shell_open(shell, path);
        if (source.file == NULL) {
            bool is_wanted = shell->source == NULL && shell->exit_code == EXIT_OK; /* By -f. */
            shell->exit_code = is_wanted ? EXIT_OWN : shell->exit_code;
            return false;
        }
    }
    bool is_ok = source_run(shell, &source);
    if (source.file != stdin) {
        fclose(source.file);
    }
    return is_ok;
}

bool source_run_terminal(struct shell *shell)
{
    struct source source = {0};
    return source_run(shell, &source);
}
