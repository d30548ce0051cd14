/* What cutting a statement in two is made of: its expressions below and above, the columns of the
 * rows between them, and the parameters that a fragment has beside the statement's. */
#include "plan/cut_int.h"

#include <stdio.h>
#include <string.h>

void *cut_alloc(struct cut *c, size_t n, size_t bytes)
{
    void *items = arena_array(c->a->scope.arena, n, bytes);
    c->stays = c->stays || items == NULL; /* arena_failed says why. */
    return items != NULL ? memset(items, 0, n * bytes) : NULL;
}

/* ---- expressions ---- */

static uint16_t taller(uint16_t height, const struct expr *e)
{
    return e != NULL && e->height > height ? e->height : height;
}

struct expr *cut_node(struct cut *c, struct expr e)
{
    uint16_t height = taller(taller(0, e.left), e.right);
    for (size_t i = 0; i < e.n_items; i++) {
        height = taller(height, e.items[i]);
    }
    c->stays = c->stays || height >= VQL_DEPTH_MAX;
    e.height = (uint16_t)(height + 1);
    struct expr *copy = arena_copy(c->a->scope.arena, &e, sizeof(e));
    c->stays = c->stays || copy == NULL;
    return copy;
}

struct expr *cut_rewrite(struct cut *c, const struct expr *e, cut_replace *replace)
{
    if (e == NULL || c->stays) {
        return NULL;
    }
    struct expr *other = replace(c, e);
    if (other != NULL || c->stays) {
        return other;
    }
    struct expr copy = *e;
    copy.left = cut_rewrite(c, e->left, replace);
    copy.right = cut_rewrite(c, e->right, replace);
    copy.items = e->n_items > 0 ? cut_alloc(c, e->n_items, sizeof(struct expr *)) : NULL;
    for (size_t i = 0; i < e->n_items && !c->stays; i++) {
        copy.items[i] = cut_rewrite(c, e->items[i], replace);
    }
    return c->stays ? NULL : cut_node(c, copy);
}

uint32_t cut_parameter(struct cut *c, enum value_type type)
{
    CHECK(c->fragment->n_types < VQL_PARAMETERS_MAX && type < TYPE_COUNT);
    c->types[c->fragment->n_types++] = (uint8_t)type;
    return (uint32_t)c->fragment->n_types;
}

struct expr *cut_parameter_node(struct cut *c, uint32_t number)
{
    CHECK(number >= 1 && number <= VQL_PARAMETERS_MAX);
    return cut_node(c, (struct expr){.kind = EXPR_PARAMETER, .parameter = number});
}

static struct expr *integer(struct cut *c, int64_t value)
{
    return cut_node(c, (struct expr){.kind = EXPR_LITERAL, .value = value_int(value)});
}

static struct expr *binary(struct cut *c, enum expr_op op, struct expr *left, struct expr *right)
{
    return cut_node(c, (struct expr){.kind = EXPR_BINARY, .op = op, .left = left, .right = right});
}

/* The moment is that of the statement, wherever its parts run. */
static struct expr *replace_now(struct cut *c, const struct expr *e)
{
    if (e->kind != EXPR_CALL || strcmp(e->name, "now") != 0) {
        return NULL;
    }
    if (c->fragment->now == 0) {
        c->fragment->now = cut_parameter(c, TYPE_TIMESTAMP);
    }
    return cut_parameter_node(c, c->fragment->now);
}

struct expr *cut_lower(struct cut *c, const struct expr *e)
{
    return cut_rewrite(c, e, replace_now);
}

/* ---- columns of the fragment's rows ---- */

static bool has_prefix(const struct cut *c, const char *name)
{
    return strncmp(name, c->prefix, strlen(c->prefix)) == 0;
}

/* One that begins no name of the collection or of the result. */
static void choose_prefix(struct cut *c)
{
    const struct plan *plan = c->a->plan;
    bool is_taken = true;
    for (size_t n = 1; is_taken && n < 8; n++) {
        memset(c->prefix, '_', n);
        is_taken = false;
        for (uint32_t i = 0; i < plan->schema->n_columns; i++) {
            is_taken = is_taken || has_prefix(c, plan->schema->columns[i].name);
        }
        for (size_t i = 0; i < plan->n_columns; i++) {
            is_taken = is_taken || has_prefix(c, plan->columns[i].name);
        }
    }
    c->stays = c->stays || is_taken;
}

size_t cut_column(struct cut *c, const struct expr *e, enum value_type type, uint32_t dim)
{
    size_t n = c->n_columns;
    if (e == NULL) { /* Memory ran out while it was made. */
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (expr_is_same(c->sources[i], e)) {
            return i;
        }
    }
    c->stays = c->stays || n == c->columns_max;
    struct expr *lowered = cut_lower(c, e);
    if (lowered == NULL) {
        return 0;
    }
    struct result_column *column = &c->columns[n];
    bool is_plain = e->kind == EXPR_COLUMN;
    if (is_plain) {
        snprintf(column->name, sizeof(column->name), "%s", e->name);
    } else {
        snprintf(column->name, sizeof(column->name), "%.8s%zu", c->prefix, n + 1);
    }
    column->type = type;
    column->dim = dim;
    c->sources[n] = e;
    c->targets[n] = (struct target){.expr = lowered, .alias = is_plain ? NULL : column->name};
    c->n_columns++;
    return n;
}

