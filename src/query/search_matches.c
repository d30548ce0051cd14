/* The nearest of all rows that match, found by looking at each row.
 *
 *   blocks in memory -> which of their rows match -> row numbers -> the index: the nearest of them
 *   rows elsewhere, one by one ->
 *
 * The index has the vectors at hand.  Rows that it does not have - deleted since the view was
 * opened - are compared by what the view reads of them, so that the hits are of the view. */
#include "query/cursor_int.h"
#include "query/lanes_int.h"
#include "query/portal_int.h"
#include "query/search_int.h"
#include "query/verb_int.h"

#include "expr/expr.h"
#include "plan/plan.h"

/* ---- blocks ---- */

static enum errcode test_rows(struct searcher *self, uint64_t rows, struct search_block *out,
                              struct err *err)
{
    enum errcode code = ERR_OK;
    for (uint64_t left = rows; left != 0 && code == ERR_OK; left &= left - 1) {
        unsigned row = (unsigned)__builtin_ctzll(left);
        bool matches, found;
        code = search_test_row(self, out->first + row, &matches, &found, err);
        out->found |= (uint64_t)found << row;
        out->matches |= (uint64_t)matches << row;
    }
    return code;
}

enum errcode search_test_block(struct searcher *self, uint64_t number, enum shard_block_wish wish,
                               struct search_block *out, bool *is_there, struct err *err)
{
    CHECK_HOT(self->view != NULL);
    const struct access *access = &self->portal->plan->access;
    struct shard_block block;
    uint64_t rows_read = 0;
    *is_there = self->lanes != NULL && shard_view_block(self->view, number, access->columns.bits,
                                                        wish, &block, &rows_read);
    self->rows_read += rows_read;
    enum errcode code = work_spend(self->work, CELL_WORK + ROW_WORK * rows_read, err);
    if (code != ERR_OK || !*is_there) {
        return code;
    }
    struct lanes_run run = {.lanes = self->lanes,
                            .evaluator = self->evaluator,
                            .view = self->view,
                            .block = &block,
                            .wanted = block.rows};
    bool is_told = true;
    *out = (struct search_block){.first = block.first, .found = block.rows};
    arena_reset(self->row_arena);
    code = program_match_block(access->where, &run, &out->matches, &is_told, err);
    uint64_t by_row = is_told ? block.elsewhere : block.elsewhere | block.rows;
    return code == ERR_OK ? test_rows(self, by_row, out, err) : code;
}

/* ---- the rows that match, one after the other ---- */

struct matches {
    struct searcher *self;
    size_t q;
    struct cursor cursor;    /* ACCESS_KEYS */
    uint64_t number;         /* All before it have been looked at, but for those in left. */
    uint64_t first, left;    /* Of a block: matches that are still to be handed out. */
    uint64_t n_seen, n_told; /* Rows; those that progress was told of. */
};

/* The rows that the access path names. */
static enum errcode next_of_keys(struct matches *m, uint64_t *rows, size_t max, size_t *n,
                                 struct err *err)
{
    enum errcode code = ERR_OK;
    for (bool found = true; found && *n < max && code == ERR_OK;) {
        code = cursor_next(&m->cursor, &found, err);
        if (code == ERR_OK && found) {
            rows[(*n)++] = m->cursor.row.number;
        }
    }
    m->self->done.filter_calls += m->cursor.looked_at;
    m->cursor.looked_at = 0;
    return code;
}

static void tell(struct matches *m)
{
    struct searcher *self = m->self;
    if (m->n_seen - m->n_told >= PROGRESS_ROWS) {
        m->n_told = m->n_seen;
        portal_progress(self->portal, "scan", m->n_seen, shard_view_count(self->view));
    }
}

/* Looks at one row that is in no block; false in *found at the end. */
static enum errcode look_at_row(struct matches *m, bool *found, struct err *err)
{
    struct searcher *self = m->self;
    const struct access *access = &self->portal->plan->access;
    struct shard_columns columns = search_columns_of(self, &access->columns);
    bool matches = true;
    arena_reset(self->row_arena);
    enum errcode code = shard_view_next_columns(self->view, &m->number, &columns, found, err);
    if (code != ERR_OK || !*found) {
        return code;
    }
    m->n_seen++;
    if (access->where != NULL) {
        self->done.filter_calls++;
        code = search_test_at_hand(self, &columns, &matches, err);
    }
    m->first = m->number++;
    m->left = matches ? 1 : 0;
    return code;
}

