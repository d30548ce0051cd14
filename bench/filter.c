/* What each way of answering SEARCH ... WHERE costs, beside the one that the planner takes.
 *
 *     bench/filter DATA QUERY.fbin [--queries N] [--share PERCENT] [--payload-memory BYTES]
 *
 * DATA is the data directory of a server that has stopped, with a collection "filtered" (id INT,
 * embedding VECTOR, n INT, tag TEXT, likeness FLOAT) as bench/figures makes it: n is spread evenly
 * over 0 .. 99,999 whatever the vectors, so are the tags "t50" to "t.01", and likeness is the
 * cosine with one of the rows.  Times are of the thread's CPU, medians over the queries, in
 * microseconds; those of the planner's choice hold the sample and the choice, those of the ways do
 * not. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"
#include "query/database_int.h"
#include "query/portal_int.h"
#include "query/search_int.h"
#include "query/verb_int.h"

enum {
    K = 10,
    QUERIES_MAX = 200,
    QUERIES_ASKED = 1000, /* Before anything is measured: calibration learns from them. */
    PATIENCE_US = 300000000,
    CELL_US_MAX = 1500000, /* Enough for one way and predicate. */
};

struct bench {
    struct policy_set policies;
    struct repl *repl;
    struct database *db;
    struct query_session *session;
    float *queries;
    uint32_t n_queries, n_asked, dim;
    uint64_t n_rows;
    char value[64]; /* Of the last row that a statement gave: its first column. */
};

static void die_on(enum errcode code, const struct err *err)
{
    if (code != ERR_OK) {
        (void)fprintf(stderr, "bench/filter: %s\n", err->message);
        exit(1);
    }
}

/* ---- statements ---- */

static void take_row(void *arg, const struct value *values, size_t n)
{
    struct bench *b = arg;
    struct buf text;
    (void)n;
    buf_init(&text, MEM_GENERAL, 1 << 20);
    value_format(&text, &values[0]);
    (void)snprintf(b->value, sizeof(b->value), "%.*s", (int)text.bytes, (const char *)text.data);
    buf_fini(&text);
}

static bool is_full(void *arg)
{
    (void)arg;
    return false;
}

static void wake(void *arg)
{
    (void)arg;
}

static void progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    (void)arg, (void)phase, (void)done, (void)total;
}

static struct portal *open_portal(struct bench *b, const char *text, const float *query)
{
    struct statement_text source = {.data = text, .bytes = strlen(text)};
    struct prepared *prepared;
    struct portal *portal;
    struct err err;
    struct value vector = value_vector(query, b->dim);
    struct parameters parameters = {.values = &vector, .n = query != NULL ? 1 : 0};
    struct portal_sink sink = {
        .row = take_row, .is_full = is_full, .progress = progress, .wake = wake, .arg = b};
    die_on(prepared_new_alone(b->session, &source, &prepared, &err), &err);
    die_on(portal_new(b->session, prepared, &parameters, &sink, &portal, &err), &err);
    prepared_free(prepared);
    return portal;
}

/* The first column of the statement's last row, as a number. */
static double ask(struct bench *b, const char *text)
{
    struct portal *portal = open_portal(b, text, NULL);
    struct err err;
    enum portal_status status;
    while ((status = portal_run(portal, 0, &err)) == PORTAL_WAIT) {
        clock_sleep_micros(1000);
    }
    die_on(status == PORTAL_DONE ? ERR_OK : err.code, &err);
    portal_free(portal);
    return strtod(b->value, NULL);
}

/* ---- one search ---- */

struct outcome {
    enum search_way way, planned;
    double selectivity, us, cost_us;
    size_t n_hits;
    uint64_t rows[K];
};

/* By the planner's choice where @way is NULL. */
static struct outcome search(struct bench *b, const char *text, const float *query,
                             const enum search_way *way)
{
    struct portal *p = open_portal(b, text, query);
    struct err err;
    p->file = policy_file_acquire(b->db->node); /* As portal_run begins. */
    uint64_t began_us = clock_cpu_micros();
    die_on(portal_start(p, &err), &err);
    struct search_state *s = p->verb_state;
    struct outcome out = {
        .planned = s->way, .selectivity = s->selectivity, .cost_us = s->cost_ns / 1000};
    if (way != NULL) {
        s->way = *way;
        s->filter_calls_max = SIZE_MAX;
        began_us = clock_cpu_micros();
    }
    out.way = s->way;
    die_on(p->verb->step(p, &err) == STEP_FAILED ? err.code : ERR_OK, &err);
    out.us = (double)(clock_cpu_micros() - began_us);
    out.n_hits = s->self.n_hits;
    for (size_t i = 0; i < out.n_hits && i < K; i++) {
        out.rows[i] = s->self.hits[i].number;
    }
    portal_free(p);
    return out;
}

