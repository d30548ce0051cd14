/* Values as text: what VQL, CSV and vsql show, and the way back. */
#include "base/number_text.h"
#include "base/value.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    NUMBER_BYTES_MAX = 64, /* Longest text that is taken for a number, a time or a UUID. */
    MICROS_A_SECOND = 1000000,
    YEAR_MIN = 1,
    YEAR_MAX = 9999,
};

/* ---- value to text ---- */

void number_format(struct buf *b, double x, bool is_float32)
{
    if (!isfinite(x)) {
        buf_printf(b, "%s", isnan(x) ? "NaN" : x > 0 ? "Infinity" : "-Infinity");
        return;
    }
    is_float32 = is_float32 && (double)(float)x == x; /* Others need more digits than it has. */
    char text[NUMBER_BYTES_MAX];
    size_t bytes = is_float32 ? float_to_text((float)x, text) : 0;
    if (bytes > 0) {
        buf_bytes(b, text, bytes);
        return;
    }
    bool is_subnormal = fabs(x) < (is_float32 ? (double)FLT_MIN : DBL_MIN);
    int digits = is_subnormal ? 1 : is_float32 ? FLT_DIG : DBL_DIG;
    for (;; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, x);
        bool is_same = is_float32 ? strtof(text, NULL) == (float)x : strtod(text, NULL) == x;
        if (is_same) {
            break;
        }
        CHECK(digits < (is_float32 ? FLT_DECIMAL_DIG : DBL_DECIMAL_DIG));
    }
    buf_bytes(b, text, strlen(text));
}

/* Both count from the 1st of March of year 0, so that a leap day is the last of its year. */
int64_t days_from_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

void date_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    *month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

static void format_timestamp(struct buf *b, int64_t micros)
{
    int64_t seconds = micros / MICROS_A_SECOND, fraction = micros % MICROS_A_SECOND;
    if (fraction < 0) {
        fraction += MICROS_A_SECOND;
        seconds--;
    }
    int64_t days = seconds / 86400, second = seconds % 86400;
    if (second < 0) {
        second += 86400;
        days--;
    }
    int64_t year;
    int month, day;
    date_from_days(days, &year, &month, &day);
    buf_printf(b, "%04" PRId64 "-%02d-%02d %02d:%02d:%02d", year, month, day, (int)(second / 3600),
               (int)(second / 60 % 60), (int)(second % 60));
    if (fraction != 0) {
        char digits[8];
        snprintf(digits, sizeof(digits), "%06d", (int)fraction);
        size_t n = strlen(digits);
        while (n > 0 && digits[n - 1] == '0') {
            n--;
        }
        buf_printf(b, ".%.*s", (int)n, digits);
    }
    buf_u8(b, 'Z');
}

static void format_uuid(struct buf *b, const uint8_t uuid[UUID_BYTES])
{
    for (int i = 0; i < UUID_BYTES; i++) {
        bool has_dash = i == 4 || i == 6 || i == 8 || i == 10;
        buf_printf(b, "%s%02x", has_dash ? "-" : "", uuid[i]);
    }
}

void value_format(struct buf *b, const struct value *v)
{
    switch (v->type) {
    case TYPE_NULL:
        break;
    case TYPE_BOOL:
        buf_printf(b, "%s", v->boolean ? "true" : "false");
        break;
    case TYPE_INT:
        buf_printf(b, "%" PRId64, v->integer);
        break;
    case TYPE_FLOAT:
        number_format(b, v->number, false);
        break;
    case TYPE_TEXT:
    case TYPE_JSON:
        buf_bytes(b, v->text.data, v->text.bytes);
        break;
    case TYPE_UUID:
        format_uuid(b, v->uuid);
        break;
    case TYPE_TIMESTAMP:
        format_timestamp(b, v->integer);
        break;
    case TYPE_VECTOR:
        buf_u8(b, '[');
        for (uint32_t i = 0; i < v->vector.dim; i++) {
            if (i > 0) {
                buf_u8(b, ',');
            }
            number_format(b, (double)v->vector.data[i], true);
        }
        buf_u8(b, ']');
        break;
    case TYPE_COUNT:
        CHECK_NEVER("a value has a type");
    }
}

