/* Writes of every kind, remembered, and the comparison after a crash. */
#include "ingest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TEXT_BYTES = 65536,
    DIM = 256,       /* So that all rows have more vectors than an index keeps in memory. */
    KEY_STEP = 1000, /* Ids of client c: c * KEY_STEP to c * KEY_STEP + KEYS - 1. */
    SEARCHES = 20,
    APPLY_TRIES_MAX = 1000, /* Of 10 ms. */
    CONFIGURATION_INDEX = 1,
};

/* One with a graph that is linked at once, one that is linked behind the acknowledgement. */
static const struct {
    const char *name, *options;
} collections[] = {
    {"crash_sync", "index_mode = 'sync', quantization = none"},
    {"crash_async", "index_mode = 'async', quantization = 8"},
};

static const char *const acks[] = {"visible", "leader", "indexed", "quorum"};

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static int below(struct client *c, int n)
{
    return (int)(next_random(&c->random) % (uint64_t)n);
}

void client_init(struct client *c, unsigned number)
{
    memset(c, 0, sizeof(*c));
    c->number = number;
    c->collection = collections[number % 2].name;
    c->ack = acks[number / 2 % 4];
    c->random = number + 1;
    c->next = 1;
}

/* ---- statements ---- */

static long long id_of(const struct client *c, int key)
{
    return (long long)c->number * KEY_STEP + key;
}

/* The vector of a row tells its id and its n, so a row that is mixed of two is seen. */
static void append_vector(char *text, long long id, int64_t n)
{
    size_t used = strlen(text);
    used += (size_t)snprintf(text + used, TEXT_BYTES - used, "[%lld, %lld, 1, 0.5", id,
                             (long long)(n % 1000000));
    for (int i = 4; i < DIM; i++) {
        used += (size_t)snprintf(text + used, TEXT_BYTES - used, ",0");
    }
    snprintf(text + used, TEXT_BYTES - used, "]");
}

static void append_row(const struct client *c, char *text, int key, int64_t n)
{
    size_t used = strlen(text);
    snprintf(text + used, TEXT_BYTES - used, "%s(%lld, %lld, ", text[used - 1] == ')' ? ", " : "",
             id_of(c, key), (long long)n);
    append_vector(text, id_of(c, key), n);
    used = strlen(text);
    snprintf(text + used, TEXT_BYTES - used, ")");
}

static void plan_key(struct client *c, int key, int64_t n)
{
    c->pending.keys[c->pending.n] = key;
    c->pending.new[c->pending.n] = n;
    c->pending.n += 1;
}

/* @n rows from a random key on; only new ones, or any (an upsert). */
static bool plan_insert(struct client *c, char *text, int n, bool is_upsert)
{
    int key = below(c, KEYS);
    snprintf(text, TEXT_BYTES, "INSERT INTO %s (id, n, v) VALUES ", c->collection);
    for (int i = 0; i < KEYS && c->pending.n < n; i++, key = (key + 1) % KEYS) {
        if (is_upsert || c->rows[key] == 0) {
            plan_key(c, key, c->next);
            append_row(c, text, key, c->next);
            c->next += 1;
        }
    }
    if (is_upsert) {
        size_t used = strlen(text);
        snprintf(text + used, TEXT_BYTES - used, " ON CONFLICT DO UPDATE");
    }
    return c->pending.n > 0;
}

/* The rows of a range of keys go. */
static bool plan_delete(struct client *c, char *text, int n)
{
    int from = below(c, KEYS - n);
    for (int key = from; key < from + n; key++) {
        if (c->rows[key] != 0) {
            plan_key(c, key, 0);
        }
    }
    snprintf(text, TEXT_BYTES, "DELETE FROM %s WHERE id >= %lld AND id < %lld", c->collection,
             id_of(c, from), id_of(c, from + n));
    return true;
}

