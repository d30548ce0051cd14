/* A compilation under way: what its files share. */
#ifndef VECTRON_EXPR_COMPILE_INT_H
#define VECTRON_EXPR_COMPILE_INT_H

#include "expr/aggregate.h"
#include "expr/expr_int.h"

struct compiler {
    struct expr_scope *scope;
    struct instruction *code;
    uint32_t n_code, code_capacity;
    struct value *constants;
    uint32_t n_constants, constants_capacity;
    const struct like **patterns;
    uint32_t n_patterns, patterns_capacity;
    uint32_t stack, stack_max;
    uint32_t n_variables;   /* Parameters, columns, pseudo-columns, the clock so far. */
    uint32_t n_conditional; /* What is compiled may not be run: so many CASEs are around it. */
    uint32_t n_per_row;
    struct column_mask columns;
};

/* What is known of an expression before it is compiled. */
struct shape {
    enum value_type type; /* TYPE_NULL: unknown. */
    bool is_soft;         /* Takes the type of its context. */
};

static inline bool is_number(enum value_type type)
{
    return type == TYPE_INT || type == TYPE_FLOAT;
}

/* ---- compile_shape.c ---- */

static inline bool is_arithmetic(enum expr_op op)
{
    return op >= OP_ADD && op <= OP_MODULO;
}

struct shape shape_of(const struct compiler *c, const struct expr *e);
/* Of an operator with two sides. */
struct shape shape_of_binary(const struct compiler *c, const struct expr *e);
/* The type in which two sides of a comparison meet; TYPE_NULL where there is none. */
enum value_type shape_meet(struct shape a, struct shape b);

/* ---- compile_code.c ---- */

/* @pops and @pushes are what the instruction does to the stack. */
enum errcode code_emit(struct compiler *c, struct instruction instruction, uint32_t pops,
                       uint32_t pushes, struct err *err) WARN_UNUSED;
enum errcode code_constant(struct compiler *c, const struct value *value, uint32_t position,
                           struct err *err) WARN_UNUSED;
/* An instruction over the top of the stack and a pattern. */
enum errcode code_pattern(struct compiler *c, const struct like *pattern,
                          struct instruction instruction, struct err *err) WARN_UNUSED;
struct program program_so_far(const struct compiler *c);
/* Replaces code[from..] that reads nothing by the constant that it gives. */
enum errcode code_fold(struct compiler *c, uint32_t from, uint32_t variables_before,
                       uint32_t position, struct err *err) WARN_UNUSED;

/* ---- compile.c ---- */

/* Leaves one value on the stack, of type *type: @want where one is wanted (or NULL). */
enum errcode code_expr(struct compiler *c, const struct expr *e, enum value_type want,
                       enum value_type *type, struct err *err) WARN_UNUSED;
enum errcode refuse_type(const struct expr *e, enum value_type actual, enum value_type want,
                         struct err *err);

/* ---- compile_operator.c ---- */

enum errcode code_unary(struct compiler *c, const struct expr *e, enum value_type want,
                        enum value_type *type, struct err *err) WARN_UNUSED;
enum errcode code_binary(struct compiler *c, const struct expr *e, enum value_type *type,
                         struct err *err) WARN_UNUSED;
enum errcode code_between(struct compiler *c, const struct expr *e, struct err *err) WARN_UNUSED;
enum errcode code_in(struct compiler *c, const struct expr *e, struct err *err) WARN_UNUSED;
/* One side of a comparison whose sides meet in @want; a JSON member is read as the number or truth
 * value that it is compared with. */
enum errcode code_side(struct compiler *c, const struct expr *e, enum value_type want,
                       struct err *err) WARN_UNUSED;
enum errcode refuse_operator(const struct expr *e, enum value_type left, enum value_type right,
                             struct err *err);

/* ---- compile_call.c ---- */

enum {
    IS_FAR = 100, /* No number of arguments is so far away. */
};
/* How far @shape is from what a row of functions.def or aggregates.def takes; IS_FAR: it is no
 * such value. */
unsigned shape_distance(unsigned takes, struct shape shape);
struct shape shape_of_call(const struct compiler *c, const struct expr *e);
enum errcode code_call(struct compiler *c, const struct expr *e, enum value_type *type,
                       struct err *err) WARN_UNUSED;
/* Of a FORM of functions.def: compiles its call; @type is what it gives. */
#define FUNCTION(name, function, nulls, gives, n, takes, text)
#define FORM(name, function, nulls, gives, n, takes, text)                                         \
    enum errcode form_##function(struct compiler *c, const struct expr *e, enum value_type type,   \
                                 struct err *err);
#include "expr/functions.def"
#undef FUNCTION
#undef FORM

/* ---- compile_group.c ---- */

/* The grouped row that what is compiled is over; NULL: it is over the input row. */
static inline struct grouping *grouping_of(const struct compiler *c)
{
    struct grouping *grouping = c->scope->grouping;
    return grouping != NULL && !grouping->is_in_argument ? grouping : NULL;
}

/* Which key @e is; -1: none, or there are no groups. */
int key_find(const struct compiler *c, const struct expr *e);
/* The type and the dimension of a column of the grouped row. */
enum value_type grouped_type(const struct grouping *grouping, uint32_t column);
uint32_t grouped_dim(const struct grouping *grouping, uint32_t column);
enum errcode code_grouped(struct compiler *c, const struct expr *e, uint32_t column,
                          enum value_type *type, struct err *err) WARN_UNUSED;
enum errcode refuse_ungrouped(const struct expr *e, struct err *err);
struct shape shape_of_aggregate(const struct compiler *c, const struct expr *e);
enum errcode code_aggregate(struct compiler *c, const struct expr *e, enum value_type *type,
                            struct err *err) WARN_UNUSED;

/* ---- compile_case.c: CASE, coalesce, CAST ---- */

/* Makes of *all the type that is both its and that of @one; false where there is none. */
bool shape_join(struct shape *all, struct shape one);
/* What a value that may be either is: TEXT where nothing is known. */
enum value_type shape_joined(struct shape all);
struct shape shape_of_case(const struct compiler *c, const struct expr *e);
enum errcode code_case(struct compiler *c, const struct expr *e, enum value_type *type,
                       struct err *err) WARN_UNUSED;
enum errcode code_cast(struct compiler *c, const struct expr *e, enum value_type *type,
                       struct err *err) WARN_UNUSED;

#endif
