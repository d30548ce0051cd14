/* Builders of lists and expressions.
 *
 * Heights are bounded here, so that all that walks a tree later may recurse.  After a failure every
 * builder gives NULL and touches none of its arguments, which may be NULL too. */
#include "parser/parser_int.h"

#include <string.h>

enum {
    LIST_FIRST = 8
};

struct list *list_add(struct parse *p, struct list *list, const void *item, size_t item_bytes,
                      size_t n_max)
{
    if (list == NULL) {
        list = parse_alloc(p, sizeof(*list));
    }
    if (parse_failed(p)) {
        return NULL;
    }
    CHECK_HOT(item != NULL && item_bytes > 0);
    CHECK_HOT(list->n <= list->capacity && list->n <= n_max);
    if (list->n == n_max) {
        parse_fail(p, ERR_TOO_MANY_ITEMS, p->token_begin + 1, "a list has more than %zu items",
                   n_max);
        return NULL;
    }
    if (list->n == list->capacity) {
        size_t capacity = list->capacity == 0 ? LIST_FIRST : list->capacity * 2;
        void *items = parse_alloc(p, capacity * item_bytes);
        if (items == NULL) {
            return NULL;
        }
        if (list->n > 0) {
            memcpy(items, list->items, list->n * item_bytes);
        }
        list->items = items;
        list->capacity = capacity;
    }
    memcpy((char *)list->items + list->n * item_bytes, item, item_bytes);
    list->n++;
    return list;
}

struct list *list_add_expr(struct parse *p, struct list *list, struct expr *item)
{
    return list_add(p, list, &item, sizeof(item), VQL_ITEMS_MAX);
}

/* ---- leaves ---- */

static struct expr *expr_new(struct parse *p, enum expr_kind kind, struct token t)
{
    struct expr *e = parse_alloc(p, sizeof(*e));
    if (e != NULL) {
        e->kind = kind;
        e->height = 1;
        e->position = t.position;
    }
    return e;
}

struct expr *expr_value(struct parse *p, struct token t, struct value value)
{
    struct expr *e = expr_new(p, EXPR_LITERAL, t);
    if (e != NULL) {
        e->value = value;
    }
    return e;
}

struct expr *expr_text(struct parse *p, struct token t)
{
    return expr_value(p, t, value_text(t.data, t.bytes));
}

struct expr *expr_parameter(struct parse *p, struct token t)
{
    CHECK_HOT(parse_failed(p) || (t.bytes >= 1 && t.bytes <= p->n_parameters));
    struct expr *e = expr_new(p, EXPR_PARAMETER, t);
    if (e != NULL) {
        e->parameter = t.bytes;
    }
    return e;
}

struct expr *expr_column(struct parse *p, struct token t)
{
    CHECK_HOT(parse_failed(p) || t.data != NULL);
    struct expr *e = expr_new(p, EXPR_COLUMN, t);
    if (e != NULL) {
        e->name = t.data;
    }
    return e;
}

/* ---- inner nodes ---- */

/* Sets the height of @e above @below; NULL where that is too much. */
static struct expr *expr_raise(struct parse *p, struct expr *e, unsigned below)
{
    if (below >= VQL_DEPTH_MAX) {
        parse_fail(p, ERR_NESTED_TOO_DEEP, e->position,
                   "the expression is nested more than %d deep", VQL_DEPTH_MAX);
        return NULL;
    }
    e->height = (uint16_t)(below + 1);
    return e;
}

static unsigned height_max(const struct expr *a, const struct expr *b)
{
    return a->height > b->height ? a->height : b->height;
}

static struct expr *expr_items(struct parse *p, struct expr *e, struct list *list, unsigned below)
{
    if (list != NULL) {
        e->items = list->items;
        e->n_items = list->n;
    }
    for (size_t i = 0; i < e->n_items; i++) {
        below = e->items[i]->height > below ? e->items[i]->height : below;
    }
    return expr_raise(p, e, below);
}

/* position(x IN (y)) was read as a test of one value. */
static struct list *position_arguments(struct parse *p, const struct expr *call, struct list *list)
{
    if (strcmp(call->name, "position") != 0 || list == NULL || list->n != 1) {
        return list;
    }
    const struct expr *test = ((struct expr **)list->items)[0];
    bool is_one = test->kind == EXPR_IN && !test->is_negated && test->n_items == 1;
    return is_one ? list_add_expr(p, list_add_expr(p, NULL, test->left), test->items[0]) : list;
}

