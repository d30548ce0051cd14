/* What an allocation and its release cost: make bench/mem && bench/mem.
 *
 * Pairs of mem_alloc and mem_free, one thread and then one a core, in nanoseconds a pair. */
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

enum {
    PAIRS = 5000000,
    THREADS_MAX = 64
};

static const size_t sizes[] = {16, 64, 256, 1024, 4096};

static void run_pairs(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < PAIRS; i++) {
        volatile char *p = mem_alloc(MEM_STATEMENT, sizes[i % COUNT_OF(sizes)]);
        CHECK(p != NULL);
        *p = 1;
        mem_free(MEM_STATEMENT, (void *)p);
    }
}

static void run_kept(void *arg)
{
    (void)arg;
    void *kept[64] = {NULL};
    for (unsigned i = 0; i < PAIRS; i++) {
        void **slot = &kept[(i * 2654435761u) >> 26];
        mem_free(MEM_STATEMENT, *slot);
        *slot = mem_alloc(MEM_STATEMENT, sizes[i % COUNT_OF(sizes)]);
        CHECK(*slot != NULL);
    }
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        mem_free(MEM_STATEMENT, kept[i]);
    }
}

static void measure(const char *what, void (*run)(void *arg), unsigned n_threads)
{
    struct thread threads[THREADS_MAX];
    struct err err;
    uint64_t begun_us = clock_micros();
    for (unsigned i = 0; i < n_threads; i++) {
        CHECK(thread_start(&threads[i], "pairs", run, NULL, &err) == ERR_OK);
    }
    for (unsigned i = 0; i < n_threads; i++) {
        thread_join(&threads[i]);
    }
    double ns = (double)(clock_micros() - begun_us) * 1e3;
    printf("%-32s %u threads  %6.1f ns a pair\n", what, n_threads, ns / PAIRS);
}

int main(void)
{
    unsigned cores = thread_cores() < THREADS_MAX ? thread_cores() : THREADS_MAX;
    measure("freed at once", run_pairs, 1);
    measure("freed at once", run_pairs, cores);
    measure("64 kept, freed by chance", run_kept, 1);
    measure("64 kept, freed by chance", run_kept, cores);
    return 0;
}
