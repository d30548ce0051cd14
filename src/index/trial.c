/* DOT: by which radius of the reduction rows are linked, decided by trial.
 *
 * No one radius suits all data (doc/decisions/reachable-rows.md), so now and then, as the graph
 * grows, a sample of its rows is linked by either: two small graphs, which are asked the rest of
 * the sample as queries.  The radius by which the nearest row is found with far fewer distances is
 * that of the graph from there on.  The nearest counts most, for in so small a graph it stands
 * where the tenth does in one of ten times as many rows.
 *
 * All of it follows from the rows and from their place in the log: the sample from hashes of row
 * numbers, the costs from keys, which are equal on every machine.  It goes on in steps, each about
 * as much work as linking a chunk is.  Checkpoints may fall between them and know nothing of it:
 * the graph stays as it is until it is over, so a trial that begins anew finds the same. */
#include "index/build_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_ROWS = 8192, /* Of the graph at the first trial; at each later one */
    GROWTH = 4,        /* so many times as many as at the last. */
    SAMPLE_ROWS = 4096,
    SAMPLE_FLOATS = 1 << 21, /* Of longer vectors fewer, */
    SAMPLE_ROWS_MIN = 1024,  /* down to so many. */
    QUERIES_A_STEP = 32,     /* Compared with all rows of the sample. */
    EF_FIRST = 4,            /* Half as many more at each of */
    EF_STEPS = 20,           /* so many steps, until of what is nearest */
    FOUND_PERCENT = 95,      /* so much is found. */
    TENTH = 10
};

/* A radius is better that takes less than so much of what the other takes, until the nearest is
 * found, and until the ten nearest are. */
static const double better[TRIAL_RANKS] = {0.7, 0.8};

static const size_t ranks[TRIAL_RANKS] = {1, TENTH};

/* ---- the sample ---- */

struct pick {
    uint64_t hash;
    uint32_t slot;
};

static int compare_picks(const void *one, const void *other)
{
    const struct pick *a = one, *b = other;
    return a->hash == b->hash ? 0 : a->hash < b->hash ? -1 : 1;
}

/* About @wanted of @n rows, which ones does not depend on slots; writes up to @max of them. */
static size_t pick_rows(const struct index *index, size_t wanted, size_t n, struct pick *out,
                        size_t max)
{
    const struct slots *slots = &index->slots;
    uint32_t n_used = atomic_load_explicit(&slots->n_used, memory_order_acquire);
    size_t n_picked = 0;
    for (uint32_t slot = 0; slot < n_used; slot++) {
        if ((slot_state(slots, slot) & (SLOT_LINKED | SLOT_DEAD)) == SLOT_LINKED) {
            /* Another hash than that of levels and places in the map. */
            uint64_t hash = hash_u64(~node_at(slots, slot)->row);
            if (hash % (n + 1) < wanted) {
                if (n_picked < max) {
                    out[n_picked] = (struct pick){.hash = hash, .slot = slot};
                }
                n_picked++;
            }
        }
    }
    return n_picked;
}

static size_t sample_rows(uint32_t dim)
{
    size_t n = SAMPLE_FLOATS / dim;
    n = n > SAMPLE_ROWS_MIN ? n : SAMPLE_ROWS_MIN;
    return n < SAMPLE_ROWS ? n : SAMPLE_ROWS;
}

static bool take_sample(const struct index *index, struct trial *trial)
{
    size_t dim = index->config.dim;
    size_t n_graph = atomic_load_explicit(&index->n_linked, memory_order_relaxed) - index->n_dead;
    size_t wanted = sample_rows(index->config.dim) + TRIAL_QUERIES;
    size_t n = pick_rows(index, wanted, n_graph, NULL, 0);
    struct pick *picks = mem_alloc(MEM_GRAPH, (n + 1) * sizeof(*picks));
    trial->vectors = mem_alloc(MEM_GRAPH, (n + 1) * dim * sizeof(float));
    bool has_memory = picks != NULL && trial->vectors != NULL;
    if (has_memory) {
        (void)pick_rows(index, wanted, n_graph, picks, n);
        qsort(picks, n, sizeof(*picks), compare_picks);
        for (size_t i = 0; i < n; i++) {
            memcpy(trial->vectors + i * dim, vector_at(&index->slots, picks[i].slot),
                   dim * sizeof(float));
        }
        trial->n_rows = n > TRIAL_QUERIES ? n - TRIAL_QUERIES : 0;
    }
    mem_free(MEM_GRAPH, picks);
    return has_memory;
}

/* ---- a graph of it ---- */

static struct index *make_graph(const struct index *index, const struct trial *trial,
                                struct err *err)
{
    struct index_config config = index->config;
    config.storage = NULL;
    config.labels_are_keys = false;
    uint64_t *numbers = mem_alloc(MEM_GRAPH, trial->n_rows * sizeof(*numbers));
    struct index *graph = index_new(&config, err);
    if (numbers == NULL || graph == NULL) {
        mem_free(MEM_GRAPH, numbers);
        index_free(graph);
        err_no_memory(err);
        return NULL;
    }
    for (size_t i = 0; i < trial->n_rows; i++) {
        numbers[i] = i;
    }
    graph->radius = trial->radius;
    struct index_rows rows = {.numbers = numbers,
                              .vectors = trial->vectors + (size_t)TRIAL_QUERIES * config.dim,
                              .n = trial->n_rows};
    if (index_stage_insert(graph, 1, &rows, err) != ERR_OK) {
        index_free(graph);
        graph = NULL;
    }
    mem_free(MEM_GRAPH, numbers);
    return graph;
}

