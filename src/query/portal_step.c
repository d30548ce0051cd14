/* What the steps of all verbs use: policies in force, values of programs, rows that are made. */
#include "query/database_int.h"
#include "query/portal_int.h"

#include "expr/expr.h"
#include "plan/plan.h"

#include <string.h>

enum {
    PARTS = 8, /* Of the budget.  What grows by doubling, and a row more, have room then. */
    BATCH_ROWS_MAX = 1024,       /* Rows that a step makes before they are handed out. */
    BATCH_BYTES_MAX = 512 << 10, /* The same, of texts and vectors. */
};

enum errcode portal_no_memory(const struct portal *p, struct err *err)
{
    char text[POLICY_TEXT_BYTES];
    struct policy_value budget = {.integer = (int64_t)p->budget_bytes};
    err_set(err, ERR_OUT_OF_MEMORY, "the statement needs more memory than statement_memory = %s",
            policy_format(text, POLICY_statement_memory, &budget));
    err_hint(err, "Ask for less at once (LIMIT, fewer columns), or raise statement_memory.");
    err_policy(err, "statement_memory");
    return ERR_OUT_OF_MEMORY;
}

size_t portal_part(const struct portal *p, size_t bytes_max)
{
    size_t part = p->budget_bytes / PARTS;
    return part < bytes_max ? part : bytes_max;
}

uint64_t portal_work(const struct portal *p)
{
    return p->work_spent + (uint64_t)(p->slice_left - p->work.left);
}

uint64_t portal_rows_wanted(const struct portal *p)
{
    return p->limit > UINT64_MAX - p->offset ? UINT64_MAX : p->limit + p->offset;
}

void portal_policy_view(const struct portal *p, struct policy_view *out)
{
    CHECK_HOT(p->file != NULL && p->set != NULL);
    *out = (struct policy_view){
        .levels = {[LEVEL_FILE] = &p->file->set,
                   [LEVEL_COLLECTION] = p->plan->schema != NULL ? &p->plan->schema->policies : NULL,
                   [LEVEL_SESSION] = p->set,
                   [LEVEL_STATEMENT] = p->with}};
}

enum errcode portal_eval(struct portal *p, const struct program *program, struct value *out,
                         struct err *err)
{
    CHECK(!program->is_per_row);
    CHECK_HOT(p->evaluator.arena != NULL);
    return program_run(program, &p->evaluator, out, err);
}

/* ---- rows ---- */

bool portal_batch_is_full(const struct portal *p)
{
    return p->batch.n_rows >= BATCH_ROWS_MAX || p->batch.bytes >= BATCH_BYTES_MAX ||
           arena_bytes(p->batch_arena) >= portal_part(p, SIZE_MAX);
}

static bool batch_grow(struct batch *batch, struct arena *arena)
{
    CHECK(batch->n_columns > 0 && batch->n_rows == batch->capacity_rows);
    size_t capacity = batch->capacity_rows == 0 ? 16 : batch->capacity_rows * 4;
    struct value *values = arena_array(arena, capacity * batch->n_columns, sizeof(*values));
    if (values == NULL) {
        return false;
    }
    if (batch->n_rows > 0) {
        memcpy(values, batch->values, batch->n_rows * batch->n_columns * sizeof(*values));
    }
    batch->values = values;
    batch->capacity_rows = capacity;
    return true;
}

bool batch_add(struct batch *batch, struct arena *arena, const struct value *values)
{
    CHECK_HOT(batch->n_rows <= batch->capacity_rows);
    if (batch->n_rows == batch->capacity_rows && !batch_grow(batch, arena)) {
        return false;
    }
    struct value *row = batch->values + batch->n_rows * batch->n_columns;
    for (size_t i = 0; i < batch->n_columns; i++) {
        if (!value_copy(&row[i], &values[i], arena)) {
            return false;
        }
        batch->bytes += value_bytes(&values[i]);
    }
    batch->n_rows++;
    return true;
}

enum errcode portal_emit(struct portal *p, const struct value *values, struct err *err)
{
    return batch_add(&p->batch, p->batch_arena, values) ? ERR_OK : portal_no_memory(p, err);
}

enum errcode output_run(const struct output *output, struct evaluator *evaluator,
                        struct value *values, struct err *err)
{
    for (size_t i = 0; i < output->n; i++) {
        enum errcode code = program_run(output->programs[i], evaluator, &values[i], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

enum errcode portal_emit_output(struct portal *p, struct err *err)
{
    enum errcode code = output_run(&p->plan->output, &p->evaluator, p->output, err);
    return code == ERR_OK ? portal_emit(p, p->output, err) : code;
}
