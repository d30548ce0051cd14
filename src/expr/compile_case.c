/* CASE, coalesce and CAST, compiled.
 *
 *   CASE WHEN a THEN b ... ELSE z END      a; unless next: b; jump end; next: ...; z; end:
 *   CASE x WHEN a THEN b ... ELSE z END    x; dup; a; =; unless next: drop; b; jump end; next: ...;
 *                                          drop; z; end:
 *   coalesce(a, b, c)                      a; not null end: drop; b; not null end: drop; c; end:
 *
 * What may not be run is compiled as conditional: an error of its constants is left to the run. */
#include "expr/compile_int.h"
#include "expr/function_int.h"

static const uint32_t NO_JUMP = UINT32_MAX;

bool shape_join(struct shape *all, struct shape one)
{
    if (one.is_soft) {
        all->type = all->is_soft && all->type == TYPE_NULL ? one.type : all->type;
        return true;
    }
    if (all->is_soft || all->type == one.type) {
        *all = one;
        return true;
    }
    bool are_numbers = is_number(all->type) && is_number(one.type);
    all->type = are_numbers ? TYPE_FLOAT : all->type;
    return are_numbers;
}

enum value_type shape_joined(struct shape all)
{
    return all.type != TYPE_NULL ? all.type : TYPE_TEXT;
}

/* ---- jumps to the end, each of which keeps the one before it until the end is known ---- */

static enum errcode emit_jump(struct compiler *c, enum opcode code, uint32_t *last, uint32_t pops,
                              struct err *err)
{
    struct instruction jump = {.code = (uint8_t)code, .at = *last};
    enum errcode failed = code_emit(c, jump, pops, 0, err);
    if (failed == ERR_OK) {
        *last = c->n_code - 1;
    }
    return failed;
}

static void land_jumps(struct compiler *c, uint32_t last)
{
    while (last != NO_JUMP) {
        uint32_t before = c->code[last].at;
        c->code[last].at = c->n_code;
        last = before;
    }
}

static enum errcode emit_simple(struct compiler *c, enum opcode code, uint32_t pops,
                                uint32_t pushes, struct err *err)
{
    return code_emit(c, (struct instruction){.code = (uint8_t)code}, pops, pushes, err);
}

/* ---- CASE ---- */

/* items are WHEN, THEN, WHEN, THEN, ...; left is what is compared, right is ELSE; both may be NULL.
 */
static bool join_results(const struct compiler *c, const struct expr *e, struct shape *all)
{
    *all = (struct shape){.type = TYPE_NULL, .is_soft = true};
    for (size_t i = 1; i < e->n_items; i += 2) {
        if (!shape_join(all, shape_of(c, e->items[i]))) {
            return false;
        }
    }
    return e->right == NULL || shape_join(all, shape_of(c, e->right));
}

struct shape shape_of_case(const struct compiler *c, const struct expr *e)
{
    struct shape all;
    (void)join_results(c, e, &all); /* What does not join is refused when it is compiled. */
    return (struct shape){.type = shape_joined(all)};
}

/* The type in which what is compared and all of WHEN meet. */
static enum errcode meet_whens(const struct compiler *c, const struct expr *e,
                               enum value_type *type, struct err *err)
{
    struct shape all = shape_of(c, e->left);
    for (size_t i = 0; i < e->n_items; i += 2) {
        struct shape when = shape_of(c, e->items[i]);
        enum value_type met = shape_meet(all, when);
        if (met == TYPE_NULL || met == TYPE_JSON) {
            return refuse_operator(e, all.type, when.type, err);
        }
        all = (struct shape){.type = met, .is_soft = all.is_soft && when.is_soft};
    }
    *type = all.type;
    return ERR_OK;
}

