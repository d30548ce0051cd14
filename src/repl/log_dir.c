/* The log's directory, which is nobody else's.
 *
 *   lock     locked while a process has the log, see base/dir.h
 *   log.mdb  the log, see log_store.c; log.mdb.new while it is made. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "repl/log_store_int.h"
#include "repl/repl_int.h"

/* A directory without log.mdb becomes a log only if nothing else is in it. */
enum errcode log_dir_check_new(const char *directory, struct err *err)
{
    CHECK(directory != NULL);
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
