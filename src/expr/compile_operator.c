/* Operators, compiled: each side with the type in which both meet, then the instruction over them.
 *
 * Beside a FLOAT an INT stays one where they are compared, and becomes one where they are added. */
#include "expr/compile_int.h"
#include "expr/function_int.h"

static const int64_t FLOAT_WHOLE_MAX = INT64_C(1) << 53; /* Whole numbers up to it are FLOATs. */

static bool is_comparison(enum expr_op op)
{
    return op >= OP_EQ && op <= OP_GE;
}

/* What one side of a comparison is to be: an INT stays one beside a FLOAT, since they are compared
 * exactly. */
static enum value_type side_type(const struct compiler *c, const struct expr *e,
                                 enum value_type met)
{
    struct shape shape = shape_of(c, e);
    return met == TYPE_FLOAT && shape.type == TYPE_INT && !shape.is_soft ? TYPE_INT : met;
}

/* A whole number that a FLOAT holds is compared as one: as exactly, and in a loop of its own. */
static void widen_constant(struct compiler *c, uint32_t from)
{
    const struct instruction *last = &c->code[c->n_code - 1];
    if (last->code != CODE_CONSTANT || c->n_code != from + 1) {
        return;
    }
    struct value *constant = &c->constants[last->at];
    if (constant->type == TYPE_INT && constant->integer >= -FLOAT_WHOLE_MAX &&
        constant->integer <= FLOAT_WHOLE_MAX) {
        *constant = value_float((double)constant->integer);
    }
}

enum errcode code_side(struct compiler *c, const struct expr *e, enum value_type want,
                       struct err *err)
{
    enum value_type type = TYPE_NULL;
    uint32_t from = c->n_code;
    bool is_json = shape_of(c, e).type == TYPE_JSON && want != TYPE_JSON;
    enum errcode code = code_expr(c, e, is_json ? TYPE_NULL : side_type(c, e, want), &type, err);
    if (code != ERR_OK) {
        return code;
    }
    if (!is_json) {
        if (want == TYPE_FLOAT) {
            widen_constant(c, from);
        }
        return ERR_OK;
    }
    enum opcode reader = want == TYPE_BOOL ? CODE_JSON_BOOL : CODE_JSON_NUMBER;
    return code_emit(c, (struct instruction){.code = (uint8_t)reader, .position = e->position}, 1,
                     1, err);
}

enum errcode code_unary(struct compiler *c, const struct expr *e, enum value_type want,
                        enum value_type *type, struct err *err)
{
    enum opcode op = e->op == OP_NOT       ? CODE_NOT
                     : e->op == OP_NEGATE  ? CODE_NEGATE
                     : e->op == OP_IS_NULL ? CODE_IS_NULL
                                           : CODE_IS_NOT_NULL;
    enum value_type inner = e->op == OP_NOT      ? TYPE_BOOL
                            : e->op == OP_NEGATE ? (is_number(want) ? want : TYPE_FLOAT)
                                                 : TYPE_NULL;
    if (e->op == OP_NEGATE && !shape_of(c, e->left).is_soft) {
        inner = TYPE_NULL;
    }
    enum value_type operand;
    enum errcode code = code_expr(c, e->left, inner, &operand, err);
    if (code != ERR_OK) {
        return code;
    }
    if (e->op == OP_NEGATE && !is_number(operand) && operand != TYPE_NULL) {
        return refuse_type(e->left, operand, TYPE_FLOAT, err);
    }
    *type = e->op == OP_NEGATE ? operand : TYPE_BOOL;
    return code_emit(c, (struct instruction){.code = (uint8_t)op, .position = e->position}, 1, 1,
                     err);
}

static enum errcode emit_logic(struct compiler *c, const struct expr *e, struct err *err)
{
    enum value_type type = TYPE_NULL;
    enum errcode code = code_expr(c, e->left, TYPE_BOOL, &type, err);
    if (code != ERR_OK) {
        return code;
    }
    uint32_t jump = c->n_code;
    enum opcode jump_code = e->op == OP_AND ? CODE_JUMP_FALSE : CODE_JUMP_TRUE;
    code = code_emit(c, (struct instruction){.code = (uint8_t)jump_code}, 0, 0, err);
    if (code != ERR_OK) {
        return code;
    }
    code = code_expr(c, e->right, TYPE_BOOL, &type, err);
    if (code != ERR_OK) {
        return code;
    }
    enum opcode op = e->op == OP_AND ? CODE_AND : CODE_OR;
    code =
        code_emit(c, (struct instruction){.code = (uint8_t)op, .position = e->position}, 2, 1, err);
    c->code[jump].at = c->n_code;
    return code;
}

enum errcode refuse_operator(const struct expr *e, enum value_type left, enum value_type right,
                             struct err *err)
{
    err_at(err, e->position, ERR_TYPE_MISMATCH, "this operator does not take %s and %s",
           type_name(left), type_name(right));
    if (left == TYPE_JSON || right == TYPE_JSON) {
        err_hint(err, "Use ->> to take a member of a JSON value as TEXT.");
    }
    return ERR_TYPE_MISMATCH;
}

