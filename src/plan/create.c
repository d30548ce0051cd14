/* CREATE COLLECTION: what it says becomes a schema.  DROP COLLECTION: its name. */
#include "plan/analyze_int.h"

#include <string.h>

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

enum errcode analyze_create(struct analysis *a, const struct stmt *stmt, struct err *err)
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

enum errcode analyze_drop(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    struct plan *plan = a->plan;
    enum errcode code = analyze_collection(a, &stmt->drop.collection, err);
    /* Only for the error and its hint: the map decides when the command is applied. */
    schema_release(plan->schema);
    plan->schema = NULL;
    return code == ERR_UNKNOWN_COLLECTION && stmt->drop.if_exists ? ERR_OK : code;
}
