/* Deleted rows that are kept for the graphs (dead.c). */
#ifndef VECTRON_SHARD_DEAD_INT_H
#define VECTRON_SHARD_DEAD_INT_H

#include "shard/overlay_int.h"
#include "shard/store_int.h"

struct shard;

/* The log index that the checkpoints of all graphs have passed; 0 = none. */
uint64_t dead_passed(const struct shard *shard);

/* In a flush, whose holder of shard.flush calls these three, the first before the others. */
enum errcode dead_begin(struct shard *shard, struct store_write *write,
                        struct err *err) WARN_UNUSED;
/* @version says that its row is deleted; is_new: the row is of the generation itself. */
enum errcode dead_put(struct shard *shard, struct store_write *write,
                      const struct row_version *version, bool is_new, struct err *err) WARN_UNUSED;
/* From now on none is kept until dead_flushed; the flush that did not fit may fit then. */
void dead_forget(struct shard *shard);
void dead_flushed(struct shard *shard);

/* When the shard is opened: reads shard.dead_forgotten. */
enum errcode dead_load(struct shard *shard, struct store_read *read, struct err *err) WARN_UNUSED;

#endif
