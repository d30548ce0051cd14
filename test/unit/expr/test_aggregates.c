/* Aggregates, run over the values of one column, and the expressions of a SELECT that groups,
 * compiled over keys and aggregates. */
#include "expr_fixture.h"

#include "expr/aggregate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    TREE_BYTES = 512,
    MANY = 100000,
    TEXT_GROWS_TO = 4000,
    LONG_BYTES = 1 << 20,
};

/* ---- one aggregate over the values of a column ---- */

/* What a statement of groups is compiled and run with. */
struct group_test {
    struct expr_test *t;
    struct work work;
    struct expr_scope scope;
    struct grouping grouping;
    struct aggregate_room room;
};

static void group_init(struct group_test *g, struct expr_test *t)
{
    *g = (struct group_test){.t = t, .work = {.left = INT64_MAX}};
    g->scope = (struct expr_scope){.arena = t->arena,
                                   .work = &g->work,
                                   .schema = &t->schema,
                                   .types = t->types,
                                   .n_types = PARAMETERS_MAX};
    g->room = (struct aggregate_room){.arena = t->arena, .work = &g->work};
    err_clear(&t->err);
}

static const struct expr *tree(struct expr_test *t, const char *expr)
{
    char text[TREE_BYTES];
    size_t rest;
    struct stmt *stmt;
    snprintf(text, sizeof(text), "SELECT %s FROM t", expr);
    char *copy = arena_strndup(t->arena, text, strlen(text));
    assert_int_equal(parse(copy, strlen(copy), t->arena, &stmt, &rest, &t->err), ERR_OK);
    return stmt->select.targets[0].expr;
}

static enum errcode compile(struct group_test *g, const char *expr, const struct program **out)
{
    g->scope.grouping = &g->grouping;
    enum errcode code = program_compile(&g->scope, tree(g->t, expr), TYPE_NULL, out, &g->t->err);
    g->scope.grouping = NULL;
    assert_false(g->grouping.is_in_argument);
    return code;
}

static enum errcode run(struct group_test *g, const struct program *program, struct value *columns,
                        struct value *out)
{
    struct value stack[STACK_MAX];
    struct value_set set;
    assert_true(g->scope.stack_max <= STACK_MAX && g->scope.n_sets <= 1);
    struct evaluator evaluator = {.parameters = g->t->parameters,
                                  .columns = columns,
                                  .stack = stack,
                                  .sets = &set,
                                  .arena = g->t->arena,
                                  .work = &g->work};
    for (struct set_plan *plan = g->scope.sets; plan != NULL; plan = plan->next) {
        struct value *items = arena_array(g->t->arena, plan->n_items, sizeof(*items));
        for (size_t i = 0; i < plan->n_items; i++) {
            items[i] = plan->items[i]->constants[0];
        }
        assert_int_equal(value_set_build(&set, items, plan->n_items, &g->work, &g->t->err), ERR_OK);
    }
    return program_run(program, &evaluator, out, &g->t->err);
}

/* Takes the row that is in the test's columns. */
static enum errcode take(struct group_test *g, struct aggregate_state *states)
{
    enum errcode code = ERR_OK;
    for (size_t i = 0; i < g->grouping.n_calls && code == ERR_OK; i++) {
        const struct aggregate_call *call = &g->grouping.calls[i];
        struct value value;
        if (call->argument != NULL) {
            assert_int_equal(run(g, call->argument, g->t->columns, &value), ERR_OK);
        }
        code = aggregate_add(call, &states[i], call->argument != NULL ? &value : NULL, &g->room,
                             &g->t->err);
    }
    return code;
}

/* The value of @expr over the aggregates of one group. */
static enum errcode give(struct group_test *g, const struct aggregate_state *states,
                         const struct program *program, struct value *out)
{
    struct value columns[COLUMNS_MAX];
    for (size_t i = 0; i < g->grouping.n_calls; i++) {
        enum errcode code =
            aggregate_end(&g->grouping.calls[i], &states[i], &g->room, &columns[i], &g->t->err);
        if (code != ERR_OK) {
            return code;
        }
        bool is_typed =
            columns[i].type == TYPE_NULL || columns[i].type == g->grouping.calls[i].type;
        assert_true(is_typed);
    }
    return run(g, program, columns, out);
}

