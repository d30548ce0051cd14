/* The shard's file written anew, without the pages that deleted rows have left.
 *
 *   data.mdb, read in one transaction -> data.mdb.new, synced -> closed -> renamed to data.mdb
 *   -> the directory is synced -> opened when somebody enters
 *
 * Views go on meanwhile and look at the old file; for the rename nobody may be inside, which is
 * waited for a few times, each for a moment.  No write may be under way: of who holds shard.flush.
 * A crash leaves one of the two files whole under its name, and both say the same; what is left of
 * a copy is removed at the next opening. */
#include "shard/store_env_int.h"
#include "shard/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COMPACT_BYTES_MIN = 4 << 20, /* Smaller files are not worth the trouble. */
    ALONE_TRIES = 20,
    SPARE_BYTES = 1 << 20, /* Of the disk, beside the copy: less than disk_reserve, for the copy
                            * makes room where that keeps writes away. */
};

bool store_is_compaction_worth(const struct store *store)
{
    uint64_t file_bytes = store_file_bytes(store);
    return file_bytes >= COMPACT_BYTES_MIN && store_used_bytes(store) < file_bytes / 2;
}

static enum errcode copy_env(struct store *store, const char *path, struct err *err)
{
    bool is_inside;
    enum errcode code = store_enter(store, &is_inside, err);
    if (code != ERR_OK) {
        return code;
    }
    CHECK(is_inside); /* It has a size. */
    int fd = dir_create(path, O_RDWR | O_TRUNC);
    if (fd < 0) {
        code = err_set_errno(err, ERR_IO, errno, "cannot make \"%s\"", path);
    } else {
        int rc = mdb_env_copyfd2(store->env, fd, MDB_CP_COMPACT);
        if (rc != 0) {
            code = store_error(store, rc, "compacting", err);
        } else if (fsync(fd) != 0) {
            code = err_set_errno(err, ERR_IO, errno, "cannot sync \"%s\"", path);
        }
        close(fd);
    }
    store_leave(store);
    return code;
}

static enum errcode put_in_place(struct store *store, const char *path, struct err *err)
{
    char old[SHARD_PATH_BYTES];
    store_path(store, "data.mdb", old, sizeof(old));
    for (int i = 0; i < ALONE_TRIES; i++) {
        enum errcode code = ERR_OVERLOADED;
        if (store_be_alone(store)) {
            CHECK(store->n_inside == 0);
            store_close_env(store);
            store->map_bytes = 0; /* As the smaller file wants it. */
            code = rename(path, old) == 0
                       ? dir_sync(store->directory, err)
                       : err_set_errno(err, ERR_IO, errno, "cannot rename \"%s\"", path);
        }
        store_let_in(store);
        if (code != ERR_OVERLOADED) {
            return code;
        }
    }
    return err_set(err, ERR_OVERLOADED, "\"%s\" is not compacted: views stay open",
                   store->directory);
}

enum errcode store_compact(struct store *store, struct err *err)
{
    char path[SHARD_PATH_BYTES];
    uint64_t before = store_file_bytes(store);
    if (store_disk_free(store) < store_used_bytes(store) + SPARE_BYTES) {
        return err_set(err, ERR_DISK_FULL, "no room on the disk for a copy of \"%s\"",
                       store->directory);
    }
    store_path(store, "data.mdb.new", path, sizeof(path));
    enum errcode code = copy_env(store, path, err);
    if (code == ERR_OK) {
        code = put_in_place(store, path, err);
    }
    if (code != ERR_OK) {
        (void)unlink(path);
        return code;
    }
    bool is_inside;
    metric_add(METRIC_compactions, 1);
    code = store_enter(store, &is_inside, err); /* Takes note of its size. */
    if (is_inside) {
        store_leave(store);
        log_line(LOG_INFO, "shard's file compacted directory=%s bytes_before=%llu bytes=%llu",
                 store->directory, (unsigned long long)before,
                 (unsigned long long)store_file_bytes(store));
    }
    return code;
}
