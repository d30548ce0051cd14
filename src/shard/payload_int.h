/* The columns of rows in memory, but for vectors: what filters and results ask for again and again.
 *
 *   pool     of a node: bounds the memory of all, and frees what no reader can see any more
 *   cache    of a shard: row number -> chunk
 *   chunk    64 rows side by side: a word of 64 bits says which are there, another which of them
 * the file has changed since; then each column's 64 cells
 *
 * A chunk is made of the file as of one flush and never changes but for its stale bits, so it says
 * what a view of that flush, or of a later one, would read.  How that stays true is told in
 * payload.c. */
#ifndef VECTRON_SHARD_PAYLOAD_INT_H
#define VECTRON_SHARD_PAYLOAD_INT_H

#include "shard/block.h"

enum {
    CHUNK_ROWS = SHARD_BLOCK_ROWS
};

struct row_version;
struct store_read;

struct payload_pool *payload_pool_new(struct err *err);
void payload_pool_limit(struct payload_pool *pool, size_t bytes_max);
void payload_pool_free(struct payload_pool *pool); /* No cache is left; NULL is allowed. */

/* Readers hold their place while they look at chunks: those that they find stay until they leave.
 */
unsigned payload_enter(struct payload_pool *pool);
void payload_leave(struct payload_pool *pool, unsigned place);

struct payload *payload_new(struct payload_pool *pool, const struct schema *schema,
                            struct err *err);
void payload_free(struct payload *payload); /* No reader is left; NULL is allowed. */

/* No vector is among these columns. */
bool payload_keeps(const struct payload *payload, const uint64_t columns[4]);

struct chunk;
/* The chunk of row @number, where there is one and a view whose file is as of @flushed may use it;
 * NULL else.  Borrowed until the reader leaves. */
const struct chunk *payload_find(struct payload *payload, uint64_t number, uint64_t flushed);
/* Which of its rows it knows; which of these are there. */
uint64_t chunk_known(const struct chunk *chunk);
uint64_t chunk_present(const struct chunk *chunk);
/* Its reader did not find a row that the file may have; true: often enough, it is to be made anew.
 */
bool chunk_is_worn(const struct chunk *chunk);
/* Decodes those columns of a row that is known and present; false where one of them is not kept.
 * Texts are borrowed as the chunk is. */
struct shard_cells chunk_cells(const struct payload *payload, const struct chunk *chunk,
                               uint32_t column);
/* The same, soon, of row @number: those columns, where there is a chunk. */
void payload_prefetch(const struct payload *payload, uint64_t number, const uint64_t columns[4]);
bool chunk_decode(const struct payload *payload, const struct chunk *chunk, uint64_t number,
                  const uint64_t columns[4], struct value *values);

/* Whether a reader that has not found what it wants is to make the chunk. */
enum payload_wish {
    PAYLOAD_FOR_A_ROW, /* Others may have to go for it, now and then. */
    PAYLOAD_FOR_A_SCAN /* As long as there is room. */
};
bool payload_wants(struct payload *payload, enum payload_wish wish);
/* Makes the chunk of row @number, which the file has or had, from what @read sees.  Where it cannot
 * be made or kept nothing has happened.  *rows_read is added to. */
void payload_fill(struct payload *payload, struct store_read *read, uint64_t number,
                  uint64_t *rows_read);

/* A flush up to log index @flushed is about to commit: it changes these rows, of rising numbers. */
void payload_change(struct payload *payload, uint64_t flushed,
                    const struct row_version *const *versions, size_t n);

/* ---- view.c, columns.c ---- */

/* The chunk of row @number that the view may use; NULL: there is none.  Until the view closes. */
const struct chunk *view_find_chunk(struct shard_view *view, uint64_t number);
/* The same, read from the file where it is missing and there is room. */
const struct chunk *view_make_chunk(struct shard_view *view, uint64_t number, uint64_t *rows_read);

#endif
