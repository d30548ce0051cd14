/* SEARCH: the k nearest rows of each query vector.
 *
 *   queries -> search_choose -> per query: hits (distance, row number) -> order -> rows -> batch
 *
 * A hit of a walk may be gone when its row is fetched (deleted, or replaced under a new number):
 * the query is then searched again, SEARCH_TRIES_MAX times, and at last answered by a scan within
 * one view, which nothing can change.  The same scan answers where a filtered walk gave up, so
 * LIMIT rows come whenever that many match.  Rows come by distance, then by key. */
#include "query/query_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- analysis ---- */

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

static enum errcode wrong_dimension(const struct plan *plan, uint32_t dim, uint32_t position,
                                    struct err *err)
{
    const struct column *column = &plan->schema->columns[plan->search.column];
    err_at(err, position, ERR_WRONG_DIMENSION,
           "the query vector has %u dimensions, and column \"%s\" has %u", dim, column->name,
           column->dim);
    err_collection(err, plan->schema->name);
    err_column(err, column->name);
    return ERR_WRONG_DIMENSION;
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
            return wrong_dimension(a->plan, dim, e->position, err);
        }
    }
    return ERR_OK;
}

static enum errcode analyze_search(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    const struct stmt_search *s = &stmt->search;
    enum errcode code = analyze_collection(a, &s->collection, err);
    if (code == ERR_OK) {
        code = analyze_vector_column(a, s, err);
    }
    if (code == ERR_OK) {
        code = analyze_queries(a, s, err);
    }
    if (code == ERR_OK) {
        code = analyze_with(a, &s->with, NULL, err);
    }
    if (code == ERR_OK) {
        a->scope.has_pseudo = true;
        code = analyze_targets(a, s->targets, s->n_targets, s->n_queries, err);
        a->scope.has_pseudo = false;
    }
    if (code == ERR_OK) {
        code = analyze_where(a, s->where, err);
    }
    if (code == ERR_OK) {
        a->plan->search.limit_position = s->limit->position;
        code = analyze_limit(a, s->limit, s->offset, err);
    }
    return code;
}

/* ---- the query vectors ---- */

