/* The fixture of the log's tests: see log_fixture.h. */
#define _XOPEN_SOURCE 700 /* nftw, mkdtemp */
#include "log_fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void owner_init(struct owner *o)
{
    memset(o, 0, sizeof(*o));
    mutex_init(&o->lock);
    condition_init(&o->wake);
}

void owner_fini(struct owner *o)
{
    free(o->values);
    free(o->indexes);
    condition_fini(&o->wake);
    mutex_fini(&o->lock);
}

void owner_forget(struct owner *o)
{
    o->n = 0;
    o->n_batches = 0;
}

void owner_hold(struct owner *o, bool is_held)
{
    mutex_lock(&o->lock);
    o->is_held = is_held;
    condition_broadcast(&o->wake);
    mutex_unlock(&o->lock);
}

void owner_apply(void *arg, const struct repl_entry *entries, size_t n)
{
    struct owner *o = arg;
    mutex_lock(&o->lock);
    while (o->is_held) {
        condition_wait(&o->wake, &o->lock);
    }
    o->n_batches += 1;
    for (size_t i = 0; i < n; i++) {
        if (o->n == o->n_max) {
            o->n_max = o->n_max == 0 ? 1024 : o->n_max * 2;
            o->values = realloc(o->values, o->n_max * sizeof(*o->values));
            o->indexes = realloc(o->indexes, o->n_max * sizeof(*o->indexes));
            CHECK(o->values != NULL && o->indexes != NULL);
        }
        assert_true(entries[i].bytes >= 8);
        o->values[o->n] = le_get_u64(entries[i].data);
        o->indexes[o->n] = entries[i].index;
        o->n += 1;
        assert_true(o->n == 1 || o->indexes[o->n - 1] > o->indexes[o->n - 2]);
    }
    mutex_unlock(&o->lock);
    for (size_t i = 0; i < n; i++) {
        if (entries[i].write != NULL) {
            struct err err;
            err_set(&err, ERR_DUPLICATE_KEY, "refused by the test");
            bool is_refused = o->refused != 0 && le_get_u64(entries[i].data) == o->refused;
            repl_write_applied(entries[i].write, entries[i].index, is_refused ? &err : NULL);
        }
    }
}

enum errcode try_open_log(const char *directory, struct repl **out, struct err *err)
{
    const struct repl_config config = {
        .directory = directory,
        .node = 1,
        .map_bytes = (size_t)4 << 30,
        .disk_reserve_bytes = 0,
        .in_memory_max = 64 << 20,
    };
    return repl_open(&config, out, err);
}

struct repl *open_log(const char *directory)
{
    struct repl *repl = NULL;
    struct err err;
    if (try_open_log(directory, &repl, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
    return repl;
}

struct repl_group *open_group(struct repl *repl, struct owner *o, uint64_t id, uint64_t applied)
{
    const struct repl_group_config config = {
        .id = id, .applied = applied, .apply = owner_apply, .arg = o};
    struct err err;
    if (repl_group_open(repl, &config, &o->group, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
    return o->group;
}

static void waited_done(struct repl_write *write, uint64_t index, const struct err *err)
{
    struct waited *w = CONTAINER_OF(write, struct waited, write);
    mutex_lock(&w->lock);
    w->index = index;
    w->n_done += 1;
    w->err.code = ERR_OK;
    if (err != NULL) {
        w->err = *err;
    }
    w->is_done = true;
    condition_broadcast(&w->wake);
    mutex_unlock(&w->lock);
}

void waited_init(struct waited *w, enum repl_stage stage)
{
    memset(w, 0, sizeof(*w));
    mutex_init(&w->lock);
    condition_init(&w->wake);
    w->write.wait_for = stage;
    w->write.done = waited_done;
}

enum errcode start_write(struct repl_group *group, struct waited *w, uint64_t value, size_t bytes,
                         enum repl_stage stage, struct err *err)
{
    uint8_t *data = mem_zalloc(MEM_LOG, bytes);
    if (data == NULL) {
        return err_no_memory(err);
    }
    le_put_u64(data, value);
    waited_init(w, stage);
    enum errcode code = repl_submit(group, &w->write, data, bytes, err);
    if (code != ERR_OK) {
        assert_int_equal(w->n_done, 0);
        condition_fini(&w->wake);
        mutex_fini(&w->lock);
    }
    return code;
}

enum errcode end_write(struct waited *w, struct err *err)
{
    mutex_lock(&w->lock);
    while (!w->is_done) {
        condition_wait(&w->wake, &w->lock);
    }
    mutex_unlock(&w->lock);
    assert_int_equal(w->n_done, 1);
    condition_fini(&w->wake);
    mutex_fini(&w->lock);
    *err = w->err;
    return w->err.code;
}

enum errcode write_one(struct repl_group *group, uint64_t value, struct err *err)
{
    struct waited w;
    enum errcode code = start_write(group, &w, value, 100, REPL_APPLIED, err);
    return code == ERR_OK ? end_write(&w, err) : code;
}

char *make_directory(void)
{
    const char *parent = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof(path), "%s/vectrond-repl-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(path));
    return strdup(path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void remove_directory(char *path)
{
    assert_int_equal(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(path);
}

int log_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->directory = make_directory();
    f->repl = open_log(f->directory);
    owner_init(&f->owner);
    *state = f;
    return 0;
}

int log_tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->repl != NULL) {
        repl_close(f->repl);
    }
    fault_disarm_all();
    owner_fini(&f->owner);
    remove_directory(f->directory);
    free(f);
    return 0;
}

void log_reopen(struct fixture *f)
{
    repl_close(f->repl);
    f->repl = open_log(f->directory);
}

void write_range(struct repl_group *group, uint64_t from, uint64_t to)
{
    for (uint64_t v = from; v <= to; v++) {
        struct err err;
        if (write_one(group, v, &err) != ERR_OK) {
            fail_msg("%s", err.message);
        }
    }
}

void check_range(const struct owner *o, uint64_t from, uint64_t to)
{
    assert_int_equal(o->n, to - from + 1);
    for (size_t i = 0; i < o->n; i++) {
        assert_int_equal(o->values[i], from + i);
    }
}
