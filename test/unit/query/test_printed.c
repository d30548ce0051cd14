/* Neither printing a statement nor cutting it loses anything: each of the regression tests and of
 * the manual is run in four databases, as it stands in the one, and parsed, printed as canonical
 * VQL and parsed again in the others.  In two of those it is cut, and its fragment is printed and
 * parsed as well: for one leaf, and for three.  Columns, rows in their order, tags, notices, errors
 * and what COPY writes are the same. */
#include "query_fixture.h"

#include "parser/parser.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FILE_BYTES_MAX = 1 << 20,
    STATEMENTS_LEAST = 1130, /* Run: fewer, and some were not found. */
    CUT_LEAST = 350,         /* The same, of those that ask leaves. */
    LINES_MAX = 8192,        /* Of a result that is in no order. */
    PARAMETERS_MAX = 8,
    COPY_PIECE = 1000,
};

enum side {
    AS_IT_STANDS,
    PRINTED,
    FRAGMENT,
    FRAGMENTS,
    SIDES
};

static const int64_t leaves_of[SIDES] = {[FRAGMENT] = 1, [FRAGMENTS] = 3};

struct comparison {
    struct fixture *sides[SIDES];
    struct arena *arena; /* Of the statement at hand. */
    struct buf printed;
    const char *view;     /* Of the statement at hand: whose moments are left out. */
    bool has_leaves;      /* It is cut where a side is to; */
    bool is_in_any_order; /* and then its rows are. */
    unsigned n_run, n_failed, n_unparsed, n_commands, n_cut;
};

/* ---- what depends on the moment ---- */

/* A column of what a view gives, or all of them, or words of EXPLAIN with numbers beside them. */
static const struct {
    const char *view, *what;
} moments[] = {
    {"explain", "Milliseconds: "},
    {"explain", " ms, work "},
    {"explain", "Estimated milliseconds: "},
    {"explain", "\"Estimated milliseconds\": "},
    {"explain", "Estimated selectivity: "},
    {"explain", "Rows sampled: "},
    {"sessions", "statement"}, /* Its text, which is not the same. */
    {"sessions", "running_ms"},
    {"sessions", "since"},
    {"metrics", "name"}, /* The manual asks for those of the most memory. */
    {"metrics", "value"},
    {"metrics", "p50"},
    {"metrics", "p99"},
    {"shards", NULL}, /* Flushing, linking and measuring go on beside what is run. */
    {"calibration", NULL},
};

static struct comparison *comparison; /* For put_cell. */

static bool is_moment(const char *view, const char *what)
{
    for (size_t i = 0; i < COUNT_OF(moments); i++) {
        if (strcmp(moments[i].view, view) == 0 &&
            (moments[i].what == NULL || strcmp(moments[i].what, what) == 0)) {
            return true;
        }
    }
    return false;
}

static const char *column_name(const struct client *c, size_t column, char name[NAME_BYTES_MAX + 1])
{
    const char *line = (const char *)c->columns.data;
    for (size_t i = 0; i < column; i++) {
        line = strchr(line, '\n') + 1;
    }
    snprintf(name, NAME_BYTES_MAX + 1, "%.*s", (int)strcspn(line, " "), line);
    return name;
}

static bool is_of_number(char c)
{
    return isdigit((unsigned char)c) || c == '.' || c == 'e' || c == '+' || c == '-';
}

/* Replaces each @what in @text by "...", with the numbers on both of its sides. */
static void cut_numbers(char *text, const char *what)
{
    for (char *at = strstr(text, what); at != NULL; at = strstr(at, what)) {
        char *begin = at, *end = at + strlen(what);
        while (begin > text && is_of_number(begin[-1])) {
            begin--;
        }
        while (is_of_number(*end)) {
            end++;
        }
        size_t bytes = strlen(end) + 1;
        CHECK(end - begin >= 3);
        memcpy(begin, "...", 3);
        memmove(begin + 3, end, bytes);
        at = begin + 3;
    }
}

/* The directory of a side is another one than that of the other. */
static void put_cell(struct client *c, size_t column, const struct value *value)
{
    char name[NAME_BYTES_MAX + 1];
    size_t begin = c->rows.bytes;
    value_format(&c->rows, value);
    if (is_moment(comparison->view, column_name(c, column, name))) {
        c->rows.bytes = begin;
        return;
    }
    buf_u8(&c->rows, 0);
    char *text = (char *)c->rows.data + begin;
    for (size_t i = 0; i < COUNT_OF(moments); i++) {
        if (strcmp(moments[i].view, comparison->view) == 0 && moments[i].what != NULL) {
            cut_numbers(text, moments[i].what);
        }
    }
    for (enum side side = 0; side < SIDES; side++) {
        cut_numbers(text, comparison->sides[side]->directory);
    }
    c->rows.bytes = begin + strlen(text);
}

