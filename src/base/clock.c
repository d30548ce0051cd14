/* Time and chance: the kernel's clocks unless a test replaced them. */
#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    MICROS_A_SECOND = 1000000,
    NANOS_A_MICRO = 1000
};

/* Set before any other thread runs, by a test only. */
static uint64_t (*replaced_now)(void *arg);
static void *replaced_arg;

void clock_replace(uint64_t (*now)(void *arg), void *arg)
{
    replaced_now = now;
    replaced_arg = arg;
}

static uint64_t read_clock_nanos(clockid_t id)
{
    struct timespec t;
    CHECK(clock_gettime(id, &t) == 0);
    return (uint64_t)t.tv_sec * MICROS_A_SECOND * NANOS_A_MICRO + (uint64_t)t.tv_nsec;
}

uint64_t clock_nanos(void)
{
    return replaced_now != NULL ? replaced_now(replaced_arg) * NANOS_A_MICRO
                                : read_clock_nanos(CLOCK_MONOTONIC);
}

uint64_t clock_micros(void)
{
    return clock_nanos() / NANOS_A_MICRO;
}

uint64_t clock_cpu_micros(void)
{
    return replaced_now != NULL ? clock_micros()
                                : read_clock_nanos(CLOCK_THREAD_CPUTIME_ID) / NANOS_A_MICRO;
}

int64_t clock_wall_micros(void)
{
    return replaced_now != NULL ? (int64_t)replaced_now(replaced_arg)
                                : (int64_t)(read_clock_nanos(CLOCK_REALTIME) / NANOS_A_MICRO);
}

void clock_sleep_micros(uint64_t micros)
{
    struct timespec left = {.tv_sec = (time_t)(micros / MICROS_A_SECOND),
                            .tv_nsec = (long)(micros % MICROS_A_SECOND) * NANOS_A_MICRO};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

uint64_t hash_u64(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t random_next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    return hash_u64(*state);
}

uint64_t hash_bytes(const void *data, size_t bytes, uint64_t seed)
{
    const uint8_t *p = data;
    uint64_t hash = hash_u64(seed ^ (uint64_t)bytes);
    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), p += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        hash = hash_u64(hash ^ word) * 0x9e3779b97f4a7c15u;
    }
    uint64_t last = 0;
    memcpy(&last, p, bytes);
    return hash_u64(hash ^ last);
}

void random_secret(void *out, size_t bytes)
{
    uint8_t *p = out;
    while (bytes > 0) {
        ssize_t n = getrandom(p, bytes, 0); /* Needs no descriptor, of which there may be none. */
        CHECK(n > 0 || errno == EINTR);
        if (n > 0) {
            p += n;
            bytes -= (size_t)n;
        }
    }
}
