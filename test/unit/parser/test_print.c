/* print_stmt and print_expr against random trees: what is printed parses to the same tree.
 *
 * The trees are those that parse() can give: no minus before a number, chains of AND and OR as
 * trees of the least height.  Each seed is a run of its own; a seed that once failed stays. */
#include "test/unit/unit.h"

#include <math.h>

#include "parser/parser.h"
#include "same_tree.h"

enum {
    ARENA_BYTES = 64 << 20,
    ROUNDS = 400,
    HEIGHT_MAX = 7
};

static const uint64_t seeds[] = {1, 2, 3, 42, 7432, 20261122};

struct generator {
    struct arena *arena;
    uint64_t random;
    uint32_t n_parameters;
};

static void *make(struct generator *g, size_t n, size_t bytes)
{
    void *memory = arena_zalloc(g->arena, n * bytes);
    assert_non_null(memory);
    return memory;
}

static size_t below(struct generator *g, size_t n)
{
    return (size_t)(random_next(&g->random) % n);
}

static bool chance(struct generator *g, size_t one_in)
{
    return below(g, one_in) == 0;
}

static const char *any_name(struct generator *g)
{
    static const char *const names[] = {
        "id",         "docs",
        "a",          "_x1",
        "select",     "key",
        "values",     "Upper",
        "with space", "qu\"ote",
        "naïve",      "1st",
        "a$b",        "from",
        "limit",      "null",
        "true",       "analyze",
        "--",         "/*",
        "'",          "count",
        "x_y_z",      "\n",
        "é",          "if",
        "on",         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    return names[below(g, COUNT_OF(names))];
}

static struct name some_name(struct generator *g)
{
    return (struct name){.text = any_name(g)};
}

static struct value any_text(struct generator *g)
{
    static const char *const texts[] = {"",   "'",  "''", "it's", "\"",    "a\nb", "é",
                                        "--", "/*", "\\", "[1]",  "plain", "$1",   "; DROP"};
    return value_cstr(texts[below(g, COUNT_OF(texts))]);
}

static double any_double(struct generator *g)
{
    if (chance(g, 3)) {
        return (double)below(g, 1000) / 8;
    }
    for (;;) {
        uint64_t bits = random_next(&g->random);
        double x;
        memcpy(&x, &bits, sizeof(x));
        if (isfinite(x)) {
            return x;
        }
    }
}

static struct value any_vector(struct generator *g)
{
    uint32_t dim = (uint32_t)below(g, 5) + 1;
    float *x = make(g, dim, sizeof(*x));
    for (uint32_t i = 0; i < dim; i++) {
        do {
            uint32_t bits = (uint32_t)random_next(&g->random);
            memcpy(&x[i], &bits, sizeof(x[i]));
        } while (!isfinite(x[i]));
    }
    return value_vector(x, dim);
}

static struct value any_value(struct generator *g)
{
    switch (below(g, 6)) {
    case 0:
        return value_null();
    case 1:
        return value_bool(chance(g, 2));
    case 2:
        return value_int(chance(g, 10) ? INT64_MIN : (int64_t)random_next(&g->random) >> 40);
    case 3:
        return value_float(any_double(g));
    case 4:
        return any_text(g);
    default:
        return any_vector(g);
    }
}

static struct expr *leaf(struct generator *g, enum expr_kind kind)
{
    struct expr *e = make(g, 1, sizeof(*e));
    e->kind = kind;
    e->height = 1;
    return e;
}

static struct expr *any_parameter(struct generator *g)
{
    struct expr *e = leaf(g, EXPR_PARAMETER);
    e->parameter = (uint32_t)below(g, VQL_PARAMETERS_MAX) + 1;
    g->n_parameters = e->parameter > g->n_parameters ? e->parameter : g->n_parameters;
    return e;
}

/* A literal or a parameter. */
static struct expr *any_constant(struct generator *g)
{
    if (chance(g, 4)) {
        return any_parameter(g);
    }
    struct expr *e = leaf(g, EXPR_LITERAL);
    e->value = any_value(g);
    return e;
}

static struct expr *any_count(struct generator *g)
{
    if (chance(g, 3)) {
        return any_parameter(g);
    }
    struct expr *e = leaf(g, EXPR_LITERAL);
    e->value = value_int((int64_t)below(g, 100) - 10);
    return e;
}

static struct expr *any_expr(struct generator *g, unsigned height);

static void measure(struct expr *e)
{
    unsigned height = 0;
    height = e->left != NULL && e->left->height > height ? e->left->height : height;
    height = e->right != NULL && e->right->height > height ? e->right->height : height;
    for (size_t i = 0; i < e->n_items; i++) {
        height = e->items[i]->height > height ? e->items[i]->height : height;
    }
    e->height = (uint16_t)(height + 1);
}

static struct expr *binary(struct generator *g, enum expr_op op, struct expr *left,
                           struct expr *right)
{
    struct expr *e = leaf(g, EXPR_BINARY);
    e->op = op;
    e->left = left;
    e->right = right;
    measure(e);
    return e;
}

static struct expr *any_chain(struct generator *g, unsigned height)
{
    enum expr_op op = chance(g, 2) ? OP_OR : OP_AND;
    struct expr *terms[9];
    size_t n = below(g, COUNT_OF(terms) - 1) + 2;
    for (size_t i = 0; i < n; i++) {
        uint32_t n_parameters = g->n_parameters; /* Those of a term that is dropped do not count. */
        do {
            g->n_parameters = n_parameters;
            terms[i] = any_expr(g, height - 1);
        } while (terms[i]->kind == EXPR_BINARY && terms[i]->op == op);
    }
    for (; n > 1; n = (n + 1) / 2) {
        for (size_t i = 0; i < n; i += 2) {
            terms[i / 2] = i + 1 < n ? binary(g, op, terms[i], terms[i + 1]) : terms[i];
        }
    }
    return terms[0];
}

static struct expr *any_unary(struct generator *g, unsigned height)
{
    static const enum expr_op ops[] = {OP_NOT, OP_NEGATE, OP_IS_NULL, OP_IS_NOT_NULL};
    struct expr *e = leaf(g, EXPR_UNARY);
    e->op = ops[below(g, COUNT_OF(ops))];
    uint32_t n_parameters = g->n_parameters;
    do {
        g->n_parameters = n_parameters;
        e->left = any_expr(g, height - 1);
    } while (e->op == OP_NEGATE && e->left->kind == EXPR_LITERAL &&
             (e->left->value.type == TYPE_INT || e->left->value.type == TYPE_FLOAT));
    measure(e);
    return e;
}

static struct expr *any_among(struct generator *g, enum expr_kind kind, unsigned height)
{
    struct expr *e = leaf(g, kind);
    e->n_items = kind == EXPR_BETWEEN ? 2 : below(g, 4) + (kind == EXPR_IN);
    e->items = make(g, e->n_items + 1, sizeof(*e->items));
    for (size_t i = 0; i < e->n_items; i++) {
        e->items[i] = any_expr(g, height - 1);
    }
    if (e->n_items == 0) {
        e->items = NULL;
    }
    if (kind == EXPR_CALL) {
        e->name = any_name(g);
        e->is_star = e->n_items == 0 && chance(g, 2);
        e->is_distinct = e->n_items > 0 && chance(g, 3);
    } else {
        e->left = any_expr(g, height - 1);
        e->is_negated = chance(g, 2);
    }
    measure(e);
    return e;
}

static struct expr *any_case(struct generator *g, unsigned height)
{
    struct expr *e = leaf(g, EXPR_CASE);
    e->n_items = 2 * (below(g, 3) + 1);
    e->items = make(g, e->n_items, sizeof(*e->items));
    e->left = chance(g, 2) ? any_expr(g, height - 1) : NULL;
    e->right = chance(g, 2) ? any_expr(g, height - 1) : NULL;
    for (size_t i = 0; i < e->n_items; i++) {
        e->items[i] = any_expr(g, height - 1);
    }
    measure(e);
    return e;
}

static struct expr *any_cast(struct generator *g, unsigned height)
{
    struct expr *e = leaf(g, EXPR_CAST);
    e->type = TYPE_BOOL + (enum value_type)below(g, TYPE_COUNT - TYPE_BOOL);
    e->dim = e->type == TYPE_VECTOR ? (uint32_t)below(g, 3) : 0;
    e->left = any_expr(g, height - 1);
    measure(e);
    return e;
}

static struct expr *any_expr(struct generator *g, unsigned height)
{
    static const enum expr_op ops[] = {OP_ILIKE,  OP_NOT_ILIKE, OP_EQ,       OP_NE,     OP_LT,
                                       OP_LE,     OP_GT,        OP_GE,       OP_LIKE,   OP_NOT_LIKE,
                                       OP_ADD,    OP_SUBTRACT,  OP_MULTIPLY, OP_DIVIDE, OP_MODULO,
                                       OP_CONCAT, OP_JSON,      OP_JSON_TEXT};
    size_t kind = height <= 1 ? below(g, 2) : below(g, 11);
    switch (kind) {
    case 0:
        return any_constant(g);
    case 1: {
        struct expr *e = leaf(g, EXPR_COLUMN);
        e->name = any_name(g);
        return e;
    }
    case 2:
        return any_chain(g, height);
    case 3:
        return any_unary(g, height);
    case 4:
        return any_among(g, EXPR_BETWEEN, height);
    case 5:
        return any_among(g, EXPR_IN, height);
    case 6:
        return any_among(g, EXPR_CALL, height);
    case 7:
        return any_case(g, height);
    case 8:
        return any_cast(g, height);
    default:
        return binary(g, ops[below(g, COUNT_OF(ops))], any_expr(g, height - 1),
                      any_expr(g, height - 1));
    }
}

static struct expr *expr_or_null(struct generator *g)
{
    return chance(g, 2) ? NULL : any_expr(g, HEIGHT_MAX);
}

/* ---- statements ---- */

static struct options any_options(struct generator *g)
{
    static const char *const names[] = {"recall", "null", "Format", "a b", "on"};
    struct options o = {.n = below(g, COUNT_OF(names) + 1)};
    o.items = make(g, o.n + 1, sizeof(*o.items));
    for (size_t i = 0; i < o.n; i++) {
        o.items[i].name.text = names[i];
        o.items[i].value = any_constant(g);
    }
    return o;
}

static struct name *any_names(struct generator *g, size_t n)
{
    struct name *names = make(g, n + 1, sizeof(*names));
    for (size_t i = 0; i < n; i++) {
        names[i] = some_name(g);
    }
    return names;
}

static struct target *any_targets(struct generator *g, size_t n, bool may_be_star)
{
    struct target *targets = make(g, n, sizeof(*targets));
    for (size_t i = 0; i < n; i++) {
        targets[i].is_star = may_be_star && chance(g, 4);
        if (!targets[i].is_star) {
            targets[i].expr = any_expr(g, HEIGHT_MAX);
            targets[i].alias = chance(g, 2) ? NULL : any_name(g);
        }
    }
    return targets;
}

static void any_create(struct generator *g, struct stmt_create *s)
{
    s->if_not_exists = chance(g, 2);
    s->n_columns = below(g, 5) + 1;
    s->columns = make(g, s->n_columns, sizeof(*s->columns));
    for (size_t i = 0; i < s->n_columns; i++) {
        struct column_def *c = &s->columns[i];
        c->name = some_name(g);
        c->type = (enum value_type)(below(g, TYPE_VECTOR) + 1);
        c->dim = c->type == TYPE_VECTOR ? (uint32_t)below(g, VECTOR_DIM_MAX) + 1 : 0;
        c->distance = (enum distance)below(g, DISTANCE_DOT + 1);
        c->is_primary_key = chance(g, 2);
        c->is_not_null = chance(g, 2);
    }
    s->with = any_options(g);
}

static void any_insert(struct generator *g, struct stmt_insert *s)
{
    s->row_items = below(g, 4) + 1;
    s->n_rows = below(g, 4) + 1;
    s->n_columns = chance(g, 2) ? 0 : s->row_items;
    s->columns = any_names(g, s->n_columns);
    s->rows = make(g, s->n_rows, sizeof(*s->rows));
    for (size_t i = 0; i < s->n_rows; i++) {
        s->rows[i] = make(g, s->row_items, sizeof(*s->rows[i]));
        for (size_t j = 0; j < s->row_items; j++) {
            s->rows[i][j] = any_expr(g, 3);
        }
    }
    s->on_conflict = (enum on_conflict)below(g, 3);
    s->with = any_options(g);
}

static void any_update(struct generator *g, struct stmt_update *s)
{
    s->n_set = below(g, 3) + 1;
    s->set = make(g, s->n_set, sizeof(*s->set));
    for (size_t i = 0; i < s->n_set; i++) {
        s->set[i].column = some_name(g);
        s->set[i].value = any_expr(g, 4);
    }
    s->where = expr_or_null(g);
    s->with = any_options(g);
}

static void set_subject(struct generator *g, struct stmt *s)
{
    struct name name = some_name(g);
    switch (s->kind) {
    case STMT_CREATE_COLLECTION:
        s->create.collection = name;
        break;
    case STMT_DROP_COLLECTION:
        s->drop.collection = name;
        break;
    case STMT_INSERT:
        s->insert.collection = name;
        break;
    case STMT_UPDATE:
        s->update.collection = name;
        break;
    case STMT_DELETE:
        s->del.collection = name;
        break;
    case STMT_SEARCH:
        s->search.collection = name;
        break;
    case STMT_COPY:
        s->copy.collection = name;
        break;
    case STMT_SET:
        s->set.name = name;
        break;
    case STMT_SHOW:
        s->show.name = name;
        break;
    case STMT_RESET:
        s->reset.name = name;
        break;
    case STMT_DESCRIBE:
        s->describe.collection = name;
        break;
    case STMT_REINDEX:
        s->reindex.collection = name;
        break;
    default:
        break;
    }
}

/* Nothing, a collection, what SHOW gives, or what DESCRIBE does. */
static void any_from(struct generator *g, struct stmt_select *s)
{
    size_t source = below(g, 4);
    if (source == 1) {
        s->collection = some_name(g);
    } else if (source > 1) {
        s->show = make(g, 1, sizeof(*s->show));
        s->show->kind = source == 2 ? STMT_SHOW : STMT_DESCRIBE;
        set_subject(g, s->show);
    }
}

static void any_groups(struct generator *g, struct stmt_select *s)
{
    s->n_group_by = below(g, 3);
    s->group_by = make(g, s->n_group_by + 1, sizeof(*s->group_by));
    for (size_t i = 0; i < s->n_group_by; i++) {
        s->group_by[i] = any_expr(g, 3);
    }
    s->having = expr_or_null(g);
}

static void any_select(struct generator *g, struct stmt_select *s)
{
    s->is_distinct = chance(g, 3);
    s->n_targets = below(g, 3) + 1;
    s->targets = any_targets(g, s->n_targets, true);
    any_from(g, s);
    s->where = expr_or_null(g);
    any_groups(g, s);
    s->n_order_by = below(g, 3);
    s->order_by = make(g, s->n_order_by + 1, sizeof(*s->order_by));
    for (size_t i = 0; i < s->n_order_by; i++) {
        s->order_by[i].expr = any_expr(g, 3);
        s->order_by[i].is_descending = chance(g, 2);
        s->order_by[i].nulls_first = chance(g, 2);
    }
    s->limit = chance(g, 2) ? NULL : any_count(g);
    s->offset = chance(g, 2) ? NULL : any_count(g);
    s->with = any_options(g);
}

static void any_search(struct generator *g, struct stmt_search *s)
{
    s->n_targets = below(g, 3) + 1;
    s->targets = any_targets(g, s->n_targets, true);
    s->n_queries = below(g, 4) + 1;
    s->queries = make(g, s->n_queries, sizeof(*s->queries));
    for (size_t i = 0; i < s->n_queries; i++) {
        s->queries[i].kind = chance(g, 2) ? NEAR_KEY : NEAR_VECTOR;
        s->queries[i].expr = any_constant(g);
    }
    s->in_column = chance(g, 2) ? some_name(g) : (struct name){.text = NULL};
    s->where = expr_or_null(g);
    s->limit = any_count(g);
    s->offset = chance(g, 2) ? NULL : any_count(g);
    s->with = any_options(g);
}

static void any_copy(struct generator *g, struct stmt_copy *s)
{
    s->is_from = chance(g, 2);
    s->on_conflict = s->is_from ? (enum on_conflict)below(g, 3) : CONFLICT_ERROR;
    s->n_columns = below(g, 3);
    s->columns = any_names(g, s->n_columns);
    s->file = chance(g, 2) ? NULL : any_text(g).text.data;
    s->with = any_options(g);
}

static struct stmt *any_stmt(struct generator *g, enum stmt_kind kind)
{
    static const enum stmt_kind explainable[] = {STMT_SELECT, STMT_SEARCH, STMT_INSERT, STMT_UPDATE,
                                                 STMT_DELETE};
    struct stmt *s = make(g, 1, sizeof(*s));
    s->kind = kind;
    set_subject(g, s);
    switch (kind) {
    case STMT_CREATE_COLLECTION:
        any_create(g, &s->create);
        break;
    case STMT_DROP_COLLECTION:
        s->drop.if_exists = chance(g, 2);
        break;
    case STMT_INSERT:
        any_insert(g, &s->insert);
        break;
    case STMT_UPDATE:
        any_update(g, &s->update);
        break;
    case STMT_DELETE:
        s->del.where = expr_or_null(g);
        s->del.with = any_options(g);
        break;
    case STMT_SELECT:
        any_select(g, &s->select);
        break;
    case STMT_SEARCH:
        any_search(g, &s->search);
        break;
    case STMT_EXPLAIN:
        s->explain.analyze = chance(g, 2);
        s->explain.is_json = chance(g, 2);
        s->explain.statement = any_stmt(g, explainable[below(g, COUNT_OF(explainable))]);
        break;
    case STMT_COPY:
        any_copy(g, &s->copy);
        break;
    case STMT_REINDEX:
        s->reindex.column = chance(g, 2) ? some_name(g) : (struct name){0};
        s->reindex.with = any_options(g);
        break;
    case STMT_SET:
        s->set.value = any_constant(g);
        break;
    default:
        break;
    }
    s->n_parameters = g->n_parameters;
    return s;
}

static void check_round_trip(struct generator *g, struct buf *text, enum stmt_kind kind)
{
    g->n_parameters = 0;
    struct stmt *stmt = any_stmt(g, kind);
    buf_reset(text);
    print_stmt(text, stmt);
    assert_false(text->failed);
    const char *data = (const char *)text->data;
    struct err err = {0};
    struct stmt *again;
    size_t rest = 0;
    if (parse(data, text->bytes, g->arena, &again, &rest, &err) != ERR_OK) {
        fail_msg("%.*s: %s at %u", (int)text->bytes, data, err.message, err.position);
    }
    assert_int_equal(rest, text->bytes);
    if (!same_stmt(stmt, again)) {
        fail_msg("another tree: %.*s", (int)text->bytes, data);
    }
    arena_reset(g->arena);
}

static void what_is_printed_parses_to_the_same_tree(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, MEM_GENERAL, ARENA_BYTES);
    for (size_t i = 0; i < COUNT_OF(seeds); i++) {
        struct generator g = {.random = seeds[i], .arena = arena_new(MEM_STATEMENT, ARENA_BYTES)};
        assert_non_null(g.arena);
        for (size_t round = 0; round < ROUNDS; round++) {
            for (int kind = 0; kind < STMT_COUNT; kind++) {
                check_round_trip(&g, &text, (enum stmt_kind)kind);
            }
        }
        arena_free(g.arena);
    }
    buf_fini(&text);
}

