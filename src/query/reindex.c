/* REINDEX: the indexes over a collection's vector columns are built anew, with other parameters
 * where WITH gives them.
 *
 *   start -> pool: shard_reindex for each column, while reads and writes go on
 */
#include "query/portal_int.h"
#include "query/verb_int.h"

#include "node/node.h"
#include "plan/plan.h"

static enum errcode start_reindex(struct portal *p, struct err *err)
{
    (void)err;
    p->is_heavy = true;
    return ERR_OK;
}

static void tell_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    portal_progress(arg, phase, done, total);
}

/* What the index has now, but for what WITH says. */
static struct index_parameters parameters_of(const struct portal *p, uint32_t column)
{
    bool is_reindexed;
    struct index_parameters out = shard_index_parameters(p->shard, column, &is_reindexed);
    const struct policy_set *with = p->plan->reindex.with;
    if ((with->is_set >> POLICY_m & 1) != 0) {
        out.m = (uint32_t)with->values[POLICY_m].integer;
    }
    if ((with->is_set >> POLICY_ef_construction & 1) != 0) {
        out.ef_construction = (uint32_t)with->values[POLICY_ef_construction].integer;
    }
    if ((with->is_set >> POLICY_quantization & 1) != 0) {
        struct column plain = {.dim = p->plan->schema->columns[column].dim};
        out.quantization = column_quantization(&plain, &with->values[POLICY_quantization]);
    }
    return out;
}

static bool is_to_end(void *arg)
{
    struct portal *p = arg;
    return portal_is_canceled(p) || collection_is_dropped(p->collection);
}

/* Says whether it was the client, the timeout, the end of the server or that of the collection. */
static enum errcode why_ended(struct portal *p, struct err *err)
{
    enum errcode code = portal_poll(p, err);
    return code == ERR_OK ? collection_was_dropped(p->collection, err) : code;
}

static enum errcode reindex_column(struct portal *p, uint32_t column, struct err *err)
{
    struct shard_reindex request = {.column = column,
                                    .parameters = parameters_of(p, column),
                                    .progress = tell_progress,
                                    .is_canceled = is_to_end,
                                    .arg = p};
    enum errcode code = shard_reindex(p->shard, &request, err);
    if (code == ERR_CANCELED) {
        code = why_ended(p, err);
    }
    if (code != ERR_OK) {
        err_prefix(err, "column \"%s\"", p->plan->schema->columns[column].name);
    }
    return code;
}

/* The indexes serve, whatever becomes of their files: a start would build them once more. */
static void write_down(struct portal *p)
{
    struct err why = {0};
    if (shard_checkpoint(p->shard, tell_progress, p, &why) != ERR_OK) {
        err_set(&p->notice, why.code, "the new index is in use, and not in its file yet: %s",
                why.message);
        err_hint(&p->notice, "It is tried again with the next CHECKPOINT, or by itself.");
        err_collection(&p->notice, p->plan->schema->name);
        p->has_notice = true;
    }
}

static enum step step_reindex(struct portal *p, struct err *err)
{
    const struct reindex_plan *plan = &p->plan->reindex;
    const struct schema *schema = p->plan->schema;
    const char *last_done = NULL;
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        if (schema->columns[i].type != TYPE_VECTOR || (plan->is_one && i != plan->column)) {
            continue;
        }
        if (reindex_column(p, i, err) != ERR_OK) {
            if (last_done != NULL) {
                err_detail(err, "The indexes up to that of column \"%s\" are new already.",
                           last_done);
            }
            return STEP_FAILED;
        }
        last_done = schema->columns[i].name;
    }
    write_down(p);
    return STEP_DONE;
}

const struct verb verb_reindex = {
    .needs_shard = true, .start = start_reindex, .step = step_reindex};
