/* The log on disk: one LMDB environment for all groups of the node.
 *
 * The file is made under the name log.mdb.new and renamed to log.mdb, so that it is either whole or
 * not there.
 *
 * Tables (integers are little-endian but in keys, where they are big-endian so that they sort):
 *   meta     "format" -> "vectrond log\0\0\0\0", u32 version, u64 node, u32 crc32c of all before
 *   groups   u64 group -> u8 version, u8 is_doomed, u16 0, u32 crc32c (of key and what follows),
 *            u64 term, u64 vote, u64 cut_index, u64 cut_term, u64 conf_index, u32 bytes, conf
 *   entries  u64 group, u64 index -> u8 version, u8 type, u16 0, u32 crc32c (of key, of the value
 *            before it and of what follows), u64 term, payload
 *
 * LMDB writes pages to free places and then one of two headers, so a transaction is there whole or
 * not at all and a torn tail does not exist: an entry whose checksum fails was damaged later, and
 * is refused, never skipped.
 *
 * Only the log thread comes here, and never with a reading and a writing transaction at once, and
 * dir_lock keeps other processes out.  So LMDB's own lock file is not used: nothing of a dead
 * process can be in the way.  A full disk makes LMDB's writes end early, which it reports as EIO;
 * fail_lmdb tells the two apart by the free space. */
#include <errno.h>
#include <lmdb.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "repl/log_store_int.h"
#include "repl/repl_int.h"

enum {
    LOG_FORMAT = 1,
    STATE_VERSION = 1,
    STATE_HEAD_BYTES = 8, /* Up to and with the checksum; also of entries. */
    STATE_FIXED_BYTES = STATE_HEAD_BYTES + 5 * 8 + 4,
    ENTRY_VERSION = 1,
    ENTRY_HEAD_BYTES = 16,
    ENTRY_KEY_BYTES = 16,
    MAGIC_BYTES = 16,
    FORMAT_BYTES = MAGIC_BYTES + 4 + 8 + 4,
    PATH_BYTES = 4096,
    /* What a transaction needs beside its payload: copies of the tree's path and free lists. */
    SLACK_BYTES = 256 << 10,
};

static const char magic[MAGIC_BYTES] = "vectrond log";

struct log_store {
    char directory[PATH_BYTES];
    char path[PATH_BYTES + 16];
    uint64_t node;
    size_t map_bytes;
    atomic_size_t reserve_bytes;
    int lock_fd;
    MDB_env *env;
    MDB_dbi meta, groups, entries;
    MDB_txn *txn; /* The one that is open, reading or writing. */
    bool is_writing, is_verified;
    MDB_cursor *cursor; /* Of the reading transaction, over entries of cursor_group. */
    uint64_t cursor_group;
    bool is_broken;
};

/* ---- errors ---- */

bool log_store_has_room(const struct log_store *s, size_t bytes, bool is_shrinking)
{
    struct statvfs fs;
    if (statvfs(s->directory, &fs) != 0) {
        return true; /* The write itself will tell. */
    }
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    uint64_t kept = atomic_load(&s->reserve_bytes);
    return room >= (is_shrinking && kept > SLACK_BYTES ? SLACK_BYTES : kept) + bytes;
}

enum errcode log_store_fail_full(const struct log_store *s, bool is_shrinking, struct err *err)
{
    err_set(err, ERR_DISK_FULL, "no space for the log in \"%s\"", s->directory);
    err_hint(err, "Free space on this file system%s; writes resume by themselves.",
             is_shrinking ? "" : ", DELETE rows or DROP a collection");
    return ERR_DISK_FULL;
}

