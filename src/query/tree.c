/* A plan's operators, from the root to the leaf: opened, asked for rows, explained, closed. */
#include "query/explain_int.h"
#include "query/leaf_int.h"
#include "query/operator_int.h"
#include "query/tree_int.h"
#include "query/verb_int.h"

static const struct operator_kind *const kinds[OPERATORS] = {
#define OPERATOR(name, text) [OPERATOR_##name] = &operator_##name,
#include "plan/operators.def"
#undef OPERATOR
};

size_t operators_bytes(const struct plan *plan)
{
    size_t bytes = 0;
    for (const struct operator_plan *o = plan->leaf; o != NULL; o = o->above) {
        CHECK(o->kind < OPERATORS && kinds[o->kind] != NULL);
        CHECK(kinds[o->kind]->bytes % _Alignof(struct operator_run) == 0);
        bytes += kinds[o->kind]->bytes;
    }
    return bytes;
}

/* One behind the other in one piece of memory, the input first: who is open has whatever is below
 * it. */
enum errcode operators_open(struct portal *p, struct err *err)
{
    CHECK(p->root == NULL && p->plan->leaf != NULL);
    void *at = arena_zalloc(p->arena, p->operator_bytes);
    if (at == NULL) {
        return portal_no_memory(p, err);
    }
    p->leaf = at;
    for (const struct operator_plan *plan = p->plan->leaf; plan != NULL; plan = plan->above) {
        const struct operator_kind *kind = kinds[plan->kind];
        struct operator_run *o = at;
        CHECK((kind->next != NULL) != (kind->step != NULL));
        o->kind = kind;
        o->plan = plan;
        o->portal = p;
        o->input = p->root;
        o->is_measured = p->plan->is_analyze;
        p->root = o; /* What is to be closed. */
        at = (uint8_t *)at + kind->bytes;
        enum errcode code = kind->open != NULL ? kind->open(o, err) : ERR_OK;
        if (code != ERR_OK) {
            operators_close(p);
            return code;
        }
    }
    return ERR_OK;
}

void operators_close(struct portal *p)
{
    for (struct operator_run *o = p->root; o != NULL; o = o->input) {
        CHECK_HOT(o->portal == p);
        if (o->kind->close != NULL) {
            o->kind->close(o);
        }
    }
    p->root = NULL;
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
    if (code != ERR_OK) {
        return STEP_FAILED;
    }
    bool is_short = p->leaves != NULL && p->leaves->is_short;
    return row != NULL || is_short ? STEP_MORE : STEP_DONE;
}

enum step operators_step(struct portal *p, struct err *err)
{
    struct operator_run *root = p->root;
    CHECK_HOT(root != NULL && p->leaf != NULL);
    enum step step;
    if (root->kind->step == NULL) {
        step = give_rows(p, err);
    } else {
        step = root->is_measured ? measured_step(root, err) : root->kind->step(root, err);
    }
    if (p->leaf->kind->pause != NULL) {
        p->leaf->kind->pause(p->leaf);
    }
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
    CHECK(p->root != NULL);
    explain_one(p->root, out);
}
