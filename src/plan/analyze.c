/* Analysis: from a text to a plan.
 *
 * Names become columns, literals and parameters get types from what stands beside them, constants
 * are folded, and whatever cannot work is refused here with its position.  What differs from
 * statement to statement is in the verbs' files; this file has what they share. */
#include "plan/analyze_int.h"

#include "expr/expr.h"

#include <stdio.h>
#include <string.h>

enum {
    RESULT_COLUMNS_MAX = 4096
};

/* ---- names ---- */

static enum errcode unknown_collection(const struct name *name, const char *nearest,
                                       struct err *err)
{
    err_at(err, name->position, ERR_UNKNOWN_COLLECTION, "there is no collection \"%s\"",
           name->text);
    err_collection(err, name->text);
    if (nearest != NULL) {
        err_hint(err, "Perhaps you meant \"%s\".", nearest);
    } else if (view_find(name->text) != NULL) {
        err_hint(err, "It is a view: write FROM (SHOW %s).", name->text);
    } else {
        const char *habit = parser_habit_of_name(name->text);
        err_hint(err, "%s", habit != NULL ? habit : "SHOW COLLECTIONS lists them.");
    }
    return ERR_UNKNOWN_COLLECTION;
}

enum errcode analyze_collection(struct analysis *a, const struct name *name, struct err *err)
{
    CHECK(a->plan->schema == NULL); /* It is held once. */
    const char *nearest = NULL;
    const struct map_collection *found = map_find(a->source->map, name->text, &nearest);
    if (found == NULL) {
        return unknown_collection(name, nearest, err);
    }
    a->plan->schema = schema_hold(found->schema);
    a->scope.schema = a->plan->schema;
    return ERR_OK;
}

enum errcode analyze_column(struct analysis *a, const struct name *name, uint32_t *column,
                            struct err *err)
{
    const struct schema *schema = a->plan->schema;
    CHECK(schema != NULL);
    int found = schema_column(schema, name->text);
    if (found >= 0) {
        *column = (uint32_t)found;
        return ERR_OK;
    }
    const char *names[COLUMNS_MAX];
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        names[i] = schema->columns[i].name;
    }
    err_at(err, name->position, ERR_UNKNOWN_COLUMN, "collection \"%s\" has no column \"%s\"",
           schema->name, name->text);
    const char *nearest = err_nearest(name->text, names, schema->n_columns);
    if (nearest != NULL) {
        err_hint(err, "Perhaps you meant \"%s\".", nearest);
    } else {
        err_hint(err, "DESCRIBE %s lists its columns.", schema->name);
    }
    err_collection(err, schema->name);
    err_column(err, name->text);
    return ERR_UNKNOWN_COLUMN;
}

enum errcode analyze_columns(struct analysis *a, const struct name *names, size_t n,
                             uint32_t **columns, size_t *n_columns, struct err *err)
{
    *n_columns = n > 0 ? n : a->plan->schema->n_columns;
    *columns = arena_array(a->scope.arena, *n_columns, sizeof(**columns));
    if (*columns == NULL) {
        return err_no_memory(err);
    }
    struct column_mask seen = {0};
    for (uint32_t i = 0; i < *n_columns; i++) {
        (*columns)[i] = i;
        enum errcode code = n > 0 ? analyze_column(a, &names[i], &(*columns)[i], err) : ERR_OK;
        if (code != ERR_OK) {
            return code;
        }
        if (mask_has(&seen, (*columns)[i])) {
            err_at(err, names[i].position, ERR_DUPLICATE_COLUMN, "column \"%s\" is named twice",
                   names[i].text);
            err_column(err, names[i].text);
            return ERR_DUPLICATE_COLUMN;
        }
        mask_add(&seen, (*columns)[i]);
    }
    return ERR_OK;
}

/* ---- WHERE ---- */

static bool is_key_column(const struct analysis *a, const struct expr *e)
{
    return e->kind == EXPR_COLUMN && schema_column(a->plan->schema, e->name) == 0;
}

