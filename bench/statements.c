/* What a statement takes in the server's process, without the network.
 *
 *     bench/statements [--only NAME] [--count N] [--rows N] [--dim N] [--flat] [--parse]
 *                      [--dir DIR]
 *
 * A collection of --rows rows (id INT, word TEXT, part INT, x FLOAT, tag TEXT, v VECTOR) is made in
 * a directory of its own, or taken from --dir, where it stays.  Each statement is prepared once
 * (with --parse each time) and run --count times, five times over; printed is the median of the
 * nanoseconds that one took, by the clock and of CPU of the thread that ran it.  Those that write
 * wait for the disk.
 *
 * How instructions are counted with it: doc/performance.md. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "index/index.h"
#include "query/query.h"
#include "repl/repl.h"

enum {
    REPEATS = 5,
    PARTS = 1000,
    TAGS = 50,
    MAP_GIB = 16,
    ROW_TEXT_BYTES = 256,
    ELEMENT_BYTES = 16,
    VALUES_MAX = 6,
};

struct bench {
    const char *only, *directory;
    uint64_t count, rows, dim; /* rows: those that are looked for. */
    bool is_flat, is_parsed;
    struct policy_set policies;
    struct repl *repl;
    struct database *db;
    struct query_session *session;
    uint64_t random, n_rows; /* With those that were inserted. */
    float *query;
    struct mutex lock; /* Of what follows. */
    struct condition woken;
    unsigned n_wakes;
    size_t column;  /* Whose integer is kept of the row that was given last, */
    int64_t figure; /* which is this. */
};

static void die_on(enum errcode code, const struct err *err)
{
    if (code != ERR_OK) {
        (void)fprintf(stderr, "bench/statements: %s\n", err->message);
        exit(1);
    }
}

static uint64_t below(struct bench *b, uint64_t n)
{
    return random_next(&b->random) % n;
}

/* ---- a statement ---- */

static void take_row(void *arg, const struct value *values, size_t n)
{
    struct bench *b = arg;
    if (b->column < n && values[b->column].type == TYPE_INT) {
        b->figure = values[b->column].integer;
    }
}

static bool is_full(void *arg)
{
    (void)arg;
    return false;
}

static void take_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    (void)arg, (void)phase, (void)done, (void)total;
}

static void take_status(void *arg, const char *name, const char *value)
{
    (void)arg, (void)name, (void)value;
}

static void take_wake(void *arg)
{
    struct bench *b = arg;
    mutex_lock(&b->lock);
    b->n_wakes++;
    condition_signal(&b->woken);
    mutex_unlock(&b->lock);
}

static void wait_for_wake(struct bench *b)
{
    mutex_lock(&b->lock);
    while (b->n_wakes == 0) {
        condition_wait(&b->woken, &b->lock);
    }
    b->n_wakes--;
    mutex_unlock(&b->lock);
}

static struct prepared *prepare(struct bench *b, const char *text)
{
    struct statement_text source = {.data = text, .bytes = strlen(text)};
    struct prepared *prepared;
    struct err err;
    die_on(prepared_new_alone(b->session, &source, &prepared, &err), &err);
    return prepared;
}

static struct portal *open_portal(struct bench *b, struct prepared *prepared,
                                  const struct value *values, size_t n)
{
    struct portal *portal;
    struct err err;
    struct parameters parameters = {.values = values, .n = n};
    struct portal_sink sink = {.row = take_row,
                               .is_full = is_full,
                               .progress = take_progress,
                               .status = take_status,
                               .wake = take_wake,
                               .arg = b};
    die_on(portal_new(b->session, prepared, &parameters, &sink, &portal, &err), &err);
    return portal;
}

/* Runs it as far as it goes alone. */
static enum portal_status run_portal(struct bench *b, struct portal *portal)
{
    enum portal_status status;
    struct err err;
    while ((status = portal_run(portal, 0, &err)) == PORTAL_WAIT) {
        wait_for_wake(b);
    }
    die_on(status == PORTAL_FAILED ? err.code : ERR_OK, &err);
    return status;
}

static void run_prepared(struct bench *b, struct prepared *prepared, const struct value *values,
                         size_t n)
{
    struct portal *portal = open_portal(b, prepared, values, n);
    (void)run_portal(b, portal);
    portal_free(portal);
}

static void run(struct bench *b, const char *text)
{
    struct prepared *prepared = prepare(b, text);
    run_prepared(b, prepared, NULL, 0);
    prepared_free(prepared);
}

/* The figure in the column @name of the last row. */
static uint64_t ask(struct bench *b, const char *text, const char *name)
{
    const struct result_column *columns;
    struct prepared *prepared = prepare(b, text);
    size_t n = prepared_columns(prepared, &columns);
    for (b->column = 0; b->column < n && strcmp(columns[b->column].name, name) != 0;) {
        b->column++;
    }
    run_prepared(b, prepared, NULL, 0);
    prepared_free(prepared);
    return (uint64_t)b->figure;
}

