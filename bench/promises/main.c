/* The table of promises: does the floor of recall hold on every kind of data, and at which price?
 *
 *   bench/promises/promises --server=CONNINFO [--rows=N] [--queries=N] [--shapes=A,B]
 *       [--metrics=A,B] [--states=A,B] [--no-effort] [--forgive] [--wait=SECONDS] [--seed=N]
 *       [--with=POLICIES] [--out=FILE]
 *
 * For each shape and metric a collection goes through these states:
 *
 *   fresh        a tenth of the rows, before their recall was measured
 *   built        the same, measured with queries like those that it is judged by, and others
 *   grown        all rows, at once when the graph has caught up: what was measured is out of date
 *   settled      the same, measured anew
 *   deleted      80 % of the rows deleted
 *   re-inserted  those rows again, with their keys
 *
 * In each the recall of queries that the server never saw, counted by distance, is compared with
 * the floors that are asked for, and with conditions that leave 50, 10, 1 and 0.1 % of the rows by
 * chance, those of the query's own kind (nearest to the same of 20 rows), all others, and a tenth
 * of the others.
 * The number behind x is the effort: what a query costs over the least that reaches the floor, be
 * it a walk of some ef or a scan.  A cost is distances, each weighed as the planner does: those of
 * a walk, whose rows lie anywhere, cost more than those of a scan, and the more so the shorter the
 * vectors are.  Then each row is looked for by its key, and in all states but fresh and grown by
 * its vector, too: where recall is about to be measured, not with queries that are not judged.
 *
 * A cell below its floor is marked "!", or "?" where chance may explain it: within two standard
 * errors.  --forgive does not count the latter, for short runs.  Ends with 1 where a cell is below,
 * an answer holds a row that it must not, or a row is not found; with 2 where there is no table. */
#include "promises.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double floors[] = {0.80, 0.90, 0.95, 0.99};
static const struct condition conditions[] = {
    {"50 %", 500, OF_ANY_KIND},       {"10 %", 100, OF_ANY_KIND},
    {"1 %", 10, OF_ANY_KIND},         {"0.1 %", 1, OF_ANY_KIND},
    {"own kind", PARTS, OF_OWN_KIND}, {"others", PARTS, OF_OTHERS},
    {"others, 10 %", 100, OF_OTHERS},
};
static const uint32_t efs[] = {7,   10,  14,  20,  28,  40,  56,  80,
                               112, 160, 224, 320, 448, 640, 900, 1280};
enum {
    N_FLOORS = 4,
    N_CONDITIONS = sizeof(conditions) / sizeof(*conditions),
    N_EFS = sizeof(efs) / sizeof(*efs)
};
static const double filter_floor = 0.95;
enum {
    MEASURED_ROWS_MIN = 1000 /* As calibration has it: of fewer nothing is measured. */
};

struct options {
    const char *server, *shapes, *metrics, *states, *with, *out;
    uint32_t n_rows, n_queries, wait_seconds, seed;
    bool has_no_effort, is_forgiving;
};

struct table {
    const struct options *options;
    struct server server;
    struct data data;
    FILE *out;
    uint32_t n_cells, n_below, n_wrong;
    uint32_t n_lost;          /* Rows that were not found, by key and by vector. */
    uint32_t n_looks, n_vain; /* Looks for every row; those that missed some. */
};

struct state {
    const char *name;
    void (*enter)(struct table *table);
    bool is_to_settle;   /* It only waits; its effort is looked at. */
    bool comes_measured; /* What is asked is not the next state's measure. */
};

void fail(const char *what, const char *detail)
{
    fprintf(stderr, "promises: %s: %s\n", what, detail);
    exit(2);
}

void *allocate(size_t n, size_t size)
{
    void *p = calloc(n == 0 ? 1 : n, size);
    if (p == NULL) {
        fail("memory", "ran out");
    }
    return p;
}

/* ---- the states ---- */

static void enter_fresh(struct table *t)
{
    server_create(&t->server, &t->data, t->options->with);
    server_load(&t->server, &t->data, 0, t->data.n_rows / 10);
    server_wait_for_index(&t->server);
}

static void settle(struct table *t)
{
    uint32_t n_rows = 0;
    for (uint32_t row = 0; row < t->data.n_rows; row++) {
        n_rows += t->data.is_present[row];
    }
    if (n_rows >= MEASURED_ROWS_MIN &&
        !server_settle(&t->server, &t->data, t->options->wait_seconds)) {
        printf("  (recall was not measured to the end in %u s)\n", t->options->wait_seconds);
    }
}

static void enter_grown(struct table *t)
{
    server_load(&t->server, &t->data, t->data.n_rows / 10, t->data.n_rows);
    server_wait_for_index(&t->server);
}

