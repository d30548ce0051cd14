/* A plan's operators, from the root to the leaf: opened, asked for rows, explained, closed. */
#include "query/analyze_int.h"
#include "query/explain_int.h"
#include "query/operator_int.h"
#include "query/verb_int.h"

enum errcode operator_add(struct analysis *a, const struct operator_kind *kind,
                          struct operator_plan **out, struct err *err)
{
    struct operator_plan *o = arena_zalloc(a->scope.arena, sizeof(*o));
    if (o == NULL) {
        return err_no_memory(err);
    }
    o->kind = kind;
    o->input = a->plan->root;
    a->plan->root = o;
    if (out != NULL) {
        *out = o;
    }
    return ERR_OK;
}

static struct operator_run *operator_new(struct portal *p, const struct operator_plan *plan)
{
    struct operator_run *o = arena_zalloc(p->arena, plan->kind->bytes);
    if (o != NULL) {
        o->kind = plan->kind;
        o->plan = plan;
        o->portal = p;
        o->is_measured = p->plan->is_analyze;
    }
    return o;
}

/* The input first: who is open has whatever is below it. */
static enum errcode open_all(struct portal *p, const struct operator_plan *plan,
                             struct operator_run **out, struct err *err)
{
    struct operator_run *o = operator_new(p, plan);
    if (o == NULL) {
        return portal_no_memory(p, err);
    }
    enum errcode code = plan->input != NULL ? open_all(p, plan->input, &o->input, err) : ERR_OK;
    *out = code == ERR_OK ? o : o->input; /* What is to be closed. */
    return code == ERR_OK && o->kind->open != NULL ? o->kind->open(o, err) : code;
}

enum errcode operators_open(struct portal *p, struct err *err)
{
    enum errcode code = open_all(p, p->plan->root, &p->root, err);
    if (code != ERR_OK) {
        operators_close(p);
    }
    return code;
}

void operators_close(struct portal *p)
{
    for (struct operator_run *o = p->root; o != NULL; o = o->input) {
        if (o->kind->close != NULL) {
            o->kind->close(o);
        }
    }
    p->root = NULL;
}

static void pause_all(struct operator_run *o)
{
    for (; o != NULL; o = o->input) {
        if (o->kind->pause != NULL) {
            o->kind->pause(o);
        }
    }
}

void operator_rewind(struct operator_run *o)
{
    for (; o != NULL; o = o->input) {
        if (o->kind->rewind != NULL) {
            o->kind->rewind(o);
        }
        o->rows = 0;
    }
}

enum errcode operator_measure(struct operator_run *o, struct value **row, struct err *err)
{
    uint64_t us = clock_micros(), work = portal_work(o->portal);
    enum errcode code = o->kind->next(o, row, err);
    o->us += clock_micros() - us;
    o->work += portal_work(o->portal) - work;
    o->rows += code == ERR_OK && *row != NULL ? 1 : 0;
    return code;
}

static enum step measured_step(struct operator_run *o, struct err *err)
{
    uint64_t us = clock_micros(), work = portal_work(o->portal);
    enum step step = o->kind->step(o, err);
    o->us += clock_micros() - us;
    o->work += portal_work(o->portal) - work;
    o->rows += o->portal->batch.n_rows + (step == STEP_DONE ? o->portal->rows : 0);
    return step;
}

static enum step give_rows(struct portal *p, struct err *err)
{
    struct value *row = NULL;
    enum errcode code = ERR_OK;
    do {
        code = operator_next(p->root, &row, err);
        if (code == ERR_OK && row != NULL) {
            code = portal_emit(p, row, err);
        }
    } while (code == ERR_OK && row != NULL && !portal_batch_is_full(p));
    return code != ERR_OK ? STEP_FAILED : row != NULL ? STEP_MORE : STEP_DONE;
}

enum step operators_step(struct portal *p, struct err *err)
{
    struct operator_run *root = p->root;
    enum step step;
    if (root->kind->step == NULL) {
        step = give_rows(p, err);
    } else {
        step = root->is_measured ? measured_step(root, err) : root->kind->step(root, err);
    }
    pause_all(root);
    return step;
}

/* ---- EXPLAIN ---- */

static void explain_one(const struct operator_run *o, struct explain *out)
{
    const struct explain_measure measure = {o->rows, o->us, o->work};
    explain_begin_operator(out, o->kind->name, o->is_measured ? &measure : NULL);
    if (o->kind->explain != NULL) {
        o->kind->explain(o, out);
    }
    if (o->input != NULL) {
        explain_one(o->input, out);
    }
    explain_end_operator(out);
}

void operators_explain(struct portal *p, struct explain *out)
{
    explain_one(p->root, out);
}
