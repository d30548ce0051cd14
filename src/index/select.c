/* Which neighbours a node keeps: algorithm 4 of the paper, and the lists' bookkeeping. */
#include "index/build_int.h"

enum {
    ACCEPT_STEP = 8
}; /* Distances asked for at once: a refusal mostly comes early. */

static bool accepts(const struct code_space *space, struct candidate c, const uint32_t *chosen,
                    size_t n_chosen)
{
    struct code_room room;
    struct code_query query;
    if (n_chosen > 0) {
        space->code->query_of_row(space, c.slot, &room, &query);
    }
    for (size_t at = 0; at < n_chosen; at += ACCEPT_STEP) {
        float keys[ACCEPT_STEP];
        size_t n = n_chosen - at < ACCEPT_STEP ? n_chosen - at : ACCEPT_STEP;
        space->code->keys(space, &query, chosen + at, n, keys);
        for (size_t i = 0; i < n; i++) {
            if (keys[i] < c.key) {
                return false;
            }
        }
    }
    return true;
}

bool select_accepts(const struct index *index, struct candidate c, const uint32_t *chosen,
                    size_t n_chosen)
{
    struct code_space space = space_of_codes(index);
    return accepts(&space, c, chosen, n_chosen);
}

/* Candidates at one distance, mostly copies of one vector, in an order that is another one for each
 * base: in the order of row numbers all copies would list the same few, and nobody the rest. */
static void mix_ties(const struct index *index, uint32_t base, struct candidate *tied, size_t n)
{
    const struct slots *slots = &index->slots;
    uint64_t salt = hash_u64(node_at(slots, base)->row);
    for (size_t i = 1; i < n; i++) {
        struct candidate moving = tied[i];
        uint64_t rank = hash_u64(node_at(slots, moving.slot)->row ^ salt);
        size_t at = i;
        while (at > 0 && hash_u64(node_at(slots, tied[at - 1].slot)->row ^ salt) > rank) {
            tied[at] = tied[at - 1];
            at--;
        }
        tied[at] = moving;
    }
}

size_t select_neighbours(const struct index *index, uint32_t base, struct candidate *sorted,
                         size_t n, size_t max, uint32_t *out)
{
    struct code_space space = space_of_codes(index);
    size_t n_chosen = 0, run_end = 0, n_tied = 0;
    for (size_t i = 0; i < n && n_chosen < max; i++) {
        if (i == run_end) {
            while (run_end < n && sorted[run_end].key == sorted[i].key) {
                run_end++;
            }
            if (run_end > i + 1) {
                mix_ties(index, base, sorted + i, run_end - i);
            }
            n_tied = 0;
        }
        /* Copies of the base do not fill its list: the rest leads out of them. */
        if (n_tied < (max + 1) / 2 && accepts(&space, sorted[i], out, n_chosen)) {
            out[n_chosen++] = sorted[i].slot;
            n_tied++;
        }
    }
    return n_chosen;
}

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

void links_write(const struct slots *slots, uint32_t slot, unsigned layer, const uint32_t *links,
                 size_t n)
{
    _Atomic uint32_t *list = links_at(slots, slot, layer);
    size_t max = links_max(slots, layer);
    CHECK(n <= max);
    for (size_t i = 0; i < max; i++) {
        atomic_store_explicit(&list[i], i < n ? links[i] : SLOT_NONE, memory_order_release);
    }
}
