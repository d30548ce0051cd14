/* What the files of vbench share.
 *
 *   main.c       options and the three subcommands
 *   client.c     connecting, one statement, complaints, Ctrl-C
 *   data.c       .fbin and .ibin files, lists of ids
 *   run.c        search and ping: threads, clients, the schedule of --rate
 *   load.c       inserts by many clients, and the wait for the index
 *   recall.c     results against the truth
 *   histogram.c  latencies;  report.c: text and JSON
 *
 * A thread shares with the others only what is marked atomic, and the options, which do not change
 * once the threads run. */
#ifndef VECTRON_BENCH_INT_H
#define VECTRON_BENCH_INT_H

#include <stdatomic.h>
#include <stdio.h>

#include "base/base.h"
#include "client/vclient.h"

enum {
    BENCH_CLIENTS_MAX = 10000,
    BENCH_CONNINFO_BYTES = 8192,
    BENCH_TEXT_BYTES = 512,
    BENCH_BATCH_MAX = 10000,
    BENCH_DEPTH_MAX = 1000,
};

/* ---- options ---- */

struct bench_options {
    char conninfo[BENCH_CONNINFO_BYTES];
    const char *collection, *file, *truth, *ids, *where, *with, *metric, *index_mode;
    double recall, rate, duration_s, warmup_s;
    uint32_t ef, k, clients, threads, batch, depth;
    uint64_t limit, start;
    bool exact, once, json, create, drop, upsert, copy, no_wait, simple;
};

/* ---- data ---- */

/* A file of rows of 32-bit words: u32 rows, u32 words a row, then the words.  Mapped. */
struct matrix {
    uint32_t rows, columns;
    const uint8_t *words; /* Little-endian. */
    void *map;
    size_t map_bytes;
};
enum errcode matrix_open(struct matrix *m, const char *path, struct err *err) WARN_UNUSED;
void matrix_close(struct matrix *m);
const float *matrix_row_f32(const struct matrix *m, uint32_t row, float *room);
uint32_t matrix_word(const struct matrix *m, uint32_t row, uint32_t column);

/* Lines of a file. */
struct ids {
    char *text;
    const char **items; /* Terminated. */
    size_t n;
};
enum errcode ids_open(struct ids *ids, const char *path, struct err *err) WARN_UNUSED;
void ids_close(struct ids *ids);

/* ---- latencies ---- */

/* Log-linear: each power of two of nanoseconds is cut in 64 equal parts, so that a value is known
 * to 1.6 %.  Beyond 2^40 ns (18 minutes) all count as that. */
enum {
    HISTOGRAM_PARTS_LOG = 6,
    HISTOGRAM_BITS = 40
};
enum {
    HISTOGRAM_CELLS = (HISTOGRAM_BITS - HISTOGRAM_PARTS_LOG + 1) << HISTOGRAM_PARTS_LOG
};
struct histogram {
    uint64_t n, max_ns;
    double sum_ns;
    uint64_t cells[HISTOGRAM_CELLS];
};
void histogram_add(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The least value that @share (0..1) of the values are not above; 0 where there are none. */
double histogram_quantile_us(const struct histogram *h, double share);

/* ---- recall ---- */

/* The share of the first @k of @truth's row @query that @result has in its column 0.  Ids are row
 * numbers + @start, or the texts of @ids. */
double recall_of(const vc_result *result, const struct matrix *truth, uint32_t query, uint32_t k,
                 const struct ids *ids, uint64_t start);

/* ---- what a run gives ---- */

struct bench_result {
    const char *benchmark;
    struct histogram latency; /* Of the statements that went well. */
    uint64_t errors;
    char first_error[BENCH_TEXT_BYTES];
    double seconds; /* That were measured. */
    double recall_sum;
    uint64_t recall_n;
    bool is_interrupted;  /* Ctrl-C ended it: what was measured until then. */
    uint64_t rows;        /* load: acknowledged */
    double index_seconds; /* load: from the beginning until the index had caught up; < 0: not waited
                             for */
};
void report_print(FILE *out, const struct bench_result *result,
                  const struct bench_options *options);

/* ---- the subcommands; false where they could not run ---- */

bool bench_search(const struct bench_options *options, struct bench_result *result);
bool bench_ping(const struct bench_options *options, struct bench_result *result);
bool bench_load(const struct bench_options *options, struct bench_result *result);

/* ---- one client ---- */

/* "vbench: message" on standard error; gives false. */
bool bench_complain(const char *format, ...) PRINTF_LIKE(1, 2);
/* From here on the first Ctrl-C only ends the measuring; a second ends vbench. */
void bench_catch_interrupt(void);
bool bench_is_interrupted(void);
vc_conn *bench_connect(const struct bench_options *options); /* NULL: it was told. */
/* One statement on its own connection or @conn; NULL where it failed, which was told. */
vc_result *bench_exec(vc_conn *conn, const char *vql);
/* Remembers the first error. */
void bench_note_error(struct bench_result *result, const char *message);

#endif
