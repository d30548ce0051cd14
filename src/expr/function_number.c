/* Functions of numbers, and of values that have an order. */
#include "expr/function_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIGITS = 15,     /* Decimal digits that every FLOAT has. */
    DIGITS_MAX = 17, /* And those that tell it from all others. */
    PLACES_MAX = 400,
};

static enum errcode out_of_range(const struct call *call, enum value_type type, struct err *err)
{
    return err_at(err, call->position, ERR_NUMBER_OUT_OF_RANGE,
                  "the result does not fit the type %s", type_name(type));
}

/* ---- rounding ---- */

enum errcode call_abs_int(const struct call *call, struct value *v, struct err *err)
{
    if (v->integer == INT64_MIN) {
        return out_of_range(call, TYPE_INT, err);
    }
    v->integer = v->integer < 0 ? -v->integer : v->integer;
    return ERR_OK;
}

enum errcode call_abs_float(const struct call *call, struct value *v, struct err *err)
{
    (void)call;
    (void)err;
    v->number = fabs(v->number);
    return ERR_OK;
}

enum errcode call_floor(const struct call *call, struct value *v, struct err *err)
{
    (void)call;
    (void)err;
    v->number = floor(v->number);
    return ERR_OK;
}

enum errcode call_ceil(const struct call *call, struct value *v, struct err *err)
{
    (void)call;
    (void)err;
    v->number = ceil(v->number);
    return ERR_OK;
}

enum errcode call_round(const struct call *call, struct value *v, struct err *err)
{
    (void)call;
    (void)err;
    v->number = rint(v->number);
    return ERR_OK;
}

/* Of d.ddd...e+xx, the first @n digits, rounded: the number is 0.digits times ten to the power
 * *exponent. */
static void round_digits(char *digits, int n, int *exponent)
{
    bool is_up = digits[n] >= '5';
    for (int i = n; is_up && i-- > 0;) {
        is_up = digits[i] == '9';
        digits[i] = is_up ? '0' : (char)(digits[i] + 1);
    }
    if (is_up) { /* 99.5: one digit more. */
        memmove(digits + 1, digits, (size_t)n);
        digits[0] = '1';
        ++*exponent;
        n++;
    }
    digits[n] = '\0';
}

/* The first @n digits of @x; the number is 0.digits times ten to the power returned. */
static int take_digits(double x, int n, char digits[DIGITS_MAX + 2])
{
    char text[DIGITS_MAX + 16];
    CHECK(n > 1 && n <= DIGITS_MAX);
    snprintf(text, sizeof(text), "%.*e", n - 1, fabs(x));
    digits[0] = text[0];
    memcpy(digits + 1, text + 2, (size_t)n - 1);
    return (int)strtol(strchr(text, 'e') + 1, NULL, 10) + 1;
}

/* The number as people read it is rounded, not the binary one that is near it: 2.675 to two places
 * is 2.68.  Where more digits are to stay than every FLOAT has, all that it has are rounded. */
enum errcode call_round_to(const struct call *call, struct value *v, struct err *err)
{
    double x = v->number;
    int64_t places = v[1].integer;
    places = places < -PLACES_MAX ? -PLACES_MAX : places > PLACES_MAX ? PLACES_MAX : places;
    if (!isfinite(x) || x == 0) {
        v->number = x + 0.0; /* Not -0. */
        return ERR_OK;
    }
    char digits[DIGITS_MAX + 2], result[DIGITS_MAX + 24];
    int exponent = take_digits(x, DIGITS, digits);
    if (exponent + places >= DIGITS) {
        exponent = take_digits(x, DIGITS_MAX, digits);
    }
    int n = exponent + (int)places; /* Digits that stay. */
    if (n >= DIGITS_MAX) {
        return ERR_OK;
    }
    if (n < 0) {
        v->number = 0;
        return ERR_OK;
    }
    round_digits(digits, n, &exponent);
    snprintf(result, sizeof(result), "%s0.%se%d", x < 0 ? "-" : "", digits, exponent);
    v->number = strtod(result, NULL) + 0.0;
    return isfinite(v->number) ? ERR_OK : out_of_range(call, TYPE_FLOAT, err);
}

