/* Expressions of a row, parsed, compiled and run; and what they should give. */
#include "expr_fixture.h"

#include <stdio.h>
#include <string.h>

static void add_column(struct expr_test *t, const char *name, enum value_type type,
                       struct value value)
{
    struct column *column = &t->schema.columns[t->schema.n_columns];
    snprintf(column->name, sizeof(column->name), "%s", name);
    column->type = type;
    t->columns[t->schema.n_columns++] = value;
}

int expr_setup(void **state)
{
    struct expr_test *t = mem_zalloc(MEM_GENERAL, sizeof(*t));
    assert_non_null(t);
    t->arena = arena_new(MEM_GENERAL, 64 << 20);
    snprintf(t->schema.name, sizeof(t->schema.name), "t");
    struct value json = value_cstr("{\"n\": 5, \"s\": \"a\\u00e9\\n\", \"b\": true, \"z\": null, "
                                   "\"l\": [10, 20], \"o\": {\"p\": \"q\"}}");
    json.type = TYPE_JSON;
    struct value at = value_int(0);
    at.type = TYPE_TIMESTAMP;
    add_column(t, "id", TYPE_INT, value_int(7));
    add_column(t, "name", TYPE_TEXT, value_cstr("Vector"));
    add_column(t, "price", TYPE_FLOAT, value_float(2.5));
    add_column(t, "ok", TYPE_BOOL, value_bool(true));
    add_column(t, "gone", TYPE_INT, value_null());
    add_column(t, "extra", TYPE_JSON, json);
    add_column(t, "seen", TYPE_TIMESTAMP, at);
    static const float numbers[] = {3, 4};
    add_column(t, "v", TYPE_VECTOR, value_vector(numbers, 2));
    *state = t;
    return 0;
}

int expr_teardown(void **state)
{
    struct expr_test *t = *state;
    arena_free(t->arena);
    mem_free(MEM_GENERAL, t);
    return 0;
}

enum errcode evaluate(struct expr_test *t, const char *expr, struct value *out)
{
    char text[512];
    size_t rest;
    struct stmt *stmt;
    snprintf(text, sizeof(text), "SELECT %s FROM t", expr);
    char *copy = arena_strndup(t->arena, text, strlen(text));
    assert_int_equal(parse(copy, strlen(copy), t->arena, &stmt, &rest, &t->err), ERR_OK);
    struct work work = {.left = INT64_MAX};
    struct expr_scope scope = {.arena = t->arena,
                               .work = &work,
                               .schema = &t->schema,
                               .types = t->types,
                               .n_types = PARAMETERS_MAX};
    const struct program *program;
    enum errcode code =
        program_compile(&scope, stmt->select.targets[0].expr, TYPE_NULL, &program, &t->err);
    if (code != ERR_OK) {
        return code;
    }
    struct value stack[STACK_MAX];
    struct value now = {.type = TYPE_TIMESTAMP, .integer = NOW};
    struct value_set sets[4];
    struct evaluator evaluator = {.parameters = t->parameters,
                                  .columns = t->columns,
                                  .stack = stack,
                                  .sets = sets,
                                  .pseudo = {[PSEUDO_NOW] = now},
                                  .arena = t->arena,
                                  .work = &work};
    assert_true(scope.stack_max <= STACK_MAX);
    for (struct set_plan *set = scope.sets; set != NULL; set = set->next) {
        struct value *items = arena_array(t->arena, set->n_items, sizeof(*items));
        for (size_t i = 0; i < set->n_items; i++) {
            assert_int_equal(program_run(set->items[i], &evaluator, &items[i], &t->err), ERR_OK);
        }
        assert_int_equal(value_set_build(&sets[set->number], items, set->n_items, &work, &t->err),
                         ERR_OK);
    }
    return program_run(program, &evaluator, out, &t->err);
}

void gives_at(struct expr_test *t, const char *expr, const char *text, int line)
{
    struct value value;
    struct buf shown;
    buf_init(&shown, MEM_GENERAL, 1 << 20);
    if (evaluate(t, expr, &value) != ERR_OK) {
        print_error("%s: %s\n", expr, t->err.message);
        _fail(__FILE__, line);
    }
    value_format(&shown, &value);
    buf_u8(&shown, 0);
    const char *got = value.type == TYPE_NULL ? "NULL" : (const char *)shown.data;
    if (strcmp(got, text) != 0) {
        print_error("%s gave %s, not %s\n", expr, got, text);
        _fail(__FILE__, line);
    }
    buf_fini(&shown);
}

void fails_at(struct expr_test *t, const char *expr, enum errcode code, uint32_t position, int line)
{
    struct value value;
    err_clear(&t->err);
    enum errcode got = evaluate(t, expr, &value);
    /* "SELECT " stands before it. */
    if (got != code || t->err.position != position + 7) {
        print_error("%s gave %s (%s) at %d\n", expr, err_name(got), t->err.message,
                    (int)t->err.position - 7);
        _fail(__FILE__, line);
    }
}
