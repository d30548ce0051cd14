/* REINDEX: which columns, and what WITH says of how their indexes are built. */
#include "plan/analyze_int.h"

static enum errcode analyze_option(struct analysis *a, const struct option *option, struct err *err)
{
    enum policy_id id = policy_find(option->name.text, NULL);
    if (id != POLICY_COUNT && !builds_graph(id)) {
        err_at(err, option->name.position, ERR_POLICY_SCOPE, "REINDEX does not take \"%s\"",
               option->name.text);
        err_hint(err, "It takes what an index is built with: m, ef_construction and quantization.");
        err_policy(err, option->name.text);
        return ERR_POLICY_SCOPE;
    }
    enum errcode code = analyze_building(a->plan->schema, option, err);
    if (code != ERR_OK) {
        return code;
    }
    if (option->value == NULL || option->value->kind != EXPR_LITERAL) {
        err_at(err, option->name.position, ERR_FEATURE_UNSUPPORTED,
               "REINDEX takes a value for \"%s\", and no parameter", option->name.text);
        err_hint(err, "Write the value into the statement: WITH (%s = value).", option->name.text);
        return ERR_FEATURE_UNSUPPORTED;
    }
    code = policy_assign_name(a->plan->reindex.with, option->name.text, LEVEL_COLLECTION,
                              &option->value->value, err);
    if (code != ERR_OK) {
        bool is_value = code == ERR_POLICY_BOUNDS;
        err->position = is_value ? option->value->position : option->name.position;
    }
    return code;
}

static enum errcode analyze_which(struct analysis *a, const struct stmt_reindex *s, struct err *err)
{
    const struct schema *schema = a->plan->schema;
    struct reindex_plan *plan = &a->plan->reindex;
    if (s->column.text == NULL) {
        for (uint32_t i = 0; i < schema->n_columns; i++) {
            plan->n_vectors += schema->columns[i].type == TYPE_VECTOR;
        }
        if (plan->n_vectors == 0) {
            return err_at(err, s->collection.position, ERR_TYPE_MISMATCH,
                          "collection \"%s\" has no vector column, so no index",
                          s->collection.text);
        }
        return ERR_OK;
    }
    plan->n_vectors = 1;
    plan->is_one = true;
    enum errcode code = analyze_column(a, &s->column, &plan->column, err);
    if (code == ERR_OK && schema->columns[plan->column].type != TYPE_VECTOR) {
        err_at(err, s->column.position, ERR_TYPE_MISMATCH,
               "column \"%s\" is %s; only a VECTOR has an index", s->column.text,
               type_name(schema->columns[plan->column].type));
        err_column(err, s->column.text);
        return ERR_TYPE_MISMATCH;
    }
    return code;
}

enum errcode analyze_reindex(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    const struct stmt_reindex *s = &stmt->reindex;
    enum errcode code = analyze_collection(a, &s->collection, err);
    a->plan->reindex.with = arena_zalloc(a->scope.arena, sizeof(*a->plan->reindex.with));
    if (code == ERR_OK && a->plan->reindex.with == NULL) {
        code = err_no_memory(err);
    }
    if (code == ERR_OK) {
        code = analyze_which(a, s, err);
    }
    for (size_t i = 0; i < s->with.n && code == ERR_OK; i++) {
        code = analyze_option(a, &s->with.items[i], err);
    }
    return code;
}
