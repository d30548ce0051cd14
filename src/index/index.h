/* The door of index: nearest neighbours over vectors; a pure library without files or sockets.
 *
 * An index holds (row number, vector) pairs.  Changes are *staged* in the order of the log and take
 * effect for searches at once: a staged insert is found by an exact scan of the tail, a staged
 * delete is hidden.  index_advance then links and unlinks them in that same order, so that the
 * graph is a function of the sequence of stage calls alone - never of timing or of the number of
 * threads - and replicas that applied one log answer the same.
 *
 * Threads: one thread at a time stages, one at a time advances or saves (they may differ and run
 * at once); any number search meanwhile, without a lock.  A deleted slot is used again only when
 * every search that could have seen it is over (epochs).
 *
 * Graph: HNSW (Malkov, Yashunin 2018): greedy descent (algorithm 2 with ef = 1), then a walk on
 * layer 0 that stops by distance: ef says how far beyond the k-th nearest it looks (search.c), and
 * what it finds by codes is looked at exactly.  Neighbours are chosen by the heuristic of
 * algorithm 4, then the nearest others until the list is full.  Levels come from hash(seed, row
 * number), ties break by row number.  Each row and an earlier one keep each other, so that paths
 * lead to all (parents.c).  Deleted rows leave the graph together, by sweeps (unlink.c).
 *
 * Distances are as in base/schema.h; under COSINE vectors are normalised as they are staged. */
#ifndef VECTRON_INDEX_H
#define VECTRON_INDEX_H

#include "base/base.h"

struct index;

/* What walks and the building of the graph see of a vector. */
enum index_code {
    INDEX_CODE_F32, /* The vector itself. */
    INDEX_CODE_8,   /* So many bits a dimension. */
    INDEX_CODE_4,
    INDEX_CODE_2,
};

/* Where exact vectors stand besides the index's memory.  A large index hands its vectors over, each
 * at the place that its slot gives it.  Places are written once, and again only after the row that
 * stood there was gone from a checkpoint that index_is_durable told of; index_load finds there what
 * index_save left. */
enum {
    INDEX_STORED_BYTES_MIN = 1 << 20 /* Vectors that take no more stay in memory. */
};
struct index_storage {
    void *arg;
    /* There is room for so many bytes.  This, map and put: of the thread that stages or loads. */
    enum errcode (*reserve)(void *arg, size_t bytes, struct err *err);
    /* Where so many bytes can be read, as far as there is room, until the next call; NULL: no
     * memory.  With map = NULL the index keeps a copy of its own in memory. */
    const void *(*map)(void *arg, size_t bytes);
    enum errcode (*put)(void *arg, size_t at, const void *data, size_t bytes, struct err *err);
    enum errcode (*get)(void *arg, size_t at, void *data, size_t bytes, struct err *err);
    /* No place is taken, and no checkpoint names one: the room may go.  Of whoever advances. */
    void (*empty)(void *arg);
    void (*release)(void *arg); /* The index is gone. */
};

struct index_config {
    enum index_kind kind; /* INDEX_FLAT never links: every search is exact. */
    enum distance distance;
    uint32_t dim;             /* 1 .. VECTOR_DIM_MAX */
    uint32_t m;               /* 4 .. 64; on layer 0 lists are longer (index.c). */
    uint32_t ef_construction; /* 8 .. 4096 */
    uint64_t seed;
    enum index_code code;
    bool labels_are_keys; /* Rows with equal labels are one row's versions. */
    /* Of exact vectors; index_new takes it, whatever happens.  NULL: they are in memory alone. */
    const struct index_storage *storage;
};

/* Chooses the distance kernels for this machine; once, before any other call.  @name forces one
 * ("scalar", "avx2", "avx512", "avx512vnni"; "neon", "neondot") or is NULL for the best.  False
 * where the machine has it not. */
bool index_choose_kernel(const char *name);
const char *index_kernel_name(void);

struct index *index_new(const struct index_config *config, struct err *err);
void index_free(struct index *index);

/* ---- changes ---- */

struct index_rows {
    const uint64_t *numbers; /* Rising, and larger than any before. */
    const uint64_t *labels;  /* They order rows at one distance; NULL: the numbers do. */
    const float *vectors;    /* n x dim */
    size_t n;
};

/* Stages rows, which are read during the call.  One call is one batch of linking: rows of a call
 * are linked in chunks of INDEX_CHUNK.  @sequence is not smaller than any before.  After a load the
 * log may be staged again from any point: rows that the checkpoint had seen are passed over, so
 * nothing is done twice. Errors: NOT_FINITE, ZERO_VECTOR (cosine), OUT_OF_MEMORY; then nothing is
 * staged. */
enum {
    INDEX_CHUNK = 64
};
enum errcode index_stage_insert(struct index *index, uint64_t sequence,
                                const struct index_rows *rows, struct err *err) WARN_UNUSED;
