/* What parse() makes of good text: canonical forms, precedences, names, several statements. */
#include "test/unit/unit.h"

#include <stdlib.h>

#include "parser/parser.h"
#include "same_tree.h"

enum {
    ARENA_BYTES = 64 << 20
};

struct fixture {
    struct arena *arena;
    struct buf printed;
};

static int setup(void **state)
{
    static struct fixture f;
    f.arena = arena_new(MEM_STATEMENT, ARENA_BYTES);
    buf_init(&f.printed, MEM_STATEMENT, ARENA_BYTES);
    *state = &f;
    return f.arena == NULL;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buf_fini(&f->printed);
    arena_free(f->arena);
    return 0;
}

static struct stmt *must_parse(struct fixture *f, const char *text)
{
    struct err err = {0};
    struct stmt *stmt = NULL;
    size_t rest = 0;
    if (parse(text, strlen(text), f->arena, &stmt, &rest, &err) != ERR_OK) {
        fail_msg("%s: %s (%s) at %u", text, err.message, err.hint, err.position);
    }
    assert_non_null(stmt);
    assert_int_equal(rest, strlen(text));
    return stmt;
}

/* Prints into a text that lives until the next call. */
static const char *printed(struct fixture *f, const struct stmt *stmt)
{
    buf_reset(&f->printed);
    print_stmt(&f->printed, stmt);
    buf_u8(&f->printed, 0);
    assert_false(f->printed.failed);
    return (const char *)f->printed.data;
}

static void check_canonical(struct fixture *f, const char *text, const char *canonical)
{
    struct stmt *stmt = must_parse(f, text);
    const char *first = printed(f, stmt);
    assert_string_equal(first, canonical == NULL ? text : canonical);
    char *copy = arena_strndup(f->arena, first, strlen(first));
    assert_non_null(copy);
    struct stmt *again = must_parse(f, copy);
    if (!same_stmt(stmt, again)) {
        fail_msg("another tree after printing: %s", copy);
    }
    assert_string_equal(printed(f, again), copy);
    arena_reset(f->arena);
}

/* Each text and what it is printed as; NULL where it is canonical already. */
static const struct {
    const char *text, *canonical;
} corpus[] = {
#include "corpus.def"
};

static void every_statement_of_the_corpus_has_its_canonical_form(void **state)
{
    for (size_t i = 0; i < COUNT_OF(corpus); i++) {
        check_canonical(*state, corpus[i].text, corpus[i].canonical);
    }
}

static void several_statements_are_parsed_one_after_the_other(void **state)
{
    struct fixture *f = *state;
    const char *text = " ; -- first\nSELECT 1 ;; CHECKPOINT /* a ; b */;show all ; /* end */ ;";
    static const enum stmt_kind kinds[] = {STMT_SELECT, STMT_CHECKPOINT, STMT_SHOW};
    size_t at = 0;
    for (size_t i = 0;; i++) {
        struct err err = {0};
        struct stmt *stmt;
        size_t rest = 0;
        assert_int_equal(parse(text + at, strlen(text + at), f->arena, &stmt, &rest, &err), ERR_OK);
        at += rest;
        if (stmt == NULL) {
            assert_int_equal(i, COUNT_OF(kinds));
            break;
        }
        assert_int_equal(stmt->kind, kinds[i]);
    }
    assert_int_equal(at, strlen(text));
}

static void an_empty_text_holds_no_statement(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {"", " ", ";", "--", "/**/", " ; ; -- x\n /* /* */ */ ;"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct err err = {0};
        struct stmt *stmt;
        size_t rest = 0;
        assert_int_equal(parse(texts[i], strlen(texts[i]), f->arena, &stmt, &rest, &err), ERR_OK);
        assert_null(stmt);
        assert_int_equal(rest, strlen(texts[i]));
    }
}

static void the_text_needs_no_terminating_zero(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {"SELECT 12",  "SELECT 1.5",     "SELECT $1",   "SELECT a",
                                        "SELECT 'x'", "SELECT [1.5,2]", "SELECT 1e+30"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        size_t bytes = strlen(texts[i]);
        char *exact = mem_alloc(MEM_GENERAL, bytes); /* A sanitizer sees a read behind it. */
        assert_non_null(exact);
        memcpy(exact, texts[i], bytes);
        struct err err = {0};
        struct stmt *stmt;
        size_t rest = 0;
        assert_int_equal(parse(exact, bytes, f->arena, &stmt, &rest, &err), ERR_OK);
        assert_string_equal(printed(f, stmt), texts[i]);
        mem_free(MEM_GENERAL, exact);
    }
}

