/* Threads as coroutines of one thread.
 *
 * One fiber runs at a time.  At each lock, unlock, wait and call of the kernel it comes here, and
 * the seed chooses who runs next.  Time stands still but for a little at each switch, and jumps to
 * the next deadline when nobody can run; nobody and no deadline is a deadlock.
 *
 *   runs <--(chosen)-- ready <--(woken, or the deadline came)-- blocked
 *                        ^------------(switch)-- runs --(block)----^
 *
 * A thread's own variables (_Thread_local) of the program, which holds all production code, are one
 * block of memory; it is copied out and in with each change of fibers, so that each has its own. */
#define _GNU_SOURCE /* dl_iterate_phdr */
#include "test/sim/sim.h"

#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum {
    FIBERS_MAX = 128,
    STACK_BYTES = 1 << 20,
    GUARD_BYTES = 4096,
    SWITCH_NS = 700,
    ALONE_NS = 20000, /* Of one that waits for others by yielding while all of them sleep. */
    OWN_BYTES_MAX = 4096,
    LAGGARD_ONE_IN = 300,
    LAGGARD_SWITCHES_MAX = 2000
};

struct fiber {
    ucontext_t context;
    uint8_t *stack;
    char name[16];
    unsigned number;
    void (*run)(void *arg);
    void *arg;
    bool is_ready, has_ended, has_timed_out;
    const void *blocked_on;
    const char *why;
    uint64_t deadline_ns; /* Of one that is blocked. */
    int errnum;
    uint8_t own[OWN_BYTES_MAX]; /* Its _Thread_local variables while another runs. */
};

static struct {
    struct fiber *fibers[FIBERS_MAX];
    size_t n;
    struct fiber *current;
    unsigned next_number;
    unsigned stay_of_16; /* How often the one that runs goes on. */
    /* One that does not get a core for a while, though it could run. */
    const struct fiber *laggard;
    uint64_t laggard_until; /* This switch. */
    uint8_t *own;
    size_t own_bytes;
    uint8_t own_first[OWN_BYTES_MAX];
    uint8_t *free_stacks[FIBERS_MAX];
    size_t n_free_stacks;
    struct fiber *dead; /* Its stack is free as soon as another runs. */
} sched;

/* ---- thread-local variables ---- */

static int find_own(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    (void)bytes, (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_TLS) {
            sched.own = info->dlpi_tls_data;
            sched.own_bytes = info->dlpi_phdr[i].p_memsz;
        }
    }
    return 1; /* The program itself is the first. */
}

/* ---- choosing ---- */

static _Noreturn void report_deadlock(void)
{
    char text[FAILURE_BYTES];
    size_t at = (size_t)snprintf(text, sizeof(text), "deadlock:");
    for (size_t i = 0; i < sched.n && at < sizeof(text); i++) {
        const struct fiber *f = sched.fibers[i];
        at += (size_t)snprintf(text + at, sizeof(text) - at, " %s-%u(%s)", f->name, f->number,
                               f->why == NULL ? "?" : f->why);
    }
    sim_fail("%s", text);
}

static void wake(struct fiber *f, bool has_timed_out)
{
    f->is_ready = true;
    f->has_timed_out = has_timed_out;
    f->blocked_on = NULL;
}

/* Those whose deadline has come are ready; returns the next one's. */
static uint64_t wake_due(void)
{
    uint64_t next_ns = UINT64_MAX;
    for (size_t i = 0; i < sched.n; i++) {
        struct fiber *f = sched.fibers[i];
        if (!f->is_ready && f->deadline_ns <= world->now_ns) {
            wake(f, true);
        } else if (!f->is_ready && f->deadline_ns < next_ns) {
            next_ns = f->deadline_ns;
        }
    }
    return next_ns;
}

static size_t list_ready(struct fiber *ready[FIBERS_MAX], bool is_without_current)
{
    size_t n = 0;
    for (size_t i = 0; i < sched.n; i++) {
        struct fiber *f = sched.fibers[i];
        if (f->is_ready && f != sched.laggard && !(is_without_current && f == sched.current)) {
            ready[n++] = f;
        }
    }
    return n;
}

/* What else the machine does, or a virtual one's host. */
static void hold_back_by_chance(void)
{
    if (world->switches >= sched.laggard_until) {
        sched.laggard = NULL;
    }
    if (sched.laggard == NULL && chance_is(STREAM_SCHEDULE, LAGGARD_ONE_IN)) {
        sched.laggard = sched.fibers[chance_below(STREAM_SCHEDULE, sched.n)];
        sched.laggard_until = world->switches + chance_below(STREAM_SCHEDULE, LAGGARD_SWITCHES_MAX);
    }
}

/* Another than the one that runs, if there is one that can and @is_other. */
static struct fiber *choose(bool is_other)
{
    struct fiber *ready[FIBERS_MAX];
    hold_back_by_chance();
    uint64_t next_ns = wake_due();
    size_t n = list_ready(ready, is_other);
    while (n == 0) {
        if (is_other && sched.current->is_ready) {
            world->now_ns += ALONE_NS;
            (void)wake_due();
            return sched.current;
        }
        if (sched.laggard != NULL) {
            sched.laggard = NULL; /* There is a core for it now. */
            n = list_ready(ready, is_other);
            continue;
        }
        if (next_ns == UINT64_MAX) {
            report_deadlock();
        }
        world->now_ns = next_ns;
        next_ns = wake_due();
        n = list_ready(ready, is_other);
    }
    return ready[n == 1 ? 0 : chance_below(STREAM_SCHEDULE, n)];
}

