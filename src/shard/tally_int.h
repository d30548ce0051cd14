/* Measuring recall: one query after the other, at one ef after the other. */
#ifndef VECTRON_SHARD_TALLY_INT_H
#define VECTRON_SHARD_TALLY_INT_H

#include "shard/calibration_int.h"

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
    uint32_t n_samples;  /* Queries that it was measured with. */
    uint32_t first, end; /* Rungs that are worth measuring. */
    struct rung rungs[TALLY_RUNGS];
    struct growth growth[2][TALLY_RUNGS]; /* From each second rung, and from each. */
};

/* ---- missed.c ---- */

enum {
    MISSED_K = 100 /* Of the nearest: a filter that a tenth passes asks for ten of them. */
};
struct missed {
    uint64_t *rows; /* Once for each query that missed it. */
    uint32_t n, n_queries;
};
bool missed_init(struct missed *m) WARN_UNUSED;
void missed_fini(struct missed *m);
/* One more query, of whose nearest rows a walk is to find @truth, MISSED_K at most. */
void missed_note(struct missed *m, const struct index_hit *truth, size_t n_truth,
                 const struct index_hit *found, size_t n_found);
/* The rows that many queries missed; false where too few tell.  @known: what it was before. */
bool missed_sum_up(struct missed *m, const struct missed_rows *known, struct missed_rows *out);

/* ---- tally.c ---- */

struct tally {
    uint32_t n_broad;       /* Further samples of a class are of the rungs that a floor may need. */
    struct index_hit *hits; /* TALLY_TRUTH_MAX of them, and as many that a walk has found. */
    bool (*is_canceled)(void *arg);
    void *canceled_arg;
    struct tally_class classes[TALLY_CLASSES];
    float *nearest; /* How far from the first n_nearest queries their nearest row lies, */
    float *angles;  /* and at which angle the nearest few do: see index_reach. */
    uint32_t n_nearest;
    struct missed missed;
    uint64_t n_added; /* Samples, or nearly. */
};
struct tally_query {
    struct index *index;
    enum distance distance;
    uint32_t dim;
    const float *vector;
    uint32_t classes; /* As bits; of TALLY_OWN: it is a row's, which is to be found by it. */
    bool is_asked;    /* By clients. */
};
enum errcode tally_init(struct tally *t, struct err *err) WARN_UNUSED;
void tally_fini(struct tally *t);
/* The classes whose turn it is with the @i-th query, as bits: the dear ones seldom. */
uint32_t tally_turns(uint32_t i);
/* One more sample of each of the query's classes.  The vector of a stored row that has no copy is
 * passed over, as if it had not been inserted; where clients asked it, it is searched for too, and
 * the worse of both counts.  After an error nothing was added. */
enum errcode tally_add(struct tally *t, const struct tally_query *q, struct err *err) WARN_UNUSED;
/* The curve so far; all but its points and the number of samples is the caller's to tell.  @z: how
 * many standard errors a promise stays below what was measured. */
void tally_curve(const struct tally *t, unsigned class, double z, struct curve *out);
/* How far from the rows the queries lie that were measured, but for the farthest 2 %. */
struct index_reach tally_reach(struct tally *t);
/* What is no farther than this is at @distance: floats lose the rest. */
double tally_limit(double distance);
/* Later samples of the class would hardly lower what a floor costs. */
bool tally_is_sharp(const struct tally *t, unsigned class, double z);

#endif