/* Sets the column of that name to each of @rows, "1|2|NULL"; "": there are none. */
static enum errcode take_all(struct group_test *g, const char *column, const char *rows,
                             struct aggregate_state *states)
{
    struct expr_test *t = g->t;
    int at = schema_column(&t->schema, column);
    assert_true(at >= 0);
    enum errcode code = ERR_OK;
    for (const char *p = rows; *rows != '\0' && code == ERR_OK;) {
        size_t bytes = strcspn(p, "|");
        bool is_null = bytes == 4 && memcmp(p, "NULL", 4) == 0;
        t->columns[at] = value_null();
        if (!is_null) {
            assert_int_equal(value_parse(t->schema.columns[at].type, p, bytes, t->arena,
                                         &t->columns[at], &t->err),
                             ERR_OK);
        }
        code = take(g, states);
        if (p[bytes] == '\0') {
            break;
        }
        p += bytes + 1;
    }
    return code;
}

static enum errcode reckon(struct expr_test *t, const char *expr, const char *column,
                           const char *rows, struct value *out)
{
    struct group_test g;
    struct aggregate_state states[4] = {0};
    const struct program *program;
    group_init(&g, t);
    enum errcode code = compile(&g, expr, &program);
    assert_true(g.grouping.n_calls <= COUNT_OF(states));
    if (code == ERR_OK) {
        code = take_all(&g, column, rows, states);
    }
    return code == ERR_OK ? give(&g, states, program, out) : code;
}

#define over(t, expr, column, rows, text) over_at((t), (expr), (column), (rows), (text), __LINE__)
static void over_at(struct expr_test *t, const char *expr, const char *column, const char *rows,
                    const char *text, int line)
{
    struct value value;
    struct buf shown;
    buf_init(&shown, MEM_GENERAL, 1 << 20);
    if (reckon(t, expr, column, rows, &value) != ERR_OK) {
        print_error("%s: %s\n", expr, t->err.message);
        _fail(__FILE__, line);
    }
    value_format(&shown, &value);
    buf_u8(&shown, 0);
    const char *got = value.type == TYPE_NULL ? "NULL" : (const char *)shown.data;
    if (strcmp(got, text) != 0) {
        print_error("%s over %s gave %s, not %s\n", expr, rows, got, text);
        _fail(__FILE__, line);
    }
    buf_fini(&shown);
}

#define refuses(t, expr, column, rows, code)                                                       \
    refuses_at((t), (expr), (column), (rows), (code), __LINE__)
static void refuses_at(struct expr_test *t, const char *expr, const char *column, const char *rows,
                       enum errcode code, int line)
{
    struct value value;
    enum errcode got = reckon(t, expr, column, rows, &value);
    if (got != code || t->err.position == 0) {
        print_error("%s over %s gave %s (%s)\n", expr, rows, err_name(got), t->err.message);
        _fail(__FILE__, line);
    }
}

static void rows_and_values_are_counted(void **state)
{
    struct expr_test *t = *state;
    over(t, "count(*)", "id", "", "0");
    over(t, "count(*)", "id", "1|NULL|3", "3");
    over(t, "count(id)", "id", "1|NULL|3", "2");
    over(t, "count(id)", "id", "", "0");
    over(t, "count(id)", "id", "NULL|NULL", "0");
    over(t, "count(extra)", "extra", "{}|NULL|[1]", "2");
    over(t, "count(v)", "v", "[1,2]|[1,2]", "2");
    over(t, "count(1)", "id", "1|NULL", "2");
    over(t, "count(NULL)", "id", "1|2", "0");
    over(t, "count(*) - count(id)", "id", "1|NULL|NULL", "2");
}