static enum errcode link_some(struct trial *trial, const struct index_crew *crew, struct err *err)
{
    struct index *graph = trial->graph;
    uint32_t slots[INDEX_CHUNK];
    size_t n = 0;
    for (; n < INDEX_CHUNK && trial->n_linked + n < trial->n_rows; n++) {
        slots[n] = row_map_find(&graph->map, &graph->slots, trial->n_linked + n);
    }
    enum errcode code = link_chunk(graph, slots, n, crew, err);
    trial->n_linked += code == ERR_OK ? n : 0;
    return code;
}

/* ---- the queries ---- */

/* As a search has it that brings its query. */
static struct walk start(struct trial *trial, size_t query, struct scratch *scratch,
                         struct index_search *search, struct index_work *work)
{
    size_t dim = trial->graph->config.dim;
    *search = (struct index_search){.k = 1, .ef = trial->ef, .plan = INDEX_WALK};
    memcpy(scratch->query, trial->vectors + query * dim, dim * sizeof(float));
    return walk_start(trial->graph, scratch, scratch->query, search, work);
}

/* The least of the exact keys, in order. */
struct nearest {
    float keys[TENTH];
    size_t n;
};

static void nearest_add(struct nearest *nearest, float key)
{
    size_t at = nearest->n < TENTH ? nearest->n++ : TENTH;
    for (; at > 0 && key < nearest->keys[at - 1]; at--) {
        if (at < TENTH) {
            nearest->keys[at] = nearest->keys[at - 1];
        }
    }
    if (at < TENTH) {
        nearest->keys[at] = key;
    }
}

static void look(struct walk *exact, const uint32_t *slots, size_t n, struct nearest *nearest)
{
    float keys[BATCH];
    walk_keys(exact, slots, n, keys);
    for (size_t i = 0; i < n; i++) {
        nearest_add(nearest, keys[i]);
    }
}

static void ask_all(struct trial *trial, size_t query, struct scratch *scratch)
{
    struct index_search search;
    struct index_work work = {0};
    struct walk w = start(trial, query, scratch, &search, &work), exact = walk_exactly(&w);
    uint32_t batch[BATCH];
    struct nearest nearest = {.n = 0};
    size_t n = 0;
    for (uint32_t slot = 0; slot < trial->n_rows; slot++) {
        batch[n++] = slot;
        if (n == BATCH || slot + 1 == trial->n_rows) {
            look(&exact, batch, n, &nearest);
            n = 0;
        }
    }
    for (size_t i = 0; i < TRIAL_RANKS; i++) {
        trial->nearest[i][query] = nearest.keys[ranks[i] - 1];
    }
}

static bool ask_graph(struct trial *trial, size_t query, struct scratch *scratch)
{
    struct err err;
    struct index_search search;
    struct index_work work = {0};
    struct walk w = start(trial, query, scratch, &search, &work);
    uint32_t entry = atomic_load_explicit(&trial->graph->entry, memory_order_relaxed);
    struct candidate at = walk_candidate(&w, entry);
    at = walk_descend(&w, at, node_at(&trial->graph->slots, entry)->level, 1);
    if (walk_layer(&w, 0, &at, 1, trial->ef, &err) != ERR_OK) {
        return false;
    }
    trial->distances[query] = (uint32_t)work.distances;
    struct walk exact = walk_exactly(&w);
    struct nearest nearest = {.n = 0};
    for (size_t i = 0; i < scratch->near.n; i++) {
        look(&exact, &scratch->near.items[i].slot, 1, &nearest);
    }
    for (size_t i = 0; i < TRIAL_RANKS; i++) {
        size_t n = 0;
        while (n < nearest.n && n < ranks[i] && nearest.keys[n] <= trial->nearest[i][query]) {
            n++;
        }
        trial->n_found[i][query] = (uint8_t)n;
    }
    return true;
}

static void ask_task(void *arg, size_t i)
{
    struct trial *trial = arg;
    struct err err;
    struct scratch *scratch = scratch_for(trial->graph, &err);
    bool has_memory = scratch != NULL;
    if (has_memory && trial->n_asked < TRIAL_QUERIES) {
        ask_all(trial, trial->n_asked + i, scratch);
    } else if (has_memory) {
        has_memory = ask_graph(trial, i, scratch);
    }
    if (!has_memory) {
        atomic_store_explicit(&trial->failed, true, memory_order_relaxed);
    }
}

