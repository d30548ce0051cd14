/* UTF-8 and JSON (RFC 3629, RFC 8259): validity, one member of a value, and a string's text. */
#include "base/value.h"

#include <string.h>

/* ---- UTF-8 ---- */

/* Bytes of the character that starts at @p, or 0 where it is none.  Overlong forms, surrogates and
 * code points over U+10FFFF are none. */
static size_t utf8_character(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80) {
        return 1;
    }
    size_t bytes = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || bytes > left) {
        return 0;
    }
    for (size_t i = 1; i < bytes; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool is_bad = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
                  (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f);
    return is_bad ? 0 : bytes;
}

/* How many words of eight bytes at the front are plain: no byte is zero or over 127. */
static size_t ascii_bytes(const uint8_t *p, size_t left)
{
    static const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    size_t n = 0;
    for (uint64_t word; left - n >= sizeof(word); n += sizeof(word)) {
        memcpy(&word, p + n, sizeof(word));
        if (((word | (word - ones)) & highs) != 0) {
            break;
        }
    }
    return n;
}

bool utf8_is_valid(const char *text, size_t bytes)
{
    const uint8_t *p = (const uint8_t *)text;
    while (bytes > 0) {
        size_t ascii = ascii_bytes(p, bytes);
        p += ascii;
        bytes -= ascii;
        if (bytes == 0) {
            break;
        }
        size_t n = utf8_character(p, bytes);
        if (n == 0 || p[0] == 0) { /* A zero byte ends texts elsewhere: refused as in PostgreSQL. */
            return false;
        }
        p += n;
        bytes -= n;
    }
    return true;
}

/* ---- JSON ---- */

enum {
    UTF8_BYTES_MAX = 4
};

struct cursor {
    const char *at, *end;
};

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end &&
           (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r')) {
        c->at++;
    }
}

static bool take(struct cursor *c, char wanted)
{
    if (c->at < c->end && *c->at == wanted) {
        c->at++;
        return true;
    }
    return false;
}

static bool skip_word(struct cursor *c, const char *word)
{
    size_t bytes = strlen(word);
    if ((size_t)(c->end - c->at) < bytes || memcmp(c->at, word, bytes) != 0) {
        return false;
    }
    c->at += bytes;
    return true;
}

static bool skip_escape(struct cursor *c)
{
    if (c->at == c->end) {
        return false;
    }
    char kind = *c->at++;
    if (kind != 'u') {
        return strchr("\"\\/bfnrt", kind) != NULL && kind != '\0';
    }
    for (int i = 0; i < 4; i++, c->at++) {
        if (c->at == c->end || *c->at == '\0' || strchr("0123456789abcdefABCDEF", *c->at) == NULL) {
            return false;
        }
    }
    return true;
}

/* How many words of eight bytes at the front hold no quote, backslash or control character. */
static size_t plain_bytes(const struct cursor *c)
{
    static const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    const char *at = c->at;
    for (uint64_t word; (size_t)(c->end - at) >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        uint64_t quote = word ^ ones * '"', escape = word ^ ones * '\\';
        uint64_t control = (word - ones * ' ') & ~word;
        uint64_t found = ((quote - ones) & ~quote) | ((escape - ones) & ~escape) | control;
        if ((found & highs) != 0) {
            break;
        }
    }
    return (size_t)(at - c->at);
}

static bool skip_string(struct cursor *c)
{
    if (!take(c, '"')) {
        return false;
    }
    while (c->at < c->end) {
        c->at += plain_bytes(c);
        if (c->at == c->end) {
            return false;
        }
        unsigned char byte = (unsigned char)*c->at++;
        if (byte == '"') {
            return true;
        }
        if (byte < ' ' || (byte == '\\' && !skip_escape(c))) {
            return false;
        }
    }
    return false;
}

static bool skip_digits(struct cursor *c)
{
    const char *from = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        c->at++;
    }
    return c->at > from;
}

static bool skip_number(struct cursor *c)
{
    take(c, '-');
    const char *from = c->at;
    if (!skip_digits(c) || (*from == '0' && c->at > from + 1)) {
        return false;
    }
    if (take(c, '.') && !skip_digits(c)) {
        return false;
    }
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+')) {
            take(c, '-');
        }
        return skip_digits(c);
    }
    return true;
}

static bool skip_scalar(struct cursor *c)
{
    if (c->at == c->end) {
        return false;
    }
    switch (*c->at) {
    case '"':
        return skip_string(c);
    case 't':
        return skip_word(c, "true");
    case 'f':
        return skip_word(c, "false");
    case 'n':
        return skip_word(c, "null");
    default:
        return skip_number(c);
    }
}