static void change_to(struct fiber *next)
{
    struct fiber *last = sched.current;
    if (next == last) {
        return;
    }
    last->errnum = errno;
    memcpy(last->own, sched.own, sched.own_bytes);
    memcpy(sched.own, next->own, sched.own_bytes);
    sched.current = next;
    world_note(next->number << 1 ^ world->now_ns);
    CHECK(swapcontext(&last->context, &next->context) == 0);
    errno = sched.current->errnum;
    if (sched.dead != NULL) {
        sched.free_stacks[sched.n_free_stacks++] = sched.dead->stack;
        sched.dead->stack = NULL;
        sched.dead = NULL;
    }
}

static void count_switch(void)
{
    world->switches++;
    world->now_ns += SWITCH_NS;
    if (world->crash_at != 0 && world->switches >= world->crash_at) {
        life_crash();
    }
}

bool sched_is_on(void)
{
    return sched.current != NULL;
}

struct fiber *sched_current(void)
{
    return sched.current;
}

void sched_switch(void)
{
    if (!sched_is_on()) {
        return;
    }
    count_switch();
    if (chance_below(STREAM_SCHEDULE, 16) >= sched.stay_of_16) {
        change_to(choose(false));
    }
}

void sched_yield_to_others(void)
{
    count_switch();
    change_to(choose(true));
}

bool sched_block(const void *on, uint64_t deadline_ns, const char *why)
{
    struct fiber *f = sched.current;
    f->is_ready = false;
    f->blocked_on = on;
    f->deadline_ns = deadline_ns;
    f->why = why;
    count_switch();
    change_to(choose(false));
    f->why = NULL;
    return !f->has_timed_out;
}

void sched_wake_all(const void *on)
{
    for (size_t i = 0; i < sched.n; i++) {
        if (!sched.fibers[i]->is_ready && sched.fibers[i]->blocked_on == on) {
            wake(sched.fibers[i], false);
        }
    }
}

void sched_wake_one(const void *on)
{
    struct fiber *waiting[FIBERS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < sched.n; i++) {
        if (!sched.fibers[i]->is_ready && sched.fibers[i]->blocked_on == on) {
            waiting[n++] = sched.fibers[i];
        }
    }
    if (n > 0) {
        wake(waiting[n == 1 ? 0 : chance_below(STREAM_SCHEDULE, n)], false);
    }
}

void sched_sleep(uint64_t ns)
{
    static const char nothing;
    (void)sched_block(&nothing, world->now_ns + ns, "sleep");
}

/* ---- fibers ---- */

static uint8_t *take_stack(void)
{
    if (sched.n_free_stacks > 0) {
        return sched.free_stacks[--sched.n_free_stacks];
    }
    uint8_t *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    CHECK(stack != MAP_FAILED && mprotect(stack, GUARD_BYTES, PROT_NONE) == 0);
    return stack;
}

/* Its number is found by who runs: makecontext passes only whole numbers. */
static void begin_fiber(void)
{
    struct fiber *f = sched.current;
    errno = 0;
    f->run(f->arg);
    f->has_ended = true;
    f->is_ready = false;
    f->blocked_on = NULL;
    f->deadline_ns = UINT64_MAX;
    f->why = "ended";
    sched_wake_all(f);
    sched.dead = f;
    struct fiber *next = choose(false);
    memcpy(sched.own, next->own, sched.own_bytes);
    sched.current = next;
    world_note(next->number << 1 ^ world->now_ns);
    setcontext(&next->context);
    CHECK_NEVER("a fiber that ended runs");
}

static struct fiber *new_fiber(const char *name, void (*run)(void *arg), void *arg)
{
    struct fiber *f = calloc(1, sizeof(*f));
    CHECK(f != NULL && sched.n < FIBERS_MAX);
    (void)snprintf(f->name, sizeof(f->name), "%s", name);
    f->number = sched.next_number++;
    f->run = run;
    f->arg = arg;
    f->is_ready = true;
    f->deadline_ns = UINT64_MAX;
    memcpy(f->own, sched.own_first, sched.own_bytes);
    sched.fibers[sched.n++] = f;
    return f;
}

struct fiber *sched_start(const char *name, void (*run)(void *arg), void *arg)
{
    struct fiber *f = new_fiber(name, run, arg);
    f->stack = take_stack();
    CHECK(getcontext(&f->context) == 0);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&f->context, begin_fiber, 0);
    return f;
}

static void forget(struct fiber *f)
{
    size_t i = 0;
    sched.laggard = sched.laggard == f ? NULL : sched.laggard;
    while (sched.fibers[i] != f) {
        i++;
    }
    memmove(&sched.fibers[i], &sched.fibers[i + 1], (--sched.n - i) * sizeof(sched.fibers[0]));
    free(f);
}

void sched_join(struct fiber *f)
{
    while (!f->has_ended) {
        (void)sched_block(f, UINT64_MAX, "join");
    }
    forget(f);
}

void sched_run(void (*main)(void *arg), void *arg)
{
    (void)dl_iterate_phdr(find_own, NULL);
    CHECK(sched.own_bytes <= OWN_BYTES_MAX);
    memcpy(sched.own_first, sched.own, sched.own_bytes);
    sched.stay_of_16 = (unsigned)chance_below(STREAM_SCHEDULE, 16);
    sched.current = new_fiber("main", main, arg);
    main(arg);
    CHECK(sched.n == 1);
    forget(sched.current);
    sched.current = NULL;
}
