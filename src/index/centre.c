/* L2: the centre that codes are relative to.
 *
 * The error of a code grows with the lengths of row and query, and distances do not care where 0
 * is.  Data that lie to one side of it - counts, pixels, descriptors of images, none below 0 - have
 * codes three times as good when their mean is taken away first (doc/decisions/walks.md).
 *
 * The centre is the mean of a sample of the rows, but for the quarter that lies farthest from it: a
 * few far ones are not to spoil the codes of all.  It is looked for when CENTRE_ROWS_FIRST rows are
 * linked, and again whenever there are CENTRE_GROWTH times as many, up to CENTRE_ROWS_MAX, for the
 * first rows may be unlike the others.  It moves only where that brings much, and then all codes
 * are made anew while no search is inside.  Everything goes by the rows' numbers, so replicas
 * agree. */
#include "index/build_int.h"

#include <stdlib.h>
#include <string.h>

enum {
    CENTRE_ROWS_FIRST = 1024,
    CENTRE_GROWTH = 8,
    CENTRE_ROWS_MAX = 100000, /* To make so many codes anew takes some tenths of a second. */
    SAMPLE = 1024,
    ROUNDS = 2, /* Of a mean, and the rows that are nearest to it. */
    ROWS_A_TASK = 256
};

/* To move, the median of what rows have beyond the new one, squared, must be so much of what it
 * was. */
static const double MOVES_FOR = 0.8;

struct linked {
    uint64_t row;
    uint32_t slot;
    double squares; /* Beyond a centre; of the sample. */
};

/* A look at the rows of the graph. */
struct look {
    struct index *index;
    struct linked *linked; /* In the order of their numbers. */
    size_t n;
    struct linked sample[SAMPLE];
    size_t n_sample;
    float *mean;
    double *sums;
};

void centre_init(struct index *index)
{
    index->centre = (struct centre){.rows_due = CENTRE_ROWS_FIRST};
}

void centre_fini(struct index *index)
{
    mem_free(MEM_GRAPH, index->centre.vector);
}

static int compare_rows(const void *one, const void *other)
{
    uint64_t a = ((const struct linked *)one)->row, b = ((const struct linked *)other)->row;
    return a < b ? -1 : a > b;
}

static int compare_squares(const void *one, const void *other)
{
    double a = ((const struct linked *)one)->squares, b = ((const struct linked *)other)->squares;
    return a < b ? -1 : a > b ? 1 : compare_rows(one, other);
}

static bool gather(struct look *look)
{
    const struct slots *slots = &look->index->slots;
    size_t n_linked = atomic_load_explicit(&look->index->n_linked, memory_order_relaxed);
    uint32_t n_used = atomic_load_explicit(&slots->n_used, memory_order_acquire);
    look->linked = mem_alloc(MEM_GRAPH, n_linked * sizeof(*look->linked));
    if (look->linked == NULL) {
        return false;
    }
    for (uint32_t slot = 0; slot < n_used; slot++) {
        if ((slot_state(slots, slot) & SLOT_LINKED) != 0) {
            CHECK(look->n < n_linked);
            look->linked[look->n++] =
                (struct linked){.row = node_at(slots, slot)->row, .slot = slot};
        }
    }
    qsort(look->linked, look->n, sizeof(*look->linked), compare_rows);
    look->n_sample = look->n < SAMPLE ? look->n : SAMPLE;
    for (size_t i = 0; i < look->n_sample; i++) {
        look->sample[i] = look->linked[i * look->n / look->n_sample];
    }
    return true;
}

/* Of the first of the sample. */
static void find_mean(struct look *look, size_t n)
{
    uint32_t dim = look->index->config.dim;
    memset(look->sums, 0, dim * sizeof(*look->sums));
    for (size_t i = 0; i < n; i++) {
        const float *vector = vector_at(&look->index->slots, look->sample[i].slot);
        for (uint32_t j = 0; j < dim; j++) {
            look->sums[j] += (double)vector[j];
        }
    }
    for (uint32_t j = 0; j < dim; j++) {
        look->mean[j] = (float)(look->sums[j] / (double)n);
    }
}

