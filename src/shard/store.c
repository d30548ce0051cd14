/* The shard's file: an LMDB environment (store_env.c), read and written here.
 *
 *   data.mdb, lock.mdb   LMDB's own; missing before the first write
 *
 * Five tables (named databases):
 *
 *   meta      "shard" -> u32 CRC-32C of what follows | u32 version | u64 schema | u64 group
 *                        u64 applied | u64 next row | u64 rows | u64 covered          (60 bytes,
 *                        store_head.c)
 *             "calibration-COLUMN" -> what was measured (remember.c); may be missing
 *             "forgotten" -> how far dead rows were let go of (dead.c); may be missing
 *   rows      row number, u64 big-endian -> stored row (row.c)
 *   keys      encoded key (row.c) -> row number, 1 to 8 bytes little-endian
 *   dead      as rows: deleted, and in no index checkpoint, so that a graph can be caught up
 *   changes   log index, u64 big-endian -> change (overlay.c)
 *
 * Commits are synced; there is no MDB_WRITEMAP (on a full disk it is a SIGBUS).  Row numbers rise,
 * so new rows are appended, which fills pages to the last row that fits.
 *
 * Readers: a transaction is renewed instead of made anew.  Its meta is read each time: mdb_txn_id
 * does not tell whether the file has changed, for a reader that is held up in mdb_txn_renew while
 * two commits pass has the number of the first and the pages of the last.
 *
 * What can fail: a full disk shows itself as ENOSPC, or as EIO after a short write; both become
 * DISK_FULL, the transaction is gone and the file is as it was.  A full map is made larger before
 * the next try.  Where the write of the header itself failed, LMDB does nothing more until the
 * environment is opened anew, which is done as soon as nobody is inside; and whether the disk has
 * that header nobody knows, so before anything else is written the one that this process sees is
 * synced: what it says is then what is there. */
#include "shard/row_int.h"
#include "shard/store_env_int.h"
#include "shard/store_int.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NUMBER_BYTES = 8
};

struct store_write {
    struct store *store;
    MDB_txn *txn;
};

/* ---- keys of the tables ---- */

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

static MDB_val name_val(const char *name)
{
    return (MDB_val){.mv_size = strlen(name), .mv_data = (void *)(uintptr_t)name};
}

/* ---- reading ---- */

static enum errcode read_meta(struct store_read *read, struct err *err)
{
    MDB_val key = store_meta_key();
    MDB_val value;
    int rc = mdb_get(read->txn, read->store->tables[TABLE_META], &key, &value);
    return rc != 0 ? store_error(read->store, rc, "reading the head", err)
                   : store_meta_read(read->store, &value, &read->meta, err);
}

