/* project: the select list, reckoned for each row of the input. */
#include "query/operator_int.h"

static enum errcode reckon(struct operator_run *o, struct value *row, struct err *err)
{
    const struct output *output = &o->portal->plan->output;
    enum errcode code = operator_fetch(o->input, &output->columns, err);
    operator_at_hand(o, row);
    return code == ERR_OK ? output_run(output, &o->portal->evaluator, o->portal->output, err)
                          : code;
}

static enum errcode next_row(struct operator_run *o, struct value **row, struct err *err)
{
    enum errcode code = operator_next(o->input, row, err);
    if (code != ERR_OK || *row == NULL) {
        return code;
    }
    code = reckon(o, *row, err);
    if (code != ERR_OK) {
        operator_back(o->input);
    }
    *row = o->portal->output;
    return code;
}

static void back(struct operator_run *o)
{
    operator_back(o->input);
}

const struct operator_kind operator_project = {
    .name = "project",
    .bytes = sizeof(struct operator_run),
    .next = next_row,
    .back = back,
};
