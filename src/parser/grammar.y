/* The grammar of VQL, for lemon.
 *
 * Actions only call builders (build.c, build_stmt.c); names stay unresolved.  Most keywords fall
 * back to NAME where they have no meaning of their own.  The precedence of operators is
 * PostgreSQL's; AND and OR are lists, so that chains of them stay flat.
 *
 * The stack has a fixed size.  What it must hold at most: 100 open parentheses, before each of
 * them the begun chains of OR and AND and what is open of a call or of a CASE, up to ten symbols,
 * and along the path the left parts of at most 100 operators of up to five symbols. */
%name Grammar
%token_prefix TK_
%token_type {struct token}
%extra_context {struct parse *p}
%start_symbol input
%stack_size 1600
%stack_overflow {
    parse_fail(p, ERR_NESTED_TOO_DEEP, p->token_begin + 1,
               "the statement is nested more than %d deep", VQL_DEPTH_MAX);
}

%include {
#include "parser/parser_int.h"

#include <string.h>

/* What follows is lemon's template, which was not written for our warnings. */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-variable"

#define YYNOERRORRECOVERY 1

static const struct token no_token;
static void fail_in_state(struct parse *p, int token, unsigned state);
}

%syntax_error {
    (void)yyminor;
    fail_in_state(p, yymajor, yypParser->yytos->stateno);
}

%fallback NAME
    ANALYZE ASC BY CHECKPOINT COLLECTION COLUMN CONFLICT COPY DELETE DESC DESCRIBE DO DROP
    EXISTS EXPLAIN FIRST INSERT KEY LAST METRIC NOTHING NULLS ON QUANTIZATION REINDEX RESET SET
    SHOW STDIN STDOUT UPDATE VALUES.

%left RP.
%left CONCAT JSON JSON_TEXT.
%left PLUS MINUS.
%left STAR SLASH PERCENT.
%right SIGN.
%left COLONS.

%type statement     {struct stmt *}
%type explainable   {struct stmt *}
%type select        {struct stmt *}
%type search        {struct stmt *}
%type insert        {struct stmt *}
%type update        {struct stmt *}
%type delete        {struct stmt *}
%type copy          {struct stmt *}
%type set           {struct stmt *}
%type expr          {struct expr *}
%type conjunction   {struct expr *}
%type condition     {struct expr *}
%type test          {struct expr *}
%type comparison    {struct expr *}
%type membership    {struct expr *}
%type term          {struct expr *}
%type case_of       {struct expr *}
%type case_else     {struct expr *}
%type cast_type     {struct cast_type}
%type literal       {struct expr *}
%type constant      {struct expr *}
%type setting       {struct expr *}
%type count         {struct expr *}
%type where         {struct expr *}
%type having        {struct expr *}
%type or_terms      {struct chain}
%type and_terms     {struct chain}
%type exprs         {struct list *}
%type arguments     {struct list *}
%type trimmed       {struct list *}
%type side          {struct token}
%type whens         {struct list *}
%type targets       {struct list *}
%type group_by      {struct list *}
%type order_by      {struct list *}
%type orders        {struct list *}
%type names         {struct list *}
%type columns       {struct list *}
%type column_defs   {struct list *}
%type column_def    {struct column_def *}
%type rows          {struct list *}
%type assignments   {struct list *}
%type queries       {struct list *}
%type nears         {struct list *}
%type options       {struct list *}
%type with          {struct list *}
%type copy_with     {struct list *}
%type explain_with  {struct list *}
%type on_conflict   {int}
%type if_exists     {int}
%type if_not_exists {int}
%type analyze       {int}
%type distinct      {int}
%type direction     {int}
%type nulls         {int}
%type limits        {struct limits}
%type some_limit    {struct limits}
%type from          {struct from}
%type in_column     {struct token}
%type of_column     {struct token}
%type as            {struct token}
%type option_name   {struct token}

input ::= statement(S). { p->statement = S; }

statement(A) ::= explainable(S). { A = S; }
statement(A) ::= copy(S). { A = S; }
statement(A) ::= set(S). { A = S; }

/* ---- definitions ---- */

