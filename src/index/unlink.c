/* Unlinking: deleted rows leave the graph in sweeps.
 *
 * A deleted row is hidden from searches when it is staged.  In the graph it becomes a *dead* row:
 * walks still go through it.  When a batch of deletes ends and dead rows are the sixteenth part of
 * the graph, a sweep takes them all out; so the log alone says when.  Where no row is alive the
 * graph goes at once.  A sweep:
 *
 * 1. Every list that names a dead row is mended, in parallel.  It keeps its live links, and takes
 *    others from the lists of the dead rows around: up to two that the pruning rule accepts for
 *    each lost one, and then what only fills it.  A task changes one list; it reads that one,
 *    codes, and lists of dead rows, which nobody changes: so neither order nor threads nor slices
 *    change the outcome, and a list that was mended is not looked at again.
 * 2. Rows that lost their parent, or nearly all of a list, are *torn*.  In the order of their
 *    numbers they get another parent, and choose anew among what a walk finds.
 * 3. The slots of the dead are retired.
 *
 * A sweep goes on in slices.  Its state is in the graph - who is dead, who is torn - and the delete
 * that ends the batch is done when the sweep is over; so a checkpoint between two slices is one of
 * a graph whose last delete is to come. */
#include "index/build_int.h"

#include <stdlib.h>

enum {
    REPLACEMENTS_MAX = 2, /* Chosen edges for one that was lost, */
    AROUND_MAX = 64,      /* of so many, the nearest live ones around. */
    AROUND_ENOUGH = 32,   /* Then nobody looks behind the dead neighbours of dead rows. */
    LINKS_FEW = 3,        /* A shorter list is renewed; copies of one vector list three. */
    RENEW_EF = 128,       /* Of the walk that does it. */
    SLOTS_A_TASK = 32,
    LISTS_A_ROW = 8, /* Mending so many is as much work as linking one row. */
    RETIRED_AT_ONCE = 256,
};

static bool is_dead(const struct slots *slots, uint32_t slot)
{
    return (slot_state(slots, slot) & SLOT_DEAD) != 0;
}

static void clear_flag(const struct slots *slots, uint32_t slot, uint8_t flag)
{
    atomic_fetch_and_explicit(&node_at(slots, slot)->state, (uint8_t)~flag, memory_order_release);
}

static void set_flag(const struct slots *slots, uint32_t slot, uint8_t flag)
{
    atomic_fetch_or_explicit(&node_at(slots, slot)->state, flag, memory_order_release);
}

/* In the graph, and there to stay. */
static bool stays(const struct slots *slots, uint32_t slot)
{
    return (slot_state(slots, slot) & (SLOT_LINKED | SLOT_DEAD)) == SLOT_LINKED;
}

/* ---- 1: mending ---- */

struct mend {
    struct index *index;
    uint32_t first, end; /* Slots. */
    _Atomic bool failed;
};

/* A list that names dead rows. */
struct tear {
    const struct index *index;
    struct code_space space;
    struct code_room room;
    struct code_query query;
    struct scratch *scratch;
    uint32_t base;
    unsigned layer;
    struct list list; /* Its live links. */
    uint32_t lost[LINKS_MAX];
    size_t n_lost, n_lost_chosen;
};

/* Sorts slots that were not seen before into the live and the dead. */
static bool tear_note(struct tear *t, const uint32_t *slots, size_t n)
{
    float keys[LINKS_MAX];
    t->space.code->keys(&t->space, &t->query, slots, n, keys);
    for (size_t i = 0; i < n; i++) {
        struct candidate c = {.key = keys[i], .slot = slots[i]};
        if (!pool_wants(&t->scratch->near, c.key)) {
            continue;
        }
        if (!is_dead(&t->index->slots, c.slot)) {
            pool_add(&t->scratch->near, &t->index->slots, c);
        } else if (!heap_push(&t->scratch->frontier, &t->index->slots, c)) {
            return false;
        }
    }
    return true;
}

/* What a dead row lists and was not seen before. */
static size_t fresh_links(struct tear *t, uint32_t dead, uint32_t *out)
{
    size_t n = links_copy(&t->index->slots, dead, t->layer, out), n_fresh = 0;
    for (size_t i = 0; i < n; i++) {
        if (scratch_visit(t->scratch, out[i])) {
            out[n_fresh++] = out[i];
        }
    }
    return n_fresh;
}

