/* What calibration measured outlives a restart.
 *
 * It stands beside the head in the shard's file, one record a column, little-endian:
 *
 *   "calibration-COLUMN" ->  u32 CRC-32C of what follows | u32 version | u32 column
 *     of which graph         u64 log index | u64 bytes | u32 CRC-32C, all of its checkpoint
 *                            u32 m | u32 ef_construction
 *     the curves             u32 curves, as many as there are classes; each:
 *       of what              u64 rows linked | u64 changes since the checkpoint | u64 wall time
 *                            u32 samples | u32 1 where clients asked the queries
 *                            u32 1 where the measure came to its end; else it is begun again
 *                            f32 reach of the queries, by distance and by angle
 *       the points           u32 points, each: u32 ef | f32 recall, low, high, promise, distances,
 *                            filter calls | 6 x f32 share of the samples below a floor
 *     what became of it      u32 1 where rows that walks began at are gone: it counts no more
 *     where walks begin      u32 rows, each: u64 row | f32 share of the queries that missed it
 *
 * A curve is true of the graph that it was measured on, and of what that graph becomes by further
 * changes.  So the record names the checkpoint that the graph was last written to, and is believed
 * only where the graph comes back out of that very file.  As long as none was written, the graph is
 * made of all the changes that there ever were; its checkpoint is all zero then.  A graph that was
 * made anew from its rows is another one: it believes no record, and leaves none behind until it
 * has a checkpoint of its own.
 *
 * Changes are counted from the checkpoint on, so the number is negative (in two's complement) where
 * the measurement is older than that.
 *
 * The queries themselves are not kept: what clients ask now is measured once it is as much as what
 * is remembered was measured with, or does not find what that promises (calibrate.c).
 *
 * A record is written by the next flush after a calibration or a checkpoint, in its transaction.  A
 * crash between a checkpoint and that flush leaves the record of the file before: then, as with a
 * damaged one, recall is measured again.  Nothing is lost by that but the time. */
#include "shard/calibration_int.h"
#include "shard/row_int.h"
#include "shard/shard_int.h"
#include "shard/store_int.h"
#include "shard/vectors_int.h"

#include <math.h>
#include <stdio.h>

enum {
    RECORD_VERSION = 6,
    NAME_BYTES = 32,
    CURVES_AT = 4 + 4 + 4 + 20 + 8, /* Bytes before the curves. */
    POINT_BYTES = 4 * (1 + 6 + CURVE_FLOORS),
    CURVE_BYTES_MAX = 24 + 12 + 8 + 4 + CURVE_POINTS * POINT_BYTES,
    RECORD_BYTES_MAX = CURVES_AT + 4 + CURVE_COUNT * CURVE_BYTES_MAX + 8 + INDEX_STARTS_MAX * 12,
};

static void record_name(const struct vector_index *v, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "calibration-%u", v->column);
}

/* ---- which graph it is ---- */

void remember_graph(struct vector_index *v, const struct index *index,
                    const struct checkpoint_id *id, uint64_t changes)
{
    struct calibration *c = &v->calibration;
    const struct index_config *config = index_config(index);
    mutex_lock(&c->mutex);
    c->graph = *id;
    c->graph_m = config->m;
    c->graph_ef_construction = config->ef_construction;
    c->graph_changes = changes;
    c->is_graph_known = true;
    c->edition++;
    mutex_unlock(&c->mutex);
}

static bool is_due(const struct calibration *c) REQUIRES(c->mutex)
{
    return atomic_load(&c->published) != NULL && c->is_graph_known && c->edition != c->edition_kept;
}

bool remember_is_due(struct shard *shard)
{
    bool is_any_due = false;
    for (size_t i = 0; i < shard->n_vectors && !is_any_due; i++) {
        struct calibration *c = &shard->vectors[i].calibration;
        mutex_lock(&c->mutex);
        is_any_due = is_due(c);
        mutex_unlock(&c->mutex);
    }
    return is_any_due;
}

/* ---- writing ---- */

/* Not of the parameters in force: a REINDEX may have changed them since. */
static void encode_graph(struct buf *out, const struct calibration *c) REQUIRES(c->mutex)
{
    buf_u64(out, c->graph.sequence);
    buf_u64(out, c->graph.bytes);
    buf_u32(out, c->graph.digest);
    buf_u32(out, c->graph_m);
    buf_u32(out, c->graph_ef_construction);
}

