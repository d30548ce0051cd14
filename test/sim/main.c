/* vsim: the node in one thread, from one seed.  See README.md.
 *
 *   vsim --seed N [--steps N] [--trace]     one seed
 *   vsim --seed N --seeds COUNT [--twice]   many; the last line is "N passed, N failed"
 *   --flaw disk | locks                     the disk keeps nothing that it was asked to sync, or
 * two threads take locks crosswise: seeds must fail
 */
#define _GNU_SOURCE /* nftw, personality */
#include "test/sim/sim.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STEPS = 20000,
    LIFE_SECONDS_MAX = 60 /* Of true time: then it hangs in something that is not simulated. */
};

struct options {
    uint64_t seed, n_seeds, steps;
    bool is_traced, is_twice;
    enum flaw flaw;
};

struct totals {
    uint64_t passed, failed, statements, cut, acknowledged, unknown, lives, switches, ns;
    uint64_t faults[FAULT_KINDS];
};

/* ---- directories ---- */

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *ftw)
{
    (void)facts, (void)kind, (void)ftw;
    return remove(path);
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* In memory where that is possible: nothing of it is worth a disk. */
static void make_directories(struct world *w, pid_t process)
{
    char lost[96], node[96], copy[96];
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(w->directory, sizeof(w->directory), "%s/vsim-%07ld", root, (long)process);
    (void)snprintf(lost, sizeof(lost), "%s.lost", w->directory);
    remove_tree(w->directory);
    remove_tree(lost);
    (void)snprintf(node, sizeof(node), "%s/node", w->directory);
    (void)snprintf(copy, sizeof(copy), "%s/copy", w->directory);
    if (mkdir(w->directory, 0700) != 0 || mkdir(lost, 0700) != 0 || mkdir(node, 0700) != 0 ||
        mkdir(copy, 0700) != 0) {
        perror(w->directory);
        exit(2);
    }
}

static void remove_directories(const struct world *w)
{
    char lost[96];
    (void)snprintf(lost, sizeof(lost), "%s.lost", w->directory);
    remove_tree(w->directory);
    remove_tree(lost);
}

/* ---- a seed ---- */

/* False where the seed has failed; world->failure says why. */
static bool run_life(void)
{
    int status;
    world->life++;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(LIFE_SECONDS_MAX);
        life_run();
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("vsim: no process for a life");
        exit(2);
    }
    if (WIFSIGNALED(status)) {
        (void)snprintf(world->failure, sizeof(world->failure), "life %u died by signal %d (%s)",
                       world->life, WTERMSIG(status), strsignal(WTERMSIG(status)));
        return false;
    }
    if (WEXITSTATUS(status) == LIFE_ENDED && world->phase != PHASE_STORM) {
        world->phase = world->phase == PHASE_PEACE ? PHASE_AFTER : PHASE_DONE;
    }
    return WEXITSTATUS(status) != LIFE_FAILED;
}

static bool run_seed(struct world *w, const struct options *options, uint64_t seed)
{
    w->is_traced = options->is_traced;
    w->flaw = options->flaw;
    w->switches_max = options->steps;
    world_begin(w, seed);
    make_directories(w, getpid());
    faults_begin_world();
    bool is_well = true;
    while (is_well && w->phase != PHASE_DONE) {
        is_well = run_life();
    }
    if (is_well || options->n_seeds > 1) {
        remove_directories(w); /* It can be had again. */
    }
    return is_well;
}

static void add(struct totals *totals, const struct world *w)
{
    totals->statements += w->n_statements;
    totals->cut += w->n_cut;
    totals->acknowledged += w->n_acknowledged;
    totals->unknown += w->n_unknown;
    totals->lives += w->life;
    totals->switches += w->switches;
    totals->ns += w->now_ns - w->started_ns;
    for (int i = 0; i < FAULT_KINDS; i++) {
        totals->faults[i] += w->faults[i];
    }
}

static void report_failure(const struct world *w, const struct options *options, uint64_t seed)
{
    printf("seed %llu failed: %s\n  again, and its files stay in %s: test/sim/vsim --seed %llu "
           "--steps "
           "%llu --trace\n",
           (unsigned long long)seed, w->failure, w->directory, (unsigned long long)seed,
           (unsigned long long)options->steps);
    fflush(stdout);
}