/* ---- powers ---- */

/* The result of finite numbers must be finite, and 0 only where @may_be_zero. */
static enum errcode set_result(const struct call *call, struct value *v, double result,
                               bool may_be_zero, struct err *err)
{
    bool is_finite = true;
    for (uint32_t i = 0; i < call->n; i++) {
        is_finite = is_finite && isfinite(v[i].number);
    }
    if (is_finite && (!isfinite(result) || (result == 0 && !may_be_zero))) {
        return out_of_range(call, TYPE_FLOAT, err);
    }
    v->number = result;
    return ERR_OK;
}

enum errcode call_sqrt(const struct call *call, struct value *v, struct err *err)
{
    if (v->number < 0) {
        return err_at(err, call->position, ERR_BAD_POWER, "a number below 0 has no square root: %g",
                      v->number);
    }
    v->number = sqrt(v->number);
    return ERR_OK;
}

enum errcode call_power(const struct call *call, struct value *v, struct err *err)
{
    double base = v->number, exponent = v[1].number;
    if (base == 0 && exponent < 0) {
        return err_at(err, call->position, ERR_BAD_POWER, "0 has no power below 0: %g", exponent);
    }
    if (base < 0 && isfinite(exponent) && rint(exponent) != exponent) {
        return err_at(err, call->position, ERR_BAD_POWER,
                      "%g is below 0 and has whole powers only, not %g", base, exponent);
    }
    return set_result(call, v, pow(base, exponent), base == 0, err);
}

enum errcode call_exp(const struct call *call, struct value *v, struct err *err)
{
    return set_result(call, v, exp(v->number), false, err);
}

enum errcode call_ln(const struct call *call, struct value *v, struct err *err)
{
    if (v->number <= 0) {
        return err_at(err, call->position, ERR_BAD_LOGARITHM,
                      "only a number above 0 has a logarithm, not %g", v->number);
    }
    v->number = log(v->number);
    return ERR_OK;
}

/* ---- the order of values ---- */

/* The one that comes last in the direction @sign. */
static enum errcode pick(const struct call *call, struct value *v, int sign, struct err *err)
{
    struct value best = value_null();
    for (uint32_t i = 0; i < call->n; i++) {
        if (v[i].type == TYPE_NULL) {
            continue;
        }
        if (best.type != TYPE_NULL) {
            charge_compare(call->evaluator->work, &best, &v[i]);
        }
        if (best.type == TYPE_NULL || sign * value_compare(&v[i], &best) > 0) {
            best = v[i];
        }
    }
    *v = best;
    return work_spend(call->evaluator->work, call->n, err);
}

enum errcode call_greatest(const struct call *call, struct value *v, struct err *err)
{
    return pick(call, v, 1, err);
}

enum errcode call_least(const struct call *call, struct value *v, struct err *err)
{
    return pick(call, v, -1, err);
}

enum errcode call_nullif(const struct call *call, struct value *v, struct err *err)
{
    (void)err;
    if (v[0].type != TYPE_NULL && v[1].type != TYPE_NULL) {
        charge_compare(call->evaluator->work, &v[0], &v[1]);
        *v = value_compare(&v[0], &v[1]) == 0 ? value_null() : v[0];
    }
    return ERR_OK;
}

/* ---- where a row is ---- */

static enum errcode set_hash(struct value *v, uint64_t hash)
{
    *v = value_int((int64_t)(hash >> 1));
    return ERR_OK;
}

enum errcode call_key_hash_int(const struct call *call, struct value *v, struct err *err)
{
    (void)call;
    (void)err;
    return set_hash(v, hash_u64((uint64_t)v->integer));
}

enum errcode call_key_hash_text(const struct call *call, struct value *v, struct err *err)
{
    (void)call;
    (void)err;
    return set_hash(v, hash_bytes(v->text.data, v->text.bytes, 0));
}

enum errcode call_key_hash_uuid(const struct call *call, struct value *v, struct err *err)
{
    (void)call;
    (void)err;
    return set_hash(v, hash_bytes(v->uuid, sizeof(v->uuid), 0));
}
