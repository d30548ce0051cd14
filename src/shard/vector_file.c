/* The file of an index's exact vectors, by slot.
 *
 * index-COLUMN-NUMBER.vectors, little-endian:
 *
 *   head (4,096 bytes)   "VTVECTR\n" | u32 version | u32 column | u64 schema | u64 group
 *                        u32 dimension | u32 number | u32 CRC-32C of the 40 bytes before | zeros
 *   places               of each slot, as the index wants them: floats, raw
 *
 * Written with pwrite into blocks that were allocated before, so that a full disk is an error of
 * the allocation and nothing dies by SIGBUS; read through a shared map, or once when the index is
 * opened.  A checkpoint of the graph is renamed into place only after the file was synced, and its
 * blocks carry checksums of the vectors that it names; those are not overwritten before a later
 * checkpoint is durable.  So what a checkpoint finds here is what it left, or that is noticed.
 *
 * An entry of the log must be applied, and when a server starts again the room that its vectors had
 * may be gone.  Then (vector_file_use_memory) the pages of the map behind the file's room are
 * memory, until the file can grow: they are written to it, and it is mapped over them.  No
 * checkpoint is written before that.
 *
 * Where a sync fails the kernel may have dropped what it could not write: from then on no
 * checkpoint is written, and the next start makes the index anew or goes on from the last one. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "shard/vector_file_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    FILE_VERSION = 1,
    HEAD_BYTES = 4096,
    HEAD_USED_BYTES = 44,
    GROWTH_BYTES_MIN = 1 << 18,
    GROWTH_BYTES_MAX = 64 << 20,
    GROWTH_SHARE = 8,
};
static const char magic[8] = "VTVECTR\n";

static void head_write(const struct vector_file *f, uint8_t out[HEAD_USED_BYTES])
{
    memcpy(out, magic, sizeof(magic));
    le_put_u32(out + 8, FILE_VERSION);
    le_put_u32(out + 12, f->config.column);
    le_put_u64(out + 16, f->config.schema_id);
    le_put_u64(out + 24, f->config.group);
    le_put_u32(out + 32, f->config.dim);
    le_put_u32(out + 36, f->config.number);
    le_put_u32(out + 40, crc32c(0, out, 40));
}

/* ---- reading and writing ---- */

static enum errcode write_at(struct vector_file *f, uint64_t at, const void *data, size_t bytes,
                             struct err *err)
{
    CHECK(f->fd >= 0);
    const uint8_t *from = data;
    if (fault_hit(FAULT_VECTORS_WRITE)) {
        return err_set_errno(err, ERR_IO, EIO, "writing \"%s\"", f->path);
    }
    while (bytes > 0) {
        ssize_t n = pwrite(f->fd, from, bytes, (off_t)at);
        if (n < 0 && errno != EINTR) {
            return err_set_errno(err, ERR_IO, errno, "writing \"%s\"", f->path);
        }
        size_t done = n > 0 ? (size_t)n : 0;
        from += done;
        at += done;
        bytes -= done;
    }
    return ERR_OK;
}

