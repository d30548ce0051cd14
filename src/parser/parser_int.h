/* What the files of parser share: one parse's state, the tokens, and the tree builders.
 *
 * Control flows so: parse() -> grammar_run() -> lexer_next() for each token -> the grammar's
 * actions -> build_*().  The first fault is kept in struct parse and ends the run; after it every
 * builder gives NULL, so that the actions need no checks of their own.  One thread. */
#ifndef VECTRON_PARSER_INT_H
#define VECTRON_PARSER_INT_H

#include "parser/parser.h"

/* What a token holds depends on its type: NAME and keywords, STRING: @bytes of text at @data,
 * terminated; INTEGER: its text, in the statement; FLOAT: a double; PARAMETER: @bytes is its
 * number; VECTOR: @bytes floats. */
struct token {
    const void *data;
    uint32_t bytes;
    uint32_t position;
};

struct parse {
    const char *text;
    size_t bytes;
    size_t begin;       /* Of the statement: its first token. */
    size_t token_begin; /* Of the token read last; its end is @at. */
    size_t at;
    size_t n_tokens;
    uint32_t n_open; /* Parentheses. */
    uint32_t n_parameters;
    struct arena *arena;
    struct work *work;
    struct stmt *statement; /* The result, from the action of the start symbol. */
    struct err *err;
    enum errcode code; /* ERR_OK while nothing has failed. */
};

enum {
    TOKEN_END = 0,
    TOKEN_FAILED = -1
};

/* ---- lexer.c, literal.c ---- */

/* The next token's type (TK_ of grammar.h); TOKEN_END at the end of the text and before a ";". */
int lexer_next(struct parse *p, struct token *out);
/* Skips blanks, comments and empty statements; false at the end of the text or on a failure. */
bool lexer_begin(struct parse *p);
/* The token at p->at begins with a digit, with "." and a digit, or is a "[". */
int lexer_number(struct parse *p, struct token *out);
int lexer_vector(struct parse *p, struct token *out);
/* At E'...'; the text's length is for the caller to check. */
int lexer_escaped(struct parse *p, struct token *out);
static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
static inline bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}
static inline bool is_name_part(char c)
{
    return is_name_start(c) || is_digit(c) || c == '$';
}

/* ---- keyword.c ---- */

struct keyword {
    const char *word;
    uint8_t bytes;
    int token;
    bool is_reserved;
};
/* Any case; NULL where it is none. */
const struct keyword *keyword_find(const char *word, size_t bytes);
/* As an error message shows the token: "LIMIT", "a name"; NULL where it is not worth showing. */
const char *token_name(int token);

/* ---- fail.c ---- */

/* Each keeps the first fault only, with its position (bytes from 1), and gives TOKEN_FAILED. */
int parse_fail(struct parse *p, enum errcode code, size_t position, const char *format, ...)
    PRINTF_LIKE(4, 5);
int parse_fail_memory(struct parse *p);
/* How many bytes of the text [from, to) a message shows: it is cut between two characters. */
size_t parse_shown_bytes(const struct parse *p, size_t from, size_t to);
/* 'syntax error at or near' the token read last. */
int parse_fail_syntax(struct parse *p);
/* The token read last is a number that does not fit @type. */
int parse_fail_range(struct parse *p, const char *type);
/* As parse_fail_syntax, with a hint made of the token types that could have stood there. */
void parse_fail_expected(struct parse *p, const int *expected, size_t n);
static inline bool parse_failed(const struct parse *p)
{
    return p->code != ERR_OK;
}
/* Of the statement's arena; NULL after any failure. */
void *parse_alloc(struct parse *p, size_t bytes);

/* ---- habit.c ---- */

/* What VQL has instead of the word or operator at @at, behind the word before it, and behind the
 * one before that; NULL where nothing is known of them. */
const char *habit_at(const char *text, size_t bytes, size_t at);
const char *habit_unit(const char *text, size_t bytes); /* Of what is stuck to a number. */
const char *habit_after(const char *text, size_t at);
const char *habit_beyond(const char *text, size_t at);
bool habit_is_nested(const char *text, size_t at); /* Right behind an open parenthesis. */

/* ---- grammar.y ---- */

/* Reads one statement into p->statement. */
void grammar_run(struct parse *p);

/* ---- build.c: lists and expressions ---- */

struct list { /* Of anything; its members move while it grows. */
    void *items;
    size_t n, capacity;
};
/* @list = NULL begins one.  Members past @n_max are TOO_MANY_ITEMS. */
struct list *list_add(struct parse *p, struct list *list, const void *item, size_t item_bytes,
                      size_t n_max);
struct list *list_add_expr(struct parse *p, struct list *list, struct expr *item);

struct expr *expr_value(struct parse *p, struct token t, struct value value);
struct expr *expr_text(struct parse *p, struct token t);
struct expr *expr_integer(struct parse *p, struct token t);
struct expr *expr_minimum(struct parse *p, struct token t); /* -9223372036854775808 */
struct expr *expr_float(struct parse *p, struct token t);
struct expr *expr_parameter(struct parse *p, struct token t);
struct expr *expr_column(struct parse *p, struct token t);
struct expr *expr_call(struct parse *p, struct token name, struct list *arguments, bool is_star);
struct expr *expr_distinct(struct expr *e); /* Of a call. */
struct expr *expr_unary(struct parse *p, enum expr_op op, struct token t, struct expr *operand);
struct expr *expr_negate(struct parse *p, struct token t, struct expr *operand);
struct expr *expr_binary(struct parse *p, enum expr_op op, struct token t, struct expr *left,
                         struct expr *right);
