/* Line editing and history, by libedit.
 *
 * The history is kept in ~/.vsql_history, or where the variable HISTFILE or VSQL_HISTORY in the
 * environment says; an empty name keeps none.  An entry is a whole statement with its lines, and
 * is appended to the file when it is about to run: whatever ends vsql, it is there, and two shells
 * keep theirs side by side.  The file is as libedit reads it, a line an entry, with blanks and
 * backslashes in octal.
 *
 * Keys can be bound in ~/.editrc as for every program that uses libedit. */
#define _XOPEN_SOURCE 700
#include "client/shell/edit_int.h"
#include "client/shell/shell_int.h"
#include "client/shell/text_int.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

enum {
    HISTORY_ENTRIES = 2000, /* Where HISTSIZE says nothing else. */
    HISTORY_ENTRIES_MAX = 1000000,
    ENTRY_BYTES_MAX = 1 << 20,
    LISTED_MAX = 200
};

struct edit {
    struct shell *shell;
    EditLine *line;
    History *history;
    HistEvent event;
    char path[SHELL_PATH_BYTES];
    const char *prompt;
    char *text;       /* The line last given. */
    struct buf rest;  /* Lines that were recalled or pushed, and not given yet. */
    struct buf entry; /* Of the history, while it is being typed. */
};

static char *give_prompt(EditLine *line)
{
    struct edit *edit = NULL;
    el_get(line, EL_CLIENTDATA, &edit);
    return (char *)edit->prompt;
}

/* A key for libedit: 1, 0 at the end of input, -1 where Ctrl-C was pressed.  libedit's own would
 * miss one that comes just before it reads. */
static int read_key(EditLine *line, wchar_t *out)
{
    (void)line;
    mbstate_t state = {0};
    for (;;) {
        struct pollfd ready[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                  {.fd = interrupt_fd(), .events = POLLIN}};
        char byte;
        if (poll(ready, 2, -1) < 0) {
            continue; /* A signal. */
        }
        if (ready[1].revents != 0) {
            errno = EINTR;
            return -1;
        }
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n <= 0) {
            return n < 0 && errno != EIO ? -1 : 0; /* EIO: the terminal has gone. */
        }
        size_t used = mbrtowc(out, &byte, 1, &state);
        if (used == (size_t)-1) {
            *out = 0xfffd; /* No UTF-8. */
            return 1;
        }
        if (used != (size_t)-2) {
            return 1;
        }
    }
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

static int history_entries(const struct shell *shell)
{
    const char *text = vars_get(shell->vars, "HISTSIZE");
    char *end = NULL;
    long n = text == NULL ? HISTORY_ENTRIES : strtol(text, &end, 10);
    bool is_number = text == NULL || (end != text && *end == '\0');
    return !is_number                         ? HISTORY_ENTRIES
           : n < 0 || n > HISTORY_ENTRIES_MAX ? HISTORY_ENTRIES_MAX
                                              : (int)n;
}

static void choose_file(struct edit *edit)
{
    const char *named = vars_get(edit->shell->vars, "HISTFILE"), *home = getenv("HOME");
    named = named != NULL ? named : getenv("VSQL_HISTORY");
    if (named != NULL) {
        snprintf(edit->path, sizeof(edit->path), "%s", named);
    } else if (home != NULL) {
        snprintf(edit->path, sizeof(edit->path), "%s/.vsql_history", home);
    }
}

static size_t count_lines(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t lines = 0;
    for (int c; file != NULL && (c = getc(file)) != EOF;) {
        lines += c == '\n';
    }
    if (file != NULL) {
        fclose(file);
    }
    return lines;
}

/* A file that has grown to twice of what is kept is written anew. */
static void shorten_file(struct edit *edit, int entries)
{
    char path[SHELL_PATH_BYTES + 8];
    if (count_lines(edit->path) <= 2 * (size_t)entries + 1) {
        return;
    }
    snprintf(path, sizeof(path), "%s.new", edit->path);
    mode_t old = umask(077); /* Statements hold data. */
    if (history(edit->history, &edit->event, H_SAVE, path) >= 0) {
        (void)rename(path, edit->path); /* It stays long, then. */
    }
    umask(old);
}

static void load_history(struct edit *edit)
{
    int entries = history_entries(edit->shell);
    choose_file(edit);
    history(edit->history, &edit->event, H_SETSIZE, entries);
    history(edit->history, &edit->event, H_SETUNIQUE, 1);
    if (edit->path[0] == '\0' || count_lines(edit->path) == 0) {
        return;
    }
    if (history(edit->history, &edit->event, H_LOAD, edit->path) < 0) {
        shell_complain(edit->shell, "%s holds no history; none is kept", edit->path);
        edit->path[0] = '\0';
        return;
    }
    shorten_file(edit, entries);
}

