/* The hits of one query vector: from the index, or from all rows that match; then their order.
 *
 * A hit's label orders rows as their keys do.  Where two rows at one distance have equal labels and
 * the label is not all of the key, the keys themselves are read. */
#include "query/search_int.h"

#include <stdlib.h>

enum errcode searcher_open_view(struct searcher *self, struct err *err)
{
    return self->view != NULL ? ERR_OK : shard_view_open(self->portal->shard, &self->view, err);
}

void searcher_close_view(struct searcher *self)
{
    if (self->view != NULL) {
        shard_view_close(self->view);
        self->view = NULL;
    }
}

/* The row at hand, whose columns of the WHERE have been decoded. */
static enum errcode test_at_hand(struct searcher *self, const struct shard_columns *columns,
                                 bool *matches, struct err *err)
{
    self->rows_read += columns->rows_read;
    enum errcode code = work_spend(self->work, CELL_WORK + ROW_WORK * columns->rows_read, err);
    return code == ERR_OK
               ? program_matches(self->portal->plan->access.where, self->evaluator, matches, err)
               : code;
}

static struct shard_columns columns_of(struct searcher *self, const struct column_mask *wanted)
{
    return (struct shard_columns){
        .wanted = wanted->bits, .values = self->evaluator->columns, .arena = self->row_arena};
}

enum errcode search_test_row(struct searcher *self, uint64_t number, bool *matches, bool *found,
                             struct err *err)
{
    struct shard_columns columns = columns_of(self, &self->portal->plan->access.columns);
    *matches = false;
    arena_reset(self->row_arena);
    enum errcode code = shard_view_columns(self->view, number, &columns, found, err);
    return code == ERR_OK && *found ? test_at_hand(self, &columns, matches, err) : code;
}

/* ---- hits from the index ---- */

static bool filter(void *arg, uint64_t number)
{
    struct searcher *self = arg;
    bool matches = false, is_found = false;
    if (self->filter_err.code != ERR_OK) {
        return false;
    }
    enum errcode code = search_test_row(self, number, &matches, &is_found, &self->filter_err);
    return code == ERR_OK && matches;
}

static bool is_canceled(void *arg)
{
    struct searcher *self = arg;
    return self->filter_err.code != ERR_OK ||
           work_spend(self->work, INDEX_POLL_FLOATS, &self->filter_err) != ERR_OK;
}

/* The key is borrowed from the view; NULL where there is no such row. */
static enum errcode read_key(struct searcher *self, uint64_t number, struct value *key,
                             struct err *err)
{
    struct column_mask mask = {0};
    bool found;
    mask_add(&mask, 0);
    struct shard_columns columns = {
        .wanted = mask.bits, .values = self->evaluator->columns, .arena = self->row_arena};
    enum errcode code = shard_view_columns(self->view, number, &columns, &found, err);
    *key = code == ERR_OK && found ? self->evaluator->columns[0] : value_null();
    return code;
}

/* Of rows whose labels are equal.  Where that cannot be told now they are as good as equal: a row
 * that is not there is found out later. */
static int compare_rows(void *arg, uint64_t row_a, uint64_t row_b)
{
    struct searcher *self = arg;
    struct value a, b;
    if (self->filter_err.code != ERR_OK || searcher_open_view(self, &self->filter_err) != ERR_OK ||
        read_key(self, row_a, &a, &self->filter_err) != ERR_OK ||
        read_key(self, row_b, &b, &self->filter_err) != ERR_OK) {
        return 0;
    }
    return a.type == TYPE_NULL || b.type == TYPE_NULL ? 0 : value_compare(&a, &b);
}

