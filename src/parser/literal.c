/* Numbers and vector literals.
 *
 * A vector of a thousand numbers is most of a statement's text, so its numbers go straight into the
 * array (base/number_text.h), but for the few that only strtof can tell.  Names such as nan and inf
 * are no numbers. */
#include "parser/parser_int.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "parser/grammar.h"

/* Text that strtod and strtof may read; NULL after a failure. */
static const char *terminated(struct parse *p, const char *at, size_t bytes, char *small,
                              size_t small_bytes)
{
    char *copy = bytes < small_bytes ? small : parse_alloc(p, bytes + 1);
    if (copy != NULL) {
        memcpy(copy, at, bytes);
        copy[bytes] = '\0';
    }
    return copy;
}

/* One element of a vector at @at, with its sign; its bytes, or 0 after a failure. */
static size_t read_element(struct parse *p, const char *at, const char *end, float *out)
{
    bool is_negative = *at == '-';
    const char *first = at + (*at == '-' || *at == '+');
    struct number_text n = number_scan(first, end);
    if (n.bytes == 0) {
        return 0;
    }
    if (number_to_float(&n, out)) {
        *out = is_negative ? -*out : *out;
        return (size_t)(first - at) + n.bytes;
    }
    char small[64];
    const char *text = terminated(p, first, n.bytes, small, sizeof(small));
    if (text == NULL) {
        return 0;
    }
    float slow = strtof(text, NULL);
    if (isinf(slow)) {
        p->token_begin = (size_t)(at - p->text);
        p->at = (size_t)(first - p->text) + n.bytes;
        parse_fail_range(p, "a 32-bit float");
        return 0;
    }
    *out = is_negative ? -slow : slow;
    return (size_t)(first - at) + n.bytes;
}

/* The element at p->at is none. */
static int fail_element(struct parse *p)
{
    size_t begin = p->at;
    p->token_begin = begin;
    while (p->at < p->bytes && is_name_part(p->text[p->at])) {
        p->at++;
    }
    p->at += p->at == begin;
    parse_fail_syntax(p);
    err_hint(p->err, "A vector literal is a list of finite numbers: [0.1, -2, 3e-4].");
    return TOKEN_FAILED;
}

static void skip_inner_blanks(struct parse *p, size_t end)
{
    while (p->at < end && is_blank(p->text[p->at])) {
        p->at++;
    }
}

/* Elements up to the "]" at @end go to @out, which has room for @n_max. */
static bool read_elements(struct parse *p, size_t end, float *out, size_t n_max)
{
    const char *text_end = p->text + end;
    for (size_t i = 0; i < n_max; i++) {
        skip_inner_blanks(p, end);
        size_t bytes = read_element(p, p->text + p->at, text_end, &out[i]);
        if (bytes == 0) {
            if (!parse_failed(p)) {
                fail_element(p);
            }
            return false;
        }
        p->at += bytes;
        skip_inner_blanks(p, end);
        bool is_last = i + 1 == n_max;
        if (p->at < end ? is_last || p->text[p->at] != ',' : !is_last) {
            fail_element(p);
            return false;
        }
        p->at++;
    }
    return true;
}

int lexer_vector(struct parse *p, struct token *out)
{
    size_t begin = p->at++;
    const char *end = memchr(p->text + p->at, ']', p->bytes - p->at);
    if (end == NULL) {
        return parse_fail(p, ERR_SYNTAX, begin + 1, "unterminated vector literal");
    }
    size_t n = 1;
    for (const char *c = p->text + p->at; c < end; c++) {
        n += *c == ',';
    }
    if (n > VECTOR_DIM_MAX) {
        return parse_fail(p, ERR_TOO_MANY_ITEMS, begin + 1,
                          "a vector literal has %zu numbers, the limit is %d", n, VECTOR_DIM_MAX);
    }
    float *elements = parse_alloc(p, n * sizeof(float));
    if (elements == NULL || !read_elements(p, (size_t)(end - p->text), elements, n)) {
        return TOKEN_FAILED;
    }
    out->data = elements;
    out->bytes = (uint32_t)n;
    return TK_VECTOR;
}

/* The token that ends at p->at. */
static int read_float(struct parse *p, const struct number_text *n, struct token *out)
{
    double *x = parse_alloc(p, sizeof(*x));
    if (x == NULL) {
        return TOKEN_FAILED;
    }
    out->data = x;
    if (number_to_double(n, x)) {
        return TK_FLOAT;
    }
    char small[64];
    const char *text = terminated(p, p->text + p->token_begin, n->bytes, small, sizeof(small));
    if (text == NULL) {
        return TOKEN_FAILED;
    }
    *x = strtod(text, NULL);
    bool is_lost = isinf(*x) || (*x == 0 && n->n_digits > 0);
    return is_lost ? parse_fail_range(p, "FLOAT") : TK_FLOAT;
}

/* 12abc, 1.2.3, 64MiB */
static int fail_stuck(struct parse *p)
{
    size_t begin = p->at;
    while (p->at < p->bytes && (is_name_part(p->text[p->at]) || p->text[p->at] == '.')) {
        p->at++;
    }
    int token = parse_fail_syntax(p);
    const char *habit = habit_unit(p->text + begin, p->at - begin);
    if (habit != NULL) {
        err_hint(p->err, "%s", habit);
    }
    return token;
}

int lexer_number(struct parse *p, struct token *out)
{
    const char *at = p->text + p->at;
    const char *end = p->text + p->bytes;
    struct number_text n = number_scan(at, end);
    CHECK(n.bytes > 0);
    p->at += n.bytes;
    char next = p->at < p->bytes ? p->text[p->at] : ' ';
    if (is_name_part(next) || next == '.') {
        return fail_stuck(p);
    }
    if (!n.is_integer) {
        return read_float(p, &n, out);
    }
    const uint64_t minimum = UINT64_C(1) << 63;
    if (n.n_digits > NUMBER_DIGITS_MAX || n.digits > minimum) {
        return parse_fail_range(p, "INT");
    }
    out->data = at;
    out->bytes = (uint32_t)n.bytes;
    return n.digits == minimum ? TK_MINIMUM : TK_INTEGER;
}

struct expr *expr_integer(struct parse *p, struct token t)
{
    if (parse_failed(p)) {
        return NULL;
    }
    const char *text = t.data;
    struct number_text n = number_scan(text, text + t.bytes);
    return expr_value(p, t, value_int((int64_t)n.digits));
}

struct expr *expr_minimum(struct parse *p, struct token t)
{
    return expr_value(p, t, value_int(INT64_MIN));
}

struct expr *expr_float(struct parse *p, struct token t)
{
    return parse_failed(p) ? NULL : expr_value(p, t, value_float(*(const double *)t.data));
}
