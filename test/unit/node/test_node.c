/* A node: its jobs, its alarms, the file's policies, and collections that come and go. */
#include "../unit.h"

#include "node/node.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WORK_THREADS = 2,
    N_JOBS = 100,
    HOUR_S = 3600,
};

struct fixture {
    char directory[64];
    struct repl *repl;
    struct node *node;
    struct policy_set policies;
    struct mutex lock; /* What follows. */
    struct condition changed;
    struct pd_write write;
    bool is_done;
    enum errcode code; /* Of the write. */
};

static void open_node(struct fixture *f)
{
    struct err err;
    char log[128];
    snprintf(log, sizeof(log), "%s/log", f->directory);
    struct repl_config repl = {
        .directory = log, .node = 1, .map_bytes = 1 << 30, .in_memory_max = 64 << 20};
    assert_int_equal(repl_open(&repl, &f->repl, &err), ERR_OK);
    struct node_config config = {.directory = f->directory,
                                 .repl = f->repl,
                                 .file_policies = &f->policies,
                                 .work_threads = WORK_THREADS};
    assert_int_equal(node_open(&config, &f->node, &err), ERR_OK);
}

static void close_node(struct fixture *f)
{
    node_close(f->node);
    repl_close(f->repl);
    f->node = NULL;
}

static void assign(struct policy_set *set, const char *name, const char *text)
{
    struct err err;
    struct value value = value_cstr(text);
    assert_int_equal(policy_assign_name(set, name, LEVEL_FILE, &value, &err), ERR_OK);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    log_set_level(LOG_WARNING);
    assign(&f->policies, "map_size", "1GiB");
    mutex_init(&f->lock);
    condition_init(&f->changed);
    snprintf(f->directory, sizeof(f->directory), "/tmp/vectrond-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    open_node(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    if (f->node != NULL) {
        close_node(f);
    }
    snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
    assert_int_equal(system(command), 0);
    condition_fini(&f->changed);
    mutex_fini(&f->lock);
    free(f);
    return 0;
}

/* ---- jobs and alarms ---- */

static void count(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void every_job_is_run_before_the_node_is_closed(void **state)
{
    struct fixture *f = *state;
    struct job jobs[N_JOBS];
    atomic_int n = 0;
    assert_int_equal(node_threads(f->node), WORK_THREADS);
    for (size_t i = 0; i < N_JOBS; i++) {
        jobs[i] = (struct job){.run = count, .arg = &n};
        node_submit(f->node, &jobs[i]);
    }
    close_node(f);
    assert_int_equal(atomic_load(&n), N_JOBS);
}

static void tell(void *arg)
{
    struct fixture *f = arg;
    mutex_lock(&f->lock);
    f->is_done = true;
    condition_broadcast(&f->changed);
    mutex_unlock(&f->lock);
}

static void wait_for_done(struct fixture *f)
{
    uint64_t deadline = clock_micros() + PATIENCE_US;
    mutex_lock(&f->lock);
    while (!f->is_done) {
        assert_true(condition_wait_until(&f->changed, &f->lock, deadline));
    }
    f->is_done = false;
    mutex_unlock(&f->lock);
}

static void an_alarm_fires_when_its_time_has_come_and_not_before(void **state)
{
    struct fixture *f = *state;
    atomic_int n = 0;
    struct alarm later = {.fire = count, .arg = &n}, now = {.fire = tell, .arg = f};
    uint64_t us = clock_micros();
    alarm_set(f->node, &later, us + (uint64_t)HOUR_S * 1000000);
    alarm_set(f->node, &now, us);
    wait_for_done(f);
    assert_false(now.is_set);
    assert_int_equal(atomic_load(&n), 0);
    assert_true(later.is_set);
    alarm_clear(f->node, &later);
    assert_false(later.is_set);
}

/* ---- the file's policies ---- */

static int64_t value_of(const struct policy_set *set, enum policy_id id)
{
    struct policy_view view = {.levels = {[LEVEL_FILE] = set}};
    return policy_int(&view, id);
}

static void a_reloaded_file_changes_what_need_not_wait_for_a_start(void **state)
{
    struct fixture *f = *state;
    struct policy_file *before = policy_file_acquire(f->node);
    int64_t timeout = value_of(&before->set, POLICY_timeout);
    struct policy_set set = f->policies;
    assign(&set, "timeout", "7s");
    assign(&set, "vector_memory", "resident");
    node_reload(f->node, &set);
    struct policy_file *after = policy_file_acquire(f->node);
    assert_int_equal(value_of(&after->set, POLICY_timeout), 7000000);
    assert_int_equal(value_of(&after->set, POLICY_vector_memory), VECTOR_MEMORY_MAPPED);
    assert_int_equal(value_of(&after->pending, POLICY_vector_memory), VECTOR_MEMORY_RESIDENT);
    assert_int_equal(value_of(&before->set, POLICY_timeout), timeout); /* Of who had it. */
    policy_file_release(before);
    policy_file_release(after);
}

/* ---- collections ---- */

static void written(struct pd_write *write, const struct err *err)
{
    struct fixture *f = CONTAINER_OF(write, struct fixture, write);
    f->code = err != NULL ? err->code : ERR_OK;
    tell(f);
}

static void change_map(struct fixture *f, const struct pd_command *command)
{
    struct err err;
    f->write = (struct pd_write){.done = written};
    assert_int_equal(pd_submit(node_pd(f->node), command, &f->write, &err), ERR_OK);
    wait_for_done(f);
    assert_int_equal(f->code, ERR_OK);
}

static bool is_never_canceled(void *arg)
{
    (void)arg;
    return false;
}

static struct collection *make_collection(struct fixture *f, const char *name)
{
    struct schema schema = {.n_columns = 1, .columns = {{.name = "id", .type = TYPE_INT}}};
    snprintf(schema.name, sizeof(schema.name), "%s", name);
    schema.columns[0].is_not_null = true;
    change_map(f, &(struct pd_command){.op = PD_CREATE_COLLECTION, .schema = &schema});
    struct err err;
    assert_int_equal(collection_wait(f->node, name, is_never_canceled, NULL, &err), ERR_OK);
    const struct map *map = pd_map_acquire(node_pd(f->node));
    struct collection *c = collection_acquire(f->node, map_find(map, name, NULL)->schema->id);
    pd_map_release(node_pd(f->node), map);
    assert_non_null(c);
    assert_string_equal(collection_schema(c)->name, name);
    return c;
}

static bool has_directory(const struct fixture *f, uint64_t group)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/shards/%llu", f->directory, (unsigned long long)group);
    return access(path, F_OK) == 0;
}

