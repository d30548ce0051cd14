/* Hits in order: by distance, then by label, then by key.
 *
 * A hit's label orders rows as their keys do.  Where two rows at one distance have equal labels and
 * the label is not all of the key, the keys themselves are read. */
#include "query/portal_int.h"
#include "query/search_int.h"

#include "plan/plan.h"

#include <stdlib.h>

static int compare_hits(const void *a, const void *b)
{
    const struct search_hit *x = a, *y = b;
    if (x->distance != y->distance) {
        return x->distance < y->distance ? -1 : 1;
    }
    if (x->label != y->label) {
        return x->label < y->label ? -1 : 1;
    }
    if (x->key.type != TYPE_NULL && y->key.type != TYPE_NULL) {
        int order = value_compare(&x->key, &y->key);
        if (order != 0) {
            return order;
        }
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

static bool is_tie(const struct search_hit *a, const struct search_hit *b)
{
    return a->distance == b->distance && a->label == b->label;
}

static bool is_sorted(const struct searcher *self)
{
    for (size_t i = 1; i < self->n_hits; i++) {
        if (compare_hits(&self->hits[i - 1], &self->hits[i]) > 0) {
            return false;
        }
    }
    return true;
}

/* Most often the index has put them in order. */
static void sort(struct searcher *self)
{
    if (!is_sorted(self)) {
        qsort(self->hits, self->n_hits, sizeof(*self->hits), compare_hits);
    }
}

enum errcode search_order(struct searcher *self, struct err *err)
{
    CHECK(self->n_hits == 0 || self->hits != NULL);
    struct search_hit *hits = self->hits;
    bool has_ties = false;
    sort(self);
    for (size_t i = 1; i < self->n_hits && !has_ties; i++) {
        has_ties = is_tie(&hits[i - 1], &hits[i]);
    }
    if (!has_ties || shard_labels_are_keys(self->portal->plan->schema)) {
        return ERR_OK;
    }
    for (size_t i = 0; i < self->n_hits; i++) {
        bool is_one = (i > 0 && is_tie(&hits[i - 1], &hits[i])) ||
                      (i + 1 < self->n_hits && is_tie(&hits[i], &hits[i + 1]));
        enum errcode code =
            is_one ? search_read_key(self, hits[i].number, &hits[i].key, err) : ERR_OK;
        if (code != ERR_OK) {
            return code;
        }
    }
    sort(self);
    return ERR_OK;
}

/* ---- the nearest k ---- */

/* Further away first: the order of the heap.  Keys have been read where the label leaves a tie. */
static bool is_farther(const struct search_hit *a, const struct search_hit *b)
{
    return compare_hits(a, b) > 0;
}

static void heap_sift_down(struct search_hit *hits, size_t n)
{
    CHECK_HOT(n > 0);
    for (size_t i = 0;;) {
        size_t farthest = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < n; child++) {
            farthest = is_farther(&hits[child], &hits[farthest]) ? child : farthest;
        }
        if (farthest == i) {
            return;
        }
        struct search_hit hit = hits[i];
        hits[i] = hits[farthest];
        hits[farthest] = hit;
        i = farthest;
    }
}

void search_add_hit(struct searcher *self, size_t k, struct search_hit hit)
{
    CHECK_HOT(self->n_hits <= k);
    struct search_hit *hits = self->hits;
    if (self->n_hits == k) {
        if (k > 0 && is_farther(&hits[0], &hit)) {
            hits[0] = hit;
            heap_sift_down(hits, self->n_hits);
        }
        return;
    }
    size_t i = self->n_hits++;
    for (; i > 0 && is_farther(&hit, &hits[(i - 1) / 2]); i = (i - 1) / 2) {
        hits[i] = hits[(i - 1) / 2];
    }
    hits[i] = hit;
}
