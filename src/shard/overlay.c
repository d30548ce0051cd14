/* The overlay: rows that are applied and that the file has not got yet, in memory.
 *
 * It is a chain of *generations*: the active one, which apply writes, and at most one that is being
 * flushed.  A generation holds versions of rows.  A version belongs to a log index and never
 * changes; a view that was opened at log index i looks at versions up to i only, so it sees all of
 * a command or nothing of it.  A generation is counted: a view keeps those that it looks at.
 *
 *     by number:  hash -> newest version -> older version -> ...   (older_of_number)
 *     by key:     hash -> newest version -> older version -> ...   (older_of_key)
 *
 * One thread writes, any number reads without a lock.  Why that is right: a version is filled in
 * before its bucket is stored with release, and a reader loads the bucket with acquire; buckets go
 * from NULL to a version and then to newer versions of the same number or key, never back; versions
 * are freed only with the generation.  A table that grows is copied into a larger one, which is
 * then published with release; readers of the old one see what was in it, which is all that their
 * limit lets them see, and old tables are kept until the generation goes (together at most as large
 * as the last one). */
#include "shard/overlay_int.h"
#include "shard/row_int.h"

#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS_MIN = 64,
    KEY_HASH_SEED = 0x5eed,
    NEAR_ROWS = 64, /* Rows that are asked for at once. */
    NEAR_WORDS = 64,
};

struct buckets {
    struct buckets *retired; /* The smaller one before it. */
    size_t n;                /* A power of two. */
    _Atomic(const struct row_version *) heads[];
};

struct table {
    _Atomic(struct buckets *) buckets;
    size_t n_used; /* Of the writer. */
};

struct generation {
    atomic_size_t references;
    uint64_t first_row; /* New rows of this generation have this number or a larger one. */
    struct arena *arena;
    struct table by_number, by_key;
    atomic_size_t bytes;
    atomic_size_t n_versions;
    /* A bit for each so many rows, by their hash, of which versions are here; of rows that are
     * older than the generation. */
    _Atomic uint64_t older[NEAR_WORDS];
    struct change *first_change, *last_change;
};

struct slice version_key(const struct row_version *version)
{
    return (struct slice){version->data, version->key_bytes};
}

struct slice version_row(const struct row_version *version)
{
    return (struct slice){version->data + version->key_bytes, version->row_bytes};
}

/* ---- tables ---- */

static bool is_same_number(const struct row_version *version, const void *number)
{
    return version->number == *(const uint64_t *)number;
}

static bool is_same_key(const struct row_version *version, const void *key)
{
    const struct slice *k = key;
    return version->key_bytes == k->bytes && memcmp(version->data, k->data, k->bytes) == 0;
}

typedef bool (*is_same_fn)(const struct row_version *version, const void *wanted);

static uint64_t key_hash(struct slice key)
{
    return hash_bytes(key.data, key.bytes, KEY_HASH_SEED);
}

/* The bucket of @wanted, or the empty one where it belongs.  There always is an empty one. */
static _Atomic(const struct row_version *) *find_bucket(struct buckets *buckets, uint64_t hash,
                                                        is_same_fn is_same, const void *wanted)
{
    for (size_t i = (size_t)hash & (buckets->n - 1);; i = (i + 1) & (buckets->n - 1)) {
        const struct row_version *head =
            atomic_load_explicit(&buckets->heads[i], memory_order_acquire);
        if (head == NULL || is_same(head, wanted)) {
            return &buckets->heads[i];
        }
    }
}

static const struct row_version *table_find(const struct table *table, uint64_t hash,
                                            is_same_fn is_same, const void *wanted)
{
    struct buckets *buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);
    if (buckets == NULL) {
        return NULL;
    }
    return atomic_load_explicit(find_bucket(buckets, hash, is_same, wanted), memory_order_acquire);
}

static struct buckets *buckets_new(size_t n)
{
    CHECK(n >= BUCKETS_MIN && (n & (n - 1)) == 0);
    struct buckets *buckets =
        mem_zalloc(MEM_OVERLAY, sizeof(*buckets) + n * sizeof(buckets->heads[0]));
    if (buckets != NULL) {
        buckets->n = n;
    }
    return buckets;
}

static uint64_t hash_of_number(const struct row_version *version)
{
    return hash_u64(version->number);
}

static uint64_t hash_of_key(const struct row_version *version)
{
    return key_hash(version_key(version));
}

