/* Which neighbours a node keeps: algorithm 4 of the paper, with the alpha of DiskANN, and lists
 * that are full: behind the edges that the rule chose stand the nearest others.
 *
 * Distances are squares here, or half of them, and start at 0: a key less the key of two equal
 * rows.  An estimate may lie below, which counts as 0.  Under DOT it keeps its sign: rows longer
 * than the reduction's radius are compared by product, and the larger one goes first. */
#include "index/build_int.h"

#include <float.h>
#include <string.h>

enum {
    CHOSEN_STEP = 8, /* Distances asked for at once: a refusal mostly comes early. */
};

/* A chosen row hides a farther one whose distance to it, so many times, is not more than that to
 * the base.  More than 1 keeps a few edges more, which saves hops; 1.1 costs distances. */
static const float alpha = 1.05f;

static float zero_of(const struct code_space *space)
{
    if (space->code == &code_exact) {
        return 0;
    }
    switch (space->distance) {
    case DISTANCE_L2:
        return 0;
    case DISTANCE_COSINE:
        return -1;
    case DISTANCE_DOT:
    default:
        return -space->reduction * space->reduction;
    }
}

float select_distance(const struct code_space *space, float key)
{
    float distance = key - zero_of(space);
    float least = space->distance == DISTANCE_DOT ? -FLT_MAX : 0;
    return distance > least ? distance : least; /* Nor is it NaN where floats overflowed. */
}

/* Whether a chosen row hides another: how far it is from that, and that from the base. */
static bool hides(float between, float far)
{
    return (far > 0 ? alpha * between : between) <= far;
}

float select_error(const struct code_space *space, const struct code_query *query)
{
    float of_product =
        space->code->error(space->dim, space->distance) * query->exact_norm * query->exact_norm;
    return space->distance == DISTANCE_L2 ? 2 * of_product : of_product;
}

static void distances_of(const struct code_space *space, const struct code_query *query,
                         const uint32_t *slots, size_t n, float *out)
{
    space->code->keys(space, query, slots, n, out);
    for (size_t i = 0; i < n; i++) {
        out[i] = select_distance(space, out[i]);
    }
}

static void distances_around(const struct code_space *space, uint32_t base, const uint32_t *slots,
                             size_t n, float *out)
{
    struct code_room room;
    struct code_query query;
    space->code->query_of_row(space, base, &room, &query);
    distances_of(space, &query, slots, n, out);
}

static bool is_copy(const struct code_space *space, uint32_t a, uint32_t b)
{
    size_t bytes = space->code->row_bytes(space->dim, space->distance);
    return memcmp(space->rows + a * space->stride, space->rows + b * space->stride, bytes) == 0;
}

enum verdict {
    CHOSEN,
    HIDDEN,
    HIDDEN_COPY, /* It may be the same as a chosen one. */
};

/* Whether a chosen row hides @slot, whose distance to the base is @distance. */
static enum verdict judge(const struct code_space *space, uint32_t slot, float distance,
                          const uint32_t *chosen, size_t n_chosen)
{
    struct code_room room;
    struct code_query query;
    if (n_chosen > 0) {
        space->code->query_of_row(space, slot, &room, &query);
    }
    for (size_t at = 0; at < n_chosen; at += CHOSEN_STEP) {
        float between[CHOSEN_STEP];
        size_t n = n_chosen - at < CHOSEN_STEP ? n_chosen - at : CHOSEN_STEP;
        distances_of(space, &query, chosen + at, n, between);
        for (size_t i = 0; i < n; i++) {
            if (hides(between[i], distance)) {
                bool is_same = between[i] <= 0 && is_copy(space, slot, chosen[at + i]);
                return is_same ? HIDDEN_COPY : HIDDEN;
            }
        }
    }
    return CHOSEN;
}

bool select_accepts(const struct index *index, struct candidate c, const uint32_t *chosen,
                    size_t n_chosen)
{
    struct code_space space = space_of_codes(index);
    return judge(&space, c.slot, select_distance(&space, c.key), chosen, n_chosen) == CHOSEN;
}

void select_neighbours(const struct code_space *space, const struct candidate *sorted, size_t n,
                       size_t max, struct list *out)
{
    uint32_t filling[LINKS_MAX] = {0};
    size_t n_filling = 0;
    *out = (struct list){.n = 0};
    for (size_t i = 0; i < n && out->n < max; i++) {
        float distance = select_distance(space, sorted[i].key);
        enum verdict verdict = judge(space, sorted[i].slot, distance, out->links, out->n);
        if (verdict == CHOSEN) {
            out->links[out->n++] = sorted[i].slot;
        } else if (verdict == HIDDEN && n_filling < max) {
            filling[n_filling++] = sorted[i].slot;
        }
    }
    out->chosen = out->n;
    for (size_t i = 0; i < n_filling && out->n < max; i++) {
        out->links[out->n++] = filling[i];
    }
}

