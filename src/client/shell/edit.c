/* Line editing and history, by libedit.
 *
 * The history is kept in ~/.vsql_history, or where VSQL_HISTORY says; an empty VSQL_HISTORY keeps
 * none.  Keys can be bound in ~/.editrc as for every program that uses libedit. */
#define _XOPEN_SOURCE 700
#include "client/shell/shell_int.h"

#include <errno.h>
#include <histedit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HISTORY_LINES = 2000,
    LISTED_MAX = 200
};

struct edit {
    struct shell *shell;
    EditLine *line;
    History *history;
    HistEvent event;
    char path[SHELL_PATH_BYTES];
    const char *prompt;
    char *text; /* The line last given. */
};

static char *give_prompt(EditLine *line)
{
    struct edit *edit = NULL;
    el_get(line, EL_CLIENTDATA, &edit);
    return (char *)edit->prompt;
}

/* Below the line, in columns. */
static void list_candidates(const struct candidates *c)
{
    unsigned rows, columns, widest = 0;
    screen_size(&rows, &columns);
    size_t n = c->n < LISTED_MAX ? c->n : LISTED_MAX;
    for (size_t i = 0; i < n; i++) {
        unsigned width = text_width(c->items[i], strlen(c->items[i]));
        widest = width > widest ? width : widest;
    }
    size_t across = columns / (widest + 2) == 0 ? 1 : columns / (widest + 2);
    size_t down = (n + across - 1) / across;
    putc('\n', stdout);
    for (size_t row = 0; row < down; row++) {
        for (size_t i = row; i < n; i += down) {
            unsigned width = text_width(c->items[i], strlen(c->items[i]));
            bool is_last = i + down >= n;
            fprintf(stdout, "%s%*s", c->items[i], is_last ? 0 : (int)(widest + 2 - width), "");
        }
        putc('\n', stdout);
    }
    if (n < c->n) {
        printf("... and %zu more\n", c->n - n);
    }
    fflush(stdout);
}

/* Puts @bytes of the first candidate in place of the word, and @append behind. */
static void insert(EditLine *line, const struct candidates *c, size_t bytes, char append)
{
    char *text = calloc(1, bytes + 2);
    if (text == NULL) {
        return;
    }
    memcpy(text, c->items[0], bytes);
    text[bytes] = append;
    /* libedit counts characters, the candidates bytes. */
    const LineInfo *info = el_line(line);
    int characters = 0;
    for (const char *at = info->cursor - c->word_bytes; at < info->cursor; at++) {
        characters += ((unsigned char)*at & 0xc0) != 0x80;
    }
    el_deletestr(line, characters);
    if (text[0] != '\0') {
        el_insertstr(line, text);
    }
    free(text);
}

static unsigned char complete_key(EditLine *line, int key)
{
    (void)key;
    struct edit *edit = NULL;
    el_get(line, EL_CLIENTDATA, &edit);
    const LineInfo *info = el_line(line);
    size_t bytes = (size_t)(info->lastchar - info->buffer);
    char *copy = strndup(info->buffer, bytes);
    if (copy == NULL) {
        return CC_ERROR;
    }
    struct candidates found = {0};
    complete_line(edit->shell, copy, (size_t)(info->cursor - info->buffer), &found);
    free(copy);
    unsigned char what = CC_REFRESH;
    size_t common = candidates_common(&found);
    if (found.n == 0) {
        what = CC_ERROR;
    } else if (found.n == 1) {
        insert(line, &found, common, found.append);
    } else if (common > found.word_bytes) {
        insert(line, &found, common, '\0');
    } else {
        list_candidates(&found);
        what = CC_REDISPLAY;
    }
    candidates_free(&found);
    return what;
}

/* ---- history ---- */

static void load_history(struct edit *edit)
{
    const char *named = getenv("VSQL_HISTORY"), *home = getenv("HOME");
    if (named != NULL) {
        snprintf(edit->path, sizeof(edit->path), "%s", named);
    } else if (home != NULL) {
        snprintf(edit->path, sizeof(edit->path), "%s/.vsql_history", home);
    }
    history(edit->history, &edit->event, H_SETSIZE, HISTORY_LINES);
    history(edit->history, &edit->event, H_SETUNIQUE, 1);
    if (edit->path[0] != '\0') {
        /* It need not exist yet. */
        history(edit->history, &edit->event, H_LOAD, edit->path);
    }
}

static void save_history(struct edit *edit)
{
    if (edit->path[0] == '\0') {
        return;
    }
    mode_t old = umask(077); /* Statements hold data. */
    if (history(edit->history, &edit->event, H_SAVE, edit->path) < 0) {
        shell_complain(edit->shell, "the history was not saved to %s: %s", edit->path,
                       strerror(errno));
    }
    umask(old);
}

/* ---- lines ---- */

struct edit *edit_new(struct shell *shell)
{
    struct edit *edit = calloc(1, sizeof(*edit));
    CHECK(edit != NULL);
    edit->shell = shell;
    edit->prompt = "";
    edit->line = el_init("vsql", stdin, stdout, stderr);
    edit->history = history_init();
    CHECK(edit->line != NULL && edit->history != NULL);
    load_history(edit);
    el_set(edit->line, EL_CLIENTDATA, edit);
    el_set(edit->line, EL_PROMPT, give_prompt);
    el_set(edit->line, EL_SIGNAL, 1);
    el_set(edit->line, EL_EDITOR, "emacs");
    el_set(edit->line, EL_HIST, history, edit->history);
    el_set(edit->line, EL_ADDFN, "vsql-complete", "Complete a word", complete_key);
    el_set(edit->line, EL_BIND, "^I", "vsql-complete", NULL);
    el_set(edit->line, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(edit->line, NULL); /* ~/.editrc */
    return edit;
}

void edit_free(struct edit *edit)
{
    if (edit == NULL) {
        return;
    }
    save_history(edit);
    history_end(edit->history);
    el_end(edit->line);
    free(edit->text);
    free(edit);
}

const char *edit_line(struct edit *edit, const char *prompt, bool *is_interrupted)
{
    *is_interrupted = false;
    edit->prompt = prompt;
    interrupt_take();
    int n = 0;
    const char *line = el_gets(edit->line, &n);
    if (line == NULL || n <= 0) {
        *is_interrupted = interrupt_take();
        fputs(*is_interrupted ? "^C\n" : "\\q\n", stdout);
        return NULL;
    }
    size_t bytes = strlen(line);
    while (bytes > 0 && (line[bytes - 1] == '\n' || line[bytes - 1] == '\r')) {
        bytes--;
    }
    free(edit->text);
    edit->text = strndup(line, bytes);
    if (edit->text != NULL && edit->text[strspn(edit->text, " \t")] != '\0') {
        history(edit->history, &edit->event, H_ENTER, edit->text);
    }
    return edit->text;
}
