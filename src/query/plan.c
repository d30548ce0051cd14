/* Plans: immutable and counted, so that a statement keeps its own while it runs. */
#include "query/catalog_int.h"
#include "query/plan_int.h"

void plan_acquire(struct plan *plan)
{
    atomic_fetch_add(&plan->refs, 1);
}

void plan_release(struct plan *plan)
{
    if (plan != NULL && atomic_fetch_sub(&plan->refs, 1) == 1) {
        collection_release(plan->collection);
        arena_free(plan->arena); /* The plan itself is in it. */
    }
}

enum shard_op insert_op(enum on_conflict on_conflict)
{
    static const enum shard_op ops[] = {[CONFLICT_ERROR] = SHARD_INSERT,
                                        [CONFLICT_NOTHING] = SHARD_INSERT_IGNORE,
                                        [CONFLICT_UPDATE] = SHARD_UPSERT};
    return ops[on_conflict];
}
