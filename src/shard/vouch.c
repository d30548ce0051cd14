/* Whether what was measured still holds while rows keep coming.
 *
 * Rows that came since a measure may be of another kind, and harder to find; and where rows went,
 * what is left may be.  Until somebody looks they are taken for what nobody has measured, and
 * searches take ten times as much when there are twice as many rows (effort.c).  A measure would
 * tell, but each of its samples takes a scan and many walks, and under full ingest it has no time
 * for many.  So some of the queries that it was measured with are walked as if the rows that came
 * were like those before, with the ef that was measured, grown with the rows.  What that finds is
 * held against
 *
 *   a scan             of all queries where that is cheap; of the first where many rows went
 *   four times the ef  of the others
 *
 * Where it misses of neither hardly more than it was measured to miss, caution would gain nothing,
 * and it begins anew from there.  The larger ef tells of many queries for a thirtieth of what scans
 * of 100,000 rows take.  But what lies where no such walk comes only the scans tell: of nearly
 * equal rows under DOT, of which half of the queries ask for the same ten, both walks missed one of
 * these when four fifths of the rows were deleted.  Beside full ingest, where none go, scans made
 * the look so long that caution grew meanwhile: searches took 2.5 times as long for it. */
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
    SCANS = MEASURE_FIRST, /* At the least. */
};
_Static_assert((int)SCANS <= (int)QUERIES_MIN, "there are so many queries");
static const double DUE_AFTER = 1.03; /* Changes, over the rows that there were. */
static const double CAREFUL_TIMES = 4;
static const double GONE_SHARE = 0.125;
/* Of what is missing by the measure so much more may be, and a standard error of the look. */
static const double MORE_MISSING = 0.25;

/* What walks for a query are held against. */
struct reference {
    double limit; /* Of the distances of n rows; n = 0: it is not known. */
    size_t n;
};
struct voucher {
    struct shard *shard;
    struct vector_index *v;
    uint32_t dim;
    struct extent extent; /* As it was before the walks. */
    double floor;
    struct measured known;
    uint64_t n_forgotten;
    size_t n_queries;
    float *queries;         /* QUERIES_MAX x dim. */
    struct index_hit *hits; /* VOUCH_K_MAX */
    /* Of the class that is looked at. */
    struct reference references[QUERIES_MAX];
    size_t n_scanned; /* The first of them are true. */
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
    w->hits = mem_alloc(MEM_SEARCH, VOUCH_K_MAX * sizeof(*w->hits));
    if (w->queries == NULL || w->hits == NULL) {
        return 0;
    }
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

/* @ef = 0: by a scan.  False where it was given up. */
static bool search(const struct voucher *w, size_t query, size_t k, double ef, size_t *n)
{
    struct err err;
    struct index_work work = {0};
    struct index_search search = {.query = w->queries + query * w->dim,
                                  .k = k,
                                  .ef = (size_t)ceil(fmax(ef, (double)k)),
                                  .plan = ef > 0 ? INDEX_WALK : INDEX_EXACT,
                                  .is_canceled = measure_is_canceled,
                                  .canceled_arg = w->shard};
    unsigned side;
    struct index *index = vector_index_enter(w->v, &side);
    enum errcode code = index_search(index, &search, w->hits, n, &work, &err);
    vector_index_leave(w->v, side);
    return code == ERR_OK;
}

/* Of the rows that were measured many went: each change brought a row or took one. */
static bool have_many_gone(const struct voucher *w, const struct curve_origin *origin)
{
    double changes = (double)(int64_t)(w->extent.changes - origin->changes);
    double more = (double)w->extent.linked - (double)origin->rows;
    return (changes - more) / 2 > GONE_SHARE * (double)origin->rows;
}

/* Of how many queries the truth is asked. */
static size_t scans_worth(const struct voucher *w, const struct curve_answer *at)
{
    double scan = (double)w->extent.rows * index_scan_ns(w->dim);
    double walk = CAREFUL_TIMES * at->distances * index_walk_ns(w->dim);
    return scan <= walk ? w->n_queries : have_many_gone(w, &at->origin) ? SCANS : 0;
}

static void find_references(struct voucher *w, size_t k, double ef)
{
    for (size_t i = 0; i < w->n_queries; i++) {
        size_t n;
        bool is_found = search(w, i, k, i < w->n_scanned ? 0 : CAREFUL_TIMES * ef, &n) && n > 0;
        w->references[i] = (struct reference){
            .limit = is_found ? tally_limit(w->hits[n - 1].distance) : NAN, .n = is_found ? n : 0};
    }
}

/* The share of the reference's rows that a walk with @ef misses; NAN where that is not known. */
static double missed(const struct voucher *w, size_t query, size_t k, double ef)
{
    const struct reference *reference = &w->references[query];
    size_t n, n_found = 0;
    if (reference->n == 0 || !search(w, query, k, ef, &n)) {
        return NAN;
    }
    for (size_t i = 0; i < n; i++) {
        n_found += w->hits[i].distance <= reference->limit ? 1 : 0;
    }
    return fmax(1 - (double)n_found / (double)reference->n, 0);
}

/* The same of queries first .. end - 1, less a standard error. */
static double surely_missed(const struct voucher *w, size_t first, size_t end, size_t k, double ef)
{
    double n = (double)(end - first), sum = 0, squared = 0;
    if (first == end) {
        return 0;
    }
    for (size_t i = first; i < end; i++) {
        double missing = missed(w, i, k, ef);
        sum += missing;
        squared += missing * missing;
    }
    double mean = sum / n;
    return mean - sqrt(fmax(squared / n - mean * mean, 0) / (n - 1));
}

/* The ef that a search is given for @floor where it is as before; false where none is good for it.
 */
static bool ask(const struct voucher *w, unsigned class, double floor, struct curve_answer *at)
{
    struct recall_wish wish = {
        .floor = floor, .k = recall_classes[class].k, .share = (double)recall_classes[class].share};
    bool is_known = effort_ask(&w->known, &wish, at) && at->verdict == SHARD_REACHES;
    at->ef = is_known ? effort_grown(at->ef, extent_since(&w->extent, &at->origin)) : 0;
    return is_known;
}

/* Whoever asks for more than the collection's floor is given what was measured for that. */
static bool are_higher_floors_kept(const struct voucher *w, unsigned class)
{
    bool are = true;
    for (size_t i = 0; i < CURVE_FLOORS && are; i++) {
        double floor = (double)curve_floors[i];
        struct curve_answer at;
        if (floor > w->floor && floor < 1 && ask(w, class, floor, &at)) {
            are = surely_missed(w, 0, w->n_scanned, recall_classes[class].k, at.ef) <= 1 - floor;
        }
    }
    return are;
}

static bool is_as_before(struct voucher *w, unsigned class)
{
    size_t k = recall_classes[class].k, n = w->n_queries;
    struct curve_answer at;
    if (!ask(w, class, w->floor, &at)) {
        return false;
    }
    w->n_scanned = scans_worth(w, &at);
    find_references(w, k, at.ef);
    double allowed = fmin(1 - w->floor, (1 + MORE_MISSING) * (1 - at.recall));
    return surely_missed(w, 0, w->n_scanned, k, at.ef) <= allowed &&
           (w->n_scanned == n || surely_missed(w, w->n_scanned, n, k, at.ef) <= allowed) &&
           are_higher_floors_kept(w, class);
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
