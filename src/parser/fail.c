/* What a parse that fails says: the fault, its place and a hint, which is made of the tokens that
 * could have stood there and of what people type who come from another dialect (habit.c).
 *
 * Only the first fault is kept: the parse has ended with it, and what follows is its consequence.
 * parse_alloc gives memory, or a fault like any other. */
#include "parser/parser_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "parser/grammar.h"

enum {
    TOKEN_SHOWN_BYTES = 40,
    EXPECTED_MAX = 128,
    EXPECTED_SHOWN_MAX = 3,
    EXPECTED_BYTES = 24,
};

int parse_fail(struct parse *p, enum errcode code, size_t position, const char *format, ...)
{
    CHECK(code != ERR_OK && position <= p->bytes + 1);
    if (parse_failed(p)) {
        return TOKEN_FAILED;
    }
    char message[ERR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    p->code = err_set(p->err, code, "%s", message);
    p->err->position = (uint32_t)position;
    return TOKEN_FAILED;
}

int parse_fail_memory(struct parse *p)
{
    if (!parse_failed(p)) {
        p->code = err_no_memory(p->err);
        p->err->position = (uint32_t)p->token_begin + 1;
    }
    return TOKEN_FAILED;
}

size_t parse_shown_bytes(const struct parse *p, size_t from, size_t to)
{
    CHECK(from <= to && to <= p->bytes);
    if (to - from <= TOKEN_SHOWN_BYTES) {
        return to - from;
    }
    size_t bytes = TOKEN_SHOWN_BYTES;
    while (bytes > 1 && ((unsigned char)p->text[from + bytes] & 0xc0) == 0x80) {
        bytes--;
    }
    return bytes;
}

int parse_fail_syntax(struct parse *p)
{
    size_t position = p->token_begin + 1;
    if (p->token_begin == p->bytes || p->text[p->token_begin] == ';') {
        return parse_fail(p, ERR_SYNTAX, position, "syntax error at the end of the statement");
    }
    const char *text = p->text + p->token_begin;
    size_t bytes = parse_shown_bytes(p, p->token_begin, p->at);
    bool is_cut = bytes < p->at - p->token_begin;
    if (!utf8_is_valid(text, bytes)) {
        return parse_fail(p, ERR_BAD_ENCODING, position, "the statement is not valid UTF-8");
    }
    if (bytes == 1 && ((unsigned char)*text < ' ' || *text == 0x7f)) {
        return parse_fail(p, ERR_SYNTAX, position, "syntax error at byte 0x%02x",
                          (unsigned)(unsigned char)*text);
    }
    int token = parse_fail(p, ERR_SYNTAX, position, "syntax error at or near \"%.*s%s\"",
                           (int)bytes, text, is_cut ? "..." : "");
    const char *habit = habit_at(p->text, p->bytes, p->token_begin);
    if (habit != NULL) {
        err_hint(p->err, "%s", habit);
    }
    return token;
}

/* In capitals where it is a keyword. */
static void show_expected(char *out, size_t bytes, const char *name)
{
    bool is_word = strchr(name, ' ') == NULL;
    snprintf(out, bytes, "%s", name);
    for (char *c = out; is_word && *c != '\0'; c++) {
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    }
}

/* "expected A, B or C" where they are few. */
static void hint_list(struct parse *p, const int *expected, size_t n)
{
    char names[EXPECTED_SHOWN_MAX][EXPECTED_BYTES];
    for (size_t i = 0; i < n; i++) {
        const char *name = token_name(expected[i]);
        if (name == NULL || n > EXPECTED_SHOWN_MAX) {
            return;
        }
        show_expected(names[i], sizeof(names[i]), name);
    }
    if (n == 1) {
        err_hint(p->err, "Expected %s.", names[0]);
    } else if (n == 2) {
        err_hint(p->err, "Expected %s or %s.", names[0], names[1]);
    } else if (n == 3) {
        err_hint(p->err, "Expected %s, %s or %s.", names[0], names[1], names[2]);
    }
}

/* The keyword among @expected that the word at the fault is a slip of. */
static bool hint_nearest(struct parse *p, const char *word, const int *expected, size_t n)
{
    const char *words[EXPECTED_MAX];
    size_t n_words = 0;
    for (size_t i = 0; i < n && n_words < EXPECTED_MAX; i++) {
        const char *name = token_name(expected[i]);
        if (name != NULL && is_name_start(name[0]) && strchr(name, ' ') == NULL) {
            words[n_words++] = name;
        }
    }
    const char *nearest = err_nearest(word, words, n_words);
    if (nearest == NULL) {
        return false;
    }
    char shown[EXPECTED_BYTES];
    show_expected(shown, sizeof(shown), nearest);
    err_hint(p->err, "Perhaps you meant %s.", shown);
    return true;
}

static bool is_expected(int token, const int *expected, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (expected[i] == token) {
            return true;
        }
    }
    return false;
}

