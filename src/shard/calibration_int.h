/* What calibration's files share: which ef reaches which recall, how that is measured, and where it
 * is kept.
 *
 *   curve.c      what was measured, and the ef that a wanted recall needs by it
 *   tally.c      one query after the other, at one ef after the other, held against the truth
 *   queries.c    what clients asked lately
 *   calibrate.c  when it is measured, and with which queries; what a search is told
 *   remember.c   what was measured is kept over a restart */
#ifndef VECTRON_SHARD_CALIBRATION_INT_H
#define VECTRON_SHARD_CALIBRATION_INT_H

#include <stdatomic.h>

#include "shard/shard.h"

struct vector_index;

/* ---- curve.c ---- */

enum {
    CURVE_POINTS = 64,
    CURVE_FLOORS = 6,
    CURVE_COUNT = SHARD_RECALL_CLASSES,
    CURVES_ALL = (1 << CURVE_COUNT) - 1,
};

/* Searches for k rows with a filter that this share of the rows pass; 1: without one. */
struct recall_class {
    uint32_t k;
    float share;
};
extern const struct recall_class recall_classes[CURVE_COUNT];
/* At each point it is known how many of the queries stayed below these. */
extern const float curve_floors[CURVE_FLOORS];

/* Numbers of 32 bits: see published. */
struct curve_point {
    uint32_t ef;
    float recall;    /* The mean of the samples. */
    float low, high; /* Its interval: the mean of all queries lies in it, 19 times of 20. */
    float promise;   /* The highest floor that this ef is good for; never falls along the curve. */
    float distances, filter_calls; /* A query. */
    float below[CURVE_FLOORS];     /* Shares of the samples. */
};
struct curve {
    uint32_t n_points; /* 0: not measured; their ef rises. */
    uint32_t n_samples;
    struct curve_point points[CURVE_POINTS];
};
struct measured {
    uint64_t rows, changes; /* Linked when it was measured; changes as vector_index counts them. */
    int64_t wall_us;
    uint32_t n_samples;
    uint32_t is_real; /* With queries that clients asked. */
    struct curve curves[CURVE_COUNT];
};

struct curve_answer {
    double ef, recall, low, high, distances, filter_calls;
    enum shard_verdict verdict;
};
/* The least ef that is good for @floor, or the last of the curve where none is; it has points. */
struct curve_answer curve_ask(const struct curve *c, double floor);

/* The share of the samples that stayed below @floor, or one a little above it, at @ef. */
double curve_below(const struct curve *c, double ef, double floor);

/* The same for a k and a share that lie between the classes.  False where no class can tell. */
struct recall_wish {
    double floor, share;
    size_t k;
};
bool measured_ask(const struct measured *m, const struct recall_wish *wish,
                  struct curve_answer *out);
/* The classes that an answer to @wish may need, as bits. */
uint32_t measured_classes(const struct recall_wish *wish);

/* The newest of what was measured, for readers on any thread and one writer at a time. */
struct published;
struct published *published_new(struct err *err);
void published_free(struct published *p); /* NULL is allowed. */
void published_write(struct published *p, const struct measured *m);
/* All but the curves, and those of @classes; of the others n_points is 0.  Takes no lock. */
void published_read(const struct published *p, uint32_t classes, struct measured *out);

/* ---- tally.c ---- */

enum {
    TALLY_RUNGS = 80,
    TALLY_OWN = CURVE_COUNT, /* The class of rows that are looked for by their vectors. */
    TALLY_CLASSES
};
/* One class at one ef; sums over the samples. */
struct rung {
    uint32_t n;
    double recall, recall_squared, distances, filter_calls;
    uint32_t below[CURVE_FLOORS];
};
/* Sums of distances at a rung and the one before, over queries that had found all. */
struct growth {
    double from, to;
};
struct tally_class {
    uint32_t n_samples;
    uint32_t first, end; /* Rungs that are worth measuring. */
    struct rung rungs[TALLY_RUNGS];
    struct growth growth[2][TALLY_RUNGS]; /* From each second rung, and from each. */
};
struct tally {
    uint32_t n_samples;
    uint32_t n_broad;       /* So many samples are of all classes, later ones of the first alone. */
    struct index_hit *hits; /* TALLY_TRUTH_MAX of them, and as many that a walk has found. */
    bool (*is_canceled)(void *arg);
    void *canceled_arg;
    struct tally_class classes[TALLY_CLASSES];
};
struct tally_query {
    struct index *index;
    enum distance distance;
    uint32_t dim;
    const float *vector;
    bool is_asked; /* By clients. */
    bool is_own;   /* It is a row's, which is to be found by it: of the class TALLY_OWN alone. */
};
enum errcode tally_init(struct tally *t, struct err *err) WARN_UNUSED;
void tally_fini(struct tally *t);
/* One more sample, of all classes whose turn it is.  The vector of a stored row that has no copy is
 * passed over, as if it had not been inserted; where clients asked it, it is searched for too, and
 * the worse of both counts.  After an error nothing was added. */