/* Makes room for @n more heads, so that the table is at most two thirds full. */
static enum errcode table_reserve(struct table *table, size_t n,
                                  uint64_t (*hash)(const struct row_version *), struct err *err)
{
    struct buckets *old = atomic_load_explicit(&table->buckets, memory_order_relaxed);
    size_t n_buckets = old == NULL ? BUCKETS_MIN : old->n;
    while (n_buckets / 3 * 2 < table->n_used + n + 1) {
        n_buckets *= 2;
    }
    CHECK(n_buckets > table->n_used + n);
    if (old != NULL && n_buckets == old->n) {
        return ERR_OK;
    }
    struct buckets *grown = buckets_new(n_buckets);
    if (grown == NULL) {
        return err_no_memory(err);
    }
    grown->retired = old;
    for (size_t i = 0; old != NULL && i < old->n; i++) {
        const struct row_version *head = atomic_load_explicit(&old->heads[i], memory_order_relaxed);
        if (head != NULL) {
            size_t to = (size_t)hash(head) & (n_buckets - 1);
            while (atomic_load_explicit(&grown->heads[to], memory_order_relaxed) != NULL) {
                to = (to + 1) & (n_buckets - 1);
            }
            atomic_store_explicit(&grown->heads[to], head, memory_order_relaxed);
        }
    }
    atomic_store_explicit(&table->buckets, grown, memory_order_release);
    return ERR_OK;
}

static void table_fini(struct table *table)
{
    struct buckets *buckets = atomic_load_explicit(&table->buckets, memory_order_relaxed);
    while (buckets != NULL) {
        struct buckets *retired = buckets->retired;
        mem_free(MEM_OVERLAY, buckets);
        buckets = retired;
    }
}

/* ---- generations ---- */

struct generation *generation_new(uint64_t first_row, struct err *err)
{
    struct generation *g = mem_zalloc(MEM_OVERLAY, sizeof(*g));
    struct arena *arena = arena_new(MEM_OVERLAY, SIZE_MAX);
    if (g == NULL || arena == NULL) {
        mem_free(MEM_OVERLAY, g);
        arena_free(arena);
        (void)err_no_memory(err);
        return NULL;
    }
    atomic_init(&g->references, 1);
    g->first_row = first_row;
    g->arena = arena;
    return g;
}

void generation_ref(struct generation *generation)
{
    CHECK_HOT(atomic_load_explicit(&generation->references, memory_order_relaxed) > 0);
    atomic_fetch_add_explicit(&generation->references, 1, memory_order_relaxed);
}

