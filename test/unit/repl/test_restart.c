/* What is acknowledged is there after the process was killed at any instant, exactly once; and an
 * owner's apply may open, close and destroy other groups. */
#include "log_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- killed while it writes ---- */

enum {
    WRITERS = 4,
    GROUPS = 2
};

struct writer {
    struct thread thread;
    struct repl_group *group;
    uint64_t next; /* High byte: the writer; then rising numbers. */
    int acks;
};

/* Tells the parent each acknowledged value, in one write to the pipe. */
static void run_writer(void *arg)
{
    struct writer *w = arg;
    for (;; w->next += 1) {
        struct waited waited;
        struct err err;
        size_t bytes = 8 + w->next % 7 * 600;
        if (start_write(w->group, &waited, w->next, bytes, REPL_LEADER, &err) != ERR_OK ||
            end_write(&waited, &err) != ERR_OK ||
            write(w->acks, &w->next, sizeof(w->next)) != (ssize_t)sizeof(w->next)) {
            _exit(3);
        }
    }
}

/* The child: opens the log, checks nothing, writes until it is killed. */
static void run_child(const char *directory, uint64_t round, int acks)
{
    struct repl *repl;
    struct err err;
    static struct owner owners[GROUPS];
    static struct writer writers[WRITERS];
    if (try_open_log(directory, &repl, &err) != ERR_OK) {
        _exit(2);
    }
    for (size_t i = 0; i < GROUPS; i++) {
        owner_init(&owners[i]);
        open_group(repl, &owners[i], 10 + i, 0);
    }
    for (uint64_t i = 0; i < WRITERS; i++) {
        writers[i].group = owners[i % GROUPS].group;
        writers[i].next = (i << 56) + (round << 32);
        writers[i].acks = acks;
        if (thread_start(&writers[i].thread, "writer", run_writer, &writers[i], &err) != ERR_OK) {
            _exit(2);
        }
    }
    for (;;) {
        pause();
    }
}

/* What the parent knows of one writer. */
struct seen {
    uint64_t acked; /* The last acknowledged value; 0 = none in this round. */
};

static void check_log(struct fixture *f, const struct seen *seen, size_t *n_before)
{
    f->repl = open_log(f->directory);
    for (size_t g = 0; g < GROUPS; g++) {
        struct owner owner;
        owner_init(&owner);
        open_group(f->repl, &owner, 10 + g, 0);
        uint64_t last[WRITERS] = {0};
        for (size_t i = 0; i < owner.n; i++) {
            uint64_t v = owner.values[i];
            uint64_t w = v >> 56;
            assert_true(w < WRITERS && w % GROUPS == g);
            assert_true(last[w] == 0 || v > last[w]); /* In order and once. */
            if (last[w] != 0 && v >> 32 == last[w] >> 32) {
                assert_int_equal(v, last[w] + 1); /* Without a gap. */
            }
            last[w] = v;
        }
        for (size_t w = g; w < WRITERS; w += GROUPS) {
            assert_true(last[w] >= seen[w].acked);
        }
        assert_true(owner.n >= n_before[g]);
        n_before[g] = owner.n;
        repl_group_close(owner.group);
        owner_fini(&owner);
    }
    repl_close(f->repl);
    f->repl = NULL;
}

static void acknowledged_writes_survive_kill_9(void **state)
{
    struct fixture *f = *state;
    const char *text = getenv("CRASH_ROUNDS");
    uint64_t rounds = text != NULL ? strtoull(text, NULL, 10) : 12;
    uint64_t random = 20261122;
    struct seen seen[WRITERS] = {{0}};
    size_t n_before[GROUPS] = {0};
    repl_close(f->repl);
    f->repl = NULL;
    for (uint64_t round = 1; round <= rounds; round++) {
        int acks[2];
        assert_int_equal(pipe(acks), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(acks[0]);
            run_child(f->directory, round, acks[1]);
        }
        close(acks[1]);
        uint64_t quota = random_next(&random) % 200;
        uint64_t v;
        while (read(acks[0], &v, sizeof(v)) == (ssize_t)sizeof(v)) {
            seen[v >> 56].acked = v;
            if (quota-- == 0) {
                kill(child, SIGKILL); /* The pipe may hold more: it is read to its end. */
            }
        }
        close(acks[0]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        check_log(f, seen, n_before);
    }
    assert_true(n_before[0] > 0 && n_before[1] > 0);
}

static void a_crash_right_after_the_sync_keeps_the_write(void **state)
{
    struct fixture *f = *state;
    if (!fault_is_built()) {
        skip();
    }
    repl_close(f->repl);
    f->repl = NULL;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct repl *repl = open_log(f->directory);
        struct repl_group *group = open_group(repl, &f->owner, 10, 0);
        struct err err;
        fault_arm(FAULT_CRASH_AFTER_LOG, 1, 1);
        (void)write_one(group, 5, &err);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    f->repl = open_log(f->directory);
    open_group(f->repl, &f->owner, 10, 0);
    check_range(&f->owner, 5, 5);
    repl_group_close(f->owner.group);
}

/* ---- groups that an apply opens and closes ---- */

struct parent {
    struct fixture *fixture;
    struct owner child;
    struct repl_group *group;
};

/* 1 opens the child, 2 closes it, 3 destroys it. */
static void parent_apply(void *arg, const struct repl_entry *entries, size_t n)
{
    struct parent *p = arg;
    for (size_t i = 0; i < n; i++) {
        struct err err;
        switch (le_get_u64(entries[i].data)) {
        case 1:
            open_group(p->fixture->repl, &p->child, 21, 0);
            break;
        case 2:
            repl_group_close(p->child.group);
            break;
        default:
            assert_int_equal(repl_group_destroy(p->fixture->repl, 21, &err), ERR_OK);
        }
        repl_write_applied(entries[i].write, entries[i].index, NULL);
    }
}

static void an_apply_may_open_close_and_destroy_other_groups(void **state)
{
    struct fixture *f = *state;
    struct parent parent = {.fixture = f};
    const struct repl_group_config config = {.id = 20, .apply = parent_apply, .arg = &parent};
    struct err err;
    enum {
        N = 300
    };
    static struct waited waited[N];
    owner_init(&parent.child);
    assert_int_equal(repl_group_open(f->repl, &config, &parent.group, &err), ERR_OK);
    write_range(parent.group, 1, 1);
    write_range(parent.child.group, 1, 1000);
    write_range(parent.group, 2, 2);
    owner_forget(&parent.child);
    write_range(parent.group, 1, 1); /* Opened with a log behind it. */
    check_range(&parent.child, 1, 1000);
    for (uint64_t v = 0; v < N; v++) {
        assert_int_equal(
            start_write(parent.child.group, &waited[v], 1001 + v, 20, REPL_APPLIED, &err), ERR_OK);
    }
    write_range(parent.group, 2, 2); /* Closed with writes under way. */
    for (uint64_t v = 0; v < N; v++) {
        assert_int_equal(end_write(&waited[v], &err), ERR_OK);
    }
    check_range(&parent.child, 1, 1000 + N);
    write_range(parent.group, 3, 3);
    repl_group_close(parent.group);
    owner_fini(&parent.child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_set_up, log_tear_down)
        LOG_TEST(acknowledged_writes_survive_kill_9),
        LOG_TEST(a_crash_right_after_the_sync_keeps_the_write),
        LOG_TEST(an_apply_may_open_close_and_destroy_other_groups),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
