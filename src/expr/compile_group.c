/* Groups, compiled: what is over the grouped row, whose columns are keys and then aggregates.
 *
 * An expression that is the same as a key is that column; a call of an aggregate is another, of the
 * same number wherever it is written again; a column of the input row has no value there and is
 * refused.  The argument of an aggregate is over the input row. */
#include "expr/aggregate_int.h"
#include "expr/compile_int.h"

#include <string.h>

enum {
    SAME_WORK = 4, /* Of two nodes that are compared. */
    ARRAY_FIRST = 4,
};

/* ---- trees ---- */

bool expr_has_aggregate(const struct expr *e)
{
    if (is_aggregate(e) || (e->left != NULL && expr_has_aggregate(e->left)) ||
        (e->right != NULL && expr_has_aggregate(e->right))) {
        return true;
    }
    for (size_t i = 0; i < e->n_items; i++) {
        if (expr_has_aggregate(e->items[i])) {
            return true;
        }
    }
    return false;
}

static bool is_same_node(const struct expr *a, const struct expr *b)
{
    bool is_same = a->kind == b->kind && a->op == b->op && a->is_negated == b->is_negated &&
                   a->is_star == b->is_star && a->is_distinct == b->is_distinct &&
                   a->height == b->height && a->n_items == b->n_items &&
                   (a->left == NULL) == (b->left == NULL) &&
                   (a->right == NULL) == (b->right == NULL);
    if (!is_same) {
        return false;
    }
    switch (a->kind) {
    case EXPR_LITERAL:
        return a->value.type == b->value.type && value_compare(&a->value, &b->value) == 0;
    case EXPR_PARAMETER:
        return a->parameter == b->parameter;
    case EXPR_COLUMN:
    case EXPR_CALL:
        return strcmp(a->name, b->name) == 0;
    case EXPR_CAST:
        return a->type == b->type && a->dim == b->dim;
    default:
        return true;
    }
}

/* @work may be NULL. */
static bool is_same_tree(const struct expr *a, const struct expr *b, struct work *work)
{
    if (work != NULL) {
        work_charge(work, SAME_WORK);
    }
    if (!is_same_node(a, b) || (a->left != NULL && !is_same_tree(a->left, b->left, work)) ||
        (a->right != NULL && !is_same_tree(a->right, b->right, work))) {
        return false;
    }
    for (size_t i = 0; i < a->n_items; i++) {
        if (!is_same_tree(a->items[i], b->items[i], work)) {
            return false;
        }
    }
    return true;
}

bool expr_is_same(const struct expr *a, const struct expr *b)
{
    return is_same_tree(a, b, NULL);
}

/* ---- what grows ---- */

/* Room for one more of @items in the scope's arena. */
static bool grow(struct arena *arena, void **items, size_t item_bytes, size_t n, size_t *capacity)
{
    if (n < *capacity) {
        return true;
    }
    size_t wanted = *capacity > 0 ? 2 * *capacity : ARRAY_FIRST;
    void *larger = arena_array(arena, wanted, item_bytes);
    if (larger == NULL) {
        return false;
    }
    if (n > 0) {
        memcpy(larger, *items, n * item_bytes);
    }
    *items = larger;
    *capacity = wanted;
    return true;
}

static enum errcode check_room(const struct grouping *g, const struct expr *e, struct err *err)
{
    if (g->n_keys + g->n_calls < COLUMNS_MAX) {
        return ERR_OK;
    }
    return err_at(err, e->position, ERR_TOO_MANY_ITEMS,
                  "GROUP BY and the aggregates of a SELECT are more than %d", COLUMNS_MAX);
}

/* ---- keys ---- */

enum errcode check_distinct_type(enum value_type type, const char *what, uint32_t position,
                                 struct err *err)
{
    if (type != TYPE_JSON && type != TYPE_VECTOR) {
        return ERR_OK;
    }
    err_at(err, position, ERR_TYPE_MISMATCH, "%s does not take values of type %s", what,
           type_name(type));
    err_hint(err, type == TYPE_JSON ? "Use ->> to take a member of a JSON value as TEXT."
                                    : "CAST(x AS TEXT) makes a text of a vector.");
    return ERR_TYPE_MISMATCH;
}

static int find_same(const struct grouping *g, const struct expr *e, struct work *work)
{
    for (size_t i = 0; i < g->n_keys; i++) {
        if (is_same_tree(g->keys[i], e, work)) {
            return (int)i;
        }
    }
    return -1;
}

