/* \d and \dt: names and patterns as psql takes them.
 *
 * Outside of double quotes letters become small, * stands for any text and ? for any character;
 * inside all stands for itself. */
#include "client/client_int.h"
#include "client/shell/shell_int.h"
#include "client/shell/text_int.h"

#include <stdlib.h>
#include <string.h>

enum {
    ANY_TEXT = 1, /* What * and ? become: no name holds these bytes. */
    ANY_CHARACTER = 2,
};

bool pattern_parse(const char *text, char out[PATTERN_BYTES], bool *is_name)
{
    bool is_quoted = false;
    size_t n = 0;
    *is_name = true;
    for (; *text != '\0' && (is_quoted || strchr(" \t;", *text) == NULL); text++) {
        char c = *text;
        if (c == '"' && !(is_quoted && text[1] == '"')) {
            is_quoted = !is_quoted;
            continue;
        }
        text += c == '"';
        if (!is_quoted && (c == '*' || c == '?')) {
            c = c == '*' ? ANY_TEXT : ANY_CHARACTER;
            *is_name = false;
        } else if (!is_quoted && c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        }
        if (n + 1 == PATTERN_BYTES) {
            return false;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return !is_quoted && text[strspn(text, " \t;")] == '\0';
}

bool pattern_matches(const char *pattern, const char *name)
{
    const char *star = NULL, *again = NULL;
    while (*name != '\0') {
        if (*pattern == ANY_TEXT) {
            star = pattern++;
            again = name;
        } else if (*pattern == *name || *pattern == ANY_CHARACTER) {
            pattern++;
            do {
                name++;
            } while (((unsigned char)*name & 0xc0) == 0x80 && pattern[-1] == ANY_CHARACTER);
        } else if (star != NULL) {
            pattern = star + 1; /* The * takes one byte more. */
            name = ++again;
        } else {
            return false;
        }
    }
    while (*pattern == ANY_TEXT) {
        pattern++;
    }
    return *pattern == '\0';
}

/* ---- the commands ---- */

/* The collections whose names match; NULL where it was told why there are none. */
static vc_result *find_collections(struct shell *shell, const char *pattern, const char *text)
{
    vc_result *result = statement_rows(shell, "SHOW COLLECTIONS");
    int column = vc_column_number(result, "name");
    if (result == NULL || column < 0) {
        vc_result_free(result);
        return NULL;
    }
    bool *keep = calloc(vc_rows(result) + 1, sizeof(*keep));
    for (size_t row = 0; keep != NULL && row < vc_rows(result); row++) {
        keep[row] = pattern_matches(pattern, vc_text(result, row, (size_t)column));
    }
    if (keep != NULL) {
        result_keep_rows(result, keep);
    }
    free(keep);
    if (vc_rows(result) == 0) {
        shell_complain(shell, "no collection is named \"%s\"; \\dt lists all", text);
        vc_result_free(result);
        return NULL;
    }
    return result;
}

static bool describe(struct shell *shell, const char *name)
{
    struct buf vql;
    buf_init(&vql, MEM_GENERAL, SHELL_TEXT_BYTES_MAX);
    buf_printf(&vql, "DESCRIBE ");
    text_identifier(&vql, name);
    buf_u8(&vql, '\0');
    bool is_ok = !vql.failed && statement_run(shell, (const char *)vql.data);
    buf_fini(&vql);
    return is_ok;
}

static bool read_pattern(struct shell *shell, const char *text, char out[PATTERN_BYTES],
                         bool *is_name)
{
    return pattern_parse(text, out, is_name) ||
           shell_complain(shell,
                          "one name or pattern is needed, with blanks and capitals in double "
                          "quotes, not: %s",
                          text);
}

bool describe_command(struct shell *shell, const char *arguments)
{
    const char *text = arguments + strspn(arguments, " \t");
    char pattern[PATTERN_BYTES];
    bool is_name;
    if (*text == '\0' || *text == ';') {
        return statement_run(shell, "SHOW COLLECTIONS");
    }
    if (!read_pattern(shell, text, pattern, &is_name)) {
        return false;
    }
    if (is_name) {
        return describe(shell, pattern);
    }
    vc_result *found = find_collections(shell, pattern, text);
    bool is_ok = found != NULL;
    for (size_t row = 0; is_ok && row < vc_rows(found); row++) {
        const char *name = vc_text(found, row, (size_t)vc_column_number(found, "name"));
        fprintf(shell->out, "Collection \"%s\"\n", name);
        is_ok = describe(shell, name);
    }
    vc_result_free(found);
    return is_ok;
}

bool list_command(struct shell *shell, const char *arguments)
{
    const char *text = arguments + strspn(arguments, " \t");
    char pattern[PATTERN_BYTES];
    bool is_name;
    if (*text == '\0' || *text == ';') {
        return statement_run(shell, "SHOW COLLECTIONS");
    }
    if (!read_pattern(shell, text, pattern, &is_name)) {
        return false;
    }
    vc_result *found = find_collections(shell, pattern, text);
    if (found != NULL) {
        print_result(shell, found);
    }
    vc_result_free(found);
    return found != NULL;
}
