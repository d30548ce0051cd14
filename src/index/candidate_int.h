/* Candidates, their pools, and what a searching thread keeps between searches. */
#ifndef VECTRON_INDEX_CANDIDATE_INT_H
#define VECTRON_INDEX_CANDIDATE_INT_H

#include "index/beam_int.h"
#include "index/hits_int.h"

struct candidate {
    float key;
    uint32_t slot;
};

/* Nearest first, ties by row; at most max, the farthest falls out. */
struct pool {
    struct candidate *items;
    size_t n, max, capacity;
};

void pool_fini(struct pool *pool);
bool pool_reset(struct pool *pool, size_t max) WARN_UNUSED;
/* In no order, without a bound. */
bool pool_append(struct pool *pool, struct candidate c) WARN_UNUSED;
/* Where it went; pool->max where it is too far. */
size_t pool_add(struct pool *pool, const struct slots *slots, struct candidate c);
/* False where pool_add would refuse, but for a tie. */
static inline bool pool_wants(const struct pool *pool, float key)
{
    return pool->n < pool->max || key <= pool->items[pool->n - 1].key;
}
/* The pool as a heap without a bound: the nearest comes out first. */
bool heap_push(struct pool *heap, const struct slots *slots, struct candidate c) WARN_UNUSED;
struct candidate heap_pop(struct pool *heap, const struct slots *slots);
bool candidate_is_nearer(const struct slots *slots, struct candidate a, struct candidate b);
void candidates_sort(const struct slots *slots, struct candidate *items, size_t n);

/* ---- scratch: what a searching thread keeps ---- */

enum {
    SEEN_MAX = 1 << 13, /* What is visited is taken back one by one up to so many. */
};

struct scratch {
    uint64_t *visited; /* A bit a slot. */
    size_t visited_words;
    uint32_t *seen; /* The slots whose bits are set, in batches of up to LINKS_MAX. */
    size_t n_seen;
    bool has_seen_more; /* Than they: all words are cleared. */
    struct beam beam;
    struct pool near, matching, frontier;
    struct pool refused; /* Rows that a filter did not let pass. */
    struct hits found, tail;
    uint8_t *room; /* All below are parts of it. */
    size_t room_bytes;
    float *query;      /* What vector_prepare made of the caller's. */
    void *query_code;  /* The walk's. */
    uint8_t *row_code; /* A row that is in no slot. */
    unsigned place_hint;
};

/* This thread's, with room for vectors and codes of the index; NULL where memory ran out. */
struct scratch *scratch_for(const struct index *index, struct err *err);
struct scratch *scratch_get(void); /* The same, behind the first. */
bool scratch_visit_none(struct scratch *s, uint32_t capacity) WARN_UNUSED;

/* Where the next batch of slots that are seen for the first time is written; scratch_seen then says
 * how many they are.  It stands until the batch after the next one is begun. */
static inline uint32_t *scratch_batch(struct scratch *s)
{
    if (s->n_seen > SEEN_MAX) {
        s->n_seen = 0;
        s->has_seen_more = true;
    }
    return s->seen + s->n_seen;
}

static inline void scratch_seen(struct scratch *s, size_t n)
{
    s->n_seen += n;
}

/* Marks the slot, and gives whether it was not yet. */
static inline bool visited_mark(uint64_t *visited, uint32_t slot)
{
    uint64_t *word = &visited[slot / 64], before = *word, bit = UINT64_C(1) << (slot % 64);
    *word = before | bit;
    return (before & bit) == 0;
}

/* True the first time. */
static inline bool scratch_visit(struct scratch *s, uint32_t slot)
{
    bool is_first = visited_mark(s->visited, slot);
    *scratch_batch(s) = slot;
    scratch_seen(s, is_first);
    return is_first;
}

static inline bool scratch_has_visited(const struct scratch *s, uint32_t slot)
{
    return (s->visited[slot / 64] >> (slot % 64) & 1) != 0;
}

#endif
