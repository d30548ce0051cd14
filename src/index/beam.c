/* The beam (beam_int.h): two sorted arrays, for a walk inserts often and near the front. */
#include "index/beam_int.h"

#include <string.h>

enum {
    BEAM_FIRST = 512 /* Walks of building that keep no more than so many cannot fail. */
};

void beam_fini(struct beam *beam)
{
    mem_free(MEM_SEARCH, beam->keys);
    *beam = (struct beam){.keys = NULL};
}

bool beam_reserve(struct beam *beam, size_t n)
{
    if (beam->capacity > 0 && n <= beam->capacity) {
        return true;
    }
    size_t capacity = n > BEAM_FIRST ? n : BEAM_FIRST, room = capacity + BEAM_SLACK;
    float *keys = mem_zalloc(MEM_SEARCH, room * (sizeof(float) + sizeof(uint32_t)));
    if (keys == NULL) {
        return false;
    }
    beam_fini(beam);
    beam->keys = keys;
    beam->slots = (uint32_t *)(void *)(keys + room);
    beam->capacity = capacity;
    return true;
}

void beam_start(struct beam *beam, const struct stop_rule *rule)
{
    CHECK(rule->max <= beam->capacity && rule->sure > 0 && rule->sure <= rule->max &&
          (rule->rank <= rule->sure || rule->rank == SIZE_MAX));
    beam->n = beam->next = 0;
    beam->bound = rule->rank == SIZE_MAX ? -INFINITY : INFINITY;
    beam->rule = *rule;
    beam->fns = beam_fns_chosen();
}

/* Where the rank-th came nearer: what is now too far goes. */
static void tighten(struct beam *beam)
{
    if (beam->n < beam->rule.rank) {
        return;
    }
    beam->bound = stop_bound(&beam->rule, beam->keys[beam->rule.rank - 1]);
    while (beam->n > beam->rule.sure && !(beam->keys[beam->n - 1] < beam->bound)) {
        beam->n--;
    }
}

/* Behind those at the same distance whose rows are older.  Such candidates are mostly rare, so that
 * their nodes are looked at here only; where all rows are equal, they are all there is. */
static size_t behind_older(const struct beam *beam, const struct slots *slots, size_t low,
                           uint32_t slot)
{
    uint64_t row = node_at(slots, slot)->row;
    float key = beam->keys[low];
    size_t high = beam->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (key < beam->keys[middle] ||
            row < node_at(slots, beam->slots[middle] & ~EXPANDED)->row) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

bool beam_add(struct beam *beam, const struct slots *slots, float key, uint32_t slot)
{
    size_t at = beam->fns->place(beam->keys, beam->n, key);
    if (at < beam->n && !(key < beam->keys[at])) {
        at = behind_older(beam, slots, at, slot);
    }
    const struct stop_rule *rule = &beam->rule;
    if (at >= rule->max || (at >= rule->sure && !(key < beam->bound))) {
        return false;
    }
    beam->fns->insert(beam->keys, beam->slots, beam->n, at, key, slot); /* The last falls out. */
    beam->n += beam->n < rule->max;
    beam->next = at < beam->next ? at : beam->next;
    if (at < rule->rank) {
        tighten(beam);
    }
    return true;
}

void beam_look_farther(struct beam *beam)
{
    struct stop_rule *rule = &beam->rule;
    if (rule->rank < rule->max) {
        rule->rank++;
        rule->sure = rule->sure < rule->rank ? rule->rank : rule->sure;
        beam->bound = INFINITY;
        tighten(beam);
    }
}
