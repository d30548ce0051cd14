/* The collection "promises" of a running server, through libvclient alone. */
#include "promises.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double GROWN_MAX = 1.01; /* Over the rows that were measured. */
enum {
    AT_ONCE = 64, /* Statements of a pipeline. */
    /* What is measured is told from 32 queries on, and is more modest then.  In the end it is told
     * of all that were kept: one for each four rows, within bounds.  It may end before, and has
     * where nothing new is told for a while. */
    SAMPLES_LEAST = 500,
    SAMPLES_MOST = 2000,
    ROWS_A_SAMPLE = 4,
    SECONDS_AT_REST = 12,
    TEXT_BYTES = 512,
    INDEX_SECONDS_MAX = 1800
};
_Static_assert(N_OTHERS % AT_ONCE == 0, "they are asked in whole pipelines");

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static vc_result *check(vc_result *result, const char *what)
{
    if (result == NULL || vc_result_state(result) == VC_ERROR) {
        fail(what, result == NULL ? "no answer" : vc_result_error(result));
    }
    return result;
}

static vc_result *execute(struct server *server, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static vc_result *execute(struct server *server, const char *format, ...)
{
    char vql[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(vql, sizeof(vql), format, args);
    va_end(args);
    return check(vc_exec(server->conn, vql), vql);
}

void server_connect(struct server *server, const char *conninfo)
{
    server->conn = vc_connect(conninfo);
    if (server->conn == NULL || vc_status(server->conn) != VC_CONN_OK) {
        fail(conninfo, server->conn == NULL ? "no memory" : vc_error_message(server->conn));
    }
}

void server_create(struct server *server, const struct data *data, const char *with)
{
    server_drop(server);
    vc_result_free(execute(server,
                           "CREATE COLLECTION promises (id INT PRIMARY KEY, part INT, "
                           "kind INT, v VECTOR(%u) METRIC %s)%s%s%s",
                           data->dim, metric_names[data->metric], *with == '\0' ? "" : " WITH (",
                           with, *with == '\0' ? "" : ")"));
}

void server_drop(struct server *server)
{
    vc_result_free(execute(server, "DROP COLLECTION IF EXISTS promises"));
}

void server_load(struct server *server, struct data *data, uint32_t first, uint32_t end)
{
    vc_result_free(
        execute(server, "COPY promises (id, part, kind, v) FROM STDIN WITH (FORMAT binary)"));
    for (uint32_t row = first; row < end; row++) {
        if (data->is_present[row]) {
            continue;
        }
        vc_value values[4] = {vc_int(row), vc_int(data->part[row]), vc_int(data->kind[row]),
                              vc_vector(data->rows + (size_t)row * data->dim, data->dim)};
        if (!vc_put_copy_row(server->conn, values, 4)) {
            fail("COPY", vc_error_message(server->conn));
        }
        data->is_present[row] = true;
    }
    if (!vc_put_copy_end(server->conn, NULL)) {
        fail("COPY", vc_error_message(server->conn));
    }
    vc_result *result;
    while ((result = vc_get_result(server->conn)) != NULL) {
        vc_result_free(check(result, "COPY"));
    }
}

void server_delete_parts(struct server *server, struct data *data, uint32_t parts)
{
    vc_result_free(execute(server, "DELETE FROM promises WHERE part >= %u", parts));
    for (uint32_t row = 0; row < data->n_rows; row++) {
        data->is_present[row] = data->is_present[row] && data->part[row] < parts;
    }
}

/* The value of @column in the row of @view whose @name_column is @name, or NULL. */
static const char *view_text(vc_result *view, const char *name_column, const char *name,
                             const char *column)
{
    int name_at = vc_column_number(view, name_column);
    int at = vc_column_number(view, column);
    for (size_t row = 0; name_at >= 0 && at >= 0 && row < vc_rows(view); row++) {
        if (strcmp(vc_text(view, row, (size_t)name_at), name) == 0) {
            return vc_is_null(view, row, (size_t)at) ? NULL : vc_text(view, row, (size_t)at);
        }
    }
    return NULL;
}

void server_wait_for_index(struct server *server)
{
    for (double start = now(); now() - start < INDEX_SECONDS_MAX; pause_ms(20)) {
        vc_result *view = execute(server, "SHOW SHARDS");
        const char *lag = view_text(view, "collection", "promises", "index_lag");
        bool is_done = lag != NULL && strcmp(lag, "0") == 0;
        vc_result_free(view);
        if (is_done) {
            return;
        }
    }
    fail("the graph", "has not caught up in half an hour");
}

static double read_metric(struct server *server, const char *name)
{
    vc_result *view = execute(server, "SHOW METRICS");
    const char *text = view_text(view, "name", name, "value");
    double value = text == NULL ? NAN : strtod(text, NULL);
    vc_result_free(view);
    return value;
}

/* As src/index/search.c and src/query/search_plan.c have it. */
static double walk_ns(uint32_t dim)
{
    return 15 + 0.08 * dim;
}

static uint32_t count_rows(const struct data *data)
{
    uint32_t n = 0;
    for (uint32_t row = 0; row < data->n_rows; row++) {
        n += data->is_present[row];
    }
    return n;
}

double server_scan_cost(const struct data *data)
{
    return 5000 + count_rows(data) * (3 + 0.16 * data->dim);
}

/* Of @n_queries that took @distances, @n_scans of them by looking at every row. */
static double cost_of(const struct data *data, uint32_t n_queries, double distances, double n_scans)
{
    double walked = fmax(distances - n_scans * count_rows(data), 0);
    return (n_scans * server_scan_cost(data) + walked * walk_ns(data->dim)) / n_queries;
}

static size_t take_ids(struct server *server, int64_t ids[K + 1])
{
    size_t n = 0;
    vc_result *result;
    while ((result = vc_get_result(server->conn)) != NULL) {
        check(result, "SEARCH");
        for (size_t row = 0; row < vc_rows(result) && n <= K; row++) {
            ids[n++] = vc_get_value(result, row, 0)->integer;
        }
        vc_result_free(result);
    }
    return n;
}

static void end_pipeline(struct server *server)
{
    vc_result *result = check(vc_get_result(server->conn), "the end of a pipeline");
    if (vc_result_state(result) != VC_PIPELINE_SYNC) {
        fail("the end of a pipeline", "another result came");
    }
    vc_result_free(result);
}

enum {
    PARAMETERS_MAX = 2
};
struct parameters {
    vc_value values[PARAMETERS_MAX];
};

/* Sends @n executions of the statement "s", with @n_each parameters. */
static void send_pipeline(struct server *server, const struct parameters *parameters, size_t n,
                          size_t n_each)
{
    for (size_t i = 0; i < n; i++) {
        if (!vc_send_prepared(server->conn, "s", parameters[i].values, n_each)) {
            fail("SEARCH", vc_error_message(server->conn));
        }
    }
    if (!vc_pipeline_sync(server->conn)) {
        fail("SEARCH", vc_error_message(server->conn));
    }
}

static void prepare(struct server *server, const char *vql, const vc_type *types, size_t n)
{
    vc_result_free(check(vc_prepare(server->conn, "s", vql, types, n), vql));
    if (!vc_enter_pipeline(server->conn)) {
        fail(vql, vc_error_message(server->conn));
    }
}

static void unprepare(struct server *server)
{
    if (!vc_exit_pipeline(server->conn)) {
        fail("a pipeline", vc_error_message(server->conn));
    }
    vc_result_free(check(vc_close_prepared(server->conn, "s"), "CLOSE"));
}

/* Whether what the server knows of recall is of all rows, and of many queries of clients. */
static bool is_settled(struct server *server, const struct data *data)
{
    double share = (double)count_rows(data) / ROWS_A_SAMPLE;
    double most = fmax(SAMPLES_LEAST, fmin(share, SAMPLES_MOST));
    vc_result *view = execute(server, "SHOW CALIBRATION");
    const char *queries = view_text(view, "collection", "promises", "queries");
    const char *samples = view_text(view, "collection", "promises", "samples");
    const char *grown = view_text(view, "collection", "promises", "grown");
    const char *age = view_text(view, "collection", "promises", "age");
    const char *refining = view_text(view, "collection", "promises", "refining");
    long n_samples = samples == NULL ? 0 : strtol(samples, NULL, 10);
    bool is = queries != NULL && grown != NULL && age != NULL && strcmp(queries, "asked") == 0 &&
              strtod(grown, NULL) <= GROWN_MAX && refining != NULL &&
              strcmp(refining, "false") == 0 &&
              ((double)n_samples >= most ||
               (n_samples >= SAMPLES_LEAST && strtod(age, NULL) >= SECONDS_AT_REST));
    vc_result_free(view);
    return is;
}

static void ask_others(struct server *server, const struct data *data)
{
    static const vc_type vector = VC_VECTOR;
    prepare(server, "SEARCH id FROM promises NEAR $1 LIMIT 10", &vector, 1);
    for (uint32_t first = 0; first < N_OTHERS; first += AT_ONCE) {
        struct parameters parameters[AT_ONCE];
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            parameters[i].values[0] =
                vc_vector(data->others + (size_t)(first + i) * data->dim, data->dim);
        }
        send_pipeline(server, parameters, AT_ONCE, 1);
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            int64_t ids[K + 1];
            (void)take_ids(server, ids);
        }
        end_pipeline(server);
    }
    unprepare(server);
}

