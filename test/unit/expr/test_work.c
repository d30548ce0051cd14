/* Work: every loop whose length a user controls pays for what it does, and ends when it is told to.
 * The meter is counted here, so that no clock decides. */
#include "expr/expr_int.h"

#include <stdio.h>

#include "test/unit/unit.h"

enum {
    TEXT_BYTES = GOOD_MEASURE(4 << 20, 2 << 20),
    N_ITEMS = 30000,
    ARENA_BYTES = 512 << 20,
};

/* A meter that says stop at the @stop_at-th question. */
struct meter {
    struct work work;
    uint64_t n_asked, stop_at;
    int64_t owed_max; /* The most that was paid at once, over the slice. */
};

static enum errcode ask(struct work *work, struct err *err)
{
    struct meter *m = CONTAINER_OF(work, struct meter, work);
    m->owed_max = -work->left > m->owed_max ? -work->left : m->owed_max;
    bool stops = ++m->n_asked >= m->stop_at;
    work->left = stops ? 0 : WORK_SLICE;
    return stops ? err_set(err, ERR_CANCELED, "stopped") : ERR_OK;
}

static void meter_init(struct meter *m, uint64_t stop_at)
{
    *m = (struct meter){.work = {.left = WORK_SLICE, .ask = ask}, .stop_at = stop_at};
}

struct work_test {
    struct arena *arena;
    struct schema schema;
    struct value columns[2];
    struct meter meter;
    struct err err;
};

static int setup(void **state)
{
    struct work_test *t = mem_zalloc(MEM_GENERAL, sizeof(*t));
    assert_non_null(t);
    t->arena = arena_new(MEM_GENERAL, ARENA_BYTES);
    snprintf(t->schema.columns[0].name, NAME_BYTES_MAX, "t");
    t->schema.columns[0].type = TYPE_TEXT;
    snprintf(t->schema.columns[1].name, NAME_BYTES_MAX, "j");
    t->schema.columns[1].type = TYPE_JSON;
    t->schema.n_columns = 2;
    char *text = arena_alloc(t->arena, TEXT_BYTES);
    memset(text, 'x', TEXT_BYTES);
    t->columns[0] = value_text(text, TEXT_BYTES);
    char *json = arena_alloc(t->arena, TEXT_BYTES);
    memset(json, ' ', TEXT_BYTES);
    memcpy(json, "{\"a\":[", 6);
    memcpy(json + TEXT_BYTES - 2, "]}", 2);
    t->columns[1] = value_text(json, TEXT_BYTES);
    t->columns[1].type = TYPE_JSON;
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct work_test *t = *state;
    arena_free(t->arena);
    mem_free(MEM_GENERAL, t);
    return 0;
}

/* Parses and compiles under the meter, then runs under it. */
static enum errcode evaluate(struct work_test *t, const char *text, size_t bytes)
{
    size_t rest;
    struct stmt *stmt;
    struct value out;
    const struct program *program = NULL;
    struct parse_source source = {text, bytes, t->arena, &t->meter.work};
    enum errcode code = parse_metered(&source, &stmt, &rest, &t->err);
    struct expr_scope scope = {
        .arena = t->arena, .work = &t->meter.work, .schema = &t->schema, .types = NULL};
    if (code == ERR_OK) {
        code = program_compile(&scope, stmt->select.targets[0].expr, TYPE_NULL, &program, &t->err);
    }
    struct evaluator evaluator = {.columns = t->columns, .arena = t->arena, .work = &t->meter.work};
    if (code == ERR_OK) {
        evaluator.stack = arena_array(t->arena, scope.stack_max + 1, sizeof(struct value));
    }
    struct value_set *sets = arena_array(t->arena, scope.n_sets + 1, sizeof(*sets));
    evaluator.sets = sets;
    for (struct set_plan *set = scope.sets; set != NULL && code == ERR_OK; set = set->next) {
        struct value *items = arena_array(t->arena, set->n_items, sizeof(*items));
        for (size_t i = 0; i < set->n_items && code == ERR_OK; i++) {
            code = program_run(set->items[i], &evaluator, &items[i], &t->err);
        }
        if (code == ERR_OK) {
            code =
                value_set_build(&sets[set->number], items, set->n_items, &t->meter.work, &t->err);
        }
    }
    return code == ERR_OK ? program_run(program, &evaluator, &out, &t->err) : code;
}

