/* How a SEARCH is answered: the choice, and what it rests on.
 *
 *   walk                    no WHERE: the graph, and the rows that it has not got yet
 *   filtered walk           the graph, asking of each row met whether it matches
 *   exact over the matches  first the rows that match (by key, or by a scan), then their distances
 *   exact scan              every vector's distance, asking only of rows that come near enough
 *
 * They are compared by what they cost: a walk by the distances that calibration has counted at the
 * ef it needs, and with a WHERE by the share of rows that match in a sample.  A walk of which it is
 * not known that it reaches recall is not chosen where a scan is cheap; where it is known not to,
 * on_miss decides.  The figures below are nanoseconds on the machine of doc/architecture.md; only
 * their ratios matter. */
#include "query/lanes_int.h"
#include "query/portal_int.h"
#include "query/search_int.h"

#include "plan/plan.h"

#include <math.h>

enum {
    CELL_ROW_NS = 120,     /* A row whose columns are in memory, tested alone. */
    SCANNED_ROW_NS = 350,  /* The next row of a scan of the file, decoded and tested. */
    FETCHED_ROW_NS = 1100, /* A row of the file by its number, decoded and tested. */
    GIVEN_ROW_NS = 140,    /* A row by its number in the index, beside its distance. */
    BLOCK_NS = 300,        /* A block drawn by chance, beside its rows. */
    ASKED_NS = 250,        /* A row that a filtered walk meets far from where it will end. */
    EXACT_NS = 5000,       /* What an exact search costs in any case. */
    SAMPLE_ROWS = 16,
    SAMPLE_PART = 16,     /* What the rest of the sample may cost: this part of the cheapest way. */
    WALK_SURE = 4,        /* A walk that costs so many times less needs no larger sample. */
    SAMPLE_DRAWS = 20000, /* At most. */
    SMALL_ROWS = 500,     /* So few rows are scanned sooner than sampled. */
    /* Floats of a collection that is compared with the query without asking whether it may be, and
     * of one that is where nothing was measured yet. */
    CHEAP_FLOATS = 1 << 20,
    UNMEASURED_FLOATS = 1 << 24,
    DISTANCES_AN_EF = 16, /* Of an ef that a policy gives: about. */
    GIVE_UP_PART = 3,     /* What a walk may cost in vain: this part of the cheapest exact way. */
    GIVE_UP_CALLS = 500,  /* At the least. */
};
/* The sample is over when the share's standard error, over the share, is as small. */
static const double SURE = 0.25;
/* Of the share that was found at the least, where the error is larger than that. */
static const double SHARE_LOW_MIN = 0.125;

const char *search_way_name(enum search_way way)
{
    static const char *const names[] = {
        [WAY_WALK] = "walk",
        [WAY_FILTERED_WALK] = "filtered walk",
        [WAY_EXACT_MATCHES] = "exact over the matches",
        [WAY_EXACT_SCAN] = "exact scan",
    };
    return names[way];
}

/* ---- the sample ---- */

/* What a walk takes, at the least share of matches that is likely: the dear side of what is not
 * known. */
static void take_effort(struct portal *p, struct search_state *s)
{
    struct shard_effort *e = &s->effort;
    shard_effort_for(p->shard, p->plan->search.column, p->force.recall, s->k, s->share_low, e);
    if (p->force.ef != 0) {
        e->ef = (size_t)p->force.ef;
        e->distances = (double)e->ef * DISTANCES_AN_EF / s->share_low;
        e->filter_calls = p->plan->access.where == NULL ? 0 : (double)e->ef / s->share_low;
    }
    s->ef = e->ef < s->k ? s->k : e->ef;
}

/* A row by chance: the number that is drawn, or where no row has it the next one that is there. */
static enum errcode test_some_row(struct searcher *self, uint64_t number, bool *matches,
                                  bool *found, struct err *err)
{
    enum errcode code = search_test_row(self, number, matches, found, err);
    for (uint64_t from = number; code == ERR_OK && !*found; from = 0) {
        struct shard_row row;
        bool is_any;
        code = shard_view_next(self->view, from, &row, &is_any, err);
        if (code == ERR_OK && is_any) {
            return search_test_row(self, row.number, matches, found, err);
        }
        if (from == 0) {
            break;
        }
    }
    return code;
}

