/* The log's directory: locked by one process at a time, and nobody else's.
 *
 *   lock     locked (flock) while a process has the log; holds its pid, for the message only.  A
 *            dead process holds no lock, whatever the file says.
 *   log.mdb  the log, see log_store.c; log.mdb.new while it is made. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "repl/repl_int.h"

enum {
    PATH_BYTES = 4096
};

enum errcode log_dir_lock(const char *directory, int *fd, struct err *err)
{
    char path[PATH_BYTES + 16];
    snprintf(path, sizeof(path), "%s/lock", directory);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*fd < 0) {
        return err_set_errno(err, ERR_IO, errno, "could not open \"%s\"", path);
    }
    char pid[32] = "";
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return err_set_errno(err, ERR_IO, errno, "could not lock \"%s\"", path);
        }
        ssize_t n = pread(*fd, pid, sizeof(pid) - 1, 0);
        pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
        err_set(err, ERR_LOCKED, "the log \"%s\" is in use by process %s", directory,
                pid[0] != '\0' ? pid : "(unknown)");
        err_hint(err, "Stop that server, or give this one another data directory.");
        return ERR_LOCKED;
    }
    int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(*fd, 0) != 0 || pwrite(*fd, pid, (size_t)n, 0) != n) {
        /* The lock holds all the same; only its message will be poorer. */
        log_line(LOG_WARNING, "could not write the lock file path=%s", path);
    }
    return ERR_OK;
}

/* A directory without log.mdb becomes a log only if nothing else is in it. */
enum errcode log_dir_check_new(const char *directory, struct err *err)
{
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        return err_set_errno(err, ERR_IO, errno, "could not read \"%s\"", directory);
    }
    enum errcode code = ERR_OK;
    const struct dirent *d;
    while (code == ERR_OK && (d = readdir(dir)) != NULL) {
        static const char *const known[] = {".", "..", "lock", "log.mdb.new"};
        bool is_known = false;
        for (size_t i = 0; i < COUNT_OF(known); i++) {
            is_known = is_known || strcmp(d->d_name, known[i]) == 0;
        }
        if (!is_known) {
            code = err_set(err, ERR_FORMAT_UNSUPPORTED,
                           "\"%s\" is not a log of vectrond: it holds \"%.80s\" and no log.mdb",
                           directory, d->d_name);
            err_hint(err, "Give an empty directory, or restore log.mdb from a backup.");
        }
    }
    closedir(dir);
    return code;
}

enum errcode log_dir_sync(const char *directory, struct err *err)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        err_set_errno(err, ERR_IO, errno, "could not sync \"%s\"", directory);
        if (fd >= 0) {
            close(fd);
        }
        return err->code;
    }
    close(fd);
    return ERR_OK;
}
