/* SEARCH: what it means.  operator_search.c carries it out. */
#include "plan/analyze_int.h"

static enum errcode analyze_vector_column(struct analysis *a, const struct stmt_search *s,
                                          struct err *err)
{
    const struct schema *schema = a->plan->schema;
    uint32_t column;
    if (s->in_column.text == NULL) {
        int first = schema_first_vector(schema);
        if (first < 0) {
            return err_at(err, s->collection.position, ERR_TYPE_MISMATCH,
                          "collection \"%s\" has no VECTOR column", schema->name);
        }
        a->plan->search.column = (uint32_t)first;
        return ERR_OK;
    }
    enum errcode code = analyze_column(a, &s->in_column, &column, err);
    if (code == ERR_OK && schema->columns[column].type != TYPE_VECTOR) {
        err_at(err, s->in_column.position, ERR_TYPE_MISMATCH,
               "column \"%s\" is of type %s; SEARCH needs a VECTOR", s->in_column.text,
               type_name(schema->columns[column].type));
        err_column(err, s->in_column.text);
        return ERR_TYPE_MISMATCH;
    }
    a->plan->search.column = column;
    return code;
}

static enum errcode analyze_queries(struct analysis *a, const struct stmt_search *s,
                                    struct err *err)
{
    struct search_plan *plan = &a->plan->search;
    plan->n_queries = s->n_queries;
    plan->queries = arena_array(a->scope.arena, s->n_queries, sizeof(*plan->queries));
    if (plan->queries == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < s->n_queries; i++) {
        struct search_query *query = &plan->queries[i];
        const struct expr *e = s->queries[i].expr;
        query->is_key = s->queries[i].kind == NEAR_KEY;
        query->position = e->position;
        enum value_type type = query->is_key ? a->plan->schema->columns[0].type : TYPE_VECTOR;
        enum errcode code = analyze_constant(a, e, type, &query->program, err);
        if (code != ERR_OK) {
            return code;
        }
        uint32_t dim = query->program->dim;
        if (!query->is_key && dim != 0 && dim != a->plan->schema->columns[plan->column].dim) {
            return plan_wrong_dimension(a->plan, dim, e->position, err);
        }
    }
    return ERR_OK;
}

enum errcode analyze_search(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    const struct stmt_search *s = &stmt->search;
    if (analyze_collection(a, &s->collection, err) != ERR_OK ||
        analyze_vector_column(a, s, err) != ERR_OK || analyze_queries(a, s, err) != ERR_OK ||
        analyze_with(a, &s->with, NULL, err) != ERR_OK) {
        return err->code;
    }
    a->scope.has_pseudo = true;
    enum errcode code = analyze_targets(a, s->targets, s->n_targets, s->n_queries, err);
    a->scope.has_pseudo = false;
    if (code != ERR_OK) {
        return code;
    }
    a->plan->search.limit_position = s->limit->position;
    if (analyze_where(a, s->where, err) != ERR_OK ||
        analyze_limit(a, s->limit, s->offset, err) != ERR_OK) {
        return err->code;
    }
    return operator_add(a, OPERATOR_search, NULL, err);
}
