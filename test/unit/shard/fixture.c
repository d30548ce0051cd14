/* A shard to test, and short ways to write and read it. */
#define _XOPEN_SOURCE 700 /* nftw */
#include "fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

static char *make_directory(void)
{
    const char *parent = getenv("TMPDIR");
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/vectrond-shard-XXXXXX",
                   parent != NULL ? parent : "/tmp");
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

static void remove_directory(char *path)
{
    assert_int_equal(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(path);
}

static void add_column(struct schema *s, const char *name, enum value_type type)
{
    struct column *c = &s->columns[s->n_columns++];
    (void)snprintf(c->name, sizeof(c->name), "%s", name);
    c->type = type;
    if (type == TYPE_VECTOR) {
        c->dim = DIM;
        c->distance = DISTANCE_L2;
    }
}

void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->directory = make_directory();
    f->schema.id = 5;
    (void)snprintf(f->schema.name, sizeof(f->schema.name), "docs");
    add_column(&f->schema, "id", TYPE_TEXT);
    add_column(&f->schema, "embedding", TYPE_VECTOR);
    add_column(&f->schema, "title", TYPE_TEXT);
    add_column(&f->schema, "year", TYPE_INT);
    f->schema.columns[ID].is_not_null = true;
    f->schema.columns[YEAR].is_not_null = true;
    fixture_policy(f, "map_size", "1GiB");
    f->arena = arena_new(MEM_GENERAL, SIZE_MAX);
    assert_non_null(f->arena);
}

void fixture_fini(struct fixture *f)
{
    fault_disarm_all();
    if (f->shard != NULL) {
        fixture_stop(f);
    }
    arena_free(f->arena);
    remove_directory(f->directory);
}

int fixture_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    fixture_init(f);
    *state = f;
    return 0;
}

int fixture_tear_down(void **state)
{
    fixture_fini(*state);
    free(*state);
    return 0;
}

