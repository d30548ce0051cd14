/* The map in a file, so that its log can be cut.
 *
 * Files in the directory: map, and map.new while it is written (then synced and renamed).
 *
 *   "vectrond map\0\0\0\0", u32 version, u32 crc32c of all behind it, u64 bytes behind it,
 *   u64 applied, u64 epoch, u64 next_collection, u64 next_group, u32 n, n times: u64 group, schema
 *
 * Integers are little-endian.  A map that is damaged, newer or another's is refused. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pd/pd_int.h"

enum {
    SNAPSHOT_VERSION = 1,
    MAGIC_BYTES = 16,
    HEAD_BYTES = MAGIC_BYTES + 4 + 4 + 8,
    PATH_BYTES = 4096,
    SNAPSHOT_BYTES_MAX = 1 << 30,
};

static const char magic[MAGIC_BYTES] = "vectrond map";

/* ---- writing ---- */

static void encode(struct buf *b, const struct version *version, uint64_t applied)
{
    CHECK(version->next_group > PD_GROUP);
    buf_bytes(b, magic, MAGIC_BYTES);
    buf_u32(b, SNAPSHOT_VERSION);
    buf_u32(b, 0);
    buf_u64(b, 0);
    buf_u64(b, applied);
    buf_u64(b, version->map.epoch);
    buf_u64(b, version->next_collection);
    buf_u64(b, version->next_group);
    buf_u32(b, (uint32_t)version->map.n_collections);
    for (size_t i = 0; i < version->map.n_collections; i++) {
        const struct map_collection *c = version->map.collections[i];
        buf_u64(b, c->shard.group);
        schema_write(b, c->schema);
    }
    if (!b->failed) {
        size_t bytes = b->bytes - HEAD_BYTES;
        le_put_u32(b->data + MAGIC_BYTES + 4, crc32c(0, b->data + HEAD_BYTES, bytes));
        le_put_u64(b->data + MAGIC_BYTES + 8, bytes);
    }
}

static enum errcode write_all(int fd, const struct buf *b, const char *path, struct err *err)
{
    size_t at = 0;
    while (at < b->bytes) {
        ssize_t n = -1;
        if (fault_hit(FAULT_CATALOG_WRITE)) {
            errno = EIO;
        } else {
            n = write(fd, b->data + at, b->bytes - at);
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set_errno(err, ERR_IO, errno, "could not write \"%s\"", path);
        }
        at += (size_t)n;
    }
    return ERR_OK;
}

/* A file that is whole and synced, in the place of one that may lie there. */
static enum errcode write_file(const char *path, const struct buf *b, struct err *err)
{
    int fd = dir_create(path, O_WRONLY | O_TRUNC);
    if (fd < 0) {
        return err_set_errno(err, ERR_IO, errno, "could not make \"%s\"", path);
    }
    enum errcode code = write_all(fd, b, path, err);
    if (code == ERR_OK && fsync(fd) != 0) {
        code = err_set_errno(err, ERR_IO, errno, "could not sync \"%s\"", path);
    }
    if (close(fd) != 0 && code == ERR_OK) {
        code = err_set_errno(err, ERR_IO, errno, "could not write \"%s\"", path);
    }
    return code;
}

