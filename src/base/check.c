/* The end of the process when a claim about our own code does not hold. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *claim)
{
    fprintf(stderr, "%s:%d: this must hold and does not: %s\n", file, line, claim);
    abort();
}