/* What @stmt shows, for the table above. */
static const char *view_of(const struct stmt *stmt)
{
    if (stmt->kind == STMT_SELECT && stmt->select.show != NULL) {
        stmt = stmt->select.show;
    }
    return stmt->kind == STMT_SHOW      ? stmt->show.name.text
           : stmt->kind == STMT_EXPLAIN ? "explain"
                                        : "";
}

/* ---- what is cut ---- */

static const struct stmt *explained(const struct stmt *stmt)
{
    return stmt->kind == STMT_EXPLAIN ? stmt->explain.statement : stmt;
}

/* Where the rows of a collection are asked for, but by COPY. */
static bool has_leaves(const struct stmt *stmt)
{
    const struct stmt *s = explained(stmt);
    return s->kind == STMT_SEARCH || s->kind == STMT_UPDATE || s->kind == STMT_DELETE ||
           (s->kind == STMT_SELECT && s->select.collection.text != NULL);
}

/* Statements of other kinds may show what policies are set. */
static void set_leaves(const struct comparison *c, enum side side)
{
    struct err err;
    struct value n = value_int(leaves_of[side]);
    struct policy_set *set = query_session_policies(c->sides[side]->client.session);
    policy_clear(set, POLICY_debug_fragments);
    if (c->has_leaves && n.integer > 0) {
        enum errcode code = policy_assign(set, POLICY_debug_fragments, LEVEL_SESSION, &n, &err);
        assert_int_equal(code, ERR_OK);
    }
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_lines(struct buf *rows)
{
    static char *lines[LINES_MAX];
    char *rest = NULL, *text = strndup((const char *)rows->data, rows->bytes);
    size_t n = 0;
    assert_non_null(text);
    for (char *l = strtok_r(text, "\n", &rest); l != NULL; l = strtok_r(NULL, "\n", &rest)) {
        assert_true(n < LINES_MAX);
        lines[n++] = l;
    }
    qsort(lines, n, sizeof(char *), compare_lines);
    buf_reset(rows);
    for (size_t i = 0; i < n; i++) {
        buf_printf(rows, "%s\n", lines[i]);
    }
    free(text);
}

/* ---- one statement ---- */

static struct stmt *parse_again(struct comparison *c, const char *text, size_t bytes)
{
    struct stmt *stmt;
    struct err err;
    size_t rest;
    if (parse(text, bytes, c->arena, &stmt, &rest, &err) != ERR_OK) {
        fail_msg("%.*s\nis no statement: %s", (int)bytes, text, err.message);
    }
    assert_int_equal(rest, bytes);
    return stmt;
}

/* Into c->printed, with a NUL behind it. */
static void print(struct comparison *c, const struct stmt *stmt)
{
    buf_reset(&c->printed);
    print_stmt(&c->printed, stmt);
    buf_u8(&c->printed, 0);
    assert_false(c->printed.failed);
    c->printed.bytes--;
}

/* What is printed, when parsed, prints the same. */
static void print_twice(struct comparison *c, const struct stmt *stmt)
{
    print(c, stmt);
    char *once = arena_strndup(c->arena, (const char *)c->printed.data, c->printed.bytes);
    print(c, parse_again(c, once, c->printed.bytes));
    assert_string_equal((const char *)c->printed.data, once);
}

static void compare_bytes(const struct comparison *c, const char *what, const struct buf *a,
                          const struct buf *b)
{
    if (a->bytes != b->bytes || (a->bytes > 0 && memcmp(a->data, b->data, a->bytes) != 0)) {
        fail_msg("%s\nhas other %s:\n%.*s\nnot\n%.*s", (const char *)c->printed.data, what,
                 (int)b->bytes, (const char *)b->data, (int)a->bytes, (const char *)a->data);
    }
}

/* EXPLAIN shows how a side runs it. */
static void compare_rows(const struct comparison *c, enum side side, struct client *a,
                         struct client *b)
{
    bool is_cut = c->has_leaves && leaves_of[side] > 0;
    if (is_cut && strcmp(c->view, "explain") == 0) {
        return;
    }
    if (is_cut && leaves_of[side] > 1 && c->is_in_any_order && a->rows.bytes > 0) {
        sort_lines(&a->rows);
        sort_lines(&b->rows);
    }
    compare_bytes(c, "rows", &a->rows, &b->rows);
    assert_int_equal(a->changed, b->changed);
}

static void compare(const struct comparison *c, enum side side, const enum errcode codes[SIDES])
{
    struct client *a = &c->sides[AS_IT_STANDS]->client, *b = &c->sides[side]->client;
    if (codes[AS_IT_STANDS] != codes[side]) {
        fail_msg("%s\ngave %s (%s), not %s (%s)", (const char *)c->printed.data,
                 err_name(codes[side]), b->err.message, err_name(codes[AS_IT_STANDS]),
                 a->err.message);
    }
    compare_bytes(c, "columns", &a->columns, &b->columns);
    compare_rows(c, side, a, b);
    compare_bytes(c, "copied bytes", &a->copy, &b->copy);
    assert_string_equal(a->tag, b->tag);
    assert_string_equal(a->notice, b->notice);
    assert_string_equal(a->status, b->status);
    assert_int_equal(a->has_copied_in, b->has_copied_in);
}

/* Whatever may be asked for as a parameter: small numbers. */
static enum errcode run_side(struct fixture *f, const char *text, const struct stmt *stmt,
                             const char *data, size_t bytes)
{
    struct value values[PARAMETERS_MAX];
    if (stmt->n_parameters == 0 || stmt->n_parameters > PARAMETERS_MAX) {
        return run_copy(&f->client, text, data, bytes, COPY_PIECE);
    }
    for (size_t i = 0; i < stmt->n_parameters; i++) {
        values[i] = value_int((int64_t)i + 1);
    }
    return run_with(&f->client, text, values, stmt->n_parameters);
}

/* True where it has read @data. */
static bool run_all(struct comparison *c, const char *text, const char *data, size_t bytes)
{
    struct stmt *stmt;
    struct err err;
    size_t rest;
    arena_reset(c->arena);
    if (parse(text, strlen(text), c->arena, &stmt, &rest, &err) != ERR_OK) {
        c->n_unparsed++;
        return false;
    }
    if (stmt == NULL) {
        return false;
    }
    c->view = view_of(stmt);
    c->has_leaves = has_leaves(stmt);
    c->is_in_any_order = stmt->kind == STMT_SELECT && stmt->select.n_order_by == 0;
    print_twice(c, stmt);
    enum errcode codes[SIDES];
    for (enum side side = 0; side < SIDES; side++) {
        const char *side_text = side == AS_IT_STANDS ? text : (const char *)c->printed.data;
        set_leaves(c, side);
        codes[side] = run_side(c->sides[side], side_text, stmt, data, bytes);
    }
    for (enum side side = PRINTED; side < SIDES; side++) {
        compare(c, side, codes);
    }
    c->n_run++;
    c->n_cut += c->has_leaves && codes[PRINTED] == ERR_OK;
    c->n_failed += codes[PRINTED] != ERR_OK;
    return c->sides[PRINTED]->client.has_copied_in;
}

/* ---- the texts ---- */

/* Behind the quote that ends what begins at @at. */
static const char *skip_quoted(const char *at, char quote, bool has_escapes)
{
    for (at++; *at != '\0' && *at != quote; at++) {
        at += has_escapes && *at == '\\' && at[1] != '\0';
    }
    return at + (*at == quote);
}

/* Behind the statement at @at, where its ";" is or a backslash command ends it, as vsql has it. */
static const char *end_of_statement(const char *at)
{
    unsigned parens = 0;
    for (const char *begin = at; *at != '\0' && *at != '\\' && (*at != ';' || parens > 0);) {
        if (*at == '\'' || *at == '"') {
            at = skip_quoted(at, *at, *at == '\'' && at > begin && (at[-1] | 0x20) == 'e');
        } else if (strncmp(at, "--", 2) == 0) {
            at += strcspn(at, "\n");
        } else {
            parens += *at == '(' || *at == '[';
            parens -= parens > 0 && (*at == ')' || *at == ']');
            at++;
        }
    }
    return at;
}

static const char *skip_line(const char *at)
{
    at += strcspn(at, "\n");
    return at + (*at == '\n');
}

/* The data of COPY FROM STDIN that may follow: up to the line "\.". */
static size_t data_bytes(const char *at)
{
    const char *end = strncmp(at, "\\.\n", 3) == 0 ? at : strstr(at, "\n\\.\n");
    return end == NULL ? 0 : (size_t)(end - at) + (end != at);
}

/* A statement at @at, or the backslash command that is there; gives what is behind it. */
static const char *run_next(struct comparison *c, const char *at)
{
    const char *end = end_of_statement(at);
    char *text = strndup(at, (size_t)(end - at));
    const char *next = *end == ';' ? skip_line(end) : end;
    assert_non_null(text);
    size_t bytes = data_bytes(next);
    if (*end == '\\') {
        c->n_commands++;
        next = skip_line(end);
    }
    if (run_all(c, text, next, bytes)) {
        next = skip_line(next + bytes);
    } else if (*end == ';') {
        next = end + 1;
    }
    free(text);
    return next;
}

static void run_text(struct comparison *c, const char *text)
{
    while (*text != '\0') {
        text = run_next(c, text);
    }
}

static char *read_source(const char *name)
{
    char path[512];
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof(path), "%s/%s", srcdir != NULL ? srcdir : ".", name);
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, FILE_BYTES_MAX);
    assert_non_null(file);
    assert_non_null(text);
    assert_true(fread(text, 1, FILE_BYTES_MAX - 1, file) < FILE_BYTES_MAX - 1);
    fclose(file);
    return text;
}