struct store_read *store_read_new(struct store *store, struct err *err)
{
    CHECK(store != NULL);
    struct store_read *read = mem_zalloc(MEM_GENERAL, sizeof(*read));
    if (read == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    read->store = store;
    mutex_lock(&store->lock);
    read->next = store->reads;
    if (read->next != NULL) {
        read->next->prev = read;
    }
    store->reads = read;
    mutex_unlock(&store->lock);
    return read;
}

enum errcode store_read_begin(struct store_read *read, struct err *err)
{
    CHECK(!read->is_inside);
    enum errcode code = store_enter(read->store, &read->is_inside, err);
    if (code != ERR_OK || !read->is_inside) {
        read->meta = (struct store_meta){.next_row = 1};
        return code;
    }
    int rc = read->txn != NULL ? mdb_txn_renew(read->txn)
                               : mdb_txn_begin(read->store->env, NULL, MDB_RDONLY, &read->txn);
    if (rc != 0) {
        read->is_inside = false;
        code = store_error(read->store, rc, "opening a view", err);
        store_leave(read->store);
        return code;
    }
    memset(read->is_fresh, 0, sizeof(read->is_fresh));
    memset(read->is_positioned, 0, sizeof(read->is_positioned));
    code = read_meta(read, err);
    if (code != ERR_OK) {
        store_read_end(read);
    }
    return code;
}

void store_read_end(struct store_read *read)
{
    if (read->is_inside) {
        mdb_txn_reset(read->txn);
        read->is_inside = false;
        store_leave(read->store);
    }
}

void store_read_free(struct store_read *read)
{
    if (read == NULL) {
        return;
    }
    struct store *store = read->store;
    CHECK(!read->is_inside);
    mutex_lock(&store->lock);
    *(read->prev == NULL ? &store->reads : &read->prev->next) = read->next;
    if (read->next != NULL) {
        read->next->prev = read->prev;
    }
    store_read_close(read);
    mutex_unlock(&store->lock);
    mem_free(MEM_GENERAL, read);
}

const struct store_meta *store_read_meta(const struct store_read *read)
{
    return &read->meta;
}

/* A store without a file has nothing. */
static int get(struct store_read *read, enum store_table table, MDB_val *key, MDB_val *value)
{
    return read->is_inside ? mdb_get(read->txn, read->store->tables[table], key, value)
                           : MDB_NOTFOUND;
}

static enum errcode found_slice(struct store *store, int rc, const MDB_val *value,
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
    CHECK_HOT(table < TABLE_COUNT && table != TABLE_META && table != TABLE_KEYS);
    uint8_t buffer[NUMBER_BYTES];
    MDB_val key = number_key(buffer, number);
    MDB_val value;
    int rc = get(read, table, &key, &value);
    return found_slice(read->store, rc, &value, out, err);
}

enum errcode store_get_record(struct store_read *read, const char *name, struct slice *out,
                              struct err *err)
{
    CHECK(name != NULL);
    MDB_val key = name_val(name);
    MDB_val value;
    int rc = get(read, TABLE_META, &key, &value);
    return found_slice(read->store, rc, &value, out, err);
}

enum errcode store_get_key(struct store_read *read, struct slice key, uint64_t *number, bool *found,
                           struct err *err)
{
    CHECK_HOT(key.bytes > 0 && key.bytes <= KEY_BYTES_ENCODED_MAX);
    MDB_val name = {.mv_size = key.bytes, .mv_data = (void *)(uintptr_t)key.data};
    MDB_val value;
    int rc = get(read, TABLE_KEYS, &name, &value);
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
    if (!read->is_inside) {
        return MDB_NOTFOUND;
    }
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
    CHECK_HOT(table < TABLE_COUNT && table != TABLE_META && table != TABLE_KEYS);
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
                       read->store->directory, key.mv_size, store_table_names[table]);
    }
    read->positions[table] = *number;
    return found_slice(read->store, rc, &value, out, err);
}

/* ---- writing ---- */

static void end_write(struct store_write *write)
{
    store_leave(write->store);
    mem_free(MEM_GENERAL, write);
}

static enum errcode write_error(struct store_write *write, int rc, const char *what,
                                struct err *err)
{
    CHECK(rc != 0);
    struct store *store = write->store;
    if (rc == MDB_MAP_FULL) {
        atomic_store(&store->is_map_short, true); /* No lock of ours is taken within LMDB's. */
    }
    return store_error(store, rc, what, err);
}

enum errcode store_write_begin(struct store *store, uint64_t bytes, struct store_write **out,
                               struct err *err)
{
    struct store_write *write = mem_zalloc(MEM_GENERAL, sizeof(*write));
    if (write == NULL) {
        return err_no_memory(err);
    }
    write->store = store;
    enum errcode code = store_enter_to_write(store, bytes, err);
    if (code != ERR_OK) {
        mem_free(MEM_GENERAL, write);
        return code;
    }
    code = store_end_doubt(store, err);
    if (code == ERR_OK) {
        int rc = mdb_txn_begin(store->env, NULL, 0, &write->txn);
        code = rc == 0 ? ERR_OK : store_error(store, rc, "beginning a write", err);
    }
    if (code != ERR_OK) {
        end_write(write);
        return code;
    }
    *out = write;
    return ERR_OK;
}

