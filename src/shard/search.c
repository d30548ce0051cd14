/* Nearest neighbours in a shard: the index does the work; here is what a search does when the graph
 * is behind, and what is counted. */
#include "shard/calibration_int.h"
#include "shard/host_int.h"
#include "shard/shard_int.h"
#include "shard/vectors_int.h"

enum {
    CANCEL_POLL_US = 20000
};

static enum errcode lag_error(const struct shard *shard, uint64_t lag, uint64_t lag_max,
                              struct err *err)
{
    (void)err_set(err, ERR_INDEX_LAG,
                  "the index of \"%s\" is %llu rows behind, index_lag allows %llu",
                  shard->schema->name, (unsigned long long)lag, (unsigned long long)lag_max);
    err_hint(err, "Set on_lag to scan or wait, or raise index_lag.");
    err_collection(err, shard->schema->name);
    err_policy(err, "on_lag");
    return ERR_INDEX_LAG;
}

/* Until the graph is near enough, the deadline passes, or the statement is canceled. */
static enum errcode wait_for_graph(struct shard *shard, struct vector_index *v,
                                   const struct shard_search *search, struct err *err)
{
    CHECK(!role_is_mine(&indexer_thread)); /* Which it waits for. */
    const struct index_search *s = &search->index;
    enum errcode code = ERR_OK;
    host_wake_indexer(shard);
    mutex_lock(&shard->waiting);
    while (code == ERR_OK && vector_index_pending(v) > search->index_lag_max) {
        uint64_t now = clock_micros();
        if (s->is_canceled != NULL && s->is_canceled(s->canceled_arg)) {
            code = err_set(err, ERR_CANCELED, "canceled while waiting for the index of \"%s\"",
                           shard->schema->name);
        } else if (search->deadline_us != 0 && now >= search->deadline_us) {
            code = err_set(err, ERR_TIMEOUT, "timeout while waiting for the index of \"%s\"",
                           shard->schema->name);
        } else {
            (void)condition_wait_until(&shard->linked_condition, &shard->waiting,
                                       now + CANCEL_POLL_US);
        }
    }
    mutex_unlock(&shard->waiting);
    return code;
}

static enum errcode obey_lag(struct shard *shard, struct vector_index *v,
                             const struct shard_search *search, struct err *err)
{
    uint64_t lag = vector_index_pending(v);
    if (lag <= search->index_lag_max || search->index.plan != INDEX_WALK) {
        return ERR_OK;
    }
    switch (search->on_lag) {
    case ON_LAG_SCAN:
        return ERR_OK;
    case ON_LAG_WAIT:
        return wait_for_graph(shard, v, search, err);
    case ON_LAG_FAIL:
        return lag_error(shard, lag, search->index_lag_max, err);
    }
    return ERR_OK;
}

uint64_t shard_rows_end(const struct shard *shard)
{
    return atomic_load_explicit(&shard->next_row, memory_order_acquire);
}

uint64_t shard_rows_indexed(struct shard *shard, uint32_t column)
{
    struct vector_index *v = vectors_find(shard, column);
    CHECK(v != NULL);
    unsigned side;
    uint64_t rows = index_count(vector_index_enter(v, &side));
    vector_index_leave(v, side);
    return rows;
}

enum errcode shard_search(struct shard *shard, const struct shard_search *search,
                          struct index_hit *hits, size_t *n_hits, struct index_work *work,
                          struct err *err)
{
    CHECK(hits != NULL && search->index.k > 0);
    struct vector_index *v = vectors_find(shard, search->column);
    CHECK(v != NULL && search->index.query != NULL);
    *n_hits = 0;
    enum errcode code = obey_lag(shard, v, search, err);
    if (code != ERR_OK) {
        return code;
    }
    uint64_t started_us = clock_micros();
    struct index_work before = *work;
    unsigned side;
    struct index *index = vector_index_enter(v, &side);
    code = index_search(index, &search->index, hits, n_hits, work, err);
    size_t n_rows = index_count(index);
    vector_index_leave(v, side);
    CHECK(*n_hits <= search->index.k);
    metric_observe_us(METRIC_search, clock_micros() - started_us);
    metric_add(METRIC_distances, (int64_t)(work->distances - before.distances));
    metric_add(METRIC_tail_rows_scanned, (int64_t)(work->tail_rows - before.tail_rows));
    metric_add(METRIC_searches_beyond, (int64_t)(work->beyond - before.beyond));
    metric_add(METRIC_searches_denser, (int64_t)(work->denser - before.denser));
    metric_add(METRIC_searches_sparser, (int64_t)(work->sparser - before.sparser));
    if (code != ERR_OK) {
        return code; /* Given up, to be begun again elsewhere: no answer, but work. */
    }
    if (search->index.plan != INDEX_WALK) {
        metric_add(METRIC_searches_exact, 1);
    } else if (search->index.matches != NULL) {
        metric_add(METRIC_searches_filtered, 1);
    }
    if (!search->is_of_row) {
        struct asked asked = {.query = search->index.query,
                              .k = search->index.k,
                              .is_filtered = search->index.matches != NULL ||
                                             search->index.plan == INDEX_GIVEN};
        queries_note(v, n_rows, shard->schema->columns[v->column].dim, &asked);
    }
    return code;
}