static bool plan_update(struct client *c, char *text)
{
    int key = below(c, KEYS);
    if (c->rows[key] == 0) {
        return false;
    }
    plan_key(c, key, c->next);
    snprintf(text, TEXT_BYTES, "UPDATE %s SET n = %lld, v = ", c->collection, (long long)c->next);
    append_vector(text, id_of(c, key), c->next);
    size_t used = strlen(text);
    snprintf(text + used, TEXT_BYTES - used, " WHERE id = %lld", id_of(c, key));
    c->next += 1;
    return true;
}

/* Its writes may be answered before they can be read, and UPDATE and DELETE read. */
static bool is_early(const struct client *c)
{
    return c->ack == acks[1] || c->ack == acks[3];
}

static bool plan_statement(struct client *c, char *text)
{
    int dice = below(c, is_early(c) ? 75 : 100);
    c->pending.n = 0;
    if (dice < 40) {
        return plan_insert(c, text, 1, false);
    }
    if (dice < 60) {
        return plan_insert(c, text, 2 + below(c, STATEMENT_KEYS - 2), false);
    }
    if (dice < 75) {
        return plan_insert(c, text, 1 + below(c, 8), true);
    }
    if (dice < 92) {
        return plan_delete(c, text, 1 + below(c, STATEMENT_KEYS - 1));
    }
    return plan_update(c, text);
}

static void settle_pending(struct client *c, bool is_done)
{
    for (int i = 0; i < c->pending.n && is_done; i++) {
        c->rows[c->pending.keys[i]] = c->pending.new[i];
    }
    c->pending.n = 0;
}

/* ---- a client ---- */

vc_conn *connect_to(const char *address)
{
    char info[128];
    snprintf(info, sizeof(info), "vectron://%s/", address);
    return vc_connect(info);
}

static bool is_one_of(const char *sqlstate, const char *a, const char *b)
{
    return strcmp(sqlstate, a) == 0 || (b != NULL && strcmp(sqlstate, b) == 0);
}

/* False ends the client: the server is gone, or did what it must not. */
static bool run_statement(struct client *c, vc_conn *conn, const char *text)
{
    vc_result *result = vc_exec(conn, text);
    bool goes_on = true;
    if (vc_result_state(result) == VC_COMMAND) {
        if (vc_affected(result) != (uint64_t)c->pending.n) {
            snprintf(c->failure, sizeof(c->failure), "%llu rows instead of %d: %.300s",
                     (unsigned long long)vc_affected(result), c->pending.n, text);
            goes_on = false;
        }
        settle_pending(c, true);
        c->n_acks += 1;
    } else if (is_one_of(vc_error_field(result, VC_FIELD_SQLSTATE), "40003", NULL)) {
        c->n_unknown += 1;
        goes_on = false; /* What is pending may have happened. */
    } else if (is_one_of(vc_error_field(result, VC_FIELD_SQLSTATE), "08006", "57P01")) {
        settle_pending(c, false);
        goes_on = false; /* It died before the statement was sent, or shuts down. */
    } else if (is_one_of(vc_error_field(result, VC_FIELD_SQLSTATE), "57014", c->allowed)) {
        settle_pending(c, false);
        c->n_refused += 1;
    } else {
        snprintf(c->failure, sizeof(c->failure), "%.300s: %.200s", vc_result_error(result), text);
        goes_on = false;
    }
    vc_result_free(result);
    return goes_on;
}

static void *client_run(void *arg)
{
    struct client *c = arg;
    vc_conn *conn = connect_to(c->address);
    char text[TEXT_BYTES];
    bool goes_on = conn != NULL && vc_status(conn) == VC_CONN_OK;
    snprintf(text, sizeof(text), "SET ack = %s", c->ack);
    vc_result_free(goes_on ? vc_exec(conn, text) : NULL); /* It may die right here. */
    while (goes_on && !atomic_load(&c->is_stopped)) {
        goes_on = !plan_statement(c, text) || run_statement(c, conn, text);
    }
    if (goes_on) { /* Behind the others in the log, and visible: so they are. */
        c->pending.n = 0;
        plan_insert(c, text, 1, true);
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, " WITH (ack = visible)");
        run_statement(c, conn, text);
    }
    vc_close(conn);
    return NULL;
}

