/* Building, saving, opening and searching.
 *
 * The libraries take turns, a step each, so that what else the machine does falls on all of them.
 * Times of building and of searches are those of the thread's CPU: on a machine that does something
 * else they vary less than the clock's, and nothing here waits. */
#define _DEFAULT_SOURCE /* madvise */
#include "compare.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    STEP_ROWS = 1024,
    WARM_UP = 200, /* Queries before a thread's time is taken: its scratch space is made. */
    PATH_BYTES = 4096
};

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* A library's curve ends where it reaches this, or where more effort gains no more than GAIN. */
static const double recall_enough = 0.997, gain_least = 0.0005;

const uint32_t bench_efs[EFS_MAX] = {10,  12,  14,  20,  28,  40,  56,   80,  112,
                                     160, 224, 320, 448, 640, 900, 1280, 2000};
const size_t bench_n_efs = 17;

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void advise(void *memory, size_t bytes, int advice)
{
    const uintptr_t page = 2 << 20;
    uintptr_t first = ((uintptr_t)memory + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)memory + bytes) / page * page;
    if (first < end) {
        (void)madvise((void *)first, end - first, advice);
    }
}

void bench_huge_pages(void *memory, size_t bytes)
{
    advise(memory, bytes, MADV_HUGEPAGE);
}

void bench_gather_pages(void *memory, size_t bytes)
{
    advise(memory, bytes, MADV_COLLAPSE);
}

/* On a terminal alone; NULL clears the line. */
static void say(const char *what, uint32_t done, uint32_t all)
{
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r\033[K");
        if (what != NULL) {
            fprintf(stderr, "%s %u of %u", what, done, all);
        }
    }
}

/* ---- memory ---- */

/* Bytes that are the process's own: mapped files are not among them. */
static double resident_bytes(void)
{
    double bytes = 0;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0) {
            bytes = strtod(line + 8, NULL) * 1024;
        }
    }
    if (status != NULL) {
        fclose(status);
    }
    return bytes;
}

/* ---- building ---- */

static void make_one(struct side *side, const struct set *set)
{
    double before = resident_bytes();
    double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    side->index = side->library->make(side->library, set);
    side->figures.build_seconds = seconds_of(CLOCK_THREAD_CPUTIME_ID) - start;
    side->figures.resident_bytes += resident_bytes() - before;
}

static void grow_all(struct side *sides, size_t n_sides, const struct set *set)
{
    for (uint32_t first = 0; first < set->n_rows; first += STEP_ROWS) {
        uint32_t n = set->n_rows - first < STEP_ROWS ? set->n_rows - first : STEP_ROWS;
        for (size_t s = 0; s < n_sides; s++) {
            if (sides[s].is_kept) {
                continue;
            }
            double before = resident_bytes();
            double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
            sides[s].library->add(sides[s].index, set, first, n);
            sides[s].figures.build_seconds += seconds_of(CLOCK_THREAD_CPUTIME_ID) - start;
            sides[s].figures.resident_bytes += resident_bytes() - before;
        }
        say("building", first, set->n_rows);
    }
    say(NULL, 0, 0);
}

/* ---- graphs that are kept for the next run ---- */

static void path_of(char path[PATH_BYTES], const char *directory, const struct side *side,
                    const struct set *set, const char *end)
{
    int n = snprintf(path, PATH_BYTES, "%s/%s-%u-%s%s", directory, set->name, set->n_rows,
                     side->library->name, end);
    for (int i = (int)strlen(directory); i < n && i < PATH_BYTES; i++) {
        path[i] = path[i] == ' ' ? '-' : path[i];
    }
}

static bool open_kept(struct side *side, const struct set *set, const char *directory)
{
    char path[PATH_BYTES], figures[PATH_BYTES], line[256];
    path_of(path, directory, side, set, ".index");
    path_of(figures, directory, side, set, ".figures");
    FILE *file = fopen(figures, "r");
    if (file == NULL) {
        return false;
    }
    char *rest = fgets(line, sizeof(line), file);
    fclose(file);
    if (rest == NULL) {
        return false;
    }
    side->figures.build_seconds = strtod(rest, &rest);
    side->figures.resident_bytes = strtod(rest, &rest);
    side->index = side->library->open(side->library, set, path);
    if (side->library->settle != NULL) {
        side->library->settle(side->index);
    }
    return true;
}

/* The graph lies there already. */
static void keep_figures(const struct side *side, const struct set *set, const char *directory)
{
    char figures[PATH_BYTES];
    path_of(figures, directory, side, set, ".figures");
    FILE *file = fopen(figures, "w");
    if (file == NULL ||
        fprintf(file, "%.3f %.0f\n", side->figures.build_seconds, side->figures.resident_bytes) <
            0 ||
        fclose(file) != 0) {
        bench_fail("cannot be written", figures);
    }
}

/* Ours changes with each commit, the peers do not. */
static bool may_be_kept(const struct side *side, const struct options *options)
{
    return options->keep != NULL && strncmp(side->library->name, "vectrond", 8) != 0;
}

