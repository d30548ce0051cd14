/* When recall is measured, with which queries, and what a search is told.
 *
 *   IDLE --(due)--> a run: sample after sample --> published --> IDLE
 *
 * Samples are queries that clients really asked; until there are some, vectors of stored rows.  A
 * stored row leads a walk straight to its neighbours, so a search with its vector passes it over,
 * as if it had not been inserted: otherwise 0.95 would be promised where a query from elsewhere
 * finds 0.67 (words-100).  What rows have told is promised with a wider margin.  Where clients ask
 * with the vector of a stored row it is measured both ways, and the worse counts: by products the
 * row itself may be hard to find.  By other distances rows are looked for by their vectors in any
 * case, for what is promised of the nearest alone.
 *
 * Due when never measured, when so much was linked since that the graph is another one, and when
 * clients have asked several times as much.  While rows keep coming and nobody searches it waits:
 * there will be more.  Until it is measured again searches take the more effort the more has
 * changed.
 *
 * Beside that the newest queries are looked at now and then: where they stay below the floor,
 * clients ask other things than they did, and what was known counts no more.
 *
 * After some hundred samples of all classes of searches, what else there is of clients' queries
 * measures the commonest class alone, until more would lower nobody's effort (tally.c).
 *
 * A run that is wanted soon is published after 32 samples and at each doubling; others at their
 * end.
 *
 * Gentle: the keeper measures for TURN_US_MAX or one sample in a turn, and then stays away from
 * this shard for REST times as long as it took: a run costs at most a fifth of one core, or half
 * where searches wait for it. */
#include "shard/calibration_int.h"
#include "shard/host_int.h"
#include "shard/shard_int.h"
#include "shard/vectors_int.h"
#include "shard/view_int.h"

#include <math.h>
#include <string.h>

enum {
    SAMPLES = 512,
    SAMPLES_OF_FEW = 256, /* Where a scan is not dear either. */
    FEW_ROWS = 20000,
    OWN_TURNS = 2,
    SHARP_AFTER = 64,   /* So many more samples it is asked whether they are enough. */
    SAMPLES_FIRST = 32, /* Enough to be published, where that is wanted soon. */
    SEEN_FIRST = QUERIES_FRESH,
    SEEN_FEW = 1024, /* Below it queries are used again when they are four times as many. */
    SEEN_AGAIN_MAX = 1 << 20,
    PICK_TRIES = 8,
    TURN_US_MAX = 20000,
    REST = 4,
    REST_URGENT = 1,
    RETRY_US = 2000000,
    CHECK_REST_US_MIN = 2000000,
    CHECK_REST_US_MAX = 300000000,
    PENDING_SHARE = 10, /* One row in so many may wait to be linked. */
};
/* Of linked rows, over those that were there when it was measured. */
static const double GROWN_WHEN_QUIET = 1.05, GROWN_WHEN_BUSY = 1.3;
static const double STRETCH_POWER = 1.1; /* On the hardest data ef grows with the rows. */
/* Standard errors that a promise stays below the mean. */
static const double CERTAINTY = 2;
/* What may be missing by stored rows alone, over what may be missing. */
static const double CAUTION = 0.6;
/* So many times as far below the floor as chance takes one look in twenty: there are many looks. */
static const double CHANGED = 1.5;
/* Before it is measured ef is this over what may be missing: 800 for a recall of 0.95. */
static const double GUESS = 40;
static const double GUESSED_DISTANCES = 16; /* For each of ef. */

struct calibration_run {
    struct tally tally;
    bool is_real, is_fresh, is_urgent;
    uint32_t n_wanted;
    uint32_t n_tried;    /* Of the queries; those that failed too. */
    uint32_t publish_at; /* Samples. */
    uint64_t rows;       /* Linked when it began. */
    uint64_t n_seen, n_forgotten;
    double rows_sum, changes_sum; /* Linked, over the samples. */
    float query[];
};

