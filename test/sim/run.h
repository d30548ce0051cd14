/* A client's session and the statement that it runs: client.c drives it, statement.c
 * says which, files.c has those with files, and portals.c has several under way. */
#ifndef VECTRON_SIM_RUN_H
#define VECTRON_SIM_RUN_H

#include "query/query.h"
#include "test/sim/sim.h"

enum {
    TEXT_BYTES = 32768,
    LANES = 3
};

/* One of several portals that are open at once. */
struct lane {
    struct run *run;
    struct portal *portal; /* NULL: closed. */
    unsigned from, to;     /* The keys that it reads. */
    bool is_search;
    struct buf rows;
    size_t n_rows;
};

struct run {
    struct sim_client *who;
    struct query_session *session;
    struct mutex lock;
    struct condition woken;
    unsigned wakes;
    struct buf rows, expected;
    size_t n_rows;
    char text[TEXT_BYTES];
    const char *copied; /* What COPY FROM STDIN sends. */
    uint64_t changed;
    bool is_early; /* Its last write was acknowledged and may not be seen yet. */
    bool may_stop; /* The client may go away while this statement runs. */
    struct err err;
    struct lane lanes[LANES];
};

/* ---- client.c ---- */

/* Runs what stands in r->text; @expected is an error that it may well give. */
enum errcode run(struct run *r, enum errcode expected);
/* What run is made of: the leaves that the next statement is cut for, its preparing, an error that
 * the seed's faults excuse, a wait for the wake of a portal, and what a sink has. */
void choose_leaves(struct run *r);
enum errcode prepare(struct run *r, struct prepared **out);
bool is_excused(enum errcode code);
void wait_for_wake(struct run *r);
struct portal_sink sink_of(struct run *r);
void put_row(struct buf *out, const struct value *values, size_t n);
/* So large that no later growth can fail: what the simulator itself needs never does. */
void reserve(struct buf *b, size_t bytes);
/* r->rows must be r->expected. */
void expect_rows(struct run *r);
/* What is acknowledged after it was told before is not in doubt. */
bool write_settling_row(struct run *r);
/* True when nothing is in doubt any more. */
bool settle_at_last(struct run *r);

/* ---- portals.c ---- */

/* Reads ranges through several portals that are open at once, a few rows of each in turn. */
void read_through_portals(struct run *r);

/* ---- files.c ---- */

/* Puts a file of the client's where COPY FROM finds it; false where that failed. */
bool file_put(const char *name, unsigned client, const char *data, size_t bytes);
/* Copies the collection into the client's file, and looks at what that has become. */
void copy_to_file(struct run *r);
/* The file must be as it was, or where a COPY TO was under way, whole. */
void check_file(unsigned client);

/* ---- statement.c ---- */

void run_some_statement(struct run *r);
void pause_by_chance(void);
/* Reads the keys [from, to] and compares them. */
void read_range(struct run *r, unsigned from, unsigned to);

#endif