static void integers_are_summed_exactly(void **state)
{
    struct expr_test *t = *state;
    over(t, "sum(id)", "id", "1|2|NULL|-5", "-2");
    over(t, "sum(id)", "id", "", "NULL");
    over(t, "sum(id)", "id", "NULL", "NULL");
    over(t, "avg(id)", "id", "NULL", "NULL");
    over(t, "avg(id)", "id", "1|2|NULL", "1.5");
    over(t, "avg(id)", "id", "-1|-2|-6", "-3");
    over(t, "avg(id)", "id", "5|-5", "0");
    over(t, "sum(id * 2) + 1", "id", "1|2", "7");
    /* It leaves the range and comes back. */
    over(t, "sum(id)", "id", "9223372036854775807|1|-1", "9223372036854775807");
    over(t, "sum(id)", "id", "-9223372036854775808|-1|1", "-9223372036854775808");
    refuses(t, "sum(id)", "id", "9223372036854775807|1", ERR_NUMBER_OUT_OF_RANGE);
    refuses(t, "sum(id)", "id", "-9223372036854775808|-1", ERR_NUMBER_OUT_OF_RANGE);
    assert_string_equal(t->err.message, "sum does not fit the type INT");
    over(t, "avg(id)", "id", "9223372036854775807|9223372036854775807|9223372036854775807",
         "9.223372036854776e+18");
    over(t, "avg(id)", "id", "-9223372036854775808|-9223372036854775808", "-9.223372036854776e+18");
}

static void floats_are_summed_without_loss(void **state)
{
    struct expr_test *t = *state;
    over(t, "sum(price)", "price", "0.5|NULL|2.25", "2.75");
    over(t, "sum(price)", "price", "1e100|1|-1e100", "1");
    over(t, "sum(price)", "price", "1|1e100|1|-1e100", "2");
    over(t, "sum(price)", "price", "0.1|0.1|0.1|0.1|0.1|0.1|0.1|0.1|0.1|0.1", "1");
    over(t, "avg(price)", "price", "1|2|NULL|6", "3");
    over(t, "avg(price)", "price", "", "NULL");
    over(t, "sum(id / 2.0)", "id", "1|2", "1.5");
    refuses(t, "sum(price)", "price", "1.7e308|1.7e308", ERR_NUMBER_OUT_OF_RANGE);
    refuses(t, "avg(price)", "price", "-1.7e308|-1.7e308", ERR_NUMBER_OUT_OF_RANGE);
}

/* Adds @n numbers to a sum over price. */
static struct value sum_of(struct expr_test *t, const double *numbers, size_t n)
{
    struct group_test g;
    struct aggregate_state sum = {0};
    const struct program *program;
    struct value value;
    group_init(&g, t);
    assert_int_equal(compile(&g, "sum(price)", &program), ERR_OK);
    for (size_t i = 0; i < n; i++) {
        t->columns[2] = value_float(numbers[i]);
        assert_int_equal(take(&g, &sum), ERR_OK);
    }
    assert_int_equal(give(&g, &sum, program, &value), ERR_OK);
    return value;
}

static void what_is_not_finite_sums_to_what_is_not_finite(void **state)
{
    struct expr_test *t = *state;
    assert_true(sum_of(t, (double[]){1, INFINITY, -5, INFINITY}, 4).number == INFINITY);
    assert_true(sum_of(t, (double[]){-INFINITY, 1e308, 1e308}, 3).number == -INFINITY);
    assert_true(isnan(sum_of(t, (double[]){1, INFINITY, -INFINITY}, 3).number));
    assert_true(isnan(sum_of(t, (double[]){NAN, 2}, 2).number));
}

static void the_least_and_the_largest_of_each_type(void **state)
{
    struct expr_test *t = *state;
    over(t, "min(id)", "id", "3|NULL|-1|2", "-1");
    over(t, "max(id)", "id", "3|NULL|-1|5|2", "5");
    over(t, "min(id)", "id", "NULL", "NULL");
    over(t, "max(id)", "id", "", "NULL");
    over(t, "min(price)", "price", "2.5|-0.5|1", "-0.5");
    over(t, "max(price)", "price", "2.5|-0.5|1", "2.5");
    over(t, "min(ok)", "ok", "true|false|true", "false");
    over(t, "max(ok)", "ok", "false|true|NULL", "true");
    over(t, "min(name)", "name", "pear|fig|apple|plum", "apple");
    over(t, "max(name)", "name", "pear|fig|apple|plum", "plum");
    over(t, "min(name)", "name", "pear||fig", "");
    over(t, "'<' || max(name) || '>'", "name", "|", "<>");
    over(t, "min(seen)", "seen", "2026-01-01 00:00:00Z|1999-12-31 00:00:00Z",
         "1999-12-31 00:00:00Z");
    over(t, "max(seen)", "seen", "2026-01-01 00:00:00Z|1999-12-31 00:00:00Z",
         "2026-01-01 00:00:00Z");
    over(t, "min(name::UUID)", "name",
         "b0000000-0000-0000-0000-000000000000|a0000000-0000-0000-0000-000000000001",
         "a0000000-0000-0000-0000-000000000001");
    over(t, "max(lower(name))", "name", "ZOE|amy", "zoe");
    over(t, "max(DISTINCT id)", "id", "3|3|2", "3");
    refuses(t, "min(extra)", "extra", "", ERR_TYPE_MISMATCH);
    assert_non_null(strstr(t->err.hint, "->>"));
    refuses(t, "max(v)", "v", "", ERR_TYPE_MISMATCH);
}

