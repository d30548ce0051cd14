/* The index as all its parts see it.
 *
 * Who writes what, while anyone may search:
 *   the staging thread     codes, vectors and nodes of slots that no list names yet; PRESENT,
 *                          HIDDEN; the end of the queue; the row map
 *   the advancing thread   LINKED, DEAD, TORN; the entry point and the root; the front of the
 *                          queue; with its crew neighbour lists
 * Slots, segments and larger regions change hands by epochs (epoch.c). */
#ifndef VECTRON_INDEX_GRAPH_INT_H
#define VECTRON_INDEX_GRAPH_INT_H

#include "index/queue_int.h"
#include "index/slots_int.h"

/* What is going on in unlink.c; the advancing thread's. */
struct sweep {
    bool is_on;
    uint32_t slot_last;           /* The row whose delete it is a part of, or SLOT_NONE. */
    uint32_t slot_next, slot_end; /* Lists of slots before the first are mended. */
    struct torn *torn;            /* NULL until all are. */
    size_t n_torn, torn_next;
};

/* DOT: which length is the radius of the reduction (reduction.c). */
enum radius {
    RADIUS_LONG,
    RADIUS_SHORT,
    RADII
};

/* Rows that walks begin at, too: starts.c. */
struct starts {
    struct mutex lock; /* For who changes it. */
    _Atomic size_t n;
    _Atomic uint32_t slots[INDEX_STARTS_MAX]; /* The largest weight first. */
    float weights[INDEX_STARTS_MAX];
    _Atomic float least; /* Of a full list: nothing of such a weight, or less, is in it. */
};

/* What is going on in trial.c; the advancing thread's. */
enum {
    TRIAL_QUERIES = 256,
    TRIAL_RANKS = 2
};
struct trial {
    float *vectors; /* Of the sample; the queries first. */
    size_t n_rows;  /* Without the queries. */
    enum radius radius;
    struct index *graph; /* NULL: to be begun. */
    size_t n_linked, n_asked;
    float nearest[TRIAL_RANKS][TRIAL_QUERIES]; /* Keys by exact vectors: the first, the tenth. */
    size_t ef, step;
    uint32_t distances[TRIAL_QUERIES];
    uint8_t n_found[TRIAL_RANKS][TRIAL_QUERIES];
    double found_last[TRIAL_RANKS], cost_last; /* At the ef before. */
    double costs[RADII][TRIAL_RANKS];          /* 0: not known yet. */
    _Atomic bool failed;
};

/* What is known of a block's vectors: their checksum, and the rows that it is of. */
struct block_sum {
    uint32_t rows, vectors;
};

/* The advancing thread's; it moves while no search is inside. */
struct centre {
    float *vector; /* NULL: 0. */
    /* Looked at when so many rows are linked; never again: UINT32_MAX. */
    uint32_t rows_due;
};

struct index {
    struct index_config config;
    const struct code *code;
    _Atomic float reduction;   /* code_space.reduction */
    struct reduction *lengths; /* Under advance_lock; DOT only (reduction.c). */
    struct starts longest;     /* DOT only; weighed by squares of lengths. */
    struct starts missed;      /* Weighed by the share of queries that did. */
    /* Since index_begin_at: weights of those that were named and deleted; and how many. */
    _Atomic float missed_gone;
    _Atomic uint32_t longest_gone;
    struct centre centre; /* L2 only (centre.c). */
    enum radius radius;   /* Under advance_lock, with the trial that decides it: trial.c */
    struct trial *trial;
    uint64_t tried_at; /* Rows of the graph at the last trial, or the fewest since; 0 before. */
    _Atomic float length_usual; /* The long radius, whichever is the reduction's. */
    struct slots slots;
    struct mutex map_lock;
    struct row_map map; /* The staging thread's; who changes it, or is another, holds map_lock. */
    _Atomic double norm_max; /* DOT: of all vectors that were ever here. */
    struct queue queue;
    uint64_t row_next;  /* The staging thread's: larger than any row staged so far. */
    uint64_t row_fresh; /* Smaller ones were in the checkpoint: staging them is a replay. */

