/* A graph goes into its file and comes back out of it.
 *
 * index-COLUMN.graph, little-endian:
 *
 *   head (56 bytes)   "VTGRAPH\n" | u32 version | u32 column | u64 schema | u64 group
 *                     u32 dimension | u32 distance | u64 log index
 *                     u32 number of the file of vectors (vector_file.c)
 *                     u32 CRC-32C of the head before it
 *   stream            index_save's
 *   tail (16 bytes)   u64 bytes of the stream | u32 its digest | u32 CRC-32C of the tail before it
 *
 * The log index: all changes up to it are in the graph.  Some behind it may be; staging those again
 * is no harm to the index.
 *
 * Written to index-COLUMN.graph.tmp, synced, as the vectors are, then the shard is flushed, so that
 * the file has every row that the graph names, then renamed, then the directory is synced.  A crash
 * in between leaves the old one.  Only behind that does a flush remove the changes that it covers,
 * and are places of vectors used again that the old one names. */
#include "shard/calibration_int.h"
#include "shard/host_int.h"
#include "shard/overlay_int.h"
#include "shard/shard_int.h"
#include "shard/vector_file_int.h"
#include "shard/vectors_int.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHECKPOINT_VERSION = 2, /* 1 had the vectors of the rows. */
    HEAD_BYTES = 56,
    TAIL_BYTES = 16,
    BLOCK_BYTES = 1 << 18,
    STRAIGHT_BYTES_MIN = 1 << 14, /* So many are read to their place, and written from it. */
};
static const char magic[8] = "VTGRAPH\n";

static void crash_if(enum fault_point point)
{
    if (fault_hit(point)) {
        (void)raise(SIGKILL);
    }
}

/* The file in blocks, and the stream's bytes on the way. */
struct block_file {
    const char *path;
    int fd;
    uint8_t *block;
    size_t at, bytes; /* In the block. */
    uint64_t stream_bytes;
};

void checkpoint_path(const struct shard *shard, const struct vector_index *v, bool is_temporary,
                     char *out, size_t bytes)
{
    CHECK(shard->directory != NULL && v->column < shard->schema->n_columns);
    (void)snprintf(out, bytes, "%s/index-%u.graph%s", shard->directory, v->column,
                   is_temporary ? ".tmp" : "");
}

static enum errcode file_open(struct block_file *f, const char *path, bool is_new, struct err *err)
{
    CHECK(path != NULL);
    int fd = is_new ? dir_create(path, O_WRONLY | O_TRUNC) : dir_open(path, O_RDONLY, err);
    *f = (struct block_file){.path = path, .fd = fd};
    if (f->fd < 0) {
        return is_new ? dir_fail(err, errno, "make", path) : err->code;
    }
    f->block = mem_alloc(MEM_GENERAL, BLOCK_BYTES);
    if (f->block == NULL) {
        (void)close(f->fd);
        f->fd = -1;
        return err_no_memory(err);
    }
    return ERR_OK;
}

static void file_close(struct block_file *f)
{
    mem_free(MEM_GENERAL, f->block);
    if (f->fd >= 0) {
        (void)close(f->fd);
    }
}

/* ---- writing ---- */