static void vectors_are_summed_by_element(void **state)
{
    struct expr_test *t = *state;
    over(t, "sum(v)", "v", "[1,2]|NULL|[0.5,-4]", "[1.5,-2]");
    over(t, "avg(v)", "v", "[1,2]|NULL|[2,-4]", "[1.5,-1]");
    over(t, "avg(v)", "v", "", "NULL");
    over(t, "dims(avg(v))", "v", "[1,2,3]", "3");
    over(t, "l2_distance(avg(v), [0,0])", "v", "[3,4]|[3,4]", "5");
    refuses(t, "sum(v)", "v", "[1,2]|[1,2,3]", ERR_WRONG_DIMENSION);
    refuses(t, "sum(v)", "v", "[3e38,1]|[3e38,1]", ERR_NUMBER_OUT_OF_RANGE);
    over(t, "avg(v)", "v", "[3e38,1]|[3e38,1]", "[3e+38,1]");
    /* Of single precision the sum would be 0. */
    over(t, "sum(v)", "v", "[1e8]|[1]|[-1e8]", "[1]");
}

static void distinct_takes_each_value_once(void **state)
{
    struct expr_test *t = *state;
    over(t, "count(DISTINCT id)", "id", "1|2|1|NULL|2|NULL", "2");
    over(t, "sum(DISTINCT id)", "id", "1|2|1|2|3", "6");
    over(t, "avg(DISTINCT price)", "price", "1|1|1|2", "1.5");
    over(t, "sum(DISTINCT price)", "price", "0|-0|0.5", "0.5");
    over(t, "count(DISTINCT price)", "price", "0|-0|0.5", "2");
    over(t, "count(DISTINCT name)", "name", "a||a|b|", "3");
    over(t, "count(DISTINCT ok)", "ok", "true|false|true", "2");
    over(t, "count(DISTINCT id)", "id", "", "0");
    over(t, "count(id) - count(DISTINCT id)", "id", "1|1|1", "2");
    refuses(t, "count(DISTINCT extra)", "extra", "", ERR_TYPE_MISMATCH);
    refuses(t, "sum(DISTINCT v)", "v", "", ERR_TYPE_MISMATCH);
    refuses(t, "lower(DISTINCT name)", "name", "", ERR_SYNTAX);
}

static void an_argument_is_of_a_type_that_is_taken(void **state)
{
    struct expr_test *t = *state;
    over(t, "sum('2.5')", "id", "1|1", "5");
    over(t, "min('b')", "id", "1", "b");
    over(t, "sum(NULL)", "id", "1", "NULL");
    refuses(t, "sum(name)", "name", "", ERR_UNKNOWN_FUNCTION);
    assert_string_equal(t->err.message, "there is no aggregate sum(TEXT)");
    assert_non_null(strstr(t->err.hint, "sum takes one argument, INT, FLOAT or VECTOR;"));
    refuses(t, "avg(ok)", "ok", "", ERR_UNKNOWN_FUNCTION);
    refuses(t, "sum(extra)", "extra", "", ERR_UNKNOWN_FUNCTION);
    refuses(t, "sum(*)", "id", "", ERR_UNKNOWN_FUNCTION);
    assert_string_equal(t->err.message, "there is no aggregate sum(*)");
    refuses(t, "count()", "id", "", ERR_UNKNOWN_FUNCTION);
    refuses(t, "count(id, id)", "id", "", ERR_UNKNOWN_FUNCTION);
    refuses(t, "summ(id)", "id", "", ERR_UNKNOWN_FUNCTION);
    assert_non_null(strstr(t->err.hint, "sum"));
    t->parameters[0] = value_float(1.5);
    over(t, "sum($1)", "id", "1|1", "3");
    assert_int_equal(t->types[0], TYPE_FLOAT);
}

