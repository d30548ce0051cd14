/* The index over each VECTOR column: its life, what is staged into it, and its checkpoint. */
#ifndef VECTRON_SHARD_VECTORS_INT_H
#define VECTRON_SHARD_VECTORS_INT_H

#include <stdatomic.h>

#include "shard/calibration_int.h"
#include "shard/overlay_int.h"

struct store_read;
struct store_write;

/* Up to date; or behind what is staged, and caught up in the background; or the same after its
 * checkpoint could not be used. */
enum index_state {
    INDEX_CURRENT,
    INDEX_CATCHING_UP,
    INDEX_REBUILDING
};

enum {
    CALIBRATION_ROWS_MIN = 1000, /* Fewer are scanned sooner than walked through. */
};

struct vector_index {
    uint32_t column; /* Of the schema. */
    /* Changes under shard.apply and advance; who holds neither enters. */
    struct index *_Atomic index;
    enum index_kind kind;
    /* As the policies were when it was opened, or as REINDEX was told; change with the index. */
    struct index_parameters parameters;
    bool is_reindexed;
    struct mutex advance;
    atomic_uint files; /* The largest number that a file of vectors has had. */
    atomic_uint side;  /* Of users; each exchange of the index changes it. */
    atomic_uint users[2];
    struct reindex *reindex; /* Of shard.apply; NULL: none is under way. */
    atomic_uint record;      /* Counts what the file should know of the parameters, */
    atomic_uint record_kept; /* and this what it knows. */
    unsigned record_put;     /* Of shard.flush: what it will know after the commit. */
    _Atomic uint8_t state;   /* enum index_state; moved under advance. */
    /* Whether the new rows of one change were staged before memory ran out; of who stages. */
    uint64_t staging_index;
    bool has_new_rows;
    uint64_t whole_from; /* Made anew: linked up to this log index, it has all rows; else 0. */
    _Atomic uint64_t checkpointed;         /* Log index of its durable checkpoint; 0 = none. */
    _Atomic uint64_t checkpoint_bytes;     /* Of its file. */
    _Atomic uint64_t changes;              /* Rows staged or deleted since it was opened. */
    _Atomic uint64_t changes_checkpointed; /* As changes was at the last checkpoint. */
    uint64_t progress_logged_us;           /* The indexer's. */
    struct calibration calibration;
};

struct index *vector_index_new(const struct shard *shard, struct vector_index *v,
                               const struct index_parameters *parameters, struct err *err);
/* The index that serves, which is not freed until leave. */
struct index *vector_index_enter(struct vector_index *v, unsigned *side);
void vector_index_leave(struct vector_index *v, unsigned side);
size_t vector_index_pending(struct vector_index *v);
/* The index over @column, or NULL. */
struct vector_index *vectors_find(struct shard *shard, uint32_t column);
void vector_index_move(struct shard *shard, struct vector_index *v, enum index_state to,
                       const char *why) REQUIRES(v->advance);
/* Links up to about @rows_max rows; *is_more where there are others.  Any thread. */
enum errcode vector_index_advance(struct shard *shard, struct vector_index *v, size_t rows_max,
                                  bool *is_more, struct err *err) WARN_UNUSED;
void vector_index_log_progress(struct shard *shard, struct vector_index *v);
/* So that staging @n_rows more is not going to meet a full disk.  Errors: DISK_FULL, IO. */
enum errcode vector_index_make_room(struct vector_index *v, size_t n_rows, size_t bytes_in_flight,
                                    struct err *err) WARN_UNUSED;
/* Where the disk is full, staging keeps vectors in memory until it has room.  False: it does
 * already, or has no file. */
bool vector_index_use_memory(struct vector_index *v);
uint64_t vectors_lag(struct shard *shard);
/* The largest log index all of whose changes are in every graph. */
uint64_t vectors_linked(struct shard *shard);

/* ---- stage.c ---- */

/* Stages the new rows, then the deletions, of one change: always in this order, so that a replay
 * makes the same graph. */
struct staged_rows {
    const struct slice *bodies; /* change.n_rows of them; data = NULL: leave this one out. */
    struct arena *arena;        /* For the call's scratch space. */
};
enum errcode vector_index_stage(struct shard *shard, struct vector_index *v,
                                const struct change *change, const struct staged_rows *rows,
                                struct err *err) WARN_UNUSED;
/* The new rows alone, into one index.  Rows whose vectors cannot be staged are left out. */
enum errcode vector_index_stage_rows(struct shard *shard, struct vector_index *v,
                                     struct index *index, const struct change *change,
                                     const struct staged_rows *rows, struct err *err) WARN_UNUSED;

/* ---- reindex.c ---- */

/* An index that is built beside the one that serves. */
struct reindex {
    struct index *index; /* NULL once it serves. */
    struct index_parameters parameters;
    /* All below under shard.apply. */
    uint64_t *deleted;
    size_t n_deleted, n_deleted_max;
    bool is_level; /* Changes are staged into this one, too. */
    bool has_failed;
};

/* The parameters in the shard's file, as remember.c does with what was measured. */
bool reindex_is_due(struct shard *shard);
enum errcode reindex_put(struct shard *shard, struct store_write *write,
                         struct err *err) WARN_UNUSED;
void reindex_done(struct shard *shard);
enum errcode reindex_load(struct shard *shard, struct vector_index *v, struct store_read *read,
                          struct err *err) WARN_UNUSED;

/* ---- recover.c, checkpoint.c ---- */

/* Makes the indexes of all VECTOR columns, from checkpoints or from the rows, and what came after.
 */
enum errcode vectors_open(struct shard *shard, struct err *err) WARN_UNUSED;
void vectors_close(struct shard *shard);

/* Reads the checkpoint of @column into a new index.  Every failure but OUT_OF_MEMORY means: make it
 * anew. */
enum errcode checkpoint_load(struct shard *shard, struct vector_index *v, struct checkpoint_id *id,
                             struct err *err) WARN_UNUSED;
bool checkpoint_exists(const struct shard *shard, const struct vector_index *v);
enum errcode checkpoint_write(struct shard *shard, struct vector_index *v,
                              struct err *err) WARN_UNUSED;
void checkpoint_path(const struct shard *shard, const struct vector_index *v, bool is_temporary,
                     char *out, size_t bytes);

#endif
