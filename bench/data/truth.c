/* The exact nearest neighbours of every query: the truth that recall is measured against.
 *
 *     truth cosine|l2|dot BASE.fbin QUERY.fbin K OUT.ibin [ROWS [PARTS]]
 *
 * Plain C with nothing of the project in it, so that the truth does not share a fault with what it
 * judges.  Every query is compared with every row, or with the first ROWS, or with those of them
 * whose number modulo 1,000 is below PARTS; ties break by the row's number.  Under cosine rows and
 * queries are normalised first; L2 is summed from the differences, which loses no digits.  Rows are
 * stored in groups of LANES, component by component, so that one vector instruction compares a
 * query's component with that of LANES rows (gcc and clang lower vector_size to what the machine
 * has).  As many threads as there are cores share the queries.
 *
 * OUT.ibin: u32 queries, u32 K, then for each query the K row numbers (u32) by rising distance,
 * then in the same order the K distances (f32).  All little-endian, as this machine is. */
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    THREADS_MAX = 64,
    LANES = 16,
    QUERIES_AT_ONCE = 8,
    GROUPS_A_BLOCK = 32,
    PARTS = 1000
};

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

enum metric {
    COSINE,
    L2,
    DOT,
    N_METRICS
};
static const char *const metric_names[] = {"cosine", "l2", "dot"};

struct set {
    uint32_t n, dim;
    float *rows; /* n x dim; normalised under cosine */
};

struct hit {
    float similarity; /* The product, or the squared distance negated. */
    uint32_t row;
};

struct top { /* The best rows of one query so far, best first. */
    struct hit *hits;
    uint32_t n, k;
};

struct job {
    enum metric metric;
    const struct set *queries;
    const lanes *groups; /* n_groups x dim */
    uint32_t n_rows, n_groups, parts;
    uint32_t first, end; /* Queries of this job. */
    struct top *tops;    /* Of all queries. */
};

_Noreturn static void die(const char *what, const char *name)
{
    fprintf(stderr, "truth: %s: %s\n", what, name);
    exit(1);
}

static void *take(size_t n, size_t size)
{
    size_t bytes = (n * size + 63) / 64 * 64;
    void *p = aligned_alloc(64, bytes);
    if (p == NULL) {
        die("no memory", "truth");
    }
    memset(p, 0, bytes);
    return p;
}

static void normalise(float *row, uint32_t dim)
{
    double norm = 0;
    for (uint32_t i = 0; i < dim; i++) {
        norm += (double)row[i] * row[i];
    }
    for (uint32_t i = 0; i < dim && norm > 0; i++) {
        row[i] = (float)(row[i] / sqrt(norm));
    }
}

static struct set read_set(const char *name, enum metric metric)
{
    uint32_t header[2];
    FILE *file = fopen(name, "rb");
    if (file == NULL || fread(header, sizeof header, 1, file) != 1) {
        die("cannot read", name);
    }
    struct set set = {header[0], header[1], NULL};
    size_t n_floats = (size_t)set.n * set.dim;
    set.rows = take(n_floats, sizeof(float));
    if (fread(set.rows, sizeof(float), n_floats, file) != n_floats) {
        die("too short", name);
    }
    fclose(file);
    for (uint32_t i = 0; i < set.n && metric == COSINE; i++) {
        normalise(set.rows + (size_t)i * set.dim, set.dim);
    }
    return set;
}

/* The last group is filled up with zero rows; search_group leaves them out. */
static lanes *make_groups(const struct set *base, uint32_t n_groups)
{
    lanes *groups = take((size_t)n_groups * base->dim, sizeof(lanes));
    for (uint32_t row = 0; row < base->n; row++) {
        lanes *group = groups + (size_t)(row / LANES) * base->dim;
        for (uint32_t i = 0; i < base->dim; i++) {
            group[i][row % LANES] = base->rows[(size_t)row * base->dim + i];
        }
    }
    return groups;
}

/* Rows come in rising order, so a tie never displaces an earlier row. */
static void offer(struct top *top, struct hit hit)
{
    if (top->n == top->k && hit.similarity <= top->hits[top->k - 1].similarity) {
        return;
    }
    uint32_t at = top->n < top->k ? top->n++ : top->k - 1;
    for (; at > 0 && top->hits[at - 1].similarity < hit.similarity; at--) {
        top->hits[at] = top->hits[at - 1];
    }
    top->hits[at] = hit;
}

static void sum_products(const lanes *rows, uint32_t dim, const float *const *wanted, lanes *sums)
{
    for (uint32_t i = 0; i < dim; i++) {
        for (uint32_t q = 0; q < QUERIES_AT_ONCE; q++) {
            sums[q] += rows[i] * wanted[q][i];
        }
    }
}

static void sum_squares(const lanes *rows, uint32_t dim, const float *const *wanted, lanes *sums)
{
    for (uint32_t i = 0; i < dim; i++) {
        for (uint32_t q = 0; q < QUERIES_AT_ONCE; q++) {
            lanes difference = rows[i] - wanted[q][i];
            sums[q] -= difference * difference;
        }
    }
}

