/* Typed values: what a column holds, a parameter carries and a result row is made of.
 *
 * Wire and log form (value_write): u8 type, then BOOL u8; INT i64; FLOAT f64; TEXT and JSON u32
 * length + UTF-8; UUID 16 bytes; TIMESTAMP i64 microseconds since 1970-01-01 UTC; VECTOR u32
 * dimension + raw f32; NULL nothing.  Little-endian.  Numbers of types are never used again. */
#ifndef VECTRON_BASE_VALUE_H
#define VECTRON_BASE_VALUE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum value_type {
#define TYPE(name, number, vql, text) TYPE_##name = (number),
#include "base/types.def"
#undef TYPE
    TYPE_COUNT
};

enum {
    VECTOR_DIM_MAX = 16384,
    TEXT_BYTES_MAX = 16 << 20,
    UUID_BYTES = 16,
};
/* Of a TIMESTAMP, in microseconds: the first one of year 1 and the last one of year 9999, UTC. */
#define TIMESTAMP_MIN INT64_C(-62135596800000000)
#define TIMESTAMP_MAX INT64_C(253402300799999999)

struct value {
    enum value_type type;
    union {
        bool boolean;
        int64_t integer; /* INT, and TIMESTAMP in microseconds. */
        double number;
        struct {
            const char *data; /* TEXT and JSON; not terminated; UTF-8. */
            uint32_t bytes;
        } text;
        uint8_t uuid[UUID_BYTES];
        struct {
            const float *data; /* Aligned for float. */
            uint32_t dim;
        } vector;
    };
};

const char *type_name(enum value_type type); /* As in VQL: "INT". */
/* The type of that VQL name, any case; TYPE_NULL where there is none. */
enum value_type type_find(const char *name, size_t bytes);

struct value value_null(void);
struct value value_bool(bool x);
struct value value_int(int64_t x);
struct value value_float(double x);
struct value value_text(const char *data, size_t bytes);
struct value value_cstr(const char *text);
struct value value_vector(const float *data, uint32_t dim);

void value_write(struct buf *b, const struct value *v);
/* Text is borrowed from the input; a vector is copied into @arena so that it is aligned.
 * A bad type, a dimension over VECTOR_DIM_MAX or a short input fails the reader. */
struct value value_read(struct reader *r, struct arena *arena);

/* Total order within a type, NULL last; INT and FLOAT compare as numbers.  <0, 0, >0. */
int value_compare(const struct value *a, const struct value *b);

/* The text that VQL and CSV show: true, 12, 0.5 (shortest that reads back the same), RFC 4122 for
 * UUID, 2026-01-31 12:00:00.25Z, [0.1,-2].  No quotes.  NULL appends nothing. */
void value_format(struct buf *b, const struct value *v);
/* The shortest text that reads back as the same number: of 32 bits where @is_float32. */
void number_format(struct buf *b, double x, bool is_float32);
/* The reverse, for a known type.  Copies go to @arena. */
enum errcode value_parse(enum value_type type, const char *text, size_t bytes, struct arena *arena,
                         struct value *out, struct err *err) WARN_UNUSED;

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back. */
int64_t days_from_date(int64_t year, int month, int day);
void date_from_days(int64_t days, int64_t *year, int *month, int *day);

/* The one check of every door that takes values as they are (BIND, binary COPY), whose texts and
 * numbers value_parse has not seen: TEXT and JSON are UTF-8 without a zero byte, JSON is one JSON
 * value, and a TIMESTAMP is one that value_format shows and value_parse reads back. */
enum errcode value_check(const struct value *v, struct err *err) WARN_UNUSED;

/* A zero byte is not valid: it ends texts elsewhere. */
bool utf8_is_valid(const char *text, size_t bytes);
enum json_verdict {
    JSON_VALID, /* One JSON value and nothing else. */
    JSON_BROKEN,
    JSON_TOO_DEEP, /* Arrays and objects in each other, more than JSON_DEPTH_MAX. */
};
enum json_verdict json_check(const char *text, size_t bytes);
enum {
    JSON_DEPTH_MAX = 128
};

/* The member @key of a JSON object, and the element @at of a JSON array, from 0, or from -1 at its
 * end: the raw JSON text, borrowed from @json; false where there is none, or @json is something
 * else.  A member's name is compared as what its escapes mean.  For -> and ->>. */
bool json_member(const char *json, size_t bytes, const char *key, size_t key_bytes,
                 const char **member, size_t *member_bytes);
bool json_element(const char *json, size_t bytes, int64_t at, const char **element,
                  size_t *element_bytes);
/* The text that a JSON string means, which is never longer: @string with its quotes and escapes is
 * one valid JSON string of @bytes, and @out has room for as many.  Returns the text's bytes.  What
 * no text can hold (\u0000, half of a surrogate pair) becomes U+FFFD. */
size_t json_unescape(const char *string, size_t bytes, char *out);

#endif
