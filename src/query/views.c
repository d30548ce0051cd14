/* Views: tables that the server makes of itself when SHOW asks for them.  Declared in views.def. */
#include "query/database_int.h"
#include "query/portal_int.h"
#include "query/session_int.h"
#include "query/view_int.h"

#include "plan/plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    ALLOWED_BYTES_MAX = 256, /* Of the words for what a policy may be set to. */
    COLLECTION_WORK = 3000,  /* Its figures, and its row. */
};

#define VIEW(name, text, columns)                                                                  \
    static enum errcode fill_##name(struct portal *p, struct err *err);
#include "plan/views.def"
#undef VIEW

/* Kept in 32 bits, which in 64 have more digits than were ever meant. */
static struct value value_of_share(double share)
{
    static const double STEPS = 1e6;
    return value_float(round(share * STEPS) / STEPS);
}

static struct value value_of_count(uint64_t x)
{
    return value_int(x > INT64_MAX ? INT64_MAX : (int64_t)x);
}

/* ---- collections, shards, recall ---- */

static enum errcode for_each_collection(struct portal *p,
                                        enum errcode (*fill_one)(struct portal *p,
                                                                 struct collection *c,
                                                                 struct err *err),
                                        struct err *err)
{
    struct collection **collections;
    size_t n;
    enum errcode code = collection_list(p->db->node, p->arena, &collections, &n, err);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < n; i++) {
        if (code == ERR_OK) {
            code = work_spend(&p->work, COLLECTION_WORK, err);
        }
        if (code == ERR_OK) {
            code = fill_one(p, collections[i], err);
        }
        collection_release(collections[i]);
    }
    return code;
}

static enum errcode vectors_of(struct portal *p, const struct schema *schema, struct value *out,
                               struct err *err)
{
    struct buf text;
    buf_init(&text, MEM_STATEMENT, 64 << 10);
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        const struct column *column = &schema->columns[i];
        if (column->type == TYPE_VECTOR) {
            buf_printf(&text, "%s%s(%u) %s", text.bytes > 0 ? ", " : "", column->name, column->dim,
                       distance_name(column->distance));
        }
    }
    const char *copy = text.failed ? NULL : arena_copy(p->arena, text.data, text.bytes);
    *out = copy != NULL ? value_text(copy, text.bytes) : value_null();
    buf_fini(&text);
    return copy != NULL ? ERR_OK : portal_no_memory(p, err);
}

static enum errcode fill_collection(struct portal *p, struct collection *c, struct err *err)
{
    struct err why;
    struct value vectors;
    struct shard_figures figures = {.state = "dropped"};
    if (vectors_of(p, collection_schema(c), &vectors, err) != ERR_OK) {
        return err->code;
    }
    struct shard *shard;
    bool is_open = collection_enter(c, &shard, &why) == ERR_OK;
    if (is_open) {
        shard_figures(shard, &figures);
        collection_leave(c);
    } else {
        figures.state = why.code == ERR_NOT_READY ? "opening" : "broken";
    }
    struct value values[] = {
        value_cstr(collection_schema(c)->name),
        is_open ? value_of_count(figures.rows) : value_null(),
        value_int(collection_schema(c)->n_columns),
        vectors,
        value_cstr(figures.state),
        is_open ? value_null() : value_cstr(why.message),
    };
    return portal_emit(p, values, err);
}

static enum errcode fill_collections(struct portal *p, struct err *err)
{
    return for_each_collection(p, fill_collection, err);
}

static enum errcode fill_shard(struct portal *p, struct collection *c, struct err *err)
{
    struct err why;
    struct shard_figures f;
    struct shard *shard;
    if (collection_enter(c, &shard, &why) != ERR_OK) {
        return ERR_OK; /* SHOW COLLECTIONS tells of it. */
    }
    shard_figures(shard, &f);
    collection_leave(c);
    struct value values[] = {
        value_cstr(collection_schema(c)->name),
        value_of_count(collection_group(c)),
        value_cstr(f.state),
        value_of_count(f.rows),
        value_of_count(f.applied),
        value_of_count(f.flushed),
        value_of_count(f.unflushed_rows),
        value_of_count(f.unflushed_bytes),
        value_of_count(f.index_lag),
        value_of_count(f.index_rows),
        value_of_count(f.index_vacant),
        value_of_count(f.checkpoint_lag),
        value_of_count(f.code_bytes),
        value_of_count(f.vector_bytes),
        value_of_count(f.graph_bytes),
        value_of_count(f.mapped_bytes),
        value_of_count(f.file_bytes),
        value_of_count(f.index_file_bytes),
        value_cstr(f.log.role),
        value_of_count(f.log.term),
        value_of_count(f.log.first),
        value_of_count(f.log.last),
        value_of_count(f.log.commit),
    };
    return portal_emit(p, values, err);
}

