/* Directories: who may read them, one process at a time has one, and what was renamed into one
 * stays there. */
#ifndef VECTRON_BASE_DIR_H
#define VECTRON_BASE_DIR_H

#include "base/err.h"

enum {
    DIR_FILE_MODE = 0600 /* Of every file of the data: its owner's alone. */
};

/* err_set_errno for @path, with a hint that says what to do about that errno. */
enum errcode dir_fail(struct err *err, int errnum, const char *what, const char *path);
/* The same where @path could not be made, with who has to make it. */
enum errcode dir_make_fail(struct err *err, int errnum, const char *path);
/* Makes @path, for its owner alone, where it is missing; its name is durable then, whoever made it.
 * Errors: IO. */
enum errcode dir_make(const char *path, struct err *err) WARN_UNUSED;
/* Whether there is a @path; what cannot be asked is no "there is none".  Errors: IO. */
enum errcode dir_has(const char *path, bool *is_there, struct err *err) WARN_UNUSED;
/* Opens a file for its owner alone, which is made where it is missing; -1 and errno. */
int dir_create(const char *path, int flags) WARN_UNUSED;
/* Why a write to @path was short, which LMDB tells as EIO: EFBIG where the file has reached the
 * limit of a file's size (ulimit -f), else EIO. */
int dir_short_write(const char *path);
/* Opens a regular file that is there, and waits for nobody (a pipe's opening would).  -1: errno is
 * ENOENT where there is none, and @err says so or what else is the matter.  Errors: IO. */
int dir_open(const char *path, int flags, struct err *err) WARN_UNUSED;

/* Locks @directory through its file @name, which is made where it is missing and then holds the
 * process id, for people.  The kernel drops the lock with the process, so the file of a dead one
 * never refuses anybody.  @what names the directory in messages: "the log".
 * The lock lasts until dir_unlock.  Errors, with *fd = -1: LOCKED (a living process has it, this
 * one too), IO. */
enum errcode dir_lock(const char *directory, const char *name, const char *what, int *fd,
                      struct err *err) WARN_UNUSED;
/* The same answer without the lock and without a trace: for those who only want to know. */
enum errcode dir_check_lock(const char *directory, const char *name, const char *what,
                            struct err *err) WARN_UNUSED;
void dir_unlock(int fd); /* -1 is allowed. */

/* Makes durable which names are in it: after a rename, or where a file was made.  Errors: IO. */
enum errcode dir_sync(const char *directory, struct err *err) WARN_UNUSED;
/* The same for the directory that holds @path's name.  One that may be gone through and not read,
 * as others' may be, cannot be synced: what was made in it is left to the kernel. */
enum errcode dir_sync_above(const char *path, struct err *err) WARN_UNUSED;

#endif
