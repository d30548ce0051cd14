/* Keywords: the table of keywords.def, searched by halving. */
#include "parser/parser_int.h"

#include <string.h>

#include "parser/grammar.h"

enum {
    KEYWORD_BYTES_MAX = 16
};

static const struct keyword keywords[] = {
#define KEYWORD(word, token, is_reserved) {word, sizeof(word) - 1, TK_##token, is_reserved},
#include "parser/keywords.def"
#undef KEYWORD
};

static const char *const words[] = {
#define KEYWORD(word, token, is_reserved) word,
#include "parser/keywords.def"
#undef KEYWORD
};

/* Tokens that are not words, as messages show them. */
static const struct {
    int token;
    const char *name;
} token_names[] = {
    {TK_NAME, "a name"},        {TK_STRING, "a text"},
    {TK_INTEGER, "an integer"}, {TK_PARAMETER, "a parameter"},
    {TK_VECTOR, "a vector"},    {TK_LP, "\"(\""},
    {TK_RP, "\")\""},           {TK_COMMA, "\",\""},
    {TK_EQ, "\"=\""},           {TOKEN_END, "the end"},
};

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

const struct keyword *keyword_find(const char *word, size_t bytes)
{
    char folded[KEYWORD_BYTES_MAX];
    if (bytes >= sizeof(folded)) {
        return NULL;
    }
    for (size_t i = 0; i < bytes; i++) {
        folded[i] = fold(word[i]);
    }
    folded[bytes] = '\0';
    size_t low = 0, high = COUNT_OF(keywords);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(folded, keywords[middle].word);
        if (order == 0) {
            return &keywords[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

const char *token_name(int token)
{
    for (size_t i = 0; i < COUNT_OF(token_names); i++) {
        if (token_names[i].token == token) {
            return token_names[i].name;
        }
    }
    for (size_t i = 0; i < COUNT_OF(keywords); i++) {
        if (keywords[i].token == token) {
            return keywords[i].word;
        }
    }
    return NULL;
}

const char *const *parser_keywords(size_t *n)
{
    *n = COUNT_OF(words);
    return words;
}

bool parser_keyword_is_reserved(const char *word)
{
    const struct keyword *k = keyword_find(word, strlen(word));
    return k != NULL && k->is_reserved;
}