static void enter_deleted(struct table *t)
{
    server_delete_parts(&t->server, &t->data, PARTS / 5);
    server_wait_for_index(&t->server);
}

static void enter_reinserted(struct table *t)
{
    server_load(&t->server, &t->data, 0, t->data.n_rows);
    server_wait_for_index(&t->server);
}

static const struct state states[] = {
    {"fresh", enter_fresh, false, false},    {"built", settle, true, true},
    {"grown", enter_grown, false, false},    {"settled", settle, true, true},
    {"deleted", enter_deleted, false, true}, {"re-inserted", enter_reinserted, false, true},
};

/* ---- the cells ---- */

struct place { /* What a cell is of. */
    const char *state;
    const struct condition *condition;
    double floor;
};

/* The cost of a query at the least ef that reaches the floor, between two efs on a line, or of a
 * scan where that is less. */
static double least_cost(const struct table *t, const struct cell *ladder, size_t n, double floor)
{
    double scan = server_scan_cost(&t->data);
    for (size_t i = 0; i < n; i++) {
        if (ladder[i].recall >= floor) {
            double cost = ladder[i].cost;
            if (i > 0) {
                double share =
                    (floor - ladder[i - 1].recall) / (ladder[i].recall - ladder[i - 1].recall);
                cost = ladder[i - 1].cost + share * (cost - ladder[i - 1].cost);
            }
            return cost < scan ? cost : scan;
        }
    }
    return n > 0 ? scan : 0;
}

static void write_cell(const struct table *t, const struct place *place, const struct cell *cell,
                       double least)
{
    if (t->out != NULL) {
        fprintf(t->out, "%s\t%s\t%s\t%s\t%.2f\t%.5f\t%.5f\t%.1f\t%.1f\t%u\n", t->data.shape->name,
                metric_names[t->data.metric], place->state, place->condition->name, place->floor,
                cell->recall, cell->recall_error, cell->cost, least, cell->n_wrong);
    }
}

static void judge(struct table *t, const struct place *place, const struct cell *cell, double least)
{
    bool is_below = cell->recall < place->floor;
    bool is_sure = cell->recall + 2 * cell->recall_error < place->floor;
    printf(" %.4f%s", cell->recall, !is_below ? " " : is_sure ? "!" : "?");
    if (least > 0) {
        printf("x%-4.2f", cell->cost / least);
    }
    if (cell->n_wrong > 0) {
        printf("(%u wrong)", cell->n_wrong);
    }
    t->n_cells++;
    t->n_below += t->options->is_forgiving ? is_sure : is_below;
    t->n_wrong += cell->n_wrong;
    write_cell(t, place, cell, least);
}

static size_t climb(struct table *t, struct cell *ladder)
{
    for (size_t i = 0; i < N_EFS; i++) {
        char with[64];
        (void)snprintf(with, sizeof(with), "ef = %u", efs[i]);
        ladder[i] = server_search(&t->server, &t->data, &no_condition, with);
        if (ladder[i].recall >= floors[N_FLOORS - 1]) {
            return i + 1;
        }
    }
    return N_EFS;
}

static void measure_floors(struct table *t, const struct state *state)
{
    struct cell ladder[N_EFS], cells[N_FLOORS];
    for (size_t i = 0; i < N_FLOORS; i++) { /* First of all: what was measured may soon be new. */
        char with[64];
        (void)snprintf(with, sizeof(with), "recall = %.2f", floors[i]);
        cells[i] = server_search(&t->server, &t->data, &no_condition, with);
    }
    bool has_ladder = state->is_to_settle && !t->options->has_no_effort;
    size_t n = has_ladder ? climb(t, ladder) : 0;
    for (size_t i = 0; i < N_FLOORS; i++) {
        judge(t, &(struct place){state->name, &no_condition, floors[i]}, &cells[i],
              least_cost(t, ladder, n, floors[i]));
    }
}

static void measure_conditions(struct table *t, const struct state *state)
{
    for (size_t i = 0; i < N_CONDITIONS; i++) {
        char with[64];
        (void)snprintf(with, sizeof(with), "recall = %.2f", filter_floor);
        struct cell cell = server_search(&t->server, &t->data, &conditions[i], with);
        judge(t, &(struct place){state->name, &conditions[i], filter_floor}, &cell, 0);
    }
}

