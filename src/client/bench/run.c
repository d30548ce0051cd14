/* search and ping: clients that run one prepared statement again and again.
 *
 * A thread drives its share of the clients: it sends where a client is free, then waits for
 * answers.  Without --rate a client sends as soon as it is free (closed loop).  With --rate each
 * thread has a schedule of due times; a statement that had to wait for a free client is timed from
 * when it was due, so that a slow server cannot hide the waiting (no coordinated omission). */
#define _GNU_SOURCE /* ppoll */
#include "client/bench/bench_int.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
    POLL_MS_MAX = 100,
    ERRORS_IN_A_ROW_MAX = 100
};

/* What all threads share. */
struct run {
    const struct bench_options *options;
    char vql[2048];
    struct matrix queries, truth; /* Empty for ping, or without --truth. */
    struct ids ids;
    bool has_queries, has_truth;
    uint64_t measure_at_ns, end_at_ns; /* clock_nanos */
    uint64_t n_statements_max;         /* 0: until the end. */
    _Atomic uint64_t n_statements;     /* Begun. */
    atomic_bool is_stopped;
};

struct client {
    vc_conn *conn;
    bool is_running;
    uint64_t begun_ns; /* Or when it was due. */
    uint32_t query;
    bool has_failed; /* This statement. */
};

struct worker {
    struct run *run;
    struct thread thread;
    struct client *clients;
    struct pollfd *ready;
    uint32_t n_clients;
    float *vector;
    double interval_ns; /* Between due times; 0: closed loop. */
    double next_due_ns;
    unsigned errors_in_a_row;
    bool is_over; /* Nothing more is to be begun. */
    struct bench_result result;
};

/* ---- one statement ---- */

static void note_error(struct worker *w, const char *message)
{
    bench_note_error(&w->result, message);
    if (++w->errors_in_a_row >= ERRORS_IN_A_ROW_MAX) {
        atomic_store(&w->run->is_stopped, true); /* It will not get better. */
    }
}

static bool begin(struct worker *w, struct client *c, uint64_t begun_ns)
{
    struct run *run = w->run;
    uint64_t number = atomic_fetch_add(&run->n_statements, 1);
    if (run->n_statements_max != 0 && number >= run->n_statements_max) {
        w->is_over = true;
        return false;
    }
    c->begun_ns = begun_ns;
    c->has_failed = false;
    bool is_sent;
    if (run->has_queries) {
        c->query = (uint32_t)(number % run->queries.rows);
        vc_value query =
            vc_vector(matrix_row_f32(&run->queries, c->query, w->vector), run->queries.columns);
        is_sent = vc_send_prepared(c->conn, "q", &query, 1);
    } else if (run->options->simple) {
        is_sent = vc_send_query(c->conn, run->vql);
    } else {
        is_sent = vc_send_prepared(c->conn, "q", NULL, 0);
    }
    c->is_running = is_sent;
    if (!is_sent) {
        note_error(w, vc_error_message(c->conn));
        w->is_over = vc_status(c->conn) != VC_CONN_OK;
    }
    return is_sent;
}

static void take_result(struct worker *w, struct client *c, vc_result *result)
{
    struct run *run = w->run;
    if (vc_result_state(result) == VC_ERROR) {
        c->has_failed = true;
        note_error(w, vc_result_error(result));
    } else if (run->has_truth && c->begun_ns >= run->measure_at_ns) {
        w->result.recall_sum += recall_of(result, &run->truth, c->query, run->options->k, &run->ids,
                                          run->options->start);
        w->result.recall_n++;
    }
    vc_result_free(result);
}

static void finish(struct worker *w, struct client *c, uint64_t now_ns)
{
    c->is_running = false;
    if (!c->has_failed) {
        w->errors_in_a_row = 0;
        if (c->begun_ns >= w->run->measure_at_ns) {
            histogram_add(&w->result.latency, now_ns > c->begun_ns ? now_ns - c->begun_ns : 0);
        }
    }
    if (vc_status(c->conn) != VC_CONN_OK) {
        w->is_over = true;
    }
}

/* ---- a thread ---- */

/* Begins what is due on the clients that are free.  Gives when the next is due, 0: none is. */
static uint64_t begin_due(struct worker *w, uint64_t now_ns)
{
    for (uint32_t i = 0; i < w->n_clients && !w->is_over; i++) {
        if (w->clients[i].is_running) {
            continue;
        }
        if (w->interval_ns == 0) {
            begin(w, &w->clients[i], now_ns);
        } else if (w->next_due_ns > (double)now_ns) {
            return (uint64_t)w->next_due_ns;
        } else if (begin(w, &w->clients[i], (uint64_t)w->next_due_ns)) {
            w->next_due_ns += w->interval_ns;
        }
    }
    return 0;
}

