/* base/thread.h over coroutines, in the place of base/thread.c: a lock, a condition and a thread
 * are what pthreads would make of them, but the seed says who goes on.
 *
 * The state lies where the pthread object would: a lock that is free is all zeros. */
#include "base/thread.h"

#include <string.h>

#include "test/sim/sim.h"

enum {
    AT_END_MAX = 4,
    CORES = 2,
    SPURIOUS_ONE_IN = 64
};

struct sim_mutex {
    struct fiber *owner;
};
_Static_assert(sizeof(struct sim_mutex) <= sizeof(pthread_mutex_t), "it lies in the true one");

static struct sim_mutex *of_mutex(struct mutex *m)
{
    return (struct sim_mutex *)(void *)&m->pthread;
}

void mutex_init(struct mutex *m)
{
    memset(m, 0, sizeof(*m));
}

void mutex_fini(struct mutex *m)
{
    CHECK(of_mutex(m)->owner == NULL);
}

static void take(struct mutex *m)
{
    CHECK(of_mutex(m)->owner != sched_current());
    while (of_mutex(m)->owner != NULL) {
        (void)sched_block(m, UINT64_MAX, "lock");
    }
    of_mutex(m)->owner = sched_current();
}

void mutex_lock(struct mutex *m) NO_THREAD_ANALYSIS
{
    sched_switch();
    take(m);
}

bool mutex_try_lock(struct mutex *m) NO_THREAD_ANALYSIS
{
    sched_switch();
    if (of_mutex(m)->owner != NULL) {
        return false;
    }
    of_mutex(m)->owner = sched_current();
    return true;
}

static void release(struct mutex *m)
{
    CHECK(of_mutex(m)->owner == sched_current());
    of_mutex(m)->owner = NULL;
    sched_wake_all(m);
}

void mutex_unlock(struct mutex *m) NO_THREAD_ANALYSIS
{
    release(m);
    sched_switch();
}

void condition_init(struct condition *c)
{
    memset(c, 0, sizeof(*c));
}

void condition_fini(struct condition *c)
{
    (void)c;
}

static bool wait_until(struct condition *c, struct mutex *m, uint64_t deadline_ns)
{
    release(m);
    /* POSIX lets a wait end for no reason. */
    uint64_t until_ns = deadline_ns;
    bool is_spurious = chance_is(STREAM_SCHEDULE, SPURIOUS_ONE_IN);
    if (is_spurious) {
        until_ns = world->now_ns;
    }
    bool was_woken = sched_block(c, until_ns, "wait");
    take(m);
    return was_woken || (is_spurious && world->now_ns < deadline_ns);
}

void condition_wait(struct condition *c, struct mutex *m)
{
    (void)wait_until(c, m, UINT64_MAX);
}

bool condition_wait_until(struct condition *c, struct mutex *m, uint64_t deadline_us)
{
    return wait_until(c, m, deadline_us > UINT64_MAX / 1000 ? UINT64_MAX : deadline_us * 1000);
}

void condition_signal(struct condition *c)
{
    sched_wake_one(c);
    sched_switch();
}

void condition_broadcast(struct condition *c)
{
    sched_wake_all(c);
    sched_switch();
}

/* ---- threads ---- */

static _Thread_local struct {
    void (*run[AT_END_MAX])(void);
    size_t n;
} at_end;

void thread_at_end(void (*run)(void))
{
    size_t i = 0;
    while (i < at_end.n && at_end.run[i] != run) {
        i++;
    }
    if (i == at_end.n) {
        CHECK(at_end.n < AT_END_MAX);
        at_end.run[at_end.n++] = run;
    }
}

struct start {
    void (*run)(void *arg);
    void *arg;
};

static void run_thread(void *arg)
{
    struct start start = *(struct start *)arg;
    mem_free(MEM_GENERAL, arg);
    start.run(start.arg);
    while (at_end.n > 0) {
        at_end.run[--at_end.n]();
    }
}

enum errcode thread_start(struct thread *t, const char *name, void (*run)(void *arg), void *arg,
                          struct err *err)
{
    struct start *start =
        fault_happens(FAULT_NO_THREAD) ? NULL : mem_alloc(MEM_GENERAL, sizeof(*start));
    if (start == NULL) {
        return err_no_memory(err);
    }
    *start = (struct start){.run = run, .arg = arg};
    struct fiber *fiber = sched_start(name, run_thread, start);
    _Static_assert(sizeof(t->pthread) >= sizeof(fiber), "it lies in the true one");
    memcpy(&t->pthread, &fiber, sizeof(fiber));
    sched_switch();
    return ERR_OK;
}

void thread_join(struct thread *t)
{
    struct fiber *fiber;
    memcpy(&fiber, &t->pthread, sizeof(fiber));
    sched_join(fiber);
}

void thread_yield(void)
{
    sched_yield_to_others();
}

const void *thread_mark(void)
{
    return sched_current();
}

void once_run(struct once *once, void (*run)(void))
{
    static struct {
        const struct once *once;
        bool is_done;
    } seen[16];
    size_t i = 0;
    while (seen[i].once != NULL && seen[i].once != once) {
        i++;
        CHECK(i < COUNT_OF(seen));
    }
    if (seen[i].once == NULL) {
        seen[i].once = once;
        run();
        seen[i].is_done = true;
        sched_wake_all(once);
    }
    while (!seen[i].is_done) {
        (void)sched_block(once, UINT64_MAX, "once");
    }
}

void thread_be_nice(int nice)
{
    CHECK(nice >= 0 && nice <= 19);
}

unsigned thread_cores(void)
{
    return CORES;
}

/* ---- roles ---- */

static _Thread_local const struct role *own_role;

void role_take(const struct role *role) NO_THREAD_ANALYSIS
{
    CHECK(own_role == NULL);
    own_role = role;
}

bool role_is_mine(const struct role *role)
{
    return own_role == role;
}

void role_check(const struct role *role, const char *file, int line) NO_THREAD_ANALYSIS
{
    if (own_role != role) {
        check_failed(file, line, role->claim);
    }
}
