/* load: vectors of a file into a collection, by many clients, then the wait for the index.
 *
 * Each client takes the next batch of rows, sends one INSERT for it and keeps up to --depth of them
 * in flight (a sync after each, so that one that fails takes no other with it).  With --copy each
 * client streams its part of the file through one COPY. */
#include "client/bench/bench_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LAG_POLL_US = 20000,
    INSERT_BYTES_MAX = 1 << 20
};

struct load {
    const struct bench_options *options;
    struct matrix vectors;
    struct ids ids;
    uint64_t n_rows;
    char key[BENCH_TEXT_BYTES], column[BENCH_TEXT_BYTES]; /* Names, quoted. */
    bool has_text_key;
    _Atomic uint64_t next_row;
    atomic_bool is_stopped;
};

/* A batch that is on its way. */
struct batch {
    uint64_t row, begun_ns;
    uint32_t n;
};

struct loader {
    struct load *load;
    struct thread thread;
    uint32_t number;
    vc_conn *conn;
    vc_value *values;    /* 2 a row. */
    float *room;         /* The vectors of a batch. */
    struct batch *queue; /* A ring of --depth. */
    uint32_t first, n_queued;
    uint32_t odd_rows; /* Of the prepared statement "odd"; 0: not prepared. */
    struct bench_result result;
};

/* ---- rows ---- */

static vc_value id_of(const struct load *load, uint64_t row)
{
    if (load->has_text_key) {
        return vc_string(load->ids.items[row]);
    }
    return vc_int((int64_t)(load->options->start + row));
}

static void fill_values(struct loader *l, uint64_t row, uint32_t n)
{
    const struct matrix *m = &l->load->vectors;
    for (uint32_t i = 0; i < n; i++) {
        float *vector = l->room + (size_t)i * m->columns;
        l->values[2 * i] = id_of(l->load, row + i);
        l->values[2 * i + 1] =
            vc_vector(matrix_row_f32(m, (uint32_t)(row + i), vector), m->columns);
    }
}

/* ---- INSERT ---- */

static bool prepare_insert(struct loader *l, const char *name, uint32_t rows)
{
    const struct load *load = l->load;
    struct buf vql;
    buf_init(&vql, MEM_GENERAL, INSERT_BYTES_MAX);
    buf_printf(&vql, "INSERT INTO %s (%s, %s) VALUES ", load->options->collection, load->key,
               load->column);
    for (uint32_t i = 0; i < rows; i++) {
        buf_printf(&vql, "%s($%u, $%u)", i == 0 ? "" : ", ", 2 * i + 1, 2 * i + 2);
    }
    buf_printf(&vql, "%s", load->options->upsert ? " ON CONFLICT DO UPDATE" : "");
    buf_u8(&vql, '\0');
    bool is_ok = !vql.failed;
    if (is_ok) {
        vc_result *result = vc_prepare(l->conn, name, (const char *)vql.data, NULL, 0);
        is_ok = vc_result_state(result) != VC_ERROR;
        if (!is_ok) {
            bench_note_error(&l->result, vc_result_error(result));
        }
        vc_result_free(result);
    }
    buf_fini(&vql);
    return is_ok;
}

/* Takes the next rows of the file; 0 where none are left. */
static uint32_t claim(struct load *load, uint64_t *row)
{
    uint64_t batch = load->options->batch;
    if (atomic_load(&load->is_stopped) || bench_is_interrupted()) {
        return 0;
    }
    *row = atomic_fetch_add(&load->next_row, batch);
    if (*row >= load->n_rows) {
        return 0;
    }
    uint64_t left = load->n_rows - *row;
    return (uint32_t)(left < batch ? left : batch);
}

static bool send_batch(struct loader *l, uint64_t row, uint32_t n)
{
    const struct bench_options *o = l->load->options;
    fill_values(l, row, n);
    struct batch *batch = &l->queue[(l->first + l->n_queued) % o->depth];
    *batch = (struct batch){row, clock_nanos(), n};
    l->n_queued++;
    const char *name = n == o->batch ? "full" : "odd";
    return vc_send_prepared(l->conn, name, l->values, 2 * (size_t)n) && vc_pipeline_sync(l->conn);
}