static enum errcode fail_lmdb(const struct log_store *s, int rc, const char *what, struct err *err)
{
    CHECK(rc != 0);
    switch (rc) {
    case EIO:
        if (log_store_has_room(s, SLACK_BYTES, false)) {
            return err_set_errno(err, ERR_IO, dir_short_write(s->path), "could not %s \"%s\"", what,
                                 s->path);
        }
        return log_store_fail_full(s, true, err);
    case ENOSPC:
        return log_store_fail_full(s, true, err);
    case MDB_MAP_FULL:
        err_set(err, ERR_DISK_FULL, "the log \"%s\" has reached its largest size of %zu MiB",
                s->path, s->map_bytes >> 20);
        err_hint(err, "It is cut behind flushes: look for those that fail in the server's log.");
        return ERR_DISK_FULL;
    case MDB_INVALID:
        err_set(err, ERR_FORMAT_UNSUPPORTED, "\"%s\" is not a log of vectrond", s->path);
        err_hint(err, "Restore the data directory from a backup, or give --data another one.");
        return ERR_FORMAT_UNSUPPORTED;
    case MDB_VERSION_MISMATCH:
        err_set(err, ERR_FORMAT_UNSUPPORTED, "\"%s\" was written by another version of LMDB",
                s->path);
        err_hint(err, "Run the server with the LMDB that wrote it, and move the data by COPY.");
        return ERR_FORMAT_UNSUPPORTED;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        err_set(err, ERR_CORRUPT, "the log \"%s\" is damaged: %s", s->path, mdb_strerror(rc));
        err_hint(err, "Restore the data directory from a backup.");
        return ERR_CORRUPT;
    default:
        if (rc > 0) {
            return dir_fail(err, rc, what, s->path);
        }
        return err_set(err, ERR_IO, "could not %s \"%s\": %s", what, s->path, mdb_strerror(rc));
    }
}

/* ---- keys and checksums ---- */

static void put_be64(uint8_t *p, uint64_t x)
{
    for (int i = 7; i >= 0; i--) {
        p[i] = (uint8_t)x;
        x >>= 8;
    }
}

static uint64_t get_be64(const uint8_t *p)
{
    uint64_t x = 0;
    for (int i = 0; i < 8; i++) {
        x = x << 8 | p[i];
    }
    return x;
}

static void entry_key(uint8_t key[ENTRY_KEY_BYTES], uint64_t group, uint64_t index)
{
    put_be64(key, group);
    put_be64(key + 8, index);
}

/* Of a record whose checksum stands in bytes 4 to 7 of its value. */
static uint32_t record_crc(const MDB_val *key, const uint8_t *value, size_t bytes)
{
    uint32_t crc = crc32c(0, key->mv_data, key->mv_size);
    crc = crc32c(crc, value, 4);
    return crc32c(crc, value + STATE_HEAD_BYTES, bytes - STATE_HEAD_BYTES);
}

/* ---- opening ---- */

static void close_env(struct log_store *s)
{
    if (s->env != NULL) {
        mdb_env_close(s->env);
        s->env = NULL;
    }
}

static enum errcode open_env(struct log_store *s, const char *path, struct err *err)
{
    CHECK(s->env == NULL);
    /* MDB_NOLOCK: see the head of this file.  No MDB_WRITEMAP, where a full disk is a SIGBUS, and
     * no MDB_NOSYNC, which power loss does not survive. */
    unsigned flags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS;
    int rc = mdb_env_create(&s->env);
    if (rc == 0) {
        rc = mdb_env_set_maxdbs(s->env, 3);
    }
    if (rc == 0) {
        rc = mdb_env_set_mapsize(s->env, s->map_bytes);
    }
    if (rc == 0) {
        rc = mdb_env_open(s->env, path, flags, DIR_FILE_MODE);
    }
    if (rc != 0) {
        fail_lmdb(s, rc, "open", err);
        close_env(s);
        return err->code;
    }
    return ERR_OK;
}

/* Makes the three tables and the format's record under a name that is not used yet. */
static enum errcode create_env(struct log_store *s, struct err *err)
{
    char path[PATH_BYTES + 16];
    snprintf(path, sizeof(path), "%s/log.mdb.new", s->directory);
    if (unlink(path) != 0 && errno != ENOENT) {
        return err_set_errno(err, ERR_IO, errno, "could not remove \"%s\"", path);
    }
    if (open_env(s, path, err) != ERR_OK) {
        return err->code;
    }
    uint8_t format[FORMAT_BYTES];
    memcpy(format, magic, MAGIC_BYTES);
    le_put_u32(format + MAGIC_BYTES, LOG_FORMAT);
    le_put_u64(format + MAGIC_BYTES + 4, s->node);
    le_put_u32(format + FORMAT_BYTES - 4, crc32c(0, format, FORMAT_BYTES - 4));
    MDB_val key = {6, "format"};
    MDB_val value = {sizeof(format), format};
    MDB_txn *txn = NULL;
    MDB_dbi dbi = 0;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "entries", MDB_CREATE, &dbi);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "groups", MDB_CREATE, &dbi);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &dbi);
    }
    if (rc == 0) {
        rc = mdb_put(txn, dbi, &key, &value, 0);
    }
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
        txn = NULL;
    }
    if (txn != NULL) {
        mdb_txn_abort(txn);
    }
    if (rc != 0) {
        fail_lmdb(s, rc, "make", err);
    }
    close_env(s);
    if (rc != 0) {
        return err->code;
    }
    if (rename(path, s->path) != 0) {
        return err_set_errno(err, ERR_IO, errno, "could not rename \"%s\"", path);
    }
    return dir_sync(s->directory, err);
}

