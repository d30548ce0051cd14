/* What a portal waits for, and what is told of it from other threads: events, the end of its time,
 * a cancel, how far it is.
 *
 * The owner is told of events through sink.wake, at most once for each time that portal_run
 * returned to wait for something: "parked" is that debt. */
#include "query/database_int.h"
#include "query/leaf_int.h"
#include "query/portal_int.h"
#include "query/session_int.h"

enum {
    PROGRESS_INTERVAL_US = 200000
};

void portal_wake(struct portal *p)
{
    if (p->is_parked && !atomic_load(&p->is_abandoned)) {
        p->is_parked = false;
        p->sink.wake(p->sink.arg);
    }
}

void portal_event(struct portal *p)
{
    CHECK_HOT(atomic_load(&p->refs) > 0);
    mutex_lock(&p->lock);
    p->events++;
    portal_wake(p);
    mutex_unlock(&p->lock);
}

/* When a portal that waits is to look again whatever happens; 0: never. */
static uint64_t next_alarm(const struct portal *p)
{
    if (p->state == PORTAL_IS_WORKING || leaves_are_writing(p)) {
        return 0; /* A step on the pool looks at the clock itself, and so do the leaves. */
    }
    if (p->settle_until_us != 0) {
        return p->settle_until_us;
    }
    bool is_pause_first = p->deadline_us == 0 || p->pause_until_us < p->deadline_us;
    return p->pause_until_us != 0 && is_pause_first ? p->pause_until_us : p->deadline_us;
}

bool portal_park(struct portal *p)
{
    CHECK_HOT(!role_is_mine(&work_thread) && !p->is_inline);
    mutex_lock(&p->lock);
    bool is_new = p->events != p->events_seen || (p->state == PORTAL_IS_WORKING && p->job_ended);
    p->events_seen = p->events;
    p->is_parked = !is_new;
    mutex_unlock(&p->lock);
    uint64_t alarm_us = next_alarm(p);
    if (!is_new && alarm_us != 0) {
        alarm_set(p->db->node, &p->alarm, alarm_us);
        p->has_alarm = true;
    }
    return !is_new;
}

void portal_pause(struct portal *p, uint64_t us_max)
{
    CHECK(us_max > 0);
    uint64_t pause_us = 1 + random_next(&p->session->chance) % us_max;
    p->pause_until_us = clock_micros() + pause_us;
}

bool portal_is_pausing(struct portal *p)
{
    if (clock_micros() >= p->pause_until_us) {
        p->pause_until_us = 0;
    }
    return p->pause_until_us != 0;
}

bool portal_is_canceled(void *arg)
{
    struct portal *p = arg;
    return atomic_load(&p->is_abandoned) || atomic_load(&p->session->is_canceled) ||
           (p->deadline_us != 0 && clock_micros() >= p->deadline_us);
}

enum errcode portal_poll(struct portal *p, struct err *err)
{
    if (atomic_load(&p->is_abandoned)) {
        return err_set(err, ERR_CANCELED, "the statement was canceled");
    }
    return query_session_poll(p->session, p->deadline_us, p->force.timeout_us, err);
}

void portal_progress(struct portal *p, const char *phase, uint64_t done, uint64_t total)
{
    CHECK_HOT(phase != NULL);
    uint64_t now = clock_micros();
    if (now - p->phase_at_us < PROGRESS_INTERVAL_US) {
        return;
    }
    p->phase_at_us = now;
    mutex_lock(&p->lock);
    p->phase = phase;
    p->phase_done = done;
    p->phase_total = total;
    p->events++;
    portal_wake(p);
    mutex_unlock(&p->lock);
}

void portal_tell_progress(struct portal *p)
{
    mutex_lock(&p->lock);
    const char *phase = p->phase;
    uint64_t done = p->phase_done, total = p->phase_total;
    p->phase = NULL;
    mutex_unlock(&p->lock);
    if (phase != NULL) {
        p->sink.progress(p->sink.arg, phase, done, total);
    }
}
