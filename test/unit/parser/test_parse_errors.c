/* What parse() refuses: every error, with its code, position, message and hint; every limit at its
 * bound and one past it; memory that runs out at any allocation. */
#include "test/unit/unit.h"

#include "parser/parser.h"

enum {
    BUDGET_BYTES = 256 << 20
};

static int setup(void **state)
{
    *state = arena_new(MEM_STATEMENT, BUDGET_BYTES);
    return *state == NULL;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

static enum errcode parse_text(struct arena *arena, const char *text, size_t bytes, struct err *err)
{
    struct stmt *stmt;
    size_t rest = 0;
    err_clear(err);
    enum errcode code = parse(text, bytes, arena, &stmt, &rest, err);
    if (code != ERR_OK) {
        assert_null(stmt);
        assert_int_equal(err->code, code);
        assert_in_range(err->position, 1, bytes + 1);
        assert_true(err->message[0] != '\0');
    }
    arena_reset(arena);
    return code;
}

#define S   "syntax error at or near "
#define END "syntax error at the end of the statement"

static const struct {
    const char *text;
    uint32_t position;
    const char *message, *hint;
} syntax_errors[] = {
    /* The first word, and words later on, that are slips of keywords. */
    {"SELCT 1", 1, S "\"SELCT\"", "Perhaps you meant SELECT."},
    {"serch id FROM c", 1, S "\"serch\"", "Perhaps you meant SEARCH."},
    {"  xyzzy", 3, S "\"xyzzy\"", ""},
    {"42", 1, S "\"42\"", ""},
    {"SELECT * FORM docs", 10, S "\"FORM\"", "Perhaps you meant FROM."},
    {"DELETE FORM docs", 8, S "\"FORM\"", "Perhaps you meant FROM."},
    {"SELECT a FROM c WERE b", 17, S "\"WERE\"", "Perhaps you meant WHERE."},
    {"INSERT IN c VALUES (1)", 8, S "\"IN\"", "Expected INTO."},
    {"INSERT INT c VALUES (1)", 8, S "\"INT\"", "Perhaps you meant INTO."},
    {"CREATE TABLE c (id INT)", 8, S "\"TABLE\"", "A table is a COLLECTION here."},
    {"DROP c", 6, S "\"c\"", "Expected COLLECTION."},
    /* Names. */
    {"SELECT * FROM limit", 15, S "\"limit\"",
     "limit is a reserved word. To use it as a name, write it in double quotes."},
    {"CREATE COLLECTION select (id INT)", 19, S "\"select\"",
     "select is a reserved word. To use it as a name, write it in double quotes."},
    {"SELECT a.b FROM c", 9, S "\".\"",
     "Write the column alone: a statement reads one collection."},
    {"DESCRIBE 'docs'", 10, S "\"'docs'\"", "Expected a name."},
    {"SELECT \"\"", 8, "a quoted name is empty", ""},
    {"SELECT \"abc", 8, "unterminated quoted name", ""},
    /* Statements that end too early or too late. */
    {"SELECT", 7, END, ""},
    {"SELECT 1 +", 11, END, ""},
    {"INSERT INTO c (a) VALUES", 25, END, "Expected \"(\"."},
    {"SEARCH id FROM c NEAR $1", 25, END, "A SEARCH needs LIMIT."},
    {"SEARCH id FROM c NEAR $1;", 25, END, "A SEARCH needs LIMIT."},
    {"SEARCH id FROM c NEAR $1 WHERE a WITH (recall = 1)", 34, S "\"WITH\"",
     "A SEARCH needs LIMIT."},
    {"CHECKPOINT now", 12, S "\"now\"", "Expected the end."},
    {"SELECT (1", 10, END, "Expected \")\"."},
    {"SELECT 1)", 9, S "\")\"", ""},
    {"DROP COLLECTION IF docs", 20, S "\"docs\"", "Expected EXISTS."},
    /* Statements and clauses that this release does not have. */
    {"ALTER COLLECTION c RENAME TO d", 1, S "\"ALTER\"",
     "A collection stays as it was made: create another one and COPY the rows over."},
    {"CREATE INDEX ON c (a)", 8, S "\"INDEX\"", NULL},
    {"SEARCH id FROM c NEAR $1 WITHIN 0.3 LIMIT 1", 26, S "\"WITHIN\"", ""},
    {"EXPLAIN CREATE COLLECTION c (id INT)", 9, S "\"CREATE\"", ""},
    {"EXPLAIN EXPLAIN SELECT 1", 9, S "\"EXPLAIN\"", ""},
    {"SELECT a FROM c WHERE 'x' = ANY(tags)", 29, NULL, NULL}, /* A call: resolved later. */
    {"CREATE COLLECTION c (id INT, tags TEXT[])", 40, S "\"]\"",
     "A vector literal is a list of finite numbers: [0.1, -2, 3e-4]."},
    {"INSERT INTO c VALUES (1) ON CONFLICT (id) DO NOTHING", 38, S "\"(\"",
     "The conflict is the key's: ON CONFLICT DO NOTHING | DO UPDATE."},
    {"INSERT INTO c VALUES (1) ON CONFLICT DO REPLACE", 41, S "\"REPLACE\"",
     "Expected NOTHING or UPDATE."},
    /* Definitions. */
    {"CREATE COLLECTION c (id BIGINT)", 25, "type \"bigint\" does not exist",
     "Types are BOOL, INT, FLOAT, TEXT, UUID, TIMESTAMP, JSON and VECTOR(n)."},
    {"CREATE COLLECTION c (id NULL)", 25, S "\"NULL\"", NULL},
    {"CREATE COLLECTION c (v VECTOR)", 24, "column \"v\" lacks its dimension", "Write VECTOR(n)."},
    {"CREATE COLLECTION c (t TEXT(5))", 29, "type TEXT takes no length",
     "Types are BOOL, INT, FLOAT, TEXT, UUID, TIMESTAMP, JSON and VECTOR(n)."},
    {"CREATE COLLECTION c (v VECTOR(2) METRIC L1)", 41, "metric \"l1\" does not exist",
     "Metrics are L2, COSINE and DOT."},
    {"CREATE COLLECTION c (v VECTOR(2.5))", 31, S "\"2.5\"", "Expected an integer."},
    {"CREATE COLLECTION c (id INT, PRIMARY KEY (id))", 30, S "\"PRIMARY\"",
     "PRIMARY KEY stands behind the column that is the key: id INT PRIMARY KEY."},
    {"CREATE COLLECTION c ()", 22, S "\")\"", "Expected a name."},
    /* Rows. */
    {"INSERT INTO c VALUES (1, 2), (3)", 31,
     "the rows of VALUES must have the same length: 2 and 1", ""},
    {"INSERT INTO c VALUES ()", 23, S "\")\"", ""},
    {"SELECT a FROM c LIMIT 'x'", 23, S "\"'x'\"", ""},
    {"SELECT a FROM c LIMIT 1 LIMIT 2", 25, S "\"LIMIT\"", "Expected the end, OFFSET or WITH."},
    {"SELECT a = b = c", 14, S "\"=\"", ""},
    {"SELECT a IS NULL IS NULL", 18, S "\"IS\"", ""},
    {"SELECT a IN ()", 14, S "\")\"", ""},
    {"SEARCH id FROM c NEAR a LIMIT 1", 23, S "\"a\"", ""},
    {"SEARCH id FROM c NEAR () LIMIT 1", 24, S "\")\"", ""},
    {"SELECT a FROM c GROUP a", 23, S "\"a\"",
     "Write GROUP BY expression, ...; there is no WITHIN GROUP."},
    {"SELECT a FROM c GROUP BY", 25, END, ""},
    {"SELECT a FROM c GROUP BY HAVING b", 26, S "\"HAVING\"", NULL},
    {"SELECT a FROM c GROUP BY *", 26, S "\"*\"", ""},
    {"SELECT a FROM c GROUP BY a, ", 29, END, ""},
    {"SELECT a FROM c HAVING b GROUP BY a", 26, S "\"GROUP\"", ""},
    {"SELECT a FROM c GROUP BY a GROUP BY b", 28, S "\"GROUP\"", ""},
    {"SELECT a FROM c GROUP BY a WHERE b", 28, S "\"WHERE\"", ""},
    {"SELECT a FROM c ORDER BY a HAVING b", 28, S "\"HAVING\"", ""},
    {"SELECT a FROM c GROUP BY a DESC", 28, S "\"DESC\"", ""},
    {"SELECT a FROM c GRUOP BY a", 17, S "\"GRUOP\"", "Perhaps you meant GROUP."},
    {"SELECT a FROM c HAVIN b", 17, S "\"HAVIN\"", "Perhaps you meant HAVING."},
    {"SELECT DISTINCT FROM c", 17, S "\"FROM\"",
     "Behind DISTINCT stand expressions: SELECT DISTINCT a, b, or count(DISTINCT a)."},
    {"SELECT DISTINCT DISTINCT a", 17, S "\"DISTINCT\"",
     "Behind DISTINCT stand expressions: SELECT DISTINCT a, b, or count(DISTINCT a)."},
    {"SELECT a, DISTINCT b FROM c", 11, S "\"DISTINCT\"",
     "DISTINCT stands right behind SELECT, or first in the parentheses of an aggregate."},
    {"SELECT f(a, DISTINCT b)", 13, S "\"DISTINCT\"",
     "DISTINCT stands right behind SELECT, or first in the parentheses of an aggregate."},
    {"SELECT f(DISTINCT)", 18, S "\")\"", NULL},
    {"SELECT count(DISTINCT *)", 23, S "\"*\"",
     "Behind DISTINCT stand expressions: SELECT DISTINCT a, b, or count(DISTINCT a)."},
    {"SEARCH DISTINCT id FROM c NEAR $1 LIMIT 1", 8, S "\"DISTINCT\"", NULL},
    {"SEARCH id FROM c NEAR $1 GROUP BY id LIMIT 1", 26, S "\"GROUP\"", ""},
    {"SELECT a FROM (SHOW)", 20, S "\")\"", "Expected a name."},
    {"SELECT a FROM (SHOW shards", 27, END, "Expected \")\"."},
    {"SELECT a FROM (SHOW shards, sessions)", 27, S "\",\"", "Expected \")\"."},
    {"SELECT a FROM (SHOW shards) x y", 31, S "\"y\"", NULL},
    {"SELECT a FROM (docs)", 16, S "\"docs\"", "Expected DESCRIBE or SHOW."},
    {"SELECT a FROM ()", 16, S "\")\"", "Expected DESCRIBE or SHOW."},
    {"SELECT a FROM (RESET all)", 16, S "\"RESET\"", "Expected DESCRIBE or SHOW."},
    {"SELECT a FROM ((SHOW shards))", 16, S "\"(\"", "Expected DESCRIBE or SHOW."},
    {"DELETE FROM (SHOW shards)", 13, S "\"(\"", "Expected a name."},
    {"SEARCH id FROM (SHOW shards) NEAR $1 LIMIT 1", 16, S "\"(\"", "Expected a name."},
    {"SHOW shards AS s", 13, S "\"AS\"", "Expected the end."},
    /* Options. */
    {"SELECT 1 WITH (a = 1, a = 2)", 23, "option \"a\" is given twice", ""},
    {"SELECT 1 WITH ()", 16, S "\")\"", "Expected a name or NULL."},
    {"SELECT 1 WITH (a = b + 1)", 22, S "\"+\"", NULL},
    {"EXPLAIN (VERBOSE) SELECT 1", 10, "EXPLAIN has no option \"verbose\"",
     "Its options are FORMAT and ANALYZE."},
    {"EXPLAIN (FORMAT xml) SELECT 1", 17, "bad value of EXPLAIN's option \"format\"",
     "Formats are TEXT and JSON."},
    {"EXPLAIN (ANALYZE 5) SELECT 1", 18, "bad value of EXPLAIN's option \"analyze\"",
     "Write ANALYZE, ANALYZE ON or ANALYZE OFF."},
    {"EXPLAIN (FORMAT $1) SELECT 1", 17, "bad value of EXPLAIN's option \"format\"",
     "Formats are TEXT and JSON."},
    {"SET recall", 11, END, "Expected \"=\" or TO."},
    {"SET recall = ", 14, END, ""},
    {"SHOW", 5, END, "Expected a name."},
    {"COPY c FROM STDOUT", 13, S "\"STDOUT\"", NULL},
    {"COPY c", 7, END, NULL},
    {"COPY c TO STDOUT ON CONFLICT DO NOTHING", 18, S "\"ON\"", NULL},
    /* Tokens. */
    {"SELECT 'abc", 8, "unterminated text literal", ""},
    {"SELECT E'abc\\'", 8, "unterminated text literal", ""},
    {"SELECT 1, E'\\u12'", 13, "bad Unicode escape", NULL},
    {"SELECT E'\\ud800'", 10, "bad Unicode escape", NULL},
    {"SELECT E'\\ud800\\u0041'", 10, "bad Unicode escape", NULL},
    {"SELECT E'\\U00110000'", 10, "bad Unicode escape", NULL},
    {"SELECT /* a /* b */", 8, "unterminated /* comment", ""},
    {"SELECT 12abc", 8, S "\"12abc\"", ""},
    {"SELECT 1.2.3", 8, S "\"1.2.3\"", ""},
    {"SELECT 1e", 8, S "\"1e\"", ""},
    {"SELECT $", 8, S "\"$\"", ""},
    {"SELECT $x", 8, S "\"$\"", ""},
    {"SELECT $1x", 8, S "\"$1\"", ""},
    {"SELECT #", 8, S "\"#\"", ""},
    {"SELECT a:int", 9, S "\":\"", NULL},
    {"SELECT a::", 11, "syntax error at the end of the statement", "Expected a name."},
    {"SELECT a::point", 11, "type \"point\" does not exist", NULL},
    {"SELECT CAST(a, INT)", 14, S "\",\"", NULL},
    {"SELECT CASE a END", 15, S "\"END\"", NULL},
    {"SELECT CASE WHEN a THEN b ELSE c", 33, "syntax error at the end of the statement",
     "Expected END."},
    {"SELECT a THEN b", 10, S "\"THEN\"", NULL},
    {"SELECT lower(a FROM b)", 8, "only extract, substring or trim is written with FROM",
     "Write lower(a, b)."},
    {"SELECT \x01", 8, "syntax error at byte 0x01", ""},
    {"SELECT ]", 8, S "\"]\"", ""},
    {"SELECT 'an aggravatingly long text literal' 'x'", 45, S "\"'x'\"", ""},
    {"DESCRIBE 'a text of more bytes than are shown in a message'", 10,
     S "\"'a text of more bytes than are shown in ...\"", "Expected a name."},
    {"DESCRIBE '________________________________________\xc3\xa9________'", 10,
     S "\"'_______________________________________...\"", "Expected a name."},
    {"DESCRIBE '______________________________________\xc3\xa9________'", 10,
     S "\"'______________________________________...\"", "Expected a name."},
    /* Vectors. */
    {"SELECT [1, 2", 8, "unterminated vector literal", ""},
    {"SELECT []", 9, S "\"]\"", "A vector literal is a list of finite numbers: [0.1, -2, 3e-4]."},
    {"SELECT [1,]", 11, S "\"]\"",
     "A vector literal is a list of finite numbers: [0.1, -2, 3e-4]."},
    {"SELECT [,1]", 9, S "\",\"", NULL},
    {"SELECT [1 2]", 11, S "\"2\"", NULL},
    {"SELECT [1, NaN]", 12, S "\"NaN\"",
     "A vector literal is a list of finite numbers: [0.1, -2, 3e-4]."},
    {"SELECT [inf]", 9, S "\"inf\"", NULL},
    {"SELECT [-Infinity]", 9, S "\"-\"", NULL},
    {"SELECT [1, $1]", 12, S "\"$1\"", NULL},
    {"SELECT [1, 'a']", 12, S "\"'\"", NULL},
    {"SELECT [0x10]", 10, S "\"x10\"", NULL},
    {"SELECT [- 1]", 9, S "\"-\"", NULL},
};

static void what_is_not_vql_is_a_syntax_error_with_its_position(void **state)
{
    size_t n_wrong = 0;
    for (size_t i = 0; i < COUNT_OF(syntax_errors); i++) {
        struct err err;
        const char *text = syntax_errors[i].text;
        enum errcode code = parse_text(*state, text, strlen(text), &err);
        if (syntax_errors[i].message == NULL) {
            continue;
        }
        if (code != ERR_SYNTAX || err.position != syntax_errors[i].position ||
            strcmp(err.message, syntax_errors[i].message) != 0 ||
            (syntax_errors[i].hint != NULL && strcmp(err.hint, syntax_errors[i].hint) != 0)) {
            print_error("%s: %s (%s) at %u\n", text, err.message, err.hint, err.position);
            n_wrong++;
        }
    }
    assert_int_equal(n_wrong, 0);
}

static void who_comes_from_sql_is_told_what_vql_has_instead(void **state)
{
    static const char *const habits[][2] = {
        {"BEGIN", "transactions"},
        {"TRUNCATE c", "DELETE FROM"},
        {"GRANT ALL ON c TO me", "privileges"},
        {"UPSERT INTO c VALUES (1)", "ON CONFLICT DO UPDATE"},
        {"quit", "\\q"},
        {"CREATE EXTENSION vector", "built in"},
        {"SELECT DISTINCT ON (a) * FROM c", "DISTINCT ON"},
        {"SELECT a FROM c GROUP BY GROUPING SETS ((a), (b))", "GROUPING SETS"},
        {"SELECT f(a) WITHIN GROUP (ORDER BY b) FROM c", "WITHIN GROUP"},
        {"SELECT count(*) FILTER (WHERE a) FROM c", "CASE WHEN"},
        {"SELECT a FROM c GROUP BY a HAVING count(*) FILTER (WHERE b) > 1", "CASE WHEN"},
        {"SELECT rank() OVER (ORDER BY a) FROM c", "windows"},
        {"SELECT a FROM c ORDER BY rank() OVER (ORDER BY a)", "windows"},
        {"SELECT a FROM (SELECT 1) x", "FROM (SHOW"},
        {"SELECT a FROM (VALUES (1)) x", "FROM (SHOW"},
        {"SELECT a FROM ( search id FROM c NEAR $1 LIMIT 1)", "FROM (SHOW"},
        {"SELECT a FROM SHOW shards", "FROM (SHOW"},
        {"SELECT a FROM describe c WHERE b", "parentheses"},
        {"SELECT a FROM information_schema.tables", "FROM (SHOW"},
        {"SELECT a FROM pg_catalog.pg_class", "SHOW VIEWS"},
        {"SELECT a FROM public.docs", "alone"},
        {"SELECT a FROM c WHERE a ~ 'x'", "LIKE"},
        {"SELECT a FROM c WHERE a == 1", "="},
        {"SELECT a FROM c ORDER BY v <-> '[1]' LIMIT 1", "SEARCH"},
        {"SELECT a FROM c ORDER BY v <=> '[1]' LIMIT 1", "SEARCH"},
        {"SELECT a FROM c ORDER BY v <#> '[1]' LIMIT 1", "SEARCH"},
        {"SELECT a FROM c NEAR [1] LIMIT 1", "SEARCH"},
        {"DELETE FROM c RETURNING a", "count"},
        {"SELECT * FROM c JOIN d", "joins"},
        {"SELECT * FROM c x", "joins"},
        {"SELECT * FROM c, d", "joins"},
        {"SELECT 1 UNION SELECT 2", "UNION"},
        {"SELECT a FROM c WHERE a IN (SELECT 1)", "in each other"},
        {"SELECT DATE '2020-01-01'", "TIMESTAMP"},
        {"SELECT ARRAY[1]", "vector"},
        {"SELECT TOP 5 a FROM c", "LIMIT n"},
        {"SELECT a FROM c LIMIT 1, 2", "OFFSET"},
        {"SET SESSION recall = 1", "for the session"},
        {"DESCRIBE TABLE c", "COLLECTION"},
        /* A slip of a keyword is a slip first. */
        {"SELECT a FROM c WHEER a", "Perhaps you meant WHERE."},
        {"SELECT * FROM select", "reserved"},
    };
    for (size_t i = 0; i < COUNT_OF(habits); i++) {
        struct err err;
        const char *text = habits[i][0];
        assert_int_equal(parse_text(*state, text, strlen(text), &err), ERR_SYNTAX);
        if (strstr(err.hint, habits[i][1]) == NULL) {
            fail_msg("%s: %s (%s)", text, err.message, err.hint);
        }
    }
    assert_non_null(strstr(parser_habit_of_name("version"), "conninfo"));
    /* What the grammar takes for names. */
    assert_non_null(strstr(parser_habit_of_name("on"), "DISTINCT ON"));
    assert_non_null(strstr(parser_habit_of_name("ALL"), "GROUP BY"));
    assert_non_null(strstr(parser_habit_of_name("rollup"), "grouping"));
    assert_non_null(strstr(parser_habit_of_name("string_agg"), "count, sum, avg, min and max"));
    assert_null(parser_habit_of_name("sum"));
    assert_null(parser_habit_of_name("vers"));
    assert_null(parser_habit_of_name(""));
}

static const struct {
    const char *text;
    enum errcode code;
    uint32_t position;
    const char *message;
} other_errors[] = {
    {"SELECT 9223372036854775808", ERR_NUMBER_OUT_OF_RANGE, 8,
     "number 9223372036854775808 is out of the range of INT"},
    {"SELECT 1 - 9223372036854775808", ERR_NUMBER_OUT_OF_RANGE, 12,
     "number 9223372036854775808 is out of the range of INT"},
    {"SELECT -(-9223372036854775808)", ERR_NUMBER_OUT_OF_RANGE, 8,
     "number 9223372036854775808 is out of the range of INT"},
    {"SELECT 99999999999999999999", ERR_NUMBER_OUT_OF_RANGE, 8,
     "number 99999999999999999999 is out of the range of INT"},
    {"SELECT 111111111111111111111111111111111111111111111", ERR_NUMBER_OUT_OF_RANGE, 8,
     "number 1111111111111111111111111111111111111111... is out of the range of INT"},
    {"SELECT 1e309", ERR_NUMBER_OUT_OF_RANGE, 8, "number 1e309 is out of the range of FLOAT"},
    {"SELECT 1e99999999999999999999", ERR_NUMBER_OUT_OF_RANGE, 8,
     "number 1e99999999999999999999 is out of the range of FLOAT"},
    {"SELECT [1, 3.5e38]", ERR_NUMBER_OUT_OF_RANGE, 12,
     "number 3.5e38 is out of the range of a 32-bit float"},
    {"SELECT [-1e40]", ERR_NUMBER_OUT_OF_RANGE, 9,
     "number -1e40 is out of the range of a 32-bit float"},
    {"SELECT $0", ERR_NUMBER_OUT_OF_RANGE, 8, "parameter $0 is out of range"},
    {"SELECT $65536", ERR_NUMBER_OUT_OF_RANGE, 8, "parameter $65536 is out of range"},
    {"SELECT $4294967297", ERR_NUMBER_OUT_OF_RANGE, 8, "parameter $4294967297 is out of range"},
    {"CREATE COLLECTION c (v VECTOR(0))", ERR_NUMBER_OUT_OF_RANGE, 31,
     "dimension 0 of column \"v\" is out of range"},
    {"CREATE COLLECTION c (v VECTOR(16385))", ERR_NUMBER_OUT_OF_RANGE, 31,
     "dimension 16385 of column \"v\" is out of range"},
    {"SELECT 'a\xff'", ERR_BAD_ENCODING, 9, "the statement is not valid UTF-8"},
    {"SELECT E'a\\000'", ERR_BAD_ENCODING, 8,
     "the text holds a byte of value zero or is not valid UTF-8"},
    {"SELECT E'\\xff'", ERR_BAD_ENCODING, 8,
     "the text holds a byte of value zero or is not valid UTF-8"},
    {"SELECT \"a\xc3\"", ERR_BAD_ENCODING, 9, "the statement is not valid UTF-8"},
    {"SELECT a\xc3", ERR_BAD_ENCODING, 8, "the statement is not valid UTF-8"},
    {"SELECT 1\xff", ERR_BAD_ENCODING, 8, "the statement is not valid UTF-8"},
    {"SELECT 1 /* \xff */", ERR_BAD_ENCODING, 10, "the statement is not valid UTF-8"},
    {"-- \xff\nSELECT 1", ERR_BAD_ENCODING, 1, "the statement is not valid UTF-8"},
    {"SELECT a NOT /* \xff */ IN (1)", ERR_BAD_ENCODING, 14, "the statement is not valid UTF-8"},
};

static void other_errors_have_codes_of_their_own(void **state)
{
    for (size_t i = 0; i < COUNT_OF(other_errors); i++) {
        struct err err;
        const char *text = other_errors[i].text;
        enum errcode code = parse_text(*state, text, strlen(text), &err);
        if (code != other_errors[i].code || err.position != other_errors[i].position ||
            strcmp(err.message, other_errors[i].message) != 0) {
            fail_msg("%s: %s %s at %u", text, err_name(code), err.message, err.position);
        }
    }
}

static void a_byte_of_value_zero_is_refused_wherever_it_stands(void **state)
{
    static const char *const texts[] = {"SELECT 'a?b'",
                                        "SELECT \"a?b\"",
                                        "SELECT 1 --?",
                                        "SELECT 1 /*?*/",
                                        "SELECT 1 ?",
                                        "SELECT [1,?]",
                                        "?"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        char text[32];
        size_t bytes = strlen(texts[i]);
        for (size_t j = 0; j < bytes; j++) {
            text[j] = texts[i][j];
            if (text[j] == '?') {
                text[j] = '\0';
            }
        }
        struct err err;
        enum errcode code = parse_text(*state, text, bytes, &err);
        assert_true(code == ERR_BAD_ENCODING || code == ERR_SYNTAX);
    }
}

/* ---- limits ---- */

/* begin, then @n times each, then end. */
static enum errcode parse_repeated(struct arena *arena, const char *begin, const char *each,
                                   size_t n, const char *end, struct err *err)
{
    struct buf b;
    buf_init(&b, MEM_GENERAL, BUDGET_BYTES);
    buf_bytes(&b, begin, strlen(begin));
    for (size_t i = 0; i < n; i++) {
        buf_bytes(&b, each, strlen(each));
    }
    buf_bytes(&b, end, strlen(end));
    assert_false(b.failed);
    enum errcode code = parse_text(arena, (const char *)b.data, b.bytes, err);
    buf_fini(&b);
    return code;
}

static const struct {
    const char *begin, *each, *end;
    size_t n_max;
    enum errcode code;
} limits[] = {
    /* Nesting: of operators, of parentheses that leave no trace, of both. */
    {"SELECT ", "NOT ", "a", VQL_DEPTH_MAX - 1, ERR_NESTED_TOO_DEEP},
    {"SELECT ", "- ", "a", VQL_DEPTH_MAX - 1, ERR_NESTED_TOO_DEEP},
    {"SELECT a", " + 1", "", VQL_DEPTH_MAX - 1, ERR_NESTED_TOO_DEEP},
    {"SELECT a", " || b", "", VQL_DEPTH_MAX - 1, ERR_NESTED_TOO_DEEP},
    /* Lists. */
    {"SELECT 1", ", 1", "", VQL_ITEMS_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"SELECT f(1", ", 1", ")", VQL_ITEMS_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"SELECT a IN (1", ",1", ")", VQL_ITEMS_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"SELECT a", " OR a", "", VQL_ITEMS_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"SELECT a", " AND (a)", "", VQL_ITEMS_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"SELECT a FROM c ORDER BY a", ",a", "", VQL_ITEMS_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"SELECT a FROM c GROUP BY a", ",a", "", VQL_ITEMS_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"SELECT f(DISTINCT a", ",a", ")", VQL_ITEMS_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"INSERT INTO c VALUES (1)", ",(1)", "", VQL_ITEMS_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"INSERT INTO c VALUES (1", ",1", ")", VQL_ITEMS_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"COPY c (a", ",a", ") FROM STDIN", VQL_ITEMS_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"UPDATE c SET a = 1", ", a = 1", "", VQL_ITEMS_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"CREATE COLLECTION c (a INT", ", a INT", ")", VQL_ITEMS_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"SEARCH a FROM c NEAR ($1", ",$1", ") LIMIT 1", VQL_QUERIES_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"SEARCH a FROM c NEAR (KEY 1", ",KEY 1", ") LIMIT 1", VQL_QUERIES_MAX - 1, ERR_TOO_MANY_ITEMS},
    {"SELECT [0", ",0", "]", VECTOR_DIM_MAX - 1, ERR_TOO_MANY_ITEMS},
    /* Names: bare, quoted. */
    {"SELECT ", "a", "", NAME_BYTES_MAX, ERR_NAME_TOO_LONG},
    {"SELECT \"", "a", "\"", NAME_BYTES_MAX, ERR_NAME_TOO_LONG},
    /* Text. */
    {"SELECT '", "0123456789abcde\n", "'", VQL_TEXT_BYTES_MAX / 16 - 1, ERR_STATEMENT_TOO_LONG},
    {"SELECT ", "               \n", "1", VQL_TEXT_BYTES_MAX / 16 - 1, ERR_STATEMENT_TOO_LONG},
};

static void every_limit_holds_at_its_bound_and_fails_past_it(void **state)
{
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        struct err err;
        enum errcode code = parse_repeated(*state, limits[i].begin, limits[i].each, limits[i].n_max,
                                           limits[i].end, &err);
        if (code != ERR_OK) {
            fail_msg("%s%s... at its bound: %s", limits[i].begin, limits[i].each, err.message);
        }
        code = parse_repeated(*state, limits[i].begin, limits[i].each, limits[i].n_max + 1,
                              limits[i].end, &err);
        if (code != limits[i].code) {
            fail_msg("%s%s... past its bound: %s %s", limits[i].begin, limits[i].each,
                     err_name(code), err.message);
        }
    }
}

