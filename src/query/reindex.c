/* REINDEX: the indexes over a collection's vector columns are built anew, with other parameters
 * where WITH gives them.
 *
 *   start -> pool: shard_reindex for each column, while reads and writes go on
 */
#include "query/analyze_int.h"
#include "query/plan_int.h"
#include "query/portal_int.h"
#include "query/verb_int.h"

#include "node/node.h"

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

static enum errcode analyze_reindex(struct analysis *a, const struct stmt *stmt, struct err *err)
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
    if (code == ERR_OK) {
        const char *name = p->plan->schema->name;
        code = err_set(err, ERR_UNKNOWN_COLLECTION, "collection \"%s\" was dropped", name);
        err_collection(err, name);
    }
    return code;
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
    .needs_shard = true, .analyze = analyze_reindex, .start = start_reindex, .step = step_reindex};
