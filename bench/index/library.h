/* A library that the index benchmark measures: a row of functions, ours and the peers' alike.
 *
 * Failures end the program with a message: nothing can be compared then.  add, save and open run
 * on one thread; search may run on several at once, each with its share of the queries. */
#ifndef VECTRON_BENCH_INDEX_LIBRARY_H
#define VECTRON_BENCH_INDEX_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum metric {
    METRIC_COSINE, /* Vectors and queries are of length 1: the inner product ranks them. */
    METRIC_L2,
    METRIC_DOT,
    N_METRICS
};

enum {
    M = 16, /* Links a row on an upper layer; twice that, or what the library makes of it, below. */
    EF_CONSTRUCTION = 200
};

struct set {
    const char *name;
    enum metric metric;
    uint32_t n_rows, n_queries, dim;
    const float *rows, *queries; /* n_rows x dim, n_queries x dim. */
};

struct library {
    const char *name;
    int variant; /* For the library's own functions: which of its kinds of index. */
    void *(*make)(const struct library *library, const struct set *set);
    /* Rows first .. first + n - 1 of the set. */
    void (*add)(void *index, const struct set *set, uint32_t first, uint32_t n);
    void (*set_ef)(void *index, uint32_t ef); /* Of the searches that follow. */
    /* The @k nearest rows of each of @n queries, in any order; missing ones are UINT32_MAX.
     * Returns how many distances were computed, 0 where it does not tell. */
    uint64_t (*search)(void *index, const float *queries, uint32_t n, uint32_t dim, uint32_t k,
                       uint32_t *rows);
    void (*save)(void *index, const char *path);
    void *(*open)(const struct library *library, const struct set *set, const char *path);
    /* Moves an opened index to huge pages, as a built one has them; NULL where it has them. */
    void (*settle)(void *index);
    void (*free)(void *index);
};

extern const struct library library_vectrond, library_vectrond_resident, library_vectrond_8,
    library_vectrond_f32, library_hnswlib, library_faiss_flat, library_faiss_sq8;

void bench_fail(const char *what, const char *name) __attribute__((noreturn));
/* Asks for 2 MB pages where memory was reserved and not touched yet. */
void bench_huge_pages(void *memory, size_t bytes);
/* Moves to such pages what a library has filled by itself, where the kernel can (Linux 6.1). */
void bench_gather_pages(void *memory, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
