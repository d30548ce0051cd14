/* The data directory: who may use it, and what format it has.
 *
 *   DIR/vectrond.pid  locked while a server lives, and holds its process id for people.
 *   DIR/VERSION       "vectrond data 1\n".  Written last into a new directory, so that a start that
 *                     was cut short leaves a directory that the next start still takes for new.
 *
 * A directory that holds other files and no VERSION is somebody else's, and is left alone. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/server_int.h"

enum {
    PATH_BYTES_MAX = 4096
};

static const char lock_name[] = "vectrond.pid";
static const char version_name[] = "VERSION";
static const char version_new_name[] = "VERSION.new";
static const char version_format[] = "vectrond data %d\n";

/* ---- the format ---- */

/* Nothing in it but what a start that was cut short may leave. */
static enum errcode check_empty(struct directory *d, const char *path, struct err *err)
{
    static const char *const ours[] = {".", "..", lock_name, version_new_name, "lost+found"};
    int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd == -1 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        err_set_errno(err, ERR_IO, errno, "cannot list %s", path);
        if (fd != -1) {
            close(fd);
        }
        return err->code;
    }
    enum errcode code = ERR_OK;
    struct dirent *entry;
    while (code == ERR_OK && (entry = readdir(stream)) != NULL) {
        bool is_ours = false;
        for (size_t i = 0; i < COUNT_OF(ours); i++) {
            is_ours = is_ours || strcmp(entry->d_name, ours[i]) == 0;
        }
        if (!is_ours) {
            code = err_set(err, ERR_FORMAT_UNSUPPORTED,
                           "%s is not a data directory: it holds %s and no %s", path, entry->d_name,
                           version_name);
            err_hint(err, "Give --data a directory that is empty or not there yet.");
        }
    }
    closedir(stream);
    return code;
}

static enum errcode write_version(struct directory *d, const char *path, struct err *err)
{
    char file[PATH_BYTES_MAX];
    int fd = -1;
    errno = ENAMETOOLONG;
    if (snprintf(file, sizeof file, "%s/%s", path, version_new_name) < (int)sizeof file) {
        fd = dir_create(file, O_WRONLY | O_TRUNC);
    }
    if (fd == -1) {
        return dir_fail(err, errno, "make", file);
    }
    bool is_written = dprintf(fd, version_format, DIRECTORY_FORMAT) > 0 && fsync(fd) == 0;
    int errnum = errno;
    close(fd);
    if (!is_written) {
        return dir_fail(err, errnum, "write", file);
    }
    if (renameat(d->fd, version_new_name, d->fd, version_name) == -1 || fsync(d->fd) == -1) {
        return err_set_errno(err, ERR_IO, errno, "cannot publish %s/%s", path, version_name);
    }
    return ERR_OK;
}

/* Whose it is, without changing anything; *is_new: empty, and not yet anybody's. */
static enum errcode check_version(struct directory *d, const char *path, bool *is_new,
                                  struct err *err)
{
    int fd = openat(d->fd, version_name, O_RDONLY | O_CLOEXEC);
    *is_new = fd == -1 && errno == ENOENT;
    if (*is_new) {
        return check_empty(d, path, err);
    }
    char text[64] = "", wanted[64];
    ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof text - 1);
    int errnum = errno;
    if (fd != -1) {
        close(fd);
    }
    if (n == -1) {
        return dir_fail(err, errnum, "read the data directory's VERSION in", path);
    }
    snprintf(wanted, sizeof wanted, version_format, DIRECTORY_FORMAT);
    if (strcmp(text, wanted) == 0) {
        return ERR_OK;
    }
    static const char head[] = "vectrond data ";
    if (strncmp(text, head, sizeof head - 1) == 0) {
        long format = strtol(text + sizeof head - 1, NULL, 10);
        err_set(err, ERR_FORMAT_UNSUPPORTED, "%s has format %ld, and this server reads format %d",
                path, format, DIRECTORY_FORMAT);
        err_hint(err, "Start the server's version that wrote it, and move the data by COPY.");
        return ERR_FORMAT_UNSUPPORTED;
    }
    err_set(err, ERR_FORMAT_UNSUPPORTED, "%s/%s is not of a data directory of vectrond", path,
            version_name);
    err_hint(err, "Give --data another directory, or restore this one from a backup.");
    return ERR_FORMAT_UNSUPPORTED;
}

/* ---- opening and closing ---- */

/* Foreign directories are left as they are: nothing is made in one before it is known for ours. */
static enum errcode open_checked(struct directory *d, const char *path, bool *is_new,
                                 struct err *err)
{
    *d = (struct directory){.fd = -1, .lock_fd = -1};
    d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd == -1) {
        return dir_fail(err, errno, "open the data directory", path);
    }
    return check_version(d, path, is_new, err);
}

enum errcode directory_open(struct directory *d, const char *path, struct err *err)
{
    bool is_new;
    if (dir_make(path, err) != ERR_OK) {
        *d = (struct directory){.fd = -1, .lock_fd = -1};
        return err->code;
    }
    enum errcode code = open_checked(d, path, &is_new, err);
    if (code == ERR_OK) {
        code = dir_lock(path, lock_name, "the data directory", &d->lock_fd, err);
    }
    if (code == ERR_OK) {
        code = check_version(d, path, &is_new, err); /* Another server may have come between. */
    }
    if (code == ERR_OK && is_new) {
        code = write_version(d, path, err);
    }
    if (code != ERR_OK) {
        directory_close(d);
    } else {
        directory_make_private(path, is_new);
    }
    return code;
}

/* What mkdir would say of a directory that is not there yet. */
static enum errcode check_parent(const char *path, struct err *err)
{
    char parent[PATH_BYTES_MAX];
    if (snprintf(parent, sizeof parent, "%s", path) >= (int)sizeof parent) {
        return dir_make_fail(err, ENAMETOOLONG, path);
    }
    if (access(dirname(parent), W_OK | X_OK) == -1) {
        return dir_make_fail(err, errno, path);
    }
    return ERR_OK;
}

enum errcode directory_check(const char *path, struct err *err)
{
    struct directory d;
    bool is_new;
    if (access(path, F_OK) == -1 && errno == ENOENT) {
        return check_parent(path, err);
    }
    enum errcode code = open_checked(&d, path, &is_new, err);
    if (code == ERR_OK) {
        code = dir_check_lock(path, lock_name, "the data directory", err);
    }
    if (code == ERR_OK && access(path, W_OK | X_OK) == -1) {
        code = dir_fail(err, errno, "write to the data directory", path);
    }
    directory_close(&d);
    return code;
}

void directory_close(struct directory *d)
{
    dir_unlock(d->lock_fd);
    if (d->fd != -1) {
        close(d->fd);
    }
    *d = (struct directory){.fd = -1, .lock_fd = -1};
}
