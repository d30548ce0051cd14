/* Kills a vectrond again and again while clients write, and compares what is left.
 *
 *   crash --server PATH [--rounds N] [--seed N] [--dir DIR]
 *
 * Each test is one line, "ok NAME" or "not ok NAME"; what it saw is printed before.  The data of a
 * test that failed is left where it is. */
#define _GNU_SOURCE /* mkdtemp, nftw, mount */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ingest.h"
#include "server.h"

enum {
    ROUND_SECONDS_MAX = 180, /* A round that takes longer hangs: the alarm ends everything. */
    PATH_BYTES = 512,
    SMALL_MEBIBYTES = 96,
    FILLER_MEBIBYTES = 32,
};

static const double RECALL_FLOOR = 0.95; /* As the policy recall has it by default. */

struct test {
    const char *program;
    char root[PATH_BYTES];
    int rounds;
    uint64_t random;
    char directory[PATH_BYTES + 64]; /* Of the test that runs. */
    char log[PATH_BYTES + 64];       /* What its server says. */
    struct server server;
    struct client clients[CLIENTS];
    uint64_t n_lost, n_duplicated, n_wrong, n_torn, n_searched, n_found;
    double ready_seconds_max;
    char why[1024];
};

static bool fail(struct test *t, const char *what, const char *detail)
{
    snprintf(t->why, sizeof(t->why), "%s: %.900s", what, detail);
    return false;
}

static uint64_t next_random(struct test *t)
{
    t->random = t->random * 6364136223846793005u + 1442695040888963407u;
    return t->random >> 33;
}

static void sleep_ms(uint64_t ms)
{
    nanosleep(
        &(struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000},
        NULL);
}

/* ---- parts of tests ---- */

static void begin(struct test *t, const char *name, const char *parent)
{
    snprintf(t->directory, sizeof(t->directory), "%s/%s", parent, name);
    snprintf(t->log, sizeof(t->log), "%s/%s.log", t->root, name);
    t->server = (struct server){.program = t->program, .directory = t->directory, .log = t->log};
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_init(&t->clients[i], i);
        t->clients[i].random += t->random;
    }
    t->ready_seconds_max = 0;
    t->n_lost = t->n_duplicated = t->n_wrong = t->n_torn = t->n_searched = t->n_found = 0;
    t->why[0] = '\0';
}

static bool start(struct test *t)
{
    alarm(ROUND_SECONDS_MAX);
    if (!server_start(&t->server)) {
        return fail(t, "the server did not become ready; see its log", t->log);
    }
    if (t->server.ready_seconds > t->ready_seconds_max) {
        t->ready_seconds_max = t->server.ready_seconds;
    }
    return true;
}

static bool start_new(struct test *t)
{
    char why[512];
    return start(t) && (create_collections(t->server.address, why, sizeof(why)) ||
                        fail(t, "the collections could not be made", why));
}

static bool start_clients(struct test *t)
{
    for (int i = 0; i < CLIENTS; i++) {
        if (!client_start(&t->clients[i], t->server.address)) {
            return fail(t, "a client did not start", strerror(errno));
        }
    }
    return true;
}

static bool join_clients(struct test *t)
{
    bool is_good = true;
    for (int i = 0; i < CLIENTS; i++) {
        client_join(&t->clients[i]);
        if (t->clients[i].failure[0] != '\0') {
            is_good = fail(t, "a statement failed", t->clients[i].failure);
        }
    }
    return is_good;
}

static void stop_clients(struct test *t)
{
    for (int i = 0; i < CLIENTS; i++) {
        atomic_store(&t->clients[i].is_stopped, true);
    }
}

static uint64_t acks(const struct test *t)
{
    uint64_t n = 0;
    for (int i = 0; i < CLIENTS; i++) {
        n += t->clients[i].n_acks;
    }
    return n;
}

static uint64_t unknowns(const struct test *t)
{
    uint64_t n = 0;
    for (int i = 0; i < CLIENTS; i++) {
        n += t->clients[i].n_unknown;
    }
    return n;
}