/* Stages the delete of rows, in any order.  One call is one batch: what deleted rows leave behind
 * is cleared away between batches only.  A row that is not there, or that the checkpoint has seen
 * deleted, is no error.  OUT_OF_MEMORY: nothing is staged. */
enum errcode index_stage_delete(struct index *index, uint64_t sequence, const uint64_t *rows,
                                size_t n, struct err *err) WARN_UNUSED;

/* Parallel work: run(arg, i) for every i < n, in any order and on any threads, then return. */
struct index_crew {
    void (*for_each)(void *crew, size_t n, void (*run)(void *arg, size_t i), void *arg);
    void *crew;
};

/* Does as much as linking @rows_max staged rows takes; *n_done is how many were linked or unlinked:
 * none where a sweep goes on that many deleted rows have called for.  @crew may be NULL.
 * OUT_OF_MEMORY leaves the rows staged: they are still found, and a later call tries again. */
enum errcode index_advance(struct index *index, size_t rows_max, const struct index_crew *crew,
                           size_t *n_done, struct err *err) WARN_UNUSED;

size_t index_pending(const struct index *index);    /* Staged and not yet linked or unlinked. */
uint64_t index_sequence(const struct index *index); /* All up to this one is in the graph. */
size_t index_count(const struct index *index);      /* Rows that a search can find. */
const struct index_config *index_config(const struct index *index);
/* Of the storage, for the rows that there are and @n_more. */
size_t index_place_bytes(const struct index *index, size_t n_more);

/* ---- searches ---- */

struct index_hit {
    uint64_t row;
    uint64_t label;
    double distance;
};

enum {
    INDEX_POLL_FLOATS = 1 << 18,
    INDEX_GRAPH_ROWS_MIN = 256, /* Of fewer rows every search looks at all. */
};

enum index_plan {
    INDEX_WALK,  /* The graph, and the tail exactly. */
    INDEX_EXACT, /* Every row. */
    INDEX_GIVEN, /* Rows that the caller names; matches and from_row do not count. */
};

/* How far from the rows queries lie. */
enum {
    INDEX_REACH_ROWS = 5 /* Of the nearest; one alone may be the nearest for its length. */
};
struct index_reach {
    double distance; /* From the nearest row; under DOT, were the query's length 1. */
    double angle;    /* DOT only, else INFINITY: the least of 1 - cos to the nearest few rows. */
};

/* ef was chosen for filters that let up to @most of all rows pass, wherever they lie.  Where one
 * lets clearly more of those near the query pass - rows that are of one kind lie together - that is
 * too little, and the walk is done again with @ef.  0: never.  Where fewer pass there than of rows
 * drawn from everywhere - the filter leaves out the query's own kind - it is done again with more,
 * and where that is sure and much, walked as a query beyond its reach is; rows are drawn where it
 * seems so by a sample of @n_sampled rows from everywhere, of which @share pass.  0: never. */
struct index_density {
    double most;
    size_t ef;
    double n_sampled, share;
};

struct index_search {
    const float *query; /* dim floats, any length; not normalised by the caller. */
    size_t k;
    size_t ef; /* At least k; WALK only. */
    /* Whom ef was chosen for, WALK only: queries that lie up to @reach away.  One much farther from
     * all that a walk meets is unlike them: it walks again with ef_beyond, or where that is 0 looks
     * at every row; with a filter the walk has then given up, as where that costs less. */
    bool has_reach;
    struct index_reach reach;
    size_t ef_beyond;
    enum index_plan plan;
    /* Which rows may be returned; NULL: all.  Called on the searching thread.  A walk
     * goes on until it has k rows that match and no nearer one can be hidden, or it has asked of
     * filter_calls_max rows: then *is_complete is false and the caller scans instead. */
    bool (*matches)(void *arg, uint64_t row);
    void *matches_arg;
    size_t filter_calls_max;      /* 0 = no bound. */
    struct index_density density; /* WALK with a filter. */
    /* GIVEN: writes up to @max further row numbers, each once, and returns how many; 0 ends it.
     * is_missing gets those that the index does not have, or that were deleted meanwhile. */
    size_t (*given)(void *arg, uint64_t *rows, size_t max);
    void (*is_missing)(void *arg, uint64_t row);
    void *given_arg;
    /* A row whose vector the query is: where the walk begins, too, and always looked at. */
    bool has_from_row;
    uint64_t from_row;
    size_t
        rerank_depth; /* How many of the nearest by their codes are looked at exactly; 0: auto. */
    /* Orders rows whose labels are equal, where labels are not keys; NULL: row numbers do. */
    int (*compare)(void *arg, uint64_t row_a, uint64_t row_b);
    void *compare_arg;
    /* Rows at the very place of the query are passed over: neither returned nor walked through, as
     * if they had not been inserted.  So a stored vector serves as a query from elsewhere. */
    bool passes_itself_over;
    bool forgets_missed; /* Begins at no rows that index_begin_at names: would it find them? */
    /* Polled whenever distances to so many floats were computed: true ends it with CANCELED. */
    bool (*is_canceled)(void *arg);
    void *canceled_arg;
};

