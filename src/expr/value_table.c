/* Rows of values, each held once, in the order of arrival: what GROUP BY and DISTINCT stand on.
 *
 *   slots    open addressing, probed one after the other: 32 bits of the row's hash, which say most
 *            of the time that it is another row, and its number + 1; 0: free
 *   chunks   the rows by their numbers, so many in each; the first grows up to that, since most
 *            tables of a DISTINCT within groups are small
 *
 * Both are in the arena.  What grows is made anew and the old is left there, so the slots take at
 * most twice what they need.  Hashing pays by bytes, probing by steps. */
#include "expr/aggregate.h"
#include "expr/expr_int.h"

#include <math.h>
#include <string.h>

enum {
    CHUNK_ROWS = 256, /* A power of two. */
    CHUNK_ROWS_FIRST = 4,
    CHUNKS_FIRST = 4,
    SLOTS_FIRST = 8,
    MOVED_AT_ONCE = 4096, /* Slots, between two payments. */
    MOVE_WORK = 4,        /* Of one. */
    PUT_WORK = 30,
    VALUE_WORK = 5,
    PROBE_WORK = 2,
};

static const uint64_t SEED = 0x6a09e667f3bcc908;
static const uint64_t HASH_OF_NULL = 0xbb67ae8584caa73b;
static const uint64_t HASH_OF_NAN = 0x3c6ef372fe94f82b;

struct slot {
    uint32_t hash;
    uint32_t row; /* Its number + 1. */
};

struct value_table {
    struct arena *arena;
    struct work *work;
    size_t width;
    size_t n;
    struct slot *slots;
    size_t n_slots; /* A power of two. */
    struct value **chunks;
    size_t n_chunks, chunks_capacity;
    size_t first_capacity; /* Rows of the first chunk. */
};

struct value_table *value_table_new(struct arena *arena, struct work *work, size_t width)
{
    CHECK(arena != NULL && work != NULL);
    struct value_table *table = arena_zalloc(arena, sizeof(*table));
    struct slot *slots = arena_zalloc(arena, SLOTS_FIRST * sizeof(*slots));
    if (table == NULL || slots == NULL) {
        return NULL;
    }
    table->arena = arena;
    table->work = work;
    table->width = width;
    table->slots = slots;
    table->n_slots = SLOTS_FIRST;
    return table;
}

size_t value_table_count(const struct value_table *table)
{
    return table->n;
}

/* ---- hashes: equal of what is equal ---- */

static uint64_t hash_double(double x, uint64_t hash)
{
    uint64_t bits;
    x = x == 0 ? 0 : x; /* -0 too. */
    memcpy(&bits, &x, sizeof(bits));
    return hash_u64(hash ^ (isnan(x) ? HASH_OF_NAN : bits));
}

static uint64_t hash_vector(const struct value *v, uint64_t hash)
{
    for (uint32_t i = 0; i < v->vector.dim; i++) {
        hash = hash_double((double)v->vector.data[i], hash);
    }
    return hash;
}

static uint64_t hash_value(const struct value *v, uint64_t hash)
{
    switch (v->type) {
    case TYPE_BOOL:
        return hash_u64(hash ^ (uint64_t)v->boolean);
    case TYPE_INT:
    case TYPE_TIMESTAMP:
        return hash_u64(hash ^ (uint64_t)v->integer);
    case TYPE_FLOAT:
        return hash_double(v->number, hash);
    case TYPE_TEXT:
    case TYPE_JSON:
        return v->text.bytes > 0 ? hash_bytes(v->text.data, v->text.bytes, hash) : hash_u64(hash);
    case TYPE_UUID:
        return hash_bytes(v->uuid, UUID_BYTES, hash);
    case TYPE_VECTOR:
        return hash_vector(v, hash);
    default:
        CHECK(v->type == TYPE_NULL);
        return hash_u64(hash ^ HASH_OF_NULL);
    }
}

static enum errcode hash_row(const struct value_table *table, const struct value *row,
                             uint32_t *hash, struct err *err)
{
    uint64_t all = SEED;
    enum errcode code = work_spend(table->work, PUT_WORK + VALUE_WORK * table->width, err);
    for (size_t i = 0; i < table->width && code == ERR_OK; i++) {
        code = work_spend(table->work, value_bytes(&row[i]) / sizeof(uint64_t), err);
        all = code == ERR_OK ? hash_value(&row[i], all) : all;
    }
    *hash = (uint32_t)all;
    return code;
}

/* ---- rows by their numbers ---- */

static struct value *row_at(const struct value_table *table, size_t number)
{
    return table->chunks[number / CHUNK_ROWS] + number % CHUNK_ROWS * table->width;
}

const struct value *value_table_row(const struct value_table *table, size_t number)
{
    CHECK(number < table->n);
    return row_at(table, number);
}