/* Runs it to its end: it must be asked now and then, and never long after it should have been.
 * Then it is stopped at each of some of the questions, and asks no more. */
static void is_heard(struct work_test *t, const char *text, size_t bytes)
{
    meter_init(&t->meter, UINT64_MAX);
    enum errcode code = evaluate(t, text, bytes);
    if (code != ERR_OK) {
        print_error("%.60s: %s\n", text, t->err.message);
    }
    assert_int_equal(code, ERR_OK);
    uint64_t n_asked = t->meter.n_asked;
    if (n_asked == 0 || t->meter.owed_max > 4 * TEXT_BYTES) {
        print_error("%.60s: asked %llu times, owed %lld\n", text, (unsigned long long)n_asked,
                    (long long)t->meter.owed_max);
        fail();
    }
    for (uint64_t stop_at = 1; stop_at <= n_asked; stop_at += n_asked / 4 + 1) {
        meter_init(&t->meter, stop_at);
        assert_int_equal(evaluate(t, text, bytes), ERR_CANCELED);
        assert_int_equal(t->meter.n_asked, stop_at);
    }
}

static void a_short_program_is_heard(struct work_test *t, const char *expr)
{
    char text[512];
    snprintf(text, sizeof(text), "SELECT %s FROM t", expr);
    is_heard(t, text, strlen(text));
}

static void what_reads_a_long_value_is_heard(void **state)
{
    struct work_test *t = *state;
    a_short_program_is_heard(t, "t LIKE '%y%x'");
    a_short_program_is_heard(t, "t LIKE '%xxxxxxxxxxxxxxxxxxxxxxxxxxx_y%x'");
    a_short_program_is_heard(t, "t LIKE '%x_xxxxxxxxxxxxxxxxxxxxxxxxxxx_y%'");
    a_short_program_is_heard(t, "t LIKE '%' || 'y%'");
    a_short_program_is_heard(t, "t LIKE t");
    a_short_program_is_heard(t, "'' LIKE t");
    a_short_program_is_heard(t, "t || t");
    a_short_program_is_heard(t, "t = t AND t <= t AND t BETWEEN t AND t");
    a_short_program_is_heard(t, "j -> 'a'");
    a_short_program_is_heard(t, "j ->> 'b'");
    a_short_program_is_heard(t, "t ILIKE '%Y%X'");
    a_short_program_is_heard(t, "upper(t)");
    a_short_program_is_heard(t, "length(t)");
    a_short_program_is_heard(t, "substr(t, 4000000)");
    a_short_program_is_heard(t, "trim(t, 'x')");
    a_short_program_is_heard(t, "replace(t, 'x', 'y')");
    a_short_program_is_heard(t, "replace(t, 'xxxxxxxxxxxxxxxxxxxy', '')");
    a_short_program_is_heard(t, "concat(t, 1, t)");
    a_short_program_is_heard(t, "greatest(t, t)");
    a_short_program_is_heard(t, "j::TEXT::JSON");
}

static void a_short_value_costs_little(void **state)
{
    struct work_test *t = *state;
    t->columns[0].text.bytes = 3;
    static const char *const exprs[] = {
        "upper(t)",        "lower(t)",           "trim(t, 'x')",    "replace(t, 'x', 'y')",
        "strpos(t, 'xz')", "concat(t, 1, t)",    "length(t)",       "substr(t, 2)",
        "t ILIKE 'a%'",    "t::TEXT || 1::TEXT", "greatest(t, 'a')"};
    for (size_t i = 0; i < COUNT_OF(exprs); i++) {
        char text[64];
        snprintf(text, sizeof(text), "SELECT %s FROM t", exprs[i]);
        meter_init(&t->meter, UINT64_MAX);
        assert_int_equal(evaluate(t, text, strlen(text)), ERR_OK);
        assert_true(WORK_SLICE - t->meter.work.left < 5000); /* With what parsing it costs. */
    }
}