/* After "{" or a comma in an object: the member's name and its colon. */
static bool skip_name(struct cursor *c)
{
    skip_blanks(c);
    if (!skip_string(c)) {
        return false;
    }
    skip_blanks(c);
    return take(c, ':');
}

/* Checks and skips one value, however nested, with a stack of closing brackets. */
static enum json_verdict check_value(struct cursor *c)
{
    char closers[JSON_DEPTH_MAX];
    size_t depth = 0;
    for (;;) {
        skip_blanks(c);
        bool is_object = c->at < c->end && *c->at == '{';
        bool is_array = c->at < c->end && *c->at == '[';
        if (is_object || is_array) {
            if (depth == JSON_DEPTH_MAX) {
                return JSON_TOO_DEEP;
            }
            c->at++;
            closers[depth++] = is_object ? '}' : ']';
            skip_blanks(c);
            if (c->at == c->end || *c->at != closers[depth - 1]) {
                if (is_object && !skip_name(c)) {
                    return JSON_BROKEN;
                }
                continue;
            }
        } else if (!skip_scalar(c)) {
            return JSON_BROKEN;
        }
        /* A value has ended, or an empty container stands before its bracket. */
        for (;;) {
            if (depth == 0) {
                return JSON_VALID;
            }
            skip_blanks(c);
            if (take(c, closers[depth - 1])) {
                depth--;
                continue;
            }
            if (!take(c, ',') || (closers[depth - 1] == '}' && !skip_name(c))) {
                return JSON_BROKEN;
            }
            break;
        }
    }
}

/* Steps over one value of JSON that was checked before, and stays within @c's bytes in any other:
 * only quotes and brackets are looked at. */
static bool skip_value(struct cursor *c)
{
    size_t depth = 0;
    skip_blanks(c);
    const char *from = c->at;
    while (c->at < c->end) {
        char byte = *c->at;
        bool is_end = byte == '}' || byte == ']';
        if (depth == 0 && (is_end || byte == ',' || byte == ' ' || byte == '\t' || byte == '\n' ||
                           byte == '\r')) {
            return c->at > from; /* Behind a number or a word. */
        }
        if (byte == '"') {
            if (!skip_string(c)) {
                return false;
            }
        } else {
            depth += byte == '{' || byte == '[';
            depth -= is_end;
            c->at++;
        }
        if (depth == 0 && (byte == '"' || is_end)) {
            return true;
        }
    }
    return depth == 0 && c->at > from;
}

enum json_verdict json_check(const char *text, size_t bytes)
{
    if (!utf8_is_valid(text, bytes)) {
        return JSON_BROKEN;
    }
    struct cursor c = {text, text + bytes};
    enum json_verdict verdict = check_value(&c);
    skip_blanks(&c);
    return verdict == JSON_VALID && c.at < c.end ? JSON_BROKEN : verdict;
}

/* ---- what a string means ---- */

