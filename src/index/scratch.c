/* Candidates, their pools, and the memory that a searching thread keeps between searches. */
#include "index/candidate_int.h"

#include <string.h>

/* ---- order ---- */

bool candidate_is_nearer(const struct slots *slots, struct candidate a, struct candidate b)
{
    if (a.key != b.key) {
        return a.key < b.key;
    }
    return node_at(slots, a.slot)->row < node_at(slots, b.slot)->row;
}

static void sift_down(const struct slots *slots, struct candidate *items, size_t n, size_t at)
{
    struct candidate moving = items[at];
    for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && candidate_is_nearer(slots, items[child], items[child + 1])) {
            child++;
        }
        if (!candidate_is_nearer(slots, moving, items[child])) {
            break;
        }
        items[at] = items[child];
        at = child;
    }
    items[at] = moving;
}

enum {
    INSERTION_SORT_MAX = 48
};

void candidates_sort(const struct slots *slots, struct candidate *items, size_t n)
{
    if (n <= INSERTION_SORT_MAX) {
        for (size_t i = 1; i < n; i++) {
            struct candidate moving = items[i];
            size_t at = i;
            for (; at > 0 && candidate_is_nearer(slots, moving, items[at - 1]); at--) {
                items[at] = items[at - 1];
            }
            items[at] = moving;
        }
        return;
    }
    for (size_t i = n / 2; i-- > 0;) {
        sift_down(slots, items, n, i);
    }
    for (size_t end = n; end-- > 1;) {
        struct candidate farthest = items[0];
        items[0] = items[end];
        items[end] = farthest;
        sift_down(slots, items, end, 0);
    }
}

/* ---- pools ---- */

void pool_fini(struct pool *pool)
{
    mem_free(MEM_SEARCH, pool->items);
    *pool = (struct pool){.items = NULL};
}

static bool pool_fits(struct pool *pool, size_t n)
{
    if (n <= pool->capacity) {
        return true;
    }
    size_t capacity = pool->capacity * 2 > n ? pool->capacity * 2 : n;
    void *items = mem_realloc(MEM_SEARCH, pool->items, capacity * sizeof(*pool->items));
    if (items == NULL) {
        return false;
    }
    pool->items = items;
    pool->capacity = capacity;
    return true;
}

bool pool_reset(struct pool *pool, size_t max)
{
    pool->n = 0;
    pool->max = max;
    return pool_fits(pool, max);
}

bool pool_append(struct pool *pool, struct candidate c)
{
    if (!pool_fits(pool, pool->n + 1)) {
        return false;
    }
    pool->items[pool->n++] = c;
    return true;
}

size_t pool_add(struct pool *pool, const struct slots *slots, struct candidate c)
{
    size_t low = 0, high = pool->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (candidate_is_nearer(slots, c, pool->items[middle])) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    if (low == pool->max) {
        return low;
    }
    size_t n_moved = pool->n - low - (pool->n == pool->max);
    memmove(&pool->items[low + 1], &pool->items[low], n_moved * sizeof(c));
    pool->items[low] = c;
    pool->n += pool->n < pool->max;
    return low;
}

