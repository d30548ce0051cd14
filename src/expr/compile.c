/* Expressions, compiled: from the parser's tree to the code of a stack machine.
 *
 * Types are told here, once, so that running needs no decisions: a side whose type is open (a
 * parameter that nobody has typed, a text literal, NULL) takes the type of the other side, INT
 * widens to FLOAT, and a JSON member compared with a number or a truth value is read as one.
 * Operators over constants alone are run at once and leave a constant.
 *
 * The walk over the tree recurses: the parser bounds its height by VQL_DEPTH_MAX. */
#include "expr/compile_int.h"
#include "expr/function_int.h"

#include <string.h>

static const int64_t FLOAT_WHOLE_MAX = INT64_C(1) << 53; /* Whole numbers up to it are FLOATs. */

enum {
    EMIT_WORK = 100,
    NAME_WORK = 5, /* Of one column's name that is compared. */
    SHAPE_WORK = 5,
    PARSED_BYTE_WORK = 3,
};

/* ---- shapes ---- */

static bool is_comparison(enum expr_op op)
{
    return op >= OP_EQ && op <= OP_GE;
}

static bool is_arithmetic(enum expr_op op)
{
    return op >= OP_ADD && op <= OP_MODULO;
}

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

static struct shape shape_of_binary(const struct compiler *c, const struct expr *e)
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

/* ---- code ---- */

static bool grow(struct compiler *c, void **items, size_t item_bytes, uint32_t n,
                 uint32_t *capacity)
{
    if (n < *capacity) {
        return true;
    }
    uint32_t wanted = *capacity == 0 ? 4 : *capacity * 2;
    void *larger = arena_array(c->scope->arena, wanted, item_bytes);
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

enum errcode code_emit(struct compiler *c, struct instruction instruction, uint32_t pops,
                       uint32_t pushes, struct err *err)
{
    enum errcode stop = work_spend(c->scope->work, EMIT_WORK, err);
    if (stop != ERR_OK) {
        return stop;
    }
    void *code = c->code;
    if (!grow(c, &code, sizeof(*c->code), c->n_code, &c->code_capacity)) {
        return err_no_memory(err);
    }
    c->code = code;
    c->code[c->n_code++] = instruction;
    CHECK(c->stack >= pops);
    c->stack = c->stack - pops + pushes;
    if (c->stack > c->stack_max) {
        c->stack_max = c->stack;
    }
    return ERR_OK;
}

enum errcode code_constant(struct compiler *c, const struct value *value, uint32_t position,
                           struct err *err)
{
    void *constants = c->constants;
    if (!grow(c, &constants, sizeof(*c->constants), c->n_constants, &c->constants_capacity)) {
        return err_no_memory(err);
    }
    c->constants = constants;
    c->constants[c->n_constants] = *value;
    struct instruction i = {.code = CODE_CONSTANT, .at = c->n_constants, .position = position};
    c->n_constants++;
    return code_emit(c, i, 0, 1, err);
}

static struct program program_so_far(const struct compiler *c)
{
    return (struct program){.code = c->code,
                            .n_code = c->n_code,
                            .constants = c->constants,
                            .patterns = c->patterns,
                            .stack_max = c->stack_max};
}

/* Replaces code[from..] that reads nothing by the constant that it gives. */
static enum errcode fold(struct compiler *c, uint32_t from, uint32_t variables_before,
                         uint32_t position, struct err *err)
{
    if (c->n_variables != variables_before || c->n_code - from < 2) {
        return ERR_OK;
    }
    struct program program = program_so_far(c);
    struct evaluator evaluator = {.arena = c->scope->arena, .work = c->scope->work};
    evaluator.stack = arena_array(c->scope->arena, c->stack_max + 1, sizeof(struct value));
    if (evaluator.stack == NULL) {
        return err_no_memory(err);
    }
    struct value result;
    enum errcode code = program_run_part(&program, from, c->n_code, &evaluator, &result, err);
    if (code != ERR_OK && c->n_conditional > 0) {
        err_clear(err); /* It is told where it is met; a cancel is told again. */
        return ERR_OK;
    }
    if (code != ERR_OK) {
        return code;
    }
    c->n_code = from;
    c->stack--;
    return code_constant(c, &result, position, err);
}

static enum errcode mismatch(const struct expr *e, enum value_type actual, enum value_type want,
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
    return mismatch(e, actual, want, err);
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

/* ---- operators ---- */

static enum errcode emit_unary(struct compiler *c, const struct expr *e, enum value_type want,
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
        return mismatch(e->left, operand, TYPE_FLOAT, err);
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
    void *patterns = c->patterns;
    if (!grow(c, &patterns, sizeof(*c->patterns), c->n_patterns, &c->patterns_capacity)) {
        return err_no_memory(err);
    }
    c->patterns = patterns;
    work_charge(c->scope->work, pattern->text.bytes);
    enum errcode code = like_compile(pattern->text.data, pattern->text.bytes, c->scope->arena,
                                     &c->patterns[c->n_patterns], err);
    if (code != ERR_OK) {
        err->position = e->right->position;
        return code;
    }
    c->n_code--;
    c->stack--;
    i.code = CODE_LIKE_FIXED;
    i.at = c->n_patterns++;
    return code_emit(c, i, 1, 1, err);
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
    return code == ERR_OK ? fold(c, from, variables, e->position, err) : code;
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

static enum errcode emit_binary(struct compiler *c, const struct expr *e, enum value_type *type,
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

static enum errcode emit_between(struct compiler *c, const struct expr *e, struct err *err)
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

static enum errcode emit_in(struct compiler *c, const struct expr *e, struct err *err)
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
        return emit_unary(c, e, want, type, err);
    case EXPR_BINARY:
        return emit_binary(c, e, type, err);
    case EXPR_BETWEEN:
        return emit_between(c, e, err);
    case EXPR_IN:
        return emit_in(c, e, err);
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
        code = fold(c, from, variables, e->position, err);
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
    *out = program;
    return ERR_OK;
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
