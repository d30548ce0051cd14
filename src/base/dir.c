/* Directories: who may read them, their lock, and the sync of their names.
 *
 * The only place where the server makes directories and files of its data.  A umask can take from
 * these modes and add nothing; what server takes away of it (server.c) is what would lock the
 * server itself out. */
#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"

enum {
    PATH_BYTES = 4096,
    PID_BYTES = 32,
    SHOWN_BYTES_MAX = 200, /* Of a path, so that the reason behind it has room. */
    DIR_MODE = 0700
};

enum errcode dir_fail(struct err *err, int errnum, const char *what, const char *path)
{
    CHECK(errnum != 0 && what != NULL && path != NULL);
    static const struct {
        int errnum;
        const char *hint;
    } hints[] = {
        {EACCES,
         "Give it to the user that runs the server (chown), or run the server as its owner."},
        {EPERM,
         "Give it to the user that runs the server (chown), or run the server as its owner."},
        {EROFS, "Mount its file system for writing, or choose a directory elsewhere."},
        {ENOENT, "Make the directory above it first."},
        {ENOTDIR, "A part of this path is a file: choose another path."},
        {ENAMETOOLONG, "Choose a shorter path."},
    };
    err_set_errno(err, ERR_IO, errnum, "could not %s \"%.*s%s\"", what, SHOWN_BYTES_MAX, path,
                  strlen(path) > SHOWN_BYTES_MAX ? "..." : "");
    for (size_t i = 0; i < COUNT_OF(hints); i++) {
        if (hints[i].errnum == errnum) {
            err_hint(err, "%s", hints[i].hint);
        }
    }
    return err->code;
}

int dir_short_write(const char *path)
{
    CHECK(path != NULL && path[0] != '\0');
    struct rlimit limit;
    struct stat file;
    bool is_known = getrlimit(RLIMIT_FSIZE, &limit) == 0 && stat(path, &file) == 0;
    return is_known && limit.rlim_cur != RLIM_INFINITY && (rlim_t)file.st_size >= limit.rlim_cur
               ? EFBIG
               : EIO;
}

enum errcode dir_make_fail(struct err *err, int errnum, const char *path)
{
    (void)dir_fail(err, errnum, "make the directory", path);
    if (errnum == EACCES || errnum == EPERM) {
        err_hint(err, "Make it beforehand and give it to the user that runs the server, or let "
                      "that user write to the directory above.");
    }
    return err->code;
}

enum errcode dir_make(const char *path, struct err *err)
{
    CHECK(path != NULL && path[0] != '\0');
    bool is_there = mkdir(path, DIR_MODE) == 0 || errno == EEXIST;
    return is_there ? dir_sync_above(path, err) : dir_make_fail(err, errno, path);
}

enum errcode dir_has(const char *path, bool *is_there, struct err *err)
{
    CHECK(path != NULL && is_there != NULL);
    *is_there = access(path, F_OK) == 0;
    return *is_there || errno == ENOENT ? ERR_OK : dir_fail(err, errno, "open", path);
}

int dir_create(const char *path, int flags)
{
    CHECK(path != NULL);
    return open(path, flags | O_CREAT | O_CLOEXEC, DIR_FILE_MODE);
}

int dir_open(const char *path, int flags, struct err *err)
{
    CHECK(path != NULL);
    struct stat facts;
    int fd = -1;
    if (fault_hit(FAULT_FILE_OPEN)) {
        errno = EMFILE;
    } else {
        fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
    }
    if (fd < 0 || fstat(fd, &facts) != 0) {
        int errnum = errno;
        if (errnum == ENOENT) {
            (void)err_set(err, ERR_IO, "there is no \"%s\"", path);
        } else {
            (void)dir_fail(err, errnum, "open", path);
        }
        errno = errnum;
    } else if (S_ISREG(facts.st_mode)) {
        return fd;
    } else {
        (void)err_set(err, ERR_IO, "\"%s\" is no regular file", path);
        err_hint(err, "Move it out of the data directory, whose files are the server's.");
        errno = EINVAL;
    }
    if (fd >= 0) {
        int errnum = errno;
        (void)close(fd);
        errno = errnum;
    }
    return -1;
}

static enum errcode refuse(int fd, const char *directory, const char *what, struct err *err)
{
    char text[PID_BYTES] = "";
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    if (pid > 0) {
        err_set(err, ERR_LOCKED, "%s \"%s\" is in use by process %ld", what, directory, pid);
    } else {
        err_set(err, ERR_LOCKED, "%s \"%s\" is in use by another process", what, directory);
    }
    err_hint(err, "Stop that server, or give this one a data directory of its own.");
    return ERR_LOCKED;
}

static void write_pid(int fd, const char *path)
{
    char text[PID_BYTES];
    int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        /* The lock holds all the same; only what it tells is poorer. */
        log_line(LOG_WARNING, "could not write the lock's file path=%s", path);
    }
}

static enum errcode lock_path(char path[PATH_BYTES], const char *directory, const char *name,
                              struct err *err)
{
    int n = snprintf(path, PATH_BYTES, "%s/%s", directory, name);
    if (n < 0 || n >= PATH_BYTES) {
        return err_set_errno(err, ERR_IO, ENAMETOOLONG, "could not lock \"%.200s\"", directory);
    }
    return ERR_OK;
}

static enum errcode take_lock(int fd, const char *path, const char *directory, const char *what,
                              struct err *err)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        return ERR_OK;
    }
    return errno == EWOULDBLOCK ? refuse(fd, directory, what, err)
                                : dir_fail(err, errno, "lock", path);
}

enum errcode dir_lock(const char *directory, const char *name, const char *what, int *fd,
                      struct err *err)
{
    CHECK(directory != NULL && name != NULL && what != NULL);
    char path[PATH_BYTES];
    *fd = -1;
    if (lock_path(path, directory, name, err) != ERR_OK) {
        return err->code;
    }
    int opened = dir_create(path, O_RDWR);
    if (opened < 0) {
        return dir_fail(err, errno, "open", path);
    }
    if (take_lock(opened, path, directory, what, err) != ERR_OK) {
        close(opened);
        return err->code;
    }
    write_pid(opened, path);
    *fd = opened;
    return ERR_OK;
}

enum errcode dir_check_lock(const char *directory, const char *name, const char *what,
                            struct err *err)
{
    char path[PATH_BYTES];
    if (lock_path(path, directory, name, err) != ERR_OK) {
        return err->code;
    }
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? ERR_OK : dir_fail(err, errno, "open", path);
    }
    enum errcode code = take_lock(fd, path, directory, what, err);
    close(fd);
    return code;
}

void dir_unlock(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

enum errcode dir_sync(const char *directory, struct err *err)
{
    CHECK(directory != NULL);
    enum errcode code = ERR_OK;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        code = err_set_errno(err, ERR_IO, errno, "could not sync \"%s\"", directory);
    }
    if (fd >= 0) {
        close(fd);
    }
    return code;
}

enum errcode dir_sync_above(const char *path, struct err *err)
{
    CHECK(path != NULL);
    char above[PATH_BYTES];
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    while (n > 0 && path[n - 1] != '/') {
        n--;
    }
    if (n >= sizeof(above)) {
        return dir_fail(err, ENAMETOOLONG, "sync", path);
    }
    (void)snprintf(above, sizeof(above), "%.*s", n == 0 ? 1 : (int)n, n == 0 ? "." : path);
    return access(above, R_OK) == 0 ? dir_sync(above, err) : ERR_OK;
}
