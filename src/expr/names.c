/* Names in expressions: columns, pseudo-columns, functions, aggregates; and what is said of those
 * that there are not. */
#include "expr/aggregate_int.h"

#include <string.h>

enum {
    NODE_WORK = 100,
    NAMES_MAX = 256, /* Of functions and aggregates. */
    NEAR_NAMES_MAX = 3,
    LIST_BYTES = 128,
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

/* ---- functions and aggregates that there are not, or not with these arguments ---- */

/* A text that is made of parts and cut where it is full. */
struct list {
    char text[LIST_BYTES];
    size_t bytes;
};

static void add(struct list *list, const char *text)
{
    size_t bytes = strlen(text), room = sizeof(list->text) - 1 - list->bytes;
    bytes = bytes < room ? bytes : room;
    memcpy(list->text + list->bytes, text, bytes);
    list->bytes += bytes;
    list->text[list->bytes] = '\0';
}

static const char *type_text(unsigned type)
{
    return type == TYPE_ANY                             ? "any"
           : type == TYPE_ALIKE || type == TYPE_ORDERED ? "alike"
                                                        : type_name((enum value_type)type);
}

/* "(TEXT, INT)" */
static void add_arguments(struct list *list, const struct function *f)
{
    size_t n = f->n == ARGUMENTS_MANY ? 1 : f->n;
    add(list, "(");
    for (size_t i = 0; i < n; i++) {
        add(list, i > 0 ? ", " : "");
        add(list, type_text(f->takes[i]));
    }
    add(list, f->n == ARGUMENTS_MANY ? ", ...)" : ")");
}

/* @name is not one of the n before it, or is the last of them. */
static size_t add_name(const char **names, size_t n, const char *name)
{
    if (n > 0 && strcmp(names[n - 1], name) == 0) {
        return n;
    }
    CHECK(n < NAMES_MAX);
    names[n] = name;
    return n + 1;
}

/* Of all functions and aggregates. */
static size_t list_names(const char **names)
{
    size_t n = 0;
    for (size_t i = 0; i < functions_count(); i++) {
        n = add_name(names, n, function_at(i)->name);
    }
    for (size_t i = 0; i < aggregates_count(); i++) {
        n = add_name(names, n, aggregate_at(i)->name);
    }
    return n;
}

static enum errcode function_unknown(const struct expr *e, struct err *err)
{
    const char *names[NAMES_MAX] = {NULL}, *near[NEAR_NAMES_MAX];
    size_t n = list_names(names), n_near = 0;
    err_at(err, e->position, ERR_UNKNOWN_FUNCTION, "there is no function \"%s\"", e->name);
    const char *habit = parser_habit_of_name(e->name);
    if (habit != NULL) {
        err_hint(err, "%s", habit);
        return ERR_UNKNOWN_FUNCTION;
    }
    while (n_near < NEAR_NAMES_MAX && (near[n_near] = err_nearest(e->name, names, n)) != NULL) {
        for (size_t i = 0; i < n; i++) {
            names[i] = names[i] == near[n_near] ? names[--n] : names[i];
        }
        n_near++;
    }
    struct list list = {.bytes = 0};
    for (size_t i = 0; i < n_near; i++) {
        add(&list, i == 0 ? "" : i + 1 < n_near ? ", " : " or ");
        add(&list, near[i]);
    }
    if (n_near > 0) {
        err_hint(err, "Perhaps you meant %s.", list.text);
    } else {
        err_hint(err, "The manual of VQL lists the functions under Expressions.");
    }
    return ERR_UNKNOWN_FUNCTION;
}

enum errcode function_mismatch(const struct expr *e, const enum value_type *types, size_t n,
                               struct err *err)
{
    struct list given = {.bytes = 0}, taken = {.bytes = 0};
    for (size_t i = 0; i < n; i++) {
        add(&given, i > 0 ? ", " : "");
        add(&given, type_name(types[i]));
    }
    add(&given, n < e->n_items ? ", ..." : e->is_star ? "*" : "");
    err_at(err, e->position, ERR_UNKNOWN_FUNCTION, "there is no function %s(%s)", e->name,
           given.text);
    size_t n_rows, first = functions_find(e->name, &n_rows);
    for (size_t i = 0; i < n_rows; i++) {
        add(&taken, i == 0 ? "" : i + 1 < n_rows ? ", " : " or ");
        add_arguments(&taken, function_at(first + i));
    }
    err_hint(err, "%s takes %s; CAST(x AS type) makes another type of a value.", e->name,
             taken.text);
    return ERR_UNKNOWN_FUNCTION;
}

enum errcode aggregate_mismatch(const struct expr *e, enum value_type type, struct err *err)
{
    struct list taken = {.bytes = 0};
    size_t n, first = aggregates_find(e->name, &n);
    for (size_t i = first; i < first + n; i++) {
        unsigned takes = aggregate_at(i)->takes;
        add(&taken, i == first ? "" : i + 1 < first + n ? ", " : " or ");
        add(&taken, takes == TYPE_STAR      ? "*"
                    : takes == TYPE_ORDERED ? "any type that has an order"
                                            : type_text(takes));
    }
    const char *given = e->is_star ? "*" : e->n_items == 1 ? type_name(type) : "";
    err_at(err, e->position, ERR_UNKNOWN_FUNCTION, "there is no aggregate %s(%s%s%s)", e->name,
           e->is_distinct ? "DISTINCT " : "", given, e->n_items > 1 ? "..." : "");
    err_hint(err, "%s takes one argument, %s; CAST(x AS type) makes another type of a value.",
             e->name, taken.text);
    return ERR_UNKNOWN_FUNCTION;
}

/* ---- all names of an expression ---- */

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
    if (work_spend(scope->work, NODE_WORK, err) != ERR_OK || check_name(scope, e, err) != ERR_OK ||
        (e->left != NULL && check_names(scope, e->left, err) != ERR_OK) ||
        (e->right != NULL && check_names(scope, e->right, err) != ERR_OK)) {
        return err->code;
    }
    for (size_t i = 0; i < e->n_items; i++) {
        if (check_names(scope, e->items[i], err) != ERR_OK) {
            return err->code;
        }
    }
    return ERR_OK;
}