static bool check(struct test *t)
{
    struct verdict v;
    bool is_good = check_rows(t->server.address, t->clients, &v);
    t->n_lost += v.n_lost;
    t->n_duplicated += v.n_duplicated;
    t->n_wrong += v.n_wrong;
    t->n_torn += v.n_torn;
    t->n_searched += v.n_searched;
    t->n_found += v.n_found;
    return is_good || fail(t, "the rows are not what was acknowledged", v.first);
}

static void say(const struct test *t)
{
    printf("# %llu statements acknowledged, %llu told to be unknown; rows lost %llu, duplicated "
           "%llu, wrong %llu; "
           "statements torn %llu; the graph found %llu of %llu; slowest start %.2f s\n",
           (unsigned long long)acks(t), (unsigned long long)unknowns(t),
           (unsigned long long)t->n_lost, (unsigned long long)t->n_duplicated,
           (unsigned long long)t->n_wrong, (unsigned long long)t->n_torn,
           (unsigned long long)t->n_found, (unsigned long long)t->n_searched, t->ready_seconds_max);
}

/* The end of a test: what was seen, and whether the graph kept its floor of recall. */
static bool conclude(struct test *t)
{
    say(t);
    if (acks(t) == 0) {
        return fail(t, "nothing was acknowledged", "");
    }
    if ((double)t->n_found < RECALL_FLOOR * (double)t->n_searched) {
        return fail(t, "the graph finds too few of the rows", t->directory);
    }
    return true;
}

/* ---- tests ---- */

/* Killed at random instants while it takes writes, and sometimes while it starts. */
static bool acknowledged_rows_survive_kill_9(struct test *t)
{
    begin(t, "kill", t->root);
    if (!start_new(t)) {
        return false;
    }
    for (int round = 0; round < t->rounds; round++) {
        if (!start_clients(t)) {
            return false;
        }
        sleep_ms(20 + next_random(t) % 400);
        server_kill(&t->server);
        if (!join_clients(t) || !start(t) || !check(t)) {
            return false;
        }
        if (round % 5 == 4) {
            server_kill(&t->server);
            if (!start(t) || !check(t)) {
                return false;
            }
        }
    }
    return conclude(t);
}

/* Ends in order while clients write: their statements are done or refused, never half done. */
static bool a_shutdown_loses_nothing_and_leaves_with_0(struct test *t)
{
    begin(t, "term", t->root);
    if (!start_new(t) || !start_clients(t)) {
        return false;
    }
    sleep_ms(300);
    int code = server_stop(&t->server);
    if (!join_clients(t)) {
        return false;
    }
    if (code != 0) {
        char text[32];
        snprintf(text, sizeof(text), "exit code %d", code);
        return fail(t, "SIGTERM did not end it well", text);
    }
    return start(t) && check(t) && conclude(t);
}

/* The n-th time that a certain place is passed, the process dies there. */
static bool dies_at(struct test *t, const char *name, const char *point, int nth_max)
{
    begin(t, name, t->root);
    if (!start_new(t)) {
        return false;
    }
    server_kill(&t->server);
    for (int round = 0; round < (t->rounds + 3) / 4; round++) {
        char faults[64];
        uint64_t nth = 1 + next_random(t) % (uint64_t)nth_max;
        snprintf(faults, sizeof(faults), "%s:%llu", point, (unsigned long long)nth);
        t->server.faults = faults;
        if (start(t) && start_clients(t)) {
            for (int i = 0; i < 2000 && !server_has_died(&t->server); i++) {
                sleep_ms(10);
            }
            bool has_died = server_has_died(&t->server);
            server_kill(&t->server);
            if (!join_clients(t) || !(has_died || fail(t, "it did not pass", faults))) {
                return false;
            }
        } else if (!server_has_died(&t->server)) {
            return false; /* To die while it starts is allowed: that is where the point is too. */
        }
        t->server.faults = NULL;
        if (!start(t) || !check(t)) {
            return false;
        }
        server_kill(&t->server);
    }
    return conclude(t);
}

