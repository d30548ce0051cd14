/* Building: which neighbours rows have (select.c, lists.c, parents.c, link.c, unlink.c). */
#ifndef VECTRON_INDEX_BUILD_INT_H
#define VECTRON_INDEX_BUILD_INT_H

#include "index/list_int.h"
#include "index/walk_int.h"

/* By the crew, or by this thread where there is none. */
static inline void crew_run(const struct index_crew *crew, size_t n,
                            void (*run)(void *arg, size_t i), void *arg)
{
    if (crew != NULL && n > 1) {
        crew->for_each(crew->crew, n, run, arg);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        run(arg, i);
    }
}

/* In the space of the codes, or of pairs of vectors: of n candidates, nearest first, the list that
 * a new row begins with: those that algorithm 4 chooses, then the nearest of the others, but no
 * copies of one that was chosen. */
void select_neighbours(const struct code_space *space, const struct candidate *sorted, size_t n,
                       size_t max, struct list *out);
/* Offers @slot a place in the list of @base, which it does not stand in.  A full list may exchange
 * one edge: the farthest that only fills it, never one that the rule chose, unless the new one
 * hides it.  Returns who lost a place: SLOT_NONE for nobody, @slot itself where it got none. */
uint32_t list_offer(const struct slots *slots, const struct code_space *space, struct list *list,
                    size_t max, uint32_t base, uint32_t slot);
/* What a key of two rows says of their distance: its square or half of that, from 0 on; below 0
 * under DOT, of rows that are longer than the reduction's radius. */
float select_distance(const struct code_space *space, float key);
/* By how much that may be wrong for rows as long as the query: a standard error. */
float select_error(const struct code_space *space, const struct code_query *query);
/* True where @c is nearer to the base than to each of @chosen. */
bool select_accepts(const struct index *index, struct candidate c, const uint32_t *chosen,
                    size_t n_chosen);
/* A set of slots as the base sees it: nearest first. */
void candidates_around(const struct index *index, uint32_t base, const uint32_t *slots, size_t n,
                       struct candidate *out);

/* ---- DOT's reduction (reduction.c): the lengths of the rows in the graph ---- */

bool reduction_init(struct index *index) WARN_UNUSED;
void reduction_fini(struct index *index);
/* A row of the graph, while its exact vector can be read; then reduction_settle, at a place of the
 * log that all replicas share. */
void reduction_join(struct index *index, uint32_t slot);
/* The same of a vector, on any thread of a load. */
void reduction_join_vector(struct index *index, uint32_t slot, const float *vector);
void reduction_leave(struct index *index, uint32_t slot);
void reduction_settle(struct index *index);

/* ---- rows that walks begin at (starts.c) ---- */

void starts_init(struct index *index);
void starts_fini(struct index *index);
void starts_hide(struct index *index, uint32_t slot); /* The row is hidden. */
/* Under DOT, where reduction.c keeps lengths. */
void longest_join(struct index *index, uint32_t slot, float squares);
void longest_leave(struct index *index, uint32_t slot);
void longest_settle(struct index *index);

/* ---- L2's centre (centre.c) ---- */

void centre_init(struct index *index);
void centre_fini(struct index *index);
/* Moves the centre where it is to be looked at and another is much better: before a chunk, in no
 * epoch.  On failure nothing has changed. */
enum errcode centre_settle(struct index *index, const struct index_crew *crew,
                           struct err *err) WARN_UNUSED;
/* The code of a row, from its exact vector. */
void centre_encode(struct index *index, uint32_t slot);

/* ---- DOT's radius (trial.c) ---- */

/* Whether the reduction's radius is on trial before the next rows are linked; then steps, until it
 * is due no more.  OUT_OF_MEMORY: the same again, when there is some. */
bool trial_is_due(const struct index *index);
enum errcode trial_step(struct index *index, const struct index_crew *crew,
                        struct err *err) WARN_UNUSED;

/* Links the rows of one chunk.  On failure nothing has changed. */
enum errcode link_chunk(struct index *index, const uint32_t *slots, size_t n,
                        const struct index_crew *crew, struct err *err) WARN_UNUSED;
/* The row is dead: walks go through it until a sweep takes it out. */
void unlink_row(struct index *index, uint32_t slot);
/* The same for the last row of a batch, and the sweep where one is due.  Goes on for about
 * @rows_max times the work that linking a row is; where it is not over it is to be called again,
 * and nothing else may change the graph meanwhile.  OUT_OF_MEMORY: the same, when there is some. */
struct unlinked {
    bool is_over;
    size_t work; /* In rows. */
};
enum errcode unlink_last(struct index *index, uint32_t slot, size_t rows_max,
                         const struct index_crew *crew, struct unlinked *out,
                         struct err *err) WARN_UNUSED;
void sweep_fini(struct sweep *sweep);
enum {
    DEAD_MIN = 64, /* A sweep looks at every list, so it should find something. */
    DEAD_SHARE = 16,
};

/* So many dead rows are worth a sweep. */
static inline size_t dead_enough(const struct index *index)
{
    size_t share = atomic_load_explicit(&index->n_linked, memory_order_relaxed) / DEAD_SHARE;
    return share > DEAD_MIN ? share : DEAD_MIN;
}

/* Here, or before the checkpoint that this came from, where the delete that began it is to come
 * once more.  Under advance_lock. */
static inline bool sweep_may_be_on(const struct index *index)
{
    return index->sweep.is_on || index->n_dead + 1 >= dead_enough(index);
}

#endif
