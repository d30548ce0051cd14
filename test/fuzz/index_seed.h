/* The configuration that fuzz_index and the maker of its seeds share. */
#ifndef VECTRON_TEST_INDEX_SEED_H
#define VECTRON_TEST_INDEX_SEED_H

#include "index/index.h"

enum {
    INDEX_SEED_DIM = 4
};

static inline struct index_config index_seed_config(enum index_kind kind)
{
    return (struct index_config){.kind = kind,
                                 .distance = DISTANCE_L2,
                                 .dim = INDEX_SEED_DIM,
                                 .m = 4,
                                 .ef_construction = 8,
                                 .seed = 1};
}

#endif
