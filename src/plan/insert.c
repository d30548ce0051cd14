/* INSERT: what it means.  operator_insert.c carries it out. */
#include "plan/analyze_int.h"

static enum errcode analyze_cell(struct analysis *a, const struct expr *e, uint32_t column,
                                 const struct program **out, struct err *err)
{
    const struct column *c = &a->plan->schema->columns[column];
    enum errcode code = analyze_constant(a, e, c->type, out, err);
    if (code != ERR_OK) {
        if (code == ERR_TYPE_MISMATCH) {
            err_prefix(err, "column \"%s\"", c->name);
            err_column(err, c->name);
        }
        return code;
    }
    if ((*out)->dim != 0 && (*out)->dim != c->dim) {
        err_at(err, e->position, ERR_WRONG_DIMENSION,
               "the vector has %u dimensions, and column \"%s\" has %u", (*out)->dim, c->name,
               c->dim);
        err_collection(err, a->plan->schema->name);
        err_column(err, c->name);
        return ERR_WRONG_DIMENSION;
    }
    return ERR_OK;
}

static enum errcode analyze_rows(struct analysis *a, const struct stmt_insert *s, struct err *err)
{
    struct insert_plan *plan = &a->plan->insert;
    plan->n_rows = s->n_rows;
    plan->rows = arena_array(a->scope.arena, s->n_rows, sizeof(*plan->rows));
    if (plan->rows == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < s->n_rows; i++) {
        plan->rows[i] =
            arena_array(a->scope.arena, plan->n_columns, sizeof(const struct program *));
        if (plan->rows[i] == NULL) {
            return err_no_memory(err);
        }
        for (size_t j = 0; j < plan->n_columns; j++) {
            enum errcode code =
                analyze_cell(a, s->rows[i][j], plan->columns[j], &plan->rows[i][j], err);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    return ERR_OK;
}

static enum errcode check_columns(const struct analysis *a, const struct stmt_insert *s,
                                  struct err *err)
{
    const struct insert_plan *plan = &a->plan->insert;
    const struct schema *schema = a->plan->schema;
    if (s->row_items != plan->n_columns) {
        err_at(err, s->n_columns > 0 ? s->columns[0].position : s->collection.position, ERR_SYNTAX,
               "INSERT %s %zu columns, and its rows have %zu values",
               s->n_columns > 0 ? "names" : "is into", plan->n_columns, s->row_items);
        err_hint(err, "Name the columns that the rows have values for.");
        return ERR_SYNTAX;
    }
    if (!mask_has(&plan->mask, 0)) {
        err_at(err, s->collection.position, ERR_NOT_NULL,
               "INSERT gives no value for the primary key \"%s\"", schema->columns[0].name);
        err_column(err, schema->columns[0].name);
        return ERR_NOT_NULL;
    }
    return ERR_OK;
}

enum errcode analyze_insert(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    const struct stmt_insert *s = &stmt->insert;
    struct insert_plan *plan = &a->plan->insert;
    if (analyze_collection(a, &s->collection, err) != ERR_OK ||
        analyze_with(a, &s->with, NULL, err) != ERR_OK ||
        analyze_columns(a, s->columns, s->n_columns, &plan->columns, &plan->n_columns, err) !=
            ERR_OK) {
        return err->code;
    }
    plan->on_conflict = s->on_conflict;
    for (size_t i = 0; i < plan->n_columns; i++) {
        mask_add(&plan->mask, plan->columns[i]);
    }
    if (check_columns(a, s, err) != ERR_OK || analyze_rows(a, s, err) != ERR_OK ||
        operator_add(a, OPERATOR_values, NULL, err) != ERR_OK) {
        return err->code;
    }
    return operator_add(a, OPERATOR_insert, NULL, err);
}