/* Where @e says key = x or key IN (x, ...), with x that no row changes, rows are found by key. */
static enum errcode try_keys(struct analysis *a, const struct expr *e, struct err *err)
{
    struct expr *const *items = e->items;
    size_t n_items = e->n_items;
    if (e->kind == EXPR_BINARY && e->op == OP_EQ) {
        bool is_left = is_key_column(a, e->left);
        if (!is_left && !is_key_column(a, e->right)) {
            return ERR_OK;
        }
        items = is_left ? &e->right : &e->left;
        n_items = 1;
    } else if (e->kind != EXPR_IN || e->is_negated || !is_key_column(a, e->left)) {
        return ERR_OK;
    }
    enum value_type type = a->plan->schema->columns[0].type;
    const struct program **programs =
        arena_array(a->scope.arena, n_items, sizeof(const struct program *));
    if (programs == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < n_items; i++) {
        /* What cannot become a key (2.5 for an INT) was accepted by the whole WHERE: scan. */
        if (program_compile(&a->scope, items[i], type, &programs[i], err) != ERR_OK ||
            programs[i]->is_per_row) {
            return ERR_OK;
        }
    }
    struct set_plan *set = set_plan_new(&a->scope, programs, n_items);
    if (set == NULL) {
        return err_no_memory(err);
    }
    a->plan->access.kind = ACCESS_KEYS;
    a->plan->access.key_set = set->number;
    return ERR_OK;
}

/* Looks at every condition that must hold; the parser bounds the height of the tree. */
static enum errcode find_keys(struct analysis *a, const struct expr *e, struct err *err)
{
    if (a->plan->access.kind == ACCESS_KEYS) {
        return ERR_OK;
    }
    if (e->kind != EXPR_BINARY || e->op != OP_AND) {
        return try_keys(a, e, err);
    }
    enum errcode code = find_keys(a, e->left, err);
    return code == ERR_OK ? find_keys(a, e->right, err) : code;
}

enum errcode analyze_where(struct analysis *a, const struct expr *where, struct err *err)
{
    struct access *access = &a->plan->access;
    if (where == NULL) {
        return ERR_OK;
    }
    enum errcode code = program_compile(&a->scope, where, TYPE_BOOL, &access->where, err);
    if (code != ERR_OK) {
        return code;
    }
    access->columns = access->where->columns;
    access->shown = where;
    return a->plan->schema != NULL && a->scope.schema == a->plan->schema ? find_keys(a, where, err)
                                                                         : ERR_OK;
}

/* ---- the select list ---- */

const char *target_name(const struct target *target)
{
    CHECK(!target->is_star);
    if (target->alias != NULL) {
        return target->alias;
    }
    const struct expr *e = target->expr;
    while (e->kind == EXPR_CAST && e->left->kind != EXPR_LITERAL) {
        e = e->left;
    }
    bool has_name = e->kind == EXPR_COLUMN || e->kind == EXPR_CALL;
    return has_name ? e->name : e->kind == EXPR_CASE ? "case" : "?column?";
}

size_t star_width(const struct analysis *a, size_t n_queries)
{
    if (a->scope.schema == NULL) {
        return 0;
    }
    size_t n_pseudo = a->scope.has_pseudo ? (n_queries > 1 ? 2 : 1) : 0;
    return a->scope.schema->n_columns + n_pseudo;
}

/* "*": every column; in a SEARCH also distance, and query where there are several. */
static enum errcode expand_star(struct analysis *a, size_t width, uint32_t position,
                                struct err *err)
{
    struct plan *plan = a->plan;
    const struct schema *schema = a->scope.schema;
    static const char *const pseudo_names[] = {"distance", "query"};
    for (size_t i = 0; i < width; i++) {
        bool is_column = i < schema->n_columns;
        CHECK(is_column || i - schema->n_columns < COUNT_OF(pseudo_names));
        const char *name =
            is_column ? schema->columns[i].name : pseudo_names[i - schema->n_columns];
        if (!is_column && schema_column(schema, name) >= 0) {
            continue; /* A column of that name hides it. */
        }
        const struct program **program = &plan->output.programs[plan->n_columns];
        struct expr e = {.kind = EXPR_COLUMN, .height = 1, .position = position, .name = name};
        enum errcode code = program_compile(&a->scope, &e, TYPE_NULL, program, err);
        if (code != ERR_OK) {
            return code;
        }
        struct result_column *column = &plan->columns[plan->n_columns++];
        snprintf(column->name, sizeof(column->name), "%s", name);
    }
    return ERR_OK;
}

