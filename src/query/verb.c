/* Which verb a plan has: its own steps, or those of a tree of operators. */
#include "query/pending_int.h"
#include "query/tree_int.h"
#include "query/verb_int.h"

#include "plan/plan.h"

static enum shard_op op_of_insert(const struct plan *plan)
{
    return insert_op(plan->insert.on_conflict);
}

/* ---- trees of operators ---- */

static const struct verb verb_select = {
    .needs_shard = true,
    .start = operators_open,
    .step = operators_step,
    .end = operators_close,
    .explain = operators_explain,
};

const struct verb verb_search = {
    .needs_shard = true,
    .start = operators_open,
    .step = operators_step,
    .end = operators_close,
    .explain = operators_explain,
};

const struct verb verb_insert = {
    .needs_shard = true,
    .op = op_of_insert,
    .start = operators_open,
    .step = operators_step,
    .end = operators_close,
    .explain = operators_explain,
};

static const struct verb verb_modify = {
    .needs_shard = true,
    .op = modify_op,
    .start = operators_open,
    .step = operators_step,
    .end = operators_close,
    .explain = operators_explain,
};

static const struct verb verb_copy_in = {
    .needs_shard = true,
    .polls_itself = true,
    .start = operators_open,
    .step = operators_step,
    .end = operators_close,
};

/* COPY TO: what it has given is not given again. */
static const struct verb verb_copy_out = {
    .needs_shard = true,
    .keeps_steps = true,
    .start = operators_open,
    .step = operators_step,
    .end = operators_close,
};

/* ---- all ---- */

const struct verb *verb_of(const struct plan *plan)
{
    static const struct verb *const verbs[STMT_COUNT] = {
        [STMT_CREATE_COLLECTION] = &verb_create,
        [STMT_DROP_COLLECTION] = &verb_drop,
        [STMT_INSERT] = &verb_insert,
        [STMT_UPDATE] = &verb_modify,
        [STMT_DELETE] = &verb_modify,
        [STMT_SELECT] = &verb_select,
        [STMT_SEARCH] = &verb_search,
        [STMT_SET] = &verb_set,
        [STMT_SHOW] = &verb_show,
        [STMT_RESET] = &verb_reset,
        [STMT_DESCRIBE] = &verb_describe,
        [STMT_CHECKPOINT] = &verb_checkpoint,
        [STMT_REINDEX] = &verb_reindex,
    };
    const struct stmt *stmt = plan->stmt;
    if (stmt->kind == STMT_COPY) {
        return stmt->copy.is_from ? &verb_copy_in : &verb_copy_out;
    }
    return verbs[stmt->kind];
}
