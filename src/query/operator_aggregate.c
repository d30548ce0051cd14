/* aggregate: a row of each group: the keys of GROUP BY, then the aggregates.  Without keys there is
 * one group, of all rows, even of none.
 *
 * All rows of the input are read in one step, so within one view.  Groups come in the order in
 * which their first rows did. */
#include "query/explain_int.h"
#include "query/operator_int.h"

#include <string.h>

enum {
    GROUPS_FIRST = 16
};

struct aggregation {
    struct operator_run base;
    struct arena *arena;            /* Of the groups. */
    struct value_table *groups;     /* Their keys; NULL where there are none. */
    struct aggregate_state *states; /* Of each group, one a call. */
    struct value *row;              /* Of a group. */
    size_t n_groups, capacity, next;
    bool is_made;
};

static struct aggregation *aggregation_of(struct operator_run *o)
{
    return CONTAINER_OF(o, struct aggregation, base);
}

static enum errcode open_aggregation(struct operator_run *o, struct err *err)
{
    struct aggregation *a = aggregation_of(o);
    const struct grouping *g = o->plan->aggregate.grouping;
    struct portal *p = o->portal;
    a->row = arena_array(p->arena, g->n_keys + g->n_calls + 1, sizeof(*a->row));
    if (a->row != NULL) {
        a->arena = arena_new(MEM_STATEMENT, p->budget_bytes);
    }
    return a->arena != NULL ? ERR_OK : portal_no_memory(p, err);
}

static void close_aggregation(struct operator_run *o)
{
    arena_free(aggregation_of(o)->arena);
}

/* ---- groups ---- */

/* Room for the states of one group more, which begin as zeros. */
static bool add_group(struct operator_run *o)
{
    struct aggregation *a = aggregation_of(o);
    size_t n_calls = o->plan->aggregate.grouping->n_calls;
    if (a->n_groups == a->capacity) {
        size_t capacity = a->capacity == 0 ? GROUPS_FIRST : 2 * a->capacity;
        struct aggregate_state *states = arena_array(a->arena, capacity * n_calls, sizeof(*states));
        if (states == NULL) {
            return false;
        }
        if (a->n_groups > 0) {
            memcpy(states, a->states, a->n_groups * n_calls * sizeof(*states));
        }
        a->states = states;
        a->capacity = capacity;
    }
    memset(a->states + a->n_groups * n_calls, 0, n_calls * sizeof(*a->states));
    a->n_groups++;
    return true;
}

static enum errcode begin(struct operator_run *o, struct err *err)
{
    struct aggregation *a = aggregation_of(o);
    size_t n_keys = o->plan->aggregate.grouping->n_keys;
    operator_rewind(o->input);
    arena_reset(a->arena);
    a->groups = NULL;
    a->states = NULL;
    a->n_groups = a->capacity = a->next = 0;
    if (n_keys > 0) {
        a->groups = value_table_new(a->arena, &o->portal->work, n_keys);
    }
    bool is_there = n_keys > 0 ? a->groups != NULL : add_group(o);
    return is_there ? ERR_OK : portal_no_memory(o->portal, err);
}

/* The group of the row at hand. */
static enum errcode find_group(struct operator_run *o, size_t *number, struct err *err)
{
    struct aggregation *a = aggregation_of(o);
    const struct grouping *g = o->plan->aggregate.grouping;
    enum errcode code = ERR_OK;
    bool is_new;
    *number = 0;
    if (a->groups == NULL) {
        return ERR_OK;
    }
    for (size_t i = 0; i < g->n_keys && code == ERR_OK; i++) {
        code = program_run(g->programs[i], &o->portal->evaluator, &a->row[i], err);
    }
    if (code == ERR_OK) {
        code = value_table_put(a->groups, a->row, number, &is_new, err);
    }
    if (code == ERR_OK && is_new && !add_group(o)) {
        code = err_no_memory(err);
    }
    return code;
}

