/* Which ef reaches which recall on this shard's data, measured while it serves.
 *
 *   IDLE --(due)--> TRUTH: the ten nearest of each sample, by exact scan
 *        --------> LADDER: recall@10 of the walk at one ef after the other
 *        --------> CONFIRM: recall at the ef that 0.90, 0.95, 0.99 and the policy ask for --> IDLE
 *
 * Samples are queries that clients really asked; until there are enough of them, vectors of stored
 * rows.  A stored row leads a walk straight to its neighbours, so searches with its vector pass it
 * over, as if it had not been inserted: otherwise 0.95 would be promised where a query from
 * elsewhere finds 0.67 (words-100).  The samples are few: what is promised leaves a margin.
 *
 * Due when never measured, when the rows have become half as many more or have changed as much, and
 * when twice as many real queries were asked: clients may ask other things than they did at first.
 * Given up and tried again later where the rows change meanwhile by more than one in DRIFT: the
 * walk would be held against a truth that is none any more, and seem to find too little.
 *
 * What was found is kept over a restart (remember.c).
 *
 * Gentle: the keeper does one search or one rung in a turn, and then stays away from this shard for
 * REST times as long as it took, so a calibration costs at most a fifth of one core. */
#include "shard/shard_int.h"

#include <math.h>
#include <string.h>

enum {
    K = 10,
    SAMPLES_MIN = 200, /* The error of the mean is then about 0.006, ... */
    SAMPLES_MAX = 400, /* ... and here within MARGIN of a recall of 0.95, 19 times of 20. */
    ROWS_A_SAMPLE = 100,
    /* Queries noted, one of RESERVOIR_STRIDE: from so many on stored rows are not needed; of more,
     * older ones fade; and with twice as many, or so many more, recall is measured again. */
    SEEN_MIN = 2048,
    SEEN_FADE = 1 << 15,
    SEEN_AGAIN_MAX = 1 << 20,
    RESERVOIR_STRIDE = 8,
    REST = 4,
    PICK_TRIES = 8,
    CONFIRMED = 4,
    TURN_US_MAX = 20000, /* Of ladder searches before the next rest. */
    DRIFT = 100,
    DRIFT_REST_US = 2000000,
};

static const uint32_t ladder[CALIBRATION_POINTS] = {10,  14,  20,  28,  40,  56,  80,   112,
                                                    160, 224, 320, 448, 640, 896, 1280, 1792};
_Static_assert((int)SAMPLES_MAX <= (int)RESERVOIR_QUERIES &&
                   (int)RESERVOIR_QUERIES <= (int)SEEN_MIN,
               "the reservoir is full when it is used, and has as many as are wanted");
static const double targets[3] = {0.90, 0.95, 0.99};
static const double RECALL_ENOUGH = 0.9995;
/* Before it is measured ef is this over what may be missing: 240 for a recall of 0.95. */
static const double CAUTIOUS = 12;

enum phase {
    IDLE,
    TRUTH,
    LADDER,
    CONFIRM
};

struct sample {
    uint64_t truth[K];
    size_t n_truth;
};

struct calibration_run {
    enum phase phase;
    uint32_t dim;
    size_t n_wanted_samples;
    size_t n_samples, at; /* Of the samples, in this phase or rung. */
    size_t rung;
    uint64_t n_found, n_wanted;
    uint64_t rows, changes; /* When it began. */
    bool is_real;
    uint64_t n_seen;
    struct curve curve;
    uint32_t confirm_ef[CONFIRMED];
    double confirmed[CONFIRMED];
    struct sample samples[SAMPLES_MAX];
    float vectors[]; /* n_wanted_samples x dim */
};

void calibration_init(struct calibration *c)
{
    mutex_init(&c->mutex);
}

void calibration_forget(struct vector_index *v)
{
    struct calibration *c = &v->calibration;
    mutex_lock(&c->mutex);
    c->known = (struct measured){.rows = 0};
    curve_publish(&c->curve, &c->known.curve);
    c->is_graph_known = false;
    mutex_unlock(&c->mutex);
}

void calibration_fini(struct calibration *c)
{
    mem_free(MEM_SEARCH, c->reservoir);
    mem_free(MEM_SEARCH, c->run);
    mutex_fini(&c->mutex);
}

/* ---- real queries ---- */

