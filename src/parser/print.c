/* Trees back to text: canonical VQL, which parses to the same tree.
 *
 * Keywords in capitals, one space between tokens, parentheses only where the precedence of the
 * operators needs them, a negative number in one piece.  Recursion is bounded by VQL_DEPTH_MAX. */
#include "parser/parser_int.h"

#include <string.h>

/* How tightly an expression binds; the order of grammar.y. */
enum level {
    LEVEL_OF_OR,
    LEVEL_OF_AND,
    LEVEL_OF_NOT,
    LEVEL_OF_IS,
    LEVEL_OF_COMPARISON,
    LEVEL_OF_IN,
    LEVEL_OF_CONCAT,
    LEVEL_OF_SUM,
    LEVEL_OF_PRODUCT,
    LEVEL_OF_SIGN,
    LEVEL_OF_LEAF,
};

static const struct {
    const char *text;
    enum level level, left, right; /* What the operands must bind at least as tightly as. */
} operators[OP_COUNT] = {
    [OP_OR] = {" OR ", LEVEL_OF_OR, LEVEL_OF_OR, LEVEL_OF_OR},
    [OP_AND] = {" AND ", LEVEL_OF_AND, LEVEL_OF_AND, LEVEL_OF_AND},
    [OP_NOT] = {"NOT ", LEVEL_OF_NOT, LEVEL_OF_NOT, LEVEL_OF_NOT},
    [OP_EQ] = {" = ", LEVEL_OF_COMPARISON, LEVEL_OF_IN, LEVEL_OF_IN},
    [OP_NE] = {" <> ", LEVEL_OF_COMPARISON, LEVEL_OF_IN, LEVEL_OF_IN},
    [OP_LT] = {" < ", LEVEL_OF_COMPARISON, LEVEL_OF_IN, LEVEL_OF_IN},
    [OP_LE] = {" <= ", LEVEL_OF_COMPARISON, LEVEL_OF_IN, LEVEL_OF_IN},
    [OP_GT] = {" > ", LEVEL_OF_COMPARISON, LEVEL_OF_IN, LEVEL_OF_IN},
    [OP_GE] = {" >= ", LEVEL_OF_COMPARISON, LEVEL_OF_IN, LEVEL_OF_IN},
    [OP_LIKE] = {" LIKE ", LEVEL_OF_IN, LEVEL_OF_CONCAT, LEVEL_OF_CONCAT},
    [OP_NOT_LIKE] = {" NOT LIKE ", LEVEL_OF_IN, LEVEL_OF_CONCAT, LEVEL_OF_CONCAT},
    [OP_ILIKE] = {" ILIKE ", LEVEL_OF_IN, LEVEL_OF_CONCAT, LEVEL_OF_CONCAT},
    [OP_NOT_ILIKE] = {" NOT ILIKE ", LEVEL_OF_IN, LEVEL_OF_CONCAT, LEVEL_OF_CONCAT},
    [OP_IS_NULL] = {" IS NULL", LEVEL_OF_IS, LEVEL_OF_COMPARISON, LEVEL_OF_COMPARISON},
    [OP_IS_NOT_NULL] = {" IS NOT NULL", LEVEL_OF_IS, LEVEL_OF_COMPARISON, LEVEL_OF_COMPARISON},
    [OP_CONCAT] = {" || ", LEVEL_OF_CONCAT, LEVEL_OF_CONCAT, LEVEL_OF_SUM},
    [OP_JSON] = {" -> ", LEVEL_OF_CONCAT, LEVEL_OF_CONCAT, LEVEL_OF_SUM},
    [OP_JSON_TEXT] = {" ->> ", LEVEL_OF_CONCAT, LEVEL_OF_CONCAT, LEVEL_OF_SUM},
    [OP_ADD] = {" + ", LEVEL_OF_SUM, LEVEL_OF_SUM, LEVEL_OF_PRODUCT},
    [OP_SUBTRACT] = {" - ", LEVEL_OF_SUM, LEVEL_OF_SUM, LEVEL_OF_PRODUCT},
    [OP_MULTIPLY] = {" * ", LEVEL_OF_PRODUCT, LEVEL_OF_PRODUCT, LEVEL_OF_SIGN},
    [OP_DIVIDE] = {" / ", LEVEL_OF_PRODUCT, LEVEL_OF_PRODUCT, LEVEL_OF_SIGN},
    [OP_MODULO] = {" % ", LEVEL_OF_PRODUCT, LEVEL_OF_PRODUCT, LEVEL_OF_SIGN},
    /* Its operand is a leaf, for "--" would begin a comment. */
    [OP_NEGATE] = {"-", LEVEL_OF_SIGN, LEVEL_OF_LEAF, LEVEL_OF_LEAF},
};