/* Leaves whether the WHEN holds: @met is the type of what is compared, if something is. */
static enum errcode emit_when(struct compiler *c, const struct expr *e, const struct expr *when,
                              enum value_type met, struct err *err)
{
    enum value_type type;
    if (e->left == NULL) {
        return code_expr(c, when, TYPE_BOOL, &type, err);
    }
    enum errcode code = emit_simple(c, CODE_DUP, 1, 2, err);
    if (code == ERR_OK) {
        code = code_side(c, when, met, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct instruction i = {.code = CODE_COMPARE, .op = OP_EQ, .position = when->position};
    return code_emit(c, i, 2, 1, err);
}

/* One WHEN and its THEN.  After it the stack is as before it. */
static enum errcode emit_branch(struct compiler *c, const struct expr *e, size_t at,
                                const enum value_type types[2], uint32_t *ends, struct err *err)
{
    enum value_type type;
    uint32_t next = NO_JUMP, n_kept = e->left != NULL;
    enum errcode code = emit_when(c, e, e->items[at], types[0], err);
    if (code == ERR_OK) {
        code = emit_jump(c, CODE_JUMP_UNLESS, &next, 1, err);
    }
    if (code == ERR_OK && n_kept > 0) {
        code = emit_simple(c, CODE_DROP, 1, 0, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    c->n_conditional++;
    code = code_expr(c, e->items[at + 1], types[1], &type, err);
    if (code == ERR_OK) {
        code = emit_jump(c, CODE_JUMP, ends, 1, err);
    }
    c->n_conditional--;
    c->stack += n_kept; /* Where the jump goes that was not taken. */
    land_jumps(c, next);
    return code;
}

/* Of a CASE whose results and conditions have their types. */
static enum errcode emit_branches(struct compiler *c, const struct expr *e,
                                  const enum value_type types[2], struct err *err)
{
    uint32_t ends = NO_JUMP;
    enum value_type type;
    enum errcode code = ERR_OK;
    for (size_t i = 0; i < e->n_items && code == ERR_OK; i += 2) {
        c->n_conditional += i > 0;
        code = emit_branch(c, e, i, types, &ends, err);
        c->n_conditional -= i > 0;
    }
    if (code == ERR_OK && e->left != NULL) {
        code = emit_simple(c, CODE_DROP, 1, 0, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct value null = value_null();
    c->n_conditional++;
    code = e->right != NULL ? code_expr(c, e->right, types[1], &type, err)
                            : code_constant(c, &null, e->position, err);
    c->n_conditional--;
    land_jumps(c, ends);
    return code;
}

enum errcode code_case(struct compiler *c, const struct expr *e, enum value_type *type,
                       struct err *err)
{
    struct shape all;
    enum value_type types[2] = {TYPE_BOOL, TYPE_NULL};
    enum errcode code = ERR_OK;
    if (!join_results(c, e, &all)) {
        err_at(err, e->position, ERR_TYPE_MISMATCH, "the results of CASE are not of one type");
        err_hint(err, "CAST(x AS type) makes another type of a value.");
        return ERR_TYPE_MISMATCH;
    }
    types[1] = *type = shape_joined(all);
    if (e->left != NULL) {
        code = meet_whens(c, e, &types[0], err);
        if (code == ERR_OK) {
            code = code_side(c, e->left, types[0], err);
        }
    }
    return code == ERR_OK ? emit_branches(c, e, types, err) : code;
}

/* ---- coalesce ---- */

enum errcode form_coalesce(struct compiler *c, const struct expr *e, enum value_type type,
                           struct err *err)
{
    uint32_t ends = NO_JUMP;
    enum errcode code = ERR_OK;
    for (size_t i = 0; i < e->n_items && code == ERR_OK; i++) {
        enum value_type given;
        c->n_conditional += i > 0;
        code = code_expr(c, e->items[i], type, &given, err);
        c->n_conditional -= i > 0;
        if (code == ERR_OK && i + 1 < e->n_items) {
            code = emit_jump(c, CODE_JUMP_NOT_NULL, &ends, 0, err);
        }
        if (code == ERR_OK && i + 1 < e->n_items) {
            code = emit_simple(c, CODE_DROP, 1, 0, err);
        }
    }
    land_jumps(c, ends);
    return code;
}

/* ---- CAST ---- */

static bool is_castable(enum value_type from, enum value_type to)
{
    switch (from) {
    case TYPE_TEXT:
        return true;
    case TYPE_BOOL:
        return to == TYPE_INT || to == TYPE_TEXT;
    case TYPE_INT:
        return to == TYPE_FLOAT || to == TYPE_BOOL || to == TYPE_TEXT;
    case TYPE_FLOAT:
        return to == TYPE_INT || to == TYPE_TEXT;
    case TYPE_JSON:
        return is_number(to) || to == TYPE_BOOL || to == TYPE_TEXT;
    default:
        return to == TYPE_TEXT;
    }
}

enum errcode code_cast(struct compiler *c, const struct expr *e, enum value_type *type,
                       struct err *err)
{
    bool is_soft = shape_of(c, e->left).is_soft;
    enum value_type given;
    enum errcode code = code_expr(c, e->left, is_soft ? e->type : TYPE_NULL, &given, err);
    if (code != ERR_OK) {
        return code;
    }
    *type = e->type;
    if (given == TYPE_NULL || (given == e->type && e->dim == 0)) {
        return ERR_OK;
    }
    if (given != e->type && !is_castable(given, e->type)) {
        return err_at(err, e->position, ERR_CANNOT_CAST,
                      "a value of type %s cannot become one of type %s", type_name(given),
                      type_name(e->type));
    }
    struct instruction cast = {
        .code = CODE_CAST, .op = (uint8_t)e->type, .at = e->dim, .position = e->position};
    return code_emit(c, cast, 1, 1, err);
}
