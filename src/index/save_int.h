/* Checkpoints: what writing and reading share; save.c has the format. */
#ifndef VECTRON_INDEX_SAVE_INT_H
#define VECTRON_INDEX_SAVE_INT_H

#include "index/graph_int.h"

#define SAVE_MAGIC UINT64_C(0x3158454449525456) /* "VTRIDEX1" */
enum {
    SAVE_VERSION = 5,
    SAVE_PREFIX_BYTES = 16,
    SAVE_HEAD_BYTES = 84, /* Up to the centre. */
    SAVE_END_BYTES = 12,
    SAVE_BLOCK_BYTES = 1 << 18, /* About, with vectors in a storage; never below one slot. */
    SAVE_BLOCK_SLOTS_MAX = 1024,
    SAVE_SLOTS_NARROW = 1 << 24, /* Up to so many slots a link takes three bytes, else four. */
};

/* What a slot's byte says; 0: it has no row. */
enum {
    SAVE_ROW = 1,
    SAVE_DEAD = 2, /* unlink.c has what these are. */
    SAVE_TORN = 4,
    SAVE_LAST = 8,    /* Dead, but its delete is to be staged again. */
    SAVE_ORPHAN = 16, /* It has no parent. */
};

/* The slots of a block that have a row. */
struct save_rows {
    uint32_t slots[SAVE_BLOCK_SLOTS_MAX];
    uint8_t kinds[SAVE_BLOCK_SLOTS_MAX];
    uint32_t n;
};

static inline void save_link_put(uint8_t *p, uint32_t link, size_t bytes)
{
    p[0] = (uint8_t)link;
    p[1] = (uint8_t)(link >> 8);
    p[2] = (uint8_t)(link >> 16);
    if (bytes == 4) {
        p[3] = (uint8_t)(link >> 24);
    }
}

static inline uint32_t save_link_get(const uint8_t *p, size_t bytes)
{
    uint32_t link = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
    return bytes == 4 ? link | (uint32_t)p[3] << 24 : link;
}

/* Of the vectors of a block's rows, which stand @stride floats apart from slot @first on. */
uint32_t save_vectors_crc(const struct save_rows *rows, const float *vectors, size_t stride,
                          uint32_t first, uint32_t dim);
/* Which rows a block has, from its bytes behind the length. */
static inline uint32_t save_rows_crc(const uint8_t *data, size_t n_slots, size_t n_rows)
{
    return crc32c(1, data, n_slots + n_rows * sizeof(uint64_t));
}

static inline uint32_t save_crc_add(uint32_t all, uint32_t crc)
{
    uint8_t bytes[sizeof(crc)];
    le_put_u32(bytes, crc);
    return crc32c(all, bytes, sizeof(bytes));
}

/* How the slots of an index fall into blocks, and what they take there. */
struct save_shape {
    size_t link_bytes;
    size_t code_bytes;   /* 0: the code is the vector, and that is in the storage. */
    size_t vector_bytes; /* 0: the code is the vector, or it is in the storage. */
    size_t sum_bytes;    /* Of the checksum of what is in the storage. */
    uint32_t block_slots;
    size_t block_bytes_max; /* With length and checksum. */
};

static inline struct save_shape save_shape_of(const struct index *index, uint32_t n_slots,
                                              bool is_stored)
{
    const struct index_config *config = &index->config;
    const struct slots *slots = &index->slots;
    struct save_shape shape = {
        .link_bytes = n_slots <= SAVE_SLOTS_NARROW ? 3 : 4,
        .sum_bytes = is_stored ? sizeof(uint32_t) : 0,
    };
    bool is_exact = slots->vector_stride == 0;
    if (!is_exact || !is_stored) {
        shape.code_bytes = index->code->row_bytes(config->dim, config->distance);
    }
    if (!is_exact && !is_stored) {
        shape.vector_bytes = config->dim * sizeof(float);
    }
    size_t fixed = 1 + 2 * sizeof(uint64_t) + 3 + shape.code_bytes + shape.vector_bytes;
    size_t links0 = slots->links0 * shape.link_bytes;
    size_t uppers_max = LEVEL_MAX * (2 + slots->m * shape.link_bytes);
    size_t n = SAVE_BLOCK_BYTES / (fixed + links0 + (is_stored ? slots->place_bytes : 0));
    shape.block_slots = (uint32_t)(n < 1 ? 1 : n < SAVE_BLOCK_SLOTS_MAX ? n : SAVE_BLOCK_SLOTS_MAX);
    shape.block_bytes_max =
        shape.block_slots * (fixed + links0 + uppers_max) + shape.sum_bytes + 2 * sizeof(uint32_t);
    return shape;
}

static inline uint32_t save_blocks(const struct save_shape *shape, uint32_t n_slots)
{
    CHECK(shape->block_slots > 0);
    return (uint32_t)(((uint64_t)n_slots + shape->block_slots - 1) / shape->block_slots);
}

/* Room to remember the sums of so many blocks. */
bool sums_fit(struct index *index, uint32_t n_blocks) WARN_UNUSED;

#endif