static void encode_point(struct buf *out, const struct curve_point *p)
{
    const float figures[] = {p->recall, p->low, p->high, p->promise, p->distances, p->filter_calls};
    buf_u32(out, p->ef);
    for (size_t i = 0; i < COUNT_OF(figures); i++) {
        buf_f32(out, figures[i]);
    }
    for (size_t i = 0; i < CURVE_FLOORS; i++) {
        buf_f32(out, p->below[i]);
    }
}

static void encode_curve(struct buf *out, const struct curve *curve, uint64_t graph_changes)
{
    const struct curve_origin *origin = &curve->origin;
    buf_u64(out, origin->rows);
    buf_u64(out, origin->changes - graph_changes);
    buf_u64(out, (uint64_t)origin->wall_us);
    buf_u32(out, origin->n_samples);
    buf_u32(out, origin->is_real);
    buf_u32(out, origin->is_whole);
    buf_f32(out, curve->reach);
    buf_f32(out, curve->angle);
    buf_u32(out, curve->n_points);
    for (size_t i = 0; i < curve->n_points; i++) {
        encode_point(out, &curve->points[i]);
    }
}

static void encode_measured(struct buf *out, const struct measured *m, uint64_t graph_changes)
{
    CHECK(out->failed || out->bytes == CURVES_AT);
    buf_u32(out, CURVE_COUNT);
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        encode_curve(out, &m->curves[i], graph_changes);
    }
}

static void encode_starts(struct buf *out, const struct missed_rows *starts)
{
    buf_u32(out, (uint32_t)starts->n);
    for (size_t i = 0; i < starts->n; i++) {
        buf_u64(out, starts->items[i].row);
        buf_f32(out, starts->items[i].missed);
    }
}

/* True where there is something to put; then it is in @out, if that has not failed. */
static bool encode(struct vector_index *v, struct buf *out)
{
    struct calibration *c = &v->calibration;
    mutex_lock(&c->mutex);
    bool is_wanted = is_due(c);
    if (is_wanted) {
        buf_u32(out, 0); /* The checksum's place. */
        buf_u32(out, RECORD_VERSION);
        buf_u32(out, v->column);
        encode_graph(out, c);
        struct measured m;
        published_read(atomic_load(&c->published), CURVES_ALL, &m);
        encode_measured(out, &m, c->graph_changes);
        buf_u32(out, extent_of(v).is_torn ? 1 : 0);
        encode_starts(out, &c->missed);
        c->edition_put = c->edition;
    }
    mutex_unlock(&c->mutex);
    if (is_wanted && !out->failed) {
        buf_patch_u32(out, 0, crc32c(0, out->data + 4, out->bytes - 4));
    }
    return is_wanted;
}

enum errcode remember_put(struct shard *shard, struct store_write *write, struct err *err)
{
    enum errcode code = ERR_OK;
    for (size_t i = 0; i < shard->n_vectors && code == ERR_OK; i++) {
        struct vector_index *v = &shard->vectors[i];
        char name[NAME_BYTES];
        struct buf out;
        record_name(v, name);
        buf_init(&out, MEM_GENERAL, RECORD_BYTES_MAX);
        if (encode(v, &out)) {
            struct slice record = {out.data, out.bytes};
            code = out.failed ? err_no_memory(err) : store_put_record(write, name, record, err);
        }
        buf_fini(&out);
    }
    return code;
}

void remember_done(struct shard *shard)
{
    for (size_t i = 0; i < shard->n_vectors; i++) {
        struct calibration *c = &shard->vectors[i].calibration;
        mutex_lock(&c->mutex);
        c->edition_kept = c->edition_put;
        mutex_unlock(&c->mutex);
    }
}

/* ---- reading ---- */

static bool is_of_graph(struct reader *r, const struct vector_index *v,
                        const struct checkpoint_id *id)
{
    uint64_t sequence = reader_u64(r);
    uint64_t bytes = reader_u64(r);
    uint32_t digest = reader_u32(r);
    uint32_t m = reader_u32(r);
    uint32_t ef_construction = reader_u32(r);
    return sequence == id->sequence && bytes == id->bytes && digest == id->digest &&
           m == v->parameters.m && ef_construction == v->parameters.ef_construction;
}

static bool is_share(float x)
{
    return x >= 0 && x <= 1;
}

static bool decode_point(struct reader *r, struct curve_point *p)
{
    float *figures[] = {&p->recall,  &p->low,       &p->high,
                        &p->promise, &p->distances, &p->filter_calls};
    p->ef = reader_u32(r);
    for (size_t i = 0; i < COUNT_OF(figures); i++) {
        *figures[i] = reader_f32(r);
    }
    for (size_t i = 0; i < CURVE_FLOORS; i++) {
        p->below[i] = reader_f32(r);
    }
    return p->ef > 0 && is_share(p->recall) && is_share(p->low) && is_share(p->high) &&
           is_share(p->promise) && p->distances >= 0 && p->filter_calls >= 0;
}

