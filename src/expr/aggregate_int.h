/* Aggregates: the table of aggregates.def. */
#ifndef VECTRON_EXPR_AGGREGATE_INT_H
#define VECTRON_EXPR_AGGREGATE_INT_H

#include "expr/aggregate.h"
#include "expr/function_int.h"

enum {
    TYPE_STAR = TYPE_ORDERED + 1, /* What count(*) takes. */
};

struct aggregate {
    const char *name;
    enum errcode (*add)(const struct aggregate_call *call, struct aggregate_state *state,
                        const struct value *value, const struct aggregate_room *room,
                        struct err *err);
    /* Of a state that has taken a value, but for count. */
    enum errcode (*end)(const struct aggregate_call *call, const struct aggregate_state *state,
                        const struct aggregate_room *room, struct value *out, struct err *err);
    uint8_t takes, gives;
};

const struct aggregate *aggregate_at(size_t number);
/* The first row of that name, and how many there are; 0: there is no such aggregate. */
size_t aggregates_find(const char *name, size_t *n);
size_t aggregates_count(void);

#endif
