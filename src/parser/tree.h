/* The tree that a statement's text becomes: expressions, the parts of statements, statements, and
 * how large each may be. */
#ifndef VECTRON_PARSER_TREE_H
#define VECTRON_PARSER_TREE_H

#include "base/base.h"

enum {
    VQL_TEXT_BYTES_MAX = 16 << 20, /* Of one statement. */
    VQL_DEPTH_MAX = 100,           /* Of nested expressions; a chain of AND or OR nests little. */
    VQL_ITEMS_MAX = 65536,         /* Of a list: rows, columns, IN (...), options. */
    VQL_QUERIES_MAX = 1024,        /* Query vectors of one SEARCH. */
    VQL_OPTIONS_MAX = 256,         /* In one WITH (...). */
    VQL_PARAMETERS_MAX = 65535,    /* $1 .. $65535 */
};

/* ---- expressions ---- */

enum expr_kind {
    EXPR_LITERAL,   /* value */
    EXPR_PARAMETER, /* parameter, from 1 */
    EXPR_COLUMN,    /* name */
    EXPR_UNARY,     /* op: OP_NOT OP_NEGATE OP_IS_NULL OP_IS_NOT_NULL; left */
    EXPR_BINARY,    /* op; left, right */
    EXPR_BETWEEN,   /* left BETWEEN items[0] AND items[1]; is_negated */
    EXPR_IN,        /* left IN (items); is_negated */
    EXPR_CALL,      /* name(items); count(*) has is_star and no items */
    EXPR_CASE,      /* left: what is compared; items: WHEN, THEN, ...; right: ELSE; or NULL */
    EXPR_CAST,      /* left; type and dim */
};

enum expr_op {
    OP_NONE,
    OP_OR,
    OP_AND,
    OP_NOT,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_LIKE,
    OP_NOT_LIKE,
    OP_ILIKE,
    OP_NOT_ILIKE,
    OP_IS_NULL,
    OP_IS_NOT_NULL,
    OP_ADD,
    OP_SUBTRACT,
    OP_MULTIPLY,
    OP_DIVIDE,
    OP_MODULO,
    OP_NEGATE,
    OP_CONCAT,    /* || */
    OP_JSON,      /* ->  gives JSON */
    OP_JSON_TEXT, /* ->> gives TEXT */
    OP_COUNT
};

struct expr {
    enum expr_kind kind;
    enum expr_op op;
    bool is_negated;
    bool is_star;
    bool is_distinct; /* Of EXPR_CALL: name(DISTINCT items). */
    uint16_t height;  /* Of the tree below, 1 for a leaf; at most VQL_DEPTH_MAX. */
    uint32_t position;
    uint32_t parameter;
    struct value value;   /* NULL BOOL INT FLOAT TEXT or VECTOR. */
    enum value_type type; /* Of EXPR_CAST. */
    uint32_t dim;         /* The same, of VECTOR(n); 0: any. */
    const char *name;
    struct expr *left, *right;
    struct expr **items;
    size_t n_items;
};

/* ---- parts that several statements have ---- */

struct name {
    const char *text; /* Folded to lower case unless it was quoted. */
    uint32_t position;
};

struct option { /* name = literal, in WITH (...) */
    struct name name;
    struct expr *value; /* A literal or a parameter; a bare word is a TEXT literal. */
};

struct options {
    struct option *items;
    size_t n;
};

struct target { /* An expression of a select list, with its name in the result. */
    struct expr *expr;
    const char *alias; /* NULL where none was given. */
    bool is_star;      /* "*" */
    uint32_t position; /* Of that. */
};

struct order {
    struct expr *expr;
    bool is_descending;
    bool nulls_first;
};

struct assignment { /* column = expression, of UPDATE */
    struct name column;
    struct expr *value;
};

/* ---- statements ---- */

enum stmt_kind {
    STMT_CREATE_COLLECTION,
    STMT_DROP_COLLECTION,
    STMT_INSERT,
    STMT_UPDATE,
    STMT_DELETE,
    STMT_SELECT,
    STMT_SEARCH,
    STMT_EXPLAIN,
    STMT_COPY,
    STMT_SET,
    STMT_SHOW,
    STMT_RESET,
    STMT_DESCRIBE,
    STMT_CHECKPOINT,
    STMT_REINDEX,
    STMT_COUNT
};