static enum errcode check_format(const struct log_store *s, const MDB_val *value, struct err *err)
{
    const uint8_t *p = value->mv_data;
    if (value->mv_size < MAGIC_BYTES + 4 || memcmp(p, magic, MAGIC_BYTES) != 0) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED, "\"%s\" is not a log of vectrond", s->path);
    }
    uint32_t version = le_get_u32(p + MAGIC_BYTES);
    if (version != LOG_FORMAT) {
        err_set(err, ERR_FORMAT_UNSUPPORTED,
                "the log \"%s\" has format %u, and this server reads format %d", s->path, version,
                LOG_FORMAT);
        err_hint(err, "Run the version of vectrond that wrote it.");
        return ERR_FORMAT_UNSUPPORTED;
    }
    if (value->mv_size != FORMAT_BYTES ||
        le_get_u32(p + FORMAT_BYTES - 4) != crc32c(0, p, FORMAT_BYTES - 4)) {
        return err_set(err, ERR_CORRUPT, "the format record of the log \"%s\" is damaged", s->path);
    }
    uint64_t node = le_get_u64(p + MAGIC_BYTES + 4);
    if (node != s->node) {
        return err_set(err, ERR_BAD_CONFIG, "the log \"%s\" is of node %llu, and this is node %llu",
                       s->path, (unsigned long long)node, (unsigned long long)s->node);
    }
    return ERR_OK;
}

static enum errcode open_tables(struct log_store *s, struct err *err)
{
    MDB_txn *txn = NULL;
    MDB_val key = {6, "format"};
    MDB_val value;
    int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return fail_lmdb(s, rc, "read", err);
    }
    rc = mdb_dbi_open(txn, "meta", 0, &s->meta);
    if (rc == 0) {
        rc = mdb_get(txn, s->meta, &key, &value);
    }
    if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE) {
        err_set(err, ERR_FORMAT_UNSUPPORTED, "\"%s\" is an LMDB file, but not a log of vectrond",
                s->path);
        mdb_txn_abort(txn);
        return ERR_FORMAT_UNSUPPORTED;
    }
    if (rc == 0 && check_format(s, &value, err) != ERR_OK) {
        mdb_txn_abort(txn);
        return err->code;
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "groups", 0, &s->groups);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "entries", 0, &s->entries);
    }
    if (rc == 0) {
        rc = mdb_txn_commit(txn); /* Keeps the handles. */
        txn = NULL;
    }
    if (txn != NULL) {
        mdb_txn_abort(txn);
    }
    return rc == 0 ? ERR_OK : fail_lmdb(s, rc, "read", err);
}

/* A process that was killed may have left what the disk has not got yet: what is read from here on
 * counts as committed. */
static enum errcode sync_what_is_there(const struct log_store *s, struct err *err)
{
    int rc = mdb_env_sync(s->env, 1);
    return rc == 0 ? dir_sync(s->directory, err) : fail_lmdb(s, rc, "sync", err);
}

enum errcode log_store_open(const struct repl_config *config, struct log_store **out,
                            struct err *err)
{
    CHECK(config->directory != NULL && config->node > 0 && config->map_bytes > 0);
    struct log_store *s = mem_zalloc(MEM_LOG, sizeof(*s));
    if (s == NULL) {
        return err_no_memory(err);
    }
    s->lock_fd = -1;
    s->node = config->node;
    s->map_bytes = config->map_bytes;
    atomic_init(&s->reserve_bytes, config->disk_reserve_bytes);
    if (strlen(config->directory) >= sizeof(s->directory)) {
        err_set(err, ERR_BAD_CONFIG, "the log's directory has a name longer than %d bytes",
                PATH_BYTES - 1);
        goto fail;
    }
    snprintf(s->directory, sizeof(s->directory), "%s", config->directory);
    snprintf(s->path, sizeof(s->path), "%s/log.mdb", s->directory);
    if (dir_make(s->directory, err) != ERR_OK ||
        dir_lock(s->directory, "lock", "the log", &s->lock_fd, err) != ERR_OK) {
        goto fail;
    }
    bool is_there;
    if (dir_has(s->path, &is_there, err) != ERR_OK) {
        goto fail;
    }
    if (!is_there &&
        (log_dir_check_new(s->directory, err) != ERR_OK || create_env(s, err) != ERR_OK)) {
        goto fail;
    }
    if ((is_there && pages_check(s->path, err) != ERR_OK) || open_env(s, s->path, err) != ERR_OK ||
        open_tables(s, err) != ERR_OK || sync_what_is_there(s, err) != ERR_OK) {
        goto fail;
    }
    *out = s;
    return ERR_OK;
fail:
    log_store_close(s);
    return err->code;
}

