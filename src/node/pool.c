/* The work pool: a few threads named "work-n" and one queue, first come first served.
 *
 * What runs here are steps of statements that are too long for a network loop.  A portal has at
 * most one job, so the queue is bounded by the portals that are open. */
#include "node/node_int.h"

#include <stdio.h>

enum {
    POOL_THREADS_MAX = 64
};

struct pool {
    unsigned n_threads;
    struct thread threads[POOL_THREADS_MAX];
    struct mutex lock; /* What follows. */
    struct condition work;
    struct job *first, **last;
    bool is_stopping;
};

const struct role work_thread = {"this is a thread of the pool"};

static struct job *pool_take(struct pool *pool)
{
    mutex_lock(&pool->lock);
    while (pool->first == NULL && !pool->is_stopping) {
        condition_wait(&pool->work, &pool->lock);
    }
    struct job *job = pool->first;
    if (job != NULL) {
        pool->first = job->next;
        CHECK(job->run != NULL);
        if (pool->first == NULL) {
            pool->last = &pool->first;
        }
    }
    CHECK((pool->first == NULL) == (pool->last == &pool->first));
    mutex_unlock(&pool->lock);
    return job;
}

static void pool_thread(void *arg)
{
    struct pool *pool = arg;
    role_take(&work_thread);
    for (struct job *job; (job = pool_take(pool)) != NULL;) {
        job->run(job->arg); /* May free the job. */
    }
}

struct pool *pool_new(unsigned n_threads, struct err *err)
{
    struct pool *pool = mem_zalloc(MEM_GENERAL, sizeof(*pool));
    if (pool == NULL) {
        err_no_memory(err);
        return NULL;
    }
    mutex_init(&pool->lock);
    condition_init(&pool->work);
    pool->last = &pool->first;
    n_threads = n_threads < 1 ? 1 : n_threads > POOL_THREADS_MAX ? POOL_THREADS_MAX : n_threads;
    for (; pool->n_threads < n_threads; pool->n_threads++) {
        char name[16];
        snprintf(name, sizeof(name), "work-%u", pool->n_threads % 1000);
        struct thread *thread = &pool->threads[pool->n_threads];
        if (thread_start(thread, name, pool_thread, pool, err) != ERR_OK) {
            pool_free(pool);
            return NULL;
        }
    }
    return pool;
}

void node_submit(struct node *node, struct job *job)
{
    struct pool *pool = node->pool;
    CHECK(job->run != NULL);
    mutex_lock(&pool->lock);
    CHECK(!pool->is_stopping);
    CHECK((pool->first == NULL) == (pool->last == &pool->first));
    job->next = NULL;
    *pool->last = job;
    pool->last = &job->next;
    condition_signal(&pool->work);
    mutex_unlock(&pool->lock);
}

unsigned node_threads(const struct node *node)
{
    return node->pool->n_threads;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    mutex_lock(&pool->lock);
    pool->is_stopping = true;
    condition_broadcast(&pool->work);
    mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->n_threads; i++) {
        thread_join(&pool->threads[i]);
    }
    CHECK(pool->first == NULL);
    condition_fini(&pool->work);
    mutex_fini(&pool->lock);
    mem_free(MEM_GENERAL, pool);
}
