/* What Tab offers: from the words before the cursor it is told what may stand here, and the names
 * of collections, columns and policies are asked of the server then and there. */
#define _XOPEN_SOURCE 700
#include "client/shell/edit_int.h"
#include "client/shell/shell_int.h"
#include "client/shell/text_int.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum {
    CANDIDATES_MAX = 10000,
    WORD_BYTES = 256,
    ANSWER_WAIT_MS = 1000, /* A server that is slower does not hold up the typing. */
};

/* ---- the list ---- */

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add(struct candidates *c, const char *text)
{
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->items[i], text) == 0) {
            return;
        }
    }
    if (c->n == CANDIDATES_MAX) {
        return;
    }
    char **items = realloc(c->items, (c->n + 1) * sizeof(*items));
    if (items == NULL) {
        return;
    }
    c->items = items;
    char *copy = strdup(text);
    if (copy != NULL) {
        c->items[c->n++] = copy;
    }
}

void candidates_free(struct candidates *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->items[i]);
    }
    free(c->items);
    *c = (struct candidates){0};
}

size_t candidates_common(const struct candidates *c)
{
    if (c->n == 0) {
        return 0;
    }
    size_t common = strlen(c->items[0]);
    for (size_t i = 1; i < c->n; i++) {
        size_t n = 0;
        while (n < common && c->items[i][n] == c->items[0][n]) {
            n++;
        }
        common = n;
    }
    while (common > 0 && ((unsigned char)c->items[0][common] & 0xc0) == 0x80) {
        common--; /* Never half a character. */
    }
    return common;
}

static bool begins_with(const char *text, const char *word)
{
    return strncasecmp(text, word, strlen(word)) == 0;
}

/* ---- the words ---- */

/* The text before the cursor, the lines before included. */
struct context {
    struct shell *shell;
    const char *before; /* Ends at the cursor. */
    char word[WORD_BYTES];
    struct candidates *out;
};

static bool is_word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == ':' || (unsigned char)c >= 0x80;
}

/* Copies the word that ends @end, and gives where it begins. */
static const char *word_before(const char *begin, const char *end, char out[WORD_BYTES])
{
    const char *at = end;
    while (at > begin && is_word_char(at[-1])) {
        at--;
    }
    size_t bytes = (size_t)(end - at) < WORD_BYTES - 1 ? (size_t)(end - at) : WORD_BYTES - 1;
    memcpy(out, at, bytes);
    out[bytes] = '\0';
    return at;
}

/* The @n-th word before the one being typed (1: the last); "" where there is none.  A mark that is
 * no word counts as one. */
static void previous_word(const struct context *x, unsigned n, char out[WORD_BYTES])
{
    const char *at = x->before + strlen(x->before) - strlen(x->word);
    out[0] = '\0';
    while (n-- > 0) {
        while (at > x->before && isspace((unsigned char)at[-1])) {
            at--;
        }
        if (at == x->before) {
            out[0] = '\0';
            return;
        }
        if (is_word_char(at[-1])) {
            at = word_before(x->before, at, out);
        } else {
            at--;
            out[0] = *at;
            out[1] = '\0';
        }
    }
}