static enum errcode emit_comparison(struct compiler *c, const struct expr *e, struct err *err)
{
    struct shape left = shape_of(c, e->left), right = shape_of(c, e->right);
    enum value_type type = shape_meet(left, right);
    bool is_equality = e->op == OP_EQ || e->op == OP_NE;
    if (type == TYPE_NULL || type == TYPE_JSON || (type == TYPE_VECTOR && !is_equality)) {
        return refuse_operator(e, left.type, right.type, err);
    }
    enum errcode code = code_side(c, e->left, type, err);
    if (code == ERR_OK) {
        code = code_side(c, e->right, type, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct instruction i = {.code = CODE_COMPARE, .op = (uint8_t)e->op, .position = e->position};
    return code_emit(c, i, 2, 1, err);
}

static enum errcode emit_arithmetic(struct compiler *c, const struct expr *e, enum value_type *type,
                                    struct err *err)
{
    *type = shape_of_binary(c, e).type;
    struct shape left = shape_of(c, e->left), right = shape_of(c, e->right);
    if (!is_number(*type)) {
        return refuse_operator(e, left.type, right.type, err);
    }
    if (e->op == OP_MODULO && *type != TYPE_INT) {
        err_at(err, e->position, ERR_TYPE_MISMATCH, "%% takes two values of type INT");
        return ERR_TYPE_MISMATCH;
    }
    enum value_type side;
    enum errcode code = code_expr(c, e->left, *type, &side, err);
    if (code == ERR_OK) {
        code = code_expr(c, e->right, *type, &side, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct instruction i = {.code = CODE_ARITHMETIC, .op = (uint8_t)e->op, .position = e->position};
    return code_emit(c, i, 2, 1, err);
}

static bool is_like(enum expr_op op)
{
    return op >= OP_LIKE && op <= OP_NOT_ILIKE;
}

/* A pattern that is a constant is taken apart here, and does not come on the stack. */
static enum errcode emit_like(struct compiler *c, const struct expr *e, uint32_t pattern_at,
                              struct err *err)
{
    struct instruction i = {.code = CODE_LIKE,
                            .is_negated = e->op == OP_NOT_LIKE || e->op == OP_NOT_ILIKE,
                            .position = e->position};
    const struct instruction *last = &c->code[c->n_code - 1];
    bool is_fixed = c->n_code == pattern_at + 1 && last->code == CODE_CONSTANT;
    const struct value *pattern = is_fixed ? &c->constants[last->at] : NULL;
    if (!is_fixed || pattern->type != TYPE_TEXT) {
        return code_emit(c, i, 2, 1, err);
    }
    const struct like *like;
    work_charge(c->scope->work, pattern->text.bytes);
    enum errcode code =
        like_compile(pattern->text.data, pattern->text.bytes, c->scope->arena, &like, err);
    if (code != ERR_OK) {
        err->position = e->right->position;
        return code;
    }
    c->n_code--;
    c->stack--;
    i.code = CODE_LIKE_FIXED;
    return code_pattern(c, like, i, err);
}

/* Of ILIKE, each side is in small letters; the pattern before it is taken apart. */
static enum errcode emit_lower(struct compiler *c, const struct expr *e, uint32_t from,
                               uint32_t variables, struct err *err)
{
    size_t n;
    struct instruction lower = {.code = CODE_CALL,
                                .op = (uint8_t)functions_find("lower", &n),
                                .at = 1,
                                .position = e->position};
    enum errcode code = code_emit(c, lower, 1, 1, err);
    return code == ERR_OK ? code_fold(c, from, variables, e->position, err) : code;
}

/* ||, LIKE, -> and ->>: both sides have types of their own. */
static enum errcode emit_text_operator(struct compiler *c, const struct expr *e,
                                       enum value_type *type, struct err *err)
{
    bool is_json = e->op == OP_JSON || e->op == OP_JSON_TEXT;
    bool is_caseless = e->op == OP_ILIKE || e->op == OP_NOT_ILIKE;
    enum value_type left, right;
    uint32_t left_at = c->n_code, variables = c->n_variables;
    enum errcode code = code_expr(c, e->left, is_json ? TYPE_JSON : TYPE_TEXT, &left, err);
    if (code == ERR_OK && is_caseless) {
        code = emit_lower(c, e->left, left_at, variables, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    uint32_t right_at = c->n_code;
    variables = c->n_variables;
    bool is_element = is_json && shape_of(c, e->right).type == TYPE_INT;
    code = code_expr(c, e->right, is_element ? TYPE_INT : TYPE_TEXT, &right, err);
    if (code == ERR_OK && is_caseless) {
        code = emit_lower(c, e->right, right_at, variables, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (is_like(e->op)) {
        *type = TYPE_BOOL;
        return emit_like(c, e, right_at, err);
    }
    enum opcode op = e->op == OP_CONCAT ? CODE_CONCAT
                     : e->op == OP_JSON ? CODE_JSON_GET
                                        : CODE_JSON_TEXT;
    *type = op == CODE_JSON_GET ? TYPE_JSON : TYPE_TEXT;
    return code_emit(c, (struct instruction){.code = (uint8_t)op, .position = e->position}, 2, 1,
                     err);
}

enum errcode code_binary(struct compiler *c, const struct expr *e, enum value_type *type,
                         struct err *err)
{
    *type = TYPE_BOOL;
    if (e->op == OP_AND || e->op == OP_OR) {
        return emit_logic(c, e, err);
    }
    if (is_comparison(e->op)) {
        return emit_comparison(c, e, err);
    }
    if (is_arithmetic(e->op)) {
        return emit_arithmetic(c, e, type, err);
    }
    return emit_text_operator(c, e, type, err);
}

/* The type in which @e and all of its items meet. */
static enum errcode meet_items(struct compiler *c, const struct expr *e, enum value_type *type,
                               struct err *err)
{
    struct shape all = shape_of(c, e->left);
    for (size_t i = 0; i < e->n_items; i++) {
        struct shape item = shape_of(c, e->items[i]);
        enum value_type met = shape_meet(all, item);
        if (met == TYPE_NULL || met == TYPE_JSON) {
            return refuse_operator(e, all.type, item.type, err);
        }
        all = (struct shape){.type = met, .is_soft = all.is_soft && item.is_soft};
    }
    *type = all.type;
    return ERR_OK;
}

enum errcode code_between(struct compiler *c, const struct expr *e, struct err *err)
{
    enum value_type type = TYPE_NULL;
    enum errcode code = meet_items(c, e, &type, err);
    if (code != ERR_OK) {
        return code;
    }
    if (type == TYPE_VECTOR) {
        return refuse_operator(e, TYPE_VECTOR, TYPE_VECTOR, err);
    }
    const struct expr *sides[] = {e->left, e->items[0], e->items[1]};
    for (size_t i = 0; i < COUNT_OF(sides) && code == ERR_OK; i++) {
        code = code_side(c, sides[i], type, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct instruction i = {
        .code = CODE_BETWEEN, .is_negated = e->is_negated, .position = e->position};
    return code_emit(c, i, 3, 1, err);
}

/* A set is made when the statement begins: in a CASE of what cannot fail only. */
static bool may_be_set(const struct compiler *c, const struct expr *e)
{
    for (size_t i = 0; i < e->n_items && c->n_conditional > 0; i++) {
        if (e->items[i]->kind != EXPR_LITERAL && e->items[i]->kind != EXPR_PARAMETER) {
            return false;
        }
    }
    return true;
}

/* Compiles the items one by one; *set stays NULL where one of them depends on the row. */
static enum errcode compile_set(struct compiler *c, const struct expr *e, enum value_type type,
                                struct set_plan **set, struct err *err)
{
    *set = NULL;
    const struct program **items =
        arena_array(c->scope->arena, e->n_items, sizeof(const struct program *));
    if (items == NULL) {
        return err_no_memory(err);
    }
    if (!may_be_set(c, e)) {
        return ERR_OK;
    }
    for (size_t i = 0; i < e->n_items; i++) {
        if (shape_of(c, e->items[i]).type == TYPE_JSON) {
            return ERR_OK;
        }
        enum value_type item = side_type(c, e->items[i], type);
        enum errcode code = program_compile(c->scope, e->items[i], item, &items[i], err);
        if (code != ERR_OK) {
            return code;
        }
        if (items[i]->is_per_row) {
            return ERR_OK;
        }
    }
    *set = set_plan_new(c->scope, items, e->n_items);
    return *set != NULL ? ERR_OK : err_no_memory(err);
}

enum errcode code_in(struct compiler *c, const struct expr *e, struct err *err)
{
    enum value_type type = TYPE_NULL;
    struct set_plan *set;
    enum errcode code = meet_items(c, e, &type, err);
    if (code == ERR_OK) {
        code = code_side(c, e->left, type, err);
    }
    if (code == ERR_OK) {
        code = compile_set(c, e, type, &set, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct instruction in = {.is_negated = e->is_negated, .position = e->position};
    if (set != NULL) {
        in.code = CODE_IN_SET;
        in.at = set->number;
        c->n_variables++;
        return code_emit(c, in, 1, 1, err);
    }
    for (size_t i = 0; i < e->n_items && code == ERR_OK; i++) {
        code = code_side(c, e->items[i], type, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    in.code = CODE_IN;
    in.at = (uint32_t)e->n_items;
    return code_emit(c, in, in.at + 1, 1, err);
}

struct set_plan *set_plan_new(struct expr_scope *scope, const struct program **items, size_t n)
{
    struct set_plan *set = arena_alloc(scope->arena, sizeof(*set));
    if (set != NULL) {
        *set = (struct set_plan){
            .items = items, .n_items = n, .next = scope->sets, .number = scope->n_sets++};
        scope->sets = set;
    }
    return set;
}
