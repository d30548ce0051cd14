/* Clients that write and know exactly what they wrote.
 *
 * Each client has keys of its own, so what a row must be is known but for the one statement that
 * was told 40003, because the server died: that one happened whole or not at all, and the check
 * after the restart finds out which.  What was told any other error has not happened.
 *
 * Each stage of ack that survives a crash has its clients. */
#ifndef TEST_CRASH_INGEST_H
#define TEST_CRASH_INGEST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/vclient.h"

enum {
    CLIENTS = 8,
    KEYS = 400,          /* Of a client. */
    STATEMENT_KEYS = 24, /* Changed by one statement, at most. */
};

/* A statement whose outcome is not known yet. */
struct pending {
    int n;
    int keys[STATEMENT_KEYS];
    int64_t new[STATEMENT_KEYS]; /* 0: the row goes. */
};

struct client {
    unsigned number;
    const char *collection;
    const char *ack;
    const char *address;
    pthread_t thread;
    uint64_t random;
    int64_t rows[KEYS]; /* Column n of each row; 0: there is none. */
    int64_t next;       /* For column n: never used again. */
    struct pending pending;
    uint64_t n_acks;
    uint64_t n_unknown;     /* 40003 */
    uint64_t n_refused;     /* With the SQLSTATE that was allowed. */
    const char *allowed;    /* An SQLSTATE that is no failure, or NULL. */
    atomic_bool is_stopped; /* Set from outside: ends after the statement. */
    char failure[512];      /* What should not have happened. */
};

void client_init(struct client *c, unsigned number);
bool client_start(struct client *c, const char *address);
void client_join(struct client *c);

/* What the check saw. */
struct verdict {
    uint64_t n_rows;
    uint64_t n_lost, n_duplicated, n_wrong, n_torn; /* n_torn: statements that happened in part. */
    uint64_t n_searched, n_found; /* Rows that the graph was asked for, and that it gave. */
    char first[256];              /* The first fault, in words. */
};

vc_conn *connect_to(const char *address);
/* False where it failed; why is then in @failure. */
bool run(vc_conn *conn, const char *vql, char *failure, size_t failure_bytes);
/* Creates the clients' collections. */
bool create_collections(const char *address, char *failure, size_t failure_bytes);
/* Compares all rows with what the clients know; settles what was pending.  False where the server
 * did not answer, or anything was found. */
bool check_rows(const char *address, struct client clients[CLIENTS], struct verdict *verdict);

#endif