bool heap_push(struct pool *heap, const struct slots *slots, struct candidate c)
{
    if (!pool_fits(heap, heap->n + 1)) {
        return false;
    }
    size_t at = heap->n++;
    while (at > 0 && candidate_is_nearer(slots, c, heap->items[(at - 1) / 2])) {
        heap->items[at] = heap->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->items[at] = c;
    return true;
}

struct candidate heap_pop(struct pool *heap, const struct slots *slots)
{
    CHECK(heap->n > 0);
    struct candidate top = heap->items[0], moving = heap->items[--heap->n];
    size_t at = 0;
    for (size_t child = 1; child < heap->n; child = 2 * at + 1) {
        if (child + 1 < heap->n &&
            candidate_is_nearer(slots, heap->items[child + 1], heap->items[child])) {
            child++;
        }
        if (!candidate_is_nearer(slots, heap->items[child], moving)) {
            break;
        }
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = moving;
    return top;
}

/* ---- scratch ---- */

/* So that the next part begins on a line of its own. */
static size_t lines(size_t bytes)
{
    return (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

static _Thread_local struct scratch *of_this_thread;
static _Atomic unsigned n_threads;

static struct scratch *make_scratch(struct err *err)
{
    if (of_this_thread == NULL) {
        struct scratch *s = mem_zalloc(MEM_SEARCH, sizeof(*s));
        uint32_t *seen = mem_alloc(MEM_SEARCH, (SEEN_MAX + LINKS_MAX + 1) * sizeof(*seen));
        if (s == NULL || seen == NULL) {
            mem_free(MEM_SEARCH, s);
            mem_free(MEM_SEARCH, seen);
            err_no_memory(err);
            return NULL;
        }
        s->seen = seen;
        s->place_hint = atomic_fetch_add_explicit(&n_threads, 1, memory_order_relaxed);
        of_this_thread = s;
        thread_at_end(index_thread_exit);
    }
    return of_this_thread;
}

struct scratch *scratch_get(void)
{
    CHECK(of_this_thread != NULL);
    return of_this_thread;
}

struct scratch *scratch_for(const struct index *index, struct err *err)
{
    struct scratch *s = make_scratch(err);
    size_t vector = lines(index->config.dim * sizeof(float));
    size_t code = lines(index->code->query_bytes(index->config.dim)) + sizeof(struct code_room);
    size_t bytes = vector + code + index->slots.code_stride + CACHE_LINE;
    if (s == NULL) {
        return NULL;
    }
    if (!beam_reserve(&s->beam, 1)) {
        err_no_memory(err);
        return NULL;
    }
    if (bytes > s->room_bytes) {
        mem_free(MEM_SEARCH, s->room);
        s->room = mem_alloc(MEM_SEARCH, bytes);
        s->room_bytes = s->room == NULL ? 0 : bytes;
    }
    if (s->room == NULL) {
        err_no_memory(err);
        return NULL;
    }
    uint8_t *at = s->room + (CACHE_LINE - (uintptr_t)s->room % CACHE_LINE) % CACHE_LINE;
    s->query = (float *)(void *)at;
    s->query_code = at + vector;
    s->row_code = at + vector + code;
    return s;
}

void index_thread_exit(void)
{
    struct scratch *s = of_this_thread;
    if (s != NULL) {
        mem_free(MEM_SEARCH, s->visited);
        mem_free(MEM_SEARCH, s->seen);
        mem_free(MEM_SEARCH, s->room);
        beam_fini(&s->beam);
        hits_fini(&s->found);
        hits_fini(&s->tail);
        pool_fini(&s->near);
        pool_fini(&s->matching);
        pool_fini(&s->frontier);
        pool_fini(&s->refused);
        mem_free(MEM_SEARCH, s);
        of_this_thread = NULL;
    }
}

enum {
    WORDS_A_SLOT = 4 /* As many words in a row are cleared in the time of one here and there. */
};

bool scratch_visit_none(struct scratch *s, uint32_t capacity)
{
    size_t words = ((size_t)capacity + 63) / 64;
    if (words > s->visited_words) {
        uint64_t *visited = mem_zalloc(MEM_SEARCH, words * sizeof(*visited));
        if (visited == NULL) {
            return false;
        }
        mem_free(MEM_SEARCH, s->visited);
        s->visited = visited;
        s->visited_words = words;
    } else if (s->has_seen_more || s->visited_words < WORDS_A_SLOT * s->n_seen) {
        memset(s->visited, 0, s->visited_words * sizeof(*s->visited));
    } else {
        for (size_t i = 0; i < s->n_seen; i++) {
            s->visited[s->seen[i] / 64] = 0;
        }
    }
    s->n_seen = 0;
    s->has_seen_more = false;
    return true;
}
