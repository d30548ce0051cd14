/* The head of a shard's file, which says whose it is and how far it has come (drawn in store.c);
 * and the names of its tables. */
#include "shard/store_env_int.h"
#include "shard/store_int.h"

const char *const store_table_names[TABLE_COUNT] = {"meta", "rows", "keys", "dead", "changes"};

MDB_val store_meta_key(void)
{
    static const char name[] = "shard";
    return (MDB_val){.mv_size = sizeof(name) - 1, .mv_data = (void *)(uintptr_t)name};
}

void store_meta_write(const struct store *store, const struct store_meta *meta,
                      uint8_t out[META_BYTES])
{
    CHECK(meta->next_row > 0);
    le_put_u32(out + 4, STORE_VERSION);
    le_put_u64(out + 8, store->schema_id);
    le_put_u64(out + 16, store->group);
    le_put_u64(out + 24, meta->applied);
    le_put_u64(out + 32, meta->next_row);
    le_put_u64(out + 40, meta->rows);
    le_put_u64(out + 48, meta->covered);
    le_put_u32(out, crc32c(0, out + 4, META_BYTES - 4));
}

enum errcode store_meta_read(const struct store *store, const MDB_val *record,
                             struct store_meta *out, struct err *err)
{
    const uint8_t *p = record->mv_data;
    if (record->mv_size < 8) {
        return err_set(err, ERR_CORRUPT, "the head of \"%s\" has %zu bytes", store->directory,
                       record->mv_size);
    }
    if (le_get_u32(p + 4) != STORE_VERSION) {
        (void)err_set(err, ERR_FORMAT_UNSUPPORTED,
                      "\"%s\" has format version %u, this server reads %d", store->directory,
                      le_get_u32(p + 4), STORE_VERSION);
        err_hint(err, "Start the server that wrote it.");
        return ERR_FORMAT_UNSUPPORTED;
    }
    if (record->mv_size != META_BYTES || le_get_u32(p) != crc32c(0, p + 4, META_BYTES - 4)) {
        return err_set(err, ERR_CORRUPT, "the head of \"%s\" does not pass its checksum",
                       store->directory);
    }
    if (le_get_u64(p + 8) != store->schema_id || le_get_u64(p + 16) != store->group) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED,
                       "\"%s\" belongs to another shard: collection %llu, group %llu",
                       store->directory, (unsigned long long)le_get_u64(p + 8),
                       (unsigned long long)le_get_u64(p + 16));
    }
    out->applied = le_get_u64(p + 24);
    out->next_row = le_get_u64(p + 32);
    out->rows = le_get_u64(p + 40);
    out->covered = le_get_u64(p + 48);
    if (out->rows >= out->next_row) {
        return err_set(err, ERR_CORRUPT, "the head of \"%s\" counts more rows than ever came",
                       store->directory);
    }
    return ERR_OK;
}