/* ---- text to value ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void trim(const char **text, size_t *bytes)
{
    while (*bytes > 0 && is_blank(**text)) {
        (*text)++;
        (*bytes)--;
    }
    while (*bytes > 0 && is_blank((*text)[*bytes - 1])) {
        (*bytes)--;
    }
}

static enum errcode refuse(struct err *err, enum errcode code, enum value_type type,
                           const char *text, size_t bytes)
{
    return err_set(err, code, "\"%.*s%s\" is not a valid value of type %s",
                   (int)(bytes > NUMBER_BYTES_MAX ? NUMBER_BYTES_MAX : bytes), text,
                   bytes > NUMBER_BYTES_MAX ? "..." : "", type_name(type));
}

static bool parse_bool(const char *text, struct value *out)
{
    static const char *const words[2][6] = {{"false", "f", "off", "no", "n", "0"},
                                            {"true", "t", "on", "yes", "y", "1"}};
    for (int truth = 0; truth < 2; truth++) {
        for (size_t i = 0; i < COUNT_OF(words[0]); i++) {
            if (strcasecmp(text, words[truth][i]) == 0) {
                *out = value_bool(truth == 1);
                return true;
            }
        }
    }
    return false;
}

static enum errcode parse_int(const char *text, struct value *out)
{
    char *end;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (end == text || *end != '\0') {
        return ERR_BAD_TEXT_REPRESENTATION;
    }
    *out = value_int(x);
    return errno == ERANGE ? ERR_NUMBER_OUT_OF_RANGE : ERR_OK;
}

static enum errcode parse_float(const char *text, struct value *out)
{
    char *end;
    errno = 0;
    double x = strtod(text, &end);
    if (end == text || *end != '\0' || strpbrk(text, "xXpP(") != NULL) {
        return ERR_BAD_TEXT_REPRESENTATION;
    }
    *out = value_float(x);
    bool is_lost = errno == ERANGE && (x == 0 || x == HUGE_VAL || x == -HUGE_VAL);
    return is_lost ? ERR_NUMBER_OUT_OF_RANGE : ERR_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* With or without dashes, in braces or not. */
static bool parse_uuid(const char *text, struct value *out)
{
    size_t bytes = strlen(text);
    if (bytes >= 2 && text[0] == '{' && text[bytes - 1] == '}') {
        text++;
        bytes -= 2;
    }
    *out = (struct value){.type = TYPE_UUID};
    int n_digits = 0;
    for (size_t i = 0; i < bytes; i++) {
        int digit = hex_digit(text[i]);
        if (text[i] == '-' && n_digits > 0 && n_digits % 4 == 0 && text[i - 1] != '-') {
            continue;
        }
        if (digit < 0 || n_digits == 2 * UUID_BYTES) {
            return false;
        }
        out->uuid[n_digits / 2] = (uint8_t)(out->uuid[n_digits / 2] << 4 | digit);
        n_digits++;
    }
    return n_digits == 2 * UUID_BYTES && text[bytes - 1] != '-';
}

/* Exactly @n digits; moves *text behind them. */
static bool take_digits(const char **text, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, (*text)++) {
        if (**text < '0' || **text > '9') {
            return false;
        }
        *out = *out * 10 + (**text - '0');
    }
    return true;
}

static bool take_char(const char **text, const char *any_of)
{
    if (**text == '\0' || strchr(any_of, **text) == NULL) {
        return false;
    }
    (*text)++;
    return true;
}

/* Z, +HH, +HHMM or +HH:MM, to the end; nothing means UTC. */
static bool take_zone(const char *text, int64_t *offset_seconds)
{
    *offset_seconds = 0;
    if (*text == ' ') {
        text++;
    }
    if (*text == '\0' || strcasecmp(text, "z") == 0 || strcasecmp(text, "utc") == 0) {
        return true;
    }
    int sign = *text == '-' ? -1 : 1, hours, minutes = 0;
    if (!take_char(&text, "+-") || !take_digits(&text, 2, &hours)) {
        return false;
    }
    take_char(&text, ":");
    if (*text != '\0' && !take_digits(&text, 2, &minutes)) {
        return false;
    }
    *offset_seconds = sign * (hours * 3600 + minutes * 60);
    return *text == '\0' && hours <= 15 && minutes <= 59;
}

static bool take_fraction(const char **text, int *micros)
{
    *micros = 0;
    if (!take_char(text, ".")) {
        return true;
    }
    int scale = MICROS_A_SECOND / 10, n = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++, n++, scale /= 10) {
        *micros += (**text - '0') * scale;
    }
    return n > 0;
}

