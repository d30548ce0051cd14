/* Builders of statements and of the parts that several of them have.
 *
 * What is wrong by its form alone is refused here: an unknown type or metric, rows of unequal
 * length, options that EXPLAIN does not have.  As in build.c, NULL comes out after a failure. */
#include "parser/parser_int.h"

#include <string.h>
#include <strings.h>

/* ---- parts ---- */

static struct name name_of(struct token t)
{
    return (struct name){.text = t.data, .position = t.position};
}

static struct options options_of(const struct list *list)
{
    return list == NULL ? (struct options){NULL, 0} : (struct options){list->items, list->n};
}

struct list *list_add_name(struct parse *p, struct list *list, struct token t)
{
    struct name name = name_of(t);
    return list_add(p, list, &name, sizeof(name), VQL_ITEMS_MAX);
}

struct option option_of(struct parse *p, struct token name, struct expr *value)
{
    if (value == NULL) {
        value = expr_value(p, name, value_bool(true));
    }
    return (struct option){.name = name_of(name), .value = value};
}

struct list *list_add_option(struct parse *p, struct list *list, struct option option)
{
    for (size_t i = 0; list != NULL && i < list->n; i++) {
        const struct option *other = (const struct option *)list->items + i;
        if (strcmp(other->name.text, option.name.text) == 0) {
            parse_fail(p, ERR_SYNTAX, option.name.position, "option \"%s\" is given twice",
                       option.name.text);
            return NULL;
        }
    }
    return list_add(p, list, &option, sizeof(option), VQL_OPTIONS_MAX);
}

struct list *list_add_target(struct parse *p, struct list *list, struct expr *expr,
                             struct token alias)
{
    struct target target = {.expr = expr, .alias = alias.data};
    return list_add(p, list, &target, sizeof(target), VQL_ITEMS_MAX);
}

struct list *list_add_star(struct parse *p, struct list *list, struct token star)
{
    struct target target = {.is_star = true, .position = star.position};
    return list_add(p, list, &target, sizeof(target), VQL_ITEMS_MAX);
}

struct list *list_add_order(struct parse *p, struct list *list, struct expr *expr,
                            bool is_descending, int nulls)
{
    struct order order = {.expr = expr, .is_descending = is_descending};
    order.nulls_first = nulls < 0 ? is_descending : nulls == 1;
    return list_add(p, list, &order, sizeof(order), VQL_ITEMS_MAX);
}

struct list *list_add_assignment(struct parse *p, struct list *list, struct token column,
                                 struct expr *value)
{
    struct assignment assignment = {.column = name_of(column), .value = value};
    return list_add(p, list, &assignment, sizeof(assignment), VQL_ITEMS_MAX);
}

struct list *list_add_near(struct parse *p, struct list *list, enum near_kind kind,
                           struct expr *expr)
{
    struct near near = {.kind = kind, .expr = expr};
    return list_add(p, list, &near, sizeof(near), VQL_QUERIES_MAX);
}

struct list *list_add_row(struct parse *p, struct list *rows, struct list *row)
{
    if (parse_failed(p)) {
        return NULL;
    }
    const struct list *first = rows == NULL ? row : *(struct list **)rows->items;
    if (row->n != first->n) {
        struct expr **items = row->items;
        parse_fail(p, ERR_SYNTAX, items[0]->position,
                   "the rows of VALUES must have the same length: %zu and %zu", first->n, row->n);
        return NULL;
    }
    return list_add(p, rows, &row, sizeof(row), VQL_ITEMS_MAX);
}

struct list *list_add_column(struct parse *p, struct list *list, struct column_def *column)
{
    return column == NULL ? NULL : list_add(p, list, column, sizeof(*column), VQL_ITEMS_MAX);
}

/* ---- columns of CREATE COLLECTION ---- */

static const char types_hint[] =
    "Types are BOOL, INT, FLOAT, TEXT, UUID, TIMESTAMP, JSON and VECTOR(n).";

