/* What a reader sees: the overlay's generations over the file, as of one log index (view.c).
 */
#ifndef VECTRON_SHARD_VIEW_INT_H
#define VECTRON_SHARD_VIEW_INT_H

#include "shard/overlay_int.h"

struct store_read;

struct shard_view {
    struct shard *shard;
    struct generation *generations[2]; /* Newest first. */
    size_t n_generations;
    struct store_read *read;
    uint64_t applied; /* Versions up to this log index are seen. */
    uint64_t rows;
    uint64_t next_row;
    bool is_reading; /* It holds a place among the readers of payloads. */
    unsigned place;
    uint64_t hits, misses; /* Rows whose columns were in memory, or were not. */
    struct shard_view *next_free;
};

/* As shard_view_get, by the encoded key. */
enum errcode view_find_key(struct shard_view *view, struct slice key, struct shard_row *out,
                           bool *found, struct err *err) WARN_UNUSED;
void views_free(struct shard *shard); /* Those that wait to be opened again. */
/* What the overlay says of a row; NULL: nothing, so that it is as the file has it. */
const struct row_version *view_find_version(const struct shard_view *view, uint64_t number);
void view_row_of_version(const struct row_version *version, struct shard_row *out, bool *found);
enum errcode view_row_of_file(struct shard_view *view, uint64_t number, struct shard_row *out,
                              bool *found, struct err *err) WARN_UNUSED;

#endif
