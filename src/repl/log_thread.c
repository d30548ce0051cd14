/* The log thread: it alone drives Raft and writes the log, one turn after the other.
 *
 *   collect   take what waits: new groups, groups to close, entries, cuts, groups to destroy
 *   write     all groups give their entries to Raft, which wants them written: one transaction
 *   commit    one sync for all of them; meanwhile the next turn's entries gather in the queues
 *   settle    each group's Raft learns of it; what is committed goes to the apply thread
 *   replay    groups that are being opened hand on another slice of what the log held
 *
 * Cuts and removals ride in the same transactions, in slices, and make turns of their own when
 * nothing else is there.
 *
 * A turn that fails is undone whole.  Every group that had a part in it is loaded anew from the
 * disk, and the disk decides: entries that are there go on as if nothing had happened, all others
 * fail with the error.  Only where the disk cannot be asked either is the outcome unknown, and
 * said to be. */
#include <string.h>

#include "repl/log_store_int.h"
#include "repl/repl_int.h"

enum {
    RETRY_US = 500000, /* Background work waits so long after a failure. */
    TIMER_US_MAX = 60 * 1000000,
    TIMER_SLACK_US = 100000, /* Groups whose timers end this soon tick together. */
};

static const char unknown_hint[] = "read the rows to learn whether the write took effect";

/* What a turn has taken, through next_turn. */
struct turn {
    struct repl_group *groups, *last;
    struct repl_group *opening;
    struct doomed *dooming;
    size_t bytes;
    size_t shrinking_bytes; /* Of them. */
    bool is_full;           /* As repl.is_full is after this turn's look at the disk. */
};

/* ---- collect ---- */

static void turn_add(struct turn *t, struct repl_group *g)
{
    g->next_turn = NULL;
    if (t->groups == NULL) {
        t->groups = g;
    } else {
        t->last->next_turn = g;
    }
    t->last = g;
}

static bool has_replay_room(struct repl *r) REQUIRES(r->lock)
{
    if (r->n_replaying > 0) {
        for (const struct repl_group *g = r->groups; g != NULL; g = g->next) {
            if (g->state == GROUP_REPLAYING && g->backlog.bytes < REPLAY_BYTES_MAX) {
                return true;
            }
        }
    }
    return false;
}

static void make_busy(struct repl *r, struct repl_group *g)
{
    CHECK(g->repl == r);
    if (!g->is_busy) {
        g->is_busy = true;
        g->next_busy = r->busy;
        r->busy = g;
    }
}

/* Forgets those that the last turn has left nothing to do for; whether there are others. */
static bool has_background(struct repl *r) REQUIRES(log_thread)
{
    struct repl_group **at = &r->busy;
    while (*at != NULL) {
        struct repl_group *g = *at;
        g->is_busy = group_has_cut(g);
        if (g->is_busy) {
            at = &g->next_busy;
        } else {
            *at = g->next_busy;
        }
    }
    return r->doomed != NULL || r->busy != NULL;
}

/* Takes the groups that wait, with as many of their entries as fit in one turn. */
static void take_waiting(struct repl *r, struct turn *t) REQUIRES(r->lock)
{
    struct repl_group *g = r->waiting;
    r->waiting = r->waiting_last = NULL;
    while (g != NULL) {
        struct repl_group *next = g->next_waiting;
        CHECK(g->is_waiting && g->fresh.n == 0);
        g->is_waiting = false;
        g->cut_target = g->cut_wanted;
        g->is_closing = g->state == GROUP_CLOSING && g->n_in_flight == 0;
        while (g->queue.first != NULL && t->bytes < TURN_BYTES_MAX) {
            struct entry *e = entry_list_pop(&g->queue);
            t->bytes += e->bytes;
            t->shrinking_bytes += e->is_shrinking ? e->bytes : 0;
            entry_list_push(&g->fresh, e);
        }
        if (g->queue.first != NULL) {
            group_wait(r, g);
        }
        turn_add(t, g);
        make_busy(r, g);
        g = next;
    }
}