void log_store_close(struct log_store *s)
{
    CHECK(s->txn == NULL && s->cursor == NULL);
    close_env(s);
    dir_unlock(s->lock_fd);
    mem_free(MEM_LOG, s);
}

void log_store_reserve(struct log_store *s, size_t bytes)
{
    atomic_store(&s->reserve_bytes, bytes);
}

size_t log_store_file_bytes(const struct log_store *s)
{
    struct stat st;
    return stat(s->path, &st) == 0 ? (size_t)st.st_size : 0;
}

/* ---- writing ---- */

static enum errcode fail_broken(const struct log_store *s, struct err *err)
{
    err_set(err, ERR_IO, "the log \"%s\" is out of service after a failed write", s->path);
    err_hint(err, "Look for the first failure in the server's log; it tries again by itself.");
    return ERR_IO;
}

static enum errcode ensure_writing(struct log_store *s, struct err *err)
{
    if (s->txn != NULL) {
        CHECK(s->is_writing);
        return ERR_OK;
    }
    if (s->is_broken) {
        return fail_broken(s, err);
    }
    int rc = mdb_txn_begin(s->env, NULL, 0, &s->txn);
    if (rc != 0) {
        s->txn = NULL;
        return fail_lmdb(s, rc, "write", err);
    }
    s->is_writing = true;
    return ERR_OK;
}

bool log_store_is_writing(const struct log_store *s)
{
    return s->txn != NULL && s->is_writing;
}

enum errcode log_store_put(struct log_store *s, uint64_t group, const struct log_record *record,
                           struct err *err)
{
    CHECK(record->index > 0 && record->term > 0);
    CHECK(group > 0 && (record->data != NULL || record->bytes == 0));
    if (ensure_writing(s, err) != ERR_OK) {
        return err->code;
    }
    uint8_t key_bytes[ENTRY_KEY_BYTES];
    entry_key(key_bytes, group, record->index);
    MDB_val key = {sizeof(key_bytes), key_bytes};
    MDB_val value = {ENTRY_HEAD_BYTES + record->bytes, NULL};
    int rc = mdb_put(s->txn, s->entries, &key, &value, MDB_RESERVE);
    if (rc != 0) {
        return fail_lmdb(s, rc, "write", err);
    }
    uint8_t *p = value.mv_data;
    p[0] = ENTRY_VERSION;
    p[1] = (uint8_t)record->type;
    le_put_u16(p + 2, 0);
    le_put_u64(p + 8, record->term);
    if (record->bytes > 0) {
        memcpy(p + ENTRY_HEAD_BYTES, record->data, record->bytes);
    }
    le_put_u32(p + 4, record_crc(&key, p, value.mv_size));
    return ERR_OK;
}

enum errcode log_store_put_state(struct log_store *s, uint64_t group, const struct log_state *state,
                                 struct err *err)
{
    CHECK(state->conf_bytes <= LOG_CONF_BYTES_MAX);
    CHECK(group > 0 && (state->conf != NULL || state->conf_bytes == 0));
    CHECK(state->is_doomed || (state->term > 0 && state->conf_bytes > 0));
    if (ensure_writing(s, err) != ERR_OK) {
        return err->code;
    }
    uint8_t key_bytes[8];
    put_be64(key_bytes, group);
    MDB_val key = {sizeof(key_bytes), key_bytes};
    MDB_val value = {STATE_FIXED_BYTES + state->conf_bytes, NULL};
    int rc = mdb_put(s->txn, s->groups, &key, &value, MDB_RESERVE);
    if (rc != 0) {
        return fail_lmdb(s, rc, "write", err);
    }
    uint8_t *p = value.mv_data;
    p[0] = STATE_VERSION;
    p[1] = state->is_doomed;
    le_put_u16(p + 2, 0);
    le_put_u64(p + 8, state->term);
    le_put_u64(p + 16, state->vote);
    le_put_u64(p + 24, state->cut_index);
    le_put_u64(p + 32, state->cut_term);
    le_put_u64(p + 40, state->conf_index);
    le_put_u32(p + 48, (uint32_t)state->conf_bytes);
    if (state->conf_bytes > 0) {
        memcpy(p + STATE_FIXED_BYTES, state->conf, state->conf_bytes);
    }
    le_put_u32(p + 4, record_crc(&key, p, value.mv_size));
    return ERR_OK;
}