/* The answer to the oldest batch, and its sync.  False where the connection is lost. */
static bool take_batch(struct loader *l)
{
    struct batch *batch = &l->queue[l->first];
    l->first = (l->first + 1) % l->load->options->depth;
    l->n_queued--;
    vc_result *result = vc_get_result(l->conn);
    if (vc_result_state(result) == VC_COMMAND) {
        histogram_add(&l->result.latency, clock_nanos() - batch->begun_ns);
        l->result.rows += vc_affected(result);
    } else {
        bench_note_error(&l->result, vc_result_error(result));
    }
    vc_result_free(result);
    while ((result = vc_get_result(l->conn)) != NULL) { /* The NULL behind it. */
        vc_result_free(result);
    }
    vc_result_free(vc_get_result(l->conn)); /* The sync. */
    return vc_status(l->conn) == VC_CONN_OK;
}

/* The rows that remain are fewer than a batch: they need a statement of their own. */
static bool prepare_odd(struct loader *l)
{
    const struct load *load = l->load;
    l->odd_rows = (uint32_t)(load->n_rows % load->options->batch);
    return l->odd_rows == 0 || prepare_insert(l, "odd", l->odd_rows);
}

static void insert_rows(struct loader *l)
{
    uint64_t row;
    uint32_t n = 1;
    if (!vc_enter_pipeline(l->conn)) {
        bench_note_error(&l->result, vc_error_message(l->conn));
        return;
    }
    while (n > 0 || l->n_queued > 0) {
        while (n > 0 && l->n_queued < l->load->options->depth) {
            n = claim(l->load, &row);
            if (n > 0 && !send_batch(l, row, n)) {
                bench_note_error(&l->result, vc_error_message(l->conn));
                atomic_store(&l->load->is_stopped, true);
                return;
            }
        }
        if (l->n_queued > 0 && !take_batch(l)) {
            atomic_store(&l->load->is_stopped, true);
            return;
        }
    }
}

/* ---- COPY ---- */

static void copy_rows(struct loader *l)
{
    const struct load *load = l->load;
    uint64_t clients = load->options->clients;
    uint64_t row = load->n_rows * l->number / clients;
    uint64_t end = load->n_rows * (l->number + 1) / clients;
    char vql[3 * BENCH_TEXT_BYTES];
    snprintf(vql, sizeof(vql), "COPY %s (%s, %s) FROM STDIN WITH (FORMAT binary)",
             load->options->collection, load->key, load->column);
    uint64_t begun_ns = clock_nanos();
    vc_result *result = vc_exec(l->conn, vql);
    bool is_in = vc_result_state(result) == VC_COPY_IN;
    while (is_in && row < end && !bench_is_interrupted()) {
        fill_values(l, row, 1);
        if (!vc_put_copy_row(l->conn, l->values, 2)) {
            break; /* The error is the result. */
        }
        row++;
    }
    if (is_in) {
        vc_put_copy_end(l->conn, NULL);
        vc_result_free(result);
        result = vc_get_result(l->conn);
    }
    if (vc_result_state(result) == VC_COMMAND) {
        l->result.rows += vc_affected(result);
        histogram_add(&l->result.latency, clock_nanos() - begun_ns);
    } else {
        bench_note_error(&l->result, vc_result_error(result));
    }
    vc_result_free(result);
}

/* ---- a client's thread ---- */

static void work(void *arg)
{
    struct loader *l = arg;
    if (l->load->options->copy) {
        copy_rows(l);
    } else {
        insert_rows(l);
    }
}

