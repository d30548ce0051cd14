/* Operators: what a plan is made of, and how a statement's rows are made.
 *
 *   plan: struct operator_plan, immutable     run: struct operator_run, of one portal
 *
 *     project               next (project): the select list over the row below
 *       <- limit              next (limit)
 *            <- scan            next (scan): the next row that matches
 *
 * An operator asks its input for a row at a time.  A row is borrowed until the next one is asked
 * for, and programs are run over it once it is at hand (operator_at_hand).  Whoever fails with a
 * row that its input gave puts it back: the step may be begun again on the pool.
 *
 * Between two steps nothing is held that others wait for: a leaf's pause closes its view.  Who
 * makes all of its rows at once (sort, aggregate) asks for them anew where that was given up. */
#ifndef VECTRON_QUERY_OPERATOR_INT_H
#define VECTRON_QUERY_OPERATOR_INT_H

#include "expr/expr.h"
#include "plan/plan.h"
#include "query/portal_int.h"

struct explain;

struct operator_run {
    const struct operator_kind *kind;
    const struct operator_plan *plan;
    struct portal *portal;
    struct operator_run *input; /* NULL: a leaf. */
    bool is_measured; /* What follows is kept, for EXPLAIN ANALYZE, with that of its inputs. */
    uint64_t rows, us, work;
};

/* What one does; embedded in front of whatever else it keeps. */
struct operator_kind {
    const char *name;
    size_t bytes; /* Of its struct, which begins as zeros. */
    /* May be NULL, as all but one of next and step.  After a failure it is closed too. */
    enum errcode (*open)(struct operator_run *o, struct err *err);
    /* *row is NULL at the end. */
    enum errcode (*next)(struct operator_run *o, struct value **row, struct err *err);
    void (*back)(struct operator_run *o);   /* The row given last comes again. */
    void (*rewind)(struct operator_run *o); /* All rows come again. */
    /* Fills in further columns of the row at hand, which are left out where nobody told of them;
     * NULL: rows are whole. */
    enum errcode (*fetch)(struct operator_run *o, const struct column_mask *columns,
                          struct err *err);
    void (*pause)(struct operator_run *o); /* Of a leaf. */
    void (*close)(struct operator_run *o);
    void (*explain)(const struct operator_run *o, struct explain *out); /* Its lines. */
    /* Of a root that makes no rows, or many at once: instead of next. */
    enum step (*step)(struct operator_run *o, struct err *err);
};

#define OPERATOR(name, text) extern const struct operator_kind operator_##name;
#include "plan/operators.def"
#undef OPERATOR

/* ---- operator.c: an operator and its inputs ---- */

/* Measured, for operator_next. */
enum errcode operator_measure(struct operator_run *o, struct value **row,
                              struct err *err) WARN_UNUSED;
void operator_rewind(struct operator_run *o);

static inline WARN_UNUSED enum errcode operator_next(struct operator_run *o, struct value **row,
                                                     struct err *err)
{
    return o->is_measured ? operator_measure(o, row, err) : o->kind->next(o, row, err);
}

static inline void operator_back(struct operator_run *o)
{
    o->rows -= o->is_measured ? 1 : 0;
    o->kind->back(o);
}

static inline WARN_UNUSED enum errcode
operator_fetch(struct operator_run *o, const struct column_mask *columns, struct err *err)
{
    return o->kind->fetch != NULL ? o->kind->fetch(o, columns, err) : ERR_OK;
}

/* Programs are run over @row from now on. */
static inline void operator_at_hand(const struct operator_run *o, struct value *row)
{
    o->portal->evaluator.columns = row;
}

/* ---- operator_scan.c: what those that write ask of a scan ---- */

uint32_t scan_stamp(const struct operator_run *scan); /* Of the row at hand. */
/* Rows in the view that is open now. */
enum errcode scan_count(struct operator_run *scan, uint64_t *rows, struct err *err) WARN_UNUSED;

#endif