static bool a_crash_behind_the_logs_sync_loses_nothing(struct test *t)
{
    return dies_at(t, "after_log", "CRASH_AFTER_LOG", 400);
}

static bool a_crash_before_a_flush_loses_nothing(struct test *t)
{
    return dies_at(t, "before_flush", "CRASH_BEFORE_FLUSH", 20);
}

static bool a_crash_behind_a_flush_loses_nothing(struct test *t)
{
    return dies_at(t, "after_flush", "CRASH_AFTER_FLUSH", 20);
}

static bool a_crash_in_a_checkpoint_loses_nothing(struct test *t)
{
    return dies_at(t, "in_checkpoint", "CRASH_IN_CHECKPOINT", 6);
}

static bool a_crash_while_vectors_get_room_loses_nothing(struct test *t)
{
    return dies_at(t, "in_vectors", "CRASH_IN_VECTORS", 2);
}

static bool a_crash_before_vectors_are_synced_loses_nothing(struct test *t)
{
    return dies_at(t, "before_vectors", "CRASH_BEFORE_VECTORS", 4);
}

static bool a_crash_between_vectors_and_their_checkpoint_loses_nothing(struct test *t)
{
    return dies_at(t, "after_vectors", "CRASH_AFTER_VECTORS", 4);
}

static bool fill(const char *path, int mebibytes)
{
    static char block[1 << 20];
    FILE *file = fopen(path, "w");
    bool is_good = file != NULL;
    for (int i = 0; i < mebibytes && is_good; i++) {
        is_good = fwrite(block, sizeof(block), 1, file) == 1;
    }
    return file != NULL && fclose(file) == 0 && is_good;
}

/* Everything that a full disk must not break: see the calls. */
static bool live_through_full_disk(struct test *t, const char *filler)
{
    for (int i = 0; i < CLIENTS; i++) {
        t->clients[i].allowed = "53100";
    }
    if (!start_new(t) || !start_clients(t)) {
        return false;
    }
    sleep_ms(300);
    /* Leaves less than disk_reserve. */
    if (!fill(filler, SMALL_MEBIBYTES) && errno != ENOSPC) {
        return fail(t, "the disk could not be filled", strerror(errno));
    }
    uint64_t n_refused = 0;
    for (int i = 0; i < 1000 && n_refused == 0; i++) {
        sleep_ms(10);
        n_refused = t->clients[0].n_refused;
    }
    stop_clients(t);
    if (!join_clients(t) || !check(t)) { /* Reads go on. */
        return false;
    }
    uint64_t before = acks(t);
    if (n_refused == 0) {
        return fail(t, "no write was refused with 53100", "");
    }
    if (unlink(filler) != 0) {
        return fail(t, "the filler could not be removed", strerror(errno));
    }
    if (!start_clients(t)) {
        return false;
    }
    sleep_ms(500);
    stop_clients(t);
    if (!join_clients(t) || !check(t)) {
        return false;
    }
    printf("# %llu writes refused with 53100; %llu acknowledged behind it\n",
           (unsigned long long)n_refused, (unsigned long long)(acks(t) - before));
    if (acks(t) == before) {
        return fail(t, "writes did not resume", "");
    }
    server_kill(&t->server);
    return start(t) && check(t) && conclude(t);
}

/* 1: passed, 0: failed, -1: may not mount. */
static int a_full_disk_refuses_writes_and_no_reads(struct test *t)
{
    char small[PATH_BYTES + 32];
    char filler[PATH_BYTES + 64];
    char options[32];
    snprintf(small, sizeof(small), "%s/small", t->root);
    snprintf(filler, sizeof(filler), "%s/filler", small);
    snprintf(options, sizeof(options), "size=%dm", SMALL_MEBIBYTES);
    if (mkdir(small, 0755) != 0 || mount("tmpfs", small, "tmpfs", 0, options) != 0) {
        return -1;
    }
    begin(t, "full", small);
    bool is_good = live_through_full_disk(t, filler);
    server_kill(&t->server);
    if (!is_good) {
        char command[PATH_BYTES * 2];
        snprintf(command, sizeof(command), "tail -n 20 '%s' | sed 's/^/# /'", t->log);
        fflush(stdout);
        (void)!system(command);
    }
    umount(small);
    return is_good;
}

