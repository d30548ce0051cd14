/* parse(): one statement of a text becomes a tree.
 *
 * The first fault ends everything: parse_fail (fail.c) keeps it, the lexer gives TOKEN_FAILED from
 * then on, and the builders give NULL.  Nothing is freed: the arena is the caller's. */
#include "parser/parser_int.h"

enum errcode parse_metered(const struct parse_source *source, struct stmt **out, size_t *rest,
                           struct err *err)
{
    size_t bytes = source->bytes;
    CHECK(source->text != NULL && source->arena != NULL && out != NULL && rest != NULL);
    struct parse p = {.text = source->text,
                      .bytes = bytes,
                      .arena = source->arena,
                      .work = source->work,
                      .err = err};
    *out = NULL;
    *rest = bytes;
    if (bytes >= UINT32_MAX) { /* Positions are 32 bits. */
        return err_set(err, ERR_STATEMENT_TOO_LONG, "a text of %zu bytes is too long", bytes);
    }
    if (lexer_begin(&p)) {
        grammar_run(&p);
    }
    if (parse_failed(&p)) {
        return p.code;
    }
    CHECK(p.at <= bytes && p.n_parameters <= VQL_PARAMETERS_MAX);
    *out = p.statement;
    *rest = p.at < bytes ? p.at + 1 : bytes;
    if (p.statement != NULL) {
        p.statement->n_parameters = p.n_parameters;
    }
    return ERR_OK;
}

enum errcode parse(const char *text, size_t bytes, struct arena *arena, struct stmt **out,
                   size_t *rest, struct err *err)
{
    struct work unmetered = {.left = INT64_MAX};
    struct parse_source source = {text, bytes, arena, &unmetered};
    return parse_metered(&source, out, rest, err);
}

const char *stmt_name(enum stmt_kind kind)
{
    static const char *const names[STMT_COUNT] = {
        [STMT_CREATE_COLLECTION] = "CREATE COLLECTION",
        [STMT_DROP_COLLECTION] = "DROP COLLECTION",
        [STMT_INSERT] = "INSERT",
        [STMT_UPDATE] = "UPDATE",
        [STMT_DELETE] = "DELETE",
        [STMT_SELECT] = "SELECT",
        [STMT_SEARCH] = "SEARCH",
        [STMT_EXPLAIN] = "EXPLAIN",
        [STMT_COPY] = "COPY",
        [STMT_SET] = "SET",
        [STMT_SHOW] = "SHOW",
        [STMT_RESET] = "RESET",
        [STMT_DESCRIBE] = "DESCRIBE",
        [STMT_CHECKPOINT] = "CHECKPOINT",
        [STMT_REINDEX] = "REINDEX",
    };
    CHECK((unsigned)kind < STMT_COUNT);
    return names[kind];
}
