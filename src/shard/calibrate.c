/* When recall is measured, and which of what was measured counts.
 *
 *   IDLE --(due)--> a measure: sample after sample, each stage published --> IDLE
 *
 * Due when never measured, when so much was linked since that the graph is another one, and when
 * clients have asked several times as much.  While rows keep coming and nobody searches it waits:
 * there will be more.  Until it is measured again searches take the more effort the more has
 * changed (effort.c).
 *
 * A stage is published curve by curve: one that fewer samples tell of takes the place of none but
 * of another graph's, or of one that stored rows have told and not clients; and of this one only
 * where it asks for more effort, as long as clients have asked little (is_too_easy).
 *
 * Beside that the newest queries are looked at now and then: where they stay below the floor,
 * clients ask other things than they did, and what was known counts no more.
 *
 * Gentle: the keeper is the nicest thread, measures for TURN_US_MAX or one sample in a turn, and
 * then stays away from this shard for REST times as long as it has worked: a fifth of a core.  It
 * takes half of one for the classes that clients ask for where the graph or the queries are new,
 * and does not rest before the first result, as all searches take more than they need until then.
 */
#include "shard/calibration_int.h"
#include "shard/host_int.h"
#include "shard/shard_int.h"
#include "shard/vectors_int.h"

#include <math.h>
#include <string.h>

enum {
    SEEN_FIRST = QUERIES_FRESH,
    /* Of so many the first ones are no more than others: see is_too_easy. */
    SEEN_TRUSTED = QUERIES_KEPT_MAX + 1024, /* Of those that are noted: 10,240 were asked. */
    SEEN_FEW = 1024, /* Below it queries are used again when they are four times as many. */
    SEEN_AGAIN_MAX = 1 << 20,
    TURN_US_MAX = 20000,
    REST = 4,
    REST_AT_FRONT = 1,
    RETRY_US = 2000000,
    CALM_US = 2000000,
    WAIT_US = 100000,
    CHECK_REST_US_MIN = 2000000,
    CHECK_REST_US_MAX = 300000000,
    PENDING_SHARE = 10, /* One row in so many may wait to be linked. */
};
/* Of linked rows, over those that were there when it was measured. */
static const double GROWN_WHEN_QUIET = 1.05, GROWN_WHEN_BUSY = 1.3;
/* Rows that are left, over those that were linked when a measure began: it is begun anew. */
static const double SHRUNK = 0.95;
/* So many times as far below the floor as chance takes one look in twenty: there are many looks. */
static const double CHANGED = 1.5;

void calibration_init(struct calibration *c)
{
    mutex_init(&c->mutex);
    c->check_rest_us = CHECK_REST_US_MIN;
}

static void end_measure(struct calibration *c)
{
    measure_free(c->measure);
    c->measure = NULL;
}

void calibration_fini(struct calibration *c)
{
    end_measure(c);
    published_free(atomic_load(&c->published));
    mem_free(MEM_SEARCH, c->queries.vectors);
    mutex_fini(&c->mutex);
}

/* ---- what is known ---- */

/* Of curves that were not measured, or are forgotten, wall_us is 0. */
static bool read_origins(const struct calibration *c, struct curve_origin out[CURVE_COUNT])
{
    const struct published *p = atomic_load_explicit(&c->published, memory_order_acquire);
    bool is_any = false;
    if (p == NULL) {
        return false;
    }
    published_read_origins(p, out);
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        is_any = is_any || out[i].wall_us != 0;
    }
    return is_any;
}

bool calibration_is_known(const struct calibration *c)
{
    struct curve_origin origins[CURVE_COUNT];
    return read_origins(c, origins);
}

void calibration_forget(struct vector_index *v)
{
    static const struct measured nothing;
    struct calibration *c = &v->calibration;
    mutex_lock(&c->mutex);
    if (atomic_load(&c->published) != NULL) {
        published_write(atomic_load(&c->published), &nothing);
    }
    c->is_graph_known = false;
    c->missed.n = 0;
    c->n_forgotten++;
    mutex_unlock(&c->mutex);
}

static double floor_of(const struct shard *shard)
{
    return host_policy_float(shard->host, shard->schema, POLICY_recall);
}