static enum errcode find_in_index(struct searcher *self, size_t q, enum search_way way,
                                  struct err *err)
{
    const struct portal *p = self->portal;
    const struct search_state *s = p->verb_state;
    bool is_exact = way == WAY_EXACT_SCAN;
    struct shard_search search = {
        .column = p->plan->search.column,
        .index = {.query = s->queries[q],
                  .k = s->k,
                  .ef = s->ef,
                  .rerank_depth = (size_t)p->force.rerank_depth,
                  .plan = is_exact ? INDEX_EXACT : INDEX_WALK,
                  .matches = p->plan->access.where != NULL ? filter : NULL,
                  .matches_arg = self,
                  .filter_visits_max = way == WAY_FILTERED_WALK ? s->filter_visits_max : 0,
                  .has_from_row = p->plan->search.queries[q].is_key,
                  .from_row = s->from_rows[q],
                  .compare = shard_labels_are_keys(p->plan->schema) ? NULL : compare_rows,
                  .compare_arg = self,
                  .is_canceled = is_canceled,
                  .canceled_arg = self},
        .is_of_row = p->plan->search.queries[q].is_key,
        .on_lag = p->force.on_lag,
        .index_lag_max = p->force.index_lag,
        .deadline_us = p->deadline_us,
    };
    self->done.is_complete = true;
    self->filter_err.code = ERR_OK;
    self->rows_end = shard_rows_end(p->shard);
    enum errcode code =
        shard_search(p->shard, &search, self->index_hits, &self->n_hits, &self->done, err);
    if (self->filter_err.code != ERR_OK) {
        *err = self->filter_err;
        return err->code;
    }
    for (size_t i = 0; i < self->n_hits; i++) {
        const struct index_hit *hit = &self->index_hits[i];
        self->hits[i] =
            (struct search_hit){.distance = hit->distance, .number = hit->row, .label = hit->label};
    }
    return code;
}

/* ---- order ---- */

