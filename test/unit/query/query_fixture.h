/* A database in a directory of its own, and a client that runs statements in it.
 *
 * run() drives a portal as the server does: it waits for wake where portal_run says so, and renders
 * each row as text, cells separated by "|" and rows by newlines. */
#ifndef VECTRON_QUERY_FIXTURE_H
#define VECTRON_QUERY_FIXTURE_H

#include "../unit.h"
#include "query/query.h"

enum {
    NARROW_LOG_BYTES = 256 << 10
};

struct client {
    struct query_session *session;
    struct mutex lock;
    struct condition woken;
    unsigned wakes;
    struct buf columns; /* Of the statement that ran last: NAME TYPE(dim), each with a newline. */
    struct buf rows;    /* Text of the rows given. */
    struct buf copy;    /* Bytes of COPY out. */
    bool has_copied_in; /* COPY has asked for data. */
    /* How a cell of the rows' text is written; NULL: as value_format does. */
    void (*put_cell)(struct client *c, size_t column, const struct value *value);
    size_t n_rows;
    size_t full_after; /* The sink is full once after so many rows; 0 = never. */
    unsigned n_full, n_wait;
    void (*at_wait)(struct client *c); /* Called before each wait for a wake, or NULL. */
    char notice[ERR_MESSAGE_BYTES];
    char status[128];
    char phase[32]; /* Of the last progress told; "": there was none. */
    uint64_t phase_done, phase_total;
    char tag[64];
    uint64_t changed;
    struct err err;
};

struct fixture {
    char directory[64]; /* With ".files" behind it: copy_directory. */
    struct repl *repl;
    struct database *db;
    struct policy_set policies;
    size_t log_bytes_max; /* Of writes under way. */
    struct client client;
};

int fixture_setup(void **state);
int fixture_setup_narrow(void **state); /* The log takes no more than NARROW_LOG_BYTES at once. */
int fixture_teardown(void **state);
/* Closes the database and opens it again. */
void fixture_reopen(struct fixture *f);
void fixture_close(struct fixture *f); /* And its client. */
void fixture_open(struct fixture *f);
/* Without a client, and may fail. */
enum errcode fixture_open_database(struct fixture *f, struct err *err);

/* A work pool that does nothing: its threads are behind a barrier. */
struct barrier *barrier_shut(struct database *db); /* Returns when each thread is held. */
void barrier_open(struct barrier *barrier);        /* And when each has gone on; frees it. */

void client_init(struct client *c, struct database *db, uint64_t id);
void client_fini(struct client *c);

/* Runs all statements of the text.  Returns the error's code; what came lies in the client. */
enum errcode run(struct client *c, const char *text);
/* Runs one statement with parameters. */
enum errcode run_with(struct client *c, const char *text, const struct value *values, size_t n);
/* Runs COPY ... FROM STDIN with these data, cut into pieces of @piece bytes. */
enum errcode run_copy(struct client *c, const char *text, const void *data, size_t bytes,
                      size_t piece);
/* Runs and compares the rows. */
#define expect_rows(c, text, rows) expect_rows_at((c), (text), (rows), __FILE__, __LINE__)
void expect_rows_at(struct client *c, const char *text, const char *rows, const char *file,
                    int line);
#define expect_error(c, text, code) expect_error_at((c), (text), (code), __FILE__, __LINE__)
void expect_error_at(struct client *c, const char *text, enum errcode code, const char *file,
                     int line);
#define expect_ok(c, text) expect_error_at((c), (text), ERR_OK, __FILE__, __LINE__)
const char *rows_text(struct client *c);

/* A sink that counts what it is given, for a portal that a test drives by hand. */
struct bare {
    size_t n_rows, n_values;
    _Atomic unsigned wakes;
    bool is_full;
};
struct portal_sink bare_sink(struct bare *bare);
void bare_wait(struct bare *bare, unsigned wakes); /* Until there were so many. */
struct prepared *bare_prepare(struct client *c, const char *text);
/* Without parameters. */
struct portal *bare_portal(struct client *c, struct prepared *prepared, struct bare *bare);

#endif
