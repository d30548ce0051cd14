/* CAST, run: a value of one type made of one of another. */
#include "expr/function_int.h"

#include <math.h>

enum {
    PARSED_BYTE_WORK = 3,
    WRITTEN_NUMBER_WORK = 300,
};

/* The first FLOAT that is no INT; minus that is one. */
#define INT_END 9223372036854775808.0

static enum errcode to_int(const struct instruction *i, struct value *v, struct err *err)
{
    if (v->type == TYPE_BOOL) {
        *v = value_int(v->boolean);
        return ERR_OK;
    }
    double x = v->type == TYPE_FLOAT ? rint(v->number) : 0;
    if (v->type == TYPE_FLOAT && !(x >= -INT_END && x < INT_END)) {
        return err_at(err, i->position, ERR_NUMBER_OUT_OF_RANGE, "%g does not fit the type INT",
                      v->number);
    }
    *v = v->type == TYPE_FLOAT ? value_int((int64_t)x) : *v;
    return ERR_OK;
}

/* A JSON value that is a number or a truth value, as wanted. */
static enum errcode from_json(const struct instruction *i, struct value *v, struct err *err)
{
    enum value_type want = (enum value_type)i->op;
    struct value plain = want == TYPE_BOOL ? json_bool(v) : json_number(v);
    if (plain.type == TYPE_NULL) {
        err_at(err, i->position, ERR_BAD_PARAMETER, "a JSON value that is no %s cannot become %s",
               want == TYPE_BOOL ? "truth value" : "number", type_name(want));
        err_hint(err, "->> gives a member as TEXT.");
        return ERR_BAD_PARAMETER;
    }
    *v = plain;
    return want == TYPE_INT ? to_int(i, v, err) : ERR_OK;
}

static enum errcode from_text(const struct instruction *i, struct value *v, struct arena *arena,
                              struct err *err)
{
    struct value text = *v;
    enum errcode code =
        value_parse((enum value_type)i->op, text.text.data, text.text.bytes, arena, v, err);
    err->position = code != ERR_OK ? i->position : err->position;
    return code;
}

static enum errcode check_dim(const struct instruction *i, const struct value *v, struct err *err)
{
    if (v->type != TYPE_VECTOR || i->at == 0 || v->vector.dim == i->at) {
        return ERR_OK;
    }
    return err_at(err, i->position, ERR_WRONG_DIMENSION,
                  "a vector of %u dimensions cannot become a VECTOR(%u)", v->vector.dim, i->at);
}

enum errcode value_cast(const struct instruction *i, const struct evaluator *evaluator,
                        struct value *v, struct err *err)
{
    enum value_type want = (enum value_type)i->op;
    uint64_t work = v->type == TYPE_VECTOR ? WRITTEN_NUMBER_WORK * (uint64_t)v->vector.dim
                                           : PARSED_BYTE_WORK * value_bytes(v);
    if (v->type == TYPE_NULL || v->type == want) {
        return check_dim(i, v, err);
    }
    enum errcode code = work_spend(evaluator->work, work, err);
    if (code != ERR_OK) {
        return code;
    }
    if (want == TYPE_TEXT) {
        return value_to_text(v, evaluator->arena, v, err);
    }
    if (v->type == TYPE_TEXT) {
        code = from_text(i, v, evaluator->arena, err);
        return code == ERR_OK ? check_dim(i, v, err) : code;
    }
    if (v->type == TYPE_JSON) {
        code = from_json(i, v, err);
    } else if (want == TYPE_INT) {
        code = to_int(i, v, err);
    } else if (want == TYPE_BOOL) {
        *v = value_bool(v->integer != 0);
    }
    if (code == ERR_OK && want == TYPE_FLOAT && v->type == TYPE_INT) {
        *v = value_float((double)v->integer);
    }
    return code;
}
