/* Texts with escapes, as PostgreSQL writes them: E'tab \t, quote \' or '', \\, \x7e, \176, \u00e9'.
 *
 *   \b \f \n \r \t             the control characters of these names
 *   \o \oo \ooo                a byte in octal
 *   \xh \xhh                   a byte in hexadecimal
 *   \uhhhh \Uhhhhhhhh          a character of Unicode; two halves of a surrogate pair make one
 *   \ and another character    that character
 *
 * The result must be text like any other: UTF-8, without a zero byte. */
#include "parser/parser_int.h"

#include <string.h>

#include "parser/grammar.h"

enum {
    OCTAL_DIGITS_MAX = 3,
    HEX_DIGITS_MAX = 2,
};

struct escapes {
    const char *at, *end; /* What is left of the raw text. */
    char *to;             /* Behind what was made of it; never longer than that. */
};

static int digit_of(char c, int base)
{
    static const char digits[] = "0123456789abcdef";
    char lower = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    const char *found = lower == '\0' ? NULL : strchr(digits, lower);
    return found != NULL && found - digits < base ? (int)(found - digits) : -1;
}

/* Up to @n_max digits; returns how many there were. */
static int take_digits(struct escapes *e, int base, int n_max, uint32_t *out)
{
    int n = 0;
    *out = 0;
    while (n < n_max && e->at < e->end && digit_of(*e->at, base) >= 0) {
        *out = *out * (uint32_t)base + (uint32_t)digit_of(*e->at, base);
        e->at++;
        n++;
    }
    return n;
}

static void put_character(struct escapes *e, uint32_t c)
{
    if (c < 0x80) {
        *e->to++ = (char)c;
        return;
    }
    int n_more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t leads[] = {0, 0xc0, 0xe0, 0xf0};
    *e->to++ = (char)(leads[n_more] | c >> (6 * n_more));
    for (int shift = 6 * (n_more - 1); shift >= 0; shift -= 6) {
        *e->to++ = (char)(0x80 | (c >> shift & 0x3f));
    }
}

/* Behind \u or \U.  False where no character of Unicode is written there. */
static bool take_unicode(struct escapes *e, int n_digits)
{
    uint32_t c, low = 0;
    if (take_digits(e, 16, n_digits, &c) != n_digits) {
        return false;
    }
    if (c >= 0xd800 && c < 0xdc00 && e->end - e->at >= 2 && e->at[0] == '\\' &&
        (e->at[1] == 'u' || e->at[1] == 'U')) {
        int n_low = e->at[1] == 'u' ? 4 : 8;
        e->at += 2;
        if (take_digits(e, 16, n_low, &low) != n_low || low < 0xdc00 || low > 0xdfff) {
            return false;
        }
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return false;
    }
    put_character(e, c);
    return true;
}

/* Behind a backslash, with a character there. */
static bool take_escape(struct escapes *e)
{
    static const char names[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    char c = *e->at++;
    const char *name = c == '\0' ? NULL : strchr(names, c);
    uint32_t byte;
    if (c == 'u' || c == 'U') {
        return take_unicode(e, c == 'u' ? 4 : 8);
    }
    if (c == 'x' && take_digits(e, 16, HEX_DIGITS_MAX, &byte) > 0) {
        *e->to++ = (char)byte;
    } else if (digit_of(c, 8) >= 0) {
        e->at--;
        take_digits(e, 8, OCTAL_DIGITS_MAX, &byte);
        *e->to++ = (char)byte;
    } else {
        *e->to++ = name != NULL ? meanings[name - names] : c;
    }
    return true;
}

/* Where the closing quote stands, or NULL. */
static const char *find_end(const char *at, const char *end)
{
    for (; at < end; at++) {
        if (*at == '\\' || (*at == '\'' && at + 1 < end && at[1] == '\'')) {
            at++;
        } else if (*at == '\'') {
            return at;
        }
    }
    return NULL;
}

int lexer_escaped(struct parse *p, struct token *out)
{
    size_t begin = p->at + 2; /* Behind the E and its quote. */
    const char *end = find_end(p->text + begin, p->text + p->bytes);
    if (end == NULL) {
        return parse_fail(p, ERR_SYNTAX, begin - 1, "unterminated text literal");
    }
    struct escapes e = {.at = p->text + begin, .end = end};
    char *text = parse_alloc(p, (size_t)(end - e.at) + 1);
    if (text == NULL) {
        return TOKEN_FAILED;
    }
    e.to = text;
    while (e.at < end) {
        const char *from = e.at;
        char c = *e.at++;
        e.at += c == '\''; /* Doubled. */
        if (c != '\\') {
            *e.to++ = c;
        } else if (!take_escape(&e)) {
            parse_fail(p, ERR_SYNTAX, (size_t)(from - p->text) + 1, "bad Unicode escape");
            err_hint(p->err, "Write \\uXXXX or \\UXXXXXXXX, with hexadecimal digits.");
            return TOKEN_FAILED;
        }
    }
    p->at = (size_t)(end - p->text) + 1;
    *e.to = '\0';
    out->data = text;
    out->bytes = (uint32_t)(e.to - text);
    if (!utf8_is_valid(text, out->bytes)) {
        return parse_fail(p, ERR_BAD_ENCODING, begin - 1,
                          "the text holds a byte of value zero or is not valid UTF-8");
    }
    return TK_STRING;
}
