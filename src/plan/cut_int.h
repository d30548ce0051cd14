/* Cutting a plan: what the cuts of the statements share. */
#ifndef VECTRON_PLAN_CUT_INT_H
#define VECTRON_PLAN_CUT_INT_H

#include "plan/analyze_int.h"

/* A statement that is being cut in two: the one of the fragment, and a SELECT over its rows.
 * Nothing of the plan is touched meanwhile, so a statement that cannot be cut stays as it is. */
struct cut {
    struct analysis *a;
    struct fragment *fragment;
    struct stmt below;
    struct stmt_select above;
    uint8_t *types;                /* fragment->types, while they grow. */
    struct target *targets;        /* Columns of the fragment's rows, */
    struct result_column *columns; /* as many, to those above, */
    const struct expr **sources;   /* and what they are in the statement. */
    size_t n_columns, columns_max;
    char prefix[NAME_BYTES_MAX + 1]; /* Of names that no other column has. */
    bool stays;                      /* It cannot be cut, or memory ran out. */
};

void cut_begin(struct cut *c);
void *cut_alloc(struct cut *c, size_t n, size_t bytes); /* Zeros; NULL where memory ran out. */
/* A node, whose height is that of its operands and one; where that is too much the statement stays
 * whole.  NULL where memory ran out. */
struct expr *cut_node(struct cut *c, struct expr e);
/* What stands in the place of @e; NULL: the same, with its operands replaced. */
typedef struct expr *cut_replace(struct cut *c, const struct expr *e);
struct expr *cut_rewrite(struct cut *c, const struct expr *e, cut_replace *replace);
/* A parameter more, which the text names as the others: its number, and it in an expression. */
uint32_t cut_parameter(struct cut *c, enum value_type type);
struct expr *cut_parameter_node(struct cut *c, uint32_t number);
/* As the fragment has it: of this moment are parameters. */
struct expr *cut_lower(struct cut *c, const struct expr *e);
/* A column of the fragment's rows, which is there once; and its name in an expression. */
size_t cut_column(struct cut *c, const struct expr *e, enum value_type type, uint32_t dim);
struct expr *cut_reference(struct cut *c, size_t column);
/* What @i of the select list is; "*" is one column after another. */
const struct expr *cut_output(struct cut *c, size_t i);
/* Of the rows that a leaf is asked for: no more than LIMIT and OFFSET want. */
struct expr *cut_limit(struct cut *c, const struct expr *limit, const struct expr *offset);
/* @where of the rows of one leaf. */
struct expr *cut_where(struct cut *c, const struct expr *where);
/* Room for @n keys that the fragment's rows are in the order of; false where memory ran out. */
bool cut_order(struct cut *c, size_t n, struct order **below, struct order **shown);

/* The fragment's text, of @below.  False where memory ran out. */
bool cut_print(struct cut *c);

/* cut_select.c: fills in below and above. */
void cut_select(struct cut *c, const struct stmt_select *s);

#endif
