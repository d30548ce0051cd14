/* SELECT: rows by key or by a scan, as they come, sorted, or counted.
 *
 *   as they come   each step opens a view, goes on behind the last row, and makes a batch
 *   ORDER BY       one step reads everything within one view and sorts; the next ones hand out
 *   count(*)       one step reads everything within one view (or asks the view how many there are)
 *
 * So a sorted or counted result is of one instant.  A large one that comes as it is read is of one
 * instant a batch; cursor.c says what that means for rows that change meanwhile. */
#include "query/analyze_int.h"
#include "query/cursor_int.h"
#include "query/explain_int.h"
#include "query/plan_int.h"
#include "query/portal_int.h"
#include "query/sort_int.h"
#include "query/verb_int.h"

#include "expr/expr.h"

#include <string.h>

struct select_state {
    struct cursor cursor;
    struct sorter *sorter;
    struct value *keys; /* Of ORDER BY, of one row. */
    size_t next_sorted;
    uint64_t wanted; /* LIMIT plus OFFSET. */
    uint64_t skipped, given;
    bool is_sorted;
};

/* ---- analysis ---- */

static bool is_same(const struct program *a, const struct program *b)
{
    return a->n_code == 1 && b->n_code == 1 && a->code[0].code == CODE_COLUMN &&
           b->code[0].code == CODE_COLUMN && a->code[0].at == b->code[0].at;
}

/* The column of the result that has this name; NULL where none has. */
static enum errcode find_output(const struct plan *plan, const struct expr *e,
                                const struct program **found, struct err *err)
{
    *found = NULL;
    for (size_t i = 0; i < plan->output.n; i++) {
        if (strcmp(plan->columns[i].name, e->name) != 0) {
            continue;
        }
        if (*found != NULL && !is_same(*found, plan->output.programs[i])) {
            err_at(err, e->position, ERR_AMBIGUOUS_COLUMN,
                   "ORDER BY \"%s\" is ambiguous: several columns of the result have this name",
                   e->name);
            err_hint(err, "Give them different names by AS, or write the place in the list.");
            return ERR_AMBIGUOUS_COLUMN;
        }
        *found = plan->output.programs[i];
    }
    return ERR_OK;
}

/* As in PostgreSQL: a number is a place in the select list, a name is first one of the result's. */
static enum errcode order_program(struct analysis *a, const struct expr *e,
                                  const struct program **out, struct err *err)
{
    const struct plan *plan = a->plan;
    bool is_place = e->kind == EXPR_LITERAL && e->value.type == TYPE_INT;
    if (is_place && (e->value.integer < 1 || (uint64_t)e->value.integer > plan->output.n)) {
        return err_at(err, e->position, ERR_BAD_REFERENCE,
                      "ORDER BY %lld is no place in the select list", (long long)e->value.integer);
    }
    if (is_place) {
        *out = plan->output.programs[e->value.integer - 1];
        return ERR_OK;
    }
    if (e->kind == EXPR_LITERAL) {
        err_at(err, e->position, ERR_SYNTAX, "ORDER BY a constant has no meaning");
        err_hint(err, "Write a column, an expression, or a place in the select list. Names are in "
                      "double quotes, if any.");
        return ERR_SYNTAX;
    }
    *out = NULL;
    enum errcode code = e->kind == EXPR_COLUMN ? find_output(plan, e, out, err) : ERR_OK;
    return code == ERR_OK && *out == NULL ? program_compile(&a->scope, e, TYPE_NULL, out, err)
                                          : code;
}

static enum errcode analyze_order(struct analysis *a, const struct stmt_select *s, struct err *err)
{
    struct select_plan *plan = &a->plan->select;
    plan->n_keys = s->n_order_by;
    plan->keys = arena_array(a->scope.arena, s->n_order_by, sizeof(*plan->keys));
    if (plan->keys == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < s->n_order_by; i++) {
        const struct order *order = &s->order_by[i];
        struct sort_key *key = &plan->keys[i];
        *key = (struct sort_key){.is_descending = order->is_descending,
                                 .nulls_first = order->nulls_first};
        enum errcode code = order_program(a, order->expr, &key->program, err);
        if (code != ERR_OK) {
            return code;
        }
        mask_merge(&a->plan->order_columns, &key->program->columns);
        if (key->program->type == TYPE_JSON || key->program->type == TYPE_VECTOR) {
            return err_at(err, order->expr->position, ERR_TYPE_MISMATCH,
                          "values of type %s have no order", type_name(key->program->type));
        }
    }
    return ERR_OK;
}

