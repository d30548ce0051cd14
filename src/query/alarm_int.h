/* One thread that calls back at a time, for statements that wait with a deadline. */
#ifndef VECTRON_QUERY_ALARM_INT_H
#define VECTRON_QUERY_ALARM_INT_H

#include "base/base.h"

struct alarms;
struct alarm {
    uint64_t at_us;
    void (*fire)(void *arg); /* On the alarms' thread, under its lock: short, sets no alarm. */
    void *arg;
    struct alarm *prev, *next;
    bool is_set;
};
struct alarms *alarms_new(struct err *err);
void alarms_free(struct alarms *alarms);
void alarm_set(struct alarms *alarms, struct alarm *alarm, uint64_t at_us);
void alarm_clear(struct alarms *alarms, struct alarm *alarm); /* Afterwards fire does not run. */

#endif
