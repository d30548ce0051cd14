/* The tables: Markdown on standard output, and all points and figures as tab-separated values. */
#include "compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const metric_names[] = {"cosine", "L2", "DOT"};
static const double recalls[] = {0.90, 0.95, 0.99};

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of the median run. */
static double qps_of(const struct point *point, uint32_t n_repeats)
{
    double seconds[REPEATS_MAX];
    memcpy(seconds, point->seconds, n_repeats * sizeof(*seconds));
    qsort(seconds, n_repeats, sizeof(*seconds), compare_doubles);
    return 1 / seconds[n_repeats / 2];
}

/* Between the two points around the recall, on a line through the logarithms; the first point where
 * that reaches it already; 0 where none does. */
static double qps_at(const struct point *points, double recall, uint32_t n_repeats)
{
    if (points[0].recall >= recall) {
        return qps_of(&points[0], n_repeats);
    }
    for (size_t e = 1; e < bench_n_efs && points[e].is_measured; e++) {
        double low = points[e - 1].recall, high = points[e].recall;
        if (low < recall && recall <= high) {
            double share = (recall - low) / (high - low);
            return exp(log(qps_of(&points[e - 1], n_repeats)) * (1 - share) +
                       log(qps_of(&points[e], n_repeats)) * share);
        }
    }
    return 0;
}

static void print_qps(double qps)
{
    if (qps > 0) {
        printf(" %.0f |", qps);
    } else {
        printf(" - |");
    }
}

static void print_ratio(double a, double b)
{
    if (a > 0 && b > 0) {
        printf(" %.2f |", a / b);
    } else {
        printf(" - |");
    }
}

static void print_rows(const struct side *sides, size_t n, const struct task *task)
{
    printf(
        "| library | threads | QPS at .90 | at .95 | at .99 | build, CPU s | rows a CPU s | bytes "
        "a vector: resident | mapped | file | save, s | open, s |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (size_t s = 0; s < n; s++) {
        for (uint32_t t = 0; t < task->n_threads_max; t++) {
            printf("| %s | %u |", sides[s].library->name, t + 1);
            for (size_t i = 0; i < COUNT_OF(recalls); i++) {
                print_qps(qps_at(sides[s].points[t], recalls[i], task->n_repeats));
            }
            const struct figures *f = &sides[s].figures;
            double n_rows = task->set.n_rows;
            if (t == 0) {
                printf(" %.1f%s | %.0f | %.0f | %.0f | %.0f | %.2f | %.2f |\n", f->build_seconds,
                       sides[s].is_kept ? " (kept)" : "", n_rows / f->build_seconds,
                       f->resident_bytes / n_rows, f->mapped_bytes / n_rows, f->file_bytes / n_rows,
                       f->save_seconds, f->open_seconds);
            } else {
                printf(" | | | | | | |\n");
            }
        }
    }
}

/* The first library over each other one, and each on all threads over itself on one. */
static void print_ratios(const struct side *sides, size_t n, const struct task *task)
{
    printf("\n| ratio | threads | .90 | .95 | .99 | build, CPU | resident |\n"
           "|---|---|---|---|---|---|---|\n");
    for (size_t s = 1; s < n; s++) {
        for (uint32_t t = 0; t < task->n_threads_max; t++) {
            printf("| %s over %s | %u |", sides[0].library->name, sides[s].library->name, t + 1);
            for (size_t i = 0; i < COUNT_OF(recalls); i++) {
                print_ratio(qps_at(sides[0].points[t], recalls[i], task->n_repeats),
                            qps_at(sides[s].points[t], recalls[i], task->n_repeats));
            }
            print_ratio(sides[0].figures.build_seconds, sides[s].figures.build_seconds);
            print_ratio(sides[0].figures.resident_bytes, sides[s].figures.resident_bytes);
            printf("\n");
        }
    }
    for (size_t s = 0; s < n && task->n_threads_max > 1; s++) {
        printf("| %s, %u threads over one | |", sides[s].library->name, task->n_threads_max);
        for (size_t i = 0; i < COUNT_OF(recalls); i++) {
            print_ratio(
                qps_at(sides[s].points[task->n_threads_max - 1], recalls[i], task->n_repeats),
                qps_at(sides[s].points[0], recalls[i], task->n_repeats));
        }
        printf(" | |\n");
    }
    printf("\n");
}

