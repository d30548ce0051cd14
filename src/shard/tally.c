/* Measuring: one query after the other, at one ef after the other, held against the truth.
 *
 * The truth of a query is one distance for each class: that of the k-th nearest row that matches,
 * by an exact scan.  What a walk finds no farther away than that is a hit, whichever row it is, so
 * that of equal rows each is as good as the other.  The walks follow the scan at once, so that rows
 * which come meanwhile change little.
 *
 * A class begins at a small ef and goes up by the fourth root of 2 until a query has found all
 * twice over: from there on it is taken to find all, and to cost more from rung to rung as it does
 * for the few such queries that go on.  Rungs that find less than any floor asks for
 * are left out once that is seen, as are those on which a walk costs more than a scan.
 *
 * What a floor costs beyond the least that reaches it are two things: how far rungs lie apart, and
 * how far a promise stays below what few samples found.  So from some sample on a class is measured
 * on those rungs alone that a floor may need, and on the rungs between them.
 *
 * Real filters are not known here.  In their place stands one that rows pass by chance. */
#include "shard/tally_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    TRUTH_MAX = 1500,
    EF_MAX = 65536,
    EF_LEAST = 4,
    RUNGS_AN_OCTAVE = 8,
    BROAD_STEP = 2,            /* Each second rung is measured for all classes. */
    SAMPLES_TO_LEAVE_OUT = 16, /* Before a rung is judged. */
    SAMPLES_TO_END = 32,
    SAMPLES_FOR_CURVE = 4,
    FULL_RUNGS = 2,        /* That found all, one after the other. */
    FULL_RUNGS_NARROW = 3, /* The same where they lie closer together. */
    TURNS_OF_GROWTH = 8,   /* Of so many samples one goes on when it has found all. */
    HITS_A_QUERY = 10,
    NEAREST_MAX = 2 * QUERIES_KEPT_MAX, /* Two classes of them at the most: see measure.c. */
};
/* A distance that is larger by no more than this is equal: what floats lose. */
static const double EPSILON = 1e-6;
/* A walk is measured up to what costs so many scans: the planner compares again, and knows what
 * testing rows costs beside. */
static const double WORTH_A_SCAN = 1.2;
static const double EXHAUSTED_SCANS = 2;   /* One sample's walk goes no farther. */
static const double RECALL_USELESS = 0.4;  /* The policy's least floor is 0.5. */
static const double RECALL_ENOUGH = 0.999; /* Nobody looks at what more costs. */
/* Between these lies what floors from 0.8 to 0.99 need: half of what may be missed vouches for the
 * highest of them. */
static const double NARROW_FROM = 0.8, NARROW_TO = 0.995;
/* So many samples and one make an interval twice as wide.  With 2, as Student has it, of 60 first
 * results of 32 random queries (words-100, 20,000 rows) 2 found less than a floor of 0.95, the
 * worst 0.923; with 6 one did, 0.934, for 8 % more effort. */
static const double FEW_SAMPLES = 6;
/* What a floor may cost over what reached it in the mean, for more samples to be of no use. */
static const double NARROW_COST = 1.1;
/* Of the queries, which reach tells of: the farthest few may be as far as anything. */
static const double WITHIN_REACH = 0.98;

/* Every how manieth sample measures a class: the dear ones seldom. */
static const uint32_t turns[CURVE_COUNT] = {1, 1, 2, 8, 2, 8, 2, 8, 4, 8};

/* What a class of the tally asks for. */
static const struct recall_class *asks_for(size_t class)
{
    static const struct recall_class nearest = {1, 1};
    return class == TALLY_OWN ? &nearest : &recall_classes[class];
}

static uint32_t rung_ef(const struct recall_class *c, size_t rung)
{
    double ef = fmax(c->k, EF_LEAST) * pow(2, (double)rung / RUNGS_AN_OCTAVE);
    return ef < EF_MAX ? (uint32_t)ceil(ef) : EF_MAX;
}

enum errcode tally_init(struct tally *t, struct err *err)
{
    *t = (struct tally){.n_broad = UINT32_MAX,
                        .hits = mem_alloc(MEM_SEARCH, 2 * TRUTH_MAX * sizeof(*t->hits)),
                        .nearest = mem_alloc(MEM_SEARCH, NEAREST_MAX * sizeof(*t->nearest)),
                        .angles = mem_alloc(MEM_SEARCH, NEAREST_MAX * sizeof(*t->angles))};
    for (size_t i = 0; i < TALLY_CLASSES; i++) {
        t->classes[i].end = TALLY_RUNGS;
    }
    if (t->hits == NULL || t->nearest == NULL || t->angles == NULL || !missed_init(&t->missed)) {
        tally_fini(t);
        return err_no_memory(err);
    }
    return ERR_OK;
}

