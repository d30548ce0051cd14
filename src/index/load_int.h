/* Checkpoints, reading: what load.c and load_check.c share. */
#ifndef VECTRON_INDEX_LOAD_INT_H
#define VECTRON_INDEX_LOAD_INT_H

#include "index/build_int.h"
#include "index/save_int.h"

struct batch;

/* What is known of the slots while their neighbours are still to come; close together, as lists
 * name slots in no order. */
struct facts {
    struct mem_region memory; /* Of all of it. */
    uint64_t *rows;           /* ROW_NONE: none. */
    uint32_t *parents;        /* SLOT_NONE: none. */
    uint8_t *heights;         /* One more than the row's level; 0: no row. */
    uint8_t *kinds;           /* As the stream has them. */
    uint8_t *is_claimed;      /* The parent lists the row as its child. */
};

struct loader {
    struct index *index;
    struct save_shape shape;
    const struct index_crew *crew;
    struct index_source source; /* Its bytes are those that are left. */
    uint32_t head_crc, all_crc;
    bool is_stored;
    uint32_t n_slots, n_rows, n_blocks, entry;
    uint32_t length_next; /* Of the block that follows; at the end 0. */
    uint32_t slot_next, block_next;
    struct batch *decoded, *read; /* One is decoded while the other is read. */
    struct facts facts;
    _Atomic bool has_bad_list, has_row_twice;
};

static inline enum errcode load_corrupt(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the index checkpoint %s", what);
}

bool facts_init(struct facts *facts, size_t n_slots) WARN_UNUSED;
void facts_fini(struct facts *facts);

/* What can be told only when all rows are there; and they enter the row map. */
enum errcode load_check(struct loader *l, struct err *err) WARN_UNUSED;

/* A row that others need not know: it is dead. */
static inline bool leads_away(const struct loader *l, uint32_t slot)
{
    return (l->facts.kinds[slot] & (SAVE_DEAD | SAVE_LAST)) != 0;
}

#endif