enum errcode snapshot_write(const char *directory, const struct version *version, uint64_t applied,
                            struct err *err)
{
    CHECK(applied > 0 && version->map.n_collections <= COLLECTIONS_MAX);
    char path[PATH_BYTES];
    char path_new[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/map", directory);
    snprintf(path_new, sizeof(path_new), "%s/map.new", directory);
    struct buf b;
    buf_init(&b, MEM_CATALOG, SNAPSHOT_BYTES_MAX);
    encode(&b, version, applied);
    enum errcode code = b.failed ? err_no_memory(err) : write_file(path_new, &b, err);
    buf_fini(&b);
    if (code != ERR_OK) {
        return code;
    }
    if (rename(path_new, path) != 0) {
        return err_set_errno(err, ERR_IO, errno, "could not rename \"%s\"", path_new);
    }
    return dir_sync(directory, err);
}

/* ---- reading ---- */

static enum errcode damaged(const char *path, const char *what, struct err *err)
{
    err_set(err, ERR_CORRUPT, "the map \"%s\" is damaged: %s", path, what);
    err_hint(err, "Restore the data directory from a backup or a replica.");
    return ERR_CORRUPT;
}

static enum errcode decode_collections(struct reader *r, struct version *v, uint32_t n,
                                       const char *path, struct err *err)
{
    struct schema *schema = mem_alloc(MEM_CATALOG, sizeof(*schema));
    if (schema == NULL) {
        return err_no_memory(err);
    }
    enum errcode code = ERR_OK;
    for (uint32_t i = 0; i < n && code == ERR_OK; i++) {
        uint64_t group = reader_u64(r);
        code = schema_read(r, schema, err);
        if (code != ERR_OK) {
            err_prefix(err, "in the map \"%s\"", path);
        } else if (group <= PD_GROUP || group >= v->next_group ||
                   schema->id >= v->next_collection ||
                   (i > 0 && strcmp(v->held[i - 1]->schema->name, schema->name) >= 0)) {
            code = damaged(path, "a collection is out of order", err);
        } else if (!version_add(v, schema, group)) {
            code = err_no_memory(err);
        }
    }
    mem_free(MEM_CATALOG, schema);
    return code;
}

static enum errcode decode(const uint8_t *data, size_t bytes, const char *path,
                           struct version **out, uint64_t *applied, struct err *err)
{
    if (bytes < HEAD_BYTES || memcmp(data, magic, MAGIC_BYTES) != 0) {
        err_set(err, ERR_FORMAT_UNSUPPORTED, "\"%s\" is not a map of vectrond", path);
        err_hint(err, "Restore the data directory from a backup.");
        return ERR_FORMAT_UNSUPPORTED;
    }
    uint32_t format = le_get_u32(data + MAGIC_BYTES);
    if (format != SNAPSHOT_VERSION) {
        err_set(err, ERR_FORMAT_UNSUPPORTED,
                "the map \"%s\" has format %u, and this server reads format %d", path, format,
                SNAPSHOT_VERSION);
        err_hint(err, "Run the version of vectrond that wrote it.");
        return ERR_FORMAT_UNSUPPORTED;
    }
    if (le_get_u64(data + MAGIC_BYTES + 8) != bytes - HEAD_BYTES) {
        return damaged(path, "it has not its length", err);
    }
    if (le_get_u32(data + MAGIC_BYTES + 4) != crc32c(0, data + HEAD_BYTES, bytes - HEAD_BYTES)) {
        return damaged(path, "its checksum is wrong", err);
    }
    struct reader r;
    reader_init(&r, data + HEAD_BYTES, bytes - HEAD_BYTES);
    *applied = reader_u64(&r);
    uint64_t epoch = reader_u64(&r);
    uint64_t next_collection = reader_u64(&r);
    uint64_t next_group = reader_u64(&r);
    uint32_t n = reader_u32(&r);
    if (r.failed || n > COLLECTIONS_MAX) {
        return damaged(path, "it ends early", err);
    }
    struct version *v = version_new(epoch, n);
    if (v == NULL) {
        return err_no_memory(err);
    }
    v->next_collection = next_collection;
    v->next_group = next_group;
    enum errcode code = decode_collections(&r, v, n, path, err);
    if (code == ERR_OK && !reader_done(&r)) {
        code = damaged(path, "it goes on behind its end", err);
    }
    if (code != ERR_OK) {
        version_release(v);
        return code;
    }
    *out = v;
    return ERR_OK;
}

static enum errcode read_all(int fd, const char *path, struct buf *b, struct err *err)
{
    for (;;) {
        uint8_t *room = buf_reserve(b, 64 << 10);
        if (room == NULL) {
            return err_no_memory(err);
        }
        ssize_t n = read(fd, room, 64 << 10);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set_errno(err, ERR_IO, errno, "could not read \"%s\"", path);
        }
        if (n == 0) {
            return ERR_OK;
        }
        buf_commit(b, (size_t)n);
    }
}

enum errcode snapshot_read(const char *directory, struct version **version, uint64_t *applied,
                           struct err *err)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/map", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        *applied = 0;
        *version = version_empty();
        return *version != NULL ? ERR_OK : err_no_memory(err);
    }
    if (fd < 0) {
        return dir_fail(err, errno, "open", path);
    }
    struct buf b;
    buf_init(&b, MEM_CATALOG, SNAPSHOT_BYTES_MAX);
    enum errcode code = read_all(fd, path, &b, err);
    if (code == ERR_OK) {
        code = decode(b.data, b.bytes, path, version, applied, err);
    }
    buf_fini(&b);
    close(fd);
    return code;
}
