/* The door of expr: an expression over one row becomes a program, and the program a value.
 *
 *   tree -> program_compile, with an expr_scope: what names and parameters mean
 *   program -> program_run, with an evaluator: the row's columns, parameters, sets, memory
 *
 * Types are told once, when it is compiled.  Pure: it reads no clock, no disk and no collection.
 * Whatever takes long is paid for (base/work.h).  A program is immutable and may be run by several
 * threads, each with an evaluator of its own. */
#ifndef VECTRON_EXPR_H
#define VECTRON_EXPR_H

#include "base/base.h"
#include "parser/parser.h"

/* ---- column masks: one bit a column, as shard takes them ---- */

struct column_mask {
    uint64_t bits[4];
};
_Static_assert(COLUMNS_MAX == 256, "a column_mask has one bit a column");

static inline void mask_add(struct column_mask *mask, uint32_t column)
{
    CHECK_HOT(column < COLUMNS_MAX);
    mask->bits[column / 64] |= 1ULL << (column % 64);
}

static inline bool mask_has(const struct column_mask *mask, uint32_t column)
{
    CHECK_HOT(column < COLUMNS_MAX);
    return mask->bits[column / 64] >> (column % 64) & 1;
}

static inline bool mask_is_empty(const struct column_mask *mask)
{
    return (mask->bits[0] | mask->bits[1] | mask->bits[2] | mask->bits[3]) == 0;
}

static inline void mask_merge(struct column_mask *into, const struct column_mask *from)
{
    for (size_t i = 0; i < COUNT_OF(into->bits); i++) {
        into->bits[i] |= from->bits[i];
    }
}

/* ---- programs: compile.c, run.c ---- */

struct like;
struct grouping;

enum pseudo {
    PSEUDO_DISTANCE,
    PSEUDO_QUERY,
    PSEUDO_NOW, /* Has no name: it is now(). */
    PSEUDO_COUNT
};

/* In groups, which run.c tells apart by their first and last. */
enum opcode {
    /* Leaves: pushed. */
    CODE_CONSTANT,  /* at: which constant */
    CODE_PARAMETER, /* at: which parameter, from 0 */
    CODE_COLUMN,    /* at: which column */
    CODE_PSEUDO,    /* at: enum pseudo */
    /* What goes elsewhere, or changes the stack alone. */
    CODE_JUMP_FALSE, /* at: goes there and leaves the value where it is false */
    CODE_JUMP_TRUE,
    CODE_JUMP,
    CODE_JUMP_UNLESS, /* Takes the value away; goes where it is not true. */
    CODE_JUMP_NOT_NULL,
    CODE_DUP,
    CODE_DROP,
    /* Two operands. */
    CODE_AND,
    CODE_OR,
    CODE_COMPARE,    /* op */
    CODE_ARITHMETIC, /* op */
    CODE_CONCAT,
    CODE_LIKE, /* The pattern is on the stack. */
    CODE_JSON_GET,
    CODE_JSON_TEXT,
    /* One. */
    CODE_NOT,
    CODE_NEGATE,
    CODE_IS_NULL,
    CODE_IS_NOT_NULL,
    CODE_TO_FLOAT,    /* An INT. */
    CODE_JSON_NUMBER, /* JSON as what it is compared with. */
    CODE_JSON_BOOL,
    CODE_IN_SET, /* at: which set */
    /* What has something of its own. */
    CODE_LIKE_FIXED, /* at: which pattern */
    CODE_BETWEEN,
    CODE_IN,   /* at: how many items lie on the stack */
    CODE_CALL, /* op: which function; at: how many arguments lie on the stack */
    CODE_CAST, /* op: to which type; at: the dimension of a VECTOR, or 0 */
};

struct instruction {
    uint8_t code; /* enum opcode */
    uint8_t op;   /* enum expr_op */
    bool is_negated;
    uint32_t at;
    uint32_t position; /* For errors. */
};

