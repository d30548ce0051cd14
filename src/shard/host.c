/* What the shards of a node share: three threads that care for them in turn, the crew, and the pool
 * of their open files.
 *
 *   indexer   links what is staged and not linked yet
 *   flusher   writes overlays into files
 *   keeper    checkpoints and calibration: slow things, at a low rate
 *
 * What each of them does to a shard is handed in by care.c.
 *
 * Each thread has a heap of the shards, by when they want to be called; the call says when the next
 * is wanted, and a wake brings it forward to now.  A shard with nothing to do costs nothing, so a
 * node may have many.  A shard is only removed when no thread is in it.
 *
 * Where cores are scarce, what answers clients goes first: the apply thread and the crew are as
 * nice as ingest_nice says, linking behind a write's acknowledgement is nicer, and calibration is
 * the nicest.  The flusher is not nice at all, because what it has not written takes memory and
 * log.
 */
#include "shard/host_int.h"
#include "shard/payload_int.h"
#include "shard/shard_int.h"
#include "shard/store_int.h"

enum {
    HEAP_FIRST = 16
};

/* What one thread has of one shard; all of host.mutex. */
struct turn {
    uint64_t due_us;
    size_t place;   /* In the thread's heap. */
    bool is_inside; /* The thread is in the shard, which is in no heap meanwhile. */
    bool is_woken;  /* While it was inside. */
};

struct patient {
    struct shard *shard;
    struct patient *prev, *next;
    unsigned n_inside; /* Threads that are in the shard. */
    bool is_leaving;   /* No thread goes in any more. */
    struct turn turns[CARER_COUNT];
};

struct carer_thread {
    struct shard_host *host;
    uint64_t (*care)(struct shard *shard);
    struct thread thread;
    enum carer who;
    int nice;
    bool is_started;
    struct patient **heap; /* The first is due first. */
    size_t n, n_max;
    struct condition wanted; /* Another one is first, or the end. */
};

struct shard_host {
    struct mutex mutex;
    struct condition left; /* A thread left a shard. */
    struct patient *patients;
    size_t n_patients;
    struct policy_set file_policies;
    atomic_bool is_stopping;
    struct carer_thread carers[CARER_COUNT];
    struct crew *crew;
    struct store_pool *stores;
    struct payload_pool *payloads;
};

const struct role indexer_thread = {"this is the indexer"};
const struct role flusher_thread = {"this is the flusher"};
const struct role keeper_thread = {"this is the keeper"};
static const struct role *const roles[CARER_COUNT] = {
    [INDEXER] = &indexer_thread, [FLUSHER] = &flusher_thread, [KEEPER] = &keeper_thread};

/* ---- heaps ---- */

static uint64_t due_at(const struct carer_thread *carer, size_t place)
{
    CHECK(place < carer->n);
    return carer->heap[place]->turns[carer->who].due_us;
}

static void put_at(struct carer_thread *carer, size_t place, struct patient *p)
{
    CHECK(place < carer->n_max);
    carer->heap[place] = p;
    p->turns[carer->who].place = place;
}