/* What was drawn: rows one by one, and blocks of rows that may have much in common.  So the error
 * is reckoned from how much the draws differ. */
struct sample {
    struct portal *portal;
    struct search_state *s;
    uint64_t random;
    double rows, matches;
    double matches_squared, products, rows_squared; /* Sums over the draws. */
    double n_in_memory;                             /* Of the rows that were drawn one by one. */
    double ns;
};

static void note(struct sample *sample, double rows, double matches)
{
    sample->rows += rows;
    sample->matches += matches;
    sample->matches_squared += matches * matches;
    sample->products += matches * rows;
    sample->rows_squared += rows * rows;
}

/* Half a match more, so that none in the sample does not mean none at all. */
static double share_of(const struct sample *sample)
{
    return (sample->matches + 0.5) / (sample->rows + 1);
}

/* The standard error of the share, over the share. */
static double error_of(const struct sample *sample)
{
    double share = share_of(sample);
    double squares = sample->matches_squared - 2 * share * sample->products +
                     share * share * sample->rows_squared;
    return sample->matches > 0 ? sqrt(fmax(squares, 0)) / sample->matches : 1;
}

static uint64_t draw_number(struct sample *sample)
{
    return random_next(&sample->random) % shard_rows_end(sample->portal->shard);
}

static enum errcode draw_row(struct sample *sample, uint64_t number, struct err *err)
{
    struct searcher *self = &sample->s->self;
    bool found, matches;
    uint64_t read_before = self->rows_read;
    enum errcode code = test_some_row(self, number, &matches, &found, err);
    if (code == ERR_OK && found) {
        bool is_in_memory = read_before == self->rows_read;
        sample->n_in_memory += is_in_memory ? 1 : 0;
        sample->ns += is_in_memory ? CELL_ROW_NS : FETCHED_ROW_NS;
        note(sample, 1, matches ? 1 : 0);
    }
    return code;
}

static enum errcode draw_block(struct sample *sample, struct err *err)
{
    struct search_block block;
    bool is_there;
    uint64_t number = draw_number(sample);
    enum errcode code =
        search_test_block(&sample->s->self, number, SHARD_BLOCK_IF_THERE, &block, &is_there, err);
    if (code != ERR_OK || !is_there) {
        return code == ERR_OK ? draw_row(sample, number, err) : code;
    }
    double rows = __builtin_popcountll(block.found);
    sample->ns += BLOCK_NS + rows * sample->s->block_row_ns;
    note(sample, rows, __builtin_popcountll(block.matches));
    return code;
}

/* Side by side, so that what each waits for from memory comes at once. */
static enum errcode draw_rows(struct sample *sample, struct err *err)
{
    uint64_t numbers[SAMPLE_ROWS];
    enum errcode code = ERR_OK;
    for (size_t i = 0; i < SAMPLE_ROWS; i++) {
        numbers[i] = draw_number(sample);
    }
    shard_view_prefetch(sample->s->self.view, numbers, SAMPLE_ROWS,
                        sample->portal->plan->access.columns.bits);
    for (size_t i = 0; i < SAMPLE_ROWS && code == ERR_OK; i++) {
        code = draw_row(sample, numbers[i], err);
    }
    sample->s->share_in_memory = sample->n_in_memory / fmax(sample->rows, 1);
    return code;
}

static void take_share(struct search_state *s, const struct sample *sample)
{
    double error = error_of(sample);
    s->n_sampled = (size_t)sample->rows;
    s->selectivity = share_of(sample);
    s->share_low = s->selectivity * fmax(1 - error, SHARE_LOW_MIN);
    s->n_as_if_alone = fmin(sample->rows, (1 - s->selectivity) / (s->selectivity * error * error));
}