struct expr *cut_reference(struct cut *c, size_t column)
{
    return cut_node(c, (struct expr){.kind = EXPR_COLUMN, .name = c->columns[column].name});
}

const struct expr *cut_output(struct cut *c, size_t i)
{
    const struct plan *plan = c->a->plan;
    CHECK(i < plan->output.n);
    const struct expr *shown = plan->output.shown[i];
    return shown != NULL
               ? shown
               : cut_node(c, (struct expr){.kind = EXPR_COLUMN, .name = plan->columns[i].name});
}

bool cut_order(struct cut *c, size_t n, struct order **below, struct order **shown)
{
    struct fragment *f = c->fragment;
    f->n_keys = n;
    f->keys = cut_alloc(c, n, sizeof(*f->keys));
    *below = cut_alloc(c, n, sizeof(**below));
    f->shown = *shown = cut_alloc(c, n, sizeof(**shown));
    return !c->stays;
}

/* ---- clauses ---- */

static bool is_count(const struct expr *e)
{
    return e->kind == EXPR_LITERAL && e->value.type == TYPE_INT && e->value.integer >= 0;
}

struct expr *cut_limit(struct cut *c, const struct expr *limit, const struct expr *offset)
{
    if (limit == NULL || offset == NULL) {
        return cut_lower(c, limit);
    }
    if (is_count(limit) && is_count(offset) &&
        limit->value.integer <= INT64_MAX - offset->value.integer) {
        return integer(c, limit->value.integer + offset->value.integer);
    }
    c->fragment->rows_wanted = cut_parameter(c, TYPE_INT);
    return cut_parameter_node(c, c->fragment->rows_wanted);
}

/* key_hash(key) % leaves = leaf */
static struct expr *of_leaf(struct cut *c)
{
    struct fragment *f = c->fragment;
    struct expr **items = cut_alloc(c, 1, sizeof(struct expr *));
    if (items == NULL) {
        return NULL;
    }
    f->leaf = cut_parameter(c, TYPE_INT);
    items[0] = cut_node(
        c, (struct expr){.kind = EXPR_COLUMN, .name = c->a->plan->schema->columns[0].name});
    struct expr *hash = cut_node(
        c, (struct expr){.kind = EXPR_CALL, .name = "key_hash", .items = items, .n_items = 1});
    struct expr *rest = binary(c, OP_MODULO, hash, integer(c, f->n_leaves));
    return binary(c, OP_EQ, rest, cut_parameter_node(c, f->leaf));
}

struct expr *cut_where(struct cut *c, const struct expr *where)
{
    struct expr *lowered = cut_lower(c, where);
    if (c->fragment->n_leaves == 1 || c->stays) {
        return lowered;
    }
    struct expr *of = of_leaf(c);
    if (where == NULL || c->stays) {
        return of;
    }
    return binary(c, OP_AND, of, lowered);
}

/* ---- begin and end ---- */

/* The most that a fragment's rows can have. */
static size_t columns_max(const struct analysis *a)
{
    enum {
        OF_SEARCH = 3 /* query, distance, key */
    };
    const struct grouping *g = a->scope.grouping;
    size_t n = a->plan->output.n + OF_SEARCH;
    n += g != NULL ? g->n_keys + 2 * g->n_calls : 0;
    n += a->plan->stmt->kind == STMT_SELECT ? a->plan->stmt->select.n_order_by : 0;
    return n < COLUMNS_MAX ? n : COLUMNS_MAX;
}

static size_t n_keys(const struct stmt *stmt)
{
    size_t n = 0;
    for (size_t i = 0; stmt->kind == STMT_SEARCH && i < stmt->search.n_queries; i++) {
        n += stmt->search.queries[i].kind == NEAR_KEY ? 1 : 0;
    }
    return n;
}

void cut_begin(struct cut *c)
{
    enum {
        PARAMETERS_MORE = 3 /* now, rows_wanted, leaf; and the vectors of keys. */
    };
    struct analysis *a = c->a;
    size_t n = a->plan->n_types;
    size_t most = n + PARAMETERS_MORE + n_keys(a->plan->stmt);
    c->columns_max = columns_max(a);
    c->fragment = cut_alloc(c, 1, sizeof(*c->fragment));
    c->targets = cut_alloc(c, c->columns_max, sizeof(*c->targets));
    c->columns = cut_alloc(c, c->columns_max, sizeof(*c->columns));
    c->sources = cut_alloc(c, c->columns_max, sizeof(const struct expr *));
    c->types = cut_alloc(c, most, 1);
    c->stays = c->stays || most > VQL_PARAMETERS_MAX;
    if (c->stays) {
        return;
    }
    if (n > 0) {
        memcpy(c->types, a->plan->types, n);
    }
    *c->fragment =
        (struct fragment){.n_leaves = a->source->n_leaves, .types = c->types, .n_types = n};
    choose_prefix(c);
}

bool cut_print(struct cut *c)
{
    CHECK(!c->stays);
    struct buf text;
    buf_init(&text, MEM_SESSION, VQL_TEXT_BYTES_MAX);
    print_stmt(&text, &c->below);
    c->stays = text.failed;
    bool has_memory = !text.failed || text.is_full;
    if (!c->stays) {
        c->fragment->text = arena_strndup(c->a->scope.arena, (const char *)text.data, text.bytes);
        c->fragment->text_bytes = text.bytes;
        c->stays = c->fragment->text == NULL;
    }
    buf_fini(&text);
    return has_memory;
}
