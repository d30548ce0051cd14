/* All pairs of events, and all triples, that may meet a group of the log in one turn: the log
 * thread, or the apply thread, is held while they come.  Nothing aborts, each write ends once, what
 * is told to have happened has happened once, and what is told to have failed, or was withdrawn,
 * has not. */
#include "log_fixture.h"

#include "repl/repl_int.h"

enum {
    GATE_GROUP = 5,
    FIRST_GROUP = 100,
    IN_MEMORY_MAX = 1000,
    SMALL_BYTES = 100,
    LARGE_BYTES = 800,
    EVENTS_MAX = 3,
    WRITES_MAX = EVENTS_MAX + 1,
};

enum event {
    EVENT_SUBMIT,       /* Waits until it is applied. */
    EVENT_SUBMIT_EARLY, /* Is told at once. */
    EVENT_SUBMIT_LARGE, /* Waits for room where there is none. */
    EVENT_LEAVE,        /* Whoever waits for room does no longer. */
    EVENT_WITHDRAW,     /* The first write. */
    EVENT_CUT,
    EVENT_FAIL,  /* The next commit of the log. */
    EVENT_BREAK, /* Its last write, so that the file is opened anew. */
    EVENT_CLOSE, /* From here on nothing is taken. */
    EVENT_OTHER, /* Another group is opened, written to, closed and destroyed. */
    EVENTS
};

enum hold {
    HOLD_NOTHING,
    HOLD_LOG,
    HOLD_APPLY,
    HOLDS
};

struct gate {
    struct repl_group *group;
    struct repl_write write;
    struct mutex lock;
    struct condition changed;
    enum hold wanted;
    bool is_held;
};

struct tried {
    struct waited waited;
    struct repl_room room;
    uint64_t value;
    uint8_t *data; /* Its own while it was not taken. */
    bool is_taken, is_withdrawn;
};

struct scene {
    struct repl *repl;
    struct gate gate;
    struct owner owner, other;
    uint64_t next_group;
    struct tried tried[WRITES_MAX];
    size_t n_tried;
    struct thread closer, opener;
    bool is_closing, is_opening;
    unsigned n_scenes;
};

/* ---- holding a thread ---- */

static void hold_here(struct gate *gate, enum hold where)
{
    mutex_lock(&gate->lock);
    gate->is_held = gate->is_held || gate->wanted == where;
    condition_broadcast(&gate->changed);
    while (gate->wanted == where) {
        condition_wait(&gate->changed, &gate->lock);
    }
    mutex_unlock(&gate->lock);
}

static void gate_apply(void *arg, const struct repl_entry *entries, size_t n)
{
    (void)entries;
    (void)n;
    hold_here(arg, HOLD_APPLY);
}

static void gate_synced(struct repl_write *write, uint64_t index, const struct err *err)
{
    (void)index;
    (void)err;
    hold_here(CONTAINER_OF(write, struct gate, write), HOLD_LOG);
}

static void gate_hold(struct gate *gate, enum hold where)
{
    struct err err;
    if (where == HOLD_NOTHING) {
        return;
    }
    mutex_lock(&gate->lock);
    gate->wanted = where;
    gate->is_held = false;
    mutex_unlock(&gate->lock);
    gate->write = (struct repl_write){.wait_for = REPL_LEADER, .done = gate_synced};
    void *data = mem_zalloc(MEM_LOG, 1);
    assert_int_equal(repl_submit(gate->group, &gate->write, data, 1, &err), ERR_OK);
    mutex_lock(&gate->lock);
    while (!gate->is_held) {
        condition_wait(&gate->changed, &gate->lock);
    }
    mutex_unlock(&gate->lock);
}

static void gate_release(struct gate *gate)
{
    mutex_lock(&gate->lock);
    gate->wanted = HOLD_NOTHING;
    condition_broadcast(&gate->changed);
    mutex_unlock(&gate->lock);
}

/* ---- events ---- */

static void room_ready(struct repl_room *room)
{
    (void)room;
}

