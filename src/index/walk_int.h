/* Walks over a layer (walk.c). */
#ifndef VECTRON_INDEX_WALK_INT_H
#define VECTRON_INDEX_WALK_INT_H

#include "index/candidate_int.h"

enum {
    BATCH = 64,             /* Rows whose distances are asked for at once in a scan. */
    POLL_FLOATS_A_ROW = 64, /* What a short vector costs beside its floats. */
};

struct walk {
    const struct index *index;
    struct code_space space;
    struct scratch *scratch;
    struct code_query query;
    const struct index_search *search; /* NULL where the graph is built. */
    struct index_work *work;
    uint64_t polled_at; /* work->distances at the last question whether to cancel. */
    size_t n_visited;
    bool passes_over; /* Rows with this key are not seen. */
    float key_passed_over;
};

/* From a query that vector_prepare has made ready; its data stands in the scratch. */
struct walk walk_start(const struct index *index, struct scratch *scratch, const float *query,
                       const struct index_search *search, struct index_work *work);
/* From a row, as building sees it. */
struct walk walk_start_at_row(const struct index *index, struct scratch *scratch, uint32_t slot,
                              struct index_work *work);
struct candidate walk_candidate(struct walk *w, uint32_t slot);
/* Greedy, from layer @from down to @to, both included (algorithm 2 with ef = 1). */
struct candidate walk_descend(struct walk *w, struct candidate at, unsigned from, unsigned to);
/* Forgets what was visited, then leaves the @ef nearest to be found from @starts in
 * scratch->near (algorithm 2).  The starts may stand in scratch->near themselves. */
enum errcode walk_layer(struct walk *w, unsigned layer, const struct candidate *starts,
                        size_t n_starts, size_t ef, struct err *err) WARN_UNUSED;
/* On layer 0: leaves up to @n_wanted rows that may be returned in scratch->matching.  Goes on until
 * it has them and what is left is farther than they, and than the ef nearest of all rows.
 * *gave_up is true where it reached filter_visits_max first. */
enum errcode walk_matching(struct walk *w, struct candidate start, size_t n_wanted, bool *gave_up,
                           struct err *err) WARN_UNUSED;
/* Whether a search may return the row: it is there, and the caller's filter matches. */
bool walk_may_return(struct walk *w, uint32_t slot);
bool walk_is_canceled(struct walk *w);
static inline void walk_keys(struct walk *w, const uint32_t *slots, size_t n, float *keys)
{
    w->space.code->keys(&w->space, &w->query, slots, n, keys);
    w->work->distances += n;
}
/* Takes out what the walk does not see; how many are left. */
static inline size_t walk_pass_over(const struct walk *w, uint32_t *slots, float *keys, size_t n)
{
    if (!w->passes_over) {
        return n;
    }
    size_t n_left = 0;
    for (size_t i = 0; i < n; i++) {
        if (keys[i] < w->key_passed_over || keys[i] > w->key_passed_over) {
            slots[n_left] = slots[i];
            keys[n_left++] = keys[i];
        }
    }
    return n_left;
}

#endif