static enum errcode fill_shards(struct portal *p, struct err *err)
{
    return for_each_collection(p, fill_shard, err);
}

/* A row for a class of searches, or with NULL in place of figures where none was measured. */
static enum errcode emit_recall(struct portal *p, const struct schema *schema, uint32_t column,
                                const struct shard_recall *r, double floor, struct err *err)
{
    struct value none = value_null();
    bool is_measured = r->wall_us != 0;
    struct value at = value_int(r->wall_us);
    at.type = TYPE_TIMESTAMP;
    double age = (double)(clock_wall_micros() - r->wall_us) / 1e6;
    struct value values[] = {
        value_cstr(schema->name),
        value_cstr(schema->columns[column].name),
        is_measured ? value_int(r->k) : none,
        is_measured ? value_of_share(r->share) : none,
        value_float(floor),
        is_measured ? value_bool(r->effort.verdict == SHARD_REACHES) : none,
        is_measured ? value_of_count(r->effort.ef) : none,
        is_measured ? value_float(r->effort.recall) : none,
        is_measured ? value_float(r->effort.low) : none,
        is_measured ? value_float(r->effort.high) : none,
        is_measured ? value_float(r->effort.distances) : none,
        is_measured ? value_float(r->below) : none,
        is_measured ? value_of_count(r->samples) : none,
        is_measured ? value_cstr(r->is_real ? "asked" : "stored") : none,
        is_measured ? value_of_count(r->rows) : none,
        is_measured ? value_float(r->effort.stretch) : none,
        is_measured ? at : none,
        is_measured ? value_float(age) : none,
        is_measured ? value_bool(r->is_refining) : none,
    };
    return portal_emit(p, values, err);
}

static enum errcode fill_column(struct portal *p, const struct schema *schema, struct shard *shard,
                                uint32_t column, struct err *err)
{
    struct policy_view view;
    struct shard_recall r;
    bool is_any = false;
    enum errcode code = ERR_OK;
    portal_policy_view(p, &view);
    view.levels[LEVEL_COLLECTION] = &schema->policies;
    double floor = policy_float(&view, POLICY_recall);
    for (unsigned i = 0; i < SHARD_RECALL_CLASSES && code == ERR_OK; i++) {
        if (shard_recall(shard, column, i, floor, &r)) {
            is_any = true;
            code = emit_recall(p, schema, column, &r, floor, err);
        }
    }
    r = (struct shard_recall){.wall_us = 0};
    return is_any || code != ERR_OK ? code : emit_recall(p, schema, column, &r, floor, err);
}

static enum errcode fill_calibrated(struct portal *p, struct collection *c, struct err *err)
{
    struct err why;
    const struct schema *schema = collection_schema(c);
    struct shard *shard;
    enum errcode code = ERR_OK;
    if (collection_enter(c, &shard, &why) != ERR_OK) {
        return ERR_OK;
    }
    for (uint32_t i = 0; i < schema->n_columns && code == ERR_OK; i++) {
        if (schema->columns[i].type == TYPE_VECTOR) {
            code = fill_column(p, schema, shard, i, err);
        }
    }
    collection_leave(c);
    return code;
}

static enum errcode fill_calibration(struct portal *p, struct err *err)
{
    return for_each_collection(p, fill_calibrated, err);
}

/* ---- sessions ---- */

static enum errcode fill_session(struct portal *p, struct query_session *s, struct err *err)
{
    struct value since = value_int(s->since_wall_us);
    since.type = TYPE_TIMESTAMP;
    mutex_lock(&s->lock);
    bool is_running = s->running != NULL;
    double ms = is_running ? (double)(clock_micros() - s->statement_us) / 1000 : 0;
    struct value values[] = {
        value_of_count(s->id),
        value_cstr(s->facts.user),
        value_cstr(s->facts.application),
        value_cstr(s->facts.peer),
        value_cstr(is_running ? "running" : "idle"),
        value_text(s->statement, s->statement_bytes),
        is_running ? value_float(ms) : value_null(),
        value_of_count(s->statements),
        value_of_count(s->facts.output_bytes),
        since,
    };
    enum errcode code = portal_emit(p, values, err);
    mutex_unlock(&s->lock);
    return code;
}

static enum errcode fill_sessions(struct portal *p, struct err *err)
{
    enum errcode code = ERR_OK;
    mutex_lock(&p->db->lock);
    for (struct query_session *s = p->db->sessions; s != NULL && code == ERR_OK; s = s->next) {
        code = fill_session(p, s, err);
    }
    mutex_unlock(&p->db->lock);
    return code;
}