enum errcode log_store_remove(struct log_store *s, uint64_t group, uint64_t index_max, size_t n_max,
                              size_t *n_removed, struct err *err)
{
    CHECK(n_max > 0);
    *n_removed = 0;
    if (ensure_writing(s, err) != ERR_OK) {
        return err->code;
    }
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(s->txn, s->entries, &cursor);
    if (rc != 0) {
        return fail_lmdb(s, rc, "write", err);
    }
    while (*n_removed < n_max) {
        uint8_t key_bytes[ENTRY_KEY_BYTES];
        entry_key(key_bytes, group, 0);
        MDB_val key = {sizeof(key_bytes), key_bytes};
        MDB_val value;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        if (rc != 0 || key.mv_size != ENTRY_KEY_BYTES || get_be64(key.mv_data) != group ||
            get_be64((const uint8_t *)key.mv_data + 8) > index_max) {
            break;
        }
        rc = mdb_cursor_del(cursor, 0);
        if (rc != 0) {
            break;
        }
        *n_removed += 1;
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND ? ERR_OK : fail_lmdb(s, rc, "write", err);
}

enum errcode log_store_remove_state(struct log_store *s, uint64_t group, struct err *err)
{
    if (ensure_writing(s, err) != ERR_OK) {
        return err->code;
    }
    uint8_t key_bytes[8];
    put_be64(key_bytes, group);
    MDB_val key = {sizeof(key_bytes), key_bytes};
    int rc = mdb_del(s->txn, s->groups, &key, NULL);
    return rc == 0 || rc == MDB_NOTFOUND ? ERR_OK : fail_lmdb(s, rc, "write", err);
}

/* Sets is_broken where LMDB could not write the header, which is when it refuses to go on. */
static int commit(struct log_store *s, MDB_txn *txn)
{
    CHECK(s->txn == NULL && !s->is_broken);
    if (fault_hit(FAULT_LOG_HEADER_LOST)) {
        mdb_txn_abort(txn);
        s->is_broken = true;
        return EIO;
    }
    int rc = mdb_txn_commit(txn);
    if (rc == 0 && fault_hit(FAULT_LOG_HEADER_STANDS)) {
        s->is_broken = true;
        return EIO;
    }
    if (rc != 0) {
        MDB_txn *probe = NULL;
        s->is_broken = mdb_txn_begin(s->env, NULL, 0, &probe) == MDB_PANIC;
        if (probe != NULL) {
            mdb_txn_abort(probe);
        }
    }
    return rc;
}

enum errcode log_store_commit(struct log_store *s, struct err *err)
{
    CHECK(log_store_is_writing(s));
    MDB_txn *txn = s->txn;
    s->txn = NULL;
    s->is_writing = false;
    bool is_full = fault_hit(FAULT_LOG_COMMIT_FULL);
    if (is_full || fault_hit(FAULT_LOG_COMMIT)) {
        mdb_txn_abort(txn);
        return is_full ? log_store_fail_full(s, true, err)
                       : err_set_errno(err, ERR_IO, EIO, "could not sync \"%s\"", s->path);
    }
    uint64_t start_us = clock_micros();
    int rc = commit(s, txn);
    if (rc != 0) {
        return fail_lmdb(s, rc, "sync", err);
    }
    metric_observe_us(METRIC_log_commit, clock_micros() - start_us);
    metric_add(METRIC_log_commits, 1);
    if (fault_hit(FAULT_CRASH_AFTER_LOG)) {
        raise(SIGKILL);
    }
    return ERR_OK;
}

void log_store_abort(struct log_store *s)
{
    if (log_store_is_writing(s)) {
        mdb_txn_abort(s->txn);
        s->txn = NULL;
        s->is_writing = false;
    }
}

bool log_store_is_broken(const struct log_store *s)
{
    return s->is_broken;
}

enum errcode log_store_mend(struct log_store *s, struct err *err)
{
    CHECK(s->is_broken && s->txn == NULL);
    close_env(s);
    if (open_env(s, s->path, err) != ERR_OK || open_tables(s, err) != ERR_OK) {
        return err->code;
    }
    /* The header that failed is in doubt on the disk, and the pages that it speaks of are free for
     * this process.  So the header that is seen here is synced before any page is written; and the
     * next commit takes the place of the other, so that nothing else can come back. */
    if (sync_what_is_there(s, err) != ERR_OK) {
        return err->code;
    }
    uint8_t wall[8];
    le_put_u64(wall, (uint64_t)clock_wall_micros());
    MDB_val key = {6, "mended"};
    MDB_val value = {sizeof(wall), wall};
    s->is_broken = false;
    enum errcode code = ensure_writing(s, err);
    if (code == ERR_OK) {
        int rc = mdb_put(s->txn, s->meta, &key, &value, 0);
        code = rc == 0 ? log_store_commit(s, err) : fail_lmdb(s, rc, "write", err);
    }
    log_store_abort(s);
    s->is_broken = code != ERR_OK;
    return code;
}

/* ---- reading ---- */

enum errcode log_store_read_begin(struct log_store *s, bool is_verified, struct err *err)
{
    CHECK(s->txn == NULL && s->cursor == NULL);
    if (s->is_broken) {
        return fail_broken(s, err);
    }
    s->is_verified = is_verified;
    int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->txn);
    if (rc != 0) {
        s->txn = NULL;
        return fail_lmdb(s, rc, "read", err);
    }
    return ERR_OK;
}