static size_t count_common(const struct outcome *a, const struct outcome *b)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n_hits; i++) {
        for (size_t j = 0; j < b->n_hits; j++) {
            n += a->rows[i] == b->rows[j];
        }
    }
    return n;
}

/* ---- one predicate ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct measured_way {
    double us, selectivity, recall, cost_us;
    size_t n_of_way[WAY_EXACT_SCAN + 1];
};

static struct measured_way measure(struct bench *b, const char *text, const enum search_way *way,
                                   const struct outcome *truth)
{
    static double us[QUERIES_MAX];
    struct measured_way m = {0};
    double total_us = 0;
    size_t n = 0, n_common = 0, n_true = 0;
    (void)search(b, text, b->queries, way); /* What it needs is in memory. */
    for (; n < b->n_queries && total_us < CELL_US_MAX; n++) {
        struct outcome o = search(b, text, b->queries + n * b->dim, way);
        us[n] = o.us;
        total_us += o.us;
        m.selectivity += o.selectivity;
        m.cost_us += o.cost_us;
        m.n_of_way[o.way]++;
        n_common += truth != NULL ? count_common(&o, &truth[n]) : 0;
        n_true += truth != NULL ? truth[n].n_hits : 0;
    }
    qsort(us, n, sizeof(us[0]), compare_doubles);
    m.us = us[n / 2];
    m.selectivity /= (double)n;
    m.cost_us /= (double)n;
    m.recall = n_true > 0 ? (double)n_common / (double)n_true : 1;
    return m;
}

static enum search_way chosen_way(const struct measured_way *m)
{
    enum search_way best = WAY_WALK;
    for (enum search_way way = WAY_WALK; way <= WAY_EXACT_SCAN; way++) {
        best = m->n_of_way[way] > m->n_of_way[best] ? way : best;
    }
    return best;
}

static void measure_predicate(struct bench *b, const char *name, const char *share,
                              const char *where)
{
    static const enum search_way ways[] = {WAY_FILTERED_WALK, WAY_EXACT_MATCHES, WAY_EXACT_SCAN};
    static struct outcome truth[QUERIES_MAX];
    char text[512];
    (void)snprintf(text, sizeof(text), "SEARCH id FROM filtered NEAR $1 WHERE %s LIMIT %d", where,
                   K);
    for (size_t i = 0; i < b->n_queries; i++) {
        truth[i] = search(b, text, b->queries + i * b->dim, &ways[1]);
    }
    struct measured_way planned = measure(b, text, NULL, truth), m[COUNT_OF(ways)];
    double least_us = INFINITY;
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        m[i] = measure(b, text, &ways[i], truth);
        least_us = fmin(least_us, m[i].us);
    }
    printf("| %s | %s | %.4g | %.0f | %.3f | %.0f | %.0f | %s | %.0f | %.0f | %.2f | %.3f |\n",
           name, share, planned.selectivity * 100, m[0].us, m[0].recall, m[1].us, m[2].us,
           search_way_name(chosen_way(&planned)), planned.cost_us, planned.us,
           planned.us / least_us, planned.recall);
    (void)fflush(stdout);
}

static const char *const shares[] = {"50", "20", "10", "5",   "2",   "1",
                                     ".5", ".2", ".1", ".05", ".01", "0"};

/* The likeness that so many rows exceed, or stay below. */
static double bound_of_likeness(struct bench *b, double share, const char *direction)
{
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "SELECT likeness FROM filtered ORDER BY likeness %s LIMIT 1 OFFSET %" PRIu64,
                   direction, (uint64_t)(share * (double)b->n_rows));
    return ask(b, text);
}

static void measure_share(struct bench *b, const char *share)
{
    char where[256];
    double part = strtod(share, NULL) / 100;
    int n = (int)(part * 100000 + 0.5);
    (void)snprintf(where, sizeof(where), "n < %d", n);
    measure_predicate(b, "INT range", share, where);
    (void)snprintf(where, sizeof(where), "tag = 't%s'", share);
    measure_predicate(b, "TEXT equality", share, where);
    (void)snprintf(where, sizeof(where), "n < %d AND likeness > -2 AND id >= 0", n);
    measure_predicate(b, "conjunction", share, where);
    (void)snprintf(where, sizeof(where), "likeness > %.17g",
                   part > 0 ? bound_of_likeness(b, part, "DESC") : 2);
    measure_predicate(b, "near one row", share, where);
    (void)snprintf(where, sizeof(where), "likeness < %.17g",
                   part > 0 ? bound_of_likeness(b, part, "ASC") : -2);
    measure_predicate(b, "far from it", share, where);
}

/* ---- the database ---- */