/* Waits until there is something to do; false at the end. */
static bool collect(struct repl *r, struct turn *t) REQUIRES(log_thread)
{
    bool is_background = has_background(r);
    memset(t, 0, sizeof(*t));
    mutex_lock(&r->lock);
    while (r->waiting == NULL && r->opening == NULL && r->dooming == NULL && !has_replay_room(r)) {
        if (r->is_stopping) {
            mutex_unlock(&r->lock);
            return false;
        }
        uint64_t deadline = r->timer_us;
        if (is_background && r->background_us < deadline) {
            deadline = r->background_us;
        }
        if (deadline <= clock_micros() || !condition_wait_until(&r->log_wake, &r->lock, deadline)) {
            break;
        }
    }
    take_waiting(r, t);
    t->opening = r->opening;
    r->opening = NULL;
    t->dooming = r->dooming;
    r->dooming = NULL;
    mutex_unlock(&r->lock);
    return true;
}

/* ---- failing ---- */

/* One line when the log stops taking writes (all, or those that grow the data), and one when it
 * takes them again; the errors themselves go to the writers. */
static void note_health(struct repl *r, const struct err *err) REQUIRES(log_thread)
{
    if (err != NULL && !r->is_failing) {
        log_err(LOG_ERROR, err, "the log does not take writes");
    } else if (err == NULL && r->is_failing) {
        log_line(LOG_INFO, "the log takes writes again");
    }
    r->is_failing = err != NULL;
}

static void fail_entries(struct repl *r, struct repl_group *g, struct entry_list *list,
                         const struct err *err)
{
    CHECK(err != NULL && err->code != ERR_OK);
    size_t n = list->n;
    size_t bytes = list->bytes;
    struct entry *e;
    while ((e = entry_list_pop(list)) != NULL) {
        entry_tell(e, err);
        entry_free(e);
    }
    if (n > 0) {
        mutex_lock(&r->lock);
        group_done(r, g, n, bytes);
        mutex_unlock(&r->lock);
    }
}

static void publish(struct repl *r, struct repl_group *g, struct entry_list *committed)
    REQUIRES(log_thread)
{
    CHECK(g->has_raft && g->cut_index <= g->stored && g->commit <= g->last);
    if (committed->n > 0) {
        g->replay_next = committed->last->index + 1;
    }
    mutex_lock(&r->lock);
    g->figures.role = raft_state_name((int)raft_state(&g->raft));
    g->figures.term = raft_current_term(&g->raft);
    g->figures.first = g->cut_index + 1;
    g->figures.last = g->stored;
    g->figures.commit = g->commit;
    apply_push(r, g, committed);
    mutex_unlock(&r->lock);
}

/* Loads a group again after a failure.  What the log holds and the owner was not given yet comes
 * from written, where it stands with its writers, or else from the log. */
static enum errcode reload(struct repl *r, struct repl_group *g, struct err *err)
    REQUIRES(log_thread)
{
    bool found;
    struct entry_list committed = {NULL, NULL, 0, 0};
    group_unload(g);
    if (group_load(g, &found, err) != ERR_OK) {
        return err->code;
    }
    if (!found) {
        return err_set(err, ERR_CORRUPT, "group %llu of the log is gone",
                       (unsigned long long)g->config.id);
    }
    while (g->written.first != NULL && g->written.first->index <= g->stored) {
        struct entry *e = entry_list_pop(&g->written);
        g->replay_next = e->index + 1;
        entry_list_push(&committed, e);
    }
    if (g->stored + 1 < g->replay_next) {
        return err_set(err, ERR_CORRUPT,
                       "group %llu of the log has lost what was synced after %llu",
                       (unsigned long long)g->config.id, (unsigned long long)g->stored);
    }
    g->replay_last = g->stored;
    while (g->replay_next <= g->replay_last) {
        struct entry_list read = {NULL, NULL, 0, 0};
        enum errcode code = group_read(g, SIZE_MAX, &read, err);
        mutex_lock(&r->lock);
        g->n_in_flight += read.n;
        atomic_fetch_add(&g->bytes_in_flight, read.bytes);
        r->in_memory_bytes += read.bytes;
        mutex_unlock(&r->lock);
        entry_list_join(&committed, &read);
        if (code != ERR_OK) {
            publish(r, g, &committed);
            return code;
        }
    }
    publish(r, g, &committed);
    return ERR_OK;
}