static void print_cstr(struct buf *b, const char *text)
{
    buf_bytes(b, text, strlen(text));
}

/* @text with each @quote doubled, between two of them. */
static void print_quoted(struct buf *b, const char *text, size_t bytes, char quote)
{
    buf_u8(b, (uint8_t)quote);
    while (bytes > 0) {
        const char *end = memchr(text, quote, bytes);
        size_t n = end == NULL ? bytes : (size_t)(end - text) + 1;
        buf_bytes(b, text, n);
        if (end != NULL) {
            buf_u8(b, (uint8_t)quote);
        }
        text += n;
        bytes -= n;
    }
    buf_u8(b, (uint8_t)quote);
}

void print_text(struct buf *b, const char *text, size_t bytes)
{
    CHECK_HOT(text != NULL || bytes == 0);
    print_quoted(b, text, bytes, '\'');
}

void print_name(struct buf *b, const char *name)
{
    bool is_plain = is_name_start(name[0]) && !parser_keyword_is_reserved(name);
    for (const char *c = name; *c != '\0'; c++) {
        is_plain = is_plain && is_name_part(*c) && !(*c >= 'A' && *c <= 'Z');
    }
    if (is_plain) {
        print_cstr(b, name);
    } else {
        print_quoted(b, name, strlen(name), '"');
    }
}

/* ---- expressions ---- */

static void print_literal(struct buf *b, const struct value *v)
{
    size_t begin = b->bytes;
    switch (v->type) {
    case TYPE_NULL:
        print_cstr(b, "NULL");
        break;
    case TYPE_BOOL:
        print_cstr(b, v->boolean ? "TRUE" : "FALSE");
        break;
    case TYPE_FLOAT:
        value_format(b, v);
        for (size_t i = begin; i < b->bytes; i++) {
            if (b->data[i] == '.' || b->data[i] == 'e') {
                return;
            }
        }
        print_cstr(b, ".0"); /* Or it would come back as an integer. */
        break;
    case TYPE_INT:
    case TYPE_VECTOR:
        value_format(b, v);
        break;
    default:
        CHECK(v->type == TYPE_TEXT);
        print_text(b, v->text.data, v->text.bytes);
        break;
    }
}

static enum level level_of(const struct expr *e)
{
    switch (e->kind) {
    case EXPR_UNARY:
    case EXPR_BINARY:
        return operators[e->op].level;
    case EXPR_BETWEEN:
    case EXPR_IN:
        return LEVEL_OF_IN;
    case EXPR_LITERAL:
    case EXPR_PARAMETER:
    case EXPR_COLUMN:
    case EXPR_CALL:
    case EXPR_CASE:
    case EXPR_CAST:
        break;
    }
    return LEVEL_OF_LEAF;
}

/* With parentheses where @e binds less tightly than @least. */
static void print_operand(struct buf *b, const struct expr *e, enum level least)
{
    bool is_enclosed = level_of(e) < least;
    print_cstr(b, is_enclosed ? "(" : "");
    print_expr(b, e);
    print_cstr(b, is_enclosed ? ")" : "");
}

static void print_items(struct buf *b, struct expr *const *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        print_cstr(b, i == 0 ? "" : ", ");
        print_expr(b, items[i]);
    }
}

static void print_unary(struct buf *b, const struct expr *e)
{
    bool is_prefix = e->op == OP_NOT || e->op == OP_NEGATE;
    print_cstr(b, is_prefix ? operators[e->op].text : "");
    print_operand(b, e->left, operators[e->op].left);
    print_cstr(b, is_prefix ? "" : operators[e->op].text);
}

