/* A WHERE over 64 rows at once (lanes_int.h): each instruction is done for all of them before the
 * next one, so that what an instruction costs beside its work is paid once.
 *
 * What is compared most has loops of its own; the rest is done a row after the other by the machine
 * of expr/run.c.  So is the whole of a WHERE whose values are no cells, as those of functions, CASE
 * and CAST; it still has its columns from the block.  A jump leaves out the rows that it would be
 * taken for, until its target; it is taken where none is left.  What would be an error for a row is
 * not told here: the caller then asks row by row, and meets it, or a row before it that ends the
 * statement otherwise. */
#include "query/lanes_int.h"

#include "expr/expr.h"
#include "plan/plan.h"

#include <math.h>
#include <string.h>

enum {
    LANES = SHARD_BLOCK_ROWS,
    STACK_MAX = 32,       /* Operands of a program that is run so; */
    JUMPS_MAX = 32,       /* and jumps whose target is ahead. */
    LANES_WORK = 100,     /* An instruction, of all rows. */
    ROW_BY_ROW_WORK = 20, /* The columns of a row; its instructions pay for themselves. */
};

static bool is_possible(const struct instruction *i)
{
    switch ((enum opcode)i->code) {
    case CODE_PSEUDO:
        return i->at == PSEUDO_NOW; /* The same for all rows. */
    case CODE_CONCAT:
    case CODE_JSON_NUMBER:
    case CODE_JSON_BOOL:
    case CODE_JSON_GET:
    case CODE_JSON_TEXT:
    case CODE_CALL:
    case CODE_CAST:
    case CODE_JUMP:
    case CODE_JUMP_UNLESS:
    case CODE_JUMP_NOT_NULL:
    case CODE_DUP:
    case CODE_DROP:
        return false; /* Its values are no cells, or of a type that is known by row alone. */
    default:
        return true;
    }
}

/* All of it, for all rows at once. */
static bool is_all_possible(const struct program *program)
{
    size_t n_jumps = 0;
    for (uint32_t i = 0; i < program->n_code; i++) {
        enum opcode code = (enum opcode)program->code[i].code;
        n_jumps += code == CODE_JUMP_FALSE || code == CODE_JUMP_TRUE ? 1 : 0;
        if (!is_possible(&program->code[i])) {
            return false;
        }
    }
    return program->stack_max <= STACK_MAX && n_jumps <= JUMPS_MAX;
}

struct lanes *lanes_of_access(const struct plan *plan, struct arena *arena)
{
    const struct program *where = plan->access.where;
    if (where == NULL || plan_reads_vector(plan, &plan->access.columns)) {
        return NULL;
    }
    struct lanes *lanes = arena_zalloc(arena, sizeof(*lanes));
    if (lanes != NULL && is_all_possible(where)) {
        lanes->stack = arena_array(arena, where->stack_max, sizeof(*lanes->stack));
        return lanes->stack != NULL ? lanes : NULL;
    }
    uint32_t n = plan->schema->n_columns;
    uint32_t *columns = arena_array(arena, n, sizeof(*columns));
    if (lanes == NULL || columns == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (mask_has(&where->columns, i)) {
            columns[lanes->n_columns++] = i;
        }
    }
    lanes->columns = columns;
    lanes->cells = arena_array(arena, lanes->n_columns, sizeof(*lanes->cells));
    return lanes->cells != NULL ? lanes : NULL;
}

/* On the machine of doc/architecture.md. */
static double instruction_ns(const struct program *program, const struct instruction *i)
{
    static const double PUSH = 0.2, LOGIC = 0.1, COMPARE = 1.2, OF_TEXT = 4, ROW_BY_ROW = 25;
    switch ((enum opcode)i->code) {
    case CODE_CONSTANT:
        return program->constants[i->at].type == TYPE_TEXT ? OF_TEXT : PUSH;
    case CODE_PARAMETER:
    case CODE_COLUMN:
    case CODE_PSEUDO:
        return PUSH;
    case CODE_COMPARE:
        return COMPARE;
    case CODE_BETWEEN:
        return 2 * COMPARE;
    case CODE_ARITHMETIC:
        return i->op == OP_MODULO ? 2 * COMPARE : ROW_BY_ROW;
    case CODE_JUMP_FALSE:
    case CODE_JUMP_TRUE:
    case CODE_AND:
    case CODE_OR:
    case CODE_NOT:
    case CODE_IS_NULL:
    case CODE_IS_NOT_NULL:
        return LOGIC;
    default:
        return ROW_BY_ROW;
    }
}

