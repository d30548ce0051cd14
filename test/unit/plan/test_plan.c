/* Plans, made of texts and of a map that no server has: what statements mean, and what is refused.
 */
#include "../unit.h"

#include "plan/plan.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BYTES_MAX = 64 << 20,
    CHAIN_BYTES = 128,
    LONG_ROWS = 20000,
};

/* A map of one collection: t (id INT PRIMARY KEY, word TEXT, x FLOAT, v VECTOR(4)). */
struct fixture {
    struct map_collection t;
    const struct map_collection *collections[1];
    struct map map;
    size_t n_polls;
    enum errcode poll_code; /* What they give. */
    struct err err;
};

static int set_up(void **state)
{
    struct schema schema = {
        .id = 7,
        .name = "t",
        .n_columns = 4,
        .columns = {{.name = "id", .type = TYPE_INT, .is_not_null = true},
                    {.name = "word", .type = TYPE_TEXT},
                    {.name = "x", .type = TYPE_FLOAT},
                    {.name = "v", .type = TYPE_VECTOR, .dim = 4, .distance = DISTANCE_L2}},
    };
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->t.schema = schema_hold(&schema);
    assert_non_null(f->t.schema);
    f->collections[0] = &f->t;
    f->map = (struct map){.epoch = 1, .n_collections = 1, .collections = f->collections};
    *state = f;
    return 0;
}

static uint32_t holders(const struct fixture *f)
{
    return atomic_load(&f->t.schema->n_holders);
}

/* Whatever was planned, nothing holds the schema but the map. */
static int tear_down(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(holders(f), 1);
    schema_release(f->t.schema);
    free(f);
    return 0;
}

static enum errcode poll_fixture(void *arg, struct err *err)
{
    struct fixture *f = arg;
    f->n_polls++;
    return f->poll_code != ERR_OK ? err_set(err, f->poll_code, "it is to end") : ERR_OK;
}

static enum errcode make(struct fixture *f, const char *text, size_t bytes_max, struct plan **out)
{
    struct statement_text statement = {.data = text, .bytes = strlen(text)};
    struct plan_source source = {
        .text = &statement, .map = &f->map, .bytes_max = bytes_max, .poll = poll_fixture, .arg = f};
    size_t rest;
    f->err = (struct err){.code = ERR_OK};
    return plan_new(&source, out, &rest, &f->err);
}

static struct plan *plan_of(struct fixture *f, const char *text)
{
    struct plan *plan;
    if (make(f, text, BYTES_MAX, &plan) != ERR_OK) {
        fail_msg("%s: %s", text, f->err.message);
    }
    assert_non_null(plan);
    return plan;
}

/* ---- operators ---- */

/* From the root to the leaf. */
static void put_chain(const struct plan *plan, char *out, size_t bytes)
{
    static const char *const names[] = {
#define OPERATOR(name, text) #name,
#include "plan/operators.def"
#undef OPERATOR
    };
    size_t n = 0;
    out[0] = '\0';
    for (const struct operator_plan *o = plan->root; o != NULL; o = o->input) {
        n += (size_t)snprintf(out + n, bytes - n, "%s%s", n > 0 ? " <- " : "", names[o->kind]);
        assert_true(n < bytes);
        assert_true(o->input != NULL ? o->input->above == o : plan->leaf == o);
    }
}

