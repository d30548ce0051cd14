/* COPY, analyzed: columns, format and its options. */
#include "plan/analyze_int.h"

#include "format/format.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const option_names[] = {"format", "header", "delimiter", "null", "start", "ids"};

static bool is_copy_option(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(option_names); i++) {
        if (strcmp(name, option_names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const struct option *find_option(const struct options *options, const char *name)
{
    for (size_t i = 0; i < options->n; i++) {
        if (strcmp(options->items[i].name.text, name) == 0) {
            return &options->items[i];
        }
    }
    return NULL;
}

static enum errcode bad_option(const struct option *option, struct err *err, const char *want)
{
    err_at(err, option->value->position, ERR_BAD_PARAMETER, "the option %s of COPY takes %s",
           option->name.text, want);
    err_policy(err, option->name.text);
    return ERR_BAD_PARAMETER;
}

/* The text of an option, or NULL where it is of another type. */
static const char *option_text(struct analysis *a, const struct option *option)
{
    const struct value *value = &option->value->value;
    if (option->value->kind != EXPR_LITERAL || value->type != TYPE_TEXT) {
        return NULL;
    }
    return arena_strndup(a->scope.arena, value->text.data, value->text.bytes);
}

/* HEADER, HEADER true, HEADER on. */
static bool option_bool(struct analysis *a, const struct option *option, bool *out)
{
    if (option->value->kind == EXPR_LITERAL && option->value->value.type == TYPE_BOOL) {
        *out = option->value->value.boolean;
        return true;
    }
    const char *text = option_text(a, option);
    *out = text != NULL && strcasecmp(text, "on") == 0;
    return text != NULL && (*out || strcasecmp(text, "off") == 0);
}

static enum errcode read_format(struct analysis *a, const struct options *options, struct err *err)
{
    static const char *const names[] = {
        [COPY_CSV] = "csv", [COPY_FBIN] = "fbin", [COPY_BINARY] = "binary"};
    const struct option *option = find_option(options, "format");
    a->plan->copy.format.kind = COPY_CSV;
    if (option == NULL) {
        return ERR_OK;
    }
    const char *text = option_text(a, option);
    for (size_t i = COPY_CSV; text != NULL && i <= COPY_BINARY; i++) {
        if (strcasecmp(text, names[i]) == 0) {
            a->plan->copy.format.kind = (enum copy_format)i;
            return ERR_OK;
        }
    }
    return bad_option(option, err, "csv, fbin or binary");
}

static enum errcode read_csv_options(struct analysis *a, const struct options *options,
                                     struct err *err)
{
    struct copy_plan *plan = &a->plan->copy;
    const struct option *header = find_option(options, "header");
    const struct option *delimiter = find_option(options, "delimiter");
    const struct option *null = find_option(options, "null");
    plan->format.delimiter = ',';
    plan->format.null_text = "";
    if (header != NULL) {
        if (!option_bool(a, header, &plan->format.has_header)) {
            return bad_option(header, err, "true or false");
        }
    }
    if (delimiter != NULL) {
        const char *text = option_text(a, delimiter);
        if (text == NULL || strlen(text) != 1 || strchr("\"\n\r", text[0]) != NULL) {
            bad_option(delimiter, err, "one byte that is no quote and no end of a line");
            err_hint(err, "Write a tab as E'\\t'.");
            return err->code;
        }
        plan->format.delimiter = text[0];
    }
    if (null != NULL) {
        plan->format.null_text = option_text(a, null);
        const char special[] = {'"', '\n', '\r', plan->format.delimiter, '\0'};
        if (plan->format.null_text == NULL || strpbrk(plan->format.null_text, special) != NULL) {
            return bad_option(null, err, "a text without quotes, delimiters and ends of lines");
        }
    }
    return ERR_OK;
}

static enum errcode read_fbin_options(struct analysis *a, const struct stmt_copy *s,
                                      struct err *err)
{
    struct copy_plan *plan = &a->plan->copy;
    const struct option *start = find_option(&s->with, "start");
    const struct option *ids = find_option(&s->with, "ids");
    if (start != NULL) {
        if (start->value->kind != EXPR_LITERAL || start->value->value.type != TYPE_INT) {
            return bad_option(start, err, "an INT");
        }
        plan->format.start = start->value->value.integer;
    }
    if (ids != NULL) {
        plan->format.ids_file = option_text(a, ids);
        if (plan->format.ids_file == NULL) {
            return bad_option(ids, err, "the name of a file");
        }
        if (s->file == NULL || start != NULL) {
            return err_at(err, ids->name.position, ERR_FEATURE_UNSUPPORTED,
                          "IDS goes with a file on the server and without START");
        }
    }
    return ERR_OK;
}

/* Each option belongs to one format; FROM alone has START and IDS. */
static enum errcode check_options(const struct copy_plan *plan, const struct stmt_copy *s,
                                  struct err *err)
{
    for (size_t i = 0; i < s->with.n; i++) {
        const struct name *name = &s->with.items[i].name;
        bool is_csv = strcmp(name->text, "header") == 0 || strcmp(name->text, "delimiter") == 0 ||
                      strcmp(name->text, "null") == 0;
        bool is_fbin = strcmp(name->text, "start") == 0 || strcmp(name->text, "ids") == 0;
        if ((is_csv && plan->format.kind != COPY_CSV) ||
            (is_fbin && (plan->format.kind != COPY_FBIN || !s->is_from))) {
            return err_at(err, name->position, ERR_FEATURE_UNSUPPORTED,
                          "the option %s does not go with this COPY", name->text);
        }
    }
    return ERR_OK;
}

/* fbin holds one vector a row; FROM needs a key, too. */
static enum errcode check_fbin_columns(struct analysis *a, const struct stmt_copy *s,
                                       struct err *err)
{
    struct copy_plan *plan = &a->plan->copy;
    const struct schema *schema = a->plan->schema;
    if (s->n_columns == 0) {
        int first = schema_first_vector(schema);
        plan->format.n_columns = 0;
        if (s->is_from) {
            plan->format.columns[plan->format.n_columns++] = 0;
        }
        plan->format.columns[plan->format.n_columns++] = (uint32_t)(first > 0 ? first : 0);
    }
    plan->key = plan->format.vector = SIZE_MAX;
    for (size_t i = 0; i < plan->format.n_columns; i++) {
        bool is_vector = schema->columns[plan->format.columns[i]].type == TYPE_VECTOR;
        if (is_vector) {
            plan->format.vector = i;
        } else if (plan->format.columns[i] == 0) {
            plan->key = i;
        }
    }
    size_t wanted = s->is_from ? 2 : 1;
    if (plan->format.vector == SIZE_MAX || plan->format.n_columns != wanted ||
        (s->is_from && plan->key == SIZE_MAX)) {
        return err_at(err, s->collection.position, ERR_FEATURE_UNSUPPORTED,
                      s->is_from ? "fbin goes into the primary key and one VECTOR column"
                                 : "fbin is made of one VECTOR column");
    }
    if (s->is_from && schema->columns[0].type == TYPE_UUID && plan->format.ids_file == NULL) {
        err_at(err, s->collection.position, ERR_FEATURE_UNSUPPORTED,
               "fbin numbers its rows, and the primary key \"%s\" is of type UUID",
               schema->columns[0].name);
        err_hint(err, "Give the keys by IDS 'file'.");
        return ERR_FEATURE_UNSUPPORTED;
    }
    return ERR_OK;
}

static enum errcode analyze_copy(struct analysis *a, const struct stmt_copy *s, struct err *err)
{
    struct copy_plan *plan = &a->plan->copy;
    plan->on_conflict = s->on_conflict;
    if (analyze_collection(a, &s->collection, err) != ERR_OK) {
        return err->code;
    }
    plan->format.schema = a->plan->schema;
    if (analyze_with(a, &s->with, is_copy_option, err) != ERR_OK ||
        analyze_columns(a, s->columns, s->n_columns, &plan->format.columns, &plan->format.n_columns,
                        err) != ERR_OK ||
        read_format(a, &s->with, err) != ERR_OK || check_options(plan, s, err) != ERR_OK) {
        return err->code;
    }
    if (plan->format.kind == COPY_CSV && read_csv_options(a, &s->with, err) != ERR_OK) {
        return err->code;
    }
    if (plan->format.kind == COPY_FBIN &&
        (read_fbin_options(a, s, err) != ERR_OK || check_fbin_columns(a, s, err) != ERR_OK)) {
        return err->code;
    }
    plan->types = arena_alloc(a->scope.arena, plan->format.n_columns);
    if (plan->types == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < plan->format.n_columns; i++) {
        plan->types[i] = (uint8_t)a->plan->schema->columns[plan->format.columns[i]].type;
    }
    return ERR_OK;
}

static enum errcode add_operators(struct analysis *a, enum operator leaf, enum operator root,
                                  struct err *err)
{
    enum errcode code = operator_add(a, leaf, NULL, err);
    return code == ERR_OK ? operator_add(a, root, NULL, err) : code;
}

enum errcode analyze_copy_in(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    enum errcode code = analyze_copy(a, &stmt->copy, err);
    if (code != ERR_OK) {
        return code;
    }
    bool has_key = false;
    for (size_t i = 0; i < a->plan->copy.format.n_columns; i++) {
        has_key = has_key || a->plan->copy.format.columns[i] == 0;
    }
    if (!has_key) {
        return err_at(err, stmt->copy.collection.position, ERR_NOT_NULL,
                      "COPY gives no values for the primary key \"%s\"",
                      a->plan->schema->columns[0].name);
    }
    return add_operators(a, OPERATOR_decode, OPERATOR_load, err);
}

enum errcode analyze_copy_out(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    enum errcode code = analyze_copy(a, &stmt->copy, err);
    return code == ERR_OK ? add_operators(a, OPERATOR_scan, OPERATOR_encode, err) : code;
}
