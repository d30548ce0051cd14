/* What a portal has submitted and waits for, up to an outcome that can be told. */
#ifndef VECTRON_QUERY_PENDING_INT_H
#define VECTRON_QUERY_PENDING_INT_H

#include "parser/tree.h"
#include "query/query.h"
#include "shard/shard.h"

struct plan;

/* What was submitted and may still happen: a write, or a change of the map.  Embedded, in the
 * portal's arena. */
struct pending {
    struct portal *portal;
    struct pending *next; /* Of the portal's that are busy. */
    /* Takes it back where it has not reached the log. */
    bool (*withdraw)(struct pending *pending);
    /* It has happened, though the acknowledgement waits for more; NULL: that cannot be told. */
    bool (*has_happened)(struct pending *pending);
    bool is_busy;   /* Submitted and not yet collected. */
    bool is_done;   /* Under the portal's lock. */
    struct err err; /* Valid once it is done; code 0 = well. */
};
/* The step's thread: just before it is submitted; where that failed. */
void pending_begin(struct portal *portal, struct pending *pending);
void pending_forget(struct pending *pending);
/* Any thread, once: what has come of it.  May free @pending. */
void pending_end(struct pending *pending, const struct err *err);
/* True once it has ended; it is no longer busy then. */
bool pending_collect(struct pending *pending);
/* The statement ends early, for the reason @why.  True once each of the portal's pendings has
 * ended: withdrawn with @why, waited for, or after SETTLE_US given up on as OUTCOME_UNKNOWN. */
bool pendings_settle(struct portal *portal, const struct err *why);

/* A write of rows that a portal waits for. */
struct portal_write {
    struct pending pending;
    struct shard_write write;
    struct shard_room *room;    /* COPY: see shard_submit. */
    uint64_t first_row, n_rows; /* COPY: of the input; from 1. */
    uint64_t *places;           /* COPY: where each stood there; NULL: none can be refused. */
};
/* A row of a write: see shard_command_add. */
struct row_write {
    const struct value *values;
    const uint64_t *columns;
    uint32_t stamp;
};
/* Adds it.  What a write gathers is the statement's memory until it is submitted. */
enum errcode portal_write_add(struct portal *portal, struct shard_command *command,
                              enum shard_op op, const struct row_write *row,
                              struct err *err) WARN_UNUSED;
/* Takes @command, as shard_submit does. */
enum errcode portal_write_submit(struct portal *portal, struct portal_write *w,
                                 struct shard_command *command, struct err *err) WARN_UNUSED;
/* What becomes of a new row whose key is taken; of the rows that UPDATE and DELETE take. */
enum shard_op insert_op(enum on_conflict on_conflict);
enum shard_op modify_op(const struct plan *plan);

#endif