/* Where nothing is known of the token itself. */
static void hint_else(struct parse *p, const char *after, const int *expected, size_t n)
{
    char c = p->token_begin < p->bytes ? p->text[p->token_begin] : '\0';
    size_t bytes = p->at - p->token_begin;
    bool is_item =
        c == ',' || (is_name_start(c) && keyword_find(p->text + p->token_begin, bytes) == NULL &&
                     !habit_is_nested(p->text, p->token_begin));
    const char *beyond = is_item ? habit_beyond(p->text, p->token_begin) : NULL;
    if (after != NULL || beyond != NULL) {
        err_hint(p->err, "%s", after != NULL ? after : beyond);
    } else if (is_expected(TK_LIMIT, expected, n) && !is_expected(TOKEN_END, expected, n)) {
        err_hint(p->err, "A SEARCH needs LIMIT.");
    } else {
        hint_list(p, expected, n);
    }
}

void parse_fail_expected(struct parse *p, const int *expected, size_t n)
{
    if (parse_failed(p)) {
        return;
    }
    parse_fail_syntax(p);
    char word[EXPECTED_BYTES] = "";
    size_t bytes = p->at - p->token_begin;
    if (bytes > 0 && bytes < sizeof(word) && is_name_start(p->text[p->token_begin])) {
        memcpy(word, p->text + p->token_begin, bytes);
    }
    /* Where an alias may stand, a reserved word was hardly meant as a name. */
    bool needs_name = is_expected(TK_NAME, expected, n) && !is_expected(TK_AS, expected, n);
    const struct keyword *keyword = keyword_find(word, strlen(word));
    /* parse_fail_syntax may have given a hint already.  SELECT where a name may stand was hardly
     * meant as one, unless it is in parentheses. */
    bool is_known = p->err->hint[0] != '\0' && (keyword == NULL || keyword->token != TK_SELECT ||
                                                habit_is_nested(p->text, p->token_begin));
    bool is_at_end = p->token_begin == p->bytes || p->text[p->token_begin] == ';';
    const char *after = is_at_end ? NULL : habit_after(p->text, p->token_begin);
    if (needs_name && !is_known && after == NULL && parser_keyword_is_reserved(word)) {
        err_hint(p->err, "%s is a reserved word. To use it as a name, write it in double quotes.",
                 word);
        return;
    }
    bool is_slip = word[0] != '\0' && keyword == NULL;
    if (after != NULL && !is_slip) {
        err_hint(p->err, "%s", after);
    } else if (p->err->hint[0] == '\0' && !(is_slip && hint_nearest(p, word, expected, n))) {
        hint_else(p, after, expected, n);
    }
}

int parse_fail_range(struct parse *p, const char *type)
{
    size_t bytes = p->at - p->token_begin;
    bool is_cut = bytes > TOKEN_SHOWN_BYTES;
    return parse_fail(p, ERR_NUMBER_OUT_OF_RANGE, p->token_begin + 1,
                      "number %.*s%s is out of the range of %s",
                      (int)(is_cut ? TOKEN_SHOWN_BYTES : bytes), p->text + p->token_begin,
                      is_cut ? "..." : "", type);
}

void *parse_alloc(struct parse *p, size_t bytes)
{
    if (parse_failed(p)) {
        return NULL;
    }
    CHECK_HOT(bytes > 0);
    void *memory = arena_zalloc(p->arena, bytes);
    if (memory == NULL) {
        parse_fail_memory(p);
    }
    return memory;
}
