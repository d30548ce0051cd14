/* Values by themselves: of another type, copied, measured. */
#include "expr/expr_int.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum errcode value_coerce(const struct value *value, enum value_type want, struct arena *arena,
                          struct value *out, struct err *err)
{
    CHECK_HOT(value->type < TYPE_COUNT && want < TYPE_COUNT);
    *out = *value;
    if (value->type == want || value->type == TYPE_NULL || want == TYPE_NULL) {
        return ERR_OK;
    }
    if (value->type == TYPE_INT && want == TYPE_FLOAT) {
        *out = value_float((double)value->integer);
        return ERR_OK;
    }
    if (value->type == TYPE_TEXT) {
        return value_parse(want, value->text.data, value->text.bytes, arena, out, err);
    }
    if (value->type == TYPE_JSON && want == TYPE_TEXT) {
        out->type = TYPE_TEXT;
        return ERR_OK;
    }
    return err_set(err, ERR_TYPE_MISMATCH, "a value of type %s is needed, not %s", type_name(want),
                   type_name(value->type));
}

size_t values_bytes(const struct value *values, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += value_bytes(&values[i]);
    }
    return bytes;
}

bool value_copy(struct value *out, const struct value *value, struct arena *arena)
{
    CHECK_HOT(arena != NULL);
    *out = *value;
    size_t bytes = value_bytes(value);
    if (bytes == 0) {
        return true;
    }
    bool is_vector = value->type == TYPE_VECTOR;
    const void *from = is_vector ? (const void *)value->vector.data : value->text.data;
    void *copy = arena_copy(arena, from, bytes);
    if (is_vector) {
        out->vector.data = copy;
    } else {
        out->text.data = copy;
    }
    return copy != NULL;
}

/* ---- JSON read as what it stands for ---- */

/* A JSON number becomes INT where it is written as one and fits, else FLOAT; any other JSON becomes
 * NULL. */
struct value json_number(const struct value *v)
{
    if (v->type != TYPE_JSON) {
        return *v;
    }
    char digits[64], *end;
    size_t bytes = v->text.bytes;
    char first = bytes > 0 ? v->text.data[0] : 0;
    if (bytes >= sizeof(digits) || !(first == '-' || (first >= '0' && first <= '9'))) {
        return value_null();
    }
    memcpy(digits, v->text.data, bytes);
    digits[bytes] = 0;
    errno = 0;
    long long whole = strtoll(digits, &end, 10);
    if (*end == 0 && errno == 0) {
        return value_int(whole);
    }
    double x = strtod(digits, NULL);
    return isfinite(x) ? value_float(x) : value_null();
}

struct value json_bool(const struct value *v)
{
    if (v->type != TYPE_JSON) {
        return *v;
    }
    if (v->text.bytes == 4 && memcmp(v->text.data, "true", 4) == 0) {
        return value_bool(true);
    }
    if (v->text.bytes == 5 && memcmp(v->text.data, "false", 5) == 0) {
        return value_bool(false);
    }
    return value_null();
}