static void a_growing_text_keeps_one_buffer(void **state)
{
    struct expr_test *t = *state;
    struct group_test g;
    struct aggregate_state max = {0};
    const struct program *program;
    struct value value;
    char text[TEXT_GROWS_TO];
    group_init(&g, t);
    g.room.arena = arena_new(MEM_GENERAL, 1 << 20);
    assert_int_equal(compile(&g, "max(name)", &program), ERR_OK);
    memset(text, 'x', sizeof(text));
    for (size_t bytes = 1; bytes <= sizeof(text); bytes++) {
        t->columns[1] = value_text(text, bytes);
        assert_int_equal(take(&g, &max), ERR_OK);
    }
    memset(text, 'y', sizeof(text)); /* The state has a copy. */
    assert_int_equal(give(&g, &max, program, &value), ERR_OK);
    assert_int_equal(value.text.bytes, TEXT_GROWS_TO);
    assert_int_equal(value.text.data[TEXT_GROWS_TO - 1], 'x');
    assert_in_range(arena_bytes(g.room.arena), TEXT_GROWS_TO, 8 * TEXT_GROWS_TO);
    size_t before = arena_bytes(g.room.arena);
    for (uint32_t i = 0; i < MANY; i++) {
        memset(text, 'x', 2);
        text[0] = (char)('y' + i % 2);
        t->columns[1] = value_text(text, 2);
        max.n = 0; /* Each is the first, and kept. */
        assert_int_equal(take(&g, &max), ERR_OK);
    }
    assert_int_equal(arena_bytes(g.room.arena), before);
    arena_free(g.room.arena);
}

static void an_end_of_memory_is_an_error(void **state)
{
    struct expr_test *t = *state;
    struct group_test g;
    struct aggregate_state states[3] = {0};
    const struct program *program;
    enum errcode code = ERR_OK;
    group_init(&g, t);
    g.room.arena = arena_new(MEM_GENERAL, 1 << 16);
    assert_int_equal(compile(&g, "count(DISTINCT id)", &program), ERR_OK);
    int64_t n = 0;
    for (; n < MANY && code == ERR_OK; n++) {
        t->columns[0] = value_int(n);
        code = take(&g, states);
    }
    assert_int_equal(code, ERR_OUT_OF_MEMORY);
    assert_int_equal(states[0].n, n - 1);
    arena_free(g.room.arena);
}

static enum errcode stop(struct work *work, struct err *err)
{
    work->left = 0;
    return err_set(err, ERR_CANCELED, "stopped");
}

static void what_is_long_is_paid_for_and_can_be_stopped(void **state)
{
    struct expr_test *t = *state;
    struct group_test g;
    struct aggregate_state states[2] = {0};
    const struct program *program;
    struct value value;
    group_init(&g, t);
    char *text = arena_alloc(t->arena, LONG_BYTES);
    float *numbers = arena_zalloc(t->arena, VECTOR_DIM_MAX * sizeof(*numbers));
    memset(text, 'x', LONG_BYTES);
    t->columns[1] = value_text(text, LONG_BYTES);
    t->columns[7] = value_vector(numbers, VECTOR_DIM_MAX);
    assert_int_equal(compile(&g, "concat(max(name), dims(sum(v)))", &program), ERR_OK);
    int64_t before = g.work.left;
    assert_int_equal(take(&g, states), ERR_OK);
    assert_true(before - g.work.left >= LONG_BYTES / BYTES_A_UNIT + VECTOR_DIM_MAX / 4);
    before = g.work.left;
    assert_int_equal(aggregate_end(&g.grouping.calls[1], &states[1], &g.room, &value, &t->err),
                     ERR_OK);
    assert_true(before - g.work.left >= VECTOR_DIM_MAX);
    g.work = (struct work){.left = 1, .ask = stop};
    assert_int_equal(take(&g, states), ERR_CANCELED);
    assert_int_equal(states[0].n, 1);
}

