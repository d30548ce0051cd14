/* The apply thread: committed entries to their groups, in order, in batches.
 *
 * A group with a backlog stands in the list "ready" once; the thread takes the first group, hands
 * it one batch, and puts it at the end again if more is there, so that one busy group does not
 * starve the others.  While apply runs, the log thread syncs the next turn.
 *
 * An owner's apply may open, close or destroy other groups (a new version of the map does): then
 * this thread waits inside apply, and while it waits it applies what that other group has left.
 * That is why apply_batch takes its scratch from the caller. */
#include "repl/repl_int.h"

const struct role apply_thread = {"this is the apply thread"};

static void push_ready(struct repl *r, struct repl_group *g) REQUIRES(r->lock)
{
    CHECK(g->backlog.n > 0 && g->repl == r);
    if (g->is_ready) {
        return;
    }
    g->is_ready = true;
    g->next_ready = NULL;
    if (r->ready == NULL) {
        r->ready = g;
        condition_signal(&r->apply_wake);
    } else {
        r->ready_last->next_ready = g;
    }
    r->ready_last = g;
    CHECK(r->ready_last->next_ready == NULL);
}

void apply_push(struct repl *r, struct repl_group *g, struct entry_list *committed)
{
    if (committed->n > 0) {
        CHECK(g->state != GROUP_CLOSED && g->state != GROUP_FAILED);
        CHECK(g->backlog.first == NULL || g->backlog.last->index < committed->first->index);
        CHECK(committed->first->index > g->figures.applied);
        entry_list_join(&g->backlog, committed);
        push_ready(r, g);
        if (g->state != GROUP_SERVING) {
            condition_broadcast(&r->changed); /* The apply thread itself may wait for these. */
        }
    }
}

bool apply_batch(struct repl *r, struct repl_group *g, struct repl_entry *batch, size_t n_max)
{
    CHECK_ROLE(apply_thread);
    CHECK(n_max > 0);
    CHECK(g->repl == r);
    struct entry_list taken = {NULL, NULL, 0, 0};
    while (g->backlog.first != NULL && taken.n < n_max && taken.bytes < APPLY_BYTES_MAX) {
        struct entry *e = entry_list_pop(&g->backlog);
        batch[taken.n] = (struct repl_entry){
            .index = e->index, .data = e->data, .bytes = e->bytes, .write = e->write};
        entry_list_push(&taken, e);
    }
    if (taken.n == 0) {
        return false;
    }
    CHECK(g->state != GROUP_OPENING && g->state != GROUP_CLOSED);
    size_t n = taken.n;
    size_t bytes = taken.bytes;
    uint64_t index = taken.last->index;
    mutex_unlock(&r->lock);
    g->config.apply(g->config.arg, batch, n);
    while (taken.first != NULL) {
        entry_free(entry_list_pop(&taken));
    }
    mutex_lock(&r->lock);
    CHECK(index > g->figures.applied);
    g->figures.applied = index;
    group_done(r, g, n, bytes);
    if (g->state == GROUP_REPLAYING) {
        condition_signal(&r->log_wake); /* There is room for the next slice. */
    }
    return true;
}

void apply_thread_run(void *arg)
{
    struct repl *r = arg;
    role_take(&apply_thread);
    thread_be_nice(r->config.apply_nice);
    mutex_lock(&r->lock);
    while (r->ready != NULL || !r->is_log_ended) {
        struct repl_group *g = r->ready;
        CHECK(g == NULL || g->is_ready);
        if (g == NULL) {
            condition_wait(&r->apply_wake, &r->lock);
            continue;
        }
        r->ready = g->next_ready;
        g->is_ready = false;
        apply_batch(r, g, r->batch, APPLY_ENTRIES_MAX);
        if (g->backlog.n > 0) {
            push_ready(r, g);
        }
    }
    mutex_unlock(&r->lock);
}