/* @each_begin n times, "a", @each_end n times. */
static enum errcode parse_nested(struct arena *arena, const char *each_begin, const char *each_end,
                                 size_t n, struct err *err)
{
    struct buf b;
    buf_init(&b, MEM_GENERAL, BUDGET_BYTES);
    buf_printf(&b, "SELECT ");
    for (size_t i = 0; i < n; i++) {
        buf_bytes(&b, each_begin, strlen(each_begin));
    }
    buf_u8(&b, 'a');
    for (size_t i = 0; i < n; i++) {
        buf_bytes(&b, each_end, strlen(each_end));
    }
    enum errcode code = parse_text(arena, (const char *)b.data, b.bytes, err);
    buf_fini(&b);
    return code;
}

static void nesting_has_one_bound_whatever_is_nested(void **state)
{
    static const struct {
        const char *begin, *end;
        size_t n_max;
    } nested[] = {
        {"(", ")", VQL_DEPTH_MAX},
        {"(a OR b AND ", ")", 49},
        {"f(", ")", VQL_DEPTH_MAX - 1},
        {"f(DISTINCT a, ", ")", VQL_DEPTH_MAX - 1},
        {"a OR b AND f(DISTINCT c, ", ")", 33},
        {"(a + ", ")", VQL_DEPTH_MAX - 1},
        {"a IN (1, ", ")", VQL_DEPTH_MAX - 1},
        {"a BETWEEN (", ") AND 2", VQL_DEPTH_MAX - 1},
        {"NOT (a IS NULL OR ", ")", 49},
        {"(a OR b AND NOT c = d || e + f * -", ")", 12},
    };
    for (size_t i = 0; i < COUNT_OF(nested); i++) {
        struct err err;
        enum errcode code =
            parse_nested(*state, nested[i].begin, nested[i].end, nested[i].n_max, &err);
        if (code != ERR_OK) {
            fail_msg("%s: %s", nested[i].begin, err.message);
        }
        code = parse_nested(*state, nested[i].begin, nested[i].end, VQL_DEPTH_MAX + 1, &err);
        assert_int_equal(code, ERR_NESTED_TOO_DEEP);
        code = parse_nested(*state, nested[i].begin, nested[i].end, 100000, &err);
        assert_int_equal(code, ERR_NESTED_TOO_DEEP);
    }
}

