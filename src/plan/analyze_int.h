/* Analysis: what the verbs' analyses share, from names to columns, from expressions to programs. */
#ifndef VECTRON_PLAN_ANALYZE_INT_H
#define VECTRON_PLAN_ANALYZE_INT_H

#include "expr/expr.h"
#include "plan/plan.h"

struct analysis {
    const struct plan_source *source;
    struct plan *plan;
    struct expr_scope scope;
    struct work work; /* Of parsing too. */
};

/* Helpers of the verbs' analyses; each error has its position. */
enum errcode analyze_collection(struct analysis *a, const struct name *name,
                                struct err *err) WARN_UNUSED;
/* Whether a graph is built with it. */
bool builds_graph(enum policy_id id);
/* Refuses what a graph is built with where @schema has none. */
enum errcode analyze_building(const struct schema *schema, const struct option *option,
                              struct err *err);
enum errcode analyze_column(struct analysis *a, const struct name *name, uint32_t *column,
                            struct err *err) WARN_UNUSED;
/* A list of columns without doubles; n = 0: all. */
enum errcode analyze_columns(struct analysis *a, const struct name *names, size_t n,
                             uint32_t **columns, size_t *n_columns, struct err *err) WARN_UNUSED;
enum errcode analyze_where(struct analysis *a, const struct expr *where,
                           struct err *err) WARN_UNUSED;
/* The select list; "*" depends on how many query vectors a SEARCH has. */
enum errcode analyze_targets(struct analysis *a, const struct target *targets, size_t n,
                             size_t n_queries, struct err *err) WARN_UNUSED;
/* Of the column that it becomes; not of "*". */
const char *target_name(const struct target *target);
/* How many columns of the result "*" is; 0 where there is no FROM. */
size_t star_width(const struct analysis *a, size_t n_queries);
/* An expression that may name no column. */
enum errcode analyze_constant(struct analysis *a, const struct expr *e, enum value_type want,
                              const struct program **out, struct err *err) WARN_UNUSED;
enum errcode analyze_limit(struct analysis *a, const struct expr *limit, const struct expr *offset,
                           struct err *err) WARN_UNUSED;
/* Policies of WITH (...); @skip says which options are not policies (may be NULL). */
enum errcode analyze_with(struct analysis *a, const struct options *options,
                          bool (*skip)(const char *name), struct err *err) WARN_UNUSED;
/* Columns of a result that is no select list. */
enum errcode analyze_result(struct analysis *a, const struct result_column *columns, size_t n,
                            struct err *err) WARN_UNUSED;
/* A plan of @kind over what was the root. */
enum errcode operator_add(struct analysis *a, enum operator kind, struct operator_plan **out,
                          struct err *err) WARN_UNUSED;

/* What columns of a result, whose rows come from @name, are to the expressions over them. */
enum errcode analyze_over_rows(struct analysis *a, const char *name,
                               const struct result_column *columns, size_t n,
                               struct err *err) WARN_UNUSED;
/* A SELECT's list, and all that follows FROM but WITH, over the rows of the plan's root. */
enum errcode analyze_above_from(struct analysis *a, const struct stmt_select *s,
                                struct err *err) WARN_UNUSED;
/* Makes an analyzed plan one that asks leaves elsewhere, where it can be cut: fragment.c. */
enum errcode analyze_cut(struct analysis *a, struct err *err) WARN_UNUSED;

/* One of each statement. */
enum errcode analyze_create(struct analysis *a, const struct stmt *stmt, struct err *err);
enum errcode analyze_drop(struct analysis *a, const struct stmt *stmt, struct err *err);
enum errcode analyze_insert(struct analysis *a, const struct stmt *stmt, struct err *err);
enum errcode analyze_modify(struct analysis *a, const struct stmt *stmt, struct err *err);
enum errcode analyze_select(struct analysis *a, const struct stmt *stmt, struct err *err);
enum errcode analyze_search(struct analysis *a, const struct stmt *stmt, struct err *err);
enum errcode analyze_copy_in(struct analysis *a, const struct stmt *stmt, struct err *err);
enum errcode analyze_copy_out(struct analysis *a, const struct stmt *stmt, struct err *err);
enum errcode analyze_set(struct analysis *a, const struct stmt *stmt, struct err *err);
enum errcode analyze_reset(struct analysis *a, const struct stmt *stmt, struct err *err);
enum errcode analyze_show(struct analysis *a, const struct stmt *stmt, struct err *err);
enum errcode analyze_describe(struct analysis *a, const struct stmt *stmt, struct err *err);
enum errcode analyze_reindex(struct analysis *a, const struct stmt *stmt, struct err *err);

#endif