void tally_fini(struct tally *t)
{
    mem_free(MEM_SEARCH, t->hits);
    mem_free(MEM_SEARCH, t->nearest);
    mem_free(MEM_SEARCH, t->angles);
    missed_fini(&t->missed);
    t->hits = NULL;
    t->nearest = NULL;
    t->angles = NULL;
}

/* ---- how far the queries lie ---- */

static void note_nearest(struct tally *t, const struct index_reach *reach)
{
    if (!isinf(reach->distance) && t->n_nearest < NEAREST_MAX) {
        t->nearest[t->n_nearest] = (float)reach->distance;
        t->angles[t->n_nearest++] = (float)reach->angle;
    }
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double within_reach(float *all, size_t n)
{
    qsort(all, n, sizeof(*all), compare_floats);
    return (double)all[(size_t)(WITHIN_REACH * (double)n)];
}

struct index_reach tally_reach(struct tally *t)
{
    if (t->n_nearest == 0) {
        return (struct index_reach){INFINITY, INFINITY};
    }
    return (struct index_reach){within_reach(t->nearest, t->n_nearest),
                                within_reach(t->angles, t->n_nearest)};
}

/* ---- the filter ---- */

/* Each sample has another: what one row is missed for is the mean over conditions. */
struct filter {
    uint64_t seed;
    double share;
};

static bool passes(void *arg, uint64_t row)
{
    const struct filter *f = arg;
    return (double)(hash_u64(f->seed + row) >> 11) * 0x1p-53 < f->share;
}

/* ---- the truth ---- */

struct sample {
    const struct tally_query *q;
    struct tally *t;
    size_t n_truth;
    uint64_t n_rows;
    uint64_t seed; /* Of its filters. */
    bool is_passed_over;
    struct index_reach reach;        /* How far the query lies; INFINITY: there is no row. */
    double limit[TALLY_CLASSES];     /* NAN: not measured by this one. */
    double own_limit[TALLY_CLASSES]; /* With the query's own row; NAN: it is not asked for. */
    bool is_told[TALLY_CLASSES][TALLY_RUNGS]; /* Walked by a query that had found all before. */
    struct rung rungs[TALLY_CLASSES][TALLY_RUNGS];
};

/* So many of the nearest rows hold k that match, but for bad luck. */
static size_t truth_wanted(const struct recall_class *c)
{
    double n = c->share < 1 ? (c->k + 4 * sqrt(c->k) + 4) / c->share : c->k;
    return (size_t)n + 1; /* One may be the query's own. */
}

static bool is_due(const struct sample *s, size_t class)
{
    const struct recall_class *c = asks_for(class);
    const struct tally_class *tc = &s->t->classes[class];
    return (s->q->classes >> class & 1) != 0 && tc->first < tc->end &&
           (double)s->n_rows * c->share >= 4 * (double)c->k;
}

static bool is_own(const struct sample *s)
{
    return s->q->classes == UINT32_C(1) << TALLY_OWN;
}

static bool is_narrow(const struct sample *s, size_t class)
{
    return class != TALLY_OWN && s->t->classes[class].n_samples >= s->t->n_broad;
}

uint32_t tally_turns(uint32_t i)
{
    uint32_t classes = 0;
    for (unsigned class = 0; class < CURVE_COUNT; class ++) {
        classes |= (uint32_t)(i % turns[class] == 0) << class;
    }
    return classes;
}

/* Rows at the very place of the query come out of the truth where there is one: it is the query's
 * own.  Several are copies, of which the data have others, as clients' queries will. */
static void pass_over(struct sample *s)
{
    const struct tally_query *q = s->q;
    struct index_hit *truth = s->t->hits;
    double own = index_distance(q->distance, q->vector, q->vector, q->dim);
    size_t n_own = 0, at = 0;
    for (size_t i = 0; i < s->n_truth; i++) {
        if (fabs(truth[i].distance - own) <= 1e-9 * fmax(fabs(own), 1e-3)) {
            n_own++;
            at = i;
        }
    }
    s->is_passed_over = n_own == 1;
    if (s->is_passed_over) {
        s->n_truth--;
        memmove(truth + at, truth + at + 1, (s->n_truth - at) * sizeof(*truth));
    }
}

static enum errcode search(struct sample *s, struct index_search *search, struct index_hit *hits,
                           size_t *n, struct index_work *work, struct err *err)
{
    search->query = s->q->vector;
    search->is_canceled = s->t->is_canceled;
    search->canceled_arg = s->t->canceled_arg;
    return index_search(s->q->index, search, hits, n, work, err);
}

double tally_limit(double distance)
{
    return distance + EPSILON * fabs(distance);
}

static struct filter filter_of(const struct sample *s, size_t class)
{
    return (struct filter){s->seed, (double)asks_for(class)->share};
}

/* The k-th nearest that matches, out of the nearest of all; NAN where they are too few. */
static double find_limit(const struct sample *s, size_t class)
{
    const struct recall_class *c = asks_for(class);
    struct filter filter = filter_of(s, class);
    double limit = NAN;
    uint32_t n = 0;
    for (size_t i = 0; i < s->n_truth && n < c->k; i++) {
        n += c->share == 1 || passes(&filter, s->t->hits[i].row) ? 1 : 0;
        if (n == c->k) {
            limit = tally_limit(s->t->hits[i].distance);
        }
    }
    return limit;
}

/* The same by a scan of its own, where few match. */
static enum errcode scan_matching(struct sample *s, size_t class, struct err *err)
{
    const struct recall_class *c = asks_for(class);
    struct index_hit *hits = s->t->hits + TRUTH_MAX;
    struct index_work work = {0};
    struct filter filter = filter_of(s, class);
    size_t n;
    struct index_search exact = {.k = c->k,
                                 .plan = INDEX_EXACT,
                                 .matches = passes,
                                 .matches_arg = &filter,
                                 .passes_itself_over = s->is_passed_over};
    enum errcode code = search(s, &exact, hits, &n, &work, err);
    if (code == ERR_OK && n == c->k) {
        s->limit[class] = tally_limit(hits[n - 1].distance);
    }
    return code;
}

static enum errcode find_truth(struct sample *s, struct err *err)
{
    struct index_work work = {0};
    size_t wanted = (is_own(s) ? HITS_A_QUERY : MISSED_K) + 1;
    for (size_t i = 0; i < TALLY_CLASSES; i++) {
        size_t n = truth_wanted(asks_for(i));
        s->limit[i] = s->own_limit[i] = NAN;
        wanted = is_due(s, i) && n <= TRUTH_MAX && n > wanted ? n : wanted;
    }
    struct index_search exact = {.k = wanted, .plan = INDEX_EXACT};
    enum errcode code = search(s, &exact, s->t->hits, &s->n_truth, &work, err);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < TALLY_CLASSES && s->q->is_asked; i++) {
        bool is_told = is_due(s, i) && truth_wanted(asks_for(i)) <= TRUTH_MAX;
        s->own_limit[i] = is_told ? find_limit(s, i) : NAN;
    }
    if (!is_own(s)) {
        pass_over(s);
    }
    s->reach = (struct index_reach){INFINITY, INFINITY};
    if (s->n_truth > 0) {
        s->reach = index_reach_of(s->q->index, s->q->vector, s->t->hits, s->n_truth);
    }
    for (size_t i = 0; i < TALLY_CLASSES && code == ERR_OK; i++) {
        if (is_due(s, i) && truth_wanted(asks_for(i)) <= TRUTH_MAX) {
            s->limit[i] = find_limit(s, i);
        } else if (is_due(s, i)) {
            code = scan_matching(s, i, err);
        }
    }
    return code;
}