/* Sorts the sample by how far it lies from a centre; returns the median of the squares. */
static double sort_from(struct look *look, const float *centre)
{
    struct code_space space = space_of_codes(look->index);
    space.centre = centre;
    for (size_t i = 0; i < look->n_sample; i++) {
        struct linked *linked = &look->sample[i];
        linked->squares = code_squares(&space, vector_at(&look->index->slots, linked->slot));
    }
    qsort(look->sample, look->n_sample, sizeof(look->sample[0]), compare_squares);
    return look->sample[look->n_sample / 2].squares;
}

/* In look->mean; the median of the squares of what rows have beyond it. */
static double find_centre(struct look *look)
{
    double median = 0;
    size_t n = look->n_sample;
    for (int round = 0; round <= ROUNDS; round++) {
        find_mean(look, n);
        median = sort_from(look, look->mean);
        n = look->n_sample - look->n_sample / 4;
    }
    return median;
}

void centre_encode(struct index *index, uint32_t slot)
{
    struct code_space space = space_of_codes(index);
    index->code->encode(&space, vector_at(&index->slots, slot), code_at(&index->slots, slot));
}

static void encode_task(void *arg, size_t task)
{
    const struct look *look = arg;
    size_t end = (task + 1) * ROWS_A_TASK < look->n ? (task + 1) * ROWS_A_TASK : look->n;
    for (size_t i = task * ROWS_A_TASK; i < end; i++) {
        centre_encode(look->index, look->linked[i].slot);
    }
}

/* @vector becomes the index's.  Regions stay where they are as long as their shape is locked. */
static void move_to(struct look *look, float *vector, const struct index_crew *crew)
{
    struct index *index = look->index;
    float *before = index->centre.vector;
    mutex_lock(&index->slots.shape);
    epochs_close(&index->epochs);
    index->centre.vector = vector;
    crew_run(crew, (look->n + ROWS_A_TASK - 1) / ROWS_A_TASK, encode_task, look);
    epochs_open(&index->epochs);
    mutex_unlock(&index->slots.shape);
    mem_free(MEM_GRAPH, before);
}

/* False where there is no memory. */
static bool look_again(struct look *look, const struct index_crew *crew)
{
    struct index *index = look->index;
    uint32_t dim = index->config.dim;
    look->mean = mem_alloc(MEM_GRAPH, dim * sizeof(*look->mean));
    look->sums = mem_alloc(MEM_GRAPH, dim * sizeof(*look->sums));
    bool has_memory = look->mean != NULL && look->sums != NULL && gather(look);
    if (has_memory) {
        double now = sort_from(look, index->centre.vector);
        if (find_centre(look) < MOVES_FOR * now) {
            move_to(look, look->mean, crew);
            look->mean = NULL;
        }
        index->centre.rows_due = look->n <= CENTRE_ROWS_MAX / CENTRE_GROWTH
                                     ? (uint32_t)look->n * CENTRE_GROWTH
                                     : UINT32_MAX;
    }
    mem_free(MEM_GRAPH, look->linked);
    mem_free(MEM_GRAPH, look->sums);
    mem_free(MEM_GRAPH, look->mean);
    return has_memory;
}

enum errcode centre_settle(struct index *index, const struct index_crew *crew, struct err *err)
{
    size_t n_linked = atomic_load_explicit(&index->n_linked, memory_order_relaxed);
    struct look look = {.index = index};
    if (!index_has_centre(index)) {
        return ERR_OK;
    }
    if (n_linked == 0 && index->centre.vector != NULL) { /* What comes may lie elsewhere. */
        move_to(&look, NULL, NULL);
    }
    if (n_linked == 0) {
        index->centre.rows_due = CENTRE_ROWS_FIRST;
    }
    bool is_due = n_linked >= index->centre.rows_due;
    return !is_due || look_again(&look, crew) ? ERR_OK : err_no_memory(err);
}