    struct mutex advance_lock; /* Held while the graph changes or is encoded. */
    uint64_t row_linked_end;   /* Under advance_lock: larger than any row ever linked. */
    size_t n_dead;             /* Under advance_lock, with the sweep: unlink.c */
    struct sweep sweep;
    uint32_t root;          /* Under advance_lock: the first row linked (list_int.h). */
    _Atomic uint32_t entry; /* SLOT_NONE while nothing is linked. */
    struct block_sum *sums; /* Under advance_lock: of blocks of stored vectors (save.c). */
    uint32_t n_sums;

    _Atomic size_t n_live;   /* Present and not hidden. */
    _Atomic size_t n_hidden; /* Present, hidden, and still in the graph. */
    _Atomic size_t n_linked;
    struct epochs epochs;
};

static inline struct node *node_at(const struct slots *slots, uint32_t slot)
{
    return (struct node *)(void *)((char *)slots->nodes.base + slot * slots->node_bytes);
}

static inline uint8_t *code_at(const struct slots *slots, uint32_t slot)
{
    return (uint8_t *)slots->codes.base + (size_t)slot * slots->code_stride;
}

/* The exact vector. */
static inline const float *vector_at(const struct slots *slots, uint32_t slot)
{
    return slots->vector_stride > 0 ? slots->vector_base + (size_t)slot * slots->vector_stride
                                    : (const float *)(const void *)code_at(slots, slot);
}

static inline struct upper *upper_at(const struct slots *slots, uint32_t upper)
{
    return (struct upper *)(void *)((char *)slots->uppers.base + upper * slots->upper_bytes);
}

struct upper *upper_of(const struct slots *slots, uint32_t slot, unsigned layer); /* Above 0. */
/* The list on @layer of a slot whose level is at least that; links_max gives its length. */
_Atomic uint32_t *links_at(const struct slots *slots, uint32_t slot, unsigned layer);
static inline _Atomic uint32_t *links0_at(const struct slots *slots, uint32_t slot)
{
    return node_at(slots, slot)->links;
}
static inline size_t links_max(const struct slots *slots, unsigned layer)
{
    return layer == 0 ? slots->links0 : slots->m;
}
/* Copies a list, up to its end; returns how many. */
size_t links_copy(const struct slots *slots, uint32_t slot, unsigned layer, uint32_t *out);

static inline uint8_t slot_state(const struct slots *slots, uint32_t slot)
{
    return atomic_load_explicit(&node_at(slots, slot)->state, memory_order_acquire);
}

static inline bool slot_is_live(const struct slots *slots, uint32_t slot)
{
    return (slot_state(slots, slot) & (SLOT_PRESENT | SLOT_HIDDEN)) == SLOT_PRESENT;
}

/* What walks and building see. */
static inline struct code_space space_of_codes(const struct index *index)
{
    return (struct code_space){.code = index->code,
                               .rows = index->slots.codes.base,
                               .stride = index->slots.code_stride,
                               .dim = index->config.dim,
                               .distance = index->config.distance,
                               .reduction =
                                   atomic_load_explicit(&index->reduction, memory_order_relaxed),
                               .centre = index->centre.vector};
}

/* Its codes depend on a centre that rows decide, so they are made when rows are linked, and not
 * when they are staged. */
static inline bool index_has_centre(const struct index *index)
{
    return index->config.distance == DISTANCE_L2 && index->config.kind == INDEX_HNSW &&
           index->slots.vector_stride > 0;
}

/* The exact vectors. */
static inline struct code_space space_of_vectors(const struct index *index)
{
    struct code_space space = space_of_codes(index);
    if (index->slots.vector_stride > 0) {
        space.code = &code_f32;
        space.rows = (const uint8_t *)index->slots.vector_base;
        space.stride = index->slots.vector_stride * sizeof(float);
    }
    return space;
}

/* What building sees where codes cannot rank. */
static inline struct code_space space_of_pairs(const struct index *index)
{
    struct code_space space = space_of_vectors(index);
    space.code = &code_exact;
    return space;
}

/* The level of a row: a function of seed and row number alone. */
uint8_t level_of(const struct index_config *config, uint64_t row);
/* Its code and its exact vector in memory, from one that vector_prepare has made ready. */
void slot_set_vector(struct index *index, uint32_t slot, const float *ready);
void slot_set_state(struct index *index, uint32_t slot, uint8_t state);

#endif
