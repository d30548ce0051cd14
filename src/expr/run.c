/* Expressions, run: a stack machine over the decoded columns of one row.
 *
 * Three-valued logic as in SQL: NULL is unknown, AND and OR know their result where one side
 * decides it, everything else with a NULL gives NULL.  INT arithmetic that overflows, FLOAT
 * arithmetic that leaves the finite numbers and division by zero are errors.  Nothing is allocated
 * but what ||, ->>, CAST and functions make, and that lives in the evaluator's arena. */
#include "expr/function_int.h"

#include <math.h>
#include <string.h>

enum {
    INSTRUCTION_WORK = 8,
    JSON_BYTE_WORK = 2, /* Of what -> walks through. */
};

/* ---- arithmetic ---- */

static bool int_multiply(int64_t a, int64_t b, int64_t *out)
{
    if (a > 0 ? (b > 0 ? a > INT64_MAX / b : b < INT64_MIN / a)
              : (b > 0 ? a < INT64_MIN / b : a != 0 && b < INT64_MAX / a)) {
        return false;
    }
    *out = a * b;
    return true;
}

/* False where the result does not fit.  b is not 0 for the divisions. */
static bool int_arithmetic(enum expr_op op, int64_t a, int64_t b, int64_t *out)
{
    switch (op) {
    case OP_ADD:
        if (b > 0 ? a > INT64_MAX - b : a < INT64_MIN - b) {
            return false;
        }
        *out = a + b;
        return true;
    case OP_SUBTRACT:
        if (b > 0 ? a < INT64_MIN + b : a > INT64_MAX + b) {
            return false;
        }
        *out = a - b;
        return true;
    case OP_MULTIPLY:
        return int_multiply(a, b, out);
    case OP_DIVIDE:
        if (a == INT64_MIN && b == -1) {
            return false;
        }
        *out = a / b;
        return true;
    default:
        CHECK(op == OP_MODULO);
        *out = b == -1 ? 0 : a % b;
        return true;
    }
}

static double float_arithmetic(enum expr_op op, double a, double b)
{
    switch (op) {
    case OP_ADD:
        return a + b;
    case OP_SUBTRACT:
        return a - b;
    case OP_MULTIPLY:
        return a * b;
    default:
        CHECK(op == OP_DIVIDE);
        return a / b;
    }
}

static enum errcode out_of_range(const struct instruction *i, enum value_type type, struct err *err)
{
    return err_at(err, i->position, ERR_NUMBER_OUT_OF_RANGE, "the result does not fit the type %s",
                  type_name(type));
}

static enum errcode run_arithmetic(const struct instruction *i, struct value *a,
                                   const struct value *b, struct err *err)
{
    if (a->type == TYPE_NULL || b->type == TYPE_NULL) {
        *a = value_null();
        return ERR_OK;
    }
    CHECK(a->type == b->type);
    bool is_division = i->op == OP_DIVIDE || i->op == OP_MODULO;
    bool is_by_zero = a->type == TYPE_INT ? b->integer == 0 : b->number == 0 && !isnan(a->number);
    if (is_division && is_by_zero) {
        return err_at(err, i->position, ERR_DIVISION_BY_ZERO, "division by zero");
    }
    if (a->type == TYPE_INT) {
        return int_arithmetic((enum expr_op)i->op, a->integer, b->integer, &a->integer)
                   ? ERR_OK
                   : out_of_range(i, TYPE_INT, err);
    }
    double result = float_arithmetic((enum expr_op)i->op, a->number, b->number);
    bool is_over = !isfinite(result) && isfinite(a->number) && isfinite(b->number);
    bool is_product = i->op == OP_MULTIPLY || i->op == OP_DIVIDE;
    bool is_under =
        result == 0 && is_product && a->number != 0 && b->number != 0 && isfinite(b->number);
    if (is_over || is_under) {
        return out_of_range(i, TYPE_FLOAT, err);
    }
    a->number = result;
    return ERR_OK;
}

static enum errcode run_negate(const struct instruction *i, struct value *a, struct err *err)
{
    if (a->type == TYPE_FLOAT) {
        a->number = -a->number;
    } else if (a->type == TYPE_INT) {
        if (a->integer == INT64_MIN) {
            return out_of_range(i, TYPE_INT, err);
        }
        a->integer = -a->integer;
    }
    return ERR_OK;
}

/* ---- logic ---- */

static bool is_false(const struct value *v)
{
    return v->type == TYPE_BOOL && !v->boolean;
}

static bool is_true(const struct value *v)
{
    return v->type == TYPE_BOOL && v->boolean;
}

static struct value run_and(const struct value *a, const struct value *b)
{
    if (is_false(a) || is_false(b)) {
        return value_bool(false);
    }
    return is_true(a) && is_true(b) ? value_bool(true) : value_null();
}

