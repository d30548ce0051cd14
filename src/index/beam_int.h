/* The beam: a walk's candidates, nearest first, and the rule that says when it has looked enough.
 *
 * The rule is by distance, not by rank: beside the nearest `sure`, a candidate is kept only while
 * it is nearer than (1 + gamma) times the rank-th nearest.  Distances are those of the true scale:
 * a key plus `shift`.  It holds when a candidate comes, and again whenever the rank-th comes
 * nearer, so that all that a beam holds is worth to be expanded. */
#ifndef VECTRON_INDEX_BEAM_INT_H
#define VECTRON_INDEX_BEAM_INT_H

#include "index/graph_int.h"

#include <math.h>

#define EXPANDED (UINT32_C(1) << 31) /* In a beam's slots. */

struct stop_rule {
    size_t rank;  /* Of the candidate that the others are measured by; SIZE_MAX: by rank alone. */
    size_t sure;  /* So many are kept wherever they are; at least the rank, if there is one. */
    size_t max;   /* More are never kept. */
    float gamma;  /* How much farther than the rank-th. */
    float shift;  /* What makes a key a distance. */
    float spread; /* The least that is allowed beyond the rank-th: what a key may be wrong by. */
};

/* The nearest @ef, as building wants them. */
static inline struct stop_rule stop_by_rank(size_t ef)
{
    return (struct stop_rule){.rank = SIZE_MAX, .sure = ef, .max = ef};
}

/* The key up to which candidates are kept, given the rank-th. */
static inline float stop_bound(const struct stop_rule *rule, float key)
{
    /* Neither may be a number where keys overflowed. */
    float distance = key + rule->shift;
    float more = distance > 0 ? rule->gamma * distance : 0;
    return key + (more > rule->spread ? more : rule->spread);
}

struct beam {
    float *keys; /* Beside each other: what is compared stays in few lines. */
    uint32_t *slots;
    size_t n, capacity;
    size_t next; /* All before it are expanded. */
    float bound; /* Of the rule; infinite while there are fewer than its rank. */
    struct stop_rule rule;
    const struct beam_fns *fns;
};

void beam_fini(struct beam *beam);
/* Room for @n, so that a walk that keeps no more cannot fail. */
bool beam_reserve(struct beam *beam, size_t n) WARN_UNUSED;
void beam_start(struct beam *beam, const struct stop_rule *rule);
/* False: it is too far. */
bool beam_add(struct beam *beam, const struct slots *slots, float key, uint32_t slot);
/* One of the first `rank` does not count: it cannot be returned. */
void beam_look_farther(struct beam *beam);

/* Farther keys are refused; at the limit itself beam_add decides. */
static inline float beam_limit(const struct beam *beam)
{
    if (beam->n < beam->rule.sure) {
        return INFINITY;
    }
    float sure = beam->keys[beam->rule.sure - 1];
    float limit = beam->bound > sure ? beam->bound : sure;
    bool is_full = beam->n == beam->rule.max && beam->keys[beam->n - 1] < limit;
    return is_full ? beam->keys[beam->n - 1] : limit;
}

/* The nearest that was not expanded; n where there is none. */
static inline size_t beam_next(struct beam *beam)
{
    while (beam->next < beam->n && (beam->slots[beam->next] & EXPANDED) != 0) {
        beam->next++;
    }
    return beam->next;
}

#endif