struct index_work {       /* What a search cost; counters are added to. */
    uint64_t distances;   /* By codes in walks; by vectors in scans. */
    uint64_t reranked;    /* Rows that were looked at exactly after a walk. */
    uint64_t exact_walks; /* Begun because codes could not rank. */
    uint64_t beyond;      /* Queries that lay beyond their reach, */
    uint64_t denser;      /* those near which more rows matched than elsewhere, */
    uint64_t sparser;     /* and fewer: where that is sure and much these lay beyond, too. */
    uint64_t hops;
    uint64_t tail_rows;
    uint64_t filter_calls;
    bool is_complete;
};

/* What a distance costs in a walk, whose rows lie anywhere, and in a scan, in the order of memory:
 * nanoseconds on the machine of doc/architecture.md, of which only the ratio matters. */
double index_walk_ns(uint32_t dim);
double index_scan_ns(uint32_t dim);

/* Writes up to k hits, nearest first, ties by label, compare and row; fewer where there are no
 * more, or where rows were deleted meanwhile.  Distances and their order are exact whatever the
 * plan: sums are in double and the same on every machine.  Scratch space is kept per calling
 * thread, until it ends or calls index_thread_exit.  Errors: NOT_FINITE, ZERO_VECTOR,
 * OUT_OF_MEMORY, CANCELED. */
enum errcode index_search(struct index *index, const struct index_search *search,
                          struct index_hit *hits, size_t *n_hits, struct index_work *work,
                          struct err *err) WARN_UNUSED;
void index_thread_exit(void);

enum {
    INDEX_STARTS_MAX = 64
};
/* Rows that queries missed: where walks begin, too, in place of those that were named before.  They
 * are forgotten as they are deleted, and are not saved. */
struct index_start {
    uint64_t row;
    float missed; /* By this share of the queries. */
};
void index_begin_at(struct index *index, const struct index_start *starts, size_t n);
/* So many rows that walks begin at went since then that what was measured counts no more. */
bool index_is_torn(const struct index *index);

/* How far the query lies from hits, the nearest first, whatever plan found them. */
struct index_reach index_reach_of(struct index *index, const float *query,
                                  const struct index_hit *hits, size_t n);

/* The distance of one pair, as a search reports it; for rescans and tests. */
double index_distance(enum distance distance, const float *a, const float *b, uint32_t dim);

/* ---- checkpoints ---- */

/* The index as a versioned byte stream with checksums: configuration, sequence, rows with codes and
 * vectors, neighbour lists.  Holds off index_advance while it encodes, never searches.  *digest
 * tells streams apart.  The graph may hold rows of sequences that index_sequence does not reach
 * yet, and rows whose delete is only staged: staging them again finds that it is done. */
enum errcode index_save(struct index *index,
                        enum errcode (*write)(void *arg, const void *data, size_t bytes,
                                              struct err *err),
                        void *arg, uint32_t *digest, struct err *err) WARN_UNUSED;

/* The stream again.  Any thread of the crew reads, one at a time.  @bytes is the most that may be
 * left of it: no number in it can ask for more memory than so many bytes are reason for. */
struct index_source {
    enum errcode (*read)(void *arg, void *data, size_t bytes, struct err *err);
    void *arg;
    uint64_t bytes;
};

/* The reverse, into a new index of the same configuration.  @crew may be NULL.  CORRUPT,
 * FORMAT_UNSUPPORTED and whatever @source gives; after any failure only index_free is allowed. */
enum errcode index_load(struct index *index, const struct index_source *source,
                        const struct index_crew *crew, uint32_t *digest,
                        struct err *err) WARN_UNUSED;

/* What the last index_save wrote will be there after a crash, or whatever it wrote is in vain. */
void index_is_durable(struct index *index);

/* A digest of rows, levels and neighbour lists: equal on replicas at one sequence. */
uint64_t index_digest(const struct index *index);

struct index_figures {
    size_t rows, pending;
    size_t dead;   /* Deleted rows that still are in the graph. */
    size_t vacant; /* Slots without a row that a search can find: those of the dead, of rows that
                    * wait for a checkpoint, and free ones. */
    /* In memory: codes (the vectors themselves with INDEX_CODE_F32), exact vectors beside them, and
     * lists.  In the storage's map: exact vectors. */
    size_t code_bytes, vector_bytes, graph_bytes, mapped_bytes;
    unsigned levels;
    double degree_mean; /* On layer 0. */
};
/* Counts the rows that no path on the lowest layer leads to from the entry point; there should be
 * none.  Where a sweep of deleted rows may be half done, as between two index_advance, none are
 * counted.
 * Reads every list, and holds off index_advance meanwhile, never searches. */
enum errcode index_unreachable(struct index *index, size_t *n, struct err *err) WARN_UNUSED;
void index_figures(const struct index *index, struct index_figures *out);

#endif