static void open_database(struct bench *b, const char *directory)
{
    char log[512];
    struct err err;
    (void)snprintf(log, sizeof(log), "%s/log", directory);
    struct repl_config repl = {
        .directory = log, .node = 1, .map_bytes = (size_t)1 << 38, .in_memory_max = 256 << 20};
    die_on(repl_open(&repl, &b->repl, &err), &err);
    struct database_config config = {
        .directory = directory, .repl = b->repl, .file_policies = &b->policies, .work_threads = 1};
    die_on(database_open(&config, &b->db, &err), &err);
    b->session = query_session_new(b->db, 1, &err);
    die_on(b->session == NULL ? err.code : ERR_OK, &err);
}

static void read_queries(struct bench *b, const char *path)
{
    uint32_t head[2];
    FILE *f = fopen(path, "rb");
    if (f == NULL || fread(head, sizeof(head), 1, f) != 1 || head[1] == 0 ||
        head[1] > VECTOR_DIM_MAX) {
        (void)fprintf(stderr, "bench/filter: \"%s\" is no .fbin file\n", path);
        exit(1);
    }
    b->n_queries = head[0] < b->n_queries ? head[0] : b->n_queries;
    b->n_asked = head[0] < QUERIES_ASKED ? head[0] : QUERIES_ASKED;
    b->dim = head[1];
    size_t n = (size_t)b->n_asked * b->dim;
    b->queries = mem_alloc(MEM_GENERAL, n * sizeof(float));
    if (b->queries == NULL || fread(b->queries, sizeof(float), n, f) != n) {
        (void)fprintf(stderr, "bench/filter: \"%s\" is cut off\n", path);
        exit(1);
    }
    (void)fclose(f);
}

/* Until each class of searches is known to reach the floor. */
static void wait_for_calibration(struct bench *b)
{
    static const char text[] = "SEARCH id FROM filtered NEAR $1 LIMIT 10";
    uint64_t deadline_us = clock_micros() + PATIENCE_US;
    unsigned n_reached = 0;
    for (uint32_t i = 0; i < b->n_asked; i++) {
        (void)search(b, text, b->queries + (size_t)i * b->dim, NULL);
    }
    while (n_reached < SHARD_RECALL_CLASSES && clock_micros() < deadline_us) {
        struct portal *p = open_portal(b, text, b->queries);
        struct err err;
        clock_sleep_micros(500000);
        p->file = policy_file_acquire(b->db->node);
        die_on(portal_start(p, &err), &err);
        n_reached = 0;
        for (unsigned i = 0; i < SHARD_RECALL_CLASSES; i++) {
            struct shard_recall r;
            bool is_known = shard_recall(p->shard, p->plan->search.column, i, 0.95, &r);
            n_reached += is_known && r.is_real && r.effort.verdict == SHARD_REACHES ? 1 : 0;
        }
        portal_free(p);
    }
}

static void set_payload_memory(struct bench *b, const char *bytes)
{
    struct value value = value_cstr(bytes);
    struct err err;
    die_on(policy_assign_name(&b->policies, "payload_memory", LEVEL_FILE, &value, &err), &err);
}

int main(int argc, char **argv)
{
    struct bench b = {.n_queries = 50};
    const char *only = NULL;
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--queries") == 0) {
            b.n_queries = (uint32_t)strtoul(argv[i + 1], NULL, 10);
            b.n_queries = b.n_queries < QUERIES_MAX ? b.n_queries : QUERIES_MAX;
        } else if (strcmp(argv[i], "--payload-memory") == 0) {
            set_payload_memory(&b, argv[i + 1]);
        } else if (strcmp(argv[i], "--share") == 0) {
            only = argv[i + 1];
        }
    }
    if (argc < 3 || b.n_queries == 0) {
        (void)fprintf(stderr, "bench/filter DATA QUERY.fbin [--queries N] [--share PERCENT] "
                              "[--payload-memory BYTES]\n");
        return 1;
    }
    log_set_level(LOG_WARNING);
    if (!index_choose_kernel(NULL)) {
        return 1;
    }
    read_queries(&b, argv[2]);
    open_database(&b, argv[1]);
    b.n_rows = (uint64_t)ask(&b, "SELECT count(*) FROM filtered");
    wait_for_calibration(&b);
    printf("| predicate | %% that match | estimated | filtered walk | its recall | over the "
           "matches | exact "
           "scan | chosen | reckoned | takes | over the best | recall "
           "|\n|---|---|---|---|---|---|---|---|---|---|---|---|"
           "\n");
    for (size_t i = 0; i < COUNT_OF(shares); i++) {
        if (only == NULL || strcmp(only, shares[i]) == 0) {
            measure_share(&b, shares[i]);
        }
    }
    query_session_free(b.session);
    database_close(b.db);
    repl_close(b.repl);
    mem_free(MEM_GENERAL, b.queries);
    return 0;
}