void calibration_log(const struct shard *shard, const struct vector_index *v,
                     const struct measured *m, size_t n_starts)
{
    double floor = floor_of(shard);
    if (m->curves[0].n_points == 0) {
        return;
    }
    struct recall_wish wish = {.floor = floor, .k = recall_classes[0].k, .share = 1};
    struct curve_answer at;
    CHECK(effort_ask(m, &wish, &at));
    metric_set(METRIC_recall_measured, (int64_t)(at.recall * 1e6));
    metric_set(METRIC_recall_low, (int64_t)(at.low * 1e6));
    log_line(LOG_INFO,
             "recall measured group=%llu column=%s samples=%u real=%s floor=%.3f ef=%.0f "
             "recall=%.4f low=%.4f high=%.4f reached=%s starts=%zu",
             (unsigned long long)shard->group_id, shard->schema->columns[v->column].name,
             at.origin.n_samples, at.origin.is_real ? "yes" : "no", floor, at.ef, at.recall, at.low,
             at.high, at.verdict == SHARD_REACHES ? "yes" : "no", n_starts);
}

/* The curve is of a graph that this one is no more. */
static bool is_of_another(const struct extent *e, const struct curve_origin *origin, bool is_quiet)
{
    return extent_since(e, origin) >= (is_quiet ? GROWN_WHEN_QUIET : GROWN_WHEN_BUSY) ||
           e->linked < origin->rows / 2 || e->is_torn;
}

/* Whether @new takes the place of @old.  @is_whole: its measure is over. */
static bool is_better(const struct curve *new, const struct curve *old, const struct extent *e,
                      bool is_whole)
{
    const struct curve_origin *n = &new->origin, *o = &old->origin;
    if (new->n_points == 0 || old->n_points == 0) {
        return new->n_points > 0;
    }
    if (is_of_another(e, o, true)) {
        return is_whole || n->n_samples >= MEASURE_FIRST;
    }
    if (n->is_real != o->is_real) {
        return n->is_real != 0 && n->n_samples >= MEASURE_FIRST;
    }
    return n->n_samples >= o->n_samples || (is_whole && n->n_samples >= MEASURE_FIRST);
}

/* Clients' first queries may be easier than what they ask then (those of words-100 come by how
 * common a word is: the first some hundred promised 0.95 where all found 0.88).  Until they have
 * asked some thousand, what stored rows have told, with its margin, counts where it is the more. */
static bool is_too_easy(const struct shard *shard, const struct calibration *c, unsigned class,
                        const struct measured *new, const struct measured *known)
{
    struct recall_wish wish = {.floor = floor_of(shard),
                               .k = recall_classes[class].k,
                               .share = (double)recall_classes[class].share};
    struct curve_answer young, old;
    bool is_young = c->begun.n_seen < SEEN_TRUSTED;
    return is_young && new->curves[class].origin.is_real != 0 &&
           known->curves[class].origin.is_real == 0 && known->curves[class].n_points > 0 &&
           effort_ask(new, &wish, &young) && effort_ask(known, &wish, &old) && young.ef < old.ef;
}

enum publish_how {
    STAGE, /* Of a measure that goes on. */
    WHOLE,
    ALONE /* What was known counts no more. */
};

/* Rows that were no harder by what was known are no harder by what is measured now. */
static void take_curve(struct curve *known, const struct curve *new)
{
    const struct curve_origin old = known->origin;
    bool was_known = known->n_points > 0;
    *known = *new;
    if (was_known && old.is_real == new->origin.is_real &&
        (int64_t)(old.vouched_changes - new->origin.vouched_changes) > 0) {
        known->origin.vouched_rows = old.vouched_rows;
        known->origin.vouched_changes = old.vouched_changes;
    }
}

/* A whole measure found too few rows for the class, and what was known is of a graph that had more:
 * as long as that stood, it would be measured anew and in vain. */
static bool is_gone(const struct curve *new, const struct curve *old, const struct extent *e)
{
    return new->n_points == 0 && old->n_points > 0 && is_of_another(e, &old->origin, true);
}

/* Of what has been measured now, what is better than what was known; false where nothing is. */
static bool merge(const struct shard *shard, const struct measured *new, struct vector_index *v,
                  enum publish_how how, struct measured *known)
{
    struct extent e = extent_of(v);
    bool is_any = false;
    for (unsigned i = 0; i < CURVE_COUNT; i++) {
        bool is_same = !is_of_another(&e, &known->curves[i].origin, true);
        if (is_same && is_too_easy(shard, &v->calibration, i, new, known)) {
            /* What is known is good for them, too. */
            known->curves[i].reach = fmaxf(known->curves[i].reach, new->curves[i].reach);
            known->curves[i].angle = fmaxf(known->curves[i].angle, new->curves[i].angle);
            is_any = true;
        } else if (is_better(&new->curves[i], &known->curves[i], &e, how == WHOLE)) {
            take_curve(&known->curves[i], &new->curves[i]);
            is_any = true;
        } else if (how == WHOLE && is_gone(&new->curves[i], &known->curves[i], &e)) {
            known->curves[i] = (struct curve){.n_points = 0};
        }
        known->curves[i].origin.is_whole |= how == WHOLE ? 1 : 0;
    }
    return is_any || how == WHOLE;
}