enum errcode tally_add(struct tally *t, const struct tally_query *q, struct err *err) WARN_UNUSED;
/* The curves so far.  @z: how many standard errors a promise stays below what was measured. */
void tally_curves(const struct tally *t, double z, struct measured *out);
/* Later samples would hardly lower what a floor costs. */
bool tally_is_sharp(const struct tally *t, double z);

/* ---- queries.c ---- */

enum {
    QUERIES_KEPT_MIN = 512,
    QUERIES_KEPT_MAX = 2048, /* Where there are four times as many rows. */
    QUERIES_FRESH = 64,
};
/* Queries of clients, zeroed at first; guarded by calibration.mutex. */
struct queries {
    float *vectors; /* QUERIES_FRESH x dim of the newest, then n_room x dim. */
    uint32_t n_room, n_kept, n_fresh;
    uint64_t n_seen;
};

/* ---- calibrate.c ---- */

/* Which file a graph was written to, or came from; all zero: none, it is made of all changes. */
struct checkpoint_id {
    uint64_t sequence; /* The log index that it holds. */
    uint64_t bytes;    /* Of the index's stream. */
    uint32_t digest;   /* The same. */
};

struct calibration_run;

/* What calibrate.c, queries.c and remember.c know about one index. */
struct calibration {
    _Atomic(struct published *) published; /* NULL: never measured. */
    struct mutex mutex;                    /* Guards all down to the queries. */
    struct checkpoint_id graph; /* The newest of this graph; is_graph_known = false: made anew. */
    uint64_t graph_changes;     /* As vector_index.changes was then. */
    bool is_graph_known;
    uint64_t n_forgotten; /* Times that the graph was replaced by another one. */
    uint64_t edition, edition_put, edition_kept; /* Of what is published and graph; in the file. */
    struct queries queries;
    uint64_t n_seen_measured; /* queries.n_seen when they were used last. */
    atomic_uint turn;         /* Counts searches; some are kept. */
    /* The keeper's, all below. */
    struct calibration_run *run;
    uint64_t rest_until_us;
    uint64_t check_after_us, check_rest_us;
    uint64_t changes_seen; /* At the last visit. */
    unsigned turn_seen;    /* At the last run. */
    uint64_t chance;       /* Of random_next. */
};

void calibration_init(struct calibration *c);
void calibration_fini(struct calibration *c);
/* The graph is another one. */
void calibration_forget(struct vector_index *v);
/* One step of measuring @v, where it is due; when it wants the next (clock_micros). */
uint64_t calibrate(struct shard *shard, struct vector_index *v);
/* Something was measured of this graph. */
bool calibration_is_known(const struct calibration *c);
/* @m is what counts from now on. */
enum errcode calibration_publish(struct calibration *c, const struct measured *m,
                                 struct err *err) WARN_UNUSED;

/* What it says of the collection's floor, into the log and the metrics. */
void calibration_log(const struct shard *shard, const struct vector_index *v,
                     const struct measured *m);

/* A client's search among so many rows; few of them are kept. */
void queries_note(struct vector_index *v, size_t n_rows, uint32_t dim, const float *query);
/* Copies the @i-th of those kept, or of the fresh ones; false where there are not so many. */
bool queries_get(struct queries *q, uint32_t dim, bool is_fresh, uint32_t i, float *out);
/* Clients ask other things than they did: only the fresh ones are kept. */
void queries_forget_old(struct queries *q, uint32_t dim);

/* ---- remember.c ---- */

/* The graph of @v is what is in @id, and what came behind it since v->changes was @changes. */
void remember_graph(struct vector_index *v, const struct checkpoint_id *id, uint64_t changes);
/* Something was measured, or a checkpoint written, that the file does not know of. */
bool remember_is_due(struct shard *shard);
struct store_write;
struct store_read;
enum errcode remember_put(struct shard *shard, struct store_write *write,
                          struct err *err) WARN_UNUSED;
void remember_done(struct shard *shard); /* What was put is committed. */
/* The graph of @v has come back from @id: what was measured on it counts again. */
void remember_load(struct shard *shard, struct vector_index *v, struct store_read *read,
                   const struct checkpoint_id *id);

#endif