/* After a failure of a step or of the turn: @cause says why.  Where the turn @is_synced, its
 * entries are in the log, whether they can be read now or not. */
static void recover(struct repl *r, struct repl_group *g, bool is_synced, const struct err *cause)
    REQUIRES(log_thread)
{
    CHECK(cause->code != ERR_OK);
    struct err err = *cause;
    struct err outcome = *cause;
    if (log_store_is_broken(r->store) || reload(r, g, &err) != ERR_OK) {
        if (is_synced || log_store_is_broken(r->store)) {
            err_set(&outcome, ERR_OUTCOME_UNKNOWN, "the log failed in its last step: %.200s",
                    cause->message);
            err_hint(&outcome, unknown_hint);
        }
        group_unload(g);
        log_err(LOG_ERROR, &err, "a group of the log is out of service group=%llu",
                (unsigned long long)g->config.id);
        mutex_lock(&r->lock);
        g->figures.role = "unavailable";
        mutex_unlock(&r->lock);
    }
    fail_entries(r, g, &g->written, &outcome);
    fail_entries(r, g, &g->fresh, cause);
}

/* ---- groups that come and go ---- */

static void finish_open(struct repl *r, struct repl_group *g, const struct err *err)
    REQUIRES(log_thread)
{
    CHECK(err == NULL || err->code != ERR_OK);
    mutex_lock(&r->lock);
    if (err != NULL) {
        g->error = *err;
        group_move(r, g, GROUP_FAILED, "could not be opened");
    } else {
        group_move(r, g, GROUP_REPLAYING, "loaded");
        r->n_replaying += 1;
    }
    mutex_unlock(&r->lock);
}

/* A log that ends before what the owner has, or begins behind it, is not the owner's log. */
static enum errcode refuse_owner(struct err *err)
{
    err_hint(err, "The log and the rest of the data are of different times: restore the whole data "
                  "directory from one backup.");
    return err->code;
}

static enum errcode check_owner(const struct repl_group *g, struct err *err)
{
    unsigned long long id = g->config.id;
    unsigned long long applied = g->config.applied;
    if (applied > g->stored) {
        err_set(err, ERR_CORRUPT,
                "group %llu of the log ends at %llu, but %llu was applied already", id,
                (unsigned long long)g->stored, applied);
        return refuse_owner(err);
    }
    if (applied < g->cut_index && g->cut_index > 1) {
        err_set(err, ERR_CORRUPT, "group %llu of the log begins at %llu, but only %llu was applied",
                id, (unsigned long long)g->cut_index + 1, applied);
        return refuse_owner(err);
    }
    return ERR_OK;
}

static enum errcode open_group(struct repl *r, struct repl_group *g, struct err *err)
    REQUIRES(log_thread)
{
    CHECK(!g->has_raft && g->stored == 0);
    bool found;
    if (group_load(g, &found, err) != ERR_OK) {
        return err->code;
    }
    if (!found) {
        if (g->config.applied > 0) {
            err_set(err, ERR_CORRUPT,
                    "the log has no group %llu, but %llu entries of it were applied",
                    (unsigned long long)g->config.id, (unsigned long long)g->config.applied);
            return refuse_owner(err);
        }
        if (group_bootstrap(g, err) != ERR_OK || log_store_commit(r->store, err) != ERR_OK) {
            log_store_abort(r->store);
            return err->code;
        }
        if (group_load(g, &found, err) != ERR_OK) {
            return err->code;
        }
        CHECK(found);
    }
    if (check_owner(g, err) != ERR_OK) {
        group_unload(g);
        return err->code;
    }
    g->replay_next = g->config.applied + 1;
    g->replay_last = g->stored;
    return ERR_OK;
}

