/* The server's files that COPY may touch: regular ones below the policy copy_directory.
 *
 *   name -> path below copy_directory -> a walk, folder by folder -> the file, by openat
 *
 * The walk never follows a symbolic link nor "..", and each step begins where the one before it
 * stands open, so that nobody who renames folders meanwhile leads it elsewhere.  No folder of it
 * may be the data directory or lie in it: a COPY does not write the server's own files.
 *
 * A file is written under a temporary name beside its place and renamed once it is whole and
 * synced: who reads it sees all of it or what was there before.
 *
 * What can fail: the policy is empty or its directory is not usable, the name leads out of it, the
 * file is of another kind (all INSUFFICIENT_PRIVILEGE), and what the file system refuses (IO). */
#include "query/copy_int.h"
#include "query/database_int.h"
#include "query/portal_int.h"
#include "query/session_int.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FOLDERS_DEEP_MAX = 128, /* From the root. */
    TEMPORARY_TRIES_MAX = 16,
};

/* ---- refusals ---- */

static struct policy_value directory_of(const struct portal *p)
{
    struct policy_view view;
    portal_policy_view(p, &view);
    return policy_get(&view, POLICY_copy_directory, NULL);
}

static void hint_at_directory(struct err *err, const char *directory)
{
    err_hint(err,
             "COPY reads and writes files of the server below copy_directory = '%s', without"
             " symbolic links. \\copy of vsql takes a file of the client's.",
             directory);
}

static enum errcode refuse(struct err *err, const char *directory, const char *file,
                           const char *why)
{
    err_set(err, ERR_INSUFFICIENT_PRIVILEGE, "\"%s\" %s", file, why);
    hint_at_directory(err, directory);
    err_policy(err, "copy_directory");
    return ERR_INSUFFICIENT_PRIVILEGE;
}

static void hint_at_policy(struct err *err)
{
    err_hint(err, "The server's administrator sets it to the absolute path of a directory outside"
                  " of the data directory. \\copy of vsql takes a file of the client's.");
    err_policy(err, "copy_directory");
}

static enum errcode refuse_directory(struct err *err, const char *directory, const char *why)
{
    err_set(err, ERR_INSUFFICIENT_PRIVILEGE, "copy_directory = '%s' %s", directory, why);
    hint_at_policy(err);
    return ERR_INSUFFICIENT_PRIVILEGE;
}

/* What the system refuses, for errno's reason. */
static enum errcode refuse_errno(const struct portal *p, const char *file, struct err *err)
{
    int failure = errno;
    enum errcode code =
        err_set_errno(err, ERR_IO, failure, "could not open the file \"%s\" on the server", file);
    if (failure == ENOENT || failure == ENOTDIR) {
        hint_at_directory(err, directory_of(p).text);
    } else if (failure == EACCES || failure == EPERM || failure == EROFS) {
        err_hint(err, "The user who runs the server has no right to it."
                      " \\copy of vsql takes a file of the client's.");
    }
    return code;
}

/* ---- the path ---- */

/* The rest of @path behind @directory and its slash, or NULL where it lies elsewhere. */
static const char *path_below(const char *path, const char *directory)
{
    size_t bytes = strlen(directory);
    while (bytes > 0 && directory[bytes - 1] == '/') {
        bytes--;
    }
    return strncmp(path, directory, bytes) == 0 && path[bytes] == '/' ? path + bytes : NULL;
}

/* The name at the front of *path, which moves behind it and its slashes; 0 at the end.  One that is
 * too long stays so: the file system refuses it. */
static size_t next_name(const char **path, char out[COPY_NAME_BYTES])
{
    *path += strspn(*path, "/");
    size_t bytes = strcspn(*path, "/");
    size_t kept = bytes < COPY_NAME_BYTES ? bytes : COPY_NAME_BYTES - 1;
    memcpy(out, *path, kept);
    out[kept] = '\0';
    *path += bytes;
    *path += strspn(*path, "/");
    return bytes;
}

/* ---- folders ---- */

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether the open @folder is @data or lies in it; true where that cannot be told. */
static bool is_within(int folder, const struct stat *data)
{
    char up[3 * FOLDERS_DEEP_MAX + 2] = ".";
    struct stat here, above;
    bool is_in = fstat(folder, &here) != 0 || is_same(&here, data), is_root = false;
    for (int i = 0; i < FOLDERS_DEEP_MAX && !is_in && !is_root; i++) {
        size_t bytes = strlen(up);
        snprintf(up + bytes, sizeof(up) - bytes, "/..");
        is_in = fstatat(folder, up, &above, 0) != 0 || is_same(&above, data);
        is_root = !is_in && is_same(&above, &here);
        here = above;
    }
    return !is_root;
}

/* Opens the policy's directory.  Where @data is not there yet, nothing lies in it. */
static enum errcode open_directory(const char *data, const char *directory, int *out,
                                   struct err *err)
{
    struct stat facts;
    if (directory[0] == '\0') {
        return refuse_directory(err, directory, "lets COPY touch no file of the server");
    }
    if (directory[0] != '/') {
        return refuse_directory(err, directory, "is no absolute path");
    }
    *out = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out < 0) {
        enum errcode code =
            err_set_errno(err, ERR_IO, errno, "could not open copy_directory = '%s'", directory);
        hint_at_policy(err);
        return code;
    }
    if (stat(data, &facts) == 0 ? is_within(*out, &facts) : errno != ENOENT) {
        close(*out);
        *out = -1; /* Its callers close what is open. */
        return refuse_directory(err, directory, "lies in the data directory");
    }
    return ERR_OK;
}

