/* Within repl: the parts and who runs them.
 *
 *   repl.c         the door: open, close, groups, submit
 *   log_thread.c   the turn: take what waits, one transaction, one sync, tell
 *   apply.c        the apply thread: committed entries to their groups
 *   group.c        one group's Raft, a state machine of the log thread's: an event in, and one
 *                  function for each update flag that comes out
 *   group_state.c  a group's state, and the lists that it waits in
 *   entry.c        entries in memory, and lists of them
 *   log_store_int.h  the log on disk (log_store.c, LMDB) and its directory (log_dir.c)
 *
 * The lock order: repl.lock, then nothing.  done() and apply() are called without it. */
#ifndef VECTRON_REPL_INT_H
#define VECTRON_REPL_INT_H

#include <raft.h>
#include <stdatomic.h>

#include "repl/repl.h"

/* ---- entries in memory: entry.c ---- */

/* From repl_submit (or the log, when it is replayed) until it is applied or has failed. */
struct entry {
    struct entry *next;
    struct repl_write *write; /* Who is still to be told, or NULL. */
    uint8_t *data;            /* Owned, MEM_LOG. */
    size_t bytes;
    uint64_t index;    /* 0 until Raft has it. */
    bool is_shrinking; /* As its write was. */
};

struct entry_list {
    struct entry *first, *last;
    size_t n, bytes;
};

void entry_list_push(struct entry_list *list, struct entry *entry);
struct entry *entry_list_pop(struct entry_list *list); /* NULL where it is empty. */
/* Takes the entry that @write waits for out of the list; NULL where it is not there. */
struct entry *entry_list_take(struct entry_list *list, const struct repl_write *write);
void entry_list_join(struct entry_list *to, struct entry_list *from); /* Empties @from. */
/* Takes all that grow the data, or all that shrink it, out of @list into @out, in their order. */
void entry_list_part(struct entry_list *list, bool is_shrinking, struct entry_list *out);
struct entry *entry_new(struct repl_write *write, uint8_t *data, size_t bytes);
void entry_free(struct entry *entry);
/* Calls done, once. */
void write_tell(struct repl_write *write, uint64_t index, const struct err *err);
void entry_tell(struct entry *entry, const struct err *err);

/* ---- groups ---- */

/*   opening -> replaying -> serving -> closing -> closed
 *      |           |
 *      +-> failed <+
 *
 * A serving group whose Raft could not be loaded again after a failure (has_raft is false) stays
 * in service: the next turn with writes for it tries again. */
enum group_state {
    GROUP_OPENING,
    GROUP_REPLAYING,
    GROUP_SERVING,
    GROUP_FAILED,
    GROUP_CLOSING,
    GROUP_CLOSED,
    GROUP_STATES
};

struct repl_group {
    struct repl *repl;
    struct repl_group_config config;

    /* Of the log thread (until the group is in its list: of the opener). */
    struct repl_group *next; /* In repl.groups, or before that in repl.opening. */
    struct raft raft;
    bool has_raft;
    bool is_touched; /* By this turn's transaction. */
    bool is_busy;    /* In repl.busy: the turn is about it, or there is something to cut. */
    struct repl_group *next_busy;
    struct repl_group *prev;   /* In repl.groups. */
    struct entry_list fresh;   /* Taken from queue, not yet given to Raft. */
    struct entry_list written; /* In Raft, with an index; not yet known to be committed. */
    uint64_t last, stored;     /* Last index that Raft has; that is synced.  Differ in a turn. */
    uint64_t commit;
    struct repl_group *next_turn; /* In the turn that the log thread is about. */
    bool is_closing;     /* Its state was closing, and nothing in flight, when the turn began. */
    uint64_t cut_target; /* What cut_wanted was when the turn began. */
    uint64_t cut_index, cut_term;
    uint64_t cut_next, cut_term_next; /* These become it with the turn's commit; 0 = no change. */
    bool has_removal;                 /* Entries up to cut_index may still be in the log. */
    uint64_t conf_index;
    uint8_t *conf; /* Owned. */
    size_t conf_bytes;
    uint64_t replay_next, replay_last; /* To be handed on from the log. */

    /* Under repl.lock. */
    uint8_t state;           /* enum group_state */
    struct err error;        /* Why it failed. */
    struct entry_list queue; /* Submitted. */
    bool is_waiting;         /* In repl.waiting: the log thread has something to do for it. */
    struct repl_group *next_waiting;
    struct entry_list backlog; /* Committed, for the apply thread. */
    bool is_ready;             /* In repl.ready: backlog is not empty. */
    struct repl_group *next_ready;
    uint64_t cut_wanted;
    size_t n_in_flight;             /* Submitted or replayed, and neither applied nor failed. */
    _Atomic size_t bytes_in_flight; /* Of them; written under repl.lock. */
    struct repl_figures figures;
};

extern const struct role log_thread;

/* group.c: all of these on the log thread.  After an error the group must be loaded anew, and what
 * the turn has written aborted. */

/* Writes a new group's first entry and state. */
enum errcode group_bootstrap(struct repl_group *group, struct err *err)
    REQUIRES(log_thread) WARN_UNUSED;
/* Starts Raft from what the log holds; *found = false where the log does not know the group. */
enum errcode group_load(struct repl_group *group, bool *found, struct err *err)
    REQUIRES(log_thread) WARN_UNUSED;