void calibration_init(struct calibration *c)
{
    mutex_init(&c->mutex);
    c->check_rest_us = CHECK_REST_US_MIN;
}

static void end_run(struct calibration *c)
{
    if (c->run != NULL) {
        tally_fini(&c->run->tally);
        mem_free(MEM_SEARCH, c->run);
        c->run = NULL;
    }
}

void calibration_fini(struct calibration *c)
{
    end_run(c);
    published_free(atomic_load(&c->published));
    mem_free(MEM_SEARCH, c->queries.vectors);
    mutex_fini(&c->mutex);
}

/* ---- how much has changed ---- */

struct extent {
    uint64_t rows, pending;
    uint64_t linked;  /* Rows. */
    uint64_t changes; /* Linked. */
};

static struct extent extent_of(struct vector_index *v)
{
    unsigned side;
    /* What is staged in between may not be counted as linked: pending is asked last. */
    struct extent e = {.changes = atomic_load(&v->changes)};
    struct index *index = vector_index_enter(v, &side);
    e.rows = index_count(index);
    e.pending = index_pending(index);
    vector_index_leave(v, side);
    e.linked = e.rows > e.pending ? e.rows - e.pending : 0;
    e.changes -= e.pending;
    return e;
}

static double stretch_since(const struct extent *e, const struct measured *m)
{
    /* Negative where recovery has yet to stage again what it was measured on. */
    int64_t changes = (int64_t)(e->changes - m->changes);
    double rows = m->rows > 0 ? (double)m->rows : 1;
    return fmax(1, fmax((double)e->linked / rows, 1 + (double)changes / rows));
}

/* ---- what a search is told ---- */

static bool read_measured(const struct calibration *c, uint32_t classes, struct measured *out)
{
    const struct published *p = atomic_load_explicit(&c->published, memory_order_acquire);
    if (p == NULL) {
        return false;
    }
    published_read(p, classes, out);
    return out->wall_us != 0; /* Else it was forgotten. */
}

bool calibration_is_known(const struct calibration *c)
{
    struct measured m;
    return read_measured(c, 0, &m);
}

static double guess_ef(const struct recall_wish *wish)
{
    return fmax(GUESS / (1 - wish->floor), 4 * (double)wish->k);
}

static void guess(const struct recall_wish *wish, struct shard_effort *out)
{
    double ef = guess_ef(wish);
    out->verdict = SHARD_IS_NOT_MEASURED;
    out->stretch = 1;
    out->ef = (size_t)ceil(ef);
    out->distances = ef * GUESSED_DISTANCES / wish->share;
    out->filter_calls = wish->share < 1 ? ef / wish->share : 0;
}

/* Until clients have asked, nobody knows how far their queries lie from the rows. */
static bool ask_with_care(const struct measured *m, const struct recall_wish *wish,
                          struct curve_answer *out)
{
    struct recall_wish careful = *wish;
    careful.floor = 1 - CAUTION * (1 - wish->floor);
    return (!m->is_real && measured_ask(m, &careful, out) && out->verdict == SHARD_REACHES) ||
           measured_ask(m, wish, out);
}

static void tell(const struct extent *e, const struct measured *m, const struct recall_wish *wish,
                 const struct curve_answer *answer, struct shard_effort *out)
{
    double stretch = stretch_since(e, m), ef = answer->ef * pow(stretch, STRETCH_POWER);
    /* Rows that came since may be of another kind, and harder: where they are many, they are taken
     * for what nobody has measured. */
    double ef_of_strangers = fmin(stretch - 1, 1) * guess_ef(wish);
    double more = fmax(ef, ef_of_strangers) / answer->ef;
    out->verdict = answer->verdict;
    out->stretch = stretch;
    out->ef = (size_t)ceil(answer->ef * more);
    out->recall = answer->recall;
    out->low = answer->low;
    out->high = answer->high;
    out->distances = answer->distances * more;
    out->filter_calls = answer->filter_calls * more;
}