enum errcode store_write_meta(struct store_write *write, struct store_meta *out, struct err *err)
{
    CHECK(write->txn != NULL);
    MDB_val key = store_meta_key();
    MDB_val value;
    int rc = mdb_get(write->txn, write->store->tables[TABLE_META], &key, &value);
    return rc != 0 ? store_error(write->store, rc, "reading the head", err)
                   : store_meta_read(write->store, &value, out, err);
}

static enum errcode put(struct store_write *write, enum store_table table, MDB_val *key,
                        MDB_val *value, unsigned flags, struct err *err)
{
    CHECK(write->txn != NULL);
    int rc = mdb_put(write->txn, write->store->tables[table], key, value, flags);
    return rc == 0 ? ERR_OK : write_error(write, rc, "writing", err);
}

static MDB_val slice_val(struct slice s)
{
    return (MDB_val){.mv_size = s.bytes, .mv_data = (void *)(uintptr_t)s.data};
}

enum errcode store_put(struct store_write *write, enum store_table table, uint64_t number,
                       struct slice value, struct err *err)
{
    CHECK(table < TABLE_COUNT && table != TABLE_META && table != TABLE_KEYS && value.data != NULL);
    uint8_t buffer[NUMBER_BYTES];
    MDB_val key = number_key(buffer, number);
    MDB_val data = slice_val(value);
    return put(write, table, &key, &data, 0, err);
}

enum errcode store_append(struct store_write *write, enum store_table table, uint64_t number,
                          struct slice value, struct err *err)
{
    CHECK(table < TABLE_COUNT && table != TABLE_META && table != TABLE_KEYS && value.data != NULL);
    uint8_t buffer[NUMBER_BYTES];
    MDB_val key = number_key(buffer, number);
    MDB_val data = slice_val(value);
    return put(write, table, &key, &data, MDB_APPEND, err);
}

static enum errcode delete_key(struct store_write *write, enum store_table table, MDB_val *key,
                               struct err *err)
{
    int rc = mdb_del(write->txn, write->store->tables[table], key, NULL);
    return rc == 0 || rc == MDB_NOTFOUND ? ERR_OK : write_error(write, rc, "deleting", err);
}

enum errcode store_delete(struct store_write *write, enum store_table table, uint64_t number,
                          struct err *err)
{
    CHECK(table == TABLE_DEAD || table == TABLE_CHANGES || table == TABLE_ROWS);
    uint8_t buffer[NUMBER_BYTES];
    MDB_val key = number_key(buffer, number);
    return delete_key(write, table, &key, err);
}

enum errcode store_bury(struct store_write *write, uint64_t number, size_t *bytes, struct err *err)
{
    uint8_t buffer[NUMBER_BYTES];
    MDB_val key = number_key(buffer, number);
    MDB_val row;
    int rc = mdb_get(write->txn, write->store->tables[TABLE_ROWS], &key, &row);
    if (rc != 0) {
        return write_error(write, rc, "deleting a row", err);
    }
    /* The put may move the page on which the row lies: LMDB wants a copy. */
    void *copy = mem_alloc(MEM_GENERAL, row.mv_size);
    if (copy == NULL) {
        return err_no_memory(err);
    }
    memcpy(copy, row.mv_data, row.mv_size);
    row.mv_data = copy;
    *bytes = row.mv_size;
    enum errcode code = put(write, TABLE_DEAD, &key, &row, 0, err);
    mem_free(MEM_GENERAL, copy);
    return code == ERR_OK ? delete_key(write, TABLE_ROWS, &key, err) : code;
}

enum errcode store_forget_dead(struct store_write *write, struct err *err)
{
    int rc = mdb_drop(write->txn, write->store->tables[TABLE_DEAD], 0);
    return rc == 0 ? ERR_OK : write_error(write, rc, "deleting", err);
}

