/* Prepared statements: a text, and the plan that was made of it.
 *
 * Plans are immutable and counted: portals keep theirs while they run, and a prepared statement
 * whose collection was dropped (and perhaps made anew) gets a new plan when it is run next. */
#include "query/query_int.h"

#include <string.h>

struct prepared {
    struct plan *plan;
    uint8_t *types; /* As the client gave them. */
    size_t n_types;
};

void plan_acquire(struct plan *plan)
{
    atomic_fetch_add(&plan->refs, 1);
}

void plan_release(struct plan *plan)
{
    if (plan != NULL && atomic_fetch_sub(&plan->refs, 1) == 1) {
        collection_release(plan->collection);
        arena_free(plan->arena); /* The plan itself is in it. */
    }
}

enum errcode prepared_new(struct query_session *session, const struct statement_text *text,
                          struct prepared **out, size_t *rest, struct err *err)
{
    struct plan *plan;
    *out = NULL;
    enum errcode code = analyze(session, text, &plan, rest, err);
    if (code != ERR_OK || plan == NULL) {
        return code;
    }
    struct prepared *prepared = mem_zalloc(MEM_SESSION, sizeof(*prepared));
    uint8_t *copy = mem_alloc(MEM_SESSION, text->n_types + 1);
    if (prepared == NULL || copy == NULL) {
        mem_free(MEM_SESSION, prepared);
        mem_free(MEM_SESSION, copy);
        plan_release(plan);
        return err_no_memory(err);
    }
    if (text->n_types > 0) {
        memcpy(copy, text->types, text->n_types);
    }
    *prepared = (struct prepared){.plan = plan, .types = copy, .n_types = text->n_types};
    *out = prepared;
    return ERR_OK;
}

void prepared_free(struct prepared *prepared)
{
    if (prepared != NULL) {
        plan_release(prepared->plan);
        mem_free(MEM_SESSION, prepared->types);
        mem_free(MEM_SESSION, prepared);
    }
}

size_t prepared_parameters(const struct prepared *prepared, const uint8_t **types)
{
    *types = prepared->plan->types;
    return prepared->plan->n_types;
}

size_t prepared_columns(const struct prepared *prepared, const struct result_column **columns)
{
    *columns = prepared->plan->columns;
    return prepared->plan->n_columns;
}

enum errcode prepared_plan(struct query_session *session, struct prepared *prepared,
                           struct plan **out, struct err *err)
{
    struct plan *plan = prepared->plan;
    if (plan->collection != NULL && atomic_load(&plan->collection->is_dropped)) {
        size_t rest;
        struct statement_text text = {.data = plan->text,
                                      .bytes = plan->text_bytes,
                                      .types = prepared->types,
                                      .n_types = prepared->n_types};
        enum errcode code = analyze(session, &text, &plan, &rest, err);
        if (code != ERR_OK) {
            return code;
        }
        CHECK(plan != NULL); /* The same text was a statement before. */
        plan_release(prepared->plan);
        prepared->plan = plan;
    }
    *out = plan;
    return ERR_OK;
}

enum errcode prepared_refresh(struct query_session *session, struct prepared *prepared,
                              struct err *err)
{
    struct plan *plan;
    return prepared_plan(session, prepared, &plan, err);
}