static void print_clause(struct buf *b, const char *keyword, const struct expr *e)
{
    if (e != NULL) {
        print_cstr(b, keyword);
        print_expr(b, e);
    }
}

static void print_type(struct buf *b, enum value_type type, uint32_t dim)
{
    print_cstr(b, type_name(type));
    if (dim != 0) {
        buf_printf(b, "(%u)", dim);
    }
}

static void print_case(struct buf *b, const struct expr *e)
{
    print_cstr(b, "CASE");
    print_clause(b, " ", e->left);
    for (size_t i = 0; i < e->n_items; i += 2) {
        print_clause(b, " WHEN ", e->items[i]);
        print_clause(b, " THEN ", e->items[i + 1]);
    }
    print_clause(b, " ELSE ", e->right);
    print_cstr(b, " END");
}

/* ::, too, is printed so. */
static void print_cast(struct buf *b, const struct expr *e)
{
    print_clause(b, "CAST(", e->left);
    print_cstr(b, " AS ");
    print_type(b, e->type, e->dim);
    print_cstr(b, ")");
}

void print_expr(struct buf *b, const struct expr *e)
{
    CHECK_HOT(e != NULL && e->height >= 1 && e->height <= VQL_DEPTH_MAX);
    switch (e->kind) {
    case EXPR_LITERAL:
        print_literal(b, &e->value);
        break;
    case EXPR_PARAMETER:
        buf_printf(b, "$%u", e->parameter);
        break;
    case EXPR_COLUMN:
        print_name(b, e->name);
        break;
    case EXPR_UNARY:
        print_unary(b, e);
        break;
    case EXPR_BINARY:
        print_operand(b, e->left, operators[e->op].left);
        print_cstr(b, operators[e->op].text);
        print_operand(b, e->right, operators[e->op].right);
        break;
    case EXPR_BETWEEN:
        print_operand(b, e->left, LEVEL_OF_CONCAT);
        print_cstr(b, e->is_negated ? " NOT BETWEEN " : " BETWEEN ");
        print_operand(b, e->items[0], LEVEL_OF_CONCAT);
        print_cstr(b, " AND ");
        print_operand(b, e->items[1], LEVEL_OF_CONCAT);
        break;
    case EXPR_IN:
        print_operand(b, e->left, LEVEL_OF_CONCAT);
        print_cstr(b, e->is_negated ? " NOT IN (" : " IN (");
        print_items(b, e->items, e->n_items);
        print_cstr(b, ")");
        break;
    case EXPR_CALL:
        print_name(b, e->name);
        print_cstr(b, e->is_star ? "(*" : e->is_distinct ? "(DISTINCT " : "(");
        print_items(b, e->items, e->n_items);
        print_cstr(b, ")");
        break;
    case EXPR_CASE:
        print_case(b, e);
        break;
    case EXPR_CAST:
        print_cast(b, e);
        break;
    }
}

/* ---- parts of statements ---- */

static void print_options(struct buf *b, const struct options *options)
{
    for (size_t i = 0; i < options->n; i++) {
        const struct option *o = &options->items[i];
        print_cstr(b, i == 0 ? " WITH (" : ", ");
        if (strcmp(o->name.text, "null") == 0) { /* A reserved word, but here a name. */
            print_cstr(b, "null");
        } else {
            print_name(b, o->name.text);
        }
        print_cstr(b, " = ");
        print_expr(b, o->value);
    }
    print_cstr(b, options->n > 0 ? ")" : "");
}

static void print_names(struct buf *b, const struct name *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        print_cstr(b, i == 0 ? " (" : ", ");
        print_name(b, names[i].text);
    }
    print_cstr(b, n > 0 ? ")" : "");
}

static void print_targets(struct buf *b, const struct target *targets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        print_cstr(b, i == 0 ? " " : ", ");
        if (targets[i].is_star) {
            print_cstr(b, "*");
            continue;
        }
        print_expr(b, targets[i].expr);
        if (targets[i].alias != NULL) {
            print_cstr(b, " AS ");
            print_name(b, targets[i].alias);
        }
    }
}

