/* Nobody but their owner may read the data, whatever the directory was before: packages make it
 * with mode 755, an umask of 0 and a copy by hand open what is below.
 *
 * What the server makes is private from the start (base/dir.h).  Here, at each start and before
 * anything is opened, the rest is looked through and what others may do is taken away: in the data
 * directory, in log, map and shards, and in each shard's directory.  Only what belongs to the owner
 * of the data is changed, so that a link planted in it changes nothing elsewhere.
 *
 * A data directory of another owner (a volume that is shared by a group) cannot be narrowed; what
 * is in it is private all the same, and the log warns. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/server_int.h"

enum {
    DEPTH_MAX = 3, /* DATA/shards/GROUP/file */
    OTHERS = S_IRWXG | S_IRWXO
};

struct narrowing {
    bool is_probe; /* Counts and changes nothing. */
    uid_t owner;   /* Of the data directory. */
    size_t n_narrowed, n_failed;
    int errnum; /* Of the last failure. */
};

static bool is_ours(const struct narrowing *n, const struct stat *st)
{
    return st->st_uid == n->owner || (geteuid() != 0 && st->st_uid == geteuid());
}

static void narrow(struct narrowing *n, int at, const char *name, const struct stat *st)
{
    if ((st->st_mode & OTHERS) == 0 || !is_ours(n, st)) {
        return;
    }
    if (n->is_probe || fchmodat(at, name, st->st_mode & ~(mode_t)OTHERS & 07777, 0) == 0) {
        n->n_narrowed++;
    } else {
        n->errnum = errno;
        n->n_failed++;
    }
}

static void narrow_inside(struct narrowing *n, int at, const char *name, int depth)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd == -1 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        n->errnum = errno;
        n->n_failed++;
        if (fd != -1) {
            close(fd);
        }
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &st, 0) != 0) {
            continue;
        }
        if (S_ISREG(st.st_mode)) {
            narrow(n, fd, entry->d_name, &st);
        } else if (S_ISDIR(st.st_mode) && is_ours(n, &st)) {
            narrow(n, fd, entry->d_name, &st);
            if (depth < DEPTH_MAX) {
                narrow_inside(n, fd, entry->d_name, depth + 1);
            }
        }
    }
    closedir(stream);
}

void directory_make_private(const char *path, bool is_new)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return; /* Whoever opens it tells. */
    }
    struct narrowing n = {.owner = st.st_uid};
    narrow(&n, AT_FDCWD, path, &st);
    if (geteuid() != 0 && st.st_uid != geteuid()) {
        log_line(LOG_WARNING,
                 "the data directory belongs to another user, who may replace what is in it "
                 "path=%s uid=%u hint=\"Give it to this server's user with chown.\"",
                 path, (unsigned)st.st_uid);
        n.n_failed = 0; /* That was all that could fail so far. */
    }
    narrow_inside(&n, AT_FDCWD, path, 1);
    if (n.n_narrowed > 0 && !is_new) {
        log_line(LOG_WARNING, "others could read the data, and can no more path=%s narrowed=%zu",
                 path, n.n_narrowed);
    }
    if (n.n_failed > 0) {
        log_line(LOG_WARNING, "others may be able to read the data path=%s failed=%zu error=\"%s\"",
                 path, n.n_failed, strerror(n.errnum));
    }
}

void directory_check_private(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return; /* It will be made, and private. */
    }
    struct narrowing n = {.is_probe = true, .owner = st.st_uid};
    narrow(&n, AT_FDCWD, path, &st);
    narrow_inside(&n, AT_FDCWD, path, 1);
    if (n.n_narrowed > 0) {
        log_line(LOG_WARNING,
                 "others can read the data path=%s open=%zu hint=\"A start takes that "
                 "away.\"",
                 path, n.n_narrowed);
    }
}
