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

static bool fill_parameters(struct leaves *l, unsigned leaf)
{
    const struct portal *p = l->portal;
    const struct fragment *f = l->fragment;
    uint64_t wanted = portal_rows_wanted(p);
    struct value *values = arena_array(p->arena, f->n_types, sizeof(*values));
    if (values == NULL) {
        return false;
    }
    for (size_t i = 0; i < p->plan->n_types; i++) {
        values[i] = p->parameters[i];
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
    l->parameters[leaf] = (struct parameters){.values = values};
    return true;
}

enum errcode leaves_open(struct portal *p, struct err *err)
{
    const struct fragment *f = p->plan->fragment;
    CHECK(p->leaves == NULL && f->n_leaves > 0);
    struct leaves *l = arena_zalloc(p->arena, sizeof(*l) + f->n_leaves * sizeof(struct leaf));
    struct parameters *parameters = arena_array(p->arena, f->n_leaves, sizeof(*parameters));
    if (l == NULL || parameters == NULL) {
        return portal_no_memory(p, err);
    }
    *l = (struct leaves){.portal = p, .fragment = f, .parameters = parameters};
    p->leaves = l;
    for (unsigned i = 0; i < f->n_leaves; i++) {
        struct leaf *leaf = &l->leaf[i];
        *leaf = (struct leaf){.leaves = l, .rows = {.n_columns = f->n_columns}};
        leaf->arena = arena_new(MEM_STATEMENT, p->budget_bytes);
        if (leaf->arena == NULL || !fill_parameters(l, i)) {
            return portal_no_memory(p, err);
        }
    }
    return ERR_OK;
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

void leaves_end(struct portal *p)
{
    struct leaves *l = p->leaves;
    for (unsigned i = 0; i < l->fragment->n_leaves; i++) {
        end_leaf(&l->leaf[i]);
    }
    if (l->prepared != NULL) {
        p->runner->forget(l->prepared);
        l->prepared = NULL;
    }
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
    bool is_large = rows->n_rows >= ROWS_MAX || rows->bytes >= BYTES_MAX;
    return leaf->is_out_of_memory || (is_large && !leaf->leaves->fragment->is_whole);
}

static void take_row(void *arg, const struct value *values, size_t n)
{
    struct leaf *leaf = arg;
    CHECK(n == leaf->rows.n_columns);
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
        err_clear(err);                               /* Of what was tried. */
        size_t n = l->prepared->bound->plan->n_types; /* Up to the last that it names. */
        CHECK(n <= f->n_types);
        for (unsigned i = 0; i < f->n_leaves; i++) {
            l->parameters[i].n = n;
        }
    }
    return code;
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
    if (prepare(l, err) != ERR_OK) {
        return err->code;
    }
    enum errcode code = p->runner->open(p->session, l->prepared, &l->parameters[leaf - l->leaf],
                                        &sink, &leaf->portal, err);
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
        leaf->n_changed = leaf->portal->rows;
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

enum step leaves_gather(struct portal *p, struct err *err)
{
    struct leaves *l = p->leaves;
    if (p->plan->is_explain && !p->plan->is_analyze) {
        return STEP_MORE; /* They are not run. */
    }
    for (unsigned i = 0; i < l->fragment->n_leaves; i++) {
        if (wants(&l->leaf[i]) && run_leaf(&l->leaf[i], err) != ERR_OK) {
            return STEP_FAILED;
        }
    }
    return can_go_on(l) ? STEP_MORE : STEP_WAIT;
}