/* One client without a schedule needs no poll: reading waits. */
static void await_one(struct worker *w, struct client *c)
{
    vc_result *result;
    while ((result = vc_get_result(c->conn)) != NULL) {
        take_result(w, c, result);
    }
    finish(w, c, clock_nanos());
}

static void await_any(struct worker *w, uint64_t due_ns)
{
    nfds_t n = 0;
    uint64_t now_ns = clock_nanos();
    for (uint32_t i = 0; i < w->n_clients; i++) {
        w->ready[n].fd = w->clients[i].is_running ? vc_socket(w->clients[i].conn) : -1;
        w->ready[n++].events = POLLIN;
    }
    struct timespec timeout = {0, POLL_MS_MAX * 1000000L};
    if (due_ns != 0 && due_ns < now_ns + (uint64_t)timeout.tv_nsec) {
        timeout.tv_nsec = due_ns > now_ns ? (long)(due_ns - now_ns) : 0;
    }
    if (ppoll(w->ready, n, &timeout, NULL) <= 0) {
        return;
    }
    for (uint32_t i = 0; i < w->n_clients; i++) {
        struct client *c = &w->clients[i];
        if (w->ready[i].fd < 0 || w->ready[i].revents == 0) {
            continue;
        }
        vc_consume(c->conn);
        while (c->is_running && !vc_is_busy(c->conn)) {
            vc_result *result = vc_get_result(c->conn);
            if (result != NULL) {
                take_result(w, c, result);
            } else {
                finish(w, c, clock_nanos());
            }
        }
    }
}

static bool is_any_running(const struct worker *w)
{
    for (uint32_t i = 0; i < w->n_clients; i++) {
        if (w->clients[i].is_running) {
            return true;
        }
    }
    return false;
}

static void work(void *arg)
{
    struct worker *w = arg;
    for (;;) {
        uint64_t now_ns = clock_nanos();
        w->is_over = w->is_over || now_ns >= w->run->end_at_ns ||
                     atomic_load(&w->run->is_stopped) || bench_is_interrupted();
        uint64_t due_ns = w->is_over ? 0 : begin_due(w, now_ns);
        if (!is_any_running(w) && w->is_over) {
            return;
        }
        if (w->n_clients == 1 && w->interval_ns == 0 && w->clients[0].is_running) {
            await_one(w, &w->clients[0]);
        } else {
            await_any(w, due_ns);
        }
    }
}

/* ---- all threads ---- */

static bool open_client(struct run *run, struct client *c)
{
    c->conn = bench_connect(run->options);
    if (c->conn == NULL) {
        return false;
    }
    if (run->options->simple && !run->has_queries) {
        return true;
    }
    vc_result *result = vc_prepare(c->conn, "q", run->vql, NULL, 0);
    bool is_ok = vc_result_state(result) != VC_ERROR;
    if (!is_ok) {
        bench_complain("%s\n  in: %s", vc_result_error(result), run->vql);
    }
    vc_result_free(result);
    return is_ok;
}

static bool open_worker(struct run *run, struct worker *w, uint32_t number)
{
    const struct bench_options *o = run->options;
    w->run = run;
    w->n_clients = o->clients / o->threads + (number < o->clients % o->threads);
    w->clients = mem_zalloc(MEM_GENERAL, w->n_clients * sizeof(*w->clients));
    w->ready = mem_zalloc(MEM_GENERAL, w->n_clients * sizeof(*w->ready));
    w->vector = mem_alloc(MEM_GENERAL, (run->queries.columns + 1) * sizeof(float));
    if (w->clients == NULL || w->ready == NULL || w->vector == NULL) {
        return bench_complain("out of memory");
    }
    for (uint32_t i = 0; i < w->n_clients; i++) {
        if (!open_client(run, &w->clients[i])) {
            return false;
        }
    }
    return true;
}

static void close_worker(struct worker *w)
{
    for (uint32_t i = 0; w->clients != NULL && i < w->n_clients; i++) {
        vc_close(w->clients[i].conn);
    }
    mem_free(MEM_GENERAL, w->clients);
    mem_free(MEM_GENERAL, w->ready);
    mem_free(MEM_GENERAL, w->vector);
}

/* Sets the times; the threads' schedules are spread evenly over one interval. */
static void set_times(struct run *run, struct worker *workers)
{
    const struct bench_options *o = run->options;
    uint64_t now_ns = clock_nanos();
    run->measure_at_ns = now_ns + (uint64_t)(o->warmup_s * 1e9);
    run->end_at_ns = run->measure_at_ns + (uint64_t)(o->duration_s * 1e9);
    if (o->once) {
        run->measure_at_ns = now_ns;
        run->end_at_ns = UINT64_MAX;
        run->n_statements_max = run->has_queries ? run->queries.rows : 1;
    }
    for (uint32_t i = 0; o->rate > 0 && i < o->threads; i++) {
        workers[i].interval_ns = 1e9 * o->threads / o->rate;
        workers[i].next_due_ns = (double)now_ns + 1e9 / o->rate * i;
    }
}