double lanes_row_ns(const struct program *program)
{
    static const double ROW = 0.6, ROW_ALONE = 15, INSTRUCTION = 6;
    bool is_by_row = !is_all_possible(program);
    double ns = is_by_row ? ROW_ALONE + INSTRUCTION * program->n_code : ROW;
    for (uint32_t i = 0; i < program->n_code; i++) {
        ns += instruction_ns(program, &program->code[i]);
    }
    return ns;
}

/* ---- operands ---- */

static void set_bool(struct lane *l, uint64_t truth, uint64_t nulls)
{
    l->in.type = TYPE_BOOL;
    l->in.nulls = nulls;
    l->truth = truth & ~nulls;
    l->is_one = false;
}

static void set_one(struct lane *l, struct value one)
{
    bool is_true = one.type == TYPE_BOOL && one.boolean;
    l->in = (struct shard_cells){.type = one.type, .nulls = one.type == TYPE_NULL ? UINT64_MAX : 0};
    l->truth = is_true ? UINT64_MAX : 0;
    l->is_one = one.type != TYPE_BOOL;
    l->one = one;
}

/* False where a text that is wanted is not in memory. */
static bool set_column(struct lane *l, const struct lanes_run *run, uint32_t column,
                       uint64_t active)
{
    l->in = shard_block_cells(run->view, run->block, column);
    l->is_one = false;
    l->truth = 0;
    uint64_t left = active & ~l->in.nulls;
    switch (l->in.type) {
    case TYPE_BOOL:
        for (unsigned i = 0; i < LANES; i++) {
            l->truth |= (uint64_t)(l->in.cells[i] != 0) << i;
        }
        l->truth &= ~l->in.nulls;
        return true;
    case TYPE_TEXT:
    case TYPE_JSON:
        for (; left != 0; left &= left - 1) {
            if (shard_cell_is_elsewhere(&l->in, (unsigned)__builtin_ctzll(left))) {
                return false;
            }
        }
        return true;
    default:
        return true;
    }
}

static struct value value_in(const struct lane *l, unsigned row)
{
    if (l->is_one) {
        return l->one;
    }
    if ((l->in.nulls >> row & 1) != 0) {
        return value_null();
    }
    return l->in.type == TYPE_BOOL ? value_bool((l->truth >> row & 1) != 0)
                                   : shard_cell_value(&l->in, row);
}

static uint64_t falses(const struct lane *l)
{
    return ~l->truth & ~l->in.nulls;
}

/* ---- comparisons ---- */

/* Rows where a is less, and where it is more, than b. */
struct ordering {
    uint64_t less, more;
};

static struct ordering order_ints(const struct lane *a, const struct lane *b)
{
    int64_t one_a = a->one.integer, one_b = b->one.integer;
    struct ordering o = {0};
    for (unsigned i = 0; i < LANES; i++) {
        int64_t x = a->is_one ? one_a : (int64_t)a->in.cells[i];
        int64_t y = b->is_one ? one_b : (int64_t)b->in.cells[i];
        o.less |= (uint64_t)(x < y) << i;
        o.more |= (uint64_t)(x > y) << i;
    }
    return o;
}

static double float_in(const struct lane *l, unsigned row)
{
    double x = l->one.number;
    if (!l->is_one) {
        memcpy(&x, &l->in.cells[row], sizeof(x));
    }
    return x;
}

/* NaN is larger than every number, as in value_compare. */
static struct ordering order_floats(const struct lane *a, const struct lane *b)
{
    struct ordering o = {0};
    for (unsigned i = 0; i < LANES; i++) {
        double x = float_in(a, i), y = float_in(b, i);
        o.less |= (uint64_t)(x < y || (isnan(y) && !isnan(x))) << i;
        o.more |= (uint64_t)(x > y || (isnan(x) && !isnan(y))) << i;
    }
    return o;
}

/* A whole number is beside a FLOAT as it is beside the whole numbers at both sides of it. */
struct wholes {
    int64_t floor, ceil;
    bool is_below, is_above; /* Of all whole numbers there are; NaN is above. */
};

static struct wholes wholes_of(double x)
{
    if (isnan(x) || x >= 0x1p63) {
        return (struct wholes){.is_above = true};
    }
    if (x < -0x1p63) {
        return (struct wholes){.is_below = true};
    }
    int64_t whole = (int64_t)x;
    double rest = x - (double)whole;
    return (struct wholes){.floor = whole - (rest < 0), .ceil = whole + (rest > 0)};
}

