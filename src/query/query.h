/* The door of query: a parsed statement becomes a plan, and the plan becomes rows.
 *
 *   database  one for the process: the map, the shards, the work pool, the sessions' registry
 *   session   policies of one client, its cancel flag, a running statement
 *   prepared  a statement, parsed and analyzed: its parameters' types and its columns
 *   portal    a prepared statement with its parameters, being run
 *
 * portal_run does as much as it can and never blocks its thread: where it must wait (a write's
 * acknowledgement, work on the pool) it returns PORTAL_WAIT and later calls wake once, from any
 * thread, whereupon its owner calls portal_run again on its own thread.  Where it waits for the
 * client (PORTAL_FULL, PORTAL_COPY_IN) wake may come too: a cancel, or the end of its time.
 * Statements whose estimated cost is small run where they were read; others go to the work pool. */
#ifndef VECTRON_QUERY_H
#define VECTRON_QUERY_H

#include "base/base.h"
#include "format/format.h"
#include "plan/statement.h"

struct database;
struct query_session;
struct prepared;
struct portal;

/* ---- the database ---- */

struct database_config {
    const char *directory; /* shards/ is below it. */
    struct repl *repl;
    const struct policy_set *file_policies; /* Borrowed; replaced with database_reload. */
    unsigned work_threads;
};
/* Opens the map and every shard. */
enum errcode database_open(const struct database_config *config, struct database **out,
                           struct err *err) WARN_UNUSED;
void database_reload(struct database *db, const struct policy_set *file_policies);
/* Flushes, writes checkpoints, closes everything.  No session may be open. */
void database_close(struct database *db);

/* ---- sessions ---- */

struct query_session *query_session_new(struct database *db, uint64_t id, struct err *err);
void query_session_free(struct query_session *session);
/* Any thread: the running statement ends with CANCELED soon. */
void query_session_cancel(struct query_session *session);
struct policy_set *query_session_policies(struct query_session *session); /* Owner's thread only. */

/* What SHOW SESSIONS tells; the server fills it in and keeps it up to date under the registry's
 * lock through query_session_describe. */
struct query_session_facts {
    char user[NAME_BYTES_MAX + 1];
    char application[NAME_BYTES_MAX + 1];
    char peer[64];
    uint64_t output_bytes;
};
void query_session_describe(struct query_session *session, const struct query_session_facts *facts);
/* Finds by id and cancels where the secret fits; for CANCEL. */
void query_session_set_secret(struct query_session *session, uint64_t secret);
bool database_cancel(struct database *db, uint64_t session, uint64_t secret);
/* What COPY would say of @directory as its copy_directory, which may be empty for none, beside the
 * data directory @data, which may not be there yet.  Errors: INSUFFICIENT_PRIVILEGE, IO. */
enum errcode copy_directory_check(const char *directory, const char *data,
                                  struct err *err) WARN_UNUSED;

/* ---- statements ---- */

/* Prepares the first statement of @text; *rest is where the next begins; *out is NULL where there
 * is none.
 * A prepared statement that outlives a change of its collection is analyzed again when it is run.
 */
enum errcode prepared_new(struct query_session *session, const struct statement_text *text,
                          struct prepared **out, size_t *rest, struct err *err) WARN_UNUSED;
/* The only statement of @text: SYNTAX where another one follows. */
enum errcode prepared_new_alone(struct query_session *session, const struct statement_text *text,
                                struct prepared **out, struct err *err) WARN_UNUSED;
void prepared_free(struct prepared *prepared); /* Portals of it may live on. */

/* A text that is longer than this is prepared on the pool: its owner's thread has others to serve.
 * @held holds what @text points to, and is given back in the end.  @ended is called once, from any
 * thread, when it has ended; not after preparing_abandon. */
enum {
    PREPARED_INLINE_BYTES = 16 << 10
};
struct preparing;
struct preparing *preparing_begin(struct query_session *session, const struct statement_text *text,
                                  bool is_alone, struct buf *held, struct err *err);
