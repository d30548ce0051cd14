/* The door of shard for who looks at many rows: columns of 64 rows side by side, as far as they are
 * in memory.
 *
 * A block says of which of its rows it knows the columns as the view sees them.  The others are to
 * be asked for one by one. */
#ifndef VECTRON_SHARD_BLOCK_H
#define VECTRON_SHARD_BLOCK_H

#include "shard/shard.h"

enum {
    SHARD_BLOCK_ROWS = 64
};

struct chunk;
struct shard_block {
    uint64_t first;            /* Number of its first row; bit i is the row first + i. */
    uint64_t rows;             /* That are there, and whose columns are here. */
    uint64_t elsewhere;        /* That may be there, and are not here. */
    const struct chunk *chunk; /* shard's own. */
};

enum shard_block_wish {
    SHARD_BLOCK_IF_THERE, /* What is in memory already. */
    SHARD_BLOCK_MADE      /* Read into memory where it is missing, as long as there is room. */
};
/* The block of row @number; false where it is not in memory.  No vector is @wanted.  Borrowed until
 * the view closes.  *rows_read is added to. */
bool shard_view_block(struct shard_view *view, uint64_t number, const uint64_t wanted[4],
                      enum shard_block_wish wish, struct shard_block *out, uint64_t *rows_read);

/* Soon the columns of these rows are wanted: what is in memory comes nearer. */
void shard_view_prefetch(struct shard_view *view, const uint64_t *numbers, size_t n,
                         const uint64_t wanted[4]);

/* One column of a block (payload.c). */
struct shard_cells {
    enum value_type type;
    uint64_t nulls; /* A bit each. */
    /* A cell a row: an INT or TIMESTAMP; the bits of a FLOAT; 0 or 1; of others where it begins in
     * bytes, << 32, and how many they are, or SHARD_CELL_ELSEWHERE: it is too long to be here. */
    const uint64_t *cells;
    const uint8_t *bytes;
};
#define SHARD_CELL_ELSEWHERE UINT64_MAX
struct shard_cells shard_block_cells(const struct shard_view *view, const struct shard_block *block,
                                     uint32_t column);
/* It is a text that is not here. */
bool shard_cell_is_elsewhere(const struct shard_cells *cells, unsigned row);
/* A cell that is not NULL and not elsewhere; a text is borrowed as the block is. */
struct value shard_cell_value(const struct shard_cells *cells, unsigned row);

#endif
