/* Whether what was measured still holds while rows keep coming.
 *
 * Rows that came since a measure may be of another kind, and harder to find.  Until somebody looks
 * they are taken for what nobody has measured, and searches take ten times as much when there are
 * twice as many rows (effort.c).  A measure would tell, but each of its samples takes a scan, and
 * under full ingest it has no time for many.  So some of the queries that it was measured with are
 * walked twice:
 *
 *   as if the rows that came were like those before    ef = measured, grown with the rows
 *   as if they were not                                ef = four times as much
 *
 * Where the first misses of the second's rows hardly more than it was measured to miss of the
 * nearest ones, caution would gain nothing, and it begins anew from there.  Two walks cost a
 * thirtieth of a scan of 100,000 rows, and less of more. */
#include "shard/calibration_int.h"
#include "shard/host_int.h"
#include "shard/shard_int.h"
#include "shard/tally_int.h"
#include "shard/vectors_int.h"

#include <math.h>

enum {
    VOUCH_K_MAX = 100, /* Walks for more rows are long, and seldom asked for. */
    QUERIES_MAX = 256,
    QUERIES_MIN = 64,
};
static const double DUE_AFTER = 1.03; /* Changes, over the rows that there were. */
static const double CAREFUL_TIMES = 4;
/* Of what is missing by the measure so much more may be, and a standard error of the look. */
static const double MORE_MISSING = 0.25;

struct voucher {
    struct shard *shard;
    struct vector_index *v;
    uint32_t dim;
    struct extent extent; /* As it was before the walks. */
    double floor;
    struct measured known;
    uint64_t n_forgotten;
    size_t n_queries;
    float *queries; /* QUERIES_MAX x dim. */
    struct index_hit *hits, *careful_hits;
};

/* Those classes of @classes whose searches pay for caution. */
static uint32_t classes_due(const struct voucher *w, uint32_t classes)
{
    uint32_t due = 0;
    for (unsigned i = 0; i < CURVE_COUNT; i++) {
        const struct curve *curve = &w->known.curves[i];
        bool is_walked = recall_classes[i].share == 1 && recall_classes[i].k <= VOUCH_K_MAX;
        bool is_due = is_walked && curve->n_points > 0 && curve->origin.is_real != 0 &&
                      extent_since_vouched(&w->extent, &curve->origin) >= DUE_AFTER;
        due |= (uint32_t)is_due << i;
    }
    return due & classes;
}

/* The classes that are due; 0 where there are none, or no queries yet to look with. */
static uint32_t begin(struct voucher *w)
{
    struct calibration *c = &w->v->calibration;
    const struct curve_origin looked = {.vouched_rows = c->looked.linked,
                                        .vouched_changes = c->looked.changes};
    bool is_soon = c->looked.changes > 0 && c->looked.changes <= w->extent.changes &&
                   extent_since_vouched(&w->extent, &looked) < DUE_AFTER;
    if (is_soon || !calibration_read(c, CURVES_ALL, &w->known) || classes_due(w, CURVES_ALL) == 0) {
        return 0;
    }
    w->queries = mem_alloc(MEM_SEARCH, (size_t)QUERIES_MAX * w->dim * sizeof(float));
    w->hits = mem_alloc(MEM_SEARCH, (size_t)2 * VOUCH_K_MAX * sizeof(*w->hits));
    if (w->queries == NULL || w->hits == NULL) {
        return 0;
    }
    w->careful_hits = w->hits + VOUCH_K_MAX;
    mutex_lock(&c->mutex);
    uint32_t due = classes_due(w, queries_classes(&c->queries));
    while (due != 0 && w->n_queries < QUERIES_MAX &&
           queries_get(&c->queries, w->dim, false, (uint32_t)w->n_queries,
                       w->queries + w->n_queries * w->dim)) {
        w->n_queries++;
    }
    w->n_forgotten = c->n_forgotten;
    mutex_unlock(&c->mutex);
    return w->n_queries >= QUERIES_MIN ? due : 0;
}

