/* filter: rows for which a condition holds: HAVING, and the WHERE of a view. */
#include "query/explain_int.h"
#include "query/operator_int.h"

static enum errcode next_row(struct operator_run *o, struct value **row, struct err *err)
{
    for (;;) {
        bool matches = false;
        enum errcode code = operator_next(o->input, row, err);
        if (code != ERR_OK || *row == NULL) {
            return code;
        }
        operator_at_hand(o, *row);
        code = program_matches(o->plan->filter.program, &o->portal->evaluator, &matches, err);
        if (code != ERR_OK) {
            operator_back(o->input);
        }
        if (code != ERR_OK || matches) {
            return code;
        }
    }
}

static void back(struct operator_run *o)
{
    operator_back(o->input);
}

static void explain(const struct operator_run *o, struct explain *out)
{
    explain_expr(out, "Filter", o->plan->filter.shown);
}

const struct operator_kind operator_filter = {
    .name = "filter",
    .bytes = sizeof(struct operator_run),
    .next = next_row,
    .back = back,
    .explain = explain,
};