/* As exactly as value_compare, which has digits beyond those of a FLOAT. */
static struct ordering order_int_float(const struct lane *a, const struct lane *b)
{
    struct wholes w = wholes_of(float_in(b, 0));
    struct ordering o = {0};
    for (unsigned i = 0; i < LANES; i++) {
        int64_t x = a->is_one ? a->one.integer : (int64_t)a->in.cells[i];
        if (!b->is_one) {
            w = wholes_of(float_in(b, i));
        }
        o.less |= (uint64_t)(w.is_above | (!w.is_below & (x < w.ceil))) << i;
        o.more |= (uint64_t)(w.is_below | (!w.is_above & (x > w.floor))) << i;
    }
    return o;
}

/* Whether texts are the same: those of other lengths are not looked at. */
static struct ordering order_equal_texts(const struct lane *a, const struct value *text,
                                         uint64_t wanted, struct work *work)
{
    struct ordering o = {.more = wanted};
    for (uint64_t left = wanted; left != 0; left &= left - 1) {
        unsigned row = (unsigned)__builtin_ctzll(left);
        uint64_t cell = a->in.cells[row];
        bool is_same = (uint32_t)cell == text->text.bytes &&
                       (text->text.bytes == 0 ||
                        memcmp(a->in.bytes + (cell >> 32), text->text.data, text->text.bytes) == 0);
        work_charge(work, (uint32_t)cell == text->text.bytes ? text->text.bytes / BYTES_A_UNIT : 0);
        o.more &= ~((uint64_t)is_same << row);
    }
    return o;
}

static struct ordering order_values(const struct lane *a, const struct lane *b, uint64_t wanted,
                                    struct work *work)
{
    struct ordering o = {0};
    for (uint64_t left = wanted; left != 0; left &= left - 1) {
        unsigned row = (unsigned)__builtin_ctzll(left);
        struct value x = value_in(a, row), y = value_in(b, row);
        work_charge(work, (value_bytes(&x) + value_bytes(&y)) / BYTES_A_UNIT);
        int order = value_compare(&x, &y);
        o.less |= (uint64_t)(order < 0) << row;
        o.more |= (uint64_t)(order > 0) << row;
    }
    return o;
}

/* The truth of rows that are not null. */
struct bools {
    uint64_t truth, nulls;
};

static struct bools compare(enum expr_op op, const struct lane *a, const struct lane *b,
                            uint64_t active, struct work *work)
{
    uint64_t nulls = a->in.nulls | b->in.nulls;
    bool is_equality = op == OP_EQ || op == OP_NE;
    enum value_type type = a->in.type;
    struct ordering o = {0};
    if (nulls == UINT64_MAX) {
        return (struct bools){.nulls = nulls};
    }
    if (type == b->in.type && (type == TYPE_INT || type == TYPE_TIMESTAMP)) {
        o = order_ints(a, b);
    } else if (type == TYPE_FLOAT && b->in.type == TYPE_FLOAT) {
        o = order_floats(a, b);
    } else if (type == TYPE_INT && b->in.type == TYPE_FLOAT) {
        o = order_int_float(a, b);
    } else if (type == TYPE_FLOAT && b->in.type == TYPE_INT) {
        struct ordering turned = order_int_float(b, a);
        o = (struct ordering){.less = turned.more, .more = turned.less};
    } else if (is_equality && type == TYPE_TEXT && !a->is_one && b->is_one &&
               b->in.type == TYPE_TEXT) {
        o = order_equal_texts(a, &b->one, active & ~nulls, work);
    } else {
        o = order_values(a, b, active & ~nulls, work);
    }
    uint64_t truth = op == OP_LT   ? o.less
                     : op == OP_LE ? ~o.more
                     : op == OP_GT ? o.more
                     : op == OP_GE ? ~o.less
                     : op == OP_EQ ? ~(o.less | o.more)
                                   : o.less | o.more;
    return (struct bools){.truth = truth & ~nulls, .nulls = nulls};
}

static struct bools logic(bool is_and, struct bools a, struct bools b)
{
    uint64_t false_a = ~a.truth & ~a.nulls, false_b = ~b.truth & ~b.nulls;
    uint64_t truth = is_and ? a.truth & b.truth : a.truth | b.truth;
    uint64_t falsity = is_and ? false_a | false_b : false_a & false_b;
    return (struct bools){.truth = truth, .nulls = ~truth & ~falsity};
}

static void set_bools(struct lane *l, struct bools b)
{
    set_bool(l, b.truth, b.nulls);
}

static struct bools bools_of(const struct lane *l)
{
    return (struct bools){.truth = l->truth, .nulls = l->in.nulls};
}

static void negate(struct lane *l)
{
    set_bool(l, falses(l), l->in.nulls);
}

