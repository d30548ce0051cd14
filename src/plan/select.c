/* SELECT: what it means, as a tree of operators.
 *
 *   [limit] <- sort <- [filter: HAVING] <- [aggregate] <- [filter: WHERE] <- scan, show, one
 *   project <- [limit] <- ...                                     without ORDER BY
 *   [limit] <- [sort] <- distinct <- project <- ...               SELECT DISTINCT
 *
 * A scan sees to the WHERE itself.  A sorted, counted or grouped result is of one instant; a large
 * one that comes as it is read is of one instant a batch: cursor.c says what that means for rows
 * that change meanwhile. */
#include "plan/analyze_int.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- FROM ---- */

enum errcode analyze_over_rows(struct analysis *a, const char *name,
                               const struct result_column *columns, size_t n, struct err *err)
{
    CHECK(n <= COLUMNS_MAX);
    size_t bytes = offsetof(struct schema, columns) + n * sizeof(struct column);
    struct schema *schema = arena_zalloc(a->scope.arena, bytes);
    if (schema == NULL) {
        return err_no_memory(err);
    }
    snprintf(schema->name, sizeof(schema->name), "%s", name);
    schema->n_columns = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        struct column *column = &schema->columns[i];
        memcpy(column->name, columns[i].name, sizeof(column->name));
        column->type = columns[i].type;
        column->dim = columns[i].dim;
    }
    a->scope.schema = schema;
    a->scope.is_view = true;
    return ERR_OK;
}

static enum errcode analyze_show_in_from(struct analysis *a, const struct stmt *show,
                                         struct err *err)
{
    const struct name *name =
        show->kind == STMT_SHOW ? &show->show.name : &show->describe.collection;
    struct operator_plan *o;
    enum errcode code =
        show->kind == STMT_SHOW ? analyze_show(a, show, err) : analyze_describe(a, show, err);
    if (code == ERR_OK) {
        code = analyze_over_rows(a, name->text, a->plan->columns, a->plan->n_columns, err);
    }
    if (code == ERR_OK) {
        code = operator_add(a, OPERATOR_show, &o, err);
    }
    if (code == ERR_OK) {
        o->show.of = show->kind;
        o->show.name = name->text;
        o->show.n_columns = a->plan->n_columns;
        a->plan->n_columns = 0; /* They are no longer the result's. */
    }
    return code;
}

static enum errcode analyze_from(struct analysis *a, const struct stmt_select *s, struct err *err)
{
    if (s->show != NULL) {
        return analyze_show_in_from(a, s->show, err);
    }
    if (s->collection.text == NULL) {
        return operator_add(a, OPERATOR_one, NULL, err);
    }
    enum errcode code = analyze_collection(a, &s->collection, err);
    return code == ERR_OK ? operator_add(a, OPERATOR_scan, NULL, err) : code;
}

/* ---- GROUP BY ---- */

static bool is_grouped(const struct stmt_select *s)
{
    bool is = s->n_group_by > 0 || s->having != NULL;
    for (size_t i = 0; i < s->n_targets && !is; i++) {
        is = !s->targets[i].is_star && expr_has_aggregate(s->targets[i].expr);
    }
    for (size_t i = 0; i < s->n_order_by && !is; i++) {
        is = expr_has_aggregate(s->order_by[i].expr);
    }
    return is;
}

/* A column that "*" stands for. */
static enum errcode key_of_star(const struct analysis *a, size_t column, uint32_t position,
                                const struct expr **key, struct err *err)
{
    struct expr *e = arena_zalloc(a->scope.arena, sizeof(*e));
    if (e == NULL) {
        return err_no_memory(err);
    }
    *e = (struct expr){.kind = EXPR_COLUMN,
                       .height = 1,
                       .position = position,
                       .name = a->scope.schema->columns[column].name};
    *key = e;
    return ERR_OK;
}

/* A place in the result, as a number: "*" is as many as it has columns. */
static enum errcode key_of_place(const struct analysis *a, const struct stmt_select *s,
                                 const struct expr *e, const struct expr **key, struct err *err)
{
    int64_t place = e->value.integer;
    uint64_t left = place >= 1 ? (uint64_t)place : UINT64_MAX; /* From this target on. */
    for (size_t i = 0; i < s->n_targets; i++) {
        const struct target *target = &s->targets[i];
        size_t width = target->is_star ? star_width(a, 0) : 1;
        if (left <= width && target->is_star) {
            return key_of_star(a, left - 1, e->position, key, err);
        }
        if (left <= width) {
            *key = target->expr;
            return ERR_OK;
        }
        left -= width;
    }
    return err_at(err, e->position, ERR_BAD_REFERENCE,
                  "GROUP BY %lld is no place in the select list", (long long)place);
}