static void save_and_open(struct side *side, const struct set *set, const struct options *options)
{
    char path[PATH_BYTES], vectors[PATH_BYTES];
    struct stat st;
    bool is_to_keep = may_be_kept(side, options) && !side->is_kept;
    path_of(path, is_to_keep ? options->keep : options->work, side, set, ".index");
    double start = seconds_of(CLOCK_MONOTONIC);
    side->library->save(side->index, path);
    double saved = seconds_of(CLOCK_MONOTONIC);
    void *opened = side->library->open(side->library, set, path);
    side->figures.open_seconds = seconds_of(CLOCK_MONOTONIC) - saved;
    side->figures.save_seconds = saved - start;
    side->figures.file_bytes = stat(path, &st) == 0 ? (double)st.st_size : 0;
    path_of(vectors, is_to_keep ? options->keep : options->work, side, set, ".index.vectors");
    side->figures.mapped_bytes = stat(vectors, &st) == 0 ? (double)st.st_size : 0;
    side->figures.file_bytes += side->figures.mapped_bytes;
    side->library->free(opened);
    if (is_to_keep) {
        keep_figures(side, set, options->keep);
    } else {
        (void)unlink(path);
    }
}

void bench_build(struct side *sides, size_t n, const struct task *task,
                 const struct options *options)
{
    const struct set *set = &task->set;
    for (size_t s = 0; s < n; s++) {
        if (may_be_kept(&sides[s], options) && open_kept(&sides[s], set, options->keep)) {
            sides[s].is_kept = true;
        } else {
            make_one(&sides[s], set);
        }
    }
    grow_all(sides, n, set);
    for (size_t s = 0; s < n; s++) {
        save_and_open(&sides[s], set, options);
    }
}

/* ---- searching ---- */

struct share { /* Of one thread. */
    const struct side *side;
    const struct set *set;
    uint32_t first, n;
    uint32_t *found; /* K a query, of all queries. */
    double seconds;
    uint64_t distances;
};

static void *search_share(void *arg)
{
    struct share *share = arg;
    const struct set *set = share->set;
    const float *queries = set->queries + (size_t)share->first * set->dim;
    uint32_t *found = share->found + (size_t)share->first * K;
    uint32_t n_warm = share->n < WARM_UP ? share->n : WARM_UP;
    const struct library *library = share->side->library;
    (void)library->search(share->side->index, queries, n_warm, set->dim, K, found);
    double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    share->distances = library->search(share->side->index, queries, share->n, set->dim, K, found);
    share->seconds = seconds_of(CLOCK_THREAD_CPUTIME_ID) - start;
    index_thread_exit();
    return NULL;
}

static double recall_of(const struct task *task, const uint32_t *found)
{
    uint64_t n_hits = 0;
    for (uint32_t q = 0; q < task->set.n_queries; q++) {
        const uint32_t *truth = task->truth + (size_t)q * task->truth_k;
        for (uint32_t i = 0; i < K; i++) {
            for (uint32_t j = 0; j < K; j++) {
                n_hits += found[(size_t)q * K + j] == truth[i];
            }
        }
    }
    return (double)n_hits / ((double)task->set.n_queries * K);
}

static void search_once(struct side *side, size_t e, uint32_t n_threads, uint32_t repeat,
                        const struct task *task)
{
    const struct set *set = &task->set;
    struct point *point = &side->points[n_threads - 1][e];
    struct share shares[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    uint32_t *found = malloc((size_t)set->n_queries * K * sizeof(*found));
    if (found == NULL) {
        bench_fail("memory ran out", "malloc");
    }
    side->library->set_ef(side->index, bench_efs[e]);
    for (uint32_t i = 0; i < n_threads; i++) {
        uint32_t first = (uint32_t)((uint64_t)set->n_queries * i / n_threads);
        uint32_t end = (uint32_t)((uint64_t)set->n_queries * (i + 1) / n_threads);
        shares[i] = (struct share){
            .side = side, .set = set, .first = first, .n = end - first, .found = found};
        if (pthread_create(&threads[i], NULL, search_share, &shares[i]) != 0) {
            bench_fail("no thread", "pthread_create");
        }
    }
    double seconds = 0;
    uint64_t distances = 0;
    for (uint32_t i = 0; i < n_threads; i++) {
        pthread_join(threads[i], NULL);
        seconds += shares[i].seconds;
        distances += shares[i].distances;
    }
    point->is_measured = true;
    point->seconds[repeat] = seconds / n_threads / set->n_queries;
    point->distances = (double)distances / set->n_queries;
    point->recall = recall_of(task, found);
    free(found);
}

/* Whether the curve goes on at the e-th ef. */
static bool is_worth_it(const struct point *points, size_t e)
{
    if (e == 0) {
        return true;
    }
    const struct point *last = &points[e - 1];
    return last->is_measured && last->recall < recall_enough &&
           (e == 1 || last->recall > points[e - 2].recall + gain_least);
}

void bench_search_all(struct side *sides, size_t n, const struct task *task)
{
    for (uint32_t repeat = 0; repeat < task->n_repeats; repeat++) {
        for (size_t e = 0; e < bench_n_efs; e++) {
            say("searching, ef", bench_efs[e], bench_efs[bench_n_efs - 1]);
            for (uint32_t t = 1; t <= task->n_threads_max; t++) {
                for (size_t s = 0; s < n; s++) {
                    if (is_worth_it(sides[s].points[t - 1], e)) {
                        search_once(&sides[s], e, t, repeat, task);
                    }
                }
            }
        }
    }
    say(NULL, 0, 0);
}