statement(A) ::= CREATE(T) COLLECTION if_not_exists(E) NAME(N) LP column_defs(C) RP with(W). {
    A = stmt_create(stmt_new(p, STMT_CREATE_COLLECTION, T, N), E != 0, C, W);
}
statement(A) ::= DROP(T) COLLECTION if_exists(E) NAME(N). {
    A = stmt_drop(stmt_new(p, STMT_DROP_COLLECTION, T, N), E != 0);
}

if_not_exists(A) ::= . { A = 0; }
if_not_exists(A) ::= IF NOT EXISTS. { A = 1; }
if_exists(A) ::= . { A = 0; }
if_exists(A) ::= IF EXISTS. { A = 1; }

column_defs(A) ::= column_def(C). { A = list_add_column(p, NULL, C); }
column_defs(A) ::= column_defs(L) COMMA column_def(C). { A = list_add_column(p, L, C); }

column_def(A) ::= NAME(N) NAME(T). { A = column_new(p, N, T, NULL); }
column_def(A) ::= NAME(N) NAME(T) LP INTEGER(D) RP. { A = column_new(p, N, T, &D); }
column_def(A) ::= column_def(C) METRIC NAME(M). { A = column_metric(p, C, M); }
column_def(A) ::= column_def(C) QUANTIZATION NAME(Q). { A = column_quantize(p, C, Q); }
column_def(A) ::= column_def(C) QUANTIZATION INTEGER(Q). { A = column_quantize(p, C, Q); }
column_def(A) ::= column_def(C) PRIMARY KEY. { A = column_key(C); }
column_def(A) ::= column_def(C) NOT NULL. { A = column_not_null(C); }

/* ---- rows ---- */

explainable(A) ::= insert(S). { A = S; }
explainable(A) ::= update(S). { A = S; }
explainable(A) ::= delete(S). { A = S; }
explainable(A) ::= select(S). { A = S; }
explainable(A) ::= search(S). { A = S; }

insert(A) ::= INSERT(T) INTO NAME(N) columns(C) VALUES rows(R) on_conflict(O) with(W). {
    A = stmt_insert(p, stmt_new(p, STMT_INSERT, T, N), C, R, W);
    stmt_on_conflict(A, (enum on_conflict)O);
}

rows(A) ::= LP exprs(E) RP. { A = list_add_row(p, NULL, E); }
rows(A) ::= rows(L) COMMA LP exprs(E) RP. { A = list_add_row(p, L, E); }

on_conflict(A) ::= . { A = CONFLICT_ERROR; }
on_conflict(A) ::= ON CONFLICT DO NOTHING. { A = CONFLICT_NOTHING; }
on_conflict(A) ::= ON CONFLICT DO UPDATE. { A = CONFLICT_UPDATE; }

update(A) ::= UPDATE(T) NAME(N) SET assignments(S) where(E) with(W). {
    A = stmt_update(stmt_new(p, STMT_UPDATE, T, N), S, E, W);
}

assignments(A) ::= NAME(N) EQ expr(E). { A = list_add_assignment(p, NULL, N, E); }
assignments(A) ::= assignments(L) COMMA NAME(N) EQ expr(E). {
    A = list_add_assignment(p, L, N, E);
}

delete(A) ::= DELETE(T) FROM NAME(N) where(E) with(W). {
    A = stmt_delete(stmt_new(p, STMT_DELETE, T, N), E, W);
}

/* ---- queries ---- */

select(A) ::= SELECT(T) distinct(D) targets(L) from(F) where(E) group_by(G) having(H)
              order_by(O) limits(M) with(W). {
    A = stmt_select(stmt_new(p, STMT_SELECT, T, F.name), D != 0, L, O);
    stmt_group(A, F.show, G, H);
    stmt_filter(A, E, M, W);
}

distinct(A) ::= . { A = 0; }
distinct(A) ::= DISTINCT. { A = 1; }

search(A) ::= SEARCH(T) targets(L) FROM NAME(N) NEAR queries(Q) in_column(C) where(E)
              some_limit(M) with(W). {
    A = stmt_search(stmt_new(p, STMT_SEARCH, T, N), L, Q, C);
    stmt_filter(A, E, M, W);
}

targets(A) ::= STAR(T). { A = list_add_star(p, NULL, T); }
targets(A) ::= expr(E) as(N). { A = list_add_target(p, NULL, E, N); }
targets(A) ::= targets(L) COMMA STAR(T). { A = list_add_star(p, L, T); }
targets(A) ::= targets(L) COMMA expr(E) as(N). { A = list_add_target(p, L, E, N); }

