/* Sorting: rows by keys, all of them or the first n.
 *
 * With a bound the sorter is a heap whose root is the worst row kept, so memory follows the bound
 * and not the collection.  Rows are copied into an arena; those that fall out of the heap leave
 * garbage, which is squeezed out by copying the live rows to a fresh arena when it is most of what
 * is held.  Equal keys keep the order in which they were added. */
#include "query/portal_int.h"
#include "query/sort_int.h"

#include "expr/expr.h"
#include "plan/plan.h"

#include <string.h>

enum {
    SQUEEZE_BYTES_MIN = 1 << 20,
    COMPARE_WORK = 8,
};

/* ---- the sorter ---- */

struct sorted_row {
    uint64_t added; /* Breaks ties. */
    size_t bytes;
    const struct sorter *sorter;
    struct value values[]; /* n_keys, then n_values. */
};

struct sorter {
    const struct sort_key *keys;
    size_t n_keys, n_values;
    size_t rows_max; /* SIZE_MAX: all. */
    size_t budget_bytes;
    struct portal *portal;
    struct work *work; /* Its. */
    struct arena *arena;
    struct sorted_row **rows; /* A heap while rows come and there is a bound. */
    size_t n, capacity;
    uint64_t added;
    size_t live_bytes, held_bytes;
};

int sort_key_compare(const struct sort_key *key, const struct value *a, const struct value *b)
{
    bool a_is_null = a->type == TYPE_NULL, b_is_null = b->type == TYPE_NULL;
    if (a_is_null || b_is_null) {
        int order = (int)a_is_null - (int)b_is_null;
        return key->nulls_first ? -order : order;
    }
    int order = value_compare(a, b);
    return key->is_descending ? -order : order;
}

static int compare_keys(const struct sorter *s, const struct value *a, const struct value *b)
{
    for (size_t i = 0; i < s->n_keys; i++) {
        work_charge(s->work, COMPARE_WORK + value_bytes(&a[i]) / BYTES_A_UNIT);
        int order = sort_key_compare(&s->keys[i], &a[i], &b[i]);
        if (order != 0) {
            return order;
        }
    }
    return 0;
}

static int compare_rows(const void *a, const void *b, struct work *work)
{
    (void)work; /* The sorter's. */
    const struct sorted_row *x = *(struct sorted_row *const *)a;
    const struct sorted_row *y = *(struct sorted_row *const *)b;
    CHECK_HOT(x->sorter == y->sorter);
    int order = compare_keys(x->sorter, x->values, y->values);
    return order != 0 ? order : x->added < y->added ? -1 : 1;
}