static void positions_are_bytes_from_one(void **state)
{
    struct fixture *f = *state;
    struct stmt *stmt = must_parse(f, "  SELECT id, a + $7 FROM docs WHERE b = 'é' AND c IN (1)");
    assert_int_equal(stmt->position, 3);
    assert_int_equal(stmt->n_parameters, 7);
    const struct stmt_select *s = &stmt->select;
    assert_int_equal(s->targets[0].expr->position, 10);
    assert_int_equal(s->targets[1].expr->position, 16); /* The operator. */
    assert_int_equal(s->targets[1].expr->right->position, 18);
    assert_int_equal(s->collection.position, 26);
    assert_int_equal(s->where->left->right->position, 41);
    assert_int_equal(s->where->right->items[0]->position, 56);
}

static void every_clause_of_a_select_has_its_place_in_the_tree(void **state)
{
    struct fixture *f = *state;
    const struct stmt_select *s =
        &must_parse(f, "SELECT DISTINCT a, count(DISTINCT b) FROM docs WHERE c GROUP BY a, 2 "
                       "HAVING max(d) > $1 ORDER BY e LIMIT 3")
             ->select;
    assert_true(s->is_distinct);
    assert_int_equal(s->n_targets, 2);
    const struct expr *call = s->targets[1].expr;
    assert_int_equal(call->kind, EXPR_CALL);
    assert_true(call->is_distinct && !call->is_star);
    assert_int_equal(call->n_items, 1);
    assert_int_equal(call->position, 20);
    assert_int_equal(call->items[0]->position, 35);
    assert_string_equal(s->collection.text, "docs");
    assert_null(s->show);
    assert_string_equal(s->where->name, "c");
    assert_int_equal(s->n_group_by, 2);
    assert_string_equal(s->group_by[0]->name, "a");
    assert_int_equal(s->group_by[0]->position, 65);
    assert_int_equal(s->group_by[1]->value.integer, 2);
    assert_int_equal(s->having->op, OP_GT);
    assert_string_equal(s->having->left->name, "max");
    assert_int_equal(s->n_order_by, 1);
    assert_int_equal(s->limit->value.integer, 3);
}

static void a_select_without_them_has_no_groups(void **state)
{
    const struct stmt_select *s = &must_parse(*state, "SELECT count(b) FROM docs")->select;
    assert_false(s->is_distinct || s->targets[0].expr->is_distinct);
    assert_true(s->show == NULL && s->having == NULL && s->group_by == NULL);
    assert_int_equal(s->n_group_by, 0);
}

static void from_takes_what_show_and_describe_give(void **state)
{
    struct fixture *f = *state;
    const struct stmt_select *s =
        &must_parse(f, "SELECT a FROM ( SHOW Shards ) AS x WHERE b")->select;
    assert_null(s->collection.text);
    assert_int_equal(s->show->kind, STMT_SHOW);
    assert_int_equal(s->show->position, 17);
    assert_string_equal(s->show->show.name.text, "shards");
    assert_int_equal(s->show->show.name.position, 22);
    s = &must_parse(f, "SELECT a FROM (DESCRIBE docs) GROUP BY a")->select;
    assert_null(s->collection.text);
    assert_int_equal(s->show->kind, STMT_DESCRIBE);
    assert_string_equal(s->show->describe.collection.text, "docs");
    assert_int_equal(s->show->describe.collection.position, 25);
    assert_int_equal(s->n_group_by, 1);
}

static void keywords_that_are_not_reserved_are_names_everywhere(void **state)
{
    struct fixture *f = *state;
    size_t n;
    const char *const *words = parser_keywords(&n);
    static const char *const places[] = {
        "CREATE COLLECTION %s (%s INT PRIMARY KEY, v VECTOR(2) METRIC L2) WITH (%s = 1)",
        "INSERT INTO %s (%s, b) VALUES (%s, 1)",
        "SELECT %s, %s AS a, a AS %s FROM c",
        "SELECT a FROM %s WHERE %s = 1 ORDER BY %s",
        "UPDATE %s SET %s = %s",
        "DELETE FROM %s WHERE %s IS NULL AND %s > 1",
        "SEARCH %s FROM %s NEAR $1 IN %s LIMIT 1",
        "COPY %s (%s, %s) FROM STDIN",
        "SELECT %s(1), %s(%s) FROM c",
        "SELECT DISTINCT %s, %s(DISTINCT %s) FROM (SHOW %s) GROUP BY %s, %s HAVING %s",
    };
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < COUNT_OF(places); j++) {
            const char *w = words[i];
            struct err err = {0};
            struct stmt *stmt;
            size_t rest = 0;
            struct buf text;
            buf_init(&text, MEM_GENERAL, 1024);
            for (const char *c = places[j]; *c != '\0'; c++) {
                if (c[0] == '%') {
                    buf_bytes(&text, w, strlen(w));
                    c++;
                } else {
                    buf_u8(&text, (uint8_t)*c);
                }
            }
            buf_u8(&text, 0);
            const char *t = (const char *)text.data;
            enum errcode code = parse(t, strlen(t), f->arena, &stmt, &rest, &err);
            if (parser_keyword_is_reserved(w)) {
                assert_int_equal(code, ERR_SYNTAX);
            } else if (code != ERR_OK) {
                fail_msg("%s: %s", t, err.message);
            } else {
                assert_string_equal(printed(f, stmt), t);
            }
            buf_fini(&text);
        }
        arena_reset(f->arena);
    }
}