as(A) ::= . { A = no_token; }
as(A) ::= AS NAME(N). { A = N; }
as(A) ::= NAME(N). { A = N; }

/* The name that stands behind what SHOW gives is asked for by habit, and means nothing. */
from(A) ::= . { A = (struct from){no_token, NULL}; }
from(A) ::= FROM NAME(N). { A = (struct from){N, NULL}; }
from(A) ::= FROM LP SHOW(T) NAME(N) RP as. {
    A = (struct from){no_token, stmt_new(p, STMT_SHOW, T, N)};
}
from(A) ::= FROM LP DESCRIBE(T) NAME(N) RP as. {
    A = (struct from){no_token, stmt_new(p, STMT_DESCRIBE, T, N)};
}

where(A) ::= . { A = NULL; }
where(A) ::= WHERE expr(E). { A = E; }

group_by(A) ::= . { A = NULL; }
group_by(A) ::= GROUP BY exprs(L). { A = L; }

having(A) ::= . { A = NULL; }
having(A) ::= HAVING expr(E). { A = E; }

order_by(A) ::= . { A = NULL; }
order_by(A) ::= ORDER BY orders(L). { A = L; }

orders(A) ::= expr(E) direction(D) nulls(N). { A = list_add_order(p, NULL, E, D != 0, N); }
orders(A) ::= orders(L) COMMA expr(E) direction(D) nulls(N). {
    A = list_add_order(p, L, E, D != 0, N);
}

direction(A) ::= . { A = 0; }
direction(A) ::= ASC. { A = 0; }
direction(A) ::= DESC. { A = 1; }

nulls(A) ::= . { A = -1; }
nulls(A) ::= NULLS FIRST. { A = 1; }
nulls(A) ::= NULLS LAST. { A = 0; }

limits(A) ::= . { A = (struct limits){NULL, NULL}; }
limits(A) ::= OFFSET count(O). { A = (struct limits){NULL, O}; }
limits(A) ::= some_limit(L). { A = L; }

some_limit(A) ::= LIMIT count(L). { A = (struct limits){L, NULL}; }
some_limit(A) ::= LIMIT count(L) OFFSET count(O). { A = (struct limits){L, O}; }
some_limit(A) ::= OFFSET count(O) LIMIT count(L). { A = (struct limits){L, O}; }

count(A) ::= INTEGER(T). { A = expr_integer(p, T); }
count(A) ::= MINUS(M) INTEGER(T). { A = expr_negate(p, M, expr_integer(p, T)); }
count(A) ::= PARAMETER(T). { A = expr_parameter(p, T); }

queries(A) ::= nears(L). { A = L; }
queries(A) ::= LP near_list(L) RP. { A = L; }

%type near_list {struct list *}
near_list(A) ::= nears(L). { A = L; }
near_list(A) ::= near_list(L) COMMA constant(E). { A = list_add_near(p, L, NEAR_VECTOR, E); }
near_list(A) ::= near_list(L) COMMA KEY constant(E). { A = list_add_near(p, L, NEAR_KEY, E); }

nears(A) ::= constant(E). { A = list_add_near(p, NULL, NEAR_VECTOR, E); }
nears(A) ::= KEY constant(E). { A = list_add_near(p, NULL, NEAR_KEY, E); }

in_column(A) ::= . { A = no_token; }
in_column(A) ::= IN NAME(N). { A = N; }

/* ---- the rest ---- */

statement(A) ::= EXPLAIN(T) analyze(Z) explain_with(O) explainable(S). {
    A = stmt_explain(p, stmt_new(p, STMT_EXPLAIN, T, no_token), Z != 0, O, S);
}

analyze(A) ::= . { A = 0; }
analyze(A) ::= ANALYZE. { A = 1; }

explain_with(A) ::= . { A = NULL; }
explain_with(A) ::= LP options(O) RP. { A = O; }