static void merge(struct bench_result *into, const struct bench_result *from)
{
    histogram_merge(&into->latency, &from->latency);
    if (into->errors == 0) {
        memcpy(into->first_error, from->first_error, sizeof(into->first_error));
    }
    into->errors += from->errors;
    into->recall_sum += from->recall_sum;
    into->recall_n += from->recall_n;
}

static bool run_workers(struct run *run, struct worker *workers, struct bench_result *result)
{
    const struct bench_options *o = run->options;
    for (uint32_t i = 0; i < o->threads; i++) {
        if (!open_worker(run, &workers[i], i)) {
            return false;
        }
    }
    bench_catch_interrupt();
    set_times(run, workers);
    uint32_t started = 0;
    struct err err;
    err_clear(&err);
    while (started < o->threads && thread_start(&workers[started].thread, "vbench", work,
                                                &workers[started], &err) == ERR_OK) {
        started++;
    }
    if (started < o->threads) {
        atomic_store(&run->is_stopped, true);
    }
    for (uint32_t i = 0; i < started; i++) {
        thread_join(&workers[i].thread);
        merge(result, &workers[i].result);
    }
    uint64_t now_ns = clock_nanos();
    result->seconds = now_ns > run->measure_at_ns ? (double)(now_ns - run->measure_at_ns) / 1e9 : 0;
    return started == o->threads ? true : bench_complain("%s", err.message);
}

static bool run_all(struct run *run, struct bench_result *result)
{
    struct worker *workers = mem_zalloc(MEM_GENERAL, run->options->threads * sizeof(*workers));
    if (workers == NULL) {
        return bench_complain("out of memory");
    }
    bool is_ok = run_workers(run, workers, result);
    for (uint32_t i = 0; i < run->options->threads; i++) {
        close_worker(&workers[i]);
    }
    mem_free(MEM_GENERAL, workers);
    return is_ok;
}

/* ---- the two benchmarks ---- */

static enum errcode open_data(struct run *run, struct err *err)
{
    const struct bench_options *o = run->options;
    if (matrix_open(&run->queries, o->file, err) != ERR_OK) {
        return err->code;
    }
    run->has_queries = true;
    if (run->queries.rows == 0) {
        return err_set(err, ERR_BAD_PARAMETER, "%s holds no queries", o->file);
    }
    if (o->truth == NULL) {
        return ERR_OK;
    }
    if (matrix_open(&run->truth, o->truth, err) != ERR_OK) {
        return err->code;
    }
    run->has_truth = true;
    if (run->truth.rows != run->queries.rows || run->truth.columns < o->k) {
        return err_set(err, ERR_BAD_PARAMETER,
                       "%s: %u answers of %u, but %u queries for %u neighbours are asked", o->truth,
                       run->truth.rows, run->truth.columns, run->queries.rows, o->k);
    }
    return o->ids == NULL ? ERR_OK : ids_open(&run->ids, o->ids, err);
}

/* SEARCH key FROM collection NEAR $1 ... */
static bool write_search(struct run *run)
{
    const struct bench_options *o = run->options;
    vc_conn *conn = bench_connect(o);
    char vql[BENCH_TEXT_BYTES];
    snprintf(vql, sizeof(vql), "DESCRIBE %s", o->collection);
    vc_result *columns = conn == NULL ? NULL : bench_exec(conn, vql);
    bool is_ok = columns != NULL;
    if (is_ok) {
        char policy[256] = "";
        if (o->ef > 0) {
            snprintf(policy, sizeof(policy), " WITH (ef = %u)", o->ef);
        } else if (o->exact) {
            snprintf(policy, sizeof(policy), " WITH (exact = on)");
        } else if (o->recall > 0) {
            snprintf(policy, sizeof(policy), " WITH (recall = %g)", o->recall);
        }
        snprintf(run->vql, sizeof(run->vql), "SEARCH \"%s\" FROM %s NEAR $1%s%s LIMIT %u%s",
                 vc_text(columns, 0, 0), o->collection, o->where == NULL ? "" : " WHERE ",
                 o->where == NULL ? "" : o->where, o->k, policy);
    }
    vc_result_free(columns);
    vc_close(conn);
    return is_ok;
}

bool bench_search(const struct bench_options *options, struct bench_result *result)
{
    struct run run = {.options = options};
    struct err err;
    result->benchmark = "search";
    bool is_ok = open_data(&run, &err) == ERR_OK;
    if (!is_ok) {
        bench_complain("%s", err.message);
    }
    is_ok = is_ok && write_search(&run) && run_all(&run, result);
    ids_close(&run.ids);
    matrix_close(&run.truth);
    matrix_close(&run.queries);
    return is_ok;
}

bool bench_ping(const struct bench_options *options, struct bench_result *result)
{
    struct run run = {.options = options, .vql = "SELECT 1"};
    result->benchmark = "ping";
    return run_all(&run, result);
}
