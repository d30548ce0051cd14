/* What plans are bound to, counted: a prepared statement has one, and so has each portal of it. */
#include "query/prepared_int.h"

#include "plan/plan.h"

struct binding *binding_new(struct plan *plan)
{
    CHECK(plan != NULL);
    struct binding *bound = mem_zalloc(MEM_SESSION, sizeof(*bound));
    if (bound == NULL) {
        plan_free(plan);
        return NULL;
    }
    atomic_init(&bound->refs, 1);
    atomic_init(&bound->search_cost_ns, 0);
    bound->plan = plan;
    return bound;
}

void binding_hold(struct binding *bound)
{
    unsigned before = atomic_fetch_add(&bound->refs, 1);
    CHECK(before > 0);
}

void binding_release(struct binding *bound)
{
    if (bound == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub(&bound->refs, 1);
    CHECK(before > 0);
    if (before == 1) {
        plan_free(bound->plan);
        collection_release(bound->collection);
        mem_free(MEM_SESSION, bound);
    }
}
