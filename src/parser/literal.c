/* Numbers and vector literals.
 *
 * A vector of a thousand numbers is most of a statement's text, so its numbers go straight into the
 * array, by the exact fast path of Clinger ("How to read floating point numbers accurately", 1990):
 * where the digits fit 53 bits and the power of ten is at most 22, one division or multiplication
 * of doubles is correctly rounded.  Rounding that double to float once more is right too, unless
 * the double lies exactly between two floats or below the normal ones; these and all else go to
 * strtof.  Names such as nan and inf are no numbers. */
#include "parser/parser_int.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "parser/grammar.h"

enum {
    FAST_DIGITS_MAX = 19, /* That a uint64_t always holds. */
    FAST_POWER_MAX = 22,
    FAST_EXPONENT_MAX = 9999, /* Of what is written; larger ones are infinite or zero anyway. */
};

static const double powers_of_ten[FAST_POWER_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/* What a number's text says: digits x 10^power, if n_digits <= FAST_DIGITS_MAX. */
struct number {
    size_t bytes; /* 0: no number stands there. */
    uint64_t digits;
    int n_digits; /* Without leading zeros. */
    int power;
    bool is_integer;
};

static void add_digit(struct number *n, char c)
{
    if (n->n_digits < FAST_DIGITS_MAX) {
        n->digits = n->digits * 10 + (uint64_t)(c - '0');
    }
    if (n->n_digits > 0 || c != '0') {
        n->n_digits += n->n_digits <= FAST_DIGITS_MAX;
    }
}

/* Reads [digits][.digits][e[+-]digits] in [at, end), without a sign. */
static struct number scan_number(const char *at, const char *end)
{
    struct number n = {.is_integer = true};
    const char *c = at;
    size_t n_seen = 0;
    for (; c < end && is_digit(*c); c++, n_seen++) {
        add_digit(&n, *c);
    }
    if (c < end && *c == '.') {
        n.is_integer = false;
        for (c++; c < end && is_digit(*c); c++, n_seen++) {
            add_digit(&n, *c);
            n.power -= n.power > -FAST_EXPONENT_MAX;
        }
    }
    if (n_seen == 0) {
        return (struct number){.bytes = 0};
    }
    const char *e = c;
    if (e < end && (*e == 'e' || *e == 'E')) {
        e++;
        bool is_negative = e < end && *e == '-';
        e += e < end && (*e == '-' || *e == '+');
        int exponent = 0;
        const char *first = e;
        for (; e < end && is_digit(*e); e++) {
            exponent = exponent < FAST_EXPONENT_MAX ? exponent * 10 + (*e - '0') : exponent;
        }
        if (e > first) {
            n.power += is_negative ? -exponent : exponent;
            n.is_integer = false;
            c = e;
        }
    }
    n.bytes = (size_t)(c - at);
    return n;
}

/* True where the double's value is certain. */
static bool is_fast(const struct number *n)
{
    return n->n_digits <= FAST_DIGITS_MAX && n->digits <= (UINT64_C(1) << DBL_MANT_DIG) &&
           n->power >= -FAST_POWER_MAX && n->power <= FAST_POWER_MAX;
}

static double fast_double(const struct number *n)
{
    double x = (double)n->digits;
    return n->power < 0 ? x / powers_of_ten[-n->power] : x * powers_of_ten[n->power];
}

/* False where rounding @x to float might round a second time in the wrong direction. */
static bool is_safe_as_float(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    const unsigned dropped = DBL_MANT_DIG - FLT_MANT_DIG;
    const uint64_t tie = UINT64_C(1) << (dropped - 1);
    bool is_tie = (bits & ((UINT64_C(1) << dropped) - 1)) == tie;
    return x == 0 || (x >= FLT_MIN && !is_tie);
}

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
    struct number n = scan_number(first, end);
    if (n.bytes == 0) {
        return 0;
    }
    double x = is_fast(&n) ? fast_double(&n) : -1;
    if (x >= 0 && x <= (double)FLT_MAX && is_safe_as_float(x)) {
        *out = is_negative ? -(float)x : (float)x;
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
static int read_float(struct parse *p, const struct number *n, struct token *out)
{
    double *x = parse_alloc(p, sizeof(*x));
    if (x == NULL) {
        return TOKEN_FAILED;
    }
    out->data = x;
    if (is_fast(n)) {
        *x = fast_double(n);
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
    struct number n = scan_number(at, end);
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
    if (n.n_digits > FAST_DIGITS_MAX || n.digits > minimum) {
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
    struct number n = scan_number(text, text + t.bytes);
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
