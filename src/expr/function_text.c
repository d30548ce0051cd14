/* Functions of texts.  A character is one of UTF-8, which every text is. */
#define _GNU_SOURCE /* memmem */
#include "expr/function_int.h"

#include <string.h>

enum {
    WINDOW_BYTES = 32 << 10, /* Between two payments. */
    LETTER_WORK = 5,         /* Of a byte. */
    FOUND_WORK = 20,
    VECTOR_NUMBER_WORK = 300, /* Of a number that is written. */
};

/* ---- characters ---- */

static bool is_inside(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Bytes of the character at @at, which is before @end. */
static size_t character_bytes(const char *at, const char *end)
{
    size_t bytes = 1;
    while (at + bytes < end && is_inside(at[bytes])) {
        bytes++;
    }
    return bytes;
}

static uint32_t decode(const char *at, size_t bytes)
{
    static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    CHECK(bytes >= 1 && bytes <= 4);
    uint32_t c = (unsigned char)at[0] & first_bits[bytes];
    for (size_t i = 1; i < bytes; i++) {
        c = c << 6 | ((unsigned char)at[i] & 0x3f);
    }
    return c;
}

static size_t encode(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t bytes = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = bytes; i-- > 1; c >>= 6) {
        out[i] = (char)(0x80 | (c & 0x3f));
    }
    out[0] = (char)(first[bytes] | c);
    return bytes;
}

enum errcode check_text_bytes(uint32_t position, size_t bytes, struct err *err)
{
    return bytes <= TEXT_BYTES_MAX
               ? ERR_OK
               : err_at(err, position, ERR_STRING_TOO_LONG, "a text of %zu bytes is longer than %d",
                        bytes, TEXT_BYTES_MAX);
}

/* ---- letters ---- */

/* For the next window of [at, end), where the one before it is used up. */
static enum errcode pay(struct work *work, const char *at, const char *end, const char **paid,
                        struct err *err)
{
    size_t bytes = (size_t)(end - at);
    if (at < *paid) {
        return ERR_OK;
    }
    bytes = bytes < WINDOW_BYTES ? bytes : WINDOW_BYTES;
    *paid = at + bytes;
    return work_spend(work, LETTER_WORK * bytes, err);
}

/* The first character that would become another one; @end where there is none. */
static enum errcode find_other(struct work *work, const char **at, const char *end,
                               uint32_t (*letter)(uint32_t), struct err *err)
{
    const char *paid = *at;
    while (*at < end) {
        enum errcode code = pay(work, *at, end, &paid, err);
        if (code != ERR_OK) {
            return code;
        }
        size_t bytes = character_bytes(*at, end);
        uint32_t c = decode(*at, bytes);
        if (letter(c) != c) {
            return ERR_OK;
        }
        *at += bytes;
    }
    return ERR_OK;
}

static enum errcode map_letters(const struct call *call, struct value *v,
                                uint32_t (*letter)(uint32_t), struct err *err)
{
    struct work *work = call->evaluator->work;
    const char *text = v->text.data, *end = text + v->text.bytes, *at = text;
    enum errcode code = v->text.bytes > 0 ? find_other(work, &at, end, letter, err) : ERR_OK;
    if (code != ERR_OK || at == end) {
        return code; /* It is as it should be. */
    }
    size_t n = (size_t)(at - text);
    /* No letter of two bytes or more grows by more than a half. */
    char *out = arena_alloc(call->evaluator->arena, n + (size_t)(end - at) * 3 / 2 + 1);
    if (out == NULL) {
        return err_no_memory(err);
    }
    memcpy(out, text, n);
    for (const char *paid = at; at < end;) {
        code = pay(work, at, end, &paid, err);
        if (code != ERR_OK) {
            return code;
        }
        size_t bytes = character_bytes(at, end);
        n += encode(letter(decode(at, bytes)), out + n);
        at += bytes;
    }
    *v = value_text(out, n);
    return check_text_bytes(call->position, n, err);
}

enum errcode call_lower(const struct call *call, struct value *v, struct err *err)
{
    return map_letters(call, v, letter_lower, err);
}

enum errcode call_upper(const struct call *call, struct value *v, struct err *err)
{
    return map_letters(call, v, letter_upper, err);
}

/* ---- lengths and places ---- */

enum errcode call_length(const struct call *call, struct value *v, struct err *err)
{
    int64_t n = 0;
    for (size_t i = 0; i < v->text.bytes; i++) {
        n += !is_inside(v->text.data[i]);
    }
    enum errcode code = work_spend(call->evaluator->work, v->text.bytes, err);
    *v = value_int(n);
    return code;
}

