/* SELECT, cut in two: the statement below, and the one over its rows. */
#include "plan/cut_int.h"

#include <string.h>

/* ---- rows as they come ---- */

static const struct sort_plan *sort_of(const struct plan *plan)
{
    for (const struct operator_plan *o = plan->root; o != NULL; o = o->input) {
        if (o->kind == OPERATOR_sort) {
            return &o->sort;
        }
    }
    return NULL;
}

/* Columns that ORDER BY has beside the list are hidden behind it. */
static void order_rows(struct cut *c, const struct sort_plan *sort, const size_t *places)
{
    struct order *below, *shown;
    if (!cut_order(c, sort->n_keys, &below, &shown)) {
        return;
    }
    for (size_t i = 0; i < sort->n_keys && !c->stays; i++) {
        const struct sort_key *key = &sort->keys[i];
        const struct expr *e = sort->shown[i].expr;
        size_t place = key->place < c->a->plan->output.n
                           ? places[key->place]
                           : cut_column(c, e, key->program->type, key->program->dim);
        shown[i] = below[i] = sort->shown[i];
        below[i].expr = cut_reference(c, place);
        c->fragment->keys[i] = (struct sort_key){
            .place = place, .is_descending = key->is_descending, .nulls_first = key->nulls_first};
    }
    c->below.select.order_by = below;
}

static void cut_rows(struct cut *c, const struct stmt_select *s)
{
    const struct output *output = &c->a->plan->output;
    const struct sort_plan *sort = sort_of(c->a->plan);
    struct stmt_select *below = &c->below.select;
    size_t *places = cut_alloc(c, output->n, sizeof(*places));
    for (size_t i = 0; i < output->n && !c->stays; i++) {
        const struct program *program = output->programs[i];
        places[i] = cut_column(c, cut_output(c, i), program->type, program->dim);
        c->above.targets[i] = (struct target){.expr = cut_reference(c, places[i])};
    }
    if (sort != NULL && !c->stays) {
        order_rows(c, sort, places);
    }
    below->limit = cut_limit(c, s->limit, s->offset);
}

/* ---- groups ---- */

/* Whether the whole is made of the parts: of what each leaf has, as a plain value. */
static bool is_of_parts(const struct aggregate_call *call)
{
    const char *name = call->shown->name;
    if (strcmp(name, "min") == 0 || strcmp(name, "max") == 0) {
        return true;
    }
    return !call->is_distinct && (strcmp(name, "count") == 0 ||
                                  (call->argument != NULL && call->argument->type != TYPE_VECTOR));
}

/* Whether a value is taken once, however often it comes. */
static bool is_of_values(const struct aggregate_call *call)
{
    const char *name = call->shown->name;
    return call->is_distinct || strcmp(name, "min") == 0 || strcmp(name, "max") == 0;
}

static bool all_calls(const struct grouping *g, bool (*is)(const struct aggregate_call *call))
{
    bool all = true;
    for (size_t i = 0; i < g->n_calls; i++) {
        all = all && is(&g->calls[i]);
    }
    return all;
}

static struct expr *call_of(struct cut *c, const char *name, struct expr *argument)
{
    struct expr **items = cut_alloc(c, 1, sizeof(struct expr *));
    if (items == NULL || argument == NULL) {
        return NULL;
    }
    items[0] = argument;
    return cut_node(c,
                    (struct expr){.kind = EXPR_CALL, .name = name, .items = items, .n_items = 1});
}

/* The sum of a column of the fragment's that is made of @part. */
static struct expr *sum_of(struct cut *c, const struct expr *part, enum value_type type)
{
    size_t column = cut_column(c, part, type, 0);
    return c->stays ? NULL : call_of(c, "sum", cut_reference(c, column));
}

/* Sums, as FLOAT, which holds those that no INT does; by how many there are, or by NULL. */
static struct expr *mean_of(struct cut *c, const struct aggregate_call *call)
{
    struct expr *as_float = cut_node(
        c, (struct expr){.kind = EXPR_CAST, .left = call->shown->items[0], .type = TYPE_FLOAT});
    struct expr *argument = call->argument->type == TYPE_INT ? as_float : call->shown->items[0];
    struct expr *sum = sum_of(c, call_of(c, "sum", argument), TYPE_FLOAT);
    struct expr *n = sum_of(c, call_of(c, "count", call->shown->items[0]), TYPE_INT);
    struct expr **items = cut_alloc(c, 2, sizeof(struct expr *));
    if (c->stays) {
        return NULL;
    }
    items[0] = n;
    items[1] = cut_node(c, (struct expr){.kind = EXPR_LITERAL, .value = value_int(0)});
    struct expr *least = cut_node(
        c, (struct expr){.kind = EXPR_CALL, .name = "nullif", .items = items, .n_items = 2});
    return c->stays
               ? NULL
               : cut_node(c,
                          (struct expr){
                              .kind = EXPR_BINARY, .op = OP_DIVIDE, .left = sum, .right = least});
}

