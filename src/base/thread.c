/* Threads and locks: pthreads with failures turned into CHECKs, since only misuse makes them fail.
 */
#define _GNU_SOURCE /* pthread_setname_np, sched_getaffinity, gettid */
#include "base/thread.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void mutex_init(struct mutex *m)
{
    CHECK(pthread_mutex_init(&m->pthread, NULL) == 0);
}

void mutex_fini(struct mutex *m)
{
    CHECK(pthread_mutex_destroy(&m->pthread) == 0);
}

void mutex_lock(struct mutex *m) NO_THREAD_ANALYSIS
{
    CHECK(pthread_mutex_lock(&m->pthread) == 0);
}

bool mutex_try_lock(struct mutex *m) NO_THREAD_ANALYSIS
{
    int result = pthread_mutex_trylock(&m->pthread);
    CHECK(result == 0 || result == EBUSY);
    return result == 0;
}

void mutex_unlock(struct mutex *m) NO_THREAD_ANALYSIS
{
    CHECK(pthread_mutex_unlock(&m->pthread) == 0);
}

void condition_init(struct condition *c)
{
    pthread_condattr_t attributes;
    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&c->pthread, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
}

void condition_fini(struct condition *c)
{
    CHECK(pthread_cond_destroy(&c->pthread) == 0);
}

void condition_wait(struct condition *c, struct mutex *m)
{
    CHECK(pthread_cond_wait(&c->pthread, &m->pthread) == 0);
}

bool condition_wait_until(struct condition *c, struct mutex *m, uint64_t deadline_us)
{
    CHECK_HOT(deadline_us > 0);
    struct timespec deadline = {.tv_sec = (time_t)(deadline_us / 1000000),
                                .tv_nsec = (long)(deadline_us % 1000000) * 1000};
    int result = pthread_cond_timedwait(&c->pthread, &m->pthread, &deadline);
    CHECK(result == 0 || result == ETIMEDOUT);
    return result == 0;
}

void condition_signal(struct condition *c)
{
    CHECK(pthread_cond_signal(&c->pthread) == 0);
}

void condition_broadcast(struct condition *c)
{
    CHECK(pthread_cond_broadcast(&c->pthread) == 0);
}

enum {
    AT_END_MAX = 4,
    NAME_BYTES = 16, /* The kernel's, with its zero. */
};

/* What the calling thread does when it ends. */
static _Thread_local struct {
    void (*run[AT_END_MAX])(void);
    size_t n;
} at_end;

void thread_at_end(void (*run)(void))
{
    CHECK(run != NULL);
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

/* As the kernel has it. */
struct scheduling {
    uint32_t bytes, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

/* A thread that wakes to answer a client waits for at most this until one that computes has had its
 * turn: of itself Linux gives turns of 3 ms.  Kernels before 6.12 don't know of it. */
static void take_short_turns(void)
{
    enum {
        TURN_NS = 100000 /* The least that there is. */
    };
    struct scheduling s = {.bytes = sizeof(s), .policy = SCHED_OTHER, .runtime_ns = TURN_NS};
    s.nice = getpriority(PRIO_PROCESS, (id_t)gettid());
    (void)syscall(SYS_sched_setattr, gettid(), &s, 0);
}

static void *run_thread(void *arg)
{
    struct start start = *(struct start *)arg;
    mem_free(MEM_GENERAL, arg);
    take_short_turns();
    start.run(start.arg);
    while (at_end.n > 0) {
        at_end.run[--at_end.n]();
    }
    return NULL;
}

enum errcode thread_start(struct thread *t, const char *name, void (*run)(void *arg), void *arg,
                          struct err *err)
{
    CHECK(strlen(name) < NAME_BYTES);
    CHECK(run != NULL);
    struct start *start = mem_alloc(MEM_GENERAL, sizeof(*start));
    if (start == NULL) {
        return err_no_memory(err);
    }
    *start = (struct start){.run = run, .arg = arg};
    sigset_t all, before;
    sigfillset(&all);
    /* A fault's own signals must reach the thread that made it. */
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&t->pthread, NULL, run_thread, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        mem_free(MEM_GENERAL, start);
        return err_set_errno(err, ERR_OUT_OF_MEMORY, result, "cannot start thread \"%s\"", name);
    }
    pthread_setname_np(t->pthread, name);
    return ERR_OK;
}

void thread_join(struct thread *t)
{
    CHECK(pthread_join(t->pthread, NULL) == 0);
}

void thread_yield(void)
{
    (void)sched_yield();
}

const void *thread_mark(void)
{
    return &at_end;
}

void once_run(struct once *once, void (*run)(void))
{
    CHECK(pthread_once(&once->pthread, run) == 0);
}

void thread_be_nice(int nice)
{
    CHECK(nice >= 0 && nice <= 19);
    /* On Linux a nice value belongs to a thread.  A kernel that refuses leaves it as it was. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), nice);
}

unsigned thread_cores(void)
{
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof(cores), &cores) != 0) {
        return 1;
    }
    int n = CPU_COUNT(&cores);
    return n < 1 ? 1 : (unsigned)n;
}

/* ---- roles ---- */

static _Thread_local const struct role *own_role;

void role_take(const struct role *role) NO_THREAD_ANALYSIS
{
    CHECK(own_role == NULL);
    CHECK(role != NULL);
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
