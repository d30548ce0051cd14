/* Lines of a plan: appended by a verb's explain, then shown as text or as JSON. */
#ifndef VECTRON_QUERY_EXPLAIN_INT_H
#define VECTRON_QUERY_EXPLAIN_INT_H

#include "base/base.h"

struct aggregate_call;
struct expr;
struct order;
struct portal;

struct explain {
    struct portal *portal;
    struct buf text; /* Lines or members. */
    bool is_json;
    bool has_member; /* JSON: of the object that is open. */
    unsigned depth;  /* Of groups and operators that are open. */
};

void explain_text(struct explain *out, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);
void explain_number(struct explain *out, const char *key, double value);
/* Of any length. */
void explain_bytes(struct explain *out, const char *key, const char *text, size_t bytes);
void explain_filter(struct explain *out); /* The keys and the filter of the access path. */
void explain_expr(struct explain *out, const char *key, const struct expr *e);
/* Lists of what the statement has. */
void explain_exprs(struct explain *out, const char *key, const struct expr *const *items, size_t n);
void explain_order(struct explain *out, const char *key, const struct order *items, size_t n);
void explain_calls(struct explain *out, const char *key, const struct aggregate_call *items,
                   size_t n);

/* What running an operator took, with its inputs. */
struct explain_measure {
    uint64_t rows, us, work;
};
/* An operator's lines, and its input's, come before its end.  @measure may be NULL. */
void explain_begin_operator(struct explain *out, const char *name,
                            const struct explain_measure *measure);
void explain_end_operator(struct explain *out);

/* What lines are made of.  A group holds the lines up to its end. */
void explain_begin_group(struct explain *out, const char *name);
void explain_end_group(struct explain *out);
void explain_begin_member(struct explain *out, const char *key);
void explain_string(struct buf *b, const char *text); /* As JSON has it. */

#endif