static void search_group(const struct job *job, uint32_t group, uint32_t query, uint32_t n_queries)
{
    uint32_t dim = job->queries->dim;
    const lanes *rows = job->groups + (size_t)group * dim;
    const float *wanted[QUERIES_AT_ONCE];
    lanes sums[QUERIES_AT_ONCE] = {{0}};
    for (uint32_t q = 0; q < QUERIES_AT_ONCE; q++) { /* Past the end: the first one again. */
        wanted[q] = job->queries->rows + (size_t)(query + (q < n_queries ? q : 0)) * dim;
    }
    (job->metric == L2 ? sum_squares : sum_products)(rows, dim, wanted, sums);
    uint32_t first_row = group * LANES;
    uint32_t n_rows = job->n_rows - first_row < LANES ? job->n_rows - first_row : LANES;
    for (uint32_t q = 0; q < n_queries; q++) {
        for (uint32_t j = 0; j < n_rows; j++) {
            if ((first_row + j) % PARTS >= job->parts) {
                continue;
            }
            offer(&job->tops[query + q], (struct hit){sums[q][j], first_row + j});
        }
    }
}

static void *run_job(void *arg)
{
    const struct job *job = arg;
    for (uint32_t block = 0; block < job->n_groups; block += GROUPS_A_BLOCK) {
        uint32_t block_end = block + GROUPS_A_BLOCK;
        block_end = block_end < job->n_groups ? block_end : job->n_groups;
        for (uint32_t query = job->first; query < job->end; query += QUERIES_AT_ONCE) {
            uint32_t left = job->end - query;
            uint32_t n_queries = left < QUERIES_AT_ONCE ? left : QUERIES_AT_ONCE;
            for (uint32_t group = block; group < block_end; group++) {
                search_group(job, group, query, n_queries);
            }
        }
    }
    return NULL;
}

static void run_all(const struct job *all)
{
    pthread_t threads[THREADS_MAX];
    struct job jobs[THREADS_MAX];
    long n_cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n_threads = n_cores < 1 ? 1 : n_cores > THREADS_MAX ? THREADS_MAX : (uint32_t)n_cores;
    for (uint32_t i = 0; i < n_threads; i++) {
        jobs[i] = *all;
        jobs[i].first = (uint32_t)((uint64_t)all->end * i / n_threads);
        jobs[i].end = (uint32_t)((uint64_t)all->end * (i + 1) / n_threads);
        if (pthread_create(&threads[i], NULL, run_job, &jobs[i]) != 0) {
            die("no thread", "truth");
        }
    }
    for (uint32_t i = 0; i < n_threads; i++) {
        pthread_join(threads[i], NULL);
    }
}

static float distance_of(enum metric metric, float similarity)
{
    return metric == COSINE ? 1.0f - similarity : metric == L2 ? sqrtf(-similarity) : -similarity;
}

static void write_truth(const char *name, enum metric metric, const struct hit *hits, uint32_t n,
                        uint32_t k)
{
    FILE *file = fopen(name, "wb");
    uint32_t header[2] = {n, k};
    bool is_good = file != NULL && fwrite(header, sizeof header, 1, file) == 1;
    for (size_t i = 0; is_good && i < (size_t)n * k; i++) {
        is_good = fwrite(&hits[i].row, sizeof hits[i].row, 1, file) == 1;
    }
    for (size_t i = 0; is_good && i < (size_t)n * k; i++) {
        float distance = distance_of(metric, hits[i].similarity);
        is_good = fwrite(&distance, sizeof distance, 1, file) == 1;
    }
    if (!is_good || fclose(file) != 0) {
        die("cannot write", name);
    }
}

static enum metric read_metric(const char *name)
{
    for (int i = 0; i < N_METRICS; i++) {
        if (strcmp(name, metric_names[i]) == 0) {
            return (enum metric)i;
        }
    }
    die("no metric of this name", name);
}

int main(int argc, char **argv)
{
    if (argc < 6 || argc > 8) {
        die("usage", "truth cosine|l2|dot BASE.fbin QUERY.fbin K OUT.ibin [ROWS [PARTS]]");
    }
    enum metric metric = read_metric(argv[1]);
    struct set base = read_set(argv[2], metric), queries = read_set(argv[3], metric);
    unsigned long k = strtoul(argv[4], NULL, 10);
    unsigned long n_rows = argc > 6 ? strtoul(argv[6], NULL, 10) : base.n;
    unsigned long parts = argc > 7 ? strtoul(argv[7], NULL, 10) : PARTS;
    if (base.dim != queries.dim) {
        die("the dimensions differ", argv[3]);
    }
    base.n = n_rows < base.n ? (uint32_t)n_rows : base.n;
    if (k == 0 || k > (uint64_t)base.n * parts / PARTS) {
        die("K is not within the rows of the base", argv[4]);
    }
    uint32_t n_groups = (base.n + LANES - 1) / LANES;
    lanes *groups = make_groups(&base, n_groups);
    struct hit *hits = take((size_t)queries.n * k, sizeof *hits);
    struct top *tops = take(queries.n, sizeof *tops);
    for (uint32_t i = 0; i < queries.n; i++) {
        tops[i] = (struct top){hits + (size_t)i * k, 0, (uint32_t)k};
    }
    struct job all = {metric,          &queries, groups,    base.n, n_groups,
                      (uint32_t)parts, 0,        queries.n, tops};
    run_all(&all);
    write_truth(argv[5], metric, hits, queries.n, (uint32_t)k);
    free(tops);
    free(hits);
    free(groups);
    free(queries.rows);
    free(base.rows);
    return 0;
}