void shard_effort_for(struct shard *shard, uint32_t column, double recall, size_t k, double share,
                      struct shard_effort *out)
{
    struct vector_index *v = vectors_find(shard, column);
    CHECK(v != NULL && share > 0);
    struct recall_wish wish = {.floor = recall, .k = k > 0 ? k : 1, .share = share};
    struct measured m;
    struct curve_answer answer;
    struct extent e = extent_of(v);
    *out = (struct shard_effort){.rows = e.rows};
    if (read_measured(&v->calibration, measured_classes(&wish), &m) &&
        ask_with_care(&m, &wish, &answer)) {
        tell(&e, &m, &wish, &answer, out);
    } else {
        guess(&wish, out);
    }
    out->ef = out->ef < k ? k : out->ef;
}

bool shard_recall(struct shard *shard, uint32_t column, unsigned i, double recall,
                  struct shard_recall *out)
{
    struct vector_index *v = vectors_find(shard, column);
    struct measured m;
    CHECK(i < CURVE_COUNT);
    *out =
        (struct shard_recall){.k = recall_classes[i].k, .share = (double)recall_classes[i].share};
    if (v == NULL || !read_measured(&v->calibration, UINT32_C(1) << i, &m) ||
        m.curves[i].n_points == 0) {
        return false;
    }
    struct recall_wish wish = {.floor = recall, .k = out->k, .share = out->share};
    struct curve_answer answer;
    CHECK(ask_with_care(&m, &wish, &answer));
    struct extent e = extent_of(v);
    out->effort.rows = e.rows;
    tell(&e, &m, &wish, &answer, &out->effort);
    out->below = curve_below(&m.curves[i], answer.ef, recall);
    out->samples = m.curves[i].n_samples;
    out->is_real = m.is_real != 0;
    out->rows = m.rows;
    out->wall_us = m.wall_us;
    return true;
}

/* ---- publishing ---- */

enum errcode calibration_publish(struct calibration *c, const struct measured *m, struct err *err)
{
    struct published *p = atomic_load(&c->published);
    bool is_first = p == NULL;
    if (is_first) {
        p = published_new(err);
    }
    if (p == NULL) {
        return ERR_OUT_OF_MEMORY;
    }
    published_write(p, m);
    if (is_first) {
        atomic_store_explicit(&c->published, p, memory_order_release);
    }
    return ERR_OK;
}

void calibration_forget(struct vector_index *v)
{
    static const struct measured nothing = {.wall_us = 0};
    struct calibration *c = &v->calibration;
    mutex_lock(&c->mutex);
    if (atomic_load(&c->published) != NULL) {
        published_write(atomic_load(&c->published), &nothing);
    }
    c->is_graph_known = false;
    c->n_forgotten++;
    mutex_unlock(&c->mutex);
}

static double floor_of(const struct shard *shard)
{
    return host_policy_float(shard->host, shard->schema, POLICY_recall);
}

void calibration_log(const struct shard *shard, const struct vector_index *v,
                     const struct measured *m)
{
    double floor = floor_of(shard);
    if (m->curves[0].n_points == 0) {
        return;
    }
    struct recall_wish wish = {.floor = floor, .k = recall_classes[0].k, .share = 1};
    struct curve_answer at;
    CHECK(ask_with_care(m, &wish, &at));
    metric_set(METRIC_recall_measured, (int64_t)(at.recall * 1e6));
    metric_set(METRIC_recall_low, (int64_t)(at.low * 1e6));
    log_line(LOG_INFO,
             "recall measured group=%llu column=%s samples=%u real=%s floor=%.3f ef=%.0f "
             "recall=%.4f low=%.4f high=%.4f reached=%s",
             (unsigned long long)shard->group_id, shard->schema->columns[v->column].name,
             m->n_samples, m->is_real ? "yes" : "no", floor, at.ef, at.recall, at.low, at.high,
             at.verdict == SHARD_REACHES ? "yes" : "no");
}

