/* Here or elsewhere: who else asks that?
 *
 *   here        the plan's operators run over the shard, and this file is not called again
 *   elsewhere   gather <- struct leaf <- the fragment's text -> parser -> plan -> a portal
 *
 * There is one shard, and it is here.  The policy debug_fragments has statements run as if it were
 * elsewhere, in so many leaves: each fragment is given, as a text with values, to a portal of this
 * process, whose plan is whole; key_hash(key) says which rows are whose.
 *
 * The owner runs those portals between the steps of the statement's own, and puts the rows that
 * they give into a batch of each leaf; a step takes them from there.  They hear of a cancel as all
 * portals of the session do, and wake the statement's owner as it is woken by its own events. */
#include "query/leaf_int.h"
#include "query/prepared_int.h"
#include "query/session_int.h"

#include "plan/plan.h"

enum {
    ROWS_MAX = 1024,       /* Of a leaf that wait to be taken, */
    BYTES_MAX = 512 << 10, /* and bytes of their texts and vectors. */
};

unsigned leaves_elsewhere(const struct query_session *session)
{
    const struct policy_set *set = &session->policies; /* Nothing else sets it. */
    bool is_set = (set->is_set >> POLICY_debug_fragments & 1) != 0;
    return is_set ? (unsigned)set->values[POLICY_debug_fragments].integer : 0;
}

/* ---- life ---- */

/* Of the plan's fragment.  The vectors of keys are not known yet. */
static bool fill_parameters(struct leaves *l, unsigned leaf)
{
    const struct portal *p = l->portal;
    const struct fragment *f = p->plan->fragment;
    uint64_t wanted = portal_rows_wanted(p);
    struct value *values = arena_array(p->arena, f->n_types, sizeof(*values));
    if (values == NULL) {
        return false;
    }
    for (size_t i = 0; i < f->n_types; i++) {
        values[i] = i < p->plan->n_types ? p->parameters[i] : value_null();
    }
    if (f->now != 0) {
        values[f->now - 1] = p->evaluator.pseudo[PSEUDO_NOW];
    }
    if (f->rows_wanted != 0) {
        values[f->rows_wanted - 1] = wanted > INT64_MAX ? value_null() : value_int((int64_t)wanted);
    }
    if (f->leaf != 0) {
        values[f->leaf - 1] = value_int(leaf);
    }
    l->leaf[leaf].parameters = values;
    return true;
}

/* Those of NEAR KEY, in the order of the queries. */
static enum errcode find_keys(struct leaves *l, struct err *err)
{
    struct portal *p = l->portal;
    const struct search_plan *search = &p->plan->search;
    const struct fragment *f = p->plan->fragment->of_keys;
    size_t n = 0;
    l->keys = arena_array(p->arena, f->n_types, sizeof(*l->keys));
    if (l->keys == NULL) {
        return portal_no_memory(p, err);
    }
    for (size_t i = 0; i < search->n_queries; i++) {
        const struct search_query *query = &search->queries[i];
        if (!query->is_key) {
            continue;
        }
        enum errcode code = portal_eval(p, query->program, &l->keys[n], err);
        if (code == ERR_OK && l->keys[n].type == TYPE_NULL) {
            code = plan_unknown_key(p->plan, &l->keys[n], false, query->position, err);
        }
        if (code != ERR_OK) {
            return code;
        }
        n++;
    }
    return ERR_OK;
}

enum errcode leaves_open(struct portal *p, struct err *err)
{
    const struct fragment *f = p->plan->fragment;
    CHECK(p->leaves == NULL && f->n_leaves > 0);
    struct leaves *l = arena_zalloc(p->arena, sizeof(*l) + f->n_leaves * sizeof(struct leaf));
    if (l == NULL) {
        return portal_no_memory(p, err);
    }
    *l = (struct leaves){.portal = p, .fragment = f->of_keys != NULL ? f->of_keys : f};
    p->leaves = l;
    for (unsigned i = 0; i < f->n_leaves; i++) {
        struct leaf *leaf = &l->leaf[i];
        *leaf = (struct leaf){.leaves = l, .rows = {.n_columns = l->fragment->n_columns}};
        leaf->arena = arena_new(MEM_STATEMENT, p->budget_bytes);
        if (leaf->arena == NULL || !fill_parameters(l, i)) {
            return portal_no_memory(p, err);
        }
    }
    return f->of_keys != NULL ? find_keys(l, err) : ERR_OK;
}