static int compare_hits(const void *a, const void *b)
{
    const struct search_hit *x = a, *y = b;
    if (x->distance != y->distance) {
        return x->distance < y->distance ? -1 : 1;
    }
    if (x->label != y->label) {
        return x->label < y->label ? -1 : 1;
    }
    if (x->key.type != TYPE_NULL && y->key.type != TYPE_NULL) {
        int order = value_compare(&x->key, &y->key);
        if (order != 0) {
            return order;
        }
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

static bool is_tie(const struct search_hit *a, const struct search_hit *b)
{
    return a->distance == b->distance && a->label == b->label;
}

static bool is_sorted(const struct searcher *self)
{
    for (size_t i = 1; i < self->n_hits; i++) {
        if (compare_hits(&self->hits[i - 1], &self->hits[i]) > 0) {
            return false;
        }
    }
    return true;
}

/* Most often the index has put them in order. */
static void sort(struct searcher *self)
{
    if (!is_sorted(self)) {
        qsort(self->hits, self->n_hits, sizeof(*self->hits), compare_hits);
    }
}

enum errcode search_order(struct searcher *self, struct err *err)
{
    struct search_hit *hits = self->hits;
    bool has_ties = false;
    sort(self);
    for (size_t i = 1; i < self->n_hits && !has_ties; i++) {
        has_ties = is_tie(&hits[i - 1], &hits[i]);
    }
    if (!has_ties || shard_labels_are_keys(self->portal->plan->schema)) {
        return ERR_OK;
    }
    for (size_t i = 0; i < self->n_hits; i++) {
        bool is_one = (i > 0 && is_tie(&hits[i - 1], &hits[i])) ||
                      (i + 1 < self->n_hits && is_tie(&hits[i], &hits[i + 1]));
        enum errcode code = is_one ? read_key(self, hits[i].number, &hits[i].key, err) : ERR_OK;
        if (code != ERR_OK) {
            return code;
        }
    }
    sort(self);
    return ERR_OK;
}

/* ---- hits from rows ---- */

/* Further away first: the order of the heap.  Keys have been read where the label leaves a tie. */
static bool is_farther(const struct search_hit *a, const struct search_hit *b)
{
    return compare_hits(a, b) > 0;
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

static void heap_add(struct searcher *self, size_t k, struct search_hit hit)
{
    struct search_hit *hits = self->hits;
    if (self->n_hits == k) {
        if (k > 0 && is_farther(&hits[0], &hit)) {
            hits[0] = hit;
            heap_sift_down(hits, self->n_hits);
        }
        return;
    }
    size_t i = self->n_hits++;
    for (; i > 0 && is_farther(&hit, &hits[(i - 1) / 2]); i = (i - 1) / 2) {
        hits[i] = hits[(i - 1) / 2];
    }
    hits[i] = hit;
}

/* Adds the row, which matches; its key and vector are read. */
static enum errcode add_row(struct searcher *self, size_t q, uint64_t number, struct err *err)
{
    const struct plan *plan = self->portal->plan;
    const struct search_state *s = self->portal->verb_state;
    const struct column *column = &plan->schema->columns[plan->search.column];
    const struct value *columns = self->evaluator->columns;
    const struct value *vector = &columns[plan->search.column];
    struct column_mask mask = {0};
    bool found;
    mask_add(&mask, plan->search.column);
    mask_add(&mask, 0);
    struct shard_columns wanted = columns_of(self, &mask);
    enum errcode code = shard_view_columns(self->view, number, &wanted, &found, err);
    if (code != ERR_OK || !found || vector->type != TYPE_VECTOR) {
        return code;
    }
    self->done.distances++;
    heap_add(
        self, s->k,
        (struct search_hit){.number = number,
                            .label = shard_label_of_key(&columns[0]),
                            .key = shard_labels_are_keys(plan->schema) ? value_null() : columns[0],
                            .distance = index_distance(column->distance, s->queries[q],
                                                       vector->vector.data, column->dim)});
    return work_spend(self->work, ROW_WORK + column->dim, err);
}

/* The rows that the access path names, within the view. */
static enum errcode find_in_keys(struct searcher *self, size_t q, struct err *err)
{
    struct portal *p = self->portal;
    struct cursor cursor = {.portal = p, .access = &p->plan->access, .view = self->view};
    for (;;) {
        bool found;
        enum errcode code = cursor_next(&cursor, &found, err);
        if (code == ERR_OK && found) {
            code = add_row(self, q, cursor.row.number, err);
        }
        if (code != ERR_OK || !found) {
            self->done.filter_calls += cursor.looked_at;
            return code;
        }
    }
}

/* Every row that matches, within the view. */
static enum errcode find_in_rows(struct searcher *self, size_t q, struct err *err)
{
    const struct access *access = &self->portal->plan->access;
    uint64_t n_expected = shard_view_count(self->view), n_seen = 0;
    for (uint64_t number = 0;; number++) {
        struct shard_columns columns = columns_of(self, &access->columns);
        bool found, matches = true;
        arena_reset(self->row_arena);
        enum errcode code = shard_view_next_columns(self->view, &number, &columns, &found, err);
        if (code != ERR_OK || !found) {
            return code;
        }
        if (access->where != NULL) {
            self->done.filter_calls++;
            code = test_at_hand(self, &columns, &matches, err);
        }
        if (code == ERR_OK && matches) {
            code = add_row(self, q, number, err);
        }
        if (code != ERR_OK) {
            return code;
        }
        if (++n_seen % PROGRESS_ROWS == 0) {
            portal_progress(self->portal, "scan", n_seen, n_expected);
        }
    }
}

static enum errcode find_exactly(struct searcher *self, size_t q, struct err *err)
{
    bool is_scan = self->portal->plan->access.kind == ACCESS_SCAN;
    self->n_hits = 0;
    metric_add(METRIC_searches_exact, 1);
    return is_scan ? find_in_rows(self, q, err) : find_in_keys(self, q, err);
}

enum errcode search_find(struct searcher *self, size_t q, enum search_way way, struct err *err)
{
    return way == WAY_EXACT_MATCHES ? find_exactly(self, q, err) : find_in_index(self, q, way, err);
}