static enum errcode read_at(const struct vector_file *f, uint64_t at, void *data, size_t bytes,
                            struct err *err)
{
    CHECK(f->fd >= 0);
    uint8_t *to = data;
    while (bytes > 0) {
        ssize_t n = pread(f->fd, to, bytes, (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set_errno(err, ERR_IO, errno, "reading \"%s\"", f->path);
        }
        if (n == 0) {
            return err_set(err, ERR_CORRUPT, "\"%s\" is cut off", f->path);
        }
        to += n;
        at += (size_t)n;
        bytes -= (size_t)n;
    }
    return ERR_OK;
}

/* The file has room for a part of it at most. */
static enum errcode put_in_memory(struct vector_file *f, size_t at, const uint8_t *data,
                                  size_t bytes, struct err *err)
{
    enum errcode code = ERR_OK;
    mutex_lock(&f->growing);
    uint64_t room = atomic_load(&f->room_bytes);
    size_t in_file = room <= at ? 0 : room - at < bytes ? (size_t)(room - at) : bytes;
    if (in_file > 0) {
        code = write_at(f, HEAD_BYTES + at, data, in_file, err);
    }
    if (code == ERR_OK && in_file < bytes) {
        uint64_t end = HEAD_BYTES + at + bytes;
        CHECK(end <= f->memory_end && end <= f->map_bytes);
        memcpy(f->map + HEAD_BYTES + at + in_file, data + in_file, bytes - in_file);
    }
    mutex_unlock(&f->growing);
    return code;
}

static enum errcode put(void *arg, size_t at, const void *data, size_t bytes, struct err *err)
{
    struct vector_file *f = arg;
    return at + bytes <= atomic_load(&f->room_bytes)
               ? write_at(f, HEAD_BYTES + at, data, bytes, err)
               : put_in_memory(f, at, data, bytes, err);
}

static enum errcode get(void *arg, size_t at, void *data, size_t bytes, struct err *err)
{
    const struct vector_file *f = arg;
    return f->fd < 0 ? err_set(err, ERR_CORRUPT, "there is no \"%s\"", f->path)
                     : read_at(f, HEAD_BYTES + at, data, bytes, err);
}

/* ---- the map ---- */

/* Rows are looked at in no order. */
static bool map_file(const struct vector_file *f, uint8_t *map, size_t from, size_t end)
{
    if (from >= end) {
        return true;
    }
    void *at = mmap(map + from, end - from, PROT_READ, MAP_SHARED | MAP_FIXED, f->fd, (off_t)from);
    if (at != MAP_FAILED) {
        (void)posix_madvise(at, end - from, POSIX_MADV_RANDOM);
    }
    return at != MAP_FAILED;
}

static bool map_memory(uint8_t *map, size_t from, size_t end)
{
    if (from >= end) {
        return true;
    }
    void *at = mmap(map + from, end - from, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    return at != MAP_FAILED;
}

/* Address space, of which the file backs as much as there is room, and memory what is behind. */
static bool make_map(struct vector_file *f, size_t bytes) REQUIRES(f->growing)
{
    CHECK(bytes > f->map_bytes);
    uint8_t *map = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t in_file = f->memory_end == 0 || f->memory_from > bytes ? bytes : f->memory_from;
    if (map == MAP_FAILED) {
        return false;
    }
    if (!map_file(f, map, 0, in_file) || !map_memory(map, in_file, bytes)) {
        (void)munmap(map, bytes);
        return false;
    }
    if (f->map != NULL) {
        size_t end = f->memory_end < f->map_bytes ? f->memory_end : f->map_bytes;
        if (end > in_file) {
            memcpy(map + in_file, f->map + in_file, end - in_file);
        }
        (void)munmap(f->map, f->map_bytes);
    }
    f->map = map;
    f->map_bytes = bytes;
    return true;
}

static void drop_map(struct vector_file *f)
{
    if (f->map != NULL) {
        (void)munmap(f->map, f->map_bytes);
    }
    f->map = NULL;
    f->map_bytes = 0;
}

static const void *map(void *arg, size_t bytes)
{
    struct vector_file *f = arg;
    mutex_lock(&f->growing);
    bool is_there = HEAD_BYTES + bytes <= f->map_bytes || make_map(f, HEAD_BYTES + bytes);
    const uint8_t *base = f->map;
    mutex_unlock(&f->growing);
    return is_there ? base + HEAD_BYTES : NULL;
}

/* ---- growing ---- */

static void set_room(struct vector_file *f, uint64_t bytes)
{
    uint64_t before = atomic_exchange(&f->room_bytes, bytes);
    if (f->config.is_mapped) {
        metric_add(METRIC_vectors_mapped, (int64_t)(bytes - before));
    }
}

static enum errcode make_file(struct vector_file *f, struct err *err) REQUIRES(f->growing)
{
    CHECK(f->fd < 0);
    uint8_t head[HEAD_BYTES] = {0};
    bool is_full = fault_hit(FAULT_VECTORS_MAKE);
    f->fd = is_full ? -1 : dir_create(f->path, O_RDWR | O_TRUNC);
    if (f->fd < 0) {
        return err_set_errno(err, ERR_IO, is_full ? ENOSPC : errno, "cannot make \"%s\"", f->path);
    }
    head_write(f, head);
    enum errcode code = write_at(f, 0, head, sizeof(head), err);
    if (code != ERR_OK) {
        (void)close(f->fd);
        f->fd = -1;
    }
    return code;
}

/* 0, or the error. */
static int allocate(const struct vector_file *f, uint64_t from, uint64_t to)
{
    CHECK(f->fd >= 0 && from < to);
    if (fault_hit(FAULT_VECTORS_GROW)) {
        return ENOSPC;
    }
    return posix_fallocate(f->fd, (off_t)(HEAD_BYTES + from), (off_t)(to - from));
}

static void set_memory(struct vector_file *f, uint64_t from, uint64_t end) REQUIRES(f->growing)
{
    CHECK(from <= end);
    uint64_t before = f->memory_end - f->memory_from;
    f->memory_from = from;
    f->memory_end = end;
    metric_add(METRIC_vectors_unplaced, (int64_t)(end - from - before));
}

/* What is in memory goes to the file, which has room for it now. */
static enum errcode settle(struct vector_file *f, struct err *err) REQUIRES(f->growing)
{
    CHECK(f->memory_end > 0);
    uint64_t from = f->memory_from < HEAD_BYTES ? HEAD_BYTES : f->memory_from;
    uint64_t end = f->memory_end < f->map_bytes ? f->memory_end : f->map_bytes;
    enum errcode code =
        end > from ? write_at(f, from, f->map + from, (size_t)(end - from), err) : ERR_OK;
    if (code != ERR_OK) {
        return code;
    }
    if (!f->config.is_mapped) {
        drop_map(f);
    } else if (!map_file(f, f->map, f->memory_from, f->map_bytes)) {
        return err_no_memory(err);
    }
    log_line(LOG_INFO, "vectors that waited in memory are in their file path=%s", f->path);
    set_memory(f, 0, 0);
    atomic_store(&f->may_use_memory, false);
    return ERR_OK;
}

/* Whether @bytes leave free what the next writes are to find. */
static bool is_spare(const struct vector_file *f, uint64_t bytes)
{
    struct statvfs fs;
    return statvfs(f->config.directory, &fs) != 0 ||
           (uint64_t)fs.f_bavail * fs.f_frsize >= bytes + f->config.reserve;
}

static enum errcode grow(struct vector_file *f, uint64_t bytes, struct err *err)
    REQUIRES(f->growing)
{
    uint64_t room = atomic_load(&f->room_bytes);
    if (f->memory_end > HEAD_BYTES + bytes) {
        bytes = f->memory_end - HEAD_BYTES;
    }
    if (bytes <= room) {
        return ERR_OK;
    }
    uint64_t more = bytes / GROWTH_SHARE;
    more = more < GROWTH_BYTES_MIN ? GROWTH_BYTES_MIN : more;
    more = more > GROWTH_BYTES_MAX ? GROWTH_BYTES_MAX : more;
    enum errcode code = f->fd < 0 ? make_file(f, err) : ERR_OK;
    if (code != ERR_OK) {
        return code;
    }
    uint64_t wanted = is_spare(f, bytes + more - room) ? bytes + more : bytes;
    int failed = allocate(f, room, wanted);
    if (failed == ENOSPC || failed == EDQUOT) {
        wanted = bytes;
        failed = allocate(f, room, wanted);
    }
    if (failed != 0) {
        return err_set_errno(err, ERR_IO, failed, "growing \"%s\"", f->path);
    }
    if (fault_hit(FAULT_CRASH_IN_VECTORS)) {
        (void)raise(SIGKILL);
    }
    code = f->memory_end > 0 ? settle(f, err) : ERR_OK;
    if (code == ERR_OK) {
        set_room(f, wanted);
    }
    return code;
}

/* The file's last page belongs to the file. */
static enum errcode begin_memory(struct vector_file *f, struct err *err) REQUIRES(f->growing)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t from = HEAD_BYTES + atomic_load(&f->room_bytes);
    from = f->fd < 0 ? 0 : (from + page - 1) / page * page;
    if (f->fd >= 0 && ftruncate(f->fd, (off_t)from) != 0) {
        return err_set_errno(err, ERR_IO, errno, "growing \"%s\"", f->path);
    }
    if (f->map != NULL && !map_memory(f->map, from, f->map_bytes)) {
        return err_no_memory(err);
    }
    log_line(LOG_WARNING, "vectors wait in memory for room on the disk path=%s", f->path);
    set_room(f, from < HEAD_BYTES ? 0 : from - HEAD_BYTES);
    set_memory(f, from, from < HEAD_BYTES ? HEAD_BYTES : from);
    return ERR_OK;
}

static enum errcode take_memory(struct vector_file *f, uint64_t bytes, struct err *err)
    REQUIRES(f->growing)
{
    CHECK(atomic_load(&f->may_use_memory));
    enum errcode code = f->memory_end == 0 ? begin_memory(f, err) : ERR_OK;
    if (code != ERR_OK) {
        return code;
    }
    uint64_t end = HEAD_BYTES + bytes;
    /* A map that searches look at is replaced by who maps, when nobody does. */
    bool is_short = f->map == NULL || (!f->config.is_mapped && f->map_bytes < end);
    if (is_short && !make_map(f, (size_t)(2 * end))) {
        return err_no_memory(err);
    }
    if (end > f->memory_end) {
        set_memory(f, f->memory_from, end);
    }
    return ERR_OK;
}

static enum errcode reserve(void *arg, size_t bytes, struct err *err)
{
    struct vector_file *f = arg;
    if (bytes <= atomic_load(&f->room_bytes)) {
        return ERR_OK;
    }
    mutex_lock(&f->growing);
    bool may_use_memory = atomic_load(&f->may_use_memory);
    /* Who makes room for the next write, or a checkpoint, asks the disk again. */
    enum errcode code = f->memory_end > 0 ? ERR_DISK_FULL : grow(f, bytes, err);
    if (code == ERR_DISK_FULL && may_use_memory) {
        err_clear(err);
        code = take_memory(f, bytes, err);
    }
    mutex_unlock(&f->growing);
    return code;
}

/* What is mapped behind the end is read by nobody until the file is there again. */
static void empty(void *arg)
{
    struct vector_file *f = arg;
    mutex_lock(&f->growing);
    if (f->fd >= 0 && f->memory_end == 0 && ftruncate(f->fd, HEAD_BYTES) == 0) {
        set_room(f, 0);
    }
    mutex_unlock(&f->growing);
}

enum errcode vector_file_reserve(struct vector_file *f, uint64_t bytes, struct err *err)
{
    enum errcode code = ERR_OK;
    if (bytes > INDEX_STORED_BYTES_MIN && bytes > atomic_load(&f->room_bytes)) {
        mutex_lock(&f->growing);
        code = grow(f, bytes, err);
        mutex_unlock(&f->growing);
    }
    return code;
}

bool vector_file_use_memory(struct vector_file *f)
{
    return !atomic_exchange(&f->may_use_memory, true);
}

/* ---- its life ---- */

static void file_path(const char *directory, uint32_t column, uint32_t number,
                      char out[VECTOR_PATH_BYTES])
{
    (void)snprintf(out, VECTOR_PATH_BYTES, "%s/index-%u-%u.vectors", directory, column, number);
}

static void release(void *arg)
{
    struct vector_file *f = arg;
    mutex_lock(&f->growing);
    drop_map(f);
    if (f->fd >= 0) {
        (void)close(f->fd);
    }
    set_room(f, 0);
    set_memory(f, 0, 0);
    mutex_unlock(&f->growing);
    mutex_fini(&f->growing);
    mem_free(MEM_GENERAL, f);
}

struct vector_file *vector_file_new(const struct vector_file_config *config, struct err *err)
{
    CHECK(config->directory != NULL && config->dim > 0 && config->dim <= VECTOR_DIM_MAX &&
          config->number > 0);
    struct vector_file *f = mem_zalloc(MEM_GENERAL, sizeof(*f));
    if (f == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    f->config = *config;
    f->fd = -1;
    file_path(config->directory, config->column, config->number, f->path);
    mutex_init(&f->growing);
    f->storage = (struct index_storage){.arg = f,
                                        .reserve = reserve,
                                        .map = config->is_mapped ? map : NULL,
                                        .put = put,
                                        .get = get,
                                        .empty = empty,
                                        .release = release};
    return f;
}

struct vector_file *vector_file_of(const struct index *index)
{
    CHECK(index != NULL);
    const struct index_storage *storage = index_config(index)->storage;
    return storage == NULL ? NULL : storage->arg;
}

/* The numbers in "index-COLUMN-NUMBER...". */
static bool read_name(const char *name, uint32_t *column, uint32_t *number)
{
    static const char begin[] = "index-";
    char *rest = NULL;
    if (strncmp(name, begin, strlen(begin)) != 0) {
        return false;
    }
    *column = (uint32_t)strtoul(name + strlen(begin), &rest, 10);
    if (*rest != '-') {
        return false;
    }
    *number = (uint32_t)strtoul(rest + 1, &rest, 10);
    return true;
}

void vector_files_remove(const char *directory, uint32_t column, uint32_t first, uint32_t end)
{
    CHECK(directory != NULL && first <= end);
    DIR *dir = opendir(directory);
    const struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        uint32_t of_column, number;
        char path[VECTOR_PATH_BYTES];
        char canonical[VECTOR_PATH_BYTES];
        if (!read_name(entry->d_name, &of_column, &number) || of_column != column ||
            number < first || number >= end) {
            continue;
        }
        file_path(directory, column, number, canonical);
        (void)snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        if (strcmp(path, canonical) == 0 && unlink(path) != 0 && errno != ENOENT) {
            log_line(LOG_WARNING, "cannot remove a file path=%s reason=%s", path, strerror(errno));
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

static enum errcode check_head(struct vector_file *f, struct err *err)
{
    uint8_t head[HEAD_USED_BYTES], expected[HEAD_USED_BYTES];
    struct stat facts;
    enum errcode code = read_at(f, 0, head, sizeof(head), err);
    if (code != ERR_OK) {
        return code;
    }
    head_write(f, expected);
    if (memcmp(head, expected, sizeof(head)) != 0) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED,
                       "\"%s\" does not begin as the vectors of this column do", f->path);
    }
    if (fstat(f->fd, &facts) != 0) {
        return err_set_errno(err, ERR_IO, errno, "asking for the size of \"%s\"", f->path);
    }
    uint64_t bytes = (uint64_t)facts.st_size;
    set_room(f, bytes > HEAD_BYTES ? bytes - HEAD_BYTES : 0);
    return ERR_OK;
}

enum errcode vector_file_open(struct vector_file *f, uint32_t number, struct err *err)
{
    enum errcode code = ERR_OK;
    mutex_lock(&f->growing);
    CHECK(f->fd < 0);
    f->config.number = number;
    file_path(f->config.directory, f->config.column, number, f->path);
    f->fd = dir_open(f->path, O_RDWR, err);
    if (f->fd >= 0) {
        code = check_head(f, err);
    } else if (errno != ENOENT) {
        code = err->code;
    }
    mutex_unlock(&f->growing);
    return code;
}

enum errcode vector_file_sync(struct vector_file *f, struct err *err)
{
    mutex_lock(&f->growing);
    enum errcode code = f->memory_end > 0 ? grow(f, f->memory_end - HEAD_BYTES, err) : ERR_OK;
    int fd = f->fd;
    mutex_unlock(&f->growing);
    if (fd < 0 || code != ERR_OK) {
        return code;
    }
    if (!atomic_load(&f->is_suspect)) {
        int failed = fault_hit(FAULT_VECTORS_SYNC) ? EIO : 0;
        if (failed == 0 && fdatasync(fd) != 0) {
            failed = errno;
        }
        if (failed == 0) {
            return ERR_OK;
        }
        atomic_store(&f->is_suspect, true);
        return err_set_errno(err, ERR_IO, failed, "syncing \"%s\"", f->path);
    }
    (void)err_set(err, ERR_IO, "\"%s\" could not be synced", f->path);
    err_hint(err, "Look after the disk, then restart the server: until then no checkpoint of this "
                  "index is written.");
    return ERR_IO;
}

uint64_t vector_file_bytes(const struct vector_file *f)
{
    uint64_t room = atomic_load(&f->room_bytes);
    return room > 0 ? HEAD_BYTES + room : 0;
}
