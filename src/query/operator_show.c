/* show: the rows of a view, as SHOW gives them, all made at once when the first is asked for. */
#include "query/explain_int.h"
#include "query/operator_int.h"
#include "query/verb_int.h"

struct show {
    struct operator_run base;
    struct arena *arena; /* Of the rows. */
    struct batch rows;
    bool is_filled;
};

static struct show *show_of(struct operator_run *o)
{
    return CONTAINER_OF(o, struct show, base);
}

static enum errcode open_show(struct operator_run *o, struct err *err)
{
    struct portal *p = o->portal;
    /* A step on the pool must not look at what the owner may change. */
    const struct policy_set *set = arena_copy(p->arena, p->set, sizeof(*p->set));
    if (set == NULL) {
        return portal_no_memory(p, err);
    }
    p->set = set;
    show_of(o)->arena = arena_new(MEM_STATEMENT, p->budget_bytes);
    return show_of(o)->arena != NULL ? ERR_OK : portal_no_memory(p, err);
}

static void close_show(struct operator_run *o)
{
    arena_free(show_of(o)->arena);
}

/* A view's rows go to the portal's batch, which for that time is this one. */
static enum errcode fill(struct operator_run *o, struct err *err)
{
    struct show *show = show_of(o);
    struct portal *p = o->portal;
    struct batch batch = p->batch;
    struct arena *batch_arena = p->batch_arena;
    arena_reset(show->arena);
    p->batch = (struct batch){.n_columns = o->plan->show.n_columns};
    p->batch_arena = show->arena;
    const struct verb *verb = o->plan->show.of == STMT_SHOW ? &verb_show : &verb_describe;
    enum step step = verb->step(p, err);
    show->rows = p->batch;
    p->batch = batch;
    p->batch_arena = batch_arena;
    CHECK(step == STEP_DONE || step == STEP_FAILED);
    show->is_filled = step == STEP_DONE;
    return show->is_filled ? ERR_OK : err->code;
}

static enum errcode next_row(struct operator_run *o, struct value **row, struct err *err)
{
    struct show *show = show_of(o);
    struct batch *rows = &show->rows;
    *row = NULL;
    enum errcode code = show->is_filled ? ERR_OK : fill(o, err);
    if (code == ERR_OK) {
        arena_reset(o->portal->row_arena);
        code = work_spend(&o->portal->work, ROW_WORK, err);
    }
    if (code == ERR_OK && rows->next_row < rows->n_rows) {
        *row = rows->values + rows->next_row++ * rows->n_columns;
    }
    return code;
}

static void back(struct operator_run *o)
{
    show_of(o)->rows.next_row--;
}

static void rewind_show(struct operator_run *o)
{
    show_of(o)->is_filled = false;
}

static void explain(const struct operator_run *o, struct explain *out)
{
    explain_text(out, "View", "%s", o->plan->show.name);
}

const struct operator_kind operator_show = {
    .name = "show",
    .bytes = sizeof(struct show),
    .open = open_show,
    .next = next_row,
    .back = back,
    .rewind = rewind_show,
    .close = close_show,
    .explain = explain,
};