static void between(struct lane *a, bool is_negated, uint64_t active, struct work *work)
{
    struct bools low = compare(OP_GE, &a[0], &a[1], active, work);
    struct bools high = compare(OP_LE, &a[0], &a[2], active, work);
    set_bools(a, logic(true, low, high));
    if (is_negated) {
        negate(a);
    }
}

/* ---- all else, row by row ---- */

/* The remainder of a division by a number above 0: what keys are picked by most. */
static bool is_modulo(const struct instruction *i, const struct lane *a)
{
    return i->code == CODE_ARITHMETIC && i->op == OP_MODULO && a[0].in.type == TYPE_INT &&
           !a[0].is_one && a[1].is_one && a[1].in.type == TYPE_INT && a[1].one.integer > 0;
}

static void modulo(struct lane *a)
{
    int64_t by = a[1].one.integer;
    for (unsigned i = 0; i < LANES; i++) {
        a->room[i] = (uint64_t)((int64_t)a->in.cells[i] % by);
    }
    a->in.cells = a->room;
}

static uint64_t cell_of(const struct value *v)
{
    uint64_t cell = (uint64_t)v->integer;
    if (v->type == TYPE_FLOAT) {
        memcpy(&cell, &v->number, sizeof(cell));
    }
    return cell;
}

static bool are_one(const struct lane *a, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!a[i].is_one) {
            return false;
        }
    }
    return true;
}

/* Of operands that are the same in all rows: once. */
static bool run_once(const struct program *program, const struct instruction *i,
                     const struct lanes_run *run, struct lane *a, size_t n)
{
    struct evaluator *e = run->evaluator;
    struct err err;
    for (size_t at = 0; at < n; at++) {
        e->stack[at] = a[at].one;
    }
    bool is_told = program_apply(program, i, e, &e->stack[0], &err) == ERR_OK;
    if (is_told) {
        set_one(a, e->stack[0]);
    }
    return is_told;
}

/* The instruction's result in place of its @n operands; false where it is not told. */
static bool run_rows(const struct program *program, const struct instruction *i,
                     const struct lanes_run *run, struct lane *a, size_t n, uint64_t active)
{
    struct evaluator *e = run->evaluator;
    enum value_type type = TYPE_NULL;
    uint64_t nulls = UINT64_MAX, truth = 0, cells[LANES] = {0};
    for (uint64_t left = active; left != 0; left &= left - 1) {
        unsigned row = (unsigned)__builtin_ctzll(left);
        struct err err;
        for (size_t at = 0; at < n; at++) {
            e->stack[at] = value_in(&a[at], row);
        }
        if (program_apply(program, i, e, &e->stack[0], &err) != ERR_OK) {
            return false;
        }
        const struct value *v = &e->stack[0];
        if (v->type == TYPE_NULL) {
            continue;
        }
        bool is_cell = v->type == TYPE_BOOL || v->type == TYPE_INT || v->type == TYPE_FLOAT ||
                       v->type == TYPE_TIMESTAMP;
        if (!is_cell || (type != TYPE_NULL && type != v->type)) {
            return false;
        }
        type = v->type;
        nulls &= ~(UINT64_C(1) << row);
        truth |= (uint64_t)(type == TYPE_BOOL && v->boolean) << row;
        cells[row] = type == TYPE_BOOL ? 0 : cell_of(v);
    }
    memcpy(a->room, cells, sizeof(cells));
    a->in = (struct shard_cells){.type = type, .nulls = nulls, .cells = a->room};
    a->truth = truth;
    a->is_one = false;
    return true;
}

/* ---- the machine ---- */

struct jumps {
    struct jump {
        uint32_t target;
        uint64_t active; /* Rows that go on from there. */
    } ahead[JUMPS_MAX];
    size_t n;
};

static bool run_instruction(const struct program *program, const struct instruction *i,
                            const struct lanes_run *run, struct lane *a, uint64_t active)
{
    struct work *work = run->evaluator->work;
    switch ((enum opcode)i->code) {
    case CODE_AND:
    case CODE_OR:
        set_bools(a, logic(i->code == CODE_AND, bools_of(&a[0]), bools_of(&a[1])));
        return true;
    case CODE_NOT:
        negate(a);
        return true;
    case CODE_IS_NULL:
        set_bool(a, a->in.nulls, 0);
        return true;
    case CODE_IS_NOT_NULL:
        set_bool(a, ~a->in.nulls, 0);
        return true;
    case CODE_COMPARE:
        set_bools(a, compare((enum expr_op)i->op, &a[0], &a[1], active, work));
        return true;
    case CODE_BETWEEN:
        between(a, i->is_negated, active, work);
        return true;
    default:
        if (is_modulo(i, a)) {
            modulo(a);
            return true;
        }
        return are_one(a, program_operands(i))
                   ? run_once(program, i, run, a, program_operands(i))
                   : run_rows(program, i, run, a, program_operands(i), active);
    }
}