static enum errcode check_count(const struct analysis *a, const struct stmt_select *s,
                                struct err *err)
{
    const struct plan *plan = a->plan;
    for (size_t i = 0; i < plan->output.n; i++) {
        if (plan->output.programs[i]->is_per_row) {
            return err_at(err, s->targets[i].expr != NULL ? s->targets[i].expr->position : 0,
                          ERR_FEATURE_UNSUPPORTED, "columns cannot stand beside count(*)");
        }
    }
    if (s->n_order_by > 0) {
        return err_at(err, s->order_by[0].expr->position, ERR_FEATURE_UNSUPPORTED,
                      "ORDER BY cannot stand beside count(*): there is one row");
    }
    return ERR_OK;
}

static enum errcode analyze_select(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    const struct stmt_select *s = &stmt->select;
    enum errcode code = ERR_OK;
    if (s->collection.text != NULL) {
        code = analyze_collection(a, &s->collection, err);
    }
    if (code == ERR_OK) {
        code = analyze_with(a, &s->with, NULL, err);
    }
    if (code == ERR_OK) {
        a->scope.has_count = s->collection.text != NULL;
        code = analyze_targets(a, s->targets, s->n_targets, 0, err);
        a->scope.has_count = false;
    }
    if (code == ERR_OK) {
        code = analyze_where(a, s->where, err);
    }
    if (code == ERR_OK) {
        code = analyze_order(a, s, err);
    }
    if (code == ERR_OK) {
        code = analyze_limit(a, s->limit, s->offset, err);
    }
    a->plan->select.is_count = a->scope.used_count;
    return code == ERR_OK && a->scope.used_count ? check_count(a, s, err) : code;
}

/* ---- running ---- */

static enum errcode start_select(struct portal *p, struct err *err)
{
    struct select_state *state = arena_zalloc(p->arena, sizeof(*state));
    if (state == NULL) {
        return portal_no_memory(p, err);
    }
    p->verb_state = state;
    if (p->plan->schema == NULL) {
        return ERR_OK;
    }
    const struct select_plan *select = &p->plan->select;
    uint64_t rows;
    state->wanted = p->limit > UINT64_MAX - p->offset ? UINT64_MAX : p->limit + p->offset;
    enum errcode code = access_estimate(p, &rows, err);
    if (code != ERR_OK) {
        return code;
    }
    if (select->is_count && p->plan->access.where == NULL) {
        return ERR_OK; /* The view knows. */
    }
    if (select->n_keys == 0 && p->plan->access.where == NULL && state->wanted < rows) {
        rows = state->wanted;
    }
    p->is_heavy = rows > INLINE_ROWS_MAX;
    if (select->n_keys == 0) {
        return ERR_OK;
    }
    state->keys = arena_array(p->arena, select->n_keys, sizeof(*state->keys));
    state->sorter = sorter_new(select->keys, select->n_keys, p->plan->output.n, state->wanted, p);
    return state->keys != NULL && state->sorter != NULL ? ERR_OK : portal_no_memory(p, err);
}

static void end_select(struct portal *p)
{
    struct select_state *state = p->verb_state;
    if (state != NULL) {
        cursor_close(&state->cursor);
        sorter_free(state->sorter);
    }
}

static enum errcode emit_one(struct portal *p, struct err *err)
{
    if (p->offset > 0 || p->limit == 0) {
        return ERR_OK;
    }
    return portal_emit_output(p, err);
}

static enum errcode count_rows(struct portal *p, struct cursor *cursor, struct err *err)
{
    if (p->plan->access.where == NULL) {
        p->evaluator.count = (int64_t)shard_view_count(cursor->view);
        return ERR_OK;
    }
    bool found = true;
    enum errcode code = ERR_OK;
    p->evaluator.count = 0;
    while (code == ERR_OK && found) {
        code = cursor_next(cursor, &found, err);
        p->evaluator.count += found ? 1 : 0;
    }
    return code;
}

static enum errcode sort_row(struct portal *p, struct select_state *state, struct err *err)
{
    const struct select_plan *select = &p->plan->select;
    enum errcode code = cursor_decode(&state->cursor, &p->plan->order_columns, err);
    for (size_t i = 0; i < select->n_keys && code == ERR_OK; i++) {
        code = program_run(select->keys[i].program, &p->evaluator, &state->keys[i], err);
    }
    if (code != ERR_OK || !sorter_wants(state->sorter, state->keys)) {
        return code;
    }
    code = cursor_decode(&state->cursor, &p->plan->output.columns, err);
    if (code == ERR_OK) {
        code = portal_make_output(p, err);
    }
    return code == ERR_OK ? sorter_add(state->sorter, state->keys, p->output, err) : code;
}

