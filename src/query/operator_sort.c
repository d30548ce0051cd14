/* sort: rows in the order of ORDER BY, all of them or as many as LIMIT and OFFSET want.
 *
 * All rows of the input are read in one step, so within one view.  The select list is reckoned for
 * those rows alone whose keys are among the first: project is part of it, but where rows come
 * projected. */
#include "query/explain_int.h"
#include "query/operator_int.h"
#include "query/sort_int.h"

struct sort {
    struct operator_run base;
    struct sorter *sorter;
    struct value *keys; /* Of one row. */
    uint64_t wanted;    /* LIMIT plus OFFSET. */
    size_t next;
    bool is_sorted;
};

static struct sort *sort_of(struct operator_run *o)
{
    return CONTAINER_OF(o, struct sort, base);
}

static enum errcode open_sort(struct operator_run *o, struct err *err)
{
    struct sort *s = sort_of(o);
    struct portal *p = o->portal;
    const struct sort_plan *plan = &o->plan->sort;
    s->wanted = portal_rows_wanted(p);
    s->keys = arena_array(p->arena, plan->n_keys, sizeof(*s->keys));
    if (s->keys != NULL) {
        s->sorter = sorter_new(plan->keys, plan->n_keys, p->plan->output.n, s->wanted, p);
    }
    return s->sorter != NULL ? ERR_OK : portal_no_memory(p, err);
}

static void close_sort(struct operator_run *o)
{
    sorter_free(sort_of(o)->sorter);
}

static enum errcode take_keys(struct operator_run *o, struct value *row, struct err *err)
{
    const struct sort_plan *plan = &o->plan->sort;
    enum errcode code = operator_fetch(o->input, &plan->columns, err);
    operator_at_hand(o, row);
    for (size_t i = 0; i < plan->n_keys && code == ERR_OK; i++) {
        struct value *key = &sort_of(o)->keys[i];
        if (plan->is_projected) {
            *key = row[plan->keys[i].place];
        } else {
            code = program_run(plan->keys[i].program, &o->portal->evaluator, key, err);
        }
    }
    return code;
}

static enum errcode take_row(struct operator_run *o, struct value *row, struct err *err)
{
    struct sort *s = sort_of(o);
    struct portal *p = o->portal;
    const struct output *output = &p->plan->output;
    enum errcode code = take_keys(o, row, err);
    if (code != ERR_OK || !sorter_wants(s->sorter, s->keys)) {
        return code;
    }
    if (!o->plan->sort.is_projected) {
        code = operator_fetch(o->input, &output->columns, err);
        if (code == ERR_OK) {
            code = output_run(output, &p->evaluator, p->output, err);
        }
        row = p->output;
    }
    return code == ERR_OK ? sorter_add(s->sorter, s->keys, row, err) : code;
}

static enum errcode take_all(struct operator_run *o, struct err *err)
{
    struct sort *s = sort_of(o);
    struct value *row = NULL;
    enum errcode code = ERR_OK;
    operator_rewind(o->input);
    sorter_reset(s->sorter);
    do {
        code = operator_next(o->input, &row, err);
        if (code == ERR_OK && row != NULL) {
            code = take_row(o, row, err);
        }
    } while (code == ERR_OK && row != NULL);
    return code == ERR_OK ? sorter_finish(s->sorter, err) : code;
}

static enum errcode next_row(struct operator_run *o, struct value **row, struct err *err)
{
    struct sort *s = sort_of(o);
    enum errcode code = s->is_sorted ? ERR_OK : take_all(o, err);
    if (code != ERR_OK) {
        return code;
    }
    s->is_sorted = true;
    bool is_end = s->next == sorter_rows(s->sorter);
    *row = is_end ? NULL : sorter_row(s->sorter, s->next++);
    return ERR_OK;
}

static void back(struct operator_run *o)
{
    sort_of(o)->next--;
}

static void rewind_sort(struct operator_run *o)
{
    sort_of(o)->next = 0;
    sort_of(o)->is_sorted = false;
}

static void explain(const struct operator_run *o, struct explain *out)
{
    const struct sort *s = CONTAINER_OF(o, struct sort, base);
    explain_order(out, "Keys", o->plan->sort.shown, o->plan->sort.n_keys);
    if (s->wanted != UINT64_MAX) {
        explain_number(out, "First rows kept", (double)s->wanted);
    }
}

const struct operator_kind operator_sort = {
    .name = "sort",
    .bytes = sizeof(struct sort),
    .open = open_sort,
    .next = next_row,
    .back = back,
    .rewind = rewind_sort,
    .close = close_sort,
    .explain = explain,
};
