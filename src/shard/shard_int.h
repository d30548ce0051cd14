/* The shard itself, and who may hold which of its locks.  Its parts have headers of their own:
 *
 *   row_int.h          rows, keys and commands as bytes
 *   overlay_int.h      rows that the file has not got yet      store_int.h        the file
 *   view_int.h         what a reader sees                      store_env_int.h    its environment
 *   vectors_int.h      the index over each VECTOR column       payload_int.h      columns in memory
 *   vector_file_int.h  the exact vectors of one                calibration_int.h  ef and recall
 *   host_int.h         threads that all shards share
 *
 * Locks, in the order in which they are taken:
 *   shard.checkpoint      one checkpoint at a time
 *   shard.flush           one flush at a time
 *   shard.apply           who changes the active generation: apply, and the flush that replaces it
 *   vector_index.advance  one thread advances or saves an index
 *   shard.publish         what a view copies when it is opened
 *   shard.waiting         writes that wait for the graph, and searches that wait for it
 *   calibration.mutex     what was measured; under it no other is taken
 *   store.lock            who is inside a store; then store_pool.mutex, under which others' store
 *                         locks are only tried
 *   payload_pool.mutex    which columns are kept; under it no other is taken
 *   host.mutex            the policies, and when each shard is cared for; under it no other is
 *                         taken */
#ifndef VECTRON_SHARD_INT_H
#define VECTRON_SHARD_INT_H

#include <stdatomic.h>

#include "shard/row_int.h"
#include "shard/store_int.h"

struct generation;
struct payload;
struct patient;
struct shard_view;
struct vector_index;

struct shard {
    char *directory; /* Owned. */
    uint64_t group_id;
    const struct schema *schema; /* Held. */
    struct repl *repl;
    _Atomic(struct repl_group *) group; /* NULL while the log is replayed. */
    struct shard_host *host;
    struct patient *patient; /* Of the host; NULL while nobody cares for it. */
    struct store *store;
    struct payload *payload; /* Columns of its rows in memory. */

    struct vector_index *vectors;
    size_t n_vectors;
    bool has_graph; /* One of them is an HNSW: changes and dead rows are kept for it. */

    struct mutex checkpoint;
    struct mutex flush;
    struct store_meta flush_meta; /* What the file's head says after the flush; of flush. */
    uint64_t flush_tried_us;      /* Of flush. */
    /* Of flush (dead.c): when they are deleted, rows from kept_from on are kept for the graphs, as
     * long as checkpoints have passed kept_behind; no more of them than this. */
    uint64_t kept_behind, kept_from, kept_bytes_left;
    bool is_forgetting;       /* Of flush: none are kept. */
    uint64_t dead_forgotten;  /* None are up to this log index, as the file was opened. */
    uint64_t checkpointed_us; /* Of checkpoint. */
    uint64_t compacted_us;    /* When it was tried last; of the keeper. */
    atomic_bool
        is_flusher_idle; /* It said that there is nothing to flush: who changes that wakes it. */
    bool has_flusher_rested;        /* Of the flusher. */
    atomic_bool is_keeper_idle;     /* The same of what changed since the last checkpoint. */
    _Atomic int flush_error;        /* enum errcode of the last flush; 0 = it was well. */
    _Atomic int stage_error;        /* The same of what apply tells the indexes. */
    _Atomic uint64_t refused_bytes; /* Of the last command that map_size had no room for. */

    struct mutex apply;
    struct arena *scratch; /* Of apply; reset after each command. */

    struct mutex publish;               /* Guards all to the end of the views. */
    struct condition flushed_condition; /* A flush ended. */
    struct generation *active, *flushing;
    uint64_t applied, rows;
    _Atomic uint64_t next_row; /* Written under the lock, read without it too. */
    uint64_t flushed, covered; /* As in the file. */
    uint64_t stored_bytes;     /* Used of the file by what no generation has any more. */
    struct shard_view *free_views;
    size_t n_free_views, open_views;

    struct mutex waiting;
    struct condition linked_condition;                /* An index advanced. */
    struct shard_write *waiting_first, *waiting_last; /* ACK_INDEXED, by log index. */

    atomic_bool is_replaying; /* The log is; apply stages and links nothing. */
    atomic_bool is_closing;
};

void shard_free(struct shard *shard);
int64_t shard_policy(const struct shard *shard, enum policy_id id); /* host.c */

/* ---- room.c ---- */

/* The file has changed by what its holder of shard.flush did: notes what of it is used. */
void shard_note_stored_locked(struct shard *shard) REQUIRES(shard->publish);
uint64_t shard_unflushed_bytes(struct shard *shard) EXCLUDES(shard->publish);
/* With @bytes more it would be larger than map_size. */
bool shard_is_full(struct shard *shard, uint64_t bytes) EXCLUDES(shard->publish);
uint64_t shard_unflushed_bytes_locked(const struct shard *shard) REQUIRES(shard->publish);
bool shard_is_refusing(struct shard *shard); /* What was refused would be again. */

/* ---- wake.c ---- */

/* The flusher and the keeper hear of what is new, if they have nothing to do. */
void shard_note_change(struct shard *shard);
bool shard_wants_keeper(struct shard *shard);       /* The keeper has something to do; */
bool shard_wants_checkpoint(struct shard *shard);   /* a checkpoint is worth its time. */
uint64_t checkpoint_lag(const struct shard *shard); /* Changes that no checkpoint has. */

/* ---- apply.c ---- */

void shard_apply(void *arg, const struct repl_entry *entries, size_t n);
/* Completes the writes whose rows every graph has got. */
void shard_complete_indexed(struct shard *shard);

/* ---- flush.c ---- */

enum errcode shard_flush(struct shard *shard, struct err *err) WARN_UNUSED;
uint64_t shard_care_flush(struct shard *shard); /* The flusher's; see struct carer_kind. */

#endif
