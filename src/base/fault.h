/* Fault points: places where a test can make the world fail.
 *
 * Built with --enable-faults, fault_hit asks whether this point fails now; without it the call is
 * the constant false and costs nothing.  Armed with fault_arm or the environment variable
 * VECTROND_FAULTS="name:n[:count]": the n-th call from now fails, and count-1 after it. */
#ifndef VECTRON_BASE_FAULT_H
#define VECTRON_BASE_FAULT_H

#include "base/check.h"

enum fault_point {
#define FAULT(name, text) FAULT_##name,
#include "base/faults.def"
#undef FAULT
    FAULT_COUNT
};

#ifdef ENABLE_FAULTS
bool fault_hit(enum fault_point point);
#else
static inline bool fault_hit(enum fault_point point)
{
    (void)point;
    return false;
}
#endif

/* No-ops in a build without faults, where fault_is_built says false. */
bool fault_is_built(void);
void fault_arm(enum fault_point point, uint64_t nth, uint64_t count);
void fault_disarm_all(void);
uint64_t fault_calls(enum fault_point point); /* Since the last fault_arm or fault_disarm_all. */
bool fault_arm_from_text(const char *text);   /* As in the environment variable; false if bad. */

#endif
