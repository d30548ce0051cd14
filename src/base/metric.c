/* Metrics: one cell a row of the table.
 *
 * A histogram has BUCKETS buckets whose upper bounds grow by turns by a third and by a half, so
 * that each pair doubles: 1, 1.33…, 2, 2.67, 4 … microseconds; the last is open. */
#include "base/metric.h"

#include <stdatomic.h>

enum {
    BUCKETS = 52
};

static const struct metric_row rows[METRIC_COUNT] = {
#define METRIC_ROW(name, kind, unit, text) {#name, kind, unit, text},
#include "base/metrics.def"
#undef METRIC_ROW
};

struct histogram {
    _Atomic uint64_t buckets[BUCKETS];
    _Atomic uint64_t sum_us;
};

static _Atomic int64_t values[METRIC_COUNT];
static struct histogram histograms[METRIC_COUNT];

const struct metric_row *metric_row(enum metric_id id)
{
    CHECK(id < METRIC_COUNT);
    return &rows[id];
}

void metric_add(enum metric_id id, int64_t n)
{
    atomic_fetch_add_explicit(&values[id], n, memory_order_relaxed);
}

void metric_set(enum metric_id id, int64_t value)
{
    CHECK(rows[id].kind == METRIC_IS_GAUGE);
    atomic_store_explicit(&values[id], value, memory_order_relaxed);
}

void metric_raise(enum metric_id id, int64_t value)
{
    CHECK(rows[id].kind == METRIC_IS_GAUGE);
    CHECK(id < METRIC_COUNT);
    int64_t old = metric_value(id);
    while (old < value &&
           !atomic_compare_exchange_weak_explicit(&values[id], &old, value, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

int64_t metric_value(enum metric_id id)
{
    return atomic_load_explicit(&values[id], memory_order_relaxed);
}

static double bucket_bound_us(size_t bucket)
{
    double power = (double)(UINT64_C(1) << (bucket / 2));
    return bucket % 2 == 0 ? power : power * 4 / 3;
}

static size_t bucket_of(uint64_t micros)
{
    size_t power = 0; /* Of two, the first that is not below it. */
    while (power < BUCKETS / 2 && micros > UINT64_C(1) << power) {
        power++;
    }
    if (power == BUCKETS / 2) {
        return BUCKETS - 1;
    }
    bool is_in_lower = power > 0 && micros * 3 <= UINT64_C(2) << power;
    return is_in_lower ? 2 * power - 1 : 2 * power;
}

void metric_observe_us(enum metric_id id, uint64_t micros)
{
    CHECK(rows[id].kind == METRIC_IS_HISTOGRAM);
    struct histogram *h = &histograms[id];
    atomic_fetch_add_explicit(&h->buckets[bucket_of(micros)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, micros, memory_order_relaxed);
    metric_add(id, 1);
}

uint64_t metric_quantile_us(enum metric_id id, double share)
{
    CHECK(rows[id].kind == METRIC_IS_HISTOGRAM && share >= 0 && share <= 1);
    CHECK(share >= 0 && share <= 1);
    const struct histogram *h = &histograms[id];
    double wanted = share * (double)metric_value(id);
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        seen += atomic_load_explicit(&h->buckets[bucket], memory_order_relaxed);
        if (seen > 0 && (double)seen >= wanted) {
            return (uint64_t)bucket_bound_us(bucket);
        }
    }
    return 0;
}

double metric_sum_seconds(enum metric_id id)
{
    CHECK(rows[id].kind == METRIC_IS_HISTOGRAM);
    return (double)atomic_load_explicit(&histograms[id].sum_us, memory_order_relaxed) / 1e6;
}

static void export_histogram(struct buf *b, enum metric_id id)
{
    const struct metric_row *row = &rows[id];
    const struct histogram *h = &histograms[id];
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < BUCKETS - 1; bucket++) {
        seen += atomic_load_explicit(&h->buckets[bucket], memory_order_relaxed);
        buf_printf(b, "vectrond_%s_%s_bucket{le=\"%.9g\"} %llu\n", row->name, row->unit,
                   bucket_bound_us(bucket) / 1e6, (unsigned long long)seen);
    }
    seen += atomic_load_explicit(&h->buckets[BUCKETS - 1], memory_order_relaxed);
    buf_printf(b, "vectrond_%s_%s_bucket{le=\"+Inf\"} %llu\n", row->name, row->unit,
               (unsigned long long)seen);
    buf_printf(b, "vectrond_%s_%s_sum %.6f\nvectrond_%s_%s_count %llu\n", row->name, row->unit,
               metric_sum_seconds(id), row->name, row->unit, (unsigned long long)seen);
}

void metric_export(struct buf *b)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    for (int id = 0; id < METRIC_COUNT; id++) {
        const struct metric_row *row = &rows[id];
        const char *suffix = row->kind == METRIC_IS_COUNTER ? "_total" : "";
        const char *joint = row->unit[0] == '\0' ? "" : "_";
        buf_printf(b, "# HELP vectrond_%s%s%s%s %s\n# TYPE vectrond_%s%s%s%s %s\n", row->name,
                   joint, row->unit, suffix, row->text, row->name, joint, row->unit, suffix,
                   kinds[row->kind]);
        if (row->kind == METRIC_IS_HISTOGRAM) {
            export_histogram(b, (enum metric_id)id);
        } else {
            buf_printf(b, "vectrond_%s%s%s%s %lld\n", row->name, joint, row->unit, suffix,
                       (long long)metric_value((enum metric_id)id));
        }
    }
    buf_printf(b, "# HELP vectrond_memory_bytes memory handed out, by category\n"
                  "# TYPE vectrond_memory_bytes gauge\n");
    for (int category = 0; category < MEM_COUNT; category++) {
        buf_printf(b, "vectrond_memory_bytes{category=\"%s\"} %zu\n",
                   mem_category_name((enum mem_category)category),
                   mem_category_bytes((enum mem_category)category));
    }
    buf_printf(b,
               "# HELP vectrond_resident_bytes memory of the process that is resident\n"
               "# TYPE vectrond_resident_bytes gauge\nvectrond_resident_bytes %zu\n",
               mem_resident_bytes());
}
