/* From a text to a plan: parsed, given to the analysis of its verb, and made whole. */
#include "plan/analyze_int.h"
#include "plan/plan.h"

#include <string.h>

/* What the analysis of a statement is, and which policies its WITH may set. */
struct analyzer {
    enum errcode (*analyze)(struct analysis *a, const struct stmt *stmt, struct err *err);
    uint64_t policies;
};

#define BIT(policy) (1ULL << POLICY_##policy)
#define OF_ANY      (BIT(timeout) | BIT(statement_memory))
#define OF_WRITES   (OF_ANY | BIT(ack))
#define OF_SEARCH                                                                                  \
    (OF_ANY | BIT(recall) | BIT(ef) | BIT(exact) | BIT(on_miss) | BIT(rerank_depth) |              \
     BIT(index_lag) | BIT(on_lag))

static const struct analyzer *analyzer_of(const struct stmt *stmt)
{
    static const struct analyzer of_copy_in = {analyze_copy_in, OF_WRITES};
    static const struct analyzer of_copy_out = {analyze_copy_out, OF_ANY};
    static const struct analyzer analyzers[STMT_COUNT] = {
        [STMT_CREATE_COLLECTION] = {analyze_create, 0},
        [STMT_DROP_COLLECTION] = {analyze_drop, 0},
        [STMT_INSERT] = {analyze_insert, OF_WRITES},
        [STMT_UPDATE] = {analyze_modify, OF_WRITES},
        [STMT_DELETE] = {analyze_modify, OF_WRITES},
        [STMT_SELECT] = {analyze_select, OF_ANY},
        [STMT_SEARCH] = {analyze_search, OF_SEARCH},
        [STMT_SET] = {analyze_set, 0},
        [STMT_SHOW] = {analyze_show, 0},
        [STMT_RESET] = {analyze_reset, 0},
        [STMT_DESCRIBE] = {analyze_describe, 0},
        [STMT_CHECKPOINT] = {NULL, 0},
        [STMT_REINDEX] = {analyze_reindex, 0},
    };
    if (stmt->kind == STMT_COPY) {
        return stmt->copy.is_from ? &of_copy_in : &of_copy_out;
    }
    CHECK_HOT(stmt->kind < STMT_COUNT && stmt->kind != STMT_EXPLAIN);
    return &analyzers[stmt->kind];
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
    const struct analyzer *analyzer = analyzer_of(stmt);
    plan->policies = analyzer->policies;
    enum errcode code = analyzer->analyze != NULL ? analyzer->analyze(a, stmt, err) : ERR_OK;
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
    if (a->source->n_leaves > 0 && analyze_cut(a, err) != ERR_OK) {
        return err->code;
    }
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
    plan_free(plan);
    return code;
}

enum errcode plan_new(const struct plan_source *source, struct plan **out, size_t *rest,
                      struct err *err)
{
    const struct statement_text *text = source->text;
    CHECK_HOT(text->data != NULL && (text->types != NULL || text->n_types == 0));
    CHECK_HOT(source->map != NULL && source->poll != NULL);
    struct stmt *stmt = NULL;
    struct arena *arena = arena_new(MEM_SESSION, source->bytes_max);
    struct plan *plan = arena != NULL ? arena_zalloc(arena, sizeof(*plan)) : NULL;
    *out = NULL;
    if (plan == NULL) {
        arena_free(arena);
        return err_no_memory(err);
    }
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
