/* insert: the rows of the input become one command, submitted as one write. */
#include "query/explain_int.h"
#include "query/operator_int.h"
#include "query/pending_int.h"
#include "query/verb_int.h"

struct insertion {
    struct operator_run base;
    struct portal_write write;
    bool is_submitted;
};

static struct insertion *insertion_of(struct operator_run *o)
{
    return CONTAINER_OF(o, struct insertion, base);
}

static enum errcode fill(struct operator_run *o, struct shard_command *command, struct err *err)
{
    struct portal *p = o->portal;
    const struct insert_plan *plan = &p->plan->insert;
    struct value *row = NULL;
    enum shard_op op = insert_op(plan->on_conflict);
    operator_rewind(o->input);
    for (size_t n = 1;; n++) {
        enum errcode code = operator_next(o->input, &row, err);
        if (code != ERR_OK || row == NULL) {
            return code;
        }
        struct row_write write = {.values = row, .columns = plan->mask.bits};
        code = portal_write_add(p, command, op, &write, err);
        if (code != ERR_OK) {
            if (plan->n_rows > 1) {
                err_prefix(err, "row %zu", n);
            }
            return code;
        }
    }
}

static enum errcode submit(struct operator_run *o, struct err *err)
{
    struct portal *p = o->portal;
    struct shard_command *command = shard_command_new(p->plan->schema, err);
    if (command == NULL) {
        return err->code;
    }
    enum errcode code = fill(o, command, err);
    if (code != ERR_OK) {
        shard_command_free(command);
        return code;
    }
    code = portal_write_submit(p, &insertion_of(o)->write, command, err);
    insertion_of(o)->is_submitted = code == ERR_OK;
    return code;
}

static enum step step_insertion(struct operator_run *o, struct err *err)
{
    struct insertion *in = insertion_of(o);
    if (!in->is_submitted && submit(o, err) != ERR_OK) {
        return STEP_FAILED;
    }
    if (!pending_collect(&in->write.pending)) {
        return STEP_WAIT;
    }
    if (in->write.pending.err.code != ERR_OK) {
        *err = in->write.pending.err;
        return STEP_FAILED;
    }
    o->portal->rows = in->write.write.rows;
    return STEP_DONE;
}

static void explain(const struct operator_run *o, struct explain *out)
{
    static const char *const conflicts[] = {[CONFLICT_ERROR] = "error",
                                            [CONFLICT_NOTHING] = "skip the row",
                                            [CONFLICT_UPDATE] = "replace the columns given"};
    explain_text(out, "Collection", "%s", o->portal->plan->schema->name);
    explain_text(out, "On conflict", "%s", conflicts[o->portal->plan->insert.on_conflict]);
}

const struct operator_kind operator_insert = {
    .name = "insert",
    .bytes = sizeof(struct insertion),
    .explain = explain,
    .step = step_insertion,
};
