/* Rows, queries and indexes for the tests of src/index. */
#ifndef VECTRON_TEST_INDEX_FIXTURE_H
#define VECTRON_TEST_INDEX_FIXTURE_H
#include "../unit.h"
#include "index/index.h"

enum shape {
    SHAPE_UNIFORM,
    SHAPE_CLUSTERED
};

/* n x dim floats from the seed; the caller frees them with free. */
float *points_new(enum shape shape, size_t n, uint32_t dim, uint64_t seed);
float random_float(uint64_t *state); /* -1 .. 1 */

struct index_config config_of(enum index_kind kind, enum distance distance, uint32_t dim);
struct index *index_make(const struct index_config *config);
/* Rows first .. first + n - 1 in calls of @step; the sequence of a call is its first row + 1. */
void stage_rows(struct index *index, const float *points, uint32_t dim, uint64_t first, size_t n,
                size_t step);
/* index_stage_insert of n rows without labels, whose result it gives. */
enum errcode stage(struct index *index, uint64_t sequence, const uint64_t *numbers,
                   const float *vectors, size_t n, struct err *err);
void stage_delete(struct index *index, uint64_t sequence, uint64_t row);
void advance_all(struct index *index, size_t rows_max, const struct index_crew *crew);

/* Searches with a plan; aborts the test on any error.  Returns the number of hits. */
size_t find(struct index *index, enum index_plan plan, const float *query, size_t k, size_t ef,
            struct index_hit *hits);
/* The mean recall@k of walks against exact searches, over the queries. */
double recall_of(struct index *index, const float *queries, uint32_t dim, size_t n_queries,
                 size_t k, size_t ef);

/* A crew that starts threads for each call, and takes the tasks in an order of its own. */
extern const struct index_crew crew_of_threads;

/* Checkpoints in memory. */
struct stream {
    uint8_t *data;
    size_t bytes, capacity, at;
    size_t fail_at; /* Writing past it fails with ERR_IO; 0 = never. */
};
enum errcode stream_write(void *arg, const void *data, size_t bytes, struct err *err);
enum errcode stream_read(void *arg, void *data, size_t bytes, struct err *err);
void stream_fini(struct stream *s);
enum errcode load(struct index *index, struct stream *s, struct err *err);

#endif
