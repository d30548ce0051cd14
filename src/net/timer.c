/* Timers of a loop: a pairing heap by due time (Fredman, Sedgewick, Sleator, Tarjan 1986).
 *
 * They live here and not in the event library because they go by base/clock.h: a simulation moves
 * its clock and calls loop_turn, and what is due fires in the order in which it became due.  The
 * library only has to wake the loop for the first of them.  A timer's node is embedded, so that
 * setting one cannot fail.
 *
 * A node's children are a list: child is the first, next the one to the right, and back the one to
 * the left or, of the first, the parent.  No node is due before its parent. */
#include "net/net_int.h"

#include <stddef.h>

/* Joins two heaps; the root that is due first stays one. */
static struct loop_timer *join(struct loop_timer *a, struct loop_timer *b)
{
    if (a == NULL || b == NULL) {
        return a == NULL ? b : a;
    }
    CHECK(a != b && a->is_set && b->is_set);
    if (b->at_us < a->at_us) {
        struct loop_timer *later = a;
        a = b;
        b = later;
    }
    b->next = a->child;
    b->back = a;
    if (a->child != NULL) {
        a->child->back = b;
    }
    a->child = b;
    a->next = a->back = NULL;
    return a;
}

/* The children of a root that is gone, joined: in pairs from the left, then the pairs from the
 * right. */
static struct loop_timer *join_children(struct loop_timer *child)
{
    struct loop_timer *pairs = NULL, *root = NULL;
    while (child != NULL) {
        struct loop_timer *second = child->next, *rest = second == NULL ? NULL : second->next;
        child->next = child->back = NULL;
        if (second != NULL) {
            second->next = second->back = NULL;
        }
        child = join(child, second);
        child->next = pairs;
        pairs = child;
        child = rest;
    }
    while (pairs != NULL) {
        struct loop_timer *rest = pairs->next;
        pairs->next = NULL;
        root = join(root, pairs);
        pairs = rest;
    }
    return root;
}

static void take_out(struct loop *loop, struct loop_timer *t)
{
    CHECK(t->is_set && (t->back != NULL || loop->timers == t));
    struct loop_timer *children = join_children(t->child);
    if (t->back == NULL) {
        loop->timers = children;
    } else {
        *(t->back->child == t ? &t->back->child : &t->back->next) = t->next;
        if (t->next != NULL) {
            t->next->back = t->back;
        }
        loop->timers = join(loop->timers, children);
    }
    t->child = t->next = t->back = NULL;
    t->is_set = false;
}

/* Has the library wake the loop for the first timer, where it would not do so in time. */
static void wake_for_first(struct loop *loop)
{
    const struct loop_timer *first = loop->timers;
    CHECK(first == NULL || (first->is_set && first->back == NULL));
    if (first == NULL || first->at_us >= loop->tick_at_us) {
        return;
    }
    uint64_t now_us = clock_micros();
    uint64_t delay_us = first->at_us > now_us ? first->at_us - now_us : 0;
    struct timeval delay = {.tv_sec = (time_t)(delay_us / 1000000),
                            .tv_usec = (suseconds_t)(delay_us % 1000000)};
    CHECK(event_add(&loop->tick, &delay) == 0);
    loop->tick_at_us = first->at_us;
}

void loop_timer_set(struct loop *loop, struct loop_timer *t, uint64_t delay_us)
{
    CHECK_LOOP(loop);
    CHECK(t->fn != NULL);
    if (t->is_set) {
        take_out(loop, t);
    }
    t->at_us = clock_micros() + delay_us;
    t->is_set = true;
    loop->timers = join(loop->timers, t);
    wake_for_first(loop);
}

void loop_timer_clear(struct loop *loop, struct loop_timer *t)
{
    CHECK_LOOP(loop);
    if (t->is_set) {
        take_out(loop, t);
    }
    if (loop->timers == NULL && loop->tick_at_us != UINT64_MAX) {
        event_del(&loop->tick); /* The library looks at the clock in each turn while it has one. */
        loop->tick_at_us = UINT64_MAX;
    }
}

void loop_timers_fire(struct loop *loop)
{
    CHECK_LOOP(loop);
    uint64_t now_us = clock_micros();
    while (loop->timers != NULL && loop->timers->at_us <= now_us) {
        struct loop_timer *t = loop->timers;
        take_out(loop, t);
        t->fn(t->arg); /* May free it. */
    }
    loop->tick_at_us = UINT64_MAX;
    wake_for_first(loop);
}

/* ---- the door's timers ---- */

struct timer {
    struct loop *loop;
    struct loop_timer node;
};

struct timer *timer_new(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    CHECK(loop != NULL && fn != NULL);
    struct timer *timer = mem_zalloc(MEM_NETWORK, sizeof *timer);
    if (timer != NULL) {
        timer->loop = loop;
        timer->node = (struct loop_timer){.fn = fn, .arg = arg};
    }
    return timer;
}

void timer_set(struct timer *timer, uint64_t delay_us)
{
    loop_timer_set(timer->loop, &timer->node, delay_us);
}

void timer_clear(struct timer *timer)
{
    loop_timer_clear(timer->loop, &timer->node);
}

void timer_free(struct timer *timer)
{
    if (timer != NULL) {
        loop_timer_clear(timer->loop, &timer->node);
        mem_free(MEM_NETWORK, timer);
    }
}