static void statements_are_chains_of_operators(void **state)
{
    static const struct {
        const char *text, *chain;
    } cases[] = {
        {"SELECT 1", "project <- one"},
        {"SELECT id FROM t", "project <- scan"},
        {"SELECT id FROM t LIMIT 3 OFFSET 1", "project <- limit <- scan"},
        {"SELECT id FROM t WHERE x > 1 ORDER BY word LIMIT 3", "limit <- sort <- scan"},
        {"SELECT count(*) FROM t", "project <- count"},
        {"SELECT count(*) FROM t WHERE x > 1", "project <- aggregate <- scan"},
        {"SELECT word, sum(x) FROM t GROUP BY word HAVING count(*) > 1",
         "project <- filter <- aggregate <- scan"},
        {"SELECT DISTINCT word FROM t ORDER BY word", "sort <- distinct <- project <- scan"},
        {"SELECT name FROM (SHOW COLLECTIONS) WHERE rows > 1", "project <- filter <- show"},
        {"SELECT name FROM (DESCRIBE t)", "project <- show"},
        {"SEARCH id FROM t NEAR [1, 2, 3, 4] LIMIT 10", "search"},
        {"INSERT INTO t (id) VALUES (1), (2)", "insert <- values"},
        {"UPDATE t SET x = x + 1 WHERE id = 1", "update <- scan"},
        {"DELETE FROM t", "delete <- scan"},
        {"COPY t TO STDOUT", "encode <- scan"},
        {"COPY t FROM STDIN", "load <- decode"},
        {"CHECKPOINT", ""},
        {"EXPLAIN SELECT id FROM t", "project <- scan"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char chain[CHAIN_BYTES];
        struct plan *plan = plan_of(f, cases[i].text);
        put_chain(plan, chain, sizeof(chain));
        assert_string_equal(chain, cases[i].chain);
        plan_free(plan);
    }
}

static void rows_are_found_by_keys_where_the_condition_says_which(void **state)
{
    static const struct {
        const char *where;
        enum access_kind kind;
    } cases[] = {
        {"id = 1", ACCESS_KEYS},
        {"1 = id", ACCESS_KEYS},
        {"id IN (1, 2, 3) AND x > 0", ACCESS_KEYS},
        {"id = $1", ACCESS_KEYS},
        {"id > 1", ACCESS_SCAN},
        {"id = 1 OR x > 0", ACCESS_SCAN},
        {"id NOT IN (1)", ACCESS_SCAN},
        {"id = x", ACCESS_SCAN}, /* Another one for each row. */
        {"word = 'id'", ACCESS_SCAN},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[CHAIN_BYTES];
        snprintf(text, sizeof(text), "SELECT x FROM t WHERE %s", cases[i].where);
        struct plan *plan = plan_of(f, text);
        if (plan->access.kind != cases[i].kind) {
            fail_msg("%s: %d", cases[i].where, (int)plan->access.kind);
        }
        plan_free(plan);
    }
}

/* ---- what a plan says of itself ---- */

static void parameters_have_the_types_of_what_stands_beside_them(void **state)
{
    static const uint8_t types[] = {TYPE_FLOAT, TYPE_VECTOR, TYPE_INT};
    struct fixture *f = *state;
    struct plan *plan = plan_of(f, "SEARCH id, distance FROM t NEAR $2 WHERE x < $1 LIMIT $3");
    assert_int_equal(plan->n_types, COUNT_OF(types));
    assert_memory_equal(plan->types, types, sizeof(types));
    assert_int_equal(plan->n_columns, 2);
    assert_string_equal(plan->columns[1].name, "distance");
    assert_int_equal(plan->columns[1].type, TYPE_FLOAT);
    plan_free(plan);
}

static void a_plan_holds_the_schema_that_the_map_had(void **state)
{
    struct fixture *f = *state;
    struct plan *plan = plan_of(f, "SELECT * FROM t");
    assert_ptr_equal(plan->schema, f->t.schema);
    assert_int_equal(holders(f), 2);
    plan_free(plan);
    assert_int_equal(holders(f), 1);
    plan = plan_of(f, "DROP COLLECTION t"); /* What it drops is the map's to say. */
    assert_null(plan->schema);
    assert_int_equal(holders(f), 1);
    plan_free(plan);
}

static void an_empty_text_has_no_plan(void **state)
{
    struct plan *plan;
    assert_int_equal(make(*state, " -- nothing\n ", BYTES_MAX, &plan), ERR_OK);
    assert_null(plan);
}

/* ---- what is refused ---- */

static void what_cannot_work_is_refused_where_it_stands(void **state)
{
    static const struct {
        const char *text;
        enum errcode code;
        uint32_t position;
    } cases[] = {
        {"SELECT id FROM u", ERR_UNKNOWN_COLLECTION, 16},
        {"SELECT id, y FROM t", ERR_UNKNOWN_COLUMN, 12},
        {"SELECT id FROM t WHERE x > 'a'", ERR_BAD_TEXT_REPRESENTATION, 28},
        {"SELECT id FROM t ORDER BY v", ERR_TYPE_MISMATCH, 27},
        {"SEARCH id FROM t NEAR [1, 2, 3] LIMIT 1", ERR_WRONG_DIMENSION, 23},
        {"SELECT id FROM t WITH (ef = 100)", ERR_POLICY_SCOPE, 24},
        {"SELECT id FROM t WITH (efs = 100)", ERR_UNKNOWN_POLICY, 24},
        {"INSERT INTO t (word) VALUES ('a')", ERR_NOT_NULL, 13},
        {"UPDATE t SET id = 2", ERR_FEATURE_UNSUPPORTED, 14},
        {"SHOW nothing", ERR_UNKNOWN_POLICY, 6},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct plan *plan;
        enum errcode code = make(f, cases[i].text, BYTES_MAX, &plan);
        assert_null(plan);
        if (code != cases[i].code || f->err.position != cases[i].position) {
            fail_msg("%s: %s at %u: %s", cases[i].text, err_name(code), f->err.position,
                     f->err.message);
        }
        assert_int_equal(holders(f), 1);
    }
}

/* INSERT of many rows. */
static char *long_text(void)
{
    static const char head[] = "INSERT INTO t (id) VALUES (0)", item[] = ", (1)";
    char *text = malloc(sizeof(head) + LONG_ROWS * sizeof(item));
    assert_non_null(text);
    char *at = text + snprintf(text, sizeof(head), "%s", head);
    for (size_t i = 0; i < LONG_ROWS; i++) {
        at += snprintf(at, sizeof(item), "%s", item);
    }
    return text;
}

static void a_long_text_asks_whether_it_is_to_end(void **state)
{
    struct fixture *f = *state;
    struct plan *plan;
    char *text = long_text();
    f->poll_code = ERR_CANCELED;
    plan_free(plan_of(f, "SELECT id FROM t")); /* A short one does not. */
    assert_int_equal(f->n_polls, 0);
    assert_int_equal(make(f, text, BYTES_MAX, &plan), ERR_CANCELED);
    assert_int_equal(f->n_polls, 1);
    assert_null(plan);
    f->poll_code = ERR_OK;
    plan_free(plan_of(f, text));
    assert_true(f->n_polls > 2);
    free(text);
}

static void a_plan_that_needs_more_memory_than_it_may_have_is_refused(void **state)
{
    struct fixture *f = *state;
    struct plan *plan;
    char *text = long_text();
    assert_int_equal(make(f, text, 1 << 20, &plan), ERR_OUT_OF_MEMORY);
    assert_null(plan);
    assert_string_equal(f->err.policy, "statement_memory");
    free(text);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(statements_are_chains_of_operators),
        TEST(rows_are_found_by_keys_where_the_condition_says_which),
        TEST(parameters_have_the_types_of_what_stands_beside_them),
        TEST(a_plan_holds_the_schema_that_the_map_had),
        TEST(an_empty_text_has_no_plan),
        TEST(what_cannot_work_is_refused_where_it_stands),
        TEST(a_long_text_asks_whether_it_is_to_end),
        TEST(a_plan_that_needs_more_memory_than_it_may_have_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
