/* What the shards of a node share: three threads that care for them in turn, and the crew.
 *
 *   indexer   links what is staged and not linked yet
 *   flusher   writes overlays into files
 *   keeper    checkpoints and calibration: slow things, at a low rate
 *
 * A thread goes round the shards, asks each when it wants to be called again, and sleeps until the
 * earliest of these times or until it is woken.  A shard is only removed when no thread is in it.
 *
 * Where cores are scarce, what clients wait for goes first: linking behind a write's
 * acknowledgement is nicer than the apply thread, and calibration is the nicest.  The flusher is
 * not nice at all, because what it has not written takes memory and log. */
#include "shard/shard_int.h"

enum carer {
    INDEXER,
    FLUSHER,
    KEEPER,
    CARER_COUNT
};

struct patient {
    struct shard *shard;
    unsigned n_inside; /* Threads that are in the shard. */
    bool is_leaving;   /* No thread goes in any more. */
    struct patient *next;
};

struct carer_thread {
    struct shard_host *host;
    uint64_t (*care)(struct shard *shard);
    struct thread thread;
    int nice;
    bool is_started;
    bool is_woken;           /* Of host.mutex. */
    struct condition wanted; /* It was woken, or the end. */
};

struct shard_host {
    struct mutex mutex;
    struct condition left; /* A thread left a shard. */
    struct patient *patients;
    struct policy_set file_policies;
    atomic_bool is_stopping;
    struct carer_thread carers[CARER_COUNT];
    struct crew *crew;
    struct store_pool *stores;
};

static const struct {
    const char *name;
    uint64_t (*care)(struct shard *shard);
    int nice;
} carers[CARER_COUNT] = {
    [INDEXER] = {"indexer", shard_care_index, 10},
    [FLUSHER] = {"flusher", shard_care_flush, 0},
    [KEEPER] = {"keeper", shard_care_slowly, 15},
};

static void carer_main(void *arg)
{
    struct carer_thread *self = arg;
    struct shard_host *host = self->host;
    thread_be_nice(self->nice);
    mutex_lock(&host->mutex);
    while (!atomic_load(&host->is_stopping)) {
        uint64_t next_us = UINT64_MAX;
        self->is_woken = false;
        /* A patient with somebody inside stays in the list, so ->next is good after the call. */
        for (struct patient *p = host->patients; p != NULL; p = p->next) {
            if (p->is_leaving) {
                continue;
            }
            p->n_inside++;
            mutex_unlock(&host->mutex);
            uint64_t wanted_us = self->care(p->shard);
            mutex_lock(&host->mutex);
            p->n_inside--;
            condition_broadcast(&host->left);
            next_us = wanted_us < next_us ? wanted_us : next_us;
        }
        bool is_late = false;
        while (!self->is_woken && !atomic_load(&host->is_stopping) && !is_late) {
            if (next_us == UINT64_MAX) {
                condition_wait(&self->wanted, &host->mutex);
            } else {
                is_late = !condition_wait_until(&self->wanted, &host->mutex, next_us);
            }
        }
    }
    mutex_unlock(&host->mutex);
    index_thread_exit();
}

enum errcode shard_host_new(const struct shard_host_config *config, struct shard_host **out,
                            struct err *err)
{
    struct shard_host *host = mem_zalloc(MEM_GENERAL, sizeof(*host));
    if (host == NULL) {
        return err_no_memory(err);
    }
    CHECK(index_choose_kernel(NULL)); /* There is always the scalar one. */
    log_line(LOG_INFO, "distance kernels chosen name=%s", index_kernel_name());
    mutex_init(&host->mutex);
    condition_init(&host->left);
    for (int i = 0; i < CARER_COUNT; i++) {
        condition_init(&host->carers[i].wanted);
    }
    if (config->file_policies != NULL) {
        host->file_policies = *config->file_policies;
    }
    /* Who brings a job works on it too. */
    unsigned helpers = config->work_threads > 1 ? config->work_threads - 1 : 0;
    host->crew = crew_new(helpers, err);
    host->stores = host->crew == NULL ? NULL : store_pool_new(err);
    enum errcode code = host->stores == NULL ? err->code : ERR_OK;
    for (int i = 0; i < CARER_COUNT && code == ERR_OK; i++) {
        struct carer_thread *carer = &host->carers[i];
        carer->host = host;
        carer->care = carers[i].care;
        carer->nice = carers[i].nice;
        code = thread_start(&carer->thread, carers[i].name, carer_main, carer, err);
        carer->is_started = code == ERR_OK;
    }
    if (code != ERR_OK) {
        shard_host_free(host);
        return code;
    }
    *out = host;
    return ERR_OK;
}