static void sum_up(const struct calibration_run *run, struct measured *out)
{
    double n = run->tally.n_samples;
    tally_curves(&run->tally, CERTAINTY, out);
    out->rows = (uint64_t)(run->rows_sum / n);
    out->changes = (uint64_t)(run->changes_sum / n);
    out->wall_us = clock_wall_micros();
    out->is_real = run->is_real;
}

static void publish(struct shard *shard, struct vector_index *v, const struct measured *m)
{
    struct calibration *c = &v->calibration;
    struct err err = {0};
    mutex_lock(&c->mutex);
    bool is_of_graph = c->run->n_forgotten == c->n_forgotten;
    enum errcode code = is_of_graph ? calibration_publish(c, m, &err) : ERR_CANCELED;
    if (code == ERR_OK) {
        c->edition++;
        c->n_seen_measured = m->is_real ? c->run->n_seen : c->n_seen_measured;
    }
    mutex_unlock(&c->mutex);
    if (code == ERR_OK) {
        calibration_log(shard, v, m);
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
    MORE_QUERIES,
    URGENT
};

static enum cause cause_of_queries(struct calibration *c)
{
    mutex_lock(&c->mutex);
    bool is_told_first = c->n_seen_measured == 0 && c->queries.n_seen >= SEEN_FIRST;
    bool is_told_more = c->queries.n_seen >= seen_wanted(c);
    bool is_fresh = c->queries.n_fresh == QUERIES_FRESH && c->n_seen_measured > 0;
    mutex_unlock(&c->mutex);
    return is_told_first                                     ? URGENT
           : is_told_more                                    ? MORE_QUERIES
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
    struct measured m;
    if (!read_measured(c, 0, &m) ||
        stretch_since(&e, &m) >= (is_quiet ? GROWN_WHEN_QUIET : GROWN_WHEN_BUSY) ||
        e.linked < m.rows / 2) {
        return URGENT;
    }
    return cause_of_queries(c);
}

static void begin_run(const struct shard *shard, struct vector_index *v, enum cause cause)
{
    struct calibration *c = &v->calibration;
    uint32_t dim = shard->schema->columns[v->column].dim;
    struct err err = {0};
    struct calibration_run *run = mem_zalloc(MEM_SEARCH, sizeof(*run) + dim * sizeof(float));
    if (run == NULL || tally_init(&run->tally, &err) != ERR_OK) {
        mem_free(MEM_SEARCH, run);
        return; /* Another time. */
    }
    c->run = run;
    c->turn_seen = atomic_load(&c->turn);
    run->rows = extent_of(v).linked;
    run->is_urgent = cause == URGENT;
    run->is_fresh = cause == CHECK;
    run->publish_at = SAMPLES_FIRST;
    run->tally.n_broad = run->rows < FEW_ROWS ? SAMPLES_OF_FEW : SAMPLES;
    mutex_lock(&c->mutex);
    run->n_seen = c->queries.n_seen;
    run->n_forgotten = c->n_forgotten;
    run->is_real = run->n_seen >= SEEN_FIRST;
    run->n_wanted = run->is_fresh  ? QUERIES_FRESH
                    : run->is_real ? c->queries.n_kept
                                   : run->tally.n_broad;
    mutex_unlock(&c->mutex);
}

/* ---- the next query ---- */

/* A row with a vector, drawn at random; false where none was met in a few tries. */
static bool pick_row(struct shard *shard, struct vector_index *v, struct shard_view *view,
                     struct arena *arena)
{
    struct calibration_run *run = v->calibration.run;
    for (int i = 0; i < PICK_TRIES; i++) {
        struct err err = {0};
        struct shard_row row;
        struct value values[COLUMNS_MAX];
        uint64_t columns[4] = {0};
        bool found;
        uint64_t from = 1 + random_next(&v->calibration.chance) % view->next_row;
        columns[v->column / 64] = UINT64_C(1) << (v->column % 64);
        if (shard_view_next(view, from, &row, &found, &err) != ERR_OK || !found ||
            shard_row_decode(shard->schema, &row, columns, values, arena, &err) != ERR_OK ||
            values[v->column].type != TYPE_VECTOR) {
            continue;
        }
        memcpy(run->query, values[v->column].vector.data,
               values[v->column].vector.dim * sizeof(float));
        return true;
    }
    return false;
}

static bool take_row(struct shard *shard, struct vector_index *v)
{
    struct err err = {0};
    struct shard_view *view;
    struct arena *arena = arena_new(MEM_SEARCH, SIZE_MAX);
    bool found = false;
    if (arena != NULL && shard_view_open(shard, &view, &err) == ERR_OK) {
        found = pick_row(shard, v, view, arena);
        shard_view_close(view);
    }
    arena_free(arena);
    return found;
}

static bool take_query(struct shard *shard, struct vector_index *v)
{
    struct calibration *c = &v->calibration;
    struct calibration_run *run = c->run;
    uint32_t i = run->n_tried++;
    if (!run->is_real) {
        return take_row(shard, v);
    }
    mutex_lock(&c->mutex);
    bool found = queries_get(&c->queries, shard->schema->columns[v->column].dim, run->is_fresh, i,
                             run->query);
    mutex_unlock(&c->mutex);
    return found;
}

/* ---- measuring ---- */

static bool is_closing(void *arg)
{
    const struct shard *shard = arg;
    return atomic_load(&shard->is_closing);
}

static enum errcode add_query(struct shard *shard, struct vector_index *v, bool is_own)
{
    struct calibration_run *run = v->calibration.run;
    const struct column *column = &shard->schema->columns[v->column];
    struct err err = {0};
    unsigned side;
    struct tally_query query = {.index = vector_index_enter(v, &side),
                                .distance = column->distance,
                                .dim = column->dim,
                                .vector = run->query,
                                .is_asked = run->is_real,
                                .is_own = is_own};
    enum errcode code = tally_add(&run->tally, &query, &err);
    vector_index_leave(v, side);
    return code;
}

/* Beside some queries a row is looked for by its vector.  By products that need not be the nearest,
 * and who looks for rows by it is measured by what he asks. */
static bool is_own_due(const struct shard *shard, const struct vector_index *v)
{
    const struct tally *tally = &v->calibration.run->tally;
    return shard->schema->columns[v->column].distance != DISTANCE_DOT &&
           tally->n_samples < tally->n_broad && tally->n_samples % OWN_TURNS == 0;
}

static bool measure_one(struct shard *shard, struct vector_index *v)
{
    struct calibration_run *run = v->calibration.run;
    run->tally.is_canceled = is_closing;
    run->tally.canceled_arg = shard;
    if (is_own_due(shard, v) && take_row(shard, v) && add_query(shard, v, true) != ERR_OK) {
        return false;
    }
    if (!take_query(shard, v)) {
        return false;
    }
    enum errcode code = add_query(shard, v, false);
    struct extent e = extent_of(v);
    run->rows_sum += (double)e.linked;
    run->changes_sum += (double)e.changes;
    return code == ERR_OK;
}

/* Clients' newest queries find less than the floor at the ef that they are given. */
static bool is_below_floor(const struct shard *shard, struct vector_index *v,
                           const struct measured *fresh)
{
    const struct curve *curve = &fresh->curves[0];
    double floor = floor_of(shard);
    struct measured known;
    if (!read_measured(&v->calibration, 1, &known) || known.curves[0].n_points == 0 ||
        curve->n_points == 0) {
        return false;
    }
    struct curve_answer given = curve_ask(&known.curves[0], floor);
    size_t i = 0;
    while (i + 1 < curve->n_points && curve->points[i].ef < given.ef) {
        i++;
    }
    const struct curve_point *p = &curve->points[i];
    double error = (double)p->high - (double)p->recall;
    return given.verdict == SHARD_REACHES && (double)p->recall + CHANGED * error < floor;
}

/* Of the newest queries: whether what is known holds for them. */
static void conclude_check(struct shard *shard, struct vector_index *v, struct measured *m)
{
    struct calibration *c = &v->calibration;
    bool is_other = is_below_floor(shard, v, m);
    mutex_lock(&c->mutex);
    if (is_other) {
        queries_forget_old(&c->queries, shard->schema->columns[v->column].dim);
        c->run->n_seen = c->queries.n_seen;
    }
    c->queries.n_fresh = 0;
    mutex_unlock(&c->mutex);
    if (is_other) {
        log_line(LOG_INFO, "queries have changed group=%llu column=%s",
                 (unsigned long long)shard->group_id, shard->schema->columns[v->column].name);
        publish(shard, v, m);
        c->check_rest_us = CHECK_REST_US_MIN;
    } else if (c->check_rest_us < CHECK_REST_US_MAX) {
        c->check_rest_us *= 2;
    }
    c->check_after_us = clock_micros() + c->check_rest_us;
}

static void conclude(struct shard *shard, struct vector_index *v)
{
    struct calibration_run *run = v->calibration.run;
    struct measured m;
    if (run->tally.n_samples >= SAMPLES_FIRST) {
        sum_up(run, &m);
        if (run->is_fresh) {
            conclude_check(shard, v, &m);
        } else {
            publish(shard, v, &m);
        }
    }
}

/* Stored rows are asked while there are queries of clients. */
static bool is_superseded(struct calibration *c)
{
    mutex_lock(&c->mutex);
    bool is_told = c->queries.n_seen >= SEEN_FIRST;
    mutex_unlock(&c->mutex);
    return is_told && !c->run->is_real;
}

/* No more samples are wanted. */
static bool is_enough(const struct calibration_run *run)
{
    uint32_t n = run->tally.n_samples;
    return run->n_tried >= run->n_wanted ||
           (n >= SAMPLES && n % SHARP_AFTER == 0 && tally_is_sharp(&run->tally, CERTAINTY));
}

/* Samples for a turn; true where there is no more to do. */
static bool measure_turn(struct shard *shard, struct vector_index *v)
{
    struct calibration_run *run = v->calibration.run;
    uint64_t until_us = clock_micros() + TURN_US_MAX;
    do {
        if (!measure_one(shard, v)) {
            return true;
        }
        if (run->is_urgent && run->tally.n_samples == run->publish_at &&
            run->n_tried < run->n_wanted) {
            run->publish_at *= 2;
            conclude(shard, v);
        }
    } while (!is_enough(run) && clock_micros() < until_us);
    return is_enough(run) || is_superseded(&v->calibration) ||
           (double)extent_of(v).linked > GROWN_WHEN_BUSY * (double)run->rows;
}

uint64_t calibrate(struct shard *shard, struct vector_index *v)
{
    struct calibration *c = &v->calibration;
    uint64_t started_us = clock_micros();
    if (started_us < c->rest_until_us) {
        return c->rest_until_us;
    }
    if (c->run == NULL) {
        enum cause cause = cause_to_measure(v);
        if (cause != NOT_DUE) {
            begin_run(shard, v, cause);
        }
    }
    if (c->run == NULL) {
        return UINT64_MAX;
    }
    bool is_published = c->run->publish_at > SAMPLES_FIRST;
    uint64_t rest = c->run->is_urgent && !is_published ? REST_URGENT : REST;
    if (measure_turn(shard, v)) {
        bool is_over = is_enough(c->run) || is_superseded(c);
        conclude(shard, v);
        end_run(c);
        if (!is_over) {
            c->rest_until_us = clock_micros() + RETRY_US;
            return c->rest_until_us;
        }
    }
    uint64_t now = clock_micros();
    c->rest_until_us = now + rest * (now - started_us);
    return c->rest_until_us;
}