static enum errcode refuse_ambiguous(const struct expr *e, const char *clause, struct err *err)
{
    err_at(err, e->position, ERR_AMBIGUOUS_COLUMN,
           "%s \"%s\" is ambiguous: several columns of the result have this name", clause, e->name);
    err_hint(err, "Give them different names by AS, or write the place in the list.");
    return ERR_AMBIGUOUS_COLUMN;
}

/* What the result has under this name; @key stays where there is none. */
static enum errcode key_of_name(const struct stmt_select *s, const struct expr *e,
                                const struct expr **key, struct err *err)
{
    const struct expr *found = NULL;
    for (size_t i = 0; i < s->n_targets; i++) {
        const struct target *target = &s->targets[i];
        if (target->is_star || strcmp(target_name(target), e->name) != 0) {
            continue;
        }
        if (found != NULL && !expr_is_same(found, target->expr)) {
            return refuse_ambiguous(e, "GROUP BY", err);
        }
        found = target->expr;
    }
    *key = found != NULL ? found : *key;
    return ERR_OK;
}

/* As in PostgreSQL: a number is a place in the select list, a name is first one of the input's. */
static enum errcode resolve_key(const struct analysis *a, const struct stmt_select *s,
                                const struct expr *e, const struct expr **key, struct err *err)
{
    *key = e;
    if (e->kind == EXPR_LITERAL && e->value.type == TYPE_INT) {
        return key_of_place(a, s, e, key, err);
    }
    if (e->kind == EXPR_LITERAL) {
        err_at(err, e->position, ERR_SYNTAX, "GROUP BY a constant has no meaning");
        err_hint(err, "Write a column, an expression, or a place in the select list. Names are in "
                      "double quotes, if any.");
        return ERR_SYNTAX;
    }
    bool is_of_input = e->kind != EXPR_COLUMN ||
                       (a->scope.schema != NULL && schema_column(a->scope.schema, e->name) >= 0);
    return is_of_input ? ERR_OK : key_of_name(s, e, key, err);
}

static enum errcode analyze_groups(struct analysis *a, const struct stmt_select *s, struct err *err)
{
    struct grouping *grouping = arena_zalloc(a->scope.arena, sizeof(*grouping));
    enum errcode code = grouping != NULL ? ERR_OK : err_no_memory(err);
    for (size_t i = 0; i < s->n_group_by && code == ERR_OK; i++) {
        const struct expr *key;
        code = resolve_key(a, s, s->group_by[i], &key, err);
        if (code == ERR_OK) {
            code = grouping_add_key(&a->scope, grouping, key, err);
        }
    }
    a->scope.grouping = code == ERR_OK ? grouping : NULL;
    return code;
}

/* ---- ORDER BY ---- */

/* Of two columns of the result; those of "*" have no expression, but are columns all. */
static bool is_same(const struct output *output, size_t i, size_t j)
{
    const struct program *a = output->programs[i], *b = output->programs[j];
    if (output->shown[i] != NULL && output->shown[j] != NULL &&
        expr_is_same(output->shown[i], output->shown[j])) {
        return true;
    }
    return a->n_code == 1 && b->n_code == 1 && a->code[0].code == CODE_COLUMN &&
           b->code[0].code == CODE_COLUMN && a->code[0].at == b->code[0].at;
}

static const size_t NO_PLACE = SIZE_MAX;

/* The column of the result that has this name; NO_PLACE where none has. */
static enum errcode find_output(const struct plan *plan, const struct expr *e, size_t *found,
                                struct err *err)
{
    for (size_t i = 0; i < plan->output.n; i++) {
        if (strcmp(plan->columns[i].name, e->name) != 0) {
            continue;
        }
        if (*found != NO_PLACE && !is_same(&plan->output, *found, i)) {
            return refuse_ambiguous(e, "ORDER BY", err);
        }
        *found = i;
    }
    return ERR_OK;
}

/* As in PostgreSQL: a number is a place in the select list, a name is first one of the result's. */
static enum errcode order_place(const struct plan *plan, const struct expr *e, size_t *place,
                                struct err *err)
{
    bool is_place = e->kind == EXPR_LITERAL && e->value.type == TYPE_INT;
    *place = NO_PLACE;
    if (is_place && (e->value.integer < 1 || (uint64_t)e->value.integer > plan->output.n)) {
        return err_at(err, e->position, ERR_BAD_REFERENCE,
                      "ORDER BY %lld is no place in the select list", (long long)e->value.integer);
    }
    if (is_place) {
        *place = (size_t)e->value.integer - 1;
        return ERR_OK;
    }
    if (e->kind == EXPR_LITERAL) {
        err_at(err, e->position, ERR_SYNTAX, "ORDER BY a constant has no meaning");
        err_hint(err, "Write a column, an expression, or a place in the select list. Names are in "
                      "double quotes, if any.");
        return ERR_SYNTAX;
    }
    enum errcode code = e->kind == EXPR_COLUMN ? find_output(plan, e, place, err) : ERR_OK;
    for (size_t i = 0; i < plan->output.n && code == ERR_OK && *place == NO_PLACE; i++) {
        const struct expr *shown = plan->output.shown[i];
        *place = shown != NULL && expr_is_same(shown, e) ? i : NO_PLACE;
    }
    return code;
}

