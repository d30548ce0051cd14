/* Numbers as text and back, as printf, strtod and strtof have them, in a tenth of the time.
 *
 * A double holds powers of ten up to 10^22 exactly.  So of a float between 10^-14 and 10^22, which
 * has 24 bits, one product or quotient of doubles gives the first six to nine digits, wrong by less
 * than 2^-53 of its value.  Where such an error could change what comes out, the answer is that the
 * C library must be asked.  Of six to nine digits it takes the fewest that read back as the float:
 * they are rounded as printf rounds them, and read back where they are nearer than half the
 * distance to the float beside it.
 *
 * The way back is the exact fast path of Clinger ("How to read floating point numbers accurately",
 * 1990): where the digits fit 53 bits and the power of ten is at most 22, one division or
 * multiplication of doubles is correctly rounded.  Rounding that double to float once more is right
 * too, unless the double lies exactly between two floats or below the normal ones. */
#include "base/number_text.h"

#include "base/base.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    DIGITS_MIN = 6, /* FLT_DIG: so many are kept by each float. */
    DIGITS_MAX = 9, /* FLT_DECIMAL_DIG: so many tell all floats apart. */
    EXPONENT_MIN = -14,
    EXPONENT_MAX = 22,           /* Of the power of ten that is exact. */
    SCANNED_EXPONENT_MAX = 9999, /* Of what is written; larger ones are infinite or zero anyway. */
    DOUBLE_BITS = 52,            /* Of its mantissa. */
    DOUBLE_BIAS = 1023,
    LOG10_2_SHARE = 1233, /* Of 2^LOG10_2_BITS. */
    LOG10_2_BITS = 12,
    FIXED_EXPONENT_MIN = -4, /* Below, and from as many digits as there are on, %g writes an e. */
};

static const double powers[EXPONENT_MAX + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* More than the products' errors, of a unit and of a share. */
static const double UNSURE = 0x1p-20;

static double times_power(double x, int exponent)
{
    CHECK_HOT(exponent >= -EXPONENT_MAX && exponent <= EXPONENT_MAX);
    return exponent < 0 ? x / powers[-exponent] : x * powers[exponent];
}

/* ---- to text ---- */

/* n digits, of which the first has the weight 10^exponent. */
struct decimal {
    int64_t digits;
    int n, exponent;
};

/* 2^exponent <= x < 2^(exponent + 1). */
static int exponent_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return (int)(bits >> DOUBLE_BITS) - DOUBLE_BIAS;
}