/* ---- the collection ---- */

static void put_row(struct bench *b, struct buf *text, uint64_t id)
{
    buf_reset(text);
    buf_printf(text, "%" PRIu64 ",word%" PRIu64 ",%" PRIu64 ",%" PRIu64 ".5,tag%02" PRIu64 ",\"[",
               id, id, below(b, PARTS), below(b, 1 << 20), below(b, TAGS));
    for (uint64_t i = 0; i < b->dim; i++) {
        buf_printf(text, "%s%.4f", i > 0 ? "," : "", (double)below(b, 20000) / 10000 - 1);
    }
    buf_printf(text, "]\"\n");
}

static void load(struct bench *b)
{
    char create[256];
    struct buf text;
    (void)snprintf(create, sizeof(create),
                   "CREATE COLLECTION t (id INT PRIMARY KEY, word TEXT, part INT, x FLOAT, "
                   "tag TEXT, v VECTOR(%" PRIu64 ") METRIC COSINE)%s",
                   b->dim, b->is_flat ? " WITH (index = flat)" : "");
    run(b, create);
    struct prepared *prepared = prepare(b, "COPY t FROM STDIN");
    struct portal *portal = open_portal(b, prepared, NULL, 0);
    buf_init(&text, MEM_GENERAL, ROW_TEXT_BYTES + b->dim * ELEMENT_BYTES);
    for (uint64_t id = 0; id < b->rows; id++) {
        while (run_portal(b, portal) != PORTAL_COPY_IN) {
        }
        put_row(b, &text, id);
        portal_copy_data(portal, text.data, text.bytes);
    }
    portal_copy_done(portal);
    (void)run_portal(b, portal);
    portal_free(portal);
    prepared_free(prepared);
    buf_fini(&text);
    run(b, "CHECKPOINT");
}

static void open_database(struct bench *b)
{
    char log[512];
    struct err err;
    (void)snprintf(log, sizeof(log), "%s/log", b->directory);
    struct repl_config repl = {.directory = log,
                               .node = 1,
                               .map_bytes = (size_t)MAP_GIB << 30,
                               .in_memory_max = 256 << 20};
    die_on(repl_open(&repl, &b->repl, &err), &err);
    struct database_config config = {.directory = b->directory,
                                     .repl = b->repl,
                                     .file_policies = &b->policies,
                                     .work_threads = 1};
    die_on(database_open(&config, &b->db, &err), &err);
    b->session = query_session_new(b->db, 1, &err);
    die_on(b->session == NULL ? err.code : ERR_OK, &err);
}

/* ---- what is measured ---- */

static size_t no_values(struct bench *b, struct value *values)
{
    (void)b, (void)values;
    return 0;
}

static size_t some_key(struct bench *b, struct value *values)
{
    values[0] = value_int((int64_t)below(b, b->rows));
    return 1;
}

static size_t some_key_and_part(struct bench *b, struct value *values)
{
    values[1] = value_int((int64_t)below(b, PARTS));
    return some_key(b, values) + 1;
}

static size_t some_vector(struct bench *b, struct value *values)
{
    for (uint64_t i = 0; i < b->dim; i++) {
        b->query[i] = (float)below(b, 20000) / 10000 - 1;
    }
    values[0] = value_vector(b->query, (uint32_t)b->dim);
    return 1;
}

static size_t new_row(struct bench *b, struct value *values)
{
    some_vector(b, &values[5]);
    values[0] = value_int((int64_t)b->n_rows++);
    values[1] = value_cstr("a word");
    values[2] = value_int((int64_t)below(b, PARTS));
    values[3] = value_float(0.5);
    values[4] = value_cstr("tag07");
    return VALUES_MAX;
}

static const struct statement {
    const char *name, *text;
    size_t (*make)(struct bench *b, struct value *values);
    bool is_long; /* Looks at every row: run where --only asks. */
} statements[] = {
    {"one", "SELECT 1", no_values, false},
    {"key", "SELECT id, part, tag FROM t WHERE id = $1", some_key, false},
    {"limit", "SELECT * FROM t LIMIT 100", no_values, false},
    {"search", "SEARCH id FROM t NEAR $1 LIMIT 10", some_vector, false},
    {"insert", "INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6)", new_row, false},
    {"update", "UPDATE t SET part = $2 WHERE id = $1", some_key_and_part, false},
    {"count", "SELECT count(*) FROM t WHERE part < 100", no_values, true},
    {"group-int", "SELECT part, count(*), sum(x) FROM t GROUP BY part", no_values, true},
    {"group-text", "SELECT tag, count(*), avg(x) FROM t GROUP BY tag ORDER BY 2 DESC LIMIT 10",
     no_values, true},
    {"distinct", "SELECT DISTINCT part FROM t", no_values, true},
};

struct taken {
    double clock_ns, cpu_ns;
};