void shard_host_reload(struct shard_host *host, const struct policy_set *file_policies)
{
    mutex_lock(&host->mutex);
    host->file_policies = *file_policies;
    for (int i = 0; i < CARER_COUNT; i++) {
        host->carers[i].is_woken = true;
        condition_signal(&host->carers[i].wanted);
    }
    mutex_unlock(&host->mutex);
}

void shard_host_free(struct shard_host *host)
{
    if (host == NULL) {
        return;
    }
    mutex_lock(&host->mutex);
    CHECK(host->patients == NULL);
    atomic_store(&host->is_stopping, true);
    for (int i = 0; i < CARER_COUNT; i++) {
        condition_signal(&host->carers[i].wanted);
    }
    mutex_unlock(&host->mutex);
    for (int i = 0; i < CARER_COUNT; i++) {
        if (host->carers[i].is_started) {
            thread_join(&host->carers[i].thread);
        }
        condition_fini(&host->carers[i].wanted);
    }
    crew_free(host->crew);
    store_pool_free(host->stores);
    condition_fini(&host->left);
    mutex_fini(&host->mutex);
    mem_free(MEM_GENERAL, host);
}

/* ---- shards ---- */

static void wake(struct shard_host *host, enum carer who)
{
    mutex_lock(&host->mutex);
    host->carers[who].is_woken = true;
    condition_signal(&host->carers[who].wanted);
    mutex_unlock(&host->mutex);
}

void host_wake_indexer(struct shard_host *host)
{
    wake(host, INDEXER);
}

void host_wake_flusher(struct shard_host *host)
{
    wake(host, FLUSHER);
}

enum errcode host_add(struct shard_host *host, struct shard *shard, struct err *err)
{
    struct patient *patient = mem_zalloc(MEM_GENERAL, sizeof(*patient));
    if (patient == NULL) {
        return err_no_memory(err);
    }
    patient->shard = shard;
    mutex_lock(&host->mutex);
    patient->next = host->patients;
    host->patients = patient;
    for (int i = 0; i < CARER_COUNT; i++) {
        host->carers[i].is_woken = true;
        condition_signal(&host->carers[i].wanted);
    }
    mutex_unlock(&host->mutex);
    return ERR_OK;
}

void host_remove(struct shard_host *host, struct shard *shard)
{
    mutex_lock(&host->mutex);
    struct patient *found = host->patients;
    while (found != NULL && found->shard != shard) {
        found = found->next;
    }
    if (found != NULL) {
        found->is_leaving = true;
    }
    while (found != NULL && found->n_inside > 0) {
        condition_wait(&host->left, &host->mutex);
    }
    struct patient **link = &host->patients;
    while (*link != found) {
        link = &(*link)->next;
    }
    if (found != NULL) {
        *link = found->next;
    }
    mutex_unlock(&host->mutex);
    mem_free(MEM_GENERAL, found);
}

const struct index_crew *host_crew(struct shard_host *host)
{
    return crew_interface(host->crew);
}

struct store_pool *host_stores(struct shard_host *host)
{
    return host->stores;
}

int64_t host_policy(struct shard_host *host, const struct schema *schema, enum policy_id id)
{
    mutex_lock(&host->mutex);
    struct policy_view view = {
        .levels = {[LEVEL_FILE] = &host->file_policies, [LEVEL_COLLECTION] = &schema->policies},
    };
    int64_t value = policy_int(&view, id);
    mutex_unlock(&host->mutex);
    return value;
}

double host_policy_float(struct shard_host *host, const struct schema *schema, enum policy_id id)
{
    mutex_lock(&host->mutex);
    struct policy_view view = {
        .levels = {[LEVEL_FILE] = &host->file_policies, [LEVEL_COLLECTION] = &schema->policies},
    };
    double value = policy_float(&view, id);
    mutex_unlock(&host->mutex);
    return value;
}
