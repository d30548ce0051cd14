/* Cursors: the rows that an access path takes, one after another, within one view.
 *
 * A scan goes by row number and can go on later in another view: cursor_close keeps the place.  A
 * row that stays as it is throughout is given exactly once; one that is changed meanwhile may be
 * given twice (the old one, then the new one, which has a higher number), and is never missed. */
#include "query/cursor_int.h"
#include "query/portal_int.h"
#include "query/verb_int.h"

#include "expr/expr.h"
#include "plan/plan.h"

enum errcode cursor_open(struct cursor *c, struct portal *p, struct err *err)
{
    c->portal = p;
    c->access = &p->plan->access;
    CHECK(c->view == NULL);
    CHECK(p->shard != NULL &&
          (p->plan->access.kind == ACCESS_SCAN || p->plan->access.kind == ACCESS_KEYS));
    enum errcode code = shard_view_open(p->shard, &c->view, err);
    if (code == ERR_OK && c->n_expected == 0) {
        bool is_scan = c->access->kind == ACCESS_SCAN;
        c->n_expected =
            is_scan ? shard_view_count(c->view) : p->evaluator.sets[c->access->key_set].n;
    }
    return code;
}

void cursor_close(struct cursor *c)
{
    if (c->view != NULL) {
        shard_view_close(c->view);
        c->view = NULL;
    }
}

/* The next row of the path, whether it matches or not. */
static enum errcode next_row(struct cursor *c, bool *found, struct err *err)
{
    CHECK_HOT(c->view != NULL);
    if (c->access->kind == ACCESS_SCAN) {
        enum errcode code = shard_view_next(c->view, c->next_number, &c->row, found, err);
        if (code == ERR_OK && *found) {
            c->next_number = c->row.number + 1;
        }
        return code;
    }
    const struct value_set *keys = &c->portal->evaluator.sets[c->access->key_set];
    *found = false;
    CHECK_HOT(c->next_key <= keys->n);
    while (!*found && c->next_key < keys->n) {
        c->row_key = c->next_key++;
        enum errcode code = work_spend(&c->portal->work, ROW_WORK, err);
        if (code == ERR_OK) {
            code = shard_view_get(c->view, &keys->items[c->row_key], &c->row, found, err);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static void tell(const struct cursor *c)
{
    static const char *const phases[] = {
        [STMT_UPDATE] = "update", [STMT_DELETE] = "delete", [STMT_COPY] = "copy"};
    size_t kind = (size_t)c->portal->plan->stmt->kind;
    const char *phase = kind < COUNT_OF(phases) ? phases[kind] : NULL;
    portal_progress(c->portal, phase != NULL ? phase : "scan", c->looked_at, c->n_expected);
}

void cursor_back(struct cursor *c)
{
    CHECK(c->looked_at > 0 || !c->is_counted);
    c->next_number = c->row.number;
    c->next_key = c->row_key;
    c->looked_at -= c->is_counted ? 1 : 0;
    c->is_counted = false;
}

enum errcode cursor_next(struct cursor *c, bool *found, struct err *err)
{
    struct portal *p = c->portal;
    for (;;) {
        enum errcode code = next_row(c, found, err);
        c->is_counted = code == ERR_OK && *found;
        if (!c->is_counted) {
            return code;
        }
        c->looked_at++;
        if (c->looked_at % PROGRESS_ROWS == 0) {
            tell(c);
        }
        arena_reset(p->row_arena);
        p->evaluator.columns = p->columns;
        code = work_spend(&p->work, ROW_WORK + c->row.bytes / BYTES_A_UNIT, err);
        if (code != ERR_OK || c->access->where == NULL) {
            return code;
        }
        code = cursor_decode(c, &c->access->columns, err);
        bool matches = false;
        if (code == ERR_OK) {
            code = program_matches(c->access->where, &p->evaluator, &matches, err);
        }
        if (code != ERR_OK || matches) {
            return code;
        }
    }
}

enum errcode cursor_decode(struct cursor *c, const struct column_mask *columns, struct err *err)
{
    CHECK_HOT(c->view != NULL && c->row.data != NULL);
    struct portal *p = c->portal;
    if (mask_is_empty(columns)) {
        return ERR_OK;
    }
    return shard_row_decode(p->plan->schema, &c->row, columns->bits, p->columns, p->row_arena, err);
}

enum errcode access_estimate(struct portal *p, uint64_t *rows, struct err *err)
{
    CHECK(p->shard != NULL);
    if (p->plan->access.kind == ACCESS_KEYS) {
        *rows = p->evaluator.sets[p->plan->access.key_set].n;
        return ERR_OK;
    }
    struct shard_view *view;
    enum errcode code = shard_view_open(p->shard, &view, err);
    if (code == ERR_OK) {
        *rows = shard_view_count(view);
        shard_view_close(view);
    }
    return code;
}
