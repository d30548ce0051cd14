/* A measure of recall: which classes of searches with which queries, one sample after the other.
 *
 * What clients ask is measured first, and the few samples that promise anything are told at once;
 * then it goes on in stages, and tells of each doubling.  A sample of the commonest class takes a
 * scan and some walks, one of all the others thirty times as much (1,000 rows, filters that few
 * rows pass): who began with all of them told nothing for tens of seconds.
 *
 * Samples are queries that clients really asked; until there are some, vectors of stored rows.  A
 * stored row leads a walk straight to its neighbours, so a search with its vector passes it over,
 * as if it had not been inserted: otherwise 0.95 would be promised where a query from elsewhere
 * finds 0.67 (words-100).  What rows have told is promised with a wider margin.  Where clients ask
 * with the vector of a stored row it is measured both ways, and the worse counts: by products the
 * row itself may be hard to find.  Rows are looked for by their vectors in any case, for what is
 * promised of the nearest alone.
 *
 * After some hundred samples what else there is of clients' queries measures the front classes
 * alone, until more would lower nobody's effort (tally.c). */
#include "shard/calibration_int.h"
#include "shard/shard_int.h"
#include "shard/tally_int.h"
#include "shard/vectors_int.h"
#include "shard/view_int.h"

#include <string.h>

enum {
    SAMPLES = 512,
    SAMPLES_OF_FEW = 256, /* Where a scan is not dear either. */
    FEW_ROWS = 20000,
    OWN_TURNS = 2,
    SHARP_AFTER = 64, /* So many more samples it is asked whether they are enough. */
    PICK_TRIES = 8,
};
/* Standard errors that a promise stays below the mean. */
static const double CERTAINTY = 2;

/* As many samples as these, or as there are queries. */
static const struct stage {
    bool is_front;
    uint32_t n;
} stages[] = {
    {true, SAMPLES},
    {false, MEASURE_FIRST},
    {true, UINT32_MAX},
    {false, UINT32_MAX},
};

/* The front classes, or the others. */
struct part {
    uint32_t classes; /* As bits. */
    uint32_t n;       /* Queries. */
    uint32_t tell_at;
    uint32_t n_measured;
    double rows_sum, changes_sum; /* Linked, over those. */
};
struct measure {
    struct shard *shard;
    struct vector_index *v;
    struct tally tally;
    enum measure_kind kind;
    uint32_t n_queries; /* That there are. */
    unsigned stage;
    bool has_told;
    struct part front, others;
    float query[];
};

bool measure_is_canceled(void *arg)
{
    const struct shard *shard = arg;
    return atomic_load(&shard->is_closing);
}

struct measure *measure_new(struct shard *shard, struct vector_index *v, enum measure_kind kind,
                            uint32_t n_queries, uint32_t front, struct err *err)
{
    uint32_t dim = shard->schema->columns[v->column].dim;
    struct measure *m = mem_zalloc(MEM_SEARCH, sizeof(*m) + dim * sizeof(float));
    if (m == NULL || tally_init(&m->tally, err) != ERR_OK) {
        mem_free(MEM_SEARCH, m);
        err_no_memory(err);
        return NULL;
    }
    m->shard = shard;
    m->v = v;
    m->kind = kind;
    m->tally.n_broad = extent_of(v).linked < FEW_ROWS ? SAMPLES_OF_FEW : SAMPLES;
    m->tally.is_canceled = measure_is_canceled;
    m->tally.canceled_arg = shard;
    m->n_queries = kind == MEASURE_ROWS ? m->tally.n_broad : n_queries;
    m->front = (struct part){.classes = front, .tell_at = MEASURE_FIRST};
    m->others = (struct part){.classes = kind == MEASURE_FRESH ? 0 : CURVES_ALL & ~front,
                              .tell_at = MEASURE_FIRST};
    return m;
}

void measure_free(struct measure *m)
{
    if (m != NULL) {
        tally_fini(&m->tally);
        mem_free(MEM_SEARCH, m);
    }
}

enum measure_kind measure_kind_of(const struct measure *m)
{
    return m->kind;
}

uint32_t measure_front(const struct measure *m)
{
    return m->front.classes;
}

bool measure_is_at_front(const struct measure *m)
{
    return m->stage < COUNT_OF(stages) && stages[m->stage].is_front;
}

bool measure_has_told(const struct measure *m)
{
    return m->has_told;
}

/* ---- the next query ---- */

/* A row with a vector, drawn at random; false where none was met in a few tries. */
static bool pick_row(struct measure *m, struct shard_view *view, struct arena *arena)
{
    struct vector_index *v = m->v;
    for (int i = 0; i < PICK_TRIES; i++) {
        struct err err = {0};
        struct shard_row row;
        struct value values[COLUMNS_MAX];
        uint64_t columns[4] = {0};
        bool found;
        uint64_t from = 1 + random_next(&v->calibration.chance) % view->next_row;
        columns[v->column / 64] = UINT64_C(1) << (v->column % 64);
        if (shard_view_next(view, from, &row, &found, &err) != ERR_OK || !found ||
            shard_row_decode(m->shard->schema, &row, columns, values, arena, &err) != ERR_OK ||
            values[v->column].type != TYPE_VECTOR) {
            continue;
        }
        memcpy(m->query, values[v->column].vector.data,
               values[v->column].vector.dim * sizeof(float));
        return true;
    }
    return false;
}

