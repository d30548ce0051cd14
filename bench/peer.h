/* The peer of the index benchmark, hnswlib, behind a C interface: it is a C++ template library. */
#ifndef VECTRON_BENCH_PEER_H
#define VECTRON_BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct peer;

/* Inner product over vectors that the caller has normalised. */
struct peer *peer_new(uint32_t dim, size_t rows_max, size_t m, size_t ef_construction);
void peer_free(struct peer *peer);
void peer_add(struct peer *peer, const float *vector, uint64_t row);
/* Writes the k nearest rows in any order; returns how many. */
size_t peer_search(struct peer *peer, const float *query, size_t k, size_t ef, uint64_t *rows);

#ifdef __cplusplus
}
#endif
#endif
