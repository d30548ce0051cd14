/* Functions of vectors.  Sums are of double precision, as SEARCH's distances are. */
#include "expr/function_int.h"

#include <math.h>

enum {
    LANES = 4 /* Sums side by side: one alone would wait for itself. */
};

static double product(const struct value *a, const struct value *b)
{
    const float *x = a->vector.data, *y = b->vector.data;
    double sums[LANES] = {0};
    uint32_t i = 0, dim = a->vector.dim;
    for (; i + LANES <= dim; i += LANES) {
        for (uint32_t lane = 0; lane < LANES; lane++) {
            sums[lane] += (double)x[i + lane] * (double)y[i + lane];
        }
    }
    for (; i < dim; i++) {
        sums[0] += (double)x[i] * (double)y[i];
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static double squares(const struct value *a, const struct value *b)
{
    const float *x = a->vector.data, *y = b->vector.data;
    double sums[LANES] = {0};
    uint32_t i = 0, dim = a->vector.dim;
    for (; i + LANES <= dim; i += LANES) {
        for (uint32_t lane = 0; lane < LANES; lane++) {
            double difference = (double)x[i + lane] - (double)y[i + lane];
            sums[lane] += difference * difference;
        }
    }
    for (; i < dim; i++) {
        double difference = (double)x[i] - (double)y[i];
        sums[0] += difference * difference;
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/* Two vectors of one dimension; pays for @n_passes over them. */
static enum errcode begin(const struct call *call, const struct value *v, uint64_t n_passes,
                          struct err *err)
{
    if (v[0].vector.dim != v[1].vector.dim) {
        return err_at(err, call->position, ERR_WRONG_DIMENSION,
                      "the vectors have %u and %u dimensions", v[0].vector.dim, v[1].vector.dim);
    }
    return work_spend(call->evaluator->work, n_passes * v[0].vector.dim, err);
}

enum errcode call_l2_distance(const struct call *call, struct value *v, struct err *err)
{
    enum errcode code = begin(call, v, 1, err);
    if (code == ERR_OK) {
        *v = value_float(sqrt(squares(&v[0], &v[1])));
    }
    return code;
}

enum errcode call_inner_product(const struct call *call, struct value *v, struct err *err)
{
    enum errcode code = begin(call, v, 1, err);
    if (code == ERR_OK) {
        *v = value_float(product(&v[0], &v[1]));
    }
    return code;
}

enum errcode call_cosine_distance(const struct call *call, struct value *v, struct err *err)
{
    enum errcode code = begin(call, v, 3, err);
    if (code != ERR_OK) {
        return code;
    }
    /* Neither root nor product leaves the range of double, and sqrt(x * x) is x. */
    double lengths = sqrt(product(&v[0], &v[0]) * product(&v[1], &v[1]));
    if (lengths == 0) {
        return err_at(err, call->position, ERR_ZERO_VECTOR, "a zero vector has no direction");
    }
    double distance = 1 - product(&v[0], &v[1]) / lengths;
    *v = value_float(fmin(fmax(distance, 0), 2));
    return ERR_OK;
}

enum errcode call_norm(const struct call *call, struct value *v, struct err *err)
{
    enum errcode code = work_spend(call->evaluator->work, v->vector.dim, err);
    *v = value_float(sqrt(product(v, v)));
    return code;
}

enum errcode call_dims(const struct call *call, struct value *v, struct err *err)
{
    (void)call;
    (void)err;
    *v = value_int(v->vector.dim);
    return ERR_OK;
}