static enum errcode analyze_key(struct analysis *a, const struct stmt_select *s,
                                const struct order *order, struct sort_key *key, struct err *err)
{
    *key =
        (struct sort_key){.is_descending = order->is_descending, .nulls_first = order->nulls_first};
    enum errcode code = order_place(a->plan, order->expr, &key->place, err);
    if (code != ERR_OK) {
        return code;
    }
    if (key->place != NO_PLACE) {
        key->program = a->plan->output.programs[key->place];
    } else {
        code = program_compile(&a->scope, order->expr, TYPE_NULL, &key->program, err);
    }
    if (code == ERR_OK && key->place == NO_PLACE && s->is_distinct) {
        err_at(err, order->expr->position, ERR_BAD_REFERENCE,
               "ORDER BY of a SELECT DISTINCT can only name what stands in its select list");
        err_hint(err, "Add the expression to the list, or use GROUP BY.");
        return ERR_BAD_REFERENCE;
    }
    if (code == ERR_OK && (key->program->type == TYPE_JSON || key->program->type == TYPE_VECTOR)) {
        return err_at(err, order->expr->position, ERR_TYPE_MISMATCH,
                      "values of type %s have no order", type_name(key->program->type));
    }
    return code;
}

static enum errcode analyze_order(struct analysis *a, const struct stmt_select *s,
                                  struct sort_plan *sort, struct err *err)
{
    sort->n_keys = s->n_order_by;
    sort->shown = s->order_by;
    sort->is_projected = s->is_distinct;
    sort->keys = arena_array(a->scope.arena, s->n_order_by, sizeof(*sort->keys));
    if (sort->keys == NULL) {
        return err_no_memory(err);
    }
    enum errcode code = ERR_OK;
    for (size_t i = 0; i < s->n_order_by && code == ERR_OK; i++) {
        code = analyze_key(a, s, &s->order_by[i], &sort->keys[i], err);
        if (code == ERR_OK) {
            CHECK(sort->keys[i].program != NULL);
            mask_merge(&sort->columns, &sort->keys[i].program->columns);
        }
    }
    return code;
}

/* ---- the tree ---- */

static enum errcode add_filter(struct analysis *a, const struct program *program,
                               const struct expr *shown, struct err *err)
{
    struct operator_plan *o;
    enum errcode code = operator_add(a, OPERATOR_filter, &o, err);
    if (code == ERR_OK) {
        o->filter.program = program;
        o->filter.shown = shown;
    }
    return code;
}

/* That of a collection without a WHERE is known. */
static bool is_count(const struct plan *plan, const struct grouping *grouping)
{
    return plan->root->kind == OPERATOR_scan && plan->access.where == NULL &&
           grouping->n_keys == 0 && grouping->n_calls == 1 && grouping->calls[0].argument == NULL;
}

static enum errcode add_groups(struct analysis *a, const struct stmt_select *s,
                               const struct program *having, struct err *err)
{
    const struct grouping *grouping = a->scope.grouping;
    struct operator_plan *o;
    if (is_count(a->plan, grouping)) {
        a->plan->root = NULL;
        enum errcode code = operator_add(a, OPERATOR_count, NULL, err);
        return code == ERR_OK && having != NULL ? add_filter(a, having, s->having, err) : code;
    }
    enum errcode code = operator_add(a, OPERATOR_aggregate, &o, err);
    if (code != ERR_OK) {
        return code;
    }
    o->aggregate.grouping = grouping;
    for (size_t i = 0; i < grouping->n_keys; i++) {
        mask_merge(&o->aggregate.columns, &grouping->programs[i]->columns);
    }
    for (size_t i = 0; i < grouping->n_calls; i++) {
        if (grouping->calls[i].argument != NULL) {
            mask_merge(&o->aggregate.columns, &grouping->calls[i].argument->columns);
        }
    }
    return having != NULL ? add_filter(a, having, s->having, err) : ERR_OK;
}