static void compiling_ends_where_memory_does(void **state)
{
    struct expr_test *t = *state;
    static const char *const exprs[] = {"sum(id + 1) + count(DISTINCT name) + max(id)",
                                        "count(id IN (1, 2, 3, 4)) + sum(id * 2) + count(*)",
                                        "id % 7 + avg(price) + min(id) + max(gone)"};
    int n_failed = 0;
    enum errcode code = ERR_OUT_OF_MEMORY;
    for (size_t budget = 0; code != ERR_OK; budget += 512) {
        struct group_test g;
        const struct program *program;
        group_init(&g, t);
        g.scope.arena = arena_new(MEM_GENERAL, budget);
        code = grouping_add_key(&g.scope, &g.grouping, tree(t, "id % 7"), &t->err);
        for (size_t i = 0; i < 40 && code == ERR_OK; i++) {
            code = compile(&g, exprs[i % COUNT_OF(exprs)], &program);
        }
        assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
        n_failed += code != ERR_OK;
        arena_free(g.scope.arena);
    }
    assert_true(n_failed > 10);
}

/* ---- groups ---- */

static void add_key(struct group_test *g, const char *key)
{
    assert_int_equal(grouping_add_key(&g->scope, &g->grouping, tree(g->t, key), &g->t->err),
                     ERR_OK);
}

/* That @expr is compiled over @keys, and what it gives where they and the aggregates are
 * @columns. */
static void grouped(struct expr_test *t, const char *const *keys, const char *expr,
                    struct value *columns, const char *text)
{
    struct group_test g;
    const struct program *program;
    struct value value;
    struct buf shown;
    group_init(&g, t);
    for (size_t i = 0; keys[i] != NULL; i++) {
        add_key(&g, keys[i]);
    }
    if (compile(&g, expr, &program) != ERR_OK) {
        fail_msg("%s: %s", expr, t->err.message);
    }
    assert_int_equal(run(&g, program, columns, &value), ERR_OK);
    buf_init(&shown, MEM_GENERAL, 1 << 20);
    value_format(&shown, &value);
    buf_u8(&shown, 0);
    assert_string_equal((const char *)shown.data, text);
    buf_fini(&shown);
}

static void what_is_the_same_as_a_key_is_that_key(void **state)
{
    struct expr_test *t = *state;
    static const char *const keys[] = {
        "lower(name)", "id + 1", "-price", "ok", "CASE WHEN id > 3 THEN 'a' END", NULL};
    struct value row[] = {value_cstr("low"), value_int(41),    value_float(2.5), value_bool(true),
                          value_cstr("c"),   value_float(100), value_int(3)};
    grouped(t, keys, "lower(name) || '!'", row, "low!");
    grouped(t, keys, "LOWER( name )", row, "low");
    grouped(t, keys, "(id + 1) * 2", row, "82");
    grouped(t, keys, "id + 1 + avg(id)", row, "141");
    grouped(t, keys, "-price", row, "2.5");
    grouped(t, keys, "- -price", row, "-2.5");
    grouped(t, keys, "CASE WHEN ok THEN upper(lower(name)) ELSE 'no' END", row, "LOW");
    grouped(t, keys, "CASE WHEN id > 3 THEN 'a' END", row, "c");
    grouped(t, keys, "NOT ok AND id + 1 > 3", row, "false");
    grouped(t, keys, "id + 1 IN (41, 7)", row, "true");
    grouped(t, keys, "id + 1 BETWEEN 1 AND 40", row, "false");
    grouped(t, keys, "(id + 1)::TEXT || 'x'", row, "41x");
    grouped(t, keys, "coalesce(NULL, id + 1)", row, "41");
    grouped(t, keys, "avg(id) + count(*) + avg(id)", row, "203");
    grouped(t, keys, "1 + 1", row, "2");
    grouped(t, keys, "round(-price)", row, "2");
    grouped(t, keys, "id + 1 = 41.0", row, "true");
}