/* 2026-01-31, 2026-01-31 12:30, 2026-01-31T12:30:00.25+02:00.  A leap second, :60, is counted as
 * the first of the next minute, since the count of seconds has no place for it. */
static bool parse_timestamp(const char *text, struct value *out)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, hour = 0, minute = 0, second = 0, micros = 0;
    if (!take_digits(&text, 4, &year) || !take_char(&text, "-") || !take_digits(&text, 2, &month) ||
        !take_char(&text, "-") || !take_digits(&text, 2, &day)) {
        return false;
    }
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year < YEAR_MIN || year > YEAR_MAX || month < 1 || month > 12 || day < 1 ||
        day > month_days[month - 1] + (month == 2 && is_leap)) {
        return false;
    }
    int64_t offset = 0;
    if (*text != '\0') {
        if (!take_char(&text, " tT") || !take_digits(&text, 2, &hour) || !take_char(&text, ":") ||
            !take_digits(&text, 2, &minute)) {
            return false;
        }
        if (take_char(&text, ":") &&
            (!take_digits(&text, 2, &second) || !take_fraction(&text, &micros))) {
            return false;
        }
        if (hour > 23 || minute > 59 || second > 60 || !take_zone(text, &offset)) {
            return false;
        }
    }
    int64_t seconds =
        days_from_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    *out = (struct value){.type = TYPE_TIMESTAMP, .integer = seconds * MICROS_A_SECOND + micros};
    return true;
}

static size_t count_elements(const char *text, size_t bytes)
{
    size_t n = 1;
    for (size_t i = 0; i < bytes; i++) {
        n += text[i] == ',';
    }
    return n;
}

/* Hexadecimal digits and nan(...) are the C library's notion of a number, not ours. */
static bool is_foreign(const char *number, const char *end)
{
    for (; number < end; number++) {
        if (strchr("xXpP(", *number) != NULL) {
            return true;
        }
    }
    return false;
}

/* strtof needs an end that is not part of a number; in "[1,2]" the comma or bracket is one, and the
 * last one is at @end.  What follows it is looked at by the caller. */
static bool take_float(const char *at, const char *end, float *out, const char **next)
{
    char *behind;
    bool is_negative = *at == '-';
    const char *first = at + (*at == '-' || *at == '+');
    struct number_text n = number_scan(first, end);
    *next = first + n.bytes;
    if (n.bytes > 0 && (*next == end || **next == ',') && number_to_float(&n, out)) {
        *out = is_negative ? -*out : *out;
        return true;
    }
    *out = strtof(at, &behind);
    *next = behind;
    return behind != at && behind <= end && !is_foreign(at, behind);
}

static enum errcode parse_vector(const char *text, size_t bytes, struct arena *arena,
                                 struct value *out, struct err *err)
{
    if (bytes < 3 || text[0] != '[' || text[bytes - 1] != ']') {
        refuse(err, ERR_BAD_TEXT_REPRESENTATION, TYPE_VECTOR, text, bytes);
        err_hint(err, "Write a vector as [0.1,-2,3e-4].");
        return err->code;
    }
    size_t n = count_elements(text, bytes);
    if (n > VECTOR_DIM_MAX) {
        return err_set(err, ERR_WRONG_DIMENSION, "a vector of %zu dimensions is over the limit %d",
                       n, VECTOR_DIM_MAX);
    }
    float *data = arena_array(arena, n, sizeof(float));
    if (data == NULL) {
        return err_no_memory(err);
    }
    const char *at = text + 1, *end = text + bytes - 1;
    for (size_t i = 0; i < n; i++) {
        const char *next;
        bool is_number = take_float(at, end, &data[i], &next);
        while (is_number && next < end && is_blank(*next)) {
            next++;
        }
        if (!is_number || *next != (i + 1 < n ? ',' : ']') || (i + 1 == n && next != end)) {
            err_set(err, ERR_BAD_TEXT_REPRESENTATION, "element %zu of a vector is not a number",
                    i + 1);
            err_hint(err, "Write a vector as [0.1,-2,3e-4].");
            return err->code;
        }
        if (!isfinite(data[i])) {
            return err_set(err, ERR_NOT_FINITE, "element %zu of a vector is not finite", i + 1);
        }
        at = next + 1;
    }
    *out = value_vector(data, (uint32_t)n);
    return ERR_OK;
}

