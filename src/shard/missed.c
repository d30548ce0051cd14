/* Rows that walks miss again and again.
 *
 * Some rows are near to many queries, and few paths lead to them: by products, for one.  Walks find
 * others in their place, so that recall is a little less for all; but a filter that lets such a row
 * pass, and few others, has it among its nearest for half of the queries.  So each sample of a
 * measure walks once with the least effort, for more rows than most searches ask for, and what was
 * missed is counted by rows.  The index begins its walks at the worst of them from then on
 * (index_begin_at).  That walk does not know them: else none would be missed the next time. */
#include "shard/tally_int.h"

#include <stdlib.h>

enum {
    NOTED_MAX = 1 << 15,
    QUERIES_MIN = 64,
};
/* A row that so many queries miss is worth being compared with each query; and one that already is
 * as long as half as many do, as curves were measured with it. */
static const double SHARE_TO_BEGIN = 0.02, SHARE_TO_END = 0.01;

bool missed_init(struct missed *m)
{
    *m = (struct missed){.rows = mem_alloc(MEM_SEARCH, NOTED_MAX * sizeof(*m->rows))};
    return m->rows != NULL;
}

void missed_fini(struct missed *m)
{
    mem_free(MEM_SEARCH, m->rows);
    m->rows = NULL;
}

static bool is_among(const struct index_hit *hits, size_t n, uint64_t row)
{
    size_t i = 0;
    while (i < n && hits[i].row != row) {
        i++;
    }
    return i < n;
}

void missed_note(struct missed *m, const struct index_hit *truth, size_t n_truth,
                 const struct index_hit *found, size_t n_found)
{
    CHECK(n_truth <= MISSED_K);
    if (m->n + MISSED_K > NOTED_MAX) {
        return;
    }
    m->n_queries++;
    for (size_t i = 0; i < n_truth; i++) {
        if (!is_among(found, n_found, truth[i].row)) {
            m->rows[m->n++] = truth[i].row;
        }
    }
}

static int compare_rows(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool is_known(const struct missed_rows *known, uint64_t row)
{
    size_t i = 0;
    while (i < known->n && known->items[i].row != row) {
        i++;
    }
    return i < known->n;
}

/* The most often missed first; where there are too many the last falls out. */
static void add(struct missed_rows *s, struct index_start start)
{
    size_t at = s->n;
    for (; at > 0 && s->items[at - 1].missed < start.missed; at--) {
        if (at < INDEX_STARTS_MAX) {
            s->items[at] = s->items[at - 1];
        }
    }
    if (at < INDEX_STARTS_MAX) {
        s->items[at] = start;
        s->n += s->n < INDEX_STARTS_MAX;
    }
}

bool missed_sum_up(struct missed *m, const struct missed_rows *known, struct missed_rows *out)
{
    if (m->n_queries < QUERIES_MIN) {
        return false;
    }
    out->n = 0;
    qsort(m->rows, m->n, sizeof(*m->rows), compare_rows);
    for (uint32_t i = 0, end = 0; i < m->n; i = end) {
        while (end < m->n && m->rows[end] == m->rows[i]) {
            end++;
        }
        double missed = (double)(end - i) / m->n_queries;
        if (missed >= (is_known(known, m->rows[i]) ? SHARE_TO_END : SHARE_TO_BEGIN)) {
            add(out, (struct index_start){m->rows[i], (float)missed});
        }
    }
    return true;
}
