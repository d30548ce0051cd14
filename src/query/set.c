/* SET, RESET and SHOW of policies, SHOW of views, and DESCRIBE. */
#include "query/database_int.h"
#include "query/portal_int.h"
#include "query/session_int.h"
#include "query/verb_int.h"
#include "query/view_int.h"

#include "plan/plan.h"

#include <stdio.h>
#include <string.h>

/* ---- SET and RESET ---- */

static void tell_status(struct portal *p, enum policy_id id)
{
    char text[POLICY_TEXT_BYTES];
    struct policy_view view;
    portal_policy_view(p, &view);
    struct policy_value value = policy_get(&view, id, NULL);
    p->sink.status(p->sink.arg, policy_row(id)->name, policy_format(text, id, &value));
}

static enum step step_set(struct portal *p, struct err *err)
{
    const struct stmt_set *s = &p->plan->stmt->set;
    struct value value;
    enum errcode code = portal_eval(p, p->plan->set.value, &value, err);
    if (code == ERR_OK) {
        code = policy_assign(&p->session->policies, p->plan->set.id, LEVEL_SESSION, &value, err);
        err->position = code == ERR_POLICY_SCOPE ? s->name.position : s->value->position;
    }
    if (code != ERR_OK) {
        return STEP_FAILED;
    }
    tell_status(p, p->plan->set.id);
    return STEP_DONE;
}

static enum step step_reset(struct portal *p, struct err *err)
{
    (void)err;
    struct policy_set *set = &p->session->policies;
    for (int i = 0; i < POLICY_COUNT; i++) {
        bool is_meant = p->plan->set.id == POLICY_COUNT || p->plan->set.id == (enum policy_id)i;
        if (is_meant && (set->is_set >> i & 1) != 0) {
            policy_clear(set, (enum policy_id)i);
            tell_status(p, (enum policy_id)i);
        }
    }
    return STEP_DONE;
}

/* ---- SHOW ---- */

/* What a value looks like. */
static const char *unit_of(const struct policy_row *row, char *text, size_t bytes)
{
    bool has_auto = strcmp(row->default_text, "auto") == 0;
    size_t n = (size_t)snprintf(text, bytes, "%s", has_auto ? "auto or " : "");
    switch (row->type) {
    case POLICY_IS_BOOL:
        return "on or off";
    case POLICY_IS_DURATION:
        return "duration";
    case POLICY_IS_BYTES:
        return "size";
    case POLICY_IS_CHOICE:
        for (size_t i = 0; row->choices[i] != NULL && n < bytes; i++) {
            n +=
                (size_t)snprintf(text + n, bytes - n, "%s%s", i > 0 ? " or " : "", row->choices[i]);
        }
        return text;
    case POLICY_IS_TEXT:
        return "text";
    default:
        (void)snprintf(text + n, bytes - n, "%s", row->unit != NULL ? row->unit : "number");
        return text;
    }
}

/* What the file says and what waits for the next start; NULL where that is the same. */
static struct value pending_of(struct portal *p, enum policy_id id, char out[POLICY_TEXT_BYTES])
{
    char text[POLICY_TEXT_BYTES];
    struct policy_view now = {.levels = {[LEVEL_FILE] = &p->file->set}};
    struct policy_view then = {.levels = {[LEVEL_FILE] = &p->file->pending}};
    struct policy_value a = policy_get(&now, id, NULL), b = policy_get(&then, id, NULL);
    const char *shown_a = policy_format(text, id, &a), *shown_b = policy_format(out, id, &b);
    return strcmp(shown_a, shown_b) == 0 ? value_null() : value_cstr(shown_b);
}

static enum errcode show_policy(struct portal *p, enum policy_id id, struct err *err)
{
    char unit[128], text[POLICY_TEXT_BYTES], pending[POLICY_TEXT_BYTES];
    struct policy_view view;
    enum policy_level origin;
    portal_policy_view(p, &view);
    const struct policy_row *row = policy_row(id);
    struct policy_value value = policy_get(&view, id, &origin);
    struct value values[] = {
        value_cstr(row->name),
        value_cstr(policy_format(text, id, &value)),
        value_cstr(policy_level_name(origin)),
        value_cstr(unit_of(row, unit, sizeof(unit))),
        value_cstr(row->text),
        pending_of(p, id, pending),
    };
    return portal_emit(p, values, err);
}

