/* Several query vectors in one SEARCH: the hits of some of them are looked for at once, by the
 * step's thread and by helpers from the work pool; their rows are made in order afterwards.
 *
 *   step:    team_find: jobs for the pool, claims queries itself, says that it is over, waits
 *            for helpers that are inside, takes what was found
 *   helper:  comes in unless it is over, claims queries, leaves
 *
 * A helper that comes late finds it over, so nobody waits for a job that has not begun.  What a
 * helper cannot find (an error, a cancel) the step looks for again by itself, and tells. */
#include "query/database_int.h"
#include "query/lanes_int.h"
#include "query/portal_int.h"
#include "query/search_int.h"

#include "expr/expr.h"
#include "plan/plan.h"

#include <string.h>

enum {
    HELPERS_MAX = 15,
    TEAM_QUERIES_MAX = 256,  /* Found before their rows are made... */
    TEAM_HITS_MAX = 1 << 16, /* ...and hits of all of them. */
};

/* Counted: by the step, and by each job that has not run. */
struct team {
    atomic_uint refs;
    struct portal *portal;    /* And what it has: of those inside. */
    size_t first, n;          /* Queries. */
    atomic_size_t n_claimed;  /* Of them. */
    struct mutex lock;        /* What follows. */
    struct condition changed; /* Somebody left. */
    unsigned n_inside;
    bool is_over;
    struct job jobs[HELPERS_MAX];
};

static void team_unref(struct team *team)
{
    CHECK(atomic_load(&team->refs) > 0);
    if (atomic_fetch_sub(&team->refs, 1) == 1) {
        condition_fini(&team->changed);
        mutex_fini(&team->lock);
        mem_free(MEM_STATEMENT, team);
    }
}

/* ---- looking ---- */

static void look(struct searcher *self, struct search_found *found, size_t q)
{
    CHECK(!found->is_valid && found->hits != NULL);
    const struct search_state *s = self->portal->verb_state;
    struct err err;
    self->hits = found->hits;
    enum errcode code =
        self->portal->plan->access.where != NULL ? searcher_open_view(self, &err) : ERR_OK;
    self->done = (struct index_work){0};
    if (code == ERR_OK) {
        code = search_find(self, q, s->way, &err);
    }
    searcher_close_view(self);
    found->n_hits = self->n_hits;
    found->rows_end = self->rows_end;
    found->done = self->done;
    found->is_valid = code == ERR_OK;
}

static void claim_and_look(struct team *team, struct searcher *self)
{
    struct search_state *s = team->portal->verb_state;
    for (size_t i; (i = atomic_fetch_add(&team->n_claimed, 1)) < team->n;) {
        CHECK(team->first + i < team->portal->plan->search.n_queries);
        look(self, &s->found[i], team->first + i);
    }
}

/* ---- helpers ---- */

/* Asked by the helper's own meter. */
static enum errcode ask(struct work *work, struct err *err)
{
    struct searcher *self = CONTAINER_OF(work, struct searcher, own_work);
    enum errcode code = portal_poll(self->portal, err);
    work->left = code == ERR_OK ? WORK_SLICE : 0;
    return code;
}

static void help(struct team *team, struct arena *arena, struct arena *row_arena)
{
    struct portal *p = team->portal;
    const struct search_state *s = p->verb_state;
    struct evaluator evaluator = p->evaluator;
    struct searcher self = {
        .portal = p,
        .evaluator = &evaluator,
        .row_arena = row_arena,
        .own_work = {.left = WORK_SLICE, .ask = ask},
        .index_hits = arena_array(arena, s->k + 1, sizeof(*self.index_hits)),
    };
    self.work = evaluator.work = &self.own_work;
    evaluator.arena = row_arena;
    evaluator.stack = arena_array(arena, p->plan->stack_max + 1, sizeof(struct value));
    evaluator.columns = arena_array(arena, p->plan->schema->n_columns, sizeof(struct value));
    self.lanes = lanes_of_access(p->plan, arena);
    if (!arena_failed(arena)) {
        claim_and_look(team, &self);
    }
}