void fixture_policy(struct fixture *f, const char *name, const char *text)
{
    struct err err = {0};
    struct value value = value_cstr(text);
    if (policy_assign_name(&f->file, name, LEVEL_FILE, &value, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
    if (f->host != NULL) {
        shard_host_reload(f->host, &f->file);
    }
}

void fixture_graph(struct fixture *f, int64_t with_m, int64_t with_ef_construction)
{
    struct value m = value_int(with_m), ef_construction = value_int(with_ef_construction);
    struct policy_set *policies = &f->schema.policies;
    struct err err = {0};
    assert_int_equal(policy_assign_name(policies, "m", LEVEL_COLLECTION, &m, &err), ERR_OK);
    assert_int_equal(
        policy_assign_name(policies, "ef_construction", LEVEL_COLLECTION, &ef_construction, &err),
        ERR_OK);
}

void fixture_path(const struct fixture *f, const char *name, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "%s/%s", f->directory, name);
}

enum errcode fixture_try_start(struct fixture *f, struct err *err)
{
    char log[4096];
    char data[4096];
    fixture_path(f, "log", log, sizeof(log));
    fixture_path(f, "shard", data, sizeof(data));
    struct repl_config repl = {
        .directory = log,
        .node = 1,
        .map_bytes = 1 << 30,
        .in_memory_max = 64 << 20,
    };
    struct shard_host_config host = {.file_policies = &f->file, .work_threads = 2};
    enum errcode code = repl_open(&repl, &f->repl, err);
    if (code == ERR_OK) {
        code = shard_host_new(&host, &f->host, err);
    }
    if (code == ERR_OK) {
        struct shard_config shard = {
            .directory = data,
            .group = GROUP,
            .schema = &f->schema,
            .repl = f->repl,
            .host = f->host,
        };
        code = shard_open(&shard, &f->shard, err);
    }
    if (code != ERR_OK) {
        f->shard = NULL;
        fixture_stop(f);
    }
    return code;
}

void fixture_start(struct fixture *f)
{
    struct err err = {0};
    if (fixture_try_start(f, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
}

void fixture_stop(struct fixture *f)
{
    shard_close(f->shard);
    f->shard = NULL;
    shard_host_free(f->host);
    f->host = NULL;
    if (f->repl != NULL) {
        repl_close(f->repl);
    }
    f->repl = NULL;
}

/* ---- writing ---- */

void make_vector(uint64_t i, float out[DIM])
{
    uint64_t state = i;
    for (int d = 0; d < DIM; d++) {
        out[d] = (float)(random_next(&state) >> 40) / (float)(1 << 24);
    }
}

struct sent {
    struct shard_write write;
    struct mutex mutex;
    struct condition done;
    bool is_done;
    struct err err;
};

static void sent_done(struct shard_write *write, const struct err *err)
{
    struct sent *s = CONTAINER_OF(write, struct sent, write);
    mutex_lock(&s->mutex);
    if (err != NULL) {
        s->err = *err;
    }
    s->is_done = true;
    condition_signal(&s->done);
    mutex_unlock(&s->mutex);
}

enum errcode send_command(struct fixture *f, struct shard_command *command, enum ack ack,
                          uint64_t *rows, struct err *err)
{
    struct sent s = {.write = {.ack = ack, .done = sent_done}};
    mutex_init(&s.mutex);
    condition_init(&s.done);
    enum errcode code = shard_submit(f->shard, command, &s.write, err);
    if (code == ERR_OK) {
        uint64_t deadline_us = clock_micros() + PATIENCE_US;
        mutex_lock(&s.mutex);
        while (!s.is_done && condition_wait_until(&s.done, &s.mutex, deadline_us)) {
        }
        if (!s.is_done) {
            fail_msg("a write was not acknowledged in a minute");
        }
        mutex_unlock(&s.mutex);
        code = s.err.code;
        *err = s.err;
        if (rows != NULL) {
            *rows = s.write.rows;
        }
    }
    condition_fini(&s.done);
    mutex_fini(&s.mutex);
    return code;
}

struct shard_command *new_command(struct fixture *f)
{
    struct err err = {0};
    struct shard_command *command = shard_command_new(&f->schema, &err);
    assert_non_null(command);
    return command;
}

struct given row_of(uint64_t key, uint64_t vector, const char *title, int64_t year)
{
    return (struct given){key, vector, title, year};
}

void add_stamped(struct shard_command *command, enum shard_op op, struct given row, uint32_t stamp)
{
    static const uint64_t all[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    char key[32];
    float vector[DIM];
    struct err err = {0};
    (void)snprintf(key, sizeof(key), "k%llu", (unsigned long long)row.key);
    make_vector(row.vector, vector);
    struct value values[N_COLUMNS] = {
        [ID] = value_cstr(key),
        [EMBEDDING] = row.vector == 0 ? value_null() : value_vector(vector, DIM),
        [TITLE] = row.title == NULL ? value_null() : value_cstr(row.title),
        [YEAR] = value_int(row.year),
    };
    if (shard_command_add(command, op, values, all, stamp, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
}

void add_row(struct shard_command *command, enum shard_op op, struct given row)
{
    add_stamped(command, op, row, 0);
}

enum errcode write_row(struct fixture *f, enum shard_op op, struct given row, struct err *err)
{
    struct shard_command *command = new_command(f);
    add_row(command, op, row);
    return send_command(f, command, ACK_VISIBLE, NULL, err);
}

enum errcode delete_row(struct fixture *f, uint64_t i, struct err *err)
{
    struct seen seen;
    assert_true(see_row(f, i, &seen));
    struct shard_command *command = new_command(f);
    add_stamped(command, SHARD_DELETE, row_of(i, 0, NULL, 0), seen.stamp);
    return send_command(f, command, ACK_VISIBLE, NULL, err);
}

void insert_rows(struct fixture *f, uint64_t from, uint64_t to, uint64_t batch)
{
    while (from < to) {
        struct err err = {0};
        struct shard_command *command = new_command(f);
        for (uint64_t end = from + batch < to ? from + batch : to; from < end; from++) {
            add_row(command, SHARD_INSERT, row_of(from, from, "t", (int64_t)from));
        }
        if (send_command(f, command, ACK_VISIBLE, NULL, &err) != ERR_OK) {
            fail_msg("%s", err.message);
        }
    }
}

/* ---- reading ---- */

static void decode(struct fixture *f, const struct shard_row *row, struct seen *out)
{
    struct value values[N_COLUMNS];
    struct err err = {0};
    if (shard_row_decode(&f->schema, row, NULL, values, f->arena, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
    memset(out, 0, sizeof(*out));
    out->number = row->number;
    out->stamp = shard_row_stamp(row);
    out->has_vector = values[EMBEDDING].type == TYPE_VECTOR;
    if (out->has_vector) {
        memcpy(out->vector, values[EMBEDDING].vector.data, sizeof(out->vector));
    }
    if (values[TITLE].type == TYPE_NULL) {
        (void)snprintf(out->title, sizeof(out->title), "<null>");
    } else {
        (void)snprintf(out->title, sizeof(out->title), "%.*s", (int)values[TITLE].text.bytes,
                       values[TITLE].text.data);
    }
    out->year = values[YEAR].integer;
    arena_reset(f->arena);
}

bool see_in_view(struct fixture *f, struct shard_view *view, uint64_t i, struct seen *out)
{
    char key[32];
    struct shard_row row;
    struct err err = {0};
    bool found;
    (void)snprintf(key, sizeof(key), "k%llu", (unsigned long long)i);
    struct value value = value_cstr(key);
    if (shard_view_get(view, &value, &row, &found, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
    if (found) {
        decode(f, &row, out);
    }
    return found;
}

static struct shard_view *open_view(struct fixture *f)
{
    struct shard_view *view;
    struct err err = {0};
    if (shard_view_open(f->shard, &view, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
    return view;
}

bool see_row(struct fixture *f, uint64_t i, struct seen *out)
{
    struct shard_view *view = open_view(f);
    bool found = see_in_view(f, view, i, out);
    shard_view_close(view);
    return found;
}

uint64_t count_rows(struct fixture *f)
{
    struct shard_view *view = open_view(f);
    uint64_t n = 0;
    uint64_t from = 0;
    struct shard_row row;
    bool found = true;
    struct err err = {0};
    for (; found; n += found) {
        assert_int_equal(shard_view_next(view, from, &row, &found, &err), ERR_OK);
        assert_true(!found || row.number >= from);
        from = row.number + 1;
    }
    assert_int_equal(n, shard_view_count(view));
    shard_view_close(view);
    return n;
}

uint64_t nearest(struct fixture *f, uint64_t v, double *distance)
{
    float query[DIM];
    struct index_hit hit = {0};
    size_t n = 0;
    struct index_work work = {0};
    struct err err = {0};
    make_vector(v, query);
    struct shard_search search = {
        .column = EMBEDDING,
        .index = {.query = query, .k = 1, .ef = 64, .plan = INDEX_WALK},
        .on_lag = ON_LAG_SCAN,
        .index_lag_max = 1000000,
    };
    if (shard_search(f->shard, &search, &hit, &n, &work, &err) != ERR_OK) {
        fail_msg("%s", err.message);
    }
    *distance = n == 0 ? -1 : hit.distance;
    return n == 0 ? 0 : hit.row;
}

void wait_until_linked(struct fixture *f)
{
    struct shard_figures figures;
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    do {
        assert_true(clock_micros() < deadline_us);
        clock_sleep_micros(1000);
        shard_figures(f->shard, &figures);
    } while (figures.index_lag > 0);
}

uint64_t content_hash(struct fixture *f)
{
    struct shard_view *view = open_view(f);
    uint64_t hash = 0;
    uint64_t from = 0;
    struct shard_row row;
    bool found = true;
    struct err err = {0};
    while (found) {
        assert_int_equal(shard_view_next(view, from, &row, &found, &err), ERR_OK);
        if (found) {
            hash = hash_bytes(row.data, row.bytes, hash ^ row.number);
            from = row.number + 1;
        }
    }
    shard_view_close(view);
    return hash;
}
