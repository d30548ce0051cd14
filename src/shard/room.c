/* How much room a shard has left: what is not in its file yet, and what map_size allows. */
#include "shard/overlay_int.h"
#include "shard/shard_int.h"
#include "shard/store_int.h"

enum {
    MAP_SIZE_MIN = 16 << 20 /* The policy's least: below it need not be asked. */
};

uint64_t shard_unflushed_bytes_locked(const struct shard *shard)
{
    return (shard->active == NULL ? 0 : generation_bytes(shard->active)) +
           (shard->flushing == NULL ? 0 : generation_bytes(shard->flushing));
}

uint64_t shard_unflushed_bytes(struct shard *shard)
{
    mutex_lock(&shard->publish);
    uint64_t bytes = shard_unflushed_bytes_locked(shard);
    mutex_unlock(&shard->publish);
    return bytes;
}

/* Together with the generation that leaves: between a commit and then it would count twice. */
void shard_note_stored_locked(struct shard *shard)
{
    shard->stored_bytes = store_used_bytes(shard->store);
}

bool shard_is_full(struct shard *shard, uint64_t bytes)
{
    mutex_lock(&shard->publish);
    uint64_t used = shard->stored_bytes + shard_unflushed_bytes_locked(shard);
    mutex_unlock(&shard->publish);
    return used + bytes > MAP_SIZE_MIN &&
           used + bytes > (uint64_t)shard_policy(shard, POLICY_map_size);
}

bool shard_is_refusing(struct shard *shard)
{
    uint64_t bytes = atomic_load(&shard->refused_bytes);
    return bytes > 0 && shard_is_full(shard, bytes);
}