/* ---- tab-separated values ---- */

static void read_cpu(char *name, size_t bytes)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    (void)snprintf(name, bytes, "unknown");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && value != NULL) {
            (void)snprintf(name, bytes, "%.*s", (int)strcspn(value + 2, "\n"), value + 2);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static FILE *open_table(const char *path, const char *head)
{
    FILE *file = path == NULL ? NULL : fopen(path, "a");
    if (path != NULL && file == NULL) {
        bench_fail("cannot be written", path);
    }
    if (file != NULL && ftell(file) == 0) {
        fprintf(file, "%s\n", head);
    }
    return file;
}

static void write_curves(const struct side *sides, size_t n, const struct task *task,
                         const char *path, const char *run)
{
    FILE *file = open_table(path, "date\tcommit\tcpu\tset\trows\tdim\tmetric\tlibrary\tthreads\tef"
                                  "\trecall\tqps\tdistances");
    for (size_t s = 0; s < n && file != NULL; s++) {
        for (uint32_t t = 0; t < task->n_threads_max; t++) {
            for (size_t e = 0; e < bench_n_efs && sides[s].points[t][e].is_measured; e++) {
                const struct point *p = &sides[s].points[t][e];
                fprintf(file, "%s\t%s\t%u\t%u\t%.5f\t%.1f\t%.1f\n", run, sides[s].library->name,
                        t + 1, bench_efs[e], p->recall, qps_of(p, task->n_repeats), p->distances);
            }
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void write_builds(const struct side *sides, size_t n, const struct task *task,
                         const char *path, const char *run)
{
    FILE *file =
        open_table(path, "date\tcommit\tcpu\tset\trows\tdim\tmetric\tlibrary\tkept\tbuild_cpu_s\t"
                         "resident_bytes\tmapped_bytes\tfile_bytes\tsave_s\topen_s");
    for (size_t s = 0; s < n && file != NULL; s++) {
        const struct figures *f = &sides[s].figures;
        double n_rows = task->set.n_rows;
        fprintf(file, "%s\t%s\t%d\t%.2f\t%.1f\t%.1f\t%.1f\t%.3f\t%.3f\n", run,
                sides[s].library->name, sides[s].is_kept, f->build_seconds,
                f->resident_bytes / n_rows, f->mapped_bytes / n_rows, f->file_bytes / n_rows,
                f->save_seconds, f->open_seconds);
    }
    if (file != NULL) {
        fclose(file);
    }
}

void report(const struct side *sides, size_t n, const struct task *task,
            const struct options *options)
{
    char cpu[256], date[32], run[1024];
    const struct set *set = &task->set;
    time_t now = (time_t)(clock_wall_micros() / 1000000);
    struct tm tm;
    read_cpu(cpu, sizeof(cpu));
    (void)strftime(date, sizeof(date), "%Y-%m-%d", gmtime_r(&now, &tm));
    (void)snprintf(run, sizeof(run), "%s\t%s\t%s\t%s\t%u\t%u\t%s", date, options->commit, cpu,
                   set->name, set->n_rows, set->dim, metric_names[set->metric]);
    printf(
        "### %s: %u rows x %u, %s, %u queries, recall@%d\n\n%s; commit %s; kernel %s; medians of "
        "%u\n\n",
        set->name, set->n_rows, set->dim, metric_names[set->metric], set->n_queries, K, cpu,
        options->commit, index_kernel_name(), task->n_repeats);
    print_rows(sides, n, task);
    print_ratios(sides, n, task);
    write_curves(sides, n, task, options->curves, run);
    write_builds(sides, n, task, options->builds, run);
}