/* ---- what is missed ---- */

/* Of @n hits those before the last and all that are as near: of these each is as good as another.
 */
static size_t count_nearer(const struct index_hit *hits, size_t n)
{
    size_t n_nearer = 0;
    while (n_nearer < n && tally_limit(hits[n_nearer].distance) < hits[n - 1].distance) {
        n_nearer++;
    }
    return n_nearer;
}

/* With the least effort that there is. */
static enum errcode look_for_missed(struct sample *s, struct err *err)
{
    struct index_hit *found = s->t->hits + TRUTH_MAX;
    struct index_work work = {0};
    size_t n;
    struct index_search walk = {.k = MISSED_K,
                                .ef = MISSED_K,
                                .plan = INDEX_WALK,
                                .passes_itself_over = s->is_passed_over,
                                .forgets_missed = true};
    enum errcode code = search(s, &walk, found, &n, &work, err);
    if (code == ERR_OK) {
        missed_note(&s->t->missed, s->t->hits, count_nearer(s->t->hits, MISSED_K), found, n);
    }
    return code;
}

/* ---- the walks ---- */

static enum errcode walk_to(struct sample *s, size_t class, size_t r, double limit,
                            bool passes_over, struct rung *out, struct err *err)
{
    const struct recall_class *c = asks_for(class);
    struct index_hit *hits = s->t->hits + TRUTH_MAX;
    struct index_work work = {0};
    struct filter filter = filter_of(s, class);
    size_t n, n_found = 0;
    struct index_search walk = {
        .k = c->k,
        .ef = rung_ef(c, r),
        .plan = INDEX_WALK,
        .matches = c->share < 1 ? passes : NULL,
        .matches_arg = &filter,
        .passes_itself_over = passes_over,
    };
    enum errcode code = search(s, &walk, hits, &n, &work, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        n_found += hits[i].distance <= limit ? 1 : 0;
    }
    /* A scan has to look at rows that are not linked yet, too: they are no reason to prefer it. */
    double tail = fmin((double)work.tail_rows, (double)work.distances);
    *out = (struct rung){
        .n = 1,
        .recall = (double)n_found / c->k,
        .distances = (double)work.distances - tail,
        .filter_calls = (double)work.filter_calls,
    };
    return code;
}

