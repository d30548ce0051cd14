/* From a text to a plan. */
#ifndef VECTRON_QUERY_STATEMENT_INT_H
#define VECTRON_QUERY_STATEMENT_INT_H

#include "query/query.h"

struct plan;

/* The first statement of @text, to be released; *out is NULL where there is none, and *rest is
 * where the next one begins. */
enum errcode analyze(struct query_session *session, const struct statement_text *text,
                     struct plan **out, size_t *rest, struct err *err) WARN_UNUSED;

#endif
