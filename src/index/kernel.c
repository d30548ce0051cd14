/* Distances: the choice of kernels, and what surrounds a key. */
#include "index/index_int.h"

#include <math.h>
#include <string.h>

static const struct kernel *const kernels[] = {
/* The best first. */
#if defined(__x86_64__)
    &kernel_avx512,
    &kernel_avx2,
#endif
    &kernel_scalar,
};

static const struct kernel *chosen = &kernel_scalar;

bool index_choose_kernel(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(kernels); i++) {
        if ((name == NULL || strcmp(name, kernels[i]->name) == 0) && kernels[i]->is_usable()) {
            chosen = kernels[i];
            return true;
        }
    }
    return false;
}

const char *index_kernel_name(void)
{
    return chosen->name;
}

kernel_fn *kernel_for(enum distance distance)
{
    return distance == DISTANCE_L2 ? chosen->l2 : chosen->dot;
}

enum errcode vector_prepare(enum distance distance, uint32_t dim, const float *x, float *out,
                            struct err *err)
{
    /* In double, so that neither huge nor tiny floats leave its range. */
    double squares = 0;
    for (uint32_t i = 0; i < dim; i++) {
        squares += (double)x[i] * (double)x[i];
    }
    if (!isfinite(squares)) {
        return err_set(err, ERR_NOT_FINITE, "the vector holds NaN or an infinity");
    }
    if (distance != DISTANCE_COSINE) {
        memcpy(out, x, dim * sizeof(float));
        return ERR_OK;
    }
    if (squares == 0) {
        return err_set(err, ERR_ZERO_VECTOR, "a zero vector has no direction");
    }
    double scale = 1 / sqrt(squares);
    for (uint32_t i = 0; i < dim; i++) {
        out[i] = (float)((double)x[i] * scale);
    }
    return ERR_OK;
}

float distance_of_key(enum distance distance, float key)
{
    switch (distance) {
    case DISTANCE_L2:
        return sqrtf(key);
    case DISTANCE_COSINE:
        return 1 + key;
    case DISTANCE_DOT:
    default:
        return key;
    }
}

float index_distance(enum distance distance, const float *a, const float *b, uint32_t dim)
{
    CHECK(dim > 0 && dim <= VECTOR_DIM_MAX);
    float ready_a[VECTOR_DIM_MAX], ready_b[VECTOR_DIM_MAX], key = INFINITY;
    struct err err;
    if (vector_prepare(distance, dim, a, ready_a, &err) != ERR_OK ||
        vector_prepare(distance, dim, b, ready_b, &err) != ERR_OK) {
        return INFINITY;
    }
    struct space space = {.vectors = ready_b, .stride = dim, .dim = dim};
    kernel_for(distance)(&space, ready_a, &(uint32_t){0}, 1, &key);
    return distance_of_key(distance, key);
}
