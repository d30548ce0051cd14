/* The shard's file: an LMDB environment, and the only place in shard that knows LMDB.
 *
 *   data.mdb, lock.mdb   LMDB's own
 *   lock                 locked while a process has the shard open
 *
 * Five tables (named databases):
 *
 *   meta      "shard" -> u32 CRC-32C of what follows | u32 version | u64 schema | u64 group
 *                        u64 applied | u64 next row | u64 rows | u64 covered          (60 bytes)
 *             "calibration-COLUMN" -> what was measured (remember.c); may be missing
 *   rows      row number, u64 big-endian -> stored row (row.c)
 *   keys      encoded key (row.c) -> row number, 1 to 8 bytes little-endian
 *   dead      as rows: deleted since the last index checkpoint, so that a graph can be caught up
 *   changes   log index, u64 big-endian -> change (overlay.c)
 *
 * Commits are synced; there is no MDB_WRITEMAP (on a full disk it is a SIGBUS).  Row numbers rise,
 * so new rows are appended, which fills pages to the last row that fits.
 *
 * Readers: a transaction is renewed instead of made anew.  Its meta is read each time: mdb_txn_id
 * does not tell whether the file has changed, for a reader that is held up in mdb_txn_renew while
 * two commits pass has the number of the first and the pages of the last.
 *
 * What can fail: a full disk shows itself as ENOSPC, as EIO after a short write, or as a full map;
 * all become DISK_FULL, the transaction is gone and the file is as it was. */
#include "shard/shard_int.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    STORE_VERSION = 1,
    META_BYTES = 4 + 4 + 8 * 6,
    READERS_MAX = 1024,
    NUMBER_BYTES = 8,
    /* With less free space than this an EIO is taken for a full disk. */
    DISK_FULL_BYTES = 1 << 20,
};

static const char *const table_names[TABLE_COUNT] = {"meta", "rows", "keys", "dead", "changes"};

struct store {
    MDB_env *env;
    MDB_dbi tables[TABLE_COUNT];
    char *directory;
    uint64_t schema_id, group;
    int lock_fd;
};

struct store_read {
    struct store *store;
    MDB_txn *txn;
    MDB_cursor *cursors[TABLE_COUNT]; /* Opened when first needed, renewed with each begin. */
    bool is_positioned[TABLE_COUNT];
    uint64_t positions[TABLE_COUNT]; /* The number that the cursor stands on. */
    bool is_fresh[TABLE_COUNT];      /* The cursor belongs to this begin. */
    struct store_meta meta;
};

struct store_write {
    struct store *store;
    MDB_txn *txn;
};

/* ---- errors ---- */