/* The aggregate over what the leaves give. */
static struct expr *whole_of(struct cut *c, const struct aggregate_call *call)
{
    const struct expr *e = call->shown;
    if (strcmp(e->name, "avg") == 0) {
        return mean_of(c, call);
    }
    if (strcmp(e->name, "count") == 0 || strcmp(e->name, "sum") == 0) {
        return sum_of(c, e, call->type);
    }
    size_t column = cut_column(c, e, call->type, call->dim);
    return c->stays ? NULL : call_of(c, e->name, cut_reference(c, column));
}

/* The same aggregate, over the rows that the leaves give. */
static struct expr *same_of(struct cut *c, const struct aggregate_call *call)
{
    struct expr copy = *call->shown;
    if (call->argument == NULL) {
        return cut_node(c, copy);
    }
    size_t column = cut_column(c, copy.items[0], call->argument->type, call->argument->dim);
    copy.items = cut_alloc(c, 1, sizeof(struct expr *));
    if (c->stays) {
        return NULL;
    }
    copy.items[0] = cut_reference(c, column);
    return cut_node(c, copy);
}

static struct expr *replace_group(struct cut *c, const struct expr *e)
{
    const struct grouping *g = c->a->scope.grouping;
    for (size_t i = 0; i < g->n_keys; i++) {
        if (expr_is_same(g->keys[i], e)) {
            return cut_reference(c, cut_column(c, g->keys[i], TYPE_NULL, 0));
        }
    }
    for (size_t i = 0; i < g->n_calls; i++) {
        if (expr_is_same(g->calls[i].shown, e)) {
            return all_calls(g, is_of_parts) ? whole_of(c, &g->calls[i]) : same_of(c, &g->calls[i]);
        }
    }
    return NULL;
}

static struct expr *over_groups(struct cut *c, const struct expr *e)
{
    return cut_rewrite(c, e, replace_group);
}

/* Names and places of the result are the same above. */
static void order_groups(struct cut *c, const struct stmt_select *s)
{
    const struct sort_plan *sort = sort_of(c->a->plan);
    c->above.order_by = cut_alloc(c, s->n_order_by, sizeof(*c->above.order_by));
    c->above.n_order_by = s->n_order_by;
    for (size_t i = 0; i < s->n_order_by && !c->stays; i++) {
        struct order *order = &c->above.order_by[i];
        bool is_of_result =
            sort->keys[i].place < c->a->plan->output.n &&
            (s->order_by[i].expr->kind == EXPR_COLUMN || s->order_by[i].expr->kind == EXPR_LITERAL);
        *order = s->order_by[i];
        order->expr = is_of_result ? order->expr : over_groups(c, order->expr);
    }
}

/* Keys come first, so that each is there with its type. */
static void cut_keys(struct cut *c)
{
    const struct grouping *g = c->a->scope.grouping;
    struct stmt_select *below = &c->below.select;
    struct expr **keys = cut_alloc(c, g->n_keys, sizeof(struct expr *));
    for (size_t i = 0; i < g->n_keys && !c->stays; i++) {
        size_t column = cut_column(c, g->keys[i], g->programs[i]->type, g->programs[i]->dim);
        keys[i] = cut_reference(c, column);
    }
    c->above.group_by = keys;
    c->above.n_group_by = g->n_keys;
    below->group_by = keys;
    below->n_group_by = all_calls(g, is_of_parts) ? g->n_keys : 0;
    below->is_distinct =
        below->n_group_by == 0 && !all_calls(g, is_of_parts) && all_calls(g, is_of_values);
}

static void cut_groups(struct cut *c, const struct stmt_select *s)
{
    const struct output *output = &c->a->plan->output;
    struct stmt_select *below = &c->below.select;
    cut_keys(c);
    for (size_t i = 0; i < output->n && !c->stays; i++) {
        c->above.targets[i] = (struct target){.expr = over_groups(c, cut_output(c, i)),
                                              .alias = c->a->plan->columns[i].name};
    }
    c->above.having = over_groups(c, s->having);
    order_groups(c, s);
    c->fragment->is_whole = true;
    below->having = NULL;
    below->limit = NULL;
    below->order_by = NULL;
    below->n_order_by = 0;
}

/* ---- both ---- */

void cut_select(struct cut *c, const struct stmt_select *s)
{
    struct stmt_select *below = &c->below.select;
    size_t n = c->a->plan->output.n;
    c->above = (struct stmt_select){.is_distinct = s->is_distinct,
                                    .targets = cut_alloc(c, n, sizeof(*c->above.targets)),
                                    .n_targets = n,
                                    .limit = s->limit,
                                    .offset = s->offset};
    if (c->stays) {
        return;
    }
    if (c->a->scope.grouping != NULL) {
        cut_groups(c, s);
    } else {
        cut_rows(c, s);
    }
    c->stays = c->stays || c->n_columns == 0; /* HAVING alone. */
    below->where = cut_where(c, s->where);
    below->offset = NULL;
    below->targets = c->targets;
    below->n_targets = c->n_columns;
}
