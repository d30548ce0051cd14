/* How long an index takes to open from its checkpoint, and to write one: make bench/open &&
 *
 *     bench/open DIR --base=F.fbin [--metric=cosine|l2|dot] [--rows=N]
 *     bench/open DIR [--metric=cosine|l2|dot] [--repeats=N] [--threads=N] [--resident]
 *
 * The first builds the index of the rows, with quantization = auto and exact vectors in a mapped
 * file, and leaves its checkpoint in DIR.  The second opens that --repeats times, by a crew of
 * 1 .. --threads, with vectors mapped or --resident, and saves it to nowhere: that is how long
 * linking waits, but for the disk.  The figures are the least and the median of the clock, and the
 * CPU of all threads, with a warm page cache. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/host_int.h"
#include "shard/vector_file_int.h"

enum {
    REPEATS_MAX = 101,
    THREADS_MAX = 64,
    STAGE_ROWS = 1024,
    PATH_BYTES = 4096,
    M = 16,
    EF_CONSTRUCTION = 200
};

struct options {
    const char *directory, *base;
    enum distance distance;
    unsigned rows, repeats, threads;
    bool is_resident;
};

struct graph_file {
    FILE *file;
    char path[PATH_BYTES];
    struct options options;
    uint32_t dim; /* Stands before the stream. */
};

static void die_on(bool failed, const char *what)
{
    if (failed) {
        (void)fprintf(stderr, "bench/open: %s\n", what);
        exit(1);
    }
}

static struct index *make(const struct options *o, uint32_t dim)
{
    struct err err;
    struct vector_file_config file = {
        .directory = o->directory, .dim = dim, .is_mapped = !o->is_resident};
    struct vector_file *f = vector_file_new(&file, &err);
    die_on(f == NULL, "memory ran out");
    die_on(vector_file_open(f, 0, &err) != ERR_OK, err.message);
    struct index_config config = {
        .kind = INDEX_HNSW,
        .distance = o->distance,
        .dim = dim,
        .m = M,
        .ef_construction = EF_CONSTRUCTION,
        .seed = 1,
        .code = dim <= 32   ? INDEX_CODE_F32
                : dim <= 64 ? INDEX_CODE_8
                            : INDEX_CODE_4,
        .storage = &f->storage,
    };
    struct index *index = index_new(&config, &err);
    die_on(index == NULL, "memory ran out");
    return index;
}

/* ---- the checkpoint ---- */

static enum errcode write_file(void *arg, const void *data, size_t bytes, struct err *err)
{
    return fwrite(data, 1, bytes, arg) == bytes ? ERR_OK : err_set(err, ERR_IO, "cannot write");
}

static enum errcode read_file(void *arg, void *data, size_t bytes, struct err *err)
{
    return fread(data, 1, bytes, arg) == bytes ? ERR_OK : err_set(err, ERR_CORRUPT, "cut off");
}

static void stage(struct index *index, FILE *base, uint32_t dim, uint32_t first, uint32_t n,
                  const struct index_crew *crew)
{
    static uint64_t numbers[STAGE_ROWS];
    struct err err;
    size_t n_done;
    float *vectors = malloc((size_t)n * dim * sizeof(float));
    die_on(vectors == NULL, "memory ran out");
    die_on(fread(vectors, dim * sizeof(float), n, base) != n, "the rows are cut off");
    for (uint32_t i = 0; i < n; i++) {
        numbers[i] = first + i;
    }
    struct index_rows rows = {.numbers = numbers, .vectors = vectors, .n = n};
    die_on(index_stage_insert(index, first + 1, &rows, &err) != ERR_OK ||
               index_advance(index, n, crew, &n_done, &err) != ERR_OK,
           err.message);
    free(vectors);
}

static void build(struct graph_file *g, const struct index_crew *crew)
{
    struct err err;
    uint32_t head[2], digest;
    const struct options *o = &g->options;
    FILE *base = o->base == NULL ? NULL : fopen(o->base, "rb");
    die_on(base == NULL || fread(head, sizeof(head), 1, base) != 1,
           "--base=FILE of rows is needed to make the checkpoint");
    uint32_t n = o->rows > 0 && o->rows < head[0] ? o->rows : head[0];
    struct index *index = make(o, head[1]);
    for (uint32_t first = 0; first < n; first += STAGE_ROWS) {
        stage(index, base, head[1], first, n - first < STAGE_ROWS ? n - first : STAGE_ROWS, crew);
    }
    (void)fclose(base);
    FILE *file = fopen(g->path, "wb");
    die_on(file == NULL || fwrite(&head[1], sizeof(head[1]), 1, file) != 1 ||
               index_save(index, write_file, file, &digest, &err) != ERR_OK || fclose(file) != 0,
           "cannot write the checkpoint");
    index_free(index);
}

/* ---- opening ---- */

struct times {
    double clock[REPEATS_MAX], cpu[REPEATS_MAX];
};

