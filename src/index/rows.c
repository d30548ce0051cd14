/* The row map: an open-addressing table of slots, found by row number.
 *
 * Holds slots only; the row numbers stand in the nodes.  Linear probing; a removal moves later
 * entries back, so that there are no markers.  At most 4/5 full. */
#include "index/graph_int.h"

enum {
    ROW_MAP_FIRST = 16,
    ROW_MAP_SPARSE = 16, /* A map of so many places a row becomes smaller, */
    ROW_MAP_LARGE = 1024 /* unless it is small. */
};

void row_map_fini(struct row_map *map)
{
    mem_free(MEM_GRAPH, map->slots);
    *map = (struct row_map){.slots = NULL};
}

static size_t home_of(const struct row_map *map, uint64_t row)
{
    return hash_u64(row) & (map->capacity - 1);
}

static void place(struct row_map *map, const struct slots *slots, uint32_t slot)
{
    size_t at = home_of(map, node_at(slots, slot)->row);
    while (map->slots[at] != SLOT_NONE) {
        at = (at + 1) & (map->capacity - 1);
    }
    map->slots[at] = slot;
}

/* False where there is no memory; nothing has changed. */
static bool resize(struct row_map *map, const struct slots *slots, size_t capacity)
{
    struct row_map other = {
        .slots = mem_alloc(MEM_GRAPH, capacity * sizeof(uint32_t)),
        .capacity = capacity,
        .n = map->n,
    };
    if (other.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < capacity; i++) {
        other.slots[i] = SLOT_NONE;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i] != SLOT_NONE) {
            place(&other, slots, map->slots[i]);
        }
    }
    row_map_fini(map);
    *map = other;
    return true;
}

bool row_map_reserve(struct row_map *map, const struct slots *slots, size_t n_more)
{
    size_t capacity = map->capacity > 0 ? map->capacity : ROW_MAP_FIRST;
    while ((map->n + n_more) * 5 > capacity * 4) {
        capacity *= 2;
    }
    return capacity == map->capacity || resize(map, slots, capacity);
}

void row_map_add(struct row_map *map, const struct slots *slots, uint32_t slot)
{
    CHECK(map->n < map->capacity);
    place(map, slots, slot);
    map->n++;
}

/* A row that is larger than all before it is a new one: mostly nothing is to be compared. */
bool row_map_fill(struct row_map *map, const uint64_t *rows, uint32_t n_slots)
{
    uint64_t row_end = 0;
    size_t mask = map->capacity - 1;
    for (uint32_t slot = 0; slot < n_slots; slot++) {
        uint64_t row = rows[slot];
        if (row == ROW_NONE) {
            continue;
        }
        bool is_new = row >= row_end;
        size_t at = home_of(map, row);
        while (map->slots[at] != SLOT_NONE) {
            if (!is_new && rows[map->slots[at]] == row) {
                return false;
            }
            at = (at + 1) & mask;
        }
        map->slots[at] = slot;
        map->n++;
        row_end = is_new ? row + 1 : row_end;
    }
    return true;
}

static size_t position_of(const struct row_map *map, const struct slots *slots, uint64_t row)
{
    size_t at = home_of(map, row);
    while (map->slots[at] != SLOT_NONE && node_at(slots, map->slots[at])->row != row) {
        at = (at + 1) & (map->capacity - 1);
    }
    return at;
}

uint32_t row_map_find(const struct row_map *map, const struct slots *slots, uint64_t row)
{
    return map->n > 0 ? map->slots[position_of(map, slots, row)] : SLOT_NONE;
}

void row_map_prefetch(const struct row_map *map, const struct slots *slots, const uint64_t *rows,
                      size_t n)
{
    for (size_t i = 0; i < n && map->n > 0; i++) {
        __builtin_prefetch(&map->slots[home_of(map, rows[i])]);
    }
    for (size_t i = 0; i < n && map->n > 0; i++) {
        uint32_t slot = map->slots[home_of(map, rows[i])];
        if (slot != SLOT_NONE) {
            __builtin_prefetch(node_at(slots, slot));
        }
    }
}

void row_map_remove(struct row_map *map, const struct slots *slots, uint32_t slot)
{
    size_t hole = position_of(map, slots, node_at(slots, slot)->row);
    CHECK(map->slots[hole] == slot);
    size_t mask = map->capacity - 1;
    for (size_t at = (hole + 1) & mask; map->slots[at] != SLOT_NONE; at = (at + 1) & mask) {
        size_t home = home_of(map, node_at(slots, map->slots[at])->row);
        /* An entry may move back to the hole unless its home lies behind the hole. */
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = SLOT_NONE;
    map->n--;
    if (map->capacity > ROW_MAP_LARGE && map->n * ROW_MAP_SPARSE < map->capacity) {
        (void)resize(map, slots, map->capacity / 4); /* Without memory it stays as it is. */
    }
}
