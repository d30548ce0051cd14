/* CREATE and DROP COLLECTION change the map through its log; CHECKPOINT writes down every shard.
 *
 *   CREATE: schema -> pd_submit -> event (the map has changed) -> pool: wait until the shard is
 * open DROP:   pd_submit -> event; the shard goes when its last statement has ended
 */
#include "query/analyze_int.h"
#include "query/database_int.h"
#include "query/pending_int.h"
#include "query/plan_int.h"
#include "query/portal_int.h"
#include "query/verb_int.h"

#include <string.h>

struct ddl_state {
    struct pending pending;
    struct pd_write write;
    bool is_submitted;
};

/* ---- CREATE: analysis ---- */

static enum errcode bad_column(const struct column_def *def, struct err *err, const char *why)
{
    err_at(err, def->name.position, ERR_BAD_DEFINITION, "column \"%s\" %s", def->name.text, why);
    err_column(err, def->name.text);
    return ERR_BAD_DEFINITION;
}

static enum errcode check_column(const struct column_def *def, struct err *err)
{
    bool is_vector = def->type == TYPE_VECTOR;
    if (is_vector && (def->dim < 1 || def->dim > VECTOR_DIM_MAX)) {
        err_at(err, def->name.position, ERR_BAD_DEFINITION,
               "column \"%s\": a VECTOR has 1 to %d dimensions, not %u", def->name.text,
               VECTOR_DIM_MAX, def->dim);
        err_column(err, def->name.text);
        return ERR_BAD_DEFINITION;
    }
    if (!is_vector && def->distance != 0) {
        return bad_column(def, err, "has a METRIC, which only a VECTOR can have");
    }
    if (!is_vector && def->has_quantization) {
        return bad_column(def, err, "has a QUANTIZATION, which only a VECTOR can have");
    }
    bool can_be_key = def->type == TYPE_INT || def->type == TYPE_TEXT || def->type == TYPE_UUID;
    if (def->is_primary_key && !can_be_key) {
        return bad_column(def, err, "cannot be the primary key: that is INT, TEXT or UUID");
    }
    return ERR_OK;
}

static void add_column(struct schema *schema, const struct column_def *def)
{
    struct column *column = &schema->columns[schema->n_columns++];
    bool is_vector = def->type == TYPE_VECTOR;
    *column = (struct column){
        .type = def->type,
        .dim = is_vector ? def->dim : 0,
        .is_not_null = def->is_not_null || def->is_primary_key,
        .has_quantization = def->has_quantization,
        .is_quantization_auto = def->is_quantization_auto,
        .quantization = def->quantization,
    };
    if (is_vector) {
        column->distance = def->distance != 0 ? def->distance : DISTANCE_L2;
    }
    size_t bytes = strlen(def->name.text);
    CHECK(bytes <= NAME_BYTES_MAX); /* The parser refused longer ones. */
    memcpy(column->name, def->name.text, bytes + 1);
}

/* Column 0 is the key, wherever it stands in the statement. */
static enum errcode build_columns(const struct stmt_create *s, struct schema *schema,
                                  struct err *err)
{
    const struct column_def *key = NULL;
    for (size_t i = 0; i < s->n_columns; i++) {
        const struct column_def *def = &s->columns[i];
        enum errcode code = check_column(def, err);
        if (code != ERR_OK) {
            return code;
        }
        if (def->is_primary_key && key != NULL) {
            return bad_column(def, err, "is a second primary key");
        }
        key = def->is_primary_key ? def : key;
    }
    if (key == NULL) {
        err_at(err, s->collection.position, ERR_BAD_DEFINITION,
               "collection \"%s\" has no primary key", s->collection.text);
        err_hint(err, "Write PRIMARY KEY behind one column of type INT, TEXT or UUID.");
        return ERR_BAD_DEFINITION;
    }
    add_column(schema, key);
    for (size_t i = 0; i < s->n_columns; i++) {
        const struct column_def *def = &s->columns[i];
        if (def == key) {
            continue;
        }
        if (schema_column(schema, def->name.text) >= 0) {
            err_at(err, def->name.position, ERR_DUPLICATE_COLUMN, "column \"%s\" is named twice",
                   def->name.text);
            err_column(err, def->name.text);
            return ERR_DUPLICATE_COLUMN;
        }
        add_column(schema, def);
    }
    return ERR_OK;
}