struct expr *expr_call(struct parse *p, struct token name, struct list *arguments, bool is_star)
{
    struct expr *e = expr_new(p, EXPR_CALL, name);
    if (e == NULL) {
        return NULL;
    }
    e->name = name.data;
    e->is_star = is_star;
    return expr_items(p, e, position_arguments(p, e, arguments), 0);
}

struct expr *expr_distinct(struct expr *e)
{
    if (e != NULL) {
        e->is_distinct = true;
    }
    return e;
}

struct expr *expr_unary(struct parse *p, enum expr_op op, struct token t, struct expr *operand)
{
    struct expr *e = expr_new(p, EXPR_UNARY, t);
    if (e == NULL) {
        return NULL;
    }
    e->op = op;
    e->left = operand;
    return expr_raise(p, e, operand->height);
}

/* The minus of a literal becomes part of it. */
struct expr *expr_negate(struct parse *p, struct token t, struct expr *operand)
{
    if (parse_failed(p)) {
        return NULL;
    }
    bool is_literal = operand->kind == EXPR_LITERAL;
    if (is_literal && operand->value.type == TYPE_INT) {
        if (operand->value.integer == INT64_MIN) {
            parse_fail(p, ERR_NUMBER_OUT_OF_RANGE, t.position,
                       "number 9223372036854775808 is out of the range of INT");
            return NULL;
        }
        return expr_value(p, t, value_int(-operand->value.integer));
    }
    if (is_literal && operand->value.type == TYPE_FLOAT) {
        return expr_value(p, t, value_float(-operand->value.number));
    }
    return expr_unary(p, OP_NEGATE, t, operand);
}

struct expr *expr_binary(struct parse *p, enum expr_op op, struct token t, struct expr *left,
                         struct expr *right)
{
    struct expr *e = expr_new(p, EXPR_BINARY, t);
    if (e == NULL) {
        return NULL;
    }
    e->op = op;
    e->left = left;
    e->right = right;
    return expr_raise(p, e, height_max(left, right));
}

struct expr *expr_in(struct parse *p, struct token t, struct expr *left, struct list *items)
{
    struct expr *e = expr_new(p, EXPR_IN, t);
    if (e == NULL) {
        return NULL;
    }
    e->left = left;
    return expr_items(p, e, items, left->height);
}

struct expr *expr_between(struct parse *p, struct token t, struct expr *left, struct expr *from,
                          struct expr *to)
{
    struct list *items = list_add_expr(p, list_add_expr(p, NULL, from), to);
    struct expr *e = expr_in(p, t, left, items);
    if (e != NULL) {
        e->kind = EXPR_BETWEEN;
    }
    return e;
}

struct expr *expr_negated(struct expr *e)
{
    if (e != NULL) {
        e->is_negated = true;
    }
    return e;
}

struct list *list_add_when(struct parse *p, struct list *list, struct expr *when, struct expr *then)
{
    return list_add_expr(p, list_add_expr(p, list, when), then);
}

struct expr *expr_case(struct parse *p, struct token t, struct expr *of, struct list *whens,
                       struct expr *otherwise)
{
    struct expr *e = expr_new(p, EXPR_CASE, t);
    if (e == NULL) {
        return NULL;
    }
    e->left = of;
    e->right = otherwise;
    unsigned below = of != NULL ? of->height : 0;
    below = otherwise != NULL && otherwise->height > below ? otherwise->height : below;
    return expr_items(p, e, whens, below);
}

/* ---- calls with words between their arguments ---- */

static struct list *list_of(struct parse *p, struct expr *a, struct expr *b)
{
    struct list *list = list_add_expr(p, NULL, a);
    return b != NULL ? list_add_expr(p, list, b) : list;
}

static struct expr *refuse_words(struct parse *p, struct token name, const char *function,
                                 const char *words)
{
    parse_fail(p, ERR_SYNTAX, name.position, "only %s is written with %s", function, words);
    err_hint(p->err, "Write %s(a, b).", (const char *)name.data);
    return NULL;
}