static enum errcode check_distinct(const struct analysis *a, const struct stmt_select *s,
                                   struct err *err)
{
    const struct output *output = &a->plan->output;
    enum errcode code = ERR_OK;
    for (size_t i = 0; i < output->n && s->is_distinct && code == ERR_OK; i++) {
        uint32_t position = output->shown[i] != NULL ? output->shown[i]->position : 0;
        code = check_distinct_type(output->programs[i]->type, "SELECT DISTINCT", position, err);
    }
    return code;
}

static enum errcode add_sort(struct analysis *a, const struct sort_plan *sort, struct err *err)
{
    struct operator_plan *o;
    enum errcode code = operator_add(a, OPERATOR_sort, &o, err);
    if (code == ERR_OK) {
        o->sort = *sort;
    }
    return code;
}

/* What makes of rows of the input, or of groups, those of the result. */
static enum errcode add_output(struct analysis *a, const struct stmt_select *s,
                               const struct sort_plan *sort, struct err *err)
{
    if (s->is_distinct && (operator_add(a, OPERATOR_project, NULL, err) != ERR_OK ||
                           operator_add(a, OPERATOR_distinct, NULL, err) != ERR_OK)) {
        return err->code;
    }
    if (s->n_order_by > 0 && add_sort(a, sort, err) != ERR_OK) {
        return err->code;
    }
    if ((s->limit != NULL || s->offset != NULL) &&
        operator_add(a, OPERATOR_limit, NULL, err) != ERR_OK) {
        return err->code;
    }
    bool is_projected = s->is_distinct || s->n_order_by > 0;
    return is_projected ? ERR_OK : operator_add(a, OPERATOR_project, NULL, err);
}

/* What is read of a row of the collection, and whether it may come from memory. */
static void find_reads(struct plan *plan, const struct grouping *grouping,
                       const struct sort_plan *sort)
{
    struct access *access = &plan->access;
    access->reads = access->columns;
    if (grouping == NULL) {
        mask_merge(&access->reads, &plan->output.columns);
        mask_merge(&access->reads, &sort->columns);
    }
    for (const struct operator_plan *o = plan->root; o != NULL; o = o->input) {
        if (o->kind == OPERATOR_aggregate) {
            mask_merge(&access->reads, &o->aggregate.columns);
        }
    }
    access->is_in_columns = access->kind == ACCESS_SCAN && !plan_reads_vector(plan, &access->reads);
}

static enum errcode build_tree(struct analysis *a, const struct stmt_select *s,
                               const struct sort_plan *sort, const struct program *having,
                               struct err *err)
{
    struct plan *plan = a->plan;
    enum errcode code = ERR_OK;
    plan->reads_all = a->scope.grouping != NULL || s->is_distinct || s->n_order_by > 0 ||
                      plan->access.where != NULL;
    if (plan->access.where != NULL && plan->root->kind != OPERATOR_scan) {
        code = add_filter(a, plan->access.where, s->where, err);
    }
    if (code == ERR_OK && a->scope.grouping != NULL) {
        code = add_groups(a, s, having, err);
    }
    if (code == ERR_OK && s->collection.text != NULL) {
        find_reads(plan, a->scope.grouping, sort);
    }
    return code == ERR_OK ? add_output(a, s, sort, err) : code;
}

/* What stands over groups where there are any. */
static enum errcode analyze_list(struct analysis *a, const struct stmt_select *s,
                                 struct sort_plan *sort, const struct program **having,
                                 struct err *err)
{
    struct grouping *grouping = a->scope.grouping;
    enum errcode code = analyze_targets(a, s->targets, s->n_targets, 0, err);
    a->scope.grouping = NULL;
    if (code == ERR_OK) {
        code = analyze_where(a, s->where, err);
    }
    a->scope.grouping = grouping;
    if (code != ERR_OK) {
        return code;
    }
    if (s->having != NULL &&
        program_compile(&a->scope, s->having, TYPE_BOOL, having, err) != ERR_OK) {
        return err->code;
    }
    if (check_distinct(a, s, err) != ERR_OK) {
        return err->code;
    }
    return analyze_order(a, s, sort, err);
}

enum errcode analyze_above_from(struct analysis *a, const struct stmt_select *s, struct err *err)
{
    const struct program *having = NULL;
    struct sort_plan sort = {0};
    if ((is_grouped(s) && analyze_groups(a, s, err) != ERR_OK) ||
        analyze_list(a, s, &sort, &having, err) != ERR_OK ||
        analyze_limit(a, s->limit, s->offset, err) != ERR_OK) {
        return err->code;
    }
    return build_tree(a, s, &sort, having, err);
}

enum errcode analyze_select(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    const struct stmt_select *s = &stmt->select;
    if (analyze_from(a, s, err) != ERR_OK || analyze_with(a, &s->with, NULL, err) != ERR_OK) {
        return err->code;
    }
    return analyze_above_from(a, s, err);
}
