/* For the tests of repl: a temporary directory, an owner that remembers what was applied, and a
 * write that is waited for. */
#ifndef TEST_REPL_LOG_FIXTURE_H
#define TEST_REPL_LOG_FIXTURE_H

#include "../unit.h"
#include "repl/repl.h"

/* What an owner was given: the u64 at the head of each entry, in order. */
struct owner {
    struct mutex lock;
    struct condition wake;
    uint64_t *values;
    uint64_t *indexes;
    size_t n, n_max;
    size_t n_batches;
    bool is_held;     /* apply waits until it is false. */
    uint64_t refused; /* An entry with this value gets an error for its result; 0 = none. */
    struct repl_group *group;
};

void owner_init(struct owner *o);
void owner_fini(struct owner *o);
void owner_forget(struct owner *o); /* As after a restart. */
void owner_hold(struct owner *o, bool is_held);
void owner_apply(void *arg, const struct repl_entry *entries, size_t n);

struct repl *open_log(const char *directory);
enum errcode try_open_log(const char *directory, struct repl **out, struct err *err);
struct repl_group *open_group(struct repl *repl, struct owner *o, uint64_t id, uint64_t applied);

/* One write and what became of it. */
struct waited {
    struct repl_write write;
    struct mutex lock;
    struct condition wake;
    bool is_done;
    uint64_t index;
    struct err err;
    unsigned n_done;
};

void waited_init(struct waited *w, enum repl_stage stage); /* For repl_submit; end_write ends it. */
/* An entry of @bytes (at least 8) that begins with @value. */
enum errcode start_write(struct repl_group *group, struct waited *w, uint64_t value, size_t bytes,
                         enum repl_stage stage, struct err *err);
enum errcode end_write(struct waited *w, struct err *err); /* Waits for done. */
enum errcode write_one(struct repl_group *group, uint64_t value, struct err *err);

char *make_directory(void); /* Fresh and empty; freed by remove_directory. */
void remove_directory(char *path);

struct fixture {
    char *directory;
    struct repl *repl;
    struct owner owner;
};

int log_set_up(void **state); /* *state is a struct fixture. */
int log_tear_down(void **state);
void log_reopen(struct fixture *f);
void write_range(struct repl_group *group, uint64_t from, uint64_t to); /* Each must succeed. */
void check_range(const struct owner *o, uint64_t from, uint64_t to);    /* All that was applied. */

#endif