static enum errcode take_row(struct operator_run *o, struct value *row, struct err *err)
{
    const struct grouping *g = o->plan->aggregate.grouping;
    const struct aggregate_room room = {aggregation_of(o)->arena, &o->portal->work};
    size_t number;
    enum errcode code = operator_fetch(o->input, &o->plan->aggregate.columns, err);
    operator_at_hand(o, row);
    if (code == ERR_OK) {
        code = find_group(o, &number, err);
    }
    for (size_t i = 0; i < g->n_calls && code == ERR_OK; i++) {
        const struct aggregate_call *call = &g->calls[i];
        struct aggregate_state *state = &aggregation_of(o)->states[number * g->n_calls + i];
        struct value value;
        code = call->argument != NULL
                   ? program_run(call->argument, &o->portal->evaluator, &value, err)
                   : ERR_OK;
        if (code == ERR_OK) {
            code = aggregate_add(call, state, &value, &room, err);
        }
    }
    return code;
}

static enum errcode take_all(struct operator_run *o, struct err *err)
{
    struct value *row = NULL;
    enum errcode code = begin(o, err);
    while (code == ERR_OK) {
        code = operator_next(o->input, &row, err);
        if (code != ERR_OK || row == NULL) {
            break;
        }
        code = take_row(o, row, err);
    }
    return code;
}

/* ---- rows ---- */

/* What an aggregate ends in is of the row alone: groups do not grow while they are given. */
static enum errcode make_row(struct operator_run *o, size_t number, struct err *err)
{
    struct aggregation *a = aggregation_of(o);
    const struct grouping *g = o->plan->aggregate.grouping;
    const struct aggregate_room room = {o->portal->row_arena, &o->portal->work};
    enum errcode code = ERR_OK;
    if (g->n_keys > 0) {
        memcpy(a->row, value_table_row(a->groups, number), g->n_keys * sizeof(*a->row));
    }
    for (size_t i = 0; i < g->n_calls && code == ERR_OK; i++) {
        code = aggregate_end(&g->calls[i], &a->states[number * g->n_calls + i], &room,
                             &a->row[g->n_keys + i], err);
    }
    return code;
}

static enum errcode next_row(struct operator_run *o, struct value **row, struct err *err)
{
    struct aggregation *a = aggregation_of(o);
    struct portal *p = o->portal;
    enum errcode code = ERR_OK;
    *row = NULL;
    if (!a->is_made) {
        code = take_all(o, err);
        a->is_made = code == ERR_OK;
    }
    if (code == ERR_OK && a->next < a->n_groups) {
        arena_reset(p->row_arena);
        if (work_spend(&p->work, ROW_WORK, err) != ERR_OK || make_row(o, a->next, err) != ERR_OK) {
            code = err->code;
        } else {
            a->next++;
            *row = a->row;
        }
    }
    return code == ERR_OUT_OF_MEMORY ? portal_no_memory(p, err) : code;
}

static void back(struct operator_run *o)
{
    aggregation_of(o)->next--;
}

static void rewind_aggregation(struct operator_run *o)
{
    aggregation_of(o)->is_made = false;
}

static void explain(const struct operator_run *o, struct explain *out)
{
    const struct grouping *g = o->plan->aggregate.grouping;
    const struct aggregation *a = CONTAINER_OF(o, struct aggregation, base);
    if (g->n_keys > 0) {
        explain_exprs(out, "Keys", g->keys, g->n_keys);
    }
    explain_calls(out, "Aggregates", g->calls, g->n_calls);
    if (o->is_measured) {
        explain_number(out, "Groups", (double)a->n_groups);
    }
}

const struct operator_kind operator_aggregate = {
    .name = "aggregate",
    .bytes = sizeof(struct aggregation),
    .open = open_aggregation,
    .next = next_row,
    .back = back,
    .rewind = rewind_aggregation,
    .close = close_aggregation,
    .explain = explain,
};
