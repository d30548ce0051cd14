/* A portal's first step: what no row changes is evaluated, the shard is entered, and the verb
 * begins. */
#include "query/portal_int.h"
#include "query/verb_int.h"

#include "expr/expr.h"
#include "node/node.h"
#include "plan/plan.h"

enum {
    SET_ITEM_WORK = 20 /* An item of a set that is built. */
};

enum errcode portal_check_parameters(struct portal *p, struct err *err)
{
    CHECK_HOT(p->parameters != NULL);
    const struct plan *plan = p->plan;
    for (size_t i = 0; i < plan->n_types; i++) {
        struct value value;
        enum errcode code =
            value_coerce(&p->parameters[i], (enum value_type)plan->types[i], p->arena, &value, err);
        if (code == ERR_OK) {
            code = value_check(&value, err);
        }
        if (code != ERR_OK) {
            err_prefix(err, "parameter $%zu", i + 1);
            return code;
        }
        p->parameters[i] = value;
    }
    p->is_unchecked = false;
    return ERR_OK;
}

static void resolve_search_force(const struct policy_view *view, struct force *force)
{
    const struct policy_value *ef = policy_look(view, POLICY_ef, NULL);
    const struct policy_value *depth = policy_look(view, POLICY_rerank_depth, NULL);
    force->recall = policy_float(view, POLICY_recall);
    force->ef = ef->is_auto ? 0 : ef->integer;
    force->rerank_depth = depth->is_auto ? 0 : depth->integer;
    force->is_exact = policy_bool(view, POLICY_exact);
    force->on_miss = (enum on_miss)policy_int(view, POLICY_on_miss);
    force->on_lag = (enum on_lag)policy_int(view, POLICY_on_lag);
    force->index_lag = (uint64_t)policy_int(view, POLICY_index_lag);
    force->limit_max = (uint64_t)policy_int(view, POLICY_limit_max);
}

static void resolve_force(struct portal *p)
{
    struct policy_view view;
    portal_policy_view(p, &view);
    p->force = (struct force){.ack = (enum ack)policy_int(&view, POLICY_ack),
                              .timeout_us = (uint64_t)policy_int(&view, POLICY_timeout)};
    if (p->plan_verb == &verb_search) {
        resolve_search_force(&view, &p->force);
    }
    bool is_timed = p->force.timeout_us != 0 && !p->plan_verb->is_untimed;
    p->deadline_us = is_timed ? p->started_us + p->force.timeout_us : 0;
}

static enum errcode fill_with(struct portal *p, struct err *err)
{
    if (p->plan->with_parameters == NULL) {
        return ERR_OK;
    }
    struct policy_set *with = arena_copy(p->arena, p->plan->with, sizeof(*with));
    if (with == NULL) {
        return portal_no_memory(p, err);
    }
    for (const struct with_parameter *w = p->plan->with_parameters; w != NULL; w = w->next) {
        struct value value;
        enum errcode code = portal_eval(p, w->program, &value, err);
        if (code == ERR_OK) {
            code = policy_assign(with, w->policy, LEVEL_STATEMENT, &value, err);
            err->position = w->position;
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    p->with = with;
    return ERR_OK;
}

static enum errcode build_sets(struct portal *p, struct err *err)
{
    const struct plan *plan = p->plan;
    struct value_set *sets = arena_array(p->arena, plan->n_sets, sizeof(*sets));
    const struct set_plan **plans = arena_array(p->arena, plan->n_sets, sizeof(*plans));
    if (sets == NULL || plans == NULL) {
        return portal_no_memory(p, err);
    }
    for (const struct set_plan *set = plan->sets; set != NULL; set = set->next) {
        plans[set->number] = set;
    }
    p->evaluator.sets = sets; /* Of an item, whose number is lower: those are built before. */
    for (uint32_t number = 0; number < plan->n_sets; number++) {
        const struct set_plan *set = plans[number];
        CHECK(set != NULL && set->number == number);
        if (work_spend(&p->work, SET_ITEM_WORK * set->n_items, err) != ERR_OK) {
            return err->code; /* Before memory is touched for as many. */
        }
        struct value *items = arena_array(p->arena, set->n_items, sizeof(*items));
        if (items == NULL) {
            return portal_no_memory(p, err);
        }
        for (size_t i = 0; i < set->n_items; i++) {
            enum errcode code = portal_eval(p, set->items[i], &items[i], err);
            if (code != ERR_OK) {
                return code;
            }
        }
        enum errcode code = value_set_build(&sets[set->number], items, set->n_items, &p->work, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum errcode prepare_evaluator(struct portal *p, struct err *err)
{
    const struct plan *plan = p->plan;
    size_t n_columns = plan->schema != NULL ? plan->schema->n_columns : 0;
    p->evaluator =
        (struct evaluator){.parameters = p->parameters, .arena = p->arena, .work = &p->work};
    if (plan->uses_now) {
        p->evaluator.pseudo[PSEUDO_NOW] =
            (struct value){.type = TYPE_TIMESTAMP, .integer = clock_wall_micros()};
    }
    size_t n_values = (size_t)plan->stack_max + 1 + n_columns + plan->output.n;
    struct value *values = arena_array(p->arena, n_values, sizeof(*values));
    if (values == NULL) {
        return portal_no_memory(p, err);
    }
    p->evaluator.stack = values;
    p->columns = p->evaluator.columns = values + plan->stack_max + 1;
    p->output = p->columns + n_columns;
    enum errcode code = plan->n_sets > 0 ? build_sets(p, err) : ERR_OK;
    p->evaluator.arena = p->row_arena; /* Until here it was what must outlive a row. */
    return code;
}

/* LIMIT or OFFSET: NULL means that there is none. */
static enum errcode count_of(struct portal *p, const struct program *program, const char *what,
                             uint64_t *out, struct err *err)
{
    if (program == NULL) {
        return ERR_OK;
    }
    struct value value;
    enum errcode code = portal_eval(p, program, &value, err);
    if (code != ERR_OK || value.type == TYPE_NULL) {
        return code;
    }
    if (value.integer < 0) {
        return err_at(err, program->code[0].position, ERR_LIMIT_OUT_OF_RANGE,
                      "%s must not be negative, and is %lld", what, (long long)value.integer);
    }
    CHECK(value.type == TYPE_INT);
    *out = (uint64_t)value.integer;
    return ERR_OK;
}

enum errcode portal_start(struct portal *p, struct err *err)
{
    CHECK_HOT(!p->is_open && p->file != NULL);
    const struct plan *plan = p->plan;
    const struct verb *verb = p->plan_verb;
    bool has_moved = p->is_heavy;
    if ((p->is_unchecked && portal_check_parameters(p, err) != ERR_OK) ||
        prepare_evaluator(p, err) != ERR_OK || fill_with(p, err) != ERR_OK) {
        return err->code;
    }
    resolve_force(p);
    if (count_of(p, plan->limit, "LIMIT", &p->limit, err) != ERR_OK ||
        count_of(p, plan->offset, "OFFSET", &p->offset, err) != ERR_OK) {
        return err->code;
    }
    if (p->collection != NULL && verb->needs_shard && p->shard == NULL &&
        collection_enter(p->collection, &p->shard, err) != ERR_OK) {
        return err->code;
    }
    p->is_started = true;
    p->verb = plan->is_explain ? &verb_explain : verb;
    enum errcode code = p->verb->start != NULL ? p->verb->start(p, err) : ERR_OK;
    p->is_heavy = p->is_heavy || has_moved;
    return code;
}
