/* UPDATE and DELETE: decided on a view, carried out by one command.
 *
 *   view -> rows that match -> REPLACE or DELETE with the stamp of each row -> command -> ack
 *     ^                                                                          |
 *     +----- a pause ----- CONFLICT: a row was changed meanwhile <---------------+
 *
 * A stamp says which version of a row was decided on, so nobody's change is lost: where one has
 * changed, none of the command happens and the statement decides again, until its timeout, or for
 * PATIENCE_US.  The pause between is of a length by chance, whose bound doubles with each
 * try: those who want the same row come one after another. */
#include "query/analyze_int.h"
#include "query/cursor_int.h"
#include "query/explain_int.h"
#include "query/pending_int.h"
#include "query/plan_int.h"
#include "query/portal_int.h"
#include "query/verb_int.h"

#include "expr/expr.h"

enum {
    PAUSE_US_FIRST = 1000,
    PAUSE_DOUBLINGS_MAX = 5,
    TRIES_MIN = 10,         /* Before it is CONFLICT, */
    PATIENCE_US = 10000000, /* and the time that it tries for, where there is no timeout. */
};

struct modify_state {
    struct portal_write write;
    struct cursor cursor;
    struct value *values; /* The new row. */
    bool is_submitted;
    uint64_t n_rows;
    unsigned tries;
    uint64_t first_try_us;
};

/* ---- analysis ---- */