/* Rows went since the measure began, and with them what it has found. */
static bool is_in_vain(const struct calibration *c, const struct extent *e)
{
    const struct begun *begun = &c->begun;
    return (double)e->rows < SHRUNK * (double)begun->rows || (e->is_torn && !begun->is_torn);
}

/* Where walks begin by what counts now.  Where too few queries tell that it is as before, but for
 * the end of a measure: it would be begun again and again where those rows are gone. */
static struct missed_rows choose_starts(struct calibration *c, enum publish_how how)
    REQUIRES(c->mutex)
{
    struct missed_rows starts = c->missed;
    if (!measure_missed(c->measure, &c->missed, &starts) && how == WHOLE) {
        starts.n = 0;
    }
    return starts;
}

static void tell_starts(struct vector_index *v, const struct missed_rows *starts)
{
    unsigned side;
    index_begin_at(vector_index_enter(v, &side), starts->items, starts->n);
    vector_index_leave(v, side);
}

static void publish(struct shard *shard, struct vector_index *v, enum publish_how how)
{
    struct calibration *c = &v->calibration;
    struct err err = {0};
    struct measured m = {0}, known = {0};
    struct extent e = extent_of(v);
    if (is_in_vain(c, &e)) {
        return; /* It ends at the next turn. */
    }
    measure_sum_up(c->measure, &m);
    mutex_lock(&c->mutex);
    if (how != ALONE && !e.is_torn) {
        (void)calibration_read(c, CURVES_ALL, &known);
    }
    bool is_of_graph = c->n_forgotten == c->begun.n_forgotten;
    bool is_news = is_of_graph && merge(shard, &m, v, how, &known) &&
                   calibration_publish(c, &known, &err) == ERR_OK;
    /* Used, whether they were too easy or not: they are not measured again until there are more. */
    if (is_of_graph && measure_kind_of(c->measure) == MEASURE_ASKED) {
        c->n_seen_measured = c->begun.n_seen;
    }
    c->edition += is_news ? 1 : 0;
    struct missed_rows starts = is_news ? choose_starts(c, how) : c->missed;
    c->missed = starts;
    mutex_unlock(&c->mutex);
    if (is_news) {
        tell_starts(v, &starts);
        calibration_log(shard, v, &known, starts.n);
        shard_note_change(shard); /* It is written down with the next flush. */
    }
}

/* ---- beginning ---- */

/* How many queries must have been noted before they are asked for what they say. */
static uint64_t seen_wanted(const struct calibration *c) REQUIRES(c->mutex)
{
    uint64_t n = c->n_seen_measured;
    uint64_t more = n < SEEN_FEW ? 3 * n : n < SEEN_AGAIN_MAX ? n : SEEN_AGAIN_MAX;
    return n == 0 ? SEEN_FIRST : n + more;
}

enum cause {
    NOT_DUE,
    CHECK,
    GO_ON,
    MORE_QUERIES,
    URGENT
};

/* @is_begun: a measure ended before its end, as those do that a stop of the server cuts; where
 * clients' queries were lost by it, new ones are waited for. */
static enum cause cause_of_queries(struct calibration *c, bool is_begun)
{
    mutex_lock(&c->mutex);
    bool is_told_first = (c->n_seen_measured == 0 && c->queries.n_seen >= SEEN_FIRST) ||
                         (c->n_seen_measured < SEEN_TRUSTED && c->queries.n_seen >= SEEN_TRUSTED);
    bool is_told_more = c->queries.n_seen >= seen_wanted(c);
    bool is_to_go_on = is_begun && (c->n_seen_measured == 0 || c->queries.n_seen >= SEEN_FIRST);
    bool is_fresh = c->queries.n_fresh == QUERIES_FRESH && c->n_seen_measured > 0;
    mutex_unlock(&c->mutex);
    return is_told_first                                     ? URGENT
           : is_told_more                                    ? MORE_QUERIES
           : is_to_go_on                                     ? GO_ON
           : is_fresh && clock_micros() >= c->check_after_us ? CHECK
                                                             : NOT_DUE;
}