bool server_settle(struct server *server, const struct data *data, double seconds)
{
    ask_others(server, data);
    for (double start = now(); now() - start < seconds; pause_ms(50)) {
        if (is_settled(server, data)) {
            return true;
        }
    }
    return false;
}

/* The first @n of the queries from @first on, their answers added to @score. */
static void search_some(struct server *server, const struct data *data, const struct truth *truth,
                        uint32_t first, uint32_t n, struct score *score)
{
    struct parameters parameters[AT_ONCE];
    for (uint32_t i = 0; i < n; i++) {
        uint32_t query = first + i;
        parameters[i].values[0] = vc_vector(data->queries + (size_t)query * data->dim, data->dim);
        parameters[i].values[1] = vc_int(data->query_kind[query]);
    }
    send_pipeline(server, parameters, n, truth->condition->whose == OF_ANY_KIND ? 1 : 2);
    for (uint32_t i = 0; i < n; i++) {
        int64_t ids[K + 1];
        size_t n_ids = take_ids(server, ids);
        score_add(score, data, truth, first + i, ids, n_ids);
    }
    end_pipeline(server);
}

static void prepare_search(struct server *server, const struct condition *condition,
                           const char *with)
{
    static const vc_type types[PARAMETERS_MAX] = {VC_VECTOR, VC_INT};
    static const char *const kinds[] = {"", "AND kind = $2 ", "AND kind <> $2 "};
    char vql[TEXT_BYTES], where[64] = "";
    bool is_any = condition->whose == OF_ANY_KIND;
    if (condition->parts < PARTS || !is_any) {
        (void)snprintf(where, sizeof(where), "WHERE part < %u %s", condition->parts,
                       kinds[condition->whose]);
    }
    (void)snprintf(vql, sizeof(vql), "SEARCH id FROM promises NEAR $1 %sLIMIT %d WITH (%s)", where,
                   K, with);
    prepare(server, vql, types, is_any ? 1 : 2);
}