void calibration_note_query(struct vector_index *v, uint32_t dim, const float *query)
{
    struct calibration *c = &v->calibration;
    unsigned turn = atomic_fetch_add_explicit(&c->turn, 1, memory_order_relaxed);
    /* Few rows are not measured, and 10,000 collections of them want no reservoirs. */
    if (turn % RESERVOIR_STRIDE != 0 || v->kind != INDEX_HNSW ||
        index_count(v->index) < CALIBRATION_ROWS_MIN) {
        return;
    }
    /* A search waits for nobody: where the keeper reads the reservoir, this query is not noted. */
    if (!mutex_try_lock(&c->mutex)) {
        return;
    }
    if (c->reservoir == NULL) {
        c->reservoir = mem_alloc(MEM_SEARCH, (size_t)RESERVOIR_QUERIES * dim * sizeof(float));
    }
    if (c->reservoir != NULL) {
        /* Each query of a long time is as likely to be there: clients' first ones may be easier. */
        c->n_seen++;
        uint64_t n = c->n_seen < SEEN_FADE ? c->n_seen : SEEN_FADE;
        uint64_t at = c->n_reservoir < RESERVOIR_QUERIES ? c->n_reservoir++ : hash_u64(turn) % n;
        if (at < RESERVOIR_QUERIES) {
            memcpy(c->reservoir + at * dim, query, dim * sizeof(float));
        }
    }
    mutex_unlock(&c->mutex);
}

/* ---- what is promised ---- */

size_t shard_ef_for(struct shard *shard, uint32_t column, double recall, size_t k,
                    bool *is_measured)
{
    struct vector_index *v = vectors_find(shard, column);
    CHECK(v != NULL);
    struct curve curve;
    *is_measured = curve_read(&v->calibration.curve, &curve);
    size_t ef = *is_measured ? curve_ef(&curve, recall) : (size_t)ceil(CAUTIOUS / (1 - recall));
    /* The curve is of k = 10: each further row that is asked for wants a place of its own. */
    size_t more = k > K ? k - K : 0;
    return ef + more > k ? ef + more : k;
}

bool shard_recall(struct shard *shard, uint32_t column, struct shard_recall *out)
{
    struct vector_index *v = vectors_find(shard, column);
    *out = (struct shard_recall){0};
    if (v == NULL) {
        return false;
    }
    mutex_lock(&v->calibration.mutex);
    bool is_measured = v->calibration.known.curve.n_points > 0;
    *out = v->calibration.known.shown;
    mutex_unlock(&v->calibration.mutex);
    return is_measured;
}

/* ---- beginning ---- */

/* How many queries must have been noted before they are asked for what they say. */
static uint64_t seen_wanted(const struct calibration *c) REQUIRES(c->mutex)
{
    uint64_t n = c->n_seen_measured < SEEN_MIN ? SEEN_MIN : c->n_seen_measured;
    uint64_t more = n < SEEN_AGAIN_MAX ? n : SEEN_AGAIN_MAX;
    return c->n_seen_measured == 0 ? SEEN_MIN : c->n_seen_measured + more;
}

static bool is_due(struct vector_index *v)
{
    struct calibration *c = &v->calibration;
    uint64_t rows = index_count(v->index);
    uint64_t changes = atomic_load(&v->changes);
    if (v->kind != INDEX_HNSW || rows < CALIBRATION_ROWS_MIN ||
        index_pending(v->index) > rows / 100) {
        return false;
    }
    mutex_lock(&c->mutex);
    const struct measured *m = &c->known;
    bool is_first = m->curve.n_points == 0;
    /* Negative where recovery has yet to stage again what it was measured on. */
    int64_t n_changed = (int64_t)(changes - m->changes);
    bool is_grown = rows >= m->rows + m->rows / 2 || n_changed >= (int64_t)(m->rows / 2);
    bool is_told_more = c->n_seen >= seen_wanted(c);
    mutex_unlock(&c->mutex);
    return is_first || is_grown || is_told_more;
}

static void take_real_queries(struct calibration *c, struct calibration_run *run)
{
    mutex_lock(&c->mutex);
    run->is_real = c->n_seen >= SEEN_MIN;
    run->n_seen = c->n_seen;
    if (run->is_real) {
        run->n_samples = run->n_wanted_samples;
        memcpy(run->vectors, c->reservoir, run->n_samples * run->dim * sizeof(float));
    }
    mutex_unlock(&c->mutex);
}

/* A row with a vector, drawn at random; false where none was met in a few tries. */
static bool pick_row(struct shard *shard, struct vector_index *v, struct shard_view *view,
                     struct arena *arena, struct calibration_run *run)
{
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
        memcpy(run->vectors + run->n_samples * run->dim, values[v->column].vector.data,
               run->dim * sizeof(float));
        run->n_samples++;
        return true;
    }
    return false;
}