/* ---- one more edge ---- */

/* A list, and how far its rows are from the base and from the row that wants a place. */
struct offer {
    const struct code_space *space;
    const struct slots *slots;
    uint32_t base, slot;
    float distance; /* Between the two. */
    struct list *list;
    float of_base[LINKS_MAX + 1], of_slot[LINKS_MAX];
};

static void offer_measure(struct offer *offer)
{
    struct list *list = offer->list;
    uint32_t all[LINKS_MAX + 1];
    memcpy(all, list->links, list->n * sizeof(*all));
    all[list->n] = offer->slot;
    distances_around(offer->space, offer->base, all, list->n + 1, offer->of_base);
    distances_around(offer->space, offer->slot, all, list->n, offer->of_slot);
    offer->distance = offer->of_base[list->n];
}

static enum verdict offer_judge(const struct offer *offer)
{
    const struct list *list = offer->list;
    enum verdict verdict = CHOSEN;
    for (size_t i = 0; i < list->n; i++) {
        if (offer->of_slot[i] <= 0 && is_copy(offer->space, offer->slot, list->links[i])) {
            return HIDDEN_COPY;
        }
        if (i < list->chosen && offer->of_base[i] <= offer->distance &&
            hides(offer->of_slot[i], offer->distance)) {
            verdict = HIDDEN;
        }
    }
    return verdict;
}

static void swap(float *x, size_t a, size_t b)
{
    float kept = x[a];
    x[a] = x[b];
    x[b] = kept;
}

/* What the new row hides only fills from now on; not edges of the tree. */
static void demote_hidden(struct offer *offer)
{
    struct list *list = offer->list;
    for (size_t i = list->chosen; i-- > list->kept;) {
        if (offer->of_base[i] > offer->distance && hides(offer->of_slot[i], offer->of_base[i])) {
            list_demote(list, i);
            swap(offer->of_base, i, list->chosen);
            swap(offer->of_slot, i, list->chosen);
        }
    }
}

/* The farthest that only fills; list->n where there is none. */
static size_t farthest_filling(const struct offer *offer)
{
    const struct list *list = offer->list;
    size_t at = list->n;
    struct candidate farthest = {.key = 0, .slot = SLOT_NONE};
    for (size_t i = list->chosen; i < list->n; i++) {
        struct candidate c = {.key = offer->of_base[i], .slot = list->links[i]};
        if (at == list->n || candidate_is_nearer(offer->slots, farthest, c)) {
            farthest = c;
            at = i;
        }
    }
    return at;
}

uint32_t list_offer(const struct slots *slots, const struct code_space *space, struct list *list,
                    size_t max, uint32_t base, uint32_t slot)
{
    struct offer offer = {.space = space, .slots = slots, .base = base, .slot = slot, .list = list};
    offer_measure(&offer);
    enum verdict verdict = offer_judge(&offer);
    uint32_t loser = SLOT_NONE;
    if (verdict == HIDDEN_COPY) {
        return slot;
    }
    if (verdict == CHOSEN) {
        demote_hidden(&offer);
    }
    if (list->n == max) {
        size_t at = farthest_filling(&offer);
        if (at == list->n || (verdict == HIDDEN && offer.of_base[at] <= offer.distance)) {
            return slot;
        }
        loser = list->links[at];
        list_remove(list, at);
    }
    if (verdict == CHOSEN) {
        list_add_chosen(list, slot);
    } else {
        list_add_filling(list, slot);
    }
    return loser;
}

/* ---- order ---- */

void candidates_around(const struct index *index, uint32_t base, const uint32_t *slots, size_t n,
                       struct candidate *out)
{
    struct code_space space = space_of_codes(index);
    struct code_room room;
    struct code_query query;
    space.code->query_of_row(&space, base, &room, &query);
    for (size_t at = 0; at < n; at += BATCH) {
        float keys[BATCH];
        size_t n_now = n - at < BATCH ? n - at : BATCH;
        space.code->keys(&space, &query, slots + at, n_now, keys);
        for (size_t i = 0; i < n_now; i++) {
            out[at + i] = (struct candidate){.key = keys[i], .slot = slots[at + i]};
        }
    }
    candidates_sort(&index->slots, out, n);
}