void generation_unref(struct generation *generation)
{
    if (generation == NULL ||
        atomic_fetch_sub_explicit(&generation->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    table_fini(&generation->by_number);
    table_fini(&generation->by_key);
    arena_free(generation->arena);
    mem_free(MEM_OVERLAY, generation);
}

uint64_t generation_first_row(const struct generation *generation)
{
    return generation->first_row;
}

size_t generation_bytes(const struct generation *generation)
{
    return atomic_load_explicit(&generation->bytes, memory_order_relaxed);
}

size_t generation_versions(const struct generation *generation)
{
    return atomic_load_explicit(&generation->n_versions, memory_order_relaxed);
}

/* ---- writing ---- */

enum errcode generation_reserve(struct generation *generation, size_t n, struct err *err)
{
    enum errcode code = table_reserve(&generation->by_number, n, hash_of_number, err);
    return code == ERR_OK ? table_reserve(&generation->by_key, n, hash_of_key, err) : code;
}

static uint64_t hash_of_near(uint64_t number)
{
    return hash_u64(number / NEAR_ROWS) % (NEAR_WORDS * 64);
}

static void *generation_alloc(struct generation *generation, size_t bytes, struct err *err)
{
    void *memory = arena_alloc(generation->arena, bytes);
    if (memory == NULL) {
        (void)err_no_memory(err);
    } else {
        atomic_fetch_add_explicit(&generation->bytes, bytes, memory_order_relaxed);
    }
    return memory;
}

struct row_version *generation_version(struct generation *generation, size_t key_bytes,
                                       size_t row_bytes, struct err *err)
{
    CHECK(key_bytes <= KEY_BYTES_ENCODED_MAX && row_bytes <= UINT32_MAX);
    CHECK(key_bytes > 0);
    struct row_version *version =
        generation_alloc(generation, sizeof(*version) + key_bytes + row_bytes, err);
    if (version != NULL) {
        *version = (struct row_version){.key_bytes = (uint16_t)key_bytes,
                                        .row_bytes = (uint32_t)row_bytes};
    }
    return version;
}

struct change *generation_change(struct generation *generation, size_t n_deleted,
                                 uint64_t **deleted, struct err *err)
{
    struct change *change =
        generation_alloc(generation, sizeof(*change) + n_deleted * sizeof(uint64_t), err);
    if (change != NULL) {
        *deleted = (uint64_t *)(change + 1);
        *change = (struct change){.n_deleted = n_deleted, .deleted = *deleted};
    }
    return change;
}

static void table_publish(struct table *table, uint64_t hash, is_same_fn is_same,
                          const void *wanted, const struct row_version **older,
                          const struct row_version *version)
{
    struct buckets *buckets = atomic_load_explicit(&table->buckets, memory_order_relaxed);
    _Atomic(const struct row_version *) *bucket = find_bucket(buckets, hash, is_same, wanted);
    *older = atomic_load_explicit(bucket, memory_order_relaxed);
    if (*older == NULL) {
        table->n_used++;
        CHECK(table->n_used < buckets->n);
    }
    atomic_store_explicit(bucket, version, memory_order_release);
}

void generation_publish(struct generation *generation, struct row_version *version)
{
    struct slice key = version_key(version);
    CHECK(key.bytes > 0 && key.bytes <= KEY_BYTES_ENCODED_MAX);
    uint64_t near = hash_of_near(version->number);
    CHECK(version->index > 0 && version->number > 0);
    if (version->number < generation->first_row) {
        atomic_fetch_or_explicit(&generation->older[near / 64], UINT64_C(1) << near % 64,
                                 memory_order_release);
    }
    /* Both links are made before the second bucket shows the version to a reader of the first: a
     * reader that comes through the number uses only older_of_number, and the other way round. */
    table_publish(&generation->by_number, hash_u64(version->number), is_same_number,
                  &version->number, &version->older_of_number, version);
    table_publish(&generation->by_key, key_hash(key), is_same_key, &key, &version->older_of_key,
                  version);
    CHECK(version->older_of_number == NULL || version->older_of_number->index <= version->index);
    atomic_fetch_add_explicit(&generation->n_versions, 1, memory_order_relaxed);
}

void generation_publish_change(struct generation *generation, struct change *change)
{
    CHECK(generation->last_change == NULL || generation->last_change->index < change->index);
    CHECK(change->index > 0 && change->next == NULL && change->n_rows + change->n_deleted > 0);
    if (generation->last_change == NULL) {
        generation->first_change = change;
    } else {
        generation->last_change->next = change;
    }
    generation->last_change = change;
}

/* ---- reading ---- */

const struct row_version *generation_by_number(const struct generation *generation, uint64_t number,
                                               uint64_t limit)
{
    const struct row_version *version =
        table_find(&generation->by_number, hash_u64(number), is_same_number, &number);
    while (version != NULL && version->index > limit) {
        version = version->older_of_number;
    }
    return version;
}

bool generation_may_have(const struct generation *generation, uint64_t first)
{
    uint64_t near = hash_of_near(first);
    return first + NEAR_ROWS > generation->first_row ||
           (atomic_load_explicit(&generation->older[near / 64], memory_order_acquire) >> near % 64 &
            1) != 0;
}

const struct row_version *generation_by_key(const struct generation *generation, struct slice key,
                                            uint64_t limit)
{
    CHECK_HOT(key.bytes > 0);
    const struct row_version *version =
        table_find(&generation->by_key, key_hash(key), is_same_key, &key);
    while (version != NULL && version->index > limit) {
        version = version->older_of_key;
    }
    return version;
}

static int compare_keys(const void *a, const void *b)
{
    const struct row_version *x = *(const struct row_version *const *)a;
    const struct row_version *y = *(const struct row_version *const *)b;
    size_t bytes = x->key_bytes < y->key_bytes ? x->key_bytes : y->key_bytes;
    int order = memcmp(x->data, y->data, bytes);
    return order != 0 ? order : (x->key_bytes > y->key_bytes) - (x->key_bytes < y->key_bytes);
}

static int compare_numbers(const void *a, const void *b)
{
    const struct row_version *x = *(const struct row_version *const *)a;
    const struct row_version *y = *(const struct row_version *const *)b;
    return (x->number > y->number) - (x->number < y->number);
}

enum errcode generation_sorted(const struct generation *generation, enum version_order order,
                               const struct row_version ***out, size_t *n, struct err *err)
{
    const struct table *table =
        order == ORDER_BY_KEY ? &generation->by_key : &generation->by_number;
    const struct buckets *buckets = atomic_load_explicit(&table->buckets, memory_order_relaxed);
    *n = 0;
    *out = mem_alloc(MEM_OVERLAY, (table->n_used + 1) * sizeof(**out));
    if (*out == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; buckets != NULL && i < buckets->n; i++) {
        const struct row_version *head =
            atomic_load_explicit(&buckets->heads[i], memory_order_relaxed);
        if (head != NULL) {
            (*out)[(*n)++] = head;
        }
    }
    CHECK(*n == table->n_used);
    qsort(*out, *n, sizeof(**out), order == ORDER_BY_KEY ? compare_keys : compare_numbers);
    return ERR_OK;
}

const struct change *generation_changes(const struct generation *generation)
{
    return generation->first_change;
}

/* ---- two of them as one ---- */

/* As they were published: by log index, and in one command a row that goes before the one that has
 * its key from then on. */
static int compare_ages(const void *a, const void *b)
{
    const struct row_version *x = *(const struct row_version *const *)a;
    const struct row_version *y = *(const struct row_version *const *)b;
    return x->index != y->index ? (x->index > y->index) - (x->index < y->index)
                                : compare_numbers(a, b);
}

static enum errcode add_copy(struct generation *to, const struct row_version *from, struct err *err)
{
    struct row_version *version = generation_version(to, from->key_bytes, from->row_bytes, err);
    if (version == NULL) {
        return err->code;
    }
    version->number = from->number;
    version->index = from->index;
    memcpy(version->data, from->data, (size_t)from->key_bytes + from->row_bytes);
    generation_publish(to, version);
    return ERR_OK;
}

/* Those that @newer, if any, says nothing about. */
static enum errcode add_versions(struct generation *to, const struct generation *from,
                                 const struct generation *newer, struct err *err)
{
    const struct row_version **versions;
    size_t n;
    enum errcode code = generation_sorted(from, ORDER_BY_NUMBER, &versions, &n, err);
    if (code != ERR_OK) {
        return code;
    }
    qsort(versions, n, sizeof(*versions), compare_ages);
    code = generation_reserve(to, n, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        if (newer == NULL || generation_by_number(newer, versions[i]->number, UINT64_MAX) == NULL) {
            code = add_copy(to, versions[i], err);
        }
    }
    mem_free(MEM_OVERLAY, versions);
    return code;
}

static enum errcode add_changes(struct generation *to, const struct generation *from,
                                struct err *err)
{
    for (const struct change *old = from->first_change; old != NULL; old = old->next) {
        uint64_t *deleted;
        struct change *change = generation_change(to, old->n_deleted, &deleted, err);
        if (change == NULL) {
            return err->code;
        }
        *change = *old;
        change->deleted = deleted;
        change->next = NULL;
        if (old->n_deleted > 0) {
            memcpy(deleted, old->deleted, old->n_deleted * sizeof(*deleted));
        }
        generation_publish_change(to, change);
    }
    return ERR_OK;
}

struct generation *generation_join(const struct generation *older, const struct generation *newer,
                                   struct err *err)
{
    CHECK(older->first_row <= newer->first_row);
    struct generation *joined = generation_new(older->first_row, err);
    if (joined != NULL &&
        (add_versions(joined, older, newer, err) != ERR_OK ||
         add_versions(joined, newer, NULL, err) != ERR_OK ||
         add_changes(joined, older, err) != ERR_OK || add_changes(joined, newer, err) != ERR_OK)) {
        generation_unref(joined);
        joined = NULL;
    }
    return joined;
}

/* ---- changes: varints first row, rows, deletions, then the deleted numbers, each as the
 * difference to the one before it, zigzag ---- */

void change_write(struct buf *b, const struct change *change)
{
    CHECK(change->n_deleted == 0 || change->deleted != NULL);
    buf_varint(b, change->first_row);
    buf_varint(b, change->n_rows);
    buf_varint(b, change->n_deleted);
    uint64_t before = 0;
    for (size_t i = 0; i < change->n_deleted; i++) {
        uint64_t difference = change->deleted[i] - before;
        buf_varint(b, difference << 1 ^ (0 - (difference >> 63)));
        before = change->deleted[i];
    }
}

enum errcode change_read(struct slice encoded, uint64_t index, struct arena *arena,
                         struct change *out, struct err *err)
{
    struct reader r;
    reader_init(&r, encoded.data, encoded.bytes);
    *out = (struct change){.index = index};
    uint64_t first_row = reader_varint(&r);
    uint64_t n_rows = reader_varint(&r);
    uint64_t n_deleted = reader_varint(&r);
    if (r.failed || n_deleted > reader_left(&r)) {
        return err_set(err, ERR_CORRUPT, "the change of log index %llu is cut off",
                       (unsigned long long)index);
    }
    uint64_t *deleted = arena_array(arena, (size_t)n_deleted, sizeof(*deleted));
    if (deleted == NULL) {
        return err_no_memory(err);
    }
    uint64_t before = 0;
    for (size_t i = 0; i < n_deleted; i++) {
        uint64_t coded = reader_varint(&r);
        before += coded >> 1 ^ (0 - (coded & 1));
        deleted[i] = before;
    }
    if (!reader_done(&r)) {
        return err_set(err, ERR_CORRUPT, "the change of log index %llu does not decode",
                       (unsigned long long)index);
    }
    out->first_row = first_row;
    out->n_rows = n_rows;
    out->n_deleted = (size_t)n_deleted;
    out->deleted = deleted;
    return ERR_OK;
}