static void open_groups(struct repl *r, struct turn *t) REQUIRES(log_thread)
{
    struct repl_group *g = t->opening;
    while (g != NULL) {
        struct repl_group *next = g->next;
        struct err err;
        if (open_group(r, g, &err) != ERR_OK) {
            finish_open(r, g, &err);
        } else {
            struct entry_list none = {NULL, NULL, 0, 0};
            g->next = r->groups;
            g->prev = NULL;
            if (g->next != NULL) {
                g->next->prev = g;
            }
            r->groups = g;
            make_busy(r, g);
            publish(r, g, &none);
            finish_open(r, g, NULL);
        }
        g = next;
    }
}

static void drop_group(struct repl *r, struct repl_group *gone) REQUIRES(log_thread)
{
    *(gone->prev == NULL ? &r->groups : &gone->prev->next) = gone->next;
    if (gone->next != NULL) {
        gone->next->prev = gone->prev;
    }
    for (struct repl_group **at = &r->busy; gone->is_busy; at = &(*at)->next_busy) {
        if (*at == gone) {
            *at = gone->next_busy;
            gone->is_busy = false;
            break;
        }
    }
    group_unload(gone);
}

static void close_groups(struct repl *r, const struct turn *t) REQUIRES(log_thread)
{
    for (struct repl_group *g = t->groups, *next; g != NULL; g = next) {
        next = g->next_turn;
        if (g->is_closing) {
            drop_group(r, g);
            mutex_lock(&r->lock);
            group_move(r, g, GROUP_CLOSED, "nothing is in flight");
            mutex_unlock(&r->lock);
        }
    }
}

/* Hands on a slice of each group that is being opened. */
static void replay_groups(struct repl *r) REQUIRES(log_thread)
{
    mutex_lock(&r->lock);
    bool is_any_replaying = r->n_replaying > 0;
    mutex_unlock(&r->lock);
    if (!is_any_replaying) {
        return;
    }
    for (struct repl_group *g = r->groups, *next; g != NULL; g = next) {
        next = g->next;
        mutex_lock(&r->lock);
        bool is_due = g->state == GROUP_REPLAYING && g->backlog.bytes < REPLAY_BYTES_MAX;
        mutex_unlock(&r->lock);
        if (!is_due) {
            continue;
        }
        struct entry_list slice = {NULL, NULL, 0, 0};
        struct err err;
        enum errcode code = group_read(g, REPLAY_BYTES_MAX, &slice, &err);
        bool is_last = code == ERR_OK && g->replay_next > g->replay_last;
        if (code != ERR_OK) {
            drop_group(r, g);
        }
        mutex_lock(&r->lock);
        g->n_in_flight += slice.n;
        atomic_fetch_add(&g->bytes_in_flight, slice.bytes);
        r->in_memory_bytes += slice.bytes;
        apply_push(r, g, &slice);
        if (is_last || code != ERR_OK) {
            r->n_replaying -= 1;
            if (code != ERR_OK) {
                g->error = err;
            }
            group_move(r, g, is_last ? GROUP_SERVING : GROUP_FAILED,
                       is_last ? "all of the log is handed on" : "the log could not be read");
        }
        mutex_unlock(&r->lock);
    }
}

/* ---- groups that are destroyed ---- */

static enum errcode write_doomed(struct repl *r, struct doomed *d, struct err *err)
    REQUIRES(log_thread)
{
    if (!d->is_marked) {
        const struct log_state mark = {.is_doomed = true};
        return log_store_put_state(r->store, d->group, &mark, err);
    }
    size_t n;
    if (log_store_remove(r->store, d->group, UINT64_MAX, CUT_ENTRIES_MAX, &n, err) != ERR_OK) {
        return err->code;
    }
    d->is_gone = n < CUT_ENTRIES_MAX;
    return d->is_gone ? log_store_remove_state(r->store, d->group, err) : ERR_OK;
}

/* The marks of this turn are synced, or failed: their destroyers are told. */
static void answer_dooming(struct repl *r, struct turn *t, const struct err *err)
    REQUIRES(log_thread)
{
    while (t->dooming != NULL) {
        struct doomed *d = t->dooming;
        t->dooming = d->next;
        CHECK(d->request != NULL && !d->is_marked);
        mutex_lock(&r->lock);
        if (err != NULL) {
            d->request->error = *err;
        }
        d->request->is_answered = true;
        condition_broadcast(&r->changed);
        mutex_unlock(&r->lock);
        d->request = NULL;
        if (err == NULL) {
            d->is_marked = true;
            d->next = r->doomed;
            r->doomed = d;
        } else {
            mem_free(MEM_LOG, d);
        }
    }
}

