/* Walks over a layer (walk.c, sift.c), and the second look at what they found (look.c). */
#ifndef VECTRON_INDEX_WALK_INT_H
#define VECTRON_INDEX_WALK_INT_H

#include "index/candidate_int.h"

enum {
    BATCH = 64,             /* Rows whose distances are asked for at once in a scan. */
    POLL_FLOATS_A_ROW = 64, /* What a short vector costs beside its floats. */
    PREFETCH_BYTES_MAX = 32 * CACHE_LINE, /* Of a row; processors fetch the rest by themselves. */
};

/* A compiler may take a function that only prefetches for one that does nothing, and leave out the
 * call: hence the attribute. */
#define PREFETCH static inline __attribute__((always_inline)) void

/* To the second level of caches: the first has few places for lines that are on their way, and who
 * asks for more than they are waits. */
PREFETCH prefetch_lines(const void *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += CACHE_LINE) {
        __builtin_prefetch((const char *)at + i, 0, 2);
    }
}

/* A row of codes or a vector. */
PREFETCH prefetch_row(const void *at, size_t bytes)
{
    prefetch_lines(at, bytes < PREFETCH_BYTES_MAX ? bytes : PREFETCH_BYTES_MAX);
}

struct walk {
    const struct index *index;
    struct code_space space; /* What the walk sees: codes, or the exact vectors. */
    struct scratch *scratch;
    struct code_query query;
    const float *vector;               /* The query itself; NULL where the graph is built. */
    struct exact_query exact;          /* The same, for exact distances. */
    double norm;                       /* Its length. */
    const struct index_search *search; /* NULL where the graph is built. */
    struct index_work *work;
    uint64_t polled_at; /* work->distances at the last question whether to cancel. */
    size_t n_visited;
    size_t n_asked, n_matched; /* Of those that the walk with a filter met and asked of. */
    struct {
        size_t n, n_matched, n_tried;
    } draws;                  /* Rows from everywhere, to compare with; some were none. */
    struct candidate nearest; /* Of all rows that a walk with a filter met, matching or not. */
    size_t ef;                /* The search's, or more. */
    uint32_t from_slot;       /* Where the query comes from, or SLOT_NONE. */
    bool counts_hidden;       /* Some rows are in the graph and must not be returned. */
    bool passes_over; /* Rows at the query's very place are not seen; they have these keys. */
    float key_passed_over, exact_key_passed_over;
};

/* From a query that vector_prepare has made ready; its data stands in the scratch. */
struct walk walk_start(const struct index *index, struct scratch *scratch, const float *query,
                       const struct index_search *search, struct index_work *work);
/* From a row, as building sees it. */
struct walk walk_start_at_row(const struct index *index, struct scratch *scratch, uint32_t slot,
                              struct index_work *work);
/* The same walk over the exact vectors. */
struct walk walk_exactly(const struct walk *w);
struct candidate walk_candidate(struct walk *w, uint32_t slot);
/* Greedy, from layer @from down to @to, both included (algorithm 2 with ef = 1). */
struct candidate walk_descend(struct walk *w, struct candidate at, unsigned from, unsigned to);
/* Forgets what was visited, then leaves the @ef nearest to be found from @starts in
 * scratch->near (algorithm 2).  The starts may stand in scratch->near themselves. */
enum errcode walk_layer(struct walk *w, unsigned layer, const struct candidate *starts,
                        size_t n_starts, size_t ef, struct err *err) WARN_UNUSED;
/* The same by a rule of one's own; what it keeps is left in scratch->beam. */
enum errcode walk_beam(struct walk *w, unsigned layer, const struct stop_rule *rule,
                       const struct candidate *starts, size_t n_starts,
                       struct err *err) WARN_UNUSED;
/* On layer 0, where the rule belongs to the rows that may be returned, and scratch->beam holds none
 * but them.  *gave_up is true where filter_calls_max was reached first. */
enum errcode walk_matching(struct walk *w, const struct stop_rule *rule,
                           const struct candidate *starts, size_t n_starts, bool *gave_up,
                           struct err *err) WARN_UNUSED;
/* Whether a search may return the row: it is there, and the caller's filter matches. */
bool walk_may_return(struct walk *w, uint32_t slot);
bool walk_is_canceled(struct walk *w);
static inline void walk_keys(struct walk *w, const uint32_t *slots, size_t n, float *keys)
{
    w->space.code->keys(&w->space, &w->query, slots, n, keys);
    w->work->distances += n;
}

/* A batch of neighbours that are seen for the first time; it stands in scratch->seen. */
struct walk_batch {
    const uint32_t *slots;
    size_t n;
};
struct walk_batch walk_gather(struct walk *w, unsigned layer, uint32_t slot);
/* The keys of a batch, with BEAM_SLACK behind them, and which of them are up to @limit: near[i] is
 * a place in the batch. */
size_t walk_take_near(struct walk *w, struct walk_batch batch, float limit, float *keys,
                      uint8_t *near);
bool walk_is_at_query(const struct walk *w, uint32_t slot);
/* The row is at the query's very place, and that is passed over. */
static inline bool walk_passes_over(const struct walk *w, uint32_t slot, float key)
{
    return w->passes_over && !(key < w->key_passed_over) && !(key > w->key_passed_over) &&
           walk_is_at_query(w, slot);
}
/* Soon the row may be expanded. */
PREFETCH walk_prefetch_node(const struct walk *w, unsigned layer, uint32_t slot)
{
    const struct slots *slots = &w->index->slots;
    if (layer == 0) {
        prefetch_lines(links0_at(slots, slot), slots->links0 * sizeof(uint32_t));
    }
    if (w->counts_hidden) {
        __builtin_prefetch(node_at(slots, slot));
    }
}

/* ---- look.c ---- */

/* Offers rows to the hits by their exact distances. With @asks, only those that may be returned. */
void look_at(struct walk *w, struct hits *hits, const uint32_t *slots, size_t n, bool asks);

/* ---- density.c ---- */

enum density {
    DENSITY_USUAL,
    DENSITY_MORE,          /* Clearly more rows match near the query than ef was chosen for, */
    DENSITY_SOMEWHAT_LESS, /* or maybe fewer than elsewhere, */
    DENSITY_LESS           /* or clearly: what is looked for lies around a hole. */
};
/* Of the last walk with a filter. */
enum density density_of_matches(struct walk *w);

/* ---- starts.c ---- */

enum {
    STARTS_MAX = 2 * INDEX_STARTS_MAX
};
/* Those rows to begin at that the query has a use for; how many. */
size_t starts_take(struct walk *w, struct candidate out[STARTS_MAX]);

/* ---- given.c ---- */

/* The nearest of the rows that the caller names, into scratch->found. */
enum errcode search_given(struct walk *w, struct index *index, struct err *err) WARN_UNUSED;

#endif
