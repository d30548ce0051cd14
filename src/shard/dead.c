/* Which deleted rows a shard's file keeps, and for how long.
 *
 * A start catches a graph up from its checkpoint: it stages the changes behind it in the log's
 * order, and rows that came with one of them are staged even where a later one deletes them.  Those
 * rows are in TABLE_DEAD until a checkpoint has passed what deleted them.  A row that every
 * checkpoint has needs no copy: the change that deletes it says its number, which is enough.
 *
 *   changes   1 ... passed | passed+1 ...
 *   rows      1 ...        | kept_from ...          numbers rise with the log
 *             no copy        a copy where the graph is to be caught up with it
 *
 * On a full disk a copy is what a DELETE cannot have, and what disk_reserve keeps free is not for
 * copies.  There a flush lets go of all dead rows, and leaves in the file how far that went:
 *
 *   meta   "forgotten" -> u32 CRC-32C of what follows | u32 version | u64 log index
 *
 * A row that a change up to there brought and that is nowhere is left out when the graph is caught
 * up: it would have been deleted anyway.  The graph is then not the one that it would have become
 * without the start (doc/decisions/deterministic-index.md), but as good. */
#include "shard/dead_int.h"
#include "shard/shard_int.h"
#include "shard/vectors_int.h"

enum {
    FORGOTTEN_VERSION = 1,
    FORGOTTEN_BYTES = 16
};
static const char forgotten_name[] = "forgotten";

uint64_t dead_passed(const struct shard *shard)
{
    uint64_t all = UINT64_MAX;
    for (size_t i = 0; i < shard->n_vectors; i++) {
        const struct vector_index *v = &shard->vectors[i];
        uint64_t one = atomic_load(&v->checkpointed);
        if (v->kind == INDEX_HNSW && one < all) {
            all = one;
        }
    }
    return all == UINT64_MAX ? 0 : all;
}

/* The first row of the first change behind @index that has rows; where the file has none, that of
 * the generation. */
static enum errcode find_first_row(const struct shard *shard, struct store_write *write,
                                   uint64_t index, uint64_t *row, struct err *err)
{
    struct arena *arena = arena_new(MEM_GENERAL, SIZE_MAX);
    enum errcode code = arena == NULL ? err_no_memory(err) : ERR_OK;
    *row = generation_first_row(shard->flushing);
    for (index++; code == ERR_OK; index++) {
        struct slice encoded;
        struct change change;
        code = store_next_change(write, &index, &encoded, err);
        if (code != ERR_OK || encoded.data == NULL) {
            break;
        }
        arena_reset(arena);
        code = change_read(encoded, index, arena, &change, err);
        if (code == ERR_CORRUPT) {
            /* The start that needs it will say so. */
            err_clear(err);
            *row = 1;
            code = ERR_OK;
            break;
        }
        if (code == ERR_OK && change.n_rows > 0) {
            *row = change.first_row;
            break;
        }
    }
    arena_free(arena);
    return code;
}

static enum errcode put_forgotten(const struct shard *shard, struct store_write *write,
                                  struct err *err)
{
    uint8_t record[FORGOTTEN_BYTES];
    le_put_u32(record + 4, FORGOTTEN_VERSION);
    le_put_u64(record + 8, shard->flush_meta.applied);
    le_put_u32(record, crc32c(0, record + 4, FORGOTTEN_BYTES - 4));
    enum errcode code = store_forget_dead(write, err);
    return code == ERR_OK ? store_put_record(write, forgotten_name,
                                             (struct slice){record, FORGOTTEN_BYTES}, err)
                          : code;
}

/* What copies may take of the disk. */
static uint64_t find_room(const struct shard *shard)
{
    uint64_t reserve = (uint64_t)shard_policy(shard, POLICY_disk_reserve);
    uint64_t there = store_disk_free(shard->store);
    return there > reserve ? there - reserve : 0;
}

/* What is found stays right until a checkpoint passes more. */
enum errcode dead_begin(struct shard *shard, struct store_write *write, struct err *err)
{
    CHECK(shard->flushing != NULL);
    uint64_t passed = dead_passed(shard);
    if (!shard->has_graph) {
        return ERR_OK;
    }
    if (shard->kept_from == 0 || passed != shard->kept_behind) {
        enum errcode code = find_first_row(shard, write, passed, &shard->kept_from, err);
        if (code != ERR_OK) {
            return code;
        }
        shard->kept_behind = passed;
    }
    shard->kept_bytes_left = find_room(shard);
    if (shard->kept_bytes_left == 0) {
        dead_forget(shard);
    }
    return shard->is_forgetting ? put_forgotten(shard, write, err) : ERR_OK;
}

/* The row as it was before it was deleted; NULL where it is older than the generation. */
static const struct row_version *last_alive(const struct row_version *version)
{
    while (version != NULL && version->row_bytes == 0) {
        version = version->older_of_number;
    }
    return version;
}

enum errcode dead_put(struct shard *shard, struct store_write *write,
                      const struct row_version *version, bool is_new, struct err *err)
{
    CHECK(version->row_bytes == 0);
    bool is_kept = shard->has_graph && !shard->is_forgetting && version->number >= shard->kept_from;
    if (!is_kept) {
        return is_new ? ERR_OK : store_delete(write, TABLE_ROWS, version->number, err);
    }
    size_t bytes = 0;
    enum errcode code;
    if (is_new) {
        const struct row_version *alive = last_alive(version);
        CHECK(alive != NULL); /* It was made in this generation. */
        bytes = alive->row_bytes;
        code = store_put(write, TABLE_DEAD, version->number, version_row(alive), err);
    } else {
        /* The file has it, perhaps with columns that were changed since; its vectors were not. */
        code = store_bury(write, version->number, &bytes, err);
    }
    if (code == ERR_OK && bytes > shard->kept_bytes_left) {
        code = err_set(err, ERR_DISK_FULL, "no room for deleted rows above disk_reserve");
    }
    shard->kept_bytes_left -= code == ERR_OK ? bytes : 0;
    return code;
}

void dead_forget(struct shard *shard)
{
    CHECK(shard->has_graph);
    shard->is_forgetting = true;
}

void dead_flushed(struct shard *shard)
{
    if (shard->is_forgetting) {
        log_line(LOG_INFO, "deleted rows let go of, for the disk is full group=%llu log_index=%llu",
                 (unsigned long long)shard->group_id,
                 (unsigned long long)shard->flush_meta.applied);
    }
    shard->is_forgetting = false;
}

/* One that cannot be read forgives nothing: rows that are missing are then an error. */
enum errcode dead_load(struct shard *shard, struct store_read *read, struct err *err)
{
    struct slice record;
    enum errcode code = store_get_record(read, forgotten_name, &record, err);
    shard->dead_forgotten = 0;
    if (code == ERR_OK && record.data != NULL && record.bytes == FORGOTTEN_BYTES &&
        le_get_u32(record.data) == crc32c(0, record.data + 4, FORGOTTEN_BYTES - 4) &&
        le_get_u32(record.data + 4) == FORGOTTEN_VERSION) {
        shard->dead_forgotten = le_get_u64(record.data + 8);
    }
    return code;
}
