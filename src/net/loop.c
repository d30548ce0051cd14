/* An event loop: libevent's base without locks, posts from other threads, and signals; timer.c has
 * its timers.
 *
 * Posts are a stack: loop_post pushes with a compare-and-swap, the loop takes the whole stack with
 * one exchange and turns it round.  Nobody pops a single member, so a member cannot come back under
 * a reader's feet (no ABA), and a push needs only that head has not changed since it was read.
 * Who pushes on an empty stack writes the eventfd; the loop reads the eventfd before it takes the
 * stack.  So a push after the taking finds the stack empty and wakes the loop again, and a push
 * between reading and taking is taken now and wakes it once in vain: none is lost. */
#define _GNU_SOURCE
#include "net/net.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/net_int.h"

/* ---- libevent's own messages ---- */

static void event_message(int severity, const char *text)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR};
    CHECK(severity >= 0 && (size_t)severity < COUNT_OF(levels));
    log_line(levels[severity], "event library message=\"%s\"", text);
}

static void set_event_log(void)
{
    event_set_log_callback(event_message);
}

/* ---- how long callbacks take ---- */

enum {
    HOLD_US_MIN = 1000, /* Shorter ones are not worth a count. */
    CPU_LOOK_US = 500,  /* The thread's clock costs a system call, which not each turn makes. */
};

static void look_at_cpu(struct loop *loop, uint64_t now_us)
{
    loop->cpu_looked_us = now_us;
    loop->cpu_us = clock_cpu_micros();
}

uint64_t loop_hold(struct loop *loop)
{
    uint64_t now_us = clock_micros();
    if (now_us - loop->cpu_looked_us >= CPU_LOOK_US) {
        look_at_cpu(loop, now_us);
    }
    loop->held_since_us = now_us;
    return now_us;
}

void loop_held(struct loop *loop)
{
    uint64_t now_us = clock_micros(), held_us = now_us - loop->held_since_us;
    if (held_us >= HOLD_US_MIN) {
        uint64_t before_us = loop->cpu_us;
        look_at_cpu(loop, now_us);
        uint64_t cpu_us = loop->cpu_us - before_us;
        metric_observe_us(METRIC_loop_hold, held_us);
        metric_raise(METRIC_loop_hold_max, (int64_t)held_us);
        metric_raise(METRIC_loop_hold_cpu_max, (int64_t)(cpu_us < held_us ? cpu_us : held_us));
    }
}

/* ---- posts ---- */

static void take_posts(struct loop *loop)
{
    struct loop_post *newest = atomic_exchange_explicit(&loop->posts, NULL, memory_order_acquire);
    struct loop_post *oldest = NULL;
    while (newest != NULL) {
        struct loop_post *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct loop_post *next = oldest->next; /* The post is its owner's again once fn runs. */
        (void)loop_hold(loop);
        oldest->fn(oldest->arg);
        loop_held(loop);
        oldest = next;
    }
}

static void woken(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    CHECK(n == (ssize_t)sizeof count || (n == -1 && errno == EAGAIN));
    take_posts(arg);
}

void loop_post(struct loop *loop, struct loop_post *post)
{
    CHECK(post->fn != NULL);
    struct loop_post *head = atomic_load_explicit(&loop->posts, memory_order_relaxed);
    do {
        post->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->posts, &head, post, memory_order_release,
                                                    memory_order_relaxed));
    if (head == NULL) {
        uint64_t one = 1;
        ssize_t n = write(loop->wake_fd, &one, sizeof one);
        CHECK(n == (ssize_t)sizeof one);
    }
}

/* ---- loops ---- */

static void stop_now(void *arg)
{
    struct loop *loop = arg;
    CHECK(event_base_loopbreak(loop->base) == 0);
}

static void ticked(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    loop_timers_fire(arg);
}

static bool loop_init(struct loop *loop)
{
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return false;
    }
    bool is_set = event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0;
    loop->base = is_set ? event_base_new_with_config(config) : NULL;
    event_config_free(config);
    loop->scratch = mem_alloc(MEM_NETWORK, LOOP_SCRATCH_BYTES);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->base == NULL || loop->scratch == NULL || loop->wake_fd == -1) {
        return false;
    }
    return event_assign(&loop->tick, loop->base, -1, 0, ticked, loop) == 0 &&
           event_assign(&loop->wake, loop->base, loop->wake_fd, EV_READ | EV_PERSIST, woken,
                        loop) == 0 &&
           event_add(&loop->wake, NULL) == 0;
}