bool client_start(struct client *c, const char *address)
{
    c->address = address;
    c->failure[0] = '\0';
    atomic_store(&c->is_stopped, false);
    return pthread_create(&c->thread, NULL, client_run, c) == 0;
}

void client_join(struct client *c)
{
    pthread_join(c->thread, NULL);
}

/* ---- checks ---- */

bool run(vc_conn *conn, const char *vql, char *failure, size_t failure_bytes)
{
    vc_result *result = vc_exec(conn, vql);
    vc_result_status status = vc_result_state(result);
    if (status == VC_ERROR) {
        snprintf(failure, failure_bytes, "%.200s: %.200s", vql, vc_result_error(result));
    }
    vc_result_free(result);
    return status != VC_ERROR;
}

bool create_collections(const char *address, char *failure, size_t failure_bytes)
{
    vc_conn *conn = connect_to(address);
    bool is_good = true;
    for (size_t i = 0; i < sizeof(collections) / sizeof(collections[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text),
                 "CREATE COLLECTION IF NOT EXISTS %s (id INT PRIMARY KEY, n INT NOT NULL, "
                 "v VECTOR(%d) METRIC L2) WITH (%s)",
                 collections[i].name, DIM, collections[i].options);
        is_good = is_good && run(conn, text, failure, failure_bytes);
    }
    vc_close(conn);
    return is_good;
}

static void blame(struct verdict *verdict, uint64_t *counter, const char *collection,
                  const char *what, long long id)
{
    *counter += 1;
    if (verdict->first[0] == '\0') {
        snprintf(verdict->first, sizeof(verdict->first), "%s: row %lld %s", collection, id, what);
    }
}

/* Finds out whether a client's last statement happened: whole, or not at all. */
static void judge_pending(struct client *c, const int64_t seen[KEYS], struct verdict *verdict)
{
    int n_new = 0;
    int n_old = 0;
    for (int i = 0; i < c->pending.n; i++) {
        int key = c->pending.keys[i];
        n_new += seen[key] == c->pending.new[i];
        n_old += seen[key] == c->rows[key];
    }
    if (c->pending.n > 0 && n_new != c->pending.n && n_old != c->pending.n) {
        blame(verdict, &verdict->n_torn, c->collection, "is of a statement that happened in part",
              id_of(c, c->pending.keys[0]));
    }
    settle_pending(c, c->pending.n > 0 && n_new == c->pending.n);
}

static void judge_client(struct client *c, const int64_t seen[KEYS], struct verdict *verdict)
{
    judge_pending(c, seen, verdict);
    for (int key = 0; key < KEYS; key++) {
        if (seen[key] == c->rows[key]) {
            continue;
        }
        if (seen[key] == 0) {
            blame(verdict, &verdict->n_lost, c->collection, "was acknowledged and is lost",
                  id_of(c, key));
        } else {
            blame(verdict, &verdict->n_wrong, c->collection, "is not what was acknowledged last",
                  id_of(c, key));
        }
    }
}

/* Sorts the rows of one collection by client. */
static bool read_collection(vc_conn *conn, const char *name, int64_t (*seen)[KEYS],
                            struct verdict *verdict)
{
    char text[256];
    snprintf(text, sizeof(text), "SELECT id, n, v FROM %s ORDER BY id", name);
    vc_result *result = vc_exec(conn, text);
    if (vc_result_state(result) != VC_ROWS) {
        snprintf(verdict->first, sizeof(verdict->first), "%.200s", vc_result_error(result));
        vc_result_free(result);
        return false;
    }
    for (size_t i = 0; i < vc_rows(result); i++) {
        int64_t id = vc_get_value(result, i, 0)->integer;
        int64_t n = vc_get_value(result, i, 1)->integer;
        const float *v = vc_get_value(result, i, 2)->vector.data;
        int64_t client = id / KEY_STEP;
        verdict->n_rows += 1;
        if (client < 0 || client >= CLIENTS || id % KEY_STEP >= KEYS || v[0] != (float)id ||
            v[1] != (float)(n % 1000000)) {
            blame(verdict, &verdict->n_wrong, name, "was written by nobody", id);
        } else if (seen[client][id % KEY_STEP] != 0) {
            blame(verdict, &verdict->n_duplicated, name, "is there twice", id);
        } else {
            seen[client][id % KEY_STEP] = n;
        }
    }
    vc_result_free(result);
    return true;
}

