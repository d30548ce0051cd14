/* The second door of expr: aggregates, groups, and tables of rows that are held once.
 *
 * A SELECT that groups has two rows.  Over the input row run the keys of GROUP BY and the arguments
 * of aggregates; over the grouped row, whose columns are [keys..., aggregates...], run the select
 * list, HAVING and ORDER BY.  expr_scope.grouping says that what is compiled is of the second kind;
 * what it finds of aggregates is gathered there.
 *
 *   grouping_add_key ...; scope.grouping = &grouping; program_compile ...     when it is analyzed
 *   keys -> value_table_put -> the number of the group                        for each input row
 *   argument -> aggregate_add
 *   value_table_row, aggregate_end -> the grouped row                         for each group
 */
#ifndef VECTRON_EXPR_AGGREGATE_H
#define VECTRON_EXPR_AGGREGATE_H

#include "expr/expr.h"

struct aggregate; /* A row of aggregates.def: an overload. */

/* ---- what is compiled: compile_group.c ---- */

/* One aggregate of a statement; equal calls are one. */
struct aggregate_call {
    const struct aggregate *aggregate;
    const struct program *argument; /* Over the input row; NULL: count(*). */
    bool is_distinct;
    const struct expr *shown; /* As it was written. */
    enum value_type type;     /* Of the result. */
    uint32_t dim;             /* The same, as a program's. */
};

/* What the expressions of a SELECT that makes rows of groups may name.  Zeroed at first.  The keys
 * are complete before anything is compiled with it; both arrays are in the scope's arena. */
struct grouping {
    const struct expr **keys;
    const struct program **programs; /* Theirs, over the input row. */
    size_t n_keys, keys_capacity;
    struct aggregate_call *calls; /* Found so far. */
    size_t n_calls, calls_capacity;
    bool is_in_argument; /* What is compiled is an aggregate's argument: over the input row. */
};

/* Compiles a key of GROUP BY over the input row.  One that is there already is not added again.
 * Refuses aggregates, types that have no order, and more than COLUMNS_MAX. */
enum errcode grouping_add_key(struct expr_scope *scope, struct grouping *grouping,
                              const struct expr *key, struct err *err) WARN_UNUSED;
/* Whether an aggregate is called anywhere in it. */
bool expr_has_aggregate(const struct expr *e);
/* The same expression: literals by value, names, calls; not where it stands. */
bool expr_is_same(const struct expr *a, const struct expr *b);
/* Refuses what GROUP BY and DISTINCT cannot tell apart: JSON and VECTOR.  @what begins the message:
 * "SELECT DISTINCT". */
enum errcode check_distinct_type(enum value_type type, const char *what, uint32_t position,
                                 struct err *err) WARN_UNUSED;

/* ---- tables of rows, each held once: value_table.c ---- */

/* In the order of arrival.  Equal are values of one type that value_compare says are equal, and
 * NULLs.  Lives in its arena, as its rows do. */
struct value_table;

/* @width is the values of a row; of 0 there is one row.  NULL: no memory. */
struct value_table *value_table_new(struct arena *arena, struct work *work, size_t width);
/* Finds @row, or copies it deeply.  Where it fails the table is as before. */
enum errcode value_table_put(struct value_table *table, const struct value *row, size_t *number,
                             bool *is_new, struct err *err) WARN_UNUSED;
const struct value *value_table_row(const struct value_table *table, size_t number);
size_t value_table_count(const struct value_table *table);

/* ---- what is run: aggregate.c ---- */

/* One aggregate of one group: zeroed at first.  What it points at is in the room's arena. */
struct aggregate_state {
    uint64_t n; /* Values taken: NULLs are not, and with DISTINCT each one once. */
    union {
        struct {
            uint64_t low; /* A number of 128 bits, in two's complement. */
            int64_t high;
        } whole;
        struct {
            double sum, rest; /* Neumaier's: what the sum has lost. */
            double special;   /* Sum of what is not finite. */
            bool is_special;
        } real;
        struct value extreme;
        struct {
            double *sums;
            uint32_t dim;
        } vector;
    };
    char *text; /* Where that of extreme is, if it is one. */
    uint32_t text_capacity;
    struct value_table *distinct; /* Made when it is needed. */
};

struct aggregate_room {
    struct arena *arena; /* Lives as long as the groups. */
    struct work *work;
};

/* @value is the argument's; of count(*) it is not looked at, and may be NULL.  Who knows how many
 * rows there are may set the n of a count(*) instead. */
enum errcode aggregate_add(const struct aggregate_call *call, struct aggregate_state *state,
                           const struct value *value, const struct aggregate_room *room,
                           struct err *err) WARN_UNUSED;
/* May be called more than once.  A text is borrowed from the state; a vector is in the room's
 * arena. */
enum errcode aggregate_end(const struct aggregate_call *call, const struct aggregate_state *state,
                           const struct aggregate_room *room, struct value *out,
                           struct err *err) WARN_UNUSED;

#endif