/* Visits what the base knows. */
static bool tear_begin(struct tear *t)
{
    struct scratch *s = t->scratch;
    if (!pool_reset(&s->near, AROUND_MAX) || !pool_reset(&s->frontier, AROUND_MAX) ||
        !scratch_visit_none(s, t->index->slots.capacity)) {
        return false;
    }
    scratch_visit(s, t->base);
    for (size_t i = 0; i < t->list.n; i++) {
        scratch_visit(s, t->list.links[i]);
    }
    for (size_t i = 0; i < t->n_lost; i++) {
        scratch_visit(s, t->lost[i]);
    }
    return true;
}

/* A walk from the lost links through dead rows alone; leaves the nearest live ones in near.  Who
 * lost only edges that fill a list needs no others soon. */
static bool tear_walk(struct tear *t)
{
    struct pool *near = &t->scratch->near, *frontier = &t->scratch->frontier;
    size_t n_starts = t->n_lost_chosen, n_few = links_max(&t->index->slots, t->layer) * 3 / 4;
    if (n_starts == 0 && t->list.n < n_few) {
        n_starts = t->n_lost;
    }
    bool has_memory = tear_begin(t) && tear_note(t, t->lost, n_starts);
    for (size_t i = 0; has_memory && frontier->n > 0; i++) {
        struct candidate dead = heap_pop(frontier, &t->index->slots);
        if (!pool_wants(near, dead.key) || (i >= n_starts && near->n >= AROUND_ENOUGH)) {
            break;
        }
        uint32_t links[LINKS_MAX];
        has_memory = tear_note(t, links, fresh_links(t, dead.slot, links));
    }
    return has_memory;
}

/* The list gets what the walk left in near. */
static void tear_close(struct tear *t)
{
    const struct pool *near = &t->scratch->near;
    size_t max = links_max(&t->index->slots, t->layer), n_filling = 0;
    size_t n_wanted = t->list.n + t->n_lost;
    size_t n_chosen_max = t->list.chosen + REPLACEMENTS_MAX * t->n_lost_chosen;
    uint32_t filling[AROUND_MAX];
    for (size_t i = 0; i < near->n && t->list.n < max; i++) {
        bool is_wanted = t->list.chosen < n_chosen_max;
        if (is_wanted && select_accepts(t->index, near->items[i], t->list.links, t->list.chosen)) {
            list_add_chosen(&t->list, near->items[i].slot);
        } else {
            filling[n_filling++] = near->items[i].slot;
        }
    }
    for (size_t i = 0; i < n_filling && t->list.n < n_wanted; i++) {
        list_add_filling(&t->list, filling[i]);
    }
}

/* Takes the dead out of the list: first those that were chosen. */
static void tear_open(struct tear *t)
{
    const struct slots *slots = &t->index->slots;
    struct list *list = &t->list;
    t->n_lost = t->n_lost_chosen = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (is_dead(slots, list->links[i])) {
            t->lost[t->n_lost++] = list->links[i];
            t->n_lost_chosen += i < list->chosen;
        }
    }
    for (size_t i = list->n; t->n_lost > 0 && i-- > 0;) {
        if (is_dead(slots, list->links[i])) {
            list_remove(list, i); /* What moves into the hole is alive. */
        }
    }
}

/* False where memory ran out; the list is as it was. */
static bool mend_list(const struct index *index, uint32_t base, unsigned layer)
{
    const struct slots *slots = &index->slots;
    struct tear t;
    t.index = index;
    t.base = base;
    t.layer = layer;
    list_read(slots, base, layer, &t.list);
    bool has_parent = t.list.has_parent;
    tear_open(&t);
    if (t.n_lost == 0) {
        return true;
    }
    t.space = space_of_codes(index);
    t.scratch = scratch_get();
    t.space.code->query_of_row(&t.space, base, &t.room, &t.query);
    if (!tear_walk(&t)) {
        return false;
    }
    tear_close(&t);
    if (t.list.has_parent != has_parent || t.list.n < LINKS_FEW) {
        set_flag(slots, base, SLOT_TORN);
    }
    list_write(slots, base, layer, &t.list);
    return true;
}