static bool open_loader(struct load *load, struct loader *l, uint32_t number)
{
    const struct bench_options *o = load->options;
    l->load = load;
    l->number = number;
    l->values = mem_alloc(MEM_GENERAL, 2 * (size_t)o->batch * sizeof(*l->values));
    l->room = mem_alloc(MEM_GENERAL, (size_t)o->batch * load->vectors.columns * sizeof(float));
    l->queue = mem_alloc(MEM_GENERAL, o->depth * sizeof(*l->queue));
    if (l->values == NULL || l->room == NULL || l->queue == NULL) {
        return bench_complain("out of memory");
    }
    l->conn = bench_connect(o);
    if (l->conn == NULL) {
        return false;
    }
    if (!o->copy && (!prepare_insert(l, "full", o->batch) || !prepare_odd(l))) {
        return bench_complain("%s", l->result.first_error);
    }
    return true;
}

static void close_loader(struct loader *l)
{
    vc_close(l->conn);
    mem_free(MEM_GENERAL, l->values);
    mem_free(MEM_GENERAL, l->room);
    mem_free(MEM_GENERAL, l->queue);
}

static bool run_loaders(struct load *load, struct loader *loaders, struct bench_result *result)
{
    uint32_t n = load->options->clients, started = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!open_loader(load, &loaders[i], i)) {
            return false;
        }
    }
    bench_catch_interrupt();
    uint64_t begun_ns = clock_nanos();
    struct err err;
    err_clear(&err);
    while (started < n && thread_start(&loaders[started].thread, "vbench", work, &loaders[started],
                                       &err) == ERR_OK) {
        started++;
    }
    if (started < n) {
        atomic_store(&load->is_stopped, true);
    }
    for (uint32_t i = 0; i < started; i++) {
        thread_join(&loaders[i].thread);
        const struct bench_result *one = &loaders[i].result;
        histogram_merge(&result->latency, &one->latency);
        result->rows += one->rows;
        if (one->errors > 0 && result->errors == 0) {
            memcpy(result->first_error, one->first_error, sizeof(result->first_error));
        }
        result->errors += one->errors;
    }
    result->seconds = (double)(clock_nanos() - begun_ns) / 1e9;
    return started == n ? true : bench_complain("%s", err.message);
}

/* ---- before and after ---- */

static bool run_vql(vc_conn *conn, const char *vql)
{
    vc_result *result = bench_exec(conn, vql);
    vc_result_free(result);
    return result != NULL;
}

static bool create_collection(const struct load *load, vc_conn *conn)
{
    const struct bench_options *o = load->options;
    char vql[4 * BENCH_TEXT_BYTES];
    if (o->drop) {
        snprintf(vql, sizeof(vql), "DROP COLLECTION IF EXISTS %s", o->collection);
        if (!run_vql(conn, vql)) {
            return false;
        }
    }
    if (!o->create) {
        return true;
    }
    char with[2 * BENCH_TEXT_BYTES] = "";
    if (o->index_mode != NULL || o->with != NULL) {
        snprintf(
            with, sizeof(with), " WITH (%s%s%s%s%s)", o->index_mode != NULL ? "index_mode = '" : "",
            o->index_mode != NULL ? o->index_mode : "", o->index_mode != NULL ? "'" : "",
            o->index_mode != NULL && o->with != NULL ? ", " : "", o->with != NULL ? o->with : "");
    }
    snprintf(vql, sizeof(vql),
             "CREATE COLLECTION %s (id %s PRIMARY KEY, embedding VECTOR(%u) METRIC %s)%s",
             o->collection, o->ids != NULL ? "TEXT" : "INT", load->vectors.columns, o->metric,
             with);
    return run_vql(conn, vql);
}

/* The key's and the vector column's names, from DESCRIBE. */
static bool learn_columns(struct load *load, vc_conn *conn)
{
    char vql[BENCH_TEXT_BYTES];
    snprintf(vql, sizeof(vql), "DESCRIBE %s", load->options->collection);
    vc_result *result = bench_exec(conn, vql);
    if (result == NULL) {
        return false;
    }
    for (size_t row = 0; row < vc_rows(result); row++) {
        const char *name = vc_text(result, row, 0), *type = vc_text(result, row, 1);
        if (row == 0) {
            snprintf(load->key, sizeof(load->key), "\"%s\"", name);
            load->has_text_key = strcmp(type, "TEXT") == 0;
        } else if (strncmp(type, "VECTOR", 6) == 0 && load->column[0] == '\0') {
            snprintf(load->column, sizeof(load->column), "\"%s\"", name);
        }
    }
    vc_result_free(result);
    if (load->column[0] == '\0') {
        return bench_complain("%s has no vector column", load->options->collection);
    }
    if (load->has_text_key && load->ids.n < load->n_rows) {
        return bench_complain(
            "the keys of %s are texts: give a file with a line for each with --ids",
            load->options->collection);
    }
    return true;
}