static void submit(struct scene *s, enum repl_stage stage, size_t bytes, bool waits)
{
    struct tried *t = &s->tried[s->n_tried++];
    struct err err;
    *t = (struct tried){.value = s->n_tried, .room = {.ready = room_ready}};
    waited_init(&t->waited, stage);
    t->waited.write.room = waits ? &t->room : NULL;
    t->data = mem_zalloc(MEM_LOG, bytes);
    assert_non_null(t->data);
    le_put_u64(t->data, t->value);
    enum errcode code = repl_submit(s->owner.group, &t->waited.write, t->data, bytes, &err);
    t->is_taken = code == ERR_OK;
    if (code != ERR_OVERLOADED || !waits) {
        t->data = NULL;
    }
    assert_true(code == ERR_OK || code == ERR_OVERLOADED || code == ERR_SHUTTING_DOWN);
}

static void leave(struct scene *s)
{
    for (size_t i = 0; i < s->n_tried; i++) {
        repl_room_leave(&s->tried[i].room);
    }
}

static void withdraw(struct scene *s)
{
    struct tried *t = &s->tried[0];
    mutex_lock(&t->waited.lock);
    bool is_done = t->waited.is_done;
    mutex_unlock(&t->waited.lock);
    if (t->is_taken && !t->is_withdrawn && !is_done) {
        t->is_withdrawn = repl_withdraw(&t->waited.write);
    }
}

static void cut(struct scene *s)
{
    struct repl_figures figures;
    repl_group_figures(s->owner.group, &figures);
    repl_group_cut(s->owner.group, figures.applied);
}

static void close_it(void *arg)
{
    repl_group_close(arg);
}

/* Returns when the close has begun. */
static void begin_close(struct scene *s)
{
    struct repl_group *g = s->owner.group;
    struct err err;
    if (s->is_closing) {
        return;
    }
    s->is_closing = true;
    mutex_lock(&s->repl->lock);
    g->n_in_flight += 1; /* So that it is not gone before it was looked at. */
    mutex_unlock(&s->repl->lock);
    assert_int_equal(thread_start(&s->closer, "closer", close_it, g, &err), ERR_OK);
    mutex_lock(&s->repl->lock);
    while (g->state == GROUP_SERVING) {
        condition_wait(&s->repl->changed, &s->repl->lock);
    }
    mutex_unlock(&s->repl->lock);
}

static void let_close(struct scene *s)
{
    mutex_lock(&s->repl->lock);
    group_done(s->repl, s->owner.group, 1, 0);
    mutex_unlock(&s->repl->lock);
}

static void open_and_destroy(void *arg)
{
    struct scene *s = arg;
    struct repl_group *group;
    struct err err;
    uint64_t id = s->next_group++;
    owner_forget(&s->other);
    const struct repl_group_config config = {.id = id, .apply = owner_apply, .arg = &s->other};
    if (repl_group_open(s->repl, &config, &group, &err) == ERR_OK) {
        (void)write_one(group, 1, &err);
        repl_group_close(group);
        enum errcode code = repl_group_destroy(s->repl, id, &err);
        assert_true(code == ERR_OK || fault_is_built());
    }
}

static void bring(struct scene *s, enum event event)
{
    struct err err;
    switch (event) {
    case EVENT_SUBMIT:
        submit(s, REPL_APPLIED, SMALL_BYTES, false);
        break;
    case EVENT_SUBMIT_EARLY:
        submit(s, REPL_RECEIVED, SMALL_BYTES, false);
        break;
    case EVENT_SUBMIT_LARGE:
        submit(s, REPL_QUORUM, LARGE_BYTES, true);
        break;
    case EVENT_LEAVE:
        leave(s);
        break;
    case EVENT_WITHDRAW:
        withdraw(s);
        break;
    case EVENT_CUT:
        cut(s);
        break;
    case EVENT_FAIL:
        fault_arm(FAULT_LOG_COMMIT, 1, 1);
        break;
    case EVENT_BREAK:
        fault_arm(FAULT_LOG_HEADER_LOST, 1, 1);
        break;
    case EVENT_CLOSE:
        begin_close(s);
        break;
    case EVENT_OTHER:
        if (!s->is_opening) {
            s->is_opening = true;
            assert_int_equal(thread_start(&s->opener, "opener", open_and_destroy, s, &err), ERR_OK);
        }
        break;
    case EVENTS:
        break;
    }
}

