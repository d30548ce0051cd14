/* Prepared statements: a text, and the plan that was made of it. */
#ifndef VECTRON_QUERY_PREPARED_INT_H
#define VECTRON_QUERY_PREPARED_INT_H

#include "query/query.h"

struct plan;

/* The plan of @prepared, made anew where its collection has changed; borrowed. */
enum errcode prepared_plan(struct query_session *session, struct prepared *prepared,
                           struct plan **out, struct err *err) WARN_UNUSED;

#endif