static uint32_t take_hex4(struct cursor *c)
{
    uint32_t x = 0;
    for (int i = 0; i < 4; i++) {
        char digit = *c->at++;
        x = x * 16 + (uint32_t)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    return x;
}

static size_t put_utf8(char out[UTF8_BYTES_MAX], uint32_t x)
{
    if (x < 0x80) {
        out[0] = (char)x;
        return 1;
    }
    if (x < 0x800) {
        out[0] = (char)(0xc0 | (x >> 6));
        out[1] = (char)(0x80 | (x & 0x3f));
        return 2;
    }
    if (x < 0x10000) {
        out[0] = (char)(0xe0 | (x >> 12));
        out[1] = (char)(0x80 | ((x >> 6) & 0x3f));
        out[2] = (char)(0x80 | (x & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (x >> 18));
    out[1] = (char)(0x80 | ((x >> 12) & 0x3f));
    out[2] = (char)(0x80 | ((x >> 6) & 0x3f));
    out[3] = (char)(0x80 | (x & 0x3f));
    return 4;
}

/* One byte, or the character of one escape, of a string that skip_string has passed. */
static size_t decode(struct cursor *c, char out[UTF8_BYTES_MAX])
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    out[0] = *c->at++;
    if (out[0] != '\\') {
        return 1;
    }
    char kind = *c->at++;
    if (kind != 'u') {
        const char *named = strchr(from, kind);
        out[0] = named != NULL ? to[named - from] : kind;
        return 1;
    }
    uint32_t x = take_hex4(c);
    bool is_high = x >= 0xd800 && x < 0xdc00;
    if (is_high && c->end - c->at >= 6 && memcmp(c->at, "\\u", 2) == 0) {
        struct cursor second = {c->at + 2, c->end};
        uint32_t low = take_hex4(&second);
        if (low >= 0xdc00 && low < 0xe000) {
            c->at = second.at;
            return put_utf8(out, 0x10000 + ((x - 0xd800) << 10) + (low - 0xdc00));
        }
    }
    /* Half of a pair stands for no character, and no text holds a zero byte. */
    bool is_none = x == 0 || (x >= 0xd800 && x < 0xe000);
    return put_utf8(out, is_none ? 0xfffd : x);
}

size_t json_unescape(const char *string, size_t bytes, char *out)
{
    CHECK(bytes >= 2 && string[0] == '"' && string[bytes - 1] == '"');
    struct cursor c = {string + 1, string + bytes - 1};
    size_t n = 0;
    while (c.at < c.end) {
        char character[UTF8_BYTES_MAX];
        size_t character_bytes = decode(&c, character);
        memcpy(out + n, character, character_bytes);
        n += character_bytes;
    }
    return n;
}

/* Whether the string between @c's ends, without its quotes, means @key. */
static bool means(struct cursor c, const char *key, size_t key_bytes)
{
    size_t bytes = (size_t)(c.end - c.at), n = 0;
    if (bytes == 0 || memchr(c.at, '\\', bytes) == NULL) {
        return bytes == key_bytes && (bytes == 0 || memcmp(c.at, key, bytes) == 0);
    }
    while (c.at < c.end) {
        char character[UTF8_BYTES_MAX];
        size_t character_bytes = decode(&c, character);
        if (character_bytes > key_bytes - n || memcmp(key + n, character, character_bytes) != 0) {
            return false;
        }
        n += character_bytes;
    }
    return n == key_bytes;
}

/* ---- members ---- */

static bool find_in_object(struct cursor *c, const char *key, size_t key_bytes,
                           struct cursor *value)
{
    bool is_found = false;
    skip_blanks(c);
    while (c->at < c->end && *c->at != '}') {
        skip_blanks(c);
        const char *name = c->at + 1;
        if (!skip_string(c)) {
            return false;
        }
        bool is_it = means((struct cursor){name, c->at - 1}, key, key_bytes);
        skip_blanks(c);
        if (!take(c, ':')) {
            return false;
        }
        skip_blanks(c);
        const char *from = c->at;
        if (!skip_value(c)) {
            return false;
        }
        if (is_it) { /* The last of several members of one name wins, as in PostgreSQL. */
            *value = (struct cursor){from, c->at};
            is_found = true;
        }
        skip_blanks(c);
        take(c, ',');
        skip_blanks(c);
    }
    return is_found;
}

/* Steps over the elements of an array behind its bracket; *value is the wanted one.  Returns how
 * many there were, up to that one. */
static uint64_t find_in_array(struct cursor c, uint64_t wanted, struct cursor *value)
{
    uint64_t n = 0;
    skip_blanks(&c);
    for (; c.at < c.end && *c.at != ']'; n++) {
        skip_blanks(&c);
        const char *from = c.at;
        if (!skip_value(&c)) {
            break;
        }
        if (n == wanted) {
            *value = (struct cursor){from, c.at};
            break;
        }
        skip_blanks(&c);
        take(&c, ',');
    }
    return n;
}

bool json_member(const char *json, size_t bytes, const char *key, size_t key_bytes,
                 const char **member, size_t *member_bytes)
{
    struct cursor c = {json, json + bytes}, value = {json, json};
    skip_blanks(&c);
    bool is_found = take(&c, '{') && find_in_object(&c, key, key_bytes, &value);
    *member = value.at;
    *member_bytes = (size_t)(value.end - value.at);
    return is_found;
}

bool json_element(const char *json, size_t bytes, int64_t at, const char **element,
                  size_t *element_bytes)
{
    struct cursor c = {json, json + bytes}, value = {json, json};
    skip_blanks(&c);
    if (take(&c, '[')) {
        uint64_t n = at < 0 ? find_in_array(c, UINT64_MAX, &value) : 0;
        (void)find_in_array(c, n + (uint64_t)at, &value); /* Past the front it is past the end. */
    }
    *element = value.at;
    *element_bytes = (size_t)(value.end - value.at);
    return *element_bytes > 0;
}