static bool decode_curve(struct reader *r, struct curve *out)
{
    out->origin.rows = reader_u64(r);
    out->origin.changes = reader_u64(r);
    out->origin.vouched_rows = out->origin.rows;
    out->origin.vouched_changes = out->origin.changes;
    out->origin.wall_us = (int64_t)reader_u64(r);
    out->origin.n_samples = reader_u32(r);
    out->origin.is_real = reader_u32(r);
    out->origin.is_whole = reader_u32(r);
    out->reach = reader_f32(r);
    out->angle = reader_f32(r);
    out->n_points = reader_u32(r);
    if (out->n_points > CURVE_POINTS || isnan(out->reach) || isnan(out->angle)) {
        return false;
    }
    for (size_t i = 0; i < out->n_points; i++) {
        struct curve_point *p = &out->points[i];
        if (!decode_point(r, p) || (i > 0 && (p->ef <= p[-1].ef || p->promise < p[-1].promise))) {
            return false;
        }
    }
    return true;
}

static bool decode_measured(struct reader *r, struct measured *out)
{
    if (reader_u32(r) != CURVE_COUNT) {
        return false;
    }
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        if (!decode_curve(r, &out->curves[i])) {
            return false;
        }
    }
    return true;
}

static bool decode_starts(struct reader *r, struct missed_rows *out)
{
    out->n = reader_u32(r);
    if (out->n > INDEX_STARTS_MAX) {
        return false;
    }
    for (size_t i = 0; i < out->n; i++) {
        out->items[i].row = reader_u64(r);
        out->items[i].missed = reader_f32(r);
        if (!is_share(out->items[i].missed)) {
            return false;
        }
    }
    return reader_done(r);
}

/* NULL, or why the record is not believed. */
static const char *decode(const struct vector_index *v, struct slice record,
                          const struct checkpoint_id *id, struct measured *out,
                          struct missed_rows *starts)
{
    struct reader r;
    reader_init(&r, record.data, record.bytes);
    uint32_t crc = reader_u32(&r);
    if (r.failed || crc != crc32c(0, record.data + 4, record.bytes - 4)) {
        return "it does not pass its checksum";
    }
    if (reader_u32(&r) != RECORD_VERSION) {
        return "it is of another version";
    }
    if (reader_u32(&r) != v->column) {
        return "it is of another column";
    }
    if (!is_of_graph(&r, v, id)) {
        return "it is of another graph";
    }
    if (!decode_measured(&r, out)) {
        return "it makes no sense";
    }
    bool is_torn = reader_u32(&r) != 0;
    if (!decode_starts(&r, starts)) {
        return "it makes no sense";
    }
    return is_torn ? "rows that walks began at are gone" : NULL;
}

void remember_load(struct shard *shard, struct vector_index *v, struct store_read *read,
                   const struct checkpoint_id *id)
{
    struct calibration *c = &v->calibration;
    struct measured measured = {0};
    struct missed_rows starts;
    struct slice record;
    struct err err = {0};
    char name[NAME_BYTES];
    record_name(v, name);
    remember_graph(v, atomic_load(&v->index), id, 0);
    if (store_get_record(read, name, &record, &err) != ERR_OK) {
        log_err(LOG_WARNING, &err, "recall will be measured again group=%llu",
                (unsigned long long)shard->group_id);
        return;
    }
    if (record.data == NULL) {
        return; /* Never measured, or by a server that did not keep it. */
    }
    const char *why_not = decode(v, record, id, &measured, &starts);
    if (why_not != NULL) {
        log_line(LOG_INFO, "recall will be measured again group=%llu column=%s reason=\"%s\"",
                 (unsigned long long)shard->group_id, shard->schema->columns[v->column].name,
                 why_not);
        return;
    }
    mutex_lock(&c->mutex);
    enum errcode code = calibration_publish(c, &measured, &err);
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        const struct curve_origin *origin = &measured.curves[i].origin;
        if (origin->is_real != 0 && origin->n_samples > c->n_seen_measured) {
            c->n_seen_measured = origin->n_samples;
        }
    }
    c->missed = starts;
    c->edition_put = c->edition_kept = c->edition;
    mutex_unlock(&c->mutex);
    index_begin_at(atomic_load(&v->index), starts.items, starts.n);
    if (code == ERR_OK) {
        calibration_log(shard, v, &measured, starts.n);
    }
}
