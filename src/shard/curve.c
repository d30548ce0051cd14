/* The curves of a graph: which ef reached which recall, for each class of searches, and the ef that
 * a wanted recall needs.
 *
 * Between two points nothing is promised: recall may rise in steps.  Between two classes of k ef
 * grows as a power of k; in truth it grows about in line with k, which stays below such a power
 * between the two ends.  Between two shares of rows that match the larger ef of both is taken.
 *
 * Every search reads them, so that reading takes no lock and waits for nobody: what was measured is
 * published into the slot that the newest is not in, and then its number.  A reader copies out of
 * the slot of the number it saw, and what it has copied is whole where the number is still the
 * same: the slot is written again only after the next number has been published.  The slots' words
 * are stored with release and loaded with acquire: who meets a word of a later edition sees a later
 * number too. */
#include "shard/calibration_int.h"

#include <math.h>
#include <string.h>

const struct recall_class recall_classes[CURVE_COUNT] = {
    {10, 1},     {1, 1},     {100, 1},    {1000, 1},   {10, 0.5F},
    {100, 0.5F}, {10, 0.1F}, {100, 0.1F}, {10, 0.01F}, {10, 0.001F},
};
const float curve_floors[CURVE_FLOORS] = {0.8F, 0.9F, 0.95F, 0.98F, 0.99F, 1};

/* ---- one curve ---- */

/* As a mean of two that share @t of the way from @a to @b. */
static double between(double a, double b, double t)
{
    return a > 0 && b > 0 ? a * pow(b / a, t) : a + (b - a) * t;
}

double curve_below(const struct curve *c, double ef, double floor)
{
    size_t i = 0, at = 0;
    while (i + 1 < CURVE_FLOORS && curve_floors[i] < (float)floor) {
        i++;
    }
    while (at + 1 < c->n_points && c->points[at].ef < ef) {
        at++;
    }
    return c->points[at].below[i];
}

/* Of two curves that one answer is taken from: the older, as sure as the less sure one. */
static struct curve_origin older_of(const struct curve_origin *a, const struct curve_origin *b)
{
    struct curve_origin older = a->wall_us <= b->wall_us ? *a : *b;
    older.n_samples = a->n_samples < b->n_samples ? a->n_samples : b->n_samples;
    older.is_real = a->is_real & b->is_real;
    /* Changes are negative where recovery has yet to stage again what was there. */
    bool is_first = (int64_t)(a->vouched_changes - b->vouched_changes) <= 0;
    const struct curve_origin *first = is_first ? a : b;
    older.vouched_rows = first->vouched_rows;
    older.vouched_changes = first->vouched_changes;
    return older;
}

/* The worse of both in what is promised, and between them in what it costs. */
static struct curve_answer answer_between(const struct curve_answer *a,
                                          const struct curve_answer *b, double t)
{
    return (struct curve_answer){
        .ef = between(a->ef, b->ef, t),
        .recall = a->recall + (b->recall - a->recall) * t,
        .low = a->low + (b->low - a->low) * t,
        .high = a->high + (b->high - a->high) * t,
        .distances = between(a->distances, b->distances, t),
        .filter_calls = between(a->filter_calls, b->filter_calls, t),
        .reach = {fmax(a->reach.distance, b->reach.distance), fmax(a->reach.angle, b->reach.angle)},
        .verdict = a->verdict > b->verdict ? a->verdict : b->verdict,
        .origin = older_of(&a->origin, &b->origin),
    };
}

struct curve_answer curve_ask(const struct curve *c, double floor)
{
    CHECK(c->n_points > 0 && c->n_points <= CURVE_POINTS);
    size_t i = 0;
    while (i + 1 < c->n_points && c->points[i].promise < (float)floor) {
        i++;
    }
    const struct curve_point *p = &c->points[i];
    return (struct curve_answer){
        .ef = p->ef,
        .recall = p->recall,
        .low = p->low,
        .high = p->high,
        .distances = p->distances,
        .filter_calls = p->filter_calls,
        .reach = {(double)c->reach, (double)c->angle},
        .verdict = p->promise >= (float)floor ? SHARD_REACHES
                   : p->high < floor          ? SHARD_MISSES
                                              : SHARD_MAY_MISS,
        .origin = c->origin,
    };
}

/* ---- between the classes ---- */

static const float shares[] = {1, 0.5F, 0.1F, 0.01F, 0.001F}; /* Those of the classes, falling. */