static void the_types_of_keys_and_aggregates_are_known(void **state)
{
    struct expr_test *t = *state;
    struct group_test g;
    const struct program *program;
    group_init(&g, t);
    t->schema.columns[7].dim = 2;
    add_key(&g, "name");
    add_key(&g, "id * 2");
    static const struct {
        const char *expr;
        enum value_type type;
        uint32_t dim, column;
    } rows[] = {
        {"name", TYPE_TEXT, 0, 0},
        {"id * 2", TYPE_INT, 0, 1},
        {"count(*)", TYPE_INT, 0, 2},
        {"sum(v)", TYPE_VECTOR, 2, 3},
        {"avg(id)", TYPE_FLOAT, 0, 4},
        {"max(seen)", TYPE_TIMESTAMP, 0, 5},
        {"count(*)", TYPE_INT, 0, 2},
        {"min(price)", TYPE_FLOAT, 0, 6},
        {"min(DISTINCT id)", TYPE_INT, 0, 7},
        {"max(seen)", TYPE_TIMESTAMP, 0, 5},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(compile(&g, rows[i].expr, &program), ERR_OK);
        assert_int_equal(program->type, rows[i].type);
        assert_int_equal(program->dim, rows[i].dim);
        assert_true(mask_has(&program->columns, rows[i].column));
        assert_true(program->is_per_row && !program->is_constant);
    }
    assert_int_equal(g.grouping.n_calls, 6);
    assert_false(g.grouping.calls[5].is_distinct); /* Of min it changes nothing. */
    assert_null(g.grouping.calls[0].argument);
    assert_true(mask_has(&g.grouping.calls[1].argument->columns, 7));
    assert_int_equal(compile(&g, "1 + 1", &program), ERR_OK);
    assert_true(program->is_constant);
}

static enum errcode refused(struct expr_test *t, const char *key, const char *expr)
{
    struct group_test g;
    const struct program *program;
    group_init(&g, t);
    if (key != NULL) {
        add_key(&g, key);
    }
    return compile(&g, expr, &program);
}

static void a_column_beside_groups_is_refused(void **state)
{
    struct expr_test *t = *state;
    assert_int_equal(refused(t, NULL, "count(*) + id"), ERR_GROUPING);
    assert_string_equal(t->err.message, "column \"id\" must stand in GROUP BY or in an aggregate");
    assert_int_equal(t->err.position, 19);
    assert_string_equal(t->err.column, "id");
    assert_non_null(strstr(t->err.hint, "max(id)"));
    assert_int_equal(refused(t, "lower(name)", "name"), ERR_GROUPING);
    assert_int_equal(refused(t, "id + 1", "1 + id"), ERR_GROUPING);
    assert_int_equal(refused(t, "id", "id IN (1, price)"), ERR_GROUPING);
    assert_int_equal(refused(t, "id", "nothing"), ERR_UNKNOWN_COLUMN);
    assert_int_equal(refused(t, "'a'", "'a'"), ERR_OK);
    assert_int_equal(refused(t, "id", "sum(price + id)"), ERR_OK);
}

static void an_aggregate_has_its_place(void **state)
{
    struct expr_test *t = *state;
    fails(t, "count(*)", ERR_GROUPING, 1);
    assert_string_equal(t->err.message, "count cannot stand here: it is an aggregate");
    fails(t, "id + sum(id) > 3", ERR_GROUPING, 6);
    assert_int_equal(refused(t, NULL, "sum(1 + max(id))"), ERR_GROUPING);
    assert_string_equal(t->err.message,
                        "max cannot stand in the argument of an aggregate: it is one itself");
    assert_int_equal(t->err.position, 16);
    assert_int_equal(refused(t, "id", "sum(sum(id))"), ERR_GROUPING);
    assert_int_equal(refused(t, NULL, "count(id IN (1, max(id)))"), ERR_GROUPING);
}

static void a_key_has_an_order_and_no_aggregate(void **state)
{
    struct expr_test *t = *state;
    struct group_test g;
    group_init(&g, t);
    struct expr_scope *s = &g.scope;
    assert_int_equal(grouping_add_key(s, &g.grouping, tree(t, "extra"), &t->err),
                     ERR_TYPE_MISMATCH);
    assert_int_equal(grouping_add_key(s, &g.grouping, tree(t, "v"), &t->err), ERR_TYPE_MISMATCH);
    assert_int_equal(grouping_add_key(s, &g.grouping, tree(t, "sum(id)"), &t->err), ERR_GROUPING);
    assert_int_equal(g.grouping.n_keys, 0);
    add_key(&g, "extra ->> 'n'");
    add_key(&g, "id");
    add_key(&g, "ID"); /* It is there. */
    assert_int_equal(g.grouping.n_keys, 2);
    assert_true(mask_has(&g.grouping.programs[1]->columns, 0));
}

