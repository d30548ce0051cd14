/* search: the k nearest rows of each query vector.
 *
 *   queries -> search_choose -> per query: search_query_rows -> batch
 *
 * Rows come by distance, then by key. */
#include "query/explain_int.h"
#include "query/lanes_int.h"
#include "query/prepared_int.h"
#include "query/search_int.h"
#include "query/verb_int.h"

#include <math.h>

/* ---- the query vectors ---- */

static enum errcode vector_of_key(struct portal *p, const struct value *key,
                                  const struct search_query *query, struct value *out,
                                  uint64_t *number, struct err *err)
{
    const struct schema *schema = p->plan->schema;
    uint32_t column = p->plan->search.column;
    struct shard_view *view;
    struct shard_row row;
    bool found = false;
    *out = value_null();
    if (key->type == TYPE_NULL) {
        return plan_unknown_key(p->plan, key, false, query->position, err);
    }
    enum errcode code = shard_view_open(p->shard, &view, err);
    if (code != ERR_OK) {
        return code;
    }
    code = shard_view_get(view, key, &row, &found, err);
    if (code == ERR_OK && found) {
        struct column_mask mask = {0};
        mask_add(&mask, column);
        code = shard_row_decode(schema, &row, mask.bits, p->evaluator.columns, p->arena, err);
        *out = p->evaluator.columns[column];
        *number = row.number;
    }
    shard_view_close(view);
    if (code == ERR_OK && out->type == TYPE_NULL) {
        code = plan_unknown_key(p->plan, key, found, query->position, err);
    }
    return code;
}

static enum errcode check_vector(struct portal *p, const struct value *v, uint32_t position,
                                 struct err *err)
{
    const struct column *column = &p->plan->schema->columns[p->plan->search.column];
    if (v->type != TYPE_VECTOR) {
        return err_at(err, position, ERR_TYPE_MISMATCH, "the query vector is NULL");
    }
    if (v->vector.dim != column->dim) {
        return plan_wrong_dimension(p->plan, v->vector.dim, position, err);
    }
    float sum = 0;
    for (uint32_t i = 0; i < v->vector.dim; i++) {
        sum += fabsf(v->vector.data[i]);
    }
    if (!isfinite(sum)) {
        for (uint32_t i = 0; i < v->vector.dim; i++) {
            if (!isfinite(v->vector.data[i])) {
                return err_at(err, position, ERR_NOT_FINITE,
                              "the query vector holds NaN or an infinity at element %u", i + 1);
            }
        }
    }
    if (sum == 0 && column->distance == DISTANCE_COSINE) {
        return err_at(err, position, ERR_ZERO_VECTOR,
                      "the query vector is zero and has no direction for COSINE");
    }
    return ERR_OK;
}

static enum errcode resolve_queries(struct portal *p, struct search_state *s, struct err *err)
{
    enum {
        KEY_WORK = 20000 /* To open a view and read a row. */
    };
    const struct search_plan *plan = &p->plan->search;
    s->queries = arena_array(p->arena, plan->n_queries, sizeof(*s->queries));
    s->from_rows = arena_array(p->arena, plan->n_queries, sizeof(*s->from_rows));
    if (s->queries == NULL || s->from_rows == NULL) {
        return portal_no_memory(p, err);
    }
    for (size_t i = 0; i < plan->n_queries; i++) {
        const struct search_query *query = &plan->queries[i];
        struct value value;
        enum errcode code = portal_eval(p, query->program, &value, err);
        if (code == ERR_OK && query->is_key) {
            code = work_spend(&p->work, KEY_WORK, err);
        }
        if (code == ERR_OK && query->is_key) {
            struct value key = value;
            code = vector_of_key(p, &key, query, &value, &s->from_rows[i], err);
        }
        if (code == ERR_OK) {
            code = check_vector(p, &value, query->position, err);
        }
        if (code != ERR_OK) {
            return code;
        }
        s->queries[i] = value.vector.data;
    }
    return ERR_OK;
}

/* ---- the start ---- */

