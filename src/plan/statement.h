/* The door of plan for those who pass it on: a statement's text, and the columns of its rows. */
#ifndef VECTRON_PLAN_STATEMENT_H
#define VECTRON_PLAN_STATEMENT_H

#include "base/base.h"

struct statement_text {
    const char *data;
    size_t bytes;
    const uint8_t *types; /* enum value_type of $1..; 0 = unknown; may be fewer than there are. */
    size_t n_types;
};
struct result_column {
    char name[NAME_BYTES_MAX + 1];
    enum value_type type;
    uint32_t dim;
};

#endif