/* Whether a walk is the better way whatever the share is within the sample's error. */
static bool is_walk_sure(const struct portal *p, const struct search_state *s);
static double cheapest_cost(const struct portal *p, const struct search_state *s);

/* A few rows first; where they do not tell enough, then blocks, as long as that costs little beside
 * the search.  A walk that is sure to be cheaper still needs the share: ef depends on it. */
static enum errcode sample(struct portal *p, struct search_state *s, struct err *err)
{
    struct sample sample = {.portal = p, .s = s, .random = collection_group(p->collection)};
    enum errcode code = draw_rows(&sample, err);
    take_share(s, &sample);
    take_effort(p, s);
    if (code != ERR_OK || (is_walk_sure(p, s) && error_of(&sample) <= SURE)) {
        return code;
    }
    double ns_max = sample.ns + cheapest_cost(p, s) / SAMPLE_PART;
    for (int i = 0; i < SAMPLE_DRAWS && sample.ns < ns_max && error_of(&sample) > SURE; i++) {
        code = draw_block(&sample, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    take_share(s, &sample);
    take_effort(p, s);
    return ERR_OK;
}

/* ---- costs ---- */

static uint32_t dimensions(const struct portal *p)
{
    return p->plan->schema->columns[p->plan->search.column].dim;
}

/* What testing a row costs that takes @file_ns where it is read from the file. */
static double test_ns(const struct search_state *s, double file_ns)
{
    return s->share_in_memory * CELL_ROW_NS + (1 - s->share_in_memory) * file_ns;
}

static double walk_cost(const struct portal *p, const struct search_state *s)
{
    return s->effort.distances * index_walk_ns(dimensions(p)) +
           s->effort.filter_calls * test_ns(s, FETCHED_ROW_NS);
}

static double distances_cost(const struct portal *p, double n)
{
    return n * index_scan_ns(dimensions(p));
}

/* Of n rows in no order, about k (1 + ln(n / k)) come among the nearest k seen so far. */
static double scan_cost(const struct portal *p, const struct search_state *s)
{
    double n = (double)s->n_rows, k = (double)s->k, matching = n * s->selectivity;
    double tested = matching <= k ? n : k / s->selectivity * (1 + log(matching / k));
    bool is_filtered = p->plan->access.where != NULL;
    return EXACT_NS + distances_cost(p, n) +
           (is_filtered ? fmin(tested, n) * test_ns(s, FETCHED_ROW_NS) : 0);
}

static double matches_cost(const struct portal *p, const struct search_state *s)
{
    double n = (double)s->n_rows, n_given = n * s->selectivity;
    double in_memory_ns = s->self.lanes != NULL ? s->block_row_ns : CELL_ROW_NS;
    double test = s->share_in_memory * in_memory_ns + (1 - s->share_in_memory) * SCANNED_ROW_NS;
    return EXACT_NS + n * test + n_given * GIVEN_ROW_NS + distances_cost(p, n_given);
}

/* The cheaper of the two exact ways with a WHERE. */
enum search_way search_exact_way(const struct portal *p, const struct search_state *s)
{
    return p->plan->access.where == NULL || scan_cost(p, s) < matches_cost(p, s)
               ? WAY_EXACT_SCAN
               : WAY_EXACT_MATCHES;
}

static double exact_cost(const struct portal *p, const struct search_state *s)
{
    return search_exact_way(p, s) == WAY_EXACT_SCAN ? scan_cost(p, s) : matches_cost(p, s);
}

static double floats_of(const struct portal *p, const struct search_state *s)
{
    return (double)s->n_rows * dimensions(p);
}

enum search_miss search_miss_of(enum shard_verdict verdict, enum on_miss on_miss, double floats)
{
    bool is_measured = verdict != SHARD_IS_NOT_MEASURED;
    if (verdict == SHARD_REACHES) {
        return MISS_IS_NONE;
    }
    if (floats <= (is_measured ? CHEAP_FLOATS : UNMEASURED_FLOATS) ||
        (is_measured && on_miss == ON_MISS_EXACT)) {
        return MISS_SCANS;
    }
    return on_miss == ON_MISS_FAIL ? MISS_FAILS : MISS_IS_TOLD;
}

static enum search_miss miss_of(const struct portal *p, const struct search_state *s)
{
    return p->force.ef != 0 ? MISS_IS_NONE
                            : search_miss_of(s->effort.verdict, p->force.on_miss, floats_of(p, s));
}

/* Whether a walk is possible, whatever it costs: by what is known of its recall. */
static bool may_walk(const struct portal *p, const struct search_state *s)
{
    return miss_of(p, s) != MISS_SCANS;
}

static bool is_walk_sure(const struct portal *p, const struct search_state *s)
{
    return may_walk(p, s) && walk_cost(p, s) * WALK_SURE < exact_cost(p, s);
}

static double cheapest_cost(const struct portal *p, const struct search_state *s)
{
    double exact = exact_cost(p, s);
    return may_walk(p, s) ? fmin(walk_cost(p, s), exact) : exact;
}

/* ---- the choice ---- */

enum errcode search_tell_miss(const struct portal *p, const struct search_state *s, struct err *err)
{
    const struct shard_effort *e = &s->effort;
    const char *name = p->plan->schema->name;
    if (e->verdict == SHARD_IS_NOT_MEASURED) {
        (void)err_set(err, ERR_RECALL_MISSED,
                      "recall is %.4g, and of \"%s\" it was not measured yet what a walk finds",
                      p->force.recall, name);
        err_hint(err, "SHOW CALIBRATION tells when it was; exact = on compares with every vector.");
    } else {
        const char *how_sure =
            e->verdict == SHARD_MAY_MISS ? "too little was measured to be sure: " : "";
        (void)err_set(
            err, ERR_RECALL_MISSED,
            "recall is %.4g, and of \"%s\" %sa walk was measured to find %.4g (%.4g to %.4g)",
            p->force.recall, name, how_sure, e->recall, e->low, e->high);
        err_hint(err, "Lower recall, or set on_miss to exact.");
    }
    err_collection(err, name);
    err_policy(err, "on_miss");
    return ERR_RECALL_MISSED;
}

enum errcode search_tell_beyond(const struct portal *p, bool is_sparse, struct err *err)
{
    const char *name = p->plan->schema->name;
    const char *kind = is_sparse ? "where the condition leaves out what is near to the query"
                                 : "for queries that lie so far from the rows";
    (void)err_set(err, ERR_RECALL_MISSED,
                  "recall is %.4g, and it was not measured what a walk in \"%s\" finds %s",
                  p->force.recall, name, kind);
    err_hint(
        err,
        is_sparse
            ? "exact = on compares with every vector that matches."
            : "Once some were asked they are measured; exact = on compares with every vector.");
    err_collection(err, name);
    err_policy(err, "on_miss");
    return ERR_RECALL_MISSED;
}

/* Why the way is exact though a walk would be cheaper; or that no walk is known to reach recall.
 * What is scanned because it is small is no miss. */
static enum errcode tell_verdict(struct portal *p, struct search_state *s, struct err *err)
{
    enum search_miss miss = miss_of(p, s);
    bool is_measured = s->effort.verdict != SHARD_IS_NOT_MEASURED;
    if (miss == MISS_IS_NONE) {
        return ERR_OK;
    }
    if (miss == MISS_SCANS) {
        s->why_exact = is_measured ? "no walk is known to reach recall"
                                   : "recall was not measured yet, and the collection is small";
    }
    if (miss != MISS_SCANS || (is_measured && floats_of(p, s) > CHEAP_FLOATS)) {
        metric_add(METRIC_recall_misses, 1);
    }
    s->is_miss_told = miss == MISS_IS_TOLD;
    return miss == MISS_FAILS ? search_tell_miss(p, s, err) : ERR_OK;
}

/* What becomes of a query that is unlike those that were measured: a walk with the effort of a
 * guess is told of, or fails, and may cost more than to compare with all. */
static void choose_beyond(const struct portal *p, struct search_state *s)
{
    double more = (double)s->effort.ef_beyond / (double)s->ef;
    s->miss_beyond = walk_cost(p, s) * more < exact_cost(p, s)
                         ? search_miss_of(SHARD_IS_NOT_MEASURED, p->force.on_miss, floats_of(p, s))
                         : MISS_SCANS;
}

static enum errcode choose(struct portal *p, struct search_state *s, struct err *err)
{
    bool is_filtered = p->plan->access.where != NULL;
    double walk = walk_cost(p, s), exact = exact_cost(p, s);
    bool is_cheaper = walk < exact, is_walk = is_cheaper && may_walk(p, s);
    enum errcode code = ERR_OK;
    s->why_exact = "it costs less than a walk";
    if (is_cheaper) {
        s->why_exact = NULL;
        code = tell_verdict(p, s, err);
    }
    s->way = !is_walk ? search_exact_way(p, s) : is_filtered ? WAY_FILTERED_WALK : WAY_WALK;
    s->cost_ns = is_walk ? walk : exact;
    /* Rows that match may lie far away, and a walk meets many others on its way there. */
    double calls = fmax(s->effort.filter_calls * 3 / 2, exact / GIVE_UP_PART / ASKED_NS);
    s->filter_calls_max = (size_t)calls + GIVE_UP_CALLS;
    choose_beyond(p, s);
    return code;
}

static void choose_exact(const struct portal *p, struct search_state *s)
{
    s->way = search_exact_way(p, s);
    s->cost_ns = exact_cost(p, s);
}

static bool is_flat(const struct portal *p)
{
    struct policy_view view;
    portal_policy_view(p, &view);
    return policy_int(&view, POLICY_index) == INDEX_FLAT;
}

/* Without a WHERE.  An ef that a policy gives is for a walk, whatever a scan would cost. */
static enum errcode choose_unfiltered(struct portal *p, struct search_state *s, bool is_exact,
                                      struct err *err)
{
    take_effort(p, s);
    s->n_rows = s->effort.rows;
    if (is_exact) {
        choose_exact(p, s);
        return ERR_OK;
    }
    if (p->force.ef != 0) {
        s->way = WAY_WALK;
        s->cost_ns = walk_cost(p, s);
        return ERR_OK;
    }
    return choose(p, s, err);
}

static enum errcode choose_filtered(struct portal *p, struct search_state *s, bool is_exact,
                                    struct err *err)
{
    enum errcode code = searcher_open_view(&s->self, err);
    if (code != ERR_OK) {
        return code;
    }
    s->n_rows = shard_view_count(s->self.view);
    s->block_row_ns = s->self.lanes != NULL ? lanes_row_ns(p->plan->access.where) : 0;
    if (p->plan->access.kind == ACCESS_KEYS) {
        s->n_rows = p->evaluator.sets[p->plan->access.key_set].n;
        s->way = WAY_EXACT_MATCHES;
        s->cost_ns = (double)s->n_rows * FETCHED_ROW_NS;
    } else if (s->n_rows <= SMALL_ROWS) {
        s->way = WAY_EXACT_MATCHES;
        s->cost_ns = matches_cost(p, s);
    } else {
        code = sample(p, s, err);
        if (code == ERR_OK && is_exact) {
            choose_exact(p, s);
        } else if (code == ERR_OK) {
            code = choose(p, s, err);
        }
    }
    searcher_close_view(&s->self);
    return code;
}

enum errcode search_choose(struct portal *p, struct search_state *s, struct err *err)
{
    bool is_exact = p->force.is_exact || is_flat(p);
    s->selectivity = s->share_low = 1;
    return p->plan->access.where == NULL && p->plan->access.kind != ACCESS_KEYS
               ? choose_unfiltered(p, s, is_exact, err)
               : choose_filtered(p, s, is_exact, err);
}