static enum errcode check_limit(struct portal *p, struct err *err)
{
    uint64_t max = p->force.limit_max;
    if (p->limit > max || p->offset > max - p->limit) {
        err_at(err, p->plan->search.limit_position, ERR_LIMIT_OUT_OF_RANGE,
               "LIMIT plus OFFSET of a SEARCH may be %llu at the most", (unsigned long long)max);
        err_hint(err, "Raise the policy limit_max, or read large results by SELECT.");
        err_policy(err, "limit_max");
        return ERR_LIMIT_OUT_OF_RANGE;
    }
    return ERR_OK;
}

static bool is_lagging(struct portal *p)
{
    if (p->force.on_lag != ON_LAG_WAIT) {
        return false;
    }
    struct shard_figures figures;
    shard_figures(p->shard, &figures);
    return figures.index_lag > p->force.index_lag;
}

/* No column is asked for but the key. */
static bool is_of_index(const struct plan *plan)
{
    struct column_mask mask = plan->output.columns;
    mask.bits[0] &= ~UINT64_C(1);
    return plan->access.where == NULL && mask_is_empty(&mask);
}

static enum errcode open_search(struct operator_run *o, struct err *err)
{
    enum {
        INLINE_COST_NS = INLINE_WORK_MAX / 2, /* The half, so that few are given up. */
        TEAM_COST_NS = 300000, /* From here on a team is worth the change of threads. */
    };
    struct portal *p = o->portal;
    struct search_state *s = CONTAINER_OF(o, struct search_state, base);
    p->verb_state = s;
    enum errcode code = check_limit(p, err);
    if (code == ERR_OK) {
        code = resolve_queries(p, s, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    s->k = (size_t)(p->limit + p->offset);
    s->self = (struct searcher){
        .portal = p,
        .evaluator = &p->evaluator,
        .row_arena = p->row_arena,
        .work = &p->work,
        .hits = arena_array(p->arena, s->k + 1, sizeof(*s->self.hits)),
        .index_hits = arena_array(p->arena, s->k + 1, sizeof(*s->self.index_hits)),
    };
    if (s->self.hits == NULL || s->self.index_hits == NULL) {
        return portal_no_memory(p, err);
    }
    s->is_of_index = is_of_index(p->plan);
    s->self.lanes = lanes_of_access(p->plan, p->arena);
    code = search_choose(p, s, err);
    double cost_ns = s->cost_ns * (double)p->plan->search.n_queries;
    double most_ns = p->plan->search.n_queries > 1 ? TEAM_COST_NS : INLINE_COST_NS;
    atomic_store(&p->bound->search_cost_ns, (uint64_t)cost_ns);
    p->is_heavy = p->is_heavy || cost_ns > most_ns || is_lagging(p);
    return code;
}

static void close_search(struct operator_run *o)
{
    searcher_close_view(&CONTAINER_OF(o, struct search_state, base)->self);
}

/* ---- steps ---- */

/* A walk in vain for the next query is over and done, whatever is begun again. */
static bool is_given_up(const struct search_state *s)
{
    return s->is_given_up && s->given_up_query == s->next_query;
}

/* And what the plan did not know: that the query is unlike those that recall was measured with.  An
 * exact answer misses nothing. */
static enum errcode answer_query(struct portal *p, struct search_state *s, struct err *err)
{
    uint64_t beyond_before = s->self.done.beyond, sparser_before = s->self.done.sparser;
    enum errcode code = search_query_rows(p, s->next_query, err);
    if (code != ERR_OK || is_given_up(s) || s->self.done.beyond == beyond_before ||
        s->miss_beyond == MISS_SCANS) {
        return code;
    }
    bool is_sparse = s->self.done.sparser > sparser_before;
    metric_add(METRIC_recall_misses, 1);
    if (s->miss_beyond == MISS_FAILS) {
        return search_tell_beyond(p, is_sparse, err);
    }
    if (!p->has_notice) {
        (void)search_tell_beyond(p, is_sparse, &p->notice);
        p->has_notice = true;
    }
    return ERR_OK;
}

static enum step step_search(struct operator_run *o, struct err *err)
{
    struct portal *p = o->portal;
    struct search_state *s = CONTAINER_OF(o, struct search_state, base);
    size_t n_queries = p->plan->search.n_queries;
    if (s->is_miss_told && s->next_query == 0) {
        (void)search_tell_miss(p, s, &p->notice);
        p->has_notice = true;
    }
    while (s->next_query < n_queries && !portal_batch_is_full(p)) {
        struct batch mark = p->batch;
        struct index_work done = s->self.done;
        if (s->k > 0 && s->next_query >= s->first_found + s->n_found) {
            search_team_find(p);
        }
        if (s->k > 0 && answer_query(p, s, err) != ERR_OK) {
            p->batch.n_rows = mark.n_rows; /* The query may be begun again. */
            p->batch.bytes = mark.bytes;
            s->self.done = is_given_up(s) ? s->given_up_done : done;
            return STEP_FAILED;
        }
        s->next_query++;
    }
    return s->next_query < n_queries ? STEP_MORE : STEP_DONE;
}

/* ---- EXPLAIN ---- */

static const char *ef_origin(const struct portal *p, const struct shard_effort *e)
{
    static const double STRETCH_SHOWN = 1.005;
    if (p->force.ef != 0) {
        return "the policy ef";
    }
    if (e->verdict == SHARD_IS_NOT_MEASURED) {
        return "recall, by a cautious guess (not measured yet)";
    }
    if (p->force.rerank_depth != 0) {
        return "recall, as measured with rerank_depth = auto: nothing is promised";
    }
    return e->stretch < STRETCH_SHOWN ? "recall, as measured on this collection"
                                      : "recall, as measured, and more for what has changed since";
}

static void explain_effort(const struct portal *p, const struct search_state *s,
                           struct explain *out)
{
    const struct shard_effort *e = &s->effort;
    bool is_walk = s->way == WAY_WALK || s->way == WAY_FILTERED_WALK;
    bool is_promised = p->force.ef == 0 && p->force.rerank_depth == 0;
    if (is_walk) {
        explain_number(out, "ef", (double)s->ef);
        explain_text(out, "ef from", "%s", ef_origin(p, e));
    }
    if (is_walk && is_promised && e->verdict != SHARD_IS_NOT_MEASURED) {
        explain_text(out, "Measured recall", "%.4f (%.4f to %.4f)", e->recall, e->low, e->high);
    }
    if (s->why_exact != NULL) {
        explain_text(out, "Exact because", "%s", s->why_exact);
    }
}

static void explain(const struct operator_run *o, struct explain *out)
{
    const struct portal *p = o->portal;
    const struct search_state *s = CONTAINER_OF(o, struct search_state, base);
    const struct plan *plan = p->plan;
    const struct column *column = &plan->schema->columns[plan->search.column];
    explain_text(out, "Collection", "%s", plan->schema->name);
    explain_text(out, "Column", "%s (%s, %u dimensions)", column->name,
                 distance_name(column->distance), column->dim);
    explain_text(out, "Way", "%s", search_way_name(s->way));
    explain_number(out, "Queries", (double)plan->search.n_queries);
    explain_number(out, "Limit", (double)p->limit);
    explain_number(out, "Offset", (double)p->offset);
    if (plan->access.where != NULL) {
        explain_filter(out);
    }
    if (s->n_sampled > 0) {
        explain_number(out, "Estimated selectivity", s->selectivity);
        explain_number(out, "Rows sampled", (double)s->n_sampled);
    }
    explain_effort(p, s, out);
    explain_number(out, "Estimated milliseconds",
                   s->cost_ns / 1e6 * (double)plan->search.n_queries);
    if (plan->is_analyze) {
        explain_number(out, "Distances", (double)s->self.done.distances);
        explain_number(out, "Hops", (double)s->self.done.hops);
        explain_number(out, "Looked at exactly", (double)s->self.done.reranked);
        explain_number(out, "Exact walks", (double)s->self.done.exact_walks);
        explain_number(out, "Beyond what was measured", (double)s->self.done.beyond);
        explain_number(out, "Denser than measured", (double)s->self.done.denser);
        explain_number(out, "Sparser than measured", (double)s->self.done.sparser);
        explain_number(out, "Tail rows", (double)s->self.done.tail_rows);
        explain_number(out, "Filter calls", (double)s->self.done.filter_calls);
        explain_number(out, "Searched again", (double)s->again);
        explain_number(out, "Fell back to an exact way", (double)s->fell_back);
    }
}

const struct operator_kind operator_search = {
    .name = "search",
    .bytes = sizeof(struct search_state),
    .open = open_search,
    .close = close_search,
    .explain = explain,
    .step = step_search,
};
