/* What \copy's arguments say:
 *
 *     COLLECTION [(columns)] FROM|TO FILE [ON CONFLICT action] [[WITH] (option value, ...)]
 *
 * The collection, the columns and ON CONFLICT go to the server as they were written; of the options
 * only format and ids are looked at. */
#include "client/shell/shell_int.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct cursor {
    const char *at;
};

static void skip_blanks(struct cursor *c)
{
    while (isspace((unsigned char)*c->at)) {
        c->at++;
    }
}

/* Bytes of E'...' at the cursor; 0: its quote is not closed. */
static size_t escaped_bytes(const char *at)
{
    for (size_t n = 2; at[n] != '\0'; n++) {
        if (at[n] == '\\' || (at[n] == '\'' && at[n + 1] == '\'')) {
            n++;
        } else if (at[n] == '\'') {
            return n + 1;
        }
        if (at[n] == '\0') {
            return 0;
        }
    }
    return 0;
}

/* Bytes of the token at the cursor: a quoted text, a punctuation mark, or a word. */
static size_t token_bytes(const char *at)
{
    if ((*at == 'e' || *at == 'E') && at[1] == '\'') {
        return escaped_bytes(at);
    }
    if (*at == '\'' || *at == '"') {
        size_t n = 1;
        while (at[n] != '\0') {
            if (at[n] == *at) {
                if (at[n + 1] != *at) {
                    return n + 1;
                }
                n++;
            }
            n++;
        }
        return 0; /* The quote is not closed. */
    }
    if (*at != '\0' && strchr("(),;", *at) != NULL) {
        return 1;
    }
    return strcspn(at, " \t\r\n(),;'\"");
}

static bool is_word(const char *at, size_t bytes, const char *word)
{
    return bytes == strlen(word) && strncasecmp(at, word, bytes) == 0;
}

/* Appends with a blank between. */
static bool append(char *out, size_t room, const char *lead, const char *text, size_t bytes)
{
    size_t have = strlen(out);
    lead = have == 0 ? "" : lead;
    if (have + strlen(lead) + bytes >= room) {
        return false;
    }
    memcpy(out + have, lead, strlen(lead));
    memcpy(out + have + strlen(lead), text, bytes);
    out[have + strlen(lead) + bytes] = '\0';
    return true;
}

/* A value without its quotes; the rest as it stands. */
static bool unquote(const char *at, size_t bytes, char *out, size_t room)
{
    size_t n = 0;
    bool is_quoted = *at == '\'';
    for (size_t i = is_quoted; i < bytes - is_quoted; i++) {
        if (n + 1 >= room) {
            return false;
        }
        out[n++] = at[i];
        i += is_quoted && at[i] == '\'';
    }
    out[n] = '\0';
    return n > 0;
}

/* Everything up to FROM or TO outside of parentheses. */
static enum errcode parse_head(struct cursor *c, struct copy_plan *out, struct err *err)
{
    unsigned parens = 0;
    for (;;) {
        skip_blanks(c);
        size_t bytes = token_bytes(c->at);
        if (bytes == 0) {
            return err_set(err, ERR_SYNTAX, "FROM or TO and a file are missing");
        }
        const char *token = c->at;
        c->at += bytes;
        bool is_from = is_word(token, bytes, "from");
        if (parens == 0 && (is_from || is_word(token, bytes, "to"))) {
            out->is_from = is_from;
            return out->head[0] != '\0'
                       ? ERR_OK
                       : err_set(err, ERR_SYNTAX, "the collection's name is missing");
        }
        parens += *token == '(';
        parens -= *token == ')' && parens > 0;
        if (!append(out->head, sizeof(out->head), " ", token, bytes)) {
            return err_set(err, ERR_TOO_MANY_ITEMS, "the list of columns is too long");
        }
    }
}

static enum errcode parse_file(struct cursor *c, struct copy_plan *out, struct err *err)
{
    skip_blanks(c);
    size_t bytes = *c->at == '\'' ? token_bytes(c->at) : strcspn(c->at, " \t\r\n;");
    if (bytes == 0) {
        return err_set(err, ERR_SYNTAX, "the file's name is missing or its quote is not closed");
    }
    const char *std = out->is_from ? "stdin" : "stdout";
    if (!is_word(c->at, bytes, std) && !unquote(c->at, bytes, out->file, sizeof(out->file))) {
        return err_set(err, ERR_SYNTAX, "the file's name is empty or too long");
    }
    c->at += bytes;
    return ERR_OK;
}

