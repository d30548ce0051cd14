/* The rows of a query's hits.
 *
 *   search_find -> whole? -> search_order -> rows -> batch
 *
 * A hit may be gone when its row is fetched (deleted, or replaced under a new number): the query is
 * then searched again, SEARCH_TRIES_MAX times, and at last answered by a scan within one view,
 * which nothing can change.  The same scan answers where a filtered walk gave up, so LIMIT rows
 * come whenever that many match.
 *
 * Where only the key and the distance are asked for, and the keys are in memory, the index's hits
 * are the rows.  What a view would see to is seen to like this: a row whose delete was acknowledged
 * before the search is hidden in the index; a row that no view showed yet when the search began has
 * a number at or beyond shard_rows_end, and the query is searched again.  So a row that is being
 * replaced is never given twice: where its new number is below that end, the old one is hidden. */
#include "query/portal_int.h"
#include "query/search_int.h"
#include "query/verb_int.h"

#include "expr/expr.h"
#include "plan/plan.h"

enum {
    SEARCH_TRIES_MAX = 3 /* Walks before vanished rows make a search scan instead. */
};

/* So many cannot all lie far from a query. */
static const double MOST_ROWS = 0.5;

/* ---- by the index alone ---- */

static bool is_whole_in_index(const struct portal *p, const struct searcher *self)
{
    const struct search_state *s = p->verb_state;
    if (!self->done.is_complete ||
        (self->n_hits < s->k &&
         self->n_hits < shard_rows_indexed(p->shard, p->plan->search.column))) {
        return false;
    }
    for (size_t i = 0; i < self->n_hits; i++) {
        if (self->hits[i].number >= self->rows_end) {
            return false;
        }
    }
    return true;
}

static enum errcode emit(struct portal *p, const struct search_hit *hit, size_t q, struct err *err)
{
    /* Plus zero: a DOT of -0 is shown as 0. */
    p->evaluator.pseudo[PSEUDO_DISTANCE] = value_float(hit->distance + 0.0);
    p->evaluator.pseudo[PSEUDO_QUERY] = value_int((int64_t)q + 1);
    return portal_emit_output(p, err);
}

static void take_back(struct portal *p, const struct batch *mark)
{
    CHECK(mark->n_rows <= p->batch.n_rows && mark->bytes <= p->batch.bytes);
    p->batch.n_rows = mark->n_rows;
    p->batch.bytes = mark->bytes;
}

/* False in *has_keys where one of them is not in memory; then nothing was appended. */
static enum errcode emit_keys(struct portal *p, const struct searcher *self, size_t q,
                              bool *has_keys, struct err *err)
{
    struct batch mark = p->batch;
    enum errcode code = ERR_OK;
    struct shard_keys keys = shard_keys_begin(p->shard);
    *has_keys = true;
    for (size_t i = (size_t)p->offset; *has_keys && code == ERR_OK && i < self->n_hits; i++) {
        const struct search_hit *hit = &self->hits[i];
        *has_keys = shard_keys_find(&keys, hit->number, hit->label, &p->evaluator.columns[0]);
        code = *has_keys ? emit(p, hit, q, err) : ERR_OK;
    }
    shard_keys_end(&keys);
    if (!*has_keys) {
        take_back(p, &mark);
    }
    return code;
}

/* What has come of it: all rows, or hits whose keys are still to be read, or neither. */
struct tried {
    bool is_whole, has_hits;
};

static enum errcode try_index(struct portal *p, struct search_state *s, size_t q,
                              struct tried *tried, struct err *err)
{
    struct searcher *self = &s->self;
    *tried = (struct tried){0};
    enum errcode code = search_take_found(self, q) ? ERR_OK : search_find(self, q, s->way, err);
    searcher_close_view(self); /* Ties may have opened one. */
    if (code != ERR_OK || !is_whole_in_index(p, self)) {
        return code;
    }
    tried->has_hits = true;
    return emit_keys(p, self, q, &tried->is_whole, err);
}

/* ---- by a view ---- */