enum errcode copy_directory_check(const char *directory, const char *data, struct err *err)
{
    int fd;
    if (directory[0] == '\0') {
        return ERR_OK;
    }
    if (open_directory(data, directory, &fd, err) != ERR_OK) {
        return err->code;
    }
    close(fd);
    return ERR_OK;
}

/* From *folder to the folder @name in it.  Where that is refused, *why says so, or is NULL and
 * errno does. */
static bool enter(struct portal *p, int *folder, const char *name, const char **why)
{
    struct stat here, data;
    *why = NULL;
    int next = openat(*folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0) {
        int number = errno;
        bool is_found = fstatat(*folder, name, &here, AT_SYMLINK_NOFOLLOW) == 0;
        *why = is_found && S_ISLNK(here.st_mode) ? "leads through a symbolic link" : NULL;
        errno = number;
        return false;
    }
    close(*folder);
    *folder = next;
    if (fstat(next, &here) != 0 || stat(node_directory(p->db->node), &data) != 0 ||
        is_same(&here, &data)) {
        *why = "leads into the data directory";
    }
    return *why == NULL;
}

/* The open folder that @file lies in, and the file's name there. */
static enum errcode find_folder(struct portal *p, const char *file, int *folder,
                                char name[COPY_NAME_BYTES], struct err *err)
{
    struct policy_value policy = directory_of(p);
    *folder = -1;
    enum errcode code = open_directory(node_directory(p->db->node), policy.text, folder, err);
    if (code != ERR_OK) {
        return code;
    }
    const char *rest = file[0] == '/' ? path_below(file, policy.text) : file;
    const char *why = "does not lie below copy_directory";
    bool is_found = rest != NULL && next_name(&rest, name) > 0;
    while (is_found && rest[0] != '\0' && strcmp(name, "..") != 0) {
        is_found = strcmp(name, ".") == 0 || enter(p, folder, name, &why);
        next_name(&rest, name);
    }
    if (is_found && strcmp(name, "..") != 0) {
        return ERR_OK;
    }
    if (is_found) {
        why = "leads upwards";
    }
    code = why != NULL ? refuse(err, policy.text, file, why) : refuse_errno(p, file, err);
    close(*folder);
    *folder = -1;
    return code;
}

/* ---- reading ---- */

static enum errcode refuse_kind(struct portal *p, const struct stat *facts, const char *file,
                                struct err *err)
{
    return refuse(err, directory_of(p).text, file,
                  S_ISLNK(facts->st_mode) ? "is a symbolic link" : "is not a regular file");
}

/* What stands under @name, which may be nothing, must be a regular file. */
static enum errcode check_kind(struct portal *p, int folder, const char *name, const char *file,
                               struct err *err)
{
    struct stat facts;
    bool is_there = fstatat(folder, name, &facts, AT_SYMLINK_NOFOLLOW) == 0;
    return is_there && !S_ISREG(facts.st_mode) ? refuse_kind(p, &facts, file, err) : ERR_OK;
}

enum errcode copy_file_open(struct portal *p, const char *file, int *fd, uint64_t *bytes,
                            struct err *err)
{
    int folder;
    char name[COPY_NAME_BYTES];
    struct stat facts;
    *fd = -1;
    enum errcode code = find_folder(p, file, &folder, name, err);
    if (code != ERR_OK) {
        return code;
    }
    code = check_kind(p, folder, name, file, err);
    if (code == ERR_OK) {
        *fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        code = *fd < 0 || fstat(*fd, &facts) != 0 ? refuse_errno(p, file, err) : ERR_OK;
    }
    if (code == ERR_OK && !S_ISREG(facts.st_mode)) { /* It was another one a moment ago. */
        code = refuse_kind(p, &facts, file, err);
    }
    close(folder);
    if (code != ERR_OK && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    *bytes = code == ERR_OK ? (uint64_t)facts.st_size : 0;
    return code;
}

/* ---- writing ---- */

enum errcode copy_file_create(struct portal *p, const char *file, struct copy_target *out,
                              struct err *err)
{
    out->fd = -1;
    enum errcode code = find_folder(p, file, &out->folder, out->name, err);
    if (code == ERR_OK) {
        code = check_kind(p, out->folder, out->name, file, err);
    }
    for (int i = 0; i < TEMPORARY_TRIES_MAX && code == ERR_OK && out->fd < 0; i++) {
        snprintf(out->temporary, sizeof(out->temporary), ".vectrond-copy-%" PRIx64 "-%" PRIx64,
                 p->session->id, clock_micros() + (uint64_t)i);
        out->fd = openat(out->folder, out->temporary,
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (out->fd < 0 && errno != EEXIST) {
            code = refuse_errno(p, file, err);
        }
    }
    if (code == ERR_OK && out->fd < 0) {
        code = err_set(err, ERR_IO, "no name is free for \"%s\" while it is written", file);
    }
    if (code != ERR_OK && out->folder >= 0) {
        close(out->folder);
        out->folder = -1;
    }
    return code;
}

enum errcode copy_file_keep(struct copy_target *target, const char *file, struct err *err)
{
    if (fsync(target->fd) != 0) {
        return err_set_errno(err, ERR_IO, errno, "could not sync the file \"%s\"", file);
    }
    if (renameat(target->folder, target->temporary, target->folder, target->name) != 0 ||
        fsync(target->folder) != 0) {
        return err_set_errno(err, ERR_IO, errno, "could not put the file \"%s\" in its place",
                             file);
    }
    target->temporary[0] = '\0';
    return ERR_OK;
}

void copy_file_close(struct copy_target *target)
{
    if (target->fd < 0) {
        return;
    }
    close(target->fd);
    if (target->temporary[0] != '\0') {
        unlinkat(target->folder, target->temporary, 0);
    }
    close(target->folder);
    target->fd = target->folder = -1;
}