static void take_stored_rows(struct shard *shard, struct vector_index *v,
                             struct calibration_run *run)
{
    struct err err = {0};
    struct shard_view *view;
    struct arena *arena = arena_new(MEM_SEARCH, SIZE_MAX);
    if (arena == NULL || shard_view_open(shard, &view, &err) != ERR_OK) {
        arena_free(arena);
        return;
    }
    bool is_more = true;
    while (run->n_samples < run->n_wanted_samples && is_more) {
        is_more = pick_row(shard, v, view, arena, run);
        arena_reset(arena);
    }
    shard_view_close(view);
    arena_free(arena);
}

/* In small collections recall is high and its error small. */
static size_t samples_for(uint64_t rows)
{
    uint64_t n = rows / ROWS_A_SAMPLE;
    return n < SAMPLES_MIN ? SAMPLES_MIN : n > SAMPLES_MAX ? SAMPLES_MAX : (size_t)n;
}

static void begin_run(struct shard *shard, struct vector_index *v)
{
    struct calibration *c = &v->calibration;
    uint32_t dim = shard->schema->columns[v->column].dim;
    uint64_t rows = index_count(v->index);
    size_t n = samples_for(rows);
    c->run = mem_zalloc(MEM_SEARCH, sizeof(*c->run) + n * dim * sizeof(float));
    if (c->run == NULL) {
        return; /* Another time. */
    }
    struct calibration_run *run = c->run;
    run->dim = dim;
    run->n_wanted_samples = n;
    run->rows = rows;
    run->changes = atomic_load(&v->changes);
    take_real_queries(c, run);
    if (!run->is_real) {
        take_stored_rows(shard, v, run);
    }
    run->phase = run->n_samples > 0 ? TRUTH : IDLE;
}

/* ---- measuring ---- */

static bool is_closing(void *arg)
{
    const struct shard *shard = arg;
    return atomic_load(&shard->is_closing);
}

/* The K nearest rows to a sample; 0 where the search failed. */
static size_t search_sample(struct shard *shard, struct vector_index *v, size_t at, size_t ef,
                            uint64_t rows[K])
{
    struct calibration_run *run = v->calibration.run;
    struct index_hit hits[K];
    struct index_work work = {0};
    struct err err = {0};
    size_t n_hits = 0;
    struct index_search search = {
        .query = run->vectors + at * run->dim,
        .k = K,
        .ef = ef > K ? ef : K,
        .plan = ef == 0 ? INDEX_EXACT : INDEX_WALK,
        .passes_itself_over = !run->is_real,
        .is_canceled = is_closing,
        .canceled_arg = shard,
    };
    if (index_search(v->index, &search, hits, &n_hits, &work, &err) != ERR_OK) {
        return 0;
    }
    for (size_t i = 0; i < n_hits; i++) {
        rows[i] = hits[i].row;
    }
    return n_hits;
}

static void measure_sample(struct shard *shard, struct vector_index *v, uint32_t ef)
{
    struct calibration_run *run = v->calibration.run;
    const struct sample *sample = &run->samples[run->at];
    uint64_t rows[K];
    size_t n = search_sample(shard, v, run->at, ef, rows);
    for (size_t i = 0; i < sample->n_truth; i++) {
        bool is_found = false;
        for (size_t j = 0; j < n && !is_found; j++) {
            is_found = rows[j] == sample->truth[i];
        }
        run->n_found += is_found;
    }
    run->n_wanted += sample->n_truth;
    run->at++;
}

/* Searches all samples at @ef, a turn's worth at once; true when *recall is known. */
static bool measure_rung(struct shard *shard, struct vector_index *v, uint32_t ef, double *recall)
{
    struct calibration_run *run = v->calibration.run;
    uint64_t until_us = clock_micros() + TURN_US_MAX;
    while (run->at < run->n_samples && clock_micros() < until_us) {
        measure_sample(shard, v, ef);
    }
    if (run->at < run->n_samples) {
        return false;
    }
    *recall = run->n_wanted == 0 ? 0 : (double)run->n_found / (double)run->n_wanted;
    run->at = 0;
    run->n_found = 0;
    run->n_wanted = 0;
    return true;
}

static void step_truth(struct shard *shard, struct vector_index *v)
{
    struct calibration_run *run = v->calibration.run;
    struct sample *sample = &run->samples[run->at];
    sample->n_truth = search_sample(shard, v, run->at, 0, sample->truth);
    if (++run->at == run->n_samples) {
        run->at = 0;
        run->phase = LADDER;
    }
}