/* When all of them are known, since index = flat may stand behind them. */
static enum errcode check_building(const struct stmt_create *s, const struct schema *schema,
                                   struct err *err)
{
    for (size_t i = 0; i < s->with.n; i++) {
        enum errcode code = analyze_building(schema, &s->with.items[i], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    for (size_t i = 0; i < s->n_columns; i++) {
        const struct column_def *def = &s->columns[i];
        bool has_codes = def->has_quantization &&
                         (def->is_quantization_auto || def->quantization != QUANTIZATION_NONE);
        if (has_codes && schema_is_flat(schema)) {
            return bad_column(def, err, "has a QUANTIZATION, and index = flat has no codes");
        }
    }
    return ERR_OK;
}

static enum errcode build_policies(const struct stmt_create *s, struct schema *schema,
                                   struct err *err)
{
    for (size_t i = 0; i < s->with.n; i++) {
        const struct option *option = &s->with.items[i];
        if (option->value->kind != EXPR_LITERAL) {
            err_at(err, option->value->position, ERR_FEATURE_UNSUPPORTED,
                   "CREATE COLLECTION takes no parameters");
            err_hint(err, "Write the value into the statement: WITH (%s = value).",
                     option->name.text);
            return ERR_FEATURE_UNSUPPORTED;
        }
        enum errcode code = policy_assign_name(&schema->policies, option->name.text,
                                               LEVEL_COLLECTION, &option->value->value, err);
        if (code != ERR_OK) {
            bool is_value = code == ERR_POLICY_BOUNDS;
            err->position = is_value ? option->value->position : option->name.position;
            return code;
        }
    }
    return check_building(s, schema, err);
}

static enum errcode analyze_create(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    const struct stmt_create *s = &stmt->create;
    if (s->n_columns > COLUMNS_MAX) {
        return err_at(err, s->collection.position, ERR_TOO_MANY_ITEMS,
                      "collection \"%s\" has %zu columns; at most %d are allowed",
                      s->collection.text, s->n_columns, COLUMNS_MAX);
    }
    struct schema *schema = arena_zalloc(a->scope.arena, sizeof(*schema));
    if (schema == NULL) {
        return err_no_memory(err);
    }
    memcpy(schema->name, s->collection.text, strlen(s->collection.text) + 1);
    enum errcode code = build_columns(s, schema, err);
    a->plan->created = schema;
    return code == ERR_OK ? build_policies(s, schema, err) : code;
}

static enum errcode analyze_drop(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    struct plan *plan = a->plan;
    enum errcode code = analyze_collection(a, &stmt->drop.collection, err);
    /* Only for the error and its hint: the map decides when the command is applied. */
    schema_release(plan->schema);
    plan->schema = NULL;
    return code == ERR_UNKNOWN_COLLECTION && stmt->drop.if_exists ? ERR_OK : code;
}

/* ---- CREATE and DROP: running ---- */

static enum errcode start_ddl(struct portal *p, struct err *err)
{
    struct ddl_state *state = arena_zalloc(p->arena, sizeof(*state));
    if (state == NULL) {
        return portal_no_memory(p, err);
    }
    p->verb_state = state;
    return ERR_OK;
}

static void ddl_done(struct pd_write *write, const struct err *err)
{
    pending_end(&CONTAINER_OF(write, struct ddl_state, write)->pending, err);
}

static bool withdraw(struct pending *pending)
{
    return pd_withdraw(&CONTAINER_OF(pending, struct ddl_state, pending)->write);
}

static enum errcode submit(struct portal *p, const struct pd_command *command, struct err *err)
{
    struct ddl_state *state = p->verb_state;
    state->is_submitted = true;
    state->write.done = ddl_done;
    state->pending.withdraw = withdraw;
    pending_begin(p, &state->pending);
    enum errcode code = pd_submit(node_pd(p->db->node), command, &state->write, err);
    if (code != ERR_OK) {
        pending_forget(&state->pending);
    }
    return code;
}

/* Submits at the first call; MORE once the map has answered. */
static enum step change_map(struct portal *p, const struct pd_command *command, struct err *err)
{
    struct ddl_state *state = p->verb_state;
    if (!state->is_submitted &&
        (portal_poll(p, err) != ERR_OK || submit(p, command, err) != ERR_OK)) {
        return STEP_FAILED;
    }
    if (!pending_collect(&state->pending)) {
        return STEP_WAIT;
    }
    if (state->pending.err.code != ERR_OK) {
        *err = state->pending.err;
        return STEP_FAILED;
    }
    return STEP_MORE;
}

static void give_notice(struct portal *p, enum errcode code, const char *what, const char *name)
{
    err_set(&p->notice, code, "collection \"%s\" %s", name, what);
    err_collection(&p->notice, name);
    p->has_notice = true;
}

static enum step step_create(struct portal *p, struct err *err)
{
    const struct ddl_state *state = p->verb_state;
    const struct stmt_create *s = &p->plan->stmt->create;
    if (!p->is_heavy) {
        struct pd_command command = {.op = PD_CREATE_COLLECTION,
                                     .schema = p->plan->created,
                                     .is_conditional = s->if_not_exists};
        enum step step = change_map(p, &command, err);
        return step == STEP_MORE ? STEP_POOL : step;
    }
    if (state->write.rows == 0) {
        give_notice(p, ERR_DUPLICATE_COLLECTION, "exists already, skipping", s->collection.text);
    }
    enum errcode code =
        collection_wait(p->db->node, s->collection.text, portal_is_canceled, p, err);
    if (code == ERR_CANCELED) { /* Or the timeout.  The map has it. */
        give_notice(p, code, "is there, and still being opened", s->collection.text);
        return STEP_DONE;
    }
    if (code != ERR_OK && state->write.rows > 0) {
        collection_withdraw(p->db->node, s->collection.text, err);
    }
    return code == ERR_OK ? STEP_DONE : STEP_FAILED;
}

static enum step step_drop(struct portal *p, struct err *err)
{
    const struct ddl_state *state = p->verb_state;
    const struct stmt_drop *s = &p->plan->stmt->drop;
    struct pd_command command = {
        .op = PD_DROP_COLLECTION, .collection = s->collection.text, .is_conditional = s->if_exists};
    enum step step = change_map(p, &command, err);
    if (step != STEP_MORE) {
        return step;
    }
    if (state->write.rows == 0) {
        give_notice(p, ERR_UNKNOWN_COLLECTION, "does not exist, skipping", s->collection.text);
    }
    return STEP_DONE;
}

/* ---- CHECKPOINT ---- */

static enum errcode analyze_checkpoint(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    (void)a;
    (void)stmt;
    (void)err;
    return ERR_OK;
}

static enum errcode start_checkpoint(struct portal *p, struct err *err)
{
    (void)err;
    p->is_heavy = true;
    return ERR_OK;
}

static void checkpoint_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    portal_progress(arg, phase, done, total);
}

/* A collection that is dropped, or was never opened, has nothing to be written. */
static enum errcode checkpoint_one(struct portal *p, struct collection *c, struct err *err)
{
    struct shard *shard;
    if (collection_enter(c, &shard, err) != ERR_OK) {
        return ERR_OK;
    }
    enum errcode code = shard_checkpoint(shard, checkpoint_progress, p, err);
    struct err later;
    if (code == ERR_OK && shard_compact(shard, &later) != ERR_OK) {
        log_err(LOG_WARNING, &later, "compaction will be tried again collection=%s",
                collection_schema(c)->name);
    }
    collection_leave(c);
    if (code != ERR_OK) {
        err_prefix(err, "collection \"%s\"", collection_schema(c)->name);
    }
    return code;
}

static enum step step_checkpoint(struct portal *p, struct err *err)
{
    struct collection **collections;
    size_t n;
    enum errcode code = collection_list(p->db->node, p->arena, &collections, &n, err);
    if (code != ERR_OK) {
        return STEP_FAILED;
    }
    for (size_t i = 0; i < n; i++) {
        if (code == ERR_OK) {
            code = portal_poll(p, err);
        }
        if (code == ERR_OK) {
            code = checkpoint_one(p, collections[i], err);
        }
        collection_release(collections[i]);
    }
    return code == ERR_OK ? STEP_DONE : STEP_FAILED;
}

const struct verb verb_create = {
    .polls_itself = true, .analyze = analyze_create, .start = start_ddl, .step = step_create};
const struct verb verb_drop = {.analyze = analyze_drop, .start = start_ddl, .step = step_drop};
const struct verb verb_checkpoint = {
    .analyze = analyze_checkpoint, .start = start_checkpoint, .step = step_checkpoint};