static void keywords_are_sorted_and_found_in_any_case(void **state)
{
    (void)state;
    size_t n;
    const char *const *words = parser_keywords(&n);
    for (size_t i = 1; i < n; i++) {
        assert_true(strcmp(words[i - 1], words[i]) < 0);
    }
    assert_true(parser_keyword_is_reserved("Select"));
    assert_false(parser_keyword_is_reserved("key"));
    assert_false(parser_keyword_is_reserved("docs"));
    assert_false(parser_keyword_is_reserved(""));
}

static void every_kind_of_statement_has_a_name(void **state)
{
    (void)state;
    for (int kind = 0; kind < STMT_COUNT; kind++) {
        assert_non_null(stmt_name((enum stmt_kind)kind));
    }
    assert_string_equal(stmt_name(STMT_CREATE_COLLECTION), "CREATE COLLECTION");
}

static void numbers_in_vectors_are_the_nearest_floats(void **state)
{
    struct fixture *f = *state;
    static const char *const numbers[] = {
        "0",
        "1",
        "0.1",
        "3.4028235e38",
        "1e-45",
        "1.17549435e-38",
        "16777217",
        "16777219",
        /* Halfway between two floats, and just beside: a second rounding would go wrong. */
        "1.00000005960464477539062",
        "1.000000059604644775390625",
        "1.00000005960464477539063",
        "1.00000017881393432617187499",
        "0.000000000000000000000000000000000000011754943157898258",
        "123456789012345678901234567890",
        "9007199254740993",
        "0.30000001192092896",
    };
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        char *text = arena_printf(f->arena, "SELECT [%s, -%s]", numbers[i], numbers[i]);
        const struct value *v = &must_parse(f, text)->select.targets[0].expr->value;
        float expected = strtof(numbers[i], NULL);
        assert_int_equal(v->vector.dim, 2);
        assert_memory_equal(&v->vector.data[0], &expected, sizeof(expected));
        expected = -expected;
        assert_memory_equal(&v->vector.data[1], &expected, sizeof(expected));
    }
}

static void random_numbers_are_read_as_the_c_library_reads_them(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = 20;
    for (int i = 0; i < 20000; i++) {
        uint64_t r = random_next(&seed);
        char *number = arena_printf(f->arena, "%llu.%0*llue%d", (unsigned long long)(r % 100000),
                                    (int)(r >> 60), (unsigned long long)(random_next(&seed) >> 40),
                                    (int)(random_next(&seed) % 60) - 35);
        float expected = strtof(number, NULL);
        double expected_double = strtod(number, NULL);
        char *text = arena_printf(f->arena, "SELECT [%s], %s", number, number);
        const struct stmt_select *s = &must_parse(f, text)->select;
        const float *got = s->targets[0].expr->value.vector.data;
        if (memcmp(got, &expected, sizeof(expected)) != 0) {
            fail_msg("%s read as %a, not %a", number, (double)*got, (double)expected);
        }
        assert_memory_equal(&s->targets[1].expr->value.number, &expected_double, sizeof(double));
        arena_reset(f->arena);
    }
}

static void long_chains_of_and_and_or_are_flat(void **state)
{
    struct fixture *f = *state;
    struct buf text;
    buf_init(&text, MEM_GENERAL, 1 << 20);
    buf_printf(&text, "SELECT a FROM c WHERE a = 0");
    for (int i = 1; i < 5000; i++) {
        buf_printf(&text, i % 3 == 0 ? " AND a = %d" : " OR a = %d", i);
    }
    buf_u8(&text, 0);
    check_canonical(f, (const char *)text.data, NULL);
    struct stmt *stmt = must_parse(f, (const char *)text.data);
    assert_true(stmt->select.where->height < 20);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_statement_of_the_corpus_has_its_canonical_form),
        cmocka_unit_test(several_statements_are_parsed_one_after_the_other),
        cmocka_unit_test(an_empty_text_holds_no_statement),
        cmocka_unit_test(the_text_needs_no_terminating_zero),
        cmocka_unit_test(positions_are_bytes_from_one),
        cmocka_unit_test(every_clause_of_a_select_has_its_place_in_the_tree),
        cmocka_unit_test(a_select_without_them_has_no_groups),
        cmocka_unit_test(from_takes_what_show_and_describe_give),
        cmocka_unit_test(keywords_that_are_not_reserved_are_names_everywhere),
        cmocka_unit_test(keywords_are_sorted_and_found_in_any_case),
        cmocka_unit_test(every_kind_of_statement_has_a_name),
        cmocka_unit_test(numbers_in_vectors_are_the_nearest_floats),
        cmocka_unit_test(random_numbers_are_read_as_the_c_library_reads_them),
        cmocka_unit_test(long_chains_of_and_and_or_are_flat),
    };
    return cmocka_run_group_tests_name("parse", tests, setup, teardown);
}