static void comments_nest_without_bound(void **state)
{
    struct err err;
    assert_int_equal(parse_nested(*state, "/*", "*/", 100000, &err), ERR_SYNTAX);
    assert_string_equal(err.message, "syntax error at the end of the statement");
}

static void operators_without_an_end_overflow_nothing(void **state)
{
    struct err err;
    static const char *const texts[] = {"NOT ", "-", "- ", "(", "f(", "[", "a = ", "/*", "'"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_int_not_equal(parse_repeated(*state, "SELECT ", texts[i], 100001, "", &err), ERR_OK);
    }
}

/* ---- memory ---- */

static const char *const large[] = {
    "SEARCH id, title AS t, f(a, b) FROM docs NEAR ([1,2,3], KEY 'it''s', $1) IN v WHERE a = 1 "
    "AND b IN (1, 2, 3) OR c BETWEEN 1 AND 2.55555555555555555555555555555555555555555555555555555 "
    "AND d LIKE '%x' OR NOT e || 'f' = -g LIMIT 10 OFFSET $2 WITH (recall = 0.9, ef = auto)",
    "SELECT DISTINCT a, count(DISTINCT b, c) AS n FROM (SHOW shards) AS s WHERE a > $1 GROUP BY a, "
    "1, d, e, f, g, h, i, j, k HAVING count(*) > 1 AND NOT max(b) = 3 ORDER BY a, n DESC LIMIT 3",
};

