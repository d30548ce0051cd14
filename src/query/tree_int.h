/* A plan's operators, from its root to its leaf, as a portal runs them. */
#ifndef VECTRON_QUERY_TREE_INT_H
#define VECTRON_QUERY_TREE_INT_H

#include "query/verb_int.h"

struct explain;
struct plan;
struct portal;

/* Of all operators of a run. */
size_t operators_bytes(const struct plan *plan);
/* Makes portal->root of the plan's. */
enum errcode operators_open(struct portal *portal, struct err *err) WARN_UNUSED;
void operators_close(struct portal *portal);
/* A step: rows of the root, until the batch is full. */
enum step operators_step(struct portal *portal, struct err *err);
void operators_explain(struct portal *portal, struct explain *out);

#endif