static void keys_and_aggregates_are_bounded(void **state)
{
    struct expr_test *t = *state;
    struct group_test g;
    const struct program *program;
    char text[TREE_BYTES];
    group_init(&g, t);
    for (int i = 0; i < COLUMNS_MAX - 1; i++) {
        snprintf(text, sizeof(text), "id + %d", i);
        add_key(&g, text);
    }
    assert_int_equal(compile(&g, "sum(id)", &program), ERR_OK);
    assert_true(mask_has(&program->columns, COLUMNS_MAX - 1));
    assert_int_equal(compile(&g, "sum(id) + count(*)", &program), ERR_TOO_MANY_ITEMS);
    assert_int_equal(compile(&g, "sum(id) * 2", &program), ERR_OK);
}

static void sameness_is_of_what_is_said(void **state)
{
    struct expr_test *t = *state;
    static const struct {
        const char *a, *b;
        bool is_same;
    } rows[] = {
        {"id", "ID", true},
        {"id", "gone", false},
        {"id + 1", "id  +  1", true},
        {"id + 1", "(id + 1)", true},
        {"id + 1", "id + 2", false},
        {"id + 1", "id - 1", false},
        {"id + 1", "id + 1.0", false},
        {"name || 'a'", "name || 'A'", false},
        {"lower(name)", "upper(name)", false},
        {"lower(name)", "lower(name)", true},
        {"id IN (1, 2)", "id IN (1, 2)", true},
        {"id IN (1, 2)", "id NOT IN (1, 2)", false},
        {"id IN (1, 2)", "id IN (1, 2, 3)", false},
        {"id IS NULL", "id IS NOT NULL", false},
        {"CASE id WHEN 1 THEN 2 END", "CASE id WHEN 1 THEN 2 END", true},
        {"CASE id WHEN 1 THEN 2 END", "CASE id WHEN 1 THEN 2 ELSE 3 END", false},
        {"CASE WHEN ok THEN 2 END", "CASE ok WHEN ok THEN 2 END", false},
        {"id::TEXT", "CAST(id AS TEXT)", true},
        {"id::TEXT", "id::FLOAT", false},
        {"$1 + id", "$1 + id", true},
        {"$1 + id", "$2 + id", false},
        {"count(id)", "count(DISTINCT id)", false},
        {"count(*)", "count(*)", true},
        {"[1,2] = v", "[1,2] = v", true},
        {"[1,2] = v", "[1,3] = v", false},
        {"NULL = id", "NULL = id", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (expr_is_same(tree(t, rows[i].a), tree(t, rows[i].b)) != rows[i].is_same) {
            fail_msg("%s and %s", rows[i].a, rows[i].b);
        }
    }
}

static void an_aggregate_is_found_anywhere(void **state)
{
    struct expr_test *t = *state;
    static const char *const with[] = {"count(*)",           "1 + sum(id)",
                                       "lower(max(name))",   "CASE WHEN ok THEN 1 ELSE avg(id) END",
                                       "id IN (1, min(id))", "-max(id) IS NULL",
                                       "sum(id)::TEXT"};
    static const char *const without[] = {"id", "lower(name)", "greatest(id, 1)",
                                          "CASE WHEN ok THEN 1 END", "now()"};
    for (size_t i = 0; i < COUNT_OF(with); i++) {
        assert_true(expr_has_aggregate(tree(t, with[i])));
    }
    for (size_t i = 0; i < COUNT_OF(without); i++) {
        assert_false(expr_has_aggregate(tree(t, without[i])));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, expr_setup, expr_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_and_values_are_counted),
        TEST(integers_are_summed_exactly),
        TEST(floats_are_summed_without_loss),
        TEST(what_is_not_finite_sums_to_what_is_not_finite),
        TEST(the_least_and_the_largest_of_each_type),
        TEST(vectors_are_summed_by_element),
        TEST(distinct_takes_each_value_once),
        TEST(an_argument_is_of_a_type_that_is_taken),
        TEST(a_growing_text_keeps_one_buffer),
        TEST(an_end_of_memory_is_an_error),
        TEST(what_is_long_is_paid_for_and_can_be_stopped),
        TEST(compiling_ends_where_memory_does),
        TEST(what_is_the_same_as_a_key_is_that_key),
        TEST(the_types_of_keys_and_aggregates_are_known),
        TEST(a_column_beside_groups_is_refused),
        TEST(an_aggregate_has_its_place),
        TEST(a_key_has_an_order_and_no_aggregate),
        TEST(keys_and_aggregates_are_bounded),
        TEST(sameness_is_of_what_is_said),
        TEST(an_aggregate_is_found_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
