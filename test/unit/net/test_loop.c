/* Loops: posts from many threads, timers, signals, and stopping. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/net.h"

enum {
    THREADS = 4,
    POSTS = 5000
};

static struct loop *new_loop(void)
{
    struct err err;
    struct loop *loop = loop_new(&err);
    assert_non_null(loop);
    return loop;
}

/* ---- posts ---- */

struct poster {
    struct loop *loop;
    struct thread thread;
    struct item {
        struct loop_post post;
        struct poster *poster;
        unsigned number;
    } items[POSTS];
    unsigned next_number; /* On the loop's thread. */
    unsigned *n_run;
};

static void run_item(void *arg)
{
    struct item *item = arg;
    struct poster *poster = item->poster;
    assert_true(loop_is_current(poster->loop));
    assert_int_equal(item->number, poster->next_number);
    poster->next_number++;
    if (++*poster->n_run == THREADS * POSTS) {
        loop_stop(poster->loop);
    }
}

static void post_all(void *arg)
{
    struct poster *poster = arg;
    assert_false(loop_is_current(poster->loop));
    for (unsigned i = 0; i < POSTS; i++) {
        poster->items[i] = (struct item){
            .post = {.fn = run_item, .arg = &poster->items[i]}, .poster = poster, .number = i};
        loop_post(poster->loop, &poster->items[i].post);
    }
}

static void check_posts(uint64_t busy_poll_us)
{
    struct loop *loop = new_loop();
    loop_set_busy_poll(loop, busy_poll_us);
    struct poster *posters = calloc(THREADS, sizeof *posters);
    assert_non_null(posters);
    unsigned n_run = 0;
    struct err err;
    for (int i = 0; i < THREADS; i++) {
        posters[i].loop = loop;
        posters[i].n_run = &n_run;
        assert_int_equal(thread_start(&posters[i].thread, "poster", post_all, &posters[i], &err),
                         0);
    }
    loop_run(loop);
    for (int i = 0; i < THREADS; i++) {
        thread_join(&posters[i].thread);
        assert_int_equal(posters[i].next_number, POSTS);
    }
    assert_int_equal(n_run, THREADS * POSTS);
    free(posters);
    loop_free(loop);
}

static void posts_of_each_thread_run_once_and_in_order(void **state)
{
    (void)state;
    check_posts(0);
    check_posts(200);
}

/* ---- polling ---- */

enum {
    STEPS = 50,
    STEP_US = 1000,
    POLL_US = 10000
};

struct stepper {
    struct loop *loop;
    struct loop_post post;
    unsigned n_run;
    atomic_uint n_wanted;
};

static void run_step(void *arg)
{
    struct stepper *stepper = arg;
    stepper->n_run++;
    if (stepper->n_run == STEPS) {
        loop_stop(stepper->loop);
    }
    atomic_store(&stepper->n_wanted, stepper->n_run);
}

static void post_steps(void *arg)
{
    struct stepper *stepper = arg;
    for (unsigned i = 0; i < STEPS; i++) {
        clock_sleep_micros(STEP_US);
        loop_post(stepper->loop, &stepper->post);
        while (atomic_load(&stepper->n_wanted) == i) {
            thread_yield();
        }
    }
}

/* How often the loop had not slept yet when the next of the steps came. */
static int64_t count_polled(uint64_t busy_poll_us, int64_t *n_slept)
{
    struct err err;
    struct thread thread;
    struct stepper stepper = {.loop = new_loop()};
    stepper.post = (struct loop_post){.fn = run_step, .arg = &stepper};
    int64_t polled = metric_value(METRIC_loop_polled), slept = metric_value(METRIC_loop_slept);
    loop_set_busy_poll(stepper.loop, busy_poll_us);
    assert_int_equal(thread_start(&thread, "steps", post_steps, &stepper, &err), 0);
    loop_run(stepper.loop);
    thread_join(&thread);
    loop_free(stepper.loop);
    *n_slept = metric_value(METRIC_loop_slept) - slept;
    return metric_value(METRIC_loop_polled) - polled;
}

static void a_loop_that_polls_sees_what_comes_before_it_sleeps(void **state)
{
    (void)state;
    int64_t n_slept;
    assert_true(count_polled(POLL_US, &n_slept) > 0); /* All but the first, on an idle machine. */
    assert_true(n_slept > 0);
    assert_int_equal(count_polled(0, &n_slept), 0);
    assert_int_equal(n_slept, 0);
}

static void count_up(void *arg)
{
    unsigned *n = arg;
    ++*n;
}

static void posts_behind_the_stop_still_run(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    unsigned n = 0;
    struct loop_post before = {.fn = count_up, .arg = &n}, after = before;
    loop_post(loop, &before);
    loop_stop(loop);
    loop_post(loop, &after);
    loop_run(loop);
    assert_int_equal(n, 2);
    loop_free(loop);
}