/* ---- running them ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void report(struct test *t, const char *name, int result, int counts[3])
{
    static const char *const words[] = {"not ok", "ok", "skipped"};
    int place = result < 0 ? 2 : result;
    counts[place] += 1;
    printf("%s %s\n", words[place], name);
    if (result == 0) {
        printf("    %s\n", t->why);
    }
    server_kill(&t->server);
    fflush(stdout);
}

static const struct {
    const char *name;
    bool (*run)(struct test *t);
    bool needs_faults;
} tests[] = {
#define CRASH_TEST(name, needs_faults)                                                             \
    {                                                                                              \
#name, name, needs_faults                                                                  \
    }
    CRASH_TEST(acknowledged_rows_survive_kill_9, false),
    CRASH_TEST(a_shutdown_loses_nothing_and_leaves_with_0, false),
    CRASH_TEST(a_crash_behind_the_logs_sync_loses_nothing, true),
    CRASH_TEST(a_crash_before_a_flush_loses_nothing, true),
    CRASH_TEST(a_crash_behind_a_flush_loses_nothing, true),
    CRASH_TEST(a_crash_in_a_checkpoint_loses_nothing, true),
    CRASH_TEST(a_crash_while_vectors_get_room_loses_nothing, true),
    CRASH_TEST(a_crash_before_vectors_are_synced_loses_nothing, true),
    CRASH_TEST(a_crash_between_vectors_and_their_checkpoint_loses_nothing, true),
};

static bool has_faults(void)
{
#ifdef ENABLE_FAULTS
    return true;
#else
    return false;
#endif
}

static bool read_options(struct test *t, int argc, char **argv)
{
    static const struct option options[] = {
        {"server", required_argument, NULL, 's'},
        {"rounds", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 'e'},
        {"dir", required_argument, NULL, 'd'},
        {NULL, 0, NULL, 0},
    };
    const char *parent = getenv("TMPDIR");
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            t->program = optarg;
            break;
        case 'r':
            t->rounds = (int)strtol(optarg, NULL, 10);
            break;
        case 'e':
            t->random = strtoull(optarg, NULL, 10);
            break;
        case 'd':
            parent = optarg;
            break;
        default:
            return false;
        }
    }
    snprintf(t->root, sizeof(t->root), "%.400s/vectrond-crash-XXXXXX",
             parent != NULL ? parent : "/tmp");
    return t->program != NULL && t->rounds > 0 && optind == argc && mkdtemp(t->root) != NULL;
}

int main(int argc, char **argv)
{
    static struct test t;
    int counts[3] = {0, 0, 0};
    t.rounds = 10;
    t.random = (uint64_t)time(NULL);
    if (!read_options(&t, argc, argv)) {
        fprintf(stderr, "usage: crash --server VECTROND [--rounds N] [--seed N] [--dir DIR]\n");
        return 2;
    }
    printf("# seed %llu, %d rounds, in %s\n", (unsigned long long)t.random, t.rounds, t.root);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        bool is_run = has_faults() || !tests[i].needs_faults;
        report(&t, tests[i].name, is_run ? tests[i].run(&t) : -1, counts);
    }
    report(&t, "a_full_disk_refuses_writes_and_no_reads",
           a_full_disk_refuses_writes_and_no_reads(&t), counts);
    if (counts[0] == 0) {
        nftw(t.root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
    printf("%d passed, %d failed, %d skipped\n", counts[1], counts[0], counts[2]);
    return counts[0] == 0 ? 0 : 1;
}
