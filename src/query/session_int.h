/* A session: what one client has set, and which of its statements run. */
#ifndef VECTRON_QUERY_SESSION_INT_H
#define VECTRON_QUERY_SESSION_INT_H

#include <stdatomic.h>

#include "query/query.h"

enum {
    STATEMENT_SHOWN_BYTES = 128
};

struct query_session {
    atomic_uint refs; /* The owner's, and one for each portal. */
    struct database *db;
    uint64_t id;
    atomic_bool is_canceled;
    struct policy_set policies;        /* Owner's thread only. */
    struct portal *spare;              /* An ended portal, to be used again. */
    uint64_t chance;                   /* Of random_next; of whoever runs the step. */
    struct query_session *prev, *next; /* Of the database's list, under its lock. */
    int64_t since_wall_us;
    atomic_size_t prepared_bytes; /* Of its prepared statements. */
    struct mutex lock;            /* What follows. */
    struct portal *running;       /* Those that run, the last one first. */
    bool is_preparing;            /* On the pool. */
    uint64_t secret;
    uint64_t statements;
    uint64_t statement_us; /* When it began, by clock_micros. */
    size_t statement_bytes;
    char statement[STATEMENT_SHOWN_BYTES];
    struct query_session_facts facts;
};

/* ---- session.c ---- */

void query_session_release(struct query_session *session);
/* As it is before there is a statement that could say otherwise. */
int64_t query_session_policy(struct query_session *session, enum policy_id id);
/* CANCELED or TIMEOUT where it is so; deadline 0: none. */
enum errcode query_session_poll(const struct query_session *session, uint64_t deadline_us,
                                uint64_t timeout_us, struct err *err) WARN_UNUSED;

/* ---- registry.c ---- */

void query_session_begin(struct query_session *session,
                         struct portal *portal); /* Also after its end. */
void query_session_end(struct query_session *session, struct portal *portal);

#endif
