/* Time and chance.  All code takes them from here, so a simulation has one place to answer. */
#ifndef VECTRON_BASE_CLOCK_H
#define VECTRON_BASE_CLOCK_H

#include "base/check.h"

uint64_t clock_micros(void);     /* Monotonic. */
uint64_t clock_nanos(void);      /* Monotonic, for profiles. */
uint64_t clock_cpu_micros(void); /* That the calling thread has used; in a simulation all of it. */
int64_t clock_wall_micros(void); /* Since 1970-01-01 UTC; may jump. */
void clock_sleep_micros(uint64_t micros);

/* A test's clock: micros, nanos and wall ask @now (microseconds) from now on; NULL ends it. */
void clock_replace(uint64_t (*now)(void *arg), void *arg);

/* splitmix64 (Steele, Lea, Flood 2014): a small generator whose state is one word. */
uint64_t random_next(uint64_t *state);
uint64_t hash_u64(uint64_t x); /* Its finalizer alone: a seeded hash of a number. */
uint64_t hash_bytes(const void *data, size_t bytes, uint64_t seed);
/* From the kernel, for secrets and seeds.  Aborts where the kernel has none. */
void random_secret(void *out, size_t bytes);

#endif