static enum errcode write_out(struct block_file *f, const uint8_t *data, size_t bytes,
                              struct err *err)
{
    CHECK(f->fd >= 0);
    size_t done = 0;
    if (fault_hit(FAULT_CHECKPOINT_WRITE)) {
        return err_set_errno(err, ERR_IO, EIO, "writing \"%s\"", f->path);
    }
    while (done < bytes) {
        ssize_t n = write(f->fd, data + done, bytes - done);
        if (n < 0 && errno != EINTR) {
            return err_set_errno(err, ERR_IO, errno, "writing \"%s\"", f->path);
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return ERR_OK;
}

static enum errcode flush_block(struct block_file *f, struct err *err)
{
    CHECK(f->at <= BLOCK_BYTES);
    enum errcode code = write_out(f, f->block, f->at, err);
    f->at = 0;
    return code;
}

static enum errcode file_write(struct block_file *f, const void *data, size_t bytes,
                               struct err *err)
{
    const uint8_t *from = data;
    if (bytes >= STRAIGHT_BYTES_MIN) {
        enum errcode code = flush_block(f, err);
        return code == ERR_OK ? write_out(f, from, bytes, err) : code;
    }
    while (bytes > 0) {
        size_t part = BLOCK_BYTES - f->at < bytes ? BLOCK_BYTES - f->at : bytes;
        memcpy(f->block + f->at, from, part);
        f->at += part;
        from += part;
        bytes -= part;
        if (f->at == BLOCK_BYTES) {
            enum errcode code = flush_block(f, err);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    return ERR_OK;
}

static enum errcode write_stream(void *arg, const void *data, size_t bytes, struct err *err)
{
    struct block_file *f = arg;
    f->stream_bytes += bytes;
    return file_write(f, data, bytes, err);
}

static void head_write(const struct shard *shard, const struct vector_index *v, uint64_t sequence,
                       uint32_t file, uint8_t out[HEAD_BYTES])
{
    CHECK(v->column < shard->schema->n_columns);
    const struct column *column = &shard->schema->columns[v->column];
    memcpy(out, magic, sizeof(magic));
    le_put_u32(out + 8, CHECKPOINT_VERSION);
    le_put_u32(out + 12, v->column);
    le_put_u64(out + 16, shard->schema->id);
    le_put_u64(out + 24, shard->group_id);
    le_put_u32(out + 32, column->dim);
    le_put_u32(out + 36, (uint32_t)column->distance);
    le_put_u64(out + 40, sequence);
    le_put_u32(out + 48, file);
    le_put_u32(out + 52, crc32c(0, out, 52));
}

static void tail_write(const struct checkpoint_id *id, uint8_t out[TAIL_BYTES])
{
    le_put_u64(out, id->bytes);
    le_put_u32(out + 8, id->digest);
    le_put_u32(out + 12, crc32c(0, out, 12));
}

/* The log index up to which the graph has everything.  An entry that is not published yet may be
 * staged in part, so where nothing waits it is the applied one; what waits hides the entries
 * without vectors before it, which the last checkpoint may have counted. */
static uint64_t graph_sequence(struct shard *shard, struct vector_index *v) REQUIRES(v->advance)
{
    mutex_lock(&shard->publish);
    uint64_t applied = shard->applied;
    mutex_unlock(&shard->publish);
    uint64_t sequence = index_pending(v->index) == 0 ? applied : index_sequence(v->index);
    uint64_t before = atomic_load(&v->checkpointed);
    return sequence > before ? sequence : before;
}

/* What a checkpoint is of, and the index, which is entered where it is not NULL. */
struct saved {
    struct checkpoint_id id;
    struct index *index;
    unsigned side;
};

/* id.sequence = 0 where the graph is made anew and has not yet got all the rows that were there.
 */
static enum errcode write_graph(struct shard *shard, struct vector_index *v, struct block_file *f,
                                struct saved *saved, struct err *err)
{
    CHECK(saved->index == NULL && v->kind == INDEX_HNSW);
    uint8_t head[HEAD_BYTES];
    uint8_t tail[TAIL_BYTES];
    struct checkpoint_id *id = &saved->id;
    mutex_lock(&v->advance);
    id->sequence = graph_sequence(shard, v);
    if (id->sequence < v->whole_from) {
        mutex_unlock(&v->advance);
        id->sequence = 0;
        return ERR_OK;
    }
    saved->index = vector_index_enter(v, &saved->side);
    head_write(shard, v, id->sequence, vector_file_of(saved->index)->config.number, head);
    enum errcode code = file_write(f, head, HEAD_BYTES, err);
    if (code == ERR_OK) {
        code = index_save(saved->index, write_stream, f, &id->digest, err);
    }
    mutex_unlock(&v->advance);
    if (code != ERR_OK) {
        return code;
    }
    crash_if(FAULT_CRASH_IN_CHECKPOINT);
    id->bytes = f->stream_bytes;
    tail_write(id, tail);
    code = file_write(f, tail, TAIL_BYTES, err);
    if (code == ERR_OK) {
        code = flush_block(f, err);
    }
    if (code == ERR_OK && fsync(f->fd) != 0) {
        code = err_set_errno(err, ERR_IO, errno, "syncing \"%s\"", f->path);
    }
    return code;
}

static enum errcode sync_vectors(const struct saved *saved, struct err *err)
{
    CHECK(saved->index != NULL && saved->id.sequence > 0);
    crash_if(FAULT_CRASH_BEFORE_VECTORS);
    enum errcode code = vector_file_sync(vector_file_of(saved->index), err);
    crash_if(FAULT_CRASH_AFTER_VECTORS);
    return code;
}

/* Everything that the graph may name is in the file afterwards. */
static enum errcode flush_behind_graph(struct shard *shard, struct err *err)
{
    mutex_lock(&shard->apply);
    mutex_lock(&shard->publish);
    uint64_t wanted = shard->applied;
    uint64_t flushed = shard->flushed;
    mutex_unlock(&shard->publish);
    mutex_unlock(&shard->apply);
    enum errcode code = ERR_OK;
    while (flushed < wanted && code == ERR_OK) { /* Twice where an older flush had failed. */
        code = shard_flush(shard, err);
        mutex_lock(&shard->publish);
        flushed = shard->flushed;
        mutex_unlock(&shard->publish);
    }
    return code;
}

static enum errcode publish_file(const struct shard *shard, const char *from, const char *to,
                                 struct err *err)
{
    int failed = fault_hit(FAULT_CHECKPOINT_RENAME) ? EIO : 0;
    if (failed == 0 && rename(from, to) != 0) {
        failed = errno;
    }
    if (failed != 0) {
        return err_set_errno(err, ERR_IO, failed, "renaming \"%s\"", from);
    }
    return dir_sync(shard->directory, err);
}

/* Paths lead to all rows (src/index/parents.c).  That is looked at, too. */
static void count_unreachable(const struct shard *shard, const struct vector_index *v,
                              struct index *index)
{
    struct err err;
    size_t n = 0;
    if (index_unreachable(index, &n, &err) == ERR_OK && n > 0) {
        metric_add(METRIC_index_unreachable, (int64_t)n);
        log_line(LOG_ERROR, "rows unreachable group=%llu column=%s rows=%zu",
                 (unsigned long long)shard->group_id, shard->schema->columns[v->column].name, n);
    }
}

/* The checkpoint is what a start will find. */
static void note_written(struct shard *shard, struct vector_index *v, const struct saved *saved,
                         uint64_t changes)
{
    CHECK(saved->id.sequence >= atomic_load(&v->checkpointed));
    CHECK(changes >= atomic_load(&v->changes_checkpointed));
    const struct checkpoint_id *id = &saved->id;
    index_is_durable(saved->index);
    vector_files_remove(shard->directory, v->column, 0,
                        vector_file_of(saved->index)->config.number);
    atomic_store(&v->checkpointed, id->sequence);
    atomic_store(&v->checkpoint_bytes, HEAD_BYTES + id->bytes + TAIL_BYTES);
    atomic_store(&v->changes_checkpointed, changes);
    remember_graph(v, saved->index, id, changes);
    metric_add(METRIC_checkpoints, 1);
    log_line(LOG_INFO, "checkpoint written group=%llu column=%s log_index=%llu bytes=%llu",
             (unsigned long long)shard->group_id, shard->schema->columns[v->column].name,
             (unsigned long long)id->sequence,
             HEAD_BYTES + (unsigned long long)id->bytes + TAIL_BYTES);
    count_unreachable(shard, v, saved->index);
}

enum errcode checkpoint_write(struct shard *shard, struct vector_index *v, struct err *err)
{
    CHECK(v->kind == INDEX_HNSW && v->index != NULL);
    char temporary[SHARD_PATH_BYTES];
    char path[SHARD_PATH_BYTES];
    struct block_file f;
    struct saved saved = {.index = NULL};
    uint64_t changes = atomic_load(&v->changes);
    bool is_written = false;
    checkpoint_path(shard, v, true, temporary, sizeof(temporary));
    checkpoint_path(shard, v, false, path, sizeof(path));
    enum errcode code = file_open(&f, temporary, true, err);
    if (code != ERR_OK) {
        return code;
    }
    code = write_graph(shard, v, &f, &saved, err);
    file_close(&f);
    if (code != ERR_OK || saved.id.sequence == 0) {
        goto out;
    }
    if (sync_vectors(&saved, err) != ERR_OK || flush_behind_graph(shard, err) != ERR_OK ||
        publish_file(shard, temporary, path, err) != ERR_OK) {
        code = err->code;
        goto out;
    }
    note_written(shard, v, &saved, changes);
    is_written = true;
out:
    if (!is_written) {
        (void)unlink(temporary);
    }
    if (saved.index != NULL) {
        vector_index_leave(v, saved.side);
    }
    return code;
}

enum errcode shard_checkpoint(struct shard *shard,
                              void (*progress)(void *arg, const char *phase, uint64_t done,
                                               uint64_t total),
                              void *arg, struct err *err)
{
    CHECK(!role_is_mine(&apply_thread) && !role_is_mine(&flusher_thread));
    uint64_t total = shard->n_vectors + 1;
    mutex_lock(&shard->checkpoint);
    enum errcode code = shard_flush(shard, err);
    for (size_t i = 0; i < shard->n_vectors && code == ERR_OK; i++) {
        if (progress != NULL) {
            progress(arg, "writing graphs", i + 1, total);
        }
        struct vector_index *v = &shard->vectors[i];
        if (v->kind == INDEX_HNSW &&
            atomic_load(&v->changes) > atomic_load(&v->changes_checkpointed)) {
            code = checkpoint_write(shard, v, err);
        }
    }
    shard->checkpointed_us = clock_micros();
    mutex_unlock(&shard->checkpoint);
    if (code == ERR_OK) {
        code = shard_flush(shard, err); /* Removes what the checkpoints cover. */
    }
    if (code == ERR_OK && progress != NULL) {
        progress(arg, "writing graphs", total, total);
    }
    return code;
}

/* ---- reading ---- */

/* What the system gives at once. */
static enum errcode read_in(struct block_file *f, uint8_t *to, size_t bytes_max, size_t *bytes,
                            struct err *err)
{
    ssize_t n;
    if (fault_hit(FAULT_CHECKPOINT_READ)) {
        return err_set_errno(err, ERR_IO, EIO, "reading \"%s\"", f->path);
    }
    do {
        n = read(f->fd, to, bytes_max);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return err_set_errno(err, ERR_IO, errno, "reading \"%s\"", f->path);
    }
    if (n == 0) {
        return err_set(err, ERR_CORRUPT, "\"%s\" is cut off", f->path);
    }
    *bytes = (size_t)n;
    return ERR_OK;
}

static enum errcode file_read(struct block_file *f, void *data, size_t bytes, struct err *err)
{
    uint8_t *to = data;
    enum errcode code = ERR_OK;
    while (bytes > 0 && code == ERR_OK) {
        CHECK(f->at <= f->bytes);
        size_t part = f->bytes - f->at < bytes ? f->bytes - f->at : bytes;
        if (part > 0) {
            memcpy(to, f->block + f->at, part);
            f->at += part;
        } else if (bytes >= STRAIGHT_BYTES_MIN) {
            code = read_in(f, to, bytes, &part, err);
        } else {
            code = read_in(f, f->block, BLOCK_BYTES, &f->bytes, err);
            f->at = 0;
        }
        to += part;
        bytes -= part;
    }
    return code;
}

static enum errcode read_stream(void *arg, void *data, size_t bytes, struct err *err)
{
    struct block_file *f = arg;
    f->stream_bytes += bytes;
    return file_read(f, data, bytes, err);
}

static enum errcode load_stream(struct index *index, struct block_file *f,
                                const struct index_crew *crew, uint32_t *digest, struct err *err)
{
    struct stat facts;
    if (fstat(f->fd, &facts) != 0) {
        return err_set_errno(err, ERR_IO, errno, "asking for the size of \"%s\"", f->path);
    }
    struct index_source source = {.read = read_stream, .arg = f, .bytes = (uint64_t)facts.st_size};
    return index_load(index, &source, crew, digest, err);
}

static enum errcode read_head(const struct shard *shard, const struct vector_index *v,
                              struct block_file *f, uint64_t *sequence, uint32_t *file,
                              struct err *err)
{
    uint8_t head[HEAD_BYTES];
    uint8_t expected[HEAD_BYTES];
    enum errcode code = file_read(f, head, HEAD_BYTES, err);
    if (code != ERR_OK) {
        return code;
    }
    if (memcmp(head, magic, sizeof(magic)) != 0) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED, "\"%s\" is not an index checkpoint", f->path);
    }
    if (le_get_u32(head + 8) != CHECKPOINT_VERSION) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED,
                       "\"%s\" has format version %u, this server reads %d", f->path,
                       le_get_u32(head + 8), CHECKPOINT_VERSION);
    }
    if (le_get_u32(head + 52) != crc32c(0, head, 52)) {
        return err_set(err, ERR_CORRUPT, "the head of \"%s\" does not pass its checksum", f->path);
    }
    *sequence = le_get_u64(head + 40);
    *file = le_get_u32(head + 48);
    head_write(shard, v, *sequence, *file, expected);
    if (memcmp(head, expected, HEAD_BYTES) != 0) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED, "\"%s\" belongs to another shard or column",
                       f->path);
    }
    if (*sequence > shard->applied || *sequence < shard->covered) {
        return err_set(err, ERR_CORRUPT,
                       "\"%s\" is of log index %llu, the shard's file has %llu to %llu", f->path,
                       (unsigned long long)*sequence, (unsigned long long)shard->covered,
                       (unsigned long long)shard->applied);
    }
    return ERR_OK;
}