static void run_helper(void *arg)
{
    CHECK_ROLE(work_thread);
    struct team *team = arg;
    mutex_lock(&team->lock);
    bool is_in = !team->is_over;
    team->n_inside += is_in ? 1 : 0;
    mutex_unlock(&team->lock);
    if (is_in) {
        struct arena *arena = arena_new(MEM_STATEMENT, team->portal->budget_bytes);
        struct arena *row_arena = arena_new(MEM_STATEMENT, team->portal->budget_bytes);
        if (arena != NULL && row_arena != NULL) {
            help(team, arena, row_arena);
        }
        arena_free(arena);
        arena_free(row_arena);
        mutex_lock(&team->lock);
        CHECK(team->n_inside > 0);
        team->n_inside--;
        condition_signal(&team->changed);
        mutex_unlock(&team->lock);
    }
    team_unref(team);
}

/* ---- the step ---- */

static struct team *team_new(struct portal *p, size_t first, size_t n)
{
    CHECK(n > 1 && first + n <= p->plan->search.n_queries);
    struct team *team = mem_zalloc(MEM_STATEMENT, sizeof(*team));
    if (team != NULL) {
        atomic_init(&team->refs, 1);
        team->portal = p;
        team->first = first;
        team->n = n;
        mutex_init(&team->lock);
        condition_init(&team->changed);
    }
    return team;
}

static void call_helpers(struct team *team, struct node *node)
{
    size_t n = node_threads(node) - 1; /* The step is on one of them. */
    n = n < team->n - 1 ? n : team->n - 1;
    n = n < HELPERS_MAX ? n : HELPERS_MAX;
    atomic_fetch_add(&team->refs, (unsigned)n);
    for (size_t i = 0; i < n; i++) {
        team->jobs[i] = (struct job){.run = run_helper, .arg = team};
        node_submit(node, &team->jobs[i]);
    }
}

static void end_helpers(struct team *team)
{
    mutex_lock(&team->lock);
    CHECK(!team->is_over);
    team->is_over = true;
    while (team->n_inside > 0) {
        condition_wait(&team->changed, &team->lock);
    }
    mutex_unlock(&team->lock);
}

/* Room for the hits of @n queries; kept until the statement ends. */
static bool want_room(struct portal *p, struct search_state *s, size_t n)
{
    if (s->found != NULL) {
        return true;
    }
    struct search_found *found = arena_array(p->arena, n, sizeof(*found));
    for (size_t i = 0; found != NULL && i < n; i++) {
        found[i] =
            (struct search_found){.hits = arena_array(p->arena, s->k + 1, sizeof(*found->hits))};
    }
    if (arena_failed(p->arena)) {
        return false;
    }
    s->found = found;
    return true;
}

void search_team_find(struct portal *p)
{
    struct search_state *s = p->verb_state;
    size_t left = p->plan->search.n_queries - s->next_query;
    size_t n = TEAM_HITS_MAX / (s->k + 1);
    n = n > TEAM_QUERIES_MAX ? TEAM_QUERIES_MAX : n;
    CHECK(s->next_query <= p->plan->search.n_queries);
    s->n_found = 0;
    if (p->is_inline || s->way == WAY_EXACT_MATCHES || left < 2 || n < 2 ||
        node_threads(p->db->node) < 2) {
        return;
    }
    if (!want_room(p, s, n < left || s->found != NULL ? n : left)) {
        return;
    }
    n = n < left ? n : left;
    struct team *team = team_new(p, s->next_query, n);
    if (team == NULL) {
        return;
    }
    struct searcher self = s->self;
    call_helpers(team, p->db->node);
    claim_and_look(team, &self);
    end_helpers(team);
    team_unref(team);
    s->first_found = s->next_query;
    s->n_found = n;
}

bool search_take_found(struct searcher *self, size_t q)
{
    struct search_state *s = self->portal->verb_state;
    if (q < s->first_found || q - s->first_found >= s->n_found) {
        return false;
    }
    struct search_found *found = &s->found[q - s->first_found];
    if (!found->is_valid) {
        return false;
    }
    found->is_valid = false; /* Where it does not do, the query is searched again. */
    CHECK(found->n_hits <= s->k);
    memcpy(self->hits, found->hits, found->n_hits * sizeof(*found->hits));
    self->n_hits = found->n_hits;
    self->rows_end = found->rows_end;
    self->done.distances += found->done.distances;
    self->done.hops += found->done.hops;
    self->done.reranked += found->done.reranked;
    self->done.exact_walks += found->done.exact_walks;
    self->done.beyond += found->done.beyond;
    self->done.denser += found->done.denser;
    self->done.sparser += found->done.sparser;
    self->done.tail_rows += found->done.tail_rows;
    self->done.filter_calls += found->done.filter_calls;
    self->done.is_complete = found->done.is_complete;
    return true;
}
