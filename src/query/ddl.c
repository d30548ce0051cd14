/* CREATE and DROP COLLECTION change the map through its log; CHECKPOINT writes down every shard.
 *
 *   CREATE: schema -> pd_submit -> event (the map has changed) -> pool: wait until the shard is
 * open DROP:   pd_submit -> event; the shard goes when its last statement has ended
 */
#include "query/database_int.h"
#include "query/pending_int.h"
#include "query/portal_int.h"
#include "query/verb_int.h"

#include "plan/plan.h"

struct ddl_state {
    struct pending pending;
    struct pd_write write;
    bool is_submitted;
};

/* ---- CREATE and DROP ---- */

static enum errcode start_ddl(struct portal *p, struct err *err)
{
    struct ddl_state *state = arena_zalloc(p->arena, sizeof(*state));
    if (state == NULL) {
        return portal_no_memory(p, err);
    }
    p->verb_state = state;
    return ERR_OK;
}

static void ddl_done(struct pd_write *write, const struct err *err)
{
    pending_end(&CONTAINER_OF(write, struct ddl_state, write)->pending, err);
}

static bool withdraw(struct pending *pending)
{
    return pd_withdraw(&CONTAINER_OF(pending, struct ddl_state, pending)->write);
}

static enum errcode submit(struct portal *p, const struct pd_command *command, struct err *err)
{
    struct ddl_state *state = p->verb_state;
    state->is_submitted = true;
    state->write.done = ddl_done;
    state->pending.withdraw = withdraw;
    pending_begin(p, &state->pending);
    enum errcode code = pd_submit(node_pd(p->db->node), command, &state->write, err);
    if (code != ERR_OK) {
        pending_forget(&state->pending);
    }
    return code;
}

/* Submits at the first call; MORE once the map has answered. */
static enum step change_map(struct portal *p, const struct pd_command *command, struct err *err)
{
    struct ddl_state *state = p->verb_state;
    if (!state->is_submitted &&
        (portal_poll(p, err) != ERR_OK || submit(p, command, err) != ERR_OK)) {
        return STEP_FAILED;
    }
    if (!pending_collect(&state->pending)) {
        return STEP_WAIT;
    }
    if (state->pending.err.code != ERR_OK) {
        *err = state->pending.err;
        return STEP_FAILED;
    }
    return STEP_MORE;
}

static void give_notice(struct portal *p, enum errcode code, const char *what, const char *name)
{
    err_set(&p->notice, code, "collection \"%s\" %s", name, what);
    err_collection(&p->notice, name);
    p->has_notice = true;
}

static enum step step_create(struct portal *p, struct err *err)
{
    const struct ddl_state *state = p->verb_state;
    const struct stmt_create *s = &p->plan->stmt->create;
    if (!p->is_heavy) {
        struct pd_command command = {.op = PD_CREATE_COLLECTION,
                                     .schema = p->plan->created,
                                     .is_conditional = s->if_not_exists};
        enum step step = change_map(p, &command, err);
        return step == STEP_MORE ? STEP_POOL : step;
    }
    if (state->write.rows == 0) {
        give_notice(p, ERR_DUPLICATE_COLLECTION, "exists already, skipping", s->collection.text);
    }
    enum errcode code =
        collection_wait(p->db->node, s->collection.text, portal_is_canceled, p, err);
    if (code == ERR_CANCELED) { /* Or the timeout.  The map has it. */
        give_notice(p, code, "is there, and still being opened", s->collection.text);
        return STEP_DONE;
    }
    if (code != ERR_OK && state->write.rows > 0) {
        collection_withdraw(p->db->node, s->collection.text, err);
    }
    return code == ERR_OK ? STEP_DONE : STEP_FAILED;
}

static enum step step_drop(struct portal *p, struct err *err)
{
    const struct ddl_state *state = p->verb_state;
    const struct stmt_drop *s = &p->plan->stmt->drop;
    struct pd_command command = {
        .op = PD_DROP_COLLECTION, .collection = s->collection.text, .is_conditional = s->if_exists};
    enum step step = change_map(p, &command, err);
    if (step != STEP_MORE) {
        return step;
    }
    if (state->write.rows == 0) {
        give_notice(p, ERR_UNKNOWN_COLLECTION, "does not exist, skipping", s->collection.text);
    }
    return STEP_DONE;
}

/* ---- CHECKPOINT ---- */

static enum errcode start_checkpoint(struct portal *p, struct err *err)
{
    (void)err;
    p->is_heavy = true;
    return ERR_OK;
}

static void checkpoint_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    portal_progress(arg, phase, done, total);
}

/* A collection that is dropped, or was never opened, has nothing to be written. */
static enum errcode checkpoint_one(struct portal *p, struct collection *c, struct err *err)
{
    struct shard *shard;
    if (collection_enter(c, &shard, err) != ERR_OK) {
        return ERR_OK;
    }
    enum errcode code = shard_checkpoint(shard, checkpoint_progress, p, err);
    struct err later;
    if (code == ERR_OK && shard_compact(shard, &later) != ERR_OK) {
        log_err(LOG_WARNING, &later, "compaction will be tried again collection=%s",
                collection_schema(c)->name);
    }
    if (code == ERR_OK && shard_is_rebuilding(shard)) {
        give_notice(p, ERR_INDEX_LAG,
                    "is building an index anew, which has no file until it is whole",
                    collection_schema(c)->name);
        err_hint(&p->notice,
                 "Run CHECKPOINT again when SHOW COLLECTIONS no longer says so, or wait "
                 "for checkpoint_interval.");
    }
    collection_leave(c);
    if (code != ERR_OK) {
        err_prefix(err, "collection \"%s\"", collection_schema(c)->name);
    }
    return code;
}

static enum step step_checkpoint(struct portal *p, struct err *err)
{
    struct collection **collections;
    size_t n;
    enum errcode code = collection_list(p->db->node, p->arena, &collections, &n, err);
    if (code != ERR_OK) {
        return STEP_FAILED;
    }
    for (size_t i = 0; i < n; i++) {
        if (code == ERR_OK) {
            code = portal_poll(p, err);
        }
        if (code == ERR_OK) {
            code = checkpoint_one(p, collections[i], err);
        }
        collection_release(collections[i]);
    }
    return code == ERR_OK ? STEP_DONE : STEP_FAILED;
}

const struct verb verb_create = {.polls_itself = true, .start = start_ddl, .step = step_create};
const struct verb verb_drop = {.start = start_ddl, .step = step_drop};
const struct verb verb_checkpoint = {.start = start_checkpoint, .step = step_checkpoint};
