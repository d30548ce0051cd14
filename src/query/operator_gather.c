/* gather: the rows of leaves that are elsewhere, merged where they are in order; total: how many
 * rows such leaves have changed.
 *
 * Rows that have come are in a batch of each leaf (leaf.c).  Where one is wanted that has not come,
 * the step ends with what was made so far: nobody above gather keeps rows of a step that is not at
 * its end, but those who want them all, and they are begun when all have come. */
#include "query/explain_int.h"
#include "query/leaf_int.h"
#include "query/operator_int.h"
#include "query/sort_int.h"

struct gather {
    struct operator_run base;
    struct leaf *last; /* Whose row was given. */
};

static struct gather *gather_of(struct operator_run *o)
{
    return CONTAINER_OF(o, struct gather, base);
}

static enum errcode open_leaves(struct operator_run *o, struct err *err)
{
    return leaves_open(o->portal, err);
}

static void close_leaves(struct operator_run *o)
{
    leaves_close(o->portal);
}

static int compare_rows(const struct fragment *f, const struct value *a, const struct value *b)
{
    int order = 0;
    for (size_t i = 0; i < f->n_keys && order == 0; i++) {
        const struct sort_key *key = &f->keys[i];
        order = sort_key_compare(key, &a[key->place], &b[key->place]);
    }
    return order;
}

/* The leaf whose row is next; NULL where none has one, or one that is merged has to wait. */
static struct leaf *next_leaf(struct leaves *l)
{
    const struct fragment *f = l->fragment;
    struct leaf *next = NULL;
    l->is_short = false;
    for (unsigned i = 0; i < f->n_leaves; i++) {
        struct leaf *leaf = &l->leaf[i];
        const struct value *row = leaf_row(leaf);
        l->is_short = l->is_short || (row == NULL && !leaf->has_ended);
        if (row != NULL &&
            (next == NULL || (f->n_keys > 0 && compare_rows(f, row, leaf_row(next)) < 0))) {
            next = leaf;
        }
    }
    if (f->n_keys > 0 && l->is_short) {
        return NULL;
    }
    l->is_short = l->is_short && next == NULL;
    return next;
}

static enum errcode next_row(struct operator_run *o, struct value **row, struct err *err)
{
    struct portal *p = o->portal;
    *row = NULL;
    arena_reset(p->row_arena);
    enum errcode code = work_spend(&p->work, ROW_WORK, err);
    struct leaf *leaf = code == ERR_OK ? next_leaf(p->leaves) : NULL;
    CHECK(code != ERR_OK || !p->leaves->is_short || !p->plan->fragment->is_whole);
    if (leaf != NULL) {
        *row = leaf_row(leaf);
        leaf->rows.next_row++;
        gather_of(o)->last = leaf;
    }
    return code;
}

static void back(struct operator_run *o)
{
    gather_of(o)->last->rows.next_row--;
}

/* Of those who want all rows, which are there. */
static void rewind_gather(struct operator_run *o)
{
    struct leaves *l = o->portal->leaves;
    CHECK(l->fragment->is_whole);
    for (unsigned i = 0; i < l->fragment->n_leaves; i++) {
        l->leaf[i].rows.next_row = 0;
    }
}

static void explain_leaves(const struct leaves *l, struct explain *out)
{
    enum {
        TEXT_BYTES = 2048
    };
    struct buf text;
    buf_init(&text, MEM_STATEMENT, TEXT_BYTES);
    for (unsigned i = 0; i < l->fragment->n_leaves; i++) {
        buf_printf(&text, "%s%llu", i > 0 ? ", " : "", (unsigned long long)l->leaf[i].n_rows);
    }
    if (text.failed) {
        out->text.failed = true;
    } else {
        explain_bytes(out, "Rows of each", (const char *)text.data, text.bytes);
    }
    buf_fini(&text);
}

static void explain(const struct operator_run *o, struct explain *out)
{
    const struct fragment *f = o->portal->plan->fragment;
    explain_text(out, "Collection", "%s", o->portal->plan->schema->name);
    explain_number(out, "Leaves", (double)f->n_leaves);
    if (f->n_keys > 0) {
        explain_order(out, "Merged by", f->shown, f->n_keys);
    }
    if (f->of_keys != NULL) {
        explain_bytes(out, "First", f->of_keys->text, f->of_keys->text_bytes);
    }
    explain_bytes(out, "Fragment", f->text, f->text_bytes);
    if (o->is_measured) {
        explain_leaves(o->portal->leaves, out);
    }
}

const struct operator_kind operator_gather = {
    .name = "gather",
    .bytes = sizeof(struct gather),
    .open = open_leaves,
    .next = next_row,
    .back = back,
    .rewind = rewind_gather,
    .close = close_leaves,
    .explain = explain,
};

/* ---- total ---- */

static enum step step_total(struct operator_run *o, struct err *err)
{
    struct portal *p = o->portal;
    (void)err;
    p->rows = 0;
    for (unsigned i = 0; i < p->plan->fragment->n_leaves; i++) {
        CHECK(p->leaves->leaf[i].has_ended);
        p->rows += p->leaves->leaf[i].n_rows;
    }
    return STEP_DONE;
}

const struct operator_kind operator_total = {
    .name = "total",
    .bytes = sizeof(struct operator_run),
    .open = open_leaves,
    .close = close_leaves,
    .explain = explain,
    .step = step_total,
};