/* A post whose function posts it again, ten times over. */
struct again {
    struct loop *loop;
    struct loop_post post;
    unsigned n;
};

static void post_again(void *arg)
{
    struct again *again = arg;
    if (++again->n == 10) {
        loop_stop(again->loop);
    } else {
        loop_post(again->loop, &again->post);
    }
}

static void a_post_may_be_posted_again_from_its_own_function(void **state)
{
    (void)state;
    struct again again = {.loop = new_loop()};
    again.post = (struct loop_post){.fn = post_again, .arg = &again};
    loop_post(again.loop, &again.post);
    loop_run(again.loop);
    assert_int_equal(again.n, 10);
    loop_free(again.loop);
}

static void a_loop_runs_again_after_it_was_stopped(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    for (int i = 0; i < 3; i++) {
        loop_stop(loop);
        loop_stop(loop); /* A second stop is no second stop of the next run. */
        loop_run(loop);
    }
    loop_free(loop);
}

/* ---- timers and signals ---- */

struct ticker {
    struct loop *loop;
    struct timer *timer;
    uint64_t started_us, fired_us;
};

static void tick(void *arg)
{
    struct ticker *ticker = arg;
    ticker->fired_us = clock_micros();
    loop_stop(ticker->loop);
}

static void a_timer_fires_once_and_not_early(void **state)
{
    (void)state;
    struct ticker ticker = {.loop = new_loop()};
    ticker.timer = timer_new(ticker.loop, tick, &ticker);
    assert_non_null(ticker.timer);
    ticker.started_us = clock_micros();
    timer_set(ticker.timer, 20000);
    loop_run(ticker.loop);
    assert_true(ticker.fired_us - ticker.started_us >= 19000);
    timer_free(ticker.timer);
    loop_free(ticker.loop);
}

static void must_not_run(void *arg)
{
    (void)arg;
    fail();
}

static void a_cleared_timer_does_not_fire(void **state)
{
    (void)state;
    struct ticker ticker = {.loop = new_loop()};
    struct timer *cleared = timer_new(ticker.loop, must_not_run, NULL);
    ticker.timer = timer_new(ticker.loop, tick, &ticker);
    assert_true(cleared != NULL && ticker.timer != NULL);
    timer_set(cleared, 1000);
    timer_set(ticker.timer, 10000);
    timer_clear(cleared);
    loop_run(ticker.loop);
    timer_free(cleared);
    timer_free(ticker.timer);
    loop_free(ticker.loop);
}

static void dawdle(void *arg)
{
    clock_sleep_micros(3000);
    loop_stop(arg);
}

static void what_holds_a_loop_is_measured(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    int64_t before = metric_value(METRIC_loop_hold);
    struct loop_post post = {.fn = dawdle, .arg = loop};
    loop_post(loop, &post);
    loop_run(loop);
    assert_int_equal(metric_value(METRIC_loop_hold), before + 1);
    assert_true(metric_value(METRIC_loop_hold_max) >= 3000);
    assert_true(metric_value(METRIC_loop_hold_cpu_max) < 2500); /* It slept. */
    loop_free(loop);
}

static void burn(void *arg)
{
    uint64_t since_us = clock_cpu_micros();
    while (clock_cpu_micros() - since_us < 4000) {
    }
    loop_stop(arg);
}

static void the_cpu_time_that_holds_a_loop_is_measured(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct loop_post post = {.fn = burn, .arg = loop};
    loop_post(loop, &post);
    loop_run(loop);
    assert_true(metric_value(METRIC_loop_hold_cpu_max) >= 4000);
    loop_free(loop);
}

static void signaled(int number, void *arg)
{
    assert_int_equal(number, SIGUSR1);
    loop_stop(arg);
}

static void a_signal_runs_on_the_loop(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    assert_true(loop_on_signal(loop, SIGUSR1, signaled, loop));
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    loop_run(loop);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_of_each_thread_run_once_and_in_order),
        cmocka_unit_test(a_loop_that_polls_sees_what_comes_before_it_sleeps),
        cmocka_unit_test(posts_behind_the_stop_still_run),
        cmocka_unit_test(a_post_may_be_posted_again_from_its_own_function),
        cmocka_unit_test(a_loop_runs_again_after_it_was_stopped),
        cmocka_unit_test(a_timer_fires_once_and_not_early),
        cmocka_unit_test(a_cleared_timer_does_not_fire),
        cmocka_unit_test(what_holds_a_loop_is_measured),
        cmocka_unit_test(the_cpu_time_that_holds_a_loop_is_measured),
        cmocka_unit_test(a_signal_runs_on_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