static void run_file(struct comparison *c, const char *name)
{
    char *text = read_source(name);
    run_text(c, text);
    free(text);
}

/* The examples of the manual. */
static void run_manual(struct comparison *c)
{
    char *manual = read_source("doc/vql.md");
    for (char *at = strstr(manual, "\n```sql\n"); at != NULL; at = strstr(at, "\n```sql\n")) {
        char *end = strstr(at + 1, "\n```\n");
        assert_non_null(end);
        end[1] = '\0';
        run_text(c, at + strlen("\n```sql\n"));
        at = end + 2;
    }
    free(manual);
}

/* Each test that the schedule names, in its order. */
static void run_schedule(struct comparison *c)
{
    char *schedule = read_source("regress/schedule");
    char *rest = NULL;
    for (char *line = strtok_r(schedule, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char name[128];
        snprintf(name, sizeof(name), "regress/sql/%s.vql", line);
        if (strcmp(line, "manual") == 0) {
            run_manual(c);
        } else if (*line != '#' && strcmp(line, "readme") != 0) { /* README.md's is of vsql. */
            run_file(c, name);
        }
    }
    free(schedule);
}

static void make_data(const struct fixture *f)
{
    char command[512];
    const char *srcdir = getenv("srcdir");
    snprintf(command, sizeof(command), "%s/regress/make-data '%s.files'",
             srcdir != NULL ? srcdir : ".", f->directory);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
    struct comparison *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    for (enum side side = 0; side < SIDES; side++) {
        void *fixture;
        fixture_setup(&fixture);
        c->sides[side] = fixture;
        c->sides[side]->client.put_cell = put_cell;
        make_data(c->sides[side]);
    }
    c->arena = arena_new(MEM_STATEMENT, 64 << 20);
    assert_non_null(c->arena);
    buf_init(&c->printed, MEM_GENERAL, 64 << 20);
    *state = comparison = c;
    return 0;
}

static int tear_down(void **state)
{
    struct comparison *c = *state;
    for (enum side side = 0; side < SIDES; side++) {
        void *fixture = c->sides[side];
        fixture_teardown(&fixture);
    }
    arena_free(c->arena);
    buf_fini(&c->printed);
    free(c);
    return 0;
}

static void test_statements_of_the_regression_tests(void **state)
{
    struct comparison *c = *state;
    run_schedule(c);
    print_message(
        "%u statements were printed, %u of them cut, %u run to an error; left out: %u that "
        "no tree is made of, %u commands of vsql\n",
        c->n_run, c->n_cut, c->n_failed, c->n_unparsed, c->n_commands);
    assert_true(c->n_run >= STATEMENTS_LEAST && c->n_cut >= CUT_LEAST);
}

static void test_statements_with_parameters(void **state)
{
    run_text(
        *state,
        "CREATE COLLECTION p (id INT PRIMARY KEY, n INT, t TEXT, v VECTOR(2));"
        "INSERT INTO p VALUES ($1, $2, 'a', [1, 2]), ($3, $1 + $2, 'b', [0, 0]);"
        "SELECT id, n * $1, -$2 FROM p WHERE id BETWEEN $1 AND $3 ORDER BY id DESC;"
        "SELECT n, count(*) FROM p GROUP BY n HAVING count(*) >= $1 ORDER BY n;"
        "SELECT CASE $1 WHEN $2 THEN 'a' ELSE 'b' END, CAST($3 AS TEXT), $1::FLOAT;"
        "SEARCH id, distance FROM p NEAR KEY $1 WHERE id IN ($1, $2, $3) LIMIT $2 WITH (ef = $3);"
        "UPDATE p SET n = $1 + n WHERE id = $3;"
        "SELECT * FROM p ORDER BY id LIMIT $1 OFFSET $1;"
        "DELETE FROM p WHERE n > $3;"
        "SELECT * FROM p ORDER BY id; DROP COLLECTION p");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_statements_of_the_regression_tests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_statements_with_parameters, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
