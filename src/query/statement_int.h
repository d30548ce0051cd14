/* From a text to a plan. */
#ifndef VECTRON_QUERY_STATEMENT_INT_H
#define VECTRON_QUERY_STATEMENT_INT_H

#include "pd/pd.h"
#include "query/query.h"

struct plan;

/* What a plan is made of; borrowed during the call. */
struct plan_source {
    const struct statement_text *text;
    const struct map *map; /* Where names are looked up. */
    size_t bytes_max;      /* Of the text and the plan: statement_memory. */
    /* Asked again and again where the text is long: an error ends the analysis with it. */
    enum errcode (*poll)(void *arg, struct err *err);
    void *arg;
};
/* The first statement of the text, to be released; *out is NULL where there is none, and *rest is
 * where the next one begins. */
enum errcode plan_new(const struct plan_source *source, struct plan **out, size_t *rest,
                      struct err *err) WARN_UNUSED;

#endif
