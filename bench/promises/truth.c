/* Exact distances in double, and recall by distance: a row at the distance of the k-th is a hit
 * whichever of the rows at that distance it is. */
#include "promises.h"

#include <math.h>
#include <stdlib.h>

const char *const metric_names[N_METRICS] = {"L2", "COSINE", "DOT"};

/* The larger of the parts of a distance that are rounded to 32 bits, relative. */
static const double rounding = 1e-6;

static double dot_of(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

double distance_of(enum metric metric, const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    if (metric == METRIC_DOT) {
        return -dot_of(a, b, dim);
    }
    double scale_a = 1, scale_b = 1;
    if (metric == METRIC_COSINE) { /* 1 - cos is half the square between the directions. */
        scale_a = 1 / sqrt(dot_of(a, a, dim));
        scale_b = 1 / sqrt(dot_of(b, b, dim));
    }
    for (uint32_t i = 0; i < dim; i++) {
        double difference = (double)a[i] * scale_a - (double)b[i] * scale_b;
        sum += difference * difference;
    }
    return metric == METRIC_COSINE ? sum / 2 : sqrt(sum);
}

static double norm_of(const float *a, uint32_t dim)
{
    return sqrt(dot_of(a, a, dim));
}

static void fill_distances(struct data *d)
{
    double norm_max = 0;
    for (uint32_t row = 0; row < d->n_rows; row++) {
        norm_max = fmax(norm_max, norm_of(d->rows + (size_t)row * d->dim, d->dim));
    }
    for (uint32_t q = 0; q < d->n_queries; q++) {
        const float *query = d->queries + (size_t)q * d->dim;
        for (uint32_t row = 0; row < d->n_rows; row++) {
            d->distances[(size_t)q * d->n_rows + row] =
                distance_of(d->metric, query, d->rows + (size_t)row * d->dim, d->dim);
        }
        d->slack[q] = d->metric == METRIC_DOT ? 1e-7 * norm_of(query, d->dim) * norm_max : 0;
    }
}

double slack_of(const struct data *data, uint32_t query, double distance)
{
    /* Directions are rounded, and twice the distance is the square of how far they are apart. */
    return data->metric == METRIC_COSINE ? 2e-7 * sqrt(2 * fmax(distance, 0)) + 1e-14
                                         : rounding * fabs(distance) + data->slack[query];
}

static void draw_queries(struct random *random, const struct data *data, float *queries, uint32_t n,
                         enum role role)
{
    for (uint32_t q = 0; q < n; q++) {
        uint32_t number = (uint32_t)(random_uniform(random) * data->n_rows);
        data->shape->draw(random, data->shape, queries + (size_t)q * data->dim, number, role);
    }
}

static uint32_t kind_of(const struct data *data, const float *vector)
{
    uint32_t nearest = 0;
    double least = INFINITY;
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        const float *first = data->rows + (size_t)kind * (data->n_rows / KINDS) * data->dim;
        double distance = distance_of(data->metric, vector, first, data->dim);
        if (distance < least) {
            least = distance;
            nearest = kind;
        }
    }
    return nearest;
}

static void fill_kinds(struct data *data)
{
    for (uint32_t row = 0; row < data->n_rows; row++) {
        data->kind[row] = (uint16_t)kind_of(data, data->rows + (size_t)row * data->dim);
    }
    for (uint32_t q = 0; q < data->n_queries; q++) {
        data->query_kind[q] = (uint16_t)kind_of(data, data->queries + (size_t)q * data->dim);
    }
}

