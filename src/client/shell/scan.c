/* Lines become statements and backslash commands.
 *
 * A statement ends at a semicolon that is not in quotes, a comment, parentheses or brackets.  The
 * rules of quotes and comments are the lexer's of VQL: '' and "" stand for a quote inside of one,
 * and in E'...' so does \'. Outside of them :name, :'name' and :"name" are replaced by the
 * variable, plain, as a literal and as an identifier; where there is no such variable the text
 * stays as it is. */
#include "client/shell/shell_int.h"

#include <ctype.h>
#include <string.h>

void scan_init(struct scanner *s)
{
    memset(s, 0, sizeof(*s));
    buf_init(&s->line, MEM_GENERAL, SHELL_TEXT_BYTES_MAX);
    buf_init(&s->text, MEM_GENERAL, SHELL_TEXT_BYTES_MAX);
    s->at = "";
}

void scan_fini(struct scanner *s)
{
    buf_fini(&s->line);
    buf_fini(&s->text);
}

void scan_reset(struct scanner *s)
{
    buf_reset(&s->text);
    s->state = SCAN_PLAIN;
    s->parens = s->comments = 0;
}

void scan_line(struct scanner *s, const char *line)
{
    buf_reset(&s->line);
    buf_bytes(&s->line, line, strlen(line) + 1);
    s->at = s->line.failed ? "" : (const char *)s->line.data;
    s->text.failed = s->text.failed || s->line.failed;
    if (s->text.bytes > 0) {
        buf_u8(&s->text, '\n');
    }
}

bool scan_is_empty(const struct scanner *s)
{
    if (s->text.bytes == 0) {
        return true;
    }
    const char *at = (const char *)s->text.data, *end = at + s->text.bytes;
    while (at < end) {
        if (isspace((unsigned char)*at)) {
            at++;
        } else if (end - at >= 2 && memcmp(at, "--", 2) == 0) {
            while (at < end && *at != '\n') {
                at++;
            }
        } else if (end - at >= 2 && memcmp(at, "/*", 2) == 0) {
            unsigned depth = 1;
            for (at += 2; at < end && depth > 0; at++) {
                if (end - at >= 2 && memcmp(at, "/*", 2) == 0) {
                    depth++;
                    at++;
                } else if (end - at >= 2 && memcmp(at, "*/", 2) == 0) {
                    depth--;
                    at++;
                }
            }
        } else {
            return false;
        }
    }
    return true;
}

char scan_prompt(const struct scanner *s)
{
    switch (s->state) {
    case SCAN_QUOTE:
        return '\'';
    case SCAN_IDENTIFIER:
        return '"';
    case SCAN_COMMENT:
        return '*';
    case SCAN_PLAIN:
        break;
    }
    return s->parens > 0 ? '(' : scan_is_empty(s) ? '=' : '-';
}

/* ---- variables ---- */

static void put_quoted(struct buf *out, const char *value, char quote)
{
    buf_u8(out, (uint8_t)quote);
    for (; *value != '\0'; value++) {
        if (*value == quote) {
            buf_u8(out, (uint8_t)quote);
        }
        buf_u8(out, (uint8_t)*value);
    }
    buf_u8(out, (uint8_t)quote);
}

/* At a colon.  True where it began a variable, which is then put in. */
static bool put_variable(struct scanner *s, const struct variable *vars)
{
    const char *name = s->at + 1;
    char quote = *name == '\'' || *name == '"' ? *name : '\0';
    name += quote != '\0';
    size_t n = 0;
    while (isalnum((unsigned char)name[n]) || name[n] == '_' || (unsigned char)name[n] >= 0x80) {
        n++;
    }
    char copy[SHELL_NAME_BYTES];
    if (n == 0 || n >= sizeof(copy) || (quote != '\0' && name[n] != quote)) {
        return false;
    }
    memcpy(copy, name, n);
    copy[n] = '\0';
    const char *value = vars_get(vars, copy);
    if (value == NULL) {
        return false;
    }
    if (quote == '\0') {
        buf_bytes(&s->text, value, strlen(value));
    } else {
        put_quoted(&s->text, value, quote);
    }
    s->at = name + n + (quote != '\0');
    return true;
}

