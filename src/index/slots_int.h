/* Slots: where rows live.
 *
 * A row lives in a *slot*: its code, its exact vector (where the code is not that already), and its
 * node (row number, level, state, neighbour list of layer 0) stand at the slot's place in three
 * regions; the few lists of upper layers stand in a fourth.  Lists hold slots, but nothing depends
 * on their numbers: they differ between replicas, so every order is by distance, then by row
 * number. */
#ifndef VECTRON_INDEX_SLOTS_INT_H
#define VECTRON_INDEX_SLOTS_INT_H

#include "index/code_int.h"
#include "index/epoch_int.h"

enum {
    SLOT_NONE = INT32_MAX, /* Ends a neighbour list that is not full. */
    SLOTS_MAX = INT32_MAX - 1,
    LEVEL_MAX = 15,
    LINKS_MAX = 2 * 64, /* The longest neighbour list. */
};

enum {
    SLOT_PRESENT = 1 << 0, /* Holds a row. */
    SLOT_LINKED = 1 << 1,  /* In the graph. */
    SLOT_HIDDEN = 1 << 2,  /* Its delete is staged. */
    SLOT_DEAD = 1 << 4,    /* In the graph until the next sweep (unlink.c). */
    SLOT_TORN = 1 << 5,    /* Lost much in the sweep that goes on. */
    SLOT_LEFT = 1 << 6,    /* Of a checkpoint within a sweep: the row whose delete it was. */
};

/* What stands at a slot besides its code and vector; a whole number of cache lines in a graph, so
 * that a step of a walk touches as few as can be. */
struct node {
    uint64_t row, label;
    uint32_t upper; /* Its list on layer 1, or SLOT_NONE. */
    uint32_t next;  /* Of a slot that waits or is free: the next one. */
    uint8_t level;
    _Atomic uint8_t state;
    /* Parts of its list on layer 0 (list_int.h); the advancing thread's. */
    uint8_t has_parent : 1, kept : 7;
    uint8_t chosen;
    _Atomic uint32_t links[];
};

struct upper {
    uint32_t next;  /* The same node's list one layer higher; a free one: the next one. */
    uint8_t chosen; /* As a node's. */
    _Atomic uint32_t links[];
};

struct slots {
    struct mem_region codes, vectors, nodes, uppers;
    size_t code_stride;   /* Bytes a code. */
    size_t vector_stride; /* Floats an exact vector; 0: the code is it. */
    /* Where exact vectors are read: in vectors, or in the storage's map. */
    const float *vector_base;
    const struct index_storage *storage;
    uint32_t dim;
    size_t place_bytes; /* Of a vector in the storage. */
    bool is_stored;     /* Vectors are handed over. */
    size_t node_bytes;  /* A struct node with its links. */
    size_t upper_bytes; /* A struct upper with its links. */
    uint32_t m;
    uint32_t links0;   /* The length of a list on layer 0. */
    uint32_t capacity; /* Slots that fit without growing a region. */
    uint32_t uppers_capacity, n_uppers;
    _Atomic uint32_t n_used; /* Slots ever used; searches scan up to here. */

    struct mutex shape; /* Of the regions' sizes and of n_used; taken before the other. */
    struct mutex lock;  /* Of the lists below, and of states while a flat index is saved. */
    uint32_t free_slot, free_upper;
    uint32_t n_free_slots, n_free_uppers;
    uint32_t limbo_new, limbo_old; /* Slots out of reach: since some time; since limbo_mark. */
    uint64_t limbo_mark;
    /* Out of reach, and their vectors are wanted in the storage: given up since the last save
     * began; before it. */
    uint32_t kept_new, kept_saved;
};

struct slots_shape {
    size_t code_bytes;
    uint32_t dim;
    bool is_code_exact;
    uint32_t m, links0;
    const struct index_storage *storage;
};

bool slots_init(struct slots *slots, const struct slots_shape *shape);
void slots_fini(struct slots *slots);
/* Room for @bytes in a region; it may move. */
bool slots_region_fits(struct mem_region *region, size_t bytes) WARN_UNUSED;
/* Takes n slots, and uppers for their levels; all or nothing. */
enum errcode slots_take(struct slots *slots, struct epochs *epochs, const uint8_t *levels, size_t n,
                        uint32_t *out, struct err *err) WARN_UNUSED;
/* The reverse, where nobody has heard of them. */
void slots_put_back(struct slots *slots, const uint32_t *taken, size_t n);
/* The slots are out of every list; they are used again when no reader can see them, and no
 * checkpoint. */
void slots_retire(struct slots *slots, struct epochs *epochs, const uint32_t *retired, size_t n);
/* Of vectors that are read in the storage's map; for the staging thread. */
size_t slots_mapped_bytes(const struct slots *slots);
/* Gives all memory back where every slot is free, and the storage's room. */
void slots_give_back(struct slots *slots, struct epochs *epochs);
/* What was given up until now is not in the save that begins; then, that save will stay. */
void slots_note_save(struct slots *slots);
void slots_note_durable(struct slots *slots, struct epochs *epochs);

/* A load takes slots 0 .. n - 1 of an empty index as they were saved: first all, then upper lists
 * as blocks want them, from *first on, and at the end those without a row are free. */
enum errcode slots_restore(struct slots *slots, struct epochs *epochs, size_t n, bool is_stored,
                           struct err *err) WARN_UNUSED;
enum errcode slots_restore_uppers(struct slots *slots, struct epochs *epochs, size_t n,
                                  uint32_t *first, struct err *err) WARN_UNUSED;
void slots_restore_free(struct slots *slots, const uint64_t *rows);

/* ---- the row map: row number to slot ---- */

struct row_map {
    uint32_t *slots; /* Open addressing; SLOT_NONE where empty. */
    size_t capacity, n;
};

void row_map_fini(struct row_map *map);
bool row_map_reserve(struct row_map *map, const struct slots *slots, size_t n_more) WARN_UNUSED;
void row_map_add(struct row_map *map, const struct slots *slots, uint32_t slot);
/* Slots 0 .. n_slots - 1, of which rows says what they hold or ROW_NONE, into an empty map that has
 * room for them.  False where a row is there twice. */
#define ROW_NONE UINT64_MAX
bool row_map_fill(struct row_map *map, const uint64_t *rows, uint32_t n_slots) WARN_UNUSED;
uint32_t row_map_find(const struct row_map *map, const struct slots *slots, uint64_t row);
/* Soon these are to be found. */
void row_map_prefetch(const struct row_map *map, const struct slots *slots, const uint64_t *rows,
                      size_t n);
void row_map_remove(struct row_map *map, const struct slots *slots, uint32_t slot);

#endif
