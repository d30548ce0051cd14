/* The memory of portals: what is made once and used again, and what the last reference frees.
 *
 * A portal that is freed while a step or a write is under way is abandoned: its work notices, ends,
 * and gives its reference back here. */
#include "query/database_int.h"
#include "query/portal_int.h"
#include "query/prepared_int.h"
#include "query/session_int.h"

#include "plan/plan.h"

static void fire(void *arg)
{
    portal_event(arg);
}

void portal_dispose(struct portal *p)
{
    CHECK(p->shard == NULL && p->bound == NULL);
    arena_free(p->arena);
    arena_free(p->batch_arena);
    arena_free(p->row_arena);
    mutex_fini(&p->lock);
    mem_free(MEM_STATEMENT, p);
}

struct portal *portal_alloc(struct query_session *session, size_t budget_bytes)
{
    struct portal *p = session->spare;
    if (p != NULL && p->budget_bytes == budget_bytes) {
        CHECK(p->state == PORTAL_IS_ENDED && p->plan == NULL);
        session->spare = NULL;
        p->state = PORTAL_IS_NEW;
        return p;
    }
    p = mem_zalloc(MEM_STATEMENT, sizeof(*p));
    if (p == NULL) {
        return NULL;
    }
    p->budget_bytes = budget_bytes;
    p->arena = arena_new(MEM_STATEMENT, budget_bytes);
    p->batch_arena = arena_new(MEM_STATEMENT, budget_bytes);
    p->row_arena = arena_new(MEM_STATEMENT, budget_bytes);
    p->alarm = (struct alarm){.fire = fire, .arg = p};
    atomic_init(&p->is_abandoned, false);
    mutex_init(&p->lock);
    if (p->arena == NULL || p->batch_arena == NULL || p->row_arena == NULL) {
        portal_dispose(p);
        return NULL;
    }
    return p;
}

void portal_ref(struct portal *p)
{
    unsigned before = atomic_fetch_add(&p->refs, 1);
    CHECK(before > 0);
}

void portal_release_run(struct portal *p)
{
    CHECK_HOT(p->shard == NULL || p->collection != NULL);
    if (p->is_started && p->verb->end != NULL) {
        p->verb->end(p);
    }
    p->is_started = p->is_open = false;
    p->verb_state = NULL;
    if (p->shard != NULL) {
        collection_leave(p->collection);
        p->shard = NULL;
    }
    policy_file_release(p->file);
    p->file = NULL;
}

void portal_forget_plan(struct portal *p)
{
    CHECK_HOT(p->shard == NULL && !p->is_started);
    binding_release(p->bound);
    p->bound = NULL;
    p->plan = NULL;
    p->collection = NULL;
}

static void free_portal(struct portal *p)
{
    CHECK(p->state == PORTAL_IS_ENDED);
    struct database *db = p->db;
    bool is_abandoned = atomic_load(&p->is_abandoned);
    portal_release_run(p);
    portal_forget_plan(p);
    query_session_release(p->session);
    portal_dispose(p);
    if (is_abandoned) {
        database_let_go(db);
    }
}

void portal_unref(struct portal *p)
{
    unsigned before = atomic_fetch_sub(&p->refs, 1);
    CHECK(before > 0);
    if (before == 1) {
        free_portal(p);
    }
}
