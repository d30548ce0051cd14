/* What one shard takes, alone in its process: rows in, graph caught up, bytes at rest, restart.
 *
 *     bench/shard BASE.fbin [QUERY.fbin] [--mode sync|async] [--rows N] [--batch N] [--in-flight N]
 *                 [--flush-each] [--reopen] [--dir DIR]
 *
 * Rows are (id TEXT PRIMARY KEY, embedding VECTOR(dim) METRIC COSINE), id = "w<number>".  They are
 * sent in commands of --batch rows, --in-flight of them at once, and counted when they are
 * acknowledged visible.  --flush-each syncs the shard's file after every command, which is what a
 * shard without an overlay would do.  --reopen takes what an earlier run left.  With queries,
 * recall@10 of what calibration promises is measured against exact scans. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shard/shard_int.h"

enum {
    K = 10,
    SEARCHES = 500,
    IN_FLIGHT_MAX = 4096
};

struct options {
    const char *base, *queries, *mode, *directory;
    uint64_t rows, batch, in_flight;
    bool is_flush_each, is_reopen;
};

struct vectors {
    uint32_t n, dim;
    float *data;
};

struct bench {
    struct options options;
    struct schema schema;
    struct policy_set policies;
    struct repl *repl;
    struct shard_host *host;
    struct shard *shard;
    struct mutex mutex;
    struct condition done;
    uint64_t n_in_flight;
};

struct sent {
    struct shard_write write;
    struct bench *bench;
};

static void die_on(enum errcode code, const struct err *err)
{
    if (code != ERR_OK) {
        (void)fprintf(stderr, "bench/shard: %s\n", err->message);
        exit(1);
    }
}

static struct vectors read_fbin(const char *path)
{
    struct vectors v = {0};
    uint32_t head[2];
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(head, sizeof(head), 1, file) != 1) {
        (void)fprintf(stderr, "bench/shard: cannot read %s\n", path);
        exit(1);
    }
    v.n = head[0];
    v.dim = head[1];
    v.data = malloc((size_t)v.n * v.dim * sizeof(float));
    if (v.data == NULL || fread(v.data, v.dim * sizeof(float), v.n, file) != v.n) {
        (void)fprintf(stderr, "bench/shard: %s is cut off\n", path);
        exit(1);
    }
    (void)fclose(file);
    return v;
}

static void set_policy(struct bench *b, const char *name, const char *text)
{
    struct err err = {0};
    struct value value = value_cstr(text);
    die_on(policy_assign_name(&b->policies, name, LEVEL_FILE, &value, &err), &err);
}

static void start(struct bench *b)
{
    char log[4096];
    char data[4096];
    struct err err = {0};
    (void)mkdir(b->options.directory, 0700);
    (void)snprintf(log, sizeof(log), "%s/log", b->options.directory);
    (void)snprintf(data, sizeof(data), "%s/shard", b->options.directory);
    struct repl_config repl = {log, 1, (size_t)8 << 30, 0, 256 << 20, 0};
    struct shard_host_config host = {&b->policies, thread_cores()};
    die_on(repl_open(&repl, &b->repl, &err), &err);
    die_on(shard_host_new(&host, &b->host, &err), &err);
    struct shard_config shard = {data, 2, &b->schema, b->repl, b->host};
    die_on(shard_open(&shard, &b->shard, &err), &err);
}

static void stop(struct bench *b)
{
    shard_close(b->shard);
    shard_host_free(b->host);
    repl_close(b->repl);
}

static void sent_done(struct shard_write *write, const struct err *err)
{
    struct sent *sent = CONTAINER_OF(write, struct sent, write);
    struct bench *b = sent->bench;
    die_on(err == NULL ? ERR_OK : err->code, err);
    mutex_lock(&b->mutex);
    b->n_in_flight--;
    condition_signal(&b->done);
    mutex_unlock(&b->mutex);
    free(sent);
}

static void wait_for(struct bench *b, uint64_t in_flight_max)
{
    mutex_lock(&b->mutex);
    while (b->n_in_flight > in_flight_max) {
        condition_wait(&b->done, &b->mutex);
    }
    mutex_unlock(&b->mutex);
}

static void send_rows(struct bench *b, const struct vectors *v, uint64_t from, uint64_t to)
{
    struct err err = {0};
    struct sent *sent = calloc(1, sizeof(*sent));
    struct shard_command *command = shard_command_new(&b->schema, &err);
    if (sent == NULL || command == NULL) {
        exit(1);
    }
    for (uint64_t i = from; i < to; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "w%llu", (unsigned long long)i);
        /* Spread over the file: its order may mean something, as words sorted by frequency do. */
        const float *vector = v->data + i * v->n / b->options.rows * v->dim;
        struct value values[2] = {value_cstr(key), value_vector(vector, v->dim)};
        die_on(shard_command_add(command, SHARD_INSERT, values, NULL, 0, &err), &err);
    }
    sent->bench = b;
    sent->write.ack = ACK_VISIBLE;
    sent->write.done = sent_done;
    wait_for(b, b->options.in_flight - 1);
    mutex_lock(&b->mutex);
    b->n_in_flight++;
    mutex_unlock(&b->mutex);
    die_on(shard_submit(b->shard, command, &sent->write, &err), &err);
    if (b->options.is_flush_each) {
        wait_for(b, 0);
        die_on(shard_flush(b->shard, &err), &err);
    }
}

