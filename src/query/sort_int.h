/* A sorter: rows by keys, all of them or the first n. */
#ifndef VECTRON_QUERY_SORT_INT_H
#define VECTRON_QUERY_SORT_INT_H

#include "base/base.h"

struct portal;
struct sort_key;

/* Of two values of this key. */
int sort_key_compare(const struct sort_key *key, const struct value *a, const struct value *b);

/* Keeps the first @rows_max rows by the keys, within the portal's budget, at the cost of its work.
 */
struct sorter *sorter_new(const struct sort_key *keys, size_t n_keys, size_t n_values,
                          uint64_t rows_max, struct portal *portal);
void sorter_reset(struct sorter *sorter); /* Forgets all rows. */
void sorter_free(struct sorter *sorter);
/* Whether a row with these keys would be kept; asked before its values are made. */
bool sorter_wants(const struct sorter *sorter, const struct value *keys);
enum errcode sorter_add(struct sorter *sorter, const struct value *keys, const struct value *values,
                        struct err *err) WARN_UNUSED;
enum errcode sorter_finish(struct sorter *sorter, struct err *err) WARN_UNUSED;
size_t sorter_rows(const struct sorter *sorter);
struct value *sorter_row(const struct sorter *sorter, size_t i);

#endif
