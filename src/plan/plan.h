/* The door of plan: what a statement means.
 *
 *   text, a version of the map -> plan_new -> struct plan, for as many as run it
 *
 * A plan is whole and does not change, but for a SEARCH's cost, which is a guess.  It says which
 * rows are looked at (struct access), what is reckoned of them (programs of expr), and in which
 * order that is done: a chain of operators, from its leaf to its root.  It knows of no shard, no
 * session and no policy that is in force: where it is run, those are asked. */
#ifndef VECTRON_PLAN_H
#define VECTRON_PLAN_H

#include "expr/aggregate.h"
#include "expr/expr.h"
#include "format/format.h"
#include "parser/parser.h"
#include "pd/pd.h"
#include "plan/statement.h"

/* ---- views: what SHOW lists, declared in views.def ---- */

enum view_id {
#define VIEW(name, text, columns) VIEW_##name,
#include "plan/views.def"
#undef VIEW
};

struct view {
    enum view_id id;
    const char *name, *text;
    const struct result_column *columns;
    size_t n_columns;
};
size_t view_count(void);
const struct view *view_at(size_t i);
const struct view *view_find(const char *name); /* NULL where there is none. */

/* ---- what a plan is made of ---- */

enum access_kind {
    ACCESS_SCAN,
    ACCESS_KEYS
};

/* Which rows a statement looks at, and which of them it takes. */
struct access {
    enum access_kind kind;
    uint32_t key_set;            /* ACCESS_KEYS: its number. */
    const struct program *where; /* NULL: all. */
    struct column_mask columns;  /* That where reads. */
    struct column_mask reads;    /* That anything reads, where is_in_columns. */
    bool is_in_columns; /* A scan may read columns from memory: no VECTOR, no row as a whole. */
    const struct expr *shown; /* For EXPLAIN. */
};

struct output { /* The select list. */
    const struct program **programs;
    const struct expr **shown; /* NULL where "*" stands for it. */
    size_t n;
    struct column_mask columns;
};

struct sort_key {
    const struct program *program; /* Over the input row; */
    size_t place;                  /* or its value, where rows come projected. */
    bool is_descending, nulls_first;
};

struct sort_plan {
    struct sort_key *keys;
    const struct order *shown; /* For EXPLAIN: as many. */
    size_t n_keys;
    struct column_mask columns; /* That the keys read. */
    bool is_projected;          /* Rows come so; else the select list is reckoned here. */
};

/* What a leaf that is elsewhere is asked: the statement of its part, which gives rows to those
 * above it, or changes them.  Parameters are sent as values beside the text: the statement's own,
 * and behind them what is known only when it is run. */
struct fragment {
    const char *text; /* Canonical VQL. */
    size_t text_bytes;
    unsigned n_leaves;    /* To each of which it is sent. */
    const uint8_t *types; /* Of its parameters. */
    size_t n_types;
    uint32_t now, rows_wanted, leaf; /* Numbers of such parameters, from 1; 0: it has none. */
    size_t n_columns;
    struct sort_key *keys; /* Of places: its rows are in this order.  NULL: in none. */
    const struct order *shown;
    size_t n_keys;
    bool is_whole; /* All rows are wanted before the first is looked at. */
    /* Asked before it, for the keys and vectors of the rows that NEAR KEY names, which any leaf may
     * have; NULL: there is none. */
    const struct fragment *of_keys;
    uint32_t vectors; /* The number of the first of these; the others follow. */
};

enum operator{
#define OPERATOR(name, text) OPERATOR_##name,
#include "plan/operators.def"
#undef OPERATOR
    OPERATORS
};

/* An operator of a plan: what it is told of its work. */
struct operator_plan {
    enum operator kind;
    const struct operator_plan *input; /* NULL: a leaf. */
    struct operator_plan *above;       /* NULL: the root. */
    union {                            /* By the kind. */
        struct {
            const struct program *program;
            const struct expr *shown;
        } filter;
        struct sort_plan sort;
        struct {
            const struct grouping *grouping;
            struct column_mask columns; /* That keys and arguments read. */
        } aggregate;
        struct {
            bool is_of_each; /* Of each query of a SEARCH, whose number is at @place. */
            size_t place;
        } limit;
        struct {
            enum stmt_kind of; /* STMT_SHOW or STMT_DESCRIBE, of plan->set or of the collection. */
            const char *name;
            size_t n_columns;
        } show;
    };
};

