/* Names in expressions: columns, pseudo-columns, functions, aggregates; and what is said of those
 * that there are not. */
#include "expr/aggregate_int.h"

#include <string.h>

enum {
    NODE_WORK = 100
};

enum pseudo pseudo_find(const struct expr_scope *scope, const char *name)
{
    if (!scope->has_pseudo) {
        return PSEUDO_COUNT;
    }
    if (strcmp(name, "distance") == 0) {
        return PSEUDO_DISTANCE;
    }
    return strcmp(name, "query") == 0 ? PSEUDO_QUERY : PSEUDO_COUNT;
}

bool is_aggregate(const struct expr *e)
{
    size_t n = 0;
    if (e->kind == EXPR_CALL) {
        (void)aggregates_find(e->name, &n);
    }
    return n > 0;
}

static enum errcode unknown_column(const struct expr_scope *scope, const struct expr *e,
                                   struct err *err)
{
    const struct schema *schema = scope->schema;
    if (schema == NULL) {
        err_at(err, e->position, ERR_UNKNOWN_COLUMN, "column \"%s\" cannot stand here", e->name);
        const char *habit = parser_habit_of_name(e->name);
        err_hint(err, "%s", habit != NULL ? habit : "Text is written in single quotes.");
        return ERR_UNKNOWN_COLUMN;
    }
    const char *names[COLUMNS_MAX + PSEUDO_COUNT];
    size_t n = 0;
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        names[n++] = schema->columns[i].name;
    }
    if (scope->has_pseudo) {
        names[n++] = "distance";
        names[n++] = "query";
    }
    err_at(err, e->position, ERR_UNKNOWN_COLUMN, "%s \"%s\" has no column \"%s\"",
           scope->is_view ? "the view" : "collection", schema->name, e->name);
    const char *nearest = err_nearest(e->name, names, n);
    if (nearest != NULL) {
        err_hint(err, "Perhaps you meant \"%s\".", nearest);
    } else if (parser_habit_of_name(e->name) != NULL) {
        err_hint(err, "%s", parser_habit_of_name(e->name));
    } else if (strcmp(e->name, "distance") == 0) {
        err_hint(err, "The distance is known in the select list of a SEARCH only.");
    } else if (scope->is_view) {
        err_hint(err, "SELECT * shows its columns.");
    } else {
        err_hint(err, "DESCRIBE %s lists its columns.", schema->name);
    }
    err_collection(err, scope->is_view ? "" : schema->name);
    err_column(err, e->name);
    return ERR_UNKNOWN_COLUMN;
}

static enum errcode check_name(const struct expr_scope *scope, const struct expr *e,
                               struct err *err)
{
    if (e->kind == EXPR_CALL) {
        size_t n;
        (void)functions_find(e->name, &n);
        return n > 0 || is_aggregate(e) ? ERR_OK : function_unknown(e, err);
    }
    bool is_column = scope->schema != NULL && e->kind == EXPR_COLUMN &&
                     schema_column(scope->schema, e->name) >= 0;
    bool is_unknown =
        e->kind == EXPR_COLUMN && !is_column && pseudo_find(scope, e->name) == PSEUDO_COUNT;
    return is_unknown ? unknown_column(scope, e, err) : ERR_OK;
}

/* Before anything is said of types: a name that is not known is the first thing to mend. */
enum errcode check_names(const struct expr_scope *scope, const struct expr *e, struct err *err)
{
    enum errcode code = work_spend(scope->work, NODE_WORK, err);
    if (code == ERR_OK) {
        code = check_name(scope, e, err);
    }
    if (code == ERR_OK && e->left != NULL) {
        code = check_names(scope, e->left, err);
    }
    if (code == ERR_OK && e->right != NULL) {
        code = check_names(scope, e->right, err);
    }
    for (size_t i = 0; i < e->n_items && code == ERR_OK; i++) {
        code = check_names(scope, e->items[i], err);
    }
    return code;
}
