/* CHECK and the small macros that need a compiler's help.
 *
 * CHECK stays on in production: what we do wrong crashes, with the place and the claim on stderr.
 * It is never used on what comes from the network, the disk or the user. */
#ifndef VECTRON_BASE_CHECK_H
#define VECTRON_BASE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define WARN_UNUSED             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define NO_RETURN               __attribute__((noreturn))
#else
#define WARN_UNUSED
#define PRINTF_LIKE(fmt, first)
#define NO_RETURN
#endif

/* Clang's thread-safety analysis reads these; other compilers see nothing. */
#if defined(__clang__)
#define CAPABILITY(name)   __attribute__((capability(name)))
#define REQUIRES(...)      __attribute__((requires_capability(__VA_ARGS__)))
#define EXCLUDES(...)      __attribute__((locks_excluded(__VA_ARGS__)))
#define ACQUIRE(...)       __attribute__((acquire_capability(__VA_ARGS__)))
#define TRY_ACQUIRE(...)   __attribute__((try_acquire_capability(__VA_ARGS__)))
#define RELEASE(...)       __attribute__((release_capability(__VA_ARGS__)))
#define ASSERTS(...)       __attribute__((assert_capability(__VA_ARGS__)))
#define GUARDED_BY(x)      __attribute__((guarded_by(x)))
#define NO_THREAD_ANALYSIS __attribute__((no_thread_safety_analysis))
#else
#define CAPABILITY(name)
#define REQUIRES(...)
#define EXCLUDES(...)
#define ACQUIRE(...)
#define TRY_ACQUIRE(...)
#define RELEASE(...)
#define ASSERTS(...)
#define GUARDED_BY(x)
#define NO_THREAD_ANALYSIS
#endif

/* Prints "file:line: claim" and aborts. */
NO_RETURN void check_failed(const char *file, int line, const char *claim);

#define CHECK(claim) ((claim) ? (void)0 : check_failed(__FILE__, __LINE__, #claim))

/* For what each row, hop or value passes: it holds where code is tried, under the sanitizers and
 * with --enable-faults, and costs nothing elsewhere.  The claim may have no effect. */
#ifdef CHECK_ALL
#define CHECK_HOT(claim) CHECK(claim)
#else
#define CHECK_HOT(claim) ((void)sizeof((claim) ? 1 : 0))
#endif

/* For a place that only a fault of ours can reach. */
#define CHECK_NEVER(why) check_failed(__FILE__, __LINE__, why)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The struct of which @member is a part, from a pointer to that part. */
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