static struct value run_or(const struct value *a, const struct value *b)
{
    if (is_true(a) || is_true(b)) {
        return value_bool(true);
    }
    return is_false(a) && is_false(b) ? value_bool(false) : value_null();
}

static struct value run_compare(enum expr_op op, const struct value *a, const struct value *b,
                                struct work *work)
{
    if (a->type == TYPE_NULL || b->type == TYPE_NULL) {
        return value_null();
    }
    charge_compare(work, a, b);
    int order = value_compare(a, b);
    switch (op) {
    case OP_EQ:
        return value_bool(order == 0);
    case OP_NE:
        return value_bool(order != 0);
    case OP_LT:
        return value_bool(order < 0);
    case OP_LE:
        return value_bool(order <= 0);
    case OP_GT:
        return value_bool(order > 0);
    default:
        CHECK(op == OP_GE);
        return value_bool(order >= 0);
    }
}

static struct value negate_if(bool is_negated, struct value v)
{
    return is_negated && v.type == TYPE_BOOL ? value_bool(!v.boolean) : v;
}

/* stack: value, low, high */
static struct value run_between(const struct value *stack, bool is_negated, struct work *work)
{
    struct value low = run_compare(OP_GE, &stack[0], &stack[1], work);
    struct value high = run_compare(OP_LE, &stack[0], &stack[2], work);
    return negate_if(is_negated, run_and(&low, &high));
}

/* stack: value, n items, each of which was paid for when it was pushed */
static struct value run_in(const struct value *stack, uint32_t n, bool is_negated,
                           struct work *work)
{
    bool has_null = false;
    for (uint32_t i = 1; i <= n; i++) {
        struct value equal = run_compare(OP_EQ, &stack[0], &stack[i], work);
        if (is_true(&equal)) {
            return value_bool(!is_negated);
        }
        has_null = has_null || equal.type == TYPE_NULL;
    }
    return has_null ? value_null() : value_bool(is_negated);
}

static struct value run_in_set(const struct value *v, const struct value_set *set, bool is_negated,
                               struct work *work)
{
    if (set->n == 0 && !set->has_null) {
        return value_bool(is_negated);
    }
    if (v->type == TYPE_NULL) {
        return value_null();
    }
    if (value_set_has(set, v, work)) {
        return value_bool(!is_negated);
    }
    return set->has_null ? value_null() : value_bool(is_negated);
}

/* ---- text ---- */

static enum errcode run_like(const struct instruction *i, struct value *text,
                             const struct like *pattern, struct work *work, struct err *err)
{
    bool matches = false;
    if (text->type == TYPE_NULL) {
        return ERR_OK;
    }
    enum errcode code = like_matches(pattern, text, work, &matches, err);
    *text = value_bool(matches != i->is_negated);
    return code;
}

/* With a pattern that is not known before. */
static enum errcode run_like_any(const struct instruction *i, struct value *text,
                                 const struct value *pattern, const struct evaluator *evaluator,
                                 struct err *err)
{
    const struct like *like;
    if (text->type == TYPE_NULL || pattern->type == TYPE_NULL) {
        *text = value_null();
        return ERR_OK;
    }
    enum errcode code = work_spend(evaluator->work, pattern->text.bytes, err);
    if (code == ERR_OK) {
        code = like_compile(pattern->text.data, pattern->text.bytes, evaluator->arena, &like, err);
        err->position = code == ERR_BAD_LIKE_PATTERN ? i->position : err->position;
    }
    return code == ERR_OK ? run_like(i, text, like, evaluator->work, err) : code;
}

static enum errcode run_concat(const struct instruction *i, struct value *a, const struct value *b,
                               const struct evaluator *evaluator, struct err *err)
{
    if (a->type == TYPE_NULL || b->type == TYPE_NULL) {
        *a = value_null();
        return ERR_OK;
    }
    size_t bytes = (size_t)a->text.bytes + b->text.bytes;
    if (bytes > TEXT_BYTES_MAX) {
        return err_at(err, i->position, ERR_STRING_TOO_LONG,
                      "a text of %zu bytes is longer than %d", bytes, TEXT_BYTES_MAX);
    }
    enum errcode code = work_spend(evaluator->work, bytes / 2, err); /* Most of it is new memory. */
    if (code != ERR_OK) {
        return code;
    }
    char *text = arena_alloc(evaluator->arena, bytes);
    if (text == NULL) {
        return err_no_memory(err);
    }
    if (a->text.bytes > 0) {
        memcpy(text, a->text.data, a->text.bytes);
    }
    if (b->text.bytes > 0) {
        memcpy(text + a->text.bytes, b->text.data, b->text.bytes);
    }
    *a = value_text(text, bytes);
    return ERR_OK;
}

