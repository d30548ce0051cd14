/* One life of the node: it opens what the last one left, serves, and is closed or crashes.
 *
 *   opened --> clients, the meddler --> all joined --> checked --> closed
 *      \____________________\___________________\___________\______> crash, at any switch
 *
 * A life is a process of its own, so that a crash drops everything but the files and the world. */
#include "test/sim/sim.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "query/query.h"
#include "repl/repl.h"

enum {
    WORK_THREADS = 2,
    MAP_BYTES = 64 << 20,
    PEACE_SWITCHES = 3000,
    RELOAD_ONE_IN = 20,
    DOWN_NS = 100000000, /* Between two lives. */
    CANCEL_NS_MAX = 20000000,
    OPENINGS_MAX = 4, /* That may fail one after the other; then nothing fails any more. */
};

struct node {
    struct repl *repl;
    struct database *db;
    struct policy_set policies;
    struct sim_client clients[CLIENTS];
    struct thread threads[CLIENTS], meddler;
    bool is_ending;
};

void life_crash(void)
{
    enum fault_kind how = GONE_KILLED;
    if (chance_is(STREAM_FAULT, world->one_in[GONE_POWER_SOME])) {
        how = GONE_POWER_SOME;
    } else if (chance_is(STREAM_FAULT, world->one_in[GONE_POWER_ALL])) {
        how = GONE_POWER_ALL;
    }
    world->faults[how]++;
    trace("crash: %s", fault_kind_names[how]);
    world_note(how);
    disk_crash(how);
    _exit(LIFE_CRASHED);
}

/* ---- opening ---- */

static void set_policy(struct node *node, const char *name, const char *text)
{
    struct value value = value_cstr(text);
    struct err err;
    while (policy_assign_name(&node->policies, name, LEVEL_FILE, &value, &err) != ERR_OK) {
        if (err.code != ERR_OUT_OF_MEMORY) {
            sim_fail("%s = %s: %s", name, text, err.message);
        }
    }
}

static void choose_policies(struct node *node)
{
    static const char *const intervals[] = {"10ms", "100ms", "1s"};
    static const char *const checkpoints[] = {"100ms", "1s", "1min"};
    char copies[80];
    (void)snprintf(copies, sizeof(copies), "%s/copy", world->directory);
    set_policy(node, "copy_directory", copies);
    set_policy(node, "map_size", "64MiB");
    set_policy(node, "flush_bytes", chance_is(STREAM_KERNEL, 2) ? "64KiB" : "8MiB");
    set_policy(node, "flush_interval", intervals[chance_below(STREAM_KERNEL, 3)]);
    set_policy(node, "checkpoint_interval", checkpoints[chance_below(STREAM_KERNEL, 3)]);
    set_policy(node, "payload_memory", chance_is(STREAM_KERNEL, 2) ? "0" : "256MiB");
    set_policy(node, "vector_memory", chance_is(STREAM_KERNEL, 2) ? "mapped" : "resident");
    set_policy(node, "index_mode", chance_is(STREAM_KERNEL, 2) ? "sync" : "async");
}

static enum errcode open_node(struct node *node, struct err *err)
{
    char directory[80], log[96];
    (void)snprintf(directory, sizeof(directory), "%s/node", world->directory);
    (void)snprintf(log, sizeof(log), "%s/log", directory);
    struct repl_config repl = {
        .directory = log, .node = 1, .map_bytes = MAP_BYTES, .in_memory_max = 8 << 20};
    enum errcode code = repl_open(&repl, &node->repl, err);
    if (code != ERR_OK) {
        return code;
    }
    struct database_config config = {.directory = directory,
                                     .repl = node->repl,
                                     .file_policies = &node->policies,
                                     .work_threads = WORK_THREADS};
    code = database_open(&config, &node->db, err);
    if (code != ERR_OK) {
        repl_close(node->repl);
    }
    return code;
}

/* A node that could not be opened is opened again, in another life, a few times with faults. */
static _Noreturn void give_up(const struct err *err)
{
    trace("not opened: %s %s", err_name(err->code), err->message);
    bool is_excused = world->has_faults && err->code != ERR_CORRUPT;
    if (!is_excused) {
        sim_fail("not opened: %s %s", err_name(err->code), err->message);
    }
    world->n_failed_openings++;
    disk_save();
    _exit(LIFE_CRASHED);
}

/* ---- serving ---- */

