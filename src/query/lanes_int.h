/* A WHERE over the 64 rows of a block at once. */
#ifndef VECTRON_QUERY_LANES_INT_H
#define VECTRON_QUERY_LANES_INT_H

#include "shard/block.h"

struct evaluator;
struct plan;
struct program;

/* One operand of 64 rows. */
struct lane {
    struct shard_cells in; /* Of a BOOL the cells are not used: truth has a bit for each row. */
    uint64_t truth;
    bool is_one; /* All rows have this value. */
    struct value one;
    uint64_t room[SHARD_BLOCK_ROWS]; /* For cells that are made here. */
};

/* How a WHERE is run over blocks. */
struct lanes {
    struct lane *stack; /* NULL: the whole of it row by row, over columns that are read here. */
    uint32_t *columns;
    struct shard_cells *cells; /* Of the block, of each of them. */
    size_t n_columns;
};

/* For the WHERE of a plan; NULL where there is none, where it reads a VECTOR, or memory ran out
 * (the arena tells). */
struct lanes *lanes_of_access(const struct plan *plan, struct arena *arena);

/* What a row costs, about, where whole blocks are tested. */
double lanes_row_ns(const struct program *program);

struct lanes_run {
    struct lanes *lanes;
    struct evaluator *evaluator;
    const struct shard_view *view;
    const struct shard_block *block;
    uint64_t wanted; /* Rows of the block to be tested: a bit each. */
};
/* The cells of one row; false where one of them is not in memory. */
bool lanes_take_cells(const struct shard_cells *cells, const uint32_t *columns, size_t n_columns,
                      unsigned row, struct value *values);

/* Which of the wanted rows match; *is_told = false: that is to be asked row by row, as where one of
 * them would be an error. */
enum errcode program_match_block(const struct program *program, const struct lanes_run *run,
                                 uint64_t *matches, bool *is_told, struct err *err) WARN_UNUSED;

#endif