/* Moves @at over @n characters, or to @end. */
static const char *skip(const char *at, const char *end, uint64_t n)
{
    for (; n > 0 && at < end; n--) {
        at += character_bytes(at, end);
    }
    return at;
}

/* Places before the first character count: substr('abc', -1, 3) is 'a'. */
enum errcode call_substr(const struct call *call, struct value *v, struct err *err)
{
    int64_t from = v[1].integer, count = call->n == 3 ? v[2].integer : INT64_MAX;
    if (count < 0) {
        return err_at(err, call->position, ERR_BAD_SUBSTRING, "substr takes no length below 0");
    }
    enum errcode code = work_spend(call->evaluator->work, v->text.bytes, err);
    if (code != ERR_OK || v->text.bytes == 0) {
        return code;
    }
    int64_t to = from > 0 && count > INT64_MAX - from ? INT64_MAX : from + count; /* Behind it. */
    from = from > 1 ? from : 1;
    const char *end = v->text.data + v->text.bytes;
    const char *begin = skip(v->text.data, end, (uint64_t)from - 1);
    const char *behind = to > from ? skip(begin, end, (uint64_t)(to - from)) : begin;
    *v = value_text(begin, (size_t)(behind - begin));
    return ERR_OK;
}

/* ---- trimming ---- */

enum {
    AT_BEGIN = 1,
    AT_END = 2
};

/* What stands at the ends of values[0] and in values[1], or is a blank, goes. */
static enum errcode trim(const struct call *call, struct value *v, int where, struct err *err)
{
    struct value blank = value_cstr(" "), *set = call->n == 2 ? &v[1] : &blank;
    const char *at = v->text.data, *end = at + v->text.bytes;
    size_t work = FOUND_WORK + set->text.bytes / BYTES_A_UNIT;
    int left = set->text.bytes > 0 ? where : 0;
    while (left != 0 && at < end) {
        bool is_begin = (left & AT_BEGIN) != 0;
        const char *c = at;
        if (!is_begin) {
            for (c = end - 1; c > at && is_inside(*c); c--) {
            }
        }
        size_t bytes = is_begin ? character_bytes(at, end) : (size_t)(end - c);
        enum errcode code = work_spend(call->evaluator->work, work, err);
        if (code != ERR_OK) {
            return code;
        }
        if (memmem(set->text.data, set->text.bytes, c, bytes) == NULL) {
            left &= is_begin ? ~AT_BEGIN : ~AT_END;
        } else {
            at += is_begin ? bytes : 0;
            end -= is_begin ? 0 : bytes;
        }
    }
    *v = value_text(at, (size_t)(end - at));
    return ERR_OK;
}

enum errcode call_btrim(const struct call *call, struct value *v, struct err *err)
{
    return trim(call, v, AT_BEGIN | AT_END, err);
}

enum errcode call_ltrim(const struct call *call, struct value *v, struct err *err)
{
    return trim(call, v, AT_BEGIN, err);
}

enum errcode call_rtrim(const struct call *call, struct value *v, struct err *err)
{
    return trim(call, v, AT_END, err);
}

/* ---- finding and replacing ---- */

/* The place of @what in [at, end), or NULL, paid for window by window. */
static enum errcode find(struct work *work, const char *at, const char *end,
                         const struct value *what, const char **found, struct err *err)
{
    size_t window = 2 * (size_t)what->text.bytes;
    window = window < WINDOW_BYTES ? WINDOW_BYTES : window;
    *found = NULL;
    while (*found == NULL && (size_t)(end - at) >= what->text.bytes) {
        size_t left = (size_t)(end - at), bytes = window < left ? window : left;
        *found = memmem(at, bytes, what->text.data, what->text.bytes);
        size_t seen = *found != NULL ? (size_t)(*found - at) : bytes;
        enum errcode code = work_spend(work, FOUND_WORK + seen + what->text.bytes, err);
        if (code != ERR_OK) {
            return code;
        }
        at += bytes - what->text.bytes + 1;
    }
    return ERR_OK;
}

