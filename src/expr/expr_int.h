/* What the files of expr share. */
#ifndef VECTRON_EXPR_INT_H
#define VECTRON_EXPR_INT_H

#include "expr/expr.h"

/* ---- names: names.c ---- */

/* Names, before anything is said of types: one that is not known is the first thing to mend. */
enum errcode check_names(const struct expr_scope *scope, const struct expr *e,
                         struct err *err) WARN_UNUSED;
enum pseudo pseudo_find(const struct expr_scope *scope, const char *name); /* COUNT: none. */
bool is_aggregate(const struct expr *e);                                   /* A call of one. */
/* That no function of that name takes what @e gives it; that no aggregate does. */
enum errcode function_mismatch(const struct expr *e, const enum value_type *types, size_t n,
                               struct err *err);
enum errcode aggregate_mismatch(const struct expr *e, enum value_type type, struct err *err);

/* ---- running: run.c ---- */

/* Runs code[from..to) of a program that is being built; for constant folding. */
enum errcode program_run_part(const struct program *program, uint32_t from, uint32_t to,
                              struct evaluator *evaluator, struct value *out,
                              struct err *err) WARN_UNUSED;

enum errcode value_cast(const struct instruction *i, const struct evaluator *evaluator,
                        struct value *v, struct err *err) WARN_UNUSED; /* cast.c */

/* ---- values: values.c ---- */

/* JSON as a number, as a truth value; NULL where it is something else.  Other values stay. */
struct value json_number(const struct value *v);
struct value json_bool(const struct value *v);

/* What comparing two values costs beyond the instruction. */
static inline void charge_compare(struct work *work, const struct value *a, const struct value *b)
{
    size_t a_bytes = value_bytes(a), b_bytes = value_bytes(b);
    work_charge(work, (a_bytes < b_bytes ? a_bytes : b_bytes) / BYTES_A_UNIT);
}

/* ---- LIKE: like.c ---- */

/* A pattern taken apart, in @arena.  Errors: BAD_LIKE_PATTERN, OUT_OF_MEMORY. */
enum errcode like_compile(const char *pattern, size_t bytes, struct arena *arena,
                          const struct like **out, struct err *err) WARN_UNUSED;
enum errcode like_matches(const struct like *like, const struct value *text, struct work *work,
                          bool *matches, struct err *err) WARN_UNUSED;

#endif