enum errcode store_put_key(struct store_write *write, struct slice key, uint64_t number,
                           struct err *err)
{
    CHECK(key.bytes > 0 && key.bytes <= KEY_BYTES_ENCODED_MAX && number > 0);
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
    CHECK(name != NULL);
    MDB_val key = name_val(name);
    MDB_val data = slice_val(value);
    return put(write, TABLE_META, &key, &data, 0, err);
}

enum errcode store_delete_key(struct store_write *write, struct slice key, struct err *err)
{
    CHECK(key.bytes > 0 && key.bytes <= KEY_BYTES_ENCODED_MAX);
    MDB_val name = slice_val(key);
    return delete_key(write, TABLE_KEYS, &name, err);
}

enum errcode store_next_change(struct store_write *write, uint64_t *index, struct slice *out,
                               struct err *err)
{
    MDB_cursor *cursor;
    uint8_t buffer[NUMBER_BYTES];
    MDB_val key = number_key(buffer, *index);
    MDB_val value;
    int rc = mdb_cursor_open(write->txn, write->store->tables[TABLE_CHANGES], &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        mdb_cursor_close(cursor);
    }
    if (rc == 0 && !number_from_key(&key, index)) {
        return err_set(err, ERR_CORRUPT, "\"%s\": a key of %zu bytes in table changes",
                       write->store->directory, key.mv_size);
    }
    return found_slice(write->store, rc, &value, out, err);
}

/* Whatever else it was, LMDB may want the environment to be opened anew after a failure. */
static int commit(struct store_write *write)
{
    bool is_lost = fault_hit(FAULT_SHARD_HEADER_LOST);
    int rc = is_lost ? EIO : mdb_txn_commit(write->txn);
    if (is_lost) {
        mdb_txn_abort(write->txn);
    } else if (rc == 0 && fault_hit(FAULT_SHARD_HEADER_STANDS)) {
        rc = EIO;
    }
    if (rc != 0) {
        atomic_store(&write->store->is_broken, true);
    }
    return rc;
}

enum errcode store_commit(struct store_write *write, const struct store_meta *meta, struct err *err)
{
    CHECK(write->txn != NULL);
    CHECK(meta->next_row > 0);
    struct store *store = write->store;
    uint8_t record[META_BYTES];
    store_meta_write(store, meta, record);
    MDB_val key = store_meta_key();
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
    int rc = commit(write);
    code = rc == 0 ? ERR_OK : write_error(write, rc, "committing", err);
    if (rc == 0 && mdb_txn_begin(store->env, NULL, MDB_RDONLY, &write->txn) == 0) {
        store_measure(store, write->txn);
        mdb_txn_abort(write->txn);
    }
    end_write(write);
    return code;
}

void store_abort(struct store_write *write)
{
    CHECK(write->txn != NULL);
    mdb_txn_abort(write->txn);
    end_write(write);
}

/* Pages behind the last one of the head that is safe are nobody's. */
static void trim(const struct store *store)
{
    struct stat facts;
    MDB_envinfo info;
    MDB_stat stat_of;
    char path[SHARD_PATH_BYTES];
    store_path(store, "data.mdb", path, sizeof(path));
    if (mdb_env_info(store->env, &info) != 0 || mdb_env_stat(store->env, &stat_of) != 0) {
        return;
    }
    off_t bytes = (off_t)(info.me_last_pgno + 1) * (off_t)stat_of.ms_psize;
    if (stat(path, &facts) == 0 && facts.st_size > bytes && truncate(path, bytes) != 0) {
        log_line(LOG_WARNING,
                 "cannot shorten a file that a failed write made longer path=%s "
                 "errno=%d",
                 path, errno);
    }
}

void store_trim(struct store *store)
{
    bool is_inside;
    struct err err;
    if (store_enter(store, &is_inside, &err) != ERR_OK || !is_inside) {
        return; /* Who writes next will tell. */
    }
    if (!atomic_load(&store->is_broken) && store_end_doubt(store, &err) == ERR_OK) {
        trim(store);
    }
    store_leave(store);
}