struct search_query {
    const struct program *program;
    bool is_key;
    uint32_t position;
};

struct search_plan {
    uint32_t column;
    struct search_query *queries;
    size_t n_queries;
    uint32_t limit_position;
};

struct insert_plan {
    uint32_t *columns; /* Schema's numbers, in the order of the row's members. */
    size_t n_columns;
    const struct program ***rows;
    size_t n_rows;
    enum on_conflict on_conflict;
    struct column_mask mask;
};

struct modify_plan {
    uint32_t *columns;
    const struct program **values;
    size_t n_set;
    bool is_delete;
    struct column_mask reads; /* Columns to decode of a row that is taken. */
};

struct copy_plan {
    struct row_format format;
    uint8_t *types;
    enum on_conflict on_conflict; /* FROM */
    size_t key;                   /* fbin: its place in the columns; SIZE_MAX: not there. */
};

struct policy_plan {
    enum policy_id id;           /* POLICY_COUNT: all. */
    const struct program *value; /* SET */
    const struct view *view;     /* SHOW of a view */
};

struct reindex_plan {
    uint32_t column; /* Where it is one; else each VECTOR. */
    uint32_t n_vectors;
    bool is_one;
    struct policy_set *with;
};

struct plan {
    struct arena *arena;
    uint64_t policies; /* Bit per policy that WITH may set: those that change what it does. */
    const char *text;  /* Of the statement. */
    size_t text_bytes;
    const struct stmt *stmt; /* Of EXPLAIN: the statement explained. */
    bool is_explain, is_analyze, is_json;
    const struct schema *schema; /* Of its collection, as the map has it; held.  Or NULL. */
    uint8_t *types;
    size_t n_types;
    struct result_column *columns;
    size_t n_columns;
    size_t n_output_columns; /* EXPLAIN: of the statement explained. */
    struct policy_set *with; /* LEVEL_STATEMENT; NULL: nothing is set. */
    struct with_parameter *with_parameters;
    uint32_t stack_max;
    struct set_plan *sets;
    uint32_t n_sets;
    bool uses_now;
    struct access access;
    struct output output;
    struct operator_plan *root, *leaf; /* NULL: the verb's steps are its own. */
    const struct fragment *fragment;   /* Of its leaves; NULL: there is one, and it is here. */
    bool reads_all;         /* All rows before it gives the first, or those that match. */
    struct policy_plan set; /* Of SHOW, also in FROM. */
    const struct program *limit, *offset; /* INT; NULL where not given. */
    const char *tag;
    union { /* By the statement. */
        struct search_plan search;
        struct insert_plan insert;
        struct modify_plan modify;
        struct copy_plan copy;
        const struct schema *created; /* CREATE COLLECTION */
        struct reindex_plan reindex;
    };
};

struct with_parameter { /* name = $n in WITH */
    enum policy_id policy;
    const struct program *program;
    uint32_t position;
    struct with_parameter *next;
};

/* What a plan is made from; borrowed during the call. */
struct plan_source {
    const struct statement_text *text;
    const struct map *map; /* Where names are looked up. */
    size_t bytes_max;      /* Of the text and the plan: statement_memory. */
    unsigned n_leaves;     /* That are elsewhere; 0: the one is here. */
    /* Asked again and again where the text is long: an error ends the analysis with it. */
    enum errcode (*poll)(void *arg, struct err *err);
    void *arg;
};
/* The first statement of the text, to be freed; *out is NULL where there is none, and *rest is
 * where the next one begins. */
enum errcode plan_new(const struct plan_source *source, struct plan **out, size_t *rest,
                      struct err *err) WARN_UNUSED;
void plan_free(struct plan *plan); /* NULL is allowed. */
/* Whether one of @columns, of its collection, is a VECTOR: those are not kept beside the others. */
bool plan_reads_vector(const struct plan *plan, const struct column_mask *columns);
/* That the key of a query is of no row, or @is_there, and has no vector. */
enum errcode plan_unknown_key(const struct plan *plan, const struct value *key, bool is_there,
                              uint32_t position, struct err *err);
/* That a query vector of SEARCH has not the column's dimension. */
enum errcode plan_wrong_dimension(const struct plan *plan, uint32_t dim, uint32_t position,
                                  struct err *err);

#endif