static enum errcode walk(const struct voucher *w, const float *query, size_t k, double ef,
                         struct index_hit *hits, size_t *n, struct err *err)
{
    struct index_work work = {0};
    struct index_search search = {.query = query,
                                  .k = k,
                                  .ef = (size_t)ceil(fmax(ef, (double)k)),
                                  .plan = INDEX_WALK,
                                  .is_canceled = measure_is_canceled,
                                  .canceled_arg = w->shard};
    unsigned side;
    struct index *index = vector_index_enter(w->v, &side);
    enum errcode code = index_search(index, &search, hits, n, &work, err);
    vector_index_leave(w->v, side);
    return code;
}

/* The share of a careful walk's rows that one with @ef missed; NAN where one of both failed. */
static double missed(const struct voucher *w, const float *query, size_t k, double ef)
{
    struct err err;
    size_t n, n_careful, n_found = 0;
    if (walk(w, query, k, ef, w->hits, &n, &err) != ERR_OK ||
        walk(w, query, k, CAREFUL_TIMES * ef, w->careful_hits, &n_careful, &err) != ERR_OK ||
        n_careful == 0) {
        return NAN;
    }
    double limit = tally_limit(w->careful_hits[n_careful - 1].distance);
    for (size_t i = 0; i < n; i++) {
        n_found += w->hits[i].distance <= limit ? 1 : 0;
    }
    return fmax(1 - (double)n_found / (double)n_careful, 0);
}

static bool is_as_before(const struct voucher *w, unsigned class)
{
    struct recall_wish wish = {.floor = w->floor,
                               .k = recall_classes[class].k,
                               .share = (double)recall_classes[class].share};
    struct curve_answer at;
    if (!effort_ask(&w->known, &wish, &at) || at.verdict != SHARD_REACHES) {
        return false;
    }
    double ef = effort_grown(at.ef, extent_since(&w->extent, &at.origin));
    double n = (double)w->n_queries, sum = 0, squared = 0;
    for (size_t i = 0; i < w->n_queries; i++) {
        double missing = missed(w, w->queries + i * w->dim, wish.k, ef); /* NAN: given up. */
        sum += missing;
        squared += missing * missing;
    }
    double mean = sum / n, error = sqrt(fmax(squared / n - mean * mean, 0) / (n - 1));
    return mean - error <= fmin(1 - w->floor, (1 + MORE_MISSING) * (1 - at.recall));
}

/* What was measured anew meanwhile needs nobody to vouch for it. */
static void conclude(struct voucher *w, uint32_t classes)
{
    struct calibration *c = &w->v->calibration;
    struct measured now;
    struct err err;
    mutex_lock(&c->mutex);
    c->looked = w->extent;
    if (classes != 0 && c->n_forgotten == w->n_forgotten && calibration_read(c, CURVES_ALL, &now)) {
        for (unsigned i = 0; i < CURVE_COUNT; i++) {
            struct curve_origin *origin = &now.curves[i].origin;
            if ((classes >> i & 1) != 0 && origin->wall_us == w->known.curves[i].origin.wall_us) {
                origin->vouched_rows = w->extent.linked;
                origin->vouched_changes = w->extent.changes;
            }
        }
        enum errcode code = calibration_publish(c, &now, &err);
        CHECK(code == ERR_OK); /* It has its room since it was known. */
    }
    mutex_unlock(&c->mutex);
}

bool vouch(struct shard *shard, struct vector_index *v)
{
    CHECK_ROLE(keeper_thread);
    struct voucher w = {.shard = shard,
                        .v = v,
                        .dim = shard->schema->columns[v->column].dim,
                        .extent = extent_of(v),
                        .floor = host_policy_float(shard->host, shard->schema, POLICY_recall)};
    uint32_t due = begin(&w), vouched = 0;
    for (unsigned i = 0; i < CURVE_COUNT; i++) {
        bool is_vouched = (due >> i & 1) != 0 && is_as_before(&w, i);
        vouched |= (uint32_t)is_vouched << i;
    }
    if (due != 0) {
        conclude(&w, vouched);
    }
    mem_free(MEM_SEARCH, w.queries);
    mem_free(MEM_SEARCH, w.hits);
    return due != 0;
}