/* The first chunk, twice as large. */
static bool grow_first(struct value_table *table)
{
    size_t capacity = table->first_capacity > 0 ? 2 * table->first_capacity : CHUNK_ROWS_FIRST;
    struct value *larger = arena_array(table->arena, capacity * table->width, sizeof(*larger));
    if (larger == NULL) {
        return false;
    }
    if (table->n > 0) {
        memcpy(larger, table->chunks[0], table->n * table->width * sizeof(*larger));
    }
    table->chunks[0] = larger;
    table->first_capacity = capacity;
    return true;
}

static bool grow_chunks(struct value_table *table)
{
    size_t capacity = table->chunks_capacity > 0 ? 2 * table->chunks_capacity : CHUNKS_FIRST;
    struct value **larger = arena_array(table->arena, capacity, sizeof(*larger));
    if (larger == NULL) {
        return false;
    }
    if (table->n_chunks > 0) {
        memcpy(larger, table->chunks, table->n_chunks * sizeof(*larger));
    }
    table->chunks = larger;
    table->chunks_capacity = capacity;
    return true;
}

/* Room for the row behind the last one. */
static bool make_room(struct value_table *table)
{
    if (table->n_chunks == table->chunks_capacity && !grow_chunks(table)) {
        return false;
    }
    if (table->n < CHUNK_ROWS) {
        bool has_room = table->n < table->first_capacity || grow_first(table);
        table->n_chunks = has_room ? 1 : table->n_chunks;
        return has_room;
    }
    if (table->n < table->n_chunks * CHUNK_ROWS) {
        return true;
    }
    struct value *chunk =
        arena_array(table->arena, CHUNK_ROWS * table->width, sizeof(struct value));
    if (chunk == NULL) {
        return false;
    }
    table->chunks[table->n_chunks++] = chunk;
    return true;
}

/* ---- slots ---- */

static bool is_equal(const struct value_table *table, const struct value *a, const struct value *b)
{
    for (size_t i = 0; i < table->width; i++) {
        charge_compare(table->work, &a[i], &b[i]);
        if (a[i].type != b[i].type || value_compare(&a[i], &b[i]) != 0) {
            return false;
        }
    }
    return true;
}

/* That of @row, or the free one where it would be: some slot is free. */
static struct slot *find(const struct value_table *table, const struct value *row, uint32_t hash)
{
    for (size_t at = hash & (table->n_slots - 1);; at = (at + 1) & (table->n_slots - 1)) {
        struct slot *slot = &table->slots[at];
        work_charge(table->work, PROBE_WORK);
        if (slot->row == 0 ||
            (slot->hash == hash && is_equal(table, row_at(table, slot->row - 1), row))) {
            return slot;
        }
    }
}

static void move_slot(struct slot *slots, size_t n_slots, struct slot slot)
{
    size_t at = slot.hash & (n_slots - 1);
    while (slots[at].row != 0) {
        at = (at + 1) & (n_slots - 1);
    }
    slots[at] = slot;
}

static enum errcode grow_slots(struct value_table *table, struct err *err)
{
    size_t n_slots = 2 * table->n_slots;
    size_t at_once = table->n_slots < MOVED_AT_ONCE ? table->n_slots : MOVED_AT_ONCE;
    struct slot *slots = arena_array(table->arena, n_slots, sizeof(*slots));
    if (slots == NULL) {
        return err_no_memory(err);
    }
    memset(slots, 0, n_slots * sizeof(*slots));
    for (size_t i = 0; i < table->n_slots; i++) {
        enum errcode code =
            i % at_once == 0 ? work_spend(table->work, MOVE_WORK * at_once, err) : ERR_OK;
        if (code != ERR_OK) {
            return code;
        }
        if (table->slots[i].row != 0) {
            move_slot(slots, n_slots, table->slots[i]);
        }
    }
    table->slots = slots;
    table->n_slots = n_slots;
    return ERR_OK;
}

/* ---- putting ---- */

static enum errcode add_row(struct value_table *table, const struct value *row, struct err *err)
{
    enum errcode code = ERR_OK;
    if (table->n >= UINT32_MAX - 1 || !make_room(table)) {
        return err_no_memory(err);
    }
    struct value *copy = row_at(table, table->n);
    for (size_t i = 0; i < table->width && code == ERR_OK; i++) {
        code = work_spend(table->work, value_bytes(&row[i]) / BYTES_A_UNIT, err);
        if (code == ERR_OK && !value_copy(&copy[i], &row[i], table->arena)) {
            code = err_no_memory(err);
        }
    }
    return code;
}

enum errcode value_table_put(struct value_table *table, const struct value *row, size_t *number,
                             bool *is_new, struct err *err)
{
    uint32_t hash;
    enum errcode code = hash_row(table, row, &hash, err);
    if (code == ERR_OK && 4 * (table->n + 1) > 3 * table->n_slots) {
        code = grow_slots(table, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct slot *slot = find(table, row, hash);
    *is_new = slot->row == 0;
    if (*is_new) {
        code = add_row(table, row, err);
        if (code != ERR_OK) {
            return code;
        }
        *slot = (struct slot){.hash = hash, .row = (uint32_t)++table->n};
    }
    *number = slot->row - 1;
    return ERR_OK;
}