copy(A) ::= COPY(T) NAME(N) columns(C) FROM STDIN on_conflict(O) copy_with(W). {
    A = stmt_copy(stmt_new(p, STMT_COPY, T, N), no_token, C, W);
    stmt_is_from(A, (enum on_conflict)O);
}
copy(A) ::= COPY(T) NAME(N) columns(C) FROM STRING(F) on_conflict(O) copy_with(W). {
    A = stmt_copy(stmt_new(p, STMT_COPY, T, N), F, C, W);
    stmt_is_from(A, (enum on_conflict)O);
}
copy(A) ::= COPY(T) NAME(N) columns(C) TO STDOUT copy_with(W). {
    A = stmt_copy(stmt_new(p, STMT_COPY, T, N), no_token, C, W);
}
copy(A) ::= COPY(T) NAME(N) columns(C) TO STRING(F) copy_with(W). {
    A = stmt_copy(stmt_new(p, STMT_COPY, T, N), F, C, W);
}

copy_with(A) ::= with(W). { A = W; }
copy_with(A) ::= LP options(W) RP. { A = W; }

set(A) ::= SET(T) NAME(N) to setting(E). { A = stmt_set(stmt_new(p, STMT_SET, T, N), E); }
set(A) ::= SET(T) NAME(N) to DEFAULT. { A = stmt_new(p, STMT_RESET, T, N); }

to ::= EQ.
to ::= TO.

statement(A) ::= SHOW(T) NAME(N). { A = stmt_new(p, STMT_SHOW, T, N); }
statement(A) ::= DESCRIBE(T) NAME(N). { A = stmt_new(p, STMT_DESCRIBE, T, N); }
statement(A) ::= RESET(T) NAME(N). { A = stmt_new(p, STMT_RESET, T, N); }
statement(A) ::= REINDEX(T) NAME(N) of_column(C) with(W). {
    A = stmt_reindex(stmt_new(p, STMT_REINDEX, T, N), C, W);
}

of_column(A) ::= . { A = no_token; }
of_column(A) ::= COLUMN NAME(N). { A = N; }

statement(A) ::= CHECKPOINT(T). { A = stmt_new(p, STMT_CHECKPOINT, T, no_token); }

/* ---- options, names ---- */

with(A) ::= . { A = NULL; }
with(A) ::= WITH LP options(L) RP. { A = L; }

options(A) ::= option(O). { A = list_add_option(p, NULL, O); }
options(A) ::= options(L) COMMA option(O). { A = list_add_option(p, L, O); }

%type option {struct option}
option(A) ::= option_name(N). { A = option_of(p, N, NULL); }
option(A) ::= option_name(N) setting(E). { A = option_of(p, N, E); }
option(A) ::= option_name(N) EQ setting(E). { A = option_of(p, N, E); }

option_name(A) ::= NAME(N). { A = N; }
option_name(A) ::= NULL(N). { A = N; }

setting(A) ::= constant(E). { A = E; }
setting(A) ::= NAME(T). { A = expr_text(p, T); }

columns(A) ::= . { A = NULL; }
columns(A) ::= LP names(L) RP. { A = L; }

names(A) ::= NAME(N). { A = list_add_name(p, NULL, N); }
names(A) ::= names(L) COMMA NAME(N). { A = list_add_name(p, L, N); }

/* ---- expressions ---- */

/* x IN (y) is of a list, and position(x IN (y)) too is one until expr_call. */
exprs(A) ::= expr(E). [RP] { A = list_add_expr(p, NULL, E); }
exprs(A) ::= exprs(L) COMMA expr(E). { A = list_add_expr(p, L, E); }

expr(A) ::= or_terms(C). { A = chain_end(p, C, OP_OR); }
or_terms(A) ::= conjunction(E). { A = (struct chain){E, NULL}; }
or_terms(A) ::= or_terms(C) OR conjunction(E). { A = chain_add(p, C, OP_OR, E); }

conjunction(A) ::= and_terms(C). { A = chain_end(p, C, OP_AND); }
and_terms(A) ::= condition(E). { A = (struct chain){E, NULL}; }
and_terms(A) ::= and_terms(C) AND condition(E). { A = chain_add(p, C, OP_AND, E); }

condition(A) ::= test(E). { A = E; }
condition(A) ::= NOT(T) condition(E). { A = expr_unary(p, OP_NOT, T, E); }

/* These do not associate: a = b = c is refused. */
test(A) ::= comparison(E). { A = E; }
test(A) ::= comparison(E) IS(T) NULL. { A = expr_unary(p, OP_IS_NULL, T, E); }
test(A) ::= comparison(E) IS(T) NOT NULL. { A = expr_unary(p, OP_IS_NOT_NULL, T, E); }

