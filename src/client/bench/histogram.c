/* Latencies in a log-linear histogram (the layout of HdrHistogram): constant memory, one addition a
 * value, merged by adding cells. */
#include "client/bench/bench_int.h"

enum {
    PARTS = 1 << HISTOGRAM_PARTS_LOG
};

/* Values below PARTS have a cell each; above, the cell is the exponent and the next six bits. */
static size_t cell_of(uint64_t ns)
{
    if (ns < PARTS) {
        return (size_t)ns;
    }
    if (ns >> HISTOGRAM_BITS != 0) {
        return HISTOGRAM_CELLS - 1;
    }
    unsigned exponent = 63 - (unsigned)__builtin_clzll(ns);
    unsigned shift = exponent - HISTOGRAM_PARTS_LOG;
    return ((size_t)(shift + 1) << HISTOGRAM_PARTS_LOG) + (size_t)((ns >> shift) - PARTS);
}

/* The middle of a cell's values. */
static double value_of(size_t cell)
{
    size_t group = cell >> HISTOGRAM_PARTS_LOG;
    if (group == 0) {
        return (double)cell;
    }
    uint64_t low = ((uint64_t)PARTS + (cell & (PARTS - 1))) << (group - 1);
    return (double)low + (double)((uint64_t)1 << (group - 1)) / 2;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->n++;
    h->sum_ns += (double)ns;
    h->max_ns = ns > h->max_ns ? ns : h->max_ns;
    h->cells[cell_of(ns)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->n += from->n;
    into->sum_ns += from->sum_ns;
    into->max_ns = from->max_ns > into->max_ns ? from->max_ns : into->max_ns;
    for (size_t i = 0; i < HISTOGRAM_CELLS; i++) {
        into->cells[i] += from->cells[i];
    }
}

double histogram_quantile_us(const struct histogram *h, double share)
{
    CHECK(share >= 0 && share <= 1);
    if (h->n == 0) {
        return 0;
    }
    double wanted = share * (double)h->n;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_CELLS; i++) {
        seen += h->cells[i];
        if (seen > 0 && (double)seen >= wanted) {
            double ns = value_of(i);
            return (ns < (double)h->max_ns ? ns : (double)h->max_ns) / 1000;
        }
    }
    return (double)h->max_ns / 1000;
}