static void mend_task(void *arg, size_t task)
{
    struct mend *mend = arg;
    const struct slots *slots = &mend->index->slots;
    struct err err;
    uint32_t slot = mend->first + (uint32_t)task * SLOTS_A_TASK, end = slot + SLOTS_A_TASK;
    bool has_memory = scratch_for(mend->index, &err) != NULL;
    for (; has_memory && slot < end && slot < mend->end; slot++) {
        unsigned n_layers = stays(slots, slot) ? node_at(slots, slot)->level + 1u : 0;
        for (unsigned layer = 0; has_memory && layer < n_layers; layer++) {
            has_memory = mend_list(mend->index, slot, layer);
        }
    }
    if (!has_memory) {
        atomic_store_explicit(&mend->failed, true, memory_order_relaxed);
    }
}

/* The lists of the next slots. */
static enum errcode mend_some(struct index *index, size_t n_max, const struct index_crew *crew,
                              struct err *err)
{
    struct sweep *sweep = &index->sweep;
    struct mend mend = {.index = index, .first = sweep->slot_next, .end = sweep->slot_end};
    if (n_max < mend.end - mend.first) {
        mend.end = mend.first + (uint32_t)n_max;
    }
    crew_run(crew, (mend.end - mend.first + SLOTS_A_TASK - 1) / SLOTS_A_TASK, mend_task, &mend);
    if (atomic_load_explicit(&mend.failed, memory_order_relaxed)) {
        return err_no_memory(err);
    }
    sweep->slot_next = mend.end;
    return ERR_OK;
}

/* ---- between ---- */

struct torn {
    uint64_t row;
    uint32_t slot;
};

static int compare_torn(const void *one, const void *other)
{
    const struct torn *a = one, *b = other;
    return (a->row > b->row) - (a->row < b->row);
}

/* The entry point is the row of the highest level, the first among equals; the root the first of
 * all. */
static void choose_tops(struct index *index)
{
    const struct slots *slots = &index->slots;
    const struct node *top = NULL, *first = NULL;
    uint32_t entry = SLOT_NONE, root = SLOT_NONE;
    for (uint32_t slot = 0; slot < index->sweep.slot_end; slot++) {
        const struct node *node = node_at(slots, slot);
        if (!stays(slots, slot)) {
            continue;
        }
        if (top == NULL || node->level > top->level ||
            (node->level == top->level && node->row < top->row)) {
            top = node;
            entry = slot;
        }
        if (first == NULL || node->row < first->row) {
            first = node;
            root = slot;
        }
    }
    CHECK(entry != SLOT_NONE && root != SLOT_NONE);
    if (is_dead(slots, atomic_load_explicit(&index->entry, memory_order_relaxed))) {
        atomic_store_explicit(&index->entry, entry, memory_order_release);
    }
    index->root = root;
}

/* Those that are torn, in the order of their numbers. */
static enum errcode collect_torn(struct index *index, struct err *err)
{
    const struct slots *slots = &index->slots;
    struct sweep *sweep = &index->sweep;
    size_t n = 0;
    for (uint32_t slot = 0; slot < sweep->slot_end; slot++) {
        n += (slot_state(slots, slot) & SLOT_TORN) != 0;
    }
    struct torn *torn = mem_alloc(MEM_GRAPH, (n + 1) * sizeof(*torn));
    if (torn == NULL) {
        return err_no_memory(err);
    }
    n = 0;
    for (uint32_t slot = 0; slot < sweep->slot_end; slot++) {
        if ((slot_state(slots, slot) & SLOT_TORN) != 0) {
            torn[n++] = (struct torn){.row = node_at(slots, slot)->row, .slot = slot};
        }
    }
    qsort(torn, n, sizeof(*torn), compare_torn);
    sweep->torn = torn;
    sweep->n_torn = n;
    sweep->torn_next = 0;
    choose_tops(index);
    return ERR_OK;
}

/* ---- 2: renewing ---- */

/* A torn row, and what a walk found where one was needed. */
struct renewal {
    struct index *index;
    uint32_t slot;
    bool is_short[LEVEL_MAX + 1];
    struct candidate near[LEVEL_MAX + 1][RENEW_EF];
    size_t n_near[LEVEL_MAX + 1];
    size_t n_walks;
};

static uint64_t row_of(const struct index *index, uint32_t slot)
{
    return node_at(&index->slots, slot)->row;
}

