/* Hits (hits_int.h). */
#include "index/hits_int.h"

#include <math.h>

void hits_fini(struct hits *hits)
{
    mem_free(MEM_SEARCH, hits->items);
    *hits = (struct hits){.items = NULL};
}

bool hits_start(struct hits *hits, const struct index_search *search, size_t max)
{
    hits->n = 0;
    hits->max = max;
    hits->search = search;
    hits->limit = INFINITY;
    if (max > hits->capacity) {
        void *items = mem_realloc(MEM_SEARCH, hits->items, max * sizeof(*hits->items));
        if (items == NULL) {
            return false;
        }
        hits->items = items;
        hits->capacity = max;
    }
    return true;
}

bool hit_is_nearer(const struct index_search *search, const struct index_hit *a,
                   const struct index_hit *b)
{
    if (a->distance < b->distance || b->distance < a->distance) {
        return a->distance < b->distance;
    }
    if (a->label != b->label) {
        return a->label < b->label;
    }
    int order = search->compare != NULL && a->row != b->row
                    ? search->compare(search->compare_arg, a->row, b->row)
                    : 0;
    return order != 0 ? order < 0 : a->row < b->row;
}

static bool is_farther(const struct hits *hits, const struct hit *a, const struct hit *b)
{
    return hit_is_nearer(hits->search, &b->row, &a->row);
}

/* The farthest of @n comes to the top, where all below items[at] are in order. */
static void sift_down(struct hits *hits, size_t n, size_t at, struct hit moving)
{
    struct hit *items = hits->items;
    for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && is_farther(hits, &items[child + 1], &items[child])) {
            child++;
        }
        if (!is_farther(hits, &items[child], &moving)) {
            break;
        }
        items[at] = items[child];
        at = child;
    }
    items[at] = moving;
}

void hits_add(struct hits *hits, const struct hit *hit)
{
    struct hit *items = hits->items;
    if (hits->n == hits->max) {
        if (is_farther(hits, &items[0], hit)) {
            sift_down(hits, hits->n, 0, *hit);
        }
        return;
    }
    size_t at = hits->n++;
    for (; at > 0 && is_farther(hits, hit, &items[(at - 1) / 2]); at = (at - 1) / 2) {
        items[at] = items[(at - 1) / 2];
    }
    items[at] = *hit;
}

void hits_sort(struct hits *hits)
{
    for (size_t end = hits->n; end-- > 1;) {
        struct hit moving = hits->items[end];
        hits->items[end] = hits->items[0];
        sift_down(hits, end, 0, moving);
    }
}