/* ---- metrics ---- */

static enum errcode fill_metric(struct portal *p, enum metric_id id, struct err *err)
{
    static const char *const kinds[] = {[METRIC_IS_COUNTER] = "counter",
                                        [METRIC_IS_GAUGE] = "gauge",
                                        [METRIC_IS_HISTOGRAM] = "histogram"};
    const struct metric_row *row = metric_row(id);
    bool is_histogram = row->kind == METRIC_IS_HISTOGRAM;
    struct value values[] = {
        value_cstr(row->name),
        value_cstr(kinds[row->kind]),
        value_cstr(row->unit),
        value_float((double)metric_value(id)),
        is_histogram ? value_float((double)metric_quantile_us(id, 0.5) / 1e6) : value_null(),
        is_histogram ? value_float((double)metric_quantile_us(id, 0.99) / 1e6) : value_null(),
        value_cstr(row->text),
    };
    return portal_emit(p, values, err);
}

static enum errcode fill_memory(struct portal *p, enum mem_category category, struct err *err)
{
    char name[64];
    snprintf(name, sizeof(name), "memory_%s", mem_category_name(category));
    struct value values[] = {
        value_cstr(name),
        value_cstr("gauge"),
        value_cstr("bytes"),
        value_float((double)mem_category_bytes(category)),
        value_null(),
        value_null(),
        value_cstr(mem_category_text(category)),
    };
    return portal_emit(p, values, err);
}

static enum errcode fill_metrics(struct portal *p, struct err *err)
{
    enum errcode code = ERR_OK;
    for (int i = 0; i < METRIC_COUNT && code == ERR_OK; i++) {
        code = fill_metric(p, (enum metric_id)i, err);
    }
    for (int i = 0; i < MEM_COUNT && code == ERR_OK; i++) {
        code = fill_memory(p, (enum mem_category)i, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct value values[] = {
        value_cstr("memory_resident"),
        value_cstr("gauge"),
        value_cstr("bytes"),
        value_float((double)mem_resident_bytes()),
        value_null(),
        value_null(),
        value_cstr("resident memory of the whole process"),
    };
    return portal_emit(p, values, err);
}

/* ---- policies, views ---- */

static enum errcode fill_policy(struct portal *p, enum policy_id id, struct err *err)
{
    const struct policy_row *row = policy_row(id);
    char scopes[64];
    int n = 0;
    for (int level = LEVEL_FILE; level < LEVEL_COUNT; level++) {
        if ((row->scopes >> level & 1) != 0) {
            n += snprintf(scopes + n, sizeof(scopes) - (size_t)n, "%s%s", n > 0 ? ", " : "",
                          policy_level_name((enum policy_level)level));
        }
    }
    struct buf allowed;
    buf_init(&allowed, MEM_STATEMENT, ALLOWED_BYTES_MAX);
    policy_allowed(&allowed, id);
    struct value values[] = {
        value_cstr(row->name),         value_cstr(row->plane),
        value_cstr(row->default_text), value_text((const char *)allowed.data, allowed.bytes),
        value_text(scopes, (size_t)n), value_cstr(row->apply == APPLY_NOW ? "now" : "at start"),
        value_cstr(row->improves),     value_cstr(row->costs),
        value_cstr(row->signal),       value_cstr(row->undo),
        value_cstr(row->text),
    };
    enum errcode code = allowed.failed ? err_no_memory(err) : portal_emit(p, values, err);
    buf_fini(&allowed);
    return code;
}

static enum errcode fill_policies(struct portal *p, struct err *err)
{
    enum errcode code = ERR_OK;
    for (int i = 0; i < POLICY_COUNT && code == ERR_OK; i++) {
        code = fill_policy(p, (enum policy_id)i, err);
    }
    return code;
}

static enum errcode fill_views(struct portal *p, struct err *err)
{
    enum errcode code = ERR_OK;
    for (size_t i = 0; i < view_count() && code == ERR_OK; i++) {
        const struct view *view = view_at(i);
        struct value values[] = {value_cstr(view->name), value_cstr(view->text)};
        code = portal_emit(p, values, err);
    }
    return code;
}

/* ---- the table ---- */

typedef enum errcode fill_fn(struct portal *p, struct err *err);

enum errcode view_fill(const struct view *view, struct portal *p, struct err *err)
{
    static fill_fn *const fills[] = {
#define VIEW(name, text, columns) [VIEW_##name] = fill_##name,
#include "plan/views.def"
#undef VIEW
    };
    return fills[view->id](p, err);
}
