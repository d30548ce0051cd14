/* A WHERE over the 64 rows of a block at once. */
#ifndef VECTRON_QUERY_LANES_INT_H
#define VECTRON_QUERY_LANES_INT_H

#include "shard/block.h"

struct evaluator;
struct plan;
struct program;

/* One operand of 64 rows. */
struct lanes {
    struct shard_cells in; /* Of a BOOL the cells are not used: truth has a bit for each row. */
    uint64_t truth;
    bool is_one; /* All rows have this value. */
    struct value one;
    uint64_t room[SHARD_BLOCK_ROWS]; /* For cells that are made here. */
};

/* Operands for the WHERE of a plan; NULL where there is none, where it cannot be run so, or memory
 * ran out (the arena tells). */
struct lanes *lanes_of_access(const struct plan *plan, struct arena *arena);

/* What a row costs, about, where whole blocks are tested. */
double lanes_row_ns(const struct program *program);

struct lanes_run {
    struct lanes *stack;
    struct evaluator *evaluator;
    const struct shard_view *view;
    const struct shard_block *block;
    uint64_t wanted; /* Rows of the block to be tested: a bit each. */
};
/* Which of the wanted rows match; *is_told = false: that is to be asked row by row, as where one of
 * them would be an error. */
enum errcode program_match_block(const struct program *program, const struct lanes_run *run,
                                 uint64_t *matches, bool *is_told, struct err *err) WARN_UNUSED;

#endif