static enum cause cause_to_measure(struct vector_index *v)
{
    struct calibration *c = &v->calibration;
    struct extent e = extent_of(v);
    uint64_t changes = e.changes + e.pending;
    bool is_quiet = changes == c->changes_seen && e.pending <= e.rows / 100;
    bool is_searched = atomic_load(&c->turn) != c->turn_seen;
    c->changes_seen = changes;
    if (v->kind != INDEX_HNSW || e.rows < CALIBRATION_ROWS_MIN ||
        e.pending > e.rows / PENDING_SHARE || (!is_quiet && !is_searched)) {
        return NOT_DUE;
    }
    struct curve_origin origins[CURVE_COUNT];
    if (!read_origins(c, origins)) {
        return URGENT;
    }
    bool is_begun = false;
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        if (origins[i].wall_us != 0 && is_of_another(&e, &origins[i], is_quiet)) {
            return URGENT;
        }
        is_begun = is_begun || (origins[i].wall_us != 0 && origins[i].is_whole == 0);
    }
    return cause_of_queries(c, is_begun);
}

static void begin(struct shard *shard, struct vector_index *v, enum cause cause)
{
    struct calibration *c = &v->calibration;
    struct err err = {0};
    mutex_lock(&c->mutex);
    enum measure_kind kind = cause == CHECK                    ? MEASURE_FRESH
                             : c->queries.n_seen >= SEEN_FIRST ? MEASURE_ASKED
                                                               : MEASURE_ROWS;
    uint32_t n_queries = kind == MEASURE_FRESH ? QUERIES_FRESH : c->queries.n_kept;
    uint32_t front = queries_classes(&c->queries);
    c->begun = (struct begun){
        .is_urgent = cause == URGENT, .n_seen = c->queries.n_seen, .n_forgotten = c->n_forgotten};
    mutex_unlock(&c->mutex);
    c->turn_seen = atomic_load(&c->turn);
    struct extent e = extent_of(v);
    c->begun.rows = e.linked;
    c->begun.is_torn = e.is_torn;
    c->measure = measure_new(shard, v, kind, n_queries, front, &err);
    atomic_store(&c->is_measuring, c->measure != NULL && kind != MEASURE_FRESH);
}

/* ---- the newest queries ---- */

static unsigned first_of(uint32_t classes)
{
    unsigned i = 0;
    while ((classes >> i & 1) == 0) {
        i++;
    }
    return i;
}

/* Clients' newest queries find less than the floor at the ef that they are given. */
static bool is_below_floor(const struct shard *shard, struct vector_index *v)
{
    unsigned class = first_of(measure_front(v->calibration.measure));
    struct measured known, m;
    measure_sum_up(v->calibration.measure, &m);
    const struct curve *curve = &m.curves[class];
    double floor = floor_of(shard);
    if (!calibration_read(&v->calibration, UINT32_C(1) << class, &known) ||
        known.curves[class].n_points == 0 || curve->n_points == 0) {
        return false;
    }
    struct curve_answer given = curve_ask(&known.curves[class], floor);
    size_t i = 0;
    while (i + 1 < curve->n_points && curve->points[i].ef < given.ef) {
        i++;
    }
    const struct curve_point *p = &curve->points[i];
    double error = (double)p->high - (double)p->recall;
    return given.verdict == SHARD_REACHES && (double)p->recall + CHANGED * error < floor;
}

/* Whether what is known holds for the newest queries.  Where it does not, nothing is known but what
 * they have told; that is measured at once of all classes, and refined as more are asked. */
static void conclude_check(struct shard *shard, struct vector_index *v)
{
    struct calibration *c = &v->calibration;
    bool is_other = is_below_floor(shard, v);
    if (is_other) {
        log_line(LOG_INFO, "queries have changed group=%llu column=%s",
                 (unsigned long long)shard->group_id, shard->schema->columns[v->column].name);
        publish(shard, v, ALONE);
    }
    mutex_lock(&c->mutex);
    if (is_other) {
        queries_forget_old(&c->queries, shard->schema->columns[v->column].dim);
        c->n_seen_measured = 0;
    }
    c->queries.n_fresh = 0;
    mutex_unlock(&c->mutex);
    if (is_other) {
        c->check_rest_us = CHECK_REST_US_MIN;
    } else if (c->check_rest_us < CHECK_REST_US_MAX) {
        c->check_rest_us *= 2;
    }
    c->check_after_us = clock_micros() + c->check_rest_us;
}

/* ---- a turn ---- */

/* Another measure would tell more: stored rows are asked while there are queries of clients, or few
 * queries of classes that nobody waits for while there are many. */
