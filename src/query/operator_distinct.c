/* distinct: each row once, the first time that it comes.  Its input is projected. */
#include "query/operator_int.h"

struct distinct {
    struct operator_run base;
    struct arena *arena;
    struct value_table *seen;
    bool is_again; /* The row given last comes again, though it has been seen. */
};

static struct distinct *distinct_of(struct operator_run *o)
{
    return CONTAINER_OF(o, struct distinct, base);
}

static enum errcode forget(struct operator_run *o, struct err *err)
{
    struct distinct *d = distinct_of(o);
    arena_reset(d->arena);
    d->is_again = false;
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

static enum errcode next_row(struct operator_run *o, struct value **row, struct err *err)
{
    struct distinct *d = distinct_of(o);
    struct portal *p = o->portal;
    enum errcode code = d->seen == NULL ? forget(o, err) : ERR_OK;
    bool is_new = false;
    while (code == ERR_OK && !is_new) {
        size_t number;
        code = operator_next(o->input, row, err);
        if (code != ERR_OK || *row == NULL) {
            return code;
        }
        code = value_table_put(d->seen, *row, &number, &is_new, err);
        if (code != ERR_OK) {
            operator_back(o->input);
            break;
        }
        is_new = is_new || d->is_again;
        d->is_again = false;
    }
    return code == ERR_OUT_OF_MEMORY ? portal_no_memory(p, err) : code;
}

static void back(struct operator_run *o)
{
    distinct_of(o)->is_again = true;
    operator_back(o->input);
}

static void rewind_distinct(struct operator_run *o)
{
    distinct_of(o)->seen = NULL;
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