/* "SELECT " + before + n times term, with separator between + after */
static void a_long_program_is_heard(struct work_test *t, const char *before, const char *term,
                                    const char *separator, const char *after)
{
    struct buf b;
    buf_init(&b, MEM_GENERAL, 64 << 20);
    buf_printf(&b, "SELECT %s", before);
    for (int i = 0; i < N_ITEMS; i++) {
        buf_printf(&b, "%s%s", i > 0 ? separator : "", term);
    }
    buf_printf(&b, "%s FROM t", after);
    is_heard(t, (const char *)b.data, b.bytes);
    buf_fini(&b);
}

static void what_has_many_terms_is_heard(void **state)
{
    struct work_test *t = *state;
    t->columns[0].text.bytes = 3;
    a_long_program_is_heard(t, "", "t LIKE '%a_b%'", " OR ", "");
    a_long_program_is_heard(t, "", "t <> 'y'", " AND ", "");
    a_long_program_is_heard(t, "", "1 = 1", " AND ", "");
    a_long_program_is_heard(t, "t IN (", "'y'", ", ", ")");
    a_long_program_is_heard(t, "concat(", "t", ", ", ")");
    a_long_program_is_heard(t, "coalesce(", "NULL", ", ", ")");
    a_long_program_is_heard(t, "CASE t ", "WHEN 'y' THEN 1", " ", " END");
    a_long_program_is_heard(t, "t IN (", "t || 'y'", ", ", ")");
}

