/* The right side of IN where it does not depend on the row: values that are sorted once and then
 * searched by halves; and the sort, which others use too. */
#include "expr/expr_int.h"

#include <string.h>

enum {
    COMPARE_WORK = 8,
    STEP_WORK = 8, /* Of a search by halves. */
};

/* ---- sorting what can be given up ---- */

/* Merges the runs [from, middle) and [middle, to) of @items into @out. */
static enum errcode merge(const struct sorting *s, const char *items, const size_t bounds[3],
                          char *out, struct err *err)
{
    size_t a = bounds[0], b = bounds[1], bytes = s->item_bytes;
    for (size_t i = bounds[0]; i < bounds[2]; i++) {
        enum errcode code = work_spend(s->work, COMPARE_WORK, err);
        if (code != ERR_OK) {
            return code;
        }
        bool is_a =
            b == bounds[2] ||
            (a < bounds[1] && s->compare(items + a * bytes, items + b * bytes, s->work) <= 0);
        memcpy(out + i * bytes, items + (is_a ? a++ : b++) * bytes, bytes);
    }
    return ERR_OK;
}

/* Runs of one, of two, of four, ..., from one half of the memory to the other.  The library's
 * qsort would do as well if it could be ended. */
enum errcode merge_sort(const struct sorting *s, void *items, struct err *err)
{
    CHECK(s->compare != NULL && s->item_bytes > 0 && s->work != NULL);
    size_t bytes = s->n * s->item_bytes;
    char *from = items, *to = s->n > 1 ? mem_alloc(MEM_STATEMENT, bytes) : NULL, *memory = to;
    if (s->n > 1 && to == NULL) {
        return err_no_memory(err);
    }
    enum errcode code = ERR_OK;
    for (size_t run = 1; run < s->n && code == ERR_OK; run *= 2) {
        for (size_t at = 0; at < s->n && code == ERR_OK; at += 2 * run) {
            size_t left = s->n - at;
            size_t bounds[] = {at, at + (run < left ? run : left),
                               at + (2 * run < left ? 2 * run : left)};
            code = merge(s, from, bounds, to, err);
        }
        char *merged = to;
        to = from;
        from = merged;
    }
    if (from != items && code == ERR_OK) {
        memcpy(items, from, bytes);
    }
    mem_free(MEM_STATEMENT, memory);
    return code;
}

/* ---- sets ---- */

static int compare_values(const void *a, const void *b, struct work *work)
{
    charge_compare(work, a, b);
    return value_compare(a, b);
}

enum errcode value_set_build(struct value_set *set, struct value *items, size_t n,
                             struct work *work, struct err *err)
{
    CHECK(items != NULL || n == 0);
    size_t kept = 0;
    *set = (struct value_set){.items = items};
    for (size_t i = 0; i < n; i++) {
        if (items[i].type == TYPE_NULL) {
            set->has_null = true;
        } else {
            items[kept++] = items[i];
        }
    }
    struct sorting sorting = {kept, sizeof(*items), compare_values, work};
    enum errcode code = merge_sort(&sorting, items, err);
    for (size_t i = 0; i < kept && code == ERR_OK; i++) {
        if (set->n == 0 || compare_values(&items[set->n - 1], &items[i], work) != 0) {
            items[set->n++] = items[i];
        }
    }
    return code;
}

bool value_set_has(const struct value_set *set, const struct value *value, struct work *work)
{
    CHECK_HOT(value->type != TYPE_NULL);
    size_t low = 0, high = set->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_values(value, &set->items[middle], work);
        work_charge(work, STEP_WORK);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return false;
}