/* A stored row's vector that clients asked for leads to its neighbours, but by products not always
 * to the row, though that may be the nearest: the worse of both ways counts. */
static enum errcode walk_rung(struct sample *s, size_t class, size_t r, struct err *err)
{
    struct rung *rung = &s->rungs[class][r];
    enum errcode code = walk_to(s, class, r, s->limit[class], s->is_passed_over, rung, err);
    if (code == ERR_OK && s->is_passed_over && !isnan(s->own_limit[class])) {
        struct rung own;
        code = walk_to(s, class, r, s->own_limit[class], false, &own, err);
        *rung = own.recall < rung->recall ? own : *rung;
    }
    return code;
}

/* So many distances of a walk cost as much as a scan, or are as many as there are rows. */
static double worth_a_scan(const struct sample *s)
{
    uint32_t dim = s->q->dim;
    return (double)s->n_rows * fmin(index_scan_ns(dim) / index_walk_ns(dim), 1);
}

/* More than this is not worth it. */
static bool is_exhausted(const struct sample *s, size_t class, size_t r)
{
    return s->rungs[class][r].distances >= EXHAUSTED_SCANS * worth_a_scan(s) ||
           rung_ef(asks_for(class), r) == EF_MAX;
}

/* The rungs that a sample measures: first, first + step, ... below end. */
struct range {
    uint32_t first, end, step;
};

static double mean_of(const struct rung *rung)
{
    return rung->n == 0 ? 0 : rung->recall / rung->n;
}

static struct range rungs_of(const struct sample *s, size_t class)
{
    const struct tally_class *tc = &s->t->classes[class];
    struct range range = {tc->first, tc->end, BROAD_STEP};
    if (!is_narrow(s, class)) {
        return range;
    }
    range.step = 1;
    for (uint32_t r = tc->first; r < tc->end; r += BROAD_STEP) {
        double recall = mean_of(&tc->rungs[r]);
        range.first = recall < NARROW_FROM ? r : range.first;
        if (recall >= NARROW_TO) {
            range.end = r + 1;
            break;
        }
    }
    return range;
}

/* Walks of more are taken to cost more as @step does, where it is not known better. */
static double growth_of(const struct growth *growth, double step)
{
    return growth->from > 0 ? growth->to / growth->from : step;
}

/* Whether a query that found all at rung @r tells what more of it costs: some do, as far as floors
 * may need others to go. */
static bool goes_on(const struct sample *s, size_t class, uint32_t r)
{
    const struct tally_class *tc = &s->t->classes[class];
    return tc->n_samples % TURNS_OF_GROWTH == 0 &&
           (tc->rungs[r].n < SAMPLES_TO_LEAVE_OUT || mean_of(&tc->rungs[r]) < RECALL_ENOUGH);
}

