/* Rows that walks begin at, beside the entry point.
 *
 *   longest  under DOT.  A long row is among the nearest of many queries, from any direction.  The
 *            few that are longer than the radius of the reduction lie outside of the space in
 *            which rows are linked, and a walk may end without having met them: of 30,000 rows
 *            with heavy tails four fifths of all that was missed were the 32 longest.
 *   missed   those that queries missed of which it was measured (index_begin_at).  A row may be
 *            near to many queries that few paths lead to: of 20,000 rows one was missed by 256 of
 *            600 queries with a filter that let it pass, and its filter found 0.94 for 0.95.
 *
 * Each walk compares them with its query, which costs little: their codes are asked for so often
 * that they are at hand.  It begins at the nearest of the longest, and at all that were missed:
 * with a filter the nearest of these may not match.
 *
 * The lists are changed by the advancing thread, those of a load, and who measures; searches read
 * them meanwhile.  A row leaves before its slot is retired, one that was missed as it is deleted.
 * The longest are all rows that are longer than the shortest that ever fell out of the list, up to
 * INDEX_STARTS_MAX. */
#include "index/build_int.h"
#include "index/walk_int.h"

enum {
    LONGEST_NEAREST = 10,                 /* Of them a walk begins at so many. */
    LONGEST_LEAST = INDEX_STARTS_MAX / 2, /* Where deletes leave fewer the list is made anew. */
    LONGEST_GONE_MAX = INDEX_STARTS_MAX / 2,
};
/* Rows that a query misses without beginning at them, in the mean: a hundredth of ten. */
static const float MISSED_GONE_MAX = 0.1F;

static void put(struct starts *s, size_t at, uint32_t slot, float weight)
{
    atomic_store_explicit(&s->slots[at], slot, memory_order_relaxed);
    s->weights[at] = weight;
}

static uint32_t slot_of(const struct starts *s, size_t at)
{
    return atomic_load_explicit(&s->slots[at], memory_order_relaxed);
}

static void join(struct starts *s, uint32_t slot, float weight) REQUIRES(s->lock)
{
    size_t n = atomic_load_explicit(&s->n, memory_order_relaxed);
    size_t at = n < INDEX_STARTS_MAX ? n : INDEX_STARTS_MAX - 1;
    if (n < INDEX_STARTS_MAX || weight > s->weights[at]) {
        for (; at > 0 && s->weights[at - 1] < weight; at--) {
            put(s, at, slot_of(s, at - 1), s->weights[at - 1]);
        }
        put(s, at, slot, weight);
        n += n < INDEX_STARTS_MAX;
        atomic_store_explicit(&s->n, n, memory_order_release);
    }
    if (n == INDEX_STARTS_MAX) {
        atomic_store_explicit(&s->least, s->weights[n - 1], memory_order_relaxed);
    }
}

/* s->n: it is not in it. */
static size_t find(const struct starts *s, uint32_t slot) REQUIRES(s->lock)
{
    size_t n = atomic_load_explicit(&s->n, memory_order_relaxed), at = 0;
    while (at < n && slot_of(s, at) != slot) {
        at++;
    }
    return at;
}

/* Its weight; 0: it was not in it. */
static float leave(struct starts *s, uint32_t slot) REQUIRES(s->lock)
{
    size_t n = atomic_load_explicit(&s->n, memory_order_relaxed), at = find(s, slot);
    float weight = at < n ? s->weights[at] : 0;
    for (; at + 1 < n; at++) {
        put(s, at, slot_of(s, at + 1), s->weights[at + 1]);
    }
    if (at < n) {
        atomic_store_explicit(&s->n, n - 1, memory_order_release);
    }
    return weight;
}

static void clear(struct starts *s) REQUIRES(s->lock)
{
    atomic_store_explicit(&s->n, 0, memory_order_release);
    atomic_store_explicit(&s->least, 0, memory_order_relaxed);
}

void starts_init(struct index *index)
{
    mutex_init(&index->longest.lock);
    mutex_init(&index->missed.lock);
}

void starts_fini(struct index *index)
{
    mutex_fini(&index->longest.lock);
    mutex_fini(&index->missed.lock);
}

/* ---- the longest ---- */

void longest_join(struct index *index, uint32_t slot, float squares)
{
    struct starts *s = &index->longest;
    if (squares > atomic_load_explicit(&s->least, memory_order_relaxed)) {
        mutex_lock(&s->lock);
        join(s, slot, squares);
        mutex_unlock(&s->lock);
    }
}

void longest_leave(struct index *index, uint32_t slot)
{
    mutex_lock(&index->longest.lock);
    (void)leave(&index->longest, slot);
    mutex_unlock(&index->longest.lock);
}