/* Searches for the nearest row to a row that is there; *found where it is that row, as it was
 * written last.  False where the server did not answer. */
static bool search_for(vc_conn *conn, const struct client *c, int key, const char *options,
                       bool *found, struct verdict *verdict)
{
    char text[256];
    snprintf(text, sizeof(text), "SEARCH id, n FROM %s NEAR KEY %lld LIMIT 1%s", c->collection,
             id_of(c, key), options);
    vc_result *result = vc_exec(conn, text);
    bool is_answered = vc_result_state(result) == VC_ROWS && vc_rows(result) == 1;
    if (is_answered) {
        *found = vc_get_value(result, 0, 0)->integer == id_of(c, key) &&
                 vc_get_value(result, 0, 1)->integer == c->rows[key];
    } else {
        snprintf(verdict->first, sizeof(verdict->first), "%.100s: %.100s", text,
                 vc_result_error(result));
    }
    vc_result_free(result);
    return is_answered;
}

/* An exact search finds every row; how many the graph finds is counted. */
static bool check_search(vc_conn *conn, struct client *c, struct verdict *verdict)
{
    for (int i = 0; i < SEARCHES; i++) {
        int key = below(c, KEYS);
        bool found;
        if (c->rows[key] == 0) {
            continue;
        }
        if (!search_for(conn, c, key, " WITH (exact = on)", &found, verdict)) {
            return false;
        }
        if (!found) {
            blame(verdict, &verdict->n_lost, c->collection, "is not found by an exact SEARCH",
                  id_of(c, key));
        }
        if (!search_for(conn, c, key, "", &found, verdict)) {
            return false;
        }
        verdict->n_searched += 1;
        verdict->n_found += found;
    }
    return true;
}

/* A write may be acknowledged before it can be read (ack = leader, quorum).  The first entry of a
 * group's log is its configuration: a collection that was never written has nothing to apply. */
static bool wait_until_applied(vc_conn *conn, struct verdict *verdict)
{
    for (int n_tries = 0; n_tries < APPLY_TRIES_MAX; n_tries++) {
        vc_result *result = vc_exec(conn, "SHOW SHARDS");
        int applied = vc_column_number(result, "applied");
        int committed = vc_column_number(result, "log_commit");
        bool is_done = vc_result_state(result) == VC_ROWS;
        for (size_t i = 0; is_done && i < vc_rows(result); i++) {
            int64_t end = vc_get_value(result, i, (size_t)committed)->integer;
            is_done = end <= CONFIGURATION_INDEX ||
                      vc_get_value(result, i, (size_t)applied)->integer >= end;
        }
        vc_result_free(result);
        if (is_done) {
            return true;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    snprintf(verdict->first, sizeof(verdict->first), "the log is not applied to its end");
    return false;
}

bool check_rows(const char *address, struct client clients[CLIENTS], struct verdict *verdict)
{
    static int64_t seen[CLIENTS][KEYS];
    memset(seen, 0, sizeof(seen));
    memset(verdict, 0, sizeof(*verdict));
    vc_conn *conn = connect_to(address);
    bool is_good = wait_until_applied(conn, verdict);
    for (size_t i = 0; i < sizeof(collections) / sizeof(collections[0]); i++) {
        is_good = is_good && read_collection(conn, collections[i].name, seen, verdict);
    }
    for (int i = 0; i < CLIENTS && is_good; i++) {
        judge_client(&clients[i], seen[i], verdict);
        is_good = check_search(conn, &clients[i], verdict);
    }
    vc_close(conn);
    return is_good &&
           verdict->n_lost + verdict->n_duplicated + verdict->n_wrong + verdict->n_torn == 0;
}