/* ---- the states ---- */

static void put(struct scanner *s, size_t bytes)
{
    buf_bytes(&s->text, s->at, bytes);
    s->at += bytes;
}

static void scan_inside_quotes(struct scanner *s, char quote)
{
    while (*s->at != '\0') {
        if (s->has_escapes && *s->at == '\\' && s->at[1] != '\0') {
            put(s, 1);
        } else if (*s->at == quote) {
            if (s->at[1] != quote) {
                s->state = SCAN_PLAIN;
                put(s, 1);
                return;
            }
            put(s, 1);
        }
        put(s, 1);
    }
}

static void scan_inside_comment(struct scanner *s)
{
    while (*s->at != '\0') {
        if (strncmp(s->at, "/*", 2) == 0) {
            s->comments++;
            put(s, 2);
        } else if (strncmp(s->at, "*/", 2) == 0) {
            s->comments--;
            put(s, 2);
            if (s->comments == 0) {
                s->state = SCAN_PLAIN;
                return;
            }
        } else {
            put(s, 1);
        }
    }
}

/* The text so far ends in an E that is a word of its own. */
static bool is_behind_e(const struct scanner *s)
{
    size_t n = s->text.bytes;
    const uint8_t *text = s->text.data;
    if (n == 0 || (text[n - 1] | 0x20) != 'e') {
        return false;
    }
    return n == 1 || !(isalnum(text[n - 2]) || text[n - 2] == '_' || text[n - 2] == '$' ||
                       text[n - 2] >= 0x80);
}

/* One step outside of quotes and comments; true where the line holds something for the caller. */
static bool scan_plain(struct scanner *s, const struct variable *vars, enum scan_result *found)
{
    char c = *s->at;
    if (c == '\\') {
        s->at++;
        *found = SCAN_COMMAND;
        return true;
    }
    if (c == ';' && s->parens == 0) {
        s->at++;
        *found = SCAN_STATEMENT;
        return true;
    }
    if (strncmp(s->at, "--", 2) == 0) {
        put(s, strlen(s->at));
    } else if (strncmp(s->at, "/*", 2) == 0) {
        s->comments = 1;
        s->state = SCAN_COMMENT;
        put(s, 2);
    } else if (strncmp(s->at, "::", 2) == 0) {
        put(s, 2);
    } else if (c == ':' && put_variable(s, vars)) {
        return false;
    } else {
        if (c == '\'' || c == '"') {
            s->state = c == '\'' ? SCAN_QUOTE : SCAN_IDENTIFIER;
            s->has_escapes = c == '\'' && is_behind_e(s);
        } else if (c == '(' || c == '[') {
            s->parens++;
        } else if ((c == ')' || c == ']') && s->parens > 0) {
            s->parens--;
        }
        put(s, 1);
    }
    return false;
}

enum scan_result scan_next(struct scanner *s, const struct variable *vars)
{
    enum scan_result found = SCAN_MORE;
    while (*s->at != '\0') {
        switch (s->state) {
        case SCAN_QUOTE:
            scan_inside_quotes(s, '\'');
            break;
        case SCAN_IDENTIFIER:
            scan_inside_quotes(s, '"');
            break;
        case SCAN_COMMENT:
            scan_inside_comment(s);
            break;
        case SCAN_PLAIN:
            /* Blanks before a statement are not part of it, so that its line 1 has text. */
            if (s->text.bytes == 0 && isspace((unsigned char)*s->at)) {
                s->at++;
            } else if (scan_plain(s, vars, &found)) {
                return found;
            }
            break;
        }
    }
    return SCAN_MORE;
}
