/* Room in the log: who waits for it, in which order, and what becomes of room that nobody takes. */
#include "log_fixture.h"

enum {
    BOUND = 1000, /* Bytes that may be under way. */
};

/* A write that waits where it must. */
struct waiter {
    struct waited waited;
    struct repl_room room;
    struct mutex lock;
    struct condition wake;
    unsigned n_ready;
    uint8_t *data;
    size_t bytes;
};

static void room_ready(struct repl_room *room)
{
    struct waiter *w = CONTAINER_OF(room, struct waiter, room);
    mutex_lock(&w->lock);
    w->n_ready++;
    condition_broadcast(&w->wake);
    mutex_unlock(&w->lock);
}

static void waiter_init(struct waiter *w, uint64_t value, size_t bytes)
{
    memset(w, 0, sizeof(*w));
    mutex_init(&w->lock);
    condition_init(&w->wake);
    waited_init(&w->waited, REPL_APPLIED);
    w->room.ready = room_ready;
    w->waited.write.room = &w->room;
    w->bytes = bytes;
    w->data = mem_zalloc(MEM_LOG, bytes);
    assert_non_null(w->data);
    le_put_u64(w->data, value);
}

static enum errcode try_write(struct repl_group *group, struct waiter *w)
{
    struct err err;
    enum errcode code = repl_submit(group, &w->waited.write, w->data, w->bytes, &err);
    if (code == ERR_OK) {
        w->data = NULL;
    }
    return code;
}

static unsigned times_ready(struct waiter *w)
{
    mutex_lock(&w->lock);
    unsigned n = w->n_ready;
    mutex_unlock(&w->lock);
    return n;
}

static void wait_until_ready(struct waiter *w, unsigned n)
{
    uint64_t deadline = clock_micros() + PATIENCE_US;
    mutex_lock(&w->lock);
    while (w->n_ready < n) {
        assert_true(condition_wait_until(&w->wake, &w->lock, deadline));
    }
    assert_int_equal(w->n_ready, n);
    mutex_unlock(&w->lock);
}

/* Once its write was taken: waits for its end. */
static void waiter_end(struct waiter *w)
{
    struct err err;
    assert_int_equal(end_write(&w->waited, &err), ERR_OK);
    repl_room_leave(&w->room);
    condition_fini(&w->wake);
    mutex_fini(&w->lock);
}

/* Its write is given up. */
static void waiter_leave(struct waiter *w)
{
    repl_room_leave(&w->room);
    repl_room_leave(&w->room);
    mem_free(MEM_LOG, w->data);
    condition_fini(&w->waited.wake);
    mutex_fini(&w->waited.lock);
    condition_fini(&w->wake);
    mutex_fini(&w->lock);
}

static int set_up(void **state)
{
    log_set_up(state);
    struct fixture *f = *state;
    struct err err;
    repl_close(f->repl);
    const struct repl_config config = {
        .directory = f->directory, .node = 1, .map_bytes = (size_t)1 << 30, .in_memory_max = BOUND};
    assert_int_equal(repl_open(&config, &f->repl, &err), ERR_OK);
    open_group(f->repl, &f->owner, 7, 0);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    repl_group_close(f->owner.group);
    return log_tear_down(state);
}

static void a_write_that_waits_is_told_once_when_there_is_room(void **state)
{
    struct owner *o = &((struct fixture *)*state)->owner;
    struct waited first;
    struct waiter w;
    struct err err;
    int64_t waits = metric_value(METRIC_log_waits);
    owner_hold(o, true);
    assert_int_equal(start_write(o->group, &first, 1, 600, REPL_APPLIED, &err), ERR_OK);
    waiter_init(&w, 2, 600);
    assert_int_equal(try_write(o->group, &w), ERR_OVERLOADED);
    assert_int_equal(try_write(o->group, &w), ERR_OVERLOADED); /* It keeps its place. */
    assert_int_equal(metric_value(METRIC_log_waits), waits + 1);
    assert_int_equal(times_ready(&w), 0);
    owner_hold(o, false);
    assert_int_equal(end_write(&first, &err), ERR_OK);
    wait_until_ready(&w, 1);
    assert_int_equal(try_write(o->group, &w), ERR_OK);
    waiter_end(&w);
    assert_int_equal(w.n_ready, 1);
    check_range(o, 1, 2);
}

