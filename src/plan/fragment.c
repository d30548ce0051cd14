/* A plan that is cut in two.
 *
 *   above: [project <- limit <- ...] <- gather      a SELECT over the rows of the fragment
 *   below: a statement, printed as canonical VQL    parsed, planned and run where its rows are
 *
 *   SELECT    the list, and behind it what ORDER BY has beside: gather merges; LIMIT below, too
 *   DISTINCT  below, and again above
 *   GROUP BY  groups of each leaf, whose aggregates are put together above; or, where one cannot be
 *             (count(DISTINCT x)), the rows that groups are made of
 *   SEARCH    the list, and the query's number, the distance and the key: gather merges by those
 *   UPDATE    and DELETE: the whole statement; how many rows it changed is added up
 *
 * What cannot be cut stays one plan that runs here: a statement without a collection, INSERT and
 * COPY; NEAR KEY, whose vector another leaf may have; SEARCH where a column is named as a
 * pseudo-column; more columns than a row of the fragment can have; a text that is too long or too
 * deep to be parsed. */
#include "plan/cut_int.h"

/* ---- SEARCH ---- */

/* The names of the pseudo-columns may be those of columns. */
static bool names_are_free(const struct schema *schema)
{
    return schema_column(schema, "distance") < 0 && schema_column(schema, "query") < 0;
}

static bool has_key(const struct stmt_search *s)
{
    bool has = false;
    for (size_t i = 0; i < s->n_queries; i++) {
        has = has || s->queries[i].kind == NEAR_KEY;
    }
    return has;
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

static void cut_search(struct cut *c, const struct stmt_search *s)
{
    struct stmt_search *below = &c->below.search;
    const struct output *output = &c->a->plan->output;
    c->above.n_targets = output->n;
    c->above.targets = cut_alloc(c, output->n, sizeof(*c->above.targets));
    below->queries = cut_alloc(c, s->n_queries, sizeof(*below->queries));
    for (size_t i = 0; i < s->n_queries && !c->stays; i++) {
        below->queries[i] =
            (struct near){.kind = NEAR_VECTOR, .expr = cut_lower(c, s->queries[i].expr)};
    }
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
        return names_are_free(plan->schema) && !has_key(&plan->stmt->search);
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

/* False where memory ran out. */
static bool print_fragment(struct cut *c)
{
    struct buf text;
    buf_init(&text, MEM_SESSION, VQL_TEXT_BYTES_MAX);
    print_stmt(&text, &c->below);
    c->stays = text.failed;
    bool has_memory = !text.failed || text.is_full;
    if (!c->stays) {
        c->fragment->text = arena_strndup(c->a->scope.arena, (const char *)text.data, text.bytes);
        c->fragment->text_bytes = text.bytes;
        c->stays = c->fragment->text == NULL;
    }
    buf_fini(&text);
    return has_memory;
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
    a->scope.sets = NULL;
    a->scope.n_sets = 0;
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
    bool has_memory = c.stays || print_fragment(&c);
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
