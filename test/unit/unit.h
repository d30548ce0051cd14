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

/* How long a test waits for what must come: a machine is slow, and a sanitizer slower. */
enum {
    PATIENCE_US = 300000000
};

#endif