void data_make(struct data *data, const struct shape *shape, enum metric metric, uint32_t n_rows,
               uint32_t n_queries, uint64_t seed)
{
    struct random random = {seed};
    *data = (struct data){.shape = shape,
                          .metric = metric,
                          .n_rows = n_rows,
                          .n_queries = n_queries,
                          .dim = shape->dim};
    data->rows = allocate((size_t)n_rows * shape->dim, sizeof(float));
    data->queries = allocate((size_t)n_queries * shape->dim, sizeof(float));
    data->others = allocate((size_t)N_OTHERS * shape->dim, sizeof(float));
    data->part = allocate(n_rows, sizeof(*data->part));
    data->kind = allocate(n_rows, sizeof(*data->kind));
    data->query_kind = allocate(n_queries, sizeof(*data->query_kind));
    data->is_present = allocate(n_rows, sizeof(*data->is_present));
    data->distances = allocate((size_t)n_rows * n_queries, sizeof(double));
    data->slack = allocate(n_queries, sizeof(double));
    for (uint32_t row = 0; row < n_rows; row++) {
        shape->draw(&random, shape, data->rows + (size_t)row * shape->dim, row, ROLE_ROW);
        data->part[row] = (uint16_t)(random_uniform(&random) * PARTS);
    }
    draw_queries(&random, data, data->queries, n_queries, ROLE_JUDGED);
    draw_queries(&random, data, data->others, N_OTHERS, ROLE_OTHER);
    fill_distances(data);
    fill_kinds(data);
}

void data_free(struct data *data)
{
    free(data->rows);
    free(data->queries);
    free(data->others);
    free(data->part);
    free(data->kind);
    free(data->query_kind);
    free(data->is_present);
    free(data->distances);
    free(data->slack);
}

const struct condition no_condition = {"", PARTS, OF_ANY_KIND};

bool condition_allows(const struct data *data, const struct condition *condition, uint32_t query,
                      uint32_t row)
{
    bool is_own = data->kind[row] == data->query_kind[query];
    return data->part[row] < condition->parts &&
           (condition->whose == OF_ANY_KIND || (condition->whose == OF_OWN_KIND) == is_own);
}

void truth_find(struct truth *truth, const struct data *data, const struct condition *condition)
{
    truth->condition = condition;
    truth->kth = allocate(data->n_queries, sizeof(double));
    truth->n = allocate(data->n_queries, sizeof(*truth->n));
    for (uint32_t q = 0; q < data->n_queries; q++) {
        double best[K];
        uint32_t n = 0;
        for (uint32_t row = 0; row < data->n_rows; row++) {
            double distance = data->distances[(size_t)q * data->n_rows + row];
            if (!data->is_present[row] || !condition_allows(data, condition, q, row) ||
                (n == K && distance >= best[K - 1])) {
                continue;
            }
            uint32_t at = n < K ? n++ : K - 1;
            for (; at > 0 && best[at - 1] > distance; at--) {
                best[at] = best[at - 1];
            }
            best[at] = distance;
        }
        truth->n[q] = n;
        truth->kth[q] = n == 0 ? 0 : best[n - 1];
    }
}

void truth_free(struct truth *truth)
{
    free(truth->kth);
    free(truth->n);
}

void score_add(struct score *score, const struct data *data, const struct truth *truth,
               uint32_t query, const int64_t *ids, size_t n_ids)
{
    double limit = truth->kth[query] + slack_of(data, query, truth->kth[query]);
    uint32_t n_hits = 0;
    bool is_wrong = n_ids > K;
    for (size_t i = 0; i < n_ids && i < K; i++) {
        if (ids[i] < 0 || ids[i] >= data->n_rows || !data->is_present[ids[i]] ||
            !condition_allows(data, truth->condition, query, (uint32_t)ids[i])) {
            is_wrong = true;
            continue;
        }
        for (size_t j = 0; j < i; j++) {
            is_wrong = is_wrong || ids[j] == ids[i];
        }
        n_hits += data->distances[(size_t)query * data->n_rows + (size_t)ids[i]] <= limit;
    }
    double recall = truth->n[query] == 0 ? 1 : (double)n_hits / truth->n[query];
    score->sum += recall;
    score->squares += recall * recall;
    score->n++;
    score->n_wrong += is_wrong;
}
