/* The door of parser: VQL text to a tree and back.
 *
 * parse() turns the first statement of a text into a tree in the caller's arena; print() turns a
 * tree into canonical VQL, such that parse(print(tree)) is the same tree (a test).  Knows no
 * catalog, disk or network: names are unresolved, literals are typed by their form alone.
 *
 * Positions are bytes from 1 in the text that was given.  Limits: VQL_TEXT_BYTES_MAX,
 * VQL_DEPTH_MAX, VQL_ITEMS_MAX, VECTOR_DIM_MAX, each with an error of its own. */
#ifndef VECTRON_PARSER_H
#define VECTRON_PARSER_H

#include "parser/tree.h"

/* Parses the first statement of @text.  *rest is where the text after its ";" begins.  *out is
 * NULL where only blanks and comments were left.  The tree lives in @arena and may borrow from
 * @text.  Errors: SYNTAX, STATEMENT_TOO_LONG, NESTED_TOO_DEEP, TOO_MANY_ITEMS, NUMBER_OUT_OF_RANGE,
 * BAD_ENCODING, NAME_TOO_LONG, OUT_OF_MEMORY; each with its position. */
struct parse_source {
    const char *text;
    size_t bytes;
    struct arena *arena;
    struct work *work; /* Paid as the text is read. */
};
enum errcode parse_metered(const struct parse_source *source, struct stmt **out, size_t *rest,
                           struct err *err) WARN_UNUSED;
/* The same without a meter. */
enum errcode parse(const char *text, size_t bytes, struct arena *arena, struct stmt **out,
                   size_t *rest, struct err *err) WARN_UNUSED;

/* Appends canonical VQL, without the ";". */
void print_stmt(struct buf *b, const struct stmt *stmt);
void print_expr(struct buf *b, const struct expr *expr);
void print_order(struct buf *b, const struct order *order); /* A key of ORDER BY. */
/* A name as VQL needs it: quoted where it is a reserved word or not plain lower case. */
void print_name(struct buf *b, const char *name);
/* A text literal with its quotes doubled. */
void print_text(struct buf *b, const char *text, size_t bytes);

const char *stmt_name(enum stmt_kind kind); /* "CREATE COLLECTION": also the command tag. */

/* All keywords, lower case, sorted. */
const char *const *parser_keywords(size_t *n);
bool parser_keyword_is_reserved(const char *word);

/* What VQL has instead of what SQL calls @name (a column, a function, a view), or NULL. */
const char *parser_habit_of_name(const char *name);

#endif
