/* A client's session and the statement that it runs: client.c drives it, statement.c says which. */
#ifndef VECTRON_SIM_RUN_H
#define VECTRON_SIM_RUN_H

#include "query/query.h"
#include "test/sim/sim.h"

enum {
    TEXT_BYTES = 32768
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
};

/* ---- client.c ---- */

/* Runs what stands in r->text; @expected is an error that it may well give. */
enum errcode run(struct run *r, enum errcode expected);
/* r->rows must be r->expected. */
void expect_rows(struct run *r);
/* What is acknowledged after it was told before is not in doubt. */
bool write_settling_row(struct run *r);
/* True when nothing is in doubt any more. */
bool settle_at_last(struct run *r);

/* ---- statement.c ---- */

void run_some_statement(struct run *r);
void pause_by_chance(void);
/* Reads the keys [from, to] and compares them. */
void read_range(struct run *r, unsigned from, unsigned to);

#endif