static enum errcode vector_of_key(struct portal *p, const struct value *key, uint32_t position,
                                  struct value *out, struct err *err)
{
    const struct schema *schema = p->plan->schema;
    uint32_t column = p->plan->search.column;
    struct shard_view *view;
    struct shard_row row;
    bool found = false;
    *out = value_null();
    if (key->type == TYPE_NULL) {
        return err_at(err, position, ERR_UNKNOWN_KEY, "the key of the query is NULL");
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
    }
    shard_view_close(view);
    if (code == ERR_OK && out->type == TYPE_NULL) {
        struct buf text;
        buf_init(&text, MEM_STATEMENT, 4096);
        value_format(&text, key);
        buf_u8(&text, 0);
        err_at(err, position, ERR_UNKNOWN_KEY, "%s \"%.200s\" in collection \"%s\"",
               found ? "there is no vector in the row with the key"
                     : "there is no row with the key",
               text.failed ? "..." : (const char *)text.data, schema->name);
        err_collection(err, schema->name);
        buf_fini(&text);
        return ERR_UNKNOWN_KEY;
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
        return wrong_dimension(p->plan, v->vector.dim, position, err);
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
    if (s->queries == NULL) {
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
            code = vector_of_key(p, &key, query->position, &value, err);
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

static void choose_ef(struct portal *p, struct search_state *s)
{
    s->ef = (size_t)p->force.ef;
    if (s->ef == 0) {
        s->ef = shard_ef_for(p->shard, p->plan->search.column, p->force.recall, s->k,
                             &s->ef_is_measured);
    }
    s->ef = s->ef < s->k ? s->k : s->ef;
}

static enum errcode start_search(struct portal *p, struct err *err)
{
    enum {
        INLINE_COST_NS = 2000000
    };
    struct search_state *s = arena_zalloc(p->arena, sizeof(*s));
    if (s == NULL) {
        return portal_no_memory(p, err);
    }
    p->verb_state = s;
    enum errcode code = check_limit(p, err);
    if (code == ERR_OK) {
        code = resolve_queries(p, s, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    s->k = (size_t)(p->limit + p->offset);
    choose_ef(p, s);
    s->hits = arena_array(p->arena, s->k + 1, sizeof(*s->hits));
    s->index_hits = arena_array(p->arena, s->k + 1, sizeof(*s->index_hits));
    if (s->hits == NULL || s->index_hits == NULL) {
        return portal_no_memory(p, err);
    }
    code = search_choose(p, s, err);
    p->is_heavy = s->cost_ns * (double)p->plan->search.n_queries > INLINE_COST_NS || is_lagging(p);
    return code;
}

static void end_search(struct portal *p)
{
    struct search_state *s = p->verb_state;
    if (s != NULL && s->view != NULL) {
        shard_view_close(s->view);
    }
}

/* ---- hits from the index ---- */

static bool filter(void *arg, uint64_t number)
{
    struct portal *p = arg;
    struct search_state *s = p->verb_state;
    const struct access *access = &p->plan->access;
    struct shard_row row;
    bool matches = false;
    if (s->filter_err.code != ERR_OK ||
        shard_view_get_number(s->view, number, &row, &matches, &s->filter_err) != ERR_OK ||
        !matches) {
        return false;
    }
    arena_reset(p->row_arena);
    enum errcode code = work_spend(&p->work, ROW_WORK + row.bytes / BYTES_A_UNIT, &s->filter_err);
    if (code == ERR_OK && !mask_is_empty(&access->columns)) {
        code = shard_row_decode(p->plan->schema, &row, access->columns.bits, p->evaluator.columns,
                                p->row_arena, &s->filter_err);
    }
    if (code == ERR_OK) {
        code = program_matches(access->where, &p->evaluator, &matches, &s->filter_err);
    }
    return code == ERR_OK && matches;
}

static bool is_canceled(void *arg)
{
    struct portal *p = arg;
    struct search_state *s = p->verb_state;
    return s->filter_err.code != ERR_OK ||
           work_spend(&p->work, INDEX_POLL_FLOATS, &s->filter_err) != ERR_OK;
}

static enum errcode search_index(struct portal *p, struct search_state *s, size_t q,
                                 enum search_way way, struct err *err)
{
    bool is_filtered = p->plan->access.where != NULL;
    bool is_exact = way == WAY_EXACT_SCAN;
    struct shard_search search = {
        .column = p->plan->search.column,
        .index = {.query = s->queries[q],
                  .k = s->k,
                  .ef = s->ef,
                  .plan = is_exact ? INDEX_EXACT : INDEX_WALK,
                  .matches = is_filtered ? filter : NULL,
                  .matches_arg = p,
                  .filter_visits_max = way == WAY_FILTERED_WALK ? s->filter_visits_max : 0,
                  .is_canceled = is_canceled,
                  .canceled_arg = p},
        .on_lag = p->force.on_lag,
        .index_lag_max = p->force.index_lag,
        .deadline_us = p->deadline_us,
    };
    s->work.is_complete = true;
    s->filter_err.code = ERR_OK;
    enum errcode code = shard_search(p->shard, &search, s->index_hits, &s->n_hits, &s->work, err);
    if (s->filter_err.code != ERR_OK) {
        *err = s->filter_err;
        return err->code;
    }
    for (size_t i = 0; i < s->n_hits; i++) {
        s->hits[i] = (struct search_hit){.distance = s->index_hits[i].distance,
                                         .number = s->index_hits[i].row};
    }
    return code;
}

/* ---- hits from rows ---- */

/* Further away first: the order of the heap. */
static bool is_farther(const struct search_hit *a, const struct search_hit *b)
{
    return a->distance > b->distance || (a->distance == b->distance && a->number > b->number);
}

static void heap_sift_down(struct search_hit *hits, size_t n)
{
    for (size_t i = 0;;) {
        size_t farthest = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < n; child++) {
            farthest = is_farther(&hits[child], &hits[farthest]) ? child : farthest;
        }
        if (farthest == i) {
            return;
        }
        struct search_hit hit = hits[i];
        hits[i] = hits[farthest];
        hits[farthest] = hit;
        i = farthest;
    }
}

static void heap_add(struct search_state *s, struct search_hit hit)
{
    if (s->n_hits == s->k) {
        if (s->k > 0 && is_farther(&s->hits[0], &hit)) {
            s->hits[0] = hit;
            heap_sift_down(s->hits, s->n_hits);
        }
        return;
    }
    size_t i = s->n_hits++;
    for (; i > 0 && is_farther(&hit, &s->hits[(i - 1) / 2]); i = (i - 1) / 2) {
        s->hits[i] = s->hits[(i - 1) / 2];
    }
    s->hits[i] = hit;
}

/* Every row that the access path takes, within s->view. */
static enum errcode search_rows(struct portal *p, struct search_state *s, size_t q, struct err *err)
{
    const struct plan *plan = p->plan;
    const struct column *column = &plan->schema->columns[plan->search.column];
    const struct value *vector = &p->evaluator.columns[plan->search.column];
    struct cursor cursor = {.portal = p, .access = &plan->access, .view = s->view};
    struct column_mask mask = {0};
    mask_add(&mask, plan->search.column);
    s->n_hits = 0;
    for (;;) {
        bool found;
        enum errcode code = cursor_next(&cursor, &found, err);
        if (code == ERR_OK && found) {
            code = cursor_decode(&cursor, &mask, err);
        }
        if (code != ERR_OK || !found) {
            s->work.filter_calls += plan->access.where != NULL ? cursor.looked_at : 0;
            metric_add(METRIC_searches_exact, 1);
            return code;
        }
        if (vector->type == TYPE_VECTOR) {
            s->work.distances++;
            work_charge(&p->work, column->dim);
            heap_add(s, (struct search_hit){.number = cursor.row.number,
                                            .distance =
                                                index_distance(column->distance, s->queries[q],
                                                               vector->vector.data, column->dim)});
        }
    }
}

/* ---- order ---- */

static int compare_hits(const void *a, const void *b)
{
    const struct search_hit *x = a, *y = b;
    if (x->distance != y->distance) {
        return x->distance < y->distance ? -1 : 1;
    }
    if (x->key.type != TYPE_NULL && y->key.type != TYPE_NULL) {
        return value_compare(&x->key, &y->key);
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

static enum errcode read_key(struct portal *p, struct search_state *s, struct search_hit *hit,
                             struct err *err)
{
    struct column_mask mask = {0};
    struct shard_row row;
    bool found;
    mask_add(&mask, 0);
    enum errcode code = shard_view_get_number(s->view, hit->number, &row, &found, err);
    if (code == ERR_OK && found) {
        code = shard_row_decode(p->plan->schema, &row, mask.bits, p->evaluator.columns,
                                p->row_arena, err);
        hit->key = p->evaluator.columns[0]; /* Borrowed from the view. */
    }
    return code;
}

/* By distance, then by key; keys are read only where distances are equal. */
static enum errcode order_hits(struct portal *p, struct search_state *s, struct err *err)
{
    qsort(s->hits, s->n_hits, sizeof(*s->hits), compare_hits);
    bool has_ties = false;
    for (size_t i = 0; i < s->n_hits; i++) {
        bool is_tie = (i > 0 && s->hits[i - 1].distance == s->hits[i].distance) ||
                      (i + 1 < s->n_hits && s->hits[i + 1].distance == s->hits[i].distance);
        enum errcode code = is_tie ? read_key(p, s, &s->hits[i], err) : ERR_OK;
        if (code != ERR_OK) {
            return code;
        }
        has_ties = has_ties || is_tie;
    }
    if (has_ties) {
        qsort(s->hits, s->n_hits, sizeof(*s->hits), compare_hits);
    }
    return ERR_OK;
}

/* ---- rows ---- */

/* Appends the rows of the hits behind OFFSET; *is_whole = false where one has vanished. */
static enum errcode fetch_rows(struct portal *p, struct search_state *s, size_t q, bool *is_whole,
                               struct err *err)
{
    struct batch mark = p->batch;
    const struct output *output = &p->plan->output;
    *is_whole = true;
    for (size_t i = (size_t)p->offset; i < s->n_hits; i++) {
        struct shard_row row;
        bool found;
        arena_reset(p->row_arena);
        enum errcode code = work_spend(&p->work, ROW_WORK, err);
        if (code == ERR_OK) {
            code = shard_view_get_number(s->view, s->hits[i].number, &row, &found, err);
        }
        if (code == ERR_OK && !found) {
            p->batch.n_rows = mark.n_rows;
            p->batch.bytes = mark.bytes;
            *is_whole = false;
            return ERR_OK;
        }
        if (code == ERR_OK && !mask_is_empty(&output->columns)) {
            code = shard_row_decode(p->plan->schema, &row, output->columns.bits,
                                    p->evaluator.columns, p->row_arena, err);
        }
        /* Plus zero: a DOT of -0 is shown as 0. */
        p->evaluator.pseudo[PSEUDO_DISTANCE] = value_float(s->hits[i].distance + 0.0);
        p->evaluator.pseudo[PSEUDO_QUERY] = value_int((int64_t)q + 1);
        if (code == ERR_OK) {
            code = portal_emit_output(p, err);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum errcode open_view(struct portal *p, struct search_state *s, struct err *err)
{
    return s->view != NULL ? ERR_OK : shard_view_open(p->shard, &s->view, err);
}

static void close_view(struct search_state *s)
{
    if (s->view != NULL) {
        shard_view_close(s->view);
        s->view = NULL;
    }
}

/* Whether fewer hits than were asked for may mean that some were missed. */
static bool is_short(const struct search_state *s)
{
    return !s->work.is_complete || (s->n_hits < s->k && s->n_hits < shard_view_count(s->view));
}

/* One try: hits of the way @way, then their rows. */
static enum errcode try_query(struct portal *p, struct search_state *s, size_t q,
                              enum search_way way, bool *is_whole, struct err *err)
{
    enum errcode code = ERR_OK;
    if (way != WAY_WALK) {
        code = open_view(p, s, err); /* The filter and the scan need it before the search. */
    }
    if (code == ERR_OK) {
        code =
            way == WAY_EXACT_MATCHES ? search_rows(p, s, q, err) : search_index(p, s, q, way, err);
    }
    if (code == ERR_OK) {
        code = open_view(p, s, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (way != WAY_EXACT_MATCHES && is_short(s)) {
        *is_whole = false;
        return ERR_OK;
    }
    code = order_hits(p, s, err);
    return code == ERR_OK ? fetch_rows(p, s, q, is_whole, err) : code;
}

/* What to try after a way that did not give all rows. */
static enum search_way next_way(const struct search_state *s, enum search_way way, unsigned tries)
{
    if (way == WAY_FILTERED_WALK) {
        return search_exact_way(s);
    }
    bool is_vanished = way == WAY_WALK && s->n_hits == s->k;
    return is_vanished && tries < SEARCH_TRIES_MAX ? WAY_WALK : WAY_EXACT_MATCHES;
}

static enum errcode run_query(struct portal *p, struct search_state *s, size_t q, struct err *err)
{
    enum search_way way = s->way;
    for (unsigned tries = 1;; tries++) {
        bool is_whole = true;
        enum errcode code = try_query(p, s, q, way, &is_whole, err);
        close_view(s);
        if (code != ERR_OK || is_whole) {
            return code;
        }
        CHECK(way != WAY_EXACT_MATCHES); /* Within one view nothing vanishes. */
        enum search_way next = next_way(s, way, tries);
        s->again += next == way ? 1 : 0;
        s->fell_back += next != way ? 1 : 0;
        way = next;
    }
}

static enum step step_search(struct portal *p, struct err *err)
{
    struct search_state *s = p->verb_state;
    size_t n_queries = p->plan->search.n_queries;
    while (s->next_query < n_queries && !portal_batch_is_full(p)) {
        struct batch mark = p->batch;
        if (s->k > 0 && run_query(p, s, s->next_query, err) != ERR_OK) {
            p->batch.n_rows = mark.n_rows; /* The query may be begun again. */
            p->batch.bytes = mark.bytes;
            return STEP_FAILED;
        }
        s->next_query++;
    }
    return s->next_query < n_queries ? STEP_MORE : STEP_DONE;
}

/* ---- EXPLAIN ---- */

static void explain_search(struct portal *p, struct explain *out)
{
    const struct search_state *s = p->verb_state;
    const struct plan *plan = p->plan;
    const struct column *column = &plan->schema->columns[plan->search.column];
    explain_text(out, "Collection", "%s", plan->schema->name);
    explain_text(out, "Column", "%s (%s, %u dimensions)", column->name,
                 distance_name(column->distance), column->dim);
    explain_text(out, "Plan", "%s", search_way_name(s->way));
    explain_number(out, "Queries", (double)plan->search.n_queries);
    explain_number(out, "Limit", (double)p->limit);
    explain_number(out, "Offset", (double)p->offset);
    if (plan->access.where != NULL) {
        explain_access(out);
    }
    if (s->n_sampled > 0) {
        explain_number(out, "Estimated selectivity", s->selectivity);
        explain_number(out, "Rows sampled", (double)s->n_sampled);
    }
    if (s->way == WAY_WALK || s->way == WAY_FILTERED_WALK) {
        explain_number(out, "ef", (double)s->ef);
        explain_text(out, "ef from", "%s",
                     p->force.ef != 0    ? "the policy ef"
                     : s->ef_is_measured ? "recall, as measured on this collection"
                                         : "recall, by a cautious rule (not measured yet)");
    }
    explain_number(out, "Estimated microseconds",
                   s->cost_ns / 1000 * (double)plan->search.n_queries);
    if (plan->is_analyze) {
        explain_number(out, "Distances", (double)s->work.distances);
        explain_number(out, "Hops", (double)s->work.hops);
        explain_number(out, "Tail rows", (double)s->work.tail_rows);
        explain_number(out, "Filter calls", (double)s->work.filter_calls);
        explain_number(out, "Searched again", (double)s->again);
        explain_number(out, "Fell back to an exact way", (double)s->fell_back);
    }
}

const struct verb verb_search = {
    .needs_shard = true,
    .policies = 1ULL << POLICY_recall | 1ULL << POLICY_ef | 1ULL << POLICY_exact |
                1ULL << POLICY_index_lag | 1ULL << POLICY_on_lag | 1ULL << POLICY_timeout |
                1ULL << POLICY_statement_memory,
    .analyze = analyze_search,
    .start = start_search,
    .step = step_search,
    .end = end_search,
    .explain = explain_search,
};
