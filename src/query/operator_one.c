/* one: a row without columns, of a SELECT without FROM; and count, a row of the number of rows that
 * a collection has, which its shard keeps. */
#include "query/explain_int.h"
#include "query/operator_int.h"

struct one {
    struct operator_run base;
    bool is_given;
    struct value value; /* count's. */
};

static struct one *one_of(struct operator_run *o)
{
    return CONTAINER_OF(o, struct one, base);
}

static enum errcode next_one(struct operator_run *o, struct value **row, struct err *err)
{
    struct one *one = one_of(o);
    (void)err;
    *row = one->is_given ? NULL : &one->value;
    one->is_given = true;
    return ERR_OK;
}

static void back(struct operator_run *o)
{
    one_of(o)->is_given = false;
}

const struct operator_kind operator_one = {
    .name = "one",
    .bytes = sizeof(struct one),
    .next = next_one,
    .back = back,
    .rewind = back,
};

static enum errcode next_count(struct operator_run *o, struct value **row, struct err *err)
{
    struct shard_view *view;
    if (!one_of(o)->is_given) {
        enum errcode code = shard_view_open(o->portal->shard, &view, err);
        if (code != ERR_OK) {
            return code;
        }
        one_of(o)->value = value_int((int64_t)shard_view_count(view));
        shard_view_close(view);
    }
    return next_one(o, row, err);
}

static void explain_count(const struct operator_run *o, struct explain *out)
{
    explain_text(out, "Collection", "%s", o->portal->plan->schema->name);
}

const struct operator_kind operator_count = {
    .name = "count",
    .bytes = sizeof(struct one),
    .next = next_count,
    .back = back,
    .rewind = back,
    .explain = explain_count,
};