static void check_small_budgets(const char *text)
{
    bool was_refused = false, was_accepted = false;
    for (size_t budget = 0; budget < 16384 && !was_accepted; budget += 64) {
        struct arena *arena = arena_new(MEM_STATEMENT, budget);
        assert_non_null(arena);
        struct err err;
        enum errcode code = parse_text(arena, text, strlen(text), &err);
        assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
        was_refused = was_refused || code == ERR_OUT_OF_MEMORY;
        was_accepted = code == ERR_OK;
        arena_free(arena);
    }
    assert_true(was_refused && was_accepted);
}

static void a_budget_that_is_too_small_is_out_of_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(large); i++) {
        check_small_budgets(large[i]);
    }
}

static void check_nth_allocations(const char *text)
{
    enum errcode code = ERR_OUT_OF_MEMORY;
    uint64_t nth = 1;
    for (; code != ERR_OK; nth++) {
        struct arena *arena = arena_new(MEM_STATEMENT, BUDGET_BYTES);
        assert_non_null(arena);
        struct err err;
        fault_arm(FAULT_MALLOC, nth, 1);
        code = parse_text(arena, text, strlen(text), &err);
        fault_disarm_all();
        assert_true(code == ERR_OK || code == ERR_OUT_OF_MEMORY);
        arena_free(arena);
    }
    assert_true(nth > 2);
}

static void the_nth_allocation_that_fails_is_out_of_memory(void **state)
{
    (void)state;
    if (!fault_is_built()) {
        skip();
    }
    for (size_t i = 0; i < COUNT_OF(large); i++) {
        check_nth_allocations(large[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_vql_is_a_syntax_error_with_its_position),
        cmocka_unit_test(who_comes_from_sql_is_told_what_vql_has_instead),
        cmocka_unit_test(other_errors_have_codes_of_their_own),
        cmocka_unit_test(a_byte_of_value_zero_is_refused_wherever_it_stands),
        cmocka_unit_test(every_limit_holds_at_its_bound_and_fails_past_it),
        cmocka_unit_test(nesting_has_one_bound_whatever_is_nested),
        cmocka_unit_test(comments_nest_without_bound),
        cmocka_unit_test(operators_without_an_end_overflow_nothing),
        cmocka_unit_test(a_budget_that_is_too_small_is_out_of_memory),
        cmocka_unit_test(the_nth_allocation_that_fails_is_out_of_memory),
    };
    return cmocka_run_group_tests_name("parse errors", tests, setup, teardown);
}
