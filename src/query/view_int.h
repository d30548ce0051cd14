/* Views: what SHOW lists, declared in views.def. */
#ifndef VECTRON_QUERY_VIEW_INT_H
#define VECTRON_QUERY_VIEW_INT_H

#include "query/query.h"

enum view_id {
#define VIEW(name, text, columns) VIEW_##name,
#include "query/views.def"
#undef VIEW
};

struct view {
    enum view_id id;
    const char *name, *text;
    const struct result_column *columns;
    size_t n_columns;
};
size_t view_count(void);
const struct view *view_at(size_t i);
const struct view *view_find(const char *name); /* NULL where there is none. */

/* Emits its rows. */
enum errcode view_fill(const struct view *view, struct portal *portal, struct err *err) WARN_UNUSED;

#endif