static enum errcode add_target(struct analysis *a, const struct target *target, size_t width,
                               struct err *err)
{
    struct plan *plan = a->plan;
    if (target->is_star) {
        return expand_star(a, width, target->position, err);
    }
    const struct program **program = &plan->output.programs[plan->n_columns];
    plan->output.shown[plan->n_columns] = target->expr;
    enum errcode code = program_compile(&a->scope, target->expr, TYPE_NULL, program, err);
    if (code == ERR_OK) {
        struct result_column *column = &plan->columns[plan->n_columns++];
        snprintf(column->name, sizeof(column->name), "%s", target_name(target));
    }
    return code;
}

enum errcode analyze_targets(struct analysis *a, const struct target *targets, size_t n,
                             size_t n_queries, struct err *err)
{
    struct plan *plan = a->plan;
    size_t width = star_width(a, n_queries), capacity = 0;
    for (size_t i = 0; i < n; i++) {
        if (targets[i].is_star && a->scope.schema == NULL) {
            return err_at(err, targets[i].position, ERR_SYNTAX, "SELECT * needs a FROM");
        }
        capacity += targets[i].is_star ? width : 1;
    }
    if (capacity > RESULT_COLUMNS_MAX) {
        return err_set(err, ERR_TOO_MANY_ITEMS,
                       "the result has %zu columns; at most %d are allowed", capacity,
                       RESULT_COLUMNS_MAX);
    }
    plan->output.programs = arena_array(a->scope.arena, capacity, sizeof(const struct program *));
    plan->output.shown = arena_zalloc(a->scope.arena, capacity * sizeof(const struct expr *));
    plan->columns = arena_zalloc(a->scope.arena, capacity * sizeof(*plan->columns));
    if (plan->output.programs == NULL || plan->output.shown == NULL || plan->columns == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        enum errcode code = add_target(a, &targets[i], width, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    CHECK_HOT(plan->n_columns <= capacity);
    plan->output.n = plan->n_columns;
    for (size_t i = 0; i < plan->output.n; i++) {
        const struct program *program = plan->output.programs[i];
        plan->columns[i].type = program->type; /* TYPE_NULL: the rows tell. */
        plan->columns[i].dim = program->dim;
        mask_merge(&plan->output.columns, &program->columns);
    }
    return ERR_OK;
}

enum errcode analyze_result(struct analysis *a, const struct result_column *columns, size_t n,
                            struct err *err)
{
    CHECK(n > 0);
    a->plan->columns = arena_copy(a->scope.arena, columns, n * sizeof(*columns));
    a->plan->n_columns = n;
    return a->plan->columns != NULL ? ERR_OK : err_no_memory(err);
}

/* ---- LIMIT, OFFSET, WITH ---- */

enum errcode analyze_constant(struct analysis *a, const struct expr *e, enum value_type want,
                              const struct program **out, struct err *err)
{
    struct grouping *grouping = a->scope.grouping;
    const struct schema *schema = a->scope.schema;
    bool has_pseudo = a->scope.has_pseudo;
    a->scope.grouping = NULL;
    a->scope.schema = NULL;
    a->scope.has_pseudo = false;
    enum errcode code = program_compile(&a->scope, e, want, out, err);
    a->scope.grouping = grouping;
    a->scope.schema = schema;
    a->scope.has_pseudo = has_pseudo;
    return code;
}

enum errcode analyze_limit(struct analysis *a, const struct expr *limit, const struct expr *offset,
                           struct err *err)
{
    enum errcode code = ERR_OK;
    if (limit != NULL) {
        code = analyze_constant(a, limit, TYPE_INT, &a->plan->limit, err);
    }
    if (code == ERR_OK && offset != NULL) {
        code = analyze_constant(a, offset, TYPE_INT, &a->plan->offset, err);
    }
    return code;
}

static enum value_type type_of_policy(enum policy_id id)
{
    switch (policy_row(id)->type) {
    case POLICY_IS_BOOL:
        return TYPE_BOOL;
    case POLICY_IS_INT:
        return TYPE_INT;
    case POLICY_IS_FLOAT:
        return TYPE_FLOAT;
    default:
        return TYPE_TEXT;
    }
}

/* A parameter's value is known when the statement is run. */
static enum errcode add_with_parameter(struct analysis *a, enum policy_id id,
                                       const struct option *option, struct err *err)
{
    struct with_parameter *w = arena_zalloc(a->scope.arena, sizeof(*w));
    if (w == NULL) {
        return err_no_memory(err);
    }
    if (id == POLICY_statement_memory) {
        err_at(err, option->value->position, ERR_FEATURE_UNSUPPORTED,
               "statement_memory takes a literal here: the parameters count against it");
        err_policy(err, option->name.text);
        return ERR_FEATURE_UNSUPPORTED;
    }
    w->policy = id;
    w->position = option->value->position;
    w->next = a->plan->with_parameters;
    a->plan->with_parameters = w;
    return analyze_constant(a, option->value, type_of_policy(id), &w->program, err);
}

bool builds_graph(enum policy_id id)
{
    return id == POLICY_m || id == POLICY_ef_construction || id == POLICY_quantization;
}

enum errcode analyze_building(const struct schema *schema, const struct option *option,
                              struct err *err)
{
    bool has_vectors = false;
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        has_vectors = has_vectors || schema->columns[i].type == TYPE_VECTOR;
    }
    if (!builds_graph(policy_find(option->name.text, NULL)) ||
        (has_vectors && !schema_is_flat(schema))) {
        return ERR_OK;
    }
    err_at(err, option->name.position, ERR_POLICY_SCOPE,
           "the policy %s changes nothing: collection \"%s\" has %s", option->name.text,
           schema->name, has_vectors ? "index = flat" : "no vector column");
    err_hint(err, "Remove it from WITH.");
    err_policy(err, option->name.text);
    return ERR_POLICY_SCOPE;
}

static enum errcode add_with(struct analysis *a, const struct option *option, struct err *err)
{
    const char *nearest = NULL;
    enum policy_id id = policy_find(option->name.text, &nearest);
    if (id == POLICY_COUNT) {
        err_at(err, option->name.position, ERR_UNKNOWN_POLICY,
               "there is no policy or option \"%s\"", option->name.text);
        if (nearest != NULL) {
            err_hint(err, "Perhaps you meant \"%s\".", nearest);
        } else {
            err_hint(err, "SHOW ALL lists the policies.");
        }
        err_policy(err, option->name.text);
        return ERR_UNKNOWN_POLICY;
    }
    bool is_in_scope = (policy_row(id)->scopes & SCOPE_STATEMENT) != 0;
    if (is_in_scope && (a->plan->policies >> id & 1) == 0) {
        err_at(err, option->name.position, ERR_POLICY_SCOPE,
               "the policy %s changes nothing in %s %s", option->name.text,
               strchr("AEIOU", a->plan->tag[0]) != NULL ? "an" : "a", a->plan->tag);
        err_hint(err, "Remove it from WITH.");
        err_policy(err, option->name.text);
        return ERR_POLICY_SCOPE;
    }
    if (option->value->kind == EXPR_PARAMETER && is_in_scope) {
        return add_with_parameter(a, id, option, err);
    }
    enum errcode code =
        policy_assign(a->plan->with, id, LEVEL_STATEMENT, &option->value->value, err);
    if (code != ERR_OK) {
        err->position = code == ERR_POLICY_SCOPE ? option->name.position : option->value->position;
    }
    return code;
}

enum errcode analyze_with(struct analysis *a, const struct options *options,
                          bool (*skip)(const char *name), struct err *err)
{
    if (options->n == 0) {
        return ERR_OK;
    }
    a->plan->with = arena_zalloc(a->scope.arena, sizeof(*a->plan->with));
    if (a->plan->with == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < options->n; i++) {
        const struct option *option = &options->items[i];
        if (skip != NULL && skip(option->name.text)) {
            continue;
        }
        enum errcode code = add_with(a, option, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* ---- operators ---- */

enum errcode operator_add(struct analysis *a, enum operator kind, struct operator_plan **out,
                          struct err *err)
{
    struct plan *plan = a->plan;
    CHECK_HOT(kind < OPERATORS);
    struct operator_plan *o = arena_zalloc(a->scope.arena, sizeof(*o));
    if (o == NULL) {
        return err_no_memory(err);
    }
    o->kind = kind;
    o->input = plan->root;
    if (plan->root == NULL) {
        plan->leaf = o;
    } else {
        plan->root->above = o;
    }
    plan->root = o;
    if (out != NULL) {
        *out = o;
    }
    return ERR_OK;
}