/* By what the codes know of lengths: the exact vectors may be on a disk. */
void longest_settle(struct index *index)
{
    struct starts *s = &index->longest;
    const struct slots *slots = &index->slots;
    bool is_full = atomic_load_explicit(&s->least, memory_order_relaxed) > 0;
    if (!is_full || atomic_load_explicit(&s->n, memory_order_relaxed) >= LONGEST_LEAST) {
        return; /* Rows that are not in it have never fallen out, or it is long enough. */
    }
    struct code_space space = space_of_codes(index);
    uint32_t n_used = atomic_load_explicit(&slots->n_used, memory_order_acquire);
    mutex_lock(&s->lock);
    clear(s);
    for (uint32_t slot = 0; slot < n_used; slot++) {
        if ((slot_state(slots, slot) & (SLOT_LINKED | SLOT_HIDDEN)) == SLOT_LINKED) {
            struct code_room room;
            struct code_query row;
            space.code->query_of_row(&space, slot, &room, &row);
            join(s, slot, row.squares);
        }
    }
    mutex_unlock(&s->lock);
}

/* ---- those that were missed ---- */

/* A row's slot while it can be found; SLOT_NONE: it is gone, or not linked yet. */
static uint32_t slot_of_row(struct index *index, uint64_t row)
{
    mutex_lock(&index->map_lock);
    uint32_t slot = row_map_find(&index->map, &index->slots, row);
    mutex_unlock(&index->map_lock);
    return slot;
}

static void add_gone(struct index *index, float missed) REQUIRES(index->missed.lock)
{
    float gone = atomic_load_explicit(&index->missed_gone, memory_order_relaxed);
    atomic_store_explicit(&index->missed_gone, gone + missed, memory_order_relaxed);
}

static bool is_there(const struct index *index, uint32_t slot, uint64_t row)
{
    return slot != SLOT_NONE &&
           (slot_state(&index->slots, slot) & (SLOT_LINKED | SLOT_HIDDEN)) == SLOT_LINKED &&
           node_at(&index->slots, slot)->row == row;
}

void index_begin_at(struct index *index, const struct index_start *starts, size_t n)
{
    struct epochs *epochs = &index->epochs;
    unsigned place = epoch_enter(epochs, 0);
    mutex_lock(&index->missed.lock);
    clear(&index->missed);
    atomic_store_explicit(&index->missed_gone, 0, memory_order_relaxed);
    atomic_store_explicit(&index->longest_gone, 0, memory_order_relaxed);
    for (size_t i = 0; i < n; i++) {
        /* One that is hidden from here on leaves later: starts_hide waits for the lock. */
        uint32_t slot = slot_of_row(index, starts[i].row);
        if (is_there(index, slot, starts[i].row)) {
            join(&index->missed, slot, starts[i].missed);
        } else {
            add_gone(index, starts[i].missed);
        }
    }
    mutex_unlock(&index->missed.lock);
    epoch_leave(epochs, place);
}

/* ---- those that go ---- */

/* The longest stay until their slots are retired: rows are linked by what lies around them. */
void starts_hide(struct index *index, uint32_t slot)
{
    struct starts *longest = &index->longest;
    mutex_lock(&index->missed.lock);
    add_gone(index, leave(&index->missed, slot));
    mutex_unlock(&index->missed.lock);
    if (index->config.distance != DISTANCE_DOT) {
        return;
    }
    mutex_lock(&longest->lock);
    if (find(longest, slot) < atomic_load_explicit(&longest->n, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&index->longest_gone, 1, memory_order_relaxed);
    }
    mutex_unlock(&longest->lock);
}

/* What takes their place among the nearest is as hard to find, and nobody begins there. */
bool index_is_torn(const struct index *index)
{
    return atomic_load_explicit(&index->missed_gone, memory_order_relaxed) > MISSED_GONE_MAX ||
           atomic_load_explicit(&index->longest_gone, memory_order_relaxed) > LONGEST_GONE_MAX;
}

/* ---- searching ---- */

static size_t take_all(struct walk *w, const struct starts *s, struct candidate *out)
{
    uint32_t slots[INDEX_STARTS_MAX];
    float keys[INDEX_STARTS_MAX];
    size_t n = atomic_load_explicit(&s->n, memory_order_acquire), n_out = 0;
    if (n == 0) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        slots[i] = slot_of(s, i);
    }
    walk_keys(w, slots, n, keys);
    for (size_t i = 0; i < n; i++) {
        if (!walk_passes_over(w, slots[i], keys[i])) {
            out[n_out++] = (struct candidate){.key = keys[i], .slot = slots[i]};
        }
    }
    return n_out;
}

/* Leaves the @n_near nearest, the nearest first. */
static size_t take_nearest(struct candidate *items, size_t n, size_t n_near)
{
    for (size_t i = 1; i < n; i++) {
        struct candidate c = items[i];
        size_t at = i < n_near ? i : n_near;
        for (; at > 0 && c.key < items[at - 1].key; at--) {
            items[at] = items[at - 1];
        }
        items[at] = c;
    }
    return n < n_near ? n : n_near;
}

size_t starts_take(struct walk *w, struct candidate out[STARTS_MAX])
{
    const struct index *index = w->index;
    size_t n = take_nearest(out, take_all(w, &index->longest, out), LONGEST_NEAREST);
    return w->search->forgets_missed ? n : n + take_all(w, &index->missed, out + n);
}