/* Walks from the entry point, as an insert would. */
static enum errcode walk_to(struct renewal *r, unsigned layer, struct err *err)
{
    const struct index *index = r->index;
    struct scratch *s = scratch_for(index, err);
    if (s == NULL) {
        return ERR_OUT_OF_MEMORY;
    }
    struct index_work work = {0};
    struct walk w = walk_start_at_row(index, s, r->slot, &work);
    struct candidate start =
        walk_candidate(&w, atomic_load_explicit(&index->entry, memory_order_relaxed));
    unsigned top = node_at(&index->slots, start.slot)->level;
    if (layer > top) {
        return ERR_OK; /* No other row has a list there. */
    }
    start = walk_descend(&w, start, top, layer + 1);
    enum errcode code = walk_layer(&w, layer, &start, 1, RENEW_EF, err);
    for (size_t i = 0; code == ERR_OK && i < s->near.n; i++) {
        if (s->near.items[i].slot != r->slot) {
            r->near[layer][r->n_near[layer]++] = s->near.items[i];
        }
    }
    r->n_walks++;
    return code;
}

/* Those that the list names, nearest first; whether one is an earlier row. */
static bool list_around(const struct renewal *r, struct candidate *around, size_t *n)
{
    uint32_t links[LINKS_MAX];
    bool has_earlier = false;
    *n = links_copy(&r->index->slots, r->slot, 0, links);
    candidates_around(r->index, r->slot, links, *n, around);
    for (size_t i = 0; i < *n; i++) {
        has_earlier = has_earlier || row_of(r->index, links[i]) < row_of(r->index, r->slot);
    }
    return has_earlier;
}

static bool wants_parent(const struct renewal *r)
{
    return r->slot != r->index->root && !node_at(&r->index->slots, r->slot)->has_parent;
}

/* All that can fail. */
static enum errcode renewal_init(struct renewal *r, struct err *err)
{
    const struct slots *slots = &r->index->slots;
    enum errcode code = ERR_OK;
    r->n_walks = 0;
    for (unsigned layer = 0; layer <= node_at(slots, r->slot)->level && code == ERR_OK; layer++) {
        uint32_t links[LINKS_MAX];
        struct candidate around[LINKS_MAX];
        size_t n;
        r->n_near[layer] = 0;
        r->is_short[layer] = links_copy(slots, r->slot, layer, links) < LINKS_FEW;
        if (r->is_short[layer] || (layer == 0 && wants_parent(r) && !list_around(r, around, &n))) {
            code = walk_to(r, layer, err);
        }
    }
    return code;
}

/* What an insert would choose now, besides what it has; in both directions. */
static void renew_list(const struct renewal *r, unsigned layer)
{
    const struct index *index = r->index;
    const struct slots *slots = &index->slots;
    size_t max = links_max(slots, layer), n = 0;
    struct code_space space = space_of_codes(index);
    struct candidate sorted[RENEW_EF];
    struct list list, chosen, back;
    list_read(slots, r->slot, layer, &list);
    for (size_t i = 0; i < r->n_near[layer]; i++) {
        if (list_find(&list, r->near[layer][i].slot) == list.n) {
            sorted[n++] = r->near[layer][i];
        }
    }
    select_neighbours(&space, sorted, n, max - list.n, &chosen);
    for (size_t i = 0; i < chosen.n; i++) {
        uint32_t to = chosen.links[i];
        if (i < chosen.chosen) {
            list_add_chosen(&list, to);
        } else {
            list_add_filling(&list, to);
        }
        list_read(slots, to, layer, &back);
        if (list_find(&back, r->slot) == back.n &&
            list_offer(slots, &space, &back, max, to, r->slot) != r->slot) {
            list_write(slots, to, layer, &back);
        }
    }
    list_write(slots, r->slot, layer, &list);
}

/* The nearest earlier row that it lists, or that was found. */
static void renew_parent(const struct renewal *r)
{
    struct candidate around[LINKS_MAX];
    size_t n;
    bool has_earlier = list_around(r, around, &n);
    const struct candidate *near = has_earlier ? around : r->near[0];
    CHECK(parent_adopt(r->index, r->slot, near, has_earlier ? n : r->n_near[0]));
}

