/* What a search is told: the effort that its floor needs by what was measured, the more of it the
 * more has changed since; or a guess, where nothing was. */
#include "shard/calibration_int.h"
#include "shard/shard_int.h"
#include "shard/vectors_int.h"

#include <math.h>

static const double STRETCH_POWER = 1.1; /* On the hardest data ef grows with the rows. */
/* What may be missing by stored rows alone, over what may be missing. */
static const double CAUTION = 0.6;
/* Before it is measured ef is this over what may be missing: 800 for a recall of 0.95. */
static const double GUESS = 40;
/* The guess of a query that is unlike all that were measured is so many times ef at the least. */
static const double BEYOND_EF = 4;
static const double GUESSED_DISTANCES = 16; /* For each of ef. */

/* ---- how much has changed ---- */

struct extent extent_of(struct vector_index *v)
{
    unsigned side;
    /* What is staged in between may not be counted as linked: pending is asked last. */
    struct extent e = {.changes = atomic_load(&v->changes)};
    struct index *index = vector_index_enter(v, &side);
    e.rows = index_count(index);
    e.pending = index_pending(index);
    e.is_torn = index_is_torn(index);
    vector_index_leave(v, side);
    e.linked = e.rows > e.pending ? e.rows - e.pending : 0;
    e.changes -= e.pending;
    return e;
}

static double extent_over(const struct extent *e, uint64_t rows_then, uint64_t changes_then)
{
    /* Negative where recovery has yet to stage again what it was measured on. */
    int64_t changes = (int64_t)(e->changes - changes_then);
    double rows = rows_then > 0 ? (double)rows_then : 1;
    return fmax(1, fmax((double)e->linked / rows, 1 + (double)changes / rows));
}

double extent_since(const struct extent *e, const struct curve_origin *origin)
{
    return extent_over(e, origin->rows, origin->changes);
}

double extent_since_vouched(const struct extent *e, const struct curve_origin *origin)
{
    return extent_over(e, origin->vouched_rows, origin->vouched_changes);
}

/* ---- what a search is told ---- */

static double guess_ef(const struct recall_wish *wish)
{
    return fmax(GUESS / (1 - wish->floor), 4 * (double)wish->k);
}

double effort_grown(double ef, double stretch)
{
    return ef * pow(stretch, STRETCH_POWER);
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
bool effort_ask(const struct measured *m, const struct recall_wish *wish, struct curve_answer *out)
{
    struct recall_wish careful = *wish;
    careful.floor = 1 - CAUTION * (1 - wish->floor);
    if (!measured_ask(m, wish, out)) {
        return false;
    }
    struct curve_answer more;
    if (!out->origin.is_real && measured_ask(m, &careful, &more) && more.verdict == SHARD_REACHES) {
        *out = more;
    }
    return true;
}

/* Too few samples to tell of this floor: what they say is a guess, too, and the larger one counts.
 */
static bool is_too_early(const struct curve_answer *answer)
{
    return answer->verdict == SHARD_MAY_MISS && answer->origin.n_samples < CURVE_SAMPLES_FOR_HALF;
}

static void tell(const struct extent *e, const struct recall_wish *wish,
                 const struct curve_answer *answer, struct shard_effort *out)
{
    double stretch = extent_since(e, &answer->origin), ef = effort_grown(answer->ef, stretch);
    /* Rows that came since may be of another kind, and harder: where they are many, and nobody has
     * looked, they are taken for what nobody has measured. */
    double strangers = extent_since_vouched(e, &answer->origin) - 1;
    double ef_of_strangers = fmin(strangers, 1) * guess_ef(wish);
    bool is_early = is_too_early(answer) || e->is_torn;
    double more = fmax(ef, is_early ? guess_ef(wish) : ef_of_strangers) / answer->ef;
    out->verdict = is_early ? SHARD_IS_NOT_MEASURED : answer->verdict;
    out->stretch = stretch;
    out->ef = (size_t)ceil(answer->ef * more);
    out->recall = answer->recall;
    out->low = answer->low;
    out->high = answer->high;
    out->distances = answer->distances * more;
    out->filter_calls = answer->filter_calls * more;
    out->has_reach = !is_early && !isinf(answer->reach.distance);
    out->reach = answer->reach;
    out->ef_beyond = (size_t)ceil(fmax(guess_ef(wish), BEYOND_EF * answer->ef * more));
}

/* What the same search takes without its filter, or where all rows near the query pass it. */
static size_t ef_unfiltered(const struct extent *e, const struct measured *m,
                            const struct recall_wish *wish)
{
    struct recall_wish all = *wish;
    struct curve_answer answer;
    struct shard_effort effort;
    all.share = 1;
    if (!effort_ask(m, &all, &answer)) {
        return (size_t)ceil(guess_ef(&all));
    }
    tell(e, &all, &answer, &effort);
    return effort.ef;
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
    if (calibration_read(&v->calibration, measured_classes(&wish), &m) &&
        effort_ask(&m, &wish, &answer)) {
        tell(&e, &wish, &answer, out);
        out->density.most = answer.share;
        out->density.ef = answer.share < 1 ? ef_unfiltered(&e, &m, &wish) : 0;
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
    /* Asked first: what is read then is no less than what a measure that is over has told. */
    bool is_refining = v != NULL && atomic_load(&v->calibration.is_measuring);
    if (v == NULL || !calibration_read(&v->calibration, UINT32_C(1) << i, &m) ||
        m.curves[i].n_points == 0) {
        return false;
    }
    struct recall_wish wish = {.floor = recall, .k = out->k, .share = out->share};
    const struct curve_origin *origin = &m.curves[i].origin;
    struct curve_answer answer;
    CHECK(effort_ask(&m, &wish, &answer));
    struct extent e = extent_of(v);
    out->effort.rows = e.rows;
    tell(&e, &wish, &answer, &out->effort);
    out->below = curve_below(&m.curves[i], answer.ef, recall);
    out->samples = origin->n_samples;
    out->is_real = origin->is_real != 0;
    out->is_refining = is_refining;
    out->rows = origin->rows;
    out->wall_us = origin->wall_us;
    return true;
}
