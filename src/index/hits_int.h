/* Hits: the nearest rows found so far, by distances in double. */
#ifndef VECTRON_INDEX_HITS_INT_H
#define VECTRON_INDEX_HITS_INT_H

#include "index/index.h"

struct hit {
    struct index_hit row;
    uint32_t slot;
};

/* A heap, the farthest on top; sorted at the end. */
struct hits {
    struct hit *items;
    size_t n, max, capacity;
    const struct index_search *search; /* What orders hits at one distance. */
    double limit; /* Rows whose 32-bit key is larger are farther than all (look.c). */
};

void hits_fini(struct hits *hits);
bool hits_start(struct hits *hits, const struct index_search *search, size_t max) WARN_UNUSED;
void hits_add(struct hits *hits, const struct hit *hit);
void hits_sort(struct hits *hits); /* Nearest first; then nothing is added. */
/* By distance, then label, then what the caller compares, then row. */
bool hit_is_nearer(const struct index_search *search, const struct index_hit *a,
                   const struct index_hit *b);

/* Whether a row as far as this would be taken, if ties are. */
static inline bool hits_want(const struct hits *hits, double distance)
{
    return hits->n < hits->max || distance <= hits->items[0].row.distance;
}

#endif