/* The next torn rows; *work in lists. */
static enum errcode renew_some(struct index *index, size_t work_max, size_t *work, struct err *err)
{
    struct sweep *sweep = &index->sweep;
    struct renewal r = {.index = index};
    while (sweep->torn_next < sweep->n_torn && *work < work_max) {
        r.slot = sweep->torn[sweep->torn_next].slot;
        enum errcode code = renewal_init(&r, err);
        if (code != ERR_OK) {
            return code;
        }
        for (unsigned layer = node_at(&index->slots, r.slot)->level + 1u; layer-- > 0;) {
            if (r.is_short[layer]) {
                renew_list(&r, layer);
            }
        }
        if (wants_parent(&r)) {
            renew_parent(&r);
        }
        clear_flag(&index->slots, r.slot, SLOT_TORN);
        sweep->torn_next++;
        *work += 1 + r.n_walks * LISTS_A_ROW;
    }
    return ERR_OK;
}

/* ---- 3: all of it ---- */

static void retire_dead(struct index *index)
{
    struct slots *slots = &index->slots;
    uint32_t retired[RETIRED_AT_ONCE];
    size_t n = 0;
    for (uint32_t slot = 0; slot < index->sweep.slot_end; slot++) {
        if (is_dead(slots, slot)) {
            reduction_leave(index, slot);
            retired[n++] = slot;
        }
        if (n == RETIRED_AT_ONCE || (n > 0 && slot + 1 == index->sweep.slot_end)) {
            slots_retire(slots, &index->epochs, retired, n);
            n = 0;
        }
    }
    reduction_settle(index);
    atomic_fetch_sub_explicit(&index->n_linked, index->n_dead, memory_order_relaxed);
    atomic_fetch_sub_explicit(&index->n_hidden, index->n_dead, memory_order_relaxed);
    index->n_dead = 0;
    size_t n_left = atomic_load_explicit(&index->n_linked, memory_order_relaxed);
    index->tried_at = index->tried_at < n_left ? index->tried_at : n_left;
}

static void sweep_begin(struct index *index, uint32_t slot)
{
    index->sweep = (struct sweep){
        .is_on = true,
        .slot_last = slot,
        .slot_end = atomic_load_explicit(&index->slots.n_used, memory_order_acquire),
    };
}

static void sweep_end(struct index *index)
{
    retire_dead(index);
    sweep_fini(&index->sweep);
}

void sweep_fini(struct sweep *sweep)
{
    mem_free(MEM_GRAPH, sweep->torn);
    *sweep = (struct sweep){.slot_last = SLOT_NONE};
}

void unlink_row(struct index *index, uint32_t slot)
{
    set_flag(&index->slots, slot, SLOT_DEAD);
    index->n_dead++;
}

/* True where it goes on; all that can be done at once is done. */
static bool sweep_starts(struct index *index, uint32_t slot)
{
    size_t n_linked = atomic_load_explicit(&index->n_linked, memory_order_relaxed);
    if (index->n_dead < n_linked && index->n_dead < dead_enough(index)) {
        return false;
    }
    sweep_begin(index, slot);
    if (index->n_dead == n_linked) {
        atomic_store_explicit(&index->entry, SLOT_NONE, memory_order_release);
        index->root = SLOT_NONE;
        sweep_end(index);
        return false;
    }
    return true;
}

enum errcode unlink_last(struct index *index, uint32_t slot, size_t rows_max,
                         const struct index_crew *crew, struct unlinked *out, struct err *err)
{
    struct sweep *sweep = &index->sweep;
    size_t work_max = rows_max < SIZE_MAX / LISTS_A_ROW ? rows_max * LISTS_A_ROW : SIZE_MAX,
           work = 0;
    enum errcode code = ERR_OK;
    *out = (struct unlinked){.is_over = false};
    if (!sweep->is_on) {
        unlink_row(index, slot);
        out->is_over = !sweep_starts(index, slot);
    }
    if (sweep->is_on && sweep->slot_next < sweep->slot_end) {
        work = sweep->slot_next;
        code = mend_some(index, work_max, crew, err);
        work = sweep->slot_next - work;
    }
    if (code == ERR_OK && sweep->is_on && sweep->slot_next == sweep->slot_end &&
        sweep->torn == NULL) {
        code = collect_torn(index, err);
    }
    if (code == ERR_OK && sweep->torn != NULL) {
        code = renew_some(index, work_max, &work, err);
    }
    if (code == ERR_OK && sweep->torn != NULL && sweep->torn_next == sweep->n_torn) {
        sweep_end(index);
        out->is_over = true;
    }
    out->work = work / LISTS_A_ROW + 1;
    return code;
}
