/* Whether as many rows match near a query as elsewhere.
 *
 * ef was chosen for filters whose rows lie anywhere, by chance.  A walk with a filter counts how
 * many of the rows that it asked of matched, and of the nearest of them, up to the last that is
 * looked for: a few that do not match are enough there to make a hole.  Where fewer match than of
 * the caller's sample, rows are drawn from all over the index for as long as it is in doubt; one
 * sample may stand for many queries, and an unlucky one is not to count against all.  Where a
 * filter lets a tenth pass, 100 rows tell little; so what they cannot tell for sure, and what is
 * sure but little, is looked for with more effort, and only what is sure and much is taken for a
 * query of which nothing was measured. */
#include "index/walk_int.h"

#include <math.h>

enum {
    PIECE_PART = 4,   /* For so many rows that a walk has asked of, one is drawn at a time, */
    PIECE_MIN = 32,   /* and so many at least; */
    PIECES_MAX = 16,  /* so often at most. */
    ERRORS_SURE = 4,  /* Of so many standard errors there is no doubt, */
    ERRORS_DOUBT = 1, /* nor of fewer than this: no more are drawn. */
    ERRORS_MANY = 3,  /* So many are no chance; */
    ERRORS_SOME = 2,  /* and so many may be: of searches by chance, 2 in 100 are as far out. */
};
/* What is left of the share near the query, where it is so much less that more effort is a guess:
 * where nine of ten of those rows match, or seven, it is as if they were drawn by chance. */
static const double MUCH_PART = 0.6;
/* Multiples of it lie evenly between 0 and 2^64. */
static const uint64_t GOLDEN = UINT64_C(0x9e3779b97f4a7c15);

/* More match than of those for which ef was chosen, had they lain there by chance.  Where all match
 * it is as if there were no filter, and that takes more. */
static bool is_denser(const struct walk *w)
{
    double most = w->search->density.most, expected = most * (double)w->n_asked;
    double error = sqrt(expected * (1 - most));
    return w->search->density.ef > w->ef && (double)w->n_matched > expected + ERRORS_MANY * error;
}

/* Draws @n more rows from everywhere, elsewhere for each query. */
static void draw_rows(struct walk *w, size_t n)
{
    const struct slots *slots = &w->index->slots;
    uint64_t n_used = atomic_load_explicit(&slots->n_used, memory_order_acquire);
    uint64_t at = (w->nearest.slot + w->draws.n_tried) * GOLDEN;
    for (size_t i = 0; i < n; i++, at += GOLDEN) {
        uint32_t slot = (uint32_t)((at >> 32) * n_used >> 32);
        if (slot_is_live(slots, slot)) {
            w->draws.n++;
            w->draws.n_matched +=
                w->search->matches(w->search->matches_arg, node_at(slots, slot)->row);
            w->work->filter_calls++;
        }
    }
    w->draws.n_tried += n;
}

struct share {
    double n, n_matched; /* Rows, and how many of them match. */
};

/* The nearest rows that the walk asked of, as far as what is looked for. */
static struct share share_nearest(const struct walk *w)
{
    const struct beam *beam = &w->scratch->beam;
    const struct pool *refused = &w->scratch->refused;
    size_t n = beam->n < beam->rule.rank ? beam->n : beam->rule.rank, n_nearer = 0;
    float last = n > 0 ? beam->keys[n - 1] : -INFINITY;
    for (size_t i = 0; i < refused->n; i++) {
        n_nearer += refused->items[i].key <= last;
    }
    return (struct share){(double)(n + n_nearer), (double)n};
}

/* By how many standard errors the share @few is below @of. */
static double errors_between(struct share few, struct share of)
{
    if (few.n < 1 || of.n < 1) {
        return 0;
    }
    double share = (few.n_matched + of.n_matched) / (few.n + of.n);
    double error = sqrt(share * (1 - share) * (1 / few.n + 1 / of.n));
    double fewer = of.n_matched / of.n - few.n_matched / few.n;
    return fewer > 0 ? fewer / error : 0;
}

static double part_of(struct share few, struct share of)
{
    return few.n_matched / few.n * of.n / of.n_matched;
}

/* What the last walk met. */
struct met {
    struct share all, nearest;
};

/* By how many standard errors fewer match than @everywhere. */
static double errors_fewer(const struct met *met, struct share everywhere)
{
    return fmax(errors_between(met->all, everywhere), errors_between(met->nearest, everywhere));
}

static bool is_much_less(struct share few, struct share everywhere)
{
    return errors_between(few, everywhere) >= ERRORS_MANY && part_of(few, everywhere) < MUCH_PART;
}

static enum density density_beside(const struct met *met, struct share everywhere)
{
    if (is_much_less(met->all, everywhere) || is_much_less(met->nearest, everywhere)) {
        return DENSITY_LESS;
    }
    return errors_fewer(met, everywhere) >= ERRORS_SOME ? DENSITY_SOMEWHAT_LESS : DENSITY_USUAL;
}

enum density density_of_matches(struct walk *w)
{
    const struct index_density *density = &w->search->density;
    struct share sampled = {density->n_sampled, density->share * density->n_sampled}, drawn;
    struct met met = {{(double)w->n_asked, (double)w->n_matched}, share_nearest(w)};
    if (is_denser(w)) {
        return DENSITY_MORE;
    }
    if (w->nearest.slot == SLOT_NONE || errors_fewer(&met, sampled) < ERRORS_DOUBT) {
        return DENSITY_USUAL;
    }
    size_t piece = w->n_asked / PIECE_PART > PIECE_MIN ? w->n_asked / PIECE_PART : PIECE_MIN;
    double errors;
    do {
        draw_rows(w, piece);
        drawn = (struct share){(double)w->draws.n, (double)w->draws.n_matched};
        errors = errors_fewer(&met, drawn);
    } while (w->draws.n_tried < piece * PIECES_MAX && errors >= ERRORS_DOUBT &&
             errors < ERRORS_SURE);
    return density_beside(&met, drawn);
}