static void try_seed(struct world *w, const struct options *options, uint64_t seed,
                     struct totals *totals)
{
    bool is_well = run_seed(w, options, seed);
    add(totals, w);
    uint64_t digest = w->digest;
    if (is_well && options->is_twice) {
        is_well = run_seed(w, options, seed);
        if (is_well && w->digest != digest) {
            is_well = false;
            (void)snprintf(w->failure, sizeof(w->failure), "two runs differ: %016llx, %016llx",
                           (unsigned long long)digest, (unsigned long long)w->digest);
        }
    }
    totals->passed += is_well;
    totals->failed += !is_well;
    if (!is_well) {
        report_failure(w, options, seed);
    } else if (options->n_seeds == 1) {
        printf("seed %llu: digest %016llx, %u lives, %llu statements, %llu switches, %.1f s\n",
               (unsigned long long)seed, (unsigned long long)w->digest, w->life,
               (unsigned long long)w->n_statements, (unsigned long long)w->switches,
               (double)(w->now_ns - w->started_ns) / 1e9);
    }
}

static void report(const struct totals *totals)
{
    uint64_t seeds = totals->passed + totals->failed;
    printf("%llu seeds, %llu lives, %.2f virtual hours, %llu switches, %llu statements "
           "(%llu by fragments, %llu acknowledged, %llu of unknown outcome)\n",
           (unsigned long long)seeds, (unsigned long long)totals->lives,
           (double)totals->ns / 3.6e12, (unsigned long long)totals->switches,
           (unsigned long long)totals->statements, (unsigned long long)totals->cut,
           (unsigned long long)totals->acknowledged, (unsigned long long)totals->unknown);
    for (int i = 0; i < FAULT_KINDS; i++) {
        printf("  %-26s %llu\n", fault_kind_names[i], (unsigned long long)totals->faults[i]);
    }
    printf("%llu passed, %llu failed\n", (unsigned long long)totals->passed,
           (unsigned long long)totals->failed);
}

/* ---- options ---- */

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: vsim [--seed N] [--seeds COUNT] [--steps N] [--twice] [--flaw "
                    "disk|locks] [--trace]\n");
    exit(2);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0') {
        usage();
    }
    return n;
}

static enum flaw flaw(const char *name)
{
    if (strcmp(name, "disk") != 0 && strcmp(name, "locks") != 0) {
        usage();
    }
    return name[0] == 'd' ? FLAW_DISK : FLAW_LOCKS;
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option names[] = {{"seed", required_argument, NULL, 's'},
                                          {"seeds", required_argument, NULL, 'n'},
                                          {"steps", required_argument, NULL, 'e'},
                                          {"twice", no_argument, NULL, '2'},
                                          {"flaw", required_argument, NULL, 'f'},
                                          {"trace", no_argument, NULL, 't'},
                                          {NULL, 0, NULL, 0}};
    struct options options = {.seed = 1, .n_seeds = 1, .steps = STEPS};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 's':
            options.seed = number(optarg);
            break;
        case 'n':
            options.n_seeds = number(optarg);
            break;
        case 'e':
            options.steps = number(optarg);
            break;
        case '2':
            options.is_twice = true;
            break;
        case 'f':
            options.flaw = flaw(optarg);
            break;
        case 't':
            options.is_traced = true;
            break;
        default:
            usage();
        }
    }
    if (optind != argc) {
        usage();
    }
    return options;
}

/* Addresses are the same in each run, so that even what reads memory that nobody wrote repeats.
 * Where the kernel refuses, the digests must be equal all the same. */
static void fix_addresses(char **argv)
{
    int now = personality(0xffffffff);
    if (now != -1 && (now & ADDR_NO_RANDOMIZE) == 0 &&
        personality((unsigned long)now | ADDR_NO_RANDOMIZE) != -1) {
        execv("/proc/self/exe", argv);
    }
}

int main(int argc, char **argv)
{
    fix_addresses(argv);
    struct options options = parse_options(argc, argv);
    struct world *w =
        mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct totals totals = {0};
    CHECK(w != MAP_FAILED);
    for (uint64_t i = 0; i < options.n_seeds; i++) {
        try_seed(w, &options, options.seed + i, &totals);
    }
    report(&totals);
    return totals.failed == 0 ? 0 : 1;
}