static enum errcode read_tail(struct block_file *f, struct checkpoint_id *id, struct err *err)
{
    uint8_t tail[TAIL_BYTES], expected[TAIL_BYTES];
    id->bytes = f->stream_bytes;
    tail_write(id, expected);
    enum errcode code = file_read(f, tail, TAIL_BYTES, err);
    if (code == ERR_OK && memcmp(tail, expected, TAIL_BYTES) != 0) {
        code = err_set(err, ERR_CORRUPT, "\"%s\" does not pass its checksum", f->path);
    }
    return code;
}

bool checkpoint_exists(const struct shard *shard, const struct vector_index *v)
{
    char path[SHARD_PATH_BYTES];
    checkpoint_path(shard, v, false, path, sizeof(path));
    return access(path, F_OK) == 0 || errno != ENOENT; /* Whoever opens it tells what else. */
}

enum errcode checkpoint_load(struct shard *shard, struct vector_index *v, struct checkpoint_id *id,
                             struct err *err)
{
    CHECK(v->index == NULL && v->kind == INDEX_HNSW);
    char path[SHARD_PATH_BYTES];
    struct block_file f;
    uint32_t file = 0;
    v->index = vector_index_new(shard, v, &v->parameters, err);
    if (v->index == NULL) {
        return err->code;
    }
    checkpoint_path(shard, v, false, path, sizeof(path));
    enum errcode code = file_open(&f, path, false, err);
    if (code != ERR_OK) {
        return code;
    }
    code = read_head(shard, v, &f, &id->sequence, &file, err);
    if (code != ERR_OK) {
        goto out;
    }
    atomic_store(&v->files, file);
    if (vector_file_open(vector_file_of(v->index), file, err) != ERR_OK ||
        load_stream(v->index, &f, host_crew(shard->host), &id->digest, err) != ERR_OK ||
        read_tail(&f, id, err) != ERR_OK) {
        code = err->code;
        goto out;
    }
    atomic_store(&v->checkpoint_bytes, HEAD_BYTES + id->bytes + TAIL_BYTES);
    vector_files_remove(shard->directory, v->column, 0, file);
    vector_files_remove(shard->directory, v->column, file + 1, UINT32_MAX);
out:
    file_close(&f);
    return code;
}