/* ---- a scene ---- */

static size_t times_applied(const struct owner *o, uint64_t value)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n; i++) {
        n += o->values[i] == value ? 1 : 0;
    }
    return n;
}

static void end_tried(struct scene *s, struct tried *t)
{
    struct err err;
    size_t n = times_applied(&s->owner, t->value);
    if (t->is_taken && !t->is_withdrawn) {
        enum errcode code = end_write(&t->waited, &err);
        bool may_be_lost = t->waited.write.wait_for == REPL_RECEIVED && fault_is_built();
        if (code == ERR_OUTCOME_UNKNOWN) {
            assert_true(n <= 1);
        } else {
            assert_true(code == ERR_OK ? n == 1 || (may_be_lost && n == 0) : n == 0);
        }
    } else {
        assert_int_equal(t->waited.n_done, 0);
        assert_int_equal(n, 0);
        condition_fini(&t->waited.wake);
        mutex_fini(&t->waited.lock);
    }
    mem_free(MEM_LOG, t->data);
}

static void play(struct scene *s, enum hold hold, const enum event *events, size_t n)
{
    s->n_tried = 0;
    s->is_closing = s->is_opening = false;
    owner_forget(&s->owner);
    open_group(s->repl, &s->owner, s->next_group++, 0);
    gate_hold(&s->gate, hold);
    submit(s, REPL_APPLIED, SMALL_BYTES, false);
    for (size_t i = 0; i < n; i++) {
        bring(s, events[i]);
    }
    gate_release(&s->gate);
    begin_close(s);
    leave(s);
    let_close(s);
    thread_join(&s->closer);
    if (s->is_opening) {
        thread_join(&s->opener);
    }
    fault_disarm_all();
    for (size_t i = 0; i < s->n_tried; i++) {
        end_tried(s, &s->tried[i]);
    }
    s->n_scenes++;
}

static void scene_open(struct scene *s, const char *directory)
{
    const struct repl_config config = {.directory = directory,
                                       .node = 1,
                                       .map_bytes = (size_t)1 << 30,
                                       .in_memory_max = IN_MEMORY_MAX};
    const struct repl_group_config gate = {.id = GATE_GROUP, .apply = gate_apply, .arg = &s->gate};
    struct err err;
    *s = (struct scene){.next_group = FIRST_GROUP};
    mutex_init(&s->gate.lock);
    condition_init(&s->gate.changed);
    owner_init(&s->owner);
    owner_init(&s->other);
    assert_int_equal(repl_open(&config, &s->repl, &err), ERR_OK);
    assert_int_equal(repl_group_open(s->repl, &gate, &s->gate.group, &err), ERR_OK);
}

static void scene_close(struct scene *s)
{
    repl_group_close(s->gate.group);
    repl_close(s->repl);
    owner_fini(&s->other);
    owner_fini(&s->owner);
    condition_fini(&s->gate.changed);
    mutex_fini(&s->gate.lock);
    print_message("%u scenes\n", s->n_scenes);
}

static void any_two_events_may_meet(void **state)
{
    static struct scene s;
    char *directory = make_directory();
    (void)state;
    scene_open(&s, directory);
    for (int i = 0; i < HOLDS * EVENTS * EVENTS; i++) {
        const enum event events[] = {(enum event)(i / HOLDS % EVENTS),
                                     (enum event)(i / HOLDS / EVENTS)};
        play(&s, (enum hold)(i % HOLDS), events, COUNT_OF(events));
    }
    scene_close(&s);
    remove_directory(directory);
}

static void any_three_events_may_meet_in_a_turn_of_the_log(void **state)
{
    static struct scene s;
    char *directory = make_directory();
    (void)state;
    scene_open(&s, directory);
    for (int i = 0; i < EVENTS * EVENTS * EVENTS; i++) {
        const enum event events[] = {(enum event)(i % EVENTS), (enum event)(i / EVENTS % EVENTS),
                                     (enum event)(i / EVENTS / EVENTS)};
        play(&s, HOLD_LOG, events, COUNT_OF(events));
    }
    scene_close(&s);
    remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_two_events_may_meet),
        cmocka_unit_test(any_three_events_may_meet_in_a_turn_of_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
