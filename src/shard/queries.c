/* Queries that clients asked: what recall is measured with, once there are some.
 *
 * Kept is a sample in which each query of a long time is as likely to be: clients' first ones may
 * be easier than what they ask then.  Beside it stand the newest, which tell soon that clients ask
 * other things than before. */
#include "shard/calibration_int.h"
#include "shard/vectors_int.h"

#include <string.h>

enum {
    ALL_UNTIL = 1 << 11, /* So many queries are noted one and all, then one of STRIDE. */
    STRIDE = 8,
    SEEN_FADE = 1 << 15, /* Of more, older ones fade. */
    ROWS_A_QUERY = 4,    /* More are not kept: they would be as large as what they ask. */
    ASKED_FADE = 1024,   /* Of so many searches of a class half are forgotten. */
    GOOD_PART = 16,      /* One search in so many. */
};
_Static_assert((int)QUERIES_KEPT_MAX <= (int)ALL_UNTIL, "the first ones fill it soon");

static float *kept_at(struct queries *q, uint32_t dim, uint64_t i)
{
    return q->vectors + (QUERIES_FRESH + i) * dim;
}

static float *fresh_at(struct queries *q, uint32_t dim, uint64_t i)
{
    return q->vectors + i * dim;
}

static void add(struct queries *q, uint32_t dim, const float *query, uint64_t chance)
{
    q->n_seen++;
    uint64_t n = q->n_seen < SEEN_FADE ? q->n_seen : SEEN_FADE;
    uint64_t at = chance % n;
    if (q->n_kept < q->n_room) {
        /* In no order: who reads only the first ones reads a sample of all. */
        uint64_t last = q->n_kept++;
        at = chance % q->n_kept;
        if (at < last) {
            memcpy(kept_at(q, dim, last), kept_at(q, dim, at), dim * sizeof(float));
        }
    }
    if (at < q->n_kept) {
        memcpy(kept_at(q, dim, at), query, dim * sizeof(float));
    }
    memcpy(fresh_at(q, dim, q->n_seen % QUERIES_FRESH), query, dim * sizeof(float));
    q->n_fresh += q->n_fresh < QUERIES_FRESH ? 1 : 0;
}

/* Room for as many as @n_rows are worth, as far as they come; without memory it stays as it is. */
static void make_room(struct queries *q, size_t n_rows, uint32_t dim)
{
    size_t most = n_rows / ROWS_A_QUERY;
    most = most < QUERIES_KEPT_MIN ? QUERIES_KEPT_MIN : most;
    most = most > QUERIES_KEPT_MAX ? QUERIES_KEPT_MAX : most;
    size_t room = q->n_room == 0 ? QUERIES_KEPT_MIN : 2 * (size_t)q->n_room;
    room = room < most ? room : most;
    if (q->n_kept < q->n_room || room <= q->n_room) {
        return;
    }
    float *vectors =
        mem_realloc(MEM_SEARCH, q->vectors, (QUERIES_FRESH + room) * dim * sizeof(float));
    if (vectors != NULL) {
        q->vectors = vectors;
        q->n_room = (uint32_t)room;
    }
}

/* A search for k rows is told by the classes of at least and at most k, and one with a filter by
 * those of each share: which share of the rows its own leaves is not known here. */
static bool tells_of(const struct recall_class *c, const struct asked *asked)
{
    const struct recall_class *least = NULL, *most = NULL;
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        const struct recall_class *other = &recall_classes[i];
        if (other->share != c->share) {
            continue;
        }
        if (other->k <= asked->k && (most == NULL || other->k > most->k)) {
            most = other;
        }
        if (other->k >= asked->k && (least == NULL || other->k < least->k)) {
            least = other;
        }
    }
    return (c->share < 1) == asked->is_filtered && (c == least || c == most);
}

static void count_classes(struct queries *q, const struct asked *asked)
{
    bool is_full = false;
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        q->n_asked[i] += tells_of(&recall_classes[i], asked) ? 1 : 0;
        is_full = is_full || q->n_asked[i] >= ASKED_FADE;
    }
    for (size_t i = 0; i < CURVE_COUNT && is_full; i++) {
        q->n_asked[i] /= 2;
    }
}

uint32_t queries_classes(const struct queries *q)
{
    uint32_t most = 0, classes = 0;
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        most = q->n_asked[i] > most ? q->n_asked[i] : most;
    }
    for (size_t i = 0; i < CURVE_COUNT && most > 0; i++) {
        classes |= (uint32_t)(q->n_asked[i] > most / GOOD_PART) << i;
    }
    return most > 0 ? classes : 1;
}

void queries_note(struct vector_index *v, size_t n_rows, uint32_t dim, const struct asked *asked)
{
    struct calibration *c = &v->calibration;
    unsigned turn = atomic_fetch_add_explicit(&c->turn, 1, memory_order_relaxed);
    /* Few rows are not measured, and 10,000 collections of them want no room for queries. */
    if ((turn >= ALL_UNTIL && turn % STRIDE != 0) || v->kind != INDEX_HNSW ||
        n_rows < CALIBRATION_ROWS_MIN) {
        return;
    }
    /* A search waits for nobody: where the keeper reads them, this query is not noted. */
    if (!mutex_try_lock(&c->mutex)) {
        return;
    }
    struct queries *q = &c->queries;
    make_room(q, n_rows, dim);
    if (q->vectors != NULL) {
        add(q, dim, asked->query, hash_u64(turn));
        count_classes(q, asked);
    }
    mutex_unlock(&c->mutex);
}

bool queries_get(struct queries *q, uint32_t dim, bool is_fresh, uint32_t i, float *out)
{
    /* The fresh ones are a ring, which can be read from its beginning once it is full. */
    uint32_t n_fresh = q->n_fresh < QUERIES_FRESH ? 0 : QUERIES_FRESH;
    if (i >= (is_fresh ? n_fresh : q->n_kept)) {
        return false;
    }
    memcpy(out, is_fresh ? fresh_at(q, dim, i) : kept_at(q, dim, i), dim * sizeof(float));
    return true;
}

void queries_forget_old(struct queries *q, uint32_t dim)
{
    CHECK(q->n_fresh == QUERIES_FRESH);
    memcpy(kept_at(q, dim, 0), fresh_at(q, dim, 0), (size_t)QUERIES_FRESH * dim * sizeof(float));
    q->n_kept = QUERIES_FRESH;
    q->n_seen = QUERIES_FRESH;
    q->n_fresh = 0;
}