/* extract(year FROM x) is extract('year', x). */
static struct expr *expr_extract(struct parse *p, struct token name, struct expr *part,
                                 struct expr *of)
{
    if (part->kind == EXPR_COLUMN) {
        struct token text = {part->name, (uint32_t)strlen(part->name), part->position};
        part = expr_text(p, text);
    } else if (part->kind != EXPR_LITERAL || part->value.type != TYPE_TEXT) {
        parse_fail(p, ERR_SYNTAX, part->position,
                   "before FROM, extract has the name of a part of the time");
        err_hint(p->err, "Write extract(year FROM x), or extract(part, x).");
        return NULL;
    }
    return expr_call(p, name, list_of(p, part, of), false);
}

struct expr *expr_from(struct parse *p, struct token name, struct expr *x, struct expr *from,
                       struct expr *count)
{
    if (parse_failed(p)) {
        return NULL;
    }
    if (strcmp(name.data, "substring") == 0) {
        struct token one = {NULL, 0, name.position};
        from = from != NULL ? from : expr_value(p, one, value_int(1));
        struct list *list = list_of(p, x, from);
        return expr_call(p, name, count != NULL ? list_add_expr(p, list, count) : list, false);
    }
    if (count != NULL) {
        return refuse_words(p, name, "substring", "FOR");
    }
    if (strcmp(name.data, "trim") == 0) {
        struct token both = {"both", 4, name.position};
        return expr_trim(p, name, both, list_of(p, from, x));
    }
    return strcmp(name.data, "extract") == 0
               ? expr_extract(p, name, x, from)
               : refuse_words(p, name, "extract, substring or trim", "FROM");
}

struct expr *expr_trim(struct parse *p, struct token name, struct token side, struct list *list)
{
    if (parse_failed(p)) {
        return NULL;
    }
    if (strcmp(name.data, "trim") != 0) {
        return refuse_words(p, name, "trim", "BOTH, LEADING, TRAILING, or FROM alone");
    }
    name.data = strcmp(side.data, "leading") == 0    ? "ltrim"
                : strcmp(side.data, "trailing") == 0 ? "rtrim"
                                                     : "btrim";
    return expr_call(p, name, list, false);
}

struct expr *expr_position(struct parse *p, struct token name, struct expr *x, struct expr *text)
{
    if (parse_failed(p)) {
        return NULL;
    }
    return strcmp(name.data, "position") == 0 ? expr_call(p, name, list_of(p, x, text), false)
                                              : refuse_words(p, name, "position", "IN");
}

/* ---- chains of AND and OR ----
 *
 * a OR b OR c ... of thousands of terms, as programs write them, would be a tree of that height.
 * Both operators are associative, so a chain becomes a tree of the least height, whose leaves from
 * left to right are its terms in their order.  The tree's form follows from the number of terms
 * alone, not from parentheses between them, so the printer leaves those out. */

static bool is_chain(const struct expr *e, enum expr_op op)
{
    return e->kind == EXPR_BINARY && e->op == op;
}

/* Recursion is bounded by the height of @e. */
static struct list *chain_terms(struct parse *p, struct list *terms, enum expr_op op,
                                struct expr *e)
{
    if (parse_failed(p)) {
        return NULL;
    }
    if (!is_chain(e, op)) {
        return list_add_expr(p, terms, e);
    }
    return chain_terms(p, chain_terms(p, terms, op, e->left), op, e->right);
}

struct chain chain_add(struct parse *p, struct chain chain, enum expr_op op, struct expr *term)
{
    if (chain.terms == NULL) {
        chain.terms = chain_terms(p, NULL, op, chain.first);
    }
    chain.terms = chain_terms(p, chain.terms, op, term);
    return chain;
}

struct expr *chain_end(struct parse *p, struct chain chain, enum expr_op op)
{
    if (parse_failed(p) || chain.terms == NULL) {
        return chain.first;
    }
    struct expr **terms = chain.terms->items;
    for (size_t n = chain.terms->n; n > 1; n = (n + 1) / 2) {
        for (size_t i = 0; i < n; i += 2) {
            struct expr *e = terms[i];
            if (i + 1 < n) {
                e = expr_binary(p, op, (struct token){.position = e->position}, e, terms[i + 1]);
            }
            terms[i / 2] = e;
            if (parse_failed(p)) {
                return NULL;
            }
        }
    }
    return terms[0];
}