static int compare_ints(const void *a, const void *b, struct work *work)
{
    (void)work;
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static void a_sort_is_stable_and_can_be_ended(void **state)
{
    struct work_test *t = *state;
    enum {
        N = 10000
    };
    struct pair {
        int key, at;
    } *pairs = arena_array(t->arena, N, sizeof(*pairs));
    for (int n = 0; n <= N; n = n < 20 ? n + 1 : n * 5 + 1) {
        uint64_t random = (uint64_t)n;
        for (int i = 0; i < n; i++) {
            pairs[i] = (struct pair){(int)(random_next(&random) % 50), i};
        }
        meter_init(&t->meter, UINT64_MAX);
        struct sorting sorting = {(size_t)n, sizeof(*pairs), compare_ints, &t->meter.work};
        assert_int_equal(merge_sort(&sorting, pairs, &t->err), ERR_OK);
        for (int i = 1; i < n; i++) {
            assert_true(pairs[i - 1].key < pairs[i].key ||
                        (pairs[i - 1].key == pairs[i].key && pairs[i - 1].at < pairs[i].at));
        }
    }
    meter_init(&t->meter, 2);
    struct sorting sorting = {N, sizeof(*pairs), compare_ints, &t->meter.work};
    assert_int_equal(merge_sort(&sorting, pairs, &t->err), ERR_CANCELED);
    assert_int_equal(t->meter.n_asked, 2);
}

/* ---- LIKE against its definition ---- */

static size_t character(const char *text, size_t bytes)
{
    size_t n = 1;
    while (n < bytes && ((unsigned char)text[n] & 0xc0) == 0x80) {
        n++;
    }
    return n;
}

/* Straight from the words of the standard, in exponential time. */
static bool defined(const char *t, size_t t_bytes, const char *p, size_t p_bytes)
{
    if (p_bytes == 0) {
        return t_bytes == 0;
    }
    if (*p == '%') {
        for (size_t at = 0; at <= t_bytes;) {
            if (defined(t + at, t_bytes - at, p + 1, p_bytes - 1)) {
                return true;
            }
            at += at < t_bytes ? character(t + at, t_bytes - at) : 1;
        }
        return false;
    }
    if (t_bytes == 0) {
        return false;
    }
    if (*p == '_') {
        size_t n = character(t, t_bytes);
        return defined(t + n, t_bytes - n, p + 1, p_bytes - 1);
    }
    size_t escape = *p == '\\';
    return p[escape] == *t && defined(t + 1, t_bytes - 1, p + escape + 1, p_bytes - escape - 1);
}

static size_t random_text(uint64_t *random, const char *const *letters, size_t n_letters, char *out)
{
    size_t bytes = 0;
    for (size_t n = random_next(random) % 9; n > 0; n--) {
        const char *letter = letters[random_next(random) % n_letters];
        memcpy(out + bytes, letter, strlen(letter));
        bytes += strlen(letter);
    }
    return bytes;
}

static void like_is_what_its_definition_says(void **state)
{
    struct work_test *t = *state;
    static const char *const letters[] = {"a", "a", "b", "é", "€", "%", "_", "\\"};
    static const char *const parts[] = {"a", "a", "b",   "é",   "€",    "%",  "%",
                                        "_", "_", "\\%", "\\_", "\\\\", "\\a"};
    uint64_t random = 5;
    size_t n_matches = 0;
    for (int i = 0; i < 300000; i++) {
        char text[64], pattern[64];
        size_t text_bytes = random_text(&random, letters, COUNT_OF(letters), text);
        size_t pattern_bytes = random_text(&random, parts, COUNT_OF(parts), pattern);
        struct value value = value_text(text, text_bytes);
        const struct like *like;
        bool matches;
        arena_reset(t->arena);
        meter_init(&t->meter, UINT64_MAX);
        assert_int_equal(like_compile(pattern, pattern_bytes, t->arena, &like, &t->err), ERR_OK);
        assert_int_equal(like_matches(like, &value, &t->meter.work, &matches, &t->err), ERR_OK);
        if (matches != defined(text, text_bytes, pattern, pattern_bytes)) {
            print_error("'%.*s' LIKE '%.*s' is not %d\n", (int)text_bytes, text, (int)pattern_bytes,
                        pattern, matches);
            fail();
        }
        n_matches += matches;
    }
    assert_true(n_matches > 10000);
}

static void a_pattern_that_ends_in_its_escape_is_refused(void **state)
{
    struct work_test *t = *state;
    const struct like *like;
    assert_int_equal(like_compile("a\\", 2, t->arena, &like, &t->err), ERR_BAD_LIKE_PATTERN);
    assert_int_equal(like_compile("\\", 1, t->arena, &like, &t->err), ERR_BAD_LIKE_PATTERN);
    assert_int_equal(like_compile("\\\\", 2, t->arena, &like, &t->err), ERR_OK);
}

/* Text times pattern would be 10^11 comparisons. */
static void like_of_literals_takes_linear_work(void **state)
{
    struct work_test *t = *state;
    enum {
        PATTERN_BYTES = 64 << 10
    };
    const struct like *like;
    bool matches;
    char *pattern = arena_alloc(t->arena, PATTERN_BYTES);
    memset(pattern, 'x', PATTERN_BYTES);
    pattern[0] = pattern[PATTERN_BYTES / 2] = pattern[PATTERN_BYTES - 1] = '%';
    pattern[PATTERN_BYTES - 2] = 'y';
    meter_init(&t->meter, UINT64_MAX);
    assert_int_equal(like_compile(pattern, PATTERN_BYTES, t->arena, &like, &t->err), ERR_OK);
    assert_int_equal(like_matches(like, &t->columns[0], &t->meter.work, &matches, &t->err), ERR_OK);
    assert_false(matches);
    assert_true(t->meter.n_asked * WORK_SLICE < 4 * TEXT_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_reads_a_long_value_is_heard, setup, teardown),
        cmocka_unit_test_setup_teardown(a_short_value_costs_little, setup, teardown),
        cmocka_unit_test_setup_teardown(what_has_many_terms_is_heard, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sort_is_stable_and_can_be_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(like_is_what_its_definition_says, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pattern_that_ends_in_its_escape_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(like_of_literals_takes_linear_work, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
