/* Work, counted: what a long evaluation pays as it goes, so that it hears in time of a cancel, of a
 * deadline, and of having been at it too long for its thread.
 *
 * A unit is about a nanosecond.  Whoever loops over what a user controls - rows, terms, bytes of a
 * text, tokens - pays for it, before the loop or within it, and whenever a slice is used up the
 * meter's owner is asked whether to go on.  Paying costs a subtraction.  One thread. */
#ifndef VECTRON_BASE_WORK_H
#define VECTRON_BASE_WORK_H

#include "base/err.h"

enum {
    WORK_SLICE = 100000, /* Between two questions. */
    BYTES_A_UNIT = 16    /* Compared or copied for a unit. */
};

struct work {
    int64_t left; /* Of the slice. */
    /* ERR_OK and a new slice in left, or why to stop: then left is 0, and the next payment asks
     * again. */
    enum errcode (*ask)(struct work *work, struct err *err);
};

/* For a loop that cannot fail: the next work_spend asks. */
static inline void work_charge(struct work *work, uint64_t units)
{
    work->left -= (int64_t)units;
}

static inline WARN_UNUSED enum errcode work_spend(struct work *work, uint64_t units,
                                                  struct err *err)
{
    work->left -= (int64_t)units;
    return work->left > 0 ? ERR_OK : work->ask(work, err);
}

#endif