static enum errcode analyze_set(struct analysis *a, const struct stmt_update *s, struct err *err)
{
    struct modify_plan *plan = &a->plan->modify;
    struct column_mask seen = {0};
    plan->n_set = s->n_set;
    plan->columns = arena_array(a->scope.arena, s->n_set, sizeof(*plan->columns));
    plan->values = arena_array(a->scope.arena, s->n_set, sizeof(const struct program *));
    if (plan->columns == NULL || plan->values == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < s->n_set; i++) {
        const struct name *name = &s->set[i].column;
        enum errcode code = analyze_column(a, name, &plan->columns[i], err);
        if (code != ERR_OK) {
            return code;
        }
        if (plan->columns[i] == 0) {
            err_at(err, name->position, ERR_FEATURE_UNSUPPORTED,
                   "the primary key \"%s\" of a row cannot be changed", name->text);
            err_hint(err, "Insert the row under its new key and delete the old one.");
            return ERR_FEATURE_UNSUPPORTED;
        }
        if (mask_has(&seen, plan->columns[i])) {
            return err_at(err, name->position, ERR_DUPLICATE_COLUMN, "column \"%s\" is set twice",
                          name->text);
        }
        mask_add(&seen, plan->columns[i]);
        enum value_type type = a->plan->schema->columns[plan->columns[i]].type;
        code = program_compile(&a->scope, s->set[i].value, type, &plan->values[i], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum errcode analyze_modify(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    bool is_delete = stmt->kind == STMT_DELETE;
    const struct name *collection = is_delete ? &stmt->del.collection : &stmt->update.collection;
    const struct options *with = is_delete ? &stmt->del.with : &stmt->update.with;
    struct modify_plan *plan = &a->plan->modify;
    plan->is_delete = is_delete;
    enum errcode code = analyze_collection(a, collection, err);
    if (code == ERR_OK) {
        code = analyze_with(a, with, NULL, err);
    }
    if (code == ERR_OK && !is_delete) {
        code = analyze_set(a, &stmt->update, err);
    }
    if (code == ERR_OK) {
        code = analyze_where(a, is_delete ? stmt->del.where : stmt->update.where, err);
    }
    if (code == ERR_OK) {
        uint32_t n = is_delete ? 1 : a->plan->schema->n_columns; /* DELETE needs the key alone. */
        for (uint32_t i = 0; i < n; i++) {
            mask_add(&plan->reads, i);
        }
    }
    return code;
}

/* ---- running ---- */

static enum errcode start_modify(struct portal *p, struct err *err)
{
    struct modify_state *state = arena_zalloc(p->arena, sizeof(*state));
    if (state == NULL) {
        return portal_no_memory(p, err);
    }
    p->verb_state = state;
    state->values = arena_array(p->arena, p->plan->schema->n_columns, sizeof(*state->values));
    if (state->values == NULL) {
        return portal_no_memory(p, err);
    }
    uint64_t rows;
    enum errcode code = access_estimate(p, &rows, err);
    p->is_heavy = code == ERR_OK && rows > INLINE_ROWS_MAX;
    return code;
}

static void end_modify(struct portal *p)
{
    struct modify_state *state = p->verb_state;
    if (state != NULL) {
        cursor_close(&state->cursor);
    }
}

static enum shard_op modify_op(const struct plan *plan)
{
    return plan->modify.is_delete ? SHARD_DELETE : SHARD_REPLACE;
}

static enum errcode add_row(struct portal *p, struct shard_command *command, struct err *err)
{
    const struct modify_plan *plan = &p->plan->modify;
    struct modify_state *state = p->verb_state;
    enum errcode code = cursor_decode(&state->cursor, &plan->reads, err);
    if (code != ERR_OK) {
        return code;
    }
    for (uint32_t i = 0; i < p->plan->schema->n_columns; i++) {
        bool is_read = mask_has(&plan->reads, i);
        state->values[i] = is_read ? p->evaluator.columns[i] : value_null();
    }
    for (size_t i = 0; i < plan->n_set && code == ERR_OK; i++) {
        code = program_run(plan->values[i], &p->evaluator, &state->values[plan->columns[i]], err);
    }
    if (code != ERR_OK) {
        return code;
    }
    work_charge(&p->work, values_bytes(state->values, p->plan->schema->n_columns) / BYTES_A_UNIT);
    static const struct column_mask all = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    code = shard_command_add(command, modify_op(p->plan), state->values, all.bits,
                             shard_row_stamp(&state->cursor.row), err);
    if (code == ERR_STATEMENT_TOO_LONG) {
        err_hint(err, "One statement is one atomic write. Change fewer rows at once by WHERE.");
    }
    return code;
}

static enum errcode decide(struct portal *p, struct shard_command *command, struct err *err)
{
    struct modify_state *state = p->verb_state;
    bool found = true;
    state->n_rows = 0;
    state->cursor = (struct cursor){0};
    enum errcode code = cursor_open(&state->cursor, p, err);
    while (code == ERR_OK && found) {
        code = cursor_next(&state->cursor, &found, err);
        if (code == ERR_OK && found) {
            code = add_row(p, command, err);
            state->n_rows++;
        }
    }
    cursor_close(&state->cursor);
    return code;
}

static enum errcode submit(struct portal *p, struct err *err)
{
    struct modify_state *state = p->verb_state;
    struct shard_command *command = shard_command_new(p->plan->schema, err);
    if (command == NULL) {
        return err->code;
    }
    enum errcode code = decide(p, command, err);
    if (code != ERR_OK || state->n_rows == 0) {
        shard_command_free(command);
        return code;
    }
    state->is_submitted = true;
    state->tries++;
    state->first_try_us = state->tries == 1 ? clock_micros() : state->first_try_us;
    return portal_write_submit(p, &state->write, command, err);
}

static bool may_try_again(const struct portal *p)
{
    const struct modify_state *state = p->verb_state;
    return p->deadline_us != 0 || state->tries < TRIES_MIN ||
           clock_micros() - state->first_try_us < PATIENCE_US;
}

static enum step step_modify(struct portal *p, struct err *err)
{
    struct modify_state *state = p->verb_state;
    if (portal_is_pausing(p)) {
        return STEP_WAIT;
    }
    if (!state->is_submitted && submit(p, err) != ERR_OK) {
        return STEP_FAILED;
    }
    if (!state->is_submitted) {
        return STEP_DONE; /* No row matched. */
    }
    if (!pending_collect(&state->write.pending)) {
        return STEP_WAIT;
    }
    enum errcode code = state->write.pending.err.code;
    if (code == ERR_CONFLICT && may_try_again(p)) {
        unsigned doublings =
            state->tries < PAUSE_DOUBLINGS_MAX ? state->tries : PAUSE_DOUBLINGS_MAX;
        portal_pause(p, (uint64_t)PAUSE_US_FIRST << doublings);
        state->is_submitted = false;
        return STEP_WAIT;
    }
    if (code != ERR_OK) {
        *err = state->write.pending.err;
        return STEP_FAILED;
    }
    p->rows = state->n_rows;
    return STEP_DONE;
}

static void explain_modify(struct portal *p, struct explain *out)
{
    const struct modify_state *state = p->verb_state;
    explain_text(out, "Collection", "%s", p->plan->schema->name);
    explain_access(out);
    explain_text(out, "Write", "%s", p->plan->modify.is_delete ? "delete" : "replace");
    if (p->plan->is_analyze) {
        explain_number(out, "Rows looked at", (double)state->cursor.looked_at);
        explain_number(out, "Decisions", (double)state->tries);
    }
}

const struct verb verb_modify = {
    .needs_shard = true,
    .op = modify_op,
    .policies = 1ULL << POLICY_ack | 1ULL << POLICY_timeout | 1ULL << POLICY_statement_memory,
    .analyze = analyze_modify,
    .start = start_modify,
    .step = step_modify,
    .end = end_modify,
    .explain = explain_modify,
};
