/* What the fuzz targets share.  A target is one function that must survive any input; it is linked
 * with libFuzzer (configure --enable-fuzz), or with replay.c, which feeds it the inputs that once
 * broke it (test/fuzz/found) in every make check. */
#ifndef VECTRON_TEST_FUZZ_H
#define VECTRON_TEST_FUZZ_H

#include "base/base.h"

/* libFuzzer's entry; 0 always. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#endif
