/* A group's state, the lists that it waits in, and what it has in flight: what the door, the log
 * thread and the apply thread change, under repl.lock. */
#include "repl/repl_int.h"

static const uint32_t group_moves[GROUP_STATES] = {
    [GROUP_OPENING] = STATE_BIT(GROUP_REPLAYING) | STATE_BIT(GROUP_FAILED),
    [GROUP_REPLAYING] = STATE_BIT(GROUP_SERVING) | STATE_BIT(GROUP_FAILED),
    [GROUP_SERVING] = STATE_BIT(GROUP_CLOSING),
    [GROUP_CLOSING] = STATE_BIT(GROUP_CLOSED),
};

static const char *const group_states[] = {"opening", "replaying", "serving",
                                           "failed",  "closing",   "closed"};
_Static_assert(COUNT_OF(group_states) == GROUP_STATES, "a name for each state");

static const struct state_machine group_machine = {
    .name = "log group",
    .names = group_states,
    .n_states = GROUP_STATES,
    .moves = group_moves,
};

void group_move(struct repl *r, struct repl_group *g, enum group_state to, const char *why)
{
    state_move(&group_machine, &g->state, (uint8_t)to, g->config.id, why);
    condition_broadcast(&r->changed);
}

void group_wait(struct repl *r, struct repl_group *g)
{
    CHECK(g->repl == r && g->state != GROUP_CLOSED && g->state != GROUP_FAILED);
    CHECK((r->waiting == NULL) == (r->waiting_last == NULL));
    if (g->is_waiting) {
        return;
    }
    g->is_waiting = true;
    g->next_waiting = NULL;
    if (r->waiting == NULL) {
        r->waiting = g;
        condition_signal(&r->log_wake);
    } else {
        r->waiting_last->next_waiting = g;
    }
    r->waiting_last = g;
}

void group_done(struct repl *r, struct repl_group *g, size_t n, size_t bytes)
{
    CHECK(g->n_in_flight >= n && atomic_load(&g->bytes_in_flight) >= bytes);
    CHECK(n > 0 && g->repl == r);
    g->n_in_flight -= n;
    atomic_fetch_sub(&g->bytes_in_flight, bytes);
    room_give_back(r, bytes);
    if (g->n_in_flight == 0) {
        condition_broadcast(&r->changed);
    }
}

void group_unlist(struct repl *r, struct repl_group *g)
{
    CHECK(g->state == GROUP_CLOSED || g->state == GROUP_FAILED);
    struct repl_group *last = NULL;
    for (struct repl_group **at = &r->waiting; *at != NULL;) {
        if (*at == g) {
            *at = g->next_waiting;
        } else {
            last = *at;
            at = &(*at)->next_waiting;
        }
    }
    r->waiting_last = last;
    last = NULL;
    for (struct repl_group **at = &r->ready; *at != NULL;) {
        if (*at == g) {
            *at = g->next_ready;
        } else {
            last = *at;
            at = &(*at)->next_ready;
        }
    }
    r->ready_last = last;
}
