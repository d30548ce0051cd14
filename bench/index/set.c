/* The files of a set: .fbin rows and queries, .ibin truth; both u32 rows, u32 columns, then words
 * of 32 bits. */
#include "compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const metric_names[] = {"cosine", "l2", "dot"};

static void *read_words(const char *path, uint32_t rows_max, uint32_t *n_rows, uint32_t *n_columns)
{
    FILE *file = fopen(path, "rb");
    uint32_t head[2];
    if (file == NULL || fread(head, sizeof(head), 1, file) != 1) {
        bench_fail("cannot be read", path);
    }
    *n_rows = rows_max != 0 && rows_max < head[0] ? rows_max : head[0];
    *n_columns = head[1];
    size_t n = (size_t)*n_rows * head[1];
    void *words = malloc(n * 4);
    if (words == NULL || fread(words, 4, n, file) != n) {
        bench_fail("is shorter than its header says", path);
    }
    fclose(file);
    return words;
}

/* Keeps @n of the rows, from all over the file: its order may mean something, as words sorted by
 * frequency do. */
static uint32_t thin_out(void *table, uint32_t n_rows, uint32_t n_columns, uint32_t n)
{
    char *words = table;
    size_t bytes = (size_t)n_columns * 4;
    if (n == 0 || n >= n_rows) {
        return n_rows;
    }
    for (uint32_t i = 0; i < n; i++) {
        size_t from = (size_t)((uint64_t)i * n_rows / n);
        memmove(words + i * bytes, words + from * bytes, bytes);
    }
    return n;
}

static void normalise(float *rows, uint32_t n, uint32_t dim)
{
    for (uint32_t i = 0; i < n; i++) {
        float *row = rows + (size_t)i * dim;
        double squares = 0;
        for (uint32_t j = 0; j < dim; j++) {
            squares += (double)row[j] * (double)row[j];
        }
        for (uint32_t j = 0; j < dim; j++) {
            row[j] = (float)((double)row[j] / sqrt(squares));
        }
    }
}

static enum metric read_metric(const char *name)
{
    for (int i = 0; i < N_METRICS; i++) {
        if (strcmp(name, metric_names[i]) == 0) {
            return (enum metric)i;
        }
    }
    bench_fail("no metric of this name", name);
}

void task_read(struct task *task, const struct options *options)
{
    struct set *set = &task->set;
    uint32_t dim, n_truths;
    *set = (struct set){.name = options->name, .metric = read_metric(options->metric)};
    task->n_repeats = options->n_repeats;
    task->n_threads_max = options->n_threads_max;
    task->rows_owned = read_words(options->base, options->n_rows, &set->n_rows, &set->dim);
    task->queries_owned = read_words(options->queries, 0, &set->n_queries, &dim);
    task->truth_owned = read_words(options->truth, 0, &n_truths, &task->truth_k);
    if (dim != set->dim || n_truths != set->n_queries || task->truth_k < K) {
        bench_fail("does not go with the rows", options->truth);
    }
    (void)thin_out(task->truth_owned, n_truths, task->truth_k, options->n_queries);
    set->n_queries = thin_out(task->queries_owned, set->n_queries, dim, options->n_queries);
    if (set->metric == METRIC_COSINE) {
        normalise(task->rows_owned, set->n_rows, set->dim);
        normalise(task->queries_owned, set->n_queries, set->dim);
    }
    set->rows = task->rows_owned;
    set->queries = task->queries_owned;
    task->truth = task->truth_owned;
}

void task_free(struct task *task)
{
    free(task->rows_owned);
    free(task->queries_owned);
    free(task->truth_owned);
}
