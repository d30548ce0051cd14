/* The walk that looks for rows that match.
 *
 * It walks through rows that do not match as through others, nearest first, but the rule belongs to
 * those that do: it goes on until what is left is farther than the rule allows of them.  Few of the
 * near ones may match, so what is to be expanded has no bound but that, and is a heap. */
#include "index/walk_int.h"

#include <math.h>

static bool take_note(struct walk *w, struct candidate c)
{
    struct scratch *s = w->scratch;
    if (c.key <= beam_limit(&s->beam) && !walk_passes_over(w, c.slot, c.key)) {
        size_t n_refused = w->n_asked - w->n_matched;
        w->nearest = c.key < w->nearest.key ? c : w->nearest;
        if (walk_may_return(w, c.slot)) {
            (void)beam_add(&s->beam, &w->index->slots, c.key, c.slot);
        } else if (w->n_asked - w->n_matched > n_refused && !pool_append(&s->refused, c)) {
            return false;
        }
        walk_prefetch_node(w, 0, c.slot);
        return heap_push(&s->frontier, &w->index->slots, c);
    }
    return true;
}

static bool take_batch(struct walk *w, struct walk_batch batch)
{
    float keys[LINKS_MAX + BEAM_SLACK];
    uint8_t near[LINKS_MAX];
    size_t n = walk_take_near(w, batch, beam_limit(&w->scratch->beam), keys, near);
    for (size_t i = 0; i < n; i++) {
        __builtin_prefetch(
            node_at(&w->index->slots, batch.slots[near[i]])); /* Whose row is asked. */
    }
    for (size_t i = 0; i < n; i++) {
        struct candidate c = {.key = keys[near[i]], .slot = batch.slots[near[i]]};
        if (!take_note(w, c)) {
            return false;
        }
    }
    return true;
}

static bool begin(struct walk *w, const struct stop_rule *rule, const struct candidate *starts,
                  size_t n_starts)
{
    struct scratch *s = w->scratch;
    if (!beam_reserve(&s->beam, rule->max) || !pool_reset(&s->frontier, rule->max) ||
        !pool_reset(&s->refused, 0) || !scratch_visit_none(s, w->index->slots.capacity)) {
        return false;
    }
    beam_start(&s->beam, rule);
    w->n_visited = w->n_asked = w->n_matched = 0;
    w->nearest = (struct candidate){.key = INFINITY, .slot = SLOT_NONE};
    for (size_t i = 0; i < n_starts; i++) {
        if (scratch_visit(s, starts[i].slot)) {
            w->n_visited++;
            if (!take_note(w, starts[i])) {
                return false;
            }
        }
    }
    return true;
}

enum errcode walk_matching(struct walk *w, const struct stop_rule *rule,
                           const struct candidate *starts, size_t n_starts, bool *gave_up,
                           struct err *err)
{
    struct scratch *s = w->scratch;
    struct pool *frontier = &s->frontier;
    size_t calls_max = w->search->filter_calls_max;
    uint64_t calls_before = w->work->filter_calls;
    *gave_up = false;
    if (!begin(w, rule, starts, n_starts)) {
        return err_no_memory(err);
    }
    for (struct walk_batch last = {.n = 0};;) {
        struct walk_batch next = {.n = 0};
        bool is_more = frontier->n > 0 && frontier->items[0].key <= beam_limit(&s->beam);
        bool is_enough = calls_max > 0 && w->work->filter_calls - calls_before >= calls_max;
        if (is_more && !is_enough) {
            next = walk_gather(w, 0, heap_pop(frontier, &w->index->slots).slot);
        } else if (last.n == 0) {
            *gave_up = is_more;
            return ERR_OK;
        }
        if (!take_batch(w, last)) {
            return err_no_memory(err);
        }
        last = next;
        if (walk_is_canceled(w)) {
            return err_set(err, ERR_CANCELED, "the search was canceled");
        }
    }
}
