/* What the files of the table of promises share.
 *
 *   main.c      options, the states that a collection goes through, the table
 *   shapes.c    vectors and queries of each kind of data, from a seed
 *   truth.c     exact distances, recall by distance
 *   server.c    the collection behind libvclient: load, delete, wait, search
 *
 * One thread.  What cannot go on ends the program. */
#ifndef VECTRON_BENCH_PROMISES_H
#define VECTRON_BENCH_PROMISES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/vclient.h"

enum {
    K = 10,
    PARTS = 1000,    /* A row is in one part by chance: part < 10 is 1 % of the rows. */
    KINDS = 20,      /* And of the kind of that one of so many rows which is nearest to it. */
    N_OTHERS = 12288 /* Queries of the same kind, for the server to measure with. */
};

enum metric {
    METRIC_L2,
    METRIC_COSINE,
    METRIC_DOT,
    N_METRICS
};
extern const char *const metric_names[N_METRICS];

_Noreturn void fail(const char *what, const char *detail);
void *allocate(size_t n, size_t size);

/* ---- shapes ---- */

struct random {
    uint64_t state;
};
double random_uniform(struct random *random); /* [0, 1) */

enum role {
    ROLE_ROW,
    ROLE_OTHER, /* A query that is measured with. */
    ROLE_JUDGED /* One that answers are judged by. */
};
struct shape {
    const char *name;
    uint32_t dim;
    void (*draw)(struct random *random, const struct shape *shape, float *vector, uint32_t number,
                 enum role role);
};
extern const struct shape shapes[];
extern const size_t n_shapes;

/* ---- data and truth ---- */

struct data {
    const struct shape *shape;
    enum metric metric;
    uint32_t n_rows, n_queries, dim;
    float *rows, *queries, *others; /* N_OTHERS, of which no answer is judged. */
    uint16_t *part, *kind, *query_kind;
    bool *is_present;
    double *distances; /* n_queries x n_rows */
    double *slack;     /* Of each query under DOT: what rounding may move a product by. */
};
/* What rounding to 32 bits may move a distance by. */
double slack_of(const struct data *data, uint32_t query, double distance);
void data_make(struct data *data, const struct shape *shape, enum metric metric, uint32_t n_rows,
               uint32_t n_queries, uint64_t seed);
void data_free(struct data *data);
double distance_of(enum metric metric, const float *a, const float *b, uint32_t dim);

/* Which rows are asked for. */
enum whose {
    OF_ANY_KIND,
    OF_OWN_KIND, /* The query's: where the condition and the vectors go together. */
    OF_OTHERS    /* All but that: the nearest lie around a hole. */
};
struct condition {
    const char *name;
    uint32_t parts; /* part < parts */
    enum whose whose;
};
extern const struct condition no_condition;
bool condition_allows(const struct data *data, const struct condition *condition, uint32_t query,
                      uint32_t row);

struct cell {
    double recall, recall_error; /* The mean over the queries, and its standard error. */
    double cost; /* Of a query, in nanoseconds of the planner: its distances, as weighed there. */
    uint32_t n_wrong; /* Answers with a row that is absent, unasked for or there twice. */
};
/* The k-th distance of each query among the rows that are present and asked for, and how many there
 * are, at most K. */
struct truth {
    const struct condition *condition;
    double *kth;
    uint32_t *n;
};
void truth_find(struct truth *truth, const struct data *data, const struct condition *condition);
void truth_free(struct truth *truth);
/* Adds one answer to the sums of a cell. */
struct score {
    double sum, squares;
    uint32_t n, n_wrong;
};
void score_add(struct score *score, const struct data *data, const struct truth *truth,
               uint32_t query, const int64_t *ids, size_t n_ids);

/* ---- the server ---- */

struct server {
    vc_conn *conn;
};
void server_connect(struct server *server, const char *conninfo);
void server_create(struct server *server, const struct data *data, const char *with);
void server_drop(struct server *server);
/* Rows first .. end - 1 that are not present; they are then. */
void server_load(struct server *server, struct data *data, uint32_t first, uint32_t end);
/* Rows of parts from @parts on; they are absent then. */
void server_delete_parts(struct server *server, struct data *data, uint32_t parts);
void server_wait_for_index(struct server *server);
/* Asks the other queries, and waits until recall was measured with queries that clients asked, of
 * all rows; false where it was not within @seconds. */
bool server_settle(struct server *server, const struct data *data, double seconds);
/* All queries, with the condition and @with. */
struct cell server_search(struct server *server, const struct data *data,
                          const struct condition *condition, const char *with);
double server_scan_cost(const struct data *data);
/* How many present rows are not answered first to their own key, or to their own vector: nothing
 * as near as they are comes. */
uint32_t server_count_lost(struct server *server, const struct data *data, bool is_by_key);

#endif
