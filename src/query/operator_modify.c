/* update, delete: rows decided on a view, changed by one command.
 *
 *   scan -> rows that match -> REPLACE or DELETE with the stamp of each row -> command -> ack
 *     ^                                                                          |
 *     +----- a pause ----- CONFLICT: a row was changed meanwhile <---------------+
 *
 * A stamp says which version of a row was decided on, so nobody's change is lost: where one has
 * changed, none of the command happens and the statement decides again, until its timeout, or for
 * PATIENCE_US.  The pause between is of a length by chance, whose bound doubles with each
 * try: those who want the same row come one after another. */
#include "query/explain_int.h"
#include "query/operator_int.h"
#include "query/pending_int.h"
#include "query/verb_int.h"

enum {
    PAUSE_US_FIRST = 1000,
    PAUSE_DOUBLINGS_MAX = 5,
    TRIES_MIN = 10,         /* Before it is CONFLICT, */
    PATIENCE_US = 10000000, /* and the time that it tries for, where there is no timeout. */
};

struct modification {
    struct operator_run base;
    struct portal_write write;
    struct value *values; /* The new row. */
    bool is_submitted;
    uint64_t n_rows;
    unsigned tries;
    uint64_t first_try_us;
};

static struct modification *modification_of(struct operator_run *o)
{
    return CONTAINER_OF(o, struct modification, base);
}

static enum errcode open_modification(struct operator_run *o, struct err *err)
{
    struct portal *p = o->portal;
    struct value *values = arena_array(p->arena, p->plan->schema->n_columns, sizeof(*values));
    modification_of(o)->values = values;
    return values != NULL ? ERR_OK : portal_no_memory(p, err);
}

/* ---- the command ---- */

static enum errcode make_row(struct operator_run *o, struct value *row, struct err *err)
{
    struct portal *p = o->portal;
    const struct modify_plan *plan = &p->plan->modify;
    struct value *values = modification_of(o)->values;
    enum errcode code = operator_fetch(o->input, &plan->reads, err);
    operator_at_hand(o, row);
    for (uint32_t i = 0; i < p->plan->schema->n_columns && code == ERR_OK; i++) {
        values[i] = mask_has(&plan->reads, i) ? row[i] : value_null();
    }
    for (size_t i = 0; i < plan->n_set && code == ERR_OK; i++) {
        code = program_run(plan->values[i], &p->evaluator, &values[plan->columns[i]], err);
    }
    return code;
}

static enum errcode add_row(struct operator_run *o, struct value *row,
                            struct shard_command *command, struct err *err)
{
    static const struct column_mask all = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    struct portal *p = o->portal;
    const struct value *values = modification_of(o)->values;
    enum errcode code = make_row(o, row, err);
    if (code != ERR_OK) {
        return code;
    }
    struct row_write write = {values, all.bits, scan_stamp(o->input)};
    code = portal_write_add(p, command, modify_op(p->plan), &write, err);
    if (code == ERR_STATEMENT_TOO_LONG) {
        err_hint(err, "One statement is one atomic write. Change fewer rows at once by WHERE.");
    }
    return code;
}

static enum errcode decide(struct operator_run *o, struct shard_command *command, struct err *err)
{
    struct modification *m = modification_of(o);
    struct value *row = NULL;
    m->n_rows = 0;
    operator_rewind(o->input);
    for (;;) {
        enum errcode code = operator_next(o->input, &row, err);
        if (code == ERR_OK && row != NULL) {
            code = add_row(o, row, command, err);
        }
        if (code != ERR_OK || row == NULL) {
            return code;
        }
        m->n_rows++;
    }
}

static enum errcode submit(struct operator_run *o, struct err *err)
{
    struct modification *m = modification_of(o);
    struct shard_command *command = shard_command_new(o->portal->plan->schema, err);
    if (command == NULL) {
        return err->code;
    }
    enum errcode code = decide(o, command, err);
    if (code != ERR_OK || m->n_rows == 0) {
        shard_command_free(command);
        return code;
    }
    m->is_submitted = true;
    m->tries++;
    m->first_try_us = m->tries == 1 ? clock_micros() : m->first_try_us;
    return portal_write_submit(o->portal, &m->write, command, err);
}

/* ---- steps ---- */

static bool may_try_again(const struct operator_run *o)
{
    const struct modification *m = CONTAINER_OF(o, struct modification, base);
    return o->portal->deadline_us != 0 || m->tries < TRIES_MIN ||
           clock_micros() - m->first_try_us < PATIENCE_US;
}

static enum step step_modification(struct operator_run *o, struct err *err)
{
    struct modification *m = modification_of(o);
    struct portal *p = o->portal;
    if (portal_is_pausing(p)) {
        return STEP_WAIT;
    }
    if (!m->is_submitted && submit(o, err) != ERR_OK) {
        return STEP_FAILED;
    }
    if (!m->is_submitted) {
        return STEP_DONE; /* No row matched. */
    }
    if (!pending_collect(&m->write.pending)) {
        return STEP_WAIT;
    }
    enum errcode code = m->write.pending.err.code;
    if (code == ERR_CONFLICT && may_try_again(o)) {
        unsigned doublings = m->tries < PAUSE_DOUBLINGS_MAX ? m->tries : PAUSE_DOUBLINGS_MAX;
        portal_pause(p, (uint64_t)PAUSE_US_FIRST << doublings);
        m->is_submitted = false;
        return STEP_WAIT;
    }
    if (code != ERR_OK) {
        *err = m->write.pending.err;
        return STEP_FAILED;
    }
    p->rows = m->n_rows;
    return STEP_DONE;
}

static void explain(const struct operator_run *o, struct explain *out)
{
    explain_text(out, "Collection", "%s", o->portal->plan->schema->name);
    if (o->is_measured) {
        explain_number(out, "Decisions", (double)CONTAINER_OF(o, struct modification, base)->tries);
    }
}

const struct operator_kind operator_update = {
    .name = "update",
    .bytes = sizeof(struct modification),
    .open = open_modification,
    .explain = explain,
    .step = step_modification,
};

const struct operator_kind operator_delete = {
    .name = "delete",
    .bytes = sizeof(struct modification),
    .open = open_modification,
    .explain = explain,
    .step = step_modification,
};