static enum errcode walk_class(struct sample *s, size_t class, struct err *err)
{
    const struct tally_class *tc = &s->t->classes[class];
    struct range range = rungs_of(s, class);
    struct rung *rungs = s->rungs[class];
    const double step = pow(2, (double)range.step / RUNGS_AN_OCTAVE);
    const size_t n_enough = is_narrow(s, class) ? FULL_RUNGS_NARROW : FULL_RUNGS;
    size_t n_full = 0;
    for (uint32_t r = range.first; r < range.end; r += range.step) {
        uint32_t last = r > range.first ? r - range.step : r;
        bool is_full = n_full >= n_enough;
        bool is_over = last < r && is_exhausted(s, class, last);
        s->is_told[class][r] = is_full && !is_over && goes_on(s, class, last);
        if (is_over || (is_full && !s->is_told[class][r])) {
            double more = is_over ? step : growth_of(&tc->growth[is_narrow(s, class)][r], step);
            rungs[r] = rungs[last];
            rungs[r].distances *= more;
            rungs[r].filter_calls *= more;
            continue;
        }
        enum errcode code = walk_rung(s, class, r, err);
        if (code != ERR_OK) {
            return code;
        }
        n_full = is_full || rungs[r].recall >= 1 ? n_full + 1 : 0;
    }
    return ERR_OK;
}

/* ---- adding up ---- */

static void add_rung(struct rung *to, const struct rung *from)
{
    to->n++;
    to->recall += from->recall;
    to->recall_squared += from->recall * from->recall;
    to->distances += from->distances;
    to->filter_calls += from->filter_calls;
    for (size_t i = 0; i < CURVE_FLOORS; i++) {
        to->below[i] += from->recall < curve_floors[i] - EPSILON ? 1 : 0;
    }
}

static void add_growth(struct growth *to, const struct rung *from, const struct rung *at)
{
    to->from += from->distances;
    to->to += at->distances;
}

/* Leaves out the rungs that are of no use. */
static void judge_rungs(struct tally_class *tc, double distances_max)
{
    const struct rung *first = &tc->rungs[tc->first];
    if (first->n >= SAMPLES_TO_LEAVE_OUT && first->recall < RECALL_USELESS * first->n &&
        tc->first + BROAD_STEP < tc->end) {
        tc->first += BROAD_STEP;
    }
    for (uint32_t r = tc->first; r + 1 < tc->end; r += BROAD_STEP) {
        const struct rung *rung = &tc->rungs[r];
        if (rung->n >= SAMPLES_TO_END && rung->distances >= distances_max * rung->n) {
            tc->end = r + 1;
        }
    }
}