void log_store_read_end(struct log_store *s)
{
    CHECK(s->txn != NULL && !s->is_writing);
    if (s->cursor != NULL) {
        mdb_cursor_close(s->cursor);
        s->cursor = NULL;
    }
    mdb_txn_abort(s->txn);
    s->txn = NULL;
}

static enum errcode decode_state(const struct log_store *s, const MDB_val *key,
                                 const MDB_val *value, struct log_state *out, struct err *err)
{
    unsigned long long group = get_be64(key->mv_data);
    const uint8_t *p = value->mv_data;
    if (value->mv_size < STATE_FIXED_BYTES || p[0] != STATE_VERSION) {
        return err_set(err, ERR_CORRUPT, "the state of group %llu in the log \"%s\" is not known",
                       group, s->path);
    }
    size_t conf_bytes = le_get_u32(p + 48);
    if (le_get_u32(p + 4) != record_crc(key, p, value->mv_size) ||
        conf_bytes != value->mv_size - STATE_FIXED_BYTES || conf_bytes > LOG_CONF_BYTES_MAX) {
        return err_set(err, ERR_CORRUPT, "the state of group %llu in the log \"%s\" is damaged",
                       group, s->path);
    }
    *out = (struct log_state){
        .is_doomed = p[1] != 0,
        .term = le_get_u64(p + 8),
        .vote = le_get_u64(p + 16),
        .cut_index = le_get_u64(p + 24),
        .cut_term = le_get_u64(p + 32),
        .conf_index = le_get_u64(p + 40),
        .conf = p + STATE_FIXED_BYTES,
        .conf_bytes = conf_bytes,
    };
    return ERR_OK;
}

enum errcode log_store_state(struct log_store *s, uint64_t group, struct log_state *out,
                             bool *found, struct err *err)
{
    uint64_t next = group;
    if (log_store_next_group(s, &next, out, found, err) != ERR_OK) {
        return err->code;
    }
    *found = *found && next == group;
    return ERR_OK;
}

enum errcode log_store_next_group(struct log_store *s, uint64_t *group, struct log_state *out,
                                  bool *found, struct err *err)
{
    CHECK(s->txn != NULL && !s->is_writing);
    *found = false;
    uint8_t key_bytes[8];
    put_be64(key_bytes, *group);
    MDB_val key = {sizeof(key_bytes), key_bytes};
    MDB_val value;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(s->txn, s->groups, &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        mdb_cursor_close(cursor);
    }
    if (rc == MDB_NOTFOUND) {
        return ERR_OK;
    }
    if (rc != 0) {
        return fail_lmdb(s, rc, "read", err);
    }
    if (key.mv_size != sizeof(key_bytes)) {
        return err_set(err, ERR_CORRUPT, "a group of the log \"%s\" has a damaged key", s->path);
    }
    *group = get_be64(key.mv_data);
    *found = true;
    return decode_state(s, &key, &value, out, err);
}

