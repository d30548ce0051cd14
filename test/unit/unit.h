/* What every unit test includes: cmocka, which wants four headers before its own, and base. */
#ifndef VECTRON_TEST_UNIT_H
#define VECTRON_TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/base.h"

/* A sanitizer makes hours of minutes: what is repeated for good measure is repeated less there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GOOD_MEASURE(full, reduced) (reduced)
#else
#define GOOD_MEASURE(full, reduced) (full)
#endif

/* Left out where threads are watched, its setup too: what goes on at once there goes on in another
 * test of the program, and this one would take minutes. */
#ifdef __SANITIZE_THREAD__
#define UNWATCHED_TEST(test, setup, teardown)                                                      \
    {                                                                                              \
#test " (left out)", ((void)(test), leave_out), NULL, NULL, NULL                           \
    }
#define WATCHED_EVERY(n) (n)
#else
#define UNWATCHED_TEST(test, setup, teardown) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define WATCHED_EVERY(n)                      1 /* Of many cases that are alike. */
#endif

/* How long a test waits for what must come: a machine is slow, and a sanitizer slower. */
enum {
    PATIENCE_US = 300000000
};

static inline void leave_out(void **state)
{
    (void)state;
    skip();
}

#endif
