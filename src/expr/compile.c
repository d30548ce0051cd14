/* Expressions, compiled: from the parser's tree to the code of a stack machine.
 *
 * Types are told here, once, so that running needs no decisions (compile_shape.c says how sides
 * meet).  Operators over constants alone are run at once and leave a constant.
 *
 * The walk over the tree recurses: the parser bounds its height by VQL_DEPTH_MAX. */
#include "expr/compile_int.h"

enum {
    PARSED_BYTE_WORK = 3,
};

/* ---- values of the type that is wanted ---- */

enum errcode refuse_type(const struct expr *e, enum value_type actual, enum value_type want,
                         struct err *err)
{
    err_at(err, e->position, ERR_TYPE_MISMATCH, "a value of type %s is needed here, not %s",
           type_name(want), type_name(actual));
    if (actual == TYPE_JSON) {
        err_hint(err, "Use ->> to take a member of a JSON value as TEXT.");
    }
    return ERR_TYPE_MISMATCH;
}

/* Makes the value on the top of the stack, of type @actual and made by code[from..], one of type
 * @want. */
static enum errcode coerce(struct compiler *c, const struct expr *e, uint32_t from,
                           enum value_type actual, enum value_type want, struct err *err)
{
    if (want == TYPE_NULL || actual == want || actual == TYPE_NULL) {
        return ERR_OK;
    }
    if (e->kind == EXPR_LITERAL && actual == TYPE_TEXT) {
        struct value *constant = &c->constants[c->code[c->n_code - 1].at];
        work_charge(c->scope->work, PARSED_BYTE_WORK * e->value.text.bytes);
        enum errcode code = value_parse(want, e->value.text.data, e->value.text.bytes,
                                        c->scope->arena, constant, err);
        err->position = code != ERR_OK ? e->position : err->position;
        return code;
    }
    if (want == TYPE_FLOAT && actual == TYPE_INT) {
        struct instruction *last = &c->code[c->n_code - 1];
        if (last->code == CODE_CONSTANT && c->n_code == from + 1) {
            struct value *constant = &c->constants[last->at];
            if (constant->type == TYPE_INT) { /* It may be a NULL that was an INT's. */
                *constant = value_float((double)constant->integer);
            }
            return ERR_OK;
        }
        return code_emit(c, (struct instruction){.code = CODE_TO_FLOAT, .position = e->position}, 1,
                         1, err);
    }
    return refuse_type(e, actual, want, err);
}

/* ---- leaves ---- */

static enum errcode emit_parameter(struct compiler *c, const struct expr *e, enum value_type want,
                                   enum value_type *type, struct err *err)
{
    CHECK(e->parameter >= 1 && e->parameter <= c->scope->n_types);
    uint8_t *told = &c->scope->types[e->parameter - 1];
    if (*told == TYPE_NULL) {
        *told = (uint8_t)(want != TYPE_NULL ? want : TYPE_TEXT);
    }
    *type = (enum value_type) * told;
    c->n_variables++;
    return code_emit(c,
                     (struct instruction){
                         .code = CODE_PARAMETER, .at = e->parameter - 1, .position = e->position},
                     0, 1, err);
}

static enum errcode emit_column(struct compiler *c, const struct expr *e, enum value_type *type,
                                struct err *err)
{
    struct instruction i = {.code = CODE_COLUMN, .position = e->position};
    if (grouping_of(c) != NULL) {
        return refuse_ungrouped(e, err);
    }
    int column = c->scope->schema != NULL ? schema_column(c->scope->schema, e->name) : -1;
    if (column >= 0) {
        i.at = (uint32_t)column;
        mask_add(&c->columns, i.at);
        *type = c->scope->schema->columns[column].type;
    } else {
        enum pseudo pseudo = pseudo_find(c->scope, e->name);
        CHECK(pseudo != PSEUDO_COUNT);
        i.code = CODE_PSEUDO;
        i.at = pseudo;
        *type = pseudo == PSEUDO_DISTANCE ? TYPE_FLOAT : TYPE_INT;
    }
    c->n_variables++;
    c->n_per_row++;
    return code_emit(c, i, 0, 1, err);
}

/* ---- any expression ---- */

static enum errcode emit_any(struct compiler *c, const struct expr *e, enum value_type want,
                             enum value_type *type, struct err *err)
{
    *type = TYPE_BOOL;
    switch (e->kind) {
    case EXPR_LITERAL:
        *type = e->value.type;
        return code_constant(c, &e->value, e->position, err);
    case EXPR_PARAMETER:
        return emit_parameter(c, e, want, type, err);
    case EXPR_COLUMN:
        return emit_column(c, e, type, err);
    case EXPR_UNARY:
        return code_unary(c, e, want, type, err);
    case EXPR_BINARY:
        return code_binary(c, e, type, err);
    case EXPR_BETWEEN:
        return code_between(c, e, err);
    case EXPR_IN:
        return code_in(c, e, err);
    case EXPR_CALL:
        return code_call(c, e, type, err);
    case EXPR_CASE:
        return code_case(c, e, type, err);
    case EXPR_CAST:
        return code_cast(c, e, type, err);
    }
    CHECK_NEVER("an expression of no kind");
}

enum errcode code_expr(struct compiler *c, const struct expr *e, enum value_type want,
                       enum value_type *type, struct err *err)
{
    uint32_t from = c->n_code, variables = c->n_variables;
    int key = key_find(c, e);
    enum errcode code =
        key >= 0 ? code_grouped(c, e, (uint32_t)key, type, err) : emit_any(c, e, want, type, err);
    if (code == ERR_OK && e->kind != EXPR_LITERAL) {
        code = code_fold(c, from, variables, e->position, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    code = coerce(c, e, from, *type, want, err);
    *type = want != TYPE_NULL && *type != TYPE_NULL ? want : *type;
    return code;
}

/* ---- programs ---- */

static uint32_t dim_of(const struct compiler *c, enum value_type type)
{
    const struct instruction *last = &c->code[c->n_code - 1];
    if (c->n_code != 1) {
        return 0;
    }
    if (last->code == CODE_COLUMN && grouping_of(c) != NULL) {
        return grouped_dim(c->scope->grouping, last->at);
    }
    if (type != TYPE_VECTOR) {
        return 0;
    }
    if (last->code == CODE_COLUMN) {
        return c->scope->schema->columns[last->at].dim;
    }
    return last->code == CODE_CONSTANT ? c->constants[last->at].vector.dim : 0;
}

enum errcode program_compile(struct expr_scope *scope, const struct expr *expr,
                             enum value_type want, const struct program **out, struct err *err)
{
    struct compiler c = {.scope = scope};
    enum value_type type = TYPE_NULL;
    CHECK(scope->arena != NULL && scope->work != NULL);
    CHECK(expr->height <= VQL_DEPTH_MAX);
    enum errcode code = check_names(scope, expr, err);
    if (code == ERR_OK) {
        code = code_expr(&c, expr, want, &type, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    CHECK(c.stack == 1 && c.n_code > 0);
    struct program *program = arena_alloc(scope->arena, sizeof(*program));
    if (program == NULL) {
        return err_no_memory(err);
    }
    *program = program_so_far(&c);
    program->type = type;
    program->dim = dim_of(&c, type);
    program->columns = c.columns;
    program->is_constant = c.n_variables == 0;
    program->is_per_row = c.n_per_row > 0;
    if (c.stack_max > scope->stack_max) {
        scope->stack_max = c.stack_max;
    }
    CHECK(want == TYPE_NULL || type == TYPE_NULL || type == want);
    *out = program;
    return ERR_OK;
}