static void free_gone(struct repl *r) REQUIRES(log_thread)
{
    struct doomed **at = &r->doomed;
    while (*at != NULL) {
        struct doomed *d = *at;
        if (d->is_gone) {
            *at = d->next;
            mem_free(MEM_LOG, d);
        } else {
            at = &d->next;
        }
    }
}

/* ---- write and settle ---- */

static enum errcode write_background(struct repl *r, struct err *err) REQUIRES(log_thread)
{
    for (struct repl_group *g = r->busy; g != NULL; g = g->next_busy) {
        if (group_has_cut(g) && group_cut(g, err) != ERR_OK) {
            return err->code;
        }
    }
    for (struct doomed *d = r->doomed; d != NULL; d = d->next) {
        if (write_doomed(r, d, err) != ERR_OK) {
            return err->code;
        }
    }
    return ERR_OK;
}

/* All that the turn writes, and its sync. */
static enum errcode write_turn(struct repl *r, struct turn *t, struct err *err) REQUIRES(log_thread)
{
    bool has_entries = false;
    for (struct repl_group *g = t->groups; g != NULL; g = g->next_turn) {
        has_entries = has_entries || g->fresh.n > 0;
        if (g->fresh.n > 0 && group_submit(g, err) != ERR_OK) {
            return err->code;
        }
    }
    for (struct doomed *d = t->dooming; d != NULL; d = d->next) {
        if (write_doomed(r, d, err) != ERR_OK) {
            return err->code;
        }
    }
    if (clock_micros() >= r->background_us && write_background(r, err) != ERR_OK) {
        return err->code;
    }
    if (!log_store_is_writing(r->store)) {
        return ERR_OK;
    }
    if (log_store_commit(r->store, err) != ERR_OK) {
        return err->code;
    }
    if (has_entries && !t->is_full) {
        note_health(r, NULL);
    }
    return ERR_OK;
}

static void settle(struct repl *r) REQUIRES(log_thread)
{
    CHECK(!log_store_is_writing(r->store)); /* It is committed, or nothing was written. */
    for (struct repl_group *g = r->busy; g != NULL; g = g->next_busy) {
        if (!g->is_touched) {
            continue;
        }
        struct entry_list committed = {NULL, NULL, 0, 0};
        struct err err;
        enum errcode code = group_synced(g, &committed, &err);
        publish(r, g, &committed);
        if (code != ERR_OK) {
            recover(r, g, true, &err);
        }
    }
    free_gone(r);
}

/* Fails the turn's entries that Raft has not seen. */
static void refuse_turn(struct repl *r, struct turn *t, const struct err *err) REQUIRES(log_thread)
{
    CHECK(err->code != ERR_OK);
    for (struct repl_group *g = t->groups; g != NULL; g = g->next_turn) {
        fail_entries(r, g, &g->fresh, err);
    }
}

static void turn_failed(struct repl *r, struct turn *t, const struct err *err) REQUIRES(log_thread)
{
    CHECK(err->code != ERR_OK);
    log_store_abort(r->store);
    CHECK(!log_store_is_writing(r->store));
    note_health(r, err);
    metric_add(METRIC_log_failures, 1);
    r->background_us = clock_micros() + RETRY_US;
    for (struct doomed *d = r->doomed; d != NULL; d = d->next) {
        d->is_gone = false;
    }
    struct err ignored;
    if (log_store_is_broken(r->store) && log_store_mend(r->store, &ignored) != ERR_OK) {
        log_err(LOG_ERROR, &ignored, "the log could not be opened again");
    }
    for (struct repl_group *g = r->busy; g != NULL; g = g->next_busy) {
        if (g->is_touched) {
            recover(r, g, false, err);
        }
    }
    refuse_turn(r, t, err);
}

