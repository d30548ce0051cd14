/* A searcher: its view, the rows that it tests, and how it calls the index. */
#include "query/portal_int.h"
#include "query/search_int.h"
#include "query/verb_int.h"

#include "expr/expr.h"
#include "plan/plan.h"

enum {
    FLOATS_A_UNIT = 8 /* Of those that the index polls by: what a walk and a scan do in a ns. */
};

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
    CHECK_HOT(self->portal->plan->access.where != NULL);
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
    CHECK_HOT(self->view != NULL && self->portal->plan->access.where != NULL);
    struct shard_columns columns = search_columns_of(self, &self->portal->plan->access.columns);
    *matches = false;
    arena_reset(self->row_arena);
    enum errcode code = shard_view_columns(self->view, number, &columns, found, err);
    return code == ERR_OK && *found ? search_test_at_hand(self, &columns, matches, err) : code;
}

static bool is_canceled(void *arg)
{
    struct searcher *self = arg;
    return self->filter_err.code != ERR_OK ||
           work_spend(self->work, INDEX_POLL_FLOATS / FLOATS_A_UNIT, &self->filter_err) != ERR_OK;
}

enum errcode search_read_key(struct searcher *self, uint64_t number, struct value *key,
                             struct err *err)
{
    CHECK_HOT(self->view != NULL);
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
    CHECK(q < self->portal->plan->search.n_queries && self->index_hits != NULL);
    const struct portal *p = self->portal;
    const struct search_state *s = p->verb_state;
    CHECK(s->k > 0 && s->queries[q] != NULL);
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
    CHECK(*n <= s->k);
    if (self->filter_err.code != ERR_OK) {
        *err = self->filter_err;
        return err->code;
    }
    return code;
}