struct expr *expr_between(struct parse *p, struct token t, struct expr *left, struct expr *from,
                          struct expr *to);
struct expr *expr_in(struct parse *p, struct token t, struct expr *left, struct list *items);
struct expr *expr_negated(struct expr *e);
/* @of = NULL: each WHEN is a condition; @otherwise = NULL: NULL. */
struct expr *expr_case(struct parse *p, struct token t, struct expr *of, struct list *whens,
                       struct expr *otherwise);
/* The pair of a WHEN and its THEN. */
struct list *list_add_when(struct parse *p, struct list *list, struct expr *when,
                           struct expr *then);
/* Calls that SQL writes with words between their arguments, as calls with commas; NULL is what was
 * not written: extract(x FROM from), trim(x FROM from), substring(x FROM from FOR count) */
struct expr *expr_from(struct parse *p, struct token name, struct expr *x, struct expr *from,
                       struct expr *count);
/* trim(BOTH ...): the function of that side. */
struct expr *expr_trim(struct parse *p, struct token name, struct token side, struct list *list);
/* position(x IN text) */
struct expr *expr_position(struct parse *p, struct token name, struct expr *x, struct expr *text);

struct chain { /* Of AND or of OR: while it has one term only, @terms is NULL. */
    struct expr *first;
    struct list *terms;
};
struct chain chain_add(struct parse *p, struct chain chain, enum expr_op op, struct expr *term);
struct expr *chain_end(struct parse *p, struct chain chain, enum expr_op op);

/* ---- build_stmt.c: statements and their parts ---- */

struct limits {
    struct expr *limit, *offset;
};
struct from { /* name.data = NULL and show = NULL: none was given. */
    struct token name;
    struct stmt *show; /* SHOW or DESCRIBE. */
};

struct list *list_add_name(struct parse *p, struct list *list, struct token t);
/* @value = NULL stands for true, as in WITH (HEADER). */
struct option option_of(struct parse *p, struct token name, struct expr *value);
struct list *list_add_option(struct parse *p, struct list *list, struct option option);
/* alias.data = NULL is none. */
struct list *list_add_target(struct parse *p, struct list *list, struct expr *expr,
                             struct token alias);
struct list *list_add_star(struct parse *p, struct list *list, struct token star);
/* @nulls: 1 first, 0 last, -1 as the direction has it. */
struct list *list_add_order(struct parse *p, struct list *list, struct expr *expr,
                            bool is_descending, int nulls);
struct list *list_add_assignment(struct parse *p, struct list *list, struct token column,
                                 struct expr *value);
struct list *list_add_near(struct parse *p, struct list *list, enum near_kind kind,
                           struct expr *expr);
struct list *list_add_row(struct parse *p, struct list *rows, struct list *row);
struct list *list_add_column(struct parse *p, struct list *list, struct column_def *column);

struct cast_type {
    struct token name, dim; /* dim.data = NULL: none was given. */
};
struct expr *expr_cast(struct parse *p, struct token t, struct expr *operand,
                       struct cast_type type);
/* @dim = NULL: none was given. */
struct column_def *column_new(struct parse *p, struct token name, struct token type,
                              const struct token *dim);
struct column_def *column_metric(struct parse *p, struct column_def *column, struct token metric);
struct column_def *column_quantize(struct parse *p, struct column_def *column, struct token bits);
struct column_def *column_key(struct column_def *column);
struct column_def *column_not_null(struct column_def *column);

/* A statement of @kind that begins at @t and is about @name (of a collection, policy or view). */
struct stmt *stmt_new(struct parse *p, enum stmt_kind kind, struct token t, struct token name);
/* Each fills in what stmt_new gave, and allows NULL for it. */
struct stmt *stmt_create(struct stmt *s, bool if_not_exists, const struct list *columns,
                         const struct list *with);
struct stmt *stmt_drop(struct stmt *s, bool if_exists);
struct stmt *stmt_insert(struct parse *p, struct stmt *s, const struct list *columns,
                         const struct list *rows, const struct list *with);
void stmt_on_conflict(struct stmt *s, enum on_conflict on_conflict);
struct stmt *stmt_update(struct stmt *s, const struct list *set, struct expr *where,
                         const struct list *with);
struct stmt *stmt_reindex(struct stmt *s, struct token column, const struct list *with);
struct stmt *stmt_delete(struct stmt *s, struct expr *where, const struct list *with);
struct stmt *stmt_select(struct stmt *s, bool is_distinct, const struct list *targets,
                         const struct list *order_by);
void stmt_group(struct stmt *s, struct stmt *show, const struct list *group_by,
                struct expr *having);
struct stmt *stmt_search(struct stmt *s, const struct list *targets, const struct list *queries,
                         struct token in_column);
void stmt_filter(struct stmt *s, struct expr *where, struct limits limits, const struct list *with);
struct stmt *stmt_explain(struct parse *p, struct stmt *s, bool analyze, const struct list *options,
                          struct stmt *inner);
/* @file.data = NULL: STDIN or STDOUT. */
struct stmt *stmt_copy(struct stmt *s, struct token file, const struct list *columns,
                       const struct list *with);
void stmt_is_from(struct stmt *s, enum on_conflict on_conflict);
struct stmt *stmt_set(struct stmt *s, struct expr *value);

#endif