/* ON CONFLICT with its action, up to the options. */
static enum errcode parse_conflict(struct cursor *c, struct copy_plan *out, struct err *err)
{
    for (;;) {
        skip_blanks(c);
        size_t bytes = token_bytes(c->at);
        if (bytes == 0 || strchr("(;", *c->at) != NULL || is_word(c->at, bytes, "with")) {
            return ERR_OK;
        }
        if (!append(out->conflict, sizeof(out->conflict), " ", c->at, bytes)) {
            return err_set(err, ERR_SYNTAX, "\"%.32s\" was not understood", c->at);
        }
        c->at += bytes;
    }
}

/* One "name value" or "name"; the cursor then stands on "," or ")". */
static enum errcode parse_option(struct cursor *c, struct copy_plan *out, struct err *err)
{
    char text[512] = "";
    const char *name = NULL, *value = NULL;
    size_t name_bytes = 0, value_bytes = 0;
    for (;;) {
        skip_blanks(c);
        size_t bytes = token_bytes(c->at);
        if (bytes == 0) {
            return err_set(err, ERR_SYNTAX, "the options end without \")\"");
        }
        if (*c->at == ',' || *c->at == ')') {
            break;
        }
        if (name == NULL) {
            name = c->at;
            name_bytes = bytes;
        } else if (!is_word(c->at, bytes, "=")) {
            value = c->at;
            value_bytes = bytes;
        }
        if (!append(text, sizeof(text), " ", c->at, bytes)) {
            return err_set(err, ERR_SYNTAX, "an option is too long");
        }
        c->at += bytes;
    }
    if (name == NULL) {
        return err_set(err, ERR_SYNTAX, "an option is missing before \"%c\"", *c->at);
    }
    bool is_format = is_word(name, name_bytes, "format"), is_ids = is_word(name, name_bytes, "ids");
    if (is_format || is_ids) {
        char *to = is_format ? out->format : out->ids;
        size_t room = is_format ? sizeof(out->format) : sizeof(out->ids);
        if (value == NULL || !unquote(value, value_bytes, to, room)) {
            return err_set(err, ERR_SYNTAX, "option %s needs a value",
                           is_format ? "format" : "ids");
        }
    } else if (!append(out->options, sizeof(out->options), ", ", text, strlen(text))) {
        return err_set(err, ERR_TOO_MANY_ITEMS, "the options are too long");
    }
    return ERR_OK;
}

enum errcode copy_plan_parse(const char *arguments, struct copy_plan *out, struct err *err)
{
    struct cursor c = {arguments};
    memset(out, 0, sizeof(*out));
    err_clear(err);
    if (parse_head(&c, out, err) != ERR_OK || parse_file(&c, out, err) != ERR_OK) {
        return err->code;
    }
    skip_blanks(&c);
    if (is_word(c.at, token_bytes(c.at), "on") && parse_conflict(&c, out, err) != ERR_OK) {
        return err->code;
    }
    if (is_word(c.at, token_bytes(c.at), "with")) {
        c.at += 4;
        skip_blanks(&c);
    }
    if (*c.at == '(') {
        do {
            c.at++;
            if (parse_option(&c, out, err) != ERR_OK) {
                return err->code;
            }
        } while (*c.at == ',');
        c.at++;
        skip_blanks(&c);
    }
    if (*c.at == ';') {
        c.at++;
        skip_blanks(&c);
    }
    if (*c.at != '\0') {
        (void)err_set(err, ERR_SYNTAX, "\"%.32s\" was not understood", c.at);
        err_hint(err, "Options stand in parentheses: WITH (FORMAT csv, HEADER).");
        return err->code;
    }
    if (out->ids[0] != '\0' &&
        (!out->is_from || strcasecmp(out->format, "fbin") != 0 || out->file[0] == '\0')) {
        return err_set(err, ERR_BAD_PARAMETER, "ids are for FROM a file with format fbin");
    }
    return ERR_OK;
}