static double seconds_since(uint64_t started_us)
{
    return (double)(clock_micros() - started_us) / 1e6;
}

static void load(struct bench *b, const struct vectors *v)
{
    uint64_t started_us = clock_micros();
    struct shard_figures figures;
    for (uint64_t i = 0; i < b->options.rows; i += b->options.batch) {
        uint64_t end = i + b->options.batch;
        send_rows(b, v, i, end < b->options.rows ? end : b->options.rows);
    }
    wait_for(b, 0);
    double seconds = seconds_since(started_us);
    (void)printf("acknowledged: %llu rows in %.2f s, %.0f rows/s\n",
                 (unsigned long long)b->options.rows, seconds, (double)b->options.rows / seconds);
    do {
        clock_sleep_micros(10000);
        shard_figures(b->shard, &figures);
    } while (figures.index_lag > 0);
    (void)printf("graph caught up: %.2f s after the first row\n", seconds_since(started_us));
}

static size_t search(struct bench *b, const float *query, size_t ef, struct index_hit hits[K])
{
    struct err err = {0};
    struct index_work work = {0};
    size_t n = 0;
    struct shard_search s = {
        .column = 1,
        .index = {.query = query, .k = K, .ef = ef, .plan = ef == 0 ? INDEX_EXACT : INDEX_WALK},
        .index_lag_max = UINT64_MAX,
    };
    die_on(shard_search(b->shard, &s, hits, &n, &work, &err), &err);
    return n;
}

static void measure_recall(struct bench *b, const struct vectors *queries, double promised)
{
    struct shard_effort effort;
    shard_effort_for(b->shard, 1, promised, K, 1, &effort);
    size_t ef = effort.ef;
    size_t n_found = 0;
    size_t n_wanted = 0;
    for (uint32_t q = 0; q < SEARCHES && q < queries->n; q++) {
        const float *query = queries->data + (size_t)(queries->n - 1 - q) * queries->dim;
        struct index_hit exact[K];
        struct index_hit walked[K];
        size_t n_exact = search(b, query, 0, exact);
        size_t n = search(b, query, ef, walked);
        n_wanted += n_exact;
        for (size_t i = 0; i < n_exact * n; i++) {
            n_found += exact[i / n].row == walked[i % n].row;
        }
    }
    (void)printf("recall@10 %.4f at ef %zu (promised %.2f, %s)\n",
                 (double)n_found / (double)n_wanted, ef, promised,
                 effort.verdict == SHARD_REACHES ? "measured" : "not known to be reached");
}