struct sorter *sorter_new(const struct sort_key *keys, size_t n_keys, size_t n_values,
                          uint64_t rows_max, struct portal *portal)
{
    CHECK(keys != NULL && n_keys > 0 && portal != NULL);
    struct sorter *s = mem_zalloc(MEM_STATEMENT, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->keys = keys;
    s->n_keys = n_keys;
    s->n_values = n_values;
    s->rows_max = rows_max < SIZE_MAX ? (size_t)rows_max : SIZE_MAX;
    s->portal = portal;
    s->budget_bytes = portal->budget_bytes;
    s->work = &portal->work;
    s->arena = arena_new(MEM_STATEMENT, s->budget_bytes);
    if (s->arena == NULL) {
        sorter_free(s);
        return NULL;
    }
    return s;
}

void sorter_free(struct sorter *s)
{
    if (s != NULL) {
        arena_free(s->arena);
        mem_free(MEM_STATEMENT, s->rows);
        mem_free(MEM_STATEMENT, s);
    }
}

void sorter_reset(struct sorter *s)
{
    arena_reset(s->arena);
    s->n = 0;
    s->added = 0;
    s->live_bytes = s->held_bytes = 0;
}

/* ---- the heap: rows[0] is the last in the order ---- */

static void swap(struct sorter *s, size_t i, size_t j)
{
    CHECK_HOT(i < s->n && j < s->n);
    struct sorted_row *row = s->rows[i];
    s->rows[i] = s->rows[j];
    s->rows[j] = row;
}

static void sift_up(struct sorter *s, size_t i)
{
    CHECK_HOT(i < s->n);
    while (i > 0 && compare_rows(&s->rows[(i - 1) / 2], &s->rows[i], s->work) < 0) {
        swap(s, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

static void sift_down(struct sorter *s, size_t i)
{
    CHECK_HOT(i < s->n);
    for (;;) {
        size_t last = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < s->n; child++) {
            last = compare_rows(&s->rows[child], &s->rows[last], s->work) > 0 ? child : last;
        }
        if (last == i) {
            return;
        }
        swap(s, i, last);
        i = last;
    }
}

bool sorter_wants(const struct sorter *s, const struct value *keys)
{
    CHECK_HOT(s->n <= s->rows_max);
    if (s->rows_max == 0) {
        return false;
    }
    return s->n < s->rows_max || compare_keys(s, keys, s->rows[0]->values) < 0;
}

/* ---- rows ---- */

static struct sorted_row *copy_row(struct sorter *s, struct arena *arena, const struct value *keys,
                                   const struct value *values)
{
    size_t n = s->n_keys + s->n_values;
    struct sorted_row *row = arena_alloc(arena, sizeof(*row) + n * sizeof(struct value));
    if (row == NULL) {
        return NULL;
    }
    row->sorter = s;
    row->bytes = sizeof(*row) + n * sizeof(struct value);
    for (size_t i = 0; i < n; i++) {
        const struct value *from = i < s->n_keys ? &keys[i] : &values[i - s->n_keys];
        if (!value_copy(&row->values[i], from, arena)) {
            return NULL;
        }
        row->bytes += value_bytes(from);
    }
    return row;
}

/* Copies what lives to a fresh arena. */
static enum errcode squeeze(struct sorter *s, struct err *err)
{
    CHECK(s->held_bytes > s->live_bytes);
    struct arena *fresh = arena_new(MEM_STATEMENT, s->budget_bytes);
    if (fresh == NULL) {
        return portal_no_memory(s->portal, err);
    }
    for (size_t i = 0; i < s->n; i++) {
        const struct sorted_row *old = s->rows[i];
        enum errcode code = work_spend(s->work, COMPARE_WORK + old->bytes / BYTES_A_UNIT, err);
        struct sorted_row *row =
            code == ERR_OK ? copy_row(s, fresh, old->values, old->values + s->n_keys) : NULL;
        if (row == NULL) {
            arena_free(fresh); /* Rows before i are in it: the sorter has lost them. */
            s->n = 0;
            return code != ERR_OK ? code : portal_no_memory(s->portal, err);
        }
        row->added = old->added;
        s->rows[i] = row;
    }
    CHECK(s->n <= s->capacity);
    arena_free(s->arena);
    s->arena = fresh;
    s->held_bytes = s->live_bytes;
    return ERR_OK;
}

static bool reserve(struct sorter *s)
{
    if (s->n < s->capacity) {
        return true;
    }
    size_t capacity = s->capacity == 0 ? 64 : s->capacity * 2;
    if (capacity * sizeof(struct sorted_row *) > s->budget_bytes) {
        return false;
    }
    void *rows = mem_realloc(MEM_STATEMENT, s->rows, capacity * sizeof(struct sorted_row *));
    if (rows == NULL) {
        return false;
    }
    s->rows = rows;
    s->capacity = capacity;
    return true;
}

enum errcode sorter_add(struct sorter *s, const struct value *keys, const struct value *values,
                        struct err *err)
{
    CHECK(sorter_wants(s, keys));
    CHECK_HOT(s->n <= s->capacity && s->live_bytes <= s->held_bytes);
    if (s->held_bytes > SQUEEZE_BYTES_MIN && s->held_bytes > 2 * s->live_bytes) {
        enum errcode code = squeeze(s, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    struct sorted_row *row = copy_row(s, s->arena, keys, values);
    if (row == NULL || !reserve(s)) {
        return portal_no_memory(s->portal, err);
    }
    work_charge(s->work, row->bytes / BYTES_A_UNIT);
    row->added = s->added++;
    s->held_bytes += row->bytes;
    s->live_bytes += row->bytes;
    if (s->n < s->rows_max) {
        s->rows[s->n++] = row;
        if (s->rows_max != SIZE_MAX) {
            sift_up(s, s->n - 1);
        }
        return ERR_OK;
    }
    s->live_bytes -= s->rows[0]->bytes;
    s->rows[0] = row;
    sift_down(s, 0);
    return ERR_OK;
}

enum errcode sorter_finish(struct sorter *s, struct err *err)
{
    CHECK(s->n <= s->rows_max);
    struct sorting sorting = {s->n, sizeof(struct sorted_row *), compare_rows, s->work};
    return merge_sort(&sorting, s->rows, err);
}

size_t sorter_rows(const struct sorter *s)
{
    return s->n;
}

struct value *sorter_row(const struct sorter *s, size_t i)
{
    CHECK(i < s->n);
    return s->rows[i]->values + s->n_keys;
}