static void step_ladder(struct shard *shard, struct vector_index *v)
{
    struct calibration_run *run = v->calibration.run;
    double recall;
    if (!measure_rung(shard, v, ladder[run->rung], &recall)) {
        return;
    }
    struct curve *curve = &run->curve;
    double before = curve->n_points > 0 ? curve->recall[curve->n_points - 1] : 0;
    curve->ef[curve->n_points] = ladder[run->rung];
    curve->recall[curve->n_points] = recall > before ? recall : before;
    curve->n_points++;
    run->rung++;
    if (recall >= RECALL_ENOUGH || run->rung == CALIBRATION_POINTS) {
        double policy = host_policy_float(shard->host, shard->schema, POLICY_recall);
        for (size_t i = 0; i < COUNT_OF(targets); i++) {
            run->confirm_ef[i] = curve_ef(curve, targets[i]);
        }
        run->confirm_ef[COUNT_OF(targets)] = curve_ef(curve, policy);
        run->rung = 0;
        run->phase = CONFIRM;
    }
}

static void end_run(struct shard *shard, struct vector_index *v)
{
    struct calibration *c = &v->calibration;
    struct calibration_run *run = c->run;
    mutex_lock(&c->mutex);
    struct measured *m = &c->known;
    m->curve = run->curve;
    m->rows = run->rows;
    m->changes = run->changes;
    m->is_real = run->is_real;
    c->n_seen_measured = run->is_real ? run->n_seen : c->n_seen_measured;
    m->shown = (struct shard_recall){
        .samples = run->n_samples,
        .recall = {run->confirmed[0], run->confirmed[1], run->confirmed[2]},
        .ef_for_90 = run->confirm_ef[0],
        .ef_for_95 = run->confirm_ef[1],
        .ef_for_99 = run->confirm_ef[2],
        .measured = run->confirmed[COUNT_OF(targets)],
        .wall_us = clock_wall_micros(),
    };
    c->edition++;
    c->run = NULL;
    double measured = m->shown.measured;
    metric_set(METRIC_recall_measured, (int64_t)(measured * 1e6));
    curve_publish(&c->curve, &m->curve);
    mutex_unlock(&c->mutex);
    shard_note_change(shard); /* It is written down with the next flush. */
    log_line(LOG_INFO,
             "recall measured group=%llu column=%s samples=%zu real=%s recall=%.4f ef_90=%u "
             "ef_95=%u ef_99=%u",
             (unsigned long long)shard->group_id, shard->schema->columns[v->column].name,
             run->n_samples, run->is_real ? "yes" : "no", measured, run->confirm_ef[0],
             run->confirm_ef[1], run->confirm_ef[2]);
    mem_free(MEM_SEARCH, run);
}

static void step_confirm(struct shard *shard, struct vector_index *v)
{
    struct calibration_run *run = v->calibration.run;
    if (measure_rung(shard, v, run->confirm_ef[run->rung], &run->confirmed[run->rung]) &&
        ++run->rung == CONFIRMED) {
        end_run(shard, v);
    }
}

/* True where the run's truth is of rows that are others by now. */
static bool has_drifted(const struct vector_index *v, const struct calibration_run *run)
{
    return atomic_load(&v->changes) - run->changes > run->rows / DRIFT;
}

uint64_t calibrate(struct shard *shard, struct vector_index *v)
{
    struct calibration *c = &v->calibration;
    uint64_t started_us = clock_micros();
    if (started_us < c->rest_until_us) {
        return c->rest_until_us;
    }
    if (c->run != NULL && has_drifted(v, c->run)) {
        mem_free(MEM_SEARCH, c->run);
        c->run = NULL;
        c->rest_until_us = started_us + DRIFT_REST_US;
        return c->rest_until_us;
    }
    if (c->run == NULL) {
        if (!is_due(v)) {
            return UINT64_MAX;
        }
        begin_run(shard, v);
    }
    enum phase phase = c->run == NULL ? IDLE : c->run->phase;
    switch (phase) {
    case IDLE:
        mem_free(MEM_SEARCH, c->run);
        c->run = NULL;
        return UINT64_MAX;
    case TRUTH:
        step_truth(shard, v);
        break;
    case LADDER:
        step_ladder(shard, v);
        break;
    case CONFIRM:
        step_confirm(shard, v);
        break;
    }
    uint64_t now = clock_micros();
    c->rest_until_us = now + REST * (now - started_us);
    return c->rest_until_us;
}
