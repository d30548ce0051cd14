/* Threads, stores and memory that all shards of a node share (host.c, crew.c). */
#ifndef VECTRON_SHARD_HOST_INT_H
#define VECTRON_SHARD_HOST_INT_H

#include "shard/shard.h"

struct crew;
struct payload_pool;
struct store_pool;

struct crew *crew_new(unsigned threads, int nice, struct err *err);
void crew_free(struct crew *crew);
const struct index_crew *crew_interface(struct crew *crew);

enum carer {
    INDEXER,
    FLUSHER,
    KEEPER,
    CARER_COUNT
};

/* Of those threads. */
extern const struct role indexer_thread, flusher_thread, keeper_thread;

/* What one of the threads does to a shard; it says when it wants to be called again (clock_micros;
 * UINT64_MAX = when woken). */
struct carer_kind {
    const char *name;
    uint64_t (*care)(struct shard *shard);
    int nice;
};
/* As shard_host_new, which brings the threads' work. */
enum errcode host_new(const struct shard_host_config *config,
                      const struct carer_kind carers[CARER_COUNT], struct shard_host **out,
                      struct err *err) WARN_UNUSED;
/* From now on the host's threads care for the shard; until remove returns. */
enum errcode host_add(struct shard_host *host, struct shard *shard, struct err *err) WARN_UNUSED;
void host_remove(struct shard_host *host, struct shard *shard);
/* It wants to be called now. */
void host_wake_indexer(struct shard *shard);
void host_wake_flusher(struct shard *shard);
void host_wake_keeper(struct shard *shard);
const struct index_crew *host_crew(struct shard_host *host);
struct store_pool *host_stores(struct shard_host *host);
struct payload_pool *host_payloads(struct shard_host *host);
/* A policy's value for @schema's collection, levels file and collection merged. */
int64_t host_policy(struct shard_host *host, const struct schema *schema, enum policy_id id);
struct policy_value host_policy_value(struct shard_host *host, const struct schema *schema,
                                      enum policy_id id);
double host_policy_float(struct shard_host *host, const struct schema *schema, enum policy_id id);

#endif
