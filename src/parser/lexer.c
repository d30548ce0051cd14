/* The lexer: SQL's lexical rules, by hand.
 *
 *   name       [A-Za-z_ or a byte of UTF-8's][... or 0-9 or $]*, folded to lower case; "as it is",
 *              with "" for one quote
 *   text       'as it is', with '' for one quote; E'with escapes'   (escape.c)
 *   parameter  $1 .. $65535
 *   number     1  1.5  .5  1e-3    (literal.c)
 *   vector     [0.1, -2, 3e-4]     (literal.c)
 *   comment    -- to the end of the line; slash-star, which nests, star-slash
 *
 * Bytes are looked at once; text and names are checked to be UTF-8 where they have bytes over 127.
 * What can fail: an unterminated token, a byte that begins none, bad UTF-8, a limit. */
#include "parser/parser_int.h"

#include <string.h>

#include "parser/grammar.h"

enum {
    TOKEN_WORK = 100 /* To read and to build into the tree. */
};

/* The byte @ahead of p->at, 0 past the end. */
static char peek(const struct parse *p, size_t ahead)
{
    return ahead < p->bytes - p->at ? p->text[p->at + ahead] : '\0';
}

/* The text [from, to) has no NUL and is UTF-8. */
static bool check_encoding(struct parse *p, size_t from, size_t to)
{
    if (memchr(p->text + from, '\0', to - from) != NULL) {
        parse_fail(p, ERR_BAD_ENCODING, from + 1, "the statement holds a byte of value zero");
        return false;
    }
    if (!utf8_is_valid(p->text + from, to - from)) {
        parse_fail(p, ERR_BAD_ENCODING, from + 1, "the statement is not valid UTF-8");
        return false;
    }
    return true;
}

/* At a slash-star.  Comments nest, and the depth is only counted. */
static bool skip_comment(struct parse *p)
{
    size_t begin = p->at;
    size_t depth = 0;
    do {
        if (p->at >= p->bytes) {
            parse_fail(p, ERR_SYNTAX, begin + 1, "unterminated /* comment");
            return false;
        }
        if (peek(p, 0) == '/' && peek(p, 1) == '*') {
            depth++;
            p->at += 2;
        } else if (peek(p, 0) == '*' && peek(p, 1) == '/') {
            depth--;
            p->at += 2;
        } else {
            p->at++;
        }
    } while (depth > 0);
    return check_encoding(p, begin, p->at);
}

static bool skip_line(struct parse *p)
{
    size_t begin = p->at;
    const char *end = memchr(p->text + begin, '\n', p->bytes - begin);
    p->at = end == NULL ? p->bytes : (size_t)(end - p->text);
    return check_encoding(p, begin, p->at);
}

/* False on a failure. */
static bool skip_blanks(struct parse *p)
{
    for (;;) {
        while (p->at < p->bytes && is_blank(p->text[p->at])) {
            p->at++;
        }
        bool is_ok = true;
        if (peek(p, 0) == '-' && peek(p, 1) == '-') {
            is_ok = skip_line(p);
        } else if (peek(p, 0) == '/' && peek(p, 1) == '*') {
            is_ok = skip_comment(p);
        } else {
            return true;
        }
        if (!is_ok) {
            return false;
        }
    }
}

bool lexer_begin(struct parse *p)
{
    do {
        if (!skip_blanks(p)) {
            return false;
        }
    } while (peek(p, 0) == ';' && p->at++ < p->bytes);
    p->begin = p->token_begin = p->at;
    return p->at < p->bytes;
}

static bool check_name_bytes(struct parse *p, size_t bytes)
{
    if (bytes <= NAME_BYTES_MAX) {
        return true;
    }
    size_t shown_at = p->token_begin + (p->text[p->token_begin] == '"');
    parse_fail(p, ERR_NAME_TOO_LONG, p->token_begin + 1, "name \"%.*s...\" is too long",
               (int)parse_shown_bytes(p, shown_at, p->at), p->text + shown_at);
    err_hint(p->err, "A name has at most %d bytes.", NAME_BYTES_MAX);
    return false;
}

