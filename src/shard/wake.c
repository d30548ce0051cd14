/* Whether a shard has something to do for the keeper; and who is woken when something has changed.
 */
#include "shard/host_int.h"
#include "shard/shard_int.h"
#include "shard/store_int.h"
#include "shard/vectors_int.h"

enum {
    CHECKPOINT_CHANGES_MIN = 64
};

uint64_t checkpoint_lag(const struct shard *shard)
{
    uint64_t lag = 0;
    for (size_t i = 0; i < shard->n_vectors; i++) {
        const struct vector_index *v = &shard->vectors[i];
        if (v->kind == INDEX_HNSW) {
            lag += atomic_load(&v->changes) - atomic_load(&v->changes_checkpointed);
        }
    }
    return lag;
}

/* A few changes are linked again after a start as soon as a checkpoint of them is read. */
bool shard_wants_checkpoint(struct shard *shard)
{
    return checkpoint_lag(shard) > CHECKPOINT_CHANGES_MIN ||
           (checkpoint_lag(shard) > 0 && shard_is_refusing(shard));
}

/* Some have so many rows that they are measured. */
static bool is_any_large(struct shard *shard)
{
    bool is_large = false;
    for (size_t i = 0; i < shard->n_vectors; i++) {
        unsigned side;
        const struct index *index = vector_index_enter(&shard->vectors[i], &side);
        is_large = is_large || index_count(index) >= CALIBRATION_ROWS_MIN;
        vector_index_leave(&shard->vectors[i], side);
    }
    return is_large;
}

bool shard_wants_keeper(struct shard *shard)
{
    return shard_wants_checkpoint(shard) || is_any_large(shard) ||
           store_is_compaction_worth(shard->store);
}

void shard_note_change(struct shard *shard)
{
    if (atomic_load(&shard->is_flusher_idle) && atomic_exchange(&shard->is_flusher_idle, false)) {
        host_wake_flusher(shard);
    }
    /* Most changes are nothing to the keeper, which would be woken by each. */
    if (atomic_load(&shard->is_keeper_idle) && shard_wants_keeper(shard) &&
        atomic_exchange(&shard->is_keeper_idle, false)) {
        host_wake_keeper(shard);
    }
}
