/* The index against hnswlib: the same rows, parameters, compiler flags, huge pages and thread.
 *
 *   index_vs_hnswlib BASE.fbin QUERY.fbin TRUTH.ibin [ROWS [QUERIES [REPEATS]]]
 *
 * Cosine; M 16, ef_construction 200, recall@10.  Runs of both are interleaved, so that what else
 * the machine does falls on both; times are those of the thread's CPU; medians are printed.  The
 * truth must be that of all rows: with ROWS it is cut to the rows that are there. */
#include "index/index.h"
#include "peer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    M = 16,
    EF_CONSTRUCTION = 200,
    K = 10,
    REPEATS_MAX = 15,
    STAGE_ROWS = 1024
};

static const size_t efs[] = {10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448};
enum {
    N_EFS = COUNT_OF(efs)
};

struct matrix {
    uint32_t n, dim;
    float *floats;    /* Of .fbin */
    uint32_t *labels; /* Of .ibin */
};

struct task {
    struct matrix base, query, truth;
    uint32_t n_rows, n_queries;
    int repeats;
};

/* The two programs that are measured. */
struct side {
    const char *name;
    void (*add)(void *index, const float *vectors, uint32_t first, uint32_t n, uint32_t dim);
    size_t (*search)(void *index, const float *query, size_t ef, uint64_t *rows);
    void *index;
    double build_seconds, bytes_a_vector;
    double recall[N_EFS], seconds[N_EFS][REPEATS_MAX];
};

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "index_vs_hnswlib: %s: %s\n", what, name);
    exit(1);
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);
    if (memory == NULL) {
        fail("memory ran out", "malloc");
    }
    return memory;
}

static struct matrix read_matrix(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint32_t head[2];
    if (file == NULL || fread(head, sizeof(head), 1, file) != 1) {
        fail("cannot be read", path);
    }
    size_t n = (size_t)head[0] * head[1];
    void *data = allocate(n * 4);
    if (fread(data, 4, n, file) != n) {
        fail("is shorter than its header says", path);
    }
    fclose(file);
    return (struct matrix){.n = head[0], .dim = head[1], .floats = data, .labels = data};
}

static void normalise(struct matrix *x)
{
    for (uint32_t i = 0; i < x->n; i++) {
        float *row = x->floats + (size_t)i * x->dim;
        double squares = 0;
        for (uint32_t j = 0; j < x->dim; j++) {
            squares += (double)row[j] * (double)row[j];
        }
        for (uint32_t j = 0; j < x->dim; j++) {
            row[j] = (float)((double)row[j] / sqrt(squares));
        }
    }
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- ours ---- */

static void ours_add(void *index, const float *vectors, uint32_t first, uint32_t n, uint32_t dim)
{
    struct err err;
    uint64_t rows[STAGE_ROWS];
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = first + i;
    }
    size_t n_done;
    (void)dim;
    struct index_rows staged = {.numbers = rows, .vectors = vectors, .n = n};
    if (index_stage_insert(index, first + 1, &staged, &err) != ERR_OK ||
        index_advance(index, n, NULL, &n_done, &err) != ERR_OK) {
        fail(err.message, "index");
    }
}

static size_t ours_search(void *index, const float *query, size_t ef, uint64_t *rows)
{
    struct err err;
    struct index_hit hits[K];
    struct index_work work = {0};
    struct index_search search = {.query = query, .k = K, .ef = ef, .plan = INDEX_WALK};
    size_t n = 0;
    if (index_search(index, &search, hits, &n, &work, &err) != ERR_OK) {
        fail(err.message, "index");
    }
    for (size_t i = 0; i < n; i++) {
        rows[i] = hits[i].row;
    }
    return n;
}

/* ---- the peer ---- */

static void peer_add_all(void *peer, const float *vectors, uint32_t first, uint32_t n, uint32_t dim)
{
    for (uint32_t i = 0; i < n; i++) {
        peer_add(peer, vectors + (size_t)i * dim, first + i);
    }
}

static size_t peer_search_10(void *peer, const float *query, size_t ef, uint64_t *rows)
{
    return peer_search(peer, query, K, ef, rows);
}

/* ---- measuring ---- */

/* Both grow together, a step each, so that neither has the quieter machine. */
static void build(struct side *sides, size_t resident[2], const struct matrix *base, uint32_t n)
{
    for (uint32_t first = 0; first < n; first += STAGE_ROWS) {
        uint32_t step = n - first < STAGE_ROWS ? n - first : STAGE_ROWS;
        for (int s = 0; s < 2; s++) {
            size_t before = mem_resident_bytes();
            double start = cpu_seconds();
            sides[s].add(sides[s].index, base->floats + (size_t)first * base->dim, first, step,
                         base->dim);
            sides[s].build_seconds += cpu_seconds() - start;
            resident[s] += mem_resident_bytes() - before;
        }
        if (first / STAGE_ROWS % 16 == 0) {
            fprintf(stderr, "\rbuilding %u of %u", first, n);
        }
    }
    fprintf(stderr, "\r%40s\r", "");
}

static double recall_of(const uint64_t *found, size_t n_found, const uint32_t *truth, uint32_t n,
                        uint32_t n_rows)
{
    size_t n_wanted = 0, n_hit = 0;
    for (uint32_t i = 0; i < n && n_wanted < K; i++) {
        if (truth[i] >= n_rows) {
            continue;
        }
        n_wanted++;
        for (size_t j = 0; j < n_found; j++) {
            n_hit += found[j] == truth[i];
        }
    }
    return n_wanted == 0 ? 1 : (double)n_hit / (double)n_wanted;
}