/* Copies what stands between quotes at p->at, which ends at the next single @quote. */
static bool read_quoted(struct parse *p, char quote, struct token *out)
{
    size_t begin = ++p->at;
    size_t n_doubled = 0;
    for (;;) {
        const char *end = memchr(p->text + p->at, quote, p->bytes - p->at);
        if (end == NULL) {
            parse_fail(p, ERR_SYNTAX, begin, "unterminated %s",
                       quote == '"' ? "quoted name" : "text literal");
            return false;
        }
        p->at = (size_t)(end - p->text) + 1;
        if (peek(p, 0) != quote) {
            break;
        }
        n_doubled++;
        p->at++;
    }
    size_t raw_bytes = p->at - 1 - begin;
    if (!check_encoding(p, begin, begin + raw_bytes)) {
        return false;
    }
    char *copy = parse_alloc(p, raw_bytes - n_doubled + 1);
    if (copy == NULL) {
        return false;
    }
    if (n_doubled == 0) {
        memcpy(copy, p->text + begin, raw_bytes);
    } else {
        for (size_t from = begin, to = 0; from < begin + raw_bytes; from++) {
            copy[to++] = p->text[from];
            from += p->text[from] == quote;
        }
    }
    out->bytes = (uint32_t)(raw_bytes - n_doubled);
    copy[out->bytes] = '\0';
    out->data = copy;
    return true;
}

static int read_string(struct parse *p, struct token *out)
{
    bool has_escapes = peek(p, 0) != '\'';
    if (has_escapes ? lexer_escaped(p, out) == TOKEN_FAILED : !read_quoted(p, '\'', out)) {
        return TOKEN_FAILED;
    }
    if (out->bytes > TEXT_BYTES_MAX) {
        return parse_fail(p, ERR_STRING_TOO_LONG, out->position, "a text of %u bytes is too long",
                          out->bytes);
    }
    return TK_STRING;
}

static int read_quoted_name(struct parse *p, struct token *out)
{
    if (!read_quoted(p, '"', out) || !check_name_bytes(p, out->bytes)) {
        return TOKEN_FAILED;
    }
    if (out->bytes == 0) {
        return parse_fail(p, ERR_SYNTAX, out->position, "a quoted name is empty");
    }
    return TK_NAME;
}

/* NOT before IN, LIKE, ILIKE and BETWEEN is a token of its own, because it binds as they do. */
static int not_or_not_before(struct parse *p)
{
    struct parse ahead = *p;
    if (!skip_blanks(&ahead)) {
        p->code = ahead.code;
        return TOKEN_FAILED;
    }
    size_t bytes = 0;
    while (is_name_part(peek(&ahead, bytes))) {
        bytes++;
    }
    const struct keyword *k = keyword_find(ahead.text + ahead.at, bytes);
    bool is_before = k != NULL && (k->token == TK_IN || k->token == TK_LIKE ||
                                   k->token == TK_ILIKE || k->token == TK_BETWEEN);
    return is_before ? TK_NOT_BEFORE : TK_NOT;
}

/* Parentheses, and CASE and its END. */
static int open_parenthesis(struct parse *p, int token)
{
    if (p->n_open == VQL_DEPTH_MAX) {
        return parse_fail(p, ERR_NESTED_TOO_DEEP, p->token_begin + 1,
                          "parentheses are nested more than %d deep", VQL_DEPTH_MAX);
    }
    p->n_open++;
    return token;
}

static int close_parenthesis(struct parse *p, int token)
{
    if (p->n_open > 0) { /* Otherwise the grammar refuses it. */
        p->n_open--;
    }
    return token;
}

static int read_word(struct parse *p, struct token *out)
{
    size_t begin = p->at;
    while (is_name_part(peek(p, 0))) {
        p->at++;
    }
    size_t bytes = p->at - begin;
    const char *word = p->text + begin;
    const struct keyword *k = keyword_find(word, bytes);
    if (k != NULL) {
        out->data = k->word;
        out->bytes = k->bytes;
        return k->token == TK_NOT    ? not_or_not_before(p)
               : k->token == TK_CASE ? open_parenthesis(p, TK_CASE)
               : k->token == TK_END  ? close_parenthesis(p, TK_END)
                                     : k->token;
    }
    if (!check_encoding(p, begin, p->at) || !check_name_bytes(p, bytes)) {
        return TOKEN_FAILED;
    }
    char *folded = parse_alloc(p, bytes + 1);
    if (folded == NULL) {
        return TOKEN_FAILED;
    }
    for (size_t i = 0; i < bytes; i++) {
        folded[i] = word[i] >= 'A' && word[i] <= 'Z' ? (char)(word[i] - 'A' + 'a') : word[i];
    }
    folded[bytes] = '\0';
    out->data = folded;
    out->bytes = (uint32_t)bytes;
    return TK_NAME;
}