void leaves_close(struct portal *p)
{
    struct leaves *l = p->leaves;
    if (l == NULL) {
        return;
    }
    for (unsigned i = 0; i < l->fragment->n_leaves; i++) {
        CHECK(l->leaf[i].portal == NULL); /* leaves_end came before. */
        arena_free(l->leaf[i].arena);
    }
    p->leaves = NULL;
}

static void end_leaf(struct leaf *leaf)
{
    if (leaf->portal != NULL) {
        leaf->leaves->portal->runner->close(leaf->portal);
        leaf->portal = NULL;
    }
}

static void forget_prepared(struct leaves *l)
{
    if (l->prepared != NULL) {
        l->portal->runner->forget(l->prepared);
        l->prepared = NULL;
    }
}

void leaves_end(struct portal *p)
{
    struct leaves *l = p->leaves;
    for (unsigned i = 0; i < l->fragment->n_leaves; i++) {
        end_leaf(&l->leaf[i]);
    }
    forget_prepared(l);
}

/* ---- what a leaf's portal gives ---- */

static bool wants(const struct leaf *leaf)
{
    bool is_whole = leaf->leaves->fragment->is_whole;
    return !leaf->has_ended && (is_whole || leaf_row(leaf) == NULL);
}

static bool is_full(void *arg)
{
    const struct leaf *leaf = arg;
    const struct batch *rows = &leaf->rows;
    bool is_large = rows->n_rows >= ROWS_MAX || rows->bytes >= BYTES_MAX ||
                    arena_bytes(leaf->arena) >= portal_part(leaf->leaves->portal, SIZE_MAX);
    return leaf->is_out_of_memory || (is_large && !leaf->leaves->fragment->is_whole);
}

static void take_row(void *arg, const struct value *values, size_t n)
{
    struct leaf *leaf = arg;
    CHECK(n == leaf->rows.n_columns);
    leaf->n_rows++;
    leaf->is_out_of_memory = leaf->is_out_of_memory || !batch_add(&leaf->rows, leaf->arena, values);
}

static void take_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    const struct portal_sink *sink = &((struct leaf *)arg)->leaves->portal->sink;
    sink->progress(sink->arg, phase, done, total);
}

static void take_notice(void *arg, const struct err *notice)
{
    const struct portal_sink *sink = &((struct leaf *)arg)->leaves->portal->sink;
    sink->notice(sink->arg, notice);
}

static void wake(void *arg)
{
    portal_event(((struct leaf *)arg)->leaves->portal);
}

/* ---- running ---- */

static enum errcode prepare(struct leaves *l, struct err *err)
{
    const struct fragment *f = l->fragment;
    struct portal *p = l->portal;
    struct statement_text text = {
        .data = f->text, .bytes = f->text_bytes, .types = f->types, .n_types = f->n_types};
    if (l->prepared != NULL) {
        return ERR_OK;
    }
    enum errcode code = p->runner->prepare(p->session, &text, &l->prepared, err);
    if (code == ERR_OK) {
        err_clear(err); /* Of what was tried. */
    }
    return code;
}

/* What is sent beside the text, up to the last that it names. */
static enum errcode bind_leaf(struct leaf *leaf, struct parameters *out, struct err *err)
{
    struct leaves *l = leaf->leaves;
    struct portal *p = l->portal;
    const struct fragment *f = l->fragment;
    struct value *values = leaf->parameters;
    *out = (struct parameters){.values = values, .n = l->prepared->bound->plan->n_types};
    CHECK(out->n <= f->n_types);
    if (f == p->plan->fragment) {
        return ERR_OK;
    }
    values = arena_copy(p->arena, l->keys, f->n_types * sizeof(*values));
    if (values == NULL) {
        return portal_no_memory(p, err);
    }
    if (f->leaf != 0) {
        values[f->leaf - 1] = value_int(leaf - l->leaf);
    }
    out->values = values;
    return ERR_OK;
}

static enum errcode begin_leaf(struct leaf *leaf, struct err *err)
{
    struct leaves *l = leaf->leaves;
    struct portal *p = l->portal;
    const struct portal_sink sink = {.row = take_row,
                                     .is_full = is_full,
                                     .progress = take_progress,
                                     .notice = take_notice,
                                     .wake = wake,
                                     .arg = leaf};
    struct parameters parameters;
    if (prepare(l, err) != ERR_OK || bind_leaf(leaf, &parameters, err) != ERR_OK) {
        return err->code;
    }
    enum errcode code =
        p->runner->open(p->session, l->prepared, &parameters, &sink, &leaf->portal, err);
    if (code == ERR_OK) {
        leaf->portal->is_leaf = true;
    }
    return code;
}

