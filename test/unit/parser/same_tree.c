/* Whether two trees say the same: every field but positions and what follows from others. */
#include "same_tree.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_value(const struct value *a, const struct value *b)
{
    if (a->type != b->type) {
        return false;
    }
    switch (a->type) {
    case TYPE_BOOL:
        return a->boolean == b->boolean;
    case TYPE_INT:
        return a->integer == b->integer;
    case TYPE_FLOAT: /* Its bits: -0 is not 0. */
        return memcmp(&a->number, &b->number, sizeof(a->number)) == 0;
    case TYPE_TEXT:
        return a->text.bytes == b->text.bytes &&
               memcmp(a->text.data, b->text.data, a->text.bytes) == 0;
    case TYPE_VECTOR:
        return a->vector.dim == b->vector.dim &&
               memcmp(a->vector.data, b->vector.data, a->vector.dim * sizeof(float)) == 0;
    default:
        return a->type == TYPE_NULL;
    }
}

static bool same_exprs(struct expr *const *a, size_t n_a, struct expr *const *b, size_t n_b)
{
    bool is_same = n_a == n_b;
    for (size_t i = 0; is_same && i < n_a; i++) {
        is_same = same_expr(a[i], b[i]);
    }
    return is_same;
}

bool same_expr(const struct expr *a, const struct expr *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return a->kind == b->kind && a->op == b->op && a->is_negated == b->is_negated &&
           a->is_star == b->is_star && a->is_distinct == b->is_distinct && a->height == b->height &&
           a->parameter == b->parameter && a->type == b->type && a->dim == b->dim &&
           same_value(&a->value, &b->value) && same_text(a->name, b->name) &&
           same_expr(a->left, b->left) && same_expr(a->right, b->right) &&
           same_exprs(a->items, a->n_items, b->items, b->n_items);
}

static bool same_options(const struct options *a, const struct options *b)
{
    bool is_same = a->n == b->n;
    for (size_t i = 0; is_same && i < a->n; i++) {
        is_same = same_text(a->items[i].name.text, b->items[i].name.text) &&
                  same_expr(a->items[i].value, b->items[i].value);
    }
    return is_same;
}

static bool same_names(const struct name *a, size_t n_a, const struct name *b, size_t n_b)
{
    bool is_same = n_a == n_b;
    for (size_t i = 0; is_same && i < n_a; i++) {
        is_same = same_text(a[i].text, b[i].text);
    }
    return is_same;
}

static bool same_targets(const struct target *a, size_t n_a, const struct target *b, size_t n_b)
{
    bool is_same = n_a == n_b;
    for (size_t i = 0; is_same && i < n_a; i++) {
        is_same = a[i].is_star == b[i].is_star && same_text(a[i].alias, b[i].alias) &&
                  same_expr(a[i].expr, b[i].expr);
    }
    return is_same;
}

static bool same_create(const struct stmt_create *a, const struct stmt_create *b)
{
    bool is_same = same_text(a->collection.text, b->collection.text) &&
                   a->if_not_exists == b->if_not_exists && a->n_columns == b->n_columns &&
                   same_options(&a->with, &b->with);
    for (size_t i = 0; is_same && i < a->n_columns; i++) {
        const struct column_def *c = &a->columns[i], *d = &b->columns[i];
        is_same = same_text(c->name.text, d->name.text) && c->type == d->type && c->dim == d->dim &&
                  c->distance == d->distance && c->is_primary_key == d->is_primary_key &&
                  c->is_not_null == d->is_not_null && c->has_quantization == d->has_quantization &&
                  c->is_quantization_auto == d->is_quantization_auto &&
                  c->quantization == d->quantization;
    }
    return is_same;
}

static bool same_insert(const struct stmt_insert *a, const struct stmt_insert *b)
{
    bool is_same = same_text(a->collection.text, b->collection.text) && a->n_rows == b->n_rows &&
                   a->on_conflict == b->on_conflict && same_options(&a->with, &b->with) &&
                   same_names(a->columns, a->n_columns, b->columns, b->n_columns);
    for (size_t i = 0; is_same && i < a->n_rows; i++) {
        is_same = same_exprs(a->rows[i], a->row_items, b->rows[i], b->row_items);
    }
    return is_same;
}

static bool same_update(const struct stmt_update *a, const struct stmt_update *b)
{
    bool is_same = same_text(a->collection.text, b->collection.text) && a->n_set == b->n_set &&
                   same_expr(a->where, b->where) && same_options(&a->with, &b->with);
    for (size_t i = 0; is_same && i < a->n_set; i++) {
        is_same = same_text(a->set[i].column.text, b->set[i].column.text) &&
                  same_expr(a->set[i].value, b->set[i].value);
    }
    return is_same;
}

