/* Alarms: one thread that calls back when a statement that waits has reached its deadline.
 *
 * Only statements with a timeout that wait set one, so the list is short and unsorted. */
#include "node/node_int.h"

struct alarms {
    struct thread thread;
    struct mutex lock; /* What follows. */
    struct condition changed;
    struct alarm *first;
    bool is_stopping;
};

static void unlink_alarm(struct alarms *alarms, struct alarm *alarm) REQUIRES(alarms->lock)
{
    CHECK(alarm->is_set && (alarm->prev == NULL) == (alarms->first == alarm));
    if (alarm->prev != NULL) {
        alarm->prev->next = alarm->next;
    } else {
        alarms->first = alarm->next;
    }
    if (alarm->next != NULL) {
        alarm->next->prev = alarm->prev;
    }
    alarm->is_set = false;
}

/* Fires what is due; returns when the next one is, or UINT64_MAX. */
static uint64_t fire_due(struct alarms *alarms) REQUIRES(alarms->lock)
{
    uint64_t now = clock_micros(), next_us = UINT64_MAX;
    for (struct alarm *alarm = alarms->first; alarm != NULL;) {
        struct alarm *next = alarm->next;
        if (alarm->at_us <= now) {
            unlink_alarm(alarms, alarm);
            alarm->fire(alarm->arg);
        } else if (alarm->at_us < next_us) {
            next_us = alarm->at_us;
        }
        alarm = next;
    }
    CHECK(next_us > now);
    return next_us;
}

static void alarms_thread(void *arg)
{
    struct alarms *alarms = arg;
    mutex_lock(&alarms->lock);
    while (!alarms->is_stopping) {
        uint64_t next_us = fire_due(alarms);
        if (next_us == UINT64_MAX) {
            condition_wait(&alarms->changed, &alarms->lock);
        } else {
            condition_wait_until(&alarms->changed, &alarms->lock, next_us);
        }
    }
    mutex_unlock(&alarms->lock);
}

struct alarms *alarms_new(struct err *err)
{
    struct alarms *alarms = mem_zalloc(MEM_GENERAL, sizeof(*alarms));
    if (alarms == NULL) {
        err_no_memory(err);
        return NULL;
    }
    mutex_init(&alarms->lock);
    condition_init(&alarms->changed);
    if (thread_start(&alarms->thread, "alarm", alarms_thread, alarms, err) != ERR_OK) {
        condition_fini(&alarms->changed);
        mutex_fini(&alarms->lock);
        mem_free(MEM_GENERAL, alarms);
        return NULL;
    }
    return alarms;
}

void alarms_free(struct alarms *alarms)
{
    if (alarms == NULL) {
        return;
    }
    mutex_lock(&alarms->lock);
    CHECK(alarms->first == NULL);
    alarms->is_stopping = true;
    condition_signal(&alarms->changed);
    mutex_unlock(&alarms->lock);
    thread_join(&alarms->thread);
    condition_fini(&alarms->changed);
    mutex_fini(&alarms->lock);
    mem_free(MEM_GENERAL, alarms);
}

void alarm_set(struct node *node, struct alarm *alarm, uint64_t at_us)
{
    CHECK(at_us > 0);
    struct alarms *alarms = node->alarms;
    CHECK(alarm->fire != NULL);
    mutex_lock(&alarms->lock);
    CHECK(!alarms->is_stopping);
    if (alarm->is_set && alarm->at_us == at_us) {
        mutex_unlock(&alarms->lock);
        return;
    }
    if (!alarm->is_set) {
        CHECK(alarms->first == NULL || alarms->first->prev == NULL);
        alarm->is_set = true;
        alarm->prev = NULL;
        alarm->next = alarms->first;
        if (alarms->first != NULL) {
            alarms->first->prev = alarm;
        }
        alarms->first = alarm;
    }
    alarm->at_us = at_us;
    condition_signal(&alarms->changed);
    mutex_unlock(&alarms->lock);
}

void alarm_clear(struct node *node, struct alarm *alarm)
{
    struct alarms *alarms = node->alarms;
    mutex_lock(&alarms->lock);
    if (alarm->is_set) {
        unlink_alarm(alarms, alarm);
    }
    mutex_unlock(&alarms->lock);
}