static void sift_up(struct carer_thread *carer, size_t place)
{
    CHECK(place < carer->n);
    struct patient *p = carer->heap[place];
    uint64_t due_us = p->turns[carer->who].due_us;
    while (place > 0 && due_at(carer, (place - 1) / 2) > due_us) {
        put_at(carer, place, carer->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put_at(carer, place, p);
}

static void sift_down(struct carer_thread *carer, size_t place)
{
    CHECK(place < carer->n);
    struct patient *p = carer->heap[place];
    uint64_t due_us = p->turns[carer->who].due_us;
    for (size_t child = 2 * place + 1; child < carer->n; child = 2 * place + 1) {
        if (child + 1 < carer->n && due_at(carer, child + 1) < due_at(carer, child)) {
            child++;
        }
        if (due_at(carer, child) >= due_us) {
            break;
        }
        put_at(carer, place, carer->heap[child]);
        place = child;
    }
    put_at(carer, place, p);
}

static void heap_add(struct carer_thread *carer, struct patient *p, uint64_t due_us)
{
    CHECK(carer->n < carer->n_max);
    CHECK(!p->turns[carer->who].is_inside);
    p->turns[carer->who].due_us = due_us;
    put_at(carer, carer->n++, p);
    sift_up(carer, carer->n - 1);
}

static void heap_remove(struct carer_thread *carer, struct patient *p)
{
    size_t place = p->turns[carer->who].place;
    CHECK(place < carer->n && carer->heap[place] == p);
    struct patient *last = carer->heap[--carer->n];
    if (last != p) {
        put_at(carer, place, last);
        sift_up(carer, place);
        sift_down(carer, last->turns[carer->who].place);
    }
}

/* Of one that is not inside. */
static void heap_postpone(struct carer_thread *carer, struct patient *p)
{
    heap_remove(carer, p);
    heap_add(carer, p, UINT64_MAX);
}

/* ---- the threads ---- */

static void visit(struct shard_host *host, struct carer_thread *self, struct patient *p)
    REQUIRES(host->mutex)
{
    CHECK(self->heap[0] == p && !p->is_leaving && !p->turns[self->who].is_inside);
    struct turn *turn = &p->turns[self->who];
    heap_remove(self, p);
    turn->is_inside = true;
    turn->is_woken = false;
    p->n_inside++;
    mutex_unlock(&host->mutex);
    uint64_t wanted_us = self->care(p->shard);
    mutex_lock(&host->mutex);
    CHECK(p->n_inside > 0 && turn->is_inside);
    p->n_inside--;
    turn->is_inside = false;
    if (p->is_leaving) {
        wanted_us = UINT64_MAX; /* However much there is left to do. */
        condition_broadcast(&host->left);
    } else if (turn->is_woken) {
        wanted_us = clock_micros();
    }
    heap_add(self, p, wanted_us);
}

static void carer_main(void *arg)
{
    struct carer_thread *self = arg;
    CHECK(self->care != NULL && self->who < CARER_COUNT);
    struct shard_host *host = self->host;
    role_take(roles[self->who]);
    thread_be_nice(self->nice);
    mutex_lock(&host->mutex);
    while (!atomic_load(&host->is_stopping)) {
        uint64_t due_us = self->n > 0 ? due_at(self, 0) : UINT64_MAX;
        if (due_us == UINT64_MAX) {
            condition_wait(&self->wanted, &host->mutex);
        } else if (due_us > clock_micros()) {
            (void)condition_wait_until(&self->wanted, &host->mutex, due_us);
        } else {
            visit(host, self, self->heap[0]);
        }
    }
    mutex_unlock(&host->mutex);
}

static void call_for(struct carer_thread *carer, struct patient *p)
{
    struct turn *turn = &p->turns[carer->who];
    uint64_t now = clock_micros();
    turn->is_woken = true;
    if (!turn->is_inside && !p->is_leaving && turn->due_us > now) {
        turn->due_us = now;
        sift_up(carer, turn->place);
        if (turn->place == 0) {
            condition_signal(&carer->wanted);
        }
    }
}

static void call_for_all(struct shard_host *host) REQUIRES(host->mutex)
{
    for (struct patient *p = host->patients; p != NULL; p = p->next) {
        for (int i = 0; i < CARER_COUNT; i++) {
            call_for(&host->carers[i], p);
        }
    }
}

static void limit_payloads(struct shard_host *host, const struct policy_set *file_policies)
{
    struct policy_view view = {.levels = {[LEVEL_FILE] = file_policies}};
    payload_pool_limit(host->payloads, (size_t)policy_int(&view, POLICY_payload_memory));
}

enum errcode host_new(const struct shard_host_config *config,
                      const struct carer_kind carers[CARER_COUNT], struct shard_host **out,
                      struct err *err)
{
    CHECK(config != NULL && carers[INDEXER].care != NULL && carers[FLUSHER].care != NULL &&
          carers[KEEPER].care != NULL);
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
    int nice = (int)policy_int(
        &(struct policy_view){.levels = {[LEVEL_FILE] = &host->file_policies}}, POLICY_ingest_nice);
    host->crew = crew_new(helpers, nice, err);
    host->stores = host->crew == NULL ? NULL : store_pool_new(err);
    host->payloads = host->stores == NULL ? NULL : payload_pool_new(err);
    enum errcode code = host->payloads == NULL ? err->code : ERR_OK;
    if (code == ERR_OK) {
        limit_payloads(host, &host->file_policies);
    }
    for (int i = 0; i < CARER_COUNT && code == ERR_OK; i++) {
        struct carer_thread *carer = &host->carers[i];
        carer->host = host;
        carer->who = (enum carer)i;
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
    CHECK(file_policies != NULL);
    mutex_lock(&host->mutex);
    host->file_policies = *file_policies;
    call_for_all(host);
    mutex_unlock(&host->mutex);
    limit_payloads(host, file_policies);
}

void shard_host_free(struct shard_host *host)
{
    if (host == NULL) {
        return;
    }
    mutex_lock(&host->mutex);
    CHECK(host->patients == NULL);
    CHECK(host->n_patients == 0 && !atomic_load(&host->is_stopping));
    atomic_store(&host->is_stopping, true);
    for (int i = 0; i < CARER_COUNT; i++) {
        condition_signal(&host->carers[i].wanted);
    }
    mutex_unlock(&host->mutex);
    for (int i = 0; i < CARER_COUNT; i++) {
        if (host->carers[i].is_started) {
            thread_join(&host->carers[i].thread);
            CHECK(host->carers[i].n == 0);
        }
        mem_free(MEM_GENERAL, host->carers[i].heap);
        condition_fini(&host->carers[i].wanted);
    }
    crew_free(host->crew);
    store_pool_free(host->stores);
    payload_pool_free(host->payloads);
    condition_fini(&host->left);
    mutex_fini(&host->mutex);
    mem_free(MEM_GENERAL, host);
}

/* ---- shards ---- */

static void wake(struct shard *shard, enum carer who)
{
    CHECK(who < CARER_COUNT);
    struct shard_host *host = shard->host;
    mutex_lock(&host->mutex);
    if (shard->patient != NULL) {
        call_for(&host->carers[who], shard->patient);
    }
    mutex_unlock(&host->mutex);
}

void host_wake_indexer(struct shard *shard)
{
    wake(shard, INDEXER);
}

void host_wake_flusher(struct shard *shard)
{
    wake(shard, FLUSHER);
}

void host_wake_keeper(struct shard *shard)
{
    wake(shard, KEEPER);
}

/* One more in each heap: a thread that comes out of a shard must find its place. */
static bool make_room(struct shard_host *host, size_t n) REQUIRES(host->mutex)
{
    CHECK(n > 0);
    for (int i = 0; i < CARER_COUNT; i++) {
        struct carer_thread *carer = &host->carers[i];
        if (n > carer->n_max) {
            size_t n_max = carer->n_max == 0 ? HEAP_FIRST : 2 * carer->n_max;
            void *larger = mem_realloc(MEM_GENERAL, carer->heap, n_max * sizeof(struct patient *));
            if (larger == NULL) {
                return false;
            }
            carer->heap = larger;
            carer->n_max = n_max;
        }
    }
    return true;
}

enum errcode host_add(struct shard_host *host, struct shard *shard, struct err *err)
{
    CHECK(shard->host == host && shard->patient == NULL);
    struct patient *patient = mem_zalloc(MEM_GENERAL, sizeof(*patient));
    if (patient == NULL) {
        return err_no_memory(err);
    }
    patient->shard = shard;
    mutex_lock(&host->mutex);
    CHECK(!atomic_load(&host->is_stopping));
    bool has_room = make_room(host, host->n_patients + 1);
    if (has_room) {
        host->n_patients++;
        patient->next = host->patients;
        if (patient->next != NULL) {
            patient->next->prev = patient;
        }
        host->patients = patient;
        shard->patient = patient;
        for (int i = 0; i < CARER_COUNT; i++) {
            heap_add(&host->carers[i], patient, UINT64_MAX);
            call_for(&host->carers[i], patient);
        }
    }
    mutex_unlock(&host->mutex);
    if (!has_room) {
        mem_free(MEM_GENERAL, patient);
        return err_no_memory(err);
    }
    return ERR_OK;
}

void host_remove(struct shard_host *host, struct shard *shard)
{
    mutex_lock(&host->mutex);
    struct patient *p = shard->patient;
    CHECK(p != NULL);
    CHECK(!p->is_leaving && p->shard == shard && host->n_patients > 0);
    p->is_leaving = true;
    for (int i = 0; i < CARER_COUNT; i++) {
        if (!p->turns[i].is_inside) {
            heap_postpone(&host->carers[i], p);
        }
    }
    while (p->n_inside > 0) {
        condition_wait(&host->left, &host->mutex);
    }
    for (int i = 0; i < CARER_COUNT; i++) {
        heap_remove(&host->carers[i], p);
    }
    CHECK(p->n_inside == 0);
    *(p->prev == NULL ? &host->patients : &p->prev->next) = p->next;
    if (p->next != NULL) {
        p->next->prev = p->prev;
    }
    host->n_patients--;
    shard->patient = NULL;
    mutex_unlock(&host->mutex);
    mem_free(MEM_GENERAL, p);
}

const struct index_crew *host_crew(struct shard_host *host)
{
    return crew_interface(host->crew);
}

struct store_pool *host_stores(struct shard_host *host)
{
    return host->stores;
}

struct payload_pool *host_payloads(struct shard_host *host)
{
    return host->payloads;
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

struct policy_value host_policy_value(struct shard_host *host, const struct schema *schema,
                                      enum policy_id id)
{
    mutex_lock(&host->mutex);
    struct policy_view view = {
        .levels = {[LEVEL_FILE] = &host->file_policies, [LEVEL_COLLECTION] = &schema->policies},
    };
    struct policy_value value = policy_get(&view, id, NULL);
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

int64_t shard_policy(const struct shard *shard, enum policy_id id)
{
    return host_policy(shard->host, shard->schema, id);
}
