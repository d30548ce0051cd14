/* What calibration's files share: which ef reaches which recall, how it is measured and kept.
 *
 *   curve.c      what was measured, and the ef that a wanted recall needs by it
 *   tally.c      one query after the other, at one ef after the other, held against the truth:
 *                tally_int.h
 *   missed.c     rows that many queries miss
 *   queries.c    what clients asked lately
 *   measure.c    a measure: which classes with which queries, in stages that are told at once
 *   calibrate.c  when it is measured, and which of what was measured counts
 *   vouch.c      whether what was measured still holds while rows keep coming
 *   effort.c     what a search is told
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
    CURVE_OF_NEAREST = 1,        /* Of searches for the nearest alone. */
    CURVE_SAMPLES_FOR_HALF = 64, /* So many vouch for the highest floors, too. */
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
/* What a curve was measured on: each was at its own time. */
struct curve_origin {
    uint64_t rows, changes; /* Linked then; changes as vector_index counts them. */
    /* The same when it was found last that what came since is no harder to find: vouch.c. */
    uint64_t vouched_rows, vouched_changes;
    int64_t wall_us;
    uint32_t n_samples;
    uint32_t is_real;  /* With queries that clients asked. */
    uint32_t is_whole; /* The measure came to its end. */
    uint32_t unused;
};
struct curve {
    struct curve_origin origin;
    uint32_t n_points; /* 0: not measured; their ef rises. */
    float reach;       /* As far lie the queries that it is of: see index_search; */
    float angle;       /* INFINITY: nothing is known. */
    uint32_t unused;
    struct curve_point points[CURVE_POINTS];
};
struct measured {
    struct curve curves[CURVE_COUNT];
};

struct curve_answer {
    double ef, recall, low, high, distances, filter_calls;
    struct index_reach reach; /* Of several curves: the farther. */
    double share;             /* Of rows that a filter lets pass: ef is good for up to it. */
    enum shard_verdict verdict;
    struct curve_origin origin; /* Of several curves: the oldest, the fewest and the least real. */
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
/* The curves of @classes; of the others n_points is 0.  Takes no lock. */
void published_read(const struct published *p, uint32_t classes, struct measured *out);
/* Of all; where one was not measured wall_us is 0. */
void published_read_origins(const struct published *p, struct curve_origin out[CURVE_COUNT]);

/* The same of what counts for an index; false where nothing was ever measured. */
struct calibration;
bool calibration_read(const struct calibration *c, uint32_t classes, struct measured *out);
/* @m is what counts from now on; one writer at a time. */
enum errcode calibration_publish(struct calibration *c, const struct measured *m,
                                 struct err *err) WARN_UNUSED;

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
    uint32_t n_asked[CURVE_COUNT]; /* Searches that a class tells of; older ones fade. */
};

/* Copies the @i-th of those kept, or of the fresh ones; false where there are not so many. */
bool queries_get(struct queries *q, uint32_t dim, bool is_fresh, uint32_t i, float *out);
/* Clients ask other things than they did: only the fresh ones are kept. */
void queries_forget_old(struct queries *q, uint32_t dim);
/* The classes that a good part of the searches are of, as bits; before any, the commonest. */
uint32_t queries_classes(const struct queries *q);

/* ---- calibrate.c ---- */

/* Which file a graph was written to, or came from; all zero: none, it is made of all changes. */
struct checkpoint_id {
    uint64_t sequence; /* The log index that it holds. */
    uint64_t bytes;    /* Of the index's stream. */
    uint32_t digest;   /* The same. */
};

/* Rows that walks begin at: many queries missed them. */
struct missed_rows {
    size_t n;
    struct index_start items[INDEX_STARTS_MAX];
};

struct measure;
/* How it was when a measure began. */
struct begun {
    bool is_urgent, is_torn;
    uint64_t rows; /* Linked. */
    uint64_t n_seen, n_forgotten;
};

/* How much has changed. */
struct extent {
    uint64_t rows, pending, linked; /* Rows. */
    uint64_t changes;               /* Linked. */
    bool is_torn;                   /* Nothing that was measured counts: index_is_torn. */
};