static bool push(const struct program *program, const struct instruction *i,
                 const struct lanes_run *run, struct lane *l, uint64_t active)
{
    if (i->code == CODE_COLUMN) {
        return set_column(l, run, i->at, active);
    }
    set_one(l, i->code == CODE_CONSTANT ? program->constants[i->at]
               : i->code == CODE_PSEUDO ? run->evaluator->pseudo[i->at]
                                        : run->evaluator->parameters[i->at]);
    return true;
}

/* The rows that would jump have their value; the others go on.  True: there is none. */
static bool jump(const struct instruction *i, const struct lane *top, struct jumps *jumps,
                 uint64_t *active)
{
    uint64_t left = *active & ~(i->code == CODE_JUMP_FALSE ? falses(top) : top->truth);
    if (left == 0) {
        return true;
    }
    jumps->ahead[jumps->n++] = (struct jump){.target = i->at, .active = *active};
    *active = left;
    return false;
}

static enum errcode match_lanes(const struct program *program, const struct lanes_run *run,
                                uint64_t *matches, bool *is_told, struct err *err)
{
    struct lane *stack = run->lanes->stack;
    struct jumps jumps = {.n = 0};
    uint64_t active = run->wanted;
    size_t n = 0;
    *is_told = true;
    for (uint32_t at = 0; at < program->n_code && *is_told;) {
        for (; jumps.n > 0 && jumps.ahead[jumps.n - 1].target == at; jumps.n--) {
            active = jumps.ahead[jumps.n - 1].active;
        }
        const struct instruction *i = &program->code[at++];
        enum errcode code = work_spend(run->evaluator->work, LANES_WORK, err);
        if (code != ERR_OK) {
            return code;
        }
        switch ((enum opcode)i->code) {
        case CODE_CONSTANT:
        case CODE_PARAMETER:
        case CODE_COLUMN:
        case CODE_PSEUDO:
            *is_told = push(program, i, run, &stack[n++], active);
            break;
        case CODE_JUMP_FALSE:
        case CODE_JUMP_TRUE:
            at = jump(i, &stack[n - 1], &jumps, &active) ? i->at : at;
            break;
        default:
            n -= program_operands(i) - 1;
            *is_told = run_instruction(program, i, run, &stack[n - 1], active);
            break;
        }
    }
    CHECK(!*is_told || n == 1);
    *matches = *is_told ? stack[0].truth & run->wanted : 0;
    return ERR_OK;
}

/* ---- the whole of it, row by row ---- */

bool lanes_take_cells(const struct shard_cells *cells, const uint32_t *columns, size_t n_columns,
                      unsigned row, struct value *values)
{
    for (size_t i = 0; i < n_columns; i++) {
        struct value *value = &values[columns[i]];
        if ((cells[i].nulls >> row & 1) != 0) {
            *value = value_null();
        } else if (shard_cell_is_elsewhere(&cells[i], row)) {
            return false;
        } else {
            *value = shard_cell_value(&cells[i], row);
        }
    }
    return true;
}

static enum errcode match_rows(const struct program *program, const struct lanes_run *run,
                               uint64_t *matches, bool *is_told, struct err *err)
{
    const struct lanes *l = run->lanes;
    struct evaluator *e = run->evaluator;
    *matches = 0;
    *is_told = true;
    for (size_t i = 0; i < l->n_columns; i++) {
        l->cells[i] = shard_block_cells(run->view, run->block, l->columns[i]);
    }
    for (uint64_t left = run->wanted; left != 0 && *is_told; left &= left - 1) {
        unsigned row = (unsigned)__builtin_ctzll(left);
        struct err met;
        bool is_match = false;
        enum errcode code = work_spend(e->work, ROW_BY_ROW_WORK, err);
        if (code != ERR_OK) {
            return code;
        }
        *is_told = lanes_take_cells(l->cells, l->columns, l->n_columns, row, e->columns) &&
                   program_matches(program, e, &is_match, &met) == ERR_OK;
        *matches |= (uint64_t)is_match << row;
        arena_reset(e->arena); /* As where rows come one by one: a budget is for one row's texts. */
    }
    return ERR_OK;
}

enum errcode program_match_block(const struct program *program, const struct lanes_run *run,
                                 uint64_t *matches, bool *is_told, struct err *err)
{
    return run->lanes->stack != NULL ? match_lanes(program, run, matches, is_told, err)
                                     : match_rows(program, run, matches, is_told, err);
}