static bool take_row(struct measure *m)
{
    struct err err = {0};
    struct shard_view *view;
    struct arena *arena = arena_new(MEM_SEARCH, SIZE_MAX);
    bool found = false;
    if (arena != NULL && shard_view_open(m->shard, &view, &err) == ERR_OK) {
        found = pick_row(m, view, arena);
        shard_view_close(view);
    }
    arena_free(arena);
    return found;
}

static bool take_query(struct measure *m, uint32_t i)
{
    struct calibration *c = &m->v->calibration;
    if (m->kind == MEASURE_ROWS) {
        return take_row(m);
    }
    uint32_t dim = m->shard->schema->columns[m->v->column].dim;
    mutex_lock(&c->mutex);
    bool found = queries_get(&c->queries, dim, m->kind == MEASURE_FRESH, i, m->query);
    mutex_unlock(&c->mutex);
    return found;
}

/* ---- measuring ---- */

static enum errcode add_query(struct measure *m, uint32_t classes)
{
    const struct column *column = &m->shard->schema->columns[m->v->column];
    struct err err = {0};
    unsigned side;
    struct tally_query query = {.index = vector_index_enter(m->v, &side),
                                .distance = column->distance,
                                .dim = column->dim,
                                .vector = m->query,
                                .classes = classes,
                                .is_asked = m->kind != MEASURE_ROWS};
    enum errcode code = tally_add(&m->tally, &query, &err);
    vector_index_leave(m->v, side);
    return code;
}

/* Beside some queries a row is looked for by its vector, or what is nearer by products. */
static bool is_own_due(const struct measure *m, uint32_t classes, uint32_t i)
{
    return (classes >> CURVE_OF_NEAREST & 1) != 0 && i < m->tally.n_broad && i % OWN_TURNS == 0;
}

static bool add_sample(struct measure *m, struct part *part, uint32_t classes)
{
    uint32_t i = part->n;
    if (is_own_due(m, classes, i) && take_row(m) &&
        add_query(m, UINT32_C(1) << TALLY_OWN) != ERR_OK) {
        return false;
    }
    if (!take_query(m, i) || add_query(m, classes) != ERR_OK) {
        return false;
    }
    struct extent e = extent_of(m->v);
    part->n_measured++;
    part->rows_sum += (double)e.linked;
    part->changes_sum += (double)e.changes;
    return true;
}

/* ---- stages ---- */

static bool is_sharp(const struct measure *m)
{
    bool is = m->front.n >= SAMPLES && m->front.n % SHARP_AFTER == 0;
    for (unsigned i = 0; i < CURVE_COUNT && is; i++) {
        is = (m->front.classes >> i & 1) == 0 || tally_is_sharp(&m->tally, i, CERTAINTY);
    }
    return is;
}

/* There is no more to do for this stage. */
static bool is_done(const struct measure *m)
{
    const struct stage *stage = &stages[m->stage];
    uint32_t most = m->n_queries;
    if (!stage->is_front) {
        most = most < m->tally.n_broad ? most : m->tally.n_broad;
        return m->others.classes == 0 || m->others.n >= most || m->others.n >= stage->n;
    }
    return m->front.n >= most || m->front.n >= stage->n || is_sharp(m);
}

enum measure_step measure_one(struct measure *m)
{
    struct part *part = stages[m->stage].is_front ? &m->front : &m->others;
    uint32_t classes = part->classes & tally_turns(part->n);
    if (classes != 0 && !add_sample(m, part, classes)) {
        return MEASURE_FAILED;
    }
    part->n++;
    bool is_to_tell = part->n == part->tell_at && m->kind != MEASURE_FRESH;
    part->tell_at *= is_to_tell ? 2 : 1;
    while (m->stage < COUNT_OF(stages) && is_done(m)) {
        m->stage++;
    }
    m->has_told = m->has_told || is_to_tell;
    return m->stage == COUNT_OF(stages) ? MEASURE_IS_OVER
           : is_to_tell                 ? MEASURE_TELLS
                                        : MEASURE_GOES_ON;
}

bool measure_missed(struct measure *m, const struct missed_rows *known, struct missed_rows *out)
{
    return missed_sum_up(&m->tally.missed, known, out);
}

void measure_sum_up(struct measure *m, struct measured *out)
{
    struct index_reach reach = tally_reach(&m->tally);
    for (unsigned i = 0; i < CURVE_COUNT; i++) {
        const struct part *part = (m->front.classes >> i & 1) != 0 ? &m->front : &m->others;
        struct curve *curve = &out->curves[i];
        tally_curve(&m->tally, i, CERTAINTY, curve);
        if (curve->n_points > 0) {
            curve->reach = (float)reach.distance;
            curve->angle = (float)reach.angle;
            curve->origin.rows = (uint64_t)(part->rows_sum / part->n_measured);
            curve->origin.changes = (uint64_t)(part->changes_sum / part->n_measured);
            curve->origin.vouched_rows = curve->origin.rows;
            curve->origin.vouched_changes = curve->origin.changes;
            curve->origin.is_real = m->kind != MEASURE_ROWS;
            curve->origin.wall_us = clock_wall_micros();
        }
    }
}
