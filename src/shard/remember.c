/* What calibration measured outlives a restart.
 *
 * It stands beside the head in the shard's file, one record a column, little-endian:
 *
 *   "calibration-COLUMN" ->  u32 CRC-32C of what follows | u32 version | u32 column
 *     of which graph         u64 log index | u64 bytes | u32 CRC-32C, all of its checkpoint
 *                            u32 m | u32 ef_construction
 *     when                   u64 rows | u64 changes since the checkpoint | u64 wall time
 *     from what              u32 1 where clients asked the queries | u64 samples
 *     what it says           4 x f64 recall: at the three ef that follow, and at the policy's
 *                            3 x u32 ef for 0.90, 0.95, 0.99
 *     the curve              u32 points | points x (u32 ef | f64 recall)
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
 * A record is written by the next flush after a calibration or a checkpoint, in its transaction.  A
 * crash between a checkpoint and that flush leaves the record of the file before: then, as with a
 * damaged one, recall is measured again.  Nothing is lost by that but the time. */
#include "shard/shard_int.h"

#include <stdio.h>

enum {
    RECORD_VERSION = 1,
    RECORD_BYTES_MAX = 512,
    NAME_BYTES = 32,
    CURVE_AT = 4 + 4 + 4 + 20 + 8 + 24 + 12 + 32 + 12, /* Bytes before the curve. */
    POINT_BYTES = 4 + 8,
};
_Static_assert(CURVE_AT + 4 + CALIBRATION_POINTS * POINT_BYTES <= RECORD_BYTES_MAX,
               "a whole curve fits in");

static void record_name(const struct vector_index *v, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "calibration-%u", v->column);
}

/* ---- which graph it is ---- */

void remember_graph(struct vector_index *v, const struct checkpoint_id *id, uint64_t changes)
{
    struct calibration *c = &v->calibration;
    mutex_lock(&c->mutex);
    c->graph = *id;
    c->graph_changes = changes;
    c->is_graph_known = true;
    c->edition++;
    mutex_unlock(&c->mutex);
}

static bool is_due(const struct calibration *c) REQUIRES(c->mutex)
{
    return c->known.curve.n_points > 0 && c->is_graph_known && c->edition != c->edition_kept;
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

static void encode_graph(struct buf *out, const struct vector_index *v,
                         const struct checkpoint_id *id)
{
    buf_u64(out, id->sequence);
    buf_u64(out, id->bytes);
    buf_u32(out, id->digest);
    buf_u32(out, v->parameters.m);
    buf_u32(out, v->parameters.ef_construction);
}

static void encode_measured(struct buf *out, const struct measured *m, uint64_t changes)
{
    buf_u64(out, m->rows);
    buf_u64(out, changes);
    buf_u64(out, (uint64_t)m->shown.wall_us);
    buf_u32(out, m->is_real ? 1 : 0);
    buf_u64(out, m->shown.samples);
    for (size_t i = 0; i < COUNT_OF(m->shown.recall); i++) {
        buf_f64(out, m->shown.recall[i]);
    }
    buf_f64(out, m->shown.measured);
    buf_u32(out, m->shown.ef_for_90);
    buf_u32(out, m->shown.ef_for_95);
    buf_u32(out, m->shown.ef_for_99);
    CHECK(out->failed || out->bytes == CURVE_AT);
    buf_u32(out, (uint32_t)m->curve.n_points);
    for (size_t i = 0; i < m->curve.n_points; i++) {
        buf_u32(out, m->curve.ef[i]);
        buf_f64(out, m->curve.recall[i]);
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
        encode_graph(out, v, &c->graph);
        encode_measured(out, &c->known, c->known.changes - c->graph_changes);
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

static bool decode_curve(struct reader *r, struct curve *out)
{
    uint32_t n = reader_u32(r);
    if (n == 0 || n > CALIBRATION_POINTS) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        out->ef[i] = reader_u32(r);
        out->recall[i] = reader_f64(r);
        bool is_rising =
            i == 0 || (out->ef[i] > out->ef[i - 1] && out->recall[i] >= out->recall[i - 1]);
        if (!is_rising || out->ef[i] == 0 || !(out->recall[i] >= 0 && out->recall[i] <= 1)) {
            return false;
        }
    }
    out->n_points = n;
    return reader_done(r);
}

static bool decode_measured(struct reader *r, struct measured *out)
{
    out->rows = reader_u64(r);
    out->changes = reader_u64(r);
    out->shown.wall_us = (int64_t)reader_u64(r);
    out->is_real = reader_u32(r) == 1;
    out->shown.samples = reader_u64(r);
    for (size_t i = 0; i < COUNT_OF(out->shown.recall); i++) {
        out->shown.recall[i] = reader_f64(r);
    }
    out->shown.measured = reader_f64(r);
    out->shown.ef_for_90 = reader_u32(r);
    out->shown.ef_for_95 = reader_u32(r);
    out->shown.ef_for_99 = reader_u32(r);
    return decode_curve(r, &out->curve);
}

/* NULL, or why the record is not believed. */
static const char *decode(const struct vector_index *v, struct slice record,
                          const struct checkpoint_id *id, struct measured *out)
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
    return decode_measured(&r, out) ? NULL : "it makes no sense";
}

void remember_load(struct shard *shard, struct vector_index *v, struct store_read *read,
                   const struct checkpoint_id *id)
{
    struct calibration *c = &v->calibration;
    struct measured measured = {.rows = 0};
    struct slice record;
    struct err err = {0};
    char name[NAME_BYTES];
    record_name(v, name);
    remember_graph(v, id, 0);
    if (store_get_record(read, name, &record, &err) != ERR_OK) {
        log_err(LOG_WARNING, &err, "recall will be measured again group=%llu",
                (unsigned long long)shard->group_id);
        return;
    }
    if (record.data == NULL) {
        return; /* Never measured, or by a server that did not keep it. */
    }
    const char *why_not = decode(v, record, id, &measured);
    if (why_not != NULL) {
        log_line(LOG_INFO, "recall will be measured again group=%llu column=%s reason=\"%s\"",
                 (unsigned long long)shard->group_id, shard->schema->columns[v->column].name,
                 why_not);
        return;
    }
    mutex_lock(&c->mutex);
    c->known = measured;
    metric_set(METRIC_recall_measured, (int64_t)(measured.shown.measured * 1e6));
    curve_publish(&c->curve, &measured.curve);
    c->edition_put = c->edition_kept = c->edition;
    mutex_unlock(&c->mutex);
}
