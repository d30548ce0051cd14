/* values: the rows that an INSERT lists, each as wide as the collection. */
#include "query/explain_int.h"
#include "query/operator_int.h"
#include "query/verb_int.h"

enum {
    INLINE_TEXT_BYTES_MAX =
        64 << 10 /* Of a statement whose rows are built on its owner's thread. */
};

struct listed {
    struct operator_run base;
    size_t next;
};

static struct listed *listed_of(struct operator_run *o)
{
    return CONTAINER_OF(o, struct listed, base);
}

static enum errcode open_values(struct operator_run *o, struct err *err)
{
    (void)err;
    struct portal *p = o->portal;
    p->is_heavy = p->is_heavy || p->plan->text_bytes > INLINE_TEXT_BYTES_MAX;
    return ERR_OK;
}

static enum errcode next_row(struct operator_run *o, struct value **row, struct err *err)
{
    struct portal *p = o->portal;
    const struct insert_plan *plan = &p->plan->insert;
    struct listed *l = listed_of(o);
    *row = NULL;
    if (l->next == plan->n_rows) {
        return ERR_OK;
    }
    enum errcode code = work_spend(&p->work, ROW_WORK, err);
    for (uint32_t i = 0; i < p->plan->schema->n_columns; i++) {
        p->columns[i] = value_null();
    }
    arena_reset(p->row_arena);
    for (size_t i = 0; i < plan->n_columns && code == ERR_OK; i++) {
        code =
            program_run(plan->rows[l->next][i], &p->evaluator, &p->columns[plan->columns[i]], err);
    }
    l->next += code == ERR_OK ? 1 : 0;
    *row = p->columns;
    return code;
}

static void back(struct operator_run *o)
{
    listed_of(o)->next--;
}

static void rewind_values(struct operator_run *o)
{
    listed_of(o)->next = 0;
}

static void explain(const struct operator_run *o, struct explain *out)
{
    explain_number(out, "Rows", (double)o->portal->plan->insert.n_rows);
}

const struct operator_kind operator_values = {
    .name = "values",
    .bytes = sizeof(struct listed),
    .open = open_values,
    .next = next_row,
    .back = back,
    .rewind = rewind_values,
    .explain = explain,
};
