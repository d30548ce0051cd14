/* Exact distances of rows that the caller names.
 *
 * A row is looked up under the map's lock, a batch at a time; from then on its slot stays what it
 * is until the search leaves its epoch, even if the row is deleted meanwhile. */
#include "index/walk_int.h"

#include <math.h>

/* The slots of rows that are in the index; the others are told to the caller. */
static size_t find_slots(struct walk *w, struct index *index, const uint64_t *rows, size_t n,
                         uint32_t *out)
{
    const struct index_search *search = w->search;
    uint32_t found[BATCH];
    size_t n_found = 0;
    mutex_lock(&index->map_lock);
    row_map_prefetch(&index->map, &index->slots, rows, n);
    for (size_t i = 0; i < n; i++) {
        found[i] = row_map_find(&index->map, &index->slots, rows[i]);
    }
    mutex_unlock(&index->map_lock);
    for (size_t i = 0; i < n; i++) {
        if (found[i] == SLOT_NONE) {
            search->is_missing(search->given_arg, rows[i]);
        } else {
            prefetch_row(vector_at(&index->slots, found[i]), w->space.dim * sizeof(float));
            out[n_found++] = found[i];
        }
    }
    return n_found;
}

enum errcode search_given(struct walk *w, struct index *index, struct err *err)
{
    const struct index_search *search = w->search;
    uint64_t rows[BATCH];
    uint32_t slots[BATCH];
    for (size_t n; (n = search->given(search->given_arg, rows, BATCH)) > 0;) {
        CHECK(n <= BATCH);
        n = find_slots(w, index, rows, n, slots);
        look_at(w, &w->scratch->found, slots, n, true);
        w->work->distances += n;
        if (walk_is_canceled(w)) {
            return err_set(err, ERR_CANCELED, "the search was canceled");
        }
    }
    return ERR_OK;
}

/* INFINITY: it is gone. */
static double angle_to(struct index *index, const float *query, uint64_t row)
{
    unsigned place = epoch_enter(&index->epochs, 0);
    mutex_lock(&index->map_lock);
    uint32_t slot = row_map_find(&index->map, &index->slots, row);
    mutex_unlock(&index->map_lock);
    double angle = INFINITY;
    if (slot != SLOT_NONE) {
        angle = exact_distance(DISTANCE_COSINE, query, vector_at(&index->slots, slot),
                               index->config.dim);
    }
    epoch_leave(&index->epochs, place);
    return angle;
}

struct index_reach index_reach_of(struct index *index, const float *query,
                                  const struct index_hit *hits, size_t n)
{
    CHECK(n > 0);
    struct index_reach reach = {.distance = hits[0].distance, .angle = INFINITY};
    if (index->config.distance != DISTANCE_DOT) {
        return reach;
    }
    double square = -exact_distance(DISTANCE_DOT, query, query, index->config.dim);
    reach.distance = square > 0 ? reach.distance / sqrt(square) : INFINITY;
    for (size_t i = 0; i < n && i < INDEX_REACH_ROWS; i++) {
        reach.angle = fmin(reach.angle, angle_to(index, query, hits[i].row));
    }
    return reach;
}