/* A compiled expression: a stack machine's code.  Immutable; in its plan's arena. */
struct program {
    const struct instruction *code;
    uint32_t n_code;
    const struct value *constants;
    const struct like *const *patterns;
    enum value_type type; /* TYPE_NULL: always NULL. */
    uint32_t dim;         /* Of a VECTOR where it is known; else 0. */
    uint32_t stack_max;
    struct column_mask columns; /* That it reads. */
    bool is_constant;           /* Reads neither columns nor parameters. */
    bool is_per_row;            /* Reads columns or pseudo-columns. */
};

/* The right side of IN where it does not depend on the row: sorted once a portal. */
struct set_plan {
    const struct program **items;
    size_t n_items;
    struct set_plan *next;
    uint32_t number;
};

struct value_set {
    struct value *items; /* Sorted, without NULLs and doubles. */
    size_t n;
    bool has_null;
};

/* What names and parameters mean while the expressions of one statement are compiled. */
struct expr_scope {
    struct arena *arena;
    struct work *work;
    const struct schema *schema; /* NULL: there are no columns. */
    bool is_view;                /* They are of what SHOW schema->name gives. */
    bool has_pseudo;             /* distance and query are known. */
    bool used_now;
    struct grouping *grouping; /* expr/aggregate.h; NULL: it is over the input row. */
    uint8_t *types;            /* Of the parameters; 0 until it can be told. */
    size_t n_types;
    uint32_t stack_max; /* Largest of all programs. */
    struct set_plan *sets;
    uint32_t n_sets;
};

/* @want is the type needed, or TYPE_NULL for any.  Errors carry the position. */
enum errcode program_compile(struct expr_scope *scope, const struct expr *expr,
                             enum value_type want, const struct program **out, struct err *err);
/* Registers a set; items are programs that are not per row.  NULL: no memory. */
struct set_plan *set_plan_new(struct expr_scope *scope, const struct program **items, size_t n);

/* What programs are run with.  One a portal. */
struct evaluator {
    const struct value *parameters;
    struct value *columns; /* Of the row at hand; only the masked ones are filled in. */
    struct value pseudo[PSEUDO_COUNT];
    struct value *stack;
    const struct value_set *sets;
    struct arena *arena; /* Texts made by || and ->> live here. */
    struct work *work;
};

enum errcode program_run(const struct program *program, struct evaluator *evaluator,
                         struct value *out, struct err *err) WARN_UNUSED;
/* One instruction that has operands: the first is at @a, the others behind it, and the result
 * replaces it. */
size_t program_operands(const struct instruction *i);
enum errcode program_apply(const struct program *program, const struct instruction *i,
                           const struct evaluator *evaluator, struct value *a,
                           struct err *err) WARN_UNUSED;
/* SQL's WHERE: NULL is no match.  @program may be NULL: everything matches. */
enum errcode program_matches(const struct program *program, struct evaluator *evaluator,
                             bool *matches, struct err *err) WARN_UNUSED;
/* ---- sets and values: set.c, values.c ---- */

/* Sorts and removes doubles and NULLs. */
enum errcode value_set_build(struct value_set *set, struct value *items, size_t n,
                             struct work *work, struct err *err) WARN_UNUSED;
bool value_set_has(const struct value_set *set, const struct value *value, struct work *work);
/* A value of the type @want made of @value: the same type, INT to FLOAT, or parsed from TEXT. */
enum errcode value_coerce(const struct value *value, enum value_type want, struct arena *arena,
                          struct value *out, struct err *err) WARN_UNUSED;
/* A deep copy; false where memory ran out. */
bool value_copy(struct value *out, const struct value *value, struct arena *arena);
/* Of its text or vector. */
static inline size_t value_bytes(const struct value *value)
{
    switch (value->type) {
    case TYPE_TEXT:
    case TYPE_JSON:
        return value->text.bytes;
    case TYPE_VECTOR:
        return (size_t)value->vector.dim * sizeof(float);
    default:
        return 0;
    }
}
size_t values_bytes(const struct value *values, size_t n);

/* ---- sorting: set.c ---- */

/* Sorts @items, equal ones as they came. */
struct sorting {
    size_t n, item_bytes;
    int (*compare)(const void *a, const void *b, struct work *work);
    struct work *work;
};
enum errcode merge_sort(const struct sorting *sorting, void *items, struct err *err) WARN_UNUSED;

#endif
