/* What the host's threads do to a shard: link, flush (flush.c), and, slowly, checkpoint, compact
 * and calibrate. */
#include "shard/calibration_int.h"
#include "shard/host_int.h"
#include "shard/shard_int.h"
#include "shard/store_int.h"
#include "shard/vectors_int.h"

enum {
    CARE_LINK_ROWS = 256, /* Of one turn of the indexer. */
    CARE_RETRY_US = 100000,
    CARE_SLOWLY_US = 500000,
    COMPACT_REST_US = 5000000,
    FULL_CHECKPOINT_US = 2000000,
};

/* ---- the indexer ---- */

static uint64_t care_index(struct shard *shard)
{
    CHECK_ROLE(indexer_thread);
    bool is_any_left = false;
    bool is_failed = false;
    for (size_t i = 0; i < shard->n_vectors; i++) {
        struct vector_index *v = &shard->vectors[i];
        struct err err = {0};
        bool is_more = vector_index_pending(v) > 0;
        if (is_more && vector_index_advance(shard, v, CARE_LINK_ROWS, &is_more, &err) != ERR_OK) {
            log_err(LOG_WARNING, &err, "linking failed and will be tried again group=%llu",
                    (unsigned long long)shard->group_id);
            is_failed = true;
        }
        if (atomic_load(&v->state) != INDEX_CURRENT) {
            vector_index_log_progress(shard, v);
        }
        is_any_left = is_any_left || is_more;
    }
    shard_complete_indexed(shard);
    metric_set(METRIC_index_pending, (int64_t)vectors_lag(shard));
    if (is_failed) {
        return clock_micros() + CARE_RETRY_US;
    }
    return is_any_left ? clock_micros() : UINT64_MAX;
}

/* ---- the keeper ---- */

/* Marked idle before it looks: what changes afterwards wakes it. */
static bool keeper_becomes_idle(struct shard *shard)
{
    atomic_store(&shard->is_keeper_idle, true);
    if (!shard_wants_keeper(shard)) {
        return true;
    }
    atomic_store(&shard->is_keeper_idle, false);
    return false;
}

static uint64_t care_slowly(struct shard *shard)
{
    CHECK_ROLE(keeper_thread);
    if (keeper_becomes_idle(shard)) {
        return UINT64_MAX;
    }
    uint64_t interval_us = (uint64_t)shard_policy(shard, POLICY_checkpoint_interval);
    if (shard_is_refusing(shard) && interval_us > FULL_CHECKPOINT_US) {
        interval_us =
            FULL_CHECKPOINT_US; /* Deleted rows stay until a checkpoint has passed them. */
    }
    mutex_lock(&shard->checkpoint);
    uint64_t due_us = shard->checkpointed_us + interval_us;
    mutex_unlock(&shard->checkpoint);
    if (clock_micros() >= due_us && shard_wants_checkpoint(shard)) {
        struct err err = {0};
        if (shard_checkpoint(shard, NULL, NULL, &err) != ERR_OK) {
            log_err(LOG_ERROR, &err, "checkpoint failed and will be tried again group=%llu",
                    (unsigned long long)shard->group_id);
        }
    }
    if (store_is_compaction_worth(shard->store) &&
        clock_micros() >= shard->compacted_us + COMPACT_REST_US) {
        struct err err = {0};
        if (shard_compact(shard, &err) != ERR_OK) {
            log_err(LOG_WARNING, &err, "compaction failed and will be tried again group=%llu",
                    (unsigned long long)shard->group_id);
        }
        shard->compacted_us = clock_micros();
    }
    uint64_t next_us = clock_micros() + CARE_SLOWLY_US;
    for (size_t i = 0; i < shard->n_vectors; i++) {
        unsigned side;
        (void)vector_index_enter(&shard->vectors[i], &side);
        uint64_t wanted_us = calibrate(shard, &shard->vectors[i]);
        vector_index_leave(&shard->vectors[i], side);
        next_us = wanted_us < next_us ? wanted_us : next_us;
    }
    return next_us;
}

/* ---- the host ---- */

enum errcode shard_host_new(const struct shard_host_config *config, struct shard_host **out,
                            struct err *err)
{
    static const struct carer_kind carers[CARER_COUNT] = {
        [INDEXER] = {"indexer", care_index, 10},
        [FLUSHER] = {"flusher", shard_care_flush, 0},
        [KEEPER] = {"keeper", care_slowly, 15},
    };
    return host_new(config, carers, out, err);
}
