/* What a portal has submitted and waits for, up to an outcome that can be told.
 *
 *            submitted            done, told by the log or by apply
 *   begin -------------> busy -------------------------------------> ended -> collected by the step
 *                         |  the statement ends early (a cancel, its timeout):        ^
 *                         +-- it had not reached the log: withdrawn, with the reason -+
 *                         +-- it has happened, but for the graph: well ---------------+
 *                         +-- not done SETTLE_US later: OUTCOME_UNKNOWN --------------+
 *
 * So success is told only of what has happened, and any other error than OUTCOME_UNKNOWN only of
 * what has not and will not.  Whatever ends later than it was given up on is not listened to; its
 * portal stays until then. */
#include "query/pending_int.h"
#include "query/portal_int.h"

#include "plan/plan.h"

enum {
    SETTLE_US = 30000, /* A few syncs; with it a statement ends within 50 ms of its cancel. */
};

void pending_begin(struct portal *p, struct pending *pending)
{
    CHECK(!pending->is_busy && pending->withdraw != NULL);
    pending->portal = p;
    pending->is_busy = true;
    pending->is_done = false;
    pending->err.code = ERR_OK;
    pending->next = p->pending;
    p->pending = pending;
    portal_ref(p);
}

static void unlink_pending(struct pending *pending)
{
    CHECK(pending->is_busy);
    struct pending **at = &pending->portal->pending;
    while (*at != pending) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = pending->next;
    pending->is_busy = false;
}

void pending_forget(struct pending *pending)
{
    CHECK(pending->is_busy && !pending->is_done);
    unlink_pending(pending);
    portal_unref(pending->portal);
}

/* The first who says how it ended is believed. */
static void set_outcome(struct pending *pending, const struct err *err)
{
    CHECK(pending->portal != NULL);
    struct portal *p = pending->portal;
    mutex_lock(&p->lock);
    if (!pending->is_done && err != NULL && err->code != ERR_OK) {
        pending->err = *err;
    }
    pending->is_done = true;
    mutex_unlock(&p->lock);
}

void pending_end(struct pending *pending, const struct err *err)
{
    struct portal *p = pending->portal;
    set_outcome(pending, err);
    portal_event(p);
    portal_unref(p); /* May free it. */
}

static bool is_done(struct pending *pending)
{
    struct portal *p = pending->portal;
    mutex_lock(&p->lock);
    bool is = pending->is_done;
    mutex_unlock(&p->lock);
    return is;
}

bool pending_collect(struct pending *pending)
{
    if (!pending->is_busy || !is_done(pending)) {
        return !pending->is_busy;
    }
    unlink_pending(pending);
    CHECK(!pending->is_busy);
    return true;
}

/* ---- the statement ends early ---- */

static void note_unlinked(struct portal *p, const struct err *why)
{
    CHECK(why->code != ERR_OK);
    err_set(&p->notice, why->code, "the rows are written and visible, and not in the graph yet: %s",
            why->message);
    p->has_notice = true;
}

static void take_back(struct portal *p, const struct err *why)
{
    for (struct pending *pending = p->pending; pending != NULL; pending = pending->next) {
        if (!is_done(pending) && pending->withdraw(pending)) {
            pending_end(pending, why);
        }
    }
}

static void note_happened(struct portal *p, const struct err *why)
{
    for (struct pending *pending = p->pending; pending != NULL; pending = pending->next) {
        if (pending->has_happened != NULL && !is_done(pending) && pending->has_happened(pending)) {
            note_unlinked(p, why);
            set_outcome(pending, NULL);
        }
    }
}

static void give_up(struct portal *p, const struct err *why)
{
    CHECK(why->code != ERR_OK);
    struct err unknown;
    err_set(&unknown, ERR_OUTCOME_UNKNOWN,
            "%s; by then its write was in the log: it may have happened", why->message);
    err_hint(&unknown, "Read the rows to learn whether it did, before you write again.");
    err_policy(&unknown, why->policy);
    for (struct pending *pending = p->pending; pending != NULL; pending = pending->next) {
        set_outcome(pending, &unknown);
    }
}

bool pendings_settle(struct portal *p, const struct err *why)
{
    CHECK(why->code != ERR_OK && p->pending != NULL);
    if (p->settle_until_us == 0) {
        p->settle_until_us = clock_micros() + SETTLE_US;
        take_back(p, why);
    }
    note_happened(p, why);
    if (clock_micros() >= p->settle_until_us) {
        give_up(p, why);
    }
    for (struct pending *pending = p->pending; pending != NULL; pending = pending->next) {
        if (!is_done(pending)) {
            return false;
        }
    }
    p->settle_until_us = 0;
    return true;
}

/* ---- writes of rows ---- */

static struct portal_write *write_of(struct pending *pending)
{
    return CONTAINER_OF(pending, struct portal_write, pending);
}

static bool withdraw_write(struct pending *pending)
{
    return shard_withdraw(&write_of(pending)->write);
}

static bool write_has_happened(struct pending *pending)
{
    return shard_has_applied(&write_of(pending)->write);
}

static void write_done(struct shard_write *write, const struct err *err)
{
    pending_end(&CONTAINER_OF(write, struct portal_write, write)->pending, err);
}

enum errcode portal_write_add(struct portal *p, struct shard_command *command, enum shard_op op,
                              const struct row_write *row, struct err *err)
{
    work_charge(&p->work, values_bytes(row->values, p->plan->schema->n_columns) / BYTES_A_UNIT);
    enum errcode code = shard_command_add(command, op, row->values, row->columns, row->stamp, err);
    if (code == ERR_OK && shard_command_bytes(command) > p->budget_bytes) {
        code = portal_no_memory(p, err);
        err_hint(err, "Write fewer rows at once, or raise statement_memory.");
    }
    return code;
}

enum errcode portal_write_submit(struct portal *p, struct portal_write *w,
                                 struct shard_command *command, struct err *err)
{
    CHECK(p->shard != NULL && shard_command_rows(command) > 0);
    /* It is there until the last statement has left it, but nobody will see its rows. */
    if (collection_is_dropped(p->collection)) {
        shard_command_free(command);
        return collection_was_dropped(p->collection, err);
    }
    w->write = (struct shard_write){.ack = p->force.ack, .done = write_done, .room = w->room};
    w->pending.withdraw = withdraw_write;
    w->pending.has_happened = write_has_happened;
    p->write_bytes = shard_command_bytes(command);
    pending_begin(p, &w->pending);
    enum errcode code = shard_submit(p->shard, command, &w->write, err);
    if (code != ERR_OK) {
        pending_forget(&w->pending);
    }
    return code;
}

enum shard_op insert_op(enum on_conflict on_conflict)
{
    static const enum shard_op ops[] = {[CONFLICT_ERROR] = SHARD_INSERT,
                                        [CONFLICT_NOTHING] = SHARD_INSERT_IGNORE,
                                        [CONFLICT_UPDATE] = SHARD_UPSERT};
    CHECK((size_t)on_conflict < COUNT_OF(ops));
    return ops[on_conflict];
}

enum shard_op modify_op(const struct plan *plan)
{
    return plan->modify.is_delete ? SHARD_DELETE : SHARD_REPLACE;
}