struct loop *loop_new(struct err *err)
{
    static struct once once = ONCE_INIT;
    once_run(&once, set_event_log);
    struct loop *loop = mem_zalloc(MEM_NETWORK, sizeof *loop);
    if (loop == NULL) {
        err_no_memory(err);
        return NULL;
    }
    loop->wake_fd = -1;
    loop->tick_at_us = UINT64_MAX;
    loop->stop = (struct loop_post){.fn = stop_now, .arg = loop};
    errno = 0;
    if (!loop_init(loop)) {
        err_set_errno(err, ERR_INTERNAL, errno, "cannot make an event loop");
        loop_free(loop);
        return NULL;
    }
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    CHECK(!atomic_load(&loop->is_running));
    CHECK(atomic_load(&loop->posts) == NULL);
    for (unsigned i = 0; i < loop->n_signals; i++) {
        event_del(&loop->signals[i].event);
    }
    CHECK(loop->timers == NULL);
    if (event_initialized(&loop->wake)) {
        event_del(&loop->wake);
    }
    if (event_initialized(&loop->tick)) {
        event_del(&loop->tick);
    }
    if (loop->base != NULL) {
        event_base_free(loop->base);
    }
    if (loop->wake_fd != -1) {
        close(loop->wake_fd);
    }
    mem_free(MEM_NETWORK, loop->scratch);
    mem_free(MEM_NETWORK, loop);
}

void loop_set_busy_poll(struct loop *loop, uint64_t micros)
{
    CHECK(!atomic_load(&loop->is_running));
    loop->busy_poll_us = micros;
}

/* Handles what there is; sleeps before it only where nothing came for so long.  A sleeping core
 * takes longer to wake than a short statement to run. */
static void poll_or_sleep(struct loop *loop)
{
    uint64_t held_us = loop->held_since_us;
    bool polls = clock_micros() - held_us < loop->busy_poll_us;
    CHECK(event_base_loop(loop->base, polls ? EVLOOP_NONBLOCK : EVLOOP_ONCE) >= 0);
    if (!polls) {
        metric_add(METRIC_loop_slept, 1);
    } else if (loop->held_since_us != held_us) {
        metric_add(METRIC_loop_polled, 1);
    } else {
        thread_yield(); /* The client may be waiting for this very core. */
    }
}

void loop_run(struct loop *loop)
{
    CHECK(!atomic_load(&loop->is_running));
    loop->thread = thread_mark();
    atomic_store(&loop->is_running, true);
    do {
        if (loop->busy_poll_us > 0) {
            poll_or_sleep(loop);
        } else {
            CHECK(event_base_dispatch(loop->base) == 0);
        }
    } while (!event_base_got_break(loop->base)); /* Only a break ends the loop. */
    take_posts(loop); /* What was posted behind the stop would otherwise never run. */
    atomic_store(&loop->is_stopping, false);
    atomic_store(&loop->is_running, false);
}

void loop_turn(struct loop *loop)
{
    CHECK(!atomic_load(&loop->is_running));
    loop->thread = thread_mark();
    atomic_store(&loop->is_running, true);
    loop_timers_fire(loop);
    CHECK(event_base_loop(loop->base, EVLOOP_NONBLOCK) >= 0);
    atomic_store(&loop->is_running, false);
}

void loop_stop(struct loop *loop)
{
    if (!atomic_exchange(&loop->is_stopping, true)) {
        loop_post(loop, &loop->stop);
    }
}

bool loop_is_current(const struct loop *loop)
{
    return atomic_load(&loop->is_running) && loop->thread == thread_mark();
}

/* ---- signals ---- */

static void signaled(evutil_socket_t signal, short what, void *arg)
{
    (void)what;
    struct loop_signal *s = arg;
    s->fn((int)signal, s->arg);
}

bool loop_on_signal(struct loop *loop, int signal, void (*fn)(int signal, void *arg), void *arg)
{
    if (loop->n_signals == LOOP_SIGNALS_MAX) {
        return false;
    }
    struct loop_signal *s = &loop->signals[loop->n_signals];
    *s = (struct loop_signal){.fn = fn, .arg = arg};
    if (event_assign(&s->event, loop->base, signal, EV_SIGNAL | EV_PERSIST, signaled, s) != 0 ||
        event_add(&s->event, NULL) != 0) {
        return false;
    }
    loop->n_signals++;
    return true;
}