static enum errcode run_leaf(struct leaf *leaf, struct err *err)
{
    struct portal *p = leaf->leaves->portal;
    if (leaf->portal == NULL && begin_leaf(leaf, err) != ERR_OK) {
        return err->code;
    }
    if (!leaf->leaves->fragment->is_whole) { /* All were taken. */
        arena_reset(leaf->arena);
        leaf->rows = (struct batch){.n_columns = leaf->rows.n_columns};
    }
    enum portal_status status = p->runner->run(leaf->portal, 0, err);
    if (leaf->is_out_of_memory) {
        return portal_no_memory(p, err);
    }
    if (status == PORTAL_FAILED) {
        err->position = 0; /* Of another text than the client's. */
        return err->code;
    }
    leaf->has_ended = status == PORTAL_DONE;
    if (leaf->has_ended) {
        leaf->n_rows = leaf->portal->rows;
        end_leaf(leaf);
    }
    return ERR_OK;
}

/* Rows that are merged come from each leaf; else those of any do. */
static bool can_go_on(const struct leaves *l)
{
    unsigned n_wanting = 0;
    for (unsigned i = 0; i < l->fragment->n_leaves; i++) {
        n_wanting += wants(&l->leaf[i]) ? 1 : 0;
    }
    bool needs_all = l->fragment->is_whole || l->fragment->n_keys > 0;
    return n_wanting == 0 || (!needs_all && n_wanting < l->fragment->n_leaves);
}

static enum errcode run_all(struct leaves *l, struct err *err)
{
    for (unsigned i = 0; i < l->fragment->n_leaves; i++) {
        if (wants(&l->leaf[i]) && run_leaf(&l->leaf[i], err) != ERR_OK) {
            return err->code;
        }
    }
    return ERR_OK;
}

/* ---- the vectors of NEAR KEY ---- */

/* Of the row with this key, in what the leaves gave; NULL: no leaf has it. */
static const struct value *find_vector(const struct leaves *l, const struct value *key)
{
    for (unsigned i = 0; i < l->fragment->n_leaves; i++) {
        const struct batch *rows = &l->leaf[i].rows;
        for (size_t k = 0; k < rows->n_rows; k++) {
            const struct value *row = rows->values + k * rows->n_columns;
            if (value_compare(&row[0], key) == 0) {
                return &row[1];
            }
        }
    }
    return NULL;
}

static enum errcode take_vectors(struct leaves *l, struct err *err)
{
    struct portal *p = l->portal;
    const struct search_plan *search = &p->plan->search;
    size_t n = 0;
    for (size_t i = 0; i < search->n_queries; i++) {
        if (!search->queries[i].is_key) {
            continue;
        }
        struct value vector;
        const struct value *key = &l->keys[n], *found = find_vector(l, key);
        if (found == NULL || found->type == TYPE_NULL) {
            return plan_unknown_key(p->plan, key, found != NULL, search->queries[i].position, err);
        }
        if (!value_copy(&vector, found, p->arena)) {
            return portal_no_memory(p, err);
        }
        for (unsigned k = 0; k < l->fragment->n_leaves; k++) {
            l->leaf[k].parameters[p->plan->fragment->vectors - 1 + n] = vector;
        }
        n++;
    }
    return ERR_OK;
}

/* From what was asked first to the plan's own fragment. */
static enum errcode go_to_plans_own(struct leaves *l, struct err *err)
{
    const struct fragment *f = l->portal->plan->fragment;
    enum errcode code = take_vectors(l, err);
    forget_prepared(l);
    for (unsigned i = 0; i < f->n_leaves; i++) {
        struct leaf *leaf = &l->leaf[i];
        CHECK(leaf->portal == NULL && leaf->has_ended);
        arena_reset(leaf->arena);
        leaf->rows = (struct batch){.n_columns = f->n_columns};
        leaf->has_ended = false;
        leaf->n_rows = 0;
    }
    l->fragment = f;
    return code;
}

enum step leaves_gather(struct portal *p, struct err *err)
{
    struct leaves *l = p->leaves;
    if (p->plan->is_explain && !p->plan->is_analyze) {
        return STEP_MORE; /* They are not run. */
    }
    enum errcode code = run_all(l, err);
    if (code == ERR_OK && l->fragment != p->plan->fragment && can_go_on(l)) {
        code = go_to_plans_own(l, err);
        code = code == ERR_OK ? run_all(l, err) : code;
    }
    if (code != ERR_OK) {
        return STEP_FAILED;
    }
    return l->fragment == p->plan->fragment && can_go_on(l) ? STEP_MORE : STEP_WAIT;
}