static void printing_into_a_full_buffer_fails_without_harm(void **state)
{
    (void)state;
    struct generator g = {.random = 5, .arena = arena_new(MEM_STATEMENT, ARENA_BYTES)};
    assert_non_null(g.arena);
    struct expr *one_half = leaf(&g, EXPR_LITERAL);
    one_half->value = value_float(2);
    for (size_t limit = 0; limit < 64; limit++) {
        struct buf text;
        buf_init(&text, MEM_GENERAL, limit);
        print_stmt(&text, any_stmt(&g, STMT_SEARCH));
        print_expr(&text, one_half);
        assert_true(text.failed || limit > 40);
        assert_true(text.bytes <= limit);
        buf_fini(&text);
    }
    arena_free(g.arena);
}

static void names_are_quoted_only_where_they_must_be(void **state)
{
    (void)state;
    static const struct {
        const char *name, *printed;
    } names[] = {
        {"docs", "docs"},   {"key", "key"},   {"select", "\"select\""}, {"Docs", "\"Docs\""},
        {"a b", "\"a b\""}, {"1a", "\"1a\""}, {"a1$", "a1$"},           {"q\"q", "\"q\"\"q\""},
        {"$a", "\"$a\""},   {"", "\"\""},
    };
    struct buf text;
    buf_init(&text, MEM_GENERAL, 1024);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        buf_reset(&text);
        print_name(&text, names[i].name);
        buf_u8(&text, 0);
        assert_string_equal((const char *)text.data, names[i].printed);
    }
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_parses_to_the_same_tree),
        cmocka_unit_test(printing_into_a_full_buffer_fails_without_harm),
        cmocka_unit_test(names_are_quoted_only_where_they_must_be),
    };
    return cmocka_run_group_tests_name("print", tests, NULL, NULL);
}
