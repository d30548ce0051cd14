/* Blocks: what memory has of 64 rows, as a view sees them (block.h).
 *
 * A block is a chunk of payload.c, less the rows of which the overlay knows more. */
#include "shard/overlay_int.h"
#include "shard/payload_int.h"
#include "shard/shard_int.h"
#include "shard/view_int.h"

void shard_view_prefetch(struct shard_view *view, const uint64_t *numbers, size_t n,
                         const uint64_t wanted[4])
{
    for (size_t i = 0; i < n && payload_keeps(view->shard->payload, wanted); i++) {
        (void)view_find_chunk(view, numbers[i]); /* So that it stays. */
        payload_prefetch(view->shard->payload, numbers[i], wanted);
    }
}

/* Rows of the block that the overlay has versions of: a bit each. */
static uint64_t in_overlay(const struct shard_view *view, uint64_t first)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < view->n_generations; i++) {
        const struct generation *g = view->generations[i];
        for (uint64_t at = 0; at < CHUNK_ROWS && generation_may_have(g, first); at++) {
            bool is_one = generation_by_number(g, first + at, view->applied) != NULL;
            rows |= (uint64_t)is_one << at;
        }
    }
    return rows;
}

/* A bit for each row of the block whose number is below @end. */
static uint64_t rows_below(uint64_t first, uint64_t end)
{
    if (end >= first + CHUNK_ROWS) {
        return UINT64_MAX;
    }
    return end <= first ? 0 : (UINT64_C(1) << (end - first)) - 1;
}

bool shard_view_block(struct shard_view *view, uint64_t number, const uint64_t wanted[4],
                      enum shard_block_wish wish, struct shard_block *out, uint64_t *rows_read)
{
    struct payload *payload = view->shard->payload;
    CHECK(payload_keeps(payload, wanted));
    const struct chunk *chunk = wish == SHARD_BLOCK_MADE ? view_make_chunk(view, number, rows_read)
                                                         : view_find_chunk(view, number);
    if (chunk == NULL) {
        return false;
    }
    payload_prefetch(payload, number + CHUNK_ROWS, wanted);
    uint64_t first = number / CHUNK_ROWS * CHUNK_ROWS;
    uint64_t here = chunk_known(chunk) & ~in_overlay(view, first);
    *out = (struct shard_block){.first = first,
                                .rows = here & chunk_present(chunk),
                                .elsewhere = ~here & rows_below(first, view->next_row),
                                .chunk = chunk};
    view->hits += (uint64_t)__builtin_popcountll(out->rows);
    return true;
}

struct shard_cells shard_block_cells(const struct shard_view *view, const struct shard_block *block,
                                     uint32_t column)
{
    CHECK_HOT(block->chunk != NULL && column < view->shard->schema->n_columns);
    return chunk_cells(view->shard->payload, block->chunk, column);
}