static bool is_superseded(struct calibration *c)
{
    enum measure_kind kind = measure_kind_of(c->measure);
    mutex_lock(&c->mutex);
    uint64_t n_seen = c->queries.n_seen;
    bool is_few = c->begun.n_seen < SEEN_FEW && n_seen >= seen_wanted(c);
    bool is_young = c->begun.n_seen < SEEN_TRUSTED && n_seen >= SEEN_TRUSTED;
    mutex_unlock(&c->mutex);
    return (kind == MEASURE_ROWS && n_seen >= SEEN_FIRST) ||
           (kind == MEASURE_ASKED && (is_young || (is_few && !measure_is_at_front(c->measure))));
}

/* Samples for a turn. */
static enum measure_step measure_turn(struct shard *shard, struct vector_index *v)
{
    struct measure *m = v->calibration.measure;
    uint64_t until_us = clock_micros() + TURN_US_MAX;
    enum measure_step step;
    do {
        step = measure_one(m);
        if (step == MEASURE_TELLS) {
            publish(shard, v, STAGE);
        }
    } while (step < MEASURE_IS_OVER && clock_micros() < until_us);
    return step;
}

/* The measure ends; it is tried again after a while where it did not come to its end. */
static void conclude(struct shard *shard, struct vector_index *v, bool is_over)
{
    struct calibration *c = &v->calibration;
    bool is_check = measure_kind_of(c->measure) == MEASURE_FRESH;
    if (is_check && is_over) {
        conclude_check(shard, v);
    } else if (!is_check) {
        publish(shard, v, is_over ? WHOLE : STAGE);
    }
    end_measure(c);
}

/* How many times as long as it has worked it rests. */
static unsigned rest_after(const struct calibration *c)
{
    bool is_first = c->begun.is_urgent && !measure_has_told(c->measure);
    bool is_front = c->begun.is_urgent && measure_is_at_front(c->measure);
    return is_first ? 0 : is_front ? REST_AT_FRONT : REST;
}

/* When it has rested from what it has worked since then. */
static uint64_t rested(uint64_t since_cpu_us, unsigned rest)
{
    return clock_micros() + rest * (clock_cpu_micros() - since_cpu_us);
}

/* A look at the rows that came waits for no measure's rest: until it, searches take more. */
static void look(struct shard *shard, struct vector_index *v)
{
    struct calibration *c = &v->calibration;
    uint64_t since_us = clock_cpu_micros();
    if (clock_micros() >= c->look_after_us && vouch(shard, v)) {
        c->looked_us = clock_micros();
        c->look_after_us = rested(since_us, REST);
    }
}

/* Classes that nobody searches wait while so many rows come that looks follow each other: one
 * sample of them would keep the next look off for seconds. */
static bool is_waiting_for_calm(const struct calibration *c)
{
    return !measure_is_at_front(c->measure) && clock_micros() < c->looked_us + CALM_US;
}

uint64_t calibrate(struct shard *shard, struct vector_index *v)
{
    struct calibration *c = &v->calibration;
    look(shard, v);
    if (clock_micros() < c->rest_until_us) {
        return c->rest_until_us;
    }
    struct extent e = extent_of(v);
    if (c->measure != NULL && is_in_vain(c, &e)) {
        end_measure(c);
    }
    enum cause cause = c->measure == NULL ? cause_to_measure(v) : NOT_DUE;
    if (cause != NOT_DUE) {
        begin(shard, v, cause);
    }
    if (c->measure == NULL) {
        atomic_store(&c->is_measuring, false); /* And not before: one may follow the other. */
        return UINT64_MAX;
    }
    bool is_waiting = is_waiting_for_calm(c);
    uint64_t since_us = clock_cpu_micros(), rest_us = is_waiting ? WAIT_US : 0;
    unsigned rest = rest_after(c);
    enum measure_step step = is_waiting ? MEASURE_GOES_ON : measure_turn(shard, v);
    e = extent_of(v);
    bool is_grown = (double)e.linked > GROWN_WHEN_BUSY * (double)c->begun.rows;
    if (step == MEASURE_FAILED || (is_grown && step != MEASURE_IS_OVER)) {
        conclude(shard, v, false);
        rest_us = RETRY_US;
    } else if (step == MEASURE_IS_OVER || is_superseded(c)) {
        conclude(shard, v, step == MEASURE_IS_OVER);
    }
    c->rest_until_us = rested(since_us, rest) + rest_us;
    return c->rest_until_us;
}