static void run_once(struct bench *b, const struct statement *s, struct prepared *prepared)
{
    struct value values[VALUES_MAX];
    size_t n = s->make(b, values);
    struct prepared *again = b->is_parsed ? prepare(b, s->text) : prepared;
    run_prepared(b, again, values, n);
    if (again != prepared) {
        prepared_free(again);
    }
}

static struct taken run_repeat(struct bench *b, const struct statement *s,
                               struct prepared *prepared)
{
    uint64_t began_us = clock_micros(), cpu_began_us = clock_cpu_micros();
    for (uint64_t i = 0; i < b->count; i++) {
        run_once(b, s, prepared);
    }
    double n = b->count > 0 ? (double)b->count : 1;
    return (struct taken){(double)(clock_micros() - began_us) * 1000 / n,
                          (double)(clock_cpu_micros() - cpu_began_us) * 1000 / n};
}

static int compare_taken(const void *a, const void *b)
{
    double x = ((const struct taken *)a)->clock_ns, y = ((const struct taken *)b)->clock_ns;
    return (x > y) - (x < y);
}

static void measure(struct bench *b, const struct statement *s)
{
    struct taken taken[REPEATS];
    struct prepared *prepared = prepare(b, s->text);
    for (size_t i = 0; i < REPEATS; i++) {
        taken[i] = run_repeat(b, s, prepared);
    }
    prepared_free(prepared);
    qsort(taken, REPEATS, sizeof(taken[0]), compare_taken);
    (void)printf("%-10s %12.0f %12.0f   %s\n", s->name, taken[REPEATS / 2].clock_ns,
                 taken[REPEATS / 2].cpu_ns, s->text);
    (void)fflush(stdout);
}

/* ---- the whole ---- */

static bool take_options(struct bench *b, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--flat") == 0) {
            b->is_flat = true;
            continue;
        }
        if (strcmp(argv[i], "--parse") == 0) {
            b->is_parsed = true;
            continue;
        }
        if (value == NULL) {
            return false;
        }
        if (strcmp(argv[i], "--only") == 0) {
            b->only = value;
        } else if (strcmp(argv[i], "--dir") == 0) {
            b->directory = value;
        } else if (strcmp(argv[i], "--count") == 0) {
            b->count = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--rows") == 0) {
            b->rows = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--dim") == 0) {
            b->dim = strtoull(value, NULL, 10);
        } else {
            return false;
        }
        i++;
    }
    return b->rows > 0 && b->dim > 0 && b->dim <= VECTOR_DIM_MAX;
}

/* With its rows, and with a graph of all of them. */
static void begin(struct bench *b)
{
    struct stat facts;
    bool is_made = stat(b->directory, &facts) == 0;
    (void)mkdir(b->directory, 0700);
    open_database(b);
    if (!is_made) {
        load(b);
    }
    while (ask(b, "SHOW SHARDS", "index_lag") > 0) {
        clock_sleep_micros(100000);
    }
    b->rows = b->n_rows = ask(b, "SELECT count(*) FROM t", "count");
    run(b, "SET ef = 64"); /* Not what calibration learns meanwhile. */
}

static void end(struct bench *b)
{
    query_session_free(b->session);
    database_close(b->db);
    repl_close(b->repl);
}

static void measure_all(struct bench *b)
{
    (void)printf("%-10s %12s %12s   %" PRIu64 " rows of %" PRIu64 " dimensions%s\n", "statement",
                 "ns", "ns of CPU", b->rows, b->dim, b->is_parsed ? ", prepared each time" : "");
    for (size_t i = 0; i < COUNT_OF(statements); i++) {
        const struct statement *s = &statements[i];
        if (b->only != NULL ? strcmp(b->only, s->name) == 0 : !s->is_long) {
            measure(b, s);
        }
    }
}

int main(int argc, char **argv)
{
    struct bench b = {.count = 2000, .rows = 10000, .dim = 100};
    char made[] = "/tmp/bench-statements-XXXXXX", path[sizeof(made) + 8], command[64];
    if (!take_options(&b, argc, argv)) {
        (void)fprintf(stderr, "bench/statements [--only NAME] [--count N] [--rows N] [--dim N] "
                              "[--flat] [--parse] [--dir DIR]\n");
        return 1;
    }
    log_set_level(LOG_WARNING);
    if (!index_choose_kernel(NULL) || (b.directory == NULL && mkdtemp(made) == NULL)) {
        return 1;
    }
    b.query = calloc(b.dim, sizeof(float));
    if (b.query == NULL) {
        return 1;
    }
    bool is_kept = b.directory != NULL;
    (void)snprintf(path, sizeof(path), "%s/data", made);
    b.directory = is_kept ? b.directory : path;
    mutex_init(&b.lock);
    condition_init(&b.woken);
    begin(&b);
    measure_all(&b);
    end(&b);
    condition_fini(&b.woken);
    mutex_fini(&b.lock);
    free(b.query);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", made);
    return is_kept || system(command) == 0 ? 0 : 1;
}