/* The class of @share whose k is next to @k: at least, or at most. -1: there is none. */
static int class_next_to(const struct measured *m, float share, size_t k, bool is_at_least)
{
    int best = -1;
    for (int i = 0; i < CURVE_COUNT; i++) {
        const struct recall_class *c = &recall_classes[i];
        if (c->share != share || m->curves[i].n_points == 0 ||
            (is_at_least ? c->k < k : c->k > k)) {
            continue;
        }
        bool is_nearer = best < 0 || (is_at_least ? c->k < recall_classes[best].k
                                                  : c->k > recall_classes[best].k);
        best = is_nearer ? i : best;
    }
    return best;
}

/* It stands, but promises nothing. */
static void doubt(struct curve_answer *a)
{
    if (a->verdict == SHARD_REACHES) {
        a->verdict = SHARD_MAY_MISS;
        a->origin.n_samples = 0;
    }
}

static bool ask_share(const struct measured *m, float share, const struct recall_wish *wish,
                      struct curve_answer *out)
{
    int low = class_next_to(m, share, wish->k, false);
    int high = class_next_to(m, share, wish->k, true);
    if (low < 0 && high < 0) {
        return false;
    }
    *out = curve_ask(&m->curves[low < 0 ? high : low], wish->floor);
    if (low >= 0 && high >= 0 && low != high) {
        double k_low = recall_classes[low].k, k_high = recall_classes[high].k;
        struct curve_answer other = curve_ask(&m->curves[high], wish->floor);
        *out = answer_between(out, &other, log((double)wish->k / k_low) / log(k_high / k_low));
    } else if (high < 0) {
        double more = (double)wish->k / recall_classes[low].k;
        out->ef *= more;
        out->distances *= more;
        out->filter_calls *= more;
    } else if (low < 0 && share >= 1 && wish->k < recall_classes[0].k) {
        doubt(out); /* Rows may be harder to find by their vectors: see lower_to_own in tally.c. */
    }
    return true;
}

/* A walk that looks for rows of which fewer match meets so many more.  What was measured without a
 * filter promises nothing of one. */
static void thin_out(struct curve_answer *a, double from_share, double to_share)
{
    if (from_share >= 1) {
        doubt(a);
    }
    a->distances *= from_share / to_share;
    a->filter_calls = fmax(a->filter_calls, a->distances * from_share) * (from_share / to_share);
}

/* With a filter nobody measures what fewer rows take than those of the first class: as many times
 * more as the nearest alone takes without one.  Of few distances many rows are as near as the
 * tenth, and those are found more easily than the nearest (binary vectors: ten at 0.966, one at
 * 0.926, for 0.95). */
static void raise_for_few(const struct measured *m, const struct recall_wish *wish,
                          struct curve_answer *out)
{
    const struct curve *nearest = &m->curves[CURVE_OF_NEAREST], *first = &m->curves[0];
    if (wish->k >= recall_classes[0].k || nearest->n_points == 0 || first->n_points == 0) {
        return;
    }
    struct curve_answer few = curve_ask(nearest, wish->floor), many = curve_ask(first, wish->floor);
    double more = fmax(few.ef / many.ef, 1);
    out->ef *= more;
    out->distances *= more;
    out->filter_calls *= more;
    out->recall = fmin(out->recall, few.recall);
    out->low = fmin(out->low, few.low);
    out->high = fmin(out->high, few.high);
    out->verdict = out->verdict > few.verdict ? out->verdict : few.verdict;
}

/* As below, for shares that are less than 1. */
static bool ask_filtered(const struct measured *m, const struct recall_wish *wish,
                         struct curve_answer *out)
{
    size_t at = 0; /* The share next to it that is not less. */
    while (at + 1 < COUNT_OF(shares) && shares[at + 1] >= (float)wish->share) {
        at++;
    }
    bool is_known = ask_share(m, shares[at], wish, out);
    while (!is_known && at > 0) {
        is_known = ask_share(m, shares[--at], wish, out);
    }
    struct curve_answer fewer;
    bool has_fewer = at + 1 < COUNT_OF(shares) && shares[at] > (float)wish->share &&
                     ask_share(m, shares[at + 1], wish, &fewer);
    if (!is_known || !has_fewer) {
        thin_out(out, shares[at], wish->share);
        out->share = (double)shares[at];
        return is_known;
    }
    double t = log(wish->share / shares[at]) / log(shares[at + 1] / shares[at]);
    double ef = fmax(out->ef, fewer.ef);
    *out = answer_between(out, &fewer, t);
    out->ef = ef;
    out->share = (double)shares[at];
    return true;
}