/* ---- JSON ---- */

/* The text of a JSON string without its quotes and escapes; other values as they are written. */
static enum errcode json_text(const char *json, size_t bytes, struct value *out,
                              struct arena *arena, struct err *err)
{
    if (bytes == 4 && memcmp(json, "null", 4) == 0) {
        *out = value_null();
        return ERR_OK;
    }
    if (bytes < 2 || json[0] != '"') {
        *out = value_text(json, bytes);
        return ERR_OK;
    }
    if (memchr(json, '\\', bytes) == NULL) {
        *out = value_text(json + 1, bytes - 2);
        return ERR_OK;
    }
    char *text = arena_alloc(arena, bytes);
    if (text == NULL) {
        return err_no_memory(err);
    }
    *out = value_text(text, json_unescape(json, bytes, text));
    return ERR_OK;
}

static enum errcode run_json(const struct instruction *i, struct value *a, const struct value *b,
                             const struct evaluator *evaluator, struct err *err)
{
    const char *member;
    size_t member_bytes;
    if (a->type == TYPE_NULL || b->type == TYPE_NULL) {
        *a = value_null();
        return ERR_OK;
    }
    enum errcode code = work_spend(evaluator->work, JSON_BYTE_WORK * a->text.bytes, err);
    if (code != ERR_OK) {
        return code;
    }
    bool is_found = b->type == TYPE_INT ? json_element(a->text.data, a->text.bytes, b->integer,
                                                       &member, &member_bytes)
                                        : json_member(a->text.data, a->text.bytes, b->text.data,
                                                      b->text.bytes, &member, &member_bytes);
    if (!is_found) {
        *a = value_null();
        return ERR_OK;
    }
    if (i->code == CODE_JSON_TEXT) {
        return json_text(member, member_bytes, a, evaluator->arena, err);
    }
    *a = value_text(member, member_bytes);
    a->type = TYPE_JSON;
    return ERR_OK;
}

/* ---- the machine ---- */

static const struct value *leaf(const struct program *program, const struct instruction *i,
                                const struct evaluator *evaluator)
{
    switch ((enum opcode)i->code) {
    case CODE_CONSTANT:
        return &program->constants[i->at];
    case CODE_PARAMETER:
        return &evaluator->parameters[i->at];
    case CODE_COLUMN:
        return &evaluator->columns[i->at];
    default:
        CHECK(i->code == CODE_PSEUDO);
        return &evaluator->pseudo[i->at];
    }
}

static enum errcode run_call(const struct instruction *i, struct value *values,
                             const struct evaluator *evaluator, struct err *err)
{
    const struct function *f = function_at(i->op);
    for (uint32_t at = 0; f->is_strict && at < i->at; at++) {
        if (values[at].type == TYPE_NULL) {
            *values = value_null();
            return ERR_OK;
        }
    }
    struct call call = {.evaluator = evaluator, .n = i->at, .position = i->position};
    return f->run(&call, values, err);
}

/* Instructions with one operand, at @top. */
static enum errcode run_unary(const struct instruction *i, const struct evaluator *evaluator,
                              struct value *top, struct err *err)
{
    switch ((enum opcode)i->code) {
    case CODE_NOT:
        *top = negate_if(true, *top);
        return ERR_OK;
    case CODE_NEGATE:
        return run_negate(i, top, err);
    case CODE_IS_NULL:
        *top = value_bool(top->type == TYPE_NULL);
        return ERR_OK;
    case CODE_IS_NOT_NULL:
        *top = value_bool(top->type != TYPE_NULL);
        return ERR_OK;
    case CODE_TO_FLOAT:
        *top = top->type == TYPE_INT ? value_float((double)top->integer) : *top;
        return ERR_OK;
    case CODE_JSON_NUMBER:
        *top = json_number(top);
        return ERR_OK;
    case CODE_JSON_BOOL:
        *top = json_bool(top);
        return ERR_OK;
    default:
        CHECK(i->code == CODE_IN_SET);
        *top = run_in_set(top, &evaluator->sets[i->at], i->is_negated, evaluator->work);
        return ERR_OK;
    }
}

/* Instructions with two operands: the result replaces @a. */
static enum errcode run_binary(const struct instruction *i, const struct evaluator *evaluator,
                               struct value *a, struct err *err)
{
    const struct value *b = a + 1;
    switch ((enum opcode)i->code) {
    case CODE_AND:
        *a = run_and(a, b);
        return ERR_OK;
    case CODE_OR:
        *a = run_or(a, b);
        return ERR_OK;
    case CODE_COMPARE:
        *a = run_compare((enum expr_op)i->op, a, b, evaluator->work);
        return ERR_OK;
    case CODE_ARITHMETIC:
        return run_arithmetic(i, a, b, err);
    case CODE_CONCAT:
        return run_concat(i, a, b, evaluator, err);
    case CODE_LIKE:
        return run_like_any(i, a, b, evaluator, err);
    default:
        CHECK(i->code == CODE_JSON_GET || i->code == CODE_JSON_TEXT);
        return run_json(i, a, b, evaluator, err);
    }
}

