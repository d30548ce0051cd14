/* Threads and locks; thin over pthreads, so that clang can check them.  No other file of the server
 * uses pthreads or the scheduler: a simulation puts its own threads behind this header.
 *
 * The lock order of the whole server is one list in doc/architecture.md. */
#ifndef VECTRON_BASE_THREAD_H
#define VECTRON_BASE_THREAD_H

#include <pthread.h>

#include "base/err.h"

struct CAPABILITY("mutex") mutex {
    pthread_mutex_t pthread;
};

void mutex_init(struct mutex *m);
void mutex_fini(struct mutex *m);
void mutex_lock(struct mutex *m) ACQUIRE(m);
bool mutex_try_lock(struct mutex *m) TRY_ACQUIRE(true, m) WARN_UNUSED;
void mutex_unlock(struct mutex *m) RELEASE(m);

struct condition {
    pthread_cond_t pthread;
};

void condition_init(struct condition *c);
void condition_fini(struct condition *c);
void condition_wait(struct condition *c, struct mutex *m) REQUIRES(m);
/* False where the deadline (clock_micros) passed. */
bool condition_wait_until(struct condition *c, struct mutex *m, uint64_t deadline_us) REQUIRES(m);
void condition_signal(struct condition *c);
void condition_broadcast(struct condition *c);

struct thread {
    pthread_t pthread;
};

/* @name is shown by top and gdb; at most 15 bytes.  All signals are blocked in the new thread. */
enum errcode thread_start(struct thread *t, const char *name, void (*run)(void *arg), void *arg,
                          struct err *err) WARN_UNUSED;
void thread_join(struct thread *t);
/* @run is called when the calling thread ends, in that thread; once, however often it is asked for.
 * Only of threads that thread_start made: the process ends with any other. */
void thread_at_end(void (*run)(void));
/* Lets others run; for loops that wait for what they do. */
void thread_yield(void);
/* Of the calling thread: no two that live at once have the same. */
const void *thread_mark(void);
/* Gives way to other threads when cores are scarce: the calling thread's nice value, 0 to 19. */
void thread_be_nice(int nice);
unsigned thread_cores(void); /* Cores that this process may use; at least 1. */

/* What is run once in the life of the process, by whoever comes first; others wait for its end. */
struct once {
    pthread_once_t pthread;
};
#define ONCE_INIT                                                                                  \
    {                                                                                              \
        PTHREAD_ONCE_INIT                                                                          \
    }
void once_run(struct once *once, void (*run)(void));

/* A role is what a thread is for.  The thread's main function takes it, and a function that belongs
 * to such a thread says so by REQUIRES(role) in its declaration, which clang checks, and where it
 * is called from elsewhere than its own file also by CHECK_ROLE, which holds when it runs. */
struct CAPABILITY("role") role {
    const char *claim; /* "this is the log thread" */
};
void role_take(const struct role *role) ASSERTS(role); /* Once in a thread's life. */
bool role_is_mine(const struct role *role);
void role_check(const struct role *role, const char *file, int line) ASSERTS(role);
#define CHECK_ROLE(role) role_check(&(role), __FILE__, __LINE__)

#endif