static enum step step_show(struct portal *p, struct err *err)
{
    if (p->plan->set.view != NULL) {
        return view_fill(p->plan->set.view, p, err) == ERR_OK ? STEP_DONE : STEP_FAILED;
    }
    for (int i = 0; i < POLICY_COUNT; i++) {
        bool is_meant = p->plan->set.id == POLICY_COUNT || p->plan->set.id == (enum policy_id)i;
        if (is_meant && show_policy(p, (enum policy_id)i, err) != ERR_OK) {
            return STEP_FAILED;
        }
    }
    return STEP_DONE;
}

/* ---- DESCRIBE ---- */

static void put_quantization(struct portal *p, const struct column *column,
                             enum quantization quantization, char *out, size_t bytes)
{
    struct policy_view view;
    enum policy_level level;
    portal_policy_view(p, &view);
    bool is_auto = policy_get(&view, POLICY_quantization, &level).is_auto;
    const char *origin = policy_level_name(level);
    if (policy_int(&view, POLICY_index) == INDEX_FLAT) {
        origin = "flat";
    } else if (column->has_quantization ? column->is_quantization_auto : is_auto) {
        origin = "auto";
    } else if (column->has_quantization) {
        origin = "column";
    }
    snprintf(out, bytes, ", quantization = %s (%s)",
             policy_row(POLICY_quantization)->choices[quantization], origin);
}

/* What it is built with; nothing of a shard that is not open. */
static void describe_index(struct portal *p, uint32_t column, char *out, size_t bytes)
{
    struct collection *c = p->collection;
    struct err err;
    bool is_reindexed;
    struct shard *shard;
    if (collection_enter(c, &shard, &err) != ERR_OK) {
        return;
    }
    struct index_parameters built = shard_index_parameters(shard, column, &is_reindexed);
    collection_leave(c);
    if (is_reindexed) {
        snprintf(out, bytes, ", REINDEX m = %u, ef_construction = %u, quantization = %s", built.m,
                 built.ef_construction,
                 policy_row(POLICY_quantization)->choices[built.quantization]);
    } else {
        put_quantization(p, &p->plan->schema->columns[column], built.quantization, out, bytes);
    }
}

static enum errcode describe_column(struct portal *p, uint32_t i, struct err *err)
{
    const struct column *column = &p->plan->schema->columns[i];
    char type[32], details[128] = "";
    snprintf(type, sizeof(type), "%s", type_name(column->type));
    if (column->type == TYPE_VECTOR) {
        snprintf(type, sizeof(type), "VECTOR(%u)", column->dim);
        int n = snprintf(details, sizeof(details), "METRIC %s%s", distance_name(column->distance),
                         column->is_not_null ? " NOT NULL" : "");
        describe_index(p, i, details + n, sizeof(details) - (size_t)n);
    } else if (i == 0) {
        snprintf(details, sizeof(details), "PRIMARY KEY");
    } else if (column->is_not_null) {
        snprintf(details, sizeof(details), "NOT NULL");
    }
    struct value values[] = {value_cstr(column->name), value_cstr(type), value_cstr(details),
                             value_cstr("column")};
    return portal_emit(p, values, err);
}

/* A policy that can be set for a collection, as it is in force for this one. */
static enum errcode describe_policy(struct portal *p, enum policy_id id, struct err *err)
{
    char text[POLICY_TEXT_BYTES];
    struct policy_view view;
    enum policy_level origin;
    portal_policy_view(p, &view);
    struct policy_value value = policy_get(&view, id, &origin);
    struct value values[] = {value_cstr(policy_row(id)->name),
                             value_cstr(policy_format(text, id, &value)),
                             value_cstr(policy_level_name(origin)), value_cstr("policy")};
    return portal_emit(p, values, err);
}

static enum step step_describe(struct portal *p, struct err *err)
{
    for (uint32_t i = 0; i < p->plan->schema->n_columns; i++) {
        if (describe_column(p, i, err) != ERR_OK) {
            return STEP_FAILED;
        }
    }
    for (int i = 0; i < POLICY_COUNT; i++) {
        bool is_settable = (policy_row((enum policy_id)i)->scopes & SCOPE_COLLECTION) != 0;
        if (is_settable && describe_policy(p, (enum policy_id)i, err) != ERR_OK) {
            return STEP_FAILED;
        }
    }
    return STEP_DONE;
}

const struct verb verb_set = {.is_untimed = true, .keeps_steps = true, .step = step_set};
const struct verb verb_reset = {.is_untimed = true, .keeps_steps = true, .step = step_reset};
const struct verb verb_show = {.is_untimed = true, .step = step_show};
const struct verb verb_describe = {.step = step_describe};
