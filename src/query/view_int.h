/* Views: what SHOW lists, declared in views.def. */
#ifndef VECTRON_QUERY_VIEW_INT_H
#define VECTRON_QUERY_VIEW_INT_H

#include "query/query.h"

struct view {
    const char *name, *text;
    const struct result_column *columns;
    size_t n_columns;
    enum errcode (*fill)(struct portal *portal, struct err *err); /* Emits the rows. */
};
size_t view_count(void);
const struct view *view_at(size_t i);
const struct view *view_find(const char *name); /* NULL where there is none. */

#endif
