/* A cursor: the rows of a collection that an access path takes, one after the other. */
#ifndef VECTRON_QUERY_CURSOR_INT_H
#define VECTRON_QUERY_CURSOR_INT_H

#include "query/query.h"
#include "shard/shard.h"

struct access;
struct column_mask;
struct portal;

enum {
    INLINE_ROWS_MAX = 2000 /* That a step may look at on its owner's thread. */
};

/* Walks the rows that an access path takes, within one view. */
struct cursor {
    struct portal *portal;
    const struct access *access;
    struct shard_view *view;
    struct shard_row row;
    uint64_t next_number;
    size_t next_key;
    size_t row_key; /* ACCESS_KEYS: of the row at hand. */
    uint64_t looked_at;
    bool is_counted;     /* The row at hand is among them. */
    uint64_t n_expected; /* That it will look at, about; 0: not asked yet. */
};
enum errcode cursor_open(struct cursor *cursor, struct portal *portal, struct err *err) WARN_UNUSED;
void cursor_close(struct cursor *cursor); /* Keeps where it was; cursor_open goes on from there. */
/* The next row that is taken; its where columns are decoded. */
enum errcode cursor_next(struct cursor *cursor, bool *found, struct err *err) WARN_UNUSED;
/* The row at hand comes again. */
void cursor_back(struct cursor *cursor);
/* Decodes further columns of the row at hand. */
enum errcode cursor_decode(struct cursor *cursor, const struct column_mask *columns,
                           struct err *err) WARN_UNUSED;
/* Rows that the path will look at. */
enum errcode access_estimate(struct portal *portal, uint64_t *rows, struct err *err) WARN_UNUSED;

#endif