void preparing_start(struct preparing *preparing, void (*ended)(void *arg), void *arg);
bool preparing_has_ended(struct preparing *preparing);
/* How it ended, as prepared_new or prepared_new_alone; frees it. */
enum errcode preparing_end(struct preparing *preparing, struct prepared **out, size_t *rest,
                           struct buf *held, struct err *err) WARN_UNUSED;
void preparing_abandon(struct preparing *preparing);
/* Analyzes it again where its collection has changed since: before it is described. */
enum errcode prepared_refresh(struct query_session *session, struct prepared *prepared,
                              struct err *err) WARN_UNUSED;
size_t prepared_parameters(const struct prepared *prepared, const uint8_t **types);

/* 0 columns: gives no rows. */
size_t prepared_columns(const struct prepared *prepared, const struct result_column **columns);

/* Where a portal's results go.  All calls come from portal_run, on its caller's thread. */
struct portal_sink {
    void (*row)(void *arg, const struct value *values, size_t n);
    bool (*is_full)(void *arg); /* Asked between rows: true makes portal_run return PORTAL_FULL. */
    void (*copy_data)(void *arg, const void *data, size_t bytes);
    void (*progress)(void *arg, const char *phase, uint64_t done, uint64_t total);
    void (*notice)(void *arg, const struct err *notice);
    void (*status)(void *arg, const char *name, const char *value); /* SET changed a policy. */
    void (*wake)(void *arg);                                        /* Any thread; see above. */
    void *arg;
};

struct parameters {
    const struct value *values;
    size_t n;
};
/* Copies the parameters.  Errors: UNKNOWN_PARAMETER, TYPE_MISMATCH, OUT_OF_MEMORY. */
enum errcode portal_new(struct query_session *session, struct prepared *prepared,
                        const struct parameters *parameters, const struct portal_sink *sink,
                        struct portal **out, struct err *err) WARN_UNUSED;
/* Frees it; one that runs is canceled and freed when its work has ended. */
void portal_free(struct portal *portal);
size_t portal_columns(const struct portal *portal, const struct result_column **columns);

/* With which others of its session a portal may be under way at once: INSERTs, since what one does
 * depends on nothing that is run later; and SEARCHes that take long, since none changes anything.
 */
enum portal_company {
    PORTAL_ALONE,
    PORTAL_AMONG_INSERTS,
    PORTAL_AMONG_SEARCHES
};
enum portal_company portal_company(const struct portal *portal);
/* It waits for its write, or for a step on the pool: others of its company may be run meanwhile.
 * *bytes is the write's size. */
bool portal_may_be_passed(const struct portal *portal, size_t *bytes);
/* Of a SEARCH that has not been run: its steps are taken on the pool. */
void portal_prefer_pool(struct portal *portal);

enum portal_status {
    PORTAL_DONE,      /* portal_tag and portal_rows tell of it. */
    PORTAL_SUSPENDED, /* The row limit was reached. */
    PORTAL_FULL,      /* The sink is full: call again when it is not, or after wake. */
    PORTAL_WAIT,      /* Call again after wake. */
    PORTAL_COPY_IN,   /* Wants portal_copy_data or its end; call again then, or after wake. */
    PORTAL_COPY_OUT,  /* Returned once, before the first copy_data: the owner announces it. */
    PORTAL_FAILED,    /* *err tells; where it was empty, and none of the others, it stays so. */
};
enum portal_status portal_run(struct portal *portal, uint64_t row_limit,
                              struct err *err) WARN_UNUSED;
const char *portal_tag(const struct portal *portal);
uint64_t portal_rows(const struct portal *portal); /* Given or changed. */

/* The owner suspends it: until portal_run it does not run, and a cancel is not for it. */
void portal_suspend(struct portal *portal);

/* COPY in.  portal_copy_data keeps bytes cut anywhere; then portal_run makes rows of them, and asks
 * for more, or for time, or says what went wrong.  The end of the data, or why the owner gives up,
 * is told; then portal_run says how it went. */
enum copy_format portal_copy_format(const struct portal *portal, const uint8_t **types, size_t *n);
void portal_copy_data(struct portal *portal, const void *data, size_t bytes);
void portal_copy_done(struct portal *portal);
void portal_copy_fail(struct portal *portal, const struct err *reason);

#endif
