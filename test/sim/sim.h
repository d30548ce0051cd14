/* What the files of the simulator share.
 *
 *   world.c   a seed's chance, time, digest and tallies: they outlive the lives
 *   sched.c   threads as coroutines, one at a time, chosen by the seed; sleeping and time
 *   thread.c  base/thread.h over them
 *   kernel.c  the C library's calls about time, chance and files, under the node and LMDB alike
 *   disk.c    what the page cache holds, and what a loss of power leaves of it
 *   fault.c   what goes wrong, and when
 *   model.c   what the rows must be
 *   client.c  a session: running a statement, settling what is in doubt (run.h)
 *   portals.c    several portals of a session that are open at once
 *   files.c      what COPY reads and writes
 *   statement.c  which statements, and what each must do to the rows
 *   life.c    the node from its opening to its end or crash
 *   main.c    options, seeds, lives in child processes, the report */
#ifndef VECTRON_SIM_H
#define VECTRON_SIM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/base.h"

/* ---- world.c: one for a seed, in memory that its lives share ---- */

enum stream {
    STREAM_SCHEDULE,
    STREAM_CLIENT,
    STREAM_DISK,
    STREAM_FAULT,
    STREAM_KERNEL,
    STREAM_LEAVES,
    STREAM_COUNT
};

/* What can go wrong; each is counted. */
enum fault_kind {
    GONE_KILLED,     /* The process dies; what it wrote to files stays. */
    GONE_POWER_ALL,  /* The power is lost, and with it all that was not synced. */
    GONE_POWER_SOME, /* As before, but any of what was not synced may have been written. */
    FAULT_EIO_READ,
    FAULT_EIO_WRITE,
    FAULT_EIO_SYNC,
    FAULT_SHORT_WRITE,
    FAULT_NO_SPACE,
    FAULT_SLOW_DISK,
    FAULT_DEAD_DISK, /* Nothing is written any more, for the rest of the life. */
    FAULT_NO_MEMORY,
    FAULT_NO_THREAD,
    FAULT_NO_DESCRIPTOR,
    FAULT_CANCEL,
    FAULT_TIMEOUT,
    FAULT_ABANDONED, /* The client goes away while its statement runs. */
    FAULT_KINDS
};
extern const char *const fault_kind_names[FAULT_KINDS];

enum {
    LIVES_MAX = 16,
    FAILURE_BYTES = 2048
};

/* ---- model.c's state: what the rows must be ---- */

enum {
    CLIENTS = 3,
    KEYS = 32,       /* Of a client, whose they are alone. */
    CHANGES_MAX = 8, /* Of one statement. */
    CONTENTS_MAX = 8,
    ID_OF_CLIENT = 1000,
    ID_SETTLING = 999, /* Of each client: a row that it writes to settle what is in doubt. */
    ID_SHARED = 100000
};

struct cell {
    bool is_there;
    int64_t n, count;
};

/* A statement whose outcome is not known yet. */
struct doubt {
    size_t n;
    bool is_copy; /* It may have happened whatever error it has told. */
    unsigned keys[CHANGES_MAX];
    struct cell cells[CHANGES_MAX]; /* What they become if it happens. */
};

/* A collection of a client's own, which it makes and drops. */
struct own {
    bool is_there, is_in_doubt;
    unsigned rows;
};

/* The file that a client copies the collection into: one of the contents, by their hashes. */
struct copied {
    bool is_in_doubt; /* Or a new one. */
    size_t n_more;    /* Than the first. */
    uint64_t hashes[CONTENTS_MAX];
};

/* A row that all clients add one to. */
struct shared {
    bool is_there;
    int64_t told, begun; /* Its count is told at least, begun at most. */
};

enum {
    NOTE_BYTES = 2048
};

struct model {
    struct cell cells[CLIENTS][KEYS];
    struct doubt doubts[CLIENTS];
    struct own owns[CLIENTS];
    struct copied copied[CLIENTS];
    struct shared shared;
    int64_t last_n;
};

/* What a simulator that is of any use must notice. */
enum flaw {
    FLAW_NONE,
    FLAW_DISK, /* It says that it has synced, and has not. */
    FLAW_LOCKS /* Two threads take two locks in two orders. */
};

/* How far a seed is: it lives and dies, then ends in peace, then is opened once more. */
enum phase {
    PHASE_STORM,
    PHASE_PEACE,
    PHASE_AFTER,
    PHASE_DONE
};

struct world {
    uint64_t seed;
    uint64_t streams[STREAM_COUNT];
    uint64_t now_ns, started_ns;
    uint64_t digest;
    uint64_t switches;     /* Of all lives. */
    uint64_t switches_max; /* Then the last life ends in peace. */
    uint64_t crash_at;     /* At this switch; 0: never. */
    uint64_t stop_at;      /* Then clients stop, and the node is closed. */
    unsigned life;
    enum phase phase;
    bool is_traced;
    enum flaw flaw;
    uint64_t n_statements, n_cut, n_acknowledged, n_failed, n_unknown;
    uint64_t faults[FAULT_KINDS];
    /* What fault.c keeps: 0 where a kind does not happen in this seed. */
    unsigned one_in[FAULT_KINDS];
    bool has_faults, is_disk_dead;
    uint64_t full_until_ns, slow_until_ns;
    unsigned n_failed_openings;
    unsigned n_kept; /* Names of disk.c's in DIRECTORY.lost. */
    struct model model;
    /* The disk, with the node's directory and that of COPY's files in it; directory.lost takes what
     * a crash undoes. */
    char directory[64];
    char failure[FAILURE_BYTES];
};
extern struct world *world;

