/* What operators ask of those below them. */
#include "query/operator_int.h"

void operator_rewind(struct operator_run *o)
{
    CHECK_HOT(o == NULL || o->kind != NULL);
    for (; o != NULL; o = o->input) {
        if (o->kind->rewind != NULL) {
            o->kind->rewind(o);
        }
        o->rows = 0;
    }
}

enum errcode operator_measure(struct operator_run *o, struct value **row, struct err *err)
{
    CHECK_HOT(o->is_measured && o->kind->next != NULL);
    uint64_t us = clock_micros(), work = portal_work(o->portal);
    enum errcode code = o->kind->next(o, row, err);
    o->us += clock_micros() - us;
    o->work += portal_work(o->portal) - work;
    o->rows += code == ERR_OK && *row != NULL ? 1 : 0;
    return code;
}
