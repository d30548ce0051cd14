/* How many codes a second each kernel compares with a query: make bench/kernels && bench/kernels
 * [DIM ...].
 *
 * Batches of slots at random places, as a walk asks for them: of a table that the nearest cache
 * holds, and of one far larger than the last, where the next batch's rows are prefetched before the
 * keys of one are made.  Millions of rows a second, the best of some runs; after them encoding and
 * the preparation of a query, in microseconds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "index/bits_int.h"

enum {
    BATCH = 32,
    KEPT_BYTES = 1 << 14,
    LARGE_BYTES = 1 << 28,
    BATCHES = 4096,
    RUNS = 7,
    ENCODED = 256
};

static const char *const kernels[] = {"scalar", "avx2", "avx512", "avx512vnni", "neon", "neondot"};
static const enum index_code kinds[] = {INDEX_CODE_F32, INDEX_CODE_8, INDEX_CODE_4, INDEX_CODE_2};

struct table {
    struct code_space space;
    struct mem_region region;
    uint32_t n_rows;
    struct code_query query;
    void *room;
    uint32_t *slots; /* BATCHES x BATCH */
};

static void fill_vector(float *x, uint32_t dim, uint64_t *state)
{
    struct err err;
    for (uint32_t i = 0; i < dim; i++) {
        x[i] = (float)(int32_t)random_next(state);
    }
    CHECK(vector_prepare(DISTANCE_COSINE, dim, x, x, &err) == ERR_OK);
}

/* The first rows are encoded, the others copies of them: what they hold costs nothing. */
static void fill_rows(struct table *t)
{
    static float x[VECTOR_DIM_MAX];
    uint64_t state = 1;
    uint8_t *rows = t->region.base;
    for (uint32_t i = 0; i < t->n_rows; i++) {
        if (i < ENCODED) {
            fill_vector(x, t->space.dim, &state);
            t->space.code->encode(&t->space, x, rows + i * t->space.stride);
        } else {
            memcpy(rows + i * t->space.stride, rows + i % ENCODED * t->space.stride,
                   t->space.stride);
        }
    }
    fill_vector(x, t->space.dim, &state);
    t->space.code->query(&t->space, x, t->room, &t->query);
}

static struct table table_new(enum index_code kind, uint32_t dim, size_t bytes)
{
    const struct code *code = code_of(kind);
    struct table t = {.space = {.code = code, .dim = dim, .distance = DISTANCE_COSINE}};
    t.space.stride = (code->row_bytes(dim, DISTANCE_COSINE) + 3) / 4 * 4;
    t.n_rows = (uint32_t)(bytes / t.space.stride);
    CHECK(mem_region_reserve(&t.region, MEM_VECTORS, bytes) && mem_region_use(&t.region, bytes));
    t.space.rows = t.region.base;
    t.room = aligned_alloc(CACHE_LINE,
                           (code->query_bytes(dim) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    t.slots = mem_alloc(MEM_VECTORS, sizeof(uint32_t) * BATCHES * BATCH);
    CHECK(t.room != NULL && t.slots != NULL);
    uint64_t state = 7;
    for (size_t i = 0; i < (size_t)BATCHES * BATCH; i++) {
        t.slots[i] = (uint32_t)(random_next(&state) % t.n_rows);
    }
    fill_rows(&t);
    return t;
}

static void table_free(struct table *t)
{
    mem_region_release(&t->region);
    mem_free(MEM_VECTORS, t->slots);
    free(t->room);
}

static void prefetch(const struct table *t, const uint32_t *slots)
{
    for (size_t i = 0; i < BATCH; i++) {
        const uint8_t *row = t->space.rows + slots[i] * t->space.stride;
        for (size_t at = 0; at < t->space.stride; at += CACHE_LINE) {
            __builtin_prefetch(row + at);
        }
    }
}

/* Millions of rows a second. */
static double rate_of(const struct table *t, bool is_large)
{
    float keys[BATCH];
    double best = 0;
    for (int run = 0; run < RUNS; run++) {
        uint64_t begun_us = clock_cpu_micros();
        for (size_t i = 0; i < BATCHES; i++) {
            if (is_large && i + 1 < BATCHES) {
                prefetch(t, t->slots + (i + 1) * BATCH);
            }
            t->space.code->keys(&t->space, &t->query, t->slots + i * BATCH, BATCH, keys);
        }
        double us = (double)(clock_cpu_micros() - begun_us);
        best = best < BATCHES * BATCH / us ? BATCHES * BATCH / us : best;
    }
    return best;
}

/* Microseconds of an encoding and of a query's preparation. */
static void preparation_of(struct table *t, double *encode_us, double *query_us)
{
    static float x[VECTOR_DIM_MAX];
    uint64_t state = 3;
    fill_vector(x, t->space.dim, &state);
    *encode_us = *query_us = INFINITY;
    for (int run = 0; run < RUNS; run++) {
        uint64_t begun_us = clock_cpu_micros();
        for (size_t i = 0; i < ENCODED; i++) {
            t->space.code->encode(&t->space, x, t->region.base);
        }
        uint64_t encoded_us = clock_cpu_micros();
        for (size_t i = 0; i < ENCODED; i++) {
            t->space.code->query(&t->space, x, t->room, &t->query);
        }
        *encode_us = fmin(*encode_us, (double)(encoded_us - begun_us) / ENCODED);
        *query_us = fmin(*query_us, (double)(clock_cpu_micros() - encoded_us) / ENCODED);
    }
}

static void measure(enum index_code kind, uint32_t dim)
{
    struct table kept = table_new(kind, dim, KEPT_BYTES), large = table_new(kind, dim, LARGE_BYTES);
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        if (index_choose_kernel(kernels[k])) {
            double encode_us, query_us, from_cache = rate_of(&kept, false);
            double from_memory = rate_of(&large, true);
            preparation_of(&kept, &encode_us, &query_us);
            printf("%5u  %-4s  %5zu  %-10s  %9.1f  %9.1f  %7.2f  %7.2f\n", dim,
                   kept.space.code->name, kept.space.stride, kernels[k], from_cache, from_memory,
                   encode_us, query_us);
        }
    }
    table_free(&kept);
    table_free(&large);
}

int main(int argc, char **argv)
{
    static const uint32_t dims[] = {100, 128, 512, 1536};
    printf("  dim  code  bytes  kernel         cache M/s memory M/s  encode    query us\n");
    for (int i = 1; i < argc; i++) {
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            uint32_t dim = (uint32_t)strtoul(argv[i], NULL, 10);
            CHECK(dim > 0 && dim <= VECTOR_DIM_MAX);
            measure(kinds[k], dim);
        }
    }
    for (size_t i = 0; argc == 1 && i < COUNT_OF(dims); i++) {
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            measure(kinds[k], dims[i]);
        }
    }
    return 0;
}
