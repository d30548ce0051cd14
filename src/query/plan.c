/* Plans: immutable and counted, so that a statement keeps its own while it runs. */
#include "query/plan_int.h"

void plan_acquire(struct plan *plan)
{
    atomic_fetch_add(&plan->refs, 1);
}

void plan_release(struct plan *plan)
{
    if (plan != NULL && atomic_fetch_sub(&plan->refs, 1) == 1) {
        schema_release(plan->schema);
        arena_free(plan->arena); /* The plan itself is in it. */
    }
}

bool plan_reads_vector(const struct plan *plan, const struct column_mask *columns)
{
    for (uint32_t i = 0; i < plan->schema->n_columns; i++) {
        if (plan->schema->columns[i].type == TYPE_VECTOR && mask_has(columns, i)) {
            return true;
        }
    }
    return false;
}

enum shard_op insert_op(enum on_conflict on_conflict)
{
    static const enum shard_op ops[] = {[CONFLICT_ERROR] = SHARD_INSERT,
                                        [CONFLICT_NOTHING] = SHARD_INSERT_IGNORE,
                                        [CONFLICT_UPDATE] = SHARD_UPSERT};
    return ops[on_conflict];
}