struct cell server_search(struct server *server, const struct data *data,
                          const struct condition *condition, const char *with)
{
    struct score score = {.n = 0};
    struct truth truth;
    truth_find(&truth, data, condition);
    double distances = read_metric(server, "distances");
    double n_scans = read_metric(server, "searches_exact");
    prepare_search(server, condition, with);
    for (uint32_t first = 0; first < data->n_queries; first += AT_ONCE) {
        uint32_t n = data->n_queries - first;
        search_some(server, data, &truth, first, n < AT_ONCE ? n : AT_ONCE, &score);
    }
    unprepare(server);
    truth_free(&truth);
    double mean = score.sum / score.n;
    return (struct cell){
        .recall = mean,
        .recall_error = sqrt(fmax(0, score.squares / score.n - mean * mean) / score.n),
        .cost = cost_of(data, data->n_queries, read_metric(server, "distances") - distances,
                        read_metric(server, "searches_exact") - n_scans),
        .n_wrong = score.n_wrong,
    };
}

static bool is_found(const struct data *data, uint32_t row, const int64_t *ids, size_t n_ids)
{
    const float *vector = data->rows + (size_t)row * data->dim;
    if (n_ids != 1 || ids[0] < 0 || ids[0] >= data->n_rows || !data->is_present[ids[0]]) {
        return false;
    }
    const float *found = data->rows + (size_t)ids[0] * data->dim;
    double own = distance_of(data->metric, vector, vector, data->dim);
    double slack = data->metric == METRIC_COSINE ? 1e-13 : 1e-6 * fabs(own);
    return distance_of(data->metric, vector, found, data->dim) <= own + slack;
}

uint32_t server_count_lost(struct server *server, const struct data *data, bool is_by_key)
{
    uint32_t n_lost = 0, row = 0;
    vc_type type = is_by_key ? VC_INT : VC_VECTOR;
    prepare(server,
            is_by_key ? "SEARCH id FROM promises NEAR KEY $1 LIMIT 1"
                      : "SEARCH id FROM promises NEAR $1 LIMIT 1",
            &type, 1);
    while (row < data->n_rows) {
        uint32_t rows[AT_ONCE];
        struct parameters parameters[AT_ONCE];
        uint32_t n = 0;
        for (; row < data->n_rows && n < AT_ONCE; row++) {
            if (data->is_present[row]) {
                rows[n] = row;
                const float *vector = data->rows + (size_t)row * data->dim;
                parameters[n++].values[0] = is_by_key ? vc_int(row) : vc_vector(vector, data->dim);
            }
        }
        send_pipeline(server, parameters, n, 1);
        for (uint32_t i = 0; i < n; i++) {
            int64_t ids[K + 1];
            size_t n_ids = take_ids(server, ids);
            n_lost += !is_found(data, rows[i], ids, n_ids);
        }
        end_pipeline(server);
    }
    unprepare(server);
    return n_lost;
}