/* What calibration's files know about one index. */
struct calibration {
    _Atomic(struct published *) published; /* NULL: never measured. */
    atomic_bool is_measuring;              /* What is published is being refined. */
    struct mutex mutex;                    /* Guards all down to the queries. */
    struct checkpoint_id graph; /* The newest of this graph; is_graph_known = false: made anew. */
    uint32_t graph_m, graph_ef_construction; /* What it was made with. */
    uint64_t graph_changes;                  /* As vector_index.changes was then. */
    bool is_graph_known;
    struct missed_rows missed; /* What the index was told, with what is published. */
    uint64_t n_forgotten;      /* Times that the graph was replaced by another one. */
    uint64_t edition, edition_put, edition_kept; /* Of what is published and graph; in the file. */
    struct queries queries;
    uint64_t n_seen_measured; /* queries.n_seen when they were used last. */
    atomic_uint turn;         /* Counts searches; some are kept. */
    /* The keeper's, all below. */
    struct measure *measure; /* NULL: none is under way. */
    struct begun begun;
    uint64_t rest_until_us;
    uint64_t check_after_us, check_rest_us;
    uint64_t looked_us, look_after_us;
    struct extent looked;  /* When it was last looked whether the curves still hold: vouch.c. */
    uint64_t changes_seen; /* At the last visit. */
    unsigned turn_seen;    /* When the last measure began. */
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

/* What it says of the collection's floor, into the log and the metrics. */
void calibration_log(const struct shard *shard, const struct vector_index *v,
                     const struct measured *m, size_t n_starts);

/* A client's search for @k rows among so many; few of them are kept. */
struct asked {
    const float *query;
    size_t k;
    bool is_filtered;
};
void queries_note(struct vector_index *v, size_t n_rows, uint32_t dim, const struct asked *asked);

/* ---- measure.c ---- */

enum {
    MEASURE_FIRST = 32 /* Samples that are enough to be told. */
};
enum measure_kind {
    MEASURE_ROWS,  /* With stored rows in place of queries. */
    MEASURE_ASKED, /* With what clients asked. */
    MEASURE_FRESH  /* With what they asked last, and of the front classes alone. */
};
enum measure_step {
    MEASURE_GOES_ON,
    MEASURE_TELLS, /* It has twice the samples that it told of before. */
    MEASURE_IS_OVER,
    MEASURE_FAILED
};
/* The classes of @front, as bits, are measured before the others. */
struct measure *measure_new(struct shard *shard, struct vector_index *v, enum measure_kind kind,
                            uint32_t n_queries, uint32_t front, struct err *err);
void measure_free(struct measure *m); /* NULL is allowed. */
enum measure_kind measure_kind_of(const struct measure *m);
uint32_t measure_front(const struct measure *m);
bool measure_is_at_front(const struct measure *m); /* It goes on with those classes. */
bool measure_has_told(const struct measure *m);
/* One more sample. */
enum measure_step measure_one(struct measure *m);
/* For index_search: @shard is closing. */
bool measure_is_canceled(void *shard);
/* The curves so far. */
void measure_sum_up(struct measure *m, struct measured *out);
/* And the rows that many of its queries missed; false where too few tell.  @known: what it was. */
bool measure_missed(struct measure *m, const struct missed_rows *known, struct missed_rows *out);

/* ---- vouch.c ---- */

/* Looks, where it is due, whether the rows that came are harder to find than those that were there;
 * where they are not, searches take no more effort because of them.  True where it has looked. */
bool vouch(struct shard *shard, struct vector_index *v);

/* ---- effort.c ---- */

/* With a higher floor where no client's query was measured.  False where no class can tell. */
bool effort_ask(const struct measured *m, const struct recall_wish *wish, struct curve_answer *out);

struct extent extent_of(struct vector_index *v);
/* So many times the rows that there were, or rows changed. */
double extent_since(const struct extent *e, const struct curve_origin *origin);
/* The same since it was vouched for. */
double extent_since_vouched(const struct extent *e, const struct curve_origin *origin);
/* What it takes of a graph that has grown so many times, of rows that are no harder. */
double effort_grown(double ef, double stretch);

/* ---- remember.c ---- */

/* @id has the graph of @index, that of @v; the rest came since v->changes was @changes. */
void remember_graph(struct vector_index *v, const struct index *index,
                    const struct checkpoint_id *id, uint64_t changes);
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
