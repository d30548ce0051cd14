/* distinct: each row once, the first time that it comes.  Its input is projected. */
#include "query/operator_int.h"

#include <string.h>

struct distinct {
    struct operator_run base;
    struct arena *arena;
    struct value_table *seen;
    bool is_again; /* The row given last comes again. */
};

static struct distinct *distinct_of(struct operator_run *o)
{
    return CONTAINER_OF(o, struct distinct, base);
}

static enum errcode forget(struct operator_run *o, struct err *err)
{
    struct distinct *d = distinct_of(o);
    arena_reset(d->arena);
    d->seen = value_table_new(d->arena, &o->portal->work, o->portal->plan->output.n);
    return d->seen != NULL ? ERR_OK : portal_no_memory(o->portal, err);
}

static enum errcode open_distinct(struct operator_run *o, struct err *err)
{
    struct distinct *d = distinct_of(o);
    d->arena = arena_new(MEM_STATEMENT, o->portal->budget_bytes);
    return d->arena != NULL ? ERR_OK : portal_no_memory(o->portal, err);
}

static void close_distinct(struct operator_run *o)
{
    arena_free(distinct_of(o)->arena);
}

/* The row given last, of which the table has a copy: what the input would give now may be another.
 */
static struct value *last_row(struct operator_run *o)
{
    const struct distinct *d = distinct_of(o);
    struct value *row = o->portal->output;
    memcpy(row, value_table_row(d->seen, value_table_count(d->seen) - 1),
           o->portal->plan->output.n * sizeof(*row));
    return row;
}

static enum errcode next_row(struct operator_run *o, struct value **row, struct err *err)
{
    struct distinct *d = distinct_of(o);
    struct portal *p = o->portal;
    bool is_new = false;
    if (d->is_again) {
        *row = last_row(o);
        d->is_again = false;
        return ERR_OK;
    }
    enum errcode code = d->seen == NULL ? forget(o, err) : ERR_OK;
    while (code == ERR_OK && !is_new) {
        size_t number;
        code = operator_next(o->input, row, err);
        if (code != ERR_OK || *row == NULL) {
            return code;
        }
        code = value_table_put(d->seen, *row, &number, &is_new, err);
        if (code != ERR_OK) {
            operator_back(o->input);
        }
    }
    return code == ERR_OUT_OF_MEMORY ? portal_no_memory(p, err) : code;
}

static void back(struct operator_run *o)
{
    distinct_of(o)->is_again = true;
}

static void rewind_distinct(struct operator_run *o)
{
    distinct_of(o)->seen = NULL;
    distinct_of(o)->is_again = false;
}

const struct operator_kind operator_distinct = {
    .name = "distinct",
    .bytes = sizeof(struct distinct),
    .open = open_distinct,
    .next = next_row,
    .back = back,
    .rewind = rewind_distinct,
    .close = close_distinct,
};