static enum errcode decode_entry(const struct log_store *s, const MDB_val *key,
                                 const MDB_val *value, struct log_record *out, struct err *err)
{
    unsigned long long group = get_be64(key->mv_data);
    const uint8_t *p = value->mv_data;
    out->index = get_be64((const uint8_t *)key->mv_data + 8);
    if (value->mv_size < ENTRY_HEAD_BYTES || p[0] != ENTRY_VERSION ||
        (s->is_verified && le_get_u32(p + 4) != record_crc(key, p, value->mv_size))) {
        err_set(err, ERR_CORRUPT, "entry %llu of group %llu in the log \"%s\" is damaged",
                (unsigned long long)out->index, group, s->path);
        err_hint(err, "Restore the data directory from a backup or a replica.");
        return ERR_CORRUPT;
    }
    out->type = (enum raft_entry_type)p[1];
    out->term = le_get_u64(p + 8);
    out->data = p + ENTRY_HEAD_BYTES;
    out->bytes = value->mv_size - ENTRY_HEAD_BYTES;
    return ERR_OK;
}

static enum errcode move_cursor(struct log_store *s, MDB_val *key, MDB_cursor_op op,
                                struct log_record *out, bool *found, struct err *err)
{
    *found = false;
    MDB_val value;
    int rc = mdb_cursor_get(s->cursor, key, &value, op);
    if (rc == MDB_NOTFOUND) {
        return ERR_OK;
    }
    if (rc != 0) {
        return fail_lmdb(s, rc, "read", err);
    }
    if (key->mv_size != ENTRY_KEY_BYTES) {
        return err_set(err, ERR_CORRUPT, "an entry of the log \"%s\" has a damaged key", s->path);
    }
    if (get_be64(key->mv_data) != s->cursor_group) {
        return ERR_OK;
    }
    *found = true;
    return decode_entry(s, key, &value, out, err);
}

enum errcode log_store_seek(struct log_store *s, uint64_t group, uint64_t index,
                            struct log_record *out, bool *found, struct err *err)
{
    CHECK(s->txn != NULL && !s->is_writing && group > 0 && index > 0);
    if (s->cursor == NULL) {
        int rc = mdb_cursor_open(s->txn, s->entries, &s->cursor);
        if (rc != 0) {
            s->cursor = NULL;
            return fail_lmdb(s, rc, "read", err);
        }
    }
    s->cursor_group = group;
    uint8_t key_bytes[ENTRY_KEY_BYTES];
    entry_key(key_bytes, group, index);
    MDB_val key = {sizeof(key_bytes), key_bytes};
    return move_cursor(s, &key, MDB_SET_RANGE, out, found, err);
}

enum errcode log_store_next(struct log_store *s, struct log_record *out, bool *found,
                            struct err *err)
{
    CHECK(s->cursor != NULL && s->txn != NULL && !s->is_writing);
    MDB_val key;
    return move_cursor(s, &key, MDB_NEXT, out, found, err);
}

enum errcode log_store_term(struct log_store *s, uint64_t group, uint64_t index, uint64_t *term,
                            struct err *err)
{
    CHECK(group > 0 && index > 0);
    uint8_t key_bytes[ENTRY_KEY_BYTES];
    entry_key(key_bytes, group, index);
    MDB_val key = {sizeof(key_bytes), key_bytes};
    MDB_val value;
    if (s->txn == NULL && ensure_writing(s, err) != ERR_OK) {
        return err->code;
    }
    int rc = mdb_get(s->txn, s->entries, &key, &value);
    if (rc == MDB_NOTFOUND) {
        return err_set(err, ERR_CORRUPT, "entry %llu of group %llu is missing in the log \"%s\"",
                       (unsigned long long)index, (unsigned long long)group, s->path);
    }
    if (rc != 0) {
        return fail_lmdb(s, rc, "read", err);
    }
    struct log_record record;
    if (decode_entry(s, &key, &value, &record, err) != ERR_OK) {
        return err->code;
    }
    *term = record.term;
    return ERR_OK;
}