/* Rows of the collection that its index has not got yet; < 0: it could not be learnt. */
static int64_t read_lag(vc_conn *conn, const char *collection)
{
    vc_result *result = bench_exec(conn, "SHOW SHARDS");
    int name = vc_column_number(result == NULL ? NULL : result, "collection");
    int lag = vc_column_number(result, "index_lag");
    int64_t total = name >= 0 && lag >= 0 ? 0 : -1;
    for (size_t row = 0; total >= 0 && row < vc_rows(result); row++) {
        if (strcmp(vc_text(result, row, (size_t)name), collection) == 0) {
            total += vc_get_value(result, row, (size_t)lag)->integer;
        }
    }
    vc_result_free(result);
    return total;
}

static bool await_index(vc_conn *conn, const char *collection)
{
    for (;;) {
        int64_t lag = read_lag(conn, collection);
        if (lag <= 0 || bench_is_interrupted()) {
            return lag == 0;
        }
        clock_sleep_micros(LAG_POLL_US);
    }
}

/* ---- all of it ---- */

static enum errcode open_data(struct load *load, struct err *err)
{
    const struct bench_options *o = load->options;
    if (matrix_open(&load->vectors, o->file, err) != ERR_OK) {
        return err->code;
    }
    load->n_rows = load->vectors.rows;
    if (load->n_rows == 0) {
        return err_set(err, ERR_BAD_PARAMETER, "%s holds no vectors", o->file);
    }
    if (o->limit > 0 && o->limit < load->n_rows) {
        load->n_rows = o->limit;
    }
    if (o->ids == NULL) {
        return ERR_OK;
    }
    if (ids_open(&load->ids, o->ids, err) != ERR_OK) {
        return err->code;
    }
    if (load->ids.n < load->n_rows) {
        return err_set(err, ERR_BAD_PARAMETER, "%s: %zu ids for %llu rows", o->ids, load->ids.n,
                       (unsigned long long)load->n_rows);
    }
    return ERR_OK;
}

static bool run_load(struct load *load, vc_conn *conn, struct bench_result *result)
{
    const struct bench_options *o = load->options;
    if (!create_collection(load, conn) || !learn_columns(load, conn)) {
        return false;
    }
    struct loader *loaders = mem_zalloc(MEM_GENERAL, o->clients * sizeof(*loaders));
    if (loaders == NULL) {
        return bench_complain("out of memory");
    }
    uint64_t begun_ns = clock_nanos();
    bool is_ok = run_loaders(load, loaders, result);
    result->index_seconds = -1;
    if (is_ok && !o->no_wait && await_index(conn, o->collection)) {
        result->index_seconds = (double)(clock_nanos() - begun_ns) / 1e9;
    }
    for (uint32_t i = 0; i < o->clients; i++) {
        close_loader(&loaders[i]);
    }
    mem_free(MEM_GENERAL, loaders);
    return is_ok;
}

bool bench_load(const struct bench_options *options, struct bench_result *result)
{
    struct load load = {.options = options};
    struct err err;
    result->benchmark = "load";
    vc_conn *conn = NULL;
    bool is_ok = open_data(&load, &err) == ERR_OK;
    if (!is_ok) {
        bench_complain("%s", err.message);
    } else {
        conn = bench_connect(options);
        is_ok = conn != NULL && run_load(&load, conn, result);
    }
    vc_close(conn);
    ids_close(&load.ids);
    matrix_close(&load.vectors);
    return is_ok;
}