uint64_t store_disk_free(const struct store *store)
{
    struct statvfs fs;
    if (statvfs(store->directory, &fs) != 0) {
        return UINT64_MAX;
    }
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

static enum errcode store_error(const struct store *store, int rc, const char *what,
                                struct err *err)
{
    switch (rc) {
    case MDB_MAP_FULL:
        (void)err_set(err, ERR_DISK_FULL, "%s in \"%s\": the file has reached map_size", what,
                      store->directory);
        err_hint(err, "Raise map_size and restart.");
        return ERR_DISK_FULL;
    case MDB_READERS_FULL:
        return err_set(err, ERR_OVERLOADED, "%s in \"%s\": %d views are open", what,
                       store->directory, READERS_MAX);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        return err_set(err, ERR_CORRUPT, "%s in \"%s\": %s", what, store->directory,
                       mdb_strerror(rc));
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return err_set(err, ERR_FORMAT_UNSUPPORTED, "\"%s/data.mdb\" is not a shard's file: %s",
                       store->directory, mdb_strerror(rc));
    case MDB_PANIC:
        (void)err_set(err, ERR_IO, "%s in \"%s\": an earlier write failed half way", what,
                      store->directory);
        err_hint(err, "Restart the server; nothing that was acknowledged is lost.");
        return ERR_IO;
    default:
        if (rc == EIO && store_disk_free(store) < DISK_FULL_BYTES) {
            rc = ENOSPC;
        }
        return rc > 0 ? err_set_errno(err, ERR_IO, rc, "%s in \"%s\"", what, store->directory)
                      : err_set(err, ERR_IO, "%s in \"%s\": %s", what, store->directory,
                                mdb_strerror(rc));
    }
}

/* ---- codecs of the small records ---- */

static MDB_val number_key(uint8_t buffer[NUMBER_BYTES], uint64_t number)
{
    for (int i = 0; i < NUMBER_BYTES; i++) {
        buffer[i] = (uint8_t)(number >> (56 - 8 * i));
    }
    return (MDB_val){.mv_size = NUMBER_BYTES, .mv_data = buffer};
}

static bool number_from_key(const MDB_val *key, uint64_t *number)
{
    const uint8_t *p = key->mv_data;
    *number = 0;
    for (size_t i = 0; i < NUMBER_BYTES && i < key->mv_size; i++) {
        *number = *number << 8 | p[i];
    }
    return key->mv_size == NUMBER_BYTES;
}

static void meta_write(const struct store *store, const struct store_meta *meta,
                       uint8_t out[META_BYTES])
{
    le_put_u32(out + 4, STORE_VERSION);
    le_put_u64(out + 8, store->schema_id);
    le_put_u64(out + 16, store->group);
    le_put_u64(out + 24, meta->applied);
    le_put_u64(out + 32, meta->next_row);
    le_put_u64(out + 40, meta->rows);
    le_put_u64(out + 48, meta->covered);
    le_put_u32(out, crc32c(0, out + 4, META_BYTES - 4));
}

static enum errcode meta_read(const struct store *store, const MDB_val *record,
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
    return ERR_OK;
}

static MDB_val name_val(const char *name)
{
    return (MDB_val){.mv_size = strlen(name), .mv_data = (void *)(uintptr_t)name};
}

static MDB_val meta_key(void)
{
    return name_val("shard");
}

/* ---- opening ---- */

static enum errcode open_env(struct store *store, size_t map_bytes, struct err *err)
{
    int rc = mdb_env_create(&store->env);
    if (rc == 0) {
        rc = mdb_env_set_mapsize(store->env, map_bytes);
    }
    if (rc == 0) {
        rc = mdb_env_set_maxdbs(store->env, TABLE_COUNT);
    }
    if (rc == 0) {
        rc = mdb_env_set_maxreaders(store->env, READERS_MAX);
    }
    if (rc == 0) {
        rc = mdb_env_open(store->env, store->directory, MDB_NOTLS, DIR_FILE_MODE);
    }
    return rc == 0 ? ERR_OK : store_error(store, rc, "opening", err);
}

/* An environment that has no tables yet is a new one; a foreign one has others. */
static enum errcode open_tables(struct store *store, struct err *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc != 0) {
        return store_error(store, rc, "opening", err);
    }
    MDB_dbi names;
    MDB_stat stat = {0};
    enum errcode code = ERR_OK;
    rc = mdb_dbi_open(txn, NULL, 0, &names);
    if (rc == 0) {
        rc = mdb_stat(txn, names, &stat);
    }
    bool is_new = rc == 0 && stat.ms_entries == 0;
    for (int i = 0; i < TABLE_COUNT && rc == 0; i++) {
        rc = mdb_dbi_open(txn, table_names[i], is_new ? MDB_CREATE : 0, &store->tables[i]);
    }
    if (rc == MDB_NOTFOUND) {
        code =
            err_set(err, ERR_FORMAT_UNSUPPORTED,
                    "\"%s/data.mdb\" is not a shard's file: a table is missing", store->directory);
    }
    MDB_val key = meta_key();
    if (rc == 0 && is_new) {
        struct store_meta meta = {.next_row = 1};
        uint8_t record[META_BYTES];
        meta_write(store, &meta, record);
        MDB_val value = {.mv_size = META_BYTES, .mv_data = record};
        rc = mdb_put(txn, store->tables[TABLE_META], &key, &value, 0);
    } else if (rc == 0) {
        MDB_val value;
        struct store_meta meta;
        rc = mdb_get(txn, store->tables[TABLE_META], &key, &value);
        code = rc == 0 ? meta_read(store, &value, &meta, err) : code;
    }
    if (rc == 0 && code == ERR_OK) {
        rc = mdb_txn_commit(txn);
    } else {
        mdb_txn_abort(txn);
    }
    return code != ERR_OK || rc == 0 ? code : store_error(store, rc, "opening", err);
}