/* Appends the rows of the hits behind OFFSET; *is_whole = false where one has vanished. */
static enum errcode fetch_rows(struct portal *p, struct search_state *s, size_t q, bool *is_whole,
                               struct err *err)
{
    CHECK(s->self.view != NULL);
    struct batch mark = p->batch;
    const struct output *output = &p->plan->output;
    const struct searcher *self = &s->self;
    *is_whole = true;
    for (size_t i = (size_t)p->offset; i < self->n_hits; i++) {
        bool found;
        arena_reset(p->row_arena);
        struct shard_columns columns = {
            .wanted = output->columns.bits, .values = p->evaluator.columns, .arena = p->row_arena};
        enum errcode code =
            shard_view_columns(self->view, self->hits[i].number, &columns, &found, err);
        if (code == ERR_OK) {
            code = work_spend(&p->work, CELL_WORK + ROW_WORK * columns.rows_read, err);
        }
        if (code == ERR_OK && !found) {
            take_back(p, &mark);
            *is_whole = false;
            return ERR_OK;
        }
        if (code == ERR_OK) {
            code = emit(p, &self->hits[i], q, err);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* The team's views were others: false where a row is not the same in this one. */
static enum errcode still_match(struct searcher *self, bool *is_whole, struct err *err)
{
    CHECK(self->view != NULL);
    for (size_t i = 0; i < self->n_hits && *is_whole; i++) {
        bool found;
        enum errcode code = search_test_row(self, self->hits[i].number, is_whole, &found, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* Whether fewer hits than were asked for may mean that some were missed. */
static bool is_short(const struct search_state *s)
{
    const struct searcher *self = &s->self;
    return !self->done.is_complete ||
           (self->n_hits < s->k && self->n_hits < shard_view_count(self->view));
}

/* One try: hits of the way @way, then their rows. */
static enum errcode try_view(struct portal *p, size_t q, enum search_way way, struct tried *tried,
                             struct err *err)
{
    struct search_state *s = p->verb_state;
    /* The filter and the scan need it before the search. */
    if (way != WAY_WALK && searcher_open_view(&s->self, err) != ERR_OK) {
        return err->code;
    }
    bool is_of_team = !tried->has_hits && search_take_found(&s->self, q);
    if (!is_of_team && !tried->has_hits && search_find(&s->self, q, way, err) != ERR_OK) {
        return err->code;
    }
    if (searcher_open_view(&s->self, err) != ERR_OK) {
        return err->code;
    }
    tried->is_whole = way == WAY_EXACT_MATCHES || !is_short(s);
    if (tried->is_whole && search_order(&s->self, err) != ERR_OK) {
        return err->code;
    }
    if (is_of_team && p->plan->access.where != NULL &&
        still_match(&s->self, &tried->is_whole, err) != ERR_OK) {
        return err->code;
    }
    return tried->is_whole ? fetch_rows(p, s, q, &tried->is_whole, err) : ERR_OK;
}

/* What to try after a way that did not give all rows.  Where a walk met too few that match, they
 * lie far from the query: a scan that tests what is near would test nearly all.  Not so where most
 * rows match, nor where it met enough, and only cannot be trusted. */
static enum search_way next_way(const struct portal *p, enum search_way way, unsigned tries,
                                bool is_beyond)
{
    const struct search_state *s = p->verb_state;
    bool is_vanished = way == WAY_WALK && s->self.n_hits == s->k;
    if (is_vanished && tries < SEARCH_TRIES_MAX) {
        return WAY_WALK;
    }
    bool is_near = is_beyond || s->selectivity > MOST_ROWS;
    return is_near && way != WAY_EXACT_SCAN ? search_exact_way(p, s) : WAY_EXACT_MATCHES;
}

/* The way that @q begins with: an exact one where a walk has given up already, be it that the step
 * is begun again on the pool. */
static enum search_way first_way(const struct search_state *s, size_t q)
{
    return s->is_given_up && s->given_up_query == q ? s->given_up_way : s->way;
}

static void give_up(struct search_state *s, size_t q, enum search_way way)
{
    s->fell_back++;
    s->is_given_up = true;
    s->given_up_query = q;
    s->given_up_way = way;
    s->given_up_done = s->self.done;
}

enum errcode search_query_rows(struct portal *p, size_t q, struct err *err)
{
    CHECK(q < p->plan->search.n_queries);
    struct search_state *s = p->verb_state;
    enum search_way way = first_way(s, q);
    uint64_t beyond_before = s->self.done.beyond;
    struct tried tried = {0};
    if (s->is_of_index && way == s->way && way != WAY_EXACT_MATCHES) {
        enum errcode code = try_index(p, s, q, &tried, err);
        if (code != ERR_OK || tried.is_whole) {
            return code;
        }
        if (!s->self.done.is_complete) {
            way = next_way(p, way, 1, s->self.done.beyond > beyond_before);
            give_up(s, q, way);
        } else {
            s->again += tried.has_hits ? 0 : 1;
        }
    }
    for (unsigned tries = 1;; tries++) {
        enum errcode code = try_view(p, q, way, &tried, err);
        searcher_close_view(&s->self);
        if (code != ERR_OK || tried.is_whole) {
            return code;
        }
        CHECK(way != WAY_EXACT_MATCHES); /* Within one view nothing vanishes. */
        enum search_way next = next_way(p, way, tries, s->self.done.beyond > beyond_before);
        if (next == way) {
            s->again++;
        } else {
            give_up(s, q, next);
        }
        way = next;
        tried.has_hits = false;
    }
}
