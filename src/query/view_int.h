/* The rows of views. */
#ifndef VECTRON_QUERY_VIEW_INT_H
#define VECTRON_QUERY_VIEW_INT_H

#include "base/base.h"

struct view;

/* Emits its rows. */
enum errcode view_fill(const struct view *view, struct portal *portal, struct err *err) WARN_UNUSED;

#endif