/* What people do while others work: they cancel, and change policies. */
static void meddle(void *arg)
{
    struct node *node = arg;
    while (!node->is_ending) {
        /* Mostly soon, and now and then late, so that nights are not spent in looking. */
        sched_sleep(1 +
                    (chance_below(STREAM_FAULT, CANCEL_NS_MAX) << chance_below(STREAM_FAULT, 10)));
        struct query_session *session = node->clients[chance_below(STREAM_FAULT, CLIENTS)].session;
        /* A client takes its session away and frees it without a switch between. */
        if (session != NULL && fault_happens(FAULT_CANCEL)) {
            query_session_cancel(session);
        }
        if (chance_is(STREAM_FAULT, RELOAD_ONE_IN)) {
            choose_policies(node);
            database_reload(node->db, &node->policies);
        }
    }
}

static void start(struct thread *thread, const char *name, void (*main)(void *), void *arg)
{
    struct err err;
    while (thread_start(thread, name, main, arg, &err) != ERR_OK) {
        /* What the simulator needs does not fail for long. */
    }
}

static void serve(struct node *node)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        node->clients[i] = (struct sim_client){.db = node->db, .number = i};
        start(&node->threads[i], "client", client_main, &node->clients[i]);
    }
    start(&node->meddler, "meddler", meddle, node);
    for (unsigned i = 0; i < CLIENTS; i++) {
        thread_join(&node->threads[i]);
    }
    node->is_ending = true;
    thread_join(&node->meddler);
}

static bool is_in_doubt(void)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (world->model.doubts[i].n > 0) {
            return true;
        }
    }
    return false;
}

/* FLAW_LOCKS. */
static struct mutex crossed[2];

static void lock_crosswise(void *arg)
{
    size_t first = *(size_t *)arg;
    for (int i = 0; i < 100; i++) {
        mutex_lock(&crossed[first]);
        mutex_lock(&crossed[1 - first]);
        mutex_unlock(&crossed[1 - first]);
        mutex_unlock(&crossed[first]);
    }
}

static void live_crosswise(void *arg)
{
    static size_t firsts[2] = {0, 1};
    struct thread threads[2];
    (void)arg;
    for (size_t i = 0; i < 2; i++) {
        mutex_init(&crossed[i]);
        start(&threads[i], "crosswise", lock_crosswise, &firsts[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        thread_join(&threads[i]);
    }
}

static void live(void *arg)
{
    struct node *node = arg;
    struct err err;
    choose_policies(node);
    fault_memory();
    if (open_node(node, &err) != ERR_OK) {
        give_up(&err);
    }
    world->n_failed_openings = 0;
    if (client_make_collection(node->db)) {
        serve(node);
        if (!is_in_doubt()) {
            client_check_all(node->db);
        }
    }
    if (metric_value(METRIC_index_unreachable) > 0) {
        sim_fail("a checkpoint has found rows to which no path leads");
    }
    fault_memory();
    database_close(node->db);
    repl_close(node->repl);
}

/* Chooses how this life ends. */
static void begin_life(void)
{
    world->crash_at = 0;
    world->is_disk_dead = false; /* It was replaced, or the cable was. */
    world->now_ns += DOWN_NS;
    if (world->phase != PHASE_STORM || world->switches >= world->switches_max) {
        world->phase = world->phase == PHASE_STORM ? PHASE_PEACE : world->phase;
        faults_end();
        world->stop_at = world->switches + PEACE_SWITCHES;
        return;
    }
    if (world->n_failed_openings < OPENINGS_MAX) {
        world->has_faults = true;
    } else {
        faults_end();
    }
    uint64_t left = world->switches_max - world->switches;
    world->stop_at = world->switches + 1 + chance_below(STREAM_FAULT, left);
    if (!chance_is(STREAM_FAULT, 4)) {
        world->crash_at = world->switches + 1 + chance_below(STREAM_FAULT, left);
    }
}

void life_run(void)
{
    static struct node node;
    disk_begin();
    begin_life();
    trace("life begins: phase %d, stops at %llu, crashes at %llu", (int)world->phase,
          (unsigned long long)world->stop_at, (unsigned long long)world->crash_at);
    log_set_level(world->is_traced ? LOG_INFO : LOG_ERROR);
    sched_run(world->flaw == FLAW_LOCKS ? live_crosswise : live, &node);
    disk_save();
    trace("life ends");
    _exit(LIFE_ENDED);
}