enum errcode tally_add(struct tally *t, const struct tally_query *q, struct err *err)
{
    struct sample s = {
        .q = q, .t = t, .n_rows = index_count(q->index), .seed = hash_u64(++t->n_added)};
    enum errcode code = find_truth(&s, err);
    for (size_t i = 0; i < TALLY_CLASSES && code == ERR_OK; i++) {
        code = isnan(s.limit[i]) ? ERR_OK : walk_class(&s, i, err);
    }
    if (code == ERR_OK && !is_own(&s) && s.n_truth >= MISSED_K) {
        code = look_for_missed(&s, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (!is_own(&s)) {
        note_nearest(t, &s.reach);
    }
    for (size_t i = 0; i < TALLY_CLASSES; i++) {
        struct tally_class *tc = &t->classes[i];
        if (isnan(s.limit[i])) {
            continue;
        }
        struct range range = rungs_of(&s, i);
        struct growth *growth = tc->growth[is_narrow(&s, i)];
        tc->n_samples++;
        for (uint32_t r = range.first; r < range.end; r += range.step) {
            add_rung(&tc->rungs[r], &s.rungs[i][r]);
            if (s.is_told[i][r]) {
                add_growth(&growth[r], &s.rungs[i][r - range.step], &s.rungs[i][r]);
            }
        }
        judge_rungs(tc, WORTH_A_SCAN * worth_a_scan(&s));
    }
    return ERR_OK;
}

/* ---- what it says ---- */

/* Wilson's interval of a share @p of @n trials. */
static void set_interval(struct curve_point *point, double p, double n, double z)
{
    double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    point->low = (float)fmax(middle - half, 0);
    point->high = (float)fmin(middle + half, 1);
}

/* Hits of one query are not by chance each for itself: a query that is hard misses several.  What
 * the queries differ by tells how many independent trials they are worth. */
static double trials(const struct rung *rung, uint32_t k)
{
    double n = rung->n, p = rung->recall / n;
    double variance = fmax(rung->recall_squared / n - p * p, 0) * n / (n - 1);
    double most = n * (k < HITS_A_QUERY ? k : HITS_A_QUERY);
    double worth = variance > 0 ? n * p * (1 - p) / variance : most;
    return worth < most ? worth : most;
}

static void set_point(struct curve_point *point, const struct rung *rung, uint32_t k, double z)
{
    double n = rung->n, p = rung->recall / n;
    /* The variance is a guess, too, and the first of many rungs is taken that promises enough. */
    double few = 1 + FEW_SAMPLES / (n - 1);
    set_interval(point, p, trials(rung, k), z * few);
    double promise = point->low;
    /* For the highest floors no interval is narrow enough: half of what may be missed then does. */
    if (n >= CURVE_SAMPLES_FOR_HALF && 1 - 2 * (1 - p) > promise) {
        promise = 1 - 2 * (1 - p);
    }
    set_interval(point, p, trials(rung, k), 1.96 * few);
    point->recall = (float)p;
    point->promise = (float)promise;
    point->distances = (float)(rung->distances / n);
    point->filter_calls = (float)(rung->filter_calls / n);
    for (size_t i = 0; i < CURVE_FLOORS; i++) {
        point->below[i] = (float)(rung->below[i] / n);
    }
}

/* A rung between two others promises no more than the next one, of which more samples tell: else of
 * many such rungs one would be good by luck.  False where too few samples tell. */
static bool set_rung(struct curve_point *point, const struct tally_class *tc, uint32_t r,
                     uint32_t k, double z)
{
    bool is_between = (r - tc->first) % BROAD_STEP != 0;
    if (tc->rungs[r].n < (is_between ? CURVE_SAMPLES_FOR_HALF : SAMPLES_FOR_CURVE)) {
        return false;
    }
    set_point(point, &tc->rungs[r], k, z);
    if (is_between && r + 1 < tc->end) {
        struct curve_point next;
        set_point(&next, &tc->rungs[r + 1], k, z);
        point->promise = point->promise < next.promise ? point->promise : next.promise;
    }
    return true;
}

/* Whoever asks for the nearest alone may look for a row by its vector: it is the nearest, but of
 * rows that are the neighbours of few the walk finds fewer than of those that queries are near to.
 * So no more is promised than holds for both.  Rows are looked for at each second rung alone:
 * between two the lesser one tells. */
static void lower_to_own(struct curve_point *point, const struct tally_class *own, uint32_t r,
                         double z)
{
    struct curve_point lower = *point;
    bool is_told = set_rung(&lower, own, r, 1, z);
    while (!is_told && r > own->first) {
        is_told = set_rung(&lower, own, --r, 1, z);
    }
    if (is_told && lower.promise < point->promise) {
        point->recall = lower.recall;
        point->low = lower.low;
        point->high = lower.high;
        point->promise = lower.promise;
    }
}

/* @own is NULL but for the class that it may lower. */
static void make_curve(const struct tally_class *tc, const struct tally_class *own,
                       const struct recall_class *c, double z, struct curve *out)
{
    float promise = 0;
    bool is_full = false;
    *out = (struct curve){.origin.n_samples = tc->n_samples};
    for (uint32_t r = tc->first; r < tc->end && !is_full && out->n_points < CURVE_POINTS; r++) {
        struct curve_point *point = &out->points[out->n_points];
        if (!set_rung(point, tc, r, c->k, z)) {
            continue;
        }
        if (own != NULL) {
            lower_to_own(point, own, r, z);
        }
        point->ef = rung_ef(c, r);
        promise = point->promise > promise ? point->promise : promise;
        point->promise = promise;
        out->n_points++;
        is_full = point->recall >= 1 || point->ef == EF_MAX;
    }
}

void tally_curve(const struct tally *t, unsigned class, double z, struct curve *out)
{
    bool is_nearest = class == CURVE_OF_NEAREST;
    make_curve(&t->classes[class], is_nearest ? &t->classes[TALLY_OWN] : NULL,
               &recall_classes[class], z, out);
}

/* Where what reached a floor in the mean reaches it by promise too, or nearly, further samples
 * would lower nobody's effort. */
bool tally_is_sharp(const struct tally *t, unsigned class, double z)
{
    static const double floors[] = {0.8, 0.9, 0.95, 0.99};
    struct curve curve;
    tally_curve(t, class, z, &curve);
    for (size_t i = 0; i < COUNT_OF(floors) && curve.n_points > 0; i++) {
        size_t at = 0;
        while (at < curve.n_points && (double)curve.points[at].recall < floors[i]) {
            at++;
        }
        if (at < curve.n_points && curve_ask(&curve, floors[i]).distances >
                                       NARROW_COST * (double)curve.points[at].distances) {
            return false;
        }
    }
    return true;
}