static bool same_show(const struct stmt *a, const struct stmt *b)
{
    return a == NULL || b == NULL ? a == b : same_stmt(a, b);
}

static bool same_select(const struct stmt_select *a, const struct stmt_select *b)
{
    bool is_same = a->is_distinct == b->is_distinct && same_show(a->show, b->show) &&
                   same_exprs(a->group_by, a->n_group_by, b->group_by, b->n_group_by) &&
                   same_expr(a->having, b->having) &&
                   same_targets(a->targets, a->n_targets, b->targets, b->n_targets) &&
                   same_text(a->collection.text, b->collection.text) &&
                   same_expr(a->where, b->where) && a->n_order_by == b->n_order_by &&
                   same_expr(a->limit, b->limit) && same_expr(a->offset, b->offset) &&
                   same_options(&a->with, &b->with);
    for (size_t i = 0; is_same && i < a->n_order_by; i++) {
        is_same = same_expr(a->order_by[i].expr, b->order_by[i].expr) &&
                  a->order_by[i].is_descending == b->order_by[i].is_descending &&
                  a->order_by[i].nulls_first == b->order_by[i].nulls_first;
    }
    return is_same;
}

static bool same_search(const struct stmt_search *a, const struct stmt_search *b)
{
    bool is_same = same_targets(a->targets, a->n_targets, b->targets, b->n_targets) &&
                   same_text(a->collection.text, b->collection.text) &&
                   a->n_queries == b->n_queries &&
                   same_text(a->in_column.text, b->in_column.text) &&
                   same_expr(a->where, b->where) && same_expr(a->limit, b->limit) &&
                   same_expr(a->offset, b->offset) && same_options(&a->with, &b->with);
    for (size_t i = 0; is_same && i < a->n_queries; i++) {
        is_same = a->queries[i].kind == b->queries[i].kind &&
                  same_expr(a->queries[i].expr, b->queries[i].expr);
    }
    return is_same;
}

static bool same_copy(const struct stmt_copy *a, const struct stmt_copy *b)
{
    return same_text(a->collection.text, b->collection.text) && a->is_from == b->is_from &&
           a->on_conflict == b->on_conflict && same_text(a->file, b->file) &&
           same_options(&a->with, &b->with) &&
           same_names(a->columns, a->n_columns, b->columns, b->n_columns);
}

bool same_stmt(const struct stmt *a, const struct stmt *b)
{
    if (a->kind != b->kind || a->n_parameters != b->n_parameters) {
        return false;
    }
    switch (a->kind) {
    case STMT_CREATE_COLLECTION:
        return same_create(&a->create, &b->create);
    case STMT_DROP_COLLECTION:
        return same_text(a->drop.collection.text, b->drop.collection.text) &&
               a->drop.if_exists == b->drop.if_exists;
    case STMT_INSERT:
        return same_insert(&a->insert, &b->insert);
    case STMT_UPDATE:
        return same_update(&a->update, &b->update);
    case STMT_DELETE:
        return same_text(a->del.collection.text, b->del.collection.text) &&
               same_expr(a->del.where, b->del.where) && same_options(&a->del.with, &b->del.with);
    case STMT_SELECT:
        return same_select(&a->select, &b->select);
    case STMT_SEARCH:
        return same_search(&a->search, &b->search);
    case STMT_EXPLAIN: /* Holds no other EXPLAIN. */
        return a->explain.analyze == b->explain.analyze &&
               a->explain.is_json == b->explain.is_json &&
               same_stmt(a->explain.statement, b->explain.statement);
    case STMT_COPY:
        return same_copy(&a->copy, &b->copy);
    case STMT_SET:
        return same_text(a->set.name.text, b->set.name.text) &&
               same_expr(a->set.value, b->set.value);
    case STMT_SHOW:
        return same_text(a->show.name.text, b->show.name.text);
    case STMT_RESET:
        return same_text(a->reset.name.text, b->reset.name.text);
    case STMT_DESCRIBE:
        return same_text(a->describe.collection.text, b->describe.collection.text);
    case STMT_CHECKPOINT:
        return true;
    case STMT_REINDEX:
        return same_text(a->reindex.collection.text, b->reindex.collection.text) &&
               same_text(a->reindex.column.text, b->reindex.column.text) &&
               same_options(&a->reindex.with, &b->reindex.with);
    case STMT_COUNT:
        break;
    }
    return false;
}
