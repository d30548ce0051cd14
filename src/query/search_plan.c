/* How a SEARCH is answered: the choice, and what it rests on.
 *
 *   walk                    no WHERE: the graph, and the rows that it has not got yet
 *   filtered walk           the graph, asking of each row met whether it matches
 *   exact over the matches  first the rows that match (by key, or by a scan), then their distances
 *   exact scan              every vector's distance, asking only of rows that come near enough
 *
 * With a WHERE the three are compared by what they cost, for the share of rows that match in a
 * sample.  The figures below are nanoseconds on the machine of doc/architecture.md; only their
 * ratios matter. */
#include "query/search_int.h"

#include <math.h>

enum {
    SCANNED_ROW_NS = 350,  /* The next row of a scan, decoded and tested. */
    FETCHED_ROW_NS = 1100, /* A row by its number, decoded and tested. */
    DISTANCE_NS = 60,      /* One distance of 100 dimensions, in the order of memory. */
    WALK_ROW_NS = 250,     /* One row met in a walk: distances of its neighbours. */
    SAMPLE_ROWS = 64,
    SAMPLE_MATCHES = 24, /* Enough of them: the share is known well enough. */
    SMALL_ROWS = 500,    /* So few rows are scanned sooner than sampled. */
};

const char *search_way_name(enum search_way way)
{
    static const char *const names[] = {
        [WAY_WALK] = "walk",
        [WAY_FILTERED_WALK] = "filtered walk",
        [WAY_EXACT_MATCHES] = "exact over the matches",
        [WAY_EXACT_SCAN] = "exact scan",
    };
    return names[way];
}

/* ---- the sample ---- */

/* A row by chance: the number that is drawn, or where no row has it the next one that is there. */
static enum errcode test_some_row(struct searcher *self, uint64_t number, bool *matches,
                                  bool *found, struct err *err)
{
    enum errcode code = search_test_row(self, number, matches, found, err);
    for (uint64_t from = number; code == ERR_OK && !*found; from = 0) {
        struct shard_row row;
        bool is_any;
        code = shard_view_next(self->view, from, &row, &is_any, err);
        if (code == ERR_OK && is_any) {
            return search_test_row(self, row.number, matches, found, err);
        }
        if (from == 0) {
            break;
        }
    }
    return code;
}

static enum errcode sample(struct portal *p, struct search_state *s, struct err *err)
{
    uint64_t end = shard_rows_end(p->shard), random = p->entered->group;
    size_t n_matches = 0;
    enum errcode code = ERR_OK;
    while (s->n_sampled < SAMPLE_ROWS && n_matches < SAMPLE_MATCHES) {
        bool found, matches;
        code = test_some_row(&s->self, random_next(&random) % end, &matches, &found, err);
        if (code != ERR_OK || !found) {
            break;
        }
        s->n_sampled++;
        n_matches += matches ? 1 : 0;
    }
    /* Half a match more, so that none in the sample does not mean none at all. */
    s->selectivity = ((double)n_matches + 0.5) / ((double)s->n_sampled + 1);
    return code;
}

/* ---- the choice ---- */

/* Rows that a filtered walk meets before it has what it wants. */
static double walk_rows(const struct search_state *s)
{
    return (double)s->ef / s->selectivity;
}

static double walk_cost(const struct search_state *s)
{
    return walk_rows(s) * (WALK_ROW_NS + FETCHED_ROW_NS);
}

/* Of n rows in no order, about k (1 + ln(n / k)) come among the nearest k seen so far. */
static double scan_cost(const struct search_state *s)
{
    double n = (double)s->n_rows, k = (double)s->k, matching = n * s->selectivity;
    double tested = matching <= k ? n : k / s->selectivity * (1 + log(matching / k));
    return n * DISTANCE_NS + fmin(tested, n) * FETCHED_ROW_NS;
}

static double matches_cost(const struct search_state *s)
{
    return (double)s->n_rows * SCANNED_ROW_NS + (double)s->n_rows * s->selectivity * DISTANCE_NS;
}

enum search_way search_exact_way(const struct search_state *s)
{
    return scan_cost(s) < matches_cost(s) ? WAY_EXACT_SCAN : WAY_EXACT_MATCHES;
}

static void choose_filtered(struct search_state *s)
{
    enum search_way exact = search_exact_way(s);
    double exact_cost = exact == WAY_EXACT_SCAN ? scan_cost(s) : matches_cost(s);
    bool is_walk = walk_cost(s) < exact_cost;
    s->way = is_walk ? WAY_FILTERED_WALK : exact;
    s->cost_ns = is_walk ? walk_cost(s) : exact_cost;
    /* A walk that meets so many more rows than it should is not worth going on with. */
    s->filter_visits_max = (size_t)(walk_rows(s) * 8) + 1000;
}

static bool is_flat(const struct portal *p)
{
    struct policy_view view;
    portal_policy_view(p, &view);
    return policy_int(&view, POLICY_index) == INDEX_FLAT;
}

enum errcode search_choose(struct portal *p, struct search_state *s, struct err *err)
{
    const struct access *access = &p->plan->access;
    bool is_exact = p->force.is_exact || is_flat(p);
    s->selectivity = 1;
    if (access->where == NULL && !is_exact) {
        s->way = WAY_WALK;
        s->cost_ns = (double)s->ef * WALK_ROW_NS;
        return ERR_OK;
    }
    enum errcode code = searcher_open_view(&s->self, err);
    if (code != ERR_OK) {
        return code;
    }
    s->n_rows = shard_view_count(s->self.view);
    if (access->kind == ACCESS_KEYS) {
        s->n_rows = p->evaluator.sets[access->key_set].n;
        s->way = WAY_EXACT_MATCHES;
        s->cost_ns = (double)s->n_rows * FETCHED_ROW_NS;
    } else if (access->where == NULL) {
        s->way = WAY_EXACT_SCAN;
        s->cost_ns = (double)s->n_rows * DISTANCE_NS;
    } else if (s->n_rows <= SMALL_ROWS) {
        s->way = WAY_EXACT_MATCHES;
        s->cost_ns = matches_cost(s);
    } else {
        code = sample(p, s, err);
        if (is_exact) {
            s->way = search_exact_way(s);
            s->cost_ns = s->way == WAY_EXACT_SCAN ? scan_cost(s) : matches_cost(s);
        } else {
            choose_filtered(s);
        }
    }
    searcher_close_view(&s->self);
    return code;
}