void group_unload(struct repl_group *group) REQUIRES(log_thread);
/* Gives all of fresh to Raft and writes what it asks for. */
enum errcode group_submit(struct repl_group *group, struct err *err)
    REQUIRES(log_thread) WARN_UNUSED;
bool group_has_cut(const struct repl_group *group) REQUIRES(log_thread);
/* Writes the cut to cut_target, and a slice of the removal behind it. */
enum errcode group_cut(struct repl_group *group, struct err *err) REQUIRES(log_thread) WARN_UNUSED;
/* What the turn has written is synced: tells Raft.  Committed entries are added to @committed. */
enum errcode group_synced(struct repl_group *group, struct entry_list *committed, struct err *err)
    REQUIRES(log_thread) WARN_UNUSED;
enum errcode group_timeout(struct repl_group *group, struct err *err)
    REQUIRES(log_thread) WARN_UNUSED;
/* Adds the next entries of the replay to @out: at least one, and not many more than @bytes_max. */
enum errcode group_read(struct repl_group *group, size_t bytes_max, struct entry_list *out,
                        struct err *err) REQUIRES(log_thread) WARN_UNUSED;

/* ---- the node ---- */

/* Of repl_group_destroy, which waits until the mark is synced or has failed; under repl.lock. */
struct doom_request {
    bool is_answered;
    struct err error;
};

/* A group that is being removed from the log.  First it is marked there, so that a restart goes on
 * with the removal.  Of the log thread, once that has taken it. */
struct doomed {
    struct doomed *next;
    uint64_t group;
    bool is_marked;
    bool is_gone;                 /* With the turn's commit. */
    struct doom_request *request; /* NULL where nobody waits. */
};

struct repl {
    struct repl_config config;
    struct log_store *store;
    struct thread log, apply;
    struct mutex lock;
    struct condition log_wake;   /* Waited for by the log thread. */
    struct condition apply_wake; /* Waited for by the apply thread. */
    struct condition changed;    /* A group's state or n_in_flight, or a doomed one's answer. */

    /* Under lock. */
    bool is_stopping;
    bool is_log_ended; /* Nothing will become ready any more. */
    bool is_full;      /* The last turn with something that grows found no room, or one with what
                          shrinks. */
    size_t in_memory_bytes;
    struct repl_room *room_first; /* Who waits for room, in the order of asking. */
    struct repl_room *room_last;
    struct repl_group *waiting;
    struct repl_group *waiting_last;
    struct repl_group *ready;
    struct repl_group *ready_last;
    struct repl_group *opening;
    struct doomed *dooming;
    uint64_t *ids; /* Groups in the log, but for doomed ones. */
    size_t n_ids;
    size_t n_ids_max;
    size_t n_open;
    size_t n_replaying;

    /* Of the log thread. */
    bool is_failing; /* The last turn could not be written. */
    struct repl_group *groups;
    struct repl_group *busy; /* Those that a turn looks at: of 10,000 groups a few. */
    struct doomed *doomed;
    struct raft_entry *raft_entries; /* Scratch for one step. */
    size_t n_raft_entries_max;
    uint64_t timer_us;      /* No group's Raft timer ends before. */
    uint64_t background_us; /* No cut or removal before; after a failure it waits. */

    struct repl_entry *batch; /* Of the apply thread: APPLY_ENTRIES_MAX. */
};

enum {
    TURN_BYTES_MAX = 32 << 20,   /* Entries of one turn's transaction, but at least one. */
    REPLAY_BYTES_MAX = 16 << 20, /* A group's backlog while the log is replayed. */
    APPLY_BYTES_MAX = 8 << 20,   /* Entries of one call of apply, but at least one. */
    APPLY_ENTRIES_MAX = 4096,
    CUT_ENTRIES_MAX = 1024, /* Removed by one turn. */
};

void log_thread_run(void *arg); /* The struct repl. */
void apply_thread_run(void *arg);

/* ---- a group's state and lists: group_state.c ---- */

/* The group has something for the log thread. */
void group_wait(struct repl *repl, struct repl_group *group) REQUIRES(repl->lock);
/* Takes it out of the lists that wait. */
void group_unlist(struct repl *repl, struct repl_group *group) REQUIRES(repl->lock);
void group_move(struct repl *repl, struct repl_group *group, enum group_state to, const char *why)
    REQUIRES(repl->lock);
/* @n entries of @bytes are applied or have failed. */
void group_done(struct repl *repl, struct repl_group *group, size_t n, size_t bytes)
    REQUIRES(repl->lock);

/* ---- room.c, apply.c ---- */

/* Counts @bytes as under way; false where there are too many, and then @room (may be NULL) waits.
 */
bool room_take(struct repl *repl, struct repl_room *room, size_t bytes) REQUIRES(repl->lock);
void room_give_back(struct repl *repl, size_t bytes) REQUIRES(repl->lock);
/* Hands committed entries to the apply thread; empties @committed. */
void apply_push(struct repl *repl, struct repl_group *group, struct entry_list *committed)
    REQUIRES(repl->lock);
/* Applies a batch of the group's backlog, with room for @n_max in @batch; false where there is
 * none.  Gives up the lock meanwhile.  On the apply thread. */
bool apply_batch(struct repl *repl, struct repl_group *group, struct repl_entry *batch,
                 size_t n_max) REQUIRES(repl->lock);

#endif
