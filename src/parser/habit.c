/* Hints for those who come from SQL, from the table habits.def: what stands at and before the place
 * of a syntax error is looked for among what people type there. */
#include "parser/parser_int.h"

#include <string.h>
#include <strings.h>

enum {
    WORD_BYTES = 32,
    OPERATOR_BYTES_MAX = 3,
};

enum place {
    PLACE_FIRST,
    PLACE_AT,
    PLACE_AFTER,
    PLACE_BEYOND,
    PLACE_UNIT,
    PLACE_SOURCE,
    PLACE_SCHEMA,
    PLACE_NAME,
};

static const struct habit {
    enum place place;
    const char *words, *hint;
} habits[] = {
#define HABIT(place, words, hint) {PLACE_##place, words, hint},
#include "parser/habits.def"
#undef HABIT
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The hint of @word at @place, or NULL. */
static const char *find(enum place place, const char *word, size_t bytes)
{
    char sought[WORD_BYTES + 3];
    if (bytes == 0 || bytes > WORD_BYTES) {
        return NULL;
    }
    sought[0] = ' ';
    for (size_t i = 0; i < bytes; i++) {
        sought[i + 1] = lower(word[i]);
    }
    memcpy(sought + bytes + 1, " ", 2);
    for (size_t i = 0; i < COUNT_OF(habits); i++) {
        if (habits[i].place == place && strstr(habits[i].words, sought) != NULL) {
            return habits[i].hint;
        }
    }
    return NULL;
}

const char *parser_habit_of_name(const char *name)
{
    return find(PLACE_NAME, name, strlen(name));
}

/* The word or mark that ends before @end: gives where it begins, and its bytes; 0: there is none.
 */
static size_t word_before(const char *text, size_t end, size_t *bytes)
{
    while (end > 0 && is_blank(text[end - 1])) {
        end--;
    }
    size_t begin = end;
    while (begin > 0 && is_name_part(text[begin - 1])) {
        begin--;
    }
    begin -= begin == end && end > 0; /* A mark. */
    *bytes = end - begin;
    return begin;
}

static size_t word_at(const char *text, size_t begin, size_t end)
{
    size_t at = begin;
    while (at < end && is_name_part(text[at])) {
        at++;
    }
    return at - begin;
}

/* An operator of which the token at fault is the begin, the middle or the end. */
static const char *find_operator(const char *text, size_t begin, size_t end)
{
    for (size_t bytes = OPERATOR_BYTES_MAX; bytes > 0; bytes--) {
        for (size_t back = 0; back < bytes && back <= begin; back++) {
            const char *hint =
                begin - back + bytes <= end ? find(PLACE_AT, text + begin - back, bytes) : NULL;
            if (hint != NULL) {
                return hint;
            }
        }
    }
    return NULL;
}

/* @word stands behind FROM (, or the word before it behind FROM. */
static const char *find_source(const char *text, size_t at, size_t word_bytes)
{
    size_t last_bytes, lead_bytes;
    size_t last = word_before(text, at, &last_bytes);
    size_t lead = word_before(text, last, &lead_bytes);
    if (lead_bytes != 4 || strncasecmp(text + lead, "from", 4) != 0) {
        return NULL;
    }
    bool is_enclosed = last_bytes == 1 && text[last] == '(';
    return is_enclosed ? find(PLACE_SOURCE, text + at, word_bytes)
                       : find(PLACE_SOURCE, text + last, last_bytes);
}

const char *habit_at(const char *text, size_t bytes, size_t at)
{
    CHECK(at <= bytes);
    size_t word_bytes = word_at(text, at, bytes), last_bytes;
    size_t last = word_before(text, at, &last_bytes);
    if (last_bytes == 0) {
        return find(PLACE_FIRST, text + at, word_bytes);
    }
    bool is_dot = at < bytes && text[at] == '.';
    const char *hint = is_dot           ? find(PLACE_SCHEMA, text + last, last_bytes)
                       : word_bytes > 0 ? find_source(text, at, word_bytes)
                                        : NULL;
    if (hint != NULL) {
        return hint;
    }
    return word_bytes > 0 ? find(PLACE_AT, text + at, word_bytes) : find_operator(text, at, bytes);
}

const char *habit_unit(const char *text, size_t bytes)
{
    return find(PLACE_UNIT, text, bytes);
}

const char *habit_after(const char *text, size_t at)
{
    size_t bytes;
    size_t last = word_before(text, at, &bytes);
    return find(PLACE_AFTER, text + last, bytes);
}

const char *habit_beyond(const char *text, size_t at)
{
    size_t bytes;
    size_t second = word_before(text, word_before(text, at, &bytes), &bytes);
    return find(PLACE_BEYOND, text + second, bytes);
}

bool habit_is_nested(const char *text, size_t at)
{
    size_t bytes;
    size_t last = word_before(text, at, &bytes);
    return bytes == 1 && text[last] == '(';
}
