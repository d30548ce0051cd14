/* Codes: which there are, and what surrounds a key. */
#include "index/code_int.h"

#include <math.h>
#include <string.h>

const struct code *code_of(enum index_code kind)
{
    static const struct code *const codes[] = {
        [INDEX_CODE_F32] = &code_f32,
        [INDEX_CODE_8] = &code_8,
        [INDEX_CODE_4] = &code_4,
        [INDEX_CODE_2] = &code_2,
    };
    return (size_t)kind < COUNT_OF(codes) ? codes[kind] : NULL;
}

enum errcode vector_prepare(enum distance distance, uint32_t dim, const float *x, float *out,
                            struct err *err)
{
    /* In double, so that neither huge nor tiny floats leave its range. */
    double squares = exact_chosen()->product(x, x, dim);
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

double index_distance(enum distance distance, const float *a, const float *b, uint32_t dim)
{
    CHECK(dim > 0 && dim <= VECTOR_DIM_MAX);
    float ready_a[VECTOR_DIM_MAX], ready_b[VECTOR_DIM_MAX];
    struct err err;
    if (vector_prepare(distance, dim, a, ready_a, &err) != ERR_OK ||
        vector_prepare(distance, dim, b, ready_b, &err) != ERR_OK) {
        return INFINITY;
    }
    return exact_distance(distance, ready_a, ready_b, dim);
}
