/* Lines of a plan: appended by a verb's explain, then shown as text or as JSON. */
#ifndef VECTRON_QUERY_EXPLAIN_INT_H
#define VECTRON_QUERY_EXPLAIN_INT_H

#include "base/base.h"

struct portal;

struct explain {
    struct portal *portal;
    struct buf text; /* Lines or members. */
    bool is_json;
    bool has_member;
    const char *group; /* JSON: the object that is open. */
};

void explain_text(struct explain *out, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);
void explain_number(struct explain *out, const char *key, double value);
void explain_access(struct explain *out); /* How rows are found, and the filter. */
void explain_filter(struct explain *out); /* The keys and the filter alone. */

/* What lines are made of.  A group holds the lines up to its end. */
void explain_begin_group(struct explain *out, const char *name);
void explain_end_group(struct explain *out);
void explain_begin_member(struct explain *out, const char *key);
void explain_string(struct buf *b, const char *text); /* As JSON has it. */

#endif