static enum errcode sort_rows(struct portal *p, struct select_state *state, struct err *err)
{
    bool found = true;
    enum errcode code = ERR_OK;
    sorter_reset(state->sorter);
    while (code == ERR_OK && found) {
        code = cursor_next(&state->cursor, &found, err);
        if (code == ERR_OK && found) {
            code = sort_row(p, state, err);
        }
    }
    if (code == ERR_OK) {
        code = sorter_finish(state->sorter, err);
        state->next_sorted = p->offset < SIZE_MAX ? (size_t)p->offset : SIZE_MAX;
    }
    return code;
}

static enum step hand_out_sorted(struct portal *p, struct select_state *state, struct err *err)
{
    while (state->next_sorted < sorter_rows(state->sorter)) {
        if (portal_batch_is_full(p)) {
            return STEP_MORE;
        }
        if (portal_emit(p, sorter_row(state->sorter, state->next_sorted++), err) != ERR_OK) {
            return STEP_FAILED;
        }
    }
    return STEP_DONE;
}

/* The row at hand, as a row of the result. */
static enum errcode give_row(struct portal *p, struct select_state *state, struct err *err)
{
    enum errcode code = cursor_decode(&state->cursor, &p->plan->output.columns, err);
    if (code == ERR_OK) {
        code = portal_emit_output(p, err);
    }
    state->given += code == ERR_OK ? 1 : 0;
    return code;
}

/* Rows as they come, until the batch is full. */
static enum step read_batch(struct portal *p, struct select_state *state, struct err *err)
{
    bool found = true;
    while (state->given < p->limit && !portal_batch_is_full(p)) {
        enum errcode code = cursor_next(&state->cursor, &found, err);
        if (code == ERR_OK && found && state->skipped < p->offset) {
            state->skipped++;
            continue;
        }
        if (code == ERR_OK && found) {
            code = give_row(p, state, err);
        }
        if (code != ERR_OK) {
            cursor_back(&state->cursor);
            return STEP_FAILED;
        }
        if (!found) {
            return STEP_DONE;
        }
    }
    return state->given < p->limit ? STEP_MORE : STEP_DONE;
}

static enum step step_select(struct portal *p, struct err *err)
{
    struct select_state *state = p->verb_state;
    if (p->plan->schema == NULL) {
        bool matches;
        enum errcode code = program_matches(p->plan->access.where, &p->evaluator, &matches, err);
        if (code == ERR_OK && matches) {
            code = emit_one(p, err);
        }
        return code == ERR_OK ? STEP_DONE : STEP_FAILED;
    }
    bool is_sorted = state->sorter != NULL;
    if (is_sorted && state->is_sorted) {
        return hand_out_sorted(p, state, err);
    }
    if (is_sorted || p->plan->select.is_count) {
        state->cursor = (struct cursor){0};
    }
    if (cursor_open(&state->cursor, p, err) != ERR_OK) {
        return STEP_FAILED;
    }
    enum step step;
    if (p->plan->select.is_count) {
        enum errcode code = count_rows(p, &state->cursor, err);
        step = code == ERR_OK && emit_one(p, err) == ERR_OK ? STEP_DONE : STEP_FAILED;
    } else if (is_sorted) {
        state->is_sorted = sort_rows(p, state, err) == ERR_OK;
        step = state->is_sorted ? hand_out_sorted(p, state, err) : STEP_FAILED;
    } else {
        step = read_batch(p, state, err);
    }
    cursor_close(&state->cursor);
    return step;
}

/* ---- EXPLAIN ---- */

static void explain_select(struct portal *p, struct explain *out)
{
    const struct select_state *state = p->verb_state;
    if (p->plan->schema == NULL) {
        explain_text(out, "Plan", "one row without a collection");
        return;
    }
    explain_text(out, "Collection", "%s", p->plan->schema->name);
    if (p->plan->select.is_count && p->plan->access.where == NULL) {
        explain_text(out, "Plan", "count that is kept");
    } else {
        explain_access(out);
    }
    if (state->sorter != NULL) {
        explain_text(out, "Sort", p->limit != UINT64_MAX ? "first %llu rows kept" : "all rows",
                     (unsigned long long)state->wanted);
    }
    if (p->plan->is_analyze) {
        explain_number(out, "Rows looked at", (double)state->cursor.looked_at);
    }
}

const struct verb verb_select = {
    .needs_shard = true,
    .policies = 1ULL << POLICY_timeout | 1ULL << POLICY_statement_memory,
    .analyze = analyze_select,
    .start = start_select,
    .step = step_select,
    .end = end_select,
    .explain = explain_select,
};