enum errcode grouping_add_key(struct expr_scope *scope, struct grouping *g, const struct expr *key,
                              struct err *err)
{
    struct grouping *outer = scope->grouping;
    const struct program *program;
    CHECK(g->n_calls == 0);
    if (find_same(g, key, scope->work) >= 0) {
        return ERR_OK;
    }
    enum errcode code = check_room(g, key, err);
    if (code != ERR_OK) {
        return code;
    }
    scope->grouping = NULL;
    code = program_compile(scope, key, TYPE_NULL, &program, err);
    scope->grouping = outer;
    if (code == ERR_OK) {
        code = check_distinct_type(program->type, "GROUP BY", key->position, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    size_t capacity = g->keys_capacity;
    void *keys = g->keys, *programs = g->programs;
    if (!grow(scope->arena, &keys, sizeof(*g->keys), g->n_keys, &capacity) ||
        !grow(scope->arena, &programs, sizeof(*g->programs), g->n_keys, &g->keys_capacity)) {
        return err_no_memory(err);
    }
    g->keys = keys;
    g->programs = programs;
    g->keys[g->n_keys] = key;
    g->programs[g->n_keys++] = program;
    return ERR_OK;
}

int key_find(const struct compiler *c, const struct expr *e)
{
    const struct grouping *g = grouping_of(c);
    /* What has a value of its own is compiled as it stands. */
    if (g == NULL || e->kind == EXPR_LITERAL || e->kind == EXPR_PARAMETER) {
        return -1;
    }
    return find_same(g, e, c->scope->work);
}

/* ---- columns of the grouped row ---- */

enum value_type grouped_type(const struct grouping *g, uint32_t column)
{
    CHECK(column < g->n_keys + g->n_calls);
    return column < g->n_keys ? g->programs[column]->type : g->calls[column - g->n_keys].type;
}

uint32_t grouped_dim(const struct grouping *g, uint32_t column)
{
    CHECK(column < g->n_keys + g->n_calls);
    return column < g->n_keys ? g->programs[column]->dim : g->calls[column - g->n_keys].dim;
}

enum errcode code_grouped(struct compiler *c, const struct expr *e, uint32_t column,
                          enum value_type *type, struct err *err)
{
    struct instruction i = {.code = CODE_COLUMN, .at = column, .position = e->position};
    *type = grouped_type(c->scope->grouping, column);
    mask_add(&c->columns, column);
    c->n_variables++;
    c->n_per_row++;
    return code_emit(c, i, 0, 1, err);
}

enum errcode refuse_ungrouped(const struct expr *e, struct err *err)
{
    err_at(err, e->position, ERR_GROUPING,
           "column \"%s\" must stand in GROUP BY or in an aggregate", e->name);
    err_hint(err, "Add it to GROUP BY, or write min(%s), max(%s) or another aggregate.", e->name,
             e->name);
    err_column(err, e->name);
    return ERR_GROUPING;
}

/* ---- aggregates ---- */

/* The row of that name that is nearest to the argument; NULL: none fits. */
static const struct aggregate *choose(const struct expr *e, struct shape shape)
{
    const struct aggregate *nearest = NULL;
    unsigned least = IS_FAR;
    size_t n, first = aggregates_find(e->name, &n);
    for (size_t i = first; i < first + n; i++) {
        const struct aggregate *a = aggregate_at(i);
        bool is_star = a->takes == TYPE_STAR;
        bool fits = is_star == e->is_star && e->n_items == (is_star ? 0 : 1) &&
                    !(is_star && e->is_distinct);
        unsigned distance = !fits ? IS_FAR : is_star ? 0 : shape_distance(a->takes, shape);
        if (distance < least) {
            least = distance;
            nearest = a;
        }
    }
    return nearest;
}

/* That of the first argument, over the input row. */
static struct shape shape_of_argument(const struct compiler *c, const struct expr *e)
{
    struct grouping *g = grouping_of(c);
    if (e->n_items == 0) {
        return (struct shape){.type = TYPE_NULL, .is_soft = true};
    }
    if (g == NULL) {
        return shape_of(c, e->items[0]);
    }
    g->is_in_argument = true;
    struct shape shape = shape_of(c, e->items[0]);
    g->is_in_argument = false;
    return shape;
}

static enum value_type type_given(const struct aggregate *a, struct shape shape)
{
    return a->gives == TYPE_ORDERED ? shape_joined(shape) : (enum value_type)a->gives;
}

struct shape shape_of_aggregate(const struct compiler *c, const struct expr *e)
{
    struct shape shape = shape_of_argument(c, e);
    const struct aggregate *a = choose(e, shape);
    if (a == NULL) { /* It will be refused. */
        return (struct shape){.type = TYPE_NULL, .is_soft = true};
    }
    return (struct shape){.type = type_given(a, shape)};
}

static enum errcode refuse_place(const struct compiler *c, const struct expr *e, struct err *err)
{
    if (c->scope->grouping != NULL) {
        return err_at(err, e->position, ERR_GROUPING,
                      "%s cannot stand in the argument of an aggregate: it is one itself", e->name);
    }
    err_at(err, e->position, ERR_GROUPING, "%s cannot stand here: it is an aggregate", e->name);
    err_hint(err, "Aggregates stand in the select list, HAVING and ORDER BY of a SELECT; HAVING is "
                  "to groups what WHERE is to rows.");
    return ERR_GROUPING;
}

/* Refuses what no row takes, and what DISTINCT cannot tell apart. */
static enum errcode check_argument(const struct expr *e, const struct aggregate *a,
                                   struct shape shape, struct err *err)
{
    bool has_order = shape.type != TYPE_JSON && shape.type != TYPE_VECTOR;
    if (a == NULL && e->n_items == 1 && !has_order) {
        size_t n, first = aggregates_find(e->name, &n);
        return aggregate_at(first)->takes == TYPE_ORDERED
                   ? check_distinct_type(shape.type, e->name, e->position, err)
                   : aggregate_mismatch(e, shape.type, err);
    }
    if (a == NULL) {
        return aggregate_mismatch(e, shape.type, err);
    }
    return e->is_distinct ? check_distinct_type(shape.type, "DISTINCT", e->position, err) : ERR_OK;
}

static enum errcode compile_argument(struct compiler *c, const struct expr *e,
                                     const struct aggregate *a, struct shape shape,
                                     const struct program **argument, struct err *err)
{
    struct grouping *g = grouping_of(c);
    *argument = NULL;
    if (a->takes == TYPE_STAR) {
        return ERR_OK;
    }
    enum value_type want = a->takes == TYPE_ANY       ? TYPE_NULL
                           : a->takes == TYPE_ORDERED ? shape_joined(shape)
                                                      : (enum value_type)a->takes;
    g->is_in_argument = true;
    enum errcode code = program_compile(c->scope, e->items[0], want, argument, err);
    g->is_in_argument = false;
    return code;
}

static enum errcode add_call(struct compiler *c, const struct expr *e, struct err *err)
{
    struct grouping *g = grouping_of(c);
    const struct program *argument;
    struct shape shape = shape_of_argument(c, e);
    const struct aggregate *a = choose(e, shape);
    enum errcode code = check_argument(e, a, shape, err);
    if (code == ERR_OK) {
        code = check_room(g, e, err);
    }
    if (code == ERR_OK) {
        code = compile_argument(c, e, a, shape, &argument, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    void *calls = g->calls;
    if (!grow(c->scope->arena, &calls, sizeof(*g->calls), g->n_calls, &g->calls_capacity)) {
        return err_no_memory(err);
    }
    bool is_alike = a->gives == TYPE_ORDERED || a->gives == TYPE_VECTOR;
    g->calls = calls;
    g->calls[g->n_calls++] =
        (struct aggregate_call){.aggregate = a,
                                .argument = argument,
                                .is_distinct = e->is_distinct && a->takes != TYPE_ORDERED,
                                .shown = e,
                                .type = type_given(a, shape),
                                .dim = is_alike ? argument->dim : 0};
    return ERR_OK;
}

enum errcode code_aggregate(struct compiler *c, const struct expr *e, enum value_type *type,
                            struct err *err)
{
    const struct grouping *g = grouping_of(c);
    size_t at = 0;
    if (g == NULL) {
        return refuse_place(c, e, err);
    }
    while (at < g->n_calls && !is_same_tree(g->calls[at].shown, e, c->scope->work)) {
        at++;
    }
    enum errcode code = at == g->n_calls ? add_call(c, e, err) : ERR_OK;
    return code == ERR_OK ? code_grouped(c, e, (uint32_t)(g->n_keys + at), type, err) : code;
}
