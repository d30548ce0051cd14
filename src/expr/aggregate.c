/* Aggregates, run: what each keeps of the values that it has taken, and what it gives at the end.
 *
 *   count        how many
 *   sum, avg     of INT: 128 bits, which no number of rows fills
 *                of FLOAT: a sum and what rounding took from it (Neumaier 1974), so that the order
 *                of rows hardly matters; NaN and infinities apart, since they would spoil the rest
 *                of VECTOR: a double for each element, as many as the first vector has
 *   min, max     the value; a text in a buffer that is used again, and grows by doubling */
#include "expr/aggregate_int.h"

#include <math.h>
#include <string.h>

enum {
    ADD_WORK = 10,
};

static enum errcode out_of_range(const struct aggregate_call *call, struct err *err)
{
    return err_at(err, call->shown->position, ERR_NUMBER_OUT_OF_RANGE,
                  "%s does not fit the type %s", call->shown->name, type_name(call->type));
}

/* ---- count ---- */

static enum errcode add_nothing(const struct aggregate_call *call, struct aggregate_state *state,
                                const struct value *value, const struct aggregate_room *room,
                                struct err *err)
{
    (void)call, (void)state, (void)value, (void)room, (void)err;
    return ERR_OK;
}

static enum errcode end_count(const struct aggregate_call *call,
                              const struct aggregate_state *state,
                              const struct aggregate_room *room, struct value *out, struct err *err)
{
    (void)call, (void)room, (void)err;
    CHECK(state->n <= INT64_MAX);
    *out = value_int((int64_t)state->n);
    return ERR_OK;
}

/* ---- INT ---- */

static enum errcode add_whole(const struct aggregate_call *call, struct aggregate_state *state,
                              const struct value *value, const struct aggregate_room *room,
                              struct err *err)
{
    (void)call, (void)room, (void)err;
    CHECK(value->type == TYPE_INT);
    uint64_t low = (uint64_t)value->integer;
    state->whole.low += low;
    state->whole.high += (state->whole.low < low) - (value->integer < 0);
    return ERR_OK;
}

static enum errcode end_whole_sum(const struct aggregate_call *call,
                                  const struct aggregate_state *state,
                                  const struct aggregate_room *room, struct value *out,
                                  struct err *err)
{
    (void)room;
    int64_t low = (int64_t)state->whole.low;
    if (state->whole.high != (low < 0 ? -1 : 0)) {
        return out_of_range(call, err);
    }
    *out = value_int(low);
    return ERR_OK;
}

static enum errcode end_whole_mean(const struct aggregate_call *call,
                                   const struct aggregate_state *state,
                                   const struct aggregate_room *room, struct value *out,
                                   struct err *err)
{
    (void)call, (void)room, (void)err;
    uint64_t low = state->whole.low, high = (uint64_t)state->whole.high;
    bool is_negative = state->whole.high < 0;
    if (is_negative) {
        low = ~low + 1;
        high = ~high + (low == 0);
    }
    double mean = ((double)high * 0x1p64 + (double)low) / (double)state->n;
    *out = value_float(is_negative ? -mean : mean);
    return ERR_OK;
}

/* ---- FLOAT ---- */

static enum errcode add_real(const struct aggregate_call *call, struct aggregate_state *state,
                             const struct value *value, const struct aggregate_room *room,
                             struct err *err)
{
    (void)call, (void)room, (void)err;
    CHECK(value->type == TYPE_FLOAT);
    double x = value->number, sum = state->real.sum;
    if (!isfinite(x)) {
        state->real.special += x;
        state->real.is_special = true;
        return ERR_OK;
    }
    double next = sum + x;
    state->real.rest += fabs(sum) >= fabs(x) ? (sum - next) + x : (x - next) + sum;
    state->real.sum = next;
    return ERR_OK;
}

static enum errcode end_real_sum(const struct aggregate_call *call,
                                 const struct aggregate_state *state,
                                 const struct aggregate_room *room, struct value *out,
                                 struct err *err)
{
    (void)room;
    double sum = state->real.sum + state->real.rest;
    if (!state->real.is_special && !isfinite(sum)) {
        return out_of_range(call, err);
    }
    *out = value_float(state->real.is_special ? state->real.special : sum);
    return ERR_OK;
}

static enum errcode end_real_mean(const struct aggregate_call *call,
                                  const struct aggregate_state *state,
                                  const struct aggregate_room *room, struct value *out,
                                  struct err *err)
{
    enum errcode code = end_real_sum(call, state, room, out, err);
    if (code == ERR_OK) {
        out->number /= (double)state->n;
    }
    return code;
}

/* ---- VECTOR ---- */

static enum errcode add_vector(const struct aggregate_call *call, struct aggregate_state *state,
                               const struct value *value, const struct aggregate_room *room,
                               struct err *err)
{
    CHECK(value->type == TYPE_VECTOR);
    uint32_t dim = value->vector.dim;
    if (state->n == 0) {
        double *sums = arena_array(room->arena, dim, sizeof(*sums));
        if (sums == NULL) {
            return err_no_memory(err);
        }
        memset(sums, 0, dim * sizeof(*sums));
        state->vector.sums = sums;
        state->vector.dim = dim;
    }
    if (dim != state->vector.dim) {
        return err_at(err, call->shown->position, ERR_WRONG_DIMENSION,
                      "%s met vectors of %u and of %u dimensions", call->shown->name,
                      state->vector.dim, dim);
    }
    for (uint32_t i = 0; i < dim; i++) {
        state->vector.sums[i] += (double)value->vector.data[i];
    }
    return ERR_OK;
}

