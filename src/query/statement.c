/* From a text to a plan: parsed, given to the analysis of its verb, and made whole. */
#include "query/analyze_int.h"
#include "query/plan_int.h"
#include "query/statement_int.h"
#include "query/verb_int.h"

#include <string.h>

static const struct verb *verb_of(const struct stmt *stmt)
{
    static const struct verb *const verbs[STMT_COUNT] = {
        [STMT_CREATE_COLLECTION] = &verb_create,
        [STMT_DROP_COLLECTION] = &verb_drop,
        [STMT_INSERT] = &verb_insert,
        [STMT_UPDATE] = &verb_modify,
        [STMT_DELETE] = &verb_modify,
        [STMT_SELECT] = &verb_select,
        [STMT_SEARCH] = &verb_search,
        [STMT_SET] = &verb_set,
        [STMT_SHOW] = &verb_show,
        [STMT_RESET] = &verb_reset,
        [STMT_DESCRIBE] = &verb_describe,
        [STMT_CHECKPOINT] = &verb_checkpoint,
        [STMT_REINDEX] = &verb_reindex,
    };
    if (stmt->kind == STMT_COPY) {
        return stmt->copy.is_from ? &verb_copy_in : &verb_copy_out;
    }
    return verbs[stmt->kind];
}

static enum errcode analyze_explained(struct analysis *a, struct err *err)
{
    struct plan *plan = a->plan;
    struct result_column column = {.name = "plan", .type = plan->is_json ? TYPE_JSON : TYPE_TEXT};
    plan->tag = stmt_name(STMT_EXPLAIN);
    plan->n_output_columns = plan->n_columns;
    return analyze_result(a, &column, 1, err);
}

static enum errcode analyze_stmt(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    struct plan *plan = a->plan;
    if (stmt->kind == STMT_EXPLAIN) {
        plan->is_explain = true;
        plan->is_analyze = stmt->explain.analyze;
        plan->is_json = stmt->explain.is_json;
        stmt = stmt->explain.statement;
    }
    plan->stmt = stmt;
    plan->tag = stmt_name(stmt->kind);
    plan->verb = verb_of(stmt);
    enum errcode code = plan->verb->analyze(a, stmt, err);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < a->scope.n_types; i++) {
        if (a->scope.types[i] == TYPE_NULL) {
            a->scope.types[i] = TYPE_TEXT;
        }
    }
    plan->types = a->scope.types;
    plan->n_types = a->scope.n_types;
    plan->stack_max = a->scope.stack_max;
    plan->sets = a->scope.sets;
    plan->n_sets = a->scope.n_sets;
    plan->uses_now = a->scope.used_now;
    return plan->is_explain ? analyze_explained(a, err) : ERR_OK;
}

/* Where the first statement of a text ends; the whole text where it holds one at the most. */
static enum errcode first_statement(struct analysis *a, const struct statement_text *all,
                                    size_t *end, struct err *err)
{
    const char *text = all->data;
    size_t bytes = all->bytes;
    const char *semicolon = memchr(text, ';', bytes);
    size_t at = semicolon != NULL ? (size_t)(semicolon - text) + 1 : bytes;
    while (at < bytes && strchr(" \t\r\n", text[at]) != NULL) {
        at++;
    }
    *end = bytes;
    struct stmt *stmt;
    /* Parsed twice, so that a plan keeps its own statement and not all that came with it. */
    struct parse_source source = {text, bytes, a->plan->arena, &a->work};
    return at < bytes ? parse_metered(&source, &stmt, end, err) : ERR_OK;
}

static enum errcode ask(struct work *work, struct err *err)
{
    struct analysis *a = CONTAINER_OF(work, struct analysis, work);
    enum errcode code = a->source->poll(a->source->arg, err);
    work->left = code == ERR_OK ? WORK_SLICE : 0;
    return code;
}

static enum errcode parse_own(struct analysis *a, const struct statement_text *text,
                              struct stmt **stmt, size_t *rest, struct err *err)
{
    struct plan *plan = a->plan;
    size_t end, unused;
    enum errcode code = first_statement(a, text, &end, err);
    if (code != ERR_OK) {
        return code;
    }
    plan->text = arena_strndup(plan->arena, text->data, end);
    plan->text_bytes = end;
    if (plan->text == NULL) {
        return err_no_memory(err);
    }
    struct parse_source source = {plan->text, end, plan->arena, &a->work};
    code = parse_metered(&source, stmt, &unused, err);
    *rest = end < text->bytes ? end : unused;
    return code;
}

/* Frees what was made of a statement that is refused. */
static enum errcode give_up(struct plan *plan, enum errcode code, struct err *err)
{
    if (code == ERR_OUT_OF_MEMORY && err->policy[0] == '\0') {
        err_hint(err, "Its text and plan count in statement_memory: write less, or raise that.");
        err_policy(err, "statement_memory");
    }
    plan_release(plan);
    return code;
}

enum errcode plan_new(const struct plan_source *source, struct plan **out, size_t *rest,
                      struct err *err)
{
    const struct statement_text *text = source->text;
    struct stmt *stmt = NULL;
    struct arena *arena = arena_new(MEM_SESSION, source->bytes_max);
    struct plan *plan = arena != NULL ? arena_zalloc(arena, sizeof(*plan)) : NULL;
    *out = NULL;
    if (plan == NULL) {
        arena_free(arena);
        return err_no_memory(err);
    }
    atomic_init(&plan->refs, 1);
    plan->arena = arena;
    struct analysis a = {.source = source,
                         .plan = plan,
                         .scope = {.arena = arena, .work = &a.work},
                         .work = {.left = WORK_SLICE, .ask = ask}};
    enum errcode code = parse_own(&a, text, &stmt, rest, err);
    if (code != ERR_OK || stmt == NULL) {
        return give_up(plan, code, err);
    }
    a.scope.n_types = stmt->n_parameters;
    a.scope.types = arena_zalloc(arena, a.scope.n_types);
    if (a.scope.types == NULL) {
        code = err_no_memory(err);
    } else {
        for (size_t i = 0; i < text->n_types && i < a.scope.n_types; i++) {
            a.scope.types[i] = text->types[i] < TYPE_COUNT ? text->types[i] : 0;
        }
        code = analyze_stmt(&a, stmt, err);
    }
    if (code != ERR_OK) {
        return give_up(plan, code, err);
    }
    *out = plan;
    return ERR_OK;
}