static int read_parameter(struct parse *p, struct token *out)
{
    uint32_t number = 0;
    p->at++;
    if (!is_digit(peek(p, 0))) {
        return parse_fail_syntax(p);
    }
    while (is_digit(peek(p, 0))) {
        if (number <= VQL_PARAMETERS_MAX) {
            number = number * 10 + (uint32_t)(peek(p, 0) - '0');
        }
        p->at++;
    }
    if (is_name_part(peek(p, 0))) {
        return parse_fail_syntax(p);
    }
    if (number == 0 || number > VQL_PARAMETERS_MAX) {
        parse_fail(p, ERR_NUMBER_OUT_OF_RANGE, out->position, "parameter %.*s is out of range",
                   (int)(p->at - p->token_begin > 32 ? 32 : p->at - p->token_begin),
                   p->text + p->token_begin);
        err_hint(p->err, "Parameters are $1 to $%d.", VQL_PARAMETERS_MAX);
        return TOKEN_FAILED;
    }
    out->bytes = number;
    if (number > p->n_parameters) {
        p->n_parameters = number;
    }
    return TK_PARAMETER;
}

static const struct {
    char text[4];
    uint8_t bytes;
    int token;
} operators[] = {
    /* Longer ones before those that they begin with. */
    {"->>", 3, TK_JSON_TEXT}, {"->", 2, TK_JSON}, {"||", 2, TK_CONCAT}, {"::", 2, TK_COLONS},
    {"<=", 2, TK_LE},         {"<>", 2, TK_NE},   {">=", 2, TK_GE},     {"!=", 2, TK_NE},
    {"=", 1, TK_EQ},          {"<", 1, TK_LT},    {">", 1, TK_GT},      {",", 1, TK_COMMA},
    {"+", 1, TK_PLUS},        {"-", 1, TK_MINUS}, {"*", 1, TK_STAR},    {"/", 1, TK_SLASH},
    {"%", 1, TK_PERCENT},
};

static int read_operator(struct parse *p)
{
    for (size_t i = 0; i < COUNT_OF(operators); i++) {
        size_t bytes = operators[i].bytes;
        if (bytes <= p->bytes - p->at && memcmp(p->text + p->at, operators[i].text, bytes) == 0) {
            p->at += bytes;
            return operators[i].token;
        }
    }
    p->at++;
    return parse_fail_syntax(p);
}

static int read_token(struct parse *p, struct token *out)
{
    char c = peek(p, 0);
    if ((c == 'e' || c == 'E') && peek(p, 1) == '\'') {
        return read_string(p, out);
    }
    if (is_name_start(c)) {
        return read_word(p, out);
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(p, 1)))) {
        return lexer_number(p, out);
    }
    switch (c) {
    case '\'':
        return read_string(p, out);
    case '"':
        return read_quoted_name(p, out);
    case '[':
        return lexer_vector(p, out);
    case '$':
        return read_parameter(p, out);
    case '(':
        p->at++;
        return open_parenthesis(p, TK_LP);
    case ')':
        p->at++;
        return close_parenthesis(p, TK_RP);
    default:
        return read_operator(p);
    }
}

int lexer_next(struct parse *p, struct token *out)
{
    size_t from = p->at;
    CHECK_HOT(from >= p->begin && from <= p->bytes);
    *out = (struct token){.data = ""};
    if (!skip_blanks(p)) {
        return TOKEN_FAILED;
    }
    p->token_begin = p->at;
    out->position = (uint32_t)p->at + 1;
    if (p->at == p->bytes || p->text[p->at] == ';') {
        return TOKEN_END;
    }
    int token = read_token(p, out);
    CHECK_HOT(p->at <= p->bytes && (token == TOKEN_FAILED || p->at > p->token_begin));
    CHECK_HOT(token != TOKEN_END && (token != TOKEN_FAILED || parse_failed(p)));
    if (p->at - p->begin > VQL_TEXT_BYTES_MAX) {
        return parse_fail(p, ERR_STATEMENT_TOO_LONG, p->begin + 1,
                          "a statement has more than %d MiB", VQL_TEXT_BYTES_MAX >> 20);
    }
    p->n_tokens++;
    enum errcode code = work_spend(p->work, TOKEN_WORK + (p->at - from), p->err);
    if (code != ERR_OK && !parse_failed(p)) {
        p->code = code;
    }
    return parse_failed(p) ? TOKEN_FAILED : token;
}
