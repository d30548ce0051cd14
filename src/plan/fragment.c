/* A plan that is cut in two.
 *
 *   above: [project <- limit <- ...] <- gather      a SELECT over the rows of the fragment
 *   below: a statement, printed as canonical VQL    parsed, planned and run where its rows are
 *
 *   SELECT    the list, and behind it what ORDER BY has beside: gather merges; LIMIT below, too
 *   DISTINCT  below, and again above
 *   GROUP BY  groups of each leaf, whose aggregates are put together above; or, where one cannot be
 *             (count(DISTINCT x)), the rows that groups are made of
 *   SEARCH    the list, and the query's number, the distance and the key: gather merges by those;
 *             the vectors of NEAR KEY, whose rows any leaf may have, are asked for first
 *   UPDATE    and DELETE: the whole statement; how many rows it changed is added up
 *
 * What cannot be cut stays one plan that runs here: a statement without a collection, INSERT and
 * COPY; SEARCH where a column is named as a pseudo-column; more columns than a row of the fragment
 * can have; a text that is too long or too deep to be parsed. */
#include "plan/cut_int.h"

/* ---- SEARCH ---- */

/* The names of the pseudo-columns may be those of columns. */
static bool names_are_free(const struct schema *schema)
{
    return schema_column(schema, "distance") < 0 && schema_column(schema, "query") < 0;
}

/* By the query's number, the distance and the key, as they come from a search. */
static void order_search(struct cut *c, const struct stmt_search *s)
{
    const struct column *key = &c->a->plan->schema->columns[0];
    const struct {
        const char *name;
        enum value_type type;
    } names[] = {{"query", TYPE_INT}, {"distance", TYPE_FLOAT}, {key->name, key->type}};
    size_t first = s->n_queries > 1 ? 0 : 1, n = COUNT_OF(names) - first;
    struct order *unused, *shown;
    if (!cut_order(c, n, &unused, &shown)) {
        return;
    }
    for (size_t i = 0; i < n && !c->stays; i++) {
        shown[i].expr =
            cut_node(c, (struct expr){.kind = EXPR_COLUMN, .name = names[first + i].name});
        c->fragment->keys[i].place = cut_column(c, shown[i].expr, names[first + i].type, 0);
    }
}

/* SELECT key, vector FROM collection WHERE key IN ($1, ...) */
static void ask_for_keys(struct cut *c, size_t n)
{
    const struct plan *plan = c->a->plan;
    const struct column *columns = plan->schema->columns;
    struct cut keys = {.a = c->a, .below = {.kind = STMT_SELECT}};
    struct stmt_select *below = &keys.below.select;
    struct expr **items = cut_alloc(c, n, sizeof(struct expr *));
    cut_begin(&keys);
    if (keys.stays || items == NULL) {
        c->stays = true;
        return;
    }
    struct expr *key = cut_node(c, (struct expr){.kind = EXPR_COLUMN, .name = columns[0].name});
    const char *vector = columns[plan->search.column].name;
    keys.fragment->n_types = 0;
    keys.fragment->is_whole = true;
    for (size_t i = 0; i < n; i++) {
        items[i] = cut_parameter_node(&keys, cut_parameter(&keys, columns[0].type));
    }
    (void)cut_column(&keys, key, columns[0].type, 0);
    (void)cut_column(&keys, cut_node(c, (struct expr){.kind = EXPR_COLUMN, .name = vector}),
                     TYPE_VECTOR, columns[plan->search.column].dim);
    below->collection = plan->stmt->search.collection;
    below->targets = keys.targets;
    below->n_targets = keys.fragment->n_columns = keys.n_columns;
    below->where = cut_where(
        &keys,
        cut_node(c, (struct expr){.kind = EXPR_IN, .left = key, .items = items, .n_items = n}));
    c->stays = c->stays || keys.stays || !cut_print(&keys) || keys.stays; /* Too long. */
    c->fragment->of_keys = keys.fragment;
}

/* What each query is to a leaf: a vector, which of KEY is a parameter. */
static void cut_queries(struct cut *c, const struct stmt_search *s)
{
    struct near *queries = cut_alloc(c, s->n_queries, sizeof(*queries));
    uint32_t n_keys = 0;
    for (size_t i = 0; i < s->n_queries; i++) {
        uint32_t number = s->queries[i].kind == NEAR_KEY ? cut_parameter(c, TYPE_VECTOR) : 0;
        n_keys += number != 0 ? 1 : 0;
        c->fragment->vectors = n_keys == 1 && number != 0 ? number : c->fragment->vectors;
    }
    for (size_t i = 0, key = 0; i < s->n_queries && !c->stays; i++) {
        bool is_key = s->queries[i].kind == NEAR_KEY;
        queries[i].kind = NEAR_VECTOR;
        queries[i].expr = is_key ? cut_parameter_node(c, c->fragment->vectors + (uint32_t)key)
                                 : cut_lower(c, s->queries[i].expr);
        key += is_key ? 1 : 0;
    }
    c->below.search.queries = queries;
    if (n_keys > 0 && !c->stays) {
        ask_for_keys(c, n_keys);
    }
}

