/* Metrics: counters, gauges and histograms, declared once in metrics.def.
 *
 * Updating one is an atomic add; a histogram has fixed buckets, each 1.25 to 2 times the last.
 * The Prometheus page, SHOW METRICS and the manual are made from the table. */
#ifndef VECTRON_BASE_METRIC_H
#define VECTRON_BASE_METRIC_H

#include "base/buf.h"

enum metric_kind {
    METRIC_IS_COUNTER,
    METRIC_IS_GAUGE,
    METRIC_IS_HISTOGRAM
};

enum metric_id {
#define METRIC_ROW(name, kind, unit, text) METRIC_##name,
#include "base/metrics.def"
#undef METRIC_ROW
    METRIC_COUNT
};

struct metric_row {
    const char *name; /* As exported: vectrond_name[_unit][_total]. */
    enum metric_kind kind;
    const char *unit; /* "seconds", "bytes", "" */
    const char *text;
};

const struct metric_row *metric_row(enum metric_id id);
void metric_add(enum metric_id id, int64_t n);              /* Counters and gauges. */
void metric_set(enum metric_id id, int64_t value);          /* Gauges. */
void metric_raise(enum metric_id id, int64_t value);        /* Of a gauge that keeps its highest. */
void metric_observe_us(enum metric_id id, uint64_t micros); /* Histograms of seconds. */
int64_t metric_value(enum metric_id id); /* A histogram's: the number of observations. */
/* The value below which @share (0..1) of a histogram's observations lie, in microseconds. */
uint64_t metric_quantile_us(enum metric_id id, double share);
double metric_sum_seconds(enum metric_id id);

/* The whole table in Prometheus' text format 0.0.4, memory by category included. */
void metric_export(struct buf *b);

#endif
