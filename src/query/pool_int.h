/* The work pool: threads that run jobs, one after the other, as they come. */
#ifndef VECTRON_QUERY_POOL_INT_H
#define VECTRON_QUERY_POOL_INT_H

#include "base/base.h"

struct job {
    void (*run)(void *arg);
    void *arg;
    struct job *next;
};

struct pool *pool_new(unsigned n_threads, struct err *err);
void pool_submit(struct pool *pool, struct job *job);
unsigned pool_threads(const struct pool *pool);
void pool_free(struct pool *pool); /* After all jobs have run. */

#endif
