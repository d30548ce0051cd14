/* Rows, queries and indexes for the tests of src/index. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

float random_float(uint64_t *state)
{
    return (float)((double)(random_next(state) >> 11) / 4503599627370496.0 - 1.0);
}

float *points_new(enum shape shape, size_t n, uint32_t dim, uint64_t seed)
{
    enum {
        CLUSTERS = 40
    };
    float *points = malloc(n * dim * sizeof(float));
    float *centres = malloc((size_t)CLUSTERS * dim * sizeof(float));
    assert_non_null(points);
    assert_non_null(centres);
    /* The centres are those of one world; the seed draws from it. */
    uint64_t world = 7, state = seed;
    for (size_t i = 0; i < (size_t)CLUSTERS * dim; i++) {
        centres[i] = random_float(&world);
    }
    for (size_t i = 0; i < n; i++) {
        const float *centre = centres + random_next(&state) % CLUSTERS * dim;
        for (uint32_t j = 0; j < dim; j++) {
            float x = random_float(&state);
            points[i * dim + j] = shape == SHAPE_UNIFORM ? x : centre[j] + 0.2f * x;
        }
    }
    free(centres);
    return points;
}

struct index_config config_of(enum index_kind kind, enum distance distance, uint32_t dim)
{
    return (struct index_config){
        .kind = kind, .distance = distance, .dim = dim, .m = 12, .ef_construction = 80, .seed = 99};
}

struct index *index_make(const struct index_config *config)
{
    struct err err;
    struct index *index = index_new(config, &err);
    assert_non_null(index);
    return index;
}

enum errcode stage(struct index *index, uint64_t sequence, const uint64_t *numbers,
                   const float *vectors, size_t n, struct err *err)
{
    struct index_rows rows = {.numbers = numbers, .vectors = vectors, .n = n};
    return index_stage_insert(index, sequence, &rows, err);
}

void stage_rows(struct index *index, const float *points, uint32_t dim, uint64_t first, size_t n,
                size_t step)
{
    struct err err = {0};
    uint64_t *rows = malloc(step * sizeof(*rows));
    assert_non_null(rows);
    for (size_t at = 0; at < n; at += step) {
        size_t n_now = n - at < step ? n - at : step;
        for (size_t i = 0; i < n_now; i++) {
            rows[i] = first + at + i;
        }
        assert_int_equal(stage(index, rows[0] + 1, rows, points + at * dim, n_now, &err), ERR_OK);
    }
    free(rows);
}

void stage_delete(struct index *index, uint64_t sequence, uint64_t row)
{
    struct err err = {0};
    assert_int_equal(index_stage_delete(index, sequence, &row, 1, &err), ERR_OK);
}

void advance_all(struct index *index, size_t rows_max, const struct index_crew *crew)
{
    while (index_pending(index) > 0) {
        struct err err = {0};
        size_t before = index_pending(index), n_done = 0;
        assert_int_equal(index_advance(index, rows_max, crew, &n_done, &err), ERR_OK);
        assert_int_equal(index_pending(index), before - n_done);
    }
}

size_t find(struct index *index, enum index_plan plan, const float *query, size_t k, size_t ef,
            struct index_hit *hits)
{
    struct err err = {0};
    struct index_work work = {0};
    struct index_search search = {.query = query, .k = k, .ef = ef, .plan = plan};
    size_t n = 0;
    assert_int_equal(index_search(index, &search, hits, &n, &work, &err), ERR_OK);
    assert_true(work.is_complete);
    assert_true(n <= k);
    for (size_t i = 1; i < n; i++) {
        assert_true(hits[i - 1].distance <= hits[i].distance);
        assert_true(hits[i - 1].distance < hits[i].distance || hits[i - 1].row < hits[i].row);
    }
    return n;
}

double recall_of(struct index *index, const float *queries, uint32_t dim, size_t n_queries,
                 size_t k, size_t ef)
{
    size_t n_hit = 0, n_wanted = 0;
    struct index_hit *exact = malloc(k * sizeof(*exact)), *walked = malloc(k * sizeof(*walked));
    assert_non_null(exact);
    assert_non_null(walked);
    for (size_t i = 0; i < n_queries; i++) {
        size_t n_exact = find(index, INDEX_EXACT, queries + i * dim, k, k, exact);
        size_t n_walked = find(index, INDEX_WALK, queries + i * dim, k, ef, walked);
        assert_int_equal(n_walked, n_exact);
        n_wanted += n_exact;
        for (size_t a = 0; a < n_exact; a++) {
            for (size_t b = 0; b < n_walked; b++) {
                n_hit += exact[a].row == walked[b].row;
            }
        }
    }
    free(exact);
    free(walked);
    return (double)n_hit / (double)n_wanted;
}

/* ---- a crew ---- */

enum {
    CREW_THREADS = 3
};

struct errand {
    _Atomic size_t next;
    size_t n;
    void (*run)(void *arg, size_t i);
    void *arg;
};

static void run_errands(void *arg)
{
    struct errand *errand = arg;
    for (size_t i; (i = atomic_fetch_add(&errand->next, 1)) < errand->n;) {
        errand->run(errand->arg, errand->n - 1 - i); /* The last first: any order must do. */
    }
    index_thread_exit();
}

static void for_each(void *crew, size_t n, void (*run)(void *arg, size_t i), void *arg)
{
    (void)crew;
    struct errand errand = {.n = n, .run = run, .arg = arg};
    struct thread threads[CREW_THREADS];
    struct err err;
    for (size_t i = 0; i < CREW_THREADS; i++) {
        CHECK(thread_start(&threads[i], "crew", run_errands, &errand, &err) == ERR_OK);
    }
    for (size_t i = 0; i < CREW_THREADS; i++) {
        thread_join(&threads[i]);
    }
}

const struct index_crew crew_of_threads = {.for_each = for_each};

/* ---- streams ---- */

enum errcode stream_write(void *arg, const void *data, size_t bytes, struct err *err)
{
    struct stream *s = arg;
    if (s->fail_at > 0 && s->bytes + bytes > s->fail_at) {
        return err_set(err, ERR_IO, "the stream is full");
    }
    if (s->bytes + bytes > s->capacity) {
        s->capacity = 2 * (s->bytes + bytes);
        s->data = realloc(s->data, s->capacity);
        assert_non_null(s->data);
    }
    memcpy(s->data + s->bytes, data, bytes);
    s->bytes += bytes;
    return ERR_OK;
}

enum errcode stream_read(void *arg, void *data, size_t bytes, struct err *err)
{
    struct stream *s = arg;
    if (bytes > s->bytes - s->at) {
        return err_set(err, ERR_CORRUPT, "the stream ends at %zu", s->bytes);
    }
    memcpy(data, s->data + s->at, bytes);
    s->at += bytes;
    return ERR_OK;
}

void stream_fini(struct stream *s)
{
    free(s->data);
    *s = (struct stream){.data = NULL};
}

enum errcode load(struct index *index, struct stream *s, struct err *err)
{
    uint32_t digest;
    s->at = 0;
    struct index_source source = {.read = stream_read, .arg = s, .bytes = s->bytes};
    return index_load(index, &source, NULL, &digest, err);
}