static void a_collection_in_use_outlives_its_drop(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct shard *shard = NULL, *other = NULL;
    struct collection *c = make_collection(f, "t");
    uint64_t group = collection_group(c);
    assert_int_equal(collection_enter(c, &shard, &err), ERR_OK);
    assert_false(collection_is_dropped(c));
    change_map(f, &(struct pd_command){.op = PD_DROP_COLLECTION, .collection = "t"});
    assert_true(collection_is_dropped(c));
    assert_null(collection_acquire(f->node, collection_schema(c)->id));
    assert_int_equal(collection_enter(c, &other, &err), ERR_UNKNOWN_COLLECTION);
    assert_null(other);
    struct shard_figures figures;
    shard_figures(shard, &figures); /* It is open. */
    assert_int_equal(figures.rows, 0);
    assert_true(has_directory(f, group));
    collection_leave(c);
    collection_release(c);
    close_node(f); /* After all drops are done. */
    assert_false(has_directory(f, group));
}

static void collections_are_there_again_after_a_start(void **state)
{
    struct fixture *f = *state;
    struct err err;
    collection_release(make_collection(f, "t"));
    collection_release(make_collection(f, "u"));
    close_node(f);
    open_node(f);
    struct arena *arena = arena_new(MEM_GENERAL, 1 << 20);
    struct collection **all;
    size_t n;
    assert_int_equal(collection_list(f->node, arena, &all, &n, &err), ERR_OK);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++) {
        struct shard *shard;
        assert_int_equal(collection_enter(all[i], &shard, &err), ERR_OK);
        collection_leave(all[i]);
        collection_release(all[i]);
    }
    arena_free(arena);
}

static void what_serves_is_not_withdrawn(void **state)
{
    struct fixture *f = *state;
    struct err why = {.code = ERR_IO, .message = "a reason"};
    struct collection *c = make_collection(f, "t");
    collection_withdraw(f->node, "t", &why);
    assert_false(collection_is_dropped(c));
    assert_string_equal(why.message, "a reason");
    collection_release(c);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_job_is_run_before_the_node_is_closed),
        TEST(an_alarm_fires_when_its_time_has_come_and_not_before),
        TEST(a_reloaded_file_changes_what_need_not_wait_for_a_start),
        TEST(a_collection_in_use_outlives_its_drop),
        TEST(collections_are_there_again_after_a_start),
        TEST(what_serves_is_not_withdrawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
