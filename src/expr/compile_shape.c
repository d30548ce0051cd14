/* What is known of an expression before it is compiled: its type, and whether that is open.
 *
 * A side whose type is open (a parameter that nobody has typed, a text literal, NULL) takes the
 * type of the other side, and a JSON member compared with a number or a truth value is read as one.
 */
#include "expr/compile_int.h"

enum {
    NAME_WORK = 5, /* Of one column's name that is compared. */
    SHAPE_WORK = 5,
};

static struct shape shape_of_column(const struct compiler *c, const char *name)
{
    int column = c->scope->schema != NULL ? schema_column(c->scope->schema, name) : -1;
    work_charge(c->scope->work,
                NAME_WORK * (c->scope->schema != NULL ? c->scope->schema->n_columns : 1));
    if (column >= 0) {
        return (struct shape){.type = c->scope->schema->columns[column].type};
    }
    enum pseudo pseudo = pseudo_find(c->scope, name);
    return (struct shape){.type = pseudo == PSEUDO_DISTANCE ? TYPE_FLOAT : TYPE_INT};
}

struct shape shape_of_binary(const struct compiler *c, const struct expr *e)
{
    if (is_arithmetic(e->op)) {
        struct shape left = shape_of(c, e->left), right = shape_of(c, e->right);
        if (left.is_soft && right.is_soft) {
            return (struct shape){.type = TYPE_FLOAT};
        }
        if (left.is_soft || right.is_soft) {
            return left.is_soft ? right : left;
        }
        return (struct shape){.type = left.type == TYPE_INT ? right.type : left.type};
    }
    switch (e->op) {
    case OP_CONCAT:
    case OP_JSON_TEXT:
        return (struct shape){.type = TYPE_TEXT};
    case OP_JSON:
        return (struct shape){.type = TYPE_JSON};
    default:
        return (struct shape){.type = TYPE_BOOL};
    }
}

struct shape shape_of(const struct compiler *c, const struct expr *e)
{
    int key = key_find(c, e);
    while (key < 0 && e->kind == EXPR_UNARY && e->op == OP_NEGATE) {
        e = e->left;
        key = key_find(c, e);
    }
    work_charge(c->scope->work, SHAPE_WORK);
    if (key >= 0) {
        enum value_type type = grouped_type(c->scope->grouping, (uint32_t)key);
        return (struct shape){.type = type, .is_soft = type == TYPE_NULL};
    }
    switch (e->kind) {
    case EXPR_LITERAL:
        return (struct shape){.type = e->value.type,
                              .is_soft = e->value.type == TYPE_NULL || e->value.type == TYPE_TEXT};
    case EXPR_PARAMETER: {
        enum value_type type = (enum value_type)c->scope->types[e->parameter - 1];
        return (struct shape){.type = type, .is_soft = type == TYPE_NULL};
    }
    case EXPR_COLUMN:
        return shape_of_column(c, e->name);
    case EXPR_BINARY:
        return shape_of_binary(c, e);
    case EXPR_CALL:
        return shape_of_call(c, e);
    case EXPR_CASE:
        return shape_of_case(c, e);
    case EXPR_CAST:
        return (struct shape){.type = e->type};
    default:
        return (struct shape){.type = TYPE_BOOL};
    }
}

enum value_type shape_meet(struct shape a, struct shape b)
{
    if (a.is_soft && b.is_soft) {
        return a.type != TYPE_NULL ? a.type : b.type != TYPE_NULL ? b.type : TYPE_TEXT;
    }
    if (a.is_soft || b.is_soft) {
        return a.is_soft ? b.type : a.type;
    }
    if (a.type == b.type) {
        return a.type;
    }
    if (is_number(a.type) && is_number(b.type)) {
        return TYPE_FLOAT;
    }
    if (a.type == TYPE_JSON || b.type == TYPE_JSON) {
        enum value_type other = a.type == TYPE_JSON ? b.type : a.type;
        return is_number(other) ? TYPE_FLOAT : other == TYPE_BOOL ? TYPE_BOOL : TYPE_NULL;
    }
    return TYPE_NULL;
}
