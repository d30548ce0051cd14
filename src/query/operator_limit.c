/* limit: LIMIT rows, behind those that OFFSET leaves out.  Where one of them is not given, none is
 * asked for. */
#include "query/explain_int.h"
#include "query/operator_int.h"

struct limit {
    struct operator_run base;
    uint64_t skipped, given;
    int64_t query; /* Whose rows they were, where LIMIT is of each. */
};

/* Of each query, whose rows stand together. */
static enum errcode next_of_each(struct operator_run *o, struct value **row, struct err *err)
{
    struct limit *limit = CONTAINER_OF(o, struct limit, base);
    const struct portal *p = o->portal;
    for (;;) {
        enum errcode code = operator_next(o->input, row, err);
        if (code != ERR_OK || *row == NULL) {
            return code;
        }
        int64_t query = (*row)[o->plan->limit.place].integer;
        if (query != limit->query) {
            limit->query = query;
            limit->skipped = limit->given = 0;
        }
        if (limit->skipped < p->offset) {
            limit->skipped++;
        } else if (limit->given < p->limit) {
            limit->given++;
            return ERR_OK;
        }
    }
}

static enum errcode next_row(struct operator_run *o, struct value **row, struct err *err)
{
    struct limit *limit = CONTAINER_OF(o, struct limit, base);
    const struct portal *p = o->portal;
    if (o->plan->limit.is_of_each) {
        return next_of_each(o, row, err);
    }
    *row = NULL;
    while (limit->given < p->limit) {
        enum errcode code = operator_next(o->input, row, err);
        if (code != ERR_OK || *row == NULL) {
            return code;
        }
        if (limit->skipped == p->offset) {
            limit->given++;
            return ERR_OK;
        }
        limit->skipped++;
        *row = NULL;
    }
    return ERR_OK;
}

static void back(struct operator_run *o)
{
    CONTAINER_OF(o, struct limit, base)->given--;
    operator_back(o->input);
}

static void rewind_limit(struct operator_run *o)
{
    struct limit *limit = CONTAINER_OF(o, struct limit, base);
    limit->skipped = limit->given = 0;
}

static enum errcode fetch(struct operator_run *o, const struct column_mask *columns,
                          struct err *err)
{
    return operator_fetch(o->input, columns, err);
}

static void explain(const struct operator_run *o, struct explain *out)
{
    if (o->portal->limit != UINT64_MAX) {
        explain_number(out, "Limit", (double)o->portal->limit);
    }
    if (o->portal->offset != 0) {
        explain_number(out, "Offset", (double)o->portal->offset);
    }
}

const struct operator_kind operator_limit = {
    .name = "limit",
    .bytes = sizeof(struct limit),
    .next = next_row,
    .back = back,
    .rewind = rewind_limit,
    .fetch = fetch,
    .explain = explain,
};