enum errcode call_strpos(const struct call *call, struct value *v, struct err *err)
{
    struct work *work = call->evaluator->work;
    const char *text = v->text.data, *found = text;
    if (v[1].text.bytes > 0) {
        enum errcode code = find(work, text, text + v->text.bytes, &v[1], &found, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    int64_t place = found != NULL ? 1 : 0;
    for (const char *at = text; found != NULL && at < found; at++) {
        place += !is_inside(*at);
    }
    *v = value_int(place);
    return work_spend(work, found != NULL ? (uint64_t)(found - text) : 0, err);
}

enum errcode call_position(const struct call *call, struct value *v, struct err *err)
{
    struct value what = v[0];
    v[0] = v[1];
    v[1] = what;
    return call_strpos(call, v, err);
}

/* Walks the places: counts them where @out is NULL, else writes. */
static enum errcode replace_each(struct work *work, const struct value *v, char *out,
                                 size_t *n_found, struct err *err)
{
    const char *at = v->text.data, *end = at + v->text.bytes, *found;
    *n_found = 0;
    for (;;) {
        enum errcode code = find(work, at, end, &v[1], &found, err);
        if (code != ERR_OK) {
            return code;
        }
        size_t kept = (size_t)((found != NULL ? found : end) - at);
        if (out != NULL) {
            memcpy(out, at, kept);
            out += kept;
        }
        if (found == NULL) {
            return ERR_OK;
        }
        if (out != NULL && v[2].text.bytes > 0) {
            memcpy(out, v[2].text.data, v[2].text.bytes);
            out += v[2].text.bytes;
        }
        ++*n_found;
        at = found + v[1].text.bytes;
    }
}

enum errcode call_replace(const struct call *call, struct value *v, struct err *err)
{
    struct work *work = call->evaluator->work;
    size_t n;
    if (v->text.bytes == 0 || v[1].text.bytes == 0) {
        return ERR_OK;
    }
    enum errcode code = replace_each(work, v, NULL, &n, err);
    if (code != ERR_OK || n == 0) {
        return code;
    }
    size_t bytes = v->text.bytes - n * v[1].text.bytes + n * v[2].text.bytes;
    code = check_text_bytes(call->position, bytes, err);
    if (code == ERR_OK) {
        code = work_spend(work, bytes / 2, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    char *out = arena_alloc(call->evaluator->arena, bytes);
    if (out == NULL) {
        return err_no_memory(err);
    }
    code = replace_each(work, v, out, &n, err);
    *v = value_text(out, bytes);
    return code;
}

/* ---- all to text ---- */

enum errcode value_to_text(const struct value *value, struct arena *arena, struct value *out,
                           struct err *err)
{
    *out = *value;
    if (value->type == TYPE_NULL || value->type == TYPE_TEXT) {
        return ERR_OK;
    }
    if (value->type == TYPE_JSON) {
        out->type = TYPE_TEXT;
        return ERR_OK;
    }
    struct buf b;
    buf_init(&b, MEM_STATEMENT, TEXT_BYTES_MAX);
    value_format(&b, value);
    const char *text = b.failed ? NULL : arena_copy(arena, b.data, b.bytes);
    if (text != NULL) {
        *out = value_text(text, b.bytes);
    }
    buf_fini(&b);
    return text != NULL ? ERR_OK : err_no_memory(err);
}

static uint64_t text_work(const struct value *v)
{
    bool is_vector = v->type == TYPE_VECTOR;
    return FOUND_WORK + (is_vector ? VECTOR_NUMBER_WORK * (uint64_t)v->vector.dim
                                   : value_bytes(v) / BYTES_A_UNIT);
}

enum errcode call_concat(const struct call *call, struct value *v, struct err *err)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < call->n; i++) {
        enum errcode code = work_spend(call->evaluator->work, text_work(&v[i]), err);
        if (code == ERR_OK) {
            code = value_to_text(&v[i], call->evaluator->arena, &v[i], err);
        }
        if (code != ERR_OK) {
            return code;
        }
        bytes += v[i].type == TYPE_NULL ? 0 : v[i].text.bytes;
    }
    enum errcode code = check_text_bytes(call->position, bytes, err);
    if (code == ERR_OK) {
        code = work_spend(call->evaluator->work, bytes / 2, err); /* Most of it is new memory. */
    }
    if (code != ERR_OK) {
        return code;
    }
    char *out = arena_alloc(call->evaluator->arena, bytes);
    if (out == NULL) {
        return err_no_memory(err);
    }
    size_t n = 0;
    for (uint32_t i = 0; i < call->n; i++) {
        if (v[i].type != TYPE_NULL && v[i].text.bytes > 0) {
            memcpy(out + n, v[i].text.data, v[i].text.bytes);
            n += v[i].text.bytes;
        }
    }
    *v = value_text(out, n);
    return ERR_OK;
}
