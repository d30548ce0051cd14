/* Parallel work: a few threads that help whoever has many like things to do.
 *
 * A bundle is n calls; who brings it works on it too, and returns when the last call has.  Bundles
 * of several callers stand in a list, and the crew's threads take from the first that has calls
 * left, so a caller never waits for another's bundle.
 *
 * An atomic counter hands out the calls; the lock is only for the list and for sleeping. */
#include "shard/host_int.h"

struct bundle {
    void (*run)(void *arg, size_t i);
    void *arg;
    size_t n;
    atomic_size_t next;         /* The call that is handed out next. */
    size_t n_helpers;           /* Threads inside; of crew.mutex. */
    struct bundle *next_bundle; /* Of crew.mutex. */
};

struct crew {
    struct index_crew interface;
    struct mutex mutex;
    struct condition work;  /* A bundle was added, or the end. */
    struct condition ended; /* A helper left a bundle. */
    struct bundle *bundles;
    bool is_stopping;
    int nice;
    unsigned n_threads;
    struct thread threads[];
};

static void work_on(struct bundle *bundle)
{
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&bundle->next, 1, memory_order_relaxed);
        if (i >= bundle->n) {
            return;
        }
        bundle->run(bundle->arg, i);
    }
}

static struct bundle *find_bundle(struct crew *crew) REQUIRES(crew->mutex)
{
    struct bundle *bundle = crew->bundles;
    while (bundle != NULL &&
           atomic_load_explicit(&bundle->next, memory_order_relaxed) >= bundle->n) {
        bundle = bundle->next_bundle;
    }
    return bundle;
}

static void crew_main(void *arg)
{
    struct crew *crew = arg;
    thread_be_nice(crew->nice);
    mutex_lock(&crew->mutex);
    while (!crew->is_stopping) {
        struct bundle *bundle = find_bundle(crew);
        if (bundle == NULL) {
            condition_wait(&crew->work, &crew->mutex);
            continue;
        }
        bundle->n_helpers++;
        CHECK(bundle->n_helpers <= crew->n_threads);
        mutex_unlock(&crew->mutex);
        work_on(bundle);
        mutex_lock(&crew->mutex);
        CHECK(bundle->n_helpers > 0);
        bundle->n_helpers--;
        condition_broadcast(&crew->ended);
    }
    mutex_unlock(&crew->mutex);
}

static void add_bundle(struct crew *crew, struct bundle *bundle)
{
    mutex_lock(&crew->mutex);
    bundle->next_bundle = crew->bundles;
    crew->bundles = bundle;
    condition_broadcast(&crew->work);
    mutex_unlock(&crew->mutex);
}

static void end_bundle(struct crew *crew, struct bundle *bundle)
{
    mutex_lock(&crew->mutex);
    struct bundle **link = &crew->bundles;
    while (*link != bundle) {
        CHECK(*link != NULL);
        link = &(*link)->next_bundle;
    }
    *link = bundle->next_bundle;
    while (bundle->n_helpers > 0) {
        condition_wait(&crew->ended, &crew->mutex);
    }
    CHECK(atomic_load(&bundle->next) >= bundle->n);
    mutex_unlock(&crew->mutex);
}

static void crew_for_each(void *arg, size_t n, void (*run)(void *arg, size_t i), void *run_arg)
{
    CHECK(run != NULL);
    struct crew *crew = arg;
    struct bundle bundle = {.run = run, .arg = run_arg, .n = n};
    bool is_shared = n > 1 && crew->n_threads > 0;
    if (is_shared) {
        add_bundle(crew, &bundle);
    }
    work_on(&bundle);
    if (is_shared) {
        end_bundle(crew, &bundle);
    }
}

struct crew *crew_new(unsigned threads, int nice, struct err *err)
{
    struct crew *crew = mem_zalloc(MEM_GENERAL, sizeof(*crew) + threads * sizeof(crew->threads[0]));
    if (crew == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    crew->nice = nice;
    crew->interface = (struct index_crew){.for_each = crew_for_each, .crew = crew};
    mutex_init(&crew->mutex);
    condition_init(&crew->work);
    condition_init(&crew->ended);
    for (unsigned i = 0; i < threads; i++) {
        if (thread_start(&crew->threads[i], "crew", crew_main, crew, err) != ERR_OK) {
            crew_free(crew);
            return NULL;
        }
        crew->n_threads++;
    }
    return crew;
}

void crew_free(struct crew *crew)
{
    if (crew == NULL) {
        return;
    }
    mutex_lock(&crew->mutex);
    CHECK(crew->bundles == NULL);
    CHECK(!crew->is_stopping);
    crew->is_stopping = true;
    condition_broadcast(&crew->work);
    mutex_unlock(&crew->mutex);
    for (unsigned i = 0; i < crew->n_threads; i++) {
        thread_join(&crew->threads[i]);
    }
    condition_fini(&crew->ended);
    condition_fini(&crew->work);
    mutex_fini(&crew->mutex);
    mem_free(MEM_GENERAL, crew);
}

const struct index_crew *crew_interface(struct crew *crew)
{
    return &crew->interface;
}