static enum errcode ask(struct trial *trial, size_t n, const struct index_crew *crew,
                        struct err *err)
{
    atomic_store_explicit(&trial->failed, false, memory_order_relaxed);
    crew_run(crew, n, ask_task, trial);
    return atomic_load_explicit(&trial->failed, memory_order_relaxed) ? err_no_memory(err) : ERR_OK;
}

/* ---- what it costs ---- */

static double add_found(const struct trial *trial, size_t i)
{
    double found = 0;
    for (size_t query = 0; query < TRIAL_QUERIES; query++) {
        found += (double)trial->n_found[i][query] / (double)ranks[i];
    }
    return found;
}

/* On a line between two efs, where enough is found. */
static void note_cost(struct trial *trial, size_t i, double cost)
{
    double found = add_found(trial, i), last = trial->found_last[i];
    double wanted = FOUND_PERCENT / 100.0 * TRIAL_QUERIES;
    double *out = &trial->costs[trial->radius][i];
    if (!(*out > 0) && (found >= wanted || trial->step == EF_STEPS)) {
        bool is_line = trial->step > 0 && found >= wanted;
        double share = is_line ? (wanted - last) / (found - last) : 1;
        *out = trial->cost_last + share * (cost - trial->cost_last);
    }
    trial->found_last[i] = found;
}

/* True where all costs are known. */
static bool add_up(struct trial *trial)
{
    double cost = 0;
    bool is_known = true;
    for (size_t query = 0; query < TRIAL_QUERIES; query++) {
        cost += (double)trial->distances[query] / TRIAL_QUERIES;
    }
    for (size_t i = 0; i < TRIAL_RANKS; i++) {
        note_cost(trial, i, cost);
        is_known = is_known && trial->costs[trial->radius][i] > 0;
    }
    trial->cost_last = cost;
    trial->ef += trial->ef / 2;
    trial->step++;
    return is_known;
}

static void trial_fini(struct index *index)
{
    struct trial *trial = index->trial;
    index->trial = NULL;
    if (trial != NULL) {
        index_free(trial->graph);
        mem_free(MEM_GRAPH, trial->vectors);
        mem_free(MEM_GRAPH, trial);
    }
}

static bool is_better(const struct trial *trial, enum radius radius, enum radius than)
{
    bool is_better = true;
    for (size_t i = 0; i < TRIAL_RANKS; i++) {
        is_better = is_better && trial->costs[radius][i] < better[i] * trial->costs[than][i];
    }
    return is_better;
}

/* Of few rows nothing is learned. */
static void trial_end(struct index *index)
{
    const struct trial *trial = index->trial;
    enum radius other = index->radius == RADIUS_LONG ? RADIUS_SHORT : RADIUS_LONG;
    if (trial->n_rows >= SAMPLE_ROWS_MIN / 2 && is_better(trial, other, index->radius)) {
        index->radius = other;
        reduction_settle(index);
    }
    index->tried_at = atomic_load_explicit(&index->n_linked, memory_order_relaxed);
    trial_fini(index);
}

static enum errcode trial_begin(struct index *index, struct err *err)
{
    index->trial = mem_zalloc(MEM_GRAPH, sizeof(*index->trial));
    if (index->trial == NULL) {
        return err_no_memory(err);
    }
    unsigned place = epoch_enter(&index->epochs, 0);
    bool has_memory = take_sample(index, index->trial);
    epoch_leave(&index->epochs, place);
    if (!has_memory) {
        trial_fini(index);
        return err_no_memory(err);
    }
    return ERR_OK;
}

static void next_radius(struct index *index)
{
    struct trial *trial = index->trial;
    index_free(trial->graph);
    trial->graph = NULL;
    trial->n_linked = 0;
    trial->radius++;
    if (trial->radius == RADII) {
        trial_end(index);
    }
}

static enum errcode trial_go_on(struct index *index, const struct index_crew *crew, struct err *err)
{
    struct trial *trial = index->trial;
    if (trial->n_rows < SAMPLE_ROWS_MIN / 2) {
        trial_end(index);
        return ERR_OK;
    }
    if (trial->graph == NULL) {
        trial->graph = make_graph(index, trial, err);
        trial->cost_last = 0;
        trial->ef = EF_FIRST;
        trial->step = 0;
        return trial->graph != NULL ? ERR_OK : err->code;
    }
    if (trial->n_linked < trial->n_rows) {
        return link_some(trial, crew, err);
    }
    size_t n = trial->n_asked < TRIAL_QUERIES ? QUERIES_A_STEP : TRIAL_QUERIES;
    enum errcode code = ask(trial, n, crew, err);
    if (code == ERR_OK && trial->n_asked < TRIAL_QUERIES) {
        trial->n_asked += n;
    } else if (code == ERR_OK && add_up(trial)) {
        next_radius(index);
    }
    return code;
}

bool trial_is_due(const struct index *index)
{
    size_t n = atomic_load_explicit(&index->n_linked, memory_order_relaxed);
    return index->lengths != NULL && n >= FIRST_ROWS && n / GROWTH >= index->tried_at;
}

enum errcode trial_step(struct index *index, const struct index_crew *crew, struct err *err)
{
    return index->trial == NULL ? trial_begin(index, err) : trial_go_on(index, crew, err);
}
