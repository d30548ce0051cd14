/* Fault points: for each, how many calls there were and which of them fail. */
#include "base/fault.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

bool fault_is_built(void)
{
#ifdef ENABLE_FAULTS
    return true;
#else
    return false;
#endif
}

#ifdef ENABLE_FAULTS

static const char *const names[FAULT_COUNT] = {
#define FAULT(name, text) #name,
#include "base/faults.def"
#undef FAULT
};

static struct {
    _Atomic uint64_t calls;
    _Atomic uint64_t first; /* The first call that fails; 0 = none. */
    _Atomic uint64_t count;
} points[FAULT_COUNT];

bool fault_hit(enum fault_point point)
{
    uint64_t call = atomic_fetch_add(&points[point].calls, 1) + 1;
    uint64_t first = atomic_load(&points[point].first);
    return first != 0 && call >= first && call - first < atomic_load(&points[point].count);
}

void fault_arm(enum fault_point point, uint64_t nth, uint64_t count)
{
    CHECK(point < FAULT_COUNT);
    atomic_store(&points[point].first, 0);
    atomic_store(&points[point].calls, 0);
    atomic_store(&points[point].count, count);
    atomic_store(&points[point].first, nth);
}

void fault_disarm_all(void)
{
    for (int point = 0; point < FAULT_COUNT; point++) {
        fault_arm((enum fault_point)point, 0, 0);
    }
}

uint64_t fault_calls(enum fault_point point)
{
    CHECK(point < FAULT_COUNT);
    return atomic_load(&points[point].calls);
}

bool fault_arm_from_text(const char *text)
{
    while (*text != '\0') {
        size_t name_bytes = strcspn(text, ":");
        int point = 0;
        while (point < FAULT_COUNT && (strlen(names[point]) != name_bytes ||
                                       strncmp(names[point], text, name_bytes) != 0)) {
            point++;
        }
        if (point == FAULT_COUNT || text[name_bytes] != ':') {
            return false;
        }
        char *end;
        uint64_t nth = strtoull(text + name_bytes + 1, &end, 10);
        uint64_t count = *end == ':' ? strtoull(end + 1, &end, 10) : 1;
        if (nth == 0 || count == 0 || (*end != '\0' && *end != ',')) {
            return false;
        }
        fault_arm((enum fault_point)point, nth, count);
        text = *end == ',' ? end + 1 : end;
    }
    return true;
}

#else

void fault_arm(enum fault_point point, uint64_t nth, uint64_t count)
{
    (void)point;
    (void)nth;
    (void)count;
}

void fault_disarm_all(void)
{
}

uint64_t fault_calls(enum fault_point point)
{
    (void)point;
    return 0;
}

bool fault_arm_from_text(const char *text)
{
    (void)text;
    return false;
}

#endif