struct column_def {
    struct name name;
    enum value_type type;
    uint32_t dim;           /* VECTOR(n) */
    enum distance distance; /* METRIC; 0 where none was given. */
    bool has_quantization, is_quantization_auto;
    enum quantization quantization;
    bool is_primary_key;
    bool is_not_null;
};

struct stmt_create {
    struct name collection;
    bool if_not_exists;
    struct column_def *columns;
    size_t n_columns;
    struct options with;
};

struct stmt_drop {
    struct name collection;
    bool if_exists;
};

enum on_conflict {
    CONFLICT_ERROR,
    CONFLICT_NOTHING,
    CONFLICT_UPDATE
};

struct stmt_insert {
    struct name collection;
    struct name *columns; /* n_columns = 0: all, in their order. */
    size_t n_columns;
    struct expr ***rows; /* rows[i][j]; each row has row_items members. */
    size_t n_rows, row_items;
    enum on_conflict on_conflict;
    struct options with;
};

struct stmt_update {
    struct name collection;
    struct assignment *set;
    size_t n_set;
    struct expr *where; /* NULL: all rows. */
    struct options with;
};

struct stmt_delete {
    struct name collection;
    struct expr *where;
    struct options with;
};

struct stmt_select {
    bool is_distinct;
    struct target *targets;
    size_t n_targets;
    struct name collection; /* text = NULL: SELECT without FROM, or from what SHOW gives. */
    struct stmt *show;      /* FROM (SHOW ...), or (DESCRIBE ...); NULL: not so. */
    struct expr *where;
    struct expr **group_by;
    size_t n_group_by;
    struct expr *having;
    struct order *order_by;
    size_t n_order_by;
    struct expr *limit, *offset; /* NULL or an INT literal or parameter. */
    struct options with;
};

enum near_kind {
    NEAR_VECTOR,
    NEAR_KEY
};

struct near { /* One query: an expression that gives a vector, or KEY and one that gives a key. */
    enum near_kind kind;
    struct expr *expr;
};

struct stmt_search {
    struct target *targets;
    size_t n_targets;
    struct name collection;
    struct near *queries; /* NEAR q, or NEAR (q, q, ...). */
    size_t n_queries;
    struct name in_column; /* text = NULL: the first vector column. */
    struct expr *where;
    struct expr *limit, *offset; /* limit is required by the grammar. */
    struct options with;
};

struct stmt_explain {
    bool analyze;
    bool is_json;
    struct stmt *statement; /* SELECT SEARCH INSERT UPDATE DELETE */
};

struct stmt_copy {
    struct name collection;
    struct name *columns; /* n_columns = 0: all. */
    size_t n_columns;
    bool is_from;
    enum on_conflict on_conflict; /* FROM */
    const char *file;             /* NULL: STDIN or STDOUT. */
    struct options with;          /* FORMAT, HEADER, DELIMITER, NULL, START, IDS and policies. */
};

struct stmt_set {
    struct name name;
    struct expr *value; /* A literal or parameter; a bare word is a TEXT literal. */
};

struct stmt_show { /* SHOW recall | ALL | COLLECTIONS | SHARDS | SESSIONS | METRICS | RECALL ... */
    struct name name;
};

struct stmt_reset {
    struct name name; /* "all" resets everything. */
};

struct stmt_describe {
    struct name collection;
};

struct stmt_reindex {
    struct name collection;
    struct name column; /* text = NULL: each vector column. */
    struct options with;
};

struct stmt {
    enum stmt_kind kind;
    uint32_t position;
    uint32_t n_parameters; /* The highest $n. */
    union {
        struct stmt_create create;
        struct stmt_drop drop;
        struct stmt_insert insert;
        struct stmt_update update;
        struct stmt_delete del;
        struct stmt_select select;
        struct stmt_search search;
        struct stmt_explain explain;
        struct stmt_copy copy;
        struct stmt_set set;
        struct stmt_show show;
        struct stmt_reset reset;
        struct stmt_describe describe;
        struct stmt_reindex reindex;
    };
};

#endif