static double cpu_seconds(void)
{
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static enum errcode write_nowhere(void *arg, const void *data, size_t bytes, struct err *err)
{
    (void)data;
    (void)err;
    *(uint64_t *)arg += bytes;
    return ERR_OK;
}

static void save_once(struct index *index, struct times *times, unsigned i)
{
    struct err err;
    uint32_t digest;
    uint64_t bytes = 0;
    uint64_t begun_us = clock_micros();
    double cpu_before = cpu_seconds();
    die_on(index_save(index, write_nowhere, &bytes, &digest, &err) != ERR_OK, err.message);
    times->clock[i] = (double)(clock_micros() - begun_us) / 1e6;
    times->cpu[i] = cpu_seconds() - cpu_before;
}

static struct index *open_once(const struct graph_file *g, const struct index_crew *crew,
                               struct times *times, unsigned i)
{
    struct err err;
    struct stat facts;
    uint32_t dim = 0, digest;
    uint64_t begun_us = clock_micros();
    double cpu_before = cpu_seconds();
    FILE *file = fopen(g->path, "rb");
    die_on(file == NULL || fread(&dim, sizeof(dim), 1, file) != 1 ||
               fstat(fileno(file), &facts) != 0,
           "there is no checkpoint");
    struct index *index = make(&g->options, dim);
    struct index_source source = {
        .read = read_file, .arg = file, .bytes = (uint64_t)facts.st_size - sizeof(dim)};
    die_on(index_load(index, &source, crew, &digest, &err) != ERR_OK, err.message);
    times->clock[i] = (double)(clock_micros() - begun_us) / 1e6;
    times->cpu[i] = cpu_seconds() - cpu_before;
    (void)fclose(file);
    return index;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *what, struct times *times, unsigned n)
{
    qsort(times->clock, n, sizeof(double), compare_doubles);
    qsort(times->cpu, n, sizeof(double), compare_doubles);
    printf("%s: clock %.3f s (median %.3f), CPU %.3f s (median %.3f)\n", what, times->clock[0],
           times->clock[n / 2], times->cpu[0], times->cpu[n / 2]);
    (void)fflush(stdout);
}

static void measure(const struct graph_file *g, const struct index_crew *crew, unsigned threads)
{
    static struct times opens, saves;
    unsigned n = g->options.repeats;
    char what[64];
    for (unsigned i = 0; i < n; i++) {
        struct index *index = open_once(g, crew, &opens, i);
        save_once(index, &saves, i);
        (void)snprintf(what, sizeof(what), "%zu rows opened, %u threads", index_count(index),
                       threads);
        index_free(index);
    }
    report(what, &opens, n);
    report("  saved, 1 thread", &saves, n);
}

static bool read_number(const char *argument, const char *name, unsigned max, unsigned *out)
{
    size_t n = strlen(name);
    char *end;
    if (strncmp(argument, name, n) != 0) {
        return false;
    }
    unsigned long x = strtoul(argument + n, &end, 10);
    die_on(*end != '\0' || x < 1 || x > max, argument);
    *out = (unsigned)x;
    return true;
}

static enum distance read_metric(const char *name)
{
    return strcmp(name, "l2") == 0    ? DISTANCE_L2
           : strcmp(name, "dot") == 0 ? DISTANCE_DOT
                                      : DISTANCE_COSINE;
}

static struct options read_options(int argc, char **argv)
{
    struct options o = {.directory = argc > 1 ? argv[1] : "",
                        .distance = DISTANCE_COSINE,
                        .repeats = 11,
                        .threads = 2};
    die_on(argc < 2, "see the head of bench/open.c");
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--resident") == 0) {
            o.is_resident = true;
        } else if (strncmp(argv[i], "--base=", 7) == 0) {
            o.base = argv[i] + 7;
        } else if (strncmp(argv[i], "--metric=", 9) == 0) {
            o.distance = read_metric(argv[i] + 9);
        } else {
            die_on(!read_number(argv[i], "--rows=", INT32_MAX, &o.rows) &&
                       !read_number(argv[i], "--repeats=", REPEATS_MAX, &o.repeats) &&
                       !read_number(argv[i], "--threads=", THREADS_MAX, &o.threads),
                   argv[i]);
        }
    }
    return o;
}

int main(int argc, char **argv)
{
    struct err err;
    struct graph_file g = {.options = read_options(argc, argv)};
    (void)mkdir(g.options.directory, 0700);
    (void)snprintf(g.path, sizeof(g.path), "%s/graph", g.options.directory);
    (void)index_choose_kernel(NULL);
    if (g.options.base != NULL) {
        struct crew *crew = crew_new(thread_cores() - 1, 0, &err);
        die_on(crew == NULL, "memory ran out");
        build(&g, crew_interface(crew));
        crew_free(crew);
        g.options.threads = 0;
    }
    for (unsigned threads = 1; threads <= g.options.threads; threads++) {
        struct crew *crew = crew_new(threads - 1, 0, &err);
        die_on(crew == NULL, "memory ran out");
        measure(&g, crew_interface(crew), threads);
        crew_free(crew);
    }
    index_thread_exit();
    return 0;
}
