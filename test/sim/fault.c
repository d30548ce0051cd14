/* What goes wrong, and when.  A seed chooses which kinds there are, so that some seeds have none,
 * some one, and some all. */
#include <errno.h>

#include "base/fault.h"
#include "test/sim/sim.h"

enum {
    PAGE_BYTES = 4096,
    SYNC_NS_MAX = 3000000,
    SLOW_NS_MAX = 1000000000,
    WINDOW_NS_MAX = 2000000000,
};

void faults_begin_world(void)
{
    static const unsigned one_in[FAULT_KINDS] = {
        [GONE_KILLED] = 3,           [GONE_POWER_ALL] = 3,    [GONE_POWER_SOME] = 2,
        [FAULT_EIO_READ] = 400,      [FAULT_EIO_WRITE] = 400, [FAULT_EIO_SYNC] = 200,
        [FAULT_SHORT_WRITE] = 50,    [FAULT_NO_SPACE] = 600,  [FAULT_SLOW_DISK] = 200,
        [FAULT_DEAD_DISK] = 500,     [FAULT_NO_MEMORY] = 20,  [FAULT_NO_THREAD] = 30,
        [FAULT_NO_DESCRIPTOR] = 200, [FAULT_CANCEL] = 10,     [FAULT_TIMEOUT] = 10,
        [FAULT_ABANDONED] = 30};
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        world->one_in[kind] = chance_is(STREAM_FAULT, 3) ? one_in[kind] : 0;
    }
    world->has_faults = true;
}

void faults_end(void)
{
    world->has_faults = false;
    world->full_until_ns = world->slow_until_ns = 0;
    fault_disarm_all();
}

bool fault_happens(enum fault_kind kind)
{
    bool happens = world->has_faults && chance_is(STREAM_FAULT, world->one_in[kind]);
    world->faults[kind] += happens;
    return happens;
}

static uint64_t some_time_ns(uint64_t max_ns)
{
    return world->now_ns + chance_below(STREAM_FAULT, max_ns);
}

uint64_t fault_disk_ns(bool is_sync)
{
    if (fault_happens(FAULT_SLOW_DISK)) {
        world->slow_until_ns = some_time_ns(WINDOW_NS_MAX);
    }
    bool is_slow = world->now_ns < world->slow_until_ns;
    return is_sync || is_slow ? chance_below(STREAM_DISK, is_slow ? SLOW_NS_MAX : SYNC_NS_MAX) : 0;
}

bool fault_disk_is_full(void)
{
    return world->now_ns < world->full_until_ns;
}

static bool is_disk_dead(void)
{
    if (!world->is_disk_dead && fault_happens(FAULT_DEAD_DISK)) {
        world->is_disk_dead = true;
        trace("the disk is dead");
    }
    return world->is_disk_dead;
}

int fault_write(uint64_t at, uint64_t grows_by, size_t *bytes)
{
    if (fault_happens(FAULT_NO_SPACE)) {
        world->full_until_ns = some_time_ns(WINDOW_NS_MAX);
    }
    if (is_disk_dead()) {
        return EIO;
    }
    if (grows_by > 0 && fault_disk_is_full()) {
        return ENOSPC;
    }
    if (fault_happens(FAULT_EIO_WRITE)) {
        trace("a write fails");
        return EIO;
    }
    /* The kernel goes on page by page: it stops between two, never within one. */
    uint64_t pages = (at + *bytes - 1) / PAGE_BYTES - at / PAGE_BYTES;
    if (pages > 0 && fault_happens(FAULT_SHORT_WRITE)) {
        *bytes = (at / PAGE_BYTES + 1 + chance_below(STREAM_FAULT, pages)) * PAGE_BYTES - at;
        trace("a write ends early");
    }
    return 0;
}

int fault_sync(void)
{
    bool fails = is_disk_dead() || fault_happens(FAULT_EIO_SYNC);
    if (fails) {
        trace("a sync fails");
    }
    return fails ? EIO : 0;
}

void fault_memory(void)
{
    if (fault_happens(FAULT_NO_MEMORY)) {
        fault_arm(FAULT_MALLOC, 1 + chance_below(STREAM_FAULT, 300),
                  1 + chance_below(STREAM_FAULT, 3));
    }
}