/* @column = NULL: of a CAST. */
static bool read_dim(struct parse *p, const struct token *dim, const char *column, uint32_t *out)
{
    const char *text = dim->data;
    uint64_t n = 0;
    for (size_t i = 0; i < dim->bytes; i++) { /* At most 19 digits: the lexer saw to it. */
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    if (n == 0 || n > VECTOR_DIM_MAX) {
        parse_fail(p, ERR_NUMBER_OUT_OF_RANGE, dim->position,
                   "dimension %.*s of %s\"%s\" is out of range", (int)dim->bytes, text,
                   column != NULL ? "column " : "type ", column != NULL ? column : "vector");
        err_hint(p->err, "A vector has 1 to %d dimensions.", VECTOR_DIM_MAX);
        return false;
    }
    *out = (uint32_t)n;
    return true;
}

/* A type's name and, where @dim is not NULL, its dimension. */
static bool read_type(struct parse *p, struct token name, const struct token *dim,
                      const char *column, enum value_type *type, uint32_t *out)
{
    *type = type_find(name.data, name.bytes);
    if (*type == TYPE_NULL) {
        parse_fail(p, ERR_SYNTAX, name.position, "type \"%s\" does not exist",
                   (const char *)name.data);
        err_hint(p->err, "%s", types_hint);
        return false;
    }
    if (*type != TYPE_VECTOR && dim != NULL) {
        parse_fail(p, ERR_SYNTAX, dim->position, "type %s takes no length", type_name(*type));
        err_hint(p->err, "%s", types_hint);
        return false;
    }
    return dim == NULL || read_dim(p, dim, column, out);
}

struct column_def *column_new(struct parse *p, struct token name, struct token type,
                              const struct token *dim)
{
    struct column_def *column = parse_alloc(p, sizeof(*column));
    if (column == NULL) {
        return NULL;
    }
    column->name = name_of(name);
    if (!read_type(p, type, dim, column->name.text, &column->type, &column->dim)) {
        return NULL;
    }
    if (column->type == TYPE_VECTOR && dim == NULL) {
        parse_fail(p, ERR_SYNTAX, type.position, "column \"%s\" lacks its dimension",
                   column->name.text);
        err_hint(p->err, "Write VECTOR(n).");
        return NULL;
    }
    return column;
}

struct expr *expr_cast(struct parse *p, struct token t, struct expr *operand, struct cast_type type)
{
    struct expr *e = expr_unary(p, OP_NONE, t, operand);
    const struct token *dim = type.dim.data != NULL ? &type.dim : NULL;
    if (e == NULL || !read_type(p, type.name, dim, NULL, &e->type, &e->dim)) {
        return NULL;
    }
    e->kind = EXPR_CAST;
    return e;
}

static bool is_said_twice(struct parse *p, bool was_said, struct token at, const char *what)
{
    if (was_said) {
        parse_fail(p, ERR_SYNTAX, at.position, "the column has a %s already", what);
        err_hint(p->err, "Write it once.");
    }
    return was_said;
}

struct column_def *column_metric(struct parse *p, struct column_def *column, struct token metric)
{
    if (column == NULL || is_said_twice(p, column->distance != 0, metric, "METRIC")) {
        return NULL;
    }
    for (int d = DISTANCE_L2; d <= DISTANCE_DOT; d++) {
        if (strcasecmp(metric.data, distance_name((enum distance)d)) == 0) {
            column->distance = (enum distance)d;
            return column;
        }
    }
    parse_fail(p, ERR_SYNTAX, metric.position, "metric \"%s\" does not exist",
               (const char *)metric.data);
    err_hint(p->err, "Metrics are L2, COSINE and DOT.");
    return NULL;
}

struct column_def *column_quantize(struct parse *p, struct column_def *column, struct token bits)
{
    struct policy_set set = {.is_set = 0};
    struct value value = value_text(bits.data, (uint32_t)bits.bytes);
    struct err err = {0};
    if (column == NULL || is_said_twice(p, column->has_quantization, bits, "QUANTIZATION")) {
        return NULL;
    }
    if (policy_assign(&set, POLICY_quantization, LEVEL_COLLECTION, &value, &err) != ERR_OK) {
        parse_fail(p, ERR_SYNTAX, bits.position, "QUANTIZATION cannot be \"%.*s\"", (int)bits.bytes,
                   (const char *)bits.data);
        err_hint(p->err, "%s", err.hint);
        return NULL;
    }
    column->has_quantization = true;
    column->is_quantization_auto = set.values[POLICY_quantization].is_auto;
    column->quantization = (enum quantization)set.values[POLICY_quantization].integer;
    return column;
}

struct column_def *column_key(struct column_def *column)
{
    if (column != NULL) {
        column->is_primary_key = true;
    }
    return column;
}

struct column_def *column_not_null(struct column_def *column)
{
    if (column != NULL) {
        column->is_not_null = true;
    }
    return column;
}

/* ---- statements ---- */

/* Where the name of what the statement is about stands; NULL for those without one. */
static struct name *stmt_subject(struct stmt *s)
{
    switch (s->kind) {
    case STMT_CREATE_COLLECTION:
        return &s->create.collection;
    case STMT_DROP_COLLECTION:
        return &s->drop.collection;
    case STMT_INSERT:
        return &s->insert.collection;
    case STMT_UPDATE:
        return &s->update.collection;
    case STMT_DELETE:
        return &s->del.collection;
    case STMT_SELECT:
        return &s->select.collection;
    case STMT_SEARCH:
        return &s->search.collection;
    case STMT_COPY:
        return &s->copy.collection;
    case STMT_SET:
        return &s->set.name;
    case STMT_SHOW:
        return &s->show.name;
    case STMT_RESET:
        return &s->reset.name;
    case STMT_DESCRIBE:
        return &s->describe.collection;
    case STMT_REINDEX:
        return &s->reindex.collection;
    case STMT_EXPLAIN:
    case STMT_CHECKPOINT:
    case STMT_COUNT:
        break;
    }
    return NULL;
}

struct stmt *stmt_new(struct parse *p, enum stmt_kind kind, struct token t, struct token name)
{
    struct stmt *s = parse_alloc(p, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->kind = kind;
    s->position = t.position;
    struct name *subject = stmt_subject(s);
    if (subject != NULL) {
        *subject = name_of(name);
    }
    return s;
}

struct stmt *stmt_create(struct stmt *s, bool if_not_exists, const struct list *columns,
                         const struct list *with)
{
    if (s != NULL) {
        s->create.if_not_exists = if_not_exists;
        s->create.columns = columns->items;
        s->create.n_columns = columns->n;
        s->create.with = options_of(with);
    }
    return s;
}

struct stmt *stmt_drop(struct stmt *s, bool if_exists)
{
    if (s != NULL) {
        s->drop.if_exists = if_exists;
    }
    return s;
}

struct stmt *stmt_insert(struct parse *p, struct stmt *s, const struct list *columns,
                         const struct list *rows, const struct list *with)
{
    if (s == NULL) {
        return NULL;
    }
    /* The rows' own lists have served: their arrays of expressions remain. */
    struct list **row_lists = rows->items;
    s->insert.row_items = row_lists[0]->n;
    if (columns != NULL) {
        s->insert.columns = columns->items;
        s->insert.n_columns = columns->n;
    }
    s->insert.rows = parse_alloc(p, rows->n * sizeof(*s->insert.rows));
    if (s->insert.rows == NULL) {
        return NULL;
    }
    s->insert.n_rows = rows->n;
    for (size_t i = 0; i < rows->n; i++) {
        s->insert.rows[i] = row_lists[i]->items;
    }
    s->insert.with = options_of(with);
    return s;
}

void stmt_on_conflict(struct stmt *s, enum on_conflict on_conflict)
{
    if (s != NULL) {
        s->insert.on_conflict = on_conflict;
    }
}

struct stmt *stmt_update(struct stmt *s, const struct list *set, struct expr *where,
                         const struct list *with)
{
    if (s != NULL) {
        s->update.set = set->items;
        s->update.n_set = set->n;
        s->update.where = where;
        s->update.with = options_of(with);
    }
    return s;
}

struct stmt *stmt_reindex(struct stmt *s, struct token column, const struct list *with)
{
    if (s != NULL) {
        s->reindex.column = name_of(column);
        s->reindex.with = options_of(with);
    }
    return s;
}

struct stmt *stmt_delete(struct stmt *s, struct expr *where, const struct list *with)
{
    if (s != NULL) {
        s->del.where = where;
        s->del.with = options_of(with);
    }
    return s;
}

struct stmt *stmt_select(struct stmt *s, bool is_distinct, const struct list *targets,
                         const struct list *order_by)
{
    if (s == NULL) {
        return NULL;
    }
    s->select.is_distinct = is_distinct;
    s->select.targets = targets->items;
    s->select.n_targets = targets->n;
    if (order_by != NULL) {
        s->select.order_by = order_by->items;
        s->select.n_order_by = order_by->n;
    }
    return s;
}

void stmt_group(struct stmt *s, struct stmt *show, const struct list *group_by, struct expr *having)
{
    if (s == NULL) {
        return;
    }
    s->select.show = show;
    s->select.having = having;
    if (group_by != NULL) {
        s->select.group_by = group_by->items;
        s->select.n_group_by = group_by->n;
    }
}

struct stmt *stmt_search(struct stmt *s, const struct list *targets, const struct list *queries,
                         struct token in_column)
{
    if (s != NULL) {
        s->search.targets = targets->items;
        s->search.n_targets = targets->n;
        s->search.queries = queries->items;
        s->search.n_queries = queries->n;
        s->search.in_column = name_of(in_column);
    }
    return s;
}

void stmt_filter(struct stmt *s, struct expr *where, struct limits limits, const struct list *with)
{
    if (s == NULL) {
        return;
    }
    if (s->kind == STMT_SELECT) {
        s->select.where = where;
        s->select.limit = limits.limit;
        s->select.offset = limits.offset;
        s->select.with = options_of(with);
    } else {
        s->search.where = where;
        s->search.limit = limits.limit;
        s->search.offset = limits.offset;
        s->search.with = options_of(with);
    }
}

/* (FORMAT JSON | TEXT, ANALYZE [ON | OFF]) */
static bool explain_option(struct parse *p, struct stmt_explain *explain, const struct option *o)
{
    const struct value *v = &o->value->value;
    const char *text = o->value->kind == EXPR_LITERAL && v->type == TYPE_TEXT ? v->text.data : "";
    bool is_analyze = strcmp(o->name.text, "analyze") == 0;
    bool is_bool = o->value->kind == EXPR_LITERAL && v->type == TYPE_BOOL;
    if (!is_analyze && strcmp(o->name.text, "format") != 0) {
        parse_fail(p, ERR_SYNTAX, o->name.position, "EXPLAIN has no option \"%s\"", o->name.text);
        err_hint(p->err, "Its options are FORMAT and ANALYZE.");
        return false;
    }
    if (is_analyze && (is_bool || strcmp(text, "on") == 0 || strcmp(text, "off") == 0)) {
        explain->analyze = is_bool ? v->boolean : strcmp(text, "on") == 0;
    } else if (!is_analyze && (strcasecmp(text, "json") == 0 || strcasecmp(text, "text") == 0)) {
        explain->is_json = strcasecmp(text, "json") == 0;
    } else {
        parse_fail(p, ERR_SYNTAX, o->value->position, "bad value of EXPLAIN's option \"%s\"",
                   o->name.text);
        err_hint(p->err, "%s",
                 is_analyze ? "Write ANALYZE, ANALYZE ON or ANALYZE OFF."
                            : "Formats are TEXT and JSON.");
        return false;
    }
    return true;
}

struct stmt *stmt_explain(struct parse *p, struct stmt *s, bool analyze, const struct list *options,
                          struct stmt *inner)
{
    if (s == NULL) {
        return NULL;
    }
    s->explain.analyze = analyze;
    s->explain.statement = inner;
    inner->n_parameters = p->n_parameters;
    struct options o = options_of(options);
    for (size_t i = 0; i < o.n; i++) {
        if (!explain_option(p, &s->explain, &o.items[i])) {
            return NULL;
        }
    }
    return s;
}

struct stmt *stmt_copy(struct stmt *s, struct token file, const struct list *columns,
                       const struct list *with)
{
    if (s != NULL) {
        s->copy.file = file.data;
        s->copy.with = options_of(with);
        if (columns != NULL) {
            s->copy.columns = columns->items;
            s->copy.n_columns = columns->n;
        }
    }
    return s;
}

void stmt_is_from(struct stmt *s, enum on_conflict on_conflict)
{
    if (s != NULL) {
        s->copy.is_from = true;
        s->copy.on_conflict = on_conflict;
    }
}

struct stmt *stmt_set(struct stmt *s, struct expr *value)
{
    if (s != NULL) {
        s->set.value = value;
    }
    return s;
}