static void those_who_wait_are_told_in_order_and_nobody_takes_their_room(void **state)
{
    struct owner *o = &((struct fixture *)*state)->owner;
    struct waited first, second, late;
    struct waiter large, small;
    struct err err;
    owner_hold(o, true);
    assert_int_equal(start_write(o->group, &first, 1, 600, REPL_APPLIED, &err), ERR_OK);
    waiter_init(&large, 3, 900);
    waiter_init(&small, 4, 300);
    assert_int_equal(try_write(o->group, &large), ERR_OVERLOADED);
    assert_int_equal(try_write(o->group, &small), ERR_OVERLOADED); /* It fits, but is behind. */
    /* Who cannot wait takes what is left. */
    assert_int_equal(start_write(o->group, &second, 2, 300, REPL_APPLIED, &err), ERR_OK);
    owner_hold(o, false);
    assert_int_equal(end_write(&first, &err), ERR_OK);
    assert_int_equal(end_write(&second, &err), ERR_OK);
    wait_until_ready(&large, 1);
    assert_int_equal(start_write(o->group, &late, 9, 300, REPL_APPLIED, &err), ERR_OVERLOADED);
    assert_int_equal(times_ready(&small), 0);
    assert_int_equal(try_write(o->group, &large), ERR_OK);
    wait_until_ready(&small, 1);
    assert_int_equal(try_write(o->group, &small), ERR_OK);
    waiter_end(&large);
    waiter_end(&small);
    check_range(o, 1, 4);
}

static void who_leaves_makes_way_for_the_next(void **state)
{
    struct owner *o = &((struct fixture *)*state)->owner;
    struct waited first, last;
    struct waiter large, small, idle;
    struct err err;
    owner_hold(o, true);
    assert_int_equal(start_write(o->group, &first, 1, 600, REPL_APPLIED, &err), ERR_OK);
    waiter_init(&large, 8, 900);
    waiter_init(&small, 9, 300);
    waiter_init(&idle, 10, 8);
    assert_int_equal(try_write(o->group, &large), ERR_OVERLOADED);
    assert_int_equal(try_write(o->group, &small), ERR_OVERLOADED);
    waiter_leave(&large);
    assert_int_equal(times_ready(&small), 1);
    assert_int_equal(start_write(o->group, &last, 2, 400, REPL_APPLIED, &err), ERR_OVERLOADED);
    waiter_leave(&small); /* With room that it did not use. */
    assert_int_equal(start_write(o->group, &last, 2, 400, REPL_APPLIED, &err), ERR_OK);
    waiter_leave(&idle);
    owner_hold(o, false);
    assert_int_equal(end_write(&first, &err), ERR_OK);
    assert_int_equal(end_write(&last, &err), ERR_OK);
    check_range(o, 1, 2);
}

enum {
    N_WRITERS = 4,
    N_WRITES = 100
};

struct writer {
    struct repl_group *group;
    struct thread thread;
};

static void write_much(void *arg)
{
    struct writer *writer = arg;
    for (unsigned i = 0; i < N_WRITES; i++) {
        struct waiter w;
        waiter_init(&w, i, 100 + i * 8);
        for (unsigned n = 1; try_write(writer->group, &w) != ERR_OK; n++) {
            wait_until_ready(&w, n);
        }
        waiter_end(&w);
    }
}

static void writers_that_crowd_for_room_all_get_through(void **state)
{
    struct owner *o = &((struct fixture *)*state)->owner;
    struct writer writers[N_WRITERS];
    struct err err;
    int64_t waits = metric_value(METRIC_log_waits);
    struct waited first;
    owner_hold(o, true);
    assert_int_equal(start_write(o->group, &first, 1, BOUND, REPL_APPLIED, &err), ERR_OK);
    for (size_t i = 0; i < N_WRITERS; i++) {
        writers[i].group = o->group;
        assert_int_equal(thread_start(&writers[i].thread, "writer", write_much, &writers[i], &err),
                         ERR_OK);
    }
    uint64_t deadline = clock_micros() + PATIENCE_US;
    while (metric_value(METRIC_log_waits) < waits + N_WRITERS) {
        assert_true(clock_micros() < deadline);
        clock_sleep_micros(100);
    }
    owner_hold(o, false);
    assert_int_equal(end_write(&first, &err), ERR_OK);
    for (size_t i = 0; i < N_WRITERS; i++) {
        thread_join(&writers[i].thread);
    }
    assert_int_equal(o->n, N_WRITERS * N_WRITES + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_that_waits_is_told_once_when_there_is_room),
        TEST(those_who_wait_are_told_in_order_and_nobody_takes_their_room),
        TEST(who_leaves_makes_way_for_the_next),
        TEST(writers_that_crowd_for_room_all_get_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
