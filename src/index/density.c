/* Whether as many rows match near a query as elsewhere.
 *
 * ef was chosen for filters whose rows lie anywhere, by chance.  A walk with a filter counts how
 * many of the rows that it asked of matched, and rows are drawn from all over the index for as long
 * as it is in doubt that as many match there.  Where one filter lets a tenth pass, 100 rows tell
 * little; so what they cannot tell for sure is looked for with more effort, and only what is sure
 * is taken for a query of which nothing was measured. */
#include "index/walk_int.h"

#include <math.h>

enum {
    PIECE_PART = 4,   /* For so many rows that a walk has asked of, one is drawn at a time, */
    PIECE_MIN = 32,   /* and so many at least; */
    PIECES_MAX = 16,  /* so often at most. */
    ERRORS_MANY = 3,  /* So many standard errors are no chance; */
    ERRORS_SOME = 2,  /* and so many may be: of searches by chance, 2 in 100 are as far out. */
    ERRORS_DOUBT = 1, /* Of fewer there is no doubt. */
};
/* Where fewer match than this part of what the caller thinks, it is made sure. */
static const double DOUBT_PART = 0.95;
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

/* By how many standard errors fewer rows match near the query than of those drawn. */
static double errors_fewer(const struct walk *w)
{
    double asked = (double)w->n_asked, drawn = (double)w->draws.n;
    if (w->draws.n == 0 || w->n_asked == 0) {
        return 0;
    }
    double share = (double)(w->n_matched + w->draws.n_matched) / (asked + drawn);
    double error = sqrt(share * (1 - share) * (1 / asked + 1 / drawn));
    double fewer = (double)w->draws.n_matched / drawn - (double)w->n_matched / asked;
    return fewer > 0 ? fewer / error : 0;
}

enum density density_of_matches(struct walk *w)
{
    double thought = w->search->density.share * (double)w->n_asked;
    if (w->n_asked == 0 || is_denser(w)) {
        return w->n_asked == 0 ? DENSITY_USUAL : DENSITY_MORE;
    }
    if (w->nearest.slot == SLOT_NONE || !((double)w->n_matched < DOUBT_PART * thought)) {
        return DENSITY_USUAL;
    }
    size_t piece = w->n_asked / PIECE_PART > PIECE_MIN ? w->n_asked / PIECE_PART : PIECE_MIN;
    double errors = ERRORS_DOUBT;
    for (size_t most = piece * PIECES_MAX;
         w->draws.n_tried < most && errors >= ERRORS_DOUBT && errors < ERRORS_MANY;
         errors = errors_fewer(w)) {
        draw_rows(w, piece);
    }
    errors = errors_fewer(w);
    return errors >= ERRORS_MANY   ? DENSITY_LESS
           : errors >= ERRORS_SOME ? DENSITY_SOMEWHAT_LESS
                                   : DENSITY_USUAL;
}