static void cut_search(struct cut *c, const struct stmt_search *s)
{
    struct stmt_search *below = &c->below.search;
    const struct output *output = &c->a->plan->output;
    c->above.n_targets = output->n;
    c->above.targets = cut_alloc(c, output->n, sizeof(*c->above.targets));
    cut_queries(c, s);
    for (size_t i = 0; i < output->n && !c->stays; i++) {
        const struct program *program = output->programs[i];
        size_t column = cut_column(c, cut_output(c, i), program->type, program->dim);
        c->above.targets[i] = (struct target){.expr = cut_reference(c, column)};
    }
    order_search(c, s);
    below->where = cut_where(c, s->where);
    below->limit = cut_limit(c, s->limit, s->offset);
    below->offset = NULL;
    below->targets = c->targets;
    below->n_targets = c->n_columns;
    c->above.limit = s->limit;
    c->above.offset = s->offset;
}

/* ---- UPDATE, DELETE ---- */

static void cut_update(struct cut *c, const struct stmt_update *s)
{
    struct stmt_update *below = &c->below.update;
    below->set = cut_alloc(c, s->n_set, sizeof(*below->set));
    for (size_t i = 0; i < s->n_set && !c->stays; i++) {
        below->set[i] = (struct assignment){s->set[i].column, cut_lower(c, s->set[i].value)};
    }
    below->where = cut_where(c, s->where);
}

/* ---- all ---- */

static bool can_be_cut(const struct plan *plan)
{
    switch (plan->stmt->kind) {
    case STMT_SELECT:
        return plan->schema != NULL && plan->stmt->select.show == NULL;
    case STMT_SEARCH:
        return names_are_free(plan->schema);
    case STMT_UPDATE:
    case STMT_DELETE:
        return true;
    default:
        return false;
    }
}

static void cut_stmt(struct cut *c, const struct stmt *stmt)
{
    switch (stmt->kind) {
    case STMT_SELECT:
        cut_select(c, &stmt->select);
        break;
    case STMT_SEARCH:
        cut_search(c, &stmt->search);
        break;
    case STMT_UPDATE:
        cut_update(c, &stmt->update);
        break;
    default:
        CHECK(stmt->kind == STMT_DELETE);
        c->below.del.where = cut_where(c, stmt->del.where);
        break;
    }
}

/* Where the plan becomes the one above.  What the result's columns are was told before. */
static enum errcode plan_above(struct cut *c, struct err *err)
{
    struct analysis *a = c->a;
    struct plan *plan = a->plan;
    bool is_write = plan->stmt->kind == STMT_UPDATE || plan->stmt->kind == STMT_DELETE;
    struct result_column *columns = plan->columns;
    size_t n_columns = plan->n_columns;
    c->fragment->n_columns = c->n_columns;
    plan->fragment = c->fragment;
    plan->root = plan->leaf = NULL;
    plan->access = (struct access){0};
    if (c->fragment->of_keys == NULL) { /* Else the keys may need theirs. */
        a->scope.sets = NULL;
        a->scope.n_sets = 0;
    }
    if (is_write) {
        c->fragment->is_whole = true;
        return operator_add(a, OPERATOR_total, NULL, err);
    }
    plan->output = (struct output){0};
    plan->n_columns = 0;
    a->scope.grouping = NULL;
    enum errcode code = analyze_over_rows(a, plan->schema->name, c->columns, c->n_columns, err);
    if (code == ERR_OK) {
        code = operator_add(a, OPERATOR_gather, NULL, err);
    }
    if (code == ERR_OK) {
        code = analyze_above_from(a, &c->above, err);
    }
    CHECK(code != ERR_OK || plan->n_columns == n_columns);
    plan->columns = columns;
    return code;
}

/* LIMIT is of each query. */
static void limit_each(struct plan *plan)
{
    for (struct operator_plan *o = plan->leaf; o != NULL; o = o->above) {
        if (o->kind == OPERATOR_limit && plan->search.n_queries > 1) {
            o->limit.is_of_each = true;
            o->limit.place = plan->fragment->keys[0].place;
        }
    }
}

enum errcode analyze_cut(struct analysis *a, struct err *err)
{
    struct plan *plan = a->plan;
    if (!can_be_cut(plan)) {
        return ERR_OK;
    }
    struct cut c = {.a = a, .below = *plan->stmt};
    cut_begin(&c);
    if (!c.stays) {
        cut_stmt(&c, plan->stmt);
    }
    bool has_memory = c.stays || cut_print(&c);
    if (!has_memory || arena_failed(a->scope.arena)) {
        return err_no_memory(err);
    }
    if (c.stays) {
        return ERR_OK;
    }
    enum errcode code = plan_above(&c, err);
    if (code == ERR_OK && plan->stmt->kind == STMT_SEARCH) {
        limit_each(plan);
    }
    return code;
}