static void print_subject(struct buf *b, const char *keywords, const struct name *name)
{
    print_cstr(b, keywords);
    print_name(b, name->text);
}

/* ---- statements ---- */

static void print_create(struct buf *b, const struct stmt_create *s)
{
    print_subject(b, s->if_not_exists ? "CREATE COLLECTION IF NOT EXISTS " : "CREATE COLLECTION ",
                  &s->collection);
    for (size_t i = 0; i < s->n_columns; i++) {
        const struct column_def *c = &s->columns[i];
        print_subject(b, i == 0 ? " (" : ", ", &c->name);
        print_cstr(b, " ");
        print_type(b, c->type, c->dim);
        if (c->distance != 0) {
            buf_printf(b, " METRIC %s", distance_name(c->distance));
        }
        if (c->has_quantization) {
            const char *const *choices = policy_row(POLICY_quantization)->choices;
            buf_printf(b, " QUANTIZATION %s",
                       c->is_quantization_auto ? "auto" : choices[c->quantization]);
        }
        print_cstr(b, c->is_primary_key ? " PRIMARY KEY" : "");
        print_cstr(b, c->is_not_null ? " NOT NULL" : "");
    }
    print_cstr(b, ")");
    print_options(b, &s->with);
}

static void print_on_conflict(struct buf *b, enum on_conflict on_conflict)
{
    static const char *const texts[] = {[CONFLICT_ERROR] = "",
                                        [CONFLICT_NOTHING] = " ON CONFLICT DO NOTHING",
                                        [CONFLICT_UPDATE] = " ON CONFLICT DO UPDATE"};
    print_cstr(b, texts[on_conflict]);
}

static void print_insert(struct buf *b, const struct stmt_insert *s)
{
    print_subject(b, "INSERT INTO ", &s->collection);
    print_names(b, s->columns, s->n_columns);
    for (size_t i = 0; i < s->n_rows; i++) {
        print_cstr(b, i == 0 ? " VALUES (" : ", (");
        print_items(b, s->rows[i], s->row_items);
        print_cstr(b, ")");
    }
    print_on_conflict(b, s->on_conflict);
    print_options(b, &s->with);
}

static void print_update(struct buf *b, const struct stmt_update *s)
{
    print_subject(b, "UPDATE ", &s->collection);
    for (size_t i = 0; i < s->n_set; i++) {
        print_subject(b, i == 0 ? " SET " : ", ", &s->set[i].column);
        print_clause(b, " = ", s->set[i].value);
    }
    print_clause(b, " WHERE ", s->where);
    print_options(b, &s->with);
}

/* Of the two statements that FROM takes in parentheses, too. */
static void print_show(struct buf *b, const struct stmt *s)
{
    CHECK(s->kind == STMT_SHOW || s->kind == STMT_DESCRIBE);
    if (s->kind == STMT_SHOW) {
        print_subject(b, "SHOW ", &s->show.name);
    } else {
        print_subject(b, "DESCRIBE ", &s->describe.collection);
    }
}

static void print_from(struct buf *b, const struct stmt_select *s)
{
    CHECK(s->show == NULL || s->collection.text == NULL);
    if (s->show != NULL) {
        print_cstr(b, " FROM (");
        print_show(b, s->show);
        print_cstr(b, ")");
    } else if (s->collection.text != NULL) {
        print_subject(b, " FROM ", &s->collection);
    }
}

void print_order(struct buf *b, const struct order *order)
{
    print_expr(b, order->expr);
    print_cstr(b, order->is_descending ? " DESC" : "");
    if (order->nulls_first != order->is_descending) {
        print_cstr(b, order->nulls_first ? " NULLS FIRST" : " NULLS LAST");
    }
}

