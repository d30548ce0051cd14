/* Exact distances of rows that the caller names.
 *
 * A row is looked up under the map's lock, a batch at a time; from then on its slot stays what it
 * is until the search leaves its epoch, even if the row is deleted meanwhile. */
#include "index/walk_int.h"

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