comparison(A) ::= membership(E). { A = E; }
comparison(A) ::= membership(L) EQ(T) membership(R). { A = expr_binary(p, OP_EQ, T, L, R); }
comparison(A) ::= membership(L) NE(T) membership(R). { A = expr_binary(p, OP_NE, T, L, R); }
comparison(A) ::= membership(L) LT(T) membership(R). { A = expr_binary(p, OP_LT, T, L, R); }
comparison(A) ::= membership(L) LE(T) membership(R). { A = expr_binary(p, OP_LE, T, L, R); }
comparison(A) ::= membership(L) GT(T) membership(R). { A = expr_binary(p, OP_GT, T, L, R); }
comparison(A) ::= membership(L) GE(T) membership(R). { A = expr_binary(p, OP_GE, T, L, R); }

membership(A) ::= term(E). { A = E; }
membership(A) ::= term(L) LIKE(T) term(R). { A = expr_binary(p, OP_LIKE, T, L, R); }
membership(A) ::= term(L) NOT_BEFORE(T) LIKE term(R). {
    A = expr_binary(p, OP_NOT_LIKE, T, L, R);
}
membership(A) ::= term(L) ILIKE(T) term(R). { A = expr_binary(p, OP_ILIKE, T, L, R); }
membership(A) ::= term(L) NOT_BEFORE(T) ILIKE term(R). {
    A = expr_binary(p, OP_NOT_ILIKE, T, L, R);
}
membership(A) ::= term(L) BETWEEN(T) term(F) AND term(U). { A = expr_between(p, T, L, F, U); }
membership(A) ::= term(L) NOT_BEFORE(T) BETWEEN term(F) AND term(U). {
    A = expr_negated(expr_between(p, T, L, F, U));
}
membership(A) ::= term(L) IN(T) LP exprs(I) RP. { A = expr_in(p, T, L, I); }
membership(A) ::= term(L) NOT_BEFORE(T) IN LP exprs(I) RP. {
    A = expr_negated(expr_in(p, T, L, I));
}

term(A) ::= literal(E). { A = E; }
term(A) ::= NAME(N). { A = expr_column(p, N); }
term(A) ::= NAME(N) LP arguments(L) RP. { A = expr_call(p, N, L, false); }
term(A) ::= NAME(N) LP DISTINCT exprs(L) RP. { A = expr_distinct(expr_call(p, N, L, false)); }
term(A) ::= NAME(N) LP STAR RP. { A = expr_call(p, N, NULL, true); }
term(A) ::= NAME(N) LP expr(X) FROM expr(F) RP. { A = expr_from(p, N, X, F, NULL); }
term(A) ::= NAME(N) LP expr(X) FROM expr(F) FOR expr(C) RP. { A = expr_from(p, N, X, F, C); }
term(A) ::= NAME(N) LP expr(X) FOR expr(C) FROM expr(F) RP. { A = expr_from(p, N, X, F, C); }
term(A) ::= NAME(N) LP expr(X) FOR expr(C) RP. { A = expr_from(p, N, X, NULL, C); }
term(A) ::= NAME(N) LP side(S) trimmed(L) RP. { A = expr_trim(p, N, S, L); }
term(A) ::= NAME(N) LP FROM(S) expr(E) RP. {
    A = expr_trim(p, N, S, list_add_expr(p, NULL, E));
}
term(A) ::= NAME(N) LP term(X) IN term(E) RP. { A = expr_position(p, N, X, E); }
term(A) ::= LP expr(E) RP. { A = E; }
term(A) ::= CASE(T) case_of(O) whens(W) case_else(E) END. { A = expr_case(p, T, O, W, E); }
term(A) ::= CAST(T) LP expr(E) AS cast_type(Y) RP. { A = expr_cast(p, T, E, Y); }
term(A) ::= term(E) COLONS(T) cast_type(Y). { A = expr_cast(p, T, E, Y); }

case_of(A) ::= . { A = NULL; }
case_of(A) ::= expr(E). { A = E; }

whens(A) ::= WHEN expr(W) THEN expr(T). { A = list_add_when(p, NULL, W, T); }
whens(A) ::= whens(L) WHEN expr(W) THEN expr(T). { A = list_add_when(p, L, W, T); }

