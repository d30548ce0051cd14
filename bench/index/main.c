/* The index against its peers: the same rows, parameters, huge pages and threads.
 *
 *   bench/index/compare --name=SET --metric=cosine|l2|dot --base=F --queries=F --truth=F --work=DIR
 *       [--libraries=A,B] [--rows=N] [--n-queries=N] [--repeats=N] [--threads=N] [--keep=DIR]
 *       [--curves=F] [--builds=F] [--commit=ID]
 *
 * bench/index/run calls it for each set.  The truth must be that of the rows that are used.
 * --threads measures searches on 1 .. N threads.  --keep has the peers' graphs built only once. */
#include "compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *bench_directory;

static const struct library *const libraries[] = {
    &library_vectrond,     &library_vectrond_resident, &library_vectrond_8,
    &library_vectrond_f32, &library_hnswlib,
#ifdef HAVE_FAISS
    &library_faiss_flat,   &library_faiss_sq8,
#endif
};

void bench_fail(const char *what, const char *name)
{
    fprintf(stderr, "bench/index/compare: %s: %s\n", name, what);
    exit(1);
}

static uint32_t read_number(const char *text, uint32_t max)
{
    char *end;
    unsigned long x = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || x > max) {
        bench_fail("is no number that is possible here", text);
    }
    return (uint32_t)x;
}

struct word {
    const char *name;
    const char **text;
};
struct number {
    const char *name;
    uint32_t *value, max;
};

static void read_option(struct options *o, const char *argument)
{
    struct word words[] = {
        {"--name=", &o->name},           {"--metric=", &o->metric}, {"--base=", &o->base},
        {"--queries=", &o->queries},     {"--truth=", &o->truth},   {"--work=", &o->work},
        {"--libraries=", &o->libraries}, {"--keep=", &o->keep},     {"--curves=", &o->curves},
        {"--builds=", &o->builds},       {"--commit=", &o->commit}};
    struct number numbers[] = {{"--rows=", &o->n_rows, INT32_MAX},
                               {"--n-queries=", &o->n_queries, INT32_MAX},
                               {"--repeats=", &o->n_repeats, REPEATS_MAX},
                               {"--threads=", &o->n_threads_max, THREADS_MAX}};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        size_t n = strlen(words[i].name);
        if (strncmp(argument, words[i].name, n) == 0) {
            *words[i].text = argument + n;
            return;
        }
    }
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        size_t n = strlen(numbers[i].name);
        if (strncmp(argument, numbers[i].name, n) == 0) {
            *numbers[i].value = read_number(argument + n, numbers[i].max);
            return;
        }
    }
    bench_fail("no such option: see the head of bench/index/main.c", argument);
}

static bool is_wanted(const char *list, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, bytes) == 0 && (at[bytes] == ',' || at[bytes] == '\0')) {
            return true;
        }
    }
    return list == NULL;
}

int main(int argc, char **argv)
{
    static struct side sides[SIDES_MAX];
    struct options options = {.n_repeats = 3, .n_threads_max = 1, .commit = "unknown"};
    struct task task = {.n_repeats = 0};
    for (int i = 1; i < argc; i++) {
        read_option(&options, argv[i]);
    }
    if (options.name == NULL || options.metric == NULL || options.base == NULL ||
        options.queries == NULL || options.truth == NULL || options.work == NULL ||
        options.n_repeats == 0 || options.n_threads_max == 0) {
        bench_fail("an option is missing: see the head of bench/index/main.c", "usage");
    }
    CHECK(index_choose_kernel(NULL));
    bench_directory = options.work;
    task_read(&task, &options);
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(libraries); i++) {
        if (is_wanted(options.libraries, libraries[i]->name)) {
            sides[n++].library = libraries[i];
        }
    }
    if (n == 0) {
        bench_fail("names none of the libraries that this was built with", options.libraries);
    }
    bench_build(sides, n, &task, &options);
    bench_search_all(sides, n, &task);
    report(sides, n, &task, &options);
    for (size_t s = 0; s < n; s++) {
        sides[s].library->free(sides[s].index);
    }
    task_free(&task);
    index_thread_exit();
    return 0;
}
