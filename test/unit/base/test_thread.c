/* Threads, locks and declared state machines. */
#include "test/unit/unit.h"

#include <stdatomic.h>
#include <sys/resource.h>

struct counter {
    struct mutex lock;
    struct condition changed;
    int n;
};

static void add_a_thousand(void *arg)
{
    struct counter *c = arg;
    for (int i = 0; i < 1000; i++) {
        mutex_lock(&c->lock);
        c->n++;
        condition_signal(&c->changed);
        mutex_unlock(&c->lock);
    }
}

static void threads_that_lock_lose_no_count(void **state)
{
    (void)state;
    struct counter c = {.n = 0};
    mutex_init(&c.lock);
    condition_init(&c.changed);
    struct thread threads[4];
    struct err err;
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(thread_start(&threads[i], "adder", add_a_thousand, &c, &err), ERR_OK);
    }
    mutex_lock(&c.lock);
    while (c.n < 4000) {
        condition_wait(&c.changed, &c.lock);
    }
    mutex_unlock(&c.lock);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        thread_join(&threads[i]);
    }
    assert_int_equal(c.n, 4000);
    condition_fini(&c.changed);
    mutex_fini(&c.lock);
}

static void a_wait_ends_at_its_deadline(void **state)
{
    (void)state;
    struct mutex lock;
    struct condition never;
    mutex_init(&lock);
    condition_init(&never);
    mutex_lock(&lock);
    uint64_t deadline = clock_micros() + 2000;
    while (condition_wait_until(&never, &lock, deadline)) {
    }
    assert_true(clock_micros() >= deadline);
    mutex_unlock(&lock);
    condition_fini(&never);
    mutex_fini(&lock);
}

static atomic_int n_ended, n_first;

static void note_an_end(void)
{
    atomic_fetch_add(&n_ended, 1);
}

static void note_the_first(void)
{
    atomic_fetch_add(&n_first, 1);
}

static void run_and_end(void *arg)
{
    static struct once once = ONCE_INIT;
    *(const void **)arg = thread_mark();
    thread_at_end(note_an_end);
    thread_at_end(note_an_end);
    once_run(&once, note_the_first);
    assert_int_equal(atomic_load(&n_first), 1);
}

static void a_thread_does_once_what_it_was_asked_to_do_at_its_end(void **state)
{
    (void)state;
    struct thread threads[2];
    const void *marks[2];
    struct err err;
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(thread_start(&threads[i], "ender", run_and_end, &marks[i], &err), ERR_OK);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        thread_join(&threads[i]);
        assert_ptr_not_equal(marks[i], thread_mark());
    }
    assert_int_equal(atomic_load(&n_ended), 2);
    assert_int_equal(atomic_load(&n_first), 1);
}

enum door {
    DOOR_OPEN,
    DOOR_CLOSED,
    DOOR_LOCKED
};
static const char *const door_names[] = {"open", "closed", "locked"};
static const uint32_t door_moves[] = {
    [DOOR_OPEN] = STATE_BIT(DOOR_CLOSED),
    [DOOR_CLOSED] = STATE_BIT(DOOR_OPEN) | STATE_BIT(DOOR_LOCKED),
    [DOOR_LOCKED] = STATE_BIT(DOOR_CLOSED),
};
static const struct state_machine door = {"door", door_names, 3, door_moves};

static void a_machine_moves_as_its_table_says_only(void **state)
{
    (void)state;
    uint8_t at = DOOR_OPEN;
    assert_false(state_can_move(&door, at, DOOR_LOCKED));
    state_move(&door, &at, DOOR_CLOSED, 1, "a test");
    state_move(&door, &at, DOOR_LOCKED, 1, "a test");
    assert_int_equal(at, DOOR_LOCKED);
}

static uint64_t fixed_time(void *arg)
{
    return *(uint64_t *)arg;
}

static void a_replaced_clock_is_asked_for_every_time(void **state)
{
    (void)state;
    uint64_t now = 12345;
    clock_replace(fixed_time, &now);
    assert_int_equal(clock_micros(), 12345);
    now = 20000;
    assert_int_equal(clock_wall_micros(), 20000);
    clock_replace(NULL, NULL);
    assert_true(clock_wall_micros() > INT64_C(1600000000) * 1000000);
}

static void chance_is_a_function_of_its_seed(void **state)
{
    (void)state;
    uint64_t a = 1, b = 1, c = 2;
    assert_true(random_next(&a) == random_next(&b));
    assert_true(random_next(&a) != random_next(&c));
    assert_true(hash_bytes("abc", 3, 1) == hash_bytes("abc", 3, 1));
    assert_true(hash_bytes("abc", 3, 1) != hash_bytes("abd", 3, 1));
    assert_true(hash_bytes("abc", 3, 1) != hash_bytes("abc", 3, 2));
}

/* Whoever has taken the last descriptor must not be able to end the process by asking for a key. */
static void secrets_need_no_descriptor(void **state)
{
    (void)state;
    struct rlimit before, none;
    uint64_t secrets[2] = {0, 0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    random_secret(&secrets[0], sizeof secrets[0]);
    random_secret(&secrets[1], sizeof secrets[1]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(secrets[0] != secrets[1]);
}

static const struct role painter = {"this is the painter"}, singer = {"this is the singer"};

static void paint(void *arg)
{
    bool *is_painter = arg;
    role_take(&painter);
    CHECK_ROLE(painter);
    *is_painter = role_is_mine(&painter) && !role_is_mine(&singer);
}

static void a_role_is_the_threads_that_took_it_alone(void **state)
{
    (void)state;
    bool is_painter = false;
    struct thread thread;
    struct err err;
    assert_int_equal(thread_start(&thread, "painter", paint, &is_painter, &err), ERR_OK);
    thread_join(&thread);
    assert_true(is_painter);
    assert_false(role_is_mine(&painter));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_that_lock_lose_no_count),
        cmocka_unit_test(a_wait_ends_at_its_deadline),
        cmocka_unit_test(a_thread_does_once_what_it_was_asked_to_do_at_its_end),
        cmocka_unit_test(a_role_is_the_threads_that_took_it_alone),
        cmocka_unit_test(a_machine_moves_as_its_table_says_only),
        cmocka_unit_test(a_replaced_clock_is_asked_for_every_time),
        cmocka_unit_test(chance_is_a_function_of_its_seed),
        cmocka_unit_test(secrets_need_no_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
