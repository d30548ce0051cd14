/* The door of repl: a replicated log.
 *
 * What is submitted on a group's leader is applied on every replica, in order, once; its contents
 * are opaque bytes.  A node has one struct repl for all of its groups: one log in one directory,
 * one thread "log" that drives Raft and syncs one commit a turn for everything that waits, and one
 * thread "apply" that hands committed entries to their groups in batches.  Here every group has
 * one voter, this node; the engine is C-Raft through raft_step().
 *
 *   repl_submit -> queue -> [log thread: raft_step, write, sync] -> committed -> [apply thread:
 *   group's apply] -> the write's stages
 *
 * Durability: a stage at or after REPL_LEADER is reported only when the entry is synced.  After a
 * failed commit the group goes back to what is on disk and every write that waited gets the error:
 * a write that failed with DISK_FULL or IO is not in the log.
 *
 * Entries are kept until repl_group_cut, so the owner calls it with what it has synced itself. */
#ifndef VECTRON_REPL_H
#define VECTRON_REPL_H

#include "base/base.h"

struct repl;
struct repl_group;

enum {
    REPL_ENTRY_BYTES_MAX = 32 << 20
};

struct repl_config {
    const char *directory;     /* Made where it is missing. */
    uint64_t node;             /* This node's Raft id, from 1. */
    size_t map_bytes;          /* Address space for the log's file. */
    size_t disk_reserve_bytes; /* Free behind a write that grows; repl_reserve changes it. */
    size_t in_memory_max;      /* Bytes submitted and not yet applied; beyond it OVERLOADED. */
    int apply_nice;            /* Of the apply thread: see thread_be_nice. */
};

/* Errors: IO, DISK_FULL, LOCKED (another process has it), FORMAT_UNSUPPORTED, CORRUPT. */
enum errcode repl_open(const struct repl_config *config, struct repl **out,
                       struct err *err) WARN_UNUSED;
/* Ends both threads after all that was submitted is applied.  Groups must be closed before. */
void repl_close(struct repl *repl);
void repl_reserve(struct repl *repl, size_t disk_reserve_bytes);

/* ---- groups ---- */

struct repl_write;

/* Of the thread that calls a group's apply. */
extern const struct role apply_thread;

struct repl_entry {
    uint64_t index;
    const uint8_t *data; /* Borrowed until apply returns. */
    size_t bytes;
    struct repl_write *write; /* Who submitted it on this node and still waits, or NULL. */
};

struct repl_group_config {
    uint64_t id;      /* Never used again after repl_group_destroy. */
    uint64_t applied; /* What the owner has: entries after it are handed to apply again. */
    /* On the apply thread: all entries in order, in batches as large as what waits (bounded by
     * bytes).  Cannot fail: what an entry asks may be refused, but the owner keeps that as the
     * entry's result.  The owner completes entry.write through repl_write_applied. */
    void (*apply)(void *arg, const struct repl_entry *entries, size_t n);
    void *arg;
};

/* Opens the group, makes it where it is new, and waits until this node leads it and everything
 * that was committed before is applied. */
enum errcode repl_group_open(struct repl *repl, const struct repl_group_config *config,
                             struct repl_group **out, struct err *err) WARN_UNUSED;
/* Waits until what was submitted is applied; afterwards apply is not called any more. */
void repl_group_close(struct repl_group *group);
/* Removes all of a closed group's log, in bounded slices in the background. */
enum errcode repl_group_destroy(struct repl *repl, uint64_t id, struct err *err) WARN_UNUSED;
/* Ids of the groups in the log; *ids is the caller's (mem_free MEM_LOG). */
enum errcode repl_groups(struct repl *repl, uint64_t **ids, size_t *n, struct err *err) WARN_UNUSED;
/* The owner has synced all up to @index: the log may forget it.  What an owner found when it was
 * opened it has not synced: a process that was killed leaves what the disk has not got yet.  Any
 * thread; returns at once. */
void repl_group_cut(struct repl_group *group, uint64_t index);

/* ---- writes ---- */

enum repl_stage {
    REPL_RECEIVED, /* In the leader's queue. */
    REPL_LEADER,   /* Synced in the leader's log. */
    REPL_QUORUM,   /* Synced by a majority: committed. */
    REPL_APPLIED,  /* The owner said so. */
};

/* Who waits where in_memory_max is reached; embedded in the submitter's own struct, zeroed but for
 * ready.  Those who wait are told in the order in which they asked, and the room that one is told
 * of is kept for it until it submits the same write again, or leaves. */
struct repl_room {
    /* Once for each wait, on any thread and under the log's lock: short, calls nothing of repl. */
    void (*ready)(struct repl_room *room);
    /* repl's own */
    struct repl *repl;
    struct repl_room *prev, *next;
    size_t bytes;
    uint8_t state;
};
/* Waits no longer and gives back what was kept; afterwards ready is not called.  Before the group
 * is closed; harmless where nothing was waited for. */
void repl_room_leave(struct repl_room *room);

/* One write, embedded in its submitter's own struct, which owns it until done() returns.  done is
 * called exactly once, on the log thread or that of repl_write_applied (or inside repl_submit for
 * REPL_RECEIVED): when @wait_for is reached, or on failure before it. */
struct repl_write {
    enum repl_stage wait_for;
    void (*done)(struct repl_write *write, uint64_t index, const struct err *err);
    struct repl_room *room; /* Of a submitter that would rather wait than be refused, or NULL. */
    bool is_shrinking;      /* Once applied it makes room: taken below the reserve, too. */
    /* repl's own */
    struct repl_write *next;
    struct repl_group *group;
    bool is_done;
};

/* Takes @data (mem_alloc MEM_LOG), whatever happens, but for a write with a room that is
 * OVERLOADED: its data stay the caller's, who submits them again once the room is ready.  Any
 * thread; never blocks.  Errors are returned, and then done is not called: STATEMENT_TOO_LONG,
 * OVERLOADED, SHUTTING_DOWN, DISK_FULL (free space under the reserve, or, of what shrinks, hardly
 * any). */
enum errcode repl_submit(struct repl_group *group, struct repl_write *write, void *data,
                         size_t bytes, struct err *err) WARN_UNUSED;
/* Takes back a write that the log thread has not taken yet: true, and it will not happen and done
 * is not called.  False: it goes its way.  Any thread, while the group is open and done has not
 * returned. */
bool repl_withdraw(struct repl_write *write);
/* By the owner, from apply on, for one that waits for REPL_APPLIED; @err is the entry's result. */
void repl_write_applied(struct repl_write *write, uint64_t index, const struct err *err);

struct repl_figures {
    const char *role; /* "leader" */
    uint64_t term, first, last, commit, applied;
    size_t log_file_bytes; /* Of the node's log. */
};
void repl_group_figures(const struct repl_group *group, struct repl_figures *out);
/* Bytes of what was submitted or is replayed and was neither applied nor refused. */
size_t repl_group_in_flight(const struct repl_group *group);

#endif