static void measure(struct side *side, size_t e, int repeat, const struct task *task)
{
    const struct matrix *query = &task->query, *truth = &task->truth;
    double recall = 0, seconds = 0;
    for (uint32_t i = 0; i < task->n_queries; i++) {
        uint64_t found[K];
        double start = cpu_seconds();
        size_t n = side->search(side->index, query->floats + (size_t)i * query->dim, efs[e], found);
        seconds += cpu_seconds() - start;
        recall +=
            recall_of(found, n, truth->labels + (size_t)i * truth->dim, truth->dim, task->n_rows);
    }
    side->recall[e] = recall / task->n_queries;
    side->seconds[e][repeat] = seconds / task->n_queries;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double qps(struct side *side, size_t e, int repeats)
{
    qsort(side->seconds[e], (size_t)repeats, sizeof(double), compare_doubles);
    return 1 / side->seconds[e][repeats / 2];
}

/* Between the two efs around the recall, on a line through the logarithms; 0 outside of them. */
static double qps_at(struct side *side, double recall, int repeats)
{
    for (size_t e = 1; e < N_EFS; e++) {
        double low = side->recall[e - 1], high = side->recall[e];
        if (low < recall && recall <= high) {
            double share = (recall - low) / (high - low);
            return exp(log(qps(side, e - 1, repeats)) * (1 - share) +
                       log(qps(side, e, repeats)) * share);
        }
    }
    return 0;
}

static void report(struct side *sides, int repeats)
{
    printf("%6s  %21s  %21s\n", "ef", sides[0].name, sides[1].name);
    for (size_t e = 0; e < N_EFS; e++) {
        printf("%6zu  %9.4f %8.0f qps  %6.4f %8.0f qps\n", efs[e], sides[0].recall[e],
               qps(&sides[0], e, repeats), sides[1].recall[e], qps(&sides[1], e, repeats));
    }
    static const double recalls[] = {0.90, 0.95, 0.99};
    for (size_t i = 0; i < COUNT_OF(recalls); i++) {
        double ours = qps_at(&sides[0], recalls[i], repeats);
        double peers = qps_at(&sides[1], recalls[i], repeats);
        printf("recall %.2f: %.0f against %.0f qps, ratio %.2f\n", recalls[i], ours, peers,
               ours / peers);
    }
    printf("build: %.1f against %.1f CPU s, ratio %.2f\n", sides[0].build_seconds,
           sides[1].build_seconds, sides[0].build_seconds / sides[1].build_seconds);
    printf("resident: %.0f against %.0f bytes a vector, ratio %.2f\n", sides[0].bytes_a_vector,
           sides[1].bytes_a_vector, sides[0].bytes_a_vector / sides[1].bytes_a_vector);
}

/* 0 where it is not a number. */
static uint32_t read_number(const char *text)
{
    char *end;
    unsigned long x = strtoul(text, &end, 10);
    return *end == '\0' && x <= INT32_MAX ? (uint32_t)x : 0;
}

static struct task read_task(int argc, char **argv)
{
    if (argc < 4) {
        fail("wants BASE.fbin QUERY.fbin TRUTH.ibin [ROWS [QUERIES [REPEATS]]]", "usage");
    }
    struct task task = {
        .base = read_matrix(argv[1]), .query = read_matrix(argv[2]), .truth = read_matrix(argv[3])};
    task.n_rows = argc > 4 ? read_number(argv[4]) : task.base.n;
    task.n_queries = argc > 5 ? read_number(argv[5]) : task.query.n;
    task.repeats = argc > 6 ? (int)read_number(argv[6]) : 3;
    if (task.n_rows == 0 || task.n_rows > task.base.n || task.n_queries == 0 ||
        task.n_queries > task.query.n || task.n_queries > task.truth.n || task.repeats < 1 ||
        task.repeats > REPEATS_MAX || task.base.dim != task.query.dim) {
        fail("is out of bounds", "ROWS, QUERIES or REPEATS");
    }
    normalise(&task.base);
    normalise(&task.query);
    return task;
}

int main(int argc, char **argv)
{
    struct task task = read_task(argc, argv);
    CHECK(index_choose_kernel(NULL));
    struct err err;
    struct index_config config = {.kind = INDEX_HNSW,
                                  .distance = DISTANCE_COSINE,
                                  .dim = task.base.dim,
                                  .m = M,
                                  .ef_construction = EF_CONSTRUCTION,
                                  .seed = 1};
    struct side sides[2] = {{.name = "vectrond", .add = ours_add, .search = ours_search},
                            {.name = "hnswlib", .add = peer_add_all, .search = peer_search_10}};
    size_t resident[2] = {0, 0}, before = mem_resident_bytes();
    sides[0].index = index_new(&config, &err);
    resident[0] = mem_resident_bytes() - before;
    sides[1].index = peer_new(task.base.dim, task.n_rows, M, EF_CONSTRUCTION);
    if (sides[0].index == NULL || sides[1].index == NULL) {
        fail("memory ran out", "index");
    }
    build(sides, resident, &task.base, task.n_rows);
    for (int s = 0; s < 2; s++) {
        sides[s].bytes_a_vector = (double)resident[s] / task.n_rows;
    }
    for (int repeat = 0; repeat < task.repeats; repeat++) {
        for (size_t e = 0; e < N_EFS; e++) {
            measure(&sides[0], e, repeat, &task);
            measure(&sides[1], e, repeat, &task);
        }
    }
    printf("%u rows x %u, %u queries, kernel %s\n", task.n_rows, task.base.dim, task.n_queries,
           index_kernel_name());
    report(sides, task.repeats);
    index_free(sides[0].index);
    peer_free(sides[1].index);
    index_thread_exit();
    return 0;
}