static void print_select(struct buf *b, const struct stmt_select *s)
{
    print_cstr(b, s->is_distinct ? "SELECT DISTINCT" : "SELECT");
    print_targets(b, s->targets, s->n_targets);
    print_from(b, s);
    print_clause(b, " WHERE ", s->where);
    print_cstr(b, s->n_group_by > 0 ? " GROUP BY " : "");
    print_items(b, s->group_by, s->n_group_by);
    print_clause(b, " HAVING ", s->having);
    for (size_t i = 0; i < s->n_order_by; i++) {
        print_cstr(b, i == 0 ? " ORDER BY " : ", ");
        print_order(b, &s->order_by[i]);
    }
    print_clause(b, " LIMIT ", s->limit);
    print_clause(b, " OFFSET ", s->offset);
    print_options(b, &s->with);
}

static void print_search(struct buf *b, const struct stmt_search *s)
{
    print_cstr(b, "SEARCH");
    print_targets(b, s->targets, s->n_targets);
    print_subject(b, " FROM ", &s->collection);
    print_cstr(b, s->n_queries > 1 ? " NEAR (" : " NEAR ");
    for (size_t i = 0; i < s->n_queries; i++) {
        print_cstr(b, i == 0 ? "" : ", ");
        print_clause(b, s->queries[i].kind == NEAR_KEY ? "KEY " : "", s->queries[i].expr);
    }
    print_cstr(b, s->n_queries > 1 ? ")" : "");
    if (s->in_column.text != NULL) {
        print_subject(b, " IN ", &s->in_column);
    }
    print_clause(b, " WHERE ", s->where);
    print_clause(b, " LIMIT ", s->limit);
    print_clause(b, " OFFSET ", s->offset);
    print_options(b, &s->with);
}

static void print_copy(struct buf *b, const struct stmt_copy *s)
{
    print_subject(b, "COPY ", &s->collection);
    print_names(b, s->columns, s->n_columns);
    print_cstr(b, s->is_from ? " FROM " : " TO ");
    if (s->file != NULL) {
        print_text(b, s->file, strlen(s->file));
    } else {
        print_cstr(b, s->is_from ? "STDIN" : "STDOUT");
    }
    print_on_conflict(b, s->on_conflict);
    print_options(b, &s->with);
}

void print_stmt(struct buf *b, const struct stmt *s)
{
    if (s->kind == STMT_EXPLAIN) {
        print_cstr(b, s->explain.analyze ? "EXPLAIN ANALYZE " : "EXPLAIN ");
        print_cstr(b, s->explain.is_json ? "(FORMAT JSON) " : "");
        s = s->explain.statement;
    }
    switch (s->kind) {
    case STMT_CREATE_COLLECTION:
        print_create(b, &s->create);
        break;
    case STMT_DROP_COLLECTION:
        print_subject(b, s->drop.if_exists ? "DROP COLLECTION IF EXISTS " : "DROP COLLECTION ",
                      &s->drop.collection);
        break;
    case STMT_INSERT:
        print_insert(b, &s->insert);
        break;
    case STMT_UPDATE:
        print_update(b, &s->update);
        break;
    case STMT_DELETE:
        print_subject(b, "DELETE FROM ", &s->del.collection);
        print_clause(b, " WHERE ", s->del.where);
        print_options(b, &s->del.with);
        break;
    case STMT_SELECT:
        print_select(b, &s->select);
        break;
    case STMT_SEARCH:
        print_search(b, &s->search);
        break;
    case STMT_COPY:
        print_copy(b, &s->copy);
        break;
    case STMT_SET:
        print_subject(b, "SET ", &s->set.name);
        print_clause(b, " = ", s->set.value);
        break;
    case STMT_RESET:
        print_subject(b, "RESET ", &s->reset.name);
        break;
    case STMT_SHOW:
    case STMT_DESCRIBE:
        print_show(b, s);
        break;
    case STMT_CHECKPOINT:
        print_cstr(b, "CHECKPOINT");
        break;
    case STMT_REINDEX:
        print_subject(b, "REINDEX ", &s->reindex.collection);
        if (s->reindex.column.text != NULL) {
            print_subject(b, " COLUMN ", &s->reindex.column);
        }
        print_options(b, &s->reindex.with);
        break;
    case STMT_EXPLAIN:
    case STMT_COUNT:
        CHECK(false); /* EXPLAIN holds no other EXPLAIN. */
        break;
    }
}