case_else(A) ::= . { A = NULL; }
case_else(A) ::= ELSE expr(E). { A = E; }

cast_type(A) ::= NAME(N). { A = (struct cast_type){N, no_token}; }
cast_type(A) ::= NAME(N) LP INTEGER(D) RP. { A = (struct cast_type){N, D}; }

/* First what is trimmed, then the characters that go. */
trimmed(A) ::= exprs(L). { A = L; }
trimmed(A) ::= FROM expr(E). { A = list_add_expr(p, NULL, E); }
trimmed(A) ::= expr(X) FROM expr(E). { A = list_add_expr(p, list_add_expr(p, NULL, E), X); }

side(A) ::= BOTH(T). { A = T; }
side(A) ::= LEADING(T). { A = T; }
side(A) ::= TRAILING(T). { A = T; }

arguments(A) ::= . { A = NULL; }
arguments(A) ::= exprs(L). { A = L; }

term(A) ::= term(L) CONCAT(T) term(R). { A = expr_binary(p, OP_CONCAT, T, L, R); }
term(A) ::= term(L) JSON(T) term(R). { A = expr_binary(p, OP_JSON, T, L, R); }
term(A) ::= term(L) JSON_TEXT(T) term(R). { A = expr_binary(p, OP_JSON_TEXT, T, L, R); }
term(A) ::= term(L) PLUS(T) term(R). { A = expr_binary(p, OP_ADD, T, L, R); }
term(A) ::= term(L) MINUS(T) term(R). { A = expr_binary(p, OP_SUBTRACT, T, L, R); }
term(A) ::= term(L) STAR(T) term(R). { A = expr_binary(p, OP_MULTIPLY, T, L, R); }
term(A) ::= term(L) SLASH(T) term(R). { A = expr_binary(p, OP_DIVIDE, T, L, R); }
term(A) ::= term(L) PERCENT(T) term(R). { A = expr_binary(p, OP_MODULO, T, L, R); }
term(A) ::= MINUS(T) term(E). [SIGN] { A = expr_negate(p, T, E); }
term(A) ::= MINUS(T) MINIMUM. { A = expr_minimum(p, T); }

literal(A) ::= INTEGER(T). { A = expr_integer(p, T); }
literal(A) ::= FLOAT(T). { A = expr_float(p, T); }
literal(A) ::= STRING(T). { A = expr_text(p, T); }
literal(A) ::= VECTOR(T). { A = expr_value(p, T, value_vector(T.data, T.bytes)); }
literal(A) ::= TRUE(T). { A = expr_value(p, T, value_bool(true)); }
literal(A) ::= FALSE(T). { A = expr_value(p, T, value_bool(false)); }
literal(A) ::= NULL(T). { A = expr_value(p, T, value_null()); }
literal(A) ::= PARAMETER(T). { A = expr_parameter(p, T); }

/* A literal with its sign, or a parameter. */
constant(A) ::= literal(E). { A = E; }
constant(A) ::= MINUS(T) INTEGER(N). { A = expr_negate(p, T, expr_integer(p, N)); }
constant(A) ::= MINUS(T) FLOAT(N). { A = expr_negate(p, T, expr_float(p, N)); }
constant(A) ::= MINUS(T) MINIMUM. { A = expr_minimum(p, T); }

%code {
/* @token does not fit.  Here are lemon's tables: what could have stood in @state instead. */
static void fail_in_state(struct parse *p, int token, unsigned state)
{
    if (token == TK_MINIMUM) {
        parse_fail_range(p, "INT");
        return;
    }
    int expected[YYNTOKEN];
    size_t n = 0;
    CHECK(state <= YY_SHIFT_COUNT);
    for (int other = 0; other < YYNTOKEN; other++) {
        int i = yy_shift_ofst[state] + other;
        if (yy_lookahead[i] == other && yy_action[i] != YY_ERROR_ACTION) {
            expected[n++] = other;
        }
    }
    parse_fail_expected(p, expected, n);
}

void grammar_run(struct parse *p)
{
    yyParser parser;
    struct token token;
    int type;
    GrammarInit(&parser, p);
    do {
        type = lexer_next(p, &token);
        if (type != TOKEN_FAILED) {
            Grammar(&parser, type, token);
        }
    } while (type > TOKEN_END && !parse_failed(p));
    GrammarFinalize(&parser);
}
}