/* Looks at the next block, or row; false in *found at the end. */
static enum errcode look(struct matches *m, bool *found, struct err *err)
{
    struct searcher *self = m->self;
    struct search_block block;
    enum errcode code = search_test_block(self, m->number, SHARD_BLOCK_MADE, &block, found, err);
    if (code != ERR_OK || !*found) {
        return code == ERR_OK ? look_at_row(m, found, err) : code;
    }
    unsigned skipped = (unsigned)(m->number - block.first);
    uint64_t n = (uint64_t)__builtin_popcountll(block.found >> skipped);
    m->n_seen += n;
    self->done.filter_calls += n;
    m->first = m->number;
    m->left = block.matches >> skipped;
    m->number = block.first + SHARD_BLOCK_ROWS;
    return ERR_OK;
}

static enum errcode next_of_all(struct matches *m, uint64_t *rows, size_t max, size_t *n,
                                struct err *err)
{
    CHECK_HOT(*n <= max);
    for (;;) {
        for (; m->left != 0 && *n < max; m->left &= m->left - 1) {
            rows[(*n)++] = m->first + (uint64_t)__builtin_ctzll(m->left);
        }
        if (*n == max) {
            return ERR_OK;
        }
        bool found;
        enum errcode code = look(m, &found, err);
        if (code != ERR_OK || !found) {
            return code;
        }
        tell(m);
    }
}

/* ---- what the index asks ---- */

static size_t next_matches(void *arg, uint64_t *rows, size_t max)
{
    struct matches *m = arg;
    struct err *err = &m->self->filter_err;
    size_t n = 0;
    if (err->code != ERR_OK) {
        return 0;
    }
    bool is_scan = m->self->portal->plan->access.kind == ACCESS_SCAN;
    enum errcode code =
        is_scan ? next_of_all(m, rows, max, &n, err) : next_of_keys(m, rows, max, &n, err);
    return code == ERR_OK ? n : 0;
}

/* A row that the index does not have: its key and vector are read. */
static enum errcode add_row(struct searcher *self, size_t q, uint64_t number, struct err *err)
{
    CHECK(q < self->portal->plan->search.n_queries);
    const struct plan *plan = self->portal->plan;
    const struct search_state *s = self->portal->verb_state;
    const struct column *column = &plan->schema->columns[plan->search.column];
    const struct value *columns = self->evaluator->columns;
    const struct value *vector = &columns[plan->search.column];
    struct column_mask mask = {0};
    bool found;
    mask_add(&mask, plan->search.column);
    mask_add(&mask, 0);
    struct shard_columns wanted = search_columns_of(self, &mask);
    arena_reset(self->row_arena);
    enum errcode code = shard_view_columns(self->view, number, &wanted, &found, err);
    if (code != ERR_OK || !found || vector->type != TYPE_VECTOR) {
        return code;
    }
    self->done.distances++;
    search_add_hit(
        self, s->k,
        (struct search_hit){.number = number,
                            .label = shard_label_of_key(&columns[0]),
                            .key = shard_labels_are_keys(plan->schema) ? value_null() : columns[0],
                            .distance = index_distance(column->distance, s->queries[q],
                                                       vector->vector.data, column->dim)});
    return work_spend(self->work, ROW_WORK + column->dim, err);
}

static void take_missing(void *arg, uint64_t row)
{
    struct matches *m = arg;
    struct err *err = &m->self->filter_err;
    if (err->code == ERR_OK && add_row(m->self, m->q, row, err) != ERR_OK) {
        CHECK(err->code != ERR_OK);
    }
}

/* What the index found joins the rows that it did not have. */
static enum errcode take_hits(struct searcher *self, size_t n, struct err *err)
{
    const struct search_state *s = self->portal->verb_state;
    CHECK(self->n_hits <= s->k && n <= s->k);
    bool has_ties = self->n_hits > 0 && !shard_labels_are_keys(self->portal->plan->schema);
    enum errcode code = ERR_OK;
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        struct search_hit hit = search_hit_of(&self->index_hits[i]);
        code = has_ties ? search_read_key(self, hit.number, &hit.key, err) : ERR_OK;
        search_add_hit(self, s->k, hit);
    }
    return code;
}

enum errcode search_matches(struct searcher *self, size_t q, struct err *err)
{
    CHECK(self->view != NULL && q < self->portal->plan->search.n_queries);
    struct portal *p = self->portal;
    struct matches m = {
        .self = self,
        .q = q,
        .cursor = {.portal = p, .access = &p->plan->access, .view = self->view},
    };
    struct shard_search search = {.index = {.plan = INDEX_GIVEN,
                                            .given = next_matches,
                                            .is_missing = take_missing,
                                            .given_arg = &m}};
    size_t n = 0;
    self->n_hits = 0;
    enum errcode code = search_call_index(self, q, &search, &n, err);
    return code == ERR_OK ? take_hits(self, n, err) : code;
}