/* Fails those of the turn's entries that grow the data, or those that shrink it, where the disk has
 * no room for them; whether it did. */
static bool refuse_without_room(struct repl *r, struct turn *t, bool is_shrinking)
    REQUIRES(log_thread)
{
    struct err err;
    CHECK(t->shrinking_bytes <= t->bytes);
    size_t bytes = is_shrinking ? t->shrinking_bytes : t->bytes;
    if (log_store_has_room(r->store, bytes, is_shrinking)) {
        return false;
    }
    (void)log_store_fail_full(r->store, is_shrinking, &err);
    note_health(r, &err);
    for (struct repl_group *g = t->groups; g != NULL; g = g->next_turn) {
        struct entry_list refused = {NULL, NULL, 0, 0};
        entry_list_part(&g->fresh, is_shrinking, &refused);
        fail_entries(r, g, &refused, &err);
    }
    return true;
}

/* Room on the disk, a log that can be written, and each group's Raft. */
static void prepare(struct repl *r, struct turn *t) REQUIRES(log_thread)
{
    struct err err;
    if (t->bytes > 0) {
        size_t growing_bytes = t->bytes - t->shrinking_bytes;
        bool has_refused = growing_bytes > 0 && refuse_without_room(r, t, false);
        has_refused = (t->shrinking_bytes > 0 && refuse_without_room(r, t, true)) || has_refused;
        mutex_lock(&r->lock);
        r->is_full = has_refused || (growing_bytes == 0 && r->is_full);
        t->is_full = r->is_full;
        mutex_unlock(&r->lock);
    }
    for (struct repl_group *g = t->groups; g != NULL; g = g->next_turn) {
        if (g->fresh.n > 0 && !g->has_raft) {
            enum errcode code = reload(r, g, &err);
            if (code != ERR_OK) {
                group_unload(g);
                fail_entries(r, g, &g->fresh, &err);
            }
        }
    }
}

static void run_turn(struct repl *r, struct turn *t) REQUIRES(log_thread)
{
    struct err err;
    if (log_store_is_broken(r->store) && log_store_mend(r->store, &err) != ERR_OK) {
        r->background_us = clock_micros() + RETRY_US;
        refuse_turn(r, t, &err);
        answer_dooming(r, t, &err);
        for (struct repl_group *g = t->opening, *next; g != NULL; g = next) {
            next = g->next;
            finish_open(r, g, &err);
        }
        close_groups(r, t);
        return;
    }
    prepare(r, t);
    if (write_turn(r, t, &err) == ERR_OK) {
        settle(r);
        answer_dooming(r, t, NULL);
    } else {
        turn_failed(r, t, &err);
        answer_dooming(r, t, &err);
    }
    close_groups(r, t);
    open_groups(r, t);
    if (!log_store_is_broken(r->store)) {
        replay_groups(r);
    }
}

/* ---- time ---- */

static void tick(struct repl *r) REQUIRES(log_thread)
{
    CHECK(!log_store_is_writing(r->store));
    uint64_t now_us = clock_micros();
    if (now_us < r->timer_us) {
        return;
    }
    r->timer_us = now_us + TIMER_US_MAX;
    for (struct repl_group *g = r->groups; g != NULL; g = g->next) {
        struct err err;
        if (g->has_raft && raft_timeout(&g->raft) * 1000 <= now_us + TIMER_SLACK_US &&
            group_timeout(g, &err) != ERR_OK) {
            recover(r, g, true, &err);
        }
        if (g->has_raft && raft_timeout(&g->raft) * 1000 < r->timer_us) {
            r->timer_us = raft_timeout(&g->raft) * 1000;
        }
    }
}

void log_thread_run(void *arg)
{
    struct repl *r = arg;
    struct turn turn;
    role_take(&log_thread);
    while (collect(r, &turn)) {
        run_turn(r, &turn);
        tick(r);
    }
    CHECK(r->groups == NULL);
    CHECK(r->busy == NULL);
    mutex_lock(&r->lock);
    r->is_log_ended = true;
    condition_signal(&r->apply_wake);
    mutex_unlock(&r->lock);
}
