/* Checkpoints: what writing and reading share; save.c has the format. */
#ifndef VECTRON_INDEX_SAVE_INT_H
#define VECTRON_INDEX_SAVE_INT_H

#include "index/graph_int.h"

#define SAVE_MAGIC UINT64_C(0x3158454449525456) /* "VTRIDEX1" */
enum {
    SAVE_VERSION = 2,
    SAVE_PREFIX_BYTES = 16,
    SAVE_BLOCK_BYTES = 1 << 16,    /* A block ends with the node that passes it. */
    SAVE_PART_BYTES_MAX = 1 << 17, /* A node has at most LEVEL_MAX + 2 lists of 64 numbers. */
};

#endif