static double power_of_two(int exponent)
{
    double x;
    uint64_t bits = (uint64_t)(exponent + DOUBLE_BIAS) << DOUBLE_BITS;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* How far from the float @x text may be that reads back as it: below and above. */
static void find_halves(double x, double halves[2])
{
    int exponent = exponent_of(x);
    halves[1] = power_of_two(exponent - FLT_MANT_DIG);
    halves[0] = x == power_of_two(exponent) ? halves[1] / 2 : halves[1];
}

enum verdict {
    IS_SAME,
    IS_OTHER,
    IS_UNSURE
};

static enum verdict round_to(double x, const double halves[2], struct decimal *d)
{
    int power = d->n - 1 - d->exponent;
    double scaled = times_power(x, power);
    d->digits = (int64_t)(scaled + 0.5);
    double digits = (double)d->digits;
    double away = fabs(digits - scaled);
    double half = times_power(halves[digits > scaled], power);
    if (away > 0.5 - UNSURE || fabs(away - half) < half * UNSURE) {
        return IS_UNSURE;
    }
    return away < half ? IS_SAME : IS_OTHER;
}

/* False where it is unsure.  x > 0. */
static bool find_decimal(double x, struct decimal *d)
{
    double halves[2];
    find_halves(x, halves);
    /* log10(x), too small by one at the most. */
    d->exponent = exponent_of(x) * LOG10_2_SHARE >> LOG10_2_BITS;
    d->exponent += times_power(x, DIGITS_MIN - 1 - d->exponent) >= powers[DIGITS_MIN];
    for (d->n = DIGITS_MIN; d->n <= DIGITS_MAX; d->n++) {
        enum verdict verdict = round_to(x, halves, d);
        if (verdict != IS_OTHER) {
            return verdict == IS_SAME;
        }
    }
    return false;
}

static size_t put_exponent(char *to, int exponent)
{
    int size = exponent < 0 ? -exponent : exponent;
    to[0] = 'e';
    to[1] = exponent < 0 ? '-' : '+';
    to[2] = (char)('0' + size / 10);
    to[3] = (char)('0' + size % 10);
    return 4;
}

static char *put_digits(char *to, const char *digits, int n)
{
    memcpy(to, digits, (size_t)n);
    return to + n;
}

static char *put_zeros(char *to, int n)
{
    memset(to, '0', (size_t)n);
    return to + n;
}

/* n digits, of which @before stand before the point. */
static char *put_number(char *to, const char *digits, int n, int before)
{
    int n_whole = n < before ? n : before;
    to = put_digits(to, digits, n_whole);
    to = put_zeros(to, before - n_whole);
    if (n > before) {
        *to++ = '.';
        to = put_digits(to, digits + before, n - before);
    }
    return to;
}

static char *put_below_one(char *to, const char *digits, int n, int exponent)
{
    to = put_digits(to, "0.", 2);
    to = put_zeros(to, -exponent - 1);
    return put_digits(to, digits, n);
}

/* As %.*g with as many digits. */
static size_t put_decimal(char *to, const struct decimal *d)
{
    char digits[DIGITS_MAX + 1] = {0};
    int64_t left = d->digits;
    int n = d->n, exponent = d->exponent;
    if (left == (int64_t)powers[n]) { /* 999999.7: a digit more. */
        left /= 10;
        exponent++;
    }
    for (int i = n - 1; i >= 0; i--, left /= 10) {
        digits[i] = (char)('0' + left % 10);
    }
    bool is_fixed = exponent >= FIXED_EXPONENT_MIN && exponent < n;
    while (n > 1 && digits[n - 1] == '0') {
        n--;
    }
    if (is_fixed && exponent < 0) {
        return (size_t)(put_below_one(to, digits, n, exponent) - to);
    }
    char *end = put_number(to, digits, n, is_fixed ? exponent + 1 : 1);
    return (size_t)(end - to) + (is_fixed ? 0 : put_exponent(end, exponent));
}

size_t float_to_text(float x, char out[FLOAT_TEXT_BYTES])
{
    struct decimal d;
    double size = fabs((double)x);
    size_t n_sign = signbit(x) ? 1 : 0;
    out[0] = '-';
    if (size == 0) {
        out[n_sign] = '0';
        return n_sign + 1;
    }
    if (!(size > powers[0] / powers[-EXPONENT_MIN - 1] && size < powers[EXPONENT_MAX]) ||
        !find_decimal(size, &d)) {
        return 0;
    }
    return n_sign + put_decimal(out + n_sign, &d);
}

/* ---- and back ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void add_digit(struct number_text *n, char c)
{
    if (n->n_digits < NUMBER_DIGITS_MAX) {
        n->digits = n->digits * 10 + (uint64_t)(c - '0');
    }
    if (n->n_digits > 0 || c != '0') {
        n->n_digits += n->n_digits <= NUMBER_DIGITS_MAX;
    }
}

struct number_text number_scan(const char *at, const char *end)
{
    struct number_text n = {.is_integer = true};
    const char *c = at;
    size_t n_seen = 0;
    for (; c < end && is_digit(*c); c++, n_seen++) {
        add_digit(&n, *c);
    }
    if (c < end && *c == '.') {
        n.is_integer = false;
        for (c++; c < end && is_digit(*c); c++, n_seen++) {
            add_digit(&n, *c);
            n.power -= n.power > -SCANNED_EXPONENT_MAX;
        }
    }
    if (n_seen == 0) {
        return (struct number_text){.bytes = 0};
    }
    const char *e = c;
    if (e < end && (*e == 'e' || *e == 'E')) {
        e++;
        bool is_negative = e < end && *e == '-';
        e += e < end && (*e == '-' || *e == '+');
        int exponent = 0;
        const char *first = e;
        for (; e < end && is_digit(*e); e++) {
            exponent = exponent < SCANNED_EXPONENT_MAX ? exponent * 10 + (*e - '0') : exponent;
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

bool number_to_double(const struct number_text *n, double *out)
{
    CHECK_HOT(n->bytes > 0);
    if (n->n_digits > NUMBER_DIGITS_MAX || n->digits > UINT64_C(1) << DBL_MANT_DIG ||
        n->power < -EXPONENT_MAX || n->power > EXPONENT_MAX) {
        return false;
    }
    *out = times_power((double)n->digits, n->power);
    return true;
}

/* Rounding @x to float might round a second time in the wrong direction. */
static bool is_unsafe_as_float(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    const unsigned dropped = DBL_MANT_DIG - FLT_MANT_DIG;
    const uint64_t tie = UINT64_C(1) << (dropped - 1);
    bool is_tie = (bits & ((UINT64_C(1) << dropped) - 1)) == tie;
    return x != 0 && (x < (double)FLT_MIN || x > (double)FLT_MAX || is_tie);
}

bool number_to_float(const struct number_text *n, float *out)
{
    double x;
    if (!number_to_double(n, &x) || is_unsafe_as_float(x)) {
        return false;
    }
    *out = (float)x;
    return true;
}
