/* The hits of one query vector: from the index, or from all rows that match. */
#include "query/portal_int.h"
#include "query/search_int.h"

#include "plan/plan.h"

static bool filter(void *arg, uint64_t number)
{
    struct searcher *self = arg;
    bool matches = false, is_found = false;
    if (self->filter_err.code != ERR_OK) {
        return false;
    }
    enum errcode code = search_test_row(self, number, &matches, &is_found, &self->filter_err);
    return code == ERR_OK && matches;
}

/* What is promised holds for filters that pass over no kind of rows near to the query. */
static struct index_density density_of(const struct portal *p, const struct search_state *s)
{
    struct index_density density = s->effort.density;
    if (p->force.ef != 0) {
        return (struct index_density){.ef = 0};
    }
    density.share = s->selectivity;
    density.n_sampled = s->effort.has_reach ? s->n_as_if_alone : 0;
    return density;
}

static enum errcode find_in_index(struct searcher *self, size_t q, enum search_way way,
                                  struct err *err)
{
    CHECK(way == WAY_WALK || way == WAY_FILTERED_WALK || way == WAY_EXACT_SCAN);
    const struct portal *p = self->portal;
    const struct search_state *s = p->verb_state;
    struct shard_search search = {
        .index = {.ef = s->ef,
                  .rerank_depth = (size_t)p->force.rerank_depth,
                  .plan = way == WAY_EXACT_SCAN ? INDEX_EXACT : INDEX_WALK,
                  .has_reach = s->effort.has_reach && p->force.ef == 0,
                  .reach = s->effort.reach,
                  .ef_beyond = s->miss_beyond == MISS_SCANS ? 0 : s->effort.ef_beyond,
                  .matches = p->plan->access.where != NULL ? filter : NULL,
                  .matches_arg = self,
                  .density = density_of(p, s),
                  .filter_calls_max = way == WAY_FILTERED_WALK ? s->filter_calls_max : 0,
                  .has_from_row = p->plan->search.queries[q].is_key,
                  .from_row = s->from_rows[q]},
    };
    enum errcode code = search_call_index(self, q, &search, &self->n_hits, err);
    for (size_t i = 0; i < self->n_hits; i++) {
        self->hits[i] = search_hit_of(&self->index_hits[i]);
    }
    return code;
}

enum errcode search_find(struct searcher *self, size_t q, enum search_way way, struct err *err)
{
    return way == WAY_EXACT_MATCHES ? search_matches(self, q, err)
                                    : find_in_index(self, q, way, err);
}