static inline size_t operands(const struct instruction *i)
{
    if (i->code <= CODE_JSON_TEXT) {
        return 2;
    }
    switch ((enum opcode)i->code) {
    case CODE_BETWEEN:
        return 3;
    case CODE_IN:
        return (size_t)i->at + 1;
    case CODE_CALL:
        return i->at;
    default:
        return 1;
    }
}

size_t program_operands(const struct instruction *i)
{
    CHECK(i->code >= CODE_AND);
    return operands(i);
}

enum errcode program_apply(const struct program *program, const struct instruction *i,
                           const struct evaluator *evaluator, struct value *a, struct err *err)
{
    CHECK(i->code >= CODE_AND);
    if (i->code <= CODE_JSON_TEXT) {
        return run_binary(i, evaluator, a, err);
    }
    switch ((enum opcode)i->code) {
    case CODE_BETWEEN:
        *a = run_between(a, i->is_negated, evaluator->work);
        return ERR_OK;
    case CODE_IN:
        *a = run_in(a, i->at, i->is_negated, evaluator->work);
        return ERR_OK;
    case CODE_LIKE_FIXED:
        return run_like(i, a, program->patterns[i->at], evaluator->work, err);
    case CODE_CALL:
        return run_call(i, a, evaluator, err);
    case CODE_CAST:
        return value_cast(i, evaluator, a, err);
    default:
        return run_unary(i, evaluator, a, err);
    }
}

/* What goes elsewhere, or changes the stack of *n values alone: gives the place of the next
 * instruction, which is @at where none is jumped over. */
static uint32_t move(const struct instruction *i, struct value *stack, size_t *n, uint32_t at)
{
    struct value *top = &stack[*n - 1];
    switch ((enum opcode)i->code) {
    case CODE_JUMP_FALSE:
        return is_false(top) ? i->at : at;
    case CODE_JUMP_TRUE:
        return is_true(top) ? i->at : at;
    case CODE_JUMP_NOT_NULL:
        return top->type != TYPE_NULL ? i->at : at;
    case CODE_JUMP_UNLESS:
        --*n;
        return is_true(top) ? at : i->at;
    case CODE_JUMP:
        return i->at;
    case CODE_DUP:
        top[1] = top[0];
        ++*n;
        return at;
    default:
        CHECK(i->code == CODE_DROP);
        --*n;
        return at;
    }
}

enum errcode program_run_part(const struct program *program, uint32_t from, uint32_t to,
                              struct evaluator *evaluator, struct value *out, struct err *err)
{
    CHECK_HOT(from <= to && to <= program->n_code);
    struct value *stack = evaluator->stack;
    size_t n = 0;
    enum errcode code = ERR_OK;
    for (uint32_t at = from; at < to && code == ERR_OK;) {
        const struct instruction *i = &program->code[at++];
        code = work_spend(evaluator->work, INSTRUCTION_WORK, err);
        if (code != ERR_OK) {
            return code;
        }
        CHECK_HOT(n <= program->stack_max);
        if (i->code <= CODE_PSEUDO) {
            stack[n++] = *leaf(program, i, evaluator);
        } else if (i->code >= CODE_AND) {
            CHECK_HOT(n + 1 > operands(i) || operands(i) == 0);
            n -= operands(i) - 1;
            code = program_apply(program, i, evaluator, &stack[n - 1], err);
        } else {
            at = move(i, stack, &n, at);
        }
    }
    if (code == ERR_OK) {
        CHECK(n == 1);
        *out = stack[0];
    }
    return code;
}

enum errcode program_run(const struct program *program, struct evaluator *evaluator,
                         struct value *out, struct err *err)
{
    CHECK_HOT(program->n_code > 0);
    if (program->n_code == 1) {
        *out = *leaf(program, &program->code[0], evaluator);
        return ERR_OK;
    }
    return program_run_part(program, 0, program->n_code, evaluator, out, err);
}

enum errcode program_matches(const struct program *program, struct evaluator *evaluator,
                             bool *matches, struct err *err)
{
    *matches = true;
    if (program == NULL) {
        return ERR_OK;
    }
    struct value result;
    enum errcode code = program_run(program, evaluator, &result, err);
    *matches = code == ERR_OK && is_true(&result);
    return code;
}