static void measure_all_recalls(struct bench *b, const struct vectors *queries)
{
    static const double promised[] = {0.90, 0.95, 0.99};
    struct shard_recall recall;
    uint64_t started_us = clock_micros();
    while (!shard_recall(b->shard, 1, 0, 0.95, &recall)) {
        clock_sleep_micros(10000);
    }
    (void)printf("calibrated in %.2f s from %u samples\n", seconds_since(started_us),
                 recall.samples);
    for (size_t i = 0; i < COUNT_OF(promised); i++) {
        measure_recall(b, queries, promised[i]);
    }
}

static void print_bytes(struct bench *b)
{
    char path[4096];
    struct stat st;
    double total = 0;
    static const char *const files[] = {"shard/data.mdb", "shard/index-1.graph", "log/data.mdb"};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", b->options.directory, files[i]);
        double bytes = stat(path, &st) == 0 ? (double)st.st_blocks * 512 : 0;
        total += bytes;
        (void)printf("%s: %.1f bytes a row\n", files[i], bytes / (double)b->options.rows);
    }
    (void)printf("at rest: %.1f bytes a row\n", total / (double)b->options.rows);
}

static void reopen(struct bench *b, const struct vectors *v)
{
    struct index_hit hits[K];
    uint64_t started_us = clock_micros();
    stop(b);
    (void)printf("closed in %.2f s\n", seconds_since(started_us));
    print_bytes(b);
    started_us = clock_micros();
    start(b);
    double opened = seconds_since(started_us);
    size_t n = search(b, v->data, 64, hits);
    (void)printf("opened in %.3f s, first answer (%zu rows) after %.3f s\n", opened, n,
                 seconds_since(started_us));
}

static void read_options(struct options *o, int argc, char **argv)
{
    *o =
        (struct options){.mode = "async", .directory = "bench-shard", .batch = 500, .in_flight = 8};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--flush-each") == 0) {
            o->is_flush_each = true;
        } else if (strcmp(argv[i], "--reopen") == 0) {
            o->is_reopen = true;
        } else if (strncmp(argv[i], "--", 2) != 0) {
            *(o->base == NULL ? &o->base : &o->queries) = argv[i];
        } else {
            i++;
            o->mode = strcmp(argv[i - 1], "--mode") == 0 ? value : o->mode;
            o->directory = strcmp(argv[i - 1], "--dir") == 0 ? value : o->directory;
            o->rows = strcmp(argv[i - 1], "--rows") == 0 ? strtoull(value, NULL, 10) : o->rows;
            o->batch = strcmp(argv[i - 1], "--batch") == 0 ? strtoull(value, NULL, 10) : o->batch;
            o->in_flight =
                strcmp(argv[i - 1], "--in-flight") == 0 ? strtoull(value, NULL, 10) : o->in_flight;
        }
    }
    if (o->base == NULL || o->batch == 0 || o->in_flight == 0) {
        (void)fprintf(stderr, "usage: see the head of bench/shard.c\n");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    read_options(&b.options, argc, argv);
    struct vectors base = read_fbin(b.options.base);
    if (b.options.rows == 0 || b.options.rows > base.n) {
        b.options.rows = base.n;
    }
    mutex_init(&b.mutex);
    condition_init(&b.done);
    b.schema = (struct schema){.id = 3, .name = "words", .n_columns = 2};
    b.schema.columns[0] = (struct column){.name = "id", .type = TYPE_TEXT, .is_not_null = true};
    b.schema.columns[1] = (struct column){
        .name = "embedding", .type = TYPE_VECTOR, .dim = base.dim, .distance = DISTANCE_COSINE};
    set_policy(&b, "index_mode", b.options.mode);
    if (b.options.is_flush_each) {
        set_policy(&b, "flush_interval", "1h");
    }
    start(&b);
    if (!b.options.is_reopen) {
        load(&b, &base);
    }
    if (b.options.queries != NULL) {
        struct vectors queries = read_fbin(b.options.queries);
        measure_all_recalls(&b, &queries);
        free(queries.data);
    }
    reopen(&b, &base);
    stop(&b);
    free(base.data);
    condition_fini(&b.done);
    mutex_fini(&b.mutex);
    return 0;
}