/* Appends an entry in one write, so that those of two shells do not mix. */
static void save_entry(struct edit *edit, const char *entry)
{
    static const char cookie[] = "_HiStOrY_V2_\n"; /* libedit's. */
    struct buf line;
    struct stat facts;
    int fd = open(edit->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    buf_init(&line, MEM_GENERAL, 5 * ENTRY_BYTES_MAX);
    if (fd >= 0 && fstat(fd, &facts) == 0 && facts.st_size == 0) {
        buf_bytes(&line, cookie, sizeof(cookie) - 1);
    }
    for (; *entry != '\0'; entry++) {
        unsigned char c = (unsigned char)*entry;
        if (c <= ' ' || c == '\\' || c == 0x7f) {
            buf_printf(&line, "\\%03o", c);
        } else {
            buf_u8(&line, c);
        }
    }
    buf_u8(&line, '\n');
    bool is_ok = fd >= 0 && !line.failed && write(fd, line.data, line.bytes) == (ssize_t)line.bytes;
    if (!is_ok) {
        shell_complain(edit->shell, "the history is not saved to %s: %s", edit->path,
                       strerror(errno));
        edit->path[0] = '\0';
    }
    if (fd >= 0) {
        close(fd);
    }
    buf_fini(&line);
}

/* HISTCONTROL: what begins with a blank is not kept. */
static bool is_private(const struct edit *edit, const char *entry)
{
    const char *control = vars_get(edit->shell->vars, "HISTCONTROL");
    return entry[0] == ' ' && control != NULL &&
           (strcmp(control, "ignorespace") == 0 || strcmp(control, "ignoreboth") == 0);
}

void edit_history_add(struct edit *edit, const char *line)
{
    if (edit->entry.bytes > 0) {
        buf_u8(&edit->entry, '\n');
    } else if (line[strspn(line, " \t")] == '\0') {
        return;
    }
    buf_bytes(&edit->entry, line, strlen(line));
}

void edit_history_drop(struct edit *edit)
{
    buf_reset(&edit->entry);
    edit->entry.failed = false;
}

void edit_history_keep(struct edit *edit)
{
    if (edit->entry.bytes == 0) {
        return; /* The second statement of a line. */
    }
    buf_u8(&edit->entry, '\0');
    const char *entry = (const char *)edit->entry.data;
    bool is_again = !edit->entry.failed && history(edit->history, &edit->event, H_FIRST) >= 0 &&
                    strcmp(edit->event.str, entry) == 0;
    if (!edit->entry.failed && !is_again && !is_private(edit, entry)) {
        history(edit->history, &edit->event, H_ENTER, entry);
        if (edit->path[0] != '\0') {
            save_entry(edit, entry);
        }
    }
    edit_history_drop(edit);
}

void edit_history_print(struct edit *edit, FILE *out)
{
    int more = history(edit->history, &edit->event, H_LAST);
    for (; more >= 0; more = history(edit->history, &edit->event, H_PREV)) {
        fprintf(out, "%s\n", edit->event.str);
    }
}

/* ---- lines ---- */

struct edit *edit_new(struct shell *shell)
{
    struct edit *edit = calloc(1, sizeof(*edit));
    CHECK(edit != NULL);
    edit->shell = shell;
    edit->prompt = "";
    buf_init(&edit->rest, MEM_GENERAL, SHELL_TEXT_BYTES_MAX);
    buf_init(&edit->entry, MEM_GENERAL, ENTRY_BYTES_MAX);
    edit->line = el_init("vsql", stdin, stdout, stderr);
    edit->history = history_init();
    CHECK(edit->line != NULL && edit->history != NULL);
    load_history(edit);
    el_set(edit->line, EL_CLIENTDATA, edit);
    el_set(edit->line, EL_PROMPT, give_prompt);
    el_set(edit->line, EL_SIGNAL, 1);
    el_wset(edit->line, EL_GETCFN, read_key);
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
    buf_fini(&edit->rest);
    buf_fini(&edit->entry);
    history_end(edit->history);
    el_end(edit->line);
    free(edit->text);
    free(edit);
}

void edit_push(struct edit *edit, const char *text)
{
    buf_bytes(&edit->rest, text, strlen(text));
    if (text[0] != '\0' && text[strlen(text) - 1] != '\n') {
        buf_u8(&edit->rest, '\n');
    }
    fputs(text, stdout);
}

/* The first line of the rest, which ends with a newline. */
static const char *take_rest(struct edit *edit)
{
    const char *text = (const char *)edit->rest.data;
    const char *end = memchr(text, '\n', edit->rest.bytes);
    size_t bytes = end == NULL ? edit->rest.bytes : (size_t)(end - text);
    free(edit->text);
    edit->text = strndup(text, bytes > 0 && text[bytes - 1] == '\r' ? bytes - 1 : bytes);
    buf_discard(&edit->rest, end == NULL ? bytes : bytes + 1);
    return edit->text;
}

const char *edit_line(struct edit *edit, const char *prompt, bool *is_interrupted)
{
    *is_interrupted = false;
    edit->prompt = prompt;
    if (edit->rest.bytes == 0) {
        int n = 0;
        const char *line = el_gets(edit->line, &n);
        if (line == NULL || n <= 0) {
            *is_interrupted = interrupt_take();
            fputs(*is_interrupted ? "^C\n" : "\\q\n", stdout);
            return NULL;
        }
        /* An entry of the history may be several lines. */
        buf_bytes(&edit->rest, line, strlen(line));
    }
    return take_rest(edit);
}