static void measure_state(struct table *t, const struct state *state)
{
    printf("%-12s %-6s %-11s", t->data.shape->name, metric_names[t->data.metric], state->name);
    measure_floors(t, state);
    printf(" |");
    measure_conditions(t, state);
    uint32_t by_key = server_count_lost(&t->server, &t->data, true);
    uint32_t by_vector = state->comes_measured ? server_count_lost(&t->server, &t->data, false) : 0;
    printf(" | %u %u\n", by_key, by_vector);
    (void)fflush(stdout);
    t->n_lost += by_key + by_vector;
    t->n_looks += state->comes_measured ? 2 : 1;
    /* By its vector a row is looked for as by any other query: the floor is what counts, 0.95. */
    uint32_t lost_max = t->data.n_rows / 20;
    t->n_vain += (by_key > 0 ? 1U : 0) + (by_vector > lost_max ? 1U : 0);
}

static bool is_wanted(const char *list, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, bytes) == 0 && (at[bytes] == ',' || at[bytes] == '\0')) {
            return true;
        }
    }
    return list == NULL;
}

static void measure_shape(struct table *t, const struct shape *shape, enum metric metric)
{
    const struct options *o = t->options;
    data_make(&t->data, shape, metric, o->n_rows, o->n_queries, o->seed);
    for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
        bool is_asked_for = is_wanted(o->states, states[i].name);
        if (is_asked_for || !states[i].is_to_settle) {
            states[i].enter(t);
        }
        if (is_asked_for) {
            measure_state(t, &states[i]);
        }
    }
    server_drop(&t->server);
    data_free(&t->data);
}

/* ---- options ---- */

static uint32_t read_number(const char *text)
{
    char *end;
    unsigned long x = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || x > INT32_MAX) {
        fail(text, "is no number that is possible here");
    }
    return (uint32_t)x;
}

static void read_option(struct options *o, const char *argument)
{
    const struct {
        const char *name, **text;
        uint32_t *number;
    } known[] = {
        {"--server=", &o->server, NULL},     {"--shapes=", &o->shapes, NULL},
        {"--metrics=", &o->metrics, NULL},   {"--states=", &o->states, NULL},
        {"--with=", &o->with, NULL},         {"--out=", &o->out, NULL},
        {"--rows=", NULL, &o->n_rows},       {"--queries=", NULL, &o->n_queries},
        {"--wait=", NULL, &o->wait_seconds}, {"--seed=", NULL, &o->seed},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        size_t n = strlen(known[i].name);
        if (strncmp(argument, known[i].name, n) == 0 && known[i].text != NULL) {
            *known[i].text = argument + n;
            return;
        }
        if (strncmp(argument, known[i].name, n) == 0 && known[i].number != NULL) {
            *known[i].number = read_number(argument + n);
            return;
        }
    }
    if (strcmp(argument, "--no-effort") == 0) {
        o->has_no_effort = true;
    } else if (strcmp(argument, "--forgive") == 0) {
        o->is_forgiving = true;
    } else {
        fail(argument, "no such option; see the head of bench/promises/main.c");
    }
}

int main(int argc, char **argv)
{
    struct options o = {
        .server = "", .with = "", .n_rows = 20000, .n_queries = 500, .wait_seconds = 60, .seed = 1};
    for (int i = 1; i < argc; i++) {
        read_option(&o, argv[i]);
    }
    if (o.n_rows < 100 || o.n_queries == 0) {
        fail("--rows, --queries", "at least 100 rows and a query are wanted");
    }
    struct table t = {.options = &o, .out = o.out == NULL ? NULL : fopen(o.out, "w")};
    if (o.out != NULL && t.out == NULL) {
        fail(o.out, "cannot be written");
    }
    if (t.out != NULL) {
        fprintf(t.out, "shape\tmetric\tstate\twhere\tfloor\trecall\terror\tcost\tleast\twrong\n");
    }
    server_connect(&t.server, o.server);
    printf(
        "%u rows, %u queries, recall@%d asked for and measured; rows not found by key, by vector\n"
        "shape        metric state       0.80          0.90         0.95         0.99 | at 0.95: "
        "50 %%   10 %%   1 %%   0.1 %%  own    others 10 %%   | lost\n",
        o.n_rows, o.n_queries, K);
    for (size_t s = 0; s < n_shapes; s++) {
        for (int m = 0; m < N_METRICS; m++) {
            if (is_wanted(o.shapes, shapes[s].name) && is_wanted(o.metrics, metric_names[m])) {
                measure_shape(&t, &shapes[s], (enum metric)m);
            }
        }
    }
    vc_close(t.server.conn);
    if (t.out != NULL && fclose(t.out) != 0) {
        fail(o.out, "cannot be written");
    }
    uint32_t n_failed = t.n_below + t.n_wrong + t.n_vain;
    printf("%u cells, %u below their floor; %u rows not found; %u answers wrong\n"
           "%u passed, %u failed\n",
           t.n_cells, t.n_below, t.n_lost, t.n_wrong, t.n_cells + t.n_looks - t.n_below - t.n_vain,
           n_failed);
    return t.n_cells > 0 && n_failed == 0 ? 0 : 1;
}
