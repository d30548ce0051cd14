/* What the files of the index benchmark share.
 *
 *   main.c       options; which libraries, in which order
 *   set.c        the files of a set
 *   measure.c    building, saving, opening and searching, interleaved
 *   report.c     the tables in Markdown, and two files of tab-separated values
 *   vectrond.c, mapped.c, hnswlib.cc, faiss.cc    the libraries
 *
 * One thread but for searches that are measured on several. */
#ifndef VECTRON_BENCH_INDEX_COMPARE_H
#define VECTRON_BENCH_INDEX_COMPARE_H

#include "index/index.h"
#include "library.h"

enum {
    K = 10,
    K_MAX = 100,
    REPEATS_MAX = 15,
    THREADS_MAX = 8,
    EFS_MAX = 20,
    SIDES_MAX = 8
};

struct options {
    const char *name, *metric, *base, *queries, *truth;
    const char *libraries;       /* Names with commas, or NULL: all. */
    const char *keep;            /* A directory for the peers' finished graphs, or NULL. */
    const char *work;            /* A directory for files that are saved and opened. */
    const char *curves, *builds; /* Files to append to, or NULL. */
    const char *commit;
    uint32_t n_rows, n_queries, n_repeats, n_threads_max;
};

/* The set and the truth: for each query truth_k rows, the nearest first. */
struct task {
    struct set set;
    const uint32_t *truth;
    uint32_t truth_k;
    float *rows_owned, *queries_owned;
    uint32_t *truth_owned;
    uint32_t n_repeats, n_threads_max;
};
void task_read(struct task *task, const struct options *options);
void task_free(struct task *task);

struct figures {
    double build_seconds; /* Of the CPU. */
    /* Memory of its own that the process grew by; what it maps beside that; what it saves. */
    double resident_bytes, mapped_bytes, file_bytes;
    double save_seconds, open_seconds; /* Of the clock. */
};

struct point {
    bool is_measured;
    double recall, distances;    /* A query; distances 0: not told. */
    double seconds[REPEATS_MAX]; /* A query, of the CPU, divided by the threads. */
};

/* One library with its index. */
struct side {
    const struct library *library;
    void *index;
    bool is_kept; /* Its graph was built in an earlier run, and its build's figures are of that. */
    struct figures figures;
    struct point points[THREADS_MAX][EFS_MAX]; /* Of n + 1 threads, by the number of the ef. */
};

extern const char *bench_directory; /* For files of the libraries; as options.work. */

/* Of exact vectors, in a file that goes with the index. */
struct index_storage mapped_new(const char *path);

extern const uint32_t bench_efs[EFS_MAX];
extern const size_t bench_n_efs;

/* Builds what no earlier run has left, then saves and opens each. */
void bench_build(struct side *sides, size_t n, const struct task *task,
                 const struct options *options);
void bench_search_all(struct side *sides, size_t n, const struct task *task);

void report(const struct side *sides, size_t n, const struct task *task,
            const struct options *options);

#endif
