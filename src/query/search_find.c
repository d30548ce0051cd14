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

enum errcode search_test_at_hand(struct searcher *self, const struct shard_columns *columns,
                                 bool *matches, struct err *err)
{
    self->rows_read += columns->rows_read;
    enum errcode code = work_spend(self->work, CELL_WORK + ROW_WORK * columns->rows_read, err);
    return code == ERR_OK
               ? program_matches(self->portal->plan->access.where, self->evaluator, matches, err)
               : code;
}

struct shard_columns search_columns_of(struct searcher *self, const struct column_mask *wanted)
{
    return (struct shard_columns){
        .wanted = wanted->bits, .values = self->evaluator->columns, .arena = self->row_arena};
}

enum errcode search_test_row(struct searcher *self, uint64_t number, bool *matches, bool *found,
                             struct err *err)
{
    struct shard_columns columns = search_columns_of(self, &self->portal->plan->access.columns);
    *matches = false;
    arena_reset(self->row_arena);
    enum errcode code = shard_view_columns(self->view, number, &columns, found, err);
    return code == ERR_OK && *found ? search_test_at_hand(self, &columns, matches, err) : code;
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

enum errcode search_read_key(struct searcher *self, uint64_t number, struct value *key,
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
        search_read_key(self, row_a, &a, &self->filter_err) != ERR_OK ||
        search_read_key(self, row_b, &b, &self->filter_err) != ERR_OK) {
        return 0;
    }
    return a.type == TYPE_NULL || b.type == TYPE_NULL ? 0 : value_compare(&a, &b);
}

enum errcode search_call_index(struct searcher *self, size_t q, struct shard_search *search,
                               size_t *n, struct err *err)
{
    const struct portal *p = self->portal;
    const struct search_state *s = p->verb_state;
    search->column = p->plan->search.column;
    search->is_of_row = p->plan->search.queries[q].is_key;
    search->on_lag = p->force.on_lag;
    search->index_lag_max = p->force.index_lag;
    search->deadline_us = p->deadline_us;
    search->index.query = s->queries[q];
    search->index.k = s->k;
    search->index.compare = shard_labels_are_keys(p->plan->schema) ? NULL : compare_rows;
    search->index.compare_arg = self;
    search->index.is_canceled = is_canceled;
    search->index.canceled_arg = self;
    self->done.is_complete = true;
    self->filter_err.code = ERR_OK;
    self->rows_end = shard_rows_end(p->shard);
    enum errcode code = shard_search(p->shard, search, self->index_hits, n, &self->done, err);
    if (self->filter_err.code != ERR_OK) {
        *err = self->filter_err;
        return err->code;
    }
    return code;
}

static enum errcode find_in_index(struct searcher *self, size_t q, enum search_way way,
                                  struct err *err)
{
    const struct portal *p = self->portal;
    const struct search_state *s = p->verb_state;
    struct shard_search search = {
        .index = {.ef = s->ef,
                  .rerank_depth = (size_t)p->force.rerank_depth,
                  .plan = way == WAY_EXACT_SCAN ? INDEX_EXACT : INDEX_WALK,
                  .matches = p->plan->access.where != NULL ? filter : NULL,
                  .matches_arg = self,
                  .filter_calls_max = way == WAY_FILTERED_WALK ? s->filter_calls_max : 0,
                  .has_from_row = p->plan->search.queries[q].is_key,
                  .from_row = s->from_rows[q]},
    };
    enum errcode code = search_call_index(self, q, &search, &self->n_hits, err);
    for (size_t i = 0; i < self->n_hits; i++) {
        self->hits[i] = search_hit_of(&self->index_hits[i]);
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
        enum errcode code =
            is_one ? search_read_key(self, hits[i].number, &hits[i].key, err) : ERR_OK;
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

void search_add_hit(struct searcher *self, size_t k, struct search_hit hit)
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

enum errcode search_find(struct searcher *self, size_t q, enum search_way way, struct err *err)
{
    return way == WAY_EXACT_MATCHES ? search_matches(self, q, err)
                                    : find_in_index(self, q, way, err);
}