/* ---- what may be stored ---- */

static enum errcode check_text(const struct value *v, struct err *err)
{
    const char *text = v->text.data;
    if (!utf8_is_valid(text, v->text.bytes)) {
        bool has_zero = v->text.bytes > 0 && memchr(text, 0, v->text.bytes) != NULL;
        return err_set(err, ERR_BAD_ENCODING, "a text %s",
                       has_zero ? "holds a byte of value zero" : "is not valid UTF-8");
    }
    enum json_verdict verdict = v->type == TYPE_JSON ? json_check(text, v->text.bytes) : JSON_VALID;
    if (verdict == JSON_TOO_DEEP) {
        err_set(err, ERR_NESTED_TOO_DEEP, "a JSON value is nested more than %d deep",
                JSON_DEPTH_MAX);
        err_hint(err, "The limit of nesting is %d arrays and objects in each other.",
                 JSON_DEPTH_MAX);
        return ERR_NESTED_TOO_DEEP;
    }
    return verdict == JSON_VALID ? ERR_OK
                                 : refuse(err, ERR_BAD_JSON, TYPE_JSON, text, v->text.bytes);
}

enum errcode value_check(const struct value *v, struct err *err)
{
    if (v->type == TYPE_TEXT || v->type == TYPE_JSON) {
        return check_text(v, err);
    }
    if (v->type == TYPE_TIMESTAMP && (v->integer < TIMESTAMP_MIN || v->integer > TIMESTAMP_MAX)) {
        err_set(err, ERR_DATETIME_RANGE, "a timestamp is outside the years %d to %d", YEAR_MIN,
                YEAR_MAX);
        err_hint(err, "Years are counted in UTC.");
        return ERR_DATETIME_RANGE;
    }
    return ERR_OK;
}

static enum errcode parse_text(enum value_type type, const char *text, size_t bytes,
                               struct arena *arena, struct value *out, struct err *err)
{
    if (bytes > TEXT_BYTES_MAX) {
        return err_set(err, ERR_STRING_TOO_LONG, "a text of %zu bytes is over the limit %d", bytes,
                       TEXT_BYTES_MAX);
    }
    *out = value_text(text, bytes);
    out->type = type;
    enum errcode code = value_check(out, err);
    if (code != ERR_OK) {
        return code;
    }
    const char *copy = arena_copy(arena, text, bytes);
    if (copy == NULL) {
        return err_no_memory(err);
    }
    out->text.data = copy;
    return ERR_OK;
}

enum errcode value_parse(enum value_type type, const char *text, size_t bytes, struct arena *arena,
                         struct value *out, struct err *err)
{
    if (type == TYPE_TEXT || type == TYPE_JSON) {
        return parse_text(type, text, bytes, arena, out, err);
    }
    trim(&text, &bytes);
    if (type == TYPE_VECTOR) {
        return parse_vector(text, bytes, arena, out, err);
    }
    char word[NUMBER_BYTES_MAX + 1];
    bool is_word = bytes > 0 && bytes <= NUMBER_BYTES_MAX && memchr(text, 0, bytes) == NULL;
    memcpy(word, text, is_word ? bytes : 0);
    word[is_word ? bytes : 0] = '\0'; /* The empty word is none of any type. */
    enum errcode code = ERR_BAD_TEXT_REPRESENTATION;
    switch (type) {
    case TYPE_BOOL:
        code = parse_bool(word, out) ? ERR_OK : code;
        break;
    case TYPE_INT:
        code = parse_int(word, out);
        break;
    case TYPE_FLOAT:
        code = parse_float(word, out);
        break;
    case TYPE_UUID:
        code = parse_uuid(word, out) ? ERR_OK : code;
        break;
    case TYPE_TIMESTAMP:
        code = parse_timestamp(word, out) ? ERR_OK : ERR_BAD_DATETIME;
        break;
    default:
        CHECK_NEVER("other types are parsed above");
    }
    if (code == ERR_OK) {
        return value_check(out, err);
    }
    refuse(err, code, type, text, bytes);
    if (code == ERR_BAD_DATETIME) {
        err_hint(err, "Write a timestamp as 2026-01-31 12:00:00Z.");
    }
    return code;
}