static enum errcode end_vector(const struct aggregate_call *call,
                               const struct aggregate_state *state,
                               const struct aggregate_room *room, double divisor, struct value *out,
                               struct err *err)
{
    uint32_t dim = state->vector.dim;
    float *data = arena_array(room->arena, dim, sizeof(*data));
    if (data == NULL) {
        return err_no_memory(err);
    }
    work_charge(room->work, dim);
    for (uint32_t i = 0; i < dim; i++) {
        data[i] = (float)(state->vector.sums[i] / divisor);
        if (!isfinite(data[i])) {
            return out_of_range(call, err);
        }
    }
    *out = value_vector(data, dim);
    return ERR_OK;
}

static enum errcode end_vector_sum(const struct aggregate_call *call,
                                   const struct aggregate_state *state,
                                   const struct aggregate_room *room, struct value *out,
                                   struct err *err)
{
    return end_vector(call, state, room, 1, out, err);
}

static enum errcode end_vector_mean(const struct aggregate_call *call,
                                    const struct aggregate_state *state,
                                    const struct aggregate_room *room, struct value *out,
                                    struct err *err)
{
    return end_vector(call, state, room, (double)state->n, out, err);
}

/* ---- min and max ---- */

static enum errcode keep_text(struct aggregate_state *state, const struct value *value,
                              const struct aggregate_room *room, struct err *err)
{
    uint32_t bytes = value->text.bytes;
    if (state->text == NULL || bytes > state->text_capacity) {
        size_t doubled = 2 * (size_t)state->text_capacity;
        size_t capacity = bytes > doubled ? bytes : doubled;
        char *text = arena_alloc(room->arena, capacity);
        if (text == NULL) {
            return err_no_memory(err);
        }
        state->text = text;
        state->text_capacity = (uint32_t)capacity;
    }
    if (bytes > 0) {
        memcpy(state->text, value->text.data, bytes);
    }
    state->extreme = value_text(state->text, bytes);
    return ERR_OK;
}

static enum errcode keep(struct aggregate_state *state, const struct value *value,
                         const struct aggregate_room *room, struct err *err)
{
    CHECK(value->type != TYPE_JSON && value->type != TYPE_VECTOR);
    if (value->type == TYPE_TEXT) {
        return keep_text(state, value, room, err);
    }
    state->extreme = *value;
    return ERR_OK;
}

static enum errcode add_min(const struct aggregate_call *call, struct aggregate_state *state,
                            const struct value *value, const struct aggregate_room *room,
                            struct err *err)
{
    (void)call;
    bool is_kept = state->n == 0 || value_compare(value, &state->extreme) < 0;
    return is_kept ? keep(state, value, room, err) : ERR_OK;
}

static enum errcode add_max(const struct aggregate_call *call, struct aggregate_state *state,
                            const struct value *value, const struct aggregate_room *room,
                            struct err *err)
{
    (void)call;
    bool is_kept = state->n == 0 || value_compare(value, &state->extreme) > 0;
    return is_kept ? keep(state, value, room, err) : ERR_OK;
}

static enum errcode end_extreme(const struct aggregate_call *call,
                                const struct aggregate_state *state,
                                const struct aggregate_room *room, struct value *out,
                                struct err *err)
{
    (void)call, (void)room, (void)err;
    *out = state->extreme;
    return ERR_OK;
}

/* ---- the table ---- */

static const struct aggregate rows[] = {
#define AGGREGATE(name, kept, given, takes, gives, text)                                           \
    {#name, add_##kept, end_##given, TYPE_##takes, TYPE_##gives},
#include "expr/aggregates.def"
#undef AGGREGATE
};

const struct aggregate *aggregate_at(size_t number)
{
    CHECK(number < COUNT_OF(rows));
    return &rows[number];
}

size_t aggregates_count(void)
{
    return COUNT_OF(rows);
}

static const char *name_of(size_t number)
{
    return rows[number].name;
}

size_t aggregates_find(const char *name, size_t *n)
{
    return rows_find(name_of, COUNT_OF(rows), name, n);
}

/* ---- all of them ---- */

/* Whether a value is the first of its kind. */
static enum errcode see(struct aggregate_state *state, const struct value *value,
                        const struct aggregate_room *room, bool *is_new, struct err *err)
{
    size_t number;
    if (state->distinct == NULL) {
        state->distinct = value_table_new(room->arena, room->work, 1);
    }
    return state->distinct != NULL ? value_table_put(state->distinct, value, &number, is_new, err)
                                   : err_no_memory(err);
}

enum errcode aggregate_add(const struct aggregate_call *call, struct aggregate_state *state,
                           const struct value *value, const struct aggregate_room *room,
                           struct err *err)
{
    bool is_new = true;
    enum errcode code = work_spend(room->work, ADD_WORK, err);
    if (code != ERR_OK || call->argument == NULL) {
        state->n += code == ERR_OK;
        return code;
    }
    CHECK(value != NULL);
    if (value->type == TYPE_NULL) {
        return ERR_OK;
    }
    work_charge(room->work, value_bytes(value) / BYTES_A_UNIT);
    if (call->is_distinct) {
        code = see(state, value, room, &is_new, err);
    }
    if (code != ERR_OK || !is_new) {
        return code;
    }
    code = call->aggregate->add(call, state, value, room, err);
    state->n += code == ERR_OK;
    return code;
}

enum errcode aggregate_end(const struct aggregate_call *call, const struct aggregate_state *state,
                           const struct aggregate_room *room, struct value *out, struct err *err)
{
    CHECK_HOT(call->aggregate != NULL && room->arena != NULL);
    if (state->n == 0 && call->aggregate->end != end_count) {
        *out = value_null();
        return ERR_OK;
    }
    return call->aggregate->end(call, state, room, out, err);
}