enum errcode store_open(const struct store_config *config, struct store **out, struct err *err)
{
    struct store *store = mem_zalloc(MEM_GENERAL, sizeof(*store));
    if (store == NULL) {
        return err_no_memory(err);
    }
    store->lock_fd = -1;
    store->schema_id = config->schema_id;
    store->group = config->group;
    store->directory = mem_strndup(MEM_GENERAL, config->directory, strlen(config->directory));
    enum errcode code = store->directory == NULL ? err_no_memory(err) : ERR_OK;
    if (code == ERR_OK) {
        code = dir_make(store->directory, err);
    }
    if (code == ERR_OK) {
        code = dir_lock(store->directory, "lock", "the shard", &store->lock_fd, err);
    }
    if (code == ERR_OK) {
        code = open_env(store, config->map_bytes, err);
    }
    if (code == ERR_OK) {
        code = open_tables(store, err);
    }
    if (code != ERR_OK) {
        store_close(store);
        return code;
    }
    *out = store;
    return ERR_OK;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    if (store->env != NULL) {
        mdb_env_close(store->env);
    }
    dir_unlock(store->lock_fd);
    mem_free(MEM_GENERAL, store->directory);
    mem_free(MEM_GENERAL, store);
}

uint64_t store_file_bytes(const struct store *store)
{
    MDB_envinfo info;
    MDB_stat stat;
    if (mdb_env_info(store->env, &info) != 0 || mdb_env_stat(store->env, &stat) != 0) {
        return 0;
    }
    return (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
}

/* ---- reading ---- */

static enum errcode read_meta(struct store_read *read, struct err *err)
{
    MDB_val key = meta_key();
    MDB_val value;
    int rc = mdb_get(read->txn, read->store->tables[TABLE_META], &key, &value);
    return rc != 0 ? store_error(read->store, rc, "reading the head", err)
                   : meta_read(read->store, &value, &read->meta, err);
}

struct store_read *store_read_new(struct store *store, struct err *err)
{
    struct store_read *read = mem_zalloc(MEM_GENERAL, sizeof(*read));
    if (read == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    read->store = store;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &read->txn);
    if (rc != 0) {
        (void)store_error(store, rc, "opening a view", err);
        mem_free(MEM_GENERAL, read);
        return NULL;
    }
    mdb_txn_reset(read->txn);
    return read;
}

enum errcode store_read_begin(struct store_read *read, struct err *err)
{
    int rc = mdb_txn_renew(read->txn);
    if (rc != 0) {
        return store_error(read->store, rc, "opening a view", err);
    }
    memset(read->is_fresh, 0, sizeof(read->is_fresh));
    memset(read->is_positioned, 0, sizeof(read->is_positioned));
    enum errcode code = read_meta(read, err);
    if (code != ERR_OK) {
        mdb_txn_reset(read->txn);
    }
    return code;
}

void store_read_end(struct store_read *read)
{
    mdb_txn_reset(read->txn);
}

void store_read_free(struct store_read *read)
{
    if (read == NULL) {
        return;
    }
    for (int i = 0; i < TABLE_COUNT; i++) {
        if (read->cursors[i] != NULL) {
            mdb_cursor_close(read->cursors[i]);
        }
    }
    mdb_txn_abort(read->txn);
    mem_free(MEM_GENERAL, read);
}

const struct store_meta *store_read_meta(const struct store_read *read)
{
    return &read->meta;
}

static enum errcode found_slice(const struct store *store, int rc, const MDB_val *value,
                                struct slice *out, struct err *err)
{
    *out = (struct slice){NULL, 0};
    if (rc == 0) {
        *out = (struct slice){value->mv_data, value->mv_size};
    }
    return rc == 0 || rc == MDB_NOTFOUND ? ERR_OK : store_error(store, rc, "reading", err);
}

enum errcode store_get(struct store_read *read, enum store_table table, uint64_t number,
                       struct slice *out, struct err *err)
{
    uint8_t buffer[NUMBER_BYTES];
    MDB_val key = number_key(buffer, number);
    MDB_val value;
    int rc = mdb_get(read->txn, read->store->tables[table], &key, &value);
    return found_slice(read->store, rc, &value, out, err);
}

enum errcode store_get_record(struct store_read *read, const char *name, struct slice *out,
                              struct err *err)
{
    MDB_val key = name_val(name);
    MDB_val value;
    int rc = mdb_get(read->txn, read->store->tables[TABLE_META], &key, &value);
    return found_slice(read->store, rc, &value, out, err);
}

enum errcode store_get_key(struct store_read *read, struct slice key, uint64_t *number, bool *found,
                           struct err *err)
{
    MDB_val name = {.mv_size = key.bytes, .mv_data = (void *)(uintptr_t)key.data};
    MDB_val value;
    int rc = mdb_get(read->txn, read->store->tables[TABLE_KEYS], &name, &value);
    *found = rc == 0;
    if (rc != 0) {
        return rc == MDB_NOTFOUND ? ERR_OK : store_error(read->store, rc, "reading a key", err);
    }
    if (value.mv_size == 0 || value.mv_size > NUMBER_BYTES) {
        return err_set(err, ERR_CORRUPT, "a key in \"%s\" has a row number of %zu bytes",
                       read->store->directory, value.mv_size);
    }
    uint8_t bytes[NUMBER_BYTES] = {0};
    memcpy(bytes, value.mv_data, value.mv_size);
    *number = le_get_u64(bytes);
    return ERR_OK;
}

static int read_cursor(struct store_read *read, enum store_table table)
{
    int rc = 0;
    if (read->cursors[table] == NULL) {
        rc = mdb_cursor_open(read->txn, read->store->tables[table], &read->cursors[table]);
    } else if (!read->is_fresh[table]) {
        rc = mdb_cursor_renew(read->txn, read->cursors[table]);
    }
    read->is_fresh[table] = rc == 0;
    return rc;
}

enum errcode store_next(struct store_read *read, enum store_table table, uint64_t *number,
                        struct slice *out, struct err *err)
{
    uint8_t buffer[NUMBER_BYTES];
    MDB_val key = number_key(buffer, *number);
    MDB_val value;
    int rc = read_cursor(read, table);
    if (rc == 0 && read->is_positioned[table] && *number == read->positions[table] + 1) {
        rc = mdb_cursor_get(read->cursors[table], &key, &value, MDB_NEXT);
    } else if (rc == 0) {
        rc = mdb_cursor_get(read->cursors[table], &key, &value, MDB_SET_RANGE);
    }
    read->is_positioned[table] = rc == 0;
    if (rc == 0 && !number_from_key(&key, number)) {
        return err_set(err, ERR_CORRUPT, "\"%s\": a key of %zu bytes in table %s",
                       read->store->directory, key.mv_size, table_names[table]);
    }
    read->positions[table] = *number;
    return found_slice(read->store, rc, &value, out, err);
}

/* ---- writing ---- */

enum errcode store_write_begin(struct store *store, struct store_write **out, struct err *err)
{
    struct store_write *write = mem_zalloc(MEM_GENERAL, sizeof(*write));
    if (write == NULL) {
        return err_no_memory(err);
    }
    write->store = store;
    int rc = mdb_txn_begin(store->env, NULL, 0, &write->txn);
    if (rc != 0) {
        mem_free(MEM_GENERAL, write);
        return store_error(store, rc, "beginning a write", err);
    }
    *out = write;
    return ERR_OK;
}

static enum errcode put(struct store_write *write, enum store_table table, MDB_val *key,
                        MDB_val *value, unsigned flags, struct err *err)
{
    int rc = mdb_put(write->txn, write->store->tables[table], key, value, flags);
    return rc == 0 ? ERR_OK : store_error(write->store, rc, "writing", err);
}

static MDB_val slice_val(struct slice s)
{
    return (MDB_val){.mv_size = s.bytes, .mv_data = (void *)(uintptr_t)s.data};
}

enum errcode store_put(struct store_write *write, enum store_table table, uint64_t number,
                       struct slice value, struct err *err)
{
    uint8_t buffer[NUMBER_BYTES];
    MDB_val key = number_key(buffer, number);
    MDB_val data = slice_val(value);
    return put(write, table, &key, &data, 0, err);
}

enum errcode store_append(struct store_write *write, enum store_table table, uint64_t number,
                          struct slice value, struct err *err)
{
    uint8_t buffer[NUMBER_BYTES];
    MDB_val key = number_key(buffer, number);
    MDB_val data = slice_val(value);
    return put(write, table, &key, &data, MDB_APPEND, err);
}

static enum errcode delete_key(struct store_write *write, enum store_table table, MDB_val *key,
                               struct err *err)
{
    int rc = mdb_del(write->txn, write->store->tables[table], key, NULL);
    return rc == 0 || rc == MDB_NOTFOUND ? ERR_OK : store_error(write->store, rc, "deleting", err);
}

enum errcode store_delete(struct store_write *write, enum store_table table, uint64_t number,
                          struct err *err)
{
    uint8_t buffer[NUMBER_BYTES];
    MDB_val key = number_key(buffer, number);
    return delete_key(write, table, &key, err);
}

enum errcode store_bury(struct store_write *write, uint64_t number, bool is_kept, struct err *err)
{
    uint8_t buffer[NUMBER_BYTES];
    MDB_val key = number_key(buffer, number);
    MDB_val row;
    if (is_kept) {
        int rc = mdb_get(write->txn, write->store->tables[TABLE_ROWS], &key, &row);
        if (rc != 0) {
            return store_error(write->store, rc, "deleting a row", err);
        }
        /* The put may move the page on which the row lies: LMDB wants a copy. */
        void *copy = mem_alloc(MEM_GENERAL, row.mv_size);
        if (copy == NULL) {
            return err_no_memory(err);
        }
        memcpy(copy, row.mv_data, row.mv_size);
        row.mv_data = copy;
        enum errcode code = put(write, TABLE_DEAD, &key, &row, 0, err);
        mem_free(MEM_GENERAL, copy);
        if (code != ERR_OK) {
            return code;
        }
    }
    return delete_key(write, TABLE_ROWS, &key, err);
}

enum errcode store_put_key(struct store_write *write, struct slice key, uint64_t number,
                           struct err *err)
{
    uint8_t bytes[NUMBER_BYTES];
    le_put_u64(bytes, number);
    size_t n = NUMBER_BYTES;
    while (n > 1 && bytes[n - 1] == 0) {
        n--;
    }
    MDB_val name = slice_val(key);
    MDB_val value = {.mv_size = n, .mv_data = bytes};
    return put(write, TABLE_KEYS, &name, &value, 0, err);
}

enum errcode store_put_record(struct store_write *write, const char *name, struct slice value,
                              struct err *err)
{
    MDB_val key = name_val(name);
    MDB_val data = slice_val(value);
    return put(write, TABLE_META, &key, &data, 0, err);
}

enum errcode store_delete_key(struct store_write *write, struct slice key, struct err *err)
{
    MDB_val name = slice_val(key);
    return delete_key(write, TABLE_KEYS, &name, err);
}

enum errcode store_first_change(struct store_write *write, uint64_t *index, struct slice *out,
                                struct err *err)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(write->txn, write->store->tables[TABLE_CHANGES], &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
        mdb_cursor_close(cursor);
    }
    if (rc == 0 && !number_from_key(&key, index)) {
        return err_set(err, ERR_CORRUPT, "\"%s\": a key of %zu bytes in table changes",
                       write->store->directory, key.mv_size);
    }
    return found_slice(write->store, rc, &value, out, err);
}

enum errcode store_commit(struct store_write *write, const struct store_meta *meta, struct err *err)
{
    const struct store *store = write->store;
    uint8_t record[META_BYTES];
    meta_write(store, meta, record);
    MDB_val key = meta_key();
    MDB_val value = {.mv_size = META_BYTES, .mv_data = record};
    enum errcode code = put(write, TABLE_META, &key, &value, 0, err);
    int fault = fault_hit(FAULT_SHARD_FLUSH) ? EIO : fault_hit(FAULT_SHARD_FLUSH_FULL) ? ENOSPC : 0;
    if (code == ERR_OK && fault != 0) {
        code = store_error(store, fault, "committing", err);
    }
    if (code != ERR_OK) {
        store_abort(write);
        return code;
    }
    int rc = mdb_txn_commit(write->txn);
    mem_free(MEM_GENERAL, write);
    return rc == 0 ? ERR_OK : store_error(store, rc, "committing", err);
}

void store_abort(struct store_write *write)
{
    mdb_txn_abort(write->txn);
    mem_free(MEM_GENERAL, write);
}