void world_begin(struct world *w, uint64_t seed);
uint64_t chance(enum stream stream);
uint64_t chance_below(enum stream stream, uint64_t bound); /* 0 to bound-1. */
bool chance_is(enum stream stream, unsigned one_in);       /* 0: never. */
void world_note(uint64_t event);                           /* Into the digest. */
void world_note_text(const char *text);
void trace(const char *format, ...) PRINTF_LIKE(1, 2);
/* Ends this life as a failure of the seed. */
_Noreturn void sim_fail(const char *format, ...) PRINTF_LIKE(1, 2);

/* How a life's process exits. */
enum {
    LIFE_ENDED = 0,
    LIFE_CRASHED = 10,
    LIFE_FAILED = 11
};

/* ---- sched.c ---- */

struct fiber;

/* Runs @main as the first fiber and returns when it has ended; others must have ended before. */
void sched_run(void (*main)(void *arg), void *arg);
bool sched_is_on(void); /* A fiber runs. */
struct fiber *sched_current(void);
struct fiber *sched_start(const char *name, void (*run)(void *arg), void *arg);
void sched_join(struct fiber *fiber); /* And frees it. */
/* Others may run now. */
void sched_switch(void);
/* The same, where the caller can do nothing until others have run. */
void sched_yield_to_others(void);
/* Until sched_wake on @on, or false at the deadline (UINT64_MAX: none). */
bool sched_block(const void *on, uint64_t deadline_ns, const char *why);
void sched_wake_one(const void *on); /* One of those that wait, by chance. */
void sched_wake_all(const void *on);
void sched_sleep(uint64_t ns);

/* ---- disk.c ---- */

/* What was opened under the world's directory; others are not simulated. */
void disk_begin(void);
void disk_save(void); /* For the next life, where this one just ends. */
bool disk_path_is_ours(int at, const char *path);
void disk_opened(int fd, int at, const char *path, int flags, bool is_new);
void disk_closed(int fd);
bool disk_has(int fd);
bool disk_fd_is_synced(int fd); /* O_DSYNC. */
bool disk_is_directory(int fd);
/* Before bytes [from, to) change, or the size to @size. */
void disk_will_write(int fd, uint64_t from, uint64_t to);
void disk_will_resize(int fd, uint64_t size);
uint64_t disk_size(int fd);
/* What is written before begin is safe when end is called. */
uint64_t disk_sync_begin(int fd);
void disk_sync_end(int fd, uint64_t mark, bool has_failed);
void disk_sync_range(int fd, uint64_t from, uint64_t to);
/* Changes of names; each carries itself out and returns as the call would. */
int disk_make_directory(const char *path, mode_t mode);
int disk_rename(int at, const char *from, const char *to);
int disk_unlink(int at, const char *path, bool is_directory);
void disk_created(int at, const char *path);
/* Undoes what the crash takes away. */
void disk_crash(enum fault_kind how);

/* ---- kernel.c: the true calls ---- */

int true_openat(int at, const char *path, int flags, mode_t mode);
int true_close(int fd);
ssize_t true_pread(int fd, void *to, size_t bytes, uint64_t at);
ssize_t true_pwrite(int fd, const void *from, size_t bytes, uint64_t at);
int true_rename(const char *from, const char *to);
int true_unlink(const char *path, bool is_directory);
int true_mkdir(const char *path, mode_t mode);
int true_link(const char *from, const char *to);
int true_truncate(const char *path, uint64_t bytes);

/* ---- fault.c ---- */

/* Chooses from the seed which faults its lives have. */
void faults_begin_world(void);
void faults_end(void); /* None from now on. */
uint64_t fault_disk_ns(bool is_sync);
/* 0, or the errno with which this write or sync fails. */
int fault_write(uint64_t at, uint64_t grows_by, size_t *bytes);
int fault_sync(void);
bool fault_disk_is_full(void);
bool fault_happens(enum fault_kind kind); /* By chance; counted. */
/* Arms a failure of the next allocations, by chance. */
void fault_memory(void);

/* ---- client.c ---- */

struct database;

struct query_session;
struct sim_client {
    struct database *db;
    unsigned number;
    struct query_session *session; /* While it runs statements; NULL: none. */
};
/* A thread's main: statements by chance until the life stops; then everything of its own is read.
 */
void client_main(void *arg);
/* Makes the collection where it is missing; false where that failed. */
bool client_make_collection(struct database *db);
/* Reads the whole collection and walks its graph; nobody else is there. */
void client_check_all(struct database *db);

/* ---- model.c ---- */

struct buf;
void model_note(int64_t n, char out[NOTE_BYTES]);
void model_vector(int64_t n, char out[64]); /* As a literal. */
void model_row(unsigned client, unsigned key, const struct cell *cell, struct buf *out);
/* The rows of the keys [from, to] as SELECT id, n, count, note gives them. */
void model_rows(unsigned client, unsigned from, unsigned to, struct buf *out);
size_t model_count(unsigned client, unsigned from, unsigned to);
/* "count|sum of n|least n|greatest n", of those with n % MODEL_GROUPS = @group, or of all. */
enum {
    MODEL_GROUPS = 4,
    MODEL_ALL = MODEL_GROUPS
};
size_t model_sums(unsigned client, unsigned from, unsigned to, unsigned group, struct buf *out);
void model_happened(unsigned client);  /* The doubt's statement has happened. */
void model_forgotten(unsigned client); /* It has not, and will not. */

/* ---- life.c ---- */

/* The process of one life; never returns. */
_Noreturn void life_run(void);
_Noreturn void life_crash(void);

#endif