static bool is_one_of(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(word, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Behind the name in double quotes at @at; the end where it is not closed. */
static const char *skip_quoted(const char *at)
{
    for (at++; *at != '\0'; at++) {
        if (*at == '"') {
            at++;
            if (*at != '"') {
                break;
            }
        }
    }
    return at;
}

/* The word behind the last FROM, INTO, UPDATE, COPY or DESCRIBE: the collection talked about, as it
 * was written. */
static bool find_collection(const struct context *x, char out[WORD_BYTES])
{
    static const char *const leads[] = {"from", "into", "update", "copy", "describe"};
    char last[WORD_BYTES] = "", word[WORD_BYTES];
    bool is_found = false;
    const char *at = x->before;
    while (*at != '\0') {
        const char *begin = at;
        if (*at == '"') {
            at = skip_quoted(at);
            snprintf(word, sizeof(word), "%.*s", (int)(at - begin), begin);
            if (is_one_of(last, leads, COUNT_OF(leads))) {
                memcpy(out, word, WORD_BYTES);
                is_found = true;
            }
            last[0] = '\0';
            continue;
        }
        while (is_word_char(*at)) {
            at++;
        }
        if (at == begin) {
            if (*at == '(') { /* FROM (SHOW view) */
                last[0] = '\0';
            }
            at++;
            continue;
        }
        word_before(begin, at, word);
        if (is_one_of(last, leads, COUNT_OF(leads))) {
            memcpy(out, word, WORD_BYTES);
            is_found = true;
        }
        memcpy(last, word, WORD_BYTES);
    }
    return is_found;
}

/* ---- what may stand here ---- */

/* A keyword in the case that the word was begun in. */
static void add_keyword(struct context *x, const char *keyword)
{
    if (!begins_with(keyword, x->word)) {
        return;
    }
    bool is_lower = x->word[0] != '\0' && islower((unsigned char)x->word[0]);
    char text[WORD_BYTES];
    size_t i = 0;
    for (; i < sizeof(text) - 1 && keyword[i] != '\0'; i++) {
        text[i] = (char)(is_lower ? tolower((unsigned char)keyword[i])
                                  : toupper((unsigned char)keyword[i]));
    }
    text[i] = '\0';
    add(x->out, text);
}

static void add_keywords(struct context *x)
{
    for (size_t i = 0; x->word[0] != '\0' && i < n_shell_keywords; i++) {
        add_keyword(x, shell_keywords[i]);
    }
    for (size_t i = 0; x->word[0] != '\0' && i < n_shell_functions; i++) {
        add_keyword(x, shell_functions[i]);
    }
}

/* A name as VQL takes it; in double quotes too where the word was begun so. */
static void add_name(struct context *x, const char *name)
{
    bool is_quoted = x->word[0] == '"';
    struct buf text;
    if (!begins_with(name, x->word + is_quoted)) {
        return;
    }
    buf_init(&text, MEM_GENERAL, SHELL_PATH_BYTES);
    if (is_quoted && text_is_plain_name(name)) {
        buf_printf(&text, "\"%s\"", name);
    } else {
        text_identifier(&text, name);
    }
    buf_u8(&text, '\0');
    if (!text.failed) {
        add(x->out, (const char *)text.data);
    }
    buf_fini(&text);
}

/* A name of the server's own, which is taken without quotes where it stands. */
static void add_own_name(struct context *x, const char *name)
{
    if (begins_with(name, x->word)) {
        add(x->out, name);
    }
}

/* The names that @vql gives, of rows whose kind is @kind where they have one. */
static void add_from_server(struct context *x, const char *vql, const char *kind,
                            void (*add_one)(struct context *x, const char *name))
{
    vc_result *result = statement_ask(x->shell, vql, ANSWER_WAIT_MS);
    int name_column = vc_result_state(result) == VC_ROWS ? vc_column_number(result, "name") : -1;
    int kind_column = vc_column_number(result, "kind");
    for (size_t row = 0; name_column >= 0 && row < vc_rows(result); row++) {
        const char *text = vc_text(result, row, (size_t)name_column);
        bool is_kind = kind == NULL || kind_column < 0 ||
                       strcmp(vc_text(result, row, (size_t)kind_column), kind) == 0;
        if (is_kind) {
            add_one(x, text);
        }
    }
    vc_result_free(result);
}

static void add_collections(struct context *x)
{
    add_from_server(x, "SHOW COLLECTIONS", NULL, add_name);
}

static void add_columns(struct context *x)
{
    char collection[WORD_BYTES], vql[WORD_BYTES + 32];
    if (find_collection(x, collection)) {
        snprintf(vql, sizeof(vql), "DESCRIBE %s", collection);
        add_from_server(x, vql, "column", add_name);
    }
}

/* Those that can be set in @scope; all where it is NULL. */
static void add_policies(struct context *x, const char *scope)
{
    char vql[WORD_BYTES];
    snprintf(vql, sizeof(vql), "SELECT name FROM (SHOW POLICIES) WHERE scopes LIKE '%%%s%%'",
             scope == NULL ? "" : scope);
    add_from_server(x, vql, NULL, add_own_name);
}

/* In WITH (...). */
static void add_policies_of_statement(struct context *x)
{
    bool is_creating = strncasecmp(x->before + strspn(x->before, " \t\r\n"), "create", 6) == 0;
    add_policies(x, is_creating ? "collection" : "statement");
}

static void add_views(struct context *x)
{
    add_from_server(x, "SHOW VIEWS", NULL, add_own_name);
    add_keyword(x, "all");
}

static void add_statements(struct context *x)
{
    for (size_t i = 0; help_topic(i) != NULL; i++) {
        add_keyword(x, help_topic(i));
    }
}

/* True between WITH ( and its end. */
static bool is_in_options(const struct context *x)
{
    char word[WORD_BYTES];
    for (unsigned n = 1; n < 200; n++) {
        previous_word(x, n, word);
        if (word[0] == '\0' || word[0] == ')' || word[0] == ';') {
            return false;
        }
        if (word[0] == '(') {
            previous_word(x, n + 1, word);
            return strcasecmp(word, "with") == 0;
        }
    }
    return false;
}

static void complete_vql(struct context *x)
{
    static const char *const before_collection[] = {"from", "into",     "update",
                                                    "copy", "describe", "collection"};
    char last[WORD_BYTES], second[WORD_BYTES];
    previous_word(x, 1, last);
    previous_word(x, 2, second);
    if (last[0] == '\0' || last[0] == ';' || strcasecmp(last, "explain") == 0 ||
        strcasecmp(last, "analyze") == 0) {
        add_statements(x);
    } else if (is_one_of(last, before_collection, COUNT_OF(before_collection)) &&
               strcasecmp(second, "create") != 0) {
        add_collections(x);
    } else if (last[0] == '(' && strcasecmp(second, "from") == 0) {
        add_keyword(x, "show");
        add_keyword(x, "describe");
    } else if (strcasecmp(last, "reset") == 0) {
        add_policies(x, "session");
        add_keyword(x, "all");
    } else if (strcasecmp(last, "show") == 0) {
        add_views(x);
        add_policies(x, NULL);
    } else if (strcasecmp(last, "set") == 0 && second[0] == '\0') {
        add_policies(x, "session");
    } else if (is_in_options(x)) {
        add_policies_of_statement(x);
    } else {
        add_columns(x);
        add_keywords(x);
    }
}

static void add_variables(struct context *x)
{
    char text[SHELL_NAME_BYTES + 1];
    for (const struct variable *v = x->shell->vars; v != NULL; v = v->next) {
        snprintf(text, sizeof(text), ":%s", v->name);
        if (strncmp(text, x->word, strlen(x->word)) == 0) {
            add(x->out, text);
        }
    }
}

/* Files whose path begins with @path. */
static void add_files(struct candidates *out, const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[SHELL_PATH_BYTES];
    size_t folder_bytes = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    if (folder_bytes >= sizeof(folder)) {
        return;
    }
    memcpy(folder, path, folder_bytes);
    folder[folder_bytes] = '\0';
    DIR *dir = opendir(folder_bytes == 0 ? "." : folder);
    const char *begin = path + folder_bytes;
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char text[SHELL_PATH_BYTES + 258];
        struct stat facts;
        size_t bytes;
        if (strncmp(entry->d_name, begin, strlen(begin)) != 0 ||
            (entry->d_name[0] == '.' && begin[0] != '.')) {
            continue;
        }
        bytes = (size_t)snprintf(text, sizeof(text), "%s%s", folder, entry->d_name);
        if (stat(text, &facts) == 0 && S_ISDIR(facts.st_mode)) {
            snprintf(text + bytes, sizeof(text) - bytes, "/");
        }
        add(out, text);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    if (out->n == 1 && out->items[0][strlen(out->items[0]) - 1] == '/') {
        out->append = '\0';
    }
}

/* The path that ends the line, which may stand in quotes. */
static void complete_file(struct context *x, const char *begin)
{
    const char *last = begin + strlen(begin);
    while (last > begin && !isspace((unsigned char)last[-1]) && last[-1] != '\'') {
        last--;
    }
    snprintf(x->word, sizeof(x->word), "%s", last);
    x->out->append = last > begin && last[-1] == '\'' ? '\'' : ' ';
    add_files(x->out, last);
}

static void complete_copy(struct context *x, const char *arguments, const char *before)
{
    const char *const words[] = {
        "from", "to", "on conflict do nothing", "on conflict do update", "with", "format", "ids"};
    if (strcmp(before, "copy") == 0) {
        add_collections(x);
    } else if (strcasecmp(before, "from") == 0 || strcasecmp(before, "to") == 0 ||
               before[0] == '\'') {
        complete_file(x, arguments);
    } else {
        for (size_t i = 0; i < COUNT_OF(words); i++) {
            add_keyword(x, words[i]);
        }
    }
}

/* On a line that begins with a backslash. */
static const char *const commands[] = {
#define COMMAND(name, function, kind, arguments, text) name,
#include "client/shell/commands.def"
#undef COMMAND
};

static void complete_command(struct context *x, const char *line)
{
    const char *blank = strpbrk(line, " \t");
    if (blank == NULL) {
        snprintf(x->word, sizeof(x->word), "%s", line);
        for (size_t i = 0; i < COUNT_OF(commands); i++) {
            char text[32];
            snprintf(text, sizeof(text), "\\%s", commands[i]);
            if (strncmp(text, line, strlen(line)) == 0) {
                add(x->out, text);
            }
        }
        return;
    }
    static const char *const of_files[] = {"i", "o", "g", "gx"};
    static const char *const of_collections[] = {"d", "dt", "d+", "dt+"};
    char name[16], before[WORD_BYTES];
    snprintf(name, sizeof(name), "%.*s", (int)(blank - line - 1), line + 1);
    previous_word(x, 1, before);
    if (is_one_of(name, of_files, COUNT_OF(of_files))) {
        complete_file(x, blank);
    } else if (is_one_of(name, of_collections, COUNT_OF(of_collections))) {
        add_collections(x);
    } else if (strcmp(name, "h") == 0) {
        add_statements(x);
    } else if (strcmp(name, "pset") == 0) {
        for (size_t i = 0; pset_name(i) != NULL; i++) {
            if (begins_with(pset_name(i), x->word)) {
                add(x->out, pset_name(i));
            }
        }
    } else if (strcmp(name, "copy") == 0) {
        complete_copy(x, blank, before);
    }
}

/* The word being typed: from its double quote on where one is open. */
static void word_at_end(const char *before, char out[WORD_BYTES])
{
    const char *open = NULL;
    for (const char *at = before; *at != '\0';) {
        if (*at == '\'') {
            at += strcspn(at + 1, "'") + 1;
            at += *at == '\'';
        } else if (*at == '"') {
            const char *end = skip_quoted(at);
            bool is_closed = end - at >= 2 && end[-1] == '"';
            open = is_closed ? NULL : at;
            at = end;
        } else {
            at++;
        }
    }
    if (open != NULL && strlen(open) < WORD_BYTES) {
        memcpy(out, open, strlen(open) + 1);
    } else {
        word_before(before, before + strlen(before), out);
    }
}

void complete_line(struct shell *shell, const char *line, size_t cursor, struct candidates *out)
{
    *out = (struct candidates){.append = ' '};
    struct buf before;
    buf_init(&before, MEM_GENERAL, SHELL_TEXT_BYTES_MAX);
    if (shell->source != NULL && shell->source->scan.text.bytes > 0) {
        buf_bytes(&before, shell->source->scan.text.data, shell->source->scan.text.bytes);
        buf_u8(&before, '\n');
    }
    size_t line_at = before.bytes;
    buf_bytes(&before, line, cursor);
    buf_u8(&before, '\0');
    if (!before.failed) {
        struct context x = {.shell = shell, .before = (const char *)before.data, .out = out};
        word_at_end(x.before, x.word);
        const char *own = x.before + line_at;
        if (own[0] == '\\') {
            complete_command(&x, own);
        } else if (x.word[0] == ':') {
            add_variables(&x);
        } else {
            complete_vql(&x);
        }
        out->word_bytes = strlen(x.word);
    }
    buf_fini(&before);
    if (out->n > 1) {
        qsort(out->items, out->n, sizeof(*out->items), compare);
    }
}