bool measured_ask(const struct measured *m, const struct recall_wish *wish,
                  struct curve_answer *out)
{
    bool is_known = wish->share < 1 ? ask_filtered(m, wish, out) : ask_share(m, 1, wish, out);
    if (!is_known) {
        return false;
    }
    if (wish->share < 1) {
        raise_for_few(m, wish, out);
    } else {
        out->share = 1;
    }
    return true;
}

uint32_t measured_classes(const struct recall_wish *wish)
{
    uint32_t classes = 0;
    for (unsigned i = 0; i < CURVE_COUNT; i++) {
        bool is_of_it = wish->share < 1 || recall_classes[i].share == 1;
        /* The commonest wish of all needs one curve alone. */
        bool is_next = wish->share < 1 || wish->k != recall_classes[0].k || i == 0;
        classes |= (uint32_t)(is_of_it && is_next) << i;
    }
    return classes;
}

/* ---- publishing ---- */

enum {
    WORDS_A_POINT = sizeof(struct curve_point) / sizeof(uint32_t),
    ORIGIN_WORDS = sizeof(struct curve_origin) / sizeof(uint32_t),
    CURVE_HEAD_WORDS = offsetof(struct curve, points) / sizeof(uint32_t),
    CURVE_WORDS = sizeof(struct curve) / sizeof(uint32_t),
};
_Static_assert(sizeof(struct measured) == CURVE_COUNT * CURVE_WORDS * sizeof(uint32_t),
               "it is words and nothing else");

struct published {
    _Atomic uint64_t number;
    struct slot {
        _Atomic uint32_t curves[CURVE_COUNT][CURVE_WORDS];
    } slots[2];
};

struct published *published_new(struct err *err)
{
    struct published *p = mem_zalloc(MEM_SEARCH, sizeof(*p));
    if (p == NULL) {
        err_no_memory(err);
    }
    return p;
}

void published_free(struct published *p)
{
    mem_free(MEM_SEARCH, p);
}

static void store_words(_Atomic uint32_t *to, const void *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, (const uint8_t *)from + i * sizeof(word), sizeof(word));
        atomic_store_explicit(&to[i], word, memory_order_release);
    }
}

static void load_words(void *to, const _Atomic uint32_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t word = atomic_load_explicit(&from[i], memory_order_acquire);
        memcpy((uint8_t *)to + i * sizeof(word), &word, sizeof(word));
    }
}

void published_write(struct published *p, const struct measured *m)
{
    uint64_t number = atomic_load_explicit(&p->number, memory_order_relaxed) + 1;
    struct slot *slot = &p->slots[number % 2];
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        store_words(slot->curves[i], &m->curves[i], CURVE_WORDS);
    }
    atomic_store_explicit(&p->number, number, memory_order_release);
}

static void load_curve(const _Atomic uint32_t *words, struct curve *out)
{
    load_words(out, words, CURVE_HEAD_WORDS);
    /* Of two editions at once it may be anything: the reader finds out, and reads again. */
    size_t n = out->n_points < CURVE_POINTS ? out->n_points : CURVE_POINTS;
    load_words(out->points, words + CURVE_HEAD_WORDS, n * WORDS_A_POINT);
}

void published_read_origins(const struct published *p, struct curve_origin out[CURVE_COUNT])
{
    uint64_t number, seen = atomic_load_explicit(&p->number, memory_order_acquire);
    do {
        number = seen;
        for (unsigned i = 0; i < CURVE_COUNT; i++) {
            load_words(&out[i], p->slots[number % 2].curves[i], ORIGIN_WORDS);
        }
        seen = atomic_load_explicit(&p->number, memory_order_acquire);
    } while (seen != number);
}

void published_read(const struct published *p, uint32_t classes, struct measured *out)
{
    uint64_t number, seen = atomic_load_explicit(&p->number, memory_order_acquire);
    do {
        number = seen;
        const struct slot *slot = &p->slots[number % 2];
        for (unsigned i = 0; i < CURVE_COUNT; i++) {
            out->curves[i].n_points = 0;
            if ((classes >> i & 1) != 0) {
                load_curve(slot->curves[i], &out->curves[i]);
            }
        }
        seen = atomic_load_explicit(&p->number, memory_order_acquire);
    } while (seen != number);
}

bool calibration_read(const struct calibration *c, uint32_t classes, struct measured *out)
{
    const struct published *p = atomic_load_explicit(&c->published, memory_order_acquire);
    if (p != NULL) {
        published_read(p, classes, out);
    }
    return p != NULL;
}

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
