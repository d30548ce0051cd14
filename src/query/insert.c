/* INSERT: rows of expressions become one command, submitted as one write. */
#include "query/analyze_int.h"
#include "query/explain_int.h"
#include "query/pending_int.h"
#include "query/plan_int.h"
#include "query/portal_int.h"
#include "query/verb_int.h"

#include "expr/expr.h"

#include <string.h>

enum {
    INLINE_TEXT_BYTES_MAX = 64 << 10 /* Of one whose rows are built on its owner's thread. */
};

struct insert_state {
    struct portal_write write;
    bool is_submitted;
    struct value *values; /* One member a column of the schema. */
};

/* ---- analysis ---- */

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

static enum errcode analyze_insert(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    const struct stmt_insert *s = &stmt->insert;
    struct insert_plan *plan = &a->plan->insert;
    enum errcode code = analyze_collection(a, &s->collection, err);
    if (code == ERR_OK) {
        code = analyze_with(a, &s->with, NULL, err);
    }
    if (code == ERR_OK) {
        code = analyze_columns(a, s->columns, s->n_columns, &plan->columns, &plan->n_columns, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    plan->op = insert_op(s->on_conflict);
    for (size_t i = 0; i < plan->n_columns; i++) {
        mask_add(&plan->mask, plan->columns[i]);
    }
    code = check_columns(a, s, err);
    return code == ERR_OK ? analyze_rows(a, s, err) : code;
}

/* ---- running ---- */

static enum errcode start_insert(struct portal *p, struct err *err)
{
    struct insert_state *state = arena_zalloc(p->arena, sizeof(*state));
    if (state == NULL) {
        return portal_no_memory(p, err);
    }
    p->verb_state = state;
    state->values = arena_array(p->arena, p->plan->schema->n_columns, sizeof(*state->values));
    p->is_heavy = p->plan->text_bytes > INLINE_TEXT_BYTES_MAX;
    return state->values != NULL ? ERR_OK : portal_no_memory(p, err);
}

static enum errcode add_row(struct portal *p, struct shard_command *command, size_t row,
                            struct err *err)
{
    const struct insert_plan *plan = &p->plan->insert;
    struct value *values = ((struct insert_state *)p->verb_state)->values;
    for (uint32_t i = 0; i < p->plan->schema->n_columns; i++) {
        values[i] = value_null();
    }
    arena_reset(p->row_arena);
    for (size_t i = 0; i < plan->n_columns; i++) {
        enum errcode code =
            program_run(plan->rows[row][i], &p->evaluator, &values[plan->columns[i]], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    work_charge(&p->work, values_bytes(values, p->plan->schema->n_columns) / BYTES_A_UNIT);
    enum errcode code = shard_command_add(command, plan->op, values, plan->mask.bits, 0, err);
    if (code != ERR_OK && plan->n_rows > 1) {
        err_prefix(err, "row %zu", row + 1);
    }
    return code;
}

static enum errcode build(struct portal *p, struct shard_command **out, struct err *err)
{
    struct shard_command *command = shard_command_new(p->plan->schema, err);
    if (command == NULL) {
        return err->code;
    }
    for (size_t i = 0; i < p->plan->insert.n_rows; i++) {
        enum errcode code = work_spend(&p->work, ROW_WORK, err);
        if (code == ERR_OK) {
            code = add_row(p, command, i, err);
        }
        if (code != ERR_OK) {
            shard_command_free(command);
            return code;
        }
    }
    *out = command;
    return ERR_OK;
}

static enum step step_insert(struct portal *p, struct err *err)
{
    struct insert_state *state = p->verb_state;
    if (!state->is_submitted) {
        struct shard_command *command = NULL;
        if (build(p, &command, err) != ERR_OK ||
            portal_write_submit(p, &state->write, command, err) != ERR_OK) {
            return STEP_FAILED;
        }
        state->is_submitted = true;
    }
    const struct pending *pending = &state->write.pending;
    if (!pending_collect(&state->write.pending)) {
        return STEP_WAIT;
    }
    if (pending->err.code != ERR_OK) {
        *err = pending->err;
        return STEP_FAILED;
    }
    p->rows = state->write.write.rows;
    return STEP_DONE;
}

static void explain_insert(struct portal *p, struct explain *out)
{
    const struct insert_plan *plan = &p->plan->insert;
    static const char *const conflicts[] = {[SHARD_INSERT] = "error",
                                            [SHARD_INSERT_IGNORE] = "skip the row",
                                            [SHARD_UPSERT] = "replace the columns given"};
    explain_text(out, "Collection", "%s", p->plan->schema->name);
    explain_text(out, "Plan", "one command");
    explain_number(out, "Rows", (double)plan->n_rows);
    explain_text(out, "On conflict", "%s", conflicts[plan->op]);
}

static enum shard_op op_of(const struct plan *plan)
{
    return plan->insert.op;
}

const struct verb verb_insert = {
    .needs_shard = true,
    .op = op_of,
    .policies = 1ULL << POLICY_ack | 1ULL << POLICY_timeout | 1ULL << POLICY_statement_memory,
    .analyze = analyze_insert,
    .start = start_insert,
    .step = step_insert,
    .explain = explain_insert,
};
